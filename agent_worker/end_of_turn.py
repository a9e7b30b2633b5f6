"""Whether the caller is done: LiveKit's audio model, and the words where the sound leaves it open.

The model (v1-mini) hears intonation. On many voices its probabilities for a finished question and
an unfinished sentence lie close together, below its threshold; what was said then tells them
apart: "What is the" ends open, "What is the time?" does not.
"""

from __future__ import annotations

import re

from livekit.agents import AgentSession, UserInputTranscribedEvent, inference
from livekit.agents.inference.eot.languages import ThresholdOptions
from livekit.agents.language import LanguageCode
from livekit.agents.voice import audio_recognition

FINISHED_THRESHOLD = 0.1
"""Probability of the model that is enough where the words look finished."""
ASKED_AFTER_MS = 150
"""Silence after which the model is asked, so that it has answered when the pause is noticed."""

_LAST_WORD = re.compile(r"([^\W\d_]+(?:'[^\W\d_]+)?)\W*\Z")
_OPEN_WORDS = """
a an the this these those my your his her its our their to of for in on at by with from into
about between without and or but because so that if when while as than though although until
unless is are was were am be been have has had do does did can could will would shall should may
might must want need going i he she we they who which whose um uh er erm hmm well like i'm i'd
i'll i've he's she's it's we're we'd they're that's there's
"""
_OPEN_ENDINGS = frozenset(_OPEN_WORDS.split())
"""English words that a sentence rarely ends with."""


def ends_open(words: str) -> bool:
    """Whether more is likely to come after these words; true for none at all."""
    words = words.strip()
    last = _LAST_WORD.search(words)
    if last is None:
        return not any(character.isalnum() for character in words)
    if words.endswith(("?", "!")):
        return False
    return words.endswith((",", "…", "...", "-")) or last[1].lower() in _OPEN_ENDINGS


class EndOfTurnDetector(inference.TurnDetector):
    """The local v1-mini model with a threshold that depends on what was said.

    Runs in the process; the version is pinned, since the default may call a cloud service.
    """

    def __init__(self) -> None:
        super().__init__(version="v1-mini")
        # LiveKit has no setting for it, and its 200 would ask with the window that ends the pause.
        audio_recognition.MIN_SILENCE_DURATION_MS = ASKED_AFTER_MS  # type: ignore[attr-defined]
        self._words = _Thresholds()
        self._opts.thresholds = self._words

    def follow(self, session: AgentSession[None]) -> None:
        """Reads the caller's words from this session's transcripts."""

        def on_transcript(event: UserInputTranscribedEvent) -> None:
            self._words.said = event.transcript

        session.on("user_input_transcribed", on_transcript)


class _Thresholds(ThresholdOptions):
    """The model's calibrated thresholds, lowered where the words look finished."""

    def __init__(self) -> None:
        super().__init__("turn-detector-v1-mini")
        self.said = ""

    def lookup(self, language: LanguageCode | None) -> float | None:
        """Probability below which the caller is likely to go on."""
        threshold = super().lookup(language)
        if threshold is None or ends_open(self.said):
            return threshold
        return min(threshold, FINISHED_THRESHOLD)
