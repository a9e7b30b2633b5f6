"""Makes `.venv` from the lock files: run by `make` with whatever `python3` there is.

Uses the standard library only, and nothing that Python 3.8 lacks, so that an old Python is told
what to do instead of failing on syntax. A second run finds its stamp and is done.
"""

from __future__ import annotations

import argparse
import glob
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
MINIMUM = (3, 11)
INSTALL_BYTES = 3_000_000_000
"""Disk for the environment, generously."""

SYSTEM_PROGRAMS = {
    "chromium": ("chromium", "chromium-browser", "google-chrome"),
    "redis-server": ("redis-server", "valkey-server"),
    "postgresql": ("postgres", "/usr/lib/postgresql/*/bin/postgres"),
    "sox": ("sox",),
    "espeak-ng": ("espeak-ng",),
    "iproute2": ("ip", "/usr/sbin/ip", "/sbin/ip"),
}
"""Debian packages that the tests use, with a program of each by which it is found."""


class Stop(Exception):  # noqa: N818 -- the end of the script, not a kind of failure
    """A sentence for the user; the script ends with it."""


def say(text: str) -> None:
    """A line for people, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def newer_python() -> str | None:
    """A Python that is new enough, if this one is not."""
    for minor in range(MINIMUM[1] + 3, MINIMUM[1] - 1, -1):
        found = shutil.which(f"python3.{minor}")
        if found:
            return found
    return None


def require_python() -> None:
    """Goes on in a newer Python where this one is too old.

    Raises:
        Stop: If there is none.
    """
    if sys.version_info >= MINIMUM:
        return
    found = newer_python()
    if found is None:
        raise Stop(
            f"Parley needs Python {MINIMUM[0]}.{MINIMUM[1]} or newer; this is "
            f"{sys.version_info[0]}.{sys.version_info[1]}. Install one (Debian: apt install "
            "python3.11 python3.11-venv) and try again, or name it: make run PYTHON=/path/to/python"
        )
    os.execv(found, [found, *sys.argv])


def run(command: list[str], failure: str) -> None:
    """Runs a step; what it says goes to the terminal.

    Raises:
        Stop: With `failure`, if it fails.
    """
    if subprocess.call(command, cwd=str(ROOT), stdin=subprocess.DEVNULL) != 0:
        raise Stop(failure)


def fingerprint(lock: Path) -> str:
    """Changes with whatever the environment is made from."""
    digest = hashlib.sha256(sys.version.encode() + str(ROOT).encode())
    for path in (lock, ROOT / "pyproject.toml", Path(__file__)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def make_venv() -> None:
    """Makes `.venv`, unless it is there and works.

    Raises:
        Stop: If this Python cannot make one, or the disk is too full.
    """
    if PYTHON.exists() and subprocess.call([str(PYTHON), "-c", ""]) == 0:
        return
    if shutil.disk_usage(str(ROOT)).free < INSTALL_BYTES:
        raise Stop(
            f"The environment takes up to 3 GB, and the disk of {ROOT} has less. Free some space "
            "and try again."
        )
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        raise Stop(
            "This Python cannot make environments: its venv package is missing. Install it "
            f"(Debian: apt install python{version}-venv) and try again."
        ) from None
    say("Making the environment in .venv")
    run(
        [sys.executable, "-m", "venv", "--clear", str(VENV)],
        f"The environment could not be made in {VENV}. Is the folder writable?",
    )


def install_uv(lock: Path) -> None:
    """Installs uv at its locked version, checked by hash, with pip.

    Raises:
        Stop: If that fails.
    """
    entry = re.search(r"^uv==.*(?:\n[ \t].*)*", lock.read_text(encoding="utf-8"), re.MULTILINE)
    if entry is None:
        raise Stop(f"{lock.name} does not hold uv: run `make lock`.")
    version = entry.group().split()[0].partition("==")[2]
    uv = VENV / "bin" / "uv"
    if uv.exists():
        said = subprocess.run([str(uv), "--version"], stdout=subprocess.PIPE, check=False).stdout
        if version in said.decode().split():
            return
    say(f"Fetching uv {version}")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "uv.txt"
        file.write_text(entry.group() + "\n", encoding="utf-8")
        run(
            [
                *(str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
                *("--require-hashes", "-r", str(file)),
            ],
            "uv could not be installed: is the package index (PyPI) reachable?",
        )


def install(lock: Path) -> None:
    """Brings the environment to the state of a lock file, with this project in it.

    Raises:
        Stop: If that fails; what was installed stays, so that the next run goes on from there.
    """
    stamp = VENV / (lock.name + ".stamp")
    wanted = fingerprint(lock)
    if PYTHON.exists() and stamp.exists() and stamp.read_text() == wanted:
        return
    make_venv()
    install_uv(lock)
    say(f"Installing packages from {lock.name}: minutes the first time, seconds after")
    pip = [str(VENV / "bin" / "uv"), "pip", "install", "--python", str(PYTHON)]
    failure = "Installing failed; the lines above say why. Mend that (a full disk, no network) and "
    failure += "run the same command again: it goes on where it stopped."
    run([*pip, "--require-hashes", "-r", str(lock)], failure)
    run([*pip, "--quiet", "--no-deps", "--no-build-isolation", "--editable", "."], failure)
    stamp.write_text(wanted)


def missing_packages() -> list[str]:
    """Debian packages that the tests need and that are not there."""
    return [
        package
        for package, programs in SYSTEM_PROGRAMS.items()
        if not any(
            glob.glob(program) if program.startswith("/") else shutil.which(program)
            for program in programs
        )
    ]


def install_system_packages() -> None:
    """Installs what the tests need with apt, as root.

    Raises:
        Stop: With the command to run, if this is not root or there is no apt.
    """
    missing = missing_packages()
    if not missing:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise Stop(
            "The tests need these Debian packages (or what your system calls them): "
            f"{', '.join(missing)}. Install them: sudo apt-get install {' '.join(missing)}"
        )
    say(f"Installing Debian packages: {', '.join(missing)}")
    # The tests start servers of their own; the packages' services stay off.
    os.environ.update(DEBIAN_FRONTEND="noninteractive", RUNLEVEL="1")
    failure = "apt-get failed; the lines above say why."
    run(["apt-get", "update", "-qq"], failure)
    run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing], failure)


def main() -> int:
    """Makes the environment that the arguments ask for."""
    parser = argparse.ArgumentParser(description="Makes .venv from the lock files.")
    parser.add_argument("--dev", action="store_true", help="with what the tests need")
    parser.add_argument(
        "--without-system", action="store_true", help="with --dev: leave Debian packages alone"
    )
    arguments = parser.parse_args()
    try:
        require_python()
        if arguments.dev and not arguments.without_system:
            install_system_packages()
        install(ROOT / ("requirements-dev.lock" if arguments.dev else "requirements.lock"))
    except Stop as stop:
        sys.stderr.write(f"{stop}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
