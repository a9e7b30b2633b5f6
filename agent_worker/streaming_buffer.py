"""Sentences for simple agents: speak a stream of tokens sentence by sentence."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterable, Callable
from contextlib import AsyncExitStack

from speech.sentences import SentenceStreamBuffer

__all__ = ["SentenceStreamBuffer", "stream_with_sentences"]


async def stream_with_sentences(
    tokens: AsyncIterable[str],
    speak: Callable[[str], object],
    min_sentence_length: int = 20,
) -> str:
    """Speaks each sentence of `tokens` as soon as it is whole.

    Args:
        tokens: Text as it is written. Closed when this call ends: at the end of the text, when
            `speak` fails, and when the call is cancelled.
        speak: Called with each sentence in order. A coroutine is awaited before the next token is
            read; any other result, such as a `SpeechHandle`, is not, so that sentences queue up
            behind each other without a gap.
        min_sentence_length: As for `SentenceStreamBuffer`.

    Returns:
        The whole text, exactly as it came.
    """
    buffer = SentenceStreamBuffer(min_sentence_length=min_sentence_length)
    written: list[str] = []

    async def say(sentences: list[str]) -> None:
        for sentence in sentences:
            spoken = speak(sentence)
            if inspect.iscoroutine(spoken):
                await spoken

    async with AsyncExitStack() as stack:
        stream = aiter(tokens)
        if (aclose := getattr(stream, "aclose", None)) is not None:
            stack.push_async_callback(aclose)
        async for token in stream:
            written.append(token)
            await say(buffer.push(token))
        await say(buffer.flush())
    return "".join(written)
