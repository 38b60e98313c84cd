"""The queries by NSID: their parameters, validated by the lexicons, and the names of their errors.

Specification: https://atproto.com/specs/xrpc
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import parse_qsl

from catalog.appview.document import seconds_of
from catalog.appview.query import Filters
from catalog.atproto.datamodel import MAX_INTEGER
from catalog.atproto.lexicon import Lexicons
from catalog.errors import InvalidSyntax
from catalog.store.facet_values import DERIVED
from catalog.syntax import Datetime

if TYPE_CHECKING:
    from catalog.appview.queries import Queries
    from catalog.appview.serializers import Answer
    from catalog.atproto.lexicon import Query

PREFIX: Final = "science.alt.dataset."
MOST_PARAMETERS: Final = 100
"""Names and values in one address; the most that a query of ours can have is below it."""
_MOST_FAULTS: Final = 5
_Method: TypeAlias = "Callable[[Queries, dict[str, Any]], Answer | None]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """An XRPC error: an HTTP status, a name for programs and a sentence for people."""

    status: int
    name: str
    message: str

    def body(self) -> Answer:
        """As the protocol writes it."""
        return {"error": self.name, "message": self.message}


def lexicon_of(nsid: str) -> Query | None:
    """The lexicon of a query that is answered here."""
    return _lexicons().get(nsid)


@cache
def _lexicons() -> dict[str, Query]:
    return {nsid: query for nsid, query in Lexicons.load().queries.items() if nsid.removeprefix(PREFIX) in METHODS}


def ask_queries(queries: Queries, nsid: str, text: str) -> Answer | Problem:
    """Return the answer to a query, given the text after ``?``. Raises :class:`~catalog.errors.StoreError`."""
    query = lexicon_of(nsid)
    if query is None:
        return Problem(status=501, name="MethodNotImplemented", message="there is no such query here")
    parameters = _parameters(query, text)
    if isinstance(parameters, Problem):
        return parameters
    try:
        found = METHODS[nsid.removeprefix(PREFIX)](queries, parameters)
    except InvalidSyntax as error:
        name = "InvalidCursor" if error.where == "cursor" else "InvalidRequest"
        return Problem(status=400, name=name, message=str(error))
    if found is None:
        name = query.errors[0] if query.errors else "NotFound"
        return Problem(status=404, name=name, message="there is no such record, or it isn't shown")
    return found


def _parameters(query: Query, text: str) -> dict[str, Any] | Problem:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_PARAMETERS, errors="strict")
    except UnicodeDecodeError:
        return Problem(status=400, name="InvalidRequest", message="the parameters are not UTF-8")
    except ValueError:
        return Problem(status=400, name="InvalidRequest", message=f"more than {MOST_PARAMETERS} parameters")
    parameters, faults = query.read(pairs)
    if faults:
        messages = "; ".join(str(fault) for fault in faults[:_MOST_FAULTS])
        return Problem(status=400, name="InvalidRequest", message=messages)
    return parameters


def _search(queries: Queries, given: dict[str, Any]) -> Answer:
    filters = Filters(
        kinds=tuple(given.get("kinds", ())),
        tags=tuple(given.get("tags", ())),
        licence=given.get("license"),
        schema=given.get("schema"),
        dtype=given.get("dtype"),
        **{facet: given.get(facet) for facet in DERIVED},
        state=given.get("state"),
        size=(given.get("minBytes"), given.get("maxBytes")),
        made=(_seconds(given.get("since")), _seconds(given.get("until"))),
    )
    return queries.search(
        q=given["q"],
        filters=filters,
        publisher=given.get("publisher"),
        limit=given["limit"],
        cursor=given.get("cursor"),
        facets=[*dict.fromkeys(given.get("facets", ()))],
    )


def _seconds(text: str | None) -> int | None:
    if text is None:
        return None
    return seconds_of(Datetime.parse(text).moment)


def _statistics(queries: Queries, _: dict[str, Any]) -> Answer:
    # What hostile records say of their sizes adds up to more than any integer on the wire may be.
    found = queries.statistics()
    return {**found, "bytes": min(found["bytes"], MAX_INTEGER)}


def _taking(query: str, **names: str) -> _Method:
    """The method ``query`` with those of its parameters that are given; ``names``: by ours what a lexicon calls it."""

    def ask(queries: Queries, given: dict[str, Any]) -> Answer | None:
        taken = {ours: given[theirs] for ours, theirs in names.items() if theirs in given}
        found: Answer | None = getattr(queries, query)(**taken)
        return found

    return ask


_PAGE: Final = {"limit": "limit", "cursor": "cursor"}
_ENDS: Final = {"source_schema": "sourceSchema", "target_schema": "targetSchema"}
METHODS: Final[Mapping[str, _Method]] = {
    "resolveSchema": _taking("resolve_schema", handle="handle", schema_id="schemaId", version="version"),
    "resolveLabel": _taking("resolve_label", handle="handle", name="name", version="version"),
    "resolveBlobs": _taking("resolve_blobs", uris="uris"),
    "getEntry": _taking("get_entry", uri="uri"),
    "getSchema": _taking("get_schema", uri="uri"),
    "getEntries": _taking("get_entries", uris="uris"),
    "listEntries": _taking("list_entries", repo="repo", **_PAGE),
    "listSchemas": _taking("list_schemas", repo="repo", **_PAGE),
    "listLenses": _taking("list_lenses", repo="repo", **_ENDS, **_PAGE),
    "searchDatasets": _taking("search_datasets", q="q", tags="tags", schema_ref="schemaRef", repo="repo", **_PAGE),
    "searchLenses": _taking("search_lenses", **_ENDS, **_PAGE),
    "search": _search,
    "suggest": _taking("suggest", q="q", limit="limit"),
    "listLabels": _taking("list_labels", repo="repo", dataset="dataset", name="name", **_PAGE),
    "getLens": _taking("get_lens", uri="uri"),
    "listVerifications": _taking("list_verifications", lens="lens", **_PAGE),
    "getLensPaths": _taking("lens_paths", source="source", target="target", steps="steps", limit="limit"),
    "getHistory": _taking("history", uri="uri", **_PAGE),
    "getStatistics": _statistics,
    "describeService": _taking("describe_service"),
    "getEntryStats": _taking("entry_stats", uri="uri", period="period"),
}
"""By the last part of the NSID what answers."""
