"""The sentences of a synthesis stream's input."""

from __future__ import annotations

import asyncio

import pytest
from livekit.agents.utils.aio import Chan

from plugins.sentences import sentences
from speech.sentences import SentenceStreamBuffer


async def test_each_sentence_comes_when_it_is_complete() -> None:
    tokens: Chan[str] = Chan()
    written: list[str] = []
    found = sentences(tokens, SentenceStreamBuffer(6), written.append)
    tokens.send_nowait("The first is here. And the ")
    assert await anext(found) == "The first is here."
    assert written == ["The first is here. And the "]
    tokens.send_nowait("second")
    tokens.close()
    assert [sentence async for sentence in found] == ["And the second"]


async def test_a_complete_sentence_is_not_kept_by_a_stalled_writer() -> None:
    tokens: Chan[str] = Chan()
    found = sentences(tokens, SentenceStreamBuffer(), lambda _: None)
    tokens.send_nowait("I live on Main St.")
    assert await anext(found) == "I live on Main St."
    await found.aclose()


@pytest.mark.parametrize("ticks", range(6))
async def test_a_cancellation_together_with_a_token_ends_it(ticks: int) -> None:
    tokens: Chan[str] = Chan()

    async def read() -> None:
        async for _ in sentences(tokens, SentenceStreamBuffer(), lambda _: None):
            pass

    reading = asyncio.create_task(read())
    tokens.send_nowait("One ")  # from now on it waits with a limit
    for _ in range(10):
        await asyncio.sleep(0)
    tokens.send_nowait("two ")
    for _ in range(ticks):
        await asyncio.sleep(0)
    reading.cancel()
    done, _ = await asyncio.wait([reading], timeout=5)
    assert done
    assert reading.cancelled()
