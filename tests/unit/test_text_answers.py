"""Whole answers, as chat models write them, through the sentence buffer: no markup is spoken."""

from __future__ import annotations

import re

import pytest

from speech.sentences import SentenceStreamBuffer
from speech.text import SpokenStream

ENGLISH = """# Making pasta 🍝

Here's a **simple recipe** that takes 20–25 minutes (serves 2-4):

- 400 g spaghetti
- *Optional:* fresh basil 🌿

1. **Boil** 4 L of water at 100°C.
2. Add the pasta & cook.

> **Tip:** Save ½ cup of water!

| Item | Price |
|------|------:|
| Pasta | $1.99 |

Then run `pip install x` and:

```python
print("**hello**")  # | 1 |
```

$$
E = mc^2
$$

See [the docs](https://example.com/a_b?c=d) or mail jo@example.com.[1] It costs ~$9.00...
"""
GERMAN = """## Überblick

Der Zug fährt um 7:05 Uhr ab und kostet **39,99 €/Monat**.

1. **Strom:** 0,35 €/kWh
2. *Miete:* 850 €

Siehe [hier](https://example.de), z. B. `code`. 😊
"""
FRENCH = """## Crêpes 🥞

Pour **4 personnes** :

- 250 g de farine
- 1/2 L de lait

Laissez reposer 1 h 30 à 20 °C, puis voyez [ici](https://exemple.fr).
"""
SPANISH = """## Plan ✈️

El vuelo sale el 12 de octubre de 2025 a las 18:45 y cuesta **249,99 €**.

1. **Madrid:** 657 m
2. *Toledo:* a 72 km, p. ej. `x`
"""
MARKUP = re.compile(r"[*_`#|\[\]<>$€°~^{}\\&@=]|https?:|\d|\ufe0f|[\U0001f300-\U0001faff]")


@pytest.mark.parametrize(
    ("language", "answer"),
    [("en", ENGLISH), ("de", GERMAN), ("fr", FRENCH), ("es", SPANISH)],
    ids=["en", "de", "fr", "es"],
)
def test_no_markup_and_no_digit_is_spoken(language: str, answer: str) -> None:
    buffer, stream = SentenceStreamBuffer(), SpokenStream(language)
    said = [stream.push(s).spoken for s in [*buffer.push(answer), *buffer.flush()]]
    assert [part for part in said if MARKUP.search(part)] == []
    assert sum(len(part) for part in said) > len(answer) / 2


def test_a_whole_answer_in_order() -> None:
    buffer, stream = SentenceStreamBuffer(), SpokenStream("en")
    said = [stream.push(s).spoken for s in [*buffer.push(ENGLISH), *buffer.flush()]]
    words = re.findall(r"[\w'-]+", " ".join(said))
    assert " ".join(words) == (
        "Making pasta Here's a simple recipe that takes twenty to twenty-five minutes serves two "
        "to four four hundred grams spaghetti Optional fresh basil one Boil four liters of water "
        "at one hundred degrees Celsius two Add the pasta and cook Tip Save one half cup of water "
        "Item Price Pasta one dollar and ninety-nine cents Then run pip install x and E equals mc "
        "squared See the docs or mail jo at example dot com It costs about nine dollars"
    )
