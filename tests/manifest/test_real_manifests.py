"""Over a hundred real datasets, as manifests, through everything: validate, plan, publish, change, prune, read back."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
from collections import Counter
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import msgpack
import pytest

from tests import forked
from tests.real_manifests import SET, real_datasets, real_manifests, write_manifests

if TYPE_CHECKING:
    from tests.conftest import Account, Network

NS = "science.alt.dataset"
COLLECTIONS = tuple(f"{NS}.{kind}" for kind in ("schema", "entry", "lens", "label", "lensVerification"))
ROWS = real_datasets()
pytestmark = pytest.mark.publishing


@dataclass(slots=True, kw_only=True)
class Publisher:
    """An account of the real PDS and a folder of manifests; everything is done by the command, as people do it."""

    network: Network
    account: Account
    folder: Path
    manifests: list[dict[str, Any]] = field(default_factory=lambda: real_manifests(ROWS))

    def run(self, *arguments: str, code: int = 0) -> str:
        ran = forked.run(
            [sys.executable, "-m", "catalog", *arguments],
            cwd=self.folder.parent,
            env={
                **os.environ,
                "CATALOG_HANDLE": self.account.handle,
                "CATALOG_APP_PASSWORD": self.account.password,
                "NO_MKDOCS_2_WARNING": "1",
            },
            stdin=subprocess.DEVNULL,
            timeout=300,
        )
        assert ran.returncode == code, ran.stdout[-3000:] + ran.stderr[-3000:]
        return str(ran.stdout)

    def write(self) -> None:
        write_manifests(self.folder, self.manifests)

    def plan(self, *more: str) -> dict[str, Any]:
        planned: dict[str, Any] = json.loads(self.run("plan", "manifests", "--json", *more))
        return planned

    def publish(self, *more: str) -> dict[str, Any]:
        report: dict[str, Any] = json.loads(self.run("publish", "manifests", "--yes", "--json", *more))
        return report

    def rev(self) -> str:
        return self.network.latest_rev(self.account.did)

    def datasets(self) -> list[dict[str, Any]]:
        return [dataset for manifest in self.manifests for dataset in manifest["datasets"]]

    def schemas(self) -> list[dict[str, Any]]:
        return [schema for manifest in self.manifests for schema in manifest["schemas"]]

    def there(self) -> dict[str, dict[str, Any]]:
        """Every dataset record by URI, by plain XRPC."""
        found: dict[str, dict[str, Any]] = {}
        for collection in COLLECTIONS:
            asked = {"repo": self.account.did, "collection": collection, "limit": "100"}
            while True:
                url = f"{self.network.pds_url}/xrpc/com.atproto.repo.listRecords"
                page = httpx.get(url, params=asked, timeout=60).raise_for_status().json()
                found |= {record["uri"]: record["value"] for record in page["records"]}
                if not page["records"] or "cursor" not in page:
                    break
                asked["cursor"] = page["cursor"]
        return found


@pytest.fixture(scope="module")
def publisher(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Publisher:
    """The account after the first publishing; the tests of this file go on from each other's state, in order."""
    made = Publisher(
        network=network,
        account=network.account("real"),
        folder=tmp_path_factory.mktemp("real") / "manifests",
    )
    made.write()
    return made


def test_all_of_them_are_valid(publisher: Publisher) -> None:
    """Over a hundred, in several files, names resolved across them."""
    told = json.loads(publisher.run("validate", "manifests", "--json"))
    assert told["ok"]
    assert told["datasets"] == len(ROWS) > 100
    assert len(list(publisher.folder.iterdir())) > 5


def test_the_plan_has_each_of_them_once(publisher: Publisher) -> None:
    """Schemas, datasets, their labels and one more, a lens and its verification; nothing is written by planning."""
    before = publisher.rev()
    planned = publisher.plan()
    total = len(publisher.schemas()) + 2 * len(ROWS) + 3
    assert planned["counts"] == {"create": total, "update": 0, "delete": 0, "leave": 0}
    assert len({change["uri"] for change in planned["changes"]}) == total
    assert (publisher.rev(), publisher.there()) == (before, {})


def test_they_are_published_once(publisher: Publisher) -> None:
    """The second time nothing is written: the repository's rev is the same."""
    first = publisher.publish()
    total = len(publisher.schemas()) + 2 * len(ROWS) + 3
    assert len(first["created"]) == len(publisher.there()) == total
    rev, records = publisher.rev(), publisher.there()
    again = publisher.publish()
    assert (again["created"], again["updated"], again["deleted"]) == ([], [], [])
    assert len(again["unchanged"]) == total
    assert (publisher.rev(), publisher.there()) == (rev, records)
    assert publisher.plan()["counts"]["leave"] == total


def test_they_read_back_as_the_manifests_say(publisher: Publisher) -> None:
    """By plain XRPC and nothing of ours, each field of each record."""
    _compare(publisher)


def test_three_changes_are_planned_as_those_three(publisher: Publisher) -> None:
    """Field by field; publishing writes exactly them, where they were."""
    one, two, three = (publisher.datasets()[at] for at in (3, 50, 100))
    before = {name: one.get(name) for name in ("description",)}
    one["description"] += "\n\nSee the errata."
    two["license"] = "CC-BY-4.0"
    three.setdefault("metadata", {})["homepage"] = "https://data.example/moved"
    old = deepcopy(publisher.there())
    publisher.write()
    planned = publisher.plan()
    assert planned["counts"] == {"create": 0, "update": 3, "delete": 0, "leave": len(old) - 3}
    updates = {change["name"]: change for change in planned["changes"] if change["action"] == "update"}
    assert {name: [found["path"] for found in change["differences"]] for name, change in updates.items()} == {
        f"dataset {one['name']!r}": ["description"],
        f"dataset {two['name']!r}": ["license"],
        f"dataset {three['name']!r}": ["metadata.homepage"],
    }
    (told,) = updates[f"dataset {one['name']!r}"]["differences"]
    assert (told["before"], told["after"]) == (before["description"], one["description"])
    assert all(Path(change["file"]).name.startswith("real-") and change["line"] > 1 for change in updates.values())
    report = publisher.publish()
    assert sorted(report["updated"]) == sorted(change["uri"] for change in updates.values())
    now = publisher.there()
    assert [uri for uri in sorted(now) if now[uri] != old[uri]] == sorted(report["updated"])
    assert all(now[uri]["createdAt"] == old[uri]["createdAt"] for uri in report["updated"])
    assert publisher.plan()["counts"]["update"] == 0
    _compare(publisher)


def test_what_is_taken_out_is_deleted_when_asked_for(publisher: Publisher) -> None:
    """Two datasets and their labels, no more; without --prune they stay."""
    gone = [manifest["datasets"].pop(1) for manifest in publisher.manifests[4:6]]
    publisher.write()
    assert publisher.plan()["counts"]["delete"] == 0
    assert publisher.publish()["deleted"] == []
    before = publisher.there()
    planned = publisher.plan("--prune")
    names = sorted(change["name"] for change in planned["changes"] if change["action"] == "delete")
    assert names == sorted(
        name for one in gone for name in (f"dataset {one['name']!r}", f"label {one['name']}@{one['version']}")
    )
    assert (planned["counts"]["create"], planned["counts"]["update"]) == (0, 0)
    report = publisher.publish("--prune")
    now = publisher.there()
    assert len(report["deleted"]) == 4
    assert set(before) - set(now) == set(report["deleted"])
    assert all(now[uri] == before[uri] for uri in now)
    assert publisher.plan("--prune")["counts"]["delete"] == 0
    _compare(publisher)


def test_blobs_are_kept_as_they_are(publisher: Publisher) -> None:
    """Each of them, as everybody can fetch it."""
    blobs = sorted((publisher.folder / "blobs").iterdir())
    assert len(blobs) > 10
    for path in blobs:
        asked = {"did": publisher.account.did, "cid": _cid(path.read_bytes())}
        url = f"{publisher.network.pds_url}/xrpc/com.atproto.sync.getBlob"
        assert httpx.get(url, params=asked, timeout=60).raise_for_status().content == path.read_bytes(), path.name


def test_every_kind_is_verified(publisher: Publisher) -> None:
    """Real prose and all; of the datasets one in blobs, with its shards: the others' files are elsewhere."""
    uris = publisher.there()
    some = [
        next(uri for uri in uris if f"/{collection}/" in uri) for collection in COLLECTIONS if "entry" not in collection
    ]
    some += [next(uri for uri, value in uris.items() if value.get("storage", {}).get("$type", "").endswith("Blobs"))]
    told = json.loads(publisher.run("verify", "--json", *some))
    assert told["ok"]
    assert sum(check["what"] == "shard" for record in told["records"] for check in record["checks"]) == 2
    assert all(check["state"] != "failed" for record in told["records"] for check in record["checks"])


def test_they_become_a_site(publisher: Publisher) -> None:
    """Crawled from the PDS with proofs, each with a page of its own that has its name and its prose."""
    root = publisher.folder.parent
    (root / "docs").mkdir()
    (root / "docs" / "index.md").write_text("# Real datasets\n", encoding="utf-8")
    (root / "mkdocs.yml").write_text(
        "site_name: Real datasets\nsite_url: https://example.org/\ntheme: {name: material}\nplugins:\n"
        f"  - catalog: {{store: store.sqlite, sources: [repo: {publisher.account.did}]}}\n",
        encoding="utf-8",
    )
    publisher.run("build")
    pages = {path: path.read_text(encoding="utf-8") for path in (root / "site").rglob("index.html")}
    titles = Counter(match[1] for text in pages.values() if (match := re.search(r"<h1[^>]*>([^<]*)", text)))
    for dataset in publisher.datasets():
        assert titles[dataset["name"]] >= 1, dataset["name"]
        first = re.sub(r"\W+", " ", dataset.get("description", "")).split()[:3]
        page = next(text for text in pages.values() if re.search(rf"<h1[^>]*>{re.escape(dataset['name'])}<", text))
        assert all(word in page for word in first), dataset["name"]


# --- what the manifests say, in the words of the wire --------------------------------------------------------


def _compare(publisher: Publisher) -> None:
    """Each record of the account against its manifest, by a translation that is not ours to reuse."""
    records = publisher.there()
    by_kind: dict[str, dict[str, dict[str, Any]]] = {collection: {} for collection in COLLECTIONS}
    for uri, value in records.items():
        by_kind[uri.split("/")[3]][uri] = value
        assert value["$type"] == uri.split("/")[3]
        assert value["manifestSet"] == SET
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", value["createdAt"])
    schemas, datasets, lenses, labels, words = by_kind.values()
    _compare_schemas(publisher.schemas(), schemas)
    _compare_datasets(publisher.datasets(), datasets, schemas, publisher.folder)
    names = {uri: value["name"] for uri, value in datasets.items()}
    assert {(label["name"], label.get("version")): names[label["datasetUri"]] for label in labels.values()} == {
        **{(one["name"], one["version"]): one["name"] for one in publisher.datasets()},
        ("favourite", None): ROWS[0]["name"],
    }
    ((lens_uri, lens),) = lenses.items()
    (word,) = words.values()
    (stated,) = publisher.manifests[1]["lenses"]
    for end in ("source", "target"):
        schema = schemas[lens[f"{end}Schema"]]
        assert f"{schema['name']}@{schema['version']}" == stated[end]
    assert {key: lens["getterCode"][key] for key in ("repository", "commit", "path")} == stated["getter"]
    found = publisher.network.get_record(publisher.account.did, f"{NS}.lens", lens_uri.rpartition("/")[2])
    assert (word["lens"], word["lensCommit"], word["verificationMethod"]) == (lens_uri, found["cid"], "codeReview")


def _compare_schemas(stated: list[dict[str, Any]], records: dict[str, dict[str, Any]]) -> None:
    by_name = {(value["name"], value["version"]): value for value in records.values()}
    assert len(by_name) == len(records) == len(stated)
    for schema in stated:
        value = by_name[schema["name"], schema["version"]]
        assert value.get("description") == schema.get("description")
        assert value.get("metadata", {}).get("tags", []) == schema.get("tags", [])
        body = value["schema"]["content"]
        assert body["propertyOrder"] == list(schema["fields"])
        assert sorted(body["required"]) == sorted(schema["fields"])
        for name, type_ in schema["fields"].items():
            text = type_ if isinstance(type_, str) else type_["type"]
            assert _short(body["properties"][name]) == text, (schema["name"], name)


def _short(prop: dict[str, Any]) -> str:
    """A property of a JSON Schema as a manifest has it."""
    if "ndarray" in prop.get("$ref", ""):
        dims = ["*" if dim is None else str(dim) for dim in prop.get("shape", [])]
        return f"array[{', '.join([prop['dtype'], *dims])}]"
    if prop["type"] == "array":
        return f"list[{_short(prop['items'])}]"
    if prop.get("contentEncoding") == "base64":
        return "bytes"
    return {"string": "str", "integer": "int", "number": "float", "boolean": "bool"}[prop["type"]]


def _compare_datasets(
    stated: list[dict[str, Any]], records: dict[str, dict[str, Any]], schemas: dict[str, dict[str, Any]], folder: Path
) -> None:
    by_name = {value["name"]: value for value in records.values()}
    assert len(by_name) == len(records) == len(stated)
    for dataset in stated:
        value = by_name[dataset["name"]]
        schema = schemas[value["schemaRef"]]
        assert f"{schema['name']}@{schema['version']}" == dataset["schema"]
        for key in ("description", "license"):
            assert value.get(key) == dataset.get(key), (dataset["name"], key)
        assert value.get("tags", []) == dataset.get("tags", [])
        raw = value.get("metadata", {}).get("$bytes", "gA")  # an empty map
        packed = base64.b64decode(raw + "=" * (-len(raw) % 4))
        assert msgpack.unpackb(packed) == dataset.get("metadata", {}), dataset["name"]
        listed = _compare_storage(dataset, value["storage"], folder)
        assert value["size"]["shards"] == len(listed)
        sizes = [shard.get("bytes") for shard in listed]
        assert value["size"].get("bytes") == (
            None if None in sizes else sum(size for size in sizes if size is not None)
        )


def _cid(raw: bytes) -> str:
    """Of a blob: version 1, raw bytes, SHA-256, in base32."""
    binary = bytes((1, 0x55, 0x12, 32)) + hashlib.sha256(raw).digest()
    return "b" + base64.b32encode(binary).decode().lower().rstrip("=")


def _compare_storage(dataset: dict[str, Any], storage: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    """The shards that the manifest lists; a bucket's have keys, blobs are the files beside the manifests."""
    if "blobs" in dataset:
        assert storage["$type"] == f"{NS}.storageBlobs"
        raws = [path.read_bytes() for path in sorted((folder / "blobs").glob(f"{dataset['name']}-*.tar"))]
        assert [(one["blob"]["ref"]["$link"], one["blob"]["size"]) for one in storage["blobs"]] == [
            (_cid(raw), len(raw)) for raw in raws
        ]
        return [{"bytes": len(raw)} for raw in raws]
    if "shards" in dataset:
        assert storage["$type"] == f"{NS}.storageHttp"
        listed, key = dataset["shards"], "url"
    else:
        assert storage["$type"] == f"{NS}.storageS3"
        assert (storage["bucket"], storage["endpoint"]) == (dataset["s3"]["bucket"], dataset["s3"]["endpoint"])
        listed, key = dataset["s3"]["keys"], "key"
    shards = [(shard[key], shard.get("checksum", {}).get("digest")) for shard in storage["shards"]]
    assert shards == [(shard[key], shard.get("sha256", "")) for shard in listed]
    found: list[dict[str, Any]] = listed
    return found
