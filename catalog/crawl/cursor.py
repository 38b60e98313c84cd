"""The cursor of a stream: the last processed event, and the detection of gaps.

Servers keep events for one to three days, and few report that a cursor is too old, or ahead of all their events (a new
relay counts from 1 again). So cursors have an age, and event numbers are compared with them: if a gap is possible, the
caller visits all accounts of the source again.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Final

_JUMP: Final = 1000
"""Sequence numbers that a firehose may skip: relays reserve them in batches, accounts are deleted."""
_DISORDER: Final = 1000
"""Sequence numbers by which events of one connection may be out of order."""
_DISORDER_US: Final = 60_000_000
"""The same for a Jetstream, whose numbers are microseconds; it also rewinds a few seconds at each connection."""
_AHEAD_US: Final = 600_000_000
"""Lead of a Jetstream's clock over ours that is accepted."""


class Cursor:
    """Position in a stream. ``seen`` is the newest event received; the next connection resumes there.

    ``moment`` is the time at which the stream was last known to be up to date; ``timed`` says that its numbers are
    microseconds since 1970 (Jetstream) instead of a sequence (firehose). Methods may be called from several threads.
    """

    def __init__(self, start: int | None, moment: datetime | None, *, timed: bool) -> None:
        self.seen = start
        self.moment = moment
        self._timed = timed
        self._done = start
        self._under_way: dict[int, int] = {}
        self._first = True
        self._lock = Lock()

    def begin(self, number: int) -> None:
        """Mark an event as in progress; each call needs one :meth:`end`."""
        with self._lock:
            self._under_way[number] = self._under_way.get(number, 0) + 1

    def end(self, number: int) -> None:
        """Mark an event as done."""
        with self._lock:
            left = self._under_way.pop(number, 1) - 1
            if left:
                self._under_way[number] = left

    @property
    def value(self) -> int | None:
        """Return the cursor to resume from: the newest event before which all are done."""
        with self._lock:
            if self._under_way:
                first = min(self._under_way) - 1
                return first if self._done is None else min(first, self._done)
            return self._done

    @property
    def first(self) -> bool:
        """Return whether the next event is the first one of its connection."""
        return self._first

    def opened(self, longest: timedelta) -> str | None:
        """Note a new connection. Return why events may have been missed until now, or ``None``."""
        self._first = True
        before, self.moment = self.moment, self.now()
        if self.seen is None:
            return None
        if before is None:
            return "the age of the stored cursor is unknown"
        age = self.moment - before
        if age > longest:
            return f"the stored cursor is {age.total_seconds() / 3600:.0f} hours old"
        return None

    def saw(self, number: int) -> str | None:
        """Note an event that was processed. Return why events before it may have been missed, or ``None``."""
        first, self._first = self._first, False
        if self._timed and number > datetime.now(UTC).timestamp() * 1e6 + _AHEAD_US:
            return None  # a time in the future: as a cursor it would skip everything until then
        with self._lock:
            before = self.seen
            if before is None or number >= before:
                self.seen = self._done = number
                if before is not None and first and not self._timed and number > before + _JUMP:
                    return f"its numbers jump from {before} to {number}"
                return None
            allowed = _DISORDER_US if self._timed else 0 if first else _DISORDER
            if number >= before - allowed:
                return None
            self.seen = self._done = number
            return f"its numbers fall from {before} to {number}"

    def forget(self) -> None:
        """Reset: the server does not know this cursor."""
        with self._lock:
            self.seen = self._done = None

    @staticmethod
    def now() -> datetime:
        """Return the present time; tests replace it."""
        return datetime.now(UTC)
