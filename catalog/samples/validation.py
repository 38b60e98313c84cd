"""Validation of values against their fields, and the errors: sample key, field, expected, found."""

from __future__ import annotations

import dataclasses
import warnings
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from catalog.errors import InvalidArray, InvalidSample, MissingExtra
from catalog.samples.array_formats import ARRAYS
from catalog.samples.arrays import dtype_name
from catalog.samples.conversions import conversion
from catalog.schema import ML_DTYPES, Array, Field, FieldType, type_text

if TYPE_CHECKING:
    from catalog.errors import DataError


def fits_array(type_: Array, value: Any) -> bool:  # noqa: ANN401
    """Return whether a value has the form, dtype and shape of its type; for safetensors, whether each tensor has."""
    if type_.format == "safetensors":
        return isinstance(value, dict) and all(_has_layout(type_, tensor) for tensor in value.values())
    return _has_layout(type_, value) and (type_.format not in ARRAYS or isinstance(value, np.ndarray))


def _has_layout(type_: Array, value: Any) -> bool:  # noqa: ANN401
    dtype, found = getattr(value, "dtype", None), getattr(value, "shape", None)
    if not isinstance(dtype, np.dtype) or not isinstance(found, tuple):
        return False
    if type_.dtype is not None and not _dtype_fits(type_.dtype, dtype):
        return False
    shape = type_.shape
    return shape is None or (
        len(shape) == len(found) and all(want in (None, have) for want, have in zip(shape, found, strict=True))
    )


@lru_cache(maxsize=1024)
def _dtype_fits(wanted: str, found: np.dtype[Any]) -> bool:
    """Return whether a dtype is the one wanted, in any byte order; true if numpy doesn't know the wanted one.

    Text and times without a length or unit match any.
    """
    if wanted == found.name:
        return True
    if wanted in ML_DTYPES or found.name in ML_DTYPES:
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old names of dtypes
            promised = np.dtype(wanted)
    except (TypeError, ValueError, SyntaxError):
        return True
    if promised.itemsize == 0 or (promised.kind in "mM" and np.datetime_data(promised)[0] == "generic"):
        return promised.kind == found.kind
    return promised.newbyteorder("=") == found.newbyteorder("=")


def explained(error: InvalidArray | InvalidSample | MissingExtra, key: str, field: Field) -> DataError | MissingExtra:
    """Return the error of a value with sample and field."""
    what = f"field {field.name!a}: {error.what}"
    kind = MissingExtra if isinstance(error, MissingExtra) else InvalidSample
    return kind(what, where=key or None, hint=error.hint)


def misfit(type_: FieldType, value: Any, key: str, field: Field) -> InvalidSample:  # noqa: ANN401
    """Return the error for a value that doesn't match its field; ``dataclasses.MISSING`` is an absent value."""
    if value is dataclasses.MISSING:
        found = "nothing"
    elif isinstance(getattr(value, "dtype", None), np.dtype):
        form = "" if isinstance(value, np.ndarray) else f"{type(value).__name__} "
        found = form + type_text(Array(dtype=dtype_name(value.dtype), shape=value.shape or None))
    else:
        found = type(value).__name__
    what = f"field {field.name!a}: expected {type_text(type_, optional=field.optional)}, found {found}"
    return InvalidSample(what, where=key or None, hint=conversion(value))
