"""Elements of a page's head: OpenGraph for link previews, links to other formats of the page, and signposting.

The theme writes canonical addresses and descriptions, if the site's address is known. See https://ogp.me/.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from markupsafe import escape

from catalog.site import addresses
from catalog.site.exports import common
from catalog.site.exports.downloads import downloads
from catalog.site.markup import shown

if TYPE_CHECKING:
    from catalog.site.settings import SiteSettings
    from catalog.store.graph import DatasetNode

ATOM: Final = "application/atom+xml"
JSON: Final = "application/json"
JSON_LD: Final = "application/ld+json"
_MOST_ITEMS: Final = 3


def opengraph(title: str, settings: SiteSettings) -> str:
    """Return the OpenGraph elements for link previews, besides the description and canonical address."""
    pairs = [("title", shown(title)), ("site_name", shown(settings.name))]
    held = "".join(f'<meta property="og:{name}" content="{escape(value)}">' for name, value in pairs)
    return held + '<meta name="twitter:card" content="summary">'


def alternate(kind: str, href: str, title: str | None = None) -> str:
    """Return the link to another format of a page, or to a feed.

    Material's script takes each ``link[rel=alternate]`` for a translation of the site, and requests ``sitemap.xml``
    beside it: a megabyte, or an error. So formats of a page have ``describedby`` too; feeds, which readers find by
    ``alternate`` alone, are in a ``<noscript>``.
    """
    named = "" if title is None else f' title="{escape(shown(title))}"'
    if kind == ATOM:
        return f'<noscript><link rel="alternate" type="{ATOM}" href="{escape(href)}"{named}></noscript>'
    return f'<link rel="alternate describedby" type="{escape(kind)}" href="{escape(href)}"{named}>'


def signposts(node: DatasetNode, settings: SiteSettings, root: str) -> str:
    """Return the links of FAIR Signposting (https://signposting.org/FAIR/) of a dataset's page.

    ``describedby`` is in the links to the other formats. ``item`` names the first shards; the Croissant file has all.
    """
    page = settings.absolute(addresses.of_record("dataset", node.publisher.did, node.rkey))
    cite = common.doi_url(node) or page
    licence = common.licence(node.license)
    links = [
        *([] if cite is None or node.draft else [("cite-as", cite)]),
        ("type", "https://schema.org/AboutPage"),
        ("type", "https://schema.org/Dataset"),
        *([] if node.draft else [("author", root + addresses.of_publisher(node.publisher.did))]),
        *([] if licence is None else [("license", licence)]),
    ]
    held = "".join(f'<link rel="{name}" href="{escape(href)}">' for name, href in links)
    kind = common.media_type(node)
    items = downloads(node, _MOST_ITEMS)
    return held + "".join(f'<link rel="item" type="{kind}" href="{escape(item.url)}">' for item in items)
