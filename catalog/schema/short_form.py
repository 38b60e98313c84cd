"""The short form of a type in manifests and on pages: ``array[uint8, 8, *]``, ``bytes[image/jpeg]``, ``str?``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from catalog.errors import InvalidSchema
from catalog.schema.dtypes import DTYPES, ML_DTYPES, is_dtype, refusal
from catalog.schema.media_types import media_type
from catalog.schema.types import (
    MAX_DIMENSIONS,
    MAX_NESTING,
    SCALAR_KINDS,
    Array,
    FieldType,
    List,
    Scalar,
)

_TYPE_TEXT: Final = re.compile(r"(?P<head>[A-Za-z]+)\s*(?:\[(?P<inner>.*)\])?", re.DOTALL)
_SHOWN: Final = 60
_OTHER_DTYPES: Final = ("datetime64[ns]", "timedelta64[ns]", "str", "bytes", "void")
_TYPE_HELP: Final = (
    "known types: str, int, float, bool, bytes, bytes[media type], map, datetime, array, array[dtype, dim, …], "
    "list[type]; ? at the end: optional"
)


def parse_type(text: str) -> tuple[FieldType, bool]:
    """Parse the short form of a type: ``array[uint8, 8, *]``, ``list[float]``, ``str?``.

    Return the type, and True if it is optional (a trailing ``?``). Raises :class:`InvalidSchema`, with a suggestion
    for a near miss.
    """
    stripped = text.strip()
    optional = stripped.endswith("?")
    return _parse(stripped.removesuffix("?").rstrip(), depth=0), optional


def _parse(text: str, *, depth: int) -> FieldType:
    match = _TYPE_TEXT.fullmatch(text)
    if match is None or depth > MAX_NESTING:
        raise _unknown_type(text)
    head, inner = match["head"], match["inner"]
    if head == "array":
        return Array() if inner is None else _parse_array(inner)
    if head == "list" and inner is not None:
        if inner.strip().endswith("?"):
            what = f"{text!r}: the items of a list can't be optional"
            raise InvalidSchema(what, hint="put the ? after the list, or omit missing items")
        return List(item=_parse(inner.strip(), depth=depth + 1))
    if head == "bytes" and inner is not None:
        return Scalar(kind="bytes", media=_parse_media(inner.strip()))
    kind = next((kind for kind in SCALAR_KINDS if kind == head), None)
    if kind is not None and inner is None:
        return Scalar(kind=kind)
    raise _unknown_type(text)


def _parse_media(text: str) -> str:
    found = None if ";" in text else media_type(text)
    if found is None:
        raise InvalidSchema(f"{text[:_SHOWN]!r} is not a media type", hint="such as image/jpeg, audio/flac or image/*")
    return found


def _parse_array(inner: str) -> Array:
    dtype, *dims = (part.strip() for part in inner.split(","))
    if dtype != "*" and not is_dtype(dtype):
        raise _unknown_dtype(dtype)
    if len(dims) > MAX_DIMENSIONS:
        raise InvalidSchema(f"an array of {len(dims)} dimensions; the maximum is {MAX_DIMENSIONS}")
    shape = tuple(None if dim == "*" else _dimension(dim) for dim in dims)
    return Array(dtype=None if dtype == "*" else dtype, shape=shape or None)


def _unknown_dtype(name: str) -> InvalidSchema:
    why = refusal(name)
    if why is not None:
        return InvalidSchema(f"dtype {name!r} can't be stored", hint=why)
    hint = _suggest(name, (*DTYPES, *ML_DTYPES, *_OTHER_DTYPES)) or f"known: {', '.join((*DTYPES, *_OTHER_DTYPES))}"
    return InvalidSchema(f"unknown dtype {name[:_SHOWN]!r}", hint=hint)


def _dimension(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,15}", text, re.ASCII):
        raise InvalidSchema(f"{text!r} is not a dimension", hint="use an integer, or * for any length")
    return int(text)


def _unknown_type(text: str) -> InvalidSchema:
    head = text.split("[", 1)[0].strip()
    aliases = {
        "string": "str", "integer": "int", "number": "float", "boolean": "bool", "text": "str", "ndarray": "array",
        "double": "float", "tensor": "array", "binary": "bytes",
        "dict": "map", "object": "map", "json": "map", "date": "datetime", "timestamp": "datetime",
        "image": "bytes[image/jpeg]", "audio": "bytes[audio/flac]",
    }  # fmt: skip
    near = aliases.get(head.lower())
    hint = f"did you mean {near!r}?" if near else _suggest(head, (*SCALAR_KINDS, "array", "list"))
    shown = text[:_SHOWN] + "…" * (len(text) > _SHOWN)
    return InvalidSchema(f"unknown field type {shown!r}", hint=hint or _TYPE_HELP)


def _suggest(word: str, known: Iterable[str]) -> str | None:
    from difflib import get_close_matches  # slow to import, and only needed for an error

    near = get_close_matches(word[:40], list(known), n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else None
