"""The lens network: schemas and the lenses between them, as a list and as ``catalog/network.json`` for the script that
draws it.

``page`` is the last part of an address: ``schemas/<publisher>/<page>/``. Publishers, sources and targets are row
numbers. Lenses from or to a schema outside this catalog are omitted.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Final

from catalog import formatting
from catalog.site import addresses
from catalog.site.markup import shown
from catalog.site.nodes import kind_of, name_of
from catalog.syntax.semver import semver_key

if TYPE_CHECKING:
    from catalog.site.templates import Page, Templates
    from catalog.store.graph import Graph, LensNode, Node, SchemaNode
    from catalog.syntax.semver import SemverKey

ADDRESS: Final = "network/"
LENSES_PER_PAGE: Final = 200
"""Lenses on a page of the list."""


def address_of(node: SchemaNode | LensNode) -> str:
    """Return the address of the network's page with a schema or a lens selected."""
    kind = kind_of(node)
    page = addresses.of_record(kind, node.publisher.did, node.rkey)
    return f"{ADDRESS}?{kind}={page.partition('/')[2].removesuffix('/')}"


def network_places(graph: Graph) -> tuple[LensNode, ...]:
    """Return all lenses in the order of the list: by name and version of their source; unknown sources last."""
    return tuple(sorted(graph.lenses, key=_place))


def network_page(templates: Templates, lenses: Sequence[LensNode], number: int) -> Page:
    """Return a page of the list of lenses by source; the script draws the graph on the first."""
    part = lenses[(number - 1) * LENSES_PER_PAGE : number * LENSES_PER_PAGE]
    address = ADDRESS if number == 1 else f"{ADDRESS}page/{number}/"
    last = max(1, -(-len(lenses) // LENSES_PER_PAGE))
    groups = [(source, list(found)) for source, found in groupby(part, key=lambda lens: lens.source)]
    body = templates.render("network", address, groups=groups, total=len(lenses), number=number, last=last)
    title = "Lens network" if number == 1 else f"Lens network, page {number}"
    return templates.page(address, title, f"{formatting.counted(len(lenses), 'lens')}, by source schema", body)


def network_json(graph: Graph) -> str:
    """Return the data as JSON; it depends only on the graph."""
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
    return formatting.compact_json(held) + "\n"


def _columns(nodes: Sequence[Node], publishers: dict[str, int]) -> dict[str, list[object]]:
    return {
        "name": [shown(name_of(node)) for node in nodes],
        "publisher": [publishers[node.publisher.did] for node in nodes],
        "page": [addresses.safe(node.rkey) for node in nodes],
    }


def _place(lens: LensNode) -> tuple[bool, str, SemverKey, str, str]:
    if lens.source is None:
        return True, "", semver_key(""), str(lens.record.source), str(lens.uri)
    sample_type = lens.source.record.sample_type
    return False, sample_type.name.casefold(), semver_key(sample_type.version), str(lens.source.uri), str(lens.uri)
