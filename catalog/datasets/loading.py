"""Load a dataset by its path, pattern, folder or URI; its splits are those of the record, or of the file names.

::

    load_dataset("digits-{000000..000009}.tar", Digit, split="train")    a Dataset[Digit]
    load_dataset("data/")                                                a DatasetDict: {"train": …, "test": …}
    load_dataset("at://…/science.alt.dataset.entry/…", split="test")     the class is made from the schema record

A split of files is a folder (``test/000.tar``) or a part of the file name (``digits-train-000.tar``), see
:mod:`~catalog.shards.split_names`. Files without one are ``train``, as in Hugging Face's datasets and in atdata.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, NoReturn, TypeVar, overload

from catalog.datasets.dataset import Dataset
from catalog.errors import NoShards, RefusedUrl, UnknownSplit
from catalog.sanitize import html_table
from catalog.shards.braces import expand
from catalog.shards.files import shard_files
from catalog.shards.shard import display_url
from catalog.shards.split_names import SPLITS, in_split_order, split_in_path, split_of_word

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from catalog.atproto.sdk import SdkClient
    from catalog.config import NetworkSettings
    from catalog.samples.clients import CatalogClient
    from catalog.samples.packable import DictSample

__all__ = ["DatasetDict", "load_dataset"]

T = TypeVar("T")
S = TypeVar("S")

_REMOTE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_OF_DATASETS: Final = (
    "ordered",
    "shuffled",
    "batched",
    "map",
    "filter",
    "as_type",
    "head",
    "list_shards",
    "get",
    "select",
    "to_arrow",
    "to_hf",
    "to_pandas",
    "to_polars",
    "to_ray",
    "to_webdataset",
)
"""Methods of a dataset that a single split has, too."""


class DatasetDict(dict[str, Dataset[T]], Generic[T]):
    """The splits of a dataset by name. With a single split it also has the methods of a dataset that read samples."""

    def __init__(self, splits: Mapping[str, Dataset[T]] | None = None, *, streaming: bool = False) -> None:
        super().__init__({} if splits is None else splits)
        self.streaming = streaming

    @property
    def sample_type(self) -> type[T] | None:
        """The class of the samples; ``None`` without splits."""
        return next((dataset.sample_type for dataset in self.values()), None)

    @property
    def num_shards(self) -> dict[str, int]:
        """The number of shards of each split."""
        return {name: len(dataset.shards) for name, dataset in self.items()}

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - as the dataset
        """Return a method of the only split. Raises AttributeError if there are several."""
        if name not in _OF_DATASETS:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        if len(self) == 1:
            return getattr(next(iter(self.values())), name)
        splits = ", ".join(map(repr, self))
        raise AttributeError(f"{name} is for one split; choose one by its name, datasets[name].{name}(): {splits}")

    def _repr_html_(self) -> str:
        """Return the splits as a table, for notebooks. Nothing is read."""
        rows = [
            (name, f"{len(one.shards):,}", "" if one.length is None else f"{one.length:,}", display_url(one.url))
            for name, one in self.items()
        ]
        return html_table("DatasetDict", ("split", "shards", "samples", "URL"), rows)

    def __missing__(self, name: str) -> NoReturn:
        """Raise KeyError with the splits there are."""
        raise KeyError(f"no split is called {name!r}; the splits are {', '.join(self) or 'none'}")


@overload
def load_dataset(
    path: str | Path, sample_type: None = None, *, split: str,
    data_files: str | Sequence[str] | Mapping[str, str | Sequence[str]] | None = None, streaming: bool = False,
    client: CatalogClient | SdkClient | None = None, settings: NetworkSettings | None = None,
) -> Dataset[DictSample]: ...  # fmt: skip


@overload
def load_dataset(
    path: str | Path, sample_type: None = None, *, split: None = None,
    data_files: str | Sequence[str] | Mapping[str, str | Sequence[str]] | None = None, streaming: bool = False,
    client: CatalogClient | SdkClient | None = None, settings: NetworkSettings | None = None,
) -> DatasetDict[DictSample]: ...  # fmt: skip


@overload
def load_dataset(
    path: str | Path, sample_type: type[S], *, split: str,
    data_files: str | Sequence[str] | Mapping[str, str | Sequence[str]] | None = None, streaming: bool = False,
    client: CatalogClient | SdkClient | None = None, settings: NetworkSettings | None = None,
) -> Dataset[S]: ...  # fmt: skip


@overload
def load_dataset(
    path: str | Path, sample_type: type[S], *, split: None = None,
    data_files: str | Sequence[str] | Mapping[str, str | Sequence[str]] | None = None, streaming: bool = False,
    client: CatalogClient | SdkClient | None = None, settings: NetworkSettings | None = None,
) -> DatasetDict[S]: ...  # fmt: skip


def load_dataset(
    path: str | Path,
    sample_type: type[Any] | None = None,
    *,
    split: str | None = None,
    data_files: str | Sequence[str] | Mapping[str, str | Sequence[str]] | None = None,
    streaming: bool = False,
    client: CatalogClient | SdkClient | None = None,
    settings: NetworkSettings | None = None,
) -> Dataset[Any] | DatasetDict[Any]:
    """Return a split of a dataset, or without ``split`` a :class:`DatasetDict` of all.

    ``path`` is a file, a URL (https, s3), a pattern in braces or with ``*``, a folder with shards, or the at:// URI of
    a record, which ``client`` may read. Files in ``data_files`` are relative to the folder ``path``: patterns, or
    patterns by split. ``streaming`` has no effect: shards are always read during iteration.

    Without ``sample_type`` samples are :class:`DictSample`; those of a record are of the class of its schema.

    Raises :class:`~catalog.errors.UnknownSplit`, :class:`~catalog.errors.NoShards` for a pattern or folder without
    shards, and what :class:`Dataset` and :meth:`Dataset.from_atproto` raise.
    """
    text = str(path)
    if text.startswith("at://"):
        dataset = Dataset.from_atproto(text, sample_type, client=client, settings=settings)
        splits = {name: dataset.split(name) for name in dataset.splits} or {"train": dataset}
    elif text.startswith("@"):
        hint = "pass the at:// URI of its record; `catalog search` and Client.datasets() find it by name"
        raise RefusedUrl("the name of a dataset in an index is not a path", where=display_url(text), hint=hint)
    else:
        files = _by_split(_shards(text)) if data_files is None else _given(text, data_files)
        splits = {name: Dataset(shards, sample_type, settings=settings) for name, shards in files.items()}
    if split is None:
        return DatasetDict(splits, streaming=streaming)
    found = splits.get(split) or splits.get(split_of_word(split) or "")
    if found is None:
        hint = f"its splits are {', '.join(splits)}"[:300]
        raise UnknownSplit(f"no split is called {split[:100]!a}", where=display_url(text), hint=hint)
    return found


def _shards(pattern: str, base: Path | None = None) -> list[tuple[str, str]]:
    """Return URL or path of each shard of a pattern, and the part of it that may name a split."""
    if _REMOTE.match(pattern) and not Path(pattern).exists():
        return [(url, url.partition("?")[0].rpartition("/")[2]) for url in expand(pattern)]
    place = pattern if base is None else str(base / pattern)
    folder = Path(place) if Path(place).is_dir() else Path(re.split(r"[*?\[{]", place, maxsplit=1)[0] + "_").parent
    files = shard_files(place)
    for file in files:
        if not file.exists():
            raise NoShards("no such file", where=display_url(str(file)))
    return [(str(file), str(file.relative_to(folder).as_posix())) for file in files]


def _by_split(shards: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for place, named in shards:
        found.setdefault(split_in_path(named) or SPLITS[0], []).append(place)
    return {name: found[name] for name in in_split_order(found)}


def _given(folder: str, data_files: str | Sequence[str] | Mapping[str, str | Sequence[str]]) -> dict[str, list[str]]:
    """Return the shards of each split in ``data_files``."""
    named = data_files if not isinstance(data_files, str) and hasattr(data_files, "items") else {SPLITS[0]: data_files}
    return {
        name: [
            place
            for pattern in ([patterns] if isinstance(patterns, str) else patterns)
            for place, _ in _shards(pattern, Path(folder))
        ]
        for name, patterns in named.items()
    }
