"""Shards: patterns of names, the samples in a tar, and how they are written."""

from __future__ import annotations

import hashlib
import tarfile
import tracemalloc
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from catalog import DictSample, PackableSample
from catalog.errors import CatalogError, InvalidSample, InvalidShard
from catalog.samples.packable import pack
from catalog.samples.write_shards import write_shards
from catalog.shards.reader import read_shard
from catalog.shards.shard import Shard
from tests.shards.test_tar import tar_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Number(PackableSample):
    """One number."""

    value: int


def numbers(count: int) -> list[Number]:
    return [Number(value=value) for value in range(count)]


def saved(path: Path, raw: bytes) -> Shard:
    path.write_bytes(raw)
    return Shard(url=str(path))


def read(shard: Shard) -> list[tuple[str, bytes]]:
    return [(key, bytes(data)) for key, data in read_shard(shard)]


# --- reading -------------------------------------------------------------------------------------------------


def test_a_tar_without_samples_is_named_and_an_empty_one_is_empty(tmp_path: Path) -> None:
    shard = saved(tmp_path / "a.tar", tar_of(("a.png", b"x")))
    with pytest.raises(InvalidShard, match=r"no member is a \.msgpack sample"):
        list(read_shard(replace(shard, format="msgpack")))
    with pytest.raises(InvalidShard, match="no member belongs to a sample"):
        list(read_shard(replace(saved(tmp_path / "c.tar", tar_of(("README", b"x"))), format="webdataset")))
    assert read(saved(tmp_path / "b.tar", tar_of())) == []


# --- writing -------------------------------------------------------------------------------------------------


def test_what_is_written_says_what_it_is_and_is_the_same_every_time(tmp_path: Path) -> None:
    one = write_shards(numbers(5), tmp_path / "a" / "n-%06d.tar", maxcount=2)
    two = write_shards(numbers(5), tmp_path / "b" / "n-%06d.tar", maxcount=2)
    assert [info.path.name for info in one] == ["n-000000.tar", "n-000001.tar", "n-000002.tar"]
    assert [info.samples for info in one] == [2, 2, 1]
    for info, other in zip(one, two, strict=True):
        raw = info.path.read_bytes()
        assert (info.bytes, info.sha256) == (len(raw), hashlib.sha256(raw).hexdigest())
        assert raw == other.path.read_bytes()
    with tarfile.open(one[1].path) as tar:  # the oracle: Python's own reader
        assert tar.getnames() == ["00000002.msgpack", "00000003.msgpack"]


def test_keys_are_kept(tmp_path: Path) -> None:
    sample = DictSample(a=1)
    sample.__key__ = "people/ada"
    (info,) = write_shards([sample], tmp_path / "n-%d.tar", maxcount=1)
    assert read(Shard(url=str(info.path))) == [("people/ada", pack(sample))]


@pytest.mark.parametrize("key", [5, "a.b", "../x", "/x", "a\n", "\ud800", "a/"])
def test_a_key_that_other_readers_would_split_is_refused(tmp_path: Path, key: str) -> None:
    sample = DictSample(a=1)
    sample.__key__ = key
    with pytest.raises(InvalidSample, match="key"):
        write_shards([sample], tmp_path / "n-%d.tar", maxcount=1)


def test_samples_and_other_members_are_told_apart_by_name(tmp_path: Path) -> None:
    raw = tar_of(
        ("a.png", b"x"), ("a.msgpack", b"\x80"), (".msgpack", b"\x80"), ("d/.msgpack", b"1"), ("b.MSGPACK", b"\x80"),
        ("._b.msgpack", b"1"), ("d/._b.msgpack", b"1"), ("__meta__/b.msgpack", b"1"), ("c.d.msgpack", b"1"),
        ("./e.msgpack", b"1"), ("_f.msgpack", b"1"),
    )  # fmt: skip
    found = read(replace(saved(tmp_path / "a.tar", raw), format="msgpack"))
    assert [key for key, _ in found] == ["a", "b", "c.d", "./e", "_f"]


def test_a_shard_is_full_before_it_gets_too_long(tmp_path: Path) -> None:
    samples = [DictSample(a=b"x" * 3000) for _ in range(10)]
    infos = write_shards(samples, tmp_path / "n-%d.tar", maxsize=20_480)
    assert [info.samples for info in infos] == [5, 5]
    assert all(info.bytes == info.path.stat().st_size <= 20_480 for info in infos)
    assert [info.samples for info in write_shards(samples, tmp_path / "m-%d.tar", maxsize=20_480, maxcount=3)] == [
        3, 3, 3, 1
    ]  # fmt: skip
    (one,) = write_shards(samples, tmp_path / "o-%d.tar")
    assert one.samples == 10


def test_a_sample_longer_than_a_shard_may_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSample, match=r"a sample of 30[0-9]+ bytes; a shard has at most 20480"):
        write_shards([DictSample(a=1), DictSample(a=b"x" * 30_000)], tmp_path / "n-%d.tar", maxsize=20_480)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_for_no_samples(tmp_path: Path) -> None:
    assert write_shards([], tmp_path / "n-%d.tar", maxcount=1) == ()
    assert list(tmp_path.iterdir()) == []


def test_a_generator_may_give_more_than_fits_into_memory(tmp_path: Path) -> None:
    """200 MB of samples, of which a few are there at a time; a shard for all, and one for each ten."""

    def many() -> Iterator[DictSample]:
        for number in range(100):
            yield DictSample(a=bytes([number]) * 2_000_000)

    for name, per_shard in (("a-%d.tar", None), ("b-%d.tar", 10)):
        tracemalloc.start()
        infos = write_shards(many(), tmp_path / name, maxcount=per_shard)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert sum(info.samples for info in infos) == 100
        assert peak < 30_000_000
        for info in infos:
            info.path.unlink()


def test_when_the_samples_break_off_nothing_is_left(tmp_path: Path) -> None:
    def broken() -> Iterator[DictSample]:
        yield DictSample(a=1)
        yield DictSample(a=2)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_shards(broken(), tmp_path / "n-%d.tar", maxcount=1)
    assert list(tmp_path.iterdir()) == []


def test_a_key_twice_in_one_shard_is_refused(tmp_path: Path) -> None:
    samples = [DictSample(a=1), DictSample(a=2)]
    for sample in samples:
        sample.__key__ = "same"
    with pytest.raises(InvalidSample, match="twice"):
        write_shards(samples, tmp_path / "n-%d.tar")
    assert [info.samples for info in write_shards(samples, tmp_path / "n-%d.tar", maxcount=1)] == [1, 1]


def test_when_a_sample_cannot_be_written_no_shard_changes(tmp_path: Path) -> None:
    write_shards(numbers(2), tmp_path / "n-%06d.tar", maxcount=1)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(CatalogError):
        write_shards([Number(value=9), Number(value="x")], tmp_path / "n-%06d.tar", maxcount=1)  # type: ignore[arg-type]
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("pattern", "per_shard", "words"),
    [("n-%d-%d.tar", 1, "number"), ("n-%s.tar", 1, "number"), ("n-%d.tar", 0, "at least 1")],
)
def test_a_pattern_needs_one_number(tmp_path: Path, pattern: str, per_shard: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        write_shards(numbers(1), tmp_path / pattern, maxcount=per_shard)
