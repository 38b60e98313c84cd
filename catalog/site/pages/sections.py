"""Pages about the whole catalog: ``browse``, ``status``, ``words`` (the glossary), ``home``."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from catalog.site.omitted import LeftOut
    from catalog.site.templates import Templates

FRESH: Final = 3
"""Maximum number of schemas on the home page, each in its newest version."""


def section_body(templates: Templates, template: str, address: str, *, left_out: Sequence[LeftOut] = ()) -> str:
    """Return the body of a page that the theme renders in place. ``left_out`` is for the status page."""
    graph = templates.graph
    fresh = tuple(islice((schema for schema in graph.schemas if schema.versions[0] is schema), FRESH))
    return templates.render(
        template, address, graph=graph, groups=templates.groups, crawls=graph.crawls, fresh=fresh, left_out=left_out
    )
