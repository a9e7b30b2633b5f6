"""Silero VAD v5: one probability of voice for each 32 ms of audio."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from protocol.errors import SpeechError

SAMPLE_RATE_HZ = 16_000
WINDOW_SAMPLES = 512
_CONTEXT_SAMPLES = 64
_WHEEL = "livekit-plugins-silero"
_MODEL = "livekit/plugins/silero/resources/silero_vad.onnx"


@dataclass(frozen=True, slots=True)
class VoiceWindow:
    """The verdict on one window of 512 samples."""

    samples: npt.NDArray[np.float32]
    """The audio itself, float32 [512]."""
    probability: float
    """Silero's probability of voice, 0 to 1."""
    voiced: bool
    """The probability with hysteresis: on at `threshold`, off below `release`."""


class VoiceDetector:
    """Judges a stream of 16 kHz mono audio; costs 0.1 ms of CPU for each 32 ms.

    Args:
        threshold: Probability at which voice begins.
        release: Probability below which it ends; at most `threshold`.

    Raises:
        SpeechError: `model_missing` or `model_invalid`.
    """

    def __init__(self, *, threshold: float = 0.5, release: float = 0.35) -> None:
        if not 0.0 < release <= threshold < 1.0:
            raise ValueError("0 < release <= threshold < 1 does not hold")
        self._session = _load()
        self._threshold = threshold
        self._release = release
        self._rate = np.array(SAMPLE_RATE_HZ, dtype=np.int64)
        self.reset()

    def reset(self) -> None:
        """Forgets the audio so far."""
        self._rest = np.zeros(0, dtype=np.float32)
        self._input = np.zeros((1, _CONTEXT_SAMPLES + WINDOW_SAMPLES), dtype=np.float32)
        self._state = np.zeros((2, 1, 128), dtype=np.float32)
        self._voiced = False

    def push(self, samples: npt.NDArray[np.float32]) -> list[VoiceWindow]:
        """Takes float32 [n] at 16 kHz and gives the windows that it completes."""
        waiting = np.concatenate((self._rest, samples)) if len(self._rest) else samples
        windows = []
        whole = len(waiting) - len(waiting) % WINDOW_SAMPLES
        for start in range(0, whole, WINDOW_SAMPLES):
            window = waiting[start : start + WINDOW_SAMPLES].copy()
            probability = self._judge(window)
            self._voiced = probability >= (self._release if self._voiced else self._threshold)
            windows.append(VoiceWindow(window, probability, self._voiced))
        self._rest = waiting[whole:].copy()
        return windows

    def _judge(self, window: npt.NDArray[np.float32]) -> float:
        self._input[0, :_CONTEXT_SAMPLES] = self._input[0, -_CONTEXT_SAMPLES:]
        self._input[0, _CONTEXT_SAMPLES:] = window
        feed = {"input": self._input, "state": self._state, "sr": self._rate}
        output, self._state = self._session.run(None, feed)
        return float(output[0, 0])


@cache
def _load() -> Any:
    """The model's session, one for each process: it keeps no state between runs."""
    try:
        path = Path(str(distribution(_WHEEL).locate_file(_MODEL)))
    except PackageNotFoundError as error:
        raise SpeechError("model_missing", f"Install {_WHEEL}: it carries Silero VAD.") from error
    if not path.is_file():
        raise SpeechError("model_missing", f"{path} is missing. Install {_WHEEL} again.")
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise SpeechError("model_invalid", f"{path} is damaged. Install {_WHEEL} again.") from error
