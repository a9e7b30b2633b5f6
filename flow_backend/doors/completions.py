"""`POST /v1/chat/completions`: a flow behind OpenAI's chat format. `model` is the flow's id.

Source: OpenAI API reference, "Create chat completion". OpenAI's clients send the whole
conversation each time and keep no session: the messages before the last user's become the
session's history.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from time import time
from typing import Annotated, Any, Literal
from uuid import uuid4

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, field_validator

from flow_backend.access.admission import STREAMED
from flow_backend.api.errors import openai_error
from flow_backend.doors.chat import CallerDep, EngineDep
from flow_backend.doors.conversation import answer
from flow_backend.doors.events import EventsResponse, data_event, while_connected
from flow_backend.engine.session import Session
from flow_backend.engine.state import Entry
from protocol.errors import FlowError, ParleyError
from protocol.turns import Words, whole

router = APIRouter(prefix="/v1", tags=["openai"])


class TextPart(BaseModel):
    """One part of a message."""

    type: Literal["text"]
    text: Words


class ChatMessage(BaseModel):
    """One message; further fields of OpenAI's are taken and not used."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[TextPart] | None = None

    @field_validator("content")
    @classmethod
    def _is_whole(cls, value: str | list[TextPart] | None) -> str | list[TextPart] | None:
        return whole(value) if isinstance(value, str) else value

    @property
    def text(self) -> str:
        """The message's words."""
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""


class StreamOptions(BaseModel):
    """What a stream carries beside the text."""

    include_usage: bool = False


class CompletionRequest(BaseModel):
    """OpenAI's request; what a flow decides by itself (temperature, tools, …) is not used."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [{"model": "default", "messages": [{"role": "user", "content": "Hello!"}]}]
        },
    )

    model: Annotated[str, Field(min_length=1, max_length=200)]
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=2000)]
    stream: bool = False
    stream_options: StreamOptions | None = None
    user: Annotated[Words, Field(max_length=200)] | None = None
    """Goes into the session's metadata, by which a person's data is found."""


@router.get("/models")
async def models(request: Request) -> dict[str, Any]:
    """The flows, in OpenAI's list format."""
    rows = await request.app.state.parts.flows.all()
    data = [{"id": row.id, "object": "model", "created": 0, "owned_by": "parley"} for row in rows]
    return {"object": "list", "data": data}


@router.post("/chat/completions", dependencies=[STREAMED])
async def completions(
    body: CompletionRequest, engine: EngineDep, caller: CallerDep, request: Request
) -> Response:
    """Answers the last user message with the flow named by `model`."""
    try:
        at = max(i for i, message in enumerate(body.messages) if message.role == "user")
    except ValueError:
        raise FlowError("request_invalid", "No user message.", path="messages") from None
    session, _ = await engine.open(
        body.model, metadata={"user": body.user} if body.user else None, owner=caller.owner
    )
    session.state.history[:] = [
        Entry("user" if message.role == "user" else "assistant", message.text, heard=True)
        for message in body.messages[:at]
        if message.role in ("user", "assistant") and message.text
    ]
    run = _Run(body, session, body.messages[at].text)
    if body.stream:
        return EventsResponse(run.stream())
    return JSONResponse(await while_connected(request.receive, run.whole()))


class _Run:
    """One completion."""

    def __init__(self, body: CompletionRequest, session: Session, message: str) -> None:
        self._body = body
        self._session = session
        self._message = message
        self._head = {
            "id": f"chatcmpl-{uuid4().hex}",
            "created": int(time()),
            "model": body.model,
        }
        self._usage: dict[str, int] = {}

    def _note(self, event: dict[str, Any]) -> None:
        if event["type"] == "done":
            self._usage = {
                "prompt_tokens": 0,
                "completion_tokens": 0,
                "total_tokens": 0,
                **event["usage"],
            }

    async def whole(self) -> dict[str, Any]:
        """The `chat.completion` object."""
        tokens = answer(self._session, self._message, on_event=self._note)
        async with aclosing(tokens):
            text = "".join([token async for token in tokens])
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
        return {
            **self._head,
            "object": "chat.completion",
            "choices": [choice],
            "usage": self._usage,
        }

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """`chat.completion.chunk` objects, then `[DONE]`."""
        try:
            yield self._chunk({"role": "assistant", "content": ""})
            tokens = answer(self._session, self._message, on_event=self._note)
            async with aclosing(tokens):
                async for token in tokens:
                    yield self._chunk({"content": token})
            yield self._chunk({}, "stop")
            options = self._body.stream_options
            if options is not None and options.include_usage:
                usage = {"object": "chat.completion.chunk", "choices": [], "usage": self._usage}
                yield data_event({**self._head, **usage})
        except ParleyError as error:
            told = openai_error(error.as_dict(), error.wire.http_status)
            yield b"data: " + json.dumps(told).encode() + b"\n\n"
        yield b"data: [DONE]\n\n"

    def _chunk(self, delta: dict[str, str], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}
        return data_event({**self._head, "object": "chat.completion.chunk", "choices": [choice]})
