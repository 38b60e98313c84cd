"""The process that writes: it crawls the sources into the store, and indexes the store's changes.

Its standard input is a pipe held by the process that started it, so that it ends with that process, even after SIGKILL.
It waits for other processes that crawl or index. ::

    python -m catalog.appview.worker mkdocs.yml INDEX [--json]
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Final

from catalog.appview.health import HEARTBEAT, WAITING, Health, Work, read_health
from catalog.appview.index import Index
from catalog.appview.indexer import Indexer
from catalog.appview.logs import note, set_up_logs
from catalog.config import load_settings
from catalog.crawl import STREAMS, follow
from catalog.errors import CatalogError, StoreBusy, contained
from catalog.sanitize import one_line
from catalog.store import Store
from catalog.store.reader import Reader

if TYPE_CHECKING:
    from catalog.config import CatalogSettings
    from catalog.crawl import Tally

__all__: list[str] = []

HEARTBEAT_SECONDS: Final = 2.0
AGAIN_SECONDS: Final = 2.0
"""After how long what failed is tried again, at first; it doubles."""
_TURN_SECONDS: Final = 0.05
"""The first pause before trying to lock store or index again: after a crash the other process is just ending."""
MOST_AGAIN_SECONDS: Final = 60.0
_LAST_SECONDS: Final = 20.0
"""Limit on shutting down."""
_LOG_SECONDS: Final = 60.0
"""Interval of the log lines about a heartbeat that can't be written."""
_MOST_REASON: Final = 1000


class _Following:
    """The follower's threads. ``stop`` ends them; nothing else does, whatever they raise."""

    def __init__(self, settings: CatalogSettings, index: Path) -> None:
        self._settings = settings
        self._index = index
        self._calls: dict[str, Callable[[], None]] = {"index": self._indexing}
        if settings.sources:
            self._calls["sources"] = self._crawling
        self.health = Health(works={name: Work() for name in self._calls})
        before = read_health(index)
        if before is not None:  # one that ended well has taken its own away
            self.health.restarts = before.restarts + 1
        self._logged = -_LOG_SECONDS
        self.stop = Event()

    def run(self) -> None:
        threads = {name: self._started(name) for name in self._calls}
        self._beat()
        while not self.stop.wait(HEARTBEAT_SECONDS):
            for name, thread in threads.items():
                if not thread.is_alive() and not self.stop.is_set():
                    self.health.works[name].failed("InternalError")
                    threads[name] = self._started(name)
            self._beat()
        until = time.monotonic() + _LAST_SECONDS
        for thread in threads.values():
            thread.join(max(0.0, until - time.monotonic()))
        (self._index / HEARTBEAT).unlink(missing_ok=True)

    def _started(self, name: str) -> Thread:
        thread = Thread(target=self._again, args=(name, self._calls[name]), daemon=True, name=name)
        thread.start()
        return thread

    def _again(self, name: str, call: Callable[[], None]) -> None:
        """Call it again and again; what it raises is noted, and waited after."""
        work = self.health.works[name]
        pause, turn = AGAIN_SECONDS, _TURN_SECONDS
        while not self.stop.is_set():
            begun = time.monotonic()
            try:
                call()
            except StoreBusy as error:
                if turn < AGAIN_SECONDS <= 2 * turn:
                    note("waiting", {"for": name, "reason": _reason(error)})
                work.state = WAITING
                self.stop.wait(turn)
                turn = min(AGAIN_SECONDS, 2 * turn)
                continue
            except BaseException as error:  # noqa: BLE001 - also what isn't an Exception, as a panic of the engine
                problem = contained(error if isinstance(error, Exception) else RuntimeError(repr(error)), where=name)
                work.failed(type(problem).__name__)
                note(
                    "failed",
                    {"what": name, "kind": work.error, "reason": _reason(problem)},
                    level=logging.WARNING if isinstance(error, CatalogError) else logging.ERROR,
                )
            turn = _TURN_SECONDS
            pause = AGAIN_SECONDS if time.monotonic() - begun > MOST_AGAIN_SECONDS else pause * 2
            self.stop.wait(min(pause, MOST_AGAIN_SECONDS))

    def _indexing(self) -> None:
        Store.open(self._settings.store).close()  # there is one from now on, of this version
        reader = Reader(self._settings.store)
        try:
            with Indexer(Index(self._index), reader) as indexer:
                indexer.follow(self.stop, progress=self._indexed, done=lambda: self._caught_up(indexer))
        finally:
            reader.close()

    def _caught_up(self, indexer: Indexer) -> None:
        self.health.left_out = len(indexer.left_out)
        self.health.works["index"].succeeded()

    def _indexed(self, text: str) -> None:
        note("indexing", {"progress": text})

    def _crawling(self) -> None:
        """Follow until ``stop``, or until one of the streams can't be followed any more."""
        attempt, over = Event(), Event()
        watched: list[Sequence[Tally]] = []
        watcher = Thread(target=self._watch, args=(attempt, over, watched), daemon=True)
        watcher.start()
        try:
            with Store.open(self._settings.store) as store:
                say = lambda text: note("crawl", {"progress": text})  # noqa: E731 - a callback
                report = follow(self._settings, store, stop=attempt, progress=say, watch=watched.append)
        finally:
            over.set()
            watcher.join()
        failed = [source for source in report.sources if source.error is not None]
        for source in failed:
            note("source failed", {"source": source.source, "reason": source.error}, level=logging.WARNING)
        if not self.stop.is_set():
            self.health.works["sources"].failed("NetworkError")

    def _watch(self, attempt: Event, over: Event, watched: list[Sequence[Tally]]) -> None:
        while not over.wait(0.2):
            # What was handed last is what is followed; before it came the first round, where errors end nothing.
            streams = [tally for tally in watched[-1] if _is_stream(tally)] if len(watched) > 1 else []
            if self.stop.is_set() or any(tally.error is not None for tally in streams):
                attempt.set()
                return
            if len(watched) > 1:
                self.health.works["sources"].succeeded()

    def _beat(self) -> None:
        try:
            self.health.write(self._index)
        except OSError as error:
            if time.monotonic() - self._logged >= _LOG_SECONDS:
                self._logged = time.monotonic()
                note("failed", {"what": "heartbeat", "reason": _reason(error)}, level=logging.WARNING)


def _reason(error: BaseException) -> str:
    return one_line(" ".join(str(error).split()), _MOST_REASON)


def _is_stream(tally: Tally) -> bool:
    return tally.source.partition(":")[0] in STREAMS


def _main() -> None:
    config, index, *rest = sys.argv[1:]
    set_up_logs(as_json="--json" in rest)
    following = _Following(load_settings(Path(config)), Path(index))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: following.stop.set())

    def until_alone() -> None:
        if not sys.stdin.buffer.read():
            # The service was killed and is started again, perhaps: what is half done is undone by store and index
            # themselves, and they are free for the next one at once.
            os._exit(1)
        following.stop.set()

    Thread(target=until_alone, daemon=True).start()
    following.run()
    sys.stdout.flush()
    os._exit(0)  # a daemon thread in the middle of building an index mustn't hold the end up


if __name__ == "__main__":
    _main()
