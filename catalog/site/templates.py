"""The Jinja environment of ``site_templates``, with the fragments that pages share.

Every value that reaches HTML goes through :func:`catalog.site.markup.shown`, then through escaping. A card is on many
pages (its listing, its publisher's page, related records). It is rendered once, with a placeholder for the site's root.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from catalog import formatting
from catalog.config import resources
from catalog.records import licences
from catalog.site import addresses, html_helpers, markup
from catalog.site.exports.meta_tags import JSON, alternate, opengraph
from catalog.site.exports.record_json import record_json
from catalog.site.fieldrows import field_rows
from catalog.site.groups import Groups, licence_name
from catalog.site.highlight import highlight
from catalog.site.nodes import description_of, kind_of, name_of, summary_of
from catalog.store.graph import DatasetNode, changes

if TYPE_CHECKING:
    from catalog.site.languages import Language
    from catalog.site.previews import Previews
    from catalog.site.settings import SiteSettings
    from catalog.store.graph import Graph, Node, SchemaNode

_SHORT: Final = 60
_BLOCK: Final = re.compile(r"<(p|ul|ol|blockquote|h[1-6]|table)>")
"""A block of a description: each has the direction of its own text."""
_ROOT: Final = "\0"
"""The placeholder for the path to the root. No text can contain it: ``shown`` makes it visible."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page before it is stamped. ``address`` ends in ``/``; ``files`` are names and contents of files beside it."""

    address: str
    title: str
    description: str
    body: str
    head: str = ""
    """HTML for the end of the page's head."""
    files: tuple[tuple[str, str | bytes], ...] = ()


class Templates:
    """The templates with a cache of cards, rows and tables of fields."""

    def __init__(self, graph: Graph, settings: SiteSettings, previews: Previews | None = None) -> None:
        self.graph = graph
        self.settings = settings
        self.previews = previews
        self._env = _environment(settings.templates, settings.language)
        self._env.filters |= {"card": partial(self._once, "card"), "row": self._row}
        self.groups = Groups.of(graph)
        self._env.globals |= {"tags": self._tags, "licence": self._licence}
        self._tables: dict[int, Markup] = {}
        self._cards: dict[tuple[str, int], str] = {}
        self._links: dict[str, str] = {}
        self._rows: dict[int, str] = {}

    def render(self, template: str, address: str, **context: object) -> str:
        """Return the HTML of a template for a page at ``address``."""
        return self._env.get_template(f"{template}.html").render(
            root=Markup("../" * address.count("/")),  # noqa: S704 - dots
            **context,
        )

    def record_page(
        self, node: Node, *, files: tuple[tuple[str, str | bytes], ...] = (), head: str = "", **context: object
    ) -> Page:
        """Return a record's page from the template of its kind, with ``index.json`` beside it."""
        kind = kind_of(node)
        address = addresses.of_record(kind, node.publisher.did, node.rkey)
        body = self.render(
            kind,
            address,
            node=node,
            record=node.record,
            name=name_of(node),
            description=description_of(node),
            **context,
        )
        summary = summary_of(node) or f"A {kind} published by {node.publisher.shown}"
        return self.page(
            address, name_of(node), summary, body, files=(("index.json", record_json(node)), *files), head=head
        )

    def page(
        self,
        address: str,
        title: str,
        description: str,
        body: str,
        *,
        files: tuple[tuple[str, str | bytes], ...] = (),
        head: str = "",
    ) -> Page:
        """Return a page with the metadata that every head has."""
        title = markup.shown(title)
        heads = opengraph(title, self.settings)
        if any(name == "index.json" for name, _ in files):
            heads += alternate(JSON, "index.json")
        return Page(address=address, title=title, description=description, body=body, head=heads + head, files=files)

    def small(self, node: Node) -> None:
        """Render the parts of a record in pages of many records: its card, and a dataset's row."""
        self._once("card", node, "")
        if isinstance(node, DatasetNode):
            self._row(node, "")

    def fields(self, schema: SchemaNode) -> Markup:
        """Return the table of a schema's fields, the same on every page."""
        known = self._tables.get(id(schema))
        if known is None:
            type_ = schema.record.sample_type
            table = self._env.get_template("fields.html").render(fields=field_rows(type_), foreign=type_.foreign)
            known = self._tables[id(schema)] = Markup(table)  # noqa: S704 - rendered by an escaping template
        return known

    def _tags(self, words: tuple[str, ...], root: str) -> Markup:
        if not words:
            return Markup("")
        items = "".join(self._tag(word) for word in dict.fromkeys(words))
        return Markup(f'<ul class="cat-tags" aria-label="Tags">\n{items}</ul>\n'.replace(_ROOT, root))  # noqa: S704

    def _tag(self, word: str) -> str:
        known = self._links.get(word)
        if known is None:
            name = markup.shown(word)
            group = self.groups.tags.get(name)
            # The browse page knows tags as they are shown.
            address = group.address if group is not None else f"browse/?tag={quote(name, safe='')}"
            known = self._links[word] = f'<li><a href="{_ROOT}{escape(address)}">{html_helpers.user(word)}</a></li>\n'
        return known

    def _licence(self, text: str, root: str) -> Markup:
        """Return a licence as a link to its page, with its full name if SPDX has it."""
        name = licence_name(text)
        group = self.groups.licences.get(name)
        if group is None:
            return markup.link(text)
        html = f'<a href="{root}{escape(group.address)}">{html_helpers.user(name)}</a>'
        full = licences.title(name)
        if full is not None:
            html += f' <a class="cat-quiet" href="{licences.TEXTS}{name}.html" rel="noopener">{escape(full)}</a>'
        elif markup.is_web(text):
            html += f" {markup.link(text, 'text')}"
        return Markup(html)  # noqa: S704

    def _row(self, node: DatasetNode, root: str) -> Markup:
        """Return a dataset as a row: its name as a link, publisher and number of samples."""
        known = self._rows.get(id(node))
        if known is None:
            known = self._rows[id(node)] = self._new_row(node)
        return Markup(known.replace(_ROOT, root))  # noqa: S704 - escaped

    def _new_row(self, node: DatasetNode) -> str:
        facts = [] if node.publisher.draft else [html_helpers.user(node.publisher.shown)]
        size = node.size
        if size is not None and size.samples is not None:
            facts.append(escape(self.settings.language.counted(size.samples, "sample")))
        address = addresses.of_record("dataset", node.publisher.did, node.rkey)
        link = f'<a href="{_ROOT}{escape(address)}">{html_helpers.user(node.name)}</a>'
        return f"{link} <span>{', '.join(facts)}</span>"

    def _once(self, template: str, node: Node, root: str) -> Markup:
        key = (template, id(node))
        known = self._cards.get(key)
        if known is None:
            known = self._env.get_template(f"{template}.html").render(node=node, root=Markup(_ROOT))  # noqa: S704
            self._cards[key] = known
        return Markup(known.replace(_ROOT, root))  # noqa: S704 - rendered by an escaping template


def _visible(value: object) -> object:
    """Escape a value of a template and make invisible characters visible; short texts are cached."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return _short(value) if len(value) <= _SHORT else Markup(escape(markup.shown(value)))  # noqa: S704 - escaped


@lru_cache(maxsize=8192)
def _short(text: str) -> Markup:
    return Markup(escape(markup.shown(text)))  # noqa: S704 - escaped


def _markdown(text: str) -> Markup:
    return Markup(_BLOCK.sub(r'<\1 dir="auto">', str(markup.markdown(text))))  # noqa: S704 - sanitised


def _environment(overrides: Path | None, language: Language) -> Environment:
    env = Environment(
        loader=FileSystemLoader([*([] if overrides is None else [overrides]), resources.templates()]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        cache_size=-1,
    )
    env.filters |= {
        "address": lambda node: addresses.of_record(kind_of(node), node.publisher.did, node.rkey),
        "publisher_address": lambda publisher: addresses.of_publisher(publisher.did),
        "changes": changes,
        "kind": kind_of,
        "name": name_of,
        "summary": summary_of,
        "markdown": _markdown,
        "link": markup.link,
        "web": markup.is_web,
        "size": language.size,
        "count": language.count,
        "counted": language.counted,
        "noun": language.noun,
        "day": formatting.day,
        "moment": formatting.moment,
        "highlight": highlight,
        "visible_lines": lambda text: Markup(escape(markup.shown(text, lines=True))),  # noqa: S704 - escaped
    }
    env.globals |= {"sections": addresses.SECTIONS, "_": language.text}
    env.globals |= {name: getattr(html_helpers, name) for name in html_helpers.__all__}
    return env
