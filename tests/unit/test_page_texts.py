"""The page has German words for every error code of the backend."""

from __future__ import annotations

import re
from pathlib import Path

from protocol.errors import FAMILIES

TEXTS = Path(__file__).parents[2] / "web" / "src" / "i18n" / "error_texts.ts"


def test_each_error_code_has_german_words() -> None:
    known = set(re.findall(r"^  ([a-z_]+): \"", TEXTS.read_text(encoding="utf-8"), re.M))
    assert known == {code for family in FAMILIES for code in family.codes}
