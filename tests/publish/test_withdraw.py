"""``catalog withdraw``: the named records are deleted in one commit, nothing else, and never by mistake."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from catalog.atproto.identity import Resolver
from catalog.atproto.session import Session
from catalog.config import NetworkSettings, load_settings
from catalog.crawl import crawl
from catalog.errors import PublishError
from catalog.manifest import load
from catalog.network.http import Client
from catalog.publish import Repository, apply_plan, make_plan
from catalog.publish.delete import Withdrawal, make_withdrawal, others_in
from catalog.records import COLLECTIONS, DATASET, LABEL, LENS, SCHEMA, VERIFICATION
from catalog.store import Store
from catalog.syntax import AtUri
from tests import forked
from tests.fakes import answer, fake_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from http.server import BaseHTTPRequestHandler
    from pathlib import Path

    from tests.conftest import Account, Network
    from tests.fakes import Asked

pytestmark = pytest.mark.publishing

MANIFEST = """\
schemas:
  - {name: Point, version: 1.0.0, fields: {x: float}}
  - {name: Flat, version: 1.0.0, fields: {x: float}}
datasets:
  - {name: points, schema: Point@1.0.0, version: 1.0.0, shards: [{url: "https://data.example/points.tar"}]}
  - {name: others, schema: Flat@1.0.0, version: 1.0.0, shards: [{url: "https://data.example/others.tar"}]}
lenses:
  - name: flatten
    source: Point@1.0.0
    target: Flat@1.0.0
    getter: &code {repository: "https://git.example", commit: cccccccccccccccccccccccccccccccccccccccc, path: "a.py:f"}
    putter: *code
verifications:
  - {lens: flatten, method: codeReview}
"""
TIME = "2026-01-02T03:04:05.000Z"


@dataclass(slots=True, kw_only=True)
class Repo:
    """An account with what the manifest declares; record by ``kind name``."""

    network: Network
    account: Account
    client: Client
    names: dict[str, AtUri]

    def of(self, *names: str) -> list[AtUri]:
        return [self.names[name] for name in names]

    def there(self) -> set[str]:
        """The records that the PDS lists, by their earlier names."""
        uris = {uri: name for name, uri in self.names.items()}
        found = set()
        for collection in COLLECTIONS:
            asked = {"repo": self.account.did, "collection": collection, "limit": "100"}
            found |= {
                uris.get(record["uri"], record["uri"])
                for record in self.network.get("com.atproto.repo.listRecords", asked)["records"]
            }
        return found

    @property
    def repository(self) -> Repository:
        settings = NetworkSettings.from_environment()
        who = Resolver(self.client, settings).resolve(self.account.did)
        return Repository(client=self.client, did=who.did, handle=str(who.handle), pds=who.pds)

    def withdraw(self, *names: str, with_references: bool = False) -> Withdrawal:
        found = make_withdrawal(self.of(*names), self.repository, with_references=with_references)
        settings = NetworkSettings.from_environment()
        session = Session.login(
            self.client, Resolver(self.client, settings), self.account.handle, self.account.password
        )
        apply_plan(found.plan, session)
        return found


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "manifests" / "points.yaml"
    path.parent.mkdir()
    path.write_text(MANIFEST, encoding="utf-8")
    return path


@pytest.fixture
def repo(network: Network, manifest: Path) -> Iterator[Repo]:
    account = network.account("withdrawing")
    settings = NetworkSettings.from_environment()
    with Client(settings) as client:
        session = Session.login(client, Resolver(client, settings), account.handle, account.password)
        plan = make_plan(load([manifest]), session)
        apply_plan(plan, session)
        names = {_short(change.name): change.uri for change in plan.changes}
        yield Repo(network=network, account=account, client=client, names=names)


def _short(name: str) -> str:
    return name.replace("'", "").partition(" by ")[0]


def test_a_dataset_goes_and_its_label_stays_unless_asked_for(repo: Repo) -> None:
    """Broken references are reported; nothing else of the account changes."""
    before = repo.there()
    found = repo.withdraw("dataset points")
    assert [one.name for one in found.own] == ["label points@1.0.0"]
    assert any("stay with a broken reference (--with-references deletes" in line for line in found.lines())
    assert repo.there() == before - {"dataset points"}


def test_labels_and_verifications_go_along_when_asked_for(repo: Repo) -> None:
    """In one commit; datasets and lenses never do, they are more than a word about something."""
    before, rev = repo.there(), repo.network.latest_rev(repo.account.did)
    found = repo.withdraw("dataset points", "lens flatten", with_references=True)
    order = [change.key[0] for change in found.plan.changes]
    assert order == [LABEL, VERIFICATION, LENS, DATASET]
    assert repo.there() == {name for name in before if "others" in name or name.startswith("schema")}
    assert found.own == ()
    assert repo.network.latest_rev(repo.account.did) > rev
    found = repo.withdraw("schema Flat@1.0.0", with_references=True)
    assert [one.name for one in found.own] == ["dataset 'others'"]
    assert "These records of yours stay with a broken reference:" in found.lines(), "datasets never go along"
    assert "dataset others" in repo.there()


def test_a_second_run_finds_everything_gone(repo: Repo) -> None:
    """And writes nothing."""
    repo.withdraw("dataset points", with_references=True)
    rev = repo.network.latest_rev(repo.account.did)
    again = repo.withdraw("dataset points", with_references=True)
    assert again.plan.writes == ()
    assert list(again.lines()) == [f"{repo.names['dataset points']} does not exist (any more)"]
    assert repo.network.latest_rev(repo.account.did) == rev


def test_when_only_some_are_there_nothing_is_deleted(repo: Repo) -> None:
    """An address is likely wrong."""
    repo.names["dataset typo"] = AtUri.of(repo.account.did, DATASET, "3kaaaaaaaaaaa")
    before = repo.there()
    with pytest.raises(PublishError, match="3kaaaaaaaaaaa does not exist\nnothing was deleted"):
        repo.withdraw("dataset points", "dataset typo")
    assert repo.there() == before


def test_records_of_others_are_refused(repo: Repo) -> None:
    """All of them told at once, before anything is asked of the network."""
    repo.names["theirs"] = AtUri.parse(f"at://someone.example.org/{DATASET}/a")
    repo.names["also"] = AtUri.parse(f"at://did:web:example.org/{DATASET}/a")
    with pytest.raises(PublishError) as caught:
        repo.withdraw("dataset points", "theirs", "also")
    assert str(caught.value).count(f"is not of {repo.account.handle}") == 2


def test_a_handle_is_the_account_as_well(repo: Repo) -> None:
    """An address by handle and one by DID are the same record."""
    uri = repo.names["dataset points"]
    repo.names["again"] = AtUri.parse(str(uri).replace(repo.account.did, repo.account.handle))
    found = repo.withdraw("dataset points", "again")
    assert [change.uri for change in found.plan.changes] == [uri]


def test_what_was_written_meanwhile_stops_it(repo: Repo) -> None:
    """A label that somebody wrote since may be a reason to think again; a post isn't."""
    found = make_withdrawal(repo.of("dataset points"), repo.repository)
    settings = NetworkSettings.from_environment()
    session = Session.login(repo.client, Resolver(repo.client, settings), repo.account.handle, repo.account.password)
    label = {"$type": LABEL, "name": "new", "datasetUri": repo.names["dataset points"], "createdAt": TIME}
    repo.network.create_record(repo.account, LABEL, label)
    with pytest.raises(PublishError, match="meanwhile"):
        apply_plan(found.plan, session)
    assert "dataset points" in repo.there()
    found = make_withdrawal(repo.of("dataset points"), repo.repository)
    post = {"$type": "app.bsky.feed.post", "text": "hello", "createdAt": TIME}
    repo.network.create_record(repo.account, "app.bsky.feed.post", post)
    apply_plan(found.plan, session)
    assert "dataset points" not in repo.there()


def test_more_than_one_commit_holds_is_refused(repo: Repo) -> None:
    """One commit is what makes it all or nothing."""
    label = {"$type": LABEL, "name": "many", "datasetUri": repo.names["dataset points"], "createdAt": TIME}
    writes = [{"$type": "com.atproto.repo.applyWrites#create", "collection": LABEL, "value": label}] * 200
    repo.network.post("com.atproto.repo.applyWrites", {"repo": repo.account.did, "writes": writes}, repo.account)
    with pytest.raises(PublishError, match="202 records; one commit deletes at most 200"):
        repo.withdraw("dataset points", with_references=True)
    assert len(repo.withdraw("dataset points").own) == 201


def test_what_others_have_in_a_store_is_listed_by_account(repo: Repo, network: Network, tmp_path: Path) -> None:
    """Their datasets, lenses, labels and words, as far as a crawl has seen them; drafts are nobody's."""
    other, third = network.account("bob"), network.account("carol")
    schema, lens = repo.names["schema Point@1.0.0"], repo.names["lens flatten"]
    storage = {"$type": "science.alt.dataset.storageHttp", "shards": [{"url": "https://data.example/a.tar"}]}
    network.create_record(
        other, DATASET, {"$type": DATASET, "name": "bobs", "schemaRef": schema, "storage": storage, "createdAt": TIME}
    )
    words = {"lens": lens, "lensCommit": "bafyreib", "verificationMethod": "codeReview", "createdAt": TIME}
    network.create_record(third, VERIFICATION, {"$type": VERIFICATION, **words})
    network.create_record(
        third, LABEL, {"$type": LABEL, "name": "x", "datasetUri": repo.names["dataset points"], "createdAt": TIME}
    )
    config = tmp_path / "mkdocs.yml"
    sources = [repo.account.did, other.did, third.did]
    config.write_text(
        "site_name: x\nplugins:\n  - catalog:\n      store: s.sqlite\n      sources:\n"
        + "".join(f"        - repo: {did}\n" for did in sources)
        + "        - manifests: manifests\n",
        encoding="utf-8",
    )
    settings = load_settings(config)
    with Store.open(settings.store) as store:
        crawl(settings, store)
        found = others_in(store, repo.of("schema Point@1.0.0", "lens flatten", "dataset points"), repo.repository)
    assert {account: sorted(one.name for one in ones) for account, ones in found.items()} == {
        other.handle: ["dataset 'bobs'"],
        third.handle: ["label 'x'", f"verification {str(lens)!r} by codeReview"],
    }


def test_a_manifest_that_still_declares_it_is_told(repo: Repo, manifest: Path) -> None:
    """With file and line; manifests that can't be read are told as well."""
    uris = repo.of("dataset points", "label points@1.0.0")
    found = make_withdrawal(uris, repo.repository, manifests=manifest.parent)
    assert sorted(found.declared) == [
        f"{manifest}:5 declares dataset 'points'",
        f"{manifest}:5 declares label points@1.0.0",
    ]
    manifest.write_text("schemas: 5\n", encoding="utf-8")
    (told,) = make_withdrawal(uris, repo.repository, manifests=manifest.parent).declared
    assert "can't be read" in told


# --- the command ---------------------------------------------------------------------------------------------


def _run(*arguments: str, cwd: Path, **extra: str) -> subprocess.CompletedProcess[str]:
    hidden = ("CATALOG_HANDLE", "CATALOG_APP_PASSWORD", "CATALOG_SESSION")
    return forked.run(
        [sys.executable, "-m", "catalog", "withdraw", *arguments],
        cwd=cwd,
        env={**{key: value for key, value in os.environ.items() if key not in hidden}, **extra},
        stdin=subprocess.DEVNULL,
        timeout=120,
    )


def test_the_command_asks_before_it_deletes(repo: Repo, tmp_path: Path) -> None:
    """Without anybody to ask it needs --yes; what it would do is shown all the same, without a password."""
    uri = str(repo.names["dataset points"])
    ran = _run(uri, cwd=tmp_path)
    assert (ran.returncode, "--yes" in ran.stderr) == (2, True)
    assert f"delete dataset 'points'  {uri}" in ran.stdout
    assert "declares dataset 'points': publishing brings it back" in ran.stdout
    assert "no crawled store" in ran.stderr
    ran = _run(uri, "--yes", cwd=tmp_path)
    assert (ran.returncode, "CATALOG_APP_PASSWORD" in ran.stderr) == (2, True)
    assert "dataset points" in repo.there()
    secret = {"CATALOG_APP_PASSWORD": repo.account.password}
    ran = _run(uri, "--yes", "--json", cwd=tmp_path, **secret)
    assert (ran.returncode, json.loads(ran.stdout)["deleted"]) == (0, 1), ran.stderr
    assert "dataset points" not in repo.there()
    ran = _run(uri, "--yes", cwd=tmp_path, **secret)
    assert (ran.returncode, "0 deleted" in ran.stdout) == (0, True)


def test_the_command_refuses_before_it_logs_in(repo: Repo, tmp_path: Path, network: Network) -> None:
    """Somebody else's records by the account that is set, and what is no record at all."""
    other = network.account("other")
    ran = _run(str(repo.names["schema Point@1.0.0"]), "--yes", cwd=tmp_path, CATALOG_HANDLE=other.handle)
    assert ran.returncode == 1
    assert f"is not of {other.handle}\nnothing was deleted" in ran.stderr
    ran = _run(f"at://{repo.account.did}/app.bsky.actor.profile/self", "--yes", cwd=tmp_path)
    assert (ran.returncode, "not one of the dataset collections" in ran.stderr) == (2, True)
    assert "Traceback" not in ran.stderr


def test_an_answer_that_is_lost_is_no_failure(repo: Repo) -> None:
    """The commit was made, its answer never came: the repository is asked, and says so."""
    found = make_withdrawal(repo.of("schema Flat@1.0.0"), repo.repository)
    settings = NetworkSettings.from_environment()
    session = Session.login(repo.client, Resolver(repo.client, settings), repo.account.handle, repo.account.password)

    def swallow(handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        repo.network.post("com.atproto.repo.applyWrites", json.loads(asked.body), repo.account)
        answer(handler, {"error": "InternalServerError"}, 500)

    with fake_server({"/xrpc/com.atproto.repo.applyWrites": swallow}, upstream=repo.network.pds_url) as fake:
        session.pds = fake.url
        assert apply_plan(found.plan, session).commits == 1
    assert SCHEMA not in {AtUri(uri).collection for uri in repo.there() if uri.startswith("at:")}
    assert "schema Flat@1.0.0" not in repo.there()
