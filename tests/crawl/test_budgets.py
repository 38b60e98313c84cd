"""Budgets of a crawl, of time and of size: what was read is kept, what was not is reported, nothing is hidden."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from catalog.atproto.datamodel import decode
from catalog.config import CatalogSettings, LimitSettings, NetworkSettings, Source, read_settings
from catalog.crawl import CrawlReport, crawl
from catalog.errors import InvalidConfig, RequestFailed
from catalog.network.http import Client
from catalog.network.rate_limit import BUDGET, TIME_UP, Budget
from catalog.records import DATASET, LABEL
from catalog.store import Store
from catalog.syntax import Cid
from tests.fakes import Asked, answer, fake_server
from tests.manyaccounts import REVS, did_of, label, world
from tests.repos import car, make_repo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from http.server import BaseHTTPRequestHandler

    from catalog.atproto.datamodel import Json
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
    """The event that a stalled server waits for; set at the end of the test."""
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
    assert "limits.host_seconds" in str(report.sources[0].error)
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
    assert any("time budget of host" in line and "limits.host_seconds" in line for line in report.sources[0].problems)


def test_the_budget_of_a_crawl_ends_all_of_it(served: World, store: Store, never: threading.Event) -> None:
    """Records read before the limit are kept; each incomplete source is reported."""

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
    assert all("limits.crawl_seconds" in str(source.error) for source in report.sources[1:])
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
    assert "limits.account_seconds" in problem
    _crawl(store, ("pds", served.fake.url))
    assert _accounts(store) == served.members.keys()


def test_limits_are_settings(tmp_path: Path) -> None:
    limits = {"account_seconds": 5, "host_seconds": 6, "crawl_seconds": 7, "record_values": 5000, "listing_errors": 0}
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


# --- sizes ---------------------------------------------------------------------------------------------------------


def _labels(store: Store, did: str) -> set[str]:
    return {record.rkey for record in store.records() if record.did == did}


def _grow(member: Member, names: list[str], **more: Json) -> None:
    """Give an account these records, in both of its commits."""
    records = {f"{LABEL}/{name}": {**label(member.did, name), **more} for name in names}
    member.repos = tuple(make_repo(records, did=member.did, key=member.key, rev=rev) for rev in REVS)


def _hostile_list(served: World, lines: Callable[[int], list[Json]], *, without: str = "") -> list[int]:
    """Have the list of accounts go on for ever after the honest ones but one; the pages that were asked for."""
    pages: list[int] = []

    def page(handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        number = int(asked.query.get("cursor", "0"))
        pages.append(number)
        honest: list[Json] = [
            {"did": did, "rev": REVS[one.newest]} for did, one in served.members.items() if did != without
        ]
        answer(handler, {"repos": lines(number) if number else honest, "cursor": str(number + 1)})

    for method in ("listRepos", "listReposByCollection"):
        served.fake.routes[f"/xrpc/com.atproto.sync.{method}"] = page
    return pages


def _invented(page: int) -> list[Json]:
    return [{"did": f"did:plc:{page:0>12}{number:0>12}".translate(LETTERS), "rev": REVS[0]} for number in range(50)]


LETTERS = str.maketrans("0123456789", "abcdefghij")


@pytest.mark.parametrize("kind", ["pds", "relay"])
def test_a_list_without_an_end_is_read_to_its_budget(served: World, store: Store, kind: str) -> None:
    """Its records before the limit are read; unlisted ones stay, and the report names the setting."""
    _crawl(store, (kind, served.fake.url))
    gone = did_of(3)
    pages = _hostile_list(served, _invented, without=gone)
    report = _crawl(store, (kind, served.fake.url), limits=LimitSettings(listing_entries=120))
    assert max(pages) == 3
    assert any("limits.listing_entries" in problem for problem in report.sources[0].problems)
    assert _accounts(store) == served.members.keys()
    assert len(list(store.repos())) < 150


@pytest.mark.parametrize("kind", ["pds", "relay"])
@pytest.mark.parametrize("line", ["x", {"did": "nobody"}, {"did": 1}, None, [], {"did": "did:plc:" + "x" * 100_000}])
def test_a_list_of_lines_that_are_none_is_read_to_its_budget(
    served: World, store: Store, kind: str, line: Json
) -> None:
    _crawl(store, (kind, served.fake.url))
    pages = _hostile_list(served, lambda _page: [line] * 200)
    report = _crawl(store, (kind, served.fake.url), limits=LimitSettings(listing_errors=120))
    assert max(pages) <= 3
    assert any("limits.listing_errors" in problem for problem in report.sources[0].problems)
    assert all(len(problem) < 1000 for problem in report.sources[0].problems)
    assert _accounts(store) == served.members.keys()


def test_lines_that_are_none_are_counted(served: World, store: Store) -> None:
    """The list is read to its end, and hides nothing."""
    repos: list[Json] = [{"did": did, "rev": REVS[0]} for did in served.members]
    served.fake.routes[LIST] = lambda handler, _: answer(handler, {"repos": [{"did": "x"}, *repos, {"did": "y"}, 1]})
    (source,) = _crawl(store, ("pds", served.fake.url)).sources
    assert source.error is None
    assert any("3 entries" in problem for problem in source.problems)
    assert _accounts(store) == served.members.keys()


NAMES = [f"name{number}" for number in range(9)]


@pytest.mark.parametrize("way", ["tree", "car", "listed"])
def test_of_an_account_with_too_many_records_some_are_read(served: World, store: Store, way: str) -> None:
    """As many as the budget has; those that are known go first, and a higher budget brings the rest."""
    member = served.members[did_of(2)]
    _grow(member, NAMES[4:])
    _offer(served, way)
    source = ("pds", served.fake.url)
    report = _crawl(store, source, limits=LimitSettings(account_records=5))
    assert not report.sources[0].problems
    assert _labels(store, member.did) == set(NAMES[4:])
    _grow(member, NAMES)
    member.newest = 1
    report = _crawl(store, source, limits=LimitSettings(account_records=5))
    (problem,) = report.sources[0].problems
    assert member.did in problem
    assert "limits.account_records" in problem
    assert _labels(store, member.did) == set(NAMES[4:])
    assert not _crawl(store, source).sources[0].problems
    assert _labels(store, member.did) == set(NAMES)
    assert {record.verified for record in store.records()} == {way != "listed"}


def test_the_bytes_of_an_account_end_only_its_reading(served: World, store: Store) -> None:
    """It keeps what it had; all others are read."""
    _crawl(store, ("pds", served.fake.url))
    victim = served.members[did_of(2)]
    _grow(victim, NAMES, more="x" * 100_000)
    for member in served.members.values():
        member.newest = 1
    served.serve("com.atproto.sync.getBlocks", lambda one, _: one.repo.car())
    report = _crawl(store, ("pds", served.fake.url), limits=LimitSettings(account_bytes=300_000))
    (problem,) = report.sources[0].problems
    assert victim.did in problem
    assert "limits.account_bytes" in problem
    assert _labels(store, victim.did) == {"one"}
    assert all(_labels(store, did) == {"one", "two"} for did in served.members if did != victim.did)
    _crawl(store, ("pds", served.fake.url))
    assert _labels(store, victim.did) == set(NAMES)


def test_records_listed_before_the_bytes_ended_are_kept(served: World, store: Store) -> None:
    """Unverified, as they were read; what was known and wasn't read stays, and the next crawl goes on."""
    member = served.members[did_of(2)]
    _offer(served, "listed", page=1)
    _crawl(store, ("pds", served.fake.url))
    assert _labels(store, member.did) == {"one"}
    _grow(member, [*NAMES, "one", "zero"], more="x" * 40_000)
    member.newest = 1
    limits = LimitSettings(account_bytes=300_000)
    (source,) = _crawl(store, ("pds", served.fake.url), limits=limits).sources
    assert any(member.did in problem and "limits.account_bytes" in problem for problem in source.problems)
    read = _labels(store, member.did)
    assert {"one", NAMES[0], NAMES[1]} <= read < {*NAMES, "one", "zero"}
    _crawl(store, ("pds", served.fake.url))
    assert _labels(store, member.did) == {*NAMES, "one", "zero"}


def test_proven_records_are_kept_when_the_bytes_end(served: World, store: Store) -> None:
    """The tree says that they are its; the rest of it is read by the next crawls, one piece after the other."""
    member = served.members[did_of(2)]
    names = [f"n{number:03}" for number in range(250)]
    _grow(member, names, more="x" * 5000)
    blocks = member.repo.blocks
    tree = {cid: raw for cid, raw in blocks.items() if cid not in member.repo.paths.values()}
    served.serve("com.atproto.sync.getRecord", lambda one, _: (
        car([one.repo.commit], tree.items()) if one is member else one.repo.car()
    ))  # fmt: skip

    def some(handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        wanted = [Cid(text).binary for text in parse_qs(urlsplit(handler.path).query)["cids"]]
        held = served.members[asked.query["did"]].repo.blocks
        answer(handler, car([], [(cid, held[cid]) for cid in wanted]))

    served.fake.routes["/xrpc/com.atproto.sync.getBlocks"] = some
    served.fake.routes.pop("/xrpc/com.atproto.sync.getRepo")
    limits = LimitSettings(account_bytes=700_000)
    found = []
    for _ in range(3):
        (source,) = _crawl(store, ("pds", served.fake.url), limits=limits).sources
        found.append((len(_labels(store, member.did)), len(source.problems)))
    assert found == [(100, 1), (200, 1), (250, 0)]
    assert all(record.verified for record in store.records())


def test_a_record_refused_for_its_values_is_read_when_the_budget_is_higher(served: World, store: Store) -> None:
    member = served.members[did_of(2)]
    _grow(member, ["one", "large"], more=[[]] * 3000)
    source = ("pds", served.fake.url)
    for _ in range(2):
        _crawl(store, source, limits=LimitSettings(record_values=2000))
        assert not _labels(store, member.did)
        reasons = {refused.reason for refused in store.refused()}
        assert all("limits.record_values" in reason for reason in reasons)
        assert reasons
    _crawl(store, source)
    assert _labels(store, member.did) == {"one", "large"}
    assert not list(store.refused())


def _latest(cid: str, rev: str, _one: Member, _asked: Asked) -> Json:
    return {"cid": cid, "rev": rev}


def test_versions_that_are_forgotten_are_said_once(served: World, store: Store) -> None:
    """The newest are kept, as many as the setting says."""
    member = served.members[did_of(2)]
    source = ("repo", str(member.did))
    limits = LimitSettings(record_versions=2)
    revs = ["3l3qo2vuowo2b", "3l3qo2vuowo2c", "3l3qo2vuowo2d", "3l3qo2vuowo2e"]
    told = []
    for number, rev in enumerate(revs):
        records = {f"{LABEL}/{name}": label(member.did, f"{name} {number}") for name in ("one", "two")}
        member.repos = (make_repo(records, did=member.did, key=member.key, rev=rev),)
        cid = str(Cid.of_binary(member.repo.commit))
        served.serve("com.atproto.sync.getLatestCommit", partial(_latest, cid, rev))
        report = _crawl(store, source, limits=limits)
        told.append([line for line in report.lines() if "limits.record_versions" in line])
    assert [len(lines) for lines in told] == [0, 0, 1, 1]
    assert told[-1][0].startswith("2 ")
    assert [version.value["name"] for version in store.history(f"at://{member.did}/{LABEL}/one")] == ["one 3", "one 2"]  # type: ignore[index,call-overload] # an object


def test_a_page_of_accounts_over_its_budget_hides_nothing(
    served: World, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The source has failed; what was listed before that page is read."""
    _crawl(store, ("pds", served.fake.url))
    for member in served.members.values():
        member.newest = 1
    _hostile_list(served, lambda _page: [[] for _ in range(5000)])
    monkeypatch.setattr("catalog.network.http.MAX_VALUES", 4000)
    report = _crawl(store, ("pds", served.fake.url))
    assert "4,000 values" in str(report.sources[0].error)
    assert all(_labels(store, did) == {"one", "two"} for did in served.members)


def test_a_page_of_records_over_its_budget_costs_only_its_collection(
    served: World, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other pages and collections are read, and known records stay."""
    member = served.members[did_of(2)]
    _offer(served, "listed")
    _crawl(store, ("pds", served.fake.url))
    listed = served.fake.routes["/xrpc/com.atproto.repo.listRecords"]

    def page(handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        if asked.query["repo"] == member.did and asked.query["collection"] != LABEL:
            answer(handler, {"records": [[] for _ in range(5000)]})
        else:
            listed(handler, asked)

    served.serve("com.atproto.repo.describeRepo", lambda one, _: {"did": one.did, "collections": [DATASET, LABEL]})
    served.fake.routes["/xrpc/com.atproto.repo.listRecords"] = page
    monkeypatch.setattr("catalog.network.http.MAX_VALUES", 4000)
    for one in served.members.values():
        one.newest = 1
    (source,) = _crawl(store, ("pds", served.fake.url)).sources
    (problem,) = source.problems
    assert member.did in problem
    assert "4,000 values" in problem
    assert all(_labels(store, did) == {"one", "two"} for did in served.members)


@pytest.mark.parametrize("method", ["getRecord", "getBlocks"])
def test_an_answer_of_too_many_bytes_is_a_refusal(served: World, store: Store, method: str) -> None:
    """The next way of reading is taken."""

    def endless(handler: BaseHTTPRequestHandler, _asked: Asked) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000000000")
        handler.end_headers()

    if method == "getBlocks":
        served.serve("com.atproto.sync.getRecord", lambda one, _: car([one.repo.commit], [
            (one.repo.commit, one.repo.blocks[one.repo.commit]),
        ]))  # fmt: skip
    served.fake.routes[f"/xrpc/com.atproto.sync.{method}"] = endless
    (source,) = _crawl(store, ("pds", served.fake.url)).sources
    assert not source.problems
    assert _accounts(store) == served.members.keys()
    assert source.ways.keys() == {"car"}


def _offer(served: World, way: str, *, page: int = 100) -> None:
    """Let only one way of reading be open: the tree, the whole CAR, or lists of pages of so many records."""
    closed = {"tree": ["getRepo"], "car": ["getBlocks"], "listed": ["getRecord", "getBlocks", "getRepo"]}[way]
    for method in closed:
        served.fake.routes[f"/xrpc/com.atproto.sync.{method}"] = lambda handler, _: answer(
            handler, {"error": "MethodNotImplemented"}, 501
        )
    if way == "car":
        served.serve("com.atproto.sync.getRecord", lambda one, _: car([one.repo.commit], [
            (one.repo.commit, one.repo.blocks[one.repo.commit]),
        ]))  # fmt: skip

    def records(one: Member, asked: Asked) -> Json:
        paths = [path for path in sorted(one.repo.paths) if path.startswith(asked.query["collection"] + "/")]
        begin = int(asked.query.get("cursor", "0"))
        some: list[Json] = [
            {
                "uri": f"at://{one.did}/{path}",
                "cid": str(Cid.of_binary(one.repo.paths[path])),
                "value": decode(one.repo.blocks[one.repo.paths[path]]),
            }
            for path in paths[begin : begin + page]
        ]
        return {"records": some, **({"cursor": str(begin + page)} if begin + page < len(paths) else {})}

    def record(handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        one = served.members[asked.query["repo"]]
        path = f"{asked.query['collection']}/{asked.query['rkey']}"
        if path not in one.repo.paths:
            answer(handler, {"error": "RecordNotFound"}, 400)
            return
        answer(handler, {"uri": f"at://{one.did}/{path}", "value": decode(one.repo.blocks[one.repo.paths[path]])})

    served.serve("com.atproto.repo.listRecords", records)
    served.fake.routes["/xrpc/com.atproto.repo.getRecord"] = record


@pytest.mark.parametrize("kind", ["pds", "repo"])
def test_records_listed_before_the_time_ended_are_kept(
    served: World, store: Store, never: threading.Event, kind: str
) -> None:
    """A list whose later pages stall; the next crawl reads the rest."""
    member = served.members[did_of(2)]
    _grow(member, NAMES)
    _offer(served, "listed", page=3)
    listed = served.fake.routes["/xrpc/com.atproto.repo.listRecords"]

    def page(handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        if asked.query["repo"] == member.did and asked.query.get("cursor") == "6":
            never.wait(60)
        listed(handler, asked)

    served.fake.routes["/xrpc/com.atproto.repo.listRecords"] = page
    named = (kind, str(member.did) if kind == "repo" else served.fake.url)
    (source,) = _crawl(store, named, limits=LimitSettings(account_seconds=2)).sources
    never.set()
    assert any(member.did in problem for problem in source.problems)
    assert _labels(store, member.did) == set(NAMES[:6])
    assert not _crawl(store, named).sources[0].problems
    assert _labels(store, member.did) == set(NAMES)
