"""French."""

from speech.text.language import Currency, Language, month_name, months_of, word_set
from speech.text.spelling import cardinal, ordinal, year

_LOCALE = "fr_FR"


def _date(day: int | None, month: int | None, year_: int | None, before: str) -> str:
    parts = []
    if day:
        parts.append(ordinal(1, "fr") if day == 1 else cardinal(day, "fr"))
    if month:
        parts.append(month_name(_LOCALE, month))
    if year_ is not None:
        parts.append(year(year_, "fr"))
    return " ".join(parts)


def _clock(hour: int, minute: int, second: int | None) -> str:
    said = f"{cardinal(hour, 'fr', 'f')} heure{'s' if hour > 1 else ''}"
    if minute or second is not None:
        said += f" {cardinal(minute, 'fr', 'f')}"
    if second is not None:
        said += f" et {cardinal(second, 'fr', 'f')} seconde{'s' if second > 1 else ''}"
    return said


LANGUAGE = Language(
    code="fr",
    locale=_LOCALE,
    decimal=",",
    grouping=" .\u00a0\u202f\u2009",
    words={
        "minus": "moins", "point": "virgule", "dot": "point", "percent": "pour cent", "to": "à",
        "and": "et", "plus": "plus", "times": "fois", "by": "sur", "equals": "égale",
        "divided": "divisé par", "at": "arobase", "slash": "slash", "dash": "tiret",
        "or": "ou", "underscore": "tiret bas", "colon": "deux-points", "number": "numéro",
        "hashtag": "hashtag", "less": "inférieur à", "greater": "supérieur à",
        "about": "environ", "per": "par", "version": "version", "hex": "hexadécimal",
        "sharp": "sharp", "out_of": "sur", "over": "sur", "ratio": "pour",
        "square_root_of": "racine carrée de", "squared": "au carré", "cubed": "au cube",
        "to_the_power": "puissance", "degree": "degré", "degrees": "degrés", "half": "et demi",
        "backslash": "barre oblique inverse", "with": "avec", "thousandths": "pour mille",
        "section": "paragraphe", "without": "sans",
    },
    symbols={
        "&": "et", "±": "plus ou moins", "×": "fois", "÷": "divisé par",
        "≈": "environ égal à", "≠": "différent de", "≤": "inférieur ou égal à",
        "≥": "supérieur ou égal à", "→": "vers", "⇒": "donc", "←": "depuis", "↔": "et",
        "∞": "infini", "√": "racine carrée de", "∑": "somme", "∫": "intégrale", "π": "pi",
        "−": "moins", "Δ": "delta", "➡": "vers", "↑": "haut", "↓": "bas", "∈": "dans",
        "∆": "delta",
    },
    abbreviations={
        "p. ex.": "par exemple", "p.ex.": "par exemple", "par ex.": "par exemple",
        "c.-à-d.": "c'est-à-dire", "c.à.d.": "c'est-à-dire", "etc.": "et cetera",
        "env.": "environ", "cf.": "voir", "av. j.-c.": "avant Jésus-Christ",
        "apr. j.-c.": "après Jésus-Christ", "ex.": "exemple", "tél.": "téléphone",
        "max.": "maximum", "min.": "minimum", "i.e.": "c'est-à-dire", "e.g.": "par exemple",
        "càd": "c'est-à-dire", "qqn": "quelqu'un", "qqch": "quelque chose", "n.b.":
        "nota bene", "c. à s.": "cuillères à soupe", "c. à c.": "cuillères à café",
        "c. à café": "cuillère à café", "c. à soupe": "cuillère à soupe",
        "vs": "contre", "ctrl+": "contrôle ",
    },
    titles={
        "m.": "Monsieur", "mm.": "Messieurs", "dr.": "Docteur", "dr": "Docteur",
        "mme": "Madame", "mmes": "Mesdames", "mlle": "Mademoiselle", "pr.": "Professeur",
        "pr": "Professeur", "me": "Maître", "st": "Saint", "ste": "Sainte", "n°": "numéro",
        "nº": "numéro", "art.": "article", "p.": "page", "pp.": "pages", "vol.": "volume",
        "chap.": "chapitre", "fig.": "figure", "bd": "boulevard", "av.": "avenue",
        "no.": "numéro",
    },
    initials={"API": "A-P-I", "UE": "U-E", "IA": "I-A", "USA": "U-S-A", "UI": "U-I",
              "UX": "U-X", "EU": "E-U", "AI": "A-I", "IP": "I-P", "IUT": "I-U-T",
              "ETA": "E-T-A", "USB": "U-S-B", "URL": "U-R-L", "RATP": "R-A-T-P"},
    currencies={
        "$": Currency("dollar", "dollars", "cent", "cents"),
        "USD": Currency("dollar américain", "dollars américains", "cent", "cents"),
        "EUR": Currency("euro", "euros", "centime", "centimes"),
        "GBP": Currency("livre", "livres", "penny", "pence", feminine=True),
        "JPY": Currency("yen", "yens"), "CNY": Currency("yuan", "yuans"),
        "INR": Currency("roupie", "roupies", "paisa", "paisas", feminine=True),
        "CHF": Currency("franc suisse", "francs suisses", "centime", "centimes"),
        "KRW": Currency("won", "wons"), "RUB": Currency("rouble", "roubles"),
        "BTC": Currency("bitcoin", "bitcoins"), "¢": Currency("cent", "cents"),
    },
    magnitudes={
        "mille": ("mille", "mille"), "million": ("million", "millions"),
        "millions": ("million", "millions"), "milliard": ("milliard", "milliards"),
        "milliards": ("milliard", "milliards"), "billion": ("billion", "billions"),
        "billions": ("billion", "billions"),
    },
    scale_letters={"M": "million", "Md": "milliard", "Mds": "milliard", "k": "mille",
                   "K": "mille", "Mrd": "milliard"},
    months=months_of(_LOCALE, {"jan": 1, "fév": 2, "avr": 4, "déc": 12}),
    units={"sec": "duration-second", "To": "digital-terabyte", "Go": "digital-gigabyte",
           "Mo": "digital-megabyte", "Ko": "digital-kilobyte", "ko": "digital-kilobyte"},
    feminine_units=word_set(
        "duration-hour duration-minute duration-second mass-tonne mass-pound mass-ounce "
        "duration-millisecond duration-week energy-calorie energy-kilocalorie"
    ),
    fractions={2: ("demi", "demis"), 3: ("tiers", "tiers"), 4: ("quart", "quarts")},
    roman_nouns=word_set(
        "chapitre partie acte scène tome volume livre section article titre annexe phase niveau "
        "type classe guerre louis henri charles françois napoléon élisabeth philippe jean paul "
        "pie benoît léon pape catherine alexandre nicolas guillaume république"
    ),
    year_words=frozenset(["en", "depuis", "année", "an", "avant", "après"]),
    day_first=True,
    date=_date,
    clock=_clock,
)  # fmt: skip
