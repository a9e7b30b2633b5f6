"""`parley say`: speaks a text into a file."""

from __future__ import annotations

import asyncio
import errno
import io
import sys
from pathlib import Path

import soundfile
from rich.console import Console

from protocol.errors import ConfigError, SpeechError
from speech.piper import PiperEngine, SpeechChunk

FORMATS = ("wav", "flac", "ogg", "mp3")


def say(text: str, output: Path, *, voice: str | None = None, speed: float = 1.0) -> None:
    """Synthesises with Piper; the ending of the name chooses the format (wav, flac, ogg, mp3).

    Raises:
        SpeechError: For a voice that is not there, a speed out of range, or nothing to say.
        ConfigError: `setting_invalid` if the file cannot be written.
        OSError: The disk is full.
    """
    form = output.suffix.lstrip(".").lower()
    if form not in FORMATS:
        raise ConfigError(
            "setting_invalid",
            f"-o {output}: the name's ending chooses the format: {', '.join(FORMATS)}.",
        )

    async def synthesise() -> SpeechChunk:
        async with PiperEngine() as engine:
            return await engine.synthesize(text, voice=voice, speed=speed)

    with Console(stderr=True).status("Speaking"):
        spoken = asyncio.run(synthesise())
    if not len(spoken.samples):
        raise SpeechError("synthesis_failed", "There is nothing to say in this text.")
    sound = io.BytesIO()
    soundfile.write(sound, spoken.samples, spoken.sample_rate_hz, format=form)
    try:
        output.write_bytes(sound.getbuffer())
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise ConfigError(
            "setting_invalid",
            f"{output} cannot be written: {error.strerror}. Name a file in a folder that is there "
            "and may be written to.",
        ) from error
    sys.stdout.write(f"{spoken.duration_s:.1f} s in {output}\n")
