"""The index: a directory of tantivy's, one writer and any number of readers, and the position of the store it shows.

Every order of results depends only on the record and the query: not on how rare a word is, which
changes with every new record. So a cursor is a place in an order, and means the same in every process, after a
restart, and in an index that was built anew (:mod:`catalog.appview.query`).

*Tricky bits.*

- The position is written after the commit that it speaks of. A crash between the two lets the same changes be read
  again, which is no harm.
- The directory's name has the format's number: processes of two versions don't tread on each other.
- tantivy's lock on the writer is the process's, and goes with it.
"""

from __future__ import annotations

import json
import os
from contextlib import nullcontext
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Final

import filelock
import tantivy

from catalog.errors import StoreBusy, StoreError
from catalog.store.facet_values import DERIVED
from catalog.store.reader import Position
from catalog.store.searchable import LEVELS

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["FORMAT", "Index", "State", "directory"]

FORMAT: Final = 6
"""Counted up whenever documents or fields change: the index is then built anew."""
_BEGINNINGS_KEPT: Final = 1000
_MOST_TERMS: Final = 2000
_POSITION: Final = "position.json"
_LOCK: Final = "making.lock"
_WORDS: Final = "words"
"""The name of the analyser, which splits at blanks."""
_TEXTS: Final = ("name", "words", "spelling", *(f"l{level}" for level in range(LEVELS)))
"""The terms of the name, all terms, those a misspelt word may have been meant to be, and the terms of each level."""
_KEYS: Final = ("uri", "stamp", "whole", "key", "licence_folded", "source", "target", "ref")
_FACETS: Final = ("kind", "did", "tag", "licence", "schema", "dtype", "state", "year", *DERIVED)


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The state of the store that is indexed: its position, and a digest of its configuration."""

    position: Position
    configuration: str


def directory(beside: Path) -> Path:
    """Return the folder of a store's index, beside the store."""
    return beside.with_name(f"{beside.name}.index") / f"v{FORMAT}"


def _schema() -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    for name in _TEXTS:
        builder.add_text_field(name, tokenizer_name=_WORDS, index_option="basic", stored=name == "spelling")
    for name in _KEYS:
        builder.add_text_field(name, tokenizer_name="raw", index_option="basic", stored=name == "uri")
    for name in _FACETS:
        builder.add_text_field(name, tokenizer_name="raw", index_option="basic", fast=True)
    builder.add_unsigned_field("rank", indexed=True, fast=True)
    builder.add_unsigned_field("size", fast=True)
    return builder.build()


class Beginnings:
    """A cache of the terms that begin so, as one commit has them: word forms are looked up again and again."""

    def __init__(self) -> None:
        self._held: dict[str, list[tuple[str, int]]] = {}

    def get(self, start: str) -> list[tuple[str, int]] | None:
        """Return the terms, if they are known."""
        return self._held.get(start)

    def put(self, start: str, terms: list[tuple[str, int]]) -> None:
        """Keep the terms, if they are few."""
        if len(self._held) >= _BEGINNINGS_KEPT:
            self._held.clear()
        if len(terms) <= _MOST_TERMS:
            self._held[start] = terms


class Index:
    """An index directory as one process sees it; each call sees the newest commit. Threads may share it."""

    def __init__(self, folder: Path) -> None:
        """Open it, or make an empty one. Raises :class:`StoreError`."""
        self.folder = folder
        self.schema = _schema()
        self._lock = Lock()
        self._meta = folder / "meta.json"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # Of two that make it at once, one would undo the other's commit. Who only reads needn't be able to write.
            with nullcontext() if self._meta.exists() else filelock.FileLock(folder / _LOCK):
                self._index = tantivy.Index(self.schema, path=str(folder))
        except (OSError, ValueError) as error:
            hint = "delete it: it is built anew from the store"
            raise StoreError(f"the index can't be opened: {error}", where=str(folder), hint=hint) from None
        analyser = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace()).build()
        self._index.register_tokenizer(_WORDS, analyser)
        self._index.config_reader("manual", 0)
        self._seen: tuple[int, int] | None = None
        self.beginnings = Beginnings()

    def commit(self) -> tuple[int, int]:
        """Return an identifier of the newest commit. Raises :class:`StoreError`."""
        try:
            found = self._meta.stat()
        except OSError as error:
            hint = "start again: it is built anew from the store"
            raise StoreError(f"the index can't be read: {error}", where=str(self.folder), hint=hint) from None
        return found.st_ino, found.st_mtime_ns

    def searcher(self) -> tantivy.Searcher:
        """Tantivy's searcher on the newest commit, whoever made it. Raises :class:`StoreError`."""
        commit = self.commit()
        try:
            if commit != self._seen:
                with self._lock:
                    self._index.reload()
                    self.beginnings = Beginnings()
                    self._seen = commit
            return self._index.searcher()
        except (OSError, ValueError) as error:
            hint = "start again: it is built anew from the store"
            raise StoreError(f"the index can't be read: {error}", where=str(self.folder), hint=hint) from None

    def writer(self, *, heap: int, threads: int) -> tantivy.IndexWriter:
        """Tantivy's writer. Raises :class:`StoreBusy` when another process has it, and :class:`StoreError`."""
        try:
            return self._index.writer(heap, threads)
        except (OSError, ValueError) as error:
            if "LockBusy" in str(error):
                hint = "one process writes an index; the others only read it"
                raise StoreBusy(
                    "the index can't be written: another process does", where=str(self.folder), hint=hint
                ) from None
            hint = "check the folder's rights and the free space of its disk"
            raise StoreError(f"the index can't be written: {error}", where=str(self.folder), hint=hint) from None

    def state(self) -> State | None:
        """Return the indexed state; None while it isn't built yet."""
        try:
            found = json.loads((self.folder / _POSITION).read_bytes())
            position = Position(store=str(found["store"]), number=int(found["number"]))
            return State(position=position, configuration=str(found["configuration"]))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError):
            return None  # half of a file is none: it is built anew

    def put_state(self, state: State) -> None:
        """Write the indexed state. Raises :class:`StoreError`."""
        text = json.dumps(
            {"store": state.position.store, "number": state.position.number, "configuration": state.configuration}
        )
        fresh = self.folder / f"{_POSITION}.{os.getpid()}"
        try:
            fresh.write_text(text, encoding="ascii")
            fresh.replace(self.folder / _POSITION)
        except OSError as error:
            raise StoreError(f"the index can't be written: {error}", where=str(self.folder)) from None

    def forget_state(self) -> None:
        """Delete the indexed state, so that the index is rebuilt. Raises :class:`StoreError`."""
        try:
            (self.folder / _POSITION).unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"the index can't be written: {error}", where=str(self.folder)) from None
