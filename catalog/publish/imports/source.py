"""The interface of a source: its rows, fields and splits, and parts of it that other processes can read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from catalog.samples.inference import LeftOut
    from catalog.samples.write_shards import ShardFormat
    from catalog.schema import Field

__all__ = ["Members", "Part", "Source", "Split", "fingerprint"]

Members: TypeAlias = "Sequence[tuple[str, bytes]]"
"""The members of a sample: each a suffix (``.jpg``) and its data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """A range of rows; ``name`` is ``None`` for a source without splits."""

    name: str | None
    start: int
    stop: int


class Part(Protocol):
    """A range of rows of a source. It can be pickled."""

    def samples(self) -> Iterator[tuple[str, Members]]:
        """Yield the key and the members of each sample."""
        ...


class Source(Protocol):
    """Files to import. ``kind`` describes them, ``notes`` say what was decided and left out."""

    @property
    def kind(self) -> str: ...  # noqa: D102 - see the class
    @property
    def name(self) -> str:
        """The name of the file or folder, without its suffix."""
        ...

    @property
    def format(self) -> ShardFormat:
        """The format of the shards: ``msgpack`` or ``webdataset``."""
        ...

    @property
    def fields(self) -> tuple[Field, ...]:
        """The fields of a sample."""
        ...

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """The parts of a sample that no type describes."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """Decisions that the user should know, one line each."""
        ...

    @property
    def splits(self) -> tuple[Split, ...]:
        """The splits, which together are all rows."""
        ...

    @property
    def fingerprint(self) -> str:
        """A hash that differs if the source was changed."""
        ...

    def size_of(self, row: int) -> int:
        """Return the approximate number of bytes of a row in a shard."""
        ...

    def part(self, start: int, stop: int) -> Part:
        """Return the rows from ``start`` up to ``stop``."""
        ...


def fingerprint(*facts: object) -> str:
    """Return a hash of facts that JSON can write."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
