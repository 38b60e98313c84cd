"""The memory of ``crawl --follow`` doesn't grow with retries of unreadable accounts."""

from __future__ import annotations

import gc
import tracemalloc
from itertools import count
from typing import TYPE_CHECKING

import pytest

from catalog.atproto import firehose as stream
from catalog.atproto.identity import Resolver
from catalog.config import NetworkSettings, Source
from catalog.crawl import Tally
from catalog.crawl.accounts import Crawler
from catalog.crawl.locks import Locks
from catalog.crawl.schedule import Schedule
from catalog.crawl.streams import Follower
from catalog.errors import RequestFailed, UnknownIdentity
from catalog.network.http import Client
from catalog.store import Repo, Store
from tests.manyaccounts import did_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SOURCE = Source(kind="firehose", value="ws://127.0.0.1:9")
ACCOUNTS = 200
RETRIES = 25
"""Of 2,000 in a week; what grows with each of them shows after a few."""


@pytest.fixture
def tally() -> Tally:
    return Tally(source=str(SOURCE))


@pytest.fixture
def crawler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Crawler]:
    """A crawler with unreadable accounts; each time their directory says something else."""
    times = count()

    def resolve(_self: Resolver, account: str, *, fresh: bool = False) -> None:
        raise UnknownIdentity(f"refused for the {next(times)}th time", where=f"{account} {fresh}")

    monkeypatch.setattr(Resolver, "resolve", resolve)
    settings = NetworkSettings()
    with Store.open(tmp_path / "store.sqlite") as store, Client(settings, parks=True) as client, Schedule() as schedule:
        for number in range(ACCOUNTS):
            store.put_repo(Repo(did=did_of(number), source=str(SOURCE)))
        yield Crawler(client, settings, store, schedule, deny=frozenset(), locks=Locks())


def test_retries_of_unreadable_accounts_take_no_more_memory(crawler: Crawler, tally: Tally) -> None:
    """Each account keeps one message, the newest, and counts once."""

    def rounds(number: int) -> int:
        for _ in range(number):
            crawler.retry_unread(tally)
            crawler.schedule.wait()
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = rounds(5)
        after = rounds(RETRIES)
    finally:
        tracemalloc.stop()
    assert after - before < 100_000, "less than a message for each account and retry would take"
    assert tally.troubles == ACCOUNTS
    assert len(tally.report().problems) == ACCOUNTS
    assert "refused for the" in tally.report().problems[0]


def test_an_account_that_is_still_being_tried_is_not_tried_again(crawler: Crawler, tally: Tally) -> None:
    """Else a slow host's queue would grow with each retry."""
    crawler.schedule.stop()  # what is added now is never begun
    with Schedule() as schedule:
        crawler.schedule = schedule
        with schedule._changed:  # nothing is done before all is there
            for _ in range(50):
                crawler.retry_unread(tally)
            assert schedule._open <= ACCOUNTS
        schedule.wait()
        crawler.retry_unread(tally)
        schedule.wait()
    assert tally.troubles == ACCOUNTS


def test_many_events_of_one_account_are_one_visit_more(
    crawler: Crawler, tally: Tally, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They hold the cursor before the first of them, and leave nothing behind."""
    afters: list[Callable[[], None]] = []
    monkeypatch.setattr(Crawler, "revisit", lambda _self, _tally, _did, *, after, **_: afters.append(after))
    follower = Follower(SOURCE, crawler, tally, NetworkSettings())
    for number in range(1, 10_000):
        follower._visit(did_of(1), number)
        follower._saw(number)
    assert len(follower._cursor._under_way) == 2
    assert follower._cursor.value == 0
    for visit in range(2):
        assert len(afters) == visit + 1
        afters[visit]()
    assert not follower._visits
    assert follower._cursor.value == 9_999


def test_notes_of_a_stream_are_bounded(crawler: Crawler, tally: Tally) -> None:
    """Whatever a server says, and however often."""
    follower = Follower(SOURCE, crawler, tally, NetworkSettings())
    for number in range(5_000):
        follower._notice(stream.Notice(name=f"N{number}", message="x" * 100))
        follower._message(b"not a frame", firehose=True)
        tally.leave(f"h{number}.example", f"h{number}.example doesn't answer")
        tally.count(f"h{number}.example", "seen")
        tally.meter.count(f"h{number}.example", requests=1)
    report = tally.report()
    assert len(report.problems) <= 402
    assert report.troubles == 10_001


def test_a_failing_callback_leaves_no_visit_behind(
    crawler: Crawler, tally: Tally, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever fails on the way: the event's work is over, and the cursor goes on."""

    def refuse(*_: object, **__: object) -> None:
        raise RequestFailed("no", status=0)

    def odd(*_: object, **__: object) -> None:
        raise RecursionError("odd")

    follower = Follower(SOURCE, crawler, tally, NetworkSettings())
    for number, (step, error) in enumerate(
        [("visit", odd), ("remembered", odd), ("schedule_work", odd), ("visit", refuse)], start=1
    ):
        with monkeypatch.context() as patched:
            patched.setattr(Crawler, step, error)
            follower._visit(did_of(3), number)
            follower._saw(number)
            crawler.schedule.wait()
        assert not follower._visits, step
        assert follower._cursor.value == number, step
