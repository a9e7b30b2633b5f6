"""`parley sip` against a real LiveKit server, which keeps trunks and rules in Redis."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stack.livekit_server import find_or_build
from stack.ports import free_port
from tests.integration.processes import started

KEY, SECRET = "APItest", "0123456789abcdef0123456789abcdef"


@contextmanager
def livekit(folder: Path, redis_port: int | None) -> Iterator[str]:
    """A LiveKit server; gives its URL."""
    port = free_port()
    config = {
        "port": port,
        "bind_addresses": ["127.0.0.1"],
        "rtc": {"tcp_port": free_port(), "udp_port": free_port()},
        "keys": {KEY: SECRET},
    }
    if redis_port is not None:
        config["redis"] = {"address": f"127.0.0.1:{redis_port}"}
    argv = [str(find_or_build(lambda _: None)), "--config-body", json.dumps(config)]
    with started(argv, folder, says=b"starting LiveKit server"):
        yield f"ws://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def with_sip(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port, folder = free_port(), tmp_path_factory.mktemp("sip")
    argv = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with started(argv, folder, says=b"Ready to accept"), livekit(folder, port) as url:
        yield url


def sip(url: str, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "stack.sip", *arguments],
        env={
            **os.environ,
            "LIVEKIT_URL": url,
            "LIVEKIT_API_KEY": KEY,
            "LIVEKIT_API_SECRET": SECRET,
            **env,
        },
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def listed(url: str) -> dict[str, list[dict[str, object]]]:
    found: dict[str, list[dict[str, object]]] = json.loads(sip(url, "list", "--json").stdout)
    return found


def test_numbers_are_let_in_listed_replaced_and_removed(with_sip: str) -> None:
    first = sip(with_sip, "inbound", "+49301234567", "--allow", "203.0.113.0/24")
    assert first.returncode == 0, first.stderr
    again = sip(
        with_sip,
        *("inbound", "+49301234567", "+49301234568", "--username", "desk"),
        *("--flow", "reception", "--agent", "parley"),
        SIP_AUTH_PASSWORD="never-shown",
    )
    assert again.returncode == 0, again.stderr
    shown = sip(with_sip, "list", "--json").stdout
    assert "never-shown" not in shown
    found = json.loads(shown)
    (trunk,) = found["inbound"]
    (rule,) = found["rule"]
    assert trunk["numbers"] == ["+49301234567", "+49301234568"]
    assert rule["trunkIds"] == [trunk["sipTrunkId"]]
    agents = rule["roomConfig"]["agents"]
    assert agents == [{"agentName": "parley", "metadata": '{"flow_id": "reception"}'}]
    gone = sip(with_sip, "remove", str(trunk["sipTrunkId"]), str(rule["sipDispatchRuleId"]))
    assert gone.returncode == 0, gone.stderr
    assert listed(with_sip) == {"inbound": [], "outbound": [], "rule": []}


def test_calls_go_out_through_a_trunk(with_sip: str) -> None:
    made = sip(with_sip, "outbound", "sip.example.org", "+49301234567")
    assert made.returncode == 0, made.stderr
    (trunk,) = listed(with_sip)["outbound"]
    assert trunk["address"] == "sip.example.org"
    # No livekit-sip serves the call: it fails in words, and its room is gone.
    failed = sip(with_sip, "call", "+4930765", "--trunk", str(trunk["sipTrunkId"]), "--ring-s", "1")
    assert failed.returncode == 1
    assert failed.stderr.startswith("parley sip: LiveKit at")
    assert "Traceback" not in failed.stderr
    assert sip(with_sip, "remove", str(trunk["sipTrunkId"])).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("inbound", "+49301234567"), "--allow"),
        (("inbound", "desk", "--allow", "203.0.113.1"), "'desk' is not a telephone number"),
        (("inbound", "+49301234567", "--username", "x"), "SIP_AUTH_PASSWORD"),
        (("remove", "ST_nothing"), "no trunk or rule ST_nothing"),
    ],
)
def test_what_is_wrong_is_said(with_sip: str, arguments: tuple[str, ...], said: str) -> None:
    refused = sip(with_sip, *arguments)
    assert refused.returncode == 1
    assert said in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_server_without_sip_and_one_that_is_not_there(tmp_path: Path) -> None:
    with livekit(tmp_path, None) as url:
        refused = sip(url, "list")
    assert refused.returncode == 1
    assert "needs Redis" in refused.stderr
    nobody = sip(f"ws://127.0.0.1:{free_port()}", "list")
    assert nobody.returncode == 1
    assert "cannot be reached" in nobody.stderr
