"""The pronunciation dictionary: what to say for a word or phrase, kept in a text file."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from protocol.errors import ConfigError

_FIRST_WORD = re.compile(r"\w+|\W")
_SECTION = re.compile(r"\[([A-Za-z]{2,3}(?:[-_][A-Za-z0-9]+)*)\]")
_MAX_WRITTEN_CHARS = 200


@dataclass(frozen=True)
class _Entry:
    written: re.Pattern[str]
    spoken: str


@dataclass(frozen=True)
class Lexicon:
    """Words and phrases with their own pronunciation.

    The file is UTF-8, an entry a line: `written = spoken`. Empty lines and lines that start with
    `#` are skipped. `[de]` on a line of its own starts entries for one language; those before
    any such line hold for all. An entry without a capital letter matches in any case; one with a
    capital matches only as written. Entries match whole words; spaces match any white space; the
    longest entry wins. An empty right side silences the word.
    """

    _entries: dict[str, dict[str, list[_Entry]]] = field(default_factory=dict)

    @classmethod
    def load(cls, path: str | Path) -> Lexicon:
        """Reads a dictionary file.

        Raises:
            ConfigError: The file cannot be read, or a line is wrong; the message names the line.
        """
        try:
            text = Path(path).read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                "setting_invalid",
                f"the pronunciation dictionary {path} cannot be read as UTF-8 text: {error}",
            ) from error
        return cls.parse(text.splitlines(), source=str(path))

    @classmethod
    def parse(cls, lines: Iterable[str], *, source: str = "lexicon") -> Lexicon:
        """Reads entries from lines; `source` names them in errors.

        Raises:
            ConfigError: A line is wrong; the message names it.
        """
        entries: dict[str, dict[str, list[tuple[str, _Entry]]]] = {}
        seen: dict[tuple[str, str], int] = {}
        language = ""
        for number, raw in enumerate(lines, 1):
            line = raw.strip()
            if not line or line.startswith("#"):
                continue
            if section := _SECTION.fullmatch(line):
                language = base_language(section[1])
                continue
            written, equals, spoken = f"{line} ".rpartition(" = ")
            written = " ".join(written.split())
            problem = ""
            if not equals or not written:
                problem = f"expected `written = spoken` or `[language]`, found {line!r}"
            elif len(written) > _MAX_WRITTEN_CHARS:
                problem = f"the written form is longer than {_MAX_WRITTEN_CHARS} characters"
            elif (earlier := seen.setdefault((language, written), number)) != number:
                problem = f"{written!r} already has a pronunciation in line {earlier}"
            if problem:
                raise ConfigError("setting_invalid", f"{source}, line {number}: {problem}")
            any_case = written == written.lower()
            pattern = r"\s+".join(re.escape(word) for word in written.split(" "))
            if written[-1].isalnum():
                pattern += r"(?!\w)"
            entry = _Entry(re.compile(pattern, re.IGNORECASE if any_case else 0), spoken.strip())
            first = _FIRST_WORD.match(written)
            assert first is not None  # the written form is not empty
            entries.setdefault(language, {}).setdefault(first[0].casefold(), []).append(
                (written, entry)
            )
        return cls(
            {
                language: {
                    word: [entry for _, entry in sorted(found, key=lambda pair: -len(pair[0]))]
                    for word, found in words.items()
                }
                for language, words in entries.items()
            }
        )

    def match(self, text: str, position: int, language: str) -> tuple[int, str] | None:
        """The end and pronunciation of the entry that starts at a word's first character."""
        first = _FIRST_WORD.match(text, position)
        if first is None:
            return None
        word = first[0].casefold()
        for part in (base_language(language), ""):
            for entry in self._entries.get(part, {}).get(word, ()):
                if found := entry.written.match(text, position):
                    return found.end(), entry.spoken
        return None


def base_language(language: str) -> str:
    """`en` of `en_US`, `EN-gb` and `en`."""
    return re.split(r"[-_]", language, maxsplit=1)[0].lower()
