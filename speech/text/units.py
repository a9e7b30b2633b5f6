"""Units of measurement: signs of the SI and of computing, named by CLDR through babel."""

from __future__ import annotations

import re
from functools import cache, lru_cache

from speech.text.language import Language

_SIGNS = {
    "km/h": "speed-kilometer-per-hour", "m/s": "speed-meter-per-second",
    "km": "length-kilometer", "m": "length-meter", "cm": "length-centimeter",
    "mm": "length-millimeter", "µm": "length-micrometer", "μm": "length-micrometer",
    "nm": "length-nanometer", "kg": "mass-kilogram", "g": "mass-gram", "mg": "mass-milligram",
    "µg": "mass-microgram", "μg": "mass-microgram", "t": "mass-tonne", "l": "volume-liter",
    "L": "volume-liter", "ml": "volume-milliliter", "mL": "volume-milliliter",
    "cl": "volume-centiliter", "dl": "volume-deciliter", "hl": "volume-hectoliter",
    "GB": "digital-gigabyte", "MB": "digital-megabyte", "KB": "digital-kilobyte",
    "kB": "digital-kilobyte", "TB": "digital-terabyte", "PB": "digital-petabyte",
    "Gbps": "digital-gigabit|duration-second", "Mbps": "digital-megabit|duration-second",
    "kbps": "digital-kilobit|duration-second", "Gbit/s": "digital-gigabit|duration-second",
    "Mbit/s": "digital-megabit|duration-second", "MB/s": "digital-megabyte|duration-second",
    "GB/s": "digital-gigabyte|duration-second", "TB/s": "digital-terabyte|duration-second",
    "h": "duration-hour", "min": "duration-minute", "s": "duration-second",
    "ms": "duration-millisecond", "µs": "duration-microsecond", "μs": "duration-microsecond",
    "ns": "duration-nanosecond", "°C": "temperature-celsius", "℃": "temperature-celsius",
    "° C": "temperature-celsius", "°F": "temperature-fahrenheit",
    "° F": "temperature-fahrenheit", "℉": "temperature-fahrenheit", "°": "angle-degree",
    "º": "angle-degree", "ºC": "temperature-celsius", "ºF": "temperature-fahrenheit",
    "W": "power-watt", "kW": "power-kilowatt", "MW": "power-megawatt", "GW": "power-gigawatt",
    "mW": "power-milliwatt", "kWh": "energy-kilowatt-hour", "V": "electric-volt",
    "mA": "electric-milliampere", "Hz": "frequency-hertz", "kHz": "frequency-kilohertz",
    "MHz": "frequency-megahertz", "GHz": "frequency-gigahertz", "Pa": "pressure-pascal",
    "hPa": "pressure-hectopascal", "kPa": "pressure-kilopascal", "MPa": "pressure-megapascal",
    "bar": "pressure-bar", "J": "energy-joule", "kJ": "energy-kilojoule",
    "cal": "energy-calorie", "kcal": "energy-kilocalorie", "N": "force-newton",
    "Nm": "torque-newton-meter", "hp": "power-horsepower", "ha": "area-hectare",
    "m²": "area-square-meter", "km²": "area-square-kilometer", "cm²": "area-square-centimeter",
    "m2": "area-square-meter", "km2": "area-square-kilometer", "m³": "volume-cubic-meter",
    "m3": "volume-cubic-meter", "cm³": "volume-cubic-centimeter", "km³":
    "volume-cubic-kilometer", "ft²": "area-square-foot", "mi²": "area-square-mile",
    "Ω": "electric-ohm", "px": "graphics-pixel", "ppm": "concentr-permillion",
    "kg/m³": "mass-kilogram|volume-cubic-meter", "g/cm³": "mass-gram|volume-cubic-centimeter",
    "m/s²": "acceleration-meter-per-square-second", "m/s2":
    "acceleration-meter-per-square-second", "l/100 km": "consumption-liter-per-100-kilometer",
    "L/100 km": "consumption-liter-per-100-kilometer", "kg/m2": "mass-kilogram|area-square-meter",
    "kg/m²": "mass-kilogram|area-square-meter",
    "mg/dL": "concentr-milligram-ofglucose-per-deciliter",
    "km/s": "length-kilometer|duration-second", "m/min": "length-meter|duration-minute",
    "W/m²": "power-watt|area-square-meter",
}  # fmt: skip
_PLAIN = {"dB": "decibels", "mAh": "milliampere hours", "fps": "frames per second", "rpm":
          "revolutions per minute", "GiB": "gibibytes", "MiB": "mebibytes", "KiB": "kibibytes",
          "Wh": "watt hours", "lm": "lumens"}  # fmt: skip
"""English words for signs that CLDR lacks; other languages leave these to the voice."""
_ONLY_ATTACHED = frozenset(["in", "º", "mi", "yd", "St."])
"""Signs that are words, or belong to the word after them, when a space precedes."""
_STOP_INSIDE = re.compile(r"\.(?=[,;:)]|[ ][a-zà-ÿ\d(×&+–—])")
"""The full stop of an abbreviated unit that does not end a sentence."""


@cache
def _pattern(language: Language) -> re.Pattern[str]:
    signs = set(_SIGNS) | set(language.units)
    if language.code == "en":
        signs |= set(_PLAIN)
    ordered = sorted(signs, key=len, reverse=True)
    return re.compile(
        rf"([ \u00a0\u202f]?)({'|'.join(map(re.escape, ordered))})(?![\w²³°/]|[.’']\w)(?!-[a-z])"
    )


def match(text: str, at: int, language: Language) -> tuple[int, str] | None:
    """The end and the sign of the unit that follows a number, if one does."""
    found = _pattern(language).match(text, at) or _per_pattern(language).match(text, at)
    if found is None:
        return None
    if (
        found[1]
        and found[2] in _ONLY_ATTACHED
        and not (found[2] == "in" and text[found.end(2) :][:1] == ".")
    ):
        return None
    inside = _STOP_INSIDE.match(text, found.end(2))
    return inside.end() if inside else found.end(2), found[2]


@cache
def _per_pattern(language: Language) -> re.Pattern[str]:
    """The same signs before a slash and a word: 5 kg/person."""
    ordered = sorted(set(_SIGNS) | set(language.units), key=len, reverse=True)
    return re.compile(
        rf"([ \u00a0\u202f]?)({'|'.join(map(re.escape, ordered))})(?=/[^\W\d_]{{2,}})"
    )


def is_feminine(sign: str, language: Language) -> bool:
    """Whether the unit's noun is feminine."""
    unit = language.units.get(sign) or _SIGNS.get(sign, "")
    return unit.partition("|")[0] in language.feminine_units


@lru_cache(maxsize=512)
def name(sign: str, language: Language, *, plural: bool) -> str:
    """The unit in words."""
    unit = language.units.get(sign) or _SIGNS.get(sign)
    if unit is None:
        return _PLAIN[sign]
    above, _, below = unit.partition("|")
    said = _cldr_name(above, language.locale, plural)
    return (
        f"{said} {language.words['per']} {_cldr_name(below, language.locale, False)}"
        if below
        else said
    )


@cache
def _cldr_name(unit: str, locale: str, plural: bool) -> str:
    from babel.units import format_unit

    said = format_unit(2 if plural else 1, unit, length="long", locale=locale)
    return said.replace("2" if plural else "1", "", 1).strip().replace("100", "hundred")
