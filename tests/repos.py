"""Repositories made here: trees, signed commits and CARs. Slow and obvious: the oracle of ``catalog.network``."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from itertools import groupby, takewhile
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from catalog.atproto.car import Blocks
from catalog.atproto.commit import check_commit, read_commit
from catalog.atproto.datamodel import bytes_json, encode
from catalog.atproto.keys import PublicKey
from catalog.atproto.mst import read
from catalog.errors import InvalidProof
from catalog.syntax import Cid, Did

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from catalog.atproto.datamodel import Json

_K256_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_ECDSA = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)  # the same signature in each run
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

REV = "3l3qo2vuowo2b"
"""The rev of a repository whose rev doesn't matter: in October 2024."""


class SigningKey:
    """A private key: secp256k1, or P-256. ``did_key`` and ``multibase`` are its public half.

    A new one, unless the secret (32 bytes, of secp256k1) is given.
    """

    def __init__(self, *, p256: bool = False, secret: bytes | None = None) -> None:
        curve: ec.EllipticCurve = ec.SECP256R1() if p256 else ec.SECP256K1()
        self._private = (
            ec.generate_private_key(curve) if secret is None else ec.derive_private_key(int.from_bytes(secret), curve)
        )
        self._order = _P256_ORDER if p256 else _K256_ORDER
        point = self._private.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
        self.multibase = "z" + _base58((b"\x80\x24" if p256 else b"\xe7\x01") + point)
        self.did_key = f"did:key:{self.multibase}"

    def sign(self, message: bytes) -> bytes:
        """r and s, 32 bytes each, s the lower of the two that fit."""
        r, s = decode_dss_signature(self._private.sign(message, _ECDSA))
        return r.to_bytes(32) + min(s, self._order - s).to_bytes(32)


def _base58(raw: bytes) -> str:
    number, text = int.from_bytes(raw), ""
    while number:
        number, digit = divmod(number, 58)
        text = _BASE58[digit] + text
    return text


@dataclass(frozen=True)
class Repo:
    """A repository: its tree's and commit's CIDs, and every block (binary CID → bytes), the commit first."""

    commit: bytes
    data: bytes
    blocks: dict[bytes, bytes]
    paths: dict[str, bytes] = field(default_factory=dict)
    """The CID of each record."""

    def car(self) -> bytes:
        return car([self.commit], self.blocks.items())


def cid_of(block: bytes) -> bytes:
    """The binary CID of a DAG-CBOR block."""
    return b"\x01\x71\x12\x20" + hashlib.sha256(block).digest()


def link(cid: bytes) -> Json:
    """A binary CID as a value has it."""
    return {"$link": str(Cid.of_binary(cid))}


def build_repo(records: Mapping[str, Json], *, did: str, key: SigningKey, rev: str = REV) -> bytes:
    """The CAR of a repository with these records by path, signed."""
    return make_repo(records, did=did, key=key, rev=rev).car()


def make_repo(records: Mapping[str, Json], *, did: str, key: SigningKey, rev: str = REV) -> Repo:
    """A repository with these records by path, its commit signed."""
    encoded = {path: encode(value) for path, value in records.items()}
    return repo_of(encoded, did=did, key=key, rev=rev)


def repo_of(records: Mapping[str, bytes], *, did: str, key: SigningKey, rev: str = REV) -> Repo:
    """A repository with these encoded records by path, its commit signed."""
    values = {path: cid_of(block) for path, block in records.items()}
    tree: dict[bytes, bytes] = {}
    data = build_tree({path.encode(): cid for path, cid in values.items()}, tree)
    commit = signed_commit(data, did=did, key=key, rev=rev)
    blocks = {cid_of(commit): commit, **tree, **{values[path]: block for path, block in records.items()}}
    return Repo(commit=cid_of(commit), data=data, blocks=blocks, paths=values)


def signed_commit(root: bytes, *, did: str, key: SigningKey, rev: str = REV, **more: Json) -> bytes:
    """A commit's block; ``more`` are fields to add to it, or to have otherwise."""
    commit: dict[str, Json] = {"did": did, "version": 3, "data": link(root), "rev": rev, "prev": None, **more}
    return encode({**commit, "sig": bytes_json(key.sign(encode(commit)))})


def proven(raw: bytes, *, did: str, key: str, after: str | None = None, now: float | None = None) -> dict[str, bytes]:
    """The records of a CAR by path, each step proven. Raises InvalidProof."""
    roots, blocks = Blocks.of_car(raw)
    if not roots:
        raise InvalidProof("no commit is named")
    commit = read_commit(needed(blocks, roots[0], "the commit"))
    check_commit(commit, did=Did.parse(did), key=PublicKey.parse(key), after=after, now=now)
    found = read(blocks, commit.data)
    if found.missing:
        raise InvalidProof("a node of the tree is missing")
    return {path: needed(blocks, cid, "a record") for path, cid in found.entries.items()}


def refusal(raw: bytes, *, did: str, key: str, after: str | None = None, now: float | None = None) -> str:
    """Why a CAR proves nothing, in a bounded text. Input that is never judged would hang the test."""
    with pytest.raises(InvalidProof) as caught:
        proven(raw, did=did, key=key, after=after, now=now)
    assert len(str(caught.value)) < 1000
    return caught.value.what


def needed(blocks: Blocks, cid: bytes, what: str) -> bytes:
    block = blocks.get(cid)
    if block is None:
        raise InvalidProof(f"{what} is missing")
    return block


# --- trees ---------------------------------------------------------------------------------------------------


def layer(key: bytes) -> int:
    """Pairs of zero bits at the start of the hash, counted in its text."""
    bits = "".join(f"{byte:08b}" for byte in hashlib.sha256(key).digest())
    return (len(bits) - len(bits.lstrip("0"))) // 2


def build_tree(values: Mapping[bytes, bytes], blocks: dict[bytes, bytes]) -> bytes:
    """The root of the tree with these keys and values; its nodes are added to ``blocks``."""
    layers = {key: layer(key) for key in values}

    def tree(part: list[bytes], height: int) -> bytes:
        entries: list[tuple[bytes, bytes, bytes | None]] = []
        left: bytes | None = None
        for here, group in groupby(part, key=lambda key: layers[key] == height):
            if here:
                entries += [(key, values[key], None) for key in group]
                continue
            below = tree(list(group), height - 1)
            if entries:
                entries[-1] = (*entries[-1][:2], below)
            else:
                left = below
        return put(blocks, node(left, entries))

    return tree(sorted(values), max(layers.values(), default=0))


def shared_length(left: bytes, right: bytes) -> int:
    """Return the length of the common prefix of two keys, in bytes."""
    return len(list(takewhile(lambda pair: pair[0] == pair[1], zip(left, right, strict=False))))


def node(left: bytes | None, entries: Iterable[tuple[bytes, bytes, bytes | None]]) -> bytes:
    """A node's block: the tree before its first key; key, value and the tree after it."""
    written: list[Json] = []
    before = b""
    for key, value, after in entries:
        shared = shared_length(before, key)
        written.append(entry(shared, key[shared:], value, after))
        before = key
    return encode({"l": None if left is None else link(left), "e": written})


def entry(prefix: int, rest: bytes, value: bytes, after: bytes | None = None) -> Json:
    """An entry of a node, as it is written."""
    return {
        "p": prefix,
        "k": bytes_json(rest),
        "v": link(value),
        "t": None if after is None else link(after),
    }


def put(blocks: dict[bytes, bytes], block: bytes) -> bytes:
    """Add a block; its CID."""
    cid = cid_of(block)
    blocks[cid] = block
    return cid


# --- CARs ----------------------------------------------------------------------------------------------------


def varint(number: int) -> bytes:
    """A number as unsigned LEB128."""
    if number < 128:
        return bytes([number])
    return bytes([number & 127 | 128]) + varint(number >> 7)


def section(cid: bytes, block: bytes) -> bytes:
    """Return a block in the encoding of a CAR."""
    return varint(len(cid + block)) + cid + block


def header(roots: Sequence[bytes], version: int = 1) -> bytes:
    """Return the header of a CAR."""
    raw = encode({"roots": [link(root) for root in roots], "version": version})
    return varint(len(raw)) + raw


def car(roots: Sequence[bytes], blocks: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A CAR with these blocks in this order, whatever they are."""
    return header(roots) + b"".join(section(cid, block) for cid, block in blocks)
