"""Moonshine: English speech to text on the CPU, live and from recordings.

async with MoonshineEngine() as engine:
    transcript = await engine.transcribe(read_recording(Path("question.wav")))
"""

from speech.moonshine.audio import read_recording
from speech.moonshine.engine import MoonshineEngine
from speech.moonshine.stream import MoonshineStream, Stage, StreamEvent
from speech.moonshine.transcript import Transcript

__all__ = [
    "MoonshineEngine",
    "MoonshineStream",
    "Stage",
    "StreamEvent",
    "Transcript",
    "read_recording",
]
