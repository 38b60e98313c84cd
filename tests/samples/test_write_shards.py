"""What write_shards accepts comes back equal, with its key; webdataset is the oracle of keys."""

from __future__ import annotations

import io
import re
import tarfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from webdataset.tariterators import group_by_keys, tar_file_expander

from catalog import Dataset, DictSample, PackableSample, write_shards
from catalog.errors import InvalidSample
from catalog.samples.packable import wire
from catalog.samples.write_shards import _key_fault
from catalog.shards import limits
from tests.strategies import texts

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from catalog.samples.write_shards import ShardInfo


def keyed(key: str, **values: object) -> DictSample:
    sample = DictSample(values)
    sample.__key__ = key
    return sample


def read_back(infos: Iterable[ShardInfo]) -> list[DictSample]:
    return list(Dataset.from_shards(tuple(infos)))


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
    again = write_shards(Dataset.from_shards(infos), tmp_path / "c-%d.tar")
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
    first, second = Dataset.from_shards(infos, Row)
    assert (first.text, second.text, second.raw) == ("x", None, None)
    assert first.number is not None
    assert np.isnan(first.number)
    typed = write_shards([Row(text=nan, number=nan, raw=nan)], tmp_path / "t-%d.tar")  # type: ignore[arg-type]
    (again,) = Dataset.from_shards(typed, Row)
    assert (again.text, again.raw) == (None, None)
    assert np.isnan(again.number or 0.0)
