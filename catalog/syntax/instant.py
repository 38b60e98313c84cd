"""Datetimes: https://atproto.com/specs/lexicon#datetime"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final, Self

from catalog.errors import InvalidSyntax
from catalog.syntax.grammar import match, refusal

_PATTERN: Final = re.compile(
    r"(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})"
    r"T(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})(?:\.(?P<fraction>[0-9]{1,20}))?"
    r"(?:Z|(?!-00:00)(?P<sign>[+-])(?P<hours>[01][0-9]|2[0-3]):(?P<minutes>[0-5][0-9]))"
)
_HINT: Final = "a datetime looks like 2024-05-17T09:30:00.000Z, with a time zone"

_LEAP_CYCLE: Final = 400
"""Years after which the calendar repeats: year 0, which Python lacks, is like year 400."""
_FIRST: Final = datetime.min.replace(tzinfo=UTC)
_LAST: Final = datetime.max.replace(tzinfo=UTC)


class Datetime(str):
    """A moment as records write it: ``2024-05-17T09:30:00.000Z``.

    What RFC 3339, ISO 8601 and WHATWG HTML agree on, in capitals, with seconds and a time zone; no leap seconds.
    Specification: https://atproto.com/specs/lexicon#datetime
    """

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """``text`` as a datetime of at most 64 characters. Raises :class:`~catalog.errors.InvalidSyntax`.

        A date that the calendar doesn't have, or a moment before the year 0, is refused too.
        """
        match(_PATTERN, text, kind="a datetime", longest=64, hint=_HINT)
        try:
            _moment(text)
        except ValueError as error:
            raise refusal("a datetime", text, str(error)) from error
        return cls(text)

    @classmethod
    def of(cls, moment: datetime) -> Self:
        """An aware ``moment``, in UTC to the millisecond: the preferred form.

        Raises :class:`~catalog.errors.InvalidSyntax` when it has no time zone.
        """
        if moment.utcoffset() is None:
            raise InvalidSyntax(f"{moment.isoformat()} has no time zone", hint="use datetime.now(UTC)")
        text = moment.astimezone(UTC).isoformat(timespec="milliseconds")
        return cls(text.removesuffix("+00:00") + "Z")

    @property
    def moment(self) -> datetime:
        """The moment in UTC, to the microsecond (the rest is cut off).

        Moments that Python can't hold, in the year 0 or past the year 9999, become its first or last one.
        """
        return _moment(self)


def _moment(text: str) -> datetime:
    found = _PATTERN.fullmatch(text)
    if found is None:
        raise ValueError(_HINT)
    year = int(found["year"])
    there = datetime(
        year=year or _LEAP_CYCLE,
        month=int(found["month"]),
        day=int(found["day"]),
        hour=int(found["hour"]),
        minute=int(found["minute"]),
        second=int(found["second"]),
        microsecond=int((found["fraction"] or "0")[:6].ljust(6, "0")),
        tzinfo=UTC,
    )
    offset = timedelta(hours=int(found["hours"] or 0), minutes=int(found["minutes"] or 0))
    try:
        here = there + offset if found["sign"] == "-" else there - offset
    except OverflowError:
        return _LAST if found["sign"] == "-" else _FIRST
    if year == 0:
        if here.year < _LEAP_CYCLE:
            raise ValueError("in UTC it is before the year 0")
        return _FIRST if here.year == _LEAP_CYCLE else here.replace(year=1)
    return here
