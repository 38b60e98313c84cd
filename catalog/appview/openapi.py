"""The queries as an OpenAPI 3.1 description, made from the lexicons.

Specification: https://spec.openapis.org/oas/v3.1.1
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from catalog.appview.xrpc import METHODS, PREFIX
from catalog.atproto.lexicon import lexicon_documents

_FORMATS: Final = {"datetime": "date-time", "uri": "uri"}
"""Formats that JSON Schema has, too. The others are patterns here."""
_DID: Final = "did:[a-z]+:[a-zA-Z0-9._:%-]*[a-zA-Z0-9._-]"
_LABEL: Final = "[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_LAST_LABEL: Final = "[a-zA-Z]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_HANDLE: Final = rf"({_LABEL}\.)+{_LAST_LABEL}"
_NSID: Final = rf"{_LAST_LABEL}(\.{_LABEL})+\.[a-zA-Z][a-zA-Z0-9]{{0,62}}"
_PATTERNS: Final = {
    "at-uri": f"^at://({_DID}|{_HANDLE})(/{_NSID}(/[A-Za-z0-9._~:-]{{1,512}})?)?$",
    "at-identifier": f"^({_DID}|{_HANDLE})$",
    "did": f"^{_DID}$",
    "handle": f"^{_HANDLE}$",
    "cid": "^[A-Za-z0-9+=]{8,}$",
}
"""As the specifications have them; their lengths are limited by ``maxLength``."""
_SAME: Final = ("minimum", "maximum", "enum", "default")
_ERRORS: Final = {
    "400": "The request is wrong: InvalidRequest, or an error of this query's own.",
    "404": "NotFound: there is no such thing, or it isn't shown.",
    "405": "The method is neither GET nor HEAD.",
    "414": "The address is too long.",
    "429": "RateLimitExceeded: too many requests; Retry-After says when to ask again.",
    "500": "InternalServerError.",
    "503": "NotReady: the service is busy, or its index is being built; Retry-After says when to ask again.",
}


def openapi(version: str, url: str | None) -> dict[str, Any]:
    """The description. ``url`` is the public address of the service, where it has one."""
    documents = {nsid: document["defs"] for nsid, document in lexicon_documents().items()}
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {"Error": _ERROR}
    for name in METHODS:
        nsid = PREFIX + name
        paths[f"/xrpc/{nsid}"] = {"get": _operation(nsid, documents[nsid]["main"])}
        _collect(documents[nsid]["main"]["output"]["schema"], nsid, documents, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Datasets on the AT Protocol",
            "version": version,
            "description": "Search and queries over science.alt.dataset.* records, live.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": url or "/"}],
        "paths": paths,
        "components": {"schemas": schemas},
    }


_ERROR: Final = {
    "type": "object",
    "description": "An error.",
    "required": ["error", "message"],
    "properties": {
        "error": {"type": "string", "description": "A name for programs."},
        "message": {"type": "string", "description": "A sentence for people."},
    },
}


def _operation(nsid: str, main: Mapping[str, Any]) -> dict[str, Any]:
    given = main.get("parameters", {})
    required = given.get("required", ())
    answers: dict[str, Any] = {
        "200": {
            "description": main["output"]["schema"].get("description", "The answer."),
            "content": {"application/json": {"schema": _schema(main["output"]["schema"], nsid)}},
        },
        "304": {"description": "Nothing changed since the ETag in If-None-Match."},
    }
    named = ", ".join(error["name"] for error in main.get("errors", ()))
    for status, meaning in _ERRORS.items():
        text = f"{meaning} Its own: {named}." if status == "400" and named else meaning
        content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
        answers[status] = {"description": text, "content": content}
    return {
        "operationId": nsid,
        "summary": nsid.removeprefix(PREFIX),
        "description": main["description"],
        "parameters": [
            {
                "name": name,
                "in": "query",
                "required": name in required,
                "description": one["description"],
                "schema": _schema({key: value for key, value in one.items() if key != "description"}, nsid),
                **({"style": "form", "explode": True} if one["type"] == "array" else {}),
            }
            for name, one in given.get("properties", {}).items()
        ],
        "responses": answers,
    }


def _schema(definition: Mapping[str, Any], nsid: str) -> dict[str, Any]:
    found: dict[str, Any] = {key: definition[key] for key in _SAME if key in definition}
    if "description" in definition:
        found["description"] = definition["description"]
    match definition["type"]:
        case "ref":
            return {**found, "$ref": f"#/components/schemas/{_name(_full(nsid, definition['ref']))}"}
        case "object":
            found["properties"] = {name: _schema(one, nsid) for name, one in definition["properties"].items()}
            found["required"] = list(definition.get("required", ()))
        case "array":
            found["items"] = _schema(definition["items"], nsid)
            found |= {f"{key[:3]}Items": definition[key] for key in ("minLength", "maxLength") if key in definition}
        case "unknown":
            return {**found, "type": "object"}
        case "string":
            # Lengths are bytes in lexicons and characters here, of which there are never more. The least is 1 at most.
            found |= {key: definition[key] for key in ("minLength", "maxLength") if key in definition}
            found |= _format(definition.get("format"))
        case _:
            pass
    return {"type": definition["type"], **found}


def _format(name: str | None) -> dict[str, Any]:
    if name in _FORMATS:
        return {"format": _FORMATS[name]}
    return {"pattern": _PATTERNS[name]} if name in _PATTERNS else {}


def _collect(definition: Mapping[str, Any], nsid: str, documents: Mapping[str, Any], schemas: dict[str, Any]) -> None:
    """Put the definitions that this one refers to among the schemas, and those that they refer to."""
    match definition["type"]:
        case "ref":
            full = _full(nsid, definition["ref"])
            if _name(full) not in schemas:
                home, _, part = full.partition("#")
                target = documents[home][part or "main"]
                schemas[_name(full)] = _schema(target, home)
                _collect(target, home, documents, schemas)
        case "object":
            for one in definition["properties"].values():
                _collect(one, nsid, documents, schemas)
        case "array":
            _collect(definition["items"], nsid, documents, schemas)
        case _:
            pass


def _full(nsid: str, ref: str) -> str:
    return nsid + ref if ref.startswith("#") else ref


def _name(full: str) -> str:
    return full.removeprefix(PREFIX).replace("#", ".").removeprefix("defs.")
