"""Where the time of an answer at `/ws` goes: from the end of the user's words to its sound."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flow_backend.doors.heard import PLAYBACK_LEAD_S

MAX_NODES = 32
"""Nodes of one turn that are shown; a turn may loop through more."""


class TurnTimes:
    """Moments of one answer, in seconds of one clock; milliseconds come out."""

    def __init__(self, clock: Callable[[], float], heard: dict[str, float] | None = None) -> None:
        """Begins now.

        Args:
            clock: Gives seconds, as `time.monotonic` does.
            heard: For spoken words: when they `ended`, when the pause was noticed (`vad`) and when
                they were transcribed (`transcript`).
        """
        self._clock = clock
        self._asked_s = clock()
        self._heard = dict(heard or {})
        self._zero_s = self._heard.pop("ended", self._asked_s)
        self._first_token_s: float | None = None
        self._first_audio_s: float | None = None
        self._begun: dict[str, float] = {}
        self._nodes: list[tuple[str, float, float]] = []

    def event(self, event: dict[str, Any]) -> None:
        """The flow sent something."""
        now_s = self._clock()
        match event["type"]:
            case "token" if event["speak"] and self._first_token_s is None:
                self._first_token_s = now_s
            case "node_started":
                self._begun[event["node_id"]] = now_s
            case "node_finished" if len(self._nodes) < MAX_NODES:
                begun_s = self._begun.pop(event["node_id"], now_s - event["duration_ms"] / 1000)
                self._nodes.append((f"node {event['node_id']}", begun_s, now_s))

    def audio(self) -> None:
        """Some audio is being sent."""
        if self._first_audio_s is None:
            self._first_audio_s = self._clock()

    def waterfall(self, turn_id: str, *, interrupted: bool) -> dict[str, Any]:
        """The answer as a room's worker tells it: milliseconds from the end of the user's words."""
        bars = [(name, self._zero_s, at_s) for name, at_s in self._heard.items()]
        bars += self._nodes
        if self._first_token_s is not None:
            bars.append(("first_token", self._asked_s, self._first_token_s))
            if self._first_audio_s is not None:
                bars.append(("first_audio", self._first_token_s, self._first_audio_s))
                sounds_s = self._first_audio_s + PLAYBACK_LEAD_S
                bars.append(("played", self._first_audio_s, sounds_s))
        spans = [
            (
                name,
                round((start_s - self._zero_s) * 1000, 1),
                round((end_s - self._zero_s) * 1000, 1),
            )
            for name, start_s, end_s in sorted(bars, key=lambda bar: (bar[1], bar[2]))
        ]
        ends_ms = {name: end_ms for name, _, end_ms in spans}
        return {
            "turn_id": turn_id,
            "stages": [{"name": n, "start_ms": start, "end_ms": end} for n, start, end in spans],
            "total_ms": ends_ms.get("played", max(ends_ms.values(), default=0.0)),
            "interrupted": interrupted,
        }
