"""Voices that would read markdown out get plain text, and their timings point to the markdown."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import ClassVar

import numpy as np
import pytest

from speech.chunk import SpeechChunk, WordTiming
from speech.text import Lexicon
from speech.tts.base import TTSProvider, Voice
from speech.tts.spoken import SpokenTTS


class ReadingTTS(TTSProvider):
    """Says each word of exactly what it is given."""

    name: ClassVar[str] = "reading"
    label: ClassVar[str] = "Reading"
    native_rate_hz = 24_000

    def __init__(self) -> None:
        self.texts: list[str] = []

    async def stream(
        self, text: str, *, voice: str | None = None, speed: float = 1.0
    ) -> AsyncGenerator[SpeechChunk, None]:
        self.texts.append(text)
        words, at = [], 0
        for number, word in enumerate(text.split()):
            at = text.index(word, at)
            words.append(WordTiming(word, number, number + 0.5, at, at + len(word)))
            at += len(word)
        yield SpeechChunk(np.zeros(8, np.int16), 24_000, tuple(words), True)

    async def voices(self) -> list[Voice]:
        return []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("It is **very** good.", "It is very good."),
        ("See [the page](https://example.org/a/b).", "See the page."),
        ("# Title", "Title"),
        ("Wow 😀, 3.5 km!", "Wow, 3.5 km!"),
        ("***", ""),
        ("Plain text.", "Plain text."),
    ],
)
async def test_markup_is_not_spoken(text: str, said: str) -> None:
    reading = ReadingTTS()
    voice = SpokenTTS(reading)
    chunks = [chunk async for chunk in voice.stream(text)]
    await voice.synthesize(text)
    assert reading.texts == [said, said]
    for word in (word for chunk in chunks for word in chunk.words):
        assert text[word.start_char : word.end_char] == word.text


async def test_timings_point_to_what_was_written() -> None:
    text = "It is **very** good."
    [chunk] = [chunk async for chunk in SpokenTTS(ReadingTTS()).stream(text)]
    assert [word.text for word in chunk.words] == ["It", "is", "very", "good."]
    assert chunk.words[2].start_char == text.index("very")


async def test_the_pronunciation_dictionary_goes_before_the_text() -> None:
    reading = ReadingTTS()
    text = "Ask **Parley** now."
    voice = SpokenTTS(reading, Lexicon.parse(["parley = PAR lee"]))
    [chunk] = [chunk async for chunk in voice.stream(text)]
    assert reading.texts == ["Ask PAR lee now."]
    assert [text[word.start_char : word.end_char] for word in chunk.words][1:3] == ["Parley"] * 2
