"""The page in a real browser; what it must do is written in web/tests/scenarios.mjs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import pytest_asyncio
import soundfile as sf
import soxr
from livekit import api
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from bench.caller import MIC_RATE_HZ, Audio
from bench.local_stack import ROOT, LocalStack, free_port
from flow_backend.doors.page import FOLDER
from tests.e2e.conftest import Rooms, words
from tests.scripted_llm import ScriptedLLM

WEB = ROOT / "web"
SCENARIO_WITHIN_S = 240.0
RECORDED = {"ever", "tried", "failed", "no", "matter", "try", "again", "fail", "better"}
"""Words of the recording; a busy machine may miss the first or the last ones."""
HOSTILE = '<img src="x" onerror="window.broken = 1"><script>window.broken = 1</script>'

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.skipif(
        not all(map(shutil.which, ("node", "chromium"))) or not (WEB / "node_modules").is_dir(),
        reason="needs Node, Chromium and the page's packages: make dev web",
    ),
]

DESK = {
    "id": "desk",
    "name": "Front desk",
    "variables": {"company": "Blue Door"},
    "nodes": [
        {"id": "hello", "type": "start", "data": {"greeting": "Front desk of {{ company }}."}},
        {"id": "talk", "type": "conversation", "data": {"instructions": "Be brief."}},
    ],
    "edges": [{"id": "e", "source": "hello", "target": "talk"}],
}

Outside = Mapping[str, Callable[[], Awaitable[None]]]


async def see(
    scenario: str,
    url: str,
    wav: Path | None = None,
    outside: Outside | None = None,
    given: str = "",
) -> Any:
    """Runs a scenario and gives what it found; it may ask for things done `outside`."""
    arguments = ["tests/scenarios.mjs", scenario, url, *([str(wav)] if wav else [])]
    process = await asyncio.create_subprocess_exec(
        "node",
        *arguments,
        cwd=WEB,
        env={**os.environ, "GIVEN": given},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdin
    assert process.stdout
    assert process.stderr
    errors = asyncio.create_task(process.stderr.read())
    found = None
    try:
        async with asyncio.timeout(SCENARIO_WITHIN_S):
            async for line in process.stdout:
                if line.startswith(b"? "):
                    await (outside or {})[line[2:].decode().strip()]()
                    process.stdin.write(b"\n")
                    await process.stdin.drain()
                else:
                    found = json.loads(line)
            assert await process.wait() == 0, (await errors).decode()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await errors
    return found


def _microphone(path: Path, speech: Audio) -> Path:
    """A file for Chromium's microphone: the speech at 48 kHz, with silence before and after."""
    at_48_khz = soxr.resample(speech, MIC_RATE_HZ, 48_000)
    silence = np.zeros(48_000, np.float32)
    sf.write(path, np.concatenate([silence, silence, at_48_khz, silence]), 48_000, "PCM_16")
    return path


@pytest.fixture(scope="session")
def spoken(human: Audio, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _microphone(tmp_path_factory.mktemp("page") / "human.wav", human)


@pytest.fixture(scope="session")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _microphone(tmp_path_factory.mktemp("page") / "quiet.wav", np.zeros(160, np.float32))


def _environment(script: ScriptedLLM) -> dict[str, str]:
    return {
        "LLM": "openai",
        "OPENAI_BASE_URL": script.url,
        "OPENAI_API_KEY": "none",
        "LIVEKIT_URL": "",
    }


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def page(script: ScriptedLLM, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """A backend without LiveKit that serves the page."""
    assert (FOLDER / "index.html").is_file(), "Build the page first: make web."
    stack = LocalStack(tmp_path_factory.mktemp("page"))
    try:
        backend = await stack.backend(_environment(script))
        yield backend.url
    finally:
        for process in stack.processes:
            await process.stop()


async def test_a_spoken_conversation_over_the_websocket(page: str, spoken: Path) -> None:
    # `auto` finds no LiveKit server.
    found = await see("talk_auto", page, spoken)
    assert len(RECORDED & set(words(found["user"]))) >= 2
    assert found["peak"] > 0.03
    assert found["played"] >= 2
    assert {"transcript", "first token", "first audio", "heard", "node talk"} <= set(
        found["stages"]
    )
    assert "talk" in found["visited"][0]
    assert found["seeksTo"]["duration"] == pytest.approx(found["seeksTo"]["decoded"], abs=0.5)
    # The first line begins where the recording's first word is spoken.
    assert found["levels"]["after"] > 3 * found["levels"]["before"]
    exported = found["exported"]
    assert exported["kind"] == "socket"
    assert {line["who"] for line in exported["lines"]} == {"user", "agent"}
    assert exported["waterfalls"][0]["stages"]
    assert {"connected", "state", "turn"} <= {entry["kind"] for entry in exported["log"]}


async def test_characters_answer_and_a_chosen_flow_greets(page: str, quiet: Path) -> None:
    await _publish(page, DESK)
    found = await see("characters", page, quiet)
    assert found == {"names": ["Cleo", "Dora"], "kept": "desk"}


async def test_all_of_it_works_without_a_mouse(page: str, quiet: Path) -> None:
    await see("keyboard", page, quiet)


async def test_a_call_in_another_tab_ends_this_one(page: str, quiet: Path) -> None:
    assert "another tab" in (await see("two_tabs", page, quiet))["words"]


async def test_the_voice_stops_when_asked(page: str, script: ScriptedLLM, quiet: Path) -> None:
    script.answer = " ".join(f"Number {n} is a fine number indeed." for n in range(1, 30))
    found = await see("interrupt_socket", page, quiet)
    assert found["silentAfterMs"] < 300
    _came_with_the_voice(found)


def _came_with_the_voice(found: dict[str, Any]) -> None:
    """The words grew one by one, and were cut where the voice was."""
    shown, heard = words(found["shown"]), words(found["text"])
    assert found["grown"] >= 4
    assert shown[:2] == ["number", "1"]
    assert "20" not in shown
    assert abs(len(shown) - len(heard)) <= 4, (shown, heard)


async def test_without_a_microphone_one_can_type(page: str) -> None:
    told = (await see("no_microphone", page))["told"]
    assert "not allowed" in told["NotAllowedError"]
    assert "No microphone was found" in told["NotFoundError"]
    assert "Another program" in told["NotReadableError"]
    assert "https" in told["insecure"]


@pytest.fixture
def from_afar() -> dict[str, str]:
    """A backend that other machines may call, and the name that Chromium has for this one."""
    return {"API_KEYS": "required", "PARLEY_API_KEY": secrets.token_hex(32)}


def _named(url: str) -> str:
    return url.replace("127.0.0.1", "parley.lan")


def _typed_without_microphone(found: dict[str, str]) -> None:
    assert "https" in found["words"]
    assert "localhost" in found["words"]
    assert "https, or localhost" in found["why"]


async def test_over_plain_http_from_another_machine_one_can_type(
    script: ScriptedLLM, from_afar: dict[str, str], tmp_path: Path
) -> None:
    stack = LocalStack(tmp_path)
    try:
        backend = await stack.backend({**_environment(script), **from_afar})
        key = from_afar["PARLEY_API_KEY"]
        _typed_without_microphone(await see("lan_socket", _named(backend.url), given=key))
    finally:
        for process in stack.processes:
            await process.stop()


async def test_over_plain_http_from_another_machine_one_can_type_in_a_room(
    scripted: Rooms, script: ScriptedLLM, from_afar: dict[str, str]
) -> None:
    public = {"LIVEKIT_PUBLIC_URL": _named(scripted.stack.livekit_url), "AGENT_NAME": "scripted"}
    backend = await scripted.stack.backend({**_environment(script), **from_afar, **public})
    try:
        key = from_afar["PARLEY_API_KEY"]
        _typed_without_microphone(await see("lan_livekit", _named(backend.url), given=key))
    finally:
        await backend.process.stop()


async def test_markup_stays_text(page: str, script: ScriptedLLM, quiet: Path) -> None:
    script.answer = HOSTILE
    flow = {
        "id": "hostile",
        "name": HOSTILE,
        "description": HOSTILE,
        "nodes": [
            {"id": "start", "type": "start", "data": {"greeting": HOSTILE, "label": HOSTILE}},
            {"id": "end", "type": "end", "data": {"text": HOSTILE}},
        ],
        "edges": [{"id": "e", "source": "start", "target": "end", "data": {"label": HOSTILE}}],
    }
    await _publish(page, flow)
    await see("hostile", page, quiet)


async def test_the_editor_builds_saves_publishes_and_talks(page: str) -> None:
    kept = (await see("editor", page))["document"]
    assert kept["name"] == "Kept"
    assert [node["type"] for node in kept["nodes"]] == ["start", "conversation", "end"]


async def test_the_test_chat_runs_what_is_not_saved(page: str) -> None:
    found = await see("trial", page)
    assert {"note", "bye"} <= set(found["visited"])
    assert found["taken"] >= 1
    assert "4" in found["variables"]
    assert "Bonn" in found["variables"]
    assert "nodes[2].data.text" in found["refused"]
    assert found["stored"] == 404


async def test_axe_finds_nothing_serious(page: str, quiet: Path) -> None:
    assert (await see("accessible", page, quiet))["found"] == []


@pytest.mark.parametrize("scenario", ["restart", "asleep"])
async def test_it_reconnects_when_the_backend_comes_back(
    scenario: str, script: ScriptedLLM, quiet: Path, tmp_path: Path
) -> None:
    stack = LocalStack(tmp_path)
    port = free_port()

    async def stop() -> None:
        await stack.processes[-1].kill()

    async def start() -> None:
        await stack.backend(_environment(script), port)

    try:
        await start()
        outside = {"stop": stop, "start": start}
        await see(scenario, f"http://127.0.0.1:{port}", quiet, outside)
    finally:
        for process in stack.processes:
            await process.stop()


async def test_it_asks_for_a_key_and_says_when_all_places_are_taken(
    script: ScriptedLLM, quiet: Path, tmp_path: Path
) -> None:
    stack = LocalStack(tmp_path)
    key = secrets.token_hex(32)
    settings = {"API_KEYS": "required", "PARLEY_API_KEY": key, "MAX_SOCKETS": "2"}
    held = []

    async def fill() -> None:
        headers = {"Authorization": f"Bearer {key}"}
        url = f"{backend.url.replace('http', 'ws', 1)}/ws"
        with contextlib.suppress(InvalidStatus):
            while True:
                held.append(await connect(url, additional_headers=headers, proxy=None))

    async def leave() -> None:
        while held:
            await held.pop().close()

    try:
        backend = await stack.backend({**_environment(script), **settings})
        await see("api_key", backend.url, quiet, given=key)
        outside = {"fill": fill, "leave": leave}
        found = await see("full_socket", backend.url, quiet, outside, given=key)
        assert "All places are taken" in found["words"]
    finally:
        await leave()
        for process in stack.processes:
            await process.stop()


async def test_a_spoken_conversation_in_a_room(scripted: Rooms, spoken: Path) -> None:
    # The page's way in is TokenSource.endpoint with POST /api/token.
    found = await see("talk_livekit", scripted.backend.url, spoken)
    assert len(RECORDED & set(words(found["user"]))) >= 2
    assert found["peak"] > 0.03
    assert found["bars"] == 7
    assert "talk" in found["visited"][0]


async def test_the_voice_stops_in_a_room_when_asked(
    scripted: Rooms, script: ScriptedLLM, quiet: Path
) -> None:
    script.answer = " ".join(f"Number {n} is a fine number indeed." for n in range(1, 30))
    found = await see("interrupt_livekit", scripted.backend.url, quiet)
    assert found["silentAfterMs"] < 1000
    assert found["grown"] >= 4
    assert "20" not in words(found["text"])


def _ticket(rooms: Rooms, room: str, ttl_s: int = 60, **grants: bool) -> str:
    """What `POST /api/token` might answer."""
    token = (
        api.AccessToken(rooms.stack.key, rooms.stack.secret)
        .with_identity(f"caller-{secrets.token_hex(4)}")
        .with_ttl(timedelta(seconds=ttl_s))
        .with_grants(api.VideoGrants(room=room, **{"room_join": True, **grants}))
    )
    return json.dumps({"server_url": rooms.stack.livekit_url, "participant_token": token.to_jwt()})


@pytest.mark.parametrize(
    ("ttl_s", "grants", "code", "ended"),
    [
        (-3600, {}, "token_rejected", True),
        (60, {"room_join": False}, "token_rejected", True),
        (60, {"can_publish": False}, "may_not_speak", False),
        (60, {"can_subscribe": False}, "may_not_hear", False),
    ],
    ids=["expired", "no room", "no microphone", "no ears"],
)
async def test_a_bad_ticket_is_named(
    scripted: Rooms, quiet: Path, ttl_s: int, grants: dict[str, bool], code: str, ended: bool
) -> None:
    ticket = _ticket(scripted, f"room-{secrets.token_hex(4)}", ttl_s, **grants)
    found = await see("ticket", scripted.backend.url, quiet, given=ticket)
    assert found["code"] == code
    assert found["again"] == ended


async def _publish(url: str, flow: dict[str, Any]) -> None:
    async with httpx.AsyncClient(trust_env=False, base_url=url) as client:
        made = await client.post("/api/flows", json=flow)
        assert made.status_code == 201, made.text
        assert (await client.post(f"/api/flows/{flow['id']}/publish")).status_code == 200
