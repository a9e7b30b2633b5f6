"""What OpenAPI says of door D is what door D says."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest
from websockets.asyncio.client import connect

from flow_backend.doors.voice_messages import (
    CLIENT_EXAMPLES,
    SERVER_EXAMPLES,
    ClientMessage,
    client_message,
)
from flow_backend.llm.scripted import Reply
from speech.audio import to_int16
from tests.integration.backend_server import serve_backend
from tests.integration.doors import TellingTTS, send, socket_url
from tests.integration.spoken import first_phrases

DOCUMENTED = {example["type"]: set(example) for example, _ in SERVER_EXAMPLES}


def test_each_message_of_clients_has_an_example() -> None:
    examples = [client_message.validate_python(example) for example in CLIENT_EXAMPLES]
    kinds = get_args(get_args(ClientMessage)[0])
    assert {type(example) for example in examples} == set(kinds)


async def test_every_message_of_the_server_is_described() -> None:
    seen: dict[str, set[str]] = {}
    async with serve_backend([Reply(say="The tides follow the moon.", times=None)]) as backend:
        backend.app.state.voices._made["piper"] = TellingTTS()
        url = f"{socket_url(backend)}?details=true&flow=default"
        async with connect(url, proxy=None) as socket:

            async def until(kind: str) -> None:
                while True:
                    frame = await socket.recv()
                    if isinstance(frame, str):
                        message: dict[str, Any] = json.loads(frame)
                        seen[message["type"]] = set(message)
                        if message["type"] == kind:
                            return

            await until("session")
            await send(socket, "sing")
            await until("error")
            await send(socket, "user_message", {"text": "Hello"})
            await until("audio_stream_start")
            await send(socket, "interrupt")
            await until("waterfall")
            await send(socket, "start_listening")
            speech = to_int16(first_phrases()).astype("<i2")
            for start in range(0, speech.size, 1600):
                await socket.send(speech[start : start + 1600].tobytes())
            await socket.send(bytes(32_000))
            await until("stt_finished")
            await until("audio_complete")
    assert seen == DOCUMENTED


async def test_openapi_describes_it() -> None:
    async with serve_backend() as backend:
        described = backend.app.openapi()["paths"]["/ws"]["get"]
        assert {"101", "426"} == set(described["responses"])
        told = described["x-websocket"]["server"]["examples"]
        assert [example["type"] for example in told] == list(DOCUMENTED)
        for example in (*told, *described["x-websocket"]["client"]["examples"]):
            assert json.dumps(example) in described["description"]
        plain = await backend.client.get("/ws")
        assert plain.status_code == 426
        assert "ws://" in plain.json()["message"]


@pytest.mark.parametrize("path", ["/api/stream", "/api/chat", "/api/chat/stream", "/chat/stream",
                                  "/api/tts", "/v1/chat/completions", "/api/token",
                                  "/conversations"])  # fmt: skip
async def test_openapi_has_an_example_of_each_door(path: str) -> None:
    async with serve_backend() as backend:
        document = backend.app.openapi()
        body = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        # A body that may be left out stands beside null.
        [reference, *_] = body["schema"].get("anyOf", [body["schema"]])
        name = reference["$ref"].rpartition("/")[2]
        schema = document["components"]["schemas"][name]
        fields = schema["properties"].values()
        assert schema.get("examples") or any(field.get("examples") for field in fields)
