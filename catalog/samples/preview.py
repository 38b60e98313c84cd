"""Show a sample as text or JSON: arrays by dtype, shape and range instead of all their values."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from catalog.errors import InvalidArray
from catalog.samples.annotations import fields_of
from catalog.samples.arrays import dtype_name
from catalog.samples.media import is_image, media_of
from catalog.sanitize import Html, escaped, html_table
from catalog.schema import Array, type_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_TEXT: Final = 100
MAX_VALUES: Final = 64
"""Values of an array that are listed in JSON; a larger one has only dtype, shape and range."""

MAX_DEPTH: Final = 32
"""Nested lists and maps; deeper values are an ellipsis."""

MAX_ROWS: Final = 50
MAX_PICTURES: Final = 4
MAX_PICTURE: Final = 200_000
"""Bytes of an image that is drawn in a notebook, and images of one sample."""

DRAWN: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})

_MAX_BITS: Final = 1024
_SHOWN_ITEMS: Final = 5


def lines(sample: object) -> Iterator[str]:
    """Yield a line with the sample's key, and one for each field: its wire name and a short text of its value."""
    yield _plain(getattr(sample, "__key__", "")) or "sample"
    values = fields_of(sample)
    width = min(30, max((len(_plain(name)) for name in values), default=0))
    for name, value in values.items():
        yield f"  {_plain(name):{width}}  {_short(value)}"


def as_html(sample: object, *, title: str | None = None) -> str:
    """Return the fields as a table, for notebooks: arrays by dtype, shape and range, small images drawn."""
    values = list(islice(fields_of(sample).items(), MAX_ROWS))
    drawn = 0
    rows: list[tuple[str, str]] = []
    for name, value in values:
        picture = _picture(value) if drawn < MAX_PICTURES else None
        drawn += picture is not None
        rows.append((_text(name), picture or _short(value)))
    more = len(fields_of(sample)) - len(values)
    key = getattr(sample, "__key__", "")
    note = ", ".join(filter(None, (f"key {key}" if key else "", f"{more:,} more fields" if more else "")))
    return html_table(title or type(sample).__name__, ("field", "value"), rows, note=note)


def _picture(value: object) -> Html | None:
    """Return an image element for the bytes of a small image of a format without scripts."""
    if not isinstance(value, bytes) or len(value) > MAX_PICTURE:
        return None
    media = media_of(value)
    if media not in DRAWN:
        return None
    data = base64.b64encode(value).decode()
    return Html(f'<img style="max-width: 256px; max-height: 256px" alt="{media}" src="data:{media};base64,{data}">')


def as_json(sample: object) -> dict[str, Any]:
    """Return the sample as JSON values: ``{"key": …, "fields": {wire name: value}}``; bytes as their length."""
    return {
        "key": getattr(sample, "__key__", ""),
        "fields": {name: _json(value) for name, value in fields_of(sample).items()},
    }


def _plain(text: str) -> str:
    """Return text on one line, without characters that control a terminal."""
    shown = text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"
    return escaped(shown)


def _short(value: object, depth: int = 0) -> str:  # noqa: PLR0911 - a kind of value a line
    if depth > MAX_DEPTH:
        return "…"
    if isinstance(value, np.ndarray):
        return _array(value)
    if isinstance(value, bytes):
        media = media_of(value)
        return f"{len(value)} bytes" if media is None else f"{media}, {len(value)} bytes"
    if is_image(value):
        return _image(value)
    if isinstance(value, list):
        shown = ", ".join(_short(item, depth + 1) for item in value[:_SHOWN_ITEMS])
        return f"[{shown}{', …' if len(value) > _SHOWN_ITEMS else ''}]" + (f" ({len(value)})" if value else "")
    if isinstance(value, dict):
        some = islice(value.items(), _SHOWN_ITEMS)
        shown = ", ".join(f"{_plain(_text(name))}: {_short(item, depth + 1)}" for name, item in some)
        return f"{{{shown}{', …' if len(value) > _SHOWN_ITEMS else ''}}}"
    return _plain(_text(value))


def _text(value: object) -> str:
    """Return ``str(value)``, or why it fails: an integer with too many digits, an object with a broken ``__str__``."""
    try:
        return str(value)
    except Exception as error:  # noqa: BLE001 - the value's own code may raise anything
        return f"({type(value).__name__} that can't be shown: {type(error).__name__})"


def _image(image: Any) -> str:  # noqa: ANN401 - Pillow is imported only where it is needed
    return f"image {image.mode}, {image.width} × {image.height}"


def _array(array: NDArray[Any]) -> str:
    kind = type_text(Array(dtype=dtype_name(array.dtype), shape=array.shape or None))
    limits = _limits(array)
    if array.ndim == 0 or limits is None:
        return kind if limits is None else f"{kind} = {limits[0]}"
    return f"{kind}, {limits[0]} … {limits[1]}"


def _limits(array: NDArray[Any]) -> tuple[Any, Any] | None:
    """Return the smallest and largest value, ``None`` if there is none: an empty array, text, records, only NaN."""
    if array.size == 0 or array.dtype.kind not in "buif":
        return None
    if array.dtype.kind != "f":
        return array.min().item(), array.max().item()
    low, high = (reduce(array, axis=None) for reduce in (np.fmin.reduce, np.fmax.reduce))  # they ignore NaN
    return None if np.isnan(low) else (low.item(), high.item())


def _json(value: object, depth: int = 0) -> object:  # noqa: PLR0911 - one for each kind of value
    if depth > MAX_DEPTH:
        return "…"
    match value:
        case np.ndarray():
            return _array_json(value)
        case bytes():
            media = media_of(value)
            return {"bytes": len(value)} if media is None else {"bytes": len(value), "mediaType": media}
        case list():
            return [_json(item, depth + 1) for item in value]
        case dict():
            return {_text(name): _json(item, depth + 1) for name, item in value.items()}
        case float():
            return value if math.isfinite(value) else str(value)  # JSON has no NaN and infinities
        case int():
            return value if value.bit_length() <= _MAX_BITS else _text(value)
    return value if isinstance(value, str | None) else _image(value) if is_image(value) else _text(value)


def _array_json(array: NDArray[Any]) -> dict[str, object]:
    found: dict[str, object] = {"dtype": dtype_name(array.dtype), "shape": list(array.shape)}
    limits = _limits(array)
    if limits is not None:
        found |= {"min": _json(limits[0]), "max": _json(limits[1])}
    return found | ({"values": _values(array)} if array.size <= MAX_VALUES else {})


def _values(array: NDArray[Any]) -> object:
    try:
        return _json(array.tolist())
    except (SystemError, ValueError, OverflowError, TypeError) as error:  # text and dates that Python can't represent
        raise InvalidArray(f"values of dtype {array.dtype.name} that can't be shown: {error}") from error
