"""Wyoming voices and transcribers against the wyoming package's own server."""

from __future__ import annotations

import asyncio
import contextlib
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

import numpy as np
import pytest

from protocol.errors import ConfigError, ProviderError
from speech.engines import LocalEngines
from speech.settings import SpeechSettings
from speech.stt import create as create_stt
from speech.tts import create as create_tts
from speech.wyoming import (
    AudioChunk,
    AudioStart,
    AudioStop,
    Info,
    Synthesize,
    Transcribe,
    Transcript,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from wyoming.error import Error
    from wyoming.event import Event
    from wyoming.info import Attribution, TtsProgram, TtsVoice
    from wyoming.server import AsyncEventHandler, AsyncTcpServer

Answer = Callable[[AsyncEventHandler, Event], "asyncio.Future[bool]"]


@contextlib.asynccontextmanager
async def wyoming_server(answer: Answer) -> AsyncIterator[str]:
    class Handler(AsyncEventHandler):
        async def handle_event(self, event: Event) -> bool:
            return await answer(self, event)

    with contextlib.closing(await _free_port()) as probe:
        port = probe.getsockname()[1]
    server = AsyncTcpServer("127.0.0.1", port)
    await server.start(Handler)
    try:
        yield f"tcp://127.0.0.1:{port}"
    finally:
        await server.stop()


async def _free_port():  # type: ignore[no-untyped-def]
    import socket

    probe = socket.socket()
    probe.bind(("127.0.0.1", 0))
    return probe


def settings(uri: str) -> SpeechSettings:
    return SpeechSettings(
        _env_file=None,
        wyoming_tts_uri=uri,
        wyoming_stt_uri=uri,
        speech_read_timeout_s=0.5,
    )


async def test_speaks_stereo_at_any_rate_as_mono_24_khz() -> None:
    stereo = np.repeat((np.sin(np.arange(22050) / 15) * 8000).astype("<i2"), 2).tobytes()

    async def answer(handler: AsyncEventHandler, event: Event) -> bool:
        assert Synthesize.from_event(event).text == "Hello."
        await handler.write_event(AudioStart(22050, 2, 2).event())
        for at in range(0, len(stereo), 4099):
            piece = stereo[at : at + 4099]
            await handler.write_event(AudioChunk(22050, 2, 2, piece).event())
        await handler.write_event(AudioStop().event())
        return True

    async with wyoming_server(answer) as uri:  # type: ignore[arg-type]
        tts = create_tts("wyoming", settings(uri), LocalEngines())
        whole = await tts.synthesize("Hello.", voice="amy")
    assert whole.sample_rate_hz == 24_000
    assert abs(len(whole.samples) - 24_000) <= 2
    assert 5000 < np.abs(whole.samples).max() <= 8100


async def test_lists_voices() -> None:
    by = Attribution("someone", "nowhere")
    voice = TtsVoice("amy", by, True, "Amy", None, languages=["en_GB"])

    async def answer(handler: AsyncEventHandler, event: Event) -> bool:
        await handler.write_event(
            Info(tts=[TtsProgram("piper", by, True, None, None, voices=[voice])]).event()
        )
        return True

    async with wyoming_server(answer) as uri:  # type: ignore[arg-type]
        tts = create_tts("wyoming", settings(uri), LocalEngines())
        assert [(v.id, v.name, v.language) for v in await tts.voices()] == [("amy", "Amy", "en_GB")]


async def test_transcribes() -> None:
    received = bytearray()

    async def answer(handler: AsyncEventHandler, event: Event) -> bool:
        if Transcribe.is_type(event.type):
            assert Transcribe.from_event(event).language == "en"
        elif AudioChunk.is_type(event.type):
            received.extend(AudioChunk.from_event(event).audio)
        elif AudioStop.is_type(event.type):
            await handler.write_event(Transcript(" what was said ").event())
        return True

    async with wyoming_server(answer) as uri:  # type: ignore[arg-type]
        stt = create_stt("wyoming", settings(uri), LocalEngines())
        result = await stt.transcribe(np.full(9000, 0.5, np.float32), language="en")
        assert (await stt.transcribe(np.zeros(0, np.float32))).text == ""
    assert result.text == "what was said"
    assert len(received) == 18_000


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("error", "provider_refused"),
        ("hang up", "provider_unavailable"),
        ("silence", "provider_timeout"),
        ("garbage", "provider_unavailable"),
        ("8 bit", "provider_bad_response"),
        ("no start", "provider_bad_response"),
    ],
)
async def test_failures(kind: str, code: str) -> None:
    async def answer(handler: AsyncEventHandler, event: Event) -> bool:
        if kind == "error":
            await handler.write_event(Error("no such voice").event())
        elif kind == "hang up":
            return False
        elif kind == "garbage":
            handler.writer.write(b"[not a wyoming line]\n")
            await handler.writer.drain()
        elif kind == "8 bit":
            await handler.write_event(AudioStart(22050, 1, 1).event())
        elif kind == "no start":
            await handler.write_event(AudioChunk(22050, 2, 1, b"\0\0").event())
        return True

    async with wyoming_server(answer) as uri:  # type: ignore[arg-type]
        tts = create_tts("wyoming", settings(uri), LocalEngines())
        with pytest.raises(ProviderError) as caught:
            await tts.synthesize("Hello.")
        assert caught.value.code == code


async def test_closing_the_stream_hangs_up() -> None:
    gone = asyncio.Event()

    async def answer(handler: AsyncEventHandler, event: Event) -> bool:
        await handler.write_event(AudioStart(24000, 2, 1).event())
        await handler.write_event(AudioChunk(24000, 2, 1, b"\1\0" * 500).event())
        await handler.reader.read()
        gone.set()
        return False

    async with wyoming_server(answer) as uri:  # type: ignore[arg-type]
        tts = create_tts("wyoming", settings(uri), LocalEngines())
        async with aclosing(tts.stream("Hello.")) as chunks:
            async for _ in chunks:
                break
        await asyncio.wait_for(gone.wait(), 2)


async def test_addresses() -> None:
    tts = create_tts("wyoming", settings("tcp://127.0.0.1:9"), LocalEngines())
    with pytest.raises(ProviderError) as caught:
        await tts.voices()
    assert caught.value.code == "provider_unavailable"
    tts = create_tts("wyoming", settings("http://nope"), LocalEngines())
    with pytest.raises(ConfigError, match="tcp://host:port"):
        await tts.voices()
