"""The part of the backend's settings that is about who may call, and how much."""

from __future__ import annotations

import ipaddress
from typing import Literal

from pydantic import Field, SecretStr, field_validator

from flow_backend.api.rate_limit import parse_limits
from protocol.settings import EnvSettings


class AccessSettings(EnvSettings):
    """Keys, limits, and the origins whose pages may call."""

    host: str = Field(default="127.0.0.1", validation_alias="BACKEND_HOST")
    """Address on which the backend listens. Any but loopback asks callers for an API key."""
    api_keys: Literal["auto", "required"] = "auto"
    """`required` asks for keys on loopback too, as behind a reverse proxy on the same machine;
    `auto`: on every other address."""
    parley_api_key: SecretStr | None = Field(default=None, min_length=32)
    """A key that callers may use beside those of `parley keys`; it may talk. The worker and the
    commands send it."""
    door_rate_limit: str = "240/minute"
    """How often one client address may call the doors, as `10/second;240/minute`; empty: no
    limit."""
    key_rate_limit: str = "1200/minute"
    """How often one API key may call anything, unless the key has a limit of its own; empty: no
    limit."""
    address_concurrency: int = Field(default=200, ge=0)
    """Requests, streams and sockets at once from one client address; 0: no limit."""
    key_concurrency: int = Field(default=100, ge=0)
    """The same with one API key, unless it has a limit of its own."""
    max_streams: int = Field(default=0, ge=0, le=1_000_000)
    """Turns and answers in text at once, of all callers together; further ones get 503 with
    Retry-After. 0: 150 for each core."""
    max_spoken: int = Field(default=0, ge=0, le=1_000_000)
    """The same for answers with speech. 0: 8 for each core."""
    max_sockets: int = Field(default=0, ge=0, le=1_000_000)
    """The same for WebSocket calls, for as long as they are open. 0: 32 for each core."""
    trusted_proxies: str = "127.0.0.1"
    """Addresses and networks of reverse proxies whose `X-Forwarded-For` is believed, with commas
    between."""
    cors_origins: str = ""
    """Origins beside the page's own whose pages may call, with commas between; `*` for all. On
    loopback, pages at localhost may call too."""

    @field_validator("door_rate_limit", "key_rate_limit")
    @classmethod
    def _is_rate(cls, value: str) -> str:
        try:
            parse_limits(value)
        except ValueError as error:
            raise ValueError("expected a rate, as in 10/second;240/minute") from error
        return value

    @property
    def local(self) -> bool:
        """Only this machine reaches the backend."""
        return is_loopback(self.host)

    @property
    def keys_required(self) -> bool:
        """Callers need a key."""
        return self.api_keys == "required" or not self.local


def is_loopback(host: str) -> bool:
    """Whether an address, or a name, is of this machine alone."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower().rstrip(".") in ("localhost", "localhost.localdomain")
