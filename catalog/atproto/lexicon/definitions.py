"""The types of the lexicon language, one class each. ``check`` reports every fault of a value and never raises.

Specification: https://atproto.com/specs/lexicon#lexicon-files
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from typing import TYPE_CHECKING, Final

from catalog.atproto.datamodel import MAX_INTEGER, bytes_of, link_of
from catalog.atproto.lexicon.report import shown
from catalog.errors import InvalidData

if TYPE_CHECKING:
    from catalog.atproto.lexicon.report import Definition, Report

_MAX_SHOWN_NAMES: Final = 8
_MAX_LENGTH: Final = 40
_MAX_CANDIDATES: Final = 20


@dataclass(frozen=True, slots=True)
class Null:
    """Null and nothing else."""

    def check(self, value: object, where: str, report: Report, depth: int) -> None:  # noqa: ARG002, D102
        if value is not None:
            report.expected(where, "null", value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Boolean:
    """True or false; with ``const`` only that one."""

    const: bool | None = None

    def check(self, value: object, where: str, report: Report, depth: int) -> None:  # noqa: ARG002, D102
        if not isinstance(value, bool):
            report.expected(where, "true or false", value)
        elif self.const is not None and value is not self.const:
            report.expected(where, shown(self.const), value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Integer:
    """A whole number within ±(2^53 − 1)."""

    minimum: int | None = None
    maximum: int | None = None
    enum: tuple[int, ...] | None = None
    const: int | None = None

    def check(self, value: object, where: str, report: Report, depth: int) -> None:  # noqa: ARG002, D102
        if isinstance(value, bool) or not isinstance(value, int):
            hint = "the atproto data model has no floats" if isinstance(value, float) else None
            report.expected(where, "an integer", value, hint)
        elif not -MAX_INTEGER <= value <= MAX_INTEGER:
            report.expected(where, "an integer within ±(2^53 − 1)", value)
        elif self.const is not None and value != self.const:
            report.expected(where, str(self.const), value)
        elif self.enum is not None and value not in self.enum:
            report.expected(where, one_of(self.enum), value)
        elif self.minimum is not None and value < self.minimum:
            report.expected(where, f"at least {self.minimum:,}", value)
        elif self.maximum is not None and value > self.maximum:
            report.expected(where, f"at most {self.maximum:,}", value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bytes:
    """``{"$bytes": …}``; lengths in bytes."""

    min_length: int | None = None
    max_length: int | None = None

    def check(self, value: object, where: str, report: Report, depth: int) -> None:  # noqa: ARG002, D102
        try:
            length = len(bytes_of(value))
        except InvalidData as error:
            report.expected(where, "bytes", value, error.what)
            return
        if wrong := wrong_length(length, "bytes", self.min_length, self.max_length):
            report.add(where, wrong)


@dataclass(frozen=True, slots=True)
class CidLink:
    """``{"$link": …}`` with a CID in base32."""

    def check(self, value: object, where: str, report: Report, depth: int) -> None:  # noqa: ARG002, D102
        try:
            link_of(value)
        except InvalidData as error:
            report.expected(where, "a CID link", value, error.what)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """A reference to a file on the PDS: ``{$type: blob, ref, mimeType, size}``; or the old ``{cid, mimeType}``."""

    accept: tuple[str, ...] | None = None
    """MIME types, ``*`` at the end for anything: ``image/*``."""
    max_size: int | None = None

    def check(self, value: object, where: str, report: Report, depth: int) -> None:  # noqa: D102
        if not isinstance(value, dict):
            report.expected(where, "a blob", value)
            return
        if "$type" not in value and isinstance(value.get("cid"), str):
            link = {"$link": value["cid"]}
            CidLink().check(link, f"{where}.cid", report, depth)
        elif value.get("$type") != "blob":
            report.expected(where, "a blob", value, "blobs have the $type blob")
            return
        else:
            CidLink().check(value.get("ref"), f"{where}.ref", report, depth)
            Integer(minimum=0).check(value.get("size"), f"{where}.size", report, depth)
        self._check_content(value.get("mimeType"), value.get("size"), where, report)

    def _check_content(self, mime_type: object, size: object, where: str, report: Report) -> None:
        if not isinstance(mime_type, str):
            report.expected(f"{where}.mimeType", "a MIME type", mime_type)
        elif self.accept is not None and not any(accepts(pattern, mime_type) for pattern in self.accept):
            report.expected(f"{where}.mimeType", one_of(self.accept), mime_type)
        if self.max_size is not None and isinstance(size, int) and size > self.max_size:
            report.expected(f"{where}.size", f"at most {self.max_size:,} bytes", size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Array:
    """Values of one type."""

    items: Definition
    min_length: int | None = None
    max_length: int | None = None

    def check(self, value: object, where: str, report: Report, depth: int) -> None:  # noqa: D102
        if not isinstance(value, list):
            report.expected(where, "an array", value)
            return
        if report.too_deep(where, depth):
            return
        if wrong := wrong_length(len(value), "items", self.min_length, self.max_length):
            report.add(where, wrong)
        check = self.items.check
        for index, item in enumerate(value):
            if report.full:
                return
            check(item, f"{where}[{index}]", report, depth + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Object:
    """Named values. Names that it doesn't know may hold anything."""

    properties: Mapping[str, Definition]
    required: tuple[str, ...] = ()
    nullable: frozenset[str] = frozenset()

    def check(self, value: object, where: str, report: Report, depth: int) -> None:  # noqa: D102
        if not isinstance(value, dict) or "$bytes" in value or "$link" in value:
            report.expected(where, "an object", value)
            return
        if report.too_deep(where, depth):
            return
        prefix = f"{where}." if where else ""
        for name in self.required:
            if name not in value:
                report.add(prefix + name, "required, but missing", _near_miss(name, value, self.properties))
        for name, definition in self.properties.items():
            if name in value:
                item = value[name]
                if item is not None or name not in self.nullable:
                    definition.check(item, prefix + name, report, depth + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ref:
    """Another definition, by its full name."""

    to: str

    def check(self, value: object, where: str, report: Report, depth: int) -> None:  # noqa: D102
        report.definitions[self.to].check(value, where, report, depth)


@dataclass(frozen=True, slots=True, kw_only=True)
class Union:
    """An object of one of several types, identified by its ``$type``."""

    refs: tuple[str, ...]
    closed: bool = False

    def check(self, value: object, where: str, report: Report, depth: int) -> None:  # noqa: D102
        if not isinstance(value, dict) or "$bytes" in value or "$link" in value:
            report.expected(where, "an object with a $type", value)
            return
        kind = value.get("$type")
        place = f"{where}.$type" if where else "$type"
        if kind is None:
            report.add(place, "required, but missing", one_of(self.refs) if self.refs else None)
        elif not isinstance(kind, str) or not kind:
            report.expected(place, "the name of a type", kind)
        elif (name := kind.removesuffix("#main")) in self.refs:
            report.definitions[name].check(value, where, report, depth)
        elif self.closed:
            report.expected(place, one_of(self.refs), kind)


@dataclass(frozen=True, slots=True)
class Unknown:
    """Any object; neither bytes, nor a link, nor a blob by itself."""

    def check(self, value: object, where: str, report: Report, depth: int) -> None:  # noqa: ARG002, D102
        if not isinstance(value, dict) or "$bytes" in value or "$link" in value or value.get("$type") == "blob":
            report.expected(where, "an object", value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A word with a meaning; its value is its full name."""

    name: str

    def check(self, value: object, where: str, report: Report, depth: int) -> None:  # noqa: ARG002, D102
        if value != self.name:
            report.expected(where, shown(self.name), value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """An object that is stored by itself, with a ``$type``."""

    nsid: str
    key: str
    """The type of its record keys: ``tid``, ``nsid``, ``any`` or ``literal:…``. Not checked: any key is read."""
    content: Object

    def check(self, value: object, where: str, report: Report, depth: int) -> None:  # noqa: D102
        if isinstance(value, dict):
            place = f"{where}.$type" if where else "$type"
            if "$type" not in value:
                report.add(place, "required, but missing", f"it is {self.nsid}")
            elif value["$type"] != self.nsid:
                report.expected(place, shown(self.nsid), value["$type"])
        self.content.check(value, where, report, depth)


def wrong_length(length: int, unit: str, least: int | None, most: int | None) -> str | None:
    """Return the message for a length outside its bounds, or None."""
    if least is not None and length < least:
        return f"expected at least {least:,} {unit}, found {length:,}"
    if most is not None and length > most:
        return f"expected at most {most:,} {unit}, found {length:,}"
    return None


def accepts(pattern: str, mime_type: str) -> bool:
    """Return whether a MIME type matches a pattern such as ``image/*``."""
    if pattern.endswith("*"):
        return mime_type.lower().startswith(pattern[:-1].lower()) or pattern == "*/*"
    return mime_type.lower() == pattern.lower()


def one_of(values: tuple[object, ...]) -> str:
    """The values, as an error lists them."""
    names = [shown(value) for value in values[:_MAX_SHOWN_NAMES]]
    more = f" or {len(values) - _MAX_SHOWN_NAMES} more" if len(values) > _MAX_SHOWN_NAMES else ""
    return ("one of " if len(values) > 1 else "") + ", ".join(names) + more


def _near_miss(missing: str, present: Iterable[object], known: Container[str]) -> str | None:
    """Return a hint at an unknown key similar to the missing one, or None. Only a few short names are compared."""
    strangers = (name for name in islice(present, 4 * _MAX_CANDIDATES) if isinstance(name, str) and name not in known)
    short = {name.lower(): name for name in islice(strangers, _MAX_CANDIDATES) if len(name) <= _MAX_LENGTH}
    found = get_close_matches(missing.lower(), list(short), n=1, cutoff=0.75)
    return f"there is {short[found[0]]!r}: is it meant?" if found else None
