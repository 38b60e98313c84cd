"""The five record kinds as typed values, and their collections."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypeAlias

from catalog.errors import InvalidSyntax
from catalog.syntax import AtUri, Cid, Datetime, RecordKey
from catalog.syntax.semver import semver_key

if TYPE_CHECKING:
    from catalog.atproto.datamodel import Json
    from catalog.schema import SampleType
    from catalog.syntax.semver import SemverKey

_NS: Final = "science.alt.dataset."
SCHEMA: Final = _NS + "schema"
DATASET: Final = _NS + "entry"
LENS: Final = _NS + "lens"
LABEL: Final = _NS + "label"
VERIFICATION: Final = _NS + "lensVerification"
KINDS: Final = {SCHEMA: "schema", DATASET: "dataset", LENS: "lens", LABEL: "label", VERIFICATION: "verification"}
"""The names of the collections' records in messages and searches."""
COLLECTIONS: Final = tuple(KINDS)

JSON_SCHEMA_FORMAT: Final = SCHEMA + "#jsonSchemaFormat"
STORAGE_HTTP: Final = _NS + "storageHttp"
STORAGE_S3: Final = _NS + "storageS3"
STORAGE_BLOBS: Final = _NS + "storageBlobs"
STORAGE_EXTERNAL: Final = _NS + "storageExternal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checksum:
    """A digest of a shard's bytes, as lower-case hex."""

    algorithm: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpShard:
    """A shard at a URL, in which braces are literal."""

    url: str
    checksum: Checksum | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpStorage:
    """Shards at https URLs."""

    shards: tuple[HttpShard, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Shard:
    """A shard with a key in a bucket."""

    key: str
    checksum: Checksum | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Storage:
    """Shards in a bucket of S3, or of a compatible store with an ``endpoint``."""

    bucket: str
    shards: tuple[S3Shard, ...]
    region: str | None = None
    endpoint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobShard:
    """A shard stored as a blob on the publisher's PDS. ``size`` is in bytes."""

    cid: Cid
    mime_type: str
    size: int | None = None
    checksum: Checksum | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobStorage:
    """Shards stored as blobs."""

    blobs: tuple[BlobShard, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalStorage:
    """Deprecated but still in use: URLs in which braces are a pattern."""

    urls: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownStorage:
    """A storage of an unrecognised ``$type``."""

    type: str


Storage: TypeAlias = HttpStorage | S3Storage | BlobStorage | ExternalStorage | UnknownStorage


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """The numbers of samples, bytes and shards of a dataset; ``None`` if not in the record."""

    samples: int | None = None
    bytes: int | None = None
    shards: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeReference:
    """Code in a git repository, pinned to a commit. ``path`` is ``file.py:function`` or ``module:function``."""

    repository: str
    commit: str
    path: str
    branch: str | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """A published sample type."""

    sample_type: SampleType
    created_at: Datetime
    license: str | None = None
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """A named part of a dataset, such as ``train``: the indices of its shards. A shard may be in several splits."""

    name: str
    shards: tuple[int, ...]
    samples: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """A file on the publisher's PDS. ``size`` is in bytes."""

    cid: Cid
    size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestRef:
    """The manifest of a shard: a JSON header, and perhaps a Parquet table with a row a sample."""

    header: Blob
    samples: Blob | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A published dataset (lexicon ``entry``). ``metadata`` is the decoded msgpack map, empty when absent.

    ``sample_format`` is the format of the shards, ``msgpack`` when absent. Unknown names are kept. ``manifests`` are in
    the order of the shards.
    """

    name: str
    schema_ref: AtUri
    storage: Storage
    created_at: Datetime
    description: str | None = None
    license: str | None = None
    tags: tuple[str, ...] = ()
    size: Size | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)
    metadata_schema_ref: AtUri | None = None
    content_metadata: Json = None
    sample_format: str = "msgpack"
    splits: tuple[Split, ...] = ()
    manifests: tuple[ManifestRef, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lens:
    """A two-way transformation between two schemas; its code is a pinned reference."""

    name: str
    source: AtUri
    target: AtUri
    getter: CodeReference
    putter: CodeReference
    created_at: Datetime
    description: str | None = None
    source_version: str | None = None
    target_version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A name, perhaps with a version, for a dataset record."""

    name: str
    dataset: AtUri
    created_at: Datetime
    version: str | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LensVerification:
    """A statement that a lens is correct, for one version (``lens_commit``, a CID) of its record."""

    lens: AtUri
    lens_commit: str
    method: str
    created_at: Datetime
    description: str | None = None


Record: TypeAlias = Schema | Dataset | Lens | Label | LensVerification


def label_order(created_at: str, version: str | None, uri: str) -> tuple[datetime, SemverKey, str]:
    """Return the sort key of labels of one name; the greatest is the newest, to which the name alone resolves.

    That is the label that was created last, as the lexicon of ``resolveLabel`` has it; of equal times the highest
    version by semver, then the greatest URI. An invalid time is before all others.
    """
    try:
        created = Datetime.parse(created_at).moment
    except InvalidSyntax:
        created = datetime.min.replace(tzinfo=UTC)
    return created, semver_key(version or ""), uri


def schema_rkey(name: str, version: str) -> RecordKey:
    """Return the record key of a schema version: ``Name:1.0.0``.

    Creating the same version twice then fails on the server, so versions are immutable. Characters that a record key
    doesn't allow (also semver's ``+``) become ``_``. Raises :class:`InvalidSyntax` if the key is too long.
    """
    return RecordKey.parse(re.sub(r"[^A-Za-z0-9._~-]", "_", name) + ":" + re.sub(r"[^A-Za-z0-9._~-]", "_", version))
