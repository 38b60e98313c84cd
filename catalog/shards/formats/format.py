"""The interface of a shard format: recognise, read, count, decode and describe the samples of a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from catalog.shards.limits import MAX_MEMBER

if TYPE_CHECKING:
    from catalog.schema import Field, SampleType
    from catalog.shards.source import Source

KEY: Final = "__key__"
"""The column of a table with the keys of its rows."""

RESERVED: Final = (KEY, "__url__", "__local_path__")
"""Names that ``webdataset`` adds to every sample: never those of fields."""

Raw: TypeAlias = bytes | bytearray | memoryview | Mapping[str, Any]
"""A sample as it is stored: msgpack bytes, or field → bytes (webdataset), or column → Python value (tables)."""

Decoder: TypeAlias = Callable[[Any, str], dict[str, Any]]
"""Returns wire name → value of a :data:`Raw` sample and its key, as a new dict. An array may be its ``.npy`` bytes.

Raises :class:`~catalog.errors.InvalidSample` with key and field.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """The fields that a file states itself, such as the columns of Parquet; ``left_out`` are name and reason.

    ``rows`` were looked at for them, of ``total``; ``missing`` are the fields without a value in some of those rows,
    and in how many.
    """

    fields: tuple[Field, ...]
    left_out: tuple[tuple[str, str], ...] = ()
    rows: int = 0
    total: int = 0
    missing: Mapping[str, int] = field(default_factory=dict)


class Format(Protocol):
    """A format of shards. Its name is the ``sampleFormat`` of a dataset record; ``msgpack`` is written as absent.

    A source is read once, from its beginning; one that is a file can also ``seek``.
    """

    @property
    def name(self) -> str:
        """The name in records, in manifests and in ``Shard.format``."""
        ...

    @property
    def media_type(self) -> str:
        """The media type of a shard, for Croissant and DCAT."""
        ...

    def recognises(self, head: bytes) -> bool:
        """Return whether a file is of this format, by its first bytes (:data:`HEAD` at most), decompressed."""
        ...

    def samples(
        self,
        source: Source,
        where: str,
        *,
        max_bytes: int = MAX_MEMBER,
        on_other: Callable[[str], object] | None = None,
        whole: bool = False,
        places: list[int] | None = None,
    ) -> Iterator[tuple[str, Raw]]:
        """Yield (key, sample) in the order in which they are stored.

        ``on_other`` is called with the name of each member that is not a sample. ``whole``: a checksum shows that the
        file is complete. When a sample is yielded, the last two of ``places`` are the offsets at which its bytes begin
        and end (those of a tar: of its first member's data, and of its last one's); Parquet adds none. Raises
        :class:`~catalog.errors.InvalidShard` for a damaged file, one of another format, or a sample of more than
        ``max_bytes``.
        """
        ...

    def count(self, source: Source, where: str) -> int | None:
        """Return the number of samples, ``None`` if the file is not a valid shard of this format.

        Errors of ``source`` other than :class:`~catalog.errors.InvalidShard` are raised.
        """
        ...

    def decoder(self, wanted: SampleType | None) -> Decoder | None:
        """Return the function that decodes a sample for a type, or without one: by names or stored types.

        ``None``: the samples are msgpack maps, which :mod:`catalog.samples.packing` decodes.
        """
        ...

    def infer(self, source: Source, where: str, limit: int | None) -> Stated | None:
        """Return the fields that the file states itself; ``None``: they are inferred from decoded samples.

        Text tables read at most ``limit`` rows, all of them if it is ``None``.
        """
        ...
