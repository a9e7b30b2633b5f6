"""A probe for parts that speak no HTTP."""

from __future__ import annotations

import asyncio
import contextlib

from stack.supervisor import Probe


def tcp_open(host: str, port: int) -> Probe:
    """A probe that holds once a connection is accepted."""

    async def probe() -> bool:
        try:
            async with asyncio.timeout(2.0):
                _, writer = await asyncio.open_connection(host, port)
        except (OSError, TimeoutError):
            return False
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return True

    return probe
