"""The example in the documentation runs as it is written."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_example_speaks() -> None:
    page = (ROOT / "docs" / "speech-piper.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", example], cwd=ROOT, capture_output=True, text=True, check=True
    )
    words = [line.split()[-1] for line in done.stdout.splitlines() if line.startswith("  ")]
    assert words == ["Dr.", "Smith", "paid", "$5.20", "for", "it.", "Why?"]
