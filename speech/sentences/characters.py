"""The characters that sentences end with and begin with."""

from __future__ import annotations

import re

ENDS = ".!?…‼⁇⁈⁉。！？｡．।॥؟۔։።፧။\u037e"
"""Every character that can end a sentence."""
NEWLINES = "\n\r\u2028\u2029\x85"
WIDE_ENDS = frozenset("。！？｡．")
"""Ends that no white space follows."""
UNSPACED_ENDS = WIDE_ENDS | frozenset("।॥؟۔։።፧။")
"""Ends that are never part of a word: a letter may follow at once."""
CALLS = frozenset("!?‼⁇⁈⁉！？؟\u037e፧")
"""Ends of questions and calls."""

EMOJI = (
    "\u200d\u20e3\ufe0e\ufe0f\u2139\u231a\u231b\u23e9-\u23f3\u25b6\u25c0\u2600-\u27bf\u2b05-\u2b07"
    "\u2b1b\u2b1c\u2b50\u2b55\U0001f000-\U0001faff\U000e0020-\U000e007f"
)
"""Pictures and what joins them, as the inside of a character class."""
WIDE = (
    "\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f"
    "\uff01-\uff60\uffe0-\uffe6\U00020000-\U0003fffd"
)
"""Characters of double width (Unicode, Annex 11), as the inside of a character class."""

CANDIDATE = re.compile(f"[{re.escape(ENDS)}{NEWLINES};{EMOJI}]")
"""Where a sentence may end, or where text needs a second look."""
REMARKABLE = re.compile(f"{CANDIDATE.pattern[:-1]}\ud800-\udfff]")
"""A candidate, or half a character: text without any is only added."""
RUN = re.compile(f"[{re.escape(ENDS)}]{{1,32}}")
CLOSERS = re.compile(f"[\"'”’“»›)\\]}}*_~`」』）】〉》］｠〕{EMOJI}¹²³⁴-⁹]{{0,32}}")
"""What may stand between the end of a sentence and the white space after it."""
PICTURES = re.compile(f"(?:[{EMOJI}]{{1,16}}|[:;=]-?[)(DPp](?!\\w))(?: ?[{EMOJI}]{{1,16}}){{0,8}}")
"""Emoji or an emoticon, and more of them."""
PICTURE = re.compile(f"[{EMOJI}]")
FACES = re.compile(
    "[\U0001f600-\U0001f64f\U0001f910-\U0001f92f\U0001f970-\U0001f97a\U0001f44b-\U0001f44f]"
)
"""Faces and hands: they tell the mood of a sentence and stand at its end, not for a word in it."""
SPACES = re.compile(r"\s{0,64}")
OPENERS = re.compile(r"[\s\"'“”‘’«»‹›„‚(\[{*_~`¿¡—–\-<「『（【《〈]{0,80}")
"""White space and what may stand before the first letter of a sentence."""
DASHES = ("-", "–", "—")
QUOTES = frozenset("\"'”’“»«›」』")
"""Closing quotation marks."""
OPENING_QUOTES = frozenset('"“„«‘「『')
WORD = re.compile(r"[^\W\d_]{1,30}")
WIDE_CHARACTER = re.compile(f"[{WIDE}]")
LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def width(text: str) -> int:
    """The length of a text, with characters of double width counted twice."""
    return len(text) if text.isascii() else len(text) + len(WIDE_CHARACTER.findall(text))


def is_wide(character: str) -> bool:
    """Whether a character takes two columns."""
    return WIDE_CHARACTER.match(character) is not None
