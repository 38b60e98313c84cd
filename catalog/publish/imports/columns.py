"""Arrays of a file as the fields of its samples: a row is one index of axis 0.

::

    /train/image (60000, 28, 28) uint8 ┐  split train    image  array[uint8, 28, 28]
    /train/label (60000,)        int64 ┘                 label  int
    x_test, y_test                        split test     x, y

Rows are read in blocks of whole chunks.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np

from catalog.errors import DataError, InvalidSample
from catalog.publish.imports.source import Split
from catalog.samples.packable import pack
from catalog.schema import DTYPES, MAX_FIELDS, Array, Field, FieldType, List, Scalar, ScalarKind
from catalog.shards.formats.msgpack import SUFFIX
from catalog.shards.split_names import in_split_order, split_of_word
from catalog.shards.tar import MAX_MEMBER

if TYPE_CHECKING:
    from catalog.publish.imports.source import Members
    from catalog.samples.inference import LeftOut
    from catalog.samples.write_shards import ShardFormat

__all__ = [
    "ArrayFacts",
    "ArrayPart",
    "ArraySource",
    "Opener",
    "ReadRows",
    "Values",
    "array_facts",
    "merged",
    "type_of",
    "whole_value",
]

Values: TypeAlias = Literal["numbers", "text", "times", "lengths"]
"""Contents of an array: numbers of its dtype, text, dates, or arrays of varying lengths."""

ValuesOf: TypeAlias = "Callable[[np.dtype[Any]], tuple[Values, np.dtype[Any]]]"

_READ: Final = 1 << 26
"""Bytes that are read at a time, if chunks allow."""
_FIELD: Final = 160
"""Bytes of a field beside its values: its name, the header of ``.npy``."""
_BLOCK: Final = 512
"""Bytes of a header of a tar; data is padded to a multiple of it."""
_VARYING: Final = 64
"""Bytes that a text or an array of varying length is taken for when shards are planned."""
_SEPARATOR: Final = re.compile(r"[_.\- ]")
_SCALARS: Final[Mapping[str, ScalarKind]] = {"b": "bool", "i": "int", "u": "int", "f": "float"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayFacts:
    """An array in a file: its path, shape, dtype (of the items), and rows of a chunk.

    ``member`` is the field of a compound dtype that is meant; ``file`` is the file, where there are several.
    """

    path: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    values: Values = "numbers"
    chunk: int = 1
    member: str | None = None
    file: str = ""


def array_facts(
    path: str,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    *,
    chunk: int = 1,
    file: str = "",
    values_of: ValuesOf | None = None,
) -> Iterator[ArrayFacts]:
    """Yield the facts of an array; of a table (a compound dtype, one axis) those of each column.

    ``values_of`` returns the contents and dtype of a dtype of the format, by default those of NumPy.
    """
    find = numpy_values if values_of is None else values_of
    if dtype.names is None or len(shape) != 1:
        values, base = find(dtype)
        yield ArrayFacts(path=path, shape=shape, dtype=base, values=values, chunk=chunk, file=file)
        return
    for name in dtype.names:
        part = dtype[name]
        values, base = find(part.base)
        facts = ArrayFacts(path=path, shape=(*shape, *part.shape), dtype=base, values=values, chunk=chunk, file=file)
        yield replace(facts, member=name)


def numpy_values(dtype: np.dtype[Any]) -> tuple[Values, np.dtype[Any]]:
    """Return the contents of an array of a dtype."""
    if dtype.kind in "UST":
        return "text", dtype
    return ("times" if dtype.kind == "M" else "numbers"), dtype


ReadRows: TypeAlias = "Callable[[ArrayFacts, int, int], Any]"
"""Returns rows of an array of an open file; text is str or UTF-8 bytes."""

Opener: TypeAlias = "Callable[[], AbstractContextManager[ReadRows]]"
"""Opens a file of arrays; can be pickled."""


_kept: ExitStack | None = None
_kept_readers: dict[object, ReadRows] = {}


@contextmanager
def kept_open() -> Iterator[None]:
    """Keep the files of sources open in this process, so that each part continues where the one before ended.

    A compressed array can only be read from its beginning.
    """
    global _kept  # noqa: PLW0603 - of the process: parts come to it one by one, each unpickled
    with ExitStack() as stack:
        _kept = stack
        try:
            yield
        finally:
            _kept = None
            _kept_readers.clear()


@contextmanager
def _opened(opener: Opener) -> Iterator[ReadRows]:
    if _kept is None or not isinstance(opener, partial):
        with opener() as read:
            yield read
        return
    key = opener.func, opener.args
    if key not in _kept_readers:
        _kept_readers[key] = _kept.enter_context(opener())
    yield _kept_readers[key]


@dataclass(frozen=True, slots=True)
class _Rows:
    """The arrays of a split by field, and the number of its first row among all rows."""

    name: str | None
    first: int
    count: int
    arrays: tuple[tuple[str, ArrayFacts], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayPart:
    """Rows of a file of arrays."""

    opener: Opener
    rows: _Rows
    start: int
    stop: int

    def samples(self) -> Iterator[tuple[str, Members]]:
        """Yield the key and the only member of each sample."""
        arrays = self.rows.arrays
        step = _rows_at_a_time([facts for _, facts in arrays])
        names = [name for name, _ in arrays]
        with _opened(self.opener) as read:
            at, end = self.start - self.rows.first, self.stop - self.rows.first
            while at < end:
                stop = min(at - at % step + step, end)
                columns = [_as_rows(facts, read(facts, at, stop), at) for _, facts in arrays]
                for number, values in enumerate(zip(*columns, strict=True), start=self.rows.first + at):
                    key = f"{number:08d}"
                    yield key, ((SUFFIX, pack(dict(zip(names, values, strict=True)))),)
                at = stop


def _as_rows(facts: ArrayFacts, block: Any, at: int) -> Sequence[Any]:  # noqa: ANN401
    """Return the value of each row; ``at`` is the number of the first one."""
    if facts.values == "times":
        texts = np.datetime_as_string(block)
        return [None if text == "NaT" else text for text in texts.tolist()]
    if isinstance(block, np.ndarray) and facts.values == "numbers":
        if block.ndim == 1 and block.dtype.kind in _SCALARS:
            scalars: list[Any] = block.tolist()
            return scalars
        return [np.asarray(row) for row in block]
    rows: list[Any] = block.tolist() if isinstance(block, np.ndarray) else list(block)
    if facts.values == "lengths":
        return [np.asarray(row) for row in rows]
    for number, row in enumerate(rows):
        try:
            rows[number] = [_text(item) for item in row] if isinstance(row, list) else _text(row)
        except (UnicodeDecodeError, TypeError) as error:
            where = f"{_path(facts)}, row {at + number}"
            raise InvalidSample(f"not UTF-8 text: {error}", where=where, hint="write it as UTF-8") from None
    return rows


def whole_value(facts: ArrayFacts, array: Any) -> Any:  # noqa: ANN401
    """Return the value of an array as a whole: a scalar without axes, text as text."""
    if facts.shape and facts.values == "numbers":
        return np.asarray(array)
    return _as_rows(facts, np.asarray(array)[np.newaxis], 0)[0]


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, str):
        return value
    raise TypeError(f"a {type(value).__name__}")


def _rows_at_a_time(arrays: Sequence[ArrayFacts]) -> int:
    """Return the number of rows of a block: whole chunks of the array with the longest ones."""
    chunk = max(facts.chunk for facts in arrays)
    size = sum(map(_row_size, arrays))
    return max(chunk, _READ // max(size, 1) // chunk * chunk)


def _row_size(facts: ArrayFacts) -> int:
    items = 1
    for length in facts.shape[1:]:
        items *= length
    return items * (facts.dtype.itemsize if facts.values == "numbers" else _VARYING)


class ArraySource:
    """A file of arrays whose axis 0 are the samples.

    ``only`` names the fields that are meant, by default all. Raises :class:`DataError` if the arrays have different
    lengths, or the splits different fields.
    """

    format: ShardFormat = "msgpack"

    def __init__(
        self,
        *,
        kind: str,
        name: str,
        where: str,
        fingerprint: str,
        opener: Opener,
        arrays: Sequence[ArrayFacts],
        notes: Sequence[str] = (),
        only: Sequence[str] = (),
    ) -> None:
        self.kind, self.name, self.fingerprint = kind, name, fingerprint
        self._opener, self._where = opener, where
        self._notes = list(notes)
        typed = [facts for facts in arrays if self._has_type(facts)]
        self._rows = self._divided(typed, frozenset(only))
        self.splits = tuple(Split(name=one.name, start=one.first, stop=one.first + one.count) for one in self._rows)
        self.fields = self._merged_fields()
        self.left_out: tuple[LeftOut, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """Decisions that the user should know, one line each."""
        return tuple(self._notes)

    def size_of(self, row: int) -> int:
        """Return the approximate bytes of a row in a tar."""
        rows = self._at(row)
        size = sum(_FIELD + _row_size(facts) for _, facts in rows.arrays)
        return _BLOCK + size + (-size % _BLOCK)

    def part(self, start: int, stop: int) -> ArrayPart:
        """Return rows of one split."""
        return ArrayPart(opener=self._opener, rows=self._at(start), start=start, stop=stop)

    def _at(self, row: int) -> _Rows:
        return next(one for one in self._rows if row < one.first + one.count)

    def _has_type(self, facts: ArrayFacts) -> bool:
        """Return whether an array can be a field; else say why not."""
        kind = facts.dtype.kind
        if not facts.shape:
            why = "one value, not one a sample: put it into the dataset's metadata"
        elif facts.values == "times" and len(facts.shape) > 1:
            why = "an array of dates in each sample"
        elif facts.values == "lengths" and len(facts.shape) > 1:
            why = "arrays of arrays of different lengths"
        elif facts.values == "numbers" and kind not in "biufc":
            why = f"the dtype {facts.dtype} has no field type"
        elif facts.values == "text" and len(facts.shape) > 2:
            why = "an array of text of more than one axis in each sample"
        elif _row_size(facts) >= MAX_MEMBER:
            why = f"rows of {_row_size(facts):,} bytes; the most is {MAX_MEMBER:,}"
        else:
            return True
        self._notes.append(f"{_path(facts)} is left out: {why}")
        return False

    def _divided(self, arrays: Sequence[ArrayFacts], only: frozenset[str]) -> list[_Rows]:
        """Return the rows of each split, with the arrays by field."""
        named = [(*_split_in_path(_path(facts)), facts) for facts in arrays]
        if not all(split for split, _, _ in named):
            named = [(None, _path(facts), facts) for facts in arrays]
        shortened = _short_names([field for _, field, _ in named])
        found: dict[str | None, dict[str, ArrayFacts]] = {}
        for split, path, facts in named:
            field = shortened[path]
            if only and field not in only:
                continue
            if field in found.setdefault(split, {}):
                hint = "rename one of them, or choose fields with --field"
                raise DataError(f"two arrays would be the field {field!a}", where=self._where, hint=hint)
            found[split][field] = facts
        known = set(shortened.values())
        if missing := sorted(only - known):
            hint = f"its fields are {', '.join(sorted(known))}"[:300]
            raise DataError(f"no array is called {missing[0][:100]!a}", where=self._where, hint=hint)
        if not found:
            raise DataError("no array in it has an axis of samples", where=self._where)
        self._check_fields(found)
        order: list[str | None] = [*in_split_order(split for split in found if split is not None)] or [None]
        rows: list[_Rows] = []
        first = 0
        for split in order:
            count = self._length(found[split])
            if count:
                rows.append(_Rows(split, first, count, tuple(found[split].items())))
            first += count
        if not rows:
            raise DataError("its arrays are empty", where=self._where)
        return rows

    def _check_fields(self, found: Mapping[str | None, Mapping[str, ArrayFacts]]) -> None:
        names = {split: set(fields) for split, fields in found.items()}
        every = set().union(*names.values())
        if len(every) > MAX_FIELDS:
            raise DataError(f"{len(every):,} fields; the most is {MAX_FIELDS:,}", where=self._where)
        for split, fields in names.items():
            if lacking := sorted(every - fields):
                hint = "each split needs the same arrays; choose fields with --field"
                raise DataError(f"the split {split} has no array {lacking[0]!a}", where=self._where, hint=hint)

    def _length(self, fields: Mapping[str, ArrayFacts]) -> int:
        lengths = {name: facts.shape[0] for name, facts in fields.items()}
        if len(set(lengths.values())) > 1:
            listed = ", ".join(f"{name} {length:,}" for name, length in list(lengths.items())[:8])
            most = Counter(lengths.values()).most_common(1)[0][0]
            chosen = " ".join(f"--field {name}" for name, length in lengths.items() if length == most)
            hint = f"choose fields of one length, such as {chosen}"[:300]
            raise DataError(f"arrays of different lengths: {listed}", where=self._where, hint=hint)
        return next(iter(lengths.values()))

    def _merged_fields(self) -> tuple[Field, ...]:
        """Return the fields; what differs between splits is left open."""
        fields: dict[str, Field] = {}
        for rows in self._rows:
            for name, facts in rows.arrays:
                field = Field(name=name, type=type_of(facts), optional=facts.values == "times")
                known = fields.get(name)
                fields[name] = (
                    field if known is None else replace(known, type=self._merged(name, known.type, field.type))
                )
        return tuple(fields.values())

    def _merged(self, name: str, one: FieldType, other: FieldType) -> FieldType:
        both = merged(one, other)
        if both is None:
            hint = "convert one of them, or import the splits one by one"
            raise DataError(f"the field {name!a} has another type in another split", where=self._where, hint=hint)
        return both


def merged(one: FieldType, other: FieldType) -> FieldType | None:
    """Return the type of values of both types, dtype and lengths open where they differ; ``None`` if there is none."""
    if one == other:
        return one
    if not isinstance(one, Array) or not isinstance(other, Array):
        return None
    shape: tuple[int | None, ...] | None = None
    if one.shape is not None and other.shape is not None and len(one.shape) == len(other.shape):
        shape = tuple(a if a == b else None for a, b in zip(one.shape, other.shape, strict=True))
    return Array(dtype=one.dtype if one.dtype == other.dtype else None, shape=shape)


def type_of(facts: ArrayFacts, *, rows: bool = True) -> FieldType:
    """Return the type of a row of an array, or of the array as a whole."""
    name = facts.dtype.name if facts.dtype.name in DTYPES else None
    shape = facts.shape[1:] if rows else facts.shape
    if facts.values == "lengths":
        return Array(dtype=name, shape=(None,))
    if facts.values in ("text", "times"):
        return List(item=Scalar(kind="str")) if shape else Scalar(kind="str")
    if shape:
        return Array(dtype=name, shape=shape)
    kind = _SCALARS.get(facts.dtype.kind)
    return Array(dtype=name) if kind is None else Scalar(kind=kind)


def _path(facts: ArrayFacts) -> str:
    return facts.path if facts.member is None else f"{facts.path}/{facts.member}"


def _short_names(paths: Sequence[str]) -> dict[str, str]:
    """Return the field of each path: its last part if that is unique, else all parts joined by ``_``."""
    parts = {path: path.strip("/").split("/") for path in paths}
    last = Counter(names[-1] for names in parts.values())
    return {path: names[-1] if last[names[-1]] == 1 else "_".join(names) for path, names in parts.items()}


def _split_in_path(path: str) -> tuple[str | None, str]:
    """Return the split that a path names, and the rest: ``train``, ``x`` for ``/train/x`` and for ``x_train``."""
    parts = path.strip("/").split("/")
    for number, part in enumerate(parts[:-1]):
        if (split := split_of_word(part)) is not None:
            return split, "/".join(parts[:number] + parts[number + 1 :])
    words = _SEPARATOR.split(parts[-1])
    for number in (len(words) - 1, 0):
        split = split_of_word(words[number])
        if split is not None and len(words) > 1:
            rest = "_".join(words[:number] + words[number + 1 :])
            return split, "/".join((*parts[:-1], rest))
    return None, path
