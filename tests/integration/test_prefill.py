"""The model reads ahead while the user still speaks."""

from __future__ import annotations

import pytest

from agent_worker.conversation import Conversation
from agent_worker.flow_executor import FlowExecutor
from flow_backend.llm.scripted import Reply, ScriptedProvider
from tests.integration.backend_server import Backend, serve_backend, text_of

TALK = [
    {"id": "start", "type": "start", "data": {}},
    {"id": "talk", "type": "conversation", "data": {"instructions": "Be {{ mood }}."}},
    {"id": "bye", "type": "end", "data": {"text": "Bye."}},
]
EDGES = [
    ("start", "talk", {"condition_type": "always"}),
    ("talk", "bye", {"condition_type": "llm", "condition": "the caller says goodbye"}),
]


class Keeping(ScriptedProvider):
    keeps_prompt_cache = True


async def begin(backend: Backend) -> None:
    await backend.add_flow(TALK, EDGES, variables={"mood": "kind"})


async def test_the_prompt_is_read_up_to_the_users_words() -> None:
    async with serve_backend(model := Keeping(["Hello."])) as backend:
        await begin(backend)
        async with FlowExecutor("f", backend_url=backend.url) as executor:
            opened = await executor.open_session()
            conversation = Conversation(executor)
            for words in ("Good morning.", "And now?"):
                before = len(model.requests)
                conversation.prefill()
                await conversation.aclose()
                events = await backend.turn(opened.session_id, words)
                assert text_of(events) == "Hello."
                (ahead, ahead_params), (asked, asked_params) = list(model.requests)[before:]
                assert ahead[:-1] == asked[:-1]
                assert (ahead[-1].content, asked[-1].content) == ("…", words)
                assert ahead_params.max_tokens == 1
                assert ahead_params.tools == asked_params.tools
            assert asked[0].content == "Be kind."
            assert asked_params.tools
            state = await executor.session_state()
    assert [entry.text for entry in state.transcript[::2]] == ["Good morning.", "And now?"]


async def test_a_turn_ends_the_reading() -> None:
    replies = [Reply(say="late", first_delay_s=60), Reply(say="Hello.", times=None)]
    async with serve_backend(model := Keeping(replies)) as backend:
        await begin(backend)
        async with FlowExecutor("f", backend_url=backend.url) as executor:
            opened = await executor.open_session()
            await executor.prefill()
            events = await backend.turn(opened.session_id, "Hi.")
            assert text_of(events) == "Hello."
            assert len(model.requests) == 2
            assert model.open_streams == 0


@pytest.mark.parametrize("keeps", [True, False])
async def test_a_model_that_fails_or_keeps_nothing_is_left_alone(keeps: bool) -> None:
    kind = Keeping if keeps else ScriptedProvider
    replies = [Reply(error="provider_unavailable"), Reply(say="Hello.", times=None)]
    async with serve_backend(model := kind(replies[not keeps :])) as backend:
        await begin(backend)
        async with FlowExecutor("f", backend_url=backend.url) as executor:
            opened = await executor.open_session()
            await executor.prefill()
            assert text_of(await backend.turn(opened.session_id, "Hi.")) == "Hello."
            assert len(model.requests) == 1 + keeps
