"""Exported repositories as a source: CAR files, with optional DID documents beside them (``alice.car``,
``alice.did.json``).

Without a document the account is looked up; if that fails, its records are unverified. An export never replaces records
of a later commit.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from catalog.atproto.car import Blocks
from catalog.atproto.commit import read_commit
from catalog.atproto.identity import Identity, identity_of
from catalog.atproto.proof import MAX_REPO, Account, read_blocks
from catalog.crawl.accounts import PART, paths_in
from catalog.crawl.manifests import paths_of
from catalog.errors import InvalidConfig, InvalidProof, StoreError, UnknownIdentity
from catalog.store import Repo

if TYPE_CHECKING:
    from catalog.config import Source
    from catalog.crawl.accounts import Crawler
    from catalog.crawl.report import Tally
    from catalog.syntax import Did

_HOST = "exports"
"""Host column in reports."""
_MAX_DOCUMENT = 500_000


def crawl_exports(source: Source, base: Path, crawler: Crawler, tally: Tally) -> None:
    """Read all files of a source; an error in one file doesn't affect the others. Raises :class:`InvalidConfig`."""
    named = paths_of(base, source)
    named = [path for path in named if path.exists()]
    files = [file for path in named for file in (sorted(path.glob("*.car")) if path.is_dir() else [path])]
    if not files:
        raise InvalidConfig("no CAR file there", where=str(source), hint="name files, or a pattern: exports/*.car")
    found: set[str] = set()
    for path in files:
        try:
            found.add(_one(path, crawler, tally))
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 — whatever it is, it ends this file alone
            tally.unread(path.name, error)
    if len(found) == len(files):  # an account in an unreadable file may still be there
        crawler.store.hide_missing(tally.source, found)


def _one(path: Path, crawler: Crawler, tally: Tally) -> str:
    if path.stat().st_size > MAX_REPO:
        raise InvalidProof(f"more than {MAX_REPO:,} bytes")
    roots, blocks = Blocks.of_car(path.read_bytes(), where=path.name)
    raw = blocks.get(roots[0]) if roots else None
    if raw is None:
        raise InvalidProof("it has no commit")
    claimed = read_commit(raw)
    did = claimed.did
    tally.count(_HOST, "seen")
    known = crawler.store.repo(did)
    identity = _identity(path, did, crawler)
    if known is not None and (known.rev or known.newest) is not None and _is_known(known, str(claimed.rev), identity):
        crawler.store.list_repo(tally.source, did)
        tally.count(_HOST, "unchanged")
        return did
    account = Account(
        did=did, pds="", key=None if identity is None else identity.key, known=paths_in(crawler.store.known(did))
    )
    reading = read_blocks(roots, blocks, account, PART, limits=crawler.limits)
    repo = Repo(did=did, source=tally.source) if known is None else known
    crawler.keep(tally, _of_export(repo, tally.source, identity), reading, str(claimed.rev), host=_HOST)
    return did


def _is_known(known: Repo, rev: str, identity: Identity | None) -> bool:
    """Return whether the store has this commit or a later one; an unproven export replaces no proven records."""
    proven = known.newest is not None
    if identity is None or identity.key is None:
        return proven or (known.rev or "") >= rev
    return (known.newest or "") >= rev


def _of_export(repo: Repo, source: str, identity: Identity | None) -> Repo:
    """Return the account's row. It counts as never looked up, so that a live source looks it up."""
    return Repo(
        did=repo.did,
        source=source,
        handle=repo.handle if identity is None else repo.handle or identity.handle,
        pds=repo.pds if identity is None else identity.pds,
        key=None if identity is None or identity.key is None else str(identity.key),
        active=repo.active,
        status=repo.status,
    )


def _identity(path: Path, did: Did, crawler: Crawler) -> Identity | None:
    """Return the signing identity: from the document beside the file, else looked up; ``None`` if neither exists."""
    beside = path.with_suffix(".did.json")
    if not beside.exists():
        try:
            return crawler.resolver.resolve(did)
        except UnknownIdentity:
            return None
    if beside.stat().st_size > _MAX_DOCUMENT:
        raise InvalidProof(f"{beside.name} is too large to be a DID document")
    try:
        document = json.loads(beside.read_bytes())
    except (ValueError, RecursionError):
        raise InvalidProof(f"{beside.name} is not JSON") from None
    return identity_of(document, did)
