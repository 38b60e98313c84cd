"""Array bytes: ``.npy`` is written, ``.npy`` and the compact form are read.

::

    .npy      93 'NUMPY' | u8 major | u8 minor | u16 or u32 length | header (a Python literal) | data
    compact   u8 length | dtype.str | u8 ndim | ndim × int64 LE | data in C order

A dtype of the package ``ml_dtypes`` has its name in the header (``'descr': 'bfloat16'``): numpy's own text for it,
``<V2``, is that of raw bytes. ``numpy.load`` reads the name once ``ml_dtypes`` is imported.

Both are untrusted: nothing is unpickled, no memory is allocated because a header asks for it, and the data must be
exactly as long as the header says. The array returned is a read-only view into the bytes given, no copy.

Specification: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

import ast
import io
import math
import re
import struct
import sys
import warnings
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from catalog.errors import InvalidArray, MissingExtra, require_extra
from catalog.schema.dtypes import ML_DTYPES, refusal
from catalog.shards.limits import MAX_ARRAY_HEADER

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAGIC: Final = b"\x93NUMPY"
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

Buffer: TypeAlias = bytes | bytearray | memoryview
"""The types of array bytes; a memoryview is one of bytes (format ``B``)."""

_Layout = tuple["np.dtype[Any]", tuple[int, ...], bool]

_MAX_KNOWN: Final = 1024
_known: dict[bytes, _ArrayHeader] = {}
"""Bytes before the data → parsed header. A dataset repeats the same header in every sample."""


@dataclass(frozen=True, slots=True)
class _ArrayHeader:
    """A parsed header: ``count`` items from ``start`` on, ``size`` bytes in total."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran: bool
    count: int
    start: int
    size: int


def encode_array(array: NDArray[Any]) -> bytes:
    """Return an array as ``.npy`` bytes.

    Raises :class:`InvalidArray` for an array that isn't read back unchanged everywhere: Python objects (they need
    pickling), masked arrays, long doubles, dtypes of other packages than ``ml_dtypes``.
    """
    check_unmasked(array)
    descr = _wire_name(array.dtype)
    array = np.asarray(array)
    if descr is None:
        return _written_by_numpy(array)
    fortran = array.flags.fnc
    header = _npy_header(descr, array.shape, fortran)
    if array.nbytes == 0:
        return header
    flat = (array.T if fortran else np.asarray(array, order="C")).reshape(-1)
    return b"".join((header, flat.view(np.uint8).data))


def check_unmasked(array: NDArray[Any]) -> None:
    """Raise :class:`InvalidArray` for a masked array."""
    if type(array) is not np.ndarray and isinstance(array, np.ma.MaskedArray):
        hint = "array.filled(value); np.ma.getmaskarray(array) can be a field of its own"
        raise InvalidArray("a masked array can't be stored with its mask", hint=hint)


@lru_cache(maxsize=1024)
def _wire_name(dtype: np.dtype[Any]) -> str | None:
    """Return the name of a dtype in the header; ``None`` if numpy writes the header, as for structured arrays."""
    _check_storable(dtype)
    if dtype.names is not None or dtype.metadata is not None:
        return None
    name: str = dtype.name if dtype.name in ML_DTYPES else dtype.str
    return name


def _check_storable(dtype: np.dtype[Any]) -> None:
    name = dtype.name
    if dtype.hasobject:
        raise InvalidArray(f"an array of dtype {dtype} can't be stored", hint="convert it to numbers or text")
    if (why := refusal(name)) is not None:
        raise InvalidArray(f"an array of dtype {name} can't be stored", hint=why)
    if dtype.itemsize == 0:
        raise InvalidArray(f"an array of dtype {dtype} can't be stored: its values have no bytes")
    for field in dtype.names or ():
        inner = dtype[field].base
        if inner.name in ML_DTYPES:
            what = f"a structured array with {field!a} of dtype {inner.name} can't be stored"
            raise InvalidArray(what, hint="store that as a field of its own")
        if inner.itemsize:
            _check_storable(inner)
    if dtype.isbuiltin == 2 and name not in ML_DTYPES:  # a dtype of another package
        raise InvalidArray(
            f"an array of dtype {name} can't be stored", hint="convert it to a dtype of numpy or ml_dtypes"
        )


def dtype_name(dtype: np.dtype[Any]) -> str:
    """Return the name of a dtype in a schema: ``U5`` where numpy's own name (``str160``) counts bits."""
    if dtype.kind in "USV" and dtype.name not in ML_DTYPES:
        return "void" if dtype.names is not None else f"{dtype.kind}{dtype.itemsize // (4 if dtype.kind == 'U' else 1)}"
    return dtype.name


def ml_dtype(name: str) -> np.dtype[Any]:
    """Return a dtype of ``ml_dtypes``. Raises :class:`MissingExtra` if the package isn't installed or too old."""
    require_extra("ml-dtypes", "ml_dtypes", purpose=f"arrays of {name}")
    try:
        found: np.dtype[Any] = np.dtype(getattr(import_module("ml_dtypes"), name))
    except AttributeError as error:
        raise MissingExtra(f"this version of ml_dtypes has no {name}", hint="pip install -U ml_dtypes") from error
    return found


@lru_cache(maxsize=1024)
def _npy_header(descr: str, shape: tuple[int, ...], fortran: bool) -> bytes:  # noqa: FBT001 - a key of the cache
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": descr, "fortran_order": fortran, "shape": shape})
    return buffer.getvalue()


def _written_by_numpy(array: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # "format 2.0": all readers here know it
        try:
            np.lib.format.write_array(buffer, array, allow_pickle=False)
        except ValueError as error:  # fields that overlap
            raise InvalidArray(f"an array of dtype {str(array.dtype)[:60]} can't be stored: {error}") from error
    header = buffer.tell() - array.nbytes
    if header > MAX_ARRAY_HEADER:
        what = f"a structured array whose header has {header:,} bytes; the most is {MAX_ARRAY_HEADER:,}"
        raise InvalidArray(what, hint="store it as several arrays, or as one array of numbers")
    return buffer.getvalue()


def decode_array(raw: Buffer) -> NDArray[Any]:
    """Return the array in ``raw``, as a read-only view.

    Reads ``.npy`` (all versions) and the compact form. Raises :class:`InvalidArray` for anything else: object
    dtypes, headers that state more or less data than there is, impossible shapes.
    """
    # The header of version 1, the usual one; one that was parsed before isn't parsed again.
    head = raw[: 10 + raw[8] + (raw[9] << 8)] if len(raw) > 9 and raw[0] == 0x93 else b""
    place = _known.get(head if type(head) is bytes else bytes(head))
    if place is None:
        place = _parsed(raw)
    if place.size != len(raw):
        promised, found = place.size - place.start, len(raw) - place.start
        what = f"the header promises {promised} bytes ({_shown(place.dtype, place.shape)}), {found} are there"
        raise InvalidArray(what)
    if place.count and not place.fortran:
        array: NDArray[Any] = np.frombuffer(raw, place.dtype, place.count, place.start).reshape(place.shape)
    else:
        array = _from_buffer(raw, place)
    if place.dtype.kind in "UV":
        _check_text(array)
    if type(raw) is not bytes:  # arrays of bytes are read-only anyway
        array.setflags(write=False)
    return array


def _check_text(array: NDArray[Any]) -> None:
    """Raise if text isn't Unicode: numpy accepts any number as a character, and Python fails on invalid ones."""
    dtype = array.dtype
    for name in dtype.names or ():
        _check_text(array[name])
    if dtype.kind == "U" and array.size and dtype.itemsize:
        highest = int(np.ascontiguousarray(array).view(f"{dtype.byteorder}u4").max())
        if highest > sys.maxunicode:
            raise InvalidArray(f"text with the character {highest:#x}, which Unicode doesn't have")


def decode_aligned(raw: Buffer) -> NDArray[Any]:
    """Return the array in ``raw``: a view if that is aligned, else a copy.

    Much compiled code refuses unaligned arrays, and with them numpy loses more time than the copy takes.
    """
    array = decode_array(raw)
    if array.flags.aligned:
        return array
    array = array.copy("K")
    array.setflags(write=False)
    return array


def _from_buffer(raw: Buffer, place: _ArrayHeader) -> NDArray[Any]:
    try:
        return np.ndarray(place.shape, place.dtype, buffer=raw, offset=place.start, order="F" if place.fortran else "C")
    except (ValueError, TypeError, OverflowError, MemoryError) as error:
        raise InvalidArray(f"numpy can't make {_shown(place.dtype, place.shape)}: {error}") from error


def _parsed(raw: Buffer) -> _ArrayHeader:
    (dtype, shape, fortran), start = _npy_layout(raw) if raw[:6] == MAGIC else _compact_layout(raw)
    count = math.prod(shape)
    place = _ArrayHeader(dtype, shape, fortran, count, start, start + count * dtype.itemsize)
    if start <= 512 and raw[:7] == b"\x93NUMPY\x01":
        if len(_known) >= _MAX_KNOWN:
            _known.clear()
        _known[bytes(raw[:start])] = place
    return place


def _shown(dtype: np.dtype[Any], shape: tuple[int, ...]) -> str:
    return f"{dtype} × {shape}"[:100]


def _npy_layout(raw: Buffer) -> tuple[_Layout, int]:
    major = raw[6] if len(raw) > 6 else 0
    if major not in (1, 2, 3):
        raise InvalidArray(f"unknown .npy version {major}")
    width = 2 if major == 1 else 4
    start = 8 + width
    length = int.from_bytes(raw[8:start], "little")
    if length > MAX_ARRAY_HEADER or start + length > len(raw):
        raise InvalidArray(f"the .npy header claims {length} bytes", hint="the file is cut, or not .npy")
    header = bytes(raw[start : start + length])
    return _parse_header(header, "utf-8" if major == 3 else "latin-1"), start + length


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
    """Parse the header of a structured dtype or an unusual writer: a literal, never evaluated."""
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


def _compact_layout(raw: Buffer) -> tuple[_Layout, int]:
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
    if name in ML_DTYPES:
        return ml_dtype(name)
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
