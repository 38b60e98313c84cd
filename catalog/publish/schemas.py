"""Fetch the schemas that datasets name by URI, to compare their samples with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from catalog.atproto.repo import checked, get_record
from catalog.errors import CatalogError, Fault, InvalidManifest, NetworkError, RequestFailed
from catalog.manifest.diagnostics import place, shown
from catalog.manifest.glob import is_there
from catalog.records import SCHEMA, Schema, read_record
from catalog.syntax import AtUri

if TYPE_CHECKING:
    from catalog.atproto.identity import Resolver
    from catalog.manifest import DatasetDraft, ManifestSet
    from catalog.network.http import Client
    from catalog.schema import SampleType

_ABSENT = "RecordNotFound"


def fetch_schema(client: Client, resolver: Resolver, uri: AtUri) -> SampleType:
    """Return a published schema, on the word of its account's PDS.

    Raises a :class:`NetworkError`, :class:`~catalog.errors.InvalidRecord`, :class:`~catalog.errors.InvalidData`, or
    :class:`~catalog.errors.InvalidSchema` for a schema in another language than JSON Schema.
    """
    identity = resolver.resolve(str(uri.authority))
    listed = get_record(client, identity.pds, identity.did, SCHEMA, str(uri.rkey))
    record = read_record(SCHEMA, checked(listed, identity.did, SCHEMA).value)
    assert isinstance(record, Schema)  # noqa: S101 - of this collection
    record.sample_type.require_fields()
    return record.sample_type


def has_published_schemas(manifests: ManifestSet, *, read_urls: bool) -> bool:
    """Return whether shards that will be read are of a schema that is named by URI."""
    return next(_datasets(manifests, read_urls=read_urls), None) is not None


def published_schemas(
    manifests: ManifestSet, client: Client, resolver: Resolver, *, read_urls: bool, report: Callable[[str], object]
) -> dict[AtUri, SampleType]:
    """Return the schemas that datasets name by URI, of those whose shards will be read.

    ``report`` is called with a line if a server doesn't answer: the samples are then not compared. Raises
    :class:`InvalidManifest` for each schema that doesn't exist or is invalid.
    """
    found: dict[AtUri, SampleType] = {}
    faults: dict[AtUri, Fault] = {}
    for uri, draft in _datasets(manifests, read_urls=read_urls):
        if uri in found or uri in faults:
            continue
        where = place(draft.file, draft.lines.get("schema", draft.line))
        try:
            found[uri] = fetch_schema(client, resolver, uri)
        except CatalogError as error:
            message = f"the schema {shown(str(uri), 200)!r}: {error.what}"
            if not isinstance(error, NetworkError):
                faults[uri] = Fault(where=where, message=message, hint=error.hint)
            elif isinstance(error, RequestFailed) and error.name == _ABSENT:
                message = f"the schema {shown(str(uri), 200)!r} doesn't exist"
                faults[uri] = Fault(where=where, message=message, hint="it was deleted, or the URI is misspelt")
            else:
                report(f"{where}: {message}; samples are not compared with it")
    if faults:
        raise InvalidManifest(tuple(faults.values()))
    return found


def _datasets(manifests: ManifestSet, *, read_urls: bool) -> Iterator[tuple[AtUri, DatasetDraft]]:
    """Yield the datasets whose schema is named by URI and that have shards to read."""
    for draft in manifests.datasets:
        if isinstance(draft.schema, AtUri) and any(
            is_there(shard.local) if shard.local is not None else read_urls for shard in draft.shards
        ):
            yield draft.schema, draft
