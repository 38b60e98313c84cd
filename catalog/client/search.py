"""One search, wherever it is asked for: a crawled store, a hosted site, an AppView, the account itself.

::

    store    words matched here, over what a crawl has brought        (matching)
    site     its static text index and facets, read file by file      (hosted)
    appview  science.alt.dataset.search, page by page
    pds      an account's records from its own PDS; words matched here

All give :class:`~catalog.client.records.Finding`, best first. What a site or an AppView says is checked to be a record
that has the CID it is told to have; that the account signed it, ``catalog verify`` proves. What a place can't do is
refused, not left out: who asks for a dtype must not get all dtypes.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from catalog.client.appview import ABSENT, AppViewSearch
from catalog.client.discovery import Search
from catalog.client.filters import Wanted
from catalog.client.records import Finding
from catalog.client.results import COLLECTIONS, KINDS, Results, licence_key, loosely, says
from catalog.errors import CatalogError, Fault, InvalidConfig, RequestFailed, StoreError
from catalog.records import Dataset, Schema
from catalog.store import Store
from catalog.store.graph import Graph, Publisher
from catalog.syntax import AtUri, Cid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from catalog.client.discovery import Where
    from catalog.client.filters import SchemaName
    from catalog.client.records import Records
    from catalog.client.results import Sought
    from catalog.client.site_client import HostedSite
    from catalog.records import Record
    from catalog.store.graph import Node

__all__ = ["find"]


def find(records: Records, sought: Sought, where: Where, refuse: Callable[[Fault], object]) -> Results:
    """Search in one place. ``where.site`` may be an AppView's address, too: which of both it is, is asked.

    Raises what :meth:`catalog.client.Client.search` tells of.
    """
    if where.store is not None:
        return _in_store(where.store, sought)
    if where.site is not None:
        return _at_site(records, where.site, sought, refuse)
    if where.appview is not None:
        return AppViewSearch(records, where.appview.rstrip("/"), sought, refuse).find()
    return _at_pds(records, sought, where, refuse)


# --- stores and PDSes ----------------------------------------------------------------------------------------------


def _in_store(store: Path | Store, sought: Sought) -> Results:
    from catalog.site import facets, textindex
    from catalog.store.matching import Texts, match, question

    graph = _graph(store)
    nodes = facets.rows(graph)
    names = facets.schema_names(graph)
    asked = question(sought.text)
    loose: tuple[str, ...] = ()
    found: Iterable[int] = range(len(nodes))
    if asked:
        texts = [
            Texts(name=name, middle=tuple(middle), description=description)
            for name, middle, description in map(textindex.texts, nodes)
        ]
        found, loose = match(asked, texts)
    elif sought.text.strip(" *"):
        found = ()
    fits = [nodes[row] for row in found if _fits(nodes[row], sought, names)]
    place = "the store" if isinstance(store, Store) else str(store)
    findings = tuple(
        Finding(uri=node.uri, cid=Cid(node.cid), publisher=node.publisher, record=node.record)
        for node in fits[: sought.limit]
    )
    return Results(findings=findings, total=len(fits), place=place, notes=loosely(loose))


def _fits(node: Node, sought: Sought, names: dict[int, str]) -> bool:
    """Whether a node is one, asking the cheap things first: a dataset's record is read anew each time."""
    from catalog.site import facets
    from catalog.site.nodes import kind_of

    if kind_of(node) not in sought.shown_kinds:
        return False
    account = None if sought.publisher is None else sought.publisher.removeprefix("@").lower()
    if account not in (None, node.publisher.handle, node.publisher.did.lower()):
        return False
    if sought.dtype is not None and sought.dtype not in facets.words_of(node, names)["dtype"]:
        return False
    if (sought.tags or sought.license is not None) and not says(node.record, sought):
        return False
    return sought.schema is None or _of_schema(node, sought.schema)


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


def _at_pds(records: Records, sought: Sought, where: Where, refuse: Callable[[Fault], object]) -> Results:
    from catalog.site.markup import plain
    from catalog.store.matching import Texts, match, question

    place = where.pds or f"the PDS of {sought.publisher}"
    if sought.dtype is not None:
        hint = "a store, a site and an AppView can"
        raise InvalidConfig("a PDS can't be searched by dtype: its schemas are elsewhere", where="dtype", hint=hint)
    found: list[Finding[Record]] = []
    for kind in sought.shown_kinds:
        wanted = Wanted(tags=sought.tags, schema=sought.schema)
        search = Search(records, where=where, collection=COLLECTIONS[kind], wanted=wanted, refuse=refuse)
        found += [one for one in search if says(one.record, sought)]
    found.sort(key=lambda one: (one.record.created_at.moment, str(one.uri)), reverse=True)
    texts = [
        Texts(
            name=one.name,
            middle=(*one.tags, one.publisher.shown, *_fields(one.record)),
            description=plain(one.description, longest=900) if one.description else "",
        )
        for one in found
    ]
    asked = question(sought.text)
    order, loose = ([], ()) if not asked and sought.text.strip(" *") else match(asked, texts)
    return Results(
        findings=tuple(found[row] for row in order[: sought.limit]),
        total=len(order), place=place, notes=loosely(loose),
    )  # fmt: skip


def _fields(record: Record) -> tuple[str, ...]:
    return tuple(field.name for field in record.sample_type.fields[:100]) if isinstance(record, Schema) else ()


def _graph(store: Path | Store) -> Graph:
    if isinstance(store, Store):
        return Graph.from_store(store)
    if not store.is_file():
        raise StoreError("there is no store", where=str(store), hint="catalog crawl makes one")
    with Store.open(store) as opened:
        return Graph.from_store(opened)


# --- sites ---------------------------------------------------------------------------------------------------------


def _at_site(records: Records, address: str, sought: Sought, refuse: Callable[[Fault], object]) -> Results:
    """A site, or what answers to a site's address as an AppView does."""
    from catalog.client.site_client import HostedSite

    try:
        site = HostedSite(records.http, address)
    except RequestFailed as error:
        if error.status not in {200, 400, 403, *ABSENT}:
            raise
        parts = urlsplit(address)
        try:
            return AppViewSearch(
                records, f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}", sought, refuse
            ).find()
        except RequestFailed:
            hint = "a site has catalog/text/index.json; an AppView answers science.alt.dataset.search"
            raise RequestFailed("neither a catalog's site nor an AppView", where=address[:300], hint=hint) from error
    return _in_site(site, records, sought, refuse)


def _in_site(site: HostedSite, records: Records, sought: Sought, refuse: Callable[[Fault], object]) -> Results:
    from catalog.store.matching import question

    asked = question(sought.text)
    loose: tuple[str, ...] = ()
    rows: list[int] = []
    if asked:
        scores, loose = site.search(asked)
        rows = sorted(scores, key=lambda row: (-scores[row], row))
    elif not sought.text.strip(" *"):
        rows = [*range(site.rows)]
    for keeps in _conditions(site, records, sought):
        rows = [row for row in rows if keeps(row)]
    findings = list(islice(_read(site, rows, refuse, lambda found: _told_at_site(site, found, sought)), sought.limit))
    return Results(findings=tuple(findings), total=len(rows), place=site.address, notes=loosely(loose))


def _conditions(site: HostedSite, records: Records, sought: Sought) -> Iterator[Callable[[int], bool]]:
    """What rows must be, by the site's facets."""
    from catalog.site.groups import licence_name
    from catalog.site.markup import shown

    if sought.shown_kinds != KINDS:
        yield site.where("kind", sought.shown_kinds.__contains__)
    for tag in sought.tags:
        yield site.where("tag", shown(tag).__eq__)
    if sought.license is not None:
        licence = licence_key(licence_name(sought.license))
        yield site.where("licence", lambda word: licence_key(word) == licence)
    if sought.dtype is not None:
        yield site.where("dtype", shown(sought.dtype).__eq__)
    if sought.publisher is not None:
        account = sought.publisher.removeprefix("@").lower()
        names = {
            handle or did for did, handle in site.accounts().items() if account in (did.lower(), (handle or "").lower())
        }
        yield site.where("publisher", names.__contains__)
    if sought.schema is not None:
        name = sought.schema
        if name.uri is not None:
            found = site.sample_type(records.by_did(name.uri))
            name = replace(name, uri=None, name=found.name, version=found.version)
        start = shown(f"{name.name} {name.version}" if name.version else f"{name.name} ")
        yield site.where("schema", lambda word: _is_schema(word.partition(" · ")[0], start, exact=bool(name.version)))


def _is_schema(word: str, start: str, *, exact: bool) -> bool:
    return word == start if exact else word.startswith(start) and " " not in word[len(start) :]


def _told_at_site(site: HostedSite, found: Finding[Record], sought: Sought) -> bool:
    """The record itself against what the site's columns say of it."""
    account = None if sought.publisher is None else sought.publisher.removeprefix("@").lower()
    if account not in (None, found.publisher.did.lower(), (found.publisher.handle or "").lower()):
        return False
    if not says(found.record, sought):
        return False
    return sought.schema is None or (
        isinstance(found.record, Dataset) and sought.schema.fits(found.record.schema_ref, site.sample_type)
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
            refuse(Fault(where=f"{site.address}, row {row}", message="; ".join(str(error).splitlines())[:2000]))
            continue
        if kept:
            yield found
