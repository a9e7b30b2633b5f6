"""Recordings in a bucket of a real S3-compatible server: moved, found, deleted, forgotten."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from agent_worker.agent import serve
from agent_worker.bucket import Bucket, BucketError, Mover
from agent_worker.settings import WorkerSettings
from protocol import recordings
from protocol.errors import ConfigError
from protocol.recordings import BucketSettings
from protocol.settings import load_settings
from stack.ports import free_port
from stack.privacy import app
from tests.integration.backend_server import serve_backend
from tests.integration.s3_server import SECRET, S3Server, s3_server
from tests.integration.test_worker_health import LiveKit
from tests.integration.test_worker_health import settings as worker_settings

NAME = "20261121T100000.000000Z-0a1b2c3d"
LARGE_BYTES = 12_000_000
"""Sent in pieces."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[S3Server]:
    with s3_server(tmp_path / "s3") as running:
        yield running


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    folder = tmp_path / "calls"
    folder.mkdir()
    return folder


def settings(server: S3Server, **changed: Any) -> BucketSettings:
    values = {name.lower(): value for name, value in server.settings.items()}
    return BucketSettings(_env_file=None, **{**values, **changed})


def record(
    folder: Path, name: str = NAME, session_id: str = "room-1", sound: bytes = b"OggS"
) -> None:
    (folder / f"{name}.ogg").write_bytes(sound)
    account = {"sessions": [{"flow_id": "default", "session_id": session_id}]}
    (folder / f"{name}.json").write_text(json.dumps(account))


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {".moving"}


async def until_moved(folder: Path) -> None:
    while left(folder):  # noqa: ASYNC110 - the mover tells nobody
        await asyncio.sleep(0.02)


async def test_what_is_whole_is_moved_and_what_is_not_stays(server: S3Server, calls: Path) -> None:
    sound = os.urandom(LARGE_BYTES)
    (calls / f"{NAME}.ogg.part").write_bytes(b"OggS")
    (calls / "album.json").write_text('{"sessions": []}')
    bucket = Bucket(settings(server, recordings_prefix="calls/here"))
    async with Mover(calls, bucket, kept_days=30, look_s=0.05):
        record(calls, "20261121T110000.000000Z-00000000", sound=sound)
        while len(left(calls)) > 2:  # noqa: ASYNC110 - the mover tells nobody
            await asyncio.sleep(0.02)
    assert left(calls) == {f"{NAME}.ogg.part", "album.json"}
    assert server.objects == {
        f"calls/here/20261121T110000.000000Z-00000000.{suffix}" for suffix in ("ogg", "json")
    }
    sent = server.folder / "calls/here/20261121T110000.000000Z-00000000.ogg"
    assert sent.read_bytes() == sound
    assert await bucket.of_sessions({"room-1"}) == ["20261121T110000.000000Z-00000000.json"]


async def test_what_the_last_call_left_is_moved_at_the_end(server: S3Server, calls: Path) -> None:
    async with Mover(calls, Bucket(settings(server)), kept_days=30, look_s=3600):
        await asyncio.sleep(0)
        record(calls)
    assert left(calls) == set()
    assert server.objects == {f"{NAME}.ogg", f"{NAME}.json"}


async def test_the_worker_moves_what_there_is(server: S3Server, calls: Path) -> None:
    def no_session(*_: object) -> Any:
        raise AssertionError("nobody calls")

    record(calls)
    async with LiveKit().serve() as livekit:
        values = {name.lower(): value for name, value in server.settings.items()}
        running = asyncio.create_task(
            serve(worker_settings(livekit.url, recordings_dir=calls, **values), no_session)
        )
        await until_moved(calls)
        await livekit.registered.wait()
        record(calls, "20261121T110000.000000Z")
        os.kill(os.getpid(), signal.SIGTERM)
        await running
    assert left(calls) == set()
    assert len(server.objects) == 4


async def test_recordings_wait_for_a_server_that_is_away(
    tmp_path: Path, calls: Path, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    away = S3Server(f"http://127.0.0.1:{port}", tmp_path)
    record(calls)
    async with Mover(calls, Bucket(settings(away), tries=1), kept_days=30, look_s=0.05):
        while "Recordings wait" not in caplog.text:  # noqa: ASYNC110 - as people learn of it
            await asyncio.sleep(0.02)
        assert left(calls) == {f"{NAME}.ogg", f"{NAME}.json"}
        with s3_server(tmp_path / "s3", port=port) as server:
            await until_moved(calls)
            assert server.objects == {f"{NAME}.ogg", f"{NAME}.json"}


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"s3_secret_access_key": "another"}, "SignatureDoesNotMatch"),
        ({"recordings_bucket": "missing"}, "NoSuchBucket"),
    ],
)
async def test_a_refusal_is_logged_and_loses_nothing(
    server: S3Server,
    calls: Path,
    changed: dict[str, str],
    reason: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    record(calls)
    refused = Mover(calls, Bucket(settings(server, **changed)), kept_days=30, look_s=3600)
    with caplog.at_level(logging.DEBUG):
        async with refused:
            while "Recordings wait" not in caplog.text:  # noqa: ASYNC110 - as people learn of it
                await asyncio.sleep(0.02)
    # Once while it runs, once when it ends.
    lines = [r.getMessage() for r in caplog.records if r.name == "agent_worker.bucket"]
    assert len(lines) == 2
    assert all(reason in line and "\n" not in line for line in lines)
    assert SECRET not in caplog.text
    assert left(calls) == {f"{NAME}.ogg", f"{NAME}.json"}
    assert server.objects == set()


def take_away(folder: Path) -> None:
    folder.rmdir()
    folder.write_text("no folder")


def bring_back(folder: Path) -> None:
    folder.unlink()
    folder.mkdir()


async def test_a_folder_that_cannot_be_used_is_tried_again(
    server: S3Server, calls: Path, caplog: pytest.LogCaptureFixture
) -> None:
    take_away(calls)
    async with Mover(calls, Bucket(settings(server)), kept_days=30, look_s=0.05):
        while "Recordings wait" not in caplog.text:  # noqa: ASYNC110 - as people learn of it
            await asyncio.sleep(0.02)
        bring_back(calls)
        record(calls)
        await until_moved(calls)
    assert server.objects == {f"{NAME}.ogg", f"{NAME}.json"}


async def test_one_worker_moves_at_a_time(server: S3Server, calls: Path) -> None:
    for number in range(6):
        record(calls, f"20261121T10000{number}.000000Z")
    movers = [Mover(calls, Bucket(settings(server)), kept_days=30) for _ in range(3)]
    moved = await asyncio.gather(*(mover.move() for mover in movers))
    assert sorted(moved) == [0, 0, 6]
    assert len(server.objects) == 12
    assert left(calls) == set()


@pytest.mark.parametrize("suffix", [".ogg", ".json"])
async def test_a_recording_that_is_deleted_on_its_way_does_not_arrive(
    server: S3Server, calls: Path, suffix: str
) -> None:
    class Deleted(Bucket):
        async def put(self, path: Path) -> None:
            await super().put(path)
            if path.suffix == suffix:
                # As `parley privacy delete` does, here and then in the bucket.
                recordings.delete(path.with_suffix(".json"))

    record(calls)
    await Mover(calls, Deleted(settings(server)), kept_days=30).move()
    assert server.objects == set()


@pytest.mark.parametrize("is_moved_by_another", [False, True])
async def test_a_recording_that_is_deleted_between_two_tries_goes_from_the_bucket(
    server: S3Server, calls: Path, *, is_moved_by_another: bool
) -> None:
    class Away(Bucket):
        is_away = True
        """From behind the sound."""

        async def put(self, path: Path) -> None:
            if self.is_away and path.suffix == ".json":
                raise BucketError("away")
            await super().put(path)

    record(calls)
    bucket = Away(settings(server))
    mover = Mover(calls, bucket, kept_days=30)
    with pytest.raises(BucketError):
        await mover.move()
    assert server.objects == {f"{NAME}.ogg"}
    bucket.is_away = False
    if is_moved_by_another:
        await Mover(calls, Bucket(settings(server)), kept_days=30).move()
    else:
        recordings.delete(calls / f"{NAME}.json")
    await mover.move()
    assert server.objects == ({f"{NAME}.ogg", f"{NAME}.json"} if is_moved_by_another else set())


async def test_a_deletion_that_the_bucket_does_not_take_is_repeated(
    server: S3Server, calls: Path
) -> None:
    class Away(Bucket):
        is_away = True
        """From behind the account."""

        async def put(self, path: Path) -> None:
            await super().put(path)
            if path.suffix == ".json":
                recordings.delete(path)

        async def delete(self, account: str) -> None:
            if self.is_away:
                raise BucketError("away")
            await super().delete(account)

    record(calls)
    bucket = Away(settings(server))
    mover = Mover(calls, bucket, kept_days=30)
    with pytest.raises(BucketError):
        await mover.move()
    assert server.objects == {f"{NAME}.ogg", f"{NAME}.json"}
    bucket.is_away = False
    await mover.move()
    assert server.objects == set()


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


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"RECORDINGS_BUCKET": "calls"}, "RECORDINGS_DIR"),
        (
            {"RECORDINGS_BUCKET": "calls", "RECORDINGS_DIR": ".", "S3_ACCESS_KEY_ID": "one"},
            "S3_SECRET_ACCESS_KEY",
        ),
        ({"RECORDINGS_BUCKET": "no/bucket"}, "RECORDINGS_BUCKET"),
        ({"S3_URL": "minio:9000"}, "S3_URL"),
        ({"RECORDINGS_PREFIX": "../up"}, "RECORDINGS_PREFIX"),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    variables: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "LIVEKIT_API_KEY": "key", "LIVEKIT_API_SECRET": "x" * 32, **variables,
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=said):
        load_settings(WorkerSettings)


async def test_a_bucket_that_is_not_there_says_so(tmp_path: Path) -> None:
    nowhere = S3Server("http://127.0.0.1:1", tmp_path)
    with pytest.raises(BucketError, match=r"127\.0\.0\.1:1"):
        await Bucket(settings(nowhere), tries=1).of_sessions({"s"})
