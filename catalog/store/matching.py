"""The meaning of a query and the order of its results, for every search (``matching.js`` in the browser).

::

    text ─question─▶ words ─plan─▶ for each word the terms that match it ─rank─▶ rows, best first

- A word matches the terms it is cut into (:mod:`catalog.store.tokenizer`), their word forms, and itself joined with its
  neighbours (``caltech 101``, ``caltech101``). ``word*`` also matches all terms that begin so.
- A word that no record has matches terms that begin so, its own beginning, its two halves, and words of names and tags
  at an edit distance of one (two, from eight letters on).
- Rows with every word come first. If they are few, rows with most of the words follow. A word that no row has is left
  out, and counts as dropped.
- The *cost* of a word in a row depends on the level of the matching term (:mod:`catalog.store.searchable`) and on how
  close it is to what was typed. Rows are sorted by their highest cost, then by their lowest, then newest first. Nothing
  else counts: a row's place relative to another depends on query, plan and these two rows only.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass, replace
from itertools import combinations
from operator import itemgetter
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from catalog.store.synonyms import MOST_SYNONYM_WORDS, synonyms
from catalog.store.tokenizer import LONGEST, cut, gram_size, grams, without_article
from catalog.store.wordforms import form_starts, is_form, spellings

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

MOST_WORDS: Final = 8
"""Words of a query that count."""
FEW: Final = 5
"""Rows with every word below which rows with most of the words are added."""
_BASE: Final = (0, 1, 2, 3, 5, 8, 9, 12, 15, 18, 21, 24)
"""The cost of each level."""
_EXACT, _FORM, _LOOSE, _SYNONYM, _SLIP, _CUT, _TWO_SLIPS = 0, 1, 2, 3, 4, 5, 10
"""Costs of a term as typed, a form of it, one that begins so or a part, a synonym, an edit distance of one, the typed
word's own beginning, and an edit distance of two."""
PARTIAL_COST: Final = _BASE[6] + _FORM
"""The highest cost of a row with half of the words or less: they are in its name, tags, fields or first sentences."""
LAST_RESORT_COST: Final = _BASE[7] + _FORM
"""The same where there is nothing else: also in the rest of its description."""
_LEAST_SHARE: Final = 0.4
"""The share of the words' weight that a row must have."""
_MOST_PARTIAL: Final = 12
_MOST_FORMS: Final = 12
_MOST_BEGINNINGS: Final = 24
_MOST_SIMILAR: Final = 8
_SHORTEST: Final = 4
_LONG: Final = 8
_LONGEST_SLIP: Final = 40
_SHORTEST_HALF: Final = 3
_LONGEST_END: Final = 3
_SHORTEST_WITH_END: Final = 7
_EDGES: Final = re.compile(r"^[^\w]+|[^\w+#]+$")
_CHUNK: Final = re.compile(r"\S+")
_LETTERS: Final = re.compile("[a-z]+")
IGNORED: Final = frozenset(
    [
        "a",
        "an",
        "and",
        "are",
        "as",
        "at",
        "by",
        "for",
        "from",
        "in",
        "is",
        "it",
        "of",
        "on",
        "or",
        "that",
        "the",
        "this",
        "to",
        "was",
        "were",
        "with",
        "dataset",
        "datasets",
        "data",
    ]
)
"""Words that are left out of a query beside others."""
Group: TypeAlias = "dict[str, int]"
"""Terms that stand for each other, with what they add to the cost."""
Way: TypeAlias = "tuple[Group, ...]"
"""Groups that must all match."""


RowsOf: TypeAlias = "Callable[[str], Iterable[tuple[int, Iterable[int]]]]"
"""Gives the rows that have a term, by level; a row is at one level of a term."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A word of a query: its parts, or grams of which any will do; ``open`` if it matches all terms that begin so."""

    parts: tuple[str, ...]
    grams: tuple[str, ...] = ()
    open: bool = False
    typed: str = ""
    """The word as messages show it; empty for its term."""

    @property
    def text(self) -> str:
        """The word as a term."""
        return "".join(self.parts)[:LONGEST]


class Vocabulary(Protocol):
    """The terms of an index."""

    @property
    def total(self) -> int:
        """The number of records."""

    def count(self, term: str) -> int:
        """Return the number of records that have a term."""

    def beginning(self, start: str) -> Iterable[tuple[str, int]]:
        """Return the terms that begin so, with the number of records of each."""

    def similar(self, word: str, slips: int) -> Iterable[tuple[str, int]]:
        """Return terms of names and tags at an edit distance of at most ``slips``, with the number of records."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A word of a query and the ways to match it. ``loose``: no record has the word or a form of it."""

    text: str
    ways: tuple[Way, ...]
    loose: bool = False
    open: bool = False
    corrected: str | None = None
    """The most likely word, if this one is misspelt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The words that are looked for."""

    words: tuple[Wanted, ...]
    total: int

    @property
    def loose(self) -> tuple[str, ...]:
        """The words that no record has and that others stand for."""
        return tuple(word.text for word in self.words if word.loose and word.ways and not word.open)

    @property
    def corrected(self) -> str | None:
        """The query with its misspelt words corrected; None if there are none."""
        if all(word.corrected is None for word in self.words):
            return None
        return " ".join(word.corrected or word.text for word in self.words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """Rows, best first; the first ``full`` of them have every word, the others lack some of ``dropped``."""

    rows: list[int]
    full: int
    dropped: tuple[str, ...] = ()


# --- the query -------------------------------------------------------------------------------------------------------


def question(text: str) -> tuple[Word, ...]:
    """Return the words of a query, each once."""
    found: dict[tuple[tuple[str, ...], tuple[str, ...]], Word] = {}
    for chunk in _CHUNK.findall(text):
        words = [word for compound in cut(chunk) for word in _words([part for run in compound for part in run])]
        for place, word in enumerate(words, 1):
            is_open = chunk.endswith("*") and place == len(words)
            typed = _EDGES.sub("", chunk).lower() if len(words) == 1 else ""
            found.setdefault((word.parts, word.grams), replace(word, open=is_open, typed=typed))
    return tuple(found.values())[:MOST_WORDS]


def _words(parts: Sequence[str]) -> list[Word]:
    """Return the words of a compound: parts in scripts with blanks together, each other part by its grams."""
    found: list[Word] = []
    together: list[str] = []
    for part in parts:
        size = gram_size(part)
        if not size:
            together.append(part)
            continue
        if together:
            found.append(Word(parts=tuple(together)))
            together = []
        found += [Word(parts=(wanted[0],), grams=wanted) for wanted in _cover(part, size)]
    if together:
        found.append(Word(parts=tuple(together)))
    return found


def _cover(part: str, size: int) -> list[tuple[str, ...]]:
    """Return sets of grams; if one of each is found, every character of the part is."""
    every = grams(part, size)
    sets = [tuple(every[max(0, at - size + 1) : at + 1]) for at in range(len(part))]
    sets = [one for one in dict.fromkeys(sets) if one]
    return [one for one in sets if not any(set(other) < set(one) for other in sets)]


# --- the plan --------------------------------------------------------------------------------------------------------


def plan(
    words: Sequence[Word], vocabulary: Vocabulary, *, exactly: bool = False, loose: Sequence[bool] | None = None
) -> Plan:
    """Return the terms for each word of a query; with ``exactly`` no misspelling is corrected.

    ``loose`` repeats an earlier plan: whether others stand for each of its words, whatever the vocabulary has now.
    """
    words = [part for word in words for part in _split(word, vocabulary)][:MOST_WORDS]
    ways: list[list[Way]] = [_ways(word, vocabulary) for word in words]
    for first in range(len(words)):
        for last in range(first + 1, min(first + 3, len(words))):
            joined = _joined(words[first : last + 1], vocabulary)
            for place in range(first, last + 1) if joined else ():
                ways[place].append((joined,))
    for first, last in combinations(range(len(words) + 1), 2):
        for way in _synonyms(words[first:last], vocabulary):
            for place in range(first, last):
                ways[place].append(way)
    kept = [place for place, word in enumerate(words) if word.text not in IGNORED] or [*range(len(words))]
    wanted = []
    for number, place in enumerate(kept):
        word = words[place]
        known = bool(ways[place]) if loose is None or number >= len(loose) else not loose[number]
        if known or word.grams:
            wanted.append(Wanted(text=word.typed or word.text, ways=tuple(ways[place]), open=word.open))
        else:
            wanted.append(_loose(word, vocabulary, exactly=exactly))
    return Plan(words=tuple(wanted), total=vocabulary.total)


def _split(word: Word, vocabulary: Vocabulary) -> list[Word]:
    """Return the parts of a compound as words of their own, if no record has it and nothing is like it."""
    words = [Word(parts=(part,)) for part in word.parts]
    if len(words) == 1 or not all(len(part) >= _SHORTEST_HALF and not part[0].isdecimal() for part in word.parts):
        return [word]
    slips = slips_allowed(word.text)
    similar = vocabulary.similar(word.text, slips) if slips else ()
    if _ways(word, vocabulary) or any(vocabulary.beginning(word.text)) or any(similar):
        return [word]
    return [*words[:-1], replace(words[-1], open=word.open)]


def _ways(word: Word, vocabulary: Vocabulary) -> list[Way]:
    if word.grams:
        found = {gram: _EXACT for gram in word.grams if vocabulary.count(gram)}
        if (word.open or not found) and len(word.text) > 1:
            found |= {term: _LOOSE for term in _beginnings(word.text, vocabulary) if term not in found}
        return [(found,)] if found else []
    ways: list[Way] = []
    whole = _expanded(word.text, vocabulary, is_open=word.open)
    if whole:
        ways.append((whole,))
    if len(word.parts) > 1:
        each = [
            _expanded(part, vocabulary, is_open=word.open and place == len(word.parts))
            for place, part in enumerate(word.parts, 1)
        ]
        if all(each):
            ways.append(tuple(each))
    return ways


def _joined(words: Sequence[Word], vocabulary: Vocabulary) -> Group:
    """Return the terms for neighbouring words written as one."""
    text = "".join(word.text for word in words)[:LONGEST]
    if any(word.grams for word in words) or text.isdecimal():
        return {}
    if not text.isascii():  # a long word is a form of itself with a short one behind
        return {text: _EXACT} if vocabulary.count(text) else {}
    return _expanded(text, vocabulary, is_open=False)


def _synonyms(words: Sequence[Word], vocabulary: Vocabulary) -> Iterator[Way]:
    """Yield the ways to match synonyms of neighbouring words, or of one word."""
    parts = [part for word in words for part in word.parts]
    if len(parts) > MOST_SYNONYM_WORDS or any(word.grams for word in words):
        return
    for phrase in synonyms(parts):
        groups = [_expanded(word, vocabulary, is_open=False) for word in phrase if word not in IGNORED]
        if all(groups):
            yield tuple({term: step + _SYNONYM for term, step in group.items()} for group in groups)


def _expanded(term: str, vocabulary: Vocabulary, *, is_open: bool) -> Group:
    """Return a term that the index has, its forms, and for an open one those that begin so."""
    found: Group = {term: _EXACT} if vocabulary.count(term) else {}
    for other in (term, *([] if found else spellings(term))):
        known = {each: count for start in form_starts(other) for each, count in vocabulary.beginning(start)}
        forms = [each for each in known if each != term and (each == other or is_form(other, each))]
        found |= dict.fromkeys(_frequent(forms, known)[:_MOST_FORMS], _FORM)
    bare = without_article(term)
    if bare is not None and vocabulary.count(bare):
        found.setdefault(bare, _FORM)
    if is_open and len(term) > 1:
        for other in _beginnings(term, vocabulary):
            found.setdefault(other, _LOOSE)
    return found


def _beginnings(term: str, vocabulary: Vocabulary) -> list[str]:
    """Return the most frequent terms that begin so."""
    known = {other: count for other, count in vocabulary.beginning(term) if other != term}
    return _frequent(known, known)[:_MOST_BEGINNINGS]


def _frequent(terms: Iterable[str], counts: Mapping[str, int]) -> list[str]:
    return sorted(terms, key=lambda term: (-counts[term], term))


def _loose(word: Word, vocabulary: Vocabulary, *, exactly: bool) -> Wanted:
    """Return the terms that may stand for a word which no record has."""
    term = word.text
    group: Group = dict.fromkeys(_beginnings(term, vocabulary), _LOOSE) if len(term) > 1 else {}
    half_typed = word.open and bool(group)
    corrected = None
    if _LETTERS.fullmatch(term) and len(term) >= _SHORTEST_WITH_END:
        for length in range(len(term) - _LONGEST_END, len(term)):
            if vocabulary.count(term[:length]):
                group[term[:length]] = _CUT
    if vocabulary.count(term):  # it has become known since the plan that this one repeats
        group[term] = _SLIP
    ways: list[Way] = [(group,)] if group else []
    if not group:
        ways += _halves(term, vocabulary)
    slips = 0 if exactly else slips_allowed(term)
    if slips and not half_typed:
        similar = [(distance(term, other, slips), -count, other) for other, count in vocabulary.similar(term, slips)]
        nearest = sorted(one for one in similar if 0 < one[0] <= slips)[:_MOST_SIMILAR]
        corrected = nearest[0][2] if nearest and all(step == _CUT for way in ways for step in way[0].values()) else None
        if nearest:
            ways.append(({other: _SLIP if steps == 1 else _TWO_SLIPS for steps, _, other in nearest},))
    if not ways and len(word.parts) > 1:
        each = [_expanded(part, vocabulary, is_open=False) or _similar(part, vocabulary) for part in word.parts]
        ways += [tuple(each)] if all(each) and not exactly else []
    return Wanted(text=word.typed or term, ways=tuple(ways), loose=True, open=word.open, corrected=corrected)


def _similar(term: str, vocabulary: Vocabulary) -> Group:
    slips = slips_allowed(term)
    found = (
        sorted((distance(term, other, slips), other) for other, _ in vocabulary.similar(term, slips)) if slips else []
    )
    return {other: _SLIP if steps == 1 else _TWO_SLIPS for steps, other in found[:_MOST_SIMILAR]}


def _halves(term: str, vocabulary: Vocabulary) -> list[Way]:
    """Return the most even way to cut a word into two that the index has."""
    places = range(_SHORTEST_HALF, len(term) - _SHORTEST_HALF + 1)
    for place in sorted(places, key=lambda place: (abs(2 * place - len(term)), place)):
        if vocabulary.count(term[:place]) and vocabulary.count(term[place:]):
            return [({term[:place]: _LOOSE}, {term[place:]: _LOOSE})]
    return []


def slips_allowed(word: str) -> int:
    """Return the edit distance that is allowed for a word."""
    if not _SHORTEST <= len(word) <= _LONGEST_SLIP or word.isdecimal():
        return 0
    return 2 if len(word) >= _LONG else 1


def distance(one: str, other: str, most: int) -> int:
    """Letters to change, leave out, put in, or swap with their neighbour; more than ``most`` is ``most + 1``."""
    if abs(len(one) - len(other)) > most:
        return most + 1
    before: list[int] = []
    last = list(range(len(other) + 1))
    for i, sign in enumerate(one, 1):
        row = [i]
        for j, against in enumerate(other, 1):
            cost_ = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (sign != against))
            if i > 1 and j > 1 and sign == other[j - 2] and one[i - 2] == against:
                cost_ = min(cost_, before[j - 2] + 1)
            row.append(cost_)
        if min(*row, *last) > most:
            return most + 1
        before, last = last, row
    return min(last[-1], most + 1)


# --- the order -------------------------------------------------------------------------------------------------------


def cost(level: int, step: int) -> int:
    """Return the cost of a term at a level."""
    return _BASE[level] + step


def rank(
    planned: Plan,
    rows_of: RowsOf,
    newest: Callable[[Collection[int], int | None], list[int]] | None = None,
    limit: int | None = None,
) -> Ranking:
    """Return the rows of a plan, best first. ``rows_of`` gives the rows of the records that have a term, by level.

    ``newest`` sorts rows of one grade, or the first so many of them: lower rows are newer ones if nothing else is said.
    With ``limit`` only the first so many rows are sorted.
    """
    costs = [_costs(word, rows_of) for word in planned.words]
    if not costs:
        return Ranking(rows=[], full=0)
    grades: dict[int, tuple[int, int, int]] = {}
    if len(costs) == 1:
        known = {value: (0, value, value) for value in {*costs[0].values()}}
        grades = {row: known[value] for row, value in costs[0].items()}
    else:
        first, *others = sorted(costs, key=len)
        for row in set(first).intersection(*others):
            each = [found[row] for found in costs]
            grades[row] = (0, max(each), min(each))
    full = len(grades)
    dropped: tuple[str, ...] = ()
    if full < FEW and len(costs) > 1:
        added = _partial(planned, costs, grades, PARTIAL_COST)
        if not added and not full:
            added = _partial(planned, costs, grades, LAST_RESORT_COST)
        lacking = [set(kept) for kept in {one[0]: one[1] for one in added.values()}.values()]
        dropped = tuple(
            word.text for place, word in enumerate(planned.words) if any(place not in kept for kept in lacking)
        )
        grades |= {row: (number, worst, best) for row, (number, _, worst, best) in added.items()}
    return Ranking(rows=_sorted(grades, newest, limit), full=full, dropped=dropped)


def _sorted(
    grades: Mapping[int, tuple[int, int, int]],
    newest: Callable[[Collection[int], int | None], list[int]] | None,
    limit: int | None,
) -> list[int]:
    classes: dict[tuple[int, int, int], list[int]] = {}
    for row, grade in grades.items():
        classes.setdefault(grade, []).append(row)
    rows: list[int] = []
    for grade in sorted(classes):
        if limit is not None and len(rows) >= limit:
            rows += classes[grade]
        elif newest is None:
            rows += sorted(classes[grade])
        else:
            rows += newest(classes[grade], None if limit is None else limit - len(rows))
    return rows


def _costs(word: Wanted, rows_of: RowsOf) -> dict[int, int]:
    """Return the cost of a word in each row that has it."""
    lists: list[tuple[int, Iterable[int]]] = []
    for way in word.ways:
        if len(way) == 1:
            lists += _lists(way[0], rows_of)
            continue
        every = [_lowest(_lists(group, rows_of)) for group in way]
        found = min(every, key=len)
        both = {row: max(own[row] for own in every) for row in found if all(row in own for own in every)}
        by_cost: dict[int, list[int]] = {}
        for row, value in both.items():
            by_cost.setdefault(value, []).append(row)
        lists += by_cost.items()
    return _lowest(lists)


def _lists(group: Group, rows_of: RowsOf) -> list[tuple[int, Iterable[int]]]:
    """Return the rows of the terms of a group, with their cost."""
    return [(_BASE[level] + step, rows) for term, step in group.items() for level, rows in rows_of(term)]


def _lowest(lists: list[tuple[int, Iterable[int]]]) -> dict[int, int]:
    """Return the lowest cost of each row."""
    best: dict[int, int] = {}
    for value, rows in sorted(lists, key=itemgetter(0), reverse=True):  # a lower cost replaces a higher one
        best.update(dict.fromkeys(rows, value))
    return best


def parts_kept(counts: Sequence[int], total: int) -> list[tuple[int, ...]]:
    """Return the words that may be found without the others, the weightiest first. ``counts`` are the words' rows.

    A word weighs the more, the fewer rows have it; one that no row has weighs nothing.
    """
    weights = [math.log(1 + total / count) if count else 0.0 for count in counts]
    found = []
    matching = [place for place, count in enumerate(counts) if count]
    for size in range(1, min(len(counts) - 1, len(matching)) + 1):
        for kept in combinations(matching, size):
            share = sum(weights[place] for place in kept) / sum(weights)
            if share >= _LEAST_SHARE:
                found.append((-share, kept))
    return [kept for _, kept in sorted(found)[:_MOST_PARTIAL]]


def _partial(
    planned: Plan, costs: Sequence[dict[int, int]], full: Mapping[int, object], limit: float
) -> dict[int, tuple[int, tuple[int, ...], int, int]]:
    """Return the rows that lack some words: number and words of the part they have, highest and lowest cost."""
    found: dict[int, tuple[int, tuple[int, ...], int, int]] = {}
    for number, kept in enumerate(parts_kept([len(each) for each in costs], planned.total), 1):
        most = limit if 2 * len(kept) <= len(costs) else math.inf
        for row in min((costs[place] for place in kept), key=len):
            if row in full or row in found or not all(row in costs[place] for place in kept):
                continue
            each = [costs[place][row] for place in kept]
            if max(each) <= most:
                found[row] = (number, kept, max(each), min(each))
    return found


class TermLists:
    """The terms of a few records in memory: the simplest vocabulary. Rows are numbered as the records come."""

    def __init__(self, records: Iterable[tuple[Sequence[set[str]], set[str]]]) -> None:
        """``records`` are the terms of each record by level, and those of its name and tags."""
        self.total = 0
        self._rows: dict[str, dict[int, list[int]]] = {}
        self._spelt: Counter[str] = Counter()
        for row, (levels, spelt) in enumerate(records):
            self.total += 1
            self._spelt.update(spelt)
            for level, terms in enumerate(levels):
                for term in terms:
                    self._rows.setdefault(term, {}).setdefault(level, []).append(row)

    def search(self, words: Sequence[Word]) -> tuple[Ranking, Plan]:
        """Return the rows that match, best first, and the terms that were looked for."""
        planned = plan(words, self)
        return rank(planned, lambda term: self._rows.get(term, {}).items()), planned

    def count(self, term: str) -> int:
        """Return the number of records that have a term."""
        return sum(map(len, self._rows.get(term, {}).values()))

    def beginning(self, start: str) -> list[tuple[str, int]]:
        """Return the terms that begin so, with the number of records of each."""
        return [(term, self.count(term)) for term in self._rows if term.startswith(start)]

    def similar(self, word: str, slips: int) -> list[tuple[str, int]]:
        """Return the words of names and tags at a small edit distance, with the number of records of each."""
        return [(other, count) for other, count in self._spelt.items() if distance(word, other, slips) <= slips]
