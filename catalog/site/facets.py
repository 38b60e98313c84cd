"""The browse page's data: one columnar file, dictionary-encoded, that a browser scans in milliseconds.

::

    {"kinds": […], "publishers": [[segment, shown], …], "licences": […], "tags": […], "schemas": [[row, shown], …],
     "name": […], "kind": […], "publisher": […], "segment": […], "licence": […], "schema": […], "tag": [[…], …],
     "bytes": […], "samples": […], "day": […]}

Row *i* of every column is one record; -1 is "none" (of a size: "unknown"). ``day`` counts days since 1970, so
that the file stays small. The text search knows records by the ids of its fragments; :func:`text_ids` is the column
that joins the two, in a file of its own, fetched with the first typed word.
"""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from catalog.errors import BuildError
from catalog.site import addresses
from catalog.site.licences import spdx_id
from catalog.site.markup import shown
from catalog.site.nodes import kind_of, name_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from catalog.graph import Graph, Node

__all__ = ["address_of", "columns", "dump", "rows", "text_ids"]

NONE: Final = -1
_DAY: Final = 86_400
K = TypeVar("K")


class _Dictionary(Generic[K]):
    """Distinct values in the order they are met, and the number of each."""

    def __init__(self) -> None:
        self.values: list[K] = []
        self._numbers: dict[K, int] = {}

    def number(self, value: K | None) -> int:
        if value is None:
            return NONE
        known = self._numbers.setdefault(value, len(self.values))
        if known == len(self.values):
            self.values.append(value)
        return known


def rows(graph: Graph) -> tuple[Node, ...]:
    """The records of the browse page, in the order of the columns."""
    return graph.nodes


def columns(graph: Graph) -> dict[str, object]:
    """The whole file as JSON values."""
    nodes = rows(graph)
    kinds = list(addresses.SECTIONS)
    numbers = {id(node): number for number, node in enumerate(nodes)}
    publishers: _Dictionary[tuple[str, str]] = _Dictionary()
    licences: _Dictionary[str] = _Dictionary()
    tags: _Dictionary[str] = _Dictionary()
    schemas: _Dictionary[tuple[int, str]] = _Dictionary()
    table: dict[str, list[object]] = {
        name: []
        for name in (
            "name", "kind", "publisher", "segment", "licence", "schema", "tag", "bytes", "samples", "day"
        )
    }  # fmt: skip
    for node in nodes:
        kind = kind_of(node)
        size = getattr(node.record, "size", None)
        schema = getattr(node, "schema", None) if kind == "dataset" else node if kind == "schema" else None
        licence = getattr(node.record, "license", None)
        row: dict[str, object] = {
            "name": shown(name_of(node)),
            "kind": kinds.index(kind),
            "publisher": publishers.number((addresses.safe_did(node.publisher.did), shown(node.publisher.shown))),
            "segment": addresses.safe(node.rkey),
            "licence": licences.number(None if licence is None else spdx_id(licence) or shown(licence)),
            "schema": schemas.number(None if schema is None else (numbers[id(schema)], _schema_name(schema))),
            "tag": [tags.number(shown(tag)) for tag in dict.fromkeys(getattr(node.record, "tags", ()))],
            "bytes": NONE if size is None or size.bytes is None else size.bytes,
            "samples": NONE if size is None or size.samples is None else size.samples,
            # A record names its own date; it can't be later than when we saw it. A draft has none yet.
            "day": NONE if node.draft else int(min(node.created, node.updated).timestamp()) // _DAY,
        }
        for name, value in row.items():
            table[name].append(value)
    return {
        "kinds": [[kind, section] for kind, section in addresses.SECTIONS.items()],
        "publishers": publishers.values,
        "licences": licences.values,
        "tags": tags.values,
        "schemas": schemas.values,
        **table,
    }


def _schema_name(schema: Node) -> str:
    sample_type = schema.record.sample_type  # type: ignore[union-attr]
    return shown(f"{sample_type.name} {sample_type.version}")


def text_ids(graph: Graph, index: Path) -> list[str]:
    """For each row the id that a text search gives it, read from the index's own fragments.

    Raises :class:`BuildError` when a fragment isn't what this version of the indexer writes.
    """
    found: dict[str, str] = {}
    for file in sorted((index / "fragment").glob("*.pf_fragment")):
        raw = gzip.decompress(file.read_bytes())
        start = raw.find(b"{")
        try:
            url = json.loads(raw[start:])["url"]
        except (ValueError, KeyError) as error:
            raise BuildError("a fragment of the search index can't be read", where=file.name) from error
        found[url.strip("/")] = file.stem
    return [found.get(address_of(node).strip("/"), "") for node in rows(graph)]


def address_of(node: Node) -> str:
    """The address of a record's page."""
    return addresses.of_record(kind_of(node), node.publisher.did, node.rkey)


def dump(value: dict[str, object] | Sequence[str]) -> str:
    """Compact JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
