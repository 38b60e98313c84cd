"""Encode the fields of a sample as members of a WebDataset: the last extension of a field's name decides.

::

    cls  cls2  index  inx  id      an int, as digits          npy        a numpy array
    txt  text  transcript          a str, in UTF-8            any other  bytes, as they are
    json  jsn                      lists, dicts, numbers, …   ….gz       the same, compressed

Bytes are written as they are for every extension, if they can be decoded as it promises: so samples that webdataset did
not decode are written again unchanged. ``None`` and the other marks of a missing value are no member.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from catalog.errors import InvalidArray, InvalidSample
from catalog.samples.arrays import MAGIC, decode_array, encode_array
from catalog.samples.packable import fields_of
from catalog.samples.packing import wire_values
from catalog.samples.storable import is_missing
from catalog.shards import limits
from catalog.shards.formats.members import split_name

_MOST_DIGITS: Final = 20
_GZIP: Final = b"\x1f\x8b"


def members_of(sample: object, key: str) -> list[tuple[str, bytes]]:
    """Return name → bytes of the members of a sample. Raises :class:`InvalidSample` with key and field."""
    values = fields_of(sample) if isinstance(sample, dict) else wire_values(sample, key)
    members = []
    for field, value in values.items():
        fault = _name_fault(field)
        if fault is not None:
            raise InvalidSample(f"field {ascii(field)[:100]}: {fault[0]}", where=key, hint=fault[1])
        if value is None or is_missing(value):
            continue
        if split_name(f"{key}.{field}") != (key, field):
            raise InvalidSample(
                f"field {field[:100]!a}: webdataset would not read this member of {key[:100]!a}", where=key
            )
        try:
            data = _encoded(field, value)
        except InvalidArray as error:
            raise InvalidSample(f"field {field[:100]!a}: {error.what}", where=key, hint=error.hint) from error
        members.append((f"{key}.{field}", data))
    if not members:
        raise InvalidSample("a sample without values has no members", where=key, hint="leave it out")
    total = sum(len(data) for _, data in members)
    if total > limits.MAX_MEMBER or len(members) > limits.MAX_MEMBERS:
        what = f"a sample of {total:,} bytes in {len(members):,} members; the most are {limits.MAX_MEMBER:,} bytes and "
        raise InvalidSample(f"{what}{limits.MAX_MEMBERS:,} members", where=key, hint="divide it into several samples")
    return members


def _name_fault(field: object) -> tuple[str, str | None] | None:
    """Return why a field is not an extension, and what to do."""
    if not isinstance(field, str):
        return f"the name of a field is text, found {type(field).__name__}", None
    if field != field.lower():
        return "webdataset reads extensions in lower case", f"name it {field.lower()[:100]!a}"
    if not field or "/" in field or not field.isprintable():
        return "this is no extension of a file name", "name it like 'txt' or 'mask.png'"
    if field.rpartition(".")[2] == "msgpack":
        return "a WebDataset with msgpack members would be taken for the format msgpack", "name it 'mp'"
    return None


def _encoded(field: str, value: Any) -> bytes:  # noqa: ANN401 - samples hold anything
    plain, packed, _ = field.partition(".gz")
    extension = plain.rpartition(".")[2]
    encode, expected, hint = _BY_EXTENSION.get(extension, _OTHER)
    if isinstance(value, bytes):
        if value[:6] == MAGIC and extension != "npy":
            raise InvalidArray("an array has the extension 'npy'", hint=f"name it {f'{field}.npy'[:100]!a}")
        return _checked(value, extension, packed=bool(packed))
    if isinstance(value, np.generic):
        value = value.item()
    data = encode(value)
    if data is None:
        what = f"the extension {extension!a} is for {expected}, found {type(value).__name__}"
        raise InvalidArray(what, hint=hint or _advice(field, value))
    return gzip.compress(data, mtime=0) if packed else data


def _advice(field: str, value: object) -> str | None:
    """Return the name of a field whose extension fits the value."""
    for kinds, extension in _EXTENSIONS:
        if isinstance(value, kinds):
            return f"name it {f'{field}.{extension}'[:100]!a}"
    return None


def _checked(data: bytes, extension: str, *, packed: bool) -> bytes:
    """Return bytes as they are. Raises :class:`InvalidArray` if they aren't what their extension promises."""
    if packed and data[:2] != _GZIP:
        raise InvalidArray("the extension 'gz' is for compressed bytes", hint="write gzip.compress(value)")
    decode = None if packed else _DECODERS.get(extension)
    if decode is not None:
        try:
            decode(data)
        except (ValueError, RecursionError, InvalidArray) as error:
            what = f"the extension {extension!a} promises {_BY_EXTENSION[extension][1]}, but these bytes are not: "
            raise InvalidArray(f"{what}{str(error)[:100]}") from error
    return data


def _digits(value: object) -> bytes | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    digits = str(int(value)).encode()
    if len(digits) > _MOST_DIGITS:
        raise InvalidArray("an integer of more than 64 bits can't be stored", hint="write str(value)")
    return digits


def _text(value: object) -> bytes | None:
    try:
        return value.encode() if isinstance(value, str) else None
    except UnicodeEncodeError:
        raise InvalidArray("text with half a surrogate pair is not Unicode") from None


def _json(value: object) -> bytes | None:
    if isinstance(value, str):
        return None  # a reader whose schema says text would include the quotes
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        if not _is_same(json.loads(text), value):
            raise InvalidArray("a dict whose keys aren't text can't be stored as JSON", hint="write str(key)")
        return text.encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidArray(f"not JSON: {str(error)[:200]}", hint="give such a value a field of its own") from error


def _is_same(read: object, value: object) -> bool:
    """Return whether what JSON gives back is the value; a tuple is a list."""
    if isinstance(value, dict):
        return (
            isinstance(read, dict) and list(read) == list(value) and all(map(_is_same, read.values(), value.values()))
        )
    if isinstance(value, list | tuple):
        return isinstance(read, list) and len(read) == len(value) and all(map(_is_same, read, value))
    return read == value


def _npy(value: object) -> bytes | None:
    return encode_array(value) if isinstance(value, np.ndarray) else None


def _bytes(value: object) -> bytes | None:
    return bytes(value) if isinstance(value, bytearray | memoryview) else None


_Step = tuple["Callable[[Any], bytes | None]", str, str | None]
_OTHER: Final[_Step] = (_bytes, "bytes", None)
_BY_EXTENSION: Final[Mapping[str, _Step]] = {
    **dict.fromkeys(("cls", "cls2", "index", "inx", "id"), (_digits, "an int", None)),
    **dict.fromkeys(("txt", "text", "transcript"), (_text, "text", None)),
    **dict.fromkeys(("json", "jsn"), (_json, "JSON other than a text", "name a text 'txt', or like 'caption.txt'")),
    "npy": (_npy, "a numpy array", "write np.asarray(value)"),
}
_DECODERS: Final[Mapping[str, Callable[[bytes], object]]] = {
    **dict.fromkeys(("cls", "cls2", "index", "inx", "id"), int),
    **dict.fromkeys(("txt", "text", "transcript"), lambda data: data.decode()),
    **dict.fromkeys(("json", "jsn"), json.loads),
    "npy": decode_array,
}
_EXTENSIONS: Final = (
    (bool, "json"), (int, "cls"), (str, "txt"), (np.ndarray, "npy"), (float | dict | list | tuple, "json"),
)  # fmt: skip
