"""Read-only access to the store, for processes that follow its changes.

::

    Position(store, number)  ──changes(after)──▶  URIs and DIDs, each by its latest number
    URIs ──shown()──▶ the visible ones of them, with their account's handle

- A change names a record or account, not the difference: followers look it up again, so that handling it twice is
  harmless, and a record that changed ten times is looked up once.
- :meth:`Reader.configuration` gives the listed and denied accounts; it changes seldom, and for all accounts at once.
- Only a million changes are kept. A follower that is further behind reads everything again.
- Lists and searches get the main fields of a large record only (:meth:`Reader.brief`), extracted by SQLite: decoding
  a record of a million empty lists takes 60 MB and a tenth of a second.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections import OrderedDict
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Final

from catalog.errors import CatalogError, InvalidData, StoreError
from catalog.store.migrations import APPLICATION_ID, CHANGES_KEPT, SCHEMA_VERSION, VALUE_OF_VERSION, VISIBLE
from catalog.store.open import is_unwritable, open_read_only, translated

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

    from catalog.atproto.datamodel import Json

_BUSY_SECONDS: Final = 10.0
_AT_ONCE: Final = 500
"""URIs in one statement."""
_COLUMNS: Final = "uri, did, cid, records.draft, verified, first_seen, updated, handle, value"
WHOLE_CHARACTERS: Final = 250_000
"""A record whose JSON is longer is large: lists have only its main fields. 1,300 shards with checksums are below it."""
WHOLE_COST: Final = 500_000
"""And so is one that costs more (:func:`cost_of`)."""
_ABOUT_COST: Final = 500
_ELEMENT_COST: Final = 16
_SHORT: Final = 5_000
_SURELY_WHOLE: Final = WHOLE_COST // (_ELEMENT_COST + 4)
"""Characters of a text that can't cost as much, whatever it has."""
_CARDS_KEPT: Final = 500
_LONGEST_MAIN: Final = 25_000
_MAIN: Final = (
    "$type", "name", "version", "description", "createdAt", "license", "tags", "schemaRef", "schemaType",
    "metadataSchemaRef", "sourceSchema", "targetSchema", "sourceSchemaVersion", "targetSchemaVersion", "language",
    "datasetUri", "lens", "lensCommit", "verificationMethod",
)  # fmt: skip
"""The fields that lists have of a large record, all of them texts but for the tags."""
_SIZES: Final = ("samples", "bytes", "shards")
_PATHS: Final = ", ".join((*(f"'$.\"{name}\"'" for name in _MAIN), *(f"'$.size.{name}'" for name in _SIZES)))
_CARD: Final = _COLUMNS.replace("value", f"json_extract(value, {_PATHS})")
_TRACES: Final = "uri, cid, records.draft, verified, handle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A store's position in its changes. ``store`` names the file, whatever its path; a copy has the same name."""

    store: str
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A visible record with its account's handle; ``text`` is the record's JSON as the store keeps it."""

    uri: str
    did: str
    cid: str
    draft: bool
    verified: bool
    first_seen: datetime
    updated: datetime
    handle: str | None
    text: str
    partial: bool = False
    """``text`` has only the main fields of a large record."""

    @property
    def cost(self) -> int:
        """The cost of showing it (:func:`cost_of`), with a fixed part for its metadata."""
        return WHOLE_COST if self.partial else _ABOUT_COST + cost_of(self.text)

    @property
    def collection(self) -> str:
        """Its collection."""
        return self.uri.split("/", 4)[3]

    @property
    def rkey(self) -> str:
        """Its record key."""
        return self.uri.rpartition("/")[2]

    @property
    def value(self) -> Json:
        """The record."""
        return json.loads(self.text)  # type: ignore[no-any-return]

    @property
    def trace(self) -> Trace:
        """The fields that identify this state of the record."""
        return Trace(uri=self.uri, cid=self.cid, draft=self.draft, verified=self.verified, handle=self.handle)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """The fields that identify a state of a visible record, without its value."""

    uri: str
    cid: str
    draft: bool
    verified: bool
    handle: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """A version of a record: its number, counted from the oldest, and its JSON as the store keeps it."""

    number: int
    cid: str
    rev: str | None
    seen: datetime
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Brief:
    """Records as lists show them: ``read`` of the requested URIs were read within the budget; ``failed`` has the
    errors.
    """

    shown: dict[str, Shown]
    read: int
    failed: dict[str, CatalogError] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Card:
    """A large record as it was at a position of the store."""

    shown: Shown
    position: Position
    configuration: tuple[tuple[str, ...], ...]


class Reader:
    """A store, open for reading; each thread has its own connection. Every method may raise :class:`StoreError`."""

    def __init__(self, path: Path, *, patience: float = _BUSY_SECONDS) -> None:
        """``patience`` is how many seconds a call waits for a store that another process has locked."""
        self._path = path
        self._patience = patience
        self._threads = threading.local()
        self._open: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self._making, self._heavy = threading.Lock(), threading.Lock()
        """Held while a large record is read, for its main fields or whole: one at a time, so that there is time for all
        else, and what two want at once is made once."""
        self._cards: OrderedDict[str, _Card] = OrderedDict()
        """The large records that were shown last, by URI: to read one takes SQLite a hundredth of a second."""

    @property
    def path(self) -> Path:
        """The path of the store."""
        return self._path

    def close(self) -> None:
        """Close the connections of all threads; they must have ended."""
        with self._lock:
            while self._open:
                self._open.pop().close()
        self._threads = threading.local()

    def position(self) -> Position:
        """Return the store's position."""
        with self._reading() as db:
            query = "SELECT id, coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'changes'), 0) FROM identity"
            store, number = db.execute(query).fetchone()
        return Position(store=store, number=number)

    def commits(self) -> int:
        """Return a number that changes when another connection has committed since this thread's last call."""
        with self._reading() as db:
            return int(db.execute("PRAGMA data_version").fetchone()[0])

    def crawled(self) -> bool:
        """Return whether a crawl has ended."""
        with self._reading() as db:
            return bool(db.execute("SELECT EXISTS (SELECT 1 FROM crawls)").fetchone()[0])

    def configuration(self) -> tuple[tuple[str, ...], ...]:
        """The sources that are shown, the accounts that are not, and the labels whose records are not."""
        with self._reading() as db:
            hidden = db.execute("SELECT value FROM label_actions WHERE action = 'hide' ORDER BY value").fetchall()
            sources = db.execute("SELECT source FROM sources ORDER BY source").fetchall()
            denied = db.execute("SELECT did FROM denied ORDER BY did").fetchall()
        return (
            tuple(source for (source,) in sources),
            tuple(did for (did,) in denied),
            tuple(value for (value,) in hidden),
        )

    def configuration_digest(self) -> str:
        """Return a digest of the configuration: 16 hexadecimal digits. An index is up to date with one of them."""
        return hashlib.sha256(json.dumps(self.configuration()).encode()).hexdigest()[:16]

    def changes(self, after: int, *, most: int) -> list[tuple[int, str]] | None:
        """The first ``most`` changes after that number; None where some of them are no longer known."""
        with self._reading() as db:
            rows = db.execute(
                "SELECT number, what FROM changes WHERE number > ? ORDER BY number LIMIT ?", (after, most)
            ).fetchall()
        return None if self.position().number - after > CHANGES_KEPT else rows

    def shown(self, uris: Collection[str]) -> dict[str, Shown]:
        """By URI those of these records that are visible."""
        wanted = [*dict.fromkeys(uris)]
        found: dict[str, Shown] = {}
        with self._reading() as db:
            for start in range(0, len(wanted), _AT_ONCE):
                some = wanted[start : start + _AT_ONCE]
                marks = ", ".join("?" * len(some))
                rows = db.execute(f"SELECT {_COLUMNS} {VISIBLE} AND uri IN ({marks})", some)
                found.update((row[0], _shown(row)) for row in rows)
        return found

    def each(self, uris: Collection[str]) -> Iterator[Shown]:
        """Those of these records that are visible, read one at a time, in no particular order."""
        wanted = [*dict.fromkeys(uris)]
        with self._reading() as db:
            for start in range(0, len(wanted), _AT_ONCE):
                some = wanted[start : start + _AT_ONCE]
                for row in db.execute(f"SELECT {_COLUMNS} {VISIBLE} AND uri IN ({', '.join('?' * len(some))})", some):
                    yield _shown(row)

    def everything(self) -> Iterator[Shown]:
        """All visible records as of one moment, in the order of their URIs."""
        with self._reading() as db:
            for row in db.execute(f"SELECT {_COLUMNS} {VISIBLE} ORDER BY uri"):
                yield _shown(row)

    def traces(self) -> Iterator[Trace]:
        """Yield the traces of all visible records, as of one moment."""
        with self._reading() as db:
            for uri, cid, draft, verified, handle in db.execute(f"SELECT {_TRACES} {VISIBLE}"):
                yield Trace(uri=uri, cid=cid, draft=bool(draft), verified=bool(verified), handle=handle)

    def uris(self) -> list[str]:
        """All records, visible or not, in order. Reads nothing of them but their URIs."""
        with self._reading() as db:
            return [uri for (uri,) in db.execute("SELECT uri FROM records ORDER BY uri")]

    def uris_of(self, did: str) -> list[str]:
        """The records of an account, visible or not."""
        with self._reading() as db:
            return [uri for (uri,) in db.execute("SELECT uri FROM records WHERE did = ?", (did,))]

    def did_of(self, handle: str) -> str | None:
        """The account with this handle; of several, as of one that moved, the one looked up last."""
        query = "SELECT did FROM repos WHERE handle = ? AND active ORDER BY identified DESC LIMIT 1"
        with self._reading() as db:
            row = db.execute(query, (handle.lower(),)).fetchone()
        return None if row is None else row[0]

    def server_of(self, did: str) -> str | None:
        """Return the URL of an account's server, if it is known."""
        with self._reading() as db:
            row = db.execute("SELECT pds FROM repos WHERE did = ?", (did,)).fetchone()
        return None if row is None or row[0] is None else str(row[0]).rstrip("/")

    def handles(self, dids: Collection[str]) -> dict[str, str]:
        """The handles of these accounts, where they have one."""
        wanted = [*dict.fromkeys(dids)][:_AT_ONCE]
        query = f"SELECT did, handle FROM repos WHERE handle IS NOT NULL AND did IN ({', '.join('?' * len(wanted))})"
        with self._reading() as db:
            return dict(db.execute(query, wanted).fetchall())

    def publishers(self, since: datetime | None = None) -> int:
        """Return the number of accounts with visible records; with ``since`` with ones seen changed after it."""
        newer, values = ("", ()) if since is None else (" AND updated > ?", (since.isoformat(),))
        query = f"SELECT count(*) FROM repos AS one WHERE EXISTS (SELECT 1 {VISIBLE} AND records.did = one.did{newer})"
        with self._reading() as db:
            return int(db.execute(query, values).fetchone()[0])

    def versions(self, uri: str, *, limit: int, most: int, upto: int | None = None) -> list[Past]:
        """Return at most so many versions of a visible record, newest first; with ``upto`` none of a higher number.

        Together they cost at most ``most``, but there is at least one.
        """
        query = (
            f"SELECT number, cid, rev, seen, {VALUE_OF_VERSION} FROM versions"
            f" WHERE uri = (SELECT uri {VISIBLE} AND uri = ?) AND number <= ? ORDER BY number DESC LIMIT ?"
        )
        found: list[Past] = []
        with self._reading() as db:
            for number, cid, rev, seen, text in db.execute(query, (uri, 2**62 if upto is None else upto, limit)):
                most -= _ABOUT_COST + octets_of(text)
                if found and most < 0:
                    break
                found.append(Past(number=number, cid=cid, rev=rev, seen=datetime.fromisoformat(seen), text=text))
        return found

    def oldest_version(self, uri: str) -> int:
        """Return the number of the oldest version of a record, or 0."""
        with self._reading() as db:
            row = db.execute("SELECT coalesce(min(number), 0) FROM versions WHERE uri = ?", (uri,)).fetchone()
        return int(row[0])

    def newest_version(self, uri: str) -> int:
        """Return the number of the newest version of a visible record, or 0."""
        query = f"SELECT coalesce(max(number), 0) FROM versions WHERE uri = (SELECT uri {VISIBLE} AND uri = ?)"
        with self._reading() as db:
            row = db.execute(query, (uri,)).fetchone()
        return int(row[0])

    # --- bounded -----------------------------------------------------------------------------------------------------

    def brief(self, uris: Sequence[str], *, most: int | None = None, cards: bool = False) -> Brief:
        """Return the visible ones of these records; of large ones (with ``cards`` of all) only the main fields.

        Together they cost at most ``most``, but there is at least one. Unreadable records are left out.
        """
        read: dict[str, Shown] = {}
        failed: dict[str, CatalogError] = {}
        spent = 0
        try:
            for shown in self.briefly(uris, failed=failed, cards=cards):
                read[shown.uri] = shown
                spent += shown.cost
                if most is not None and spent > most:
                    break
            else:
                return Brief(shown=read, read=len(uris), failed=failed)
        except StoreError as error:
            if not is_damage(error):
                raise
        return self._in_order(uris, read, failed, most=most, cards=cards)

    def briefly(
        self, uris: Sequence[str], *, failed: dict[str, CatalogError] | None = None, cards: bool = False
    ) -> Iterator[Shown]:
        """As :meth:`brief`, without a limit, one at a time and in no particular order."""
        held = self._held(uris)
        yield from held.values()
        rest = [uri for uri in uris if uri not in held] if held else uris
        with self._reading() as db:
            for start in range(0, len(rest), _AT_ONCE):
                some = rest[start : start + _AT_ONCE]
                marks = ", ".join("?" * len(some))
                for row in db.execute(f"SELECT {_COLUMNS} {VISIBLE} AND uri IN ({marks})", some):
                    shown: Shown | None = _shown(row)
                    large = len(row[-1]) > _SURELY_WHOLE and _is_large(row[-1])
                    if large or cards:
                        try:
                            with self._making:
                                shown = self._held([row[0]]).get(row[0]) or self._card(db, row[0], keep=large)
                        except CatalogError as error:
                            if failed is not None:
                                failed[row[0]] = error
                            continue
                    if shown is not None:
                        yield shown

    def text_of(self, uri: str, *, without: Sequence[str] = ()) -> str | None:
        """The JSON of a visible record as the store keeps it, but for some fields of its outermost level."""
        removed = "".join(f", '$.\"{name}\"'" for name in without)
        column = f"json_remove(value{removed})" if without else "value"
        with self._heavy, self._reading() as db:
            row = db.execute(f"SELECT {column} {VISIBLE} AND uri = ?", (uri,)).fetchone()
        return None if row is None else row[0]

    def _in_order(
        self, uris: Sequence[str], read: dict[str, Shown], failed: dict[str, CatalogError], *, most: int | None,
        cards: bool,
    ) -> Brief:  # fmt: skip
        """One record after the other, as far as the budget goes; ``read`` are those that are here already."""
        found: dict[str, Shown] = {}
        spent = 0
        for at, uri in enumerate(uris):
            shown = read.get(uri)
            if shown is None and uri not in failed:
                try:
                    shown = next(self.briefly([uri], failed=failed, cards=cards), None)
                except StoreError as error:
                    if not is_damage(error):
                        raise
                    failed[uri] = error
            if shown is None:
                continue
            spent += shown.cost
            if found and most is not None and spent > most:
                return Brief(shown=found, read=at, failed=failed)
            found[uri] = shown
        return Brief(shown=found, read=len(uris), failed=failed)

    def _card(self, db: sqlite3.Connection, uri: str, *, keep: bool) -> Shown | None:
        """The main fields of a record, if it is visible. Raises :class:`InvalidData` where its text isn't JSON."""
        here, configuration = self.position(), self.configuration()
        try:
            row = db.execute(f"SELECT {_CARD} {VISIBLE} AND uri = ?", (uri,)).fetchone()
        except sqlite3.OperationalError as error:
            raise InvalidData(f"the store's text can't be read: {error}", where=uri) from None
        if row is None:
            return None
        text = json.dumps(_main(json.loads(row[-1])), ensure_ascii=False)
        shown = replace(_shown((*row[:-1], text)), partial=True)
        if keep:
            with self._lock:
                self._cards[uri] = _Card(shown=shown, position=here, configuration=configuration)
                if len(self._cards) > _CARDS_KEPT:
                    self._cards.popitem(last=False)
        return shown

    def _held(self, uris: Sequence[str]) -> dict[str, Shown]:
        """Those of these large records that are remembered and haven't changed since."""
        with self._lock:
            known = {uri: self._cards[uri] for uri in uris if uri in self._cards}
        if not known:
            return {}
        here, configuration = self.position(), self.configuration()
        whats = [*{what for uri, card in known.items() for what in (uri, card.shown.did)}]
        changed: dict[str, int] = {}
        with self._reading() as db:
            for start in range(0, len(whats), _AT_ONCE):
                some = whats[start : start + _AT_ONCE]
                marks = ", ".join("?" * len(some))
                changed.update(db.execute(f"SELECT what, number FROM changes WHERE what IN ({marks})", some).fetchall())
        return {
            uri: card.shown
            for uri, card in known.items()
            if card.position.store == here.store
            and card.configuration == configuration
            and 0 <= here.number - card.position.number <= CHANGES_KEPT // 2  # what is older may have been forgotten
            and max(changed.get(uri, 0), changed.get(card.shown.did, 0)) <= card.position.number
        }

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        try:
            db: sqlite3.Connection | None = getattr(self._threads, "db", None)
            if db is None:
                db = self._threads.db = self._connect()
            yield db
        except sqlite3.Error as error:
            raise translated(error, str(self._path)) from error

    def _connect(self) -> sqlite3.Connection:
        if not self._path.is_file():
            raise StoreError("there is no store", where=str(self._path), hint="catalog crawl makes one")
        # Closed by whichever thread closes the reader.
        db = sqlite3.connect(self._path, timeout=self._patience, isolation_level=None, check_same_thread=False)
        try:
            db.execute("PRAGMA query_only = ON")
            db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.OperationalError as error:
            db.close()
            if not is_unwritable(error):
                raise
            db = open_read_only(self._path)
        application = db.execute("PRAGMA application_id").fetchone()[0]
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if (application, version) != (APPLICATION_ID, SCHEMA_VERSION):
            db.close()
            raise StoreError("not a store of this version", where=str(self._path), hint="catalog crawl brings it up")
        with self._lock:
            self._open.append(db)
        return db


def is_damage(error: StoreError) -> bool:
    """Return whether an error means damage to a part of the file, so that other records can still be read."""
    cause = error.__cause__
    return isinstance(cause, sqlite3.DatabaseError) and not isinstance(cause, sqlite3.OperationalError)


def octets_of(text: str) -> int:
    """Return the length of a text in bytes of UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def _is_large(text: str) -> bool:
    """Return whether lists have only the main fields of this record."""
    return len(text) > WHOLE_CHARACTERS or cost_of(text) > WHOLE_COST


def cost_of(text: str) -> int:
    """Return the cost of decoding JSON in bytes: its length, and 16 for each element of a text that isn't short."""
    if len(text) <= _SHORT:
        return octets_of(text)
    return octets_of(text) + _ELEMENT_COST * (text.count(",") + text.count("[") + text.count("{"))


def _main(parts: list[Json]) -> dict[str, Json]:
    """Return the main fields from the values at their paths, without those that aren't short."""
    found: dict[str, Json] = {}
    for name, part in zip(_MAIN, parts, strict=False):
        if isinstance(part, str) and len(part) <= _LONGEST_MAIN:
            found[name] = part
        elif name == "tags" and isinstance(part, list) and all(isinstance(tag, str) for tag in part):
            found[name] = part if sum(map(len, map(str, part))) <= _LONGEST_MAIN else []
    sizes = {name: part for name, part in zip(_SIZES, parts[len(_MAIN) :], strict=True) if isinstance(part, int)}
    if sizes:
        found["size"] = {**sizes}
    return found


_Row = tuple[str, str, str, int, int, str, str, str | None, str]


def _shown(row: _Row) -> Shown:
    uri, did, cid, draft, verified, first_seen, updated, handle, text = row
    return Shown(
        uri=uri,
        did=did,
        cid=cid,
        draft=bool(draft),
        verified=bool(verified),
        first_seen=datetime.fromisoformat(first_seen),
        updated=datetime.fromisoformat(updated),
        handle=handle,
        text=text,
    )
