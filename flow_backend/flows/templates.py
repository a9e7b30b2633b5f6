"""`{{ name }}` templates (Liquid), which see the values they are given and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from liquid import BoundTemplate, Environment
from liquid.exceptions import LiquidError

from protocol.errors import FlowError

_environment = Environment()


@lru_cache(maxsize=2048)
def _parse(source: str) -> BoundTemplate:
    return _environment.from_string(source)


def render(source: str, values: Mapping[str, Any]) -> str:
    """Fills a template; a variable that is not set gives nothing.

    Raises:
        FlowError: `template_failed`.
    """
    if "{" not in source:
        return source
    try:
        return _parse(source).render(**values)
    except LiquidError as error:
        raise FlowError("template_failed", f"A template failed: {error}") from error
