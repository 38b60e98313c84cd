"""Records read from their accounts' own PDSes: checked, and each account looked up once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from catalog.errors import CatalogError, InvalidSyntax
from catalog.graph import Publisher
from catalog.records import SCHEMA, Record, Schema
from catalog.syntax import AtUri, Cid, Did

if TYPE_CHECKING:
    from catalog.network.identity import Identity
    from catalog.samples.published import Reader

__all__ = ["Finding", "Records", "publisher_of"]

R_co = TypeVar("R_co", bound=Record, covariant=True)

_REMEMBERED: Final = 10_000
"""Schemas that are kept; beyond that all are forgotten, and read again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding(Generic[R_co]):
    """A record and whose it is. ``cid`` is computed from what was read; ``uri`` names the account by its DID."""

    uri: AtUri
    cid: Cid
    publisher: Publisher
    record: R_co


class Records:
    """Reads records. Methods may raise a :class:`~catalog.errors.NetworkError` and what their record is wrong about."""

    def __init__(self, reader: Reader) -> None:
        self.http = reader.http
        self.account = reader.account
        self._reader = reader
        self._schemas: dict[AtUri, Finding[Schema] | CatalogError] = {}

    def by_did(self, uri: AtUri) -> AtUri:
        """The same address with its account's DID, which outlives its handle."""
        if isinstance(uri.authority, Did) or uri.collection is None or uri.rkey is None:
            return uri
        return AtUri.of(self.account(str(uri.authority)).did, uri.collection, uri.rkey)

    def get(self, uri: AtUri) -> Finding[Record]:
        """The record at an address, by DID or handle."""
        found = self._reader.record(uri)
        return Finding(uri=found.uri, cid=found.cid, publisher=publisher_of(found.account), record=found.record)

    def schema(self, uri: AtUri) -> Finding[Schema]:
        """The schema at an address, read once; a failure counts as read, too."""
        known = self._schemas.get(uri)
        if known is None:
            if len(self._schemas) >= _REMEMBERED:
                self._schemas.clear()
            try:
                known = self._read_schema(uri)
            except CatalogError as error:
                known = error
            self._schemas[uri] = known
        if isinstance(known, CatalogError):
            raise known
        return known

    def _read_schema(self, uri: AtUri) -> Finding[Schema]:
        if uri.collection != SCHEMA:
            raise InvalidSyntax("not the address of a schema", where=str(uri), hint=f"at://…/{SCHEMA}/…")
        found = self.get(uri)
        assert isinstance(found.record, Schema)  # noqa: S101 - by its collection
        return Finding(uri=found.uri, cid=found.cid, publisher=found.publisher, record=found.record)


def publisher_of(identity: Identity) -> Publisher:
    """An account as the graph has it."""
    return Publisher(did=str(identity.did), handle=None if identity.handle is None else str(identity.handle))
