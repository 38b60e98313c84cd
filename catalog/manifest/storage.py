"""Storage of a dataset: https URLs, a bucket, or files that become blobs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from catalog.manifest.blobs import MAX_BLOB
from catalog.manifest.diagnostics import Report, shown
from catalog.manifest.drafts import BucketDraft, ShardDraft
from catalog.manifest.glob import named_files
from catalog.manifest.mapping import Table
from catalog.manifest.shards import check_path, digest_of, https_fault, key_fault, one_each, read_keys, read_shards

if TYPE_CHECKING:
    from catalog.manifest.yaml_parser import Node

KINDS: Final = ("shards", "s3", "blobs")
S3_KEYS: Final = ("bucket", "region", "endpoint", "keys", "local", "prefix")
BLOB_KEYS: Final = ("local", "sha256", "bytes")
_BUCKET: Final = re.compile(r"[A-Za-z0-9._-]+")
"""Every name that S3 and compatible stores have ever allowed for a bucket."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """The shards of a dataset, with their storage."""

    shards: tuple[ShardDraft, ...] = ()
    bucket: BucketDraft | None = None
    as_blobs: bool = False


def read_storage(dataset: Table, report: Report) -> Stored:
    """Read exactly one of ``shards``, ``s3`` and ``blobs``; mistakes go to ``report``."""
    there = sorted((key for key in KINDS if key in dataset.entries), key=dataset.line_of)
    if not there and dataset.readable and not dataset.misspelt.intersection(KINDS):
        report.add(dataset.line, f"{dataset.what} needs 'shards', 's3' or 'blobs'", "where its data is")
    for key in there[1:]:
        report.add(dataset.line_of(key), f"{key!r} beside {there[0]!r}", "a dataset's shards are in one place")
    stored = Stored()
    for key in there:
        if key == "shards":
            stored = Stored(shards=read_shards(dataset.items(key, required=True), report))
        elif (node := dataset.get(key)) is not None:
            stored = _read_s3(node, report) if key == "s3" else _read_blobs(node, dataset, report)
    return stored


def _read_s3(node: Node, report: Report) -> Stored:
    table = Table(node, "s3", S3_KEYS, report)
    name = table.text("bucket", 255, required=True)
    if name is not None and not _BUCKET.fullmatch(name):
        report.add(table.line_of("bucket"), f"{shown(name)!r} is not a bucket's name", "the name alone, without s3://")
    region, endpoint = table.text("region", 50), table.text("endpoint", 500)
    if region is not None and not region.strip():
        report.add(table.line_of("region"), "'region' is blank")
    if endpoint is not None and (fault := https_fault(endpoint)) is not None:
        report.add(table.line_of("endpoint"), *fault)
    there = sorted((key for key in ("keys", "local") if key in table.entries), key=table.line_of)
    misspelt = bool(table.misspelt.intersection(("keys", "local")))
    if not there and table.readable and not misspelt:
        report.add(table.line, "s3 needs 'keys' or 'local'", "its shards by their keys, or by copies of them")
    for key in there[1:]:
        report.add(table.line_of(key), f"{key!r} beside {there[0]!r}", "a key may have its own 'local'")
    if "prefix" in table.entries and "local" not in table.entries and not misspelt:
        report.add(table.line_of("prefix"), "'prefix' is for 'local'", "write it into the keys")
    shards = read_keys(table.items("keys", required=True), report) if "keys" in there else _of_copies(table, report)
    return Stored(shards=shards, bucket=BucketDraft(name=name or "", region=region, endpoint=endpoint))


def _of_copies(table: Table, report: Report) -> tuple[ShardDraft, ...]:
    """Return shards whose keys are the file names of their local copies."""
    pattern, prefix = table.text("local", 4096), table.text("prefix", 1000) or ""
    line = table.line_of("local")
    if (fault := key_fault(prefix + "x")) is not None:
        report.add(table.line_of("prefix"), *fault)
    if pattern is None or not check_path(pattern, line, report):
        return ()
    names = [(text, PurePosixPath(text).name) for text in named_files(pattern, line, report)]
    for text, name in names:
        if name in ("", ".."):
            report.add(line, f"{shown(text)!r} names no file")
    base = report.file.parent
    shards = [ShardDraft(url=prefix + name, line=line, local=base / text) for text, name in names]
    return one_each([shards], "key", report)


def _read_blobs(node: Node, dataset: Table, report: Report) -> Stored:
    nodes = dataset.items("blobs", required=True) if isinstance(node.value, list) else [node]
    what = "a blob" if isinstance(node.value, list) else "blobs"
    entries = (_read_blob(Table(entry, what, BLOB_KEYS, report), report) for entry in nodes)
    return Stored(shards=one_each(entries, "file", report), as_blobs=True)


def _read_blob(table: Table, report: Report) -> list[ShardDraft]:
    pattern, size = table.text("local", 4096, required=True), table.number("bytes")
    line = table.line_of("local")
    sha256 = digest_of(table, report)
    if size is not None and not 0 < size <= MAX_BLOB:
        hint = "make smaller shards, or put them at https addresses"
        report.add(table.line_of("bytes"), f"a blob of {size:,} bytes; 1 to {MAX_BLOB:,} are allowed", hint)
    if pattern is None or not check_path(pattern, line, report):
        return []
    names = named_files(pattern, line, report)
    if len(names) > 1 and (sha256 is not None or size is not None):
        key = "bytes" if sha256 is None else "sha256"
        hint = "list the blobs one by one, or leave it out"
        report.add(table.line_of(key), f"one {key!r} for {len(names):,} blobs", hint)
    base = report.file.parent
    return [ShardDraft(url=name, line=table.line, local=base / name, sha256=sha256, bytes=size) for name in names]
