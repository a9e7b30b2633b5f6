"""Whole recordings in an S3-compatible bucket: moved there, found, deleted."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self, TextIO

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from protocol import recordings
from protocol.recordings import ACCOUNT_SUFFIX, OURS, SOUND_SUFFIX, BucketSettings

if TYPE_CHECKING:
    from obstore.store import S3Config

logger = logging.getLogger(__name__)

LOOK_S = 10.0
"""How often the folder is looked into."""
ORPHAN_AFTER = timedelta(days=1)
"""After which sound without an account is no longer on its way."""
FORGET_S = 6 * 3600.0
"""How often recordings that are too old are looked for in the bucket."""
MOST_WAIT_S = 300.0
"""Between two tries of a recording that cannot be sent."""
TRY_ON_S = 30.0
"""How long the recordings behind one that cannot be sent are tried, if none of them can be."""
LAST_S = 30.0
"""How long a worker that ends goes on with what its last calls left."""
AT_ONCE = 16
PIECES_AT_ONCE = 2
"""Of 5 MB each, of a sound that is sent in pieces."""
MOVING = ".moving"
"""Locked by the worker that moves recordings out of the folder."""


class BucketError(OSError):
    """The bucket refuses, or cannot be reached; the message says what it said."""


class Bucket:
    """An S3-compatible bucket; objects have the names that the files had.

    Args:
        settings: With a bucket.
        tries: Of a request that fails for a reason that may pass.
    """

    def __init__(self, settings: BucketSettings, *, tries: int = 3) -> None:
        assert settings.recordings_bucket is not None
        url, secret = settings.s3_url, settings.s3_secret_access_key
        self.name = f"s3://{settings.recordings_bucket}/{settings.recordings_prefix}".rstrip("/")
        # Servers of one's own have no name for each bucket.
        config: S3Config = {
            "region": settings.s3_region,
            "virtual_hosted_style_request": url is None,
        }
        if url is not None:
            config["endpoint"] = url
        if settings.s3_access_key_id is not None and secret is not None:
            config["access_key_id"] = settings.s3_access_key_id
            config["secret_access_key"] = secret.get_secret_value()
        self._store = S3Store(
            settings.recordings_bucket,
            prefix=settings.recordings_prefix or None,
            config=config,
            client_options={
                "allow_http": url is not None and url.startswith("http:"),
                "connect_timeout": timedelta(seconds=5),
                "timeout": timedelta(seconds=60),
            },
            retry_config={"max_retries": tries - 1, "retry_timeout": timedelta(seconds=60)},
        )

    async def put(self, path: Path) -> None:
        """Sends a file, a large one in pieces; the object is there whole, or not at all.

        Raises:
            BucketError: It was not taken.
        """
        with _told():
            # Given a path, obstore opens it on the event loop and holds Python's lock meanwhile.
            content = await asyncio.to_thread(path.read_bytes)
            await obstore.put_async(self._store, path.name, content, max_concurrency=PIECES_AT_ONCE)

    async def of_sessions(self, session_ids: Collection[str]) -> list[str]:
        """The names of accounts of recordings in which one of these sessions answered.

        Reads every account in the bucket. What is no account is passed over; the log names it.

        Raises:
            BucketError: It cannot be read.
        """
        if not session_ids:
            return []
        names = (name for name, _ in await self._objects() if name.endswith(ACCOUNT_SUFFIX))
        found: list[str] = []

        async def read() -> None:
            for name in names:
                if not (await self._answered(name)).isdisjoint(session_ids):
                    found.append(name)

        try:
            async with asyncio.TaskGroup() as readers:
                for _ in range(AT_ONCE):
                    readers.create_task(read())
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        return sorted(found)

    async def delete(self, account: str) -> None:
        """Deletes a recording, given its account's name.

        Raises:
            BucketError: It was not deleted.
        """
        # The account goes last: by it a deletion that broke off is taken up again.
        for name in (account.removesuffix(ACCOUNT_SUFFIX) + SOUND_SUFFIX, account):
            await self._delete(name)

    async def delete_sound_alone(self, account: str) -> None:
        """Deletes a recording's sound unless its account is there, too.

        Raises:
            BucketError: It was not deleted.
        """
        with _told():
            try:
                await obstore.head_async(self._store, account)
            except FileNotFoundError:
                await self._delete(account.removesuffix(ACCOUNT_SUFFIX) + SOUND_SUFFIX)

    async def forget_old(self, *, older_than: timedelta) -> int:
        """Deletes sound and accounts that were sent so long ago; gives how many objects.

        Sound to which no account came within a day goes, too: its person's data were deleted while
        it was sent, and whoever sent it was killed.

        Raises:
            BucketError: Not all could be deleted.
        """
        now = datetime.now(UTC)
        objects = await self._objects()
        names = {name for name, _ in objects}
        old = [name for name, sent_at in objects if sent_at < now - older_than]
        orphans = [
            name
            for name, sent_at in objects
            if now - older_than <= sent_at < now - ORPHAN_AFTER and _account_of(name) not in names
        ]
        for name in old:
            await self._delete(name)
        for name in orphans:
            await self.delete_sound_alone(_account_of(name))
        return len(old) + len(orphans)

    async def _objects(self) -> list[tuple[str, datetime]]:
        """Names and times of what is ours."""
        with _told():
            return [
                (entry["path"], entry["last_modified"])
                async for entries in obstore.list(self._store)
                for entry in entries
                if OURS.fullmatch(entry["path"])
            ]

    async def _answered(self, account: str) -> set[str]:
        """Ids of the sessions that an account names."""
        with _told():
            try:
                answer = await obstore.get_async(self._store, account)
            except FileNotFoundError:  # deleted meanwhile
                return set()
            content = bytes(await answer.bytes_async())
        try:
            return recordings.session_ids(content)
        except ValueError:
            logger.warning(
                "%s/%s is passed over: it is damaged, so nobody knows whose recording it was",
                *(self.name, account),
            )
            return set()

    async def _delete(self, name: str) -> None:
        with _told(), suppress(FileNotFoundError):
            await obstore.delete_async(self._store, name)


def _account_of(name: str) -> str:
    return name.removesuffix(SOUND_SUFFIX).removesuffix(ACCOUNT_SUFFIX) + ACCOUNT_SUFFIX


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except (BaseError, OSError) as error:
        # What the server answered may name keys, so its code alone is taken from it.
        line = re.split(r"[\n<]", str(error), maxsplit=1)[0].rstrip(": ")
        code = re.search(r"<Code>(\w+)</Code>", str(error))
        raise BucketError(f"{line} ({code[1]})" if code else line) from None


class _Wait(NamedTuple):
    """Of a recording that could not be sent."""

    length_s: float = 0.0
    """Longer with each try; 0 before the first."""
    until_s: float = 0.0
    """By the event loop's clock."""


class Mover:
    """Moves whole recordings from a folder into a bucket; open with `async with`.

    What cannot be sent stays in the folder and is tried again, also by the next process. Of several
    workers that share a folder one moves at a time.

    Args:
        folder: Where recordings get their names once they are whole.
        bucket: Where they go; closed by nobody.
        kept_days: Days after which they are deleted there.
        look_s: How often the folder is looked into.
    """

    def __init__(
        self, folder: Path, bucket: Bucket, *, kept_days: float, look_s: float = LOOK_S
    ) -> None:
        self._folder = folder
        self._bucket = bucket
        self._kept = timedelta(days=kept_days)
        self._look_s = look_s
        self._most_wait_s = max(look_s, MOST_WAIT_S)
        self._tasks: list[asyncio.Task[None]] = []
        self._ending = asyncio.Event()
        self._using = asyncio.Lock()
        """Held while recordings are sent, or old ones looked for: sound that is on its way once
        more is not to be forgotten."""
        self._begun: set[Path] = set()
        """Accounts of recordings whose sound may be in the bucket without them."""
        self._deleted: set[Path] = set()
        """Those among them that were deleted here while they were sent."""
        self._waits: dict[Path, _Wait] = {}

    async def __aenter__(self) -> Self:
        moving = self._again(
            self._move_due,
            every_s=self._look_s,
            again_s=2 * self._look_s,
            failed=f"Recordings wait in {self._folder}",
        )
        forgetting = self._again(
            self._forget_old,
            every_s=FORGET_S,
            again_s=MOST_WAIT_S,
            failed="Recordings that are too old may be left",
        )
        self._tasks = [
            asyncio.create_task(moving, name="recordings to the bucket"),
            asyncio.create_task(forgetting, name="old recordings in the bucket"),
        ]
        for task in self._tasks:
            task.add_done_callback(_tell_failure)
        return self

    async def __aexit__(self, *_: object) -> None:
        moving, forgetting = self._tasks
        self._ending.set()
        forgetting.cancel()
        try:
            async with asyncio.timeout(LAST_S) as last:
                # What is being sent is sent to its end.
                await moving
                await self.move()
        except OSError as error:
            why = f"not all were sent within {LAST_S:g} s" if last.expired() else error
            logger.error(
                "Recordings stay in %s; the next worker there sends them: %s", self._folder, why
            )
        finally:
            moving.cancel()
            await asyncio.wait(self._tasks)

    async def move(self) -> int:
        """Moves what is whole; gives how many recordings.

        One that cannot be sent does not keep the others.

        Raises:
            BucketError: One could not be sent.
            OSError: The folder cannot be used.
        """
        moved, failed = await self._move(is_due_only=False)
        if failed is not None:
            raise failed
        return moved

    async def _move_due(self) -> None:
        """Moves what is whole, but for what could not be sent lately.

        Raises:
            OSError: The folder cannot be used.
        """
        _, failed = await self._move(is_due_only=True)
        if failed is not None:
            logger.error("Recordings wait in %s: %s: %s", self._folder, self._bucket.name, failed)

    async def _move(self, *, is_due_only: bool) -> tuple[int, OSError | None]:
        """Gives how many were moved, and why the first was not that could not be."""
        moved = 0
        failed: OSError | None = None
        is_away = False
        loop = asyncio.get_running_loop()
        give_up_at_s = 0.0
        async with self._using, self._alone() as alone:
            if not alone:
                return 0, None
            found = {*await asyncio.to_thread(_whole, self._folder), *self._begun}
            waits = {account: self._waits.get(account, _Wait()) for account in found}
            self._waits = {account: wait for account, wait in waits.items() if wait.length_s}
            # Those that were never refused come first.
            for account in sorted(found, key=lambda account: (waits[account].length_s, account)):
                if is_due_only and loop.time() < waits[account].until_s:
                    continue
                if not is_away:
                    try:
                        await self._move_one(account)
                    except OSError as error:
                        if failed is None:
                            failed, give_up_at_s = error, loop.time() + TRY_ON_S
                        else:
                            is_away = loop.time() > give_up_at_s
                    else:
                        self._waits.pop(account, None)
                        moved += 1
                        give_up_at_s = loop.time() + TRY_ON_S
                        continue
                length_s = min(2 * (waits[account].length_s or self._look_s), self._most_wait_s)
                self._waits[account] = _Wait(length_s, loop.time() + length_s)
        return moved, failed

    async def _forget_old(self) -> None:
        async with self._using:
            await self._bucket.forget_old(older_than=self._kept)

    async def _move_one(self, account: Path) -> None:
        if await asyncio.to_thread(account.exists):
            self._begun.add(account)
            try:
                await self._send(account)
            except BucketError:
                if await asyncio.to_thread(account.exists):
                    raise
            if await asyncio.to_thread(account.exists):
                self._begun.discard(account)
                await asyncio.to_thread(recordings.delete, account)
                return
            # Who deletes a person's data looked into the bucket too early, perhaps.
            self._deleted.add(account)
        if account in self._deleted:
            await self._bucket.delete(account.name)
        else:
            # Deleted between two tries; or another worker has moved it.
            await self._bucket.delete_sound_alone(account.name)
        self._begun.discard(account)
        self._deleted.discard(account)

    async def _send(self, account: Path) -> None:
        sound = account.with_suffix(SOUND_SUFFIX)
        if await asyncio.to_thread(sound.exists):
            await self._bucket.put(sound)
        await self._bucket.put(account)

    async def _again(
        self,
        what: Callable[[], Awaitable[object]],
        *,
        every_s: float,
        again_s: float,
        failed: str,
    ) -> None:
        """Does something until the end, after a failure in `again_s` and then ever less often."""
        wait_s = again_s
        while not self._ending.is_set():
            pause_s = every_s
            try:
                await what()
                wait_s = again_s
            except OSError as error:
                # The bucket's errors, and the folder's: a disk that is full or away.
                logger.error("%s: %s: %s", failed, self._bucket.name, error)
                pause_s, wait_s = wait_s, min(2 * wait_s, max(every_s, MOST_WAIT_S))
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._ending.wait()

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[bool]:
        """Whether nobody else moves recordings out of the folder; nobody does until the end."""
        lock = await asyncio.to_thread(_locked, self._folder)
        try:
            yield lock is not None
        finally:
            if lock is not None:
                await asyncio.to_thread(lock.close)


def _tell_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("Nothing is done any more: %s", task.get_name(), exc_info=error)


def _locked(folder: Path) -> TextIO | None:
    """The folder's lock, held until it is closed; None while another worker holds it."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = (folder / MOVING).open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    return lock


def _whole(folder: Path) -> list[Path]:
    return [path for path, _ in recordings.accounts(folder) if OURS.fullmatch(path.name)]
