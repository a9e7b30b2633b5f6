"""OpenAI-compatible transcription against a server that speaks its wire format."""

from __future__ import annotations

import io
import wave

import numpy as np
import pytest

from protocol.errors import ProviderError
from speech.engines import LocalEngines
from speech.settings import SpeechSettings
from speech.stt import STTProvider, create
from tests.wire import Reply, Request, wire_server

SECRET = "planted-secret-4711"


def provider(url: str) -> STTProvider:
    settings = SpeechSettings(
        _env_file=None,
        openai_api_key=SECRET,
        openai_base_url=f"{url}/v1",
        speech_read_timeout_s=0.5,
    )
    return create("openai", settings, LocalEngines())


async def test_sends_a_wav_and_reads_the_text() -> None:
    async def handle(request: Request, reply: Reply) -> None:
        assert request.path == "/v1/audio/transcriptions"
        assert b'name="language"\r\n\r\nde' in request.body
        at = request.body.index(b"RIFF")
        with wave.open(io.BytesIO(request.body[at:])) as wav:
            assert (wav.getframerate(), wav.getnchannels(), wav.getnframes()) == (16_000, 1, 800)
        await reply.json({"text": " Guten Tag. "})

    async with wire_server(handle) as server:
        stt = provider(server.url)
        result = await stt.transcribe(np.full(800, np.nan, np.float32), language="de")
        assert (result.text, result.duration_s) == ("Guten Tag.", 0.05)
        assert (await stt.transcribe(np.zeros(0, np.float32))).text == ""
        await stt.aclose()
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("401", "provider_unauthorized"),
        ("429", "provider_rate_limited"),
        ("503", "provider_unavailable"),
        ("silence", "provider_timeout"),
        ("cut", "provider_unavailable"),
        ("not json", "provider_bad_response"),
        ("no text", "provider_bad_response"),
    ],
)
async def test_failures(kind: str, code: str) -> None:
    async def handle(request: Request, reply: Reply) -> None:
        if kind.isdigit():
            await reply.json({"error": {"message": SECRET}}, int(kind), retry_after="3")
        elif kind == "silence":
            await reply.gone.wait()
        elif kind == "cut":
            await reply.head(content_type="application/json")
            await reply.send(b'{"te')
        elif kind == "not json":
            await reply.whole(b"<html>", content_type="application/json")
        else:
            await reply.json({"words": []})

    async with wire_server(handle) as server:
        stt = provider(server.url)
        with pytest.raises(ProviderError) as caught:
            await stt.transcribe(np.zeros(800, np.float32))
        assert caught.value.code == code
        assert SECRET not in caught.value.message
        await stt.aclose()
