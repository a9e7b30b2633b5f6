from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import psutil
import pytest

from protocol.errors import ConfigError
from stack.ports import Port, free_port, require_free
from stack.supervisor import Part, Supervisor
from tests.integration.tcp_probe import tcp_open

SERVER = """
import os, signal, socket, subprocess, sys
port, log = int(sys.argv[1]), sys.argv[2]
def note(what):
    with open(log, "a") as file:
        file.write(what + "\\n")
def leave(*_):
    note("stopped " + sys.argv[3])
    os._exit(0)
signal.signal(signal.SIGTERM, leave)
signal.signal(signal.SIGINT, lambda *_: note("interrupted"))
if "grandchild" in sys.argv:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    note(f"grandchild {child.pid}")
if "deaf" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
note(f"started {sys.argv[3]} {os.getpid()}")
print("hello from", sys.argv[3], flush=True)
with socket.create_server(("127.0.0.1", port)) as server:
    while True:
        server.accept()[0].close()
"""


class Diary:
    """Keeps what the supervisor says, and lets a test wait for it."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._news = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    def status(self, name: str, text: str, *, good: bool = True) -> None:
        self._add(f"{name}: {text}")

    def output(self, name: str, line: str) -> None:
        self._add(f"{name}| {line}")

    def _add(self, line: str) -> None:
        self.lines.append(line)
        task = asyncio.create_task(self._tell())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()

    async def wait_for(self, beginning: str, times: int = 1) -> None:
        async with self._news:
            await self._news.wait_for(
                lambda: sum(line.startswith(beginning) for line in self.lines) >= times
            )


class Bench:
    """Makes parts that write into one log."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "log"
        self.script = folder / "server.py"
        self.script.write_text(SERVER)

    def part(
        self, name: str, *flags: str, after: tuple[str, ...] = (), stop_within_s: float = 5
    ) -> Part:
        port = free_port()
        return Part(
            name,
            (sys.executable, str(self.script), str(port), str(self.log), name, *flags),
            tcp_open("127.0.0.1", port),
            after=after,
            stop_within_s=stop_within_s,
        )

    def noted(self, beginning: str = "") -> list[str]:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [line for line in lines if line.startswith(beginning)]

    def pids(self) -> list[int]:
        return [int(line.split()[-1]) for line in self.noted("started") + self.noted("grandchild")]


def running(pids: list[int]) -> list[int]:
    alive = []
    for pid in pids:
        try:
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                alive.append(pid)
        except psutil.NoSuchProcess:
            continue
    return alive


def wait_gone(pids: list[int]) -> None:
    processes = [psutil.Process(pid) for pid in running(pids)]
    _, left = psutil.wait_procs(processes, timeout=10)
    assert [process for process in left if process.pid in running(pids)] == []


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def test_parts_start_in_order_and_stop_in_reverse(bench: Bench) -> None:
    diary = Diary()
    supervisor = Supervisor(
        [bench.part("a"), bench.part("b", after=("a",)), bench.part("c", after=("a", "b"))], diary
    )
    ready = asyncio.Event()
    run = asyncio.create_task(supervisor.run(ready.set))
    await ready.wait()
    assert [line.split()[1] for line in bench.noted("started")] == ["a", "b", "c"]
    states = [f"{name}: {state}" for name in "abc" for state in ("starting", "ready")]
    places = [
        next(place for place, line in enumerate(diary.lines) if line.startswith(state))
        for state in states
    ]
    assert places == sorted(places)
    supervisor.stop()
    await run
    assert bench.noted("stopped") == ["stopped c", "stopped b", "stopped a"]
    assert "a| hello from a" in diary.lines
    assert running(bench.pids()) == []


async def test_a_crashed_part_is_started_again(bench: Bench) -> None:
    diary = Diary()
    supervisor = Supervisor([bench.part("a"), bench.part("b")], diary, backoff_s=(0.01, 0.01))
    ready = asyncio.Event()
    run = asyncio.create_task(supervisor.run(ready.set))
    await ready.wait()
    first = next(int(line.split()[2]) for line in bench.noted("started a"))
    os.kill(first, signal.SIGKILL)
    await diary.wait_for("a: ready", times=2)
    assert any("was ended by SIGKILL; starting it again" in line for line in diary.lines)
    supervisor.stop()
    await run
    assert len(bench.noted("started a")) == 2
    assert len(bench.noted("started b")) == 1
    assert running(bench.pids()) == []


async def test_a_part_that_keeps_crashing_ends_everything(bench: Bench) -> None:
    diary = Diary()
    supervisor = Supervisor([bench.part("a"), bench.part("b")], diary, backoff_s=(0.01,))
    run = asyncio.create_task(supervisor.run())
    for count in (1, 2):
        await diary.wait_for("a: ready", times=count)
        os.kill(int(bench.noted("started a")[-1].split()[2]), signal.SIGKILL)
    with pytest.raises(ConfigError, match="a was ended by SIGKILL again and again") as caught:
        await run
    assert caught.value.code == "start_failed"
    assert bench.noted("stopped b") == ["stopped b"]
    assert running(bench.pids()) == []


async def test_a_part_that_cannot_start_ends_everything_with_its_last_words(bench: Bench) -> None:
    never = Part(
        "b",
        (sys.executable, "-c", "import sys; sys.exit('PORT: expected a number')"),
        tcp_open("127.0.0.1", free_port()),
        after=("a",),
    )
    after = bench.part("c", after=("b",))
    with pytest.raises(ConfigError, match=r"b ended with status 1 before it was ready\..*a number"):
        await Supervisor([bench.part("a"), never, after], Diary()).run()
    assert bench.noted("stopped") == ["stopped a"]
    assert bench.noted("started c") == []
    assert running(bench.pids()) == []


async def test_a_part_that_is_never_ready_is_named(bench: Bench) -> None:
    part = Part(
        "slow",
        (sys.executable, "-c", "import time; time.sleep(600)"),
        tcp_open("127.0.0.1", free_port()),
        ready_within_s=0.2,
    )
    with pytest.raises(ConfigError, match=r"slow was not ready within 0\.2 s"):
        await Supervisor([part], Diary()).run()


async def test_a_missing_program_is_named() -> None:
    part = Part("x", ("/nonexistent/program",), tcp_open("127.0.0.1", free_port()))
    with pytest.raises(ConfigError, match=r"/nonexistent/program does not exist") as caught:
        await Supervisor([part], Diary()).run()
    assert caught.value.code == "tool_missing"


async def test_a_part_that_does_not_stop_is_killed_with_its_children(bench: Bench) -> None:
    diary = Diary()
    part = bench.part("a", "deaf", "grandchild", stop_within_s=0.2)
    supervisor = Supervisor([part], diary)
    ready = asyncio.Event()
    run = asyncio.create_task(supervisor.run(ready.set))
    await ready.wait()
    supervisor.stop()
    await run
    assert "a: did not stop in time: killed" in diary.lines
    wait_gone(bench.pids())


async def test_a_second_stop_does_not_wait(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    part = bench.part("a", "deaf", stop_within_s=600)
    diary = Diary()
    supervisor = Supervisor([part], diary)
    ready = asyncio.Event()
    run = asyncio.create_task(supervisor.run(ready.set))
    await ready.wait()
    supervisor.stop()
    supervisor.stop()
    await diary.wait_for("a: stopping")
    assert running(bench.pids())
    monkeypatch.setattr("stack.supervisor.SAME_REQUEST_S", 0)
    supervisor.stop()
    await run
    wait_gone(bench.pids())


async def test_stopping_while_starting_leaves_nothing(bench: Bench) -> None:
    never_ready = Part(
        "a",
        bench.part("a").argv,
        tcp_open("127.0.0.1", free_port()),
    )
    diary = Diary()
    supervisor = Supervisor([never_ready, bench.part("b", after=("a",))], diary)
    run = asyncio.create_task(supervisor.run())
    await diary.wait_for("a| hello")
    supervisor.stop()
    await run
    assert bench.noted("started b") == []
    wait_gone(bench.pids())


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is Linux's")
async def test_parts_die_with_a_supervisor_that_is_killed(bench: Bench, tmp_path: Path) -> None:
    port = free_port()
    program = f"""
import asyncio, sys
from tests.integration.tcp_probe import tcp_open
from stack.supervisor import Part, Supervisor
from stack.terminal import Terminal
part = Part("a", (sys.executable, {str(bench.script)!r}, "{port}", {str(bench.log)!r}, "a"),
            tcp_open("127.0.0.1", {port}))
asyncio.run(Supervisor([part], Terminal()).run(lambda: print("all ready", flush=True)))
"""
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert parent.stdout is not None
    async for line in parent.stdout:
        if b"all ready" in line:
            break
    assert running(bench.pids())
    parent.kill()
    await parent.wait()
    wait_gone(bench.pids())


def test_a_port_in_use_is_named_with_its_holder_and_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        number = holder.getsockname()[1]
        with pytest.raises(ConfigError) as caught:
            require_free([Port(number, "the backend", "BACKEND_PORT")])
    assert caught.value.code == "port_in_use"
    assert f"TCP port {number} for the backend is in use" in caught.value.message
    assert f"(process {os.getpid()})" in caught.value.message
    assert "set BACKEND_PORT to a free port" in caught.value.message
    require_free([Port(number, "the backend", "BACKEND_PORT")])


def test_two_parts_on_one_port_are_refused() -> None:
    number = free_port()
    with pytest.raises(ConfigError, match="A_PORT and B_PORT are both"):
        require_free([Port(number, "a", "A_PORT"), Port(number, "b", "B_PORT")])
    require_free([Port(number, "a", "A_PORT"), Port(number, "b", "B_PORT", "udp")])


def test_parts_stand_after_those_that_they_need() -> None:
    part = Part("a", ("true",), tcp_open("127.0.0.1", 1), after=("b",))
    with pytest.raises(ValueError, match="a stands before b"):
        Supervisor([part], Diary())
