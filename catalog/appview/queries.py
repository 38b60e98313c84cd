"""The queries, without HTTP: validated parameters in, plain JSON out; ``None`` if the requested record doesn't exist.

An *item* is a record's own fields without ``$type``, with these added::

    uri, cid, did       of the record
    handle              of its account, if it is known and resolves back to it
    verified            proven against the account's signed commit
    draft               true for a draft; else absent
    indexedAt           when this version of it was first seen

A *hit* has these beside ``kind`` (dataset, schema, lens, label or verification) and ``record``, the original record.
Cursors are opaque; one of another query raises :class:`~catalog.errors.InvalidSyntax` with ``where="cursor"``.

- Records are read from the store at the time of the query, so deleted and denied ones disappear at once.
- Lists contain the main fields of large records only, marked ``partial``, and end with a cursor before they exceed
  ``MOST_COST``. A single record is returned whole, without decoding it.
- A record that can't be shown, whatever its error, is left out and logged.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from catalog.appview.document import SEARCHED
from catalog.appview.facets import FACETS, facet_request, facets_of
from catalog.appview.jsontext import as_it_is, spliced
from catalog.appview.lens_network import LensNetwork
from catalog.appview.logs import note
from catalog.appview.query import Filters, ask
from catalog.appview.serializers import (
    OURS,
    Answer,
    about_of,
    field_of,
    hit_of,
    item_of,
    moment_text,
    record_of,
    step_of,
)
from catalog.appview.suggest import suggestions
from catalog.appview.usage import PERIODS, Usage
from catalog.errors import InvalidSyntax, StoreError, contained
from catalog.records import DATASET, LABEL, LENS, SCHEMA, VERIFICATION, label_order
from catalog.sanitize import one_line
from catalog.syntax import Cid
from catalog.syntax.semver import semver_key

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from catalog.appview.index import Index
    from catalog.appview.query import Asked
    from catalog.store.reader import Brief, Reader, Shown

__all__ = ["FACETS", "Answer", "Queries"]

MOST_COST: Final = 4_000_000
"""Of the records in one answer, unless there is only one (:func:`catalog.store.reader.cost_of`)."""
_STATISTICS_SECONDS: Final = 2.0
_MOST_COST_OF_NAMESAKES: Final = 16_000_000
_MOST_NAMESAKES: Final = 1000
"""Versions of a schema, or labels of a name, that are looked through for the newest."""
_FACETS_KEPT: Final = 500
"""Queries whose counts are kept."""


class Queries:
    """All queries over one store and its index. Threads may share it.

    Every method may raise :class:`~catalog.errors.StoreError`; those with a ``cursor``
    :class:`~catalog.errors.InvalidSyntax`, too.
    """

    def __init__(self, index: Index, reader: Reader, did: str = "did:web:localhost") -> None:
        self._did_of_service = did
        self._index = index
        self._reader = reader
        self._lenses = LensNetwork(index, reader)
        self._statistics: tuple[float, Answer] | None = None
        self._facets: dict[tuple[object, ...], dict[str, Any]] = {}
        self.usage = Usage(index.folder.with_name("usage.sqlite"))

    def _counted(self, commit: tuple[int, int], q: str, asked: Asked, facets: Sequence[str]) -> dict[str, Any]:
        """Return the engine's counts, kept for each query: of a frequent word they take longer than all else.

        ``commit`` is read before the query is made: counts of a newer commit under an older one's key are never used
        for a newer query.
        """
        key = (commit, q, asked.filters, asked.modes, asked.parts, tuple(facets))
        held = self._facets.get(key)
        if held is None:
            held = asked.facets(facet_request(facets))
            if len(self._facets) >= _FACETS_KEPT:
                self._facets.clear()
            self._facets[key] = held
        return held

    # --- what existing clients call --------------------------------------------------------------------------------

    def resolve_schema(self, *, handle: str, schema_id: str, version: str | None = None) -> Answer | None:
        """``resolveSchema``: ``{uri, cid, record}``, the newest version by semver where none is named.

        ``schema_id`` is a schema's name, its record key, or what its key has before ``:``.
        """
        found = self._of(handle, Filters(kinds=("schema",), key=schema_id))
        if version is not None:
            found = [shown for shown in found if field_of(shown, "version") == version]
        newest = max(found, key=lambda shown: semver_key(field_of(shown, "version") or ""), default=None)
        if newest is None:
            return None
        return {"uri": newest.uri, "cid": newest.cid, "record": self._record(newest)}

    def resolve_label(self, *, handle: str, name: str, version: str | None = None) -> Answer | None:
        """``resolveLabel``: ``{uri, cid, label}``: URI and CID of the dataset, and the label as an item.

        Without ``version`` the label created last, see :func:`catalog.records.label_order`. A label whose dataset is
        gone resolves to nothing.
        """
        labels = [
            label
            for label in self._of(handle, Filters(kinds=("label",), key=name))
            if field_of(label, "name") == name and version in (None, field_of(label, "version"))
        ]
        labels.sort(key=_label_order, reverse=True)
        datasets = self._brief([field_of(label, "datasetUri") or "" for label in labels]).shown
        for label in labels:
            dataset = datasets.get(field_of(label, "datasetUri") or "")
            if dataset is not None:
                return {"uri": dataset.uri, "cid": dataset.cid, "label": self._item(label)}
        return None

    def resolve_blobs(self, uris: Sequence[str]) -> Answer:
        """``resolveBlobs``: ``{blobs: [{uri, cid, url} | {uri, error}]}``, at the servers of the accounts."""
        blobs: list[Answer] = []
        for uri in dict.fromkeys(uris):
            found = self._one(uri, DATASET)
            if found is None:
                blobs.append({"uri": uri, "error": "there is no such dataset, or it isn't shown"})
                continue
            did = found.uri.removeprefix("at://").partition("/")[0]
            server = self._reader.server_of(did)
            cids = [] if server is None else _blobs_of(self._record(found))
            what = "its account's server isn't known" if server is None else "its shards are not in blobs"
            address = f"{server}/xrpc/com.atproto.sync.getBlob?did={did}&cid="
            blobs += [{"uri": uri, "cid": cid, "url": f"{address}{cid}"} for cid in cids] or [
                {"uri": uri, "error": what}
            ]
        return {"blobs": blobs}

    def describe_service(self) -> Answer:
        """``describeService``: ``{did, availableCollections, recordCount, analytics}``; the latter of the last month.

        ``activePublishers`` is the number of accounts with a record that was added or changed in that time.
        """
        counts = self.statistics()
        names = {SCHEMA: "schemas", DATASET: "datasets", LENS: "lenses", LABEL: "labels", VERIFICATION: "verifications"}
        views, searches = self._used(lambda: self.usage.total("month"))
        month = datetime.now(UTC) - timedelta(days=PERIODS["month"])
        return {
            "did": self._did_of_service,
            "availableCollections": [*names],
            "recordCount": {collection: counts[name] for collection, name in names.items()},
            "analytics": {
                "totalViews": views,
                "totalSearches": searches,
                "activePublishers": self._reader.publishers(since=month),
            },
        }

    def entry_stats(self, uri: str, *, period: str = "week") -> Answer | None:
        """``getEntryStats``: ``{views, searchAppearances, period}`` of a dataset, as this service has counted them."""
        found = self._one(uri, DATASET)
        if found is None:
            return None
        views, searches = self._used(lambda: self.usage.of(found.uri, period))
        return {"views": views, "searchAppearances": searches, "period": period}

    def get_entry(self, uri: str) -> Answer | None:
        """``getEntry``: ``{entry: item}``."""
        found = self._one(uri, DATASET)
        if found is None:
            return None
        self.usage.viewed((found.uri,))
        return {"entry": self._item(found)}

    def get_schema(self, uri: str) -> Answer | None:
        """``getSchema``: the item itself."""
        found = self._one(uri, SCHEMA)
        return None if found is None else self._item(found)

    def get_entries(self, uris: Sequence[str]) -> Answer:
        """``getEntries``: ``{entries: [item]}``, in the order asked for, without those that there are not."""
        wanted = [*dict.fromkeys(self._by_did(uri) for uri in uris)]
        brief = self._brief(wanted, MOST_COST)
        shown = brief.shown
        if brief.read < len(wanted):  # there is no cursor: what goes beyond the budget is shown in part
            shown = {**shown, **self._checked(self._reader.brief(wanted[brief.read :], cards=True)).shown}
        found = [shown[uri] for uri in wanted if uri in shown and shown[uri].collection == DATASET]
        self.usage.viewed(one.uri for one in found)
        return {"entries": self._made(item_of, found)}

    def list_entries(self, *, repo: str | None = None, limit: int = 50, cursor: str | None = None) -> Answer:
        """``listEntries``: ``{entries: [item], cursor?}``, newest first."""
        return self._listed("entries", Filters(kinds=("dataset",)), repo, limit, cursor)

    def list_schemas(self, *, repo: str | None = None, limit: int = 50, cursor: str | None = None) -> Answer:
        """``listSchemas``: ``{schemas: [item], cursor?}``, newest first."""
        return self._listed("schemas", Filters(kinds=("schema",)), repo, limit, cursor)

    def list_lenses(
        self,
        *,
        repo: str | None = None,
        source_schema: str | None = None,
        target_schema: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Answer:
        """``listLenses``: ``{lenses: [item], cursor?}``, newest first."""
        filters = Filters(kinds=("lens",), source=self._maybe(source_schema), target=self._maybe(target_schema))
        return self._listed("lenses", filters, repo, limit, cursor)

    def search_datasets(
        self,
        *,
        q: str,
        tags: Sequence[str] = (),
        schema_ref: str | None = None,
        repo: str | None = None,
        limit: int = 25,
        cursor: str | None = None,
    ) -> Answer:
        """``searchDatasets``: ``{entries: [item], cursor?}``, best first. An empty ``q`` finds all, newest first."""
        filters = Filters(kinds=("dataset",), tags=tuple(sorted(set(tags))), schema=self._maybe(schema_ref))
        answer = self._listed("entries", filters, repo, limit, cursor, text=q)
        if cursor is None:  # a further page is of the same search
            self.usage.searched(item["uri"] for item in answer["entries"])
        return answer

    def search_lenses(
        self,
        *,
        source_schema: str | None = None,
        target_schema: str | None = None,
        limit: int = 25,
        cursor: str | None = None,
    ) -> Answer:
        """``searchLenses``: ``{lenses: [item], cursor?}``, newest first."""
        return self.list_lenses(source_schema=source_schema, target_schema=target_schema, limit=limit, cursor=cursor)

    # --- ours: search ----------------------------------------------------------------------------------------------

    def search(
        self,
        *,
        q: str = "",
        filters: Filters | None = None,
        publisher: str | None = None,
        limit: int = 25,
        cursor: str | None = None,
        facets: Sequence[str] = (),
    ) -> Answer:
        """``search``: schemas, datasets and lenses together, best first::

            {hits: [hit], total, loose?, full?, dropped?, cursor?,
             facets?: [{name, values: [{value, count, label?}], others}]}

        ``loose`` are the words of ``q`` that nothing has, and that were read as others that begin so or are like them.
        The first ``full`` hits have every word; when these are few, others follow that lack some of ``dropped``.
        ``facets`` names those wanted, of :data:`FACETS`; each has its most frequent values, and in ``others`` how
        many records have other ones. ``label`` is what to show where the value is a DID, a schema's URI or a size in
        bytes. ``filters.kinds`` may name kinds that a search without it leaves out; ``publisher`` is a DID or handle.
        """
        asked_for = filters or Filters()
        wanted = replace(
            asked_for,
            kinds=asked_for.kinds or SEARCHED,
            tags=tuple(sorted(set(asked_for.tags))),
            schema=self._maybe(asked_for.schema),
        )
        if publisher is not None:
            did = self._did(publisher)
            if did is None:
                return {"hits": [], "total": 0}
            wanted = replace(wanted, did=did)
        commit = self._index.commit()
        found, following, asked = self._found(q, wanted, limit, cursor)
        if cursor is None:  # a further page is of the same search
            self.usage.searched(one.uri for one in found if one.collection == DATASET)
        answer: Answer = {"hits": self._made(hit_of, found), "total": asked.count()}
        if asked.loose:
            answer["loose"] = [*asked.loose]
        if asked.parts:
            dropped = asked.dropped
            if dropped:
                answer |= {"full": asked.full(), "dropped": [*dropped]}
        if following is not None:
            answer["cursor"] = following
        if facets:
            answer["facets"] = facets_of(self._counted(commit, q, asked, facets), facets, self._reader)
        return answer

    def suggest(self, *, q: str, limit: int = 10) -> Answer:
        """``suggest``: ``{suggestions: [{text, kind, uri?}]}``, completions for a search box.

        Names that begin with ``q``, then tags, then names with such words, else names at a small edit distance.
        ``kind`` is dataset, schema, lens (these with ``uri``) or tag.
        """
        return {"suggestions": suggestions(self._index, self._reader, q, limit)}

    # --- ours: labels, lenses, history -----------------------------------------------------------------------------

    def list_labels(
        self,
        *,
        repo: str | None = None,
        dataset: str | None = None,
        name: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Answer:
        """``listLabels``: ``{labels: [item], cursor?}``, newest first."""
        filters = Filters(kinds=("label",), ref=self._maybe(dataset), key=name)
        return self._listed("labels", filters, repo, limit, cursor)

    def get_lens(self, uri: str) -> Answer | None:
        """``getLens``: ``{lens: item, vouched, source?, target?}``.

        ``vouched``: a verification names its current CID. ``source`` and ``target`` are ``{uri, name, version}`` of
        its schemas, where there are such.
        """
        found = self._one(uri, LENS)
        if found is None:
            return None
        answer: Answer = {"lens": self._item(found), "vouched": self._lenses.vouched(found.uri)}
        ends = {"source": field_of(found, "sourceSchema") or "", "target": field_of(found, "targetSchema") or ""}
        schemas = self._brief([*ends.values()]).shown
        for end, reference in ends.items():
            schema = schemas.get(reference)
            if schema is not None and schema.collection == SCHEMA:
                name, version = field_of(schema, "name"), field_of(schema, "version")
                answer[end] = {"uri": reference, "name": name or "", "version": version or ""}
        return answer

    def list_verifications(self, lens: str, *, limit: int = 50, cursor: str | None = None) -> Answer | None:
        """``listVerifications``: ``{verifications: [item with current], cursor?}``; ``current``: of the lens's current
        CID.
        """
        found = self._one(lens, LENS)
        if found is None:
            return None
        answer = self._listed("verifications", Filters(kinds=("verification",), ref=found.uri), None, limit, cursor)
        for item in answer["verifications"]:
            item["current"] = item.get("lensCommit") == found.cid
        return answer

    def lens_paths(self, *, source: str, target: str, steps: int = 4, limit: int = 10) -> Answer:
        """``getLensPaths``: ``{paths: [{steps: [{uri, cid, name, source, target, vouched}], vouched}]}``."""
        found, vouched = self._lenses.paths(self._by_did(source), self._by_did(target), steps=steps, most=limit)
        return {
            "paths": [
                {
                    "steps": [step_of(edge, vouched=edge.uri in vouched) for edge in path],
                    "vouched": all(edge.uri in vouched for edge in path),
                }
                for path in found
            ]
        }

    def history(self, uri: str, *, limit: int = 20, cursor: str | None = None) -> Answer | None:
        """``getHistory``: ``{uri, versions: [{cid, rev?, seenAt, record}], cursor?}``, newest first."""
        address = self._by_did(uri)
        upto = None
        if cursor is not None:
            newest = self._reader.newest_version(address)
            if not newest:
                return None
            upto = _history_place(cursor, newest)
        versions = self._reader.versions(address, limit=limit, most=MOST_COST, upto=upto)
        if not versions:
            return None
        answer: Answer = {
            "uri": address,
            "versions": [
                {
                    "cid": version.cid,
                    "seenAt": moment_text(version.seen),
                    "record": record_of(version.text),
                    **({} if version.rev is None else {"rev": version.rev}),
                }
                for version in versions
            ],
        }
        if versions[-1].number > self._reader.oldest_version(address):
            answer["cursor"] = str(versions[-1].number - 1)
        return answer

    def statistics(self) -> Answer:
        """``getStatistics``: counts, and the state of the index. At most two seconds old.

        ``bytes`` is the sum of the datasets' own sizes, ``newest`` the time at which the newest record was last seen
        changed, ``behind`` the number of changes that the index lacks.
        """
        held = self._statistics
        if held is None or time.monotonic() - held[0] > _STATISTICS_SECONDS:
            held = self._statistics = time.monotonic(), self._count()
        return held[1]

    def warm(self) -> None:
        """Read what queries need in memory, so that the first one needn't: the lenses; some 100 ms for thousands."""
        self._lenses.vouched("")

    @property
    def behind(self) -> int | None:
        """Return the number of changes that the index is behind the store; None while it isn't built."""
        state, here = self._index.state(), self._reader.position()
        if state is None or state.position.store != here.store:
            return None
        return max(0, here.number - state.position.number)

    # --- how -------------------------------------------------------------------------------------------------------

    def _found(
        self, text: str, filters: Filters, limit: int, cursor: str | None, most: int | None = None
    ) -> tuple[list[Shown], str | None, Asked]:
        """A page of visible records. Not an empty one while there are more: for many clients that is the end."""
        while True:
            asked = ask(self._index, text, filters, cursor)
            page = asked.page(limit)
            brief = self._brief(page.uris, MOST_COST if most is None else most)
            found = [brief.shown[uri] for uri in page.uris if uri in brief.shown]
            cursor = page.cursor if brief.read == len(page.uris) else asked.cursor(page.places[brief.read - 1])
            if found or cursor is None:
                return found, cursor, asked

    def _brief(self, uris: Sequence[str], most: int | None = None) -> Brief:
        return self._checked(self._reader.brief(uris, most=most))

    def _checked(self, brief: Brief) -> Brief:
        for uri, error in brief.failed.items():
            _left_out(uri, error)
        return brief

    def _made(self, make: Callable[[Shown], Answer], found: Sequence[Shown]) -> list[Answer]:
        """Return the results for each record, without those that fail."""
        made = []
        for shown in found:
            try:
                made.append(make(shown))
            except Exception as error:  # noqa: BLE001 - whatever one record causes is that record's problem
                _left_out(shown.uri, error)
        return made

    def _item(self, shown: Shown) -> Answer:
        """The whole record as an item. A large one is not decoded for it."""
        if not shown.partial:
            return item_of(shown)
        text = self._reader.text_of(shown.uri, without=("$type", *OURS))
        if text is None:
            raise StoreError("a record went while it was read", where=shown.uri)
        item: Answer = spliced(text, about_of(replace(shown, partial=False)))
        return item

    def _record(self, shown: Shown) -> object:
        text = self._reader.text_of(shown.uri) if shown.partial else shown.text
        if text is None:
            raise StoreError("a record went while it was read", where=shown.uri)
        return as_it_is(text) if shown.partial else record_of(text)

    def _listed(
        self, name: str, filters: Filters, repo: str | None, limit: int, cursor: str | None, *, text: str = ""
    ) -> Answer:
        if repo is not None:
            did = self._did(repo)
            if did is None:
                return {name: []}
            filters = replace(filters, did=did)
        found, following, _ = self._found(text, filters, limit, cursor)
        answer: Answer = {name: self._made(item_of, found)}
        if following is not None:
            answer["cursor"] = following
        return answer

    def _of(self, account: str, filters: Filters) -> list[Shown]:
        did = self._did(account)
        if did is None:
            return []
        return self._found("", replace(filters, did=did), _MOST_NAMESAKES, None, _MOST_COST_OF_NAMESAKES)[0]

    def _used(self, read: Callable[[], tuple[int, int]]) -> tuple[int, int]:
        try:
            return read()
        except sqlite3.Error as error:
            raise StoreError(f"the usage counts can't be read: {error}", where=str(self._index.folder)) from None

    def _one(self, uri: str, collection: str) -> Shown | None:
        address = self._by_did(uri)
        brief = self._reader.brief([address])
        if address in brief.failed:
            raise brief.failed[address]
        found = brief.shown.get(address)
        return found if found is not None and found.collection == collection else None

    def _did(self, account: str) -> str | None:
        return account if account.startswith("did:") else self._reader.did_of(account.removeprefix("@"))

    def _by_did(self, uri: str) -> str:
        """The same address with the account's DID, where we know it by its handle."""
        scheme, _, rest = uri.partition("://")
        account, slash, path = rest.partition("/")
        did = self._did(account)
        return uri if did is None else f"{scheme}://{did}{slash}{path}"

    def _maybe(self, uri: str | None) -> str | None:
        return None if uri is None else self._by_did(uri)

    def _count(self) -> Answer:
        asked = ask(self._index, "", Filters())
        found = asked.facets({"kind": {"terms": {"field": "kind"}}, "bytes": {"sum": {"field": "size"}}})
        counts = {bucket["key"]: int(bucket["doc_count"]) for bucket in found["kind"]["buckets"]}
        names = {"dataset": "datasets", "schema": "schemas", "lens": "lenses", "label": "labels"}
        names["verification"] = "verifications"
        answer: Answer = {name: counts.get(kind, 0) for kind, name in names.items()}
        answer["publishers"] = self._reader.publishers()
        answer["bytes"] = int(found["bytes"]["value"] or 0)
        newest, _, _ = self._found("", Filters(), 1, None)
        if newest:
            answer["newest"] = moment_text(newest[0].updated)
        behind = self.behind
        answer["indexed"], answer["behind"] = behind is not None, behind or 0
        return answer


def _left_out(uri: str, error: Exception) -> None:
    note("left out", {"uri": one_line(uri), "reason": one_line(str(contained(error)))}, level=logging.WARNING)


def _label_order(label: Shown) -> tuple[object, ...]:
    return label_order(field_of(label, "createdAt") or "", field_of(label, "version"), label.uri)


def _blobs_of(record: object) -> list[str]:
    """Return the CIDs of the blobs in a record's storage; none for shards elsewhere."""
    found = []
    storage = record.get("storage") if isinstance(record, dict) else None
    shards = storage.get("blobs") if isinstance(storage, dict) else None
    for shard in shards if isinstance(shards, list) else ():
        blob = shard.get("blob", shard) if isinstance(shard, dict) else None  # older records have the bare blob
        ref = blob.get("ref") if isinstance(blob, dict) else None
        with suppress(InvalidSyntax):
            found.append(str(Cid.parse(str(ref.get("$link") if isinstance(ref, dict) else ""))))
    return found


def _history_place(cursor: str, newest: int) -> int:
    """The highest number of a page's versions. Numbers count from the oldest, which stays it when newer ones come."""
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) < 10 and 0 < int(cursor) <= newest):
        raise InvalidSyntax("this is not a cursor of this history", where="cursor", hint="ask anew without a cursor")
    return int(cursor)
