"""Audits the locked dependencies: `python -m stack.audit`, or `make audit`.

Python's are held against the advisories of PyPI (pip-audit), the page's against npm's. Where a
registry does not answer that, as mirrors often do not, uv at least says which locked versions were
taken back (yanked). Each step says what it did; only something found is a failure, unless
`--strict` makes one of what could not be checked.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

ROOT = Path(__file__).parent.parent
PIP_AUDIT = "pip-audit==2.10.1"
TIME_LIMIT_S = 240
_YANKED = re.compile(r"`(?P<what>[^`]+)` is yanked(?: \(reason: (?P<why>.*)\))?")


class Outcome(StrEnum):
    """What a step came to."""

    CLEAN = "clean"
    FOUND = "FOUND"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True, slots=True)
class Step:
    """One step, and what it did."""

    name: str
    outcome: Outcome
    detail: str


Run = Callable[[Sequence[str], Path], subprocess.CompletedProcess[str]]


def audit(run: Run, lock: Path, web: Path) -> list[Step]:
    """Takes every step.

    Args:
        run: Runs a command in a folder; one that is not there, or takes too long, has status 127.
        lock: The requirements with their hashes.
        web: The folder of `package-lock.json`.
    """
    steps = [_advisories(run, lock)]
    if steps[0].outcome is Outcome.NOT_CHECKED:
        steps.append(_yanked(run, lock))
    return [*steps, _npm(run, web)]


def _advisories(run: Run, lock: Path) -> Step:
    name = f"advisories of {lock.name} (pip-audit)"
    command = (*_uv("tool", "run", "--from", PIP_AUDIT, "pip-audit"), "--requirement", str(lock))
    done = run((*command, "--disable-pip", "--format=json", "--progress-spinner=off"), lock.parent)
    try:
        rows = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return Step(name, Outcome.NOT_CHECKED, f"pip-audit gave no report: {_last(done.stderr)}")
    checked = [row for row in rows if "skip_reason" not in row]
    faults = [
        f"{row['name']} {row['version']}: {fault['id']}"
        + (f", mended in {', '.join(fault['fix_versions'])}" if fault["fix_versions"] else "")
        for row in checked
        for fault in row["vulns"]
    ]
    if faults:
        return Step(name, Outcome.FOUND, "; ".join(faults))
    if len(checked) < len(rows) / 2:
        said = f"the registry knows {len(checked)} of {len(rows)} packages: it has no advisories"
        return Step(name, Outcome.NOT_CHECKED, said)
    skipped = ", ".join(row["name"] for row in rows if "skip_reason" in row)
    said = f"{len(checked)} packages, none with a known fault"
    return Step(name, Outcome.CLEAN, f"{said}; not known there: {skipped}" if skipped else said)


def _yanked(run: Run, lock: Path) -> Step:
    name = f"yanked versions of {lock.name} (uv)"
    with tempfile.TemporaryDirectory() as nowhere:
        install = ("pip", "install", "--dry-run", "--no-deps", "--refresh", "--target", nowhere)
        command = _uv(*install, "--python", sys.executable, "--requirement", str(lock))
        done = run(command, lock.parent)
    if done.returncode:
        return Step(name, Outcome.NOT_CHECKED, f"uv could not ask: {_last(done.stderr)}")
    found = [
        f"{each['what']} ({each['why'] or 'no reason given'})"
        for each in _YANKED.finditer(done.stderr)
    ]
    if found:
        return Step(name, Outcome.FOUND, "; ".join(found))
    return Step(name, Outcome.CLEAN, "none was taken back")


def _npm(run: Run, web: Path) -> Step:
    name = "advisories of package-lock.json (npm audit)"
    done = run(("npm", "audit", "--package-lock-only", "--json"), web)
    try:
        report = json.loads(done.stdout)
        counts = report["metadata"]["vulnerabilities"]
    except (ValueError, KeyError, TypeError):
        said = re.search(r'"(?:message|summary)": "([^"]+)"', done.stdout)
        why = said[1][:200] if said else _last(done.stderr)
        return Step(name, Outcome.NOT_CHECKED, f"npm gave no report: {why}")
    if counts["total"]:
        return Step(name, Outcome.FOUND, ", ".join(sorted(report["vulnerabilities"])))
    return Step(name, Outcome.CLEAN, f"{report['metadata']['dependencies']['total']} packages")


def _uv(*arguments: str) -> tuple[str, ...]:
    ours = Path(sys.executable).parent / "uv"
    return (str(ours) if ours.exists() else shutil.which("uv") or "uv", *arguments)


def _last(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1][:200] if lines else "it said nothing"


def run(command: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs a command; what keeps it from running stands where its errors would."""
    try:
        return subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIME_LIMIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 127, "", f"{command[0]}: {error}")


def main() -> int:
    """Prints each step; gives 1 if something was found."""
    parser = argparse.ArgumentParser(description="Audits the locked dependencies.")
    parser.add_argument("--strict", action="store_true", help="what was not checked is a failure")
    strict = parser.parse_args().strict
    steps = audit(run, ROOT / "requirements.lock", ROOT / "web")
    for step in steps:
        sys.stdout.write(f"{step.outcome}: {step.name}: {step.detail}\n")
    bad = {Outcome.FOUND, Outcome.NOT_CHECKED} if strict else {Outcome.FOUND}
    return int(any(step.outcome in bad for step in steps))


if __name__ == "__main__":
    sys.exit(main())
