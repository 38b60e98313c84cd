"""The lens network: which schemas lenses connect, as a list for everybody and as columns for the picture's script.

``catalog/network.json``::

    {"publishers": [["did-plc-abc", "alice.example.org"], …],
     "schemas": {"name": […], "version": […], "publisher": […], "page": […], "datasets": […]},
     "lenses": {"name": […], "publisher": […], "page": […], "source": […], "target": […], "verified": […]}}

A page is the last part of its address: ``schemas/<publisher>/<page>/``. Publishers, sources and targets are numbers of
rows. Lenses from or to a schema that isn't in this catalog are left out: there is nothing to walk to.
"""

from __future__ import annotations

import json
from itertools import groupby
from typing import TYPE_CHECKING, Final

from catalog.site import addresses
from catalog.site.markup import shown
from catalog.site.nodes import kind_of, name_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from catalog.graph import Graph, LensNode, Node, SchemaNode
    from catalog.site.templates import Templates

__all__ = ["address_of", "network_body", "network_json"]

ADDRESS: Final = "network/"
_MOST: Final = 200
"""Lenses in the list; the lenses' own pages have all of them."""


def address_of(node: SchemaNode | LensNode) -> str:
    """The network's page with a schema or a lens chosen."""
    kind = kind_of(node)
    page = addresses.of_record(kind, node.publisher.did, node.rkey)
    return f"{ADDRESS}?{kind}={page.partition('/')[2].removesuffix('/')}"


def network_body(templates: Templates) -> str:
    """The body of the page: lenses by their source, and a place for the picture."""
    lenses = sorted(templates.graph.lenses, key=_place)
    groups = [(source, list(found)) for source, found in groupby(lenses[:_MOST], key=lambda lens: lens.source)]
    return templates.render("network", ADDRESS, groups=groups, total=len(lenses), most=_MOST)


def network_json(graph: Graph) -> str:
    """The columns; the same graph gives the same text."""
    nodes: tuple[Node, ...] = (*graph.schemas, *graph.lenses)
    publishers = sorted({node.publisher.did for node in nodes})
    rows = {did: row for row, did in enumerate(publishers)}
    schemas = {id(schema): row for row, schema in enumerate(graph.schemas)}
    lenses = [lens for lens in graph.lenses if lens.source is not None and lens.target is not None]
    held = {
        "publishers": [[addresses.safe_did(did), shown(graph.publishers[did].shown)] for did in publishers],
        "schemas": {
            **_columns(graph.schemas, rows),
            "version": [shown(schema.record.sample_type.version) for schema in graph.schemas],
            "datasets": [len(schema.datasets) for schema in graph.schemas],
        },
        "lenses": {
            **_columns(lenses, rows),
            "source": [schemas[id(lens.source)] for lens in lenses],
            "target": [schemas[id(lens.target)] for lens in lenses],
            "verified": [int(lens.vouched) for lens in lenses],
        },
    }
    return json.dumps(held, ensure_ascii=False, separators=(",", ":")) + "\n"


def _columns(nodes: Sequence[Node], publishers: dict[str, int]) -> dict[str, list[object]]:
    return {
        "name": [shown(name_of(node)) for node in nodes],
        "publisher": [publishers[node.publisher.did] for node in nodes],
        "page": [addresses.safe(node.rkey) for node in nodes],
    }


def _place(lens: LensNode) -> tuple[bool, str, str, str, str]:
    """By the source's name and version, those from elsewhere last."""
    if lens.source is None:
        return True, "", "", str(lens.record.source), str(lens.uri)
    sample_type = lens.source.record.sample_type
    return False, sample_type.name.casefold(), sample_type.version, str(lens.source.uri), str(lens.uri)
