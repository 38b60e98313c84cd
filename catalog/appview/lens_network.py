"""The lenses between schemas, in memory and up to date with the store, for queries about paths of lenses.

A lens is vouched for if a verification names the CID of its current record.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Final, TypeVar

from catalog.appview.logs import note
from catalog.appview.query import Filters, ask
from catalog.errors import CatalogError, contained
from catalog.lenses.paths import paths_between
from catalog.records import LENS, VERIFICATION, Lens, LensVerification, read_record

if TYPE_CHECKING:
    from catalog.appview.index import Index
    from catalog.store.reader import Position, Reader, Shown

_Key = TypeVar("_Key")

_AT_ONCE: Final = 5000
_MOST_CHANGES: Final = 50_000
"""A network that is further behind reads all lenses again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """A lens, from ``source`` to ``target``, both URIs of schemas."""

    uri: str
    cid: str
    name: str
    source: str
    target: str


class LensNetwork:
    """All visible lenses of a store. Threads may share it. Every method may raise ``StoreError``."""

    def __init__(self, index: Index, reader: Reader) -> None:
        self._index = index
        self._reader = reader
        self._lock = Lock()
        self._position: Position | None = None
        self._configuration: object = None
        self._edges: dict[str, Edge] = {}
        self._onward: defaultdict[str, set[str]] = defaultdict(set)
        self._back: defaultdict[str, set[str]] = defaultdict(set)
        self._words: dict[str, tuple[str, str]] = {}
        """By URI of a verification the lens, and the CID of its record, that it verifies."""
        self._vouched: defaultdict[tuple[str, str], set[str]] = defaultdict(set)

    def vouched(self, uri: str) -> bool:
        """Return whether a verification names the CID of this lens's current record."""
        with self._lock:
            self._refresh()
            edge = self._edges.get(uri)
            return edge is not None and self._is_vouched(edge)

    def paths(self, source: str, target: str, *, steps: int, most: int) -> tuple[list[tuple[Edge, ...]], set[str]]:
        """The best ``most`` paths of at most so many ``steps``, and those of their lenses that are vouched for."""
        with self._lock:
            self._refresh()
            found = paths_between(
                source,
                target,
                lambda place: [(edge := self._edges[uri], edge.target) for uri in sorted(self._onward.get(place, ()))],
                lambda place: [self._edges[uri].source for uri in self._back.get(place, ())],
                lambda edge: (not self._is_vouched(edge), edge.uri),
                longest=steps,
                most=most,
            )
            return found, {edge.uri for path in found for edge in path if self._is_vouched(edge)}

    def _is_vouched(self, edge: Edge) -> bool:
        return bool(self._vouched.get((edge.uri, edge.cid)))

    def _refresh(self) -> None:
        here, configuration = self._reader.position(), self._reader.configuration()
        known = self._position
        if known == here and configuration == self._configuration:
            return
        if known is None or known.store != here.store or configuration != self._configuration:
            self._load()
        else:
            changes = self._reader.changes(known.number, most=_MOST_CHANGES)
            if changes is None or len(changes) >= _MOST_CHANGES:
                self._load()
            else:
                self._redo(self._named(what for _, what in changes))
                self._position = here
        self._configuration = configuration

    def _load(self) -> None:
        """Read all of them: which there are, the index knows; what came since then, the changes."""
        state = self._index.state()
        for held in (self._edges, self._onward, self._back, self._words, self._vouched):
            held.clear()
        for kind in ("lens", "verification"):
            cursor = None
            while True:
                page = ask(self._index, "", Filters(kinds=(kind,)), cursor).page(_AT_ONCE)
                self._redo(page.uris)
                cursor = page.cursor
                if cursor is None:
                    break
        self._position = None if state is None else state.position

    def _named(self, changed: Iterable[str]) -> Iterator[str]:
        for what in changed:
            if what.startswith("did:"):
                uris = [uri for uri in (*self._edges, *self._words) if uri.startswith(f"at://{what}/")]
                yield from (*uris, *self._reader.uris_of(what))
            else:
                yield what

    def _redo(self, uris: Iterable[str]) -> None:
        wanted = {uri for uri in uris if f"/{LENS}/" in uri or f"/{VERIFICATION}/" in uri}
        for uri in wanted:
            edge = self._edges.pop(uri, None)
            if edge is not None:
                _remove(self._onward, edge.source, uri)
                _remove(self._back, edge.target, uri)
            word = self._words.pop(uri, None)
            if word is not None:
                _remove(self._vouched, word, uri)
        for shown in self._reader.briefly([*wanted]):
            try:
                self._take(shown)
            except Exception as error:  # noqa: BLE001 - whatever one record causes is that record's problem
                if not isinstance(error, CatalogError):
                    note("left out", {"uri": shown.uri, "reason": str(contained(error))}, level=logging.WARNING)

    def _take(self, shown: Shown) -> None:
        value = shown.value
        if shown.partial and isinstance(value, dict):  # a large one: the code that it names isn't needed here
            value = {**value, "getterCode": {}, "putterCode": {}}
        record = read_record(shown.collection, value, checked=True)
        match record:
            case Lens():
                source, target = str(record.source), str(record.target)
                self._edges[shown.uri] = Edge(
                    uri=shown.uri, cid=shown.cid, name=record.name, source=source, target=target
                )
                self._onward[source].add(shown.uri)
                self._back[target].add(shown.uri)
            case LensVerification():
                word = self._words[shown.uri] = (str(record.lens), record.lens_commit)
                self._vouched[word].add(shown.uri)
            case _:
                pass


def _remove(held: dict[_Key, set[str]], key: _Key, uri: str) -> None:
    """Take a URI out of the set at a key, and the set with the last one: keys that are gone aren't kept."""
    uris = held.get(key)
    if uris is not None:
        uris.discard(uri)
        if not uris:
            del held[key]
