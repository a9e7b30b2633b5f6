"""What is beyond the backend's places is refused at once, and what runs goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from flow_backend.access.admission import (
    SOCKETS_PER_CORE,
    SPOKEN_PER_CORE,
    STREAMS_PER_CORE,
    Admission,
)
from flow_backend.api.errors import close_reason
from flow_backend.llm.base import Delta, GenerationParams, LLMProvider, Message, TextDelta
from flow_backend.server import SERVER_OPTIONS, SILENT_S, SOCKET_PING_S
from tests.integration.backend_server import Backend, serve_backend, text_of
from tests.integration.doors import TellingTTS
from tests.integration.test_voice_socket import speak_with

STREAMED: list[tuple[str, str, Any]] = [
    ("GET", "/api/flows/default/stream/s2?input=go", None),
    ("POST", "/chat/stream", {"message": "Hola"}),
    (
        "POST",
        "/v1/chat/completions",
        {"model": "default", "messages": [{"role": "user", "content": "go"}]},
    ),
]
SPOKEN: list[tuple[str, str, Any]] = [
    ("POST", "/api/stream", {"prompt": "go"}),
    ("POST", "/api/chat", {"message": "go"}),
    ("POST", "/api/chat/stream", {"message": "go"}),
    ("POST", "/api/tts", {"text": "Hello."}),
]


class HeldModel(LLMProvider):
    """Says one word, and the other when it is let."""

    name = "held"

    def __init__(self) -> None:
        self.let = asyncio.Event()

    async def models(self) -> list[str]:
        return []

    async def stream(
        self, messages: list[Message], params: GenerationParams
    ) -> AsyncGenerator[Delta, None]:
        yield TextDelta("one")
        await self.let.wait()
        yield TextDelta(" two.")


async def refused(backend: Backend, method: str, path: str, body: Any) -> None:
    answer = await backend.client.request(method, path, json=body)
    assert answer.status_code == 503, answer.text
    told = answer.json()
    # Under /v1 it has OpenAI's form.
    assert told.get("error", told)["code"] == "overloaded"
    assert int(answer.headers["Retry-After"]) >= 1


async def test_streams_beyond_the_places_are_refused_and_running_ones_go_on() -> None:
    model = HeldModel()
    async with (
        serve_backend(model, max_streams=1) as backend,
        backend.open_turn("s", "go", "t", flow="default") as events,
    ):
        seen = [await anext(events)]
        for method, path, body in STREAMED:
            await refused(backend, method, path, body)
        opened = await backend.client.post("/api/flows/default/sessions", json={})
        assert opened.status_code == 201
        session = opened.json()["session_id"]
        await refused(
            backend, "POST", f"/api/flows/default/sessions/{session}/turns", {"input": "go"}
        )
        # What belongs to a turn that runs needs no place.
        async with backend.client.stream(
            "GET", "/api/flows/default/sessions/s/turns/t/events"
        ) as again:
            assert again.status_code == 200
            assert (await backend.call("s", "t", "commit", flow="default")).status_code == 204
            model.let.set()
            seen += [event async for event in events]
            await again.aread()
        assert text_of(seen) == "one two."
        assert text_of(await backend.turn("s", "go", "t2", flow="default")) == "one two."


async def test_speech_and_sockets_have_places_of_their_own() -> None:
    model = HeldModel()
    async with serve_backend(model, max_streams=1, max_spoken=1, max_sockets=1) as backend:
        speak_with(backend, TellingTTS())
        url = f"{backend.url.replace('http', 'ws')}/ws"
        async with backend.client.stream("POST", "/api/stream", json={"prompt": "go"}) as running:
            assert running.status_code == 200
            for method, path, body in SPOKEN:
                await refused(backend, method, path, body)
            async with connect(url, proxy=None):
                with pytest.raises(InvalidStatus) as caught:
                    await connect(url, proxy=None)
                assert caught.value.response.status_code == 503
                assert int(caught.value.response.headers["Retry-After"]) >= 1
                shown = (await backend.client.get("/metrics")).text
                for kind in ("spoken", "sockets"):
                    assert f'parley_places_taken{{kind="{kind}"}} 1.0' in shown
                    assert f'parley_places{{kind="{kind}"}} 1.0' in shown
            model.let.set()
            await running.aread()
        assert text_of(await backend.turn("s", "go", flow="default")) == "one two."
        # A place is free once the backend has seen that its client is gone.
        admission = backend.app.state.admission
        while admission.spoken.taken or admission.sockets.taken:  # noqa: ASYNC110 - seen by no event
            await asyncio.sleep(0.01)
        answer = await backend.client.post("/api/tts", json={"text": "Hello."})
        assert answer.status_code == 200


async def closed_page(backend: Backend, **more: Any) -> ConnectionClosed:
    """What a page is told whose call is not taken."""
    url = f"{backend.url.replace('http', 'ws')}/ws"
    async with connect(url, origin=backend.url, proxy=None, **more) as socket:  # type: ignore[arg-type] # any text
        with pytest.raises(ConnectionClosed) as caught:
            await socket.recv()
        return caught.value


@pytest.mark.parametrize("setting", ["max_sockets", "address_concurrency"])
async def test_a_page_is_told_why_its_call_is_not_taken(setting: str) -> None:
    """Browsers hide the answer to a handshake: a close frame tells."""
    async with (
        serve_backend(HeldModel(), **{setting: 1}) as backend,
        connect(f"{backend.url.replace('http', 'ws')}/ws", proxy=None),
    ):
        told = (await closed_page(backend)).rcvd
        assert told is not None
        assert told.code == 1013
        assert "Try again" in told.reason
        # A page fails without the subprotocol that it offered.
        offered = await closed_page(backend, subprotocols=["parley", "parley.key.none"])
        assert offered.rcvd == told


async def test_a_page_is_told_that_the_backend_stops() -> None:
    async with serve_backend(HeldModel()) as backend:
        backend.app.state.admission.draining = True
        told = (await closed_page(backend)).rcvd
        assert told is not None
        assert (told.code, "about to stop" in told.reason) == (1012, True)


def test_a_reason_fits_into_a_close_frame() -> None:
    assert close_reason("All places are taken.") == "All places are taken."
    assert close_reason("é" * 100) == "é" * 61


async def test_a_client_that_vanished_gives_its_place_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """It sends no FIN and answers no ping: the server asks, and then lets go."""
    monkeypatch.setitem(SERVER_OPTIONS, "ws_ping_interval", 0.2)
    monkeypatch.setitem(SERVER_OPTIONS, "ws_ping_timeout", 0.2)
    async with serve_backend(HeldModel(), max_sockets=1) as backend:
        host, _, port = backend.url.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            b"GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
            b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101"), head
        frames = await reader.read()
        ping, told = frames[:2], frames[6:]
        assert ping == b"\x89\x04"
        assert (told[0], int.from_bytes(told[2:4])) == (0x88, 1011)
        admission = backend.app.state.admission
        while admission.sockets.taken:  # noqa: ASYNC110 - seen by no event
            await asyncio.sleep(0.01)
        async with connect(f"{backend.url.replace('http', 'ws')}/ws", proxy=None):
            pass
        writer.transport.abort()


def test_clients_are_asked_more_often_than_the_kernel_gives_up() -> None:
    assert SERVER_OPTIONS["ws_ping_interval"] == SERVER_OPTIONS["ws_ping_timeout"] == SOCKET_PING_S
    assert 2 * SOCKET_PING_S < SILENT_S


def test_the_places_follow_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    admission = Admission()
    places = (admission.streams.most, admission.spoken.most, admission.sockets.most)
    assert places == (4 * STREAMS_PER_CORE, 4 * SPOKEN_PER_CORE, 4 * SOCKETS_PER_CORE)
