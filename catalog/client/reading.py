"""Records read from their accounts' own PDSes: checked, and each account looked up once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from catalog.crawl.repositories import check_record
from catalog.errors import CatalogError, InvalidSyntax
from catalog.graph import Publisher
from catalog.network import repo as wire
from catalog.records import SCHEMA, Record, Schema, read_record
from catalog.syntax import AtUri, Cid, Did

if TYPE_CHECKING:
    from catalog.network.http import Client
    from catalog.network.identity import Identity, Resolver

__all__ = ["Finding", "Records", "publisher_of"]

R_co = TypeVar("R_co", bound=Record, covariant=True)

_REMEMBERED: Final = 10_000
"""Accounts, and schemas, that are kept; beyond that all are forgotten, and looked up again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding(Generic[R_co]):
    """A record and whose it is. ``cid`` is computed from what was read; ``uri`` names the account by its DID."""

    uri: AtUri
    cid: Cid
    publisher: Publisher
    record: R_co


class Records:
    """Reads records. Methods may raise a :class:`~catalog.errors.NetworkError` and what their record is wrong about."""

    def __init__(self, http: Client, resolver: Resolver) -> None:
        self.http = http
        self._resolver = resolver
        self._accounts: dict[str, Identity] = {}
        self._schemas: dict[AtUri, Finding[Schema] | CatalogError] = {}

    def account(self, text: str) -> Identity:
        """The account of a handle or DID. Raises :class:`~catalog.errors.UnknownIdentity`."""
        known = self._accounts.get(text)
        if known is None:
            if len(self._accounts) >= _REMEMBERED:
                self._accounts.clear()
            known = self._accounts[text] = self._resolver.resolve(text)
        return known

    def by_did(self, uri: AtUri) -> AtUri:
        """The same address with its account's DID, which outlives its handle."""
        if isinstance(uri.authority, Did) or uri.collection is None or uri.rkey is None:
            return uri
        return AtUri.of(self.account(str(uri.authority)).did, uri.collection, uri.rkey)

    def get(self, uri: AtUri) -> Finding[Record]:
        """The record at an address, by DID or handle."""
        if uri.collection is None or uri.rkey is None:
            raise InvalidSyntax("not the address of a record", where=str(uri), hint="at://…/collection/key")
        identity = self.account(str(uri.authority))
        try:
            listed = wire.get_record(self.http, identity.pds, identity.did, uri.collection, uri.rkey)
            found = check_record(listed, identity.did, uri.collection)
            record = read_record(uri.collection, found.value, checked=True)
        except CatalogError as error:
            if error.where is None:
                error.within(str(uri))
            raise
        return Finding(uri=found.uri, cid=found.cid, publisher=publisher_of(identity), record=record)

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
