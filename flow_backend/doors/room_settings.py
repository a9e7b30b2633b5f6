"""The part of the backend's settings that is about LiveKit rooms."""

from __future__ import annotations

from pydantic import Field, SecretStr

from protocol.settings import HTTP_URL_PATTERN, LIVEKIT_URL_PATTERN, EnvSettings


class RoomSettings(EnvSettings):
    """Which LiveKit server callers are sent to, and how their tokens are signed."""

    livekit_url: str | None = Field(
        default=None, pattern=LIVEKIT_URL_PATTERN, description="LiveKit server."
    )
    livekit_public_url: str | None = Field(
        default=None,
        pattern=LIVEKIT_URL_PATTERN,
        description="The same server as callers reach it, where that differs from LIVEKIT_URL.",
    )
    livekit_api_key: str | None = Field(
        default=None, description="API key of the LiveKit server, which signs access tokens."
    )
    livekit_api_secret: SecretStr | None = Field(default=None, description="Its secret.")
    agent_name: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9._-]*$",
        description="Agent that tokens ask for where the caller names none (explicit dispatch).",
    )
    worker_url: str | None = Field(
        default=None,
        pattern=HTTP_URL_PATTERN,
        description="A worker's health page, shown on the status page; `parley up` sets it.",
    )
    token_ttl_s: int = Field(
        default=600, ge=10, le=86_400, description="How long a token may be used to join a room."
    )
