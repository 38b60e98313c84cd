"""Local files of shards: by path, pattern and folder."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from catalog.errors import NoShards
from catalog.shards.braces import expand
from catalog.shards.formats import format_of
from catalog.shards.magic import HEAD
from catalog.shards.shard import display_url

_DOCUMENTS: Final = frozenset({".md", ".rst", ".yaml", ".yml", ".html", ".py"})
"""Suffixes of files in a folder that are about the data."""


def shard_files(pattern: str, say: Callable[[str], object] = lambda _: None) -> list[Path]:
    """Return the local files of a path, a pattern in braces or with ``*``, or a folder; ``say`` gets what is left out.

    Raises :class:`~catalog.errors.NoShards` for a pattern or folder without any.
    """
    if os.path.lexists(pattern):
        names: tuple[str, ...] = (pattern,)
    else:
        names = expand(pattern)
    files = []
    for name in names:
        if glob.has_magic(name) and not os.path.lexists(name):
            globbed = sorted(glob.glob(name))  # noqa: PTH207 - Path.glob() takes no absolute pattern
            if not globbed:
                raise NoShards("no file has such a name", where=display_url(name))
            files += [Path(one) for one in globbed]
        else:
            files.append(Path(name))
    return [inner for file in files for inner in (_in_folder(file, say) if file.is_dir() else [file])]


def _in_folder(folder: Path, say: Callable[[str], object]) -> list[Path]:
    """Return the shards in a folder and its folders: the files of a known format, but for hidden ones and documents.

    img2dataset writes a table of downloads beside each tar, ``00000.parquet`` beside ``00000.tar``; it is left out.
    """
    found: list[Path] = []
    for file in sorted(folder.rglob("*")):
        hidden = any(part.startswith((".", "__")) for part in file.relative_to(folder).parts)
        if hidden or file.suffix.lower() in _DOCUMENTS or not file.is_file():
            continue
        with file.open("rb") as opened_file:
            if format_of(opened_file.read(HEAD)) is not None:
                found.append(file)
    if not found:
        hint = "catalog import makes shards of images, HDF5, Zarr and NumPy files"
        raise NoShards("no shards or tables in the folder", where=display_url(str(folder)), hint=hint)
    tars = {file.with_suffix("") for file in found if file.suffix == ".tar"}
    tables = [file for file in found if file.suffix == ".parquet" and file.with_suffix("") in tars]
    if tables:
        first, more = display_url(str(tables[0])), f" and {len(tables) - 1:,} more" if len(tables) > 1 else ""
        say(f"left out {first}{more}: tables beside tars of the same name, as img2dataset writes them")
    return [file for file in found if file not in set(tables)]
