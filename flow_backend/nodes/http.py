"""`http`: calls a URL and puts what comes back into variables."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any, ClassVar
from urllib.parse import quote
from uuid import uuid4

from pydantic import Field, field_validator

from flow_backend.engine.context import Filler, NodeContext
from flow_backend.flows import templates
from flow_backend.flows.document import Template
from flow_backend.flows.problems import wrong_value
from flow_backend.nodes.base import Go, NodeData, NodeType, Outcome
from flow_backend.outbound.call import SECRET, HttpCall, Method
from protocol.errors import FlowError

_POINTER = re.compile(r"(?:/(?:[^~/]|~[01])*)*")
_BASE = re.compile(r"\s*\{\{-?\s*([A-Za-z_][A-Za-z0-9_]*)\s*-?\}\}")
_PLACE = re.compile(r"\s*(?:[A-Za-z]+://)?(?:\{\{.*?\}\}|\{%.*?%\}|[^/?#{])*", re.DOTALL)
"""Scheme and host of a URL, in which any variable chooses the server."""
_MISSING = object()


class HttpData(NodeData):
    """Fields of an http node. `${secret:NAME}` stands for FLOW_SECRET_NAME of the environment."""

    method: Method = "GET"
    url: Template = Field(min_length=1, max_length=8_000)
    """Values of variables are percent-encoded; only a variable at the very beginning, which holds
    the service's address, is not."""
    headers: dict[str, Template] = Field(default_factory=dict)
    body: Template | dict[str, Any] | list[Any] | None = None
    """Text as it is, or JSON, in whose texts templates are filled."""
    timeout_s: float = Field(default=10.0, gt=0, le=60)
    """For each try."""
    retries: int = Field(default=2, ge=0, le=5)
    """Tries after a failure that may pass, with growing pauses."""
    max_bytes: int = Field(default=1_000_000, ge=1, le=10_000_000)
    """Largest answer."""
    pure: bool = False
    """It changes nothing out there although it is no GET: runs before the commit, too."""
    response: dict[str, str] = Field(default_factory=dict)
    """Variables and the JSON Pointers (RFC 6901) of their values in the answer."""
    status_variable: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """Is set to the status; 0 if there was no answer."""
    filler: Filler | None = None

    @field_validator("response")
    @classmethod
    def _are_pointers(cls, value: dict[str, str]) -> dict[str, str]:
        for name, pointer in value.items():
            if not _POINTER.fullmatch(pointer):
                raise wrong_value("pointer_invalid", name=name, pointer=pointer)
        return value


class Http(NodeType[HttpData]):
    """Calls; a failure, or a status of 400 and above, is the event `error`."""

    name: ClassVar[str] = "http"
    data_model = HttpData
    events: ClassVar[tuple[str, ...]] = ("error",)
    waits_by_itself: ClassVar[bool] = True

    def has_side_effects(self, data: HttpData) -> bool:
        """Unless it only reads."""
        return not (data.pure or data.method in ("GET", "HEAD"))

    def sets(self, data: HttpData) -> Iterable[str]:
        """The variables of the answer."""
        return [*data.response, *([data.status_variable] if data.status_variable else ())]

    def addressed_by(self, data: HttpData) -> Iterable[str]:
        """The variables before the path."""
        place = _PLACE.match(data.url)
        try:
            return templates.check(place[0] if place else data.url)
        except ValueError:  # a tag that ends behind the first slash
            return templates.check(data.url)

    async def run(self, data: HttpData, context: NodeContext) -> Outcome:
        """Calls, and speaks the filler if that takes long.

        Raises:
            FlowError: `http_refused`, `http_failed`, if no `event` edge `error` leads away.
        """
        call = _call(data, context)
        make = context.effect if self.has_side_effects(data) else context.call
        answer = await make(call, data.filler)
        if data.status_variable:
            context.set_variables({data.status_variable: answer.status})
        if answer.error_code is not None or answer.status >= 400:
            if context.leads_away("error"):
                return Go(event="error")
            raise FlowError(
                answer.error_code or "http_failed",
                f"Node {context.node.id!r}: {answer.error or f'the status was {answer.status}'}.",
            )
        if data.response:
            value = answer.value()
            context.set_variables(
                {name: point(value, pointer) for name, pointer in data.response.items()}
            )
        return Go()


def _call(data: HttpData, context: NodeContext) -> HttpCall:
    values = context.values()
    base = _BASE.match(data.url)
    encoded = {
        name: quote(value, safe="")
        if isinstance(value, str) and not (base and name == base[1])
        else value
        for name, value in values.items()
    }
    mark = uuid4().hex

    def marked(template: str) -> str:
        return SECRET.sub(rf"{mark}:\1;", template)

    headers = {
        name: re.sub(r"[\r\n]+", " ", context.render(marked(text)))
        for name, text in data.headers.items()
    }
    is_json = isinstance(data.body, dict | list)
    body = _filled(data.body, lambda template: context.render(marked(template)))
    if is_json:
        body = json.dumps(body, ensure_ascii=False)
        if "content-type" not in {name.lower() for name in headers}:
            headers["Content-Type"] = "application/json"
    return HttpCall(
        method=data.method,
        url=context.render_with(marked(data.url), encoded),
        headers=headers,
        body=body,
        body_is_json=is_json,
        secret_mark=mark,
        timeout_s=data.timeout_s,
        retries=data.retries,
        max_bytes=data.max_bytes,
    )


def _filled(value: Any, fill: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return fill(value)
    if isinstance(value, dict):
        return {name: _filled(item, fill) for name, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, fill) for item in value]
    return value


def point(value: Any, pointer: str) -> Any:
    """The part of a JSON value that a JSON Pointer names; None if there is none."""
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict):
            value = value.get(name, _MISSING)
        elif isinstance(value, list) and name.isascii() and name.isdigit():
            value = value[int(name)] if int(name) < len(value) else _MISSING
        else:
            value = _MISSING
        if value is _MISSING:
            return None
    return value
