"""Settings of the `parley` command: which parts it starts, and where they listen."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from protocol.recordings import BucketSettings
from protocol.settings import LIVEKIT_URL_PATTERN


class StackSettings(BucketSettings):
    """What `parley` reads; it hands each part what that part needs."""

    livekit_url: str | None = Field(
        default=None,
        pattern=LIVEKIT_URL_PATTERN,
        description="LiveKit server to use; without one, the stack runs its own.",
    )
    livekit_api_key: str | None = Field(
        default=None, description="API key of the LiveKit server; made on the first run."
    )
    livekit_api_secret: SecretStr | None = Field(
        default=None, description="Its secret, 32 bytes or more; made on the first run."
    )
    livekit_port: int = Field(
        default=7880, ge=1, le=65535, description="TCP port of our LiveKit server: signalling."
    )
    livekit_tcp_port: int = Field(
        default=7881, ge=1, le=65535, description="TCP port of our LiveKit server: media."
    )
    livekit_udp_port: int = Field(
        default=7882, ge=1, le=65535, description="UDP port of our LiveKit server: media."
    )
    backend_host: str = Field(
        default="127.0.0.1", description="Address on which the backend listens."
    )
    backend_port: int = Field(
        default=8000, ge=1, le=65535, description="Port of the backend and the page."
    )
    api_keys: Literal["auto", "required"] = Field(
        default="auto",
        description=(
            "`required` has the backend ask for API keys on loopback too; `auto`: on every other "
            "address."
        ),
    )
    parley_api_key: SecretStr | None = Field(
        default=None,
        min_length=32,
        description="API key for the backend: `parley keys create --save` makes one.",
    )
    recordings_dir: Path | None = Field(
        default=None, description="Folder in which the worker records calls; unset: it does not."
    )
    worker_port: int = Field(
        default=8081, ge=1, le=65535, description="Port of the worker's health page, loopback only."
    )
    llm_server_host: str = Field(
        default="127.0.0.1",
        description="Address on which the embedded language model listens; it asks for no key.",
    )
    llm_server_port: int = Field(
        default=8090, ge=1, le=65535, description="Port of the embedded language model."
    )
    llm_model_path: Path | None = Field(
        default=None, description="A gguf file for the embedded model instead of SmolLM2."
    )
    llm_context_tokens: int = Field(
        default=8192, ge=512, description="Context of the embedded model, shared by its slots."
    )
    llm_parallel: int = Field(
        default=4, ge=2, description="Answers that the embedded model writes at once."
    )
    llm_threads: int = Field(
        default=0,
        ge=0,
        description="Threads of the embedded model; 0: half the cores, the voices need the others.",
    )
