"""Shards: where they are opened, what is checked, how they are written."""

from __future__ import annotations

import contextlib
import hashlib
import io
import tarfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog import DictSample, PackableSample, write_shards
from catalog.config import NetworkSettings
from catalog.errors import (
    CatalogError,
    ChecksumMismatch,
    InvalidSample,
    InvalidShard,
    RefusedAddress,
    RefusedUrl,
    RequestFailed,
)
from catalog.samples.packable import pack
from catalog.samples.shards import Shard, expand, read_shard
from catalog.samples.tar import members

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LOOPBACK = NetworkSettings(allow_loopback=True)


class Number(PackableSample):
    """One number."""

    value: int


def numbers(count: int) -> list[Number]:
    return [Number(value=value) for value in range(count)]


def tar_of(*members: tuple[str, bytes], format: int = tarfile.PAX_FORMAT) -> bytes:  # noqa: A002
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as tar:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def saved(path: Path, raw: bytes) -> Shard:
    path.write_bytes(raw)
    return Shard(url=str(path))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CATALOG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "shards"


# --- brace notation ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("a.tar", ["a.tar"]),
        ("a-{000..002}.tar", ["a-000.tar", "a-001.tar", "a-002.tar"]),
        ("a-{9..11}", ["a-9", "a-10", "a-11"]),
        ("{2..0}", ["2", "1", "0"]),
        ("{a,b}-{1..2}", ["a-1", "a-2", "b-1", "b-2"]),
        ("{x}", ["{x}"]),
        ("{", ["{"]),
        ("", [""]),
    ],
)
def test_a_pattern_stands_for_its_names(pattern: str, names: list[str]) -> None:
    assert list(expand(pattern)) == names


@pytest.mark.parametrize("pattern", ["{0..999999999999}", "{0..999}" * 3, "{0,1}" * 60])
def test_a_pattern_bomb_is_refused(pattern: str) -> None:
    with pytest.raises(RefusedUrl, match="more than 100000"):
        expand(pattern)


# --- opening -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    ["pipe:touch MARK", "PIPE:touch MARK", "ftp://example.org/a", "data:,x", "file://example.org/etc/passwd",
     "gs://b/k", "a\0b", "javascript:1", "hdfs://x/y"],
)  # fmt: skip
def test_every_other_scheme_is_refused_and_nothing_runs(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RefusedUrl):
        list(read_shard(Shard(url=url)))
    assert not (tmp_path / "MARK").exists()


def test_loopback_is_opened_only_when_the_settings_allow_it(serve: Callable[[Path], str], tmp_path: Path) -> None:
    write_shards(numbers(3), tmp_path / "n-%06d.tar", per_shard=9)
    shard = Shard(url=serve(tmp_path) + "n-000000.tar")
    with pytest.raises(RefusedAddress):
        list(read_shard(shard, settings=NetworkSettings()))
    assert [key for key, _ in read_shard(shard, settings=LOOPBACK)] == ["00000000", "00000001", "00000002"]


def test_a_shard_that_is_not_there_is_named(serve: Callable[[Path], str], tmp_path: Path) -> None:
    with pytest.raises(RequestFailed, match="404"):
        list(read_shard(Shard(url=serve(tmp_path) + "gone.tar"), settings=LOOPBACK))
    with pytest.raises(InvalidShard, match=r"gone\.tar: the file can't be read"):
        list(read_shard(Shard(url=str(tmp_path / "gone.tar"))))
    with pytest.raises(InvalidShard, match="can't be read"):
        list(read_shard(Shard(url=str(tmp_path))))


# --- checksums -----------------------------------------------------------------------------------------------


def test_a_remote_shard_is_checked_before_its_first_sample_and_fetched_once(
    serve: Callable[[Path], str], tmp_path: Path, cache: Path
) -> None:
    (info,) = write_shards(numbers(3), tmp_path / "n-%06d.tar", per_shard=9)
    shard = Shard(url=serve(tmp_path) + "n-000000.tar", checksum=f"sha256:{info.sha256}")
    first = list(read_shard(shard, settings=LOOPBACK))
    assert len(first) == 3
    assert [path.name for path in cache.iterdir()] == [f"sha256-{info.sha256}.tar"]
    info.path.unlink()
    assert list(read_shard(shard, settings=LOOPBACK)) == first


def test_a_damaged_copy_in_the_cache_is_fetched_again(
    serve: Callable[[Path], str], tmp_path: Path, cache: Path
) -> None:
    (info,) = write_shards(numbers(3), tmp_path / "n-%06d.tar", per_shard=9)
    shard = Shard(url=serve(tmp_path) + "n-000000.tar", checksum=f"sha256:{info.sha256}")
    list(read_shard(shard, settings=LOOPBACK))
    (cache / f"sha256-{info.sha256}.tar").write_bytes(b"rubbish")
    assert len(list(read_shard(shard, settings=LOOPBACK))) == 3


@pytest.mark.parametrize("remote", [True, False])
def test_a_wrong_checksum_yields_no_sample_and_leaves_nothing(
    serve: Callable[[Path], str], tmp_path: Path, cache: Path, *, remote: bool
) -> None:
    write_shards(numbers(3), tmp_path / "n-%06d.tar", per_shard=9)
    where = serve(tmp_path) + "n-000000.tar" if remote else str(tmp_path / "n-000000.tar")
    samples = read_shard(Shard(url=where, checksum="sha256:" + "0" * 64), settings=LOOPBACK)
    with pytest.raises(ChecksumMismatch, match="the record promises 0000"):
        next(samples)
    assert not cache.exists() or not list(cache.iterdir())


def test_a_local_shard_that_changes_is_checked_again(tmp_path: Path) -> None:
    (info,) = write_shards(numbers(3), tmp_path / "n-%06d.tar", per_shard=9)
    shard = Shard(url=str(info.path), checksum=f"SHA-256:{info.sha256.upper()}")
    assert len(list(read_shard(shard))) == 3
    write_shards(numbers(4), tmp_path / "n-%06d.tar", per_shard=9)
    with pytest.raises(ChecksumMismatch):
        list(read_shard(shard))


@pytest.mark.parametrize("checksum", ["sha256:12", "crc32:00000000", "", "sha256:" + "g" * 64, "none:"])
def test_a_checksum_that_cannot_be_checked_is_not_taken_for_right(tmp_path: Path, checksum: str) -> None:
    path = saved(tmp_path / "a.tar", tar_of(("a.msgpack", b"\x80"))).url
    with pytest.raises(ChecksumMismatch, match="can't be checked"):
        list(read_shard(Shard(url=path, checksum=checksum)))


# --- the tar -------------------------------------------------------------------------------------------------


def test_a_tar_cut_anywhere_is_never_taken_for_a_whole_one(tmp_path: Path) -> None:
    whole = tar_of(("a.msgpack", b"\x80" * 700), ("b.msgpack", b"\x80"))
    end = 512 + 1024 + 512 + 512  # two members; then come the zeros
    for cut in (*range(0, end, 128), end, end + 511):
        with pytest.raises(InvalidShard, match="cut short"):
            list(read_shard(saved(tmp_path / "cut.tar", whole[:cut])))
    assert len(list(read_shard(saved(tmp_path / "whole.tar", whole[: end + 512])))) == 2


@pytest.mark.parametrize("format_", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("name", ["a", "d" * 90 + "/" + "k" * 90, "ü/é"])
def test_every_tar_format_and_long_names_are_read(tmp_path: Path, format_: int, name: str) -> None:
    raw = tar_of((f"{name}.msgpack", b"\x80"), ("short.msgpack", b"\x81\xa1a\x01"), format=format_)
    found = list(read_shard(saved(tmp_path / "a.tar", raw)))
    assert found == [(name, b"\x80"), ("short", b"\x81\xa1a\x01")]


def test_links_folders_and_other_members_are_passed_over(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, kind in (("a.msgpack", tarfile.SYMTYPE), ("d", tarfile.DIRTYPE), ("b.msgpack", tarfile.FIFOTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            tar.addfile(member)
        member = tarfile.TarInfo("c.msgpack")
        member.size = 1
        tar.addfile(member, io.BytesIO(b"\x80"))
        tar.addfile(tarfile.TarInfo("c.json"))
    assert list(read_shard(saved(tmp_path / "a.tar", buffer.getvalue()))) == [("c", b"\x80")]


def test_a_tar_without_samples_is_named_and_an_empty_one_is_empty(tmp_path: Path) -> None:
    with pytest.raises(InvalidShard, match=r"no member is a \.msgpack sample"):
        list(read_shard(saved(tmp_path / "a.tar", tar_of(("a.png", b"x")))))
    assert list(read_shard(saved(tmp_path / "b.tar", tar_of()))) == []


def test_a_member_that_claims_a_giant_size_is_refused(tmp_path: Path) -> None:
    member = tarfile.TarInfo("a.msgpack")
    member.size = 2**40
    with pytest.raises(InvalidShard, match="the most is"):
        list(read_shard(saved(tmp_path / "a.tar", member.tobuf(tarfile.GNU_FORMAT))))


@given(st.binary(max_size=2000))
def test_any_bytes_are_a_tar_or_refused(raw: bytes) -> None:
    with contextlib.suppress(InvalidShard):
        list(members(io.BytesIO(raw), "x"))


@given(st.integers(0, 4000), st.binary(min_size=1, max_size=20))
def test_any_damage_is_read_or_refused(place: int, patch: bytes) -> None:
    raw = bytearray(tar_of(("d" * 90 + "/" + "k" * 90 + ".msgpack", b"\x80"), ("b.msgpack", b"\x80")))
    raw[place : place + len(patch)] = patch
    with contextlib.suppress(InvalidShard):
        list(members(io.BytesIO(raw), "x"))


# --- writing -------------------------------------------------------------------------------------------------


def test_what_is_written_says_what_it_is_and_is_the_same_every_time(tmp_path: Path) -> None:
    one = write_shards(numbers(5), tmp_path / "a" / "n-%06d.tar", per_shard=2)
    two = write_shards(numbers(5), tmp_path / "b" / "n-%06d.tar", per_shard=2)
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
    (info,) = write_shards([sample], tmp_path / "n-%d.tar", per_shard=1)
    assert list(read_shard(Shard(url=str(info.path)))) == [("people/ada", pack(sample))]


@pytest.mark.parametrize("key", ["a.b", "../x", "/x", "a\n", "ü", "a/"])
def test_a_key_that_other_readers_would_split_is_refused(tmp_path: Path, key: str) -> None:
    sample = DictSample(a=1)
    sample.__key__ = key
    with pytest.raises(InvalidSample, match="key"):
        write_shards([sample], tmp_path / "n-%d.tar", per_shard=1)


def test_when_a_sample_cannot_be_written_no_shard_changes(tmp_path: Path) -> None:
    write_shards(numbers(2), tmp_path / "n-%06d.tar", per_shard=1)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(CatalogError):
        write_shards([Number(value=9), Number(value="x")], tmp_path / "n-%06d.tar", per_shard=1)  # type: ignore[arg-type]
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(("pattern", "per_shard"), [("n.tar", 1), ("n-%d-%d.tar", 1), ("n-%s.tar", 1), ("n-%d.tar", 0)])
def test_a_pattern_needs_one_number(tmp_path: Path, pattern: str, per_shard: int) -> None:
    with pytest.raises(ValueError, match="pattern"):
        write_shards(numbers(1), tmp_path / pattern, per_shard=per_shard)
