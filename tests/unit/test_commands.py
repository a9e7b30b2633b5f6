from __future__ import annotations

import importlib

import pytest
from typer.testing import CliRunner

from stack import mounted

PROGRAMS = ("flow", "keys", "models", "privacy", "sip", "voices")


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_help_of_every_command_is_plain(name: str) -> None:
    app = importlib.import_module(f"stack.{name}").app
    said = CliRunner().invoke(app, ["--help"]).stdout
    assert said.strip().startswith("Usage:")
    assert "╭" not in said
    assert "completion" not in said


def test_benchmarks_are_listed_with_what_they_measure() -> None:
    found = mounted.benchmarks()
    assert "voice" in found
    assert [about for about in found.values() if not about[:1].isupper()] == []
