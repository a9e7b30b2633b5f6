"""Sentences out of a stream of text, as early as the text allows.

`SentenceStreamBuffer` is pure and synchronous. May import the standard library only.
"""

from __future__ import annotations

from speech.sentences.buffer import IDLE_MS, Sentence, SentenceStreamBuffer

__all__ = ["IDLE_MS", "Sentence", "SentenceStreamBuffer"]
