"""`tests.wire` with answers that are lists of bytes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from tests import wire
from tests.wire import wire_server

CUT = object()
"""A step: drop the connection."""
HANG = object()
"""A step: say nothing more until the client goes away."""


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class Answer:
    steps: Sequence[object]
    """Bytes, each sent as one chunk; CUT; HANG."""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


def stream(body: bytes, *, split: int | None = None, then: Sequence[object] = ()) -> Answer:
    """An event stream, in chunks of `split` bytes."""
    size = split or len(body) or 1
    chunks = [body[at : at + size] for at in range(0, len(body), size)]
    return Answer([*chunks, *then], headers={"content-type": "text/event-stream"})


def as_json(value: object, status: int = 200, **headers: str) -> Answer:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Answer(
        [json.dumps(value).encode()], status, {"content-type": "application/json", **named}
    )


class WireServer:
    """Gives `answers` in turn, the last one again and again."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.requests: list[Request] = []

    async def __aenter__(self) -> Self:
        self._serving = wire_server(self._answer)
        state = await self._serving.__aenter__()
        self.url, self.client_left = state.url, state.client_left
        return self

    async def __aexit__(self, *raised: Any) -> None:
        await self._serving.__aexit__(*raised)

    async def _answer(self, request: wire.Request, reply: wire.Reply) -> None:
        body = json.loads(request.body) if request.body.strip() else None
        self.requests.append(Request(request.method, request.target, request.headers, body))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        await reply.head(answer.status, **answer.headers)
        for step in answer.steps:
            if step is CUT:
                return
            if step is HANG:
                await reply.gone.wait()
                return
            assert isinstance(step, bytes)
            await reply.send(step)
        await reply.end()
