"""Signed commits: a real one passes, and whatever differs from it in one thing doesn't, with its reason."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import TYPE_CHECKING, Any

import cbor2
import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from catalog.atproto.car import Blocks
from catalog.atproto.commit import check_commit, read_commit, signed_by
from catalog.atproto.datamodel import encode
from catalog.atproto.keys import PublicKey, _base58
from catalog.errors import InvalidProof
from catalog.syntax import Cid, Did, Tid

if TYPE_CHECKING:
    from collections.abc import Callable

    from catalog.atproto.datamodel import Json
    from tests.conftest import Network

DID = Did.parse("did:plc:" + "a" * 24)
OTHER = Did.parse("did:plc:" + "b" * 24)
NOW = 1_700_000_000.0
REV = Tid.at(1_699_999_000_000_000, 5)
DATA = Cid.of_block(b"a tree")
PREV = Cid.of_block(b"an older commit")

K256 = ec.derive_private_key(int.from_bytes(b"\x07" * 32), ec.SECP256K1())
P256 = ec.derive_private_key(7**80, ec.SECP256R1())
K256_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
ECDSA = ec.ECDSA(SHA256(), deterministic_signing=True)


def _public(head: bytes, private: ec.EllipticCurvePrivateKey) -> PublicKey:
    point = private.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    return PublicKey.parse("z" + _base58(head + point))


KEY, P_KEY = _public(b"\xe7\x01", K256), _public(b"\x80\x24", P256)


def _by_k256(message: bytes) -> bytes:
    r, s = decode_dss_signature(K256.sign(message, ECDSA))
    return r.to_bytes(32) + min(s, K256_ORDER - s).to_bytes(32)


def _by_p256(message: bytes) -> bytes:
    r, s = decode_dss_signature(P256.sign(message, ECDSA))
    return r.to_bytes(32) + min(s, P256_ORDER - s).to_bytes(32)


def _unsigned(**changes: Any) -> dict[str, Json]:  # noqa: ANN401 — what a test likes
    """A commit's fields; those that are given as an ellipsis are left out."""
    values = {"did": DID, "rev": REV, "data": {"$link": DATA}, "prev": None, "version": 3, **changes}
    return {name: value for name, value in values.items() if value is not ...}


def _commit(sign: Callable[[bytes], bytes] = _by_k256, **changes: Any) -> bytes:  # noqa: ANN401
    """A signed block, made by another encoder than the one that is tested. Only ``sig`` can be given wrongly signed."""
    values = _unsigned(**{name: value for name, value in changes.items() if name != "sig"})
    signature = changes.get("sig", {"$bytes": base64.b64encode(sign(encode(values))).decode().rstrip("=")})
    return encode(values if signature is ... else {**values, "sig": signature})


def test_a_commit_is_read_as_it_was_written() -> None:
    """With and without a predecessor, and for either curve; its CID is that of the block."""
    for prev in (None, PREV):
        raw = _commit(prev=None if prev is None else {"$link": prev})
        commit = read_commit(raw)
        assert (commit.did, commit.rev, commit.data) == (DID, REV, DATA.binary)
        assert commit.prev == (None if prev is None else prev.binary)
        assert commit.cid == Cid.of_block(raw).binary
        check_commit(commit, did=DID, key=KEY, now=NOW)
    commit = read_commit(_commit(_by_p256))
    check_commit(commit, did=DID, key=P_KEY, now=NOW)
    assert signed_by(commit, P_KEY)
    assert not signed_by(commit, KEY)


@pytest.mark.parametrize("size", [8, 23, 24, 255, 256, 2048])
def test_dids_of_every_length_have_their_encoding(size: int) -> None:
    """Also with a string whose length takes one more byte; the signed bytes are those of the other encoder."""
    did = "did:web:" + "a" * (size - 8) if size > 8 else "did:x:ab"
    commit = read_commit(_commit(did=did))
    assert commit.unsigned == encode(_unsigned(did=did))
    assert len(commit.did) == size
    check_commit(commit, did=Did.parse(did), key=KEY, now=NOW)


_SIG: Any = {"$bytes": base64.b64encode(bytes(63)).decode().rstrip("=")}
_SIG_65: Any = {"$bytes": base64.b64encode(bytes(65)).decode().rstrip("=")}
_BYTES_CID: Any = {"$bytes": base64.b64encode(DATA.binary).decode().rstrip("=")}
_RAW_CID: Any = {"$link": Cid.of_block(b"a blob", 0x55)}
_LONG_CID: Any = {"$link": Cid.of_binary(b"\x01\x71\x13\x40" + bytes(64))}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"version": 2}, "a commit of version 2, not 3"),
        ({"version": 4}, "a commit of version 4, not 3"),
        ({"version": -1}, "a commit of version -1, not 3"),
        ({"version": ...}, "a commit of version NoneType, not 3"),
        ({"version": True}, "a commit of version bool, not 3"),
        ({"version": "3"}, "a commit of version str, not 3"),
        ({"did": ...}, "the commit lacks did"),
        ({"rev": ...}, "the commit lacks rev"),
        ({"data": ..., "prev": ...}, "the commit lacks data, prev"),
        ({"prev": ...}, "the commit lacks prev"),
        ({"sig": ...}, "the commit lacks sig"),
        ({"more": 1}, "the commit has a field 'more' too many"),
        ({"x" * 500: 1}, "the commit has a field '" + "x" * 40 + "' too many"),
        ({"did": 7}, "the commit's did is not a DID"),
        ({"did": None}, "the commit's did is not a DID"),
        ({"did": "alice.example.org"}, "the commit's did is not a DID"),
        ({"did": DID + "\n"}, "the commit's did is not a DID"),
        ({"did": "did:plc:é"}, "the commit's did is not a DID"),
        ({"did": "did:web:" + "a" * 2041}, "the commit's did is not a DID"),
        ({"rev": 7}, "the commit's rev is not a TID"),
        ({"rev": "3jzfcijpj2z2"}, "the commit's rev is not a TID"),
        ({"rev": REV.upper()}, "the commit's rev is not a TID"),
        ({"rev": {"$bytes": "AAAA"}}, "the commit's rev is not a TID"),
        ({"sig": _SIG}, "the commit's sig is not 64 bytes"),
        ({"sig": _SIG_65}, "the commit's sig is not 64 bytes"),
        ({"sig": None}, "the commit's sig is not 64 bytes"),
        ({"sig": "x" * 64}, "the commit's sig is not 64 bytes"),
        ({"data": None}, "the commit's data is not the CID of a node"),
        ({"data": str(DATA)}, "the commit's data is not the CID of a node"),
        ({"data": _RAW_CID}, "the commit's data is not the CID of a node"),
        ({"data": _LONG_CID}, "the commit's data is not the CID of a node"),
        ({"data": _BYTES_CID}, "the commit is not in its only encoding"),
        ({"prev": _BYTES_CID}, "the commit is not in its only encoding"),
        ({"prev": _RAW_CID}, "the commit's prev is not the CID of a node"),
        ({"prev": False}, "the commit's prev is not the CID of a node"),
    ],
)
def test_a_commit_with_other_fields_is_refused(changes: dict[str, Any], reason: str) -> None:
    """Although its signature, where it has one, is good."""
    with pytest.raises(InvalidProof, match=re.escape(reason)):
        read_commit(_commit(**changes))


def _in_other_words() -> list[bytes]:
    """The good commit, encoded as DAG-CBOR forbids; a lenient decoder takes the first three for the same."""
    good = _commit()
    version = good.index(b"\x67version\x03")
    did = good.index(b"\x63did")
    rev, sig = good.index(b"\x63rev"), good.index(b"\x63sig")
    return [
        good[: version + 8] + b"\x18\x03",  # 3 in two bytes
        good.replace(b"\x63did\x78\x20", b"\x63did\x79\x00\x20"),  # a length in three
        b"\xb8\x06" + good[1:],  # the map's
        b"\xbf" + good[1:] + b"\xff",  # a map of unknown length
        good[:did] + good[rev:sig] + good[did:rev] + good[sig:],  # keys out of order
        b"\xa7" + good[1:version] + good[did:rev] + good[version:],  # a key twice
    ]


@pytest.mark.parametrize("raw", _in_other_words())
def test_a_commit_has_one_encoding(raw: bytes) -> None:
    """Else a commit could have several CIDs, and be signed in one encoding and sent in another."""
    assert raw != _commit()
    with pytest.raises(InvalidProof, match=r"only encoding|not DAG-CBOR"):
        read_commit(raw)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "not DAG-CBOR"),
        (b"\xa6", "not DAG-CBOR"),
        (_commit() + b"\0", "not DAG-CBOR"),
        (_commit()[:-1], "not DAG-CBOR"),
        (b"\x81" * 4000, "not DAG-CBOR"),
        (b"\x9b" + b"\xff" * 8, "not DAG-CBOR"),
        (b"\x3b" + b"\xff" * 8, "not a map"),
        (encode([1]), "not a map"),
        (encode("commit"), "not a map"),
        (encode({}), "of version NoneType"),
        (cbor2.dumps({"version": 3.0}), "of version float"),
        (bytes(4097), "a commit of 4097 bytes"),
        (_commit() * 100_000, "bytes"),
    ],
)
def test_what_is_no_commit_is_refused(raw: bytes, reason: str) -> None:
    """Cut, followed by more, nested deep, something else, or far too long: at once, and with a reason."""
    with pytest.raises(InvalidProof, match=reason):
        read_commit(raw)


def test_every_flipped_bit_is_noticed() -> None:
    """Of all bits of the block, none can change without its being no commit, or not a signed one."""
    good = _commit(prev={"$link": PREV})
    for bit in range(len(good) * 8):
        raw = bytearray(good)
        raw[bit // 8] ^= 1 << bit % 8
        with pytest.raises(InvalidProof):
            check_commit(read_commit(bytes(raw)), did=DID, key=KEY, now=NOW)


def _check(raw: bytes, *, did: Did = DID, key: PublicKey = KEY, after: str | None = None) -> None:
    check_commit(read_commit(raw), did=did, key=key, after=after, now=NOW)


def test_a_commit_of_another_account_is_refused() -> None:
    """However well it is signed."""
    with pytest.raises(InvalidProof, match=f"is of another account, {DID}") as caught:
        _check(_commit(), did=OTHER)
    assert caught.value.where == OTHER


def test_a_rev_may_be_five_minutes_ahead_and_no_more() -> None:
    """To the microsecond; without a time given, our clock counts."""
    limit = int(NOW + 300) * 1_000_000
    _check(_commit(rev=Tid.at(limit, 0)))
    with pytest.raises(InvalidProof, match="300 s ahead of time"):
        _check(_commit(rev=Tid.at(limit + 1, 0)))
    with pytest.raises(InvalidProof, match="ahead of time"):
        check_commit(read_commit(_commit(rev="jzzzzzzzzzzzz")), did=DID, key=KEY)
    check_commit(read_commit(_commit()), did=DID, key=KEY)


def test_a_rev_must_be_above_the_last_one() -> None:
    """Neither the same again nor an older one; a later clock id is above."""
    same, later = Tid.at(REV.microseconds, 5), Tid.at(REV.microseconds, 6)
    _check(_commit(), after=Tid.at(REV.microseconds, 4))
    _check(_commit(rev="2222222222222"))
    for after in (same, later, "j"):
        with pytest.raises(InvalidProof, match=f"rev {REV} is not above {after}"):
            _check(_commit(), after=after)


def test_only_the_signature_of_these_very_fields_passes() -> None:
    """Not one of other fields, of the signed block, of nothing, by another key, or with the higher s."""
    _check(_commit())

    def high(message: bytes) -> bytes:
        low = _by_k256(message)
        return low[:32] + (K256_ORDER - int.from_bytes(low[32:])).to_bytes(32)

    signers: list[Callable[[bytes], bytes]] = [
        lambda _: _by_k256(encode(_unsigned(rev=Tid.at(0, 0)))),
        lambda _: _by_k256(_commit()),
        lambda message: _by_k256(hashlib.sha256(message).digest()),
        lambda _: bytes(64),
        _by_p256,
        high,
    ]
    for sign in signers:
        with pytest.raises(InvalidProof, match="not signed by the account's key"):
            _check(_commit(sign))


_VALUES = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5) | st.binary(max_size=70)


@given(st.binary(max_size=300))
def test_any_bytes_are_no_commit(raw: bytes) -> None:
    """And raise nothing but that."""
    with pytest.raises(InvalidProof):
        read_commit(raw)


@given(st.sampled_from(["did", "rev", "sig", "data", "prev", "version"]), _VALUES)
def test_any_value_of_a_field_is_refused_or_unsigned(name: str, value: object) -> None:
    """One field of a good commit, changed: only the null that was there before is as good."""
    fields = cbor2.loads(_commit())
    assert isinstance(fields, dict)
    raw = cbor2.dumps({**fields, name: value}, canonical=True)
    if raw == _commit():
        check_commit(read_commit(raw), did=DID, key=KEY, now=NOW)
        return
    with pytest.raises(InvalidProof):
        check_commit(read_commit(raw), did=DID, key=KEY, now=NOW)


def test_a_real_commit_passes_and_the_next_one_follows(network: Network) -> None:
    """The reference PDS's own, by the key of the real directory; the older one doesn't pass again, nor elsewhere."""
    account = network.account("committed")
    post = {"$type": "org.example.note", "text": "a note"}
    revs, last = [], None
    did = Did.parse(account.did)
    listed = httpx.get(f"{network.plc_url}/{did}/data", timeout=60).raise_for_status().json()
    key = PublicKey.parse(listed["verificationMethods"]["atproto"])
    for number in range(3):
        network.create_record(account, "org.example.note", post, rkey=str(number))
        address = f"{network.pds_url}/xrpc/com.atproto.sync.getRepo"
        (root,), blocks = Blocks.of_car(httpx.get(address, params={"did": did}, timeout=60).raise_for_status().content)
        raw = blocks.get(root)
        assert raw is not None
        commit = read_commit(raw)
        assert (commit.cid, commit.rev) == (root, network.latest_rev(did))
        assert blocks.get(commit.data) is not None
        check_commit(commit, did=did, key=key, after=last)
        revs.append(commit)
        last = commit.rev
    assert revs[0].data != revs[1].data
    with pytest.raises(InvalidProof, match="not above"):
        check_commit(revs[0], did=did, key=key, after=last)
    with pytest.raises(InvalidProof, match="another account"):
        check_commit(revs[0], did=OTHER, key=key)
    assert not signed_by(revs[0], KEY)
