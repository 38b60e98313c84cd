"""Generate ``manifests.md`` from the JSON Schema of manifests."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import yaml

from catalog.manifest.starter import first_manifest, manifest_schema
from docs.generate_reference.markdown import anchor, bullet, code, escape, fence, front, sentences

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["page", "tables"]

_INTRO = """\
A manifest is a YAML file that describes the records of an account. `catalog validate` checks it, `catalog plan`
shows the changes, `catalog publish` writes them. All manifests on a command line form one set: names resolve across
files. String lengths are in bytes of UTF-8, as defined by the AT Protocol. Editors complete and check manifests
with the JSON Schema that `catalog manifest schema` prints."""

_TITLES: Final = {
    "schema": "An entry of schemas", "longField": "The long form of a field", "dataset": "An entry of datasets",
    "shard": "An entry of shards", "s3": "The map s3", "s3Shard": "An entry of keys in s3", "blob": "An entry of blobs",
    "split": "A split",
    "label": "An entry of labels", "lens": "An entry of lenses", "code": "getter and putter",
    "verification": "An entry of verifications",
}  # fmt: skip
_KINDS: Final = {"string": "string", "integer": "integer", "boolean": "boolean", "object": "map"}


def tables() -> dict[str, dict[str, Any]]:
    """Return each map of a manifest by its title, the whole manifest first."""
    schema = json.loads(manifest_schema())
    inside = {name: one for name, one in schema["definitions"].items() if "properties" in one}
    return {"The file": schema} | {_TITLES[name]: inside.pop(name) for name in _TITLES} | inside


def page() -> str:
    """Return the page as Markdown."""
    schema = json.loads(manifest_schema())
    types = schema["definitions"]["fieldType"]
    parts = front("Manifests", _INTRO, "`catalog/manifest/manifest.schema.json`")
    for title, table in tables().items():
        parts += ["", f"## {title}", ""]
        if title != "The file" and table.get("description", f"{title}.") != f"{title}.":
            parts += [escape(table["description"]), ""]
        parts += [_key(name, one, table, schema["definitions"]) for name, one in table["properties"].items()]
        parts += list(_choice(table))
    parts += ["", "## Field types", "", escape(types["description"]), ""]
    parts.append(sentences("Examples: " + ", ".join(code(one) for one in types["examples"])))
    parts += ["", "## Example", "", "`catalog init` writes this manifest.", ""]
    parts.append(fence(first_manifest(), "yaml"))
    return "\n".join(parts) + "\n"


def _choice(table: dict[str, Any]) -> Iterator[str]:
    """Yield the constraints between keys."""
    if "oneOf" in table:
        names = [code(one["required"][0]) for one in table["oneOf"]]
        yield from ("", f"Exactly one of {', '.join(names[:-1])} and {names[-1]} is required.")
    for name, needs in table.get("dependencies", {}).items():
        yield from ("", f"{code(name)} requires {', '.join(code(one) for one in needs)}.")


def _key(name: str, raw: dict[str, Any], table: dict[str, Any], definitions: dict[str, Any]) -> str:
    resolved = _resolve(raw, definitions)
    presence = "required" if name in table.get("required", ()) else "optional"
    head = f"{code(name)}: {_kind(raw, definitions)}, {presence}"
    examples = resolved.get("examples", [])
    shown = " or ".join(code(_yaml(one)) for one in examples[:2])
    example = f"Example: {shown}" if shown else ""
    limits = () if raw.get("$ref", "").endswith("/fieldType") else _limits(resolved)
    return bullet(head, escape(resolved.get("description", "")), *limits, example)


def _resolve(one: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Return the referenced definition, overridden by the keys next to the reference."""
    for inner in [one, *one.get("allOf", [])]:
        if "$ref" in inner:
            return {**_resolve(definitions[inner["$ref"].rpartition("/")[2]], definitions), **one}
    return one


def _kind(one: dict[str, Any], definitions: dict[str, Any]) -> str:  # noqa: PLR0911 - one a kind
    """Return the type of a key, linked if it has its own section."""
    for inner in [one, *one.get("allOf", [])]:
        if "$ref" in inner:
            name = inner["$ref"].rpartition("/")[2]
            return _link(name) if name in _TITLES or name == "fieldType" else _kind(definitions[name], definitions)
    if "enum" in one:
        return "one of " + ", ".join(code(choice) for choice in one["enum"])
    if "if" in one:
        return f"{_kind(one['else'], definitions)}, or {_kind(one['then'], definitions)}"
    if one.get("type") == "array":
        each = f" (at most {one['items']['maxLength']:,} bytes)" if "maxLength" in one["items"] else ""
        return f"list, each {_kind(one['items'], definitions)}{each}"
    if one.get("type") == "object" and isinstance(one.get("additionalProperties"), dict):
        return f"map, each value {_kind(one['additionalProperties'], definitions)}"
    if "anyOf" in one and "type" not in one:
        return " or ".join(_kind(each, definitions) for each in one["anyOf"])
    kinds = one["type"]
    return _KINDS[kinds if isinstance(kinds, str) else kinds[0]]  # several: a string, which may look like a number


def _link(name: str) -> str:
    if name == "fieldType":
        return f"[a type](#{anchor('Field types')})"
    title = _TITLES[name]
    shown = {"s3": "a map", "code": "a map", "longField": "the long form"}.get(name, title[0].lower() + title[1:])
    return f"[{shown}](#{anchor(title)})"


def _limits(one: dict[str, Any]) -> Iterator[str]:
    if "patternErrorMessage" in one:
        message = one["patternErrorMessage"]
        yield escape(f"It {message}" if message.startswith("must ") else message[0].upper() + message[1:])
    if "maxLength" in one:
        yield f"At most {one['maxLength']:,} bytes"
    if "maxItems" in one or "maxProperties" in one:
        yield f"At most {one.get('maxItems', one.get('maxProperties')):,}"
    if "maximum" in one and one["maximum"] < 2**53 - 1:
        yield f"From {one['minimum']:,} to {one['maximum']:,}"


def _yaml(value: object) -> str:
    if isinstance(value, str):
        return value
    return yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=200).strip().removesuffix("\n...")
