"""Shard manifests: a JSON header with the statistics of a shard, and a Parquet table with a row a sample.

The files are those of atdata (``<shard>.manifest.json``, ``<shard>.manifest.parquet``), its keys have atdata's meaning,
and more keys are added; see ``docs/guides/shard-manifests.md``. The same shard gives the same header. Parquet needs the
extra ``arrow``: without it, a manifest is the header alone.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from catalog.errors import DataError, require_extra
from catalog.samples.statistics import FieldStatistics, is_finite

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["MAX_HEADER", "MAX_TABLE", "Row", "ShardManifest", "manifest_paths", "read_manifest"]

VERSION: Final = "1.0.0"
MAX_HEADER: Final = 1_048_576
"""Bytes of a header, by the lexicon."""
MAX_TABLE: Final = 5_000_000
"""Bytes of a table that many servers accept as a blob (5 MiB, the default of the reference PDS); the columns with most
bytes are left out of a larger one."""
_LARGEST_TABLE: Final = 52_428_800
_ROW_GROUP: Final = 100_000
_EPOCH: Final = "1970-01-01T00:00:00+00:00"
"""``created_at``, which atdata requires: a time would make each manifest of the same shard another one."""
_OFFSETS: Final = "data"
KEY, OFFSET, SIZE = "__key__", "__offset__", "__size__"
_RESERVED: Final = (KEY, OFFSET, SIZE)


class Row(NamedTuple):
    """The place of a sample: its key, offset and length of its bytes in the shard; ``None`` where they aren't known."""

    key: str
    offset: int | None
    size: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardManifest:
    """The contents of a shard.

    ``rows`` has the place of each sample, ``columns`` the values of its small fields (None where there is none); both
    are empty without a table. ``sha256`` and ``size`` are those of the shard that it was made of, ``None`` in a
    manifest of another program, whose offsets may be of anything.
    """

    samples: int
    statistics: Mapping[str, FieldStatistics]
    sha256: str | None = None
    size: int | None = None
    format: str | None = None
    schema_type: str = ""
    schema_version: str = ""
    rows: Sequence[Row] = ()
    columns: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    table: bool = False

    def header(self, shard_id: str) -> bytes:
        """Return the header as JSON: without percentiles and frequent values if it would be too long otherwise."""
        for statistics in (self.statistics, _shortened(self.statistics), {}):
            value = {
                "manifest_version": VERSION,
                "shard_id": shard_id,
                "schema_type": self.schema_type,
                "schema_version": self.schema_version,
                "num_samples": self.samples,
                "size_bytes": sum(row.size or 0 for row in self.rows),
                "created_at": _EPOCH,
                "aggregates": {
                    name: aggregate for name, one in statistics.items() if (aggregate := _aggregate(one)) is not None
                },
                "offsets": _OFFSETS,
                "shard": {"sha256": self.sha256, "bytes": self.size, "format": self.format},
                "statistics": {name: one.as_json() for name, one in statistics.items()},
            }
            text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
            raw = text.encode("utf-8", "replace")
            if len(raw) <= MAX_HEADER:
                break
        return raw

    def parquet(self) -> bytes | None:
        """Return the table; ``None`` without pyarrow, without samples, or if keys and offsets alone are too large.

        Columns are left out, those with most bytes first, until it has at most ``MAX_TABLE``.
        """
        if not self.rows or find_spec("pyarrow") is None:
            return None
        names = list(self.columns)
        while True:
            raw, sizes = _written(self.rows, {name: self.columns[name] for name in names})
            if len(raw) <= MAX_TABLE or not names:
                return raw if len(raw) <= _LARGEST_TABLE else None
            names.remove(max(names, key=lambda name: sizes[name]))

    def write(self, header: Path, table: Path, shard_id: str) -> None:
        """Write both files, each complete or not at all; an old table is deleted if there is no new one."""
        for path, raw in ((table, self.parquet()), (header, self.header(shard_id))):
            if raw is None:
                path.unlink(missing_ok=True)
                continue
            part = path.with_name(f".{path.name}.part")
            part.write_bytes(raw)
            part.replace(path)

    def of_shard(self, sha256: str, size: int) -> ShardManifest:
        """Return the manifest with SHA-256 and bytes of its shard."""
        return replace(self, sha256=sha256, size=size)


def manifest_paths(shard: Path) -> tuple[Path, Path]:
    """Return the paths of header and table beside a shard, as atdata names them."""
    base = shard.with_name(shard.name.removesuffix(".gz").rpartition(".")[0] or shard.name)
    return base.with_name(f"{base.name}.manifest.json"), base.with_name(f"{base.name}.manifest.parquet")


def _shortened(statistics: Mapping[str, FieldStatistics]) -> dict[str, FieldStatistics]:
    return {
        name: replace(one, percentiles=None, histogram=None, top=None if one.top is None else one.top[:3], images=None)
        for name, one in statistics.items()
    }


def _aggregate(one: FieldStatistics) -> dict[str, Any] | None:
    """Return what atdata writes of a field."""
    if one.type in ("int", "float") and one.min is not None:
        return {"type": "numeric", "min": one.min, "max": one.max, "mean": one.mean, "count": one.count - one.nan}
    if one.type in ("str", "bool") and one.distinct is not None:
        counts = {str(value): count for value, count in one.top or ()}
        return {"type": "categorical", "cardinality": one.distinct, "value_counts": counts}
    return None


def _written(rows: Sequence[Row], columns: Mapping[str, Sequence[Any]]) -> tuple[bytes, dict[str, int]]:
    """Return a Parquet file, and the bytes of each column in it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrays = {
        KEY: pa.array([row.key for row in rows], pa.string()),
        OFFSET: pa.array([row.offset for row in rows], pa.int64()),
        SIZE: pa.array([row.size for row in rows], pa.int64()),
    }
    for name, values in columns.items():
        kinds = {type(value) for value in values} - {type(None)}
        kind = pa.float64() if float in kinds else pa.int64() if kinds == {int} else None
        arrays[name] = pa.array(values, kind or (pa.bool_() if kinds == {bool} else pa.string()))
    buffer = io.BytesIO()
    table = pa.table(arrays)
    pq.write_table(table, buffer, compression="snappy", row_group_size=_ROW_GROUP, store_schema=False)
    buffer.seek(0)
    metadata = pq.read_metadata(buffer)
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    sizes = {
        name: sum(group.column(place).total_compressed_size for group in groups) for place, name in enumerate(arrays)
    }
    return buffer.getvalue(), sizes


# --- reading -------------------------------------------------------------------------------------------------


def read_manifest(header: bytes, table: bytes | None, where: str) -> ShardManifest:
    """Return a manifest, of this program or of atdata.

    What the header has in another form is ignored; a table needs pyarrow. Raises
    :class:`~catalog.errors.DataError` for what is no manifest, and :class:`~catalog.errors.MissingExtra`.
    """
    try:
        value = json.loads(header)  # atdata writes NaN and Infinity
    except (ValueError, RecursionError):
        raise DataError("the header of the shard manifest is not JSON", where=where) from None
    samples = value.get("num_samples") if isinstance(value, dict) else None
    if type(samples) is not int or samples < 0:
        raise DataError("the header of the shard manifest has no number of samples", where=where)
    shard = value.get("shard") if isinstance(value.get("shard"), dict) else {}
    ours = value.get("offsets") == _OFFSETS
    rows, columns = ((), {}) if table is None else _read_table(table, where, offsets=ours)
    if table is not None and len(rows) != samples:
        message = f"the shard manifest has {len(rows):,} rows, but its header says {samples:,} samples"
        raise DataError(message, where=where)
    return ShardManifest(
        samples=samples,
        statistics=_read_statistics(value, samples),
        sha256=_typed(shard.get("sha256"), str) if ours else None,
        size=_typed(shard.get("bytes"), int) if ours else None,
        format=_typed(shard.get("format"), str),
        schema_type=_typed(value.get("schema_type"), str) or "",
        schema_version=_typed(value.get("schema_version"), str) or "",
        rows=rows,
        columns=columns,
        table=table is not None,
    )


def _typed(value: object, kind: type) -> Any:  # noqa: ANN401 - of that type
    return value if type(value) is kind else None


def _read_statistics(value: Mapping[str, Any], samples: int) -> dict[str, FieldStatistics]:
    own, theirs = value.get("statistics"), value.get("aggregates")
    if isinstance(own, dict):
        found = {name: FieldStatistics.from_json(one) for name, one in own.items()}
    else:
        found = {name: _of_aggregate(one, samples) for name, one in theirs.items()} if isinstance(theirs, dict) else {}
    return {name: one for name, one in found.items() if one is not None}


def _of_aggregate(value: object, samples: int) -> FieldStatistics | None:
    """Return the statistics that atdata has of a field."""
    if not isinstance(value, dict):
        return None
    count, counts = value.get("count"), value.get("value_counts")
    if value.get("type") == "numeric" and type(count) is int:
        found = {"type": "float", "count": count, "missing": max(0, samples - count)}
        numbers = {name: value.get(name) for name in ("min", "max", "mean")}
        return FieldStatistics.from_json(found | {name: one for name, one in numbers.items() if is_finite(one)})
    if value.get("type") == "categorical" and isinstance(counts, dict):
        top = sorted(((k, v) for k, v in counts.items() if type(v) is int), key=lambda one: -one[1])
        count = sum(one for _, one in top)
        distinct = _typed(value.get("cardinality"), int)
        return FieldStatistics(
            type="str", count=count, missing=max(0, samples - count), distinct=distinct, top=tuple(top[:100])
        )
    return None


def _read_table(raw: bytes, where: str, *, offsets: bool) -> tuple[tuple[Row, ...], dict[str, Sequence[Any]]]:
    require_extra("arrow", "pyarrow", purpose="reading shard manifests")
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(pa.BufferReader(raw))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"the table of the shard manifest can't be read: {str(error)[:200]}", where=where) from None
    if not table.num_columns:
        return (), {}  # atdata's, of an empty shard
    names = table.column_names
    if KEY not in names or len(set(names)) < len(names):
        raise DataError("the table of the shard manifest has no column __key__", where=where)
    found = {name: table.column(name) for name in names}
    places = [found[name].to_pylist() if offsets and name in found else [None] * len(table) for name in (OFFSET, SIZE)]
    keys = found[KEY].to_pylist()
    rows = tuple(
        Row(str(key), offset if type(offset) is int else None, size if type(size) is int else None)
        for key, offset, size in zip(keys, *places, strict=True)
    )
    of = pa.types
    types = (of.is_integer, of.is_floating, of.is_boolean, of.is_string, of.is_large_string)
    columns = {
        name: column.to_pylist()
        for name, column in found.items()
        if name not in _RESERVED and any(is_of(column.type) for is_of in types)
    }
    return rows, columns
