"""The text index: words → rows of the browse page, in files of which a search fetches a few.

::

    catalog/text/index.json       how many rows, buckets, shards; the hand-written pages, which come after the rows
    catalog/text/words/<b>.json   the terms whose first two letters fall into bucket b: the number of records with each,
                                  where their rows are, and which are in hand-written pages
    catalog/text/rows/<s>.bin     a shard: for each of its terms the rows of each level
    catalog/text/shown/<n>.json   result data, 16 rows in a file

The levels are those of :mod:`catalog.store.searchable`. Rows are newest first, and a list of rows is
the gaps between them in a Rice code, or a bit for each row where that is shorter: at most 12 kB for a hundred thousand
records.

Why not Pagefind
----------------
Over 100,000 records it took 30 s for a word that most of them have, loaded 0.7 MB before the first result, needed 8 GB
to build, and wrote 110,000 files (measured with Pagefind 1.5; below 3,000 matches it is fine).

Tricky bits
-----------
- The browser's ``tokenizer.js``, ``wordforms.js``, ``matching.js`` and ``textindex.js`` do what
  :mod:`catalog.store.tokenizer`, :mod:`~catalog.store.wordforms`, :mod:`~catalog.store.matching` and
  :mod:`~catalog.store.index_format` do in Python.
"""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter, defaultdict
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Final, TypeAlias

from catalog import formatting
from catalog.site import addresses, facets
from catalog.site.markup import cut, plain, shown
from catalog.site.nodes import description_of, kind_of, name_of, of_node, schema_of, size_of, tags_of
from catalog.site.omitted import Job, LeftOut, tried
from catalog.site.parallel import in_parallel, tenths
from catalog.store.graph import LensNode
from catalog.store.index_format import FORMAT, bucket, encode_rows, encode_short, encode_words
from catalog.store.searchable import BY_NAME, LEVELS, levels_of, schema_texts
from catalog.store.tokenizer import terms_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from catalog.store.graph import Graph, Node

__all__ = ["FOLDER", "levels", "page_levels", "write_text_index"]

FOLDER: Final = "catalog/text"
SHOWN: Final = 16
"""Rows in a file of result data."""
_SUMMARY: Final = 140
_BUCKET_WORDS: Final = 200
_MOST_BUCKETS: Final = 1024
_SHARD: Final = 8_000
"""Maximum bytes of a shard, unless a single word needs more."""
_BLOCK: Final = 4096
"""Rows that a process takes at a time; a multiple of ``SHOWN``."""
_Part: TypeAlias = "tuple[str, array[int], bytes]"
"""Of a level: its words, how many rows each has, and these rows, as they lie in memory."""


class _Lists:
    """By level the rows of each word, in the order they were added."""

    def __init__(self) -> None:
        self.levels: list[defaultdict[str, array[int]]] = [defaultdict(lambda: array("I")) for _ in range(LEVELS)]

    def add(self, row: int, levels: Iterable[set[str]]) -> None:
        """Add a row's terms, each at one level."""
        for lists, found in zip(self.levels, levels, strict=True):
            for word in found:
                lists[word].append(row)

    def parts(self) -> list[_Part]:
        """All of it in few objects, to be sent to another process."""
        return [
            (" ".join(lists), array("I", map(len, lists.values())), b"".join(map(bytes, lists.values())))
            for lists in self.levels
        ]

    def extend(self, parts: Iterable[_Part]) -> None:
        """Add what :meth:`parts` gave of later rows."""
        for lists, (known, counts, rows) in zip(self.levels, parts, strict=True):
            start = 0
            for word, count in zip(known.split(" ") if known else (), counts, strict=True):
                end = start + count * array("I").itemsize
                lists[word].frombytes(rows[start:end])
                start = end

    def words(self) -> list[str]:
        return sorted({word for lists in self.levels for word in lists})

    def packed(self, word: str, total: int) -> tuple[bytes, int]:
        """A word's lists, and how many rows have it."""
        rows = [lists.get(word) for lists in self.levels]
        return encode_rows(rows, total), sum(len(found) for found in rows if found is not None)


def write_text_index(
    graph: Graph,
    pages: Mapping[str, tuple[str, str]],
    site_dir: Path,
    *,
    progress: Callable[[str], None] = lambda _: None,
) -> tuple[LeftOut, ...]:
    """Write the index of a catalog. ``pages`` are the owner's pages: address → title and plain text.

    Return the records that could not be indexed.
    """
    folder = site_dir / FOLDER
    for name in ("words", "rows", "shown"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    nodes = facets.rows(graph)
    lists, digest = _Lists(), hashlib.sha256()
    starts = range(0, len(nodes), _BLOCK)

    report = tenths(len(nodes), "records in the text index", progress)

    def done(blocks: int) -> None:
        report(min(blocks * _BLOCK, len(nodes)))

    blocks = in_parallel(lambda start: _block(nodes, start, folder / "shown"), starts, done=done, block=1, worth=2)
    left_out: list[LeftOut] = []
    for parts, shown_digest, failed in blocks:
        lists.extend(parts)
        digest.update(shown_digest)
        left_out += failed
    listed = []
    in_pages: Counter[str] = Counter()
    for place, (address, (title, text)) in enumerate(sorted(pages.items())):
        terms = page_levels(title, text)
        lists.add(len(nodes) + place, terms)
        in_pages.update(chain.from_iterable(terms))
        listed.append([title, address, cut(" ".join(text.split()), _SUMMARY)])
    total = len(nodes) + len(listed)
    buckets = _write_words(folder, lists, total, in_pages, digest)
    index = {
        "format": FORMAT, "version": digest.hexdigest()[:12], "rows": len(nodes), "total": total, "buckets": buckets,
        "shown": SHOWN, "pages": listed,
    }  # fmt: skip
    _write(folder / "index.json", formatting.compact_json(index).encode())
    return tuple(left_out)


def _block(nodes: Sequence[Node], start: int, folder: Path) -> tuple[list[_Part], bytes, list[LeftOut]]:
    """Write the result data of some rows; return their word lists, the digest of the data, and the rows that failed."""
    lists, digest = _Lists(), hashlib.sha256()
    left_out: list[LeftOut] = []
    for first in range(start, min(start + _BLOCK, len(nodes)), SHOWN):
        held = []
        for row, node in enumerate(nodes[first : first + SHOWN], first):
            job = Job(kind="search entry", place=FOLDER, make=partial(_entry, node), node=node)
            found = tried(job)
            if isinstance(found, LeftOut):  # its row stays, as the rows of all others are counted with it
                left_out.append(found)
                held.append(["", of_node(node), kind_of(node), "", "", "", ""])
            else:
                lists.add(row, found[0])
                held.append(found[1])
        raw = formatting.compact_json(held).encode()
        digest.update(raw)
        _write(folder / f"{first // SHOWN}.json", raw)
    return lists.parts(), digest.digest(), left_out


def _entry(node: Node) -> tuple[list[set[str]], list[str]]:
    """Return the terms by level and the result data of a record."""
    return levels(node), _result(node)


def _write_words(folder: Path, lists: _Lists, total: int, in_pages: Counter[str], digest: hashlib._Hash) -> int:
    """Write the words and their lists; return the number of buckets. ``in_pages`` counts the pages of each word."""
    vocabulary = lists.words()
    buckets = max(1, min(_MOST_BUCKETS, len(vocabulary) // _BUCKET_WORDS))
    sorted_in: list[list[str]] = [[] for _ in range(buckets)]
    for word in vocabulary:
        sorted_in[bucket(word, buckets)].append(word)
    shard, number = bytearray(), 0
    for place, found in enumerate(sorted_in):
        counts, shards, lengths = [], [], []
        first = None
        for word in found:
            packed, count = lists.packed(word, total)
            if shard and len(shard) + len(packed) > _SHARD:
                _write(folder / "rows" / f"{number}.bin", bytes(shard))
                digest.update(shard)
                shard, number = bytearray(), number + 1
            counts.append(count - in_pages[word])
            shards.append(number)
            first = len(shard) if first is None else first
            lengths.append(len(packed))
            shard += packed
        of_pages = [number for number, word in enumerate(found) if word in in_pages]
        text = formatting.compact_json(
            {
                **encode_words(found),
                "counts": encode_short(counts),
                "shards": encode_short(_steps(shards)),
                "start": first or 0,
                "lengths": encode_short(lengths),
                "pages": encode_short(_steps(of_pages)),
            }
        )
        digest.update(text.encode())
        _write(folder / "words" / f"{place}.json", text.encode())
    _write(folder / "rows" / f"{number}.bin", bytes(shard))
    digest.update(shard)
    return buckets


def _steps(numbers: Sequence[int]) -> list[int]:
    return [after - before for before, after in zip([0, *numbers], numbers, strict=False)]


def levels(node: Node) -> list[set[str]]:
    """Return the searchable terms of a record by level."""
    if isinstance(node, LensNode):
        ends = [end.record.sample_type for end in (node.source, node.target) if end is not None]
        schemas = [text for end in ends for text in schema_texts(end, names_only=True)]
    else:
        schema = schema_of(node)
        schemas = [] if schema is None else [*schema_texts(schema.record.sample_type)]
    return levels_of(node.record, handle=node.publisher.handle, did=node.publisher.did, schemas=schemas)


def page_levels(title: str, text: str) -> list[set[str]]:
    """Return the searchable terms of a hand-written page: its title counts as the name of a schema does."""
    found: list[set[str]] = [set() for _ in range(LEVELS)]
    found[BY_NAME[-1]] = terms_of(title)
    found[-1] = terms_of(text) - found[BY_NAME[-1]]
    return found


def _result(node: Node) -> list[str]:
    """Return the result data of a record: name, address, kind, publisher, tags, size, summary."""
    kind = kind_of(node)
    size = size_of(node)
    name = shown(name_of(node))
    schema = schema_of(node)
    description = description_of(node)
    return [
        f"{name} {shown(schema.record.sample_type.version)}" if kind == "schema" and schema is not None else name,
        addresses.of_record(kind, node.publisher.did, node.rkey),
        kind,
        shown(node.publisher.shown),
        ", ".join(shown(tag) for tag in tags_of(node)[:4]),
        "" if size is None or size.bytes is None else formatting.byte_size(size.bytes),
        plain(description, longest=_SUMMARY) if description else "",
    ]


def _write(file: Path, raw: bytes) -> None:
    file.write_bytes(raw)
