"""Data of the browse page: columns that a browser filters and counts in milliseconds, and rows that it displays.

A row is a record's position in the newest-first order, the same in all files. Every file is requested with the
``version`` of ``facets.json``, so that a browser's cache never mixes two builds. Columns with many values, sort orders
and chunks of 32 rows are separate files, fetched on first use.

Numbers are encoded as text (:mod:`catalog.store.index_format`), which compresses to within a few percent of its
entropy: ``short`` if small ones are frequent (values are numbered by frequency), ``digits`` if all are equally likely.
Compressed, ``facets.json`` has 1.5 bytes a record, a column 1 (tags 3.5), an order 2; a chunk of rows has 2 kB.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING, Final

from catalog.formatting import compact_json
from catalog.schema import Array
from catalog.site import addresses
from catalog.site.groups import licence_name
from catalog.site.markup import shown
from catalog.site.nodes import kind_of, licence_of, name_of, schema_of, size_of, tags_of
from catalog.store.facet_values import DERIVED, with_fields
from catalog.store.graph import DatasetNode, LensNode
from catalog.store.index_format import encode_digits, encode_short
from catalog.store.tokenizer import fold

if TYPE_CHECKING:
    from catalog.atproto.datamodel import Json
    from catalog.store.graph import Graph, Node, SchemaNode

CHUNK: Final = 32
"""Rows in a file of rows."""
NONE: Final = -1
"""An unknown size."""

SIZES: Final = (
    (10**6, "under 1 MB"), (10**7, "1 to 10 MB"), (10**8, "10 to 100 MB"), (10**9, "100 MB to 1 GB"),
    (10**10, "1 to 10 GB"), (10**11, "10 to 100 GB"), (10**12, "100 GB to 1 TB"), (None, "1 TB and more"),
)  # fmt: skip
"""Upper bound of each bucket, in bytes, and its name."""
UNKNOWN: Final = "unknown"
FACETS: Final = ("kind", *DERIVED, "tag", "licence", "publisher", "schema", "dtype", "size", "state", "updated")
TAGS: Final = 4
"""Maximum number of tags in a row."""
STATES: Final = ("verified", "unverified", "draft")
_FIXED: Final = {
    "kind": tuple(addresses.SECTIONS),
    "size": (*(name for _, name in SIZES), UNKNOWN),
    "state": STATES,
}
"""Facets with a fixed order of values."""
_MANY: Final = ("tag", "dtype", "task", "modality", "language")
"""Facets with several values per record."""
APART: Final = ("tag", "publisher", "schema", "task", "modality", "language")
"""Facets with many values in all or in a record: their columns are separate files."""
_DAY: Final = 86_400
_NUMBER: Final = re.compile(r"([0-9]+)")


def rows(graph: Graph) -> tuple[Node, ...]:
    """Return the records of the browse page, newest first; drafts, which have no date, last."""
    return tuple(sorted(graph.nodes, key=lambda node: (node.draft, -_made(node).timestamp(), str(node.uri))))


def _made(node: Node) -> datetime:
    # A record names its own date; it can't be later than when we saw it.
    return min(node.created, node.updated)


def address_of(node: Node) -> str:
    """Return the address of a record's page."""
    return addresses.of_record(kind_of(node), node.publisher.did, node.rkey)


def words_of(node: Node, schemas: dict[int, str]) -> dict[str, tuple[str, ...]]:
    """Return the values of a record for each facet. ``schemas`` are the names of schemas by their ``id``."""
    kind = kind_of(node)
    licence = licence_of(node)
    schema = schema_of(node)
    return {
        "kind": (kind,),
        **_derived(node, schema),
        "tag": tuple(dict.fromkeys(shown(tag) for tag in tags_of(node))),
        "licence": (licence_name(licence),) if licence else (),
        "publisher": (shown(node.publisher.shown),),
        "schema": () if schema is None else (schemas[id(schema)],),
        "dtype": () if schema is None else _dtypes(schema),
        "size": (_bucket(node),) if kind == "dataset" else (),
        "state": ("draft" if node.draft else "verified" if node.verified else "unverified",),
        "updated": () if node.draft else (f"{node.updated:%Y-%m}",),
    }


def _derived(node: Node, schema: SchemaNode | None) -> dict[str, tuple[str, ...]]:
    if not isinstance(node, DatasetNode):
        return dict.fromkeys(DERIVED, ())
    found = with_fields(node.facets, None if schema is None else schema.record.sample_type)
    return {facet: tuple(dict.fromkeys(map(shown, values))) for facet, values in found.items()}


def schema_names(graph: Graph) -> dict[int, str]:
    """Return each schema's name by its ``id``: name and version, and the publisher if several have the same."""
    plain = {id(schema): _schema_name(schema) for schema in graph.schemas}
    owners: dict[str, set[str]] = {}
    for schema in graph.schemas:
        owners.setdefault(plain[id(schema)], set()).add(schema.publisher.did)
    return {
        id(schema): f"{plain[id(schema)]} · {shown(schema.publisher.shown)}"
        if len(owners[plain[id(schema)]]) > 1
        else plain[id(schema)]
        for schema in graph.schemas
    }


def _schema_name(schema: SchemaNode) -> str:
    sample_type = schema.record.sample_type
    return shown(f"{sample_type.name} {sample_type.version}")


def _dtypes(schema: SchemaNode) -> tuple[str, ...]:
    arrays = (type_ for type_ in schema.record.sample_type.types() if isinstance(type_, Array))
    return tuple(sorted({shown(array.dtype) if array.dtype else "any" for array in arrays}))


def _bucket(node: Node) -> str:
    size = size_of(node)
    if size is None or size.bytes is None:
        return UNKNOWN
    return next(name for end, name in SIZES if end is None or size.bytes < end)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facet:
    """The values of a facet, by frequency or in a fixed order, and the number of records with each."""

    words: tuple[str, ...]
    totals: tuple[int, ...]
    column: Json

    @property
    def numbers(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.words)}

    def json(self, *, apart: bool) -> dict[str, Json]:
        """Return the facet as JSON, with its column unless that is a separate file."""
        found: dict[str, Json] = {"words": list(self.words), "totals": encode_short(self.totals)}
        return found if apart else {**found, "column": self.column}


def files(graph: Graph) -> Iterator[tuple[str, str]]:
    """Yield all files: path in the site, text."""
    nodes = rows(graph)
    names = schema_names(graph)
    facets = _facets(graph, nodes, names)
    found = {f"catalog/columns/{facet}.json": compact_json(facets[facet].column) for facet in APART}
    numbers = {name: facet.numbers for name, facet in facets.items()}
    for start in range(0, len(nodes), CHUNK):
        found[f"catalog/rows/{start // CHUNK}.json"] = _chunk(nodes[start : start + CHUNK], numbers, names)
    for name, order in _orders(nodes).items():
        found[f"catalog/orders/{name}.json"] = compact_json(_steps(order))
    table: dict[str, Json] = {
        "length": len(nodes),
        "chunk": CHUNK,
        "sections": list(addresses.SECTIONS.values()),
        "facets": {name: facet.json(apart=name in APART) for name, facet in facets.items()},
    }
    digest = hashlib.sha256(compact_json(table).encode())
    for text in found.values():
        digest.update(text.encode())
    yield "catalog/facets.json", compact_json({"version": digest.hexdigest()[:12], **table})
    yield from found.items()


def _facets(graph: Graph, nodes: Sequence[Node], names: dict[int, str]) -> dict[str, _Facet]:
    columns: dict[str, list[tuple[str, ...]]] = {facet: [] for facet in FACETS}
    for node in nodes:
        for facet, words in words_of(node, names).items():
            columns[facet].append(words)
    facets = {facet: _facet(facet, column) for facet, column in columns.items()}
    # What a schema says, a dataset of it needn't say again.
    dtypes = {names[id(schema)]: _dtypes(schema) for schema in graph.schemas}
    said = [dtypes[name] for name in facets["schema"].words]
    column: Json = {"of": "schema", "says": _column("dtype", said, facets["dtype"].words)}
    facets["dtype"] = replace(facets["dtype"], column=column)
    return facets


def _facet(name: str, column: Sequence[tuple[str, ...]]) -> _Facet:
    counts = Counter(chain.from_iterable(column))
    words = sorted(counts, key=lambda word: (-counts[word], word))
    if name == "updated":
        words.sort(reverse=True)
    words = list(_FIXED.get(name, words))
    return _Facet(words=tuple(words), totals=tuple(counts[word] for word in words), column=_column(name, column, words))


def _column(name: str, column: Sequence[tuple[str, ...]], words: Sequence[str]) -> Json:
    """Encode the values of each row: their numbers plus one, 0 for none; for several values, counts and steps.

    Rows with the same number of values are encoded together: all first values, all second values, each as the step
    from the previous one. That is a seventh shorter than row by row.
    """
    numbers = {word: number for number, word in enumerate(words)}
    if name not in _MANY:
        return encode_short([numbers[found[0]] + 1 if found else 0 for found in column])
    steps: defaultdict[int, list[list[int]]] = defaultdict(list)
    for found in column:
        ranks = sorted(numbers[word] for word in found)
        steps[len(found)].append([rank - before - 1 for before, rank in zip([-1, *ranks], ranks, strict=False)])
    return {
        "counts": encode_short([len(found) for found in column]),
        "steps": {
            str(many): [encode_short(place) for place in zip(*found, strict=True)]
            for many, found in sorted(steps.items())
        },
    }


def _chunk(nodes: Sequence[Node], numbers: Mapping[str, Mapping[str, int]], schemas: dict[int, str]) -> str:
    """Return the file with these rows for display; values are numbers of the facets."""
    folders = list(dict.fromkeys(addresses.safe_did(node.publisher.did) for node in nodes))
    words = [words_of(node, schemas) for node in nodes]
    return compact_json(
        {
            "folders": folders,
            "folder": [folders.index(addresses.safe_did(node.publisher.did)) for node in nodes],
            "place": [addresses.safe(node.rkey) for node in nodes],
            "name": [shown(name_of(node)) for node in nodes],
            "bytes": [_size(node, "bytes") for node in nodes],
            "samples": [_size(node, "samples") for node in nodes],
            "day": [NONE if node.draft else int(_made(node).timestamp()) // _DAY for node in nodes],
            **{
                facet: [numbers[facet][row[facet][0]] if row[facet] else NONE for row in words]
                for facet in ("kind", "publisher", "licence", "schema", "state")
            },
            "tag": [[numbers["tag"][word] for word in row["tag"][:TAGS]] for row in words],
            "ends": {place: _ends(node) for place, node in enumerate(nodes) if isinstance(node, LensNode)},
        }
    )


def _ends(lens: LensNode) -> str:
    """Return the names of a lens's source and target, its only details in a row."""
    names = [shown(end.record.sample_type.name) if end else "not in this catalog" for end in (lens.source, lens.target)]
    return " → ".join(names)


def _size(node: Node, what: str) -> int:
    value = getattr(size_of(node), what, None)
    return NONE if value is None else value


def _orders(nodes: Sequence[Node]) -> dict[str, list[int]]:
    every = range(len(nodes))
    names = [sort_key(node) for node in nodes]
    return {
        "name": sorted(every, key=lambda row: (names[row], row)),
        "size": sorted(every, key=lambda row: (-_size(nodes[row], "bytes"), row)),
        "samples": sorted(every, key=lambda row: (-_size(nodes[row], "samples"), row)),
        "updated": sorted(every, key=lambda row: (nodes[row].draft, -nodes[row].updated.timestamp(), row)),
    }


def sort_key(node: Node) -> tuple[list[str], str]:
    """Return a key to sort by name: ``Tidal recordings 9`` before ``tidal recordings 10``, ``Élan`` by ``elan``."""
    name = shown(name_of(node))
    parts = _NUMBER.split(fold(name).strip())
    for place in range(1, len(parts), 2):
        number = parts[place].lstrip("0")
        parts[place] = f"{len(number):06}{number}"  # the longer one is the greater one
    return parts, name


def _steps(order: Sequence[int]) -> list[str]:
    """Encode an order as steps from row to row: rows that stay neighbours compress well."""
    size = len(order)
    return encode_digits([(row - before) % size for before, row in zip([-1, *order], order, strict=False)])
