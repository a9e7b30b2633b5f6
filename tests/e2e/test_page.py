"""The page in a real browser; what it must do is written in web/tests/scenarios.mjs."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from bench.local_stack import LocalStack, free_port
from flow_backend.doors.page import FOLDER
from tests.e2e.browser import (
    NUMBERS,
    RECORDED,
    assert_light,
    assert_typed_without_microphone,
    from_afar,
    named,
    needs_browser,
    publish,
    scripted_by,
    see,
)
from tests.e2e.conftest import words
from tests.scripted_llm import ScriptedLLM

HOSTILE = '<img src="x" onerror="window.broken = 1"><script>window.broken = 1</script>'

pytestmark = [pytest.mark.asyncio(loop_scope="session"), needs_browser]

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


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def page(script: ScriptedLLM, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """A backend without LiveKit that serves the page."""
    assert (FOLDER / "index.html").is_file(), "Build the page first: make web."
    stack = LocalStack(tmp_path_factory.mktemp("page"))
    try:
        backend = await stack.backend(scripted_by(script))
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
    await publish(page, DESK)
    found = await see("characters", page, quiet)
    assert found == {"names": ["Cleo", "Dora"], "kept": "desk"}


async def test_all_of_it_works_without_a_mouse(page: str, quiet: Path) -> None:
    await see("keyboard", page, quiet)


async def test_a_call_in_another_tab_ends_this_one(page: str, quiet: Path) -> None:
    assert "another tab" in (await see("two_tabs", page, quiet))["words"]


async def test_the_voice_stops_when_asked(page: str, script: ScriptedLLM, quiet: Path) -> None:
    script.answer = NUMBERS
    found = await see("interrupt_socket", page, quiet)
    assert found["silentAfterMs"] < 300
    _came_with_the_voice(found)
    assert found["shift"] < 0.01
    assert_light(found["scripts"])


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


async def test_over_plain_http_from_another_machine_one_can_type(
    script: ScriptedLLM, tmp_path: Path
) -> None:
    stack = LocalStack(tmp_path)
    settings = from_afar()
    try:
        backend = await stack.backend({**scripted_by(script), **settings})
        key = settings["PARLEY_API_KEY"]
        assert_typed_without_microphone(await see("lan_socket", named(backend.url), given=key))
    finally:
        for process in stack.processes:
            await process.stop()


async def test_markup_stays_text(page: str, script: ScriptedLLM, quiet: Path) -> None:
    script.answer = HOSTILE
    flow = {
        "id": "hostile",
        "name": HOSTILE,
        "description": HOSTILE,
        "variables": {"evil": HOSTILE},
        "nodes": [
            {"id": "start", "type": "start", "data": {"greeting": HOSTILE, "label": HOSTILE}},
            {"id": "end", "type": "end", "data": {"text": HOSTILE}},
        ],
        "edges": [{"id": "e", "source": "start", "target": "end", "data": {"label": HOSTILE}}],
    }
    await publish(page, flow)
    await see("hostile", page, quiet)


async def test_the_policy_blocks_what_is_not_the_pages_own(page: str) -> None:
    assert len((await see("policy", page))["blocked"]) == 7


async def test_a_clock_that_jumps_makes_a_new_connection(page: str, quiet: Path) -> None:
    await see("clock_jump", page, quiet)


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


SCREENS = ["talk_problems", "flows", "status", "key"]


@pytest.mark.parametrize("screen", SCREENS)
async def test_axe_finds_nothing_serious(page: str, quiet: Path, screen: str) -> None:
    assert (await see(f"accessible_{screen}", page, quiet))["found"] == []


async def test_axe_finds_nothing_serious_in_a_call(
    page: str, script: ScriptedLLM, quiet: Path
) -> None:
    async def long() -> None:
        script.answer = NUMBERS

    await publish(page, DESK)
    found = await see("accessible_talk", page, quiet, {"long": long})
    assert found["found"] == []


async def test_axe_finds_nothing_serious_in_the_editor(page: str) -> None:
    await publish(page, DESK)
    assert (await see("accessible_editor", page))["found"] == []


async def test_problems_at_nodes_are_told_in_german(page: str) -> None:
    found = await see("accessible_editor_problems", page)
    assert found["found"] == []
    told = "\n".join(found["told"])
    assert "die Vorlage ist nicht zu lesen" in told
    assert "vom Anfang führt kein Weg zu „einsam“" in told
    assert "das „sonst“ fehlt" in told
    assert "liest die Variable „firma“, die nirgends gesetzt wird" in told
    assert "nothing sets" not in told


@pytest.mark.parametrize("scenario", ["restart", "asleep_socket"])
async def test_it_reconnects_when_the_backend_comes_back(
    scenario: str, script: ScriptedLLM, quiet: Path, tmp_path: Path
) -> None:
    stack = LocalStack(tmp_path)
    port = free_port()

    async def stop() -> None:
        await stack.processes[-1].kill()

    async def start() -> None:
        await stack.backend(scripted_by(script), port)

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
        backend = await stack.backend({**scripted_by(script), **settings})
        await see("api_key", backend.url, quiet, given=key)
        outside = {"fill": fill, "leave": leave}
        found = await see("full_socket", backend.url, quiet, outside, given=key)
        assert "All places are taken" in found["words"]
    finally:
        await leave()
        for process in stack.processes:
            await process.stop()
