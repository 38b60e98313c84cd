"""Fields of a schema: short forms (``label: int``) and long ones."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, get_args

from catalog.errors import InvalidSchema
from catalog.manifest.diagnostics import Report, near, shown
from catalog.manifest.mapping import Table, kind_of
from catalog.schema import MAX_FIELDS, Array, ArrayFormat, Field, FieldType, parse_type

if TYPE_CHECKING:
    from catalog.manifest.yaml_parser import Node

FIELD_KEYS: Final = ("type", "description", "dimensions", "format", "optional")


def read_fields(table: Table, report: Report) -> tuple[Field, ...]:
    """Return the fields of a schema, in order; mistakes go to ``report``."""
    node = table.get("fields", required=True)
    if node is None:
        return ()
    if not isinstance(node.value, dict):
        report.add(node.line, f"'fields' must be a map, not {kind_of(node)}", "name: type, one a line")
        return ()
    if not 0 < len(node.value) <= MAX_FIELDS:
        report.add(node.line, f"{len(node.value)} fields; a schema has 1 to {MAX_FIELDS:,}")
        return ()
    return tuple(field for name, item in node.value.items() if (field := _read_field(name, item, report)) is not None)


def _read_field(name: str, node: Node, report: Report) -> Field | None:
    if not name.strip():
        report.add(node.line, "a field without a name")
    if isinstance(node.value, str):
        parsed = _read_type(node.value, node.line, report)
        return None if parsed is None else Field(name=name, type=parsed[0], optional=parsed[1])
    if not isinstance(node.value, dict):
        report.add(node.line, f"field {shown(name)!r} must have a type, not {kind_of(node)}", "name: type, one a line")
        return None
    table = Table(node, f"field {shown(name)!r}", FIELD_KEYS, report)
    text, description = table.text("type", 1000, required=True), table.text("description", 5000)
    flag = table.flag("optional")
    dimensions = table.texts("dimensions", most=64, limit=200)
    parsed = None if text is None else _read_type(text, table.line_of("type"), report)
    if parsed is None:
        return None
    type_, marked = parsed
    if dimensions:
        type_ = _with_dimensions(type_, dimensions, table)
    if "format" in table.entries:
        type_ = _with_format(type_, table)
    return Field(name=name, type=type_, optional=marked or flag is True, description=description)


def _read_type(text: str, line: int, report: Report) -> tuple[FieldType, bool] | None:
    try:
        return parse_type(text)
    except InvalidSchema as error:
        report.add(line, shown(error.what, 200), error.hint)
        return None


def _with_dimensions(type_: FieldType, names: tuple[str, ...], table: Table) -> FieldType:
    line = table.line_of("dimensions")
    if not isinstance(type_, Array):
        table.report.add(line, "'dimensions' are for arrays only")
        return type_
    count = len(type_.shape or ())
    if count != len(names):
        message = f"{len(names)} dimension names for a shape of {count}"
        table.report.add(line, message, "array[dtype, *, *] has two dimensions of any length")
    return Array(dtype=type_.dtype, shape=type_.shape, dimensions=names, format=type_.format)


def _with_format(type_: FieldType, table: Table) -> FieldType:
    text, known = table.text("format", 50), get_args(ArrayFormat)
    found = next((format_ for format_ in known if format_ == text), None)
    if text is not None and found is None:
        hint = near(text, known) or f"known: {', '.join(known)}"
        table.report.add(table.line_of("format"), f"unknown format {shown(text)!r}", hint)
    elif not isinstance(type_, Array):
        table.report.add(table.line_of("format"), "'format' is for arrays only")
    elif found is not None:
        return replace(type_, format=found)
    return type_
