"""Crawl sources into the store: detect changes, fetch, verify, validate, store.

::

    manifests: ─▶ drafts ──────────────────────────────────────────┐
    repo: ──────────────────────┐                                  │
    relay: ─▶ listReposByColl. ─┼─▶ rev changed? ─▶ proven part ─▶ ┼─▶ store (one transaction a repository)
    pds: ─▶ listRepos ──────────┘      (catalog.atproto.proof)     │
    car: ─▶ files ─────────────────────────────────▶ proven part ──┤
    firehose: jetstream: ─▶ events (catalog.crawl.streams) ────────┘

- A PDS may list accounts of other servers. It may only add, hide or remove an account if the account's DID document
  names that PDS.
- An invalid record is rejected and reported; it never ends a crawl. A repository that can't be read completely keeps
  its stored records and its old rev, so that the next crawl tries again.
- ``verified`` means proven against the account's signed commit. Without proofs from the server, or without a key in the
  DID document, records are unverified; records with a wrong proof are rejected.
- Sources are crawled in parallel, each host at its own pace (:mod:`catalog.crawl.schedule`). Exports come last, as they
  may be older than what the network says.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from math import inf
from threading import Event, Thread
from typing import TYPE_CHECKING, Final

from catalog.crawl import sources as kinds
from catalog.crawl.accounts import Crawler
from catalog.crawl.labels import read_labels
from catalog.crawl.locks import Locks
from catalog.crawl.manifests import DRAFT_DID
from catalog.crawl.report import CrawlReport, HostReport, SourceReport, Tally
from catalog.crawl.schedule import Schedule
from catalog.crawl.streams import Follower
from catalog.errors import CatalogError, StoreError
from catalog.network.http import Client
from catalog.store import PastCrawl

if TYPE_CHECKING:
    from catalog.config import CatalogSettings, Source
    from catalog.store import Store

__all__ = ["DRAFT_DID", "CrawlReport", "HostReport", "SourceReport", "Tally", "crawl", "follow"]

STREAMS: Final = ("firehose", "jetstream")
RESUME_SECONDS: Final = 2.0
"""Pause before a stream is resumed after an unexpected error; it doubles each time."""
MAX_RESUME_SECONDS: Final = 60.0


def crawl(
    settings: CatalogSettings,
    store: Store,
    *,
    sources: Sequence[Source] | None = None,
    labels: bool = True,
    progress: Callable[[str], object] | None = None,
    watch: Callable[[Sequence[Tally]], object] | None = None,
) -> CrawlReport:
    """Bring the store up to date with the sources; streams are followed until they are caught up.

    ``sources`` are those to crawl, by default all of the settings. With ``labels`` the labelers are asked, too.
    Failures of sources, manifests and records are in the report. ``watch`` receives the counters at the beginning,
    which keep counting. Raises :class:`~catalog.errors.StoreBusy` if another crawl uses the store, and
    :class:`StoreError`.
    """
    with store.crawling(), Client(settings.network, parks=True) as client:
        crawled = settings.sources if sources is None else sources
        return _crawl_once(settings, store, client, Locks(), crawled, progress, watch, labels=labels)


def follow(
    settings: CatalogSettings,
    store: Store,
    *,
    stop: Event,
    every: float = 900.0,
    progress: Callable[[str], object] | None = None,
    watch: Callable[[Sequence[Tally]], object] | None = None,
) -> CrawlReport:
    """Crawl, then follow the streams until ``stop``; crawl the other sources again ``every`` so many seconds.

    A stream that fails ends; the others continue. The report covers the whole time. Raises as :func:`crawl`.
    """
    say = progress or (lambda _text: None)
    started = time.monotonic()
    streams = [source for source in settings.sources if source.kind in STREAMS]
    others = [source for source in settings.sources if source.kind not in STREAMS]
    tallies = [Tally(source=str(source)) for source in streams]
    with (
        store.crawling(),
        Client(settings.network, parks=True) as client,
        Schedule(on_error=partial(_report_error, tallies)) as schedule,
    ):
        locks = Locks()
        first = _crawl_once(settings, store, client, locks, settings.sources, progress, watch)
        crawler = _crawler(settings, store, client, schedule, locks)
        followers = [
            Follower(source, crawler, tally, settings.network) for source, tally in zip(streams, tallies, strict=True)
        ]
        if watch is not None:
            watch(tallies)
        threads = [Thread(target=_follow, args=(follower, crawler, tally, stop, say), name=str(source), daemon=True)
                   for source, follower, tally in zip(streams, followers, tallies, strict=True)]  # fmt: skip
        for thread in threads:
            thread.start()
        last, due = first, time.monotonic() + every
        while not stop.wait(0.5):
            if schedule.broken:
                stop.set()
            elif others and time.monotonic() >= due:
                last = _crawl_once(settings, store, client, locks, others, progress, None)
                due = time.monotonic() + every
        for thread in threads:
            thread.join()
        schedule.stop()
        schedule.wait()
        for follower, tally in zip(followers, tallies, strict=True):
            with tally.containing(tally.source):
                follower.keep_cursor()
        seconds = round(time.monotonic() - started, 3)
        sources = {report.source: report for report in (*first.sources, *last.sources)}
        sources |= {tally.source: tally.report() for tally in tallies}
        report = CrawlReport(sources=tuple(sources.values()), seconds=seconds)
        store.put_crawl(PastCrawl(ended=datetime.now(UTC), report=report.json()))
    return report


def _crawler(
    settings: CatalogSettings, store: Store, client: Client, schedule: Schedule, locks: Locks, *, ends: float = inf
) -> Crawler:
    deny = frozenset(settings.deny)
    return Crawler(client, settings.network, store, schedule, deny=deny, locks=locks, limits=settings.limits, ends=ends)


def _report_error(tallies: Sequence[Tally], host: str, error: CatalogError) -> None:
    """Report an exception of a task. Without sources there are no tasks."""
    tallies[0].unread(host, error)


def _follow(follower: Follower, crawler: Crawler, tally: Tally, stop: Event, say: Callable[[str], object]) -> None:
    say(f"following {tally.source}")
    pause = RESUME_SECONDS
    while not stop.is_set():
        started = time.monotonic()
        try:
            with tally.metered(crawler.client):
                follower.follow(stop)
        except StoreError as error:  # the store is broken: stop everything
            tally.fail(error)
            stop.set()
        except CatalogError as error:
            tally.fail(error)
            say(f"{tally.source} failed: {error}")
            return
        except Exception as error:  # noqa: BLE001 — any error: the stream is resumed after a pause
            found = tally.unread(tally.source, error, what="failed and is resumed")
            say(f"{tally.source} failed; resuming in {pause:.0f} s: {found}")
            stop.wait(pause)
            ran_long = time.monotonic() - started > MAX_RESUME_SECONDS
            pause = RESUME_SECONDS if ran_long else min(pause * 2, MAX_RESUME_SECONDS)


def _crawl_once(  # noqa: PLR0917 — as its callers got them
    settings: CatalogSettings,
    store: Store,
    client: Client,
    locks: Locks,
    sources: Sequence[Source],
    progress: Callable[[str], object] | None,
    watch: Callable[[Sequence[Tally]], object] | None,
    *,
    labels: bool = True,
) -> CrawlReport:
    """Crawl these sources once. Exports come last: they may be older than what the network says."""
    started = time.monotonic()
    tallies = [Tally(source=str(source)) for source in sources]
    with Schedule(on_error=partial(_report_error, tallies)) as schedule:
        store.apply(settings)
        store.versions_kept = settings.limits.record_versions
        store.reconsider("limits.record_values", f"more than {settings.limits.record_values:,} values")
        crawler = _crawler(settings, store, client, schedule, locks, ends=started + settings.limits.crawl_seconds)
        if watch is not None:
            watch(tallies)
        followers = []
        for last in (False, True):
            for source, tally in zip(sources, tallies, strict=True):
                if (source.kind == "car") is not last:
                    continue
                if progress is not None:
                    progress(f"crawling {source}")
                if source.kind in STREAMS:
                    follower = Follower(source, crawler, tally, settings.network)
                    followers.append((follower, tally))
                    kinds.guarded(crawler, tally, str(source), partial(follower.catch_up, Event()))
                else:
                    kinds.begin(source, settings, crawler, tally)
            schedule.wait()
        for follower, tally in followers:
            with tally.containing(tally.source):
                follower.keep_cursor()
        for did in settings.labelers if labels else ():
            tally = Tally(source=f"labeler:{did}")
            tallies.append(tally)
            kinds.guarded(crawler, tally, str(did), partial(read_labels, did, settings, store, client, tally))
        schedule.wait()
    report = CrawlReport(
        sources=tuple(tally.report() for tally in tallies), seconds=round(time.monotonic() - started, 3)
    )
    store.put_crawl(PastCrawl(ended=datetime.now(UTC), report=report.json()))
    return report
