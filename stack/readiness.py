"""Probes that tell whether a part serves; `python -m stack.readiness URL` is one for containers."""

from __future__ import annotations

import asyncio
import contextlib
import sys

import httpx

from stack.supervisor import Probe

PROBE_TIMEOUT_S = 2.0


def http_ok(url: str) -> Probe:
    """A probe that holds once a GET of `url` is answered with 200."""

    async def probe() -> bool:
        return await get_status(url) == 200

    return probe


async def get_status(url: str, timeout_s: float = PROBE_TIMEOUT_S) -> int | None:
    """The status of a GET, or None when nobody answers."""
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=timeout_s) as client:
            return (await client.get(url)).status_code
    except httpx.TransportError:
        return None


def tcp_open(host: str, port: int) -> Probe:
    """A probe that holds once a connection is accepted."""

    async def probe() -> bool:
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                _, writer = await asyncio.open_connection(host, port)
        except (OSError, TimeoutError):
            return False
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return True

    return probe


def main() -> int:
    """Gives 0 if a GET of the one argument is answered with 200."""
    return 0 if asyncio.run(get_status(sys.argv[1])) == 200 else 1


if __name__ == "__main__":
    sys.exit(main())
