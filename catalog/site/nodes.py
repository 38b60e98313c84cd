"""What every page asks of a record's node, whatever its kind."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from catalog.site import addresses
from catalog.site.markup import plain
from catalog.store.graph import DatasetNode, SchemaNode

if TYPE_CHECKING:
    from catalog.records import Size
    from catalog.store.graph import Node

__all__ = [
    "description_of",
    "kind_of",
    "licence_of",
    "name_of",
    "of_node",
    "schema_of",
    "size_of",
    "summary_of",
    "tags_of",
]


def kind_of(node: Node) -> str:
    """``dataset``, ``schema`` or ``lens``."""
    if isinstance(node, DatasetNode):
        return "dataset"
    return "schema" if isinstance(node, SchemaNode) else "lens"


def of_node(node: Node) -> str:
    """The address of its page."""
    return addresses.of_record(kind_of(node), node.publisher.did, node.rkey)


def name_of(node: Node) -> str:
    """What a page calls the record."""
    if isinstance(node, DatasetNode):
        return node.name
    return node.record.sample_type.name if isinstance(node, SchemaNode) else node.record.name


def tags_of(node: Node) -> tuple[str, ...]:
    """Its tags as the record has them; a lens has none."""
    if isinstance(node, DatasetNode):
        return node.tags
    return node.record.tags if isinstance(node, SchemaNode) else ()


def licence_of(node: Node) -> str | None:
    """Its licence as the record has it; a lens has none."""
    if isinstance(node, DatasetNode):
        return node.license
    return node.record.license if isinstance(node, SchemaNode) else None


def size_of(node: Node) -> Size | None:
    """How large a dataset is, as far as it says so."""
    return node.size if isinstance(node, DatasetNode) else None


def description_of(node: Node) -> str | None:
    """The record's own description, Markdown."""
    return node.record.sample_type.description if isinstance(node, SchemaNode) else node.record.description


def schema_of(node: Node) -> SchemaNode | None:
    """The schema that a record is about: a dataset's, or itself."""
    if isinstance(node, SchemaNode):
        return node
    return node.schema if isinstance(node, DatasetNode) else None


def summary_of(node: Node) -> str:
    """The description's first words as a line of plain text, at most 160 characters; empty where there is none."""
    words = description_of(node)
    return "" if words is None else _plain(words)


@lru_cache(maxsize=4096)
def _plain(text: str) -> str:
    return plain(text, longest=160)
