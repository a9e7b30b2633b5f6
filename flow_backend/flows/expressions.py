"""Conditions in CEL, which see a session's variables and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import cel

from protocol.errors import FlowError


@lru_cache(maxsize=2048)
def _compile(source: str) -> Any:
    return cel.compile(source)


def evaluate(source: str, values: Mapping[str, Any]) -> Any:
    """Computes an expression.

    Raises:
        FlowError: `expression_failed`.
    """
    try:
        return _compile(source).execute(dict(values))
    except (ValueError, RuntimeError, TypeError) as error:
        raise FlowError("expression_failed", f"{source!r} failed: {error}") from error
