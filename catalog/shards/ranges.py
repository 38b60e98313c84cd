"""A remote file with ``seek``, read by HTTP ranges: for formats whose index is at the end, such as Parquet.

The first request is for the last bytes, and learns the length. Every later answer must be of the same version.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from catalog.errors import InvalidShard, RequestFailed, ResponseTooLarge
from catalog.shards.download import validator_of

if TYPE_CHECKING:
    from catalog.network.http import Stream
    from catalog.shards.download import Request

_TAIL: Final = 1 << 16
_TRIES: Final = 4
_TRANSIENT: Final = frozenset({0, 408, 429, 500, 502, 503, 504})
_RANGE: Final = re.compile(r"bytes ([0-9]{1,15})-([0-9]{1,15})/([0-9]{1,15})")


class RangeFile:
    """A remote file; see the module. Made by :meth:`open`."""

    remote = True
    closed = False

    def __init__(self, request: Request, where: str, size: int, validator: str | None, tail: bytes) -> None:
        self._request, self._where = request, where
        self._size, self._validator, self._tail = size, validator, tail
        self._at = 0
        self._most: int | None = None

    @classmethod
    def open(cls, request: Request, where: str, *, most: int | None = None) -> RangeFile | None:
        """Open a remote file, of which at most ``most`` bytes are fetched; ``None`` if its server has no ranges.

        Raises a :class:`~catalog.errors.NetworkError`.
        """
        with request({"Range": f"bytes=-{_TAIL}"}) as answer:
            found = _RANGE.fullmatch(answer.headers.get("content-range", "").strip())
            if answer.status != 206 or found is None:
                return None
            size, first = int(found[3]), int(found[1])
            tail = _body(answer, size - first, where)
            if first != max(0, size - _TAIL):
                return None
        opened = cls(request, where, size, validator_of(answer.headers), tail)
        opened._most = most
        return opened

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to an offset."""
        self._at = max(0, offset + (0, self._at, self._size)[whence])
        return self._at

    def tell(self) -> int:
        """Return the offset."""
        return self._at

    def seekable(self) -> bool:
        """Return true."""
        return True

    def readable(self) -> bool:
        """Return true."""
        return True

    def close(self) -> None:
        """Do nothing: the client is closed by its owner."""

    def read(self, size: int | None = -1) -> bytes:
        """Return the next bytes, all the others by default.

        Raises a :class:`~catalog.errors.NetworkError`, and :class:`InvalidShard` if the file was changed.
        """
        left = max(0, self._size - self._at)
        count = left if size is None or size < 0 else min(size, left)
        start, kept = self._at, self._size - len(self._tail)
        self._at += count
        if not count:
            return b""
        if start >= kept:
            return self._tail[start - kept : start - kept + count]
        return self._fetch(start, count)

    def _fetch(self, start: int, count: int) -> bytes:
        if self._most is not None:
            self._most -= count
            if self._most < 0:
                raise ResponseTooLarge("its first rows have too many bytes", where=self._where)
        headers = {"Range": f"bytes={start}-{start + count - 1}"}
        for attempt in range(1, _TRIES + 1):
            try:
                with self._request(headers) as answer:
                    self._check(answer.status, answer.headers, start, count)
                    return _body(answer, count, self._where)
            except RequestFailed as error:
                if error.status not in _TRANSIENT or attempt == _TRIES:
                    raise
            time.sleep(random.uniform(0.1, 0.5 * 2**attempt))  # noqa: S311 - spreads load, hides nothing
        raise AssertionError  # the last attempt returns or raises

    def _check(self, status: int, headers: Mapping[str, str], start: int, count: int) -> None:
        found = _RANGE.fullmatch(headers.get("content-range", "").strip())
        validator = validator_of(headers)
        same = self._validator is None or validator is None or validator == self._validator
        if status != 206 or found is None or not same or int(found[3]) != self._size:
            raise InvalidShard("the shard was changed while it was read", where=self._where, hint="read it again")
        if (int(found[1]), int(found[2])) != (start, start + count - 1):
            what = "the server sends another range than was requested"
            raise InvalidShard(what, where=self._where, hint="its publisher should fix the server")


def read_range(request: Request, where: str, begin: int, end: int) -> bytes | None:
    """Return the bytes between two offsets, fewer at the end of the file; ``None`` if its server has no ranges.

    Raises a :class:`~catalog.errors.NetworkError`.
    """
    for attempt in range(1, _TRIES + 1):
        try:
            with request({"Range": f"bytes={begin}-{end - 1}"}) as answer:
                found = _RANGE.fullmatch(answer.headers.get("content-range", "").strip())
                if answer.status != 206 or found is None or int(found[1]) != begin:
                    return None
                if int(found[2]) != min(end, int(found[3])) - 1:
                    return None
                return _body(answer, int(found[2]) + 1 - begin, where)
        except RequestFailed as error:
            if error.status not in _TRANSIENT or attempt == _TRIES:
                raise
        time.sleep(random.uniform(0.1, 0.5 * 2**attempt))  # noqa: S311 - spreads load, hides nothing
    raise AssertionError  # the last attempt returns or raises


def _body(answer: Stream, count: int, where: str) -> bytes:
    found = bytearray()
    for chunk in answer.chunks:
        found += chunk
        if len(found) > count:
            raise InvalidShard("the server sends more bytes than the range has", where=where)
    if len(found) < count:
        raise RequestFailed("the answer is shorter than its range", where=where)
    return bytes(found)
