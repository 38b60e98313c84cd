"""Scalars of a manifest, by the core schema of YAML 1.2.2 (section 10.3).

PyYAML's own resolver reads YAML 1.1: there ``NO`` is false, ``1e-4`` is text, ``01234`` is 668 and ``12:30`` is 750.
One difference from the core schema: digits with a leading zero (``01234``) are text, as quantities aren't written that
way.

``int`` is quadratic in the number of digits, so a longer number becomes a placeholder above every limit; messages show
the text as written. :func:`doubt` finds scalars that YAML 1.1 tools read differently, or that resemble a number.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from typing import Final, TypeAlias

Scalar: TypeAlias = str | int | float | bool | bytes | None

_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLS: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_FIRST: Final = frozenset("+-.0123456789")
"""First characters of numbers."""
_INT: Final = re.compile(r"[-+]?[0-9]+")
_PADDED: Final = re.compile(r"[-+]?0[0-9]+")
_BASED: Final = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_INFINITY: Final = re.compile(r"([-+]?)\.(?:inf|Inf|INF)")
_NAN: Final = frozenset({".nan", ".NaN", ".NAN"})
_LONGEST: Final = 40
"""Maximum characters of a whole number that is converted."""
_STAND_IN: Final = 10**40

_SWITCHES: Final = frozenset({"yes", "Yes", "YES", "no", "No", "NO", "on", "On", "ON", "off", "Off", "OFF"})
_NOTHING: Final = frozenset({"None", "none", "nan", "NaN", "inf", "-inf", "Infinity", "-Infinity"})
_BASE_60: Final = re.compile(r"[-+]?[0-9]+(?::[0-5]?[0-9])+(?:\.[0-9]*)?")
_GROUPED: Final = re.compile(r"[-+]?[0-9]+_[0-9_]*(?:\.[0-9_]*)?")
_BINARY: Final = re.compile(r"[-+]?0b[01_]+")
_VERSION: Final = re.compile(r"[1-9][0-9]?\.[1-9]0")
_EXACT_DIGITS: Final = 17
"""Significant digits that distinguish all 64-bit floats."""


def plain_value(text: str) -> Scalar:
    """Return the value of a scalar without quotes and without a tag."""
    if text in _NULLS:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    if text[0] not in _FIRST or _PADDED.fullmatch(text):
        return text
    number = _number(text)
    return text if number is None else number


def tagged_value(text: str, kind: str) -> Scalar:
    """Return the value of a scalar with the tag ``!!kind``. Raises :class:`ValueError` for another kind."""
    match kind:
        case "null" if text in _NULLS:
            return None
        case "bool" if text in _BOOLS:
            return _BOOLS[text]
        case "int" if isinstance(number := _number(text), int):
            return number
        case "float" if (number := _number(text)) is not None:
            return float(number)
        case "binary":
            return _binary(text)
    raise ValueError(kind)


def _number(text: str) -> int | float | None:
    if _INT.fullmatch(text):
        return int(text) if len(text) <= _LONGEST else -_STAND_IN if text[0] == "-" else _STAND_IN
    if _BASED.fullmatch(text):
        return int(text, 0) if len(text) <= _LONGEST else _STAND_IN
    if _FLOAT.fullmatch(text):
        return float(text)
    if (infinity := _INFINITY.fullmatch(text)) is not None:
        return -math.inf if infinity[1] == "-" else math.inf
    return math.nan if text in _NAN else None


def _binary(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()).encode("ascii"), validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None


def is_exact(value: float, text: str) -> bool:
    """Return whether a float, read from this text, is neither an overflow nor an underflow."""
    if math.isinf(value):
        return text[-1] in "fF"
    return value != 0 or not re.search("[1-9]", re.split("[eE]", text, maxsplit=1)[0])


def doubt(text: str, value: Scalar) -> tuple[str, str] | None:  # noqa: PLR0911 - one a kind of text
    """Return the message and hint for an ambiguous scalar without quotes; ``None`` for most scalars."""
    if isinstance(value, float):
        if _VERSION.fullmatch(text):
            return f"is the number {value}", "put it in quotes if it is a version"
        if len(re.sub("[^0-9]", "", re.split("[eE]", text, maxsplit=1)[0]).strip("0")) > _EXACT_DIGITS:
            return "has more digits than a 64-bit float keeps", "put it in quotes to keep them all"
    if not isinstance(value, str):
        return None
    if text in _SWITCHES:
        return "is text, not a truth value", "write true or false, or put it in quotes"
    if text in _NOTHING:
        return "is text", "write null, .nan or .inf, or put it in quotes"
    if text[:1] not in _FIRST:
        return None
    if _PADDED.fullmatch(text):
        return "is text, not a number", "remove the leading zeros (0o for octal), or put it in quotes"
    if any(form.fullmatch(text) for form in (_BASE_60, _GROUPED, _BINARY)):
        return "is text, not a number", "write the number in digits alone, or put it in quotes"
    return None
