"""Properties of a record's node for the pages, the same for every kind of record."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from catalog.site import addresses
from catalog.site.markup import plain
from catalog.store.graph import DatasetNode, SchemaNode

if TYPE_CHECKING:
    from catalog.records import Size
    from catalog.store.graph import Node


def kind_of(node: Node) -> str:
    """Return ``dataset``, ``schema`` or ``lens``."""
    if isinstance(node, DatasetNode):
        return "dataset"
    return "schema" if isinstance(node, SchemaNode) else "lens"


def of_node(node: Node) -> str:
    """Return the address of the record's page."""
    return addresses.of_record(kind_of(node), node.publisher.did, node.rkey)


def name_of(node: Node) -> str:
    """Return the display name of the record."""
    if isinstance(node, DatasetNode):
        return node.name
    return node.record.sample_type.name if isinstance(node, SchemaNode) else node.record.name


def tags_of(node: Node) -> tuple[str, ...]:
    """Return the tags of the record; a lens has none."""
    if isinstance(node, DatasetNode):
        return node.tags
    return node.record.tags if isinstance(node, SchemaNode) else ()


def licence_of(node: Node) -> str | None:
    """Return the licence of the record; a lens has none."""
    if isinstance(node, DatasetNode):
        return node.license
    return node.record.license if isinstance(node, SchemaNode) else None


def size_of(node: Node) -> Size | None:
    """Return the size of a dataset, if its record has one."""
    return node.size if isinstance(node, DatasetNode) else None


def description_of(node: Node) -> str | None:
    """Return the description of the record as Markdown."""
    return node.record.sample_type.description if isinstance(node, SchemaNode) else node.record.description


def schema_of(node: Node) -> SchemaNode | None:
    """Return a dataset's schema, or the schema itself; None for a lens."""
    if isinstance(node, SchemaNode):
        return node
    return node.schema if isinstance(node, DatasetNode) else None


def summary_of(node: Node) -> str:
    """Return the start of the description as a line of plain text, at most 160 characters; empty if there is none."""
    words = description_of(node)
    return "" if words is None else _plain(words)


@lru_cache(maxsize=4096)
def _plain(text: str) -> str:
    return plain(text, longest=160)
