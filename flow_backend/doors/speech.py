"""`POST /api/tts`: a text as audio, streamed while it is made."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from flow_backend.access.admission import SPOKEN
from flow_backend.doors.events import DoorStream, while_connected
from flow_backend.doors.speaking import Audio, Failed, Limits, Voice, sentence_buffer, speak
from flow_backend.doors.voices import VoicesDep
from speech.audio.encoding import AudioFormat, Encoder, content_type

router = APIRouter(prefix="/api/tts", tags=["doors"])


def _said(text: str) -> str:
    if not text.strip():
        raise ValueError("the text is empty")
    return text


class SpeechRequest(BaseModel):
    """What is to be said, and how."""

    model_config = ConfigDict(extra="forbid")

    text: Annotated[
        str,
        Field(min_length=1, max_length=20_000, examples=["Good morning!"]),
        AfterValidator(_said),
    ]
    voice: str | None = Field(default=None, max_length=200)
    format: AudioFormat = "wav"
    speed: float = Field(default=1.0, ge=0.25, le=4.0)
    provider: str | None = Field(default=None, max_length=40)
    """Voice provider; the setting TTS's where none is named."""


@router.post(
    "",
    dependencies=[SPOKEN],
    response_class=Response,
    responses={200: {"content": {"audio/wav": {}, "audio/mpeg": {}, "audio/ogg": {}}}},
)
async def text_to_speech(body: SpeechRequest, voices: VoicesDep, request: Request) -> Response:
    """Streams the audio of a text, sentence after sentence, as one file."""
    voice = Voice(voices.get(body.provider), body.voice, body.speed)
    limits = Limits(parallel=voices.settings.speech_parallel)
    rate_hz = voice.tts.native_rate_hz
    frames = _frames(body, voice, limits, Encoder(body.format, rate_hz))
    # What fails before the first audio is no stream yet.
    opening = await while_connected(request.receive, _first(frames))
    return DoorStream(frames, content_type(body.format, rate_hz), opening=opening)


async def _first(frames: AsyncGenerator[bytes, None]) -> bytes:
    return await anext(frames)


async def _frames(
    body: SpeechRequest, voice: Voice, limits: Limits, encoder: Encoder
) -> AsyncGenerator[bytes, None]:
    """The file in pieces; a sentence that fails ends it, cut off."""
    spoken = speak(_whole(body.text), sentence_buffer(), voice, limits=limits)
    async with aclosing(spoken):
        async for event in spoken:
            if isinstance(event, Failed):
                raise event.error
            if isinstance(event, Audio) and (data := encoder.push(event.chunk.samples)):
                yield data
    yield encoder.finish()


async def _whole(text: str) -> AsyncGenerator[str, None]:
    yield text
