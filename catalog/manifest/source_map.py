"""Source map: from a path in a record to the line of the manifest."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from catalog.manifest.drafts import DatasetDraft

if TYPE_CHECKING:
    from catalog.manifest.drafts import Draft

_WIRE_TO_YAML: Final = (
    ("metadata.license", "license"),
    ("metadata.tags", "tags"),
    ("schemaRef", "schema"),
    ("sourceSchema", "source"),
    ("targetSchema", "target"),
    ("datasetUri", "dataset"),
    ("getterCode", "getter"),
    ("putterCode", "putter"),
    ("contentMetadata", "content_metadata"),
    ("sampleFormat", "format"),
    ("size.samples", "samples"),
    ("verificationMethod", "method"),
    ("lensCommit", "lens_commit"),
    ("schema.properties", "fields"),
    ("schema", "fields"),
)
_SHARD: Final = re.compile(r"storage\.(?:shards|blobs)\[([0-9]{1,9})\]")


def line_of(draft: Draft, path: str) -> int:
    """Return the line of the longest known part of a record's path (``getterCode.commit``, ``storage.shards[3].url``).

    Returns the draft's own line if no part is known.
    """
    wanted = path
    if isinstance(draft, DatasetDraft):
        match = _SHARD.match(path)
        if match and int(match[1]) < len(draft.shards):
            return draft.shards[int(match[1])].line
        if path == "storage" or path.startswith("storage."):
            kind = "blobs" if draft.as_blobs else "shards" if draft.bucket is None else "s3"
            wanted = kind + path.removeprefix("storage")
    for wire, yaml in _WIRE_TO_YAML:
        if path == wire or path.startswith((wire + ".", wire + "[")):
            wanted = yaml + path[len(wire) :]
            break
    while wanted:
        if wanted in draft.lines:
            return draft.lines[wanted]
        wanted = wanted[: max(wanted.rfind("."), wanted.rfind("["), 0)]
    return draft.line
