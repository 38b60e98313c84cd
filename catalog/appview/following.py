"""The one process that writes: it follows the sources into the store, and the store into the index.

::

    sources ─▶ crawl ─▶ store ─▶ indexer ─▶ index          each in a thread; what fails is tried again

It is started by whoever serves, and ends with it: its standard input is a pipe that the other holds, so that not even
SIGKILL leaves it behind. Who else crawls or indexes meanwhile (another service, ``catalog crawl``) is waited for.

    python -m catalog.appview.following mkdocs.yml INDEX [--json]
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import time
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Final

from catalog.appview.index import Index
from catalog.appview.indexer import Indexer
from catalog.appview.logs import note, set_up_logs
from catalog.config import load_settings
from catalog.crawl import STREAMS, follow
from catalog.errors import CatalogError, StoreBusy, StoreError
from catalog.store import Store
from catalog.store.reading import Reader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from catalog.config import CatalogSettings
    from catalog.crawl import Tally

__all__ = ["heartbeat_age"]

HEARTBEAT_SECONDS: Final = 2.0
AGAIN_SECONDS: Final = 2.0
"""After how long what failed is tried again, at first; it doubles."""
_TURN_SECONDS: Final = 0.05
"""How soon to look again whether another process still has store or index: after a crash it is just ending."""
MOST_AGAIN_SECONDS: Final = 60.0
_HEARTBEAT: Final = "following.json"
_LAST_SECONDS: Final = 20.0
"""How long the end may take."""


def heartbeat_age(index: Path) -> float | None:
    """Seconds since the follower of this index last told that it is there; None where there never was one."""
    try:
        return max(0.0, time.time() - (index / _HEARTBEAT).stat().st_mtime)
    except OSError:
        return None


class _Following:
    """The follower's threads. ``stop`` ends them."""

    def __init__(self, settings: CatalogSettings, index: Path) -> None:
        self._settings = settings
        self._index = index
        self.stop = Event()

    def run(self) -> None:
        """Until ``stop``."""
        # Made here, so that both threads find it.
        self._again("store", lambda: Store.open(self._settings.store).close(), once=True)
        threads = [Thread(target=self._again, args=("index", self._indexing), daemon=True)]
        if self._settings.sources:
            threads.append(Thread(target=self._again, args=("sources", self._crawling), daemon=True))
        for thread in threads:
            thread.start()
        while not self.stop.wait(HEARTBEAT_SECONDS):
            self._beat()
        until = time.monotonic() + _LAST_SECONDS
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _again(self, what: str, call: object, *, once: bool = False) -> None:
        """Call it again and again; what it fails with is noted, and waited after."""
        assert callable(call)  # noqa: S101 - ours
        pause, turn = AGAIN_SECONDS, _TURN_SECONDS
        while not self.stop.is_set():
            begun = time.monotonic()
            try:
                call()
            except StoreBusy as error:
                if turn < AGAIN_SECONDS <= 2 * turn:
                    note("waiting", {"for": what, "reason": str(error)})
                self.stop.wait(turn)
                turn = min(AGAIN_SECONDS, 2 * turn)
                continue
            except CatalogError as error:
                note("failed", {"what": what, "reason": str(error)}, level=logging.WARNING)
            else:
                if once:
                    return
            pause = AGAIN_SECONDS if time.monotonic() - begun > MOST_AGAIN_SECONDS else pause * 2
            self.stop.wait(min(pause, MOST_AGAIN_SECONDS))

    # --- the two ---------------------------------------------------------------------------------------------------

    def _indexing(self) -> None:
        reader = Reader(self._settings.store)
        try:
            try:
                indexer = Indexer(Index(self._index), reader)
            except StoreError as error:
                raise StoreBusy(error.what, where=error.where, hint=error.hint) from None
            with indexer:
                indexer.follow(self.stop, progress=lambda text: note("indexing", {"progress": text}))
        finally:
            reader.close()

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
        for source in report.sources:
            if source.error is not None:
                note("source failed", {"source": source.source, "reason": source.error}, level=logging.WARNING)

    def _watch(self, attempt: Event, over: Event, watched: list[Sequence[Tally]]) -> None:
        while not over.wait(0.2):
            # What was handed last is what is followed; before it came the first round, where errors end nothing.
            streams = [tally for tally in watched[-1] if _is_stream(tally)] if len(watched) > 1 else []
            if self.stop.is_set() or any(tally.error is not None for tally in streams):
                attempt.set()
                return

    def _beat(self) -> None:
        try:
            (self._index / _HEARTBEAT).write_text(json.dumps({"pid": os.getpid()}), encoding="ascii")
        except OSError as error:
            note("failed", {"what": "heartbeat", "reason": str(error)}, level=logging.WARNING)


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
