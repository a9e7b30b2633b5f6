from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.integration.spoken import LINES, RECORDING, words

PAGE = Path(__file__).parents[2] / "docs" / "speech-moonshine.md"


async def test_the_example_runs_as_written(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, object] = {"__name__": "example"}
    exec(compile(example, str(PAGE), "exec"), names)  # the page is ours
    main = names["main"]
    assert callable(main)
    assert words(await main(RECORDING)) == LINES.split()
    assert "started" in capsys.readouterr().out
