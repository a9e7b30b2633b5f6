"""Chains by setting, at the doors: models, voices and transcribers that fail hand over."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect

from flow_backend.app import create_app
from flow_backend.settings import BackendSettings
from speech.audio import to_int16
from tests.integration.backend_server import Backend, serve_app
from tests.integration.doors import (
    DOORS,
    SPEAKING,
    TellingTTS,
    send,
    socket_url,
    told,
)
from tests.integration.spoken import first_phrases
from tests.wire import Reply, Request, wire_server

ANSWER = "The tides follow the moon. High water comes twice a day. The sun helps a little."


class Hosted:
    """OpenAI's speech, transcription and chat, each of which may be down."""

    def __init__(self) -> None:
        self.down: set[str] = set()
        self.fails_at = "nothing"
        """Speech that cannot be made."""
        self.asked: list[str] = []

    async def handle(self, request: Request, reply: Reply) -> None:
        kind = request.path.rpartition("/")[2]
        self.asked.append(kind)
        if kind in self.down or (kind == "speech" and self.fails_at in request.json()["input"]):
            await reply.json({"error": {"message": "down"}}, 500)
        elif kind == "speech":
            codes = np.array([ord(c) for c in request.json()["input"]], "<i2")
            await reply.whole(codes.tobytes(), content_type="audio/pcm")
        elif kind == "transcriptions":
            await reply.json({"text": "And the moon?"})
        else:
            await reply.head(content_type="text/event-stream")
            for delta in ({"content": ANSWER}, {}):
                choice = {"index": 0, "delta": delta, "finish_reason": None if delta else "stop"}
                await reply.send(f"data: {json.dumps({'choices': [choice]})}\n\n".encode())
            await reply.send(b"data: [DONE]\n\n")
            await reply.end()


@asynccontextmanager
async def serving(hosted: Hosted, folder: Any, **settings: Any) -> AsyncIterator[Backend]:
    """A backend whose openai and local models are at `hosted`, and whose piper tells."""
    async with wire_server(hosted.handle) as wire:
        made = BackendSettings(
            _env_file=None,
            database_url=f"sqlite:///{folder}/parley.db",
            openai_base_url=f"{wire.url}/v1",
            local_llm_url=f"{wire.url}/local",
            local_llm_model="big-model",
            llm_retries=0,
            **settings,
        )
        app = create_app(made)
        async with serve_app(app) as url, httpx.AsyncClient(base_url=url, timeout=10) as client:
            app.state.voices._made["piper"] = TellingTTS()
            yield Backend(app, url, client, None)


@pytest.mark.parametrize("name", SPEAKING)
async def test_the_next_voice_goes_on_from_the_sentence_that_failed(
    name: str, tmp_path: Any
) -> None:
    hosted = Hosted()
    hosted.fails_at = "twice"
    async with serving(hosted, tmp_path, llm="local", tts="openai,piper") as backend:
        heard = await SPEAKING[name](backend, "Tell me about the tides.")
        assert heard.ended
        assert told(heard.samples) == "".join(ANSWER.split())
        assert "speech" in hosted.asked


@pytest.mark.parametrize("name", DOORS)
async def test_the_next_model_answers(name: str, tmp_path: Any) -> None:
    hosted = Hosted()
    async with serving(hosted, tmp_path, llm="ollama,local", ollama_url="http://127.0.0.1:9") as b:
        heard = await DOORS[name](b, "Tell me about the tides.")
        assert (heard.text, heard.ended, heard.failure) == (ANSWER, True, "")


async def next_of(socket: ClientConnection, *kinds: str) -> dict[str, Any]:
    while True:
        frame = await socket.recv()
        if isinstance(frame, str) and (message := json.loads(frame))["type"] in kinds:
            return dict(message)


async def say(socket: ClientConnection) -> None:
    await send(socket, "start_listening")
    speech = to_int16(first_phrases()).astype("<i2")
    for start in range(0, speech.size, 1600):
        await socket.send(speech[start : start + 1600].tobytes())
    await send(socket, "stop_listening")


async def test_the_socket_hears_with_the_transcriber_that_is_set(tmp_path: Any) -> None:
    hosted = Hosted()
    async with (
        serving(hosted, tmp_path, llm="local", stt="deepgram/nova-3,openai") as backend,
        connect(socket_url(backend), proxy=None) as socket,
    ):
        await say(socket)
        assert (await next_of(socket, "stt_finished", "error"))["text"] == "And the moon?"
        await next_of(socket, "audio_complete")
        # A failure is told, and the next words are heard.
        hosted.down = {"transcriptions"}
        await say(socket)
        failed = await next_of(socket, "stt_finished", "error")
        assert failed["code"] == "provider_unavailable"
        hosted.down.clear()
        await say(socket)
        assert (await next_of(socket, "stt_finished"))["text"] == "And the moon?"


async def test_the_next_transcriber_hears_the_same_words(tmp_path: Any) -> None:
    hosted = Hosted()
    hosted.down = {"transcriptions"}
    async with (
        serving(hosted, tmp_path, llm="local", stt="openai,moonshine") as backend,
        connect(socket_url(backend), proxy=None) as socket,
    ):
        await say(socket)
        assert "tried" in (await next_of(socket, "stt_finished", "error"))["text"].lower()
        assert "transcriptions" in hosted.asked


async def test_a_transcriber_that_is_not_set_up_is_told(tmp_path: Any) -> None:
    async with (
        serving(Hosted(), tmp_path, llm="local", stt="wyoming") as backend,
        connect(socket_url(backend), proxy=None) as socket,
    ):
        await send(socket, "start_listening")
        assert "WYOMING_STT_URI" in (await next_of(socket, "error"))["message"]
        await send(socket, "user_message", {"text": "Hello"})
        await next_of(socket, "audio_complete")
