"""This project's engine, measured like the others."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(1, str(Path(__file__).parents[2]))

from measure import Speak, measure

from speech.piper import PiperEngine


def _open(job: dict[str, str]) -> tuple[Speak, list[int]]:
    loop = asyncio.new_event_loop()
    engine = PiperEngine(threads=int(job["threads"]))
    engine.load(job["model"])

    def speak(text: str) -> Iterator[bytes]:
        stream = engine.stream(text)
        while True:
            try:
                chunk = loop.run_until_complete(anext(stream))
            except StopAsyncIteration:
                return
            yield chunk.samples.tobytes()

    return speak, []


measure(_open)
