"""Sites to judge pages by: the example catalog, one of every kind of record and part, a plain one, a hostile one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgpack

from catalog.atproto import datamodel
from catalog.records import DATASET, LENS, SCHEMA
from catalog.store import Found, Repo, Store
from catalog.syntax import Did
from tests.hostilerecords import PAYLOADS, hostile_records
from tests.sitecatalog import COMMIT, SEEN, SOURCE, build, dataset, fill, mkdocs, schema, uri

if TYPE_CHECKING:
    from catalog.atproto.datamodel import Json

ROOT = Path(__file__).parents[1]

PLAIN = """\
site_name: Plain
theme: material
plugins:
  - catalog: {store: store.sqlite, sources: [pds: "https://pds.example"], crawl: false}
"""
"""Minimal settings: neither a palette nor a site address."""

THEMED = """\
site_name: Themed
site_url: https://tides.example/
theme:
  name: material
  font: false
  features:
    - announce.dismiss
    - content.code.annotate
    - content.code.copy
    - content.tabs.link
    - content.tooltips
    - header.autohide
    - navigation.footer
    - navigation.indexes
    - navigation.path
    - navigation.sections
    - navigation.tabs
    - navigation.tabs.sticky
    - navigation.top
    - search.highlight
    - search.suggest
    - toc.follow
  palette:
    - {media: "(prefers-color-scheme)", toggle: {icon: material/brightness-auto, name: light}}
    - {media: "(prefers-color-scheme: light)", scheme: default, primary: light green, accent: lime,
       toggle: {icon: material/brightness-7, name: dark}}
    - {media: "(prefers-color-scheme: dark)", scheme: slate, primary: black, accent: amber,
       toggle: {icon: material/brightness-4, name: as the system}}
extra:
  social: [{icon: material/email, link: "mailto:tides@tides.example", name: Write to us}]
copyright: Copyright &copy; the harbours
markdown_extensions:
  - admonition
  - attr_list
  - footnotes
  - toc: {permalink: true}
  - pymdownx.details
  - pymdownx.superfences
  - pymdownx.tabbed: {alternate_style: true}
  - pymdownx.tasklist: {custom_checkbox: true}
plugins:
  - search
  - catalog: {store: store.sqlite, sources: [pds: "https://pds.example"], crawl: false, search: false}
"""
"""Settings that enable every feature of the theme: its own search, its switches, its Markdown extensions."""

GUIDE = """\
# Guide

See [the datasets](datasets/index.md) and what they hold.[^1]

[^1]: In a footnote.

## How

!!! note "Mind the tide"
    It waits for nobody.

??? tip "More"
    There is more.

=== "One"
    ```python
    print("one")
    ```

=== "Two"
    ```python
    print("two, in a line that is wider than any telephone and wider than most desks, for it goes on and on and on")
    ```

- [x] read
- [ ] understood

| port | tides | and more | of what makes | a table | wider than a telephone |
|---|---|---|---|---|---|
| Leith | two a day, unless the moon | is where it never is | in any year | that we know of | at all |
"""

_DESCRIPTION = """\
What a description may hold: *emphasis*, **strength**, `code`, [a link](https://waves.example) and

# A heading

- a list
- of two

1. numbered

> quoted words

| port | tides |
|---|---|
| Leith | 2 |

```
some code, as wide as a line of code may become when nobody breaks it at all, on and on and on and on and on and on
```
"""


def variety() -> list[tuple[str, str, dict[str, Json]]]:
    """Records that bring out what a page shows only sometimes: each storage, long lists, metadata, what is missing."""
    metadata = {
        "homepage": "https://waves.example/tides", "creators": ["Ada Example", "Grace Example"],
        "citation": "@misc{tides,\n  title = {Tides}\n}", "note": "word " * 200, "nested": {"a": [1, 2, {"b": None}]},
    }  # fmt: skip
    checksum: Json = {"algorithm": "sha256", "digest": "cd" * 32}
    blob: Json = {"$type": "blob", "mimeType": "application/x-tar", "size": 1024,
            "ref": {"$link": str(datamodel.record_cid({}))}}  # fmt: skip
    storages: dict[str, Json] = {
        "s3": {"$type": "science.alt.dataset.storageS3", "bucket": "tides", "region": "eu-north-1",
               "endpoint": "https://s3.example", "shards": [{"key": "a-000000.tar", "checksum": checksum}]},
        "blobs": {"$type": "science.alt.dataset.storageBlobs", "blobs": [{"blob": blob, "checksum": checksum}]},
        "external": {"$type": "science.alt.dataset.storageExternal",
                     "urls": ["https://data.example/t-{000000..000002}.tar"]},
        "unknown": {"$type": "org.example.storageTape", "shelf": 4},
    }  # fmt: skip
    found = [
        (DATASET, f"3kstorage{name}", dataset(1, name=f"Tides on {name}", storage=storage))
        for name, storage in storages.items()
    ]
    many: Json = {
        "$type": "science.alt.dataset.storageHttp",
        "shards": [{"url": f"https://data.example/many-{i:06d}.tar", "checksum": checksum} for i in range(400)],
    }
    code: Json = {
        "repository": "https://git.example/waves", "commit": COMMIT, "path": "waves/lens.py:loud", "branch": "main",
        "language": "python",
    }  # fmt: skip
    nowhere = str(uri(SCHEMA, "Nowhere:1.0.0"))
    return [
        *found,
        (DATASET, "3kmany", dataset(2, name="Tides in many shards", storage=many)),
        (DATASET, "3kfull", dataset(
            3, name="Tides with everything told", description=_DESCRIPTION,
            tags=["audio", "ocean", "a tag of several words", "ünïcödé", "50%/?&#"],
            metadata=datamodel.bytes_json(msgpack.packb(metadata)), contentMetadata={"instrument": "hydrophone"},
        )),
        (DATASET, "3kbare", {
            key: value for key, value in dataset(4, name="Tides with little told", schemaRef=nowhere).items()
            if key not in {"description", "license", "tags", "size"}
        }),
        (SCHEMA, "Wave:2.0.0", schema(version="2.0.0", description=_DESCRIPTION)),
        (SCHEMA, "Other:1.0.0", schema(name="Other")),
        (LENS, "3klensaway", {
            "$type": LENS, "name": "to elsewhere", "sourceSchema": str(uri(SCHEMA, "Other:1.0.0")),
            "targetSchema": nowhere, "getterCode": code, "putterCode": code, "createdAt": "2026-11-03T12:00:00.000Z",
        }),
    ]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltSite:
    """A site as a host serves it: ``folder`` has its files, at ``path`` (``catalog/`` or empty) of ``host``."""

    host: Path
    path: str = ""

    @property
    def folder(self) -> Path:
        return self.host / self.path


def build_varied(work: Path) -> BuiltSite:
    """A catalog with published records of every kind, more datasets than a listing's page holds; under a sub-path."""
    build(work, datasets=105, extra=variety())
    return _under(work, "catalog/")


def build_plain(work: Path) -> BuiltSite:
    """The same records in a site that sets nothing but the theme, at its host's root."""
    fill(work / "store.sqlite", datasets=4, extra=variety())
    _make(work, PLAIN)
    return BuiltSite(host=work / "site")


def build_example(work: Path) -> BuiltSite:
    """The catalog of this repository, with a store of its own; under a sub-path."""
    settings = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    here = f"INHERIT: {ROOT / 'mkdocs.yml'}\ndocs_dir: {ROOT / 'docs'}\nsite_url: https://tides.example/example/\n"
    store = settings.replace("store: .catalog/catalog.sqlite", f"store: {work / 'store.sqlite'}")
    assert store != settings, "mkdocs.yml names its store"
    plugins = store[store.index("plugins:") :].split("\n\n")[0]
    _make(work, here + plugins.replace("examples/manifests", str(ROOT / "examples/manifests")) + "\n")
    return _under(work, "example/")


def build_themed(work: Path) -> BuiltSite:
    """A site whose owner has the theme do all it can, its own search included; at its host's root."""
    fill(work / "store.sqlite", datasets=4, extra=variety())
    (work / "docs").mkdir()
    (work / "docs" / "guide.md").write_text(GUIDE, encoding="utf-8")
    _make(work, THEMED)
    return BuiltSite(host=work / "site")


def build_hostile(work: Path) -> BuiltSite:
    """One account for each kind of hostile text, with every kind of record; at its host's root."""
    with Store.open(work / "store.sqlite") as store:
        store.configure([SOURCE], [])
        for letter, text in zip("abcdefghijklmnopqrstuvwxyz", PAYLOADS.values(), strict=False):
            did = Did.parse("did:plc:" + letter * 24)
            found = [
                Found(uri=uri(collection, rkey, did), cid=datamodel.record_cid(value), value=value)
                for collection, rkey, bare in hostile_records(str(did), text)
                for value in [{"$type": collection, **bare}]
            ]
            store.replace(Repo(did=did, source=SOURCE, rev="3kaaaaaaaaa2z"), found, [], moment=SEEN)
    _make(work, PLAIN)
    return BuiltSite(host=work / "site")


def _make(work: Path, settings: str) -> None:
    (work / "mkdocs.yml").write_text(settings, encoding="utf-8")
    (work / "docs").mkdir(exist_ok=True)
    done = mkdocs(work)
    assert done.returncode == 0, done.stderr


def _under(work: Path, path: str) -> BuiltSite:
    (work / "host").mkdir()
    (work / "site").rename(work / "host" / path.rstrip("/"))
    return BuiltSite(host=work / "host", path=path)
