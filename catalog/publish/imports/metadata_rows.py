"""``metadata.csv``, ``metadata.jsonl`` and ``metadata.parquet`` of an image folder: a row of values for each image.

Numbers of a CSV column are numbers if every cell is one: a column with ``01234`` or ``NA`` stays text.
"""

from __future__ import annotations

import csv
import json
import math
import posixpath
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from catalog.errors import DataError
from catalog.shards.formats import FORMATS
from catalog.shards.formats.json_values import parse_json

__all__ = ["METADATA_FILES", "ImageRow", "read_rows"]

METADATA_FILES: Final = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
_MAX_BYTES: Final = 1 << 30
_FILE: Final = "file_name"
_INT: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_FLOAT: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?")
_MAX_FLOAT: Final = 1e308
_MAX_DIGITS: Final = 17
"""A longer decimal number would lose digits as a float, so its column stays text."""


@dataclass(frozen=True, slots=True)
class ImageRow:
    """A row: its images (field name or ``""``, path below the root), its other values, and their size as JSON."""

    images: tuple[tuple[str, str], ...]
    values: Mapping[str, object] | None
    size: int


def read_rows(root: Path, paths: Sequence[str], images: Mapping[str, object]) -> list[ImageRow] | None:
    """Return the rows of all metadata files, ``None`` if there is none.

    Raises :class:`DataError` with file and line for a row that can't be read or whose image isn't there.
    """
    if not paths:
        return None
    rows: list[ImageRow] = []
    seen: set[str] = set()
    for path in paths:
        file = root / path
        folder = posixpath.dirname(path)
        for line, values in _read(file, path):
            where = f"{path}:{line}"
            row = _row(values, folder, images, where)
            twice = row.images[0][1]
            if twice in seen:
                raise DataError(f"a second row for {twice[:200]!a}", where=where, hint="remove one of them")
            seen.add(twice)
            rows.append(row)
    if not rows:
        raise DataError("the metadata has no rows", where=paths[0], hint="remove the file, or add its rows")
    return rows


def _row(values: dict[str, Any], folder: str, images: Mapping[str, object], where: str) -> ImageRow:
    named: list[tuple[str, str]] = []
    rest: dict[str, object] = {}
    for key, value in values.items():
        if key == _FILE:
            named.insert(0, ("", value))
        elif key.endswith(f"_{_FILE}"):
            named.append((key.removesuffix(f"_{_FILE}"), value))
        else:
            rest[key] = value
    if not named:
        hint = "it is the path of the image, relative to this file; for several images: image_file_name, mask_file_name"
        raise DataError(f"no column {_FILE!r}", where=where, hint=hint)
    found = []
    for name, value in named:
        path = posixpath.normpath(posixpath.join(folder, value)) if isinstance(value, str) else ""
        if path not in images:
            hint = "paths are relative to the metadata file, with /"
            raise DataError(f"no image {str(value)[:200]!a} in the folder", where=where, hint=hint)
        found.append((re.sub(r"[^A-Za-z0-9_]", "_", name), path))
    try:
        size = len(json.dumps(rest, ensure_ascii=False, allow_nan=False).encode())
    except (ValueError, RecursionError) as error:
        raise DataError(f"a value that JSON doesn't have: {error}", where=where, hint="use null") from None
    return ImageRow(tuple(found), rest or None, size)


def _read(file: Path, path: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield line number and values of each row."""
    if file.stat().st_size > _MAX_BYTES:
        raise DataError(f"more than {_MAX_BYTES:,} bytes of metadata", where=path)
    try:
        yield from _READERS[file.suffix](file, path)
    except UnicodeDecodeError as error:
        raise DataError(f"not UTF-8 text: {error.reason}", where=path, hint="save the file as UTF-8") from None
    except OSError as error:
        raise DataError(f"the file can't be read: {error.strerror or error}", where=path) from None


def _jsonl(file: Path, path: str) -> Iterator[tuple[int, dict[str, Any]]]:
    with file.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                value = parse_json(line)
            except ValueError as error:
                raise DataError(f"not JSON: {error}", where=f"{path}:{number}") from None
            if not isinstance(value, dict):
                raise DataError("not a JSON object", where=f"{path}:{number}", hint='{"file_name": "1.jpg", …}')
            yield number, value


def _parquet(file: Path, path: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield row number and values: times as text, arrays as lists, NaN as null."""
    with file.open("rb", buffering=0) as source:
        for number, (_, row) in enumerate(FORMATS["parquet"].samples(source, path), start=1):
            assert isinstance(row, dict)  # noqa: S101 - a row of a table
            where = f"{path}:{number}"
            yield number, {name: _json_value(value, name, where) for name, value in row.items()}


def _json_value(value: Any, name: str, where: str) -> Any:  # noqa: ANN401 - of any column
    if isinstance(value, bytes):
        hint = "images of an image folder are files; publish the Parquet file itself, which needs no import"
        raise DataError(f"bytes in the column {name[:100]!a}", where=where, hint=hint)
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, list):
        return [_json_value(item, name, where) for item in value]
    if isinstance(value, dict):
        return {key: _json_value(item, name, where) for key, item in value.items()}
    return value.isoformat() if hasattr(value, "isoformat") else value


def _csv(file: Path, path: str) -> Iterator[tuple[int, dict[str, Any]]]:
    with file.open(encoding="utf-8-sig", newline="") as text:
        reader = csv.reader(text, strict=True)
        try:
            names = next(reader, [])
            cells = [(reader.line_num, row) for row in reader if row]
        except csv.Error as error:
            raise DataError(f"not CSV: {error}", where=f"{path}:{reader.line_num}") from None
    name, count = Counter(names).most_common(1)[0] if names else ("", 1)
    if count > 1:
        raise DataError(f"{count} columns are called {name[:100]!a}", where=f"{path}:1", hint="rename them")
    for line, row in cells:
        if len(row) != len(names):
            raise DataError(f"{len(row)} cells; the header has {len(names)}", where=f"{path}:{line}")
    convert = [_converter([row[column] for _, row in cells], name) for column, name in enumerate(names)]
    for line, row in cells:
        yield line, {name: to(cell) for name, to, cell in zip(names, convert, row, strict=True)}


def _converter(cells: Sequence[str], name: str) -> Callable[[str], object]:
    """Return the function that makes values of a column's cells; empty cells of numbers are null."""
    given = [cell for cell in cells if cell]
    if not given or name == _FILE or name.endswith(f"_{_FILE}"):
        return str
    if all(map(_INT.fullmatch, given)):
        return lambda cell: int(cell) if cell else None
    if all(len(cell) <= _MAX_DIGITS and _FLOAT.fullmatch(cell) and abs(float(cell)) <= _MAX_FLOAT for cell in given):
        return lambda cell: float(cell) if cell else None
    return str


_READERS: Final[Mapping[str, Callable[[Path, str], Iterator[tuple[int, dict[str, Any]]]]]] = {
    ".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet,
}  # fmt: skip
