"""Every door gives the same text, the same speech in the same order, and the same end."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from flow_backend.llm.base import LLMProvider
from flow_backend.llm.openai import OpenAIProvider
from flow_backend.llm.scripted import Reply
from flow_backend.llm.timing import TimeLimits
from tests.integration.backend_server import Backend, serve_backend
from tests.integration.doors import (
    DOORS,
    SPEAKING,
    TellingTTS,
    door_b,
    events,
    told,
)
from tests.wire import Reply as WireReply
from tests.wire import Request, wire_server

ANSWER = (
    "The tides follow the moon. High water comes twice a day, as Dr. Smith will tell you at 3.5 "
    "metres!\n\nIs there more? Of course: the sun helps too, “a little”, she said. Näive öäü — 潮。"
)
BESIDE = [
    Reply(purpose=purpose, times=None, json={"corrections": [], "words": []})
    for purpose in ("corrections", "vocabulary")
] + [Reply(purpose=purpose, times=None, say="ok") for purpose in ("warm", "summary")]


def tell(backend: Backend) -> None:
    """Lets the backend speak with the voice whose sound can be read."""
    backend.app.state.voices._made["piper"] = TellingTTS()


@pytest.mark.parametrize("name", DOORS)
async def test_every_door_says_the_same(name: str) -> None:
    replies = [Reply(purpose="speak", say=ANSWER, times=None, delay_s=0.002), *BESIDE]
    async with serve_backend(replies) as backend:
        tell(backend)
        heard = await DOORS[name](backend, "Tell me about the tides.")
        assert heard.text == ANSWER
        assert heard.ended
        assert heard.failure == ""
        if name in SPEAKING:
            assert told(heard.samples) == "".join(ANSWER.split())


async def test_every_door_speaks_with_piper_for_about_as_long() -> None:
    text = "The tides follow the moon. High water comes twice a day."
    replies = [Reply(purpose="speak", say=text, times=None), *BESIDE]
    async with serve_backend(replies) as backend:
        lengths_s = {}
        for name, door in SPEAKING.items():
            heard = await door(backend, "Tell me about the tides.")
            assert heard.text == text
            assert abs(heard.samples).max() > 3000
            lengths_s[name] = heard.samples.size / 24_000
        assert max(lengths_s.values()) < 1.3 * min(lengths_s.values()), lengths_s
        assert min(lengths_s.values()) > 2.0


@pytest.mark.parametrize("name", DOORS)
async def test_a_model_that_fails_at_once_is_told(name: str) -> None:
    replies = [Reply(purpose="speak", error="provider_unavailable", times=None), *BESIDE]
    async with serve_backend(replies) as backend:
        tell(backend)
        heard = await DOORS[name](backend, "Hello?")
        assert heard.failure
        assert not heard.ended
        assert heard.text == ""


@pytest.mark.parametrize("name", DOORS)
async def test_a_model_that_fails_midway_is_told_behind_its_text(name: str) -> None:
    failing = Reply(purpose="speak", say="One. Two. ", error="provider_timeout", times=None)
    async with serve_backend([failing, *BESIDE]) as backend:
        tell(backend)
        heard = await DOORS[name](backend, "Hello?")
        assert heard.failure
        assert not heard.ended


class OpenStreams:
    """A model server that starts an answer and waits for its client to leave."""

    def __init__(self) -> None:
        self.answering = asyncio.Event()
        self.left_at = 0.0
        self.left = asyncio.Event()

    async def handle(self, request: Request, reply: WireReply) -> None:
        body = request.json()
        if not body.get("stream") or "JSON" in body["messages"][0]["content"]:
            chunk = {"choices": [{"index": 0, "delta": {"content": "{}"}, "finish_reason": "stop"}]}
            await reply.head(content_type="text/event-stream")
            await reply.send(f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n".encode())
            await reply.end()
            return
        await reply.head(content_type="text/event-stream")
        for word in ("The ", "tides ", "follow ", "the ", "moon. ", "And "):
            chunk = {"choices": [{"index": 0, "delta": {"content": word}}]}
            await reply.send(f"data: {json.dumps(chunk)}\n\n".encode())
        self.answering.set()
        await reply.gone.wait()
        self.left_at = time.monotonic()
        self.left.set()


def provider_at(url: str) -> LLMProvider:
    return OpenAIProvider(
        name="openai",
        base_url=f"{url}/v1",
        api_key="key",
        key_variable=None,
        model="m",
        limits=TimeLimits(),
    )


@pytest.mark.parametrize("name", DOORS)
async def test_leaving_closes_the_models_connection(name: str) -> None:
    """Within 100 ms, as the provider sees it; a busy machine gets further tries."""
    delays_s = []
    for _ in range(5):
        server = OpenStreams()
        async with wire_server(server.handle) as wire, serve_backend(provider_at(wire.url)) as door:
            tell(door)
            client = asyncio.create_task(_run(name, door))
            await server.answering.wait()
            left_at = time.monotonic()
            client.cancel()
            await asyncio.gather(client, return_exceptions=True)
            await asyncio.wait_for(server.left.wait(), 2)
            delays_s.append(server.left_at - left_at)
            await door.provider.aclose()
        if delays_s[-1] < 0.1:
            return
    pytest.fail(f"closed after {delays_s} s")


async def _run(name: str, backend: Backend) -> None:
    await DOORS[name](backend, "Tell me about the tides.")


async def test_leaving_before_the_first_sound_stops_the_voice() -> None:
    class Silent(TellingTTS):
        def __init__(self) -> None:
            self.asked, self.closed = asyncio.Event(), asyncio.Event()

        async def stream(self, text: str, **more: Any) -> Any:
            self.asked.set()
            try:
                await asyncio.Event().wait()
                yield
            finally:
                self.closed.set()

    async with serve_backend() as backend:
        voice = backend.app.state.voices._made["piper"] = Silent()
        client = asyncio.create_task(backend.client.post("/api/tts", json={"text": "Hello."}))
        await voice.asked.wait()
        client.cancel()
        await asyncio.wait_for(voice.closed.wait(), 2)


async def test_a_voice_that_stalls_ends_the_stream_with_an_error() -> None:
    class Silent(TellingTTS):
        async def stream(self, text: str, **more: Any) -> Any:
            await asyncio.Event().wait()
            yield

    async with serve_backend(
        [Reply(say="One. Two.", times=None)], chat_audio_stall_s=0.2
    ) as backend:
        backend.app.state.voices._made["piper"] = Silent()
        heard = await door_b(backend, "Hello?")
        assert heard.text == "One. Two."
        assert "No audio came for 0.2 s" in heard.failure
        assert not heard.ended


async def test_a_piece_that_cannot_be_spoken_does_not_stop_the_others() -> None:
    from protocol.errors import ProviderError

    class Failing(TellingTTS):
        async def stream(self, text: str, **more: Any) -> Any:
            if "Two" in text:
                raise ProviderError("provider_refused", "no such voice")
            async for chunk in super().stream(text):
                yield chunk

    long = "One is a number that stands quite alone. " * 3
    async with serve_backend([Reply(say=f"{long}Two. {long}", times=None)]) as backend:
        backend.app.state.voices._made["piper"] = Failing()
        kinds = [
            json.loads(data) async for _, data in events(backend, "/api/stream", {"prompt": "x"})
        ]
        failed = {event["playSequence"] for event in kinds if event["type"] == "tts_error"}
        whole = {event["playSequence"] for event in kinds if event["type"] == "audio_complete"}
        [total] = [e["totalSequences"] for e in kinds if e["type"] == "tts_total"]
        assert failed
        assert failed | whole == set(range(total))
        assert kinds[-1]["type"] == "done"


async def test_a_session_goes_on_through_door_b() -> None:
    async with serve_backend([Reply(say="Hi.", times=None)]) as backend:
        tell(backend)
        for message in ("My name is Ada.", "What is my name?"):
            body = {"message": message, "session_id": "s1"}
            response = await backend.client.post("/api/chat", json=body)
            assert response.status_code == 200
        prompt, _ = backend.provider.requests[-1]
        assert [m.content for m in prompt if m.role != "system"] == [
            "My name is Ada.",
            "Hi.",
            "What is my name?",
        ]


@pytest.mark.parametrize(
    ("path", "body", "origin", "granted"),
    [
        ("/api/stream", {"prompt": "x"}, "http://localhost:5173", True),
        ("/api/stream", {"prompt": "x"}, "https://evil.example", False),
        ("/api/chat/stream", {"message": "x"}, "https://app.example", True),
        ("/chat/stream", {}, "https://app.example", True),
    ],
)
async def test_origins(path: str, body: dict[str, Any], origin: str, granted: bool) -> None:
    async with serve_backend(["Hi."], cors_origins="https://app.example") as backend:
        tell(backend)
        headers = {"Origin": origin}
        asked = await backend.client.options(
            path, headers={**headers, "Access-Control-Request-Method": "POST"}
        )
        assert asked.status_code == 204
        assert "POST" in asked.headers["access-control-allow-methods"]
        answered = await backend.client.post(path, json=body, headers=headers)
        for response in (asked, answered):
            allowed = response.headers.get("access-control-allow-origin")
            assert allowed == (origin if granted else None)


async def test_options_is_answered_without_an_origin() -> None:
    async with serve_backend() as backend:
        response = await backend.client.options("/api/stream")
        assert response.status_code == 204
        assert "POST" in response.headers["access-control-allow-methods"]
        assert "access-control-allow-origin" not in response.headers
