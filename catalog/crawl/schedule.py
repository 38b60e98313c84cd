"""Work by host: every host has a queue of its own, so that a slow one holds up nobody but itself.

A host is given one piece of work at a time until it has answered once, then a few. Pieces may add more work, for their
own host or for another.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field
from threading import Condition, Thread
from typing import TYPE_CHECKING, Final, Self, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

__all__ = ["Schedule", "Work"]

THREADS: Final = 48
PER_HOST: Final = 4

Work: TypeAlias = "Callable[[], bool]"
"""Does something, and tells whether the host answered. What it raises ends the schedule."""


@dataclass(slots=True)
class _Host:
    waiting: deque[Work] = field(default_factory=deque)
    at_work: int = 0
    width: int = 1


class Schedule:
    """Runs work in threads; a context manager, at whose end nothing runs any more."""

    def __init__(self, *, threads: int = THREADS, per_host: int = PER_HOST) -> None:
        self._most, self._per_host = threads, per_host
        self._hosts: defaultdict[str, _Host] = defaultdict(_Host)
        self._ready: deque[str] = deque()
        """Hosts with work to do, those served longest ago first."""
        self._changed = Condition()
        self._open = 0
        self._unbegun = 0
        self._idle = 0
        """Threads that wait; one that was woken counts until it runs."""
        self._closed = False
        self._threads: list[Thread] = []
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        for thread in self._threads:
            thread.join()

    def add(self, host: str, work: Work) -> None:
        """Have a piece of work done some time."""
        with self._changed:
            if self._closed:
                return
            state = self._hosts[host]
            if not state.waiting:
                self._ready.append(host)
            state.waiting.append(work)
            self._open += 1
            self._unbegun += 1
            if self._idle < self._unbegun and len(self._threads) < self._most:
                thread = Thread(target=self._run, name=f"crawl-{len(self._threads)}", daemon=True)
                self._threads.append(thread)
                thread.start()
            self._changed.notify()

    def wait(self) -> None:
        """Until everything is done. Raises what a piece of work raised."""
        with self._changed:
            while self._open and not self._closed:
                self._changed.wait(0.5)  # a wait without an end can't be interrupted from the keyboard everywhere
            if self._error is not None:
                raise self._error

    @property
    def broken(self) -> bool:
        """Whether a piece of work raised something: nothing is begun any more."""
        return self._error is not None

    @property
    def busy(self) -> bool:
        """Whether there is anything to do, or being done."""
        with self._changed:
            return self._open > 0

    def stop(self) -> None:
        """Begin nothing more; what is being done is done to its end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _run(self) -> None:
        with self._changed:
            while True:
                taken = self._next()
                if taken is not None:
                    self._one(*taken)
                elif self._closed:
                    return
                else:
                    self._idle += 1
                    self._changed.wait()
                    self._idle -= 1

    def _one(self, host: str, work: Work) -> None:
        """Do a piece of work; the lock is held before and after, not during it."""
        answered = False
        self._changed.release()
        try:
            answered = work()
        except BaseException as error:  # noqa: BLE001 — it is raised by wait()
            failure: BaseException | None = error
        else:
            failure = None
        self._changed.acquire()
        state = self._hosts[host]
        state.at_work -= 1
        self._open -= 1
        if answered:
            state.width = self._per_host
        if failure is not None:
            self._error = self._error or failure
            self._closed = True
        self._changed.notify_all()

    def _next(self) -> tuple[str, Work] | None:
        if self._closed:
            return None
        for _ in range(len(self._ready)):
            host = self._ready.popleft()
            state = self._hosts[host]
            if state.at_work >= state.width:
                self._ready.append(host)
                continue
            work = state.waiting.popleft()
            state.at_work += 1
            self._unbegun -= 1
            if state.waiting:
                self._ready.append(host)
            return host, work
        return None
