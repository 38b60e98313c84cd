"""Full-text search of one place: a crawled store, a hosted site, an AppView, or a PDS.

::

    store    the store's full-text index                              (catalog.store.search_index)
    site     its static text index and facets, read file by file      (site_client)
    appview  science.alt.dataset.search, page by page                 (appview)
    pds      the records of one account or PDS, indexed in memory     (catalog.store.matching)

All return :class:`~catalog.client.records.Finding`, best first. Records of a site or an AppView are checked against
their CID; ``catalog verify`` proves the account's signature. A condition that a place doesn't support is an error: a
search for a dtype must not return every dtype.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from catalog.client.records import Finding
from catalog.client.results import (
    COLLECTIONS,
    KINDS,
    Results,
    has_any_condition,
    has_conditions,
    licence_key,
    search_notes,
)
from catalog.errors import CatalogError, InvalidConfig, RequestFailed, StoreError
from catalog.records import Dataset, Lens, Schema, read_record
from catalog.store.rows import Publisher
from catalog.syntax import AtUri, Cid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from catalog.client.discovery import SearchPlace
    from catalog.client.filters import SchemaName
    from catalog.client.records import Records
    from catalog.client.results import SearchQuery
    from catalog.client.site_client import HostedSite
    from catalog.errors import Fault
    from catalog.records import Record
    from catalog.store.reader import Shown
    from catalog.store.search_index import Entry


def find(records: Records, query: SearchQuery, where: SearchPlace, refuse: Callable[[Fault], object]) -> Results:
    """Return the results of one place. ``where.site`` may also be an AppView's URL, which is detected.

    Raises the errors of :meth:`catalog.client.Client.search`.
    """
    if where.store is not None:
        return search_store(where.store if isinstance(where.store, Path) else where.store.path, query)
    if where.site is not None:
        return _at_site(records, where.site, query, refuse)
    if where.appview is not None:
        from catalog.client.appview import AppViewSearch

        return AppViewSearch(records, where.appview.rstrip("/"), query, refuse).find()
    return _at_pds(records, query, where, refuse)


# --- stores and PDSes ----------------------------------------------------------------------------------------------


def search_store(path: Path, query: SearchQuery, progress: Callable[[str], object] = lambda _: None) -> Results:
    """Return the results of a crawled store. ``progress`` is called with lines of text if it has to be indexed first.

    Raises :class:`~catalog.errors.StoreError`.
    """
    from catalog.store.matching import question
    from catalog.store.search_index import SearchIndex

    if not path.is_file():
        raise StoreError("the store doesn't exist", where=str(path), hint="catalog crawl creates one")
    asked = question(query.text)
    notes: tuple[str, ...] = ()
    with SearchIndex.open(path, progress) as index:
        rows: list[int] = []
        if asked:
            found, planned = index.search(asked, None if has_any_condition(query) else query.limit)
            rows, notes = found.rows, search_notes(planned.loose, found.dropped, found.full, planned.corrected)
        elif not query.text.strip(" *"):
            rows = index.everything()
        if has_any_condition(query):
            wanted = [entry for entry in index.entries(rows) if _fits(entry, query)]
            uris, total = [entry.uri for entry in wanted], len(wanted)
        else:
            uris, total = [entry.uri for entry in index.entries(rows[: query.limit])], len(rows)
        records = index.shown(uris[: query.limit])
    findings = tuple(_finding(records[uri]) for uri in uris[: query.limit] if uri in records)
    return Results(findings=findings, total=total, place=str(path), notes=notes)


def store_finding(path: Path, uri: str) -> Finding[Record] | None:
    """Return the record of a crawled store at a URI with a DID; None without it. Raises :class:`StoreError`."""
    from catalog.store.search_index import SearchIndex

    with SearchIndex.open(path, lambda _: None) as index:
        found = index.shown([uri]).get(uri)
    return None if found is None else _finding(found)


def _finding(shown: Shown) -> Finding[Record]:
    publisher = Publisher(did=shown.did, handle=shown.handle, draft=shown.draft)
    record = read_record(shown.collection, shown.value, checked=True)
    return Finding(uri=AtUri(shown.uri), cid=Cid(shown.cid), publisher=publisher, record=record)


def _fits(entry: Entry, query: SearchQuery) -> bool:
    """Return True if a record matches the conditions of the query."""
    if entry.kind not in query.shown_kinds or not entry.tags.issuperset(query.tags):
        return False
    account = None if query.publisher is None else query.publisher.removeprefix("@").lower()
    if account not in (None, entry.handle, entry.did.lower()):
        return False
    if query.dtype is not None and query.dtype not in entry.dtypes:
        return False
    if query.license is not None and licence_key(entry.licence) != licence_key(query.license):
        return False
    return query.schema is None or _of_schema(entry, query.schema)


def _of_schema(entry: Entry, name: SchemaName) -> bool:
    if entry.schema is None:
        return False
    if name.uri is None:
        return entry.schema_name == name.name and name.version in (None, entry.schema_version)
    uri = AtUri.parse(entry.schema)
    same = (uri.collection, uri.rkey) == (name.uri.collection, name.uri.rkey)
    return same and str(name.uri.authority).lower() in (str(uri.authority).lower(), entry.handle)


def _at_pds(records: Records, query: SearchQuery, where: SearchPlace, refuse: Callable[[Fault], object]) -> Results:
    from catalog.client.discovery import Search
    from catalog.client.filters import RecordFilter
    from catalog.store.matching import TermLists, question

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
    asked = question(query.text)
    notes: tuple[str, ...] = ()
    order = [] if query.text.strip(" *") else [*range(len(found))]
    if asked:
        ranking, planned = TermLists(_levels(one) for one in found).search(asked)
        order = ranking.rows
        notes = search_notes(planned.loose, ranking.dropped, ranking.full, planned.corrected)
    findings = tuple(found[row] for row in order[: query.limit])
    return Results(findings=findings, total=len(order), place=place, notes=notes)


def _levels(found: Finding[Record]) -> tuple[list[set[str]], set[str]]:
    """Return the searchable terms of a record, and those of its name and tags."""
    from catalog.store.searchable import levels_of, spelt_terms

    record = found.record
    assert isinstance(record, Dataset | Schema | Lens)  # noqa: S101 - the kinds that are searched
    return levels_of(record, handle=found.publisher.handle, did=found.publisher.did), spelt_terms(record)


# --- sites ---------------------------------------------------------------------------------------------------------


def _at_site(records: Records, address: str, query: SearchQuery, refuse: Callable[[Fault], object]) -> Results:
    """Search a site, or an AppView with the URL of a site."""
    from catalog.client.appview import ABSENT, AppViewSearch
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
    notes: tuple[str, ...] = ()
    rows: list[int] = []
    if asked:
        found, planned = site.search(asked)
        rows = found.rows
        notes = search_notes(planned.loose, found.dropped, found.full, planned.corrected)
    elif not query.text.strip(" *"):
        rows = [*range(site.rows)]
    for keeps in _conditions(site, records, query):
        rows = [row for row in rows if keeps(row)]
    findings = list(islice(_read(site, rows, refuse, lambda found: _record_matches(site, found, query)), query.limit))
    return Results(findings=tuple(findings), total=len(rows), place=site.address, notes=notes)


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
            from catalog.client.discovery import fault_of

            refuse(fault_of(f"{site.address}, row {row}", error))
            continue
        if kept:
            yield found
