"""Make the manifest of a shard in the pass that hashes or writes it."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, Final

from catalog.errors import CatalogError
from catalog.samples.packing import unpack_values
from catalog.samples.shard_manifest import Row, ShardManifest
from catalog.samples.statistics import Statistics

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from catalog.schema import SampleType
    from catalog.shards.formats import Format

__all__ = ["ManifestBuilder"]

MAX_ROWS: Final = 1_000_000
"""Samples of a shard that get a row; of more there are only statistics."""
MAX_COLUMNS: Final = 100
MAX_TEXT: Final = 256
"""Characters of a text in a column; a field with a longer one has none."""
_UNKNOWN: Final = 4096
"""Bytes that a sample is taken for whose size isn't known."""
_INT64: Final = 1 << 63
_SMALL: Final = frozenset({bool, int, float, str})


class ManifestBuilder:
    """Collects the samples of one shard with :meth:`add`; :meth:`finish` returns the manifest."""

    def __init__(self, form: Format, sample_type: SampleType | None = None) -> None:
        decoder = form.decoder(sample_type)
        self._values: Callable[[Any, str], dict[str, Any]] = unpack_values if decoder is None else decoder
        self._form, self._type = form, sample_type
        self._statistics = Statistics(self._add_block)
        self._keys: list[str] = []
        self._places: list[int] = []
        self._columns: dict[str, list[Any]] = {}
        self._dropped: set[str] = set()
        self._count = 0

    def add(self, key: str, raw: Any, places: list[int] | None) -> None:  # noqa: ANN401 - see formats.Raw
        """Add a sample; ``places`` are begin and end of its bytes, and are cleared."""
        try:
            values = self._values(raw, key)
        except CatalogError:  # reported where it is compared with the schema
            values = {}
        size = 0
        if places:
            size = places[-1] - places[-2]
            if len(self._keys) < MAX_ROWS:
                self._places += places[-2:]
            places.clear()
        if len(self._keys) < MAX_ROWS:
            self._keys.append(key)
        self._statistics.add(values, size or _UNKNOWN)

    def _add_block(self, read: Mapping[str, list[Any]], count: int) -> None:
        """Add the values of some samples to the columns, and drop the columns of fields with other values."""
        for name, values in read.items():
            if name in self._dropped:
                continue
            kinds = set(map(type, values)) - {type(None)}
            texts = [value for value in values if value is not None] if kinds == {str} else []
            full = name not in self._columns and (len(self._columns) >= MAX_COLUMNS or name[:2] == "__")
            if full or not kinds <= _SMALL or not all(map(_is_short, texts)) or self._count >= MAX_ROWS:
                self._columns.pop(name, None)
                self._dropped.add(name)
                continue
            column = self._columns.setdefault(name, [])
            column += [None] * (self._count - len(column))
            column += values
        self._count += count

    def finish(self) -> ShardManifest:
        """Return the manifest: without rows if there are too many samples."""
        self._statistics.flush()
        samples = self._statistics.samples
        complete = samples <= MAX_ROWS
        columns = {name: column + [None] * (samples - len(column)) for name, column in self._columns.items()}
        return ShardManifest(
            samples=samples,
            statistics=self._statistics.result(),
            format=self._form.name,
            schema_type="" if self._type is None else self._type.name,
            schema_version="" if self._type is None else self._type.version,
            rows=self._rows() if complete else (),
            columns={name: column for name, column in columns.items() if _is_column(column)} if complete else {},
        )

    def _rows(self) -> tuple[Row, ...]:
        """Return the place of each sample; unless all have one, there is none."""
        if len(self._places) != 2 * len(self._keys):
            return tuple(Row(key, None, None) for key in self._keys)
        begins, ends = self._places[::2], self._places[1::2]
        sizes = map(operator.sub, ends, begins)
        return tuple(map(Row, self._keys, begins, sizes))


def _is_short(text: str) -> bool:
    """Return whether a text fits into a column: short, and without half a surrogate pair, which Parquet refuses."""
    if len(text) > MAX_TEXT:
        return False
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_column(values: list[Any]) -> bool:
    """Return whether values are of one type that Parquet has; integers among floats only if nothing is lost."""
    kinds = {type(value) for value in values} - {type(None)}
    if kinds == {int}:
        return all(value is None or -_INT64 <= value < _INT64 for value in values)
    if kinds == {int, float}:
        return all(value is None or type(value) is float or abs(value) <= 1 << 53 for value in values)
    return len(kinds) == 1
