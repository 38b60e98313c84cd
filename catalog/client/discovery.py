"""Find datasets, schemas and lenses in one place (an account, a PDS, an AppView, a store, a site), and check every
record.

An AppView is only trusted for the URIs of records; each record is read from its account's PDS. Iteration is lazy: one
request for each finding consumed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from catalog.atproto import repo as wire
from catalog.atproto.identity import same_server
from catalog.client.records import Finding, Records, publisher_of
from catalog.errors import CatalogError, Fault, InvalidConfig, NetworkError, RequestFailed, StoreError, UnknownIdentity
from catalog.records import DATASET, LENS, SCHEMA, read_record
from catalog.store import Store
from catalog.store.graph import Graph
from catalog.store.rows import Publisher
from catalog.syntax import AtUri, Cid, Did

if TYPE_CHECKING:
    from catalog.atproto.datamodel import Json
    from catalog.atproto.identity import Identity
    from catalog.client.filters import RecordFilter, SchemaName
    from catalog.network.http import Client as Http
    from catalog.records import Record
    from catalog.schema import SampleType
    from catalog.store.graph import Node

_MAX_RECORDS: Final = 100_000
"""Maximum records of one repository and kind, as in the crawler."""
_MAX_PAGES: Final = 10_000
"""Maximum pages of an AppView's results."""
_PARKED_AFTER: Final = 5
"""Consecutive repositories of a PDS that can't be read before the search fails."""
_LISTS: Final = {DATASET: "listEntries", SCHEMA: "listSchemas", LENS: "listLenses"}
_ANSWERS: Final = {DATASET: "entries", SCHEMA: "schemas", LENS: "lenses"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPlace:
    """The place to search: one of ``pds``, ``store``, ``site`` and ``appview``, or only a ``publisher``.

    A ``publisher`` beside another place limits the search to that account.
    """

    publisher: str | None = None
    pds: str | None = None
    store: Path | Store | None = None
    appview: str | None = None
    site: str | None = None

    def __post_init__(self) -> None:
        """Raises :class:`InvalidConfig` for no place, for more than one, and for an invalid URL."""
        named = [name for name in ("pds", "store", "appview", "site") if getattr(self, name) is not None]
        if len(named) > 1:
            raise InvalidConfig(f"{' and '.join(named)} are given", hint="search one place at a time")
        if not named and self.publisher is None:
            hint = "publisher='alice.example.org' (or a DID), pds=, appview= or site='https://…', or store='….sqlite'"
            raise InvalidConfig("no place to search", hint=hint)
        for name in ("pds", "appview", "site"):
            text = getattr(self, name)
            if text is not None and not text.startswith(("https://", "http://")):
                raise InvalidConfig(f"{text[:200]!r} is not the URL of a server", where=name, hint="https://host")


@dataclass(slots=True)
class Search:
    """One search, read lazily on iteration. Invalid records are passed to ``refuse``, and the search continues.

    Raises a :class:`~catalog.errors.NetworkError` if the place doesn't answer, and :class:`~catalog.errors.StoreError`.
    """

    records: Records
    where: SearchPlace
    collection: str
    record_filter: RecordFilter
    refuse: Callable[[Fault], object]

    def __iter__(self) -> Iterator[Finding[Record]]:
        """The findings: in the order of the account's PDS or the AppView; of a store, newest first."""
        where = self.where
        if where.store is not None:
            yield from self._in_store(where.store)
            return
        if where.site is not None:
            yield from self._in_site(where.site)
            return
        self.record_filter = _with_dids(self.record_filter, self.records.by_did)
        identity = None if where.publisher is None else self.records.account(where.publisher)
        if where.appview is not None:
            yield from self._in_appview(where.appview.rstrip("/"), identity)
        elif where.pds is not None:
            yield from self._in_pds(where.pds.rstrip("/"), identity)
        elif identity is not None:
            for finding in self._in_repo(identity.pds, identity.did):
                yield replace(finding, publisher=publisher_of(identity))

    def _in_repo(self, pds: str, did: Did) -> Iterator[Finding[Record]]:
        """The matching records of a repository. The caller sets the handle of the publisher."""
        seen: set[AtUri] = set()
        for number, listed in enumerate(wire.list_records(self.records.http, pds, did, self.collection)):
            if number >= _MAX_RECORDS:
                raise RequestFailed(f"more than {_MAX_RECORDS:,} records of {self.collection}", where=str(did))
            try:
                found = wire.checked(listed, did, self.collection)
                record = read_record(self.collection, found.value)
            except CatalogError as error:
                self._pass_over(listed.uri or f"at://{did}/{self.collection}", error)
                continue
            if found.uri not in seen and self._keeps(found.uri, record):
                seen.add(found.uri)
                yield Finding(uri=found.uri, cid=found.cid, publisher=Publisher(did=str(did)), record=record)

    def _in_pds(self, pds: str, publisher: Identity | None) -> Iterator[Finding[Record]]:
        if publisher is not None:
            yield from self._of_member(pds, publisher.did)
            return
        seen: set[Did] = set()
        failures = 0
        for state in wire.list_repos(self.records.http, pds):
            if state.did in seen or not state.active:
                continue
            seen.add(state.did)
            try:
                yield from self._of_member(pds, state.did)
                failures = 0
            except NetworkError as error:
                self._pass_over(f"at://{state.did}", error)
                failures += 0 if isinstance(error, UnknownIdentity) else 1
                if failures == _PARKED_AFTER:
                    raise RequestFailed(f"{failures} repositories in a row could not be read", where=pds) from None

    def _of_member(self, pds: str, did: Did) -> Iterator[Finding[Record]]:
        """The records of a listed repository, if its account's DID document names this PDS."""
        identity: Identity | None = None
        for finding in self._in_repo(pds, did):
            if identity is None:
                identity = self.records.account(did)
                if not same_server(identity.pds, pds):
                    raise UnknownIdentity(f"{pds} lists it, but the account is at {identity.pds}", where=did)
            yield replace(finding, publisher=publisher_of(identity))

    def _in_appview(self, server: str, publisher: Identity | None) -> Iterator[Finding[Record]]:
        seen: set[AtUri] = set()
        for item in self._items(server, *self._query(publisher)):
            text = item.get("uri") if isinstance(item, dict) else None
            uri = text if isinstance(text, str) else ""
            try:
                address = self.records.by_did(AtUri.parse(uri))
                if address.collection != self.collection or address in seen:
                    continue
                seen.add(address)
                if publisher is not None and address.authority != publisher.did:
                    continue
                finding = self.records.get(address)
            except CatalogError as error:
                self._pass_over(uri or server, error)
                continue
            if self._keeps(finding.uri, finding.record):
                yield finding

    def _query(self, publisher: Identity | None) -> tuple[str, list[tuple[str, str]]]:
        """The method and its parameters. The AppView searches the text, and applies the conditions it supports."""
        record_filter = self.record_filter
        asked = [] if publisher is None else [("repo", str(publisher.did))]
        if self.collection == DATASET and record_filter.text is not None and record_filter.text.strip():
            asked += [("q", record_filter.text), *(("tags", tag) for tag in record_filter.tags)]
            asked += _address("schemaRef", record_filter.schema)
            return "searchDatasets", [*asked, ("limit", "100")]
        if self.collection == LENS:
            asked += _address("sourceSchema", record_filter.source) + _address("targetSchema", record_filter.target)
        return _LISTS[self.collection], [*asked, ("limit", "100")]

    def _items(self, server: str, method: str, asked: list[tuple[str, str]]) -> Iterator[Json]:
        all_pages = pages(self.records.http, server, method, asked, _ANSWERS[self.collection])
        for number, (_, items) in enumerate(all_pages):
            if number >= _MAX_PAGES:
                raise RequestFailed(f"{method} returned more than {_MAX_PAGES:,} pages", where=server)
            yield from items

    def _in_store(self, store: Path | Store) -> Iterator[Finding[Record]]:
        graph = load_graph(store)
        types = {schema.uri: schema.record.sample_type for schema in graph.schemas}
        dids = {one.handle: did for did, one in graph.publishers.items() if one.handle is not None}
        publisher = self.where.publisher
        account = None if publisher is None else dids.get(publisher.removeprefix("@").lower(), publisher)
        record_filter = _with_dids(self.record_filter, lambda uri: _moved(uri, dids))
        nodes: Mapping[str, tuple[Node, ...]] = {DATASET: graph.datasets, SCHEMA: graph.schemas, LENS: graph.lenses}
        for node in nodes[self.collection]:
            if account not in (None, node.publisher.did):
                continue
            try:
                kept = record_filter.matches(node.record, types.__getitem__)
            except KeyError:  # the schema isn't in the store, so its name is unknown
                continue
            if kept:
                yield Finding(uri=node.uri, cid=Cid(node.cid), publisher=node.publisher, record=node.record)

    def _in_site(self, address: str) -> Iterator[Finding[Record]]:
        """The records of the site's lists, a thousand per request."""
        from catalog.client.results import COLLECTIONS
        from catalog.client.site_client import HostedSite

        site = HostedSite(self.records.http, address)
        dids = {handle.lower(): did for did, handle in site.accounts().items() if handle is not None}
        publisher = self.where.publisher
        account = None if publisher is None else dids.get(publisher.removeprefix("@").lower(), publisher)
        record_filter = _with_dids(self.record_filter, lambda uri: _moved(uri, dids))
        if any(
            name is not None and name.uri is None
            for name in (record_filter.schema, record_filter.source, record_filter.target)
        ):
            site.load_sample_types()
        kind = next(kind for kind, collection in COLLECTIONS.items() if collection == self.collection)
        for finding in site.findings(kind, self._pass_over):
            if account not in (None, finding.publisher.did):
                continue
            try:
                kept = record_filter.matches(finding.record, site.sample_type)
            except CatalogError as error:
                self._pass_over(finding.uri, error)
                continue
            if kept and finding.uri.collection == self.collection:
                yield finding

    def _sample_type(self, uri: AtUri) -> SampleType:
        return self.records.schema(uri).record.sample_type

    def _keeps(self, uri: AtUri, record: Record) -> bool:
        try:
            return self.record_filter.matches(record, self._sample_type)
        except CatalogError as error:
            self._pass_over(uri, error)
            return False

    def _pass_over(self, uri: str, error: CatalogError) -> None:
        self.refuse(fault_of(uri[:500], error))


def fault_of(where: str, error: CatalogError) -> Fault:
    """Return the fault of a record that a search skips."""
    return Fault(where=where, message="; ".join(str(error).splitlines())[:2000])


def pages(
    http: Http, server: str, method: str, parameters: list[tuple[str, str]], key: str
) -> Iterator[tuple[dict[str, Json], list[Json]]]:
    """The pages of an AppView's query with their items, until a page is empty or has no new cursor."""
    url = f"{server}/xrpc/science.alt.dataset.{method}"
    cursors: set[str] = set()
    more: list[tuple[str, str]] = []
    while True:
        page = http.get_json(f"{url}?{urlencode([*parameters, *more])}", max_bytes=20_000_000)
        items = page.get(key) if isinstance(page, dict) else None
        if not isinstance(page, dict) or not isinstance(items, list):
            raise RequestFailed(f"a page of {method} has no {key!r}", where=server)
        yield page, items
        cursor = page.get("cursor")
        if not items or not isinstance(cursor, str) or not cursor or cursor in cursors:
            return
        cursors.add(cursor)
        more = [("cursor", cursor)]


def _address(parameter: str, name: SchemaName | None) -> list[tuple[str, str]]:
    return [] if name is None or name.uri is None else [(parameter, str(name.uri))]


def _with_dids(old: RecordFilter, by_did: Callable[[AtUri], AtUri]) -> RecordFilter:
    """The same filter with the URIs of schemas by DID, as in records."""

    def moved(name: SchemaName | None) -> SchemaName | None:
        return name if name is None or name.uri is None else replace(name, uri=by_did(name.uri))

    return replace(
        old,
        schema=moved(old.schema),
        source=moved(old.source),
        target=moved(old.target),
    )


def _moved(uri: AtUri, dids: Mapping[str, str]) -> AtUri:
    did = dids.get(str(uri.authority).lower())
    return uri if did is None or uri.collection is None or uri.rkey is None else AtUri.of(did, uri.collection, uri.rkey)


def load_graph(store: Path | Store) -> Graph:
    """Return the graph of a store, or of a store's file. Raises :class:`StoreError`."""
    if isinstance(store, Store):
        return Graph.from_store(store)
    if not store.is_file():
        raise StoreError("the store doesn't exist", where=str(store), hint="catalog crawl creates one")
    with Store.open(store) as opened:
        return Graph.from_store(opened)
