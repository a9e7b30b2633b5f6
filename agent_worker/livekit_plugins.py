"""LiveKit's plugins by name, for chains that settings name.

LiveKit registers plugins on the main thread only: find them there, before any call.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable
from types import ModuleType
from typing import Any, Literal

from protocol.errors import ConfigError

_NAME = re.compile(r"[a-z][a-z0-9_-]*")


def names(setting: str, variable: str) -> list[tuple[str, str | None]]:
    """`deepgram/nova-3,moonshine` as pairs of a name and what stands behind its slash.

    Raises:
        ConfigError: `setting_invalid`, naming the variable.
    """
    found = []
    for part in filter(None, (part.strip() for part in setting.split(","))):
        name, _, model = part.partition("/")
        if not _NAME.fullmatch(name):
            raise ConfigError(
                "setting_invalid", f"{variable}: {name[:40]!r} is no provider's name."
            )
        found.append((name, model or None))
    if not found:
        raise ConfigError("setting_invalid", f"{variable}: expected a provider's name.")
    return found


def plugin(
    name: str, kind: Literal["TTS", "STT", "LLM"], variable: str, ours: Iterable[str]
) -> ModuleType:
    """The package `livekit.plugins.<name>`.

    Args:
        name: As a setting has it.
        kind: The class that the package must hold.
        variable: The setting.
        ours: Names that would have needed no plugin.

    Raises:
        ConfigError: `tool_missing` with the package to install; `setting_invalid` for a plugin
            without such a class.
    """
    try:
        module = importlib.import_module(f"livekit.plugins.{name.replace('-', '_')}")
    except ModuleNotFoundError as error:
        package = f"livekit-plugins-{name.replace('_', '-')}"
        raise ConfigError(
            "tool_missing",
            f"{variable}={name}: it is none of {', '.join(ours)}, and LiveKit's plugin of this "
            f"name is not installed. `pip install {package}` gets it, if there is one.",
        ) from error
    if not hasattr(module, kind):
        raise ConfigError(
            "setting_invalid", f"{variable}={name}: LiveKit's plugin {name} has no {kind}."
        )
    return module


def set_up(make: Any, name: str, model: str | None) -> Any:
    """An object of a plugin's class.

    Raises:
        ConfigError: `setting_invalid` with what the plugin says, such as a key that is missing.
    """
    try:
        return make(model=model) if model else make()
    except Exception as error:
        # Each plugin has errors of its own.
        raise ConfigError(
            "setting_invalid", f"LiveKit's plugin {name} cannot be set up: {error}"
        ) from error
