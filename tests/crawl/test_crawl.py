"""Crawling a real PDS and manifests; a fake one only for lies."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import msgpack
import pytest

from catalog import store as stored_records
from catalog.atproto.datamodel import record_cid
from catalog.config import CatalogSettings, NetworkSettings, Source
from catalog.crawl import DRAFT_DID, CrawlReport, Tally, crawl, manifests
from catalog.crawl import accounts as crawling
from catalog.records import LABEL, SCHEMA
from catalog.store import Found, Repo, Store, StoredRecord
from catalog.syntax import AtUri, Did
from tests.fakes import Asked, Fake, answer, fake_server
from tests.shards.test_tar import tar_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from http.server import BaseHTTPRequestHandler

    from catalog.atproto.datamodel import Json
    from tests.conftest import Account, Network

TIME = "2026-01-02T03:04:05.000Z"


def _label(did: str, name: str = "label") -> dict[str, Json]:
    uri = f"at://{did}/science.alt.dataset.entry/3kaaaaaaaaaa2"
    return {"$type": LABEL, "name": name, "datasetUri": uri, "createdAt": TIME}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store.sqlite") as opened:
        yield opened


NOWHERE = Path("nowhere")
"""The store's path in the settings: the crawl gets an open store and never looks at it."""


def _settings(*sources: tuple[str, str], deny: tuple[str, ...] = (), base: Path | None = None) -> CatalogSettings:
    named = tuple(Source(kind=kind, value=value) for kind, value in sources)
    network = NetworkSettings.from_environment()
    settings = CatalogSettings(store=NOWHERE, sources=named, deny=tuple(map(Did, deny)), network=network)
    return settings if base is None else replace(settings, base=base)


def _names(store: Store, did: str | None = None) -> list[str]:
    records = [record for record in store.records() if did is None or record.did == did]
    return sorted(str(record.value["name"]) for record in records if isinstance(record.value, dict))


@pytest.fixture
def account(network: Network) -> Account:
    found = network.account("crawled")
    for rkey in ("3kaaaaaaaaaa3", "3kaaaaaaaaaa4"):
        network.put_record(found, LABEL, rkey, _label(found.did, rkey))
    return found


def test_a_repository_is_crawled_and_then_followed(network: Network, account: Account, store: Store) -> None:
    """New, unchanged, then one record changed, one gone and one new; the history keeps what was seen."""
    settings = _settings(("repo", account.handle))
    first = crawl(settings, store).sources[0]
    assert (first.seen, first.changed, first.new, first.refused, first.error) == (1, 1, 2, (), None)
    (repo,) = store.repos()
    assert (repo.handle, repo.rev) == (account.handle, network.latest_rev(account.did))
    second = crawl(settings, store).sources[0]
    assert (second.unchanged, second.changed, second.new) == (1, 0, 0)
    assert second.requests <= 4

    network.put_record(account, LABEL, "3kaaaaaaaaaa3", _label(account.did, "changed"))
    network.delete_record(account, LABEL, "3kaaaaaaaaaa4")
    network.put_record(account, LABEL, "3kaaaaaaaaaa5", _label(account.did, "added"))
    third = crawl(settings, store).sources[0]
    assert (third.new, third.updated, third.removed) == (1, 1, 1)
    assert _names(store) == ["added", "changed"]
    versions = store.history(f"at://{account.did}/{LABEL}/3kaaaaaaaaaa3")
    assert [version.value["name"] for version in versions if isinstance(version.value, dict)] == [
        "changed",
        "3kaaaaaaaaaa3",
    ]


def test_a_pds_is_crawled_and_asked_little_the_second_time(network: Network, account: Account, store: Store) -> None:
    """All its accounts, those with nothing of ours too; then one list tells that nothing changed."""
    bystander = network.account("bystander")
    settings = _settings(("pds", network.pds_url))
    report = crawl(settings, store)
    assert not report.failed, report.lines()
    assert _names(store, account.did) == ["3kaaaaaaaaaa3", "3kaaaaaaaaaa4"]
    assert bystander.did in {repo.did for repo in store.repos()}
    again = crawl(settings, store).sources[0]
    assert again.unchanged == again.seen >= 2
    assert again.requests <= 3
    assert _names(store, account.did) == ["3kaaaaaaaaaa3", "3kaaaaaaaaaa4"]


def test_many_records_are_read_page_by_page(network: Network, store: Store) -> None:
    """More than one page of them, and a full last page that has a cursor all the same."""
    account = network.account("prolific")
    for start in (0, 100):
        writes = [
            {
                "$type": "com.atproto.repo.applyWrites#create",
                "collection": LABEL,
                "rkey": f"r{number}",
                "value": _label(account.did, f"n{number}"),
            }
            for number in range(start, start + 100)
        ]
        network.post("com.atproto.repo.applyWrites", {"repo": account.did, "writes": writes}, account)
    report = crawl(_settings(("repo", account.did)), store).sources[0]
    assert (report.new, len(list(store.records()))) == (200, 200)


def test_a_broken_record_is_kept_out_beside_good_ones(network: Network, account: Account, store: Store) -> None:
    """It is reported with its URI and its reason, stays out while it is broken, and comes in when it is mended."""
    network.put_record(account, LABEL, "3kaaaaaaaaaa5", {"$type": LABEL, "name": 5, "createdAt": "yesterday"})
    network.put_record(account, SCHEMA, "Bad:1.0.0", {"$type": SCHEMA, "name": "Bad"})
    settings = _settings(("repo", account.did))
    report = crawl(settings, store)
    assert not report.failed
    assert _names(store) == ["3kaaaaaaaaaa3", "3kaaaaaaaaaa4"]
    uri = f"at://{account.did}/{LABEL}/3kaaaaaaaaaa5"
    refused = {item.uri: item.reason for item in store.refused()}
    assert set(refused) == {uri, f"at://{account.did}/{SCHEMA}/Bad:1.0.0"}
    for word in ("name", "createdAt", "datasetUri"):
        assert word in refused[uri]
    assert any(uri in line and "createdAt" in line for line in report.lines())
    crawl(settings, store)
    assert len(list(store.refused())) == 2, "an unchanged repository's refusals are remembered"

    network.put_record(account, LABEL, "3kaaaaaaaaaa5", _label(account.did, "mended"))
    crawl(settings, store)
    assert "mended" in _names(store)
    assert [item.uri for item in store.refused()] == [f"at://{account.did}/{SCHEMA}/Bad:1.0.0"]


def _activate(account: Account) -> None:
    """This procedure takes no body, not even an empty object."""
    headers = {"authorization": f"Bearer {account.access_jwt}"}
    answered = httpx.post(f"{account.pds_url}/xrpc/com.atproto.server.activateAccount", headers=headers, timeout=60)
    assert answered.is_success, answered.text


def test_denied_and_closed_accounts_are_hidden(network: Network, account: Account, store: Store) -> None:
    """From the next crawl on; an account that comes back is shown again."""
    crawl(_settings(("repo", account.did)), store)
    assert len(_names(store)) == 2
    crawl(_settings(("repo", account.did), deny=(account.did,)), store)
    assert _names(store) == []
    for source in (("repo", account.did), ("pds", network.pds_url)):
        crawl(_settings(source), store)
        assert len(_names(store, account.did)) == 2
        network.post("com.atproto.server.deactivateAccount", {}, account)
        report = crawl(_settings(source), store)
        assert not report.failed, report.lines()
        assert _names(store, account.did) == []
        _activate(account)
    crawl(_settings(("pds", network.pds_url)), store)
    assert len(_names(store, account.did)) == 2


def test_a_source_that_fails_keeps_what_it_had(network: Network, account: Account, store: Store) -> None:
    """The others are crawled all the same, and the report says which one failed and why."""
    crawl(_settings(("repo", account.did), ("pds", "http://127.0.0.1:9")), store)
    gone = replace(NetworkSettings.from_environment(), plc_url="http://127.0.0.1:9")
    settings = replace(_settings(("repo", account.did), ("repo", "nobody-at-all.test")), network=gone)
    report = crawl(settings, store)
    assert report.failed
    assert [source.error is not None for source in report.sources] == [True, True]
    assert any("did:plc" in line for line in report.lines())
    assert len(_names(store)) == 2
    assert network.latest_rev(account.did)


class LyingPds:
    """A fake PDS with one account; what it says of its records is up to the test."""

    def __init__(self, fake: Fake) -> None:
        self.fake = fake
        self.did = f"did:web:localhost%3A{fake.url.rpartition(':')[2]}"
        self.rev = "3kaaaaaaaaaa2"
        self.listed: list[tuple[str, str]] = [(self.did, self.rev)]
        self.records: list[Json] = []
        service = {"id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": fake.url}
        self.document: dict[str, object] = {"id": self.did, "service": [service]}
        fake.routes.update({
            "/.well-known/did.json": lambda handler, _: answer(handler, self.document),
            "/xrpc/com.atproto.sync.listRepos": self._repos,
            "/xrpc/com.atproto.sync.getLatestCommit": lambda handler, _: answer(
                handler, {"cid": str(record_cid({})), "rev": self.rev}
            ),
            "/xrpc/com.atproto.repo.describeRepo": lambda handler, _: answer(handler, {"collections": [LABEL]}),
            "/xrpc/com.atproto.repo.listRecords": self._records,
            "/xrpc/com.atproto.repo.getRecord": self._record,
        })  # fmt: skip

    def _repos(self, handler: BaseHTTPRequestHandler, _asked: Asked) -> None:
        repos = [{"did": did, "rev": rev, "active": True} for did, rev in self.listed]
        answer(handler, {"repos": repos})

    def _records(self, handler: BaseHTTPRequestHandler, _asked: Asked) -> None:
        answer(handler, {"records": self.records})

    def _record(self, handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        uri = f"at://{asked.query['repo']}/{asked.query['collection']}/{asked.query['rkey']}"
        found = [item for item in self.records if isinstance(item, dict) and item.get("uri") == uri]
        answer(handler, found[0] if found else {"error": "RecordNotFound"}, 200 if found else 400)

    def record(self, rkey: str, **other: Json) -> dict[str, Json]:
        value = _label(self.did, rkey)
        return {"uri": f"at://{self.did}/{LABEL}/{rkey}", "cid": str(record_cid(value)), "value": value, **other}


@pytest.fixture
def lying(monkeypatch: pytest.MonkeyPatch) -> Iterator[LyingPds]:
    monkeypatch.setenv("CATALOG_ALLOW_LOOPBACK", "1")
    with fake_server({}) as fake:
        yield LyingPds(fake)


def test_a_record_that_is_not_what_was_listed_is_refused(lying: LyingPds, store: Store) -> None:
    """Another content's CID, another account's or collection's URI, no record at all; the good one comes in."""
    other = str(record_cid({"a": 1}))
    nested: Json = {}
    for _ in range(100):
        nested = {"a": nested}
    wrong: list[Json] = [
        lying.record("wrong-cid", cid=other),
        lying.record("other-did", uri=f"at://did:plc:{'a' * 24}/{LABEL}/x"),
        lying.record("other-collection", uri=f"at://{lying.did}/{SCHEMA}/x"),
        lying.record("no-uri", uri="at://"),
        lying.record("surrogate", uri="at://\ud800", cid="\ud800"),
        lying.record("deep", value=nested),
        lying.record("huge", value={"$type": LABEL, "name": "x" * 2_000_000}),
        lying.record("type", value={**_label(lying.did), "$type": SCHEMA}),
        {},
        None,
        [1, {"uri": 7}],
        {"uri": 1, "cid": 2, "value": 3},
    ]
    lying.records = [*wrong, lying.record("good"), lying.record("good")]
    report = crawl(_settings(("repo", lying.did)), store)
    assert not report.failed, report.lines()
    assert _names(store) == ["good"]
    assert len(report.sources[0].refused) == len(wrong) - 3, "the four without a URI count once"
    assert any("CID" in reason for uri, reason in report.sources[0].refused if uri.endswith("/wrong-cid"))
    for line in report.lines():
        assert line.isprintable()


def test_a_pds_has_no_say_over_accounts_that_live_elsewhere(
    network: Network, account: Account, lying: LyingPds, store: Store
) -> None:
    """It lists somebody's account with a later rev and its own records; it says that the account is gone."""
    crawl(_settings(("repo", account.did)), store)
    before = list(store.records())
    lying.listed = [(account.did, "3zzzzzzzzzzzz"), (lying.did, lying.rev)]
    value = _label(account.did, "forged")
    lying.records = [{"uri": f"at://{account.did}/{LABEL}/x", "cid": str(record_cid(value)), "value": value}]
    settings = _settings(("repo", account.did), ("pds", lying.fake.url))
    for collections in ([LABEL], []):
        described = {"collections": collections}
        lying.fake.routes["/xrpc/com.atproto.repo.describeRepo"] = lambda handler, _, said=described: answer(  # type: ignore[misc]
            handler, said
        )
        crawl(_settings(("pds", lying.fake.url)), store)
        crawl(settings, store)
        assert [record for record in store.records() if record.did == account.did] == before
    lying.fake.routes["/xrpc/com.atproto.sync.listRepos"] = lambda handler, _: answer(
        handler, {"repos": [{"did": account.did, "rev": "3zzzzzzzzzzzz", "active": False, "status": "deleted"}]}
    )
    crawl(_settings(("pds", lying.fake.url)), store)
    crawl(settings, store)
    assert [record for record in store.records() if record.did == account.did] == before
    assert network.latest_rev(account.did) == next(repo.rev for repo in store.repos() if repo.did == account.did)


def test_a_repository_that_breaks_off_keeps_its_records_and_is_tried_again(lying: LyingPds, store: Store) -> None:
    """Half a list is no list; the rev isn't noted, so the next crawl reads it whole."""
    lying.records = [lying.record("one"), lying.record("two")]
    settings = _settings(("pds", lying.fake.url))
    assert not crawl(settings, store).failed
    whole = lying.fake.routes["/xrpc/com.atproto.repo.listRecords"]
    lying.rev = "3kaaaaaaaaaa5"
    lying.listed = [(lying.did, lying.rev)]

    def half(handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        if "cursor" in asked.query:
            answer(handler, {"error": "InvalidRequest"}, 400)
        else:
            answer(handler, {"records": [lying.record("three")], "cursor": "1"})

    lying.fake.routes["/xrpc/com.atproto.repo.listRecords"] = half
    report = crawl(settings, store)
    assert _names(store) == ["one", "two"]
    assert any(lying.did in problem for problem in report.sources[0].problems)
    lying.fake.routes["/xrpc/com.atproto.repo.listRecords"] = whole
    lying.records = [lying.record("three")]
    crawl(settings, store)
    assert _names(store) == ["three"]


def _many(first: int, last: int) -> list[tuple[str, str]]:
    letters = str.maketrans("0189", "abcd")
    return [(f"did:plc:{number:024d}".translate(letters), "3kaaaaaaaaaa2") for number in range(first, last)]


@pytest.mark.parametrize("status", [400, 500])
def test_unreadable_accounts_hide_no_other_of_their_host(
    lying: LyingPds, store: Store, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """However many of them come one after the other: a host that answers is asked for each of its accounts."""
    monkeypatch.setattr("catalog.network.http.TRIES", 1)
    lying.listed = [*_many(0, 60), *lying.listed]
    lying.records = [lying.record("one")]

    def described(handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        if asked.query["repo"] == lying.did:
            answer(handler, {"collections": [LABEL]})
        else:
            answer(handler, {"error": "Whatever"}, status)

    lying.fake.routes["/xrpc/com.atproto.repo.describeRepo"] = described
    report = crawl(_settings(("pds", lying.fake.url)), store)
    assert _names(store) == ["one"]
    assert report.sources[0].troubles == 60


def test_a_host_that_never_answers_is_left_alone(lying: LyingPds, store: Store) -> None:
    """Not every one of its thousand accounts is tried; those left are counted."""
    dead = "http://127.0.0.1:9"
    for did, _ in _many(0, 1000):
        service = [{"id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": dead}]
        document = {"id": did, "service": service}
        lying.fake.routes[f"/{did}"] = lambda handler, _, said=document: answer(handler, said)  # type: ignore[misc]
    everybody = {"repos": [{"did": did} for did, _ in [*_many(0, 1000), *lying.listed]]}
    lying.fake.routes["/xrpc/com.atproto.sync.listReposByCollection"] = lambda handler, _: answer(handler, everybody)
    lying.records = [lying.record("one")]
    network = NetworkSettings(plc_url=lying.fake.url, allow_loopback=True)
    settings = CatalogSettings(
        store=Path("nowhere"), sources=(Source(kind="relay", value=lying.fake.url),), network=network
    )
    report = crawl(settings, store)
    assert not report.failed
    assert _names(store) == ["one"]
    assert report.sources[0].troubles == 1000
    assert any("127.0.0.1:9" in problem and "left for the next" in problem for problem in report.sources[0].problems)


def test_a_host_that_fails_for_a_while_is_waited_for(
    lying: LyingPds, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answered before: its accounts are read once it is back, in the same crawl."""
    monkeypatch.setattr("catalog.network.rate_limit.PROVEN_PARKED_SECONDS", 0.3)
    monkeypatch.setattr("catalog.network.http.TRIES", 1)
    bad = iter(range(8))
    lying.listed = [*_many(0, 30), *lying.listed]
    lying.records = [lying.record("one")]

    def described(handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        if len(lying.fake.asked) > 5 and next(bad, None) is not None:
            answer(handler, {}, 503)
        else:
            answer(handler, {"collections": [LABEL] if asked.query["repo"] == lying.did else []})

    lying.fake.routes["/xrpc/com.atproto.repo.describeRepo"] = described
    report = crawl(_settings(("pds", lying.fake.url)), store)
    assert _names(store) == ["one"]
    assert report.sources[0].error is None
    assert report.sources[0].problems == ()


def test_an_old_handle_is_checked_again(
    network: Network, account: Account, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though nothing in the repository changed."""
    settings = _settings(("pds", network.pds_url))
    crawl(settings, store)
    changed = account.handle.replace("crawled", "renamed")
    network.post("com.atproto.identity.updateHandle", {"handle": changed}, account)
    monkeypatch.setattr(crawling, "HANDLE_AGE", crawling.HANDLE_AGE * 0)
    crawl(settings, store)
    found = store.repo(account.did)
    assert found is not None
    assert found.handle == changed


MANIFEST = """\
schemas:
  - {name: Point, version: 1.0.0, fields: {x: float, y: float}}
datasets:
  - {name: points, schema: Point@1.0.0, version: 1.0.0, shards: [{url: "https://example.org/p.tar", local: p.tar}]}
"""

POINTS = tar_of(("0.msgpack", msgpack.packb({"x": 1.0, "y": 2.0})))
"""A shard of that dataset."""


def _draft_uris(report: CrawlReport, store: Store) -> list[tuple[str, str]]:
    assert not report.failed, report.lines()
    return [(str(record.uri), str(record.cid)) for record in store.records()]


def test_manifests_are_drafts_the_same_in_every_crawl(tmp_path: Path, store: Store) -> None:
    """Marked as such, of an account that can't exist, with the places of their local shards."""
    folder = tmp_path / "manifests"
    folder.mkdir()
    (folder / "p.tar").write_bytes(POINTS)
    (folder / "points.yaml").write_text(MANIFEST, encoding="utf-8")
    settings = _settings(("manifests", "manifests"), base=tmp_path)
    first = _draft_uris(crawl(settings, store), store)
    with Store.open(tmp_path / "other.sqlite") as other:
        assert _draft_uris(crawl(settings, other), other) == first
        assert [record.updated for record in other.records()] == [record.updated for record in store.records()]
    assert len(first) == 3
    assert {(record.did, record.draft) for record in store.records()} == {(DRAFT_DID, True)}
    assert [record.local for record in store.records() if record.local] == [(folder / "p.tar",)]

    assert crawl(settings, store).sources[0].unchanged == 1
    (folder / "points.yaml").write_text(MANIFEST.split("datasets", maxsplit=1)[0], encoding="utf-8")
    assert len(_draft_uris(crawl(settings, store), store)) == 1
    (folder / "points.yaml").write_text("schemas: [{name: X}]", encoding="utf-8")
    report = crawl(settings, store)
    assert report.failed
    assert any("points.yaml:1" in line for line in report.lines())
    assert len(list(store.records())) == 1, "a manifest with mistakes changes nothing"


@pytest.mark.parametrize(("compare", "reported"), [(None, True), (2, True), (1, False), (0, False)])
def test_a_draft_whose_local_shard_does_not_fit_its_schema_is_reported(
    tmp_path: Path, store: Store, compare: int | None, *, reported: bool
) -> None:
    """It is shown nevertheless; so many samples are compared as the setting says."""
    (tmp_path / "points.yaml").write_text(MANIFEST, encoding="utf-8")
    rows: list[Any] = [{"x": 1.0, "y": 2.0}, {"x": 1.0, "y": "north"}]
    members = ((f"{number}.msgpack", msgpack.packb(row)) for number, row in enumerate(rows))
    (tmp_path / "p.tar").write_bytes(tar_of(*members))
    settings = replace(_settings(("manifests", "points.yaml"), base=tmp_path), compare=compare)
    report = crawl(settings, store)
    assert len(list(store.records())) == 3
    lines = [line for line in report.lines() if "p.tar" in line]
    assert report.failed is bool(lines) is reported
    for line in lines:
        assert "points.yaml:4: " in line
        assert "sample 1: field 'y': expected float, found str" in line


def test_two_sources_do_not_draft_the_same_record(tmp_path: Path, store: Store) -> None:
    """The second one is told where the first is."""
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(MANIFEST.split("datasets", maxsplit=1)[0], encoding="utf-8")
    report = crawl(_settings(("manifests", "one.yaml"), ("manifests", "two.yaml"), base=tmp_path), store)
    assert [source.error is None for source in report.sources] == [True, False]
    assert "manifests:one.yaml" in str(report.sources[1].error)


def _fill(store: Store, accounts: int) -> None:
    """Store an account with ten records, as many times."""
    for number in range(accounts):
        did = Did(f"did:web:host{number}.example")
        values = {AtUri.of(did, LABEL, f"3kaaaaaaaaaa{rkey}"): _label(did) for rkey in "234567abcd"}
        found = [Found(uri=uri, cid=record_cid(value), value=value) for uri, value in values.items()]
        store.replace(Repo(did=did, source="pds:https://pds.example"), found, [], moment=crawling.Crawler.moment())


def test_a_manifest_crawl_does_not_read_the_rest_of_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It decodes no stored record, and SQLite does the same work whether the store has ten records or two thousand."""
    (tmp_path / "points.yaml").write_text(MANIFEST, encoding="utf-8")
    source = Source(kind="manifests", value="points.yaml")
    (tmp_path / "p.tar").write_bytes(POINTS)
    decoded: list[object] = []
    whole = stored_records._stored

    def noted(row: tuple[Any, ...]) -> StoredRecord:
        decoded.append(row)
        return whole(row)

    monkeypatch.setattr(stored_records, "_stored", noted)
    steps: list[int] = []
    for accounts in (1, 200):
        with Store.open(tmp_path / f"{accounts}.sqlite") as store:
            store.configure([str(source), "pds:https://pds.example"], [])
            _fill(store, accounts)
            counter = count()

            def step(counter: Iterator[int] = counter) -> None:
                next(counter)

            store._db.set_progress_handler(step, 1)
            manifests.crawl_manifests(source, tmp_path, store, Tally(source=str(source)))
            store._db.set_progress_handler(None, 1)
            steps.append(next(counter))
            assert decoded == []
            assert len(list(store.records())) == accounts * 10 + 3
            decoded.clear()
    assert steps[0] == steps[1]
