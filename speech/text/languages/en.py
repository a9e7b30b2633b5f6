"""English."""

from speech.text.language import Currency, Language, month_name, months_of, word_set
from speech.text.spelling import cardinal, ordinal, year

_LOCALE = "en_US"


def _date(day: int | None, month: int | None, year_: int | None, before: str) -> str:
    name = month_name(_LOCALE, month) if month else ""
    said = f"{name} {ordinal(day, 'en')}" if day else name
    return f"{said}, {year(year_, 'en')}" if year_ is not None and day else (
        f"{said} {year(year_, 'en')}" if year_ is not None else said
    )  # fmt: skip


def _clock(hour: int, minute: int, second: int | None) -> str:
    said = cardinal(hour, "en")
    if minute == 0:
        said += " o'clock" if 0 < hour < 13 else " hundred"
    else:
        said += f" oh {cardinal(minute, 'en')}" if minute < 10 else f" {cardinal(minute, 'en')}"
    if second is not None:
        said += f" and {cardinal(second, 'en')} second{'' if second == 1 else 's'}"
    return said


LANGUAGE = Language(
    code="en",
    locale=_LOCALE,
    decimal=".",
    grouping=",\u00a0\u202f\u2009'’",
    words={
        "minus": "minus", "point": "point", "dot": "dot", "percent": "percent", "to": "to",
        "and": "and", "plus": "plus", "times": "times", "by": "by", "equals": "equals",
        "divided": "divided by", "at": "at", "slash": "slash", "dash": "dash", "or": "or",
        "underscore": "underscore", "colon": "colon", "number": "number", "hashtag": "hashtag",
        "less": "less than", "greater": "greater than", "about": "about", "per": "per",
        "version": "version", "hex": "hex", "sharp": "sharp", "out_of": "out of", "over": "over",
        "ratio": "to", "square_root_of": "square root of", "squared": "squared",
        "cubed": "cubed", "to_the_power": "to the power of", "degree": "degree",
        "degrees": "degrees", "half": "a half", "backslash": "backslash", "hundreds": "hundreds",
        "with": "with", "without": "without", "thousandths": "per thousand", "section": "section",
    },
    symbols={
        "&": "and", "±": "plus or minus", "×": "times", "÷": "divided by", "≈": "approximately",
        "≠": "is not equal to", "≤": "less than or equal to", "≥": "greater than or equal to",
        "→": "to", "⇒": "means", "←": "from", "↔": "to and from", "∞": "infinity",
        "√": "square root of", "∑": "sum", "∫": "integral", "π": "pi", "−": "minus",
        "∈": "in", "∂": "partial", "Δ": "delta", "➡": "to", "↑": "up", "↓": "down",
        "≡": "is equivalent to", "∆": "delta", "¬": "not", "∝": "is proportional to",
    },
    abbreviations={
        "e.g.": "for example", "i.e.": "that is", "etc.": "et cetera", "vs.": "versus",
        "approx.": "approximately", "dept.": "department", "est.": "established",
        "incl.": "including", "excl.": "excluding", "cf.": "compare", "resp.": "respectively",
        "tbsp.": "tablespoons", "tsp.": "teaspoons", "w/o": "without", "w/": "with",
        "a.k.a.": "also known as", "misc.": "miscellaneous", "govt.": "government",
        "b/c": "because", "ph.d.": "P-H-D", "viz.": "namely", "et al.": "and others",
        "ca.": "circa", "ctrl+": "control ", "cmd+": "command ", "alt+": "alt ",
        "shift+": "shift ",
        "tbsp": "tablespoons", "tsp": "teaspoons", "vs": "versus", "hrs": "hours",
        "mins": "minutes", "secs": "seconds", "approx": "approximately",
    },
    titles={
        "dr.": "Doctor", "mr.": "Mister", "mrs.": "Missus", "ms.": "Miz", "prof.": "Professor",
        "sr.": "Senior", "jr.": "Junior", "st.": "Saint", "mt.": "Mount", "no.": "number",
        "nos.": "numbers", "fig.": "figure", "figs.": "figures", "vol.": "volume",
        "ch.": "chapter", "pp.": "pages", "p.": "page", "sec.": "section", "eq.": "equation",
        "gen.": "General", "sen.": "Senator", "rep.": "Representative", "gov.": "Governor",
        "capt.": "Captain", "sgt.": "Sergeant", "lt.": "Lieutenant", "col.": "Colonel",
        "rev.": "Reverend", "hon.": "Honorable", "ft.": "Fort", "max.": "maximum",
        "min.": "minimum", "avg.": "average", "ver.": "version", "ed.": "edition",
        "ext.": "extension",
        "c.": "circa", "inc.": "Incorporated", "ltd.": "Limited", "corp.": "Corporation",
        "co.": "Company", "ave.": "Avenue", "blvd.": "Boulevard", "rd.": "Road",
    },
    initials={"FAQ": "F-A-Q", "FAQs": "F-A-Qs", "AWS": "A-W-S", "UX": "U-X", "ETA": "E-T-A",
              "AOC": "A-O-C", "IDE": "I-D-E", "IDEs": "I-D-Es", "IPO": "I-P-O", "ISO": "ISO",
              "UI": "U-I", "OS": "O-S", "QA": "Q-A", "SEO": "S-E-O", "EOD": "E-O-D"},
    currencies={
        "$": Currency("dollar", "dollars", "cent", "cents"),
        "USD": Currency("US dollar", "US dollars", "cent", "cents"),
        "EUR": Currency("euro", "euros", "cent", "cents"),
        "GBP": Currency("pound", "pounds", "penny", "pence"),
        "JPY": Currency("yen", "yen"),
        "CNY": Currency("yuan", "yuan"),
        "INR": Currency("rupee", "rupees", "paisa", "paise"),
        "CHF": Currency("Swiss franc", "Swiss francs", "centime", "centimes"),
        "KRW": Currency("won", "won"), "RUB": Currency("ruble", "rubles", "kopeck", "kopecks"),
        "BTC": Currency("bitcoin", "bitcoins"), "¢": Currency("cent", "cents"),
    },
    magnitudes={
        "hundred": ("hundred", "hundred"), "thousand": ("thousand", "thousand"),
        "million": ("million", "million"), "billion": ("billion", "billion"),
        "trillion": ("trillion", "trillion"), "quadrillion": ("quadrillion", "quadrillion"),
    },
    scale_letters={"k": "thousand", "K": "thousand", "m": "million", "M": "million",
                   "mn": "million", "mm": "million", "MM": "million", "mil": "million",
                   "b": "billion", "B": "billion", "bn": "billion", "Bn": "billion",
                   "t": "trillion", "T": "trillion", "tn": "trillion"},
    months=months_of(_LOCALE, {"sept": 9}),
    units={"mph": "speed-mile-per-hour", "lbs": "mass-pound", "lb": "mass-pound",
           "oz": "mass-ounce", "ft": "length-foot", "mi": "length-mile", "yd": "length-yard",
           "in": "length-inch", "gal": "volume-gallon", "mpg": "consumption-mile-per-gallon",
           "sq ft": "area-square-foot", "hr": "duration-hour", "hrs": "duration-hour",
           "yr": "duration-year", "yrs": "duration-year", "sec": "duration-second",
           "secs": "duration-second", "mins": "duration-minute", "psi":
           "pressure-pound-force-per-square-inch", "kph": "speed-kilometer-per-hour",
           "fl oz": "volume-fluid-ounce"},
    feminine_units=frozenset(),
    fractions={2: ("half", "halves"), 3: ("third", "thirds"), 4: ("quarter", "quarters")},
    roman_nouns=word_set(
        "chapter part act scene volume vol book section article title appendix phase stage type "
        "level class grade war bowl mark figure table unit day step tier episode season group "
        "category division schedule annex exhibit lesson module iteration round generation rocky "
        "fantasy quest elizabeth henry louis charles george edward james william richard john "
        "paul pius benedict leo napoleon philip catherine alexander nicholas francis ramses "
        "ptolemy mary peter frederick felipe juan carlos umberto victor wilhelm"
    ),
    year_words=word_set(
        "c ca in since by from until till of year years during circa around early late mid before "
        "after through to and spring summer autumn fall winter for ©"
    ),
    day_first=False,
    date=_date,
    clock=_clock,
)  # fmt: skip
