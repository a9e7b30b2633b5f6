"""The result of a transcription."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was said."""

    text: str
    """Empty where nobody spoke."""
    tokens: tuple[int, ...]
    """The model's tokens for the text: a draft for a later decode of longer audio."""
    duration_s: float
    """Length of the audio, silence included."""
    confidence: float = 0.0
    """Geometric mean of the tokens' probabilities, 0 to 1; 0 for an empty text."""
