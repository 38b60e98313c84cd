"""Queries to the index, and pages of results whose order depends only on query and record.

::

    parts      all words ▸ most of the words, the weightiest first
    in each    by the highest cost of a word, then by the lowest (:mod:`catalog.store.matching`), then newest first
    cursor     2.<digest of the query>.<mode of each word>.<parts>.<part>.<highest cost>.<lowest>.<rank>

Why not BM25: its scores move when any record comes or goes, so a page's end would be at another place when the next
page is asked for, and results between the two would be lost or doubled (an index that others run loses 96 of 100 that
way). A snapshot kept for each reader would have to be kept in each process, and die with it. Costs are a total order:
costs and rank of a record are the same whatever else is indexed, and no two records have one rank
(:meth:`catalog.appview.indexer.Indexer`). A page is what follows a place in that order, so that following the cursor
meets each record that was there all the time exactly once.

*Tricky bits.*

- Few matches are scored: each word adds a digit that encodes its cost, and all are sorted here. Many matches are
  enumerated: a query for each pair of costs, in their order, until the page is full.
- The mode of a word (exact, open, or loose) and the parts depend on what the index has. They are decided once, and the
  cursor has them.
- A record that changes meanwhile may move: it is then listed at its place at the time that page is read.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import astuple, dataclass, replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import tantivy

from catalog.appview.document import RANK_BITS, SEARCHED
from catalog.errors import InvalidSyntax
from catalog.records import KINDS
from catalog.store.facet_values import DERIVED
from catalog.store.matching import (
    FEW,
    LAST_RESORT_COST,
    MOST_WORDS,
    PARTIAL_COST,
    cost,
    distance,
    parts_kept,
    plan,
    question,
)
from catalog.store.searchable import LEVELS
from catalog.store.tokenizer import fold

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from catalog.appview.index import Index
    from catalog.store.matching import Plan, Wanted

_CURSOR: Final = re.compile(
    r"2\.([0-9a-f]{12})\.([epx]{0,8})\.([0-9a-f]{0,2}(?:-[0-9a-f]{1,2}){0,12})\.([0-9]{1,2})\.([0-9]{1,2})\.([0-9]{1,2})"
    r"\.([0-9a-f]{1,16})"
)
_EXACT, _OPEN, _LOOSE = "e", "p", "x"
_MUST, _SHOULD, _NOT = tantivy.Occur.Must, tantivy.Occur.Should, tantivy.Occur.MustNot
_HIGHEST: Final = 2**64 - 1
_NEAR_SECONDS: Final = 7 * 86_400
"""The span below the end of a page that is searched first for the next one."""
_UNSIGNED: Final = tantivy.FieldType.Unsigned
_DESC: Final = tantivy.Order.Desc
_SCORED: Final = 2000
"""Matches that are scored and sorted; more are enumerated."""
_DIGIT: Final = 64
_DIGITS: Final = 4
"""Costs in one score: a float has 24 bits."""
_ANY_COST: Final = _DIGIT - 1
_SIMILAR_READ: Final = 200
"""Records whose names and tags are read for words of similar spelling."""
_Clause: TypeAlias = "tuple[tantivy.Occur, tantivy.Query]"
_Place: TypeAlias = tuple[int, int, int, int]
"""Part, highest and lowest cost, and rank of a record."""


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
    task: str | None = None
    modality: str | None = None
    language: str | None = None
    format: str | None = None
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
    places: tuple[_Place, ...]


class _Vocabulary:
    """The terms of a commit."""

    def __init__(self, index: Index, searcher: tantivy.Searcher) -> None:
        self._searcher, self._schema = searcher, index.schema
        self._beginnings = index.beginnings

    @property
    def total(self) -> int:
        return int(self._searcher.num_docs)

    def count(self, term: str) -> int:
        return int(self._searcher.doc_freq("words", term)) if _is_text(term) else 0

    def beginning(self, start: str) -> list[tuple[str, int]]:
        found = self._beginnings.get(start)
        if found is None:
            found = self._searcher.terms_with_prefix("words", start, None, None) if _is_text(start) else []
            self._beginnings.put(start, found)
        return found

    def similar(self, word: str, slips: int) -> list[tuple[str, int]]:
        query = tantivy.Query.fuzzy_term_query(self._schema, "spelling", word, distance=slips)
        found = self._searcher.search(query, limit=_SIMILAR_READ, count=False, order_by_field="rank", order=_DESC)
        terms = {term for _, address in found.hits for term in self._searcher.doc(address)["spelling"][0].split(" ")}
        near = {word[:1], word[1:2]}
        return [
            (term, int(self._searcher.doc_freq("spelling", term)))
            for term in terms
            if not near.isdisjoint((term[:1], term[1:2])) and distance(word, term, slips) <= slips
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question put to one state of the index."""

    searcher: tantivy.Searcher
    schema: tantivy.Schema
    plan: Plan
    modes: str
    """The mode in which each word is matched."""
    parts: tuple[tuple[int, ...], ...]
    """The words that may be found without the others, if few records have all."""
    limit: int
    """The highest cost of a record with half of the words or less."""
    hopeless: bool
    """Something was asked for, but there is no word in it."""
    filters: Filters
    digest: str
    start: _Place | None
    """The place of the last record of the page before."""

    def page(self, limit: int) -> Page:
        """So many records after the cursor's place."""
        found: list[tuple[_Place, tantivy.DocAddress]] = []
        for number in range(self.start[0] if self.start else 0, len(self.parts) + 1):
            start = self.start if self.start and self.start[0] == number else None
            found += self._of_part(number, start, limit + 1 - len(found))
            if len(found) > limit:
                break
        uris = tuple(self.searcher.doc(address)["uri"][0] for _, address in found[:limit])
        places = tuple(place for place, _ in found[:limit])
        return Page(uris=uris, cursor=None if len(found) <= limit else self.cursor(places[-1]), places=places)

    def cursor(self, place: _Place) -> str:
        """The cursor of what follows a place."""
        part, worst, best, rank = place
        masks = "-".join(f"{sum(1 << word for word in kept):x}" for kept in self.parts)
        return f"2.{self.digest}.{self.modes}.{masks}.{part}.{worst}.{best}.{rank:x}"

    @property
    def loose(self) -> tuple[str, ...]:
        """The words that the index doesn't know, and that are read as others that are like them."""
        return self.plan.loose

    @property
    def dropped(self) -> tuple[str, ...]:
        """The words that the last results may lack."""
        used = [kept for number, kept in enumerate(self.parts, 1) if self._count(self._clauses_of(number))]
        words = enumerate(self.plan.words)
        return tuple(word.text for place, word in words if any(place not in kept for kept in used))

    def full(self) -> int:
        """Return the number of records with every word."""
        return self._count(self._clauses_of(0))

    def count(self) -> int:
        """Return the total number of records."""
        return self._count([(_MUST, self._everything())])

    def facets(self, wanted: dict[str, dict[str, Any]]) -> dict[str, Any]:
        """Tantivy's aggregations over all of them."""
        found: dict[str, Any] = self.searcher.aggregate(self._within([(_MUST, self._everything())]), wanted)
        return found

    def _count(self, clauses: Sequence[_Clause]) -> int:
        return int(self.searcher.search(self._within(clauses), limit=1, count=True).count)

    # --- parts -----------------------------------------------------------------------------------------------------

    def _of_part(self, number: int, start: _Place | None, most: int) -> list[tuple[_Place, tantivy.DocAddress]]:
        """Return the first records of a part after a place, in their order."""
        clauses = self._clauses_of(number)
        if not self.plan.words:
            hits = self._newest(clauses, None if start is None else start[3], most)
            return [((number, 0, 0, rank), address) for rank, address in hits]
        words = self._words_of(number)
        query = self._within(clauses)
        found = self.searcher.search(query, limit=_SCORED + 1, count=False, order_by_field="rank", order=_DESC)
        ranks = [(rank, address) for rank, address in found.hits]
        if len(ranks) <= _SCORED:
            return self._scored(number, words, ranks, start)[:most]
        return self._enumerated(number, words, clauses, start, most)

    def _words_of(self, number: int) -> list[Wanted]:
        return [self.plan.words[place] for place in self.parts[number - 1]] if number else [*self.plan.words]

    def _most_of(self, number: int) -> int:
        """Return the highest cost of a part's records."""
        half = number > 0 and 2 * len(self.parts[number - 1]) <= len(self.plan.words)
        return self.limit if half else _ANY_COST

    def _clauses_of(self, number: int) -> list[_Clause]:
        """Return the clauses of a part: its words, and none of the parts before."""
        clauses: list[_Clause] = [(_MUST, self._part(number))]
        return clauses + [(_NOT, self._part(before)) for before in range(number)]

    def _part(self, number: int) -> tantivy.Query:
        if not self.plan.words:
            return tantivy.Query.empty_query() if self.hopeless else tantivy.Query.all_query()
        most = self._most_of(number)
        return _all([self._word(word, most) for word in self._words_of(number)])

    def _everything(self) -> tantivy.Query:
        """All that matches."""
        return _any([self._part(number) for number in range(len(self.parts) + 1)])

    def _scored(
        self, number: int, words: Sequence[Wanted], ranks: list[tuple[int, tantivy.DocAddress]], start: _Place | None
    ) -> list[tuple[_Place, tantivy.DocAddress]]:
        """Return all records of a part after a place: their costs are read from scores."""
        if not ranks:
            return []
        clauses = self._clauses_of(number)
        costs: dict[tuple[int, int], list[int]] = {}
        for first in range(0, len(words), _DIGITS):
            digits = words[first : first + _DIGITS]
            scored: list[_Clause] = [(_MUST, self._costs(word, _DIGIT**place)) for place, word in enumerate(digits)]
            silent = tantivy.Query.const_score_query(self._within(clauses), 0.0)
            query = tantivy.Query.boolean_query([*scored, (_MUST, silent)])
            for score, address in self.searcher.search(query, limit=len(ranks), count=False).hits:
                rest, own = int(score), costs.setdefault(_key(address), [])
                for _ in digits:
                    rest, digit = divmod(rest, _DIGIT)
                    own.append(_ANY_COST - digit)
        found = []
        for rank, address in ranks:
            each = costs[_key(address)]
            found.append(((number, max(each), min(each), rank), address))
        found.sort(key=lambda one: _order(one[0]))
        return found if start is None else [one for one in found if _order(one[0]) > _order(start)]

    def _enumerated(
        self, number: int, words: Sequence[Wanted], clauses: list[_Clause], start: _Place | None, most: int
    ) -> list[tuple[_Place, tantivy.DocAddress]]:
        """Return the first records of a part after a place: one query for each pair of costs that has records."""
        found: list[tuple[_Place, tantivy.DocAddress]] = []
        costs = sorted({value for word in words for value in _costs_of(word)})
        for before, worst in zip([-1, *costs], costs, strict=False):
            if start is not None and worst < start[1]:
                continue
            class_ = [*clauses, (_MUST, _all([self._word(word, worst) for word in words]))]
            if before >= 0:
                class_.append((_NOT, _all([self._word(word, before) for word in words])))
            inner = [value for value in costs if value <= worst] if len(words) > 1 else [worst]
            if len(inner) > 1 and not self._count(class_):
                continue
            for lower, best in zip([-1, *inner], inner, strict=False):
                same = start is not None and worst == start[1]
                if same and start is not None and best < start[2]:
                    continue
                pair = [*class_]
                if len(words) > 1:
                    pair.append((_MUST, _any([self._word(word, best) for word in words])))
                    if lower >= 0:
                        pair.append((_NOT, _any([self._word(word, lower) for word in words])))
                bound = start[3] if same and start is not None and best == start[2] else None
                hits = self._newest(pair, bound, most - len(found))
                found += [((number, worst, best, rank), address) for rank, address in hits]
                if len(found) >= most:
                    return found
        return found

    # --- words -----------------------------------------------------------------------------------------------------

    def _word(self, word: Wanted, most: int) -> tantivy.Query:
        """The records that have a word at this cost or a lower one."""
        return _any([_all([self._group(group, most) for group in way]) for way in word.ways])

    def _group(self, group: dict[str, int], most: int) -> tantivy.Query:
        clauses = []
        for term, step in group.items():
            levels = [level for level in range(LEVELS) if cost(level, step) <= most]
            if len(levels) == LEVELS:
                clauses.append(self._term("words", term))
            else:
                clauses += [self._term(f"l{level}", term) for level in levels]
        return _any(clauses)

    def _costs(self, word: Wanted, weight: int) -> tantivy.Query:
        """The records that have a word, scored by its cost: the lower, the higher."""
        scored = []
        for way in word.ways:
            if len(way) == 1:
                by_cost: dict[int, list[tantivy.Query]] = {}
                for term, step in way[0].items():
                    for level in range(LEVELS):
                        by_cost.setdefault(cost(level, step), []).append(self._term(f"l{level}", term))
                classes = {value: _any(terms) for value, terms in by_cost.items()}
            else:
                classes = {
                    value: _all([self._group(group, value) for group in way]) for value in sorted(_costs_of(word))
                }
            scored += [
                tantivy.Query.const_score_query(query, float((_ANY_COST - value) * weight))
                for value, query in classes.items()
            ]
        return tantivy.Query.disjunction_max_query(scored) if scored else tantivy.Query.empty_query()

    def _newest(self, clauses: Sequence[_Clause], bound: int | None, most: int) -> list[tuple[int, tantivy.DocAddress]]:
        """The first so many records, by rank; with ``bound`` only those below it.

        The next ones are most often close below, so a narrow range is searched first: a tenth of the time.
        """
        if bound is None:
            return self._by_rank(self._within(clauses), most)
        near = bound - (_NEAR_SECONDS << RANK_BITS)
        if near <= 0:
            return self._by_rank(self._within(clauses, (None, bound - 1)), most)
        found = self._by_rank(self._within(clauses, (near, bound - 1)), most)
        if len(found) < most:
            found += self._by_rank(self._within(clauses, (None, near - 1)), most - len(found))
        return found

    def _by_rank(self, query: tantivy.Query, most: int) -> list[tuple[int, tantivy.DocAddress]]:
        found = self.searcher.search(query, limit=most, count=False, order_by_field="rank", order=_DESC)
        hits: list[tuple[int, tantivy.DocAddress]] = found.hits
        return hits

    # --- filters ---------------------------------------------------------------------------------------------------

    def _within(self, clauses_: Sequence[_Clause], ranks: tuple[int | None, int] | None = None) -> tantivy.Query:
        clauses = [*clauses_, *self._kinds(), *((_MUST, clause) for clause in self._filters())]
        if ranks is not None:
            clauses.append((_MUST, self._range("rank", *ranks)))
        if len(clauses) == 1:
            return clauses[0][1]
        return tantivy.Query.boolean_query(clauses)

    def _kinds(self) -> Iterator[tuple[tantivy.Occur, tantivy.Query]]:
        """The few others are left out: a fifth of the work of letting the many in. And they have no words."""
        kinds = set(self.filters.kinds) or set(KINDS.values())
        others = [] if self.plan.words else [kind for kind in KINDS.values() if kind not in SEARCHED]
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
        for field in ("did", "schema", "dtype", "state", "source", "target", "key", "ref", *DERIVED):
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
        if not _is_text(value):
            return tantivy.Query.empty_query()
        return tantivy.Query.term_query(self.schema, field, value, "basic")

    def _range(self, field: str, lower: int | None, upper: int | None) -> tantivy.Query:
        first, last = max(0, lower or 0), _HIGHEST if upper is None else min(upper, _HIGHEST)
        if first > last:
            return tantivy.Query.empty_query()
        return tantivy.Query.range_query(self.schema, field, _UNSIGNED, first, last)


def ask(index: Index, text: str, filters: Filters, cursor: str | None = None) -> Asked:
    """Return a query. ``word*`` matches all that begin so, an empty text or ``*`` everything.

    Raises :class:`~catalog.errors.InvalidSyntax` for a cursor that isn't one of this question.
    """
    searcher = index.searcher()
    words = question(text)
    digest = hashlib.sha256(repr((text.split(), astuple(filters))).encode()).hexdigest()[:12]
    place, modes, parts = (None, None, None) if cursor is None else _read_cursor(cursor, digest)
    loose = None if modes is None else [mode == _LOOSE for mode in modes]
    planned = plan(words, _Vocabulary(index, searcher), loose=loose)
    asked = Asked(
        searcher=searcher, schema=index.schema, plan=planned, modes=modes or _modes(planned), parts=parts or (),
        limit=PARTIAL_COST, hopeless=not words and bool(text.strip(" *")), filters=filters, digest=digest, start=place,
    )  # fmt: skip
    if parts is None:
        return _with_parts(asked)
    if any(word >= len(planned.words) for kept in parts for word in kept) or len(asked.modes) != len(planned.words):
        raise InvalidSyntax("this is the cursor of another question", where="cursor", hint=_ANEW)
    return replace(asked, limit=PARTIAL_COST if _has_partial(asked) else LAST_RESORT_COST)


_ANEW: Final = "ask anew without a cursor"


def _with_parts(asked: Asked) -> Asked:
    """Decide whether records with most of the words are results, too. Filters don't matter for that."""
    if len(asked.plan.words) < 2:
        return asked
    bare = replace(asked, filters=Filters(kinds=SEARCHED))
    full = bare.full()
    if full >= FEW:
        return asked
    counts = [bare._count([(_MUST, bare._word(word, _ANY_COST))]) for word in asked.plan.words]  # noqa: SLF001
    parts = tuple(parts_kept(counts, asked.plan.total))
    wider = replace(asked, parts=parts)
    if full or _has_partial(wider):
        return wider
    return replace(wider, limit=LAST_RESORT_COST)


def _has_partial(asked: Asked) -> bool:
    """Return True if there are records with most of the words, beside those with all."""
    bare = replace(asked, filters=Filters(kinds=SEARCHED), limit=PARTIAL_COST)
    return not asked.parts or bare.full() > 0 or bare.count() > 0


def _modes(planned: Plan) -> str:
    return "".join(_LOOSE if word.loose else _OPEN if word.open else _EXACT for word in planned.words)


def _read_cursor(cursor: str, digest: str) -> tuple[_Place, str, tuple[tuple[int, ...], ...]]:
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        raise InvalidSyntax("this is not a cursor of ours", where="cursor", hint=_ANEW)
    if match[1] != digest:
        raise InvalidSyntax("this is the cursor of another question", where="cursor", hint=_ANEW)
    rank = int(match[7], 16)
    if not 0 < rank < 2**64:
        raise InvalidSyntax("this is not a cursor of ours", where="cursor", hint=_ANEW)
    masks = [int(mask, 16) for mask in match[3].split("-") if mask]
    parts = tuple(tuple(word for word in range(MOST_WORDS) if mask >> word & 1) for mask in masks)
    if not all(parts) or int(match[4]) > len(parts):
        raise InvalidSyntax("this is not a cursor of ours", where="cursor", hint=_ANEW)
    return (int(match[4]), int(match[5]), int(match[6]), rank), match[2], parts


def _costs_of(word: Wanted) -> set[int]:
    """Return the costs that a word may have."""
    steps = {step for way in word.ways for group in way for step in group.values()}
    return {cost(level, step) for level in range(LEVELS) for step in steps}


def _order(place: _Place) -> tuple[int, int, int, int]:
    part, worst, best, rank = place
    return part, worst, best, -rank


def _key(address: tantivy.DocAddress) -> tuple[int, int]:
    return address.segment_ord, address.doc


def _is_text(term: str) -> bool:
    """Return False for a term with half a character: nothing is called so."""
    try:
        term.encode()
    except UnicodeEncodeError:
        return False
    return True


def _all(clauses: Sequence[tantivy.Query]) -> tantivy.Query:
    if not clauses:
        return tantivy.Query.empty_query()
    return clauses[0] if len(clauses) == 1 else tantivy.Query.boolean_query([(_MUST, each) for each in clauses])


def _any(clauses: Sequence[tantivy.Query]) -> tantivy.Query:
    if not clauses:
        return tantivy.Query.empty_query()
    return clauses[0] if len(clauses) == 1 else tantivy.Query.boolean_query([(_SHOULD, each) for each in clauses])
