"""Datasets: shards as one iterable of typed samples.

::

    Dataset.from_urls("digits-{000000..000001}.tar", Digit)     a single string may be a brace pattern
    Dataset.from_urls(["a.tar", "b.tar"])                       no type: DictSample
    Dataset.from_shards(write_shards(samples, "d-%06d.tar", per_shard=1000), Digit)
    Dataset.from_atproto("at://…/science.alt.dataset.entry/…")  the type is made from the schema record

    for sample in dataset.shuffled(seed=epoch).filter(is_sharp).map(normalise): …
    for batch in dataset.shuffled(seed=epoch).batched(32): torch.from_numpy(batch.image)

A :class:`Dataset` is a description: nothing is opened before it is iterated, and each iteration starts again.
Every step returns a new dataset.

In PyTorch a dataset is an ``IterableDataset``: ``DataLoader(dataset.batched(32), batch_size=None, num_workers=4)``.
Its workers divide the samples among themselves, nodes by :meth:`Dataset.split_by_node`. ``batch_size=None`` is
necessary: PyTorch can't collate objects. The arrays of a batch are writable; those of a single sample are read-only
views, about which ``torch.from_numpy`` warns.
"""

from __future__ import annotations

import random
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar, cast, overload

from catalog.datasets.iteration import Batched, Filtered, Mapped, Part, Shuffle, samples_of
from catalog.datasets.pytorch import register_in_torch, torch_hint, torch_worker
from catalog.errors import DataError, InvalidSample, PublishError
from catalog.samples.packable import DictSample, PackableSample, class_from, readable, sample_type, schema_to_publish
from catalog.samples.write_shards import ShardInfo
from catalog.shards.braces import expand
from catalog.shards.shard import Shard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from catalog.config import NetworkSettings
    from catalog.datasets.batches import Batch
    from catalog.datasets.iteration import Step
    from catalog.lenses.lens import Lens, LensNetwork
    from catalog.records import Split
    from catalog.records.fetch import Connection
    from catalog.samples.publishing import PublishingClient
    from catalog.schema import SampleType
    from catalog.syntax import AtUri

__all__ = ["Dataset"]

T = TypeVar("T")
U = TypeVar("U")
S = TypeVar("S")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset(Generic[T]):
    """A dataset: shards, the class of their samples, and the steps applied to each sample.

    Iterating yields the samples; each step (:meth:`map`, :meth:`filter`, …) returns another dataset and reads nothing.
    It can be pickled if the functions of its steps can. ``uri`` is that of its record, ``None`` without one.
    """

    shards: tuple[Shard, ...]
    sample_class: type[Any]
    uri: AtUri | None = None
    _schema: SampleType | None = field(default=None, repr=False)
    _schema_uri: AtUri | None = field(default=None, repr=False)
    _stored: int | None = field(default=None, repr=False)
    _settings: NetworkSettings | None = field(default=None, repr=False)
    _shuffle: Shuffle | None = field(default=None, repr=False)
    _validate: bool = field(default=False, repr=False)
    _nodes: tuple[tuple[int, int], ...] = field(default=(), repr=False)
    _subsets: tuple[Split, ...] = field(default=(), repr=False)
    _steps: tuple[Step, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        register_in_torch(Dataset)

    # --- constructors -----------------------------------------------------------------------------------------

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
        """Make a dataset from the URLs (https, http, s3) or local files of its shards.

        A single string may be a brace pattern (``a-{000..009}.tar``); in a list, braces are ordinary characters.
        ``checksums`` has one for each shard: ``sha256:<hex>`` or None. Raises :class:`~catalog.errors.RefusedUrl` for
        other schemes, and ValueError if the number of checksums isn't that of the shards.
        """
        listed = expand(urls) if isinstance(urls, str) else (urls,) if isinstance(urls, Path) else tuple(urls)
        sums = (None,) * len(listed) if checksums is None else tuple(checksums)
        pairs = zip(listed, sums, strict=True)
        shards = tuple(Shard(url=str(url), checksum=checksum) for url, checksum in pairs)
        return Dataset.from_shards(shards, sample_class, settings=settings)

    @overload
    @classmethod
    def from_shards(
        cls, shards: Sequence[Shard | ShardInfo], sample_class: None = None, *, settings: NetworkSettings | None = None
    ) -> Dataset[DictSample]: ...

    @overload
    @classmethod
    def from_shards(
        cls, shards: Sequence[Shard | ShardInfo], sample_class: type[S], *, settings: NetworkSettings | None = None
    ) -> Dataset[S]: ...

    @classmethod
    def from_shards(
        cls, shards: Sequence[Shard | ShardInfo], sample_class: Any = None, *, settings: NetworkSettings | None = None
    ) -> Dataset[Any]:
        """Make a dataset from shards, or from the result of ``write_shards``.

        Raises :class:`~catalog.errors.RefusedUrl` for a scheme that isn't opened, InvalidSchema for a class that isn't
        packable.
        """
        infos = [shard for shard in shards if isinstance(shard, ShardInfo)]
        described = tuple(_described(shard) for shard in shards)
        stored = sum(info.samples for info in infos) if infos and len(infos) == len(shards) else None
        chosen = readable(sample_class)
        return Dataset(shards=described, sample_class=chosen, _stored=stored, _settings=settings)

    @overload
    @classmethod
    def from_atproto(
        cls, uri: str, sample_class: None = None, *, split: str | None = None,
        client: Connection | None = None, settings: NetworkSettings | None = None,
    ) -> Dataset[PackableSample]: ...  # fmt: skip

    @overload
    @classmethod
    def from_atproto(
        cls, uri: str, sample_class: type[S], *, split: str | None = None,
        client: Connection | None = None, settings: NetworkSettings | None = None,
    ) -> Dataset[S]: ...  # fmt: skip

    @classmethod
    def from_atproto(
        cls,
        uri: str,
        sample_class: type[Any] | None = None,
        *,
        split: str | None = None,
        client: Connection | None = None,
        settings: NetworkSettings | None = None,
    ) -> Dataset[Any]:
        """Make the dataset of a record (or of the label of one), read from the PDS of its account.

        Without a ``sample_class`` one is made from the schema record, read from the PDS of *its* account. With one, it
        is compared with the schema. ``split`` is the only split that is wanted, see :meth:`split`. By default the
        settings are those of ``client``, without one the environment's.
        Raises :class:`~catalog.errors.InvalidSyntax`, a :class:`~catalog.errors.NetworkError`,
        :class:`~catalog.errors.InvalidRecord`, :class:`InvalidSample` if the class doesn't match the schema,
        :class:`~catalog.errors.RefusedUrl` for storage that isn't opened.
        """
        from catalog.config import NetworkSettings
        from catalog.datasets.published import require_fit, shards_of
        from catalog.network.http import Client
        from catalog.records.fetch import Reader

        if settings is None:
            settings = NetworkSettings.from_environment() if client is None else client.settings
        with Client(settings) if client is None else nullcontext(client.http) as http:
            reader = Reader(http, settings)
            found = reader.dataset(uri)
            schema = reader.schema(found.record.schema_ref)
        wanted = schema.record.sample_type
        if sample_class is None:
            sample_class = class_from(wanted, uri=schema.uri)
        else:
            require_fit(sample_class, wanted)
        dataset: Dataset[Any] = Dataset(
            shards=shards_of(found),
            sample_class=sample_class,
            uri=found.uri,
            _schema=wanted,
            _schema_uri=schema.uri,
            _stored=found.record.size.samples if found.record.size is not None else None,
            _settings=settings,
            _subsets=found.record.splits,
        )
        return dataset if split is None else dataset.split(split)

    # --- read ------------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[T]:
        """Iterate the samples: shard by shard in order, unless shuffled; in a worker of a ``DataLoader``, its part.

        Raises a :class:`~catalog.errors.DataError` that names shard, key and field, or a
        :class:`~catalog.errors.NetworkError`; then the dataset can be iterated again.
        """
        shards = list(self.shards)
        if self._shuffle is not None:
            random.Random(self._shuffle.seed).shuffle(shards)  # noqa: S311 - an order, not a secret
        part, cls = self._part(tuple(shards), torch_worker()), self.sample_class
        samples = samples_of(part, cls, shuffle=self._shuffle, validate=self._validate, settings=self._settings)
        for step in self._steps:
            samples = step(samples)
        return samples

    def __len__(self) -> int:
        """Return the number of samples. Raises TypeError if it isn't known before reading."""
        if self.length is None:
            raise TypeError(f"how many samples this dataset has is not known before reading it{torch_hint(Dataset)}")
        return self.length

    def __bool__(self) -> bool:
        """Return true: a dataset of unknown length isn't empty."""
        return True

    def __getitem__(self, index: object) -> NoReturn:
        """Raise TypeError: samples have no index. PyTorch calls it if it doesn't know that a dataset is iterable."""
        raise TypeError(f"a dataset is iterated, not indexed (asked for {index!r}){torch_hint(Dataset)}")

    @property
    def length(self) -> int | None:
        """The number of samples (or batches) if it is known: from the record, or from ``write_shards``."""
        part = self._part(self.shards)
        known = self._stored if part.shards == self.shards else None
        if known is not None:
            known = len(range(part.first, known, part.every))
        for step in self._steps:
            known = None if known is None else step.length(known)
        return known

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of the splits, in the order of the record: arguments for :meth:`split`."""
        return tuple(one.name for one in self._subsets)

    @property
    def sample_type(self) -> SampleType | None:
        """The sample type after all steps; ``None`` if it isn't known: after ``map``, in batches."""
        now = self._now
        if now is not None and issubclass(now, DictSample):
            return self._schema
        return None if now is None or not hasattr(now, "__packable__") else sample_type(now)

    def head(self, count: int = 5) -> list[T]:
        """Return the first ``count`` samples; no more shards are opened than necessary."""
        return list(islice(self, count))

    # --- steps -----------------------------------------------------------------------------------------------

    def ordered(self) -> Dataset[T]:
        """Return the dataset in the order in which its samples are stored."""
        return replace(self, _shuffle=None)

    def shuffled(self, seed: int = 0, buffer: int = 1000) -> Dataset[T]:
        """Return the dataset in random order: shards are shuffled, and samples within a window of ``buffer``.

        The same seed gives the same order in every iteration; ``seed=epoch`` gives each epoch another one. The stored
        samples are shuffled, at any position among the steps: batches consist of shuffled samples.
        """
        if buffer < 1:
            raise ValueError("buffer must be at least 1")
        return replace(self, _shuffle=Shuffle(seed=seed, buffer=buffer))

    def batched(self, batch_size: int, *, drop_last: bool = False) -> Dataset[Batch[T]]:
        """Return a dataset of batches of ``batch_size`` samples, their arrays stacked: see :class:`Batch`.

        The last batch may be smaller; ``drop_last`` omits it. Each worker of a ``DataLoader`` makes batches of its own
        samples: each may have one smaller batch, while ``len``, which knows no workers, counts one in total.
        """
        if batch_size < 1:
            raise ValueError("batch_size must be at least 1")
        return cast("Dataset[Batch[T]]", self._with(Batched(batch_size, drop_last)))

    def map(self, change: Callable[[T], U]) -> Dataset[U]:
        """Return a dataset with ``change`` applied to each sample."""
        return cast("Dataset[U]", self._with(Mapped(change)))

    def filter(self, keep: Callable[[T], object]) -> Dataset[T]:
        """Return a dataset of the samples for which ``keep`` returns true."""
        return self._with(Filtered(keep))

    def validated(self) -> Dataset[T]:
        """Return a dataset that checks dtype and shape of each array against the class when it is read."""
        return replace(self, _validate=True)

    def split(self, name: str) -> Dataset[T]:
        """Return a split, such as ``train``: the dataset with the shards that the record names for it.

        Raises :class:`~catalog.errors.DataError` with the splits there are if it isn't one of them.
        """
        found = next((one for one in self._subsets if one.name == name), None)
        if found is None:
            listed = f"its splits are {', '.join(self.splits)}"[:300] if self._subsets else "it has no splits"
            where = None if self.uri is None else str(self.uri)
            raise DataError(f"no split is called {name[:100]!a}", where=where, hint=listed)
        shards = tuple(self.shards[number] for number in found.shards if number < len(self.shards))
        return replace(self, shards=shards, _stored=found.samples, _subsets=())

    def split_by_node(self, rank: int, nodes: int) -> Dataset[T]:
        """Return the part of node ``rank`` (from 0) of ``nodes``; together the parts have every sample once.

        Shards are dealt out in turn; if there are fewer than nodes, samples are. All nodes must use the same shards,
        shuffling and ``nodes``. Workers of a ``DataLoader`` divide the part of their node in the same way.
        """
        if not 0 <= rank < nodes:
            raise ValueError(f"rank {rank} is not one of {nodes} nodes, which are numbered from 0")
        return replace(self, _nodes=(*self._nodes, (rank, nodes)))

    def as_type(self, target: type[U], *, through: Lens[Any, U] | LensNetwork | None = None) -> Dataset[U]:
        """Return the dataset converted to ``target``: by a lens, or the shortest path in a network of lenses.

        Without ``through`` the network has all lenses defined by ``@lens``. The samples are read as the source class
        of the path, if their schema matches it; a ``target`` that their schema matches needs no lens. Raises
        :class:`~catalog.errors.LensError` if there is no path, and :class:`InvalidSample` if the source class can't
        read these samples.
        """
        from catalog.lenses.convert import is_like, way_to

        lens = way_to(target, self._now, through, self._reads)
        if lens is None:
            return self._read_as(target)
        read = self if self._steps and is_like(self._now, lens.source) else self._read_as(lens.source)
        return cast("Dataset[U]", replace(read, _steps=(*self._steps, Mapped(lens, target))))

    # --- publishing ------------------------------------------------------------------------------------------

    def publish_to_atproto(
        self,
        client: PublishingClient,
        *,
        name: str,
        description: str | None = None,
        license: str | None = None,  # noqa: A002 - as records spell it
        tags: Sequence[str] = (),
        version: str | None = None,
        metadata: Mapping[str, object] | None = None,
        schema: AtUri | SampleType | type | str | None = None,
        urls: str | Sequence[str] | None = None,
    ) -> AtUri:
        """Publish a record of this dataset and return its URI.

        ``urls`` (a brace pattern, or one for each shard) are the public URLs of the shards, required for local files,
        which are hashed. ``schema`` is the URI of the schema, or the class or sample type for one; by default that of
        the record this dataset was read from, else that of the class, which is published too unless it already is.
        ``version`` also publishes a label. Raises :class:`PublishError`, also for a dataset with steps (its samples
        aren't those of the shards), and what :meth:`Client.publish_dataset` does.
        """
        from catalog.datasets.published import shards_to_publish

        if self._steps or self._nodes:
            hint = "write its samples with write_shards(dataset, …), and publish those shards"
            raise PublishError("a dataset with steps, batches or a split has no shards of its own", hint=hint)
        own = self.sample_class if self._schema_uri is None else self._schema_uri
        return client.publish_dataset(
            name=name,
            schema=schema_to_publish(own if schema is None else schema),
            shards=shards_to_publish(self.shards, urls),
            samples=self._stored,
            version=version,
            description=description,
            license=license,
            tags=tags,
            metadata=metadata or {},
            splits=self._subsets,
        )

    # --- internals -------------------------------------------------------------------------------------------

    @property
    def _now(self) -> type[Any] | None:
        """The class of the samples after all steps, if it is known."""
        now: type[Any] | None = self.sample_class
        for step in self._steps:
            now = step.gives(now)
        return now

    def _read_as(self, wanted: type[Any]) -> Dataset[Any]:
        """Return the dataset with samples of class ``wanted``. Raises :class:`InvalidSample` if it can't read them."""
        from catalog.datasets.published import require_fit

        if self._now is not None and issubclass(self._now, wanted):
            return self
        if self._steps:
            raise InvalidSample("samples after steps can't be read as another class", hint="as_type first")
        if self.sample_type is not None:
            require_fit(wanted, self.sample_type)
        return replace(cast("Dataset[Any]", self), sample_class=wanted)

    def _reads(self, wanted: type[Any]) -> bool:
        try:
            self._read_as(wanted)
        except InvalidSample:
            return False
        return True

    def _with(self, step: Step) -> Dataset[T]:
        return replace(self, _steps=(*self._steps, step))

    def _part(self, shards: tuple[Shard, ...], *more: tuple[int, int]) -> Part:
        part = Part(shards=shards)
        for rank, parts in (*self._nodes, *more):
            part = part.dealt(rank, parts)
        return part


def _described(shard: Shard | ShardInfo) -> Shard:
    if isinstance(shard, ShardInfo):
        return Shard(url=str(shard.path), checksum=f"sha256:{shard.sha256}", format=shard.format)
    _ = shard.path  # raises for a scheme that isn't opened
    return shard
