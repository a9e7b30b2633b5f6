"""The buffer: text goes in as it is written, sentences come out as they are complete."""

from __future__ import annotations

from speech.sentences.boundaries import CANDIDATE, decide


class Sentence(str):
    """A sentence as written, without the white space around it.

    `"".join(s.lead + s for s in sentences)` is the text that went in, up to white space at its
    very end.
    """

    __slots__ = ("lead",)
    lead: str
    """The white space that stood before it: `"\\n\\n"` tells that a paragraph begins here."""


class SentenceStreamBuffer:
    """Gives each sentence of a stream as soon as it is certain that it is one.

    Args:
        min_sentence_length: A shorter sentence waits and leaves together with the next one.
        min_first_length: The same for the first sentence of a text, where silence costs more
            than rhythm. By default `min_sentence_length`.
        max_sentence_length: A longer one is cut at a clause, else between words.

    Lengths count characters, wide ones (Chinese, Japanese, Korean) double.

    Raises:
        ValueError: A length that cannot be.
    """

    def __init__(
        self,
        min_sentence_length: int = 20,
        min_first_length: int | None = None,
        max_sentence_length: int = 400,
    ) -> None:
        self._min_length = min_sentence_length
        self._min_first = min_sentence_length if min_first_length is None else min_first_length
        self._max_length = max_sentence_length
        self.clear()

    def clear(self) -> None:
        """Forgets everything: the next `push` begins a new text."""
        self._text = ""
        self._segment = 0
        self._position = 0
        self._first = True

    def push(self, text: str) -> list[str]:
        """Adds text and gives the sentences that it completes."""
        self._text += text
        return self._scan(final=False)

    def flush(self) -> list[str]:
        """Ends the text: gives what is left, and makes the buffer ready for another text."""
        sentences = self._scan(final=True)
        if self._text.strip():
            sentences.append(self._emit(len(self._text.rstrip())))
        self.clear()
        return sentences

    def tick(self, idle_ms: float) -> list[str]:
        """Gives what is complete when nothing has come for `idle_ms` milliseconds."""
        if idle_ms < 300 or not self._text.rstrip().endswith((".", "!", "?", "。", "！", "？")):
            return []
        return [self._emit(len(self._text.rstrip()))]

    def _scan(self, *, final: bool) -> list[str]:
        sentences: list[str] = []
        while match := CANDIDATE.search(self._text, self._position):
            decision = decide(self._text, self._segment, match.start(), final=final)
            if decision.verdict == "wait":
                self._position = match.start()
                return sentences
            self._position = decision.offset
            if decision.verdict == "cut":
                self._segment = decision.offset
                least = self._min_first if self._first else self._min_length
                if len(self._text[: decision.offset].strip()) >= least:
                    sentences.append(self._emit(decision.offset))
        self._position = len(self._text)
        return sentences

    def _emit(self, end: int) -> Sentence:
        unit = self._text[:end]
        sentence = Sentence(unit.strip())
        sentence.lead = unit[: len(unit) - len(unit.lstrip())]
        self._text = self._text[end:]
        self._position = max(0, self._position - end)
        self._segment = max(0, self._segment - end)
        self._first = False
        return sentence
