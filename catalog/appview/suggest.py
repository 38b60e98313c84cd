"""Suggestions for a search box: names and tags that begin with the text, and names at a small edit distance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import tantivy

from catalog.appview.document import whole
from catalog.appview.serializers import field_of
from catalog.records import KINDS
from catalog.store.matching import MOST_WORDS, slips_allowed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from catalog.appview.index import Index
    from catalog.store.reader import Reader

_MOST_COST: Final = 2_000_000
"""Of records that are read for their names."""
_SPARE: Final = 4
"""Times as many are looked at as are wanted: names repeat."""


def suggestions(index: Index, reader: Reader, text: str, limit: int) -> list[dict[str, Any]]:
    """At most so many, the likeliest first; none for a text without words."""
    typed = whole(text)
    if not typed:
        return []
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for one in _candidates(index, reader, text, typed, limit):
        found.setdefault((one["kind"], one["text"].casefold()), one)
        if len(found) == limit:
            break
    return [*found.values()]


def _candidates(index: Index, reader: Reader, text: str, typed: str, limit: int) -> Iterator[dict[str, Any]]:
    searcher, most = index.searcher(), limit * _SPARE
    begun = tantivy.Query.fuzzy_term_query(index.schema, "whole", typed, distance=0, prefix=True)
    yield from _named(reader, _newest(searcher, begun, most))
    yield from _tags(index, searcher, text, limit)
    named = _newest(searcher, _names_with(index, typed.split(), slips=False), most)
    if not named:
        named = _newest(searcher, _names_with(index, typed.split(), slips=True), most)
    yield from _named(reader, named)


def _names_with(index: Index, words: list[str], *, slips: bool) -> tantivy.Query:
    """All but the last word in the name, and one that begins as the last one does; or, with slips, ones like them."""
    fuzzy, occur = tantivy.Query.fuzzy_term_query, tantivy.Occur
    clauses = []
    for at, word in enumerate(words[:MOST_WORDS]):
        last = at == len(words) - 1
        meant = [(occur.Should, fuzzy(index.schema, "name", word, distance=0, prefix=last))]
        if slips:
            distance = slips_allowed(word)
            meant.append((occur.Should, fuzzy(index.schema, "name", word, distance=distance)))
        clauses.append((occur.Must, tantivy.Query.boolean_query(meant)))
    return tantivy.Query.boolean_query(clauses)


def _newest(searcher: tantivy.Searcher, query: tantivy.Query, most: int) -> list[str]:
    hits = searcher.search(query, limit=most, count=False, order_by_field="rank", order=tantivy.Order.Desc).hits
    return [searcher.doc(address)["uri"][0] for _, address in hits]


def _named(reader: Reader, uris: list[str] | tuple[str, ...]) -> Iterator[dict[str, Any]]:
    shown = reader.brief(uris, most=_MOST_COST).shown
    for uri in uris:
        name = field_of(shown[uri], "name") if uri in shown else None
        if name is not None:
            yield {"text": name, "kind": KINDS[shown[uri].collection], "uri": uri}


def _tags(index: Index, searcher: tantivy.Searcher, text: str, limit: int) -> Iterator[dict[str, Any]]:
    """Tags that begin so and that something visible to the index still has."""
    start = text.strip().rstrip("*")
    if not start:
        return
    for tag, _ in searcher.terms_with_prefix("tag", start, None, limit):
        query = tantivy.Query.term_query(index.schema, "tag", tag, "basic")
        if searcher.search(query, limit=1, count=False).hits:
            yield {"text": tag, "kind": "tag"}
