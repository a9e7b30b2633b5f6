from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from stack.doctor import Finding, State, examine
from stack.ports import free_port

ROOT = Path(__file__).parents[2]
PORTS = (
    "LIVEKIT_PORT",
    "LIVEKIT_TCP_PORT",
    "LIVEKIT_UDP_PORT",
    "BACKEND_PORT",
    "WORKER_PORT",
    "LLM_SERVER_PORT",
)


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without settings, and ports that nobody uses."""
    monkeypatch.chdir(tmp_path)
    for name in ("LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET", "LLM"):
        monkeypatch.delenv(name, raising=False)
    for name in PORTS:
        monkeypatch.setenv(name, str(free_port()))
    return tmp_path


async def findings() -> dict[str, Finding]:
    return {finding.name: finding async for finding in examine()}


async def test_a_fresh_machine_has_nothing_to_mend(fresh: Path) -> None:
    found = await findings()
    assert {name for name, finding in found.items() if finding.state is State.BAD} == set()
    assert found["voice"].state is State.OK
    assert found["ears"].detail == "Moonshine understood what Piper said"
    assert found["keys"].state is State.OFF
    assert found["stack"].remedy == "Start it: parley up."
    assert os.environ["BACKEND_PORT"] in found["ports"].detail


async def test_a_taken_port_is_bad(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        number = str(holder.getsockname()[1])
        monkeypatch.setenv("WORKER_PORT", number)
        found = await findings()
    assert found["ports"].state is State.BAD
    assert f"port {number} for the worker's health page is in use" in found["ports"].detail


async def test_the_voice_that_was_chosen_is_tried(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIPER_VOICE", raising=False)
    (fresh / ".env").write_text("PIPER_VOICE=voices/gone.onnx")
    found = await findings()
    assert found["voice"].state is State.BAD
    assert found["voice"].detail == "There is no voice file voices/gone.onnx."
    assert found["ears"].state is State.OK


@pytest.mark.parametrize("line", ["TOKEN_TTL_S=soon", "VAD_SILENCE_S=9", "LIVEKIT_PORT=0"])
async def test_wrong_settings_of_any_process_are_named(
    fresh: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    name, _, value = line.partition("=")
    monkeypatch.delenv(name, raising=False)
    (fresh / ".env").write_text(line)
    found = await findings()
    assert found["settings"].state is State.BAD
    assert name in found["settings"].detail
    assert value not in found["settings"].detail.split(name)[1]


def parley(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "stack", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )


def test_the_report_for_machines_is_json_and_its_status_says_whether_all_is_well(
    fresh: Path,
) -> None:
    (fresh / ".env").write_text("TOKEN_TTL_S=soon")
    done = parley("doctor", "--json", cwd=fresh)
    report = json.loads(done.stdout)
    assert (done.returncode, report["ok"]) == (1, False)
    assert {"name", "state", "detail", "remedy"} == set(report["findings"][0])


def test_say_and_listen_understand_each_other(fresh: Path) -> None:
    said = parley("say", "What is the capital of France?", "-o", "q.flac", cwd=fresh)
    assert said.returncode == 0, said.stderr
    heard = parley("listen", "q.flac", "--json", cwd=fresh)
    assert json.loads(heard.stdout)["text"] == "What is the capital of France?"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["listen", "absent.wav"], "no file absent.wav"),
        (["say", "...", "-o", "x.wav"], "nothing to say"),
        (["say", "Hello.", "-o", "absent/x.wav"], "cannot be written"),
        (["say", "Hello.", "-o", "x.wav", "--voice", "nobody"], "nobody"),
        (["chat", "Hello"], "cannot be reached"),
        (["call", "--text"], "Start the stack: parley up."),
        (["call", "--wav", "absent.wav"], "no file absent.wav"),
        (["up", "--without", "sleep"], "there is no such part"),
        (["listen", "."], ". is not a file. Give a recording: wav, flac, ogg or mp3."),
        (["say", "Hello.", "-o", "x.xyz"], "the name's ending chooses the format: wav, flac"),
        (["call", "--text", "--backend", "http://127.0.0.1:abc"], "is no address of a backend"),
        (["chat", "Hello", "--backend", "http://[::1"], "is no address of a backend"),
        (["chat", "Hello", "--backend", "nonsense"], "is no address of a backend"),
        (["replay", "s", "--backend", "nonsense"], "is no address of a backend"),
        (["bench", "absent"], "There is no benchmark 'absent'"),
    ],
)
def test_commands_say_what_is_wrong_in_one_sentence(
    fresh: Path, arguments: list[str], said: str
) -> None:
    done = parley(*arguments, cwd=fresh)
    assert done.returncode == 1
    assert said in done.stderr
    assert done.stderr.startswith("parley: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"LIVEKIT_URL": "ws://127.0.0.1:1"}, "No LiveKit server answers at ws://127.0.0.1:1"),
        ({"LIVEKIT_URL": "ws://"}, "LIVEKIT_URL"),
        ({"MAX_CALLS": "abc"}, "MAX_CALLS"),
        ({"TOKEN_TTL_S": "abc"}, "TOKEN_TTL_S"),
        ({"BRAIN": "openai"}, "OPENAI_API_KEY or OPENAI_BASE_URL"),
        ({"LLM": "nope"}, "LLM: there is no provider 'nope'"),
        ({"BACKEND_HOST": "192.0.2.1", "PARLEY_API_KEY": "k" * 40}, "not an address of this"),
    ],
)
def test_what_keeps_the_stack_from_working_is_said_before_anything_is_started(
    fresh: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], said: str
) -> None:
    pair = {"LIVEKIT_API_KEY": "key", "LIVEKIT_API_SECRET": "s" * 40}
    for name, value in {**pair, **settings}.items():
        monkeypatch.setenv(name, value)
    done = parley("up", cwd=fresh)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert "starting" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["say", "\udcff hello", "-o", "x.wav"], "not UTF-8 text"),
        (["chat", "\udcff"], "not UTF-8 text"),
        (["chat", "--flow", "", "Hello"], "--flow"),
        (["call", "--text", "--room", ""], "--room"),
        (["call", "--text", "--room", "r" * 600], "--room"),
        (["call", "--text", "--wait-s", "0"], "--wait-s"),
    ],
)
def test_a_wrong_argument_is_named(fresh: Path, arguments: list[str], said: str) -> None:
    done = parley(*arguments, cwd=fresh)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["up", "doctor"])
def test_an_env_file_that_is_no_text_is_said_to_be_so(fresh: Path, command: str) -> None:
    (fresh / ".env").write_bytes(b"LLM=local\nX=\xff\n")
    done = parley(command, cwd=fresh)
    assert done.returncode == 1
    assert ".env cannot be read: byte 12 of it is not UTF-8" in done.stdout + done.stderr
    (fresh / ".env").unlink()
    (fresh / ".env").mkdir()
    done = parley(command, cwd=fresh)
    assert ".env cannot be read: it is a folder" in done.stdout + done.stderr


class Stranger(BaseHTTPRequestHandler):
    """A web server of somebody else: one page for everything, with and without a type."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>Welcome</html>")

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("arguments", [["chat", "Hello"], ["call", "--text", "--flow", "f"]])
def test_a_server_of_somebody_else_is_told_from_ours(fresh: Path, arguments: list[str]) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Stranger) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            url = f"http://127.0.0.1:{server.server_port}/"
            done = parley(*arguments, "--backend", url, cwd=fresh)
        finally:
            server.shutdown()
    assert done.returncode == 1
    assert "is not Parley's backend" in done.stderr
    assert "html" not in done.stderr
