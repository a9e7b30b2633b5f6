"""A loaded Piper voice: its settings, phonemes and models."""

from __future__ import annotations

import functools
import json
import re
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import piper
from piper.config import PhonemeType
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from protocol.errors import SpeechError
from speech.audio.loudness import speech_level
from speech.piper.pace import Pace
from speech.piper.parts import stages_of
from speech.piper.utterance import Models, Utterance

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_PIPER_LOCK = threading.Lock()
"""espeak-ng keeps one state for the whole process."""
_WARM_UP = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10."


class PiperVoice:
    """One voice, shared by every stream that speaks with it. Made by `PiperEngine.load`.

    Args:
        path: The `.onnx` file; its settings stand beside it in `.onnx.json`.
        cache_dir: Where the stages are kept.
        threads: Threads for one run of a model.

    Raises:
        SpeechError: `voice_not_found` or `voice_invalid`.
        ConfigError: `disk_full`.
    """

    def __init__(self, path: Path, *, cache_dir: Path, threads: int) -> None:
        self.path = path
        self.name = path.name.removesuffix(".onnx")
        self._config = read_config(path)
        self.sample_rate_hz: int = self._config.sample_rate
        self.hop_samples: int = self._config.hop_length
        self.language: str = self._config.espeak_voice.split("-")[0]
        self.speakers: dict[str, int] = dict(self._config.speaker_id_map)
        self._phonemizer = piper.PiperVoice(session=None, config=self._config)
        self.pronounce = functools.lru_cache(maxsize=8192)(self._pronounce)
        self.models = Models.load(
            path,
            stages_of(path, cache_dir),
            threads=threads,
            hop_samples=self.hop_samples,
            scales=(
                self._config.noise_scale,
                self._config.length_scale,
                self._config.noise_w_scale,
            ),
        )
        self.pace = Pace(self.hop_samples / self.sample_rate_hz)
        self.level_db = self._warm_up()
        """Level of its speech before any normalisation, in dB of full scale."""

    @property
    def streams(self) -> bool:
        """Whether sound comes before an utterance is decoded to its end."""
        return bool(self.models.windows)

    def speaker_id(self, speaker: str | int | None) -> int:
        """Looks a speaker up by name or number; None is the voice's default.

        Raises:
            SpeechError: `voice_not_found`.
        """
        if speaker is None:
            return int(self._config.default_speaker_id)
        if speaker in self.speakers:
            return self.speakers[str(speaker)]
        count = max(1, self._config.num_speakers)
        if str(speaker).isdecimal() and int(speaker) < count:
            return int(speaker)
        named = f": {', '.join(list(self.speakers)[:10])}" if self.speakers else ""
        raise SpeechError(
            "voice_not_found",
            f"{self.name} has no speaker {speaker!r}. It has {count}, numbered from 0{named}.",
        )

    def phonemize(self, text: str) -> list[list[str]]:
        """Phonemes of each sentence that the phonemiser finds, " " between spoken words.

        Piper's `[[raw phonemes]]` count as plain text; half a surrogate pair, which no encoding
        has a place for, as a space.
        """
        plain = _LONE_SURROGATE.sub(" ", text.replace("[[", "  ").replace("\0", " "))
        with _PIPER_LOCK:
            found = self._phonemizer.phonemize(plain)
        return [list(sentence) for sentence in found if sentence]

    def _pronounce(self, word: str) -> tuple[str, ...]:
        """Phonemes of one word on its own."""
        return tuple(part for sentence in self.phonemize(word) for part in (*sentence, " "))

    def ids(self, phonemes: Sequence[str]) -> tuple[list[int], list[int]]:
        """Phoneme ids as the models want them, and the place in them of each phoneme.

        The places have one item more than the phonemes: the end of the last one. A phoneme that
        the voice does not know has the place of the next.
        """
        table = self._config.phoneme_id_map
        if self._config.phoneme_type == PhonemeType.PINYIN:
            ids = [int(number) for number in self._phonemizer.phonemes_to_ids(list(phonemes))]
            step = len(ids) / max(1, len(phonemes))
            return ids, [int(index * step) for index in range(len(phonemes) + 1)]
        ids = [*table["^"], *table["_"]]
        places = []
        for phoneme in phonemes:
            places.append(len(ids))
            if phoneme in table:
                ids += [*table[phoneme], *table["_"]]
        places.append(len(ids))
        return [*ids, *table["$"]], places

    def _warm_up(self) -> float:
        """Touches every weight once and measures this machine's speed and the voice's level."""
        phonemes = [part for sentence in self.phonemize(_WARM_UP) for part in sentence]
        utterance = Utterance(self.models, self.ids(phonemes)[0], np.random.default_rng(0))
        utterance.prepare()
        began = time.monotonic()
        audio = utterance.decode(utterance.frames)
        self.pace.measured(utterance.frames, time.monotonic() - began)
        return speech_level(audio)


class _Settings(BaseModel):
    """What a voice's settings must hold for everything behind `read_config` to work."""

    model_config = ConfigDict(strict=True)

    sample_rate: int = Field(ge=4_000, le=384_000)
    hop_length: int = Field(ge=1, le=8_192)
    num_speakers: int = Field(ge=0)
    default_speaker_id: int = Field(ge=0)
    espeak_voice: str = Field(min_length=1)
    speaker_id_map: dict[str, Annotated[int, Field(ge=0)]]
    phoneme_id_map: dict[str, list[Annotated[int, Field(ge=0)]]]
    length_scale: float = Field(gt=0, le=10, allow_inf_nan=False)
    noise_scale: float = Field(ge=0, le=10, allow_inf_nan=False)
    noise_w_scale: float = Field(ge=0, le=10, allow_inf_nan=False)


def read_config(path: Path) -> piper.PiperConfig:
    """Reads the settings beside a voice's `.onnx` file.

    Raises:
        SpeechError: `voice_not_found` or `voice_invalid`.
    """
    settings = path.with_name(path.name + ".json")
    try:
        content = settings.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpeechError(
            "voice_not_found",
            f"{settings} cannot be read ({type(error).__name__}). A voice is two files, "
            ".onnx and .onnx.json: put the second beside the first.",
        ) from error
    try:
        config = piper.PiperConfig.from_dict(json.loads(content))
        checked = _Settings.model_validate(vars(config))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = type(error).__name__
        if isinstance(error, ValidationError):
            first = error.errors()[0]
            reason = f"{'.'.join(map(str, first['loc'][:2]))}: {first['msg']}"[:200]
        raise SpeechError(
            "voice_invalid",
            f"{settings.name} is not a Piper voice's settings ({reason}). "
            "Download the voice again.",
        ) from error
    if not all(checked.phoneme_id_map.get(mark) for mark in "^_$"):
        raise SpeechError("voice_invalid", f"{settings.name} has no ids for `^`, `_` and `$`.")
    return config
