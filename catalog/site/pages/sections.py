"""The catalog as a whole: ``browse``, ``status``, ``home``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from catalog.site.templates import Templates

__all__ = ["section_body"]


def section_body(templates: Templates, template: str, address: str) -> str:
    """The body of a page that the theme renders in place."""
    graph = templates.graph
    return templates.render(template, address, graph=graph, groups=templates.groups, crawls=graph.crawls)
