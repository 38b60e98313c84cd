"""Drafts: typed descriptions of a schema, dataset, label, lens or verification, with file and line.

Publishing from code makes the same drafts, with the caller's file and line and empty ``lines``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from catalog.atproto.datamodel import Json
    from catalog.records import CodeReference, ManifestRef, Split
    from catalog.schema import SampleType
    from catalog.syntax import AtUri, Cid


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaKey:
    """A schema of the same set of manifests, written ``Name@1.0.0``."""

    name: str
    version: str

    def __str__(self) -> str:
        """Return the form used in manifests."""
        return f"{self.name}@{self.version}"


SchemaRef: TypeAlias = "SchemaKey | AtUri"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Placed:
    """Position of a draft; ``lines`` has the line of each value by path (``getter.commit``)."""

    file: Path
    line: int
    lines: Mapping[str, int] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaDraft(_Placed):
    """One version of a schema.

    An ``implied`` one is only referred to by a dataset or lens: a published one with the same fields serves, whatever
    its descriptions, licence and tags.
    """

    sample_type: SampleType
    license: str | None = None
    tags: tuple[str, ...] = ()
    implied: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardDraft:
    """One shard, patterns expanded. ``sha256`` (lower-case hex) and ``bytes`` as stated; ``local`` is a copy.

    ``url`` is the key for a dataset in a bucket, the file's path in the manifest for one in blobs. ``manifest`` are the
    files of its shard manifest, header and table, if the shard was read and its dataset has ``manifests``.
    """

    url: str
    line: int
    local: Path | None = None
    sha256: str | None = None
    bytes: int | None = None
    manifest: tuple[Path, Path | None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketDraft:
    """An S3 bucket; ``endpoint`` for a compatible store."""

    name: str
    region: str | None = None
    endpoint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetDraft(_Placed):
    """A dataset; with a ``version`` also a label ``name@version``. ``metadata`` has plain values, dates as ISO text.

    Its shards are at https URLs, or under keys of the ``bucket``, or (``as_blobs``) files to upload. ``sample_format``
    is ``None`` if it isn't stated: that of the shards where they are read, else ``msgpack``. ``manifests``: a shard
    manifest is published for each shard; ``published_manifests`` are those of the same shards in the published record.
    """

    name: str
    schema: SchemaRef
    shards: tuple[ShardDraft, ...]
    bucket: BucketDraft | None = None
    as_blobs: bool = False
    version: str | None = None
    description: str | None = None
    license: str | None = None
    tags: tuple[str, ...] = ()
    samples: int | None = None
    sample_format: str | None = None
    splits: tuple[Split, ...] = ()
    metadata: Mapping[str, object]
    content_metadata: Json = None
    manifests: bool = False
    published_manifests: tuple[ManifestRef, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelDraft(_Placed):
    """A label for a dataset: one of the set by name, or a published one by URI."""

    name: str
    dataset: str | AtUri
    version: str | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LensDraft(_Placed):
    """A lens between two schemas."""

    name: str
    source: SchemaRef
    target: SchemaRef
    getter: CodeReference
    putter: CodeReference
    description: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationDraft(_Placed):
    """A verification of a lens: one of the set by name, or a published one by URI and ``lens_commit``."""

    lens: str | AtUri
    method: str
    lens_commit: Cid | None = None
    description: str | None = None


Draft: TypeAlias = SchemaDraft | DatasetDraft | LabelDraft | LensDraft | VerificationDraft
