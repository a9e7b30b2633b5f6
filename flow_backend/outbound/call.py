"""One HTTP call of a flow: secrets by name, bounded answers, retries with backoff."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal
from urllib.parse import quote, urljoin

import httpx
from pydantic import BaseModel, Field

from flow_backend.outbound.guard import AddressGuard, guarded_transport
from protocol.errors import FlowError
from protocol.turns import sendable

Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]

SECRET = re.compile(r"\$\{secret:([A-Za-z_][A-Za-z0-9_]*)\}")
"""How a flow's author writes a secret."""
_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
_MAX_REDIRECTS = 5
_BACKOFF_S = 0.25
_HIDDEN_FROM_CHARACTERS = 8
"""A shorter secret would be found in answers that do not repeat it."""


class HttpCall(BaseModel):
    """A call, ready but for its secrets.

    They stand in it as `{secret_mark}:NAME;`. The mark is made anew for each call and put where the
    flow's author wrote a secret, so that what a user says can never name one.
    """

    method: Method
    url: str
    headers: dict[str, str] = Field(default_factory=dict)
    body: str | None = None
    body_is_json: bool = False
    secret_mark: str = Field(default="", pattern=r"^[0-9a-f]*$")
    timeout_s: float = Field(default=10.0, gt=0)
    """For each try, from connecting to the last byte."""
    retries: int = Field(default=0, ge=0)
    max_bytes: int = Field(default=1_000_000, ge=1)


class HttpAnswer(BaseModel):
    """What came back, or why nothing did."""

    status: int = 0
    """0 if there was no answer."""
    body: str = ""
    error_code: str | None = None
    error: str = ""

    def value(self) -> Any:
        """The body as JSON, or as text if it is none that a session could keep."""
        try:
            return sendable(json.loads(self.body))
        except (ValueError, RecursionError):
            return self.body


class HttpCaller:
    """Makes calls; owns the connections.

    Args:
        guard: Judges every address.
        secrets: Values by name in capitals; they go into URLs, headers and bodies only.
    """

    def __init__(self, guard: AddressGuard, secrets: Mapping[str, str]) -> None:
        self._secrets = secrets
        self._client = httpx.AsyncClient(
            transport=guarded_transport(guard), follow_redirects=False, trust_env=False
        )

    async def call(self, call: HttpCall, *, idempotency_key: str | None = None) -> HttpAnswer:
        """Makes a call, again after a failure that may pass.

        Redirects are followed by hand for GET and HEAD, and each is judged again; secrets in
        headers do not go along to another host.

        Raises:
            FlowError: Never for what the other side does, which is in the answer: `http_refused`
                for an address that may not be reached, and for a secret that is not set.
        """
        headers = {"Accept-Encoding": "identity"}
        headers.update({name: self._fill(call, text) for name, text in call.headers.items()})
        if idempotency_key is not None:
            headers.setdefault("Idempotency-Key", idempotency_key)
        url = self._fill(call, call.url, lambda secret: quote(secret, safe=""))
        escape = _escaped if call.body_is_json else str
        body = self._fill(call, call.body or "", escape)
        answer = HttpAnswer(error_code="http_failed", error="no try was made")
        for attempt in range(call.retries + 1):
            if attempt:
                delay_s = _BACKOFF_S * 2 ** (attempt - 1) * random.uniform(0.75, 1.25)
                await asyncio.sleep(min(delay_s, 5.0))
            answer = await self._try(call, url, headers, body)
            if answer.error_code != "http_failed" and answer.status not in _RETRIED:
                break
        return answer

    async def _try(
        self, call: HttpCall, url: str, headers: dict[str, str], body: str
    ) -> HttpAnswer:
        try:
            async with asyncio.timeout(call.timeout_s):
                return await self._follow(call, url, headers, body)
        except FlowError as error:
            return HttpAnswer(error_code=error.code, error=error.message)
        except TimeoutError:
            return HttpAnswer(
                error_code="http_failed", error=f"no whole answer within {call.timeout_s:g} s"
            )
        except (httpx.InvalidURL, httpx.UnsupportedProtocol):
            return HttpAnswer(error_code="http_refused", error="the URL is not a valid http(s) one")
        except httpx.HTTPError as error:
            return HttpAnswer(error_code="http_failed", error=type(error).__name__)

    async def _follow(
        self, call: HttpCall, url: str, headers: dict[str, str], body: str
    ) -> HttpAnswer:
        for _ in range(_MAX_REDIRECTS + 1):
            parsed = httpx.URL(url)
            if parsed.scheme not in ("http", "https") or not parsed.host:
                raise FlowError("http_refused", "The URL is not a valid http(s) one.")
            async with self._client.stream(
                call.method, url, headers=_wire(headers), content=body.encode() if body else None
            ) as response:
                location = response.headers.get("location")
                if call.method in ("GET", "HEAD") and response.is_redirect and location:
                    target = httpx.URL(urljoin(url, location))
                    if (target.netloc, target.scheme) != (parsed.netloc, parsed.scheme):
                        headers = {"Accept-Encoding": "identity"}
                    url = str(target)
                    continue
                text = await _text(response, call.max_bytes)
                return HttpAnswer(status=response.status_code, body=self._hidden(text))
        return HttpAnswer(error_code="http_refused", error="too many redirects")

    def _fill(self, call: HttpCall, text: str, write: Callable[[str], str] = str) -> str:
        if not call.secret_mark:
            return text

        def value(found: re.Match[str]) -> str:
            secret = self._secrets.get(found[1].upper())
            if secret is None:
                raise FlowError(
                    "http_refused",
                    f"The secret {found[1]!r} is not set. Set FLOW_SECRET_{found[1].upper()}.",
                )
            return write(secret)

        return re.sub(rf"{call.secret_mark}:([A-Za-z_][A-Za-z0-9_]*);", value, text)

    def _hidden(self, text: str) -> str:
        """An answer that repeats a secret, as some do in errors, without it: answers are kept."""
        for name, secret in self._secrets.items():
            if len(secret) >= _HIDDEN_FROM_CHARACTERS:
                text = text.replace(secret, f"${{secret:{name}}}")
        return text

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._client.aclose()


def _wire(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Headers as they are sent: what users say may be of any script (RFC 9110, section 5.5)."""
    return [(name.encode(), value.encode(errors="replace")) for name, value in headers.items()]


def _escaped(secret: str) -> str:
    """A secret as it stands inside a JSON string."""
    return json.dumps(secret)[1:-1]


async def _text(response: httpx.Response, max_bytes: int) -> str:
    if response.headers.get("content-encoding", "identity") != "identity":
        raise FlowError("http_refused", "The answer is compressed although that was not asked for.")
    pieces: list[bytes] = []
    size = 0
    async for piece in response.aiter_raw():
        size += len(piece)
        if size > max_bytes:
            raise FlowError("http_refused", f"The answer is larger than {max_bytes} bytes.")
        pieces.append(piece)
    return b"".join(pieces).decode(response.encoding or "utf-8", errors="replace")
