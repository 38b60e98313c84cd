"""The format ``webdataset``: the samples that the library of that name reads, and how their fields are decoded."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pytest
import webdataset
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray  # noqa: TC002 - annotations are resolved
from webdataset import autodecode, tariterators

from catalog import Dataset, DictSample, PackableSample, wire
from catalog.errors import InvalidSample, InvalidShard, TruncatedWarning
from catalog.samples.arrays import encode_array
from catalog.samples.packable import class_from
from catalog.schema import Array, Field, SampleType, Scalar
from catalog.shards.formats import FORMATS, format_of
from catalog.shards.formats.webdataset import WEBDATASET
from catalog.shards.reader import count_samples
from tests.shards.test_tar import tar_of

if TYPE_CHECKING:
    from pathlib import Path

Samples = list[tuple[str, dict[str, bytes]]]

_PARTS = ("a", "b", "A", "v1", "0001", "日本", "a b", "__meta__", "__x", "__", "_", ".", "..", ".h", "._b")
_FIELDS = ("jpg", "JPG", "cls", "Json", "seg.png", "SEG.png", "", "txt", "tar.gz", "msgpack", "__key__")
bases = st.builds(lambda stem, field: f"{stem}.{field}", st.sampled_from(_PARTS), st.sampled_from(_FIELDS)) | (
    st.sampled_from((*_PARTS, "README", "._a.jpg", ".DS_Store", "__index__.json", "__a.b__", "a"))
)
folders = st.lists(st.sampled_from(("d", "v1.2", "__meta__", "__MACOSX", ".", ".hidden", "日本")), max_size=2)
file_names = st.builds(lambda folder, base: "/".join((*folder, base)), folders, bases)
member_types = st.sampled_from((tarfile.REGTYPE,) * 6 + (tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.AREGTYPE))
odd_members = st.lists(st.tuples(file_names, member_types, st.binary(max_size=20)), max_size=8)


def odd_tar(found: list[tuple[str, bytes, bytes]], format_: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format_) as writing:
        for name, kind, data in found:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "x" if kind == tarfile.SYMTYPE else ""
            member.size = len(data) if kind in (tarfile.REGTYPE, tarfile.AREGTYPE) else 0
            writing.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def ours(raw: bytes) -> Samples:
    read = WEBDATASET.samples(io.BytesIO(raw), "a.tar", whole=True)
    return [(key, {name: bytes(data) for name, data in sample.items()}) for key, sample in read]


def theirs(raw: bytes) -> Samples:
    """The samples that ``webdataset`` reads, but for those it makes of hidden files."""
    files = tariterators.tar_file_expander([{"url": "a.tar", "stream": io.BytesIO(raw)}], eof_value=None)
    seen = (one for one in files if not one["fname"].rpartition("/")[2].startswith("."))
    return [
        (sample["__key__"], {name: data for name, data in sample.items() if name not in ("__key__", "__url__")})
        for sample in tariterators.group_by_keys(seen)
    ]


@given(odd_members, st.sampled_from((tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)), st.booleans())
def test_an_odd_tar_has_the_samples_that_webdataset_reads(
    found: list[tuple[str, bytes, bytes]],
    format_: int,
    packed: bool,  # noqa: FBT001 - drawn
) -> None:
    raw = odd_tar(found, format_)
    raw = gzip.compress(raw, mtime=0) if packed else raw
    try:
        expected: Samples | None = theirs(raw)
    except ValueError:  # a field twice in one sample
        expected = None
    if expected is None:
        with pytest.raises(InvalidShard, match=r"two members|reserved"):
            ours(raw)
    elif not expected:
        with pytest.raises(InvalidShard, match="no member belongs") if _has_files(found) else _nothing():
            assert ours(raw) == []
    else:
        assert ours(raw) == expected
        assert WEBDATASET.count(io.BytesIO(raw), "a.tar") == len(expected)


def _has_files(found: list[tuple[str, bytes, bytes]]) -> bool:
    return any(kind in (tarfile.REGTYPE, tarfile.AREGTYPE) for _, kind, _ in found)


class _nothing:  # noqa: N801 - a context manager
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


@given(odd_members)
def test_single_msgpack_members_are_the_samples_that_webdataset_reads(found: list[tuple[str, bytes, bytes]]) -> None:
    raw = odd_tar([one for one in found if one[0].lower().endswith(".msgpack")], tarfile.PAX_FORMAT)
    try:
        expected = [(key, sample["msgpack"]) for key, sample in theirs(raw)]
    except ValueError:
        expected = None
    if not expected:
        return
    read = FORMATS["msgpack"].samples(io.BytesIO(raw), "a.tar")
    assert [(key, bytes(data)) for key, data in read] == expected  # type: ignore[arg-type]


# --- which format --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a.msgpack"], "msgpack"),
        (["a.MSGPACK"], "msgpack"),
        (["README", "._a.msgpack", "a.msgpack"], "msgpack"),
        (["v1/22.01.msgpack", "v1/22.02.msgpack"], "msgpack"),
        (["a.jpg", "a.cls"], "webdataset"),
        (["a.json", "a.msgpack"], "webdataset"),
        (["a.msgpack", "a.json"], "webdataset"),
        (["dataset.json", "a.msgpack"], "msgpack"),
        ([], "msgpack"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_the_format_is_recognised_by_the_names_in_the_first_bytes(
    names: list[str], expected: str, *, packed: bool
) -> None:
    raw = tar_of(*((name, b"\x80") for name in names))
    found = format_of((gzip.compress(raw, mtime=0) if packed else raw)[:65_536])
    assert found is not None
    assert found.name == expected


def test_a_first_member_larger_than_the_first_bytes_is_recognised() -> None:
    for name, expected in (("a.jpg", "webdataset"), ("a.msgpack", "msgpack")):
        found = format_of(tar_of((name, b"x" * 200_000))[:65_536])
        assert found is not None
        assert found.name == expected


# --- values --------------------------------------------------------------------------------------------------

IMAGE = b"\xff\xd8\xff\xe0" + bytes(20) + b"\xff\xd9"


def ordinary(path: Path, count: int = 3) -> Path:
    """A shard as ``webdataset``'s own writer makes it: images, labels, JSON, text, arrays."""
    with webdataset.TarWriter(str(path), mtime=0) as sink:
        for number in range(count):
            sink.write({
                "__key__": f"birds/{number:04d}", "jpg": IMAGE, "cls": number, "json": {"site": "pond", "n": [number]},
                "txt": f"a wren, no. {number}", "npy": np.full((2, 3), number, np.float32), "pyd": b"",
            })  # fmt: skip
    return path


class Bird(PackableSample):
    """A bird."""

    picture: bytes = wire("jpg")
    label: int = wire("cls")
    text: str = wire("txt")
    array: Annotated[NDArray[np.float32], Array(shape=(2, 3))] = wire("npy")
    score: float | None = None


def test_an_ordinary_webdataset_is_read_without_a_type(tmp_path: Path) -> None:
    found = list(Dataset(str(ordinary(tmp_path / "a.tar"))))
    assert [type(sample) for sample in found] == [DictSample] * 3
    last = found[2]
    assert last.__key__ == "birds/0002"
    assert last["jpg"] == IMAGE
    assert (last["cls"], last["txt"], last["json"]) == (2, "a wren, no. 2", {"site": "pond", "n": [2]})
    assert last["npy"].dtype == np.float32
    assert last["npy"].tolist() == [[2.0] * 3] * 2


def test_values_are_those_of_webdatasets_own_decoding(tmp_path: Path) -> None:
    path = ordinary(tmp_path / "a.tar")
    decode = autodecode.Decoder([])
    for mine, (key, fields) in zip(Dataset(str(path)), theirs(path.read_bytes()), strict=True):
        assert mine.__key__ == key
        other = decode({name: data for name, data in fields.items() if name != "pyd"} | {"__key__": key})
        for field in ("jpg", "cls", "json", "txt"):
            assert mine[field] == other[field]
        assert np.array_equal(mine["npy"], other["npy"])


def test_an_ordinary_webdataset_is_read_as_a_class(tmp_path: Path) -> None:
    raw = ordinary(tmp_path / "a.tar").read_bytes()
    (tmp_path / "b.tar").write_bytes(gzip.compress(raw, mtime=0))
    for path in ("a.tar", "b.tar"):
        dataset = Dataset(str(tmp_path / path), Bird).validated()
        found = list(dataset)
        assert [(one.__key__, one.label, one.picture) for one in found] == [
            (f"birds/{number:04d}", number, IMAGE) for number in range(3)
        ]
        assert found[1].array.tolist() == [[1.0] * 3] * 2
        assert found[1].score is None
        assert sorted(one.label for one in dataset.shuffled(seed=3, buffer_samples=2)) == [0, 1, 2]
        (batch,) = dataset.batched(3)
        assert batch.array.shape == (3, 2, 3)
        parts = [[one.label for one in dataset.split_by_node(rank, 2)] for rank in range(2)]
        assert parts == [[0, 2], [1]]


@pytest.mark.parametrize(
    ("name", "data", "value"),
    [
        ("cls", b" 7\n", 7),
        ("index", b"-3", -3),
        ("text", "é".encode(), "é"),
        ("meta.json", b'{"a": [1, null, 2.5]}', {"a": [1, None, 2.5]}),
        ("json.gz", gzip.compress(b"[1]", mtime=0), [1]),
        ("pkl", b"\x80\x04K\x01.", b"\x80\x04K\x01."),
        ("pyd", b"\x80\x04K\x01.", b"\x80\x04K\x01."),
        ("npz", b"PK\x03\x04", b"PK\x03\x04"),
        ("", b"x", b"x"),
        ("bin", b"", b""),
    ],
)
def test_a_field_is_decoded_by_the_last_part_of_its_name(tmp_path: Path, name: str, data: bytes, value: object) -> None:
    (tmp_path / "a.tar").write_bytes(tar_of((f"a.{name}", data)))
    (sample,) = Dataset(str(tmp_path / "a.tar"))
    assert sample == {name: value}
    assert type(sample[name]) is type(value)


def test_object_arrays_are_never_unpickled(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    (tmp_path / "a.tar").write_bytes(tar_of(("a.npy", buffer.getvalue())))
    (sample,) = Dataset(str(tmp_path / "a.tar"))
    assert sample["npy"] == buffer.getvalue()


class Declared(PackableSample):
    """Types that differ from what the names suggest."""

    label: str = wire("cls")
    score: float = wire("txt")
    tags: list[str] = wire("json")
    raw: bytes = wire("index")
    good: bool = wire("good")
    at: datetime = wire("when")
    more: dict[str, Any] = wire("meta.json")


def test_the_declared_type_decides(tmp_path: Path) -> None:
    members = [("a.cls", b"wren"), ("a.txt", b"2.5"), ("a.json", b'["x"]'), ("a.index", b"7"), ("a.good", b"true"),
               ("a.when", b"2026-01-02T03:04:05Z"), ("a.meta.json", b'{"n": [1]}'),
               ("a.other", b"skipped")]  # fmt: skip
    (tmp_path / "a.tar").write_bytes(tar_of(*members))
    (sample,) = Dataset(str(tmp_path / "a.tar"), Declared)
    assert (sample.label, sample.score, sample.tags, sample.raw, sample.good) == ("wren", 2.5, ["x"], b"7", True)
    assert (sample.at, sample.more) == (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), {"n": [1]})


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ([("a.cls", b"wren")], ("'cls'", "a whole number", "wren")),
        ([("a.json", b"{")], ("'json'", "JSON")),
        ([("a.json", b"[" * 100_000)], ("'json'", "JSON")),
        ([("a.txt", b"\xff")], ("'txt'", "UTF-8")),
        ([("a.txt.gz", b"x")], ("'txt.gz'", "gzip")),
        ([("a.txt.gz", gzip.compress(bytes(1 << 27)))], ("'txt.gz'", "gzip")),
    ],
)
def test_a_field_that_cannot_be_decoded_is_named(
    tmp_path: Path, members: list[tuple[str, bytes]], words: tuple[str, ...]
) -> None:
    (tmp_path / "a.tar").write_bytes(tar_of(*members))
    with pytest.raises(InvalidSample) as caught:
        list(Dataset(str(tmp_path / "a.tar")))
    for word in (*words, "a.tar"):
        assert word in str(caught.value)


def test_a_missing_field_and_a_wrong_array_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(tar_of(("a.jpg", IMAGE), ("a.cls", b"1"), ("a.npy", encode_array(np.zeros(2)))))
    with pytest.raises(InvalidSample, match=r"'txt': expected str, found nothing"):
        list(Dataset(str(tmp_path / "a.tar"), Bird))
    (tmp_path / "b.tar").write_bytes(
        tar_of(("a.jpg", IMAGE), ("a.cls", b"1"), ("a.txt", b""), ("a.npy", encode_array(np.zeros(2))))
    )
    with pytest.raises(InvalidSample, match=r"'npy': expected array\[float32, 2, 3\], found array\[float64, 2\]"):
        list(Dataset(str(tmp_path / "b.tar"), Bird).validated())


# --- without an end mark -------------------------------------------------------------------------------------


def test_a_tar_without_an_end_mark_is_whole_if_its_checksum_is_right(tmp_path: Path) -> None:
    raw = tar_of(("a.cls", b"1"), ("b.cls", b"2"))[: 4 * 512]
    path = tmp_path / "a.tar"
    path.write_bytes(raw)
    checksum = f"sha256:{hashlib.sha256(raw).hexdigest()}"
    assert [sample["cls"] for sample in Dataset([path], checksums=[checksum])] == [1, 2]
    with pytest.warns(TruncatedWarning, match="no end mark"):
        assert [sample["cls"] for sample in Dataset(path)] == [1, 2]
    assert count_samples(io.BytesIO(raw), "a.tar") == (2, "webdataset")


def test_json_stays_json(tmp_path: Path) -> None:
    value = {"nested": {"list": [1, 2.5, "x", None, True]}, "big": 2**70}
    (tmp_path / "a.tar").write_bytes(tar_of(("a.json", json.dumps(value).encode())))
    assert next(iter(Dataset(str(tmp_path / "a.tar")))) == {"json": value}


@pytest.mark.parametrize("typed", [True, False])
def test_json_with_a_name_twice_is_refused(tmp_path: Path, *, typed: bool) -> None:
    """One of its values would be lost."""
    (tmp_path / "a.tar").write_bytes(tar_of(("0.json", b'{"a": 1, "a": 2}')))
    wanted = SampleType(name="A", version="1.0.0", fields=(Field(name="json", type=Scalar(kind="map")),))
    dataset = Dataset([str(tmp_path / "a.tar")], class_from(wanted)) if typed else Dataset([str(tmp_path / "a.tar")])
    with pytest.raises(InvalidSample, match="field 'json': the name 'a' occurs twice"):
        list(dataset)
