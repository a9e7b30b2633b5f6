"""A LiveKit server that keeps trunks and rules in Redis, and `parley sip` to set it up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stack.livekit_server import find_or_build
from stack.ports import free_port
from tests.integration.processes import started

KEY, SECRET = "APItest", "0123456789abcdef0123456789abcdef"


@dataclass(frozen=True, slots=True)
class SipServer:
    """LiveKit with Redis."""

    url: str
    redis_port: int


@contextmanager
def livekit(folder: Path, redis_port: int | None) -> Iterator[str]:
    """A LiveKit server; gives its URL."""
    port = free_port()
    config = {
        "port": port,
        "bind_addresses": ["127.0.0.1"],
        "rtc": {"tcp_port": free_port(), "udp_port": free_port()},
        "keys": {KEY: SECRET},
    }
    if redis_port is not None:
        config["redis"] = {"address": f"127.0.0.1:{redis_port}"}
    argv = [str(find_or_build(lambda _: None)), "--config-body", json.dumps(config)]
    with started(argv, folder, says=b"starting LiveKit server"):
        yield f"ws://127.0.0.1:{port}"


@contextmanager
def livekit_with_sip(folder: Path) -> Iterator[SipServer]:
    """A LiveKit server with a Redis of its own."""
    port = free_port()
    argv = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with started(argv, folder, says=b"Ready to accept"), livekit(folder, port) as url:
        yield SipServer(url, port)


def sip(url: str, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Runs `parley sip`."""
    return subprocess.run(
        [sys.executable, "-m", "stack.sip", *arguments],
        env={
            **os.environ,
            "LIVEKIT_URL": url,
            "LIVEKIT_API_KEY": KEY,
            "LIVEKIT_API_SECRET": SECRET,
            **env,
        },
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
