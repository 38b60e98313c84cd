"""What a PDS says about its repositories, read page by page. Its word, not a proof: whoever reads on checks it.

Lists end at a page without entries, without a cursor, or with a cursor that was there before: a PDS may go on
handing out cursors for ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from catalog.datamodel import check_record_size, encode
from catalog.errors import InvalidSyntax, RequestFailed
from catalog.sanitize import one_line
from catalog.syntax import AtUri, Cid, Did, Tid

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from catalog.datamodel import Json
    from catalog.network.http import Client

__all__ = [
    "GONE",
    "CheckedRecord",
    "Commit",
    "ListedRecord",
    "RepoState",
    "check_type",
    "checked",
    "describe_repo",
    "get_record",
    "latest_commit",
    "list_blobs",
    "list_records",
    "list_repos",
    "list_repos_by_collection",
]

GONE: Final = frozenset({"RepoNotFound", "RepoTakendown", "RepoSuspended", "RepoDeactivated"})
"""The XRPC errors by which a PDS says that a repository is not to be shown."""

MAX_PAGES: Final = 10_000
_MAX_PAGE: Final = 120_000_000
"""Bytes of a page of 100 records: each may have 1 MiB, and JSON is wordier than DAG-CBOR."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RepoState:
    """One line of a PDS's list. ``status`` says why a repository is not active."""

    did: Did
    rev: Tid
    active: bool
    status: str | None


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


def list_repos(client: Client, pds: str) -> Iterator[RepoState]:
    """The repositories of a PDS; lines that aren't well formed are passed over. Raises a ``NetworkError``."""
    for line in _pages(client, pds, "com.atproto.sync.listRepos", {"limit": "1000"}, "repos"):
        try:
            did, rev = Did.parse(_text(line, "did")), Tid.parse(_text(line, "rev"))
        except InvalidSyntax:
            continue
        active = not isinstance(line, dict) or line.get("active") is not False
        yield RepoState(did=did, rev=rev, active=active, status=_text(line, "status")[:50] or None)


def list_repos_by_collection(client: Client, relay: str, collection: str) -> Iterator[Did]:
    """The accounts that a relay knows to have such records: a hint. Raises a ``NetworkError``."""
    parameters = {"collection": collection, "limit": "1000"}
    for line in _pages(client, relay, "com.atproto.sync.listReposByCollection", parameters, "repos"):
        try:
            yield Did.parse(_text(line, "did"))
        except InvalidSyntax:
            continue


def latest_commit(client: Client, pds: str, did: Did) -> Commit:
    """The newest commit. Raises :class:`RequestFailed` (its ``name`` one of :data:`GONE` for an inactive account)."""
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


def list_records(client: Client, pds: str, did: Did, collection: str) -> Iterator[ListedRecord]:
    """Every record of a collection. Raises a ``NetworkError``; then what came before it is not the whole list."""
    parameters = {"repo": did, "collection": collection, "limit": "100"}
    for line in _pages(client, pds, "com.atproto.repo.listRecords", parameters, "records"):
        yield _listed(line)


def list_blobs(client: Client, pds: str, did: Did) -> Iterator[str]:
    """The CIDs of the blobs that the records of a repository name. Raises a ``NetworkError``."""
    for line in _pages(client, pds, "com.atproto.sync.listBlobs", {"did": did, "limit": "1000"}, "cids"):
        if isinstance(line, str):
            yield line


def get_record(client: Client, pds: str, did: Did, collection: str, rkey: str) -> ListedRecord:
    """One record. Raises :class:`RequestFailed`, its ``name`` ``RecordNotFound`` when there is none."""
    parameters = {"repo": did, "collection": collection, "rkey": rkey}
    return _listed(query(client, pds, "com.atproto.repo.getRecord", parameters))


def checked(listed: ListedRecord, did: Did, collection: str) -> CheckedRecord:
    """A listed record, if it is of this account and collection, has the CID it was listed with, and its ``$type``.

    Raises :class:`RequestFailed`, :class:`InvalidSyntax`, or :class:`~catalog.errors.InvalidData` for a value that is
    outside the data model or too large.
    """
    uri = AtUri.parse(listed.uri)
    if uri.authority != did or uri.collection != collection or uri.rkey is None:
        raise RequestFailed(f"not a record of {did}/{collection}")
    raw = encode(listed.value)
    check_record_size(raw)
    cid = Cid.of_block(raw)
    if cid != listed.cid:
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


def _pages(client: Client, pds: str, method: str, parameters: Mapping[str, str], key: str) -> Iterator[Json]:
    seen: set[str] = set()
    asked = dict(parameters)
    for _ in range(MAX_PAGES):
        page = query(client, pds, method, asked, max_bytes=_MAX_PAGE)
        lines = page.get(key) if isinstance(page, dict) else None
        if not isinstance(lines, list):
            raise RequestFailed(f"a page of {method} has no {key!r}", where=pds)
        yield from lines
        cursor = _text(page, "cursor")
        if not lines or not cursor or cursor in seen:
            return
        seen.add(cursor)
        asked["cursor"] = cursor
    raise RequestFailed(f"{method} goes on for more than {MAX_PAGES:,} pages", where=pds)


def _text(value: Json, key: str) -> str:
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, str) else ""
