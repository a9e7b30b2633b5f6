"""The page has German words for every error of the backend and every problem of a flow."""

from __future__ import annotations

import re
from pathlib import Path

from flow_backend.flows.problems import WORDS
from protocol.errors import FAMILIES

TEXTS = Path(__file__).parents[2] / "web" / "src" / "i18n"


def german(file: str) -> set[str]:
    return set(re.findall(r"^  ([a-z_]+):\s+\"", (TEXTS / file).read_text(encoding="utf-8"), re.M))


def test_each_error_code_has_german_words() -> None:
    assert german("error_texts.ts") == {code for family in FAMILIES for code in family.codes}


def test_each_problem_of_a_flow_has_german_words() -> None:
    assert german("problem_texts.ts") == set(WORDS)
