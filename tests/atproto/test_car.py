"""CARs: what is in them comes out, block by block, and only as what its CID says."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import libipld
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.atproto.car import MAX_BLOCK, Blocks
from catalog.atproto.datamodel import encode
from catalog.errors import InvalidProof
from tests.repos import SigningKey, build_repo, car, cid_of, header, link, make_repo, section, varint

if TYPE_CHECKING:
    from catalog.atproto.datamodel import Json

DID = "did:plc:ewvi7nxzyoun6zhxrhs64oiz"
ROOT = cid_of(b"root")


def refusal(raw: bytes) -> str:
    """Why a CAR is refused."""
    with pytest.raises(InvalidProof) as caught:
        Blocks.of_car(raw, where="a.car")
    return str(caught.value)


@given(contents=st.lists(st.binary(max_size=400), unique=True, max_size=20))
def test_every_block_comes_out_as_it_went_in(contents: list[bytes]) -> None:
    roots, blocks = Blocks.of_car(car([ROOT], [(cid_of(raw), raw) for raw in contents]))
    assert roots == (ROOT,)
    assert len(blocks) == len(contents)
    for _ in range(2):  # the second time, it has been hashed
        assert [blocks.get(cid_of(raw)) for raw in contents] == contents
    assert blocks.get(ROOT) is None
    assert ROOT not in blocks
    assert all(cid_of(raw) in blocks for raw in contents)


def test_blocks_of_every_length_of_length_come_out() -> None:
    """Lengths of one, two, three and four bytes; the largest block that is taken."""
    contents = [b"x" * n for n in (0, 91, 92, 16_347, 16_348, 2_097_115, 2_097_116, MAX_BLOCK)]
    _, blocks = Blocks.of_car(car([ROOT], [(cid_of(raw), raw) for raw in contents]))
    assert [blocks.get(cid_of(raw)) for raw in contents] == contents


def test_a_repository_is_what_libipld_reads_in_it() -> None:
    raw = build_repo({f"app.example.post/{n}": {"n": n} for n in range(50)}, did=DID, key=SigningKey())
    roots, blocks = Blocks.of_car(raw)
    told, others = libipld.decode_car(raw)
    assert list(roots) == told["roots"]
    assert len(blocks) == len(others)
    for cid, value in others.items():
        assert libipld.decode_dag_cbor(blocks.get(cid) or b"") == value


def test_a_block_with_another_blocks_cid_is_refused_when_it_is_used_and_not_before() -> None:
    raw = car([ROOT], [(ROOT, b"other"), (cid_of(b"good"), b"good")])
    _, blocks = Blocks.of_car(raw)
    assert blocks.get(cid_of(b"good")) == b"good"
    for _ in range(2):
        with pytest.raises(InvalidProof, match="wrong CID"):
            blocks.get(ROOT)


def test_a_block_that_is_put_in_is_hashed_when_it_is_used() -> None:
    blocks = Blocks()
    blocks.put(ROOT, b"other")
    blocks.put(cid_of(b"good"), b"good")
    assert blocks.get(cid_of(b"good")) == b"good"
    with pytest.raises(InvalidProof, match="wrong CID"):
        blocks.get(ROOT)


def test_blocks_that_are_added_are_hashed_when_they_are_used() -> None:
    _, blocks = Blocks.of_car(car([ROOT], [(cid_of(b"one"), b"one")]))
    _, others = Blocks.of_car(car([ROOT], [(cid_of(b"two"), b"two"), (ROOT, b"other"), (cid_of(b"one"), b"bad")]))
    assert others.get(cid_of(b"two")) == b"two"
    blocks.add(others)
    assert (blocks.get(cid_of(b"one")), blocks.get(cid_of(b"two"))) == (b"one", b"two")
    with pytest.raises(InvalidProof, match="wrong CID"):
        blocks.get(ROOT)


@pytest.mark.parametrize(
    "odd",
    [
        b"\x12\x20" + hashlib.sha256(b"x" * 9).digest(),  # version 0
        b"\x01\x70\x12\x20" + hashlib.sha256(b"x" * 9).digest(),  # DAG-PB
        b"\x01\x71\x13\x40" + hashlib.sha512(b"x" * 9).digest(),
        b"\x01\x71\x00\x20" + b"x" * 32,  # identity: anything is its own hash
    ],
)
def test_a_section_with_a_cid_of_another_kind_spoils_nothing_and_cannot_be_asked_for(odd: bytes) -> None:
    _, blocks = Blocks.of_car(car([ROOT], [(odd, b"x" * 9), (cid_of(b"good"), b"good")]))
    assert blocks.get(cid_of(b"good")) == b"good"
    assert blocks.get(odd) is None
    assert blocks.get(odd[:36]) is None
    assert odd[:36] not in blocks


@pytest.mark.parametrize(
    "odd",
    [
        b"\x12\x20" + hashlib.sha256(b"x").digest() + b"x",  # version 0
        b"\x12\x20" + hashlib.sha256(b"").digest(),
        b"\x01\x55\x00\x03abcabc",  # identity
        b"\x01\x71\x00\x00",
        b"\x01\x55\x11\x14" + hashlib.sha1(b"x").digest() + b"x",  # noqa: S324 - a kind of CID
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_a_section_with_a_short_cid_spoils_nothing(odd: bytes, *, first: bool) -> None:
    """Wherever it is in the file."""
    short, good = varint(len(odd)) + odd, section(cid_of(b"good"), b"good")
    roots, blocks = Blocks.of_car(HEAD + (short + good if first else good + short))
    assert (roots, len(blocks), blocks.get(cid_of(b"good"))) == ((ROOT,), 1, b"good")
    assert blocks.get(odd) is None


@pytest.mark.parametrize("roots", [[], [None], None, 1, ["x"], [None, link(cid_of(b"good"))]])
def test_a_root_that_is_none_names_no_commit(roots: Json) -> None:
    """The blocks are there all the same."""
    head = encode({"version": 1, "roots": roots})
    named, blocks = Blocks.of_car(varint(len(head)) + head + section(cid_of(b"good"), b"good"))
    assert set(named) <= {cid_of(b"good")}
    assert blocks.get(cid_of(b"good")) == b"good"


def test_raw_blocks_are_taken_too() -> None:
    cid = b"\x01\x55\x12\x20" + hashlib.sha256(b"\xff\x00").digest()
    _, blocks = Blocks.of_car(car([ROOT], [(cid, b"\xff\x00")]))
    assert blocks.get(cid) == b"\xff\x00"


@pytest.mark.parametrize("p256", [False, True])
def test_a_cut_file_is_refused_or_is_whole_blocks(p256: bool) -> None:  # noqa: FBT001
    repo = make_repo({"app.example.post/1": {"text": "x" * 200}}, did=DID, key=SigningKey(p256=p256))
    raw = repo.car()
    ends = [len(header([repo.commit]))]
    for cid, block in repo.blocks.items():
        ends.append(ends[-1] + len(section(cid, block)))
    for length in range(len(raw)):
        if length in ends:
            assert len(Blocks.of_car(raw[:length])[1]) == ends.index(length)
        else:
            assert refusal(raw[:length]).startswith("a.car: is cut off" if length else "a.car: is empty")


HEAD = header([ROOT])


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "is empty"),
        (b"\x00", "its header is not DAG-CBOR"),
        (b"<!doctype html><p>Too many requests</p>" * 9, "its header is not DAG-CBOR"),
        (varint(10_001) + b"x" * 10_001, "its header has 10,001 bytes; the most is 10,000"),
        (b"\xff" * 8 + b"\x7f" + b"x", "its header has 9,223,372,036,854,775,807 bytes; the most is 10,000"),
        (b"\xff" * 40, "a length is larger than any number has to be"),
        (header([ROOT], version=2), "is a CAR of another version than 1"),
        (section(b"", encode({"version": True, "roots": []})), "its header is not the header of a CAR"),
        (section(b"", encode({"roots": []})), "its header is not the header of a CAR"),
        (section(b"", encode([1])), "its header is not the header of a CAR"),
        (section(b"", b"\x81" * 9_000 + b"\x01"), "its header is not"),
        (HEAD + b"\x00", "a section of 0 bytes is too short for a CID"),
        (HEAD + b"\x03" + b"x" * 3, "a section of 3 bytes is too short for a CID"),
        (HEAD + b"\x23" + b"x" * 34, "is cut off inside a block"),
        (HEAD + b"\x80", "is cut off inside a block"),
        (HEAD + b"\x80\x80", "is cut off inside a length"),
        (HEAD + b"\xa4\x00" + ROOT, "a length is not in its shortest form"),
        (HEAD + b"\xa4\x80\x00" + ROOT, "a length is not in its shortest form"),
        (HEAD + b"\xff" * 9 + b"\x01", "a length is larger than any number has to be"),
        (HEAD + b"\xff" * 8 + b"\x7f", "a block of 9,223,372,036,854,775,771 bytes; the most is 2,097,152"),
        (HEAD + section(ROOT, b"x" * (MAX_BLOCK + 1)), "a block of 2,097,153 bytes; the most is 2,097,152"),
    ],
)
def test_a_broken_file_is_refused_with_its_reason(raw: bytes, reason: str) -> None:
    assert refusal(raw).startswith(f"a.car: {reason}")


def test_a_file_of_more_blocks_than_any_repository_has_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("catalog.atproto.car.MAX_BLOCKS", 3)
    blocks = [(cid_of(b"%d" % n), b"%d" % n) for n in range(4)]
    assert len(Blocks.of_car(car([ROOT], blocks[:3]))[1]) == 3
    assert refusal(car([ROOT], blocks)) == "a.car: has more than 3 blocks"


def test_a_block_that_was_put_in_under_half_a_cid_cannot_be_asked_for() -> None:
    blocks = Blocks()
    blocks.put(ROOT[:30], b"x")
    assert blocks.get(ROOT[:30]) is None


@given(raw=st.binary(max_size=200) | st.binary(max_size=100).map(lambda tail: HEAD + tail))
def test_any_bytes_are_a_car_or_refused(raw: bytes) -> None:
    try:
        roots, _ = Blocks.of_car(raw)
    except InvalidProof:
        return
    assert raw.startswith(header(roots))
