"""Settings of voices that are damaged: each is refused with a clear error, or works."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol.errors import SpeechError
from speech.piper import find_voice
from speech.piper.voice import read_config

SETTINGS = find_voice().with_name(find_voice().name + ".json")
WHOLE: dict[str, Any] = json.loads(SETTINGS.read_text(encoding="utf-8"))
KEYS = [
    ("audio",),
    ("audio", "sample_rate"),
    ("espeak",),
    ("espeak", "voice"),
    ("inference",),
    ("inference", "noise_scale"),
    ("inference", "length_scale"),
    ("inference", "noise_w"),
    ("num_speakers",),
    ("speaker_id_map",),
    ("phoneme_type",),
    ("phoneme_id_map",),
    ("phoneme_id_map", "a"),
    ("phoneme_id_map", "^"),
    ("hop_length",),
    ("default_speaker_id",),
]
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
SHARED_FOLDER = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def read(folder: Path, content: bytes) -> None:
    """Reads settings as `PiperEngine.load` does; only a clear refusal may come out."""
    path = folder / "voice.onnx"
    path.with_name("voice.onnx.json").write_bytes(content)
    try:
        config = read_config(path)
    except SpeechError as error:
        refusal = error
    else:
        assert config.sample_rate / config.hop_length > 0
        assert config.espeak_voice.split("-")[0] is not None
        assert 1 / config.length_scale > 0
        assert all(isinstance(number, int) for number in config.phoneme_id_map["^"])
        return
    assert refusal.code in ("voice_invalid", "voice_not_found")
    assert "voice.onnx.json" in refusal.message


@SHARED_FOLDER
@given(key=st.sampled_from(KEYS), value=JSON_VALUES)
def test_a_wrong_value_is_refused(tmp_path: Path, key: tuple[str, ...], value: object) -> None:
    changed = copy.deepcopy(WHOLE)
    inner = changed
    for part in key[:-1]:
        inner = inner[part]
    inner[key[-1]] = value
    read(tmp_path, json.dumps(changed).encode())


@SHARED_FOLDER
@given(data=st.data())
def test_flipped_bytes_and_cut_files_are_refused(tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(SETTINGS.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=5)):
        content[place] = data.draw(st.integers(0, 255))
    read(tmp_path, bytes(content[: data.draw(st.integers(0, len(content)))]))


def test_the_message_names_the_field(tmp_path: Path) -> None:
    path = tmp_path / "voice.onnx"
    wrong = {**WHOLE, "audio": {"sample_rate": "22050"}}
    path.with_name("voice.onnx.json").write_text(json.dumps(wrong), encoding="utf-8")
    with pytest.raises(SpeechError, match=r"sample_rate: .*integer"):
        read_config(path)
