"""A lock for each account: one thread at a time reads and writes it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from weakref import WeakValueDictionary


class _DidLock:
    """A lock that supports weak references."""

    def __init__(self) -> None:
        self.lock = Lock()


class Locks:
    """Locks by account, for all threads that write to one store: without them an older state could be stored last."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._locks: WeakValueDictionary[str, _DidLock] = WeakValueDictionary()

    @contextmanager
    def holding(self, did: str, *, wait: bool = True) -> Iterator[bool]:
        """Hold the lock of an account. Without ``wait`` the value says whether it is held."""
        with self._lock:
            found = self._locks.setdefault(did, _DidLock())
        held = found.lock.acquire(blocking=wait)
        try:
            yield held
        finally:
            if held:
                found.lock.release()
