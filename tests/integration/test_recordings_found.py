"""Recordings in a bucket of a real S3-compatible server: found, deleted, forgotten."""

from __future__ import annotations

import asyncio
import json
import os
import time
from datetime import timedelta
from pathlib import Path

import obstore
import pytest
from obstore.store import S3Store
from typer.testing import CliRunner

from agent_worker.bucket import AT_ONCE, Bucket, BucketError
from protocol.errors import ConfigError
from stack.privacy import app
from tests.integration.backend_server import serve_backend
from tests.integration.recordings_folder import NAME, calls, left, record, server, settings
from tests.integration.s3_server import SECRET, S3Server

__all__ = ["calls", "server"]


async def test_old_recordings_are_forgotten_and_strange_objects_stay(server: S3Server) -> None:
    record(server.folder)
    record(server.folder, "20261001T100000.000000Z")
    record(server.folder, "album")
    for path in server.folder.iterdir():
        if not path.name.startswith("20261121"):
            os.utime(path, (1_000_000_000, 1_000_000_000))
    bucket = Bucket(settings(server))
    assert await bucket.forget_old(older_than=timedelta(days=30)) == 2
    assert {name.partition(".")[0] for name in server.objects} == {"20261121T100000", "album"}


async def test_sound_to_which_no_account_came_is_forgotten(server: S3Server) -> None:
    two_days_ago = time.time() - 2 * 86_400
    for hour, is_whole, is_new in ((10, False, False), (11, True, False), (12, False, True)):
        name = f"20261121T{hour}0000.000000Z-00000000"
        record(server.folder, name)
        if not is_whole:
            (server.folder / f"{name}.json").unlink()
        for path in () if is_new else server.folder.glob(f"{name}*"):
            os.utime(path, (two_days_ago, two_days_ago))
    await Bucket(settings(server)).forget_old(older_than=timedelta(days=30))
    assert {name[9:11] for name in server.objects} == {"11", "12"}


async def test_what_a_server_answers_in_one_line_is_not_told(tmp_path: Path) -> None:
    body = (
        b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>SignatureDoesNotMatch</Code>'
        b"<AWSAccessKeyId>access-key</AWSAccessKeyId><StringToSign>AWS4</StringToSign></Error>"
    )

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 403 Forbidden\r\nContent-Length: {len(body)}\r\nConnection: close"
        writer.write(f"{head}\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        refusing = Bucket(settings(S3Server(f"http://127.0.0.1:{port}", tmp_path)), tries=1)
        with pytest.raises(BucketError) as refused:
            await refusing.of_sessions({"s"})
    assert str(refused.value).endswith("403 Forbidden (SignatureDoesNotMatch)")
    assert "access-key" not in str(refused.value)


async def test_damaged_accounts_are_passed_over_and_told(
    server: S3Server, caplog: pytest.LogCaptureFixture
) -> None:
    damaged = [b"", b"{", b"[]", b"\xff", b'{"sessions": [1]}', b'{"sessions": null}']
    for number, content in enumerate(damaged):
        (server.folder / f"20261121T10000{number}.000000Z.json").write_bytes(content)
    record(server.folder, "20261121T110000.000000Z")
    found = await Bucket(settings(server)).of_sessions({"room-1"})
    assert found == ["20261121T110000.000000Z.json"]
    assert len(caplog.messages) == len(damaged)
    for number in range(len(damaged)):
        assert f"s3://recordings/20261121T10000{number}.000000Z.json is passed" in caplog.text


async def test_accounts_are_read_by_few_tasks(
    server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    get = obstore.get_async
    tasks = []

    async def watched(store: S3Store, name: str) -> obstore.GetResult:
        tasks.append(len(asyncio.all_tasks()))
        return await get(store, name)

    monkeypatch.setattr("agent_worker.bucket.obstore.get_async", watched)
    for number in range(60):
        record(server.folder, f"20261121T1000{number:02d}.000000Z")
    assert len(await Bucket(settings(server)).of_sessions({"room-1"})) == 60
    assert max(tasks) <= AT_ONCE + 4


def test_a_persons_recordings_are_found_and_deleted_in_folder_and_bucket(
    server: S3Server, calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    for name, value in {
        **server.settings,
        "DATABASE_URL": f"sqlite:///{tmp_path}/parley.db",
        "BACKEND_PORT": "1",
        "RECORDINGS_DIR": str(calls),
        "S3_SECRET_ACCESS_KEY": "",
        "S3_SECRET_ACCESS_KEY_FILE": str(secret),
    }.items():
        monkeypatch.setenv(name, value)
    record(calls)
    for number in range(30):
        session = "room-1" if number % 10 == 0 else f"other-{number}"
        record(server.folder, f"20261120T1000{number:02d}.000000Z", session)
    runner = CliRunner()
    found = runner.invoke(app, ["find", "--session", "room-1", "--json"])
    assert json.loads(found.output)["recordings"] == [
        str(calls / f"{NAME}.json"),
        *(f"s3://recordings/20261120T1000{n}0.000000Z.json" for n in range(3)),
    ]
    done = runner.invoke(app, ["delete", "--session", "room-1", "--yes"])
    assert "Deleted 0 sessions, 0 conversations and 4 recordings" in done.output
    assert left(calls) == set()
    assert len(server.objects) == 54
    assert "Nothing is kept" in runner.invoke(app, ["find", "--session", "room-1"]).output
    monkeypatch.setenv("S3_URL", "http://127.0.0.1:1")
    unknown = runner.invoke(app, ["find", "--session", "room-1"])
    assert isinstance(unknown.exception, ConfigError)
    assert "may hold recordings" in str(unknown.exception)


def test_a_deletion_that_broke_off_finds_the_rest_when_it_is_repeated(
    server: S3Server, calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/parley.db"

    async def fill() -> str:
        async with serve_backend(["Hi."], database_url=url) as backend:
            opened = await backend.client.post(
                "/api/flows/default/sessions", json={"metadata": {"phone": "+49123"}}
            )
            session_id: str = opened.json()["session_id"]
            await backend.turn(session_id, "hello", flow="default")
        return session_id

    session_id = asyncio.run(fill())
    record(calls, session_id=session_id)
    record(server.folder, "20261121T110000.000000Z-00000000", session_id)
    monkeypatch.chdir(tmp_path)
    for name, value in {
        **server.settings,
        "DATABASE_URL": url,
        "BACKEND_PORT": "1",
        "RECORDINGS_DIR": str(calls),
    }.items():
        monkeypatch.setenv(name, value)
    delete = ["delete", "--metadata", "phone=+49123", "--yes"]
    runner = CliRunner()
    monkeypatch.setenv("S3_URL", "http://127.0.0.1:1")
    away = runner.invoke(app, delete).exception
    assert "run this command again" in str(away)
    record(calls, session_id=session_id)
    (calls / f"{NAME}.ogg").unlink()
    (calls / f"{NAME}.ogg").mkdir()
    stuck = runner.invoke(app, delete).exception
    assert isinstance(stuck, ConfigError)
    assert f"{NAME}.ogg was not deleted" in str(stuck)
    (calls / f"{NAME}.ogg").rmdir()
    monkeypatch.setenv("S3_URL", server.url)
    done = runner.invoke(app, delete)
    assert "Deleted 1 sessions, 0 conversations and 2 recordings" in done.output
    assert left(calls) == server.objects == set()
    assert "Nothing is kept" in runner.invoke(app, ["find", *delete[1:3]]).output


async def test_a_bucket_that_is_not_there_says_so(tmp_path: Path) -> None:
    nowhere = S3Server("http://127.0.0.1:1", tmp_path)
    with pytest.raises(BucketError, match=r"127\.0\.0\.1:1"):
        await Bucket(settings(nowhere), tries=1).of_sessions({"s"})
