"""Findings of searches, and a reader of single records from their accounts' PDSes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from catalog.errors import CatalogError, InvalidSyntax
from catalog.records import KINDS, SCHEMA, Dataset, Record, Schema
from catalog.sanitize import html_table
from catalog.store.rows import Publisher
from catalog.syntax import AtUri, Cid, Did

if TYPE_CHECKING:
    from catalog.atproto.datamodel import Json
    from catalog.atproto.identity import Identity
    from catalog.records.fetch import Reader

R_co = TypeVar("R_co", bound=Record, covariant=True)

FINDING_HEAD: Final = ("kind", "name", "publisher", "tags", "URI", "description")
_SUMMARY: Final = 160
"""Maximum length of a summary."""
_REMEMBERED: Final = 10_000
"""Maximum schemas in the cache, which is cleared when full."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding(Generic[R_co]):
    """A record and its publisher. ``cid`` is computed from the record; ``uri`` names the account by its DID.

    The other attributes are taken from the record, for lists of results. Their texts are untrusted.
    """

    uri: AtUri
    cid: Cid
    publisher: Publisher
    record: R_co

    @property
    def kind(self) -> str:
        """``dataset``, ``schema`` or ``lens``; also ``label`` and ``verification``."""
        return KINDS[str(self.uri.collection)]

    @property
    def name(self) -> str:
        """The name of the record; empty if it has none."""
        named = self.record.sample_type if isinstance(self.record, Schema) else self.record
        found: str = getattr(named, "name", "")
        return found

    @property
    def version(self) -> str | None:
        """The version of a schema."""
        return self.record.sample_type.version if isinstance(self.record, Schema) else None

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags; a lens has none."""
        found: tuple[str, ...] = getattr(self.record, "tags", ())
        return found

    @property
    def license(self) -> str | None:
        """The licence, as written in the record."""
        return getattr(self.record, "license", None)

    @property
    def bytes(self) -> int | None:
        """The size of a dataset in bytes, if the record has it."""
        return self.record.size.bytes if isinstance(self.record, Dataset) and self.record.size is not None else None

    @property
    def samples(self) -> int | None:
        """The number of samples of a dataset, if the record has it."""
        return self.record.size.samples if isinstance(self.record, Dataset) and self.record.size is not None else None

    @property
    def description(self) -> str | None:
        """The full description, in Markdown."""
        if isinstance(self.record, Schema):
            return self.record.sample_type.description
        return getattr(self.record, "description", None)

    @property
    def summary(self) -> str:
        """The beginning of the description as one line of plain text."""
        from catalog.site.markup import plain

        return plain(self.description, longest=_SUMMARY) if self.description else ""

    def as_row(self) -> tuple[str, ...]:
        """Return kind, name, publisher, tags, URI and description, for tables of notebooks."""
        publisher = self.publisher.handle or self.publisher.did
        name = self.name if self.version is None else f"{self.name} {self.version}"
        return self.kind, name, publisher, ", ".join(self.tags), str(self.uri), self.description or ""

    def _repr_html_(self) -> str:
        return html_table(self.name, FINDING_HEAD, [self.as_row()])

    def as_json(self) -> dict[str, Json]:
        """Return the finding as JSON, with the same keys for every place."""
        publisher: dict[str, Json] = {"did": self.publisher.did, "handle": self.publisher.handle}
        found: dict[str, Json] = {"kind": self.kind, "name": self.name}
        if self.version is not None:
            found["version"] = self.version
        if self.publisher.draft:
            found["draft"] = True
        return found | {
            "uri": str(self.uri), "cid": str(self.cid), "publisher": publisher, "tags": list(self.tags),
            "license": self.license, "bytes": self.bytes, "samples": self.samples, "description": self.summary,
        }  # fmt: skip


class Records:
    """A reader of records. Methods raise a :class:`~catalog.errors.NetworkError`, or an error for an invalid record."""

    def __init__(self, reader: Reader) -> None:
        self.http = reader.http
        self.account = reader.account
        self._reader = reader
        self._schemas: dict[AtUri, Finding[Schema] | CatalogError] = {}

    def by_did(self, uri: AtUri) -> AtUri:
        """Return the URI with the account's DID, which is permanent, instead of its handle."""
        if isinstance(uri.authority, Did) or uri.collection is None or uri.rkey is None:
            return uri
        return AtUri.of(self.account(str(uri.authority)).did, uri.collection, uri.rkey)

    def get(self, uri: AtUri) -> Finding[Record]:
        """Return the record at a URI, by DID or handle."""
        found = self._reader.record(uri)
        return Finding(uri=found.uri, cid=found.cid, publisher=publisher_of(found.account), record=found.record)

    def schema(self, uri: AtUri) -> Finding[Schema]:
        """Return the schema at a URI. Schemas and failures are cached."""
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
            raise InvalidSyntax("not the URI of a schema", where=str(uri), hint=f"at://…/{SCHEMA}/…")
        found = self.get(uri)
        assert isinstance(found.record, Schema)  # noqa: S101 - by its collection
        return Finding(uri=found.uri, cid=found.cid, publisher=found.publisher, record=found.record)


def publisher_of(identity: Identity) -> Publisher:
    """Convert an account to the graph's type."""
    return Publisher(did=str(identity.did), handle=None if identity.handle is None else str(identity.handle))
