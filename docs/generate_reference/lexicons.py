"""``lexicons.md`` and ``queries.md``, from the lexicon files."""

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
A lexicon says which fields a record has. Each is a file of `lexicons/`, named by its NSID, the dotted name that the
AT Protocol calls it by; records of a kind lie in the collection of that name. Lengths of text are in bytes of UTF-8, as
the protocol counts them. Fields that a lexicon doesn't name may be there: readers leave them as they are."""
_QUERIES: Final = """\
An AppView ([how to run one](../guides/appview.md)) answers these queries by XRPC: `GET /xrpc/` and the NSID, with the
parameters in the query string, a list by naming its parameter again; the answer is JSON. An error has an HTTP status
and `{"error": NAME, "message": TEXT}`. Beside the names below, any query may answer `InvalidRequest` (400) for
parameters that break their type or limits, `RateLimitExceeded` (429) with `Retry-After`, and `InternalServerError`
(500)."""


@cache
def definitions() -> dict[str, dict[str, Any]]:
    """Every definition by its full name (``…entry``, ``…entry#shardChecksum``), records first, then what they use."""
    found: dict[str, dict[str, Any]] = {}
    for file in sorted(lexicons().glob("*.json")):
        document = json.loads(file.read_text(encoding="utf-8"))
        for name, one in document["defs"].items():
            found[document["id"] if name == "main" else f"{document['id']}#{name}"] = one
    return dict(sorted(found.items(), key=lambda pair: _whole(pair[0], found).get("type") != "record"))


def _whole(name: str, among: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The main definition of the file that a definition is in."""
    return among.get(name.partition("#")[0], {})


def _is_query(name: str) -> bool:
    return name.startswith(_VIEWS) or _whole(name, definitions()).get("type") == "query"


def records_page() -> str:
    """The page of records and what they are made of."""
    parts = front("Lexicons of the records", _RECORDS, "`lexicons/`")
    for name, one in definitions().items():
        if not _is_query(name) and one["type"] != "token":
            parts += ["", f"## `{name}`", "", *_definition(name, one)]
    return "\n".join(parts) + "\n"


def queries_page() -> str:
    """The page of XRPC queries and the views that they answer with."""
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
        yield from ("", f"Answer: {escape(schema.get('description', ''))}".rstrip(), "", *_fields(name, schema))
    else:
        yield from ("", f"Answer: {_kind(name, schema)}.")
    if one.get("errors"):
        yield from ("", "Errors:", "")
        yield from (bullet(code(error["name"]), escape(error.get("description", ""))) for error in one["errors"])


def _definition(name: str, one: dict[str, Any]) -> Iterator[str]:
    if "description" in one:
        yield from (escape(one["description"]), "")
    if one["type"] == "record":
        yield from (f"A record; its key is {_key(one['key'])}.", "", *_fields(name, one["record"]))
    elif one["type"] == "object":
        yield from _fields(name, one)
    else:
        facts = ", ".join(_limits(one))
        yield f"A {one['type']}{f': {facts}' if facts else ''}."
        tokens = {known: _token(name, known) for known in one.get("knownValues", ())}
        if tokens:
            yield from ("", "Known values; others may come:", "")
            yield from (bullet(code(known), escape(text)) for known, text in tokens.items())


def _token(name: str, known: str) -> str:
    return str(definitions().get(f"{name}#{known.rpartition('#')[2]}", {}).get("description", ""))


def _key(text: str) -> str:
    return "a TID, a short name made from the time" if text == "tid" else "any that the protocol allows"


def _fields(name: str, table: dict[str, Any]) -> Iterator[str]:
    needed = table.get("required", ())
    for field, one in table["properties"].items():
        is_needed = "needed" if field in needed else "optional"
        facts = ", ".join([_kind(name, one), is_needed, *_limits(one)])
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
