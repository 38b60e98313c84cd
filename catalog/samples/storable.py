"""Names and values that a sample can have.

Fields are never called ``__key__``, ``__url__`` or the like: webdataset gives such names to what it adds to samples.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, Final

import numpy as np

from catalog.errors import InvalidSample
from catalog.shards import limits

_PLAIN: Final = frozenset((bool, int, float, str, bytes, type(None)))
_MAX_NESTING: Final = 400
"""msgpack writes 511 levels and reads 1,024; each takes a frame of Python here."""
_KEYS: Final = (str, int, float, bytes, type(None), np.generic)

RESERVED: Final = re.compile(r"__.*__", re.DOTALL)
"""Names that no field has."""


def is_missing(value: object) -> bool:
    """Return whether a value is a mark of pandas for a missing one: NaN, ``NaT`` or ``NA``; ``None`` is not."""
    if isinstance(value, float):
        return value != value  # noqa: PLR0124 - only NaN is
    kind = type(value)
    return kind.__name__ in ("NaTType", "NAType") and kind.__module__.partition(".")[0] == "pandas"


def check_nested(name: object, value: Collection[Any], key: str, depth: int = 1) -> None:
    """Raise :class:`InvalidSample` if a list or map can't be read again: by its length, depth, or keys."""
    fault: tuple[str, str] | None = None
    items: Collection[Any]
    if depth > _MAX_NESTING:
        fault, items = (f"lists or maps in each other, more than {_MAX_NESTING} deep", "flatten them"), ()
    elif isinstance(value, dict):
        odd = next((one for one in value if not isinstance(one, _KEYS)), None)
        if odd is not None:
            fault = f"a map with a key of type {type(odd).__name__} can't be stored", "write str(key)"
        items = value.values()
    else:
        if len(value) > limits.MAX_LIST:
            fault = f"a list of {len(value):,} items; the most is {limits.MAX_LIST:,}", "write np.asarray(value)"
        items = value
    if fault is None and not set(map(type, items)) <= _PLAIN:  # of a million numbers only the types matter
        for item in items:
            if isinstance(item, list | tuple | dict):
                check_nested(name, item, key, depth + 1)
            elif depth > limits.MAX_ARRAY_DEPTH and isinstance(item, np.ndarray):
                fault = f"an array in more than {limits.MAX_ARRAY_DEPTH} lists can't be stored", "stack the arrays"
    if fault is not None:
        raise InvalidSample(f"field {name!a:.200}: {fault[0]}", where=key or None, hint=fault[1])
