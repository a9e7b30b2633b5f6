from __future__ import annotations

from pathlib import Path

import pytest

from protocol.errors import ConfigError
from speech.text import Lexicon

LEXICON = """
# names
parley = PAR-lee
LiveKit = live kit
Lake Tahoe = lake TAH-hoe
lake = leyk
C++ = see plus plus
hush =
[de]
parley = Parlee
"""


@pytest.fixture
def lexicon(tmp_path: Path) -> Lexicon:
    path = tmp_path / "words.txt"
    path.write_text(LEXICON, encoding="utf-8")
    return Lexicon.load(path)


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("Parley!", "en", (6, "PAR-lee")),
        ("PARLEY", "de-AT", (6, "Parlee")),
        ("parleys", "en", None),
        ("LiveKit", "en", (7, "live kit")),
        ("livekit", "en", None),
        ("Lake \n Tahoe", "en", (12, "lake TAH-hoe")),
        ("Lake Geneva", "en", (4, "leyk")),
        ("C++, Go", "en", (3, "see plus plus")),
        ("hush now", "en", (4, "")),
        ("", "en", None),
    ],
)
def test_entries(
    lexicon: Lexicon, text: str, language: str, expected: tuple[int, str] | None
) -> None:
    assert lexicon.match(text, 0, language) == expected


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("no equals sign", "expected"),
        (" = x", "expected"),
        ("a = c", "line 1"),
        ("x" * 201 + " = y", "longer"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, problem: str) -> None:
    path = tmp_path / "words.txt"
    path.write_text(f"a = b\n{line}\n")
    with pytest.raises(ConfigError, match=rf"words\.txt, line 2: .*{problem}"):
        Lexicon.load(path)


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing\.txt cannot be read"):
        Lexicon.load(tmp_path / "missing.txt")
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"bytes\.txt cannot be read"):
        Lexicon.load(tmp_path / "bytes.txt")
