"""Piper in the process: the default, local, streaming inside the sentence."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from importlib.metadata import version
from typing import ClassVar

from typing_extensions import override

from protocol.errors import SpeechError
from speech.chunk import SpeechChunk
from speech.piper import DEFAULT_VOICE, PiperEngine, voices_dir
from speech.tts.base import TTSProvider, Voice

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class PiperTTS(TTSProvider):
    """A door to the process's one `PiperEngine`, which it does not own and does not close.

    Voices are named by callers, so a voice is a name here and never a path.
    """

    name: ClassVar[str] = "piper"
    label: ClassVar[str] = "Piper"
    has_word_timings: ClassVar[bool] = True
    speaks_markup: ClassVar[bool] = True
    native_rate_hz = 24_000

    def __init__(self, engine: PiperEngine, voice: str | None = None) -> None:
        """`voice` is the operator's choice, a name or a path, for streams that name none."""
        self._engine = engine
        self._voice = voice

    @property
    @override
    def version(self) -> str:
        return f"{version('piper-tts')} {self._voice or DEFAULT_VOICE}"

    @override
    async def stream(
        self, text: str, *, voice: str | None = None, speed: float = 1.0
    ) -> AsyncGenerator[SpeechChunk, None]:
        if voice is not None and (_NAME.fullmatch(voice) is None or voice.endswith(".onnx")):
            raise SpeechError(
                "voice_not_found",
                f"{voice[:60]!r} is not the name of a voice. Names look like {DEFAULT_VOICE}.",
            )
        stream = self._engine.stream(
            text, voice=voice or self._voice, speed=speed, sample_rate_hz=self.native_rate_hz
        )
        async with aclosing(stream) as chunks:
            async for chunk in chunks:
                yield chunk

    @override
    async def voices(self) -> list[Voice]:
        names = {DEFAULT_VOICE, *(path.stem for path in voices_dir().glob("*.onnx"))}
        return [Voice(name, name, name.split("-")[0].replace("_", "-")) for name in sorted(names)]
