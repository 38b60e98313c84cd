"""Assign the members of a tar to samples, by the rule of the ``webdataset`` library.

::

    train/v1.2/a.seg.PNG   sample train/v1.2/a, field seg.png     split at the first dot of the last path component
    README, dir/           no sample                             no dot, no regular file
    ._a.jpg, d/.hidden.x   no sample                             hidden files
    __meta__/a.json        no sample                             a first component __…__ is metadata

Members of a sample are adjacent. One difference: for ``d/.hidden.x`` the library yields a sample ``d/``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from catalog.errors import InvalidShard
from catalog.shards.formats.format import RESERVED
from catalog.shards.limits import MAX_MEMBER, MAX_MEMBERS
from catalog.shards.magic import is_tar
from catalog.shards.tar import member_names, members

if TYPE_CHECKING:
    from catalog.shards.source import Source

_MSGPACK: Final = "msgpack"


def split_name(name: str) -> tuple[str, str] | None:
    """Return key and field of a member by its name, the field in lower case; ``None`` if it belongs to no sample."""
    folder, slash, base = name.rpartition("/")
    stem, dot, field = base.partition(".")
    if not dot or not stem:
        return None
    if name.startswith("__"):
        first = name.partition("/")[0]
        if len(first) >= 4 and first.endswith("__"):
            return None
    return f"{folder}{slash}{stem}", field.lower()


def grouped(  # noqa: C901 - a call for each member would cost time
    source: Source,
    where: str,
    *,
    max_bytes: int = MAX_MEMBER,
    on_other: Callable[[str], object] | None = None,
    whole: bool = False,
    places: list[int] | None = None,
) -> Iterator[tuple[str, dict[str, memoryview]]]:
    """Yield (key, field → data) of the samples of a tar in their order.

    ``on_other`` is called with the name of each member that belongs to no sample. Raises :class:`InvalidShard` for a
    damaged tar, a field twice in one sample, a sample of more than ``max_bytes``, and at the end of a tar that has
    members but no sample.
    """
    key: str | None = None
    sample: dict[str, memoryview] = {}
    size = others = 0
    starts: list[int] | None = None if places is None else []
    span = (0, 0)
    for name, data in members(source, where, most=max_bytes, whole=whole, places=starts):
        named = split_name(name)
        if named is None:
            others += 1
            if on_other is not None:
                on_other(name)
            continue
        found, field = named
        if found != key:
            if key is not None:
                if places is not None:
                    places += span
                yield key, sample
            key, sample, size = found, {}, 0
            if starts:
                span = (starts[-1], 0)
        size += len(data)
        if field in sample or field in RESERVED or size > max_bytes or len(sample) >= MAX_MEMBERS:
            raise _refused(field, sample, where, found, max_bytes)
        sample[field] = data
        if starts:
            span = (span[0], starts[-1] + len(data))
            starts.clear()
    if key is not None:
        if places is not None:
            places += span
        yield key, sample
    elif others:
        raise InvalidShard("no member belongs to a sample", where=where, hint="members are named KEY.FIELD: 0001.jpg")


def _refused(field: str, sample: dict[str, memoryview], where: str, key: str, max_bytes: int) -> InvalidShard:
    place = f"{where}, sample {ascii(key)[1:-1][:100]}"
    shown = ascii(field)[:60]
    if field in RESERVED:
        return InvalidShard(f"a field {shown}, which is reserved", where=place, hint="rename the member")
    if field in sample:
        hint = "extensions are compared in lower case; rename one of the members"
        return InvalidShard(f"two members for the field {shown}", where=place, hint=hint)
    if len(sample) >= MAX_MEMBERS:
        return InvalidShard(f"more than {MAX_MEMBERS:,} members", where=place, hint="give each sample a key of its own")
    return InvalidShard(f"a sample of more than {max_bytes:,} bytes", where=place)


def holds_msgpack(head: bytes) -> bool | None:
    """Return whether a tar is of the format ``msgpack`` by its first bytes; ``None`` if they are not those of a tar.

    The first sample with a ``.msgpack`` member decides: the format is ``webdataset`` if it has other members, too. A
    tar that shows no sample counts as ``msgpack``.
    """
    if not is_tar(head):
        return None
    named = [found for name in member_names(head) if (found := split_name(name)) is not None]
    for _, sample in groupby(named, itemgetter(0)):
        fields = [field.rpartition(".")[2] == _MSGPACK for _, field in sample]
        if any(fields):
            return all(fields)
    return not named
