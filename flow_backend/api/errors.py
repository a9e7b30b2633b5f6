"""Errors as JSON: `{"code", "message", "retryable", "path"?}` with the status of the table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

from protocol.errors import FlowError, ParleyError


def error_response(error: ParleyError) -> JSONResponse:
    """The response for an error of the tree."""
    headers = {}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, round(error.retry_after_s)))
    if error.code == "unauthorized":
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(error.as_dict(), error.wire.http_status, headers)


def add_error_handlers(app: FastAPI) -> None:
    """Makes every error leave the app in the one form."""

    @app.exception_handler(ParleyError)
    async def _ours(connection: HTTPConnection, error: ParleyError) -> JSONResponse:
        # What fails before a WebSocket's handshake is over is answered as HTTP, too.
        return error_response(error)

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        problems = [
            {"path": _path(problem["loc"]), "message": problem["msg"]} for problem in error.errors()
        ]
        first = problems[0]
        body = FlowError("request_invalid", first["message"], path=first["path"]).as_dict()
        return JSONResponse({**body, "problems": problems}, 422)

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> JSONResponse:
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "http_error")
        return JSONResponse(
            {"code": code, "message": str(error.detail), "retryable": False},
            error.status_code,
            error.headers,
        )


def _path(location: Sequence[Any]) -> str:
    """`("body", "nodes", 2, "url")` as `nodes[2].url`."""
    path = ""
    for part in location[1:] if location[:1] in (("body",), ("query",), ("path",)) else location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
    return path
