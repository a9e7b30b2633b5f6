"""How every part of the backend connects to Redis: one that hangs counts as gone."""

from __future__ import annotations

from typing import Any

from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

ANSWER_S = 1.0
REST_S = 5.0
"""Where counting alone will do, Redis is not asked for so long after it has failed."""


def redis_options(answer_s: float = ANSWER_S) -> dict[str, Any]:
    """Arguments of a client; a connection that broke while it was idle is made anew, once."""
    return {
        "socket_connect_timeout": ANSWER_S,
        "socket_timeout": answer_s,
        "retry": Retry(NoBackoff(), 1),
    }
