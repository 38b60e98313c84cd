"""The format ``jsonl``: a JSON object a line, a sample each; its keys are the fields.

::

    {"id": 1, "text": "a", "box": [0, 4], "meta": {"lang": "fr"}}

Blank lines are skipped; NaN and Infinity are refused. Objects are maps, lists are lists, or arrays where the sample
type says so; bytes are base64 text. The key of a sample is its ``__key__``, or else its row number.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from catalog.errors import InvalidSample, InvalidShard
from catalog.schema import Array, List, Scalar
from catalog.shards.formats.format import KEY, RESERVED
from catalog.shards.formats.json_values import array_of, parse_json
from catalog.shards.formats.text import KEY_DIGITS, Lines, head_lines, is_text
from catalog.shards.limits import MAX_MEMBER

if TYPE_CHECKING:
    from catalog.schema import Field, FieldType, SampleType
    from catalog.shards.formats.format import Decoder
    from catalog.shards.source import Source

_RESERVED: Final = frozenset(RESERVED)


def _rows(
    source: Source, where: str, most: int = MAX_MEMBER, places: list[int] | None = None
) -> Iterator[dict[str, Any]]:
    """Yield the objects. Raises :class:`InvalidShard` with the line."""
    lines = Lines(source, where, most)
    end = 0
    for line in lines:
        begin, end = end, lines.end
        lines.release()
        if not line.strip():
            continue
        try:
            row = parse_json(line)
        except ValueError as error:
            hint = "one object a line; for a file with one JSON array: jq -c '.[]' OLD > NEW"
            raise InvalidShard(f"not JSON: {str(error)[:120]}", where=lines.place(), hint=hint) from None
        if not isinstance(row, dict):
            hint = "jq -c '.[]' OLD > NEW" if isinstance(row, list) else 'such as {"text": "…"}'
            raise InvalidShard("a line that is no JSON object", where=lines.place(), hint=hint)
        if places is not None:
            places += (begin, end)
        yield row


def _step(found: Field) -> Callable[[Any, str], Any] | None:
    """Return the function of value and key for a field, ``None`` for no conversion."""
    convert = _converter(found.type)
    if convert is None:
        return None

    def step(value: Any, key: str) -> Any:  # noqa: ANN401 - any JSON
        try:
            return None if value is None else convert(value)
        except binascii.Error:
            raise InvalidSample(f"field {found.name!a:.200}: expected bytes in base64", where=key) from None

    return step


def _converter(type_: FieldType) -> Callable[[Any], Any] | None:
    match type_:
        case Array():
            return lambda value: array_of(type_, value)
        case Scalar(kind="bytes"):
            return _to_bytes
        case List():
            item = _converter(type_.item)
            if item is not None:
                return lambda value: [item(one) for one in value] if isinstance(value, list) else value
    return None


def _to_bytes(value: Any) -> Any:  # noqa: ANN401 - any JSON
    return base64.b64decode(value, validate=True) if isinstance(value, str) and value.isascii() else value


class _Jsonl:
    """The format ``jsonl``; see :class:`~catalog.shards.formats.format.Format`."""

    name = "jsonl"
    media_type = "application/jsonlines"

    def recognises(self, head: bytes) -> bool:
        """Return whether the first line is a JSON object."""
        if not is_text(head):
            return False
        lines = head_lines(head)
        if not lines or not lines[0].lstrip().startswith("{"):
            return False
        try:
            return isinstance(parse_json(lines[0]), dict)
        except ValueError:
            return len(lines) == 1 and b"\n" not in head.strip() and lines[0].lstrip().startswith('{"')

    def samples(
        self,
        source: Source,
        where: str,
        *,
        max_bytes: int = MAX_MEMBER,
        on_other: Callable[[str], object] | None = None,  # noqa: ARG002
        whole: bool = False,  # noqa: ARG002
        places: list[int] | None = None,
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield (key, object); the key is its ``__key__``, or else the row number.

        Raises :class:`InvalidShard` with the line.
        """
        for number, row in enumerate(_rows(source, where, max_bytes, places)):
            key = f"{number:0{KEY_DIGITS}d}"
            if not _RESERVED.isdisjoint(row):
                own = row.get(KEY)
                key = key if own is None else str(own)
                row = {name: value for name, value in row.items() if name not in _RESERVED}  # noqa: PLW2901
            yield key, row

    def count(self, source: Source, where: str) -> int | None:
        """Return the number of objects, ``None`` if a line isn't one."""
        try:
            return sum(1 for _ in _rows(source, where))
        except InvalidShard:
            return None

    def decoder(self, wanted: SampleType | None) -> Decoder:
        """Return the function that converts bytes and arrays; without a type values are as in JSON."""
        found = () if wanted is None else wanted.fields
        steps = [(one.name, step) for one in found if (step := _step(one)) is not None]

        def decode(raw: Mapping[str, Any], key: str) -> dict[str, Any]:
            values = dict(raw)
            for name, step in steps:
                if name in values:
                    values[name] = step(values[name], key)
            return values

        return decode

    def infer(self, source: Source, where: str, limit: int | None) -> None:
        """Return ``None``: the fields are inferred from the samples."""


JSONL: Final = _Jsonl()
