"""The line that converts a value which can't be stored: for error messages."""

from __future__ import annotations

import decimal
import enum
import pathlib
import uuid
from datetime import date, datetime, time, timedelta
from typing import Final

import numpy as np

_CLASSES: Final[tuple[tuple[type | tuple[type, ...], str], ...]] = (
    (datetime, "value.isoformat(), or a class with a field of type datetime.datetime"),
    ((date, time), "value.isoformat()"),
    (timedelta, "value.total_seconds()"),
    (decimal.Decimal, "str(value), or float(value)"),
    (uuid.UUID, "str(value)"),
    (pathlib.PurePath, "value.read_bytes() for the file, str(value) for its name"),
    (enum.Enum, "value.value"),
    ((set, frozenset), "sorted(value)"),
    (complex, "np.asarray(value)"),
    (np.generic, "np.asarray(value)"),
)
_LIBRARIES: Final[tuple[tuple[str, str, str], ...]] = (
    ("pandas", "NaTType", "None"),
    ("pandas", "NAType", "None"),
    ("pandas", "DataFrame", "value.to_dict('records') for its rows, a sample each"),
    ("pandas", "", "value.to_numpy()"),
    ("polars", "DataFrame", "value.to_dicts() for its rows, a sample each"),
    ("polars", "", "value.to_numpy()"),
    ("pyarrow", "", "value.as_py(), or value.to_numpy()"),
    ("torch", "", "value.numpy(force=True)"),
    ("jax", "", "np.asarray(value)"),
    ("jaxlib", "", "np.asarray(value)"),
    ("tensorflow", "", "value.numpy()"),
    ("h5py", "", "value[...]"),
    ("zarr", "", "value[...]"),
    ("xarray", "", "value.to_numpy()"),
    ("PIL", "", "a class with a field of type PIL.Image.Image, or the bytes of the file"),
)
"""The first part of the module, the class (empty: any), what to write."""


def conversion(value: object) -> str | None:
    """Return the expression that makes something storable of ``value``; ``None`` if there is no usual one."""
    root, name = type(value).__module__.partition(".")[0], type(value).__name__
    for library, class_, hint in _LIBRARIES:
        if root == library and class_ == name:
            return hint
    for classes, hint in _CLASSES:
        if isinstance(value, classes):
            return hint
    return next((hint for library, class_, hint in _LIBRARIES if root == library and not class_), None)
