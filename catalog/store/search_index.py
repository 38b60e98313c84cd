"""The full-text index of a store: a SQLite file beside it, derived from it and rebuilt whenever it doesn't fit.

::

    catalog.sqlite            the store
    catalog.sqlite.search     terms by level (FTS5) ─id─▶ URI, rank, and what conditions need

:meth:`SearchIndex.open` brings the index to the store's position: it reads the records that have changed since, or all
of them where the index is missing, of another format, or too far behind. A file that can't be written is replaced by
an index in memory.

Tricky bits
-----------
- The FTS5 table has no content of its own, so nothing can be deleted from it: a record that changes gets a new id, and
  rows of old ids are skipped. When they are a quarter of all, the index is rebuilt.
- ``fts5vocab`` gives a term's records with their level in one scan. A term counts at one level of a record only.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Self

from catalog.errors import CatalogError, StoreError
from catalog.records import KINDS, SCHEMA, Dataset, Lens, Schema, read_record
from catalog.schema import Array, List
from catalog.store.matching import distance, plan, rank
from catalog.store.reader import Reader
from catalog.store.searchable import LEVELS, levels_of, schema_texts, spelt_terms

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from catalog.schema import SampleType
    from catalog.store.matching import Plan, Ranking, Word
    from catalog.store.reader import Shown

_FORMAT: Final = 2
_BUSY_SECONDS: Final = 30.0
_BATCH: Final = 1000
_DRAFTS: Final = 2**62
_DEAD_SHARE: Final = 0.25
_FEW_DEAD: Final = 1000
_SCHEMAS_KEPT: Final = 5000
_COLUMNS: Final = [f"l{level}" for level in range(LEVELS)]
_TABLES: Final = f"""
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE records (id INTEGER PRIMARY KEY, uri TEXT NOT NULL, rank INTEGER NOT NULL, facts TEXT NOT NULL);
CREATE UNIQUE INDEX records_uri ON records (uri);
CREATE INDEX records_rank ON records (rank, uri);
CREATE TABLE refs (schema TEXT NOT NULL, id INTEGER NOT NULL);
CREATE INDEX refs_schema ON refs (schema);
CREATE TABLE spelling (word TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
CREATE VIRTUAL TABLE terms USING fts5 (
    {", ".join(_COLUMNS)}, content = '', detail = column,
    tokenize = "unicode61 remove_diacritics 0 categories 'L* N* M* S* P* Co Cf'"
);
CREATE VIRTUAL TABLE vocabulary USING fts5vocab (terms, row);
CREATE VIRTUAL TABLE places USING fts5vocab (terms, instance);
INSERT INTO terms (terms, rank) VALUES ('automerge', 4);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """The facts of a record that conditions of a search need."""

    uri: str
    kind: str
    did: str
    handle: str | None
    tags: frozenset[str]
    licence: str | None
    schema: str | None
    """The URI of a dataset's schema."""
    schema_name: str | None
    schema_version: str | None
    dtypes: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Schema:
    name: str
    version: str
    texts: tuple[str, ...]
    dtypes: tuple[str, ...]


def index_path(store: Path) -> Path:
    """Return the path of a store's index."""
    return store.with_name(f"{store.name}.search")


def rank_of(made: datetime, *, draft: bool) -> int:
    """Return a number by which records are sorted, then by their URI: newest first, drafts last, as on a site."""
    return _DRAFTS if draft else -int(made.timestamp() * 1_000_000)


class SearchIndex:
    """An index that fits its store; a context manager. Methods raise :class:`StoreError`."""

    def __init__(self, db: sqlite3.Connection, reader: Reader) -> None:
        self._db = db
        self._reader = reader
        self._schemas: dict[str, _Schema | None] = {}
        self._dead: frozenset[int] = frozenset()
        self._total = 0

    @classmethod
    def open(cls, store: Path) -> Self:
        """Open the index of the store at a path, and bring it to the store's position. Raises :class:`StoreError`."""
        reader = Reader(store)
        reader.position()  # an error of the store comes before any of the index
        path = index_path(store)
        for attempt in (str(path), str(path), ":memory:"):
            try:
                db = sqlite3.connect(attempt, timeout=_BUSY_SECONDS, isolation_level=None)
                index = cls(db, reader)
                index._catch_up()
            except sqlite3.OperationalError:  # not writable, or locked for long
                continue
            except sqlite3.DatabaseError:  # damaged: it is derived data
                with suppress(OSError):
                    path.unlink(missing_ok=True)
                continue
            return index
        raise StoreError("the search index can't be made", where=str(path), hint="free some memory or disk space")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the files."""
        self._db.close()
        self._reader.close()

    # --- searching -------------------------------------------------------------------------------------------------

    def search(self, words: Sequence[Word], limit: int | None = None) -> tuple[Ranking, Plan]:
        """Return the rows that match, best first, and the terms that were looked for. A row is a record's id.

        With ``limit`` only the first so many rows are in order.
        """
        self._find_dead()
        planned = plan(words, self)
        return rank(planned, self._rows_of, self._newest, limit), planned

    def everything(self) -> list[int]:
        """Return all rows, newest first."""
        return [number for (number,) in self._db.execute("SELECT id FROM records ORDER BY rank, uri")]

    def _newest(self, rows: list[int]) -> list[int]:
        if len(rows) > _BATCH:
            wanted = {*rows}
            return [number for number in self.everything() if number in wanted]
        marks = ", ".join("?" * len(rows))
        found = self._db.execute(f"SELECT id FROM records WHERE id IN ({marks}) ORDER BY rank, uri", rows)
        return [number for (number,) in found]

    def entries(self, rows: Sequence[int]) -> Iterator[Entry]:
        """Yield the facts of rows, in their order."""
        for start in range(0, len(rows), _BATCH):
            some = rows[start : start + _BATCH]
            query = f"SELECT id, uri, facts FROM records WHERE id IN ({', '.join('?' * len(some))})"
            held = {number: (uri, facts) for number, uri, facts in self._db.execute(query, [*some])}
            for number in some:
                uri, facts = held[number]
                yield _entry(uri, json.loads(facts))

    def shown(self, uris: Sequence[str]) -> dict[str, Shown]:
        """Return records by URI."""
        return self._reader.shown(uris)

    @property
    def total(self) -> int:
        """The number of records."""
        return self._total

    @lru_cache(maxsize=4096)  # noqa: B019 - an index lives as long as one search
    def count(self, term: str) -> int:
        """Return the number of records that have a term."""
        row = self._db.execute("SELECT doc FROM vocabulary WHERE term = ?", (term,)).fetchone()
        return 0 if row is None else int(row[0])

    @lru_cache(maxsize=1024)  # noqa: B019
    def beginning(self, start: str) -> list[tuple[str, int]]:
        """Return the terms that begin so, with the number of records of each."""
        query = "SELECT term, doc FROM vocabulary WHERE term >= ? AND term < ?"
        return self._db.execute(query, (start, start + "\U0010ffff")).fetchall()

    def similar(self, word: str, slips: int) -> list[tuple[str, int]]:
        """Return the words of names and tags at a small edit distance, with the number of records of each."""
        one, two = word[:1], word[1:2]
        query = (
            "SELECT word, count FROM spelling WHERE length(word) BETWEEN ? AND ?"
            " AND (substr(word, 1, 1) IN (?, ?) OR substr(word, 2, 1) IN (?, ?))"
        )
        known = self._db.execute(query, (len(word) - slips, len(word) + slips, one, two, one, two))
        return [(other, count) for other, count in known if distance(word, other, slips) <= slips]

    def _rows_of(self, term: str) -> list[tuple[int, int]]:
        places = self._db.execute("SELECT doc, col FROM places WHERE term = ?", (term,))
        dead = self._dead
        return [(number, _LEVEL[column]) for number, column in places if number not in dead]

    def _find_dead(self) -> None:
        """Find the ids whose records have changed or gone, and count the others."""
        self._total, last = self._db.execute("SELECT count(*), coalesce(max(id), 0) FROM records").fetchone()
        if last > self._total:
            live = {number for (number,) in self._db.execute("SELECT id FROM records")}
            self._dead = frozenset(range(1, last + 1)) - live

    # --- following the store -----------------------------------------------------------------------------------------

    def _catch_up(self) -> None:
        if self._fits(self._state()):
            return
        for pragma in ("journal_mode = MEMORY", "synchronous = OFF"):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.execute("BEGIN IMMEDIATE")
        try:
            state = self._state()
            if not self._fits(state):  # another process may have been faster
                here = self._reader.position()
                if not self._follow(state):
                    self._rebuild()
                self._put_state(here.store, here.number)
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def _state(self) -> dict[str, str]:
        if not self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone():
            return {}
        return dict(self._db.execute("SELECT key, value FROM meta"))

    def _put_state(self, store: str, number: int) -> None:
        digest = self._reader.configuration_digest()
        state = {"format": _FORMAT, "store": store, "number": number, "configuration": digest}
        self._db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", [(key, str(state[key])) for key in state])

    def _is_of_store(self, state: dict[str, str]) -> bool:
        here = (str(_FORMAT), self._reader.position().store, self._reader.configuration_digest())
        return (state.get("format"), state.get("store"), state.get("configuration")) == here

    def _fits(self, state: dict[str, str]) -> bool:
        return self._is_of_store(state) and state.get("number") == str(self._reader.position().number)

    def _follow(self, state: dict[str, str]) -> bool:
        """Index what has changed; False if everything must be."""
        if not self._is_of_store(state):
            return False
        count, last = self._db.execute("SELECT count(*), coalesce(max(id), 0) FROM records").fetchone()
        if last - count > _FEW_DEAD + _DEAD_SHARE * count:
            return False
        changes = self._reader.changes(int(state["number"]), most=_FEW_DEAD + count // 4)
        if changes is None or len(changes) >= _FEW_DEAD + count // 4:
            return False
        uris = {
            uri for _, what in changes for uri in (self._reader.uris_of(what) if what.startswith("did:") else (what,))
        }
        for schema in [uri for uri in uris if f"/{SCHEMA}/" in uri]:
            query = "SELECT uri FROM refs JOIN records USING (id) WHERE schema = ?"
            uris.update(uri for (uri,) in self._db.execute(query, (schema,)))
        self._db.executemany("DELETE FROM records WHERE uri = ?", [(uri,) for uri in uris])
        self._add(self._reader.each(uris), last + 1)
        return True

    def _rebuild(self) -> None:
        names = [name for (name,) in self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        known = ("vocabulary", "places", "terms", "meta", "records", "refs", "spelling")
        for name in known:
            if name in names:
                self._db.execute(f"DROP TABLE {name}")
        for statement in filter(str.strip, _TABLES.split(";\n")):
            self._db.execute(statement)
        self._add(self._reader.everything(), 1)
        self._db.execute("INSERT INTO terms (terms) VALUES ('optimize')")

    def _add(self, records: Iterable[Shown], first: int) -> None:
        marks = ", ".join("?" * (LEVELS + 1))
        insert = f"INSERT INTO terms (rowid, {', '.join(_COLUMNS)}) VALUES ({marks})"
        number = first
        for shown in records:
            made = self._made(shown)
            if made is None:
                continue
            row, levels, spelt, refs = made
            record, facts = shown.uri, levels.pop()
            self._db.execute("INSERT INTO records VALUES (?, ?, ?, ?)", (number, record, row, facts))
            self._db.execute(insert, (number, *levels))
            self._db.executemany("INSERT INTO refs VALUES (?, ?)", [(ref, number) for ref in refs])
            upsert = "INSERT INTO spelling VALUES (?, 1) ON CONFLICT DO UPDATE SET count = count + 1"
            self._db.executemany(upsert, [(word,) for word in spelt])
            number += 1

    def _made(self, shown: Shown) -> tuple[int, list[str], set[str], list[str]] | None:
        """Return rank, texts of the levels with the facts at the end, spelt terms and schemas of a record."""
        try:
            record = read_record(shown.collection, shown.value, checked=True)
        except (CatalogError, ValueError, RecursionError):
            return None  # a crawl by this version would have rejected it
        if not isinstance(record, Dataset | Schema | Lens):
            return None
        refs = [str(ref) for ref in _references(record)]
        schemas = [schema for schema in map(self._schema, refs) if schema is not None]
        texts = [
            text for schema in schemas for text in (schema.texts if isinstance(record, Dataset) else (schema.name,))
        ]
        levels = levels_of(record, handle=shown.handle, did=shown.did, schemas=texts)
        own = _schema_of(record.sample_type) if isinstance(record, Schema) else next(iter(schemas), None)
        facts = _facts(record, shown, own if not isinstance(record, Lens) else None)
        rank = rank_of(min(record.created_at.moment, shown.first_seen), draft=shown.draft)
        return rank, [*map(" ".join, levels), facts], spelt_terms(record), refs

    def _schema(self, uri: str) -> _Schema | None:
        if uri not in self._schemas:
            if len(self._schemas) >= _SCHEMAS_KEPT:
                self._schemas.clear()
            found = self._reader.shown([uri]).get(uri)
            record = None
            with suppress(CatalogError, ValueError, RecursionError):
                record = None if found is None else read_record(SCHEMA, found.value, checked=True)
            self._schemas[uri] = _schema_of(record.sample_type) if isinstance(record, Schema) else None
        return self._schemas[uri]


_LEVEL: Final = {column: level for level, column in enumerate(_COLUMNS)}


def _references(record: Dataset | Schema | Lens) -> list[object]:
    match record:
        case Dataset():
            return [record.schema_ref]
        case Lens():
            return [record.source, record.target]
    return []


def _schema_of(sample_type: SampleType) -> _Schema:
    dtypes: dict[str, None] = {}
    for field in sample_type.fields:
        type_ = field.type
        while isinstance(type_, List):
            type_ = type_.item
        if isinstance(type_, Array):
            dtypes[type_.dtype or "any"] = None
    return _Schema(
        name=sample_type.name,
        version=sample_type.version,
        texts=schema_texts(sample_type),
        dtypes=tuple(sorted(dtypes)),
    )


def _facts(record: Dataset | Schema | Lens, shown: Shown, schema: _Schema | None) -> str:
    facts: dict[str, Any] = {"kind": KINDS[shown.collection], "did": shown.did, "handle": shown.handle}
    if not isinstance(record, Lens):
        facts |= {"tags": list(record.tags), "licence": record.license}
    if isinstance(record, Dataset):
        facts["schema"] = str(record.schema_ref)
    if schema is not None:
        facts |= {"name": schema.name, "version": schema.version, "dtypes": schema.dtypes}
    return json.dumps(facts)


def _entry(uri: str, facts: dict[str, Any]) -> Entry:
    return Entry(
        uri=uri, kind=facts["kind"], did=facts["did"], handle=facts["handle"], tags=frozenset(facts.get("tags", ())),
        licence=facts.get("licence"), schema=facts.get("schema"), schema_name=facts.get("name"),
        schema_version=facts.get("version"), dtypes=frozenset(facts.get("dtypes", ())),
    )  # fmt: skip
