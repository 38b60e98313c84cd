"""Judged queries: small catalogs of real datasets in which it is known what a query should find.

``judged-queries.jsonl`` has queries with the names that are relevant, graded 1 to 3. Those on ``multilingual.jsonl``
are one set, those on ``real-datasets.jsonl`` the other. Each set is searched in a catalog of its own.
"""

from __future__ import annotations

import json
import math
import re
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from catalog.appview.index import Index, directory
from catalog.appview.indexer import Indexer
from catalog.appview.queries import Queries
from catalog.atproto import datamodel
from catalog.client import Client
from catalog.records import DATASET, SCHEMA
from catalog.site.search import build_index
from catalog.store import Found, Repo, Store
from catalog.store.graph import Graph
from catalog.store.reader import Reader
from catalog.syntax import AtUri, Did, Handle
from tests.paths import ROOT, TESTS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from catalog.atproto.datamodel import Json

__all__ = ["PLACES", "SETS", "JudgedQuery", "Quality", "catalog", "judged_queries", "quality", "rows_of", "search"]

SETS: Final = {"real": "real-datasets.jsonl", "multilingual": "multilingual.jsonl"}
PLACES: Final = ("store", "site", "appview")
_DATA: Final = TESTS / "data"
_SOURCE: Final = "pds:https://pds.example"
_DID: Final = Did.parse("did:plc:" + "j" * 24)
_SEEN: Final = datetime(2026, 11, 20, 12, tzinfo=UTC)
_NDARRAY: Final = "https://alt.science/schemas/atdata-ndarray-bytes/1.0.0#/$defs/ndarray"
_TYPES: Final = {"text": "string", "int": "integer", "float": "number", "bool": "boolean"}
_BROWSER: Final = """
import { readFileSync } from "node:fs";
const { module, site, queries, limit } = JSON.parse(readFileSync(0, "utf8"));
const root = new URL("../../", module);
globalThis.fetch = async (url) => {
  const path = String(url).slice(root.href.length).split("?")[0];
  try { return new Response(readFileSync(new URL(path, site))); } catch { return new Response("", { status: 404 }); }
};
const { findText } = await import(module);
const found = [];
for (const query of queries) {
  const { best, index } = await findText(query, limit);
  const shown = await Promise.all(best.map((row) => index.shownOf(row)));
  found.push(shown.map(({ kind, name }) => [kind, name]));
}
process.stdout.write(JSON.stringify(found));
"""
"""Runs the browser's search in Node.js over the files of a site."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedQuery:
    """A query, and the grades of the datasets that are relevant, by name."""

    query: str
    relevant: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """The figures of a set in a place; ``worst`` has the queries with the lowest nDCG, and what they found."""

    success: float
    ndcg: float
    empty: int
    queries: int
    worst: tuple[tuple[float, str, tuple[str, ...]], ...]
    surplus: dict[str, tuple[str, ...]]
    """Return the results of queries without a relevant record."""


def rows_of(name: str) -> list[dict[str, Any]]:
    """Return the datasets of a set."""
    with (_DATA / SETS[name]).open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def judged_queries(name: str) -> list[JudgedQuery]:
    """Return the queries of a set."""
    foreign = {row["name"] for row in rows_of("multilingual")}
    with (_DATA / "judged-queries.jsonl").open(encoding="utf-8") as lines:
        every = [json.loads(line) for line in lines]
    mine = [one for one in every if bool(foreign.intersection(one["relevant"])) == (name == "multilingual")]
    return [JudgedQuery(query=one["query"], relevant=one["relevant"]) for one in mine]


def catalog(folder: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """Make a store of these datasets, the site's search index and the AppView's index; return the store's path."""
    path = folder / "store.sqlite"
    found: dict[str, dict[str, Json]] = {}
    for number, row in enumerate(rows):
        rkey = f"{re.sub(r'[^A-Za-z0-9]', '', row['name']) or 'S'}{number}:1.0.0"
        found[f"{SCHEMA}/{rkey}"] = _schema(row, number)
        found[f"{DATASET}/3k{number:011d}"] = _dataset(row, f"at://{_DID}/{SCHEMA}/{rkey}", number)
    with Store.open(path) as store:
        store.configure([_SOURCE], [])
        repo = Repo(did=_DID, source=_SOURCE, handle=Handle.parse("judged.example.org"), rev="3kaaaaaaaaa2z")
        records = [
            Found(uri=AtUri.parse(f"at://{_DID}/{key}"), cid=datamodel.record_cid(value), value=value, verified=True)
            for key, value in found.items()
        ]
        store.replace(repo, records, [], moment=_SEEN)
        build_index(Graph.from_store(store), {}, folder / "site")
    reader = Reader(path)
    with Indexer(Index(directory(path)), reader) as indexer:
        indexer.catch_up()
    reader.close()
    return path


def _made(number: int) -> str:
    """A date in an order that says nothing: of equals the newest comes first."""
    return (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=number * 7919 % 6007)).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _schema(row: dict[str, Any], number: int) -> dict[str, Json]:
    properties: dict[str, Json] = {}
    for field in row["fields"]:
        match field["kind"]:
            case "array":
                body: dict[str, Json] = {"$ref": _NDARRAY}
                if re.fullmatch("u?int[0-9]+|float[0-9]+", field.get("dtype") or ""):
                    body["dtype"] = field["dtype"]
            case "bytes":
                body = {"type": "string", "format": "byte", "contentEncoding": "base64"}
            case kind:
                body = {"type": _TYPES[kind]}
        properties[field["name"]] = {"type": "array", "items": body} if field.get("list") else body
    name = re.sub("[^0-9A-Za-z]+", " ", row["name"]).title().replace(" ", "") or f"S{number}"
    content: Json = {"type": "object", "properties": properties or {"data": {"type": "string"}}}
    return {
        "$type": SCHEMA, "name": name if name[0].isalpha() else f"S{name}", "version": "1.0.0",
        "schemaType": "jsonSchema", "createdAt": _made(number),
        "schema": {"$type": f"{SCHEMA}#jsonSchemaFormat", "draft": "draft-07", "content": content},
    }  # fmt: skip


def _dataset(row: dict[str, Any], schema: str, number: int) -> dict[str, Json]:
    value: dict[str, Json] = {
        "$type": DATASET, "name": row["name"], "schemaRef": schema, "tags": row["tags"][:30],
        "storage": {"$type": "science.alt.dataset.storageHttp", "shards": [{"url": "https://data.example/0.tar",
                    "checksum": {"algorithm": "sha256", "digest": "ab" * 32}}]},
        "createdAt": _made(number),
    }  # fmt: skip
    if row["description"]:
        value["description"] = row["description"][:5000]
    if row["citation"]:
        value["metadata"] = {"citation": row["citation"][:2000]}
    return value


def search(path: Path, place: str, queries: Sequence[str], limit: int = 10) -> list[list[tuple[str, str]]]:
    """Return kind and name of the results of each query, best first."""
    return _SEARCHES[place](path, queries, limit)


def _in_store(path: Path, queries: Sequence[str], limit: int) -> list[list[tuple[str, str]]]:
    with Client() as client:
        return [[(one.kind, one.name) for one in client.search(q, store=path, limit=limit)] for q in queries]


def _in_site(path: Path, queries: Sequence[str], limit: int) -> list[list[tuple[str, str]]]:
    asked = {
        "module": (ROOT / "site_templates" / "assets" / "text.js").as_uri(),
        "site": (path.parent / "site").as_uri() + "/", "queries": list(queries), "limit": limit,
    }  # fmt: skip
    command = ["node", "--input-type=module", "--eval", _BROWSER]
    done = subprocess.run(command, input=json.dumps(asked), capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        raise AssertionError(done.stderr)
    return [[(kind, name.removesuffix(" 1.0.0")) for kind, name in found] for found in json.loads(done.stdout)]


def _in_appview(path: Path, queries: Sequence[str], limit: int) -> list[list[tuple[str, str]]]:
    reader = Reader(path)
    asked = Queries(Index(directory(path)), reader)
    try:
        answers = [asked.search(q=q, limit=limit)["hits"] for q in queries]
        return [[(hit["kind"], hit["record"]["name"]) for hit in hits] for hits in answers]
    finally:
        reader.close()


_SEARCHES: Final[dict[str, Callable[[Path, Sequence[str], int], list[list[tuple[str, str]]]]]] = {
    "store": _in_store, "site": _in_site, "appview": _in_appview,
}  # fmt: skip


def quality(judged: Sequence[JudgedQuery], found: Sequence[list[tuple[str, str]]]) -> Quality:
    """Return success@3 and nDCG@5 (gain 2^grade - 1) of what was found; a schema or lens has no grade."""
    scores: list[tuple[float, str, tuple[str, ...]]] = []
    surplus: dict[str, tuple[str, ...]] = {}
    hits = empty = 0
    for query, results in zip(judged, found, strict=True):
        shown = tuple(
            f"{name} ({query.relevant.get(name, 0) if kind == 'dataset' else kind})" for kind, name in results
        )
        if not query.relevant:
            surplus[query.query] = shown
            continue
        grades = [query.relevant.get(name, 0) if kind == "dataset" else 0 for kind, name in results]
        hits += any(grades[:3])
        empty += not results
        best = sorted(query.relevant.values(), reverse=True)
        scores.append((_gain(grades) / _gain(best), query.query, shown[:6]))
    return Quality(
        success=hits / len(scores), ndcg=sum(score for score, _, _ in scores) / len(scores), empty=empty,
        queries=len(scores), worst=tuple(sorted(scores)[:12]), surplus=surplus,
    )  # fmt: skip


def _gain(grades: Sequence[int]) -> float:
    return sum((2.0**grade - 1) / math.log2(place + 2) for place, grade in enumerate(grades[:5]))
