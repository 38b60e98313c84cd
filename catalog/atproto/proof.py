"""A part of a repository, proven against its signed commit, in the cheapest way.

::

    tree     getRecord ─▶ commit + path ─▶ getBlocks: missing nodes, level by level ─▶ getBlocks: changed records
    proofs   listRecords ─▶ changes ─▶ getRecord for each                  (a server without getBlocks)
    car      getRepo ──▶ everything
    tree     again, without the records that the server doesn't return
    listed   listRecords                                                  (no proofs at all: unverified)

Each way falls back to the next if the server refuses it in any form, or returns no CAR or an incomplete one.

- Repositories change while they are read. A server drops the nodes of an older commit at once, so a read whose blocks
  are gone starts again.
- The first response of ``tree`` shows the size of the repository: a tree of n keys has log4(n) layers. The cost of the
  rest is estimated from it and from the speed of the server so far.
- Without proofs, records are unverified. After an invalid proof (a block or signature that doesn't match, an older
  commit), only the whole repository is accepted.
- Absence needs proof, too: a record that a list doesn't contain is requested before it counts as deleted.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode, urlsplit

import libipld

from catalog.atproto import mst
from catalog.atproto.car import Blocks
from catalog.atproto.commit import SignedCommit, check_commit, read_commit
from catalog.atproto.datamodel import MAX_VALUES, check_record_size, decode
from catalog.atproto.read_planner import Speed, worth_of_whole
from catalog.atproto.repo import (
    CheckedRecord,
    check_type,
    checked,
    describe_repo,
    get_record,
    is_absent,
    is_gone,
    is_refusal,
    list_records,
)
from catalog.config import LimitSettings
from catalog.errors import (
    CatalogError,
    InternalError,
    InvalidProof,
    NetworkError,
    RequestFailed,
    ResponseTooLarge,
    contained,
)
from catalog.network.rate_limit import ALLOWANCE, BYTES_UP, TIME_UP
from catalog.sanitize import one_line
from catalog.syntax import AtUri, Cid

if TYPE_CHECKING:
    from catalog.atproto.datamodel import Json
    from catalog.atproto.keys import PublicKey
    from catalog.network.http import Client
    from catalog.syntax import Did

WAYS: Final = ("tree", "proofs", "car", "listed")
MAX_REPO: Final = 512 * 2**20
"""Bytes of a repository that is read whole."""
MAX_RECORDS: Final = 1_000_000
"""Records of the part; beyond that the repository is not read."""
MAX_BYTES: Final = 256 * 2**20
"""Bytes of records that are in memory at a time; the rest is left for the next read."""
MAX_HELD: Final = 4_000_000
"""Values of records, keys included, that are in memory at a time: as empty lists 260 MB."""
_LIMITS: Final = LimitSettings()
_SPENT: Final = frozenset({TIME_UP, BYTES_UP})
"""Names of failures that end a read and leave what it brought."""
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
_MAX_COMMIT: Final = 4096
_SIGNATURE: Final = b"\x63sig\x58\x40"
_EDGE: Final = "the proof of an absent record"
_MAX_URI: Final = 1000
"""Characters of the longest address that a record has; of a longer one the beginning is kept."""
_SHOWN_URI: Final = 200
_UNKNOWN_METHOD: Final = frozenset({"MethodNotImplemented", "XRPCNotSupported", "UnknownMethod", "NotImplemented"})
_KNOWN_METHOD: Final = re.compile(r"record|block|repo|account", re.IGNORECASE)
"""A word in the name of a 404 that isn't about the method."""
_PASSING: Final = frozenset({500, 502, 503, 504})
"""Statuses of refusals that may be over the next time."""
_REFUSED_AFTER: Final = 5
"""Refusals in a row by one server, after which a method is tried now and then only."""
_TRIED_AGAIN: Final = 20
_LOST: Final = "its server has lost its block"
_WITHHELD: Final = "its server doesn't hand out its block, and offers no whole repository that may have it:"


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
        """The common prefix of all keys of the part."""
        return f"{min(self.collections).rpartition('.')[0]}.".encode()

    def has(self, path: str) -> bool:
        """Return whether a key is in one of the collections."""
        return path.partition("/")[0] in self.collections


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """An invalid entry of the part, with the reason; ``cid`` if it is known.

    ``defect`` is true for an :class:`~catalog.errors.InternalError`. ``lost`` is the proven CID of a missing block.
    """

    uri: str
    cid: Cid | None
    reason: str
    defect: bool = False
    lost: Cid | None = None


def unread(uri: str, cid: Cid | None, error: Exception) -> Unread:
    """An entry that an error makes no record. After an unexpected one its CID is not noted: it is looked for again."""
    found = contained(error)
    defect = isinstance(found, InternalError)
    if len(uri) > _MAX_URI:  # no URI; what is kept of a large answer is small, or its memory can't be used again
        uri = one_line(uri, _SHOWN_URI)
    return Unread(uri=uri, cid=None if defect else cid, reason=str(found), defect=defect)


@dataclass(slots=True, kw_only=True)
class Reading:
    """The result of a read, proven if it has a ``commit``. ``kept`` are the paths whose CID was known already.

    ``tree`` is for the next read. ``passing``: the server refused proofs in a way that may be temporary. ``short`` is
    why the part wasn't read completely; ``left`` records are missing, known ones of them are ``kept``.
    """

    way: str
    commit: SignedCommit | None = None
    records: list[CheckedRecord] = field(default_factory=list)
    unread: dict[Unread, None] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)
    tree: bytes | None = None
    size: int = 0
    values: int = 0
    passing: bool = False
    short: str | None = None
    left: int = 0
    stopped: bool = False

    def add(self, record: CheckedRecord) -> bool:
        """Add a record; return False if there is no room for it: a tree may name one large block a hundred thousand
        times.
        """
        self.size += record.size
        if self.size > MAX_HELD:
            some = self.records if not self.values else ()
            self.values += sum(_weight(each.value) for each in (*some, record))
        if self.size > MAX_BYTES or self.values > MAX_HELD:
            what = f"{MAX_BYTES:,} bytes" if self.size > MAX_BYTES else f"{MAX_HELD:,} values"
            self.stop(f"records of {what} are read at a time")
            return False
        self.records.append(record)
        return True

    def stop(self, why: str) -> None:
        """Note that no more records are to be added."""
        self.short, self.stopped = self.short or why, True

    def leave(self, path: str, known: Mapping[str, object]) -> None:
        """Note that a record isn't read now; an older version that is known stays."""
        self.left += 1
        if path in known:
            self.kept.append(path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The account to read: its DID, server and key, and the CIDs by path, tree and newest rev of the last read.

    ``alive``: its server reports it as active. An answer that there is no such repository is then a refusal like
    others, and the repository is read with proofs or not at all.
    """

    did: Did
    pds: str
    key: PublicKey | None
    known: Mapping[str, str]
    tree: bytes | None = None
    rev: str | None = None
    alive: bool = False


class Reader:
    """Reads one part of many repositories; remembers what each server can't do. For many threads."""

    def __init__(self, client: Client, part: Part, limits: LimitSettings = _LIMITS) -> None:
        self._client = client
        self._part = part
        self._limits = limits
        self._lacking: set[tuple[str, str]] = set()
        self._refused: Counter[tuple[str, str]] = Counter()
        """In a row, by server and method."""

    def read(self, account: Account) -> Reading:
        """Read the changes, in the first way that the server allows.

        Raises :class:`InvalidProof` for a wrong proof, unless the whole repository is proven; another ``NetworkError``
        if nothing can be read.
        """
        if account.key is None:
            return self._listed(account)
        passing = scraps = False
        large: RequestFailed | None = None
        wrong: InvalidProof | None = None
        for way in (self._by_tree, self._by_proofs, self._by_car, self._by_scraps):
            if (wrong is not None and way != self._by_car) or (way == self._by_scraps and not scraps):
                continue
            try:
                return way(account)
            except _LackingError as lacking:
                large = large or lacking.large
                passing, scraps = passing or lacking.status in _PASSING, scraps or lacking.blocks
            except _IncompleteError:
                continue
            except InvalidProof as error:
                if way == self._by_car:
                    raise
                wrong = error
        if wrong is not None:
            raise wrong
        if account.alive:
            raise RequestFailed("its server refuses every proof", status=403, name="RepoInactive", where=account.did)
        reading = self._listed_instead(account, large)
        reading.passing = passing
        return reading

    def _listed_instead(self, account: Account, large: RequestFailed | None) -> Reading:
        """The plain list; where that is refused too, ``large`` is what is raised, as it says what to do."""
        try:
            return self._listed(account)
        except RequestFailed as error:
            if large is None or not is_refusal(error):
                raise
            raise large from None

    def prove(self, account: Account, path: str, *, by_cid: bool = False) -> Reading | None:
        """Return one record of the part (``collection/rkey``) by its own proof; None if the server offers none.

        A reading without any record proves its absence. With ``by_cid`` a proof that lacks only the record's block
        counts, too: its CID is in ``lost``. An answer without a commit, or with nothing of its tree, is no proof; one
        with a part of the tree that doesn't lead to this record is a wrong proof. Raises as :meth:`read`.
        """
        reading = Reading(way="proofs")
        try:
            self._prove(account, path, reading, by_cid=by_cid)
        except _LackingError:
            return None
        except _IncompleteError as error:
            raise InvalidProof(error.what, where=error.where) from None
        return reading

    # --- tree ------------------------------------------------------------------------------------------------------

    def _by_tree(self, account: Account) -> Reading:
        before: bytes | None = None
        for _ in range(_RESTARTS):
            try:
                return self._tree_once(account)
            except _MovedOnError as error:
                status = error.status
                if error.commit == before:
                    break
                before = error.commit
        self._note(account.pds, _BLOCKS)
        raise _LackingError(
            status, blocks=True
        )  # it has never had the blocks that it just named, or doesn't hand them out

    def _by_scraps(self, account: Account) -> Reading:
        """The tree, with those records that the server hands out: for want of the whole."""
        try:
            reading = self._tree_once(account, lost=True)
        except _MovedOnError as error:
            raise _LackingError(error.status) from None
        if reading.unread and not reading.records:
            raise _LackingError
        return reading

    def _tree_once(self, account: Account, *, lost: bool = False) -> Reading:
        """Read the tree once; with ``lost``, without the records that the server doesn't have."""
        known = _binary(account.known)
        # What is written most, posts, lies just before the part: the way to its edge is what most often changed.
        roots, blocks = self._proof_of(account, f"{min(self._part.collections)}/0", of=_EDGE)
        commit = _commit(account, roots, blocks)
        if account.tree is not None:
            blocks.add(Blocks.of_car(account.tree)[1])
        whole = not lost and not self._lacks(account.pds, _REPO)
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
                    whole = False  # tried once; if it is too large, the tree is read on
                    with suppress(_LackingError, _IncompleteError):
                        return self._by_car(account, most)
            blocks.add(self._blocks(account, part.missing, commit))
        else:
            raise InvalidProof(f"a tree of more than {_ROUNDS} levels", where=account.did)
        reading = Reading(way="tree", commit=commit, tree=as_car(part.nodes, blocks))
        entries = _within(reading, self._part, part.entries, known, self._limits)
        reading.kept += [path for path, cid in entries.items() if known.get(path) == cid]
        wanted = [path for path, cid in entries.items() if known.get(path) != cid]
        for at in range(0, len(wanted), _CIDS):
            some = {path: entries[path] for path in wanted[at : at + _CIDS]}
            brought = _held(blocks, some.values())
            brought.add(self._within_budgets(account, list(dict.fromkeys(some.values())), commit, reading, lost=lost))
            _take_all(account.did, some, brought, reading, known, lost=_WITHHELD, values=self._limits.record_values)
        return reading

    def _within_budgets(
        self, account: Account, cids: Sequence[bytes], commit: SignedCommit, reading: Reading, *, lost: bool
    ) -> Blocks:
        """The blocks of records; none once a budget is used up, and what was read until then is kept."""
        if not reading.stopped:
            try:
                return self._records(account, cids, commit, lost=lost)
            except RequestFailed as error:
                if error.name not in _SPENT:
                    raise
                reading.stop(str(error))
        return Blocks()

    def _proof_of(self, account: Account, path: str, *, of: str = _RECORD) -> tuple[tuple[bytes, ...], Blocks]:
        if self._lacks(account.pds, of):
            raise _LackingError
        collection, _, rkey = path.partition("/")
        parameters = [("did", account.did), ("collection", collection), ("rkey", rkey)]
        try:
            found = _car(self._ask(account, _RECORD, parameters, max_bytes=_MAX_PROOF))
        except _LackingError as error:
            if of != _RECORD or not error.absent:  # that there is no such record is an answer
                self._note(account.pds, of)
            raise
        self._refused.pop(_key(account.pds, of), None)
        return found

    def _records(self, account: Account, cids: Sequence[bytes], commit: SignedCommit, *, lost: bool) -> Blocks:
        """The blocks of records. Servers lose some; with ``lost`` all the others are found."""
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
        """These blocks. Raises _MovedOnError when the server doesn't have one of them any more, however it says so."""
        brought = Blocks()
        for at in range(0, len(cids), _CIDS):
            some = cids[at : at + _CIDS]
            parameters = [("did", str(account.did)), *(("cids", str(Cid.of_binary(cid))) for cid in some)]
            try:
                brought.add(_car(self._ask(account, _BLOCKS, parameters, max_bytes=_MAX_BLOCKS))[1])
            except _LackingError as error:
                if self._lacks(account.pds, _BLOCKS):
                    raise
                raise _MovedOnError(commit.cid, error.status) from None
            if any(cid not in brought for cid in some):
                raise _MovedOnError(commit.cid)
        self._refused.pop(_key(account.pds, _BLOCKS), None)
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
        allowance = ALLOWANCE.get()
        if allowance is not None and allowance.left < most:
            most = max(0, allowance.left)
        else:
            allowance = None
        try:
            parameters = [("did", str(account.did))]
            roots, blocks = _car(self._ask(account, _REPO, parameters, max_bytes=most, seconds=900))
            return read_blocks(roots, blocks, account, self._part, partial(self._again, account), limits=self._limits)
        except ResponseTooLarge:
            raise _LackingError(large=None if allowance is None else allowance.error()) from None

    def _again(self, account: Account, cids: Sequence[bytes], commit: SignedCommit) -> Blocks:
        """Those blocks that a whole repository lacks and that its server hands out one by one."""
        brought = Blocks()
        with suppress(_LackingError, _MovedOnError):
            if not self._lacks(account.pds, _BLOCKS):
                brought.add(self._records(account, cids[:_CIDS], commit, lost=True))
        return brought

    def _by_proofs(self, account: Account) -> Reading:
        """Prove each change that a list shows, and the absence of each known record that it lacks."""
        known = _binary(account.known)
        reading = Reading(way="proofs")
        if self._lacks(account.pds, _RECORD):
            raise _LackingError
        try:
            listed = self._changes_listed(account, known, reading)
        except RequestFailed as error:
            if not _passes(error, account):
                raise
            raise _LackingError(error.status) from None
        changed = [path for path, cid in listed.items() if known.get(path) != cid]
        changed += [path for path in known if path not in listed]
        if len(changed) > _MAX_PROOFS:
            raise _LackingError
        reading.kept = [path for path, cid in listed.items() if known.get(path) == cid]
        for path in changed or list(listed)[:1]:
            self._prove_within_budgets(account, path, reading, known)
        return reading

    def _changes_listed(self, account: Account, known: Mapping[str, bytes], reading: Reading) -> dict[str, bytes]:
        """Return the listed CIDs by path. Raises _LackingError if the list is incomplete or has too many changes."""
        listed: dict[str, bytes] = {}
        new = 0
        faults: list[str] = []
        for entry in self._list(account, reading, faults):
            path, cid = _path(entry.uri), entry.cid.binary
            new += path not in listed and known.get(path) != cid
            if new > _MAX_PROOFS:
                raise _LackingError
            listed[path] = cid
        if faults:
            raise _LackingError
        return listed

    def _prove_within_budgets(self, account: Account, path: str, reading: Reading, known: Mapping[str, bytes]) -> None:
        """Prove one record, unless a budget is used up; what was proven until then is kept."""
        if reading.stopped:
            reading.leave(path, known)
            return
        left = reading.left
        try:
            self._prove(account, path, reading)
        except RequestFailed as error:
            if error.name not in _SPENT or reading.commit is None:
                raise
            reading.stop(str(error))
            reading.leave(path, known)
        else:
            if reading.left > left and path in known:
                reading.kept.append(path)

    def _prove(self, account: Account, path: str, reading: Reading, *, by_cid: bool = False) -> None:
        """Add one record, or nothing if its absence is proven."""
        roots, blocks = self._proof_of(account, path)
        try:
            commit = _commit(account, roots, blocks)
        except _IncompleteError:
            raise _LackingError from None
        key = path.encode()
        part = mst.read(blocks, commit.data, key, key + b"\0")
        if not part.nodes:  # some servers answer with the commit only
            raise _LackingError
        lost = not by_cid and any(cid not in blocks for cid in part.entries.values())
        if lost or (part.missing and path not in part.entries):
            what = "the proof of a record doesn't lead to it"
            raise _IncompleteError(what, where=f"at://{account.did}/{path}")
        reading.commit = commit
        some = {path: cid for path, cid in part.entries.items() if self._part.has(path)}
        _take_all(account.did, some, blocks, reading, {}, values=self._limits.record_values)

    def _listed(self, account: Account) -> Reading:
        """Return all listed records, unproven. Known records that are no longer listed are requested one by one."""
        reading = Reading(way="listed")
        named: set[str] = set()
        faults: list[str] = []
        room = self._limits.account_records - len(account.known)
        try:
            for entry in self._list(account, reading, faults):
                path = _path(entry.uri)
                if path in named:
                    continue
                named.add(path)
                room -= path not in account.known
                if account.known.get(path) == entry.cid:
                    reading.kept.append(path)
                elif path not in account.known and room < 0:
                    reading.short = _too_many(self._limits)
                    reading.leave(path, account.known)
                elif not reading.add(entry):
                    reading.leave(path, account.known)
                    break
        except RequestFailed as error:
            if error.name not in _SPENT or not (reading.records or reading.kept):
                raise
            reading.stop(str(error))
        named |= {item.uri.removeprefix(f"at://{account.did}/") for item in reading.unread}
        missing = [path for path in account.known if path not in named]
        reading.kept += missing if reading.stopped else self._not_gone(account, missing, whole=not faults)
        return reading

    def _not_gone(self, account: Account, missing: Sequence[str], *, whole: bool) -> list[str]:
        """Return those of some unlisted records that their server still has.

        After a ``whole`` list only the first ones are requested, if all of those are gone.
        """
        kept = []
        for path in missing[:_MAX_PROOFS]:
            collection, _, rkey = path.partition("/")
            try:
                get_record(self._client, account.pds, account.did, collection, rkey)
            except NetworkError as error:
                if is_absent(error):
                    continue
                if not is_refusal(error):
                    raise
            kept.append(path)
        return kept if whole and not kept else [*kept, *missing[_MAX_PROOFS:]]

    def _list(self, account: Account, reading: Reading, faults: list[str]) -> Iterator[CheckedRecord]:
        """Yield every listed record of the part; ``faults`` are the reasons why the list may be incomplete."""
        limits, total = self._limits, 0

        def budget(why: str) -> None:
            reading.short = why
            faults.append(why)

        for collection in self._collections(account):
            listing = list_records(self._client, account.pds, account.did, collection)
            while True:
                try:
                    line = next(listing, None)
                except ResponseTooLarge as error:  # the other collections may be read
                    budget(f"its list of {collection} was not read to its end: {error}")
                    break
                if line is None:
                    break
                total += 1
                if total > limits.account_records:
                    budget(_too_many(limits))
                    return
                try:
                    yield checked(line, account.did, collection, values=limits.record_values)
                except Exception as error:  # noqa: BLE001 — whatever it is, it keeps this record out alone
                    uri = line.uri or f"at://{account.did}/{collection}/?"
                    reading.unread[unread(uri, None, error)] = None
                    if len(reading.unread) > limits.listing_errors:
                        what = f"more than {limits.listing_errors:,} records that its server lists are none"
                        budget(f"{what}; raise limits.listing_errors")
                        return
            if listing.fault is not None:
                faults.append(listing.fault)

    def _collections(self, account: Account) -> Sequence[str]:
        """The collections of the part that a server says an account has; all of them where it says nothing."""
        try:
            present = describe_repo(self._client, account.pds, account.did)
        except NetworkError as error:
            if not _passes(error, account):
                raise
            return self._part.collections
        return [collection for collection in self._part.collections if collection in present]

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
        """The bytes of an answer. Raises _LackingError for a refusal; those of a method unknown are remembered."""
        if self._lacks(account.pds, method):
            raise _LackingError
        url = f"{account.pds}/xrpc/{method}?{urlencode(parameters)}"
        headers = {"Accept": "application/vnd.ipld.car"}
        try:
            return self._client.get(url, headers=headers, max_bytes=max_bytes, seconds=seconds).body
        except CatalogError as error:
            if not _passes(error, account):
                raise
            if isinstance(error, RequestFailed) and _is_unknown_method(error):
                self._lacking.add(_key(account.pds, method))
            status = error.status if isinstance(error, RequestFailed) else 0
            raise _LackingError(status, absent=is_absent(error)) from None

    def _note(self, pds: str, method: str) -> None:
        self._refused[_key(pds, method)] += 1

    def _lacks(self, pds: str, method: str) -> bool:
        """Return whether to skip a method of a server: it is unknown there, or was refused several times in a row."""
        key = _key(pds, method)
        if key in self._lacking:
            return True
        refused = self._refused[key]
        if refused < _REFUSED_AFTER:
            return False
        self._refused[key] += 1
        return refused % _TRIED_AGAIN != 0


def _key(pds: str, method: str) -> tuple[str, str]:
    return urlsplit(pds).netloc, method


def _passes(error: CatalogError, account: Account) -> bool:
    """Return whether to try another way after an error. Not if the server reports the account as gone."""
    return is_refusal(error) and (account.alive or not is_gone(error))


def _is_unknown_method(error: RequestFailed) -> bool:
    if error.name in _UNKNOWN_METHOD or error.status in (405, 501):
        return True
    return error.status == 404 and not is_absent(error) and not _KNOWN_METHOD.search(error.name)


def _car(raw: bytes) -> tuple[tuple[bytes, ...], Blocks]:
    """Read the CAR of an answer. Raises _LackingError for another answer: a page, an error with status 200."""
    try:
        return Blocks.of_car(raw)
    except InvalidProof:
        raise _LackingError from None


def read_blocks(
    roots: Sequence[bytes],
    blocks: Blocks,
    account: Account,
    part: Part,
    fetch: Callable[[Sequence[bytes], SignedCommit], Blocks] | None = None,
    *,
    limits: LimitSettings = _LIMITS,
) -> Reading:
    """Return the part of a whole repository; ``fetch`` is called for missing records. Raises :class:`InvalidProof`.

    Without a key the signature isn't checked, and the reading has no commit.
    """
    commit = _commit(account, roots, blocks)
    found = mst.read(blocks, commit.data, part.low, part.high)
    if found.missing:
        raise _IncompleteError(f"{len(found.missing)} blocks of the tree are missing", where=account.did)
    if len(found.entries) > MAX_RECORDS:
        raise RequestFailed(f"more than {MAX_RECORDS:,} dataset records", where=account.did)
    reading = Reading(way="car", commit=None if account.key is None else commit, tree=as_car(found.nodes, blocks))
    known = _binary(account.known)
    entries = _within(reading, part, found.entries, known, limits)
    if fetch is not None:
        lost = [cid for path, cid in entries.items() if cid not in blocks and known.get(path) != cid]
        if lost:
            blocks.add(fetch(lost, commit))
    _take_all(account.did, entries, blocks, reading, known, values=limits.record_values)
    return reading


def _held(blocks: Blocks, cids: Iterable[bytes]) -> Blocks:
    """Those of these blocks that are there already, checked."""
    held = Blocks()
    for cid in cids:
        raw = blocks.get(cid)
        if raw is not None:
            held.put(cid, raw)
    return held


def _within(
    reading: Reading, part: Part, entries: Mapping[str, bytes], known: Mapping[str, bytes], limits: LimitSettings
) -> dict[str, bytes]:
    """The entries of the part that are to be read: of too many those that are known already, then the first."""
    ours = {path: cid for path, cid in entries.items() if part.has(path)}
    if len(ours) <= limits.account_records:
        return ours
    reading.short = _too_many(limits)
    order = sorted(ours, key=lambda path: path not in known)
    for path in order[limits.account_records :]:
        reading.leave(path, known)
    return {path: ours[path] for path in order[: limits.account_records]}


def _too_many(limits: LimitSettings) -> str:
    return f"it has more than {limits.account_records:,} records; raise limits.account_records"


def _weight(value: Json) -> int:
    if isinstance(value, dict):
        return 1 + len(value) + sum(map(_weight, value.values()))
    return 1 + sum(map(_weight, value)) if isinstance(value, list) else 1


def _take_all(
    did: Did,
    entries: Mapping[str, bytes],
    blocks: Blocks,
    reading: Reading,
    known: Mapping[str, bytes],
    *,
    lost: str = _LOST,
    values: int = MAX_VALUES,
) -> None:
    """Put a tree's entries into a reading: as kept where they are known, as records or as unread where not."""
    for path, cid in entries.items():
        if known.get(path) == cid:
            reading.kept.append(path)
            continue
        if reading.stopped:
            reading.leave(path, known)
            continue
        raw = blocks.get(cid)
        if raw is None:  # its CID is not noted, so that it is looked for again
            named = Cid.of_binary(cid)
            missing = Unread(uri=f"at://{did}/{path}", cid=None, reason=f"{lost} {named}", lost=named)
            reading.unread[missing] = None
            continue
        try:
            record = take(did, path, cid, raw, values=values)
        except Exception as error:  # noqa: BLE001 — whatever it is, it keeps this record out alone
            reading.unread[unread(f"at://{did}/{path}", Cid.of_binary(cid), error)] = None
        else:
            if not reading.add(record):
                reading.leave(path, known)


def take(did: Did, path: str, cid: bytes, raw: bytes, *, values: int = MAX_VALUES) -> CheckedRecord:
    """Return the record of a proven block, of at most ``values`` values. Raises a :class:`CatalogError`."""
    check_record_size(raw, values)
    uri = AtUri.parse(f"at://{did}/{path}")
    value = decode(raw)
    check_type(value, str(uri.collection))
    return CheckedRecord(uri=uri, cid=Cid.of_binary(cid), value=value, size=len(raw))


def _commit(account: Account, roots: Sequence[bytes], blocks: Blocks) -> SignedCommit:
    """The commit of an answer, checked; it may be the known one, but none before it."""
    raw = blocks.get(roots[0]) if roots else None
    commit = _found_commit(account.did, blocks) if raw is None else read_commit(raw)
    if account.key is not None:
        check_commit(commit, did=account.did, key=account.key)
    elif commit.did != account.did:
        raise InvalidProof(f"the commit is of another account, {commit.did[:100]}", where=account.did)
    if account.rev is not None and commit.rev < account.rev:
        raise InvalidProof(f"its rev went back from {account.rev} to {commit.rev}", where=account.did)
    return commit


def _found_commit(did: Did, blocks: Blocks) -> SignedCommit:
    """The newest commit among the blocks of an answer that names none."""
    found: SignedCommit | None = None
    for cid in blocks.cids():
        with suppress(InvalidProof):  # a block that isn't needed spoils nothing
            raw = blocks.get(cid)
            if raw is None or len(raw) > _MAX_COMMIT or _SIGNATURE not in raw:
                continue
            commit = read_commit(raw)
            if commit.did == did and (found is None or commit.rev > found.rev):
                found = commit
    if found is None:
        raise _IncompleteError("the answer has no commit", where=did)
    return found


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
    """The server doesn't have the blocks of this commit (any more); ``status`` is how it said so."""

    def __init__(self, commit: bytes, status: int = 0) -> None:
        super().__init__("blocks are missing")
        self.commit, self.status = commit, status


class _LackingError(NetworkError):
    """The server doesn't offer what this way needs; ``status`` is that of its refusal, or 0.

    ``blocks``: it withheld blocks that it named; ``large``: an answer exceeded a budget; ``absent``: there is no such
    record.
    """

    def __init__(
        self, status: int = 0, *, blocks: bool = False, large: RequestFailed | None = None, absent: bool = False
    ) -> None:
        super().__init__("the server doesn't offer what a proof needs")
        self.status, self.blocks, self.large, self.absent = status, blocks, large, absent


class _IncompleteError(InvalidProof):
    """A CAR lacks what leads to the records: it proves nothing, and nothing is wrong with what it has."""
