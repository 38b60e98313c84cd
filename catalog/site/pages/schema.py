"""A schema's page: its fields, its code, its versions, and what uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from catalog.codegen import python_class
from catalog.site.highlight import highlight

if TYPE_CHECKING:
    from catalog.graph import SchemaNode
    from catalog.site.templates import Page, Templates

__all__ = ["schema_page"]

_MOST_LISTED: Final = 12


def schema_page(templates: Templates, node: SchemaNode) -> Page:
    """The page of one version of a schema."""
    code = python_class(node.record.sample_type, uri=None if node.draft else str(node.uri), cid=node.cid)
    return templates.record_page(
        node,
        fields=templates.fields(node),
        code=highlight(code, "python"),
        datasets=node.datasets[:_MOST_LISTED],
        dataset_total=len(node.datasets),
        lenses=(*node.lenses_from, *node.lenses_to)[:_MOST_LISTED],
    )
