"""A scheduler with a queue for each host, so that a slow host delays no other.

A host gets one task at a time until it has answered once, then a few. Tasks may add tasks, for any host.

- A task that runs for longer than ``stalled_after`` seconds no longer counts among the running threads, so that hosts
  that never answer don't use up the threads. The number of stalled tasks is bounded.
- Hosts that have not answered yet take turns by domain: a thousand names of one domain have the turns of one host.
- Hosts with a stalled task take their turns after all others.
- An exception ends its task. A :class:`~catalog.errors.StoreError` (the store is broken) and anything that is no
  ``Exception`` (a keyboard interrupt) end the crawl.
"""

from __future__ import annotations

import ipaddress
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Condition, RLock, Thread, current_thread
from typing import TYPE_CHECKING, Final, Self, TypeAlias

from catalog.errors import StoreError, contained

if TYPE_CHECKING:
    from catalog.errors import CatalogError

THREADS: Final = 48
"""Tasks that run at a time, stalled ones not counted."""
STALLED: Final = 400
"""Limit of stalled tasks; beyond it they use up threads of the others."""
STALLED_AFTER: Final = 2.0
PER_HOST: Final = 4
_MOST_HOSTS: Final = 10_000
"""Hosts without tasks that are remembered as having answered."""

Work: TypeAlias = "Callable[[], bool]"
"""A task; returns whether the host answered."""


@dataclass(slots=True)
class _Host:
    """A host's queue. ``started`` has the start of each running task; ``worked`` the seconds of earlier work."""

    group: str
    waiting: deque[Work] = field(default_factory=deque)
    running: set[int] = field(default_factory=set)
    width: int = 1
    answered: bool = False
    stalled: int = 0
    queued: bool = False
    """It waits in a queue for its next turn."""
    resumes: float = 0.0
    """Time from which it may run tasks again."""
    worked: float = 0.0
    since: float = 0.0
    """Start of its current work without a pause."""


@dataclass(slots=True)
class _Running:
    host: str
    started: float
    stalled: bool = False


class _Turns:
    """Hosts that wait for a turn: one of each group, then the next one of each group."""

    def __init__(self) -> None:
        self._groups: dict[str, deque[str]] = {}

    def add(self, group: str, host: str) -> None:
        self._groups.setdefault(group, deque()).append(host)

    def take(self) -> str | None:
        """Return the next host. Its group goes to the end of the row."""
        for group in self._groups:
            hosts = self._groups.pop(group)
            host = hosts.popleft()
            if hosts:
                self._groups[group] = hosts
            return host
        return None

    def __bool__(self) -> bool:
        return bool(self._groups)


class Schedule:
    """Thread pool for tasks of hosts; a context manager that waits for running tasks at its end.

    ``on_error`` is called with the host and the error of a task that raised. ``clock`` counts seconds.
    """

    def __init__(
        self,
        *,
        threads: int = THREADS,
        per_host: int = PER_HOST,
        stalled: int = STALLED,
        stalled_after: float = STALLED_AFTER,
        on_error: Callable[[str, CatalogError], object] = lambda _host, _error: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most, self._per_host, self._most_stalled, self._stalled_after = threads, per_host, stalled, stalled_after
        self._report_error, self._clock = on_error, clock
        self._hosts: dict[str, _Host] = {}
        self._fresh, self._slow = _Turns(), _Turns()
        """Hosts that wait: those that answer, and those with a stalled task."""
        self._later: set[str] = set()
        """Hosts with tasks that are paused."""
        self._running: dict[int, _Running] = {}
        self._number = 0
        self._stalled = 0
        lock = RLock()
        self._changed, self._done, self._tick = Condition(lock), Condition(lock), Condition(lock)
        """Wake threads that wait for tasks, those that wait for the end, and the watching thread."""
        self._open = 0
        self._ready = 0
        """Number of hosts in a queue."""
        self._idle = 0
        """Idle threads; one that was started or woken counts until it runs."""
        self._closed = False
        self._threads: set[Thread] = set()
        self._watch: Thread | None = None
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        with self._changed:
            threads = [*self._threads, *([] if self._watch is None else [self._watch])]
        for thread in threads:
            thread.join()

    def add(self, host: str, work: Work, *, after: float = 0.0) -> None:
        """Add a task; ``after`` pauses its host for so many seconds first."""
        with self._changed:
            if self._closed:
                return
            state = self._state(host)
            if after > 0:
                state.resumes = max(state.resumes, self._clock() + after)
            state.waiting.append(work)
            self._open += 1
            self._offer(host, state)
            self._man()
            if self._watch is None:
                self._watch = Thread(target=self._watched, name="crawl-watch", daemon=True)
                self._watch.start()

    def wait(self) -> None:
        """Wait until all tasks are done. Raises the error that ended everything."""
        with self._changed:
            while self._open and not self._closed:
                self._done.wait(0.5)  # a wait without a timeout can't be interrupted from the keyboard on every system
            if self._error is not None:
                raise self._error

    def worked(self, host: str) -> float:
        """Return the seconds in which tasks of this host were running since the start or :meth:`renew`."""
        with self._changed:
            state = self._hosts.get(host)
            if state is None:
                return 0.0
            return state.worked + (self._clock() - state.since if state.running else 0.0)

    def renew(self) -> None:
        """Count each host's seconds from now on."""
        with self._changed:
            now = self._clock()
            for state in self._hosts.values():
                state.worked, state.since = 0.0, now

    def answered(self, host: str) -> bool:
        """Return whether a task of this host has reported that it answered."""
        with self._changed:
            state = self._hosts.get(host)
            return state is not None and state.answered

    @property
    def broken(self) -> bool:
        """Return whether an error ended everything: no task starts any more."""
        return self._error is not None

    @property
    def busy(self) -> bool:
        """Return whether there are tasks, waiting or running."""
        with self._changed:
            return self._open > 0

    def stop(self) -> None:
        """Start no more tasks; running ones finish."""
        with self._changed:
            self._close()

    def _close(self) -> None:
        self._closed = True
        for condition in (self._changed, self._done, self._tick):
            condition.notify_all()

    def _state(self, host: str) -> _Host:
        state = self._hosts.get(host)
        if state is None:
            if len(self._hosts) >= _MOST_HOSTS:
                self._hosts = {name: one for name, one in self._hosts.items() if one.waiting or one.running}
            state = self._hosts[host] = _Host(group=_domain(host))
        return state

    def _offer(self, host: str, state: _Host) -> None:
        """Queue a host for its next turn, if it has tasks and may run one."""
        if state.queued or not state.waiting or len(state.running) >= state.width:
            return
        if state.resumes > self._clock():
            self._later.add(host)
            return
        state.queued = True
        self._ready += 1
        (self._slow if state.stalled else self._fresh).add(host if state.answered else state.group, host)

    def _man(self, *, own: int = 0) -> None:
        """Wake or start a thread for each waiting host; ``own`` of them the calling thread takes itself.

        If no thread can be started, the existing ones do the work.
        """
        wanted = min(self._ready, self._most - len(self._running) + self._stalled) - own
        if self._closed:
            return
        if wanted > self._idle and len(self._threads) < self._most + self._most_stalled:
            thread = Thread(target=self._run, name=f"crawl-{len(self._threads)}", daemon=True)
            self._idle += 1
            self._threads.add(thread)
            try:
                thread.start()
            except (RuntimeError, MemoryError):  # the system has no more threads for us
                self._idle -= 1
                self._threads.discard(thread)
                if not self._threads:
                    raise
        if wanted > 0:
            self._changed.notify(wanted)

    def _run(self) -> None:
        with self._changed:
            self._idle -= 1
            while True:
                taken = self._next()
                if taken is not None:
                    self._one(*taken)
                elif self._closed:
                    return
                elif self._idle >= self._most and len(self._threads) > self._most:
                    self._threads.discard(current_thread())
                    return
                else:
                    self._idle += 1
                    self._changed.wait()
                    self._idle -= 1

    def _next(self) -> tuple[int, Work] | None:
        if self._closed or len(self._running) - self._stalled >= self._most:
            return None
        host = self._fresh.take() or self._slow.take()
        if host is None:
            return None
        state, now = self._hosts[host], self._clock()
        state.queued = False
        self._ready -= 1
        work = state.waiting.popleft()
        if not state.running:
            state.since = now
        self._number += 1
        self._running[self._number] = _Running(host=host, started=now)
        state.running.add(self._number)
        self._offer(host, state)
        self._man()
        return self._number, work

    def _one(self, number: int, work: Work) -> None:
        """Run a task; the lock is held before and after, not during it."""
        host, answered = self._running[number].host, False
        failure: BaseException | None = None
        self._changed.release()
        try:
            answered = work()
        except StoreError as error:
            failure = error
        except Exception as error:  # noqa: BLE001 — whatever it is, it ends this piece alone
            with suppress(Exception):  # also if memory doesn't suffice to report that
                self._report_error(host, contained(error, where=host))
        except BaseException as error:  # noqa: BLE001 — it is raised by wait()
            failure = error
        finally:
            self._changed.acquire()
        self._end(number, answered=answered)
        if failure is not None:
            self._error = self._error or failure
            self._close()

    def _end(self, number: int, *, answered: bool) -> None:
        ran = self._running.pop(number)
        state = self._hosts[ran.host]
        state.running.discard(number)
        if ran.stalled:
            self._stalled -= 1
            state.stalled -= 1
        if not state.running:
            state.worked += self._clock() - state.since
        if answered:
            state.answered, state.width = True, self._per_host
        self._offer(ran.host, state)
        self._man(own=1)
        self._open -= 1
        if not self._open:
            self._done.notify_all()

    def _watched(self) -> None:
        """Mark stalled tasks at intervals, and resume hosts whose pause is over."""
        with self._changed:
            while not self._closed:
                self._tick.wait(min(0.5, self._stalled_after / 2))
                self._look()

    def _look(self) -> None:
        now = self._clock()
        for running in self._running.values():
            late = not running.stalled and now - running.started > self._stalled_after
            if late and self._stalled < self._most_stalled:
                running.stalled = True
                self._stalled += 1
                self._hosts[running.host].stalled += 1
        later, self._later = self._later, set()
        for host in later:
            self._offer(host, self._hosts[host])
        for _ in range(min(self._ready, self._most)):
            self._man()


def _domain(host: str) -> str:
    """Return the last two labels of a name; an IP address, or a name without a dot, as it is."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        labels = name.rstrip(".").split(".")
        return host if len(labels) < 2 else ".".join(labels[-2:])
    return host
