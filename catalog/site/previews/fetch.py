"""All previews of a build: from the cache, or fetched with limits for each host, shard and build.

- Previews stay in the cache's files until their page is rendered: a thousand in memory would take a hundred MB.
- A shard with a checksum is fetched once. One without is requested again after a day, with its ETag, or its size and
  date. A failure is cached for a day.
- The threads have ended when :func:`gather` returns: the pages are rendered by forked processes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final

from catalog.atproto.identity import Resolver
from catalog.errors import BuildError, CatalogError, RequestFailed, contained, require_extra
from catalog.network.http import Client
from catalog.schema import Array
from catalog.schema.json_schema import write_body
from catalog.site.previews.cache import Cache, Entry
from catalog.site.previews.first_samples import Limits, Mark, fetch_samples, first_shard, local_samples, reason
from catalog.site.previews.render import FieldHint
from catalog.site.previews.shard_manifests import FOLDER as MANIFESTS
from catalog.site.previews.shard_manifests import DatasetManifests, dataset_manifests
from catalog.site.previews.worker import Painter

if TYPE_CHECKING:
    from catalog.config import CatalogSettings, PreviewSettings
    from catalog.schema import Field, SampleType
    from catalog.site.previews.first_samples import FirstShard
    from catalog.site.previews.model import Preview
    from catalog.store.graph import DatasetNode, Graph

FOLDER: Final = "previews"
"""The cache, in the folder of the store."""

DAY: Final = 86_400.0
THREADS: Final = 8
PER_HOST: Final = 2
"""Shards of one host that are read at the same time."""
_PATIENCE: Final = 20.0
"""Seconds that a host may make one dataset wait."""
_REPORT_SECONDS: Final = 5.0
"""Between two lines of progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Previews:
    """The cached previews by the URIs of the datasets, the reasons for missing ones, and files of shard manifests."""

    made: Mapping[str, Path] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)
    manifests: Mapping[str, Path] = field(default_factory=dict)

    def of(self, node: DatasetNode) -> Preview | str | None:
        """Return a dataset's preview, the reason why it has none, or ``None`` if none was requested."""
        uri = str(node.uri)
        path = self.made.get(uri)
        if path is None:
            return self.failed.get(uri)
        found = Cache.preview(path)
        return "it can’t be read back" if found is None else found

    def manifests_of(self, node: DatasetNode) -> DatasetManifests | None:
        """Return what the shard manifests of a dataset give; ``None`` without any."""
        path = self.manifests.get(str(node.uri))
        return None if path is None else DatasetManifests.load(path)


def gather(
    graph: Graph,
    settings: CatalogSettings,
    *,
    progress: Callable[[str], None] = lambda _: None,
    clock: Callable[[], float] = time.time,
) -> Previews:
    """Return the previews of a catalog's newest datasets; none if the settings have no previews.

    ``progress`` is called with a line every few seconds; ``clock`` returns seconds since 1970. Raises
    :class:`~catalog.errors.MissingExtra` without Pillow, :class:`BuildError` if the cache can't be written.
    """
    caps = settings.previews
    if caps is None:
        return Previews()
    check_painter()
    with Painter() as painter, _patient_client(settings, caps) as client:
        gatherer = _Gatherer(settings, caps, painter, client, progress=progress, clock=clock)
        return gatherer.run(graph)


def check_painter() -> None:
    """Raise :class:`~catalog.errors.MissingExtra` without Pillow: before a build deletes the old site."""
    require_extra("previews", "PIL", purpose="previews")


def _patient_client(settings: CatalogSettings, caps: PreviewSettings) -> Client:
    """Return a client that skips failing hosts, and doesn't wait beyond the time limit of the build."""
    end = time.monotonic() + caps.seconds

    def sleep(seconds: float) -> None:
        if time.monotonic() + seconds > end:
            raise RequestFailed("no time left for a retry")
        time.sleep(seconds)

    return Client(settings.network, sleep=sleep, patience=_PATIENCE, parks=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """A dataset whose shard is to be requested. ``known`` is its outdated entry in the cache."""

    node: DatasetNode
    schema: SampleType
    first: FirstShard
    path: Path
    known: Entry | None = None


class _Gatherer:
    """One call of :func:`gather`."""

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
        self.network = settings.network
        self.compare = settings.compare
        self.progress, self.clock = progress, clock
        self.limits = Limits(shown=caps.samples, most=caps.shard_bytes)
        self.cache = Cache(settings.store.parent / FOLDER, most=caps.cache_bytes)
        self.resolver = Resolver(client, settings.network)
        self.made: dict[str, Path] = {}
        self.failed: dict[str, str] = {}
        self.skipped: Counter[str] = Counter()
        self.done = self.requested = 0
        self.lock = Lock()
        self.end = time.monotonic() + caps.seconds
        self.reported = time.monotonic()

    def run(self, graph: Graph) -> Previews:
        chosen = graph.datasets[: self.caps.datasets]
        if len(graph.datasets) > len(chosen):
            self.skipped[f"more than {self.caps.datasets:,} datasets"] = len(graph.datasets) - len(chosen)
        queues: defaultdict[tuple[str, int], list[_Job]] = defaultdict(list)
        numbers: Counter[str] = Counter()
        for node in chosen:
            job = self._cached_or_job(node)
            if job is not None:
                numbers[job.first.host] += 1
                queues[job.first.host, numbers[job.first.host] % PER_HOST].append(job)
        self.requested = sum(map(len, queues.values()))
        if self.requested:
            self.progress(f"Previews: asking for the first samples of {self.requested:,} datasets")
            with ThreadPoolExecutor(THREADS, thread_name_prefix="previews") as pool:
                for finished in [pool.submit(self._run_queue, queue) for queue in queues.values()]:
                    finished.result()
        self._finish()
        return Previews(made=self.made, failed=self.failed, manifests=self._manifests(chosen))

    def _manifests(self, chosen: Sequence[DatasetNode]) -> dict[str, Path]:
        """Read the shard manifests of the datasets that have some."""
        asked = [node for node in chosen if node.has_manifests]
        folder = self.cache.folder.parent / MANIFESTS
        found: dict[str, Path] = {}
        with ThreadPoolExecutor(THREADS, thread_name_prefix="manifests") as pool:
            for node, path in zip(asked, pool.map(lambda one: self._manifest(one, folder), asked), strict=True):
                if path is not None:
                    found[str(node.uri)] = path
        if asked:
            self.progress(f"Shard manifests: of {len(found):,} of {len(asked):,} datasets")
        return found

    def _manifest(self, node: DatasetNode, folder: Path) -> Path | None:
        try:
            return dataset_manifests(node, self.network, folder, fetches=time.monotonic() <= self.end)
        except Exception as error:  # noqa: BLE001 - one dataset's manifests
            self.progress(f"Shard manifests: none of {node.uri}: {contained(error, where=str(node.uri))}")
            return None

    def _cached_or_job(self, node: DatasetNode) -> _Job | None:
        """Take a dataset's preview from the cache or its local copy, or return the job that fetches it."""
        uri = str(node.uri)
        if node.schema is None:
            self.failed[uri] = "its schema isn’t in this catalog"
            return None
        schema = node.schema.record.sample_type
        if schema.foreign is not None:
            self.failed[uri] = "its schema isn’t a JSON Schema"
            return None
        try:
            if node.draft and node.local:
                self._local(node, schema, str(node.local[0]))
                return None
            first = first_shard(node)
            path = self.cache.path(*self._key(schema), first.host, *dataclasses.astuple(first.shard))
            entry = self.cache.read(path)
            if entry is None or not self._is_fresh(entry, first):
                return _Job(node=node, schema=schema, first=first, path=path, known=entry)
            self._settle(node, path, entry)
        except BuildError:
            raise
        except Exception as error:  # noqa: BLE001 - one dataset's preview
            self._fail(node, contained(error, where=uri))
        return None

    def _key(self, schema: SampleType) -> tuple[str, ...]:
        """Return what a preview depends on besides its samples."""
        body = json.dumps([schema.name, schema.version, write_body(schema)])
        return body, str(self.caps.samples), str(self.caps.shard_bytes), str(self.compare)

    def _is_fresh(self, entry: Entry, first: FirstShard) -> bool:
        if entry.failed is None and first.shard.checksum is not None:
            return True
        return 0 <= self.clock() - entry.checked < DAY

    def _local(self, node: DatasetNode, schema: SampleType, path: str) -> None:
        """Read the local file of a draft each time, which is fast; render it again only if its samples changed."""
        samples = local_samples(path, self.limits, schema)
        digest = hashlib.sha256()
        for key, raw in samples:
            digest.update(f"{len(key)} {key} {len(raw)} ".encode("utf-8", "surrogatepass") + raw)
        cached = self.cache.path(*self._key(schema), digest.hexdigest())
        entry = self.cache.read(cached)
        if entry is None or entry.failed is not None:
            entry = self._entry(Mark(), schema, samples)
            self._keep(cached, entry)
        self._settle(node, cached, entry)

    def _run_queue(self, jobs: list[_Job]) -> None:
        for job in jobs:
            why = self._is_over()
            if why is None:
                self._fetch(job)
            elif job.known is not None and job.known.failed is None:
                self._settle(job.node, job.path, job.known)  # outdated, but there is no time left
            else:
                with self.lock:
                    self.skipped[why] += 1
            self._report()

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
            mark, samples = fetch_samples(
                self.client, self.resolver, job.first, self.limits, known=mark, due=self.end, wanted=job.schema
            )
            if samples is None and had is not None:
                entry = dataclasses.replace(had, checked=self.clock())
            else:
                entry = self._entry(mark, job.schema, samples or [])
        except CatalogError as error:
            if time.monotonic() > self.end and isinstance(error, RequestFailed):
                with self.lock:  # the limit of the build, not the host's fault: the next build tries again
                    self.skipped[self._no_time] += 1
                return
            self.progress(f"Previews: none of {job.node.uri}: {error}")
            entry = self._failed(had, error)
        except Exception as error:  # noqa: BLE001 - a bug with one shard must not end the build
            self.progress(f"Previews: none of {job.node.uri}: {error!r}")
            why = f"reading its first shard failed ({type(error).__name__})"
            entry = Entry(checked=self.clock(), mark=Mark(), failed=why)
        self._keep(job.path, entry)
        self._settle(job.node, job.path, entry)

    def _failed(self, had: Entry | None, error: CatalogError) -> Entry:
        """Return the entry for a failure; of a host that is down, the one before."""
        down = isinstance(error, RequestFailed) and error.status not in {401, 403, 404, 410}
        if had is not None and down:
            return dataclasses.replace(had, checked=self.clock())
        return Entry(checked=self.clock(), mark=Mark(), failed=reason(error))

    def _entry(self, mark: Mark, schema: SampleType, samples: list[tuple[str, bytes]]) -> Entry:
        painted = self.painter.paint(
            [_hint(field) for field in schema.fields],
            samples,
            shown=self.caps.samples,
            wanted=schema,
            compare=self.compare,
        )
        return Entry(checked=self.clock(), mark=mark, misfit=painted.misfit, raw=painted.dump())

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
        if entry.misfit:
            self.progress(f"Previews: {node.uri}: {entry.misfit}")
        self.cache.used(path, self.clock())

    def _fail(self, node: DatasetNode, error: CatalogError) -> None:
        self.failed[str(node.uri)] = reason(error)
        self.progress(f"Previews: none of {node.uri}: {error}")

    def _report(self) -> None:
        with self.lock:
            self.done += 1
            due = time.monotonic() - self.reported > _REPORT_SECONDS
            if due:
                self.reported = time.monotonic()
        if due:
            self.progress(f"Previews: {self.done:,} of {self.requested:,} datasets, {self.client.bytes:,} bytes")

    def _finish(self) -> None:
        for why, number in sorted(self.skipped.items()):
            self.progress(f"Previews: {number:,} datasets left out: {why}")
        self.cache.trim(set(self.made.values()))
        self.progress(
            f"Previews: {len(self.made):,} datasets, {self.client.bytes:,} bytes fetched, {len(self.failed):,} without"
        )


def _hint(field: Field) -> FieldHint:
    array = next((type_ for type_ in field.types() if isinstance(type_, Array)), None)
    if array is None:
        return FieldHint(name=field.name)
    form = array.format if isinstance(field.type, Array) else ""
    return FieldHint(name=field.name, form=form, dimensions=tuple(array.dimensions or ()))
