"""Shards of a manifest, and the brace patterns in them."""

from __future__ import annotations

import re
from itertools import product
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from catalog.manifest.drafts import ShardDraft
from catalog.manifest.faults import Report, shown
from catalog.manifest.table import Table

if TYPE_CHECKING:
    from pathlib import Path

    from catalog.manifest.document import Node

__all__ = ["MAX_SHARDS", "count_pattern", "expand_pattern", "https_fault", "read_shards"]

MAX_SHARDS: Final = 100_000
MAX_URL: Final = 2000
_RANGE: Final = re.compile(r"\{([0-9]{1,9})\.\.([0-9]{1,9})\}")
_SHA256: Final = re.compile(r"[0-9a-fA-F]{64}")
_BAD_URL_CHARACTER: Final = re.compile(r"[\x00-\x20\x7f-\xa0\"<>\\^`|]|[^\S ]")


def count_pattern(text: str) -> int:
    """How many texts a pattern stands for: ``a-{000001..000003}`` for 3, one without braces for 1.

    0 where a range runs backwards.
    """
    count = 1
    for first, last in _RANGE.findall(text):
        count *= max(0, int(last) - int(first) + 1)
    return count


def expand_pattern(text: str) -> list[str]:
    """The texts a pattern stands for, in order. Numbers are padded where one of the ends is."""
    parts = _RANGE.split(text)
    choices: list[list[str]] = [[parts[0]]]
    for first, last, rest in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        padded = any(end.startswith("0") and len(end) > 1 for end in (first, last))
        width = max(len(first), len(last)) if padded else 0
        choices += [[f"{number:0{width}d}" for number in range(int(first), int(last) + 1)], [rest]]
    return ["".join(picked) for picked in product(*choices)]


def https_fault(url: str) -> tuple[str, str | None] | None:
    """What is wrong with an https URL, and a hint; ``None`` when nothing is."""
    shape = f"{shown(url)!r} is not an https URL"
    try:
        parts = urlsplit(url)
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError:
        return shape, None
    if parts.scheme != "https":
        return shape, "only https:// is opened by everybody"
    if not parts.hostname or not port_is_fine or _BAD_URL_CHARACTER.search(url):
        return shape, "https://host/path, without spaces or control characters"
    if parts.username is not None or parts.password is not None:
        return "a URL with a user name or password in it", "records are public; use a URL that needs none"
    return None


def read_shards(nodes: list[Node], report: Report) -> tuple[ShardDraft, ...]:
    """The shards of a dataset, patterns expanded; mistakes go to ``report``."""
    shards: list[ShardDraft] = []
    for node in nodes:
        found = _read_entry(Table(node, "a shard", ("url", "local", "sha256", "bytes"), report), report)
        if len(shards) + len(found) > MAX_SHARDS:
            report.add(node.line, f"more than {MAX_SHARDS:,} shards", "make larger ones")
            break
        shards += found
    seen: set[str] = set()
    for shard in shards:
        if shard.url in seen:
            report.add(shard.line, f"the URL {shown(shard.url)!r} stands twice")
        seen.add(shard.url)
    return tuple(shards)


def _read_entry(table: Table, report: Report) -> list[ShardDraft]:
    before = len(report)
    url = table.text("url", MAX_URL, required=True)
    local = table.text("local", 4096)
    sha256 = table.text("sha256", 1000)
    size = table.number("bytes")
    if url is not None:
        _check_url(url, table, report)
    if local is not None and ("\0" in local or not local.strip()):
        report.add(table.line_of("local"), f"{shown(local)!r} is not a path")
    if sha256 is not None and not _SHA256.fullmatch(sha256):
        report.add(table.line_of("sha256"), "'sha256' must be 64 hexadecimal digits", "as sha256sum prints it")
    if url is None or len(report) > before:
        return []
    count = count_pattern(url)
    if local is not None and count_pattern(local) != count:
        message = f"'local' stands for {count_pattern(local)} files, 'url' for {count}"
        report.add(table.line_of("local"), message, "use the same range in both")
    if count > 1 and (sha256 is not None or size is not None):
        key = "bytes" if sha256 is None else "sha256"
        report.add(table.line_of(key), f"one {key!r} for {count} shards", "list the shards one by one, or give 'local'")
    if len(report) > before:
        return []
    base = report.file.parent
    urls = expand_pattern(url)
    copies: list[Path | None] = [None] * count if local is None else [base / name for name in expand_pattern(local)]
    return [
        ShardDraft(url=one, line=table.line, local=copy, sha256=None if sha256 is None else sha256.lower(), bytes=size)
        for one, copy in zip(urls, copies, strict=True)
    ]


def _check_url(url: str, table: Table, report: Report) -> None:
    line = table.line_of("url")
    bare = _RANGE.sub("0", url)
    count = count_pattern(url)
    fault = https_fault(bare)
    if fault is not None:
        report.add(line, fault[0].replace(shown(bare), shown(url)), fault[1])
    elif "{" in bare or "}" in bare:
        report.add(line, f"{shown(url)!r} has braces that are no pattern", "a pattern is {000000..000009}")
    elif count == 0:
        report.add(line, f"{shown(url)!r}: the range runs backwards")
    elif count > MAX_SHARDS:
        report.add(line, f"the pattern stands for {count:,} shards; the most is {MAX_SHARDS:,}", "make larger ones")
