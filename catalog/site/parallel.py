"""One function over many things on all cores, by forking: what is in memory is shared, nothing is sent over.

Only where it is safe and pays: on systems that fork, in a process with one thread, for enough work. Elsewhere it is a
plain loop with the same result.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["in_parallel", "tenths"]

T = TypeVar("T")
R = TypeVar("R")

_WORTH_IT = 400
"""Below this many pages a second process costs more than it saves."""

_BLOCK = 100
"""Things that a process takes at a time: neighbours, which share what is cached; few enough that none waits long."""

_RENEWED = 200
"""Blocks from one fork to the next. A forked process shares what it doesn't touch, and Python touches whatever it looks
at: over 100,000 datasets each would come to hold a copy of nearly all."""

_LONG = 20_000
"""Things from which on it is told how far the work is."""

_shared: tuple[Callable[[object], object], Sequence[object]] | None = None


def in_parallel(
    work: Callable[[T], R],
    things: Sequence[T],
    *,
    done: Callable[[int], None] | None = None,
    block: int = _BLOCK,
    worth: int = _WORTH_IT,
    renewed: int = _RENEWED,
) -> list[R]:
    """``[work(thing) for thing in things]``, worked on in any order. The results, not the things, must be picklable.

    A process takes ``block`` things at a time, and after ``renewed`` blocks it is forked anew; below ``worth`` things
    there is only one. ``done`` is told now and then how many are done. An exception of ``work`` comes through as it is.
    """
    global _shared  # noqa: PLW0603 - the forked processes find it here
    workers = min(_cores(), 8)
    if workers < 2 or len(things) < worth or not _can_fork():
        return [work(thing) for thing in things]
    _shared = (work, things)  # type: ignore[assignment]
    try:
        results: list[R] = []
        parts = [(start, start + block) for start in range(0, len(things), block)]
        for first in range(0, len(parts), renewed):
            with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("fork")) as pool:
                for part in pool.map(_block, parts[first : first + renewed]):
                    results.extend(part)  # type: ignore[arg-type]
                    if done is not None:
                        done(len(results))
        return results
    finally:
        _shared = None


def tenths(total: int, what: str, tell: Callable[[str], None]) -> Callable[[int], None]:
    """Tells after each tenth of much work how far it is."""
    told = 0

    def done(number: int) -> None:
        nonlocal told
        if total >= _LONG and number * 10 // total > told:
            told = number * 10 // total
            tell(f"{number:,} of {total:,} {what}")

    return done


def _block(part: tuple[int, int]) -> list[object]:
    assert _shared is not None  # noqa: S101 - set before the fork
    gc.disable()  # it ends soon, and hardly any garbage is in circles
    work, things = _shared
    return [work(thing) for thing in things[slice(*part)]]


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _can_fork() -> bool:
    # macOS's system libraries don't bear a fork; a thread's locks don't either.
    return sys.platform == "linux" and threading.active_count() == 1
