"""German."""

from speech.text.language import Currency, Language, month_name, months_of, word_set
from speech.text.spelling import cardinal, ordinal, year

_LOCALE = "de_DE"
_DATIVE = word_set(
    "am im vom zum beim ab bis seit den dem des einem einer eines jedem jeden nach vor ihrem "
    "seinem unserem diesem diesen dieser ihren seinen der zur meinem meinen"
) - {"der"}
_NOMINATIVE_R = frozenset(["ein", "kein", "mein", "dein", "sein", "ihr", "unser", "jeder"])


def _ordinal_form(before: str) -> str:
    word = before.lower()
    if word in _DATIVE:
        return "spellout-ordinal-n"
    return "spellout-ordinal-r" if word in _NOMINATIVE_R else "spellout-ordinal"


def _date(day: int | None, month: int | None, year_: int | None, before: str) -> str:
    parts = []
    if day:
        article = before.lower() in ("der", "die", "das", "dieser")
        dative = _ordinal_form(before) == "spellout-ordinal-n"
        form = "spellout-ordinal" + ("" if article else "-n" if dative else "-r")
        parts.append(ordinal(day, "de", form))
    if month:
        parts.append(month_name(_LOCALE, month))
    if year_ is not None:
        parts.append(year(year_, "de"))
    return " ".join(parts)


def _clock(hour: int, minute: int, second: int | None) -> str:
    said = f"{'ein' if hour == 1 else cardinal(hour, 'de')} Uhr"
    if minute or second is not None:
        said += f" {cardinal(minute, 'de')}"
    if second is not None:
        said += f" und {cardinal(second, 'de', 'f')} Sekunde{'' if second == 1 else 'n'}"
    return said


LANGUAGE = Language(
    code="de",
    locale=_LOCALE,
    decimal=",",
    grouping=".\u00a0\u202f\u2009'’",
    words={
        "minus": "minus", "point": "Komma", "dot": "Punkt", "percent": "Prozent", "to": "bis",
        "and": "und", "plus": "plus", "times": "mal", "by": "mal", "equals": "gleich",
        "divided": "geteilt durch", "at": "ät", "slash": "Schrägstrich", "dash": "minus",
        "or": "oder", "underscore": "Unterstrich", "colon": "Doppelpunkt", "number": "Nummer",
        "hashtag": "Hashtag", "less": "kleiner als", "greater": "größer als", "about": "etwa",
        "per": "pro", "version": "Version", "hex": "hexadezimal", "sharp": "sharp",
        "out_of": "von", "over": "durch", "ratio": "zu", "square_root_of": "Wurzel aus",
        "squared": "Quadrat", "cubed": "hoch drei", "to_the_power": "hoch", "degree": "Grad",
        "degrees": "Grad", "half": "einhalb", "backslash": "Backslash", "with": "mit",
        "thousandths": "Promille", "section": "Paragraf", "without": "ohne",
    },
    symbols={
        "&": "und", "±": "plus minus", "×": "mal", "÷": "geteilt durch", "≈": "ungefähr",
        "≠": "ungleich", "≤": "kleiner oder gleich", "≥": "größer oder gleich", "→": "zu",
        "⇒": "daraus folgt", "←": "von", "↔": "und", "∞": "unendlich", "√": "Wurzel aus",
        "∑": "Summe", "∫": "Integral", "π": "Pi", "−": "minus", "Δ": "Delta", "➡": "zu",
        "↑": "hoch", "↓": "runter", "∈": "in", "∆": "Delta", "¬": "nicht",
    },
    abbreviations={
        "z. b.": "zum Beispiel", "z.b.": "zum Beispiel", "d. h.": "das heißt",
        "d.h.": "das heißt", "u. a.": "unter anderem", "u.a.": "unter anderem",
        "usw.": "und so weiter", "etc.": "et cetera", "bzw.": "beziehungsweise", "ca.": "circa",
        "ggf.": "gegebenenfalls", "evtl.": "eventuell", "inkl.": "inklusive",
        "exkl.": "exklusive", "vgl.": "vergleiche", "sog.": "sogenannte", "bspw.":
        "beispielsweise", "zzgl.": "zuzüglich", "abzgl.": "abzüglich", "v. a.": "vor allem",
        "v.a.": "vor allem", "o. ä.": "oder ähnlich", "o.ä.": "oder ähnlich",
        "u. u.": "unter Umständen", "i. d. r.": "in der Regel", "i.d.r.": "in der Regel",
        "z. t.": "zum Teil", "z.t.": "zum Teil", "s. o.": "siehe oben", "mind.": "mindestens",
        "max.": "maximal", "min.": "minimal", "allg.": "allgemein", "geb.": "geboren",
        "gest.": "gestorben", "str.": "Straße", "tel.": "Telefon", "zzt.": "zurzeit",
        "u. v. m.": "und vieles mehr", "u.v.m.": "und vieles mehr", "uvm.": "und vieles mehr",
        "bzgl.": "bezüglich", "i. a.": "im Allgemeinen", "n. chr.": "nach Christus",
        "v. chr.": "vor Christus", "u.u.": "unter Umständen", "u. s. w.": "und so weiter",
        "o. g.": "oben genannt", "z. zt.": "zur Zeit", "o.g.": "oben genannt",
        "n.chr.": "nach Christus", "v.chr.": "vor Christus", "el": "Esslöffel", "tl": "Teelöffel",
        "jh.": "Jahrhundert", "jhd.": "Jahrhundert", "strg+": "Steuerung ",
    },
    titles={
        "dr.": "Doktor", "prof.": "Professor", "hr.": "Herr", "fr.": "Frau", "nr.": "Nummer",
        "st.": "Sankt", "abs.": "Absatz", "art.": "Artikel", "kap.": "Kapitel", "s.": "Seite",
        "bd.": "Band", "abb.": "Abbildung", "tab.": "Tabelle", "ziff.": "Ziffer", "dipl.":
        "Diplom", "ing.": "Ingenieur", "std.": "Stunden",
    },
    initials={"API": "A-P-I", "APIs": "A-P-Is", "KI": "K-I", "KIs": "K-Is", "EU": "E-U",
              "USA": "U-S-A", "US": "U-S", "CEO": "C-E-O", "ARD": "A-R-D", "UI": "U-I",
              "UX": "U-X", "AI": "A-I", "IT": "I-T", "AG": "A-G", "UN": "U-N", "IP": "I-P",
              "USB": "U-S-B", "URL": "U-R-L", "EZB": "E-Z-B", "SUV": "S-U-V", "UK": "U-K",
              "ICE": "I-C-E", "OP": "O-P", "WG": "W-G", "AGB": "A-G-B", "IBM": "I-B-M"},
    currencies={
        "$": Currency("Dollar", "Dollar", "Cent", "Cent"),
        "USD": Currency("US-Dollar", "US-Dollar", "Cent", "Cent"),
        "EUR": Currency("Euro", "Euro", "Cent", "Cent"),
        "GBP": Currency("Pfund", "Pfund", "Penny", "Pence"),
        "JPY": Currency("Yen", "Yen"), "CNY": Currency("Yuan", "Yuan"),
        "INR": Currency("Rupie", "Rupien", "Paisa", "Paise", feminine=True),
        "CHF": Currency("Franken", "Franken", "Rappen", "Rappen"),
        "KRW": Currency("Won", "Won"), "RUB": Currency("Rubel", "Rubel", "Kopeke", "Kopeken"),
        "BTC": Currency("Bitcoin", "Bitcoin"), "¢": Currency("Cent", "Cent"),
    },
    magnitudes={
        "hundert": ("hundert", "hundert"), "tausend": ("tausend", "tausend"),
        "million": ("Million", "Millionen"), "millionen": ("Million", "Millionen"),
        "milliarde": ("Milliarde", "Milliarden"), "milliarden": ("Milliarde", "Milliarden"),
        "billion": ("Billion", "Billionen"), "billionen": ("Billion", "Billionen"),
    },
    scale_letters={"Mio.": "million", "Mio": "million", "Mrd.": "milliarde", "Mrd": "milliarde",
                   "Tsd.": "tausend", "Tsd": "tausend", "k": "tausend", "K": "tausend",
                   "M": "million", "Bio.": "billion"},
    months=months_of(_LOCALE, {"jän": 1, "jänner": 1, "sept": 9, "mär": 3, "mrz": 3}),
    units={"Std.": "duration-hour", "Std": "duration-hour", "Min.": "duration-minute",
           "Sek.": "duration-second", "kWh": "energy-kilowatt-hour", "qm": "area-square-meter",
           "St.": "duration-hour"},
    feminine_units=word_set(
        "duration-hour duration-minute duration-second mass-tonne length-mile "
        "duration-millisecond energy-kilowatt-hour speed-mile-per-hour energy-calorie "
        "energy-kilocalorie duration-week mass-ounce energy-watt-hour power-horsepower "
        "energy-megawatt-hour"
    ),
    fractions={2: ("halb", "halbe"), 3: ("Drittel", "Drittel"), 4: ("Viertel", "Viertel")},
    roman_nouns=word_set(
        "kapitel teil akt szene band buch abschnitt artikel anhang phase stufe typ klasse "
        "weltkrieg ludwig heinrich friedrich wilhelm karl elisabeth otto georg franz napoleon "
        "johannes paul pius benedikt leo philipp katharina alexander nikolaus"
    ),
    year_words=word_set(
        "jahr jahre jahren seit bis von ab vor nach um anno sommer winter frühling herbst "
        "frühjahr zwischen und ende anfang mitte"
    ),
    day_first=True,
    date=_date,
    clock=_clock,
    ordinal_form=_ordinal_form,
    clock_suffixes=("Uhr",),
)  # fmt: skip
