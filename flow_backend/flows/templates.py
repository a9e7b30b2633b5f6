"""`{{ name }}` templates (Liquid), which see the values they are given and nothing else.

No tag reads files, and loops, output, memory and time are bounded. Contract:
https://shopify.github.io/liquid/, as python-liquid has it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from liquid import BoundTemplate, Environment, RenderContext
from liquid.builtin.expressions import primitive
from liquid.exceptions import LiquidError, ResourceLimitError
from liquid.filter import flatten
from liquid.token import Token

from protocol.errors import FlowError

MAX_SOURCE_CHARACTERS = 50_000
MAX_OUTPUT_BYTES = 200_000
MAX_LOOP_ROUNDS = 5_000
MAX_LOCAL_BYTES = 1_000_000
MAX_TIME_S = 0.25
"""A template runs on the event loop, so that it must be over before anybody hears it."""
_MAX_JOINED_CHARACTERS = 1_000_000
_MAX_COMPARED_ELEMENTS = 2_000
"""`uniq` compares each element with all before it."""
_FORBIDDEN_TAGS = ("include", "render")


class _Context(RenderContext):
    """Looks at the clock whenever a filter is applied or a variable is read."""

    def __init__(self, template: BoundTemplate, **options: Any) -> None:
        super().__init__(template, **options)
        parent = options.get("parent_context")
        self.deadline_s: float = (
            parent.deadline_s if isinstance(parent, _Context) else time.monotonic() + MAX_TIME_S
        )

    def filter(self, name: str, token: Token | None) -> Any:
        self._watch()
        return super().filter(name, token)

    def resolve(self, name: str, *args: Any, **options: Any) -> object:
        self._watch()
        return super().resolve(name, *args, **options)

    def assign(self, key: str, val: Any) -> None:
        self._watch()
        super().assign(key, val)

    def _watch(self) -> None:
        if time.monotonic() > self.deadline_s:
            raise ResourceLimitError(f"it takes longer than {MAX_TIME_S:g} s", token=None)


class _Template(BoundTemplate):
    context_class = _Context


class _Range(primitive.RangeLiteral):
    """`(1..n)`, of which filters, `contains` and `offset` would make or visit every number."""

    __slots__ = ()

    def _make_range(self, start: object, stop: object) -> range:
        made: range = super()._make_range(start, stop)
        if made[MAX_LOOP_ROUNDS:]:
            raise ResourceLimitError(
                f"a range has more than {MAX_LOOP_ROUNDS} numbers", token=self.token
            )
        return made


class _Environment(Environment):
    template_class = _Template
    loop_iteration_limit = MAX_LOOP_ROUNDS
    output_stream_limit = MAX_OUTPUT_BYTES
    local_namespace_limit = MAX_LOCAL_BYTES


def _make_environment() -> Environment:
    # The parser leaves no other way to name the class.
    primitive.RangeLiteral = _Range  # type: ignore[misc]
    environment = _Environment()
    for tag in _FORBIDDEN_TAGS:
        del environment.tags[tag]
    for name in ("replace", "join"):
        environment.filters[name] = _bounded(name, environment.filters[name])
    environment.filters["uniq"] = _uniq(environment.filters["uniq"])
    return environment


def _uniq(run: Any) -> Any:
    def bounded(value: object, *arguments: object) -> object:
        if isinstance(value, list | tuple) and len(flatten(value)) > _MAX_COMPARED_ELEMENTS:
            raise ResourceLimitError(
                f"the filter 'uniq' takes up to {_MAX_COMPARED_ELEMENTS} elements", token=None
            )
        return run(value, *arguments)

    return bounded


def _bounded(name: str, run: Any) -> Any:
    """Refuses a filter whose output could be the product of two long inputs."""

    def bounded(value: object, *arguments: object, **options: object) -> object:
        size = len(value) if isinstance(value, str | list | tuple) else len(str(value))
        if size * max((len(str(a)) for a in arguments), default=1) > _MAX_JOINED_CHARACTERS:
            raise ResourceLimitError(f"the filter '{name}' would make too long a text", token=None)
        return run(value, *arguments, **options)

    for attribute in ("with_context", "with_environment"):
        if hasattr(run, attribute):
            setattr(bounded, attribute, getattr(run, attribute))
    return bounded


_environment = _make_environment()


@lru_cache(maxsize=4096)
def _parse(source: str) -> BoundTemplate:
    if len(source) > MAX_SOURCE_CHARACTERS:
        raise ResourceLimitError(f"longer than {MAX_SOURCE_CHARACTERS} characters", token=None)
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
    except (LiquidError, ArithmeticError, TypeError, ValueError, RecursionError) as error:
        raise FlowError("template_failed", f"A template failed: {_said(error)}.") from error


def check(source: str) -> frozenset[str]:
    """Parses a template; gives the names of the variables that it reads.

    Raises:
        ValueError: If it does not parse, with the reason and the line.
    """
    if "{%" not in source:
        if "{{" not in source:
            return frozenset()
        names = _simple_names(source)
        if names is not None:
            return names
    return _names(source)


_WORD = r"[A-Za-z_][A-Za-z0-9_]*"
_VALUE = rf"(?:\"[^\"{{}}]*\"|'[^'{{}}]*'|-?\d+(?:\.\d+)?|{_WORD}(?:\.{_WORD})*)"
_FILTERS = rf"(?:\s*\|\s*{_WORD}(?:\s*:\s*{_VALUE}(?:\s*,\s*{_VALUE})*)?)*"
_OUTPUT = re.compile(rf"\{{\{{-?\s*({_WORD})(?:\.{_WORD})*({_FILTERS})\s*-?\}}\}}")
_FILTER = re.compile(rf"\|\s*({_WORD})")
_ARGUMENT = re.compile(rf"\"[^\"]*\"|'[^']*'|\|\s*{_WORD}|(?<![\w.])({_WORD})")
_LITERALS = frozenset({"true", "false", "nil", "null", "empty", "blank"})


def _simple_names(source: str) -> frozenset[str] | None:
    """Names in a template that only puts out variables, filtered or not; None for any other.

    The parser takes ten times as long, and a flow has hundreds of such templates.
    """
    outputs = _OUTPUT.findall(source)
    if len(outputs) != source.count("{{") or len(outputs) != source.count("}}"):
        return None
    names = set()
    for name, filters in outputs:
        names.add(name)
        if not filters:
            continue
        if any(used not in _environment.filters for used in _FILTER.findall(filters)):
            return None
        names.update(argument for argument in _ARGUMENT.findall(filters) if argument)
    return frozenset(names - _LITERALS)


@lru_cache(maxsize=4096)
def _names(source: str) -> frozenset[str]:
    try:
        found = _parse(source).analyze()
    except (LiquidError, RecursionError) as error:
        raise ValueError(_said(error)) from error
    for name in found.filters:
        if name not in _environment.filters:
            raise ValueError(f"unknown filter {name!r}")
    return frozenset(found.globals)


def _said(error: Exception) -> str:
    """An error's own sentence, without the excerpt of the template that follows it."""
    return str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
