"""Words to set a misspelt one right by: those of names, publishers, schemas and tags, in small files by their letters.

::

    catalog/words/1h.json   words that begin with h: ["harbour", "hail", …] and how many records bear each
    catalog/words/2a.json   words whose second letter is a

Whoever mistypes a word's first letter has its second one right, more often than not, so four files have nearly every
word one slip away from what was typed: the two of its first letter, the two of its second. All that isn't a letter
from a to z or a digit is ``_``; every file is there, so that none is asked for in vain.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from functools import partial
from typing import TYPE_CHECKING, Final

from catalog.site import facets
from catalog.site.markup import shown
from catalog.site.nodes import name_of, schema_of, tags_of
from catalog.site.omitted import Job, LeftOut, tried
from catalog.store.index_format import encode_short
from catalog.store.tokenizer import tokenize

if TYPE_CHECKING:
    from collections.abc import Iterator

    from catalog.store.graph import Graph, Node

__all__ = ["KEYS", "files", "words"]

KEYS: Final = "abcdefghijklmnopqrstuvwxyz0123456789_"
SHORTEST: Final = 4
"""Shorter ones are one slip away from too many others."""
MOST: Final = 6000
"""Words in a file, the most used ones: some 20 kB, zipped."""


def words(text: str) -> set[str]:
    """The words of a text as the index has them, without accents; ``DigitSample`` is ``digitsample``, ``digit``, …"""
    return {word for word in tokenize(text, parts=True) if len(word) >= SHORTEST and not word.isdecimal()}


def files(graph: Graph, left_out: list[LeftOut]) -> Iterator[tuple[str, str]]:
    """All files: path in the site, text. The most used words come first.

    ``left_out`` takes the records whose words could not be taken.
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
            text = facets.dump({"words": " ".join(found), "counts": encode_short(counts[word] for word in found)})
            yield f"catalog/words/{place}{key}.json", text


def _words_of(node: Node) -> set[str]:
    schema = schema_of(node)
    texts = [name_of(node), node.publisher.shown, *tags_of(node)]
    if schema is not None:
        texts.append(name_of(schema))
    return words(" ".join(shown(text) for text in texts))


def _key(letter: str) -> str:
    return letter if letter in KEYS else "_"
