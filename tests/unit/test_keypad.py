from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from livekit import rtc

from agent_worker.keypad import CODES, Keypad, Wanted
from agent_worker.transfer import Destination, destination


class Room(rtc.EventEmitter[str]):
    def press(self, digits: str, identity: str = "caller") -> None:
        for digit in digits:
            participant = SimpleNamespace(identity=identity)
            self.emit("sip_dtmf_received", rtc.SipDTMF(CODES.get(digit, 99), digit, participant))  # type: ignore[arg-type] # what is read of one


@pytest.fixture
def room() -> Room:
    return Room()


def keypad(room: Room) -> tuple[Keypad, asyncio.Queue[str], list[None]]:
    found: asyncio.Queue[str] = asyncio.Queue()
    presses: list[None] = []
    keys = Keypad(
        room,  # type: ignore[arg-type] # only its events
        "caller",
        on_press=lambda: presses.append(None),
        on_digits=found.put_nowait,
    )
    return keys, found, presses


async def test_digits_are_complete_when_they_are_all_there(room: Room) -> None:
    keys, found, presses = keypad(room)
    keys.expect(Wanted(max_digits=3, timeout_s=60))
    assert keys.is_asked
    room.press("12")
    room.press("9", identity="somebody")
    room.press("?")
    assert found.empty()
    room.press("3")
    assert found.get_nowait() == "123"
    assert len(presses) == 3
    assert not keys.is_asked


async def test_a_terminator_or_a_pause_ends_them(room: Room) -> None:
    keys, found, _ = keypad(room)
    keys.expect(Wanted(timeout_s=60))
    room.press("1*#")
    assert found.get_nowait() == "1*"
    keys.expect(Wanted(terminator="", timeout_s=0.01))
    room.press("2#")
    assert await found.get() == "2#"
    keys.expect(Wanted(timeout_s=60))
    room.press("#")
    assert found.empty()


async def test_digits_before_the_question_are_kept_for_it(room: Room) -> None:
    keys, found, _ = keypad(room)
    room.press("47")
    keys.expect(Wanted(max_digits=4, timeout_s=60))
    room.press("11")
    assert found.get_nowait() == "4711"
    room.press("12345")
    keys.expect(Wanted(max_digits=4, timeout_s=60))
    assert found.get_nowait() == "1234"


async def test_nothing_is_heard_after_the_call(room: Room) -> None:
    keys, found, presses = keypad(room)
    keys.expect(Wanted(max_digits=1))
    keys.close()
    room.press("1")
    assert found.empty()
    assert not presses


@pytest.mark.parametrize(
    ("to", "kind", "name"),
    [
        ("sip:desk@example.com", "phone", "sip:desk@example.com"),
        ("tel:+15550100", "phone", "tel:+15550100"),
        ("+1 (555) 010-0", "phone", "tel:+15550100"),
        ("room:lobby", "room", "lobby"),
        (" flow: booking ", "flow", "booking"),
        ("agent:night desk", "agent", "night desk"),
        ("night-desk", "agent", "night-desk"),
        ("desk:7", "agent", "desk:7"),
    ],
)
def test_a_destination_says_what_it_is(to: str, kind: str, name: str) -> None:
    found = destination(to)
    assert (found.kind, found.name) == (kind, name)
    assert isinstance(found, Destination)


def test_what_a_flow_wants_to_read_has_bounds() -> None:
    assert Wanted.from_event({}) == Wanted()
    wanted = Wanted.from_event({"max_digits": 1000, "terminator": "*", "timeout_s": 5})
    assert wanted == Wanted(64, "*", 5.0)
