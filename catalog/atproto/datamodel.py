"""The atproto data model, in the form records have in memory: JSON.

Two things that JSON lacks are written as objects with one key::

    {"$link": "bafyrei…"}    a CID
    {"$bytes": "AQID"}       bytes, in base64 without padding

There are no floats, integers stay within ±(2^53 − 1), and containers nest at most 32 deep.

*Tricky bits.*

- :func:`encode` gives the only DAG-CBOR encoding of a value, so that its hash is the record's CID.
- DAG-CBOR sorts the keys of a map (by length, then bytes): the order that they were written in is lost.
- ``bool`` is an ``int`` in Python; it isn't one here.

Specification: https://atproto.com/specs/data-model
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final, TypeGuard, cast

import cbrrr

from catalog.errors import InvalidData, InvalidSyntax
from catalog.syntax import Cid
from catalog.syntax.json import Json

__all__ = [
    "MAX_INTEGER",
    "MAX_NESTING",
    "MAX_RECORD_BYTES",
    "MAX_VALUES",
    "Json",
    "bytes_json",
    "bytes_of",
    "check_record_size",
    "decode",
    "encode",
    "has_more_values",
    "is_blob",
    "link_of",
    "record_cid",
]


MAX_NESTING: Final = 32
"""Objects and arrays inside each other, the outermost included; ``$link`` and ``$bytes`` don't count."""
MAX_INTEGER: Final = 2**53 - 1
MAX_RECORD_BYTES: Final = 2**20
"""The most bytes of an encoded record, as relays take it: 1 MiB."""
MAX_VALUES: Final = 200_000
"""The most values of a record, keys included: in one byte each, as empty lists, 1 MiB becomes 80 MB of objects."""

_PLAIN_KEY: Final = re.compile(r"[A-Za-z$_][A-Za-z0-9$_-]{0,63}")
_SIZE_FOLLOWS: Final = 24
"""From here on the size of a CBOR value is in the bytes after its head."""
_STRINGS: Final = (2, 3)
"""Major types whose size counts bytes: byte strings and texts."""
_KEY_SHOWN: Final = 40
_MAX_PADDING: Final = 2


def encode(value: Json) -> bytes:
    """The DAG-CBOR encoding of a value.

    Strings that are subclasses of ``str``, such as identifiers, are taken as their text. Raises
    :class:`InvalidData` for what is outside the data model, with the path of the place.
    """
    try:
        return cbrrr.encode_dag_cbor(cast("cbrrr.DagCborTypes", _checked(value, 1)), atjson_mode=True)
    except (TypeError, ValueError, RecursionError, MemoryError) as error:
        raise InvalidData(f"can't be encoded as DAG-CBOR: {error}") from error


def decode(raw: bytes) -> Json:
    """The value of a DAG-CBOR block. Raises :class:`InvalidData` when it is not one, or not in its only form."""
    try:
        value = cbrrr.decode_dag_cbor(raw, atjson_mode=True)
    except (TypeError, ValueError, RecursionError, MemoryError) as error:
        raise InvalidData(f"not DAG-CBOR: {error}") from error
    return _checked(value, 1)


def record_cid(value: Json) -> Cid:
    """The CID of a record. Raises as :func:`encode` does."""
    return Cid.of_block(encode(value))


def check_record_size(raw: bytes, values: int = MAX_VALUES) -> None:
    """Raises :class:`InvalidData` for an encoded record of more bytes than relays take, or of more than ``values``.

    Each value has a byte at least, so that small records cost nothing.
    """
    if len(raw) > MAX_RECORD_BYTES:
        what = f"the record has {len(raw):,} bytes; the most is {MAX_RECORD_BYTES:,}"
        raise InvalidData(what, hint="records point at data, they don't hold it")
    if has_more_values(raw, values):
        what = f"the record has more than {values:,} values"
        raise InvalidData(what, hint="records point at data; to read it all the same, raise limits.record_values")


def has_more_values(raw: bytes, most: int) -> bool:
    """Return whether DAG-CBOR has more values and keys than ``most``: its heads are counted, nothing is decoded.

    Of bytes that are no DAG-CBOR anything may be said: :func:`decode` refuses them.
    """
    if len(raw) <= most:
        return False
    at = count = 0
    while at < len(raw):
        count += 1
        if count > most:
            return True
        major, short = raw[at] >> 5, raw[at] & 31
        at += 1
        size = short
        if short >= _SIZE_FOLLOWS:
            width = 1 << (short - _SIZE_FOLLOWS)
            size = int.from_bytes(raw[at : at + width], "big")
            at += width
        if major in _STRINGS:
            at += size
    return False


def bytes_of(value: object) -> bytes:
    """The bytes of ``{"$bytes": …}``; the base64 may be padded or not. Raises :class:`InvalidData`."""
    text = _only_value(value, "$bytes")
    body = text.rstrip("=")
    if len(text) - len(body) > _MAX_PADDING:
        raise InvalidData("$bytes is not base64: too much padding")
    try:
        return base64.b64decode(body + "=" * (-len(body) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidData(f"$bytes is not base64: {error}") from error


def bytes_json(raw: bytes) -> dict[str, Json]:
    """``{"$bytes": …}`` for these bytes."""
    return {"$bytes": base64.b64encode(raw).decode("ascii").rstrip("=")}


def link_of(value: object) -> Cid:
    """The CID of ``{"$link": …}``, which must be in base32. Raises :class:`InvalidData`."""
    text = _only_value(value, "$link")
    try:
        cid = Cid.parse(text)
        _ = cid.digest
    except InvalidSyntax as error:
        raise InvalidData(f"$link: {error.what}", hint=error.hint) from error
    return cid


def is_blob(value: object) -> TypeGuard[dict[str, Json]]:
    """Whether this is a well-formed reference to a blob: ``{$type: blob, ref: {$link}, mimeType, size}``."""
    if not isinstance(value, dict) or value.get("$type") != "blob":
        return False
    size = value.get("size")
    if not isinstance(value.get("mimeType"), str) or isinstance(size, bool) or not isinstance(size, int):
        return False
    try:
        link_of(value.get("ref"))
    except InvalidData:
        return False
    return 0 <= size <= MAX_INTEGER


def _only_value(value: object, key: str) -> str:
    if not isinstance(value, dict) or key not in value:
        raise InvalidData(f'expected an object with the one key "{key}"')
    if len(value) > 1:
        raise InvalidData(f'"{key}" must be the only key of its object')
    text = value[key]
    if not isinstance(text, str):
        raise InvalidData(f'"{key}" must be a string, not {type(text).__name__}')
    return text


def _checked(value: object, depth: int) -> Json:
    """A copy of the value in plain types. The recursion ends at ``MAX_NESTING``."""
    if isinstance(value, str):
        return _text(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        if not -MAX_INTEGER <= value <= MAX_INTEGER:
            raise InvalidData("an integer beyond ±(2^53 − 1)", hint="write it as a string")
        return int(value)
    if isinstance(value, dict):
        return _checked_object(value, depth)
    if isinstance(value, list):
        return _checked_array(value, depth)
    if isinstance(value, float):
        raise InvalidData("the atproto data model has no floats", hint="write an integer, or a string")
    raise InvalidData(f"the atproto data model has no {type(value).__name__}")


def _text(value: str) -> str:
    if not value.isascii():
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as error:
            raise InvalidData("text with half a surrogate pair in it is not Unicode") from error
    return str(value)


def _checked_object(value: dict[object, object], depth: int) -> dict[str, Json]:
    if "$link" in value:
        return {"$link": str(link_of(value))}
    if "$bytes" in value:
        return bytes_json(bytes_of(value))
    _check_depth(depth)
    copy: dict[str, Json] = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise InvalidData(f"the keys of an object are strings, not {type(key).__name__}")
        try:
            copy[_text(key)] = _checked(item, depth + 1)
        except InvalidData as error:
            error.within(_step(key))
            raise
    return copy


def _checked_array(value: list[object], depth: int) -> list[Json]:
    _check_depth(depth)
    copy: list[Json] = []
    for index, item in enumerate(value):
        try:
            copy.append(_checked(item, depth + 1))
        except InvalidData as error:
            error.within(f"[{index}]")
            raise
    return copy


def _check_depth(depth: int) -> None:
    if depth > MAX_NESTING:
        raise InvalidData(f"more than {MAX_NESTING} objects and arrays inside each other")


def _step(key: str) -> str:
    """A key as a step of a path; quoted, and cut, when it is not a plain word."""
    if _PLAIN_KEY.fullmatch(key):
        return key
    return f"[{key if len(key) <= _KEY_SHOWN else key[: _KEY_SHOWN - 1] + '…'!r}]"
