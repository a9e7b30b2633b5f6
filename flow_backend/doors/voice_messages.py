"""The messages of door D: what clients may send, and what they are sent."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from flow_backend.doors.voice_call import Character, ModelSettings


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid")


class UserText(_Message):
    """What the user typed."""

    text: str = Field(min_length=1, max_length=100_000)


class UserMessage(_Message):
    """The user typed something."""

    type: Literal["user_message"]
    data: UserText


class Listening(_Message):
    """The format of the binary frames that follow."""

    sample_rate: int = Field(default=16_000, ge=8_000, le=96_000)


class StartListening(_Message):
    """The microphone is on."""

    type: Literal["start_listening"]
    data: Listening = Listening()


class StopListening(_Message):
    """The microphone is off."""

    type: Literal["stop_listening"]
    data: dict[str, Any] | None = None


class SetModel(_Message):
    """Which model answers from now on."""

    type: Literal["model_settings"]
    data: ModelSettings


class SetCharacters(_Message):
    """Who answers from now on; none: the default flow."""

    type: Literal["set_characters"]
    data: Annotated[list[Character], Field(max_length=8)]


class Interrupt(_Message):
    """Stop speaking."""

    type: Literal["interrupt"]
    data: dict[str, Any] | None = None


ClientMessage = Annotated[
    UserMessage | StartListening | StopListening | SetModel | SetCharacters | Interrupt,
    Field(discriminator="type"),
]
client_message: TypeAdapter[ClientMessage] = TypeAdapter(ClientMessage)


CLIENT_EXAMPLES: tuple[dict[str, Any], ...] = (
    {"type": "user_message", "data": {"text": "Tell me about the tides."}},
    {"type": "start_listening", "data": {"sample_rate": 16000}},
    {"type": "stop_listening"},
    {"type": "model_settings", "data": {"provider": "local", "temperature": 0.4}},
    {
        "type": "set_characters",
        "data": [{"id": "a", "name": "Ada", "instructions": "You like numbers."}],
    },
    {"type": "interrupt"},
)

SERVER_EXAMPLES: tuple[tuple[dict[str, Any], str], ...] = (
    (
        {"type": "text_stream_start", "message_id": "5f0c", "character_name": "Agent"},
        "An answer begins.",
    ),
    ({"type": "text_chunk", "text": "The tides ", "message_id": "5f0c"}, "A piece of its text."),
    ({"type": "text_stream_stop", "message_id": "5f0c"}, "Its text is over."),
    (
        {
            "type": "audio_stream_start",
            "message_id": "5f0c",
            "character_name": "Agent",
            "sample_rate": 24000,
        },
        "Its sound begins.",
    ),
    (
        {
            "type": "audio_chunk_meta",
            "message_id": "5f0c",
            "character_id": "agent",
            "sentence_index": 0,
            "chunk_index": 0,
        },
        "The binary frame right behind it is PCM16 mono little-endian.",
    ),
    (
        {
            "type": "spoken_words",
            "message_id": "5f0c",
            "sentence_index": 0,
            "text": "The tides",
            "words": [
                {"start_char": 0, "end_char": 3, "start_ms": 0.0, "end_ms": 110.0},
                {"start_char": 4, "end_char": 9, "start_ms": 110.0, "end_ms": 470.0},
            ],
        },
        "With `details=true`: what is said in the next frame, in milliseconds of its piece.",
    ),
    ({"type": "audio_complete", "session_id": "91ab", "message_id": "5f0c"}, "The answer is over."),
    ({"type": "stt_update", "text": "And the mo"}, "What the user is saying, so far."),
    ({"type": "stt_finished", "text": "And the moon?"}, "What the user said."),
    (
        {
            "type": "interrupted",
            "message_id": "5f0c",
            "heard_text": "The tides follow",
            "estimated": False,
        },
        "An answer was stopped; so much of it had sounded, or about so much.",
    ),
    (
        {"type": "error", "code": "request_invalid", "message": "data.text: missing"},
        "Something is wrong; the connection goes on.",
    ),
    (
        {"type": "session", "flow_id": "default", "session_id": "c3d4"},
        "With `details=true`: a flow's session answers.",
    ),
    (
        {
            "type": "waterfall",
            "turn_id": "77e1",
            "stages": [{"name": "first_token", "start_ms": 0.0, "end_ms": 31.5}],
            "total_ms": 140.2,
            "interrupted": False,
        },
        "With `details=true`: where the time of a turn went.",
    ),
)
"""Every message that is sent, and what it means."""


def description() -> dict[str, Any]:
    """What OpenAPI, which knows no WebSockets, says of this one: in words and as `x-websocket`."""
    told = [f"- `{json.dumps(example)}`: {meaning}" for example, meaning in SERVER_EXAMPLES]
    asked = [f"- `{json.dumps(example)}`" for example in CLIENT_EXAMPLES]
    text = [
        "Connect as a WebSocket; `flow` and `details` are chosen with the address.",
        "",
        "The client sends JSON, and microphone audio as binary frames after `start_listening`:",
        "",
        *asked,
        "",
        "The server sends:",
        "",
        *told,
        "",
        "It closes with 1009 after a frame that is too large, 1011 when the client reads nothing "
        "for ten seconds or the database is away, 1008 for a flow that there is not, 1012 when the "
        "backend stops, 1013 when it has too many callers; the reason says what happened.",
    ]
    return {
        "description": "\n".join(text),
        "parameters": [
            {"name": "flow", "in": "query", "schema": {"type": "string", "maxLength": 200}},
            {"name": "details", "in": "query", "schema": {"type": "boolean", "default": False}},
        ],
        "responses": {
            "101": {"description": "The WebSocket is open."},
            "426": {"description": "The request asked for no WebSocket."},
        },
        "x-websocket": {
            "client": {
                "schema": client_message.json_schema(),
                "examples": list(CLIENT_EXAMPLES),
            },
            "server": {"examples": [example for example, _ in SERVER_EXAMPLES]},
        },
    }
