"""`python -m agent_worker`."""

from __future__ import annotations

import asyncio
import functools
import importlib
import sys

from livekit import rtc

from agent_worker.agent import serve
from agent_worker.engines import SpeechEngines
from agent_worker.session import new_session
from agent_worker.settings import WorkerSettings
from protocol import leaving, logs
from protocol.errors import ParleyError
from protocol.settings import load_settings

LOADED_AHEAD = ("httpcore", "anyio._backends._asyncio")
"""What httpx imports with its first request, which would stop the first call's loop for 0.2 s."""


def main() -> int:
    """Runs the worker; gives the exit status."""
    try:
        settings = load_settings(WorkerSettings)
        logs.set_up(settings.log_level, settings.log_format)
        asyncio.run(run(settings))
    except ParleyError as error:
        sys.stderr.write(f"{error.message}\n")
        return 1
    return 0


async def run(settings: WorkerSettings) -> None:
    """Loads the engines, then serves.

    Raises:
        ParleyError: The engines cannot be loaded.
    """
    load_ahead()
    async with SpeechEngines(settings) as engines:
        await engines.load()
        await serve(settings, functools.partial(new_session, settings, engines))


def load_ahead() -> None:
    """Does once what the first calls would do, each on its thread."""
    for module in LOADED_AHEAD:
        importlib.import_module(module)
    # The first use sets up LiveKit's native library, twice if two threads come at the same time;
    # one of them then never hears of its room, and the library ends the process.
    rtc.AudioResampler(48_000, 16_000)


if __name__ == "__main__":
    leaving.run(main)
