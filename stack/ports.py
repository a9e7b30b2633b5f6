"""Whether ports are free, and who holds them if not."""

from __future__ import annotations

import errno
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


def require_bindable(port: Port) -> None:
    """Binds it, as the part will.

    Raises:
        OSError: With the reason; a `socket.gaierror` for a host that is no address of any.
    """
    kind = socket.SOCK_STREAM if port.kind == "tcp" else socket.SOCK_DGRAM
    family = socket.AF_INET6 if ":" in port.host else socket.AF_INET
    with socket.socket(family, kind) as probe:
        if port.kind == "tcp":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((port.host, port.number))


def require_free(ports: Iterable[Port]) -> None:
    """Checks ports before anything is started.

    Raises:
        ConfigError: `port_in_use`, naming the port, who holds it where that can be known, and
            the variable that moves it; `setting_invalid` if two parts want the same one, or it
            cannot be listened on at all.
    """
    taken: dict[tuple[str, int], Port] = {}
    for port in ports:
        other = taken.setdefault((port.kind, port.number), port)
        if other is not port:
            raise ConfigError(
                "setting_invalid",
                f"{other.variable} and {port.variable} are both {port.number}: give each its own.",
            )
        try:
            require_bindable(port)
        except OSError as error:
            raise _refused(port, error) from error


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        number: int = probe.getsockname()[1]
    return number


def _refused(port: Port, error: OSError) -> ConfigError:
    name = f"{port.kind.upper()} port {port.number}"
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        host = port.variable.removesuffix("_PORT") + "_HOST"
        return ConfigError(
            "setting_invalid",
            f"{host}: {port.host} is not an address of this machine, so {port.part} cannot listen "
            "there. 127.0.0.1 serves this machine alone, 0.0.0.0 others too.",
        )
    if error.errno == errno.EADDRINUSE:
        return ConfigError(
            "port_in_use",
            f"{name} for {port.part} is in use{_holder(port)}. Stop that program, or set "
            f"{port.variable} to a free port.",
        )
    why = "takes more rights" if error.errno == errno.EACCES else f"failed ({error.strerror})"
    return ConfigError(
        "setting_invalid",
        f"Listening on {name} for {port.part} {why}. Set {port.variable} to one above 1023.",
    )


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
