"""Spanish."""

from speech.text.language import Currency, Language, month_name, months_of, word_set
from speech.text.spelling import cardinal, year

_LOCALE = "es_ES"


def _date(day: int | None, month: int | None, year_: int | None, before: str) -> str:
    parts = []
    if day:
        parts.append("uno" if day == 1 else cardinal(day, "es"))
    if month:
        parts.append(month_name(_LOCALE, month))
    if year_ is not None:
        parts.append(year(year_, "es"))
    return " de ".join(parts)


def _clock(hour: int, minute: int, second: int | None) -> str:
    said = cardinal(hour, "es", "f")
    if minute == 0 and second is None:
        return f"{said} horas" if hour > 12 or hour == 0 else f"{said} en punto"
    said += f"{' y' if hour <= 12 else ''} {cardinal(minute, 'es')}"
    if second is not None:
        said += f" y {cardinal(second, 'es', 'm')} segundo{'' if second == 1 else 's'}"
    return said


LANGUAGE = Language(
    code="es",
    locale=_LOCALE,
    decimal=",",
    grouping=" .\u00a0\u202f\u2009",
    words={
        "minus": "menos", "point": "coma", "dot": "punto", "percent": "por ciento", "to": "a",
        "and": "y", "plus": "más", "times": "por", "by": "por", "equals": "igual a",
        "divided": "dividido entre", "at": "arroba", "slash": "barra", "dash": "guion",
        "or": "o", "underscore": "guion bajo", "colon": "dos puntos", "number": "número",
        "hashtag": "hashtag", "less": "menor que", "greater": "mayor que",
        "about": "aproximadamente", "per": "por", "version": "versión",
        "hex": "hexadecimal", "sharp": "sharp", "out_of": "de", "over": "sobre",
        "ratio": "a", "square_root_of": "raíz cuadrada de", "squared": "al cuadrado",
        "cubed": "al cubo", "to_the_power": "elevado a", "degree": "grado",
        "degrees": "grados", "half": "y medio", "backslash": "barra invertida",
        "with": "con", "thousandths": "por mil", "section": "sección", "without": "sin",
    },
    symbols={
        "&": "y", "±": "más o menos", "×": "por", "÷": "dividido entre",
        "≈": "aproximadamente", "≠": "distinto de", "≤": "menor o igual que",
        "≥": "mayor o igual que", "→": "a", "⇒": "entonces", "←": "desde", "↔": "y",
        "∞": "infinito", "√": "raíz cuadrada de", "∑": "suma", "∫": "integral", "π": "pi",
        "−": "menos", "Δ": "delta", "➡": "a", "↑": "arriba", "↓": "abajo", "∈": "en",
        "∆": "delta",
    },
    abbreviations={
        "p. ej.": "por ejemplo", "p.ej.": "por ejemplo", "por ej.": "por ejemplo",
        "etc.": "etcétera", "aprox.": "aproximadamente", "a. c.": "antes de Cristo",
        "a.c.": "antes de Cristo", "d. c.": "después de Cristo", "d.c.":
        "después de Cristo", "ee. uu.": "Estados Unidos", "ee.uu.": "Estados Unidos",
        "eeuu": "Estados Unidos", "tel.": "teléfono", "máx.": "máximo", "mín.": "mínimo",
        "incl.": "incluido", "i.e.": "es decir", "e.g.": "por ejemplo", "cf.": "véase",
        "cdas.": "cucharadas", "cdtas.": "cucharaditas", "cda.": "cucharada",
        "cdta.": "cucharadita", "vs.": "contra", "vs": "contra", "a. m.": "A-M",
        "p. m.": "P-M", "r. a. e.": "Real Academia Española", "ud.": "usted",
        "uds.": "ustedes", "avda.": "avenida", "c/ ": "calle ", "c/u": "cada uno",
        "ctrl+": "control ",
    },
    titles={
        "sr.": "señor", "sra.": "señora", "srta.": "señorita", "sres.": "señores",
        "dr.": "doctor", "dra.": "doctora", "d.": "don", "dña.": "doña",
        "prof.": "profesor", "ing.": "ingeniero", "lic.": "licenciado",
        "pág.": "página", "págs.": "páginas", "n.º": "número", "nº": "número",
        "núm.": "número", "art.": "artículo", "cap.": "capítulo", "vol.": "volumen",
        "fig.": "figura", "av.": "avenida", "avda.": "avenida", "no.": "número",
        "sta.": "santa", "sto.": "santo",
    },
    initials={"API": "A-P-I", "UE": "U-E", "IA": "I-A", "UI": "U-I", "UX": "U-X",
              "AI": "A-I", "IP": "I-P", "USB": "U-S-B", "URL": "U-R-L", "USA": "U-S-A"},
    currencies={
        "$": Currency("dólar", "dólares", "centavo", "centavos"),
        "USD": Currency("dólar", "dólares", "centavo", "centavos"),
        "EUR": Currency("euro", "euros", "céntimo", "céntimos"),
        "GBP": Currency("libra", "libras", "penique", "peniques", feminine=True),
        "JPY": Currency("yen", "yenes"), "CNY": Currency("yuan", "yuanes"),
        "INR": Currency("rupia", "rupias", "paisa", "paisas", feminine=True),
        "CHF": Currency("franco suizo", "francos suizos", "céntimo", "céntimos"),
        "MXN": Currency("peso mexicano", "pesos mexicanos", "centavo", "centavos"),
        "KRW": Currency("won", "wones"), "RUB": Currency("rublo", "rublos"),
        "BTC": Currency("bitcoin", "bitcoins"), "¢": Currency("centavo", "centavos"),
    },
    magnitudes={
        "mil": ("mil", "mil"), "millón": ("millón", "millones"),
        "millon": ("millón", "millones"), "millones": ("millón", "millones"),
        "billón": ("billón", "billones"), "billones": ("billón", "billones"),
    },
    scale_letters={"M": "millón", "k": "mil", "K": "mil", "mill.": "millón", "mdd": "millón"},
    months=months_of(_LOCALE, {"setiembre": 9, "sep": 9, "set": 9}),
    units={"seg": "duration-second", "hs": "duration-hour", "hrs": "duration-hour"},
    feminine_units=word_set(
        "duration-hour mass-tonne mass-pound mass-ounce length-mile length-inch "
        "speed-mile-per-hour duration-week energy-calorie energy-kilocalorie length-yard"
    ),
    fractions={2: ("medio", "medios"), 3: ("tercio", "tercios"), 4: ("cuarto", "cuartos")},
    roman_nouns=word_set(
        "capítulo parte acto escena tomo volumen libro sección artículo título anexo fase nivel "
        "tipo clase guerra siglo felipe carlos alfonso isabel fernando enrique luis juan pablo "
        "pío benedicto león napoleón catalina alejandro nicolás"
    ),
    year_words=frozenset(["en", "desde", "año", "antes", "después"]),
    day_first=True,
    date=_date,
    clock=_clock,
)  # fmt: skip
