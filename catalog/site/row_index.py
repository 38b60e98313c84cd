"""The index of a dataset's rows for the row viewer: the position of each sample, and the values of its small columns.

``index.json`` names the other files, which are zlib streams:

- positions: for each shard the places of its samples' first tar header (of text tables: lines), and the end of the last
  one, as differences in units of ``unit`` bytes; each is a variable-length integer of 7 bits a byte, the lowest first.
- a column: a little-endian array with an element for each sample of all shards. Texts and booleans are numbers: 0 if
  missing, else 1 + the place in ``words`` (false, true). Missing numbers are NaN.
- keys: UTF-8 text with the keys of all samples, one a line.
"""

from __future__ import annotations

import json
import math
import zlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FORMAT: Final = 1
BLOCK: Final = 512
FORMATS: Final = frozenset({"msgpack", "webdataset", "csv", "jsonl"})
"""Formats whose samples are read in a browser."""
MAX_ROWS: Final = 5_000_000
"""Samples of a dataset with an index: its files are kept in a browser's memory."""
MAX_COLUMNS: Final = 16
MAX_WORDS: Final = 500
"""Distinct texts of a column."""
_LONGEST_WORD: Final = 100
_MAX_KEY_BYTES: Final = 20_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardRows:
    """The samples of a shard: ``places`` in bytes, of the first header or line of each, and ``end`` of the last one.

    ``columns`` are values by name, one for each sample; ``None`` is a missing one. ``keys`` may be empty: unknown.
    """

    places: Sequence[int]
    end: int
    keys: Sequence[str] = ()
    columns: Mapping[str, Sequence[object]] = field(default_factory=dict)


def row_index(shards: Sequence[ShardRows], *, unit: int = BLOCK) -> dict[str, bytes] | None:
    """Return the files of the index by name; ``None`` if there are too many samples, or none.

    A column is left out if a shard doesn't have it, if its values are of several types, or if it has too many texts.
    """
    total = sum(len(shard.places) for shard in shards)
    if not 0 < total <= MAX_ROWS or any(place % unit for shard in shards for place in (*shard.places, shard.end)):
        return None
    files = {"positions.bin": zlib.compress(_positions(shards, unit), 9)}
    header: dict[str, Any] = {
        "format": FORMAT,
        "unit": unit,
        "shards": [len(shard.places) for shard in shards],
        "positions": "positions.bin",
        "columns": [],
    }
    keys = "\n".join(key for shard in shards for key in shard.keys)
    if keys.count("\n") == total - 1 and len(keys) <= _MAX_KEY_BYTES and sum(len(one.keys) for one in shards) == total:
        header["keys"] = "keys.bin"
        files["keys.bin"] = zlib.compress(keys.encode("utf-8", "replace"), 9)
    for name in shards[0].columns if shards else ():
        if len(header["columns"]) == MAX_COLUMNS:
            break
        if not all(name in shard.columns for shard in shards):
            continue
        found = _column([value for shard in shards for value in shard.columns[name]])
        if found is not None:
            about, array = found
            file = f"column-{len(header['columns'])}.bin"
            files[file] = zlib.compress(array.tobytes(), 9)
            header["columns"].append({"name": name, "file": file, **about})
    files["index.json"] = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    return files


def _positions(shards: Sequence[ShardRows], unit: int) -> bytes:
    found = bytearray()
    for shard in shards:
        before = 0
        for place in (*shard.places, shard.end):
            step = (place - before) // unit
            before = place
            while step > 127:
                found.append(128 | step & 127)
                step >>= 7
            found.append(step)
    return bytes(found)


def _column(values: Sequence[object]) -> tuple[dict[str, Any], np.ndarray[Any, Any]] | None:
    """Return the description and the array of a column; ``None`` if it isn't one to filter by."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return {"type": "bool", "dtype": "u1"}, np.array([0 if v is None else 1 + int(v is True) for v in values], "u1")
    if kinds and kinds <= {int, float}:
        return _numbers(values)
    if kinds != {str}:
        return None
    counts = Counter(value for value in values if isinstance(value, str))
    if len(counts) > MAX_WORDS or any(len(word) > _LONGEST_WORD for word in counts):
        return None
    words = sorted(counts)
    place = {word: 1 + number for number, word in enumerate(words)}
    dtype = "u1" if len(words) < 255 else "u2"
    array = np.array([place.get(value, 0) if isinstance(value, str) else 0 for value in values], f"<{dtype}")
    return {"type": "text", "dtype": dtype, "words": words}, array


def _numbers(values: Sequence[object]) -> tuple[dict[str, Any], np.ndarray[Any, Any]] | None:
    numbers = [value for value in values if isinstance(value, int | float) and math.isfinite(value)]
    if not numbers:
        return None
    low, high = min(numbers), max(numbers)
    about: dict[str, Any] = {"type": "number", "low": low, "high": high}
    if len(numbers) == len(values) and all(isinstance(value, int) for value in numbers):
        for dtype in ("u1", "i1", "u2", "i2", "u4", "i4"):
            if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
                return {**about, "dtype": dtype}, np.array(values, f"<{dtype}")
    if max(abs(low), abs(high)) > 2**53:
        return None  # a browser's numbers would be others
    array = np.array([math.nan if value is None else value for value in values], "<f8")
    return {**about, "dtype": "f8"}, array
