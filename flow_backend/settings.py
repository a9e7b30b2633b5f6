"""The backend's settings: the one place where its environment is read."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field, SecretStr

from flow_backend.access.settings import AccessSettings
from flow_backend.doors.chat_settings import ChatSettings
from flow_backend.doors.room_settings import RoomSettings
from flow_backend.llm.settings import LLMSettings
from flow_backend.tutor.settings import TutorSettings
from protocol.errors import ConfigError
from protocol.logs import LogFormat
from protocol.settings import LogLevel
from protocol.tracing import TracingSettings
from speech.settings import SpeechSettings

_SECRET = "FLOW_SECRET_"


def _flow_secrets() -> dict[str, SecretStr]:
    """Every `FLOW_SECRET_<NAME>` of the environment, or the file that `…_FILE` names."""
    secrets = {}
    for variable, value in os.environ.items():
        name = variable.removeprefix(_SECRET).upper()
        if name == variable.upper() or not name:
            continue
        if name.endswith("_FILE"):
            name = name.removesuffix("_FILE")
            try:
                value = Path(value).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigError(
                    "setting_invalid",
                    f"{variable}: the file cannot be read. Name a readable UTF-8 text file.",
                ) from error
        secrets[name] = SecretStr(value)
    return secrets


class BackendSettings(
    AccessSettings,
    LLMSettings,
    RoomSettings,
    SpeechSettings,
    ChatSettings,
    TutorSettings,
    TracingSettings,
):
    """What the backend may use; who may call, models and rooms are in the base classes."""

    port: int = Field(default=8000, ge=0, le=65535, validation_alias="BACKEND_PORT")
    """Port of the backend and the page; 0: any."""
    log_level: LogLevel = "INFO"
    """Least severity that is logged."""
    log_format: LogFormat = "text"
    """`text`, or `json`: one object a line."""
    database_url: str = Field(default="sqlite:///.parley/parley.db", repr=False)
    """`sqlite:///path` or `postgresql://user:password@host/name`."""
    flows_dir: Path | None = None
    """A folder with flows in YAML or JSON, loaded at start beside the ones that ship with us."""
    flow_secrets: dict[str, SecretStr] = Field(default_factory=_flow_secrets)
    """What `${secret:NAME}` in http nodes stands for: a JSON object by name. Unset, it is every
    `FLOW_SECRET_<NAME>`, or the file that `FLOW_SECRET_<NAME>_FILE` names."""
    http_allowed_hosts: str = ""
    """Private hosts (`name`, `name:port`) and networks (`10.1.0.0/16`) that http nodes may reach,
    with commas between; `*` for all."""
    reader_grace_s: float = Field(default=5.0, ge=0, le=3600)
    """Seconds for which a turn that nobody reads goes on, so that it can be resumed."""
    speculation_s: float = Field(default=60.0, gt=0, le=3600)
    """Seconds after which a speculative turn that nobody committed is discarded."""
    session_idle_s: float = Field(default=1800.0, gt=0)
    """Seconds after which a session that nobody uses ends."""
    session_kept_days: float = Field(default=30.0, gt=0)
    """Days for which an ended session stays in the database."""
    conversations_kept_days: float = Field(default=0.0, ge=0)
    """Days after its last message for which a conversation with the tutor stays; 0: until it is
    deleted."""
    history_tokens: int = Field(default=1500, ge=100, le=1_000_000)
    """Tokens of history in a prompt, estimated; older turns are summarised."""
    node_entries_per_turn: int = Field(default=100, ge=1, le=10_000)
    """How many nodes a turn may enter before it counts as a loop."""
    backend_drain_s: float = Field(default=5.0, ge=0, le=3600)
    """Seconds for which answers and WebSocket calls may go on after a stop was asked; what is not
    over by then goes on in another backend, or in this one after its start."""
    ping_s: float = Field(default=10.0, gt=0, le=300)
    """Seconds between pings on a stream."""
    redis_url: str | None = Field(default=None, pattern=r"^rediss?://.+", repr=False)
    """Redis, where replicas count calls together and, on PostgreSQL, share sessions: each runs in
    one replica, every replica serves it, and another goes on with the turns of one that died."""
    replica_lease_s: float = Field(default=5.0, ge=0.5, le=60)
    """Seconds without a sign of life after which the others take a replica's sessions over."""
    max_request_bytes: int = Field(default=2_000_000, ge=1024)
    """Largest request body."""
