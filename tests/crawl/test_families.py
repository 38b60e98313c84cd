"""The whole way on each real server: publish, crawl, verify, load, follow, change, withdraw, close the account."""

from __future__ import annotations

import hashlib
import threading
import time
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import numpy as np
import pytest

from catalog.atproto import repo as wire
from catalog.atproto.identity import Resolver
from catalog.atproto.session import Session
from catalog.config import CatalogSettings, NetworkSettings, Source
from catalog.crawl import crawl, follow
from catalog.crawl import streams as following
from catalog.datasets.dataset import Dataset
from catalog.errors import NetworkError, RequestFailed, UnverifiedWarning
from catalog.manifest import load
from catalog.network.http import Client
from catalog.publish import apply_plan, make_plan, publish
from catalog.publish.checks import State
from catalog.publish.delete import make_withdrawal
from catalog.publish.verify import Verifier, record_uri
from catalog.publish.verify_shards import Choice
from catalog.records import COLLECTIONS, DATASET, LABEL, SCHEMA
from catalog.samples.packable import class_from
from catalog.samples.write_shards import write_shards
from catalog.schema import Field, SampleType, Scalar
from catalog.store import Store
from catalog.syntax import AtUri, Did
from tests.conftest import ArrobaNetwork

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from catalog import PackableSample
    from catalog.atproto.datamodel import Json
    from tests.conftest import Account, HttpsServer, Network

pytestmark = pytest.mark.publishing

MANIFEST = """\
schemas:
  - {{name: Tide, version: 1.0.0, description: Water level., license: MIT, fields: {{level: float, station: str}}}}
datasets:
  - name: tides
    schema: Tide@1.0.0
    version: 1.0.0
    description: {description}
    license: MIT
    samples: 3
    shards: [{{url: "{base}tides-000000.tar", sha256: "{digest}", bytes: {size}}}]
"""
TIME = "2026-01-02T03:04:05.000Z"
SECONDS = 60.0


@contextmanager
def _session(account: Account) -> Iterator[Session]:
    settings = NetworkSettings.from_environment()
    with Client(settings) as client:
        yield Session.login(client, Resolver(client, settings), account.did, account.password)


def _settings(*sources: tuple[str, str]) -> CatalogSettings:
    named = tuple(Source(kind=kind, value=value) for kind, value in sources)
    return CatalogSettings(store=Path("nowhere"), sources=named, network=NetworkSettings.from_environment())


def _names(store: Store, did: str) -> list[str]:
    return sorted(str(r.value["name"]) for r in store.records() if r.did == did and isinstance(r.value, dict))


def _label(did: str, name: str) -> dict[str, Json]:
    return {"$type": LABEL, "name": name, "datasetUri": f"at://{did}/{DATASET}/3kaaaaaaaaaa2", "createdAt": TIME}


def _close(family: Network, account: Account) -> None:
    """Deactivate an account as its server does it."""
    if isinstance(family, ArrobaNetwork):
        family.deactivate(account)
    else:
        family.post("com.atproto.server.deactivateAccount", {}, account)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store.sqlite") as opened:
        yield opened


@pytest.fixture
def base(tmp_path: Path, https_server: Callable[[Path], HttpsServer], monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a folder with ``tides-000000.tar``, which has three samples."""
    fields = (Field(name="level", type=Scalar(kind="float")), Field(name="station", type=Scalar(kind="str")))
    tide: Callable[..., PackableSample] = class_from(SampleType(name="Tide", version="1.0.0", fields=fields))
    (tmp_path / "data").mkdir()
    samples = [tide(level=number / 2, station=f"s{number}") for number in range(3)]
    write_shards(samples, tmp_path / "data" / "tides-%06d.tar")
    server = https_server(tmp_path / "data")
    monkeypatch.setenv("SSL_CERT_FILE", str(server.authority))
    return f"{server.url}/"


def _manifest(tmp_path: Path, base: str, description: str) -> Path:
    raw = (tmp_path / "data" / "tides-000000.tar").read_bytes()
    path = tmp_path / "tides.yaml"
    digest = hashlib.sha256(raw).hexdigest()
    text = MANIFEST.format(base=base, description=description, digest=digest, size=len(raw))
    path.write_text(text, encoding="utf-8")
    return path


def test_published_crawled_verified_loaded_changed_withdrawn_closed(
    family: Network, store: Store, tmp_path: Path, base: str
) -> None:
    """One account from its first record to its end; each step is seen by the next crawl of its PDS and of it alone."""
    account, bystander = family.account("tides"), family.account("bystander")
    family.put_record(bystander, LABEL, "one", _label(bystander.did, "bystander"))
    with _session(account) as session:
        report = publish(load([_manifest(tmp_path, base, "Three samples.")]), session)
    assert [AtUri(uri).collection for uri in report.created] == [SCHEMA, DATASET, LABEL]
    rev = family.latest_rev(account.did)
    with _session(account) as session:
        again = publish(load([_manifest(tmp_path, base, "Three samples.")]), session)
    assert (again.created, again.updated, again.deleted) == ((), (), ())
    assert family.latest_rev(account.did) == rev, "the same manifest writes nothing"

    for source in (("pds", family.pds_url), ("repo", account.did)):
        crawled = crawl(_settings(source), store)
        assert not crawled.failed, crawled.lines()
        assert _names(store, account.did) == ["Tide", "tides", "tides"]
    crawl(_settings(("pds", family.pds_url)), store)
    assert _names(store, bystander.did) == ["bystander"]
    assert {record.verified for record in store.records()} == {True}

    dataset = next(AtUri(uri) for uri in report.created if AtUri(uri).collection == DATASET)
    settings = NetworkSettings.from_environment()
    with Client(settings) as client:
        for uri in report.created:
            checks = list(Verifier(client=client, settings=settings, choice=Choice()).verify(record_uri(uri)))
            assert not [check for check in checks if check.state is State.FAILED], checks
            assert len(checks) > 3
    samples = list(Dataset.from_atproto(dataset, settings=settings).ordered())
    assert [sample.station for sample in samples] == ["s0", "s1", "s2"]
    assert np.isclose(sum(sample.level for sample in samples), 1.5)

    with _session(account) as session:
        changed = publish(load([_manifest(tmp_path, base, "Changed.")]), session)
    assert changed.updated == (str(dataset),)
    crawl(_settings(("pds", family.pds_url)), store)
    assert [version.value["description"] for version in store.history(dataset) if isinstance(version.value, dict)] == [
        "Changed.", "Three samples.",
    ]  # fmt: skip

    with _session(account) as session:
        withdrawal = make_withdrawal([dataset], session, with_references=True)
        apply_plan(withdrawal.plan, session)
    assert not crawl(_settings(("pds", family.pds_url)), store).failed
    assert _names(store, account.did) == ["Tide"]

    _close(family, account)
    crawl(_settings(("pds", family.pds_url)), store)
    assert _names(store, account.did) == []
    assert _names(store, bystander.did) == ["bystander"]


def test_a_closed_account_is_hidden_by_its_own_server_s_word(family: Network, store: Store) -> None:
    """The account itself is the source, whatever name its server has for the refusal."""
    account = family.account("closing")
    family.put_record(account, LABEL, "one", _label(account.did, "one"))
    settings = _settings(("repo", account.did))
    crawl(settings, store)
    assert _names(store, account.did) == ["one"]
    _close(family, account)
    crawl(settings, store)
    assert _names(store, account.did) == []


def test_a_plan_against_an_older_state_is_refused(family: Network, tmp_path: Path, base: str) -> None:
    """Also by a server without ``swapCommit``: what was written between plan and publish is not overwritten."""
    account = family.account("raced")
    with _session(account) as session:
        publish(load([_manifest(tmp_path, base, "First.")]), session)
        plan = make_plan(load([_manifest(tmp_path, base, "Second.")]), session, set_name="default")
        (change,) = [change for change in plan.changes if change.uri.collection == DATASET]
        rkey = str(change.uri.rkey)
        value = {**family.get_record(account.did, DATASET, rkey)["value"], "description": "Somebody else's."}
        family.put_record(account, DATASET, rkey, value)
        with pytest.raises(Exception, match=r"changed|tides") as caught:
            apply_plan(plan, session)
        assert type(caught.value).__module__ == "catalog.errors"
    assert family.get_record(account.did, DATASET, rkey)["value"]["description"] == "Somebody else's."


def test_a_record_that_is_not_there_is_told_so(family: Network) -> None:
    """An error of ours that names the record, whether the server answers 400 or a proof of its absence."""
    account = family.account("absent")
    family.put_record(account, LABEL, "one", _label(account.did, "one"))
    settings = NetworkSettings.from_environment()
    with Client(settings) as client:
        verifier = Verifier(client=client, settings=settings, choice=Choice())
        checks = list(verifier.verify(record_uri(f"at://{account.did}/{LABEL}/two")))
        assert any(check.state is State.FAILED for check in checks)
        with pytest.raises(RequestFailed) as caught:
            wire.latest_commit(client, family.pds_url, Did("did:plc:" + "a" * 24))
        assert wire.is_gone(caught.value)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UnverifiedWarning)  # there is nothing that could be proven or not
        with pytest.raises(NetworkError):
            Dataset.from_atproto(f"at://{account.did}/{DATASET}/3kaaaaaaaaaa2", settings=settings)


def test_more_records_than_a_page_and_a_batch(family: Network, store: Store) -> None:
    """Pages that overlap by a record, and last pages that are full, are read once and whole."""
    account = family.account("prolific")
    for start in range(0, 120, 60):
        writes = [
            {
                "$type": "com.atproto.repo.applyWrites#create", "collection": LABEL, "rkey": f"r{number:03}",
                "value": _label(account.did, f"n{number:03}"),
            }
            for number in range(start, start + 60)
        ]  # fmt: skip
        family.post("com.atproto.repo.applyWrites", {"repo": account.did, "writes": writes}, account)
    report = crawl(_settings(("repo", account.did)), store).sources[0]
    assert (report.new, report.refused, report.error) == (120, (), None)
    assert {record.verified for record in store.records()} == {True}
    settings = NetworkSettings.from_environment()
    with Client(settings) as client:
        listed = [
            str(one.uri)
            for collection in COLLECTIONS
            for one in wire.list_records(client, family.pds_url, Did(account.did), collection)
        ]
    assert sorted(set(listed)) == sorted(str(record.uri) for record in store.records())


def test_the_next_commit_has_a_later_rev_and_is_read_alone(family: Network, store: Store) -> None:
    """Also where revs begin in 1970: what changed is read, and an older rev isn't taken for a newer one."""
    account = family.account("revs")
    family.put_record(account, LABEL, "one", _label(account.did, "one"))
    settings = _settings(("repo", account.did))
    crawl(settings, store)
    repo = store.repo(account.did)
    assert repo is not None
    assert repo.rev == family.latest_rev(account.did)
    family.put_record(account, LABEL, "two", _label(account.did, "two"))
    family.delete_record(account, LABEL, "one")
    later = crawl(settings, store).sources[0]
    assert (later.new, later.removed, later.error) == (1, 1, None)
    repo = store.repo(account.did)
    assert repo is not None
    assert repo.rev == family.latest_rev(account.did)


def test_followed(family: Network, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its stream: new, changed, deleted, closed. arroba offers no stream here: its accounts are polled."""
    monkeypatch.setattr(following, "IDLE_SECONDS", 0.7)
    monkeypatch.setattr(following, "_STORE_SECONDS", 0.1)
    account = family.account("followed")
    family.put_record(account, LABEL, "one", _label(account.did, "one"))
    streams = not isinstance(family, ArrobaNetwork)
    source = ("firehose", family.pds_url.replace("http", "ws", 1)) if streams else ("pds", family.pds_url)
    stop = threading.Event()
    lines: list[str] = []
    thread = threading.Thread(
        target=lambda: follow(_settings(source), store, stop=stop, every=0.2, progress=lines.append)
    )
    thread.start()
    try:
        _until(lambda: _names(store, account.did) == ["one"], lines)
        family.put_record(account, LABEL, "two", _label(account.did, "two"))
        _until(lambda: _names(store, account.did) == ["one", "two"], lines)
        family.put_record(account, LABEL, "one", _label(account.did, "uno"))
        family.delete_record(account, LABEL, "two")
        _until(lambda: _names(store, account.did) == ["uno"], lines)
        assert {record.verified for record in store.records() if record.did == account.did} == {True}
        _close(family, account)
        _until(lambda: _names(store, account.did) == [], lines)
    finally:
        stop.set()
        thread.join(SECONDS)
    assert not thread.is_alive()


def _until(holds: Callable[[], bool], lines: list[str]) -> None:
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline, lines
        time.sleep(0.02)


def test_the_servers_are_the_ones_meant(family: Network, request: pytest.FixtureRequest) -> None:
    """The newest PDS tells its limit for blobs, the pinned one doesn't, and arroba has no blobs."""
    described = httpx.get(f"{family.pds_url}/xrpc/com.atproto.server.describeServer", timeout=60).json()
    assert ("blobUploadLimit" in described) == ("newest" in request.node.name)
    assert isinstance(family, ArrobaNetwork) == ("arroba" in request.node.name)
