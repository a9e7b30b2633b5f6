"""Emoji and other signs without a sound: left out, or named."""

from __future__ import annotations

import re

import emoji

from speech.text.language import word_set
from speech.text.positions import Edit

_SIGN = (
    "\u203c\u2049\u20e3\u2122\u2139\u2194-\u21aa\u231a-\u27bf\u2934-\u2935\u2b05-\u2b55\u3030"
    "\u303d\u3297\u3299\U0001f000-\U0001faff\u00a9\u00ae"
)
_RUN = re.compile(f"[0-9#*]\ufe0f?\u20e3|[{_SIGN}][{_SIGN}\u200d\ufe0f\U000e0020-\U000e007f]*")
_SILENT = re.compile(
    "[\u00a9\u00ae\u2122\u2300-\u23ff\u2460-\u24ff\u2500-\u25ff\u2600-\u27bf\u2b00-\u2bff\ufe0f"
    "\u00ad\u200b\u2060\ufeff\ufffc\ufffd\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"
    "\ue000-\uf8ff\U0001f000-\U0001faff\U000e0020-\U000e007f]"
)
_SAID_AS_TEXT = frozenset("↔⬌⬆⬇➡⬅")
_KEYCAP = re.compile("([0-9])\ufe0f?\u20e3")
_NAMED_LANGUAGES = word_set("en de fr es pt it ja ko zh ru tr ar fa id")


def emoji_edits(text: str, language: str, *, name: bool) -> list[Edit]:
    """Edits that drop emoji, or put their names (CLDR's) in their place where `name` is set."""
    if text.isascii() and text.isprintable():
        return []
    edits: list[Edit] = []
    for run in _RUN.finditer(text):
        edits += _run_edits(text, run, language, name)
    named = bytearray(len(text))
    for edit in edits:
        named[edit.start : edit.end] = b"\x01" * (edit.end - edit.start)
    edits += [
        Edit(*found.span(), "") for found in _SILENT.finditer(text) if not named[found.start()]
    ]
    return _joined(text, sorted(edits))


def _run_edits(text: str, run: re.Match[str], language: str, name: bool) -> list[Edit]:
    edits = []
    for found in emoji.emoji_list(run[0]):
        start, end = run.start() + found["match_start"], run.start() + found["match_end"]
        sign = found["emoji"]
        if sign[0] in _SAID_AS_TEXT:
            continue
        said = ""
        if keycap := _KEYCAP.fullmatch(sign):
            said = f"{keycap[1]},"
        elif name and sign not in "©®™":
            code = language if language in _NAMED_LANGUAGES else "en"
            said = emoji.demojize(sign, language=code, delimiters=("", "")).replace("_", " ")
            said = _spaced(text, start, end, said)
        edits.append(Edit(start, end, said))
    return edits


def _spaced(text: str, start: int, end: int, word: str) -> str:
    before = " " if start and text[start - 1].isalnum() else ""
    after = " " if end < len(text) and (text[end].isalnum() or not text[end].isascii()) else ""
    return f"{before}{word}{after}"


def _joined(text: str, edits: list[Edit]) -> list[Edit]:
    """Takes a run of dropped signs together with the space that would be doubled."""
    runs: list[Edit] = []
    for edit in edits:
        if runs and not edit.replacement and not runs[-1].replacement:
            gap = text[runs[-1].end : edit.start]
            if not gap.strip(" "):
                runs[-1] = Edit(runs[-1].start, edit.end, "")
                continue
        runs.append(edit)
    tidy: list[Edit] = []
    for start, end, replacement in runs:
        before = text[start - 1] if start else "\n"
        after = text[end] if end < len(text) else "\n"
        if replacement:
            tidy.append(Edit(start, end, replacement))
        elif before == " " and after in " \n.,!?;:":
            follower = text[end + 1 : end + 2]
            ends_sentence = after == " " and follower.isupper() and text[start - 2].isalnum()
            floor = tidy[-1].end if tidy else 0
            tidy.append(Edit(max(start - 1, floor), end, "." if ends_sentence else ""))
        elif before == "\n" and after == " ":
            tidy.append(Edit(start, end + 1, ""))
        else:
            tidy.append(Edit(start, end, ""))
    return tidy
