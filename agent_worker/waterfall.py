"""Where the time of a turn goes: from the end of the caller's speech to the first sound.

Moments are seconds since the epoch, LiveKit's clock. Nothing here holds the caller's words.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from protocol.events import Done, Event, NodeFinished, NodeStarted, Token

TOPIC = "parley.waterfall"
"""Data topic of the room on which each turn's waterfall is sent."""
KEPT_TURNS = 8
"""Turns that never end are forgotten, the oldest first."""
MAX_NODES = 32
"""Nodes of one turn that are shown; a turn may loop through more."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One bar, in milliseconds from the end of speech; before it if negative."""

    name: str
    start_ms: float
    end_ms: float


@dataclass(frozen=True, slots=True)
class Waterfall:
    """One turn.

    Attributes:
        turn_id: The turn's.
        stages: In the order of their beginnings.
        total_ms: End of speech to the first sound played; without a sound, to the last stage's end.
        interrupted: The answer was cut off.
        wasted: Answers that were begun on a wrong guess at the transcript and thrown away.
        wasted_tokens: Tokens of theirs that had come by then.
        heard_text: What was heard of an answer that was cut off.
        estimated: `heard_text` is a guess: the voice does not tell when its words are heard.
        zero_s: The end of speech, in seconds since the epoch.
    """

    turn_id: str
    stages: tuple[Stage, ...]
    total_ms: float
    interrupted: bool
    wasted: int = 0
    wasted_tokens: int = 0
    heard_text: str | None = None
    estimated: bool = False
    zero_s: float = 0.0

    def as_json(self) -> str:
        """The form that is sent to the room."""
        body: dict[str, Any] = {
            "turn_id": self.turn_id,
            "stages": [
                {
                    "name": stage.name,
                    "start_ms": round(stage.start_ms, 1),
                    "end_ms": round(stage.end_ms, 1),
                }
                for stage in self.stages
            ],
            "total_ms": round(self.total_ms, 1),
            "interrupted": self.interrupted,
            "wasted": self.wasted,
            "wasted_tokens": self.wasted_tokens,
        }
        if self.heard_text is not None:
            body["heard_text"] = self.heard_text
            body["estimated"] = self.estimated
        return json.dumps(body)

    def log_line(self) -> str:
        """One line, without anybody's words."""
        bars = " ".join(f"{s.name}={s.start_ms:.0f}..{s.end_ms:.0f}" for s in self.stages)
        cut = " interrupted" if self.interrupted else ""
        return (
            f"turn {self.turn_id}: {self.total_ms:.0f} ms{cut}, "
            f"{self.wasted} wasted ({self.wasted_tokens} tokens); {bars}"
        )


class Waterfalls:
    """Collects the moments of one call's turns."""

    def __init__(self) -> None:
        self._paused_s: float | None = None
        self._preflight_s: float | None = None
        self._final_s: float | None = None
        self._turns: dict[str, _Moments] = {}
        self._wasted = 0
        self._wasted_tokens = 0

    def paused(self, at_s: float | None = None) -> None:
        """Voice activity ended; the last pause before a turn's end counts."""
        self._paused_s = _at(at_s)

    def preflight(self, at_s: float | None = None) -> None:
        """A transcript came on which an answer may be begun."""
        self._preflight_s = _at(at_s)

    def final(self, at_s: float | None = None) -> None:
        """A final transcript came."""
        self._final_s = _at(at_s)

    def requested(self, turn_id: str, at_s: float | None = None) -> None:
        """The backend is asked for an answer."""
        self._of(turn_id).requested_s = _at(at_s)

    def event(self, turn_id: str, event: Event, at_s: float | None = None) -> None:
        """The backend sent something."""
        self._of(turn_id).add(event, _at(at_s))

    def committed(
        self, turn_id: str, metrics: Mapping[str, Any], at_s: float | None = None
    ) -> None:
        """The caller's turn is over.

        Args:
            turn_id: The turn that answers.
            metrics: LiveKit's of the user's message; empty for typed words.
            at_s: Now, by default.
        """
        turn = self._of(turn_id)
        turn.committed_s = _at(at_s)
        ended_s = turn.ended_s = metrics.get("stopped_speaking_at")
        if ended_s is not None:
            turn.heard = {
                name: moment
                for name, moment in (
                    ("vad", self._paused_s),
                    ("preflight", self._preflight_s),
                    ("transcript", self._final_s),
                )
                if moment is not None and moment >= ended_s
            }
            if (delay_s := metrics.get("end_of_turn_delay")) is not None:
                turn.heard["end_of_turn"] = ended_s + delay_s
        turn.wasted, self._wasted = self._wasted, 0
        turn.wasted_tokens, self._wasted_tokens = self._wasted_tokens, 0
        self._paused_s = self._preflight_s = self._final_s = None

    def discarded(self, turn_id: str) -> None:
        """A guess was wrong: its work counts as waste of the turn that comes of it."""
        turn = self._turns.pop(turn_id, None)
        if turn is not None and turn.requested_s is not None:
            self._wasted += 1
            self._wasted_tokens += turn.tokens

    def finished(
        self,
        turn_id: str,
        metrics: Mapping[str, Any],
        *,
        interrupted: bool,
        heard_text: str = "",
        estimated: bool = False,
    ) -> Waterfall | None:
        """The speech is over; gives nothing for a turn that was never committed.

        Args:
            turn_id: The turn's.
            metrics: LiveKit's of the answer; empty where nothing was heard.
            interrupted: The answer was cut off.
            heard_text: Its words that were heard.
            estimated: Which they were is a guess.
        """
        turn = self._turns.get(turn_id)
        if turn is None or turn.committed_s is None:
            return None
        del self._turns[turn_id]
        zero_s, bars = turn.bars(metrics)
        stages = tuple(
            Stage(name, (start_s - zero_s) * 1000, (end_s - zero_s) * 1000)
            for name, start_s, end_s in sorted(bars, key=lambda bar: (bar[1], bar[2]))
        )
        played = next((stage.end_ms for stage in stages if stage.name == "played"), None)
        return Waterfall(
            turn_id,
            stages,
            played if played is not None else max((s.end_ms for s in stages), default=0.0),
            interrupted,
            turn.wasted,
            turn.wasted_tokens,
            heard_text if interrupted else None,
            estimated and interrupted,
            zero_s,
        )

    def _of(self, turn_id: str) -> _Moments:
        turn = self._turns.get(turn_id)
        if turn is None:
            while len(self._turns) >= KEPT_TURNS:
                del self._turns[next(iter(self._turns))]
            turn = self._turns[turn_id] = _Moments()
        return turn


_Bar = tuple[str, float, float]


class _Moments:
    """When what happened in one turn."""

    def __init__(self) -> None:
        self.ended_s: float | None = None
        self.committed_s: float | None = None
        self.requested_s: float | None = None
        self.heard: dict[str, float] = {}
        self.tokens = 0
        self.wasted = 0
        self.wasted_tokens = 0
        self._answered_s: float | None = None
        self._first_token_s: float | None = None
        self._begun: dict[str, float] = {}
        self._nodes: list[_Bar] = []
        self._timings_ms: dict[str, float] = {}

    def add(self, event: Event, at_s: float) -> None:
        if self._answered_s is None:
            self._answered_s = at_s
        if isinstance(event, Token):
            self.tokens += 1
            if self._first_token_s is None and event.speak:
                self._first_token_s = at_s
        elif isinstance(event, NodeStarted):
            self._begun[event.node_id] = at_s
        elif isinstance(event, NodeFinished) and len(self._nodes) < MAX_NODES:
            begun_s = self._begun.pop(event.node_id, at_s - event.duration_ms / 1000)
            self._nodes.append((f"node {event.node_id}", begun_s, at_s))
        elif isinstance(event, Done):
            self._timings_ms = event.timings_ms

    def bars(self, metrics: Mapping[str, Any]) -> tuple[float, list[_Bar]]:
        """The zero of the turn's time, and its stages."""
        assert self.committed_s is not None
        asked_s = self.requested_s if self.requested_s is not None else self.committed_s
        zero_s = self.ended_s if self.ended_s is not None else asked_s
        bars = [(name, zero_s, at_s) for name, at_s in self.heard.items()]
        bars += self._nodes
        bars.append(("commit", self.heard.get("end_of_turn", self.committed_s), self.committed_s))
        if self._answered_s is not None:
            bars.append(("request", asked_s, self._answered_s))
        model_ms = self._timings_ms.get("llm_request"), self._timings_ms.get("first_token")
        if model_ms[0] is not None and model_ms[1] is not None:
            bars.append(("model", asked_s + model_ms[0] / 1000, asked_s + model_ms[1] / 1000))
        if self._first_token_s is None:
            return zero_s, bars
        bars.append(("first_token", asked_s, self._first_token_s))
        played_s = metrics.get("started_speaking_at")
        # A sentence without words in it, and a voice that LiveKit does not time, give neither.
        if (sentence_s := metrics.get("llm_node_ttfs")) is not None:
            ready_s = max(self._first_token_s, asked_s + sentence_s)
            bars.append(("first_sentence", self._first_token_s, ready_s))
        if (audio_s := metrics.get("tts_node_ttfb")) is not None:
            bars.append(("first_audio", self._first_token_s, self._first_token_s + audio_s))
        if played_s is not None:
            published_s = played_s - metrics.get("playback_latency", 0.0)
            bars.append(("published", self.committed_s, max(self.committed_s, published_s)))
            bars.append(("played", min(published_s, played_s), played_s))
        return zero_s, bars


def _at(at_s: float | None) -> float:
    return time.time() if at_s is None else at_s
