"""Scalars whose stored form is not their Python value: datetimes (ISO 8601 text), maps (checked) and images (files).

- A datetime is written with its offset, so one without a time zone is refused. Text of other programs without an offset
  is read as a datetime without one, unless values are validated.
- Offsets with seconds (local mean times) aren't ISO 8601; such a time is written in UTC.
- A map contains JSON values only. msgpack could store bytes and arrays in it, but they would be read as something else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from catalog.errors import InvalidSample
from catalog.samples.media import ImageBytes, encode_image, is_image, open_image, read_pixels

if TYPE_CHECKING:
    from catalog.samples.annotations import Entry
    from catalog.schema import Scalar

_PYTHON: Final[Mapping[str, type]] = {"str": str, "int": int, "bool": bool, "bytes": bytes, "map": dict}
_MAX_DEPTH: Final = 256
_LEAST, _MOST = -(2**63), 2**64 - 1
_MINUTE: Final = timedelta(minutes=1)


def fits_scalar(type_: Scalar, value: object, entry: Entry) -> bool:  # noqa: PLR0911 - a kind a line
    """Return whether a value can be written into a field; an ``int`` is a float, a ``bool`` is no number."""
    match type_.kind:
        case "datetime":
            return isinstance(value, datetime) and value.utcoffset() is not None
        case "map":
            return isinstance(value, dict) and next(json_faults(value), None) is None
        case "float":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "int":
            return isinstance(value, int) and not isinstance(value, bool)
        case "bytes" if entry.decodes == "image":
            return isinstance(value, bytes) or is_image(value)
        case "bytes" if entry.decodes == "pixels":
            return isinstance(value, bytes | np.ndarray)
    return isinstance(value, _PYTHON[type_.kind])


def write_scalar(type_: Scalar, value: Any, entry: Entry) -> Any:  # noqa: ANN401 - samples hold anything
    """Return what is stored for a value. Raises :class:`InvalidSample` if it isn't of the type."""
    match type_.kind:
        case "datetime" if isinstance(value, datetime):
            return _write_datetime(value)
        case "map" if isinstance(value, dict):
            for fault in json_faults(value):
                raise InvalidSample(f"a map of JSON values, but {fault}", hint="give other values a field of their own")
            return value
        case "bytes" if entry.decodes is not None and not isinstance(value, bytes):
            if fits_scalar(type_, value, entry):
                return encode_image(value, type_.media)
        case "float" if fits_scalar(type_, value, entry):
            stored = float(value)
            if stored != value and isinstance(value, int):
                raise InvalidSample("an integer that no float is equal to", hint="float(value), or a field of type int")
            return stored
        case "int" if fits_scalar(type_, value, entry) and not _LEAST <= value <= _MOST:
            raise InvalidSample(
                "an integer of more than 64 bits can't be packed", hint="str(value), in a field of type str"
            )
        case _ if fits_scalar(type_, value, entry):
            return value
    raise TypeError


def _write_datetime(value: datetime) -> str:
    if value != value:  # noqa: PLR0124 - pandas' NaT
        raise InvalidSample("NaT is no datetime", hint="None, in an optional field")
    offset = value.utcoffset()
    if offset is None:
        hint = "value.replace(tzinfo=datetime.UTC) if it is in UTC, value.astimezone() if in local time"
        raise InvalidSample("a datetime without a time zone", hint=hint)
    if getattr(value, "nanosecond", 0):
        hint = "value.floor('us'), or an array of datetime64[ns]"
        raise InvalidSample("a datetime with nanoseconds, which would be lost", hint=hint)
    return (value.astimezone(UTC) if offset % _MINUTE else value).isoformat()


def json_faults(value: object, where: str = "", depth: int = 0) -> Iterator[str]:
    """Yield what isn't JSON in a value, each with its place in it."""
    place = where or "it"
    if depth > _MAX_DEPTH:
        yield f"{place[:80]} is nested more than {_MAX_DEPTH} deep"
    elif isinstance(value, dict):
        for name, inner in value.items():
            if isinstance(name, str):
                yield from json_faults(inner, f"{where}[{name!a}]", depth + 1)
            else:
                yield f"{place[:80]} has the key {name!a:.40}, which isn't text"
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            yield from json_faults(inner, f"{where}[{number}]", depth + 1)
    elif isinstance(value, int):
        if not _LEAST <= value <= _MOST:
            yield f"{place[:80]} is an integer of more than 64 bits"
    elif value is not None and not isinstance(value, str | float | np.bool_ | np.integer | np.floating):
        yield f"{place[:80]} is of type {type(value).__name__}"


def scalar_step(type_: Scalar, entry: Entry, *, validate: bool) -> tuple[type, Callable[[Any], Any] | None]:
    """Return the type that a stored value has, and the function that reads it, ``None`` for no conversion.

    The function raises ValueError or :class:`InvalidSample` for a value that can't be read.
    """
    match type_.kind:
        case "datetime":
            return str, _read_aware if validate else datetime.fromisoformat
        case "map":
            return dict, _read_map if validate else None
        case "float":
            return float, None
        case "bytes" if entry.decodes is not None:
            return bytes, open_image if entry.decodes == "image" else read_pixels
        case "bytes" if type_.media is not None and type_.media.startswith("image/"):
            return bytes, ImageBytes
    return _PYTHON[type_.kind], None


def _read_aware(text: str) -> datetime:
    value = datetime.fromisoformat(text)
    if value.tzinfo is None:
        raise ValueError("no time zone")
    return value


def _read_map(value: dict[str, Any]) -> dict[str, Any]:
    for fault in json_faults(value):
        raise InvalidSample(f"a map of JSON values, but {fault}")
    return value
