"""Hostile repositories: each is refused with its own reason, and nothing that was changed passes for proven.

Most are signed with the account's own key, as a hostile account or server would sign them.
"""

from __future__ import annotations

import itertools
import random
import subprocess
import sys
from hashlib import sha256
from typing import TYPE_CHECKING

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.atproto import datamodel
from catalog.atproto.car import MAX_BLOCK
from catalog.atproto.datamodel import encode
from catalog.errors import InvalidData, InvalidProof
from catalog.syntax import Tid
from tests.paths import ROOT
from tests.repos import (
    REV,
    SigningKey,
    build_tree,
    car,
    cid_of,
    header,
    make_repo,
    proven,
    refusal,
    repo_of,
    section,
    signed_commit,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from catalog.atproto.datamodel import Json

DID = "did:plc:ewvi7nxzyoun6zhxrhs64oiz"
OTHER = "did:plc:bnwvf62lxzyoun6zhxrhs64o"
KEY = SigningKey()
NOW = Tid.parse(REV).microseconds / 1e6 + 60

RECORDS: dict[str, Json] = {
    **{f"app.example.post/{n}": {"text": f"number {n}"} for n in range(12)},
    **{f"science.alt.dataset.entry/{n}": {"name": f"set {n}"} for n in range(4)},
}
REPO = make_repo(RECORDS, did=DID, key=KEY)
ENCODED = {path: encode(value) for path, value in RECORDS.items()}


def refused(raw: bytes, after: str | None = None) -> str:
    """Why a CAR is refused."""
    return refusal(raw, did=DID, key=KEY.did_key, after=after, now=NOW)


def test_the_repository_that_is_spoilt_below_is_whole() -> None:
    """The control: unspoilt, every record comes out."""
    assert proven(REPO.car(), did=DID, key=KEY.did_key, now=NOW) == ENCODED
    other = SigningKey(p256=True)
    raw = make_repo(RECORDS, did=DID, key=other).car()
    assert proven(raw, did=DID, key=other.did_key, now=NOW) == ENCODED


# --- bytes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bit", range(8))
def test_no_bit_of_a_file_can_be_flipped_unnoticed(bit: int) -> None:
    raw = REPO.car()
    for place in range(len(raw)):
        refused(raw[:place] + bytes([raw[place] ^ 1 << bit]) + raw[place + 1 :])


def test_no_end_of_a_file_can_be_cut_off_unnoticed() -> None:
    raw = REPO.car()
    sizes = [len(header([REPO.commit])), *(len(section(*block)) for block in REPO.blocks.items())]
    boundaries = set(itertools.accumulate(sizes))
    for length in range(1, len(raw)):
        reason = refused(raw[:length])
        assert reason.endswith("is missing") if length in boundaries else reason.startswith("is cut off inside")


def test_no_block_can_be_left_out_unnoticed() -> None:
    for absent in REPO.blocks:
        rest = [(cid, block) for cid, block in REPO.blocks.items() if cid != absent]
        what = "a record" if absent in REPO.paths.values() else "a node of the tree"
        what = "the commit" if absent == REPO.commit else what
        assert refused(car([REPO.commit], rest)) == f"{what} is missing"


def test_no_block_can_stand_for_another() -> None:
    blocks = list(REPO.blocks.items())
    for (one, raw), (two, other) in itertools.permutations(blocks, 2):
        changed = [(cid, {one: other, two: raw}.get(cid, block)) for cid, block in blocks]
        assert refused(car([REPO.commit], changed)) == "a block has the wrong CID: its bytes hash to another"


def test_no_block_can_be_named_as_the_commit() -> None:
    reasons = {refused(car([cid], REPO.blocks.items())) for cid in REPO.blocks if cid != REPO.commit}
    assert reasons <= {"a commit of version NoneType, not 3"}


def test_blocks_in_any_order_and_others_among_them_change_nothing() -> None:
    blocks = [*REPO.blocks.items(), *((cid_of(raw), raw) for raw in (b"", b"\xff", b"x" * 5000))]
    random.Random(1).shuffle(blocks)  # noqa: S311
    odd = [(b"\x12\x20" + b"x" * 32, b"of another kind"), (cid_of(b"what"), b"not it, and not asked for")]
    raw = car([REPO.commit], [*odd, *blocks, *blocks])
    assert proven(raw, did=DID, key=KEY.did_key, now=NOW) == ENCODED


# --- commits ---------------------------------------------------------------------------------------------------


def commits() -> Iterator[tuple[str, bytes]]:
    """Reason → a commit's block, of the tree of REPO."""

    def of(did: str = DID, key: SigningKey = KEY, rev: str = REV, **more: Json) -> bytes:
        return signed_commit(REPO.data, did=did, key=key, rev=rev, **more)

    def without(name: str) -> bytes:
        value = datamodel.decode(of())
        assert isinstance(value, dict)
        return encode({key: item for key, item in value.items() if key != name})

    late = Tid.at(int((NOW + 301) * 1e6), 0)
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    signed = of()
    place = signed.index(b"\x63sig\x58\x40") + 6
    s = order - int.from_bytes(signed[place + 32 : place + 64])
    yield f"the commit is of another account, {OTHER}", of(did=OTHER)
    yield "the commit is not signed by the account's key", of(key=SigningKey())
    yield "the commit is not signed by the account's key", of(key=SigningKey(p256=True))
    yield "the commit is not signed by the account's key", signed[:place] + bytes(64) + signed[place + 64 :]
    yield (
        "the commit is not signed by the account's key",
        (  # the other s that fits: as good to a lenient library
            signed[: place + 32] + s.to_bytes(32) + signed[place + 64 :]
        ),
    )
    yield f"the commit's rev {late} is 301 s ahead of time", of(rev=late)
    yield "a commit of version 2, not 3", of(version=2)
    yield "a commit of version 4, not 3", of(version=4)
    yield "the commit has a field 'more' too many", of(more=1)
    yield "the commit lacks sig", without("sig")
    yield "the commit lacks prev", without("prev")
    yield "the commit's did is not a DID", of(did="alice.example.org")
    yield "the commit's rev is not a TID", of(rev="1")
    yield "the commit's data is not the CID of a node", of(data="x")
    yield (
        "the commit's data is not the CID of a node",
        of(data={"$link": "bafkreie5cvv4h45feadgeuwhbcutmh6t2ceseocckahdoe6uat64zmz454"}),
    )
    yield "the commit is not a map", encode([1])
    yield "the commit is not DAG-CBOR", b"\x81" * 2_000 + b"\x01"
    yield "the commit is not DAG-CBOR", b""
    yield "the commit is not DAG-CBOR", b"\xbb" + b"\xff" * 8
    yield "the commit is not in its only encoding", signed[:-1] + b"\x18\x03"
    yield "a commit of 100000 bytes", b"\x81" * 100_000


@pytest.mark.parametrize(("reason", "commit"), list(commits()))
def test_a_commit_that_does_not_prove_its_tree_is_refused(reason: str, commit: bytes) -> None:
    rest = [(cid, block) for cid, block in REPO.blocks.items() if cid != REPO.commit]
    assert refused(car([cid_of(commit)], [(cid_of(commit), commit), *rest])) == reason


@pytest.mark.parametrize(
    ("last", "passes"),
    [(Tid.parse(REV), False), (Tid.parse("3l3qo2vuowo2c"), False), (Tid.parse("3l3qo2vuowo2a"), True)],
)
def test_a_commit_that_is_not_later_than_the_last_is_refused(last: str, passes: bool) -> None:  # noqa: FBT001
    if passes:
        assert proven(REPO.car(), did=DID, key=KEY.did_key, after=last, now=NOW)
    else:
        assert refused(REPO.car(), after=last) == f"the commit's rev {REV} is not above {last}"


# --- records ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "block",
    [b"\x81" * 100_000 + b"\x01", b"\xff", b"", cbor2.dumps({"x": 1.5}), b"\x1b" + b"\xff" * 8],
    ids=["deep", "broken", "empty", "float", "large number"],
)
def test_a_proven_block_that_is_no_record_spoils_no_other(block: bytes) -> None:
    repo = repo_of({**ENCODED, "app.example.post/bad": block}, did=DID, key=KEY)
    records = proven(repo.car(), did=DID, key=KEY.did_key, now=NOW)
    assert records == {**ENCODED, "app.example.post/bad": block}
    with pytest.raises(InvalidData):
        datamodel.decode(records["app.example.post/bad"])


def test_one_large_record_under_many_paths_is_hashed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two megabytes a thousand times would be a second of hashing for a file that is small."""
    block = b"\x5a" + (MAX_BLOCK - 5).to_bytes(4) + bytes(MAX_BLOCK - 5)
    cid = cid_of(block)
    blocks: dict[bytes, bytes] = {}
    root = build_tree({b"b.c/%d" % n: cid for n in range(3000)}, blocks)
    commit = signed_commit(root, did=DID, key=KEY)
    raw = car([cid_of(commit)], [(cid_of(commit), commit), (cid, block), *blocks.items()])
    hashed: list[int] = []

    def note(block: bytes) -> object:
        hashed.append(len(block))
        return sha256(block)

    monkeypatch.setattr("catalog.atproto.car.sha256", note)
    assert len(proven(raw, did=DID, key=KEY.did_key, now=NOW)) == 3000
    assert hashed.count(len(block)) == 1


# --- anything --------------------------------------------------------------------------------------------------


@given(
    changes=st.lists(
        st.tuples(st.integers(0, 10**6), st.sampled_from("xid"), st.binary(min_size=1, max_size=9)), max_size=4
    )
)
def test_whatever_is_done_to_a_file_only_its_own_records_pass_for_proven(changes: list[tuple[int, str, bytes]]) -> None:
    raw = REPO.car()
    for place, how, bytes_ in changes:
        at = place % (len(raw) + 1)
        end = at if how == "i" else at + len(bytes_)
        raw = raw[:at] + (b"" if how == "d" else bytes_) + raw[end:]
    try:
        records = proven(raw, did=DID, key=KEY.did_key, now=NOW)
    except InvalidProof:
        return
    assert records == ENCODED


def test_the_soak_finds_nothing_in_two_seconds() -> None:
    """The long run is ``benchmarks/soak_fuzz.py`` by hand; here, that it still runs."""
    script = ROOT / "benchmarks" / "soak_fuzz.py"
    done = subprocess.run([sys.executable, str(script), "2"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "none wrong" in done.stdout
