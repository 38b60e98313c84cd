"""The format ``webdataset``: a tar in which the members of one key are the fields of a sample.

::

    0001.jpg  0001.cls  0001.json     sample 0001: jpg bytes, cls int, json any JSON value

Without a sample type the last part of a field's name decides how it is decoded, as in ``webdataset``; with one the
type of the field does. Nothing is unpickled, images stay bytes.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from catalog.errors import InvalidSample, InvalidShard
from catalog.schema import Array, List, Scalar
from catalog.shards.formats.json_values import DuplicateName, unique_names
from catalog.shards.formats.members import grouped, holds_msgpack

if TYPE_CHECKING:
    from catalog.schema import FieldType, SampleType
    from catalog.shards.formats.format import Decoder
    from catalog.shards.source import Source

MAX_UNPACKED: Final = 1 << 26
"""Bytes of a field ``….gz`` after decompression."""


def _text(data: bytes) -> str:
    return data.decode("utf-8")


def _json(data: bytes) -> Any:  # noqa: ANN401 - any JSON
    return json.loads(data, object_pairs_hook=unique_names)


def _truth(data: bytes) -> bool:
    return {"true": True, "1": True, "false": False, "0": False}[data.decode("ascii").strip().lower()]


_BY_NAME: Final[Mapping[str, tuple[str, Callable[[bytes], Any]]]] = MappingProxyType({
    **dict.fromkeys(("cls", "cls2", "index", "inx", "id"), ("a whole number", int)),
    **dict.fromkeys(("txt", "text", "transcript"), ("text in UTF-8", _text)),
    **dict.fromkeys(("json", "jsn"), ("JSON", _json)),
})  # fmt: skip
"""The last part of a field's name → what it holds and how it is decoded. Others stay bytes; ``.npy`` is read later."""

_BY_KIND: Final[Mapping[str, tuple[str, Callable[[bytes], Any]]]] = MappingProxyType({
    "int": ("a whole number", int),
    "float": ("a number", float),
    "str": ("text in UTF-8", _text),
    "bool": ("true or false", _truth),
    "datetime": ("text in UTF-8", _text),
    "map": ("JSON", _json),
})  # fmt: skip
_JSON: Final = ("JSON", _json)
_BAD: Final = (ValueError, KeyError, RecursionError, zlib.error)


class _WebDataset:
    """The format ``webdataset``; see :class:`~catalog.shards.formats.format.Format`."""

    name = "webdataset"
    media_type = "application/x-tar"
    samples = staticmethod(grouped)

    def recognises(self, head: bytes) -> bool:
        """Return whether the file is a tar whose samples are not single ``.msgpack`` members."""
        return holds_msgpack(head) is False

    def count(self, source: Source, where: str) -> int | None:
        """Return the number of samples, ``None`` if the file is not a valid tar of samples."""
        try:
            return sum(1 for _ in grouped(source, where, whole=True))
        except InvalidShard:
            return None

    def decoder(self, wanted: SampleType | None) -> Decoder:
        """Return the function that decodes the members of a sample."""
        return _decode_by_name if wanted is None else _Decoder(wanted)

    def infer(self, source: Source, where: str, limit: int | None) -> None:
        """Return ``None``: the fields are inferred from the decoded samples."""


def _decode_by_name(members: Mapping[str, memoryview], key: str) -> dict[str, Any]:
    """Return the values of a sample, decoded by the names of its fields."""
    return {name: _decoded(name, _step_of(name), data, key) for name, data in members.items()}


def _step_of(name: str) -> tuple[str, Callable[[bytes], Any]] | None:
    parts = name.split(".")
    while len(parts) > 1 and parts[-1] == "gz":
        parts.pop()
    return _BY_NAME.get(parts[-1])


class _Decoder:
    """Decodes the members of samples by the types of their fields; other members are skipped."""

    def __init__(self, wanted: SampleType) -> None:
        self._steps = {field.name: _typed_step(field.name, field.type) for field in wanted.fields}

    def __call__(self, members: Mapping[str, memoryview], key: str) -> dict[str, Any]:
        """Return the values of a sample."""
        steps = self._steps
        return {name: _decoded(name, steps[name], data, key) for name, data in members.items() if name in steps}


def _typed_step(name: str, type_: FieldType) -> tuple[str, Callable[[bytes], Any]] | None:
    match type_:
        case Scalar(kind=kind):
            return _BY_KIND.get(kind)
        case Array():
            return None  # decoded as an array of a msgpack map is
        case List():
            return _JSON
    return _step_of(name)


def _decoded(name: str, step: tuple[str, Callable[[bytes], Any]] | None, data: memoryview, key: str) -> Any:  # noqa: ANN401
    raw = bytes(data)
    try:
        if name.endswith(".gz"):
            raw = _gunzipped(raw)
        return raw if step is None else step[1](raw)
    except _BAD as error:
        if isinstance(error, DuplicateName):
            raise InvalidSample(f"field {name!a}: {error}", where=key or None, hint="remove one of them") from error
        expected = "gzip" if isinstance(error, zlib.error) or step is None else step[0]
        found = ascii(raw[:40])[1:]
        hint = "declare another type for the field in the schema" if step is not None else None
        what = f"field {name!a}: expected {expected}, found {found}"
        raise InvalidSample(what, where=key or None, hint=hint) from error


def _gunzipped(raw: bytes) -> bytes:
    inflate = zlib.decompressobj(31)
    found = inflate.decompress(raw, MAX_UNPACKED)
    if not inflate.eof:
        raise zlib.error("incomplete, or too large")
    return found


WEBDATASET: Final = _WebDataset()
