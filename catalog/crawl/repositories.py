"""Repositories as sources: one by its name, or all of a PDS."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from catalog.crawl.report import one_line
from catalog.errors import CatalogError, NetworkError, RequestFailed, UnknownIdentity
from catalog.network import repo as wire
from catalog.network.identity import Identity, Resolver, same_server
from catalog.records import COLLECTIONS, read_record
from catalog.store import Found, Refused, Repo

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from catalog.config import NetworkSettings, Source
    from catalog.crawl.report import Tally
    from catalog.network.http import Client
    from catalog.store import Store
    from catalog.syntax import AtUri, Did

__all__ = ["Crawler"]

HANDLE_AGE: Final = timedelta(days=1)
"""How long a handle is believed without being checked again."""
_PARKED_AFTER: Final = 5
"""Repositories of one host in a row that couldn't be read, after which the host is left alone."""
_MAX_RECORDS: Final = 100_000
"""Records of one repository; beyond that it is not read."""


@dataclass(slots=True, kw_only=True)
class _Reading:
    found: dict[AtUri, Found]
    refused: dict[Refused, None]
    """As a set that keeps its order: a page that comes twice tells nothing new."""


class Crawler:
    """Brings repositories to the store. Each is read at most once in its life, which is one crawl."""

    def __init__(
        self, client: Client, settings: NetworkSettings, store: Store, *, deny: frozenset[Did], moment: datetime
    ) -> None:
        self.client = client
        self._resolver = Resolver(client, settings)
        self._store = store
        self._deny = deny
        self._moment = moment
        self._done: set[Did] = set()

    # --- repo: ---------------------------------------------------------------------------------------------------

    def crawl_repo(self, source: Source, tally: Tally) -> None:
        """One account, by handle or DID, at its own PDS. Raises a ``NetworkError``."""
        identity = self._resolver.resolve(source.value)
        if identity.did in self._deny or identity.did in self._done:
            return
        tally.counts["seen"] += 1
        known = self._store.repo(identity.did)
        fresh = self._fresh(identity, source, None)
        try:
            rev = wire.latest_commit(self.client, identity.pds, identity.did).rev
        except RequestFailed as error:
            if error.name not in wire.GONE:
                raise
            self._store.put_repo(replace(fresh, active=False, status=error.name))
            tally.counts["changed"] += 1
            self._done.add(identity.did)
            return
        if _unchanged(known, identity.pds, rev):
            self._store.put_repo(replace(fresh, rev=rev))
            tally.counts["unchanged"] += 1
        else:
            collections = wire.describe_repo(self.client, identity.pds, identity.did)
            self._read(replace(fresh, rev=rev), collections, tally)
        self._done.add(identity.did)

    # --- pds: ----------------------------------------------------------------------------------------------------

    def crawl_pds(self, source: Source, tally: Tally) -> None:
        """Every repository of a PDS. Raises a ``NetworkError`` when its list breaks off, or it stops answering."""
        pds = source.value
        listed: set[str] = set()
        failures = 0
        for state in wire.list_repos(self.client, pds):
            if state.did in listed:
                continue
            listed.add(state.did)
            tally.counts["seen"] += 1
            if state.did in self._deny or state.did in self._done:
                continue
            try:
                self._listed(source, state, tally)
            except NetworkError as error:
                tally.problems.append(f"{state.did} could not be read: {one_line(str(error))}")
                failures += 0 if isinstance(error, UnknownIdentity) else 1
                if failures == _PARKED_AFTER:
                    message = f"{failures} repositories in a row could not be read; the rest is left for the next crawl"
                    raise RequestFailed(message, where=pds) from None
                continue
            failures = 0
        tally.counts["changed"] += self._store.hide_missing(str(source), listed)

    def _listed(self, source: Source, state: wire.RepoState, tally: Tally) -> None:
        known = self._store.repo(state.did)
        ours = known is not None and known.pds is not None and same_server(known.pds, source.value)
        if not state.active:
            if known is not None and ours:
                self._store.put_repo(replace(known, active=False, status=state.status, rev=None, source=str(source)))
                self._done.add(state.did)
                tally.counts["changed" if known.active else "unchanged"] += 1
            return
        if known is not None and _unchanged(known, source.value, state.rev):
            self._keep(known, source)
            tally.counts["unchanged"] += 1
            self._done.add(state.did)
            return
        collections = wire.describe_repo(self.client, source.value, state.did)
        if collections.isdisjoint(COLLECTIONS) and (known is None or (ours and not self._store.holds(state.did))):
            # Nothing of ours, and nothing it could take away: not worth finding out whose word it is.
            self._store.put_repo(Repo(did=state.did, source=str(source), pds=source.value, rev=state.rev))
            tally.counts["changed"] += 1
            self._done.add(state.did)
            return
        identity = self._resolver.resolve(state.did)
        if not same_server(identity.pds, source.value):
            raise UnknownIdentity(f"{source.value} lists it, but the account is at {identity.pds}", where=state.did)
        self._read(self._fresh(identity, source, state.rev), collections, tally)
        self._done.add(state.did)

    def _keep(self, known: Repo, source: Source) -> None:
        """Note that nothing changed; look at the handle again when that was long ago. Only of accounts with records."""
        kept = replace(known, source=str(source))
        if known.identified is not None and self._moment - known.identified > HANDLE_AGE:
            try:
                handle = self._resolver.resolve(known.did).handle
            except NetworkError:
                handle = None  # what can't be confirmed isn't shown
            kept = replace(kept, handle=handle, identified=self._moment)
        if kept != known:
            self._store.put_repo(kept)

    # --- both ----------------------------------------------------------------------------------------------------

    def _fresh(self, identity: Identity, source: Source, rev: str | None) -> Repo:
        return Repo(
            did=identity.did,
            source=str(source),
            handle=identity.handle,
            pds=identity.pds,
            rev=rev,
            identified=self._moment,
        )

    def _read(self, repo: Repo, collections: Iterable[str], tally: Tally) -> None:
        """Read all dataset records of a repository, then store them. A ``NetworkError`` leaves the store as it was."""
        present = frozenset(collections)
        reading = _Reading(found={}, refused={})
        total = 0
        for collection in COLLECTIONS:
            if collection not in present:
                continue
            for listed in wire.list_records(self.client, repo.pds or "", repo.did, collection):
                total += 1
                if total > _MAX_RECORDS:
                    raise RequestFailed(f"more than {_MAX_RECORDS:,} dataset records", where=repo.did)
                self._take(listed, repo, collection, reading)
        refused = list(reading.refused)
        changes = self._store.replace(repo, list(reading.found.values()), refused, moment=self._moment)
        tally.counts["changed"] += 1
        tally.add(changes, refused)

    def _take(self, listed: wire.ListedRecord, repo: Repo, collection: str, reading: _Reading) -> None:
        try:
            checked = wire.checked(listed, repo.did, collection)
            read_record(collection, checked.value)
        except CatalogError as error:
            reason = one_line("; ".join(str(error).splitlines()), 2000)
            uri = one_line(listed.uri) or f"at://{repo.did}/{collection}/?"
            reading.refused[Refused(uri=uri, reason=reason, source=repo.source)] = None
            return
        found = Found(uri=checked.uri, cid=checked.cid, value=checked.value)
        reading.found.setdefault(found.uri, found)


def _unchanged(known: Repo | None, pds: str, rev: str) -> bool:
    """Whether what the store has is still all there is. Another server's revs say nothing about this one's."""
    return (
        known is not None
        and known.active
        and known.rev == rev
        and known.pds is not None
        and same_server(known.pds, pds)
    )
