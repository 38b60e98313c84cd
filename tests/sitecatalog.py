"""A small catalog for the tests of the site, written straight into a store, and a way to build it with MkDocs."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from catalog.atproto import datamodel
from catalog.crawl import CrawlReport, HostReport, SourceReport
from catalog.records import DATASET, LABEL, LENS, SCHEMA, VERIFICATION
from catalog.store import Found, PastCrawl, Refused, Repo, Store
from catalog.syntax import AtUri, Did, Handle
from tests import forked

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from catalog.atproto.datamodel import Json

DID = Did.parse("did:plc:ewvi7nxzyoun6zhxrhs64oiz")
SEEN = datetime(2026, 11, 20, 12, tzinfo=UTC)
SOURCE = "pds:https://pds.example"
COMMIT = "b" * 40
CHANGED = "3kaaaaaaaaa2a"
"""The first dataset: it was another one the day before."""
UNPROVEN = "3kaaaaaaaaaba"
"""The second dataset."""


def uri(collection: str, rkey: str, did: Did = DID) -> AtUri:
    return AtUri.parse(f"at://{did}/{collection}/{rkey}")


def schema(name: str = "Wave", version: str = "1.0.0", **extra: Json) -> dict[str, Json]:
    ndarray = "https://alt.science/schemas/atdata-ndarray-bytes/1.0.0#/$defs/ndarray"
    properties: Json = {
        "signal": {"$ref": ndarray, "dtype": "float32", "shape": [2, None], "dimensionNames": ["channel", "time"],
                   "description": "Pressure, in pascal."},
        "heard": {"type": "string"},
        "gain": {"type": "number"},
    }  # fmt: skip
    body: Json = {
        "$type": SCHEMA + "#jsonSchemaFormat", "draft": "draft-07",
        "content": {"type": "object", "properties": properties, "required": ["signal", "heard"],
                    "propertyOrder": ["signal", "heard", "gain"]},
    }  # fmt: skip
    return {
        "$type": SCHEMA, "name": name, "version": version, "schemaType": "jsonSchema", "schema": body,
        "description": "A short recording and what was heard.", "createdAt": "2026-11-01T12:00:00.000Z",
        "metadata": {"license": "MIT", "tags": ["audio"]}, **extra,
    }  # fmt: skip


def dataset(number: int, **extra: Json) -> dict[str, Json]:
    checksum: Json = {"algorithm": "sha256", "digest": "ab" * 32}
    shards: list[Json] = [
        {"url": f"https://data.example/tides-{number}-{i:06d}.tar", "checksum": checksum}
        for i in range(number % 20 + 1)
    ]
    return {
        "$type": DATASET, "name": f"Tidal recordings {number}", "schemaRef": str(uri(SCHEMA, "Wave:1.1.0")),
        "storage": {"$type": "science.alt.dataset.storageHttp", "shards": shards},
        "description": f"Recordings of harbour {number}, at **48 kHz**. See [the site](https://waves.example).",
        "license": "CC-BY-4.0" if number % 2 else "MIT", "tags": ["audio", "ocean" if number % 3 else "river"],
        "size": {"samples": 100 * number, "bytes": 1_500_000 * number, "shards": len(shards)},
        "createdAt": f"2026-11-{number % 20 + 1:02d}T12:00:00.000Z", **extra,
    }  # fmt: skip


def records(datasets: int) -> list[tuple[str, str, dict[str, Json]]]:
    code: Json = {"repository": "https://github.com/example/waves", "commit": COMMIT, "path": "waves/lens.py:same"}
    lens: dict[str, Json] = {
        "$type": LENS, "name": "without gain", "sourceSchema": str(uri(SCHEMA, "Wave:1.1.0")),
        "targetSchema": str(uri(SCHEMA, "Wave:1.0.0")), "getterCode": code, "putterCode": code,
        "description": "Leaves the gain out.", "createdAt": "2026-11-02T12:00:00.000Z",
    }  # fmt: skip
    label: dict[str, Json] = {
        "$type": LABEL, "name": "tides", "version": "2.0.0", "datasetUri": str(uri(DATASET, "3kaaaaaaaaa2a")),
        "createdAt": "2026-11-02T12:00:00.000Z",
    }  # fmt: skip
    verification: dict[str, Json] = {
        "$type": VERIFICATION, "lens": str(uri(LENS, "3kaaaaaaaaa2b")), "verificationMethod": "codeReview",
        "lensCommit": str(datamodel.record_cid(lens)), "createdAt": "2026-11-02T12:00:00.000Z",
    }  # fmt: skip
    keys = [f"3kaaaaaaaa{chr(97 + n // 26)}{chr(97 + n % 26)}a" if n else "3kaaaaaaaaa2a" for n in range(datasets)]
    return [
        (SCHEMA, "Wave:1.0.0", schema()),
        (SCHEMA, "Wave:1.1.0", schema(version="1.1.0")),
        (LENS, "3kaaaaaaaaa2b", lens),
        (LABEL, "3kaaaaaaaaa2c", label),
        (VERIFICATION, "3kaaaaaaaaa2d", verification),
        *((DATASET, key, dataset(number)) for number, key in enumerate(keys)),
    ]


def fill(path: Path, *, datasets: int = 4, extra: list[tuple[str, str, dict[str, Json]]] | None = None) -> None:
    """A store with one account's records: two schema versions, a lens, a label, a verification, and datasets."""
    found = [
        Found(uri=uri(collection, rkey), cid=datamodel.record_cid(value), value=value, verified=rkey != UNPROVEN)
        for collection, rkey, value in (*records(datasets), *(extra or []))
    ]
    before = dataset(0, description="As it was.", tags=[])
    old = Found(uri=uri(DATASET, CHANGED), cid=datamodel.record_cid(before), value=before)
    refused = [Refused(uri=str(uri(DATASET, "3kbroken")), reason="name: <b>is missing</b>", source=SOURCE)]
    repo = Repo(did=DID, source=SOURCE, handle=Handle.parse("waves.example.org"), rev="3kaaaaaaaaa2z")
    with Store.open(path) as store:
        store.configure([SOURCE], [])
        store.replace(replace(repo, rev="3kaaaaaaaaa22"), [old], [], moment=SEEN - timedelta(days=1))
        store.replace(repo, found, refused, moment=SEEN)
        store.put_crawl(PastCrawl(ended=SEEN, report=crawl_report(new=len(found)).json()))
        store.put_crawl(PastCrawl(ended=SEEN, report=crawl_report(new=0, problems=("did:plc:x: <b>gone</b>",)).json()))


def crawl_report(*, new: int, problems: tuple[str, ...] = ()) -> CrawlReport:
    """Of a crawl of two hosts, one of which failed."""
    hosts = tuple(
        HostReport(
            host=name, seen=1, changed=1, unchanged=0, new=new if name.startswith("pds") else 0, updated=0, removed=0,
            refused=1, ways={"tree": 1}, requests=1234, bytes=5_678_901, seconds=2.5,
        )
        for name in ("pds.example", "plc.example")
    )  # fmt: skip
    source = SourceReport(
        source=SOURCE, seen=2, changed=2, unchanged=0, new=new, updated=0, removed=0, ways={"tree": 2, "car": 1},
        refused=(("at://x", "y"),), refusals=1, problems=problems, troubles=len(problems), defects=0,
        error="can't <i>be</i> reached" if problems else None,
        requests=2468, bytes=11_357_802, seconds=3.0, hosts=hosts,
    )  # fmt: skip
    return CrawlReport(sources=(source,), seconds=3.25)


MKDOCS = """\
site_name: Tides
site_url: https://tides.example/catalog/
theme:
  name: material
  font: false
  features: [content.code.copy]
  palette:
    - {scheme: default, toggle: {icon: material/weather-night, name: dark}}
    - {scheme: slate, toggle: {icon: material/weather-sunny, name: light}}
plugins:
  - catalog: {store: store.sqlite, sources: [pds: "https://pds.example"], crawl: false, search: %s}
"""


def mkdocs(folder: Path, *arguments: str, quiet: bool = True) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mkdocs", "build", *(["-q"] if quiet else []), *arguments]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    return forked.run(command, cwd=folder, env=environment, timeout=300)


def build(
    folder: Path,
    *,
    datasets: int = 4,
    search: bool = True,
    config: str = "",
    extra: list[tuple[str, str, dict[str, Json]]] | None = None,
) -> Path:
    """Build the catalog in ``folder``; the site's path."""
    fill(folder / "store.sqlite", datasets=datasets, extra=extra)
    (folder / "mkdocs.yml").write_text(MKDOCS % str(search).lower() + config, encoding="utf-8")
    (folder / "docs").mkdir(exist_ok=True)
    (folder / "docs" / "guide.md").write_text(
        "# Guide\n\nHow to read a tide table: supercalifragilistic.\n", encoding="utf-8"
    )
    done = mkdocs(folder, "--strict")
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "a build without problems is quiet"
    return folder / "site"
