"""A sentence that many ask for at once is made once, and all hear it from its first chunk on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx
import numpy as np
from websockets.asyncio.client import ClientConnection, connect

from flow_backend.llm.scripted import Reply
from protocol.errors import ProviderError
from speech.chunk import SpeechChunk
from speech.tts.cache import CachedTTS
from tests.integration.backend_server import Backend, serve_backend
from tests.integration.doors import TellingTTS, decoded, send, socket_url, told

TEXT = "The tides follow the moon."
MANY = 20


class Gated(TellingTTS):
    """Says its first chunk at once, and the others when it is let."""

    def __init__(self, failure: ProviderError | None = None) -> None:
        self.begun = 0
        self.go_on = asyncio.Event()
        self.closed = asyncio.Event()
        self._failure = failure

    async def stream(self, text: str, **more: Any) -> AsyncGenerator[SpeechChunk, None]:
        self.begun += 1
        try:
            if self._failure is not None:
                await self.go_on.wait()
                raise self._failure
            async for chunk in super().stream(text, **more):
                yield chunk
                await self.go_on.wait()
        finally:
            self.closed.set()


def use(backend: Backend, voice: Gated) -> None:
    voices = backend.app.state.voices
    voices._made["piper"] = CachedTTS(voice, voices.cache)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(15):
        while not condition():  # noqa: ASYNC110 - requests arrive by no event
            await asyncio.sleep(0.01)


async def first_frame(socket: ClientConnection) -> bytes:
    while isinstance(message := await socket.recv(), str):
        assert json.loads(message)["type"] != "error"
    return message


async def rest(socket: ClientConnection) -> bytes:
    """Frames up to the end of the answer."""
    frames = b""
    while True:
        message = await socket.recv()
        if isinstance(message, bytes):
            frames += message
        elif json.loads(message)["type"] == "audio_complete":
            return frames


async def test_many_requests_hear_one_synthesis() -> None:
    async with serve_backend(max_spoken=2 * MANY) as backend, AsyncExitStack() as held:
        voice = Gated()
        use(backend, voice)
        body = {"text": TEXT, "format": "pcm"}
        begun = await asyncio.gather(
            *(
                held.enter_async_context(backend.client.stream("POST", "/api/tts", json=body))
                for _ in range(MANY)
            )
        )
        streams = [response.aiter_raw() for response in begun]
        firsts = await asyncio.gather(*(anext(stream) for stream in streams))
        assert not voice.go_on.is_set(), "all have heard the first chunk of what is not made yet"
        voice.go_on.set()
        for first, stream in zip(firsts, streams, strict=True):
            heard = first + b"".join([data async for data in stream])
            assert told(np.frombuffer(heard, "<i2")) == TEXT.replace(" ", "")
        assert voice.begun == 1
        # What was made is kept, in whichever format it is asked for next.
        again = await backend.client.post("/api/tts", json={"text": TEXT, "format": "wav"})
        assert told(decoded(again.content)) == TEXT.replace(" ", "")
        assert voice.begun == 1
        metrics = (await backend.client.get("/metrics")).text
        for result, count in (("hit", 1), ("joined", MANY - 1), ("miss", 1)):
            line = f'parley_audio_cache_requests_total{{result="{result}"}} {count:.1f}'
            assert line in metrics


async def test_sockets_that_leave_take_nothing_from_those_that_stay() -> None:
    replies = [Reply(purpose="speak", say=TEXT, times=None)]
    async with serve_backend(replies, max_sockets=2 * MANY) as backend, AsyncExitStack() as held:
        voice = Gated()
        use(backend, voice)
        sockets = [
            await held.enter_async_context(connect(socket_url(backend), proxy=None))
            for _ in range(MANY)
        ]
        for socket in sockets:
            await send(socket, "user_message", {"text": "Tell me about the tides."})
        firsts = await asyncio.gather(*map(first_frame, sockets))
        assert voice.begun == 1
        # Those who asked first go.
        await asyncio.gather(*(socket.close() for socket in sockets[: MANY // 2]))
        await until(lambda: backend.app.state.admission.sockets.taken == MANY // 2)
        assert not voice.closed.is_set()
        voice.go_on.set()
        for first, socket in list(zip(firsts, sockets, strict=True))[MANY // 2 :]:
            heard = np.frombuffer(first + await rest(socket), "<i2")
            assert told(heard) == TEXT.replace(" ", "")
        assert voice.begun == 1


async def test_the_last_that_leaves_ends_the_synthesis() -> None:
    async with serve_backend(max_spoken=2 * MANY) as backend:
        voice = Gated()
        use(backend, voice)
        async with AsyncExitStack() as held:
            body = {"text": TEXT, "format": "pcm"}
            heard = []
            for _ in range(MANY):
                stream = backend.client.stream("POST", "/api/tts", json=body)
                heard.append((await held.enter_async_context(stream)).aiter_raw())
                await anext(heard[-1])
            assert not voice.closed.is_set()
        await asyncio.wait_for(voice.closed.wait(), 15)
        assert voice.begun == 1
        assert backend.app.state.voices.cache.size_bytes == 0


async def test_a_failure_reaches_all() -> None:
    async with serve_backend(max_spoken=2 * MANY) as backend:
        voice = Gated(ProviderError("provider_refused", "The account has no credit left."))
        use(backend, voice)
        cache = backend.app.state.voices.cache

        async def ask() -> httpx.Response:
            return await backend.client.post("/api/tts", json={"text": TEXT})

        asking = [asyncio.create_task(ask()) for _ in range(MANY)]
        await until(lambda: cache.joined == MANY - 1)
        voice.go_on.set()
        for response in await asyncio.gather(*asking):
            assert response.status_code == 502
            assert "no credit" in response.json()["message"]
        assert voice.begun == 1
