"""Coverage-guided fuzzing of what reads other people's text and files; `make fuzz`.

Not a test of pytest's: `python -m tests.fuzz TARGET [libFuzzer's options]`, with atheris.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["speech"]):
    from protocol.errors import SpeechError
    from speech.audio import read_wav
    from speech.text import SpokenStream
    from tests.unit.test_piper_settings import SETTINGS, read
    from tests.unit.test_sentence_buffer import CASES, rejoined, sentences_of
    from tests.unit.test_text_positions import check_map
    from tests.unit.test_text_properties import LANGUAGES

RECORDING = bytes.fromhex("52494646 2c000000 57415645 666d7420 10000000 0100 0100 803e0000") + (
    bytes.fromhex("007d0000 0200 1000 64617461 08000000 0100 0200 0300 0400")
)


def sentences(data: bytes) -> None:
    """The sentences are a function of the text, and hold all of it."""
    text = data[4:].decode(errors="ignore")
    whole = sentences_of(text)
    assert sentences_of(text, [cut for cut in data[:4] if cut < len(text)]) == whole
    assert rejoined(whole) == text.rstrip()


def text(data: bytes) -> None:
    """Any text can be put into spoken form, and its places map both ways."""
    stream = SpokenStream(LANGUAGES[data[0] % len(LANGUAGES)] if data else "en")
    check_map(stream.push(data[1:].decode(errors="ignore")))


def settings(data: bytes) -> None:
    """The settings of a voice are read or refused clearly."""
    read(FOLDER, data)


def recording(data: bytes) -> None:
    """A recording is read or refused clearly."""
    try:
        read_wav(data, max_s=10)
    except SpeechError as error:
        refusal = error.code
    else:
        return
    assert refusal in ("audio_invalid", "audio_too_long")


TARGETS: dict[str, tuple[Callable[[bytes], None], list[bytes]]] = {
    "sentences": (sentences, [bytes(4) + case.text.encode() for case in CASES]),
    "text": (
        text,
        [
            LANGUAGES.index(case.language).to_bytes() + case.text.encode()
            for case in CASES
            if case.language in LANGUAGES
        ],
    ),
    "settings": (settings, [SETTINGS.read_bytes()]),
    "recording": (recording, [RECORDING]),
}
"""What is called with each input, and inputs to begin with."""

if __name__ == "__main__":
    target, seeds = TARGETS[sys.argv[1]]
    with tempfile.TemporaryDirectory(prefix="parley-fuzz-") as folder:
        FOLDER = Path(folder)
        corpus = FOLDER / "corpus"
        corpus.mkdir()
        for number, seed in enumerate(seeds):
            (corpus / str(number)).write_bytes(seed)
        atheris.Setup([sys.argv[0], str(corpus), *sys.argv[2:]], target)
        atheris.Fuzz()
