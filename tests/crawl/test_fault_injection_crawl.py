"""Each step of a crawl fails for single accounts of twenty, in ways that nobody expects: the others are complete."""

from __future__ import annotations

import functools
import importlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from catalog.config import CatalogSettings, NetworkSettings, Source
from catalog.crawl import Tally, crawl
from catalog.crawl import streams as following
from catalog.records import LABEL
from catalog.store import Store
from tests.manyaccounts import REVS, did_of, world
from tests.streams import commit_body, fake_stream, frame

if TYPE_CHECKING:
    from collections.abc import Iterator

    from websockets.sync.server import ServerConnection

    from catalog.crawl import SourceReport
    from tests.manyaccounts import World

ACCOUNTS = 20
VICTIMS = {did_of(3): ValueError, did_of(7): RecursionError, did_of(11): MemoryError, did_of(19): OSError}
VICTIM = did_of(7)
ERRORS = tuple(VICTIMS.values())

FOUND = ("catalog.store:Store.repo", "catalog.crawl.accounts:Crawler.claim")
VISITED = (
    "catalog.atproto.identity:Resolver.resolve",
    "catalog.atproto.identity:identity_of",
    "catalog.crawl.accounts:Crawler.visit",
    "catalog.atproto.repo:latest_commit",
)
LISTED = (
    "catalog.crawl.accounts:Crawler._settled",
    "catalog.crawl.accounts:Crawler._listed",
    "catalog.atproto.repo:describe_repo",
    "catalog.store:Store.holds",
)
READ = (
    "catalog.atproto.proof:Reader.read",
    "catalog.atproto.proof:Reader._proof_of",
    "catalog.atproto.proof:check_commit",
    "catalog.atproto.proof:take",
    "catalog.atproto.proof:decode",
    "catalog.crawl.accounts:read_record",
    "catalog.store:Store.known",
    "catalog.store:Store.tree",
    "catalog.store:Store.replace",
)
STREAMED = (
    "catalog.atproto.firehose:_commit",
    "catalog.atproto.firehose:read_frame",
    "catalog.atproto.firehose:check_commit_event",
    "catalog.crawl.streams:Follower._commit",
    "catalog.crawl.streams:Follower._reading",
    "catalog.crawl.accounts:Crawler.keep",
    "catalog.crawl.streams:take",
    "catalog.store:Store.replace",
)
"""Steps as ``module:name``: those that a relay, a PDS and a stream lead to."""


def _inject(monkeypatch: pytest.MonkeyPatch, step: str) -> set[str]:
    """Make a step raise where anything that it is given names a victim; the set has those for which it did."""
    module, _, name = step.partition(":")
    *owners, attribute = name.split(".")
    owner = functools.reduce(getattr, owners, importlib.import_module(module))
    real, raised = getattr(owner, attribute), set[str]()

    @functools.wraps(real)
    def broken(*args: object, **named: object) -> object:
        told = (one for one in (*args[len(owners) :], *named.values()) if not (isinstance(one, Tally) or callable(one)))
        given = repr(list(told))
        for victim, error in VICTIMS.items():
            if victim in given:
                raised.add(victim)
                raise error("injected")
        return real(*args, **named)

    monkeypatch.setattr(owner, attribute, broken)
    return raised


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with world(ACCOUNTS) as made:
        monkeypatch.setenv("CATALOG_ALLOW_LOOPBACK", "1")
        monkeypatch.setenv("CATALOG_PLC_URL", made.fake.url)
        monkeypatch.setattr(following, "IDLE_SECONDS", 0.4)
        yield made


def _crawl(store: Store, kind: str, value: str) -> SourceReport:
    settings = CatalogSettings(
        store=Path("nowhere"),
        sources=(Source(kind=kind, value=value),),
        network=NetworkSettings.from_environment(),
    )
    report = crawl(settings, store)
    assert report.json()["sources"][0]["defects"] == report.defects
    assert store.crawls()[0].report == json.loads(json.dumps(report.json())), "kept for the status page"
    return report.sources[0]


def _complete(store: Store, records: int) -> set[str]:
    """The accounts of which all records are in the store, proven."""
    found: dict[str, int] = {}
    for record in store.records():
        assert record.verified
        found[record.did] = found.get(record.did, 0) + 1
    return {did for did, number in found.items() if number == records}


def _others(served: World) -> set[str]:
    return served.members.keys() - VICTIMS.keys()


def _says_who_and_where(report: SourceReport) -> None:
    told = [*report.problems, *([] if report.error is None else [report.error])]
    assert report.defects >= len(VICTIMS)
    for victim, error in VICTIMS.items():
        assert any(victim in line and error.__name__ in line and ".py:" in line for line in told), told


@pytest.mark.parametrize("step", [*FOUND, *VISITED, *READ])
def test_what_a_relay_names(served: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    with monkeypatch.context() as patched, Store.open(tmp_path / "store.sqlite") as store:
        raised = _inject(patched, step)
        report = _crawl(store, "relay", served.fake.url)
        assert raised == VICTIMS.keys()
        assert _complete(store, 1) == _others(served)
        _says_who_and_where(report)
        patched.undo()
        _crawl(store, "relay", served.fake.url)
        assert _complete(store, 1) == served.members.keys(), "the next crawl tries again"


@pytest.mark.parametrize("step", [*FOUND, *LISTED, *READ])
def test_what_a_pds_lists(served: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    with monkeypatch.context() as patched, Store.open(tmp_path / "store.sqlite") as store:
        raised = _inject(patched, step)
        report = _crawl(store, "pds", served.fake.url)
        assert raised == VICTIMS.keys()
        assert _complete(store, 1) == _others(served)
        _says_who_and_where(report)
        patched.undo()
        _crawl(store, "pds", served.fake.url)
        assert _complete(store, 1) == served.members.keys(), "the next crawl tries again"


@pytest.mark.parametrize("step", STREAMED)
def test_what_a_stream_brings(served: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """One record more of each account, each in an event of its own; all of them are dealt with."""
    frames = []
    for seq, member in enumerate(served.members.values(), start=2):
        before, after = member.repos
        body = commit_body(after, before, did=member.did, rev=REVS[1], seq=seq)
        frames.append(frame("#commit", {**body, "since": REVS[0]}))

    def play(connection: ServerConnection) -> None:
        for raw in frames:
            connection.send(raw)
        stream.over.wait(60)

    with (
        monkeypatch.context() as patched,
        Store.open(tmp_path / "store.sqlite") as store,
        fake_stream(play) as stream,
    ):
        _crawl(store, "relay", served.fake.url)
        assert _complete(store, 1) == served.members.keys()
        store.put_cursor(f"firehose:{stream.url}", 1)
        for member in served.members.values():
            member.newest = 1
        raised = _inject(patched, step)
        report = _crawl(store, "firehose", stream.url)
        assert raised == VICTIMS.keys()
        assert _complete(store, 2) >= _others(served)
        _says_who_and_where(report)
        assert (store.cursor(f"firehose:{stream.url}") or 0) >= ACCOUNTS, "no event holds the cursor for ever"


def test_an_odd_record_costs_its_account_no_other(
    served: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused with the reason, is counted, and is looked for again by the next crawl."""
    served.members[VICTIM].newest = 1
    path = f"{LABEL}/two"
    with monkeypatch.context() as patched, Store.open(tmp_path / "store.sqlite") as store:
        real = importlib.import_module("catalog.crawl.accounts").read_record

        def broken(collection: str, value: dict[str, object]) -> object:
            if value["name"] == "two":
                raise KeyError("odd")
            return real(collection, value)

        patched.setattr("catalog.crawl.accounts.read_record", broken)
        report = _crawl(store, "relay", served.fake.url)
        assert _complete(store, 1) == served.members.keys()
        assert report.defects == 1
        assert [item.uri for item in store.refused()] == [f"at://{VICTIM}/{path}"]
        patched.undo()
        _crawl(store, "relay", served.fake.url)
        assert _complete(store, 2) == {VICTIM}
        assert not list(store.refused())


def test_a_malformed_server_is_its_accounts_problem(served: World, tmp_path: Path) -> None:
    """Whatever a DID document calls a server: the others are read."""
    odd = (
        "https://xn--", "https://xn--a.example", "https://[::1", "https://[v1.x]", "https://pds.example:99999",
        "https://pds.example:x", "https://.example", "https://a..example", f"https://{'a' * 300}.example",
        "https://\u2474.example", "https://\ud800", "https://%", "https://a b.example", "https://..",
    )  # fmt: skip
    for number, server in enumerate(odd, start=ACCOUNTS):
        served.add(number, pds=server)
    with Store.open(tmp_path / "store.sqlite") as store:
        report = _crawl(store, "relay", served.fake.url)
        assert _complete(store, 1) == {did_of(number) for number in range(ACCOUNTS)}
        assert report.error is None
        assert (report.troubles, report.defects) == (len(odd), 0)
        for number in range(ACCOUNTS, ACCOUNTS + len(odd)):
            assert any(did_of(number) in line for line in report.problems)


@pytest.mark.parametrize("kind", ["pds", "relay"])
@pytest.mark.parametrize("error", ERRORS)
def test_a_line_of_a_list(
    served: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, error: type[Exception]
) -> None:
    """The lines after it are read; the list counts as incomplete, and so hides nobody."""
    with monkeypatch.context() as patched, Store.open(tmp_path / "store.sqlite") as store:
        if kind == "pds":
            _crawl(store, kind, served.fake.url)
            assert _complete(store, 1) == served.members.keys()
        real = importlib.import_module("catalog.atproto.repo")._text

        def broken(value: object, key: str) -> str:
            text: str = real(value, key)
            if text == VICTIM and key == "did" and not raised:
                raised.append(text)
                raise error("injected")
            return text

        raised: list[str] = []
        patched.setattr("catalog.atproto.repo._text", broken)
        report = _crawl(store, kind, served.fake.url)
        assert raised
        assert VICTIM in str(report.error)
        assert error.__name__ in str(report.error)
        assert report.defects == 1
        assert _complete(store, 1) >= served.members.keys() - {VICTIM}
        assert kind == "relay" or _complete(store, 1) == served.members.keys()
