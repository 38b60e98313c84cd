"""Search at an AppView: ``science.alt.dataset.search``, or the standard queries if the AppView doesn't have it.

The CID of every hit is computed and compared. Invalid hits are skipped and reported.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from catalog.client.discovery import Search, SearchPlace, fault_of, pages
from catalog.client.filters import RecordFilter
from catalog.client.records import Finding
from catalog.client.results import COLLECTIONS, Results, search_notes
from catalog.errors import CatalogError, InvalidConfig, InvalidProof, RequestFailed
from catalog.records import Dataset, Schema, read_record
from catalog.store.rows import Publisher
from catalog.syntax import AtUri, Did

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from catalog.atproto.datamodel import Json
    from catalog.client.records import Records
    from catalog.client.results import SearchQuery
    from catalog.errors import Fault
    from catalog.records import Record

__all__ = ["ABSENT", "AppViewSearch"]

ABSENT: Final = frozenset({404, 405, 410, 501})
"""Status codes of a server that doesn't have a method."""
_PAGE: Final = 100
_LARGE: Final = 20_000_000
"""Maximum size of the JSON of one large record."""
_MOST_PAGES: Final = 1000
_MOST_SCHEMAS: Final = 1000
"""Maximum schemas with one name to request from an AppView."""


class AppViewSearch:
    """One search at an AppView."""

    def __init__(self, records: Records, server: str, query: SearchQuery, refuse: Callable[[Fault], object]) -> None:
        self._records = records
        self._server = server
        self._query = query
        self._refuse = refuse
        self._loose: tuple[str, ...] = ()
        self._dropped: tuple[str, ...] = ()
        self._full = 0
        self._total: int | None = None

    def find(self) -> Results:
        """Return the results, up to the limit. Raises a :class:`~catalog.errors.NetworkError`."""
        if not self._query.shown_kinds:
            return Results(findings=(), total=0, place=self._server)
        schemas = self._schemas()
        if schemas is not None and not schemas:
            return Results(findings=(), total=0, place=self._server, notes=("there is no such schema",))
        try:
            asked = self._asked(schemas)
            several = schemas if schemas is not None and len(schemas) > 1 else None
            hits = (found for found in self._hits(asked) if several is None or _refers(found.record, several))
            findings = tuple(islice(hits, self._query.limit))
        except RequestFailed as error:
            if error.status not in ABSENT:
                raise
            return self._standard()
        total = self._total if several is None else None
        return Results(
            findings=findings,
            total=total,
            place=self._server,
            notes=search_notes(self._loose, self._dropped, self._full),
        )

    def _asked(self, schemas: frozenset[AtUri] | None) -> list[tuple[str, str]]:
        query = self._query
        asked = [("q", query.text), ("limit", str(min(_PAGE, query.limit)))]
        asked += [("kinds", kind) for kind in query.shown_kinds] + [("tags", tag) for tag in query.tags]
        if query.license is not None:
            asked.append(("license", query.license))
        if query.dtype is not None:
            asked.append(("dtype", query.dtype))
        if query.publisher is not None:
            asked.append(("publisher", query.publisher.removeprefix("@")))
        if schemas is not None and len(schemas) == 1:
            asked += [("schema", str(uri)) for uri in schemas]
        return asked

    def _schemas(self) -> frozenset[AtUri] | None:
        name = self._query.schema
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
        self._loose, self._dropped, self._full, self._total = (), (), 0, None
        return frozenset(found)

    def _hits(self, asked: list[tuple[str, str]]) -> Iterator[Finding[Record]]:
        """The records of all pages. Invalid ones are skipped and reported."""
        seen: set[AtUri] = set()
        for page, hits in islice(pages(self._records.http, self._server, "search", asked, "hits"), _MOST_PAGES):
            total, loose = page.get("total"), page.get("loose")
            if self._total is None and type(total) is int and total >= 0:
                self._total = total
                self._loose, self._dropped = _words(loose), _words(page.get("dropped"))
                self._full = full if isinstance(full := page.get("full"), int) else 0
            for hit in hits:
                try:
                    found = _of_hit(self._whole(hit))
                except CatalogError as error:
                    self._refuse(fault_of(self._server, error))
                    continue
                if found.uri not in seen:
                    seen.add(found.uri)
                    yield found

    def _whole(self, hit: Json) -> Json:
        """The hit with its full record. Lists contain only the main fields of a large one; its history has all."""
        if not isinstance(hit, dict) or hit.get("partial") is not True or not isinstance(hit.get("uri"), str):
            return hit
        asked = urlencode([("uri", str(hit["uri"])), ("limit", "1")])
        url = f"{self._server}/xrpc/science.alt.dataset.getHistory?{asked}"
        page = self._records.http.get_json(url, max_bytes=_LARGE)
        versions = page.get("versions") if isinstance(page, dict) else None
        newest = versions[0] if isinstance(versions, list) and versions else None
        return {**hit, "record": newest.get("record")} if isinstance(newest, dict) else hit

    def _standard(self) -> Results:
        query, place = self._query, self._server
        for name in ("license", "dtype"):
            if getattr(query, name) is not None:
                raise InvalidConfig(f"this AppView can't be searched by {name}", where=place)
        where = SearchPlace(publisher=query.publisher, appview=place)
        found: list[Finding[Record]] = []
        for kind in query.shown_kinds:
            record_filter = RecordFilter(text=query.text or None, tags=query.tags, schema=query.schema)
            search = Search(
                self._records,
                where=where,
                collection=COLLECTIONS[kind],
                record_filter=record_filter,
                refuse=self._refuse,
            )
            found += islice(search, query.limit - len(found))
        note = "this AppView has no search over all kinds: only exact words were searched"
        return Results(findings=tuple(found), total=None, place=place, notes=(note,))


def _refers(record: Record, schemas: frozenset[AtUri]) -> bool:
    return isinstance(record, Dataset) and record.schema_ref in schemas


def _of_hit(hit: Json) -> Finding[Record]:
    """Convert a hit to a finding. Raises a :class:`CatalogError` if it is invalid."""
    from catalog.atproto.datamodel import record_cid
    from catalog.client.site_client import read_handle

    held = hit if isinstance(hit, dict) else {}
    text, value = held.get("uri"), held.get("record")
    uri = AtUri.parse(text if isinstance(text, str) else "")
    if uri.collection not in COLLECTIONS.values() or not isinstance(uri.authority, Did) or uri.rkey is None:
        raise InvalidProof("not the URI of a dataset, schema or lens", where=str(uri))
    cid = record_cid(value)
    if str(cid) != held.get("cid"):
        raise InvalidProof("the record doesn't match the CID of the hit", where=str(uri))
    publisher = Publisher(
        did=str(uri.authority), handle=read_handle(held.get("handle")), draft=held.get("draft") is True
    )
    return Finding(uri=uri, cid=cid, publisher=publisher, record=read_record(uri.collection or "", value))


def _words(found: Json) -> tuple[str, ...]:
    return tuple(str(word)[:100] for word in found[:12]) if isinstance(found, list) else ()
