"""RealtimeTTS's Piper engine, which starts Piper's command for each text."""

import sys
import types
from collections.abc import Iterator
from pathlib import Path

from measure import Speak, measure

# The engine only reads a constant of PyAudio, which needs PortAudio's headers to be built.
sys.modules["pyaudio"] = types.SimpleNamespace(paInt16=8)  # type: ignore[assignment]

from RealtimeTTS.engines.piper_engine import PiperEngine, PiperVoice  # noqa: E402


def _open(job: dict[str, str]) -> tuple[Speak, list[int]]:
    command = Path(sys.executable).parent / "piper"
    engine = PiperEngine(piper_path=str(command), voice=PiperVoice(job["model"]))

    def speak(text: str) -> Iterator[bytes]:
        if not engine.synthesize(text):
            raise SystemExit("RealtimeTTS's Piper engine failed")
        while not engine.queue.empty():
            yield engine.queue.get()

    return speak, []


measure(_open)
