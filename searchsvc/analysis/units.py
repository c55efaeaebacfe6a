"""Units of measurement: which words are units, a number with its unit as one word, the same in other units. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

INCH: Final = "inch"
FOOT: Final = "ft"
DEGREE: Final = "°"
# Only these are written with a sign that says something: a freezer for -18 °C is none for 18 °C.
_TEMPERATURES: Final = frozenset({"°c", "°f"})
# Units are written with and without a space after their number.
_UNITS: Final = """
    inch gb tb mb kb ghz mhz khz hz mm cm m km ml cl l g kg mg w kw v mv a ma ah mah wh mp dpi ppm rpm fps bit
    pin oz lb ft °c °f
"""
# How else they are written. Compounds have them in one spelling.
_SPELLINGS: Final = {
    INCH: "inches zoll pouce pouces",
    "mm": "millimeter millimeters millimetre millimetres мм",
    "cm": "centimeter centimeters centimetre centimetres см",
    "m": "meter meters metre metres",
    FOOT: "foot feet",
    "ml": "milliliter milliliters millilitre millilitres мл",
    "l": "liter liters litre litres",
    "g": "gram grams gramm gramme grammes",
    "kg": "kilogram kilograms kilogramm kilo kilos кг",
    "lb": "lbs pound pounds",
    "oz": "ounce ounces",
    "w": "watt watts вт",
    "v": "volt volts",
    "°c": "celsius",
    "°f": "fahrenheit",
}
_NAMES: Final = {spelling: unit for unit, spellings in _SPELLINGS.items() for spelling in spellings.split()}
# Areas and volumes: 20 m2 is no length.
POWERS: Final = ("2", "3")
UNITS: Final = (
    frozenset(_UNITS.split())
    | _NAMES.keys()
    | {unit + power for unit in ("mm", "cm", "m", "km", FOOT, INCH) for power in POWERS}
)


# By quantity, how many of its smallest unit each unit is.
_QUANTITIES: Final[Sequence[Mapping[str, int]]] = (
    {"kb": 1, "mb": 10**3, "gb": 10**6, "tb": 10**9},
    {"hz": 1, "khz": 10**3, "mhz": 10**6, "ghz": 10**9},
    {"mm": 1, "cm": 10, "m": 10**3, "km": 10**6},
    {"ml": 1, "cl": 10, "l": 10**3},
    {"mg": 1, "g": 10**3, "kg": 10**6},
    {"ma": 1, "a": 10**3},
    {"mah": 1, "ah": 10**3},
    {"mv": 1, "v": 10**3},
    {"w": 1, "kw": 10**3},
)
# A disc of 1 TB is sold as 1000 GB and as 1024 GB.
_BINARY: Final = ("kb", "mb", "gb", "tb")
_MEASURE: Final = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)([a-z]+)")
# Nobody writes 0.0001 km.
_MAX_DECIMALS: Final = 3


def measure_of(number: str, unit: str, *, is_negative: bool = False) -> str:
    """Return a number and its unit as one word, the unit in its usual spelling. is_negative: whether it has a minus"""
    name = _NAMES.get(unit, unit)
    return ("-" if is_negative and name in _TEMPERATURES else "") + number + name


def in_other_units(text: str) -> list[str]:
    """Return what a number with its unit is in other units, also in unusual ones: 1tb is 1000gb and 1024gb.

    text: as `measure_of` returns it; anything else has no other units
    """
    match = _MEASURE.fullmatch(text)
    if match is None:
        return []
    number, unit = Decimal(match[1]), match[2]
    sizes = next((sizes for sizes in _QUANTITIES if unit in sizes), {})
    same = [_written(number * sizes[unit] / size, other) for other, size in sizes.items() if other != unit]
    if unit in _BINARY:
        place = _BINARY.index(unit)
        same += [_written(number * 1024, smaller) for smaller in _BINARY[:place][-1:]]
        same += [_written(number / 1024, larger) for larger in _BINARY[place + 1 :][:1]]
    return [other for other in same if other]


def _written(number: Decimal, unit: str) -> str:
    """Return a number with its unit as one word; '' if it has more decimals than people write."""
    digits = format(number.normalize(), "f")
    return "" if len(digits.partition(".")[2]) > _MAX_DECIMALS else digits + unit
