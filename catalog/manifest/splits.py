"""Splits of a dataset in a manifest, by patterns of shards."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase, translate
from typing import TYPE_CHECKING, Final

from catalog.manifest.diagnostics import shown
from catalog.manifest.mapping import Table, kind_of
from catalog.records import Split
from catalog.shards.split_names import in_split_order, split_in_path, split_of_word

if TYPE_CHECKING:
    from catalog.manifest.diagnostics import Report
    from catalog.manifest.drafts import ShardDraft
    from catalog.manifest.yaml_parser import Node

SPLIT_KEYS: Final = ("shards", "samples")
MAX_SPLITS: Final = 1000
_MAX_NAME: Final = 200
_MAX_PATTERN: Final = 2000
_MAX_PATTERNS: Final = 10_000
_WORD: Final = re.compile(r"([^A-Za-z0-9])([A-Za-z]+)(?=([^A-Za-z]))")


def infer_splits(urls: Sequence[str]) -> dict[str, list[str]]:
    """Return patterns of shards for the splits that their URLs name; none unless each names one.

    A pattern is ``*-train-*`` where that means exactly the shards of a split, else there is one for each shard.
    """
    splits: dict[str, list[str]] = {}
    for url in urls:
        split = split_in_path(url)
        if split is None:
            return {}
        splits.setdefault(split, []).append(url)
    return {name: _patterns_of(splits[name], urls) for name in in_split_order(splits)}


def _patterns_of(own: Sequence[str], every: Sequence[str]) -> list[str]:
    for match in _WORD.finditer(own[0]):
        if split_of_word(match[2]) is not None:
            pattern = f"*{match[1]}{match[2]}{match[3]}*"
            if [url for url in every if fnmatchcase(url, pattern)] == list(own):
                return [pattern]
    return [url.replace("[", "[[]").replace("?", "[?]").replace("*", "[*]") for url in own]


def read_splits(node: Node | None, shards: Sequence[ShardDraft], report: Report) -> tuple[Split, ...]:
    """Return the splits of a dataset: names with patterns of its shards. Mistakes go to ``report``."""
    if node is None:
        return ()
    if not isinstance(node.value, dict):
        report.add(node.line, f"'splits' must be a map, not {kind_of(node)}", 'train: "*-train-*.tar"')
        return ()
    if len(node.value) > MAX_SPLITS:
        report.add(node.line, f"{len(node.value):,} splits; the most is {MAX_SPLITS:,}")
        return ()
    names = [(shard.url, shard.url.partition("?")[0].rpartition("/")[2]) for shard in shards]
    return tuple(
        Split(name=name, shards=found, samples=samples)
        for name, entry in node.value.items()
        for found, samples in [_read_split(name, entry, names, report)]
    )


def _read_split(
    name: str, node: Node, names: Sequence[tuple[str, str]], report: Report
) -> tuple[tuple[int, ...], int | None]:
    if not 0 < len(name.encode()) <= _MAX_NAME or not name.isprintable() or name != name.strip():
        report.add(node.line, f"{shown(name)!r} is no name for a split", f"one line of 1 to {_MAX_NAME} bytes")
    samples: int | None = None
    patterns: Node | None = node
    if isinstance(node.value, dict):
        table = Table(node, "a split", SPLIT_KEYS, report)
        patterns, samples = table.get("shards", required=True), table.number("samples")
    found: dict[int, None] = {}
    for pattern in _patterns(patterns, report):
        match = re.compile(translate(pattern.text)).match
        matching = [number for number, (url, file) in enumerate(names) if match(file) or match(url)]
        if not matching and names:
            hint = "a pattern is compared with the file name of each shard, and with its URL"
            report.add(pattern.line, f"no shard matches {shown(pattern.text)!r}", hint)
        found.update(dict.fromkeys(matching))
    return tuple(sorted(found)), samples


def _patterns(node: Node | None, report: Report) -> list[Node]:
    if node is None:
        return []
    nodes = node.value if isinstance(node.value, list) else [node]
    if not nodes or len(nodes) > _MAX_PATTERNS:
        report.add(node.line, "a split needs a pattern" if not nodes else f"more than {_MAX_PATTERNS:,} patterns")
        return []
    for one in nodes:
        if not isinstance(one.value, str) or not 0 < len(one.value) <= _MAX_PATTERN:
            report.add(one.line, f"a pattern of shards must be text, not {kind_of(one)}"[:200], '"*-train-*.tar"')
            return []
    return nodes
