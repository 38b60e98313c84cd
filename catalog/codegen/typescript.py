"""A sample type as a TypeScript module: an interface with the wire names, and its decoder and encoder.

The module depends only on ``@msgpack/msgpack``. Arrays are ``{dtype, shape, data}`` with a typed array. A format
without a JavaScript reader stays bytes, which the comment of the field notes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from catalog.codegen.layout import PRETTIER, Group, flat, laid_out
from catalog.codegen.templates import rendered
from catalog.codegen.text import is_numeric, json_literal, notes, origin, summary, wrapped
from catalog.schema import Array, Field, FieldType, List, SampleType, Scalar, Unknown
from catalog.schema.identifiers import class_name

if TYPE_CHECKING:
    from catalog.codegen.layout import Source

SHARED: Final = "samples"
"""The module of a package that all others import from."""

_SCALARS: Final[Mapping[str, tuple[str, str]]] = {
    "str": ("string", "text"),
    "int": ("number", "integer"),
    "float": ("number", "real"),
    "bool": ("boolean", "flag"),
    "bytes": ("Uint8Array", "binary"),
    "map": ("Record<string, unknown>", "record"),
    "datetime": ("string", "text"),
}
"""Kind → its type, and the function that decodes it."""

_FUNCTIONS: Final = frozenset({
    *(function for _, function in _SCALARS.values()), "list", "ndarray", "anything", "required", "optional",
})  # fmt: skip
"""All functions that a decoder may call."""

_SELDOM: Final = frozenset({"record"})
"""The functions that a package has only if one of its modules calls them."""

_NEEDS: Final[Mapping[str, str]] = {"ndarray": "binary", "integer": "real"}
"""Function → the function it depends on."""

_RESERVED: Final = frozenset({
    # types that can't be declared, and those that the module uses
    "any", "unknown", "never", "void", "undefined", "null", "string", "number", "boolean", "bigint", "symbol", "object",
    "NdArray", "DType", "Numbers", "Reader", "Layout", "Record", "Readonly", "ReadonlyMap", "Map", "Number", "String",
    "Array", "ArrayBuffer", "DataView", "Uint8Array", "Int8Array", "Int16Array", "Int32Array", "BigInt64Array",
    "Uint16Array", "Uint32Array", "BigUint64Array", "Float32Array", "Float64Array", "Object", "Math", "JSON",
    "TypeError", "Infinity", "NaN",
    # reserved words that Python doesn't have
    "break", "case", "catch", "class", "const", "continue", "debugger", "default", "delete", "do", "else", "enum",
    "export", "extends", "false", "finally", "for", "function", "if", "implements", "import", "in", "instanceof",
    "interface", "let", "new", "package", "private", "protected", "public", "return", "static", "super", "switch",
    "this", "throw", "true", "try", "typeof", "var", "while", "with", "yield", "await", "async", "arguments", "eval",
})  # fmt: skip

_PLAIN_KEY: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldView:
    """One field: its ``declaration`` in the interface, ``reading`` in the decoder, comment lines, and their parts."""

    key: str
    wire: str
    optional: bool
    type: str
    reader: str
    doc: tuple[str, ...]
    declaration: str
    reading: str


def typescript_module(
    sample_type: SampleType, *, uri: str | None, cid: str | None, templates: Path | None = None, shared: bool = False
) -> str:
    """Return the module. With ``shared``, it imports its functions from the package's module ``samples``."""
    name = type_name(sample_type.name)
    functions = _functions(sample_type)
    return rendered(
        "typescript",
        templates=templates,
        origin=tuple(origin(uri, cid)),
        imports=tuple(_imports(functions, shared=shared)),
        name=name,
        wire_name=_literal(sample_type.name),
        version=_literal(sample_type.version),
        doc=tuple(_comment(summary(sample_type), "")),
        fields=tuple(_field(field) for field in sample_type.fields),
        decode=_signature(f"decode{name}", "bytes: Uint8Array", name),
        encode=_signature(f"encode{name}", f"sample: {name}", "Uint8Array"),
        arrays="ndarray" in functions,
        functions=functions | {needed for name, needed in _NEEDS.items() if name in functions},
        shared=shared,
        export="",
    )


def shared_module(sample_types: Iterable[SampleType] = (), *, templates: Path | None = None) -> str:
    """Return the module that the others of a package, for these sample types, import from."""
    called = frozenset[str]().union(*map(_functions, sample_types))
    functions = _FUNCTIONS - _SELDOM | (called & _SELDOM)
    return rendered("typescript_shared", templates=templates, arrays=True, functions=functions, export="export ")


def type_name(text: str) -> str:
    """Return the name of the interface for a sample type."""
    name = class_name(text)
    return f"{name}Type" if name in _RESERVED else name


def _imports(functions: frozenset[str], *, shared: bool) -> list[str]:
    if not shared:
        return ['import { decode as unpackb, encode as packb } from "@msgpack/msgpack";']
    arrays = ["type NdArray"] if "ndarray" in functions else []
    return [_braced("import", [*arrays, *sorted({*functions, "pack", "unpack"})], SHARED)]


def export_statement(stem: str, name: str, exported: str) -> str:
    """Return the index statement that exports a module's type and functions under another name."""
    renamed = [
        f"{what}{name}" + ("" if name == exported else f" as {what.removeprefix('type ')}{exported}")
        for what in ("type ", "decode", "encode")
    ]
    return _braced("export", renamed, stem)


def _braced(verb: str, names: list[str], stem: str) -> str:
    line = f'{verb} {{ {", ".join(names)} }} from "./{stem}.js";'
    if len(line) <= PRETTIER.width:
        return line
    return "\n".join((f"{verb} {{", *(f"  {name}," for name in names), f'}} from "./{stem}.js";'))


def _signature(name: str, argument: str, answer: str) -> str:
    line = f"export function {name}({argument}): {answer} {{"
    return line if len(line) <= PRETTIER.width else f"export function {name}(\n  {argument},\n): {answer} {{"


def _functions(sample_type: SampleType) -> frozenset[str]:
    readers = {_reader(type_) for type_ in sample_type.types()}
    used = {reader if isinstance(reader, str) else reader.open.removesuffix("(") for reader in readers}
    return frozenset({*used, *("optional" if field.optional else "required" for field in sample_type.fields)})


def _field(field: Field) -> FieldView:
    wire = _literal(field.name)
    key = field.name if _PLAIN_KEY.fullmatch(field.name) else wire
    reader = _reader(field.type)
    # {"__proto__": …} would set the prototype
    place = f"[{wire}]" if field.name == "__proto__" else key
    call = Group("optional(" if field.optional else "required(", ("fields", wire, reader), ")")
    return FieldView(
        key=key,
        wire=wire,
        optional=field.optional,
        type=_type(field.type),
        reader=flat(reader),
        doc=tuple(_comment(notes(field), "  ")),
        declaration=_declaration(key, _type(field.type), optional=field.optional),
        reading=_entry(place, call),
    )


def _declaration(key: str, type_: str, *, optional: bool) -> str:
    if not optional:
        return f"  {key}: {type_};"
    line = f"  {key}?: {type_} | undefined;"
    return line if len(line) <= PRETTIER.width else f"  {key}?:\n    {type_} | undefined;"


def _entry(place: str, call: Group) -> str:
    indent = 2 * PRETTIER.step
    if len(f"{indent}{place}: {call.open}") <= PRETTIER.width:
        return laid_out(call, prefix=f"{place}: ", suffix=",", indent=indent, style=PRETTIER)
    return f"{indent}{place}:\n" + laid_out(call, suffix=",", indent=indent + PRETTIER.step, style=PRETTIER)


def _type(type_: FieldType) -> str:
    match type_:
        case Scalar():
            return _SCALARS[type_.kind][0]
        case List():
            return f"{_type(type_.item)}[]"
        case Unknown():
            return "unknown"
        case Array():
            if not is_numeric(type_):
                return "Uint8Array"
            return "NdArray" if type_.dtype is None else f'NdArray<"{type_.dtype}">'


def _reader(type_: FieldType) -> Source:
    match type_:
        case Scalar():
            return _SCALARS[type_.kind][1]
        case List():
            return Group("list(", (_reader(type_.item),), ")")
        case Unknown():
            return "anything"
        case Array():
            return _array_reader(type_) if is_numeric(type_) else "binary"


def _array_reader(array: Array) -> Source:
    arguments: list[Source] = []
    if array.dtype is not None or array.shape is not None:
        arguments.append("null" if array.dtype is None else f'"{array.dtype}"')
    if array.shape is not None:
        sizes = tuple("-1" if size is None else str(size) for size in array.shape)
        arguments.append(Group("[", sizes, "]", fill=True))
    return Group("ndarray(", tuple(arguments), ")")


def _literal(text: str) -> str:
    """A string literal in double quotes, or in single quotes if that needs fewer escapes."""
    double = json_literal(text)
    if text.count('"') <= text.count("'"):
        return double
    inner = re.sub(r"\\.|'", lambda match: {'\\"': '"', "'": "\\'"}.get(match[0], match[0]), double[1:-1])
    return f"'{inner}'"


def _comment(text: str, indent: str) -> list[str]:
    safe = text.replace("*/", "*\\/")
    if not safe:
        return []
    if len(indent) + len(safe) + 7 <= PRETTIER.width:
        return [f"{indent}/** {safe} */"]
    lines = wrapped(safe, PRETTIER.width - len(indent) - 3)
    return [f"{indent}/**", *(f"{indent} * {line}" for line in lines), f"{indent} */"]
