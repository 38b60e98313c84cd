"""Absence needs proof: what a server doesn't list, or refuses, is hidden only when that is said, and comes back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from catalog.config import CatalogSettings, NetworkSettings, Source
from catalog.crawl import accounts as repositories
from catalog.crawl import crawl
from catalog.network import http
from catalog.store import Store
from tests.fakes import answer
from tests.smallpds import REVS, refuse, small_pds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from http.server import BaseHTTPRequestHandler

    from catalog.atproto.datamodel import Json
    from catalog.crawl import SourceReport
    from tests.fakes import Asked
    from tests.smallpds import SmallAccount, SmallPds

LIST = "/xrpc/com.atproto.sync.listRepos"
READING = ("sync.getLatestCommit", "sync.getRecord", "sync.getBlocks", "sync.getRepo", "repo.describeRepo",
           "repo.listRecords", "repo.getRecord")  # fmt: skip


@pytest.fixture
def pds(monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallPds]:
    monkeypatch.setattr(http, "MAX_WAIT", 0.01)
    monkeypatch.setattr(repositories, "_RETRY_SECONDS", 0.0)
    with small_pds() as started:
        yield started


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store.sqlite") as opened:
        yield opened


def crawled(pds: SmallPds, store: Store, kind: str = "pds", value: str | None = None) -> SourceReport:
    """Crawl the PDS as a source of this kind."""
    network = NetworkSettings(plc_url=pds.url, handle_resolver=pds.url, allow_loopback=True)
    source = Source(kind=kind, value=pds.url if value is None else value)
    settings = CatalogSettings(store=Path("nowhere"), sources=(source,), network=network)
    return crawl(settings, store).sources[0]


def names(store: Store) -> list[str]:
    """Return the names of the visible records."""
    return sorted(str(record.value["name"]) for record in store.records() if isinstance(record.value, dict))


def many(pds: SmallPds) -> list[SmallAccount]:
    """Return six accounts with a label each, ``a`` to ``f``."""
    return [pds.account(letter, letter) for letter in "abcdef"]


# --- lists ---------------------------------------------------------------------------------------------------------


def _pages(*pages: object) -> Callable[[BaseHTTPRequestHandler, Asked], None]:
    """Answer pages in turn, the last one again and again."""
    left = list(pages)

    def route(handler: BaseHTTPRequestHandler, _: Asked) -> None:
        answer(handler, left.pop(0) if len(left) > 1 else left[0])

    return route


LISTS: dict[str, Callable[[list[dict[str, Json]]], list[Any]]] = {
    "nothing": lambda _: [{"repos": []}],
    "an empty page before the end": lambda rows: [
        {"repos": rows[:2], "cursor": "1"}, {"repos": [], "cursor": "2"}, {"repos": rows[2:]}
    ],
    "empty pages for ever": lambda rows: [
        {"repos": rows[:2], "cursor": "1"}, *[{"repos": [], "cursor": f"x{number}"} for number in range(200)]
    ],
    "a cursor again": lambda rows: [{"repos": rows[:2], "cursor": "1"}, {"repos": rows[2:3], "cursor": "1"}],
    "a page again": lambda rows: [{"repos": rows[:2], "cursor": "1"}, {"repos": rows[:2], "cursor": "2"}],
    "a number as cursor": lambda rows: [{"repos": rows[:2], "cursor": 7}, {"repos": rows[2:]}],
    "an object as cursor": lambda rows: [{"repos": rows[:2], "cursor": {"next": 1}}],
    "a huge cursor": lambda rows: [{"repos": rows[:2], "cursor": "x" * 100_000}],
    "pages that overlap": lambda rows: [{"repos": rows[:4], "cursor": "1"}, {"repos": rows[3:]}],
    "rows without a rev": lambda rows: [{"repos": [{**row, "rev": ""} for row in rows]}],
    "a broken DID": lambda rows: [{"repos": [*rows[:2], {"did": "did:", "rev": "x"}, None, 5]}],
    "shortened": lambda rows: [{"repos": rows[:1]}],
}  # fmt: skip


@pytest.mark.parametrize("kind", LISTS)
def test_no_list_alone_hides_an_account(pds: SmallPds, store: Store, kind: str) -> None:
    """However it ends; and what a later list has is there, with the revs that it had."""
    accounts = many(pds)
    crawled(pds, store)
    assert names(store) == list("abcdef")
    usual = pds.fake.routes[LIST]
    pds.fake.routes[LIST] = _pages(*LISTS[kind]([pds.row(account) for account in accounts]))
    report = crawled(pds, store)
    assert (names(store), report.removed) == (list("abcdef"), 0)
    pds.fake.routes[LIST] = usual
    report = crawled(pds, store)
    assert (names(store), report.changed, report.problems) == (list("abcdef"), 0, ())


def test_a_list_that_may_lack_some_is_reported(pds: SmallPds, store: Store) -> None:
    """By its server's name; the accounts that it doesn't name are read all the same when they change."""
    accounts = many(pds)
    crawled(pds, store)
    rows = [pds.row(account) for account in accounts]
    accounts[5].write({"3kaaaaaaaaaa2": "changed"}, REVS[4])
    pds.fake.routes[LIST] = _pages({"repos": rows[:2], "cursor": "1"})
    report = crawled(pds, store)
    assert any(pds.url in problem and "cursor" in problem for problem in report.problems)
    assert names(store) == ["a", "b", "c", "changed", "d", "e"]


@pytest.mark.parametrize("status", [400, 403, 404, 500, 501])
def test_a_refused_list_hides_nobody(pds: SmallPds, store: Store, status: int) -> None:
    """Some servers answer 500 for the whole list when one repository is broken; the known ones are read one by one."""
    accounts = many(pds)
    crawled(pds, store)
    accounts[0].write({"3kaaaaaaaaaa2": "changed"}, REVS[4])
    accounts[1].status = "deleted"
    accounts[1].refuse(*READING, status=400, error="RepoDeleted")
    pds.fake.routes[LIST] = refuse(status, "InternalServerError")
    report = crawled(pds, store)
    assert report.error is not None
    assert names(store) == ["c", "changed", "d", "e", "f"]


def test_an_account_that_moved_is_no_more_of_the_list(pds: SmallPds, store: Store) -> None:
    """Nor hidden where another source has it: neither by a list without it, nor by one that calls it inactive."""
    with small_pds() as other:
        account = pds.account("a", "a")
        pds.account("b", "b")
        crawled(pds, store)
        del pds.accounts[account.did]
        other.accounts[account.did] = account
        account.url = other.url.replace("127.0.0.1", "localhost")
        for status in (None, "deactivated"):
            pds.fake.routes[LIST] = _pages({"repos": [pds.row(replace(account, status=status))] * bool(status)})
            crawled(pds, store)
            repo = store.repo(account.did)
            assert repo is not None
            assert repo.active


# --- accounts ------------------------------------------------------------------------------------------------------


GONE = [
    (400, "RepoNotFound"), (400, "RepoTakendown"), (400, "RepoSuspended"), (400, "RepoDeactivated"),
    (404, "RepoNotFound"), (403, "RepoDeleted"), (403, "RepoInactive"), (401, "AccountTakedown"),
    (400, "AccountTakendown"), (410, "RepoDeleted"), (500, "AccountDeactivated"), (403, "repodeactivated"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "error"), GONE)
@pytest.mark.parametrize("kind", ["relay", "repo"])
def test_an_account_that_is_gone_by_name_is_hidden_and_comes_back(
    pds: SmallPds, store: Store, kind: str, status: int, error: str
) -> None:
    """In whatever words its server says so, also where it doesn't know getRepoStatus."""
    account = pds.account("a", "a")
    value = account.did if kind == "repo" else None
    crawled(pds, store, kind, value)
    account.refuse(*READING, "sync.getRepoStatus", status=status, error=error)
    report = crawled(pds, store, kind, value)
    assert (names(store), report.problems) == ([], ())
    account.routes.clear()
    crawled(pds, store, kind, value)
    assert names(store) == ["a"]


def test_an_invalid_request_that_means_the_repository_is_understood(pds: SmallPds, store: Store) -> None:
    account = pds.account("a", "a")
    crawled(pds, store, "relay")
    message = f"Could not find repo: {account.did}"
    account.refuse(*READING, "sync.getRepoStatus", status=400, error="InvalidRequest", message=message)
    crawled(pds, store, "relay")
    assert names(store) == []


@pytest.mark.parametrize("word", ["takendown", "takedown", "deleted", "suspended", "deactivated", "another word"])
@pytest.mark.parametrize("refusal", [(500, "InternalServerError"), (400, "InvalidRequest"), (404, ""), (403, "")])
def test_a_refusal_that_says_nothing_is_judged_by_the_status(
    pds: SmallPds, store: Store, refusal: tuple[int, str], word: str
) -> None:
    """Several servers answer 500 for an account that is gone; active or not is what counts, whatever the word."""
    account = pds.account("a", "a")
    crawled(pds, store, "relay")
    account.refuse(*READING, status=refusal[0], error=refusal[1])
    report = crawled(pds, store, "relay")
    assert (names(store), len(report.problems)) == (["a"], 1)
    account.status = word
    report = crawled(pds, store, "relay")
    assert (names(store), report.problems) == ([], ())


@pytest.mark.parametrize("word", ["takendown", "takedown", "deactivated"])
def test_a_status_without_active_is_told_by_its_word(pds: SmallPds, store: Store, word: str) -> None:
    account = pds.account("a", "a")
    crawled(pds, store)
    pds.fake.routes[LIST] = _pages({"repos": [{"did": account.did, "rev": account.rev, "status": word}]})
    crawled(pds, store)
    assert names(store) == []
    pds.fake.routes[LIST] = _pages({"repos": [{"did": account.did, "rev": account.rev, "status": "throttled"}]})
    crawled(pds, store)
    assert names(store) == ["a"]


def test_an_account_that_is_served_though_it_is_inactive_is_hidden(pds: SmallPds, store: Store) -> None:
    """Some servers go on serving a deactivated account as if nothing were."""
    account = pds.account("a", "a")
    crawled(pds, store, "repo", account.did)
    account.status = "deactivated"
    crawled(pds, store, "repo", account.did)
    assert names(store) == []


def test_a_server_that_says_nothing_at_all_needs_a_second_witness(pds: SmallPds, store: Store) -> None:
    """500 for everything: its own list without the account, read to its end, is one. A list of nobody is none."""
    accounts = many(pds)
    crawled(pds, store)
    accounts[0].refuse(*READING, "sync.getRepoStatus", status=500, error="InternalServerError")
    pds.fake.routes[LIST] = _pages({"repos": []})
    crawled(pds, store)
    assert names(store) == list("abcdef")
    pds.fake.routes[LIST] = _pages({"repos": [pds.row(account) for account in accounts[1:]]})
    crawled(pds, store)
    assert names(store) == list("bcdef")


def test_a_tombstone_in_the_directory_ends_an_account(pds: SmallPds, store: Store) -> None:
    """The directory's own 410; a proxy's page with that status says nothing."""
    account = pds.account("a", "a")
    crawled(pds, store, "relay")
    account.refuse(*READING, "sync.getRepoStatus", status=500, error="InternalServerError")
    account.document = lambda handler, _: answer(handler, b"<html>gone", 410)
    crawled(pds, store, "relay")
    assert names(store) == ["a"]
    account.document = refuse(410, message=f"DID not available: {account.did}")
    crawled(pds, store, "relay")
    assert names(store) == []


@pytest.mark.parametrize("shown", [["a"], []], ids=["active", "not active"])
def test_a_did_that_the_directory_does_not_know_is_gone_if_its_server_agrees(
    pds: SmallPds,
    store: Store,
    shown: list[str],
) -> None:
    account = pds.account("a", "a")
    crawled(pds, store, "repo", account.did)
    account.document = refuse(404, message=f"DID not registered: {account.did}")
    if not shown:
        account.refuse(*READING, "sync.getRepoStatus", status=500, error="InternalServerError")
    crawled(pds, store, "repo", account.did)
    assert names(store) == shown


# --- revs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["by name", "by status", "unlisted and listed again"])
def test_an_old_commit_stays_refused_after_a_pause(pds: SmallPds, store: Store, how: str) -> None:
    """Whatever kind of pause it was, and though the server offers no proof at last."""
    account = pds.account("a", "new", rev=REVS[4])
    kind, value = ("pds", None) if how.startswith("unlisted") else ("repo", account.did)
    crawled(pds, store, kind, value)
    if how == "by name":
        account.refuse(*READING, status=400, error="RepoDeactivated")
    account.status = "deactivated"
    crawled(pds, store, kind, value)
    assert names(store) == []
    account.routes.clear()
    account.status = None
    account.write({"3kaaaaaaaaaa2": "old"}, REVS[2])
    report = crawled(pds, store, kind, value)
    assert (names(store), bool(report.problems or report.error)) == ([], True)
    account.refuse("sync.getRecord", "sync.getBlocks", "sync.getRepo", status=501, error="MethodNotImplemented")
    crawled(pds, store, kind, value)
    assert "old" not in names(store)


def test_an_unproven_older_record_never_takes_the_place_of_a_proven_one(pds: SmallPds, store: Store) -> None:
    """Neither with the rev that it had, nor with a new one that only the server vouches for. A new one does."""
    account = pds.account("a", "old", "other", rev=REVS[1])
    crawled(pds, store, "repo", account.did)
    account.write({**account.names, "3kaaaaaaaaaa2": "new"}, REVS[2])
    crawled(pds, store, "repo", account.did)
    assert names(store) == ["new", "other"]
    account.refuse("sync.getRecord", "sync.getBlocks", "sync.getRepo", status=501, error="MethodNotImplemented")
    for rev in (REVS[1], REVS[3]):
        account.write({**account.names, "3kaaaaaaaaaa2": "old"}, rev)
        report = crawled(pds, store, "repo", account.did)
        assert (names(store), bool(report.problems)) == (["new", "other"], True)
        assert all(record.verified for record in store.records())
    account.write({**account.names, "3kaaaaaaaaaa2": "newer"}, REVS[4])
    crawled(pds, store, "repo", account.did)
    assert {record.value["name"]: record.verified for record in store.records() if isinstance(record.value, dict)} == {
        "newer": False, "other": True,
    }  # fmt: skip


# --- refusals ------------------------------------------------------------------------------------------------------


REFUSALS = [
    (400, "InvalidRequest"), (400, "RecordNotFound"), (400, "BlockNotFound"), (401, "AuthMissing"), (403, "Forbidden"),
    (404, "RecordNotFound"), (500, "InternalServerError"), (503, "NotEnoughResources"),
]  # fmt: skip
UNKNOWN = [(404, "NotFound"), (405, ""), (501, "MethodNotImplemented"), (400, "UnknownMethod")]
WAYS = ("getBlocks", "getRecord", "getRepo", "getBlocks getRecord", "getBlocks getRepo", "getBlocks getRecord getRepo")


def _refused(pds: SmallPds, refusals: list[tuple[int, str]], *methods: str) -> list[SmallAccount]:
    """Return accounts with three labels each, ``a`` to ``c``; the server refuses methods, for each in another way."""
    accounts = [pds.account(letter, "a", "b", "c") for letter, _ in zip("abcdefghijkl", refusals, strict=False)]
    for account, (status, error) in zip(accounts, refusals, strict=True):
        account.refuse(*methods, status=status, error=error)
    return accounts


@pytest.mark.parametrize("refusals", [REFUSALS, UNKNOWN], ids=["passing", "unknown"])
@pytest.mark.parametrize("methods", WAYS)
def test_each_way_falls_back_to_the_next_on_any_refusal(
    pds: SmallPds, store: Store, methods: str, refusals: list[tuple[int, str]]
) -> None:
    """With the same records, shown as unverified only where no way offers a proof."""
    accounts = _refused(pds, refusals, *(f"sync.{method}" for method in methods.split()))
    report = crawled(pds, store, "relay")
    assert (report.problems, report.error) == ((), None)
    assert names(store) == sorted("abc" * len(accounts))
    assert {record.verified for record in store.records()} == {methods != WAYS[-1]}


@pytest.mark.parametrize("refusals", [REFUSALS, UNKNOWN], ids=["passing", "unknown"])
@pytest.mark.parametrize("method", ["sync.getLatestCommit", "repo.describeRepo", "sync.getRepoStatus"])
@pytest.mark.parametrize("kind", ["pds", "relay"])
def test_what_is_asked_before_reading_may_be_refused(
    pds: SmallPds, store: Store, kind: str, method: str, refusals: list[tuple[int, str]]
) -> None:
    """The account is read all the same, and what it writes later is found."""
    accounts = _refused(pds, refusals, method)
    for _ in range(2):
        crawled(pds, store, kind)
        assert names(store) == sorted("abc" * len(accounts))
    for account in accounts:
        account.write({**account.names, "3kaaaaaaaaac2": "d"}, REVS[5])
    crawled(pds, store, kind)
    assert names(store) == sorted("abcd" * len(accounts))
    assert {record.verified for record in store.records()} == {True}
