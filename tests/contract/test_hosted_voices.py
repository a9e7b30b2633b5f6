"""Hosted voices against servers that speak their documented wire formats, well and badly."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.server import ServerConnection, serve

from protocol.errors import ProviderError
from speech.chunk import SpeechChunk
from speech.engines import LocalEngines
from speech.settings import SpeechSettings
from speech.tts import CATALOGUE, TTSProvider, create
from speech.tts.elevenlabs import ElevenLabsTTS
from tests.wire import Reply, Request, wire_server

SECRET = "planted-secret-4711"
TONE = (np.sin(np.arange(4800) / 20) * 9000).astype("<i2")
PCM = TONE.tobytes()


def settings(url: str, **more: Any) -> SpeechSettings:
    values: dict[str, Any] = {
        "elevenlabs_api_key": SECRET,
        "elevenlabs_base_url": url,
        "inworld_api_key": SECRET,
        "inworld_base_url": url,
        "openai_api_key": SECRET,
        "openai_base_url": f"{url}/v1",
        "speech_connect_timeout_s": 2.0,
        "speech_read_timeout_s": 2.0,
        **more,
    }
    return SpeechSettings(_env_file=None, **values)


def provider(name: str, url: str, **more: Any) -> TTSProvider:
    return create(name, settings(url, **more), LocalEngines())


def inworld_line(pcm: bytes, words: list[tuple[str, float, float]] = ()) -> bytes:  # type: ignore[assignment]
    header = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0" + b"\0" * 16 + b"data\0\0\0\0"
    result: dict[str, Any] = {"audioContent": base64.b64encode(header + pcm).decode()}
    if words:
        result["timestampInfo"] = {
            "wordAlignment": {
                "words": [word for word, _, _ in words],
                "wordStartTimeSeconds": [start for _, start, _ in words],
                "wordEndTimeSeconds": [end for _, _, end in words],
            }
        }
    return json.dumps({"result": result}).encode() + b"\n"


async def send_audio(name: str, reply: Reply) -> None:
    """The provider's good answer, cut at awkward places."""
    if name == "openai":
        await reply.head(content_type="audio/pcm")
        await reply.send(PCM[:1], PCM[1:3001], PCM[3001:])
    else:
        line = inworld_line(PCM[:4000], [("Hello", 0.0, 0.3), (",", 0.3, 0.3)])
        line += inworld_line(PCM[4000:], [(" ", 0.3, 0.4), ("world.", 0.4, 0.9)])
        await reply.head(content_type="application/json")
        await reply.send(line[:7], line[7:5000], line[5000:])
    await reply.end()


async def collect(tts: TTSProvider, text: str = "Hello, world.") -> list[SpeechChunk]:
    async with aclosing(tts.stream(text, voice="some/voice", speed=1.1)) as chunks:
        return [chunk async for chunk in chunks]


def samples(chunks: list[SpeechChunk]) -> np.ndarray[Any, Any]:
    assert [chunk.last for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    return np.concatenate([chunk.samples for chunk in chunks])


@pytest.mark.parametrize("name", ["openai", "inworld"])
async def test_audio_survives_odd_borders_and_connections_are_kept(name: str) -> None:
    async def handle(request: Request, reply: Reply) -> None:
        body = request.json()
        assert "Hello, world." in (body.get("input"), body.get("text"))
        await send_audio(name, reply)

    async with wire_server(handle) as server:
        tts = provider(name, server.url)
        for _ in range(2):
            assert np.array_equal(samples(await collect(tts)), TONE)
        whole = await tts.synthesize("Hello, world.")
        assert np.array_equal(whole.samples, TONE)
        assert whole.last
        await tts.aclose()
    assert SECRET in server.requests[0].headers["authorization"]


async def test_inworld_words_are_placed_in_the_text_as_written() -> None:
    async def handle(request: Request, reply: Reply) -> None:
        await send_audio("inworld", reply)

    async with wire_server(handle) as server:
        tts = provider("inworld", server.url)
        chunks = await collect(tts)
        await tts.aclose()
    words = [word for chunk in chunks for word in chunk.words]
    assert [(w.text, w.start_s, w.end_s, w.start_char, w.end_char) for w in words] == [
        ("Hello", 0.0, 0.3, 0, 5),
        ("world.", 0.4, 0.9, 7, 13),
    ]


@pytest.mark.parametrize("name", ["openai", "inworld", "elevenlabs"])
@pytest.mark.parametrize(
    ("status", "code", "needle"),
    [
        (401, "provider_unauthorized", "_API_KEY"),
        (429, "provider_rate_limited", "7 s"),
        (500, "provider_unavailable", "500"),
        (400, "provider_refused", "400"),
    ],
)
async def test_statuses_become_errors_that_say_what_to_do(
    name: str, status: int, code: str, needle: str
) -> None:
    async def handle(request: Request, reply: Reply) -> None:
        await reply.json({"detail": f"no {SECRET}"}, status, retry_after="7")

    async with wire_server(handle) as server:
        tts = provider(name, server.url)
        for call in (tts.synthesize("Hello."), collect(tts, "Hello.")):
            with pytest.raises(ProviderError) as caught:
                await call
            assert caught.value.code == code
            assert needle in caught.value.message
            assert SECRET not in caught.value.message
            assert caught.value.retry_after_s == (7.0 if status == 429 else None)
        await tts.aclose()


@pytest.mark.parametrize("name", ["openai", "inworld"])
async def test_a_cut_and_a_silent_answer_are_told_apart(name: str) -> None:
    silent = asyncio.Event()

    async def handle(request: Request, reply: Reply) -> None:
        await reply.head()
        await reply.send(inworld_line(PCM) if name == "inworld" else PCM)
        if silent.is_set():
            await reply.gone.wait()

    async with wire_server(handle) as server:
        tts = provider(name, server.url, speech_read_timeout_s=0.3)
        with pytest.raises(ProviderError) as caught:
            await collect(tts)
        assert caught.value.code == "provider_unavailable"
        silent.set()
        with pytest.raises(ProviderError) as caught:
            await collect(tts)
        assert caught.value.code == "provider_timeout"
        await tts.aclose()


@pytest.mark.parametrize("name", ["openai", "inworld"])
async def test_closing_the_stream_closes_the_connection(name: str) -> None:
    async def handle(request: Request, reply: Reply) -> None:
        await reply.head()
        await reply.send(inworld_line(PCM) if name == "inworld" else PCM)
        await reply.gone.wait()

    async with wire_server(handle) as server:
        tts = provider(name, server.url)
        async with aclosing(tts.stream("Hello.")) as chunks:
            async for _ in chunks:
                break
        await asyncio.wait_for(server.client_left.wait(), 2)
        await tts.aclose()


@pytest.mark.parametrize(
    "line",
    [b"not json\n", b"[]\n", b'{"result": {"audioContent": "%%%"}}\n', b'{"nothing": 1}\n'],
)
async def test_inworld_garbage_is_a_bad_response(line: bytes) -> None:
    async def handle(request: Request, reply: Reply) -> None:
        await reply.whole(line)

    async with wire_server(handle) as server:
        tts = provider("inworld", server.url)
        with pytest.raises(ProviderError) as caught:
            await collect(tts)
        assert caught.value.code == "provider_bad_response"
        await tts.aclose()


async def test_inworld_error_in_the_middle() -> None:
    async def handle(request: Request, reply: Reply) -> None:
        await reply.whole(inworld_line(PCM) + b'{"error": {"code": 8, "message": "quota"}}\n')

    async with wire_server(handle) as server:
        tts = provider("inworld", server.url)
        with pytest.raises(ProviderError, match="code 8"):
            await collect(tts)
        await tts.aclose()


@pytest.mark.parametrize("name", ["openai", "inworld", "elevenlabs"])
async def test_nobody_at_the_address(name: str) -> None:
    tts = provider(name, "http://127.0.0.1:9")
    with pytest.raises(ProviderError) as caught:
        await collect(tts)
    assert caught.value.code == "provider_unavailable"
    assert "127.0.0.1:9" in caught.value.message
    await tts.aclose()


@pytest.mark.parametrize("name", ["openai", "inworld", "elevenlabs"])
async def test_blank_text_asks_nobody(name: str) -> None:
    tts = provider(name, "http://127.0.0.1:9")
    assert samples(await collect(tts, " \n")).size == 0
    await tts.aclose()


async def test_lists_of_voices() -> None:
    async def handle(request: Request, reply: Reply) -> None:
        if request.path == "/v1/voices":
            assert request.headers["xi-api-key"] == SECRET
            await reply.json(
                {"voices": [{"voice_id": "a", "name": "Ada", "labels": {"language": "en"}}]}
            )
        else:
            await reply.json(
                {"voices": [{"voiceId": "B", "displayName": "Bo", "languages": ["de"]}]}
            )

    async with wire_server(handle) as server:
        eleven, inworld = provider("elevenlabs", server.url), provider("inworld", server.url)
        assert [(v.id, v.name, v.language) for v in await eleven.voices()] == [("a", "Ada", "en")]
        assert [(v.id, v.name, v.language) for v in await inworld.voices()] == [("B", "Bo", "de")]
        await eleven.aclose()
        await inworld.aclose()


async def test_elevenlabs_over_http() -> None:
    async def handle(request: Request, reply: Reply) -> None:
        assert request.path.startswith("/v1/text-to-speech/some%2Fvoice")
        assert "output_format=pcm_24000" in request.target
        assert request.json()["voice_settings"] == {"speed": 1.1}
        await reply.head(content_type="audio/pcm")
        await reply.send(PCM[:5], PCM[5:])
        await reply.end()

    async with wire_server(handle) as server:
        tts = provider("elevenlabs", server.url)
        bare = ElevenLabsTTS(settings(server.url))
        whole = await tts.synthesize("Hello, world.", voice="some/voice", speed=1.1)
        assert np.array_equal(whole.samples, TONE)
        streamed = [c async for c in bare.stream_http("Hello.", voice="some/voice", speed=1.1)]
        assert np.array_equal(samples(streamed), TONE)
        await tts.aclose()
        await bare.aclose()
    assert [r.path.endswith("/stream") for r in server.requests] == [False, True]


def eleven_messages(text: str) -> list[dict[str, Any]]:
    """Two pieces of audio; each one's times count from its own start, as on the wire."""
    half = len(PCM) // 2
    cut = text.index(" ") + 1
    return [
        {
            "audio": base64.b64encode(audio).decode(),
            "isFinal": None,
            "alignment": {
                "chars": list(part),
                "charStartTimesMs": [10 * i for i in range(len(part))],
                "charDurationsMs": [10] * len(part),
            },
        }
        for audio, part in ((PCM[:half], text[:cut]), (PCM[half:], text[cut:]))
    ]


async def eleven_session(
    script: Callable[[ServerConnection, list[dict[str, Any]]], Any],
    text: str = "Hello, world.",
    **more: Any,
) -> tuple[list[SpeechChunk], list[dict[str, Any]]]:
    received: list[dict[str, Any]] = []

    async def handle(socket: ServerConnection) -> None:
        assert socket.request is not None
        assert socket.request.headers["xi-api-key"] == SECRET
        while True:
            message = json.loads(await socket.recv())
            received.append(message)
            if message["text"] == "":
                break
        await script(socket, received)

    async with serve(handle, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        tts = provider("elevenlabs", f"http://127.0.0.1:{port}", **more)
        try:
            return await collect(tts, text), received
        finally:
            await tts.aclose()


async def test_elevenlabs_socket_gives_audio_and_exact_words() -> None:
    async def script(socket: ServerConnection, received: list[dict[str, Any]]) -> None:
        for message in eleven_messages("Hello, world. "):
            await socket.send(json.dumps(message))
        await socket.send(json.dumps({"audio": None, "isFinal": True}))

    chunks, received = await eleven_session(script)
    assert np.array_equal(samples(chunks), TONE)
    words = [word for chunk in chunks for word in chunk.words]
    assert [(w.text, round(w.start_s, 3), w.start_char, w.end_char) for w in words] == [
        ("Hello,", 0.0, 0, 6),
        ("world.", 0.1, 7, 13),
    ]
    assert [message["text"] for message in received] == [" ", "Hello, world. ", ""]


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ('{"error": "quota", "code": 1011}', "provider_refused"),
        ('{"error": "invalid_api_key", "code": 1008}', "provider_unauthorized"),
        ("not json", "provider_bad_response"),
        ("[]", "provider_bad_response"),
        ('{"audio": "%%%"}', "provider_bad_response"),
        (None, "provider_unavailable"),
        ("silence", "provider_timeout"),
    ],
)
async def test_elevenlabs_socket_failures(message: str | None, code: str) -> None:
    async def script(socket: ServerConnection, received: list[dict[str, Any]]) -> None:
        await socket.send(json.dumps(eleven_messages("Hello, world. ")[0]))
        if message == "silence":
            await socket.wait_closed()
        elif message is not None:
            await socket.send(message)

    with pytest.raises(ProviderError) as caught:
        await eleven_session(script, speech_read_timeout_s=0.5)
    assert caught.value.code == code
    assert SECRET not in caught.value.message


def test_missing_keys_name_the_variable() -> None:
    empty = SpeechSettings(_env_file=None)
    for name, entry in CATALOGUE.items():
        if entry.required_setting is not None:
            with pytest.raises(ProviderError, match=entry.required_setting.upper()):
                create(name, empty, LocalEngines())
    with pytest.raises(ProviderError, match="piper, elevenlabs"):
        create("nobody", empty, LocalEngines())
