"""TeX maths, as chat answers use it, turned into text that the number rules can read."""

from __future__ import annotations

import re
from collections.abc import Mapping

from speech.text.language import Language

_MATHS_SIGN = re.compile(r"[\\^_=+<>{}]|\w[ ]?[-*/][ ]?\w|^[A-Za-z]'?$|[a-zA-Z]\(|\d[ ]?[a-z]\b")
_PRICE = re.compile(r"^\d[\d.,]*\s+\w\w|\s(?:US|CA?|AU?|NZ|HK|MX|R)$")
_PLAIN_GROUP = re.compile(
    r"\\(?:text|textbf|textit|mathrm|mathbf|mathit|mathbb|mathcal|operatorname|boxed|bar|hat|vec|"
    r"overline|underline|displaystyle)\s?\{([^{}]*)\}"
)
_FRACTION = re.compile(r"\\[dt]?frac\s?\{([^{}]*)\}\s?\{([^{}]*)\}")
_ROOT = re.compile(r"\\sqrt\s?(?:\[([^\[\]]*)\])?\s?\{([^{}]*)\}")
_POWER = re.compile(r"\s?\^\s?(?:\{([^{}]*)\}|(\\[A-Za-z]+|\w))")
_INDEX = re.compile(r"_\s?(?:\{([^{}]*)\}|(\\[A-Za-z]+|\w))")
_COMMAND = re.compile(r"\\([A-Za-z]+)\*?")
_SPACING = re.compile(r"\\[,;:!> ]|\\\\|[{}&]|~")
_SYMBOLS = {
    "times": " × ", "cdot": " × ", "div": " ÷ ", "pm": " ± ", "leq": " ≤ ", "le": " ≤ ",
    "geq": " ≥ ", "ge": " ≥ ", "lt": " < ", "gt": " > ", "neq": " ≠ ", "ne": " ≠ ",
    "approx": " ≈ ", "sim": " ≈ ", "equiv": " = ", "infty": " ∞ ", "to": " → ",
    "rightarrow": " → ", "Rightarrow": " → ", "implies": " → ", "circ": "°", "percent": "%",
    "left": "", "right": "", "quad": " ", "qquad": " ", "big": "", "Big": "", "bigl": "",
    "bigr": "", "displaystyle": "", "limits": "", "ldots": ", ", "cdots": ", ", "dots": ", ",
    "begin": "", "end": "",
}  # fmt: skip
_NESTING_LIMIT = 6


def looks_like_maths(tex: str) -> bool:
    """Whether text between two dollar signs is maths rather than two prices."""
    return _MATHS_SIGN.search(tex) is not None and _PRICE.search(tex) is None


def speak(tex: str, language: Language | None) -> str:
    """TeX without its commands: fractions, roots and powers in words, the rest as symbols."""
    words = language.words if language else {}
    over, root = words.get("over", "/"), words.get("square_root_of", "√")
    spoken = re.sub(r"\\(?:begin|end)\s?\{[^{}]*\}", " ", tex)
    spoken = re.sub(r"\\([%$#&_])", r"\1", spoken)
    for _ in range(_NESTING_LIMIT):
        before = spoken
        spoken = _PLAIN_GROUP.sub(r"\1", spoken)
        spoken = _ROOT.sub(lambda m: f" {root} {m[2]} ", spoken)
        spoken = _POWER.sub(lambda m: _power(m[1] or m[2] or "", words), spoken)
        spoken = _INDEX.sub(lambda m: f" {m[1] or m[2]} ", spoken)
        spoken = _FRACTION.sub(lambda m: f" {m[1]} {over} {m[2]} ", spoken)
        if spoken == before:
            break
    spoken = _COMMAND.sub(lambda m: _SYMBOLS.get(m[1], f" {m[1]} "), spoken)
    spoken = _SPACING.sub(" ", spoken).replace("^", " ").replace("_", " ").replace("\\", " ")
    spoken = re.sub(r"\s?([=+])\s?", r" \1 ", spoken)
    spoken = re.sub(r"\s?-\s?(?=[\w(])", " − ", spoken)
    return re.sub(r"\s+(?=[,.)])|\s{2,}", lambda m: " " if len(m[0]) > 1 else "", spoken).strip()


def _power(exponent: str, words: Mapping[str, str]) -> str:
    if exponent == "\\circ":
        return "°"
    if exponent in ("2", "3"):
        return f" {words.get('squared' if exponent == '2' else 'cubed', exponent)} "
    return f" {words.get('to_the_power', '^')} {exponent} "
