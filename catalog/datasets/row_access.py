"""Single samples of shards, by their manifests: of a shard only the bytes of these samples are read.

::

    manifest header ─▶ statistics: can a sample of this shard match? ─▶ table: which ones ─▶ ranges of the shard

A manifest states where a sample is; a sample is used only if the tar header in front of it has its key and size. If it
hasn't, or the server has no ranges, or there is no manifest, the whole shard is read.
"""

from __future__ import annotations

import hashlib
import io
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from catalog.datasets.where import Condition, parse_condition
from catalog.errors import CatalogError, MissingExtra
from catalog.samples.packing import unpack_values
from catalog.samples.shard_manifest import manifest_paths, read_manifest
from catalog.samples.statistics import Statistics, merged
from catalog.shards.formats import FORMATS
from catalog.shards.formats.members import split_name
from catalog.shards.reader import open_samples
from catalog.shards.shard import ManifestFiles, Shard, display_url
from catalog.shards.storage import open_shard, shard_request, shared_client
from catalog.shards.tar import member_names

if TYPE_CHECKING:
    from catalog.config import NetworkSettings
    from catalog.samples.shard_manifest import Row, ShardManifest
    from catalog.samples.statistics import FieldStatistics
    from catalog.schema import SampleType
    from catalog.shards.formats import Format, Raw

__all__ = ["SelectedShard", "find_key", "manifest_of", "positions", "statistics_of"]

_TARS: Final = ("msgpack", "webdataset")
_GAP: Final = 1 << 16
"""Bytes between two samples that are read rather than skipped."""
_MAX_RUN: Final = 8 << 20
_SHARE: Final = 0.5
"""The part of a shard from which it is read whole."""
_WORKERS: Final = 8
_BLOCK: Final = 512
_LONG: Final = 3 * _BLOCK
"""A header with the extended header for a long name."""
_SHORT_KEY: Final = 80
_MAX_FILE: Final = 104_857_600
"""Bytes of a file of a manifest, by the lexicon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectedShard(Shard):
    """The samples of a shard that meet a condition, in the place of the shard."""

    whole: Shard
    condition: Condition
    sample_type: SampleType | None = None

    @property
    def path(self) -> Path | None:
        """Not a remote file: nothing of it is read ahead."""
        return Path(self.url)

    @contextmanager
    def opened(self, settings: NetworkSettings | None) -> Iterator[tuple[Format, Iterator[tuple[str, Raw]]]]:
        """Open the shard; return its format and its samples that meet the condition."""
        found = manifest_of(self.whole, settings)
        numbers = None if found is None else self._numbers(found, settings)
        if found is None or numbers is None or len(numbers):
            with ExitStack() as stack:
                if found is not None and numbers is not None and found.format in _TARS:
                    found = manifest_of(self.whole, settings, table=True) or found
                    rows = [found.rows[number] for number in numbers]
                    form = FORMATS[found.format or ""]
                    yield form, self._confirmed(form, _read_rows(self.whole, found, rows, settings), settings)
                    return
                form, samples = stack.enter_context(open_samples(self.whole, settings=settings))
                yield form, self._matching(form, samples, frozenset())
            return
        yield FORMATS[found.format or "msgpack"], iter(())

    def _numbers(self, found: ShardManifest, settings: NetworkSettings | None) -> list[int] | None:
        """Return the positions of the samples that meet the condition; ``None`` if the manifest doesn't tell."""
        if not self.condition.may_be_met(found.statistics):
            return []
        table = manifest_of(self.whole, settings, table=True)
        if table is None or not table.rows:
            return None
        known = {*table.columns, *(name for name in self.condition.columns if name not in table.statistics)}
        if not table.statistics or not self.condition.columns <= known:
            return None
        numbers: list[int] = np.flatnonzero(self.condition.mask(table.columns, len(table.rows))).tolist()
        return numbers

    def _confirmed(
        self, form: Format, read: Iterator[tuple[str, Raw] | None], settings: NetworkSettings | None
    ) -> Iterator[tuple[str, Raw]]:
        """Yield the samples that were read; after one that isn't where its manifest says, those of the whole shard."""
        given: set[str] = set()
        for one in read:
            if one is None:
                with open_samples(self.whole, settings=settings) as (form_, samples):
                    yield from self._matching(form_, samples, given)
                return
            given.add(one[0])
            yield from self._matching(form, iter([one]), frozenset())

    def _matching(
        self, form: Format, samples: Iterator[tuple[str, Raw]], given: set[str] | frozenset[str]
    ) -> Iterator[tuple[str, Raw]]:
        values: Callable[[Any, str], dict[str, Any]] = form.decoder(self.sample_type) or unpack_values
        for key, raw in samples:
            if key in given:
                continue
            try:
                met = self.condition.is_met(values(raw, key))
            except CatalogError as error:
                raise error.within(display_url(self.url)) from None
            if met:
                yield key, raw


def select_shard(shard: Shard, condition: Condition, sample_type: SampleType | None) -> Shard:
    """Return the samples of a shard that meet a condition, in its place; of a selection those that meet both."""
    if isinstance(shard, SelectedShard):
        condition = parse_condition(f"({shard.condition.text}) and ({condition.text})")
        shard = shard.whole
    elif type(shard) is not Shard:
        raise ValueError("where is for the samples of shards; use filter for those of a program")
    digest = hashlib.sha256(f"{shard.checksum or shard.url}\n{condition.text}".encode("utf-8", "replace")).hexdigest()
    return SelectedShard(
        url=shard.url, checksum=f"where:{digest}", whole=shard, condition=condition, sample_type=sample_type
    )


def is_selected(shard: Shard) -> bool:
    """Return whether a shard is a selection."""
    return isinstance(shard, SelectedShard)


def total_samples(shards: Sequence[Shard], settings: NetworkSettings | None) -> int | None:
    """Return the number of samples of shards by their manifests; ``None`` if one has none."""
    total = 0
    for shard in shards:
        found = None if isinstance(shard, SelectedShard) else manifest_of(shard, settings)
        if found is None:
            return None
        total += found.samples
    return total


def statistics_of(
    shards: Sequence[Shard], settings: NetworkSettings | None, sample_type: SampleType | None
) -> dict[str, FieldStatistics]:
    """Return the statistics of the stored fields: those of manifests, and of all samples of the other shards."""
    read, parts = Statistics(), []
    for shard in shards:
        found = manifest_of(shard, settings)
        if found is not None and (found.statistics or not found.samples):
            parts.append((found.samples, found.statistics))
            continue
        with _opened(shard, settings) as (form, samples):
            values: Callable[[Any, str], dict[str, Any]] = form.decoder(sample_type) or unpack_values
            try:
                for key, raw in samples:
                    read.add(values(raw, key))
            except CatalogError as error:
                raise error.within(display_url(shard.url)) from None
    own = read.result()
    return merged([*parts, (read.samples, own)] if read.samples else parts)


def _opened(
    shard: Shard, settings: NetworkSettings | None
) -> AbstractContextManager[tuple[Format, Iterator[tuple[str, Raw]]]]:
    if isinstance(shard, SelectedShard):
        return shard.opened(settings)
    if type(shard) is not Shard:
        raise ValueError("statistics are those of shards: write the samples with write_samples first")
    return open_samples(shard, settings=settings)


# --- manifests -----------------------------------------------------------------------------------------------


def manifest_of(shard: Shard, settings: NetworkSettings | None, *, table: bool = False) -> ShardManifest | None:
    """Return the manifest of a shard, published with it or beside its file; ``None`` without one that is of this shard.

    With ``table`` it has rows and columns, if pyarrow is installed. A manifest that can't be read is none.
    """
    files, mark = shard.manifest, ""
    path = None if type(shard) is not Shard else shard.path
    if files is None and path is not None:
        header, parquet = manifest_paths(path)
        try:
            mark = f"{header.stat().st_mtime_ns} {path.stat().st_size} {path.stat().st_mtime_ns}"
        except OSError:
            return None
        files = ManifestFiles(Shard(url=str(header)), Shard(url=str(parquet)) if parquet.is_file() else None)
    if files is None:
        return None
    found = _manifest(files, settings, mark, table=table and files.table is not None)
    if found is None or found.size is None or found.format not in FORMATS:
        return None
    algorithm, _, digest = (shard.checksum or "").partition(":")
    if algorithm == "sha256" and found.sha256 != digest.lower():
        return None
    return None if path is not None and path.stat().st_size != found.size else found


@lru_cache(maxsize=128)
def _manifest(
    files: ManifestFiles, settings: NetworkSettings | None, mark: str, *, table: bool  # noqa: ARG001 - a key of the cache
) -> ShardManifest | None:  # fmt: skip
    try:
        header = _content(files.header, settings)
        where = display_url(files.header.url)
        if not table or files.table is None:
            return read_manifest(header, None, where)
        try:
            return read_manifest(header, _content(files.table, settings), where)
        except MissingExtra:
            return read_manifest(header, None, where)
    except CatalogError:
        return None


def _content(file: Shard, settings: NetworkSettings | None) -> bytes:
    found = bytearray()
    buffer = memoryview(bytearray(1 << 16))
    with open_shard(file, settings) as source:
        while len(found) <= _MAX_FILE and (count := source.readinto(buffer)):
            found += buffer[:count]
    return bytes(found[:_MAX_FILE])


# --- ranges --------------------------------------------------------------------------------------------------


def _lead(row: Row) -> int:
    """Return the bytes before the data of a sample in which its header is."""
    return _BLOCK if row.key.isascii() and len(row.key) <= _SHORT_KEY else _LONG


def _span(row: Row, form: str) -> tuple[int, int] | None:
    """Return begin and end of the bytes that a sample is confirmed by."""
    if row.offset is None or row.size is None or row.offset < _BLOCK or row.size < 0:
        return None
    end = row.offset + row.size
    return max(0, row.offset - _lead(row)), end + (-end % _BLOCK) + (_LONG if form == "webdataset" else 0)


def _read_rows(
    shard: Shard, manifest: ShardManifest, rows: Sequence[Row], settings: NetworkSettings | None
) -> Iterator[tuple[str, Raw] | None]:
    """Yield the samples of some rows, in the order of the shard; None, as the last, if one isn't at its place."""
    form, size = manifest.format or "", manifest.size or 0
    spans = [_span(row, form) for row in rows]
    runs: list[tuple[int, int, list[Row]]] = []
    for row, span in zip(rows, spans, strict=True):
        if span is None or span[1] > size + _LONG:
            yield None
            return
        begin, end = span[0], min(span[1], size)
        if runs and 0 <= begin - runs[-1][1] <= _GAP and end - runs[-1][0] <= _MAX_RUN:
            runs[-1] = (runs[-1][0], end, [*runs[-1][2], row])
        elif runs and runs[-1][0] <= begin < runs[-1][1]:  # read to confirm the sample before
            runs[-1] = (runs[-1][0], max(end, runs[-1][1]), [*runs[-1][2], row])
        else:
            runs.append((begin, end, [row]))
    if sum(end - begin for begin, end, _ in runs) > _SHARE * size and len(rows) > 1:
        yield None
        return
    with _ranges(shard, settings) as read:
        for (begin, _, some), data in zip(runs, _ahead(read, [run[:2] for run in runs]), strict=True):
            for row in some:
                found = None if data is None else _confirmed_sample(data, begin, row, form)
                yield found
                if found is None:
                    return


def _ahead(read: Callable[[int, int], bytes | None], spans: Sequence[tuple[int, int]]) -> Iterator[bytes | None]:
    """Yield the bytes of ranges in their order, read by several threads."""
    if len(spans) < 2:
        yield from (read(*span) for span in spans)
        return
    with ThreadPoolExecutor(min(_WORKERS, len(spans)), thread_name_prefix="ranges") as pool:
        todo = iter(spans)
        pending: deque[Future[bytes | None]] = deque(pool.submit(read, *span) for span in islice(todo, _WORKERS))
        try:
            while pending:
                yield pending.popleft().result()
                pending.extend(pool.submit(read, *span) for span in islice(todo, 1))
        finally:
            for one in pending:
                one.cancel()


@contextmanager
def _ranges(shard: Shard, settings: NetworkSettings | None) -> Iterator[Callable[[int, int], bytes | None]]:
    """Return the function that reads the bytes between two offsets; it returns None if the server has no ranges."""
    path = shard.path
    if path is not None:
        yield partial(_read_at, path)
        return
    from catalog.shards.ranges import read_range

    with shared_client(settings) as client:
        request = shard_request(client, shard)
        yield partial(read_range, request, display_url(shard.url))


def _read_at(path: Path, begin: int, end: int) -> bytes | None:
    try:
        with path.open("rb") as file:
            file.seek(begin)
            return file.read(end - begin)
    except OSError:
        return None


def _confirmed_sample(data: bytes, begin: int, row: Row, form: str) -> tuple[str, Raw] | None:
    """Return the sample of a row from bytes that begin at an offset of the shard; None if another one is there."""
    offset = (row.offset or 0) - begin
    end = offset + (row.size or 0)
    start = offset - _lead(row)
    if start < 0 or data[start + 156 : start + 157] not in (b"x", b"L"):
        start = offset - _BLOCK
    if start < 0 or end > len(data):
        return None
    places: list[int] = []
    try:
        samples = FORMATS[form].samples(io.BytesIO(data[start : end + (-end % _BLOCK)]), "", whole=True, places=places)
        key, raw = next(samples, ("", b""))
        if key != row.key or places[-2:] != [offset - start, end - start]:
            return None
    except CatalogError:
        return None
    return (key, raw) if form != "webdataset" or _ends(data[end + (-end % _BLOCK) :], key) else None


def _ends(following: bytes, key: str) -> bool:
    """Return whether the member after a sample is of another sample."""
    if not following.strip(b"\0"):
        return True
    name = next(member_names(following), None)
    if name is None:
        return False
    found = split_name(name)
    return found is None or found[0] != key


# --- positions and keys --------------------------------------------------------------------------------------


def _one(
    shard: Shard, number: int, manifest: ShardManifest | None, settings: NetworkSettings | None
) -> tuple[Format, str, Raw] | None:
    """Return the sample at a position of a shard."""
    table = manifest_of(shard, settings, table=True) if manifest is not None else None
    if table is not None and number < len(table.rows) and table.format in _TARS:
        for found in _read_rows(shard, table, [table.rows[number]], settings):
            if found is not None:
                return FORMATS[table.format or ""], *found
    with open_samples(shard, settings=settings) as (form, samples):
        for key, raw in islice(samples, number, None):
            return form, key, raw
    return None


def positions(
    shards: Sequence[Shard], wanted: Sequence[int], settings: NetworkSettings | None
) -> dict[int, tuple[Shard, Format, str, Raw]] | None:
    """Return the samples at positions of all shards together, without those that there aren't.

    ``None`` if the number of samples isn't known of each shard: then all are read up to the last position.
    """
    manifests = [manifest_of(shard, settings) for shard in shards]
    found: dict[int, tuple[Shard, Format, str, Raw]] = {}
    first = 0
    for shard, manifest in zip(shards, manifests, strict=True):
        if manifest is None:
            return None
        for number in sorted({one for one in wanted if first <= one < first + manifest.samples}):
            one = _one(shard, number - first, manifest, settings)
            if one is not None:
                found[number] = (shard, *one)
        first += manifest.samples
    return found


def find_key(
    shards: Sequence[Shard], key: str, settings: NetworkSettings | None
) -> tuple[Shard, Format, str, Raw] | None:
    """Return the sample with a key, if manifests say where it is; ``None``: look in the shards."""
    for shard in shards:
        table = manifest_of(shard, settings, table=True)
        if table is None or not table.rows:
            return None
        number = next((number for number, row in enumerate(table.rows) if row.key == key), None)
        if number is not None:
            one = _one(shard, number, table, settings)
            return (shard, *one) if one is not None and one[1] == key else None
    return None
