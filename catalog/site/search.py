"""Text search: the index, the words to spell by, and the box in the theme's header."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING, Final

from catalog.config import resources
from catalog.site import spelling
from catalog.site.textindex import write_text_index

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from catalog.site.omitted import LeftOut
    from catalog.store.graph import Graph

__all__ = ["ask_appview", "build_index", "with_box"]

_HEADER_END: Final = re.compile(
    r"(<nav\b[^>]*\bmd-header__inner\b.*?)(<div class=\"md-header__source\"|</nav>)", re.DOTALL
)

_BOX: Final = (
    '<form class="cat-search" action="{browse}" role="search" data-catalog-search>'
    '<input type="text" name="q" placeholder="Search" aria-label="Search the catalog" autocomplete="off"></form>'
)
"""All that every page carries; ``search.js`` builds the rest."""


def with_box(html: str, root: str) -> str:
    """A rendered page with the search box at the end of its header; as it was, where the theme has no such header.

    ``root`` is the way from this page to the site's root: without JavaScript the form leads to the browse page, which
    has links to the lists.
    """
    box = _BOX.format(browse=escape(root + "browse/"))
    return _HEADER_END.sub(lambda match: match[1] + box + match[2], html, count=1)


def ask_appview(assets: Path, appview: str) -> None:
    """Let the search box ask an AppView, too: ``text.js`` becomes ``still.js``, and the live one takes its place.

    Sites without one have no byte of it.
    """
    live = (resources.templates() / "live" / "text.js").read_text(encoding="utf-8")
    script = assets / "text.js"
    if not script.read_text(encoding="utf-8").startswith(live[: live.index("\n")]):  # in a dirty build it is there
        script.replace(assets / "still.js")
    script.write_text(live.replace("{{ appview }}", appview), encoding="utf-8", newline="\n")


def build_index(
    graph: Graph,
    pages: Mapping[str, tuple[str, str]],
    site_dir: Path,
    *,
    progress: Callable[[str], None] = lambda _: None,
) -> tuple[LeftOut, ...]:
    """Write the text index and the words to spell by. ``pages`` are the hand-written ones: address → title, text.

    Return the records that the index lacks.
    """
    left_out: list[LeftOut] = []
    for name, text in spelling.files(graph, left_out):
        file = site_dir / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8", newline="\n")
    return (*left_out, *write_text_index(graph, pages, site_dir, progress=progress))
