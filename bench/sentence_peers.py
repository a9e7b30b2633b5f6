"""Other ways to cut a stream of text into sentences, behind one signature.

Each takes tokens and the language's code, pulls one token at a time, and gives each sentence as
soon as it has it. Shortest lengths are set to one character, so that boundaries can be compared.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from speech.sentences import SentenceStreamBuffer

Cutter = Callable[[Iterable[str], str], Iterator[str]]

_PLAIN = re.compile(r"(?<=[.!?])\s+")
_PYSBD_LANGUAGES = "am ar bg da de el en es fa fr hi hy it ja kk mr my nl pl ru sk ur zh"


def parley(tokens: Iterable[str], language: str) -> Iterator[str]:
    """Ours. The language is not told."""
    buffer = SentenceStreamBuffer(min_sentence_length=1)
    for token in tokens:
        yield from buffer.push(token)
    yield from buffer.flush()


def plain_regex(tokens: Iterable[str], language: str) -> Iterator[str]:
    """Cuts at white space after `.`, `!` and `?`."""
    text = ""
    for token in tokens:
        text += token
        while match := _PLAIN.search(text):
            yield text[: match.start()]
            text = text[match.end() :]
    if text:
        yield text


def sentence_stream(tokens: Iterable[str], language: str) -> Iterator[str]:
    """sentence-stream (Home Assistant's)."""
    from sentence_stream import SentenceBoundaryDetector

    detector = SentenceBoundaryDetector()
    for token in tokens:
        yield from detector.add_chunk(token)
    if rest := detector.finish():
        yield rest


def stream2sentence(tokens: Iterable[str], language: str) -> Iterator[str]:
    """stream2sentence (RealtimeTTS's), with its automatic context."""
    from stream2sentence import generate_sentences

    yield from generate_sentences(
        tokens,
        minimum_sentence_length=1,
        minimum_first_fragment_length=1,
        force_first_fragment_after_words=10_000,
        auto_context=True,
        language=language,
    )


def pysbd(tokens: Iterable[str], language: str) -> Iterator[str]:
    """pysbd, told the language where it knows it, run on what is left at each token."""
    from pysbd import Segmenter

    known = language if language in _PYSBD_LANGUAGES.split() else "en"
    segmenter = Segmenter(language=known, clean=False)
    text = ""
    for token in tokens:
        text += token
        *whole, _ = segmenter.segment(text) or [""]
        for sentence in whole:
            begin = text.find(sentence)
            if begin >= 0:
                text = text[begin + len(sentence) :]
            yield sentence
    yield from segmenter.segment(text)


def livekit_blingfire(tokens: Iterable[str], language: str) -> Iterator[str]:
    """livekit-agents' default sentence tokenizer. Needs a running event loop."""
    from livekit.agents.tokenize import blingfire

    tokenizer = blingfire.SentenceTokenizer(min_sentence_len=1, stream_context_len=1)
    return _livekit(tokenizer.stream(), tokens)


def livekit_basic(tokens: Iterable[str], language: str) -> Iterator[str]:
    """livekit-agents' basic sentence tokenizer. Needs a running event loop."""
    from livekit.agents.tokenize import basic

    tokenizer = basic.SentenceTokenizer(min_sentence_len=1, stream_context_len=1)
    return _livekit(tokenizer.stream(), tokens)


def _livekit(stream: object, tokens: Iterable[str]) -> Iterator[str]:
    from livekit.agents.tokenize import SentenceStream

    assert isinstance(stream, SentenceStream)
    events = stream._event_ch  # the public way to read waits, which takes a turn of the loop
    for token in tokens:
        stream.push_text(token)
        while not events.empty():
            yield events.recv_nowait().token
    stream.flush()
    while not events.empty():
        yield events.recv_nowait().token


PEERS: dict[str, Cutter] = {
    "parley": parley,
    "pysbd": pysbd,
    "stream2sentence": stream2sentence,
    "livekit blingfire": livekit_blingfire,
    "sentence-stream": sentence_stream,
    "livekit basic": livekit_basic,
    "plain regex": plain_regex,
}
