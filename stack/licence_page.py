"""Writes `docs/dependencies.md`: every locked dependency with its licence (`make licences`).

Licences come from the packages' own metadata; one that is not in `ALLOWED` needs a reason in
`EXCEPTIONS`, or a person to look at it.
"""

from __future__ import annotations

import json
import re
import sys
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "dependencies.md"

ALLOWED = frozenset(
    {"0BSD", "Apache-2.0", "BSD", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT"}
    | {"MIT-0", "MIT-CMU", "MPL-2.0", "PSF-2.0", "Python-2.0", "Public domain", "Zlib"}
)
EXCEPTIONS = {
    "piper-tts": "see [licensing.md](licensing.md#piper-is-gpl)",
    "livekit-local-inference": "the end-of-turn weights, for use with LiveKit Agents only",
    "soxr": "a library that it loads; it may be replaced",
}
"""Why a licence that is not in `ALLOWED` is taken all the same."""
NOT_ON_EVERY_MACHINE = {
    "async-timeout": "Apache-2.0",
    "colorama": "BSD-3-Clause",
    "diskcache": "Apache-2.0",
    "httpx2-jsfetch": "BSD-3-Clause",
    "pyreadline3": "BSD-3-Clause",
    "pywin32": "PSF-2.0",
    "tzdata": "Apache-2.0",
    "uv": "MIT OR Apache-2.0",
    "uvloop": "MIT OR Apache-2.0",
}
"""Locked for other systems or Python versions, so that their metadata may not be here."""
NPM_UNNAMED = {"client": "Apache-2.0"}
"""Our own package in the workspace."""

_WORDS = {
    "3-clause bsd license": "BSD-3-Clause",
    "apache 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "bsd 3-clause license": "BSD-3-Clause",
    "bsd license": "BSD",
    "isc license": "ISC",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "public domain": "Public domain",
    "python software foundation license": "PSF-2.0",
}

INTRODUCTION = """\
# Dependencies and their licences

What `requirements.lock` and the page's `package-lock.json` hold, with the licence that each
package states. Written by `make licences`; a test compares it with the lock files and the
installed packages. What follows from them: [licensing.md](licensing.md). Known faults:
`make audit`, see [security.md](security.md#dependencies).
"""


def locked(lock: Path) -> list[str]:
    """Names of the packages in a requirements file that some system installs."""
    lines = lock.read_text(encoding="utf-8").splitlines()
    found = (re.match(r"([a-z0-9][a-z0-9._-]*)(?:\[[^]]*\])?==(?!.*'never')", x) for x in lines)
    return sorted({each[1] for each in found if each})


def licence_of(package: str) -> str | None:
    """The licence that an installed package states; None if it is not installed here."""
    if package in NOT_ON_EVERY_MACHINE:
        return NOT_ON_EVERY_MACHINE[package]
    try:
        stated = metadata(package)
    except PackageNotFoundError:
        return None
    if stated["License-Expression"]:
        return str(stated["License-Expression"])
    words = (stated["License"] or "").strip().partition("\n")[0]
    classes = [
        line.rpartition(" :: ")[2]
        for line in stated.get_all("Classifier") or ()
        if line.startswith("License :: ")
    ]
    if words and len(words) < 60 and words != "BSD":
        return _WORDS.get(words.lower(), words)
    return " AND ".join(_WORDS.get(each.lower(), each) for each in classes) or "not stated"


def npm_licences(lock: Path) -> dict[str, str]:
    """Licences of the packages that stand in the built page, by name."""
    packages = json.loads(lock.read_text(encoding="utf-8"))["packages"]
    return {
        path.rpartition("node_modules/")[2]: about.get("license")
        or NPM_UNNAMED.get(path, "not stated")
        for path, about in packages.items()
        if path and not about.get("dev") and not about.get("link")
    }


def objections(licences: dict[str, str]) -> list[str]:
    """Packages whose licences somebody must look at."""
    return [
        f"{name}: {licence}"
        for name, licence in licences.items()
        if name not in EXCEPTIONS
        and not all(
            any(choice.strip() in ALLOWED for choice in part.split(" OR "))
            for part in re.sub(r"[()]", "", licence).split(" AND ")
        )
    ]


def dependencies() -> tuple[dict[str, str], dict[str, str]]:
    """Licences of Python packages, and of the page's."""
    python = {name: licence_of(name) or "not stated" for name in locked(ROOT / "requirements.lock")}
    return python, npm_licences(ROOT / "web" / "package-lock.json")


def page() -> str:
    """`docs/dependencies.md`."""
    lines = [INTRODUCTION]
    for title, licences in zip(("Python", "The page"), dependencies(), strict=True):
        lines += [f"## {title}", "", "| package | licence | |", "|---|---|---|"]
        lines += [
            f"| {name} | {licence} | {EXCEPTIONS.get(name, '')} |"
            for name, licence in sorted(licences.items())
        ]
        lines.append("")
    return "\n".join(lines)


def main() -> int:
    """Writes the page; gives 1 if there is a licence to look at."""
    PAGE.write_text(page(), encoding="utf-8")
    python, npm = dependencies()
    bad = objections(python | npm)
    for each in bad:
        sys.stderr.write(f"look at this licence: {each}\n")
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
