"""WebDatasets that write_shards writes, as webdataset itself reads and decodes them."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import webdataset
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray  # noqa: TC002 - annotations are read at run time
from webdataset.tariterators import group_by_keys, tar_file_expander

from catalog import Dataset, DictSample, PackableSample
from catalog.errors import InvalidSample
from catalog.samples.packable import wire
from catalog.samples.write_shards import write_shards
from catalog.shards import limits
from tests.strategies import texts

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


OWN = ("__key__", "__url__", "__local_path__")


def written(folder: Path, *samples: object) -> Path:
    (info,) = write_shards(samples, folder / "w-%d.tar", format="webdataset")
    assert info.format == "webdataset"
    assert info.samples == len(samples)
    return info.path


def raw(path: Path) -> list[dict[str, Any]]:
    """The samples that webdataset reads; it leaves files open that it opens itself."""
    with path.open("rb") as stream:
        return list(group_by_keys(tar_file_expander([{"url": "x", "stream": stream, "local_path": "x"}])))


def decoded(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Key and fields of the samples that webdataset decodes."""
    found: Iterable[dict[str, Any]] = webdataset.filters.decode()(raw(path))
    return [(sample["__key__"], {name: sample[name] for name in sample if name not in OWN}) for sample in found]


def sample_of(key: str, values: dict[str, Any]) -> DictSample:
    sample = DictSample(values)
    sample.__key__ = key
    return sample


def require_same(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Check that names, order, types and values are the same."""
    assert list(found) == list(wanted)
    for name, value in wanted.items():
        assert type(found[name]) is type(value)
        if isinstance(value, np.ndarray):
            assert found[name].dtype == value.dtype
            np.testing.assert_array_equal(found[name], value)
        else:
            assert found[name] == value


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
).filter(lambda value: value is not None and not isinstance(value, str))

FIELDS = {
    "cls": st.integers(-(2**63), 2**64 - 1),
    "caption.txt": texts,
    "meta.json": json_values,
    "x.npy": hnp.arrays(st.sampled_from(["u1", "<f4", ">i2", "M8[ns]", "U3", "?"]), hnp.array_shapes(min_dims=0)),
    "jpg": st.binary().filter(lambda data: data[:6] != b"\x93NUMPY"),
    "bin": st.binary(max_size=5),
}


@given(st.lists(st.fixed_dictionaries({"x.cls": FIELDS["cls"]}, optional=FIELDS), min_size=1, max_size=3))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
def test_webdataset_decodes_what_was_written(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    path = written(tmp_path, *(sample_of(f"é {number}", row) for number, row in enumerate(rows)))
    found = decoded(path)
    assert [key for key, _ in found] == [f"é {number}" for number in range(len(rows))]
    for row, (_, fields) in zip(rows, found, strict=True):
        assert list(fields) == list(row)
        require_same(fields, row)
    again = list(Dataset([path]))
    assert [sample.__key__ for sample in again] == [key for key, _ in found]
    for row, sample in zip(rows, again, strict=True):
        require_same(sample, row)


def test_headers_are_plain_and_bytes_are_the_same_every_time(tmp_path: Path) -> None:
    rows = [{"__key__": f"{number:03d}", "jpg": b"x", "cls": number, "meta.json.gz": {"a": 1}} for number in range(3)]
    one, two = (written(tmp_path / name, *rows).read_bytes() for name in "ab")
    assert one == two
    with tarfile.open(fileobj=io.BytesIO(one)) as tar:
        members = tar.getmembers()
    assert [member.name for member in members[:3]] == ["000.jpg", "000.cls", "000.meta.json.gz"]
    assert {(member.offset_data - member.offset, member.mtime, member.uid) for member in members} == {(512, 0, 0)}


def test_samples_that_webdataset_did_not_decode_are_written_again_unchanged(tmp_path: Path) -> None:
    first = written(tmp_path / "a", {"__key__": "x/wren", "cls": 1, "txt": "a wren", "json": [1], "npy": np.arange(3)})
    second = written(tmp_path / "b", *raw(first))
    assert second.read_bytes() == first.read_bytes()


class Bird(PackableSample):
    """A sample in a WebDataset."""

    picture: bytes = wire("jpg")
    label: int = wire("cls")
    boxes: list[float] = wire("boxes.json")
    mask: NDArray[np.uint8] = wire("mask.npy")
    caption: str | None = wire("txt", default=None)


def test_a_typed_sample_has_a_member_a_field(tmp_path: Path) -> None:
    bird = Bird(picture=b"\xff", label=3, boxes=[0.5, 2.0], mask=np.eye(2, dtype=np.uint8))
    infos = write_shards([bird], tmp_path / "w-%d.tar", format="webdataset")
    assert list(Dataset(infos, Bird)) == [bird]
    ((key, fields),) = decoded(infos[0].path)
    assert key == "00000000"
    assert list(fields) == ["jpg", "cls", "boxes.json", "mask.npy"]
    assert fields["boxes.json"] == [0.5, 2.0]
    assert fields["mask.npy"].tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize(
    ("values", "expected", "todo"),
    [
        ({"label": 7}, "bytes, found int", "'label.cls'"),
        ({"name": "x"}, "bytes, found str", "'name.txt'"),
        ({"image": np.zeros(2)}, "bytes, found ndarray", "'image.npy'"),
        ({"score": 0.5}, "bytes, found float", "'score.json'"),
        ({"cls": True}, "an int, found bool", "'cls.json'"),
        ({"cls": b"seven"}, "promises an int", ""),
        ({"cls": 2**70}, "64 bits", "str(value)"),
        ({"json": "x"}, "JSON other than a text", "txt"),
        ({"json": {1: 2}}, "keys aren't text", "str(key)"),
        ({"json": float("inf")}, "not JSON", ""),
        ({"json": {"a": np.zeros(2)}}, "not JSON", "field of its own"),
        ({"json": b"{"}, "promises JSON", ""),
        ({"npy": [1]}, "a numpy array, found list", "np.asarray"),
        ({"npy": b"no"}, "promises a numpy array", ""),
        ({"raw": b"\x93NUMPY"}, "'npy'", "'raw.npy'"),
        ({"a.json.gz": b"{}"}, "compressed", "gzip.compress"),
        ({"JPG": b""}, "lower case", "'jpg'"),
        ({"a/b": b""}, "no extension", ""),
        ({"": b""}, "no extension", ""),
        ({5: b""}, "is text", ""),
        ({"msgpack": b""}, "msgpack", "'mp'"),
        ({"cls": None, "txt": float("nan")}, "no members", ""),
    ],
)
def test_what_would_come_back_otherwise_is_refused_with_the_field(
    tmp_path: Path, values: dict[Any, Any], expected: str, todo: str
) -> None:
    with pytest.raises(InvalidSample) as refused:
        write_shards([values], tmp_path / "w-%d.tar", format="webdataset")
    error = refused.value
    assert error.where == "00000000"
    assert expected in error.what
    assert todo in (error.hint or "")
    if "no members" not in expected:
        assert error.what.startswith(f"field {next(iter(values))!r}")
    assert list(tmp_path.iterdir()) == []


def test_missing_values_are_no_members(tmp_path: Path) -> None:
    path = written(tmp_path, {"cls": 1, "txt": None, "a.txt": float("nan")})
    assert decoded(path) == [("00000000", {"cls": 1})]


def test_compressed_fields_are_written_as_webdataset_reads_them(tmp_path: Path) -> None:
    path = written(tmp_path, {"a.json.gz": {"a": [1, 2]}, "b.txt.gz": gzip.compress(b"text")})
    ((_, fields),) = decoded(path)
    assert fields == {"a.json.gz": {"a": [1, 2]}, "b.txt.gz": "text"}


def test_a_shard_is_full_before_it_gets_too_long(tmp_path: Path) -> None:
    rows = [{"jpg": bytes(2000), "json": {"n": number}} for number in range(10)]
    infos = write_shards(rows, tmp_path / "w-%d.tar", maxsize=20_480, format="webdataset")
    assert [info.samples for info in infos] == [5, 5]
    assert all(info.bytes == info.path.stat().st_size == 20_480 for info in infos)
    with pytest.raises(InvalidSample, match="a shard has at most 20480"):
        write_shards([{"a.bin": bytes(10_000), "b.bin": bytes(9_000)}], tmp_path / "x-%d.tar", maxsize=20_480,
                     format="webdataset")  # fmt: skip


@pytest.mark.parametrize(("name", "most"), [("MAX_MEMBER", 1000), ("MAX_MEMBERS", 2)])
def test_the_limits_of_readers_are_those_of_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, most: int
) -> None:
    monkeypatch.setattr(limits, name, most)
    written(tmp_path, {"a": bytes(500), "b": bytes(500)})
    too_much = {"a": bytes(500), "b": bytes(500), "c": b"x"}
    with pytest.raises(InvalidSample, match=f"{most:,}"):
        write_shards([too_much], tmp_path / "x-%d.tar", format="webdataset")


def test_an_unknown_format_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="webdataset"):
        write_shards([], tmp_path / "x-%d.tar", format="zip")  # type: ignore[arg-type]


def test_json_is_not_escaped(tmp_path: Path) -> None:
    path = written(tmp_path, {"json": {"name": "Ürümqi"}})
    with tarfile.open(path) as tar:
        member = tar.extractfile("00000000.json")
        assert member is not None
        assert json.loads(member.read()) == {"name": "Ürümqi"}
