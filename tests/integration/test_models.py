"""Fetching models from a real HTTP server that answers as the Hugging Face hub does."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from protocol.errors import ConfigError, ProviderError
from stack import models
from stack.models import MODELS, app, fetch, located, suggestion

CONTENT = b"GGUF" + b"weights" * 20_000
PATH = "/someone/some-model/resolve/main/some.gguf"


class Hub(BaseHTTPRequestHandler):
    announced = hashlib.sha256(CONTENT).hexdigest()

    def do_HEAD(self) -> None:
        self._answer(b"")

    def do_GET(self) -> None:
        self._answer(CONTENT)

    def _answer(self, body: bytes) -> None:
        if self.path != PATH:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("ETag", f'"{self.announced}"')
        self.send_header("X-Repo-Commit", "0" * 40)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_model_is_fetched_and_checked(hub: str, tmp_path: Path) -> None:
    arguments = ["download", "someone/some-model/some.gguf", "--url", hub]
    result = CliRunner().invoke(app, [*arguments, "--folder", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "some.gguf").read_bytes() == CONTENT
    assert str(tmp_path / "some.gguf") in result.output


def test_a_damaged_model_is_removed(
    hub: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Hub, "announced", "0" * 64)
    with pytest.raises(ProviderError, match="damaged") as caught:
        fetch("someone/some-model", "some.gguf", tmp_path, hub)
    assert caught.value.code == "provider_bad_response"
    assert not (tmp_path / "some.gguf").exists()


def test_what_cannot_be_had_is_said(hub: str, tmp_path: Path) -> None:
    with pytest.raises(ProviderError, match="cannot be fetched"):
        fetch("someone/some-model", "other.gguf", tmp_path, hub)
    with pytest.raises(ProviderError, match="Check the name and the network"):
        fetch("someone/some-model", "some.gguf", tmp_path, "http://127.0.0.1:1")
    with pytest.raises(ConfigError, match=r"qwen2\.5-0\.5b"):
        located("gpt")


def test_the_list_says_what_fits() -> None:
    result = CliRunner().invoke(app, ["list", "--json"])
    assert {"name", "size_mb", "fits", "installed"} <= set(json.loads(result.output)[0])


def test_the_best_that_fits_is_suggested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Memory:
        available = 10**12

    monkeypatch.setattr(models.psutil, "virtual_memory", Memory)
    monkeypatch.setattr(models.psutil, "cpu_count", lambda: 64)
    best = max(MODELS, key=lambda model: model.size_mb)
    assert f"parley models download {best.name}" in suggestion(tmp_path)
    (tmp_path / best.file).touch()
    assert f"LLM_MODEL_PATH={tmp_path / best.file}" in suggestion(tmp_path)
    monkeypatch.setattr(models.psutil, "cpu_count", lambda: 2)
    assert f"parley models download {MODELS[0].name}" in suggestion(tmp_path)
    Memory.available = 10**8
    assert suggestion(tmp_path) == ""
