"""Measures one system: reads a job and then texts, a JSON line each, and answers each with one.

At the end of its input it says how much memory the system has used.
"""

from __future__ import annotations

import atexit
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

Speak = Callable[[str], Iterator[bytes]]
"""Gives the sound of a text as it comes: 16-bit PCM, mono."""


def measure(open_system: Callable[[dict[str, str]], tuple[Speak, list[int]]]) -> None:
    """Speaks each text that is asked for.

    Args:
        open_system: Takes the job, gives the function that speaks and the ids of the processes
            that belong to the system besides this one.
    """
    job = json.loads(sys.stdin.readline())
    speak, others = open_system(job)
    processes = ["self", *map(str, others)]
    for _ in speak("One, two."):
        pass
    _print({"ready": True})
    for line in sys.stdin:
        text = json.loads(line)
        began, worked_s = time.perf_counter(), _cpu_s(processes)
        arrivals = []
        for data in speak(text):
            if data:
                arrivals.append((time.perf_counter() - began, len(data) // 2))
        times = {"total_s": time.perf_counter() - began, "cpu_s": _cpu_s(processes) - worked_s}
        _print({"chars": len(text), **times, "arrivals": arrivals})
    _print({"peak_mb": sum(map(_peak_mb, processes))})


def _print(line: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def _peak_mb(process: str) -> float:
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def _cpu_s(processes: list[str]) -> float:
    """Processor time of the processes and of those that they started and that have ended."""
    ticks = 0
    for process in processes:
        stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8")
        ticks += sum(map(int, stat.rpartition(")")[2].split()[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def serve(module: list[str], port: int) -> int:
    """Runs a server module for as long as this process; gives its id once it listens."""
    server = subprocess.Popen(
        [sys.executable, "-m", *module],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    atexit.register(server.wait)
    atexit.register(server.terminate)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return server.pid
    raise SystemExit(f"{module[0]} did not start")
