"""One text that is being made into speech, and all who listen to it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from protocol.errors import SpeechError, StreamError
from speech.chunk import SpeechChunk

Chunks = tuple[SpeechChunk, ...]

HELD_BYTES = 8 * 1024 * 1024
"""So much of one text is held for those who listen slower than others: 170 s at 24 kHz."""


class Making:
    """Makes a text once, for any number of listeners, each of whom hears it from the beginning.

    Another chunk is made when somebody has heard all there are, so that what waits is bounded:
    by the text, and by `HELD_BYTES`. Who is further behind than that is sent away.

    Args:
        chunks: The speech; closed when it is over, or when nobody listens any more.
        over: Is told once that nobody else can join: all chunks if they are whole, else None.
    """

    def __init__(
        self, chunks: AsyncGenerator[SpeechChunk, None], over: Callable[[Chunks | None], None]
    ) -> None:
        self._held: deque[SpeechChunk] = deque()
        self._held_bytes = 0
        self._gone = 0
        """Chunks that are no longer held."""
        self._listeners = 0
        self._over = over
        self._ended = False
        self._failure: Exception | None = None
        self._wanted = asyncio.Event()
        self._news = asyncio.Event()
        self._task = asyncio.create_task(self._make(chunks), name="speech for several")

    @property
    def joinable(self) -> bool:
        """Whether its beginning can still be heard."""
        return self._gone == 0 and not self._ended

    async def listen(self) -> AsyncGenerator[SpeechChunk, None]:
        """All chunks, from the first on; the last listener that leaves ends the work.

        Raises:
            StreamError: `client_too_slow` for who has fallen behind the others too far.
            ParleyError: What the voice raised, to all.
        """
        self._listeners += 1
        at = 0
        try:
            while (chunk := await self._chunk(at)) is not None:
                at += 1
                yield chunk
        finally:
            self._listeners -= 1
            if not self._listeners:
                await self.aclose()

    async def aclose(self) -> None:
        """Stops the work and waits until the voice has let go; who still listens gets an error."""
        if not self._ended:
            closed = SpeechError("synthesis_failed", "The voice was closed.", retryable=False)
            self._end(closed)
            self._task.cancel()
        await asyncio.wait([self._task])

    async def _chunk(self, at: int) -> SpeechChunk | None:
        """A chunk by its number, once it is made; None behind the last."""
        while at >= self._gone + len(self._held) and not self._ended:
            self._wanted.set()
            await self._news.wait()
        if at < self._gone:
            raise StreamError(
                "client_too_slow", "Others hear the same text, and are too far ahead. Try again."
            )
        if at < self._gone + len(self._held):
            return self._held[at - self._gone]
        if self._failure is not None:
            raise self._failure
        return None

    async def _make(self, chunks: AsyncGenerator[SpeechChunk, None]) -> None:
        try:
            async with aclosing(chunks):
                await self._wanted.wait()
                async for chunk in chunks:
                    self._wanted.clear()
                    self._add(chunk)
                    await self._wanted.wait()
        except Exception as error:  # noqa: BLE001 - handed to all who listen
            self._end(error)
        else:
            self._end(None)
        finally:
            # A voice may also end with a cancellation of its own.
            self._end(SpeechError("synthesis_failed", "The voice ended by itself."))

    def _add(self, chunk: SpeechChunk) -> None:
        self._held.append(chunk)
        self._held_bytes += size_bytes(chunk)
        while self._held_bytes > HELD_BYTES and len(self._held) > 1:
            self._held_bytes -= size_bytes(self._held.popleft())
            self._gone += 1
        news, self._news = self._news, asyncio.Event()
        news.set()

    def _end(self, failure: Exception | None) -> None:
        if self._ended:
            return
        self._ended, self._failure = True, failure
        self._over(tuple(self._held) if failure is None and not self._gone else None)
        self._news.set()


def size_bytes(chunk: SpeechChunk) -> int:
    """What a chunk takes in memory."""
    return chunk.samples.nbytes + 200
