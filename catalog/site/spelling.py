"""Spelling lists: the words of names and tags, in small files by their letters.

``catalog/words/1h.json`` has the words that begin with h, ``2a.json`` those whose second letter is a, with the number
of records of each. A typo rarely affects both of the first two letters, so four files contain nearly every word at edit
distance one. Everything but a to z and digits is ``_``. All files exist, so that no request fails.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from functools import partial
from typing import TYPE_CHECKING, Final

from catalog.formatting import compact_json
from catalog.site.omitted import Job, LeftOut, tried
from catalog.store.index_format import encode_short
from catalog.store.searchable import spelt_terms

if TYPE_CHECKING:
    from collections.abc import Iterator

    from catalog.store.graph import Graph, Node

KEYS: Final = "abcdefghijklmnopqrstuvwxyz0123456789_"
MOST: Final = 6000
"""Maximum words in a file, the most frequent ones: some 20 kB, compressed."""


def files(graph: Graph, left_out: list[LeftOut]) -> Iterator[tuple[str, str]]:
    """Yield all files: path in the site, text. The most frequent words come first.

    Records that can't be read are added to ``left_out``.
    """
    counts: Counter[str] = Counter()
    for node in graph.nodes:
        known = tried(Job(kind="search entry", place="catalog/words", make=partial(_words_of, node), node=node))
        if isinstance(known, LeftOut):
            left_out.append(known)
        else:
            counts.update(known)
    buckets: defaultdict[str, list[str]] = defaultdict(list)
    for word in sorted(counts, key=lambda word: (-counts[word], word)):
        for place in (0, 1):
            bucket = buckets[f"{place + 1}{_key(word[place])}"]
            if len(bucket) < MOST:
                bucket.append(word)
    for place in (1, 2):
        for key in KEYS:
            found = buckets[f"{place}{key}"]
            text = compact_json({"words": " ".join(found), "counts": encode_short(counts[word] for word in found)})
            yield f"catalog/words/{place}{key}.json", text


def _words_of(node: Node) -> set[str]:
    return spelt_terms(node.record)


def _key(letter: str) -> str:
    return letter if letter in KEYS else "_"
