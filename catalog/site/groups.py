"""Groups of records by publisher, tag and licence.

Tags and licences are compared as they are displayed, so that two texts that look the same are one group. Only the most
frequent tags have a page; the others link to the browse page.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from catalog.records import licences
from catalog.site import addresses
from catalog.site.markup import shown
from catalog.site.nodes import licence_of, tags_of

if TYPE_CHECKING:
    from catalog.store.graph import Graph, Node

MOST_PAGES: Final = 5000
"""Maximum number of tags, and of licences, with a page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The records of one publisher, tag or licence: its ``name``, and the ``address`` of its page."""

    name: str
    address: str
    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """All groups with a page, by name (publishers by DID), the largest first."""

    publishers: Mapping[str, Group]
    tags: Mapping[str, Group]
    licences: Mapping[str, Group]

    @classmethod
    def of(cls, graph: Graph) -> Groups:
        """The groups of a catalog. Nodes keep the graph's order: datasets, schemas, lenses, each newest first."""
        publishers: defaultdict[str, list[Node]] = defaultdict(list)
        tags: defaultdict[str, list[Node]] = defaultdict(list)
        names: defaultdict[str, list[Node]] = defaultdict(list)
        for node in graph.nodes:
            publishers[node.publisher.did].append(node)
            for tag in {shown(tag) for tag in tags_of(node)}:
                tags[tag].append(node)
            licence = licence_of(node)
            if licence:
                names[licence_name(licence)].append(node)
        return cls(
            publishers={
                did: Group(
                    name=shown(graph.publishers[did].shown), address=addresses.of_publisher(did), nodes=tuple(nodes)
                )
                for did, nodes in _largest(publishers.items())
            },
            tags=_groups(tags, addresses.of_tag),
            licences=_groups(names, addresses.of_licence),
        )


def licence_name(text: str) -> str:
    """Return the SPDX identifier if there is one, else the text as displayed."""
    return licences.spdx_id(text) or shown(text)


def _groups(found: Mapping[str, list[Node]], address: Callable[[str], str]) -> dict[str, Group]:
    return {
        name: Group(name=name, address=address(name), nodes=tuple(nodes))
        for name, nodes in _largest(found.items())[:MOST_PAGES]
    }


def _largest(found: Iterable[tuple[str, list[Node]]]) -> list[tuple[str, list[Node]]]:
    return sorted(found, key=lambda pair: (-len(pair[1]), pair[0]))
