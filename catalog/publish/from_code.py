"""Publish records from code: arguments become the same drafts as a manifest's, and take the same way to the account.

Here is checked what the YAML reader checks for manifests: blank text, versions, addresses, commits, duplicates.
:meth:`ManifestSet.records` checks the lexicons' rules for both.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeVar

from catalog.config import samples_to_compare
from catalog.errors import InvalidManifest, InvalidSyntax, PublishError, SessionError
from catalog.manifest import BucketDraft, DatasetDraft, LensDraft, ManifestSet, SchemaDraft, SchemaKey, ShardDraft
from catalog.manifest.diagnostics import Report, place, shown
from catalog.manifest.reader import code_faults, version_fault
from catalog.manifest.shards import MAX_SHARDS, https_fault, shard_url_fault
from catalog.publish.apply import apply_plan
from catalog.publish.plan import Action, make_plan
from catalog.records import DATASET, LENS, SCHEMA, schema_rkey
from catalog.samples.clients import NOTHING, Place
from catalog.schema import MAX_FIELDS, SampleType
from catalog.syntax import AtUri

if TYPE_CHECKING:
    from catalog.atproto.datamodel import Json
    from catalog.atproto.session import Session
    from catalog.manifest import DraftKey
    from catalog.manifest.drafts import SchemaRef
    from catalog.publish.plan import Plan
    from catalog.records import CodeReference, Split
    from catalog.samples.clients import PublishedShard

T = TypeVar("T")

_NO_SCHEMAS: Final[Mapping[AtUri, SampleType]] = MappingProxyType({})
_SHA256: Final = re.compile(r"[0-9a-fA-F]{64}")
_S3: Final = "s3://"
_MAX_DEPTH: Final = 16
"""Nesting of metadata that readers accept."""


def publish_drafts(
    manifests: ManifestSet, session: Session, published: Mapping[AtUri, SampleType] = _NO_SCHEMAS
) -> Plan:
    """Write the records that are not in the repository yet, and return the plan that was applied.

    Local shards are compared with the schema of their dataset, all samples or as many as CATALOG_COMPARE says;
    ``published`` are the schemas that datasets name by URI.

    Raises :class:`PublishError` if a record exists with other content, as code shows no plan before it writes.
    Otherwise raises as :func:`~catalog.publish.publish`.
    """
    plan = make_plan(manifests, session, compare=samples_to_compare(), published=published)
    lines = [
        f"{place(change.draft.file, change.draft.line)}: {change.name} is published with other content ({change.uri}); "
        "change published records with a manifest: `catalog plan` shows the changes"
        for change in plan.of(Action.UPDATE)
        if change.draft is not None
    ]
    if lines:
        raise PublishError("\n".join([*lines, "nothing was written"]))
    apply_plan(plan, session)
    return plan


class CodePublisher:
    """The publishing methods of :class:`catalog.client.Client`; see :class:`~catalog.samples.clients.CatalogClient`."""

    _session: Session | None

    def publish_schema(
        self,
        sample_type: SampleType,
        *,
        license: str | None = None,  # noqa: A002 - as records spell it
        tags: Sequence[str] = (),
        place: Place | None = None,
    ) -> AtUri:
        """Publish one version of a schema, and return its URI.

        A schema that exists with the same content is left unchanged. Raises :class:`~catalog.errors.PublishError` if
        it exists with other content, :class:`~catalog.errors.InvalidManifest` with every fault of the record,
        :class:`~catalog.errors.SessionError` without a login, or another :class:`~catalog.errors.NetworkError`.
        Messages begin with ``place``, by default the calling line.
        """
        drafts = self._drafts(place)
        key = drafts.add_schema(sample_type, license_=license, tags=tags)
        return self._publish(drafts, (SCHEMA, key.name, key.version))

    def publish_dataset(
        self,
        *,
        name: str,
        schema: AtUri | SampleType,
        shards: Sequence[PublishedShard],
        samples: int | None = None,
        version: str | None = None,
        description: str | None = None,
        license: str | None = None,  # noqa: A002 - as records spell it
        tags: Sequence[str] = (),
        metadata: Mapping[str, object] = NOTHING,
        content_metadata: Json = None,
        splits: Sequence[Split] = (),
        place: Place | None = None,
    ) -> AtUri:
        """Publish a dataset, its label if it has a ``version``, and its schema if a sample type is given.

        Returns the dataset's URI. ``samples`` is their number, ``metadata`` a map of any values, ``content_metadata``
        JSON for programs; ``splits`` name shards by their positions. Local shards are hashed, their samples counted and
        compared with the schema, and their format is recognised.

        Raises as :meth:`publish_schema`, :class:`~catalog.errors.InvalidManifest` also if a local shard differs from
        its checksum, its size or the schema.
        """
        drafts = self._drafts(place)
        bucket = drafts.bucket(shards)
        drafts.datasets.append(
            DatasetDraft(
                **drafts.position,
                name=drafts.text("the dataset's name", name),
                schema=drafts.schema_ref("schema", self._reference(schema)),
                shards=tuple(drafts.shard(shard, bucket) for shard in shards),
                bucket=bucket,
                version=drafts.version("the dataset's version", version),
                description=drafts.text("the dataset's description", description),
                license=drafts.text("the dataset's license", license),
                tags=drafts.tags(tags),
                samples=drafts.count("samples", samples),
                metadata=drafts.metadata(metadata),
                content_metadata=content_metadata,
                splits=tuple(splits),
            )
        )
        return self._publish(drafts, (DATASET, name, ""))

    def publish_lens(
        self,
        *,
        name: str,
        source: AtUri | SampleType,
        target: AtUri | SampleType,
        getter: CodeReference,
        putter: CodeReference,
        description: str | None = None,
        place: Place | None = None,
    ) -> AtUri:
        """Publish a lens, and its schemas if sample types are given, and return its URI.

        Raises as :meth:`publish_schema`.
        """
        drafts = self._drafts(place)
        drafts.lenses.append(
            LensDraft(
                **drafts.position,
                name=drafts.text("the lens's name", name),
                source=drafts.schema_ref("source", self._reference(source)),
                target=drafts.schema_ref("target", self._reference(target)),
                getter=drafts.code("getter", getter),
                putter=drafts.code("putter", putter),
                description=drafts.text("the lens's description", description),
            )
        )
        return self._publish(drafts, (LENS, name, ""))

    def _drafts(self, place: Place | None) -> _Drafts:
        if self._session is None:
            raise SessionError("publishing needs a login", hint="with Client.login('alice.example.org') as client:")
        return _Drafts(place or Place.of_caller())

    def _publish(self, drafts: _Drafts, key: DraftKey) -> AtUri:
        manifests = drafts.manifests()
        schemas = self._published_schemas(manifests)
        plan = publish_drafts(manifests, self._session, schemas)  # type: ignore[arg-type] # checked by _drafts
        return next(change.uri for change in plan.changes if change.key == key)

    def _reference(self, schema: object) -> AtUri | SampleType:
        """Return a schema argument: a sample type, or a URI with the DID. Raises :class:`TypeError` for a class."""
        if isinstance(schema, str):
            return self._by_did(AtUri.parse(schema))
        if not isinstance(schema, SampleType):
            message = f"a schema is a sample type or an at:// URI, not {type(schema).__name__}"
            raise TypeError(message)
        return schema

    def _by_did(self, uri: AtUri) -> AtUri:
        """Return the URI with the account's DID in place of its handle."""
        raise NotImplementedError

    def _published_schemas(self, manifests: ManifestSet) -> Mapping[AtUri, SampleType]:
        """Return the schemas that datasets with local shards name by URI."""
        raise NotImplementedError


class _Drafts:
    """The drafts of one call, all at one place in the user's code, and the mistakes in its arguments."""

    def __init__(self, place: Place) -> None:
        self.position: dict[str, Any] = {"file": place.file, "line": place.line, "lines": {}}
        """The fields that every draft has."""
        self._place = place
        self._report = Report(place.file)
        self._schemas: dict[SchemaKey, SchemaDraft] = {}
        self.datasets: list[DatasetDraft] = []
        self.lenses: list[LensDraft] = []

    def manifests(self) -> ManifestSet:
        """Return the drafts as a set of manifests. Raises :class:`InvalidManifest` with every mistake."""
        faults = self._report.faults()
        if faults:
            raise InvalidManifest(faults)
        return ManifestSet(
            files=(self._place.file,),
            schemas=tuple(self._schemas.values()),
            datasets=tuple(self.datasets),
            lenses=tuple(self.lenses),
        )

    def add_schema(
        self, sample_type: SampleType, *, license_: str | None = None, tags: Sequence[str] = (), implied: bool = False
    ) -> SchemaKey:
        """Add a schema; an ``implied`` one is only referred to, see :class:`SchemaDraft`."""
        key = SchemaKey(name=sample_type.name, version=sample_type.version)
        known = self._schemas.get(key)
        if known is not None:
            if known.sample_type.fields != sample_type.fields:
                self._add(f"two different schemas {shown(str(key))!r}", "give one of them another version")
            return key
        self.text("the schema's name", sample_type.name)
        self.version("the schema's version", sample_type.version)
        self.text("the schema's description", sample_type.description)
        if not 0 < len(sample_type.fields) <= MAX_FIELDS:
            self._add(f"{len(sample_type.fields)} fields; a schema has 1 to {MAX_FIELDS:,}")
        if not all(field.name.strip() for field in sample_type.fields):
            self._add("a field without a name")
        try:
            schema_rkey(key.name, key.version)
        except (InvalidSyntax, TypeError) as error:
            self._add(f"{shown(str(key))!r} makes no record key: {shown(str(error), 200)}")
        self._schemas[key] = SchemaDraft(
            **self.position,
            sample_type=sample_type,
            license=self.text("the schema's license", license_),
            tags=self.tags(tags),
            implied=implied,
        )
        return key

    def schema_ref(self, name: str, schema: AtUri | SampleType) -> SchemaRef:
        if not isinstance(schema, str):
            return self.add_schema(schema, implied=True)
        if schema.collection != SCHEMA or schema.rkey is None:
            self._add(f"{name}: {shown(schema, 200)!r} is not the URI of a schema", f"at://did:plc:…/{SCHEMA}/…")
        return schema

    def bucket(self, shards: Sequence[PublishedShard]) -> BucketDraft | None:
        """Return the one bucket of shards in S3, ``None`` for shards at https URLs."""
        if not shards:
            self._add("a dataset without shards", "name at least one")
        if len(shards) > MAX_SHARDS:
            self._add(f"{len(shards):,} shards; the most is {MAX_SHARDS:,}", "make larger ones")
        urls = [shard.url for shard in shards]
        for url, count in Counter(urls).items():
            if count > 1:
                self._add(f"duplicate URL {shown(url)!r}")
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
            self._add("shards in more than one place", "a record names one bucket, or https URLs")
        bucket = min(buckets, key=str)
        if bucket.endpoint is not None and (fault := https_fault(bucket.endpoint)) is not None:
            self._add(f"the endpoint {fault[0]}", fault[1])
        return bucket

    def shard(self, shard: PublishedShard, bucket: BucketDraft | None) -> ShardDraft:
        """Return the draft of a shard in ``bucket``, or at an https URL."""
        url = shard.url
        if bucket is not None:
            url = url.removeprefix(_S3).partition("/")[2]
            if not bucket.name or not url:
                self._add(f"{shown(shard.url)!r} names no key in a bucket", "s3://bucket/key")
        elif (fault := shard_url_fault(url, verified=bool(shard.sha256 or shard.local))) is not None:
            self._add(*fault)
        if shard.sha256 is not None and not _SHA256.fullmatch(shard.sha256):
            self._add(f"the SHA-256 of {shown(shard.url)!r} must be 64 hexadecimal digits")
        return ShardDraft(
            url=url,
            line=self._place.line,
            local=None if shard.local is None else Path(shard.local),
            sha256=None if shard.sha256 is None else shard.sha256.lower(),
            bytes=self.count("bytes", shard.bytes),
        )

    def metadata(self, metadata: Mapping[str, object]) -> dict[str, object]:
        """Return the values as YAML has them: dates as text, sequences as lists."""
        plain = self._plain(metadata, 0)
        if isinstance(plain, dict):
            return plain
        self._add(f"'metadata' must be a map, not {type(metadata).__name__}")
        return {}

    def _plain(self, value: object, depth: int) -> object:
        if depth > _MAX_DEPTH:
            self._add(f"'metadata' is nested deeper than {_MAX_DEPTH} levels")
            return None
        if isinstance(value, Mapping):
            for key in value:
                if not isinstance(key, str):
                    self._add(f"'metadata' has the key {shown(repr(key))}; keys are text")
            return {str(key): self._plain(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._plain(item, depth + 1) for item in value]
        return value.isoformat() if isinstance(value, date) else value

    def code(self, name: str, code: CodeReference) -> CodeReference:
        for _, message, hint in code_faults(code.repository, code.commit, code.path):
            self._add(f"{name}: {message}", hint)
        return code

    def text(self, name: str, value: T) -> T:
        if value is not None and not isinstance(value, str):
            self._add(f"{name} must be text, not {type(value).__name__}")
        elif value is not None and not value.strip():
            self._add(f"{name} is blank")
        return value

    def version(self, name: str, value: T) -> T:
        fault = None if value is None else version_fault(str(value))
        if fault is not None:
            self._add(f"{name} {fault[0]}", fault[1])
        return value

    def count(self, name: str, value: int | None) -> int | None:
        """Return a whole number that is not negative, or ``None``."""
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
            self._add(f"{name!r} must be a whole number that is not negative, not {shown(repr(value))}")
        return value

    def tags(self, tags: Sequence[str]) -> tuple[str, ...]:
        if isinstance(tags, str):
            self._add(f"'tags' must be a list, not the text {shown(tags)!r}", f"tags=[{shown(tags)!r}]")
            return ()
        for tag in tags:
            self.text("a tag", tag)
        if len({str(tag) for tag in tags}) < len(tags):
            self._add("duplicate tag")
        return tuple(tags)

    def _add(self, message: str, hint: str | None = None) -> None:
        self._report.add(self._place.line, message, hint)
