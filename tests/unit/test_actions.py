from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any

from agent_worker.actions import Actions, CallControl
from agent_worker.keypad import Wanted
from agent_worker.transfer import TransferError
from protocol.events import Dtmf, Transfer

PRESS = Dtmf(node_id="press", digits="12#")


class Call:
    """Notes what is done to it, in order."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []
        keypad = SimpleNamespace(send=self.send, expect=self.expect)
        ctx = SimpleNamespace(room=SimpleNamespace(name="room"))
        control = CallControl(
            own=self.own,
            go_on_with=self.go_on_with,
            failed=lambda: self.done.append("failed"),
            leave=lambda: self.done.append("leave"),
            end=lambda: self.done.append("end"),
        )
        # A caller who is not on the telephone.
        caller = SimpleNamespace(kind=0, identity="caller")
        self.actions = Actions(ctx, caller, keypad, control)  # type: ignore[arg-type] # what is used of them

    def own(self, work: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(asyncio.create_task(work))

    async def send(self, digits: str) -> None:
        await asyncio.sleep(0)
        self.done.append(f"pressed {digits}")

    def expect(self, wanted: Wanted) -> None:
        self.done.append(f"reads {wanted.max_digits}")

    async def go_on_with(self, flow_id: str, variables: dict[str, Any]) -> None:
        if flow_id == "gone":
            raise TransferError("no such flow")
        self.done.append(f"flow {flow_id} {variables}")

    async def settled(self) -> list[str]:
        await asyncio.gather(*self.tasks)
        return self.done


def to(where: str) -> Transfer:
    return Transfer(node_id="t", to=where, data={"name": "Ann"})


async def test_actions_wait_for_what_was_said_before_them() -> None:
    call = Call()
    call.actions.asked("t1", PRESS, False)
    assert await call.settled() == ["pressed 12#"]
    call.actions.asked("t2", PRESS, True)
    call.actions.asked("t2", to("flow:next"), True)
    assert await call.settled() == ["pressed 12#"]
    call.actions.speech_done("t2", ended=True)
    assert (await call.settled())[1:] == ["pressed 12#", "flow next {'name': 'Ann'}"]


async def test_a_transfer_waits_for_keys_that_are_being_pressed() -> None:
    call = Call()
    call.actions.asked("t1", PRESS, False)
    call.actions.asked("t1", to("flow:next"), False)
    call.actions.speech_done("t1", ended=True)
    assert await call.settled() == ["pressed 12#", "flow next {'name': 'Ann'}"]


async def test_what_fails_is_told_and_the_call_ends_if_the_flow_has() -> None:
    for where in ("flow:gone", "+1 555 0100"):
        call = Call()
        call.actions.asked("t1", to(where), True)
        call.actions.speech_done("t1", ended=True)
        assert await call.settled() == ["failed", "end"]
        call.actions.asked("t2", to(where), True)
        call.actions.speech_done("t2", ended=False)
        assert (await call.settled())[2:] == ["failed"]


async def test_reading_begins_at_once() -> None:
    call = Call()
    call.actions.asked("t1", Dtmf(node_id="n", action="read", data={"max_digits": 4}), True)
    call.actions.speech_done("t1", ended=False)
    assert await call.settled() == ["reads 4"]
