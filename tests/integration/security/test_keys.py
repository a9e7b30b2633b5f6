"""Without a key nothing opens but the page; each key opens what its scopes say, and no more."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.exc import OperationalError
from starlette.requests import HTTPConnection
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from flow_backend.access import gate, keys
from flow_backend.access.gate import OPEN
from flow_backend.api.rate_limit import address_of
from flow_backend.app import create_app
from flow_backend.llm.scripted import ScriptedProvider
from flow_backend.settings import BackendSettings
from flow_backend.store.keys import KeyStore
from protocol.errors import ConfigError
from tests.integration.backend_server import OneModel, serve_backend
from tests.integration.doors import TellingTTS, socket_url
from tests.integration.security.callers import (
    CONFIGURED,
    caller,
    caller_with,
    closed_backend,
    new_key,
)

OPENED_BY_ANY_KEY = {"/api/status", "/api/providers"}
CHAT = "/api/flows/default/stream/s"


def calls(app: FastAPI) -> list[tuple[str, str]]:
    """Method and path of every route."""
    return [
        (method.upper(), re.sub(r"\{\w+\}", "x", path))
        for path, methods in app.openapi()["paths"].items()
        for method in methods
    ]


def told(answer: httpx.Response) -> dict[str, Any]:
    """What a refusal says; under /v1 it has OpenAI's form."""
    body: dict[str, Any] = answer.json()
    return body["error"] if isinstance(body.get("error"), dict) else body


async def test_without_a_key_every_route_but_the_open_ones_answers_401(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gate, "FAILURES", "")
    async with closed_backend() as backend:
        asked = 0
        for method, path in calls(backend.app):
            answer = await backend.client.request(method, path, json={})
            if path in OPEN:
                assert answer.status_code == 200, path
                continue
            asked += 1
            assert (answer.status_code, told(answer)["code"]) == (401, "unauthorized"), path
            assert answer.headers["www-authenticate"] == "Bearer"
        assert asked > 25


async def test_every_route_says_which_scopes_open_it() -> None:
    """A route that somebody adds without `needs` is found here."""
    async with closed_backend() as backend, caller_with(backend) as without_scopes:
        for method, path in calls(backend.app):
            if path not in OPEN | OPENED_BY_ANY_KEY:
                answer = await without_scopes.request(method, path, json={})
                assert (answer.status_code, told(answer)["code"]) == (403, "forbidden"), path


@pytest.mark.parametrize(
    ("scope", "method", "path", "body", "open_to"),
    [
        ("talk", "GET", f"{CHAT}?input=x", None, {"talk", "admin"}),
        ("talk", "POST", "/api/flows/default/sessions", {}, {"talk", "admin"}),
        ("talk", "GET", "/v1/models", None, {"talk", "admin"}),
        ("talk", "GET", "/conversations", None, {"talk", "admin"}),
        ("edit", "GET", "/api/flows", None, {"talk", "edit", "admin"}),
        ("edit", "GET", "/api/flows/default", None, {"edit", "admin"}),
        ("edit", "GET", "/api/flows/schema", None, {"edit", "admin"}),
        ("edit", "POST", "/api/flows/validate", {}, {"edit", "admin"}),
        ("edit", "POST", "/api/flows/default/publish", None, {"edit", "admin"}),
        ("monitor", "GET", "/metrics", None, {"monitor", "admin"}),
        ("any", "GET", "/api/status", None, set(keys.SCOPES)),
    ],
)
async def test_a_key_opens_what_its_scopes_say(
    scope: str, method: str, path: str, body: Any, open_to: set[str]
) -> None:
    async with closed_backend() as backend:
        for has in keys.SCOPES:
            async with caller_with(backend, has) as client:
                answer = await client.request(method, path, json=body)
                if has in open_to:
                    assert answer.status_code < 400, (has, answer.text)
                else:
                    assert (answer.status_code, told(answer)["code"]) == (403, "forbidden"), has


async def test_only_a_live_key_with_its_own_secret_opens() -> None:
    async with closed_backend() as backend:
        key_id, text = await new_key(backend, "talk")
        _, old = await new_key(backend, "talk", lifetime_s=-1)
        other = (await new_key(backend, "talk"))[1]
        wrong = (
            "x",
            old,
            f"parley_{key_id}_{other.split('_', 2)[2]}",
            text[:-1],
            text + "x",
            f"parley_{key_id}_" + "a" * 43,
            CONFIGURED[:-1],
        )
        for given in wrong:
            answer = await backend.client.get(
                "/v1/models", headers={"Authorization": f"Bearer {given}"}
            )
            assert answer.status_code == 401, given
        for right in (text, CONFIGURED):
            for headers in ({"Authorization": f"bearer {right}"}, {"X-API-Key": right}):
                answer = await backend.client.get("/v1/models", headers=headers)
                assert answer.status_code == 200


async def test_a_revoked_key_is_refused_although_settings_name_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keys, "TRUST_S", 0)
    async with closed_backend() as backend:
        key_id, text = await new_key(backend, "talk")
        async with caller(backend, text) as client:
            assert (await client.get("/v1/models")).status_code == 200
            await KeyStore(backend.app.state.database).revoke(key_id)
            assert (await client.get("/v1/models")).status_code == 401
        async with (
            closed_backend(
                parley_api_key=text, database_url=str(backend.app.state.settings.database_url)
            ) as again,
            caller(again, text) as client,
        ):
            assert (await client.get("/v1/models")).status_code == 401


async def until_closed(socket: ClientConnection, busy: bool) -> None:
    while busy:
        await socket.send('{"type": "interrupt"}')
        await asyncio.sleep(0.01)
    await socket.recv()


@pytest.mark.parametrize("busy", [False, True])
async def test_a_socket_ends_with_its_key(busy: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one on which something comes all the time, as in every call with a microphone."""
    monkeypatch.setattr(keys, "TRUST_S", 0)
    monkeypatch.setattr(gate, "RECHECK_S", 0.05)
    async with closed_backend() as backend:
        backend.app.state.voices._made["piper"] = TellingTTS()
        key_id, text = await new_key(backend, "talk")
        headers = {"Authorization": f"Bearer {text}"}
        async with connect(socket_url(backend), proxy=None, additional_headers=headers) as socket:
            await socket.send('{"type": "user_message", "data": {"text": "x"}}')
            while "audio_complete" not in str(await socket.recv()):
                pass
            await KeyStore(backend.app.state.database).revoke(key_id)
            with pytest.raises(ConnectionClosed) as closed:
                await asyncio.wait_for(until_closed(socket, busy), 20)
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, "revoked" in closed.value.rcvd.reason) == (1008, True)


async def test_keys_that_were_judged_count_while_the_database_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keys, "TRUST_S", 0)
    monkeypatch.setattr(gate, "RECHECK_S", 0.05)

    async def lost(store: KeyStore, key_id: str) -> None:
        raise OperationalError("SELECT", {}, ConnectionRefusedError())

    async with closed_backend() as backend:
        _, known = await new_key(backend, "talk")
        _, new = await new_key(backend, "talk")
        headers = {"Authorization": f"Bearer {known}"}
        async with (
            caller(backend, known) as client,
            caller(backend, new) as stranger,
            connect(socket_url(backend), proxy=None, additional_headers=headers) as socket,
        ):
            with monkeypatch.context() as away:
                away.setattr(KeyStore, "get", lost)
                assert (await client.get("/v1/models")).status_code == 200
                refused = await stranger.get("/api/flows")
                assert (refused.status_code, refused.json()["code"]) == (
                    503,
                    "database_unavailable",
                )
                assert int(refused.headers["retry-after"]) >= 1
                wrong = {"Authorization": f"Bearer {known[:-1]}{'A' if known[-1] != 'A' else 'B'}"}
                assert (await client.get("/v1/models", headers=wrong)).status_code == 401
                for _ in range(20):  # the socket's key is looked at meanwhile
                    await socket.send('{"type": "interrupt"}')
                    await asyncio.sleep(0.01)
                await socket.send("{}")
                while '"request_invalid"' not in str(await socket.recv()):
                    pass
            assert (await stranger.get("/api/flows")).status_code == 200


async def test_the_database_holds_no_key() -> None:
    async with closed_backend() as backend:
        _, text = await new_key(backend, "talk")
        stored = repr(await KeyStore(backend.app.state.database).all())
        assert text.split("_", 2)[2] not in stored


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "backend.example"])
async def test_a_backend_that_others_reach_does_not_start_without_a_key(
    host: str, tmp_path: Path
) -> None:
    settings = BackendSettings(
        _env_file=None, host=host, database_url=f"sqlite:///{tmp_path}/keys.db"
    )
    app = create_app(settings, models=OneModel(ScriptedProvider()))
    with pytest.raises(ConfigError) as refused:
        async with app.router.lifespan_context(app):
            pass
    assert refused.value.code == "setting_missing"
    assert "parley keys create" in refused.value.message
    assert host in refused.value.message


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.9.1"])
async def test_loopback_needs_no_key(host: str) -> None:
    async with serve_backend(["Hi."], host=host) as backend:
        assert (await backend.client.get("/v1/models")).status_code == 200


async def test_without_keys_only_names_of_this_machine_are_answered() -> None:
    """A page's own name that its DNS turns to 127.0.0.1 is not one of them (DNS rebinding)."""
    async with serve_backend(["Hi."]) as backend:
        for name in ("evil.example", "evil.example:8000", "127.0.0.1.evil.example", "10.0.0.7"):
            answer = await backend.client.get("/v1/models", headers={"Host": name})
            assert answer.status_code == 403, name
            assert "API_KEYS=required" in told(answer)["message"]
        for name in ("localhost:1", "127.0.0.1", "[::1]:8000", "parley.localhost"):
            assert (
                await backend.client.get("/v1/models", headers={"Host": name})
            ).status_code == 200


async def test_without_keys_nothing_is_answered_that_a_proxy_passes_on() -> None:
    """A proxy on this machine may call the backend 127.0.0.1 and yet name its client."""
    async with serve_backend(["Hi."]) as backend:
        for client in ("192.0.2.7", "2001:db8::7", "127.0.0.1, 192.0.2.7"):
            answer = await backend.client.get("/v1/models", headers={"X-Forwarded-For": client})
            assert answer.status_code == 403, client
        passed_on = await backend.client.get("/v1/models", headers={"X-Forwarded-For": "::1"})
        assert passed_on.status_code == 200


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2::7", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff:1:2:3", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("somewhere", "somewhere"),
    ],
)
def test_a_network_of_ipv6_counts_as_one_address(address: str, counted: str) -> None:
    scope = {"type": "http", "headers": [], "client": (address, 5000)}
    assert address_of(HTTPConnection(scope)) == counted


async def test_a_key_sees_its_own_sessions_and_an_admin_all() -> None:
    async with (
        closed_backend() as backend,
        caller_with(backend, "talk") as one,
        caller_with(backend, "talk") as two,
        caller_with(backend, "admin") as admin,
    ):
        opened = (await one.post("/api/flows/default/sessions", json={})).json()
        path = f"/api/flows/default/sessions/{opened['session_id']}"
        turn = await one.post(f"{path}/turns", json={"input": "secret", "turn_id": "t"})
        assert turn.status_code == 200
        assert (await one.get(f"{CHAT}?input=secret&turn_id=t")).status_code == 200
        asked = [
            ("GET", path, None),
            ("DELETE", path, None),
            ("POST", f"{path}/turns", {"input": "x"}),
            ("GET", f"{path}/turns/t/events", None),
            ("POST", f"{path}/turns/t/commit", None),
            ("POST", f"{path}/turns/t/heard", {"text": "", "interrupted": True}),
            ("DELETE", f"{path}/turns/t", None),
            ("GET", "/api/flows/default/sessions/s", None),
            ("GET", f"{CHAT}?input=secret&turn_id=t", None),
            ("GET", f"{CHAT}?input=other", None),
        ]
        for method, where, body in asked:
            answer = await two.request(method, where, json=body)
            assert (answer.status_code, answer.json()["code"]) == (404, "session_not_found")
            nothing = await two.request(method, where.replace("default", "absent"), json=body)
            assert nothing.status_code == 404
        state = (await admin.get(path)).json()
        assert [entry["text"] for entry in state["transcript"]] == ["secret", "Hi."]
        assert (await one.get(path)).json() == state


async def test_a_key_sees_its_own_sessions_behind_the_chat_door() -> None:
    async with closed_backend() as backend:
        backend.app.state.voices._made["piper"] = TellingTTS()
        body = {"message": "x", "session_id": "shared-name"}
        async with caller_with(backend, "talk") as one, caller_with(backend, "talk") as two:
            assert (await one.post("/api/chat", json=body)).status_code == 200
            for door in ("/api/chat", "/api/chat/stream"):
                assert (await two.post(door, json=body)).status_code == 404
            assert (await one.post("/api/chat", json=body)).status_code == 200


async def test_a_key_sees_its_own_conversations_with_the_tutor() -> None:
    async with closed_backend() as backend:
        lesson = {
            "conversation_id": "lesson",
            "user_message": "Hola",
            "language": "Spanish",
            "difficulty_level": "A1",
        }
        async with (
            caller_with(backend, "talk") as one,
            caller_with(backend, "talk") as two,
            caller_with(backend, "admin") as admin,
        ):
            assert (await one.post("/chat/stream", json=lesson)).status_code == 200
            other = {**lesson, "language": "French"}
            assert (await two.post("/chat/stream", json=other)).status_code == 404
            assert (await two.get("/conversations/lesson")).status_code == 404
            assert (await two.get("/conversations/lesson/vocabulary")).status_code == 404
            assert (await two.get("/conversations")).json() == {"conversations": []}
            found = (await one.get("/conversations")).json()["conversations"]
            assert [(c["id"], c["language"]) for c in found] == [("lesson", "Spanish")]
            assert len((await admin.get("/conversations")).json()["conversations"]) == 1


async def test_ids_that_the_backend_makes_cannot_be_guessed() -> None:
    async with serve_backend(["Hi."]) as backend:
        ids = set()
        for _ in range(5):
            opened = await backend.client.post("/api/flows/default/sessions", json={})
            ids.add(opened.json()["session_id"])
        assert len(ids) == 5
        # A random UUID has 122 bits from the system's random source.
        assert all(len(each) == 32 and each[12] == "4" for each in ids)


async def test_a_browser_sends_its_key_to_the_socket_as_a_subprotocol() -> None:
    async with closed_backend() as backend:
        talk, edit = (await new_key(backend, "talk"))[1], (await new_key(backend, "edit"))[1]
        url = socket_url(backend)
        offered: Any = ["parley", f"parley.key.{talk}"]
        async with connect(url, proxy=None, subprotocols=offered) as socket:
            assert socket.subprotocol == "parley"
        headers = {"Authorization": f"Bearer {talk}"}
        async with connect(url, proxy=None, additional_headers=headers):
            pass
        for given, status in ((None, 401), ("parley.key.x", 401), (f"parley.key.{edit}", 403)):
            subprotocols: Any = ["parley", given] if given else None
            with pytest.raises(InvalidStatus) as refused:
                await connect(url, proxy=None, subprotocols=subprotocols)
            assert refused.value.response.status_code == status


async def test_a_key_is_no_part_of_a_url() -> None:
    async with closed_backend() as backend:
        _, text = await new_key(backend, "talk")
        for name in ("key", "api_key", "token", "access_token"):
            answer = await backend.client.get("/v1/models", params={name: text})
            assert answer.status_code == 401


async def test_each_key_has_its_own_rate_and_is_told_when_to_come_back() -> None:
    async with (
        closed_backend(key_rate_limit="3/minute") as backend,
        caller_with(backend, "talk") as one,
        caller_with(backend, "talk") as two,
        caller_with(backend, "talk", rate_limit="5/minute") as more,
        caller_with(backend, "talk", rate_limit="") as free,
    ):
        for client, allowed in ((one, 3), (two, 3), (more, 5), (free, 9)):
            answers = [await client.get("/api/flows") for _ in range(9)]
            assert [a.status_code for a in answers] == [200] * allowed + [429] * (9 - allowed)
            for refused in answers[allowed:]:
                assert 1 <= int(refused.headers["retry-after"]) <= 61
                assert refused.json()["code"] == "rate_limited"


async def test_guessing_keys_is_slowed_down() -> None:
    async with closed_backend() as backend:
        statuses = [
            (await backend.client.get("/v1/models", headers={"X-API-Key": f"guess {n}"}))
            for n in range(31)
        ]
        assert [answer.status_code for answer in statuses] == [401] * 30 + [429]
        assert int(statuses[-1].headers["retry-after"]) >= 1


@pytest.mark.parametrize("by", ["key", "own", "address"])
async def test_only_so_many_streams_at_once(by: str) -> None:
    limits: dict[str, Any] = {
        "key": {"key_concurrency": 2},
        "own": {"key_concurrency": 9},
        "address": {"address_concurrency": 2},
    }[by]
    async with closed_backend(**limits) as backend:
        _, text = await new_key(backend, "talk", concurrency=2 if by == "own" else None)
        sockets = []
        headers = {"Authorization": f"Bearer {text}"}
        for _ in range(2):
            sockets.append(
                await connect(socket_url(backend), proxy=None, additional_headers=headers)
            )
        with pytest.raises(InvalidStatus) as refused:
            await connect(socket_url(backend), proxy=None, additional_headers=headers)
        assert refused.value.response.status_code == 429
        async with caller(backend, text) as client:
            answer = await client.get("/api/flows")
            assert answer.status_code == 429
            assert answer.headers["retry-after"] == "1"
            for socket in sockets:
                await socket.close()
            async with asyncio.timeout(5):
                while (await client.get("/api/flows")).status_code == 429:
                    pass


async def test_the_open_folder_leads_nowhere_else() -> None:
    async with closed_backend() as backend:
        for path in (
            "/assets/../api/flows",
            "/assets/%2e%2e/api/flows",
            "/assets/..%2fapi%2fflows",
        ):
            request = httpx.Request("GET", backend.url)
            request.url = request.url.copy_with(raw_path=path.encode())
            answer = await backend.client.send(request)
            assert answer.status_code in (401, 404), path
            assert "flows" not in answer.json()
