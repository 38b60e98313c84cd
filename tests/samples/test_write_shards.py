"""Samples that write_shards accepts are read back equal, with their key; webdataset is the oracle of keys."""

from __future__ import annotations

import datetime as dt
import decimal
import io
import re
import tarfile
from typing import TYPE_CHECKING, Annotated, Any

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray  # noqa: TC002 - annotations are read at run time
from PIL import Image
from webdataset.tariterators import group_by_keys, tar_file_expander

from catalog import Array, Dataset, DictSample, PackableSample
from catalog.errors import InvalidSample
from catalog.samples.packable import wire
from catalog.samples.write_shards import _key_fault, write_shards
from catalog.shards import limits
from tests.strategies import texts

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from catalog.samples.write_shards import ShardInfo


OWN = ("__key__", "__url__", "__local_path__")


def keyed(key: str, **values: object) -> DictSample:
    sample = DictSample(values)
    sample.__key__ = key
    return sample


def read_back(infos: Iterable[ShardInfo]) -> list[DictSample]:
    return list(Dataset(tuple(infos)))


def by_webdataset(path: Path) -> list[dict[str, Any]]:
    """The samples that webdataset itself reads, without what it adds."""
    with path.open("rb") as stream:
        samples = list(group_by_keys(tar_file_expander([{"url": "x", "stream": stream}])))
    return [{name: value for name, value in sample.items() if name != "__url__"} for sample in samples]


# --- keys ----------------------------------------------------------------------------------------------------

KEYS = st.text(st.sampled_from("ab.é日 ()/_-'\"%{}~́‍🦉"), min_size=1, max_size=12) | texts.filter(bool)


@given(st.lists(KEYS, min_size=1, max_size=4, unique=True))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_a_key_is_kept_by_both_readers_or_refused(tmp_path: Path, keys: list[str]) -> None:
    taken = [key for key in keys if _key_fault(key) is None]
    samples = [keyed(key, number=number) for number, key in enumerate(taken)]
    infos = write_shards(samples, tmp_path / "k-%d.tar")
    assert [(sample.__key__, dict(sample)) for sample in read_back(infos)] == [
        (key, {"number": number}) for number, key in enumerate(taken)
    ]
    for info in infos:
        assert [sample["__key__"] for sample in by_webdataset(info.path)] == taken
    for key in set(keys) - set(taken):
        with pytest.raises(InvalidSample, match="key"):
            write_shards([keyed(key, number=1)], tmp_path / "r-%d.tar")


@given(KEYS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_a_key_that_webdataset_would_keep_is_taken(tmp_path: Path, key: str) -> None:
    if re.search(r"[\0-\x1f\x7f-\x9f]", key) or key.startswith("/") or ".." in key.split("/"):
        return  # refused: unpacking the tar would write elsewhere, or nowhere
    path = tmp_path / "w.tar"
    with tarfile.open(path, "w") as tar:
        tar.addfile(tarfile.TarInfo(f"{key}.msgpack"), io.BytesIO())
    kept = [sample["__key__"] for sample in by_webdataset(path)] == [key]
    assert kept == (_key_fault(key) is None)


@pytest.mark.parametrize("key", ["Ürümqi_01", "日本", "a b", "(1)", "./a", "train/v1.2/a", "ü/é", "__a__", "k" * 300])
def test_names_of_all_kinds_are_keys(tmp_path: Path, key: str) -> None:
    (info,) = write_shards([keyed(key, n=1)], tmp_path / "k-%d.tar")
    assert [sample.__key__ for sample in read_back([info])] == [key]
    assert [sample["__key__"] for sample in by_webdataset(info.path)] == [key]


def test_a_key_longer_than_any_header_is_refused(tmp_path: Path) -> None:
    (info,) = write_shards([keyed("日" * (limits.MAX_NAME // 8), n=1)], tmp_path / "k-%d.tar")
    assert len(read_back([info])) == 1
    with pytest.raises(InvalidSample, match="key"):
        write_shards([keyed("日" * (limits.MAX_NAME // 8 + 1), n=1)], tmp_path / "k-%d.tar")


def test_samples_of_webdataset_keep_their_keys_and_lose_what_it_adds(tmp_path: Path) -> None:
    rows = [
        {"__key__": "wren", "__url__": "/home/ada/birds.tar", "__local_path__": "/home/ada/birds.tar", "cls": 1},
        {"__key__": "crow", "__url__": "/home/ada/birds.tar", "__shard_3__": 1, "cls": 2, "__x": 3},
    ]
    infos = write_shards(rows, tmp_path / "b-%d.tar")
    assert [(sample.__key__, dict(sample)) for sample in read_back(infos)] == [
        ("wren", {"cls": 1}), ("crow", {"cls": 2, "__x": 3})
    ]  # fmt: skip
    again = write_shards(Dataset(infos), tmp_path / "c-%d.tar")
    assert [info.sha256 for info in again] == [info.sha256 for info in infos]


@pytest.mark.parametrize("key", ["", 5, "a.b"])
def test_a_bad_key_in_a_sample_of_webdataset_is_refused(tmp_path: Path, key: object) -> None:
    with pytest.raises(InvalidSample, match="key"):
        write_shards([{"__key__": key, "cls": 1}], tmp_path / "b-%d.tar")


class Named(PackableSample):
    """A sample with a reserved wire name."""

    url: str = wire("__url__")


def test_a_class_with_a_reserved_wire_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSample, match="__url__"):
        write_shards([Named(url="x")], tmp_path / "n-%d.tar")


# --- what is not a sample ------------------------------------------------------------------------------------


def test_a_table_is_not_iterated_by_its_columns(tmp_path: Path) -> None:
    with pytest.raises(InvalidSample) as refused:
        write_shards(pa.table({"a": [1, 2]}), tmp_path / "t-%d.tar")
    assert "to_pylist()" in str(refused.value)
    infos = write_shards(pa.table({"a": [1]}).to_pylist(), tmp_path / "t-%d.tar")
    assert [dict(row) for row in read_back(infos)] == [{"a": 1}]


@pytest.mark.parametrize("sample", [5, "text", (np.zeros(2), 1), {"a": 1}.items()])
def test_a_sample_is_a_dict_or_of_a_class(tmp_path: Path, sample: object) -> None:
    with pytest.raises(InvalidSample, match="a sample is a dict or of a packable class"):
        write_shards([sample], tmp_path / "s-%d.tar")


def test_one_dict_is_not_a_list_of_samples(tmp_path: Path) -> None:
    with pytest.raises(InvalidSample, match="a dict is one sample"):
        write_shards({"a": 1}, tmp_path / "s-%d.tar")


# --- limits --------------------------------------------------------------------------------------------------


def test_a_sample_as_long_as_a_reader_takes_is_written_and_a_longer_one_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("catalog.shards.limits", "catalog.shards.tar"):
        monkeypatch.setattr(f"{module}.MAX_MEMBER", 1 << 20)
    fits = {"data": bytes((1 << 20) - 11)}  # the map, the name and the length of the bytes
    (info,) = write_shards([fits], tmp_path / "m-%d.tar")
    assert [dict(sample) for sample in read_back([info])] == [fits]
    with pytest.raises(InvalidSample, match=r"1,048,577 bytes; the most is 1,048,576"):
        write_shards([{"data": bytes((1 << 20) - 10)}], tmp_path / "m-%d.tar")


# --- missing values ------------------------------------------------------------------------------------------


class Row(PackableSample):
    """A row of a table."""

    text: str | None
    number: float | None
    raw: bytes | None = b"default"


def test_nan_in_an_optional_text_is_a_missing_text(tmp_path: Path) -> None:
    nan = float("nan")
    rows = [{"text": "x", "number": nan, "raw": b"y"}, {"text": nan, "number": 1.5, "raw": nan}]
    infos = write_shards(rows, tmp_path / "r-%d.tar")
    first, second = Dataset(infos, Row)
    assert (first.text, second.text, second.raw) == ("x", None, None)
    assert first.number is not None
    assert np.isnan(first.number)
    typed = write_shards([Row(text=nan, number=nan, raw=nan)], tmp_path / "t-%d.tar")  # type: ignore[arg-type]
    (again,) = Dataset(typed, Row)
    assert (again.text, again.raw) == (None, None)
    assert np.isnan(again.number or 0.0)


# --- values --------------------------------------------------------------------------------------------------


def require_same(found: object, wanted: object) -> None:
    """Check that a value came back: type, dtype, shape, items; a tuple is a list."""
    if isinstance(wanted, np.ndarray):
        assert isinstance(found, np.ndarray)
        assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
        if wanted.dtype.names is None:
            np.testing.assert_array_equal(found, wanted)
        for name in wanted.dtype.names or ():  # NumPy doesn't take NaN and NaT inside of structures for equal
            require_same(found[name], wanted[name])
    elif isinstance(wanted, list | tuple):
        assert isinstance(found, list)
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            require_same(one, other)
    elif isinstance(wanted, dict):
        assert isinstance(found, dict)
        assert list(found) == list(wanted)
        for name in wanted:
            require_same(found[name], wanted[name])
    else:
        assert type(found) is type(wanted)
        assert found == wanted or (found != found and wanted != wanted)  # noqa: PLR0124 - NaN


some_arrays = hnp.arrays(
    hnp.scalar_dtypes() | hnp.array_dtypes(max_size=3), hnp.array_shapes(min_dims=0, min_side=0, max_side=3)
)
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=20) | st.complex_numbers()
    | st.datetimes() | st.dates() | st.decimals() | st.fractions() | st.timedeltas() | st.uuids() | some_arrays
)  # fmt: skip
any_values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.sets(st.integers(), max_size=2)
        | st.dictionaries(texts | st.integers(0, 3) | st.tuples(st.integers()), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(st.lists(st.dictionaries(texts | st.sampled_from(OWN), any_values, max_size=4), min_size=1, max_size=2))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
def test_any_value_comes_back_equal_or_is_refused_with_its_field(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    for row in rows:
        row.pop("__key__", None)
    try:
        infos = write_shards(rows, tmp_path / "v-%d.tar")
    except InvalidSample as error:
        assert error.what.startswith("field ")
        return
    for sample, row in zip(read_back(infos), rows, strict=True):
        require_same(dict(sample), {name: value for name, value in row.items() if name not in OWN})


class Anything(PackableSample):
    """Values with and without a type."""

    many: list[float]
    free: Any = None


@given(st.lists(st.floats() | st.integers(), max_size=3), any_values)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80, deadline=None)
def test_a_typed_sample_comes_back_equal_or_is_refused(tmp_path: Path, many: list[float], free: object) -> None:
    try:
        infos = write_shards([Anything(many=many, free=free)], tmp_path / "v-%d.tar")
    except InvalidSample as error:
        assert error.what.startswith("field ")
        return
    (sample,) = Dataset(infos, Anything)
    require_same(sample.free, free)
    assert [one == one for one in sample.many] == [one == one for one in many]  # noqa: PLR0124 - NaN
    assert [one for one in sample.many if one == one] == [one for one in many if one == one]  # noqa: PLR0124


def nested(value: object, depth: int) -> object:
    for _ in range(depth):
        value = [value]
    return value


def structured(fields: int) -> np.ndarray[Any, Any]:
    return np.zeros(2, [(f"f{number}", "u1") for number in range(fields)])


@pytest.mark.parametrize(
    ("limit", "most", "fits", "too_much"),
    [
        ("MAX_LIST", 100, list(range(100)), list(range(101))),
        ("MAX_LIST", 100, {"a": [[0] * 100]}, {"a": [[0] * 101]}),
        ("MAX_ARRAY_DEPTH", 16, nested(np.zeros(2), 16), nested(np.zeros(2), 17)),
        ("MAX_ARRAY_DEPTH", 16, {"a": nested(np.zeros(2), 15)}, {"a": nested(np.zeros(2), 16)}),
        ("", 0, nested(1, 400), nested(1, 401)),
        ("", 0, structured(600), structured(1500)),
    ],
)
def test_what_readers_take_is_written_and_more_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, most: int, fits: object, too_much: object
) -> None:
    if limit:
        monkeypatch.setattr(limits, limit, most)
    (untyped,) = read_back(write_shards([{"free": fits}], tmp_path / "f-%d.tar"))
    require_same(untyped["free"], fits)
    (typed,) = Dataset(write_shards([Anything(many=[], free=fits)], tmp_path / "f-%d.tar"), Anything)
    require_same(typed.free, fits)
    for sample in ({"free": too_much}, Anything(many=[], free=too_much)):
        with pytest.raises(InvalidSample, match="field 'free'"):
            write_shards([sample], tmp_path / "x-%d.tar")
    with pytest.raises(InvalidSample, match="field 'many'"):
        write_shards([Anything(many=[0.5] * (limits.MAX_LIST + 1))], tmp_path / "x-%d.tar")


class Truth(PackableSample):
    """Truth values in Arrow's form."""

    named: Annotated[NDArray[np.bool_], Array(dtype="bool", format="arrowTensor")]
    other: Annotated[NDArray[Any], Array(format="arrowTensor")]


def test_truth_values_in_arrow_need_a_dtype_in_the_type(tmp_path: Path) -> None:
    fits = Truth(named=np.array([True]), other=np.array([1, 2]))
    assert list(Dataset(write_shards([fits], tmp_path / "t-%d.tar"), Truth)) == [fits]
    with pytest.raises(InvalidSample, match="field 'other'"):
        write_shards([Truth(named=np.array([True]), other=np.array([True]))], tmp_path / "t-%d.tar")


def test_a_list_that_holds_itself_is_refused(tmp_path: Path) -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(InvalidSample, match="field 'a'"):
        write_shards([{"a": endless}], tmp_path / "x-%d.tar")


def test_values_of_other_libraries_are_refused_with_the_line_that_converts_them(tmp_path: Path) -> None:
    """Each line is run: what it gives is written and comes back."""
    with h5py.File("memory.h5", "w", driver="core", backing_store=False) as file:
        stored = file.create_dataset("a", data=np.arange(3))
        for value, line in (
            (torch.arange(3), "value.numpy(force=True)"),
            (Image.new("RGB", (2, 2)), "PIL.Image.Image"),
            (stored, "value[...]"),
            (zarr.array(np.arange(3)), "value[...]"),
            (pd.Timestamp("2026-01-02"), "value.isoformat()"),
            (dt.date(2026, 1, 2), "value.isoformat()"),
            (decimal.Decimal("0.1"), "str(value)"),
            (pd.Series([1, 2]), "value.to_numpy()"),
            ({3, 1}, "sorted(value)"),
        ):
            with pytest.raises(InvalidSample) as refused:
                write_shards([{"a": value}], tmp_path / "o-%d.tar")
            assert refused.value.what.startswith("field 'a'")
            assert line in (refused.value.hint or "")
            if line != "PIL.Image.Image":
                made = eval(line, {"value": value})  # noqa: S307 - our own hints
                (sample,) = read_back(write_shards([{"a": made}], tmp_path / "o-%d.tar"))
                require_same(sample["a"], made)


def test_missing_values_of_pandas_are_none(tmp_path: Path) -> None:
    rows = pd.DataFrame({"t": [pd.NaT], "n": pd.array([None], "Int64")}).to_dict("records")
    (sample,) = read_back(write_shards(rows, tmp_path / "o-%d.tar"))
    assert dict(sample) == {"t": None, "n": None}
