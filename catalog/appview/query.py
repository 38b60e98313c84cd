"""Queries to the index, and pages of results whose order depends only on query and record.

::

    levels     whole name ▸ all words in the name ▸ in name or tags ▸ some in the name ▸ some in the tags ▸ anywhere
               ▸ the same with prefixes and misspellings
    in each    by rank: newest first
    cursor     1.<digest of the question>.<how each word is read>.<level>.<rank>

Why not BM25: its scores move when any record comes or goes, so a page's end would be at another place when the next
page is asked for, and results between the two would be lost or doubled (an index that others run loses 96 of 100 that
way). A snapshot kept for each reader would have to be kept in each process, and die with it. Levels are what was
wanted, names above tags above descriptions with freshness between equals, and they are a total order: level and rank
of a record are the same whatever else is indexed, and no two records have one rank
(:meth:`catalog.appview.indexer.Indexer`). A page is what follows a place in that order, so that following the cursor
meets each record that was there all the time exactly once.

*Tricky bits.*

- The mode of a word (exact, prefix, or loose: prefixes and misspellings) depends on whether the index
  has it. That is decided once, and the cursor has it.
- A record that changes meanwhile may move: it is then listed at its place at the time that page is read.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import tantivy

from catalog.appview.document import RANK_BITS, SEARCHED
from catalog.errors import InvalidSyntax
from catalog.records import KINDS
from catalog.store.tokenizer import fold, tokenize

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from catalog.appview.index import Index

__all__ = ["Asked", "Filters", "Page", "ask", "slips_allowed"]

MOST_WORDS: Final = 12
"""Words of a question that count."""
MOST_READ_LOOSELY: Final = 4
"""Of them those that may be prefixes or misspelt: each is a walk through all words there are."""
_CURSOR: Final = re.compile(r"1\.([0-9a-f]{12})\.([epx]*)\.([0-9])\.([0-9a-f]{1,16})")
_EXACT, _PREFIX, _LOOSE = "e", "p", "x"
_MUST, _SHOULD, _NOT = tantivy.Occur.Must, tantivy.Occur.Should, tantivy.Occur.MustNot
_HIGHEST: Final = 2**64 - 1
_NEAR_SECONDS: Final = 7 * 86_400
"""The span below the end of a page that is searched first for the next one."""
_UNSIGNED: Final = tantivy.FieldType.Unsigned
_DESC: Final = tantivy.Order.Desc
_Level: TypeAlias = "list[tuple[tantivy.Occur, tantivy.Query]]"
"""The clauses of a level."""
_SLIPS: Final = ((8, 2), (4, 1), (0, 0))
"""From so many letters on, so many of them may be wrong."""
_MOST_SLIPS: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """The filters of a query; those that are None or empty don't apply.

    ``kinds``: any of them. ``tags``: all of them, as they are written. ``licence``: whatever its case. ``key``: a
    schema's name or record key, a label's name. ``ref``: the dataset of a label, the lens of a verification.
    ``size`` in bytes and ``made`` in seconds since 1970: from, to, both included.
    """

    kinds: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    licence: str | None = None
    did: str | None = None
    schema: str | None = None
    dtype: str | None = None
    state: str | None = None
    source: str | None = None
    target: str | None = None
    key: str | None = None
    ref: str | None = None
    size: tuple[int | None, int | None] = (None, None)
    made: tuple[int | None, int | None] = (None, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The URIs of a page, best first, and the cursor of the next one, None at the end."""

    uris: tuple[str, ...]
    cursor: str | None
    places: tuple[tuple[int, int], ...]
    """Level and rank of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question put to one state of the index."""

    searcher: tantivy.Searcher
    schema: tantivy.Schema
    whole: str
    """All of the question's words, as they stand there."""
    words: tuple[str, ...]
    modes: str
    """The mode in which each word is matched."""
    hopeless: bool
    """Something was asked for, but there is no word in it."""
    filters: Filters
    digest: str
    start: tuple[int, int] | None
    """Level and rank of the last record of the page before."""

    def page(self, limit: int) -> Page:
        """So many records after the cursor's place."""
        found: list[tuple[int, int, tantivy.DocAddress]] = []
        first, bound = self.start or (0, None)
        for number, level in enumerate(self._levels()):
            if number < first:
                continue
            hits = self._newest(level, bound if number == first else None, limit + 1 - len(found))
            found += [(number, rank, address) for rank, address in hits]
            if len(found) > limit:
                break
        uris = tuple(self.searcher.doc(address)["uri"][0] for _, _, address in found[:limit])
        places = tuple((number, rank) for number, rank, _ in found[:limit])
        return Page(uris=uris, cursor=None if len(found) <= limit else self.cursor(places[-1]), places=places)

    def cursor(self, place: tuple[int, int]) -> str:
        """The cursor of what follows a place."""
        number, rank = place
        return f"1.{self.digest}.{self.modes}.{number}.{rank:x}"

    def _newest(self, level: _Level, bound: int | None, most: int) -> list[tuple[int, tantivy.DocAddress]]:
        """Return so many records of a level, by rank; with ``bound`` only those below it.

        The next ones are most often close below, so a narrow range is searched first: a tenth of the time.
        """
        if bound is None:
            return self._by_rank(self._within(level), most)
        near = bound - (_NEAR_SECONDS << RANK_BITS)
        if near <= 0:
            return self._by_rank(self._within(level, (None, bound - 1)), most)
        found = self._by_rank(self._within(level, (near, bound - 1)), most)
        if len(found) < most:
            found += self._by_rank(self._within(level, (None, near - 1)), most - len(found))
        return found

    def _by_rank(self, query: tantivy.Query, most: int) -> list[tuple[int, tantivy.DocAddress]]:
        found = self.searcher.search(query, limit=most, count=False, order_by_field="rank", order=_DESC)
        hits: list[tuple[int, tantivy.DocAddress]] = found.hits
        return hits

    @property
    def loose(self) -> tuple[str, ...]:
        """The words that the index doesn't know, and that are read as others that are like them."""
        return tuple(word for word, mode in zip(self.words, self.modes, strict=True) if mode == _LOOSE)

    def count(self) -> int:
        """Return the total number of records."""
        found = self.searcher.search(self._within([(_MUST, self._broadest())]), limit=1, count=True)
        return int(found.count)

    def facets(self, wanted: dict[str, dict[str, Any]]) -> dict[str, Any]:
        """Tantivy's aggregations over all of them."""
        found: dict[str, Any] = self.searcher.aggregate(self._within([(_MUST, self._broadest())]), wanted)
        return found

    # --- levels ----------------------------------------------------------------------------------------------------

    def _levels(self) -> Iterator[_Level]:
        if not self.words:
            yield [(_MUST, self._broadest())]
            return
        anywhere = self._all(lambda word: self._term("words", word))
        if _LOOSE not in self.modes:
            yield from self._exact_levels(anywhere)
        if set(self.modes) != {_EXACT}:
            # What the exact levels had is not to come again; where there were none, nothing was had.
            had = [] if _LOOSE in self.modes else [(_NOT, anywhere)]
            for slips in range(1, self._slips() + 1):
                before: _Level = []
                for fields in (("name",), ("name", "tag_words"), ("words", "name", "tag_words")):
                    level = self._meant_in(fields, slips)
                    yield [(_MUST, level), *had, *before]
                    before = [(_NOT, level)]
                had = before

    def _exact_levels(self, anywhere: tantivy.Query) -> Iterator[_Level]:
        whole = self._term("whole", self.whole)
        in_name = [self._term("name", word) for word in self.words]
        in_tags = [self._term("tag_words", word) for word in self.words]
        name = _all(in_name)
        either = _all([_any(pair) for pair in zip(in_name, in_tags, strict=True)])
        yield [(_MUST, whole)]
        yield [(_MUST, name), (_NOT, whole)]
        yield [(_MUST, either), (_NOT, name)]
        if len(self.words) > 1:
            yield [(_MUST, anywhere), (_MUST, _any(in_name)), (_NOT, either)]
            yield [(_MUST, anywhere), (_MUST, _any(in_tags)), (_NOT, _any(in_name)), (_NOT, either)]
        yield [(_MUST, anywhere), (_NOT, _any(in_name)), (_NOT, _any(in_tags))]

    def _broadest(self) -> tantivy.Query:
        if not self.words:
            return tantivy.Query.empty_query() if self.hopeless else tantivy.Query.all_query()
        return self._meant_in(("words", "name", "tag_words"), _MOST_SLIPS)

    def _all(self, clause: Callable[[str], tantivy.Query]) -> tantivy.Query:
        return _all([clause(word) for word in self.words])

    def _slips(self) -> int:
        """Return the largest allowed edit distance of the words; at least 1, for prefixes."""
        return max([1, *map(slips_allowed, self.loose)])

    def _meant_in(self, fields: Sequence[str], slips: int) -> tantivy.Query:
        read = zip(self.words, self.modes, strict=True)
        return _all([self._meant(fields, word, mode, slips) for word, mode in read])

    def _meant(self, fields: Sequence[str], word: str, mode: str, slips: int) -> tantivy.Query:
        """The word in one of the fields, as it is to be read. Only in names and tags may letters be wrong."""
        if mode == _EXACT:
            return _any([self._term(field, word) for field in (("words",) if "words" in fields else fields)])
        fuzzy = tantivy.Query.fuzzy_term_query
        clauses = [fuzzy(self.schema, field, word, distance=0, prefix=True) for field in fields]
        distance = min(slips, slips_allowed(word)) if mode == _LOOSE else 0
        if distance:
            clauses += [fuzzy(self.schema, field, word, distance=distance) for field in fields if field != "words"]
        return _any(clauses)

    # --- filters ---------------------------------------------------------------------------------------------------

    def _within(self, level: _Level, ranks: tuple[int | None, int] | None = None) -> tantivy.Query:
        clauses = [*level, *self._kinds(), *((_MUST, clause) for clause in self._filters())]
        if ranks is not None:
            clauses.append((_MUST, self._range("rank", *ranks)))
        if len(clauses) == 1:
            return clauses[0][1]
        return tantivy.Query.boolean_query(clauses)

    def _kinds(self) -> Iterator[tuple[tantivy.Occur, tantivy.Query]]:
        """The few others are left out: a fifth of the work of letting the many in. And they have no words."""
        kinds = set(self.filters.kinds) or set(KINDS.values())
        others = [] if self.words else [kind for kind in KINDS.values() if kind not in SEARCHED]
        if kinds.issuperset(SEARCHED):
            yield from ((_NOT, self._term("kind", kind)) for kind in others if kind not in kinds)
        else:
            yield (_MUST, _any([self._term("kind", kind) for kind in sorted(kinds)]))

    def _filters(self) -> Iterator[tantivy.Query]:
        filters = self.filters
        for tag in filters.tags:
            yield self._term("tag", tag)
        if filters.licence is not None:
            yield self._term("licence_folded", fold(filters.licence.strip()))
        for field in ("did", "schema", "dtype", "state", "source", "target", "key", "ref"):
            value = getattr(filters, field)
            if value is not None:
                yield self._term(field, value)
        if filters.size != (None, None):
            yield self._range("size", *filters.size)
        if filters.made != (None, None):
            first, last = filters.made
            lower = None if first is None else first << RANK_BITS
            yield self._range("rank", lower, None if last is None else (last + 1 << RANK_BITS) - 1)

    def _term(self, field: str, value: str) -> tantivy.Query:
        try:
            value.encode()
        except UnicodeEncodeError:  # half a character: nothing is called so
            return tantivy.Query.empty_query()
        return tantivy.Query.term_query(self.schema, field, value, "basic")

    def _range(self, field: str, lower: int | None, upper: int | None) -> tantivy.Query:
        first, last = max(0, lower or 0), _HIGHEST if upper is None else min(upper, _HIGHEST)
        if first > last:
            return tantivy.Query.empty_query()
        return tantivy.Query.range_query(self.schema, field, _UNSIGNED, first, last)


def ask(index: Index, text: str, filters: Filters, cursor: str | None = None) -> Asked:
    """Return a query. Every word of ``text`` must match; ``word*`` matches all that begin so, an empty text or ``*``
    everything.

    Raises :class:`~catalog.errors.InvalidSyntax` for a cursor that isn't one of this question.
    """
    searcher = index.searcher()
    words, wished = _read(text)
    digest = hashlib.sha256(repr((text.split(), astuple(filters))).encode()).hexdigest()[:12]
    start = None
    if cursor is None:
        modes = _modes(words, wished, searcher)
    else:
        modes, start = _place(cursor, digest, wished)
    return Asked(
        searcher=searcher,
        schema=index.schema,
        whole=" ".join(tokenize(text)),
        words=words,
        modes=modes,
        hopeless=not words and bool(text.strip(" *")),
        filters=filters,
        digest=digest,
        start=start,
    )


def _modes(words: Sequence[str], wished: str, searcher: tantivy.Searcher) -> str:
    """Return the mode of each word: as in the query, or loose when the index doesn't have it."""
    modes = ""
    for word, mode in zip(words, wished, strict=True):
        read = mode if mode == _PREFIX or searcher.doc_freq("words", word) else _LOOSE
        modes += _EXACT if len(modes.replace(_EXACT, "")) >= MOST_READ_LOOSELY else read
    return modes


def _read(text: str) -> tuple[tuple[str, ...], str]:
    """The words of a question, each once, and which of them are prefixes."""
    found: dict[str, str] = {}
    for chunk in text.split():
        cut = tokenize(chunk)
        for at, word in enumerate(cut):
            last = at == len(cut) - 1 and chunk.endswith("*")
            found.setdefault(word, _PREFIX if last else _EXACT)
    some = [*found.items()][:MOST_WORDS]
    stars = [at for at, (_, mode) in enumerate(some) if mode == _PREFIX]
    for at in stars[MOST_READ_LOOSELY:]:
        some[at] = some[at][0], _EXACT
    return tuple(word for word, _ in some), "".join(mode for _, mode in some)


def _place(cursor: str, digest: str, wished: str) -> tuple[str, tuple[int, int]]:
    match = _CURSOR.fullmatch(cursor)
    hint = "ask anew without a cursor"
    if match is None:
        raise InvalidSyntax("this is not a cursor of ours", where="cursor", hint=hint)
    modes = match[2]
    prefixes = [[letter == _PREFIX for letter in each] for each in (modes, wished)]
    kept = prefixes[0] == prefixes[1]
    if match[1] != digest or not kept:
        raise InvalidSyntax("this is the cursor of another question", where="cursor", hint=hint)
    rank = int(match[4], 16)
    if not 0 < rank < 2**64:
        raise InvalidSyntax("this is not a cursor of ours", where="cursor", hint=hint)
    return modes, (int(match[3]), rank)


def slips_allowed(word: str) -> int:
    """Return the edit distance that is allowed for a word."""
    return next(allowed for letters, allowed in _SLIPS if len(word) >= letters)


def _all(clauses: Sequence[tantivy.Query]) -> tantivy.Query:
    return clauses[0] if len(clauses) == 1 else tantivy.Query.boolean_query([(_MUST, each) for each in clauses])


def _any(clauses: Sequence[tantivy.Query]) -> tantivy.Query:
    return clauses[0] if len(clauses) == 1 else tantivy.Query.boolean_query([(_SHOULD, each) for each in clauses])
