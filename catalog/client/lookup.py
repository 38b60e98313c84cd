"""Schemas as a user names them: by address, by account, or in a file.

::

    at://did:plc:…/science.alt.dataset.schema/…    the schema; of a dataset or label its schema, of a lens both
    alice.example.org, did:plc:…, at://did:plc:…   every schema of an account
    digits.yaml, manifests/                        every schema of a manifest, of a folder of them
    record.json                                    a record, as getRecord answers it or bare; or a JSON Schema

``#Name@1.0.0`` (or ``#Name``) behind any of them picks one. What exists as a file is a file, whatever else its name
could mean. No code is run: a Python class is not named here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from catalog.client.connection import Client
from catalog.client.discovery import Search, Where
from catalog.client.wanted import Wanted, schema_name
from catalog.datamodel import record_cid
from catalog.errors import CatalogError, InvalidSchema, InvalidSyntax
from catalog.graph import semver_key
from catalog.manifest import load_schemas
from catalog.manifest.faults import place, shown
from catalog.records import COLLECTIONS, DATASET, LABEL, LENS, SCHEMA, Dataset, Label, Lens, Schema, read_record
from catalog.sampletype import SampleType, read_body
from catalog.syntax import AtIdentifier, AtUri

if TYPE_CHECKING:
    from catalog.datamodel import Json
    from catalog.errors import Fault
    from catalog.records import Record
    from catalog.syntax import Cid

__all__ = ["FoundSchema", "find_schemas"]

_MAX_FILE: Final = 5_000_000
_YAML: Final = (".yaml", ".yml")
_FILES: Final = (*_YAML, ".json")
_HINT: Final = "a file, a folder of manifests, an at:// URI, or an account (handle or DID)"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundSchema:
    """A sample type and where it is from: ``where`` for people, ``uri`` and ``cid`` when it is a published record."""

    sample_type: SampleType
    uri: AtUri | None = None
    cid: Cid | None = None
    where: str


def find_schemas(
    text: str, *, client: Client | None = None, refused: list[Fault] | None = None
) -> tuple[FoundSchema, ...]:
    """The schemas that ``text`` names, at least one; an account's and a manifest's in the order of their names.

    A ``client`` is opened where one is needed and none is given. Of an account, records that can't be read are passed
    over and noted in ``refused``.

    Raises :class:`~catalog.errors.InvalidSchema` when there is none, :class:`~catalog.errors.InvalidManifest`,
    :class:`~catalog.errors.InvalidRecord`, :class:`~catalog.errors.InvalidSyntax`, or a
    :class:`~catalog.errors.NetworkError`.
    """
    base, mark, wish = text, "", ""
    if not _exists(text):
        base, mark, wish = text.partition("#")
    if _exists(base):
        found = _in_file(Path(base))
    elif client is not None:
        found = _published(base, client, refused)
    else:
        with Client() as own:
            found = _published(base, own, refused)
    return _picked(found, wish, base) if mark else found


def _exists(text: str) -> bool:
    try:
        return bool(text) and Path(text).exists()
    except (OSError, ValueError):
        return False


def _picked(found: tuple[FoundSchema, ...], wish: str, base: str) -> tuple[FoundSchema, ...]:
    name = schema_name(wish, base)
    assert name is not None  # noqa: S101 - only for no text
    picked = tuple(
        one for one in found if one.sample_type.name == name.name and name.version in (None, one.sample_type.version)
    )
    if not picked:
        known = [f"{one.sample_type.name}@{one.sample_type.version}" for one in found]
        listed = ", ".join(shown(name) for name in known[:10]) + (", …" if len(known) > 10 else "")
        raise InvalidSchema(f"there is no schema {shown(wish)!r}", where=shown(base, 300), hint=f"there is {listed}")
    return picked


def _ordered(found: list[FoundSchema]) -> tuple[FoundSchema, ...]:
    return tuple(sorted(found, key=lambda one: (one.sample_type.name, semver_key(one.sample_type.version), one.where)))


# --- published -----------------------------------------------------------------------------------------------


def _published(text: str, client: Client, refused: list[Fault] | None) -> tuple[FoundSchema, ...]:
    if text.startswith("at:"):
        uri = AtUri.parse(text)
        if uri.rkey is not None:
            return _of_record(uri, client)
        if uri.collection not in (None, SCHEMA):
            raise InvalidSchema(f"{uri.collection} holds no schemas", where=text, hint=f"at://…/{SCHEMA}")
        return _of_account(str(uri.authority), client, refused)
    if Path(text).suffix.lower() in _FILES or "/" in text or "\\" in text:
        raise InvalidSchema("there is no such file", where=shown(text, 300), hint=_HINT)
    try:
        account = AtIdentifier.parse(text.removeprefix("@"))
    except InvalidSyntax as error:
        what = f"neither a file, nor an at:// URI, nor an account ({error.what})"
        raise InvalidSchema(what, where=shown(text, 300), hint=_HINT) from None
    return _of_account(str(account), client, refused)


def _of_record(uri: AtUri, client: Client) -> tuple[FoundSchema, ...]:
    """The schemas a record is or refers to."""
    if uri.collection not in (SCHEMA, DATASET, LABEL, LENS):
        hint = "a schema, a dataset, a label or a lens has"
        raise InvalidSchema(f"a record of {uri.collection} has no schema", where=str(uri), hint=hint)
    record = client.records.get(uri).record if uri.collection != SCHEMA else None
    if isinstance(record, Label):
        if record.dataset.collection != DATASET:
            raise InvalidSchema("a label of something that is no dataset", where=str(uri))
        record = client.records.get(record.dataset).record
    found: list[FoundSchema] = []
    for one in _references(record) or (uri,):
        schema = client.records.schema(one)
        published = FoundSchema(
            sample_type=schema.record.sample_type, uri=schema.uri, cid=schema.cid, where=str(schema.uri)
        )
        if published not in found:
            found.append(published)
    return tuple(found)


def _references(record: Record | None) -> tuple[AtUri, ...]:
    match record:
        case Dataset():
            return (record.schema_ref,)
        case Lens():
            return (record.source, record.target)
        case _:
            return ()


def _of_account(account: str, client: Client, refused: list[Fault] | None) -> tuple[FoundSchema, ...]:
    broken: list[Fault] = [] if refused is None else refused
    search = Search(
        client.records, where=Where(publisher=account), collection=SCHEMA, wanted=Wanted(), refuse=broken.append
    )
    found = [
        FoundSchema(sample_type=one.record.sample_type, uri=one.uri, cid=one.cid, where=str(one.uri))
        for one in search
        if isinstance(one.record, Schema)
    ]
    if not found:
        hint = f"{len(broken)} can't be read; the first: {broken[0]}" if broken else None
        raise InvalidSchema("this account has no schema", where=account, hint=hint)
    return _ordered(found)


# --- files ---------------------------------------------------------------------------------------------------


def _in_file(path: Path) -> tuple[FoundSchema, ...]:
    if path.is_dir() or path.suffix.lower() in _YAML:
        return _in_manifests(path)
    where = shown(str(path), 300)
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_FILE + 1)
    except OSError as error:
        raise InvalidSchema(f"can't be read: {error.strerror or error}", where=where) from None
    if len(raw) > _MAX_FILE:
        raise InvalidSchema(f"more than {_MAX_FILE:,} bytes", where=where, hint="no schema is that long")
    if not raw.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") and path.suffix.lower() != ".json":
        return _in_manifests(path)
    try:
        value: Json = json.loads(raw.decode("utf-8-sig"), parse_constant=_not_json)
    except (ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, json.JSONDecodeError) else "unreadable"
        raise InvalidSchema(f"not JSON: {reason}", where=where) from None
    try:
        return (_in_json(value, path),)
    except CatalogError as error:
        if error.where is None:
            error.within(where)
        raise


def _in_manifests(path: Path) -> tuple[FoundSchema, ...]:
    found = [
        FoundSchema(sample_type=draft.sample_type, where=place(draft.file, draft.line))
        for draft in load_schemas([path])
    ]
    if not found:
        raise InvalidSchema("no schema in it", where=shown(str(path), 300), hint="a manifest has them under schemas:")
    return _ordered(found)


def _in_json(value: Json, path: Path) -> FoundSchema:
    """A record (as getRecord answers it, or bare), or a JSON Schema."""
    if not isinstance(value, dict):
        raise InvalidSchema("not a JSON object", hint="a schema record, or a JSON Schema of type object")
    answer = value.get("value")
    if isinstance(answer, dict) and isinstance(value.get("uri"), str):
        return _in_record(answer, path, AtUri.parse(str(value["uri"])), value.get("cid"))
    if value.get("$type") in COLLECTIONS:
        return _in_record(value, path, None, None)
    fields = read_body(value)
    inner = next((part for key in ("content", "schemaBody") if isinstance(part := value.get(key), dict)), value)
    title, version, description = inner.get("title"), inner.get("version"), inner.get("description")
    return FoundSchema(
        sample_type=SampleType(
            name=title if isinstance(title, str) and title.strip() else path.stem,
            version=version if isinstance(version, str) and version.strip() else "1.0.0",
            fields=fields,
            description=description if isinstance(description, str) and description else None,
        ),
        where=shown(str(path), 300),
    )


def _in_record(value: dict[str, Json], path: Path, uri: AtUri | None, promised: Json) -> FoundSchema:
    kind = value.get("$type")
    if kind != SCHEMA:
        raise InvalidSchema(f"a record of {shown(str(kind))!r}, not of {SCHEMA!r}", hint="its schema is another record")
    record = read_record(SCHEMA, value)
    cid = record_cid(value)
    if promised is not None and promised != str(cid):
        raise InvalidSchema(f"its content has the CID {cid}, the file says {shown(str(promised), 100)}")
    assert isinstance(record, Schema)  # noqa: S101 - by its collection
    return FoundSchema(
        sample_type=record.sample_type, uri=uri, cid=cid if uri is not None else None, where=shown(str(path), 300)
    )


def _not_json(name: str) -> float:
    raise ValueError(name)
