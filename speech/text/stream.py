"""The way from a written sentence to a spoken one."""

from __future__ import annotations

from dataclasses import dataclass

from speech.sentences import Sentence
from speech.text.addresses import neutral_url_edits
from speech.text.blocks import BlockReader
from speech.text.emoji import emoji_edits
from speech.text.language import language_for
from speech.text.lexicon import Lexicon, base_language
from speech.text.positions import Edit, Spoken
from speech.text.scanner import lexicon_edits, spoken_edits


@dataclass(frozen=True)
class SpokenStyle:
    """What to do with things that a voice can treat in more than one way."""

    name_emoji: bool = False
    """Say an emoji's name instead of leaving it out."""
    code_block: str = ""
    """Said once for each code block, in place of the code; empty says nothing."""


class SpokenStream:
    """Turns the sentences of one answer, in order, into what the voice says.

    Keeps what reaches over a sentence's end: an open code fence, maths block or comment.
    """

    def __init__(
        self,
        language: str = "en",
        lexicon: Lexicon | None = None,
        style: SpokenStyle | None = None,
    ) -> None:
        self.language = base_language(language)
        self.lexicon = lexicon
        self.style = style or SpokenStyle()
        self._is_first = True
        self._rules = language_for(self.language)
        self._blocks = BlockReader(self._rules, self.style.code_block)

    def push(self, sentence: str) -> Spoken:
        """The next sentence as spoken; never fails, whatever the text.

        Lists and headings begin on a line of their own. A `Sentence` of the buffer tells whether
        it does; any other string is taken to begin one.
        """
        starts_line = not isinstance(sentence, Sentence) or self._is_first or "\n" in sentence.lead
        self._is_first = False
        plain = self._cleaned(sentence, starts_line)
        spoken = self._read_out(plain)
        if not any(char.isalnum() for char in spoken.spoken):
            return Spoken.silent(sentence)
        return spoken if spoken.spoken == sentence else _trimmed(spoken)

    def _cleaned(self, sentence: str, starts_line: bool) -> Spoken:
        plain = Spoken.unchanged(sentence).edited(self._blocks.edits(sentence, starts_line))
        plain = plain.edited(emoji_edits(plain.spoken, self.language, name=self.style.name_emoji))
        if self._rules is None:
            plain = plain.edited(neutral_url_edits(plain.spoken))
        return plain

    def _read_out(self, plain: Spoken) -> Spoken:
        if self._rules is not None:
            return plain.edited(spoken_edits(plain.spoken, self._rules, self.lexicon))
        if self.lexicon is not None:
            return plain.edited(lexicon_edits(plain.spoken, self.lexicon, self.language))
        return plain


def _trimmed(spoken: Spoken) -> Spoken:
    """Without the white space that dropped markup left at either end."""
    text = spoken.spoken
    lead, tail = len(text) - len(text.lstrip()), len(text.rstrip())
    return spoken.edited([Edit(0, lead, ""), Edit(tail, len(text), "")])


def to_spoken(text: str, language: str = "en", *, lexicon: Lexicon | None = None) -> Spoken:
    """One sentence, or a whole text, as spoken; knows nothing of what came before it.

    Args:
        text: Markdown or plain text, as written.
        language: A language tag; en, de, fr and es are read out in full, of the others only
            markup, emoji and addresses are cleaned.
        lexicon: Pronunciations that go before every rule.
    """
    return SpokenStream(language, lexicon).push(text)
