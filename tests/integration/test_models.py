"""Fetching models from a real HTTP server that answers as the Hugging Face hub does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from protocol.errors import ConfigError, ProviderError
from speech import fetching
from stack import models
from stack.models import MODELS, app, fetch, located, suggestion
from tests.integration.download_server import DownloadServer

CONTENT = b"GGUF" + b"weights" * 20_000
PATH = "/someone/some-model/resolve/main/some.gguf"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[DownloadServer]:
    monkeypatch.setattr(fetching, "PAUSE_S", 0.0)
    with DownloadServer.serving() as server:
        server.files[PATH] = CONTENT
        yield server


def test_a_model_is_fetched_and_checked(hub: DownloadServer, tmp_path: Path) -> None:
    arguments = ["download", "someone/some-model/some.gguf", "--url", hub.url]
    result = CliRunner().invoke(app, [*arguments, "--folder", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "some.gguf").read_bytes() == CONTENT
    assert str(tmp_path / "some.gguf") in result.output


def test_a_model_that_broke_off_is_fetched_on(hub: DownloadServer, tmp_path: Path) -> None:
    hub.cuts = [50_000] + [0] * fetching.TRIES
    with pytest.raises(ProviderError, match="goes on from what has come") as caught:
        fetch("someone/some-model", "some.gguf", tmp_path, hub.url)
    assert caught.value.retryable
    assert not (tmp_path / "some.gguf").exists()
    hub.asked.clear()
    assert fetch("someone/some-model", "some.gguf", tmp_path, hub.url).read_bytes() == CONTENT
    assert hub.asked == [(PATH, "bytes=50000-")]
    assert [path.name for path in tmp_path.iterdir()] == ["some.gguf"]


def test_a_damaged_model_is_removed(hub: DownloadServer, tmp_path: Path) -> None:
    hub.tags[PATH] = "0" * 64
    with pytest.raises(ProviderError, match="damaged") as caught:
        fetch("someone/some-model", "some.gguf", tmp_path, hub.url)
    assert caught.value.code == "provider_bad_response"
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_cannot_be_kept_is_told(hub: DownloadServer, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="Choose a folder"):
        fetch("someone/some-model", "some.gguf", tmp_path / "file", hub.url)


def test_what_cannot_be_had_is_said(hub: DownloadServer, tmp_path: Path) -> None:
    with pytest.raises(ProviderError, match=r"cannot be fetched from .* \(HTTP 404\)"):
        fetch("someone/some-model", "other.gguf", tmp_path, hub.url)
    with pytest.raises(ProviderError, match=r"\(no connection\)\. Check the name and the network"):
        fetch("someone/some-model", "some.gguf", tmp_path, "http://127.0.0.1:1")
    with pytest.raises(ProviderError, match="Check the name"):
        fetch("some--one/some-model", "some.gguf", tmp_path, hub.url)
    for name in ("gpt", "a/b/../c.gguf", "a/b/.gguf", "a b/c/d.gguf"):
        with pytest.raises(ConfigError, match=r"qwen2\.5-0\.5b"):
            located(name)


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
