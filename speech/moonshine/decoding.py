"""Audio to tokens: the encoder once, a draft verified in one pass, the rest token by token."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from protocol.errors import SpeechError
from speech.moonshine.conversion import Graphs
from speech.moonshine.tokenizer import END, START

SAMPLE_RATE_HZ = 16_000
MIN_SAMPLES = SAMPLE_RATE_HZ // 2
"""Shorter audio is padded with silence: the encoder's convolutions need some 900 samples."""
TOKENS_PER_S = 6.5
"""What the model's authors allow; only hurried speech holds more, and loops."""
_MOST_TOKENS_PER_S = 9.0
"""Where a decode stops in any case."""


class Aborted(Exception):  # noqa: N818 - not an error: the caller asked for it
    """The decode was stopped through its `Abort`."""


class Abort:
    """Stops a decode from another thread, within one node of the graph."""

    def __init__(self) -> None:
        self.options = ort.RunOptions()
        self.options.log_severity_level = 4
        self.requested = False

    def request(self) -> None:
        """Takes effect at once, also on a decode that has not begun."""
        self.requested = True
        self.options.terminate = True


@dataclass(frozen=True, slots=True)
class Decoded:
    """What the model made of one piece of audio."""

    tokens: tuple[int, ...]
    """Without the start and end marks."""
    confidence: float
    """Geometric mean of the tokens' probabilities, end mark included, 0 to 1."""
    drafted: int
    """How many tokens of the draft were right."""
    looped: bool
    """Whether a repetition was cut off."""
    busy_s: float = 0.0
    """Processor time of the engine's thread: what the decode takes on free cores."""


class Decoder:
    """Greedy decoding over the two graphs; safe to call from several threads at once.

    Args:
        graphs: From `load_graphs`.
        threads: Threads of onnxruntime inside one run.

    Raises:
        SpeechError: `model_invalid`.
    """

    def __init__(self, graphs: Graphs, *, threads: int) -> None:
        self._encoder = _session(graphs.encoder, threads)
        self._decoder = _session(graphs.decoder, threads)
        inputs = {each.name: each.shape for each in self._decoder.get_inputs()}
        self._past = [name for name in inputs if name.endswith((".decoder.key", ".decoder.value"))]
        self._cross = [name for name in inputs if name.endswith((".encoder.key", ".encoder.value"))]
        outputs = [each.name for each in self._decoder.get_outputs()]
        self._outputs = ["logits", *(_present(name) for name in self._past)]
        self._encoder_outputs = ["cross." + _present(name) for name in self._cross]
        if not self._past or not set(self._outputs) <= set(outputs):
            raise SpeechError("model_invalid", "The decoder has no keys and values to go on from.")
        _, heads, _, width = inputs[self._past[0]]
        self._nothing = np.zeros((1, heads, 0, width), dtype=np.float32)

    def decode(
        self,
        samples: npt.NDArray[np.float32],
        *,
        draft: Sequence[int] = (),
        progress: list[int] | None = None,
        abort: Abort | None = None,
    ) -> Decoded:
        """Decodes one utterance; the tokens are the same whatever the draft.

        Args:
            samples: float32 [n], 16 kHz mono, finite; the cost grows with the square of n.
            draft: A guess at the tokens: verified in one pass, used as far as it is right. Read
                when the encoder is done, so that it may grow until then.
            progress: Overwritten from its start with the tokens as they are found; a draft for
                whoever comes next, if this decode is stopped.
            abort: Lets another thread stop the decode.

        Raises:
            Aborted: If `abort` was requested.
            SpeechError: `transcription_failed`.
        """
        abort = abort or Abort()
        duration_s = len(samples) / SAMPLE_RATE_HZ
        pace_limit = math.ceil(duration_s * TOKENS_PER_S) + 2
        limit = math.ceil(duration_s * _MOST_TOKENS_PER_S) + 2
        if len(samples) < MIN_SAMPLES:
            samples = np.pad(samples, (0, MIN_SAMPLES - len(samples)))
        audio = {"input_values": samples[None]}
        encoded = self._run(self._encoder, self._encoder_outputs, audio, abort)
        cross = dict(zip(self._cross, encoded, strict=True))
        past = [self._nothing] * len(self._past)

        step = [START, *draft[:limit]]
        tokens: list[int] = []
        log_probability = 0.0
        drafted = 0
        while True:
            feed = {"input_ids": np.array([step], dtype=np.int64), **cross}
            feed.update(zip(self._past, past, strict=True))
            logits, *past = self._run(self._decoder, self._outputs, feed, abort)
            right = 0
            for guess, row in zip((*step[1:], None), logits[0], strict=True):
                best = int(row.argmax())
                log_probability += _log_probability(row, best)
                if best == END:
                    return _decoded(tokens, log_probability, len(tokens) + 1, drafted, False)
                tokens.append(best)
                if progress is not None:
                    progress[: len(tokens)] = tokens
                kept = without_loop(tokens, hurried=len(tokens) >= pace_limit)
                if kept < len(tokens) or len(tokens) >= limit:
                    looped = kept < len(tokens)
                    return _decoded(tokens[:kept], log_probability, len(tokens), drafted, looped)
                if best != guess:
                    break
                right += 1
                drafted += 1
            if right < len(step) - 1:
                keep = past[0].shape[2] - (len(step) - 1 - right)
                past = [each[:, :, :keep] for each in past]
            step = tokens[-1:]

    def _run(self, session: Any, outputs: list[str], feed: dict[str, Any], abort: Abort) -> Any:
        if abort.requested:
            raise Aborted
        try:
            return session.run(outputs, feed, abort.options)
        except Exception as error:
            if abort.requested:
                raise Aborted from error
            raise SpeechError(
                "transcription_failed", f"onnxruntime could not run the model: {error}"
            ) from error


def without_loop(tokens: Sequence[int], *, hurried: bool) -> int:
    """How many tokens to keep: all, or up to the end of a loop's first round.

    People do repeat themselves, and the model writes that down faithfully at the pace of speech.
    A loop shows in its pace: more tokens than the audio has time for, ending in a repetition. At
    an ordinary pace only the same words eight times over are taken for one.

    Args:
        tokens: The text so far.
        hurried: Whether they are more than `TOKENS_PER_S` allows.
    """
    total = len(tokens)
    for period in range(1, total):
        repeated = 0
        while (
            repeated + period < total
            and tokens[total - 1 - repeated] == tokens[total - 1 - repeated - period]
        ):
            repeated += 1
        if repeated >= (max(4, period / 2) if hurried else max(16, 7 * period)):
            return total - repeated
    return total


def _decoded(
    tokens: Sequence[int], log_probability: float, judged: int, drafted: int, looped: bool
) -> Decoded:
    return Decoded(tuple(tokens), math.exp(log_probability / judged), drafted, looped)


def _log_probability(logits: npt.NDArray[np.float32], token: int) -> float:
    top = logits[token]
    return -float(np.log(np.exp(logits - top).sum()))


def _present(past: str) -> str:
    return past.replace("past_key_values", "present")


def _session(graph: bytes, threads: int) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise SpeechError(
            "model_invalid", "onnxruntime cannot load the converted model."
        ) from error
