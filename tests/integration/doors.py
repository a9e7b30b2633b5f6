"""One conversation through each door: what was read, what was heard, and how it ended."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import soundfile
from httpx_sse import aconnect_sse
from websockets.asyncio.client import ClientConnection, connect

from speech.chunk import SpeechChunk
from speech.tts.base import TTSProvider, Voice
from tests.integration.backend_server import Backend

Samples = npt.NDArray[np.int16]


@dataclass
class Heard:
    """What came through a door."""

    text: str = ""
    pieces: list[Samples] = field(default_factory=list)
    """Audio in the order in which it is to be played."""
    ended: bool = False
    """The door's own sign of a whole answer came, and nothing behind it."""
    failure: str = ""

    @property
    def samples(self) -> Samples:
        return np.concatenate(self.pieces) if self.pieces else np.zeros(0, np.int16)


class TellingTTS(TTSProvider):
    """Its sound is the code of each character: what was heard can be read again."""

    name: ClassVar[str] = "telling"
    label: ClassVar[str] = "Telling"
    native_rate_hz = 24_000

    async def stream(
        self, text: str, *, voice: str | None = None, speed: float = 1.0
    ) -> AsyncGenerator[SpeechChunk, None]:
        codes = np.array([ord(character) & 0x7FFF for character in text], np.int16)
        for start in range(0, len(codes), 7):
            yield SpeechChunk(codes[start : start + 7], 24_000, (), False)
        yield SpeechChunk(np.zeros(0, np.int16), 24_000, (), True)

    async def voices(self) -> list[Voice]:
        return []


def told(samples: Samples) -> str:
    """What a `TellingTTS` was given, without white space."""
    return "".join("".join(chr(code) for code in samples).split())


async def events(
    backend: Backend, path: str, body: dict[str, Any]
) -> AsyncGenerator[tuple[str, str], None]:
    """Names and data of a door's events."""
    async with aconnect_sse(backend.client, "POST", path, json=body) as source:
        assert source.response.status_code == 200, await source.response.aread()
        async for event in source.aiter_sse():
            yield event.event, event.data


def decoded(data: str | bytes) -> Samples:
    """int16 samples of a file, or of its base64."""
    raw = base64.b64decode(data) if isinstance(data, str) else data
    samples: Samples = soundfile.read(io.BytesIO(raw), dtype="int16")[0]
    return samples


async def door_a(backend: Backend, message: str, *, in_chunks: bool = False) -> Heard:
    heard = Heard()
    pieces: dict[int, list[Samples]] = {}
    body = {"prompt": message, "streamTTS": in_chunks}
    async for _, data in events(backend, "/api/stream", body):
        assert not heard.ended
        event = json.loads(data)
        match event["type"]:
            case "text":
                heard.text += event["content"]
            case "audio":
                pieces.setdefault(event["playSequence"], []).append(decoded(event["audio"]))
            case "done":
                assert event["fullText"] == heard.text
                heard.ended = True
            case "error":
                heard.failure = event["error"]
    heard.pieces = [part for _, parts in sorted(pieces.items()) for part in parts]
    return heard


async def door_a_in_chunks(backend: Backend, message: str) -> Heard:
    return await door_a(backend, message, in_chunks=True)


async def door_b(backend: Backend, message: str) -> Heard:
    heard = Heard()
    async for name, data in events(backend, "/api/chat/stream", {"message": message}):
        assert not heard.ended
        match name:
            case "text":
                heard.text += data
            case "audio":
                heard.pieces.append(decoded(data))
            case "done":
                assert int(data) == len(heard.pieces)
                heard.ended = True
            case "error":
                heard.failure = data
    return heard


async def door_b_whole(backend: Backend, message: str) -> Heard:
    response = await backend.client.post("/api/chat", json={"message": message})
    body = response.json()
    if response.status_code != 200:
        return Heard(failure=body["message"])
    return Heard(body["text"], [decoded(body["audio"])], True)


async def door_c(backend: Backend, message: str) -> Heard:
    heard = Heard()
    body = {
        "conversation_id": "c",
        "user_message": message,
        "language": "English",
        "difficulty_level": "B1",
    }
    async for _, data in events(backend, "/chat/stream", body):
        assert not heard.ended
        event = json.loads(data)
        if "error" in event:
            heard.failure = event["error"]
            return heard
        heard.text += event.get("token", "")
        heard.ended = event.get("done", False)
    assert event["full_text"] == heard.text
    speech = await backend.client.post("/api/tts", json={"text": heard.text, "format": "pcm"})
    heard.pieces = [np.frombuffer(speech.content, "<i2")]
    return heard


def socket_url(backend: Backend) -> str:
    return backend.url.replace("http", "ws", 1) + "/ws"


async def send(socket: ClientConnection, kind: str, data: Any = None) -> None:
    await socket.send(json.dumps({"type": kind, **({} if data is None else {"data": data})}))


async def door_d(backend: Backend, message: str) -> Heard:
    heard = Heard()
    async with connect(socket_url(backend), proxy=None) as socket:
        await send(socket, "user_message", {"text": message})
        position = (0, 0)
        while not heard.ended and not heard.failure:
            event = json.loads(await socket.recv())
            match event["type"]:
                case "text_chunk":
                    heard.text += event["text"]
                case "audio_chunk_meta":
                    at = (event["sentence_index"], event["chunk_index"])
                    assert at in (position, (position[0] + 1, 0)), "chunks come in order"
                    position = (at[0], at[1] + 1)
                    binary = await socket.recv()
                    assert isinstance(binary, bytes)
                    heard.pieces.append(np.frombuffer(binary, "<i2"))
                case "audio_stream_start":
                    assert event["sample_rate"] == 24_000
                case "audio_complete":
                    heard.ended = True
                case "error":
                    heard.failure = event["message"]
    return heard


async def completions(backend: Backend, message: str) -> Heard:
    heard = Heard()
    body = {
        "model": "default",
        "stream": True,
        "messages": [{"role": "user", "content": message}],
    }
    async for _, data in events(backend, "/v1/chat/completions", body):
        assert not heard.ended
        if data == "[DONE]":
            heard.ended = not heard.failure
            continue
        event = json.loads(data)
        if "error" in event:
            heard.failure = event["error"]["message"]
        else:
            heard.text += event["choices"][0]["delta"].get("content", "")
    return heard


async def completions_whole(backend: Backend, message: str) -> Heard:
    body = {"model": "default", "messages": [{"role": "user", "content": message}]}
    response = await backend.client.post("/v1/chat/completions", json=body)
    answer = response.json()
    if response.status_code != 200:
        return Heard(failure=answer["error"]["message"])
    return Heard(answer["choices"][0]["message"]["content"], [], True)


Door = Callable[[Backend, str], Awaitable[Heard]]
SPEAKING: dict[str, Door] = {
    "A": door_a,
    "A in chunks": door_a_in_chunks,
    "B": door_b,
    "B whole": door_b_whole,
    "C": door_c,
    "D": door_d,
}
DOORS: dict[str, Door] = {
    **SPEAKING,
    "completions": completions,
    "completions whole": completions_whole,
}
