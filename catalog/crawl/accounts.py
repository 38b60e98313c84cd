"""Visit accounts: find out whether a repository changed, read and verify what changed, store it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from math import inf
from threading import Lock
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from catalog.atproto import repo as wire
from catalog.atproto.identity import Identity, Resolver, same_server
from catalog.atproto.keys import PublicKey
from catalog.atproto.proof import Account, Part, Reader, Reading, unread
from catalog.config import LimitSettings
from catalog.errors import (
    CatalogError,
    InvalidProof,
    NetworkError,
    RefusedUrl,
    RequestFailed,
    StoreError,
    UnknownIdentity,
)
from catalog.network.rate_limit import BYTES_UP, RATE_LIMITED, TIME_UP, Allowance, Budget
from catalog.records import COLLECTIONS, read_record
from catalog.sanitize import one_line
from catalog.store import Found, Refused, Repo
from catalog.syntax import AtUri, Cid, Did

if TYPE_CHECKING:
    from catalog.atproto.repo import CheckedRecord
    from catalog.config import NetworkSettings
    from catalog.crawl.locks import Locks
    from catalog.crawl.report import Tally
    from catalog.crawl.schedule import Schedule, Work
    from catalog.network.http import Client
    from catalog.store import Store

PART: Final = Part(COLLECTIONS)
HANDLE_AGE: Final = timedelta(days=1)
"""Age at which an account's handle, key and PDS are looked up again."""
_MAX_FAILURES: Final = 5
"""Unanswered repositories in a row after which a host that has never answered is skipped."""
_MAX_PAUSES: Final = 3
"""Number of pauses for a host that answered once and then fails, before its other accounts are postponed."""
_CRAWL: Final = "the crawl"
_MIN_SECONDS: Final = 0.1
"""Seconds of a budget that are too few for a request."""
_RETRY_SECONDS: Final = 1.0
"""Pause before an account is retried whose host had answered before."""
_UNAVAILABLE: Final = frozenset({0, 502, 503, 504})
"""Statuses of a host that is unavailable as a whole, 0 if it didn't answer. All others concern one account."""


class Crawler:
    """Read repositories into the store, from many threads; one crawl long, each account at most once."""

    def __init__(
        self,
        client: Client,
        settings: NetworkSettings,
        store: Store,
        schedule: Schedule,
        *,
        deny: frozenset[Did],
        locks: Locks,
        limits: LimitSettings | None = None,
        ends: float = inf,
    ) -> None:
        self.client = client
        self.store = store
        self.schedule = schedule
        self.locks = locks
        self.resolver = Resolver(client, settings)
        self.ends = ends
        """Time (``time.monotonic``) at which the crawl's budget is used up."""
        self.limits = LimitSettings() if limits is None else limits
        """Limits for an account, a host and the crawl."""
        self._plc = host_of(settings.plc_url)
        self._asked_for_handles = None if settings.handle_resolver is None else host_of(settings.handle_resolver)
        self._reader = Reader(client, PART, self.limits)
        self._deny = deny
        self._lock = Lock()
        self._claimed: dict[str, list[Callable[[], None]]] = {}
        """Claimed accounts, with the callbacks to run if the claim is released."""
        self._failures: Counter[str] = Counter()
        """Failures in a row, by host."""
        self._late: dict[str, str] = {}
        """Hosts whose accounts are postponed to the next crawl, with the reason."""
        self._waits: dict[str, tuple[float, int]] = {}
        """Hosts that fail after they had answered: end of the current pause, and number of pauses."""
        self._retrying: set[Did] = set()
        """Accounts that :meth:`retry_unread` has scheduled and that aren't finished."""

    def claim(self, did: Did, source: str, otherwise: Callable[[], None]) -> bool:
        """Claim an account for a visit. If it is denied or claimed, return False; ``otherwise`` is called if that is
        released.
        """
        if not self.allows(did):
            return False
        with self._lock:
            if did not in self._claimed:
                self._claimed[did] = []
                return True
            self._claimed[did].append(otherwise)
        self.store.list_repo(source, did)
        return False

    def release(self, did: Did) -> None:
        """Release a claim: the PDS that listed the account had no information about it."""
        with self._lock:
            others = self._claimed.pop(did, [])
        for other in others:  # each reports its own errors
            other()

    @staticmethod
    def moment() -> datetime:
        """Return the current time."""
        return datetime.now(UTC)

    def allows(self, did: str) -> bool:
        """Return whether the account isn't denied."""
        return did not in self._deny

    def reset_claims(self) -> None:
        """Allow another visit of every account."""
        with self._lock:
            self._claimed.clear()
        self._reset_hosts()

    def _reset_hosts(self) -> None:
        with self._lock:
            for known in (self._failures, self._late, self._waits):
                known.clear()
        self.schedule.renew()

    # --- budgets ---------------------------------------------------------------------------------------------------

    @contextmanager
    def budgeted(self, host: str, account: Did | None = None) -> Iterator[None]:
        """Limit requests to the rest of the budgets of the crawl, the host and the account (also in bytes)."""
        now, limits = time.monotonic(), self.limits
        left = limits.host_seconds - self.schedule.worked(host)
        budgets = [Budget(now + left, host, "limits.host_seconds"), Budget(self.ends, _CRAWL, "limits.crawl_seconds")]
        if account is not None:
            budgets.append(Budget(now + limits.account_seconds, account, "limits.account_seconds"))
        with self.client.within(min(budgets, key=lambda budget: budget.ends)):
            if account is None:
                yield
                return
            with self.client.allowed(Allowance(limits.account_bytes, account)):
                yield

    def late(self, host: str, error: Exception | None = None) -> str | None:
        """Return why a host's remaining work is postponed to the next crawl, ``None`` if it isn't.

        ``error`` is the error of a request: a host that demands a longer pause than the budget is postponed at once.
        """
        with self._lock:
            why = self._late.get(host)
        if why is not None:
            return why
        spent, limits = self.schedule.worked(host), self.limits
        name, where = (error.name, error.where) if isinstance(error, RequestFailed) else ("", None)
        if time.monotonic() >= self.ends or (name == TIME_UP and where == _CRAWL):
            why = f"time budget of the crawl used up after {limits.crawl_seconds:,} s; raise limits.crawl_seconds"
        elif spent + _MIN_SECONDS >= limits.host_seconds or (name == TIME_UP and where == host):
            why = f"time budget of host {host} used up after {limits.host_seconds:,} s; raise limits.host_seconds"
        elif name == RATE_LIMITED and where == host.lower().removesuffix(":443"):
            why = f"time budget of host {host} used up after {spent:,.0f} s, as {one_line(str(error), 200)}"
            why += "; raise limits.host_seconds"
        if why is not None:
            with self._lock:
                self._late[host] = why
        return why

    def _postponed(self, host: str, work: Work) -> bool:
        """Schedule work for later if its host answered before and is paused after failures; return whether it was."""
        left = self.client.parked(host)
        if left <= 0 or not self.schedule.answered(host):
            return False
        now = time.monotonic()
        with self._lock:
            until, rounds = self._waits.get(host, (0.0, 0))
            if now >= until:
                until, rounds = now + left, rounds + 1
                self._waits[host] = until, rounds
            if rounds > _MAX_PAUSES:
                self._late[host] = f"{host} doesn't answer any more"
                return False
        self.schedule.add(host, work, after=left)
        return True

    # --- visits ----------------------------------------------------------------------------------------------------

    def schedule_account(self, tally: Tally, did: Did) -> None:
        """Schedule the visit of an account at its own PDS. Errors are reported as the account's."""
        with tally.containing(did):
            if not self.claim(did, tally.source, partial(self.schedule_account, tally, did)):
                return
            known = self.store.repo(did)
            identity = self.remembered(known)
            if identity is None:
                self.schedule_work(tally, self._directory(did), did, partial(self._identify, tally, did))
            else:
                self._schedule_at(tally, identity)

    def schedule_listed(self, tally: Tally, pds: str, state: wire.RepoState, *, listed: bool = False) -> None:
        """Schedule the visit of an account that a PDS lists, if it has changed; release the claim if it can't be read.

        ``listed`` says that the store has it as one of this source's accounts. Errors are reported as the account's.
        """
        with tally.containing(state.did):
            if self.claim(state.did, tally.source, partial(self.schedule_listed, tally, pds, state, listed=listed)):
                failed = partial(self.release, state.did)
                if not self._settled(tally, pds, state, listed=listed):
                    self.schedule_work(tally, host_of(pds), state.did, partial(self._listed, tally, pds, state), failed)

    def schedule_work(
        self,
        tally: Tally,
        host: str,
        did: Did,
        work: Callable[[], None],
        failed: Callable[[], None] = lambda: None,
    ) -> None:
        """Schedule work at a host. An error is reported as the account's, then ``failed`` is called."""
        chances = [1]

        def again() -> bool:
            if self._postponed(host, piece):
                return True
            if not chances or not self.schedule.answered(host):
                return False
            chances.pop()
            self.schedule.add(host, piece, after=_RETRY_SECONDS)
            return True

        def piece() -> bool:
            return not self._postponed(host, piece) and self._guarded(tally, host, did, work, failed, again=again)

        self.schedule.add(host, piece)

    def _guarded(
        self,
        tally: Tally,
        host: str,
        did: Did,
        work: Callable[[], None],
        failed: Callable[[], None],
        *,
        again: Callable[[], bool],
    ) -> bool:
        late = self.late(host)
        if late is not None:
            self._leave(tally, host, did, late, failed)
            return False
        with tally.metered(self.client):
            try:
                with self.budgeted(host, did):
                    work()
            except StoreError:
                raise
            except Exception as error:  # noqa: BLE001 — whatever it is, it ends the work on this account alone
                late = self.late(host, error)
                if late is not None:
                    self._leave(tally, host, did, late, failed)
                elif isinstance(error, UnknownIdentity) and self._lost(tally, did, error):
                    with tally.containing(did):
                        failed()
                    return True
                elif not (self._counts(host, error) and again()):
                    tally.unread(did, error)
                    with tally.containing(did):
                        failed()
                return False
        with self._lock:
            self._failures.pop(host, None)
            self._waits.pop(host, None)
        return True

    def _leave(self, tally: Tally, host: str, did: Did, why: str, failed: Callable[[], None]) -> None:
        tally.leave(host, why)
        with tally.containing(did):
            failed()

    def _counts(self, host: str, error: Exception) -> bool:
        """Count an error that says that a host doesn't answer; return whether it is one."""
        if (
            not isinstance(error, RequestFailed)
            or error.status not in _UNAVAILABLE
            or error.name in (TIME_UP, BYTES_UP)
        ):
            return False
        with self._lock:
            self._failures[host] += 1
            if self._failures[host] >= _MAX_FAILURES and not self.schedule.answered(host):
                self._late[host] = f"{host} doesn't answer"
        return True

    def _identify(self, tally: Tally, did: Did) -> None:
        """Look up an account's DID document, then its handle, which is another host's work and may be slow."""
        claimed = self.resolver.claim(did)
        if claimed is None:
            self._identify_all(tally, did)
        else:
            host = self._asked_for_handles or f"the handle {claimed}"
            self.schedule_work(tally, host, did, partial(self._identify_all, tally, did))

    def _identify_all(self, tally: Tally, did: Did) -> None:
        self._schedule_at(tally, self.resolver.resolve(did))

    def _schedule_at(self, tally: Tally, identity: Identity) -> None:
        work = partial(self.visit, tally, identity)
        self.schedule_work(tally, host_of(identity.pds), identity.did, work)

    def revisit(self, tally: Tally, did: Did, *, after: Callable[[], None], fresh: bool = False) -> None:
        """Schedule the visit of an account because of an event, even if visited before; ``after`` is called at the end.

        If the visit fails or its host is postponed, the account is marked as unread for :meth:`retry_unread`. ``fresh``
        looks the account's identity up again.
        """
        over = _once(after)

        def failed() -> None:
            try:
                with self.locks.holding(did):
                    known = self.store.repo(did)
                    unread = Repo(did=did, source=tally.source) if known is None else replace(known, rev=None)
                    if unread != known:
                        self.store.put_repo(unread)
            finally:
                over()

        def visit(identity: Identity) -> None:
            self.visit(tally, identity)
            over()

        def identify() -> None:  # runs at the directory; the visit runs at the PDS, which may be slow
            schedule_visit(self.resolver.resolve(did, fresh=fresh))

        def schedule_visit(identity: Identity) -> None:
            self.schedule_work(tally, host_of(identity.pds), did, partial(visit, identity), failed)

        if not self.allows(did):
            over()
            return
        try:
            identity = None if fresh else self.remembered(self.store.repo(did))
            if identity is None:
                self.schedule_work(tally, self._directory(did), did, identify, failed)
            else:
                schedule_visit(identity)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 — whatever it is, it ends the work on this account alone
            tally.unread(did, error)
            with tally.containing(did):
                failed()

    def retry_unread(self, tally: Tally) -> None:
        """Schedule the accounts of a stream that couldn't be read before; reset the failures of all hosts."""
        self._reset_hosts()
        for did in map(Did, self.store.unread(tally.source)):
            with self._lock:
                if did in self._retrying:  # the previous attempt isn't finished
                    continue
                self._retrying.add(did)
            self.revisit(tally, did, after=partial(self._retrying.discard, did))

    def visit(self, tally: Tally, identity: Identity, *, doubted: bool = False) -> None:
        """Ask an account's PDS whether it changed, and read it if so. Raises a ``NetworkError``."""
        with self.locks.holding(identity.did):
            self._visit(tally, identity, doubted=doubted)

    def _visit(self, tally: Tally, identity: Identity, *, said: str | None = None, doubted: bool = False) -> None:
        """Visit an account; the caller holds its lock.

        ``said`` is the rev from a list; ``doubted`` says that the complete list of its server doesn't name the account.
        """
        host = host_of(identity.pds)
        known = self.store.repo(identity.did)
        fresh = self._fresh(identity, tally, known)
        reading = False
        try:
            rev = said or str(wire.latest_commit(self.client, identity.pds, identity.did).rev)
            if said is None:
                tally.count(host, "seen")
            if known is not None and _unchanged(known, identity.pds, rev):
                self._keep_unchanged(tally, fresh, known)
                return
            reading = True
            self._read(tally, fresh, known, rev)
        except (NetworkError, RefusedUrl) as error:
            if not wire.is_refusal(error):
                raise
            if said is None and not reading:
                tally.count(host, "seen")
            self._refused(tally, fresh, known, error, reading=reading, doubted=doubted)

    def _keep_unchanged(self, tally: Tally, fresh: Repo, known: Repo) -> None:
        """Note that an account is unchanged; check its status, as some servers keep serving inactive accounts."""
        if tally.source.startswith("repo:") or known.identified != fresh.identified:
            status = wire.repo_status(self.client, fresh.pds or "", fresh.did)
            if status.active is False:
                self._hide(tally, fresh, known, status.status)
                return
        self.store.put_repo(replace(fresh, rev=known.rev, root=known.root))
        tally.count(host_of(fresh.pds or ""), "unchanged")

    def _refused(
        self,
        tally: Tally,
        fresh: Repo,
        known: Repo | None,
        error: CatalogError,
        *,
        reading: bool,
        doubted: bool,
    ) -> None:
        """Find out why a server refuses an account: it moved, it is gone, or only this request was refused.

        Raises ``error`` if the account can't be read and no server says that it is gone.
        """
        identity = self.resolver.resolve(fresh.did, fresh=True)
        if not same_server(identity.pds, fresh.pds or ""):
            self._visit(tally, identity)
            return
        gone = wire.is_gone(error)
        status = wire.repo_status(self.client, identity.pds, fresh.did)
        if status.active is None and (gone or doubted or self._relay_agrees(tally, fresh.did)):
            named = error.name if isinstance(error, RequestFailed) and gone else ""
            status = wire.RepoStatus(active=False, status=named or "RepoNotFound")
        if status.active is False:
            self._hide(tally, fresh, known, status.status)
            return
        if reading and not gone:
            raise error
        try:
            rev = None if status.rev is None else str(status.rev)
            self._read(tally, self._fresh(identity, tally, known), known, rev, alive=gone)
        except RequestFailed as again:
            if not (gone and wire.is_gone(again)):
                raise
            self._hide(tally, fresh, known, again.name)

    def _relay_agrees(self, tally: Tally, did: Did) -> bool:
        """Return whether the relay that named an account says that it is gone, for a server that gives no status."""
        kind, _, server = tally.source.partition(":")
        if kind not in ("relay", "firehose"):
            return False
        with suppress(NetworkError, RefusedUrl):
            return wire.repo_status(self.client, server.replace("ws", "http", 1), did).active is False
        return False

    def _hide(self, tally: Tally, repo: Repo, known: Repo | None, status: str | None) -> None:
        """Hide an account; the store keeps its records."""
        host = host_of(repo.pds or "")
        tally.count(host, "changed" if known is None or known.active else "unchanged")
        rev, root = (None, None) if known is None else (known.rev, known.root)
        self.store.put_repo(replace(repo, active=False, status=status, rev=rev, root=root))

    def _lost(self, tally: Tally, did: Did, error: UnknownIdentity) -> bool:
        """Hide an account if its directory says that it is gone; return whether it does.

        A tombstone (410) in the PLC directory does. A 404 does if the account's server doesn't say that it is active.
        """
        known = self.store.repo(did)
        if known is None or known.draft or error.status not in (404, 410):
            return False
        if not known.active:
            return True
        if error.status == 410 and did.startswith("did:plc:"):
            self._hide(tally, replace(known, source=tally.source), known, "deleted")
            return True
        if known.pds is None:
            return False
        self.schedule_work(tally, host_of(known.pds), did, partial(self._agreed, tally, known, error))
        return True

    def _agreed(self, tally: Tally, known: Repo, error: UnknownIdentity) -> None:
        """Hide an account that its directory doesn't know, unless its server says that it is active."""
        with self.locks.holding(known.did):
            if wire.repo_status(self.client, known.pds or "", known.did).active:
                raise RequestFailed(f"its server says that it is active, but {error.what}", status=error.status)
            self._hide(tally, replace(known, source=tally.source), known, "deleted")

    def schedule_unlisted(self, tally: Tally, pds: str, did: Did, *, doubted: bool) -> None:
        """Schedule a check of an account that a PDS no longer lists; a missing entry alone doesn't hide it.

        ``doubted`` says that the list counts if the PDS gives no status.
        """
        if self.claim(did, tally.source, partial(self.schedule_unlisted, tally, pds, did, doubted=doubted)):
            failed = partial(self.release, did)
            work = partial(self._unlisted, tally, pds, did, doubted=doubted)
            self.schedule_work(tally, self._directory(did), did, work, failed)

    def _unlisted(self, tally: Tally, pds: str, did: Did, *, doubted: bool) -> None:
        identity = self.resolver.resolve(did, fresh=True)
        if not same_server(identity.pds, pds):
            self.store.unlist(tally.source, did)
            tally.count(host_of(pds), "changed")
            self.release(did)
            return
        work = partial(self.visit, tally, identity, doubted=doubted)
        self.schedule_work(tally, host_of(pds), did, work, partial(self.release, did))

    def _listed(self, tally: Tally, pds: str, state: wire.RepoState) -> None:
        with self.locks.holding(state.did):
            self._listed_alone(tally, pds, state)

    def _listed_alone(self, tally: Tally, pds: str, state: wire.RepoState) -> None:
        known = self.store.repo(state.did)
        ours = known is not None and known.pds is not None and same_server(known.pds, pds)
        rev = None if state.rev is None else str(state.rev)
        if not self.store.holds(state.did) and (known is None or ours) and self._has_nothing(pds, state.did):
            # the store has nothing of it and the repository has no collection of ours: skip the lookup of its document
            self.store.put_repo(Repo(did=state.did, source=tally.source, pds=pds, rev=rev))
            tally.count(host_of(pds), "changed")
            return
        remembered = self.remembered(known) if state.active else None  # it may be inactive here because it moved
        identity = remembered or self.resolver.resolve(state.did, fresh=not state.active)
        if not same_server(identity.pds, pds):
            identity = self.resolver.resolve(state.did, fresh=True)
        if not same_server(identity.pds, pds):
            self.store.unlist(tally.source, state.did)
            raise UnknownIdentity(f"{pds} lists it, but the account is at {identity.pds}", where=state.did)
        if state.active:
            self._visit(tally, identity, said=rev)
        else:
            self._hide(tally, self._fresh(identity, tally, known), known, state.status)

    def _has_nothing(self, pds: str, did: Did) -> bool:
        """Return whether a PDS says that a repository has none of our collections; False if it doesn't say."""
        try:
            return wire.describe_repo(self.client, pds, did).isdisjoint(COLLECTIONS)
        except RequestFailed as error:
            trouble = error.status in _UNAVAILABLE and not (
                error.name or error.message
            )  # the host is unavailable: it is retried
            if trouble or not wire.is_refusal(error):
                raise
            return False

    def _settled(self, tally: Tally, pds: str, state: wire.RepoState, *, listed: bool) -> bool:
        """Note a list entry that needs no visit; return whether it needs none."""
        known = self.store.repo(state.did)
        ours = known is not None and known.pds is not None and same_server(known.pds, pds)
        if not state.active:
            if known is None or not ours:
                self.release(state.did)
            elif known.active and self.store.holds(state.did):
                return False  # look up its document first: an account that moved is inactive at its old PDS
            elif known.active:
                self.store.put_repo(replace(known, active=False, status=state.status, source=tally.source))
                tally.count(host_of(pds), "changed")
                return True
            tally.count(host_of(pds), "unchanged")
            return True
        if known is None or not _unchanged(known, pds, str(state.rev)):
            return False
        if not listed:
            self.store.list_repo(tally.source, known.did)
        tally.count(host_of(pds), "unchanged")
        if known.identified is not None and self.moment() - known.identified > HANDLE_AGE:
            work = partial(self._identify_again, tally, known)
            self.schedule_work(tally, self._directory(known.did), known.did, work)
        return True

    def _identify_again(self, tally: Tally, known: Repo) -> None:
        """Look up an unchanged account's handle again if the last lookup is old. Only for accounts with records."""
        try:
            identity = self.resolver.resolve(known.did, fresh=True)
        except NetworkError:
            # an unconfirmed handle isn't shown; the key is looked up before its next use
            self.store.put_repo(replace(known, handle=None, identified=self.moment()))
            return
        kept = self._fresh(identity, tally, known)
        rev = known.rev if known.pds is not None and same_server(identity.pds, known.pds) else None
        self.store.put_repo(replace(kept, rev=rev, root=known.root))

    # --- reading ---------------------------------------------------------------------------------------------------

    def remembered(self, known: Repo | None) -> Identity | None:
        """Return the stored identity if it is recent; ``None`` if only its document can prove it."""
        if known is None or known.identified is None or known.pds is None or known.key is None or known.draft:
            return None
        if self.moment() - known.identified > HANDLE_AGE:
            return None
        return Identity(did=known.did, handle=known.handle, pds=known.pds, key=PublicKey.parse(known.key))

    def _fresh(self, identity: Identity, tally: Tally, known: Repo | None) -> Repo:
        remembered = known is not None and self.remembered(known) == identity
        return Repo(
            did=identity.did,
            source=tally.source,
            handle=identity.handle,
            pds=identity.pds,
            key=None if identity.key is None else str(identity.key),
            identified=known.identified if known is not None and remembered else self.moment(),
        )

    def _read(self, tally: Tally, fresh: Repo, known: Repo | None, rev: str | None, *, alive: bool = False) -> None:
        """Read what changed in a repository, and store it. A ``NetworkError`` leaves the store unchanged."""
        account = Account(
            did=fresh.did,
            pds=fresh.pds or "",
            key=None if fresh.key is None else PublicKey.parse(fresh.key),
            known=paths_in(self.store.known(fresh.did)),
            tree=self.store.tree(fresh.did),
            rev=None if known is None else known.newest,
            alive=alive,
        )
        try:
            reading = self._reader.read(account)
        except InvalidProof:
            identity = self.resolver.resolve(fresh.did, fresh=True)
            if (identity.key, identity.pds) == (account.key, account.pds):
                raise
            fresh = replace(self._fresh(identity, tally, None), identified=self.moment())
            reading = self._reader.read(replace(account, pds=identity.pds, key=identity.key))
        self.keep(tally, fresh, reading, rev)

    def keep(self, tally: Tally, fresh: Repo, reading: Reading, rev: str | None, *, host: str | None = None) -> None:
        """Store a repository that was read. ``rev`` is the server's, for a repository that isn't proven."""
        if reading.commit is None:
            self._keep_newer(tally, fresh.did, reading, rev)
        found, refused = _sorted_out(reading, fresh)
        if reading.commit is not None:
            fresh = replace(fresh, rev=str(reading.commit.rev), root=str(Cid.of_binary(reading.commit.data)))
        else:
            fresh = replace(fresh, rev=None if reading.passing else rev)
        defects = [item for item in reading.unread if item.defect]
        if reading.short is not None:  # the next crawl continues
            fresh = replace(fresh, rev=None)
            some = f"; {reading.left:,} of its records are left for the next crawl" if reading.left else ""
            tally.problem(f"{fresh.did} could not be read whole: {reading.short}{some}", unit=fresh.did)
        if defects:  # the next crawl reads it again
            fresh = replace(fresh, rev=None)
        for item in defects:
            tally.problem(f"{one_line(item.uri, 200)} is left out: {item.reason}", unit=item.uri, defect=True)
        changes = self.store.replace(
            fresh,
            found,
            refused,
            moment=self.moment(),
            kept=[f"at://{fresh.did}/{path}" for path in reading.kept],
            proven=reading.way in ("tree", "car", "firehose") and reading.commit is not None and reading.short is None,
            tree=reading.tree,
        )
        host = host_of(fresh.pds or "") if host is None else host
        tally.count(host, "changed")
        tally.add(host, changes, refused, reading.way)

    def _keep_newer(self, tally: Tally, did: Did, reading: Reading, rev: str | None) -> None:
        """Remove from an unproven reading what would replace a proven record by an older version."""
        known = self.store.repo(did)
        if known is None or known.newest is None:
            return
        stored = paths_in(self.store.known(did))
        if rev is None or rev <= known.newest:
            older = [record for record in reading.records if _path_of(record) in stored]
            reading.kept = list(stored)
        else:
            older = [record for record in reading.records if self._was_replaced(record)]
            reading.kept += [_path_of(record) for record in older]
        if older:
            reading.records = [record for record in reading.records if record not in older]
            what = "its server offers no proof, and lists versions that aren't newer than the proven ones; those stay"
            tally.problem(f"{did}: {what}: {', '.join(_path_of(record) for record in older[:3])}")

    def _was_replaced(self, record: CheckedRecord) -> bool:
        """Return whether a newer version than this content was seen."""
        return any(version.cid == record.cid for version in self.store.history(str(record.uri))[1:])

    def _directory(self, did: Did) -> str:
        """Return the host that serves an account's DID document."""
        return self._plc if did.startswith("did:plc:") else did.split(":")[2].partition("%3A")[0]


def _sorted_out(reading: Reading, repo: Repo) -> tuple[list[Found], list[Refused]]:
    """Split a reading into valid records, and rejected ones with their reasons."""
    found: dict[AtUri, Found] = {}
    refused: dict[Refused, None] = {}
    for item in reading.unread:
        refused[_refused(item.uri, item.reason, item.cid, repo)] = None
    for record in reading.records:
        try:
            read_record(str(record.uri.collection), record.value)
        except Exception as error:  # noqa: BLE001 — whatever it is, it keeps this record out alone
            item = unread(str(record.uri), record.cid, error)
            reading.unread[item] = None
            refused[_refused(item.uri, item.reason, item.cid, repo)] = None
        else:
            found[record.uri] = _found(record, verified=reading.commit is not None)
    return list(found.values()), list(refused)


def _found(record: CheckedRecord, *, verified: bool) -> Found:
    return Found(uri=record.uri, cid=record.cid, value=record.value, verified=verified)


def _refused(uri: str, reason: str, cid: Cid | None, repo: Repo) -> Refused:
    clean = one_line("; ".join(reason.splitlines()), 2000)
    shown = one_line(uri) or f"at://{repo.did}/?"
    return Refused(uri=shown, reason=clean, source=repo.source, cid=None if cid is None else str(cid))


def _once(call: Callable[[], None]) -> Callable[[], None]:
    """Wrap a callback so that it runs only once."""
    left = [call]

    def first() -> None:
        if left:  # one thread at a time runs the work
            left.pop()()

    return first


def paths_in(known: dict[str, str]) -> dict[str, str]:
    """Return the store's records by path in the repository instead of URI."""
    return {uri.split("/", 3)[3]: cid for uri, cid in known.items() if uri.count("/") >= 4}


def _path_of(record: CheckedRecord) -> str:
    return f"{record.uri.collection}/{record.uri.rkey}"


def host_of(url: str) -> str:
    """Return the host of a server's URL, with its port."""
    return urlsplit(url).netloc


def _unchanged(known: Repo, pds: str, rev: str) -> bool:
    """Return whether the stored repository is current. A rev of another server says nothing about this one."""
    return known.active and known.rev == rev and known.pds is not None and same_server(known.pds, pds)
