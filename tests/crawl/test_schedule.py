"""Work by host: each host at its own pace."""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import pytest

from catalog.crawl.schedule import Schedule
from catalog.errors import NetworkError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from catalog.errors import CatalogError

T = TypeVar("T")


def _note(done: list[T], what: T) -> bool:
    done.append(what)
    return True


def test_a_slow_host_holds_up_nobody_else() -> None:
    """Fifty pieces of another host are done while one of the slow host's is."""
    release, done = threading.Event(), list[int]()

    def slow() -> bool:
        assert release.wait(60)
        return True

    def quick(number: int) -> Callable[[], bool]:
        return partial(_note, done, number)

    with Schedule(threads=4) as schedule:
        for _ in range(20):
            schedule.add("slow", slow)
        for number in range(50):
            schedule.add("quick", quick(number))
        deadline = time.monotonic() + 60
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
                changed.wait_for(lambda: most[0] >= 3, timeout=60)
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


@pytest.mark.parametrize("kind", [RuntimeError, ValueError, MemoryError, RecursionError, OSError, NetworkError])
def test_what_work_raises_ends_that_work_alone(kind: type[Exception]) -> None:
    """The host and the error are reported; everything else is done, also where reporting fails."""
    done: list[int] = []
    troubles: list[tuple[str, str]] = []

    def fail() -> bool:
        raise kind("broken")

    def troubled(host: str, error: CatalogError) -> None:
        troubles.append((host, str(error)))
        raise kind("no report")

    with Schedule(threads=1, on_error=troubled) as schedule:
        schedule.add("host", fail)
        schedule.add("host", partial(_note, done, 1))
        schedule.add("other", partial(_note, done, 2))
        schedule.wait()
        assert not schedule.broken
    assert sorted(done) == [1, 2]
    assert [host for host, _ in troubles] == ["host"]
    assert "broken" in troubles[0][1]


@pytest.mark.parametrize("kind", [StoreError, KeyboardInterrupt, SystemExit])
def test_what_is_no_strangers_fault_ends_everything(kind: type[BaseException]) -> None:
    """Our own broken state, or an interrupt: raised where the work is waited for; what hasn't begun isn't begun."""
    done: list[int] = []

    def fail() -> bool:
        raise kind("broken")

    with Schedule(threads=1) as schedule:
        schedule.add("host", fail)
        with pytest.raises(kind, match="broken"):
            schedule.wait()
        assert schedule.broken
        schedule.add("host", partial(_note, done, 1))
    assert done == []


def test_hosts_that_stall_hold_no_threads() -> None:
    """More stalled hosts than threads, begun first: the others are done while all of those still run."""
    release, began, done = threading.Event(), list[int](), list[int]()
    all_done = threading.Event()

    def stalled(number: int) -> bool:
        began.append(number)
        assert release.wait(60)
        return False

    def honest(number: int) -> bool:
        done.append(number)
        if len(done) == 40:
            all_done.set()
        return True

    with Schedule(threads=4, stalled_after=0.01) as schedule:
        for number in range(60):
            schedule.add(f"stalled-{number}.example", partial(stalled, number))
        for number in range(40):
            schedule.add(f"host-{number}.example", partial(honest, number))
        assert all_done.wait(60)
        assert schedule.busy
        release.set()
        schedule.wait()
    assert sorted(done) == list(range(40))
    assert sorted(began) == list(range(60))


def test_stalled_work_is_bounded() -> None:
    """Beyond the bound it holds threads: memory is finite too."""
    release, began = threading.Event(), threading.Semaphore(0)

    def stalled() -> bool:
        began.release()
        assert release.wait(60)
        return False

    with Schedule(threads=2, stalled=3, stalled_after=0.01) as schedule:
        for number in range(20):
            schedule.add(f"stalled-{number}.example", stalled)
        for _ in range(5):
            assert began.acquire(timeout=60)
        assert not began.acquire(timeout=0.3)
        release.set()
        schedule.wait()


def test_names_of_one_domain_share_its_turns_until_they_answer() -> None:
    """A thousand names that were made up are not served before the one host of another domain."""
    done: list[str] = []
    with Schedule(threads=1) as schedule:
        with schedule._changed:  # nothing is begun before all is there
            for number in range(1000):
                schedule.add(f"n{number}.many.example", partial(_note, done, "many"))
            schedule.add("pds.honest.test", partial(_note, done, "honest"))
        schedule.wait()
    assert done.index("honest") <= 2


def test_a_host_is_left_alone_for_a_while_and_then_served() -> None:
    """Its other work waits too; work of other hosts doesn't."""
    done: list[str] = []
    with Schedule(threads=2, stalled_after=0.02) as schedule:
        schedule.add("host", partial(_note, done, "later"), after=0.2)
        schedule.add("host", partial(_note, done, "then"))
        schedule.add("other", partial(_note, done, "at once"))
        schedule.wait()
    assert done == ["at once", "later", "then"]


def test_time_counts_for_a_host_while_it_has_work_in_hand() -> None:
    """Side by side counts once; waiting for a turn doesn't count."""
    now, meet, go = [0.0], threading.Barrier(3), threading.Event()

    def work() -> bool:
        meet.wait(60)
        assert go.wait(60)
        return True

    with Schedule(threads=2, clock=lambda: now[0]) as schedule:
        schedule.add("host", lambda: True)
        schedule.wait()
        schedule.add("host", work)
        schedule.add("host", work)
        meet.wait(60)
        schedule.add("other", lambda: True)  # both threads are taken: it waits, and begins at 5.0 at the earliest
        now[0] = 5.0
        assert schedule.worked("host") == 5.0
        go.set()
        schedule.wait()
        now[0] = 100.0
        assert (schedule.worked("host"), schedule.worked("other"), schedule.worked("unknown")) == (5.0, 0.0, 0.0)
        schedule.renew()
        assert schedule.worked("host") == 0.0


def test_where_no_thread_can_be_started_those_there_are_do_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's limit on threads is no reason to lose work."""
    done: list[int] = []
    with Schedule(threads=8) as schedule:
        schedule.add("first", partial(_note, done, 0))
        schedule.wait()

        def refuse(_thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(threading.Thread, "start", refuse)
        for number in range(1, 20):
            schedule.add(f"host-{number}", partial(_note, done, number))
        schedule.wait()
        monkeypatch.undo()
    assert sorted(done) == list(range(20))


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
        assert begun.wait(60)
    assert done == [1]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("crawl-")]


def test_work_that_comes_at_once_gets_threads_though_one_is_idle() -> None:
    """An idle thread is one, however many pieces of work wait before it has woken up."""
    together = threading.Barrier(3)

    def meet() -> bool:
        together.wait(timeout=60)
        return True

    with Schedule(threads=3) as schedule:
        schedule.add("first", lambda: True)
        schedule.wait()
        with schedule._changed:  # nobody wakes up before all of them are there
            for host in ("a", "b", "c"):
                schedule.add(host, meet)
        schedule.wait()
