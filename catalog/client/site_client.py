"""A client of a hosted site: its text index, facets and records, read from the published files.

A site is untrusted. Files have a maximum size, every number is checked before use, and a record is accepted only if its
CID matches and its page has the expected address. Only the account's repository can prove the signature: use ``catalog
verify``.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final, TypeVar, cast

from catalog.atproto.datamodel import record_cid
from catalog.client.records import Finding
from catalog.client.results import COLLECTIONS
from catalog.errors import CatalogError, InvalidProof, RequestFailed
from catalog.records import SCHEMA, Schema, read_record
from catalog.site import addresses
from catalog.store.index_format import (
    FORMAT,
    MAX_BUCKETS,
    MAX_ROWS,
    MAX_SHARDS,
    MAX_SHOWN,
    Column,
    bucket,
    decode_rows,
    decode_short,
    decode_words,
)
from catalog.store.matching import distance, plan, rank
from catalog.store.rows import Publisher
from catalog.syntax import AtUri, Did, Handle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from catalog.atproto.datamodel import Json
    from catalog.network.http import Client as Http
    from catalog.records import Record
    from catalog.schema import SampleType
    from catalog.store.matching import Plan, Ranking, Word

__all__ = ["HostedSite"]

_LARGE: Final = 50_000_000
"""Maximum size of a column or of the facets, thirty times that of a hundred thousand records."""
_MOST_KEPT: Final = 200
"""Maximum files in the cache, which is cleared when full."""
_VERSION: Final = re.compile(r"[0-9a-f]{1,64}")
_ADDRESS: Final = re.compile(r"(datasets|schemas|lenses)/[a-z0-9._~%-]{1,200}/[a-z0-9._~%-]{1,200}/")
_LIST: Final = re.compile(r"catalog/records-[0-9]{1,7}\.json")
_KEY: Final = re.compile(r"[a-z0-9]")

_File = TypeVar("_File")


class HostedSite:
    """A hosted site. Methods raise a :class:`~catalog.errors.NetworkError` if a file is missing or invalid."""

    def __init__(self, http: Http, address: str) -> None:
        self.address = address.rstrip("/").removesuffix("/index.html") + "/"
        self._http = http
        self._files: dict[str, object] = {}
        self._types: dict[AtUri, SampleType] = {}
        index = self._object("catalog/text/index.json")
        self.rows = self._number(index, "rows", MAX_ROWS)
        self._total = self._number(index, "total", MAX_ROWS)
        self._buckets = self._number(index, "buckets", MAX_BUCKETS, least=1)
        self._shown = self._number(index, "shown", MAX_SHOWN, least=1)
        if index.get("format") != FORMAT:
            hint = "use the version of this program that built the site, or build the site again"
            where = f"{self.address}catalog/text/index.json"[:300]
            raise RequestFailed("the search index has another format", status=200, where=where, hint=hint)
        version = index.get("version")
        if self.rows > self._total or not isinstance(version, str) or not _VERSION.fullmatch(version):
            raise self._broken("catalog/text/index.json")
        self._version = version

    # --- words -----------------------------------------------------------------------------------------------------

    def search(self, asked: Sequence[Word]) -> tuple[Ranking, Plan]:
        """Return the rows that match, best first, and the terms that were looked for."""
        planned = plan(asked, self)
        return rank(planned, self._rows_of), planned

    @property
    def total(self) -> int:
        """The number of records."""
        return self.rows

    def count(self, term: str) -> int:
        """Return the number of rows that have a term."""
        known, counts, _ = self._bucket(term)
        return counts[known.index(term)] if term in known else 0

    def beginning(self, start: str) -> list[tuple[str, int]]:
        """Return the terms that begin so, with the number of rows of each."""
        known, counts, _ = self._bucket(start)
        return [(term, count) for term, count in zip(known, counts, strict=True) if count and term.startswith(start)]

    def similar(self, word: str, slips: int) -> Iterator[tuple[str, int]]:
        """Yield the words of names and tags at a small edit distance, with the number of records of each."""
        keys = [sign if _KEY.fullmatch(sign) else "_" for sign in word[:2]]
        found: dict[str, int] = {}
        for path in {f"catalog/words/{place}{key}.json" for key in keys for place in (1, 2)}:
            held = self._object(path)
            text, counts = held.get("words"), held.get("counts")
            if not isinstance(text, str) or not isinstance(counts, str):
                raise self._broken(path)
            found.update(zip(text.split(" ") if text else (), decode_short(counts), strict=False))
        yield from ((known, count) for known, count in found.items() if distance(word, known, slips) <= slips)

    def _rows_of(self, term: str) -> list[tuple[int, list[int]]]:
        known, _, places = self._bucket(term)
        found = self._lists(*places[known.index(term)]) if term in known else []
        return [(level, [row for row in rows if row < self.rows]) for level, rows in found]

    def _bucket(self, word: str) -> tuple[list[str], list[int], list[tuple[int, int, int]]]:
        """The words of a bucket, the number of rows of each, and the shard, start and length of its list."""
        path = f"catalog/text/words/{bucket(word, self._buckets)}.json"

        def read() -> tuple[list[str], list[int], list[tuple[int, int, int]]]:
            held = self._object(path)
            same, rest, counts, shards, lengths = (
                str(held.get(name)) for name in ("same", "words", "counts", "shards", "lengths")
            )
            start = held.get("start")
            try:
                known = decode_words(same, rest)
                numbers = [decode_short(text) for text in (counts, shards, lengths)]
            except ValueError:
                raise self._broken(path) from None
            if any(len(each) != len(known) for each in numbers) or type(start) is not int or start < 0:
                raise self._broken(path)
            shard, places = 0, []
            for number, (step, length) in enumerate(zip(*numbers[1:], strict=True)):
                shard = min(MAX_SHARDS, shard + step)
                start = 0 if number and step else start  # the first of a shard
                places.append((shard, start, length))
                start += length
            return known, numbers[0], places

        return self._kept(path, read)

    def _lists(self, shard: int, start: int, length: int) -> list[tuple[int, list[int]]]:
        """Return the rows of a term by level."""
        path = f"catalog/text/rows/{shard}.bin"
        raw = self._kept(path, lambda: self._get(path))
        if start + length > len(raw):
            raise self._broken(path)
        try:
            return decode_rows(raw[start : start + length], self._total)
        except ValueError:
            raise self._broken(path) from None

    # --- facets ----------------------------------------------------------------------------------------------------

    def where(self, facet: str, wanted: Callable[[str], bool]) -> Callable[[int], bool]:
        """Return a predicate of rows: the row has a facet's word that ``wanted`` accepts."""
        held = self._kept("facets", lambda: self._object("catalog/facets.json", most=_LARGE))
        facets = held.get("facets")
        entry = facets.get(facet) if isinstance(facets, dict) else None
        words = entry.get("words") if isinstance(entry, dict) else None
        if not isinstance(entry, dict) or not isinstance(words, list) or held.get("length") != self.rows:
            raise self._broken("catalog/facets.json")
        chosen = {number for number, word in enumerate(words) if isinstance(word, str) and wanted(word)}
        column = entry.get("column")
        if column is None:
            path = f"catalog/columns/{facet}.json?v={held.get('version')}"
            column = self._kept(path, lambda: self._json(path, most=_LARGE))
        if isinstance(column, dict) and column.get("of") == "schema":
            return self._where_schema(column.get("says"), chosen)
        try:
            return Column.read(column, self.rows).whether(chosen)
        except ValueError:
            raise self._broken(f"catalog/facets.json, {facet}") from None

    def _where_schema(self, says: Json, chosen: set[int]) -> Callable[[int], bool]:
        """Return the predicate of rows for a facet of their schemas."""
        facets = self._object_in(self._files["facets"], "facets")
        schemas = self._object_in(facets, "schema").get("words")
        if not isinstance(schemas, list):
            raise self._broken("catalog/facets.json")
        try:
            has = Column.read(says, len(schemas)).whether(chosen)
        except ValueError:
            raise self._broken("catalog/facets.json, dtype") from None
        having = {word for number, word in enumerate(schemas) if has(number)}
        return self.where("schema", having.__contains__)

    def accounts(self) -> dict[str, str | None]:
        """The accounts of the site: DID → handle."""
        rows = self._kept("publishers", lambda: self._object("publishers/index.json", most=_LARGE)).get("publishers")
        found: dict[str, str | None] = {}
        for row in rows if isinstance(rows, list) else ():
            did = row.get("did") if isinstance(row, dict) else None
            handle = row.get("handle") if isinstance(row, dict) else None
            if isinstance(did, str):
                found[did] = handle if isinstance(handle, str) else None
        return found

    # --- records ---------------------------------------------------------------------------------------------------

    def finding(self, row: int) -> Finding[Record]:
        """Return the record of a row. Raises a :class:`CatalogError` if it is invalid."""
        path = f"catalog/text/shown/{row // self._shown}.json"
        held = self._kept(path, lambda: self._json(f"{path}?v={self._version}"))
        part = held[row % self._shown] if isinstance(held, list) and row % self._shown < len(held) else None
        address = part[1] if isinstance(part, list) and len(part) > 1 else None
        if not isinstance(address, str) or not _ADDRESS.fullmatch(address):
            raise self._broken(path)
        return self._finding(address)

    def sample_type(self, uri: AtUri) -> SampleType:
        """Return the sample type of a schema on this site. Raises a :class:`CatalogError` if its record is invalid."""
        known = self._types.get(uri)
        if known is None:
            if uri.collection != SCHEMA or uri.rkey is None:
                raise InvalidProof("not the URI of a schema", where=str(uri))
            record = self._finding(addresses.of_record("schema", str(uri.authority), str(uri.rkey))).record
            assert isinstance(record, Schema)  # noqa: S101 - by its address
            known = self._types[uri] = record.sample_type
        return known

    def findings(self, kind: str, refuse: Callable[[str, CatalogError], object]) -> Iterator[Finding[Record]]:
        """Return all records of a kind, newest first, with one request for each list of up to a thousand.

        An invalid record is passed to ``refuse`` with its address.
        """
        section = f"{addresses.SECTIONS[kind]}/index.json"
        lists = self._object(section).get("records")
        if not isinstance(lists, list) or not all(isinstance(path, str) and _LIST.fullmatch(path) for path in lists):
            raise self._broken(section)
        handles = self.accounts()
        for path in cast("list[str]", lists):
            rows = self._json(path, most=_LARGE)
            if not isinstance(rows, list):
                raise self._broken(path)
            for row in rows:
                if not isinstance(row, dict) or row.get("kind") != kind:
                    continue
                page = row.get("page")
                try:
                    if not isinstance(page, str) or not _ADDRESS.fullmatch(page):
                        raise self._broken(path)
                    if "record" in row:
                        view: Json = {"publisher": {"handle": _handle_of(row, handles)}, "draft": row.get("draft")}
                        yield self._checked({**row, "view": view}, page)
                    else:  # too large for a list, or the site of an older version
                        yield self._finding(page)
                except CatalogError as error:
                    if isinstance(error, RequestFailed) and error.status == 0:  # the site is gone
                        raise
                    refuse(f"{self.address}{page if isinstance(page, str) else path}", error)

    def load_sample_types(self) -> None:
        """Read all schemas by their lists, so that :meth:`sample_type` requests none of them."""
        for found in self.findings("schema", lambda *_: None):
            if isinstance(found.record, Schema):
                self._types[found.uri] = found.record.sample_type

    def _finding(self, address: str) -> Finding[Record]:
        return self._checked(self._object(f"{address}index.json"), address)

    def _checked(self, held: Mapping[str, Json], address: str) -> Finding[Record]:
        """Return the record of a page, if it has the CID and the page that the site says."""
        where = self.address + address
        text, value, view = held.get("uri"), held.get("record"), held.get("view")
        uri = AtUri.parse(text if isinstance(text, str) else "")
        kind = next((kind for kind, collection in COLLECTIONS.items() if uri.collection == collection), None)
        if kind is None or not isinstance(uri.authority, Did) or uri.rkey is None:
            raise InvalidProof("not the URI of a dataset, schema or lens", where=where)
        if addresses.of_record(kind, uri.authority, str(uri.rkey)) != address:
            raise InvalidProof("the record belongs to another page", where=where)
        cid = record_cid(value)
        if str(cid) != held.get("cid"):
            raise InvalidProof("the record doesn't match the CID on the site", where=str(uri))
        view = view if isinstance(view, dict) else {}
        about = view.get("publisher")
        publisher = Publisher(
            did=str(uri.authority),
            handle=read_handle(about.get("handle") if isinstance(about, dict) else None),
            draft=view.get("draft") is True,
        )
        return Finding(uri=uri, cid=cid, publisher=publisher, record=read_record(uri.collection or "", value))

    # --- files -----------------------------------------------------------------------------------------------------

    def _get(self, path: str) -> bytes:
        return self._http.get(f"{self.address}{path}?v={self._version}").body

    def _json(self, path: str, *, most: int = 5_000_000) -> Json:
        raw = self._http.get(self.address + path, max_bytes=most).body
        try:
            found: Json = json.loads(raw)
        except (ValueError, RecursionError):
            raise self._broken(path) from None
        return found

    def _object(self, path: str, *, most: int = 5_000_000) -> dict[str, Json]:
        found = self._json(path, most=most)
        if not isinstance(found, dict):
            raise self._broken(path)
        return found

    def _object_in(self, held: object, name: str) -> dict[str, Json]:
        found = held.get(name) if isinstance(held, dict) else None
        if not isinstance(found, dict):
            raise self._broken("catalog/facets.json")
        return found

    def _kept(self, path: str, read: Callable[[], _File]) -> _File:
        if path not in self._files:
            if len(self._files) >= _MOST_KEPT:
                self._files = {key: held for key, held in self._files.items() if key in ("facets", "publishers")}
            self._files[path] = read()
        return cast("_File", self._files[path])  # a path is always read the same way

    def _number(self, held: dict[str, Json], name: str, most: int, *, least: int = 0) -> int:
        found = held.get(name)
        if not isinstance(found, int) or isinstance(found, bool) or not least <= found <= most:
            raise self._broken("catalog/text/index.json")
        return found

    def _broken(self, path: str) -> RequestFailed:
        return RequestFailed("not a valid file of a catalog's site", status=200, where=f"{self.address}{path}"[:300])


def _handle_of(row: Mapping[str, Json], handles: Mapping[str, str | None]) -> str | None:
    uri = row.get("uri")
    return handles.get(uri.split("/")[2]) if isinstance(uri, str) and uri.count("/") > 2 else None


def read_handle(text: Json) -> str | None:
    """Return an untrusted handle; None if it is invalid."""
    try:
        return str(Handle.parse(text)) if isinstance(text, str) else None
    except CatalogError:
        return None
