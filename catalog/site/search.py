"""Text search: the index, the spelling lists, and the search box in the theme's header."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Final

from catalog.config import resources
from catalog.site import spelling
from catalog.site.scripts import without_comments
from catalog.site.textindex import write_text_index
from catalog.site.themes import place_box

if TYPE_CHECKING:
    from catalog.site.languages import Language
    from catalog.site.omitted import LeftOut
    from catalog.store.graph import Graph

_IMPORT: Final = 'from "./still.js"'
"""The import by which the live script is recognised."""

_BOX: Final = (
    '<form class="cat-search" action="{browse}" role="search" data-catalog-search>'
    '<input type="text" name="q" placeholder="{search}" aria-label="{label}" autocomplete="off"></form>'
)
"""The part of the search box in every page; ``search.js`` builds the rest."""
BOX_MARK: Final = "data-catalog-search"
"""The attribute of the search box."""


def with_box(html: str, root: str, language: Language) -> str:
    """Insert the search box into a page, if the theme has a place for it; see :func:`~catalog.site.themes.place_box`.

    ``root`` is the path to the site's root: without JavaScript the form opens the browse page, which links to lists.
    """
    words = {"search": language.text("Search"), "label": language.text("Search the catalog")}
    box = _BOX.format(browse=escape(root + "browse/"), **words)
    return place_box(html, box) or html


def ask_appview(assets: Path, appview: str) -> None:
    """Make the search box query an AppView, too: the live ``text.js`` replaces the static one, now ``still.js``.

    Other sites don't contain this code.
    """
    live = (resources.templates() / "live" / "text.js").read_text(encoding="utf-8")
    script = assets / "text.js"
    if _IMPORT not in script.read_text(encoding="utf-8"):  # else a dirty build has left the live script in place
        script.replace(assets / "still.js")
    script.write_text(without_comments(live).replace("{{ appview }}", appview), encoding="utf-8", newline="\n")


def build_index(
    graph: Graph,
    pages: Mapping[str, tuple[str, str]],
    site_dir: Path,
    *,
    progress: Callable[[str], None] = lambda _: None,
) -> tuple[LeftOut, ...]:
    """Write the text index and the spelling lists. ``pages`` are the owner's pages: address → title, text.

    Return the records that could not be indexed.
    """
    left_out: list[LeftOut] = []
    for name, text in spelling.files(graph, left_out):
        file = site_dir / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8", newline="\n")
    return (*left_out, *write_text_index(graph, pages, site_dir, progress=progress))
