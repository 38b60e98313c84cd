"""File patterns in manifests: ``data/a-{0..9}.tar``, ``data/*.tar``."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from catalog.manifest.diagnostics import GUESSES, Report, near, shown
from catalog.manifest.shards import MAX_SHARDS, spend_pattern
from catalog.shards.braces import count_ranges, expand_ranges

_RELATIVE: Final = "paths are relative to the manifest"

_MAX_NAMES_LISTED: Final = 200_000
"""Limit of names listed for one pattern, such as ``/*/*/*``."""
_MAX_NAMES_LISTED_OF_FILE: Final = 1_000_000
"""Limit of names listed for all patterns of a file."""


class _TooManyNamesError(Exception):
    """The limit of names is exceeded. Never leaves this file."""


def named_files(pattern: str, line: int, report: Report) -> list[str]:
    """Return the files of a pattern: a range in its order, the matches of a ``*`` sorted.

    Paths are relative to the manifest. A ``*`` matches any characters within one name, but no hidden files. Only a
    ``*`` reads folders, and needs a match. Mistakes go to ``report``.
    """
    if "*" not in pattern:
        count = count_ranges(pattern)
        if count == 0:
            report.add(line, f"{shown(pattern)!r}: the range is reversed")
        elif count > MAX_SHARDS:
            message = f"the pattern expands to {count:,} shards; the most is {MAX_SHARDS:,}"
            report.add(line, message, "make larger ones")
        else:
            spend_pattern(pattern, count, line, report)
            return expand_ranges(pattern)
    elif count_ranges(pattern) != 1:
        report.add(line, f"{shown(pattern)!r} has a range and a *", "use one of them")
    elif "**" in pattern:
        report.add(line, f"{shown(pattern)!r} has a **", "a * matches characters within one name: folder/*/*.tar")
    else:
        return _matching(pattern, line, report)
    return []


def _matching(pattern: str, line: int, report: Report) -> list[str]:
    try:
        found = _walk(pattern, report.file.parent, lambda seen: _looked(seen, line, report))
    except _TooManyNamesError:
        report.add(line, f"{shown(pattern)!r} lists more than {_MAX_NAMES_LISTED:,} files", "name the folder")
        return []
    for path in found:
        spend_pattern(path, 1, line, report)
    if not found:
        guess = len(report) < GUESSES
        hint = instead_of(report.file.parent / _fixed(pattern)) if guess else _RELATIVE
        report.add(line, f"{shown(pattern)!r} matches no file", hint)
    elif len(found) > MAX_SHARDS:
        message = f"{shown(pattern)!r} matches {len(found):,} files; the most is {MAX_SHARDS:,}"
        report.add(line, message, "make larger ones")
        return []
    return found


def _looked(names: int, line: int, report: Report) -> None:
    report.spend(line, "files to look at", names, _MAX_NAMES_LISTED_OF_FILE)


def _walk(pattern: str, base: Path, looked: Callable[[int], object]) -> list[str]:
    """Return all matches, by walking the path part by part. ``looked`` gets the size of each listed folder."""
    *folders, last = pattern.split("/")
    started, seen = [""], 0
    for number, part in enumerate([*folders, last]):
        is_last = number == len(folders)
        longer: list[str] = []
        for path in started:
            if "*" not in part:
                longer.append(path + part + ("" if is_last else "/"))
                continue
            entries = _entries(base / path)
            looked(len(entries))
            for entry in entries:
                seen += 1
                if seen > _MAX_NAMES_LISTED:
                    raise _TooManyNamesError
                if _fits(entry.name, part) and _holds(entry.is_file if is_last else entry.is_dir):
                    longer.append(path + entry.name + ("" if is_last else "/"))
        started = longer
    return sorted(path for path in started if "*" in last or _holds((base / path).is_file))


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return list(found)
    except (OSError, ValueError):
        return []


def _holds(question: Callable[[], bool]) -> bool:
    """Return the answer of a file system call; False if it fails: a link to itself, a name that is too long."""
    try:
        return question()
    except (OSError, ValueError):
        return False


def _fits(name: str, part: str) -> bool:
    """Return whether a name matches. No regular expression, as that could take exponential time."""
    first, *middle, last = part.split("*")
    if not name.startswith(first) or (name.startswith(".") and not first):
        return False
    at = len(first)
    for piece in middle:
        at = name.find(piece, at)
        if at < 0:
            return False
        at += len(piece)
    return len(name) - len(last) >= at and name.endswith(last)


def _fixed(pattern: str) -> str:
    """Return the beginning of a pattern, up to the first name with a star."""
    parts = pattern.split("/")
    return "/".join(parts[: next(at for at, part in enumerate(parts) if "*" in part) + 1])


def is_there(file: Path) -> bool:
    """Return whether a file exists; False if it can't be checked."""
    return _holds(file.exists)


def instead_of(file: Path) -> str:
    """Return a hint for a missing file: a file or folder with a similar name."""
    known, missing = file.parent, file.name
    while known != known.parent and not _holds(known.is_dir):
        known, missing = known.parent, known.name
    is_file = known == file.parent
    if is_file and "*" in missing:
        return _RELATIVE
    names = sorted(entry.name for entry in _entries(known) if _holds(entry.is_file if is_file else entry.is_dir))
    guess = near(missing, names)
    return guess or (_RELATIVE if is_file else f"there is no folder {shown(missing)!r}; {_RELATIVE}")
