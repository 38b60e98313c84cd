"""Shards of a manifest, with brace patterns."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from catalog.manifest.diagnostics import Report, shown
from catalog.manifest.drafts import ShardDraft
from catalog.manifest.mapping import Table
from catalog.manifest.yaml_parser import Node
from catalog.shards.braces import MAX_NAMES, count_ranges, expand_ranges, without_ranges

SHARD_KEYS: Final = ("url", "local", "sha256", "bytes")
KEY_KEYS: Final = ("key", "local", "sha256", "bytes")

MAX_SHARDS: Final = MAX_NAMES
_MAX_SHARDS_OF_FILE: Final = 1_000_000
_MAX_TEXT_OF_FILE: Final = 200_000_000
"""Limit of characters of all URLs and paths that the patterns of a file expand to."""
MAX_URL: Final = 2000
MAX_KEY: Final = 1024
"""Maximum bytes of a URL and of a key in a bucket, by the lexicon."""
_SCHEME: Final = re.compile(r"[A-Za-z0-9]+://")
_SHA256: Final = re.compile(r"[0-9a-fA-F]{64}")
_BAD_URL_CHARACTER: Final = re.compile(r"[\x00-\x20\x7f-\xa0\"<>\\^`|]|[^\S ]")


def spend_pattern(text: str, count: int, line: int, report: Report) -> None:
    """Count the shards of a pattern. Raises :class:`InvalidManifest` if the file has too many."""
    report.spend(line, "shards", count, _MAX_SHARDS_OF_FILE)
    report.spend(line, "characters of addresses and paths", count * len(text), _MAX_TEXT_OF_FILE)


def https_fault(url: str) -> tuple[str, str | None] | None:
    """Return the message and hint for a text that is not an https URL; ``None`` if it is one."""
    shape = f"{shown(url)!r} is not an https URL"
    try:
        parts = urlsplit(url)
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError:
        return shape, None
    if parts.scheme != "https":
        return shape, "https:// is required, so that every reader can open it"
    if not parts.hostname or not port_is_fine or _BAD_URL_CHARACTER.search(url):
        return shape, "https://host/path, without spaces or control characters"
    if parts.username is not None or parts.password is not None:
        return "a URL with a user name or password in it", "records are public; use a URL that needs none"
    return None


def shard_url_fault(url: str, *, verified: bool) -> tuple[str, str | None] | None:
    """Return the message and hint for an invalid shard URL; ``None`` if it is valid.

    ``verified``: a checksum is known, so that plain http is as good as https.
    """
    is_plain = url[:7].lower() == "http://"
    fault = https_fault(f"https://{url[7:]}" if is_plain and verified else url)
    if fault is not None and is_plain:
        return f"{shown(url)!r} is not an https URL", "http:// is for shards with 'sha256' or a local copy only"
    return fault


def read_shards(nodes: list[Node], report: Report) -> tuple[ShardDraft, ...]:
    """Return the shards at URLs, patterns expanded; mistakes go to ``report``."""
    tables = (Table(node, "a shard", SHARD_KEYS, report) for node in nodes)
    return one_each((_read_entry(table, "url", report) for table in tables), "URL", report)


def read_keys(nodes: list[Node], report: Report) -> tuple[ShardDraft, ...]:
    """Return the shards under keys of a bucket, patterns expanded; mistakes go to ``report``."""
    found = (
        _read_pattern(Node(line=node.line, value={"key": node}), report)
        if isinstance(node.value, str | int | float)
        else _read_pattern(node, report)
        for node in nodes
    )
    return one_each(found, "key", report)


def _read_pattern(node: Node, report: Report) -> list[ShardDraft]:
    return _read_entry(Table(node, "a key", KEY_KEYS, report), "key", report)


def one_each(entries: Iterable[list[ShardDraft]], what: str, report: Report) -> tuple[ShardDraft, ...]:
    """Return the shards of all entries, and report duplicates; ``what`` is a URL, key or file."""
    shards: list[ShardDraft] = []
    for found in entries:
        if len(shards) + len(found) > MAX_SHARDS:
            report.add(found[0].line, f"more than {MAX_SHARDS:,} shards", "make larger ones")
            break
        shards += found
    seen: set[str] = set()
    for shard in shards:
        if shard.url in seen:
            report.add(shard.line, f"duplicate {what} {shown(shard.url)!r}")
        seen.add(shard.url)
    return tuple(shards)


def check_path(text: str, line: int, report: Report) -> bool:
    """Return whether a text may be a path."""
    if "\0" in text or not text.strip():
        report.add(line, f"{shown(text)!r} is not a path")
        return False
    return True


def digest_of(table: Table, report: Report) -> str | None:
    """Return the ``sha256`` of an entry, in lower case."""
    sha256 = table.text("sha256", 1000)
    if sha256 is not None and not _SHA256.fullmatch(sha256):
        report.add(table.line_of("sha256"), "'sha256' must be 64 hexadecimal digits", "as sha256sum prints it")
        return None
    return None if sha256 is None else sha256.lower()


def _read_entry(table: Table, key: str, report: Report) -> list[ShardDraft]:
    """Return the shards of one entry; ``key`` is its naming key, ``url`` or ``key``."""
    before = len(report)
    name = table.text(key, MAX_URL, required=True)
    local = table.text("local", 4096)
    sha256, size = digest_of(table, report), table.number("bytes")
    if name is not None:
        _check_name(name, key, table, report, verified=sha256 is not None or local is not None)
    if local is not None and check_path(local, table.line_of("local"), report) and "*" in local:
        hint = "here each shard needs its own: a range such as {000000..000009}, the same in both"
        report.add(table.line_of("local"), f"{shown(local)!r} has a *", hint)
    if name is None or len(report) > before:
        return []
    count = count_ranges(name)
    if local is not None and count_ranges(local) != count:
        message = f"'local' expands to {count_ranges(local)} files, {key!r} to {count}"
        report.add(table.line_of("local"), message, "use the same range in both")
    if count > 1 and (sha256 is not None or size is not None):
        one = "bytes" if sha256 is None else "sha256"
        report.add(table.line_of(one), f"one {one!r} for {count} shards", "list the shards one by one, or give 'local'")
    if len(report) > before:
        return []
    spend_pattern(name + (local or ""), count, table.line, report)
    base = report.file.parent
    copies: list[Path | None] = [None] * count if local is None else [base / text for text in expand_ranges(local)]
    return [
        ShardDraft(url=one, line=table.line, local=copy, sha256=sha256, bytes=size)
        for one, copy in zip(expand_ranges(name), copies, strict=True)
    ]


def _check_name(text: str, key: str, table: Table, report: Report, *, verified: bool) -> None:
    """Check a URL or key, which may contain ranges."""
    line = table.line_of(key)
    bare, count = without_ranges(text), count_ranges(text)
    fault = shard_url_fault(bare, verified=verified) if key == "url" else key_fault(bare)
    if fault is not None:
        report.add(line, fault[0].replace(shown(bare), shown(text)), fault[1])
    elif "{" in bare or "}" in bare:
        report.add(line, f"{shown(text)!r} has braces that are no pattern", "a pattern is {000000..000009}")
    elif count == 0:
        report.add(line, f"{shown(text)!r}: the range is reversed")
    elif count > MAX_SHARDS:
        report.add(line, f"the pattern expands to {count:,} shards; the most is {MAX_SHARDS:,}", "make larger ones")


def key_fault(key: str) -> tuple[str, str | None] | None:
    """Return the message and hint for an invalid key in a bucket; ``None`` if it is valid."""
    if _SCHEME.match(key):
        return f"{shown(key)!r} is an address, not a key", "the key alone, without the bucket"
    if not key.isprintable():
        return f"{shown(key)!r} has characters that can't be seen", None
    if "*" in key:
        return f"{shown(key)!r} has a *", "name the keys, or use a range such as {000000..000009}"
    if len(key.encode()) > MAX_KEY:
        return f"a key of {len(key.encode()):,} bytes; the most is {MAX_KEY:,}", None
    return None
