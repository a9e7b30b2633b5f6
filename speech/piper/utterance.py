"""A voice's models, and one utterance decoded with them piece by piece."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from protocol.errors import SpeechError
from speech.piper.parts import Parts

Floats = npt.NDArray[np.float32]
_MAX_FRAMES = 1 << 18


@dataclass(frozen=True, slots=True)
class WindowModel:
    """A stage that needs only `radius` input samples of context on either side."""

    session: onnxruntime.InferenceSession
    radius: int
    upsampling: int
    takes_speaker: bool


@dataclass(frozen=True, slots=True)
class Models:
    """The sessions of one voice. onnxruntime lets any number of threads run them at once."""

    text: onnxruntime.InferenceSession
    """The text stage, or the undivided voice where `windows` is empty."""
    windows: tuple[WindowModel, ...]
    hop_samples: int
    noise_scale: float
    length_scale: float
    noise_w_scale: float

    @classmethod
    def load(
        cls,
        path: Path,
        parts: Parts | None,
        *,
        threads: int,
        hop_samples: int,
        scales: tuple[float, float, float],
    ) -> Models:
        """Opens the sessions.

        Args:
            path: The undivided voice.
            parts: Its stages; None speaks with the undivided voice.
            threads: Threads for one run.
            hop_samples: Samples in a frame.
            scales: Noise, length and duration noise, as the voice's settings have them.

        Raises:
            SpeechError: `voice_invalid`.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Lengths differ from run to run, so a remembered memory plan never fits.
        options.enable_mem_pattern = False
        # Threads that spin between runs take the cores from the other engines.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        windows = []
        for stage in parts.windows if parts else ():
            session = _session(stage.path, options)
            speaker = any(item.name == "sid" for item in session.get_inputs())
            windows.append(WindowModel(session, stage.radius, stage.upsampling, speaker))
        text = _session(parts.text if parts else path, options)
        return cls(text, tuple(windows), hop_samples, *scales)


def _session(path: Path, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        # The classes that onnxruntime raises have no base of their own.
        raise SpeechError(
            "voice_invalid",
            f"onnxruntime cannot load {path.name} ({type(error).__name__}). "
            "Download the voice again.",
        ) from error


class Utterance:
    """One run of the text stage, decoded from its start to its end in pieces of any size.

    The pieces are what the undivided voice gives with the same noise, whatever their sizes. Not
    safe for use by two threads at once.

    Args:
        models: The voice.
        ids: Phoneme ids.
        random: Source of the noise. The same seed gives the same sound.
        speaker: Number of the speaker.
        speed: 2.0 is twice as fast.
    """

    def __init__(
        self,
        models: Models,
        ids: Sequence[int],
        random: np.random.Generator,
        *,
        speaker: int = 0,
        speed: float = 1.0,
    ) -> None:
        self._models = models
        self._ids = np.array([ids], np.int64)
        self._random = random
        self._speaker = np.array([speaker], np.int64)
        self._speed = speed
        self._options = onnxruntime.RunOptions()
        self._levels: list[_Level] = []
        self.frames = 0
        """Length of the sound, known after `prepare`."""
        self.done = 0
        """Frames decoded so far."""
        self.durations: npt.NDArray[np.int64] = np.zeros(0, np.int64)
        """Frames of each phoneme id, known after `prepare`."""

    def cancel(self) -> None:
        """Ends a run that another thread is in, at the next node of its graph."""
        self._options.terminate = True

    def prepare(self) -> None:
        """Runs the text stage.

        Raises:
            SpeechError: `synthesis_failed`.
        """
        models, count = self._models, self._ids.shape[1]
        scales = [models.noise_scale, models.length_scale / self._speed, models.noise_w_scale]
        feed: dict[str, npt.NDArray[Any]] = {
            "input": self._ids,
            "input_lengths": np.array([count], np.int64),
            "scales": np.array(scales, np.float32),
        }
        if any(item.name == "sid" for item in models.text.get_inputs()):
            feed["sid"] = self._speaker
        if not models.windows:
            audio = self._run(models.text, feed)[0].ravel()
            self.frames = -(-audio.size // models.hop_samples)
            # The undivided voice does not say how long its phonemes are.
            self.durations = np.diff(np.linspace(0, self.frames, count + 1).round()).astype(
                np.int64
            )
            length = self.frames * models.hop_samples
            audio = np.pad(audio, (0, length - audio.size))
            self._levels = [_Level(audio[None, None], length, length)]
            return
        feed["duration_noise"] = self._random.standard_normal((1, 2, count), np.float32)
        mean, deviation, durations = self._run(models.text, feed)
        usable = np.isfinite(durations).all() and (durations >= 0).all()
        if not (usable and 0 < durations.sum() < _MAX_FRAMES):
            raise SpeechError(
                "synthesis_failed",
                "The voice gave no usable length for a sentence.",
                retryable=False,
            )
        self.durations = durations.astype(np.int64).ravel()
        self.frames = int(self.durations.sum())
        if not (mean.ndim == 3 and mean.shape == deviation.shape and mean.shape[1] == count):
            raise _misshapen()
        if self.durations.size != count:
            raise _misshapen()
        prior = np.repeat(mean[0], self.durations, axis=0)
        spread = np.repeat(np.exp(deviation[0]) * np.float32(scales[0]), self.durations, axis=0)
        prior += spread * self._random.standard_normal(prior.shape, np.float32)
        self._levels = [_Level(np.ascontiguousarray(prior.T[None]), self.frames, self.frames)]
        for window in models.windows:
            self._levels.append(_Level(None, self._levels[-1].length * window.upsampling, 0))

    def decode(self, upto: int) -> Floats:
        """Sound of the frames from `done` to `upto`: float32 [samples], mostly within -1 to 1.

        Raises:
            SpeechError: `synthesis_failed` if the model fails or gives what is not a number.
        """
        begin, upto = self.done, min(upto, self.frames)
        hop = self._models.hop_samples
        self._fill(len(self._levels) - 1, upto * hop)
        data = self._levels[-1].data
        assert data is not None
        audio: Floats = data[0, 0, begin * hop : upto * hop]
        self.done = upto
        if not np.isfinite(audio).all():
            raise SpeechError(
                "synthesis_failed", "The voice gave sound that is not a number.", retryable=False
            )
        return audio

    def _fill(self, number: int, upto: int) -> None:
        """Computes a level up to a sample, and of the levels below it only what that needs."""
        level = self._levels[number]
        if upto <= level.filled:
            return
        window, source = self._models.windows[number - 1], self._levels[number - 1]
        rate = window.upsampling
        begin, end = level.filled // rate, min(-(-upto // rate), source.length)
        left, right = max(0, begin - window.radius), min(end + window.radius, source.length)
        self._fill(number - 1, right)
        assert source.data is not None
        feed: dict[str, npt.NDArray[Any]] = {"x": source.data[:, :, left:right]}
        if window.takes_speaker:
            feed["sid"] = self._speaker
        made = self._run(window.session, feed)[0]
        if made.size == 0 or made.size % ((right - left) * rate):
            raise _misshapen()
        made = made.reshape(1, -1, (right - left) * rate)
        if level.data is None:
            level.data = np.empty((1, made.shape[1], level.length), np.float32)
        if made.shape[1] != level.data.shape[1]:
            raise _misshapen()
        fresh = made[:, :, (begin - left) * rate : (end - left) * rate]
        level.data[:, :, begin * rate : end * rate] = fresh
        level.filled = end * rate

    def _run(
        self, session: onnxruntime.InferenceSession, feed: dict[str, npt.NDArray[Any]]
    ) -> list[Floats]:
        try:
            return list(session.run(None, feed, self._options))
        except Exception as error:
            # The classes that onnxruntime raises have no base of their own.
            raise SpeechError(
                "synthesis_failed", f"The voice failed in onnxruntime ({type(error).__name__})."
            ) from error


def _misshapen() -> SpeechError:
    return SpeechError(
        "synthesis_failed",
        "The voice gave something of a wrong shape. Download it again.",
        retryable=False,
    )


@dataclass(slots=True)
class _Level:
    """What one stage has made so far."""

    data: Floats | None
    """float32 [1, channels, length]; None until the first samples are there."""
    length: int
    filled: int
