"""Datasets: shards as one iterable of typed samples.

::

    Dataset.from_urls("digits-{000000..000001}.tar", Digit)     braces are a pattern in a single string
    Dataset.from_urls(["a.tar", "b.tar"])                       no type: DictSample
    Dataset.from_atproto("at://…/science.alt.dataset.entry/…")  the type is made from the schema record

    for sample in dataset.shuffled(seed=1).filter(is_sharp).map(normalise): …

A :class:`Dataset` is a description: nothing is opened before it is iterated, and each iteration starts afresh.
Every step gives a new dataset, the old one stays as it was.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast, overload

from catalog.errors import CatalogError, DataError, InvalidSample, RefusedUrl
from catalog.samples.packable import DictSample, PackableSample, class_from, sample_type, unpack
from catalog.samples.shards import Shard, expand, read_shard
from catalog.sampletype import type_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from catalog.config import NetworkSettings
    from catalog.network.http import Client
    from catalog.records import BlobShard, Checksum
    from catalog.records import Dataset as DatasetRecord
    from catalog.sampletype import SampleType
    from catalog.syntax import AtUri, Did

__all__ = ["Dataset"]

T = TypeVar("T")
U = TypeVar("U")
S = TypeVar("S")

_MAX_LABELS: Final = 1
"""A label leads to a dataset, never to another label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shuffle:
    seed: int
    buffer: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset(Generic[T]):
    """Shards, the class of their samples, and what is done to each.

    ``length`` is the number of samples where it is known: what the record says, until a filter is put on.
    """

    shards: tuple[Shard, ...]
    sample_class: type[Any]
    length: int | None = None
    _settings: NetworkSettings | None = None
    _shuffle: _Shuffle | None = None
    _steps: tuple[Callable[[Iterator[Any]], Iterator[Any]], ...] = ()

    @overload
    @classmethod
    def from_urls(
        cls, urls: str | Path | Sequence[str | Path], sample_class: None = None, *,
        checksums: Sequence[str | None] | None = None, settings: NetworkSettings | None = None,
    ) -> Dataset[DictSample]: ...  # fmt: skip

    @overload
    @classmethod
    def from_urls(
        cls, urls: str | Path | Sequence[str | Path], sample_class: type[S], *,
        checksums: Sequence[str | None] | None = None, settings: NetworkSettings | None = None,
    ) -> Dataset[S]: ...  # fmt: skip

    @classmethod
    def from_urls(
        cls,
        urls: str | Path | Sequence[str | Path],
        sample_class: type[Any] | None = None,
        *,
        checksums: Sequence[str | None] | None = None,
        settings: NetworkSettings | None = None,
    ) -> Dataset[Any]:
        """A dataset of shards at https or http addresses or in local files.

        A single string may be a pattern (``a-{000..009}.tar``); in a list, braces are just characters. ``checksums``
        go with the shards one by one: ``sha256:<hex>`` or None. Raises :class:`RefusedUrl` for other schemes at once,
        and ValueError when there are more or fewer checksums than shards.
        """
        listed = expand(urls) if isinstance(urls, str) else (urls,) if isinstance(urls, Path) else tuple(urls)
        sums = (None,) * len(listed) if checksums is None else tuple(checksums)
        pairs = zip(listed, sums, strict=True)
        shards = tuple(Shard(url=str(url), checksum=checksum) for url, checksum in pairs)
        for shard in shards:
            _ = shard.path
        return Dataset(shards=shards, sample_class=sample_class or DictSample, _settings=settings)

    @overload
    @classmethod
    def from_atproto(
        cls, uri: str, sample_class: None = None, *, settings: NetworkSettings | None = None
    ) -> Dataset[PackableSample]: ...

    @overload
    @classmethod
    def from_atproto(
        cls, uri: str, sample_class: type[S], *, settings: NetworkSettings | None = None
    ) -> Dataset[S]: ...

    @classmethod
    def from_atproto(
        cls, uri: str, sample_class: type[Any] | None = None, *, settings: NetworkSettings | None = None
    ) -> Dataset[Any]:
        """The dataset of a record (or of a label for one), read from its account's own PDS.

        Without a ``sample_class`` one is made from the schema record, read from *its* account's PDS. With one, the
        schema is compared with it. Raises :class:`~catalog.errors.InvalidSyntax`, a
        :class:`~catalog.errors.NetworkError`, :class:`~catalog.errors.InvalidRecord`, :class:`InvalidSample` when
        your class doesn't fit, :class:`RefusedUrl` for storage that isn't opened.
        """
        from catalog.config import NetworkSettings
        from catalog.network.http import Client

        settings = settings or NetworkSettings.from_environment()
        with Client(settings) as client:
            reader = _Records(client, settings)
            record, did, pds = reader.dataset(uri)
            wanted = reader.schema(record.schema_ref)
        if sample_class is None:
            sample_class = class_from(wanted)
        elif not issubclass(sample_class, DictSample):
            _check_fit(sample_type(sample_class), wanted)
        length = record.size.samples if record.size is not None else None
        shards = _stored(record, did, pds)
        return Dataset(shards=shards, sample_class=sample_class, length=length, _settings=settings)

    def __iter__(self) -> Iterator[T]:
        """The samples: shard by shard in order, unless shuffled."""
        samples: Iterator[Any] = self._read()
        for step in self._steps:
            samples = step(samples)
        return samples

    def __len__(self) -> int:
        """The number of samples. Raises TypeError where it isn't known before reading."""
        if self.length is None:
            raise TypeError("how many samples this dataset has is not known before reading it")
        return self.length

    def __bool__(self) -> bool:
        """Always true: a dataset of unknown length is not an empty one."""
        return True

    def ordered(self) -> Dataset[T]:
        """The same samples in the order in which they are stored."""
        return replace(self, _shuffle=None)

    def shuffled(self, seed: int = 0, buffer: int = 1000) -> Dataset[T]:
        """The same samples in another order: shards are shuffled, and samples within a window of ``buffer``.

        The same seed gives the same order, in every iteration. Steps put on before come after the shuffling.
        """
        if buffer < 1:
            raise ValueError("the buffer holds at least one sample")
        return replace(self, _shuffle=_Shuffle(seed=seed, buffer=buffer))

    def map(self, change: Callable[[T], U]) -> Dataset[U]:
        """Each sample as ``change`` makes it."""
        return cast("Dataset[U]", replace(self, _steps=(*self._steps, lambda samples: map(change, samples))))

    def filter(self, keep: Callable[[T], object]) -> Dataset[T]:
        """Only the samples that ``keep`` says yes to."""
        return replace(self, length=None, _steps=(*self._steps, lambda samples: filter(keep, samples)))

    def head(self, count: int = 5) -> list[T]:
        """The first ``count`` samples; no more is read than they need."""
        return list(islice(self, count))

    def _read(self) -> Iterator[Any]:
        shuffle = self._shuffle
        if shuffle is None:
            return self._samples(self.shards)
        chance = random.Random(shuffle.seed)  # noqa: S311 - an order, not a secret
        shards = list(self.shards)
        chance.shuffle(shards)
        return _shuffled(self._samples(shards), chance, shuffle.buffer)

    def _samples(self, shards: Iterable[Shard]) -> Iterator[Any]:
        for shard in shards:
            for key, raw in read_shard(shard, settings=self._settings):
                try:
                    sample = unpack(self.sample_class, raw, key=key)
                except InvalidSample as error:
                    raise error.within(shard.url) from None
                yield sample


def _shuffled(samples: Iterator[T], chance: random.Random, buffer: int) -> Iterator[T]:
    """Fill a window, then give out a random one for each that comes in."""
    window = list(islice(samples, buffer))
    for sample in samples:
        place = chance.randrange(len(window))
        window[place], out = sample, window[place]
        yield out
    chance.shuffle(window)
    yield from window


def _check_fit(own: SampleType, published: SampleType) -> None:
    """Whether samples of the published type can be read as ``own``: no required field missing or of another type."""
    for field in own.fields:
        theirs = published.field(field.name)
        if theirs is None or (theirs.optional and not field.optional):
            if not field.optional:
                found = "no such field" if theirs is None else "an optional one"
                what = f"field {field.name!a}: {own.name} requires it, the schema has {found}"
                raise InvalidSample(what, where=published.name, hint="make it optional, or leave the class out")
        elif type(theirs.type) is not type(field.type) or getattr(theirs.type, "kind", "") != getattr(
            field.type, "kind", ""
        ):
            what = f"field {field.name!a}: {own.name} has {type_text(field.type)}, the schema {type_text(theirs.type)}"
            raise InvalidSample(what, where=published.name, hint="leave the class out, and one is made that fits")


# --- records -------------------------------------------------------------------------------------------------


class _Records:
    """Reads records from their accounts' own PDSes."""

    def __init__(self, client: Client, settings: NetworkSettings) -> None:
        from catalog.network.identity import Resolver

        self._client = client
        self._resolver = Resolver(client, settings)

    def dataset(self, text: str) -> tuple[DatasetRecord, Did, str]:
        """The dataset record, its account and that account's PDS; a label is followed."""
        from catalog.records import DATASET, LABEL, Label, read_record
        from catalog.records import Dataset as DatasetRecord
        from catalog.syntax import AtUri

        uri = AtUri.parse(text)
        for _ in range(_MAX_LABELS + 1):
            if uri.collection not in (DATASET, LABEL):
                raise DataError("not the address of a dataset", where=text, hint=f"at://…/{DATASET}/…")
            value, did, pds = self._get(uri)
            record = read_record(str(uri.collection), value)
            if isinstance(record, DatasetRecord):
                return record, did, pds
            uri = cast("Label", record).dataset
        raise DataError("a label that leads to a label", where=text)

    def schema(self, uri: AtUri) -> SampleType:
        """The sample type in a schema record."""
        from catalog.records import SCHEMA, Schema, read_record

        if uri.collection != SCHEMA:
            raise DataError("the dataset's schema is not a schema record", where=str(uri))
        try:
            record = read_record(SCHEMA, self._get(uri)[0])
        except CatalogError as error:
            raise error.within(str(uri)) from None
        return cast("Schema", record).sample_type

    def _get(self, uri: AtUri) -> tuple[Any, Did, str]:
        from catalog.network.repo import get_record

        if uri.collection is None or uri.rkey is None:
            raise DataError("not the address of a record", where=str(uri))
        identity = self._resolver.resolve(str(uri.authority))
        found = get_record(self._client, identity.pds, identity.did, uri.collection, uri.rkey)
        return found.value, identity.did, identity.pds


def _stored(record: DatasetRecord, did: Did, pds: str) -> tuple[Shard, ...]:
    """The shards of a record: remote ones only, a record never names a file of the reader's machine."""
    from catalog.records import BlobStorage, ExternalStorage, HttpStorage

    storage = record.storage
    if isinstance(storage, HttpStorage):
        shards = tuple(Shard(url=one.url, checksum=_text(one.checksum)) for one in storage.shards)
    elif isinstance(storage, ExternalStorage):
        shards = tuple(Shard(url=url) for pattern in storage.urls for url in expand(pattern))
    elif isinstance(storage, BlobStorage):
        address = f"{pds.rstrip('/')}/xrpc/com.atproto.sync.getBlob?did={did}&cid="
        shards = tuple(Shard(url=f"{address}{one.cid}", checksum=_blob_checksum(one)) for one in storage.blobs)
    else:
        kind = getattr(storage, "type", type(storage).__name__)
        raise RefusedUrl(f"shards in {kind} are not opened", hint="https shards and blobs are")
    for shard in shards:
        if shard.path is not None:
            raise RefusedUrl("a record names a local file", where=shard.url[:200], hint="https and http are opened")
    return shards


def _text(checksum: Checksum | None) -> str | None:
    return None if checksum is None else f"{checksum.algorithm}:{checksum.digest}"


def _blob_checksum(blob: BlobShard) -> str:
    """What the blob's bytes must hash to: its CID says so, whatever else the record says."""
    from catalog.syntax.cid import SHA_256

    if blob.cid.hash_function != SHA_256:
        raise DataError("a blob whose CID is not by SHA-256", where=str(blob.cid))
    return f"sha256:{blob.cid.digest.hex()}"
