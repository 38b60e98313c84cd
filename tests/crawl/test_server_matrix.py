"""Each family of servers × crawl, follow, verify, publish: what is honest is complete, what is gone is hidden."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from catalog.atproto.identity import Resolver
from catalog.atproto.session import Session
from catalog.config import CatalogSettings, Source
from catalog.crawl import accounts as repositories
from catalog.crawl import crawl, follow
from catalog.errors import CatalogError
from catalog.manifest import load
from catalog.network import http
from catalog.network.http import Client
from catalog.publish import apply_plan, make_plan
from catalog.publish.checks import State
from catalog.publish.delete import make_withdrawal
from catalog.publish.verify import Verifier, record_uri
from catalog.publish.verify_shards import Choice
from catalog.records import DATASET, LABEL, SCHEMA
from catalog.store import Store
from tests.secrecy import PASSWORDS
from tests.world import FAMILIES, PASSWORD, Family, names_of, renamed, world

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from catalog.crawl import CrawlReport
    from tests.fakes import Asked
    from tests.world import Account, Reply, World

pytestmark = pytest.mark.publishing

SECONDS = 60.0
SOURCES = ("pds", "repo")


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("catalog.publish.apply.time.sleep", lambda _: None)
    monkeypatch.setattr(http, "MAX_WAIT", 0.01)
    monkeypatch.setattr(repositories, "_RETRY_SECONDS", 0.0)
    PASSWORDS.add(PASSWORD)
    yield
    PASSWORDS.discard(PASSWORD)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store.sqlite") as opened:
        yield opened


@pytest.fixture(params=FAMILIES, ids=lambda family: family.name.replace(" ", "-"))
def family(request: pytest.FixtureRequest) -> Family:
    found: Family = request.param
    return found


def _settings(running: World, kind: str) -> CatalogSettings:
    values = [running.fake.url] if kind == "pds" else [account.did for account in running.accounts.values()]
    sources = tuple(Source(kind=kind, value=value) for value in values)
    return CatalogSettings(store=Path("nowhere"), sources=sources, network=running.settings)


def _names(store: Store, account: Account) -> list[str]:
    return sorted(str(r.value["name"]) for r in store.records() if r.did == account.did and isinstance(r.value, dict))


def _provable(family: Family) -> bool:
    """Return whether the server offers any proof."""
    return "sync.getRepo" not in family.missing


def _require_honest(store: Store, *accounts: Account, family: Family) -> None:
    for account in accounts:
        assert _names(store, account) == names_of(account)
    shown = {record.verified for record in store.records() if record.did in {account.did for account in accounts}}
    assert shown == {_provable(family)}


def _said(report: CrawlReport) -> str:
    return "\n".join(report.lines()) + "\n".join(problem for source in report.sources for problem in source.problems)


@pytest.mark.parametrize("kind", SOURCES)
def test_crawled(family: Family, kind: str, store: Store) -> None:
    """Honest accounts are whole after each of four crawls, while others are closed and one of them changes."""
    with world(family) as running:
        honest = [running.add(name) for name in ("alice", "bob", "carol")]
        running.add("bystander", {"app.bsky.feed.post/3kaaaaaaaaaa2": {"$type": "app.bsky.feed.post", "text": "x"}})
        one_record = running.add("dave", {f"{LABEL}/x": honest[0].records[f"{LABEL}/3kaaaaaaaaaa2"]})
        gone = {status: running.add(status) for status in ("deactivated", "takendown", "deleted")}
        settings = _settings(running, kind)
        report = crawl(settings, store)
        assert not report.failed, _said(report)
        _require_honest(store, *honest, one_record, *gone.values(), family=family)

        for status, account in gone.items():
            account.status = status
        dataset = next(path for path in honest[0].records if path.startswith(DATASET))
        honest[0].write(renamed(honest[0], dataset, "renamed"))
        honest[1].write({dataset: None})
        report = crawl(settings, store)
        _require_honest(store, *honest, one_record, family=family)
        _require_hidden(store, gone, family, kind, report)

        assert crawl(settings, store) is not None
        _require_honest(store, *honest, one_record, family=family)

        gone["deactivated"].status = None
        honest[0].write({f"{LABEL}/3kaaaaaaaaaa2": None})
        crawl(settings, store)
        _require_honest(store, *honest, one_record, gone["deactivated"], family=family)


def _require_hidden(store: Store, gone: dict[str, Account], family: Family, kind: str, report: CrawlReport) -> None:
    """An account that its server reports as gone, in any form, is hidden; no answer is reported."""
    for status, account in gone.items():
        silent = status == "deleted" and family.unknown_status[0] == 500
        if silent and _names(store, account):
            assert account.did in _said(report), "neither hidden nor reported"
        elif not silent:
            assert _names(store, account) == [], (status, kind, _said(report))


def test_an_account_out_of_a_short_listing_is_not_lost(family: Family, store: Store) -> None:
    """A page that is empty, shortened, refused or turned round hides nobody whose server still has them."""
    with world(family) as running:
        accounts = [running.add(f"account{number}") for number in range(5)]
        settings = _settings(running, "pds")
        crawl(settings, store)
        _require_honest(store, *accounts, family=family)
        for kept in (0, 2):

            def shortened(_: Asked, method: str, reply: Reply, kept: int = kept) -> Reply:
                if method != "sync.listRepos":
                    return reply
                rows = json.loads(reply.body)["repos"]
                return replace(reply, body=json.dumps({"repos": rows[:kept]}).encode())

            running.change = shortened
            crawl(settings, store)
            _require_honest(store, *accounts, family=family)
        running.change = None
        crawl(settings, store)
        _require_honest(store, *accounts, family=family)


def test_verified(family: Family) -> None:
    """A record is proven where a proof can be had, and one that isn't there fails; no other error gets out."""
    with world(family) as running, Client(running.settings) as client:
        account = running.add("alice")
        verifier = Verifier(client=client, settings=running.settings, choice=Choice(most=0))
        for path in account.records:
            checks = list(verifier.verify(record_uri(f"at://{account.did}/{path}")))
            wrong = [check for check in checks if check.state is State.FAILED]
            assert not _provable(family) or not wrong, wrong
        absent = list(verifier.verify(record_uri(f"at://{account.did}/{LABEL}/absent")))
        assert any(check.state is State.FAILED for check in absent)


@contextmanager
def _session(running: World, account: Account) -> Iterator[Session]:
    with Client(running.settings, sleep=lambda _: None) as client:
        yield Session.login(client, Resolver(client, running.settings), account.did, PASSWORD)


def _manifest(tmp_path: Path, description: str) -> Path:
    path = tmp_path / "m.yaml"
    path.write_text(
        "schemas:\n  - {name: S, version: 1.0.0, fields: {a: int}}\n"
        f"datasets:\n  - {{name: d, schema: S@1.0.0, description: {description}, version: 1.0.0,\n"
        "     shards: [{url: 'https://data.example/a.tar'}]}\n",
        encoding="utf-8",
    )
    return path


def test_published(family: Family, tmp_path: Path) -> None:
    """Written, written again without a write, changed, withdrawn; foreign records stay as they are."""
    with world(family) as running:
        account = running.add("publisher", {"app.bsky.feed.post/x": {"$type": "app.bsky.feed.post", "text": "x"}})
        try:
            with _session(running, account) as session:
                apply_plan(make_plan(load([_manifest(tmp_path, "First.")]), session, set_name="default"), session)
                assert make_plan(load([_manifest(tmp_path, "First.")]), session, set_name="default").writes == ()
                assert len(account.records) == 4
                commits = account.commits
                apply_plan(make_plan(load([_manifest(tmp_path, "Second.")]), session, set_name="default"), session)
                assert account.commits > commits
                uris = [
                    record_uri(f"at://{account.did}/{path}") for path in account.records if path.startswith(DATASET)
                ]
                withdrawal = make_withdrawal(uris, session, with_references=True)
                apply_plan(withdrawal.plan, session)
        except CatalogError:
            assert "repo.listRecords" in family.missing, "only a server that can't be read is an error"
            assert set(account.records) == {"app.bsky.feed.post/x"}
            return
        assert sorted(path.split("/")[0] for path in account.records) == ["app.bsky.feed.post", SCHEMA]


def test_a_foreign_write_between_plan_and_publish_is_kept(family: Family, tmp_path: Path) -> None:
    """Whatever the server makes of ``swapCommit``: the error names what changed, and nothing is overwritten."""
    if "repo.listRecords" in family.missing:
        return  # it can't be planned against: test_published
    with world(family) as running:
        account = running.add("publisher", {})
        with _session(running, account) as session:
            apply_plan(make_plan(load([_manifest(tmp_path, "First.")]), session, set_name="default"), session)
            plan = make_plan(load([_manifest(tmp_path, "Second.")]), session, set_name="default")
            dataset = next(path for path in account.records if path.startswith(DATASET))
            account.write(renamed(account, dataset, "theirs"))
            with pytest.raises(CatalogError):
                apply_plan(plan, session)
        value = account.records[dataset]
        assert isinstance(value, dict)
        assert value["name"] == "theirs"


def test_followed(family: Family, store: Store) -> None:
    """A server that is looked at again and again: what changes is shown, what is closed is hidden."""
    with world(family) as running:
        honest, closed = running.add("alice"), running.add("closed")
        stop = threading.Event()
        lines: list[str] = []
        settings = _settings(running, "pds")
        thread = threading.Thread(target=lambda: follow(settings, store, stop=stop, every=0.1, progress=lines.append))
        thread.start()
        try:
            _until(
                lambda: _names(store, closed) == names_of(closed) and _names(store, honest) == names_of(honest), lines
            )
            label = f"{LABEL}/3kaaaaaaaaaa2"
            honest.write(renamed(honest, label, "renamed"))
            closed.status = "deactivated"
            _until(lambda: _names(store, honest) == names_of(honest), lines)
            _until(lambda: _names(store, closed) == [], lines)
            honest.write({label: None})
            _until(lambda: _names(store, honest) == names_of(honest), lines)
        finally:
            stop.set()
            thread.join(SECONDS)
        assert not thread.is_alive()
        assert {record.verified for record in store.records()} == {_provable(family)}


def _until(holds: Callable[[], bool], lines: list[str]) -> None:
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline, lines
        time.sleep(0.02)
