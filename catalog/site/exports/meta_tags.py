"""Elements of a page's head: OpenGraph for link previews, and links to other formats of the page.

The theme writes canonical addresses and descriptions, if the site's address is known. See https://ogp.me/.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from markupsafe import escape

from catalog.site.markup import shown

if TYPE_CHECKING:
    from catalog.site.settings import SiteSettings

ATOM: Final = "application/atom+xml"
JSON: Final = "application/json"
CROISSANT: Final = "application/ld+json"


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
