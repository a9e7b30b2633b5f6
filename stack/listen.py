"""`parley listen`: writes down a recording."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

from rich.console import Console

from speech.moonshine import MoonshineEngine, Transcript, read_recording


def listen(file: Path, *, as_json: bool = False) -> None:
    """Transcribes a file of any sound format with Moonshine.

    Raises:
        SpeechError: `audio_invalid` if it is not a recording, or a model that cannot be loaded.
    """
    samples = read_recording(file)

    async def transcribe() -> Transcript:
        async with MoonshineEngine() as engine:
            return await engine.transcribe(samples)

    started = time.monotonic()
    with Console(stderr=True).status("Listening"):
        heard = asyncio.run(transcribe())
    if as_json:
        text = json.dumps(
            {
                "text": heard.text,
                "duration_s": round(heard.duration_s, 3),
                "confidence": round(heard.confidence, 3),
                "took_s": round(time.monotonic() - started, 3),
            }
        )
    else:
        text = heard.text
    sys.stdout.write(text + "\n")
