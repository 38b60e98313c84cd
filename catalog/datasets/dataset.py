"""Datasets: shards as one iterable of typed samples.

::

    Dataset[Digit]("digits-{000000..000001}.tar")               a single string may be a brace pattern
    Dataset(["a.tar", "b.tar"])                                 no type: DictSample
    write_samples(samples, "digits.tar", maxcount=1000)         the dataset of what was written
    Dataset.from_atproto("at://…/science.alt.dataset.entry/…")  the type is made from the schema record

    for sample in dataset.shuffled(seed=epoch).filter(is_sharp).map(normalise): …
    for batch in dataset.shuffled(seed=epoch).batched(32): torch.from_numpy(batch.image)

A :class:`Dataset` is a description: nothing is opened before it is iterated, and each iteration starts again.
Every step returns a new dataset.

In PyTorch a dataset is an ``IterableDataset``: ``DataLoader(dataset.batched(32), batch_size=None, num_workers=4)``.
Its workers divide the batches among themselves, nodes by :meth:`Dataset.split_by_node`. ``batch_size=None`` is for
datasets that make the batches; ``DataLoader(dataset, batch_size=32)`` makes dicts of tensors of their samples. The
arrays of a batch are writable; those of a single sample are read-only views, about which ``torch.from_numpy`` warns.
"""

from __future__ import annotations

import operator
from collections.abc import Sized
from dataclasses import dataclass, field, fields, replace
from functools import partial
from itertools import islice
from types import GenericAlias
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, NoReturn, TypeVar, cast, overload

from catalog.datasets.batches import SampleBatch
from catalog.datasets.export import columns_of, frame_of, without_key
from catalog.datasets.in_memory import AsSample, as_webdataset, samples_shard
from catalog.datasets.iteration import Reading, sample_with_key, samples_at, samples_for_loader, samples_of
from catalog.datasets.mix import Mix, checked_weights
from catalog.datasets.order import Partition, Shuffle
from catalog.datasets.pytorch import caller_frame, fetching, register_in_torch, torch_hint, torch_worker
from catalog.datasets.row_access import is_selected, select_shard, statistics_of, total_samples
from catalog.datasets.skips import SkipRule
from catalog.datasets.sources import URLSource, shards_from
from catalog.datasets.state import (
    Identity,
    Progress,
    Run,
    dump_run,
    dump_state,
    fingerprint,
    load_state,
    shards_fingerprint,
)
from catalog.datasets.steps import Batched, Filtered, Mapped, unit_of
from catalog.datasets.tensors import register_collate
from catalog.datasets.where import parse_condition
from catalog.errors import DataError, InvalidSample, PublishError, UnknownKey, UnknownSplit
from catalog.samples.annotations import plan_of
from catalog.samples.packable import DictSample, class_from, readable, sample_type, schema_to_publish
from catalog.samples.write_shards import write_shards
from catalog.schema import type_text
from catalog.shards.braces import contract
from catalog.shards.shard import display_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    import pandas as pd

    from catalog.atproto.sdk import SdkClient
    from catalog.config import NetworkSettings
    from catalog.datasets.in_memory import SampleSource
    from catalog.datasets.mix import Stop
    from catalog.datasets.sources import Source
    from catalog.datasets.steps import Step
    from catalog.errors import CatalogError
    from catalog.lenses.lens import Lens, LensNetwork
    from catalog.records import Split
    from catalog.samples.clients import CatalogClient
    from catalog.samples.packable import SchemaSample
    from catalog.samples.statistics import FieldStatistics
    from catalog.schema import SampleType
    from catalog.shards.shard import Shard
    from catalog.syntax import AtUri

__all__ = ["Dataset"]

if TYPE_CHECKING:
    from typing_extensions import TypeVar as TypeVarWithDefault

    T = TypeVarWithDefault("T", default=DictSample)
else:
    T = TypeVar("T")
U = TypeVar("U")
S = TypeVar("S")

_UNSET: Final[Mapping[str, object]] = {"_validate": False, "_nodes": (), "_subsets": (), "_steps": ()}
"""The values of fields that are not None by default."""


_ELSEWHERE: Final[Mapping[str, str]] = {
    "fields": "filter(function)",
    "metadata": "Client().datasets(…), whose records have it",
    "process_shards": "for shard in dataset.shards: Dataset(shard)",
    "query": 'where("label == 3") or filter(function)',
    "shard_list": "list_shards()",
    "wrap": "sample_type.from_bytes(raw)",
    "wrap_batch": "SampleBatch(samples)",
}
"""Attributes of atdata's datasets that these don't have, and what to use."""


class _DatasetOf(GenericAlias):
    """``Dataset[Digit]``: called, it makes a dataset of that class of samples."""

    __slots__ = ()

    def __call__(self, *source: Any, **options: Any) -> Dataset[Any]:  # noqa: ANN401 - as Dataset()
        """Return the dataset of a source."""
        options.setdefault("sample_type", self.__args__[0])
        return Dataset(*source, **options)

    def __getattribute__(self, name: str) -> Any:  # noqa: ANN401 - as Dataset
        """Return the attribute of :class:`Dataset`; constructors make datasets of the class of samples."""
        found = super().__getattribute__(name)
        return partial(found, sample_type=self.__args__[0]) if name in ("from_atproto", "from_samples") else found


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Dataset(Generic[T]):
    """A dataset: shards, the class of their samples, and the steps applied to each sample.

    ``source`` are the shards: the URL (https, http, s3) or local path of one; a brace pattern for several
    (``a-{000..009}.tar``); a list of URLs, paths, :class:`Shard` or :class:`ShardInfo`, in which braces are ordinary
    characters; or a :class:`URLSource` or :class:`S3Source`. The class of the samples is ``Dataset[Digit](source)``, or
    the second argument; without one they are :class:`DictSample`. ``checksums`` has one for each shard:
    ``sha256:<hex>`` or None.

    Iterating yields the samples; each step (:meth:`map`, :meth:`filter`, …) returns another dataset and reads nothing.
    It can be pickled if the functions of its steps can. ``uri`` is that of its record, ``None`` without one.

    Raises :class:`~catalog.errors.RefusedUrl` for a scheme that isn't opened, :class:`~catalog.errors.InvalidSchema`
    for a class that isn't packable, and ValueError if the number of checksums isn't that of the shards.
    """

    shards: tuple[Shard, ...]
    uri: AtUri | None
    _class: type[Any]
    _cid: str | None
    _schema: SampleType | None
    _schema_uri: AtUri | None
    _stored: int | None
    _settings: NetworkSettings | None
    _shuffle: Shuffle | None
    _validate: bool
    _nodes: tuple[tuple[int, int], ...]
    _subsets: tuple[Split, ...]
    _steps: tuple[Step, ...]
    _skip_rule: SkipRule | None
    _mix: tuple[tuple[Dataset[Any], ...], tuple[float, ...], int, Stop] | None
    _progress: Progress = field(compare=False)

    def __init__(
        self,
        source: Source,
        sample_type: type[T] | None = None,
        *,
        checksums: Sequence[str | None] | None = None,
        settings: NetworkSettings | None = None,
    ) -> None:
        shards, stored = shards_from(source, checksums)
        self._set({"shards": shards, "_class": readable(sample_type), "_stored": stored, "_settings": settings})

    if not TYPE_CHECKING:  # type checkers know Dataset[Digit](…) by Generic

        @classmethod
        def __class_getitem__(cls, item: object) -> _DatasetOf:
            return _DatasetOf(cls, item)

    def _set(self, values: Mapping[str, object]) -> None:
        for one in fields(self):
            object.__setattr__(self, one.name, values.get(one.name, _UNSET.get(one.name)))
        object.__setattr__(self, "_progress", Progress())
        register_in_torch(Dataset)
        register_collate(self._class)

    def __replace__(self, **values: object) -> Dataset[Any]:
        """Return a copy with other values of some fields (``copy.replace``, Python 3.13)."""
        made: Dataset[Any] = object.__new__(type(self))
        made._set({one.name: getattr(self, one.name) for one in fields(self)} | values)
        return made

    # --- constructors -----------------------------------------------------------------------------------------

    @classmethod
    def from_urls(
        cls,
        urls: Source,
        sample_class: type[S] | None = None,
        *,
        checksums: Sequence[str | None] | None = None,
        settings: NetworkSettings | None = None,
    ) -> Dataset[S]:
        """Make a dataset from the URLs or paths of its shards: the former name of ``Dataset[Digit](source)``."""
        return Dataset(urls, sample_class, checksums=checksums, settings=settings)

    @classmethod
    def from_shards(
        cls, shards: Source, sample_class: type[S] | None = None, *, settings: NetworkSettings | None = None
    ) -> Dataset[S]:
        """Make a dataset from shards: the former name of ``Dataset[Digit](source)``."""
        return Dataset(shards, sample_class, settings=settings)

    @overload
    @classmethod
    def from_atproto(
        cls, uri: str, sample_type: None = None, *, split: str | None = None,
        client: CatalogClient | SdkClient | None = None, settings: NetworkSettings | None = None,
    ) -> Dataset[SchemaSample]: ...  # fmt: skip

    @overload
    @classmethod
    def from_atproto(
        cls, uri: str, sample_type: type[S], *, split: str | None = None,
        client: CatalogClient | SdkClient | None = None, settings: NetworkSettings | None = None,
    ) -> Dataset[S]: ...  # fmt: skip

    @overload
    @classmethod
    def from_atproto(
        cls, client: CatalogClient | SdkClient, uri: str, sample_type: None = None, *, split: str | None = None,
        settings: NetworkSettings | None = None,
    ) -> Dataset[SchemaSample]: ...  # fmt: skip

    @overload
    @classmethod
    def from_atproto(
        cls, client: CatalogClient | SdkClient, uri: str, sample_type: type[S], *, split: str | None = None,
        settings: NetworkSettings | None = None,
    ) -> Dataset[S]: ...  # fmt: skip

    @classmethod
    def from_atproto(
        cls, *where: Any, split: str | None = None, settings: NetworkSettings | None = None, **named: Any
    ) -> Dataset[Any]:
        """Make the dataset of a record (or of the label of one), read from the PDS of its account.

        Without a ``sample_type`` one is made from the schema record, read from the PDS of *its* account; for a schema
        in another language than JSON Schema it is :class:`DictSample`. With one, it is compared with the schema.
        ``split`` is the only split that is wanted, see :meth:`split`. ``client`` may be a
        :class:`catalog.Client`, whose connections and settings are used, or an ``atproto.Client``, also before the URI.
        By default the settings are those of the environment.
        Raises :class:`~catalog.errors.InvalidSyntax`, a :class:`~catalog.errors.NetworkError`,
        :class:`~catalog.errors.InvalidRecord`, :class:`InvalidSample` if the class doesn't match the schema,
        :class:`~catalog.errors.RefusedUrl` for storage that isn't opened.
        """
        from catalog.datasets.published import require_fit, shards_of
        from catalog.samples.clients import open_reader

        arguments = _uri_first if not where or isinstance(where[0], str) else _client_first
        uri, sample_type, client = arguments(*where, **named)
        with open_reader(client, settings) as reader:
            settings = reader.settings
            found = reader.dataset(uri)
            schema = reader.schema(found.record.schema_ref)
        wanted = schema.record.sample_type
        if sample_type is None:
            sample_type = DictSample if wanted.foreign is not None else class_from(wanted, uri=schema.uri)
        else:
            require_fit(sample_type, wanted)
        dataset: Dataset[Any] = Dataset(shards_of(found), sample_type, settings=settings).__replace__(
            uri=found.uri,
            _cid=str(found.cid),
            _schema=wanted,
            _schema_uri=schema.uri,
            _stored=found.record.size.samples if found.record.size is not None else None,
            _subsets=found.record.splits,
        )
        return dataset if split is None else dataset.split(split)

    def __repr__(self) -> str:
        """Return class, shards and URI: ``Dataset[Digit]('digits-{000..009}.tar')``."""
        kind = "…" if self._now is None else self._now.__name__
        more = f", {len(self.shards)} shards" if len(self.shards) != 1 else ""
        uri = "" if self.uri is None else f", {self.uri}"
        return f"Dataset[{kind}]({display_url(self.url)!r}{more}{uri})"

    @classmethod
    def from_samples(cls, samples: SampleSource[S], sample_type: type[S] | None = None) -> Dataset[S]:
        """Make a dataset of the samples of a program: an iterable, or a function that returns one.

        They are shuffled, mapped, batched and divided among workers as those of shards are. The function is called for
        each iteration; an iterator can be iterated once. Dicts become :class:`DictSample`. To publish them, write them
        with ``write_samples(dataset, …)``. Raises TypeError for what isn't iterable; iterating raises
        :class:`~catalog.errors.InvalidSample` for a sample that isn't of ``sample_type``.
        """
        shard = samples_shard(samples)
        stored = len(samples) if isinstance(samples, Sized) else None
        step = Mapped(AsSample(None if sample_type is None else readable(sample_type)), sample_type)
        made: Dataset[S] = Dataset(shard).__replace__(_stored=stored, _steps=(step,))
        return made

    def _repr_html_(self) -> str:
        """Return shards and fields as a table, for notebooks. Nothing is read."""
        from catalog.sanitize import html_table
        from catalog.schema.types import FIELD_HEAD, field_rows

        kind = "…" if self._now is None else self._now.__name__
        facts = [f"{len(self.shards):,} shard{'s' * (len(self.shards) != 1)}", display_url(self.url)]
        if self.length is not None:
            facts.insert(1, f"{self.length:,} {'batches' if self._now is SampleBatch else 'samples'}")
        facts += [] if self.uri is None else [str(self.uri)]
        facts += [f"splits {', '.join(self.splits)}"] if self.splits else []
        rows = [] if self.schema is None else field_rows(self.schema)
        return html_table(f"Dataset[{kind}]", FIELD_HEAD, rows, note=" · ".join(facts))

    # --- read ------------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[T]:
        """Iterate the samples: shard by shard in order, unless shuffled; in a worker of a ``DataLoader``, its part.

        Begins where a loaded state says (:meth:`load_state_dict`). Raises a :class:`~catalog.errors.DataError` that
        names shard, key and field, or a :class:`~catalog.errors.NetworkError`; then the dataset can be iterated again.
        """
        progress = self._progress
        worker, workers = torch_worker()
        partition = self._partition.divided(worker or 0, workers)
        buffer = None if self._shuffle is None else self._shuffle.buffer_samples
        run = Run(progress.begin(worker), partition, buffer=buffer, workers=workers)
        progress.run = run
        if fetching(caller_frame()):
            register_collate(self._now)
            run.outputs = 0
            return samples_for_loader(self._reading, run)
        return samples_of(self._reading, run)

    def __len__(self) -> int:
        """Return the number of samples. Raises TypeError if it isn't known before reading."""
        if self.length is None:
            what = "how many samples this dataset has is not known before reading it; sum(1 for _ in dataset) counts"
            raise TypeError(what + torch_hint(Dataset))
        return self.length

    def __bool__(self) -> bool:
        """Return true: a dataset of unknown length isn't empty."""
        return True

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> list[T]: ...

    def __getitem__(self, index: int | slice) -> T | list[T]:
        """Return the sample at a position of the order, or those of a slice; see :meth:`select`.

        Raises IndexError, and TypeError for a position from the end if the number of samples isn't known.
        """
        if hint := torch_hint(Dataset):  # PyTorch would take this dataset for one that is indexed
            raise TypeError(f"a dataset is iterated, not indexed{hint}")
        if isinstance(index, slice):
            ends = [one for one in (index.start, index.stop) if one is not None]
            known = index.stop is not None and min(ends, default=0) >= 0
            return self.select(range(*index.indices(max(ends) if known and self.length is None else len(self))))
        number = operator.index(index)
        return self.select([number + len(self) if number < 0 else number])[0]

    @property
    def length(self) -> int | None:
        """The number of samples (or batches) if it is known: from the record, or from ``write_samples``."""
        known = None if self._stored is None else self._partition.size(self._stored)
        for step in self._steps:
            known = None if known is None else step.length(known)
        return known

    @property
    def url(self) -> str:
        """The URL of the shards: that of a single one, a brace pattern for numbered ones; else of several the first."""
        listed = self.list_shards()
        return contract(listed) or (listed[0] if listed else "")

    def list_shards(self) -> list[str]:
        """Return the URL of each shard."""
        return [shard.url for shard in self.shards]

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of the splits, in the order of the record: arguments for :meth:`split`."""
        return tuple(one.name for one in self._subsets)

    @property
    def sample_type(self) -> type[T] | None:
        """The class of the samples after all steps; ``None`` if it isn't known: after ``map``."""
        return self._now

    @property
    def schema(self) -> SampleType | None:
        """The fields of the samples after all steps; ``None`` if they aren't known: after ``map``, in batches."""
        now = self._now
        if now is not None and issubclass(now, DictSample):
            return self._schema
        return None if now is None or not hasattr(now, "__packable__") else sample_type(now)

    @property
    def statistics(self) -> dict[str, FieldStatistics]:
        """The statistics of each stored field over all samples: missing, limits, mean, quantiles, values, shapes.

        They are read from the shard manifests; shards without one are read whole, each time. ``approximate`` names what
        several manifests together don't have exactly. Raises ValueError for a mix, and for the samples of a program.
        """
        if self._mix is not None:
            raise ValueError("statistics are those of one dataset: ask each dataset of the mix")
        return statistics_of(self.shards, self._settings, self._schema or self.schema)

    def head(self, count: int = 5) -> list[T]:
        """Return the first ``count`` samples; no more shards are opened than necessary."""
        copy = self.__replace__()  # a state is of another iteration
        copy.set_epoch(self._epoch)
        return list(islice(copy, count))

    def get(self, key: str) -> T:
        """Return the sample with a key, after the steps.

        With shard manifests only its bytes are read, otherwise shards until it is found.

        Raises :class:`~catalog.errors.UnknownKey`.
        """
        for sample in sample_with_key(self._reading, key):
            return cast("T", sample)
        raise UnknownKey(f"no sample has the key {key[:200]!a}", where=display_url(self.url))

    def select(self, indices: Sequence[int]) -> list[T]:
        """Return the samples at these positions of the (shuffled) order, in this order.

        With shard manifests only the bytes of these samples are read, if no step but ``map`` was applied; otherwise all
        samples before the last one. Raises IndexError for a position that there isn't.
        """
        wanted = set(indices)
        if not self._nodes and min(wanted, default=0) >= 0:
            at = samples_at(self._reading, indices, self._total)
            if at is not None and at.keys() >= wanted:
                return [at[number] for number in indices]
        read = islice(self.__replace__(), max(wanted, default=-1) + 1)
        found = {number: sample for number, sample in enumerate(read) if number in wanted}
        missing = sorted(wanted - found.keys())
        if missing:
            raise IndexError(f"there is no sample {missing[0]} in {self!r}; the first one is 0")
        return [found[number] for number in indices]

    # --- convert ---------------------------------------------------------------------------------------------

    @property
    def column_names(self) -> list[str]:
        """The names of the fields of the samples, as attributes; empty if they aren't known before reading."""
        now = self._now
        if now is not None and issubclass(now, DictSample):
            return [] if self._schema is None else [one.name for one in self._schema.fields]
        if now is None or not hasattr(now, "__packable__"):
            return []
        return [entry.attribute for entry in plan_of(now).entries]

    @property
    def batch_type(self) -> type[SampleBatch[T]]:
        """The class of batches: :class:`SampleBatch`."""
        return SampleBatch

    @property
    def source(self) -> URLSource:
        """The shards as a source, at their :attr:`url`."""
        return URLSource(self.url)

    def __getattr__(self, name: str) -> NoReturn:
        """Raise AttributeError, for a name of atdata with what to use."""
        use = _ELSEWHERE.get(name)
        hint = "" if use is None else f"; use {use}"
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}{hint}")

    def describe(self) -> dict[str, Any]:
        """Return the facts known without reading: class, fields and their types, shards, samples, URL and URI."""
        fields_ = () if self.schema is None else self.schema.fields
        return {
            "sample_type": None if self._now is None else self._now.__name__,
            "fields": {one.name: type_text(one.type, optional=one.optional) for one in fields_},
            "samples": self.length,
            "num_shards": len(self.shards),
            "shards": self.list_shards(),
            "url": self.url,
            "uri": None if self.uri is None else str(self.uri),
        }

    def to_dict(self, limit: int | None = None) -> dict[str, list[Any]]:
        """Return the samples, or the first ``limit``, as columns: field → values. They must fit into memory."""
        return columns_of(self.__replace__() if limit is None else self.head(limit))

    def to_pandas(self, limit: int | None = None) -> pd.DataFrame:
        """Return the samples, or the first ``limit``, as a table of pandas: a row for each. They must fit into memory.

        Raises :class:`~catalog.errors.MissingExtra` without pandas.
        """
        return frame_of(self.to_dict(limit))

    def to_parquet(
        self, path: str | Path, sample_map: Callable[[T], Mapping[str, Any]] | None = None, maxcount: int | None = None
    ) -> None:
        """Write the samples as rows of a Parquet file, or of files ``…-000000.parquet`` of at most ``maxcount``.

        ``sample_map`` returns the row of a sample. Keys are not written. Raises as :func:`write_samples` does.
        """
        samples = map(without_key, self.__replace__()) if sample_map is None else map(sample_map, self.__replace__())
        write_shards(samples, path, maxcount=maxcount, format="parquet")

    @staticmethod
    def mix(
        datasets: Sequence[Dataset[Any]],
        weights: Sequence[float] | None = None,
        *,
        seed: int = 0,
        epoch: int = 0,
        stop: Stop = "first",
    ) -> Dataset[Any]:
        """Return a dataset of the samples of several, each drawn as often as its weight says; equal weights by default.

        ``stop``: it ends with the ``"first"`` dataset that has no sample left when one is drawn of it, or when
        ``"all"`` have none. The order depends on seed and epoch and on the orders of the datasets, so shuffle them,
        not the mix. Raises ValueError for weights that can't be used, and for a mix among the datasets.
        """
        sources = tuple(datasets)
        shares = checked_weights(weights, len(sources))
        if any(one._mix is not None for one in sources):  # noqa: SLF001 - of this class
            raise ValueError("a mix can't be mixed again: mix all datasets in one call")
        if any(one._nodes for one in sources):  # noqa: SLF001
            raise ValueError(
                "divide the mix among nodes, not its datasets: Dataset.mix([…]).split_by_node(rank, nodes)"
            )
        if stop not in ("first", "all"):
            raise ValueError(f"stop is {stop!r}; it is 'first' or 'all'")
        kinds = {one._now for one in sources}  # noqa: SLF001
        kind = kinds.pop() if len(kinds) == 1 else None
        known = [one.length for one in sources if one.length is not None]
        mixed: Dataset[Any] = sources[0].__replace__(
            shards=tuple(shard for one in sources for shard in one.shards),
            uri=None, _class=kind or object, _cid=None, _schema=None, _schema_uri=None, _shuffle=None, _validate=False,
            _subsets=(), _steps=(), _skip_rule=None, _mix=(sources, shares, seed, stop),
            _stored=sum(known) if stop == "all" and len(known) == len(sources) else None,
        )  # fmt: skip
        if epoch:
            mixed.set_epoch(epoch)
        return mixed

    # --- state -----------------------------------------------------------------------------------------------

    def set_epoch(self, epoch: int) -> None:
        """Use the order of this epoch in the next iterations, and begin at its beginning.

        For loops that iterate one dataset several times; ``shuffled(seed, epoch=epoch)`` returns another dataset.
        """
        if epoch < 0:
            raise ValueError("epoch must be at least 0")
        self._progress.set_epoch(epoch)

    def state_dict(self, *, after: int | None = None) -> dict[str, Any]:
        """Return the state after the last item that the current iteration handed out, a small dict for JSON.

        It counts for all nodes, which hand out the same number of items. The workers of a ``DataLoader`` have their own
        positions: use torchdata's ``StatefulDataLoader``, or say ``after`` how many items (samples, or batches after
        :meth:`batched`) this node has used since the beginning or the last loaded state. Raises
        :class:`~catalog.errors.DataError` without it if workers read this dataset.
        """
        progress = self._progress
        run = progress.run
        if after is not None:
            if after < 0:
                raise ValueError("after must be at least 0")
            partition = self._partition
            start = progress.last_start.moved(after * partition.unit * partition.ranks)
            return dump_state(self._identity, self._epoch, start, partition, unit=partition.unit)
        if progress.read_by_workers.marked and torch_worker()[0] is None:
            what = "the workers of a DataLoader read this dataset, and their position isn't known here"
            hint = "use torchdata's StatefulDataLoader and its state_dict(), or state_dict(after=number of items)"
            raise DataError(what, where=self._identity.uri, hint=hint)
        if run is None:
            partition = self._partition
            return dump_state(self._identity, self._epoch, progress.start, partition, unit=partition.unit)
        if run.saved is not None:
            return dump_run(run.saved, run)
        unit = run.partition.unit if run.outputs else 0
        state = dump_state(self._identity, self._epoch, run.next_start(), run.partition, unit=unit)
        if run.pulled:
            run.saved = state
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Let the next iteration begin after the last item of a state, which may be of any number of nodes and workers.

        ``state`` is what :meth:`state_dict` returned, or the state of a ``StatefulDataLoader`` that read this dataset.
        It contains the epoch. Raises :class:`~catalog.errors.DataError` for a state of another dataset (other shards,
        another version of the record), or of another seed or buffer.
        """
        self._progress.load(*load_state(state, self._identity))

    # --- other libraries -------------------------------------------------------------------------------------

    def __call__(self) -> Iterator[T]:
        """Iterate the samples: ``webdataset.DataPipeline(dataset, …)`` calls its first stage."""
        return iter(self)

    def to_ray(self) -> Any:  # noqa: ANN401 - ray is optional
        """Return the samples as a ``ray.data.Dataset``: a row a sample, read and converted by the workers of Ray.

        Each shard is a task, and each step is applied there. Rows are dicts with ``__key__``; arrays of numbers are
        NumPy arrays, datetimes ISO 8601 text, maps JSON text. ``write_shards(rows, pattern, sample_type=…)`` writes
        them as shards again. Raises :class:`~catalog.errors.MissingExtra`.
        """
        from catalog.datasets.ray_source import to_ray

        return to_ray(self)

    def to_webdataset(self) -> Dataset[dict[str, Any]]:
        """Return the dataset with samples as webdataset has them: dicts with ``__key__``, for its stages.

        ``webdataset.DataPipeline(dataset.to_webdataset(), webdataset.to_tuple("image", "label"), …)``. The workers of a
        ``DataLoader`` divide the samples already: ``split_by_worker`` isn't needed.
        """
        return self.map(as_webdataset)

    def to_arrow(self, limit: int | None = None) -> Any:  # noqa: ANN401 - pyarrow is optional
        """Return the samples, or the first ``limit``, as a ``pyarrow.Table``: a row a sample, a column a field.

        Arrays are (nested) lists, of fixed size if the class states all lengths; arrays of several dtypes or numbers of
        axes are ``.npy`` bytes. All samples are in memory. Raises :class:`~catalog.errors.MissingExtra`,
        :class:`~catalog.errors.InvalidSample` for values of several types in a column, and what iterating does.
        """
        from catalog.datasets.tables import to_arrow

        return to_arrow(self, limit)

    def to_polars(self, limit: int | None = None) -> Any:  # noqa: ANN401 - polars is optional
        """Return the samples, or the first ``limit``, as a ``polars.DataFrame``; see :meth:`to_arrow`."""
        from catalog.datasets.tables import to_polars

        return to_polars(self, limit)

    def to_hf(self, limit: int | None = None, *, streaming: bool = False) -> Any:  # noqa: ANN401 - datasets is optional
        """Return the samples, or the first ``limit``, as a ``datasets.Dataset`` of Hugging Face; see :meth:`to_arrow`.

        Images are of the feature ``Image``, arrays of two to five fixed lengths ``Array2D`` … ``Array5D``. With
        ``streaming`` it is an ``IterableDataset`` that reads the shards during iteration, and divides them among the
        workers of a ``DataLoader``.
        """
        from catalog.datasets.tables import to_hf

        return to_hf(self, limit, streaming=streaming)

    # --- steps -----------------------------------------------------------------------------------------------

    @overload
    def ordered(self, batch_size: None = None) -> Dataset[T]: ...

    @overload
    def ordered(self, batch_size: int) -> Dataset[SampleBatch[T]]: ...

    def ordered(self, batch_size: int | None = None) -> Dataset[Any]:
        """Return the dataset in the order in which its samples are stored; ``batch_size`` as :meth:`batched` has it."""
        if self._mix is not None:
            return self if batch_size is None else self.batched(batch_size)
        dataset = self.__replace__(_shuffle=None)
        return dataset if batch_size is None else dataset.batched(batch_size)

    @overload
    def shuffled(
        self, buffer_shards: int | None = None, buffer_samples: int = 1000, batch_size: None = None, *,
        seed: int = 0, epoch: int = 0,
    ) -> Dataset[T]: ...  # fmt: skip

    @overload
    def shuffled(
        self, buffer_shards: int | None = None, buffer_samples: int = 1000, *, batch_size: int,
        seed: int = 0, epoch: int = 0,
    ) -> Dataset[SampleBatch[T]]: ...  # fmt: skip

    def shuffled(
        self,
        buffer_shards: int | None = None,
        buffer_samples: int = 1000,
        batch_size: int | None = None,
        *,
        seed: int = 0,
        epoch: int = 0,
    ) -> Dataset[Any]:
        """Return the dataset in random order: shards are shuffled, and samples within blocks of ``buffer_samples``.

        ``seed`` and ``epoch`` determine the order; neither the number of workers or nodes nor the size of batches
        changes it. The stored samples are shuffled, at any position among the steps: batches consist of shuffled
        samples. ``batch_size`` as :meth:`batched` has it. ``buffer_shards`` are the shards of a block in which shards
        are shuffled; all of them without it. See also :meth:`set_epoch`.
        """
        if buffer_samples < 1 or (buffer_shards is not None and buffer_shards < 1):
            raise ValueError("buffer_shards and buffer_samples must be at least 1")
        if epoch < 0:
            raise ValueError("epoch must be at least 0")
        if self._mix is not None:
            raise ValueError("shuffle the datasets of a mix: Dataset.mix([one.shuffled(seed=1), …])")
        shuffle = Shuffle(seed=seed, epoch=epoch, buffer_shards=buffer_shards, buffer_samples=buffer_samples)
        dataset = self.__replace__(_shuffle=shuffle)
        return dataset if batch_size is None else dataset.batched(batch_size)

    def batched(self, batch_size: int, *, drop_last: bool = False) -> Dataset[SampleBatch[T]]:
        """Return a dataset of batches of ``batch_size`` samples, their arrays stacked: see :class:`SampleBatch`.

        The last batch may be smaller; ``drop_last`` omits it. The batches are the same however many workers and nodes
        make them.
        """
        if batch_size < 1:
            raise ValueError("batch_size must be at least 1")
        return cast("Dataset[SampleBatch[T]]", self._with(Batched(batch_size, drop_last)))

    def map(self, change: Callable[[T], U]) -> Dataset[U]:
        """Return a dataset with ``change`` applied to each sample."""
        return cast("Dataset[U]", self._with(Mapped(change)))

    def filter(self, keep: Callable[[T], object]) -> Dataset[T]:
        """Return a dataset of the samples for which ``keep`` returns true."""
        return self._with(Filtered(keep))

    def where(self, condition: str) -> Dataset[T]:
        """Return the dataset of the samples whose stored fields meet a condition: ``label == 3 and width > 100``.

        Fields have their wire names; values are numbers, texts and truth values. ``in``, ``is None``, ``and``, ``or``,
        ``not`` and brackets are read, and ``col("any name")``; nothing is run. A comparison with a missing value is
        false. With shard manifests only the matching samples are read, by ranges; otherwise all are read and compared.
        Raises ValueError for a text that is no condition, and after ``map``, ``filter`` or ``batched``.
        """
        if self._steps or self._mix is not None:
            raise ValueError(
                "where compares stored samples: call it before map, filter, batched and mix, or use filter"
            )
        parsed = parse_condition(condition)
        kind = self.schema
        selected = tuple(select_shard(shard, parsed, kind) for shard in self.shards)
        return self.__replace__(shards=selected, _stored=None, _subsets=())

    def validated(self) -> Dataset[T]:
        """Return a dataset that checks dtype and shape of each array against the class when it is read."""
        return self.__replace__(_validate=True)

    def on_error(
        self,
        action: Literal["raise", "skip"],
        *,
        limit: int | None = None,
        report: Callable[[CatalogError], object] | None = None,
    ) -> Dataset[T]:
        """Return a dataset that raises the errors of damaged samples and shards, as by default, or skips these.

        ``"skip"``: each is reported by a :class:`~catalog.errors.SkippedWarning`, or to ``report``, and the error after
        ``limit`` of them is raised. Of a shard that can't be read on the rest is skipped. Errors of the functions of
        ``map`` and ``filter`` are raised. Workers and nodes unpack all samples then, since each must know which are
        skipped.
        """
        if action not in ("raise", "skip"):
            raise ValueError(f"on_error is {action!r}; it is 'raise' or 'skip'")
        if self._mix is not None:
            raise ValueError("set on_error of the datasets of a mix, before they are mixed")
        if limit is not None and limit < 0:
            raise ValueError("limit must be at least 0")
        return self.__replace__(_skip_rule=SkipRule(limit=limit, report=report) if action == "skip" else None)

    def split(self, name: str) -> Dataset[T]:
        """Return a split, such as ``train``: the dataset with the shards that the record names for it.

        Raises :class:`~catalog.errors.UnknownSplit` with the splits there are if it isn't one of them.
        """
        found = next((one for one in self._subsets if one.name == name), None)
        if found is None:
            listed = f"its splits are {', '.join(self.splits)}"[:300] if self._subsets else "it has no splits"
            where = None if self.uri is None else str(self.uri)
            raise UnknownSplit(f"no split is called {name[:100]!a}", where=where, hint=listed)
        shards = tuple(self.shards[number] for number in found.shards if number < len(self.shards))
        return self.__replace__(shards=shards, _stored=found.samples, _subsets=())

    def split_by_node(self, rank: int, nodes: int) -> Dataset[T]:
        """Return the part of node ``rank`` (from 0) of ``nodes``; together the parts have every sample once.

        The samples (or the batches, after :meth:`batched`) are dealt to the nodes in turn, and the part of a node to
        the workers of its ``DataLoader``, so the order of all together is that of the whole dataset. All nodes must use
        the same shards, order, steps and ``nodes``. Each reads all shards, and unpacks its own samples.
        """
        if not 0 <= rank < nodes:
            raise ValueError(f"rank {rank} is not one of {nodes} nodes, which are numbered from 0")
        return self.__replace__(_nodes=(*self._nodes, (rank, nodes)))

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
        return cast("Dataset[U]", read.__replace__(_steps=(*self._steps, Mapped(lens, target))))

    # --- publishing ------------------------------------------------------------------------------------------

    def publish_to_atproto(
        self,
        client: CatalogClient | SdkClient,
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
        ``version`` also publishes a label. ``client`` is a :class:`catalog.Client` or a logged-in ``atproto.Client``,
        whose session is used and renewed. Raises :class:`PublishError`, also for a dataset with steps (its samples
        aren't those of the shards), and what :meth:`Client.publish_dataset` does.
        """
        from catalog.datasets.published import shards_to_publish
        from catalog.samples.clients import open_publisher

        if self._steps or self._nodes or self._mix is not None or any(map(is_selected, self.shards)):
            hint = "write its samples with write_samples(dataset, …), and publish that dataset"
            raise PublishError("a dataset with steps, batches or a split has no shards of its own", hint=hint)
        own = self._class if self._schema_uri is None else self._schema_uri
        with open_publisher(client) as publisher:
            return publisher.publish_dataset(
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
        now: type[Any] | None = self._class
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
        if self.schema is not None:
            require_fit(wanted, self.schema)
        return self.__replace__(_class=wanted)

    def _reads(self, wanted: type[Any]) -> bool:
        try:
            self._read_as(wanted)
        except InvalidSample:
            return False
        return True

    def _with(self, step: Step) -> Dataset[T]:
        return self.__replace__(_steps=(*self._steps, step))

    @property
    def _total(self) -> int | None:
        """The number of stored samples, also by the shard manifests."""
        return self._stored if self._stored is not None else total_samples(self.shards, self._settings)

    @property
    def _partition(self) -> Partition:
        """The part of this node; its unit is what the steps after the last filter take for one item."""
        partition = Partition()
        for rank, nodes in self._nodes:
            partition = partition.divided(rank, nodes)
        return replace(partition, unit=unit_of(self._steps)[1])

    @property
    def _reading(self) -> Reading:
        shuffle = self._shuffle
        if shuffle is not None:
            shuffle = replace(shuffle, epoch=self._epoch)
        mix: Mix | None = None
        readings: tuple[Reading, ...] = ()
        if self._mix is not None:
            sources, weights, seed, stop = self._mix
            readings = tuple(one._reading_in(self._progress.epoch) for one in sources)  # noqa: SLF001
            mix = Mix(weights=weights, seed=seed, stop=stop, epoch=self._epoch)
        return Reading(
            shards=self.shards,
            sample_class=self._class,
            shuffle=shuffle,
            validate=self._validate,
            settings=self._settings,
            steps=self._steps,
            skip_rule=self._skip_rule,
            mix=mix,
            sources=readings,
        )

    def _reading_in(self, epoch: int | None) -> Reading:
        """Return what is read in an epoch, without one in that of this dataset."""
        reading = self._reading
        if epoch is None or reading.shuffle is None:
            return reading
        return replace(reading, shuffle=replace(reading.shuffle, epoch=epoch))

    @property
    def _epoch(self) -> int:
        if self._progress.epoch is not None:
            return self._progress.epoch
        return 0 if self._shuffle is None else self._shuffle.epoch

    @property
    def _identity(self) -> Identity:
        progress, shuffle = self._progress, self._shuffle
        if progress.digest is None:
            progress.digest = shards_fingerprint(self.shards)
            if self._mix is not None:
                sources, *shares = self._mix
                progress.digest = fingerprint([*(str(one._identity) for one in sources), *shares])  # noqa: SLF001
        return Identity(
            record=self._cid,
            shards=progress.digest,
            shuffle=shuffle,
            uri=None if self.uri is None else str(self.uri),
        )


def _uri_first(
    uri: str, sample_type: type[Any] | None = None, *, client: CatalogClient | SdkClient | None = None
) -> tuple[str, type[Any] | None, CatalogClient | SdkClient | None]:
    """Return the arguments of ``from_atproto(uri, sample_type, client=client)``."""
    return uri, sample_type, client


def _client_first(
    client: CatalogClient | SdkClient | None, uri: str, sample_type: type[Any] | None = None
) -> tuple[str, type[Any] | None, CatalogClient | SdkClient | None]:
    """Return those of ``from_atproto(client, uri, sample_type)``, in the same order."""
    return uri, sample_type, client
