"""Writes `.env.example` and `docs/settings.md` from the settings classes (`make settings`).

A test compares the two files with what this module would write.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from protocol.settings import EnvSettings, env_names, load_settings

ROOT = Path(__file__).resolve().parent.parent

INTRODUCTION = """\
# Settings

Every setting is an environment variable. The order is: the environment, then a file that \
`<NAME>_FILE` names (as container platforms mount secrets), then `.env` in the working directory. \
An empty value counts as unset. A wrong value is refused at start, with the variable's name and \
what was expected. Made by `make settings` from the settings classes.
"""


@dataclass(frozen=True, slots=True)
class Process:
    """One process and what it reads."""

    name: str
    title: str
    settings: type[EnvSettings]


def processes() -> list[Process]:
    """Every process that reads settings."""
    from agent_worker.settings import WorkerSettings
    from flow_backend.settings import BackendSettings
    from stack.settings import StackSettings

    return [
        Process("parley", "The stack (`parley`)", StackSettings),
        Process("backend", "The flow backend", BackendSettings),
        Process("worker", "The agent worker", WorkerSettings),
    ]


MADE = {"livekit_api_key": "made", "livekit_api_secret": "made"}
"""The worker asks for a key pair, which `parley up` makes and hands it."""


def require_settings(process: Process) -> None:
    """Reads the settings of a process as it will.

    Raises:
        ConfigError: `setting_invalid`, with the variables' names.
    """
    load_settings(process.settings, **(MADE if process.name == "worker" else {}))


@dataclass(frozen=True, slots=True)
class Setting:
    """One variable as one process reads it."""

    names: tuple[str, ...]
    """The preferred one first."""
    description: str
    default: str
    """Empty where there is none, or it is secret."""
    expected: str
    """Choices or range; empty where anything goes."""
    required: bool


def settings_of(process: Process) -> Iterator[Setting]:
    """A process's settings, in the order in which they are written down."""
    for field_name, field in process.settings.model_fields.items():
        if not field.description:
            raise ValueError(f"{process.settings.__name__}.{field_name} has no description")
        names = env_names(field_name, field)
        default = field.get_default()
        yield Setting(
            tuple(names),
            " ".join(field.description.split()),
            "" if default is None or field.is_required() else _written(default),
            _expected(field),
            field.is_required(),
        )


def settings_page() -> str:
    """`docs/settings.md`."""
    lines = [INTRODUCTION]
    for process in processes():
        lines += [f"## {process.title}", "", "| variable | default | meaning |", "|---|---|---|"]
        for setting in settings_of(process):
            also = "".join(f" Also read as `{name}`." for name in setting.names[1:])
            default = "required" if setting.required else ""
            default = f"`{setting.default}`" if setting.default else default
            expected = f" ({setting.expected})" if setting.expected else ""
            cells = (f"`{setting.names[0]}`", default, f"{setting.description}{expected}{also}")
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        lines.append("")
    return "\n".join(lines)


def example_file() -> str:
    """`.env.example`: every variable once, commented out, with its default."""
    lines = [
        "# Copy to .env and take the # from what you want to change. docs/settings.md is the same",
        "# as a table. `parley up` makes the LiveKit key pair on its first run.",
    ]
    seen: set[str] = set()
    for process in processes():
        lines += ["", f"# ---- {process.title.replace('`', '')}"]
        for setting in settings_of(process):
            if setting.names[0] in seen:
                continue
            seen.add(setting.names[0])
            expected = f" ({setting.expected})" if setting.expected else ""
            lines += ["", f"# {setting.description}{expected}".replace("`", "")]
            lines.append(f"#{setting.names[0]}={_quoted(setting.default)}")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Writes both files."""
    (ROOT / ".env.example").write_text(example_file(), encoding="utf-8")
    (ROOT / "docs" / "settings.md").write_text(settings_page(), encoding="utf-8")
    return 0


def _written(default: Any) -> str:
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, (list, tuple, set, frozenset)):
        return ",".join(str(item) for item in default)
    return str(default)


def _quoted(value: str) -> str:
    return f'"{value}"' if " " in value else value


def _expected(field: FieldInfo) -> str:
    choices = _choices(field.annotation)
    if choices:
        return "one of " + ", ".join(f"`{choice}`" for choice in choices)
    bounds = {
        sign: getattr(constraint, name)
        for constraint in field.metadata
        for name, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))
        if getattr(constraint, name, None) is not None
    }
    return ", ".join(f"{sign} {bound}" for sign, bound in bounds.items())


def _choices(annotation: Any) -> list[str]:
    if get_origin(annotation) is Literal:
        return [str(choice) for choice in get_args(annotation)]
    return [choice for inner in get_args(annotation) for choice in _choices(inner)]


if __name__ == "__main__":
    sys.exit(main())
