"""Door B: `POST /api/chat/stream` and `POST /api/chat`. Contract: docs/doors.md."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator
from contextlib import aclosing
from time import monotonic
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from flow_backend.access.admission import SPOKEN
from flow_backend.access.gate import Caller, caller_of
from flow_backend.doors.chat_settings import ChatSettings
from flow_backend.doors.conversation import answer, with_model
from flow_backend.doors.events import EventsResponse, named_event, while_connected
from flow_backend.doors.speaking import (
    Audio,
    Failed,
    Limits,
    Text,
    TextOver,
    Voice,
    sentence_buffer,
    speak,
)
from flow_backend.doors.voices import Voices, VoicesDep
from flow_backend.engine.engine import Engine
from flow_backend.engine.session import Session
from protocol.errors import FlowError, ParleyError
from speech.audio import resample, to_float, to_int16
from speech.audio.encoding import AudioFormat, encode
from speech.chunk import SpeechChunk

router = APIRouter(prefix="/api/chat", tags=["doors"])


class ChatRequest(BaseModel):
    """A message in a session; without `session_id`, in one of its own."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"message": "Tell me about the tides."}]}
    )

    message: str = Field(min_length=1, max_length=100_000)
    session_id: str | None = Field(
        default=None, min_length=1, max_length=200, pattern=r"^[A-Za-z0-9._~-]+$"
    )
    voice: str | None = Field(default=None, max_length=200)
    speed: float | None = Field(default=None, ge=0.25, le=4.0)
    format: AudioFormat | None = None
    """`wav` unless the setting says otherwise."""


class ChatAnswer(BaseModel):
    """A whole answer with its audio."""

    text: str
    audio: str
    """Base64 of one file."""
    audio_chunks: int
    """How many sentences were spoken."""
    timings_ms: dict[str, float]


def get_engine(request: Request) -> Engine:
    """The app's engine."""
    engine: Engine = request.app.state.engine
    return engine


def get_chat_settings(request: Request) -> ChatSettings:
    """The door's part of the settings."""
    settings: ChatSettings = request.app.state.settings
    return settings


EngineDep = Annotated[Engine, Depends(get_engine)]
CallerDep = Annotated[Caller, Depends(caller_of)]
SettingsDep = Annotated[ChatSettings, Depends(get_chat_settings)]


@router.post("/stream", response_class=EventsResponse, status_code=200, dependencies=[SPOKEN])
async def chat_stream(
    body: ChatRequest,
    engine: EngineDep,
    voices: VoicesDep,
    settings: SettingsDep,
    caller: CallerDep,
) -> Response:
    """Streams the text as it comes and one audio file for each sentence, in order."""
    run = await _Run.begin(body, engine, voices, settings, caller)
    return EventsResponse(_frames(run))


@router.post("", dependencies=[SPOKEN])
async def chat(
    body: ChatRequest,
    engine: EngineDep,
    voices: VoicesDep,
    settings: SettingsDep,
    caller: CallerDep,
    request: Request,
) -> ChatAnswer:
    """Gives the whole answer at once."""
    run = await _Run.begin(body, engine, voices, settings, caller)
    return await while_connected(request.receive, _whole(run))


async def _whole(run: _Run) -> ChatAnswer:
    begun = monotonic()
    text = ""
    pieces: list[np.ndarray[tuple[int], np.dtype[np.int16]]] = []
    timings_ms: dict[str, float] = {}
    failure: ParleyError | None = None
    async with aclosing(run.events()) as events:
        async for event in events:
            elapsed_ms = round((monotonic() - begun) * 1000, 1)
            match event:
                case Text():
                    timings_ms.setdefault("first_text", elapsed_ms)
                case TextOver(whole, _):
                    text = whole
                    timings_ms["text"] = elapsed_ms
                case _Sentence(samples):
                    timings_ms.setdefault("first_audio", elapsed_ms)
                    pieces.append(samples)
                case Failed(_, error):
                    failure = error
    if failure is not None and not pieces:
        raise failure
    timings_ms["total"] = round((monotonic() - begun) * 1000, 1)
    whole_audio = np.concatenate(pieces) if pieces else np.zeros(0, np.int16)
    return ChatAnswer(
        text=text,
        audio=base64.b64encode(run.encoded(whole_audio)).decode(),
        audio_chunks=len(pieces),
        timings_ms=timings_ms,
    )


async def _frames(run: _Run) -> AsyncGenerator[bytes, None]:
    chunks = 0
    try:
        async with aclosing(run.events()) as events:
            async for event in events:
                match event:
                    case Text(token):
                        yield named_event("text", token)
                    case _Sentence(samples):
                        chunks += 1
                        audio = base64.b64encode(run.encoded(samples)).decode()
                        yield named_event("audio", audio)
                    case Failed(_, error):
                        raise error
        yield named_event("done", str(chunks))
    except ParleyError as error:
        yield named_event("error", error.message)


class _Sentence:
    """One sentence's audio, whole, at the door's rate."""

    __match_args__ = ("samples",)

    def __init__(self, samples: np.ndarray[tuple[int], np.dtype[np.int16]]) -> None:
        self.samples = samples


class _Run:
    """One message: its session, its voice, its format."""

    def __init__(
        self,
        body: ChatRequest,
        session: Session,
        voice: Voice,
        limits: Limits,
        settings: ChatSettings,
    ) -> None:
        self._message = body.message
        self._session = session
        self._voice = voice
        self._limits = limits
        self._format: AudioFormat = body.format or settings.chat_format
        self._rate_hz = settings.chat_sample_rate_hz

    @classmethod
    async def begin(
        cls,
        body: ChatRequest,
        engine: Engine,
        voices: Voices,
        settings: ChatSettings,
        caller: Caller,
    ) -> _Run:
        """Checks what can be checked before the answer begins.

        Raises:
            FlowError: `request_invalid` for a blank message; whatever opening a session raises.
            ProviderError: For a voice provider that cannot be had.
        """
        if not body.message.strip():
            raise FlowError("request_invalid", "The message is empty.", path="message")
        voice = Voice(
            voices.get(settings.chat_tts),
            body.voice or settings.chat_voice,
            body.speed or settings.chat_speed,
        )
        if body.session_id is None:
            session, _ = await engine.open(settings.chat_flow, owner=caller.owner)
        else:
            session = await engine.session_here(
                settings.chat_flow, body.session_id, owner=caller.owner, sees=caller.sees
            )
        if settings.chat_provider is not None:
            reference = "/".join(filter(None, (settings.chat_provider, settings.chat_model)))
            session.plan = with_model(session.plan, reference)
        limits = Limits(
            parallel=voices.settings.speech_parallel,
            whole=True,
            stall_s=settings.chat_audio_stall_s,
        )
        return cls(body, session, voice, limits, settings)

    async def events(self) -> AsyncGenerator[Text | TextOver | Failed | _Sentence, None]:
        """Text as it comes, each sentence's audio when it is whole, in order."""
        held: list[SpeechChunk] = []
        spoken = speak(
            answer(self._session, self._message),
            sentence_buffer(),
            self._voice,
            limits=self._limits,
        )
        async with aclosing(spoken):
            async for event in spoken:
                if not isinstance(event, Audio):
                    if isinstance(event, Failed):
                        held.clear()
                    yield event
                    continue
                held.append(event.chunk)
                if event.chunk.last:
                    sentence = self._joined(held)
                    held.clear()
                    if sentence.samples.size:
                        yield sentence

    def _joined(self, chunks: list[SpeechChunk]) -> _Sentence:
        samples = np.concatenate([chunk.samples for chunk in chunks])
        rate_hz = chunks[0].sample_rate_hz
        if rate_hz != self._rate_hz:
            samples = to_int16(resample(to_float(samples), rate_hz, self._rate_hz))
        return _Sentence(samples)

    def encoded(self, samples: np.ndarray[tuple[int], np.dtype[np.int16]]) -> bytes:
        """A file in the format that was asked for."""
        return encode(samples, self._rate_hz, self._format)
