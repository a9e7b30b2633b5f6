"""Reading the environment: one settings class a process, each built on `EnvSettings`.

Variables keep the names that people know (`LIVEKIT_URL`, `OPENAI_API_KEY`); there is no prefix.
A value may also stand in a file named by `<NAME>_FILE`, as container platforms mount secrets. The
order is: the process's environment, `<NAME>_FILE`, then `.env` in the working directory.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from protocol.errors import ConfigError

SettingsT = TypeVar("SettingsT", bound="EnvSettings")

LogLevel = Annotated[
    Literal["DEBUG", "INFO", "WARNING", "ERROR"],
    BeforeValidator(lambda value: value.upper() if isinstance(value, str) else value),
]
"""Least severity that is logged, in either case."""

ENV_FILE = ".env"
_ADDRESS = r"://[^\s/?#]+(/\S*)?$"
HTTP_URL_PATTERN = "^https?" + _ADDRESS
LIVEKIT_URL_PATTERN = "^(wss?|https?)" + _ADDRESS


class _FileSource(PydanticBaseSettingsSource):
    """Takes a field's value from the file that `<NAME>_FILE` names."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        for name in env_names(field_name, field):
            path = os.environ.get(f"{name}_FILE")
            if path:
                try:
                    return Path(path).read_text(encoding="utf-8").strip(), name, False
                except (OSError, UnicodeDecodeError) as error:
                    raise ConfigError(
                        "setting_invalid",
                        f"{name}_FILE: the file cannot be read ({error.__class__.__name__}). "
                        "Name a readable UTF-8 text file, or unset it.",
                    ) from error
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for field_name, field in self.settings_cls.model_fields.items():
            value, name, is_complex = self.get_field_value(field, field_name)
            if value is None:
                continue
            try:
                value = self.prepare_field_value(field_name, field, value, is_complex)
            except ValueError as error:
                raise ConfigError("setting_invalid", f"{name}_FILE: expected JSON.") from error
            values[field_name if field.validation_alias is None else name] = value
        return values


class EnvSettings(BaseSettings):
    """Base of every process's settings."""

    model_config = SettingsConfigDict(
        env_file=ENV_FILE,
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        populate_by_name=True,
        use_attribute_docstrings=True,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Puts `<NAME>_FILE` between the environment and `.env`."""
        assert isinstance(dotenv_settings, DotEnvSettingsSource)
        return init_settings, env_settings, _FileSource(settings_cls), dotenv_settings


def env_names(field_name: str, field: FieldInfo) -> list[str]:
    """Names under which a field is read, the preferred one first."""
    alias = field.validation_alias
    if alias is None:
        return [field_name.upper()]
    if isinstance(alias, str):
        return [alias]
    return [str(choice) for choice in getattr(alias, "choices", [])]


def load_settings(cls: type[SettingsT], **overrides: Any) -> SettingsT:
    """Reads the settings, or says which variables are wrong and what was expected.

    Raises:
        ConfigError: `setting_invalid`, with a line for each wrong variable. Values are not
            repeated, since they may be secrets.
    """
    if os.path.isdir(ENV_FILE):
        raise ConfigError(
            "setting_invalid", f"{ENV_FILE} cannot be read: it is a folder, and should be a file."
        )
    try:
        return cls(**overrides)
    except UnicodeDecodeError as error:
        # The cause, which quotes the file, is not shown.
        raise ConfigError(
            "setting_invalid",
            f"{ENV_FILE} cannot be read: byte {error.start} of it is not UTF-8. Save it as UTF-8 "
            "text.",
        ) from None
    except OSError as error:
        raise ConfigError(
            "setting_invalid", f"{ENV_FILE} cannot be read: {error.strerror}."
        ) from error
    except SettingsError as error:
        found = re.search(r'field "(\w+)"', str(error))
        name = found[1] if found and found[1] in cls.model_fields else ""
        variable = env_names(name, cls.model_fields[name])[0] if name else "settings"
        # The cause, which quotes the value, is not shown.
        raise ConfigError(
            "setting_invalid", f"Wrong settings. {variable}: expected JSON."
        ) from None
    except ValidationError as error:
        lines = []
        for problem in error.errors(include_input=False, include_url=False):
            place = [str(part) for part in problem["loc"]]
            if place and place[0] in cls.model_fields:
                place[0] = env_names(place[0], cls.model_fields[place[0]])[0]
            lines.append(f"{'.'.join(place) or 'settings'}: {problem['msg']}")
        raise ConfigError("setting_invalid", "Wrong settings. " + "; ".join(lines)) from error
