"""Every node type, through the API."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from flow_backend.llm.scripted import Reply, ToolUse
from flow_backend.nodes.catalogue import NODE_TYPES
from tests.integration.backend_server import Backend, kinds, serve_backend, text_of
from tests.integration.outside_server import serve_outside

ALWAYS: dict[str, Any] = {"condition_type": "always"}
START: dict[str, Any] = {"id": "start", "type": "start"}
ASK: dict[str, Any] = {"id": "ask", "type": "say", "data": {"text": "Yes?", "wait_for_input": True}}
AFTER: dict[str, Any] = {
    "id": "after", "type": "say", "data": {"text": "After.", "wait_for_input": True},
}  # fmt: skip


def node(kind: str, name: str = "it", **data: Any) -> dict[str, Any]:
    return {"id": name, "type": kind, "data": data}


def event(name: str) -> dict[str, Any]:
    return {"condition_type": "event", "condition": name}


def when(condition: str, priority: int = 0, **data: Any) -> dict[str, Any]:
    return {
        "condition_type": "expression", "condition": condition, "priority": priority, **data,
    }  # fmt: skip


async def one(backend: Backend, it: dict[str, Any], *edges: Any, **flow: Any) -> None:
    """A flow with one node between the first question and a last one."""
    await backend.add_flow(
        [START, ASK, it, AFTER],
        [
            ("start", "ask", ALWAYS),
            ("ask", "it", ALWAYS),
            *(edges or [("it", "after", ALWAYS)]),
            ("after", "after", ALWAYS),
        ],
        **flow,
    )
    await backend.turn("s", "hi", "t0")


async def test_logic_split_takes_the_first_that_holds_by_priority_then_else() -> None:
    nodes = [START, ASK, node("logic_split"), *(
        node("say", name, text=name, wait_for_input=True) for name in ("small", "odd", "other")
    )]  # fmt: skip
    edges = [
        ("start", "ask", ALWAYS),
        ("ask", "it", ALWAYS),
        ("it", "other", {**ALWAYS, "transition_speech": "Well, {{ input }}."}),
        ("it", "odd", when("int(input) % 2 == 1", 2)),
        ("it", "small", when("int(input) < 3", 1)),
    ]
    async with serve_backend() as backend:
        await backend.add_flow(nodes, edges)
        for number, words in (("1", "small"), ("5", "odd"), ("4", "Well, 4. other")):
            await backend.turn(f"s{number}", "hi")
            events = await backend.turn(f"s{number}", number)
            assert text_of(events) == words
            taken = [e["edge_id"] for e in events if e["type"] == "node_finished"]
            assert taken[1] in ("e2", "e3", "e4")


async def test_set_computes_in_order_and_tells() -> None:
    it = node(
        "set",
        assignments=[
            {"name": "n", "expression": "n + 2"},
            {"name": "text", "template": "{{ n }} of {{ input }}"},
            {"name": "number", "template": "{{ n }}", "type": "integer"},
            {"name": "list", "value": [1, {"a": None}]},
        ],
    )
    async with serve_backend() as backend:
        await one(backend, it, variables={"n": 1})
        events = await backend.turn("s", "all")
        changed = {"n": 3, "text": "3 of all", "number": 3, "list": [1, {"a": None}]}
        assert [e["changed"] for e in events if e["type"] == "variables"] == [changed]
        assert (await backend.state("s"))["variables"] == changed


async def test_variables_that_are_too_large_are_refused() -> None:
    doubled = node("set", assignments=[{"name": "x", "template": "{{ x }}{{ x }}"}])
    async with serve_backend() as backend:
        edges = [("it", "it", ALWAYS), ("it", "after", when("input == 'out'"))]
        await one(backend, doubled, *edges, variables={"x": "word"})
        failed = await backend.turn("s", "go")
        assert failed[-1]["code"] == "variable_too_large"
        assert len((await backend.state("s"))["variables"]["x"]) <= 65_536


async def test_a_session_with_giant_variables_is_not_opened() -> None:
    big = {f"v{number}": "x" * 60_000 for number in range(20)}
    async with serve_backend() as backend:
        await one(backend, node("say", text="Hi."))
        for variables, path in (({"a": "x" * 70_000}, "variables.a"), (big, "variables.v0")):
            url = "/api/flows/f/sessions"
            refused = await backend.client.post(url, json={"variables": variables})
            assert (refused.status_code, refused.json()["code"]) == (413, "variable_too_large")
            assert refused.json()["path"] == path
        assert (await backend.client.post(url, json={})).status_code == 201


async def test_a_loop_without_input_stops() -> None:
    it = node("logic_split")
    async with serve_backend(node_entries_per_turn=30) as backend:
        await one(backend, it, ("it", "it", ALWAYS), ("it", "after", when("input == 'out'")))
        failed = await backend.turn("s", "go")
        assert failed[-1]["code"] == "flow_loop"
        assert text_of(await backend.turn("s", "out")) == "After."


async def test_extract_retries_then_sets_typed_variables() -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
        "required": ["name"],
    }
    bad = Reply(say="I think Ann", purpose="extract")
    good = Reply.model_validate({"json": {"name": "Ann", "age": 7, "x": 1}, "purpose": "extract"})
    edges = [("it", "after", ALWAYS), ("it", "ask", event("error"))]
    it = node("extract", schema=schema, retries=1)
    async with serve_backend([bad, good]) as backend:
        await one(backend, it, *edges)
        assert text_of(await backend.turn("s", "I am Ann, seven")) == "After."
        assert (await backend.state("s"))["variables"] == {"name": "Ann", "age": 7}
        messages, params = backend.provider.requests[-1]
        assert params.json_schema == schema
        assert "not JSON" in messages[-1].content
    async with serve_backend([bad, bad.model_copy()]) as backend:
        await one(backend, it, *edges)
        assert text_of(await backend.turn("s", "hm")) == "Yes?"
    async with serve_backend([bad, bad.model_copy()]) as backend:
        await one(backend, it)
        assert (await backend.turn("s", "hm"))[-1]["code"] == "extract_failed"


async def test_knowledge_puts_passages_into_the_next_prompt() -> None:
    documents = [
        {"title": "Hours", "text": "We open at nine.\n\nWe close at five on Fridays."},
        {"title": "Pets", "text": "Dogs and cats are welcome. " * 60},
    ]
    it = node("knowledge", documents=documents, variable="found", limit=2)
    talk = node("conversation", "talk", instructions="Answer.")
    nodes = [START, ASK, it, talk, AFTER]
    edges = [
        ("start", "ask", ALWAYS), ("ask", "it", ALWAYS), ("it", "talk", ALWAYS),
        ("it", "after", event("nothing_found")),
    ]  # fmt: skip
    async with serve_backend([Reply(say="At five.", times=None)]) as backend:
        await backend.add_flow(nodes, edges)
        await backend.turn("s", "hi")
        await backend.turn("s", "When do you close on Fridays?")
        messages, _ = backend.provider.requests[-1]
        assert "Hours: We open at nine. We close at five on Fridays." in messages[0].content
        assert (await backend.state("s"))["variables"]["found"][0]["title"] == "Hours"
        await backend.turn("s", "Thanks")
        messages, _ = backend.provider.requests[-1]
        assert "Fridays." not in messages[0].content
        await backend.turn("s2", "hi")
        assert text_of(await backend.turn("s2", 'zebra" OR 1 -- \x01')) == "After."


async def test_transfer_and_digits_are_events() -> None:
    nodes = [
        START,
        ASK,
        node("press_digit", "menu", action="read", text="Press one.", max_digits=2),
        node("press_digit", "dial", digits="{{ digits }}#"),
        node("transfer", "over", to="sip:{{ digits }}@x", info={"why": "{{ input }}"}),
    ]
    edges = [
        ("start", "ask", ALWAYS), ("ask", "menu", ALWAYS), ("menu", "dial", event("digits")),
        ("menu", "over", event("no_digits")), ("dial", "over", ALWAYS),
    ]  # fmt: skip
    async with serve_backend() as backend:
        await backend.add_flow(nodes, edges)
        await backend.turn("s", "hi")
        asked = await backend.turn("s", "go")
        read = next(e for e in asked if e["type"] == "dtmf")
        assert (read["action"], read["data"]["max_digits"]) == ("read", 2)
        events = await backend.turn("s", "dtmf:42")
        sent = next(e for e in events if e["type"] == "dtmf")
        assert (sent["action"], sent["digits"]) == ("send", "42#")
        moved = next(e for e in events if e["type"] == "transfer")
        assert (moved["to"], moved["data"]) == ("sip:42@x", {"why": "dtmf:42"})
        assert events[-1]["ended"] is True


async def test_an_llm_edge_is_a_tool_where_the_model_has_tools() -> None:
    talk = node("conversation", "talk", instructions="Talk.")
    nodes = [START, talk, node("end", "bye", text="Bye.")]
    edges = [
        ("start", "talk", ALWAYS),
        ("talk", "bye", {"condition_type": "llm", "condition": "the user is done"}),
    ]
    script = [
        Reply(say="How can I help?"),
        Reply(say="Sure."),
        Reply(user="done", calls=[ToolUse(name="edge_e1")]),
    ]
    async with serve_backend(script) as backend:
        await backend.add_flow(nodes, edges)
        assert text_of(await backend.turn("s", "hi")) == "How can I help?"
        assert text_of(await backend.turn("s", "more")) == "Sure."
        events = await backend.turn("s", "done")
        assert text_of(events) == "Bye."
        assert events[-1]["ended"] is True


@pytest.mark.parametrize("judged", [True, False])
async def test_without_tools_the_judgement_runs_beside_the_answer(judged: bool) -> None:
    nodes = [START, node("conversation", "talk"), node("say", "bye", text="Bye.")]
    edges = [
        ("start", "talk", ALWAYS),
        ("talk", "bye", {"condition_type": "llm", "condition": "the user is done"}),
    ]
    script = [
        Reply(say="Hello.", times=1),
        Reply(say="1" if judged else "none", purpose="edges", first_delay_s=0.1),
        Reply(say="I was quick."),
    ]
    async with serve_backend(script) as backend:
        backend.provider.supports_tools = False
        await backend.add_flow(nodes, edges)
        await backend.turn("s", "hi")
        events = await backend.turn("s", "well")
        assert text_of(events) == ("Bye." if judged else "I was quick.")
        assert backend.provider.open_streams == 0


async def test_a_global_node_is_reached_from_anywhere_and_returns() -> None:
    nodes = [
        START,
        ASK,
        AFTER,
        node("say", "help", text="Here is help.", **{
            "global": True, "condition_type": "expression", "condition": "input == 'help'",
        }),
    ]  # fmt: skip
    edges = [("start", "ask", ALWAYS), ("ask", "after", ALWAYS), ("after", "ask", ALWAYS)]
    async with serve_backend() as backend:
        await backend.add_flow(nodes, edges)
        await backend.turn("s", "hi")
        assert text_of(await backend.turn("s", "help")) == "Here is help."
        assert (await backend.state("s"))["node_id"] == "ask"
        assert text_of(await backend.turn("s", "yes")) == "After."
        assert text_of(await backend.turn("s", "help")) == "Here is help."
        assert text_of(await backend.turn("s", "yes")) == "Yes?"


HTTP = {
    "method": "POST",
    "headers": {"Authorization": "Bearer ${secret:BOOKING}"},
    "body": {"who": "{{ input }}", "key": "${secret:BOOKING}"},
    "response": {"number": "/number", "time": "/slots/0/time", "odd": "/a~1b", "none": "/x"},
    "status_variable": "status",
}


async def test_http_calls_once_with_secrets_that_nobody_sees(
    caplog: pytest.LogCaptureFixture,
) -> None:
    secrets = {"BOOKING": 'tr"s'}
    async with (
        serve_outside() as outside,
        serve_backend(flow_secrets=secrets, http_allowed_hosts="127.0.0.1") as backend,
    ):
        outside.failures_left = 1
        await one(backend, node("http", url=f"{outside.url}/book?x={{{{ input }}}}", **HTTP))
        events = await backend.turn("s", "Ann & ${secret:BOOKING}")
        assert text_of(events) == "After."
        first, second = outside.requests
        assert first["headers"]["idempotency-key"] == second["headers"]["idempotency-key"]
        assert second["headers"]["authorization"] == 'Bearer tr"s'
        assert second["body"] == '{"who": "Ann & ${secret:BOOKING}", "key": "tr\\"s"}'
        assert second["query"] == "x=Ann%20%26%20%24%7Bsecret%3ABOOKING%7D"
        variables = (await backend.state("s"))["variables"]
        assert variables == {
            "status": 200, "number": 1, "time": "9:00", "odd": "x", "none": None,
        }  # fmt: skip
        journal = await backend.read(f"/api/flows/f/sessions/s/turns/{events[0]['turn_id']}/events")
        assert "tr" + '"s' not in str(journal) + caplog.text


@pytest.mark.parametrize(
    ("path", "data", "code"),
    [
        ("/large", {"max_bytes": 1000}, "http_refused"),
        ("/slow", {"timeout_s": 0.1, "retries": 0}, "http_failed"),
        ("/missing", {}, "http_failed"),
        ("/redirect?to=http://169.254.1.1/", {}, "http_refused"),
        ("/redirect?to=file:///etc/passwd", {}, "http_refused"),
        ("/redirect?to=/redirect?to=/redirect", {"retries": 0}, "http_failed"),
    ],
)
async def test_http_failures_are_an_event_or_an_error(
    path: str, data: dict[str, Any], code: str
) -> None:
    async with (
        serve_outside() as outside,
        serve_backend(http_allowed_hosts="127.0.0.1") as backend,
    ):
        it = node("http", url=f"{outside.url}{path}", **data)
        await one(backend, it)
        failed = await backend.turn("s", "go")
        assert (failed[-1]["type"], failed[-1]["code"]) == ("error", code)
        with_edge = [("it", "after", ALWAYS), ("it", "ask", event("error"))]
        await backend.add_flow(
            [START, ASK, it, AFTER],
            [("start", "ask", ALWAYS), ("ask", "it", ALWAYS), *with_edge],
            id="g",
        )
        await backend.turn("s", "hi", flow="g")
        assert text_of(await backend.turn("s", "go", flow="g")) == "Yes?"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "0.0.0.0", "2130706433"])
async def test_http_refuses_private_addresses(host: str) -> None:
    async with serve_outside() as outside, serve_backend() as backend:
        port = outside.url.rpartition(":")[2]
        await one(backend, node("http", url=f"http://{host}:{port}/book"))
        failed = await backend.turn("s", "go")
        assert failed[-1]["code"] == "http_refused"
        assert outside.requests == []


async def test_a_slow_call_is_covered_by_a_filler() -> None:
    async with (
        serve_outside() as outside,
        serve_backend(http_allowed_hosts="127.0.0.1") as backend,
    ):
        outside.go_on.clear()
        filler = {"text": "One moment, {{ input }}.", "after_ms": 50}
        await one(backend, node("http", url=f"{outside.url}/book", filler=filler))
        async with backend.open_turn("s", "Ann", "t1") as events:
            said = ""
            async for e in events:
                if e["type"] == "token":
                    said += e["content"]
                    outside.go_on.set()
        assert said == "One moment, Ann. After."


async def test_a_filler_that_would_only_delay_the_answer_is_left_out() -> None:
    async with (
        serve_outside() as outside,
        serve_backend(http_allowed_hosts="127.0.0.1") as backend,
    ):
        filler = {"text": "One moment.", "after_ms": 0, "usual_ms": 1400}
        await one(backend, node("http", url=f"{outside.url}/book", filler=filler))
        assert text_of(await backend.turn("s", "Ann")) == "After."


async def test_a_call_that_has_been_slow_is_covered_at_once() -> None:
    async with (
        serve_outside() as outside,
        serve_backend(http_allowed_hosts="127.0.0.1") as backend,
    ):
        filler = {"text": "One moment.", "after_ms": 60_000}
        await one(backend, node("http", url=f"{outside.url}/book", filler=filler))
        durations = backend.app.state.engine._parts.durations
        for _ in range(3):
            durations.took("f", "it", 62_000)
        outside.go_on.clear()
        async with backend.open_turn("s", "Ann", "t1") as events:
            said = ""
            async for e in events:
                if e["type"] == "token":
                    said += e["content"]
                    outside.go_on.set()
        assert said == "One moment. After."
        state = await backend.state("s")
        assert state["transcript"][-1]["text"] == said
        assert len(durations._last_ms["f", "it"]) == 4


async def test_a_turn_that_is_cut_off_says_no_filler_any_more() -> None:
    async with (
        serve_outside() as outside,
        serve_backend(http_allowed_hosts="127.0.0.1") as backend,
    ):
        outside.go_on.clear()
        filler = {"text": "One moment.", "after_ms": 100}
        await one(backend, node("http", url=f"{outside.url}/book", filler=filler))
        async with backend.open_turn("s", "Ann", "t1") as events:
            async for e in events:
                if e["type"] == "node_started" and e["node_type"] == "http":
                    await backend.call("s", "t1", "")
        outside.go_on.set()
        state = await backend.state("s")
        assert [entry["text"] for entry in state["transcript"][2:]] == ["Ann"]


async def test_digits_pressed_before_the_question_was_heard_answer_it() -> None:
    async with serve_backend(["Hm."]) as backend:
        await backend.add_flow(
            [
                node("start", "start"),
                node("press_digit", "ask", action="read", text="Your number?", variable="number"),
                node("say", "thanks", text="Thank you, {{ number }}.", wait_for_input=True),
            ],
            [
                ("start", "ask", {"condition_type": "always"}),
                ("ask", "thanks", {"condition_type": "event", "condition": "digits"}),
                ("thanks", "ask", {"condition_type": "always"}),
            ],
        )
        await backend.turn("s", "Hello.", "t1")
        cut = {"text": "", "interrupted": True}
        assert (await backend.call("s", "t1", "heard", cut)).status_code == 204
        events = await backend.turn("s", "dtmf:47")
        assert text_of(events) == "Thank you, 47."
        # What answered one question does not answer the next.
        assert text_of(await backend.turn("s", "dtmf:1")) == "Your number?"


# One visit of each node type; speculative turns must leave no trace of any.
VISITS: dict[str, dict[str, Any]] = {
    "start": {},
    "conversation": {"instructions": "x"},
    "say": {"text": "Said.", "wait_for_input": True},
    "extract": {"schema": {"type": "object", "properties": {"v": {"type": "string"}}}},
    "logic_split": {},
    "set": {"assignments": [{"name": "v", "value": 1}]},
    "http": {"method": "POST", "url": "OUTSIDE/book", "response": {"v": "/number"}},
    "knowledge": {"documents": [{"text": "go on"}], "variable": "v"},
    "transfer": {"to": "x"},
    "press_digit": {"digits": "1"},
    "end": {"text": "Over."},
}


def test_every_node_type_is_in_the_test_of_discarding() -> None:
    assert set(VISITS) == {node_type.name for node_type in NODE_TYPES}


@pytest.mark.parametrize("kind", [k for k in VISITS if k != "start"])
async def test_a_discarded_turn_leaves_no_trace(kind: str) -> None:
    script = [
        Reply(say="Said.", times=None),
        Reply.model_validate({"json": {"v": "x"}, "times": None, "purpose": "extract"}),
    ]
    async with (
        serve_outside() as outside,
        serve_backend(script, http_allowed_hosts="127.0.0.1") as backend,
    ):
        data = {
            name: value.replace("OUTSIDE", outside.url) if isinstance(value, str) else value
            for name, value in VISITS[kind].items()
        }
        edges = [] if kind in ("end", "conversation") else [("it", "after", ALWAYS)]
        nodes = [START, ASK, node(kind, **data), *([AFTER] if edges else [])]
        await backend.add_flow(
            nodes, [("start", "ask", ALWAYS), ("ask", "it", ALWAYS), *edges], variables={"v": None}
        )
        await backend.turn("s", "hi", "t0")
        before = await backend.state("s")
        async with backend.open_turn("s", "go on", "t1", speculative=True) as events:
            seen = []
            async for e in events:
                seen.append(e)
                if e["type"] == "waiting_for_commit":
                    await backend.call("s", "t1", "")
        barrier = kind in ("http", "transfer", "press_digit", "end")
        assert kinds(seen)[-1] == ("cancelled" if barrier else "done")
        assert not {"transfer", "dtmf"} & set(kinds(seen))
        await backend.call("s", "t1", "")
        assert await backend.state("s") == before
        assert outside.requests == []
        async with backend.app.state.database.connect() as connection:
            for table in ("turns", "journal", "outbox"):
                rows = await connection.exec_driver_sql(
                    f"SELECT count(*) FROM {table} WHERE turn_id = 't1'"
                )
                assert rows.scalar() == 0, table
        committed = await backend.turn("s", "go on", "t2")
        assert committed[-1]["type"] == "done"


async def test_a_commit_lets_the_side_effect_go() -> None:
    async with (
        serve_outside() as outside,
        serve_backend(http_allowed_hosts="127.0.0.1") as backend,
    ):
        await one(backend, node("http", method="POST", url=f"{outside.url}/book"))
        async with backend.open_turn("s", "go", "t1", speculative=True) as events:
            async for e in events:
                if e["type"] == "waiting_for_commit":
                    assert e["node_id"] == "it"
                    assert outside.requests == []
                    await backend.call("s", "t1", "commit")
                last = e
        assert last["content"] == "After."
        assert len(outside.requests) == 1


async def test_a_cancelled_turn_does_not_take_its_effect_back_or_repeat_it() -> None:
    async with (
        serve_outside() as outside,
        serve_backend(http_allowed_hosts="127.0.0.1") as backend,
    ):
        outside.go_on.clear()
        it = node("http", method="POST", url=f"{outside.url}/book", response={"n": "/number"})
        await one(backend, it)
        async with backend.open_turn("s", "go", "t1") as events:
            reading = asyncio.ensure_future(_all(events))
            await outside.arrived.wait()
            await backend.call("s", "t1", "")
            assert (await reading)[-1]["type"] == "cancelled"
        outside.go_on.set()
        assert text_of(await backend.turn("s", "and now?", "t2")) == "After."
        assert (await backend.state("s"))["variables"] == {"n": 1}
        assert len(outside.requests) == 1


async def _all(events: Any) -> list[dict[str, Any]]:
    return [e async for e in events]
