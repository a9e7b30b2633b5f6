"""Things typed rather than said: web and e-mail addresses, files, versions, telephone numbers."""

from __future__ import annotations

import re

from speech.text.language import Language, word_set
from speech.text.numbers import parse
from speech.text.positions import Edit
from speech.text.source import Source
from speech.text.spelling import cardinal, digits

_URL = re.compile(
    r"(?:(?:https?|ftp|wss?)://|www\.(?=\w))(?P<host>[^\s/?#<>\"'()\[\]{}|,;»”“*`]{1,253})"
    r"(?P<path>/[^\s?#<>\"'\[\]{}|»”“*`]{0,400})?(?P<rest>[?#][^\s<>\"'\[\]{}|»”“*`]{0,800})?",
    re.IGNORECASE,
)
_DOMAIN = re.compile(
    r"(?P<host>localhost:\d{1,5}|(?:[a-z0-9](?:[a-z0-9-]{0,40}[a-z0-9])?\.){1,4}"
    r"(?:com|org|net|edu|gov|io|ai|dev|app|co|uk|de|fr|es|eu|info|me|tv|ch|at|us|ca|xyz))"
    r"(?P<path>/[^\s?#<>\"'\[\]{}|»”“*`]{0,400})?"
    r"(?P<rest>[?#][^\s<>\"'\[\]{}|»”“*`]{0,800})?(?![\w@-])",
    re.IGNORECASE,
)
_SCHEME = re.compile(r"(?:https?|ftp|wss?|file|git|ssh)://(?!\w)")
_MAY_BE_HOST = re.compile(r"localhost:|[\w-]{1,62}\.\w", re.IGNORECASE)
_EMAIL = re.compile(
    r"(?:mailto:)?([A-Za-z0-9][\w.+%-]{0,63})@((?:[A-Za-z0-9-]{1,40}\.){1,5}[A-Za-z]{2,18})"
)
_EXTENSIONS = word_set(
    "py js ts tsx jsx json yaml yml toml ini cfg conf md txt rst pdf doc docx xls xlsx ppt "
    "pptx csv tsv xml html htm css scss png jpg jpeg gif svg webp bmp ico mp3 mp4 wav ogg "
    "flac mov avi mkv zip tar gz bz2 xz rar exe dll msi dmg deb rpm apk sh bat ps1 c h cpp "
    "hpp cc rs go java kt rb php swift sql db sqlite log lock env ipynb tex bib bin iso img "
    "onnx gguf pt vue lua pl r jl cs dockerfile gitignore editorconfig npmrc bashrc zshrc"
)
_FILE = re.compile(
    r"(?P<stem>(?:[\w-]{0,60}\.){0,3}[\w-]{0,60})\.(?P<ext>[A-Za-z][A-Za-z0-9]{0,10})(?![\w@])"
)
_PATH = re.compile(
    r"(?:~|\.{1,2})?/?[\w.-]{1,60}(?:/[\w.@-]{1,60}){1,12}/?|~?/[\w.-]{1,60}/?|(?:~|\.{1,2})/"
)
_WINDOWS_PATH = re.compile(r"[A-Za-z]:\\(?:[\w. -]{1,60}\\){0,10}[\w.-]{1,60}")
_ZIP = re.compile(r"(\d{5})-(\d{4})(?![\w-])")
_UUID = re.compile(
    r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}(?!\w)"
)
_HASH = re.compile(r"(?=[a-f]{0,40}\d)(?=\d{0,40}[a-f])[0-9a-f]{7,128}(?!\w)")
_HEX = re.compile(r"0[xX]([0-9a-fA-F]{1,32})(?!\w)")
_COLOUR = re.compile(r"#([0-9a-fA-F]{6}|[0-9a-fA-F]{3})(?!\w)")
_IPV4 = re.compile(r"((?:\d{1,3}\.){3}\d{1,3})(?::(\d{1,5}))?(?:/(\d{1,2}))?(?![\w]|\.\d)")
_IPV6 = re.compile(r"(?:[0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F]{1,4}(?![\w:])")
_MAC = re.compile(r"(?:[0-9a-fA-F]{2}[:-]){5}[0-9a-fA-F]{2}(?![\w:-])")
_VERSION = re.compile(
    r"(?P<v>[vV]\.?[ ]?)?(?P<numbers>\d{1,4}(?:\.\d{1,6}){0,4})"
    r"(?P<tail>-?(?:alpha|beta|rc|b|a|dev|post)[.-]?\d{0,3})?(?!\w|\.\d)"
)
_INTERNATIONAL = re.compile(r"\+\d{1,3}(?:[ .\-/\u00a0]?\(?\d{1,6}\)?){1,7}")
_NATIONAL = {
    "en": re.compile(
        r"(?:1[ .-])?(?:\(\d{3}\)[ ]?|\d{3}[.-]|\d{3}[ ](?=\d{3}-))\d{3}[ .-]\d{4}(?![\w-])"
        r"|\d{3}-\d{4}(?![\w-])|0\d{3,4}[ ]\d{3}[ ]?\d{3,4}(?!\w)"
    ),
    "de": re.compile(r"\(?0\d{2,5}\)?(?:[ ]?[/-][ ]?|[ ])\d{2,9}(?:[ -]\d{1,8}){0,4}(?![\w-])"),
    "fr": re.compile(r"0\d(?:[ .\-\u00a0]\d{2}){4}(?!\w)"),
    "es": re.compile(r"[6789]\d{2}(?:[ -]\d{2}){3}(?!\w)|[6789]\d{2}-\d{3}-\d{3}(?!\w)"),
}  # fmt: skip
_DASHED = re.compile(r"\d{1,7}(?:-\d{1,7}){2,6}(?![\w-])|\d-\d{3}(?=-[A-Z])")
"""Digits in groups: an ISBN, or the head of 1-800-FLOWERS."""
_SPACED_MOBILE = re.compile(r"[679]\d{2} \d{3} \d{3}(?!\w)")
_TELEPHONE_WORD = re.compile(r"(?i)tel|llam|móvil|movil|número|numero|whatsapp|contact")
_HANDLE = re.compile(r"@([A-Za-z_][\w.]{0,38}\w|[A-Za-z])")
_HASHTAG = re.compile(r"#([^\W\d_]\w{0,60})")
_IDENTIFIER = re.compile(r"(?=\w{0,60}_)(?:[A-Za-z0-9]|_{1,2}(?=[A-Za-z]))\w{0,100}")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_MAX_PATH_CHARS = 40
_HASH_SPOKEN_CHARS = 7
_TRAILING = ".,;:!?'\"*_~…"


def _letters(text: str) -> str:
    return "-".join(text.upper())


def _label(text: str, language: Language) -> str:
    """One part of an address: hyphens named, digits read, short vowelless parts spelled."""
    words = language.words
    said: list[str] = []
    for part in re.findall(r"\d+|[^\W\d_]+|_+|-|\W", text):
        if part.isascii() and part.isdigit():
            long = len(part) > 4 or (part[0] == "0" and len(part) > 1)
            said.append(digits(part, language.code) if long else cardinal(int(part), language.code))
        elif part == "-":
            said.append(words["dash"])
        elif part[0] == "_":
            said.append(words["underscore"])
        elif part == ".":
            said.append(words["dot"])
        elif part in ("+", "&"):
            said.append(words["plus" if part == "+" else "and"])
        elif part == "@":
            said.append(words["at"])
        elif part == "~":
            said.append("tilde")
        elif part[0].isalpha():
            said.append(
                _CAMEL.sub(" ", part)
                if any(c in "aeiouyAEIOUYäöüéèáíóú" for c in part) or not part.isascii()
                else _letters(part)
            )
        elif part == ":":
            said.append(words["colon"])
    return " ".join(said)


def _extension(text: str) -> str:
    """A file's ending or a top-level domain: a word where it can be said, else letters."""
    vowels = sum(char in "aeiouy" for char in text.lower())
    if (
        len(text) >= 3
        and vowels
        and text.lower() not in ("html", "yml", "ini", "exe", "avi", "ico")
    ):
        return text.lower()
    return _letters(text)


def _host(host: str, language: Language) -> str:
    name, _, port = host.partition(":")
    if _IPV4.fullmatch(name):
        said = f" {language.words['dot']} ".join(
            cardinal(int(p), language.code) for p in name.split(".")
        )
    else:
        *labels, ending = name.split(".")
        last = _extension(ending) if labels and ending.isalpha() else _label(ending, language)
        said = f" {language.words['dot']} ".join(
            [_label(label, language) for label in labels if label] + [last]
        )
    return f"{said} {language.words['colon']} {_label(port, language)}" if port.isdigit() else said


def url_rule(source: Source, at: int) -> Edit | None:
    """A web address: the host, and the path if it is short; scheme, www and query are left out."""
    found = _URL.match(source.text, at) or (
        _DOMAIN.match(source.text, at) if _MAY_BE_HOST.match(source.text, at) else None
    )
    if found is None:
        scheme = _SCHEME.match(source.text, at)
        return Edit(scheme.end() - 3, scheme.end(), "") if scheme else None
    return Edit(at, *_spoken_url(found, source.language))


def _spoken_url(found: re.Match[str], language: Language) -> tuple[int, str]:
    whole = found[0]
    kept = whole.rstrip(_TRAILING)
    while kept.endswith(")") and kept.count("(") < kept.count(")"):
        kept = kept[:-1].rstrip(_TRAILING)
    end = found.start() + len(kept)
    host = found["host"][: max(0, end - found.start("host"))]
    host = host.removeprefix("www.").rpartition("@")[2].rstrip(".")
    said = _host(host, language) if host else ""
    path = (found["path"] or "")[: max(0, end - found.start("path"))] if found["path"] else ""
    segments = [part for part in path.split("/") if part]
    if segments and len(path) <= _MAX_PATH_CHARS and "%" not in path:
        slash = f" {language.words['slash']} "
        said += slash + slash.join(_label(part, language) for part in segments)
    return end, said


def neutral_url_edits(text: str) -> list[Edit]:
    """Web addresses in a language without rules: the host stays, the rest goes."""
    if "://" not in text and "www." not in text:
        return []
    edits = []
    for found in _URL.finditer(text):
        whole = found[0].rstrip(_TRAILING)
        host_start = found.start("host") + (4 if found["host"].lower().startswith("www.") else 0)
        host_end = min(found.end("host"), found.start() + len(whole))
        if host_end <= host_start:
            continue
        edits.append(Edit(found.start(), host_start, ""))
        edits.append(Edit(host_end, found.start() + len(whole), ""))
    return edits


def email_rule(source: Source, at: int) -> Edit | None:
    """`jo.doe@example.com`."""
    found = _EMAIL.match(source.text, at)
    if found is None:
        return None
    language = source.language
    said = f"{_label(found[1], language)} {language.words['at']} {_host(found[2], language)}"
    return Edit(at, found.end(), said)


def file_rule(source: Source, at: int) -> Edit | None:
    """A file's name or a path."""
    text, language = source.text, source.language
    if not source.char_before(at).isspace() and source.char_before(at) not in "([{\"'“«=:":
        return None
    dot, slash = language.words["dot"], language.words["slash"]
    if found := _WINDOWS_PATH.match(text, at):
        drive, *parts = found[0].split("\\")
        said = [drive[0].upper(), language.words["colon"]]
        for part in parts:
            said += [language.words["backslash"], _file_name(part, dot, language)]
        return Edit(at, found.end(), " ".join(said))
    if "/" in text[at : at + 61] and (found := _PATH.match(text, at)):
        whole = found[0].rstrip(".-")
        if _is_path(whole):
            pieces = []
            for index, part in enumerate(whole.split("/")):
                if index:
                    pieces.append(slash)
                if part in (".", ".."):
                    pieces.append(" ".join([dot] * len(part)))
                elif part:
                    pieces.append(_file_name(part, dot, language))
            if whole.endswith("/"):
                pieces.pop()
            return source.edit(at, at + len(whole), " ".join(pieces))
    found = _FILE.match(text, at)
    if found and found["ext"].lower() in _EXTENSIONS and (found["stem"] or found["ext"].islower()):
        if found["stem"] and found["ext"] not in (found["ext"].lower(), found["ext"].upper()):
            return None
        if len(found["ext"]) == 1 and (len(found["stem"]) < 2 or not found["ext"].islower()):
            return None
        return source.edit(at, found.end(), _file_name(found[0], dot, language))
    return None


def _is_path(text: str) -> bool:
    if text.startswith(("/", "~/", "./", "../")):
        return any(char.isalnum() for char in text)
    last = text.rstrip("/").rpartition("/")[2]
    if "." in last and last.rpartition(".")[2].lower() in _EXTENSIONS:
        return True
    return (
        text.count("/") >= 2
        and text.islower()
        and not text.replace("/", "").isdigit()
        and (
            text.endswith("/")
            or text.split("/")[0]
            in ("src", "usr", "home", "etc", "var", "lib", "bin", "docs", "tests", "app", "api")
        )
    )


def _file_name(name: str, dot: str, language: Language) -> str:
    stem, point, ext = name.rpartition(".")
    if not point:
        return _label(name, language)
    ending = _extension(ext) if ext.isalpha() else _label(ext, language)
    said = f" {dot} ".join(_label(part, language) for part in stem.split(".") if part)
    if name.startswith(".") and said:
        said = f"{dot} {said}"
    return f"{said} {dot} {ending}" if said else f"{dot} {ending}"


def number_like_rule(source: Source, at: int) -> Edit | None:
    """Digits that are not a quantity: IP and MAC addresses, hashes, hex, versions, telephones."""
    text, language = source.text, source.language
    if source.char_before(at).isalnum():
        return None
    if found := _IPV4.match(text, at):
        parts = found[1].split(".")
        if all(int(part) < 256 for part in parts):
            said = f" {language.words['dot']} ".join(cardinal(int(p), language.code) for p in parts)
            if found[2]:
                said += f" {language.words['colon']} {_label(found[2], language)}"
            if found[3]:
                said += f" {language.words['slash']} {cardinal(int(found[3]), language.code)}"
            return Edit(at, found.end(), said)
    if found := _HEX.match(text, at):
        return Edit(at, found.end(), f"{language.words['hex']} {_spelled(found[1], language)}")
    if telephone := telephone_rule(source, at):
        return telephone
    if language.code == "en" and (found := _ZIP.match(text, at)):
        return Edit(at, found.end(), f"{digits(found[1], 'en')}, {digits(found[2], 'en')}")
    found = _VERSION.match(text, at)
    number = parse(source, at)
    if number and number.grouped:
        return None
    if (
        found
        and found["numbers"].count(".") >= 2
        and all(len(n) < 5 for n in found["numbers"].split("."))
    ):
        return source.edit(at, found.end(), _spoken_version(found, language))
    return hash_rule(source, at)


def hash_rule(source: Source, at: int) -> Edit | None:
    """Hashes and UUIDs: the first characters, one by one; the rest is not said."""
    if source.char_before(at).isalnum():
        return None
    found = _MAC.match(source.text, at) or _IPV6.match(source.text, at)
    if found and (any(char.isalpha() for char in found[0]) or found[0].count(":") >= 4):
        groups = [group for group in re.split(r"[:-]", found[0]) if group]
        said = ", ".join(_spelled(group, source.language) for group in groups)
        return Edit(at, found.end(), said)
    found = _UUID.match(source.text, at) or _HASH.match(source.text, at)
    if found is None:
        return None
    return Edit(at, found.end(), _spelled(found[0][:_HASH_SPOKEN_CHARS], source.language))


def _spelled(text: str, language: Language) -> str:
    return " ".join(
        cardinal(int(char), language.code) if char.isdigit() else char.upper() for char in text
    )


def version_rule(source: Source, at: int) -> Edit | None:
    """`v2.0.1`, `V3`."""
    found = _VERSION.match(source.text, at)
    if found is None or not found["v"] or source.char_before(at).isalnum():
        return None
    if " " in found["v"] and "." not in found["numbers"]:
        return None
    said = _spoken_version(found, source.language)
    name = source.language.words["version"]
    known = source.word_before(at).lower() == name.lower()
    return Edit(at, found.end(), said if known else f"{name} {said}")


def _spoken_version(found: re.Match[str], language: Language) -> str:
    point = "point" if language.code == "en" else language.words["dot"]
    said = f" {point} ".join(
        digits(part, language.code)
        if part[0] == "0" and len(part) > 1
        else cardinal(int(part), language.code)
        for part in found["numbers"].split(".")
    )
    if found["tail"]:
        tail = re.fullmatch(r"-?([a-z]+)[.-]?(\d*)", found["tail"])
        assert tail is not None  # the pattern of `tail` says so
        name = {"rc": "R-C", "a": "alpha", "b": "beta"}.get(tail[1], tail[1])
        said += f" {name}" + (f" {cardinal(int(tail[2]), language.code)}" if tail[2] else "")
    return said


def telephone_rule(source: Source, at: int) -> Edit | None:
    """Telephone numbers, group by group; digit by digit, in French by twos."""
    text, language = source.text, source.language
    if source.char_before(at).isalnum():
        return None
    if found := _DASHED.match(text, at):
        said = ", ".join(digits(group, language.code) for group in found[0].split("-"))
        return Edit(at, found.end(), said)
    found = (
        _INTERNATIONAL.match(text, at)
        if text[at] == "+"
        else _NATIONAL[language.code].match(text, at)
    )
    if found is None and language.code == "es" and text[at].isdigit():
        near = text[max(0, at - 30) : at]
        found = _SPACED_MOBILE.match(text, at) if _TELEPHONE_WORD.search(near) else None
    if found is None:
        return None
    groups = re.findall(r"\d+", found[0])
    count = sum(map(len, groups))
    if not 7 <= count <= 15 or not found[0].isascii() or source.char_at(found.end()).isalnum():
        return None
    if language.code == "fr" and len(groups) > 2:
        spoken = [_french_group(group) for group in groups]
    else:
        spoken = [digits(group, language.code) for group in groups]
    lead = f"{language.words['plus']} " if text[at] == "+" else ""
    return Edit(at, found.end(), lead + ", ".join(spoken))


def _french_group(group: str) -> str:
    if len(group) > 2 or group == "00":
        return digits(group, "fr")
    return f"{'zéro ' if group[0] == '0' and len(group) == 2 else ''}{cardinal(int(group), 'fr')}"


def tag_rule(source: Source, at: int) -> Edit | None:
    """`@name`, `#topic`, `#5`, `#FF8800`."""
    text, language = source.text, source.language
    if source.char_before(at).isalnum():
        return None
    if text[at] == "@":
        handle = _HANDLE.match(text, at)
        if handle is None:
            return None
        return Edit(at, handle.end(), f"{language.words['at']} {_label(handle[1], language)}")
    colour = _COLOUR.match(text, at)
    if colour and (len(colour[1]) == 6 or not colour[1].isdigit()) and not colour[1].isalpha():
        return Edit(at, colour.end(), f"{language.words['hex']} {_spelled(colour[1], language)}")
    if text[at + 1 : at + 2].isdigit():
        return Edit(at, at + 1, f"{language.words['number']} ")
    hashtag = _HASHTAG.match(text, at)
    if hashtag is None:
        return None
    name = _CAMEL.sub(" ", hashtag[1]).replace("_", " ")
    return Edit(at, hashtag.end(), f"{language.words['hashtag']} {name}")


def identifier_rule(source: Source, at: int) -> Edit | None:
    """`snake_case`, `MAX_LEN`, `__init__`."""
    found = _IDENTIFIER.match(source.text, at)
    if found is None or source.char_before(at).isalnum():
        return None
    parts = [part for part in found[0].split("_") if part]
    if not parts:
        return Edit(at, found.end(), "")
    said = " ".join(_label(part, source.language) for part in parts)
    end = found.end()
    if source.text.startswith("()", end):
        end += 2
    return Edit(at, end, said)
