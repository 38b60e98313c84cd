"""Statistics of all samples and the index of the row viewer, made of the shard manifests of a dataset.

Manifests never change, as their blobs are named by CID; so what is made of them is kept in the folder of the store.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from catalog.datasets.row_access import manifest_of
from catalog.errors import CatalogError
from catalog.records import BlobStorage
from catalog.samples.statistics import FieldStatistics, merged
from catalog.shards.locations import shards_of_storage
from catalog.shards.shard import Shard
from catalog.site.previews.cache import replace_file
from catalog.site.row_index import BLOCK, FORMATS, ShardRows, row_index

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from catalog.config import NetworkSettings
    from catalog.samples.shard_manifest import ShardManifest
    from catalog.store.graph import DatasetNode

FOLDER: Final = "rows"
"""The cache, in the folder of the store."""
MAX_SHARDS: Final = 2000
"""Shards of a dataset whose manifests are read."""
_VERSION: Final = 1
_LONGEST_KEY: Final = 80
"""Bytes of a key that is surely in the header of its member, and not in one before."""
_MAX_FILE: Final = 100_000_000
_STATISTICS: Final = "statistics.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetManifests:
    """The statistics of a dataset's fields over all ``samples``, and the files of its row index, if there is one."""

    samples: int
    statistics: Mapping[str, FieldStatistics]
    index: Mapping[str, bytes]

    def dump(self) -> bytes:
        """Serialize it: a zip file."""
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as packed:
            fields = {name: one.as_json() for name, one in self.statistics.items()}
            packed.writestr(_STATISTICS, json.dumps({"samples": self.samples, "fields": fields}))
            for name, raw in self.index.items():
                packed.writestr(name, raw)
        return out.getvalue()

    @classmethod
    def load(cls, path: Path) -> DatasetManifests | None:
        """Read a file that :meth:`dump` made; ``None`` if it can't be read."""
        try:
            with zipfile.ZipFile(path) as packed:
                files = {info.filename: packed.read(info) for info in packed.infolist() if info.file_size <= _MAX_FILE}
            value = json.loads(files.pop(_STATISTICS))
            fields = {name: FieldStatistics.from_json(one) for name, one in value["fields"].items()}
            found = {name: one for name, one in fields.items() if one is not None}
            return cls(samples=int(value["samples"]), statistics=found, index=files)
        except (OSError, ValueError, KeyError, AttributeError, TypeError, zipfile.BadZipFile):
            return None


def dataset_manifests(node: DatasetNode, settings: NetworkSettings, folder: Path, *, fetches: bool) -> Path | None:
    """Return the file made of the manifests of a dataset; ``None`` if it has none that can be read.

    It is made if it isn't in ``folder`` and ``fetches`` is true; that of a draft is made again each time.
    """
    shards = list(_shards(node))
    if not shards or len(shards) > MAX_SHARDS:
        return None
    named = json.dumps(
        [_VERSION, [[one.url, one.checksum] for one in shards], [str(ref) for ref in node.record.manifests]]
    )
    path = folder / f"{hashlib.sha256(named.encode('utf-8', 'replace')).hexdigest()}.zip"
    if path.is_file() and not node.local:
        return path
    found = _read(shards, settings) if fetches else None
    if found is None:
        return None
    replace_file(path, found.dump())
    return path


def _shards(node: DatasetNode) -> Iterator[Shard]:
    record = node.record
    if node.draft and node.local:
        return (Shard(url=str(path), format=record.sample_format) for path in node.local)
    pds = node.publisher.pds or ""
    if not record.manifests or (isinstance(record.storage, BlobStorage) and not pds):
        return iter(())
    try:
        found = shards_of_storage(record.storage, node.publisher.did, pds, record.sample_format, record.manifests)
        return iter([one for one in found if one.manifest is not None])
    except CatalogError:
        return iter(())


def _read(shards: list[Shard], settings: NetworkSettings) -> DatasetManifests | None:
    parts: list[tuple[int, Mapping[str, FieldStatistics]]] = []
    rows: list[ShardRows] | None = []
    unit = 1
    for shard in shards:
        found = manifest_of(shard, settings, table=True)
        if found is None:
            return None
        parts.append((found.samples, found.statistics))
        unit = BLOCK if found.format in {"msgpack", "webdataset"} else 1
        one = _rows(found, unit) if rows is not None else None
        rows = None if rows is None or one is None else [*rows, one]
    index = row_index(rows, unit=unit) if rows else None
    return DatasetManifests(samples=sum(n for n, _ in parts), statistics=merged(parts), index=index or {})


def _rows(found: ShardManifest, unit: int) -> ShardRows | None:
    """Return the places of the samples; ``None`` if the manifest doesn't have all of them."""
    if found.format not in FORMATS or len(found.rows) != found.samples or not found.rows:
        return None
    head = BLOCK if unit == BLOCK else 0
    places, end = [], 0
    for row in found.rows:
        if row.offset is None or row.size is None or row.offset < end + head or len(row.key.encode()) > _LONGEST_KEY:
            return None
        places.append(row.offset - head)
        end = row.offset + -(-row.size // unit) * unit
    keys = [row.key for row in found.rows]
    return ShardRows(places=places, end=end, keys=keys if unit == BLOCK else (), columns=found.columns)
