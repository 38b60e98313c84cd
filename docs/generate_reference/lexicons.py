"""Generate ``lexicons.md`` and ``queries.md`` from the lexicon files."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from catalog.config.resources import lexicons
from docs.generate_reference.markdown import anchor, bullet, code, escape, front

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["definitions", "queries_page", "records_page"]

_PREFIX: Final = "science.alt.dataset."
_VIEWS: Final = f"{_PREFIX}defs"
_RECORDS: Final = """\
A lexicon defines the fields of a record. Each lexicon is a file in `lexicons/`, named after its NSID, which is also the
name of the collection of its records. String lengths are in bytes of UTF-8, as defined by the AT Protocol. Records may
contain additional fields; readers ignore and preserve them."""
_QUERIES: Final = """\
An AppView ([guide](../guides/appview.md)) answers these XRPC queries: `GET /xrpc/NSID` with the parameters in the query
string; array parameters are repeated. Responses are JSON. An error has an HTTP status and
`{"error": NAME, "message": TEXT}`. In addition to the errors below, every query can return `InvalidRequest` (400) for
invalid parameters, `RateLimitExceeded` (429) with `Retry-After`, and `InternalServerError` (500)."""


@cache
def definitions() -> dict[str, dict[str, Any]]:
    """Return every definition by its full name (``…entry``, ``…entry#shardChecksum``), records first."""
    found: dict[str, dict[str, Any]] = {}
    for file in sorted(lexicons().glob("*.json")):
        document = json.loads(file.read_text(encoding="utf-8"))
        for name, one in document["defs"].items():
            found[document["id"] if name == "main" else f"{document['id']}#{name}"] = one
    return dict(sorted(found.items(), key=lambda pair: _whole(pair[0], found).get("type") != "record"))


def _whole(name: str, among: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the main definition of the lexicon that contains a definition."""
    return among.get(name.partition("#")[0], {})


def _is_query(name: str) -> bool:
    return name.startswith(_VIEWS) or _whole(name, definitions()).get("type") == "query"


def records_page() -> str:
    """Return the page of the record lexicons as Markdown."""
    parts = front("Record lexicons", _RECORDS, "`lexicons/`")
    for name, one in definitions().items():
        if not _is_query(name) and one["type"] != "token":
            parts += ["", f"## `{name}`", "", *_definition(name, one)]
    return "\n".join(parts) + "\n"


def queries_page() -> str:
    """Return the page of the XRPC queries and their views as Markdown."""
    parts = front("XRPC queries", _QUERIES, "`lexicons/`")
    queries = [name for name, one in definitions().items() if one["type"] == "query"]
    views = [name for name in definitions() if name.startswith(_VIEWS)]
    parts += ["", *(f"- [`{name}`](#{anchor(name)})" for name in queries)]
    for name in [*queries, *views]:
        one = definitions()[name]
        parts += ["", f"## `{name}`", "", *(_query(name, one) if name in queries else _definition(name, one))]
    return "\n".join(parts) + "\n"


def _query(name: str, one: dict[str, Any]) -> Iterator[str]:
    yield escape(one["description"])
    yield ""
    parameters = one.get("parameters", {})
    yield from ("Parameters:", "", *_fields(name, parameters)) if parameters.get("properties") else ("No parameters.",)
    schema = one["output"]["schema"]
    if "properties" in schema:
        yield from ("", f"Response: {escape(schema.get('description', ''))}".rstrip(), "", *_fields(name, schema))
    else:
        yield from ("", f"Response: {_kind(name, schema)}.")
    if one.get("errors"):
        yield from ("", "Errors:", "")
        yield from (bullet(code(error["name"]), escape(error.get("description", ""))) for error in one["errors"])


def _definition(name: str, one: dict[str, Any]) -> Iterator[str]:
    if "description" in one:
        yield from (escape(one["description"]), "")
    if one["type"] == "record":
        yield from (f"A record. Record key: {_key(one['key'])}.", "", *_fields(name, one["record"]))
    elif one["type"] == "object":
        yield from _fields(name, one)
    else:
        facts = ", ".join(_limits(one))
        yield f"A {one['type']}{f': {facts}' if facts else ''}."
        tokens = {known: _token(name, known) for known in one.get("knownValues", ())}
        if tokens:
            yield from ("", "Known values (other values are possible):", "")
            yield from (bullet(code(known), escape(text)) for known, text in tokens.items())


def _token(name: str, known: str) -> str:
    return str(definitions().get(f"{name}#{known.rpartition('#')[2]}", {}).get("description", ""))


def _key(text: str) -> str:
    return "a TID (timestamp identifier)" if text == "tid" else "any valid record key"


def _fields(name: str, table: dict[str, Any]) -> Iterator[str]:
    required = table.get("required", ())
    for field, one in table["properties"].items():
        presence = "required" if field in required else "optional"
        facts = ", ".join([_kind(name, one), presence, *_limits(one)])
        yield bullet(f"{code(field)}: {facts}", escape(one.get("description", "")))


def _kind(name: str, one: dict[str, Any]) -> str:
    if one["type"] == "ref":
        return _link(name, one["ref"])
    if one["type"] == "union":
        return "one of " + ", ".join(_link(name, ref) for ref in one["refs"])
    if one["type"] == "array":
        items = one["items"]
        each = ", ".join(_limits(items))
        return f"list of {_kind(name, items)}" + (f" (each {each})" if each else "")
    kind = {"unknown": "any map"}.get(one["type"], one["type"])
    return f"{kind} ({one['format']})" if "format" in one else str(kind)


def _link(name: str, ref: str) -> str:
    target = name.partition("#")[0] + ref if ref.startswith("#") else ref
    if target not in definitions():
        return code(target)
    page = "queries.md" if _is_query(target) else "lexicons.md"
    here = "" if _is_query(name) == _is_query(target) else page
    return f"[{code(target.removeprefix(_PREFIX))}]({here}#{anchor(target)})"


def _limits(one: dict[str, Any]) -> Iterator[str]:
    unit = "entries" if one["type"] == "array" else "bytes"
    if "minLength" in one:
        yield "not empty" if one["minLength"] == 1 else f"at least {one['minLength']:,} {unit}"
    if "maxLength" in one:
        yield f"at most {one['maxLength']:,} {unit}"
    if "minimum" in one and "maximum" in one:
        yield f"from {one['minimum']:,} to {one['maximum']:,}"
    elif "minimum" in one:
        yield f"at least {one['minimum']:,}"
    if "maxSize" in one:
        yield f"at most {one['maxSize']:,} bytes"
    if "enum" in one:
        yield "one of " + ", ".join(code(choice) for choice in one["enum"])
    if "const" in one:
        yield f"always {code(json.dumps(one['const']))}"
    if one.get("default") not in (None, ""):
        yield f"default {code(one['default'])}"
