from __future__ import annotations

import re

import pytest

from protocol.errors import ConfigError
from protocol.settings import env_names, load_settings
from stack import settings_pages
from stack.settings import StackSettings

ROOT = settings_pages.ROOT
HINT = "run `make settings`, or python -m stack.settings_pages"


def every_variable() -> set[str]:
    return {
        env_names(name, field)[0]
        for process in settings_pages.processes()
        for name, field in process.settings.model_fields.items()
    }


def test_every_variable_stands_in_the_example_and_no_other_does() -> None:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    assert set(re.findall(r"^#?([A-Z][A-Z0-9_]*)=", text, re.MULTILINE)) == every_variable(), HINT


def test_every_variable_stands_on_the_settings_page_and_no_other_does() -> None:
    text = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([A-Z][A-Z0-9_]*)`", text, re.MULTILINE)) == every_variable(), HINT


def test_both_files_say_what_the_classes_say() -> None:
    assert (ROOT / ".env.example").read_text(encoding="utf-8") == settings_pages.example_file(), (
        HINT
    )
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert page == settings_pages.settings_page(), HINT


def test_a_shared_variable_has_one_default() -> None:
    defaults: dict[str, set[object]] = {}
    for process in settings_pages.processes():
        for setting in settings_pages.settings_of(process):
            if setting.default:
                defaults.setdefault(setting.names[0], set()).add(setting.default)
    assert {name: values for name, values in defaults.items() if len(values) > 1} == {}


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("LIVEKIT_URL", "127.0.0.1:7880"),
        ("LIVEKIT_PORT", "70000"),
        ("BACKEND_PORT", "http"),
        ("LLM_PARALLEL", "1"),
    ],
)
def test_wrong_settings_are_refused_by_name_without_their_value(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError) as caught:
        load_settings(StackSettings)
    assert caught.value.code == "setting_invalid"
    assert variable in caught.value.message
    assert value not in caught.value.message.replace("65535", "")
