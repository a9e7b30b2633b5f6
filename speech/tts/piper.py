"""Piper in the process: the default, local, streaming inside the sentence."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar

import numpy as np
from typing_extensions import override

from protocol.errors import SpeechError
from speech.chunk import SpeechChunk
from speech.piper import DEFAULT_VOICE, PiperEngine, voices_dir
from speech.sentences.characters import ENDS
from speech.tts.base import TTSProvider, Voice

_SENTENCE_END = re.compile(rf"[{re.escape(ENDS)}]\W*$")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class PiperTTS(TTSProvider):
    """A door to the process's one `PiperEngine`, which it does not own and does not close.

    Voices are named by callers, so a voice is a name here and never a path.
    """

    name: ClassVar[str] = "piper"
    label: ClassVar[str] = "Piper"
    has_word_timings: ClassVar[bool] = True
    speaks_markup: ClassVar[bool] = True
    is_free: ClassVar[bool] = True
    native_rate_hz = 24_000

    def __init__(
        self, engine: PiperEngine, voice: str | None = None, *, sentence_pause_s: float = 0.2
    ) -> None:
        """Makes a door to an engine.

        Args:
            engine: Who speaks; not owned.
            voice: The operator's choice, a name or a path, for streams that name none.
            sentence_pause_s: Silence between sentences, and at the end of a text that ends with
                one, since what is spoken next is joined to it without a gap.
        """
        self._engine = engine
        self._voice = voice
        self._pause_s = sentence_pause_s

    @property
    @override
    def version(self) -> str:
        return f"{version('piper-tts')} {Path(self._voice or DEFAULT_VOICE).name}"

    @override
    def stream(
        self, text: str, *, voice: str | None = None, speed: float = 1.0
    ) -> AsyncGenerator[SpeechChunk, None]:
        return self._spoken(text, voice, speed, whole=False)

    @override
    def stream_whole(
        self, text: str, *, voice: str | None = None, speed: float = 1.0
    ) -> AsyncGenerator[SpeechChunk, None]:
        return self._spoken(text, voice, speed, whole=True)

    async def _spoken(
        self, text: str, voice: str | None, speed: float, *, whole: bool
    ) -> AsyncGenerator[SpeechChunk, None]:
        if voice is not None and (_NAME.fullmatch(voice) is None or voice.endswith(".onnx")):
            raise SpeechError(
                "voice_not_found",
                f"{voice[:60]!r} is not the name of a voice. Names look like {DEFAULT_VOICE}.",
            )
        stream = self._engine.stream(
            text,
            voice=voice or self._voice,
            speed=speed,
            sample_rate_hz=self.native_rate_hz,
            sentence_pause_s=self._pause_s,
            whole=whole,
        )
        ends = _SENTENCE_END.search(text[-16:]) is not None
        async with aclosing(stream) as chunks:
            async for chunk in chunks:
                if chunk.last and ends:
                    pause = np.zeros(round(self._pause_s * chunk.sample_rate_hz), np.int16)
                    chunk = replace(chunk, samples=np.concatenate([chunk.samples, pause]))
                yield chunk

    @override
    async def voices(self) -> list[Voice]:
        names = {DEFAULT_VOICE, *(path.stem for path in voices_dir().glob("*.onnx"))}
        return [Voice(name, name, name.split("-")[0].replace("_", "-")) for name in sorted(names)]
