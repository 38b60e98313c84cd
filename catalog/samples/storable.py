"""Names and values that a sample can have.

Fields are never called ``__key__``, ``__url__`` or the like: webdataset gives such names to what it adds to samples.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["RESERVED", "is_missing"]

RESERVED: Final = re.compile(r"__.*__", re.DOTALL)
"""Names that no field has."""


def is_missing(value: object) -> bool:
    """Return whether a value is a mark of pandas for a missing one: NaN, ``NaT`` or ``NA``; ``None`` is not."""
    if isinstance(value, float):
        return value != value  # noqa: PLR0124 - only NaN is
    kind = type(value)
    return kind.__name__ in ("NaTType", "NAType") and kind.__module__.partition(".")[0] == "pandas"
