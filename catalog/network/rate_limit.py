"""Rate limits per host: few concurrent requests, requested pauses, and no requests to failing hosts for a while.

- After a 429 all requests to the host pause until the time it states. Without one, pauses grow while 429s continue,
  with full jitter. A 429 is no failure.
- A host has one concurrent request until its first good response, so that a thousand dead hosts take a thousand
  requests, not four thousand.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from threading import Condition, Lock
from typing import Final

from catalog.errors import RequestFailed

TURNS: Final = 4
"""Requests in flight to one host, until their headers are there."""
PARKED_AFTER: Final = 5
"""Failures in a row."""
PARKED_SECONDS: Final = 60.0
PROVEN_PARKED_SECONDS: Final = 5.0
"""The same for a host that has answered well before, as it may recover soon."""
MOST_PARKED_SECONDS: Final = 3600.0
LONGEST_PAUSE: Final = 60.0
"""Maximum pause after a 429 without a time."""
_MOST_PAUSE: Final = 3600.0
"""Maximum pause that a host can request."""
_SMOOTHING: Final = 0.2
"""The weight of a new measurement in the moving average."""
_WORTH_MEASURING: Final = 16_384
"""Bytes of a body below which its time isn't used for the throughput."""
_WORTH_TELLING: Final = 5.0
"""Seconds of a pause from which it is reported to the user."""
_MOST_METERED: Final = 10_000
"""Hosts whose traffic is counted one by one; that of all others is counted together."""
_EPOCH: Final = 1_000_000_000
"""A RateLimit-Reset above it is a time, below it a number of seconds."""


@dataclass(slots=True)
class Traffic:
    """The traffic with one host: requests, bytes of bodies, seconds of answers."""

    requests: int = 0
    bytes: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Meter:
    """Traffic by host, counted by many threads."""

    hosts: dict[str, Traffic] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)

    def count(self, host: str, *, requests: int = 0, received: int = 0, seconds: float = 0.0) -> None:
        """Add to a host's traffic."""
        with self.lock:
            if host not in self.hosts and len(self.hosts) >= _MOST_METERED:
                host = "other hosts"
            traffic = self.hosts.setdefault(host, Traffic())
            traffic.requests += requests
            traffic.bytes += received
            traffic.seconds += seconds


@dataclass(frozen=True, slots=True)
class Budget:
    """A time limit: ``ends`` is a time of ``time.monotonic``, ``whose`` its subject, ``setting`` the setting of its
    length.
    """

    ends: float
    whose: str
    setting: str | None = None

    @property
    def over(self) -> bool:
        """Return whether the time is used up."""
        return time.monotonic() >= self.ends

    def error(self) -> RequestFailed:
        """Return the error for an exceeded budget."""
        hint = None if self.setting is None else f"raise {self.setting}"
        return RequestFailed("its time budget is used up", name=TIME_UP, where=self.whose, hint=hint)


@dataclass(slots=True)
class Allowance:
    """A limit on the bytes downloaded for one account, in one thread: ``left`` of ``most``."""

    most: int
    whose: str
    left: int = 0

    def __post_init__(self) -> None:
        self.left = self.most

    def take(self, size: int) -> None:
        """Count bytes. Raises :class:`RequestFailed` (``BytesUp``) when there are too many."""
        self.left -= size
        if self.left < 0:
            raise self.error()

    def error(self) -> RequestFailed:
        """Return the error for an exceeded allowance."""
        what = f"reading it takes more than {self.most:,} bytes"
        return RequestFailed(what, name=BYTES_UP, where=self.whose, hint="raise limits.account_bytes")


TIME_UP: Final = "TimeUp"
BYTES_UP: Final = "BytesUp"
RATE_LIMITED: Final = "RateLimited"
BUDGET: ContextVar[Budget | None] = ContextVar("BUDGET", default=None)
"""The time limit of this thread's requests."""
ALLOWANCE: ContextVar[Allowance | None] = ContextVar("ALLOWANCE", default=None)
"""The limit on bytes of this thread's answers."""
METER: ContextVar[Meter | None] = ContextVar("METER", default=None)
"""An additional meter of this thread's requests."""


class Host:
    """The measured state of a host. ``latency`` (s) and ``throughput`` (bytes/s) are None until measured."""

    def __init__(
        self,
        name: str,
        *,
        sleep: Callable[[float], None],
        clock: Callable[[], float],
        parks: bool,
        waiting: Callable[[str, float], object] | None = None,
    ) -> None:
        self.name = name
        self.latency: float | None = None
        self.throughput: float | None = None
        self._sleep, self._clock, self._parks, self._waiting = sleep, clock, parks, waiting
        self._changed = Condition()
        self._in_flight = 0
        self._width = 1
        self._resumes = 0.0
        """End of the pause that the host requested."""
        self._storm = 0
        """Number of 429s in a row without a time."""
        self._failures = 0
        self._why = ""
        """The reason of the last failure."""
        self._parked_until = 0.0
        self._parked_for = PARKED_SECONDS

    @contextmanager
    def turn(self, patience: float) -> Iterator[None]:
        """Wait for a slot, and hold it. ``patience`` is the time (of the clock) at which waiting ends.

        Raises :class:`RequestFailed`: ``HostParked`` at once for a parked host, ``RateLimited`` if its pause is longer
        than our patience.
        """
        self._wait(patience)
        try:
            yield
        finally:
            with self._changed:
                self._in_flight -= 1
                self._changed.notify()

    def _wait(self, patience: float) -> None:
        served = 0.0
        while True:
            with self._changed:
                now = self._clock()
                if self._parked_until > now:
                    left = self._parked_until - now
                    message = f"left alone for {left:.0f} s more, after {self._failures} failures in a row"
                    message += f", the last: {self._why}" if self._why else ""
                    raise RequestFailed(message, name="HostParked", where=self.name)
                resumes = self._resumes
                pause = resumes - now if resumes != served else 0.0
                if pause <= 0:
                    if self._in_flight < self._width:
                        self._in_flight += 1
                        return
                    if now >= patience:
                        raise RequestFailed("other requests to it take too long", where=self.name)
                    self._changed.wait(1.0)
                    continue
            if resumes > patience:
                message = f"it wants no request for {pause:.0f} s"
                raise RequestFailed(message, status=429, name=RATE_LIMITED, where=self.name)
            if self._waiting is not None and pause >= _WORTH_TELLING:
                self._waiting(self.name, pause)
            self._sleep(pause)
            served = resumes  # a caller with another clock has slept

    @property
    def parked(self) -> float:
        """Seconds for which requests to it fail at once, after failures; 0 if it isn't parked."""
        with self._changed:
            return max(0.0, self._parked_until - self._clock())

    @property
    def pause(self) -> float:
        """Seconds left of the pause that the host requested; 0 for none."""
        with self._changed:
            return max(0.0, self._resumes - self._clock())

    def answered(self, seconds: float, headers: Mapping[str, str]) -> None:
        """A good answer, or one that is the request's own fault: its headers are there, its body isn't yet."""
        with self._changed:
            self.latency = _smoothed(self.latency, seconds)
            self._storm = 0
            if self._width < TURNS:
                self._width = TURNS
                self._changed.notify_all()
            remaining = _number(headers.get("ratelimit-remaining"))
            if remaining is not None and remaining < TURNS:
                reset = _number(headers.get("ratelimit-reset"))
                if reset is not None:
                    self._pause(reset - time.time() if reset > _EPOCH else reset)

    def busy(self, wait: float | None, headers: Mapping[str, str]) -> None:
        """A 429: ``wait`` seconds if it has a time. A zero counts as none: the request would be repeated forever."""
        with self._changed:
            if wait is None:
                reset = _number(headers.get("ratelimit-reset"))
                wait = None if reset is None else reset - time.time() if reset > _EPOCH else reset
            if wait is None or wait <= 0:
                self._storm += 1
                wait = random.uniform(0, min(LONGEST_PAUSE, 2.0**self._storm))  # noqa: S311 — spreads load, hides nothing
            self._pause(wait + random.uniform(0, 0.5))  # noqa: S311

    def failed(self, why: str = "", *, alive: bool = False) -> None:
        """No answer, a 5xx, or an interrupted body; ``why`` is reported while the host is parked for it.

        ``alive`` means an answer of the host itself: a host that has answered well before isn't parked for it, as the
        failure may be about one account.
        """
        with self._changed:
            if alive and self.latency is not None:
                return
            self._why = why
            self._failures += 1
            if self._parks and self._failures % PARKED_AFTER == 0:
                self._parked_until = self._clock() + self._parked_for
                self._parked_for = min(MOST_PARKED_SECONDS, 2 * self._parked_for)

    def received(self, size: int, seconds: float) -> None:
        """A body, or the wanted part of it, was read: only now the answer counts as good."""
        with self._changed:
            self._failures = 0
            self._parked_for = PROVEN_PARKED_SECONDS
            if size >= _WORTH_MEASURING and seconds > 0:
                self.throughput = _smoothed(self.throughput, size / seconds)

    def _pause(self, seconds: float) -> None:
        self._resumes = max(self._resumes, self._clock() + min(_MOST_PAUSE, max(0.0, seconds)))
        self._changed.notify_all()  # who waits for a turn sleeps until then instead


def _smoothed(before: float | None, new: float) -> float:
    return new if before is None else before + _SMOOTHING * (new - before)


def _number(text: str | None) -> float | None:
    """A count of a header; None for anything else."""
    return float(text) if text is not None and text.isascii() and text.isdigit() and len(text) <= 12 else None
