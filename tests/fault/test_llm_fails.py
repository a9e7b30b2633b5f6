"""The language model's server is killed, stopped and restarted in the middle of an answer."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from tests.fault.llm_process import ANSWER, llm_process
from tests.fault.relay import Relay
from tests.fault.test_backend_killed import backend
from tests.fault.test_database_fails import add_talk, local
from tests.scripted_llm import ScriptedLLM

LIMITS = {"LLM_BETWEEN_TOKENS_TIMEOUT_S": "1", "LLM_COOLDOWN_S": "0", "LLM_RETRIES": "0"}


@pytest.mark.parametrize("how", ["killed", pytest.param("stopped", marks=pytest.mark.slow)])
async def test_another_model_goes_on_with_the_answer(tmp_path: Path, how: str) -> None:
    async with llm_process() as first, ScriptedLLM(ANSWER, piece_s=0.0).serve() as second:
        settings = {**local(second), **LIMITS, "LLM": "openai,local", "OPENAI_BASE_URL": first.url}
        async with backend(tmp_path, **settings) as process:
            await add_talk(process)
            events: list[dict[str, Any]] = []
            async for event in process.events("t1"):
                events.append(event)
                if [e["type"] for e in events].count("token") == 5:
                    if how == "killed":
                        await first.kill()
                    else:
                        first.send(signal.SIGSTOP)
            assert (events[-1]["type"], events[-1]["content"]) == ("done", ANSWER)
            if how == "killed":
                await first.start()
            else:
                first.send(signal.SIGCONT)
            asked = len(second.prompts)
            assert [e async for e in process.events("t2")][-1]["content"] == ANSWER
            assert len(second.prompts) == asked, "the first one is back"


@pytest.mark.slow
async def test_without_another_the_turn_ends_and_the_next_one_is_answered(tmp_path: Path) -> None:
    async with llm_process() as model:
        settings = {**LIMITS, "LLM": "openai", "OPENAI_BASE_URL": model.url}
        async with backend(tmp_path, **settings) as process:
            await add_talk(process)
            events: list[dict[str, Any]] = []
            async for event in process.events("t1"):
                events.append(event)
                if [e["type"] for e in events].count("token") == 5:
                    await model.kill()
            assert (events[-1]["type"], events[-1]["retryable"]) == ("error", True)
            assert events[-1]["code"] in ("provider_bad_response", "provider_unavailable")
            said = events[-1]["content"]
            assert ANSWER.startswith(said)
            await model.start()
            assert [e async for e in process.events("t2")][-1]["content"] == ANSWER
            state = (await process.client.get("/api/flows/f/sessions/s")).json()
            assert [(e["text"], e["interrupted"]) for e in state["transcript"]] == [
                ("go", False), (said, True), ("go", False), (ANSWER, False),
            ]  # fmt: skip


@pytest.mark.slow
async def test_a_connection_that_carries_nothing_any_more(tmp_path: Path) -> None:
    """No end and no reset come: the time between two tokens ends it."""
    async with ScriptedLLM(ANSWER, piece_s=0.0).serve() as second:
        held = ScriptedLLM(ANSWER, piece_s=0.0, hold_after=5)
        async with held.serve() as first, Relay.to(first.url) as relay:
            settings = {
                **local(second), **LIMITS,
                "LLM": "openai,local", "OPENAI_BASE_URL": f"{relay.url}/v1",
            }  # fmt: skip
            async with backend(tmp_path, **settings) as process:
                await add_talk(process)
                events: list[dict[str, Any]] = []
                async for event in process.events("t1"):
                    events.append(event)
                    if [e["type"] for e in events].count("token") == 5:
                        relay.freeze()
                        held.released.set()
                assert (events[-1]["type"], events[-1]["content"]) == ("done", ANSWER)


async def test_a_name_that_cannot_be_resolved(tmp_path: Path) -> None:
    """Of a model: the next one answers. Of an http node: the flow goes on by `error`."""
    async with ScriptedLLM(ANSWER, piece_s=0.0).serve() as second:
        settings = {
            **local(second), **LIMITS,
            "LLM": "openai,local", "OPENAI_BASE_URL": "http://model.invalid/v1",
            "HTTP_ALLOWED_HOSTS": "*",
        }  # fmt: skip
        async with backend(tmp_path, **settings) as process:
            await add_talk(process)
            assert (await process.turn("t1"))[-1]["content"] == ANSWER
            document = {
                "id": "g",
                "nodes": [
                    {"id": "start", "type": "start"},
                    {"id": "book", "type": "http",
                     "data": {"method": "POST", "url": "http://booking.invalid/book"}},
                    {"id": "no", "type": "say",
                     "data": {"text": "That did not work.", "wait_for_input": True}},
                    {"id": "yes", "type": "say", "data": {"text": "Booked."}},
                ],
                "edges": [
                    {"id": "e1", "source": "start", "target": "book",
                     "data": {"condition_type": "always"}},
                    {"id": "e2", "source": "book", "target": "no",
                     "data": {"condition_type": "event", "condition": "error"}},
                    {"id": "e3", "source": "book", "target": "yes",
                     "data": {"condition_type": "always"}},
                ],
            }  # fmt: skip
            made = await process.client.post("/api/flows", json=document)
            assert made.status_code == 201, made.text
            assert (await process.client.post("/api/flows/g/publish")).status_code == 200
            events = [e async for e in process.events("t1", session="s2", flow="g")]
            assert (events[-1]["type"], events[-1]["content"]) == ("done", "That did not work.")
        alone = {**LIMITS, "LLM": "openai", "OPENAI_BASE_URL": "http://model.invalid/v1"}
        async with backend(tmp_path, **alone) as process:
            end = (await process.turn("t2"))[-1]
            assert (end["type"], end["code"]) == ("error", "provider_unavailable")
            assert "model.invalid" in end["message"]
