"""``/@handle/name/``: a memorable address that redirects to the permanent one.

Handles change and names repeat, so the target may differ after the next build: it is the newest dataset of that name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from markupsafe import escape

from catalog.site import addresses

if TYPE_CHECKING:
    from catalog.site.settings import SiteSettings
    from catalog.store.graph import Graph

_GAPS: Final = re.compile(r"[^a-z0-9._]+")


def redirects(graph: Graph) -> Iterator[tuple[str, str]]:
    """Yield address and target for each dataset of an account with a handle."""
    taken: set[str] = set()
    for node in graph.datasets:  # the newest first
        handle = node.publisher.handle
        if handle is None or node.draft:
            continue
        slug = _GAPS.sub("-", node.name.lower()).strip("-.")
        address = f"@{handle}/{addresses.safe(slug or node.name)}/"
        if address not in taken:
            taken.add(address)
            yield address, addresses.of_record("dataset", node.publisher.did, node.rkey)


def redirect_page(target: str, settings: SiteSettings) -> str:
    """Return the page that redirects to ``target``, from two folders down."""
    href = escape(f"../../{target}")
    canonical = escape(settings.absolute(target) or href)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Moved</title>'
        f'<link rel="canonical" href="{canonical}"><meta http-equiv="refresh" content="0; url={href}">'
        f'</head><body><p><a href="{href}">Moved</a></p></body></html>\n'
    )
