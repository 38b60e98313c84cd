"""Unproven queries to a PDS about its repositories, page by page. Callers check the results.

Only a page without a cursor ends a list, not an empty or short one. If a server repeats a cursor or never stops, the
list has a ``fault``, as it may be incomplete. Servers name the same refusal differently: see :func:`is_gone`,
:func:`is_absent` and :func:`is_refusal`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, Self, TypeVar

from catalog.atproto.datamodel import MAX_VALUES, check_record_size, encode
from catalog.config import LimitSettings
from catalog.errors import (
    CatalogError,
    InvalidSyntax,
    RefusedAddress,
    RefusedUrl,
    RequestFailed,
    ResponseTooLarge,
    contained,
)
from catalog.sanitize import one_line
from catalog.syntax import AtUri, Cid, Did, Tid

if TYPE_CHECKING:
    from catalog.atproto.datamodel import Json
    from catalog.network.http import Client

_GONE: Final = re.compile(
    r"(repo|repository|account|user|actor)_?(not_?found|takendown|takedown|taken_?down|suspended|deactivated|deleted"
    r"|inactive|tombstoned)",
    re.IGNORECASE,
)
"""The XRPC errors by which servers say that a repository is not to be shown."""
_NO_REPO: Final = re.compile(
    r"could ?n(o|')t find (the )?(repo|account|user|root)|\b(repo|repository|account|user) ((is|was|has been) )?"
    r"(not found|taken ?down|suspended|deactivated|deleted)",
    re.IGNORECASE,
)
"""The same in the message of an ``InvalidRequest``."""
_ABSENT: Final = re.compile(r"record_?not_?found", re.IGNORECASE)
_NO_RECORD: Final = re.compile(
    r"could ?n(o|')t (find|locate) (the )?record|record (is |was )?not found|no such record", re.IGNORECASE
)
_INACTIVE: Final = frozenset({"takendown", "takedown", "suspended", "deleted", "deactivated", "tombstoned"})
"""Status words of accounts that aren't shown; two more, throttled and desynchronized, may be of active ones."""
_NO_ANSWER: Final = frozenset({"HostParked", "RateLimited"})

MAX_PAGES: Final = 10_000
_MAX_EMPTY: Final = 100
"""Pages in a row without an entry."""
_MAX_CURSOR: Final = 4096
_MAX_PAGE: Final = 120_000_000
"""Bytes of a page of 100 records: each may have 1 MiB, and JSON is wordier than DAG-CBOR."""
_LIMITS: Final = LimitSettings()


T = TypeVar("T")


@dataclass(slots=True)
class Listing(Generic[T]):
    """A list of a server, read page by page as it is iterated, once. Iterating may raise a ``NetworkError``."""

    entries: Iterator[T]
    fault: str | None = "it was not read to its end"
    """Why something may be missing from the list; None once it was read to a page without a cursor."""

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        """The next entry."""
        return next(self.entries)


@dataclass(frozen=True, slots=True, kw_only=True)
class RepoState:
    """One line of a PDS's list. ``status`` says why a repository is not active; ``rev`` is None where it isn't said."""

    did: Did
    rev: Tid | None
    active: bool
    status: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RepoStatus:
    """The status of an account at a server. ``active`` is None if the answer can't be understood."""

    active: bool | None
    status: str | None = None
    rev: Tid | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """The newest commit of a repository."""

    cid: Cid
    rev: Tid


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedRecord:
    """A record as a PDS lists it: nothing in it is checked."""

    uri: str
    cid: str
    value: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedRecord:
    """A record that is what it was listed as. Its lexicon is another matter."""

    uri: AtUri
    cid: Cid
    value: Json
    size: int
    """Bytes of its block."""


def is_refusal(error: CatalogError) -> bool:
    """Return whether the server refused the request, so that another method may work; False if it didn't answer."""
    if isinstance(error, RequestFailed):
        return error.status >= 400 and error.status != 429 and error.name not in _NO_ANSWER
    return isinstance(error, RefusedAddress | RefusedUrl | ResponseTooLarge)  # where it redirected to, or what it sends


def is_gone(error: CatalogError) -> bool:
    """Return whether an error means that the server doesn't serve this repository, in any form that servers use."""
    if not isinstance(error, RequestFailed):
        return False
    named = _GONE.fullmatch(error.name) is not None
    return named or (error.status >= 400 and _NO_REPO.search(error.message) is not None)


def is_absent(error: CatalogError) -> bool:
    """Return whether an error means that there is no such record, in any form that servers use."""
    if not isinstance(error, RequestFailed):
        return False
    named = _ABSENT.fullmatch(error.name) is not None
    return named or (error.status >= 400 and _NO_RECORD.search(error.message) is not None)


def list_repos(client: Client, pds: str, limits: LimitSettings = _LIMITS) -> Listing[RepoState]:
    """List the repositories of a PDS. A line without a DID is passed over, and is a fault of the list."""
    pages = _pages(client, pds, "com.atproto.sync.listRepos", {"limit": "1000"}, "repos")
    return _listing(pages, _state, errors=limits.listing_errors, entries=limits.listing_entries)


def list_repos_by_collection(
    client: Client, relay: str, collection: str, limits: LimitSettings = _LIMITS
) -> Listing[Did]:
    """List the accounts that a relay knows to have such records: a hint."""
    parameters = {"collection": collection, "limit": "1000"}
    pages = _pages(client, relay, "com.atproto.sync.listReposByCollection", parameters, "repos")
    read = lambda line: Did.parse(_text(line, "did"))  # noqa: E731
    return _listing(pages, read, errors=limits.listing_errors, entries=limits.listing_entries)


def repo_status(client: Client, server: str, did: Did) -> RepoStatus:
    """Ask a PDS or relay whether an account is to be shown. Raises a ``NetworkError`` where no answer comes."""
    try:
        answer = query(client, server, "com.atproto.sync.getRepoStatus", {"did": did})
    except RequestFailed as error:
        if is_gone(error):
            return RepoStatus(active=False, status=error.name or "RepoNotFound")
        if is_refusal(error):
            return RepoStatus(active=None)
        raise
    if _text(answer, "did") not in ("", str(did)):
        return RepoStatus(active=None)
    active = answer.get("active") if isinstance(answer, dict) else None
    status = _text(answer, "status")[:50] or None
    if not isinstance(active, bool):
        active = False if status is not None and status.lower() in _INACTIVE else None
    return RepoStatus(active=active, status=status, rev=_rev(answer))


def latest_commit(client: Client, pds: str, did: Did) -> Commit:
    """The newest commit. Raises :class:`RequestFailed` (:func:`is_gone` for an inactive account)."""
    answer = query(client, pds, "com.atproto.sync.getLatestCommit", {"did": did})
    try:
        return Commit(cid=Cid.parse(_text(answer, "cid")), rev=Tid.parse(_text(answer, "rev")))
    except InvalidSyntax as error:
        raise RequestFailed(f"the latest commit is not one: {error.what}", where=pds) from None


def describe_repo(client: Client, pds: str, did: Did) -> frozenset[str]:
    """The collections a repository has. Raises a ``NetworkError``."""
    answer = query(client, pds, "com.atproto.repo.describeRepo", {"repo": did})
    found = answer.get("collections") if isinstance(answer, dict) else None
    if not isinstance(found, list):
        raise RequestFailed("its description names no collections", where=f"{pds} {did}")
    return frozenset(name for name in found if isinstance(name, str))


def list_records(client: Client, pds: str, did: Did, collection: str) -> Listing[ListedRecord]:
    """List every record of a collection."""
    parameters = {"repo": did, "collection": collection, "limit": "100"}
    pages = _pages(client, pds, "com.atproto.repo.listRecords", parameters, "records")
    return _listing(pages, _listed)


def list_blobs(client: Client, pds: str, did: Did) -> Iterator[str]:
    """The CIDs of the blobs that the records of a repository name. Raises a ``NetworkError``."""
    pages = _pages(client, pds, "com.atproto.sync.listBlobs", {"did": did, "limit": "1000"}, "cids")
    for line in _listing(pages, lambda line: line):
        if isinstance(line, str):
            yield line


def get_record(client: Client, pds: str, did: Did, collection: str, rkey: str) -> ListedRecord:
    """Return one record. Raises :class:`RequestFailed`, with the ``name`` ``RecordNotFound`` if it doesn't exist."""
    parameters = {"repo": did, "collection": collection, "rkey": rkey}
    return _listed(query(client, pds, "com.atproto.repo.getRecord", parameters))


def checked(listed: ListedRecord, did: Did, collection: str, *, values: int = MAX_VALUES) -> CheckedRecord:
    """Return a listed record of this account and collection, with its CID checked, or computed if the answer has none.

    Raises :class:`RequestFailed`, :class:`InvalidSyntax`, or :class:`~catalog.errors.InvalidData` for a value that is
    outside the data model or has more than ``values``.
    """
    uri = AtUri.parse(listed.uri)
    if uri.authority != did or uri.collection != collection or uri.rkey is None:
        raise RequestFailed(f"not a record of {did}/{collection}")
    raw = encode(listed.value)
    check_record_size(raw, values)
    cid = Cid.of_block(raw)
    if listed.cid and cid != listed.cid:
        raise RequestFailed(f"its content has the CID {cid}, it was listed with {one_line(listed.cid)}")
    check_type(listed.value, collection)
    return CheckedRecord(uri=uri, cid=cid, value=listed.value, size=len(raw))


def check_type(value: Json, collection: str) -> None:
    """Raises :class:`RequestFailed` for a value whose ``$type`` is not its collection's."""
    named = value.get("$type") if isinstance(value, dict) else None
    if named != collection:
        raise RequestFailed(f"its $type is {one_line(str(named))!r}, not {collection!r}")


def query(client: Client, pds: str, method: str, parameters: Mapping[str, str], *, max_bytes: int = 5_000_000) -> Json:
    """The answer of an XRPC query. Raises a ``NetworkError``."""
    return client.get_json(f"{pds}/xrpc/{method}", params=parameters, max_bytes=max_bytes)


def _listed(line: Json) -> ListedRecord:
    value = line.get("value") if isinstance(line, dict) else None
    return ListedRecord(uri=_text(line, "uri"), cid=_text(line, "cid"), value=value)


def _state(line: Json) -> RepoState:
    status = _text(line, "status")[:50] or None
    active = line.get("active") if isinstance(line, dict) else None
    if not isinstance(active, bool):
        active = status is None or status.lower() not in _INACTIVE
    return RepoState(did=Did.parse(_text(line, "did")), rev=_rev(line), active=active, status=status)


def _rev(value: Json) -> Tid | None:
    try:
        return Tid.parse(_text(value, "rev"))
    except InvalidSyntax:
        return None


def _listing(
    pages: Iterator[list[Json] | str | None],
    read: Callable[[Json], T],
    *,
    errors: int = _LIMITS.listing_errors,
    entries: int | None = None,
) -> Listing[T]:
    """Yield the entries of a list; after more than ``errors`` malformed ones, or ``entries`` in all, it ends."""
    faults = _Faults(errors)

    def found() -> Iterator[T]:
        count = 0
        for page in pages:
            if not isinstance(page, list):
                listing.fault = faults.ended(page)
                return
            for line in page:
                count += 1
                if entries is not None and count > entries:
                    listing.fault = faults.ended(f"it has more than {entries:,}; raise limits.listing_entries")
                    return
                try:
                    entry = read(line)
                except Exception as error:  # noqa: BLE001 — whatever it is, the other entries are read
                    faults.note(error, line)
                    if faults.number > errors:
                        listing.fault = faults.ended(None)
                        return
                else:
                    yield entry

    listing = Listing(found())
    return listing


@dataclass(slots=True)
class _Faults:
    """The entries of a list that can't be understood: their number, and what is wrong with the first."""

    most: int
    number: int = 0
    first: str = ""
    defect: CatalogError | None = None

    def note(self, error: Exception, line: Json) -> None:
        self.number += 1
        if not isinstance(error, InvalidSyntax):
            self.defect = contained(error, where=one_line(_text(line, "did") or "an entry of a list", 200))
        elif not self.first:
            self.first = one_line(error.what, 200)

    def ended(self, why: str | None) -> str | None:
        """Return the fault of a list that ended here; ``why`` is the reason. Raises the unexpected error of an entry,
        if any.
        """
        if self.defect is not None:
            raise self.defect
        if self.number > self.most:
            return (
                f"more than {self.most:,} entries of it can't be understood; raise limits.listing_errors: {self.first}"
            )
        if why is not None or not self.number:
            return why
        some = "an entry" if self.number == 1 else f"{self.number:,} entries"
        return f"{some} of it can't be understood: {self.first}"


def _pages(
    client: Client, pds: str, method: str, parameters: Mapping[str, str], key: str
) -> Iterator[list[Json] | str | None]:
    """The pages of a list; then None where it came to its end, or why it did not."""
    seen: set[str] = set()
    before: frozenset[str] = frozenset()
    empty = 0
    asked = dict(parameters)
    for _ in range(MAX_PAGES):
        page = query(client, pds, method, asked, max_bytes=_MAX_PAGE)
        lines = page.get(key) if isinstance(page, dict) else None
        if not isinstance(page, dict) or not isinstance(lines, list):
            raise RequestFailed(f"a page of {method} has no {key!r}", where=pds)
        yield lines
        cursor = page.get("cursor")
        if type(cursor) is int:  # not by its lexicon, but what it means is clear
            cursor = str(cursor)
        empty = 0 if lines else empty + 1
        fault = _fault_of(cursor, seen, empty)
        names = frozenset(map(_name, lines))
        if (
            fault is None and names and names <= before
        ):  # some servers begin a page with the last entry of the one before
            fault = "a page brings nothing new, and says that there is more"
        if not cursor or not isinstance(cursor, str) or fault is not None:
            yield fault
            return
        seen.add(cursor)
        asked["cursor"] = cursor
        before = names
    yield f"it goes on for more than {MAX_PAGES:,} pages"


def _name(line: Json) -> str:
    return line if isinstance(line, str) else _text(line, "uri") or _text(line, "did")


def _fault_of(cursor: Json, seen: set[str], empty: int) -> str | None:
    """Return why a list can't be continued from a cursor; None if it can, or there is no cursor."""
    if cursor is None or cursor == "":
        return None
    if not isinstance(cursor, str) or len(cursor) > _MAX_CURSOR:
        return "a cursor of it is none"
    if cursor in seen:
        return "it repeats a cursor"
    return f"{empty} pages in a row are empty, and say that there is more" if empty >= _MAX_EMPTY else None


def _text(value: Json, key: str) -> str:
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, str) else ""
