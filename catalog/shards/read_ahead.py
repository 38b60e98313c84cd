"""Read remote shards ahead, in threads: the next ones are on their way while the samples of one are used.

======================  =============================================================================================
a shard                 what a thread does
======================  =============================================================================================
without a checksum      keeps up to ``BUFFER`` bytes that have arrived; its samples are read while the rest arrives
with a checksum         downloads it into the cache; the next ones are begun when the first is there, so that they don't
                        delay the first sample
local, Parquet          nothing: Parquet is read by ranges
======================  =============================================================================================

So memory is bounded by ``CONNECTIONS`` × ``BUFFER``, and latency by the first shard: the others open their connections
meanwhile, of several hosts at once. An error of a shard is raised when its samples are read, not before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from contextvars import copy_context
from functools import partial
from threading import Condition, Event, Thread
from typing import TYPE_CHECKING, BinaryIO, Final, Self

from catalog.shards.source import RemoteSource
from catalog.shards.storage import download_shard, fetch_into_cache, open_ranges, open_shard, shared_client

if TYPE_CHECKING:
    from catalog.config import NetworkSettings
    from catalog.network.http import Client
    from catalog.shards.shard import Shard
    from catalog.shards.source import Source

__all__ = ["ReadAhead"]

CONNECTIONS: Final = 6
"""Shards on their way at once, as many as a browser opens connections to a host."""

BUFFER: Final = 1 << 22
"""Bytes of a shard that are kept before they are used."""


class ReadAhead:
    """Opens the shards of a list in its order, and fetches the next ones meanwhile. A context manager.

    ``readers`` processes on this machine read the same shards: they share the connections.
    """

    def __init__(self, shards: Sequence[Shard], settings: NetworkSettings | None, *, readers: int = 1) -> None:
        self._shards, self._settings = shards, settings
        self._most = max(2, CONNECTIONS // readers)
        self._stack = ExitStack()
        self._client: Client | None = None
        self._fetches: dict[int, _Buffered | _Cached] = {}

    def __enter__(self) -> Self:
        if any(shard.path is None for shard in self._shards):
            self._client = self._stack.enter_context(shared_client(self._settings))
        return self

    def __exit__(self, *_: object) -> None:
        for fetch in self._fetches.values():
            fetch.stop()
        self._stack.close()

    @contextmanager
    def source(self, place: int) -> Iterator[Source]:
        """Open the shard at a place of the list; see :func:`catalog.shards.storage.open_shard`."""
        shard, client = self._shards[place], self._client
        if client is None or shard.path is not None:
            with open_shard(shard, self._settings, client=client) as source:
                yield source
            return
        fetch = self._begin(place, client)
        if isinstance(fetch, _Cached):
            fetch.wait()
        self._begin_next(place, client)
        with ExitStack() as stack:
            if isinstance(fetch, _Buffered):
                stack.callback(self._fetches.pop, place)
                stack.callback(fetch.stop)
                ranges = partial(open_ranges, shard, self._settings, client, stack)
                yield RemoteSource(iter(fetch), partial(fetch.replaced_by, ranges))
            else:
                self._fetches.pop(place, None)
                yield stack.enter_context(open_shard(shard, self._settings, client=client))

    def _begin_next(self, place: int, client: Client) -> None:
        for number in range(place + 1, min(place + self._most, len(self._shards))):
            self._begin(number, client)

    def _begin(self, place: int, client: Client) -> _Buffered | _Cached | None:
        """Return the fetch of a shard, begun now if necessary; ``None`` if it isn't fetched ahead."""
        found, shard = self._fetches.get(place), self._shards[place]
        if found is None and shard.path is None:
            if shard.checksum is not None:
                found = _Cached(partial(fetch_into_cache, shard, self._settings, client))
            elif shard.format != "parquet" and not shard.url.partition("?")[0].lower().endswith(".parquet"):
                found = _Buffered(download_shard(shard, self._settings, client, restart=False))
            else:
                return None
            self._fetches[place] = found
        return found


class _Cached:
    """A shard that is downloaded into the cache by a thread."""

    def __init__(self, work: Callable[[Event], None]) -> None:
        self._work, self._stop = work, Event()
        self._error: Exception | None = None
        self._thread = Thread(target=copy_context().run, args=(self._run,), name="read-ahead", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._work(self._stop)
        except Exception as error:  # noqa: BLE001 - raised by wait()
            self._error = error

    def wait(self) -> None:
        """Wait for the shard. Raises the error of its download."""
        self._thread.join()
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """End the download."""
        self._stop.set()


class _Buffered:
    """A shard whose next bytes are kept by a thread; iterated once, as chunks."""

    def __init__(self, download: Generator[tuple[int, bytes], None, None]) -> None:
        self._download = download
        self._changed = Condition()
        self._chunks: deque[bytes] = deque()
        self._held = 0
        self._ended = self._stopped = False
        self._error: Exception | None = None
        Thread(target=copy_context().run, args=(self._run,), name="read-ahead", daemon=True).start()

    def _run(self) -> None:
        error: Exception | None = None
        try:
            with closing(self._download) as download:
                for _, chunk in download:
                    if not self._keep(chunk):
                        break
        except Exception as raised:  # noqa: BLE001 - raised by the reader
            error = raised
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify_all()

    def _keep(self, chunk: bytes) -> bool:
        """Add a chunk and wait until there is room for the next; return whether it is wanted."""
        with self._changed:
            self._chunks.append(chunk)
            self._held += len(chunk)
            self._changed.notify_all()
            while self._held >= BUFFER and not self._stopped:
                self._changed.wait()
            return not self._stopped

    def __iter__(self) -> Iterator[bytes]:
        while True:
            with self._changed:
                while not self._chunks and not self._ended:
                    self._changed.wait()
                if not self._chunks:
                    if self._error is not None:
                        raise self._error
                    return
                chunk = self._chunks.popleft()
                self._held -= len(chunk)
                self._changed.notify_all()
            yield chunk

    def replaced_by(self, open_file: Callable[[], BinaryIO | None]) -> BinaryIO | None:
        """Open the shard as a file instead, if that is possible."""
        found = open_file()
        if found is not None:
            self.stop()
        return found

    def stop(self) -> None:
        """End the download and forget what has arrived."""
        with self._changed:
            self._stopped = True
            self._chunks.clear()
            self._held = 0
            self._changed.notify_all()
