"""The plan, against a real PDS: the exact changes, field by field, and deletions on request."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from catalog.atproto.identity import Resolver
from catalog.atproto.session import Session
from catalog.config import NetworkSettings
from catalog.errors import PublishError
from catalog.manifest import MARK, load
from catalog.network.http import Client
from catalog.publish import Action, Plan, Repository, as_lines, as_markdown, make_plan, publish
from catalog.publish.diff import Difference, differences
from catalog.publish.from_code import publish_drafts
from catalog.records import DATASET, LABEL, LENS, SCHEMA, VERIFICATION, Checksum, Dataset, HttpStorage, Size
from catalog.syntax import AtUri, Did

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from catalog.atproto.datamodel import Json
    from tests.conftest import Account, Network

pytestmark = pytest.mark.publishing

MANIFEST = """\
schemas:
  - {name: Point, version: 1.0.0, fields: {x: float, y: float}}
  - {name: Flat, version: 1.0.0, fields: {xy: "array[float64, 2]"}}
datasets:
  - name: points
    schema: Point@1.0.0
    version: 1.0.0
    description: A few points.
    license: MIT
    tags: [geometry, small]
    samples: 3
    shards:
      - {url: "https://data.example/points-0.tar", bytes: 5,
         sha256: &sum aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}
      - {url: "https://data.example/points-1.tar", sha256: *sum, bytes: 6}
    metadata: {homepage: "https://data.example", scale: 0.5}
  - name: others
    schema: Point@1.0.0
    shards: [{url: "https://data.example/others.tar"}]
lenses:
  - name: flatten
    source: Point@1.0.0
    target: Flat@1.0.0
    getter: &code {repository: "https://git.example", commit: cccccccccccccccccccccccccccccccccccccccc, path: "a.py:f"}
    putter: *code
verifications:
  - {lens: flatten, method: codeReview}
"""
OTHERS = """\
  - name: others
    schema: Point@1.0.0
    shards: [{url: "https://data.example/others.tar"}]
"""


@pytest.fixture
def account(network: Network) -> Account:
    return network.account("planner")


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "points.yaml"
    path.write_text(MANIFEST, encoding="utf-8")
    return path


@contextmanager
def _session(account: Account) -> Iterator[Session]:
    settings = NetworkSettings.from_environment()
    with Client(settings) as client:
        yield Session.login(client, Resolver(client, settings), account.handle, account.password)


def _publish(account: Account, manifest: Path, *, prune: bool = False, set_name: str = "default") -> None:
    with _session(account) as session:
        publish(load([manifest]), session, prune=prune, set_name=set_name)


def _plan(account: Account, manifest: Path, *, prune: bool = False, set_name: str = "default") -> Plan:
    """Without a login."""
    with Client(NetworkSettings.from_environment()) as client:
        repository = Repository(client=client, did=Did.parse(account.did), handle=account.handle, pds=account.pds_url)
        return make_plan(load([manifest]), repository, prune=prune, set_name=set_name)


def _edit(manifest: Path, *edits: tuple[str, str]) -> None:
    text = manifest.read_text(encoding="utf-8")
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    manifest.write_text(text, encoding="utf-8")


def _named(plan: Plan, *actions: Action) -> list[str]:
    return [change.name for change in plan.of(*actions)]


def _value(network: Network, account: Account, uri: AtUri) -> dict[str, object]:
    found: dict[str, object] = network.get_record(account.did, str(uri.collection), str(uri.rkey))["value"]
    return found


def test_a_first_plan_creates_everything_and_writes_nothing(network: Network, account: Account, manifest: Path) -> None:
    """In the order of references; it needs no login, and the rev stays."""
    rev = network.latest_rev(account.did)
    plan = _plan(account, manifest)
    assert [change.key[0] for change in plan.writes] == [SCHEMA, SCHEMA, DATASET, DATASET, LABEL, LENS, VERIFICATION]
    assert {change.action for change in plan.changes} == {Action.CREATE}
    assert network.latest_rev(account.did) == rev
    lines = as_lines(plan)
    assert lines[0] == f"+ schema Point@1.0.0  {manifest}:2"
    assert lines[1] == "    + fields.x: float"
    assert "    + shards: 2 shards" in lines
    assert "    + tags: geometry, small" in lines
    assert "    + metadata.scale: 0.5" in lines
    assert lines[-1] == f"{account.handle}: 7 to create"


def test_what_was_published_is_left(account: Account, manifest: Path) -> None:
    """All of it, and the plan says so."""
    _publish(account, manifest)
    plan = _plan(account, manifest, prune=True)
    assert plan.writes == ()
    assert as_lines(plan) == [f"{account.handle}: 7 unchanged"]
    assert "Nothing to do: 7 unchanged" in as_markdown(plan)


def test_changes_are_told_field_by_field(account: Account, manifest: Path) -> None:
    """By the names that manifests have; nothing else is planned."""
    _publish(account, manifest)
    _edit(
        manifest,
        ("A few points.", "Some points."),
        ("[geometry, small]", "[small, tiny]"),
        ("points-1.tar", "points-2.tar"),
        ("bytes: 5", "bytes: 7"),
        ("scale: 0.5", "scale: 0.25, unit: m"),
        ("    license: MIT\n", ""),
    )
    (change,) = _plan(account, manifest).writes
    assert (change.action, change.name) == (Action.UPDATE, "dataset 'points'")
    told = {one.path: (one.before, one.after) for one in change.differences}
    shard = {"algorithm": "sha256", "digest": "a" * 64}
    assert told == {
        "description": ("A few points.", "Some points."),
        "tags": (["geometry", "small"], ["small", "tiny"]),
        "bytes": (11, 13),
        "shards[https://data.example/points-1.tar]": (
            {"url": "https://data.example/points-1.tar", "checksum": shard}, None
        ),
        "shards[https://data.example/points-2.tar]": (
            None, {"url": "https://data.example/points-2.tar", "checksum": shard}
        ),
        "metadata.scale": (0.5, 0.25),
        "metadata.unit": (None, "m"),
        "license": ("MIT", None),
    }  # fmt: skip
    lines = as_lines(_plan(account, manifest))
    assert "    - tags: geometry" in lines
    assert "    + tags: tiny" in lines
    assert "    ~ description: A few points. → Some points." in lines
    assert "    - license: MIT" in lines
    assert any(line.startswith("! ") and "other data under the same version 1.0.0" in line for line in lines)


def test_an_update_keeps_the_address_and_the_date(network: Network, account: Account, manifest: Path) -> None:
    """And makes the record what the manifest says."""
    _publish(account, manifest)
    (before,) = [change for change in _plan(account, manifest).changes if change.name == "dataset 'points'"]
    old = _value(network, account, before.uri)
    _edit(manifest, ("A few points.", "Some points."))
    _publish(account, manifest)
    new = _value(network, account, before.uri)
    assert new == {**old, "description": "Some points."}
    assert _plan(account, manifest).writes == ()


def test_a_lens_that_changes_takes_its_verification_along(network: Network, account: Account, manifest: Path) -> None:
    """The verification names the CID of the lens: it is updated, too."""
    _publish(account, manifest)
    _edit(manifest, ("a.py:f", "a.py:g"))
    plan = _plan(account, manifest)
    assert _named(plan, Action.UPDATE) == ["lens 'flatten'", "verification 'flatten' by codeReview"]
    _publish(account, manifest)
    lens, verification = plan.writes
    assert _value(network, account, verification.uri)["lensCommit"] == lens.cid
    assert network.get_record(account.did, LENS, str(lens.uri.rkey))["cid"] == lens.cid


def test_a_label_moves_with_its_datasets_version(network: Network, account: Account, manifest: Path) -> None:
    """The same record says the new version; the old one says nothing that isn't so any more."""
    _publish(account, manifest)
    (label,) = [change for change in _plan(account, manifest).changes if change.key[0] == LABEL]
    _edit(manifest, ("version: 1.0.0\n    description", "version: 1.1.0\n    description"), ("bytes: 5", "bytes: 7"))
    plan = _plan(account, manifest, prune=True)
    assert [(change.action, change.name) for change in plan.writes] == [
        (Action.UPDATE, "dataset 'points'"),
        (Action.UPDATE, "label points@1.1.0"),
    ]
    assert plan.writes[1].differences == (Difference(path="version", before="1.0.0", after="1.1.0"),)
    assert plan.warnings == ()
    _publish(account, manifest)
    assert _value(network, account, label.uri)["version"] == "1.1.0"
    assert _plan(account, manifest, prune=True).writes == ()


def test_what_no_manifest_has_is_deleted_only_when_asked(network: Network, account: Account, manifest: Path) -> None:
    """Without --prune it is told; with it, it is gone in one commit, and nothing else."""
    _publish(account, manifest)
    _edit(manifest, (OTHERS, ""))
    plan = _plan(account, manifest)
    assert plan.writes == ()
    assert "1 published record is in no manifest any more (dataset 'others')" in str(plan.warnings[0])
    pruning = _plan(account, manifest, prune=True)
    assert [(change.action, change.name) for change in pruning.writes] == [(Action.DELETE, "dataset 'others'")]
    _publish(account, manifest, prune=True)
    listed = network.get("com.atproto.repo.listRecords", {"repo": account.did, "collection": DATASET})["records"]
    assert [record["value"]["name"] for record in listed] == ["points"]
    assert _plan(account, manifest, prune=True).writes == ()


def test_pruning_leaves_what_other_sets_and_code_wrote(network: Network, account: Account, manifest: Path) -> None:
    """The mark says whose it is; no mark, nobody's."""
    other = manifest.with_name("other.yaml")
    other.write_text(MANIFEST.replace("name: points", "name: theirs").replace("flatten", "theirs"), encoding="utf-8")
    code = manifest.with_name("code.yaml")
    code.write_text(MANIFEST.replace("name: points", "name: coded").replace("flatten", "coded"), encoding="utf-8")
    _publish(account, other, set_name="theirs")
    with _session(account) as session:
        publish_drafts(load([code]), session)
    _publish(account, manifest)
    marks = {
        record["value"]["name"]: record["value"].get(MARK)
        for record in network.get("com.atproto.repo.listRecords", {"repo": account.did, "collection": DATASET})[
            "records"
        ]
    }
    assert marks == {"theirs": "theirs", "others": "theirs", "coded": None, "points": "default"}
    manifest.write_text("schemas:\n  - {name: Flat, version: 1.0.0, fields: {xy: 'array[float64, 2]'}}\n")
    assert _named(_plan(account, manifest, prune=True), Action.DELETE) == [
        "label points@1.0.0",
        "verification 'flatten' by codeReview",
        "lens 'flatten'",
        "dataset 'points'",
    ]


def test_a_schema_that_is_still_used_is_not_pruned(account: Account, manifest: Path) -> None:
    """Samples of others may follow it; the plan says who uses it."""
    _publish(account, manifest)
    more = manifest.with_name("more.yaml")
    more.write_text(
        "schemas: [{name: Line, version: 1.0.0, fields: {a: int}}, {name: Lone, version: 1.0.0, fields: {a: int}}]\n",
        encoding="utf-8",
    )
    _publish(account, more, set_name="more")
    user = manifest.with_name("user.yaml")
    user.write_text(
        f"datasets: [{{name: user, schema: 'at://{account.did}/{SCHEMA}/Line:1.0.0', "
        "shards: [{url: 'https://data.example/a.tar'}]}]\n",
        encoding="utf-8",
    )
    _publish(account, user, set_name="user")
    more.write_text("schemas: [{name: New, version: 1.0.0, fields: {a: int}}]\n", encoding="utf-8")
    plan = _plan(account, more, prune=True, set_name="more")
    assert _named(plan, Action.DELETE) == ["schema Lone@1.0.0"]
    assert [str(one) for one in plan.warnings] == ["schema Line@1.0.0 stays: dataset 'user' still refers to it"]


def test_the_mark_alone_is_no_difference(network: Network, account: Account, manifest: Path) -> None:
    """Records of code are left; when something else in them changes, they become the set's."""
    with _session(account) as session:
        publish_drafts(load([manifest]), session)
    rev = network.latest_rev(account.did)
    assert _plan(account, manifest).writes == ()
    _publish(account, manifest)
    assert network.latest_rev(account.did) == rev
    _edit(manifest, ("a.py:f", "a.py:g"))
    _publish(account, manifest)
    (lens,) = network.get("com.atproto.repo.listRecords", {"repo": account.did, "collection": LENS})["records"]
    (word,) = network.get("com.atproto.repo.listRecords", {"repo": account.did, "collection": VERIFICATION})["records"]
    assert (lens["value"][MARK], word["value"][MARK]) == ("default", "default")
    assert word["value"]["lensCommit"] == lens["cid"]
    assert _plan(account, manifest, prune=True).writes == ()


def test_what_was_measured_once_is_kept(account: Account, manifest: Path) -> None:
    """A manifest that states no checksum takes none away, nor bytes and samples; other shards have none of it."""
    _publish(account, manifest)
    text = manifest.read_text(encoding="utf-8")
    bare = re.sub(r", bytes: [56]|,\s*sha256: (&sum a+|[*]sum)|    samples: 3\n", "", text)
    assert "sha256" not in bare
    manifest.write_text(bare, encoding="utf-8")
    assert _plan(account, manifest).writes == ()
    _edit(manifest, ("points-1.tar", "points-2.tar"))
    (change,) = _plan(account, manifest).writes
    assert change.draft is not None
    record = change.draft.record
    assert isinstance(record, Dataset)
    assert isinstance(record.storage, HttpStorage)
    assert record.size == Size(shards=2)
    first, second = record.storage.shards
    assert (first.checksum, second.checksum) == (Checksum(algorithm="sha256", digest="a" * 64), None)


def test_a_version_that_is_taken_is_not_proposed(account: Account, manifest: Path) -> None:
    """The next one that is free is."""
    _edit(manifest, ("  - {name: Flat", "  - {name: Point, version: 2.0.0, fields: {x: int}}\n  - {name: Flat"))
    _publish(account, manifest)
    _edit(manifest, ("{x: float, y: float}", "{x: float, y: str}"))
    with pytest.raises(PublishError, match=r"give it version 3\.0\.0"):
        _plan(account, manifest)


def test_a_schema_that_others_wrote_in_their_spelling_is_the_same(
    network: Network, account: Account, manifest: Path
) -> None:
    """Flattened keys instead of an envelope: the same fields, so nothing to do."""
    _publish(account, manifest)
    record = network.get_record(account.did, SCHEMA, "Point:1.0.0")["value"]
    for key in ("content", "draft", "propertyOrder"):
        record["schema"].pop(key, None)
    network.put_record(account, SCHEMA, "Point:1.0.0", record)
    plan = _plan(account, manifest)
    assert plan.writes == ()


def test_markdown_holds_what_it_quotes(account: Account, manifest: Path) -> None:
    """Backticks, mentions and tags of a manifest stay inside the fence, and a comment stays within GitHub's limit."""
    _edit(manifest, ("A few points.", "'```\\n````@everyone <script>'"))
    text = as_markdown(_plan(account, manifest))
    opening, _, rest = text.partition("diff\n")
    fence = opening.rsplit("\n", 1)[-1]
    assert len(fence) == 5
    assert rest.count(fence) == 1
    body, _, after = rest.partition(f"\n{fence}\n")
    assert "@everyone" in body
    assert "@everyone" not in opening + after
    many = "\n".join(f"  - {{name: A{number}, version: 1.0.0, fields: {{a: int}}}}" for number in range(2000))
    manifest.write_text(f"schemas:\n{many}\n", encoding="utf-8")
    long = as_markdown(_plan(account, manifest))
    assert len(long) < 65_536
    assert "more records" in long


def test_a_plan_as_json_has_all_of_it(account: Account, manifest: Path) -> None:
    """Actions, places, addresses, and differences with both values."""
    _publish(account, manifest)
    _edit(manifest, ("A few points.", "Some points."))
    found = json.loads(json.dumps(_plan(account, manifest).as_json()))
    assert found["counts"] == {"create": 0, "update": 1, "delete": 0, "leave": 6}
    assert (found["did"], found["manifestSet"]) == (account.did, "default")
    (change,) = [one for one in found["changes"] if one["action"] == "update"]
    assert (change["file"], change["line"]) == (str(manifest), 5)
    assert change["differences"] == [{"path": "description", "before": "A few points.", "after": "Some points."}]


def test_what_manifests_cannot_say_is_told_before_it_is_lost() -> None:
    """A field that another client wrote is a difference, and so is metadata that isn't msgpack."""
    before: Json = {"$type": DATASET, "name": "a", "theirs": 5, "metadata": {"$bytes": "wQ"}, "createdAt": "x"}
    after: Json = {"$type": DATASET, "name": "a", MARK: "default", "createdAt": "y"}
    assert differences(before, after) == (
        Difference(path="theirs", before=5),
        Difference(path="metadata.$bytes", before="wQ"),
    )


def test_lists_without_names_are_compared_by_place() -> None:
    """And shards that stand twice are, too."""
    shard: Json = {"url": "https://data.example/a.tar"}
    before: Json = {"storage": {"shards": [shard, shard]}, "contentMetadata": {"a": [1, {"b": 2}]}}
    after: Json = {"storage": {"shards": [shard]}, "contentMetadata": {"a": [1, {"b": 3}]}}
    assert differences(before, after) == (
        Difference(path="shards[1]", before=shard),
        Difference(path="content_metadata.a", before=[1, {"b": 2}], after=[1, {"b": 3}]),
    )
