"""A way between two parts that stops carrying, without a word to either."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class Relay:
    """Carries TCP connections to a port of loopback.

    Attributes:
        url: The way's begin, as an HTTP address.
        connections: How many were opened.
        cuts: What a client may not send: its connection breaks there.
        has_cut: One broke.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._carrying: set[asyncio.Task[None]] = set()
        self._held: list[asyncio.StreamWriter] = []
        self.url = ""
        self.connections = 0
        self.cuts: bytes | None = None
        self.has_cut = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def to(cls, url: str) -> AsyncIterator[Relay]:
        """Listens on a free port."""
        relay = cls(int(url.removesuffix("/v1").rpartition(":")[2]))
        server = await asyncio.start_server(relay._carry, "127.0.0.1", 0)
        relay.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield relay
        finally:
            server.close()
            relay.freeze()
            for writer in relay._held:
                writer.transport.abort()

    def freeze(self) -> None:
        """The connections that there are carry nothing any more, and stay open; new ones do."""
        for task in self._carrying:
            task.cancel()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._held += [writer, up_writer]
        for source, target in ((reader, up_writer), (up_reader, writer)):
            task = asyncio.create_task(self._pump(source, target))
            self._carrying.add(task)
            task.add_done_callback(self._carrying.discard)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                if self.cuts is not None and self.cuts in data:
                    self.has_cut.set()
                    break
                writer.write(data)
                await writer.drain()
        writer.close()
