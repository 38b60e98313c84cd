"""Timestamp identifiers: https://atproto.com/specs/tid"""

from __future__ import annotations

import re
from typing import Final, Self

from catalog.errors import InvalidSyntax
from catalog.syntax.grammar import match

_ALPHABET: Final = "234567abcdefghijklmnopqrstuvwxyz"
_PATTERN: Final = re.compile(r"[2-7a-j][2-7a-z]{12}")
_VALUES: Final = {letter: value for value, letter in enumerate(_ALPHABET)}
_CLOCK_BITS: Final = 10
_TIME_BITS: Final = 53


class Tid(str):
    """A time in 13 characters that sort as the times do: ``3jzfcijpj2z2a``.

    It is 64 bits in base32 (the sortable alphabet)::

        0 │ microseconds since 1970: 53 bits │ clock id: 10 bits

    Specification: https://atproto.com/specs/tid#tid-syntax
    """

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """``text`` as a TID. Raises :class:`~catalog.errors.InvalidSyntax`."""
        hint = "a TID has 13 characters, 2-7 and a-z, the first of them 2-7 or a-j"
        return cls(match(_PATTERN, text, kind="a TID", longest=13, hint=hint))

    @classmethod
    def at(cls, microseconds: int, clock_id: int) -> Self:
        """The TID of a time (µs since 1970, below 2^53) on a clock (0 to 1023).

        Raises :class:`~catalog.errors.InvalidSyntax` outside those ranges.
        """
        if not 0 <= microseconds < 1 << _TIME_BITS:
            raise InvalidSyntax(f"{microseconds} µs don't fit in a TID", hint="0 ≤ microseconds < 2^53")
        if not 0 <= clock_id < 1 << _CLOCK_BITS:
            raise InvalidSyntax(f"the clock id {clock_id} doesn't fit in a TID", hint="0 ≤ clock id < 1024")
        bits = microseconds << _CLOCK_BITS | clock_id
        return cls("".join(_ALPHABET[bits >> shift & 31] for shift in range(60, -1, -5)))

    @property
    def microseconds(self) -> int:
        """The time, in µs since 1970."""
        return self._bits() >> _CLOCK_BITS

    @property
    def clock_id(self) -> int:
        """The clock, 0 to 1023: keeps two writers of one microsecond apart."""
        return self._bits() & (1 << _CLOCK_BITS) - 1

    def _bits(self) -> int:
        bits = 0
        for letter in self:
            bits = bits << 5 | _VALUES[letter]
        return bits
