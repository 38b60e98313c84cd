"""Drafts from code: the same drafts as a manifest's, with the same mistakes refused.

What YAML checks while it reads is checked here: text that is blank or no text, versions, addresses, commits, things
that stand twice. The lexicons' rules come later, for both, in :meth:`~catalog.manifest.ManifestSet.records`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final

from catalog.errors import InvalidManifest, InvalidSyntax
from catalog.manifest import BucketDraft, DatasetDraft, LensDraft, ManifestSet, SchemaDraft, SchemaKey, ShardDraft
from catalog.manifest.diagnostics import Report, place, shown
from catalog.manifest.reader import COMMIT
from catalog.manifest.shards import MAX_SHARDS, https_fault
from catalog.records import SCHEMA, schema_rkey
from catalog.schema import MAX_FIELDS
from catalog.syntax.semver import SEMVER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from catalog.atproto.datamodel import Json
    from catalog.manifest.drafts import SchemaRef
    from catalog.records import CodeReference
    from catalog.samples.publishing import Place, PublishedShard
    from catalog.schema import SampleType
    from catalog.syntax import AtUri

__all__ = ["Drafting"]

_SHA256: Final = re.compile(r"[0-9a-fA-F]{64}")
_S3: Final = "s3://"
_NESTING: Final = 16
"""As deep as readers of metadata go."""


class Drafting:
    """Collects the drafts of one call, all at one place in the user's code; then :meth:`finish`."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._report = Report(place.file)
        self._schemas: dict[SchemaKey, SchemaDraft] = {}
        self._datasets: list[DatasetDraft] = []
        self._lenses: list[LensDraft] = []

    def finish(self) -> ManifestSet:
        """All of it, as a set of manifests. Raises :class:`~catalog.errors.InvalidManifest` with every mistake."""
        faults = self._report.faults()
        if faults:
            raise InvalidManifest(faults)
        return ManifestSet(
            files=(self._place.file,),
            schemas=tuple(self._schemas.values()),
            datasets=tuple(self._datasets),
            lenses=tuple(self._lenses),
        )

    # --- schemas -------------------------------------------------------------------------------------------------

    def schema(
        self, sample_type: SampleType, *, license_: str | None = None, tags: Sequence[str] = (), implied: bool = False
    ) -> SchemaKey:
        """A schema; an ``implied`` one is only referred to, see :class:`SchemaDraft`."""
        key = SchemaKey(name=sample_type.name, version=sample_type.version)
        known = self._schemas.get(key)
        if known is not None:
            if known.sample_type.fields != sample_type.fields:
                self._add(f"two different schemas {shown(str(key))!r}", "give one of them another version")
            return key
        self._text("the schema's name", sample_type.name)
        self._version("the schema's version", sample_type.version)
        self._text("the schema's description", sample_type.description)
        self._text("the schema's license", license_)
        self._fields(sample_type)
        try:
            schema_rkey(key.name, key.version)
        except (InvalidSyntax, TypeError) as error:
            self._add(f"{shown(str(key))!r} makes no record key: {shown(str(error), 200)}")
        self._schemas[key] = SchemaDraft(
            file=self._place.file,
            line=self._place.line,
            lines={},
            sample_type=sample_type,
            license=license_,
            tags=self._tags(tags),
            implied=implied,
        )
        return key

    def _fields(self, sample_type: SampleType) -> None:
        if not 0 < len(sample_type.fields) <= MAX_FIELDS:
            self._add(f"{len(sample_type.fields)} fields; a schema has 1 to {MAX_FIELDS:,}")
        for field in sample_type.fields:
            if not field.name.strip():
                self._add("a field without a name")

    def _ref(self, what: str, schema: AtUri | SampleType) -> SchemaRef:
        if not isinstance(schema, str):
            return self.schema(schema, implied=True)
        if schema.collection != SCHEMA or schema.rkey is None:
            self._add(f"{what}: {shown(schema, 200)!r} is not the address of a schema", f"at://did:plc:…/{SCHEMA}/…")
        return schema

    # --- datasets ------------------------------------------------------------------------------------------------

    def dataset(
        self,
        *,
        name: str,
        schema: AtUri | SampleType,
        shards: Sequence[PublishedShard],
        samples: int | None,
        version: str | None,
        description: str | None,
        license_: str | None,
        tags: Sequence[str],
        metadata: Mapping[str, object],
        content_metadata: Json,
    ) -> None:
        """A dataset."""
        self._text("the dataset's name", name)
        self._version("the dataset's version", version)
        self._text("the dataset's description", description)
        self._text("the dataset's license", license_)
        self._count("samples", samples)
        reference = self._ref("schema", schema)
        bucket = self._bucket(shards)
        drafts = tuple(self._shard(shard, bucket) for shard in shards)
        self._datasets.append(
            DatasetDraft(
                file=self._place.file,
                line=self._place.line,
                lines={},
                name=name,
                schema=reference,
                shards=drafts,
                bucket=bucket,
                version=version,
                description=description,
                license=license_,
                tags=self._tags(tags),
                samples=samples,
                metadata=self._metadata(metadata),
                content_metadata=content_metadata,
            )
        )

    def _bucket(self, shards: Sequence[PublishedShard]) -> BucketDraft | None:
        """The one bucket of shards in S3; None for shards at https addresses."""
        if not shards:
            self._add("a dataset without shards", "name at least one")
        if len(shards) > MAX_SHARDS:
            self._add(f"{len(shards):,} shards; the most is {MAX_SHARDS:,}", "make larger ones")
        urls = [shard.url for shard in shards]
        for url, count in Counter(urls).items():
            if count > 1:
                self._add(f"the URL {shown(url)!r} stands twice")
        buckets = {
            BucketDraft(
                name=shard.url.removeprefix(_S3).partition("/")[0], region=shard.region, endpoint=shard.endpoint
            )
            for shard in shards
            if shard.url.startswith(_S3)
        }
        if not buckets:
            return None
        if len(buckets) > 1 or not all(url.startswith(_S3) for url in urls):
            self._add("shards in more than one place", "a record names one bucket, or https addresses")
        bucket = min(buckets, key=str)
        if bucket.endpoint is not None and (fault := https_fault(bucket.endpoint)) is not None:
            self._add(f"the endpoint {fault[0]}", fault[1])
        return bucket

    def _shard(self, shard: PublishedShard, bucket: BucketDraft | None) -> ShardDraft:
        url = shard.url
        if bucket is not None:
            url = url.removeprefix(_S3).partition("/")[2]
            if not bucket.name or not url:
                self._add(f"{shown(shard.url)!r} names no key in a bucket", "s3://bucket/key")
        elif (fault := https_fault(url)) is not None:
            self._add(*fault)
        if shard.sha256 is not None and not _SHA256.fullmatch(shard.sha256):
            self._add(f"the SHA-256 of {shown(shard.url)!r} must be 64 hexadecimal digits")
        self._count("bytes", shard.bytes)
        return ShardDraft(
            url=url,
            line=self._place.line,
            local=None if shard.local is None else Path(shard.local),
            sha256=None if shard.sha256 is None else shard.sha256.lower(),
            bytes=shard.bytes,
        )

    def _metadata(self, metadata: Mapping[str, object]) -> dict[str, object]:
        plain = self._plain(metadata, 0)
        if isinstance(plain, dict):
            return plain
        self._add(f"'metadata' must be a map, not {type(metadata).__name__}")
        return {}

    def _plain(self, value: object, depth: int) -> object:
        """As YAML would have it: dates as text, maps with text keys."""
        if depth > _NESTING:
            self._add(f"'metadata' is nested deeper than {_NESTING}")
            return None
        if isinstance(value, Mapping):
            for key in value:
                if not isinstance(key, str):
                    self._add(f"'metadata' has the key {shown(repr(key))}; keys are text")
            return {str(key): self._plain(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._plain(item, depth + 1) for item in value]
        return value.isoformat() if isinstance(value, date) else value

    # --- lenses --------------------------------------------------------------------------------------------------

    def lens(
        self,
        *,
        name: str,
        source: AtUri | SampleType,
        target: AtUri | SampleType,
        getter: CodeReference,
        putter: CodeReference,
        description: str | None,
    ) -> None:
        """A lens."""
        self._text("the lens's name", name)
        self._text("the lens's description", description)
        for what, code in (("getter", getter), ("putter", putter)):
            if (fault := https_fault(code.repository)) is not None:
                self._add(f"{what}: {fault[0]}", fault[1])
            if not COMMIT.fullmatch(code.commit):
                self._add(f"{what}: the commit must be 40 hexadecimal digits, lower case", "a branch or tag can move")
            if not all(code.path.rpartition(":")[::2]):
                self._add(f"{what}: {shown(code.path)!r} names no function", "lenses/digits.py:flatten")
        self._lenses.append(
            LensDraft(
                file=self._place.file,
                line=self._place.line,
                lines={},
                name=name,
                source=self._ref("source", source),
                target=self._ref("target", target),
                getter=getter,
                putter=putter,
                description=description,
            )
        )

    # --- values --------------------------------------------------------------------------------------------------

    def _add(self, message: str, hint: str | None = None) -> None:
        self._report.add(self._place.line, message, hint)

    def _text(self, what: str, value: object) -> None:
        if value is not None and not isinstance(value, str):
            self._add(f"{what} must be text, not {type(value).__name__}")
        elif value is not None and not value.strip():
            self._add(f"{what} is blank")

    def _version(self, what: str, value: str | None) -> None:
        if value is not None and (not isinstance(value, str) or not SEMVER.fullmatch(value)):
            hint = "MAJOR.MINOR.PATCH, such as 1.0.0: https://semver.org"
            self._add(f"{what} {shown(str(value))!r} is not a semantic version", hint)

    def _count(self, what: str, value: object) -> None:
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
            self._add(f"{what!r} must be a whole number that is not negative, not {shown(repr(value))}")

    def _tags(self, tags: Sequence[str]) -> tuple[str, ...]:
        if isinstance(tags, str):
            self._add(f"'tags' must be a list, not the text {shown(tags)!r}", f"tags=[{shown(tags)!r}]")
            return ()
        for tag in tags:
            self._text("a tag", tag)
        if len({str(tag) for tag in tags}) < len(tags):
            self._add("a tag stands twice")
        return tuple(tags)

    def __repr__(self) -> str:
        """With the place it is for."""
        return f"Drafting({place(self._place.file, self._place.line)})"
