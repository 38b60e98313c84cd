"""Work by host: each host at its own pace."""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import pytest

from catalog.crawl.schedule import Schedule

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def _note(done: list[T], what: T) -> bool:
    done.append(what)
    return True


def test_a_slow_host_holds_up_nobody_else() -> None:
    """Fifty pieces of another host are done while one of the slow host's is."""
    release, done = threading.Event(), list[int]()

    def slow() -> bool:
        assert release.wait(10)
        return True

    def quick(number: int) -> Callable[[], bool]:
        return partial(_note, done, number)

    with Schedule(threads=4) as schedule:
        for _ in range(20):
            schedule.add("slow", slow)
        for number in range(50):
            schedule.add("quick", quick(number))
        deadline = time.monotonic() + 10
        while len(done) < 50 and time.monotonic() < deadline:
            time.sleep(0.001)
        assert sorted(done) == list(range(50))
        release.set()
        schedule.wait()


@pytest.mark.parametrize("answers", [True, False])
def test_a_host_gets_more_at_a_time_once_it_has_answered(*, answers: bool) -> None:
    """Until then one; never more than its share."""
    changed, running, most = threading.Condition(), [0], [0]

    def work() -> bool:
        with changed:
            running[0] += 1
            most[0] = max(most[0], running[0])
            changed.notify_all()
            if answers and len(done) > 0:  # as many as may come do come
                changed.wait_for(lambda: most[0] >= 3, timeout=10)
            else:
                changed.wait(0.01)
            running[0] -= 1
            done.append(1)
        return answers

    done: list[int] = []
    with Schedule(threads=10, per_host=3) as schedule:
        for _ in range(20):
            schedule.add("host", work)
        schedule.wait()
    assert (most[0], len(done)) == (3 if answers else 1, 20)


def test_work_may_add_work_and_all_of_it_is_waited_for() -> None:
    """For its own host and for others."""
    done: list[str] = []
    with Schedule() as schedule:

        def first() -> bool:
            schedule.add("other", partial(_note, done, "second"))
            schedule.add("host", partial(_note, done, "third"))
            return True

        schedule.add("host", first)
        schedule.wait()
        assert sorted(done) == ["second", "third"]


def test_what_work_raises_ends_everything() -> None:
    """It is raised where the work is waited for, and what hasn't begun isn't begun."""
    done: list[int] = []

    def fail() -> bool:
        raise RuntimeError("broken")

    with Schedule(threads=1) as schedule:
        schedule.add("host", fail)
        with pytest.raises(RuntimeError, match="broken"):
            schedule.wait()
        schedule.add("host", partial(_note, done, 1))
    assert done == []


def test_the_end_of_the_block_waits_for_what_is_being_done() -> None:
    """Not for what is not begun yet."""
    begun, done = threading.Event(), list[int]()

    def work() -> bool:
        begun.set()
        time.sleep(0.05)
        done.append(1)
        return True

    with Schedule(threads=1) as schedule:
        for _ in range(5):
            schedule.add("host", work)
        assert begun.wait(10)
    assert done == [1]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("crawl-")]


def test_work_that_comes_at_once_gets_threads_though_one_is_idle() -> None:
    """An idle thread is one, however many pieces of work wait before it has woken up."""
    together = threading.Barrier(3)

    def meet() -> bool:
        together.wait(timeout=20)
        return True

    with Schedule(threads=3) as schedule:
        schedule.add("first", lambda: True)
        schedule.wait()
        with schedule._changed:  # nobody wakes up before all of them are there
            for host in ("a", "b", "c"):
                schedule.add(host, meet)
        schedule.wait()
