"""Text in, sound out, while the sentence is still being synthesised."""

from __future__ import annotations

import asyncio
import functools
import math
import os
import threading
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from pathlib import Path

import numpy as np
import numpy.typing as npt
import platformdirs

from protocol.errors import SpeechError
from speech.chunk import SpeechChunk, WordTiming
from speech.piper.script import Line, WordPlace, lines_of
from speech.piper.track import Track
from speech.piper.utterance import Utterance
from speech.piper.voice import PiperVoice, read_config
from speech.piper.voices import find_voice
from speech.piper.workers import Workers
from speech.text import Lexicon, Spoken

MAX_TEXT_CHARS = 200_000
MIN_SPEED, MAX_SPEED = 0.25, 4.0
MAX_PAUSE_S = 60.0
WHOLE_SLACK_S = 1.0
"""How long the later pieces of a whole may wait for streams that are heard meanwhile."""
CLAUSE_PAUSE_S = 0.12
"""Between the two parts of a sentence that was cut at a clause."""
RUN_THREADS = 2
"""Threads for one run of a model: more than two gain little on Piper's short windows."""


class PiperEngine:
    """Loads voices and speaks with them; one for each process, shared by every session.

    Streams may be used from any number of event loops. The models run on a few threads of the
    engine, the most urgent step first: a stream without sound goes before one that still plays.

    Args:
        threads: Cores that synthesis may use at once.
        cache_dir: Where the stages of voices are kept; by default in the user's cache.
        voices_dir: Where downloaded voices lie; by default in the user's data.
        seed: Of the streams that bring none of their own: the same text then sounds the same.
        lexicon: Pronunciations for every stream.
    """

    def __init__(
        self,
        *,
        threads: int = min(4, os.cpu_count() or 1),
        cache_dir: Path | None = None,
        voices_dir: Path | None = None,
        seed: int | None = None,
        lexicon: Lexicon | None = None,
    ) -> None:
        if threads < 1:
            raise ValueError(f"threads is {threads}, expected 1 or more")
        self._run_threads = min(threads, RUN_THREADS)
        self._workers = Workers(max(1, threads // self._run_threads))
        self._cache_dir = cache_dir or platformdirs.user_cache_path("parley") / "piper"
        self._voices_dir = voices_dir
        self._seed = seed
        self.lexicon = lexicon
        self._voices: dict[Path, PiperVoice] = {}
        self._asked: dict[str, PiperVoice] = {}
        """Loaded voices as they were asked for: they speak on when their files have gone."""
        self._loading = threading.Lock()
        self.loading_s = 0.0
        """What loading the voices has taken."""

    async def __aenter__(self) -> PiperEngine:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Ends the threads; streams that still run fail with `synthesis_failed`."""
        await asyncio.to_thread(self._workers.close)

    @property
    def waiting(self) -> int:
        """Pieces that wait for a thread."""
        return self._workers.waiting

    def load(self, voice: str | Path | None = None) -> PiperVoice:
        """Loads a voice, or gives the one that is loaded. Blocks for about a second.

        Args:
            voice: A name (`en_US-joe-medium`) or the path of an `.onnx` file; None is the voice
                that comes with the project.

        Raises:
            SpeechError: `voice_not_found` or `voice_invalid`.
            ConfigError: `disk_full`.
        """
        path = find_voice(voice, self._voices_dir).resolve()
        with self._loading:
            if path not in self._voices:
                begun_s = time.monotonic()
                loaded = PiperVoice(path, cache_dir=self._cache_dir, threads=self._run_threads)
                # Reading numbers out loads tables that the first sentence should not wait for.
                list(lines_of("1, 2.5 or 10%?", loaded))
                self._voices[path] = loaded
                self.loading_s += time.monotonic() - begun_s
            self._asked[str(voice)] = self._voices[path]
            return self._voices[path]

    def sample_rate_of(self, voice: str | Path | None = None) -> int:
        """A voice's own rate in Hz, without loading it.

        Raises:
            SpeechError: `voice_not_found` or `voice_invalid`.
        """
        return int(read_config(find_voice(voice, self._voices_dir)).sample_rate)

    async def synthesize(
        self,
        text: str | Spoken,
        *,
        voice: str | Path | None = None,
        speaker: str | int | None = None,
        speed: float = 1.0,
        sample_rate_hz: int | None = None,
        sentence_pause_s: float = 0.2,
        paragraph_pause_s: float = 0.5,
        seed: int | None = None,
    ) -> SpeechChunk:
        """The whole of `stream` in one chunk; without samples if there is nothing to say."""
        stream = self.stream(
            text,
            voice=voice,
            speaker=speaker,
            speed=speed,
            sample_rate_hz=sample_rate_hz,
            sentence_pause_s=sentence_pause_s,
            paragraph_pause_s=paragraph_pause_s,
            seed=seed,
            whole=True,
        )
        async with aclosing(stream):
            chunks = [chunk async for chunk in stream]
        rate_hz = chunks[0].sample_rate_hz if chunks else sample_rate_hz
        return SpeechChunk(
            np.concatenate([np.zeros(0, np.int16), *(chunk.samples for chunk in chunks)]),
            rate_hz or (await self.ready(voice)).sample_rate_hz,
            tuple(word for chunk in chunks for word in chunk.words),
            last=True,
        )

    async def stream(
        self,
        text: str | Spoken,
        *,
        voice: str | Path | None = None,
        speaker: str | int | None = None,
        speed: float = 1.0,
        sample_rate_hz: int | None = None,
        sentence_pause_s: float = 0.2,
        paragraph_pause_s: float = 0.5,
        seed: int | None = None,
        whole: bool = False,
    ) -> AsyncGenerator[SpeechChunk]:
        """Speaks, giving each piece of sound as soon as it is made.

        The first piece is short, the others as long as they can be without a gap in the playback
        that is taken to begin with the first. Text without anything to say gives no pieces. Close
        the generator to cancel: what runs ends within one piece, and its thread is free.

        Args:
            text: As written, of any length up to MAX_TEXT_CHARS; or one sentence that is already
                put into spoken form.
            voice: As for `load`.
            speaker: Name or number, for voices that have several.
            speed: 2.0 is twice as fast; 0.25 to 4.
            sample_rate_hz: Of the sound; the voice's own by default.
            sentence_pause_s: Silence between sentences, up to MAX_PAUSE_S.
            paragraph_pause_s: Silence between paragraphs.
            seed: Makes the sound the same each time.
            whole: Nobody listens before the end: the pieces are as large as saves work, and the
                whole is there sooner. The sound is the same.

        Raises:
            SpeechError: `text_too_long`, `voice_not_found`, `voice_invalid`, `audio_invalid` for
                a rate, speed or pause out of range, `synthesis_failed`.
            ConfigError: `disk_full`.
        """
        written = text.written if isinstance(text, Spoken) else text
        if len(written) > MAX_TEXT_CHARS:
            raise SpeechError(
                "text_too_long",
                f"The text has {len(written)} characters; at most {MAX_TEXT_CHARS} are spoken "
                "at once. Split it.",
            )
        if not (math.isfinite(speed) and MIN_SPEED <= speed <= MAX_SPEED):
            raise SpeechError(
                "audio_invalid", f"A speed of {speed} is not between {MIN_SPEED} and {MAX_SPEED}."
            )
        for pause_s in (sentence_pause_s, paragraph_pause_s):
            if not 0 <= pause_s <= MAX_PAUSE_S:
                raise SpeechError(
                    "audio_invalid", f"A pause of {pause_s} s is not between 0 and {MAX_PAUSE_S} s."
                )
        loaded = await self.ready(voice)
        rate_hz = loaded.sample_rate_hz if sample_rate_hz is None else sample_rate_hz
        speaking = _Speaking(
            written,
            loaded,
            lines_of(text, loaded, self.lexicon),
            Track(loaded.sample_rate_hz, rate_hz, loaded.level_db),
            np.random.default_rng(self._seed if seed is None else seed),
            speaker=loaded.speaker_id(speaker),
            speed=speed,
            pauses_s={
                "none": 0.0,
                "clause": CLAUSE_PAUSE_S,
                "sentence": sentence_pause_s,
                "paragraph": paragraph_pause_s,
            },
            whole=whole,
        )
        while not speaking.over:
            samples, words = await self._step(speaking)
            if samples.size or words or (speaking.over and speaking.spoke):
                yield SpeechChunk(samples, rate_hz, words, last=speaking.over)

    async def ready(self, voice: str | Path | None = None) -> PiperVoice:
        """`load` without blocking the loop."""
        loaded = self._asked.get(str(voice))
        return await asyncio.to_thread(self.load, voice) if loaded is None else loaded

    async def _step(
        self, speaking: _Speaking
    ) -> tuple[npt.NDArray[np.int16], tuple[WordTiming, ...]]:
        speaking.asked_s = time.monotonic()
        future = self._workers.submit(speaking.advance, speaking.deadline_s)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            speaking.cancel()
            raise


@functools.cache
def shared_engine() -> PiperEngine:
    """The engine that everything in this process uses unless it is given another."""
    return PiperEngine()


class _Speaking:
    """One stream, advanced step by step on the engine's threads, by one thread at a time."""

    def __init__(
        self,
        text: str,
        voice: PiperVoice,
        lines: Iterator[Line],
        track: Track,
        random: np.random.Generator,
        *,
        speaker: int,
        speed: float,
        pauses_s: dict[str, float],
        whole: bool,
    ) -> None:
        self._text = text
        self._voice = voice
        self._lines = lines
        self._track = track
        self._random = random
        self._speaker = speaker
        self._speed = speed
        self._pauses_s = pauses_s
        self._whole = whole
        self._line: Line | None = None
        self._utterance: Utterance | None = None
        self._words: list[WordPlace] = []
        self._ends: npt.NDArray[np.int64] = np.zeros(0, np.int64)
        self._speech_end = 0
        self._cancelled = False
        self._began_s = 0.0
        self.asked_s = time.monotonic()
        """When the step that is due was asked for."""
        self.spoke = False
        """Some sound has left."""
        self.over = False

    @property
    def deadline_s(self) -> float:
        """When the listener runs out of sound."""
        if not self.spoke:
            return self.asked_s
        if self._whole:
            return self.asked_s + WHOLE_SLACK_S
        return self._began_s + self._track.position_s

    def cancel(self) -> None:
        """Makes a running step end soon; called from another thread than the one it runs on."""
        self._cancelled = True
        utterance = self._utterance
        if utterance is not None:
            utterance.cancel()

    def advance(self) -> tuple[npt.NDArray[np.int16], tuple[WordTiming, ...]]:
        """Makes the next piece of sound, possibly empty, and the words that begin in it."""
        waited_s = time.monotonic() - self.asked_s
        utterance = self._utterance
        if utterance is None:
            line = self._line or next(self._lines, None)
            self._line = None
            if line is None:
                self.over = True
                return self._track.finish(), ()
            utterance = self._prepare(line)
            if self.spoke:
                return self._track.start_line(self._pauses_s[line.pause]), ()
        frames = self._chunk_frames(utterance)
        began_s = time.monotonic()
        audio = utterance.decode(utterance.done + frames)
        self._voice.pace.measured(frames, time.monotonic() - began_s + waited_s)
        last = utterance.done >= utterance.frames
        samples = self._track.push(audio, keep=self._speech_end if last else None)
        words = self._due(utterance.done * self._voice.hop_samples, last=last)
        if last:
            self._utterance = None
            self._line = next(self._lines, None)
            if self._line is None:
                self.over = True
                samples = np.concatenate([samples, self._track.finish()])
        if samples.size and not self.spoke:
            self.spoke = True
            self._began_s = time.monotonic()
        return samples, words

    def _chunk_frames(self, utterance: Utterance) -> int:
        pace, left = self._voice.pace, utterance.frames - utterance.done
        if self._whole:
            return pace.whole(left)
        if utterance.done == 0 and not self.spoke:
            return pace.first(left)
        return pace.following(left, self.deadline_s - time.monotonic() if self.spoke else 0.0)

    def _prepare(self, line: Line) -> Utterance:
        utterance = Utterance(
            self._voice.models,
            line.ids,
            self._random,
            speaker=self._speaker,
            speed=self._speed,
        )
        self._utterance = utterance
        if self._cancelled:
            utterance.cancel()
        utterance.prepare()
        self._ends = np.concatenate([[0], np.cumsum(utterance.durations)])
        self._words = list(line.words)
        self._speech_end = self._sample(line.words[-1].end_id) if line.words else 0
        return utterance

    def _due(self, upto: int, *, last: bool) -> tuple[WordTiming, ...]:
        """The words that begin before a sample of the line; all that are left if it ends."""
        if not (self._track.begun or last):
            return ()
        due = []
        while self._words and (last or self._sample(self._words[0].first_id) < upto):
            word = self._words.pop(0)
            start_s = self._track.time_s(self._sample(word.first_id))
            end_s = self._track.time_s(self._sample(word.end_id))
            due.append(
                WordTiming(
                    self._text[word.start_char : word.end_char],
                    start_s,
                    max(start_s, end_s),
                    word.start_char,
                    word.end_char,
                )
            )
        return tuple(due)

    def _sample(self, place: int) -> int:
        """Where a phoneme id begins, in samples of the line."""
        return int(self._ends[place]) * self._voice.hop_samples
