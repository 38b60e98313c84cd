"""The format ``msgpack``: a tar with one member a sample, ``<key>.msgpack``, a msgpack map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from catalog.errors import InvalidShard
from catalog.shards.formats.members import holds_msgpack, split_name
from catalog.shards.limits import MAX_MEMBER
from catalog.shards.tar import members

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
    whole: bool = False,
    places: list[int] | None = None,
) -> Iterator[tuple[str, memoryview]]:
    """Yield (key, msgpack bytes) of the samples of a shard in their order.

    A key may have dots: ``a.b.msgpack`` is the sample ``a.b`` here, while ``webdataset`` reads sample ``a``, field
    ``b.msgpack``. ``on_other`` is called with the name of each member that is not a sample. Raises
    :class:`InvalidShard` for a damaged tar, a member of more than ``max_bytes``, a name twice in a row, and at the end
    of a tar that has members but no sample.
    """
    length = len(SUFFIX)
    before = None
    others = 0
    for name, data in members(source, where, most=max_bytes, whole=whole, places=places):
        # Nearly every key has letters and digits only, so that no rule for hidden files and metadata applies to it.
        key = name[:-length]
        if not (key.isalnum() and name[-length:] == SUFFIX) and not _is_sample(name):
            others += 1
            if on_other is not None:
                on_other(name)
            continue
        if key == before:
            raise InvalidShard("two members for one sample", where=f"{where}, sample {ascii(key)[1:-1][:100]}")
        before = key
        if places is not None:
            places.append(places[-1] + len(data))
        yield key, data
    if others and before is None:
        hint = "an ordinary WebDataset has the format webdataset"
        raise InvalidShard("no member is a .msgpack sample", where=where, hint=hint)


def _is_sample(name: str) -> bool:
    if name[-len(SUFFIX) :] == SUFFIX and "/." not in name and name[0] not in "._":
        return True
    return name[-len(SUFFIX) :].lower() == SUFFIX and split_name(name) is not None


class _Msgpack:
    """The format ``msgpack``; see :class:`~catalog.shards.formats.format.Format`."""

    name = "msgpack"
    media_type = "application/x-tar"
    samples = staticmethod(samples_in)

    def recognises(self, head: bytes) -> bool:
        """Return whether the file is a tar whose samples are single ``.msgpack`` members."""
        return holds_msgpack(head) is True

    def count(self, source: Source, where: str) -> int | None:
        """Return the number of samples, ``None`` if the file is not a valid tar of samples."""
        try:
            return sum(1 for _ in samples_in(source, where, whole=True))
        except InvalidShard:
            return None

    def decoder(self, wanted: SampleType | None) -> None:
        """Return ``None``: :mod:`catalog.samples.packing` decodes the maps."""

    def infer(self, source: Source, where: str, limit: int | None) -> None:
        """Return ``None``: the fields are inferred from the samples."""


MSGPACK: Final = _Msgpack()
