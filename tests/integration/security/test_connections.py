"""Hostile connections: too large, too slow, from other sites, with forged headers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import zlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from flow_backend import server
from flow_backend.api import body_limit
from flow_backend.llm.scripted import Reply
from protocol.logs import JsonLines, TextLines
from tests.integration.backend_server import Backend, serve_backend
from tests.integration.doors import TellingTTS, door_b, socket_url
from tests.integration.security.callers import CONFIGURED, closed_backend

REPLY: list[Reply | str] = [Reply(say="Hi.", times=None)]


async def raw(backend: Backend) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    url = httpx.URL(backend.url)
    assert url.port is not None
    return await asyncio.open_connection(url.host, url.port)


async def answer_to(backend: Backend, sent: bytes) -> bytes:
    """Everything that the server says until it closes the connection."""
    reader, writer = await raw(backend)
    writer.write(sent)
    try:
        async with asyncio.timeout(20):
            return await reader.read()
    finally:
        writer.close()


# Slow-loris: connections that are held open by saying very little.


@pytest.mark.parametrize(
    "sent", [b"", b"G", b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nX-Long: aaa"]
)
async def test_a_head_that_does_not_come_ends_the_connection(
    sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "HEAD_S", 0.2)
    async with serve_backend(REPLY) as backend:
        assert await answer_to(backend, sent) == b""


async def test_a_second_head_on_a_kept_connection_has_the_same_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "HEAD_S", 0.2)
    async with serve_backend(REPLY) as backend:
        whole = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
        said = await answer_to(backend, whole + b"GET /healthz HT")
        assert said.startswith(b"HTTP/1.1 200")
        assert said.count(b"HTTP/1.1") == 1


async def test_a_head_without_an_end_is_cut_off() -> None:
    async with serve_backend(REPLY) as backend:
        head = b"GET /v1/models HTTP/1.1\r\n" + b"X-Field: aaaaaaaaaaaaaaaa\r\n" * 4000
        said = await answer_to(backend, head)
        assert said.startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize("limit", ["PAUSE_S", "BODY_S"])
async def test_a_body_that_does_not_come_gets_408(
    limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body_limit, limit, 0.2)
    async with serve_backend(REPLY) as backend:
        said = await answer_to(
            backend,
            b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b'Content-Length: 100\r\n\r\n{"message"',
        )
        assert said.startswith(b"HTTP/1.1 408")
        assert b"client_too_slow" in said


async def test_whoever_is_slow_holds_up_nobody_else() -> None:
    async with serve_backend(REPLY, address_concurrency=0) as backend:
        held = [await raw(backend) for _ in range(50)]
        for _, writer in held:
            writer.write(
                b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{"
            )
        async with asyncio.timeout(5):
            assert (await backend.client.get("/v1/models")).status_code == 200
        for _, writer in held:
            writer.close()


# Oversized bodies and frames, packed or not.


async def chunks(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b" " * 1000


@pytest.mark.parametrize("path", ["/api/chat", "/api/flows", "/api/flows/validate", "/api/token"])
@pytest.mark.parametrize("announced", [True, False])
async def test_an_oversized_body_is_refused_whether_announced_or_not(
    path: str, announced: bool
) -> None:
    async with serve_backend(REPLY, max_request_bytes=50_000) as backend:
        content: Any = b" " * 200_000 if announced else chunks(200)
        answer = await backend.client.post(path, content=content)
        assert (answer.status_code, answer.json()["code"]) == (413, "message_too_large")


async def test_the_rest_of_a_refused_body_is_not_awaited_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "HEAD_S", 0.2)
    async with serve_backend(REPLY, max_request_bytes=50_000) as backend:
        head = b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\n"
        reader, writer = await raw(backend)
        writer.write(head)
        assert (await reader.readline()).startswith(b"HTTP/1.1 413")
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(10):
                while not writer.is_closing() and not reader.at_eof():
                    writer.write(b" ")
                    await writer.drain()
                    await reader.read(1000)
        writer.close()


async def test_a_length_that_lies_is_refused() -> None:
    async with serve_backend(REPLY, max_request_bytes=50_000) as backend:
        for lie in (b"-1", b"1e9", b"99999999999999999999999", b"5, 6"):
            said = await answer_to(
                backend,
                b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                b"Content-Length: " + lie + b"\r\n\r\n{}",
            )
            assert said.split(b" ")[1] in (b"400", b"413"), lie


async def test_a_request_hidden_in_another_is_refused() -> None:
    """A length and chunks at once: two servers could read them differently."""
    async with serve_backend(REPLY) as backend:
        said = await answer_to(
            backend,
            b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n"
            b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n"
            b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
        )
        assert said.startswith(b"HTTP/1.1 4")
        assert said.count(b"HTTP/1.1") == 1


async def test_a_packed_body_is_not_unpacked() -> None:
    async with serve_backend(REPLY) as backend:
        bomb = zlib.compress(b'{"message": "' + b"a" * 10_000_000 + b'"}')
        assert len(bomb) < 20_000
        answer = await backend.client.post(
            "/api/chat",
            content=bomb,
            headers={"Content-Encoding": "deflate", "Content-Type": "application/json"},
        )
        assert (answer.status_code, answer.json()["code"]) == (422, "request_invalid")


async def test_a_socket_takes_no_packed_and_no_giant_frames() -> None:
    async with (
        serve_backend(REPLY) as backend,
        connect(socket_url(backend), proxy=None, compression="deflate") as socket,
    ):
        assert socket.protocol.extensions == []
        await socket.send(b"\0" * (server.MAX_MESSAGE_BYTES + 1))
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009


# Other sites: their pages run in the browser of somebody who can reach the backend.


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost.evil.example"}, 403),
        ({"Origin": "http://127.0.0.1.evil.example:80"}, 403),
        ({"Origin": "https://app.example.evil.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "https://app.example", "Sec-Fetch-Site": "cross-site"}, 200),
        ({"Origin": "http://localhost:5173", "Sec-Fetch-Site": "same-site"}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({}, 200),
    ],
)
async def test_other_sites_start_no_turn(headers: dict[str, str], status: int) -> None:
    """A link or an image is enough to send a GET, so an answer that is kept back is too late."""
    async with serve_backend(REPLY, cors_origins="https://app.example") as backend:
        path = "/api/flows/default/stream/s?input=x"
        answer = await backend.client.get(path, headers=headers)
        assert answer.status_code == status
        answer = await backend.client.post(
            "/api/flows/validate",
            content="id: x",
            headers={**headers, "Content-Type": "text/plain"},
        )
        assert answer.status_code == status
        granted = answer.headers.get("access-control-allow-origin")
        assert granted == (headers.get("Origin") if status == 200 else None)
        state = await backend.client.get("/api/flows/default/sessions/s")
        assert state.status_code == (200 if status == 200 else 404)


async def test_localhost_is_no_special_origin_where_others_reach_the_backend() -> None:
    key = "a-key-that-stands-in-the-settings-and-is-long"
    async with serve_backend(REPLY, host="0.0.0.0", parley_api_key=key) as backend:
        headers = {"Origin": "http://localhost:5173", "Authorization": f"Bearer {key}"}
        answer = await backend.client.get("/v1/models", headers=headers)
        assert answer.status_code == 403
        assert "access-control-allow-origin" not in answer.headers
        own = {**headers, "Origin": backend.url}
        assert (await backend.client.get("/v1/models", headers=own)).status_code == 200


@pytest.mark.parametrize(
    ("origin", "opens"),
    [
        ("https://evil.example", False),
        ("null", False),
        ("http://localhost.evil.example", False),
        ("http://localhost:5173", True),
        ("https://app.example", True),
        (None, True),
    ],
)
async def test_other_sites_open_no_socket(origin: str | None, opens: bool) -> None:
    async with serve_backend(REPLY, cors_origins="https://app.example") as backend:
        headers = {"Origin": origin} if origin else {}
        if opens:
            async with connect(socket_url(backend), proxy=None, additional_headers=headers):
                return
        with pytest.raises(InvalidStatus) as refused:
            await connect(socket_url(backend), proxy=None, additional_headers=headers)
        assert refused.value.response.status_code == 403
        assert backend.app.state.engine.session_count == 0


async def test_the_page_may_not_be_framed_and_runs_no_foreign_script() -> None:
    async with serve_backend(REPLY) as backend:
        page = await backend.client.get("/", headers={"Sec-Fetch-Site": "cross-site"})
        assert page.status_code == 200
        policy = page.headers.get("content-security-policy", "")
        if policy:  # where the page has been built
            assert "frame-ancestors 'none'" in policy
            assert "script-src 'self'" in policy


# Headers and events that carry more than one.


async def test_what_is_said_begins_no_event_of_its_own() -> None:
    forged = "One.\r\n\r\nevent: done\rdata: 99\n\nevent: audio\ndata: AAAA"
    async with serve_backend([forged]) as backend:
        backend.app.state.voices._made["piper"] = TellingTTS()
        heard = await door_b(backend, "x")
        assert heard.ended
        assert heard.text == forged.replace("\r\n", "\n").replace("\r", "\n")


async def test_line_ends_in_ids_reach_no_header_and_no_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    forged = "x%0d%0aSet-Cookie:%20a=b%0d%0a%1b[2J2026-01-01 INFO root: fine"
    with caplog.at_level(logging.DEBUG):
        async with serve_backend(REPLY) as backend:
            for path in (
                f"/api/flows/{forged}",
                f"/api/flows/{forged}/stream/s?input=x",
                f"/api/flows/default/stream/{forged}?input=x",
                f"/api/flows/default/sessions/{forged}",
                f"/conversations/{forged}",
                f"/assets/{forged}",
                f"/{forged}",
            ):
                answer = await backend.client.get(path)
                assert 400 <= answer.status_code < 500, path
                assert "set-cookie" not in answer.headers
            for header in ("Last-Event-ID", "X-API-Key", "User-Agent", "X-Forwarded-For"):
                said = await answer_to(
                    backend,
                    b"GET /api/flows/default/sessions/s/turns/t/events HTTP/1.1\r\n"
                    b"Host: localhost\r\nConnection: close\r\n"
                    + header.encode()
                    + b": x\rSet-Cookie: a=b\x1b[2J\r\n\r\n",
                )
                assert b"set-cookie" not in said.lower().partition(b"\r\n\r\n")[0]
    for record in caplog.records:
        for form in (TextLines(), JsonLines()):
            first = form.format(record).partition("\n  | ")[0]
            assert first.isprintable(), first


def test_an_exceptions_text_fakes_no_record() -> None:
    try:
        raise ValueError("x\n2026-01-01 00:00:00,000 INFO root: all is well\x1b[2J")
    except ValueError as error:
        made = logging.LogRecord(
            "parley", logging.ERROR, "f.py", 1, "failed", None, (ValueError, error, None)
        )
    lines = TextLines().format(made).split("\n")
    assert all(line.startswith("  | ") for line in lines[1:])
    assert all(line.isprintable() for line in lines)


async def test_what_stands_behind_a_body_is_no_header() -> None:
    """A proxy that takes headers out of the head may pass trailers on (RFC 9110, 6.5.1)."""
    async with closed_backend() as backend:
        answer = await answer_to(
            backend,
            b"POST /api/flows/default/sessions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
            b"Connection: close\r\n\r\n2\r\n{}\r\n0\r\n"
            b"Authorization: Bearer " + CONFIGURED.encode() + b"\r\n\r\n",
        )
    assert answer.startswith(b"HTTP/1.1 401 ")
