"""Text search: Pagefind's index over slim pages, and the box in the theme's header.

The index is made from pages that exist only for it: a title, a few words, tags, field names. They have the
addresses of the real ones. Hand-written pages are indexed as they were rendered, without the frame around them.
"""

from __future__ import annotations

import re
from html import escape
from itertools import chain
from typing import TYPE_CHECKING, Final

from catalog.site import facets, figures, spelling
from catalog.site.indexer import write_index
from catalog.site.markup import plain, shown
from catalog.site.nodes import description_of, kind_of, name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from catalog.graph import Graph, Node, SchemaNode

__all__ = ["INDEX", "build_index", "slim_page", "with_box"]

INDEX: Final = "catalog/text"
"""Where the index lies in the site."""

_LONGEST: Final = 900
_HEADER_END: Final = re.compile(
    r"(<nav\b[^>]*\bmd-header__inner\b.*?)(<div class=\"md-header__source\"|</nav>)", re.DOTALL
)

_BOX: Final = (
    '<form class="cat-search" action="{browse}" role="search" data-catalog-search>'
    '<input name="q" placeholder="Search" aria-label="Search the catalog" autocomplete="off"></form>'
)
"""All that every page carries; ``search.js`` builds the rest."""


def with_box(html: str, root: str) -> str:
    """A rendered page with the search box at the end of its header; as it was, where the theme has no such header.

    ``root`` is the way from this page to the site's root: without JavaScript the form leads to the browse page, which
    has links to the lists.
    """
    box = _BOX.format(browse=escape(root + "browse/"))
    return _HEADER_END.sub(lambda match: match[1] + box + match[2], html, count=1)


def slim_page(node: Node) -> str:
    """All that the index needs to know of a record."""
    kind = kind_of(node)
    record = node.record
    description = description_of(node)
    words = plain(description, longest=_LONGEST) if description else ""
    schema: SchemaNode | None = node if kind == "schema" else getattr(node, "schema", None)  # type: ignore[assignment]
    fields = [shown(field.name) for field in schema.record.sample_type.fields] if schema is not None else []
    tags = [shown(tag) for tag in getattr(record, "tags", ())]
    size = getattr(record, "size", None)
    meta = {
        "kind": kind,
        "publisher": shown(node.publisher.shown),
        "tags": ", ".join(tags[:4]),
        "size": "" if size is None or size.bytes is None else figures.byte_size(size.bytes),
    }
    name = f"{name_of(node)} {node.record.sample_type.version}" if kind == "schema" else name_of(node)  # type: ignore[union-attr]
    return _slim(
        shown(name),
        [words, " ".join(tags), " ".join(fields[:200]), shown(node.publisher.shown)],
        {key: value for key, value in meta.items() if value},
    )


def _slim(title: str, paragraphs: list[str], meta: Mapping[str, str]) -> str:
    notes = "".join(f'<span data-pagefind-meta="{key}">{escape(value)}</span>\n' for key, value in meta.items())
    text = "".join(f"<p>{escape(part)}</p>\n" for part in paragraphs if part)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"></head><body>\n'
        f"<div data-pagefind-ignore>{notes}</div>\n<main data-pagefind-body>{text}"
        # The name stands last, so that the excerpt below it doesn't begin by saying it again.
        f"<h1>{escape(title)}</h1></main>"
        "</body></html>\n"
    )


def hand_written(title: str, content: str) -> str:
    """A page of the site's own docs for the index; ``content`` is its rendered inside."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"></head><body>\n'
        '<div data-pagefind-ignore><span data-pagefind-meta="kind">page</span></div>\n'
        f'<main data-pagefind-body><h1 data-pagefind-meta="title">{escape(title)}</h1>\n{content}</main>'
        "</body></html>\n"
    )


def build_index(
    graph: Graph, pages: Mapping[str, str], site_dir: Path, *, progress: Callable[[str], None] = lambda _: None
) -> None:
    """Write the text index: the records in the order of the browse page's rows, then ``pages``; and words to spell by.

    ``pages`` are further index-only pages by their address. Raises :class:`BuildError` with the indexer's own words.
    """
    for name, text in spelling.files(graph):
        file = site_dir / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8", newline="\n")
    records = ((facets.address_of(node), slim_page(node)) for node in facets.rows(graph))
    write_index(chain(records, sorted(pages.items())), site_dir / INDEX, progress=progress)
