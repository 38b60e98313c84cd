"""From sources to the store: what changed, fetch, verify, validate, store.

::

    manifests: ─▶ drafts ──────────────────────────────────────────┐
    repo: ──────────────────────┐                                  │
    relay: ─▶ listReposByColl. ─┼─▶ rev changed? ─▶ proven part ─▶ ┼─▶ store (one transaction a repository)
    pds: ─▶ listRepos ──────────┘      (catalog.atproto.proof)     │
    car: ─▶ files ─────────────────────────────────▶ proven part ──┤
    firehose: jetstream: ─▶ events (catalog.crawl.streams) ───────────┘

Tricky bits
-----------
- A PDS may list accounts that live elsewhere. Before it may add, hide or remove anything of an account, the account's
  own DID document must name it.
- A record that is broken is kept out and reported; it never ends a crawl. A repository that can't be read whole keeps
  the records it had, and its old rev, so that the next crawl tries again.
- ``verified`` means proven against the account's signed commit. A server that offers no proofs, or a DID document
  without a key, makes records that are shown as unverified; a proof that is wrong makes none.
- Sources are crawled side by side, hosts each at their own pace (:mod:`catalog.crawl.schedule`). Exports come last, as
  they may be older than what the network says.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import partial
from math import inf
from threading import Event, Thread
from typing import TYPE_CHECKING, Final

from catalog.crawl import sources as kinds
from catalog.crawl.accounts import Crawler
from catalog.crawl.locks import Locks
from catalog.crawl.manifests import DRAFT_DID
from catalog.crawl.report import CrawlReport, HostReport, SourceReport, Tally
from catalog.crawl.schedule import Schedule
from catalog.crawl.streams import Follower
from catalog.errors import CatalogError, StoreError
from catalog.network.http import Client
from catalog.store import PastCrawl

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from catalog.config import CatalogSettings, Source
    from catalog.store import Store

__all__ = ["DRAFT_DID", "CrawlReport", "HostReport", "SourceReport", "Tally", "crawl", "follow"]

STREAMS: Final = ("firehose", "jetstream")
AGAIN_SECONDS: Final = 2.0
"""After how long a stream is followed again that an unexpected error broke off, at first; it doubles."""
MOST_AGAIN_SECONDS: Final = 60.0


def crawl(
    settings: CatalogSettings,
    store: Store,
    *,
    progress: Callable[[str], object] | None = None,
    watch: Callable[[Sequence[Tally]], object] | None = None,
) -> CrawlReport:
    """Bring the store up to date with the sources; streams are followed until nothing that was missed is left.

    What is wrong out there (a source that doesn't answer, a manifest with mistakes, a broken record) is in the report.
    ``watch`` is handed the counts at the beginning, which go on counting. Raises
    :class:`~catalog.errors.StoreBusy` when another crawl is at work on the store, and :class:`StoreError`.
    """
    with store.crawling(), Client(settings.network, parks=True) as client:
        return _round(settings, store, client, Locks(), settings.sources, progress, watch)


def follow(
    settings: CatalogSettings,
    store: Store,
    *,
    stop: Event,
    every: float = 900.0,
    progress: Callable[[str], object] | None = None,
    watch: Callable[[Sequence[Tally]], object] | None = None,
) -> CrawlReport:
    """Crawl, then stay on the streams until ``stop``; the other sources are crawled ``every`` so many seconds.

    A stream that can't be followed any more ends; the others go on. The report is of all that was done since the
    beginning. Raises as :func:`crawl` does.
    """
    say = progress or (lambda _text: None)
    begun = time.monotonic()
    streams = [source for source in settings.sources if source.kind in STREAMS]
    others = [source for source in settings.sources if source.kind not in STREAMS]
    tallies = [Tally(source=str(source)) for source in streams]
    with (
        store.crawling(),
        Client(settings.network, parks=True) as client,
        Schedule(troubled=partial(_troubled, tallies)) as schedule,
    ):
        locks = Locks()
        first = _round(settings, store, client, locks, settings.sources, progress, watch)
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
                last, due = _round(settings, store, client, locks, others, progress, None), time.monotonic() + every
        for thread in threads:
            thread.join()
        schedule.stop()
        schedule.wait()
        for follower, tally in zip(followers, tallies, strict=True):
            with tally.containing(tally.source):
                follower.keep_cursor()
        seconds = round(time.monotonic() - begun, 3)
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


def _troubled(tallies: Sequence[Tally], host: str, error: CatalogError) -> None:
    """Report what a piece of work raised beside what it reports itself. Without sources there is no work."""
    tallies[0].unread(host, error)


def _follow(follower: Follower, crawler: Crawler, tally: Tally, stop: Event, say: Callable[[str], object]) -> None:
    say(f"following {tally.source}")
    pause = AGAIN_SECONDS
    while not stop.is_set():
        begun = time.monotonic()
        try:
            with tally.metered(crawler.client):
                follower.follow(stop)
        except StoreError as error:  # our own broken state: everything stops, and says so
            tally.fail(error)
            stop.set()
        except CatalogError as error:
            tally.fail(error)
            say(f"{tally.source} failed: {error}")
            return
        except Exception as error:  # noqa: BLE001 — whatever it is, the stream is followed again after a pause
            found = tally.unread(tally.source, error, what="broke off and is followed again")
            say(f"{tally.source} broke off and is followed again in {pause:.0f} s: {found}")
            stop.wait(pause)
            pause = (
                AGAIN_SECONDS if time.monotonic() - begun > MOST_AGAIN_SECONDS else min(pause * 2, MOST_AGAIN_SECONDS)
            )


def _round(  # noqa: PLR0917 — as its callers got them
    settings: CatalogSettings,
    store: Store,
    client: Client,
    locks: Locks,
    sources: Sequence[Source],
    progress: Callable[[str], object] | None,
    watch: Callable[[Sequence[Tally]], object] | None,
) -> CrawlReport:
    """Crawl these sources once. Exports come last: they may be older than what the network says."""
    begun = time.monotonic()
    tallies = [Tally(source=str(source)) for source in sources]
    with Schedule(troubled=partial(_troubled, tallies)) as schedule:
        store.configure([str(source) for source in settings.sources], settings.deny)
        store.versions_kept = settings.limits.record_versions
        store.reconsider("limits.record_values", f"more than {settings.limits.record_values:,} values")
        crawler = _crawler(settings, store, client, schedule, locks, ends=begun + settings.limits.crawl_seconds)
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
                    kinds.begin(source, settings.base, crawler, tally)
            schedule.wait()
        for follower, tally in followers:
            with tally.containing(tally.source):
                follower.keep_cursor()
    report = CrawlReport(sources=tuple(tally.report() for tally in tallies), seconds=round(time.monotonic() - begun, 3))
    store.put_crawl(PastCrawl(ended=datetime.now(UTC), report=report.json()))
    return report
