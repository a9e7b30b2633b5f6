"""What the server says over `/ws`, as JSON; `audio_chunk_meta` stands right before its frame.

The TypeScript client's types are generated from here. Contract: docs/doors.md.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter


class VoiceMessage(BaseModel):
    """What every message has."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str


class TextStreamStart(VoiceMessage):
    """An answer begins."""

    type: Literal["text_stream_start"]
    message_id: str
    character_name: str


class TextChunk(VoiceMessage):
    """A piece of its text, as it came from the model."""

    type: Literal["text_chunk"]
    text: str
    message_id: str


class TextStreamStop(VoiceMessage):
    """No more text of it comes; sound may."""

    type: Literal["text_stream_stop"]
    message_id: str


class AudioStreamStart(VoiceMessage):
    """Its sound begins."""

    type: Literal["audio_stream_start"]
    message_id: str
    character_name: str
    sample_rate: int
    """Hertz."""


class AudioChunkMeta(VoiceMessage):
    """What the binary frame right behind this is: PCM16, mono, little-endian."""

    type: Literal["audio_chunk_meta"]
    message_id: str
    character_id: str
    sentence_index: int
    chunk_index: int


class SpokenWord(BaseModel):
    """A word of a spoken piece: where it stands in the piece's text, and when it sounds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    start_char: int
    """In code points of the piece's text."""
    end_char: int
    start_ms: float
    """From the first sample of the piece."""
    end_ms: float


class SpokenWords(VoiceMessage):
    """On request, before the first frame of a piece and each in which words begin."""

    type: Literal["spoken_words"]
    message_id: str
    sentence_index: int
    """The piece's, as in the frames that follow."""
    text: str
    """The piece, as it stands in the answer's text."""
    words: list[SpokenWord]
    """Those that begin in the next frame; none where the voice gives no timings."""


class AudioComplete(VoiceMessage):
    """All of its sound has been sent."""

    type: Literal["audio_complete"]
    session_id: str
    """Of the connection."""
    message_id: str


class SttUpdate(VoiceMessage):
    """What the user seems to be saying."""

    type: Literal["stt_update"]
    text: str


class SttFinished(VoiceMessage):
    """What the user said; empty where that was nothing."""

    type: Literal["stt_finished"]
    text: str


class Interrupted(VoiceMessage):
    """An answer was cut off; its sound is to stop at once."""

    type: Literal["interrupted"]
    message_id: str
    heard_text: str
    """What had sounded by then."""
    estimated: bool = False
    """That is a guess: the voice does not tell when its words sound."""


class VoiceError(VoiceMessage):
    """Something failed; the connection goes on."""

    type: Literal["error"]
    code: str
    message: str


class SessionMessage(VoiceMessage):
    """On request: a flow's session begins to answer."""

    type: Literal["session"]
    flow_id: str
    session_id: str


class WaterfallStage(BaseModel):
    """One bar, in milliseconds from the end of the user's words."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    start_ms: float
    end_ms: float


class WaterfallMessage(VoiceMessage):
    """On request: where a turn's time went."""

    type: Literal["waterfall"]
    turn_id: str
    stages: list[WaterfallStage]
    total_ms: float
    """To the first sound; without one, to the last stage's end."""
    interrupted: bool


ServerMessage = Annotated[
    TextStreamStart
    | TextChunk
    | TextStreamStop
    | AudioStreamStart
    | SpokenWords
    | AudioChunkMeta
    | AudioComplete
    | SttUpdate
    | SttFinished
    | Interrupted
    | VoiceError
    | SessionMessage
    | WaterfallMessage,
    Field(discriminator="type"),
]
"""Any message of the server."""

server_message: TypeAdapter[ServerMessage] = TypeAdapter(ServerMessage)
