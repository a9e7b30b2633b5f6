"""A bucket, a folder of recordings beside it, and recordings to put there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from protocol.recordings import BucketSettings
from tests.integration.s3_server import S3Server, s3_server

NAME = "20261121T100000.000000Z-0a1b2c3d"


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
