"""Markdown's line structure: what a line is, and what of it is said."""

from __future__ import annotations

import re

from speech.text import maths
from speech.text.language import Language
from speech.text.markdown import inline_edits
from speech.text.positions import Edit

_FENCE = re.compile(r"[ \t]*(?:[-*+>][ \t]+){0,3}(`{3,}|~{3,})([^`\n]*)$")
_RULE = re.compile(r"[ \t]*(?:([-*_])[ \t]*)(?:\1[ \t]*){2,}$|[ \t]*[=]{2,}[ \t]*$|[ \t]*--[ \t]*$")
_TABLE_RULE = re.compile(r"[ \t]*\|?[ \t]*:?-{2,}:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$")
_REFERENCE = re.compile(r"[ \t]*\[(?!\^)[^\]\n]{1,100}\]:[ \t]*\S+[^\n]{0,200}$")
_FOOTNOTE = re.compile(r"[ \t]*\[\^[^\]\s]{1,40}\]:[ \t]*")
_QUOTE = re.compile(r"[ \t]{0,8}(?:>(?!\d)[ \t]?)+(?:\[!\w+\][ \t]*)?")
_HEADING = re.compile(r"[ \t]*#{1,6}(?:[ \t]+|$)")
_HEADING_END = re.compile(r"[ \t]+#+[ \t]*$")
_BULLET = re.compile(r"[ \t]*[-*+•‣◦▪●][ \t]+(?:\[[ xX]\][ \t]+)?|[ \t]*[•‣◦▪●][ \t]*")
_NUMBERED = re.compile(
    r"(?![ \t]*\d{1,2}\.[ ](?:Jan|Feb|März|Apr|Mai|Jun|Jul|Aug|Sep|Okt|Nov|Dez|Jahrhundert))"
    r"[ \t]*(\d{1,3})([.)])[ \t]+(?:\[[ xX]\][ \t]+)?(?=\S)"
)
_MATHS_FENCE = re.compile(r"[ \t]*(\$\$|\\\[|\\begin\{[a-z*]{1,20}\})")
_MATHS_END = {"$$": re.compile(r"\$\$"), "\\[": re.compile(r"\\\]")}
_TEX_END = re.compile(r"\\end\{[a-z*]{1,20}\}")
_CELL = re.compile(r"(?<![ \t\\])[ \t]*\|[ \t|]*")
_BARE_CELL = re.compile(r"(?<=\S) \|[ |]*(?=\S)")
_WORD = re.compile(r"[^\W_]")
_CLOSED = re.compile(r"[.,;:!?…。！？、؟।][\"'”’»)*_]*$")


class BlockReader:
    """Reads lines one after another and remembers open fences, comments and maths."""

    def __init__(self, language: Language | None, code_phrase: str) -> None:
        self._language = language
        self._code_phrase = code_phrase
        self._fence = ""
        self._maths_end: re.Pattern[str] | None = None
        self._in_comment = False

    def edits(self, text: str, starts_line: bool = True) -> list[Edit]:
        """The edits that take markup out of a text, sorted by position.

        Args:
            text: One or more lines.
            starts_line: Whether the text begins where a line does, not in the middle of one.
        """
        edits: list[Edit] = []
        open_line: tuple[int, bool] | None = None
        """The newline after the last line with words, and whether that line is a block."""
        start = 0
        while start <= len(text):
            newline = text.find("\n", start)
            end = len(text) if newline < 0 else newline
            stop = min(end + 1, len(text))
            line = text[start:end]
            found, is_block = self._line(line, starts_line or start > 0)
            if found is None:
                edits.append(Edit(start, stop, ""))
            elif len(found) == 1 and found[0][:2] == (0, len(line)) and not line.strip():
                pass
            else:
                if _WORD.search(line):
                    if open_line is not None and (open_line[1] or is_block):
                        at = open_line[0]
                        edits.append(Edit(at, at + 1, ".\n"))
                    closed = _CLOSED.search(line.rstrip()) is not None
                    open_line = None if closed or newline < 0 else (newline, is_block)
                elif open_line is not None:
                    open_line = (open_line[0], True)
                edits += [Edit(a + start, b + start, said) for a, b, said in found]
            if newline < 0:
                break
            start = newline + 1
        edits.sort()
        return edits

    def _line(self, line: str, starts: bool = True) -> tuple[list[Edit] | None, bool]:
        """A line's edits (None: nothing of it is said), and whether it is a block of its own."""
        if self._fence:
            closing = line.strip().lstrip("> ")
            if closing.startswith(self._fence) and not closing.strip(self._fence[0]):
                self._fence = ""
            return None, True
        if self._in_comment:
            end = line.find("-->")
            if end < 0:
                return None, True
            self._in_comment = False
            edits, is_block = self._line(" " * (end + 3) + line[end + 3 :])
            return [Edit(0, end + 3, ""), *(e for e in edits or () if e.start >= end + 3)], is_block
        if self._maths_end is not None:
            return self._maths_line(line, 0), True
        if not line.strip():
            return [], False
        if not starts:
            return self._words(line, starts)
        if fence := _FENCE.match(line):
            self._fence = fence[1]
            return ([Edit(0, len(line), self._code_phrase)] if self._code_phrase else None), True
        if _RULE.match(line) or _REFERENCE.match(line) or _TABLE_RULE.match(line):
            return None, True
        if opening := _MATHS_FENCE.match(line):
            self._maths_end = _MATHS_END.get(opening[1], _TEX_END)
            return self._maths_line(line, opening.end()), True
        return self._words(line)

    def _maths_line(self, line: str, start: int) -> list[Edit] | None:
        assert self._maths_end is not None
        end = self._maths_end.search(line, start)
        said = maths.speak(line[start : end.start() if end else len(line)], self._language)
        if end is None:
            return [Edit(0, len(line), said)] if said else None
        self._maths_end = None
        rest = self._words(" " * end.end() + line[end.end() :])[0]
        return [Edit(0, end.end(), said), *(edit for edit in rest if edit.start >= end.end())]

    def _words(self, line: str, starts: bool = True) -> tuple[list[Edit], bool]:
        edits: list[Edit] = []
        at = 0
        is_block = False
        number = ""
        for _ in range(4 if starts else 0):  # quotes, lists and headings may stand in one another
            for prefix in (_QUOTE, _HEADING, _BULLET, _NUMBERED, _FOOTNOTE):
                if found := prefix.match(line, at):
                    break
            else:
                break
            if found.end() == at:
                break
            number = f"{found[1]}, " if prefix is _NUMBERED else ""
            if prefix is _HEADING and (tail := _HEADING_END.search(line, found.end())):
                line = line[: tail.start()]
                edits.append(Edit(*tail.span(), ""))
            is_block = True
            at = found.end()
            if number:
                break
        body_end = len(line)
        if at:
            edits.append(Edit(0, at, number))
        comment = line.find("<!--", at)
        if comment >= 0:
            closing = line.find("-->", comment)
            self._in_comment = closing < 0
            stop = body_end if closing < 0 else closing + 3
            inner = inline_edits(line[at:comment], self._language)
            edits += [Edit(a + at, b + at, said) for a, b, said in inner]
            edits.append(Edit(comment, stop, ""))
            at = stop
        body = line[at:body_end]
        inner = [Edit(a + at, b + at, said) for a, b, said in inline_edits(body, self._language)]
        if "|" in body:
            cells = _cell_edits(line, at, inner)
            is_block = is_block or bool(cells)
            inner += cells
        return sorted(edits + inner), is_block


def _cell_edits(line: str, at: int, taken: list[Edit]) -> list[Edit]:
    """Cell borders of a table row, as commas."""
    body = line.rstrip()
    outer = body[at:].lstrip().startswith("|")
    cells = []
    for found in (_CELL if outer else _BARE_CELL).finditer(body, at):
        if any(edit.start < found.end() and found.start() < edit.end for edit in taken):
            continue
        edge = not body[at : found.start()].strip() or found.end() == len(body)
        cells.append(Edit(*found.span(), "" if edge else ", "))
    return cells
