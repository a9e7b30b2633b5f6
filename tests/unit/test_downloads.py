"""Downloads that other processes can see."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from speech import downloads
from speech.downloads import Download, running


def test_a_download_is_told_while_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "WRITE_EVERY_S", 0.0)
    with Download("owner/voice", tmp_path) as download:
        assert running(tmp_path) == [{"name": "owner/voice", "done_bytes": 0, "total_bytes": 0}]
        download.moved(5, 20)
        assert running(tmp_path) == [{"name": "owner/voice", "done_bytes": 5, "total_bytes": 20}]
    assert running(tmp_path) == []


def test_what_a_dead_process_left_is_not_told(tmp_path: Path) -> None:
    Download("old", tmp_path).moved(1, 2)
    (file,) = tmp_path.glob("*.json")
    long_ago = time.time() - downloads.SILENT_S - 1
    os.utime(file, (long_ago, long_ago))
    (tmp_path / "1-broken.json").write_text("{")
    assert running(tmp_path) == []


def test_a_ledger_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with Download("voice", tmp_path / "file" / "ledger") as download:
        download.moved(1, 2)
    assert running(tmp_path / "none") == []
