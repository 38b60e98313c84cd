"""The tar format: read like Python's own reader does, and never further than the bytes that are there."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import hashlib
import io
import lzma
import tarfile
import tracemalloc
import zlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.errors import InvalidShard, TruncatedWarning
from catalog.shards import tar
from catalog.shards.tar import TarWriter, members

if TYPE_CHECKING:
    from collections.abc import Sequence

Members = list[tuple[str, bytes]]
FORMATS = (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
LONG = "d" * 90 + "/" + "k" * 90


def tar_of(*found: tuple[str, bytes], format: int = tarfile.PAX_FORMAT) -> bytes:  # noqa: A002 - tarfile's own name
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as writing:
        for name, data in found:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            writing.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def header(name: str = "a", *, size: bytes | None = None, kind: bytes = b"0", length: int = 0) -> bytes:
    """A header with any size field, and the sum that fits it."""
    member = tarfile.TarInfo(name)
    member.size, member.type = length, kind
    raw = bytearray(member.tobuf(tarfile.USTAR_FORMAT))
    if size is not None:
        raw[124:136] = size.ljust(12, b"\0")
    raw[148:156] = b" " * 8
    raw[148:156] = b"%06o\0 " % sum(raw)
    return bytes(raw)


def read(raw: bytes, *, whole: bool = False) -> Members:
    return [(name, bytes(data)) for name, data in members(io.BytesIO(raw), "a.tar", whole=whole)]


class Dripping:
    """A source that gives few bytes at a time, as networks do."""

    def __init__(self, raw: bytes, counts: Sequence[int]) -> None:
        self._rest, self._counts, self._turn = raw, counts, 0

    def readinto(self, into: memoryview, /) -> int:
        self._turn += 1
        count = min(self._counts[self._turn % len(self._counts)], len(into), len(self._rest))
        into[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


# --- what is read --------------------------------------------------------------------------------------------

names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=120).filter(
    lambda name: name == name.strip("/")
)
contents = st.lists(st.tuples(names, st.binary(max_size=1500)), max_size=5)


@given(contents, st.sampled_from(FORMATS[1:]))
def test_members_are_those_that_pythons_own_reader_finds(found: Members, format_: int) -> None:
    raw = tar_of(*found, format=format_)
    with tarfile.open(fileobj=io.BytesIO(raw)) as oracle:
        expected = [(one.name, opened.read()) for one in oracle if (opened := oracle.extractfile(one)) is not None]
    assert read(raw) == expected == found


@given(contents, st.lists(st.integers(1, 3000), min_size=1, max_size=4))
def test_members_are_the_same_however_few_bytes_come_at_a_time(found: Members, counts: list[int]) -> None:
    source = Dripping(tar_of(*found), counts)
    assert [(name, bytes(data)) for name, data in members(source, "a.tar")] == found


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 16_000, 16_384, 65_535, 65_536, 65_537, 200_000])
def test_members_on_either_side_of_a_block_are_whole(size: int) -> None:
    """Those that fit into one, those that don't, and the small ones behind them."""
    found = [(f"{number}", bytes([number]) * (size if number % 2 else 100)) for number in range(1, 12)]
    assert read(tar_of(*found)) == found


def test_data_is_a_view_that_cannot_be_written_to() -> None:
    for _, data in members(io.BytesIO(tar_of(("small", b"x"), ("large", b"y" * 100_000))), "a.tar"):
        assert data.readonly
        assert isinstance(data, memoryview)


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("name", ["a", LONG, "ü/é"])
def test_every_tar_format_and_long_names_are_read(format_: int, name: str) -> None:
    found = [(name, b"\x80"), ("short", b"\x81\xa1a\x01")]
    assert read(tar_of(*found, format=format_)) == found


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE,
                                  tarfile.CHRTYPE, tarfile.BLKTYPE])  # fmt: skip
def test_links_folders_and_devices_are_passed_over_whatever_size_they_claim(kind: bytes) -> None:
    """As Python's own reader does: no data follows them."""
    raw = header("x", kind=kind, size=b"00000002000") + tar_of(("b", b"2"))
    assert read(raw) == [("b", b"2")]
    with tarfile.open(fileobj=io.BytesIO(raw)) as oracle:
        assert oracle.getnames() == ["x", "b"]


def test_the_name_of_a_passed_over_member_is_not_the_next_ones() -> None:
    member = tarfile.TarInfo(LONG)
    member.type = tarfile.DIRTYPE
    assert read(member.tobuf(tarfile.PAX_FORMAT) + tar_of(("b", b"2"))) == [("b", b"2")]


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "a\nb", "C:\\x", ".", "a\x1b[31m"])
def test_a_name_is_text_and_nothing_happens_by_it(name: str) -> None:
    assert read(tar_of((name, b"1"))) == [(name, b"1")]


def test_words_about_the_whole_tar_are_passed_over() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", pax_headers={"path": "wrong", "comment": "x" * 2000}) as writing:
        writing.addfile(tarfile.TarInfo("right"))
    assert read(buffer.getvalue()) == [("right", b"")]


def test_old_tars_and_sums_in_other_spellings_are_read() -> None:
    """Seven digits, no terminator, blanks before: what other programs write."""
    plain = header("a", length=3)
    total = sum(plain[:148]) + sum(plain[156:]) + 256
    for spelled in (b"%07o\0" % total, b"%6o\0 " % total, b"%06o  " % total, b"%08o" % total):
        assert read(plain[:148] + spelled + plain[156:] + b"abc".ljust(512, b"\0") + bytes(512)) == [("a", b"abc")]
    assert read(header("a", kind=b"\0", size=b"3 ") + b"abc".ljust(512, b"\0") + bytes(512)) == [("a", b"abc")]
    assert read(header("a", size=b"000000000003") + b"abc".ljust(512, b"\0") + bytes(512)) == [("a", b"abc")]
    assert read(header("a", kind=b"7", size=b"00000000003 ") + b"abc".ljust(512, b"\0") + bytes(512)) == [("a", b"abc")]


# --- what is refused -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [False, True])
def test_a_tar_cut_anywhere_is_never_taken_for_a_whole_one(*, packed: bool) -> None:
    """At every boundary of a block and in between; only one that ends between two members may be whole."""
    whole = tar_of(("a", b"\x80" * 700), ("b", b"\x80"))
    end = 512 + 1024 + 512 + 512  # two members; then come the zeros
    for cut in sorted({*range(0, end + 1, 64), *range(511, end + 512, 512), *range(1, end, 512)}):
        raw = gzip.compress(whole[:cut]) if packed else whole[:cut]
        got: list[str] = []
        between = cut in (512 + 1024, end)
        with pytest.warns(TruncatedWarning) if between else pytest.raises(InvalidShard, match="cut short"):
            got.extend(name for name, _ in members(io.BytesIO(raw), "a.tar"))
        if between:
            assert read(raw, whole=True) == read(whole)[: 1 if cut < end else 2]
    assert [name for name, _ in read(whole[: end + 512])] == ["a", "b"]


def test_what_comes_before_the_cut_is_given_out() -> None:
    reading = members(io.BytesIO(tar_of(("a", b"1"), ("b", b"2"))[: 2 * 512 + 100]), "a.tar")
    assert next(reading)[0] == "a"
    with pytest.raises(InvalidShard, match="cut short"):
        next(reading)


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (b"77777777777\0", "the most is"),  # 8 GiB
        (b"\x80" + bytes(3) + b"\xff" * 8, "the most is"),  # base 256, 16 EiB
        (b"\x80" + bytes(6) + b"\x40\0\0\x02\0", "the most is"),  # 1 GiB and a block
        (b"\xff" * 12, "invalid number"),  # base 256, minus one
        (b"\x81" + bytes(11), "invalid number"),
        (b"-0000000001\0", "invalid number"),
        (b"+0000000001\0", "invalid number"),
        (b"0o000000001\0", "invalid number"),
        (b"0_000000001\0", "invalid number"),
        (b"00000000008\0", "invalid number"),
        (b"0000000000x\0", "invalid number"),
        (b"07777777777\0", "cut short|the most is"),  # as much as is allowed, and not there
    ],
)
def test_a_size_that_lies_is_refused(size: bytes, message: str) -> None:
    with pytest.raises(InvalidShard, match=message):
        read(header("a", size=size) + bytes(5000))


def test_memory_follows_the_bytes_that_have_come_not_what_a_header_claims() -> None:
    """900 MB promised, 3 kB there."""
    raw = header("a", size=b"%011o" % 900_000_000) + bytes(3000)
    tracemalloc.start()
    with pytest.raises(InvalidShard, match="cut short"):
        read(raw)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40_000_000


@given(st.binary(min_size=512, max_size=512), st.integers(-70_000, 70_000))
def test_a_header_is_taken_only_with_its_exact_sum(raw: bytes, wrong: int) -> None:
    """The fast sum is the slow one, for any bytes, also 65,521 apart."""
    block = bytearray(raw)
    block[124:157] = b"00000000000\0" + b"00000000000\0" + b" " * 8 + b"0"
    block[0] = block[0] or 97
    total = sum(block)
    for off in {0, wrong, 65_521, -65_521}:
        if total + off >= 0:
            block[148:156] = b"%06o\0 " % (total + off)
            if off:
                with pytest.raises(InvalidShard, match="damaged"):
                    read(bytes(block) + bytes(512))
            else:
                assert len(read(bytes(block) + bytes(512))) == 1


@pytest.mark.parametrize(
    "words",
    [b"", b"x", b"5 a=b", b"99 path=a\n", b"0 path=a\n", b"-9 path=a\n", b"9 path a\n", b"12 size=abc\n",
     b"11 size=-1\n", b"999999999999 a=b\n"],
)  # fmt: skip
def test_pax_words_that_cannot_be_read_are_refused(words: bytes) -> None:
    raw = header("x", kind=b"x", length=len(words)) + words.ljust(-(-len(words) // 512) * 512, b"\0")
    with pytest.raises(InvalidShard, match="can't be read") if words else contextlib.nullcontext():
        read(raw + tar_of(("b", b"2")))


def test_a_size_in_pax_words_counts() -> None:
    words = b"9 size=3\n"
    raw = header("x", kind=b"x", length=len(words)) + words.ljust(512, b"\0") + header("a")
    assert read(raw + b"abc".ljust(512, b"\0") + bytes(512)) == [("a", b"abc")]
    giant = b"23 size=99999999999999\n"
    raw = header("x", kind=b"x", length=len(giant)) + giant.ljust(512, b"\0") + header("a")
    with pytest.raises(InvalidShard, match="the most is"):
        read(raw + bytes(5000))


def test_sparse_members_are_refused_in_both_spellings() -> None:
    words = b"22 GNU.sparse.major=1\n"
    raw = header("x", kind=b"x", length=len(words)) + words.ljust(512, b"\0") + tar_of(("a", b"1"))
    for sparse in (raw, header("a", kind=b"S")):
        with pytest.raises(InvalidShard, match="sparse"):
            read(sparse + bytes(512))


def test_an_extended_header_has_a_limit() -> None:
    for kind in (b"x", b"L"):
        with pytest.raises(InvalidShard, match="too long"):
            read(header("a", kind=kind, length=2_000_000) + bytes(2_100_000))


@pytest.mark.parametrize(
    ("raw", "what"),
    [(b"", "empty"), (b"<!DOCTYPE html><p>Not found", "web page"), (b"PK\x03\x04" + bytes(600), "zip"),
     (bz2.compress(b"x"), "bzip2"), (lzma.compress(b"x"), "xz"), (b"\x28\xb5\x2f\xfd" + bytes(600), "zstd"),
     (b"<?xml version='1.0'?><Error/>", "XML"), (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS")],
)  # fmt: skip
def test_what_is_no_tar_is_named(raw: bytes, what: str) -> None:
    with pytest.raises(InvalidShard, match=what):
        read(raw)


@given(st.binary(max_size=2000))
def test_any_bytes_are_a_tar_or_refused(raw: bytes) -> None:
    for any_bytes in (raw, b"\x1f\x8b" + raw, gzip.compress(raw)):
        with contextlib.suppress(InvalidShard):
            read(any_bytes, whole=True)


@given(st.integers(0, 4000), st.binary(min_size=1, max_size=20))
def test_any_damage_is_read_or_refused(place: int, patch: bytes) -> None:
    raw = bytearray(tar_of((LONG, b"\x80"), ("b", b"\x80")))
    raw[place : place + len(patch)] = patch
    with contextlib.suppress(InvalidShard):
        read(bytes(raw), whole=True)


# --- gzip ----------------------------------------------------------------------------------------------------


@given(contents, st.integers(1, 200), st.integers(0, 3000))
def test_a_compressed_tar_is_read_also_from_pieces_packed_one_by_one(found: Members, count: int, cut: int) -> None:
    raw = tar_of(*found)
    packed = gzip.compress(raw[:cut]) + gzip.compress(raw[cut:])
    assert [(name, bytes(data)) for name, data in members(Dripping(packed, [count]), "a.tar")] == found


def test_damaged_gzip_is_refused() -> None:
    packed = bytearray(gzip.compress(tar_of(("a", hashlib.sha512(b"x").digest() * 100))))
    packed[60] ^= 0xFF
    with pytest.raises(InvalidShard):
        read(bytes(packed))


def test_a_gzip_bomb_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Zeros that compress a thousandfold; with less than the free amount they are just zeros."""
    monkeypatch.setattr(tar, "FREE_INFLATED", 1 << 20)
    found = [(str(number), bytes(100_000)) for number in range(40)]
    with pytest.raises(InvalidShard, match="unpack to more than 200 times"):
        read(gzip.compress(tar_of(*found)))
    assert len(read(gzip.compress(tar_of(*found[:5])))) == 5


def test_little_is_unpacked_at_a_time() -> None:
    """A bomb takes no memory before it is noticed."""
    packer = zlib.compressobj(9, wbits=31)
    bomb = packer.compress(header("a", size=b"%011o" % 500_000_000))
    bomb += b"".join(packer.compress(bytes(1 << 20)) for _ in range(200)) + packer.flush()
    tracemalloc.start()
    with pytest.raises(InvalidShard, match="unpack to more than 200 times"):
        read(bomb)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * (tar.FREE_INFLATED + tar.MAX_INFLATION * len(bomb))


# --- writing -------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.sampled_from(["a", "b" * 99, LONG]), st.binary(max_size=30_000)), max_size=4))
def test_a_written_tar_is_byte_for_byte_what_pythons_own_writer_makes(found: Members) -> None:
    """And its length was known before the last member was added."""
    buffer = io.BytesIO()
    writer = TarWriter(buffer)
    foreseen = writer.size_with(b"", b"")
    for name, data in found:
        start = TarWriter.header(name, len(data))
        foreseen = writer.size_with(start, data)
        writer.add(start, data)
    digest = writer.close()
    raw = buffer.getvalue()
    assert raw == tar_of(*found)
    assert (len(raw), hashlib.sha256(raw).hexdigest()) == (writer.bytes, digest)
    assert foreseen == len(raw)
