"""Graphs of schemas and lenses for the tests of their pages, read from a store as the site reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catalog.atproto import datamodel
from catalog.records import LENS, SCHEMA, VERIFICATION
from catalog.schema import write_body
from catalog.site.settings import SiteSettings
from catalog.site.templates import Templates
from catalog.store import Found, Repo, Store
from catalog.store.graph import Graph
from tests.sitecatalog import COMMIT, DID, SEEN, SOURCE, schema, uri

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from catalog.atproto.datamodel import Json
    from catalog.schema import SampleType
    from catalog.store.graph import LensNode, SchemaNode

CODE: Json = {"repository": "https://github.com/example/waves", "commit": COMMIT, "path": "waves/lens.py:same"}

Records = list[tuple[str, str, dict[str, "Json"]]]


def schema_of(sample_type: SampleType) -> dict[str, Json]:
    """A schema record of a sample type."""
    body: Json = {"$type": SCHEMA + "#jsonSchemaFormat", **write_body(sample_type)}
    record = schema(name=sample_type.name, version=sample_type.version, schema=body)
    record.pop("description")
    return record if sample_type.description is None else {**record, "description": sample_type.description}


def lens(source: str, target: str, name: str = "a lens", **extra: Json) -> dict[str, Json]:
    """A lens record between two schemas' keys."""
    return {
        "$type": LENS, "name": name, "sourceSchema": str(uri(SCHEMA, source)), "targetSchema": str(uri(SCHEMA, target)),
        "getterCode": CODE, "putterCode": CODE, "createdAt": "2026-11-02T12:00:00.000Z", **extra,
    }  # fmt: skip


def verification(rkey: str, record: dict[str, Json]) -> dict[str, Json]:
    """Return a verification of the current version of a lens."""
    return {
        "$type": VERIFICATION, "lens": str(uri(LENS, rkey)), "verificationMethod": "codeReview",
        "lensCommit": str(datamodel.record_cid(record)), "createdAt": "2026-11-02T12:00:00.000Z",
    }  # fmt: skip


def graph_of(path: Path, records: Records) -> Graph:
    """The graph of a store with these records of one account."""
    found = [
        Found(uri=uri(collection, rkey), cid=datamodel.record_cid(value), value=value)
        for collection, rkey, value in records
    ]
    with Store.open(path) as store:
        store.configure([SOURCE], [])
        store.replace(Repo(did=DID, source=SOURCE, rev="3kaaaaaaaaa2z"), found, [], moment=SEEN)
        return Graph.from_store(store)


def network_of(path: Path, schemas: int, edges: Sequence[tuple[int, int, bool]]) -> Graph:
    """``schemas`` schemas ``S0``, ``S1`` …, and for each edge a lens, verified or not."""
    records: Records = [(SCHEMA, f"S{n}", schema(name=f"S{n}")) for n in range(schemas)]
    for number, (source, target, vouched) in enumerate(edges):
        rkey, record = f"3klens{number:07d}", lens(f"S{source}", f"S{target}", f"lens {number}")
        records.append((LENS, rkey, record))
        if vouched:
            records.append((VERIFICATION, f"3kword{number:07d}", verification(rkey, record)))
    return graph_of(path, records)


def templates_of(graph: Graph) -> Templates:
    """Return the templates for pages of the graph."""
    return Templates(graph, SiteSettings(name="Tides", url="https://tides.example/"))


def schema_named(graph: Graph, name: str, version: str | None = None) -> SchemaNode:
    """The schema of that name; of several versions the newest where none is named."""
    found = next(node for node in graph.schemas if node.record.sample_type.name == name)
    return next(node for node in found.versions if version in (None, node.record.sample_type.version))


def lens_named(graph: Graph, name: str) -> LensNode:
    """The lens of that name."""
    return next(node for node in graph.lenses if node.record.name == name)
