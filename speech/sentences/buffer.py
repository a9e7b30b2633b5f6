"""The buffer: text goes in as it is written, sentences come out as they are complete."""

from __future__ import annotations

import copy
import re

from speech.sentences.boundaries import decide
from speech.sentences.candidate import Verdict
from speech.sentences.characters import (
    CANDIDATE,
    ENDS,
    LONE_SURROGATE,
    NEWLINES,
    PICTURE,
    REMARKABLE,
    width,
)
from speech.sentences.clauses import clause_end
from speech.sentences.structure import NEWLINE, CodeFence, line_start

IDLE_MS = 200
"""How long a stream must have stalled before `tick` speaks what is complete."""
PIECE_CHARACTERS = 1024
"""The most that is scanned at once."""
_find_remarkable = REMARKABLE.search
_DIGIT_AND_STOP = re.compile(r"\d\.$")
_SPACES = re.compile(r"\s*")


class Sentence(str):
    """A sentence as written, without the white space around it.

    `"".join(s.lead + s for s in sentences)` is the text that went in, up to white space at its
    very end.
    """

    __slots__ = ("lead",)
    lead: str
    """The white space that stood before it: a blank line in it tells of a new paragraph."""


class SentenceStreamBuffer:
    """Gives each sentence of a stream as soon as it is certain that it is one.

    What comes out depends on the text alone, however it is cut into pieces.

    Args:
        min_sentence_length: A shorter sentence waits and leaves together with the next one.
        min_first_length: The same for the first sentence of a text, where silence costs more
            than rhythm. By default `min_sentence_length`.
        max_sentence_length: A longer one is cut at a clause, else between words. Code blocks are
            never cut.

    Lengths count characters, wide ones (Chinese, Japanese, Korean) double.

    Raises:
        ValueError: A negative length, or a longest one that is below 40 or the shortest.
    """

    def __init__(
        self,
        min_sentence_length: int = 20,
        min_first_length: int | None = None,
        max_sentence_length: int = 400,
    ) -> None:
        if min_first_length is None:
            min_first_length = min_sentence_length
        if min_sentence_length < 0 or min_first_length < 0:
            raise ValueError("min_sentence_length and min_first_length must be 0 or more")
        if max_sentence_length < max(40, min_sentence_length, min_first_length):
            raise ValueError(
                "max_sentence_length must be at least 40 and at least the shortest length, "
                f"not {max_sentence_length}"
            )
        self._min_length = min_sentence_length
        self._min_first = min_first_length
        self._max_length = max_sentence_length
        self._soft_limit = max_sentence_length // 2
        self.clear()

    def clear(self) -> None:
        """Forgets everything: the next `push` begins a new text."""
        self._text = ""
        """What was pushed and not given away."""
        self._segment = 0
        """Where the sentence that is being written begins, behind shorter ones that wait."""
        self._position = 0
        """Everything before it is decided."""
        self._begin = 0
        """Everything before it is white space."""
        self._column = 0
        """How many characters of the first line were given away."""
        self._first = True
        self._vivid = False
        """Whether what was given away had emoji in it."""
        self._fence: CodeFence | None = None
        self._half = ""
        """The first half of a character that came in two (a UTF-16 surrogate)."""
        self._settled = True
        """Whether nothing waits for a second look."""

    def push(self, text: str) -> list[str]:
        """Adds text and gives the sentences that it completes."""
        if self._settled and len(text) < PIECE_CHARACTERS:
            remarkable = _find_remarkable(text)
            if remarkable is None:
                self._text = pending = self._text + text
                return [] if len(pending) <= self._soft_limit else self._scan(final=False)
            if text[-1] in ENDS and remarkable.end() == len(text):
                self._text = pending = self._text + text
                if len(pending) <= self._soft_limit:
                    self._settled = False
                    return []
                return self._scan(final=False)
        if len(text) > PIECE_CHARACTERS:
            return self._push_pieces(text)
        if self._half or not text.isascii():
            text = self._heal(text)
        if self._fence is not None:
            return self._push_code(text)
        self._text += text
        return self._scan(final=False)

    def flush(self) -> list[str]:
        """Ends the text: gives what is left, and makes the buffer ready for another text."""
        sentences = self._scan(final=True)
        self._text = (self._fence.text if self._fence else self._text) + self._half
        if self._text.strip():
            sentences.append(self._take(len(self._text.rstrip())))
        self.clear()
        return sentences

    def tick(self, idle_ms: float) -> list[str]:
        """Gives what is complete, however short, when nothing has come for some time.

        Args:
            idle_ms: Milliseconds since the last `push`. Below `IDLE_MS` nothing happens.
        """
        if idle_ms < IDLE_MS or self._fence is not None or not self._is_complete():
            return []
        sentences = self._scan(final=True)
        if self._text.strip():
            sentences.append(self._take(len(self._text.rstrip())))
        return sentences

    def preview(self) -> list[str]:
        """The sentences that would leave now if the one that is being written were complete.

        None unless it looks so; what comes next may tell otherwise. Changes nothing.
        """
        if self._fence is not None or not self._is_complete():
            return []
        return copy.copy(self)._scan(final=True)

    def _is_complete(self) -> bool:
        """Whether the text ends where a sentence ends, as far as it goes."""
        text = self._text
        end = len(text.rstrip())
        if NEWLINE.search(text, end) or self._segment >= end:
            return end > 0
        if _DIGIT_AND_STOP.search(text, 0, end):
            return False
        position = self._position
        segment = self._segment
        while match := CANDIDATE.search(text, position):
            verdict, position = decide(text, segment, match.start(), self._column, final=True)
            if verdict is Verdict.CODE:
                return False
            if verdict is Verdict.CUT:
                segment = position
        return segment >= end

    def _scan(self, *, final: bool) -> list[str]:
        sentences: list[str] = []
        self._settled = False
        while self._fence is None:
            text = self._text
            match = CANDIDATE.search(text, self._position)
            at = match.start() if match else len(text)
            if at - self._begin > self._soft_limit and self._cut_long(at, sentences):
                continue
            if match is None:
                self._position = at
                self._settled = not self._half
                break
            if at + 1 == len(text) and not final and text[at] in ENDS:
                self._position = at
                break
            if text[at] in NEWLINES and self._is_blank_before(at):
                self._position = self._segment = at + 1
                continue
            verdict, offset = decide(
                text, self._segment, at, self._column, final=final, vivid=self._vivid
            )
            if verdict is Verdict.CUT:
                self._position = self._segment = offset
                least = self._min_first if self._first else self._min_length
                length = len(text[:offset].strip())
                if length >= least or width(text[:offset].strip()) >= least:
                    sentences.append(self._take(offset))
            elif verdict is Verdict.JOIN:
                self._position = offset
            elif verdict is Verdict.WAIT:
                self._position = at
                break
            else:
                if end := len(text[:offset].rstrip()):
                    sentences.append(self._take(end))
                    at -= end
                self._open_fence(at, sentences)
        return sentences

    def _is_blank_before(self, at: int) -> bool:
        """Whether the newline at `at` ends nothing: no sentence, and no line of a code block."""
        text = self._text
        return not (text[self._segment : at].strip() or "`" in text or "~" in text)

    def _cut_long(self, at: int, sentences: list[str]) -> bool:
        """Cuts text that is too long before the next candidate; whether there was any."""
        spaces = _SPACES.match(self._text, self._begin)
        assert spaces is not None
        self._begin = spaces.end()
        end = clause_end(self._text, self._begin, at, self._max_length)
        if end is None:
            return False
        self._segment = max(self._segment, end)
        sentences.append(self._take(end))
        return True

    def _push_pieces(self, text: str) -> list[str]:
        """Adds a long text in pieces, so that the cost grows with its length and no faster."""
        sentences: list[str] = []
        for begin in range(0, len(text), PIECE_CHARACTERS):
            sentences += self.push(text[begin : begin + PIECE_CHARACTERS])
        return sentences

    def _push_code(self, text: str) -> list[str]:
        """Adds text to the code block; what follows the block is scanned as usual."""
        assert self._fence is not None
        used = self._fence.feed(text)
        if used is None:
            return []
        sentences: list[str] = [self._take_fence()]
        self._text = text[used:]
        return sentences + self._scan(final=False)

    def _open_fence(self, at: int, sentences: list[str]) -> None:
        """Begins a code block whose first line is `text[:at]`."""
        text = self._text
        self._fence = CodeFence(text[:at])
        self._text = ""
        self._position = self._segment = 0
        used = self._fence.feed(text[at:])
        if used is not None:
            sentences.append(self._take_fence())
            self._text = text[at + used :]

    def _take_fence(self) -> Sentence:
        assert self._fence is not None
        self._text = self._fence.text
        self._fence = None
        return self._take(len(self._text))

    def _heal(self, text: str) -> str:
        """Joins halves of characters that came apart; keeps a first half for later."""
        text = self._half + text
        self._half = ""
        if "\ud800" <= text[-1:] <= "\udbff":
            self._half = text[-1]
            text = text[:-1]
        if LONE_SURROGATE.search(text):
            text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
        return text

    def _take(self, end: int) -> Sentence:
        """Gives `text[:end]` away, but for white space at its end."""
        unit = self._text[:end].rstrip()
        end = len(unit)
        sentence = Sentence(unit.lstrip())
        sentence.lead = unit[: end - len(sentence)]
        line = line_start(unit, end)
        self._column = end - line if line else self._column + end
        self._text = self._text[end:]
        self._position = max(0, self._position - end)
        self._segment = max(0, self._segment - end)
        self._begin = 0
        self._first = False
        if not sentence.isascii() and not self._vivid:
            self._vivid = PICTURE.search(sentence) is not None
        return sentence
