"""The document of a record in the index: its searchable fields and its rank.

A rank is the record's date in seconds, and 31 bits of the URI's digest: newest first, the same wherever it is indexed.
The date is the record's own, unless it is later than the moment the record was first seen.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from catalog.errors import CatalogError
from catalog.records import KINDS, SCHEMA, Dataset, Label, Lens, LensVerification, Schema, read_record
from catalog.schema import Array, List
from catalog.store.facet_values import derived_facets
from catalog.store.searchable import levels_of, schema_texts, spelt_terms
from catalog.store.tokenizer import cut, fold, tokenize

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from catalog.schema import FieldType, SampleType
    from catalog.store.reader import Shown, Trace
    from catalog.store.searchable import Searched

SEARCHED: Final = ("dataset", "schema", "lens")
"""The kinds that a search finds; the others are listed."""
RANK_BITS: Final = 31
_LAST_SECOND: Final = 2**33 - 1
_MOST_DTYPES: Final = 50
_LONGEST_DTYPE: Final = 100
"""Letters of a dtype that count: each dataset of a schema has it in the index."""
_ANY: Final = "any"


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaFacts:
    """The searchable facts of a schema, for the records that refer to it."""

    name: str
    version: str
    texts: tuple[str, ...]
    dtypes: tuple[str, ...]
    sample_type: SampleType


def facts_of(shown: Shown | None) -> SchemaFacts | None:
    """The facts of a schema record; None where there is none that can be read."""
    if shown is None or shown.collection != SCHEMA:
        return None
    try:
        record = read_record(SCHEMA, shown.value, checked=True)
    except CatalogError:
        return None
    return _facts(record) if isinstance(record, Schema) else None


def _facts(schema: Schema) -> SchemaFacts:
    sample_type = schema.sample_type
    every = dict.fromkeys(dtype[:_LONGEST_DTYPE] for field in sample_type.fields for dtype in _dtypes(field.type))
    return SchemaFacts(
        name=sample_type.name, version=sample_type.version, texts=schema_texts(sample_type),
        dtypes=tuple(sorted(every)[:_MOST_DTYPES]), sample_type=sample_type,
    )  # fmt: skip


def _dtypes(type_: FieldType) -> Iterable[str]:
    while isinstance(type_, List):
        type_ = type_.item
    return (type_.dtype or _ANY,) if isinstance(type_, Array) else ()


def seconds_of(moment: datetime) -> int:
    """A moment in whole seconds since 1970; earlier ones are 0."""
    return max(0, min(_LAST_SECOND, int(moment.timestamp())))


def rank_of(uri: str, made: datetime) -> int:
    """Return the rank of a record among others: by date, then by its URI's digest."""
    digest = int.from_bytes(hashlib.blake2b(uri.encode(), digest_size=4).digest()) >> 1
    return seconds_of(made) << RANK_BITS | digest


def stamp(trace: Trace) -> str:
    """A digest of a record's state, by which index and store are compared."""
    text = f"{trace.uri} {trace.cid} {trace.draft:d}{trace.verified:d} {trace.handle}"
    return hashlib.blake2b(text.encode(), digest_size=10).hexdigest()


def document(shown: Shown, schema: Callable[[str], SchemaFacts | None]) -> dict[str, Any] | None:
    """Return the document of a record by field; None if it can't be read. The caller makes the rank unique."""
    kind = KINDS.get(shown.collection)
    if kind is None:
        return None
    try:
        record = read_record(shown.collection, shown.value, checked=True)
    except CatalogError:
        return None
    state = "draft" if shown.draft else "verified" if shown.verified else "unverified"
    made = min(record.created_at.moment, shown.first_seen)
    found: dict[str, Any] = {
        "uri": shown.uri, "stamp": stamp(shown.trace), "kind": kind, "did": shown.did, "state": state,
        "year": f"{made:%Y}", "rank": rank_of(shown.uri, made), "key": [shown.rkey],
    }  # fmt: skip
    match record:
        case Dataset():
            found |= _dataset(record, schema(str(record.schema_ref)), shown)
        case Schema():
            found |= _schema(record, shown)
        case Lens():
            found |= _lens(record, schema, shown)
        case Label():
            found |= {"key": [record.name], "ref": str(record.dataset)}
        case LensVerification():
            found["ref"] = str(record.lens)
    return found


def _dataset(record: Dataset, schema: SchemaFacts | None, shown: Shown) -> dict[str, Any]:
    found = _text(record, record.name, record.tags, shown, () if schema is None else schema.texts)
    found |= _licence(record.license)
    found["schema"] = str(record.schema_ref)
    found["dtype"] = [] if schema is None else list(schema.dtypes)
    derived = derived_facets(record, None if schema is None else schema.sample_type)
    found |= {facet: list(values) for facet, values in derived.items()}
    if record.size is not None and record.size.bytes is not None:
        found["size"] = record.size.bytes
    return found


def _schema(record: Schema, shown: Shown) -> dict[str, Any]:
    sample_type, facts = record.sample_type, _facts(record)
    found = _text(record, sample_type.name, record.tags, shown, ())
    found |= _licence(record.license)
    found["dtype"] = list(facts.dtypes)
    stem = shown.rkey.partition(":")[0]
    found["key"] = [*dict.fromkeys((shown.rkey, sample_type.name, stem))]
    return found


def _lens(record: Lens, schema: Callable[[str], SchemaFacts | None], shown: Shown) -> dict[str, Any]:
    ends = [facts.name for facts in (schema(str(record.source)), schema(str(record.target))) if facts is not None]
    found = _text(record, record.name, (), shown, ends)
    found["source"], found["target"] = str(record.source), str(record.target)
    return found


def _text(record: Searched, name: str, tags: tuple[str, ...], shown: Shown, schemas: Sequence[str]) -> dict[str, Any]:
    levels = levels_of(record, handle=shown.handle, did=shown.did, schemas=schemas)
    found = {f"l{level}": " ".join(terms) for level, terms in enumerate(levels) if terms}
    return {
        **found, "words": " ".join(found.values()), "name": " ".join(tokenize(name)), "whole": whole(name),
        "spelling": " ".join(spelt_terms(record)), "tag": list(tags),
    }  # fmt: skip


def whole(text: str) -> str:
    """Return a text as its parts with a blank between each two."""
    return " ".join(part for compound in cut(text) for run in compound for part in run)


def _licence(text: str | None) -> dict[str, Any]:
    bare = (text or "").strip()
    return {"licence": bare, "licence_folded": fold(bare)} if bare else {}
