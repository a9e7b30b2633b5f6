"""Voices that read their text as it stands get it without markup."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from typing_extensions import override

from speech.chunk import SpeechChunk, WordTiming
from speech.text import Lexicon, Spoken, to_spoken
from speech.tts.base import TTSProvider
from speech.tts.wrapped import WrappedTTS

_LANGUAGE = "und"
"""A text's language is not known here: markup, emoji and addresses are cleaned, and numbers stay
as they are, since these services read them out by themselves."""


class SpokenTTS(WrappedTTS):
    """A provider that is given what is to be said; word timings refer to what was written.

    Args:
        inner: Who speaks; owned.
        lexicon: Pronunciations; those for one language only do not hold here.
    """

    def __init__(self, inner: TTSProvider, lexicon: Lexicon | None = None) -> None:
        super().__init__(inner)
        self._lexicon = lexicon

    @override
    async def stream(
        self, text: str, *, voice: str | None = None, speed: float = 1.0
    ) -> AsyncGenerator[SpeechChunk, None]:
        said = to_spoken(text, _LANGUAGE, lexicon=self._lexicon)
        stream = self._inner.stream(said.spoken, voice=voice, speed=speed)
        async with aclosing(stream) as chunks:
            async for chunk in chunks:
                yield replace(chunk, words=tuple(_written(word, said) for word in chunk.words))

    @override
    async def synthesize(
        self, text: str, *, voice: str | None = None, speed: float = 1.0
    ) -> SpeechChunk:
        said = to_spoken(text, _LANGUAGE, lexicon=self._lexicon)
        chunk = await self._inner.synthesize(said.spoken, voice=voice, speed=speed)
        return replace(chunk, words=tuple(_written(word, said) for word in chunk.words))


def _written(word: WordTiming, said: Spoken) -> WordTiming:
    start, end = said.written_span(word.start_char, word.end_char)
    return replace(word, text=said.written[start:end], start_char=start, end_char=end)
