"""A lock for each account: of all the threads that crawl into one store, one at a time reads and writes it."""

from __future__ import annotations

from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Locks"]


class _DidLock:
    """A lock that may be referred to weakly."""

    def __init__(self) -> None:
        self.lock = Lock()


class Locks:
    """A lock for each account, for all that write into one store: else what was read first might be stored last."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._locks: WeakValueDictionary[str, _DidLock] = WeakValueDictionary()

    @contextmanager
    def alone_with(self, did: str, *, wait: bool = True) -> Iterator[bool]:
        """Be the only thread that reads or writes this account. Without ``wait``: whether it is."""
        with self._lock:
            found = self._locks.setdefault(did, _DidLock())
        held = found.lock.acquire(blocking=wait)
        try:
            yield held
        finally:
            if held:
                found.lock.release()
