"""Door D in conversation: characters, interruptions, and what was heard."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from flow_backend.llm.scripted import Reply
from protocol.errors import StreamError
from protocol.voice import server_message
from speech.audio import resample, to_int16
from speech.chunk import SpeechChunk, WordTiming
from tests.integration.backend_server import Backend, serve_backend
from tests.integration.doors import TellingTTS, send, socket_url
from tests.integration.spoken import first_phrases

ADA = {"id": "a", "name": "Ada", "voice": "ada-voice", "instructions": "You like numbers."}
BEN = {"id": "b", "name": "Ben", "voice": "ben-voice", "speed": 1.5}


class NotingTTS(TellingTTS):
    """Remembers the voices that it was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str | None, float]] = []

    async def stream(
        self, text: str, *, voice: str | None = None, speed: float = 1.0
    ) -> AsyncGenerator[SpeechChunk, None]:
        self.asked.append((voice, speed))
        async for chunk in super().stream(text):
            yield chunk


class SlowWordsTTS(TellingTTS):
    """Half a second for each word, sent at once."""

    async def stream(
        self, text: str, *, voice: str | None = None, speed: float = 1.0
    ) -> AsyncGenerator[SpeechChunk, None]:
        words, at = [], 0
        for number, word in enumerate(text.split()):
            at = text.index(word, at) + len(word)
            words.append(WordTiming(word, number / 2, number / 2 + 0.5, at - len(word), at))
        samples = np.zeros(12_000 * len(words), np.int16)
        yield SpeechChunk(samples, 24_000, tuple(words), True)


def speak_with(backend: Backend, voice: TellingTTS) -> None:
    backend.app.state.voices._made["piper"] = voice


async def receive(socket: ClientConnection) -> dict[str, Any]:
    """The next JSON message; audio is skipped."""
    while isinstance(frame := await socket.recv(), bytes):
        pass
    server_message.validate_json(frame)
    message: dict[str, Any] = json.loads(frame)
    return message


async def until(socket: ClientConnection, kind: str) -> dict[str, Any]:
    while (message := await receive(socket))["type"] != kind:
        assert message["type"] != "error", message
    return message


async def speakers(socket: ClientConnection, text: str, count: int) -> list[str]:
    await send(socket, "user_message", {"text": text})
    names = []
    for _ in range(count):
        names.append((await until(socket, "text_stream_start"))["character_name"])
        await until(socket, "audio_complete")
    return names


async def test_characters_answer_in_turn_and_a_named_one_alone() -> None:
    async with serve_backend([Reply(say="Well, yes.", times=None)]) as backend:
        voice = NotingTTS()
        speak_with(backend, voice)
        async with connect(socket_url(backend), proxy=None) as socket:
            await send(socket, "set_characters", [ADA, BEN])
            assert await speakers(socket, "Hello, both of you.", 2) == ["Ada", "Ben"]
            assert voice.asked == [("ada-voice", 1.0), ("ben-voice", 1.5)]
            # The second answer knew the first.
            prompt, _ = backend.provider.requests[-1]
            assert "Ada: Well, yes." in prompt[-1].content
            assert await speakers(socket, "And you, ben?", 1) == ["Ben"]
            assert await speakers(socket, "Ben, then Ada!", 2) == ["Ben", "Ada"]
            assert await speakers(socket, "A benefit for all?", 2) == ["Ada", "Ben"]


async def test_two_characters_of_one_id_are_refused() -> None:
    async with (
        serve_backend([Reply(say="Hi.", times=None)]) as backend,
        connect(socket_url(backend), proxy=None) as socket,
    ):
        await send(socket, "set_characters", [ADA, ADA])
        answer = await receive(socket)
        assert (answer["type"], answer["code"]) == ("error", "request_invalid")


async def test_typing_interrupts_and_the_conversation_keeps_what_was_heard() -> None:
    first = Reply(user="story", say="Once upon a time there was a very long story to tell.")
    async with serve_backend([first, Reply(say="Sure.", times=None)]) as backend:
        speak_with(backend, SlowWordsTTS())
        async with connect(socket_url(backend), proxy=None) as socket:
            await send(socket, "user_message", {"text": "Tell me a story"})
            started = await until(socket, "audio_stream_start")
            await asyncio.sleep(1.1)
            await send(socket, "user_message", {"text": "Stop please"})
            stopped = await until(socket, "interrupted")
            assert stopped["message_id"] == started["message_id"]
            assert stopped["heard_text"] in ("Once", "Once upon", "Once upon a")
            await until(socket, "text_stream_stop")
            prompt, _ = backend.provider.requests[-1]
            talk = [m.content for m in prompt if m.role != "system"]
            assert talk[0] == "Tell me a story"
            assert talk[1].startswith(stopped["heard_text"])
            assert "story to tell" not in talk[1]
            assert talk[-1] == "Stop please"


async def test_speaking_interrupts() -> None:
    first = Reply(user="story", say="Once upon a time there was a story. " * 5)
    async with serve_backend([first, Reply(say="Sure.", times=None)]) as backend:
        speak_with(backend, SlowWordsTTS())
        speech = to_int16(first_phrases()).astype("<i2")
        async with connect(socket_url(backend), proxy=None) as socket:
            # Models load with the first sound.
            await send(socket, "start_listening")
            await socket.send(bytes(32_000))
            await send(socket, "user_message", {"text": "Tell me a story"})
            await until(socket, "audio_stream_start")
            for start in range(0, speech.size, 320):
                await socket.send(speech[start : start + 320].tobytes())
                await asyncio.sleep(0.02)
            assert (await until(socket, "interrupted"))["heard_text"].startswith("Once")


async def test_interrupting_nothing_says_nothing() -> None:
    async with serve_backend([Reply(say="Hi.", times=None)]) as backend:
        speak_with(backend, TellingTTS())
        async with connect(socket_url(backend), proxy=None) as socket:
            await send(socket, "interrupt")
            await send(socket, "user_message", {"text": "Hello"})
            assert (await receive(socket))["type"] == "text_stream_start"


@pytest.mark.parametrize("rate_hz", [16_000, 48_000])
async def test_speech_is_heard_and_answered(rate_hz: int) -> None:
    async with serve_backend([Reply(say="I hear you.", times=None)]) as backend:
        speak_with(backend, TellingTTS())
        speech = to_int16(resample(first_phrases(), 16_000, rate_hz)).astype("<i2")
        async with connect(socket_url(backend), proxy=None) as socket:
            await send(socket, "start_listening", {"sample_rate": rate_hz})
            for start in range(0, speech.size, rate_hz // 50):
                await socket.send(speech[start : start + rate_hz // 50].tobytes())
            await send(socket, "stop_listening")
            said = await until(socket, "stt_finished")
            assert "tried" in said["text"].lower()
            await until(socket, "text_stream_start")
            await until(socket, "audio_complete")
            prompt, _ = backend.provider.requests[-1]
            assert prompt[-1].content == said["text"]


async def test_doors_pass_over_voices_that_only_the_worker_has() -> None:
    async with serve_backend([Reply(say="Hi.", times=None)], tts="cartesia/sonic,piper") as backend:
        response = await backend.client.post("/api/chat", json={"message": "Hello"})
        assert response.status_code == 200
        assert response.json()["audio_chunks"] == 1


async def test_a_chosen_flow_greets_and_tells_its_session_and_times() -> None:
    async with serve_backend([Reply(say="At nine.", times=None)]) as backend:
        speak_with(backend, TellingTTS())
        flow = {
            "id": "desk",
            "nodes": [
                {"id": "hello", "type": "start", "data": {"greeting": "Front desk, hello."}},
                {"id": "talk", "type": "conversation", "data": {"instructions": "Be brief."}},
            ],
            "edges": [{"id": "e", "source": "hello", "target": "talk"}],
        }
        assert (await backend.client.post("/api/flows", json=flow)).status_code == 201
        assert (await backend.client.post("/api/flows/desk/publish")).status_code == 200
        address = f"{socket_url(backend)}?flow=desk&details=true"
        async with connect(address, proxy=None) as socket:
            session = await until(socket, "session")
            assert session["flow_id"] == "desk"
            assert (await until(socket, "text_chunk"))["text"] == "Front desk, hello."
            await until(socket, "audio_complete")
            await send(socket, "user_message", {"text": "When do you open?"})
            assert (await until(socket, "text_chunk"))["text"].startswith("At")
            waterfall = await until(socket, "waterfall")
            names = [stage["name"] for stage in waterfall["stages"]]
            assert {"first_token", "first_audio", "played", "node talk"} <= set(names)
            assert waterfall["total_ms"] >= waterfall["stages"][0]["start_ms"]
            assert not waterfall["interrupted"]
            path = f"/api/flows/desk/sessions/{session['session_id']}"
            state = (await backend.client.get(path)).json()
            assert state["node_id"] == "talk"


async def test_a_flow_that_is_not_there_closes_with_the_reason() -> None:
    async with (
        serve_backend([Reply(say="Hi.", times=None)]) as backend,
        connect(f"{socket_url(backend)}?flow=nowhere", proxy=None) as socket,
    ):
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008
        assert "nowhere" in closed.value.rcvd.reason


async def test_a_database_that_is_away_closes_with_what_happened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def away(*_: object) -> None:
        raise StreamError("database_unavailable", "The database cannot be reached. Try again.")

    async with serve_backend([Reply(say="Hi.", times=None)]) as backend:
        monkeypatch.setattr(backend.app.state.parts.flows, "version", away)
        async with connect(f"{socket_url(backend)}?flow=default", proxy=None) as socket:
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1011
        assert "database cannot be reached" in closed.value.rcvd.reason


async def test_who_asks_for_no_details_gets_none() -> None:
    async with serve_backend([Reply(say="Hi.", times=None)]) as backend:
        speak_with(backend, TellingTTS())
        async with connect(socket_url(backend), proxy=None) as socket:
            await send(socket, "user_message", {"text": "Hello."})
            kinds = [(await receive(socket))["type"]]
            while kinds[-1] != "audio_complete":
                kinds.append((await receive(socket))["type"])
            await send(socket, "user_message", {"text": "Again."})
            while kinds[-1] != "text_stream_start":
                kinds.append((await receive(socket))["type"])
    assert not {"session", "waterfall", "spoken_words"} & set(kinds)


async def test_words_are_told_right_before_the_frame_in_which_they_begin() -> None:
    say = "Once upon a time. There was a king."
    async with serve_backend([Reply(say=say, times=None)]) as backend:
        speak_with(backend, SlowWordsTTS())
        async with connect(f"{socket_url(backend)}?details=true", proxy=None) as socket:
            await send(socket, "user_message", {"text": "A story"})
            frames: list[dict[str, Any]] = []
            while not frames or frames[-1]["type"] != "audio_complete":
                frames.append(await receive(socket))
    told = [at for at, message in enumerate(frames) if message["type"] == "spoken_words"]
    said = []
    for number, at in enumerate(told):
        message, following = frames[at], frames[at + 1]
        assert following["type"] == "audio_chunk_meta"
        assert message["sentence_index"] == following["sentence_index"] == number
        text, words = message["text"], message["words"]
        assert [text[w["start_char"] : w["end_char"]] for w in words] == text.split()
        assert [(w["start_ms"], w["end_ms"]) for w in words] == [
            (500.0 * n, 500.0 * (n + 1)) for n in range(len(words))
        ]
        said.append(text)
    assert " ".join(said) == say
