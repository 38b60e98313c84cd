"""A search at an AppView: ``science.alt.dataset.search``, page by page; where it has none, what all AppViews have.

A hit is checked to be a record that has the CID it is told to have. Hits that are none are passed over and told.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from catalog.client.discovery import Search, Where
from catalog.client.filters import Wanted
from catalog.client.records import Finding
from catalog.client.results import COLLECTIONS, Results, loosely
from catalog.errors import CatalogError, Fault, InvalidConfig, InvalidProof, RequestFailed
from catalog.records import Dataset, Schema, read_record
from catalog.store.graph import Publisher
from catalog.syntax import AtUri, Did

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from catalog.atproto.datamodel import Json
    from catalog.client.records import Records
    from catalog.client.results import Sought
    from catalog.records import Record

__all__ = ["ABSENT", "AppViewSearch"]

ABSENT: Final = frozenset({404, 405, 410, 501})
"""What servers answer to a question they don't know."""
_PAGE: Final = 100
_LARGE: Final = 20_000_000
"""Bytes of the JSON of one large record, at most."""
_MOST_PAGES: Final = 1000
_MOST_SCHEMAS: Final = 1000
"""Schemas of one name that an AppView is asked for."""


class AppViewSearch:
    """One search at an AppView."""

    def __init__(self, records: Records, server: str, sought: Sought, refuse: Callable[[Fault], object]) -> None:
        self._records = records
        self._server = server
        self._sought = sought
        self._refuse = refuse
        self._loose: tuple[str, ...] = ()
        self._total: int | None = None

    def find(self) -> Results:
        """Ask, and read as many hits as are wanted. Raises a :class:`~catalog.errors.NetworkError`."""
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
            if error.status not in ABSENT:
                raise
            return self._standard()
        total = self._total if wanted is None else None
        return Results(findings=findings, total=total, place=self._server, notes=loosely(self._loose))

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
                    found = _of_hit(self._whole(hit))
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

    def _whole(self, hit: Json) -> Json:
        """The hit with its record; of a large one lists have only the main fields, and its history begins with it."""
        if not isinstance(hit, dict) or hit.get("partial") is not True or not isinstance(hit.get("uri"), str):
            return hit
        asked = urlencode([("uri", str(hit["uri"])), ("limit", "1")])
        url = f"{self._server}/xrpc/science.alt.dataset.getHistory?{asked}"
        page = self._records.http.get_json(url, max_bytes=_LARGE)
        versions = page.get("versions") if isinstance(page, dict) else None
        newest = versions[0] if isinstance(versions, list) and versions else None
        return {**hit, "record": newest.get("record")} if isinstance(newest, dict) else hit

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
                self._records, where=where, collection=COLLECTIONS[kind], wanted=wanted, refuse=self._refuse
            )
            found += islice(search, sought.limit - len(found))
        note = "this AppView has no search over all kinds: words were looked for as they stand"
        return Results(findings=tuple(found), total=None, place=place, notes=(note,))


def _refers(record: Record, schemas: frozenset[AtUri]) -> bool:
    return isinstance(record, Dataset) and record.schema_ref in schemas


def _of_hit(hit: Json) -> Finding[Record]:
    """A hit as a finding. Raises what it is wrong about."""
    from catalog.atproto.datamodel import record_cid
    from catalog.client.site_client import read_handle

    held = hit if isinstance(hit, dict) else {}
    text, value = held.get("uri"), held.get("record")
    uri = AtUri.parse(text if isinstance(text, str) else "")
    if uri.collection not in COLLECTIONS.values() or not isinstance(uri.authority, Did) or uri.rkey is None:
        raise InvalidProof("not the address of a dataset, schema or lens", where=str(uri))
    cid = record_cid(value)
    if str(cid) != held.get("cid"):
        raise InvalidProof("the record doesn't have the CID it is told to have", where=str(uri))
    publisher = Publisher(
        did=str(uri.authority), handle=read_handle(held.get("handle")), draft=held.get("draft") is True
    )
    return Finding(uri=uri, cid=cid, publisher=publisher, record=read_record(uri.collection or "", value))
