"""What is beyond the backend's places is refused at once, and what runs goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from flow_backend.access.admission import (
    SOCKETS_PER_CORE,
    SPOKEN_PER_CORE,
    STREAMS_PER_CORE,
    Admission,
)
from flow_backend.llm.base import Delta, GenerationParams, LLMProvider, Message, TextDelta
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


def test_the_places_follow_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    admission = Admission()
    places = (admission.streams.most, admission.spoken.most, admission.sockets.most)
    assert places == (4 * STREAMS_PER_CORE, 4 * SPOKEN_PER_CORE, 4 * SOCKETS_PER_CORE)
