"""Downloads that break off, that are damaged, and that find no room."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import pytest

from protocol.errors import ConfigError
from speech import fetching
from speech.fetching import Announced, BrokenOffError, DamagedError, cannot_write, fetch_file
from tests.integration.download_server import DownloadServer

CONTENT = os.urandom(300_000)
PATH = "/model.bin"
WHOLE = Announced(len(CONTENT), "sha256", hashlib.sha256(CONTENT).hexdigest())


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[DownloadServer]:
    monkeypatch.setattr(fetching, "PAUSE_S", 0.0)
    with DownloadServer.serving() as files:
        files.files[PATH] = CONTENT
        yield files


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_it_goes_on_while_connections_break_off(server: DownloadServer, tmp_path: Path) -> None:
    server.cuts = [100_000, 0, 50_000]
    seen: list[tuple[int, int]] = []
    target = tmp_path / "new" / "model.bin"
    fetch_file(f"{server.url}{PATH}", target, WHOLE, moved=lambda *step: seen.append(step))
    assert target.read_bytes() == CONTENT
    assert [asked for _, asked in server.asked] == [
        None,
        "bytes=100000-",
        "bytes=100000-",
        "bytes=150000-",
    ]
    assert seen == sorted(seen)
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert names(target.parent) == ["model.bin"]
    # What is there and whole is not fetched again.
    fetch_file("http://127.0.0.1:9/", target, WHOLE)


def test_the_next_call_goes_on_where_the_last_one_broke_off(
    server: DownloadServer, tmp_path: Path
) -> None:
    server.cuts = [120_000] + [0] * fetching.TRIES
    target = tmp_path / "model.bin"
    with pytest.raises(BrokenOffError):
        fetch_file(f"{server.url}{PATH}", target, WHOLE)
    (part,) = tmp_path.iterdir()
    assert part.name.startswith(".")
    assert part.read_bytes() == CONTENT[:120_000]
    server.asked.clear()
    fetch_file(f"{server.url}{PATH}", target, WHOLE)
    assert server.asked == [(PATH, "bytes=120000-")]
    assert target.read_bytes() == CONTENT
    assert names(tmp_path) == ["model.bin"]


def test_a_server_without_ranges_sends_it_all_again(server: DownloadServer, tmp_path: Path) -> None:
    server.knows_ranges = False
    server.cuts = [120_000]
    fetch_file(f"{server.url}{PATH}", tmp_path / "model.bin", WHOLE)
    assert (tmp_path / "model.bin").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (CONTENT[:-1] + b"?", "another checksum"),
        (CONTENT[:-1], "299999 bytes instead of 300000"),
        (CONTENT + b"?", "300001 bytes instead of 300000"),
    ],
)
def test_what_is_damaged_is_not_kept_and_replaces_nothing(
    server: DownloadServer, tmp_path: Path, content: bytes, says: str
) -> None:
    server.files[PATH] = content
    target = tmp_path / "model.bin"
    target.write_bytes(b"the old one")
    with pytest.raises(DamagedError, match=says):
        fetch_file(f"{server.url}{PATH}", target, WHOLE)
    assert names(tmp_path) == ["model.bin"]
    assert target.read_bytes() == b"the old one"
    server.files[PATH] = CONTENT
    fetch_file(f"{server.url}{PATH}", target, WHOLE)
    assert target.read_bytes() == CONTENT


def test_two_at_once_do_not_mix(server: DownloadServer, tmp_path: Path) -> None:
    target = tmp_path / "model.bin"
    with (tmp_path / f".model.bin.{WHOLE.tag}.part").open("wb") as taken:
        fcntl.flock(taken, fcntl.LOCK_EX)
        with pytest.raises(BrokenOffError, match="another process"):
            fetch_file(f"{server.url}{PATH}", target, WHOLE)
    fetch_file(f"{server.url}{PATH}", target, WHOLE)
    assert target.read_bytes() == CONTENT


PAGE = b"<h1>Sign in to this network</h1>"


@pytest.mark.parametrize(
    ("answer", "tells_lengths", "says"),
    [
        (PAGE, True, f"{len(PAGE)} bytes instead of 300000"),
        (PAGE, False, "begins otherwise"),
        (os.urandom(400_000), True, "400000 bytes instead of 300000"),
        (os.urandom(400_000), False, "begins otherwise"),
        (CONTENT + b"more", False, "larger than announced"),
    ],
)
def test_an_answer_that_is_not_the_file_takes_nothing_of_what_has_come(
    server: DownloadServer, tmp_path: Path, answer: bytes, tells_lengths: bool, says: str
) -> None:
    server.cuts = [120_000] + [0] * fetching.TRIES
    target = tmp_path / "model.bin"
    with pytest.raises(BrokenOffError):
        fetch_file(f"{server.url}{PATH}", target, WHOLE)
    server.files[PATH], server.knows_ranges = answer, False
    server.tells_lengths = tells_lengths
    with pytest.raises(DamagedError, match=says):
        fetch_file(f"{server.url}{PATH}", target, WHOLE)
    (part,) = tmp_path.iterdir()
    assert part.read_bytes() == CONTENT[:120_000]
    server.files[PATH], server.knows_ranges, server.tells_lengths = CONTENT, True, True
    server.asked.clear()
    fetch_file(f"{server.url}{PATH}", target, WHOLE)
    assert server.asked == [(PATH, "bytes=120000-")]
    assert target.read_bytes() == CONTENT


def test_what_a_server_without_ranges_sends_again_is_not_written_again(
    server: DownloadServer, tmp_path: Path
) -> None:
    """It breaks off earlier and earlier; what came before stays."""
    server.knows_ranges = False
    server.cuts = [120_000, 100_000, 200_000, 50_000]
    seen: list[int] = []
    target = tmp_path / "model.bin"
    fetch_file(f"{server.url}{PATH}", target, WHOLE, moved=lambda done, _: seen.append(done))
    assert target.read_bytes() == CONTENT
    assert seen == sorted(set(seen))


def test_a_damaged_beginning_is_replaced_by_a_server_without_ranges(
    server: DownloadServer, tmp_path: Path
) -> None:
    part = tmp_path / f".model.bin.{WHOLE.tag}.part"
    part.write_bytes(CONTENT[:70_000] + bytes(50_000))
    server.knows_ranges = False
    fetch_file(f"{server.url}{PATH}", tmp_path / "model.bin", WHOLE)
    assert (tmp_path / "model.bin").read_bytes() == CONTENT
    assert names(tmp_path) == ["model.bin"]


def test_who_is_overtaken_finds_the_file_there(
    server: DownloadServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process gives the part its name just before this one has locked it."""
    target = tmp_path / "model.bin"
    part = tmp_path / f".model.bin.{WHOLE.tag}.part"
    lock = fcntl.flock

    def overtaken(file: BinaryIO, how: int) -> None:
        if not target.exists():
            part.write_bytes(CONTENT)
            part.rename(target)
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", overtaken)
    fetch_file(f"{server.url}{PATH}", target, WHOLE)
    assert server.asked == []
    assert target.read_bytes() == CONTENT
    assert names(tmp_path) == ["model.bin"]


def test_without_locks_who_comes_second_finds_the_file_there(
    server: DownloadServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "model.bin"
    part = tmp_path / f".model.bin.{WHOLE.tag}.part"

    def no_locks(file: BinaryIO, how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    def other_process(done_bytes: int, total_bytes: int) -> None:
        if done_bytes == total_bytes:
            target.write_bytes(CONTENT)
            part.unlink()

    monkeypatch.setattr(fcntl, "flock", no_locks)
    fetch_file(f"{server.url}{PATH}", target, WHOLE, moved=other_process)
    assert target.read_bytes() == CONTENT


def test_many_at_once_end_with_one_whole_file(server: DownloadServer, tmp_path: Path) -> None:
    """Locks belong to open files: threads meet as processes do."""
    for round_ in range(10):
        target = tmp_path / str(round_) / "model.bin"

        def fetch(_: int, target: Path = target) -> str:
            try:
                fetch_file(f"{server.url}{PATH}", target, WHOLE)
            except BrokenOffError as error:
                return str(error)
            return ""

        with ThreadPoolExecutor(6) as pool:
            said = set(pool.map(fetch, range(6)))
        assert "" in said
        assert said <= {
            "",
            "another process is fetching it",
            "other processes are fetching it",
        }
        assert target.read_bytes() == CONTENT
        assert names(target.parent) == ["model.bin"]


def test_what_cannot_fit_is_not_begun(server: DownloadServer, tmp_path: Path) -> None:
    huge = Announced(1 << 60, "sha256", WHOLE.checksum)
    with pytest.raises(ConfigError, match=r"needs \d+ MB .* are free") as caught:
        fetch_file(f"{server.url}{PATH}", tmp_path / "model.bin", huge)
    assert caught.value.code == "disk_full"
    assert server.asked == []


def test_a_disk_that_fills_up_keeps_what_has_come(server: DownloadServer, tmp_path: Path) -> None:
    """No file of another process may grow beyond a limit, as on a full disk."""
    script = (
        "import sys, pathlib; from speech.fetching import Announced, fetch_file\n"
        f"fetch_file(sys.argv[1], pathlib.Path(sys.argv[2]), "
        f"Announced({WHOLE.size_bytes}, 'sha256', {WHOLE.checksum!r}))"
    )
    target = tmp_path / "model.bin"

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

    command = [sys.executable, "-c", script, f"{server.url}{PATH}", str(target)]
    ended = subprocess.run(command, preexec_fn=limited, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "ConfigError: model.bin cannot be written" in ended.stderr
    assert not target.exists()
    server.asked.clear()
    fetch_file(f"{server.url}{PATH}", target, WHOLE)
    (_, asked) = server.asked[0]
    assert asked is not None, "it went on from what had come"
    assert target.read_bytes() == CONTENT


def test_a_folder_that_is_none_is_told(server: DownloadServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="Choose a folder that you may write to") as caught:
        fetch_file(f"{server.url}{PATH}", tmp_path / "file" / "model.bin", WHOLE)
    assert caught.value.code == "setting_invalid"


@pytest.mark.parametrize(
    ("number", "code"), [(errno.ENOSPC, "disk_full"), (errno.EROFS, "setting_invalid")]
)
def test_the_cause_decides_what_to_do(number: int, code: str) -> None:
    error = cannot_write(Path("/models/m.gguf"), OSError(number, os.strerror(number)))
    assert error.code == code
    assert os.strerror(number) in error.message
