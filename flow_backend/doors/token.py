"""`POST /api/token`: access tokens in LiveKit's TokenSource shape.

Format: https://docs.livekit.io/frontends/authentication/tokens/endpoint. A token lets its holder
join one room, listen, publish a microphone and send data, and nothing else.
"""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from google.protobuf.json_format import ParseDict, ParseError
from livekit import api
from pydantic import BaseModel, ConfigDict, Field

from flow_backend.access.gate import Caller, caller_of
from flow_backend.doors.room_settings import RoomSettings
from protocol.errors import ConfigError, FlowError

router = APIRouter(tags=["rooms"])

CallerDep = Annotated[Caller, Depends(caller_of)]

ROOM_OPTIONS = frozenset(
    {"agents", "metadata", "empty_timeout", "departure_timeout", "max_participants"}
)
"""What a caller may choose of a room: nothing that records it or sends it elsewhere."""
MAX_AGENTS = 4

Name = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f\x7f]+$")]


class TokenRequest(BaseModel):
    """Every field is optional; what is left out is made up or left empty."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"room_name": "kitchen", "participant_name": "Ada"}]},
    )

    room_name: Annotated[Name, Field(max_length=200)] | None = None
    participant_identity: Name | None = None
    participant_name: Annotated[str, Field(max_length=256)] = ""
    participant_metadata: Annotated[str, Field(max_length=16_384)] = ""
    participant_attributes: dict[
        Annotated[str, Field(min_length=1, max_length=256)], Annotated[str, Field(max_length=4096)]
    ] = Field(default_factory=dict, max_length=64)
    room_config: dict[str, Any] | None = None
    """LiveKit's RoomConfiguration as JSON, snake_case or camelCase."""


class TokenResponse(BaseModel):
    """Where to connect, and with what."""

    server_url: str
    participant_token: str


@router.post("/api/token", status_code=201)
async def create_token(
    request: Request, caller: CallerDep, body: TokenRequest | None = None
) -> TokenResponse:
    """Gives a short-lived token for one room."""
    return issue_token(request.app.state.settings, body or TokenRequest(), caller.sees)


def issue_token(
    settings: RoomSettings, request: TokenRequest, key_id: str | None = None
) -> TokenResponse:
    """Signs a token.

    Args:
        settings: Where the rooms are, and what signs.
        request: What the caller wants.
        key_id: The API key whose rooms the caller may join: the room's name begins with it, so
            that nobody joins a call of another key by guessing its name. None: any room.

    Raises:
        ConfigError: `setting_missing` if there is no LiveKit server to send the caller to.
        FlowError: `request_invalid`, with the path, for a room configuration that is not
            LiveKit's or asks for more than a caller may choose.
    """
    url = settings.livekit_public_url or settings.livekit_url
    absent = [
        name
        for name, value in (
            ("LIVEKIT_URL", url),
            ("LIVEKIT_API_KEY", settings.livekit_api_key),
            ("LIVEKIT_API_SECRET", settings.livekit_api_secret),
        )
        if not value
    ]
    if absent or url is None or settings.livekit_api_secret is None:
        raise ConfigError(
            "setting_missing",
            f"This backend has no LiveKit server: {', '.join(absent)} not set. Start the whole "
            "stack with `parley up`, or set them.",
        )
    room = request.room_name or f"room-{secrets.token_hex(16)}"
    token = (
        api.AccessToken(settings.livekit_api_key, settings.livekit_api_secret.get_secret_value())
        .with_identity(request.participant_identity or f"caller-{secrets.token_hex(16)}")
        .with_name(request.participant_name)
        .with_metadata(request.participant_metadata)
        .with_attributes(request.participant_attributes)
        .with_ttl(timedelta(seconds=settings.token_ttl_s))
        .with_grants(
            api.VideoGrants(
                room_join=True,
                room=room if key_id is None else f"{key_id}.{room}",
                can_publish=True,
                can_publish_sources=["microphone"],
                can_publish_data=True,
                can_subscribe=True,
            )
        )
    )
    configuration = _room_configuration(request.room_config or {})
    if settings.agent_name and not configuration.agents:
        configuration.agents.append(api.RoomAgentDispatch(agent_name=settings.agent_name))
    if configuration.ListFields():
        token = token.with_room_config(configuration)
    return TokenResponse(
        server_url=url.replace("http", "ws", 1) if url.startswith("http") else url,
        participant_token=token.to_jwt(),
    )


def _room_configuration(document: dict[str, Any]) -> api.RoomConfiguration:
    try:
        configuration: api.RoomConfiguration = ParseDict(document, api.RoomConfiguration())
    except (ParseError, ValueError, TypeError) as error:
        raise FlowError(
            "request_invalid",
            f"room_config is not a LiveKit RoomConfiguration: {error}",
            path="room_config",
        ) from error
    for field, _ in configuration.ListFields():
        if field.name not in ROOM_OPTIONS:
            raise FlowError(
                "request_invalid",
                f"room_config.{field.name} may not be chosen by a caller; these may: "
                f"{', '.join(sorted(ROOM_OPTIONS))}.",
                path=f"room_config.{field.name}",
            )
    if len(configuration.agents) > MAX_AGENTS:
        raise FlowError(
            "request_invalid",
            f"room_config.agents: at most {MAX_AGENTS}.",
            path="room_config.agents",
        )
    return configuration
