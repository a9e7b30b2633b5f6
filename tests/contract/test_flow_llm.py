from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from livekit.agents import APIError, llm

from agent_worker.conversation import Conversation
from agent_worker.flow_executor import FlowExecutor, StreamLimits
from plugins import flow_llm
from tests.scripted_backend import ScriptedBackend

TOO_LONG = "secret " * 20_000
QUICK = StreamLimits(connect_s=1, silence_s=2, event_s=0.5, resume_s=0.2, call_s=1)


@pytest.fixture
async def backend() -> AsyncIterator[ScriptedBackend]:
    async with ScriptedBackend().serve() as serving:
        yield serving


@pytest.fixture
async def conversation(backend: ScriptedBackend) -> AsyncIterator[Conversation]:
    async with FlowExecutor("f", backend_url=backend.url, limits=QUICK) as executor:
        conversation = Conversation(executor)
        yield conversation
        await conversation.aclose()


def asks(text: str, message_id: str) -> llm.ChatContext:
    context = llm.ChatContext.empty()
    context.items.append(llm.ChatMessage(id=message_id, role="user", content=[text]))
    return context


async def answer(conversation: Conversation, text: str, message_id: str) -> str:
    model = flow_llm.LLM(conversation, flow_id="f")
    return (await model.chat(chat_ctx=asks(text, message_id)).collect()).text


def calls(backend: ScriptedBackend, turn_id: str) -> list[tuple[str, str]]:
    """Method and last part of the path of every call about one turn, in order."""
    return [
        (method, path.rpartition("/")[2])
        for method, path, _ in backend.calls
        if f"/turns/{turn_id}" in path
    ]


async def test_tokens_become_chunks_and_carry_the_turn(
    conversation: Conversation, backend: ScriptedBackend
) -> None:
    model = flow_llm.LLM(conversation, flow_id="f")
    response = await model.chat(chat_ctx=asks("Hi", "item_1")).collect()
    assert response.text == "Hello there."
    assert response.extra == {"turn_id": "item_1"}
    assert response.usage is not None
    assert (response.usage.prompt_tokens, response.usage.total_tokens) == (7, 9)
    assert (model.model, model.provider) == ("f", "parley")


@pytest.mark.parametrize("text", ["", "   "])
async def test_nothing_said_asks_nothing(
    conversation: Conversation, backend: ScriptedBackend, text: str
) -> None:
    assert await answer(conversation, text, "item_1") == ""
    assert backend.calls == []


async def test_an_answered_message_is_not_answered_again(
    conversation: Conversation, backend: ScriptedBackend
) -> None:
    context = asks("Hi", "item_1")
    context.add_message(role="assistant", content="Hello there.")
    model = flow_llm.LLM(conversation, flow_id="f")
    assert (await model.chat(chat_ctx=context).collect()).text == ""
    assert backend.calls == []


async def test_a_failed_turn_is_an_error_that_is_not_retried(
    conversation: Conversation, backend: ScriptedBackend
) -> None:
    backend.fail_with = {"code": "provider_timeout", "message": "Too slow.", "retryable": True}
    stream = flow_llm.LLM(conversation, flow_id="f").chat(chat_ctx=asks("Hi", "item_1"))
    chunks: list[str] = []

    async def read() -> None:
        async with stream:
            async for chunk in stream:
                if chunk.delta is not None:
                    chunks.append(chunk.delta.content or "")

    with pytest.raises(APIError) as caught:
        await read()
    assert "".join(chunks) == "Hello there."
    assert caught.value.retryable is False
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["code"] == "provider_timeout"
    assert backend.paths("POST").count("sessions/s1/turns") == 1


async def test_closing_the_stream_stops_the_turn(
    conversation: Conversation, backend: ScriptedBackend
) -> None:
    backend.hold_after = 1
    stream = flow_llm.LLM(conversation, flow_id="f").chat(chat_ctx=asks("Hi", "item_1"))
    await anext(stream)
    await stream.aclose()
    await backend.until_called("DELETE", "/item_1")


async def test_a_heard_answer_is_committed_then_reported(
    conversation: Conversation, backend: ScriptedBackend
) -> None:
    await answer(conversation, "Hi", "item_1")
    conversation.commit("item_1")
    conversation.heard("item_1", "Hello there.", interrupted=False)
    report = await backend.until_called("POST", "/heard")
    assert (report["text"], report["interrupted"]) == ("Hello there.", False)
    assert calls(backend, "item_1") == [("POST", "commit"), ("POST", "heard")]


async def test_an_answer_cut_off_is_cancelled_then_reported(
    conversation: Conversation, backend: ScriptedBackend
) -> None:
    backend.hold_after = 1
    stream = flow_llm.LLM(conversation, flow_id="f").chat(chat_ctx=asks("Hi", "item_1"))
    await anext(stream)
    conversation.commit("item_1")
    await stream.aclose()
    conversation.heard("item_1", "Hel", interrupted=True)
    report = await backend.until_called("POST", "/heard")
    assert (report["text"], report["interrupted"]) == ("Hel", True)
    assert calls(backend, "item_1") == [
        ("POST", "commit"),
        ("DELETE", "item_1"),
        ("POST", "heard"),
    ]


async def test_a_wrong_guess_is_taken_back_and_never_reported(
    conversation: Conversation, backend: ScriptedBackend
) -> None:
    await answer(conversation, "Hi", "guess")
    conversation.heard("guess", "", interrupted=True)
    await backend.until_called("DELETE", "/guess")
    await conversation.aclose()
    assert calls(backend, "guess") == [("DELETE", "guess")]


async def test_a_new_guess_takes_the_old_one_back(
    conversation: Conversation, backend: ScriptedBackend
) -> None:
    await answer(conversation, "What is", "one")
    await answer(conversation, "What is this?", "two")
    conversation.commit("two")
    await backend.until_called("DELETE", "/one")
    await backend.until_called("POST", "/two/commit")


async def test_a_turn_committed_before_it_is_opened_is_no_guess(
    conversation: Conversation, backend: ScriptedBackend
) -> None:
    conversation.commit("item_1")
    await answer(conversation, "Hi", "item_1")
    body = await backend.until_called("POST", "/turns")
    assert body["speculative"] is False


async def test_the_next_turn_waits_for_the_report_of_the_one_before(
    conversation: Conversation, backend: ScriptedBackend
) -> None:
    await answer(conversation, "Hi", "one")
    conversation.commit("one")
    asking = asyncio.create_task(answer(conversation, "And now?", "two"))
    await backend.until_called("POST", "/commit")
    conversation.heard("one", "Hello", interrupted=True)
    await asking
    order = backend.paths("POST")
    assert order.index("sessions/s1/turns/one/heard") < len(order) - 1
    assert order[-1] == "sessions/s1/turns"


async def test_a_report_that_never_comes_holds_the_next_turn_up_briefly(
    conversation: Conversation, backend: ScriptedBackend
) -> None:
    await answer(conversation, "Hi", "one")
    conversation.commit("one")
    assert await answer(conversation, "And now?", "two") == "Hello there."


async def test_closing_takes_open_guesses_back(
    conversation: Conversation, backend: ScriptedBackend
) -> None:
    await answer(conversation, "Hi", "guess")
    await conversation.aclose()
    assert calls(backend, "guess") == [("DELETE", "guess")]


async def test_a_backend_that_is_gone_costs_a_report_and_no_more() -> None:
    serving = AsyncExitStack()
    backend = await serving.enter_async_context(ScriptedBackend().serve())
    async with FlowExecutor("f", backend_url=backend.url, limits=QUICK) as executor:
        conversation = Conversation(executor)
        await answer(conversation, "Hi", "one")
        await serving.aclose()
        conversation.commit("one")
        conversation.heard("one", "Hello there.", interrupted=False)
        await conversation.aclose(timeout_s=0.5)


async def test_the_turn_that_ends_the_session_is_known(
    conversation: Conversation, backend: ScriptedBackend
) -> None:
    backend.ended = True
    await answer(conversation, "Bye", "last")
    assert conversation.ended_by == "last"


async def test_a_message_that_cannot_be_sent_fails_as_an_api_error_that_holds_none_of_it(
    conversation: Conversation, backend: ScriptedBackend
) -> None:
    with pytest.raises(APIError) as caught:
        await answer(conversation, TOO_LONG, "item_1")
    assert caught.value.body["code"] == "request_invalid"  # type: ignore[index]
    assert "secret" not in "".join(traceback.format_exception(caught.value))
    assert backend.calls == []
