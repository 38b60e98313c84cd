"""Shard manifests on the page of a dataset: statistics of all samples, and an index that the row viewer reads."""

from __future__ import annotations

import hashlib
import json
import zlib
from dataclasses import dataclass, replace
from html import unescape
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest

from catalog import PackableSample, write_samples
from catalog.config import CatalogSettings, NetworkSettings, PreviewSettings
from catalog.records import DATASET
from catalog.samples.shard_manifest import manifest_paths
from catalog.samples.statistics import FieldStatistics
from catalog.site.field_statistics import statistics_rows
from catalog.site.pages.dataset import dataset_page
from catalog.site.previews import gather
from catalog.site.row_index import ShardRows, row_index
from catalog.site.settings import SiteSettings
from catalog.site.templates import Templates
from catalog.store import Store
from catalog.store.graph import Graph
from catalog.syntax import Cid
from catalog.syntax.cid import RAW
from tests.fakes import answer
from tests.rangefiles import RangeFiles, range_files
from tests.sitecatalog import DID, dataset, fill

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from catalog.atproto.datamodel import Json
    from catalog.site.previews.shard_manifests import DatasetManifests


class Item(PackableSample):
    label: int
    name: str | None
    score: float
    data: bytes


@pytest.fixture(scope="module")
def server() -> Iterator[RangeFiles]:
    with range_files() as running:
        yield running


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("shards")
    chance = np.random.default_rng(1)
    items = [
        Item(label=number % 10, name="odd" if number % 2 else None, score=number / 7, data=chance.bytes(number % 900))
        for number in range(300)
    ]
    write_samples(items, folder / "a.tar", manifest=True, maxcount=100)
    return sorted(folder.glob("*.tar"))


def record(server: RangeFiles, shards: list[Path], key: str) -> dict[str, Json]:
    """A dataset whose shards are on the web, with manifests as blobs of the account's server."""
    listed: list[Json] = []
    manifests: list[Json] = []
    for path in shards:
        raw = path.read_bytes()
        checksum: Json = {"algorithm": "sha256", "digest": hashlib.sha256(raw).hexdigest()}
        listed.append({"url": server.add(f"{key}-{path.name}", raw), "checksum": checksum})
        header, table = (file.read_bytes() for file in manifest_paths(path))
        manifests.append(
            {"header": blob(header, "application/json"), "samples": blob(table, "application/octet-stream")}
        )
    storage: Json = {"$type": "science.alt.dataset.storageHttp", "shards": listed}
    return dataset(1, name=key, storage=storage, size={"samples": 300}, manifests=manifests)


BLOBS: dict[str, bytes] = {}


def blob(raw: bytes, kind: str) -> Json:
    cid = str(Cid.of_block(raw, RAW))
    BLOBS[cid] = raw
    return {"$type": "blob", "ref": {"$link": cid}, "mimeType": kind, "size": len(raw)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    settings: CatalogSettings
    server: RangeFiles

    def page(self, key: str) -> tuple[DatasetManifests | None, str, dict[str, str | bytes]]:
        """Return what the manifests give, the page, and the files beside it."""
        with Store.open(self.settings.store) as store:
            graph = Graph.from_store(store)
        (node,) = [node for node in graph.datasets if node.rkey == key]
        previews = gather(graph, self.settings)
        page = dataset_page(Templates(graph, SiteSettings(name="x"), previews), node)
        return previews.manifests_of(node), page.body, dict(page.files)


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory, server: RangeFiles, shards: list[Path]) -> Catalog:
    path = tmp_path_factory.mktemp("catalog") / "store.sqlite"
    wrong = record(server, shards, "wrong")
    swapped = dict(wrong)
    swapped["manifests"] = list(reversed(cast("list[Json]", wrong["manifests"])))
    fill(path, datasets=1, extra=[(DATASET, "counted", record(server, shards, "counted")), (DATASET, "wrong", swapped)])
    with Store.open(path) as store:
        (repo,) = [repo for repo in store.repos() if repo.did == DID]
        store.put_repo(replace(repo, pds=server.fake.url))
    server.fake.routes["/xrpc/com.atproto.sync.getBlob"] = lambda handler, asked: answer(
        handler, BLOBS[asked.query["cid"]]
    )
    settings = CatalogSettings(store=path, previews=PreviewSettings(), network=NetworkSettings(allow_loopback=True))
    return Catalog(settings=settings, server=server)


def unpacked(raw: str | bytes) -> bytes:
    return zlib.decompress(cast("bytes", raw))


def test_the_page_has_statistics_of_all_samples_and_an_index(catalog: Catalog, shards: list[Path]) -> None:
    found, body, files = catalog.page("counted")
    assert found is not None
    assert found.samples == 300
    assert (found.statistics["label"].min, found.statistics["label"].max, found.statistics["name"].missing) == (
        0,
        9,
        150,
    )
    assert "Over all 300 samples" in body
    assert "150 missing" in body
    assert '"index":"rows/"' in unescape(body)
    header = json.loads(files["rows/index.json"])
    assert header["shards"] == [100, 100, 100]
    columns = {column["name"]: column for column in header["columns"]}
    assert columns["name"]["words"] == ["odd"]
    labels = np.frombuffer(unpacked(files[f"rows/{columns['label']['file']}"]), "u1")
    assert labels.tolist() == [number % 10 for number in range(300)]
    # Each place is that of a tar header with the sample's key.
    steps, place, at = iter(varints(unpacked(files["rows/positions.bin"]))), 0, 0
    for shard in shards:
        raw, place = shard.read_bytes(), 0
        for _ in range(100):
            place += 512 * next(steps)
            name = raw[place : place + 100].rstrip(b"\0").decode()
            assert name == f"{unpacked(files['rows/keys.bin']).decode().split(chr(10))[at]}.msgpack"
            at += 1
        assert place + 512 * next(steps) <= len(raw)


def varints(raw: bytes) -> Iterator[int]:
    found = shift = 0
    for byte in raw:
        found |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            yield found
            found = shift = 0


def test_a_manifest_of_another_shard_gives_nothing(catalog: Catalog) -> None:
    found, body, files = catalog.page("wrong")
    assert found is None
    assert "Over all" not in body
    assert '"index":null' in unescape(body)
    assert not [name for name in files if name.startswith("rows/")]


def test_a_row_index_leaves_out_what_it_cant_hold() -> None:
    shard = ShardRows(places=[0, 1024], end=2048, keys=["a", "b"], columns={
        "mixed": [1, "a"], "long": ["x" * 200, "y"], "huge": [2**60, 1], "none": [None, None], "some": [None, 2.5],
    })  # fmt: skip
    files = row_index([shard])
    assert files is not None
    assert [column["name"] for column in json.loads(files["index.json"])["columns"]] == ["some"]
    assert row_index([]) is None
    assert row_index([ShardRows(places=[100], end=1024)]) is None, "not the place of a tar header"
    assert "keys" not in json.loads((row_index([ShardRows(places=[0], end=512)]) or {})["index.json"])


def test_hostile_statistics_are_text() -> None:
    odd = FieldStatistics(type="<script>", count=1, top=(("<img src=x>", 1),), distinct=1, histogram=(0.0, 1.0, (0, 0)))
    (row,) = statistics_rows({"<b>": odd})
    assert (row.name, row.type, row.top) == ("<b>", "<script>", (("<img src=x>", 1),))
