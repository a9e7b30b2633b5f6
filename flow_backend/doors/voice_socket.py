"""Door D: `WS /ws`, voice in the browser without LiveKit. Contract: docs/doors.md."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, WebSocket, WebSocketDisconnect
from pydantic import ValidationError

from flow_backend.access.admission import CALLED
from flow_backend.access.gate import caller_of
from flow_backend.api.errors import close_reason
from flow_backend.doors.voice_call import CallOptions, Client, VoiceCall
from flow_backend.doors.voice_messages import (
    Interrupt,
    SetCharacters,
    SetModel,
    StartListening,
    StopListening,
    UserMessage,
    client_message,
    description,
)
from protocol.errors import FlowError, ParleyError, StreamError
from protocol.faults import in_words, path_text

router = APIRouter()

MAX_TEXT_BYTES = 256 * 1024
MAX_AUDIO_BYTES = 256 * 1024
SEND_TIMEOUT_S = 10.0
"""How long one message may wait for a client that does not read."""
CLOSE_TIMEOUT_S = 5.0
"""How long the close frame may wait for it."""


class _Socket(Client):
    """Writes to the socket, one message at a time; a slow client makes the writer wait."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._writing = asyncio.Lock()

    async def send(self, message: dict[str, Any], audio: bytes | None = None) -> None:
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S), self._writing:
                await self._socket.send_text(json.dumps(message, separators=(",", ":")))
                if audio is not None:
                    await self._socket.send_bytes(audio)
        except TimeoutError as error:
            raise StreamError(
                "client_too_slow",
                f"The client has read nothing for {SEND_TIMEOUT_S:g} s.",
            ) from error
        except (WebSocketDisconnect, RuntimeError) as error:
            raise _ClientGoneError from error


class _ClientGoneError(Exception):
    """The client has left."""


@router.get("/ws", status_code=426, tags=["doors"], openapi_extra=description())
async def not_a_socket() -> None:
    """Voice in the browser without LiveKit: text and speech in and out, over one WebSocket."""
    raise HTTPException(
        426, "This is a WebSocket: connect with ws:// or wss://.", {"Upgrade": "websocket"}
    )


@router.websocket("/ws", dependencies=[CALLED])
async def voice_socket(
    socket: WebSocket,
    flow: Annotated[str | None, Query(max_length=200)] = None,
    details: bool = False,
) -> None:
    """One connection: one call, which ends with it.

    Args:
        socket: The connection.
        flow: Id of the flow that answers, and greets at once; by default the setting CHAT_FLOW.
        details: Send `session`, `waterfall` and `spoken_words` messages, too.
    """
    app = socket.app.state
    await socket.accept()
    client = _Socket(socket)
    options = CallOptions(flow or None, details, caller_of(socket).owner)
    call = VoiceCall(client, app.parts, app.engine, app.voices, app.settings, options)
    try:
        async with call:
            await call.begin()
            receiving = asyncio.ensure_future(_receive(socket, client, call))
            failing = asyncio.ensure_future(call.failed())
            try:
                await asyncio.wait((receiving, failing), return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (receiving, failing):
                    task.cancel()
                results = await asyncio.gather(receiving, failing, return_exceptions=True)
            for result in results:
                if isinstance(result, BaseException) and not isinstance(
                    result, asyncio.CancelledError
                ):
                    raise result
    except (_ClientGoneError, WebSocketDisconnect):
        return
    except ParleyError as error:
        await _close(socket, error.wire.ws_close, error.message)


async def _receive(socket: WebSocket, client: _Socket, call: VoiceCall) -> None:
    """Reads until the client leaves; what it gets wrong is answered, what is too much ends it."""
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        try:
            if (data := message.get("bytes")) is not None:
                if len(data) > MAX_AUDIO_BYTES:
                    raise StreamError(
                        "message_too_large", f"A frame may have {MAX_AUDIO_BYTES} bytes."
                    )
                await call.hear(data)
            else:
                await _handle(message.get("text") or "", call)
        except StreamError:
            raise
        except ParleyError as error:
            await client.send({"type": "error", "code": error.code, "message": error.message})


async def _handle(text: str, call: VoiceCall) -> None:
    if len(text) > MAX_TEXT_BYTES:
        raise StreamError("message_too_large", f"A message may have {MAX_TEXT_BYTES} characters.")
    try:
        message = client_message.validate_json(text)
    except ValidationError as error:
        raise _invalid(error) from error
    match message:
        case UserMessage():
            await call.say(message.data.text)
        case StartListening():
            await call.start_listening(message.data.sample_rate)
        case StopListening():
            await call.stop_listening()
        case SetModel():
            await call.set_model(message.data)
        case SetCharacters():
            await call.set_characters(message.data)
        case Interrupt():
            await call.interrupt()


def _invalid(error: ValidationError) -> FlowError:
    problem = error.errors(include_url=False, include_input=False)[0]
    place = problem["loc"][1:]  # the first part is the message's type
    message = f"{path_text(place) or 'message'}: {in_words(problem)}"
    return FlowError("request_invalid", message, path=path_text(place) or None)


async def _close(socket: WebSocket, code: int, reason: str) -> None:
    """Says goodbye behind what the client has not read yet, if it reads that in time."""
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await socket.close(code, close_reason(reason))
    except (TimeoutError, RuntimeError, WebSocketDisconnect):
        return
