"""Live reload: ``mkdocs serve`` follows manifests, exported repositories, the store, template overrides and settings.

MkDocs itself follows the pages and ``mkdocs.yml``. Each rebuild reads only what has changed: a manifest whose files
changed is crawled again, a source on the network only if it is new in the settings.
"""

from __future__ import annotations

import gc
import os
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import TYPE_CHECKING, Final

from watchdog.events import FileSystemEvent, FileSystemEventHandler

from catalog.crawl.manifests import paths_of
from catalog.errors import CatalogError
from catalog.site.build_fingerprint import config_chain
from catalog.site.postprocess import read_graph
from catalog.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.livereload import LiveReloadServer

    from catalog.config import CatalogSettings, Source
    from catalog.store.graph import Graph

LOCAL: Final = ("manifests", "car")
"""Kinds of sources that are files."""

State = tuple[tuple[str, int, int], ...]
"""Path, time of the last change, and size of each file."""


class Inputs:
    """The records of a site and the files that they come from."""

    def __init__(self) -> None:
        self._graph: Graph | None = None
        self._settings: CatalogSettings | None = None
        self._states: dict[Source, State] = {}
        self._shown = ""
        self._store: State = ()
        self._lock = Lock()
        self._server: LiveReloadServer | None = None
        self._trigger: TemporaryDirectory[str] | None = None
        self._noted: tuple[str, dict[Source, State]] = "", {}
        """The state of the inputs at the last request for a rebuild."""
        self._changes = 0
        self._watched: set[tuple[Path, bool]] = set()

    def graph(self, settings: CatalogSettings, *, crawls: bool) -> Graph:
        """Return the catalog, read again if an input has changed since the last call.

        Raises as :func:`~catalog.site.postprocess.read_graph`.
        """
        with self._lock:
            states = _local_states(settings)
            due = [source for source in settings.sources if states[source] != self._states.get(source)]
            if self._graph is None or due or settings != self._settings or _shown(settings) != self._shown:
                gc.unfreeze()
                self._graph = read_graph(
                    settings, crawls=crawls and (bool(due) or self._graph is None), sources=due or settings.sources
                )
                gc.freeze()  # the graph lives as long as the process: not to be searched for garbage again and again
                self._settings, self._states = settings, states
                if self._server is not None:
                    self._shown = _shown(settings)
                    self._noted, self._store = (self._shown, states), _store_state(settings)
        if self._server is not None:
            self._watch_inputs(self._server, settings)
        return self._graph

    def follow(self, server: LiveReloadServer, config: MkDocsConfig) -> None:
        """Make the server build again when an input changes."""
        self._server = server
        self._trigger = TemporaryDirectory(prefix="catalog-changed-")
        server.watch(self._trigger.name)
        if config.config_file_path:
            for file, _ in config_chain(Path(config.config_file_path))[1:]:
                server.watch(str(file))
        if config.theme.custom_dir and Path(config.theme.custom_dir).is_dir():
            server.watch(str(config.theme.custom_dir))
        if self._settings is not None:
            self._shown = _shown(self._settings)
            self._noted, self._store = (self._shown, self._states), _store_state(self._settings)
            self._watch_inputs(server, self._settings)

    def close(self) -> None:
        """Remove the temporary folder."""
        if self._trigger is not None:
            self._trigger.cleanup()
            self._trigger = None

    def _watch_inputs(self, server: LiveReloadServer, settings: CatalogSettings) -> None:
        """Watch the folders of all local sources, and that of the store; of a missing folder, the nearest above it."""
        self._watch(server, settings.store.parent, recursive=False)
        for source in settings.sources:
            if source.kind in LOCAL:
                folder, recursive = _folder_of(source, settings.base)
                self._watch(server, folder, recursive=recursive)

    def _watch(self, server: LiveReloadServer, folder: Path, *, recursive: bool) -> None:
        while not folder.is_dir() and folder != folder.parent:
            folder, recursive = folder.parent, False
        if (folder, recursive) not in self._watched:
            self._watched.add((folder, recursive))
            server.observer.schedule(_Handler(self._event), str(folder), recursive=recursive)

    def _event(self) -> None:
        """Build again if a local source or the records in the store have changed."""
        with self._lock:
            settings, server = self._settings, self._server
            if settings is None or server is None or self._trigger is None:
                return
            store = _store_state(settings)
            shown = self._noted[0] if store == self._store else _shown(settings)
            noted = (shown, _local_states(settings))
            self._store = _store_state(settings)
            if noted != self._noted:
                self._noted = noted
                self._changes += 1
                Path(self._trigger.name, "changed").write_text(str(self._changes), encoding="utf-8")
        self._watch_inputs(server, settings)


class _Handler(FileSystemEventHandler):
    """Calls a function after each event."""

    def __init__(self, call: Callable[[], object]) -> None:
        super().__init__()
        self._call = call

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Call the function."""
        del event
        self._call()


def _folder_of(source: Source, base: Path) -> tuple[Path, bool]:
    """Return the folder to watch for a source, and whether also those below it."""
    path = base / source.value
    if not any(char in source.value for char in "*?[") or path.exists():
        return (path.parent, False) if path.is_file() else (path, True)
    parts = Path(source.value).parts
    fixed = next(number for number, part in enumerate(parts) if any(char in part for char in "*?["))
    return base.joinpath(*parts[:fixed]), fixed < len(parts) - 1


def _local_states(settings: CatalogSettings) -> dict[Source, State]:
    """Return the state of the files of each source; empty for a source on the network."""
    return {
        source: _state(paths_of(settings.base, source) if source.kind in LOCAL else ()) for source in settings.sources
    }


def _store_state(settings: CatalogSettings) -> State:
    return _state((settings.store, settings.store.with_name(f"{settings.store.name}-wal")))


def _state(places: Iterable[Path]) -> State:
    return tuple(sorted(_stats(places)))


def _stats(places: Iterable[Path]) -> Iterator[tuple[str, int, int]]:
    for place in places:
        below = (Path(folder, name) for folder, _, names in os.walk(place) for name in names)
        for file in below if place.is_dir() else [place]:
            with suppress(OSError):
                status = file.stat()
                yield str(file), status.st_mtime_ns, status.st_size


def _shown(settings: CatalogSettings) -> str:
    """Return the fingerprint of what the store shows; empty if it can't be read now."""
    try:
        with Store.open(settings.store) as store:
            return store.fingerprint()
    except CatalogError:
        return ""
