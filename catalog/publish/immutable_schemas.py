"""Published schemas are immutable: refuse a manifest that changes one, and say what to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from catalog.errors import CatalogError, Fault, PublishError
from catalog.manifest.diagnostics import place
from catalog.publish.diff import differences, unmarked
from catalog.publish.repo_state import called
from catalog.records import SCHEMA, Schema, read_record
from catalog.schema import compare
from catalog.syntax import AtUri
from catalog.syntax.semver import semver_key

if TYPE_CHECKING:
    from catalog.atproto.datamodel import Json
    from catalog.manifest import DraftKey, DraftRecord, SchemaDraft
    from catalog.publish.repo_state import Present, PresentRecord
    from catalog.schema import FieldType, SampleType
    from catalog.syntax import Did


def schema_key(draft: SchemaDraft) -> DraftKey:
    """Return the key of a schema draft."""
    return (SCHEMA, draft.sample_type.name, draft.sample_type.version)


def serving_schemas(schemas: Sequence[SchemaDraft], did: Did, present: Present) -> dict[DraftKey, AtUri]:
    """Return the published schemas that serve implied ones. Raises :class:`PublishError`, a line each."""
    found: dict[DraftKey, AtUri] = {}
    lines: list[str] = []
    for draft in schemas:
        key = schema_key(draft)
        rkey = present.rkeys.get(key)
        if not draft.implied or rkey is None:
            continue
        uri = AtUri.of(did, SCHEMA, rkey)
        there = _schema(present.records[uri].value if uri in present.records else None)
        if there is not None and _fields(there.sample_type) == _fields(draft.sample_type):
            found[key] = uri
        else:
            where = place(draft.file, draft.line)
            lines += _immutable(where, key, there, draft.sample_type, None, present)
    if lines:
        raise PublishError("\n".join([*lines, "nothing was written"]))
    return found


def is_same_schema(draft: DraftRecord, there: PresentRecord) -> bool:
    """Return whether the published record is the same schema in another spelling, as other clients write it."""
    found = _schema(there.value) if draft.collection == SCHEMA else None
    return (
        found is not None
        and isinstance(draft.record, Schema)
        and (found.sample_type, found.license, found.tags)
        == (draft.record.sample_type, draft.record.license, draft.record.tags)
    )


def _schema(value: Json) -> Schema | None:
    try:
        record = read_record(SCHEMA, value)
    except CatalogError:
        return None
    return record if isinstance(record, Schema) else None


def _fields(sample_type: SampleType) -> dict[str, tuple[FieldType, bool]]:
    return {field.name: (field.type, field.optional) for field in sample_type.fields}


def refuse_changed_schemas(drafts: Sequence[DraftRecord], present: Present) -> None:
    """Raise one error for all changed schemas: the change, what it breaks, and the version it needs."""
    lines: list[str] = []
    for draft in drafts:
        there = present.records.get(draft.uri)
        if draft.collection != SCHEMA or there is None or there.cid == draft.cid or is_same_schema(draft, there):
            continue
        if isinstance(draft.record, Schema):
            where = place(draft.file, draft.line)
            old = _schema(there.value)
            lines += _immutable(where, draft.key, old, draft.record.sample_type, (there.value, draft.value), present)
    if lines:
        raise PublishError("\n".join([*lines, "nothing was written"]))


def _immutable(  # noqa: PLR0917 — the two callers have all of it at hand
    where: str,
    key: DraftKey,
    old: Schema | None,
    new: SampleType,
    values: tuple[Json, Json] | None,
    present: Present,
) -> Iterator[str]:
    name = called(*key)
    _, plain, version = key
    if old is None:
        hint = "give the schema of the manifest another version"
        yield str(Fault(where=where, message=f"{name} is published, and can't be read as a schema", hint=hint))
        return
    comparison = compare(old.sample_type, new)
    taken = {semver_key(known[2]) for known in present.rkeys if known[:2] == (SCHEMA, plain)}
    least = comparison.version_after(version)
    while least is not None and semver_key(least) in taken:
        least = comparison.version_after(least)
    hint = f"give it version {least}" if least else "give it another version"
    message = f"{name} is published with other content, and a published version is immutable"
    yield str(Fault(where=where, message=message, hint=hint))
    if comparison.changes:
        yield from (f"    {line}" for line in comparison.lines())
    elif values is not None:
        found = differences(unmarked(values[0]), unmarked(values[1]))
        yield from (f"    {one.path} changes" for one in found)
        yield "    samples are the same; it needs a patch version"
