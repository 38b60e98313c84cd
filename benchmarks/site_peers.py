"""Build the same pages with other programs: MkDocs with Material from Markdown, and Hugo.

Equal: the texts (name, publisher, metadata, description, a snippet, fields, shards, citation, provenance and related
datasets, from the same graph as the site's pages); the layout (Material's own for MkDocs; for Hugo the page shell of
the site); the storage (memory). Search is disabled.

MkDocs makes only the dataset pages and is compared per page. Hugo makes a complete site and is compared as a whole:
the dataset pages; a page and a feed for each tag, licence and publisher; a sitemap; and it copies the JSON and
Croissant files of each dataset from the page's folder.

The differences favour the other programs: only this project makes schema and lens pages, snippets in other languages,
JSON-LD, DCAT, facet columns and redirects.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.processes import Ran, run
from catalog.codegen import load_snippets
from catalog.records import BlobStorage, HttpStorage, S3Storage
from catalog.schema import type_text
from catalog.site.citation import citation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from catalog.store.graph import DatasetNode, Graph

__all__ = ["hugo", "mkdocs", "write_hugo", "write_mkdocs"]

_MKDOCS = """\
site_name: Benchmark
site_url: https://catalog.example.org/
theme: {name: material, font: false}
plugins: []
not_in_nav: /datasets/
markdown_extensions: [tables, pymdownx.highlight, pymdownx.superfences]
"""
_HUGO = """\
baseURL = "https://catalog.example.org/"
title = "Benchmark"
disableKinds = ["section", "404"]
rssLimit = 30
[taxonomies]
tag = "tags"
licence = "licences"
publisher = "publishers"
[outputs]
home = ["HTML"]
taxonomy = ["HTML"]
term = ["HTML", "RSS"]
[markup.highlight]
noClasses = false
"""
_HOME = '<!doctype html><html lang="en"><title>Benchmark</title><h1>Benchmark</h1></html>\n'
_LIST = """\
<h1>{{ .Title }}</h1>
<ul class="cat-rows">
{{ range first 30 .Pages }}<li><a href="{{ .RelPermalink }}">{{ .Title }}</a>
<p>{{ .Description }}</p></li>
{{ end }}</ul>
"""
"""The content of a page of a tag, licence or publisher; with many records, so many of them."""


def markdown(node: DatasetNode) -> str:
    """A dataset's page as a person would write it."""
    record, schema = node.record, node.schema
    facts = [("Licence", record.license)]
    if record.size is not None:
        facts += [("Samples", str(record.size.samples)), ("Size", str(record.size.bytes))]
    facts += [
        ("Created", f"{node.created:%Y-%m-%d}"),
        ("Tags", ", ".join(f"[{tag}](../../../tags/{tag}/)" for tag in record.tags)),
    ]
    fields = () if schema is None else schema.record.sample_type.fields
    related = "\n".join(
        f"- [{other.record.name}](../../{_folder(other)}/{other.rkey}/), {other.publisher.shown}, "
        f"{other.record.size.samples if other.record.size else 0} samples, {node.kinship(other)}"
        for other in node.related
    )
    parts = [
        f"# {record.name}\n\nby {node.publisher.shown}",
        _table(("", ""), [(name, value) for name, value in facts if value]),
        record.description or "",
        f"## Load this dataset\n\n{_program(node)}",
        "## Schema\n\n"
        + _table(
            ("Field", "Type", "Description"),
            [(f"`{f.name}`", f"`{type_text(f.type)}`", f.description or "") for f in fields],
        ),
        f"## Storage\n\n{_table(('Shard', 'Checksum'), _shards(node)[:5])}",
        f"## Citation\n\n{indent(citation(node, None), '    ')}",
        f"## Provenance\n\n- Address: `{node.uri}`\n- CID: `{node.cid}`\n- Last change seen: {node.updated:%Y-%m-%d}",
        f"## Related datasets\n\n{related}",
    ]
    return "\n\n".join(parts) + "\n"


def _folder(node: DatasetNode) -> str:
    return node.publisher.did.replace(":", "-")


def _program(node: DatasetNode) -> str:
    sample_type = None if node.schema is None else node.schema.record.sample_type
    urls = [place for place, _ in _shards(node)] if isinstance(node.record.storage, HttpStorage) else []
    first = load_snippets(node.record.name, str(node.uri), sample_type, urls)[0]
    return f"`{first.install}`\n\n```{first.language}\n{first.code}\n```"


def _shards(node: DatasetNode) -> list[tuple[str, str]]:
    storage = node.record.storage
    match storage:
        case HttpStorage():
            named = [(f"<{shard.url}>", shard.checksum) for shard in storage.shards]
        case S3Storage():
            named = [(f"`{shard.key}`", shard.checksum) for shard in storage.shards]
        case BlobStorage():
            named = [(f"`{blob.cid}`", blob.checksum) for blob in storage.blobs]
        case _:
            named = []
    return [
        (place, "" if checksum is None else f"`{checksum.algorithm}:{checksum.digest}`") for place, checksum in named
    ]


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |" for line in lines
    )


def write_mkdocs(folder: Path, graph: Graph | None) -> int:
    """A site of Markdown for MkDocs; without a graph one that has only a home page. How many datasets."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "docs").mkdir(parents=True)
    (folder / "mkdocs.yml").write_text(_MKDOCS, encoding="utf-8")
    (folder / "docs" / "index.md").write_text("# Benchmark\n", encoding="utf-8")
    for node in () if graph is None else graph.datasets:
        file = folder / "docs" / "datasets" / _folder(node) / f"{node.rkey}.md"
        file.parent.mkdir(parents=True, exist_ok=True)
        front = {"title": node.record.name, "description": _about(node), "hide": ["navigation", "toc"]}
        file.write_text(f"---\n{json.dumps(front)}\n---\n\n{markdown(node)}", encoding="utf-8")
    return 0 if graph is None else len(graph.datasets)


def write_hugo(folder: Path, graph: Graph, ours: Path) -> int:
    """A site for Hugo, with our shell, and our JSON files to be copied, out of our site ``ours``. How many datasets."""
    shutil.rmtree(folder, ignore_errors=True)
    layouts = folder / "layouts" / "_default"
    layouts.mkdir(parents=True)
    (folder / "config.toml").write_text(_HUGO, encoding="utf-8")
    (folder / "layouts" / "index.html").write_text(_HOME, encoding="utf-8")
    page = next(ours.glob("datasets/did-*/*/index.html")).read_text(encoding="utf-8")
    (layouts / "single.html").write_text(layout_of(page, "{{ .Content }}"), encoding="utf-8")
    (layouts / "list.html").write_text(layout_of(page, _LIST), encoding="utf-8")
    for node in graph.datasets:
        record = node.record
        place = f"datasets/{_folder(node)}/{node.rkey}"
        target = folder / "content" / place
        target.mkdir(parents=True)
        front = {
            "title": record.name, "description": _about(node), "date": f"{node.created:%Y-%m-%d}", "tags": record.tags,
            "licences": [record.license] if record.license else [], "publishers": [node.publisher.shown],
        }  # fmt: skip
        (target / "index.md").write_text(f"{json.dumps(front)}\n\n{markdown(node)}", encoding="utf-8")
        for name in "index.json", "croissant.json":
            shutil.copyfile(ours / place / name, target / name)
    return len(graph.datasets)


def _about(node: DatasetNode) -> str:
    return " ".join((node.record.description or "").split())[:160]


def layout_of(page: str, content: str) -> str:
    """Hugo's layout from a dataset's page of ours: the same head, header, navigation and foot around the content."""
    page = re.sub(r'<script type="application/ld\+json">.*?</script>', "", page, flags=re.DOTALL)
    page = re.sub(r"<title>.*?</title>", "<title>{{ .Title }} - {{ site.Title }}</title>", page, flags=re.DOTALL)
    page = re.sub(r'(<link rel="canonical" href=)"[^"]*"', r'\1"{{ .Permalink }}"', page)
    for name, value in (
        ("og:title", "{{ .Title }}"),
        ("og:url", "{{ .Permalink }}"),
        ("og:description", "{{ .Description }}"),
    ):
        page = re.sub(rf'(<meta property="{name}" content=)"[^"]*"', rf'\1"{value}"', page)
    page = re.sub(r'(<meta name="description" content=)"[^"]*"', r'\1"{{ .Description }}"', page)
    begin, end = page.index('<article class="cat-page'), page.rindex("</article>")
    begin_of_end = page.rindex("</article>", 0, end)
    return page[:begin] + content + page[begin_of_end + len("</article>") :]


def mkdocs(folder: Path) -> Ran:
    """Build it, from nothing."""
    shutil.rmtree(folder / "site", ignore_errors=True)
    return run([sys.executable, "-m", "mkdocs", "build", "-q"], cwd=folder, environment={"NO_MKDOCS_2_WARNING": "1"})


def hugo(folder: Path) -> Ran:
    """Build it, from nothing: neither site nor cache."""
    for part in ("public", "resources", "cache"):
        shutil.rmtree(folder / part, ignore_errors=True)
    return run(["hugo", "--quiet", "--cacheDir", str(folder / "cache")], cwd=folder)
