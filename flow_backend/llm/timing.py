"""Time limits of a stream: connect, first token, between tokens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from flow_backend.llm.base import Delta
from flow_backend.llm.failures import Endpoint


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """How long a provider may be silent. A comment or an empty chunk does not count as a token."""

    connect_s: float = 5.0
    """To open the connection."""
    first_token_s: float = 20.0
    """From the request to the first delta, connecting included."""
    between_tokens_s: float = 10.0
    """From one delta to the next, or to the end of the stream."""


async def in_time(
    deltas: AsyncGenerator[Delta, None], limits: TimeLimits, endpoint: Endpoint
) -> AsyncGenerator[Delta, None]:
    """Passes deltas on while they come in time; closes the source on every way out.

    Raises:
        ProviderError: `provider_timeout`, or what the source raises.
    """
    limit_s, what, variable = (
        limits.first_token_s,
        "no first token",
        "LLM_FIRST_TOKEN_TIMEOUT_S",
    )
    async with aclosing(deltas):
        while True:
            try:
                async with asyncio.timeout(limit_s) as watch:
                    delta = await anext(deltas)
            except StopAsyncIteration:
                return
            except TimeoutError as error:
                if not watch.expired():
                    raise
                raise endpoint.timed_out(what, limit_s, variable) from error
            yield delta
            limit_s, what, variable = (
                limits.between_tokens_s,
                "the stream fell silent: nothing more",
                "LLM_BETWEEN_TOKENS_TIMEOUT_S",
            )
