"""A real PostgreSQL in a folder of its own, from Debian's packages."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from stack.ports import free_port


def _programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent
    raise RuntimeError("PostgreSQL is not installed. On Debian: apt-get install postgresql")


class PostgresServer:
    """A server on a port of loopback, which can be killed, stopped and started again."""

    def __init__(self, folder: Path) -> None:
        self._programs = _programs()
        self._user = "postgres" if os.geteuid() == 0 else None
        self._folder = folder
        self._data = folder / "data"
        self._port = free_port()
        self.url = f"postgresql://parley@127.0.0.1:{self._port}/postgres"
        if self._user is not None:
            shutil.chown(folder, self._user)
        self._run("initdb", "-D", self._data, "-U", "parley", "-A", "trust", "-E", "UTF8", "-N")

    def start(self) -> None:
        """Returns when it takes connections."""
        options = f"-p {self._port} -c listen_addresses=127.0.0.1 -k {self._folder} -c fsync=off"
        self._run(
            "pg_ctl", "-D", self._data, "-w", "-l", self._folder / "log", "-o", options, "start"
        )

    def stop(self, mode: str = "immediate") -> None:
        """Returns when it has ended."""
        self._run("pg_ctl", "-D", self._data, "-w", "-m", mode, "stop")

    def kill(self) -> None:
        """Ends all its processes at once."""
        processes = self.signal(signal.SIGKILL)
        psutil.wait_procs(processes)

    def signal(self, number: signal.Signals) -> list[psutil.Process]:
        """Sends a signal to all its processes."""
        first = psutil.Process(int((self._data / "postmaster.pid").read_text().split()[0]))
        processes = [first, *first.children(recursive=True)]
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        return processes

    def _run(self, program: str, *arguments: str | Path) -> None:
        subprocess.run([str(self._programs / program), *map(str, arguments)], check=True,
                       user=self._user, cwd=self._folder, stdout=subprocess.DEVNULL,
                       stderr=subprocess.STDOUT)  # fmt: skip


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Starts a server; ends it, whatever became of it."""
    folder = Path(tempfile.mkdtemp(prefix="parley-pg-"))
    try:
        server = PostgresServer(folder)
        server.start()
        try:
            yield server
        finally:
            with suppress(psutil.NoSuchProcess, FileNotFoundError):
                server.signal(signal.SIGCONT)
                server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def postgres() -> Iterator[str]:
    """Starts a server on a free port of loopback; gives its URL."""
    with postgres_server() as server:
        yield server.url
