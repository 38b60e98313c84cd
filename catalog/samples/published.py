"""Datasets, schemas and lenses as they are published: read from their accounts' own PDS; where their shards lie.

::

    at://did/science.alt.dataset.entry/… ──▶ DID document ──▶ PDS ──▶ record ──▶ shards
                                                                          └────▶ at://…schema/… ──▶ *its* DID document …

Each record is proven against the account's signed commit (``sync.getRecord``). Where a server offers no proof, the
record is taken on the server's word, with an :class:`UnverifiedWarning`; a proof that contradicts is an error.
"""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from catalog.errors import (
    CatalogError,
    DataError,
    InvalidData,
    InvalidProof,
    InvalidSample,
    PublishError,
    RefusedUrl,
    RequestFailed,
    ResponseTooLarge,
    UnverifiedWarning,
)
from catalog.records import (
    COLLECTIONS,
    DATASET,
    LABEL,
    LENS,
    SCHEMA,
    BlobStorage,
    ExternalStorage,
    HttpStorage,
    Label,
    Lens,
    S3Storage,
    Schema,
    read_record,
)
from catalog.records import Dataset as DatasetRecord
from catalog.samples.annotations import plan_of
from catalog.samples.packable import DictSample, sample_type, schema_uri
from catalog.samples.publishing import PublishedShard
from catalog.samples.shards import Shard, expand
from catalog.sampletype import check_fit
from catalog.sampletype.compatibility import Kind
from catalog.sanitize import one_line
from catalog.syntax import AtUri
from catalog.syntax.cid import SHA_256

if TYPE_CHECKING:
    from collections.abc import Sequence

    from catalog.config import NetworkSettings
    from catalog.network.http import Client
    from catalog.network.identity import Identity, Resolver
    from catalog.network.proof import Reader as ProofReader
    from catalog.network.proof import Reading, Unread
    from catalog.network.repo import CheckedRecord
    from catalog.records import BlobShard, Checksum, Record, Storage
    from catalog.sampletype import SampleType
    from catalog.syntax import Cid, Did

__all__ = [
    "Connection", "Published", "Reader", "proof_of", "require_fit", "schema_to_publish", "shards_of",
    "shards_to_publish",
]  # fmt: skip

R = TypeVar("R")

_REMEMBERED: Final = 10_000
"""Accounts that are kept; beyond that all are forgotten, and looked up again."""

_ABSENT: Final = "RecordNotFound"
_MAX_REASON: Final = 300

_MAX_LABELS: Final = 1
"""A label leads to a dataset, never to another label."""


class Connection(Protocol):
    """What reading needs of a client: its HTTP and its settings. ``catalog.client.Client`` is one."""

    @property
    def http(self) -> Client:
        """The guarded HTTP client to ask with."""
        ...

    @property
    def settings(self) -> NetworkSettings:
        """How to reach the network; shards are opened by them too."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Published(Generic[R]):
    """A record, and where it was found. ``uri`` names the account by its DID; ``cid`` is that of what was read.

    ``proven`` tells whether the account's signed commit holds it; else it is the server's word.
    """

    record: R
    uri: AtUri
    cid: Cid
    account: Identity
    proven: bool = False


class Reader:
    """Reads records from their accounts' own PDS, and proves them; each account is looked up once.

    An :class:`UnverifiedWarning` is given once for each server that offers no proof.

    Every method takes an ``at://`` URI, whose authority may be a handle, and raises
    :class:`~catalog.errors.InvalidSyntax`, a :class:`~catalog.errors.NetworkError`,
    :class:`~catalog.errors.InvalidRecord`, or :class:`DataError` for the address of something else.
    """

    def __init__(self, client: Client, settings: NetworkSettings) -> None:
        from catalog.network.identity import Resolver

        self.http = client
        self._resolver = Resolver(client, settings)
        self._accounts: dict[str, Identity] = {}
        self._unproven: set[str] = set()

    def account(self, text: str) -> Identity:
        """The account of a handle or DID. Raises :class:`~catalog.errors.UnknownIdentity`."""
        known = self._accounts.get(text)
        if known is None:
            if len(self._accounts) >= _REMEMBERED:
                self._accounts.clear()
            known = self._accounts[text] = self._resolver.resolve(text)
        return known

    def record(self, uri: AtUri | str) -> Published[Record]:
        """Any record of ours: proven where its server offers a proof, and right by its lexicon.

        Raises :class:`RequestFailed` with the name ``RecordNotFound`` when there is none, :class:`InvalidProof` for a
        proof that is wrong.
        """
        asked = AtUri.parse(str(uri))
        if asked.collection is None or asked.rkey is None:
            raise DataError("not the address of a record", where=str(uri), hint="at://…/collection/key")
        identity = self.account(str(asked.authority))
        try:
            found, proven = self._found(identity, asked)
            record = read_record(asked.collection, found.value)
        except CatalogError as error:
            if isinstance(error, RequestFailed) and error.name == _ABSENT:
                what, hint = f"{identity.pds} has no such record", "it was deleted, or the address has a slip"
                raise RequestFailed(what, status=error.status, name=error.name, where=str(uri), hint=hint) from None
            if error.where is None:
                error.within(str(uri))
            raise
        return Published(record=record, uri=found.uri, cid=found.cid, account=identity, proven=proven)

    def _found(self, identity: Identity, uri: AtUri) -> tuple[CheckedRecord, bool]:
        """The record, and whether the account's signed commit holds it.

        Where its server offers no proof, it is the server's word, with a warning; of an absent record there is none.
        """
        path, why = f"{uri.collection}/{uri.rkey}", "its DID document names no key that signs commits"
        if uri.collection not in COLLECTIONS:
            return self._answered(identity, uri), False  # read_record refuses it
        if identity.key is not None:
            try:
                reading = proof_of(self._prover, self._resolver, identity, path, by_cid=True)
            except (RequestFailed, ResponseTooLarge) as error:
                reading, why = None, one_line(str(error), _MAX_REASON)
            else:
                why = f"{identity.pds} offers no proof of it (com.atproto.sync.getRecord)"
            if reading is not None:
                if reading.records:
                    return reading.records[0], True
                if not reading.unread:
                    raise RequestFailed("the signed commit has no such record", status=404, name=_ABSENT)
                return self._without_block(identity, uri, next(iter(reading.unread))), True
        found = self._answered(identity, uri)
        self._warn(identity, uri, why)
        return found, False

    def _without_block(self, identity: Identity, uri: AtUri, unread: Unread) -> CheckedRecord:
        """The record of a proof that names its CID, but doesn't bring a record."""
        if unread.lost is None:
            raise InvalidData(f"what the account signed is no record: {unread.reason}")
        found = self._answered(identity, uri)
        if found.cid != unread.lost:
            raise InvalidProof(f"{identity.pds} answers {found.cid}, but {unread.lost} is what the account signed")
        return found

    @cached_property
    def _prover(self) -> ProofReader:
        from catalog.network.proof import Part, Reader

        return Reader(self.http, Part(tuple(COLLECTIONS)))

    def _answered(self, identity: Identity, uri: AtUri) -> CheckedRecord:
        """The record on its server's word: it is what was asked for, and has the CID that the server says."""
        from catalog.network.repo import checked, get_record

        collection, rkey = str(uri.collection), str(uri.rkey)
        return checked(get_record(self.http, identity.pds, identity.did, collection, rkey), identity.did, collection)

    def _warn(self, identity: Identity, uri: AtUri, why: str) -> None:
        if identity.pds in self._unproven:
            return
        self._unproven.add(identity.pds)
        what = f"unverified: {uri} and other records of {identity.pds} are not proven to be signed by their account"
        warnings.warn(UnverifiedWarning(f"{what} ({why})"), stacklevel=_outside())

    def dataset(self, uri: AtUri | str) -> Published[DatasetRecord]:
        """A dataset; a label is followed to the dataset it names."""
        asked = AtUri.parse(str(uri))
        for _ in range(_MAX_LABELS + 1):
            if asked.collection not in (DATASET, LABEL):
                raise DataError("not the address of a dataset", where=str(uri), hint=f"at://…/{DATASET}/…")
            found: Published[Any] = self.record(asked)
            if not isinstance(found.record, Label):
                return found
            asked = found.record.dataset
        raise DataError("a label that leads to a label", where=str(uri))

    def schema(self, uri: AtUri | str) -> Published[Schema]:
        """A schema."""
        return self._one(uri, SCHEMA, "a schema")

    def lens(self, uri: AtUri | str) -> Published[Lens]:
        """A lens."""
        return self._one(uri, LENS, "a lens")

    def _one(self, uri: AtUri | str, collection: str, what: str) -> Published[Any]:
        asked = AtUri.parse(str(uri))
        if asked.collection != collection:
            raise DataError(f"not the address of {what}", where=str(uri), hint=f"at://…/{collection}/…")
        return self.record(asked)


def proof_of(
    reader: ProofReader, resolver: Resolver, identity: Identity, path: str, *, by_cid: bool = False
) -> Reading | None:
    """Return the proof of a record, or of its absence; None where the server offers none.

    An account may have got a new key a moment ago: before a proof counts as wrong, the account is looked up again.
    Raises :class:`InvalidProof`, or another ``NetworkError``.
    """
    from catalog.network.proof import Account

    try:
        account = Account(did=identity.did, pds=identity.pds, key=identity.key, known={})
        return reader.prove(account, path, by_cid=by_cid)
    except InvalidProof:
        now = resolver.resolve(str(identity.did), fresh=True)
        if (now.key, now.pds) == (identity.key, identity.pds) or now.key is None:
            raise
    return reader.prove(Account(did=now.did, pds=now.pds, key=now.key, known={}), path, by_cid=by_cid)


def _outside() -> int:
    """Return the ``stacklevel`` of the first caller outside this package, for a warning given by our caller."""
    frame, level = sys._getframe(1), 1  # noqa: SLF001 - as warnings itself does
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "catalog":
        frame, level = frame.f_back, level + 1
    return level


def require_fit(own: type, published: SampleType) -> None:
    """Check that samples of the published type can be read as ``own``; dicts read everything.

    Raises :class:`InvalidSample` with every reason why not.
    """
    if issubclass(own, DictSample):
        return
    plan = plan_of(own)
    reasons = [
        str(change)
        for change in check_fit(plan.sample_type, published)
        if change.kind is not Kind.ADDED_REQUIRED or not plan.by_name[change.field].has_default
    ]
    if reasons:
        what = f"{own.__name__} can't read samples of {published.name}: {'; '.join(reasons)}"
        raise InvalidSample(what, hint="leave the class out, and one is made that fits")


# --- where the shards lie ------------------------------------------------------------------------------------


def shards_of(found: Published[DatasetRecord]) -> tuple[Shard, ...]:
    """The shards of a dataset: remote ones only, a record never names a file of the reader's machine.

    Raises :class:`RefusedUrl` for a storage or a scheme that isn't opened.
    """
    shards = _shards(found.record.storage, found.account.did, found.account.pds)
    for shard in shards:
        if shard.path is not None:
            raise RefusedUrl("a record names a local file", where=shard.url[:200], hint="https, http and s3 are opened")
    return shards


def _shards(storage: Storage, did: Did, pds: str) -> tuple[Shard, ...]:
    match storage:
        case HttpStorage():
            return tuple(Shard(url=one.url, checksum=_text(one.checksum)) for one in storage.shards)
        case S3Storage(bucket=bucket, endpoint=endpoint, region=region):
            return tuple(
                Shard(url=f"s3://{bucket}/{one.key}", checksum=_text(one.checksum), endpoint=endpoint, region=region)
                for one in storage.shards
            )
        case ExternalStorage():
            return tuple(Shard(url=url) for pattern in storage.urls for url in expand(pattern))
        case BlobStorage():
            address = f"{pds.rstrip('/')}/xrpc/com.atproto.sync.getBlob?did={did}&cid="
            return tuple(Shard(url=f"{address}{one.cid}", checksum=_blob_checksum(one)) for one in storage.blobs)
    raise RefusedUrl(f"shards in {storage.type} are not opened", hint="https, S3 and blobs are")


def _text(checksum: Checksum | None) -> str | None:
    return None if checksum is None else f"{checksum.algorithm}:{checksum.digest}"


def _blob_checksum(blob: BlobShard) -> str:
    """What the blob's bytes must hash to: its CID says so, whatever else the record says."""
    if blob.cid.hash_function != SHA_256:
        raise DataError("a blob whose CID is not by SHA-256", where=str(blob.cid))
    return f"sha256:{blob.cid.digest.hex()}"


# --- the other way -------------------------------------------------------------------------------------------


def schema_to_publish(given: AtUri | SampleType | type | str) -> AtUri | SampleType:
    """What a dataset record is to refer to: a schema's address, or the sample type that becomes one.

    A class that was made from a published schema is that schema. Raises :class:`PublishError` for dicts.
    """
    if isinstance(given, str):
        return AtUri.parse(given)
    if not isinstance(given, type):
        return given
    if issubclass(given, DictSample):
        raise PublishError("samples without a class have no schema to publish", hint="give schema=…")
    return schema_uri(given) or sample_type(given)


def shards_to_publish(shards: Sequence[Shard], urls: str | Sequence[str] | None) -> list[PublishedShard]:
    """The shards as a record is to name them: where they are, or at ``urls`` (a pattern, or one for each).

    Raises :class:`PublishError` for files of this machine without urls, and when the numbers differ.
    """
    given = expand(urls) if isinstance(urls, str) else urls
    if given is not None and len(given) != len(shards):
        raise PublishError(f"{len(given)} urls for {len(shards)} shards")
    return [_to_publish(shard, None if given is None else given[index]) for index, shard in enumerate(shards)]


def _to_publish(shard: Shard, url: str | None) -> PublishedShard:
    if url is None and shard.path is not None:
        raise PublishError("a file of this machine", where=shard.url, hint="urls=… says where others find it")
    algorithm, _, digest = (shard.checksum or "").partition(":")
    sha256 = digest.lower() if algorithm.lower() in ("sha256", "sha-256") else None
    if url is not None:
        return PublishedShard(url=url, local=shard.path, sha256=sha256)
    return PublishedShard(url=shard.url, sha256=sha256, endpoint=shard.endpoint, region=shard.region)
