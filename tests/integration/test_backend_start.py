"""A backend that cannot start says why in one sentence, which `parley up` passes on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stack.ports import free_port

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("setting", "said"),
    [("DATABASE_URL=foo://x", "DATABASE_URL"), ("FLOWS_DIR=absent", "absent")],
)
def test_what_keeps_the_backend_from_starting_is_its_last_line(
    tmp_path: Path, setting: str, said: str
) -> None:
    name, _, value = setting.partition("=")
    done = subprocess.run(
        [sys.executable, "-m", "flow_backend"],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "BACKEND_PORT": str(free_port()),
            "LLM": "scripted",
            name: value,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert done.returncode == 2, done.stderr
    assert said in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
