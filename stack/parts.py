"""The parts of the stack as processes: their commands, environment, order and readiness."""

from __future__ import annotations

import sys
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import httpx

from protocol.errors import ConfigError
from stack import livekit_server, llm_server
from stack.livekit_keys import KeyPair
from stack.ports import Port
from stack.readiness import http_ok
from stack.settings import StackSettings
from stack.supervisor import Part

NAMES = ("livekit", "llm", "backend", "worker")
"""In the order of starting; also what `--without` takes."""

DRAIN_S = 3
"""How long calls go on after a Ctrl-C; a worker that runs alone has the setting DRAIN_S."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be started."""

    parts: list[Part]
    ports: list[Port]
    """All that must be free."""


def make_plan(
    settings: StackSettings,
    pair: KeyPair,
    *,
    livekit: Path | None,
    llm: str | None,
    embedded_llm: bool,
    without: Collection[str] = (),
) -> Plan:
    """Lists the parts in the order of starting.

    Args:
        settings: The stack's settings.
        pair: Signs tokens.
        livekit: Our LiveKit server's program; None if it is not to be run.
        llm: What the backend's `LLM` should be; None to leave it as it is set.
        embedded_llm: Whether the embedded model is to be served.
        without: Names of parts to leave out.
    """
    parts: list[Part] = []
    ports: list[Port] = []

    def add(part: Part, *used: Port) -> None:
        if part.name not in without:
            parts.append(part)
            ports.extend(used)

    rooms = livekit is not None or settings.livekit_url is not None
    shared = {
        "PYTHONUNBUFFERED": "1",
        "ORT_DISABLE_TELEMETRY": "1",
        **({"LIVEKIT_URL": livekit_url(settings)} if rooms else {}),
        "LIVEKIT_API_KEY": pair.key,
        "LIVEKIT_API_SECRET": pair.secret,
        "BACKEND_URL": backend_url(settings),
    }
    if livekit is not None:
        add(
            Part(
                "livekit",
                (str(livekit),),
                http_ok(f"http://127.0.0.1:{settings.livekit_port}/"),
                env={
                    "LIVEKIT_CONFIG": livekit_server.configuration(settings, pair.key, pair.secret)
                },
                ready_within_s=30,
            ),
            Port(settings.livekit_port, "LiveKit", "LIVEKIT_PORT"),
            Port(settings.livekit_tcp_port, "LiveKit's media", "LIVEKIT_TCP_PORT"),
            Port(settings.livekit_udp_port, "LiveKit's media", "LIVEKIT_UDP_PORT", "udp"),
        )
    local_llm_root = root_url(settings.llm_server_host, settings.llm_server_port)
    if embedded_llm:
        add(
            Part(
                "llm",
                _module("stack.llm_server"),
                http_ok(f"{local_llm_root}/health"),
                ready_within_s=300,
            ),
            Port(
                settings.llm_server_port,
                "the embedded language model",
                "LLM_SERVER_PORT",
                host=settings.llm_server_host,
            ),
        )
    local_llm = {}
    if embedded_llm:
        local_llm = {
            "LOCAL_LLM_URL": f"{local_llm_root}/v1",
            "LOCAL_LLM_MODEL": llm_server.model_file(settings).stem,
        }
    add(
        Part(
            "backend",
            _module("flow_backend"),
            http_ok(f"{backend_url(settings)}/readyz"),
            ready_within_s=120,
            stop_within_s=DRAIN_S + 12,
            env={
                **shared,
                "BACKEND_DRAIN_S": str(DRAIN_S),
                **local_llm,
                **({"LLM": llm} if llm is not None else {}),
                "WORKER_URL": f"http://127.0.0.1:{settings.worker_port}",
            },
        ),
        Port(settings.backend_port, "the backend", "BACKEND_PORT", host=settings.backend_host),
    )
    if rooms:
        add(
            Part(
                "worker",
                _module("agent_worker"),
                http_ok(f"http://127.0.0.1:{settings.worker_port}/readyz"),
                after=_those(parts, "livekit", "llm", "backend"),
                env={
                    **shared,
                    "WORKER_PORT": str(settings.worker_port),
                    "DRAIN_S": str(DRAIN_S),
                },
                ready_within_s=180,
                stop_within_s=DRAIN_S + 15,
            ),
            Port(settings.worker_port, "the worker's health page", "WORKER_PORT"),
        )
    return Plan(parts, ports)


def livekit_url(settings: StackSettings) -> str:
    """Where the LiveKit server is, for those who connect to it."""
    return settings.livekit_url or f"ws://127.0.0.1:{settings.livekit_port}"


def backend_url(settings: StackSettings) -> str:
    """Root of the backend, as this machine reaches it."""
    return root_url(settings.backend_host, settings.backend_port)


def backend_root(given: str | None, settings: StackSettings) -> str:
    """Root of the backend that `--backend` names, without a slash at its end, or of ours.

    Raises:
        ConfigError: `setting_invalid` if it is no such address.
    """
    if given is None:
        return backend_url(settings)
    try:
        url = httpx.URL(given)
    except (httpx.InvalidURL, UnicodeError):
        url = httpx.URL()
    if url.scheme not in ("http", "https") or not url.host:
        raise ConfigError(
            "setting_invalid",
            f"--backend {given!r} is no address of a backend. One looks like "
            "http://127.0.0.1:8000.",
        )
    return given.rstrip("/")


def root_url(host: str, port: int) -> str:
    """Root of a server of ours that listens on this address, as this machine reaches it."""
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://{f'[{reached}]' if ':' in reached else reached}:{port}"


def _module(name: str) -> tuple[str, ...]:
    return (sys.executable, "-m", name)


def _those(parts: list[Part], *names: str) -> tuple[str, ...]:
    return tuple(part.name for part in parts if part.name in names)
