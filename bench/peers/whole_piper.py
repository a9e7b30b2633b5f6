"""piper-tts as it comes: a sentence at a time."""

from collections.abc import Iterator

from measure import Speak, measure
from piper import PiperVoice


def _open(job: dict[str, str]) -> tuple[Speak, list[int]]:
    voice = PiperVoice.load(job["model"])

    def speak(text: str) -> Iterator[bytes]:
        for chunk in voice.synthesize(text):
            yield chunk.audio_int16_bytes

    return speak, []


measure(_open)
