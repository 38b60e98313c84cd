"""HDF5 files, with h5py: datasets are fields, axis 0 are the samples.

Nothing outside of the file is opened: external links, external raw storage and virtual datasets are refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from catalog.errors import DataError, require_extra
from catalog.publish.imports.columns import ArrayFacts, ArraySource, Values, array_facts
from catalog.publish.imports.source import fingerprint
from catalog.shards.shard import display_url

if TYPE_CHECKING:
    from catalog.publish.imports.columns import ReadRows

MAGIC: Final = b"\x89HDF\r\n\x1a\n"
_MAX_DEPTH: Final = 32
_MAX_ARRAYS: Final = 10_000


def hdf5_source(path: Path, only: Sequence[str] = ()) -> ArraySource:
    """Return the source of a file. Raises :class:`DataError` for one that can't be read or refers to other files."""
    require_extra("hdf5", "h5py", purpose="importing HDF5")
    where = display_url(str(path))
    notes: list[str] = []
    with _opened(path) as file:
        arrays = list(_walk(file, "", where, notes, set()))
    facts = path.stat()
    return ArraySource(
        kind="an HDF5 file",
        name=path.stem,
        where=where,
        fingerprint=fingerprint("HDF5", path.name, facts.st_size, facts.st_mtime_ns, list(only)),
        opener=partial(_open, path.resolve()),
        arrays=arrays,
        notes=notes,
        only=only,
    )


@contextmanager
def _open(path: Path) -> Iterator[ReadRows]:
    with _opened(path) as file:
        yield partial(_read, file)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    import h5py

    try:
        with h5py.File(path, "r", locking="best-effort") as file:
            yield file
    except (OSError, RuntimeError, KeyError) as error:
        what = f"the HDF5 file can't be read: {error}"
        raise DataError(what, where=display_url(str(path)), hint="is it complete? h5dump -H shows it") from None


def _read(file: Any, array: ArrayFacts, start: int, stop: int) -> Any:  # noqa: ANN401
    dataset = file[array.path]
    return dataset[start:stop] if array.member is None else dataset.fields(array.member)[start:stop]


def _walk(group: Any, prefix: str, where: str, notes: list[str], seen: set[int]) -> Iterator[ArrayFacts]:  # noqa: ANN401
    """Yield the datasets of a group and its groups, in the order of their names."""
    import h5py

    if prefix.count("/") > _MAX_DEPTH:
        raise DataError(f"groups more than {_MAX_DEPTH} deep", where=where)
    for name in group:
        path = f"{prefix}/{name}"
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            hint = "copy the data into the file: h5copy, or h5py's Group.copy(…, expand_external=True)"
            raise DataError(f"{path[:200]!a} is a link to another file", where=where, hint=hint)
        if isinstance(link, h5py.SoftLink):
            notes.append(f"{path} is left out: a link to {link.path}"[:300])
            continue
        item = group[name]
        address = h5py.h5o.get_info(item.id).addr
        if address in seen:
            notes.append(f"{path} is left out: a second name of the same object"[:300])
            continue
        seen.add(address)
        if len(seen) > _MAX_ARRAYS:
            raise DataError(f"more than {_MAX_ARRAYS:,} groups and datasets", where=where)
        if isinstance(item, h5py.Group):
            yield from _walk(item, path, where, notes, seen)
        elif isinstance(item, h5py.Dataset):
            yield from _facts(item, path, where, notes)


def _facts(dataset: Any, path: str, where: str, notes: list[str]) -> Iterator[ArrayFacts]:  # noqa: ANN401
    if dataset.external or dataset.is_virtual:
        hint = "copy the values into the file: file['copy'] = dataset[...]"
        raise DataError(f"the values of {path[:200]!a} are in another file", where=where, hint=hint)
    if dataset.shape is None:
        notes.append(f"{path} is left out: it is empty"[:300])
        return
    chunk = dataset.chunks[0] if dataset.chunks else 1
    yield from array_facts(path, dataset.shape, dataset.dtype, chunk=chunk, values_of=_values)


def _values(dtype: np.dtype[Any]) -> tuple[Values, np.dtype[Any]]:
    import h5py

    varying = h5py.check_vlen_dtype(dtype)
    if h5py.check_string_dtype(dtype) is not None:
        return "text", dtype
    if varying is not None and np.dtype(varying).kind in "biufc":
        return "lengths", np.dtype(varying)
    return "numbers", dtype
