"""``/@handle/name/``: a memorable address that redirects to the permanent one.

Handles change and names repeat, so the target may differ after the next build: it is the newest dataset of that name.
There is no file for each address, since for every dataset of a large site it would take a block of the disk. Instead:

- ``/@handle/`` is a page that lists the names of an account's datasets as links.
- ``404.html``, which hosts respond with for a missing address, has a script that looks the name up there.
- ``_redirects`` has the newest addresses for the hosts that read it (Netlify, Cloudflare Pages).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

from markupsafe import escape

from catalog.site import addresses

if TYPE_CHECKING:
    from catalog.site.settings import SiteSettings
    from catalog.store.graph import Graph

HOST_FILE: Final = "_redirects"
SCRIPT: Final = "redirect.js"
_GAPS: Final = re.compile(r"[^a-z0-9._]+")
_MOST: Final = 2000
"""Lines of ``_redirects`` that Cloudflare Pages reads (https://developers.cloudflare.com/pages/configuration/redirects/)."""


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


def redirect_files(graph: Graph, settings: SiteSettings) -> Iterator[tuple[str, Callable[[], str]]]:
    """Yield the files: path from the site's root, and the function that returns the text."""
    found = list(redirects(graph))
    accounts: dict[str, list[tuple[str, str]]] = {}
    for address, target in found:
        handle, name, _ = address.split("/")
        accounts.setdefault(handle, []).append((name, target))
    for handle, names in accounts.items():
        yield f"{handle}/index.html", partial(_list, handle, names)
    if found:
        yield HOST_FILE, partial(_for_hosts, found[:_MOST], settings)


def with_script(html: str, root: str) -> str:
    """Return the page for missing addresses with the script that redirects. Idempotent."""
    script = f'<script type="module" src="{root}assets/catalog/{SCRIPT}"></script>'
    return html if script in html else html.replace("</head>", f"{script}</head>", 1)


def _list(handle: str, names: Sequence[tuple[str, str]]) -> str:
    """Return the page of an account; ``redirect.js`` finds the links by their ids."""
    rows = "".join(f'<li><a id="{name}" href="../{target}">{name}</a></li>\n' for name, target in names)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><meta name="robots" content="noindex">'
        f"<title>{escape(handle)}</title></head>\n<body><main><h1>{escape(handle)}</h1>\n"
        f"<ul>\n{rows}</ul></main></body></html>\n"
    )


def _for_hosts(found: Sequence[tuple[str, str]], settings: SiteSettings) -> str:
    base = "/" if settings.url is None else urlsplit(settings.url).path
    return "".join(f"{base}{quote(address, safe='/@~')} {base}{target} 302\n" for address, target in found)
