"""Probes that tell whether a part serves; `python -m stack.readiness URL` is one for containers."""

from __future__ import annotations

import asyncio
import sys

import aiohttp
import httpx
from livekit import api

from protocol.errors import ConfigError
from stack.livekit_keys import KeyPair
from stack.supervisor import Probe

PROBE_TIMEOUT_S = 2.0
LIVEKIT_TIMEOUT_S = 10.0


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


async def require_livekit(url: str, pair: KeyPair) -> None:
    """Asks a LiveKit server that is not ours for something that takes a key.

    Raises:
        ConfigError: `start_failed` if it does not answer, or refuses the key.
    """
    timeout = aiohttp.ClientTimeout(total=LIVEKIT_TIMEOUT_S)
    async with api.LiveKitAPI(url, pair.key, pair.secret, timeout=timeout) as client:
        try:
            await client.room.list_rooms(api.ListRoomsRequest(names=["none"]))
        except api.TwirpError as error:
            raise ConfigError(
                "start_failed",
                f"The LiveKit server at {url} refuses LIVEKIT_API_KEY and LIVEKIT_API_SECRET "
                f"({error.code}). Set its own.",
            ) from error
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise ConfigError(
                "start_failed",
                f"No LiveKit server answers at {url}, where LIVEKIT_URL points. Start it, correct "
                "the URL, or unset it to have a server run here.",
            ) from error


def main() -> int:
    """Gives 0 if a GET of the one argument is answered with 200."""
    return 0 if asyncio.run(get_status(sys.argv[1])) == 200 else 1


if __name__ == "__main__":
    sys.exit(main())
