"""The full-text index of a store: a SQLite file beside it, derived from it and rebuilt whenever it doesn't fit.

::

    catalog.sqlite            the store
    catalog.sqlite.search     term ─▶ ids by level; id ─▶ URI, rank, and what conditions need

:meth:`SearchIndex.open` brings the index to the store's position: it reads the records that have changed since, or all
of them where the index is missing, of another format, or too far behind. ``catalog crawl`` does so at its end. A file
that can't be written is replaced by an index in memory.

Tricky bits
-----------
- The lists of a term are never changed: a record that changes gets a new id, and the old id is *dead* and skipped. When
  a quarter is dead, the index is rebuilt.
- Each update adds a *segment*, with lists of its own for each term. When there are more than a few, they become one.
- Not FTS5: it yields a term's records one by one, which takes ten times as long for a frequent term, as does building.
"""

from __future__ import annotations

import json
import sqlite3
from array import array
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, Self

from catalog.errors import CatalogError, StoreError
from catalog.records import KINDS, SCHEMA, Dataset, Lens, Schema, read_record
from catalog.schema import Array, List
from catalog.store.matching import distance, plan, rank
from catalog.store.reader import Reader
from catalog.store.searchable import levels_of, schema_texts, spelt_terms

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from catalog.schema import SampleType
    from catalog.store.matching import Plan, Ranking, Word
    from catalog.store.reader import Shown

_FORMAT: Final = 3
_BUSY_SECONDS: Final = 30.0
_BATCH: Final = 1000
_DRAFTS: Final = 2**62
_DEAD_SHARE: Final = 0.25
_FEW_DEAD: Final = 1000
_SCHEMAS_KEPT: Final = 5000
_SEGMENT: Final = 10_000
"""Records of a segment, which is made in memory."""
_MOST_SEGMENTS: Final = 8
_HEAD: Final = 2
"""Numbers before each list: its level and its length."""
_LEVEL_BITS: Final = 4
_LEVEL_MASK: Final = 2**_LEVEL_BITS - 1
_TABLES: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE records (id INTEGER PRIMARY KEY, uri TEXT NOT NULL, rank INTEGER NOT NULL, facts TEXT NOT NULL);
CREATE UNIQUE INDEX records_uri ON records (uri);
CREATE INDEX records_rank ON records (rank, uri);
CREATE TABLE refs (schema TEXT NOT NULL, id INTEGER NOT NULL);
CREATE INDEX refs_schema ON refs (schema);
CREATE TABLE spelling (word TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE dead (id INTEGER PRIMARY KEY);
CREATE TABLE terms (term TEXT, segment INTEGER, count INTEGER NOT NULL, PRIMARY KEY (term, segment)) WITHOUT ROWID;
CREATE TABLE lists (segment INTEGER, term TEXT, lists BLOB NOT NULL, PRIMARY KEY (segment, term)) WITHOUT ROWID;
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


_QUICK_CHANGES: Final = 5000
"""Changes of a store whose first index takes about five seconds."""


class SearchIndex:
    """An index that fits its store; a context manager. Methods raise :class:`StoreError`."""

    def __init__(self, db: sqlite3.Connection, reader: Reader, progress: Callable[[str], object]) -> None:
        self._db = db
        self._progress = progress
        self._reader = reader
        self._schemas: dict[str, _Schema | None] = {}
        self._dead: frozenset[int] = frozenset()
        self._total = 0

    @staticmethod
    def is_quick(store: Path) -> bool:
        """Return whether :meth:`open` takes little time: there is an index already, or the store had few changes.

        The first index of a large store takes longer than a crawl of exports. Raises :class:`StoreError`.
        """
        if index_path(store).exists():
            return True
        reader = Reader(store)
        try:
            return reader.position().number <= _QUICK_CHANGES
        finally:
            reader.close()

    @classmethod
    def open(cls, store: Path, progress: Callable[[str], object] = lambda _: None) -> Self:
        """Open the index of the store at a path, and bring it to the store's position. Raises :class:`StoreError`.

        ``progress`` is called with a line of text now and then while many records are indexed.
        """
        reader = Reader(store)
        reader.position()  # an error of the store comes before any of the index
        path = index_path(store)
        for attempt in (str(path), str(path), ":memory:"):
            try:
                db = sqlite3.connect(attempt, timeout=_BUSY_SECONDS, isolation_level=None)
                index = cls(db, reader, progress)
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

    def _newest(self, rows: Collection[int], most: int | None) -> list[int]:
        if len(rows) > _BATCH:
            rest = dict.fromkeys(rows)
            first = []
            for (number,) in self._db.execute("SELECT id FROM records ORDER BY rank, uri"):
                if number in rest:
                    del rest[number]
                    first.append(number)
                    if len(first) == most:
                        break
            return [*first, *rest]
        marks = ", ".join("?" * len(rows))
        found = self._db.execute(f"SELECT id FROM records WHERE id IN ({marks}) ORDER BY rank, uri", [*rows])
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
        return int(self._db.execute("SELECT total(count) FROM terms WHERE term = ?", (term,)).fetchone()[0])

    @lru_cache(maxsize=1024)  # noqa: B019
    def beginning(self, start: str) -> list[tuple[str, int]]:
        """Return the terms that begin so, with the number of records of each."""
        query = "SELECT term, sum(count) FROM terms WHERE term >= ? AND term < ? GROUP BY term"
        return self._db.execute(query, (start, start + "\U0010ffff")).fetchall()

    def similar(self, word: str, slips: int) -> list[tuple[str, int]]:
        """Return the words of names and tags at a small edit distance, with the number of records of each."""
        one, two = word[:1], word[1:2]
        query = (
            "SELECT word, count FROM spelling WHERE length(word) BETWEEN ? AND ?"
            " AND (substr(word, 1, 1) IN (?, ?) OR substr(word, 2, 1) IN (?, ?))"
        )
        known = self._db.execute(query, (len(word) - slips, len(word) + slips, one, two, one, two))
        letters = frozenset(word)
        return [
            (other, count)
            for other, count in known
            if len(letters.symmetric_difference(other)) <= 2 * slips and distance(word, other, slips) <= slips
        ]

    def _rows_of(self, term: str) -> Iterator[tuple[int, Iterable[int]]]:
        query = "SELECT lists FROM terms JOIN lists USING (term, segment) WHERE term = ?"
        dead = self._dead
        for (raw,) in self._db.execute(query, (term,)):
            for level, rows in _lists_of(raw):
                yield level, [row for row in rows if row not in dead] if dead else rows

    def _find_dead(self) -> None:
        """Read the ids whose records have changed or gone, and the number of the others."""
        self._total = int(self._state()["total"])
        self._dead = frozenset(number for (number,) in self._db.execute("SELECT id FROM dead"))

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
                self._merge()
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
        total, last = self._db.execute("SELECT count(*), coalesce(max(id), 0) FROM records").fetchone()
        state = {
            "format": _FORMAT, "store": store, "number": number, "configuration": digest, "total": total,
            "last": max(last, int(self._state().get("last", 0))),
        }  # fmt: skip
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
        count, last = int(state["total"]), int(state["last"])
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
        for uri in uris:
            gone = "INSERT INTO dead SELECT id FROM records WHERE uri = ?"
            self._db.execute(gone, (uri,))
            self._db.execute("DELETE FROM records WHERE uri = ?", (uri,))
        self._add(self._reader.each(uris), last + 1)
        return True

    def _rebuild(self) -> None:
        for name in ("vocabulary", "places", "terms", "lists", "dead", "meta", "records", "refs", "spelling"):
            self._db.execute(f"DROP TABLE IF EXISTS {name}")  # vocabulary and places are of format 2
        for statement in filter(str.strip, _TABLES.split(";\n")):
            self._db.execute(statement)
        self._add(self._reader.everything(), 1)

    def _add(self, records: Iterable[Shown], first: int) -> None:
        number = first
        segment = _Segment()
        for shown in records:
            made = self._made(shown)
            if made is None:
                continue
            rank, levels, facts, spelt, refs = made
            self._db.execute("INSERT INTO records VALUES (?, ?, ?, ?)", (number, shown.uri, rank, facts))
            self._db.executemany("INSERT INTO refs VALUES (?, ?)", [(ref, number) for ref in refs])
            segment.add(number, levels, spelt)
            number += 1
            if segment.records == _SEGMENT:
                self._write(segment)
                segment = _Segment()
                self._progress(f"search index: {number - first:,} records")
        if segment.records:
            self._write(segment)

    def _write(self, segment: _Segment) -> None:
        place = 1 + self._db.execute("SELECT coalesce(max(segment), 0) FROM lists").fetchone()[0]
        terms = sorted(segment.lists)
        counts = ((term, place, segment.count(term)) for term in terms)
        self._db.executemany("INSERT INTO terms VALUES (?, ?, ?)", counts)
        packed = ((place, term, segment.packed(term)) for term in terms)
        self._db.executemany("INSERT INTO lists VALUES (?, ?, ?)", packed)
        upsert = "INSERT INTO spelling VALUES (?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count"
        self._db.executemany(upsert, sorted(segment.spelt.items()))

    def _merge(self) -> None:
        """Make one segment of many: the lists of each term one behind the other, as ids only grow."""
        count, last = self._db.execute("SELECT count(DISTINCT segment), max(segment) FROM lists").fetchone()
        if count <= _MOST_SEGMENTS:
            return
        query = "SELECT term, lists FROM terms JOIN lists USING (term, segment) ORDER BY term, segment"
        groups = groupby(self._db.execute(query), key=itemgetter(0))
        merged = ((last + 1, term, b"".join(raw for _, raw in found)) for term, found in groups)
        self._db.execute("CREATE TEMP TABLE merged AS SELECT * FROM lists LIMIT 0")
        self._db.executemany("INSERT INTO merged VALUES (?, ?, ?)", merged)
        self._db.execute("CREATE TEMP TABLE counted AS SELECT term, sum(count) AS count FROM terms GROUP BY term")
        self._db.execute("DELETE FROM lists")
        self._db.execute("DELETE FROM terms")
        self._db.execute("INSERT INTO lists SELECT * FROM merged")
        self._db.execute("INSERT INTO terms SELECT term, ?, count FROM counted", (last + 1,))
        self._db.execute("DROP TABLE merged")
        self._db.execute("DROP TABLE counted")

    def _made(self, shown: Shown) -> tuple[int, list[set[str]], str, set[str], list[str]] | None:
        """Return rank, terms by level, facts, spelt terms and schemas of a record."""
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
        return rank, levels, facts, spelt_terms(record), refs

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


class _Segment:
    """The lists of some records in memory."""

    def __init__(self) -> None:
        self.records = 0
        self.lists: dict[str, array[int]] = {}
        """The id of each record that has a term, and its level: 16 times the id and the level."""
        self.spelt: Counter[str] = Counter()

    def add(self, number: int, levels: Sequence[set[str]], spelt: set[str]) -> None:
        """Add the terms of a record."""
        lists = self.lists
        for level, terms in enumerate(levels):
            entry = number << _LEVEL_BITS | level
            for term in terms:
                if term in lists:
                    lists[term].append(entry)
                else:
                    lists[term] = array("I", (entry,))
        self.spelt.update(spelt)
        self.records += 1

    def count(self, term: str) -> int:
        """Return the number of records that have a term."""
        return len(self.lists[term])

    def packed(self, term: str) -> bytes:
        """Return the lists of a term: for each level that has records its number, the number of ids, and the ids."""
        entries = self.lists[term]
        if len(entries) == 1:  # two thirds of all terms
            return array("I", (entries[0] & _LEVEL_MASK, 1, entries[0] >> _LEVEL_BITS)).tobytes()
        by_level: dict[int, list[int]] = {}
        for entry in entries:
            by_level.setdefault(entry & _LEVEL_MASK, []).append(entry >> _LEVEL_BITS)
        return array("I", [one for level, ids in by_level.items() for one in (level, len(ids), *ids)]).tobytes()


def _lists_of(raw: bytes) -> Iterator[tuple[int, array[int]]]:
    """Yield level and ids of packed lists."""
    numbers = array("I", raw)
    at = 0
    while at < len(numbers):
        end = at + _HEAD + numbers[at + 1]
        yield numbers[at], numbers[at + _HEAD : end]
        at = end


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
