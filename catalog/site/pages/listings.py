"""Pages of many records: the sections page by page, and what an account publishes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from catalog.site import addresses, markup
from catalog.site.nodes import kind_of
from catalog.site.templates import Page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from catalog.graph import Node, Publisher
    from catalog.site.templates import Templates

__all__ = ["PER_PAGE", "listing", "page_count", "publisher_page"]

PER_PAGE: Final = 100
"""Records on one page of a listing."""


def page_count(nodes: Sequence[Node]) -> int:
    """How many pages their listing has: at least one."""
    return max(1, -(-len(nodes) // PER_PAGE))


def listing(templates: Templates, kind: str, nodes: Sequence[Node], number: int) -> Page:
    """One page of a section, newest records first; page 1 lies at the section's own address."""
    section, last = addresses.SECTIONS[kind], page_count(nodes)
    address = f"{section}/" if number == 1 else f"{section}/page/{number}/"
    part = nodes[(number - 1) * PER_PAGE : number * PER_PAGE]
    body = templates.render(
        "listing", address, kind=kind, section=section, nodes=part, total=len(nodes), number=number, last=last
    )
    title = section.capitalize() if number == 1 else f"{section.capitalize()}, page {number}"
    return Page(address=address, title=title, description=f"{len(nodes)} {section}", body=body)


def publisher_page(templates: Templates, publisher: Publisher, nodes: Sequence[Node]) -> Page:
    """An account and the newest of what it publishes."""
    groups = [(kind, [node for node in nodes if kind_of(node) == kind]) for kind in addresses.SECTIONS]
    groups = [(kind, found) for kind, found in groups if found]
    address = addresses.of_publisher(publisher.did)
    body = templates.render("publisher", address, publisher=publisher, groups=groups, most=PER_PAGE)
    words = f"{len(nodes)} records published by {publisher.shown}"
    return Page(address=address, title=markup.shown(publisher.shown), description=words, body=body)
