"""A manifest with everything in it, published to a real PDS: the records are what it says, and its blobs are there."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray  # noqa: TC002 - the class below needs it at run time

from catalog import Dataset, PackableSample
from catalog.atproto.identity import Resolver
from catalog.atproto.session import Session
from catalog.config import NetworkSettings
from catalog.errors import PublishError
from catalog.manifest import load
from catalog.network.http import Client
from catalog.publish import Action, Applied, apply_plan, make_plan
from catalog.records import DATASET, LABEL
from catalog.samples.write_shards import write_shards
from catalog.syntax import RAW, Cid

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from catalog.publish import Plan
    from tests.conftest import Account, Network

pytestmark = pytest.mark.publishing

MANIFEST = """\
set: everything
schemas: [{name: Kept, version: 1.0.0, fields: {picture: "array[uint8, *, *]", label: int}}]
datasets:
  - name: in blobs
    schema: Kept@1.0.0
    version: 1.0.0
    blobs: {local: "data/*.tar"}
  - name: in blobs, too
    schema: Kept@1.0.0
    blobs: [{local: data/kept-000000.tar}]
  - name: in a bucket
    schema: Kept@1.0.0
    s3: {bucket: example-data, endpoint: "https://s3.data.example", local: "data/*.tar", prefix: kept/}
  - name: at addresses
    schema: Kept@1.0.0
    shards: [{url: "https://data.example/kept-{000000..000001}.tar", local: "data/kept-{000000..000001}.tar"}]
labels:
  - {name: latest, description: The newest there is., dataset: in blobs}
lenses:
  - name: same
    source: Kept@1.0.0
    target: Kept@1.0.0
    getter: &code {repository: https://data.example/c, commit: 0123456789abcdef0123456789abcdef01234567, path: "a.py:b"}
    putter: *code
verifications:
  - {lens: same, method: codeReview}
"""


class Kept(PackableSample):
    """Return the contents of the shards."""

    picture: NDArray[np.uint8]
    label: int


@pytest.fixture
def account(network: Network) -> Account:
    return network.account("keeper")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The manifest and its two shards."""
    write(tmp_path, 0)
    (tmp_path / "m.yaml").write_text(MANIFEST, encoding="utf-8")
    return tmp_path


def write(folder: Path, first: int) -> None:
    (folder / "data").mkdir(exist_ok=True)
    samples = [Kept(picture=np.full((4, 5), n, np.uint8), label=n) for n in range(first, first + 4)]
    write_shards(samples, folder / "data" / "kept-%06d.tar", maxcount=2)


@contextmanager
def session_of(account: Account) -> Iterator[Session]:
    settings = NetworkSettings.from_environment()
    with Client(settings) as client:
        yield Session.login(client, Resolver(client, settings), account.handle, account.password)


def plan_of(folder: Path, session: Session) -> Plan:
    found = load([folder / "m.yaml"])
    return make_plan(found, session, set_name=found.name)


def blobs_of(account: Account) -> set[str]:
    url = f"{account.pds_url}/xrpc/com.atproto.sync.listBlobs"
    return set(httpx.get(url, params={"did": account.did}, timeout=60).json()["cids"])


def test_everything_that_a_manifest_can_say_is_published_once(network: Network, account: Account, folder: Path) -> None:
    """Read back by plain queries the records are the drafts, marked; each blob came once; nothing comes twice."""
    with session_of(account) as session:
        plan = plan_of(folder, session)
        assert apply_plan(plan, session) == Applied(commits=1, blobs=2)
        drafts = [change.draft for change in plan.changes if change.draft is not None]
        assert len(drafts) == len(plan.changes) == 9
        for draft in drafts:
            there = network.get_record(account.did, draft.collection, str(draft.uri.rkey))
            assert (there["cid"], there["value"]) == (draft.cid, draft.value)
            assert there["value"]["manifestSet"] == "everything"
        shards = [(folder / "data" / f"kept-00000{n}.tar").read_bytes() for n in range(2)]
        cids = [str(Cid.of_block(shard, RAW)) for shard in shards]
        assert blobs_of(account) == set(cids)
        for cid, shard in zip(cids, shards, strict=True):
            query = {"did": account.did, "cid": cid}
            answer = httpx.get(f"{account.pds_url}/xrpc/com.atproto.sync.getBlob", params=query, timeout=60)
            assert answer.content == shard
        rev = network.latest_rev(account.did)
        again = plan_of(folder, session)
        assert {change.action for change in again.changes} == {Action.LEAVE}
        assert apply_plan(again, session) == Applied(commits=0, blobs=0)
        assert network.latest_rev(account.did) == rev
    (uri,) = (change.uri for change in plan.changes if change.key == (DATASET, "in blobs", ""))
    read: Dataset[Any] = Dataset.from_atproto(uri)
    assert [sample.label for sample in read] == [0, 1, 2, 3]


def test_a_new_shard_is_uploaded_alone_and_the_label_moves_with_its_version(
    network: Network, account: Account, folder: Path
) -> None:
    """Of two blobs one changed: one upload, the record updated in place, the written-out label left as it is."""
    with session_of(account) as session:
        first = plan_of(folder, session)
        apply_plan(first, session)
        old = (folder / "data" / "kept-000000.tar").read_bytes()
        write(folder, 2)
        (folder / "data" / "kept-000000.tar").write_bytes(old)
        text = MANIFEST.replace("version: 1.0.0\n    blobs", "version: 1.1.0\n    blobs")
        (folder / "m.yaml").write_text(text, encoding="utf-8")
        second = plan_of(folder, session)
        assert apply_plan(second, session) == Applied(commits=1, blobs=1)
        changed = {change.key for change in second.writes}
        assert changed == {
            (DATASET, "in blobs", ""),
            (DATASET, "in a bucket", ""),
            (DATASET, "at addresses", ""),
            (LABEL, "in blobs", "1.1.0"),
        }
        moved = {change.uri for change in second.writes if change.key[0] == LABEL}
        assert moved == {change.uri for change in first.changes if change.key == (LABEL, "in blobs", "1.0.0")}
        assert {change.action for change in plan_of(folder, session).changes} == {Action.LEAVE}
        assert (
            len(network.get("com.atproto.repo.listRecords", {"repo": account.did, "collection": LABEL})["records"]) == 2
        )


def test_who_has_no_copy_can_publish_what_the_repository_has_already(
    network: Network, account: Account, folder: Path
) -> None:
    """With checksum and bytes stated a machine without the data changes a description; a blob nobody has is told."""
    with session_of(account) as session:
        apply_plan(plan_of(folder, session), session)
        file = folder / "data" / "kept-000000.tar"
        stated = f"{{local: data/kept-000000.tar, sha256: {Cid.of_block(file.read_bytes(), RAW).digest.hex()}, "
        stated += f"bytes: {file.stat().st_size}}}"
        file.unlink()
        text = f"""\
set: others
schemas: [{{name: Kept, version: 1.0.0, fields: {{picture: "array[uint8, *, *]", label: int}}}}]
datasets: [{{name: "in blobs, too", description: New., samples: 2, schema: Kept@1.0.0, blobs: [{stated}]}}]
"""
        (folder / "m.yaml").write_text(text, encoding="utf-8")
        plan = plan_of(folder, session)
        assert [difference.path for change in plan.writes for difference in change.differences] == ["description"]
        assert apply_plan(plan, session) == Applied(commits=1, blobs=0)
        (folder / "m.yaml").write_text(
            text.replace(stated, f"{{local: never.tar, sha256: {'ab' * 32}, bytes: 7}}"), encoding="utf-8"
        )
        rev = network.latest_rev(account.did)
        with pytest.raises(PublishError, match="isn't in the repository, and there is no local copy of it"):
            apply_plan(plan_of(folder, session), session)
        assert network.latest_rev(account.did) == rev
