"""Connections to Wyoming servers, the protocol of Home Assistant's voices and transcribers.

Source: the `wyoming` package; one JSON line for each event, binary payloads behind it.
"""

from __future__ import annotations

import asyncio
import contextlib
import warnings
from collections.abc import AsyncIterator

from protocol.errors import ConfigError, ProviderError

with warnings.catch_warnings():
    # The package asks for the standard library's audioop first, deprecated since 3.11.
    warnings.simplefilter("ignore", DeprecationWarning)
    from wyoming.asr import Transcribe, Transcript
    from wyoming.audio import AudioChunk, AudioStart, AudioStop
    from wyoming.client import AsyncClient
    from wyoming.event import Event
    from wyoming.info import Describe, Info
    from wyoming.tts import Synthesize, SynthesizeVoice

__all__ = [
    "AudioChunk",
    "AudioStart",
    "AudioStop",
    "Info",
    "Synthesize",
    "SynthesizeVoice",
    "Transcribe",
    "Transcript",
    "WyomingConnection",
    "connected",
    "describe",
]


class WyomingConnection:
    """One connection: events out, events in, with a limit on silence."""

    def __init__(self, client: AsyncClient, label: str, read_timeout_s: float) -> None:
        self._client = client
        self._label = label
        self._read_timeout_s = read_timeout_s

    async def send(self, event: Event) -> None:
        """Writes one event."""
        await self._client.write_event(event)

    async def receive(self) -> Event:
        """Reads one event.

        Raises:
            ProviderError: When the server closes, fails or falls silent.
        """
        async with asyncio.timeout(self._read_timeout_s):
            event = await self._client.read_event()
        if event is None:
            raise ProviderError(
                "provider_unavailable", f"{self._label} closed the connection before the end."
            )
        if event.type == "error":
            raise ProviderError("provider_refused", f"{self._label} answered with an error event.")
        return event


@contextlib.asynccontextmanager
async def connected(
    uri: str, label: str, *, connect_timeout_s: float, read_timeout_s: float
) -> AsyncIterator[WyomingConnection]:
    """Connects to `tcp://host:port` or `unix:///path`; leaving closes the connection.

    Raises:
        ConfigError: `setting_invalid` for another form of address.
        ProviderError: `provider_unavailable`, `provider_timeout` or `provider_bad_response`.
    """
    try:
        client = AsyncClient.from_uri(uri)
    except ValueError as error:
        raise ConfigError(
            "setting_invalid",
            f"{label}: the address must have the form tcp://host:port or unix:///path.",
        ) from error
    try:
        async with asyncio.timeout(connect_timeout_s):
            await client.connect()
        yield WyomingConnection(client, label, read_timeout_s)
    except TimeoutError as error:
        raise ProviderError(
            "provider_timeout", f"{label} did not answer in time ({uri})."
        ) from error
    except OSError as error:
        raise ProviderError(
            "provider_unavailable", f"{label} cannot be reached at {uri}, or hung up."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise ProviderError(
            "provider_bad_response", f"{label} sent something that is not the Wyoming protocol."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            await client.disconnect()


async def describe(connection: WyomingConnection) -> Info:
    """Asks a server what it offers. Raises as `WyomingConnection.receive` does."""
    await connection.send(Describe().event())
    while True:
        event = await connection.receive()
        if Info.is_type(event.type):
            return Info.from_event(event)
