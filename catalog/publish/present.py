"""What a repository has already, under the names that manifests use."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from catalog.datamodel import record_cid
from catalog.errors import InvalidData, InvalidSyntax
from catalog.records import COLLECTIONS, LABEL, LENS, SCHEMA, VERIFICATION, schema_rkey
from catalog.syntax import AtUri, Cid, Datetime, RecordKey

if TYPE_CHECKING:
    from collections.abc import Iterator

    from catalog.datamodel import Json
    from catalog.manifest import DraftKey
    from catalog.network.session import Session

__all__ = ["Present", "read_present"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """The dataset records of a repository: their CIDs by URI, their record keys and dates by what they are.

    ``schemas`` are the values of the schema records.
    """

    cids: dict[AtUri, Cid] = field(default_factory=dict)
    schemas: dict[AtUri, Json] = field(default_factory=dict)
    rkeys: dict[DraftKey, RecordKey] = field(default_factory=dict)
    created: dict[DraftKey, Datetime] = field(default_factory=dict)


def read_present(session: Session) -> Present:
    """Read the dataset records of the session's repository. Raises a ``NetworkError``.

    Of several records with one name the newest counts (the last by record key), of schemas the one under the key
    that we give. Records that aren't in the data model have no name here; their record keys are still taken.
    """
    present = Present()
    lens_names: dict[str, str] = {}
    for collection in COLLECTIONS:  # lenses come before their verifications
        listed = [(_uri(line.uri), line.value) for line in session.list_records(collection)]
        for uri, value in sorted(((uri, value) for uri, value in listed if uri is not None), key=lambda pair: pair[0]):
            try:
                present.cids[uri] = record_cid(value)
            except InvalidData:
                continue
            if collection == SCHEMA:
                present.schemas[uri] = value
            if collection == LENS:
                lens_names[uri] = _text(value, "name")
            for key in _keys(collection, value, lens_names):
                _note(present, key, uri, value)
    return present


def _note(present: Present, key: DraftKey, uri: AtUri, value: Json) -> None:
    collection, name, version = key
    rkey = uri.rkey
    if rkey is None:
        return
    if collection == SCHEMA and key in present.rkeys:
        try:
            if present.rkeys[key] == schema_rkey(name, version):
                return
        except InvalidSyntax:
            return
    present.rkeys[key] = rkey
    try:
        present.created[key] = Datetime.parse(_text(value, "createdAt"))
    except InvalidSyntax:
        present.created.pop(key, None)


def _keys(collection: str, value: Json, lens_names: dict[str, str]) -> Iterator[DraftKey]:
    """What a manifest may call this record."""
    if collection == VERIFICATION:
        lens, method = _text(value, "lens"), _text(value, "verificationMethod")
        yield (collection, lens, method)
        if lens in lens_names:
            yield (collection, lens_names[lens], method)
        return
    version = _text(value, "version") if collection in (SCHEMA, LABEL) else ""
    yield (collection, _text(value, "name"), version)


def _uri(text: str) -> AtUri | None:
    try:
        return AtUri.parse(text)
    except InvalidSyntax:
        return None


def _text(value: Json, key: str) -> str:
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, str) else ""
