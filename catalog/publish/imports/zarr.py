"""Zarr groups of versions 2 and 3, with zarr-python: arrays are fields, axis 0 are the samples.

Only the folder is read: links that lead out of it are refused, and so are arrays whose codec unpickles.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from catalog.errors import CatalogError, DataError, require_extra
from catalog.publish.imports.columns import ArrayFacts, ArraySource, Values, array_facts, numpy_values
from catalog.publish.imports.files import refuse_links_out
from catalog.publish.imports.source import fingerprint
from catalog.shards.shard import display_url

if TYPE_CHECKING:
    from catalog.publish.imports.columns import ReadRows

_MARKS: Final = ("zarr.json", ".zgroup", ".zarray")
_MAX_METADATA: Final = 1 << 24
_MAX_ARRAYS: Final = 10_000
_MAX_CHUNK: Final = 1 << 31
_SAFE: Final = frozenset({
    "adler32", "astype", "bitround", "blosc", "bytes", "bz2", "categorize", "crc32", "crc32c", "delta",
    "fixedscaleoffset", "fletcher32", "gzip", "json2", "lz4", "lzma", "msgpack2", "packbits", "quantize",
    "sharding_indexed", "shuffle", "transpose", "vlen-array", "vlen-bytes", "vlen-utf8", "zlib", "zstd",
})  # fmt: skip
"""Codecs that only transform bytes; ``pickle`` runs code."""


def is_zarr(path: Path) -> bool:
    """Return whether a folder is a Zarr group or array."""
    return any((path / name).is_file() for name in _MARKS)


def zarr_source(path: Path, only: Sequence[str] = ()) -> ArraySource:
    """Return the source of a folder. Raises :class:`DataError` for one that can't be read."""
    require_extra("zarr", "zarr", purpose="importing Zarr")
    where = display_url(str(path))
    refuse_links_out(path)
    facts = _checked(path)
    notes: list[str] = []
    with _opened(path) as root:
        arrays = list(_walk(root, where, notes))
    return ArraySource(
        kind="a Zarr folder",
        name=path.resolve().name.removesuffix(".zarr"),
        where=where,
        fingerprint=fingerprint("Zarr", path.resolve().name, facts, list(only)),
        opener=partial(_open, path.resolve()),
        arrays=arrays,
        notes=notes,
        only=only,
    )


@contextmanager
def _open(path: Path) -> Iterator[ReadRows]:
    with _opened(path) as root:
        yield partial(_read, root)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    import zarr

    try:
        yield zarr.open(zarr.storage.LocalStore(path, read_only=True), mode="r")
    except CatalogError:
        raise
    except Exception as error:  # zarr and its codecs raise many kinds for damaged metadata and chunks
        what = f"the Zarr folder can't be read: {type(error).__name__}: {error}"
        raise DataError(what[:400], where=display_url(str(path))) from error


def _read(root: Any, array: ArrayFacts, start: int, stop: int) -> Any:  # noqa: ANN401
    found = root if array.path == "/" else root[array.path.lstrip("/")]
    block = np.asarray(found[start:stop])
    return block if array.member is None else block[array.member]


def _checked(path: Path) -> list[tuple[str, int, int]]:
    """Return name, size and time of each file. Raises :class:`DataError` for codecs that aren't known to be safe."""
    facts: list[tuple[str, int, int]] = []
    for folder, folders, files in os.walk(path):
        folders.sort()
        for name in sorted(files):
            file = os.path.join(folder, name)  # noqa: PTH118 - pathlib is slow for many files
            found = os.stat(file)  # noqa: PTH116
            facts.append((os.path.relpath(file, path), found.st_size, found.st_mtime_ns))
            if name in ("zarr.json", ".zarray", ".zmetadata"):
                _check_codecs(file, found.st_size)
    return facts


def _check_codecs(file: str, size: int) -> None:
    where = display_url(file)
    if size > _MAX_METADATA:
        raise DataError(f"metadata of {size:,} bytes; the most is {_MAX_METADATA:,}", where=where)
    try:
        with open(file, encoding="utf-8") as text:  # noqa: PTH123 - a name from os.walk
            metadata = json.load(text)
    except (ValueError, RecursionError, OSError) as error:
        raise DataError(f"not Zarr metadata: {error}", where=where) from None
    for codec in _codecs(metadata, 0):
        if codec.removeprefix("numcodecs.") not in _SAFE:
            hint = "write the array with a codec of Zarr's specification; those of pickle run code"
            raise DataError(f"the codec {codec[:60]!a} is not read", where=where, hint=hint)


def _codecs(value: object, depth: int) -> Iterator[str]:
    """Yield the names of the codecs in metadata of version 2 or 3."""
    if depth > 32:
        return
    if isinstance(value, dict):
        for key, item in value.items():
            listed = item if isinstance(item, list) else [item]
            if key in ("filters", "compressor", "codecs", "index_codecs", "compressors", "serializer"):
                for one in listed:
                    if isinstance(one, dict):
                        yield str(one.get("id", one.get("name")))
            if key != "attributes":
                yield from _codecs(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            yield from _codecs(item, depth + 1)


def _walk(root: Any, where: str, notes: list[str]) -> Iterator[ArrayFacts]:  # noqa: ANN401
    """Yield the arrays of a group and its groups, in the order of their names."""
    import zarr

    if isinstance(root, zarr.Array):
        yield from _facts(root, "/", where, notes)
        return
    arrays = sorted((path, item) for path, item in root.members(max_depth=None) if isinstance(item, zarr.Array))
    if len(arrays) > _MAX_ARRAYS:
        raise DataError(f"more than {_MAX_ARRAYS:,} arrays", where=where)
    for path, array in arrays:
        yield from _facts(array, f"/{path}", where, notes)


def _facts(array: Any, path: str, where: str, notes: list[str]) -> Iterator[ArrayFacts]:  # noqa: ANN401
    dtype = np.dtype(array.dtype)
    size = dtype.itemsize
    for length in array.chunks:
        size *= length
    if size > _MAX_CHUNK:
        what = f"chunks of {size:,} bytes in {path[:200]!a}; the most is {_MAX_CHUNK:,}"
        raise DataError(what, where=where, hint="write it with smaller chunks")
    chunk = array.shards[0] if array.shards else array.chunks[0] if array.chunks else 1
    if dtype.kind == "O" and not _is_text(array):
        notes.append(f"{path} is left out: arrays of Python objects are not read")
        return
    yield from array_facts(path, array.shape, dtype, chunk=chunk, values_of=_values)


def _values(dtype: np.dtype[Any]) -> tuple[Values, np.dtype[Any]]:
    return ("text", dtype) if dtype.kind == "O" else numpy_values(dtype)


def _is_text(array: Any) -> bool:  # noqa: ANN401
    """Return whether the objects of an array of version 2 are texts."""
    return any(getattr(one, "codec_id", "") == "vlen-utf8" for one in getattr(array.metadata, "filters", None) or ())
