"""The Moonshine model for a whole process: threads, priorities and the async calls."""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from protocol.errors import SpeechError
from speech.moonshine.audio import checked
from speech.moonshine.conversion import load_graphs, shipped_model_dir
from speech.moonshine.decoding import SAMPLE_RATE_HZ, Abort, Aborted, Decoded, Decoder
from speech.moonshine.segments import segments
from speech.moonshine.stream import MoonshineStream
from speech.moonshine.tokenizer import Tokenizer
from speech.moonshine.transcript import Transcript

_INTERIM_NICENESS = 5
MIN_CONFIDENCE = 0.55
"""Below it a text is taken for invented and left out: what music and babble give lies under it,
speech at 5 dB of noise well above."""


class MoonshineEngine:
    """Shared by every stream of a process.

    Finals run first come, first served, `decodes` of them at once. Interim decodes run one at a
    time on a thread of lower priority, only while no final waits or runs, and a final that comes
    stops them.

    Args:
        threads: Threads of onnxruntime inside one decode; defaults to 2, or 1 on a single core.
        decodes: Finals decoded at once; defaults to a quarter of the cores.
        cache_dir: Where the converted model is kept; defaults to the user's cache folder.
        model_dir: A folder with Moonshine's shipped files; defaults to moonshine-cpp's wheel.
    """

    def __init__(
        self,
        *,
        threads: int | None = None,
        decodes: int | None = None,
        cache_dir: Path | None = None,
        model_dir: Path | None = None,
    ) -> None:
        cores = os.cpu_count() or 1
        self._threads = threads or min(2, cores)
        self._cache_dir = cache_dir
        self._model_dir = model_dir
        self._loading = threading.Lock()
        self._loaded: tuple[Decoder, Tokenizer] | None = None
        self.loading_s = 0.0
        """What loading the model has taken."""
        self._finals = ThreadPoolExecutor(decodes or max(1, cores // 4), "moonshine-final")
        self._interims = ThreadPoolExecutor(1, "moonshine-interim", initializer=_lower_priority)
        self._state = threading.Lock()
        """Guards what follows: streams live on the event loops of several threads."""
        self._finals_open = 0
        self._interim: Abort | None = None
        self._closed = False

    def load(self) -> None:
        """Loads the model and runs it once; blocks for 1 to 4 s the first time, then returns.

        Every decode does this by itself; call it where a process may take its time.

        Raises:
            SpeechError: `model_missing` or `model_invalid`.
        """
        self._model()

    def _model(self) -> tuple[Decoder, Tokenizer]:
        with self._loading:
            if self._loaded is None:
                begun_s = time.monotonic()
                folder = self._model_dir or shipped_model_dir()
                tokenizer = Tokenizer(folder / "tokenizer.bin")
                decoder = Decoder(load_graphs(folder, self._cache_dir), threads=self._threads)
                decoder.decode(np.zeros(SAMPLE_RATE_HZ, dtype=np.float32))
                self._loaded = decoder, tokenizer
                _return_memory()
                self.loading_s = time.monotonic() - begun_s
            return self._loaded

    async def transcribe(
        self, samples: npt.NDArray[np.float32], *, draft: Sequence[int] = ()
    ) -> Transcript:
        """Writes down a recording of any length; what is not speech is left out.

        Args:
            samples: float32 [n], 16 kHz mono, -1 to 1.
            draft: Tokens of an earlier transcript of the same speech, right or wrong.

        Raises:
            SpeechError: `audio_invalid`, `transcription_failed`, or a model that cannot be loaded.
        """
        self._require_open()
        found = await asyncio.to_thread(segments, checked(samples))
        texts: list[str] = []
        tokens: list[int] = []
        weighed = 0.0
        for segment in found:
            text, decoded = await self.decode(
                segment.samples, draft=draft if len(found) == 1 else ()
            )
            if text:
                texts.append(text)
                tokens += decoded.tokens
                weighed += decoded.confidence * len(decoded.tokens)
        return Transcript(
            text=" ".join(texts),
            tokens=tuple(tokens),
            duration_s=len(samples) / SAMPLE_RATE_HZ,
            confidence=weighed / len(tokens) if tokens else 0.0,
        )

    def stream(
        self,
        *,
        sample_rate_hz: int = SAMPLE_RATE_HZ,
        channels: int = 1,
        end_silence_s: float | None = None,
    ) -> MoonshineStream:
        """A live transcription; use it under `async with`, in a running event loop.

        Args:
            sample_rate_hz: Of the audio that will be pushed, 4,000 to 384,000.
            channels: Of that audio, 1 to 16; they are mixed to one.
            end_silence_s: Silence after which the stream ends the turn by itself; None leaves
                that to `flush`.

        Raises:
            SpeechError: `audio_invalid`.
        """
        return MoonshineStream(
            self, sample_rate_hz=sample_rate_hz, channels=channels, end_silence_s=end_silence_s
        )

    def prewarm(self) -> None:
        """Begins to load in the background; an error shows at the first decode."""
        self._finals.submit(self._model)

    @property
    def busy(self) -> bool:
        """Whether a decode runs or waits; an interim decode would then be refused."""
        with self._state:
            return self._finals_open > 0 or self._interim is not None

    async def decode(
        self, samples: npt.NDArray[np.float32], *, draft: Sequence[int] = ()
    ) -> tuple[str, Decoded]:
        """Decodes one utterance of at most some 30 s, as it is. Cancelling stops the thread.

        Raises:
            SpeechError: `transcription_failed`, or a model that cannot be loaded.
        """
        with self._state:
            self._finals_open += 1
            if self._interim is not None:
                self._interim.request()
        try:
            return await self._submit(self._finals, samples, draft, None, Abort())
        finally:
            with self._state:
                self._finals_open -= 1

    async def decode_interim(
        self,
        samples: npt.NDArray[np.float32],
        *,
        draft: Sequence[int] = (),
        progress: list[int] | None = None,
    ) -> tuple[str, Decoded] | None:
        """Like `decode`, but gives None where finals need the machine, before or midway.

        Args:
            samples: As for `decode`.
            draft: As for `decode`.
            progress: Overwritten from its start with the tokens as they are found.
        """
        abort = Abort()
        with self._state:
            if self._finals_open or self._interim is not None:
                return None
            self._interim = abort
        try:
            return await self._submit(self._interims, samples, draft, progress, abort)
        except Aborted:
            return None
        finally:
            with self._state:
                self._interim = None

    async def _submit(
        self,
        pool: ThreadPoolExecutor,
        samples: npt.NDArray[np.float32],
        draft: Sequence[int],
        progress: list[int] | None,
        abort: Abort,
    ) -> tuple[str, Decoded]:
        self._require_open()

        def work() -> tuple[str, Decoded]:
            decoder, tokenizer = self._model()
            began_s = time.thread_time()
            decoded = decoder.decode(samples, draft=draft, progress=progress, abort=abort)
            decoded = replace(decoded, busy_s=time.thread_time() - began_s)
            heard = decoded.confidence >= MIN_CONFIDENCE
            return tokenizer.decode(decoded.tokens) if heard else "", decoded

        try:
            return await asyncio.get_running_loop().run_in_executor(pool, work)
        except asyncio.CancelledError:
            abort.request()
            raise

    def _require_open(self) -> None:
        if self._closed:
            raise SpeechError("transcription_failed", "The speech engine is closed.")

    async def aclose(self) -> None:
        """Waits for running decodes to stop; later calls fail. Safe to call twice."""
        with self._state:
            self._closed = True
            if self._interim is not None:
                self._interim.request()
        for pool in (self._interims, self._finals):
            await asyncio.to_thread(pool.shutdown, cancel_futures=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()


def _lower_priority() -> None:
    """Lets finals, synthesis and the event loop go first. Linux counts niceness by thread."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _INTERIM_NICENESS)


def _return_memory() -> None:
    """Gives back what folding the weights left behind: 200 MB that glibc would keep."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
