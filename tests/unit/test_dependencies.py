"""The page of licences is up to date, and the audit says what it found and what it could not."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from stack import audit, licence_page
from stack.audit import Outcome

LOCK = Path("requirements.lock")
CLEAN = {"name": "a", "version": "1", "vulns": []}
FAULTY = {"name": "b", "version": "2", "vulns": [{"id": "CVE-1", "fix_versions": ["3"]}]}
SKIPPED = {"name": "c", "skip_reason": "not found"}
NPM_CLEAN = {
    "vulnerabilities": {},
    "metadata": {"vulnerabilities": {"total": 0}, "dependencies": {"total": 9}},
}
NPM_FAULTY = {
    **NPM_CLEAN,
    "vulnerabilities": {"x": {}},
    "metadata": {"vulnerabilities": {"total": 1}},
}


class Tools:
    """Stands for the programs: each answers with (status, output, errors)."""

    def __init__(self, pip: Any, uv: tuple[int, str], npm: Any) -> None:
        self.pip, self.uv, self.npm = pip, uv, npm

    def __call__(self, command: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
        status, out, err = 1, "", "connection refused"
        if "pip-audit" in command:
            status, out = 0, json.dumps({"dependencies": self.pip}) if self.pip else ""
        elif command[0] == "npm":
            status, out = 0, json.dumps(self.npm)
        else:
            status, err = self.uv
        return subprocess.CompletedProcess(command, status, out, err)


YANKED = 'warning: `attrs==21.1.0` is yanked (reason: "Not importable.")\n'


@pytest.mark.parametrize(
    ("tools", "outcomes"),
    [
        (Tools([CLEAN], (0, ""), NPM_CLEAN), ["clean", "clean"]),
        (Tools([CLEAN, CLEAN, SKIPPED], (0, ""), NPM_CLEAN), ["clean", "clean"]),
        (Tools([CLEAN, FAULTY], (0, ""), NPM_CLEAN), ["FOUND", "clean"]),
        (Tools([SKIPPED], (0, ""), NPM_CLEAN), ["not checked", "clean", "clean"]),
        (Tools([SKIPPED], (0, YANKED), NPM_CLEAN), ["not checked", "FOUND", "clean"]),
        (Tools(None, (2, "offline"), {"message": "405"}), ["not checked"] * 3),
        (Tools([CLEAN], (0, ""), NPM_FAULTY), ["clean", "FOUND"]),
    ],
)
def test_the_audit_tells_clean_from_not_checked(tools: Tools, outcomes: list[str]) -> None:
    steps = audit.audit(tools, LOCK, Path("web"))
    assert [step.outcome for step in steps] == outcomes
    if "FOUND" in outcomes:
        details = " ".join(step.detail for step in steps if step.outcome is Outcome.FOUND)
        assert any(named in details for named in ("CVE-1", "attrs==21.1.0", "x"))


def test_a_program_that_is_not_there_is_said() -> None:
    assert audit.run(["/no/such/program"], Path()).returncode == 127


def test_the_page_of_licences_is_up_to_date() -> None:
    hint = "run `make licences`, or python -m stack.licence_page"
    assert licence_page.PAGE.read_text(encoding="utf-8") == licence_page.page(), hint


def test_every_licence_is_one_that_we_may_use() -> None:
    python, npm = licence_page.dependencies()
    assert licence_page.objections(python | npm) == []


@pytest.mark.parametrize(
    ("licence", "fine"),
    [
        ("MIT", True),
        ("GPL-3.0-only OR MIT", True),
        ("MIT AND (Apache-2.0 OR GPL-2.0)", True),
        ("AGPL-3.0-only", False),
        ("MIT AND GPL-3.0-only", False),
        ("not stated", False),
    ],
)
def test_which_licences_somebody_must_look_at(licence: str, fine: bool) -> None:
    assert (licence_page.objections({"x": licence}) == []) is fine


def test_what_no_system_installs_is_left_out(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text(
        "a==1 \\\n    --hash=x\nb[c]==2 ; sys_platform == 'win32'\n"
        "d==3 ; sys_platform == 'never' \\\n    # via e==4\n"
    )
    assert licence_page.locked(lock) == ["a", "b"]
