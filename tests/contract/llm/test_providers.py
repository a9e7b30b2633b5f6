"""Every provider against a server that speaks its wire format, well and badly."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest

from flow_backend.llm.base import (
    Delta,
    GenerationParams,
    LLMProvider,
    Message,
    TextDelta,
    Tool,
    UsageDelta,
)
from flow_backend.llm.timing import TimeLimits
from protocol.errors import ProviderError
from tests.contract.llm.wire_server import CUT, HANG, Answer, WireServer, as_json, stream
from tests.contract.llm.wires import KEY, WIRES, Wire

TEXTS = ["Grüß dich, ", "naïve 👩‍👩‍👧 ", "line\u2028separated\u2029\x85", " 日本語", "\n\nend."]
ASK = [Message("system", "Be brief."), Message("user", "Hello?")]

every_wire = pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.name)


@asynccontextmanager
async def serving(
    wire: Wire, *answers: Answer, limits: TimeLimits | None = None
) -> AsyncIterator[tuple[WireServer, LLMProvider]]:
    async with WireServer(*answers) as server:
        provider = wire.make(server.url, limits)
        try:
            yield server, provider
        finally:
            await provider.aclose()


async def deltas_of(provider: LLMProvider, params: GenerationParams | None = None) -> list[Delta]:
    async with aclosing(provider.stream(ASK, params or GenerationParams())) as deltas:
        return [delta async for delta in deltas]


async def failure_of(provider: LLMProvider) -> tuple[ProviderError, list[Delta]]:
    seen: list[Delta] = []

    async def read() -> None:
        async with aclosing(provider.stream(ASK, GenerationParams())) as deltas:
            async for delta in deltas:
                seen.append(delta)

    with pytest.raises(ProviderError) as caught:
        await read()
    error = caught.value
    assert KEY not in str(error)
    assert error.message.startswith(f"{provider.name}: ")
    return error, seen


@every_wire
@pytest.mark.parametrize("split", [None, 1, 7, 64])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
async def test_text_comes_unchanged_whatever_the_chunk_borders(
    wire: Wire, split: int | None, newline: str
) -> None:
    body = wire.begin(TEXTS, newline) + wire.end(newline=newline)
    async with serving(wire, stream(body, split=split)) as (_, provider):
        deltas = await deltas_of(provider)
    assert [d.text for d in deltas if isinstance(d, TextDelta)] == TEXTS
    assert [d for d in deltas if isinstance(d, UsageDelta)][-1] == UsageDelta(11, 7)


@every_wire
@pytest.mark.parametrize("split", [None, 1, 5])
async def test_keep_alive_comments_are_ignored(wire: Wire, split: int | None) -> None:
    comment = b": PROCESSING\n\n"
    body = comment + wire.begin(["a"]) + comment * 3 + wire.end()
    async with serving(wire, stream(body, split=split)) as (_, provider):
        assert (await provider.complete(ASK, GenerationParams())).text == "a"


@every_wire
async def test_a_whole_answer_has_text_and_usage(wire: Wire) -> None:
    async with serving(wire, stream(wire.begin(["one ", "two"]) + wire.end())) as (_, provider):
        answer = await provider.complete(ASK, GenerationParams())
    assert answer.text == "one two"
    assert answer.usage == UsageDelta(11, 7)
    assert answer.tool_calls == []


@every_wire
async def test_the_request_is_what_the_api_documents(wire: Wire) -> None:
    params = GenerationParams(
        model="some-model",
        temperature=0.5,
        max_tokens=33,
        stop=("###",),
        json_schema={"type": "object", "properties": {"a": {"type": "string"}}},
    )
    async with serving(wire, stream(wire.begin(["{}"]) + wire.end())) as (server, provider):
        await provider.complete(ASK, params)
    (request,) = server.requests
    body = request.body
    assert request.method == "POST"
    assert request.path.startswith(wire.path)
    if wire.key_header is not None:
        assert request.headers[wire.key_header].removeprefix("Bearer ") == KEY
    if wire.name == "claude":
        assert body["system"] == "Be brief."
        assert body["messages"] == [
            {"role": "user", "content": [{"type": "text", "text": "Hello?"}]}
        ]
        assert (body["max_tokens"], body["stop_sequences"]) == (33, ["###"])
        assert "temperature" not in body
        assert body["output_config"]["format"]["schema"] == params.json_schema
    elif wire.name == "gemini":
        assert request.path.endswith("some-model:streamGenerateContent?alt=sse")
        assert body["systemInstruction"]["parts"][0]["text"] == "Be brief."
        assert body["contents"] == [{"role": "user", "parts": [{"text": "Hello?"}]}]
        config = body["generationConfig"]
        assert (config["temperature"], config["maxOutputTokens"]) == (0.5, 33)
        assert config["responseJsonSchema"] == params.json_schema
    else:
        assert body["model"] == "some-model"
        assert body["messages"][1] == {"role": "user", "content": "Hello?"}
        assert (body["temperature"], body["max_tokens"], body["stop"]) == (0.5, 33, ["###"])
        assert body["stream"] is True
        assert body["stream_options"] == {"include_usage": True}
        assert body["response_format"]["json_schema"]["schema"] == params.json_schema


@every_wire
async def test_tool_calls_come_whole_and_their_answers_go_back(wire: Wire) -> None:
    tool = Tool("book", "Books a day.", {"type": "object", "properties": {}})
    params = GenerationParams(tools=(tool,), tool_choice="required")
    good = stream(wire.begin(["Done."]) + wire.end())
    async with serving(wire, stream(wire.tool_call(), split=11), good) as (server, provider):
        answer = await provider.complete(ASK, params)
        (call,) = answer.tool_calls
        assert (call.id, call.name) == ("call_9", "book")
        assert json.loads(call.arguments) == {"day": "Tuesday", "café": "☕"}
        told = [
            *ASK,
            Message("assistant", "", tool_calls=(call,)),
            Message("tool", "booked", tool_call_id=call.id),
        ]
        assert (await provider.complete(told, params)).text == "Done."
    assert len(server.requests) == 2
    sent = json.dumps(server.requests[1].body)
    assert "booked" in sent
    assert "Books a day." in sent


@every_wire
@pytest.mark.parametrize(
    ("status", "code", "expected", "retryable"),
    [
        (400, "invalid_request_error", "provider_refused", False),
        (401, "authentication_error", "provider_unauthorized", False),
        (403, "permission_error", "provider_unauthorized", False),
        (404, "not_found_error", "provider_refused", False),
        (429, "rate_limit_error", "provider_rate_limited", True),
        (500, "api_error", "provider_unavailable", True),
        (503, "unavailable", "provider_unavailable", True),
        (529, "overloaded_error", "provider_unavailable", True),
    ],
)
async def test_refusals_name_the_provider_and_the_remedy(
    wire: Wire, status: int, code: str, expected: str, retryable: bool
) -> None:
    body = wire.error(code, f"Incorrect key {KEY} for prompt Hello?", status)
    async with serving(wire, as_json(body, status, retry_after="7")) as (server, provider):
        error, seen = await failure_of(provider)
    assert (error.code, error.retryable, seen) == (expected, retryable, [])
    assert "Hello?" not in error.message
    assert str(status) in error.message
    assert len(server.requests) == 1, "the SDK tried again by itself"
    if status in (429, 500, 503, 529):
        assert error.retry_after_s == 7.0
    if status == 401 and wire.key_variable:
        assert wire.key_variable in error.message


@every_wire
async def test_a_status_without_json_is_told_all_the_same(wire: Wire) -> None:
    page = Answer([b"<html>Bad gateway</html>"], 502, {"content-type": "text/html"})
    async with serving(wire, page) as (_, provider):
        error, _ = await failure_of(provider)
    assert error.code == "provider_unavailable"


@every_wire
async def test_an_error_inside_the_stream_ends_it(wire: Wire) -> None:
    body = wire.begin(["Well, "]) + wire.error_in_stream()
    async with serving(wire, stream(body)) as (_, provider):
        error, seen = await failure_of(provider)
    assert error.code == "provider_unavailable"
    assert seen[0] == TextDelta("Well, ")


@every_wire
@pytest.mark.parametrize("how", ["dropped", "ended early", "half an event"])
async def test_a_cut_stream_is_no_whole_answer(wire: Wire, how: str) -> None:
    body = wire.begin(["One", " two"])
    if how == "half an event":
        body += wire.begin(["three"])[:-9]
    async with serving(wire, stream(body, then=[CUT] if how == "dropped" else [])) as (_, provider):
        error, seen = await failure_of(provider)
    assert error.code == "provider_bad_response"
    assert error.retryable
    assert TextDelta("One") in seen


@every_wire
@pytest.mark.parametrize(
    "body", [b"<html>not an API</html>", b"data: {not json\n\n", b"data: 7\n\n", b""]
)
async def test_garbage_is_told_as_garbage(wire: Wire, body: bytes) -> None:
    async with serving(wire, stream(body)) as (_, provider):
        error, _ = await failure_of(provider)
    assert error.code == "provider_bad_response"


@every_wire
async def test_silence_before_the_first_token_is_a_timeout(wire: Wire) -> None:
    limits = TimeLimits(first_token_s=1.0)
    async with serving(wire, stream(b"", then=[HANG]), limits=limits) as (server, provider):
        error, _ = await failure_of(provider)
        await asyncio.wait_for(server.client_left.wait(), 1)
    assert error.code == "provider_timeout"
    assert "LLM_FIRST_TOKEN_TIMEOUT_S" in error.message


@every_wire
async def test_silence_between_tokens_is_a_timeout(wire: Wire) -> None:
    body = wire.begin(["One", " two"])
    limits = TimeLimits(first_token_s=10.0, between_tokens_s=0.2)
    async with serving(wire, stream(body, then=[HANG]), limits=limits) as (server, provider):
        error, seen = await failure_of(provider)
        await asyncio.wait_for(server.client_left.wait(), 1)
    assert error.code == "provider_timeout"
    assert "LLM_BETWEEN_TOKENS_TIMEOUT_S" in error.message
    assert TextDelta(" two") in seen


@every_wire
async def test_closing_the_generator_closes_the_connection_at_once(wire: Wire) -> None:
    body = wire.begin(["One", " two"])
    async with serving(wire, stream(body, then=[HANG])) as (server, provider):
        async with aclosing(provider.stream(ASK, GenerationParams())) as deltas:
            async for _ in deltas:
                break
        await asyncio.wait_for(server.client_left.wait(), 0.1)


@every_wire
async def test_cancelling_the_reader_closes_the_connection_at_once(wire: Wire) -> None:
    begun = asyncio.Event()

    async def read(provider: LLMProvider) -> None:
        async with aclosing(provider.stream(ASK, GenerationParams())) as deltas:
            async for _ in deltas:
                begun.set()

    body = wire.begin(["One"])
    async with serving(wire, stream(body, then=[HANG])) as (server, provider):
        task = asyncio.create_task(read(provider))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(server.client_left.wait(), 0.1)


@every_wire
async def test_a_server_that_is_not_there(wire: Wire) -> None:
    async with WireServer(stream(b"")) as server:
        url = server.url
    provider = wire.make(url)
    error, _ = await failure_of(provider)
    assert error.code == "provider_unavailable"
    assert url in error.message
    await provider.aclose()


@every_wire
async def test_a_withheld_answer_is_told(wire: Wire) -> None:
    async with serving(wire, stream(wire.begin([]) + wire.end("filter"))) as (_, provider):
        error, _ = await failure_of(provider)
    assert (error.code, error.retryable) == ("provider_refused", False)


@every_wire
async def test_models_are_listed(wire: Wire) -> None:
    async with serving(wire, as_json(wire.models())) as (server, provider):
        assert await provider.models() == ["m-one", "m-two"]
    assert server.requests[0].method == "GET"


@every_wire
async def test_a_refused_model_list_is_told(wire: Wire) -> None:
    body = wire.error("authentication_error", KEY, 401)
    async with serving(wire, as_json(body, 401)) as (_, provider):
        with pytest.raises(ProviderError) as caught:
            await provider.models()
    assert caught.value.code == "provider_unauthorized"
