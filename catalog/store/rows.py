"""The typed values of the store's interface, and their rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from catalog.syntax import Did, Handle

if TYPE_CHECKING:
    from catalog.atproto.datamodel import Json
    from catalog.syntax import AtUri, Cid


@dataclass(frozen=True, slots=True, kw_only=True)
class Publisher:
    """An account. ``handle`` is set only if it resolves back; drafts share a placeholder. ``pds`` is its server, if
    known.
    """

    did: str
    handle: str | None = None
    pds: str | None = field(default=None, compare=False)
    draft: bool = False

    @property
    def shown(self) -> str:
        """The name on pages."""
        return "drafts" if self.draft else self.handle or self.did


@dataclass(frozen=True, slots=True, kw_only=True)
class Repo:
    """An account's repository after the last crawl, last read through ``source``.

    ``identified`` is when handle, PDS and key (a did:key) were last resolved. ``rev`` is that of the commit that was
    read (None: to be read again), ``root`` the CID of its tree if it was proven. ``newest`` is the highest rev ever
    proven, which is kept so that no older commit is accepted.
    """

    did: Did
    source: str
    handle: Handle | None = None
    pds: str | None = None
    key: str | None = None
    rev: str | None = None
    root: str | None = None
    active: bool = True
    status: str | None = None
    draft: bool = False
    identified: datetime | None = None
    newest: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A record that a crawl found and checked. ``local`` are copies of its shards on this machine (drafts only)."""

    uri: AtUri
    cid: Cid
    value: Json
    local: tuple[Path, ...] = ()
    verified: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLabel:
    """A moderation label of a record or an account: the DID that says it, and the action that the settings give it.

    ``action`` is ``hide``, ``warn`` or ``badge``. With ``cid`` it is about that version of the record only.
    """

    source: str
    value: str
    cid: str
    action: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRecord:
    """A visible record. ``verified`` means proven against its repository's signed commit."""

    uri: AtUri
    cid: Cid
    collection: str
    did: Did
    rkey: str
    value: Json
    source: str
    draft: bool
    verified: bool
    local: tuple[Path, ...]
    first_seen: datetime
    updated: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A record as it once was; ``rev`` is its repository's when we saw it, None for a draft."""

    cid: Cid
    rev: str | None
    seen: datetime
    value: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A record that is kept out, and why. Its URI is as it was listed: it may not even be one. ``cid`` if known."""

    uri: str
    reason: str
    source: str
    cid: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Numbers of records that a crawl of one repository changed."""

    new: int = 0
    updated: int = 0
    removed: int = 0
    forgotten: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PastCrawl:
    """A crawl that ended, with its report as JSON."""

    ended: datetime
    report: dict[str, Any]


RepoRow: TypeAlias = tuple[
    str, str | None, str | None, str | None, str | None, str | None, int, str | None, str, int, str | None, str | None
]
REPO_COLUMNS: Final = "did, handle, pds, signing_key, rev, root, active, status, source, draft, identified, newest"


def repo_of(row: RepoRow) -> Repo:
    """A repository from its row."""
    did, handle, pds, key, rev, root, active, status, source, draft, identified, newest = row
    return Repo(
        did=Did(did),
        handle=None if handle is None else Handle(handle),
        pds=pds,
        key=key,
        rev=rev,
        root=root,
        active=bool(active),
        status=status,
        source=source,
        draft=bool(draft),
        identified=None if identified is None else datetime.fromisoformat(identified),
        newest=newest,
    )


def row_of(repo: Repo) -> RepoRow:
    """The row of a repository."""
    identified = None if repo.identified is None else moment_text(repo.identified)
    return (
        str(repo.did),
        repo.handle,
        repo.pds,
        repo.key,
        repo.rev,
        repo.root,
        repo.active,
        repo.status,
        repo.source,
        repo.draft,
        identified,
        repo.newest,
    )


def moment_text(moment: datetime) -> str:
    """A time as text that sorts as times do."""
    return moment.isoformat(timespec="microseconds")
