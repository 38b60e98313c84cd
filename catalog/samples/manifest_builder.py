"""Make the manifest of a shard in the pass that hashes or writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from catalog.errors import CatalogError
from catalog.samples.packing import unpack_values
from catalog.samples.shard_manifest import Row, ShardManifest
from catalog.samples.statistics import Statistics

if TYPE_CHECKING:
    from collections.abc import Callable

    from catalog.schema import SampleType
    from catalog.shards.formats import Format

__all__ = ["ManifestBuilder"]

MAX_ROWS: Final = 1_000_000
"""Samples of a shard that get a row; of more there are only statistics."""
MAX_COLUMNS: Final = 100
MAX_TEXT: Final = 256
"""Characters of a text in a column; a field with a longer one has none."""
_INT64: Final = 1 << 63
_SMALL: Final = frozenset({bool, int, float, str})


class ManifestBuilder:
    """Collects the samples of one shard with :meth:`add`; :meth:`finish` returns the manifest."""

    def __init__(self, form: Format, sample_type: SampleType | None = None) -> None:
        decoder = form.decoder(sample_type)
        self._values: Callable[[Any, str], dict[str, Any]] = unpack_values if decoder is None else decoder
        self._form, self._type = form, sample_type
        self._statistics = Statistics()
        self._rows: list[Row] = []
        self._columns: dict[str, list[Any]] = {}
        self._dropped: set[str] = set()

    def add(self, key: str, raw: Any, places: list[int] | None) -> None:  # noqa: ANN401 - see formats.Raw
        """Add a sample; ``places`` are begin and end of its bytes, and are cleared."""
        try:
            values = self._values(raw, key)
        except CatalogError:  # reported where it is compared with the schema
            values = {}
        self._statistics.add(values)
        number = len(self._rows)
        if number >= MAX_ROWS:
            return
        if places:
            self._rows.append(Row(key, places[-2], places[-1] - places[-2]))
            places.clear()
        else:
            self._rows.append(Row(key, None, None))
        for name, value in values.items():
            if value is not None and name not in self._dropped:
                self._add_value(name, value, number)

    def _add_value(self, name: str, value: object, number: int) -> None:
        columns = self._columns
        small = type(value) in _SMALL and not (type(value) is str and not _is_short(value))
        if not small or (name not in columns and (len(columns) >= MAX_COLUMNS or name[:2] == "__")):
            columns.pop(name, None)
            self._dropped.add(name)
            return
        column = columns.setdefault(name, [])
        if len(column) < number:
            column += [None] * (number - len(column))
        column.append(value)

    def finish(self) -> ShardManifest:
        """Return the manifest: without rows if there are too many samples."""
        samples = self._statistics.samples
        complete = samples <= MAX_ROWS
        columns = {name: column + [None] * (samples - len(column)) for name, column in self._columns.items()}
        return ShardManifest(
            samples=samples,
            statistics=self._statistics.result(),
            format=self._form.name,
            schema_type="" if self._type is None else self._type.name,
            schema_version="" if self._type is None else self._type.version,
            rows=self._rows if complete else (),
            columns={name: column for name, column in columns.items() if _is_column(column)} if complete else {},
        )


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
