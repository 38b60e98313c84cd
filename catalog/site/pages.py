"""The insides of the pages: what is said about a dataset, a schema, a lens, a publisher.

Each function gives a :class:`Page`: HTML for the shell's body, and the plain words for its head. The words and their
order live in ``site_templates``; here is only what a template can't work out.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from catalog import resources
from catalog.codegen import load_snippets, python_class
from catalog.errors import CatalogError
from catalog.graph import changes
from catalog.records import BlobStorage, ExternalStorage, HttpStorage, S3Storage
from catalog.sampletype import Array, List, type_text
from catalog.site import addresses, figures, licences, markup, pieces
from catalog.site.coderefs import code_url
from catalog.site.highlight import highlight

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from catalog.datamodel import Json
    from catalog.graph import DatasetNode, Graph, LensNode, Node, Publisher, SchemaNode
    from catalog.records import Storage
    from catalog.sampletype import FieldType, SampleType

__all__ = ["PER_PAGE", "Page", "Pages", "kind_of"]

PER_PAGE: Final = 100
"""Records on one page of a listing."""

_MOST_SHARDS: Final = 500
"""Rows of the storage table; the record beside the page has them all."""
_FEW: Final = 12
_MOST_LISTED: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page before it is stamped. ``address`` ends in ``/``; ``record`` is the JSON to lie beside it."""

    address: str
    title: str
    description: str
    body: str
    record: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardRow:
    """One line of the storage table. ``size`` in bytes."""

    place: str
    checksum: str | None = None
    size: int | None = None


def kind_of(node: Node) -> str:
    """``dataset``, ``schema`` or ``lens``, as in the record's collection."""
    return {"entry": "dataset", "schema": "schema", "lens": "lens"}[str(node.uri.collection).rsplit(".", 1)[-1]]


def name_of(node: Node) -> str:
    """What a page calls the record."""
    return node.record.sample_type.name if kind_of(node) == "schema" else node.record.name  # type: ignore[union-attr]


def description_of(node: Node) -> str | None:
    """The record's own description, Markdown."""
    if kind_of(node) == "schema":
        return node.record.sample_type.description  # type: ignore[union-attr]
    return node.record.description  # type: ignore[union-attr]


def record_json(node: Node) -> str:
    """The record as it came, with its address and CID."""
    whole = {"uri": str(node.uri), "cid": node.cid, "value": node.value}
    # Compact: indenting isn't done in C, and took a fifth of a page's time.
    return json.dumps(whole, separators=(",", ":")) + "\n"


class Pages:
    """The page templates, and the pages made from them."""

    def __init__(self, graph: Graph, *, base: Path | None = None) -> None:
        self._graph = graph
        self._base = base
        self._env = _environment()
        # A card stands on its record's listing, its publisher's page and those of its relatives: rendered once.
        self._env.filters |= {"card": partial(self._once, "card"), "row": partial(self._once, "row")}
        self._templates = {name: self._env.get_template(f"{name}.html") for name in _TEMPLATES}
        self._rows: dict[int, Markup] = {}
        self._cards: dict[tuple[str, int], str] = {}

    # --- one record ------------------------------------------------------------------------------------------

    def dataset(self, node: DatasetNode) -> Page:
        """A dataset: what it is, how to load it, what its samples hold, where its shards lie."""
        record = node.record
        shards = _shards(node)
        sample_type = node.schema.record.sample_type if node.schema is not None else None
        local, urls = self._local(node), _addresses(record.storage, shards)
        # A draft has no address on the network: its snippet opens the shards themselves.
        uri = None if node.draft else str(node.uri)
        snippets = load_snippets(record.name, uri, sample_type, urls, local=local) if local or urls or uri else ()
        return self._page(
            node,
            fields=self.fields(node.schema) if node.schema is not None else None,
            shards=shards[:_MOST_SHARDS],
            shard_total=len(shards),
            many=len(shards) > _FEW,
            storage=type(record.storage).__name__,
            snippets=snippets,
            metadata=_readable(record.metadata),
            content=_readable(record.content_metadata) if isinstance(record.content_metadata, dict) else (),
            related=node.related[:6],
        )

    def schema(self, node: SchemaNode) -> Page:
        """A schema: its fields, its code, its versions, and what uses it."""
        code = python_class(node.record.sample_type, uri=None if node.draft else str(node.uri), cid=node.cid)
        return self._page(
            node,
            fields=self.fields(node),
            code=highlight(code, "python"),
            datasets=node.datasets[:_MOST_LISTED],
            dataset_total=len(node.datasets),
            lenses=(*node.lenses_from, *node.lenses_to)[:_MOST_LISTED],
        )

    def lens(self, node: LensNode) -> Page:
        """A lens: its two schemas side by side, and where its code can be read."""
        sides = [("Source", node.source, node.record.source), ("Target", node.target, node.record.target)]
        codes = [("Getter", node.record.getter), ("Putter", node.record.putter)]
        return self._page(
            node,
            sides=[(word, schema, uri, self.fields(schema) if schema else None) for word, schema, uri in sides],
            codes=[(word, code, code_url(code)) for word, code in codes],
        )

    def publisher(self, publisher: Publisher, nodes: Sequence[Node]) -> Page:
        """An account and the newest of what it publishes."""
        groups = [(kind, [node for node in nodes if kind_of(node) == kind]) for kind in addresses.SECTIONS]
        address = addresses.of_publisher(publisher.did)
        groups = [(kind, found) for kind, found in groups if found]
        body = self._render("publisher", address, publisher=publisher, groups=groups, most=PER_PAGE)
        words = f"{len(nodes)} records published by {publisher.shown}"
        return Page(address=address, title=markup.shown(publisher.shown), description=words, body=body)

    def _local(self, node: DatasetNode) -> tuple[str, ...]:
        """A draft's shards as seen from the catalog's folder; a page doesn't tell where that folder lies."""
        if self._base is None or not node.draft:
            return ()
        return tuple(path.relative_to(self._base).as_posix() for path in node.local if path.is_relative_to(self._base))

    def fields(self, schema: SchemaNode) -> Markup:
        """The table of a schema's fields, the same on every page that shows it."""
        known = self._rows.get(id(schema))
        if known is None:
            table = self._templates["fields"].render(fields=_field_rows(schema.record.sample_type))
            known = self._rows[id(schema)] = Markup(table)  # noqa: S704 - rendered by an escaping template
        return known

    def _once(self, template: str, node: Node, root: str) -> Markup:
        key = (template, id(node))
        known = self._cards.get(key)
        if known is None:
            # The root differs from page to page. No text can hold a NUL here: `shown` has made it visible.
            known = self._cards[key] = self._templates[template].render(node=node, root=Markup("\0"))
        return Markup(known.replace("\0", root))  # noqa: S704 - rendered by an escaping template

    def _page(self, node: Node, **context: object) -> Page:
        kind = kind_of(node)
        address = addresses.of_record(kind, node.publisher.did, node.rkey)
        raw = record_json(node)
        body = self._render(
            kind,
            address,
            node=node,
            record=node.record,
            name=name_of(node),
            description=description_of(node),
            **context,
        )
        summary = _summary(node) or f"A {kind} published by {node.publisher.shown}"
        return Page(address=address, title=markup.shown(name_of(node)), description=summary, body=body, record=raw)

    # --- many records ----------------------------------------------------------------------------------------

    def count(self, nodes: Sequence[Node]) -> int:
        """How many pages their listing has: at least one."""
        return max(1, -(-len(nodes) // PER_PAGE))

    def listing(self, kind: str, nodes: Sequence[Node], number: int) -> Page:
        """One page of a section, newest records first; page 1 lies at the section's own address."""
        section, last = addresses.SECTIONS[kind], self.count(nodes)
        address = f"{section}/" if number == 1 else f"{section}/page/{number}/"
        part = nodes[(number - 1) * PER_PAGE : number * PER_PAGE]
        body = self._render(
            "listing", address, kind=kind, section=section, nodes=part, total=len(nodes), number=number, last=last
        )
        title = section.capitalize() if number == 1 else f"{section.capitalize()}, page {number}"
        return Page(address=address, title=title, description=f"{len(nodes)} {section}", body=body)

    def section(self, template: str, address: str) -> str:
        """The body of a page that shows the catalog as a whole: ``browse``, ``publishers``, ``status``, ``home``."""
        counts = dict.fromkeys(self._graph.publishers, 0)
        if template == "publishers":
            for node in self._graph.nodes:
                counts[node.publisher.did] += 1
        return self._render(template, address, graph=self._graph, crawls=self._graph.crawls, counts=counts)

    def _render(self, template: str, address: str, **context: object) -> str:
        return self._templates[template].render(root="../" * address.count("/"), **context)


_TEMPLATES: Final = (
    "dataset", "schema", "lens", "publisher", "fields", "card", "row", "listing", "browse", "publishers",
    "status", "home",
)  # fmt: skip


def _environment() -> Environment:
    def visible(value: object) -> object:
        if isinstance(value, Markup):
            return value
        return markup.shown(value) if isinstance(value, str) else value

    env = Environment(
        loader=FileSystemLoader(resources.templates()),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=visible,
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
        "summary": _summary,
        "markdown": markup.markdown,
        "link": markup.link,
        "size": figures.byte_size,
        "count": figures.count,
        "counted": figures.counted,
        "day": figures.day,
        "moment": figures.moment,
        "highlight": highlight,
        "visible_lines": lambda text: Markup(escape(markup.shown(text, lines=True))),  # noqa: S704 - escaped
        "spdx": licences.spdx_id,
    }
    env.globals |= {"spdx_names": licences.NAMES, "sections": addresses.SECTIONS}
    env.globals |= {name: getattr(pieces, name) for name in pieces.__all__}
    return env


def _summary(node: Node) -> str:
    words = description_of(node)
    return "" if words is None else _plain(words)


@lru_cache(maxsize=4096)
def _plain(text: str) -> str:
    return markup.plain(text, longest=160)


def _field_rows(sample_type: SampleType) -> list[dict[str, object]]:
    return [
        {
            "name": field.name,
            "type": type_text(field.type),
            "optional": field.optional,
            "description": field.description,
            **_array_facts(field.type),
        }
        for field in sample_type.fields
    ]


def _array_facts(type_: FieldType) -> dict[str, object]:
    while isinstance(type_, List):
        type_ = type_.item
    if not isinstance(type_, Array):
        return {"dtype": None, "shape": None}
    if type_.shape is None:
        return {"dtype": type_.dtype, "shape": " × ".join(type_.dimensions) if type_.dimensions else None}
    lengths = ["any" if length is None else str(length) for length in type_.shape]
    if type_.dimensions is not None and len(type_.dimensions) == len(lengths):
        lengths = [f"{name} {length}" for name, length in zip(type_.dimensions, lengths, strict=True)]
    return {"dtype": type_.dtype, "shape": " × ".join(lengths)}


def _shards(node: DatasetNode) -> list[ShardRow]:
    storage = node.record.storage
    match storage:
        case HttpStorage():
            return [ShardRow(place=s.url, checksum=_checksum(s.checksum)) for s in storage.shards]
        case S3Storage():
            base = f"s3://{storage.bucket}/"
            return [ShardRow(place=base + s.key, checksum=_checksum(s.checksum)) for s in storage.shards]
        case BlobStorage():
            return [
                ShardRow(place=str(blob.cid), checksum=_checksum(blob.checksum), size=blob.size)
                for blob in storage.blobs
            ]
        case ExternalStorage():
            return [ShardRow(place=url) for url in storage.urls]
        case _:
            return []


def _addresses(storage: Storage, shards: list[ShardRow]) -> tuple[str, ...]:
    """Where programs other than this library may look for the shards: web addresses, and keys of buckets."""
    places = _expanded(storage.urls) if isinstance(storage, ExternalStorage) else tuple(row.place for row in shards)
    return tuple(place for place in places if place.startswith("s3://") or markup.is_web(place))


def _expanded(patterns: tuple[str, ...]) -> tuple[str, ...]:
    """The deprecated storage has patterns. One that stands for too many shards is no address."""
    from catalog.samples.shards import expand

    try:
        return tuple(url for pattern in patterns for url in expand(pattern))
    except CatalogError:
        return ()


def _checksum(checksum: object) -> str | None:
    return None if checksum is None else f"{checksum.algorithm}:{checksum.digest}"  # type: ignore[attr-defined]


def _readable(metadata: Mapping[str, object] | dict[str, Json]) -> tuple[tuple[str, str], ...]:
    """Metadata as pairs of words: text as it is, lists of words as such, everything else as JSON."""
    return tuple((key, _words(value)) for key, value in metadata.items())


def _words(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(item, str) and "," not in item for item in value):
        return ", ".join(value)
    return json.dumps(value, ensure_ascii=False, indent=1, default=str)
