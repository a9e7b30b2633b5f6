"""Conditions in CEL, which see a session's variables and nothing else. See https://cel.dev/."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cel

from protocol.errors import FlowError

MAX_SOURCE_CHARACTERS = 4_000
MAX_STEPS = 500_000
"""Bound of what `map`, `filter`, `all`, `exists` may come to, estimated; each takes half a
microsecond."""
MAX_TEXT = 100_000_000
"""Bound of the characters that `+` may copy, estimated."""
_LITERAL = re.compile(
    r"""(?:[rR][bB]?|[bB][rR])(?:"{3}[\s\S]*?"{3}|'{3}[\s\S]*?'{3}|"[^"\n]*"|'[^'\n]*')"""
    r"""|"{3}(?:\\[\s\S]|[^\\])*?"{3}|'{3}(?:\\[\s\S]|[^\\])*?'{3}"""
    r"""|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|//[^\n]*"""
)
"""Texts and comments, in which brackets and names mean nothing."""
_MACRO = re.compile(r"\.\s*(?:map|filter|all|exists|exists_one|existsOne)\s*\(")
_SUM = re.compile(r"(?P<left>''\s*|(?<![\w.])\d[\w.]*\s*)?\+\s*(?P<right>''|\d)?")
_STEP = re.compile(rf"(?P<macro>{_MACRO.pattern})|[()]")
_FUNCTION = re.compile(
    "size|contains|startsWith|endsWith|matches|string|int|uint|double|bytes|bool|timestamp|"
    "duration|type|min|max|getFullYear|getMonth|getDayOfYear|getDayOfMonth|getDate|"
    "getDayOfWeek|getHours|getMinutes|getSeconds|getMilliseconds"
)
"""Functions that an expression may call; operators have names like `_+_`."""
_FAILURES = (ValueError, RuntimeError, TypeError, LookupError, ArithmeticError)


@dataclass(frozen=True, slots=True)
class _Work:
    """What may make an expression long, counted in its source."""

    pluses: int
    """Sums but those with a literal, which can double nothing."""
    commas: int
    macros: int
    depth: int
    """Macros inside each other."""
    maps: int

    @classmethod
    def of(cls, source: str) -> _Work:
        text = _LITERAL.sub(lambda found: " " if found[0].startswith("/") else "''", source)
        brackets: list[bool] = []
        depth = macros = 0
        for found in _STEP.finditer(text):
            if found[0] == ")":
                del brackets[-1:]
            else:
                brackets.append(found["macro"] is not None)
                macros += brackets[-1]
                depth = max(depth, sum(brackets))
        maps = len(re.findall(r"\.\s*map\s*\(", text))
        pluses = sum(not (found["left"] or found["right"]) for found in _SUM.finditer(text))
        return cls(pluses, text.count(","), macros, depth, maps)

    def check(self, source: str, values: Collection[Any]) -> None:
        """Estimates time and memory from the lengths of what the expression sees.

        A `+` adds, yet a name that a macro binds to a sum may be added to itself again: what p of
        them can grow is most where they are spread evenly over the macros. The interpreter's `map`
        copies what it has so far, with the texts in it, in every round.

        Raises:
            ValueError: If that is too much.
        """
        if not (self.pluses or self.macros):
            return
        lengths = [(self.commas + 1, len(source)), *map(_longest, values)]
        growth = (self.pluses / (self.macros + 1) + 1) ** (self.macros + 1)
        elements = max(length for length, _ in lengths) * growth
        characters = max(length for _, length in lengths) * growth
        rounds = elements**self.depth
        if self.pluses and characters * self.pluses * rounds > MAX_TEXT:
            raise ValueError("it adds too long texts or lists too many times")
        copied = elements * (1 + characters / 500) / 8 if self.maps else 0
        if self.macros and self.macros * rounds * max(1, copied) > MAX_STEPS:
            raise ValueError("it goes over too long a list too many times")


@lru_cache(maxsize=4096)
def _compile(source: str) -> tuple[cel.Program, tuple[str, ...], _Work]:
    """The program, the names that it reads, and what may make it long."""
    if len(source) > MAX_SOURCE_CHARACTERS:
        raise ValueError(f"it is longer than {MAX_SOURCE_CHARACTERS} characters")
    if not source.strip():
        raise ValueError("it is empty")
    source = source.replace("\r", "\n")  # one end of a line, for the interpreter and for `_Work`
    try:
        program = cel.compile(source)
    except _FAILURES as error:
        raise ValueError(_parse_fault(str(error))) from error
    for function in program.functions():
        operator = function.startswith("_") or not function.isidentifier()
        if not operator and not _FUNCTION.fullmatch(function):
            raise ValueError(f"there is no function {function!r}")
    return program, tuple(program.variables()), _Work.of(source)


def evaluate(source: str, values: Mapping[str, Any]) -> Any:
    """Computes an expression; a variable that is not set is null.

    Returns:
        What JSON can hold; times and durations as text.

    Raises:
        FlowError: `expression_failed`.
    """
    try:
        program, names, work = _compile(source)
        seen = {name: values.get(name) for name in names}
        work.check(source, seen.values())
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


def _longest(value: Any) -> tuple[int, int]:
    """Elements of the longest list or mapping in a value, and characters of its longest text."""
    if isinstance(value, str):
        return 0, len(value)
    if isinstance(value, Mapping | list | tuple):
        parts = [*value, *value.values()] if isinstance(value, Mapping) else value
        found = [_longest(part) for part in parts]
        return max([len(value), *(pair[0] for pair in found)]), max(
            (pair[1] for pair in found), default=0
        )
    return 0, 0


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
