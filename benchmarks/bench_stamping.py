"""Compare record pages with the same pages as ordinary Markdown, both built by ``mkdocs build`` in one run.

    python benchmarks/bench_stamping.py [--pages 5000] [--keep DIR]

Both builds are complete processes with Material and without search. The Markdown pages have the same content as the
record pages (metadata, description, fields, snippets, shards, provenance, related datasets) and are not in the
navigation. Files are in memory if the system has a RAM disk. The best of three builds counts for record pages, the
best of two for Markdown. The output is both times and their ratio; exit code 1 if the ratio is below 15.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import indent
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.rows import Results, named
from catalog.atproto import datamodel
from catalog.codegen import load_snippets
from catalog.records import DATASET, SCHEMA
from catalog.schema import type_text
from catalog.store import Found, Repo, Store
from catalog.store.graph import DatasetNode, Graph
from catalog.syntax import AtUri, Did

if TYPE_CHECKING:
    from catalog.atproto.datamodel import Json

WANTED = 15.0
OURS, THEIRS = 3, 2
"""Number of builds of each site."""
SOURCE = "pds:https://pds.example"
SEEN = datetime(2026, 11, 20, tzinfo=UTC)
WORDS = [
    "harbour",
    "tide",
    "wave",
    "signal",
    "buoy",
    "drift",
    "gauge",
    "depth",
    "sonar",
    "current",
    "salt",
    "reef",
    "storm",
    "shore",
    "channel",
    "sand",
]
ARRAY = "https://alt.science/schemas/atdata-ndarray-bytes/1.0.0#/$defs/ndarray"
COMMON = "site_name: Benchmark\ntheme: {name: material, font: false}\n"


def schema(number: int) -> dict[str, Json]:
    """One of the sample types that the datasets use."""
    properties: dict[str, Json] = {
        "signal": {
            "$ref": ARRAY,
            "dtype": "float32",
            "shape": [number + 1, None],
            "description": "Pressure, in pascal.",
        },
        "label": {"type": "string", "description": "What was heard."},
        **{f"{word}_{number}": {"type": "number"} for word in WORDS[:4]},
    }
    body: Json = {
        "$type": SCHEMA + "#jsonSchemaFormat", "draft": "draft-07",
        "content": {"type": "object", "properties": properties, "required": ["signal", "label"]},
    }  # fmt: skip
    return {
        "$type": SCHEMA, "name": f"Sample{number}", "version": "1.0.0", "schemaType": "jsonSchema", "schema": body,
        "description": "A recording and what was heard.", "createdAt": "2026-11-01T12:00:00.000Z",
    }  # fmt: skip


def dataset(number: int, schema_uri: str) -> dict[str, Json]:
    """A dataset with a description of some 600 characters and four shards."""
    some = [WORDS[(number * 7 + i * 3) % len(WORDS)] for i in range(60)]
    text = (
        f"Recordings of **{some[0]} {some[1]}** no. {number}.\n\n"
        f"{' '.join(some[:30])}.\n\n"
        f"- {' '.join(some[30:45])}\n- `{some[46]}` {' '.join(some[46:])}\n"
    )
    shards: list[Json] = [
        {
            "url": f"https://data.example/set-{number}-{i:06d}.tar",
            "checksum": {"algorithm": "sha256", "digest": f"{number:08x}{i:08x}" * 4},
        }
        for i in range(4)
    ]
    return {
        "$type": DATASET, "name": f"{some[0]} {some[1]} {number}", "schemaRef": schema_uri, "description": text,
        "storage": {"$type": "science.alt.dataset.storageHttp", "shards": shards},
        "license": "CC-BY-4.0", "tags": [some[0], some[1], some[2]],
        "size": {"samples": number * 10, "bytes": number * 100_000, "shards": 4},
        "createdAt": f"2026-{number % 12 + 1:02d}-{number % 28 + 1:02d}T12:00:00.000Z",
    }  # fmt: skip


def fill(path: Path, pages: int) -> None:
    """A store with that many datasets of twenty accounts, and twenty schemas."""
    with Store.open(path) as store:
        store.configure([SOURCE], [])
        for account in range(20):
            did = Did.parse(f"did:plc:bench{'abcdefghijklmnopqrstuvwxyz'[account] * 19}")
            schema_uri = f"at://{did}/{SCHEMA}/Sample{account}:1.0.0"
            values = [(schema_uri, schema(account))]
            values += [
                (f"at://{did}/{DATASET}/3k{number:011d}", dataset(number, schema_uri))
                for number in range(account, pages, 20)
            ]
            found = [Found(uri=AtUri.parse(uri), cid=datamodel.record_cid(value), value=value) for uri, value in values]
            store.replace(Repo(did=did, source=SOURCE), found, [], moment=SEEN)


def markdown(node: DatasetNode) -> str:
    """The same page as a person would write it for MkDocs."""
    record, schema_node = node.record, node.schema
    assert schema_node is not None  # noqa: S101 - our own data
    urls = [shard.url for shard in record.storage.shards]  # type: ignore[union-attr]
    fields = "\n".join(
        f"| `{f.name}` | `{type_text(f.type)}` | {'optional' if f.optional else ''} | {f.description or ''} |"
        for f in schema_node.record.sample_type.fields
    )
    shards = "\n".join(f"| <{s.url}> | `{s.checksum.digest}` |" for s in record.storage.shards)  # type: ignore[union-attr]
    snippets = "\n\n".join(
        f'=== "{s.label}"\n\n' + indent(f"`{s.install}`\n\n```{s.language}\n{s.code}\n```", "    ")
        for s in load_snippets(record.name, str(node.uri), schema_node.record.sample_type, urls)
    )
    related = "\n".join(
        f"- **{other.record.name}**, {other.publisher.shown}, "
        f"{other.record.size.samples if other.record.size else 0} samples"
        for other in node.related
    )
    return (
        f"---\nhide: [navigation, toc]\n---\n\n# {record.name}\n\nby {node.publisher.shown}\n\n"
        f"| | |\n|---|---|\n| Licence | {record.license} |\n| Samples "
        f"| {record.size.samples if record.size else ''} |\n"
        f"| Tags | {', '.join(f'[{tag}](https://tags.example/{tag})' for tag in record.tags)} |\n\n"
        f"{record.description}\n\n## Load this dataset\n\n{snippets}\n\n"
        f"## Schema\n\n| Field | Type | | Description |\n|---|---|---|---|\n{fields}\n\n"
        f"## Storage\n\n| Shard | Checksum |\n|---|---|\n{shards}\n\n"
        f"## Provenance\n\n- Address: `{node.uri}`\n- CID: `{node.cid}`\n\n## Related\n\n{related}\n"
    )


def build(folder: Path, times: int) -> float:
    """Seconds of the fastest of so many whole ``mkdocs build``, quiet, each in a process of its own, from nothing."""
    return min(_build(folder) for _ in range(times))


def _build(folder: Path) -> float:
    shutil.rmtree(folder / "site", ignore_errors=True)
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "CATALOG_NO_CRAWL": "1"}
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "mkdocs", "build", "-q"], cwd=folder, env=environment, check=True)
    return time.perf_counter() - start


def prepare(folder: Path, pages: int) -> tuple[Path, Path]:
    """The two sites' folders, ready to be built."""
    stamped, plain = folder / "stamped", folder / "markdown"
    for site in (stamped, plain):
        (site / "docs").mkdir(parents=True)
        (site / "docs" / "index.md").write_text("# Benchmark\n", encoding="utf-8")
    fill(stamped / "store.sqlite", pages)
    (stamped / "mkdocs.yml").write_text(
        COMMON + "plugins:\n  - catalog: {store: store.sqlite, sources: [pds: https://pds.example], search: false}\n",
        encoding="utf-8",
    )
    (plain / "mkdocs.yml").write_text(
        COMMON + "plugins: []\nnot_in_nav: /datasets/\nmarkdown_extensions: "
        "[pymdownx.highlight, pymdownx.superfences, {pymdownx.tabbed: {alternate_style: true}}]\n",
        encoding="utf-8",
    )
    with Store.open(stamped / "store.sqlite") as store:
        graph = Graph.from_store(store)
    for node in graph.datasets:
        file = plain / "docs" / "datasets" / node.publisher.did.replace(":", "-") / f"{node.rkey}.md"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(markdown(node), encoding="utf-8")
    return stamped, plain


def main() -> int:
    """Run both, print, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    results = Results(__file__, parser)
    parser.add_argument("--pages", type=int, default=5000)
    parser.add_argument("--keep", type=Path, help="build here and leave it, to look at")
    arguments = parser.parse_args()
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - a place of its own is made in it
    with TemporaryDirectory(prefix="bench-stamping-", dir=memory) as temporary:
        folder = arguments.keep or Path(temporary)
        stamped, plain = prepare(folder, arguments.pages)
        ours = build(stamped, OURS)
        theirs = build(plain, THEIRS)
        made = [len(list((site / "site").glob("datasets/did-*/*/index.html"))) for site in (stamped, plain)]
    if made != [arguments.pages] * 2:
        print(f"pages made: {made}, wanted {arguments.pages} each")
        return 1
    where = "in memory" if memory and arguments.keep is None else f"in {folder.parent}"
    print(f"{arguments.pages} record pages, whole mkdocs build, search off, {where}, {os.cpu_count()} cores")
    print(f"  stamped by the catalog  {ours:7.2f} s  (best of {OURS})")
    print(f"  ordinary Markdown pages {theirs:7.2f} s  (best of {THEIRS})")
    print(f"  ratio                   {theirs / ours:7.1f}  (wanted: at least {WANTED:g})")
    peer = f"{named('mkdocs', 'MkDocs')} from Markdown"
    what = f"{arguments.pages:,} pages, whole build"
    results.add(what, "s", ours, peer=peer, theirs=theirs, wanted_ratio=WANTED)
    results.write(arguments)
    return 0 if theirs / ours >= WANTED else 1


if __name__ == "__main__":
    sys.exit(main())
