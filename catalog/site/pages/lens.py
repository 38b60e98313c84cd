"""A lens's page: its two schemas side by side, and where its code can be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catalog.site.coderefs import code_url

if TYPE_CHECKING:
    from catalog.graph import LensNode
    from catalog.site.templates import Page, Templates

__all__ = ["lens_page"]


def lens_page(templates: Templates, node: LensNode) -> Page:
    """The page of one lens."""
    sides = [("Source", node.source, node.record.source), ("Target", node.target, node.record.target)]
    codes = [("Getter", node.record.getter), ("Putter", node.record.putter)]
    return templates.record_page(
        node,
        sides=[(word, schema, uri, templates.fields(schema) if schema else None) for word, schema, uri in sides],
        codes=[(word, code, code_url(code)) for word, code in codes],
    )
