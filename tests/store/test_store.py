"""The store: one transaction a repository, history, and what is visible."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from catalog.atproto.datamodel import record_cid
from catalog.errors import StoreBusy, StoreError
from catalog.store import Changes, Found, PastCrawl, Refused, Repo, Store
from catalog.store.migrations import VISIBLE
from catalog.syntax import AtUri, Cid, Did

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from catalog.atproto.datamodel import Json

DID = Did.parse("did:plc:" + "a" * 24)
OTHER = Did.parse("did:plc:" + "b" * 24)
NOW = datetime(2026, 1, 2, tzinfo=UTC)
REPO = Repo(did=DID, source="repo:a", rev="r1", pds="https://pds.example.org")
COLLECTION = "science.alt.dataset.label"


def _found(rkey: str, text: str, did: Did = DID) -> Found:
    value: Json = {"$type": COLLECTION, "name": text}
    return Found(uri=AtUri.of(did, COLLECTION, rkey), cid=record_cid(value), value=value)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "deep" / "store.sqlite") as opened:
        opened.configure(["repo:a", "repo:b"], [])
        yield opened


def test_a_repository_is_replaced_as_a_whole_and_remembers_its_versions(store: Store) -> None:
    """New, updated, unchanged and removed are told apart; each version that was seen is in the history."""
    first = store.replace(REPO, [_found("a", "1"), _found("b", "1"), _found("c", "1")], [], moment=NOW)
    assert first == Changes(new=3)
    later = NOW + timedelta(days=1)
    second = store.replace(
        replace(REPO, rev="r2"), [_found("a", "2"), _found("b", "1"), _found("d", "1")], [], moment=later
    )
    assert second == Changes(new=1, updated=1, removed=1)
    records = {record.rkey: record for record in store.records()}
    assert sorted(records) == ["a", "b", "d"]
    assert (records["a"].first_seen, records["a"].updated) == (NOW, later)
    assert (records["b"].first_seen, records["b"].updated) == (NOW, NOW)
    versions = [(v.cid, v.rev, v.seen, v.value) for v in store.history(records["a"].uri)]
    old, new = _found("a", "1"), _found("a", "2")
    assert versions == [(new.cid, "r2", later, new.value), (old.cid, "r1", NOW, old.value)]
    assert store.history(AtUri.of(DID, COLLECTION, "c")) == [], "what its owner deleted is gone, with its history"


@pytest.mark.parametrize(
    "hide",
    [
        lambda store: store.configure(["repo:a", "repo:b"], [DID]),
        lambda store: store.configure(["repo:b"], []),
        lambda store: store.put_repo(replace(REPO, active=False, status="takendown")),
        lambda store: store.hide_missing("repo:a", {OTHER}),
    ],
    ids=["denied", "its source is no longer configured", "inactive", "no longer listed"],
)
def test_what_is_hidden_is_neither_a_record_nor_a_refusal(store: Store, hide: object) -> None:
    """And the other account stays visible."""
    refused = [Refused(uri="at://x", reason="bad", source="repo:a")]
    store.replace(REPO, [_found("a", "1")], refused, moment=NOW)
    store.replace(Repo(did=OTHER, source="repo:b"), [_found("a", "1", OTHER)], [], moment=NOW)
    assert len(list(store.records())) == 2
    assert list(store.refused()) == refused
    assert callable(hide)
    hide(store)
    assert [record.did for record in store.records()] == [OTHER]
    assert list(store.refused()) == []


def test_the_history_of_a_record_is_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """By number and by size; the newest version stays whatever its size, and other records keep theirs."""
    store.versions_kept = 5
    monkeypatch.setattr("catalog.store.HISTORY_KEPT", 4000)
    repo, uri = REPO, AtUri.of(DID, COLLECTION, "a")
    store.replace(repo, [_found("b", "0"), _found("a", "0")], [], moment=NOW)
    for number in range(1, 10):
        store.replace(repo, [_found("b", "0"), _found("a", str(number))], [], moment=NOW)
    texts = [json.dumps(version.value) for version in store.history(uri)]
    assert [any(f'"{number}"' in text for text in texts) for number in range(10)] == [False] * 5 + [True] * 5
    assert len(store.history(AtUri.of(DID, COLLECTION, "b"))) == 1
    for length in (1000, 1001, 1002, 1003, 1004):
        store.replace(repo, [_found("b", "0"), _found("a", "x" * length)], [], moment=NOW)
    assert len(store.history(uri)) == 3
    store.replace(repo, [_found("b", "0"), _found("a", "x" * 100_000)], [], moment=NOW)
    (newest,) = store.history(uri)
    assert newest.cid == _found("a", "x" * 100_000).cid


def test_drafts_are_replaced_by_source(store: Store) -> None:
    """Two sources of drafts share one account without wiping each other out."""
    one = Repo(did=DID, source="repo:a", draft=True)
    store.replace(one, [_found("a", "1")], [], moment=NOW)
    store.replace(replace(one, source="repo:b"), [_found("b", "1")], [], moment=NOW)
    assert store.replace(one, [], [], moment=NOW) == Changes(removed=1)
    assert [(record.rkey, record.draft) for record in store.records()] == [("b", True)]


def test_a_crawl_that_breaks_off_leaves_the_store_as_it_was(store: Store) -> None:
    """The same record twice is refused by SQLite in the middle of the transaction."""
    store.replace(REPO, [_found("a", "1")], [], moment=NOW)
    with pytest.raises(StoreError):
        store.replace(replace(REPO, rev="r2"), [_found("b", "1"), _found("b", "2")], [], moment=NOW)
    assert [record.rkey for record in store.records()] == ["a"]
    found = store.repo(DID)
    assert found is not None
    assert found.rev == "r1"


def test_a_store_is_found_again_as_it_was_left(tmp_path: Path) -> None:
    """Closed and opened."""
    path = tmp_path / "store.sqlite"
    with Store.open(path) as store:
        store.configure(["repo:a"], [])
        store.replace(REPO, [replace(_found("a", "ä\u2028\U0001f600"), local=(tmp_path / "x.tar",))], [], moment=NOW)
        before = list(store.records())
    with Store.open(str(path)) as store:
        assert list(store.records()) == before
        assert before[0].value == {"$type": COLLECTION, "name": "ä\u2028\U0001f600"}
        assert before[0].local == (tmp_path / "x.tar",)
        assert isinstance(before[0].cid, Cid)
        assert list(store.repos()) == [REPO]


def test_files_that_are_not_ours_are_left_alone(tmp_path: Path) -> None:
    """Another program's database, a text, a directory, and a store of the future."""
    foreign = tmp_path / "foreign.sqlite"
    database = sqlite3.connect(foreign)
    database.execute("CREATE TABLE t (x)")
    database.commit()
    database.close()
    future = tmp_path / "future.sqlite"
    Store.open(future).close()
    database = sqlite3.connect(future)
    database.execute("PRAGMA user_version = 99")
    database.close()
    text = tmp_path / "notes.txt"
    text.write_text("not a database, " * 100, encoding="utf-8")
    for path in (foreign, future, text, tmp_path):
        before = path.read_bytes() if path.is_file() else b""
        with pytest.raises(StoreError):
            Store.open(path)
        assert (path.read_bytes() if path.is_file() else b"") == before


def test_what_is_kept_stays_and_what_is_proven_is_marked(store: Store) -> None:
    """Kept records and refusals stay as they are; a refused record's CID is known like any other's."""
    wrong = Refused(uri=f"at://{DID}/{COLLECTION}/x", reason="bad", source="repo:a", cid="bafy1")
    store.replace(REPO, [_found("a", "1"), _found("b", "1")], [wrong], moment=NOW)
    known = store.known(DID)
    assert known == {_found("a", "1").uri: _found("a", "1").cid, _found("b", "1").uri: _found("b", "1").cid} | {
        wrong.uri: "bafy1"
    }
    kept = [_found("a", "1").uri, wrong.uri]
    changes = store.replace(
        replace(REPO, rev="r2"), [_found("c", "1")], [], moment=NOW, kept=kept, proven=True, tree=b"nodes"
    )
    assert changes == Changes(new=1, removed=1)
    assert {record.rkey: record.verified for record in store.records()} == {"a": True, "c": True}
    assert list(store.refused()) == [wrong]
    assert store.tree(DID) == b"nodes"
    store.replace(REPO, [], [], moment=NOW)
    assert (list(store.refused()), store.tree(DID), store.holds(DID)) == ([], None, False)


def test_an_account_is_shown_as_long_as_one_source_lists_it(store: Store) -> None:
    """Two sources may have it; the one that read it need not be the last that lists it."""
    store.replace(REPO, [_found("a", "1")], [], moment=NOW)
    store.list_repo("repo:b", DID)
    assert store.hide_missing("repo:a", set()) == 1
    assert len(list(store.records())) == 1
    store.unlist("repo:b", DID)
    assert list(store.records()) == []


def test_one_crawl_at_a_time(store: Store, tmp_path: Path) -> None:
    """The second is told so at once, also through another connection; after the first it may go."""
    with Store.open(tmp_path / "deep" / "store.sqlite") as other:
        with (
            store.crawling(),
            pytest.raises(StoreBusy, match="another crawl is at work"),
            other.crawling(),
        ):
            pytest.fail("both crawl")
        with other.crawling():
            pass


def test_cursors_and_past_crawls_are_kept(store: Store) -> None:
    """The newest crawl first, and only so many."""
    assert store.cursor("firehose:a") is None
    store.put_cursor("firehose:a", 2**53)
    assert store.cursor("firehose:a") == 2**53
    for number in range(40):
        store.put_crawl(PastCrawl(ended=NOW + timedelta(hours=number), report={"number": number}))
    past = store.crawls()
    assert (len(past), past[0]) == (30, PastCrawl(ended=NOW + timedelta(hours=39), report={"number": 39}))


def test_what_is_visible_is_told_without_reading_all_listings(store: Store) -> None:
    """However many accounts the sources list, a record costs a look for each source."""
    plan = [row[3] for row in store._db.execute(f"EXPLAIN QUERY PLAN SELECT uri {VISIBLE} AND uri = ?", ("at://x",))]
    assert any(step.startswith("SEARCH listings") for step in plan), plan
    assert not any(step.startswith(("SCAN listings", "SCAN records", "SCAN repos")) for step in plan), plan


def test_a_store_that_is_made_instead_of_opened_says_how(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"Store\.open\(path\)"):
        Store(tmp_path / "store.sqlite")  # type: ignore[arg-type]
