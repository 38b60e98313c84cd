"""Find the record that makes a page of many records fail, by rendering each record's part of such pages alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catalog.site import facets
from catalog.site.exports.dcat import dcat_files
from catalog.site.exports.feeds import feed
from catalog.site.exports.index import index_files
from catalog.site.exports.redirects import redirects
from catalog.site.groups import Groups
from catalog.site.pages.network import network_json

if TYPE_CHECKING:
    from catalog.site.templates import Templates
    from catalog.store.graph import Node


def probe(templates: Templates, node: Node) -> None:
    """Render the part of a record in lists, groups, exports and indexes; let any exception through."""
    graph, settings = templates.graph.only(node), templates.settings
    groups = Groups.of(graph)
    templates.small(node)
    for _, make in (*index_files(graph, groups, settings), *dcat_files(graph, settings)):
        make()
    if settings.url is not None:
        feed("", "", [node], settings)
    network_json(graph)
    for files in (facets.files(graph), redirects(graph)):
        for _ in files:
            pass
