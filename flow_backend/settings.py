"""The backend's settings: the one place where its environment is read."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from flow_backend.doors.room_settings import RoomSettings
from flow_backend.llm.settings import LLMSettings
from protocol.settings import LogLevel


class BackendSettings(LLMSettings, RoomSettings):
    """Where the backend listens and what it may use; models and rooms are in the base classes."""

    host: str = Field(default="127.0.0.1", validation_alias="BACKEND_HOST")
    """Address on which the backend listens."""
    port: int = Field(default=8000, ge=0, le=65535, validation_alias="BACKEND_PORT")
    """Port of the backend and the page; 0: any."""
    log_level: LogLevel = "INFO"
    """Least severity that is logged."""
    flows_dir: Path | None = None
    """A folder with flows in YAML or JSON, loaded at start beside the ones that ship with us."""
    reader_grace_s: float = Field(default=5.0, ge=0, le=3600)
    """Seconds for which a turn that nobody reads goes on, so that it can be resumed."""
    ping_s: float = Field(default=10.0, gt=0, le=300)
    """Seconds between pings on a stream."""
    max_request_bytes: int = Field(default=2_000_000, ge=1024)
    """Largest request body."""
