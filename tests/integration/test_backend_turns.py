"""Turns over real sockets, with a scripted model."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from flow_backend.llm import openai
from flow_backend.llm.scripted import Reply
from flow_backend.llm.settings import LLMSettings
from tests.integration.backend_server import Backend, kinds, serve_backend, text_of

TALK: list[dict[str, Any]] = [
    {"id": "start", "type": "start"},
    {"id": "talk", "type": "conversation", "data": {"instructions": "Be kind, {{ name }}."}},
]
ALWAYS: dict[str, Any] = {"condition_type": "always"}


def replies(*texts: str, **fields: Any) -> list[Reply]:
    return [Reply(say=text, **fields) for text in texts]


async def talk(backend: Backend, **flow: Any) -> None:
    await backend.add_flow(TALK, [("start", "talk", ALWAYS)], variables={"name": "Ann"}, **flow)


async def test_streams_every_event_in_order_with_one_end() -> None:
    async with serve_backend(replies("Hello there.")) as backend:
        events = await backend.turn("room-1", "hi", "t1", flow="default")
        state = await backend.state("room-1", flow="default")
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert kinds(events) == [
        "node_started", "node_finished", "node_started", "token", "token", "node_finished", "done",
    ]  # fmt: skip
    assert events[-1]["content"] == text_of(events) == "Hello there."
    assert {"llm_request", "first_token", "done"} <= set(events[-1]["timings_ms"])
    assert events[-1]["usage"]["completion_tokens"] == 2
    assert [(e["role"], e["text"]) for e in state["transcript"]] == [
        ("user", "hi"),
        ("assistant", "Hello there."),
    ]


async def test_headers_and_pings() -> None:
    slow = [Reply(say="late", first_delay_s=0.5)]
    async with (
        serve_backend(slow, ping_s=0.1) as backend,
        backend.client.stream("GET", "/api/flows/default/stream/s", params={"input": "x"}) as r,
    ):
        assert r.headers["content-type"].startswith("text/event-stream")
        assert r.headers["cache-control"] == "no-cache"
        assert r.headers["x-accel-buffering"] == "no"
        text = (await r.aread()).decode()
    assert text.count(": ping\n") >= 3


async def test_templates_and_history_reach_the_model() -> None:
    async with serve_backend(replies("One.", "Two.")) as backend:
        await talk(backend)
        await backend.turn("s", "first")
        await backend.turn("s", "second")
        messages, _ = backend.provider.requests[-1]
    assert [(m.role, m.content) for m in messages] == [
        ("system", "Be kind, Ann."),
        ("user", "first"),
        ("assistant", "One."),
        ("user", "second"),
    ]


async def test_same_turn_id_gives_the_same_stream_and_no_second_run() -> None:
    async with serve_backend(replies("Once only.")) as backend:
        first = await backend.turn("s", "hi", "t1", flow="default")
        again = await backend.turn("s", "hi", "t1", flow="default")
        assert again == first
        assert len(backend.provider.requests) == 1
        other = await backend.client.get(
            "/api/flows/default/stream/s", params={"input": "bye", "turn_id": "t1"}
        )
    assert other.status_code == 409
    assert other.json()["code"] == "turn_conflict"


async def test_resumes_after_any_event_while_running_and_later() -> None:
    async with serve_backend([Reply(say="a b c d e f", delay_s=0.02)]) as backend:
        url = "/api/flows/default/sessions/s/turns/t1/events"
        async with backend.open_turn("s", "hi", "t1", flow="default") as events:
            seen = [await anext(events) for _ in range(4)]
        rest = await backend.read(url, headers={"Last-Event-ID": f"t1:{seen[-1]['seq']}"})
        assert [e["seq"] for e in seen + rest] == list(range(1, len(seen + rest) + 1))
        assert rest[-1]["content"] == "a b c d e f"
        whole = await backend.read(url)
        assert whole == seen + rest
        assert await backend.read(url, after=len(whole)) == []
        beyond = await backend.client.get(url, params={"after": len(whole) + 1})
        assert beyond.status_code == 422
        wrong = await backend.client.get(url, headers={"Last-Event-ID": "t2:1"})
        assert wrong.status_code == 422


async def test_a_second_turn_cancels_the_first() -> None:
    async with serve_backend(
        [Reply(say="one two three", delay_s=5), Reply(say="Second.")]
    ) as backend:
        async with backend.open_turn("s", "a", "t1", flow="default") as events:
            seen = []
            async for event in events:
                seen.append(event)
                if event["type"] == "token":
                    second = await backend.turn("s", "b", "t2", flow="default")
        assert seen[-1]["type"] == "cancelled"
        assert seen[-1]["reason"] == "superseded"
        assert seen[-1]["content"] == "one"
        assert second[-1]["content"] == "Second."
        transcript = (await backend.state("s", flow="default"))["transcript"]
        assert [(e["text"], e["interrupted"]) for e in transcript] == [
            ("a", False), ("one", True), ("b", False), ("Second.", False),
        ]  # fmt: skip
        assert backend.provider.open_streams == 0
        messages, _ = backend.provider.requests[-1]
    assert [m.content for m in messages][-3:] == ["a", "one—", "b"]


async def test_a_turn_without_a_reader_is_cancelled_after_a_while() -> None:
    async with serve_backend([Reply(say="one two", delay_s=30)], reader_grace_s=0.2) as backend:
        async with backend.open_turn("s", "a", "t1", flow="default") as events:
            async for event in events:
                if event["type"] == "token":
                    break
        session = await backend.app.state.engine.session("default", "s")
        turn = await session.turn("t1")
        assert not turn.over.is_set()
        await turn.over.wait()
        events_after = await backend.read("/api/flows/default/sessions/s/turns/t1/events")
        assert events_after[-1]["type"] == "cancelled"
        assert events_after[-1]["reason"] == "abandoned"
        assert backend.provider.open_streams == 0


async def test_a_turn_that_is_read_again_in_time_goes_on() -> None:
    async with serve_backend([Reply(say="one two", delay_s=0.5)], reader_grace_s=0.2) as backend:
        async with backend.open_turn("s", "a", "t1", flow="default") as events:
            async for event in events:
                if event["type"] == "token":
                    break
        rest = await backend.read(
            "/api/flows/default/sessions/s/turns/t1/events", after=event["seq"]
        )
        assert rest[-1]["content"] == "one two"


async def test_errors_of_the_provider_end_the_turn_and_leave_the_session_usable() -> None:
    script = [Reply(say="Half a", error="provider_unavailable"), Reply(say="Fine now.")]
    async with serve_backend(script) as backend:
        failed = await backend.turn("s", "hi", flow="default")
        assert failed[-1]["type"] == "error"
        assert failed[-1]["code"] == "provider_unavailable"
        assert failed[-1]["retryable"] is True
        assert failed[-1]["content"] == "Half a"
        assert text_of(await backend.turn("s", "again", flow="default")) == "Fine now."


async def test_a_speculative_turn_that_is_discarded_leaves_nothing() -> None:
    async with serve_backend(replies("Maybe.", "Surely.")) as backend:
        await talk(backend)
        await backend.turn("s", "zero", "t0")
        before = await backend.state("s")
        guess = await backend.turn("s", "gu", "t1", speculative=True)
        assert guess[-1]["type"] == "done"
        assert await backend.state("s") == before
        assert (await backend.call("s", "t1", "")).status_code == 204
        assert (await backend.call("s", "t1", "")).status_code == 204
        assert await backend.state("s") == before
        late = await backend.call("s", "t1", "commit")
        assert late.json()["code"] == "turn_conflict"


async def test_commit_is_idempotent_before_and_after_the_end() -> None:
    async with serve_backend([Reply(say="a b c", delay_s=0.05), Reply(say="later")]) as backend:
        await talk(backend)
        async with backend.open_turn("s", "hi", "t1", speculative=True) as events:
            async for event in events:
                if event["type"] == "token":
                    for _ in range(2):
                        assert (await backend.call("s", "t1", "commit")).status_code == 204
        assert (await backend.call("s", "t1", "commit")).status_code == 204
        await backend.turn("s", "again", "t2", speculative=True)
        for _ in range(2):
            assert (await backend.call("s", "t2", "commit")).status_code == 204
        transcript = (await backend.state("s"))["transcript"]
        assert [e["text"] for e in transcript] == ["hi", "a b c", "again", "later"]
        unknown = await backend.call("s", "nope", "commit")
        assert unknown.status_code == 404
        assert unknown.json()["code"] == "turn_not_found"


async def test_the_same_turn_asked_for_again_without_speculation_is_a_commit() -> None:
    async with serve_backend(replies("Hello.")) as backend:
        await talk(backend)
        guess = await backend.turn("s", "hi", "t1", speculative=True)
        assert await backend.turn("s", "hi", "t1") == guess
        assert len((await backend.state("s"))["transcript"]) == 2


async def test_the_history_holds_what_was_heard() -> None:
    async with serve_backend(replies("One two three four.", "Yes?", "Oh.")) as backend:
        await talk(backend)
        await backend.turn("s", "hi", "t1")
        report = {"text": "One two", "interrupted": True, "position_ms": 400}
        assert (await backend.call("s", "t1", "heard", report)).status_code == 204
        entry = (await backend.state("s"))["transcript"][-1]
        assert (entry["text"], entry["interrupted"], entry["heard"]) == ("One two", True, True)
        await backend.turn("s", "what?", "t2")
        messages, _ = backend.provider.requests[-1]
        assert [m.content for m in messages][1:] == ["hi", "One two—", "what?"]
        nothing = {"text": "", "interrupted": True}
        assert (await backend.call("s", "t2", "heard", nothing)).status_code == 204
        await backend.turn("s", "hello?", "t3")
        messages, _ = backend.provider.requests[-1]
        assert [m.content for m in messages][1:] == ["hi", "One two—", "what?\nhello?"]


async def test_a_turn_may_carry_what_was_heard_of_the_ones_before() -> None:
    async with serve_backend(replies("One two three four.", "Yes?", "Oh.")) as backend:
        await talk(backend)
        await backend.turn("s", "hi", "t1")
        heard = {"turn_id": "t1", "text": "One two", "interrupted": True, "estimated": True}
        unknown = {"turn_id": "t9", "text": "What?", "interrupted": True}
        body = {"input": "what?", "turn_id": "t2", "speculative": True, "heard": [heard, unknown]}
        url = "/api/flows/f/sessions/s/turns"
        first = await backend.client.post(url, json=body)
        assert first.status_code == 200, first.text
        messages, _ = backend.provider.requests[-1]
        assert [m.content for m in messages][1:] == ["hi", "One two—", "what?"]
        transcript = (await backend.state("s"))["transcript"]
        assert [(e["text"], e["estimated"]) for e in transcript] == [
            ("hi", False), ("One two", True),
        ]  # fmt: skip
        # The report of a turn that runs already is not taken with its own request.
        late = {**heard, "text": "One"}
        again = await backend.client.post(url, json={**body, "heard": [late]})
        assert again.content == first.content
        assert (await backend.state("s"))["transcript"][1]["text"] == "One two"
        many = await backend.client.post(url, json={**body, "heard": [heard] * 9})
        assert (many.status_code, many.json()["path"]) == (422, "heard")


async def test_what_nobody_reported_counts_as_heard_when_the_next_turn_begins() -> None:
    async with serve_backend(replies("One.", "Two.", "Three.")) as backend:
        await talk(backend)
        await backend.turn("s", "a", "t1")
        assert (await backend.state("s"))["transcript"][-1]["heard"] is False
        await backend.turn("s", "b", "t2", speculative=True)
        await backend.call("s", "t2", "")
        assert (await backend.state("s"))["transcript"][-1]["heard"] is False
        await backend.turn("s", "c", "t3")
        assert (await backend.state("s"))["transcript"][1]["heard"] is True


async def test_the_position_follows_what_was_heard() -> None:
    nodes = [
        {"id": "start", "type": "start"},
        {"id": "welcome", "type": "say", "data": {"text": "Welcome to the shop."}},
        {"id": "mark", "type": "set", "data": {"assignments": [{"name": "n", "value": 1}]}},
        {"id": "ask", "type": "say", "data": {"text": "Your name?", "wait_for_input": True}},
        {"id": "thanks", "type": "say", "data": {"text": "Thanks.", "wait_for_input": True}},
    ]
    edges = [
        ("start", "welcome", ALWAYS), ("welcome", "mark", ALWAYS), ("mark", "ask", ALWAYS),
        ("ask", "thanks", ALWAYS), ("thanks", "thanks", ALWAYS),
    ]  # fmt: skip
    async with serve_backend() as backend:
        await backend.add_flow(nodes, edges, variables={"n": 0})
        assert text_of(await backend.turn("s", "hi", "t1")) == "Welcome to the shop. Your name?"
        await backend.call("s", "t1", "heard", {"text": "Welcome to", "interrupted": True})
        state = await backend.state("s")
        assert (state["node_id"], state["variables"]) == ("welcome", {"n": 0})
        assert text_of(await backend.turn("s", "yes?", "t2")) == "Your name?"
        assert (await backend.state("s"))["variables"] == {"n": 1}
        await backend.call("s", "t2", "heard", {"text": "", "interrupted": True})
        assert text_of(await backend.turn("s", "hm?", "t3")) == "Your name?"
        await backend.call("s", "t3", "heard", {"text": "Your name", "interrupted": True})
        assert text_of(await backend.turn("s", "Ann", "t4")) == "Thanks."


async def test_delete_ends_the_provider_stream_and_the_session() -> None:
    async with serve_backend([Reply(say="one two", delay_s=30)]) as backend:
        await talk(backend)
        async with backend.open_turn("s", "a", "t1") as events:
            async for event in events:
                last = event
                if event["type"] == "token":
                    assert (await backend.call("s", "t1", "")).status_code == 204
        assert (last["type"], last["reason"]) == ("cancelled", "cancelled")
        await asyncio.sleep(0)
        assert backend.provider.open_streams == 0
        assert (await backend.client.delete("/api/flows/f/sessions/s")).status_code == 204
        over = await backend.client.get("/api/flows/f/stream/s", params={"input": "x"})
        assert over.status_code == 409
        assert over.json()["code"] == "session_ended"


async def test_sessions_greet_and_take_variables() -> None:
    nodes = [
        {
            "id": "start",
            "type": "start",
            "data": {
                "greeting": "Hello {{ who }}.",
                "variables": {"who": {"required": True}, "age": {"type": "integer", "default": 3}},
            },
        },
        TALK[1],
    ]
    async with serve_backend(replies("Sure.", "First.")) as backend:
        await backend.add_flow(nodes, [("start", "talk", ALWAYS)], variables={"name": ""})
        missing = await backend.client.post("/api/flows/f/sessions", json={})
        assert missing.status_code == 422
        assert missing.json()["path"] == "variables.who"
        made = await backend.client.post(
            "/api/flows/f/sessions",
            json={"variables": {"who": "Bo", "age": "7"}, "metadata": {"room": "r"}},
        )
        assert made.status_code == 201
        assert made.json()["greeting"] == "Hello Bo."
        session = made.json()["session_id"]
        assert text_of(await backend.turn(session, "hi")) == "Sure."
        state = await backend.state(session)
        assert state["variables"] == {"name": "", "who": "Bo", "age": 7}
        assert state["metadata"] == {"room": "r"}
        assert state["transcript"][0]["text"] == "Hello Bo."
        messages, _ = backend.provider.requests[-1]
        assert [m.content for m in messages][1:] == ["Hello Bo.", "hi"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/api/flows/nope/stream/s?input=x", 404, "flow_not_found"),
        ("GET", "/api/flows/default/stream/s", 422, "request_invalid"),
        ("GET", "/api/flows/default/stream/s?input=x&turn_id=a%20b", 422, "request_invalid"),
        ("GET", "/api/flows/default/sessions/nope", 404, "session_not_found"),
        ("DELETE", "/api/flows/default/sessions/nope", 404, "session_not_found"),
        ("GET", "/api/nothing", 404, "not_found"),
        ("PUT", "/api/flows", 405, "method_not_allowed"),
    ],
)
async def test_bad_requests_are_named(method: str, path: str, status: int, code: str) -> None:
    async with serve_backend() as backend:
        response = await backend.client.request(method, path)
    assert (response.status_code, response.json()["code"]) == (status, code)


JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("content", "headers", "path", "message"),
    [
        (b'{"variabls": {}}', JSON, "variabls", "variabls: unknown field; did you mean"),
        (b'{"version": "x"}', JSON, "version", "version: should be a valid integer"),
        (b"[]", JSON, None, "should be an object"),
        (b"{bad", JSON, None, "the body is no JSON: Expecting property name enclosed in double"),
        (b'{"variables": {"a": "\xff"}}', JSON, None, "The body is not UTF-8 text."),
        (b"[" * 100_000, JSON, None, "The body is nested too deeply."),
        (b"{}", {}, None, "send the body as JSON, with `Content-Type: application/json`"),
        (b"", {}, None, "send the body as JSON, with `Content-Type: application/json`"),
    ],
)
async def test_what_is_wrong_with_a_body_is_said(
    content: bytes, headers: dict[str, str], path: str | None, message: str
) -> None:
    async with serve_backend() as backend:
        url = "/api/flows/default/sessions"
        answer = (await backend.client.post(url, content=content, headers=headers)).json()
    assert (answer["code"], answer.get("path") or None) == ("request_invalid", path)
    assert message in answer["message"]


async def test_large_bodies_are_refused_with_and_without_a_length() -> None:
    async def pieces() -> Any:
        for _ in range(20):
            yield b"x" * 1000

    async with serve_backend(max_request_bytes=4096) as backend:
        url = "/api/flows/default/sessions"
        told = await backend.client.post(url, content=b"x" * 5000)
        chunked = await backend.client.post(url, content=pieces())
    for response in (told, chunked):
        assert response.status_code == 413
        assert response.json()["code"] == "message_too_large"


async def test_sessions_and_journals_survive_a_restart(tmp_path: Any) -> None:
    url = f"sqlite:///{tmp_path}/parley.db"
    async with serve_backend(replies("Remember me.")) as _:
        pass
    async with serve_backend(replies("One two three."), database_url=url) as backend:
        await talk(backend)
        first = await backend.turn("s", "hi", "t1")
        state = await backend.state("s")
    async with serve_backend(replies("Back again."), database_url=url) as backend:
        assert await backend.state("s") == state
        assert await backend.turn("s", "hi", "t1") == first
        journal = await backend.read("/api/flows/f/sessions/s/turns/t1/events", after=3)
        assert journal == first[3:]
        report = {"text": "One", "interrupted": True}
        assert (await backend.call("s", "t1", "heard", report)).status_code == 204
        assert text_of(await backend.turn("s", "more", "t2")) == "Back again."
        messages, _ = backend.provider.requests[-1]
        assert [m.content for m in messages][1:] == ["hi", "One—", "more"]


async def test_a_client_that_reads_slowly_holds_up_nobody() -> None:
    words = " ".join(["word"] * 20_000)
    async with serve_backend([Reply(say=words), Reply(say="Quick.")]) as backend:
        host, port = backend.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
        writer.write(
            b"GET /api/flows/default/stream/slow?input=x&turn_id=t HTTP/1.1\r\n"
            b"Host: localhost\r\n\r\n"
        )
        for _ in range(20):
            assert await reader.read(1)
        assert text_of(await backend.turn("quick", "hi", flow="default")) == "Quick."
        whole = await backend.read("/api/flows/default/sessions/slow/turns/t/events")
        assert whole[-1]["type"] == "done"
        assert len(whole[-1]["content"]) == len(words)
        writer.close()


async def test_unknown_hosts_do_not_matter() -> None:
    async with serve_backend() as backend, httpx.AsyncClient() as client:
        assert (await client.get(f"{backend.url}/readyz")).json()["parts"]["database"] == "ok"


async def test_old_turns_are_summarised_in_the_background_and_prompts_stay_short() -> None:
    long = "word " * 30
    script = [
        Reply(say="They spoke of words.", times=None, purpose="summary"),
        Reply(say=long, times=None),
    ]
    async with serve_backend(script, history_tokens=300) as backend:
        await talk(backend)
        for number in range(12):
            await backend.turn("s", f"{number} {long}")
            session = await backend.app.state.engine.session("f", "s")
            if writing := session._summaries.task:
                await asyncio.wait((writing,))
        spoken = [m for m, p in backend.provider.requests if p.purpose == "speak"]
        assert "Earlier in this conversation: They spoke of words." in spoken[-1][0].content
        assert max(sum(len(m.content) for m in messages) for messages in spoken) < 300 * 6
        assert len((await backend.state("s"))["transcript"]) == 24


async def test_cancelling_closes_the_connection_to_the_model_within_50_ms() -> None:
    closed_at: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        chunk = '{"choices":[{"index":0,"delta":{"content":"word "}}]}'
        writer.write(f"data: {chunk}\n\n".encode())
        while await reader.read(65536):
            pass
        closed_at.set_result(asyncio.get_running_loop().time())
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    provider = openai.make(LLMSettings(_env_file=None, openai_base_url=f"http://127.0.0.1:{port}"))
    async with server, serve_backend(provider) as backend:
        async with backend.open_turn("s", "hi", "t1", flow="default") as events:
            async for event in events:
                if event["type"] == "token":
                    asked_at = asyncio.get_running_loop().time()
                    await backend.call("s", "t1", "", flow="default")
        assert event["type"] == "cancelled"
        assert (await closed_at) - asked_at < 0.05
    await provider.aclose()


@pytest.mark.parametrize(
    "body",
    [
        b"garbage\n\n",
        b"data: {not json}\n\n",
        b'data: {"choices":[{"index":0,"delta":{"content":"Half',
        b"",
        b'data: {"choices":[{"index":0,"delta":{"content":"Half"}}]}\n\n'
        b'data: {"error":{"message":"x"}}\n\n',
        b"\xff\xfe\x00",
    ],
)
async def test_whatever_a_provider_sends_the_stream_ends_once(body: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    provider = openai.make(LLMSettings(_env_file=None, openai_base_url=f"http://127.0.0.1:{port}"))
    async with server, serve_backend(provider) as backend:
        events = await backend.turn("s", "hi", flow="default")
        ends = [e["type"] for e in events if e["type"] in ("done", "error", "cancelled")]
        assert len(ends) == 1
        assert events[-1]["type"] == ends[0]
        assert (await backend.turn("s", "hi", flow="default"))[-1]["type"] == ends[0]
    await provider.aclose()


async def test_a_silent_provider_counts_as_failed() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    provider = openai.make(
        LLMSettings(
            _env_file=None,
            openai_base_url=f"http://127.0.0.1:{port}",
            llm_first_token_timeout_s=0.2,
        )
    )
    async with server, serve_backend(provider) as backend:
        events = await backend.turn("s", "hi", flow="default")
        assert (events[-1]["code"], events[-1]["retryable"]) == ("provider_timeout", True)
    await provider.aclose()
