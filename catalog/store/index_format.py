"""The encodings of a site's index files, and the limits on reading them: for the site that writes them and its readers.

::

    short    "#$x…"          numbers from 0 as text, small ones in one character (facets.json, columns, words)
    digits   ["…", "…"]      numbers in base 91: a text of all lowest digits, one of the next (orders)
    column   words of rows   one word a row: short; several: how many, then the steps from number to number, by how many
    rows     bytes           a bit for each level that has rows, then their lists: 7-bit steps, or a bit a row (shards)

The browser's decoders are in ``table.js`` and ``textindex.js``, with the same limits (``limits.js``; a test compares
them). The decoders raise ``ValueError`` for whatever isn't in the format.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from catalog.store.searchable import LEVELS

if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable, Iterable, Sequence

    from catalog.atproto.datamodel import Json

FORMAT: Final = 2
"""The version of the text index's format."""
MAX_ROWS: Final = 5_000_000
MAX_BUCKETS: Final = 100_000
MAX_SHOWN: Final = 1000
"""Rows in a file of what results show."""
MAX_SHARDS: Final = 10_000_000
MAX_WORDS_PER_ROW: Final = 10_000
MAX_NUMBER: Final = 2**40
BASE: Final = 91
LAST: Final = 60
"""In ``short`` a digit below this one is a number's last."""
DIGITS: Final = "".join(chr(code) for code in range(35, 127) if chr(code) != "\\")
"""Those of ASCII that JSON needn't escape."""
_VALUES: Final = {digit: value for value, digit in enumerate(DIGITS)}
_MAX_DIGITS: Final = 9


def bucket(word: str, buckets: int) -> int:
    """Return the bucket of a word, by its first two characters."""
    number = 0
    for letter in word[:2]:
        number = (number * 31 + ord(letter)) & 0xFFFFFFFF
    return number % buckets


# --- numbers as text -------------------------------------------------------------------------------------------------


def encode_short(numbers: Iterable[int]) -> str:
    """Return numbers from 0 as text, the lowest digits first: the last digit of each is below :data:`LAST`."""
    found: list[str] = []
    for number in numbers:
        rest = number
        while rest >= LAST:
            rest, digit = divmod(rest - LAST, BASE - LAST)
            found.append(DIGITS[LAST + digit])
        found.append(DIGITS[rest])
    return "".join(found)


def decode_short(text: str) -> list[int]:
    """Return the numbers of :func:`encode_short`. Raises ``ValueError``."""
    found: list[int] = []
    digits: list[int] = []
    for letter in text:
        digit = _VALUES.get(letter)
        if digit is None or len(digits) >= _MAX_DIGITS:
            raise ValueError
        if digit >= LAST:
            digits.append(digit - LAST)
            continue
        number = digit
        for before in reversed(digits):
            number = number * (BASE - LAST) + before + LAST
        if number > MAX_NUMBER:
            raise ValueError
        found.append(number)
        digits = []
    if digits:
        raise ValueError
    return found


def encode_digits(numbers: Iterable[int]) -> list[str]:
    """Return numbers from 0 in base 91: a text of all lowest digits, one of the next ones, as many as are needed."""
    rest = list(numbers)
    found = ["".join([DIGITS[number % BASE] for number in rest])]
    while any(number >= BASE for number in rest):
        rest = [number // BASE for number in rest]
        found.append("".join([DIGITS[number % BASE] for number in rest]))
    return found


# --- columns ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A facet's column: for each row the numbers of its words."""

    rows: tuple[tuple[int, ...], ...]

    @classmethod
    def read(cls, column: Json, length: int) -> Column:
        """Decode a column of so many rows. Raises ``ValueError``."""
        if isinstance(column, str):
            numbers = decode_short(column)
            if len(numbers) != length:
                raise ValueError
            return cls(rows=tuple((number - 1,) if number else () for number in numbers))
        held = column if isinstance(column, dict) else {}
        counts, steps = held.get("counts"), held.get("steps")
        if not isinstance(counts, str) or not isinstance(steps, dict):
            raise ValueError  # noqa: TRY004 - one kind of error for all that is wrong
        return cls(rows=_several(decode_short(counts), steps, length))

    def whether(self, chosen: set[int]) -> Callable[[int], bool]:
        """Return a test whether a row has one of these words."""
        having = {row for row, numbers in enumerate(self.rows) if not chosen.isdisjoint(numbers)}
        return having.__contains__


def _several(counts: list[int], steps: dict[str, Json], length: int) -> tuple[tuple[int, ...], ...]:
    found: list[tuple[int, ...]] = [()] * length
    if len(counts) != length:
        raise ValueError
    for many in sorted(set(counts) - {0}):
        places = steps.get(str(many))
        if many > MAX_WORDS_PER_ROW or not isinstance(places, list) or len(places) != many:
            raise ValueError
        texts = [decode_short(place) if isinstance(place, str) else [] for place in places]
        having = [row for row, count in enumerate(counts) if count == many]
        if any(len(text) != len(having) for text in texts):
            raise ValueError
        for at, row in enumerate(having):
            found[row] = _summed([text[at] for text in texts])
    return tuple(found)


def _summed(steps: list[int]) -> tuple[int, ...]:
    number, found = -1, []
    for step in steps:
        number += step + 1
        found.append(number)
    return tuple(found)


# --- lists of rows ---------------------------------------------------------------------------------------------------


def encode_rows(levels: Sequence[array[int] | None], total: int) -> bytes:
    """Return the ascending rows of each level, of ``total``, as bytes: which levels have rows, then their lists."""
    mask = sum(1 << level for level, rows in enumerate(levels) if rows)
    return _varint(mask) + b"".join(_encode_list(rows, total) for rows in levels if rows)


def _encode_list(rows: array[int], total: int) -> bytes:
    """Return one list the shorter way: steps, or a bit for each row.

    First comes twice the number of rows, then the steps; or twice that number and one, then the bits.
    """
    if len(rows) == 1:
        return b"\2" + _varint(rows[0])
    numbers = np.frombuffer(rows, np.uint32)
    steps = np.diff(numbers, prepend=np.uint32(0)).astype(np.uint32)
    steps[0] = numbers[0]
    small = steps.max() < 128
    body = steps.astype(np.uint8).tobytes() if small else b"".join(_varint(int(step)) for step in steps)
    if len(body) <= total // 8:
        return _varint(2 * len(numbers)) + body
    bits = np.zeros(total, np.uint8)
    bits[numbers] = 1
    return _varint(2 * len(numbers) + 1) + np.packbits(bits, bitorder="little").tobytes()


def _varint(number: int) -> bytes:
    out = bytearray()
    while number >= 128:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def decode_rows(raw: bytes, total: int) -> list[tuple[int, int]]:
    """Return row and level of each row of a word. Raises ``ValueError``."""
    mask, at = _read_varint(raw, 0)
    if mask >> LEVELS:
        raise ValueError
    found: list[tuple[int, int]] = []
    for level in range(LEVELS):
        if mask >> level & 1:
            rows, at = _decode_list(raw, at, total)
            found += [(row, level) for row in rows]
    return found


def _decode_list(raw: bytes, at: int, total: int) -> tuple[list[int], int]:
    """Return a list of rows, and the place after it."""
    head, at = _read_varint(raw, at)
    if head >> 1 > total:
        raise ValueError
    if head & 1:
        end = at + -(-total // 8)
        bits = raw[at:end]
        if len(raw) < end:
            raise ValueError
        return [row for row in range(total) if bits[row >> 3] >> (row & 7) & 1], end
    row, rows = 0, []
    for _ in range(head >> 1):
        step, at = _read_varint(raw, at)
        row += step
        rows.append(row)
    if rows and not 0 <= rows[-1] < total:
        raise ValueError
    return rows, at


def _read_varint(raw: bytes, at: int) -> tuple[int, int]:
    """Return the number at a place, and the place after it."""
    value = 0
    for shift in range(0, 42, 7):
        if at >= len(raw):
            raise ValueError
        value |= (raw[at] & 127) << shift
        at += 1
        if raw[at - 1] < 128:
            return value, at
    raise ValueError
