"""From sources to the store: what changed, fetch, verify, validate, store.

::

    manifests: ─▶ drafts ──────────────────────────────────────────┐
    repo: ──────────────────────┐                                  │
    relay: ─▶ listReposByColl. ─┼─▶ rev changed? ─▶ proven part ─▶ ┼─▶ store (one transaction a repository)
    pds: ─▶ listRepos ──────────┘      (catalog.network.proof)     │
    car: ─▶ files ─────────────────────────────────▶ proven part ──┤
    firehose: jetstream: ─▶ events (catalog.crawl.live) ───────────┘

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
from typing import TYPE_CHECKING, Final

from catalog.crawl import sources as kinds
from catalog.crawl.drafts import DRAFT_DID
from catalog.crawl.report import CrawlReport, HostReport, SourceReport, Tally
from catalog.crawl.repositories import Crawler
from catalog.crawl.schedule import Schedule
from catalog.network.http import Client
from catalog.store import PastCrawl

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from catalog.config import CatalogSettings
    from catalog.store import Store

__all__ = ["DRAFT_DID", "CrawlReport", "HostReport", "SourceReport", "Tally", "crawl"]

STREAMS: Final = ("firehose", "jetstream")


def crawl(
    settings: CatalogSettings,
    store: Store,
    *,
    progress: Callable[[str], object] | None = None,
    watch: Callable[[Sequence[Tally]], object] | None = None,
) -> CrawlReport:
    """Bring the store up to date with the sources.

    What is wrong out there (a source that doesn't answer, a manifest with mistakes, a broken record) is in the report.
    ``watch`` is handed the counts at the beginning, which go on counting. Raises :class:`StoreError`, also when
    another crawl is at work on the store.
    """
    begun = time.monotonic()
    say = progress or (lambda _text: None)
    tallies = [Tally(source=str(source)) for source in settings.sources]
    with store.crawling(), Client(settings.network) as client, Schedule() as schedule:
        store.configure([str(source) for source in settings.sources], settings.deny)
        deny = frozenset(settings.deny)
        crawler = Crawler(client, settings.network, store, schedule, deny=deny)
        if watch is not None:
            watch(tallies)
        for last in (False, True):
            for source, tally in zip(settings.sources, tallies, strict=True):
                if (source.kind == "car") is last:
                    say(f"crawling {source}")
                    kinds.begin(source, settings.base, crawler, tally)
            schedule.wait()
        report = CrawlReport(
            sources=tuple(tally.report() for tally in tallies), seconds=round(time.monotonic() - begun, 3)
        )
        store.put_crawl(PastCrawl(ended=datetime.now(UTC), report=report.json()))
    return report
