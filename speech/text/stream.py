"""The way from a written sentence to a spoken one."""

from __future__ import annotations

from dataclasses import dataclass

from speech.text.lexicon import Lexicon, base_language
from speech.text.positions import Spoken


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

    def push(self, sentence: str) -> Spoken:
        """The next sentence as spoken; never fails, whatever the text."""
        return Spoken.unchanged(sentence) if sentence.strip() else Spoken.silent(sentence)


def to_spoken(text: str, language: str = "en", *, lexicon: Lexicon | None = None) -> Spoken:
    """One sentence, or a whole text, as spoken; knows nothing of what came before it.

    Args:
        text: Markdown or plain text, as written.
        language: A language tag; en, de, fr and es are read out in full, of the others only
            markup, emoji and addresses are cleaned.
        lexicon: Pronunciations that go before every rule.
    """
    return SpokenStream(language, lexicon).push(text)
