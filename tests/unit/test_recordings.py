"""Files of recorded calls."""

from __future__ import annotations

import json
import os
from pathlib import Path

from protocol.recordings import accounts, delete, forget_old, of_sessions


def made(folder: Path, name: str, session_id: str) -> None:
    (folder / f"{name}.ogg").write_bytes(b"OggS")
    (folder / f"{name}.json").write_text(
        json.dumps({"sessions": [{"flow_id": "f", "session_id": session_id}]})
    )


def sessions(folder: Path) -> list[str]:
    return [session_id for _, answered in accounts(folder) for session_id in answered]


def test_a_sessions_recordings_are_found_and_deleted(tmp_path: Path) -> None:
    made(tmp_path, "20261121T100000.000000Z", "one")
    made(tmp_path, "20261121T110000.000000Z", "two")
    strange = {
        "notes.json": "[]", "broken.json": "{", "deep.json": "[" * 100_000,
        "album.json": '{"sessions": [1]}', "empty.json": '{"sessions": null}',
    }  # fmt: skip
    for name, text in strange.items():
        (tmp_path / name).write_text(text)
    assert sessions(tmp_path) == ["one", "two"]
    (found,) = of_sessions(tmp_path, {"one"})
    delete(found)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == [
        "20261121T110000.000000Z.json",
        "20261121T110000.000000Z.ogg",
        *sorted(strange),
    ]


def test_old_recordings_are_forgotten_and_strange_files_stay(tmp_path: Path) -> None:
    made(tmp_path, "20261001T100000.000000Z", "old")
    made(tmp_path, "20261121T110000.000000Z", "new")
    (tmp_path / "20261001T110000.000000Z.ogg.part").write_bytes(b"OggS")
    made(tmp_path, "20261001T120000.000000Z-0a1b2c3d", "old")
    strange = {
        "album.ogg",
        "2026-Zeitplan.json",
        "2026-Zoo.ogg.part",
        "20261001T120000.000000Z.mp3",
    }
    for name in strange:
        (tmp_path / name).write_bytes(b"?")
    for path in tmp_path.iterdir():
        if not path.name.startswith("20261121"):
            os.utime(path, (1_000_000_000, 1_000_000_000))
    assert forget_old(tmp_path, older_than_s=86_400) == 5
    assert sessions(tmp_path) == ["new"]
    left = {path.name for path in tmp_path.iterdir() if not path.name.startswith("20261121")}
    assert left == strange
