"""Finding datasets, schemas and lenses: where to look is said, what comes back is checked.

::

    publisher=  one account, from its own PDS ─┐
    pds=        every account of a PDS         ├─▶ record by record: checked ─▶ wanted? ─▶ Finding
    appview=    an index's answer to a query  ─┤        └── broken, unreadable ─▶ ``refused``
    store=      what a crawl has brought home ─┤
    site=       the files of a hosted catalog ─┘

An AppView's word is not taken: it says where records are, and each is read from its own account's PDS. An index is
somebody else's copy, late at best; its answers name no more than address, CID and account anyway; and a search is read
as far as it is looked at, so the price is one request for each finding that somebody takes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from catalog.atproto import repo as wire
from catalog.atproto.identity import same_server
from catalog.client.records import Finding, Records, publisher_of
from catalog.errors import CatalogError, Fault, InvalidConfig, NetworkError, RequestFailed, StoreError, UnknownIdentity
from catalog.records import DATASET, LENS, SCHEMA, read_record
from catalog.store import Store
from catalog.store.graph import Graph, Publisher
from catalog.syntax import AtUri, Cid, Did

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from catalog.atproto.datamodel import Json
    from catalog.atproto.identity import Identity
    from catalog.client.filters import SchemaName, Wanted
    from catalog.records import Record
    from catalog.schema import SampleType
    from catalog.store.graph import Node

__all__ = ["Search", "Where"]

_MAX_RECORDS: Final = 100_000
"""Records of one repository and kind; as the crawler has it."""
_MAX_PAGES: Final = 10_000
"""Of an AppView's answer."""
_PARKED_AFTER: Final = 5
"""Repositories of one PDS in a row that couldn't be read, after which it is given up."""
_LISTS: Final = {DATASET: "listEntries", SCHEMA: "listSchemas", LENS: "listLenses"}
_ANSWERS: Final = {DATASET: "entries", SCHEMA: "schemas", LENS: "lenses"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Where to look: one of ``pds``, ``store``, ``site`` and ``appview``, or the ``publisher`` alone; with one, only
    its own.
    """

    publisher: str | None = None
    pds: str | None = None
    store: Path | Store | None = None
    appview: str | None = None
    site: str | None = None

    def __post_init__(self) -> None:
        """Raises :class:`InvalidConfig` when nothing is named, or too much, or a server is none."""
        named = [name for name in ("pds", "store", "appview", "site") if getattr(self, name) is not None]
        if len(named) > 1:
            raise InvalidConfig(f"{' and '.join(named)} are given", hint="search in one place at a time")
        if not named and self.publisher is None:
            hint = "publisher='alice.example.org' (or a DID), pds=, appview= or site='https://…', or store='….sqlite'"
            raise InvalidConfig("nothing says where to look", hint=hint)
        for name in ("pds", "appview", "site"):
            text = getattr(self, name)
            if text is not None and not text.startswith(("https://", "http://")):
                raise InvalidConfig(f"{text[:200]!r} is not the URL of a server", where=name, hint="https://host")


class Search:
    """One search. Iterating reads on as needed; a record that is broken goes to ``refuse``, and the search goes on.

    Raises a :class:`~catalog.errors.NetworkError` when what was named as the place doesn't answer, and
    :class:`~catalog.errors.StoreError`.
    """

    def __init__(
        self, records: Records, *, where: Where, collection: str, wanted: Wanted, refuse: Callable[[Fault], object]
    ) -> None:
        self._records = records
        self._where = where
        self._collection = collection
        self._wanted = wanted
        self._refuse = refuse

    def __iter__(self) -> Iterator[Finding[Record]]:
        """The findings: an account's in the order of its PDS, a store's newest first, an AppView's as it ranks them."""
        where = self._where
        if where.store is not None:
            yield from self._in_store(where.store)
            return
        if where.site is not None:
            yield from self._in_site(where.site)
            return
        self._wanted = _with_dids(self._wanted, self._records.by_did)
        identity = None if where.publisher is None else self._records.account(where.publisher)
        if where.appview is not None:
            yield from self._in_appview(where.appview.rstrip("/"), identity)
        elif where.pds is not None:
            yield from self._in_pds(where.pds.rstrip("/"), identity)
        elif identity is not None:
            for finding in self._in_repo(identity.pds, identity.did):
                yield replace(finding, publisher=publisher_of(identity))

    # --- accounts and PDSes --------------------------------------------------------------------------------------

    def _in_repo(self, pds: str, did: Did) -> Iterator[Finding[Record]]:
        """What is wanted of a repository. Whose it is, the caller knows or finds out."""
        seen: set[AtUri] = set()
        for number, listed in enumerate(wire.list_records(self._records.http, pds, did, self._collection)):
            if number >= _MAX_RECORDS:
                raise RequestFailed(f"more than {_MAX_RECORDS:,} records of {self._collection}", where=str(did))
            try:
                found = wire.checked(listed, did, self._collection)
                record = read_record(self._collection, found.value)
            except CatalogError as error:
                self._pass_over(listed.uri or f"at://{did}/{self._collection}", error)
                continue
            if found.uri not in seen and self._keeps(found.uri, record):
                seen.add(found.uri)
                yield Finding(uri=found.uri, cid=found.cid, publisher=_nobody(did), record=record)

    def _in_pds(self, pds: str, publisher: Identity | None) -> Iterator[Finding[Record]]:
        if publisher is not None:
            yield from self._of_member(pds, publisher.did)
            return
        seen: set[Did] = set()
        failures = 0
        for state in wire.list_repos(self._records.http, pds):
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
        """A repository that a PDS lists; when there is something in it, its account must say that it lives there."""
        identity: Identity | None = None
        for finding in self._in_repo(pds, did):
            if identity is None:
                identity = self._records.account(did)
                if not same_server(identity.pds, pds):
                    raise UnknownIdentity(f"{pds} lists it, but the account is at {identity.pds}", where=did)
            yield replace(finding, publisher=publisher_of(identity))

    # --- AppViews ------------------------------------------------------------------------------------------------

    def _in_appview(self, server: str, publisher: Identity | None) -> Iterator[Finding[Record]]:
        seen: set[AtUri] = set()
        for item in self._pages(server, self._query(publisher)):
            text = item.get("uri") if isinstance(item, dict) else None
            uri = text if isinstance(text, str) else ""
            try:
                address = self._records.by_did(AtUri.parse(uri))
                if address.collection != self._collection or address in seen:
                    continue
                seen.add(address)
                if publisher is not None and address.authority != publisher.did:
                    continue
                finding = self._records.get(address)
            except CatalogError as error:
                self._pass_over(uri or server, error)
                continue
            if self._keeps(finding.uri, finding.record):
                yield finding

    def _query(self, publisher: Identity | None) -> tuple[str, list[tuple[str, str]]]:
        """The method and its parameters. Only a text is searched for; the other conditions narrow where they can."""
        wanted = self._wanted
        asked = [] if publisher is None else [("repo", str(publisher.did))]
        if self._collection == DATASET and wanted.text is not None and wanted.text.strip():
            asked += [("q", wanted.text), *(("tags", tag) for tag in wanted.tags)]
            asked += _address("schemaRef", wanted.schema)
            return "searchDatasets", [*asked, ("limit", "100")]
        if self._collection == LENS:
            asked += _address("sourceSchema", wanted.source) + _address("targetSchema", wanted.target)
        return _LISTS[self._collection], [*asked, ("limit", "100")]

    def _pages(self, server: str, query: tuple[str, list[tuple[str, str]]]) -> Iterator[Json]:
        """The items of an answer, to its last page: one that is empty, or has no cursor, or one that was there."""
        method, asked = query
        address = f"{server}/xrpc/science.alt.dataset.{method}"
        key = _ANSWERS[self._collection]
        cursors: set[str] = set()
        more: list[tuple[str, str]] = []
        for _ in range(_MAX_PAGES):
            page = self._records.http.get_json(f"{address}?{urlencode([*asked, *more])}", max_bytes=20_000_000)
            items = page.get(key) if isinstance(page, dict) else None
            if not isinstance(items, list):
                raise RequestFailed(f"a page of {method} has no {key!r}", where=server)
            yield from items
            cursor = page.get("cursor") if isinstance(page, dict) else None
            if not items or not isinstance(cursor, str) or not cursor or cursor in cursors:
                return
            cursors.add(cursor)
            more = [("cursor", cursor)]
        raise RequestFailed(f"{method} goes on for more than {_MAX_PAGES:,} pages", where=server)

    # --- stores --------------------------------------------------------------------------------------------------

    def _in_store(self, store: Path | Store) -> Iterator[Finding[Record]]:
        graph = _graph(store)
        types = {schema.uri: schema.record.sample_type for schema in graph.schemas}
        dids = {one.handle: did for did, one in graph.publishers.items() if one.handle is not None}
        publisher = self._where.publisher
        account = None if publisher is None else dids.get(publisher.removeprefix("@").lower(), publisher)
        wanted = _with_dids(self._wanted, lambda uri: _moved(uri, dids))
        nodes: Mapping[str, tuple[Node, ...]] = {DATASET: graph.datasets, SCHEMA: graph.schemas, LENS: graph.lenses}
        for node in nodes[self._collection]:
            if account not in (None, node.publisher.did):
                continue
            try:
                kept = wanted.keeps(node.record, types.__getitem__)
            except KeyError:  # a schema that the store doesn't have has no name here
                continue
            if kept:
                yield Finding(uri=node.uri, cid=Cid(node.cid), publisher=node.publisher, record=node.record)

    # --- sites ---------------------------------------------------------------------------------------------------

    def _in_site(self, address: str) -> Iterator[Finding[Record]]:
        """Read the records from the site's lists, a thousand with each request."""
        from catalog.client.site_client import COLLECTIONS, HostedSite

        site = HostedSite(self._records.http, address)
        dids = {handle.lower(): did for did, handle in site.accounts().items() if handle is not None}
        publisher = self._where.publisher
        account = None if publisher is None else dids.get(publisher.removeprefix("@").lower(), publisher)
        wanted = _with_dids(self._wanted, lambda uri: _moved(uri, dids))
        if any(name is not None and name.uri is None for name in (wanted.schema, wanted.source, wanted.target)):
            site.load_sample_types()
        kind = next(kind for kind, collection in COLLECTIONS.items() if collection == self._collection)
        for finding in site.findings(kind, self._pass_over):
            if account not in (None, finding.publisher.did):
                continue
            try:
                kept = wanted.keeps(finding.record, site.sample_type)
            except CatalogError as error:
                self._pass_over(finding.uri, error)
                continue
            if kept and finding.uri.collection == self._collection:
                yield finding

    # --- what is wanted ------------------------------------------------------------------------------------------

    def _sample_type(self, uri: AtUri) -> SampleType:
        return self._records.schema(uri).record.sample_type

    def _keeps(self, uri: AtUri, record: Record) -> bool:
        try:
            return self._wanted.keeps(record, self._sample_type)
        except CatalogError as error:
            self._pass_over(uri, error)
            return False

    def _pass_over(self, uri: str, error: CatalogError) -> None:
        self._refuse(Fault(where=uri[:500], message="; ".join(str(error).splitlines())[:2000]))


def _address(parameter: str, name: SchemaName | None) -> list[tuple[str, str]]:
    return [] if name is None or name.uri is None else [(parameter, str(name.uri))]


def _nobody(did: Did) -> Publisher:
    return Publisher(did=str(did))


def _with_dids(wanted: Wanted, by_did: Callable[[AtUri], AtUri]) -> Wanted:
    """The same with the addresses of schemas by DID, as records have them."""

    def moved(name: SchemaName | None) -> SchemaName | None:
        return name if name is None or name.uri is None else replace(name, uri=by_did(name.uri))

    return replace(wanted, schema=moved(wanted.schema), source=moved(wanted.source), target=moved(wanted.target))


def _moved(uri: AtUri, dids: Mapping[str, str]) -> AtUri:
    """An address with the DID that a store knows for its handle."""
    did = dids.get(str(uri.authority).lower())
    return uri if did is None or uri.collection is None or uri.rkey is None else AtUri.of(did, uri.collection, uri.rkey)


def _graph(store: Path | Store) -> Graph:
    if isinstance(store, Store):
        return Graph.from_store(store)
    if not store.is_file():
        raise StoreError("there is no store", where=str(store), hint="catalog crawl makes one")
    with Store.open(store) as opened:
        return Graph.from_store(opened)
