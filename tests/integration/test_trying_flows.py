"""Sessions that try a flow which is not stored: the editor's test chat."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from protocol.errors import FlowError
from tests.integration.backend_server import Backend, kinds, serve_backend, text_of
from tests.integration.outside_server import serve_outside
from tests.integration.security.callers import caller_with, closed_backend
from tests.integration.test_replicas import shared, two

__all__ = ["shared"]

ASKED = {"name": "asked", "expression": "input"}


def shop(answer: str, **start: Any) -> dict[str, Any]:
    return {
        "id": "shop",
        "variables": {"city": "Bonn"},
        "nodes": [
            {"id": "hello", "type": "start", "data": {"greeting": "Shop in {{ city }}.", **start}},
            {
                "id": "note",
                "type": "set",
                "data": {"assignments": [{"name": "asked", "expression": "input"}]},
            },
            {"id": "talk", "type": "say", "data": {"text": answer, "wait_for_input": True}},
        ],
        "edges": [
            {"id": "one", "source": "hello", "target": "note"},
            {"id": "two", "source": "note", "target": "talk"},
            {"id": "three", "source": "talk", "target": "note"},
        ],
    }


async def opened(backend: Backend, document: dict[str, Any], **body: Any) -> dict[str, Any]:
    answer = await backend.client.post(
        "/api/flows/shop/sessions", json={"document": document, **body}
    )
    assert answer.status_code == 201, answer.text
    session: dict[str, Any] = answer.json()
    return session


async def rows(backend: Backend) -> dict[str, int]:
    async with backend.app.state.database.connect() as connection:
        return {
            table: int(await connection.scalar(text(f"SELECT count(*) FROM {table}")) or 0)
            for table in ("sessions", "turns", "journal")
        }


async def test_a_document_that_nests_too_deep_is_refused() -> None:
    document = shop("Until six.")
    deep: dict[str, Any] = {}
    for _ in range(200):
        deep = {"a": deep}
    document["nodes"][1]["data"]["assignments"][0] = {"name": "asked", "value": deep}
    async with serve_backend() as backend:
        answer = await backend.client.post("/api/flows/shop/sessions", json={"document": document})
    assert answer.status_code == 422, answer.text
    assert answer.json()["code"] == "flow_invalid"


async def test_a_flow_that_is_stored_nowhere_answers_and_leaves_nothing() -> None:
    async with serve_backend() as backend:
        before = await rows(backend)
        session = await opened(backend, shop("Until six."), variables={"city": "Ulm"})
        assert (session["flow_version"], session["greeting"]) == (0, "Shop in Ulm.")
        name = session["session_id"]
        for number in range(6):
            events = await backend.turn(name, f"question {number}", f"t{number}", flow="shop")
            assert text_of(events) == "Until six."
            assert kinds(events)[-1] == "done"
            [changed] = [e["changed"] for e in events if e["type"] == "variables"]
            assert changed["asked"] == f"question {number}"
            assert [e["edge_id"] for e in events if e["type"] == "node_finished"][-2:] == [
                "two",
                None,
            ]
        state = await backend.state(name, flow="shop")
        assert (state["flow_version"], state["node_id"]) == (0, "talk")
        assert len(state["transcript"]) == 13
        heard = {"text": "Until", "interrupted": True}
        assert (await backend.call(name, "t5", "heard", heard, flow="shop")).status_code == 204
        assert (await backend.state(name, flow="shop"))["transcript"][-1]["text"] == "Until"
        flow = await backend.client.get("/api/flows/shop")
        assert flow.status_code == 404
        ended = await backend.client.delete(f"/api/flows/shop/sessions/{name}")
        assert ended.status_code == 204
        assert await rows(backend) == before


async def test_each_session_keeps_the_document_that_it_began_with() -> None:
    async with serve_backend() as backend:
        stored = await backend.client.post("/api/flows", json=shop("Published."))
        assert stored.status_code == 201, stored.text
        assert (await backend.client.post("/api/flows/shop/publish")).status_code == 200
        first = await opened(backend, shop("First draft."))
        second = await opened(backend, shop("Second draft."))
        plain = (await backend.client.post("/api/flows/shop/sessions", json={})).json()
        said = [
            text_of(await backend.turn(session["session_id"], "Well?", flow="shop"))
            for session in (first, second, plain, first)
        ]
        assert said == ["First draft.", "Second draft.", "Published.", "First draft."]


async def test_what_cannot_be_tried_is_refused_with_its_place() -> None:
    async with serve_backend() as backend:

        async def refused(**body: Any) -> dict[str, Any]:
            answer = await backend.client.post("/api/flows/shop/sessions", json=body)
            assert answer.status_code == 422, answer.text
            problem: dict[str, Any] = answer.json()
            return problem

        broken = await refused(document=shop("{{ not closed"))
        assert (broken["code"], broken["path"]) == ("flow_invalid", "nodes[2].data.text")
        assert broken["problems"]
        other = await refused(document={**shop("Hi."), "id": "other"})
        assert (other["code"], other["path"]) == ("request_invalid", "document.id")
        both = await refused(document=shop("Hi."), version=1)
        assert (both["code"], both["path"]) == ("request_invalid", "version")
        required = shop("Hi.", variables={"age": {"type": "number", "required": True}})
        missing = await refused(document=required)
        assert (missing["code"], missing["path"]) == ("request_invalid", "variables.age")


async def test_trying_needs_a_key_that_may_edit() -> None:
    async with closed_backend() as backend:
        for scopes, status in ((["talk"], 403), (["talk", "edit"], 201)):
            async with caller_with(backend, *scopes) as client:
                answer = await client.post(
                    "/api/flows/shop/sessions", json={"document": shop("Hi.")}
                )
                assert answer.status_code == status, answer.text
                if status == 403:
                    assert answer.json()["code"] == "forbidden"
                    continue
                path = f"/api/flows/shop/sessions/{answer.json()['session_id']}"
                assert (await client.get(path)).status_code == 200
                async with caller_with(backend, "talk", "edit") as stranger:
                    assert (await stranger.get(path)).status_code == 404


async def test_the_calls_of_a_tried_flow_happen_once() -> None:
    async with (
        serve_outside() as outside,
        serve_backend(http_allowed_hosts="127.0.0.1") as backend,
    ):
        document = shop("Booked {{ number }}.")
        call = {"method": "POST", "url": f"{outside.url}/book", "response": {"number": "/number"}}
        document["nodes"][1] = {"id": "note", "type": "http", "data": call}
        session = await opened(backend, document)
        events = await backend.turn(session["session_id"], "Please book.", flow="shop")
        assert text_of(events) == "Booked 1."
        assert len(outside.requests) == 1


async def test_every_replica_takes_the_turns_of_a_tried_flow(shared: dict[str, Any]) -> None:
    async with two(shared, []) as (one, other):
        before = await rows(one)
        session = await opened(one, shop("Until six."))
        name = session["session_id"]
        asked = await other.turn(name, "When?", "t1", flow="shop")
        assert text_of(asked) == "Until six."
        assert await one.turn(name, "When?", "t1", flow="shop") == asked
        heard = {"text": "Until", "interrupted": True}
        assert (await other.call(name, "t1", "heard", heard, flow="shop")).status_code == 204
        state = await other.state(name, flow="shop")
        assert state == await one.state(name, flow="shop")
        assert [e["text"] for e in state["transcript"]] == ["Shop in Bonn.", "When?", "Until"]
        # What needs the session in its own process does not take it away.
        with pytest.raises(FlowError, match="tries a flow"):
            await other.app.state.engine.session_here("shop", name)
        assert await one.state(name, flow="shop") == state
        assert await rows(other) == before
    async with two(shared, []) as (one, _):
        gone = await one.client.get(f"/api/flows/shop/sessions/{name}")
        assert (gone.status_code, gone.json()["code"]) == (404, "session_not_found")
