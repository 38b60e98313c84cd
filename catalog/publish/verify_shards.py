"""Verify shards against the checksums in their record: read from their storage, hashed while they arrive.

Nothing is cached or stored: a shard of any size takes the memory of one chunk. A blob has two checksums: its CID, which
contains a SHA-256, and the optional one beside it. A shard without a checksum is only opened, to report an absent one.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from catalog.datasets.published import shards_of
from catalog.errors import CatalogError, MissingExtra
from catalog.publish.checks import Check, State, failed, passed, unchecked
from catalog.records import BlobStorage, ExternalStorage
from catalog.samples.conformance import SampleCheck
from catalog.shards.checksum import ALGORITHMS, ExpectedDigest
from catalog.shards.download import download
from catalog.shards.formats import format_of
from catalog.shards.hash_cache import Examined
from catalog.shards.hash_remote import AnotherVersionError, Versions
from catalog.shards.magic import A_TAR, HEAD, UNKNOWN, describe
from catalog.shards.shard import display_url
from catalog.shards.source import ChunkSource
from catalog.shards.storage import shard_request

if TYPE_CHECKING:
    from catalog.network.http import Client
    from catalog.records import Dataset
    from catalog.records.fetch import Published
    from catalog.schema import SampleType
    from catalog.shards.shard import Shard

_BLOCK: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The shards to verify: all, or ``most`` of them at random (0: none)."""

    most: int | None = None
    chance: random.Random = field(default_factory=random.Random)

    def of(self, total: int) -> list[int]:
        """Return the chosen indices, ascending."""
        if self.most is None or self.most >= total:
            return list(range(total))
        return sorted(self.chance.sample(range(total), self.most))


def check_shards(
    found: Published[Dataset],
    client: Client,
    *,
    choice: Choice,
    watch: Callable[[str, int], object],
    wanted: SampleType | None = None,
    most: int | None = None,
) -> Iterator[Check]:
    """Yield a check for each chosen shard, then one for the size that the record states.

    ``most`` samples of each chosen shard, by default all, are compared with the schema ``wanted``; those that don't fit
    fail a check of their own.

    ``watch`` is called with the shard that is being read and its bytes so far. Nothing is raised: an error is a check
    that failed.
    """
    storage = found.record.storage
    if isinstance(storage, ExternalStorage):
        yield unchecked("shards", "the deprecated storageExternal has no checksums; nothing was read")
        return
    try:
        shards = shards_of(found)
        expected = _expected(found, shards)
    except CatalogError as error:
        yield failed("shards", str(error))
        return
    chosen = choice.of(len(shards))
    sizes: list[int] = []
    for index in chosen:
        name = f"{index + 1} of {len(shards)}  {display_url(shards[index].url)}"
        compare = SampleCheck(wanted, stated=shards[index].format, most=most)
        checks, size = _check(shards[index], expected[index], client, name, watch=watch, compare=compare)
        if size is not None:
            sizes.append(size)
        yield from checks
    left = len(shards) - len(chosen)
    if left:
        picked = f", {len(chosen)} picked at random were" if chosen else ""
        yield unchecked("shards", f"{left} of {len(shards)} not read{picked}")
    yield from _check_size(found.record, len(shards), sizes)


def _expected(found: Published[Dataset], shards: tuple[Shard, ...]) -> list[list[ExpectedDigest]]:
    """Return the digests that each shard must have; an empty list for a shard without a checksum."""
    expected = [[] if shard.checksum is None else [ExpectedDigest.parse(shard.checksum)] for shard in shards]
    if isinstance(found.record.storage, BlobStorage):
        for blob, digests in zip(found.record.storage.blobs, expected, strict=True):
            if blob.checksum is not None:
                digests.append(ExpectedDigest.parse(f"{blob.checksum.algorithm}:{blob.checksum.digest}"))
    return expected


def _check(
    shard: Shard,
    expected: list[ExpectedDigest],
    client: Client,
    name: str,
    *,
    watch: Callable[[str, int], object],
    compare: SampleCheck,
) -> tuple[list[Check], int | None]:
    """Return the checks of one shard, and its bytes if it was read whole."""
    known = [one for one in expected if one.known]
    for one in known:
        if not one.valid:
            what = f"{one.digest[:80]!a} is not {ALGORITHMS[one.algorithm]} hex digits"
            return [failed("shard", f"{name}: the record's {one.algorithm} is invalid: {what}")], None
    try:
        if not known:
            return [_check_start(shard, expected, client, name)], None
        digests, size, examined = _read(shard, known, client, lambda size: watch(name, size), compare)
    except CatalogError as error:
        return [failed("shard", f"{name}: not read: {error}")], None
    for one in known:
        if (digest := digests[one.algorithm]) != one.digest:
            what = f"its {one.algorithm} is {digest}, the record promises {one.digest}"
            found = "" if examined.misfit is None else f"; {examined.misfit}"
            return [failed("shard", f"{name}: {what} ({size:,} bytes{found})")], size
    names = " and ".join(dict.fromkeys(one.algorithm for one in known))
    note = "" if any(one.strong for one in known) else "; that shows damage, not a deliberate change"
    checks = [passed("shard", f"{name}: {names} as promised ({size:,} bytes){note}")]
    if examined.misfit is not None:
        checks.append(failed("samples", f"{name}: {examined.misfit}"))
    elif examined.format not in (None, shard.format):
        checks.append(failed("samples", f"{name}: its format is {examined.format}, the record says {shard.format}"))
    return checks, size


def _check_start(shard: Shard, expected: list[ExpectedDigest], client: Client, name: str) -> Check:
    """Return the check of a shard without a known checksum, by its first bytes."""
    with _downloaded(shard, client) as chunks:
        head = next(chunks, (0, b""))[1][:HEAD]
    if format_of(head) is None and (what := describe(head)) not in (A_TAR, UNKNOWN):
        return failed("shard", f"{name}: this is {what}, not a shard")
    why = f"its algorithm {expected[0].algorithm[:20]!a} is not known" if expected else "no checksum"
    return unchecked("shard", f"{name}: {why}; it is there, no more is known")


def _downloaded(shard: Shard, client: Client) -> closing[Generator[tuple[int, bytes], None, None]]:
    return closing(download(shard_request(client, shard), display_url(shard.url), restart=True))


class _Hashed:
    """The chunks of one version of a shard, hashed while they are read."""

    def __init__(self, expected: list[ExpectedDigest], watch: Callable[[int], object]) -> None:
        self.hashes = {one.algorithm: one.new_hash() for one in expected}
        self.size, self._watch = 0, watch

    def chunks(self, version: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the chunks."""
        for chunk in version:
            for one in self.hashes.values():
                one.update(chunk)
            self.size += len(chunk)
            self._watch(self.size)
            yield chunk


def _read(
    shard: Shard, expected: list[ExpectedDigest], client: Client, watch: Callable[[int], object], compare: SampleCheck
) -> tuple[dict[str, str], int, Examined]:
    """Return the digests of a shard's bytes by algorithm, their number, and what its samples are, read in one pass."""
    rest = memoryview(bytearray(_BLOCK))
    with _downloaded(shard, client) as downloaded:
        versions = Versions(downloaded)
        while True:
            hashed = _Hashed(expected, watch)
            source = ChunkSource(hashed.chunks(versions.next()))
            try:
                examined = _examined(compare, source, display_url(shard.url))
                while source.readinto(rest):
                    pass
            except AnotherVersionError:
                continue
            return {name: one.hexdigest() for name, one in hashed.hashes.items()}, hashed.size, examined


def _examined(compare: SampleCheck, source: ChunkSource, where: str) -> Examined:
    try:
        return compare(source, where)
    except MissingExtra:  # such as pyarrow: the samples can't be compared
        return Examined(samples=None)


def _check_size(record: Dataset, shards: int, sizes: list[int]) -> Iterator[Check]:
    """Compare the number of shards and, if all were read, of bytes with the record."""
    size = record.size
    if size is None:
        return
    faults, agreed = [], []
    if size.shards is not None:
        agreed.append(f"{shards} shards")
        if size.shards != shards:
            faults.append(f"the record says {size.shards} shards and lists {shards}")
    if size.bytes is not None and len(sizes) == shards:
        agreed.append(f"{sum(sizes):,} bytes")
        if size.bytes != sum(sizes):
            faults.append(f"the record says {size.bytes:,} bytes, they have {sum(sizes):,}")
    if faults:
        yield Check(what="size", state=State.FAILED, text="; ".join(faults))
    elif agreed:
        yield passed("size", f"{', '.join(agreed)}, as the record says")
