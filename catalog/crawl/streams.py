"""Streams as sources: a firehose, whose commits contain their proofs, and a Jetstream, whose events are only hints.

The first time, every account is visited (as by relay: or pds:), then events are processed from the position before
that. An event with an unbroken *chain* is verified from the event itself: the tree before its commit (``prevData``) is
the last one that was proven. Otherwise the account is visited at its own PDS.

- The stored cursor is the newest event before which everything is in the store: it waits for visits.
- Events are repeated after a reconnect; a rev that isn't above the known one is skipped.
- If events may have been missed (:mod:`catalog.crawl.cursor`), every account of the source is visited again.
- An event may hide an account at once, but only its own PDS restores it.
"""

from __future__ import annotations

import re
import time
from dataclasses import replace
from datetime import timedelta
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Final

from catalog.atproto import firehose as stream
from catalog.atproto import jetstream, mst
from catalog.atproto.car import Blocks
from catalog.atproto.firehose import AccountEvent, CommitEvent, IdentityEvent, Notice, SyncEvent
from catalog.atproto.proof import Reading, as_car, take, unread
from catalog.atproto.repo import list_repos_by_collection
from catalog.crawl.accounts import PART, host_of, paths_in
from catalog.crawl.cursor import Cursor
from catalog.crawl.sources import list_pds, list_relay
from catalog.errors import InvalidProof, NetworkError, RequestFailed, StoreError, contained
from catalog.syntax import Cid, Did

if TYPE_CHECKING:
    from threading import Event as Stop

    from catalog.config import NetworkSettings, Source
    from catalog.crawl.accounts import Crawler
    from catalog.crawl.report import Tally
    from catalog.store import Repo

FIREHOSE: Final = "/xrpc/com.atproto.sync.subscribeRepos"
IDLE_SECONDS: Final = 3.0
"""Silence after which a stream is up to date, when catching up."""
CATCH_UP_SECONDS: Final = 900.0
"""Time limit for catching up; the next crawl does the rest."""
RETRY_SECONDS: Final = 120.0
"""Interval between visits of accounts that couldn't be read."""
_DID: Final = re.compile(rb"did:plc:[a-z2-7]{24}")
_STORE_SECONDS: Final = 2.0
"""Interval at which the cursor is stored."""
_FRESH: Final = timedelta(minutes=10)
"""Age at which the time of an unchanged cursor is stored again."""
_SILENCE: Final = 600.0
"""Silence after which the server may not know the cursor."""
_PREFIX: Final = PART.prefix.decode()


class Follower:
    """Read one stream into the store. An error in an event affects its account, not the stream."""

    def __init__(self, source: Source, crawler: Crawler, tally: Tally, settings: NetworkSettings) -> None:
        self._source = source
        self._host = host_of(source.value)
        self._crawler = crawler
        self._tally = tally
        self._settings = settings
        number, moment = crawler.store.cursor(str(source)), crawler.store.cursor_moment(str(source))
        self._cursor = Cursor(number, moment, timed=source.kind == "jetstream")
        self._connected = self._heard = False
        """The stream is open; this connection has received a message."""
        self._opened_at = 0.0
        self._wanted = stream.Filter(PART.prefix, crawler.store.holders())
        self._visits: dict[Did, int | None] = {}
        """Accounts being visited, with the first event received meanwhile, which causes another visit."""
        self._lock = Lock()
        self._unsettled = False
        """Every account is being visited: until that is done, no cursor describes the store."""
        self._due = self._asked = False
        """The list of all accounts is due, as it failed; it was tried before."""
        self._listed_at: float | None = None
        self._patient = False
        """Failed work may be done later."""
        self._kept = self._looked = time.monotonic()
        """Times at which the cursor was stored, and unread accounts were visited again."""
        self._passed: bytes | None = None
        """Newest frame of other collections; its seq is only read when the cursor is stored."""

    def catch_up(self, stop: Stop) -> None:
        """Process missed events, or, the first time, every account. Raises a ``NetworkError``."""
        self._follow(stop, until=time.time())

    def follow(self, stop: Stop) -> None:
        """Follow the stream until ``stop``. Raises a ``NetworkError`` that a new connection can't resolve."""
        self._follow(stop, until=None)

    def keep_cursor(self) -> None:
        """Store the position up to which everything is done."""
        if self._passed is not None:
            passed, self._passed = self._passed, None
            with self._tally.containing(f"{self._source} event"):
                self._saw(stream.sequence_of(passed))
        if self._unsettled:
            if self._due or self._crawler.schedule.busy:
                return
            self._unsettled = False
        value, moment, source = self._cursor.value, self._cursor.moment, self._tally.source
        if value is None or moment is None:
            return
        stored = self._crawler.store.cursor_moment(source)
        if value != self._crawler.store.cursor(source) or stored is None or moment - stored > _FRESH:
            self._crawler.store.put_cursor(source, value, moment)

    def _follow(self, stop: Stop, *, until: float | None) -> None:
        started = looked = time.monotonic()
        self._patient = until is None
        known = self._cursor.seen is not None
        if known:
            self._crawler.retry_unread(self._tally)
        firehose = self._source.kind == "firehose"
        messages = stream.messages(
            self._source.value,
            FIREHOSE if firehose else jetstream.PATH,
            self._settings,
            parameters=self._parameters,
            stop=stop,
            opened=self._opened,
            troubled=self._closed,
            idle=None if until is None else IDLE_SECONDS,
            silent=self._periodic_work if until is None else lambda: None,
        )
        for message in messages:
            self._message(message, firehose=firehose)
            if until is None:
                self._periodic_work()
            elif time.monotonic() - looked > _STORE_SECONDS:
                looked = time.monotonic()
                if looked > min(started + CATCH_UP_SECONDS, self._crawler.ends) or _is_past(message, until):
                    break
        self._touch()
        if until is not None and known and not self._heard:
            self._every_account()  # a quiet stream, or a server that does not know the cursor

    def _periodic_work(self) -> None:
        """Periodic work, also while the stream is silent: store the cursor, retry what failed."""
        now = time.monotonic()
        if now - self._kept > _STORE_SECONDS:
            self._kept = now
            self._touch()
            self.keep_cursor()
        if self._connected and not self._heard and now - self._opened_at > _SILENCE:
            self._heard = True
            self._every_account()
        if now - self._looked > RETRY_SECONDS:
            self._looked = now
            self._crawler.retry_unread(self._tally)
            if self._due:
                self._every_account()

    def _touch(self) -> None:
        """Note that the stream is up to date now, as far as an open connection shows."""
        if self._connected:
            self._cursor.moment = self._cursor.now()

    def _message(self, message: bytes | str, *, firehose: bool) -> None:
        self._heard = True
        self._tally.meter.count(self._host, received=len(message))
        try:
            if firehose and isinstance(message, bytes):
                self._frame(message)
            elif not firehose and isinstance(message, str):
                self._hint(message)
        except InvalidProof as error:
            self._tally.problem(f"{self._source}: {error}")
        except (StoreError, NetworkError):  # the server itself ended the stream
            raise
        except Exception as error:  # noqa: BLE001 — whatever it is, it ends the work on this message alone
            did = _account_of(message)
            self._tally.unread(
                did or str(self._source), error, what=f"has an event of {self._host} that could not be read"
            )
            if did is not None and self._wanted.tracks(did.encode()):
                # The event and its number can't be read: ask the account's own PDS.
                self._crawler.revisit(self._tally, did, after=lambda: None, fresh=True)

    def _parameters(self) -> list[tuple[str, str]]:
        if self._passed is not None:
            with self._tally.containing(f"{self._source} event"):
                self._saw(stream.sequence_of(self._passed))
        seen = self._cursor.seen
        if self._source.kind == "firehose":
            return [] if seen is None else [("cursor", str(seen))]
        wanted = ("wantedCollections", f"{_PREFIX}*")
        return [wanted] if seen is None else [wanted, ("cursor", str(seen - jetstream.REWIND))]

    def _opened(self) -> None:
        self._tally.meter.count(self._host, requests=1)
        self._connected, self._heard, self._opened_at = True, False, time.monotonic()
        gap = self._cursor.opened(timedelta(hours=self._crawler.limits.cursor_hours))
        if gap is not None:
            self._missed(gap)
        elif self._cursor.seen is None or self._due:  # events since the last connection are unknown
            self._every_account()

    def _closed(self, _: RequestFailed) -> None:
        self._connected = False

    def _saw(self, number: int | None) -> None:
        gap = None if number is None else self._cursor.saw(number)
        if gap is not None:
            self._missed(gap)

    def _missed(self, why: str) -> None:
        """Visit all accounts, as events may have been missed, and report it."""
        self._tally.once(f"{self._source}: {why}: events may have been missed, every account is looked at again")
        self._asked = True  # other sources may have visited some before
        self._every_account()

    def _every_account(self) -> None:
        """Visit all accounts, later if they can't be listed now. Raises a ``NetworkError`` if there is no later."""
        now = time.monotonic()
        if self._patient and self._listed_at is not None and now - self._listed_at < RETRY_SECONDS:
            self._unsettled = self._due = True  # a stream that causes this again and again waits for its turn
            return
        self._listed_at = now
        if self._asked:
            self._crawler.reset_claims()  # accounts visited before may have changed since
        self._asked = self._unsettled = self._due = True
        try:
            self._list()
        except StoreError:
            raise
        except Exception as failure:  # noqa: BLE001 — whatever it is, the stream goes on where there is a later
            error = contained(failure, where=str(self._source))
            if not self._patient:
                raise error from None
            self._tally.problem(
                f"{self._source}: its accounts could not be listed: {error}", unit=f"list {self._source}"
            )
        else:
            self._due = False

    def _list(self) -> None:
        """Schedule visits of all accounts that a relay, or else a PDS, lists."""
        server = self._source.value.replace("ws", "http", 1)
        if self._source.kind == "jetstream":
            self._list_for_jetstream()
            return
        try:
            next(list_repos_by_collection(self._crawler.client, server, PART.collections[0]), None)
        except RequestFailed as error:
            if error.status not in (400, 401, 404, 405, 501):
                raise
            list_pds(server, self._crawler, self._tally)
        else:
            list_relay(server, self._crawler, self._tally)

    def _list_for_jetstream(self) -> None:
        """Schedule the accounts of the relay named beside a Jetstream, which lists none; else those in the store."""
        if self._source.relay is not None:
            list_relay(self._source.relay, self._crawler, self._tally)
            return
        for did in sorted(self._crawler.store.listed(self._tally.source)):
            self._crawler.schedule_account(self._tally, Did(did))

    def _frame(self, raw: bytes) -> None:
        event = stream.read_frame(raw, self._wanted)
        if event is None:
            if self._cursor.first:
                self._saw(stream.sequence_of(raw))
            self._passed = raw
            return
        self._passed = None
        match event:
            case Notice():
                self._notice(event)
                return
            case CommitEvent():
                self._commit(event)
            case SyncEvent() | IdentityEvent():
                self._visit(event.did, event.seq, fresh=True)
            case AccountEvent():
                if not event.active:
                    self._hide(event.did, event.status)
                self._visit(event.did, event.seq, fresh=True)
        self._saw(event.seq)

    def _hint(self, text: str) -> None:
        hint = jetstream.read_hint(text)
        if hint is None:
            return
        if not hint.identity:
            if hint.collection is None or hint.collection.startswith(_PREFIX):
                self._wanted.track(hint.did)
                self._visit(hint.did, hint.time_us)
        elif self._wanted.tracks(hint.did.encode()):
            if not hint.active:
                self._hide(hint.did, hint.status)
            self._visit(hint.did, hint.time_us, fresh=True)
        self._saw(hint.time_us)

    def _notice(self, notice: Notice) -> None:
        if notice.name == "FutureCursor":
            ahead = self._cursor.seen
            self._cursor.forget()
            self._missed(f"the stored cursor {ahead} is ahead of the server")
        elif notice.name == "OutdatedCursor":
            self._missed("the stored cursor is older than what the server keeps")
        else:
            self._tally.once(f"{self._source} says {notice.name}: {notice.message}")

    def _commit(self, event: CommitEvent) -> None:
        crawler = self._crawler
        if not crawler.allows(event.did):
            return
        self._wanted.track(event.did)
        with crawler.locks.holding(event.did, wait=False) as alone:
            if not alone:  # a visit is running, which may take long; the stream doesn't wait
                self._visit(event.did, event.seq)
                return
            known = crawler.store.repo(event.did)
            if known is not None and known.rev is not None and event.rev <= known.rev:
                return
            identity = crawler.remembered(known)
            if known is None or identity is None or identity.key is None or not _is_next(known, event):
                self._visit(event.did, event.seq)
                return
            try:
                proven = stream.check_commit_event(event, self._wanted, key=identity.key)
                reading = self._reading(known, proven)
                crawler.keep(self._tally, replace(known, source=self._tally.source), reading, event.rev)
            except StoreError:
                raise
            except Exception as error:  # noqa: BLE001 — whatever it is, it ends the work on this event alone
                # The key may be new, or the stream may be wrong: ask the account's own PDS.
                self._tally.unread(event.did, error, what=f"has a commit (event {event.seq}) that could not be taken")
                self._visit(event.did, event.seq, fresh=True)
            else:
                self._tally.count(host_of(identity.pds), "seen")

    def _reading(self, known: Repo, proven: stream.Proven) -> Reading:
        """Return the change as a reading: every known record stays, except those that the operations touch."""
        store, limits = self._crawler.store, self._crawler.limits
        reading = Reading(way="firehose", commit=proven.commit)
        for path, raw in proven.records.items():
            if raw is None or not PART.has(path):
                continue
            cid = Cid.of_block(raw)
            try:
                reading.records.append(take(known.did, path, cid.binary, raw, values=limits.record_values))
            except Exception as error:  # noqa: BLE001 — whatever it is, it keeps this record out alone
                reading.unread[unread(f"at://{known.did}/{path}", cid, error)] = None
        reading.kept = [path for path in paths_in(store.known(known.did)) if path not in proven.records]
        if len(reading.kept) + len(reading.records) > limits.account_records:  # its visit decides which to omit
            raise RequestFailed("it has too many records", where=known.did, hint="raise limits.account_records")
        held, blocks = store.tree(known.did), proven.blocks
        if held is not None:
            blocks.add(Blocks.of_car(held)[1])
        nodes = mst.read(blocks, proven.commit.data, PART.low, PART.high).nodes
        reading.tree = as_car(nodes, blocks)
        return reading

    def _hide(self, did: Did, status: str | None) -> None:
        with self._crawler.locks.holding(did, wait=False) as alone:
            known = self._crawler.store.repo(did) if alone else None  # a running visit finds out by itself
            if known is not None and known.active:
                self._crawler.store.put_repo(replace(known, active=False, status=status, rev=None))

    def _visit(self, did: Did, number: int, *, fresh: bool = False) -> None:
        """Schedule a visit; several events during a visit cause one more."""
        with self._lock:
            if did in self._visits:
                if self._visits[did] is None:  # the first waiting event holds the cursor for all that follow
                    self._visits[did] = number
                    self._cursor.begin(number)
                return
            self._visits[did] = None
            self._cursor.begin(number)
        self._crawler.revisit(self._tally, did, fresh=fresh, after=partial(self._visited, did, number))

    def _visited(self, did: Did, number: int) -> None:
        """End an event's visit, and start the waiting one. A second call changes nothing."""
        with self._lock:
            waiting = self._visits.pop(did, None)
        try:
            if waiting is not None:
                self._visit(did, waiting, fresh=True)
        finally:
            if waiting is not None:
                self._cursor.end(waiting)
            self._cursor.end(number)


def _is_next(known: Repo, event: CommitEvent) -> bool:
    """Return whether the tree before an event is the one that the store has proven."""
    if known.root is None or known.rev is None or not known.active or event.prev_data is None:
        return False
    return Cid(known.root).binary == event.prev_data


def _account_of(message: bytes | str) -> Did | None:
    """Return the account of a message that can't be parsed, found by its bytes."""
    found = _DID.search(message if isinstance(message, bytes) else message.encode("utf-8", "replace"))
    return None if found is None else Did(found[0].decode("ascii"))


def _is_past(message: bytes | str, moment: float) -> bool:
    try:
        if isinstance(message, bytes):
            return stream.time_of(message) >= moment
        hint = jetstream.read_hint(message)
        return hint is not None and hint.time_us / 1e6 >= moment
    except Exception:  # noqa: BLE001 — what is wrong with a message is reported where it is read
        return False
