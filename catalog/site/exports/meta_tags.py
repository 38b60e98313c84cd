"""What a page's head says to those who link to it or look for other forms of it.

Canonical addresses and descriptions are the theme's (it has them wherever the site knows its own address); here is the
rest. See https://ogp.me/.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from markupsafe import escape

from catalog.site.markup import shown

if TYPE_CHECKING:
    from catalog.site.settings import SiteSettings

__all__ = ["ATOM", "CROISSANT", "JSON", "alternate", "opengraph"]

ATOM: Final = "application/atom+xml"
JSON: Final = "application/json"
CROISSANT: Final = "application/ld+json"


def opengraph(title: str, settings: SiteSettings) -> str:
    """For previews where a page is linked to. The rest is the page's own description and canonical address."""
    pairs = [("title", shown(title)), ("site_name", shown(settings.name))]
    held = "".join(f'<meta property="og:{name}" content="{escape(value)}">' for name, value in pairs)
    return held + '<meta name="twitter:card" content="summary">'


def alternate(kind: str, href: str, title: str | None = None) -> str:
    """Another form of a page, or a feed.

    Material's script takes each ``link[rel=alternate]`` for a translation of the site, and asks for ``sitemap.xml``
    beside it: a megabyte, or an error. So forms of a page say ``describedby`` too; feeds, which readers look for by
    the one word, stand where only those read them that run no scripts.
    """
    named = "" if title is None else f' title="{escape(shown(title))}"'
    if kind == ATOM:
        return f'<noscript><link rel="alternate" type="{ATOM}" href="{escape(href)}"{named}></noscript>'
    return f'<link rel="alternate describedby" type="{escape(kind)}" href="{escape(href)}"{named}>'
