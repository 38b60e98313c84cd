"""Keeps the index at the store: builds it, follows the changes, looks now and then whether the two still agree.

::

    no state, another store, too far behind ─▶ rebuild      everything, in one commit: readers see the old until then
    changes after the index's position      ─▶ catch up     a batch a commit
    sources or denied accounts changed      ─▶ check        compares in full, and corrects

- A record is taken out and, when it is visible, put in again: doing that twice is no harm.
- No two records may have one rank (:mod:`catalog.appview.query`): where a rank is taken, the next lower one is.
- A dataset has its schema's name and dtypes; when the schema changes, its datasets are done again.
- A commit is what makes changes visible, and takes ten milliseconds or so: changes are gathered for a moment.
- A record that can't be indexed, whatever its error, is left out and reported; the rest of its batch goes in.
- Records are read one at a time: a batch of large ones would not fit into memory.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import tantivy

from catalog.appview.document import document, facts_of, stamp
from catalog.appview.index import State
from catalog.errors import StoreError, contained
from catalog.records import SCHEMA
from catalog.sanitize import one_line
from catalog.store.reader import Position, is_damage

if TYPE_CHECKING:
    from threading import Event

    from catalog.appview.document import SchemaFacts
    from catalog.appview.index import Index
    from catalog.store.reader import Reader, Shown

GATHER_SECONDS: Final = 0.2
"""Changes that come within this time share a commit."""
LOOK_SECONDS: Final = 0.05
"""Interval of checking the store for commits; a check takes microseconds."""
CHECK_SECONDS: Final = 900.0
"""Interval of full comparisons of index and store: a second or two of one core at 200,000 records."""
_FIRST_CHECK_SECONDS: Final = 30.0
"""After the start, which has more urgent things to do."""
_ANYWAY_SECONDS: Final = 1.0
_BATCH: Final = 2000
_BUILD_HEAP: Final = 200_000_000
_HEAP: Final = 50_000_000
_FACTS_KEPT: Final = 50_000
_PROGRESS: Final = 10_000
MOST_LEFT_OUT: Final = 1000
"""Records that fail and are remembered; each is reported once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """Differences of index and store: records that the index lacked, and surplus ones."""

    missing: int = 0
    surplus: int = 0

    def __bool__(self) -> bool:
        return bool(self.missing or self.surplus)


class Indexer:
    """The one writer of an index; a context manager. Every method may raise :class:`~catalog.errors.StoreError`."""

    def __init__(self, index: Index, reader: Reader) -> None:
        """Raises :class:`~catalog.errors.StoreError` when another process writes this index."""
        self._index = index
        self._reader = reader
        self._writer = index.writer(heap=_HEAP, threads=1)
        self._facts: dict[str, SchemaFacts | None] = {}
        self._ranks: dict[int, str] = {}
        """The ranks of this batch."""
        self.left_out: dict[str, str] = {}
        """By URI why a record isn't indexed; the first :data:`MOST_LEFT_OUT` of them."""
        self._say: Callable[[str], object] = lambda _text: None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let another process write. What wasn't committed is lost, and done again by the next one."""
        if self._writer is not None:
            with suppress(ValueError, RuntimeError):  # one that broke down has nothing to wait for
                self._writer.rollback()
                self._writer.wait_merging_threads()
            self._writer = None

    def follow(
        self,
        stop: Event,
        *,
        progress: Callable[[str], object] | None = None,
        done: Callable[[], object] = lambda: None,
    ) -> None:
        """Keep the index at the store until ``stop``. After an error close this one and go on with a new one.

        ``progress`` is called for a long build, for a record that is left out, and for a :class:`Drift` that a check
        has found and repaired; ``done`` whenever the index is up to date.
        """
        self._say = progress or self._say
        seen, looked = self._reader.commits(), time.monotonic()  # first, lest a commit fall between the two
        checked = looked - CHECK_SECONDS + _FIRST_CHECK_SECONDS
        self.catch_up(progress=progress)
        done()
        while not stop.wait(LOOK_SECONDS):
            commits, begun = self._reader.commits(), time.monotonic()
            if commits != seen or begun - looked > _ANYWAY_SECONDS:
                seen, looked = commits, begun
                if self.catch_up(progress=progress):
                    stop.wait(max(0.0, GATHER_SECONDS - (time.monotonic() - begun)))
                done()
            if time.monotonic() - checked > CHECK_SECONDS:
                self._compare()
                checked = time.monotonic()

    def _compare(self) -> None:
        try:
            drift = self.check()
        except StoreError as error:
            if not is_damage(error):
                raise
            self._say(f"index and store can't be compared: {error}")
            return
        if drift:
            self._say(f"index and store differed: {drift.missing:,} records missing, {drift.surplus:,} too many")

    def catch_up(self, *, progress: Callable[[str], object] | None = None) -> int:
        """Bring the index to where the store is; how many records went in. Builds it where that must be."""
        state = self._index.state()
        here = self._reader.position()
        if state is None or state.position.store != here.store or state.position.number > here.number:
            return self.rebuild(progress=progress)
        done = 0
        number = state.position.number
        while number < here.number:
            changes = self._reader.changes(number, most=_BATCH)
            if changes is None:
                return self.rebuild(progress=progress)
            number = changes[-1][0] if changes else here.number
            done += self._redo(what for _, what in changes)
            self._commit(State(position=Position(store=here.store, number=number), configuration=state.configuration))
        if self._reader.configuration_digest() != state.configuration:
            self.check()
        return done

    def rebuild(self, *, progress: Callable[[str], object] | None = None) -> int:
        """Build it anew from the store; how many records it has. Readers see the old one until it is done."""
        say = progress or (lambda _text: None)
        configuration, here = self._reader.configuration_digest(), self._reader.position()
        self.close()
        self._index.forget_state()
        self._writer = self._index.writer(heap=_BUILD_HEAP, threads=1)
        self._writer.delete_all_documents()
        self._facts.clear()
        taken: set[int] = set()
        count = 0
        self.left_out.clear()
        for shown in self._everything():
            found = self._document(shown)
            if found is None:
                continue
            while found["rank"] in taken:
                found["rank"] -= 1
            taken.add(found["rank"])
            count += self._put(found)
            if count and count % _PROGRESS == 0:
                say(f"{count:,} records indexed")
        # What was committed to the store since `here` is in the changes, or was read already, or both.
        self._commit(State(position=here, configuration=configuration))
        self.close()
        self._writer = self._index.writer(heap=_HEAP, threads=1)
        return count

    def check(self) -> Drift:
        """Compare index and store in full, and correct the index. Best when nothing is behind."""
        here, configuration = self._reader.position(), self._reader.configuration_digest()
        wanted = {stamp(trace): trace.uri for trace in self._reader.traces()}
        searcher = self._index.searcher()
        held = dict(searcher.terms_with_prefix("stamp", "", tantivy.Query.all_query()))
        surplus = [found for found in held if found not in wanted]
        for found in surplus:
            self._writer.delete_documents_by_term("stamp", found)
        missing = self._redo(uri for found, uri in wanted.items() if found not in held)
        doubled = self._redo(wanted[found] for found, times in held.items() if times > 1 and found in wanted)
        self._commit(State(position=here, configuration=configuration))
        return Drift(missing=missing, surplus=len(surplus) + doubled)

    def _redo(self, changed: Iterable[str]) -> int:
        """Do these records, and all of these accounts, anew; how many went in."""
        uris = {*self._records(changed)}
        for uri in uris:
            self._facts.pop(uri, None)
        for schema in [uri for uri in uris if f"/{SCHEMA}/" in uri]:
            uris.update(self._referring(schema))
        done = 0
        wanted = sorted(uris)
        for start in range(0, len(wanted), _BATCH):
            some = wanted[start : start + _BATCH]
            for uri in some:
                self._writer.delete_documents_by_term("uri", uri)
                self.left_out.pop(uri, None)
            done += sum(self._add(shown) for shown in self._each(some))
        return done

    def _each(self, uris: Sequence[str]) -> Iterator[Shown]:
        """The visible ones of these records, one at a time; those whose part of the store is damaged are left out."""
        given: set[str] = set()
        try:
            for shown in self._reader.each(uris):
                given.add(shown.uri)
                yield shown
        except StoreError as error:
            yield from self._one_by_one((uri for uri in uris if uri not in given), error)

    def _everything(self) -> Iterator[Shown]:
        last = ""
        try:
            for shown in self._reader.everything():
                last = shown.uri
                yield shown
        except StoreError as error:
            yield from self._one_by_one((uri for uri in self._reader.uris() if uri > last), error)

    def _one_by_one(self, uris: Iterable[str], error: StoreError) -> Iterator[Shown]:
        """Each record by itself after ``error``. Raises it anew where that isn't a matter of single records."""
        if not is_damage(error):
            raise error
        for uri in uris:
            try:
                found = self._reader.shown([uri]).get(uri)
            except StoreError as one:
                if not is_damage(one):
                    raise
                self._leave_out(uri, one)
                continue
            if found is not None:
                yield found

    def _document(self, shown: Shown) -> dict[str, Any] | None:
        """Return the document of a record; None if there is none, or it fails."""
        try:
            return document(shown, self._schema)
        except Exception as error:
            if isinstance(error, StoreError) and not is_damage(error):
                raise
            self._leave_out(shown.uri, error)
            return None

    def _leave_out(self, uri: str, error: Exception) -> None:
        reason = one_line(str(contained(error)))
        if uri in self.left_out or len(self.left_out) >= MOST_LEFT_OUT:
            return
        self.left_out[uri] = reason
        self._say(f"left out {one_line(uri)}: {reason}")

    def _records(self, changed: Iterable[str]) -> Iterator[str]:
        for what in changed:
            if what.startswith("did:"):
                yield from self._reader.uris_of(what)
            else:
                yield what

    def _referring(self, schema: str) -> Iterator[str]:
        """The records in the index that have something of this schema."""
        searcher = self._index.searcher()
        for field in ("schema", "source", "target"):
            query = tantivy.Query.term_query(self._index.schema, field, schema, "basic")
            for _, address in searcher.search(query, limit=max(1, searcher.num_docs), count=False).hits:
                yield searcher.doc(address)["uri"][0]

    def _add(self, shown: Shown) -> bool:
        found = self._document(shown)
        if found is None:
            return False
        while self._is_taken(found["rank"], shown.uri):
            found["rank"] -= 1
        self._ranks[found["rank"]] = shown.uri
        return self._put(found)

    def _put(self, found: dict[str, Any]) -> bool:
        try:
            self._writer.add_json(json.dumps(found, ensure_ascii=False).encode(errors="replace").decode())
        except Exception as error:  # noqa: BLE001 - a record that no index takes; a broken writer fails again on commit
            self._leave_out(found["uri"], error)
            return False
        return True

    def _is_taken(self, rank: int, uri: str) -> bool:
        if rank in self._ranks:
            return self._ranks[rank] != uri
        searcher = self._index.searcher()
        query = tantivy.Query.term_query(self._index.schema, "rank", rank, "basic")
        hits = searcher.search(query, limit=2, count=False).hits
        return any(searcher.doc(address)["uri"][0] != uri for _, address in hits)

    def _schema(self, uri: str) -> SchemaFacts | None:
        if uri not in self._facts:
            if len(self._facts) >= _FACTS_KEPT:
                self._facts.clear()
            self._facts[uri] = self._facts_of(uri)
        return self._facts[uri]

    def _facts_of(self, uri: str) -> SchemaFacts | None:
        """The facts of a schema; None where there are none, also because it fails: datasets don't suffer for it."""
        try:
            return facts_of(self._reader.shown([uri]).get(uri))
        except Exception as error:
            if isinstance(error, StoreError) and not is_damage(error):
                raise
            return None

    def _commit(self, state: State) -> None:
        try:
            self._writer.commit()
        except (OSError, ValueError, RuntimeError) as error:
            hint = "is the disk full? Start again: it goes on from the last commit"
            raise StoreError(f"the index can't be written: {error}", where=str(self._index.folder), hint=hint) from None
        self._ranks.clear()
        self._index.put_state(state)
