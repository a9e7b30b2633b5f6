"""A process that ends without taking Python down."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import atexit
import sys
from protocol import leaving

class Last:
    def __del__(self):
        print("Python was taken down")

last = Last()
atexit.register(print, "at the exit")

def main():
    print("done", end=" ")
    {end}

leaving.run(main)
"""


@pytest.mark.parametrize(
    ("end", "status", "complaint"),
    [
        ("return 0", 0, ""),
        ("return 3", 3, ""),
        ("sys.exit()", 0, ""),
        ("sys.exit(2)", 2, ""),
        ("sys.exit('no such room')", 1, "no such room\n"),
    ],
)
def test_all_is_done_and_written_and_the_status_is_kept(
    end: str, status: int, complaint: str
) -> None:
    left = run(end)
    assert (left.returncode, left.stderr) == (status, complaint)
    assert left.stdout == "done at the exit\n"


def test_an_error_is_told() -> None:
    left = run("raise ValueError('what')")
    assert left.returncode == 1
    assert left.stderr.endswith("ValueError: what\n")


@pytest.mark.skipif(sys.platform != "linux", reason="the device that is always full is Linux's")
def test_output_that_cannot_be_written_is_a_failure() -> None:
    with open("/dev/full", "w") as full:
        left = subprocess.run(
            (sys.executable, "-c", PROGRAM.format(end="return 0")), stdout=full, check=False
        )
    assert left.returncode == 1


def run(end: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (sys.executable, "-c", PROGRAM.format(end=end)),
        capture_output=True,
        text=True,
        check=False,
    )
