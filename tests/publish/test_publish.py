"""Publishing manifests to a real PDS: once, and never twice."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from catalog.atproto.identity import Resolver
from catalog.atproto.session import Session, Write
from catalog.config import NetworkSettings
from catalog.errors import InvalidManifest, PublishError
from catalog.manifest import load
from catalog.network.http import Client
from catalog.publish import Action, PublishReport, publish
from catalog.publish.from_code import publish_drafts
from catalog.records import COLLECTIONS, DATASET, LABEL, LENS, SCHEMA, VERIFICATION, read_record
from catalog.syntax import AtUri, Datetime, RecordKey
from tests.shardfiles import packed_shard

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from catalog.manifest import DraftKey
    from catalog.syntax import Tid
    from tests.conftest import Account, Network

pytestmark = pytest.mark.publishing

MANIFEST = """\
schemas:
  - name: Point
    version: 1.0.0
    description: Where it is.
    license: MIT
    tags: [geometry]
    fields: {x: float, y: float}
  - {name: Flat, version: 1.0.0+build, fields: {xy: "array[float64, 2]"}}
datasets:
  - name: points
    schema: Point@1.0.0
    version: 1.0.0
    description: A few points.
    license: MIT
    samples: 3
    shards: [{url: "https://data.example/points.tar", local: points.tar}]
    metadata: {homepage: "https://data.example", scale: 0.5}
lenses:
  - name: flatten
    source: Point@1.0.0
    target: Flat@1.0.0+build
    getter: &code {repository: "https://git.example", commit: cccccccccccccccccccccccccccccccccccccccc, path: "a.py:f"}
    putter: *code
verifications:
  - {lens: flatten, method: codeReview}
"""


@contextmanager
def _session(account: Account) -> Iterator[Session]:
    settings = NetworkSettings.from_environment()
    with Client(settings) as client:
        yield Session.login(client, Resolver(client, settings), account.handle, account.password)


def _publish(account: Account, path: Path) -> PublishReport:
    with _session(account) as session:
        return publish(load([path]), session)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "points.yaml"
    path.write_text(MANIFEST, encoding="utf-8")
    (tmp_path / "points.tar").write_bytes(packed_shard(*({"x": 0.5, "y": n} for n in range(3))))
    return path


@pytest.fixture
def account(network: Network) -> Account:
    return network.account("publisher")


def _counts(network: Network, account: Account) -> list[int]:
    pages = (
        network.get("com.atproto.repo.listRecords", {"repo": account.did, "collection": name, "limit": "100"})
        for name in COLLECTIONS
    )
    return [len(page["records"]) for page in pages]


def test_a_manifest_becomes_records_in_one_commit(network: Network, account: Account, manifest: Path) -> None:
    """Schemas under their name and version, the others under TIDs, all references right, each record readable."""
    before = network.latest_rev(account.did)
    report = _publish(account, manifest)
    assert report.unchanged == ()
    assert [AtUri(uri).collection for uri in report.created] == [SCHEMA, SCHEMA, DATASET, LABEL, LENS, VERIFICATION]
    assert _counts(network, account) == [2, 1, 1, 1, 1]
    assert network.latest_rev(account.did) > before
    uris = [AtUri(uri) for uri in report.created]
    values = {}
    for uri in uris:
        assert uri.collection is not None
        assert uri.rkey is not None
        values[uri] = network.get_record(account.did, uri.collection, uri.rkey)
        read_record(uri.collection, values[uri]["value"])
    point, flat, dataset, label, lens, verification = uris
    assert (point.rkey, flat.rkey) == ("Point:1.0.0", "Flat:1.0.0_build")
    assert values[dataset]["value"]["schemaRef"] == point
    assert values[label]["value"]["datasetUri"] == dataset
    assert (values[lens]["value"]["sourceSchema"], values[lens]["value"]["targetSchema"]) == (point, flat)
    assert values[verification]["value"]["lens"] == lens
    assert values[verification]["value"]["lensCommit"] == values[lens]["cid"]


def test_what_became_of_each_record_is_answered_by_what_it_is(
    network: Network, account: Account, manifest: Path
) -> None:
    """Its key, address and CID as the PDS has them, and whether it is new: what callers in code go by."""
    with _session(account) as session:
        first = publish_drafts(load([manifest]), session)
        again = publish_drafts(load([manifest]), session)
    assert {one.key for one in first.changes} == set(_keys())
    assert {one.action for one in first.changes} == {Action.CREATE}
    assert {one.action for one in again.changes} == {Action.LEAVE}
    assert [(one.key, one.uri, one.cid) for one in again.changes] == [
        (one.key, one.uri, one.cid) for one in first.changes
    ]
    for one in first.changes:
        there = network.get_record(account.did, str(one.uri.collection), str(one.uri.rkey))
        assert (one.uri, one.cid) == (there["uri"], there["cid"])


def test_an_implied_schema_is_served_by_any_record_with_its_fields(
    network: Network, account: Account, manifest: Path
) -> None:
    """Not so one that is said: there a word of its description is a change; and fields are one in both cases."""
    _publish(account, manifest)
    rev = network.latest_rev(account.did)
    drafts = load([manifest])
    point = replace(drafts.schemas[0], sample_type=replace(drafts.schemas[0].sample_type, description=None))
    with _session(account) as session:
        served = publish_drafts(replace(drafts, schemas=(replace(point, implied=True), drafts.schemas[1])), session)
        assert served.writes == ()
        assert {one.key for one in served.changes} == set(_keys())
        with pytest.raises(PublishError, match="other content"):
            publish_drafts(replace(drafts, schemas=(point, drafts.schemas[1])), session)
        fewer = replace(
            point, implied=True, sample_type=replace(point.sample_type, fields=point.sample_type.fields[:1])
        )
        with pytest.raises(PublishError, match=r"points\.yaml:2: schema Point@1\.0\.0 is published with other content"):
            publish_drafts(replace(drafts, schemas=(fewer, drafts.schemas[1])), session)
    assert network.latest_rev(account.did) == rev


def test_a_second_publish_writes_nothing(network: Network, account: Account, manifest: Path) -> None:
    """The repository's rev stays; adding to the manifest later writes only what is new."""
    first = _publish(account, manifest)
    rev = network.latest_rev(account.did)
    second = _publish(account, manifest)
    assert (second.created, second.unchanged) == ((), first.created)
    assert network.latest_rev(account.did) == rev
    more = "  - {name: Point, version: 1.1.0, fields: {x: float, y: float, z: float?}}\ndatasets:"
    manifest.write_text(MANIFEST.replace("datasets:", more), encoding="utf-8")
    third = _publish(account, manifest)
    assert third.created == (f"at://{account.did}/{SCHEMA}/Point:1.1.0",)
    assert third.unchanged == first.created


@pytest.mark.parametrize(
    ("old", "new", "version", "told"),
    [
        ("{x: float, y: float}", "{x: float, y: int}", "2.0.0", "y"),
        ("{x: float, y: float}", "{x: float, y: float, z: float?}", "1.1.0", "z is new and optional"),
        ("Where it is.", "Where it was.", "1.0.1", "description"),
        ("license: MIT", "license: CC0-1.0", "1.0.1", "license changes"),
    ],
)
def test_a_changed_schema_is_refused_and_nothing_is_written(
    network: Network, account: Account, manifest: Path, old: str, new: str, version: str, told: str
) -> None:
    """Not even what is new beside it; the error names the change, what it breaks, and the version to use."""
    _publish(account, manifest)
    rev = network.latest_rev(account.did)
    extra = "  - {name: Extra, version: 1.0.0, fields: {a: int}}\ndatasets:"
    manifest.write_text(MANIFEST.replace(old, new, 1).replace("datasets:", extra), encoding="utf-8")
    with pytest.raises(PublishError) as caught:
        _publish(account, manifest)
    text = str(caught.value)
    assert "points.yaml:2: schema Point@1.0.0 is published with other content" in text
    assert f"give it version {version}" in text
    assert told in text
    assert "nothing was written" in text
    assert network.latest_rev(account.did) == rev


def test_a_changed_local_shard_is_another_dataset(network: Network, account: Account, manifest: Path) -> None:
    """Its checksum is part of the record; and a missing one is told by its line."""
    (uri,) = (uri for uri in _publish(account, manifest).created if DATASET in uri)
    (manifest.parent / "points.tar").write_bytes(packed_shard(*({"x": 1.5, "y": n} for n in range(3))))
    assert _publish(account, manifest).updated == (uri,)
    rev = network.latest_rev(account.did)
    (manifest.parent / "points.tar").unlink()
    with pytest.raises(InvalidManifest, match=r"points\.tar"):
        _publish(account, manifest)
    assert network.latest_rev(account.did) == rev


def test_records_of_other_clients_are_found_by_name(network: Network, account: Account, manifest: Path) -> None:
    """A schema under a TID counts as published, and new records refer to it there."""
    with _session(account) as session:
        (draft, *_) = load([manifest]).records(
            session.did,
            created_at=_time("2026-01-02T03:04:05.000Z"),
            new_tid=_never,
            rkeys=dict.fromkeys(_keys(), RecordKey.parse("3kaaaaaaaaaa2")),
        )
        write = Write(action="create", collection=SCHEMA, rkey="3kaaaaaaaaaa2", value=draft.value)
        session.apply([write], swap_commit=session.latest_commit().cid)
    report = _publish(account, manifest)
    theirs = f"at://{account.did}/{SCHEMA}/3kaaaaaaaaaa2"
    assert report.unchanged == (theirs,)
    dataset = AtUri(report.created[1])
    assert dataset.rkey is not None
    assert network.get_record(account.did, DATASET, dataset.rkey)["value"]["schemaRef"] == theirs


def test_code_changes_no_record(network: Network, account: Account, manifest: Path) -> None:
    """It shows nobody a plan; the error says what does."""
    _publish(account, manifest)
    rev = network.latest_rev(account.did)
    manifest.write_text(MANIFEST.replace("A few points.", "Some points."), encoding="utf-8")
    with _session(account) as session, pytest.raises(PublishError, match=r"points\.yaml:10: dataset .points..*plan"):
        publish_drafts(load([manifest]), session)
    assert network.latest_rev(account.did) == rev


def test_broken_records_in_the_repository_are_no_obstacle(network: Network, account: Account, manifest: Path) -> None:
    """They have no name, or one that isn't text."""
    network.create_record(account, DATASET, {"$type": DATASET, "name": 5})
    network.create_record(account, LABEL, {"$type": LABEL, "name": "points"})
    network.create_record(account, SCHEMA, {"$type": SCHEMA, "createdAt": "yesterday"})
    assert len(_publish(account, manifest).created) == 6


def _never() -> Tid:
    raise AssertionError


def _time(text: str) -> Datetime:
    return Datetime.parse(text)


def _keys() -> list[DraftKey]:
    return [
        (SCHEMA, "Point", "1.0.0"),
        (SCHEMA, "Flat", "1.0.0+build"),
        (DATASET, "points", ""),
        (LABEL, "points", "1.0.0"),
        (LENS, "flatten", ""),
        (VERIFICATION, "flatten", "codeReview"),
    ]
