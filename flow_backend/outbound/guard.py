"""Keeps flows from reaching addresses inside the operator's network (SSRF).

Names are resolved here and every address that comes back is judged; the connection is then made to
a judged address and not by name, so that a name cannot answer differently a second time. Each
redirect opens its own connection and is judged the same way.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Iterable

import httpcore
import httpx

from protocol.errors import FlowError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_INSIDE = [
    ipaddress.ip_network(network)
    for network in (
        "192.0.0.0/24",  # IETF protocol assignments (RFC 6890); Oracle's metadata stood there
        "192.88.99.0/24",  # relays of 6to4, withdrawn (RFC 7526)
        "168.63.129.16/32",  # Azure's host, with the keys of the machine's extensions
        "fec0::/10",  # site-local, withdrawn but routed inside (RFC 3879)
        "3fff::/20",  # documentation (RFC 9637)
    )
]
"""Networks that `is_global` of this or an older Python takes for public."""


class AddressGuard:
    """Judges addresses.

    Args:
        allowed: Hosts (`name` or `name:port`) and networks (`10.1.0.0/16`) that flows may reach
            although they are private; `*` for everything.
    """

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._hosts: set[str] = set()
        self._networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
        self._everything = False
        for entry in allowed:
            if entry == "*":
                self._everything = True
                continue
            try:
                self._networks.append(ipaddress.ip_network(entry, strict=False))
            except ValueError:
                self._hosts.add(entry.lower().rstrip("."))

    async def resolve(self, host: str, port: int) -> list[str]:
        """Addresses of a host that may be reached.

        Raises:
            FlowError: `http_refused` if none may; `http_failed` if the name does not resolve.
        """
        name = host.lower().rstrip(".").strip("[]")
        try:
            found = await asyncio.get_running_loop().getaddrinfo(
                name, port, type=socket.SOCK_STREAM
            )
        except (OSError, UnicodeError) as error:
            raise FlowError("http_failed", f"The host {host!r} cannot be found.") from error
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        if self._everything or name in self._hosts or f"{name}:{port}" in self._hosts:
            return addresses
        refused = [address for address in addresses if not self.may_reach(address)]
        if refused or not addresses:
            raise FlowError(
                "http_refused",
                f"{host!r} is an address inside a private network, which flows may not reach. "
                "Add the host to HTTP_ALLOWED_HOSTS if they are to.",
            )
        return addresses

    def may_reach(self, text: str) -> bool:
        """Whether an address is public, or in an allowed network."""
        try:
            address: Address = ipaddress.ip_address(text.partition("%")[0])
        except ValueError:
            return False
        if any(address in network for network in self._networks):
            return True
        return all(_is_public(form) for form in _forms(address))


def _forms(address: Address) -> list[Address]:
    """An address, and the IPv4 address that an IPv6 one may stand for."""
    forms: list[Address] = [address]
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            forms = [address.ipv4_mapped]
        elif address.sixtofour:
            forms.append(address.sixtofour)
        elif address.teredo:
            forms.extend(address.teredo)
        elif address in _NAT64:
            forms = [ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)]
    return forms


def _is_public(address: Address) -> bool:
    return address.is_global and not (
        address.is_multicast
        or address.is_reserved
        or address.is_unspecified
        or any(address in network for network in _INSIDE)
    )


class _GuardedBackend(httpcore.AsyncNetworkBackend):
    """Opens TCP connections to judged addresses only."""

    def __init__(self, guard: AddressGuard) -> None:
        self._guard = guard
        self._backend = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Resolves, judges, and connects to the first address that answers."""
        failure: Exception | None = None
        for address in await self._guard.resolve(host, port):
            try:
                return await self._backend.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure or httpcore.ConnectError(f"no address for {host}")

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Refuses: no URL of a flow leads to a socket file."""
        raise httpcore.ConnectError("socket files are not reachable")

    async def sleep(self, seconds: float) -> None:
        """Waits between two tries."""
        await asyncio.sleep(seconds)


def guarded_transport(guard: AddressGuard) -> httpx.AsyncHTTPTransport:
    """An httpx transport whose connections all pass the guard; no proxy is used."""
    transport = httpx.AsyncHTTPTransport(trust_env=False)
    transport._pool = httpcore.AsyncConnectionPool(
        ssl_context=ssl.create_default_context(),
        max_connections=100,
        max_keepalive_connections=20,
        keepalive_expiry=5.0,
        network_backend=_GuardedBackend(guard),
    )
    return transport
