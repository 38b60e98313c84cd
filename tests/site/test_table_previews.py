"""Previews of tables: the first rows by the schema, of a remote Parquet file without fetching all of it."""

from __future__ import annotations

import datetime as dt
import time
from typing import TYPE_CHECKING, Any

import msgpack
import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from catalog.atproto.identity import Resolver
from catalog.config import NetworkSettings
from catalog.errors import ResponseTooLarge
from catalog.network.http import Client
from catalog.schema import Field, SampleType, Scalar
from catalog.shards.shard import Shard
from catalog.site.previews.first_samples import FirstShard, Limits, fetch_samples, local_samples
from tests.fakes import Fake, fake_server
from tests.shards.test_tables import Ranged
from tests.shards.test_tar import tar_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOOPBACK = NetworkSettings(allow_loopback=True)
LIMITS = Limits(shown=4, most=200_000)


@pytest.fixture
def fake() -> Iterator[Fake]:
    with fake_server({}) as running:
        yield running


def fetched(fake: Fake, raw: bytes) -> tuple[list[tuple[str, bytes]] | None, Ranged]:
    served = fake.routes["/a.parquet"] = Ranged(raw)
    first = FirstShard(shard=Shard(url=f"{fake.url}/a.parquet", format="parquet"), host="data.example")
    with Client(LOOPBACK) as client:
        resolver = Resolver(client, LOOPBACK)
        found = fetch_samples(client, resolver, first, LIMITS, known=None, due=time.monotonic() + 60)
    return found[1], served


def table(rows: int, size: int) -> pa.Table:
    random = np.random.default_rng(1)
    at = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    raw = pa.array([random.bytes(size) for _ in range(rows)])
    return pa.table({"n": range(rows), "at": [at] * rows, "raw": raw, "v": [[1, 2]] * rows})


def test_the_first_rows_of_a_large_parquet_file_are_fetched_by_ranges(tmp_path: Path, fake: Fake) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_table(table(5000, 500), path, row_group_size=100)
    samples, served = fetched(fake, path.read_bytes())
    assert samples is not None
    rows = [msgpack.unpackb(raw) for _, raw in samples]
    assert [row["n"] for row in rows[:4]] == [0, 1, 2, 3]
    assert rows[0]["at"] == "2026-01-01T00:00:00+00:00"
    assert served.sent < path.stat().st_size


def test_a_row_group_beyond_the_limit_is_not_fetched(tmp_path: Path, fake: Fake) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_table(table(2000, 500), path, row_group_size=2000)
    with pytest.raises(ResponseTooLarge):
        fetched(fake, path.read_bytes())


def test_a_text_table_is_shown_by_its_schema(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("zip,n\n01234,1\n99999,\n")
    fields = (Field(name="zip", type=Scalar(kind="str")), Field(name="n", type=Scalar(kind="int"), optional=True))
    wanted = SampleType(name="A", version="1.0.0", fields=fields)
    found = local_samples(str(tmp_path / "a.csv"), LIMITS, wanted)
    assert [msgpack.unpackb(raw) for _, raw in found] == [{"zip": "01234", "n": 1}, {"zip": "99999"}]


@pytest.mark.parametrize(
    ("name", "raw", "fields", "shown"),
    [
        ("a.csv", b"zip,n\n01234,1\n99999,many\n", {"zip": "str", "n": "int"}, {"zip": "99999", "n": "many"}),
        (
            "a.jsonl",
            b'{"zip": "1", "n": 1}\n{"zip": "2", "n": "many"}\n',
            {"zip": "str", "n": "int"},
            {"zip": "2", "n": "many"},
        ),
        (
            "a.tar",
            tar_of(("0.id", b"7"), ("0.note", b"x"), ("1.id", b"00x"), ("1.note", b"y")),
            {"id": "int", "note": "str"},
            {"id": b"00x", "note": "y"},
        ),
        # By its name the field would be a number.
        ("b.tar", tar_of(("0.id", b"007"), ("1.id", b"008")), {"id": "str"}, {"id": "008"}),
    ],
)
def test_values_are_decoded_by_the_schema_of_the_record(
    tmp_path: Path, name: str, raw: bytes, fields: dict[str, Any], shown: dict[str, Any]
) -> None:
    """A value that doesn't fit is shown as it is stored, and the others of its sample by their types."""
    (tmp_path / name).write_bytes(raw)
    wanted = SampleType(
        name="A", version="1.0.0", fields=tuple(Field(name=one, type=Scalar(kind=kind)) for one, kind in fields.items())
    )
    found = local_samples(str(tmp_path / name), LIMITS, wanted)
    assert [msgpack.unpackb(packed) for _, packed in found][1] == shown
