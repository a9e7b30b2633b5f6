"""Time to first audio, speed and memory of Piper, here and elsewhere, in one run."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import platformdirs
import psutil
import typer
from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table

from protocol.errors import ConfigError
from speech.piper import find_voice

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)

SCRIPTS = Path(__file__).parent / "peers"
RATE_HZ = 22_050
TEXTS = (
    "Good to see you.",
    "The library on the corner opens at nine and closes at seven.",
    "The train to the coast was late again this morning, so we had breakfast at the station and "
    "watched the rain fall on the empty platforms.",
    "When the old lighthouse was finally restored, people from every village along the bay came "
    "to see it, and many of them brought photographs that their grandparents had taken; some told "
    "stories of storms and rescues, others just stood there, looking up at the light as it turned "
    "slowly over the dark water.",
)
"""16, 60, 140 and 310 characters."""
PEERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "wyoming-piper": ("wyoming_piper.py", ("wyoming-piper==2.5.2",)),
    "livekit-plugins-piper-tts": (
        "livekit_piper.py",
        ("livekit-plugins-piper-tts==0.1.0", "piper-tts[http]"),
    ),
    "pipecat": ("pipecat_piper.py", ("pipecat-ai[piper]==1.14.0",)),
    "RealtimeTTS": ("realtimetts_piper.py", ("RealtimeTTS==0.8.10", "piper-tts")),
}
"""Script and packages of each peer. Their dependencies exclude ours and each other's."""
OURS, BASELINE = "parley", "piper-tts"


@dataclass(frozen=True, slots=True)
class Figure:
    """One system with one text on one number of cores; times are medians."""

    system: str
    cores: int
    chars: int
    first_ms: float
    """From asking to the first sound received."""
    total_ms: float
    real_time_factor: float
    """Seconds from asking to the end, for each second of sound."""
    cpu_factor: float
    """Seconds of processor time for each second of sound: the cost, on a busy machine too."""
    underruns: int
    """Runs in which playback that began with the first sound would have had a gap."""
    peak_mb: float
    """Largest resident size of the system's processes in its whole run."""


@app.command()
def tts(
    runs: Annotated[int, typer.Option(min=1, help="Runs of each text.")] = 7,
    cores: Annotated[list[int] | None, typer.Option(help="Cores to allow; repeatable.")] = None,
    peers: Annotated[bool, typer.Option(help="Install and measure other projects too.")] = False,
    voice: Annotated[str | None, typer.Option(help="Voice name or .onnx file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measures this engine beside whole-sentence piper-tts, and with --peers beside others."""
    console = Console(stderr=True)
    systems = {OURS: ("parley_piper.py", sys.executable)}
    systems[BASELINE] = ("whole_piper.py", sys.executable)
    if peers:
        systems |= _install(console)
    available = sorted(os.sched_getaffinity(0))
    counts = [count for count in cores or [1, 2] if count <= len(available)]
    figures: list[Figure] = []
    with Progress(console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("Speaking", total=len(counts) * runs * len(TEXTS) * len(systems))
        for count in counts:
            lines = _run(systems, find_voice(voice), runs, available[:count], progress, task)
            for name in systems:
                figures += _figures(name, count, lines[name])
    if as_json:
        sys.stdout.write(json.dumps([asdict(figure) for figure in figures], indent=1) + "\n")
    else:
        Console().print(_table(figures))


def _install(console: Console) -> dict[str, tuple[str, str]]:
    """Makes a venv for each peer, once."""
    root = platformdirs.user_cache_path("parley") / "bench-peers"
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    found = {}
    for name, (script, packages) in PEERS.items():
        folder = root / name
        python = folder / "bin" / "python"
        marker = folder / ".installed"
        if not marker.exists() or marker.read_text(encoding="utf-8") != repr(packages):
            with console.status(f"Installing {name} for comparison"):
                if uv:
                    _call([uv, "venv", "-q", "--clear", "-p", sys.executable, str(folder)])
                    _call([uv, "pip", "install", "-q", "--python", str(python), *packages])
                else:
                    _call([sys.executable, "-m", "venv", "--clear", str(folder)])
                    _call([str(python), "-m", "pip", "install", "-q", *packages])
            marker.write_text(repr(packages), encoding="utf-8")
        found[name] = (script, str(python))
    return found


def _call(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ConfigError(
            "tool_missing",
            f"`{' '.join(command)}` failed: {done.stderr.strip()[-500:]}. Run without --peers, "
            "or see to the network.",
        )


def _run(
    systems: dict[str, tuple[str, str]],
    model: Path,
    runs: int,
    cores: list[int],
    progress: Progress,
    task: TaskID,
) -> dict[str, list[dict[str, Any]]]:
    """Asks the systems in turn, so that whatever else the machine does falls on all alike."""
    lines: dict[str, list[dict[str, Any]]] = {name: [] for name in systems}
    with ExitStack() as stack:
        running = {
            name: stack.enter_context(_System(script, python, model, cores))
            for name, (script, python) in systems.items()
        }
        for _ in range(runs):
            for text in TEXTS:
                for name, system in running.items():
                    lines[name].append(system.ask(text))
                    progress.advance(task)
        for name, system in running.items():
            lines[name].append(system.end())
    return lines


class _System:
    """A system's script in a process of its own, on some of the cores."""

    def __init__(self, script: str, python: str, model: Path, cores: list[int]) -> None:
        self._script = script
        self._cores = cores
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed in __exit__
        self._process = subprocess.Popen(
            ["taskset", "-c", ",".join(map(str, cores)), python, str(SCRIPTS / script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self.ask({"model": str(model.resolve()), "threads": len(cores)})
        self._hold_to_cores()

    def __enter__(self) -> _System:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.communicate()
        self._errors.close()

    def _hold_to_cores(self) -> None:
        """Holds every thread to the cores: onnxruntime gives its threads all that there are."""
        process = psutil.Process(self._process.pid)
        for member in (process, *process.children(recursive=True)):
            for thread in member.threads():
                with suppress(ProcessLookupError):
                    os.sched_setaffinity(thread.id, self._cores)

    def ask(self, question: object) -> dict[str, Any]:
        """Sends a line and waits for the answer."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
        return self._answer()

    def end(self) -> dict[str, Any]:
        """Lets it end, and gives its last words."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.stdin = None
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                answer: dict[str, Any] = json.loads(line)
                return answer
        self._errors.seek(0)
        said = self._errors.read().strip()[-800:]
        raise ConfigError("start_failed", f"{self._script} failed: {said}")


def _figures(system: str, cores: int, lines: list[dict[str, Any]]) -> list[Figure]:
    peak_mb = next(line["peak_mb"] for line in lines if "peak_mb" in line)
    by_length: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for line in lines:
        if "chars" in line:
            by_length[line["chars"]].append(line)
    figures = []
    for chars, results in by_length.items():
        sound_s = [sum(size for _, size in run["arrivals"]) / RATE_HZ for run in results]
        figures.append(
            Figure(
                system,
                cores,
                chars,
                first_ms=1000 * statistics.median(run["arrivals"][0][0] for run in results),
                total_ms=1000 * statistics.median(run["total_s"] for run in results),
                real_time_factor=statistics.median(
                    run["total_s"] / sound for run, sound in zip(results, sound_s, strict=True)
                ),
                cpu_factor=statistics.median(
                    run["cpu_s"] / sound for run, sound in zip(results, sound_s, strict=True)
                ),
                underruns=sum(_starves(run["arrivals"]) for run in results),
                peak_mb=peak_mb,
            )
        )
    return figures


def _starves(arrivals: list[tuple[float, int]]) -> bool:
    """Whether a listener who starts with the first sound is ever left without."""
    ends_s = arrivals[0][0]
    for at_s, samples in arrivals:
        if at_s > ends_s:
            return True
        ends_s += samples / RATE_HZ
    return False


def _table(figures: list[Figure]) -> Table:
    table = Table(title="Piper: first audio and speed")
    for name in (
        "system",
        "cores",
        "characters",
        "first ms",
        "total ms",
        "RTF",
        "CPU",
        "gaps",
        "MB",
    ):
        table.add_column(name, justify="left" if name == "system" else "right")
    for figure in figures:
        table.add_row(
            figure.system,
            str(figure.cores),
            str(figure.chars),
            f"{figure.first_ms:.0f}",
            f"{figure.total_ms:.0f}",
            f"{figure.real_time_factor:.3f}",
            f"{figure.cpu_factor:.3f}",
            str(figure.underruns),
            f"{figure.peak_mb:.0f}",
        )
    return table


if __name__ == "__main__":
    app()
