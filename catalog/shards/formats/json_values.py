"""JSON values in text tables: strict parsing, and arrays of nested lists."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, Never

import numpy as np

if TYPE_CHECKING:
    from catalog.schema import Array


def _refused(name: str) -> Never:
    raise ValueError(f"{name} is not JSON; write null for a missing value")


class DuplicateName(ValueError):
    """A name that occurs twice in a JSON object: one of its values would be lost."""


def unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the members of a JSON object. Raises :class:`DuplicateName`."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise DuplicateName(f"the name {twice[:100]!a} occurs twice in an object")
    return found


_DECODER: Final = json.JSONDecoder(parse_constant=_refused, object_pairs_hook=unique_names)


def parse_json(text: str) -> Any:  # noqa: ANN401 - any JSON
    """Return a JSON value.

    Raises ValueError, also for NaN, Infinity, a name twice in an object, and values nested too deeply.
    """
    try:
        return _DECODER.decode(text)
    except RecursionError:
        raise ValueError("values are nested too deeply") from None


def array_of(type_: Array, value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return a number or nested lists of one shape as an array of the field's dtype; other values unchanged."""
    if not isinstance(value, list | int | float):
        return value
    try:
        found = np.asarray(value)
        if type_.dtype is None:
            return found if found.dtype.kind in "biuf" else value
        wanted = np.dtype(type_.dtype)
        exact = found.astype(wanted)
        same = wanted.kind in "fc" or np.array_equal(exact, found)
    except (ValueError, TypeError, OverflowError):  # ragged lists, texts, an integer too large
        return value
    return exact if same else value
