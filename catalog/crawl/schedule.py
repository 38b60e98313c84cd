"""Work by host: every host has a queue of its own, so that a slow one holds up nobody but itself.

::

    add ─▶ the host's queue ─▶ its turn among hosts ─▶ a thread ─▶ done
                                                         └─ runs for long: stalled, and another thread takes its place

A host is given one piece of work at a time until it has answered once, then a few. Pieces may add more work, for their
own host or for another.

*Tricky bits.*

- A piece that runs for longer than ``stalled_after`` seconds counts no longer among the threads at work, so that
  hosts that never answer don't hold the threads that others need. Only the number of stalled pieces is bounded.
- Hosts that have not answered yet take turns by domain: a thousand names of one domain have the turns of one host.
- Hosts with a stalled piece take their turns after all others.
- What a piece of work raises ends that piece. A :class:`~catalog.errors.StoreError` (our own state is broken) and
  what is no ``Exception`` (an interrupt from the keyboard) end everything.
"""

from __future__ import annotations

import ipaddress
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Condition, RLock, Thread, current_thread
from typing import TYPE_CHECKING, Final, Self, TypeAlias

from catalog.errors import StoreError, contained

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from catalog.errors import CatalogError

__all__ = ["Schedule", "Work"]

THREADS: Final = 48
"""Pieces of work that run at a time, stalled ones aside."""
STALLED: Final = 400
"""Pieces of work that may be stalled; beyond them they hold threads that others need."""
STALLED_AFTER: Final = 2.0
PER_HOST: Final = 4
_MOST_HOSTS: Final = 10_000
"""Hosts without work that are remembered as having answered."""

Work: TypeAlias = "Callable[[], bool]"
"""Does something, and tells whether the host answered."""


@dataclass(slots=True)
class _Host:
    """A host's queue. ``begun`` is when the pieces that run began; ``worked`` are seconds with any at work before."""

    group: str
    waiting: deque[Work] = field(default_factory=deque)
    running: set[int] = field(default_factory=set)
    width: int = 1
    answered: bool = False
    stalled: int = 0
    queued: bool = False
    """Whether it stands in a queue for its next turn."""
    resumes: float = 0.0
    """When it may be given work again."""
    worked: float = 0.0
    since: float = 0.0
    """Since when pieces of it are at work without a pause."""


@dataclass(slots=True)
class _Running:
    host: str
    begun: float
    stalled: bool = False


class _Turns:
    """Hosts that want work, served in turn: one of each group, then the next one of each group."""

    def __init__(self) -> None:
        self._groups: dict[str, deque[str]] = {}

    def add(self, group: str, host: str) -> None:
        self._groups.setdefault(group, deque()).append(host)

    def take(self) -> str | None:
        """Take the host whose turn it is. Its group goes to the end of the row."""
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
    """Runs work in threads; a context manager, at whose end nothing runs any more.

    ``troubled`` is called with a host and the error where a piece of work raised one; what else a piece has to report
    is its own task. ``clock`` counts seconds.
    """

    def __init__(
        self,
        *,
        threads: int = THREADS,
        per_host: int = PER_HOST,
        stalled: int = STALLED,
        stalled_after: float = STALLED_AFTER,
        troubled: Callable[[str, CatalogError], object] = lambda _host, _error: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most, self._per_host, self._most_stalled, self._stalled_after = threads, per_host, stalled, stalled_after
        self._troubled, self._clock = troubled, clock
        self._hosts: dict[str, _Host] = {}
        self._fresh, self._slow = _Turns(), _Turns()
        """Hosts with work to do: those that answer, and those with a stalled piece."""
        self._later: set[str] = set()
        """Hosts with work to do that are to be left alone for a while."""
        self._running: dict[int, _Running] = {}
        self._number = 0
        self._stalled = 0
        lock = RLock()
        self._changed, self._done, self._tick = Condition(lock), Condition(lock), Condition(lock)
        """Wake threads that wait for work, those that wait for its end, and the one that watches."""
        self._open = 0
        self._ready = 0
        """Hosts that stand in a queue."""
        self._idle = 0
        """Threads that wait; one that was started or woken counts until it runs."""
        self._closed = False
        self._threads: set[Thread] = set()
        self._watch: Thread | None = None
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        with self._changed:
            threads = [*self._threads, *([] if self._watch is None else [self._watch])]
        for thread in threads:
            thread.join()

    def add(self, host: str, work: Work, *, after: float = 0.0) -> None:
        """Have a piece of work done some time; ``after`` leaves its host alone for so many seconds first."""
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
        """Until everything is done. Raises what ended everything."""
        with self._changed:
            while self._open and not self._closed:
                self._done.wait(0.5)  # a wait without an end can't be interrupted from the keyboard everywhere
            if self._error is not None:
                raise self._error

    def worked(self, host: str) -> float:
        """Return the seconds in which anything of this host was at work, since the beginning or :meth:`renew`."""
        with self._changed:
            state = self._hosts.get(host)
            if state is None:
                return 0.0
            return state.worked + (self._clock() - state.since if state.running else 0.0)

    def renew(self) -> None:
        """Count the seconds of each host from now on."""
        with self._changed:
            now = self._clock()
            for state in self._hosts.values():
                state.worked, state.since = 0.0, now

    def answered(self, host: str) -> bool:
        """Whether a piece of work of this host has said that it answered."""
        with self._changed:
            state = self._hosts.get(host)
            return state is not None and state.answered

    @property
    def broken(self) -> bool:
        """Whether something ended everything: nothing is begun any more."""
        return self._error is not None

    @property
    def busy(self) -> bool:
        """Whether there is anything to do, or being done."""
        with self._changed:
            return self._open > 0

    def stop(self) -> None:
        """Begin nothing more; what is being done is done to its end."""
        with self._changed:
            self._close()

    # --- with the lock held ----------------------------------------------------------------------------------------

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
        """Put a host into the row for its next turn, if it has work to do and may be given some."""
        if state.queued or not state.waiting or len(state.running) >= state.width:
            return
        if state.resumes > self._clock():
            self._later.add(host)
            return
        state.queued = True
        self._ready += 1
        (self._slow if state.stalled else self._fresh).add(host if state.answered else state.group, host)

    def _man(self, *, own: int = 0) -> None:
        """Wake a thread for each host that waits, or start one; ``own`` work the calling thread does itself.

        Where none can be started, those there are do it all.
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
        self._running[self._number] = _Running(host=host, begun=now)
        state.running.add(self._number)
        self._offer(host, state)
        self._man()
        return self._number, work

    def _one(self, number: int, work: Work) -> None:
        """Do a piece of work; the lock is held before and after, not during it."""
        host, answered = self._running[number].host, False
        failure: BaseException | None = None
        self._changed.release()
        try:
            answered = work()
        except StoreError as error:
            failure = error
        except Exception as error:  # noqa: BLE001 — whatever it is, it ends this piece alone
            with suppress(Exception):  # also where memory doesn't suffice to report that there is none
                self._troubled(host, contained(error, where=host))
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
        """Now and then: note what is stalled, and go on with hosts that were left alone for long enough."""
        with self._changed:
            while not self._closed:
                self._tick.wait(min(0.5, self._stalled_after / 2))
                self._look()

    def _look(self) -> None:
        now = self._clock()
        for running in self._running.values():
            late = not running.stalled and now - running.begun > self._stalled_after
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
    """The last two labels of a name; an address, or a name without a dot, stands for itself."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        labels = name.rstrip(".").split(".")
        return host if len(labels) < 2 else ".".join(labels[-2:])
    return host
