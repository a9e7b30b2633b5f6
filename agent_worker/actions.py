"""What flows ask of a call besides words: keys to read and to press, and handing the call over."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from livekit import rtc
from livekit.agents import JobContext

from agent_worker.conversation import Action
from agent_worker.keypad import Keypad, Wanted
from agent_worker.transfer import TransferError, destination, hand_over
from protocol.events import Dtmf

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CallControl:
    """What actions may do to the call."""

    own: Callable[[Coroutine[Any, Any, None]], None]
    """Runs work that the call waits for."""
    go_on_with: Callable[[str, dict[str, Any]], Awaitable[None]]
    """Goes on with another flow, with these variables; may raise `TransferError`."""
    failed: Callable[[], None]
    """Tells the caller that they could not be handed over."""
    leave: Callable[[], None]
    """Leaves the room to another agent."""
    end: Callable[[], None]
    """Ends the call."""


class Actions:
    """The actions of one call, each turn's in the order in which its flow asks for them.

    Args:
        ctx: The job of the room.
        caller: Who may be handed over.
        keypad: The call's.
        control: The call's side of it.
    """

    def __init__(
        self, ctx: JobContext, caller: rtc.RemoteParticipant, keypad: Keypad, control: CallControl
    ) -> None:
        self._ctx = ctx
        self._caller = caller
        self._keypad = keypad
        self._control = control
        self._waiting: dict[str, list[Action]] = {}
        """What turns ask for that is done when their speech is over."""
        self._performing = asyncio.Lock()

    def asked(self, turn_id: str, action: Action, spoke: bool) -> None:
        """A turn asks for an action, which waits for what the turn has said before it."""
        if isinstance(action, Dtmf) and action.action == "read":
            self._keypad.expect(Wanted.from_event(action.data))
        elif isinstance(action, Dtmf) and not spoke:
            self._control.own(self._perform([action], ended=False))
        else:
            self._waiting.setdefault(turn_id, []).append(action)

    def speech_done(self, turn_id: str, *, ended: bool) -> None:
        """The speech of a turn is over, and the flow too if it has `ended`."""
        actions = self._waiting.pop(turn_id, [])
        if actions or ended:
            self._control.own(self._perform(actions, ended=ended))

    async def _perform(self, actions: list[Action], *, ended: bool) -> None:
        async with self._performing:
            for action in actions:
                try:
                    if isinstance(action, Dtmf):
                        await self._keypad.send(action.digits)
                        continue
                    to = destination(action.to)
                    if to.kind == "flow":
                        await self._control.go_on_with(to.name, action.data)
                        ended = False
                    else:
                        await hand_over(self._ctx, self._caller, to, action.data)
                    logger.info("room %s: handed over to a %s", self._ctx.room.name, to.kind)
                except rtc.participant.PublishDTMFError:
                    logger.warning("Digits could not be sent")
                except TransferError as error:
                    logger.warning("The call could not be handed over: %s", error)
                    self._control.failed()
                else:
                    if to.kind == "agent":
                        self._control.leave()
                    if to.kind != "flow":
                        # Who is sent elsewhere leaves the room, and with them the session ends.
                        return
            if ended:
                self._control.end()
