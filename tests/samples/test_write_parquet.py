"""Parquet that write_shards writes, as Dataset and pyarrow read it."""

from __future__ import annotations

import datetime as dt
import decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray  # noqa: TC002 - annotations are read at run time
from pyarrow import parquet

from catalog import Dataset, DictSample, PackableSample
from catalog.config import NetworkSettings
from catalog.errors import InvalidSample
from catalog.publish.infer_manifest import sketch
from catalog.samples.write_shards import write_shards
from tests.strategies import texts

if TYPE_CHECKING:
    from pathlib import Path


def read_back(folder: Path, rows: list[Any]) -> list[DictSample]:
    infos = write_shards(rows, folder / "t-%d.parquet", format="parquet")
    assert sum(info.samples for info in infos) == len(rows)
    assert [info.path.stat().st_size for info in infos] == [info.bytes for info in infos]
    return list(Dataset(infos))


def require_same(found: object, wanted: object) -> None:
    assert type(found) is type(wanted)
    if isinstance(wanted, np.ndarray) and isinstance(found, np.ndarray):
        assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
        np.testing.assert_array_equal(found, wanted)
    elif wanted == wanted:  # noqa: PLR0124 - not NaN
        assert found == wanted


def arrays(*dtypes: str) -> st.SearchStrategy[Any]:
    shapes = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
    return hnp.arrays(st.sampled_from(dtypes), shapes)


COLUMNS: list[st.SearchStrategy[Any]] = [
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    texts,
    st.binary().filter(lambda data: data[:6] != b"\x93NUMPY"),
    st.datetimes(timezones=st.just(dt.UTC)),
    st.datetimes(),
    arrays("f4"),
    arrays("u1", "?", ">i2"),
    arrays("f2", "c8", "M8[ns]", "U2"),
    hnp.arrays("i8", st.tuples(st.integers(0, 4))),
    st.lists(texts),
    st.fixed_dictionaries({"a": st.integers(0, 9), "b": st.lists(texts)}),
]


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
def test_rows_come_back_equal(tmp_path: Path, data: st.DataObject) -> None:
    columns = data.draw(st.lists(st.sampled_from(COLUMNS), min_size=1, max_size=3))
    names = data.draw(st.lists(texts.filter(bool), min_size=len(columns), max_size=len(columns), unique=True))
    row = st.tuples(*(st.none() | column if number else column for number, column in enumerate(columns)))
    rows = [dict(zip(names, values, strict=True)) for values in data.draw(st.lists(row, min_size=1, max_size=5))]
    found = read_back(tmp_path, rows)
    assert [list(sample) for sample in found] == [names] * len(rows)
    for sample, wanted in zip(found, rows, strict=True):
        for name, value in wanted.items():
            require_same(sample[name], value)


class Bird(PackableSample):
    """A row."""

    label: int
    boxes: list[float]
    song: NDArray[np.float32] | None = None
    note: str | None = None
    seen: dt.datetime | None = None


def test_typed_samples_come_back_equal(tmp_path: Path) -> None:
    time = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
    birds = [
        Bird(label=1, boxes=[0.5]),
        Bird(label=2, boxes=[], song=np.zeros(3, np.float32), note="x", seen=time),
        Bird(label=3, boxes=[1.0, 2.0], song=np.zeros(0, np.float32)),
    ]
    infos = write_shards(birds, tmp_path / "b-%d.parquet", format="parquet", maxcount=2)
    assert [info.samples for info in infos] == [2, 1]
    assert list(Dataset(infos, Bird)) == birds
    schemas = {parquet.read_schema(info.path) for info in infos}
    assert len(schemas) == 1


def test_a_table_of_pandas_is_written_with_its_times_and_missing_values(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"a": [1.5, None], "s": ["x", None], "t": [pd.Timestamp("2026-01-02"), pd.NaT], "n": [1, 2], "b": [True, False]}
    )
    first, second = read_back(tmp_path, frame.to_dict("records"))
    assert dict(first) == {"a": 1.5, "s": "x", "t": dt.datetime(2026, 1, 2), "n": 1, "b": True}  # noqa: DTZ001 - as it was
    assert (second["s"], second["t"], second["n"]) == (None, None, 2)
    assert np.isnan(second["a"])


@pytest.mark.parametrize(
    ("rows", "where", "expected", "todo"),
    [
        ([{"x": 1}, {"x": "a"}], "00000001", "int in one row, str in another", ""),
        ([{"x": [1, 2]}], "00000000", "a list of numbers", "np.asarray"),
        ([{"x": 2**63}], "00000000", "64 bits", "str(value)"),
        ([{"x": 2**53 + 1}, {"x": 0.5}], "00000000", "no float", "str(value)"),
        ([{"x": "\ud800"}], "00000000", "can't be stored", ""),
        ([{"x": decimal.Decimal(1)}], "00000000", "Decimal", "str(value)"),
        ([{"x": {"a": 1}}, {"x": {"b": 1}}], "00000000", "another form", "msgpack"),
        ([{"x": {1, 2}}], "00000000", "set", "sorted(value)"),
        ([{"x": pd.Timestamp("2026-01-01 00:00:00.000000001")}], "00000000", "nanoseconds", "floor"),
        ([{"x": np.array([None])}], "00000000", "object", ""),
        ([{5: 1}], "00000000", "text", ""),
    ],
)
def test_what_would_come_back_otherwise_is_refused_with_row_and_field(
    tmp_path: Path, rows: list[dict[Any, Any]], where: str, expected: str, todo: str
) -> None:
    with pytest.raises(InvalidSample) as refused:
        write_shards(rows, tmp_path / "t-%d.parquet", format="parquet")
    assert refused.value.where == where
    assert expected in refused.value.what
    assert todo in (refused.value.hint or "")
    assert list(tmp_path.iterdir()) == []


class Song(PackableSample):
    """A row with a key of its own."""

    song: str


@pytest.mark.parametrize("keys", [["wren", "0001", "a/b"], ["000000017", None, "wren"]])
@pytest.mark.parametrize("typed", [True, False])
def test_keys_come_back_and_are_no_field(tmp_path: Path, keys: list[str | None], *, typed: bool) -> None:
    """A row without one has its number, as in every table."""
    rows: list[Any] = []
    for number, key in enumerate(keys):
        one: Any = Song(song=str(number)) if typed else DictSample(song=str(number))
        if key is not None:
            one.__key__ = key
        rows.append(one)
    [info] = write_shards(rows, tmp_path / "t-%d.parquet", format="parquet")
    assert parquet.read_table(info.path).column_names == ["__key__", "song"]
    for dataset in (Dataset([str(info.path)]), Dataset([str(info.path)], Song)):
        found: list[Any] = list(dataset)
        assert [one.__key__ for one in found] == [key or f"{number:09d}" for number, key in enumerate(keys)]
        assert [one.song for one in found] == ["0", "1", "2"]
    again = write_shards(Dataset([str(info.path)]), tmp_path / "u-%d.parquet", format="parquet")
    assert [one.__key__ for one in Dataset([str(again[0].path)])] == [one.__key__ for one in found]
    assert [field.name for field in sketch([str(info.path)], settings=NetworkSettings()).seen.fields] == ["song"]


def test_a_key_after_rows_without_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSample, match="a key, but the rows before have none"):
        write_shards([{"x": 1}] * 100_001 + [{"__key__": "a", "x": 1}], tmp_path / "t-%d.parquet", format="parquet")


@pytest.mark.parametrize(
    ("first", "later", "expected"),
    [
        ({"x": 1}, {"x": 0.5}, "int in the rows before, float here"),
        ({"x": None}, {"x": 1}, "no value in the rows before"),
        ({"x": 1}, {"y": 1}, "not in the rows before"),
        ({"x": np.zeros(2)}, {"x": np.zeros(2, np.float32)}, "float64 with 1 axes in the rows before"),
    ],
)
def test_the_first_rows_give_the_types_of_all_shards(
    tmp_path: Path, first: dict[str, Any], later: dict[str, Any], expected: str
) -> None:
    with pytest.raises(InvalidSample, match=expected):
        write_shards([first, later], tmp_path / "t-%d.parquet", format="parquet", maxcount=1)
    assert list(tmp_path.iterdir()) == []


def test_row_groups_are_small_and_payloads_have_no_statistics(tmp_path: Path) -> None:
    rows = [{"img": bytes([number]) * 1_000_000, "n": number, "s": "text"} for number in range(10)]
    one, two = (
        write_shards(rows, tmp_path / name / "t-%d.parquet", format="parquet")[0].path.read_bytes() for name in "ab"
    )
    assert one == two
    metadata = parquet.read_metadata(tmp_path / "a" / "t-0.parquet")
    assert metadata.num_row_groups == 3
    group = metadata.row_group(0)
    assert [group.column(number).statistics is None for number in range(3)] == [True, False, False]


def test_the_length_of_a_table_is_not_limited_in_bytes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="maxcount"):
        write_shards([{"a": 1}], tmp_path / "t-%d.parquet", format="parquet", maxsize=1000)


def test_samples_of_tables_and_numbered_samples_are_rows(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"a": 1}, {"a": 2}]
    numbered = list(Dataset(write_shards(rows, tmp_path / "n-%d.tar")))
    found = read_back(tmp_path, read_back(tmp_path, numbered))
    assert [dict(sample) for sample in found] == rows
