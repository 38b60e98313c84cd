"""Small graphs for the tests of the exports, and what all exports of a dataset must bear."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mlcroissant import Dataset as CroissantDataset

from catalog.atproto import datamodel
from catalog.records import DATASET, SCHEMA
from catalog.site.exports.croissant import croissant
from catalog.site.settings import SiteSettings
from catalog.store import Found, Repo, Store
from catalog.store.graph import Graph
from catalog.syntax import Handle
from tests.sitecatalog import DID, SEEN, SOURCE, dataset, schema, uri

if TYPE_CHECKING:
    from pathlib import Path

    from catalog.atproto.datamodel import Json
    from catalog.store.graph import DatasetNode
    from catalog.syntax import Did

URL = "https://tides.example/catalog/"
PDS = "https://pds.example"
SITE = SiteSettings(name="Tides & <b>more</b>", url=URL)
NOWHERE = SiteSettings(name="Tides")
HTTP = "science.alt.dataset.storageHttp"


def graph_of(
    folder: Path, found: list[tuple[str, str, dict[str, Json]]], *, did: Did = DID, pds: str | None = PDS
) -> Graph:
    """The graph of one account's records."""
    with Store.open(folder / "s.sqlite") as store:
        store.configure([SOURCE], [])
        kept = [
            Found(uri=uri(collection, rkey, did), cid=datamodel.record_cid(value), value=value)
            for collection, rkey, value in found
        ]
        repo = Repo(did=did, source=SOURCE, handle=Handle.parse("waves.example.org"), pds=pds, rev="3kaaaaaaaaa2z")
        store.replace(repo, kept, [], moment=SEEN)
        return Graph.from_store(store)


def one(folder: Path, *, pds: str | None = PDS, **extra: Json) -> DatasetNode:
    """A dataset, with the schema ``Wave``."""
    graph = graph_of(folder, [(SCHEMA, "Wave:1.1.0", schema()), (DATASET, "3kone", dataset(1, **extra))], pds=pds)
    return graph.datasets[0]


def shards(*found: Json) -> Json:
    return {"$type": HTTP, "shards": list(found)}


def accepted(node: DatasetNode, settings: SiteSettings = SITE) -> dict[str, Any]:
    """Its Croissant, which mlcroissant takes without an error."""
    text = croissant(node, settings, "@misc{x}")
    assert CroissantDataset(json.loads(text)).metadata.ctx.issues.errors == set()
    held: dict[str, Any] = json.loads(text)
    return held
