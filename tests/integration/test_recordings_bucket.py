"""Recordings move into a bucket of a real S3-compatible server."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agent_worker.agent import serve
from agent_worker.bucket import Bucket, BucketError, Mover
from agent_worker.settings import WorkerSettings
from protocol import recordings
from protocol.errors import ConfigError
from protocol.recordings import BucketSettings
from protocol.settings import load_settings
from tests.fault.relay import Relay
from tests.integration.recordings_folder import NAME, calls, left, record, server, settings
from tests.integration.s3_server import SECRET, S3Server
from tests.integration.test_worker_health import LiveKit
from tests.integration.test_worker_health import settings as worker_settings

__all__ = ["calls", "server"]

LARGE_BYTES = 12_000_000
"""Sent in pieces."""


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
    server: S3Server,
    calls: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    is_back = asyncio.Event()

    class Way(Relay):
        async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if is_back.is_set():
                await super()._carry(reader, writer)
            else:
                writer.transport.abort()

    monkeypatch.setattr("agent_worker.bucket.MOST_WAIT_S", 0.1)
    record(calls)
    async with Way.to(server.url) as way:
        bucket = Bucket(settings(server, s3_url=way.url), tries=1)
        async with Mover(calls, bucket, kept_days=30, look_s=0.05):
            while "Recordings wait" not in caplog.text:  # noqa: ASYNC110 - as people learn of it
                await asyncio.sleep(0.02)
            assert left(calls) == {f"{NAME}.ogg", f"{NAME}.json"}
            is_back.set()
            await until_moved(calls)
    assert server.objects == {f"{NAME}.ogg", f"{NAME}.json"}


def stick(folder: Path, name: str) -> None:
    """A recording that cannot be sent."""
    record(folder, name)
    (folder / f"{name}.ogg").unlink()
    (folder / f"{name}.ogg").mkdir()


async def test_one_that_cannot_be_sent_keeps_neither_others_nor_what_is_too_old(
    server: S3Server, calls: Path
) -> None:
    # Before the server has listed the bucket: it remembers what was there.
    record(server.folder, "20261001T100000.000000Z")
    for path in server.folder.glob("20261001*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    stick(calls, "20261121T000000.000000Z")
    for hour in (11, 12):
        record(calls, f"20261121T{hour}0000.000000Z")
    with pytest.raises(BucketError):
        await Mover(calls, Bucket(settings(server)), kept_days=30).move()
    assert len(server.objects) == 6
    assert {name[9:11] for name in left(calls)} == {"00"}
    async with Mover(calls, Bucket(settings(server)), kept_days=30):
        while len(server.objects) > 4:  # noqa: ASYNC110 - the mover tells nobody
            await asyncio.sleep(0.02)


async def test_one_that_can_never_be_sent_keeps_none_that_comes_later(
    server: S3Server, calls: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stick(calls, "20261121T000000.000000Z")
    async with Mover(calls, Bucket(settings(server)), kept_days=30, look_s=0.2):
        while "Recordings wait" not in caplog.text:  # noqa: ASYNC110 - as people learn of it
            await asyncio.sleep(0.02)
        # Each wait is twice as long as the one before: the last would outlast the test.
        for hour in range(11, 20):
            record(calls, f"20261121T{hour}0000.000000Z")
            while len(left(calls)) > 2:  # noqa: ASYNC110 - the mover tells nobody
                await asyncio.sleep(0.02)
    assert len(server.objects) == 18


async def test_a_bucket_that_is_away_is_not_tried_with_every_recording(
    server: S3Server, calls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Away(Bucket):
        tried = 0

        async def put(self, path: Path) -> None:
            self.tried += 1
            raise BucketError("away")

    monkeypatch.setattr("agent_worker.bucket.TRY_ON_S", -1.0)
    for number in range(6):
        record(calls, f"20261121T10000{number}.000000Z")
    bucket = Away(settings(server))
    with pytest.raises(BucketError, match="away"):
        await Mover(calls, bucket, kept_days=30).move()
    assert bucket.tried == 2


async def test_a_bucket_that_lets_nothing_be_deleted_is_not_listed_at_each_look(
    server: S3Server, calls: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Kept(Bucket):
        listed = 0

        async def forget_old(self, *, older_than: timedelta) -> int:
            self.listed += 1
            raise BucketError("AccessDenied")

    bucket = Kept(settings(server))
    async with Mover(calls, bucket, kept_days=30, look_s=0.02):
        while not bucket.listed:  # noqa: ASYNC110 - the mover tells nobody
            await asyncio.sleep(0.02)
        for hour in (11, 12, 13):
            record(calls, f"20261121T{hour}0000.000000Z")
            await until_moved(calls)
    assert bucket.listed == 1
    (line,) = [r.getMessage() for r in caplog.records if r.name == "agent_worker.bucket"]
    assert line.startswith("Recordings that are too old may be left")


class Held(Bucket):
    """Sends nothing until it may."""

    def __init__(self, held: BucketSettings) -> None:
        super().__init__(held)
        self.begun: list[str] = []
        self.has_begun, self.may = asyncio.Event(), asyncio.Event()

    async def put(self, path: Path) -> None:
        self.begun.append(path.suffix)
        self.has_begun.set()
        await self.may.wait()
        await super().put(path)


async def test_an_upload_under_way_at_the_end_is_not_begun_again(
    server: S3Server, calls: Path
) -> None:
    record(calls)
    bucket = Held(settings(server))
    async with Mover(calls, bucket, kept_days=30):
        await bucket.has_begun.wait()
        # Once the mover has been asked to end.
        asyncio.get_running_loop().call_soon(bucket.may.set)
    assert bucket.begun == [".ogg", ".json"]
    assert server.objects == {f"{NAME}.ogg", f"{NAME}.json"}


async def test_an_end_that_takes_too_long_says_so(
    server: S3Server,
    calls: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agent_worker.bucket.LAST_S", 0.1)
    record(calls)
    bucket = Held(settings(server))
    async with Mover(calls, bucket, kept_days=30):
        await bucket.has_begun.wait()
    assert caplog.messages[-1].endswith("sends them: not all were sent within 0.1 s")
    assert left(calls) == {f"{NAME}.ogg", f"{NAME}.json"}


async def test_a_fault_of_the_mover_is_told_when_it_happens(
    server: S3Server, calls: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Faulty(Bucket):
        async def put(self, path: Path) -> None:
            raise RuntimeError("a fault")

    async def until_told() -> None:
        async with Mover(calls, Faulty(settings(server)), kept_days=30):
            while "RuntimeError: a fault" not in caplog.text:  # noqa: ASYNC110 - as people learn
                await asyncio.sleep(0.02)

    record(calls)
    with pytest.raises(RuntimeError, match="a fault"):
        await until_told()


async def test_a_folder_that_hangs_holds_nothing_else(server: S3Server, calls: Path) -> None:
    # To open it for writing waits for a reader.
    os.mkfifo(calls / ".moving")
    record(calls)
    moving = asyncio.create_task(Mover(calls, Bucket(settings(server)), kept_days=30).move())
    await asyncio.sleep(0)
    reader = os.open(calls / ".moving", os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert await moving == 1
    finally:
        os.close(reader)


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
    lines = [r.getMessage() for r in caplog.records if r.name == "agent_worker.bucket"]
    assert sum(line.startswith("Recordings wait") for line in lines) == 1
    assert sum(line.startswith("Recordings stay") for line in lines) == 1
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
