"""What clients get wrong: a 4xx that names it, an `error` message, or a close code; never a 500."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Callable
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from flow_backend.doors import voice_socket
from flow_backend.llm.scripted import Reply
from speech.chunk import SpeechChunk
from tests.integration.backend_server import Backend, serve_backend
from tests.integration.doors import TellingTTS, door_d, send, socket_url

BODIES: dict[str, dict[str, Any]] = {
    "/api/stream": {"prompt": "x"},
    "/api/chat": {"message": "x"},
    "/api/chat/stream": {"message": "x"},
    "/chat/stream": {
        "conversation_id": "c",
        "user_message": "x",
        "language": "Spanish",
        "difficulty_level": "A1",
    },
    "/api/tts": {"text": "x"},
}
TEXTS = {
    "/api/stream": "prompt",
    "/api/chat": "message",
    "/api/chat/stream": "message",
    "/chat/stream": "user_message",
    "/api/tts": "text",
}
JSON = {"Content-Type": "application/json"}
REPLIES = [Reply(say="Hi there.", times=None)]


def quiet(backend: Backend) -> None:
    backend.app.state.voices._made["piper"] = TellingTTS()


@pytest.mark.parametrize("path", BODIES)
async def test_bodies_that_are_wrong_are_named(path: str) -> None:
    async with serve_backend(REPLIES, max_request_bytes=200_000) as backend:
        quiet(backend)
        post = backend.client.post
        unknown = await post(path, json={**BODIES[path], "mood": 1})
        assert (unknown.status_code, unknown.json()["path"]) == (422, "mood")
        wrong = await post(path, json={**BODIES[path], TEXTS[path]: [1]})
        assert (wrong.status_code, wrong.json()["path"]) == (422, TEXTS[path])
        giant = await post(path, json={**BODIES[path], TEXTS[path]: "x" * 100_001})
        assert (giant.status_code, giant.json()["path"]) == (422, TEXTS[path])
        for text in ("", "  \n"):
            empty = await post(path, json={**BODIES[path], TEXTS[path]: text})
            assert 400 <= empty.status_code < 500
        for raw in (b"", b"{", b"[]", b'"x"', b"null", b'{"prompt": "\xff\xfe"}', b"[" * 50_000):
            bad = await post(path, content=raw, headers=JSON)
            assert 400 <= bad.status_code < 500, raw[:20]
        lone = await post(
            path, content=json.dumps({**BODIES[path], TEXTS[path]: "\ud800"}), headers=JSON
        )
        assert 400 <= lone.status_code < 500
        large = await post(path, content=b" " * 300_000, headers=JSON)
        assert large.status_code == 413


async def test_openais_clients_read_every_refusal() -> None:
    async with serve_backend(REPLIES, door_rate_limit="4/minute", max_request_bytes=5000) as door:
        url = "/v1/chat/completions"
        message = {"role": "user", "content": "Hello?"}
        no_words = {**message, "role": "assistant"}
        for status, code, param, body in (
            (422, "request_invalid", "messages", {"model": "default"}),
            (422, "request_invalid", "messages", {"model": "default", "messages": [no_words]}),
            (404, "flow_not_found", None, {"model": "x", "messages": [message]}),
            (413, "message_too_large", None, {"model": "x" * 6000, "messages": [message]}),
        ):
            answer = await door.client.post(url, json=body)
            error = answer.json()["error"]
            assert (answer.status_code, error["code"], error["param"]) == (status, code, param)
            assert error["message"]
        limited = [await door.client.post(url, json={"model": "default"}) for _ in range(5)][-1]
        assert (limited.status_code, limited.json()["error"]["code"]) == (429, "rate_limited")
        assert limited.headers["Retry-After"]


async def test_what_there_is_none_of_is_named() -> None:
    async with serve_backend(REPLIES) as backend:
        for body, names in (
            ({"prompt": "x", "ttsProvider": "nobody"}, "piper"),
            ({"prompt": "x", "ttsProvider": "elevenlabs"}, "ELEVENLABS_API_KEY"),
        ):
            response = await backend.client.post("/api/stream", json=body)
            assert response.status_code == 400
            assert names in response.json()["error"]
        missing = await backend.client.post("/api/stream", json={})
        assert (missing.status_code, missing.json()) == (400, {"error": "Prompt is required"})


async def answer_to(socket: ClientConnection, message: str | bytes) -> dict[str, Any]:
    await socket.send(message)
    answer: dict[str, Any] = json.loads(await socket.recv())
    return answer


async def test_wrong_messages_on_the_socket_are_answered_and_it_goes_on() -> None:
    async with serve_backend(REPLIES) as backend:
        quiet(backend)
        async with connect(socket_url(backend), proxy=None) as socket:
            for message, names in (
                ("{", "message"),
                ("[]", "message"),
                ('{"type": "sing"}', "type"),
                ('{"type": "user_message"}', "data"),
                ('{"type": "user_message", "data": {"text": 5}}', "data.text"),
                ('{"type": "user_message", "data": {"text": "a", "mood": 1}}', "data.mood"),
                ('{"type": "user_message", "data": {"text": " "}}', "empty"),
                ('{"type": "start_listening", "data": {"sample_rate": 1}}', "sample_rate"),
                ('{"type": "model_settings", "data": {"temperature": 9}}', "temperature"),
                ('{"type": "set_characters", "data": [{"id": "a"}]}', "name"),
                (b"\0\0", "start_listening"),
            ):
                answer = await answer_to(socket, message)
                assert answer["type"] == "error", message
                assert names in answer["message"], answer
            await send(socket, "start_listening")
            assert "pairs" in (await answer_to(socket, b"\0\0\0"))["message"]
            await send(socket, "stop_listening")
            await send(socket, "stop_listening")
            await send(socket, "interrupt")
            await socket.send(b"\0\0")
            # What was being said is transcribed beside the answers to what is wrong.
            answers = [json.loads(await socket.recv()) for _ in range(2)]
            [finished, refused] = sorted(answers, key=lambda answer: answer["type"], reverse=True)
            assert finished == {"type": "stt_finished", "text": ""}
            assert "start_listening" in refused["message"]
            await send(socket, "user_message", {"text": "Hello"})
            assert json.loads(await socket.recv())["type"] == "text_stream_start"


@pytest.mark.parametrize("message", ["x" * 300_000, b"\0" * 300_000])
async def test_a_frame_that_is_too_large_closes_with_1009(message: str | bytes) -> None:
    async with serve_backend(REPLIES) as backend:
        async with connect(socket_url(backend), proxy=None) as socket:
            await socket.send(message)
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009
        assert "256" in closed.value.rcvd.reason or "262144" in closed.value.rcvd.reason


async def test_a_client_that_never_reads_is_closed_and_costs_little(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(voice_socket, "SEND_TIMEOUT_S", 0.3)

    # Compression finds nothing in noise.
    noise = np.random.default_rng(1).integers(-30_000, 30_000, 24_000, np.int16)

    class Endless(TellingTTS):
        def __init__(self) -> None:
            self.made_bytes = 0
            self.closed = asyncio.Event()

        async def stream(self, text: str, **more: Any) -> AsyncGenerator[SpeechChunk, None]:
            try:
                while True:
                    self.made_bytes += 48_000
                    yield SpeechChunk(noise, 24_000, (), False)
            finally:
                self.closed.set()

    async with serve_backend([Reply(say="One. Two.", times=None)]) as backend:
        voice = backend.app.state.voices._made["piper"] = Endless()
        async with connect(socket_url(backend), proxy=None, max_queue=1) as socket:
            await send(socket, "user_message", {"text": "Go on"})
            async with asyncio.timeout(10):
                await voice.closed.wait()
            # What the sockets of both sides hold.
            assert voice.made_bytes < 40_000_000
            while socket.close_code is None:
                with contextlib.suppress(ConnectionClosed):
                    await socket.recv()
        assert socket.close_code == 1011
        assert "read nothing" in (socket.close_reason or "")


async def test_many_connections_are_taken_and_then_limited() -> None:
    async with serve_backend(REPLIES, door_rate_limit="100/minute", max_sockets=1000) as backend:

        async def once() -> int:
            try:
                async with connect(socket_url(backend), proxy=None):
                    return 101
            except InvalidStatus as error:
                waits_s.append(int(error.response.headers["Retry-After"]))
                return error.response.status_code

        waits_s: list[int] = []
        found: list[int] = []
        for _ in range(5):
            found += await asyncio.gather(*(once() for _ in range(40)))
        assert min(waits_s) >= 1
        assert found.count(101) == 100
        assert found.count(429) == 100
        assert (await backend.client.get("/healthz")).status_code == 200


UPGRADE = (
    "GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(15):
        while not condition():  # noqa: ASYNC110 - the kernel tells of closed sockets by no event
            await asyncio.sleep(0.01)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("limit", "accepted"), [("100/minute", 99), ("", 1000)], ids=["limited", "unlimited"]
)
async def test_a_storm_of_connections_is_answered_and_leaves_nothing(
    limit: str, accepted: int, caplog: pytest.LogCaptureFixture
) -> None:
    """1,000 connects as fast as they go, each of which leaves without a word."""
    async with serve_backend(REPLIES, door_rate_limit=limit, max_sockets=1000) as backend:
        quiet(backend)
        port = int(backend.url.rpartition(":")[2])
        at_once = asyncio.Semaphore(100)
        assert (await door_d(backend, "Hello?")).ended
        tasks = len(asyncio.all_tasks())
        descriptors = psutil.Process().num_fds()

        async def storm() -> int:
            async with at_once:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(UPGRADE.encode())
                status = int((await reader.readline()).split()[1])
                head = await reader.readuntil(b"\r\n\r\n")
                assert status == 101 or b"retry-after" in head.lower()
                writer.transport.abort()
                return status

        found = await asyncio.gather(*(storm() for _ in range(1000)))
        assert set(found) <= {101, 429}
        # One connection was made before, and the limit's window slides on.
        assert accepted <= found.count(101) <= accepted + 20
        await until(lambda: len(asyncio.all_tasks()) <= tasks)
        await until(lambda: psutil.Process().num_fds() <= descriptors)
        assert (await backend.client.get("/healthz")).status_code == 200
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


messages = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=200),
    st.fixed_dictionaries(
        {
            "type": st.sampled_from(
                [
                    "user_message",
                    "start_listening",
                    "stop_listening",
                    "model_settings",
                    "set_characters",
                    "interrupt",
                    "x",
                ]
            )
        },
        optional={
            "data": st.recursive(
                st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
                lambda inner: (
                    st.lists(inner, max_size=3)
                    | st.dictionaries(
                        st.sampled_from(["text", "id", "name", "sample_rate", "model", "voice"]),
                        inner,
                        max_size=3,
                    )
                ),
                max_leaves=8,
            )
        },
    ).map(json.dumps),
)


async def test_no_messages_break_the_socket() -> None:
    async with serve_backend(REPLIES, door_rate_limit="") as backend:
        quiet(backend)

        async def play(script: list[str | bytes]) -> None:
            async with connect(socket_url(backend), proxy=None) as socket:
                for message in script:
                    await socket.send(message)
                await send(socket, "set_characters", [])
                await send(socket, "user_message", {"text": "Still there?"})
                while json.loads(_text(await socket.recv()))["type"] != "audio_complete":
                    pass

        scripts: list[list[str | bytes]] = []

        @settings(
            max_examples=40,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(st.lists(messages, max_size=5))
        def collect(script: list[str | bytes]) -> None:
            scripts.append(script)

        collect()
        for script in scripts:
            async with asyncio.timeout(10):
                await play(script)


def _text(frame: str | bytes) -> str:
    return frame if isinstance(frame, str) else '{"type": "binary"}'


PATHS = (
    "/api/stream",
    "/api/chat",
    "/api/chat/stream",
    "/chat/stream",
    "/conversations",
    "/conversations/{conversation_id}",
    "/conversations/{conversation_id}/vocabulary",
    "/api/tts",
    "/v1/chat/completions",
    "/v1/models",
    "/api/token",
    "/api/providers",
)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("path", PATHS)
async def test_nothing_that_the_description_allows_or_forbids_is_a_500(path: str) -> None:
    import schemathesis
    from schemathesis import GenerationMode

    async with serve_backend(
        REPLIES,
        door_rate_limit="",
        livekit_url="ws://127.0.0.1:1",
        livekit_api_key="devkey",
        livekit_api_secret="x" * 32,
    ) as backend:
        quiet(backend)
        schema = schemathesis.openapi.from_dict(backend.app.openapi())
        schema.config.generation.update(modes=[GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
        found = 0
        requests: list[dict[str, Any]] = []
        for method in schema[path]:
            operation = schema[path][method]

            @settings(
                max_examples=25,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy())
            def collect(case: Any) -> None:
                requests.append(case.as_transport_kwargs(base_url=backend.url))

            collect()
        for request in requests:
            request = {
                k: v
                for k, v in request.items()
                if k in ("method", "url", "params", "headers", "json", "data", "content")
            }
            if "data" in request:
                request["content"] = request.pop("data")
            try:
                response = await backend.client.request(**request)
            except (
                httpx.InvalidURL,
                httpx.LocalProtocolError,
                UnicodeError,
                TypeError,
                ValueError,
            ):
                continue
            found += 1
            assert response.status_code < 500, (request, response.text)
        assert found


async def test_after_all_this_the_socket_still_answers() -> None:
    async with serve_backend(REPLIES) as backend:
        quiet(backend)
        assert (await door_d(backend, "Hello?")).ended
