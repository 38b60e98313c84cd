"""Resumable downloads of shards.

A connection that breaks or stalls is opened again with ``Range: bytes=N-`` and ``If-Range``, so the server itself
decides whether it still has the version of which the first bytes came. Handling of each answer:

========================  ====================================================================================
206, the requested range  continue
200, same validator       the server has no ranges: skip the bytes already received
200, another validator    a file starts again; an error if samples were already returned
206, another range        an error
416                       as another validator
========================  ====================================================================================

Of one shard the kernel's socket buffers read ahead: 25 MB that take 1.0 s to arrive and whose samples take 1.2 s to use
take 1.3 s together. Threads for the next shards are in :mod:`catalog.shards.read_ahead`.

A validator is a strong ETag, or a Last-Modified at least a second older than the answer (RFC 9110, 8.8.2.2, 13.1.5).
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import AbstractContextManager
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final, TypeAlias

from catalog.errors import CatalogError, InvalidShard, RequestFailed

if TYPE_CHECKING:
    from catalog.network.http import Stream

__all__ = ["ACCEPTED", "Request", "download", "validator_of"]

TRIES: Final = 5
"""Failures in a row without ``PROGRESS`` new bytes."""
PROGRESS: Final = 1 << 16

STALL_SECONDS: Final = 60.0
SLOWEST: Final = 8192.0
"""Seconds of waiting for bytes: a fixed number, and one for every so many bytes received. It bounds stalls and drips;
the time in which the caller uses the samples doesn't count."""

LONGEST_PAUSE: Final = 15.0

ACCEPTED: Final = frozenset({416})
"""Statuses of 400 and more that aren't errors here."""

_TRANSIENT: Final = frozenset({0, 408, 429, 500, 502, 503, 504})
_RANGE: Final = re.compile(r"bytes ([0-9]{1,15})-([0-9]{1,15})/([0-9]{1,15}|\*)")
_DRAINED: Final = 1 << 16
_DRAIN_SECONDS: Final = 1.0

Request: TypeAlias = "Callable[[Mapping[str, str]], AbstractContextManager[Stream]]"
"""Requests the shard with these headers added; the answer's status is 200, 206 or one of ``ACCEPTED``."""


def download(request: Request, where: str, *, restart: bool) -> Generator[tuple[int, bytes], None, None]:
    """Yield a shard as (offset, chunk).

    Each offset follows the previous chunk, but with ``restart`` it may be 0 again: the chunks before belong to another
    version. Raises a :class:`~catalog.errors.NetworkError`, and :class:`InvalidShard` if the shard changes midway.
    """
    transfer = _Transfer(where, restart=restart)
    while True:
        try:
            yield from transfer.attempt(request)
        except RequestFailed as error:
            transfer.failed(error)
        else:
            return


class _Transfer:
    """The state of one download: the version, the bytes received, the failures."""

    def __init__(self, where: str, *, restart: bool) -> None:
        self._where, self._restart = where, restart
        self._answered = False
        self._got = 0
        self._total: int | None = None
        self._validator: str | None = None
        self._farthest = self._received = self._failures = 0
        self._waited = 0.0

    def attempt(self, request: Request) -> Iterator[tuple[int, bytes]]:
        """Yield the chunks of one answer. Raises :class:`RequestFailed` if it breaks off."""
        headers: dict[str, str] = {}
        if self._got and self._validator is not None:
            headers = {"Range": f"bytes={self._got}-", "If-Range": self._validator}
        since = time.monotonic()
        try:
            with request(headers) as answer:
                skip = self._check_headers(answer)
                for chunk in answer.chunks:
                    now = time.monotonic()
                    self._waited, since = self._waited + now - since, now
                    self._received += len(chunk)
                    self._check_stall()
                    new = chunk[skip:] if skip else chunk
                    skip = max(0, skip - len(chunk))
                    if new:
                        self._check_total(len(new))
                        try:
                            yield self._got, new
                        except GeneratorExit:
                            self._drain(answer, self._got + len(new))
                            raise
                        self._got += len(new)
                    since = time.monotonic()
        finally:
            self._waited += time.monotonic() - since
        if skip or (self._total is not None and self._got < self._total):
            raise RequestFailed("the answer is shorter than its length", where=self._where)

    def _drain(self, answer: Stream, got: int) -> None:
        """Read the few bytes after a tar's end mark: otherwise the connection can't be used for the next shard."""
        if self._total is None or self._total - got > _DRAINED:
            return
        due = time.monotonic() + _DRAIN_SECONDS
        try:
            while time.monotonic() < due and next(answer.chunks, None) is not None:
                pass
        except CatalogError:  # the caller has what it wants
            return

    def failed(self, error: RequestFailed) -> None:
        """Prepare another attempt after a pause, or raise."""
        if error.status == 404 and error.hint is None:
            error.hint = "there is no such shard; was it moved?"
        if error.status == 0 and not self._answered:
            raise RequestFailed(f"{error.what}; {self._progress()}", where=error.where)  # the client has retried
        if error.status not in _TRANSIENT or not self._answered:
            raise error
        if self._got >= self._farthest + PROGRESS:
            self._farthest, self._failures = self._got, 0
        self._failures += 1
        self._check_stall()
        if self._failures > TRIES:
            raise RequestFailed(f"broke off again and again; {self._progress()}: {error.what}", where=self._where)
        if self._validator is None and self._got:
            if not self._restart:
                hint = "the server doesn't name the version it sends, so the download can't be resumed; try again"
                raise RequestFailed(f"broke off; {self._progress()}: {error.what}", where=self._where, hint=hint)
            self._got = 0
        pause = random.uniform(0.1, min(LONGEST_PAUSE, 0.5 * 2**self._failures))  # noqa: S311 - spreads load, hides nothing
        time.sleep(pause)
        self._waited += pause

    def _check_headers(self, answer: Stream) -> int:
        """Check an answer by its headers; return how many of its first bytes were already received."""
        headers = answer.headers
        self._answered = True
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
            what = "the server sends another range than was requested"
            raise InvalidShard(what, where=self._where, hint="its publisher should fix the server")
        total = None if found[3] == "*" else int(found[3])
        theirs = headers.get("etag" if (self._validator or "").startswith('"') else "last-modified", self._validator)
        if (total is not None and self._total not in (None, total)) or theirs != self._validator:
            raise InvalidShard("the shard was changed while it was read", where=self._where, hint="read it again")

    def _check_total(self, more: int) -> None:
        if self._total is not None and self._got + more > self._total:
            raise InvalidShard("the server sends more bytes than its Content-Length", where=self._where)

    def _check_stall(self) -> None:
        if self._waited > STALL_SECONDS + self._received / SLOWEST:
            what = f"the server stalls; {self._progress()}"
            raise RequestFailed(what, where=self._where, hint="try again later, or ask its publisher")

    def _progress(self) -> str:
        of = "" if self._total is None else f" of {self._total:,}"
        return f"{self._got:,}{of} bytes came in {self._waited:.0f} seconds"


def validator_of(headers: Mapping[str, str]) -> str | None:
    """Return the validator of an answer's version, fit for If-Range; ``None`` if it has no strong one."""
    etag = headers.get("etag", "")
    if 2 < len(etag) < 500 and etag[0] == etag[-1] == '"' and etag.isascii() and etag.isprintable():
        return etag
    modified = headers.get("last-modified", "")
    try:
        age = parsedate_to_datetime(headers.get("date", "")) - parsedate_to_datetime(modified)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return modified if age.total_seconds() >= 1 and modified.isascii() and modified.isprintable() else None
