"""Live transcription: audio in as it comes, transcripts out while it is spoken."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from types import TracebackType
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

from protocol.errors import SpeechError
from speech.audio import Resampler
from speech.moonshine.audio import checked
from speech.moonshine.decoding import SAMPLE_RATE_HZ, Decoded
from speech.moonshine.segments import Cutting, Place, Segment, Segmenter
from speech.moonshine.transcript import Transcript

_MAX_CHANNELS = 16
_INTERIM_S = 0.3
"""Audio between two interim decodes, at least."""
_RETRY_S = 0.1
"""Audio before the next try at an interim that finals did not let through."""
_FIRST_GUESS_SAMPLES = SAMPLE_RATE_HZ * 7 // 10
"""Audio of a segment, its lead included, that is worth a first interim."""
_INTERIM_SHARE = 0.3
"""Interim decodes take at most this share of one thread's processor time."""
_MAX_BACKLOG_S = 60.0
"""Speech that waits to be decoded; beyond it `push` waits."""
_MAX_EVENTS = 256
"""Events that nobody has read; beyond it the oldest is lost."""
_SLICE_SAMPLES = SAMPLE_RATE_HZ // 4
"""Audio judged in one go (about 1 ms of CPU) before the event loop gets its turn."""


class Stage(StrEnum):
    """How sure a transcript is."""

    STARTED = "started"
    """Somebody speaks; no text yet."""
    INTERIM = "interim"
    """A guess while speech goes on; its end may be invented."""
    PAUSED = "paused"
    """Speech has paused: exactly the final text, if nobody speaks on."""
    FINAL = "final"
    """Asked for by `flush`. Empty where nobody spoke."""


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """What is known of the turn so far: all speech since the last final."""

    stage: Stage
    text: str = ""
    start_s: float = 0.0
    """Where the turn's speech begins, counted from the stream's first sample."""
    end_s: float = 0.0
    """Where its last voice ends."""
    confidence: float = 0.0
    """Geometric mean of the tokens' probabilities, 0 to 1; 0 for an empty text."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """What was decoded for one segment, or for an open one so far."""

    place: Place
    text: str
    decoded: Decoded


@dataclass(frozen=True, slots=True)
class _TurnEnd:
    """Stands in the line of segments where `flush` was called."""

    waiter: asyncio.Future[Transcript] | None


class Engine(Protocol):
    """What turns a stream's segments into text."""

    async def decode(
        self, samples: npt.NDArray[np.float32], *, draft: Sequence[int] = ()
    ) -> tuple[str, Decoded]:
        """The text of float32 [n] at 16 kHz; `draft` may be its tokens."""
        ...

    async def decode_interim(
        self,
        samples: npt.NDArray[np.float32],
        *,
        draft: Sequence[int] = (),
        progress: list[int] | None = None,
    ) -> tuple[str, Decoded] | None:
        """The same for speech that goes on; None where that cannot be had now.

        `progress` is overwritten from its start with the tokens as they are found.
        """
        ...


class MoonshineStream:
    """One speaker's audio, gated by voice activity: silence costs no decoding.

    At each pause the text is decoded once its tail is heard, from the last interim as a draft, so
    that `flush` after a pause answers at once. Iterate for events; `aclose` or leaving
    `async with` stops everything. Made by `MoonshineEngine.stream`.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        sample_rate_hz: int = SAMPLE_RATE_HZ,
        channels: int = 1,
        end_silence_s: float | None = None,
        cutting: Cutting | None = None,
    ) -> None:
        if not 1 <= channels <= _MAX_CHANNELS:
            raise SpeechError(
                "audio_invalid", f"Audio has 1 to {_MAX_CHANNELS} channels, not {channels}."
            )
        self._engine = engine
        self._channels = channels
        self._end_silence_s = end_silence_s
        self._cutting = cutting or Cutting()
        self._segmenter = Segmenter(self._cutting)
        self._resampler = Resampler(sample_rate_hz, SAMPLE_RATE_HZ)
        self._heard_samples = 0
        self._line: deque[Segment | _TurnEnd] = deque()
        self._pieces: list[_Piece] = []
        self._latest: _Piece | None = None
        self._progress: tuple[int, list[int]] | None = None
        """First sample and tokens so far of an interim that is running or was stopped."""
        self._started = False
        self._told: StreamEvent | None = None
        self._guess: asyncio.Task[None] | None = None
        self._guess_due_samples = 0
        self._events: deque[StreamEvent] = deque(maxlen=_MAX_EVENTS)
        self._news = asyncio.Event()
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._ended = False
        self._worker = asyncio.create_task(self._work(), name="moonshine-stream")
        self._worker.add_done_callback(self._stopped)

    @property
    def heard_s(self) -> float:
        """Length of the audio pushed so far."""
        return self._heard_samples / SAMPLE_RATE_HZ

    @property
    def ended(self) -> bool:
        """No audio follows."""
        return self._ended

    async def push(self, samples: npt.NDArray[np.float32] | npt.NDArray[np.int16]) -> None:
        """Hears audio; returns at once unless a minute of speech waits to be decoded.

        Args:
            samples: float32 (-1 to 1) or int16, [n] or [n, channels].

        Raises:
            SpeechError: `audio_invalid`, or what stopped the stream.
        """
        if self._ended:
            raise SpeechError("audio_invalid", "The stream's input has ended.")
        mono = self._resampler.push(self._mono(samples))
        for start in range(0, len(mono), _SLICE_SAMPLES):
            if start:
                await asyncio.sleep(0)
            self._hear(mono[start : start + _SLICE_SAMPLES])
            while self._backlog_s() > _MAX_BACKLOG_S and not self._worker.done():
                self._room.clear()
                await self._room.wait()
            self._raise_if_broken()

    def flush(self) -> None:
        """Ends the turn here: a final event follows, with empty text where nobody spoke."""
        self._end_turn(None)

    async def finalise(self) -> Transcript:
        """`flush`, and waits for the final text.

        Raises:
            SpeechError: What stopped the stream.
        """
        waiter: asyncio.Future[Transcript] = asyncio.get_running_loop().create_future()
        self._end_turn(waiter)
        await asyncio.wait((waiter, self._worker), return_when=asyncio.FIRST_COMPLETED)
        if not waiter.done():
            self._raise_if_broken()
        return await waiter

    def end_input(self) -> None:
        """No audio follows: iteration stops after what was flushed."""
        self._ended = True
        self._wake.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> StreamEvent:
        while not self._events:
            if self._worker.done():
                self._raise_if_broken()
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        return self._events.popleft()

    async def aclose(self) -> None:
        """Stops running decodes and drops what was not decoded. Safe to call twice."""
        self._ended = True
        tasks = [task for task in (self._worker, self._guess) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    def _mono(
        self, samples: npt.NDArray[np.float32] | npt.NDArray[np.int16]
    ) -> npt.NDArray[np.float32]:
        frames = samples[:, None] if samples.ndim == 1 else samples
        if frames.ndim != 2 or frames.shape[1] != self._channels:
            raise SpeechError(
                "audio_invalid",
                f"Audio of shape {list(samples.shape)} does not have {self._channels} channels.",
            )
        if samples.dtype not in (np.float32, np.int16):
            raise SpeechError("audio_invalid", f"Audio is float32 or int16, not {samples.dtype}.")
        mono: npt.NDArray[np.float32] = frames.mean(axis=1, dtype=np.float32)
        return checked(mono / np.float32(32768) if samples.dtype == np.int16 else mono)

    def _hear(self, mono: npt.NDArray[np.float32]) -> None:
        self._heard_samples += len(mono)
        self._line.extend(self._segmenter.push(mono))
        self._tell_start()
        self._wake.set()

    def _end_turn(self, waiter: asyncio.Future[Transcript] | None) -> None:
        segment = self._segmenter.close()
        if segment is not None:
            self._line.append(segment)
        self._line.append(_TurnEnd(waiter))
        self._wake.set()

    def _backlog_s(self) -> float:
        waiting = (len(item.samples) for item in self._line if isinstance(item, Segment))
        return sum(waiting) / SAMPLE_RATE_HZ

    async def _work(self) -> None:
        while not (self._ended and not self._line):
            self._wake.clear()
            if not await self._step():
                await self._wake.wait()

    async def _step(self) -> bool:
        """Does the most pressing thing; False if there is nothing to do until more is heard."""
        if self._line:
            item = self._line[0]
            if isinstance(item, Segment):
                self._pieces.append(await self._decoded(item))
                self._line.popleft()
                self._room.set()
            else:
                self._line.popleft()
                self._finish_turn(item)
            return True
        if self._guess is not None and self._guess.done():
            self._guess.result()
        now = self._segmenter
        turn = self._pieces
        if now.open:
            if now.silence_s < self._cutting.tail_s:
                self._guess_if_due()
                return False
            if self._latest is None or self._latest.place != now.place:
                await self._decoded(now.so_far())
                return True
            turn = [*turn, self._latest]
        if self._started and now.silence_s >= self._cutting.draft_s:
            self._tell(Stage.PAUSED, turn)
            if self._end_silence_s is not None and now.silence_s >= self._end_silence_s:
                self._end_turn(None)
                return True
        return False

    async def _decoded(self, segment: Segment) -> _Piece:
        """The segment's text; free if the last decode heard the same."""
        piece = self._latest
        if piece is None or piece.place != segment.place:
            text, decoded = await self._engine.decode(
                segment.samples, draft=self._draft(segment.place)
            )
            piece = self._latest = _Piece(segment.place, text, decoded)
            self._progress = None
        return piece

    def _draft(self, place: Place) -> Sequence[int]:
        """The last decode's tokens, if it was of the same segment.

        Those of an interim that runs come while the next decode is in its encoder.
        """
        if self._progress is not None and self._progress[0] == place.start_samples:
            return self._progress[1]
        if self._latest is None or self._latest.place.start_samples != place.start_samples:
            return ()
        return self._latest.decoded.tokens

    def _guess_if_due(self) -> None:
        guessing = self._guess is not None and not self._guess.done()
        place = self._segmenter.place
        due_samples = max(self._guess_due_samples, place.start_samples + _FIRST_GUESS_SAMPLES)
        if not guessing and self._heard_samples >= due_samples:
            self._guess = asyncio.create_task(self._guess_now(), name="moonshine-interim")
            self._guess.add_done_callback(lambda _: self._wake.set())

    async def _guess_now(self) -> None:
        segment = self._segmenter.so_far()
        draft = tuple(self._draft(segment.place))
        progress = list(draft)
        self._progress = segment.place.start_samples, progress
        result = await self._engine.decode_interim(segment.samples, draft=draft, progress=progress)
        pause_s = max(_INTERIM_S, result[1].busy_s / _INTERIM_SHARE) if result else _RETRY_S
        self._guess_due_samples = self._heard_samples + int(pause_s * SAMPLE_RATE_HZ)
        if result is None:
            return
        now = self._segmenter
        if now.open and now.place.start_samples == segment.place.start_samples and not self._line:
            self._latest = _Piece(segment.place, *result)
            self._progress = None
            self._tell(Stage.INTERIM, [*self._pieces, self._latest])

    def _finish_turn(self, end: _TurnEnd) -> None:
        final = self._turn(Stage.FINAL, self._pieces)
        told = self._told
        if final.text and (told is None or (told.stage, told.text) != (Stage.PAUSED, final.text)):
            self._queue(replace(final, stage=Stage.PAUSED))
        self._queue(final)
        if end.waiter is not None and not end.waiter.done():
            spoken = (piece for piece in self._pieces if piece.text)
            tokens = tuple(token for piece in spoken for token in piece.decoded.tokens)
            duration_s = final.end_s - final.start_s
            end.waiter.set_result(Transcript(final.text, tokens, duration_s, final.confidence))
        self._pieces = []
        self._told = None
        self._started = False
        self._tell_start()

    def _tell_start(self) -> None:
        spoken = isinstance(self._line[0], Segment) if self._line else self._segmenter.open
        if spoken and not self._started:
            self._started = True
            self._queue(StreamEvent(Stage.STARTED))

    def _tell(self, stage: Stage, pieces: list[_Piece]) -> None:
        """Queues what is new: a text at a pause, or another text than the last."""
        event = self._turn(stage, pieces)
        told = self._told
        known = told is not None and told.text == event.text and told.stage in (stage, Stage.PAUSED)
        if event.text and not known:
            self._told = event
            self._queue(event)

    @staticmethod
    def _turn(stage: Stage, pieces: list[_Piece]) -> StreamEvent:
        if not pieces:
            return StreamEvent(stage)
        spoken = [piece for piece in pieces if piece.text]
        tokens = sum(len(piece.decoded.tokens) for piece in spoken)
        weighed = sum(piece.decoded.confidence * len(piece.decoded.tokens) for piece in spoken)
        return StreamEvent(
            stage,
            text=" ".join(piece.text for piece in spoken),
            start_s=pieces[0].place.start_samples / SAMPLE_RATE_HZ,
            end_s=pieces[-1].place.end_samples / SAMPLE_RATE_HZ,
            confidence=weighed / tokens if tokens else 0.0,
        )

    def _queue(self, event: StreamEvent) -> None:
        interim = event.stage is Stage.INTERIM
        if interim and self._events and self._events[-1].stage is Stage.INTERIM:
            self._events.pop()
        self._events.append(event)
        self._news.set()

    def _stopped(self, _: asyncio.Task[None]) -> None:
        self._news.set()
        self._room.set()

    def _raise_if_broken(self) -> None:
        if self._worker.done():
            if self._worker.cancelled():
                raise SpeechError("transcription_failed", "The stream is closed.")
            error = self._worker.exception()
            if error is not None:
                raise error
