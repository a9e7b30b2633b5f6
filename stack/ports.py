"""Whether ports are free, and who holds them if not."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import psutil

from protocol.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Port:
    """A port that a part is about to listen on."""

    number: int
    part: str
    variable: str
    """The setting that moves it."""
    kind: Literal["tcp", "udp"] = "tcp"
    host: str = "127.0.0.1"


def is_free(port: Port) -> bool:
    """Tries to bind it, as the part will."""
    kind = socket.SOCK_STREAM if port.kind == "tcp" else socket.SOCK_DGRAM
    family = socket.AF_INET6 if ":" in port.host else socket.AF_INET
    with socket.socket(family, kind) as probe:
        if port.kind == "tcp":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((port.host, port.number))
        except OSError:
            return False
    return True


def require_free(ports: Iterable[Port]) -> None:
    """Checks ports before anything is started.

    Raises:
        ConfigError: `port_in_use`, naming the port, who holds it where that can be known, and
            the variable that moves it; `setting_invalid` if two parts want the same one.
    """
    taken: dict[tuple[str, int], Port] = {}
    for port in ports:
        other = taken.setdefault((port.kind, port.number), port)
        if other is not port:
            raise ConfigError(
                "setting_invalid",
                f"{other.variable} and {port.variable} are both {port.number}: give each its own.",
            )
        if not is_free(port):
            raise ConfigError(
                "port_in_use",
                f"{port.kind.upper()} port {port.number} for {port.part} is in use"
                f"{_holder(port)}. Stop that program, or set {port.variable} to a free port.",
            )


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        number: int = probe.getsockname()[1]
    return number


def _holder(port: Port) -> str:
    try:
        for connection in psutil.net_connections(port.kind):
            listening = port.kind == "udp" or connection.status == psutil.CONN_LISTEN
            if listening and connection.laddr and connection.laddr.port == port.number:
                name = psutil.Process(connection.pid).name() if connection.pid else None
                return f" by {name} (process {connection.pid})" if name else ""
    except psutil.Error:
        return ""
    return ""
