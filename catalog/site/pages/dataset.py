"""A dataset's page: description, programs that load it, schema and storage."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from catalog.codegen import load_snippets, shortest_snippet
from catalog.records import BlobStorage, HttpStorage, S3Storage
from catalog.shards.locations import expanded
from catalog.site import addresses, markup
from catalog.site import load_code as load
from catalog.site.citation import citation, own_citation
from catalog.site.exports import deposit, jsonld
from catalog.site.exports.croissant import croissant
from catalog.site.exports.meta_tags import JSON, JSON_LD, alternate, signposts
from catalog.site.field_statistics import statistics_rows
from catalog.site.pages.row_viewer import row_viewer

if TYPE_CHECKING:
    from catalog.atproto.datamodel import Json
    from catalog.records import Checksum, Split
    from catalog.site.templates import Page, Templates
    from catalog.store.graph import DatasetNode

_MOST_METADATA: Final = 50_000
"""Maximum characters of metadata on a page."""
_MOST_KEYS: Final = 200
_LONGEST_KEY: Final = 500
_MOST_SPLITS: Final = 100
_MOST_SHARDS: Final = 6
"""Rows of the storage table; a script adds the others from the record beside the page on request."""
_FORMATS: Final = {
    "msgpack": None,
    "webdataset": "WebDataset",
    "parquet": "Parquet",
    "csv": "CSV",
    "jsonl": "JSON Lines",
}


ROWS: Final = "rows/"
"""The folder of the row index, beside the page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardRow:
    """A row of the storage table. ``size`` in bytes."""

    place: str
    checksum: str | None = None
    size: int | None = None


def dataset_page(templates: Templates, node: DatasetNode) -> Page:
    """Return the page of a dataset."""
    record = node.record
    files: list[tuple[str, str | bytes]] = []
    shards = shard_rows(node)
    sample_type = node.schema.record.sample_type if node.schema is not None else None
    local = _local(node, templates.settings.base)
    urls = tuple(row.place for row in shards if row.place.startswith("s3://") or markup.is_web(row.place))
    # A draft has no address on the network: its snippet opens the shards themselves.
    uri = None if node.draft else str(node.uri)
    opens = bool(local or urls or uri)
    snippet = shortest_snippet(record.name, uri, sample_type, urls, local=local) if opens else None
    programs = None
    if load.own_programs(node) and opens:
        snippets = load_snippets(record.name, uri, sample_type, urls, local=local, sample_format=record.sample_format)
        ways = tuple(snippet.label for snippet in snippets[1:])
        programs = load.programs_text(snippets)
    else:
        ways = load.ways(node)
    preview = None if templates.previews is None else templates.previews.of(node)
    cited = own_citation(record.metadata) is not None
    page_url = templates.settings.absolute(addresses.of_record("dataset", node.publisher.did, node.rkey))
    cite = citation(node, page_url) if cited or not node.draft else None
    head = alternate(JSON_LD, "croissant.json")
    files.append(("croissant.json", croissant(node, templates.settings, cite)))
    if "ro-crate" in templates.settings.formats and not node.draft:
        head += alternate(JSON_LD, deposit.RO_CRATE)
        files.append((deposit.RO_CRATE, deposit.ro_crate(node, templates.settings)))
    if "datacite" in templates.settings.formats and not node.draft:
        head += alternate(JSON, deposit.DATACITE)
        files.append((deposit.DATACITE, deposit.datacite(node, templates.settings)))
    head += signposts(node, templates.settings, "../../../")
    head += jsonld.script(jsonld.dataset_jsonld(node, templates.settings))
    if preview is not None and not isinstance(preview, str):
        files.extend(preview.files)
    manifests = None if templates.previews is None else templates.previews.manifests_of(node)
    rows = {} if manifests is None or node.draft else manifests.index
    files.extend((ROWS + name, raw) for name, raw in rows.items())
    return templates.record_page(
        node,
        head=head,
        files=tuple(files),
        preview=preview,
        statistics=() if manifests is None else statistics_rows(manifests.statistics),
        counted_samples=0 if manifests is None else manifests.samples,
        rows=row_viewer(node, templates.settings.row_hosts, index=ROWS if rows else None),
        fields=templates.fields(node.schema) if node.schema is not None else None,
        shards=shards[:_MOST_SHARDS],
        shard_total=len(shards),
        patterns=expanded(record.storage, strict=False) is not record.storage,
        splits=_split_rows(record.splits, len(shards)),
        storage=type(record.storage).__name__,
        sample_format=None
        if record.sample_format == "msgpack"
        else _FORMATS.get(record.sample_format, record.sample_format),
        snippet=snippet,
        here=bool(local),
        programs_file=load.folder_of(node) + load.FILE,
        programs=programs,
        ways=ways,
        formats=tuple(
            name for name in ("ro-crate", "datacite") if name in templates.settings.formats and not node.draft
        ),
        cite=cite,
        metadata=_readable({key: value for key, value in record.metadata.items() if not (cited and key == "citation")}),
        content=_readable(record.content_metadata) if isinstance(record.content_metadata, dict) else (),
        related=node.related,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitRow:
    """A row of the table of splits: the number of shards, and of samples if it is known."""

    name: str
    shards: int
    samples: int | None


def _split_rows(splits: tuple[Split, ...], total: int) -> tuple[SplitRow, ...]:
    """Return the splits for the page, at most :data:`_MOST_SPLITS`; numbers of shards that aren't there don't count."""
    return tuple(
        SplitRow(name=split.name, shards=sum(number < total for number in split.shards), samples=split.samples)
        for split in splits[:_MOST_SPLITS]
    )


def _local(node: DatasetNode, base: Path | None) -> tuple[str, ...]:
    """Return a draft's shards relative to the catalog's folder, whose location is not disclosed."""
    if base is None or not node.draft:
        return ()
    return tuple(path.relative_to(base).as_posix() for path in node.local if path.is_relative_to(base))


def shard_rows(node: DatasetNode) -> list[ShardRow]:
    """Return the shards of a dataset, for every storage type. Patterns are expanded; those of too many are left out."""
    storage = expanded(node.record.storage, strict=False)
    match storage:
        case HttpStorage():
            return [ShardRow(place=s.url, checksum=_checksum(s.checksum)) for s in storage.shards]
        case S3Storage():
            base = f"s3://{storage.bucket}/"
            return [ShardRow(place=base + s.key, checksum=_checksum(s.checksum)) for s in storage.shards]
        case BlobStorage():
            return [
                ShardRow(place=str(blob.cid), checksum=_checksum(blob.checksum), size=blob.size)
                for blob in storage.blobs
            ]
        case _:
            return []


def _checksum(checksum: Checksum | None) -> str | None:
    return None if checksum is None else f"{checksum.algorithm}:{checksum.digest}"


def _readable(metadata: Mapping[str, object] | dict[str, Json]) -> tuple[tuple[str, str], ...]:
    """Return metadata as pairs of text; lists of strings are joined, everything else is JSON.

    Long values are cut; the record beside the page has all of them.
    """
    pairs: list[tuple[str, str]] = []
    left = _MOST_METADATA
    for key, value in metadata.items():
        if left <= 0 or len(pairs) == _MOST_KEYS:
            pairs.append(("…", f"{len(metadata) - len(pairs):,} more"))
            break
        words = _words(value)
        if len(words) > left:
            words = f"{words[:left]}… (cut after {left:,} of {len(words):,} characters)"
        left -= len(key) + len(words)
        pairs.append((key if len(key) <= _LONGEST_KEY else f"{key[:_LONGEST_KEY]}…", words))
    return tuple(pairs)


def _words(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(item, str) and "," not in item for item in value):
        return ", ".join(value)
    return json.dumps(value, ensure_ascii=False, indent=1, default=str)
