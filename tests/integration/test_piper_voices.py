"""Listing and downloading voices from a real HTTP server on this machine."""

from __future__ import annotations

import functools
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from protocol.errors import SpeechError
from speech.piper.voices import download_voice, find_voice, installed_voices, list_voices
from stack.voices import app

NAME = "xx_YY-test-low"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of Piper's voices with one small voice in it."""
    root = tmp_path / "copy"
    folder = root / "xx" / "test"
    folder.mkdir(parents=True)
    files = {}
    for suffix, content in ((".onnx", b"model" * 50_000), (".onnx.json", b"{}")):
        (folder / f"{NAME}{suffix}").write_bytes(content)
        files[f"xx/test/{NAME}{suffix}"] = {
            "size_bytes": len(content),
            "md5_digest": hashlib.md5(content).hexdigest(),
        }
    files["xx/test/MODEL_CARD"] = {"size_bytes": 1, "md5_digest": ""}
    entry = {
        "language": {"code": "xx_YY", "name_english": "Testish"},
        "quality": "low",
        "num_speakers": 2,
        "files": files,
    }
    (root / "voices.json").write_text(json.dumps({NAME: entry}), encoding="utf-8")
    return root


@pytest.fixture
def url(copy: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(copy)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_voice_is_listed_fetched_checked_and_found(url: str, tmp_path: Path) -> None:
    (voice,) = list_voices(url)
    assert (voice.name, voice.language_name, voice.speakers) == (NAME, "Testish", 2)
    seen: list[tuple[int, int]] = []
    path = download_voice(
        NAME, folder=tmp_path / "v", base_url=url, progress=lambda *step: seen.append(step)
    )
    assert path.read_bytes() == b"model" * 50_000
    assert seen == sorted(seen)
    assert seen[-1] == (voice.size_bytes, voice.size_bytes)
    assert find_voice(NAME, tmp_path / "v") == path
    assert NAME in installed_voices(tmp_path / "v")
    assert sorted(item.name for item in (tmp_path / "v").iterdir()) == [
        f"{NAME}.onnx",
        f"{NAME}.onnx.json",
    ]


def test_what_is_there_and_whole_is_not_fetched_again(url: str, copy: Path, tmp_path: Path) -> None:
    path = download_voice(NAME, folder=tmp_path / "v", base_url=url)
    (copy / "xx" / "test" / f"{NAME}.onnx").unlink()
    assert download_voice(NAME, folder=tmp_path / "v", base_url=url) == path


@pytest.mark.parametrize("change", [b"modem" * 50_000, b"model", b"model" * 90_000])
def test_a_file_that_is_not_what_the_list_says_is_not_kept(
    url: str, copy: Path, tmp_path: Path, change: bytes
) -> None:
    (copy / "xx" / "test" / f"{NAME}.onnx").write_bytes(change)
    with pytest.raises(SpeechError) as caught:
        download_voice(NAME, folder=tmp_path / "v", base_url=url)
    assert caught.value.code == "voice_invalid"
    assert not list((tmp_path / "v").glob("*.onnx"))
    assert not list((tmp_path / "v").glob(".*"))


def test_errors_say_what_to_do(url: str, copy: Path, tmp_path: Path) -> None:
    with pytest.raises(SpeechError, match="parley voices list"):
        download_voice("no_NO-such-low", folder=tmp_path, base_url=url)
    (copy / "xx" / "test" / f"{NAME}.onnx").unlink()
    with pytest.raises(SpeechError, match="cannot be fetched") as caught:
        download_voice(NAME, folder=tmp_path, base_url=url)
    assert caught.value.retryable
    (copy / "voices.json").write_text('{"a": 1}', encoding="utf-8")
    with pytest.raises(SpeechError, match="not Piper's list"):
        list_voices(url)
    with pytest.raises(SpeechError, match="parley voices download"):
        find_voice(NAME, tmp_path)
    with pytest.raises(SpeechError, match="no voice file"):
        find_voice(tmp_path / "a.onnx")


def test_the_command(url: str, tmp_path: Path) -> None:
    runner = CliRunner()
    listed = runner.invoke(app, ["list", "xx", "--url", url, "--json"], catch_exceptions=False)
    assert json.loads(listed.stdout)[0]["name"] == NAME
    fetched = runner.invoke(
        app, ["download", NAME, "--url", url, "--folder", str(tmp_path)], catch_exceptions=False
    )
    assert str(tmp_path / f"{NAME}.onnx") in fetched.stdout
    here = runner.invoke(app, ["list", "--installed", "--folder", str(tmp_path)])
    assert NAME in here.stdout.split()
