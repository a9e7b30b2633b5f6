"""Inline markdown as position edits: markdown-it-py finds the markup, this module where it is.

markdown-it-py's inline tokens carry no positions, so its tokenizer loop is repeated here with the
position of each rule's match written to the tokens that it made.
"""

from __future__ import annotations

import re

from markdown_it import MarkdownIt
from markdown_it.common.html_blocks import block_names
from markdown_it.parser_inline import ParserInline
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

from speech.text import maths
from speech.text.language import Language, word_set
from speech.text.positions import Edit

_MARKUP = re.compile(r"[*_`~\[\]<&\\$【]")
_STRAY = re.compile(
    r"`+"
    r"|\[(?=\S)"
    r"|\]\((?:<[^<>\n]{0,300}>|[^()\s]{0,300}(?:\([^()\s]{0,100}\)[^()\s]{0,100})?)"
    r"(?:[ ]+\"[^\"\n]{0,200}\")?\)"
    r"|(?<=\S)\](?!\()"
)
_CITATION = re.compile(
    r"\[\^[^\]\s]{1,40}\]"
    r"|【[^】\n]{1,60}】"
    r"|(?<=[.,;:!?»”\"')\]])(?:\[\d{1,3}(?:[,–-] ?\d{1,3}){0,5}\])+"
    r"|[ ](?:\[\d{1,3}(?:[,–-] ?\d{1,3}){0,5}\])+(?=[.,;:!?]|\s*$)"
)
_MATHS = re.compile(
    r"\$\$(?P<display>[^`]{1,400}?)\$\$"
    r"|\\\((?P<round>[^`]{1,400}?)\\\)"
    r"|\\\[(?P<square>[^`]{1,400}?)\\\]"
    r"|(?<![\w$\\])\$(?=[^\s$])(?P<inline>[^$`\n]{0,200}[^\s$`\\])\$(?![\w$])"
)
_TAG_NAME = re.compile(r"</?([A-Za-z][A-Za-z0-9-]*)|<[!?]")
_HTML_TAGS = frozenset(block_names) | word_set(
    "a abbr audio b bdi bdo br button cite code data del dfn em embed i img input ins kbd "
    "label map mark meter object output picture pre progress q s samp script select slot "
    "small span strong style sub sup svg template textarea time tt u var video wbr"
)
_BREAKING_TAGS = frozenset(["br", "p", "li", "div", "tr", "td", "th"])


class _PositionedInline(ParserInline):
    """The same rules; each token's `meta["span"]` is the source range of the rule's match."""

    def tokenize(self, state: StateInline) -> None:
        rules = self.ruler.getRules("")
        end = state.posMax
        if state.tokens and state.tokens[-1].type == "link_open":
            state.tokens[-1].meta["label"] = (state.pos, end)
        nesting_limit = state.md.options["maxNesting"]
        while state.pos < end:
            start, known = state.pos, len(state.tokens)
            matched = state.level < nesting_limit and any(rule(state, False) for rule in rules)
            if not matched:
                state.append_pending(state.src[state.pos])
                state.pos += 1
            for token in state.tokens[known:]:
                token.meta.setdefault("span", (start, state.pos))
        if state.pending:
            state.pushPending()


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark")
    parser.inline = _PositionedInline()
    parser.inline.ruler.disable(["newline"])
    parser.inline.ruler2.disable(["fragments_join"])
    # A link's address is not said, so it needs no checking.
    parser.normalizeLink = lambda url: url  # type: ignore[method-assign]
    parser.validateLink = lambda url: True  # type: ignore[method-assign]
    return parser


_PARSER = _parser()


def inline_edits(text: str, language: Language | None) -> list[Edit]:
    """The edits that take inline markup out of one line, sorted by position."""
    if not _MARKUP.search(text):
        return []
    opaque = _opaque_edits(text, language)
    masked = text
    for edit in opaque:
        masked = f"{masked[: edit.start]}{'x' * (edit.end - edit.start)}{masked[edit.end :]}"
    edits = opaque + _token_edits(masked)
    edits.sort()
    return _with_strays(masked, edits)


def _opaque_edits(text: str, language: Language | None) -> list[Edit]:
    """Maths and citations, which markdown rules must not look into."""
    edits = []
    if "$" in text or "\\" in text:
        for found in _MATHS.finditer(text):
            kind = found.lastgroup or ""
            if kind != "inline" or maths.looks_like_maths(found[kind]):
                edits.append(Edit(*found.span(), maths.speak(found[kind], language)))
    if "[" in text or "【" in text:
        taken = [(edit.start, edit.end) for edit in edits]
        for found in _CITATION.finditer(text):
            if not any(start < found.end() and found.start() < end for start, end in taken):
                edits.append(Edit(*found.span(), ""))
    return sorted(edits)


def _token_edits(text: str) -> list[Edit]:
    tokens: list[Token] = []
    _PARSER.inline.parse(text, _PARSER, {}, tokens)
    edits: list[Edit] = []
    label_ends: list[tuple[int, int]] = []
    marker_at = 0
    for token in tokens:
        if "span" not in token.meta:
            continue
        start, end = token.meta["span"]
        if token.type == "link_open":
            label = token.meta.get("label")
            if label is None:  # an autolink, <https://…>
                edits.append(Edit(start, start + 1, ""))
                label_ends.append((end - 1, end))
            else:
                edits.append(Edit(start, label[0], ""))
                label_ends.append((label[1], end))
        elif token.type == "link_close":
            edits.append(Edit(*label_ends.pop(), ""))
        elif token.type == "image":
            alt_start = start + 2
            alt_end = alt_start + len(token.content)
            edits += [Edit(start, alt_start, ""), Edit(alt_end, end, "")]
        elif token.type == "code_inline":
            width = len(token.markup)
            edits += [Edit(start, start + width, ""), Edit(end - width, end, "")]
        elif token.type == "text_special":
            edits.append(Edit(start, end, token.content))
        elif token.type == "html_inline":
            edits.append(_tag_edit(text, token.content, start, end))
        elif text[start] in "*_" and token.type != "link_close":
            # A run of markers gives one token for each character of it.
            marker_at = marker_at + 1 if start <= marker_at < end - 1 else start
            if token.content == "" or _hangs_on_a_word(text, start, end):
                edits.append(Edit(marker_at, marker_at + 1, ""))
    edits += [Edit(*found.span(), "") for found in re.finditer(r"~~+", text)]
    return edits


def _tag_edit(text: str, tag: str, start: int, end: int) -> Edit:
    name = _TAG_NAME.match(tag)
    is_tag = name is None or name[1] is None or name[1].lower() in _HTML_TAGS
    if not is_tag and name and not tag.startswith("</") and f"</{name[1]}>" not in text:
        return Edit(start, end, f" {tag.strip('</> ')} ")  # a placeholder such as <your-name>
    breaks = name is not None and name[1] is not None and name[1].lower() in _BREAKING_TAGS
    return Edit(start, end, " " if breaks else "")


def _hangs_on_a_word(text: str, start: int, end: int) -> bool:
    """Whether an unmatched `**` belongs to an emphasis that began or ends in another sentence."""
    before = start > 0 and not text[start - 1].isspace()
    after = end < len(text) and not text[end].isspace()
    return before != after or (
        before and after and not (text[start - 1].isalnum() and text[end].isalnum())
    )


def _with_strays(text: str, edits: list[Edit]) -> list[Edit]:
    """Drops overlaps, then removes what is left of markup cut by a sentence end."""
    clean: list[Edit] = []
    done = 0
    for edit in edits:
        if edit.start >= done:
            clean.append(edit)
            done = edit.end
    if not any(mark in text for mark in "`[]"):
        return clean
    covered = bytearray(len(text))
    for edit in clean:
        covered[edit.start : edit.end] = b"\x01" * (edit.end - edit.start)
    brackets = text.count("[") == text.count("]") and "](" not in text
    for found in _STRAY.finditer(text):
        if any(covered[found.start() : found.end()]):
            continue
        if found[0] in "[]" and brackets:
            continue
        clean.append(Edit(*found.span(), ""))
    clean.sort()
    return clean
