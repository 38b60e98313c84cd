"""Differences between two versions of a record, field by field, by the names used in manifests.

Complete records are compared, so that every loss is shown: also fields of other clients that manifests don't have.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgpack

from catalog.atproto import datamodel
from catalog.errors import CatalogError
from catalog.manifest import MARK
from catalog.records import SCHEMA, Schema, read_record
from catalog.schema import type_text

if TYPE_CHECKING:
    from catalog.atproto.datamodel import Json
    from catalog.schema import Field

_SILENT: Final = ("$type", "createdAt", MARK)
"""Fields of every record that no manifest has."""

_NAMES: Final = (
    ("schemaRef", "schema"),
    ("datasetUri", "dataset"),
    ("sourceSchemaVersion", "source version"),
    ("targetSchemaVersion", "target version"),
    ("sourceSchema", "source"),
    ("targetSchema", "target"),
    ("getterCode", "getter"),
    ("putterCode", "putter"),
    ("contentMetadata", "content_metadata"),
    ("sampleFormat", "format"),
    ("storage.shards", "shards"),
    ("storage.blobs", "blobs"),
    ("size.samples", "samples"),
    ("size.bytes", "bytes"),
    ("size.shards", "number of shards"),
    ("verificationMethod", "method"),
    ("lensCommit", "lens_commit"),
)
"""Paths in records, and their names in manifests; the first match counts."""
_OPENED: Final = ("metadata", "size", "storage", "contentMetadata", "fields")
_IDENTITY: Final = ("url", "key")
"""Fields that identify a shard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One value that differs; ``None`` if absent. ``path`` is the manifest's, if it has one."""

    path: str
    before: object = None
    after: object = None

    def as_json(self) -> dict[str, object]:
        """Return the difference as JSON; bytes as text."""
        return {"path": self.path, "before": _jsonable(self.before), "after": _jsonable(self.after)}


def differences(before: Json, after: Json) -> tuple[Difference, ...]:
    """Return the differences, in the order of ``after``, then what it lacks; lists of words as a whole."""
    return tuple(_walk("", _legible(before), _legible(after)))


def unmarked(value: Json) -> Json:
    """Return a record without the mark of its set."""
    if isinstance(value, dict) and MARK in value:
        return {key: item for key, item in value.items() if key != MARK}
    return value


def _legible(value: Json) -> object:
    """Return a record without fields that no manifest has, its metadata unpacked, a schema as in manifests."""
    if not isinstance(value, dict):
        return value
    if value.get("$type") == SCHEMA:
        return _schema(value)
    shown: dict[str, object] = {key: item for key, item in value.items() if key not in _SILENT}
    packed = shown.get("metadata")
    if isinstance(packed, dict) and set(packed) == {"$bytes"}:
        try:
            shown["metadata"] = msgpack.unpackb(datamodel.bytes_of(packed), strict_map_key=False)
        except Exception:  # noqa: BLE001 — msgpack raises many kinds; bytes that aren't msgpack are shown as they are
            shown["metadata"] = packed
    return shown


def _schema(value: Json) -> object:
    try:
        record = read_record(SCHEMA, value)
    except CatalogError:
        return value
    if not isinstance(record, Schema):
        return value
    sample_type = record.sample_type
    shown = {
        "name": sample_type.name,
        "version": sample_type.version,
        "description": sample_type.description,
        "license": record.license,
        "tags": list(record.tags) or None,
        "fields": {field.name: _field(field) for field in sample_type.fields},
    }
    return {key: item for key, item in shown.items() if item is not None}


def _field(field: Field) -> object:
    text = type_text(field.type, optional=field.optional)
    dimensions = list(getattr(field.type, "dimensions", None) or ())
    named = f"{text} ({', '.join(dimensions)})" if dimensions else text
    return named if field.description is None else f"{named}: {field.description}"


def _walk(path: str, before: object, after: object) -> Iterator[Difference]:
    if type(before) is type(after) and before == after:
        return
    match before, after:
        case dict(), dict():
            yield from _walk_maps(path, before, after)
        case list(), list() if _are_named(before) and _are_named(after):
            old, new = ({_identity(item): item for item in items} for items in (before, after))
            if len(old) < len(before) or len(new) < len(after):
                yield from _walk_lists(path, before, after)
                return
            yield from _walk_maps(path, old, new, form="{}[{}]")
            if list(old) != list(new) and set(old) == set(new):
                yield Difference(path=f"order of {_called(path)}", before=list(old), after=list(new))
        case list(), list() if all(isinstance(item, dict) for item in (*before, *after)):
            yield from _walk_lists(path, before, after)
        case _:
            yield Difference(path=_called(path), before=before, after=after)


def _walk_maps(
    path: str, before: Mapping[Any, object], after: Mapping[Any, object], form: str = "{}.{}"
) -> Iterator[Difference]:
    for key in (*after, *(key for key in before if key not in after)):
        inside = form.format(path, key) if path else str(key)
        if key in before and key in after:
            yield from _walk(inside, before[key], after[key])
        elif key in after:
            yield from _one_sided(inside, None, after[key])
        else:
            yield from _one_sided(inside, before[key], None)


def _one_sided(path: str, before: object, after: object) -> Iterator[Difference]:
    """Yield an added or removed map entry by entry at the top level; a shard as one."""
    value = after if before is None else before
    if path == "storage.$type":  # shown by the shards, keys or blobs
        return
    if isinstance(value, dict) and value and path in _OPENED:
        for key, item in value.items():
            yield from _one_sided(f"{path}.{key}", None if before is None else item, None if after is None else item)
    elif isinstance(value, list) and path in ("storage.shards", "storage.blobs") and len(value) > 1:
        shown = f"{len(value)} shards"
        yield Difference(path=_called(path), before=before and shown, after=after and shown)
    else:
        yield Difference(path=_called(path), before=before, after=after)


def _walk_lists(path: str, before: list[object], after: list[object]) -> Iterator[Difference]:
    for index in range(max(len(before), len(after))):
        inside = f"{path}[{index}]"
        if index < min(len(before), len(after)):
            yield from _walk(inside, before[index], after[index])
        else:
            old, new = (items[index] if index < len(items) else None for items in (before, after))
            yield Difference(path=_called(inside), before=old, after=new)


def _are_named(items: list[object]) -> bool:
    return all(isinstance(item, dict) and _identity(item) is not None for item in items)


def _identity(item: object) -> str | None:
    found = (item.get(key) for key in _IDENTITY) if isinstance(item, dict) else ()
    return next((text for text in found if isinstance(text, str)), None)


def _called(path: str) -> str:
    for wire, name in _NAMES:
        if path == wire or path.startswith((wire + ".", wire + "[")):
            return name + path[len(wire) :]
    return path


def _jsonable(value: object) -> object:
    return json.loads(json.dumps(value, default=lambda item: item.hex() if isinstance(item, bytes) else str(item)))
