"""Atom feeds (RFC 4287): the newest records of the catalog, of an account, of a tag.

The identifier of an entry is the at:// URI of its record, so that a reader doesn't show it twice when the site moves.
Feeds need absolute URLs: a site without ``site_url`` has none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from heapq import nsmallest
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape, quoteattr

from catalog import formatting
from catalog.site import addresses
from catalog.site.exports import common
from catalog.site.markup import shown
from catalog.site.nodes import kind_of, tags_of

if TYPE_CHECKING:
    from catalog.site.settings import SiteSettings
    from catalog.store.graph import Graph, Node

FEED: Final = "feed.xml"
MOST: Final = 30
"""Entries of a feed; the feed of the whole catalog has :data:`MOST_OF_ALL`."""
MOST_OF_ALL: Final = 50
_LONGEST: Final = 300
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def newest(nodes: Iterable[Node], most: int = MOST) -> list[Node]:
    """Return the entries of a feed: the published records that changed last."""
    published = (node for node in nodes if not node.draft)
    return nsmallest(most, published, key=lambda node: (-node.updated.timestamp(), str(node.uri)))


def has_feed(graph: Graph, settings: SiteSettings) -> bool:
    """Return whether the catalog has a feed: it needs the site's address and a published record."""
    return settings.url is not None and any(not node.draft for node in graph.nodes)


def feed(title: str, address: str, nodes: Sequence[Node], settings: SiteSettings) -> str:
    """Return the feed at ``address`` (``tags/vision/``, empty for the whole catalog). Needs the site's address."""
    page, own = settings.absolute(address), settings.absolute(f"{address}{FEED}")
    assert page is not None  # noqa: S101 - the caller asked
    assert own is not None  # noqa: S101
    updated = max((node.updated for node in nodes), default=_EPOCH)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<feed xmlns="http://www.w3.org/2005/Atom">\n'
        f"<id>{escape(own)}</id>\n<title>{escape(shown(title))}</title>\n<updated>{formatting.moment(updated)}</updated>\n"
        f"<author><name>{escape(settings.name)}</name></author>\n"
        f'<link rel="self" type="application/atom+xml" href={quoteattr(own)}/>\n<link href={quoteattr(page)}/>\n'
        f"{''.join(_entry(node, settings) for node in nodes)}</feed>\n"
    )


def _entry(node: Node, settings: SiteSettings) -> str:
    kind = kind_of(node)
    url = settings.absolute(addresses.of_record(kind, node.publisher.did, node.rkey)) or ""
    tags = "".join(f"<category term={quoteattr(shown(tag))}/>" for tag in tags_of(node)[:20])
    return (
        f"<entry>\n<id>{escape(str(node.uri))}</id>\n<title>{escape(common.name(node))}</title>\n"
        f"<updated>{formatting.moment(node.updated)}</updated>\n"
        f"<published>{formatting.moment(min(node.created, node.updated))}</published>\n"
        f"<author><name>{escape(shown(node.publisher.shown))}</name></author>\n<link href={quoteattr(url)}/>\n"
        f'<category term="{kind}" scheme={quoteattr(settings.url or "")}/>{tags}\n'
        f"<summary>{escape(common.description(node, longest=_LONGEST))}</summary>\n</entry>\n"
    )
