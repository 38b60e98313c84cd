"""The encodings of a site's index files, and the limits on reading them: for the site that writes them and its readers.

::

    short    "#$x…"          numbers from 0 as text, small ones in one character (facets.json, columns, words)
    digits   ["…", "…"]      numbers in base 91: a text of all lowest digits, one of the next (orders)
    column   words of rows   one word a row: short; several: how many, then the steps from number to number, by how many
    rows     bytes           the rows of each level (shards): Rice-coded gaps, or a bit a row

The browser's decoders are in ``numbers.js``, ``table.js`` and ``textindex.js``, with the same limits (``limits.js``; a
test compares them). The decoders raise ``ValueError`` for whatever isn't in the format.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from catalog.store.searchable import LEVELS

if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable, Iterable, Sequence

    from catalog.atproto.datamodel import Json

FORMAT: Final = 3
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
_FEW_ROWS: Final = 32
"""Rows up to which a loop is faster than arrays."""


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


# --- words -----------------------------------------------------------------------------------------------------------


def encode_words(words: Sequence[str]) -> dict[str, str]:
    """Return sorted words: what each has in common with the one before (``short``), and the rest of each."""
    same = [_common(before, word) for before, word in pairwise(["", *words])]
    return {"same": encode_short(same), "words": " ".join(word[cut:] for cut, word in zip(same, words, strict=True))}


def decode_words(same: str, rest: str) -> list[str]:
    """Return the words of :func:`encode_words`. Raises ``ValueError``."""
    found: list[str] = []
    last = ""
    for cut, end in zip(decode_short(same), rest.split(" ") if rest else (), strict=True):
        last = last[:cut] + end
        found.append(last)
    return found


def _common(one: str, other: str) -> int:
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


# --- lists of rows ---------------------------------------------------------------------------------------------------


def encode_rows(levels: Sequence[array[int] | None], total: int) -> bytes:
    """Return the ascending rows of each level, of ``total``, as bytes.

    First comes a number. Below :data:`LEVELS` it is the level of a single row, which follows. Else it says which levels
    have rows, a bit each, and their lists follow.
    """
    held = [level for level, rows in enumerate(levels) if rows]
    first = levels[held[0]] if held else None
    if first is not None and len(held) == 1 and len(first) == 1:
        return _varint(held[0]) + _varint(first[0])
    mask = sum(1 << level for level in held)
    return _varint(mask + LEVELS) + b"".join(_encode_list(rows, total) for rows in levels if rows)


def _encode_list(rows: array[int], total: int) -> bytes:
    """Return one list the shorter way: gaps, or a bit for each row.

    First comes twice the number of rows, then the gaps; or twice that number and one, then the bits. A gap is the
    number of rows between two: its upper bits in unary, its lower ones as they are (a Rice code).
    """
    kept = rice_bits(len(rows), total)
    body = _few_gaps(rows, kept) if len(rows) <= _FEW_ROWS else _many_gaps(rows, kept)
    if len(body) <= total // 8:
        return _varint(2 * len(rows)) + body
    bits = np.zeros(total, np.uint8)
    bits[np.frombuffer(rows, np.uint32)] = 1
    return _varint(2 * len(rows) + 1) + np.packbits(bits, bitorder="little").tobytes()


def rice_bits(count: int, total: int) -> int:
    """Return the number of lower bits of a gap, from the mean of all gaps."""
    return max(0, (7 * total // (10 * count)).bit_length() - 1)


def _few_gaps(rows: array[int], kept: int) -> bytes:
    value = at = 0
    before = -1
    for row in rows:
        gap = row - before - 1
        at += gap >> kept
        value |= (1 | (gap & ((1 << kept) - 1)) << 1) << at
        at += 1 + kept
        before = row
    return value.to_bytes(-(-at // 8), "little")


def _many_gaps(rows: array[int], kept: int) -> bytes:
    """Return what :func:`_few_gaps` does, an array operation for each bit instead of a step for each row."""
    numbers = np.frombuffer(rows, np.uint32).astype(np.int64)
    gaps = np.diff(numbers, prepend=-1) - 1
    ones = np.cumsum((gaps >> kept) + 1 + kept) - kept - 1
    bits = np.zeros(int(ones[-1]) + kept + 1, np.uint8)
    bits[ones] = 1
    for bit in range(kept):
        bits[ones + bit + 1] = gaps >> bit & 1
    return np.packbits(bits, bitorder="little").tobytes()


def _varint(number: int) -> bytes:
    out = bytearray()
    while number >= 128:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def decode_rows(raw: bytes, total: int) -> list[tuple[int, list[int]]]:
    """Return the rows of a word by level. Raises ``ValueError``."""
    head, at = _read_varint(raw, 0)
    if head < LEVELS:
        row, _ = _read_varint(raw, at)
        if row >= total:
            raise ValueError
        return [(head, [row])]
    mask = head - LEVELS
    if mask >> LEVELS:
        raise ValueError
    found: list[tuple[int, list[int]]] = []
    for level in range(LEVELS):
        if mask >> level & 1:
            rows, at = _decode_list(raw, at, total)
            found.append((level, rows))
    return found


def _decode_list(raw: bytes, at: int, total: int) -> tuple[list[int], int]:
    """Return a list of rows, and the place after it."""
    head, at = _read_varint(raw, at)
    count = head >> 1
    if not count or count > total:
        raise ValueError
    if not head & 1:
        return _decode_gaps(raw, at, count, total)
    end = at + -(-total // 8)
    bits = raw[at:end]
    if len(raw) < end:
        raise ValueError
    return [row for row in range(total) if bits[row >> 3] >> (row & 7) & 1], end


def _decode_gaps(raw: bytes, at: int, count: int, total: int) -> tuple[list[int], int]:
    kept = rice_bits(count, total)
    bit, end = 8 * at, 8 * len(raw)
    row = -1
    rows: list[int] = []
    for _ in range(count):
        upper = lower = 0
        while bit < end and not raw[bit >> 3] >> (bit & 7) & 1:
            upper += 1
            bit += 1
        bit += 1
        if bit + kept > end:
            raise ValueError
        for place in range(kept):
            lower |= (raw[bit >> 3] >> (bit & 7) & 1) << place
            bit += 1
        row += (upper << kept) + lower + 1
        if row >= total:
            raise ValueError
        rows.append(row)
    return rows, -(-bit // 8)


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
