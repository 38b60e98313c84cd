"""Exports, relays, and several sources in one catalog: the same record from two of them is one record."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from catalog.atproto.datamodel import record_cid
from catalog.config import CatalogSettings, NetworkSettings, Source
from catalog.crawl import SourceReport, crawl
from catalog.records import DATASET, LABEL
from catalog.store import Store
from catalog.syntax import AtUri, Did
from tests.fakes import Asked, Fake, answer, fake_server
from tests.repos import REV, SigningKey, build_repo

if TYPE_CHECKING:
    from collections.abc import Iterator
    from http.server import BaseHTTPRequestHandler

    from catalog.atproto.datamodel import Json
    from tests.conftest import Account, Network

DID = Did.parse("did:plc:" + "e" * 24)
TIME = "2026-01-02T03:04:05.000Z"
LATER = "3mzzzzzzzzz2z"


def _label(did: str, name: str) -> dict[str, Json]:
    uri = f"at://{did}/{DATASET}/3kaaaaaaaaaa2"
    return {"$type": LABEL, "name": name, "datasetUri": uri, "createdAt": TIME}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store.sqlite") as opened:
        yield opened


def _crawl(store: Store, base: Path, *sources: tuple[str, str], deny: tuple[Did, ...] = ()) -> list[SourceReport]:
    named = tuple(Source(kind=kind, value=value) for kind, value in sources)
    network = NetworkSettings.from_environment()
    settings = CatalogSettings(store=Path("nowhere"), sources=named, deny=deny, network=network, base=base)
    return list(crawl(settings, store).sources)


def _records(store: Store) -> dict[str, bool]:
    return {str(record.uri): record.verified for record in store.records()}


def _document(did: str, key: SigningKey) -> dict[str, object]:
    service = {"id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": "https://pds.example.org"}
    method = {"id": f"{did}#atproto", "type": "Multikey", "controller": did}
    method["publicKeyMultibase"] = key.did_key.removeprefix("did:key:")
    return {"id": did, "verificationMethod": [method], "service": [service], "alsoKnownAs": ["at://claims.example.org"]}


def _export(
    folder: Path, names: list[str], *, key: SigningKey, rev: str = REV, document: object = None, file: str = "one"
) -> None:
    folder.mkdir(exist_ok=True)
    records: dict[str, Json] = {f"{LABEL}/{name}": _label(DID, name) for name in names}
    records |= {f"app.bsky.feed.post/{number}": {"text": str(number)} for number in range(50)}
    (folder / f"{file}.car").write_bytes(build_repo(records, did=DID, key=key, rev=rev))
    if document is not None:
        (folder / f"{file}.did.json").write_text(json.dumps(document), encoding="utf-8")


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that nobody reaches."""
    monkeypatch.setenv("CATALOG_PLC_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("CATALOG_ALLOW_LOOPBACK", "1")
    monkeypatch.setattr("catalog.network.http.TRIES", 1)


@pytest.mark.usefixtures("offline")
def test_an_export_is_proven_offline_by_the_document_beside_it(store: Store, tmp_path: Path) -> None:
    """A later export replaces it, an older one doesn't; what the account only claims to be called isn't shown."""
    key = SigningKey()
    _export(tmp_path / "exports", ["a", "b"], key=key, document=_document(DID, key))
    (report,) = _crawl(store, tmp_path, ("car", "exports/*.car"))
    assert (report.error, report.problems, report.new, report.ways) == (None, (), 2, {"car": 1})
    assert _records(store) == {str(AtUri.of(DID, LABEL, name)): True for name in ("a", "b")}
    repo = store.repo(DID)
    assert repo is not None
    assert (repo.handle, repo.rev) == (None, REV)
    assert _crawl(store, tmp_path, ("car", "exports"))[0].unchanged == 1

    _export(tmp_path / "exports", ["b", "c"], key=key, rev=LATER)
    assert _crawl(store, tmp_path, ("car", "exports"))[0].changed == 1
    _export(tmp_path / "exports", ["old"], key=key)
    assert _crawl(store, tmp_path, ("car", "exports"))[0].unchanged == 1
    assert _records(store) == {str(AtUri.of(DID, LABEL, name)): True for name in ("b", "c")}


@pytest.mark.usefixtures("offline")
def test_an_export_that_nobody_vouches_for_is_unverified(store: Store, tmp_path: Path) -> None:
    """And gives way to one that is proven; the other way round nothing changes."""
    key = SigningKey()
    _export(tmp_path / "exports", ["a"], key=key, rev=LATER)
    _crawl(store, tmp_path, ("car", "exports"))
    assert _records(store) == {str(AtUri.of(DID, LABEL, "a")): False}
    _export(tmp_path / "exports", ["a"], key=key, document=_document(DID, key))
    _crawl(store, tmp_path, ("car", "exports"))
    assert _records(store) == {str(AtUri.of(DID, LABEL, "a")): True}
    (tmp_path / "exports" / "one.did.json").unlink()
    _export(tmp_path / "exports", ["forged"], key=key, rev=LATER)
    _crawl(store, tmp_path, ("car", "exports"))
    assert _records(store) == {str(AtUri.of(DID, LABEL, "a")): True}


@pytest.mark.usefixtures("offline")
def test_a_broken_export_takes_nothing_away(store: Store, tmp_path: Path) -> None:
    """Cut, of another account's key, with a document that is somebody else's, or none: told, with the file's name."""
    key = SigningKey()
    exports = tmp_path / "exports"
    _export(exports, ["a"], key=key, document=_document(DID, key))
    _crawl(store, tmp_path, ("car", "exports"))
    whole = (exports / "one.car").read_bytes()
    others = _document("did:plc:" + "f" * 24, key)
    for content, document in (
        (whole[:-5], _document(DID, key)),
        (b"", _document(DID, key)),
        (b"<html>", _document(DID, key)),
        (build_repo({f"{LABEL}/x": _label(DID, "x")}, did=DID, key=key, rev=LATER), _document(DID, SigningKey())),
        (build_repo({f"{LABEL}/x": _label(DID, "x")}, did=DID, key=key, rev=LATER), others),
        (build_repo({f"{LABEL}/x": _label(DID, "x")}, did=DID, key=key, rev=LATER), []),
    ):
        (exports / "one.car").write_bytes(content)
        (exports / "one.did.json").write_text(json.dumps(document), encoding="utf-8")
        (report,) = _crawl(store, tmp_path, ("car", "exports"))
        assert len(report.problems) == 1, content[:20]
        assert "one.car" in report.problems[0]
        assert _records(store) == {str(AtUri.of(DID, LABEL, "a")): True}
    (exports / "one.did.json").write_text("{", encoding="utf-8")
    assert "one.did.json is not JSON" in _crawl(store, tmp_path, ("car", "exports"))[0].problems[0]
    shutil.rmtree(exports)
    (report,) = _crawl(store, tmp_path, ("car", "exports/*.car"))
    assert "no CAR file" in str(report.error)


@pytest.mark.usefixtures("offline")
def test_an_export_that_is_gone_is_gone_from_the_catalog(store: Store, tmp_path: Path) -> None:
    """Once all that are left could be read."""
    key = SigningKey()
    _export(tmp_path / "exports", ["a"], key=key, document=_document(DID, key))
    (tmp_path / "exports" / "two.car").write_bytes(b"broken")
    _crawl(store, tmp_path, ("car", "exports"))
    (tmp_path / "exports" / "one.car").rename(tmp_path / "one.car")
    _crawl(store, tmp_path, ("car", "exports"))
    assert len(_records(store)) == 1
    other = Did.parse("did:plc:" + "f" * 24)
    (tmp_path / "exports" / "two.car").write_bytes(build_repo({}, did=other, key=key))
    _crawl(store, tmp_path, ("car", "exports"))
    assert _records(store) == {}


def test_an_export_of_a_real_account_and_the_account_are_one(network: Network, store: Store, tmp_path: Path) -> None:
    """The network's word is newer than the export's; without the network the export's records stay."""
    account = network.account("exported")
    network.put_record(account, LABEL, "one", _label(account.did, "one"))
    exports = tmp_path / "exports"
    exports.mkdir()
    whole = httpx.get(
        f"{network.pds_url}/xrpc/com.atproto.sync.getRepo", params={"did": account.did}, timeout=60
    ).content
    (exports / "real.car").write_bytes(whole)
    (exports / "real.did.json").write_bytes(httpx.get(f"{network.plc_url}/{account.did}", timeout=60).content)
    sources = (("car", "exports"), ("repo", account.did))
    _crawl(store, tmp_path, sources[0])
    assert list(_records(store).values()) == [True]
    network.put_record(account, LABEL, "one", _label(account.did, "changed"))
    _crawl(store, tmp_path, *sources)
    (record,) = store.records()
    assert isinstance(record.value, dict)
    assert (record.value["name"], record.verified) == ("changed", True)
    assert len(store.history(record.uri)) == 2
    _crawl(store, tmp_path, sources[0])
    assert len(_records(store)) == 1, "the export lists it still, with what is known since"
    assert _crawl(store, tmp_path, sources[0], deny=(Did(account.did),))[0].error is None
    assert _records(store) == {}


class Relay:
    """A relay's directory in front of nothing: what it lists is up to the test."""

    def __init__(self, fake: Fake) -> None:
        self.fake = fake
        self.listed: list[str] = []
        fake.routes["/xrpc/com.atproto.sync.listReposByCollection"] = self._repos

    def _repos(self, handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        repos = [{"did": did} for did in self.listed] if asked.query["collection"] == LABEL else []
        answer(handler, {"repos": repos})


@pytest.fixture
def relay() -> Iterator[Relay]:
    with fake_server({}) as fake:
        yield Relay(fake)


def _with_label(network: Network, name: str) -> Account:
    account = network.account(name)
    network.put_record(account, LABEL, "one", _label(account.did, name))
    return account


def test_a_relay_is_a_hint_where_to_look(network: Network, store: Store, tmp_path: Path, relay: Relay) -> None:
    """Accounts are read at their own PDS; those that it forgets stay; others are problems."""
    one, two = _with_label(network, "one"), _with_label(network, "two")
    source = ("relay", relay.fake.url)
    relay.listed = [one.did, two.did, "nonsense", f"did:plc:{'a' * 24}"]
    (report,) = _crawl(store, tmp_path, source)
    assert (report.error, report.new, len(report.problems)) == (None, 2, 2)
    assert list(_records(store).values()) == [True, True]
    relay.listed = [two.did]
    network.put_record(one, LABEL, "two", _label(one.did, "more"))
    (report,) = _crawl(store, tmp_path, source)
    assert (report.seen, report.new, report.problems) == (2, 1, ())
    network.post("com.atproto.server.deactivateAccount", {}, one)
    _crawl(store, tmp_path, source)
    assert list(_records(store)) == [f"at://{two.did}/{LABEL}/one"]
    relay.fake.routes.clear()
    (report,) = _crawl(store, tmp_path, source)
    assert report.error is not None
    assert list(_records(store)) == [f"at://{two.did}/{LABEL}/one"]
    assert report.unchanged == 2, "what was known is looked at all the same"


def test_a_record_from_several_sources_is_one_record(
    network: Network, store: Store, tmp_path: Path, relay: Relay
) -> None:
    """It is read once a crawl, and shown as long as one of them lists its account."""
    account = _with_label(network, "shared")
    relay.listed = [account.did]
    sources = (("pds", network.pds_url), ("relay", relay.fake.url), ("repo", account.handle))
    reports = _crawl(store, tmp_path, *sources)
    assert [report.error for report in reports] == [None, None, None]
    uri = f"at://{account.did}/{LABEL}/one"
    assert list(_records(store)).count(uri) == 1
    assert sum(report.new for report in reports if report.source.startswith(("relay", "repo"))) <= 1
    for number in range(3):
        _crawl(store, tmp_path, sources[number])
        assert uri in _records(store)
    assert store.listed(f"relay:{relay.fake.url}") == {account.did}


def test_an_account_that_moved_is_followed(network: Network, store: Store, tmp_path: Path) -> None:
    """Its old PDS may list it as long as it likes: it is none of that source's accounts any more."""
    with fake_server({}, upstream=network.pds_url) as old:
        did = f"did:web:localhost%3A{old.url.rpartition(':')[2]}"
        service = {"id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": old.url}
        document: dict[str, object] = {"id": did, "service": [service]}
        value = _label(did, "mine")
        listed = {"uri": f"at://{did}/{LABEL}/x", "cid": str(record_cid(value)), "value": value}
        old.routes |= {
            "/.well-known/did.json": lambda handler, _: answer(handler, document),
            "/xrpc/com.atproto.sync.listRepos": lambda handler, _: answer(
                handler, {"repos": [{"did": did, "rev": REV, "active": True}]}
            ),
            "/xrpc/com.atproto.repo.describeRepo": lambda handler, _: answer(handler, {"collections": [LABEL]}),
            "/xrpc/com.atproto.repo.listRecords": lambda handler, _: answer(handler, {"records": [listed]}),
        }
        source = ("pds", old.url)
        _crawl(store, tmp_path, source)
        assert _records(store) == {f"at://{did}/{LABEL}/x": False}
        service["serviceEndpoint"] = network.pds_url
        old.routes["/xrpc/com.atproto.sync.listRepos"] = lambda handler, _: answer(
            handler, {"repos": [{"did": did, "rev": LATER, "active": True}]}
        )
        (report,) = _crawl(store, tmp_path, source)
        assert "lists it, but the account is at" in report.problems[0]
        assert _records(store) == {}
