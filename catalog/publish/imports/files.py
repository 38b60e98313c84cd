"""Files below a folder, as an import sees them: sorted, without hidden ones, no links out of the folder."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from catalog.errors import DataError
from catalog.publish.imports.source import Split
from catalog.shards.shard import display_url
from catalog.shards.split_names import in_split_order, split_in_path

T = TypeVar("T")

_MAX_DEPTH: Final = 64
_NOT_IN_A_KEY: Final = re.compile(r"[^A-Za-z0-9_~+=@/-]+")


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A regular file: its path below the folder with ``/``, its size in bytes and its time of modification."""

    path: str
    size: int
    mtime_ns: int


def found_files(root: Path) -> list[FoundFile]:
    """Return the files below a folder, sorted by path.

    Hidden names (``.x``, ``__x``) are skipped, also folders. A link to a folder isn't followed. Raises
    :class:`DataError` for a link to something outside of the folder, and for a name that isn't UTF-8.
    """
    real = root.resolve()
    return sorted(_walk(real, real, "", 0), key=lambda file: file.path)


def refuse_links_out(root: Path) -> None:
    """Raise :class:`DataError` if a name below the folder, hidden or not, is a link to something outside of it."""
    real = root.resolve()
    for folder, folders, files in os.walk(real):
        for name in (*folders, *files):
            path = os.path.join(folder, name)  # noqa: PTH118 - pathlib is slow for many files
            if os.path.islink(path):  # noqa: PTH114
                _check_link(path, real)


def head_of(path: Path, size: int) -> bytes:
    """Return the first bytes of a file. Raises :class:`DataError` if it can't be read."""
    try:
        with path.open("rb", buffering=0) as file:
            return file.read(size)
    except OSError as error:
        raise DataError(f"the file can't be read: {error.strerror or error}", where=display_url(str(path))) from None


def _walk(root: Path, folder: Path, prefix: str, depth: int) -> Iterator[FoundFile]:
    if depth > _MAX_DEPTH:
        raise DataError(f"folders more than {_MAX_DEPTH} deep", where=display_url(str(folder)))
    try:
        entries = list(os.scandir(folder))
    except OSError as error:
        what = f"the folder can't be read: {error.strerror or error}"
        raise DataError(what, where=display_url(str(folder))) from None
    for entry in entries:
        if entry.name.startswith((".", "__")):
            continue
        if not entry.name.isprintable():
            where = ascii(prefix + entry.name)[1:200]
            raise DataError("a name that is no plain text", where=where, hint="rename the file")
        if entry.is_symlink():
            _check_link(entry.path, root)
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(root, folder / entry.name, f"{prefix}{entry.name}/", depth + 1)
        elif entry.is_file():
            facts = entry.stat()
            if stat.S_ISREG(facts.st_mode):
                yield FoundFile(prefix + entry.name, facts.st_size, facts.st_mtime_ns)


def _check_link(path: str, root: Path) -> None:
    target = os.path.realpath(path)
    if os.path.commonpath([target, root]) != str(root):
        hint = "copy the file into the folder, or remove the link"
        raise DataError("a link to something outside of the folder", where=display_url(path), hint=hint)


def splits_of_paths(paths: Sequence[str], notes: list[str]) -> dict[str, str] | None:
    """Return the split of each path, by its folders or its file name; ``None`` if not all have one."""
    found = {path: split for path in paths if (split := split_in_path(path)) is not None}
    if found and len(found) < len(paths):
        notes.append(f"no splits: only {len(found):,} of {len(paths):,} files have one in their path")
    return found if len(found) == len(paths) else None


def in_splits(
    items: Sequence[T], path_of: Callable[[T], str], splits: Mapping[str, str] | None
) -> tuple[list[T], tuple[Split, ...]]:
    """Return the items split by split, and the range of each split."""
    if splits is None:
        return list(items), (Split(name=None, start=0, stop=len(items)),)
    found: dict[str, list[T]] = {}
    for item in items:
        found.setdefault(splits[path_of(item)], []).append(item)
    ordered: list[T] = []
    ranges: list[Split] = []
    for name in in_split_order(found):
        ranges.append(Split(name=name, start=len(ordered), stop=len(ordered) + len(found[name])))
        ordered += found[name]
    return ordered, tuple(ranges)


def keys_of_paths(paths: Sequence[str]) -> list[str]:
    """Return a key for each path, without its suffix; a second of the same gets ``~2``."""
    keys: list[str] = []
    seen: set[str] = set()
    for path in paths:
        folder, slash, name = path.rpartition("/")
        stem = name.rpartition(".")[0] or name
        plain = "/".join(part.strip("_") or "_" for part in _NOT_IN_A_KEY.sub("_", folder + slash + stem).split("/"))
        key, number = plain, 1
        while key in seen:
            number += 1
            key = f"{plain}~{number}"
        seen.add(key)
        keys.append(key)
    return keys
