"""Conditions in CEL, which see a session's variables and nothing else. See https://cel.dev/."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import cel

from protocol.errors import FlowError

MAX_SOURCE_CHARACTERS = 4_000
MAX_STEPS = 200_000
"""Bound of what nested `map`, `filter`, `all`, `exists` may come to."""
_MACRO = re.compile(r"\.\s*(?:map|filter|all|exists|exists_one)\s*\(")
_FUNCTION = re.compile(
    "size|contains|startsWith|endsWith|matches|string|int|uint|double|bytes|bool|timestamp|"
    "duration|type|min|max|getFullYear|getMonth|getDayOfYear|getDayOfMonth|getDate|"
    "getDayOfWeek|getHours|getMinutes|getSeconds|getMilliseconds"
)
"""Functions that an expression may call; operators have names like `_+_`."""
_FAILURES = (ValueError, RuntimeError, TypeError, LookupError, ArithmeticError)


@lru_cache(maxsize=4096)
def _compile(source: str) -> tuple[cel.Program, tuple[str, ...], int]:
    """The program, the names that it reads, and how many macros it has."""
    if len(source) > MAX_SOURCE_CHARACTERS:
        raise ValueError(f"it is longer than {MAX_SOURCE_CHARACTERS} characters")
    if not source.strip():
        raise ValueError("it is empty")
    try:
        program = cel.compile(source)
    except _FAILURES as error:
        raise ValueError(_parse_fault(str(error))) from error
    for function in program.functions():
        operator = function.startswith("_") or not function.isidentifier()
        if not operator and not _FUNCTION.fullmatch(function):
            raise ValueError(f"there is no function {function!r}")
    return program, tuple(program.variables()), len(_MACRO.findall(source))


def evaluate(source: str, values: Mapping[str, Any]) -> Any:
    """Computes an expression; a variable that is not set is null.

    Returns:
        What JSON can hold; times and durations as text.

    Raises:
        FlowError: `expression_failed`.
    """
    try:
        program, names, macros = _compile(source)
        seen = {name: values.get(name) for name in names}
        if macros:
            longest = max((_longest(value) for value in seen.values()), default=0)
            if max(longest, source.count(",") + 1) ** macros > MAX_STEPS:
                raise ValueError("it goes over too long a list too many times")
        return _plain(program.execute(seen))
    except _FAILURES as error:
        raise FlowError("expression_failed", f"{source!r} failed: {_first(error)}") from error


def holds(source: str, values: Mapping[str, Any]) -> bool:
    """Whether a condition is true. One about a variable that is not set yet is not.

    Raises:
        FlowError: `expression_failed`, if it fails although every variable is set.
    """
    try:
        return evaluate(source, values) is True
    except FlowError:
        if any(values.get(name) is None for name in _compile(source)[1]):
            return False
        raise


def check(source: str) -> frozenset[str]:
    """Parses an expression; gives the names of the variables that it reads.

    Names that a macro binds (the `x` of `list.map(x, x + 1)`) are among them.

    Raises:
        ValueError: If it does not parse, with the reason.
    """
    return frozenset(_compile(source)[1])


def bound_names(source: str) -> frozenset[str]:
    """Names that macros bind in an expression."""
    return frozenset(re.findall(_MACRO.pattern + r"\s*([A-Za-z_]\w*)\s*,", source))


def _longest(value: Any) -> int:
    """Elements of the longest list or mapping in a value."""
    if isinstance(value, Mapping):
        return max(len(value), max((_longest(item) for item in value.values()), default=0))
    if isinstance(value, list | tuple):
        return max(len(value), max((_longest(item) for item in value), default=0))
    return 0


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("the result is not a finite number")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return f"{value.total_seconds():g}s"
    raise ValueError(f"the result is of no type that a variable can have: {type(value).__name__}")


def _parse_fault(message: str) -> str:
    found = re.search(r"ERROR: <input>:(\d+:\d+): ([^\n]+)", message)
    if found is None:
        return message.strip().partition("\n")[0]
    return f"at {found[1]}: {found[2].partition(' expecting ')[0]}"


def _first(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition('. ')[0]}"
