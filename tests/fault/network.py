"""A bad network between one process and a LiveKit server: loses, delays, reorders, breaks off.

LiveKit's UDP candidate names an address of loopback at which only the relay listens, and there is
no TCP candidate and no check from the server's side, so that no media finds another way.
"""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import cast

import psutil

RELAY_HOST = "127.0.0.2"
SERVER_HOST = "127.0.0.1"

Address = tuple[str, int]


class MediaRelay(asyncio.DatagramProtocol):
    """Carries UDP between participants and the server's media port.

    Only this process's packets suffer; the agent's, of another process, are passed on.

    Attributes:
        loss: Share of the packets, each way, that are lost.
        jitter_s: Each packet that is not lost comes so much later at most.
        broken: Nothing passes.
        carried: Packets of this process that were passed on.
        lost: Those that were not.
    """

    def __init__(self, port: int, rng: random.Random) -> None:
        self.loss = 0.0
        self.jitter_s = 0.0
        self.broken = False
        self.carried = 0
        self.lost = 0
        self._port = port
        self._rng = rng
        self._ways: dict[Address, _Way] = {}
        self._transport: asyncio.DatagramTransport | None = None

    @classmethod
    @asynccontextmanager
    async def on(cls, port: int, seed: int = 1) -> AsyncIterator[MediaRelay]:
        """Listens on the relay's address at the server's own port."""
        loop = asyncio.get_running_loop()
        transport, relay = await loop.create_datagram_endpoint(
            lambda: cls(port, random.Random(seed)), local_addr=(RELAY_HOST, port)
        )
        relay._transport = transport
        try:
            yield relay
        finally:
            transport.close()
            for way in relay._ways.values():
                way.close()

    def datagram_received(self, data: bytes, addr: Address) -> None:
        way = self._ways.get(addr)
        if way is None:
            way = self._ways[addr] = _Way(self, addr, self._port, ours=addr[1] in _own_ports())
        self._pass(data, way, to_server=True)

    def _pass(self, data: bytes, way: _Way, *, to_server: bool) -> None:
        delay_s = 0.0
        if way.ours:
            if self.broken or self._rng.random() < self.loss:
                self.lost += 1
                return
            self.carried += 1
            delay_s = self._rng.uniform(0, self.jitter_s)
        asyncio.get_running_loop().call_later(delay_s, self._send, data, way, to_server)

    def _send(self, data: bytes, way: _Way, to_server: bool) -> None:
        if to_server and way.transport is not None:
            way.transport.sendto(data)
        elif not to_server and self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(data, way.client)


class _Way(asyncio.DatagramProtocol):
    """One client's way to the server, from a port of its own."""

    def __init__(self, relay: MediaRelay, client: Address, port: int, *, ours: bool) -> None:
        self.client = client
        self.ours = ours
        self.transport: asyncio.DatagramTransport | None = None
        self._relay = relay
        loop = asyncio.get_running_loop()
        # What comes before the way is open is lost, as on any network.
        self._opening = asyncio.ensure_future(
            loop.create_datagram_endpoint(lambda: self, remote_addr=(SERVER_HOST, port))
        )

    def close(self) -> None:
        self._opening.cancel()
        if self.transport is not None:
            self.transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self._relay._pass(data, self, to_server=False)


class SignalRelay:
    """Carries the TCP connections of clients to the server until it is broken."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.broken = False
        self.url = ""

    @classmethod
    @asynccontextmanager
    async def on(cls, port: int) -> AsyncIterator[SignalRelay]:
        """Listens on a free port."""
        relay = cls(port)
        server = await asyncio.start_server(relay._carry, "127.0.0.1", 0)
        relay.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield relay
        finally:
            server.close()
            relay.break_off()
            await server.wait_closed()

    def break_off(self) -> None:
        """Ends all connections; new ones are refused until `broken` is unset."""
        self.broken = True
        for writer in self._writers:
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.broken:
            writer.transport.abort()
            return
        up_reader, up_writer = await asyncio.open_connection(SERVER_HOST, self._port)
        self._writers |= {writer, up_writer}
        await asyncio.gather(_pump(reader, up_writer), _pump(up_reader, writer))
        self._writers -= {writer, up_writer}


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.transport.abort()


def _own_ports() -> set[int]:
    return {
        connection.laddr.port
        for connection in psutil.Process().net_connections("udp")
        if connection.type == socket.SOCK_DGRAM and connection.laddr
    }
