"""`parley say`: speaks a text into a file."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import soundfile

from protocol.errors import ConfigError, SpeechError
from speech.piper import PiperEngine

FORMATS = ("wav", "flac", "ogg", "mp3")


def say(text: str, output: Path, *, voice: str | None = None, speed: float = 1.0) -> None:
    """Synthesises with Piper; the ending of the name chooses the format (wav, flac, ogg, mp3).

    Raises:
        SpeechError: For a voice that is not there, a speed out of range, or nothing to say.
        ConfigError: `setting_invalid` if the file cannot be written.
    """
    if output.suffix.lstrip(".").lower() not in FORMATS:
        raise ConfigError(
            "setting_invalid",
            f"-o {output}: the name's ending chooses the format: {', '.join(FORMATS)}.",
        )

    async def synthesise() -> None:
        async with PiperEngine() as engine:
            spoken = await engine.synthesize(text, voice=voice, speed=speed)
        if not len(spoken.samples):
            raise SpeechError("synthesis_failed", "There is nothing to say in this text.")
        try:
            soundfile.write(output, spoken.samples, spoken.sample_rate_hz)
        except (OSError, RuntimeError, ValueError, TypeError) as error:
            raise ConfigError(
                "setting_invalid",
                f"{output} cannot be written. Name a file in a folder that is there and may be "
                "written to.",
            ) from error
        sys.stdout.write(f"{spoken.duration_s:.1f} s in {output}\n")

    asyncio.run(synthesise())
