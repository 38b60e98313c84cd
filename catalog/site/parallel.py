"""Parallel map over forked processes: memory is shared, arguments need no pickling.

Used on Linux, in a process with one thread, for enough items; elsewhere a plain loop gives the same result. Each worker
has its own pipe, so that a killed worker (usually out of memory) is noticed at once, and its items are retried one by
one.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, TypeAlias, TypeVar, cast

from catalog.errors import BuildError

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkContext

T = TypeVar("T")
R = TypeVar("R")

_WORTH_IT = 400
"""Minimum number of pages for which a second process pays."""

_BLOCK = 100
"""Items that a process takes at a time: neighbours, which share cached values."""

_RENEWED = 200
"""Blocks from one fork to the next. Reference counts unshare the memory that a process reads: with 100,000 datasets
each process would copy nearly all of it."""

_LONG = 20_000
"""Minimum number of items for progress reports."""

_TRIES = 2
"""Maximum number of processes that are killed on one item before it is given up."""

_shared: tuple[Callable[[object], object], Sequence[object]] | None = None

_Part: TypeAlias = "tuple[int, int, int]"
"""Start and end of a range of items, and the number of processes that were killed on it."""


def in_parallel(
    work: Callable[[T], R],
    things: Sequence[T],
    *,
    done: Callable[[int], None] | None = None,
    lost: Callable[[T], R] | None = None,
    block: int = _BLOCK,
    worth: int | None = None,
    renewed: int = _RENEWED,
) -> list[R]:
    """``[work(thing) for thing in things]``, computed in any order. The results, not the items, must be picklable.

    A process takes ``block`` items at a time, and is forked again after ``renewed`` blocks; for fewer than ``worth``
    items there is no fork. ``done`` is called with the number of finished items. An exception of ``work`` is raised
    unchanged. ``lost`` returns the result for an item on which processes were killed; without it that raises
    :class:`BuildError`.
    """
    global _shared  # noqa: PLW0603 - the forked processes find it here
    workers = min(_cores(), 8)
    if workers < 2 or len(things) < (_WORTH_IT if worth is None else worth) or not _can_fork():
        return [work(thing) for thing in things]
    _shared = (work, things)  # type: ignore[assignment]
    try:
        results: dict[int, R] = {}
        starts = range(0, len(things), block)
        parts = [(start, min(start + block, len(things)), 0) for start in starts]
        for first in range(0, len(parts), renewed):
            crew = _Crew(deque(parts[first : first + renewed]), workers)
            for start, found in crew.work():
                if found is None:
                    results[start] = _given_up(things[start], lost)
                else:
                    results.update(zip(range(start, start + len(found)), cast("list[R]", found), strict=True))
                if done is not None:
                    done(len(results))
        return [results[place] for place in range(len(things))]
    finally:
        _shared = None


def _given_up(thing: T, lost: Callable[[T], R] | None) -> R:
    if lost is None:
        hint = "probably for lack of memory: close other programs, or build on a machine with more"
        raise BuildError("a process of the build was killed by the system", hint=hint)
    return lost(thing)


def tenths(total: int, noun: str, progress: Callable[[str], None]) -> Callable[[int], None]:
    """Return a callback that reports each tenth of a long job to ``progress``."""
    reported = 0

    def done(number: int) -> None:
        nonlocal reported
        if total >= _LONG and number * 10 // total > reported:
            reported = number * 10 // total
            progress(f"{number:,} of {total:,} {noun}")

    return done


class _Worker:
    """A forked process and its current range. Raises OSError if the system can't create another process."""

    def __init__(self, context: ForkContext) -> None:
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, self.pipe), daemon=True)
        try:
            self.process.start()
        except BaseException:
            self.pipe.close()
            raise
        finally:
            theirs.close()  # only the process itself has that end: when it is gone, ours says so
        self.part: _Part = (0, 0, 0)

    def take(self, part: _Part) -> None:
        self.part = part
        with suppress(OSError):  # if it is gone, the next look at its pipe says so
            self.pipe.send(part)

    def end(self) -> None:
        """End the process, whatever it does."""
        self.pipe.close()
        self.process.kill()
        self.process.join()


class _Crew:
    """The workers, and the queue of ranges."""

    def __init__(self, waiting: deque[_Part], most: int) -> None:
        self.waiting = waiting
        self.most = most
        self.context = multiprocessing.get_context("fork")
        self.workers: dict[Connection, _Worker] = {}

    def work(self) -> Iterator[tuple[int, list[object] | None]]:
        """Yield the start of each range with its results; with None an item that was given up."""
        try:
            while self.waiting or self.workers:
                self._hire()
                if not self.workers:  # no room for a single process: this one does it
                    part = self.waiting.popleft()
                    yield part[0], _block(part)
                    continue
                for pipe in wait(list(self.workers)):
                    yield from self._news(self.workers[cast("Connection", pipe)])
        finally:
            for worker in self.workers.values():
                worker.end()

    def _hire(self) -> None:
        while self.waiting and len(self.workers) < self.most:
            try:
                worker = _Worker(self.context)
            except OSError:
                return
            self.workers[worker.pipe] = worker
            worker.take(self.waiting.popleft())

    def _news(self, worker: _Worker) -> Iterator[tuple[int, list[object] | None]]:
        part = worker.part
        try:
            whole, found = worker.pipe.recv()
        except (EOFError, OSError, pickle.UnpicklingError):
            self._dismiss(worker)
            yield from self._again(part)
            return
        if not whole:
            raise found
        if self.waiting:
            worker.take(self.waiting.popleft())
        else:
            self._dismiss(worker)
        yield part[0], found

    def _dismiss(self, worker: _Worker) -> None:
        del self.workers[worker.pipe]
        worker.end()

    def _again(self, part: _Part) -> Iterator[tuple[int, None]]:
        """Requeue the items of a range whose process was killed one by one; give up after the last try."""
        start, end, killed = part
        if end - start > 1:
            self.waiting.extendleft((place, place + 1, 0) for place in reversed(range(start, end)))
        elif killed + 1 < _TRIES:
            self.waiting.appendleft((start, end, killed + 1))
        else:
            yield start, None


def _serve(pipe: Connection, other: Connection) -> None:
    other.close()  # or this process would keep its own pipe open when its parent is gone
    gc.disable()  # the process is short-lived, and has few reference cycles
    while True:
        try:
            part = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            answer = pickle.dumps((True, _block(part)))
        except Exception as error:  # noqa: BLE001 - raised again in the parent
            answer = _packed(error)
        pipe.send_bytes(answer)


def _packed(error: Exception) -> bytes:
    try:
        packed = pickle.dumps((False, error))
        pickle.loads(packed)  # noqa: S301 - our own: some classes of exceptions can't be made again
    except Exception:  # noqa: BLE001
        return pickle.dumps((False, BuildError(f"{type(error).__name__}: {error}")))
    return packed


def _block(part: _Part) -> list[object]:
    assert _shared is not None  # noqa: S101 - set before the fork
    work, things = _shared
    return [work(thing) for thing in things[slice(part[0], part[1])]]


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _can_fork() -> bool:
    # macOS's system libraries don't bear a fork; a thread's locks don't either.
    return sys.platform == "linux" and threading.active_count() == 1
