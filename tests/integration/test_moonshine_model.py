from __future__ import annotations

import asyncio
import logging
import shutil
from pathlib import Path

import pytest

from protocol.errors import SpeechError
from speech.moonshine import MoonshineEngine
from speech.moonshine.conversion import load_graphs, shipped_model_dir


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cache")
    load_graphs(shipped_model_dir(), path)
    return path


def folder(cache: Path) -> Path:
    (found,) = cache.iterdir()
    return found


def test_the_graphs_are_made_once(cache: Path) -> None:
    first = (folder(cache) / "decoder.onnx").stat()
    load_graphs(shipped_model_dir(), cache)
    assert (folder(cache) / "decoder.onnx").stat().st_mtime_ns == first.st_mtime_ns
    names = {path.name for path in folder(cache).iterdir()}
    assert names == {"encoder.onnx", "decoder.onnx", "manifest.json"}


@pytest.mark.parametrize("name", ["encoder.onnx", "decoder.onnx", "manifest.json"])
def test_a_damaged_cache_is_made_again(
    cache: Path, tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    own = tmp_path / "cache"
    shutil.copytree(cache, own)
    broken = folder(own) / name
    broken.write_bytes(broken.read_bytes()[:100] + b"?")
    graphs = load_graphs(shipped_model_dir(), own)
    assert graphs == load_graphs(shipped_model_dir(), cache)
    assert (folder(own) / name).read_bytes() == (folder(cache) / name).read_bytes()


def test_a_cache_that_cannot_be_written_costs_a_warning(
    cache: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    with caplog.at_level(logging.WARNING):
        graphs = load_graphs(shipped_model_dir(), tmp_path / "file" / "cache")
    assert graphs == load_graphs(shipped_model_dir(), cache)
    assert "cannot be written" in caplog.text


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("encoder_model.ort", None, "model_missing"),
        ("tokenizer.bin", None, "model_missing"),
        ("decoder_model_merged.ort", b"not a model", "model_invalid"),
        ("tokenizer.bin", b"\x09cut", "model_invalid"),
    ],
)
def test_a_broken_model_is_named(
    tmp_path: Path, name: str, content: bytes | None, code: str
) -> None:
    model = tmp_path / "model"
    shutil.copytree(shipped_model_dir(), model)
    (model / name).unlink()
    if content is not None:
        (model / name).write_bytes(content)
    engine = MoonshineEngine(model_dir=model, cache_dir=tmp_path / "cache")
    with pytest.raises(SpeechError, match=name.replace(".", r"\.")) as caught:
        engine.load()
    assert caught.value.code == code
    asyncio.run(engine.aclose())


def test_two_models_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(shipped_model_dir(), model)
    shutil.copy(model / "encoder_model.ort", model / "decoder_model_merged.ort")
    with pytest.raises(SpeechError) as caught:
        load_graphs(model, tmp_path / "cache")
    assert caught.value.code == "model_invalid"
