"""Lexicon documents (JSON) → definitions. https://atproto.com/specs/lexicon#lexicon-files

Lexicons are our own files, so an unknown type, an unknown key (``maxLenght``) or a wrong value is an error.
Descriptions and defaults of records are left out; procedures and subscriptions are skipped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from catalog.atproto.lexicon.definitions import (
    Array,
    Blob,
    Boolean,
    Bytes,
    CidLink,
    Integer,
    Null,
    Object,
    Record,
    Ref,
    Token,
    Union,
    Unknown,
)
from catalog.atproto.lexicon.query import Parameter, Query
from catalog.atproto.lexicon.report import Report
from catalog.atproto.lexicon.strings import FORMATS, String
from catalog.errors import CatalogError, InvalidSyntax
from catalog.syntax import Nsid

if TYPE_CHECKING:
    from catalog.atproto.lexicon.query import Value
    from catalog.atproto.lexicon.report import Definition

_PASSED_OVER: Final = frozenset({"procedure", "subscription", "permission-set", "params"})
_COMMON: Final = frozenset({"type", "description"})
_ANY_KEYS: Final = frozenset({"tid", "nsid", "any"})


def read_lexicon(document: object) -> dict[str, Definition]:
    """The definitions of a document by their full names. Raises :class:`CatalogError`, ``where`` inside it."""
    fields = Fields(document, {"lexicon", "id", "defs", "revision", "description", "$type"})
    if fields.integer("lexicon") != 1:
        raise CatalogError("not of version 1 of the lexicon language", where="lexicon")
    try:
        nsid = Nsid.parse(fields.needed("id"))
    except InvalidSyntax as error:
        raise CatalogError(error.what, where="id", hint=error.hint) from error
    found: dict[str, Definition] = {}
    for name, definition in fields.mapping("defs").items():
        with_type = definition if isinstance(definition, dict) else {}
        if with_type.get("type") in _PASSED_OVER:
            continue
        full = full_name(nsid, f"#{name}")
        with _inside(f"defs.{name}"):
            found[full] = _read_top(definition, nsid, full)
    return found


def full_name(nsid: str, ref: str) -> str:
    """Return the full name of a ref in the document ``nsid``: ``#x`` is ``nsid#x``; ``other#main`` is ``other``."""
    return (nsid + ref if ref.startswith("#") else ref).removesuffix("#main")


class Fields:
    """A JSON object being read: every key is read by its type, and no other key is allowed."""

    def __init__(self, value: object, known: set[str] | frozenset[str]) -> None:
        if not isinstance(value, dict):
            raise CatalogError(f"expected an object, found {type(value).__name__}")
        self._fields: dict[str, Any] = value
        if strange := sorted(set(value) - known):
            raise CatalogError(f"unknown key {strange[0]!r}", hint=f"known: {', '.join(sorted(known))}")

    def _typed(self, key: str, kind: type[object] | tuple[type[object], ...]) -> Any:  # noqa: ANN401
        value = self._fields.get(key)
        if key in self._fields and (not isinstance(value, kind) or (kind is int and isinstance(value, bool))):
            raise CatalogError(f"is not of the right type: {value!r}", where=key)
        return value

    def text(self, key: str) -> str | None:
        """A string, or None when it is absent."""
        found: str | None = self._typed(key, str)
        return found

    def needed(self, key: str) -> str:
        """A string that must be there."""
        found = self.text(key)
        if found is None:
            raise CatalogError("required, but missing", where=key)
        return found

    def integer(self, key: str) -> int | None:
        """An integer, or None when it is absent."""
        found: int | None = self._typed(key, int)
        return found

    def length(self, key: str) -> int | None:
        """A length: not negative."""
        found = self.integer(key)
        if found is not None and found < 0:
            raise CatalogError("a length can't be negative", where=key)
        return found

    def boolean(self, key: str) -> bool | None:
        """A boolean, or None when it is absent."""
        found: bool | None = self._typed(key, bool)
        return found

    def mapping(self, key: str) -> dict[str, Any]:
        """An object that must be there."""
        found: dict[str, Any] | None = self._typed(key, dict)
        if found is None:
            raise CatalogError("required, but missing", where=key)
        return found

    def values(self, key: str) -> list[object]:
        """A list of anything; empty when it is absent."""
        found: list[object] | None = self._typed(key, list)
        return found or []

    def any(self, key: str) -> object:
        """Whatever is there."""
        return self._fields.get(key)

    def texts(self, key: str) -> tuple[str, ...] | None:
        """A list of strings, or None when it is absent."""
        return self._items(key, str)

    def integers(self, key: str) -> tuple[int, ...] | None:
        """A list of integers, or None when it is absent."""
        return self._items(key, int)

    def _items(self, key: str, kind: type[Any]) -> tuple[Any, ...] | None:
        found: list[Any] | None = self._typed(key, list)
        if found is None:
            return None
        if any(not isinstance(item, kind) or (kind is int and isinstance(item, bool)) for item in found):
            raise CatalogError(f"expected a list of {kind.__name__} only", where=key)
        return tuple(found)


@contextmanager
def _inside(where: str) -> Iterator[None]:
    """An error from here gains ``where`` on its way up."""
    try:
        yield
    except CatalogError as error:
        error.within(where)
        raise


def _read_top(value: object, nsid: str, full: str) -> Definition:
    kind = value.get("type") if isinstance(value, dict) else None
    if kind == "record":
        fields = Fields(value, _COMMON | {"key", "record"})
        key = fields.needed("key")
        if key not in _ANY_KEYS and not key.startswith("literal:"):
            raise CatalogError(f"unknown kind of record key {key!r}", where="key")
        with _inside("record"):
            content = _read(fields.any("record"), nsid)
        if not isinstance(content, Object):
            raise CatalogError("a record is an object", where="record")
        if full != nsid:
            raise CatalogError("only main can be a record")
        return Record(nsid=nsid, key=key, content=content)
    if kind == "query":
        if full != nsid:
            raise CatalogError("only main can be a query")
        return _query(value, nsid)
    if kind == "token":
        Fields(value, _COMMON)
        return Token(name=full)
    return _read(value, nsid)


def _query(value: object, nsid: str) -> Query:
    fields = Fields(value, _COMMON | {"parameters", "output", "errors"})
    with _inside("parameters"):
        given = fields.any("parameters")
        parameters = {} if given is None else _parameters(given, nsid)
    with _inside("output"):
        output = Fields(fields.any("output"), {"description", "encoding", "schema"})
        if output.needed("encoding") != "application/json":
            raise CatalogError("answers are JSON here", where="encoding")
        with _inside("schema"):
            answer = _read(output.any("schema"), nsid)
    errors = []
    for at, error in enumerate(fields.values("errors")):
        with _inside(f"errors[{at}]"):
            errors.append(Fields(error, {"name", "description"}).needed("name"))
    return Query(
        nsid=nsid,
        description=fields.text("description") or "",
        parameters=parameters,
        output=answer,
        errors=tuple(errors),
    )


def _parameters(value: object, nsid: str) -> dict[str, Parameter]:
    fields = Fields(value, _COMMON | {"required", "properties"})
    if fields.needed("type") != "params":
        raise CatalogError("parameters are of the type params", where="type")
    required = fields.texts("required") or ()
    found: dict[str, Parameter] = {}
    for name, one in fields.mapping("properties").items():
        with _inside(f"properties.{name}"):
            kind = _read(one, nsid)
            inner = kind.items if isinstance(kind, Array) else kind
            if not isinstance(inner, Boolean | Integer | String):
                raise CatalogError("parameters are true or false, whole numbers, text, or lists of these")
            default = _default(kind, one)
            if default is not None and name in required:
                raise CatalogError("what is required has no default", where="default")
            found[name] = Parameter(kind=kind, required=name in required, default=default)
    if strange := [name for name in required if name not in found]:
        raise CatalogError(f"{strange[0]!r} is not among the properties", where="required")
    return found


def _default(kind: Definition, value: Any) -> Value | None:  # noqa: ANN401 - JSON
    default: Value | None = value.get("default")
    if default is not None:
        report = Report(definitions={})
        kind.check(default, "default", report, 1)
        if report.faults:
            raise CatalogError(report.faults[0].message, where="default")
    return default


def _read(value: object, nsid: str) -> Definition:
    kind = value.get("type") if isinstance(value, dict) else None
    if not isinstance(kind, str) or kind not in _KINDS:
        raise CatalogError(f"unknown type {kind!r}", hint=f"known here: {', '.join(sorted(_KINDS))}")
    keys, build = _KINDS[kind]
    return build(Fields(value, _COMMON | keys), nsid)


def _boolean(fields: Fields, _: str) -> Definition:
    return Boolean(const=fields.boolean("const"))


def _integer(fields: Fields, _: str) -> Definition:
    return Integer(
        minimum=fields.integer("minimum"),
        maximum=fields.integer("maximum"),
        enum=fields.integers("enum"),
        const=fields.integer("const"),
    )


def _string(fields: Fields, _: str) -> Definition:
    format_ = fields.text("format")
    if format_ is not None and format_ not in FORMATS:
        raise CatalogError(f"unknown format {format_!r}", where="format", hint=f"known: {', '.join(FORMATS)}")
    return String(
        format=format_,
        min_length=fields.length("minLength"),
        max_length=fields.length("maxLength"),
        min_graphemes=fields.length("minGraphemes"),
        max_graphemes=fields.length("maxGraphemes"),
        enum=fields.texts("enum"),
        const=fields.text("const"),
        known_values=fields.texts("knownValues"),
    )


def _bytes(fields: Fields, _: str) -> Definition:
    return Bytes(min_length=fields.length("minLength"), max_length=fields.length("maxLength"))


def _blob(fields: Fields, _: str) -> Definition:
    return Blob(accept=fields.texts("accept"), max_size=fields.length("maxSize"))


def _array(fields: Fields, nsid: str) -> Definition:
    with _inside("items"):
        items = _read(fields.any("items"), nsid)
    return Array(
        items=items,
        min_length=fields.length("minLength"),
        max_length=fields.length("maxLength"),
    )


def _object(fields: Fields, nsid: str) -> Definition:
    properties: dict[str, Definition] = {}
    for name, value in fields.mapping("properties").items():
        with _inside(f"properties.{name}"):
            properties[name] = _read(value, nsid)
    required = fields.texts("required") or ()
    nullable = fields.texts("nullable") or ()
    for key, names in (("required", required), ("nullable", nullable)):
        if strange := [name for name in names if name not in properties]:
            raise CatalogError(f"{strange[0]!r} is not among the properties", where=key)
    return Object(properties=properties, required=required, nullable=frozenset(nullable))


def _ref(fields: Fields, nsid: str) -> Definition:
    return Ref(to=full_name(nsid, fields.needed("ref")))


def _union(fields: Fields, nsid: str) -> Definition:
    refs = fields.texts("refs")
    if refs is None:
        raise CatalogError("required, but missing", where="refs")
    closed = fields.boolean("closed") or False
    if closed and not refs:
        raise CatalogError("a closed union of nothing", where="refs")
    return Union(refs=tuple(full_name(nsid, ref) for ref in refs), closed=closed)


_KINDS: Final[Mapping[str, tuple[frozenset[str], Callable[[Fields, str], Definition]]]] = {
    "null": (frozenset(), lambda _fields, _nsid: Null()),
    "boolean": (frozenset({"const", "default"}), _boolean),
    "integer": (frozenset({"minimum", "maximum", "enum", "const", "default"}), _integer),
    "string": (
        frozenset({"format", "minLength", "maxLength", "minGraphemes", "maxGraphemes"})
        | {"enum", "const", "knownValues", "default"},
        _string,
    ),
    "bytes": (frozenset({"minLength", "maxLength"}), _bytes),
    "cid-link": (frozenset(), lambda _fields, _nsid: CidLink()),
    "blob": (frozenset({"accept", "maxSize"}), _blob),
    "array": (frozenset({"items", "minLength", "maxLength"}), _array),
    "object": (frozenset({"properties", "required", "nullable"}), _object),
    "ref": (frozenset({"ref"}), _ref),
    "union": (frozenset({"refs", "closed"}), _union),
    "unknown": (frozenset(), lambda _fields, _nsid: Unknown()),
}
"""Type → its own keys, and what builds it."""
