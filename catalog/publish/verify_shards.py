"""Shards against the checksums that their record promises: read from where they lie, hashed as they arrive.

No cache is asked, and nothing is kept: a shard of any size takes the memory of one piece of it.

Tricky bits
-----------
- A blob has two promises: its CID, which is a SHA-256, and a checksum beside it, which may be missing.
- A shard without a checksum can't be right or wrong. It is opened, so that one which is gone is noticed.
"""

from __future__ import annotations

import hashlib
import random
import re
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from catalog.datasets.published import shards_of
from catalog.errors import CatalogError
from catalog.publish.checks import Check, State, failed, passed, unchecked
from catalog.records import BlobStorage, ExternalStorage
from catalog.shards.download import pieces
from catalog.shards.storage import asking, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from catalog.network.http import Client
    from catalog.records import Dataset
    from catalog.records.fetch import Published
    from catalog.shards.storage import Shard

__all__ = ["Choice", "check_shards"]

_ALGORITHMS: Final = frozenset({"md5", "sha1", "sha256", "sha384", "sha512"})
_WEAK: Final = frozenset({"md5", "sha1"})
_HEX: Final = re.compile(r"[0-9a-f]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which shards are read: all, or ``most`` of them picked at random (0: none)."""

    most: int | None = None
    chance: random.Random = field(default_factory=random.Random)

    def of(self, total: int) -> list[int]:
        """The chosen places, ascending."""
        if self.most is None or self.most >= total:
            return list(range(total))
        return sorted(self.chance.sample(range(total), self.most))


@dataclass(frozen=True, slots=True)
class _Promise:
    """(algorithm, hex digest) that the bytes must have."""

    algorithm: str
    digest: str


def check_shards(
    found: Published[Dataset],
    client: Client,
    *,
    choice: Choice,
    watch: Callable[[str, int], object],
) -> Iterator[Check]:
    """A check for each chosen shard, then one for the size that the record states.

    ``watch`` is told which shard is being read and how many bytes of it are here. Nothing is raised: what goes wrong
    is a check that failed.
    """
    storage = found.record.storage
    if isinstance(storage, ExternalStorage):
        yield unchecked("shards", "a storage of the old kind (storageExternal) has no checksums; nothing was read")
        return
    try:
        shards = shards_of(found)
        promises = _promises(found, shards)
    except CatalogError as error:
        yield failed("shards", str(error))
        return
    chosen = choice.of(len(shards))
    sizes: list[int] = []
    for index in chosen:
        name = f"{index + 1} of {len(shards)}  {shown(shards[index].url)}"
        check, size = _check(shards[index], promises[index], client, name, watch)
        if size is not None:
            sizes.append(size)
        yield check
    left = len(shards) - len(chosen)
    if left:
        picked = f", {len(chosen)} picked at random were" if chosen else ""
        yield unchecked("shards", f"{left} of {len(shards)} not read{picked}")
    yield from _check_size(found.record, len(shards), sizes)


def _promises(found: Published[Dataset], shards: tuple[Shard, ...]) -> list[list[_Promise]]:
    """What each shard's bytes must hash to; an empty list for a shard without a checksum."""
    promises = [[_promise(shard.checksum)] if shard.checksum is not None else [] for shard in shards]
    if isinstance(found.record.storage, BlobStorage):
        for blob, list_ in zip(found.record.storage.blobs, promises, strict=True):
            if blob.checksum is not None:
                list_.append(_promise(f"{blob.checksum.algorithm}:{blob.checksum.digest}"))
    return promises


def _promise(text: str) -> _Promise:
    algorithm, _, digest = text.partition(":")
    return _Promise(algorithm.lower().replace("sha-", "sha"), digest.lower())


def _fault(promise: _Promise) -> str | None:
    """Why a promise can't be kept by any bytes; None when it can."""
    length = hashlib.new(promise.algorithm, usedforsecurity=False).digest_size * 2
    if len(promise.digest) != length or not _HEX.fullmatch(promise.digest):
        return f"the record's {promise.algorithm} is none: {promise.digest[:80]!a} is not {length} hex digits"
    return None


def _check(
    shard: Shard, promises: list[_Promise], client: Client, name: str, watch: Callable[[str, int], object]
) -> tuple[Check, int | None]:
    """The check of one shard, and its bytes where it was read whole."""
    known = [promise for promise in promises if promise.algorithm in _ALGORITHMS]
    for promise in known:
        if (fault := _fault(promise)) is not None:
            return failed("shard", f"{name}: {fault}"), None
    try:
        if not known:
            _touch(shard, client)
            why = f"its algorithm {promises[0].algorithm[:20]!a} is not known" if promises else "no checksum"
            return unchecked("shard", f"{name}: {why}; it is there, no more is known"), None
        digests, size = _read(shard, {promise.algorithm for promise in known}, client, name, watch)
    except CatalogError as error:
        return failed("shard", f"{name}: not read: {error}"), None
    for promise in known:
        if digests[promise.algorithm] != promise.digest:
            what = f"its {promise.algorithm} is {digests[promise.algorithm]}, the record promises {promise.digest}"
            return failed("shard", f"{name}: {what} ({size:,} bytes)"), size
    names = " and ".join(dict.fromkeys(promise.algorithm for promise in known))
    weak = all(promise.algorithm in _WEAK for promise in known)
    note = "; that shows damage, not what somebody changed on purpose" if weak else ""
    return passed("shard", f"{name}: {names} as promised ({size:,} bytes){note}"), size


def _touch(shard: Shard, client: Client) -> None:
    """Open it and read its first bytes."""
    with closing(pieces(asking(client, shard), shown(shard.url), restart=True)) as arriving:
        next(arriving, None)


def _read(
    shard: Shard, algorithms: set[str], client: Client, name: str, watch: Callable[[str, int], object]
) -> tuple[dict[str, str], int]:
    """The digests of a shard's bytes, and how many there are. What breaks off is gone on with, or begins anew."""
    hashes = {algorithm: hashlib.new(algorithm, usedforsecurity=False) for algorithm in algorithms}
    size = 0
    with closing(pieces(asking(client, shard), shown(shard.url), restart=True)) as arriving:
        for offset, piece in arriving:
            if offset == 0:
                hashes = {algorithm: hashlib.new(algorithm, usedforsecurity=False) for algorithm in algorithms}
            for one in hashes.values():
                one.update(piece)
            size = offset + len(piece)
            watch(name, size)
    return {algorithm: one.hexdigest() for algorithm, one in hashes.items()}, size


def _check_size(record: Dataset, shards: int, sizes: list[int]) -> Iterator[Check]:
    """The number of shards and, where all were read, of bytes, against what the record says there are."""
    size = record.size
    if size is None:
        return
    faults, said = [], []
    if size.shards is not None:
        told = f"{shards} shards"
        said.append(told)
        if size.shards != shards:
            faults.append(f"the record says {size.shards} shards and lists {shards}")
    if size.bytes is not None and len(sizes) == shards:
        said.append(f"{sum(sizes):,} bytes")
        if size.bytes != sum(sizes):
            faults.append(f"the record says {size.bytes:,} bytes, they have {sum(sizes):,}")
    if faults:
        yield Check(what="size", state=State.FAILED, text="; ".join(faults))
    elif said:
        yield passed("size", f"{', '.join(said)}, as the record says")
