"""pipecat's Piper service, in this process; what a pipeline puts around it is left out."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

from measure import Speak, measure
from pipecat.frames.frames import TTSAudioRawFrame
from pipecat.services.piper.tts import PiperTTSService


class _Service(PiperTTSService):
    sample_rate = 22050
    """Otherwise set by the pipeline's first frame."""


def _open(job: dict[str, str]) -> tuple[Speak, list[int]]:
    model = Path(job["model"])
    loop = asyncio.new_event_loop()

    async def start() -> PiperTTSService:
        settings = PiperTTSService.Settings(voice=model.stem)
        return _Service(settings=settings, download_dir=model.parent)

    service = loop.run_until_complete(start())

    def speak(text: str) -> Iterator[bytes]:
        frames = service.run_tts(text, "bench")
        while True:
            try:
                frame = loop.run_until_complete(frames.__anext__())
            except StopAsyncIteration:
                return
            if isinstance(frame, TTSAudioRawFrame):
                yield frame.audio

    return speak, []


measure(_open)
