"""State of a repository: its records, by the names used in manifests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from catalog.atproto import repo
from catalog.atproto.datamodel import record_cid
from catalog.errors import InvalidData, InvalidSyntax
from catalog.manifest import MARK
from catalog.manifest.diagnostics import shown
from catalog.records import COLLECTIONS, DATASET, KINDS, LABEL, LENS, SCHEMA, VERIFICATION, schema_rkey
from catalog.syntax import AtUri, Cid, Datetime, Did, RecordKey

if TYPE_CHECKING:
    from catalog.atproto.datamodel import Json
    from catalog.manifest import DraftKey
    from catalog.network.http import Client

_REFERENCES: Final = {
    LABEL: ("datasetUri",),
    VERIFICATION: ("lens",),
    LENS: ("sourceSchema", "targetSchema"),
    DATASET: ("schemaRef", "metadataSchemaRef"),
}
"""Fields with references to other records, by collection."""
DELETION_ORDER: Final = (*_REFERENCES, SCHEMA)
"""Collections in the order of deletion: a record before its target."""


class RepositoryReader(Protocol):
    """An account's repository, read without a login; a ``Session`` is one, too."""

    @property
    def did(self) -> Did:
        """Return the account."""

    @property
    def handle(self) -> str:
        """Return its handle, or its DID."""

    @property
    def pds(self) -> str:
        """Return the URL of its PDS."""

    def list_records(self, collection: str) -> Iterator[repo.ListedRecord]:
        """Return the records of a collection."""

    def latest_commit(self) -> repo.Commit:
        """Return the latest commit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A read-only repository on its PDS."""

    client: Client
    did: Did
    handle: str
    pds: str

    def list_records(self, collection: str) -> Iterator[repo.ListedRecord]:
        """Return the records of a collection. Raises a ``NetworkError``."""
        return repo.list_records(self.client, self.pds, self.did, collection)

    def latest_commit(self) -> repo.Commit:
        """Return the latest commit. Raises a ``NetworkError``."""
        return repo.latest_commit(self.client, self.pds, self.did)


@dataclass(frozen=True, slots=True, kw_only=True)
class PresentRecord:
    """An existing record. ``key`` is its key in manifests, ``mark`` the set of manifests that wrote it."""

    uri: AtUri
    cid: Cid
    value: Json
    key: DraftKey
    mark: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """The dataset records of a repository, by URI and by their keys in manifests.

    ``rkeys`` has the record key of each draft key, ``created`` its date. ``commit`` was the latest before the records
    were read.
    """

    commit: repo.Commit
    records: dict[AtUri, PresentRecord] = field(default_factory=dict)
    rkeys: dict[DraftKey, RecordKey] = field(default_factory=dict)
    created: dict[DraftKey, Datetime] = field(default_factory=dict)

    @property
    def cids(self) -> dict[AtUri, Cid]:
        """Return the CID of every record."""
        return {uri: record.cid for uri, record in self.records.items()}


def references_of(value: Json) -> Iterator[str]:
    """Yield the URIs that a record refers to, in the order of its fields."""
    if isinstance(value, dict):
        for name in _REFERENCES.get(str(value.get("$type")), ()):
            target = value.get(name)
            if isinstance(target, str):
                yield target


def called(collection: str, name: str, version: str = "") -> str:
    """Return kind and name as in manifests, on one line of a terminal."""
    full = f"{name}@{version}" if version and collection in (SCHEMA, LABEL) else repr(name)
    by = f" by {version}" if collection == VERIFICATION else ""
    return shown(f"{KINDS[collection]} {full}{by}", 300)


def read_present(account: RepositoryReader) -> Present:
    """Read the dataset records of a repository. Raises a ``NetworkError``.

    Of several records with one name the newest counts (the last by record key), of schemas the one with our record key.
    Records outside the data model are ignored.
    """
    present = Present(commit=account.latest_commit())  # before the records, to notice writes meanwhile
    lens_names: dict[str, str] = {}
    for collection in COLLECTIONS:  # lenses come before their verifications
        listed = [(_uri(line.uri), line.value) for line in account.list_records(collection)]
        for uri, value in sorted(((uri, value) for uri, value in listed if uri is not None), key=lambda pair: pair[0]):
            try:
                cid = record_cid(value)
            except InvalidData:
                continue
            if collection == LENS:
                lens_names[uri] = _text(value, "name")
            keys = tuple(_keys(collection, value, lens_names))
            present.records[uri] = PresentRecord(
                uri=uri, cid=cid, value=value, key=keys[-1], mark=_text(value, MARK) or None
            )
            for key in keys:
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
    """Yield the keys that a manifest may use for this record; the last is the readable one."""
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
