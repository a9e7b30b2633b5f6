from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from flow_backend.llm.base import GenerationParams, Message, Tool
from flow_backend.llm.scripted import Reply, ScriptedProvider, ToolUse
from protocol.errors import ProviderError


def said(text: str) -> list[Message]:
    return [Message("user", text)]


async def test_the_first_reply_that_fits_is_taken_and_used_up() -> None:
    provider = ScriptedProvider(
        [Reply(user="book", say="Which day?"), Reply(say="Hello."), Reply(say="Again.", times=None)]
    )
    texts = [
        (await provider.complete(said(text), GenerationParams())).text
        for text in ("Hi", "I want to BOOK", "book", "x")
    ]
    assert texts == ["Hello.", "Which day?", "Again.", "Again."]


async def test_json_answers_only_calls_for_json() -> None:
    provider = ScriptedProvider([Reply(json={"name": "Ana"}), Reply(say="Hello.")])
    speaks = await provider.complete(said("x"), GenerationParams())
    schema = GenerationParams(json_schema={"type": "object"}, purpose="extract")
    extracts = await provider.complete(said("x"), schema)
    assert (speaks.text, extracts.text) == ("Hello.", '{"name": "Ana"}')


async def test_calls_are_made_only_where_there_are_tools() -> None:
    reply = Reply(calls=[ToolUse(name="go", arguments={"edge": "e1"})])
    provider = ScriptedProvider([reply, Reply(say="No tools.", times=None)])
    assert (await provider.complete(said("x"), GenerationParams())).text == "No tools."
    tools = GenerationParams(tools=(Tool("go", "", {"type": "object"}),))
    (call,) = (await provider.complete(said("x"), tools)).tool_calls
    assert (call.name, call.arguments) == ("go", '{"edge": "e1"}')


async def test_a_call_without_a_reply_says_which() -> None:
    with pytest.raises(ProviderError, match="purpose 'extract'"):
        await ScriptedProvider(["hi"]).complete(
            said("x"), GenerationParams(purpose="extract", json_schema={})
        )


async def test_an_edge_is_taken_by_tool_or_by_number() -> None:
    provider = ScriptedProvider([Reply(edge="nothing more", times=None), Reply(say="hi")])
    tools = (Tool("edge_a", "when: angry", {}), Tool("edge_b", "when: nothing more to ask", {}))
    (call,) = (await provider.complete(said("x"), GenerationParams(tools=tools))).tool_calls
    assert call.name == "edge_b"
    judged = GenerationParams(purpose="edges")
    asked = said("Statements:\n1. angry\n2. nothing more to ask\n\nNumber:")
    assert (await provider.complete(asked, judged)).text == "2"
    assert (await provider.complete(said("1. angry"), judged)).text == "0"
    assert (await provider.complete(said("x"), GenerationParams())).text == "hi"


@pytest.mark.parametrize(
    "reply",
    [{}, {"say": "x", "user": "("}, {"error": "no_such_code"}, {"say": "x", "spoken": "y"}],
)
def test_wrong_replies_are_refused(reply: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Reply.model_validate(reply)


@given(st.text(min_size=1))
def test_pieces_join_to_the_text(text: str) -> None:
    assert "".join(Reply(say=text).pieces) == text
