"""The telephone's keys: digits that the caller presses become turns, and the agent presses some.

Digits travel as the room's SIP DTMF messages, which a SIP participant turns into tones, and any
client may send (`publishDtmf`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from livekit import rtc

CODES = {digit: code for code, digit in enumerate("0123456789*#ABCD")}
"""RFC 4733's event codes."""
BETWEEN_DIGITS_S = 0.3
"""Tones that follow each other faster are taken for one."""
MAX_DIGITS = 64
UNASKED_S = 2.0
"""Digits that no flow waits for are told after so long without another."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a flow waits to read."""

    max_digits: int = MAX_DIGITS
    terminator: str = "#"
    """Ends the digits and is none of them; empty: nothing does."""
    timeout_s: float = UNASKED_S
    """Without another digit."""

    @classmethod
    def from_event(cls, data: dict[str, Any]) -> Wanted:
        """Reads the `data` of a `dtmf` event; what is missing is as without a flow."""
        return cls(
            max_digits=max(1, min(MAX_DIGITS, int(data.get("max_digits", MAX_DIGITS)))),
            terminator=str(data.get("terminator", "#")),
            timeout_s=float(data.get("timeout_s", UNASKED_S)),
        )


class Keypad:
    """The keys of one call. Digits pressed before the flow asks for them are kept for it.

    Args:
        room: The call's.
        identity: The caller's; digits of others are passed over.
        on_press: Called at each digit.
        on_digits: Called with the digits once they are complete.
    """

    def __init__(
        self,
        room: rtc.Room,
        identity: str,
        *,
        on_press: Callable[[], None],
        on_digits: Callable[[str], None],
    ) -> None:
        self._room = room
        self._identity = identity
        self._on_press = on_press
        self._on_digits = on_digits
        self._wanted = Wanted()
        self.is_asked = False
        """The flow waits for digits."""
        self._digits = ""
        self._timer: asyncio.TimerHandle | None = None
        room.on("sip_dtmf_received", self._on_dtmf)

    def expect(self, wanted: Wanted) -> None:
        """The flow waits for digits, until they have come or the caller has spoken."""
        self._wanted, self.is_asked = wanted, True
        digits, self._digits = self._digits, ""
        for digit in digits:
            if self.is_asked:
                self._take(digit)

    def forget(self) -> None:
        """The flow waits for digits no longer."""
        self._wanted, self.is_asked = Wanted(), False

    async def send(self, digits: str) -> None:
        """Presses keys.

        Raises:
            rtc.participant.PublishDTMFError: The room is gone.
        """
        for digit in digits:
            await self._room.local_participant.publish_dtmf(code=CODES[digit], digit=digit)
            await asyncio.sleep(BETWEEN_DIGITS_S)

    def close(self) -> None:
        """Listens no longer."""
        self._room.off("sip_dtmf_received", self._on_dtmf)
        self._stop_timer()

    def _on_dtmf(self, event: rtc.SipDTMF) -> None:
        sender = event.participant
        digit = event.digit.upper()
        if sender is None or sender.identity != self._identity or digit not in CODES:
            return
        self._on_press()
        self._take(digit)

    def _take(self, digit: str) -> None:
        self._stop_timer()
        if digit != self._wanted.terminator:
            self._digits += digit
            if len(self._digits) < self._wanted.max_digits:
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later(self._wanted.timeout_s, self._complete)
                return
        self._complete()

    def _complete(self) -> None:
        self._stop_timer()
        digits, self._digits = self._digits, ""
        self.forget()
        if digits:
            self._on_digits(digits)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
