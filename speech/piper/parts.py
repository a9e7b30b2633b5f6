"""The stages of a voice on disk: made once for each voice file, checked at every load.

A folder in the cache is named by the voice file's SHA-256 and the layout's version, and holds one
ONNX file a stage and `parts.json` with their checksums. It is written under another name and
renamed, so that a reader never sees half of it; when a checksum differs it is made again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from protocol.errors import ConfigError, SpeechError

logger = logging.getLogger(__name__)

LAYOUT = 1
"""Changes whenever the stages do, so that an older cache is not used."""


@dataclass(frozen=True, slots=True)
class StageFile:
    """One windowed stage on disk."""

    path: Path
    radius: int
    """Context on either side, in the stage's input samples."""
    upsampling: int


@dataclass(frozen=True, slots=True)
class Parts:
    """A voice's stages on disk."""

    text: Path
    windows: tuple[StageFile, ...]


def stages_of(model_path: Path, cache_dir: Path) -> Parts | None:
    """Gives the voice's stages, from the cache if they are there and whole.

    Returns:
        None if the voice's graph cannot be split; said once in the log.

    Raises:
        SpeechError: `voice_not_found` or `voice_invalid`.
        ConfigError: `disk_full` if the stages cannot be written.
    """
    folder = cache_dir / f"{_sha256(model_path)}-{LAYOUT}"
    try:
        return _read(folder)
    except FileNotFoundError:
        pass
    except (ValueError, KeyError, TypeError, OSError) as error:
        logger.warning("Piper stages in %s are damaged (%s); making them again", folder, error)
    _build(model_path, folder)
    return _read(folder)


def _read(folder: Path) -> Parts | None:
    """Reads a folder of stages.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is damaged.
    """
    index = json.loads((folder / "parts.json").read_text(encoding="utf-8"))
    if index["reason"] is not None:
        logger.warning(
            "voice %s cannot be streamed inside a sentence (%s): "
            "it is synthesised sentence by sentence",
            index["voice"],
            index["reason"],
        )
        return None
    for name, digest in index["sha256"].items():
        try:
            found = _sha256(folder / name)
        except SpeechError as error:
            raise ValueError(f"{name} is missing") from error
        if found != digest:
            raise ValueError(f"{name} has another checksum")
    return Parts(
        text=folder / "text.onnx",
        windows=tuple(
            StageFile(folder / item["file"], int(item["radius"]), int(item["upsampling"]))
            for item in index["windows"]
        ),
    )


def _build(model_path: Path, folder: Path) -> None:
    # onnx takes 0.3 s to import and is needed once for each voice.
    import math

    import onnx
    from google.protobuf.message import DecodeError

    from speech.piper.graph import CannotSplitError, split

    try:
        model = onnx.load(str(model_path))
        if not model.graph.node:
            raise DecodeError("the graph is empty")
    except FileNotFoundError as error:
        raise _vanished(model_path) from error
    except (DecodeError, OSError, onnx.checker.ValidationError) as error:
        raise _damaged(model_path, error) from error
    index: dict[str, object] = {"voice": model_path.name, "reason": None}
    stages: dict[str, onnx.ModelProto] = {}
    try:
        found = split(model)
    except CannotSplitError as error:
        index["reason"] = str(error)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        # Damaged bytes make names that are no text, and attributes of other types.
        raise _damaged(model_path, error) from error
    else:
        stages["text.onnx"] = found.text
        index["windows"] = [
            {
                "file": f"{name}.onnx",
                "radius": math.ceil(window.radius),
                "upsampling": window.upsampling,
            }
            for name, window in found.windows.items()
        ]
        stages |= {f"{name}.onnx": window.model for name, window in found.windows.items()}
    try:
        _write(folder, index, {name: part.SerializeToString() for name, part in stages.items()})
    except OSError as error:
        raise ConfigError(
            "disk_full",
            f"The stages of {model_path.name} cannot be written to {folder.parent} "
            f"({error.strerror}). Free some space there, or set another cache folder.",
        ) from error


def _write(folder: Path, index: dict[str, object], files: dict[str, bytes]) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for name, content in files.items():
            (draft / name).write_bytes(content)
        index["sha256"] = {
            name: hashlib.sha256(content).hexdigest() for name, content in files.items()
        }
        (draft / "parts.json").write_text(json.dumps(index, indent=1), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        try:
            os.rename(draft, folder)
        except OSError:
            if not (folder / "parts.json").exists():
                raise
            # Another process has just put the same stages there.
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _vanished(path) from error


def _damaged(path: Path, error: Exception) -> SpeechError:
    return SpeechError(
        "voice_invalid",
        f"{path.name} is not a whole ONNX model ({type(error).__name__}). "
        "Download the voice again.",
    )


def _vanished(path: Path) -> SpeechError:
    return SpeechError(
        "voice_not_found",
        f"{path} cannot be read. Download the voice again with `parley voices download`, "
        "or set PIPER_VOICE to another.",
    )
