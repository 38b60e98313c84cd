"""The format ``msgpack``: a tar with one member a sample, ``<key>.msgpack``, a msgpack map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from catalog.errors import InvalidShard
from catalog.shards.magic import is_tar
from catalog.shards.tar import MAX_MEMBER, members

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from catalog.schema import SampleType
    from catalog.shards.source import Source

__all__ = ["MSGPACK", "SUFFIX", "samples_in"]

SUFFIX: Final = ".msgpack"
"""The end of the name of a member that is a sample."""


def samples_in(
    source: Source,
    where: str,
    *,
    max_bytes: int = MAX_MEMBER,
    on_other: Callable[[str], object] | None = None,
    whole: bool = False,  # noqa: ARG001
) -> Iterator[tuple[str, memoryview]]:
    """Yield (key, msgpack bytes) of the samples of a shard in their order.

    ``on_other`` is called with the name of each member that is not a sample. Raises :class:`InvalidShard` for a
    damaged tar, for a member of more than ``max_bytes``, and at the end of a tar that has members but no sample.
    """
    length = len(SUFFIX)
    samples = others = 0
    for name, data in members(source, where, most=max_bytes):
        if name.endswith(SUFFIX):
            samples += 1
            yield name[:-length], data
        else:
            others += 1
            if on_other is not None:
                on_other(name)
    if others and not samples:
        raise InvalidShard("no member is a .msgpack sample", where=where)


class _Msgpack:
    """The format ``msgpack``; see :class:`~catalog.shards.formats.format.Format`."""

    name = "msgpack"
    media_type = "application/x-tar"
    samples = staticmethod(samples_in)

    def recognises(self, head: bytes) -> bool:
        """Return whether the file is a tar."""
        return is_tar(head)

    def count(self, source: Source, where: str) -> int | None:
        """Return the number of samples, ``None`` if the file is not a valid tar of samples."""
        try:
            return sum(1 for _ in samples_in(source, where))
        except InvalidShard:
            return None

    def decoder(self, wanted: SampleType | None) -> None:
        """Return ``None``: :mod:`catalog.samples.packing` decodes the maps."""

    def infer(self, source: Source, where: str, limit: int | None) -> None:
        """Return ``None``: the fields are inferred from the samples."""


MSGPACK: Final = _Msgpack()
