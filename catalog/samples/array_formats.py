"""The optional array forms: their Python values and their bytes.

::

    ndarrayBytes     numpy array          NDArray[np.uint8], or Annotated[NDArray[np.uint8], Array(shape=…)]
    structuredBytes  numpy array          Annotated[NDArray[Any], Array(format="structuredBytes")]
    arrowTensor      numpy array          Annotated[NDArray[np.float32], Array(shape=…, format="arrowTensor")]
    sparseBytes      scipy sparse array   Annotated[Any, Array(dtype="float32", format="sparseBytes")]
    safetensors      dict of arrays       Annotated[dict[str, NDArray[Any]], Array(format="safetensors")]

The dtype is inside ``NDArray[…]`` if there is one and numpy has a class for it (the first and the third), otherwise
in ``Array(dtype=…)``. With ``Annotated[bytes, Array(format=…)]`` the bytes of a field aren't decoded.

- The libraries are extras (``sparse``, ``arrow``, ``safetensors``), imported when such a field is read or written;
  without one, that raises :class:`~catalog.errors.MissingExtra`.
- The libraries trust their input, which is untrusted here: sizes are checked before anything is decompressed, nothing
  is unpickled, and indices must be inside the shape (scipy's compiled code doesn't check them).
- A sparse value is always a ``…_array``, also where a ``…_matrix`` was saved: ``*`` means the same for all.
- An arrow tensor of truth values is read as ``uint8``, unless the field's type says ``bool``.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from catalog.errors import InvalidArray, require_extra
from catalog.samples.arrays import Buffer, check_unmasked, decode_aligned, decode_array, encode_array, ml_dtype
from catalog.schema import ML_DTYPES

if TYPE_CHECKING:
    from zipfile import ZipFile, ZipInfo

    from numpy.typing import NDArray

    from catalog.schema import Array, ArrayFormat

ARRAYS: Final = ("ndarrayBytes", "structuredBytes", "arrowTensor")
"""Forms whose values are numpy arrays."""

MAX_UNPACKED: Final = 64 << 20
MAX_RATIO: Final = 100
"""A sparse value may decompress to 64 MiB, or to a hundred times its bytes if that is more.

Deflate reaches 1032; real indices and numbers rarely ten.
"""

_COMPRESSIONS: Final = (0, 8)
"""Stored and deflated."""
_MAX_DIRECTORY: Final = 4096
"""Bytes of the directory of an ``.npz``. It has at most seven members of 60 bytes; in memory each takes 1,000."""

_COMPRESSED: Final = ("csr", "csc", "bsr")
_NUMBERS: Final = "biufc"


def decode(type_: Array, raw: Buffer) -> Any:  # noqa: ANN401 - each form has its own type
    """Return the value in the bytes of a field of that type; arrays are read-only views if the form allows it.

    Raises :class:`InvalidArray`, or :class:`MissingExtra` when the form's library isn't installed.
    """
    return _READERS[type_.format](type_, raw)


def encode(type_: Array, value: Any) -> bytes:  # noqa: ANN401
    """Return a value as the bytes of its field. Raises the errors of :func:`decode`."""
    return _WRITERS[type_.format](value)


def _library(name: str, extra: str) -> Any:  # noqa: ANN401 - a module
    try:
        return import_module(name)
    except ImportError:
        require_extra(extra, name, purpose=f"{extra} arrays")
        raise


def _refused(form: str, error: Exception) -> InvalidArray:
    return InvalidArray(f"not a readable {form}: {str(error)[:200]}")


def _unwritable(form: str, error: Exception) -> InvalidArray:
    return InvalidArray(f"can't be stored as {form}: {str(error)[:200]}")


def _read_array(type_: Array, raw: Buffer) -> NDArray[Any]:
    array = decode_aligned(raw)
    if type_.dtype in ML_DTYPES and array.dtype.kind == "V" and array.dtype.name != type_.dtype:
        array = _as_ml_dtype(array, type_.dtype)
    return array


def _as_ml_dtype(array: NDArray[Any], name: str) -> NDArray[Any]:
    """Return raw bytes as the dtype that the schema states: ``numpy.save`` loses the name of such a dtype."""
    wanted = ml_dtype(name)
    is_raw = array.dtype.names is None and array.dtype.name.startswith("void")
    return array.view(wanted) if is_raw and array.dtype.itemsize == wanted.itemsize else array


def _read_sparse(_: Array, raw: Buffer) -> Any:  # noqa: ANN401 - scipy has no types
    sparse = _library("scipy.sparse", "sparse")
    parts = _npz(raw)
    _check_parts(parts)
    try:
        return _assembled(sparse, parts)
    except KeyError as error:
        raise InvalidArray(f"not a sparse array: it has no {error}") from None
    except Exception as error:  # scipy raises anything for parts that don't match
        raise _refused("sparse array", error) from error


def _assembled(sparse: Any, parts: Mapping[str, NDArray[Any]]) -> Any:  # noqa: ANN401
    kind = parts["format"].astype("U").item()
    shape = tuple(parts["shape"].tolist())
    if kind in _COMPRESSED:
        made = getattr(sparse, f"{kind}_array")((parts["data"], parts["indices"], parts["indptr"]), shape=shape)
        made.check_format(full_check=True)
        return made
    if kind == "coo":
        coords = tuple(parts["coords"]) if "coords" in parts else (parts["row"], parts["col"])
        return sparse.coo_array((parts["data"], coords), shape=shape)
    if kind == "dia":
        return sparse.dia_array((parts["data"], parts["offsets"]), shape=shape)
    raise ValueError(f"unknown form {kind[:40]!a}")


def _check_parts(parts: Mapping[str, NDArray[Any]]) -> None:
    for name, part in parts.items():
        wanted = {"data": _NUMBERS, "format": "SU", "_is_array": "b"}.get(name, "iu")
        if part.dtype.kind not in wanted:
            raise InvalidArray(f"not a sparse array: {name} is of dtype {part.dtype}")


def _npz(raw: Buffer) -> dict[str, NDArray[Any]]:
    """Return the arrays of an ``.npz``, writable and in native byte order: scipy may sort them in place."""
    import zipfile  # slow to import, and only needed for sparse arrays

    end = bytes(raw[-22:])  # the end record, without a comment; numpy writes none
    if len(end) < 22 or end[:4] != b"PK\x05\x06" or bytes(raw[-42:-38]) == b"PK\x06\x07":
        raise InvalidArray("not a sparse array: no .npz, or a truncated one")
    if struct.unpack_from("<I", end, 12)[0] > _MAX_DIRECTORY:
        raise InvalidArray("a sparse array with too many members")
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            members = archive.infolist()
            _check_sizes(members, len(raw))
            return {member.filename.removesuffix(".npy"): _member(archive, member) for member in members}
    except InvalidArray:
        raise
    except Exception as error:  # zipfile raises many kinds of errors
        raise _refused(".npz", error) from error


def _check_sizes(members: list[ZipInfo], packed: int) -> None:
    total = sum(member.file_size for member in members)
    if total > max(MAX_UNPACKED, MAX_RATIO * packed):
        raise InvalidArray(f"a sparse array that would unpack from {packed} bytes to {total}")


def _member(archive: ZipFile, member: ZipInfo) -> NDArray[Any]:
    if member.compress_type not in _COMPRESSIONS:
        raise InvalidArray("a sparse array whose members are neither stored nor deflated")
    with archive.open(member) as file:
        array = decode_array(file.read(member.file_size))  # a wrong size is caught by the CRC or by the header
    return np.array(array, dtype=array.dtype.newbyteorder("="))


def _write_sparse(value: Any) -> bytes:  # noqa: ANN401
    sparse = _library("scipy.sparse", "sparse")
    if not sparse.issparse(value):
        raise InvalidArray(f"expected a scipy sparse array, found {type(value).__name__}")
    if value.dtype.kind not in _NUMBERS:
        raise InvalidArray(f"a sparse array of dtype {value.dtype} can't be stored")
    storable = value if value.format in (*_COMPRESSED, "coo", "dia") else value.tocoo()
    buffer = io.BytesIO()
    try:
        sparse.save_npz(buffer, storable)
    except Exception as error:
        raise _unwritable("a sparse array", error) from error
    return buffer.getvalue()


def _read_arrow(type_: Array, raw: Buffer) -> NDArray[Any]:
    _library("pyarrow", "arrow")
    arrow = _library("pyarrow.lib", "arrow")
    ipc = _library("pyarrow.ipc", "arrow")
    try:
        array: NDArray[Any] = ipc.read_tensor(arrow.BufferReader(arrow.py_buffer(raw))).to_numpy()
    except Exception as error:  # ArrowInvalid, OSError, NotImplementedError, …
        raise _refused("arrow tensor", error) from error
    if array.nbytes > len(raw):  # with strides of zero any shape is possible
        raise InvalidArray(f"the header promises {array.nbytes} bytes, {len(raw)} are there")
    if array.size == 0:
        array = np.empty(array.shape, array.dtype)  # an empty tensor of arrow may point anywhere
    elif type_.dtype == "bool" and array.dtype == np.uint8:
        array = array != 0
    array.setflags(write=False)
    return array


def _write_arrow(value: Any) -> bytes:  # noqa: ANN401
    _library("pyarrow", "arrow")
    arrow = _library("pyarrow.lib", "arrow")
    ipc = _library("pyarrow.ipc", "arrow")
    if not isinstance(value, np.ndarray):
        raise InvalidArray(f"expected an array, found {type(value).__name__}")
    check_unmasked(value)
    try:
        # Arrow accepts other byte orders and writes the bytes unchanged, without an error.
        tensor = arrow.Tensor.from_numpy(np.asarray(value, dtype=value.dtype.newbyteorder("="), order="C"))
        sink = arrow.BufferOutputStream()
        ipc.write_tensor(tensor, sink)
    except Exception as error:
        raise _unwritable("an arrow tensor", error) from error
    written: bytes = sink.getvalue().to_pybytes()
    return written


def _read_safetensors(_: Array, raw: Buffer) -> dict[str, NDArray[Any]]:
    library = _library("safetensors.numpy", "safetensors")
    try:
        tensors: dict[str, NDArray[Any]] = library.load(bytes(raw))
    except KeyError:  # a dtype that numpy doesn't have
        tensors = _ml_tensors(bytes(raw))
    except Exception as error:  # SafetensorError, KeyError for a dtype that numpy hasn't, …
        raise _refused("safetensors value", error) from error
    for tensor in tensors.values():
        tensor.setflags(write=False)
    return tensors


_SAFETENSORS: Final[Mapping[str, str]] = {
    "BOOL": "bool", "F16": "float16", "F32": "float32", "F64": "float64", "C64": "complex64",
    **{f"{code}{bits}": f"{name}{bits}" for code, name in (("I", "int"), ("U", "uint")) for bits in (8, 16, 32, 64)},
    "BF16": "bfloat16", "F8_E4M3": "float8_e4m3fn", "F8_E4M3FNUZ": "float8_e4m3fnuz", "F8_E5M2": "float8_e5m2",
    "F8_E5M2FNUZ": "float8_e5m2fnuz", "F8_E8M0": "float8_e8m0fnu",
}  # fmt: skip
"""Dtype codes of safetensors → names."""


def _ml_tensors(raw: bytes) -> dict[str, NDArray[Any]]:
    """Return tensors of which some have a dtype of ``ml_dtypes``, which safetensors writes and doesn't read."""
    tensors = {}
    for name, tensor in _library("safetensors", "safetensors").deserialize(raw):
        wanted = _SAFETENSORS.get(tensor["dtype"])
        if wanted is None:
            raise InvalidArray(f"not a readable safetensors value: the dtype {str(tensor['dtype'])[:40]!a}")
        dtype = ml_dtype(wanted) if wanted in ML_DTYPES else np.dtype(wanted)
        tensors[name] = np.frombuffer(tensor["data"], dtype).reshape(tensor["shape"])
    return tensors


def _write_safetensors(value: Any) -> bytes:  # noqa: ANN401
    library = _library("safetensors.numpy", "safetensors")
    if not isinstance(value, dict) or not all(
        isinstance(name, str) and isinstance(tensor, np.ndarray) for name, tensor in value.items()
    ):
        raise InvalidArray("expected a dict of name → array")
    for tensor in value.values():
        check_unmasked(tensor)
    try:
        written: bytes = library.save({name: np.asarray(tensor, order="C") for name, tensor in value.items()})
    except Exception as error:
        raise _unwritable("safetensors", error) from error
    return written


_READERS: Final[Mapping[ArrayFormat, Callable[[Array, Buffer], Any]]] = {
    "ndarrayBytes": _read_array,
    "structuredBytes": _read_array,
    "sparseBytes": _read_sparse,
    "arrowTensor": _read_arrow,
    "safetensors": _read_safetensors,
}
_WRITERS: Final[Mapping[ArrayFormat, Callable[[Any], bytes]]] = {
    "ndarrayBytes": encode_array,
    "structuredBytes": encode_array,
    "sparseBytes": _write_sparse,
    "arrowTensor": _write_arrow,
    "safetensors": _write_safetensors,
}
