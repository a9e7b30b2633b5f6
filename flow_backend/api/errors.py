"""Errors as JSON: `{"code", "message", "retryable", "path"?}` with the status of the table.

OpenAI's routes answer in OpenAI's form, whoever refuses the request. Browsers do not tell a page
why a WebSocket's handshake was refused: theirs is taken and closed with the reason, where it is
worth another try.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping
from typing import Any, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from pydantic_core import ErrorDetails
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.types import Receive, Scope, Send

from flow_backend.store.database import storage_error
from protocol.errors import AccessError, FlowError, ParleyError, StreamError
from protocol.faults import in_words, path_text


class ErrorResponse(JSONResponse):
    """An error's body, in the form of the route that is asked."""

    def __init__(
        self,
        body: Mapping[str, Any],
        status: int,
        headers: Mapping[str, str] | None = None,
        *,
        ws_close: int | None = None,
    ) -> None:
        super().__init__(body, status, headers)
        self._told = body
        self._with = headers
        self._ws_close = ws_close
        """How a page's WebSocket is closed; None refuses its handshake."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends it."""
        if self._ws_close is not None and _is_pages_socket(scope):
            await send({"type": "websocket.accept"})
            reason = close_reason(self._told["message"])
            await send({"type": "websocket.close", "code": self._ws_close, "reason": reason})
            return
        send_it = super().__call__
        if scope["path"].startswith("/v1/"):
            body = openai_error(self._told, self.status_code)
            send_it = JSONResponse(body, self.status_code, self._with)
        await send_it(scope, receive, send)


def _is_pages_socket(scope: Scope) -> bool:
    """Whether a browser's page opens a WebSocket: only browsers say where a page comes from."""
    return scope["type"] == "websocket" and any(name == b"origin" for name, _ in scope["headers"])


def close_reason(message: str) -> str:
    """What a close frame has room for: 123 bytes (RFC 6455, section 5.5)."""
    return message.encode()[:123].decode(errors="ignore")


def openai_error(body: Mapping[str, Any], status: int) -> dict[str, Any]:
    """An error as OpenAI's clients read it."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {
        "error": {
            "message": body["message"],
            "type": kind,
            "code": body["code"],
            "param": body.get("path") or None,
        }
    }


def error_response(error: ParleyError) -> ErrorResponse:
    """The response for an error of the tree."""
    headers = {}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, round(error.retry_after_s)))
    if error.code == "unauthorized":
        headers["WWW-Authenticate"] = "Bearer"
    ws_close = error.wire.ws_close if error.retryable else None
    return ErrorResponse(error.as_dict(), error.wire.http_status, headers, ws_close=ws_close)


def add_error_handlers(app: FastAPI) -> None:
    """Makes every error leave the app in the one form."""

    @app.exception_handler(ParleyError)
    async def _ours(connection: HTTPConnection, error: ParleyError) -> JSONResponse:
        # What fails before a WebSocket's handshake is over is answered as HTTP, too.
        return error_response(error)

    @app.exception_handler(SQLAlchemyError)
    @app.exception_handler(OSError)
    @app.exception_handler(RedisError)
    async def _storage(connection: HTTPConnection, error: Exception) -> JSONResponse:
        if isinstance(error, RedisError):
            known: ParleyError | None = StreamError(
                "backend_unavailable", "Redis cannot be reached. Try again.", retry_after_s=2.0
            )
        elif isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
            known = AccessError(
                "overloaded", "This backend has too many files open. Try again.", retry_after_s=2.0
            )
        else:
            known = storage_error(error)
        if known is None:
            raise error
        return await _ours(connection, known)

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        problems = [_problem(problem, error.body, request) for problem in error.errors()]
        first = problems[0]
        message = ": ".join(filter(None, (first["path"], first["message"])))
        body = FlowError("request_invalid", message, path=first["path"]).as_dict()
        return ErrorResponse({**body, "problems": problems}, 422)

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> JSONResponse:
        if isinstance(error.__cause__, UnicodeDecodeError):
            return error_response(FlowError("request_invalid", "The body is not UTF-8 text."))
        if isinstance(error.__cause__, RecursionError):
            return error_response(FlowError("request_invalid", "The body is nested too deeply."))
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "http_error")
        return ErrorResponse(
            {"code": code, "message": str(error.detail), "retryable": False},
            error.status_code,
            error.headers,
        )


def _problem(problem: ErrorDetails, body: object, request: Request) -> dict[str, str]:
    location = problem["loc"]
    if problem["type"] == "json_invalid":
        position = cast(int, location[-1])
        fault = json.JSONDecodeError(problem["ctx"]["error"], cast(str, body), position)
        return {"path": "", "message": f"the body is no JSON: {fault}"}
    if location == ("body",) and (body is None or isinstance(body, bytes)):
        said = "send the body as JSON, with `Content-Type: application/json`"
        return {"path": "", "message": said}
    in_part = location[:1] in (("body",), ("query",), ("path",))
    place = location[1:] if in_part else location
    return {
        "path": path_text(place),
        "message": in_words({**problem, "loc": place}, _body_model(request)),
    }


def _body_model(request: Request) -> type[BaseModel] | None:
    field = getattr(request.scope.get("route"), "body_field", None)
    model = field.field_info.annotation if field is not None else None
    return model if isinstance(model, type) and issubclass(model, BaseModel) else None
