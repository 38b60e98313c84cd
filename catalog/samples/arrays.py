"""Array bytes: ``.npy`` is written, ``.npy`` and the compact form are read.

::

    .npy      93 'NUMPY' | u8 major | u8 minor | u16 or u32 length | header (a Python literal) | data
    compact   u8 length | dtype.str | u8 ndim | ndim × int64 LE | data in C order

Both come from strangers: nothing is unpickled, nothing is allocated on the word of a header, and the data must be
exactly as long as the header says. The array returned is a read-only view into the bytes given, no copy.

Specification: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

import ast
import io
import math
import re
import struct
import warnings
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from catalog.errors import InvalidArray

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MAGIC", "decode_array", "encode_array"]

MAGIC: Final = b"\x93NUMPY"
MAX_HEADER: Final = 16_384
"""Bytes of an ``.npy`` header; numpy's own cap is 10,000, a structured dtype with many fields needs more."""

MAX_DIMENSIONS: Final = 64
"""numpy's own limit."""

_SIMPLE_DTYPE: Final = re.compile(
    r"[<>|=]?(?:b1|\?|[iu][1248]|f(?:2|4|8|12|16)|c(?:8|16|24|32)|[SUV][0-9]{1,9}|[mM]8(?:\[[0-9]{0,9}[a-zA-Z]{1,2}\])?)"
)
_HEADER: Final = re.compile(
    r"\{'descr': '(?P<descr>[^'\\]{1,64})', 'fortran_order': (?P<fortran>True|False), "
    r"'shape': \((?P<shape>(?:[0-9]{1,20}, ?)*(?:[0-9]{1,20})?)\),? ?\}\s*"
)
_BAD_LITERAL: Final = (ValueError, SyntaxError, TypeError, KeyError, MemoryError, RecursionError, OverflowError)

_Layout = tuple["np.dtype[Any]", tuple[int, ...], bool]


def encode_array(array: NDArray[Any]) -> bytes:
    """The array as ``.npy`` bytes. Raises :class:`InvalidArray` for Python objects, which would need pickling."""
    if array.dtype.hasobject:
        raise InvalidArray(f"an array of dtype {array.dtype} can't be stored", hint="convert it to numbers or text")
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # "format 2.0": every reader of ours knows it
        np.lib.format.write_array(buffer, np.asarray(array), allow_pickle=False)
    return buffer.getvalue()


def decode_array(raw: bytes | bytearray | memoryview) -> NDArray[Any]:
    """The array in ``raw``, as a read-only view of it.

    Reads ``.npy`` (all versions) and the compact form. Raises :class:`InvalidArray` for anything else: object
    dtypes, headers that promise more or less data than there is, impossible shapes.
    """
    (dtype, shape, fortran), start = _npy_layout(raw) if raw[:6] == MAGIC else _compact_layout(raw)
    expected = math.prod(shape) * dtype.itemsize
    found = len(raw) - start
    if expected != found:
        raise InvalidArray(f"the header promises {expected} bytes ({_shown(dtype, shape)}), {found} are there")
    try:
        array: NDArray[Any] = np.ndarray(shape, dtype, buffer=raw, offset=start, order="F" if fortran else "C")
    except (ValueError, TypeError, OverflowError, MemoryError) as error:
        raise InvalidArray(f"numpy can't make {_shown(dtype, shape)}: {error}") from error
    array.flags.writeable = False
    return array


def _shown(dtype: np.dtype[Any], shape: tuple[int, ...]) -> str:
    return f"{dtype} × {shape}"[:100]


def _npy_layout(raw: bytes | bytearray | memoryview) -> tuple[_Layout, int]:
    major = raw[6] if len(raw) > 6 else 0
    if major not in (1, 2, 3):
        raise InvalidArray(f"unknown .npy version {major}")
    width = 2 if major == 1 else 4
    start = 8 + width
    length = int.from_bytes(raw[8:start], "little")
    if length > MAX_HEADER or start + length > len(raw):
        raise InvalidArray(f"the .npy header claims {length} bytes", hint="the file is cut, or not .npy")
    header = bytes(raw[start : start + length])
    return _parse_header(header, "utf-8" if major == 3 else "latin-1"), start + length


@lru_cache(maxsize=1024)  # a dataset repeats the same header for every sample
def _parse_header(header: bytes, encoding: str) -> _Layout:
    try:
        text = header.decode(encoding)
    except UnicodeDecodeError as error:
        raise InvalidArray("the .npy header is not text") from error
    match = _HEADER.fullmatch(text)
    if match is not None:
        shape = tuple(int(part) for part in match["shape"].split(",") if part.strip())
        return _simple_dtype(match["descr"]), _checked_shape(shape), match["fortran"] == "True"
    return _parse_literal(text)


def _parse_literal(text: str) -> _Layout:
    """The slow way, for structured dtypes and unusual writers: still only a literal, never evaluated."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            value = ast.literal_eval(text.strip())
            descr, shape, fortran = value["descr"], value["shape"], value["fortran_order"]
            dtype = _simple_dtype(descr) if isinstance(descr, str) else np.lib.format.descr_to_dtype(descr)
        except InvalidArray:
            raise
        except _BAD_LITERAL as error:
            raise InvalidArray("the .npy header can't be read") from error
    if not isinstance(shape, tuple) or not isinstance(fortran, bool):
        raise InvalidArray("the .npy header can't be read")
    return _checked_dtype(dtype), _checked_shape(shape), fortran


def _compact_layout(raw: bytes | bytearray | memoryview) -> tuple[_Layout, int]:
    length = raw[0] if len(raw) else 0
    ndim_at = 1 + length
    if length == 0 or ndim_at >= len(raw):
        raise InvalidArray("neither .npy nor the compact array form")
    ndim = raw[ndim_at]
    start = ndim_at + 1 + 8 * ndim
    if ndim > MAX_DIMENSIONS or start > len(raw):
        raise InvalidArray("neither .npy nor the compact array form")
    try:
        name = bytes(raw[1:ndim_at]).decode("ascii")
    except UnicodeDecodeError as error:
        raise InvalidArray("neither .npy nor the compact array form") from error
    shape = struct.unpack_from(f"<{ndim}q", raw, ndim_at + 1)
    return (_simple_dtype(name), _checked_shape(shape), False), start


def _simple_dtype(name: str) -> np.dtype[Any]:
    if not _SIMPLE_DTYPE.fullmatch(name):
        raise InvalidArray(f"refused dtype {name[:40]!a}", hint="numbers, truth values, fixed text and times are read")
    try:
        return _checked_dtype(np.dtype(name))
    except (TypeError, ValueError) as error:
        raise InvalidArray(f"unknown dtype {name[:40]!a}") from error


def _checked_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    if dtype.hasobject or dtype.itemsize == 0 or dtype.subdtype is not None:
        raise InvalidArray(f"refused dtype {str(dtype)[:40]!a}", hint="objects are never unpickled")
    return dtype


def _checked_shape(shape: tuple[object, ...]) -> tuple[int, ...]:
    dims = tuple(dim for dim in shape if isinstance(dim, int) and not isinstance(dim, bool) and 0 <= dim < 2**63)
    if len(dims) != len(shape) or len(dims) > MAX_DIMENSIONS:
        raise InvalidArray(f"impossible shape {str(shape)[:60]}")
    return dims
