"""livekit-plugins-piper-tts, with Piper's own HTTP server behind it.

The plugin asks for `/`; the server of today speaks at `/synthesize`, so it is given that address.
"""

import asyncio
from collections.abc import Iterator

from livekit.plugins.piper_tts import TTS
from measure import Speak, free_port, measure, serve


def _open(job: dict[str, str]) -> tuple[Speak, list[int]]:
    port = free_port()
    server = serve(
        ["piper.http_server", "--host", "127.0.0.1", "--port", str(port), "-m", job["model"]],
        port,
    )
    loop = asyncio.new_event_loop()
    plugin = TTS(f"http://127.0.0.1:{port}/synthesize")

    def speak(text: str) -> Iterator[bytes]:
        async def first() -> object:
            return plugin.synthesize(text)

        stream = loop.run_until_complete(first())
        while True:
            try:
                event = loop.run_until_complete(stream.__anext__())
            except StopAsyncIteration:
                break
            yield bytes(event.frame.data)
        loop.run_until_complete(stream.aclose())

    return speak, [server]


measure(_open)
