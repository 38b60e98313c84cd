"""The firehose, a server's event stream. https://atproto.com/specs/event-stream, https://atproto.com/specs/sync

::

    frame    header {t: "#commit", op: 1} │ body {ops, rev, seq, repo, since, blocks, commit, prevData, …}
             filter: bytes ─▶ decode ─▶ op paths ─▶ event
             proof:  blocks ─▶ signed commit ─▶ tree ─▶ operations undone ─▶ prevData

**seq** numbers a server's events; the **cursor** is the last one processed. **prevData** is the root of the tree before
the commit: undoing the commit's operations must yield it.

About ten frames of a thousand are relevant. The filter searches the undecoded bytes, as a frame has the paths of its
operations and the account's DID as plain text. The same bytes in a post only cost one decoded frame.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import libipld

from catalog.atproto import mst
from catalog.atproto.car import Blocks, is_cid
from catalog.atproto.commit import SignedCommit, check_commit, read_commit
from catalog.atproto.datamodel import has_more_values
from catalog.errors import InvalidProof, InvalidSyntax
from catalog.network.http import message_line
from catalog.network.websocket import messages
from catalog.syntax import Did, Tid

if TYPE_CHECKING:
    from catalog.atproto.keys import PublicKey

__all__ = [
    "AccountEvent",
    "CommitEvent",
    "Event",
    "Filter",
    "IdentityEvent",
    "Notice",
    "Proven",
    "SyncEvent",
    "check_commit_event",
    "messages",
    "read_frame",
    "sequence_of",
    "time_of",
]

MAX_FRAME: Final = 5_000_000
MAX_BLOCKS: Final = 2_000_000
MAX_OPS: Final = 200
MAX_VALUES: Final = 20_000
"""Values of a frame: an operation has a dozen. Its blocks are one."""
MAX_SEQ: Final = 2**53 - 1
_COMMIT: Final = libipld.encode_dag_cbor({"op": 1, "t": "#commit"})
_OPS: Final = b"\x63ops"
"""The first key of a commit's body: DAG-CBOR sorts keys, shorter ones before longer ones. It follows the map's head."""
_REPO: Final = b"\x64repo\x78\x20did:plc:"
"""The key ``repo``, the head of a text of 32 bytes, and how it begins."""
_BLOCKS: Final = b"\x66blocks"
_EMPTY_TREE: Final = Blocks.cid_of(libipld.encode_dag_cbor({"e": [], "l": None}))


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitEvent:
    """A commit, unproven. ``commit`` and ``prev_data`` are CIDs in binary, ``blocks`` a CAR."""

    seq: int
    did: Did
    rev: Tid
    since: str | None
    commit: bytes
    prev_data: bytes | None
    ops: tuple[mst.Op, ...]
    blocks: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncEvent:
    """An account's repository was replaced; the event doesn't list the changes."""

    seq: int
    did: Did


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityEvent:
    """An account's handle, key or PDS may have changed."""

    seq: int
    did: Did


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountEvent:
    """An account is active or inactive at the server, with the reason."""

    seq: int
    did: Did
    active: bool
    status: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A message of the server: ``OutdatedCursor``, ``FutureCursor``, ``ConsumerTooSlow``."""

    name: str
    message: str


Event: TypeAlias = CommitEvent | SyncEvent | IdentityEvent | AccountEvent | Notice


class Filter:
    """Selects events by a prefix of operation paths and by tracked accounts. Thread-safe."""

    __slots__ = ("_dids", "prefix")

    def __init__(self, prefix: bytes, dids: Iterable[str] = ()) -> None:
        self.prefix = prefix
        self._dids = {did.encode() for did in dids}

    def track(self, did: str) -> None:
        """Select all commits of an account from now on."""
        self._dids.add(did.encode())

    def tracks(self, did: bytes) -> bool:
        """Return whether an account is tracked."""
        return did in self._dids

    def may_want(self, raw: bytes) -> bool:
        """Return whether a commit's frame may be selected: takes half a microsecond; decoding takes thirty.

        There are no false negatives. Keys are sorted (libipld accepts nothing else), so the body is ``ops``, ``rev``,
        ``seq``, ``repo``, …, ``blocks``, and the paths of the operations precede ``repo`` as contiguous text. Nothing
        before it can be mistaken for ``repo``: a path has no space, which encodes the length of a did:plc, and a CID
        with these bytes is infeasible to find. Frames with a DID of another length or an unknown key before ``ops`` are
        always decoded.
        """
        repo = raw.find(_REPO, 20)
        if repo < 0 or not raw.startswith(_OPS, 16) or raw.find(_BLOCKS, 20, repo) >= 0:
            return True
        return raw.find(self.prefix, 20, repo) >= 0 or raw[repo + 7 : repo + 39] in self._dids


def read_frame(raw: bytes, wanted: Filter) -> Event | None:
    """Return the event of a frame, None if it is not selected. Raises :class:`InvalidProof` for a malformed frame."""
    if len(raw) > MAX_FRAME:
        raise InvalidProof(f"a frame of {len(raw):,} bytes; the most is {MAX_FRAME:,}")
    if raw.startswith(_COMMIT) and not wanted.may_want(raw):
        return None
    header, body = _parts(raw)
    if header.get("op") == -1:
        return Notice(name=message_line(body.get("error")) or "unnamed", message=message_line(body.get("message")))
    match header.get("t") if header.get("op") == 1 else None:
        case "#commit":
            return _commit(body, wanted)
        case "#sync" | "#identity" | "#account" as kind:
            return _about_account(body, kind, wanted)
        case "#info":
            return Notice(name=message_line(body.get("name")) or "unnamed", message=message_line(body.get("message")))
    return None


def sequence_of(raw: bytes) -> int | None:
    """Return the seq of a skipped frame, None if it has none."""
    try:
        return _seq(_body(raw))
    except InvalidProof:
        return None


def time_of(raw: bytes) -> float:
    """Return a frame's time by its server, in seconds since 1970. Raises :class:`InvalidProof`."""
    try:
        return datetime.fromisoformat(str(_body(raw).get("time"))).timestamp()
    except (ValueError, OverflowError, OSError):
        raise InvalidProof("a frame without a time") from None


def _body(raw: bytes) -> dict[str, Any]:
    return _parts(raw)[1]


def _parts(raw: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    if has_more_values(raw, MAX_VALUES):
        raise InvalidProof(f"a frame of more than {MAX_VALUES:,} values")
    try:
        parts = libipld.decode_dag_cbor_multi(raw)
    except (ValueError, TypeError, ArithmeticError, RecursionError, MemoryError):
        raise InvalidProof("a frame is not two DAG-CBOR values") from None
    if len(parts) != 2 or not isinstance(parts[0], dict) or not isinstance(parts[1], dict):
        raise InvalidProof("a frame is not a header and a body")
    return parts[0], parts[1]


def _commit(body: dict[str, Any], wanted: Filter) -> CommitEvent | None:
    ops = body.get("ops")
    if not isinstance(ops, list) or len(ops) > MAX_OPS:
        raise InvalidProof(f"a commit without a list of at most {MAX_OPS} operations")
    read = tuple(map(_op, ops))
    did = _did(body.get("repo"))
    prefix = wanted.prefix.decode()
    if not wanted.tracks(did.encode()) and not any(op.path.startswith(prefix) for op in read):
        return None
    blocks, commit, previous = body.get("blocks"), body.get("commit"), body.get("prevData")
    since = body.get("since")
    if not isinstance(blocks, bytes) or len(blocks) > MAX_BLOCKS:
        raise InvalidProof(f"a commit without blocks of at most {MAX_BLOCKS:,} bytes", where=did)
    if not is_cid(commit) or not (previous is None or is_cid(previous)):
        raise InvalidProof("a commit whose CIDs are none", where=did)
    return CommitEvent(
        seq=_seq(body),
        did=did,
        rev=_rev(body.get("rev")),
        since=since if isinstance(since, str) else None,
        commit=commit,  # type: ignore[arg-type] # is_cid has looked
        prev_data=previous,
        ops=read,
        blocks=blocks,
    )


def _op(value: object) -> mst.Op:
    if isinstance(value, dict):
        action, path, cid, prev = (value.get(name) for name in ("action", "path", "cid", "prev"))
        whole = {"create": (True, False), "update": (True, True), "delete": (False, True)}.get(str(action))
        if (
            whole is not None
            and isinstance(path, str)
            and (cid is None or is_cid(cid))
            and (prev is None or is_cid(prev))
            and whole[0] == (cid is not None)
            and whole[1] >= (prev is not None)
        ):
            return mst.Op(path=path, cid=cid, prev=prev)
    raise InvalidProof("a commit with an operation that is none")


def _about_account(body: dict[str, Any], kind: str, wanted: Filter) -> Event | None:
    did = _did(body.get("did"))
    if not wanted.tracks(did.encode()):
        return None
    seq = _seq(body)
    if kind == "#sync":
        return SyncEvent(seq=seq, did=did)
    if kind == "#identity":
        return IdentityEvent(seq=seq, did=did)
    status = body.get("status")
    return AccountEvent(
        seq=seq, did=did, active=body.get("active") is True, status=status[:50] if isinstance(status, str) else None
    )


def _seq(body: dict[str, Any]) -> int:
    seq = body.get("seq")
    if type(seq) is not int or not 0 <= seq <= MAX_SEQ:
        raise InvalidProof("a frame without a seq")
    return seq


def _did(value: object) -> Did:
    try:
        return Did.parse(value if isinstance(value, str) else "")
    except InvalidSyntax:
        raise InvalidProof("a frame about no account") from None


def _rev(value: object) -> Tid:
    try:
        return Tid.parse(value if isinstance(value, str) else "")
    except InvalidSyntax:
        raise InvalidProof("a commit whose rev is no TID") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """A commit event that was proven. ``records`` are blocks by path, None for what was deleted."""

    commit: SignedCommit
    records: dict[str, bytes | None]
    blocks: Blocks


def check_commit_event(event: CommitEvent, wanted: Filter, *, key: PublicKey, now: float | None = None) -> Proven:
    """Prove an event: signed by the account, and its operations are all that changed since ``prevData``.

    ``records`` are of the operations on wanted paths. Raises :class:`InvalidProof`.
    """
    roots, blocks = Blocks.of_car(event.blocks, where=f"the blocks of {event.did}'s commit {event.rev}")
    raw = blocks.get(event.commit)
    if raw is None or roots[:1] != (event.commit,):
        raise InvalidProof("the event's blocks are not those of its commit", where=event.did)
    commit = read_commit(raw)
    check_commit(commit, did=event.did, key=key, now=now)
    if commit.rev != event.rev:
        raise InvalidProof(f"the event has the rev {event.rev}, its commit {commit.rev}", where=event.did)
    before = event.prev_data
    if before is None:
        if event.since is not None:
            raise InvalidProof("the event has no prevData", where=event.did)
        before = _EMPTY_TREE
    if mst.invert(blocks, commit.data, event.ops) != before:
        raise InvalidProof("its operations don't lead back to prevData", where=event.did)
    prefix = wanted.prefix.decode()
    records: dict[str, bytes | None] = {}
    for op in event.ops:
        if op.path.startswith(prefix):
            block = None if op.cid is None else blocks.get(op.cid)
            if block is None and op.cid is not None:
                raise InvalidProof("the event lacks the block of a record", where=f"at://{event.did}/{op.path}")
            records[op.path] = block
    return Proven(commit=commit, records=records, blocks=blocks)
