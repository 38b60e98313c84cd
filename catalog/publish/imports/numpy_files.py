"""NumPy's files: an ``.npz`` or a folder of ``.npy`` whose axis 0 are the samples, or folders of one file a sample.

::

    digits.npz                image.npy (1797, 8, 8), label.npy (1797,)      a row is a sample
    arrays/image.npy, label.npy                                              a row is a sample
    parts/train.npz, test.npz                                                a row is a sample, the files are splits
    scans/0001.npz, 0002.npz  or  scans/0001.npy, 0002.npy                   a file is a sample

Shapes and dtypes come from the headers. Nothing is unpickled: arrays of Python objects are refused.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Literal

import numpy as np
from numpy.lib import format as npy

from catalog.errors import DataError
from catalog.publish.imports.columns import ArrayFacts, ArraySource, array_facts, merged, type_of, whole_value
from catalog.publish.imports.files import in_splits, keys_of_paths, splits_of_paths
from catalog.publish.imports.source import fingerprint
from catalog.samples.packable import pack
from catalog.schema import Field, FieldType, type_text
from catalog.shards.formats.msgpack import SUFFIX
from catalog.shards.shard import display_url
from catalog.shards.tar import MAX_MEMBER

if TYPE_CHECKING:
    from catalog.publish.imports.columns import ReadRows
    from catalog.publish.imports.files import FoundFile
    from catalog.publish.imports.source import Members, Source, Split
    from catalog.samples.inference import LeftOut
    from catalog.samples.write_shards import ShardFormat

__all__ = ["SampleMeans", "numpy_source"]

SampleMeans = Literal["row", "file"]
"""The unit of a sample: a row of axis 0, or a file."""

_ARRAY: Final = "array"
"""The field of a file that holds one array without a name."""
_READ: Final = 1 << 20
_OVERHEAD: Final = 1024
_DIGITS: Final = re.compile(r"[0-9]+")


def numpy_source(path: Path, files: Sequence[FoundFile], means: SampleMeans | None, only: Sequence[str] = ()) -> Source:
    """Return the source of an ``.npz`` file, or of the ``.npy`` and ``.npz`` files below a folder.

    ``means`` says what a sample is; by default a row, or a file for files that differ by a number. Raises
    :class:`DataError` for files that can't be read, arrays of Python objects, and a mixture of both kinds of files.
    """
    root = path if path.is_dir() else path.parent
    suffixes = {Path(file.path).suffix.lower() for file in files}
    if len(suffixes) > 1:
        raise DataError("both .npy and .npz files", where=display_url(str(path)), hint="import one kind at a time")
    stems = [_DIGITS.sub("", Path(file.path).stem) for file in files]
    numbered = len(files) > 1 and len(set(stems)) < len(stems)
    chosen: SampleMeans = means or ("file" if numbered else "row")
    notes = [] if means is not None else [f"a sample is a {chosen} (--sample chooses)"]
    marks = fingerprint("NumPy", chosen, list(only), [(file.path, file.size, file.mtime_ns) for file in files])
    if chosen == "file":
        return FileSamples(
            root=root.resolve(), name=path.resolve().name, files=files, marks=marks, notes=notes, only=only
        )
    arrays = [facts for file in files for facts in _headers(root.resolve(), file.path)]
    return ArraySource(
        kind="NumPy files" if path.is_dir() else "an .npz file" if suffixes == {".npz"} else "an .npy file",
        name=path.resolve().stem,
        where=display_url(str(path)),
        fingerprint=marks,
        opener=partial(_open, root.resolve()),
        arrays=arrays,
        notes=notes,
        only=only,
    )


# --- a row is a sample ---------------------------------------------------------------------------------------


@contextmanager
def _open(root: Path) -> Iterator[ReadRows]:
    with ExitStack() as stack:
        yield _Files(root, stack).read


@dataclass(slots=True)
class _Stream:
    """An array of an ``.npz`` that is read forwards: the file, its next row, and the block that was read last."""

    file: IO[bytes]
    row: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    at: int = 0
    block: Any = None


@dataclass(slots=True)
class _Files:
    root: Path
    stack: ExitStack
    streams: dict[str, _Stream] = field(default_factory=dict)
    whole: dict[str, Any] = field(default_factory=dict)

    def read(self, array: ArrayFacts, start: int, stop: int) -> Any:  # noqa: ANN401
        """Return rows of an array; rows before ``start`` are skipped."""
        with _reading(array.file):
            block = self._block(array, start, stop)
        return block if array.member is None else block[array.member]

    def _block(self, array: ArrayFacts, start: int, stop: int) -> Any:  # noqa: ANN401
        if array.path in self.whole:
            return self.whole[array.path][start:stop]
        if array.file.endswith(".npy"):
            self.whole[array.path] = np.load(self.root / array.file, mmap_mode="r", allow_pickle=False)
            return self.whole[array.path][start:stop]
        stream = self.streams.get(array.path)
        if stream is not None and stream.block is not None and stream.at == stop and len(stream.block) == stop - start:
            return stream.block  # another column of the same table
        if stream is None or stream.at > start:
            file = self._member(array)
            shape, fortran, dtype = _header(file, array.file)
            if fortran and len(shape) > 1:  # its rows are scattered
                self.whole[array.path] = self._loaded(array)
                return self.whole[array.path][start:stop]
            size = dtype.itemsize * int(np.prod(shape[1:], dtype=object))
            stream = self.streams[array.path] = _Stream(file, size, shape, dtype)
        _skip(stream.file, (start - stream.at) * stream.row, array.file)
        data = _exactly(stream.file, (stop - start) * stream.row, array.file)
        stream.at = stop
        stream.block = np.frombuffer(data, stream.dtype).reshape(stop - start, *stream.shape[1:])
        return stream.block

    def _member(self, array: ArrayFacts) -> IO[bytes]:
        archive = self.stack.enter_context(zipfile.ZipFile(self.root / array.file))
        return self.stack.enter_context(archive.open(f"{_key(array)}.npy"))

    def _loaded(self, array: ArrayFacts) -> Any:  # noqa: ANN401
        with np.load(self.root / array.file, allow_pickle=False) as archive:
            return archive[_key(array)]


def _key(array: ArrayFacts) -> str:
    """Return the name of an array in its ``.npz``."""
    return array.path.removeprefix(_stem(array.file) + "/")


def _stem(file: str) -> str:
    return file.rpartition(".")[0]


def _headers(root: Path, file: str) -> Iterator[ArrayFacts]:
    """Yield the arrays of a file, from their headers."""
    with _reading(file):
        if file.lower().endswith(".npy"):
            with (root / file).open("rb") as opened:
                shape, _, dtype = _header(opened, file)
            yield from array_facts(_stem(file), shape, dtype, file=file)
            return
        with zipfile.ZipFile(root / file) as archive:
            for name in archive.namelist():
                if not name.endswith(".npy"):
                    raise DataError(f"{name[:200]!a} in it is not an array", where=display_url(file))
                with archive.open(name) as opened:
                    shape, _, dtype = _header(opened, f"{file}/{name}")
                yield from array_facts(f"{_stem(file)}/{name.removesuffix('.npy')}", shape, dtype, file=file)


def _header(file: IO[bytes], where: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, Fortran order and dtype. Raises :class:`DataError` for Python objects."""
    version = npy.read_magic(file)
    if version == (1, 0):
        shape, fortran, dtype = npy.read_array_header_1_0(file)
    elif version == (2, 0):
        shape, fortran, dtype = npy.read_array_header_2_0(file)
    else:
        hint = "save it again, with ASCII names for the fields of its dtype"
        raise DataError(f"version {version[0]} of the .npy format", where=display_url(where), hint=hint)
    if dtype.hasobject:
        hint = "they need pickle, which can run code; save numbers or text: array.astype(str)"
        raise DataError("an array of Python objects", where=display_url(where), hint=hint)
    return shape, fortran, dtype


@contextmanager
def _reading(where: str) -> Iterator[None]:
    """Raise :class:`DataError` for a file that can't be read."""
    try:
        yield
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, KeyError, NotImplementedError) as error:
        raise DataError(f"the file can't be read: {error}"[:300], where=display_url(where)) from None


def _exactly(file: IO[bytes], size: int, where: str) -> bytearray:
    data = bytearray()
    while len(data) < size:
        more = file.read(min(size - len(data), _READ))
        if not more:
            raise DataError("an array is cut short", where=display_url(where))
        data += more
    return data


def _skip(file: IO[bytes], size: int, where: str) -> None:
    while size:
        more = len(file.read(min(size, _READ)))
        if not more:
            raise DataError("an array is cut short", where=display_url(where))
        size -= more


# --- a file is a sample --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _FilePart:
    root: Path
    files: tuple[tuple[str, str], ...]
    only: frozenset[str]

    def samples(self) -> Iterator[tuple[str, Members]]:
        for key, path in self.files:
            sample: dict[str, Any] = {}
            for name, facts in _fields_of(self.root, path, self.only):
                with _reading(path):
                    array = np.load(self.root / path, allow_pickle=False)
                    if not isinstance(array, np.ndarray):
                        with array as archive:
                            array = archive[_key(facts)]
                sample[name] = whole_value(facts, array)
            yield key, ((SUFFIX, pack(sample)),)


class FileSamples:
    """A folder of ``.npy`` or ``.npz`` files, each one sample. Raises :class:`DataError` for files that don't fit."""

    format: ShardFormat = "msgpack"
    kind = "NumPy files, one a sample"

    def __init__(
        self,
        *,
        root: Path,
        name: str,
        files: Sequence[FoundFile],
        marks: str,
        notes: list[str],
        only: Sequence[str],
    ) -> None:
        self._root, self.name, self.fingerprint, self._only = root, name, marks, frozenset(only)
        splits = splits_of_paths([file.path for file in files], notes)
        keys = keys_of_paths([file.path for file in files])
        pairs = list(zip(keys, files, strict=True))
        self._files: list[tuple[str, FoundFile]]
        self.splits: tuple[Split, ...]
        self._files, self.splits = in_splits(pairs, lambda pair: pair[1].path, splits)
        self.notes = tuple(notes)
        self.left_out: tuple[LeftOut, ...] = ()
        self.fields = self._merged_fields()

    def size_of(self, row: int) -> int:
        """Return the approximate bytes of a file in a tar."""
        return self._files[row][1].size + _OVERHEAD

    def part(self, start: int, stop: int) -> _FilePart:
        """Return the files from ``start`` up to ``stop``."""
        files = tuple((key, file.path) for key, file in self._files[start:stop])
        return _FilePart(root=self._root, files=files, only=self._only)

    def _merged_fields(self) -> tuple[Field, ...]:
        types: dict[str, FieldType] = {}
        counts = Counter[str]()
        for _, file in self._files:
            if file.size >= MAX_MEMBER:
                raise DataError(
                    f"a file of {file.size:,} bytes; the most is {MAX_MEMBER:,}", where=display_url(file.path)
                )
            for name, facts in _fields_of(self._root, file.path, self._only):
                own = type_of(facts, rows=False)
                both = merged(types.setdefault(name, own), own)
                if both is None:
                    hint = f"in other files it is {type_text(types[name])}; --sample row reads rows"
                    raise DataError(f"the field {name!a} is {type_text(own)}", where=display_url(file.path), hint=hint)
                types[name] = both
                counts[name] += 1
        if not types:
            raise DataError("no array is called so", where=self.name, hint="--field names arrays of the files")
        return tuple(Field(name=n, type=t, optional=counts[n] < len(self._files)) for n, t in types.items())


def _fields_of(root: Path, path: str, only: frozenset[str]) -> Iterator[tuple[str, ArrayFacts]]:
    """Yield the fields of a file that is a sample."""
    for facts in _headers(root, path):
        name = _ARRAY if path.lower().endswith(".npy") else _key(facts)
        if facts.member is not None or facts.dtype.kind not in "biufcUSTM":
            raise DataError(f"{name[:100]!a} has a dtype without a field type", where=display_url(path))
        if not only or name in only:
            yield name, facts
