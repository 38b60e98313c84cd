"""Time budgets of a crawl: what was read until then is kept, what was not is reported, nothing is hidden."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from catalog.config import CatalogSettings, LimitSettings, NetworkSettings, Source, read_settings
from catalog.crawl import CrawlReport, crawl
from catalog.errors import InvalidConfig, RequestFailed
from catalog.network.hosts import BUDGET, TIME_UP, Budget
from catalog.network.http import Client
from catalog.store import Store
from tests.fakes import Asked, answer, fake_server
from tests.manyaccounts import REVS, did_of, world

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from http.server import BaseHTTPRequestHandler

    from tests.manyaccounts import Member, World

    Route = Callable[[BaseHTTPRequestHandler, Asked], None]

LIST = "/xrpc/com.atproto.sync.listRepos"


def _limited(handler: BaseHTTPRequestHandler, value: object) -> None:
    """Answer well, and say with it that the next request has to wait for five minutes."""
    answer(handler, value, RateLimit_Remaining="0", RateLimit_Reset="290")


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with world(6) as made:
        monkeypatch.setenv("CATALOG_ALLOW_LOOPBACK", "1")
        monkeypatch.setenv("CATALOG_PLC_URL", made.fake.url)
        yield made


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store.sqlite") as opened:
        yield opened


@pytest.fixture
def never() -> Iterator[threading.Event]:
    """What a server waits for that stalls; it comes when the test is over."""
    event = threading.Event()
    yield event
    event.set()


def _crawl(store: Store, *sources: tuple[str, str], limits: LimitSettings | None = None) -> CrawlReport:
    named = tuple(Source(kind=kind, value=value) for kind, value in sources)
    network = NetworkSettings.from_environment()
    limits = LimitSettings() if limits is None else limits
    return crawl(CatalogSettings(store=Path("nowhere"), sources=named, network=network, limits=limits), store)


def _accounts(store: Store) -> set[str]:
    return {record.did for record in store.records()}


@contextmanager
def _elsewhere(served: World, count: int, route: Callable[[Member], Route]) -> Iterator[list[str]]:
    """Accounts at a server of their own, which answers each question for their newest commit so; their DIDs."""
    with fake_server({}) as pds:
        members = [served.add(number, pds=pds.url) for number in range(100, 100 + count)]
        by_did = {str(member.did): route(member) for member in members}
        for method in ("sync.getLatestCommit", "sync.getRecord", "sync.getRepoStatus", "repo.describeRepo"):
            pds.routes[f"/xrpc/com.atproto.{method}"] = lambda handler, asked: by_did[
                asked.query.get("did") or asked.query["repo"]
            ](handler, asked)
        yield list(by_did)


def test_a_host_that_always_wants_pauses_uses_its_budget_up(served: World, store: Store) -> None:
    """Also with cursors that never end. What was known of its accounts stays, and what it listed was looked at."""
    _crawl(store, ("pds", served.fake.url))
    assert _accounts(store) == served.members.keys()
    pages: list[str] = []

    def page(handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        pages.append(asked.query.get("cursor", ""))
        _limited(handler, {"repos": [], "cursor": f"{len(pages)}"})

    def first(handler: BaseHTTPRequestHandler, _asked: Asked) -> None:
        served.fake.routes[LIST] = page
        _limited(handler, {"repos": [{"did": did_of(0), "rev": REVS[0]}], "cursor": "a"})

    served.fake.routes[LIST] = first
    report = _crawl(store, ("pds", served.fake.url), limits=LimitSettings(host_seconds=60))
    assert report.failed
    assert "time budget of host" in str(report.sources[0].error)
    assert not pages
    assert _accounts(store) == served.members.keys()


def test_accounts_left_are_counted_and_the_others_are_read(served: World, store: Store) -> None:
    """A host among many: the source is read to its end, the rest of that host is for the next crawl."""

    def limited(member: Member) -> Route:
        def route(handler: BaseHTTPRequestHandler, _asked: Asked) -> None:
            _limited(handler, {"cid": "x", "rev": REVS[member.newest]})

        return route

    with _elsewhere(served, 8, limited) as slow:
        report = _crawl(store, ("relay", served.fake.url), limits=LimitSettings(host_seconds=60))
    assert not report.failed
    assert _accounts(store) == served.members.keys() - set(slow)
    source = report.sources[0]
    assert source.troubles == 8
    assert any("accounts left for the next crawl" in line and "time budget of host" in line for line in source.problems)


def test_a_host_that_stalls_uses_its_budget_up(served: World, store: Store, never: threading.Event) -> None:
    """Its accounts one after the other; that ends soon after the budget does."""

    def stalled(_member: Member) -> Route:
        def route(handler: BaseHTTPRequestHandler, _asked: Asked) -> None:
            never.wait(60)
            answer(handler, {})

        return route

    with _elsewhere(served, 3, stalled) as slow:
        report = _crawl(store, ("relay", served.fake.url), limits=LimitSettings(host_seconds=1))
        never.set()
    assert _accounts(store) == served.members.keys() - set(slow)
    assert report.sources[0].troubles == 3
    assert any("time budget of host" in line for line in report.sources[0].problems)


def test_the_budget_of_a_crawl_ends_all_of_it(served: World, store: Store, never: threading.Event) -> None:
    """What was read is kept; each source that wasn't read to its end says so."""

    def stalled(handler: BaseHTTPRequestHandler, _asked: Asked) -> None:
        never.wait(60)
        answer(handler, {"repos": []})

    with ExitStack() as stack:
        others = [stack.enter_context(fake_server({LIST: stalled})) for _ in range(3)]
        sources = [("pds", other.url) for other in others]
        report = _crawl(store, ("pds", served.fake.url), *sources, limits=LimitSettings(crawl_seconds=2))
        never.set()
    assert [source.error is None for source in report.sources] == [True, False, False, False]
    assert all("time budget of the crawl" in str(source.error) for source in report.sources[1:])
    assert _accounts(store) == served.members.keys()


def test_the_budget_of_an_account_ends_only_its_reading(served: World, store: Store, never: threading.Event) -> None:
    victim = did_of(2)
    served.serve("com.atproto.sync.getRecord", lambda one, _: (
        never.wait(60) if one.did == victim else None, one.repo.car(),
    )[1])  # fmt: skip
    report = _crawl(store, ("pds", served.fake.url), limits=LimitSettings(account_seconds=1))
    never.set()
    assert _accounts(store) == served.members.keys() - {victim}
    assert report.sources[0].error is None
    (problem,) = report.sources[0].problems
    assert victim in problem
    _crawl(store, ("pds", served.fake.url))
    assert _accounts(store) == served.members.keys()


def test_limits_are_settings(tmp_path: Path) -> None:
    limits = {"account_seconds": 5, "host_seconds": 6, "crawl_seconds": 7}
    assert read_settings({"limits": limits}, tmp_path).limits == LimitSettings(**limits)
    assert read_settings({}, tmp_path).limits == LimitSettings()
    for wrong in ({"host_seconds": 0}, {"host_seconds": "1"}, {"host_seconds": True}, {"hosts": 1}, [1], "a"):
        with pytest.raises(InvalidConfig) as caught:
            read_settings({"limits": wrong}, tmp_path)
        assert str(caught.value.where).startswith("limits")


def test_a_budget_inside_another_never_lasts_longer() -> None:
    """Whatever the inner one allows."""
    with Client(NetworkSettings(), sleep=lambda _: None) as client:
        inner = Budget(time.monotonic() + 1000, "inner")
        with client.within(Budget(0.0, "outer")), client.within(inner), pytest.raises(RequestFailed) as caught:
            client.get("https://pds.example")
    assert (caught.value.name, caught.value.where) == (TIME_UP, "outer")
    assert BUDGET.get() is None
