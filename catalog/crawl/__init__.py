"""From sources to the store: what changed, fetch, verify, validate, store.

::

    manifests: ─▶ drafts ───────────────────────────────┐
    repo: ──────▶ rev changed? ─┐                        ├─▶ store (one transaction a repository)
    pds: ─▶ list ▶ rev changed? ─┴▶ collections ▶ records ┘

Tricky bits
-----------
- A PDS may list accounts that live elsewhere. Before it may add, hide or remove anything of an account, the account's
  own DID document must name it.
- A record that is broken is kept out and reported; it never ends a crawl. A repository that can't be read whole keeps
  the records it had, and its old rev, so that the next crawl tries again.
- A record's CID is computed from what we got and compared with what was listed. That shows damage, not who wrote it:
  ``verified`` stays false until the commit is proven.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from catalog.crawl.drafts import DRAFT_DID, crawl_manifests
from catalog.crawl.report import CrawlReport, SourceReport, Tally, one_line
from catalog.crawl.repositories import Crawler
from catalog.errors import CatalogError, InvalidConfig, StoreError
from catalog.network.http import Client

if TYPE_CHECKING:
    from collections.abc import Callable

    from catalog.config import CatalogSettings, Source
    from catalog.store import Store

__all__ = ["DRAFT_DID", "CrawlReport", "SourceReport", "crawl"]

_READ: Final = ("manifests", "repo", "pds")


def crawl(settings: CatalogSettings, store: Store, *, progress: Callable[[str], object] | None = None) -> CrawlReport:
    """Bring the store up to date with the sources, one after the other.

    What is wrong out there (a source that doesn't answer, a manifest with mistakes, a broken record) is in the report.
    Raises :class:`InvalidConfig` for a kind of source that isn't read yet, before anything is done, and
    :class:`StoreError`.
    """
    for source in settings.sources:
        if source.kind not in _READ:
            hint = f"read so far: {', '.join(_READ)}"
            message = f"sources of the kind '{source.kind}:' are not supported yet"
            raise InvalidConfig(message, where=str(source), hint=hint)
    say = progress or (lambda _text: None)
    store.configure([str(source) for source in settings.sources], settings.deny)
    reports: list[SourceReport] = []
    with Client(settings.network) as client:
        crawler = Crawler(client, settings.network, store, deny=frozenset(settings.deny), moment=datetime.now(UTC))
        for source in settings.sources:
            say(f"crawling {source}")
            reports.append(_one(source, settings, store, crawler))
    return CrawlReport(sources=tuple(reports))


def _one(source: Source, settings: CatalogSettings, store: Store, crawler: Crawler) -> SourceReport:
    """Crawl one source; whatever is wrong with it ends only this source."""
    tally = Tally()
    client = crawler.client
    begun, requests, received = time.monotonic(), client.requests, client.bytes
    error: str | None = None
    try:
        if source.kind == "manifests":
            crawl_manifests(source, settings.base, store, tally)
        elif source.kind == "repo":
            crawler.crawl_repo(source, tally)
        else:
            crawler.crawl_pds(source, tally)
    except StoreError:
        raise
    except CatalogError as failure:
        error = "\n".join(one_line(line) for line in str(failure).splitlines())
    return tally.report(
        str(source),
        error=error,
        requests=client.requests - requests,
        received=client.bytes - received,
        seconds=time.monotonic() - begun,
    )
