"""What pydantic finds wrong with somebody's data, in words for people and with its place."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def path_text(path: Sequence[int | str]) -> str:
    """`("nodes", 2, "data", "url")` as `nodes[2].data.url`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _NAME.fullmatch(part):
            text += f".{part}" if text else part
        else:
            text += f"[{part!r}]"
    return text


def in_words(fault: ErrorDetails, model: type[BaseModel] | None = None) -> str:
    """A finding as the end of a sentence, without the value.

    Args:
        fault: What `ValidationError.errors` gives.
        model: The one that was validated, whose fields are named where one is unknown.
    """
    kind = fault["type"]
    if kind == "extra_forbidden":
        known = known_fields(model, fault["loc"]) if model is not None else []
        return f"unknown field{hint(str(fault['loc'][-1]), known)}"
    if kind == "missing":
        return "missing"
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return "should be an object"
    if kind == "union_tag_not_found":
        return f"{fault['ctx']['discriminator']} is missing"
    if kind == "union_tag_invalid":
        context = fault["ctx"]
        return (
            f"unknown {context['discriminator']} {context['tag']!r}; "
            f"there are {context['expected_tags']}"
        )
    message = fault["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if fault["msg"].startswith("Input should be "):
        message = f"should be {message}"
    return message[:1].lower() + message[1:]


def hint(wrong: str, known: Iterable[str]) -> str:
    """What somebody may have meant, to be put behind a complaint; empty if nothing is known."""
    names = sorted(known)
    if (close := meant(wrong, names)) is not None:
        return f"; did you mean {close!r}?"
    return f"; there are {', '.join(names[:20])}" if names else ""


def meant(wrong: str, known: Iterable[str]) -> str | None:
    """The name that somebody probably meant; None: no known one is close."""
    return next(iter(difflib.get_close_matches(wrong, sorted(known), n=1, cutoff=0.6)), None)


def known_fields(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """Fields of the part in which an unknown one was found."""
    for part in loc[:-1]:
        if isinstance(part, int):
            continue
        field = next(
            (f for n, f in model.model_fields.items() if part in (n, f.alias)),
            None,
        )
        found = _model_in(field.annotation) if field is not None else None
        if found is None:
            break
        model = found
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((m for part in get_args(annotation) if (m := _model_in(part))), None)
