"""Text in, text and speech out: what every door does between its request and its format."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

from protocol.errors import ParleyError, SpeechError, StreamError
from speech.chunk import SpeechChunk
from speech.sentences import SentenceStreamBuffer
from speech.tts import TTSProvider


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of the answer, as it came from the model."""

    text: str


@dataclass(frozen=True, slots=True)
class Audio:
    """A chunk of one spoken piece's audio."""

    sequence: int
    """Number of the spoken piece, from 0, in the order of the text."""
    text: str
    """The piece, as written."""
    chunk: SpeechChunk
    """`chunk.last` ends the piece."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A spoken piece failed; the others go on."""

    sequence: int
    error: ParleyError


@dataclass(frozen=True, slots=True)
class TextOver:
    """No more text comes; audio may."""

    text: str
    sequences: int
    """How many spoken pieces there are."""


Spoken = Text | Audio | Failed | TextOver


class _Woken:
    """Nothing happened, but there is work to watch now."""


_Event = Spoken | _Woken | ParleyError | None


class Splitter(Protocol):
    """Cuts a stream of text into pieces to be spoken."""

    def push(self, text: str, /) -> list[str]:
        """Adds text and gives the pieces that are ready."""
        ...

    def preview(self) -> list[str]:
        """What would be ready if the piece that is being written were complete, if it looks so."""
        ...

    def tick(self, idle_ms: float, /) -> list[str]:
        """Gives what looks complete, when nothing has come for so long."""
        ...

    def flush(self) -> list[str]:
        """Gives what is left."""
        ...


@dataclass(frozen=True, slots=True)
class Voice:
    """Who speaks, and how."""

    tts: TTSProvider
    id: str | None = None
    speed: float = 1.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one answer's speech."""

    parallel: int = 2
    """Pieces that are synthesised at once."""
    whole: bool = False
    """The door sends pieces whole. They are made in the least time, and the second waits until the
    first is there: what is made beside it would only delay the first sound."""
    retries: int = 1
    """Further tries of a piece that failed before its first audio, where that can help."""
    stall_s: float = 30.0
    """The audio side may go so long without progress while it has work."""
    ahead: int = 64
    """Events that may wait for a slow client; then synthesis and the model wait too."""


MIN_FIRST_CHARS = 6
"""A shorter first sentence waits for the next one: it is over before that one is made."""


IDLE_S = 0.5
"""After this long without text, what looks complete is spoken: the model may be at a tool."""


def sentence_buffer() -> SentenceStreamBuffer:
    """Cuts a text as it is cut for rooms."""
    return SentenceStreamBuffer(min_first_length=MIN_FIRST_CHARS)


async def speak(
    tokens: AsyncGenerator[str, None],
    splitter: Splitter,
    voice: Voice,
    *,
    in_order: bool = True,
    limits: Limits | None = None,
) -> AsyncGenerator[Spoken, None]:
    """Passes text on as it comes, and the audio of its pieces as it is made.

    With `in_order` the audio of a piece begins after the last chunk of the one before; without,
    pieces overtake one another. Closing the generator stops synthesis and closes `tokens`.

    The first piece is begun when it looks complete, with a voice that costs nothing: the next token
    tells whether it is, and nothing is heard before. One wrong guess in an answer is the last.

    Raises:
        StreamError: `stream_stalled` when the audio side makes no progress.
        ParleyError: Whatever `tokens` raises.
    """
    run = _Run(splitter, voice, in_order, limits or Limits())
    reader = asyncio.create_task(run.read(tokens))
    try:
        while (event := await run.next()) is not None:
            yield event
    finally:
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)


class _Run:
    """The state of one `speak`."""

    def __init__(self, splitter: Splitter, voice: Voice, in_order: bool, limits: Limits) -> None:
        self._splitter = splitter
        self._voice = voice
        self._in_order = in_order
        self._limits = limits
        self._events: asyncio.Queue[_Event] = asyncio.Queue(limits.ahead)
        self._places = asyncio.Semaphore(limits.parallel)
        self._jobs: list[asyncio.Task[None]] = []
        self._guess: _Guess | None = None
        self._unfinished = 0
        self._progress_at = 0.0
        """Loop time of the last audio, or of the first piece that waits for some."""

    async def next(self) -> Spoken | None:
        """The next event; None at the end."""
        while True:
            deadline = self._progress_at + self._limits.stall_s
            try:
                async with asyncio.timeout_at(deadline if self._unfinished else None):
                    event = await self._events.get()
                if not isinstance(event, _Woken):
                    break
            except TimeoutError as error:
                if self._progress_at + self._limits.stall_s > deadline:
                    continue
                raise StreamError(
                    "stream_stalled",
                    f"No audio came for {self._limits.stall_s:g} s. Try again, or another voice.",
                ) from error
        if isinstance(event, ParleyError):
            raise event
        return event

    async def read(self, tokens: AsyncGenerator[str, None]) -> None:
        """Reads the text to its end; each piece gets a job, and all jobs end with this."""
        parts: list[str] = []
        loop = asyncio.get_running_loop()
        idle = loop.call_later(IDLE_S, self._stalled)
        try:
            async with aclosing(tokens):
                async for token in tokens:
                    idle.cancel()
                    parts.append(token)
                    await self._events.put(Text(token))
                    self._start(self._splitter.push(token))
                    self._guess_first()
                    idle = loop.call_later(IDLE_S, self._stalled)
            idle.cancel()
            self._start(self._splitter.flush())
            await self._events.put(TextOver("".join(parts), len(self._jobs)))
            await asyncio.gather(*self._jobs)
            await self._events.put(None)
        except ParleyError as error:
            await self._events.put(error)
        except Exception:
            await self._events.put(SpeechError("synthesis_failed", "The answer failed."))
            raise
        finally:
            idle.cancel()
            jobs = self._jobs if self._guess is None else [*self._jobs, self._guess.job]
            for job in jobs:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)

    def _stalled(self) -> None:
        self._start(self._splitter.tick(IDLE_S * 1000))
        if not self._events.full():
            self._events.put_nowait(_Woken())

    def _guess_first(self) -> None:
        """Begins the first piece, if it looks complete."""
        guess = self._guess
        if self._jobs or not self._voice.tts.is_free or (guess and guess.job.cancelling()):
            return
        pieces = self._splitter.preview()
        if guess is None:
            if pieces:
                self._guess = guess = _Guess(pieces[0])
                guess.job = asyncio.create_task(self._job(0, guess.piece, guess.sure))
        elif pieces[:1] != [guess.piece]:
            guess.job.cancel()

    def _start(self, pieces: list[str]) -> None:
        for piece in pieces:
            if self._unfinished == 0:
                self._note_progress()
            self._unfinished += 1
            job = self._guessed(piece)
            if job is None:
                previous = self._jobs[-1] if self._jobs and self._in_order else None
                job = asyncio.create_task(self._job(len(self._jobs), piece, previous))
            job.add_done_callback(self._finished)
            self._jobs.append(job)

    def _guessed(self, piece: str) -> asyncio.Task[None] | None:
        """The job of the first piece, if it was begun on a right guess."""
        guess = self._guess
        if self._jobs or guess is None or guess.job.cancelling():
            return None
        if guess.piece != piece:
            guess.job.cancel()
            return None
        guess.sure.set_result(None)
        return guess.job

    def _finished(self, _: asyncio.Task[None]) -> None:
        self._unfinished -= 1

    def _note_progress(self) -> None:
        self._progress_at = asyncio.get_running_loop().time()

    async def _job(self, sequence: int, piece: str, turn: asyncio.Future[None] | None) -> None:
        """Synthesises one piece; pieces get their places in the order of the text.

        Nothing of it is sent before `turn` is done.
        """
        async with self._places:
            if self._limits.whole and sequence > 0:
                await asyncio.wait([self._jobs[0]])
            for left in reversed(range(self._limits.retries + 1)):
                outlet = _Outlet(self._events, turn, self._note_progress)
                try:
                    await self._synthesise(sequence, piece, outlet)
                    return
                except ParleyError as error:
                    if outlet.begun or not error.retryable or left == 0:
                        await outlet.put(Failed(sequence, error))
                        return

    async def _synthesise(self, sequence: int, piece: str, outlet: _Outlet) -> None:
        tts = self._voice.tts
        make = tts.stream_whole if self._limits.whole else tts.stream
        async with aclosing(make(piece, voice=self._voice.id, speed=self._voice.speed)) as chunks:
            async for chunk in chunks:
                self._note_progress()
                await outlet.offer(Audio(sequence, piece, chunk))
                if sequence == 0:
                    # Of what may not be wanted, no more than one chunk is made.
                    await outlet.release()
        await outlet.release()


class _Guess:
    """A first piece that looks complete, and is being made."""

    def __init__(self, piece: str) -> None:
        self.piece = piece
        self.sure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done once the text has told that it is so."""
        self.job: asyncio.Task[None]


class _Outlet:
    """Holds a piece's audio back until the piece before has ended.

    What is held is bounded by one piece, and pieces by the splitter.
    """

    def __init__(
        self,
        events: asyncio.Queue[_Event],
        previous: asyncio.Future[None] | None,
        note_progress: Callable[[], None],
    ) -> None:
        self._events = events
        self._previous = previous
        self._note_progress = note_progress
        self._held: list[Audio] = []
        self.begun = False
        """Some of the piece has been sent: it cannot be tried again."""

    async def offer(self, audio: Audio) -> None:
        """Sends audio, or holds it."""
        self._held.append(audio)
        if self._previous is None or self._previous.done():
            await self.release()

    async def release(self) -> None:
        """Waits for the piece before, then sends what is held."""
        if self._previous is not None:
            await asyncio.wait([self._previous])
        for audio in self._held:
            self.begun = True
            await self._events.put(audio)
            self._note_progress()
        self._held.clear()

    async def put(self, event: Failed) -> None:
        """Sends what is held, then the failure."""
        await self.release()
        await self._events.put(event)
        self._note_progress()
