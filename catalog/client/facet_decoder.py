"""The columns of a site's browse page, read back: which rows have which words (catalog/site/facets.py writes them)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from catalog.atproto.datamodel import Json

__all__ = ["Column", "short"]

_DIGITS: Final = {chr(code): number for number, code in enumerate(code for code in range(35, 127) if code != 92)}
_LAST: Final = 60
_BASE: Final = 91
_LARGEST: Final = 2**40
_MOST_EACH: Final = 10_000
"""Words of one row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """For each row the numbers of its words."""

    rows: tuple[tuple[int, ...], ...]

    @classmethod
    def read(cls, column: Json, length: int) -> Column:
        """A column of so many rows. Raises ``ValueError`` for what is none."""
        if isinstance(column, str):
            numbers = short(column)
            if len(numbers) != length:
                raise ValueError
            return cls(rows=tuple((number - 1,) if number else () for number in numbers))
        held = column if isinstance(column, dict) else {}
        counts, steps = held.get("counts"), held.get("steps")
        if not isinstance(counts, str) or not isinstance(steps, dict):
            raise ValueError  # noqa: TRY004 - one kind of error for all that is wrong
        return cls(rows=_several(short(counts), steps, length))

    def whether(self, chosen: set[int]) -> Callable[[int], bool]:
        """Whether a row has one of these words."""
        having = {row for row, numbers in enumerate(self.rows) if not chosen.isdisjoint(numbers)}
        return having.__contains__


def _several(counts: list[int], steps: dict[str, Json], length: int) -> tuple[tuple[int, ...], ...]:
    found: list[tuple[int, ...]] = [()] * length
    if len(counts) != length:
        raise ValueError
    for many in sorted(set(counts) - {0}):
        places = steps.get(str(many))
        if many > _MOST_EACH or not isinstance(places, list) or len(places) != many:
            raise ValueError
        texts = [short(place) if isinstance(place, str) else [] for place in places]
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


def short(text: str) -> list[int]:
    """Numbers, the lowest digits first; the last digit of each is below 60. Raises ``ValueError``."""
    found: list[int] = []
    digits: list[int] = []
    for sign in text:
        digit = _DIGITS.get(sign)
        if digit is None or len(digits) > 8:
            raise ValueError
        if digit >= _LAST:
            digits.append(digit - _LAST)
            continue
        number = digit
        for before in reversed(digits):
            number = number * (_BASE - _LAST) + before + _LAST
        if number > _LARGEST:
            raise ValueError
        found.append(number)
        digits = []
    if digits:
        raise ValueError
    return found
