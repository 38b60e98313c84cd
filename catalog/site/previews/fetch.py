"""All previews of a build: what the cache has, and what is fetched, politely, within the caps.

Tricky bits
-----------
- Previews stay in the cache's files until their page is made: a thousand of them in memory would be a hundred MB.
- A shard with a checksum is fetched once and never again. One without is looked at again after a day, by its ETag, or
  its size and date. A failure is remembered for a day.
- The threads are gone when :func:`gather` returns: the pages are made by forked processes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.util import find_spec
from threading import Lock
from typing import TYPE_CHECKING, Final

from catalog.atproto.identity import Resolver
from catalog.errors import BuildError, CatalogError, MissingExtra, RequestFailed, contained
from catalog.network.http import Client
from catalog.schema import Array, List
from catalog.site.previews.cache import Cache, Entry
from catalog.site.previews.first_samples import Appetite, Mark, fetched, local_samples, place_of, reason
from catalog.site.previews.render import FieldHint
from catalog.site.previews.worker import Painter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from catalog.config import CatalogSettings, PreviewSettings
    from catalog.schema import SampleType
    from catalog.site.previews.first_samples import Place
    from catalog.site.previews.model import Preview
    from catalog.store.graph import DatasetNode, Graph

__all__ = ["FOLDER", "Previews", "check_painter", "gather"]

FOLDER: Final = "previews"
"""Beside the store."""

DAY: Final = 86_400.0
THREADS: Final = 8
LANES: Final = 2
"""Shards of one host that are read at the same time."""
_PATIENCE: Final = 20.0
"""Seconds that a host may ask us to wait, for one dataset."""
_EVERY: Final = 5.0
"""Seconds between two lines of progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Previews:
    """What there is to show: the cached files by the datasets' addresses, and why there is nothing."""

    made: Mapping[str, Path] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)

    def of(self, node: DatasetNode) -> Preview | str | None:
        """A dataset's preview; why there is none; ``None`` where none was asked for."""
        uri = str(node.uri)
        path = self.made.get(uri)
        if path is None:
            return self.failed.get(uri)
        found = Cache.preview(path)
        return "it can’t be read back" if found is None else found


def gather(
    graph: Graph,
    settings: CatalogSettings,
    *,
    progress: Callable[[str], None] = lambda _: None,
    clock: Callable[[], float] = time.time,
) -> Previews:
    """The previews of a catalog's newest datasets; none where the settings have none.

    ``progress`` is told a line now and then, ``clock`` gives seconds since 1970. Raises
    :class:`~catalog.errors.MissingExtra` without Pillow, :class:`BuildError` where the cache can't be written.
    """
    caps = settings.previews
    if caps is None:
        return Previews()
    check_painter()
    with Painter() as painter, _patient_client(settings, caps) as client:
        gathering = _Gathering(settings, caps, painter, client, progress=progress, clock=clock)
        return gathering.run(graph)


def check_painter() -> None:
    """Raise :class:`~catalog.errors.MissingExtra` where there is no Pillow: before a build empties the old site."""
    if find_spec("PIL") is None:
        hint = "pip install 'atdata-catalog[previews]', or leave previews out"
        raise MissingExtra("previews need Pillow, which isn't installed", where="previews", hint=hint)


def _patient_client(settings: CatalogSettings, caps: PreviewSettings) -> Client:
    """A client that leaves dead hosts alone, and doesn't wait beyond the end of our time."""
    end = time.monotonic() + caps.seconds

    def sleep(seconds: float) -> None:
        if time.monotonic() + seconds > end:
            raise RequestFailed("there was no time left to try again")
        time.sleep(seconds)

    return Client(settings.network, sleep=sleep, patience=_PATIENCE, parks=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """A dataset whose shard is to be asked for. ``known`` is what the cache has of it, too old to be believed."""

    node: DatasetNode
    schema: SampleType
    place: Place
    path: Path
    known: Entry | None = None


class _Gathering:
    def __init__(
        self,
        settings: CatalogSettings,
        caps: PreviewSettings,
        painter: Painter,
        client: Client,
        *,
        progress: Callable[[str], None],
        clock: Callable[[], float],
    ) -> None:
        self.caps, self.painter, self.client = caps, painter, client
        self.progress, self.clock = progress, clock
        self.appetite = Appetite(shown=caps.samples, most=caps.shard_bytes)
        self.cache = Cache(settings.store.parent / FOLDER, most=caps.cache_bytes)
        self.resolver = Resolver(client, settings.network)
        self.made: dict[str, Path] = {}
        self.failed: dict[str, str] = {}
        self.left_out: Counter[str] = Counter()
        self.done = self.asked = 0
        self.lock = Lock()
        self.end = time.monotonic() + caps.seconds
        self.said = time.monotonic()

    def run(self, graph: Graph) -> Previews:
        chosen = graph.datasets[: self.caps.datasets]
        if len(graph.datasets) > len(chosen):
            self.left_out[f"more than {self.caps.datasets:,} datasets"] = len(graph.datasets) - len(chosen)
        lanes: defaultdict[tuple[str, int], list[_Job]] = defaultdict(list)
        numbers: Counter[str] = Counter()
        for node in chosen:
            job = self._settled(node)
            if job is not None:
                numbers[job.place.host] += 1
                lanes[job.place.host, numbers[job.place.host] % LANES].append(job)
        self.asked = sum(map(len, lanes.values()))
        if self.asked:
            self.progress(f"Previews: asking for the first samples of {self.asked:,} datasets")
            with ThreadPoolExecutor(THREADS, thread_name_prefix="previews") as pool:
                for finished in [pool.submit(self._lane, lane) for lane in lanes.values()]:
                    finished.result()
        self._finish()
        return Previews(made=self.made, failed=self.failed)

    # --- one after the other: what needs no network ----------------------------------------------------------

    def _settled(self, node: DatasetNode) -> _Job | None:
        """Settle a dataset from the cache or from its local copy; else what is to be fetched."""
        uri = str(node.uri)
        if node.schema is None:
            self.failed[uri] = "its schema isn’t in this catalog"
            return None
        schema = node.schema.record.sample_type
        try:
            if node.draft and node.local:
                self._local(node, schema, str(node.local[0]))
                return None
            place = place_of(node)
            path = self.cache.path(*self._key(schema), *dataclasses.astuple(place))
            entry = self.cache.read(path)
            if entry is None or not self._is_fresh(entry, place):
                return _Job(node=node, schema=schema, place=place, path=path, known=entry)
            self._settle(node, path, entry)
        except BuildError:
            raise
        except Exception as error:  # noqa: BLE001 - one dataset's preview
            self._fail(node, contained(error, where=uri))
        return None

    def _key(self, schema: SampleType) -> tuple[str, ...]:
        """What, besides its samples, a preview depends on."""
        hints = json.dumps([dataclasses.astuple(hint) for hint in _hints(schema)])
        return hints, str(self.caps.samples), str(self.caps.shard_bytes)

    def _is_fresh(self, entry: Entry, place: Place) -> bool:
        if entry.failed is None and place.checksum:
            return True
        return 0 <= self.clock() - entry.checked < DAY

    def _local(self, node: DatasetNode, schema: SampleType, path: str) -> None:
        """A draft's own file is read each time, which is quick, and drawn again only when its samples changed."""
        samples = local_samples(path, self.appetite)
        digest = hashlib.sha256()
        for key, raw in samples:
            digest.update(f"{len(key)} {key} {len(raw)} ".encode("utf-8", "surrogatepass") + raw)
        place = self.cache.path(*self._key(schema), digest.hexdigest())
        entry = self.cache.read(place)
        if entry is None or entry.failed is not None:
            entry = Entry(checked=self.clock(), mark=Mark(), raw=self._painted(schema, samples).dump())
            self._keep(place, entry)
        self._settle(node, place, entry)

    # --- in threads ------------------------------------------------------------------------------------------

    def _lane(self, jobs: list[_Job]) -> None:
        """Jobs of one host, one after the other."""
        for job in jobs:
            why = self._is_over()
            if why is None:
                self._fetch(job)
            elif job.known is not None and job.known.failed is None:
                self._settle(job.node, job.path, job.known)  # old, but all there is time for
            else:
                with self.lock:
                    self.left_out[why] += 1
            self._tell()

    @property
    def _no_time(self) -> str:
        return f"no time left after {self.caps.seconds:,} seconds"

    def _is_over(self) -> str | None:
        if time.monotonic() > self.end:
            return self._no_time
        if self.client.bytes >= self.caps.total_bytes:
            return f"{self.caps.total_bytes:,} bytes were fetched"
        return None

    def _fetch(self, job: _Job) -> None:
        had = job.known if job.known is not None and job.known.failed is None else None
        mark = None if had is None else had.mark
        try:
            mark, samples = fetched(self.client, self.resolver, job.place, self.appetite, known=mark, due=self.end)
            if samples is None and had is not None:
                entry = dataclasses.replace(had, checked=self.clock())
            else:
                entry = Entry(checked=self.clock(), mark=mark, raw=self._painted(job.schema, samples or []).dump())
        except CatalogError as error:
            if time.monotonic() > self.end and isinstance(error, RequestFailed):
                with self.lock:  # our own end, not the host's fault: the next build tries again
                    self.left_out[self._no_time] += 1
                return
            self.progress(f"Previews: none of {job.node.uri}: {error}")
            entry = self._failed(had, error)
        except Exception as error:  # noqa: BLE001 - a fault of ours with somebody's shard is no end of the build
            self.progress(f"Previews: none of {job.node.uri}: {error!r}")
            why = f"reading its first shard failed ({type(error).__name__})"
            entry = Entry(checked=self.clock(), mark=Mark(), failed=why)
        self._keep(job.path, entry)
        self._settle(job.node, job.path, entry)

    def _failed(self, had: Entry | None, error: CatalogError) -> Entry:
        """What is remembered of a failure: that it was; of a host that is down for a while, what there was before."""
        down = isinstance(error, RequestFailed) and error.status not in {401, 403, 404, 410}
        if had is not None and down:
            return dataclasses.replace(had, checked=self.clock())
        return Entry(checked=self.clock(), mark=Mark(), failed=reason(error))

    def _painted(self, schema: SampleType, samples: list[tuple[str, bytes]]) -> Preview:
        return self.painter.paint(_hints(schema), samples, shown=self.caps.samples)

    def _keep(self, path: Path, entry: Entry) -> None:
        try:
            self.cache.write(path, entry)
        except OSError as error:
            hint = "give the store a folder that can be written"
            what = f"the cache of previews can't be written: {error.strerror}"
            raise BuildError(what, where=str(path.parent), hint=hint) from None

    def _settle(self, node: DatasetNode, path: Path, entry: Entry) -> None:
        with self.lock:
            if entry.failed is not None:
                self.failed[str(node.uri)] = entry.failed
            else:
                self.made[str(node.uri)] = path
        self.cache.used(path, self.clock())

    def _fail(self, node: DatasetNode, error: CatalogError) -> None:
        self.failed[str(node.uri)] = reason(error)
        self.progress(f"Previews: none of {node.uri}: {error}")

    def _tell(self) -> None:
        with self.lock:
            self.done += 1
            due = time.monotonic() - self.said > _EVERY
            if due:
                self.said = time.monotonic()
        if due:
            self.progress(f"Previews: {self.done:,} of {self.asked:,} datasets, {self.client.bytes:,} bytes")

    def _finish(self) -> None:
        for why, number in sorted(self.left_out.items()):
            self.progress(f"Previews: {number:,} datasets left out: {why}")
        self.cache.trim(set(self.made.values()))
        self.progress(
            f"Previews: {len(self.made):,} datasets, {self.client.bytes:,} bytes fetched, {len(self.failed):,} without"
        )


def _hints(schema: SampleType) -> list[FieldHint]:
    return list(_each_hint(schema))


def _each_hint(schema: SampleType) -> Iterator[FieldHint]:
    for one in schema.fields:
        type_ = one.type
        while isinstance(type_, List):
            type_ = type_.item
        if isinstance(type_, Array):
            form = type_.format if isinstance(one.type, Array) else ""
            yield FieldHint(name=one.name, form=form, dimensions=tuple(type_.dimensions or ()))
        else:
            yield FieldHint(name=one.name)
