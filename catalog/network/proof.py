"""A part of a repository, proven against its signed commit, in the way that costs least.

::

    tree     getRecord ─▶ commit + path ─▶ getBlocks: missing nodes, level by level ─▶ getBlocks: changed records
    proofs   listRecords ─▶ what changed ─▶ getRecord for each             (a server without getBlocks)
    car      getRepo ──▶ everything
    listed   listRecords                                                  (nothing to prove with: unverified)

*Tricky bits.*

- Repositories change while they are read. A server forgets the nodes of an older commit at once, so a read whose blocks
  are gone begins anew.
- The first answer of ``tree`` tells how large the repository is: a tree of n keys has log4(n) layers. What the rest
  costs is estimated from that and from how fast this server has been so far.
- A proof that is missing is one thing: the records are unverified. A proof that is wrong is another: nothing is taken.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode, urlsplit

import libipld

from catalog.datamodel import check_record_size, decode
from catalog.errors import InternalError, InvalidProof, NetworkError, RequestFailed, ResponseTooLarge, contained
from catalog.network import mst
from catalog.network.car import Blocks
from catalog.network.commit import SignedCommit, check_commit, read_commit
from catalog.network.costs import Speed, worth_of_whole
from catalog.network.repo import CheckedRecord, check_type, checked, describe_repo, list_records
from catalog.syntax import AtUri, Cid

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from catalog.network.http import Client
    from catalog.network.keys import PublicKey
    from catalog.syntax import Did

__all__ = [
    "MAX_REPO",
    "WAYS",
    "Account",
    "Part",
    "Reader",
    "Reading",
    "Unread",
    "as_car",
    "read_blocks",
    "take",
    "unread",
]

WAYS: Final = ("tree", "proofs", "car", "listed")
MAX_REPO: Final = 512 * 2**20
"""Bytes of a repository that is read whole."""
MAX_RECORDS: Final = 100_000
"""Records of the part; beyond that the repository is not read."""
MAX_BYTES: Final = 256 * 2**20
"""Bytes of records that are read at a time; the same."""
_CIDS: Final = 100
"""CIDs in one getBlocks: a URL of 6.5 kB, where servers take 8."""
_MAX_BLOCKS: Final = 120_000_000
_MAX_PROOF: Final = 8_000_000
_ROUNDS: Final = 64
"""Levels of a tree: 4^64 keys."""
_RESTARTS: Final = 3
_MAX_PROOFS: Final = 50
"""Records that are proven one by one; where more changed, the whole repository is cheaper."""
_RECORD: Final = "com.atproto.sync.getRecord"
_BLOCKS: Final = "com.atproto.sync.getBlocks"
_REPO: Final = "com.atproto.sync.getRepo"
_UNKNOWN_METHOD: Final = frozenset({"MethodNotImplemented", "XRPCNotSupported", "UnknownMethod", "NotImplemented"})


@dataclass(frozen=True, slots=True)
class Part:
    """The collections that are read; their keys lie together in a tree."""

    collections: tuple[str, ...]

    @property
    def low(self) -> bytes:
        """The first key that may be of the part."""
        return f"{min(self.collections)}/".encode()

    @property
    def high(self) -> bytes:
        """The first key after the part; ``0`` follows ``/``."""
        return f"{max(self.collections)}0".encode()

    @property
    def prefix(self) -> bytes:
        """How all keys of the part begin."""
        return f"{min(self.collections).rpartition('.')[0]}.".encode()

    def has(self, path: str) -> bool:
        """Whether a key is of one of the collections."""
        return path.partition("/")[0] in self.collections


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """An entry of the part that is no record, and why; ``cid`` where it is known.

    ``defect`` is true where the reason is an :class:`~catalog.errors.InternalError`.
    """

    uri: str
    cid: Cid | None
    reason: str
    defect: bool = False


def unread(uri: str, cid: Cid | None, error: Exception) -> Unread:
    """An entry that an error makes no record. After an unexpected one its CID is not noted: it is looked for again."""
    found = contained(error)
    defect = isinstance(found, InternalError)
    return Unread(uri=uri, cid=None if defect else cid, reason=str(found), defect=defect)


@dataclass(slots=True, kw_only=True)
class Reading:
    """What a read brought. ``kept`` are the paths whose CID was known already.

    Everything is proven where there is a ``commit``; ``complete`` tells whether the part is whole by that proof too.
    ``tree`` is to be handed in the next time.
    """

    way: str
    commit: SignedCommit | None = None
    records: list[CheckedRecord] = field(default_factory=list)
    unread: dict[Unread, None] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)
    tree: bytes | None = None
    size: int = 0

    def add(self, record: CheckedRecord) -> None:
        """Add a record. Raises :class:`RequestFailed` when there are too many bytes of them: a tree may name one large
        block a hundred thousand times.
        """
        self.size += record.size
        if self.size > MAX_BYTES:
            raise RequestFailed(f"dataset records of more than {MAX_BYTES:,} bytes", where=record.uri.authority)
        self.records.append(record)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Whose repository is read, where, and what is known of it: CIDs by path, nodes, and the rev it had."""

    did: Did
    pds: str
    key: PublicKey | None
    known: Mapping[str, str]
    tree: bytes | None = None
    rev: str | None = None


class Reader:
    """Reads one part of many repositories; remembers what each server can't do. For many threads."""

    def __init__(self, client: Client, part: Part) -> None:
        self._client = client
        self._part = part
        self._lacking: set[tuple[str, str]] = set()

    def read(self, account: Account) -> Reading:
        """Read what changed. Raises :class:`InvalidProof` for a proof that is wrong, other ``NetworkError`` else."""
        if account.key is None:
            return self._listed(account)
        for way in (self._by_tree, self._by_proofs, self._by_car):
            try:
                return way(account)
            except _LackingError:
                continue
        return self._listed(account)

    def prove(self, account: Account, path: str) -> Reading | None:
        """One record of the part (``collection/rkey``) by its own proof; None where the server offers none.

        A reading without record and without an unread one proves that there is none. Without a key of the account
        nothing is proven: see :meth:`read`. Raises as that does.
        """
        reading = Reading(way="proofs")
        try:
            self._prove(account, path, reading)
        except _LackingError:
            return None
        return reading

    # --- tree ------------------------------------------------------------------------------------------------------

    def _by_tree(self, account: Account) -> Reading:
        before: bytes | None = None
        for _ in range(_RESTARTS):
            try:
                return self._tree_once(account, before)
            except _MovedOnError as error:
                before = error.commit
        raise _LackingError  # it has never had the nodes that it just named

    def _tree_once(self, account: Account, before: bytes | None) -> Reading:
        """Read it once. ``before`` is the commit at which blocks were missing the last time."""
        known = _binary(account.known)
        # What is written most, posts, lies just before the part: the way to its edge is what most often changed.
        roots, blocks = self._proof_of(account, f"{min(self._part.collections)}/0")
        commit = _commit(account, roots, blocks)
        if account.tree is not None:
            blocks.add(Blocks.of_car(account.tree)[1])
        whole = not self._lacks(account.pds, _REPO)
        for _ in range(_ROUNDS):
            part = mst.read(blocks, commit.data, self._part.low, self._part.high)
            if len(part.entries) > MAX_RECORDS:
                raise RequestFailed(f"more than {MAX_RECORDS:,} dataset records", where=account.did)
            if not part.missing:
                break
            if whole:
                speed = self._speed(account.pds)
                most = worth_of_whole(part, blocks, root=commit.data, anew=not known, speed=speed)
                if most:
                    whole = False  # tried once; where it is too large, it goes on as it began
                    with suppress(_LackingError):
                        return self._by_car(account, most)
            blocks.add(self._blocks(account, part.missing, commit))
        else:
            raise InvalidProof(f"a tree of more than {_ROUNDS} levels", where=account.did)
        reading = Reading(way="tree", commit=commit, tree=as_car(part.nodes, blocks))
        wanted = [cid for path, cid in part.entries.items() if known.get(path) != cid and self._part.has(path)]
        for at in range(0, len(wanted), _CIDS):
            some = list(dict.fromkeys(wanted[at : at + _CIDS]))
            blocks.add(self._records(account, some, commit, lost=before == commit.cid))
        _take_all(account.did, self._part, part.entries, blocks, reading, known)
        return reading

    def _proof_of(self, account: Account, path: str) -> tuple[tuple[bytes, ...], Blocks]:
        collection, _, rkey = path.partition("/")
        parameters = [("did", account.did), ("collection", collection), ("rkey", rkey)]
        raw = self._ask(account, _RECORD, parameters, max_bytes=_MAX_PROOF)
        return Blocks.of_car(raw, where=f"{account.pds} getRecord {account.did}")

    def _records(self, account: Account, cids: Sequence[bytes], commit: SignedCommit, *, lost: bool) -> Blocks:
        """The blocks of records. Servers lose some; where that is known (``lost``) all the others are found."""
        try:
            return self._blocks(account, cids, commit)
        except _MovedOnError:
            if not lost:
                raise
        if len(cids) == 1:
            return Blocks()
        middle = len(cids) // 2
        brought = self._records(account, cids[:middle], commit, lost=True)
        brought.add(self._records(account, cids[middle:], commit, lost=True))
        return brought

    def _blocks(self, account: Account, cids: Sequence[bytes], commit: SignedCommit) -> Blocks:
        """These blocks. Raises _MovedOnError when the server doesn't have one of them any more."""
        brought = Blocks()
        for at in range(0, len(cids), _CIDS):
            some = cids[at : at + _CIDS]
            parameters = [("did", str(account.did)), *(("cids", str(Cid.of_binary(cid))) for cid in some)]
            try:
                raw = self._ask(account, _BLOCKS, parameters, max_bytes=_MAX_BLOCKS)
            except RequestFailed as error:
                if error.status == 400 and error.name in ("InvalidRequest", "BlockNotFound", ""):
                    raise _MovedOnError(commit.cid) from None
                raise
            brought.add(Blocks.of_car(raw, where=f"{account.pds} getBlocks {account.did}")[1])
            if any(cid not in brought for cid in some):
                raise _MovedOnError(commit.cid)
        return brought

    def _speed(self, pds: str) -> Speed:
        host = self._client.host(pds)
        guess = Speed()
        return Speed(
            latency=guess.latency if host.latency is None else host.latency,
            throughput=guess.throughput if host.throughput is None else host.throughput,
        )

    # --- the other ways --------------------------------------------------------------------------------------------

    def _by_car(self, account: Account, most: int = MAX_REPO) -> Reading:
        try:
            parameters = [("did", str(account.did))]
            raw = self._ask(account, _REPO, parameters, max_bytes=most, seconds=900)
        except ResponseTooLarge:
            raise _LackingError from None
        roots, blocks = Blocks.of_car(raw, where=f"{account.pds} getRepo {account.did}")
        return read_blocks(roots, blocks, account, self._part)

    def _by_proofs(self, account: Account) -> Reading:
        """What a list says has changed, each change proven; of what isn't listed, that it is gone."""
        known = _binary(account.known)
        reading = Reading(way="proofs")
        listed: dict[str, bytes] = {}
        for entry in self._list(account, reading):
            listed[_path(entry.uri)] = entry.cid.binary
        changed = [path for path, cid in listed.items() if known.get(path) != cid]
        changed += [path for path in known if path not in listed]
        if len(changed) > _MAX_PROOFS:
            raise _LackingError
        reading.kept = [path for path, cid in listed.items() if known.get(path) == cid]
        for path in changed or list(listed)[:1]:
            self._prove(account, path, reading)
        return reading

    def _prove(self, account: Account, path: str, reading: Reading) -> None:
        """Add one record, or nothing when it is proven that there is none."""
        roots, blocks = self._proof_of(account, path)
        reading.commit = commit = _commit(account, roots, blocks)
        key = path.encode()
        part = mst.read(blocks, commit.data, key, key + b"\0")
        if part.missing and path not in part.entries:
            raise InvalidProof("the proof of a record doesn't lead to it", where=f"at://{account.did}/{path}")
        _take_all(account.did, self._part, part.entries, blocks, reading, {})

    def _listed(self, account: Account) -> Reading:
        """Everything a server lists, on its word. A record's CID is computed; that shows damage, not who wrote it."""
        reading = Reading(way="listed")
        seen: set[str] = set()
        for entry in self._list(account, reading):
            if entry.uri not in seen:
                seen.add(entry.uri)
                reading.add(entry)
        return reading

    def _list(self, account: Account, reading: Reading) -> Iterator[CheckedRecord]:
        total = 0
        present = describe_repo(self._client, account.pds, account.did)
        for collection in self._part.collections:
            if collection not in present:
                continue
            for line in list_records(self._client, account.pds, account.did, collection):
                total += 1
                if total > MAX_RECORDS:
                    raise RequestFailed(f"more than {MAX_RECORDS:,} dataset records", where=account.did)
                try:
                    yield checked(line, account.did, collection)
                except Exception as error:  # noqa: BLE001 — whatever it is, it keeps this record out alone
                    uri = line.uri or f"at://{account.did}/{collection}/?"
                    reading.unread[unread(uri, None, error)] = None

    # --- asking ----------------------------------------------------------------------------------------------------

    def _ask(
        self,
        account: Account,
        method: str,
        parameters: Sequence[tuple[str, str]],
        *,
        max_bytes: int,
        seconds: float = 60,
    ) -> bytes:
        """The bytes of an answer. Raises _LackingError where the server doesn't know the method."""
        if self._lacks(account.pds, method):
            raise _LackingError
        url = f"{account.pds}/xrpc/{method}?{urlencode(parameters)}"
        headers = {"Accept": "application/vnd.ipld.car"}
        try:
            return self._client.get(url, headers=headers, max_bytes=max_bytes, seconds=seconds).body
        except RequestFailed as error:
            if error.name in _UNKNOWN_METHOD or error.status in (404, 405, 501):
                self._lacking.add((urlsplit(account.pds).netloc, method))
                raise _LackingError from None
            raise

    def _lacks(self, pds: str, method: str) -> bool:
        return (urlsplit(pds).netloc, method) in self._lacking


def read_blocks(roots: Sequence[bytes], blocks: Blocks, account: Account, part: Part) -> Reading:
    """The part of a whole repository. Raises :class:`InvalidProof`.

    Without a key the signature isn't checked, and the reading has no commit: nothing is proven.
    """
    commit = _commit(account, roots, blocks)
    found = mst.read(blocks, commit.data, part.low, part.high)
    if found.missing:
        raise InvalidProof(f"{len(found.missing)} blocks of the tree are missing", where=account.did)
    if len(found.entries) > MAX_RECORDS:
        raise RequestFailed(f"more than {MAX_RECORDS:,} dataset records", where=account.did)
    reading = Reading(way="car", commit=None if account.key is None else commit, tree=as_car(found.nodes, blocks))
    _take_all(account.did, part, found.entries, blocks, reading, _binary(account.known))
    return reading


def _take_all(  # noqa: PLR0917 — three loops call it, with what they have at hand
    did: Did, part: Part, entries: Mapping[str, bytes], blocks: Blocks, reading: Reading, known: Mapping[str, bytes]
) -> None:
    """Put a tree's entries into a reading: as kept where they are known, as records or as unread where not."""
    for path, cid in entries.items():
        if not part.has(path):
            continue
        if known.get(path) == cid:
            reading.kept.append(path)
            continue
        raw = blocks.get(cid)
        if raw is None:  # its CID is not noted, so that it is looked for again
            reason = f"its server has lost its block {Cid.of_binary(cid)}"
            reading.unread[Unread(uri=f"at://{did}/{path}", cid=None, reason=reason)] = None
            continue
        try:
            record = take(did, path, cid, raw)
        except Exception as error:  # noqa: BLE001 — whatever it is, it keeps this record out alone
            reading.unread[unread(f"at://{did}/{path}", Cid.of_binary(cid), error)] = None
        else:
            reading.add(record)


def take(did: Did, path: str, cid: bytes, raw: bytes) -> CheckedRecord:
    """The record of a proven block. Raises a :class:`CatalogError` when it is none."""
    check_record_size(raw)
    uri = AtUri.parse(f"at://{did}/{path}")
    value = decode(raw)
    check_type(value, str(uri.collection))
    return CheckedRecord(uri=uri, cid=Cid.of_binary(cid), value=value, size=len(raw))


def _commit(account: Account, roots: Sequence[bytes], blocks: Blocks) -> SignedCommit:
    """The commit of an answer, checked; it may be the known one, but none before it."""
    raw = blocks.get(roots[0]) if roots else None
    if raw is None:
        raise InvalidProof("the answer has no commit", where=account.did)
    commit = read_commit(raw)
    if account.key is not None:
        check_commit(commit, did=account.did, key=account.key)
    elif commit.did != account.did:
        raise InvalidProof(f"the commit is of another account, {commit.did[:100]}", where=account.did)
    if account.rev is not None and commit.rev < account.rev:
        raise InvalidProof(f"its rev went back from {account.rev} to {commit.rev}", where=account.did)
    return commit


def _binary(known: Mapping[str, str]) -> dict[str, bytes]:
    return {path: Cid(cid).binary for path, cid in known.items()}


def _path(uri: AtUri) -> str:
    return f"{uri.collection}/{uri.rkey}"


def as_car(cids: Sequence[bytes], blocks: Blocks) -> bytes | None:
    """These blocks as a CAR whose root is the first of them; None for no blocks."""
    if not cids:
        return None
    header = libipld.encode_dag_cbor({"roots": [cids[0]], "version": 1})
    parts = [_varint(len(header)), header]
    for cid in cids:
        raw = blocks.get(cid)
        if raw is not None:
            parts += (_varint(len(cid) + len(raw)), cid, raw)
    return b"".join(parts)


def _varint(number: int) -> bytes:
    """A number as unsigned LEB128."""
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


class _MovedOnError(Exception):
    """The server doesn't have the blocks of this commit (any more)."""

    def __init__(self, commit: bytes) -> None:
        super().__init__("blocks are missing")
        self.commit = commit


class _LackingError(NetworkError):
    """The server can't do what this way needs."""

    def __init__(self) -> None:
        super().__init__("the server doesn't offer what a proof needs")
