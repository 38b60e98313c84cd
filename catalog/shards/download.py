"""Downloads that go on where they broke off.

A connection that breaks or stalls is opened again with ``Range: bytes=N-``, and with ``If-Range``, so that the server
itself says whether it still has what the first bytes came from. What is done with each answer:

========================  ====================================================================================
206, the asked range      go on
200, same validator       the server has no ranges: pass over the bytes that are here already
200, another validator    a file begins anew; samples that were given out can't be taken back, so an error
206, another range        an error
416                       as another validator
========================  ====================================================================================

Nothing is read ahead by a thread: the kernel's socket buffers do it already. A shard of 25 MB that takes 1.0 s to
arrive and whose samples take 1.2 s to use takes 1.3 s together.

A validator is a strong ETag, or a Last-Modified that is a second older than the answer (RFC 9110, 8.8.2.2 and 13.1.5).
"""

from __future__ import annotations

import random
import re
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final, TypeAlias

from catalog.errors import InvalidShard, RequestFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping
    from contextlib import AbstractContextManager

    from catalog.network.http import Stream

__all__ = ["ANSWERS", "Ask", "pieces", "validator_of"]

TRIES: Final = 5
"""Failures in a row, none of which brought ``ENOUGH`` bytes that were new."""
ENOUGH: Final = 1 << 16

STALL_SECONDS: Final = 60.0
SLOWEST: Final = 8192.0
"""Seconds that may be waited for bytes: so many for nothing, and one for so many bytes. Bounds stalls and drips; the
time the caller takes for the samples doesn't count."""

LONGEST_PAUSE: Final = 15.0

ANSWERS: Final = frozenset({416})
"""Statuses of 400 and more that are no errors here."""

_PASSING: Final = frozenset({0, 408, 429, 500, 502, 503, 504})
_RANGE: Final = re.compile(r"bytes ([0-9]{1,15})-([0-9]{1,15})/([0-9]{1,15}|\*)")

Ask: TypeAlias = "Callable[[Mapping[str, str]], AbstractContextManager[Stream]]"
"""Asks for the shard with these headers added; the answer's status is 200, 206 or one of ``ANSWERS``."""


def pieces(ask: Ask, where: str, *, restart: bool) -> Generator[tuple[int, bytes], None, None]:
    """The bytes of a download: (offset, piece).

    Offsets follow on one another, except that with ``restart`` one may be 0 again: what came before was of another
    version. Raises a :class:`~catalog.errors.NetworkError`, and :class:`InvalidShard` when the shard changes midway.
    """
    transfer = _Transfer(where, restart=restart)
    while True:
        try:
            yield from transfer.attempt(ask)
        except RequestFailed as error:
            transfer.failed(error)
        else:
            return


class _Transfer:
    """One download: how far it is, of what, and how much patience is left."""

    def __init__(self, where: str, *, restart: bool) -> None:
        self._where, self._restart = where, restart
        self._begun = False
        self._got = 0
        self._total: int | None = None
        self._validator: str | None = None
        self._farthest = self._received = self._failures = 0
        self._waited = 0.0

    def attempt(self, ask: Ask) -> Iterator[tuple[int, bytes]]:
        """The pieces of one answer. Raises :class:`RequestFailed` when it breaks off."""
        headers: dict[str, str] = {}
        if self._got and self._validator is not None:
            headers = {"Range": f"bytes={self._got}-", "If-Range": self._validator}
        since = time.monotonic()
        try:
            with ask(headers) as answer:
                skip = self._begin(answer)
                for chunk in answer.chunks:
                    now = time.monotonic()
                    self._waited, since = self._waited + now - since, now
                    self._received += len(chunk)
                    self._check_patience()
                    new = chunk[skip:] if skip else chunk
                    skip = max(0, skip - len(chunk))
                    if new:
                        self._check_total(len(new))
                        yield self._got, new
                        self._got += len(new)
                    since = time.monotonic()
        finally:
            self._waited += time.monotonic() - since
        if skip or (self._total is not None and self._got < self._total):
            raise RequestFailed("the answer is shorter than it should be", where=self._where)

    def failed(self, error: RequestFailed) -> None:
        """Get ready for another attempt after a pause, or raise."""
        if error.status == 404 and error.hint is None:
            error.hint = "there is no such shard; was it moved?"
        if error.status == 0 and not self._begun:
            raise RequestFailed(f"{error.what}; {self._came()}", where=error.where)  # it was tried a few times already
        if error.status not in _PASSING or not self._begun:
            raise error
        if self._got >= self._farthest + ENOUGH:
            self._farthest, self._failures = self._got, 0
        self._failures += 1
        self._check_patience()
        if self._failures > TRIES:
            raise RequestFailed(f"broke off again and again; {self._came()}: {error.what}", where=self._where)
        if self._validator is None and self._got:
            if not self._restart:
                hint = "the server doesn't say which version it sends, so it can't be gone on with; try again"
                raise RequestFailed(f"broke off; {self._came()}: {error.what}", where=self._where, hint=hint)
            self._got = 0
        pause = random.uniform(0.1, min(LONGEST_PAUSE, 0.5 * 2**self._failures))  # noqa: S311 - spreads load, hides nothing
        time.sleep(pause)
        self._waited += pause

    def _begin(self, answer: Stream) -> int:
        """Judge an answer by its headers; how many of its bytes are here already."""
        headers = answer.headers
        self._begun = True
        if self._got and answer.status == 206:
            self._check_range(headers)
            return 0
        validator = validator_of(headers)
        if self._got and answer.status == 200 and validator is not None and validator == self._validator:
            return self._got
        if self._got:
            if not self._restart:
                raise InvalidShard("the shard was changed while it was read", where=self._where, hint="read it again")
            self._got = 0
        if answer.status == 416:  # there are fewer bytes now; the next request is for all of them
            raise RequestFailed("has no such range", where=self._where)
        if answer.status != 200:
            what = f"answers HTTP {answer.status} to a request for the whole"
            raise RequestFailed(what, status=answer.status, where=self._where)
        length = headers.get("content-length", "")
        self._total = int(length[:20]) if length.isascii() and length.isdigit() else None
        self._validator = validator
        return 0

    def _check_range(self, headers: Mapping[str, str]) -> None:
        found = _RANGE.fullmatch(headers.get("content-range", "").strip())
        if found is None or int(found[1]) != self._got or int(found[2]) < self._got:
            what = "the server sends another range than it was asked for"
            raise InvalidShard(what, where=self._where, hint="its publisher should fix the server")
        total = None if found[3] == "*" else int(found[3])
        theirs = headers.get("etag" if (self._validator or "").startswith('"') else "last-modified", self._validator)
        if (total is not None and self._total not in (None, total)) or theirs != self._validator:
            raise InvalidShard("the shard was changed while it was read", where=self._where, hint="read it again")

    def _check_total(self, more: int) -> None:
        if self._total is not None and self._got + more > self._total:
            raise InvalidShard("the server sends more bytes than it promised", where=self._where)

    def _check_patience(self) -> None:
        if self._waited > STALL_SECONDS + self._received / SLOWEST:
            what = f"the server stalls; {self._came()}"
            raise RequestFailed(what, where=self._where, hint="try again later, or ask its publisher")

    def _came(self) -> str:
        of = "" if self._total is None else f" of {self._total:,}"
        return f"{self._got:,}{of} bytes came in {self._waited:.0f} seconds"


def validator_of(headers: Mapping[str, str]) -> str | None:
    """What names this version of the shard, fit for If-Range; ``None`` when nothing does for sure."""
    etag = headers.get("etag", "")
    if 2 < len(etag) < 500 and etag[0] == etag[-1] == '"' and etag.isascii() and etag.isprintable():
        return etag
    modified = headers.get("last-modified", "")
    try:
        age = parsedate_to_datetime(headers.get("date", "")) - parsedate_to_datetime(modified)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return modified if age.total_seconds() >= 1 and modified.isascii() and modified.isprintable() else None
