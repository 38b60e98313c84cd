"""Recognise what a path holds, by its bytes, and open it as the source of an import."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from catalog.errors import DataError
from catalog.publish.imports.files import FoundFile, found_files, head_of
from catalog.publish.imports.hdf5 import MAGIC, hdf5_source
from catalog.publish.imports.images import IMAGE_SUFFIXES, ImageFolder
from catalog.publish.imports.numpy_files import numpy_source
from catalog.publish.imports.zarr import is_zarr, zarr_source
from catalog.shards.shard import display_url

if TYPE_CHECKING:
    from catalog.publish.imports.numpy_files import SampleMeans
    from catalog.publish.imports.source import Source

_HEAD: Final = 8
_NUMPY: Final = frozenset({"npy", "npz"})
_HDF5: Final = frozenset({"h5", "hdf5", "hdf", "he5", "nc", "mat"})
_AS_THEY_ARE: Final = {
    "csv": "a CSV table", "tsv": "a table", "parquet": "a Parquet file", "jsonl": "a JSONL file",
    "ndjson": "a JSONL file", "tar": "a tar of samples", "tgz": "a tar of samples",
}  # fmt: skip
_KINDS: Final = "image folders, HDF5, Zarr, .npz, folders of .npy or .npz"


def open_source(path: Path, *, sample: SampleMeans | None = None, only: Sequence[str] = ()) -> Source:
    """Return what ``path`` holds: a folder of images, an HDF5 file, a Zarr folder or NumPy files.

    ``sample`` says what a sample of NumPy files is, ``only`` which fields of arrays are meant. Raises
    :class:`DataError` for anything else; for tables and shards, which need no import, with the command that takes them;
    and :class:`~catalog.errors.MissingExtra`.
    """
    if not path.exists():
        raise DataError("no such file or folder", where=display_url(str(path)))
    if path.is_dir():
        return _of_folder(path, sample, only)
    suffix = path.suffix.lower().lstrip(".")
    head = head_of(path, _HEAD)
    if head == MAGIC or suffix in _HDF5:
        return hdf5_source(path, only)
    if suffix in _NUMPY:
        facts = path.stat()
        file = FoundFile(path.name, facts.st_size, facts.st_mtime_ns)
        return numpy_source(path, [file], sample, only)
    if suffix in _AS_THEY_ARE:
        raise _no_import(_AS_THEY_ARE[suffix], str(path))
    raise DataError("nothing that can be imported", where=display_url(str(path)), hint=_KINDS)


def _of_folder(path: Path, sample: SampleMeans | None, only: Sequence[str]) -> Source:
    if is_zarr(path):
        return zarr_source(path, only)
    files = found_files(path)
    suffixes = {file.path: Path(file.path).suffix.lower().lstrip(".") for file in files}
    found = set(suffixes.values())
    if found & IMAGE_SUFFIXES:
        if only or sample is not None:
            raise DataError("--field and --sample are for arrays", where=display_url(str(path)))
        return ImageFolder(path, files)
    if found & _NUMPY:
        return numpy_source(path, [file for file in files if suffixes[file.path] in _NUMPY], sample, only)
    if (hdf5 := [file for file in files if suffixes[file.path] in _HDF5]) and len(hdf5) == 1:
        return hdf5_source(path / hdf5[0].path, only)
    for suffix in sorted(found & _AS_THEY_ARE.keys()):
        raise _no_import(f"{_AS_THEY_ARE[suffix]} in it", f"{path}/*.{suffix}")
    hint = "import the files one by one" if hdf5 else _KINDS
    raise DataError("nothing that can be imported", where=display_url(str(path)), hint=hint)


def _no_import(what: str, path: str) -> DataError:
    hint = f"catalog manifest from-shards {shlex.quote(path)}"
    return DataError(f"{what} needs no import", where=display_url(path), hint=hint)
