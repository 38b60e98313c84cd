"""Full-text search of one place: a crawled store, a hosted site, an AppView, or a PDS.

::

    store    local matching over the records of a crawl               (catalog.store.matching)
    site     its static text index and facets, read file by file      (site_client)
    appview  science.alt.dataset.search, page by page                 (appview)
    pds      local matching over the records of one account or PDS

All return :class:`~catalog.client.records.Finding`, best first. Records of a site or an AppView are checked against
their CID; ``catalog verify`` proves the account's signature. A condition that a place doesn't support is an error: a
search for a dtype must not return every dtype.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from catalog.client.appview import ABSENT, AppViewSearch
from catalog.client.discovery import Search, fault_of, load_graph
from catalog.client.filters import RecordFilter
from catalog.client.records import Finding
from catalog.client.results import COLLECTIONS, KINDS, Results, has_conditions, licence_key, loose_note
from catalog.errors import CatalogError, InvalidConfig, RequestFailed
from catalog.records import Dataset, Schema
from catalog.store import Store
from catalog.syntax import AtUri, Cid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from catalog.client.discovery import SearchPlace
    from catalog.client.filters import SchemaName
    from catalog.client.records import Records
    from catalog.client.results import SearchQuery
    from catalog.client.site_client import HostedSite
    from catalog.errors import Fault
    from catalog.records import Record
    from catalog.store.graph import Node, Publisher

__all__ = ["find"]


def find(records: Records, query: SearchQuery, where: SearchPlace, refuse: Callable[[Fault], object]) -> Results:
    """Return the results of one place. ``where.site`` may also be an AppView's URL, which is detected.

    Raises the errors of :meth:`catalog.client.Client.search`.
    """
    if where.store is not None:
        return _in_store(where.store, query)
    if where.site is not None:
        return _at_site(records, where.site, query, refuse)
    if where.appview is not None:
        return AppViewSearch(records, where.appview.rstrip("/"), query, refuse).find()
    return _at_pds(records, query, where, refuse)


# --- stores and PDSes ----------------------------------------------------------------------------------------------


def _in_store(store: Path | Store, query: SearchQuery) -> Results:
    from catalog.site import facets, textindex
    from catalog.store.matching import Texts, match, question

    graph = load_graph(store)
    nodes = facets.rows(graph)
    names = facets.schema_names(graph)
    asked = question(query.text)
    loose: tuple[str, ...] = ()
    found: Iterable[int] = range(len(nodes))
    if asked:
        texts = [
            Texts(name=name, middle=tuple(middle), description=description)
            for name, middle, description in map(textindex.texts, nodes)
        ]
        found, loose = match(asked, texts)
    elif query.text.strip(" *"):
        found = ()
    fits = [nodes[row] for row in found if _fits(nodes[row], query, names)]
    place = "the store" if isinstance(store, Store) else str(store)
    findings = tuple(
        Finding(uri=node.uri, cid=Cid(node.cid), publisher=node.publisher, record=node.record)
        for node in fits[: query.limit]
    )
    return Results(findings=findings, total=len(fits), place=place, notes=loose_note(loose))


def _fits(node: Node, query: SearchQuery, names: dict[int, str]) -> bool:
    """Return True if a node matches the query. Cheap conditions first: each access parses a dataset's record."""
    from catalog.site import facets
    from catalog.site.nodes import kind_of

    if kind_of(node) not in query.shown_kinds:
        return False
    account = None if query.publisher is None else query.publisher.removeprefix("@").lower()
    if account not in (None, node.publisher.handle, node.publisher.did.lower()):
        return False
    if query.dtype is not None and query.dtype not in facets.words_of(node, names)["dtype"]:
        return False
    if (query.tags or query.license is not None) and not has_conditions(node.record, query):
        return False
    return query.schema is None or _of_schema(node, query.schema)


def _of_schema(node: Node, name: SchemaName) -> bool:
    schema = getattr(node, "schema", None)
    if name.uri is not None:
        return isinstance(node.record, Dataset) and (
            node.record.schema_ref == name.uri
            or (schema is not None and _same_record(name.uri, schema.uri, schema.publisher))
        )
    return schema is not None and name.fits(schema.uri, lambda _: schema.record.sample_type)


def _same_record(asked: AtUri, uri: AtUri, publisher: Publisher) -> bool:
    return (str(asked.authority).lower(), asked.collection, asked.rkey) == (publisher.handle, uri.collection, uri.rkey)


def _at_pds(records: Records, query: SearchQuery, where: SearchPlace, refuse: Callable[[Fault], object]) -> Results:
    from catalog.site.markup import plain
    from catalog.store.matching import Texts, match, question

    place = where.pds or f"the PDS of {query.publisher}"
    if query.dtype is not None:
        hint = "search a store, a site or an AppView"
        raise InvalidConfig("a PDS can't be searched by dtype: its schemas are elsewhere", where="dtype", hint=hint)
    found: list[Finding[Record]] = []
    for kind in query.shown_kinds:
        record_filter = RecordFilter(tags=query.tags, schema=query.schema)
        search = Search(records, where=where, collection=COLLECTIONS[kind], record_filter=record_filter, refuse=refuse)
        found += [one for one in search if has_conditions(one.record, query)]
    found.sort(key=lambda one: (one.record.created_at.moment, str(one.uri)), reverse=True)
    texts = [
        Texts(
            name=one.name,
            middle=(*one.tags, one.publisher.shown, *_fields(one.record)),
            description=plain(one.description, longest=900) if one.description else "",
        )
        for one in found
    ]
    asked = question(query.text)
    order, loose = ([], ()) if not asked and query.text.strip(" *") else match(asked, texts)
    return Results(
        findings=tuple(found[row] for row in order[: query.limit]),
        total=len(order), place=place, notes=loose_note(loose),
    )  # fmt: skip


def _fields(record: Record) -> tuple[str, ...]:
    return tuple(field.name for field in record.sample_type.fields[:100]) if isinstance(record, Schema) else ()


# --- sites ---------------------------------------------------------------------------------------------------------


def _at_site(records: Records, address: str, query: SearchQuery, refuse: Callable[[Fault], object]) -> Results:
    """Search a site, or an AppView with the URL of a site."""
    from catalog.client.site_client import HostedSite

    try:
        site = HostedSite(records.http, address)
    except RequestFailed as error:
        if error.status not in {200, 400, 403, *ABSENT}:
            raise
        parts = urlsplit(address)
        try:
            server = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
            return AppViewSearch(records, server, query, refuse).find()
        except RequestFailed:
            hint = "a site has catalog/text/index.json; an AppView answers science.alt.dataset.search"
            raise RequestFailed("neither a catalog's site nor an AppView", where=address[:300], hint=hint) from error
    return _in_site(site, records, query, refuse)


def _in_site(site: HostedSite, records: Records, query: SearchQuery, refuse: Callable[[Fault], object]) -> Results:
    from catalog.store.matching import question

    asked = question(query.text)
    loose: tuple[str, ...] = ()
    rows: list[int] = []
    if asked:
        scores, loose = site.search(asked)
        rows = sorted(scores, key=lambda row: (-scores[row], row))
    elif not query.text.strip(" *"):
        rows = [*range(site.rows)]
    for keeps in _conditions(site, records, query):
        rows = [row for row in rows if keeps(row)]
    findings = list(islice(_read(site, rows, refuse, lambda found: _record_matches(site, found, query)), query.limit))
    return Results(findings=tuple(findings), total=len(rows), place=site.address, notes=loose_note(loose))


def _conditions(site: HostedSite, records: Records, query: SearchQuery) -> Iterator[Callable[[int], bool]]:
    """The conditions on rows, from the site's facets."""
    from catalog.site.groups import licence_name
    from catalog.site.markup import shown

    if query.shown_kinds != KINDS:
        yield site.where("kind", query.shown_kinds.__contains__)
    for tag in query.tags:
        yield site.where("tag", shown(tag).__eq__)
    if query.license is not None:
        licence = licence_key(licence_name(query.license))
        yield site.where("licence", lambda word: licence_key(word) == licence)
    if query.dtype is not None:
        yield site.where("dtype", shown(query.dtype).__eq__)
    if query.publisher is not None:
        account = query.publisher.removeprefix("@").lower()
        names = {
            handle or did for did, handle in site.accounts().items() if account in (did.lower(), (handle or "").lower())
        }
        yield site.where("publisher", names.__contains__)
    if query.schema is not None:
        name = query.schema
        if name.uri is not None:
            found = site.sample_type(records.by_did(name.uri))
            name = replace(name, uri=None, name=found.name, version=found.version)
        start = shown(f"{name.name} {name.version}" if name.version else f"{name.name} ")
        yield site.where("schema", lambda word: _is_schema(word.partition(" · ")[0], start, exact=bool(name.version)))


def _is_schema(word: str, start: str, *, exact: bool) -> bool:
    return word == start if exact else word.startswith(start) and " " not in word[len(start) :]


def _record_matches(site: HostedSite, found: Finding[Record], query: SearchQuery) -> bool:
    """Return True if the record itself matches: the site's columns are not trusted."""
    account = None if query.publisher is None else query.publisher.removeprefix("@").lower()
    if account not in (None, found.publisher.did.lower(), (found.publisher.handle or "").lower()):
        return False
    if not has_conditions(found.record, query):
        return False
    return query.schema is None or (
        isinstance(found.record, Dataset) and query.schema.fits(found.record.schema_ref, site.sample_type)
    )


def _read(
    site: HostedSite, rows: Iterable[int], refuse: Callable[[Fault], object], keeps: Callable[[Finding[Record]], bool]
) -> Iterator[Finding[Record]]:
    for row in rows:
        try:
            found = site.finding(row)
            kept = keeps(found)
        except CatalogError as error:
            if isinstance(error, RequestFailed) and error.status == 0:  # the site is gone
                raise
            refuse(fault_of(f"{site.address}, row {row}", error))
            continue
        if kept:
            yield found
