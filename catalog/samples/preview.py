"""A sample for a person to look at, and as JSON: arrays as their dtype, shape and range instead of all their values."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from catalog.samples.packable import fields_of
from catalog.sampletype import Array, type_text
from catalog.sanitize import escaped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["as_json", "lines"]

MAX_TEXT: Final = 100
MAX_VALUES: Final = 64
"""Values of an array that are listed in JSON; beyond that its dtype, shape and range say what it is."""

_SHOWN_ITEMS: Final = 5


def lines(sample: object) -> Iterator[str]:
    """One line with the sample's key, and one for each field: its wire name and a short text of its value."""
    yield _plain(getattr(sample, "__key__", "")) or "sample"
    values = fields_of(sample)
    width = min(30, max((len(_plain(name)) for name in values), default=0))
    for name, value in values.items():
        yield f"  {_plain(name):{width}}  {_short(value)}"


def as_json(sample: object) -> dict[str, Any]:
    """The sample as JSON values: ``{"key": …, "fields": {wire name: value}}``; bytes as their length."""
    return {
        "key": getattr(sample, "__key__", ""),
        "fields": {name: _json(value) for name, value in fields_of(sample).items()},
    }


def _plain(text: str) -> str:
    """Text on one line, without what a terminal would act on."""
    shown = text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"
    return escaped(shown)


def _short(value: object) -> str:
    if isinstance(value, np.ndarray):
        return _array(value)
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, list):
        shown = ", ".join(_short(item) for item in value[:_SHOWN_ITEMS])
        return f"[{shown}{', …' if len(value) > _SHOWN_ITEMS else ''}]" + (f" ({len(value)})" if value else "")
    if isinstance(value, dict):
        shown = ", ".join(f"{_plain(str(name))}: {_short(item)}" for name, item in list(value.items())[:_SHOWN_ITEMS])
        return f"{{{shown}{', …' if len(value) > _SHOWN_ITEMS else ''}}}"
    return _plain(str(value))


def _array(array: NDArray[Any]) -> str:
    kind = type_text(Array(dtype=array.dtype.name, shape=array.shape or None))
    limits = _limits(array)
    if array.ndim == 0 or limits is None:
        return kind if limits is None else f"{kind} = {limits[0]}"
    return f"{kind}, {limits[0]} … {limits[1]}"


def _limits(array: NDArray[Any]) -> tuple[Any, Any] | None:
    """The smallest and the largest value, ``None`` where there is none: an empty array, text, records, only NaN."""
    if array.size == 0 or array.dtype.kind not in "buif":
        return None
    known = array[~np.isnan(array)] if array.dtype.kind == "f" else array
    return (known.min().item(), known.max().item()) if known.size else None


def _json(value: object) -> object:
    match value:
        case np.ndarray():
            return _array_json(value)
        case bytes():
            return {"bytes": len(value)}
        case list():
            return [_json(item) for item in value]
        case dict():
            return {str(name): _json(item) for name, item in value.items()}
        case float():
            return value if math.isfinite(value) else str(value)  # JSON has no words for them
    return value if isinstance(value, str | int | None) else str(value)


def _array_json(array: NDArray[Any]) -> dict[str, object]:
    found: dict[str, object] = {"dtype": array.dtype.name, "shape": list(array.shape)}
    limits = _limits(array)
    if limits is not None:
        found |= {"min": _json(limits[0]), "max": _json(limits[1])}
    return found | ({"values": _json(array.tolist())} if array.size <= MAX_VALUES else {})
