"""Door A: `POST /api/stream`, text and parallel audio in one SSE. Contract: docs/doors.md."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator
from contextlib import aclosing
from time import monotonic
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from flow_backend.access.admission import SPOKEN
from flow_backend.doors.conversation import DEFAULT_INSTRUCTIONS, answer, chat_flow
from flow_backend.doors.events import EventsResponse, data_event
from flow_backend.doors.pieces import PieceBuffer
from flow_backend.doors.speaking import Audio, Failed, Limits, Text, TextOver, Voice, speak
from flow_backend.doors.voices import Voices, VoicesDep
from flow_backend.engine.engine import EngineParts
from flow_backend.engine.transient import transient_session
from protocol.errors import ParleyError
from speech.audio import wav_bytes

router = APIRouter(tags=["doors"])

PIECE_CHARS = 100
CONTENT_TYPE = "audio/wav"


class Options(BaseModel):
    """How the model writes."""

    model_config = ConfigDict(extra="forbid")

    maxTokens: int = Field(default=1000, ge=1, le=100_000)  # noqa: N815 - the contract's spelling
    temperature: float = Field(default=0.7, ge=0, le=2)


class StreamRequest(BaseModel):
    """A prompt, who answers it and who speaks the answer."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"prompt": "What is the capital of France?"}]},
    )

    prompt: str = Field(default="", max_length=100_000)
    llmProvider: str | None = Field(default=None, max_length=40)  # noqa: N815
    llmModel: str | None = Field(default=None, max_length=200, pattern=r"^[^,\s]+$")  # noqa: N815
    ttsProvider: str | None = Field(default=None, max_length=40)  # noqa: N815
    voiceId: str | None = Field(default=None, max_length=200)  # noqa: N815
    enableTTS: bool = True  # noqa: N815
    streamTTS: bool = False  # noqa: N815
    options: Options = Options()


def get_parts(request: Request) -> EngineParts:
    """The parts of the app's engine."""
    parts: EngineParts = request.app.state.parts
    return parts


PartsDep = Annotated[EngineParts, Depends(get_parts)]


@router.post("/api/stream", response_class=EventsResponse, status_code=200, dependencies=[SPOKEN])
async def stream(body: StreamRequest, parts: PartsDep, voices: VoicesDep) -> Response:
    """Streams an answer's text, and its audio as each piece is ready."""
    if not body.prompt.strip():
        return JSONResponse({"error": "Prompt is required"}, 400)
    if body.llmModel and not body.llmProvider:
        return JSONResponse({"error": "llmModel needs llmProvider: name both"}, 400)
    try:
        llm = f"{body.llmProvider}/{body.llmModel}" if body.llmModel else body.llmProvider
        llm = llm or "default"
        await parts.models.get(llm)
        voice = Voice(voices.get(body.ttsProvider), body.voiceId) if body.enableTTS else None
    except ParleyError as error:
        return JSONResponse({"error": error.message, **error.as_dict()}, error.wire.http_status)
    return EventsResponse(_events(body, llm, parts, voices, voice))


async def _events(
    body: StreamRequest, llm: str, parts: EngineParts, voices: Voices, voice: Voice | None
) -> AsyncGenerator[bytes, None]:
    run = _Run(body.streamTTS)
    flow = chat_flow(
        llm=llm,
        instructions=DEFAULT_INSTRUCTIONS,
        temperature=body.options.temperature,
        max_tokens=body.options.maxTokens,
    )
    session = transient_session(parts, flow)
    try:
        tokens = answer(session, body.prompt)
        if voice is None:
            async with aclosing(tokens):
                async for token in tokens:
                    yield run.text(token)
        else:
            spoken = speak(
                tokens,
                PieceBuffer(PIECE_CHARS),
                voice,
                in_order=False,
                limits=Limits(parallel=voices.settings.speech_parallel, whole=not body.streamTTS),
            )
            async with aclosing(spoken):
                async for event in spoken:
                    for frame in run.frames(event):
                        yield frame
        yield run.done()
    except ParleyError as error:
        yield data_event({"type": "error", "error": error.message, "code": error.code})
    finally:
        await session.aclose()


class _Run:
    """Counts and clocks of one answer, and its wire format."""

    def __init__(self, in_chunks: bool) -> None:
        self._in_chunks = in_chunks
        self._begun = monotonic()
        self._parts: list[str] = []
        self._first_token_ms: float | None = None
        self._text_over_ms = 0.0
        self._first_audio_ms: float | None = None
        self._held: dict[int, list[np.ndarray[Any, np.dtype[np.int16]]]] = {}

    def _ms(self) -> float:
        return round((monotonic() - self._begun) * 1000, 1)

    def text(self, token: str) -> bytes:
        if self._first_token_ms is None:
            self._first_token_ms = self._ms()
        self._parts.append(token)
        self._text_over_ms = self._ms()
        return data_event({"type": "text", "content": token})

    def frames(self, event: Text | Audio | Failed | TextOver) -> list[bytes]:
        match event:
            case Text(token):
                return [self.text(token)]
            case Audio(sequence, _, chunk):
                return self._audio(sequence, chunk.samples, chunk.sample_rate_hz, chunk.last)
            case Failed(sequence, error):
                self._held.pop(sequence, None)
                failed = {"type": "tts_error", "playSequence": sequence, "error": error.message}
                return [data_event(failed)]
            case TextOver(_, sequences):
                return [data_event({"type": "tts_total", "totalSequences": sequences})]

    def _audio(
        self,
        sequence: int,
        samples: np.ndarray[Any, np.dtype[np.int16]],
        rate_hz: int,
        last: bool,
    ) -> list[bytes]:
        frames = []
        if not self._in_chunks:
            held = self._held.setdefault(sequence, [])
            held.append(samples)
            if last:
                samples = np.concatenate(self._held.pop(sequence))
        if (self._in_chunks or last) and samples.size:
            if self._first_audio_ms is None:
                self._first_audio_ms = self._ms()
            audio: dict[str, Any] = {
                "type": "audio",
                "audio": base64.b64encode(wav_bytes(samples, rate_hz)).decode(),
                "contentType": CONTENT_TYPE,
                "playSequence": sequence,
                "metrics": {
                    "latencyMs": self._ms(),
                    "audioMs": round(samples.size / rate_hz * 1000, 1),
                },
            }
            if self._in_chunks:
                audio["streaming"] = True
            frames.append(data_event(audio))
        if last:
            frames.append(data_event({"type": "audio_complete", "playSequence": sequence}))
        return frames

    def done(self) -> bytes:
        first_audio = self._first_audio_ms
        return data_event(
            {
                "type": "done",
                "fullText": "".join(self._parts),
                "llmMetrics": {
                    "totalLatencyMs": self._text_over_ms,
                    "timeToFirstTokenMs": self._first_token_ms or 0.0,
                },
                "ttsMetrics": None if first_audio is None else {"latencyMs": first_audio},
                "totalTime": self._ms(),
            }
        )
