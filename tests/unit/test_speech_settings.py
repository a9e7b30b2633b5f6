"""The settings of voices that more than one process reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocol.errors import ConfigError
from speech.settings import SpeechSettings


def test_no_pronunciation_dictionary_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PRONUNCIATIONS", raising=False)
    assert SpeechSettings(_env_file=None).lexicon() is None


def test_a_pronunciation_dictionary_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "words.txt"
    path.write_text("parley = PAR lee\n", encoding="utf-8")
    monkeypatch.setenv("PRONUNCIATIONS", str(path))
    lexicon = SpeechSettings(_env_file=None).lexicon()
    assert lexicon is not None
    assert lexicon.match("Parley", 0, "en") == (6, "PAR lee")


def test_a_wrong_dictionary_is_refused_with_variable_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("fine = fine\nwrong\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"PRONUNCIATIONS: .*words\.txt, line 2") as caught:
        SpeechSettings(_env_file=None, pronunciations=path).lexicon()
    assert caught.value.code == "setting_invalid"
