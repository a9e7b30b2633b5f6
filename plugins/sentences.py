"""The input of a LiveKit synthesis stream as sentences; shared by the plugins that speak."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

from livekit.agents import utils

from speech.sentences import SentenceStreamBuffer

_IDLE_S = 0.3
"""After this long without a token, a sentence that looks complete is spoken."""


async def sentences(
    tokens: utils.aio.Chan[Any], buffer: SentenceStreamBuffer, written: Callable[[str], None]
) -> AsyncGenerator[str]:
    """Yields each sentence as soon as it is complete, until the channel closes.

    Args:
        tokens: Text, and flush sentinels after which what is there is spoken.
        buffer: Cuts the text.
        written: Told each token before the sentences that it completes.
    """
    idle_s: float | None = None
    while True:
        try:
            # Not `wait_for`, which before Python 3.12 ignores a cancellation that comes together
            # with a token: the stream of a cut answer would then never end.
            async with asyncio.timeout(idle_s):
                token = await tokens.recv()
        except TimeoutError:
            found, idle_s = buffer.tick(_IDLE_S * 1000), None
        except utils.aio.ChanClosed:
            break
        else:
            if isinstance(token, str):
                written(token)
                found, idle_s = buffer.push(token), _IDLE_S
            else:
                found, idle_s = buffer.flush(), None
        for sentence in found:
            yield sentence
    for sentence in buffer.flush():
        yield sentence
