from __future__ import annotations

import re

from tests.unit.test_settings_pages import ROOT

PAGE = (ROOT / "docs/reliability.md").read_text(encoding="utf-8")
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ")][1:]
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def test_every_row_names_a_test_that_there_is() -> None:
    for row in ROWS:
        named = NAMED.findall(row)
        assert named, row
        for path, name in named:
            source = (ROOT / path).read_text(encoding="utf-8")
            assert re.search(rf"^(?:async )?def {name}\(", source, re.MULTILINE), f"{path}::{name}"


def test_every_test_of_a_fault_stands_in_a_row() -> None:
    named = set(NAMED.findall("\n".join(ROWS)))
    for path in sorted((ROOT / "tests/fault").glob("test_*.py")):
        tests = re.findall(r"^async def (test_\w+)\(", path.read_text(), re.MULTILINE)
        relative = path.relative_to(ROOT).as_posix()
        assert any((relative, name) in named for name in tests), relative
