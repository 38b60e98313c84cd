"""Signed commits of a repository: https://atproto.com/specs/repository#commit-objects

The signature is of the SHA-256 of the same map without ``sig``. A block that isn't the canonical encoding of its values
is refused, so that a commit has exactly one CID.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import libipld

from catalog.atproto.keys import SIGNATURE_BYTES
from catalog.errors import InvalidProof, InvalidSyntax
from catalog.syntax import Did, Tid

if TYPE_CHECKING:
    from catalog.atproto.keys import PublicKey

AHEAD_SECONDS: Final = 300
"""Maximum time by which a rev may be ahead of the local clock."""
VERSION: Final = 3

_MAX_BYTES: Final = 4096
"""A DID has at most 2,048 bytes, all the rest 251."""
_FIELDS: Final = frozenset({"did", "rev", "sig", "data", "prev", "version"})
_CID_HEAD: Final = b"\x01\x71\x12\x20"
"""CID version 1, DAG-CBOR, SHA-256, 32 bytes."""
_CID_BYTES: Final = 36
_LINK: Final = b"\xd8\x2a\x58\x25\x00"
"""Tag 42, then a byte string of 37 bytes: a zero and the CID."""
_NULL: Final = b"\xf6"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedCommit:
    """A well-formed commit; :func:`check_commit` checks its signature.

    ``data`` (the root of the tree), ``prev`` and ``cid`` (of the commit itself) are CIDs in binary. ``unsigned`` are
    the bytes that ``signature`` is of.
    """

    did: Did
    rev: Tid
    data: bytes
    cid: bytes
    prev: bytes | None
    signature: bytes = field(repr=False)
    unsigned: bytes = field(repr=False)


def read_commit(raw: bytes) -> SignedCommit:
    """The commit in a block. Raises :class:`~catalog.errors.InvalidProof`."""
    if len(raw) > _MAX_BYTES:
        raise InvalidProof(f"a commit of {len(raw)} bytes")
    try:
        value = libipld.decode_dag_cbor(raw)
    except (ValueError, TypeError, OverflowError, RecursionError, MemoryError):
        raise InvalidProof("the commit is not DAG-CBOR") from None
    if not isinstance(value, dict):
        raise InvalidProof("the commit is not a map")
    version = value.get("version")
    if type(version) is not int or version != VERSION:
        shown = version if type(version) is int else type(version).__name__
        raise InvalidProof(f"a commit of version {shown}, not {VERSION}")
    if value.keys() != _FIELDS:
        missing, extra = sorted(_FIELDS - value.keys()), sorted(value.keys() - _FIELDS)
        what = f"lacks {', '.join(missing)}" if missing else f"has a field {extra[0][:40]!r} too many"
        raise InvalidProof(f"the commit {what}")
    did, rev, signature = _did(value["did"]), _rev(value["rev"]), value["sig"]
    if not isinstance(signature, bytes) or len(signature) != SIGNATURE_BYTES:
        raise InvalidProof(f"the commit's sig is not {SIGNATURE_BYTES} bytes")
    data, prev = _cid(value["data"], "data"), None if value["prev"] is None else _cid(value["prev"], "prev")
    head, tail = _head(did, rev), _tail(data, prev)
    # Decoders are lenient and return links and byte strings alike: only the encoding distinguishes them.
    if raw != b"\xa6" + head + b"\x63sig\x58\x40" + signature + tail:
        raise InvalidProof("the commit is not in its only encoding")
    cid = _CID_HEAD + hashlib.sha256(raw).digest()
    unsigned = b"\xa5" + head + tail
    return SignedCommit(did=did, rev=rev, data=data, cid=cid, prev=prev, signature=signature, unsigned=unsigned)


def signed_by(commit: SignedCommit, key: PublicKey) -> bool:
    """Return whether this key signed the commit. If not, the account may have a new key: resolve it again first."""
    return key.verifies(commit.signature, commit.unsigned)


def check_commit(
    commit: SignedCommit, *, did: Did, key: PublicKey, after: str | None = None, now: float | None = None
) -> None:
    """Raise :class:`~catalog.errors.InvalidProof` unless this account signed the commit, and its rev is above
    ``after``.
    """
    if commit.did != did:
        raise InvalidProof(f"the commit is of another account, {commit.did[:100]}", where=did)
    ahead = commit.rev.microseconds / 1e6 - (time.time() if now is None else now)
    if ahead > AHEAD_SECONDS:
        raise InvalidProof(f"the commit's rev {commit.rev} is {ahead:.0f} s ahead of time", where=did)
    if after is not None and commit.rev <= after:
        raise InvalidProof(f"the commit's rev {commit.rev} is not above {after[:20]}", where=did)
    if not signed_by(commit, key):
        raise InvalidProof("the commit is not signed by the account's key", where=did)


def _did(value: object) -> Did:
    try:
        return Did.parse(value if isinstance(value, str) else "")
    except InvalidSyntax:
        raise InvalidProof("the commit's did is not a DID") from None


def _rev(value: object) -> Tid:
    try:
        return Tid.parse(value if isinstance(value, str) else "")
    except InvalidSyntax:
        raise InvalidProof("the commit's rev is not a TID") from None


def _cid(value: object, name: str) -> bytes:
    if not isinstance(value, bytes) or len(value) != _CID_BYTES or not value.startswith(_CID_HEAD):
        raise InvalidProof(f"the commit's {name} is not the CID of a node")
    return value


def _head(did: Did, rev: Tid) -> bytes:
    return b"\x63did" + _text(did) + b"\x63rev" + _text(rev)


def _tail(data: bytes, prev: bytes | None) -> bytes:
    link = _NULL if prev is None else _LINK + prev
    return b"\x64data" + _LINK + data + b"\x64prev" + link + b"\x67version" + bytes((VERSION,))


def _text(text: str) -> bytes:
    """A string of at most 65,535 ASCII characters in DAG-CBOR."""
    raw = text.encode("ascii")
    size = len(raw)
    if size < 24:
        return bytes((0x60 | size,)) + raw
    if size < 256:
        return bytes((0x78, size)) + raw
    return b"\x79" + size.to_bytes(2) + raw
