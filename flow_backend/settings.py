"""The backend's settings: the one place where its environment is read."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from flow_backend.llm.settings import LLMSettings


class BackendSettings(LLMSettings):
    """Where the backend listens and what it may use; language models are in the base class."""

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$")
    flows_dir: Path | None = None
    """A folder with flows in YAML or JSON, loaded at start beside the ones that ship with us."""
    reader_grace_s: float = Field(default=5.0, ge=0, le=3600)
    """Seconds for which a turn that nobody reads goes on, so that it can be resumed."""
    ping_s: float = Field(default=10.0, gt=0, le=300)
    """Seconds between pings on a stream."""
    max_request_bytes: int = Field(default=2_000_000, ge=1024)
    """Largest request body."""
