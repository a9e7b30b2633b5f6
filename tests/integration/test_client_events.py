"""The TypeScript client's event types are those of the backend."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

WEB = Path(__file__).parents[2] / "web"


@pytest.mark.parametrize("kind", ["events", "voice_messages"])
@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node")
def test_the_event_types_are_current(kind: str) -> None:
    program = WEB / "node_modules" / ".bin" / "json2ts"
    if not program.exists():
        pytest.skip("needs the page's packages: make web")
    schema = subprocess.run(
        [sys.executable, "events_schema.py", kind], cwd=WEB, capture_output=True, check=True
    )
    types = subprocess.run([program], input=schema.stdout, capture_output=True, check=True)
    written = (WEB / "client" / "src" / f"{kind}.ts").read_bytes()
    assert types.stdout == written, "Run `npm run events` in web/."
