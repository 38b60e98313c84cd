"""One account after the other: is it there, has it changed, what does it say, is it proven; then into the store."""

from __future__ import annotations

import time
from collections import Counter
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
    from collections.abc import Callable, Iterator

    from catalog.atproto.repo import CheckedRecord
    from catalog.config import NetworkSettings
    from catalog.crawl.locks import Locks
    from catalog.crawl.report import Tally
    from catalog.crawl.schedule import Schedule, Work
    from catalog.network.http import Client
    from catalog.store import Store

__all__ = ["PART", "Crawler", "host_of", "paths_in"]

PART: Final = Part(COLLECTIONS)
HANDLE_AGE: Final = timedelta(days=1)
"""How long a handle, a key and a PDS are believed without being looked up again."""
_PARKED_AFTER: Final = 5
"""Repositories in a row that a host didn't answer for, after which it is left alone; not if it has ever answered."""
_ROUNDS: Final = 3
"""How often a crawl waits for a host that answered once and then fails, before it leaves the rest."""
_CRAWL: Final = "the crawl"
_CLOSE: Final = 0.1
"""Seconds of a budget that are not worth a request."""
_AGAIN_SECONDS: Final = 1.0
"""After how long an account is tried a second time that got no answer from a host that had answered before."""
_UNAVAILABLE: Final = frozenset({0, 502, 503, 504})
"""Statuses of a host that is in trouble as a whole, 0 where it didn't answer. All others are about one account."""


class Crawler:
    """Brings repositories to the store. Each is read at most once in its life, which is one crawl; for many threads."""

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
        """When (``time.monotonic``) the crawl's time budget is used up."""
        self.limits = LimitSettings() if limits is None else limits
        """How much an account, a host and the crawl may cost."""
        self._plc = host_of(settings.plc_url)
        self._asked_for_handles = None if settings.handle_resolver is None else host_of(settings.handle_resolver)
        self._reader = Reader(client, PART, self.limits)
        self._deny = deny
        self._lock = Lock()
        self._claimed: dict[str, list[Callable[[], None]]] = {}
        """The accounts that are somebody's to visit, with what others do if he gives them up."""
        self._failures: Counter[str] = Counter()
        """By host, in a row."""
        self._late: dict[str, str] = {}
        """Hosts whose accounts are left for the next crawl, and why."""
        self._waits: dict[str, tuple[float, int]] = {}
        """Hosts that fail after they had answered: until when they are left alone, and how often they were."""
        self._looking: set[Did] = set()
        """The accounts that :meth:`look_again` has begun with."""

    def claim(self, did: Did, source: str, otherwise: Callable[[], None]) -> bool:
        """Whether this account is yet to be visited, and may be; then it is the caller's.

        Else ``otherwise`` is called if whoever has it gives it up.
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

    def give_up(self, did: Did) -> None:
        """Leave an account to the others who wanted it: a PDS that listed it had nothing to say about it."""
        with self._lock:
            others = self._claimed.pop(did, [])
        for other in others:  # each contains what goes wrong with it
            other()

    @staticmethod
    def moment() -> datetime:
        """Now."""
        return datetime.now(UTC)

    def allows(self, did: str) -> bool:
        """Whether the account isn't denied."""
        return did not in self._deny

    def new_round(self) -> None:
        """Every account may be visited once more."""
        with self._lock:
            self._claimed.clear()
        self._give_chances()

    def _give_chances(self) -> None:
        """Let each host be tried again, with a new time budget."""
        with self._lock:
            for known in (self._failures, self._late, self._waits):
                known.clear()
        self.schedule.renew()

    # --- budgets ---------------------------------------------------------------------------------------------------

    @contextmanager
    def budgeted(self, host: str, account: Did | None = None) -> Iterator[None]:
        """Let requests take as long as is left of the budgets: of the account, if it is one, its host and the crawl.

        Those for an account have the bytes of one, too.
        """
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
        """Why the rest of a host's work is left for the next crawl; None where it goes on.

        ``error`` is what a request ended with: a host that wants a pause beyond the budget is late already.
        """
        with self._lock:
            why = self._late.get(host)
        if why is not None:
            return why
        spent, limits = self.schedule.worked(host), self.limits
        name, where = (error.name, error.where) if isinstance(error, RequestFailed) else ("", None)
        if time.monotonic() >= self.ends or (name == TIME_UP and where == _CRAWL):
            why = f"time budget of the crawl used up after {limits.crawl_seconds:,} s; raise limits.crawl_seconds"
        elif spent + _CLOSE >= limits.host_seconds or (name == TIME_UP and where == host):
            why = f"time budget of host {host} used up after {limits.host_seconds:,} s; raise limits.host_seconds"
        elif name == RATE_LIMITED and where == host.lower().removesuffix(":443"):
            why = f"time budget of host {host} used up after {spent:,.0f} s, as {one_line(str(error), 200)}"
            why += "; raise limits.host_seconds"
        if why is not None:
            with self._lock:
                self._late[host] = why
        return why

    def _postponed(self, host: str, work: Work) -> bool:
        """Whether work is done later instead, as its host answered before and is left alone now after failures."""
        left = self.client.parked(host)
        if left <= 0 or not self.schedule.answered(host):
            return False
        now = time.monotonic()
        with self._lock:
            until, rounds = self._waits.get(host, (0.0, 0))
            if now >= until:
                until, rounds = now + left, rounds + 1
                self._waits[host] = until, rounds
            if rounds > _ROUNDS:
                self._late[host] = f"{host} doesn't answer any more"
                return False
        self.schedule.add(host, work, after=left)
        return True

    # --- visits ----------------------------------------------------------------------------------------------------

    def arrange(self, tally: Tally, did: Did) -> None:
        """Have an account visited at its own PDS, wherever that is. Whatever goes wrong with it is reported as its."""
        with tally.containing(did):
            if not self.claim(did, tally.source, partial(self.arrange, tally, did)):
                return
            known = self.store.repo(did)
            identity = self.remembered(known)
            if identity is None:
                self.arrange_work(tally, self._directory(did), did, partial(self._identify, tally, did))
            else:
                self._arrange_at(tally, identity)

    def arrange_listed(self, tally: Tally, pds: str, state: wire.RepoState, *, listed: bool = False) -> None:
        """Have an account visited that a PDS lists, if it has changed. What can't be read may be others' to read.

        ``listed`` says that the store has it as one of this source's. Whatever goes wrong with it is reported as its.
        """
        with tally.containing(state.did):
            if self.claim(state.did, tally.source, partial(self.arrange_listed, tally, pds, state, listed=listed)):
                failed = partial(self.give_up, state.did)
                if not self._settled(tally, pds, state, listed=listed):
                    self.arrange_work(tally, host_of(pds), state.did, partial(self._listed, tally, pds, state), failed)

    def arrange_work(
        self,
        tally: Tally,
        host: str,
        did: Did,
        work: Callable[[], None],
        failed: Callable[[], None] = lambda: None,
    ) -> None:
        """Have something done at a host. Whatever goes wrong is the account's problem; then ``failed`` is called."""
        chances = [1]

        def again() -> bool:
            if self._postponed(host, piece):
                return True
            if not chances or not self.schedule.answered(host):
                return False
            chances.pop()
            self.schedule.add(host, piece, after=_AGAIN_SECONDS)
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
        """Whether an error says that a host doesn't answer; one that never did is left alone after a few of them."""
        if (
            not isinstance(error, RequestFailed)
            or error.status not in _UNAVAILABLE
            or error.name in (TIME_UP, BYTES_UP)
        ):
            return False
        with self._lock:
            self._failures[host] += 1
            if self._failures[host] >= _PARKED_AFTER and not self.schedule.answered(host):
                self._late[host] = f"{host} doesn't answer"
        return True

    def _identify(self, tally: Tally, did: Did) -> None:
        """Look an account's document up, then, as that is another host's work and may take long, its handle."""
        claimed = self.resolver.claim(did)
        if claimed is None:
            self._identify_all(tally, did)
        else:
            host = self._asked_for_handles or f"the handle {claimed}"
            self.arrange_work(tally, host, did, partial(self._identify_all, tally, did))

    def _identify_all(self, tally: Tally, did: Did) -> None:
        self._arrange_at(tally, self.resolver.resolve(did))

    def _arrange_at(self, tally: Tally, identity: Identity) -> None:
        work = partial(self.visit, tally, identity)
        self.arrange_work(tally, host_of(identity.pds), identity.did, work)

    def look_at(self, tally: Tally, did: Did, *, after: Callable[[], None], fresh: bool = False) -> None:
        """Have an account visited because of an event, visited before or not; ``after`` is called in the end.

        Where that fails, or its host is left alone, it is noted as unread, for :meth:`look_again`. ``fresh`` looks the
        account up anew.
        """
        over = _once(after)

        def failed() -> None:
            try:
                with self.locks.alone_with(did):
                    known = self.store.repo(did)
                    unread = Repo(did=did, source=tally.source) if known is None else replace(known, rev=None)
                    if unread != known:
                        self.store.put_repo(unread)
            finally:
                over()

        def visit(identity: Identity) -> None:
            self.visit(tally, identity)
            over()

        def identify() -> None:  # the directory's work; the visit is its PDS's, which may be slow
            arrange_visit(self.resolver.resolve(did, fresh=fresh))

        def arrange_visit(identity: Identity) -> None:
            self.arrange_work(tally, host_of(identity.pds), did, partial(visit, identity), failed)

        if not self.allows(did):
            over()
            return
        try:
            identity = None if fresh else self.remembered(self.store.repo(did))
            if identity is None:
                self.arrange_work(tally, self._directory(did), did, identify, failed)
            else:
                arrange_visit(identity)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 — whatever it is, it ends the work on this account alone
            tally.unread(did, error)
            with tally.containing(did):
                failed()

    def look_again(self, tally: Tally) -> None:
        """Have those of a stream's accounts visited that couldn't be read before; each host gets another chance."""
        self._give_chances()
        for did in map(Did, self.store.unread(tally.source)):
            with self._lock:
                if did in self._looking:  # the last time isn't over yet
                    continue
                self._looking.add(did)
            self.look_at(tally, did, after=partial(self._looking.discard, did))

    def visit(self, tally: Tally, identity: Identity, *, doubted: bool = False) -> None:
        """Ask an account's own PDS whether it changed; read it if so. Raises a ``NetworkError``."""
        with self.locks.alone_with(identity.did):
            self._visit(tally, identity, doubted=doubted)

    def _visit(self, tally: Tally, identity: Identity, *, said: str | None = None, doubted: bool = False) -> None:
        """The same while nobody else visits the account.

        ``said`` is the rev that a list gave; ``doubted`` says that its server's list, read to its end, doesn't name it.
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
        """Note that an account has the commit that is known; some servers go on serving one that isn't active."""
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
        """Find out why a server refuses an account: it moved, or is gone, or only that request was refused.

        Raises ``error`` where nothing says that the account is gone, and it can't be read.
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
        """Whether the relay that named an account says that it is gone: where its own server says nothing."""
        kind, _, server = tally.source.partition(":")
        if kind not in ("relay", "firehose"):
            return False
        with suppress(NetworkError, RefusedUrl):
            return wire.repo_status(self.client, server.replace("ws", "http", 1), did).active is False
        return False

    def _hide(self, tally: Tally, repo: Repo, known: Repo | None, status: str | None) -> None:
        """Note that an account is not to be shown; what is known of its repository stays."""
        host = host_of(repo.pds or "")
        tally.count(host, "changed" if known is None or known.active else "unchanged")
        rev, root = (None, None) if known is None else (known.rev, known.root)
        self.store.put_repo(replace(repo, active=False, status=status, rev=rev, root=root))

    def _lost(self, tally: Tally, did: Did, error: UnknownIdentity) -> bool:
        """Whether a directory's answer ends an account: then it is hidden, now or when its server agrees.

        A tombstone (410) in the PLC directory does. A 404 does if the account's server doesn't speak for it either.
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
        self.arrange_work(tally, host_of(known.pds), did, partial(self._agreed, tally, known, error))
        return True

    def _agreed(self, tally: Tally, known: Repo, error: UnknownIdentity) -> None:
        """Hide an account that its directory doesn't know, unless its server says that it is active."""
        with self.locks.alone_with(known.did):
            if wire.repo_status(self.client, known.pds or "", known.did).active:
                raise RequestFailed(f"its server says that it is active, but {error.what}", status=error.status)
            self._hide(tally, replace(known, source=tally.source), known, "deleted")

    def arrange_unlisted(self, tally: Tally, pds: str, did: Did, *, doubted: bool) -> None:
        """Have an account looked at that a PDS doesn't list any more; that alone is no reason to hide it.

        ``doubted`` says that the list can be believed where the PDS itself says nothing of the account.
        """
        if self.claim(did, tally.source, partial(self.arrange_unlisted, tally, pds, did, doubted=doubted)):
            failed = partial(self.give_up, did)
            work = partial(self._unlisted, tally, pds, did, doubted=doubted)
            self.arrange_work(tally, self._directory(did), did, work, failed)

    def _unlisted(self, tally: Tally, pds: str, did: Did, *, doubted: bool) -> None:
        identity = self.resolver.resolve(did, fresh=True)
        if not same_server(identity.pds, pds):
            self.store.unlist(tally.source, did)
            tally.count(host_of(pds), "changed")
            self.give_up(did)
            return
        work = partial(self.visit, tally, identity, doubted=doubted)
        self.arrange_work(tally, host_of(pds), did, work, partial(self.give_up, did))

    def _listed(self, tally: Tally, pds: str, state: wire.RepoState) -> None:
        """An account that a PDS lists, with a rev that we don't know."""
        with self.locks.alone_with(state.did):
            self._listed_alone(tally, pds, state)

    def _listed_alone(self, tally: Tally, pds: str, state: wire.RepoState) -> None:
        known = self.store.repo(state.did)
        ours = known is not None and known.pds is not None and same_server(known.pds, pds)
        rev = None if state.rev is None else str(state.rev)
        if not self.store.holds(state.did) and (known is None or ours) and self._has_nothing(pds, state.did):
            # Nothing of ours, and nothing it could take away: not worth finding out whose word it is.
            self.store.put_repo(Repo(did=state.did, source=tally.source, pds=pds, rev=rev))
            tally.count(host_of(pds), "changed")
            return
        remembered = self.remembered(known) if state.active else None  # it may be inactive here as it moved
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
        """Whether a PDS says that a repository has none of our collections; not so where it says nothing."""
        try:
            return wire.describe_repo(self.client, pds, did).isdisjoint(COLLECTIONS)
        except RequestFailed as error:
            trouble = error.status in _UNAVAILABLE and not (
                error.name or error.message
            )  # of the host: it is waited for
            if trouble or not wire.is_refusal(error):
                raise
            return False

    def _settled(self, tally: Tally, pds: str, state: wire.RepoState, *, listed: bool) -> bool:
        """Whether a line of a PDS's list says all there is to know; then it is noted."""
        known = self.store.repo(state.did)
        ours = known is not None and known.pds is not None and same_server(known.pds, pds)
        if not state.active:
            if known is None or not ours:
                self.give_up(state.did)
            elif known.active and self.store.holds(state.did):
                return False  # its document is looked up first: an account that moved is inactive where it was
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
            self.arrange_work(tally, self._directory(known.did), known.did, work)
        return True

    def _identify_again(self, tally: Tally, known: Repo) -> None:
        """Look at an unchanged account's handle again, when that was long ago. Only of accounts with records."""
        try:
            identity = self.resolver.resolve(known.did, fresh=True)
        except NetworkError:
            # What can't be confirmed isn't shown; the key is looked up before it is used again.
            self.store.put_repo(replace(known, handle=None, identified=self.moment()))
            return
        kept = self._fresh(identity, tally, known)
        rev = known.rev if known.pds is not None and same_server(identity.pds, known.pds) else None
        self.store.put_repo(replace(kept, rev=rev, root=known.root))

    # --- reading ---------------------------------------------------------------------------------------------------

    def remembered(self, known: Repo | None) -> Identity | None:
        """What was looked up not long ago; nothing of an account without a key, as only its document vouches for it."""
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
        """Read what changed in a repository, then store it. A ``NetworkError`` leaves the store as it was."""
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
        """Store what was read of a repository. ``rev`` is what its server said, for what isn't proven."""
        if reading.commit is None:
            self._keep_newer(tally, fresh.did, reading, rev)
        found, refused = _sorted_out(reading, fresh)
        if reading.commit is not None:
            fresh = replace(fresh, rev=str(reading.commit.rev), root=str(Cid.of_binary(reading.commit.data)))
        else:
            fresh = replace(fresh, rev=None if reading.passing else rev)
        defects = [item for item in reading.unread if item.defect]
        if reading.short is not None:  # the next crawl goes on
            fresh = replace(fresh, rev=None)
            some = f"; {reading.left:,} of its records are left for the next crawl" if reading.left else ""
            tally.problem(f"{fresh.did} could not be read whole: {reading.short}{some}", unit=fresh.did)
        if defects:  # the next crawl reads it again, with more memory or a version without that defect
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
        """Take out of an unproven reading what would put something older in the place of what was proven."""
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
        """Whether a record has this content no more since a newer one was seen."""
        return any(version.cid == record.cid for version in self.store.history(str(record.uri))[1:])

    def _directory(self, did: Did) -> str:
        """The host that knows an account's document."""
        return self._plc if did.startswith("did:plc:") else did.split(":")[2].partition("%3A")[0]


def _sorted_out(reading: Reading, repo: Repo) -> tuple[list[Found], list[Refused]]:
    """What was read, as records that can be shown and as those that can't, with why."""
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
    """A callback that is called the first time only, however the work ends that calls it."""
    left = [call]

    def first() -> None:
        if left:  # one thread at a time has the work
            left.pop()()

    return first


def paths_in(known: dict[str, str]) -> dict[str, str]:
    """By path in the repository what the store has by URI."""
    return {uri.split("/", 3)[3]: cid for uri, cid in known.items() if uri.count("/") >= 4}


def _path_of(record: CheckedRecord) -> str:
    return f"{record.uri.collection}/{record.uri.rkey}"


def host_of(url: str) -> str:
    """The host of a server's address, with its port."""
    return urlsplit(url).netloc


def _unchanged(known: Repo, pds: str, rev: str) -> bool:
    """Whether what the store has is still all there is. Another server's revs say nothing about this one's."""
    return known.active and known.rev == rev and known.pds is not None and same_server(known.pds, pds)
