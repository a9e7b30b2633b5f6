from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from agent_worker.streaming_buffer import SentenceStreamBuffer, stream_with_sentences

TEXT = "  The first sentence is here. And this is the second one!\n\nThird"
SENTENCES = ["The first sentence is here.", "And this is the second one!", "Third"]


class Tokens:
    """Gives the text in tokens of four characters; tells when it was closed."""

    def __init__(self, text: str = TEXT, *, stall: bool = False) -> None:
        self.closed = False
        self.stalled = asyncio.Event()
        self._text = text
        self._stall = stall

    async def __aiter__(self) -> AsyncIterator[str]:
        try:
            for begin in range(0, len(self._text), 4):
                yield self._text[begin : begin + 4]
            if self._stall:
                self.stalled.set()
                await asyncio.Event().wait()
        finally:
            self.closed = True


async def test_a_plain_function_hears_every_sentence() -> None:
    said: list[str] = []
    assert await stream_with_sentences(Tokens(), said.append) == TEXT
    assert said == SENTENCES


async def test_a_coroutine_is_awaited_before_the_next_sentence() -> None:
    said: list[str] = []

    async def speak(sentence: str) -> None:
        said.append(f"<{sentence}")
        await asyncio.sleep(0)
        said.append(">")

    assert await stream_with_sentences(Tokens(), speak, min_sentence_length=5) == TEXT
    assert "".join(said) == "".join(f"<{sentence}>" for sentence in SENTENCES)


async def test_a_handle_is_not_awaited() -> None:
    handles: list[asyncio.Future[None]] = []

    def speak(sentence: str) -> asyncio.Future[None]:
        handles.append(asyncio.get_running_loop().create_future())
        return handles[-1]

    assert await stream_with_sentences(Tokens(), speak) == TEXT
    assert len(handles) == len(SENTENCES)


async def test_cancelled_between_tokens_closes_the_stream() -> None:
    tokens = Tokens(stall=True)
    task = asyncio.create_task(stream_with_sentences(tokens, lambda sentence: None))
    await tokens.stalled.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert tokens.closed


async def test_cancelled_while_speaking_closes_the_stream() -> None:
    tokens = Tokens()
    speaking = asyncio.Event()

    async def speak(sentence: str) -> None:
        speaking.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(stream_with_sentences(tokens, speak))
    await speaking.wait()
    assert not tokens.closed
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert tokens.closed


async def test_a_voice_that_fails_closes_the_stream() -> None:
    tokens = Tokens()

    def speak(sentence: str) -> None:
        raise OSError("no sound card")

    with pytest.raises(OSError, match="sound card"):
        await stream_with_sentences(tokens, speak)
    assert tokens.closed


async def test_nothing_is_said_for_nothing() -> None:
    said: list[str] = []
    assert await stream_with_sentences(Tokens(" \n "), said.append) == " \n "
    assert said == []


def test_the_buffer_is_the_one_of_speech() -> None:
    from speech.sentences import SentenceStreamBuffer as Original

    assert SentenceStreamBuffer is Original
