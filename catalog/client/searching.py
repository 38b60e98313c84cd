"""One search, wherever it is asked for: a crawled store, a hosted site, an AppView, the account itself.

::

    store    words matched here, over what a crawl has brought        (matching)
    site     its static text index and facets, read file by file      (hosted)
    appview  science.alt.dataset.search, page by page
    pds      an account's records from its own PDS; words matched here

All give :class:`~catalog.client.reading.Finding`, best first. What a site or an AppView says is checked to be a record
that has the CID it is told to have; that the account signed it, ``catalog verify`` proves. What a place can't do is
refused, not left out: who asks for a dtype must not get all dtypes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode, urlsplit

from catalog.client.discovery import Search, Where
from catalog.client.reading import Finding
from catalog.client.wanted import Wanted
from catalog.errors import CatalogError, Fault, InvalidConfig, InvalidProof, RequestFailed, StoreError
from catalog.graph import Graph, Publisher
from catalog.records import DATASET, LENS, SCHEMA, Dataset, Lens, Schema, read_record
from catalog.store import Store
from catalog.syntax import AtUri, Cid, Did

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from catalog.client.hosted import HostedSite
    from catalog.client.reading import Records
    from catalog.client.wanted import SchemaName
    from catalog.datamodel import Json
    from catalog.graph import Node
    from catalog.records import Record

__all__ = ["KINDS", "Results", "Sought", "find"]

KINDS: Final = ("dataset", "schema", "lens")
"""What is searched for."""
_COLLECTIONS: Final = {"dataset": DATASET, "schema": SCHEMA, "lens": LENS}
_PAGE: Final = 100
_MOST_PAGES: Final = 1000
_MOST_TEXT: Final = 500
_MOST_SCHEMAS: Final = 1000
"""Schemas of one name that an AppView is asked for."""
_ABSENT: Final = frozenset({404, 405, 410, 501})
"""What servers answer to a question they don't know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """What is searched for: words, all of which must be there, and conditions; what isn't said doesn't matter."""

    text: str = ""
    kinds: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    license: str | None = None
    schema: SchemaName | None = None
    dtype: str | None = None
    publisher: str | None = None
    limit: int = 20

    def __post_init__(self) -> None:
        """Raises :class:`InvalidConfig` for kinds that there are not, and for texts and limits nobody means."""
        for kind in self.kinds:
            if kind not in KINDS:
                raise InvalidConfig(f"{kind[:100]!r} is no kind", where="kind", hint=f"one of {', '.join(KINDS)}")
        if self.limit < 1:
            raise InvalidConfig("must be at least 1", where="limit")
        if len(self.text) > _MOST_TEXT:
            raise InvalidConfig(f"more than {_MOST_TEXT} characters", where="query", hint="a few words are enough")

    @property
    def shown_kinds(self) -> tuple[str, ...]:
        """The kinds that can be: only datasets are of a schema, and lenses have no tags, licence or dtype."""
        kinds = self.kinds or KINDS
        if self.schema is not None:
            return tuple(kind for kind in kinds if kind == "dataset")
        if self.tags or self.license is not None or self.dtype is not None:
            return tuple(kind for kind in kinds if kind != "lens")
        return kinds


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What was found, best first, without words the newest first. ``total`` is how many there are, where it is known.

    ``notes`` are sentences for people: which words nothing has, what else was looked for.
    """

    findings: tuple[Finding[Record], ...]
    total: int | None
    place: str
    notes: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Finding[Record]]:
        """The findings."""
        return iter(self.findings)

    def __len__(self) -> int:
        """How many findings are here."""
        return len(self.findings)

    def as_json(self) -> dict[str, Json]:
        """For programs; each result as :meth:`Finding.as_json`."""
        return {
            "place": self.place, "total": self.total, "notes": list(self.notes),
            "results": [found.as_json() for found in self.findings],
        }  # fmt: skip


def find(records: Records, sought: Sought, where: Where, refuse: Callable[[Fault], object]) -> Results:
    """Search in one place. ``where.site`` may be an AppView's address, too: which of both it is, is asked.

    Raises what :meth:`catalog.client.Client.search` tells of.
    """
    if where.store is not None:
        return _in_store(where.store, sought)
    if where.site is not None:
        return _at_site(records, where.site, sought, refuse)
    if where.appview is not None:
        return _Appview(records, where.appview.rstrip("/"), sought, refuse).find()
    return _at_pds(records, sought, where, refuse)


# --- stores and PDSes ----------------------------------------------------------------------------------------------


def _in_store(store: Path | Store, sought: Sought) -> Results:
    from catalog.client.matching import Texts, match, question
    from catalog.site import facets, textindex

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
    return Results(findings=findings, total=len(fits), place=place, notes=_loosely(loose))


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
    if (sought.tags or sought.license is not None) and not _is(node.record, sought):
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


def _is(record: Record, sought: Sought) -> bool:
    """What a record says itself: kind, tags and licence."""
    kind = {Dataset: "dataset", Schema: "schema", Lens: "lens"}.get(type(record))
    if kind not in sought.shown_kinds or not set(sought.tags) <= set(getattr(record, "tags", ())):
        return False
    return sought.license is None or _licence(getattr(record, "license", None)) == _licence(sought.license)


def _licence(text: str | None) -> str:
    return (text or "").strip().casefold()


def _loosely(loose: Sequence[str]) -> tuple[str, ...]:
    return (f"nothing has {', '.join(loose)}: words that begin so or are like it were looked for",) if loose else ()


def _at_pds(records: Records, sought: Sought, where: Where, refuse: Callable[[Fault], object]) -> Results:
    from catalog.client.matching import Texts, match, question
    from catalog.site.markup import plain

    place = where.pds or f"the PDS of {sought.publisher}"
    if sought.dtype is not None:
        hint = "a store, a site and an AppView can"
        raise InvalidConfig("a PDS can't be searched by dtype: its schemas are elsewhere", where="dtype", hint=hint)
    found: list[Finding[Record]] = []
    for kind in sought.shown_kinds:
        wanted = Wanted(tags=sought.tags, schema=sought.schema)
        search = Search(records, where=where, collection=_COLLECTIONS[kind], wanted=wanted, refuse=refuse)
        found += [one for one in search if _is(one.record, sought)]
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
        total=len(order), place=place, notes=_loosely(loose),
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
    from catalog.client.hosted import HostedSite

    try:
        site = HostedSite(records.http, address)
    except RequestFailed as error:
        if error.status not in {200, 400, 403, *_ABSENT}:
            raise
        parts = urlsplit(address)
        try:
            return _Appview(records, f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}", sought, refuse).find()
        except RequestFailed:
            hint = "a site has catalog/text/index.json; an AppView answers science.alt.dataset.search"
            raise RequestFailed("neither a catalog's site nor an AppView", where=address[:300], hint=hint) from error
    return _in_site(site, records, sought, refuse)


def _in_site(site: HostedSite, records: Records, sought: Sought, refuse: Callable[[Fault], object]) -> Results:
    from catalog.client.matching import question

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
    return Results(findings=tuple(findings), total=len(rows), place=site.address, notes=_loosely(loose))


def _conditions(site: HostedSite, records: Records, sought: Sought) -> Iterator[Callable[[int], bool]]:
    """What rows must be, by the site's facets."""
    from catalog.site.groups import licence_name
    from catalog.site.markup import shown

    if sought.shown_kinds != KINDS:
        yield site.where("kind", sought.shown_kinds.__contains__)
    for tag in sought.tags:
        yield site.where("tag", shown(tag).__eq__)
    if sought.license is not None:
        licence = _licence(licence_name(sought.license))
        yield site.where("licence", lambda word: _licence(word) == licence)
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
    if not _is(found.record, sought):
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


# --- AppViews ------------------------------------------------------------------------------------------------------


class _Appview:
    """One search at an AppView."""

    def __init__(self, records: Records, server: str, sought: Sought, refuse: Callable[[Fault], object]) -> None:
        self._records = records
        self._server = server
        self._sought = sought
        self._refuse = refuse
        self._loose: tuple[str, ...] = ()
        self._total: int | None = None

    def find(self) -> Results:
        if not self._sought.shown_kinds:
            return Results(findings=(), total=0, place=self._server)
        schemas = self._schemas()
        if schemas is not None and not schemas:
            return Results(findings=(), total=0, place=self._server, notes=("there is no such schema",))
        try:
            asked = self._asked(schemas)
            wanted = schemas if schemas is not None and len(schemas) > 1 else None
            hits = (found for found in self._hits(asked) if wanted is None or _refers(found.record, wanted))
            findings = tuple(islice(hits, self._sought.limit))
        except RequestFailed as error:
            if error.status not in _ABSENT:
                raise
            return self._standard()
        total = self._total if wanted is None else None
        return Results(findings=findings, total=total, place=self._server, notes=_loosely(self._loose))

    def _asked(self, schemas: frozenset[AtUri] | None) -> list[tuple[str, str]]:
        sought = self._sought
        asked = [("q", sought.text), ("limit", str(min(_PAGE, sought.limit)))]
        asked += [("kinds", kind) for kind in sought.shown_kinds] + [("tags", tag) for tag in sought.tags]
        if sought.license is not None:
            asked.append(("license", sought.license))
        if sought.dtype is not None:
            asked.append(("dtype", sought.dtype))
        if sought.publisher is not None:
            asked.append(("publisher", sought.publisher.removeprefix("@")))
        if schemas is not None and len(schemas) == 1:
            asked += [("schema", str(uri)) for uri in schemas]
        return asked

    def _schemas(self) -> frozenset[AtUri] | None:
        """The schemas that are meant; None where none is asked for."""
        name = self._sought.schema
        if name is None:
            return None
        if name.uri is not None:
            return frozenset({name.uri})
        asked = [("q", name.name), ("kinds", "schema"), ("limit", str(_PAGE))]
        found = set()
        for one in islice(self._hits(asked), _MOST_SCHEMAS):
            if isinstance(one.record, Schema):
                type_ = one.record.sample_type
                if type_.name == name.name and name.version in (None, type_.version):
                    found.add(one.uri)
        self._loose, self._total = (), None
        return frozenset(found)

    def _hits(self, asked: list[tuple[str, str]]) -> Iterator[Finding[Record]]:
        """The records of all pages; one that is broken is passed over."""
        seen: set[AtUri] = set()
        cursors: set[str] = set()
        more: list[tuple[str, str]] = []
        for _ in range(_MOST_PAGES):
            page = self._page([*asked, *more])
            hits = page.get("hits")
            if not isinstance(hits, list):
                raise RequestFailed("an answer of search has no 'hits'", where=self._server)
            for hit in hits:
                try:
                    found = _of_hit(hit)
                except CatalogError as error:
                    self._refuse(Fault(where=self._server, message="; ".join(str(error).splitlines())[:2000]))
                    continue
                if found.uri not in seen:
                    seen.add(found.uri)
                    yield found
            cursor = page.get("cursor")
            if not hits or not isinstance(cursor, str) or not cursor or cursor in cursors:
                return
            cursors.add(cursor)
            more = [("cursor", cursor)]

    def _page(self, asked: list[tuple[str, str]]) -> dict[str, Json]:
        url = f"{self._server}/xrpc/science.alt.dataset.search?{urlencode(asked)}"
        page = self._records.http.get_json(url, max_bytes=20_000_000)
        if not isinstance(page, dict):
            raise RequestFailed("an answer of search is no object", where=self._server)
        total, loose = page.get("total"), page.get("loose")
        if self._total is None and type(total) is int and total >= 0:
            self._total = total
            self._loose = tuple(str(word)[:100] for word in loose[:12]) if isinstance(loose, list) else ()
        return page

    def _standard(self) -> Results:
        """An AppView that has only what all have: words over datasets."""
        sought, place = self._sought, self._server
        for name in ("license", "dtype"):
            if getattr(sought, name) is not None:
                raise InvalidConfig(f"this AppView can't be searched by {name}", where=place)
        where = Where(publisher=sought.publisher, appview=place)
        found: list[Finding[Record]] = []
        for kind in sought.shown_kinds:
            wanted = Wanted(text=sought.text or None, tags=sought.tags, schema=sought.schema)
            search = Search(
                self._records, where=where, collection=_COLLECTIONS[kind], wanted=wanted, refuse=self._refuse
            )
            found += islice(search, sought.limit - len(found))
        note = "this AppView has no search over all kinds: words were looked for as they stand"
        return Results(findings=tuple(found), total=None, place=place, notes=(note,))


def _refers(record: Record, schemas: frozenset[AtUri]) -> bool:
    return isinstance(record, Dataset) and record.schema_ref in schemas


def _of_hit(hit: Json) -> Finding[Record]:
    """A hit as a finding. Raises what it is wrong about."""
    from catalog.client.hosted import read_handle
    from catalog.datamodel import record_cid

    held = hit if isinstance(hit, dict) else {}
    text, value = held.get("uri"), held.get("record")
    uri = AtUri.parse(text if isinstance(text, str) else "")
    if uri.collection not in _COLLECTIONS.values() or not isinstance(uri.authority, Did) or uri.rkey is None:
        raise InvalidProof("not the address of a dataset, schema or lens", where=str(uri))
    cid = record_cid(value)
    if str(cid) != held.get("cid"):
        raise InvalidProof("the record doesn't have the CID it is told to have", where=str(uri))
    publisher = Publisher(
        did=str(uri.authority), handle=read_handle(held.get("handle")), draft=held.get("draft") is True
    )
    return Finding(uri=uri, cid=cid, publisher=publisher, record=read_record(uri.collection or "", value))
