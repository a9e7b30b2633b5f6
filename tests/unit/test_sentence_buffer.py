from __future__ import annotations

from speech.sentences import SentenceStreamBuffer


def test_a_sentence_leaves_when_it_is_certain() -> None:
    buffer = SentenceStreamBuffer()
    assert buffer.push("Hello there, how are you today? I am fine") == [
        "Hello there, how are you today?"
    ]
    assert buffer.flush() == ["I am fine"]
