"""A sample type as a Python class: a ``PackableSample`` of this library."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from catalog.codegen.layout import RUFF, WIDTH, Group, Source, flat, laid_out
from catalog.codegen.templates import rendered
from catalog.codegen.text import UNKNOWN_NOTE, first_paragraph, literal, one_line, origin, wrapped
from catalog.errors import InvalidSyntax
from catalog.schema import Array, Field, FieldType, List, SampleType, Scalar, Unknown
from catalog.schema.identifiers import class_name, field_attributes
from catalog.syntax import AtUri

_INDENT: Final = RUFF.step
_TYPED: Final = ("ndarrayBytes", "arrowTensor")
"""The array formats whose dtype is written inside ``NDArray[…]``."""

NUMPY: Final = {
    "bool": "np.bool_",
    **{name: f"np.{name}" for name in (
        "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
        "float16", "float32", "float64", "complex64", "complex128",
    )},
}  # fmt: skip
"""Dtype → the name of its class in generated code."""

SCALARS: Final = {"map": "dict[str, Any]", "datetime": "datetime.datetime"}
"""Kind of scalar → its Python type, where the kind isn't the name of the type."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonField:
    """One field: ``declaration`` is its statement, the rest are its parts. ``wire`` is a string literal."""

    name: str
    wire: str
    annotation: str
    optional: bool
    declaration: str
    docstring: tuple[str, ...]


@lru_cache(maxsize=512)  # the page of every dataset with this schema shows its class
def python_class(
    sample_type: SampleType, *, uri: str | None = None, cid: str | None = None, also: tuple[str, ...] = ()
) -> str:
    """Return the source of a module with the class: imports, then the class.

    ``uri`` and ``cid`` of the schema record go into the class; ``also`` are further names to import from
    ``catalog``. The source is valid Python for any sample type, formatted like ``ruff format``.
    """
    return python_module(sample_type, uri=uri, cid=cid, also=also)


def python_module(
    sample_type: SampleType,
    *,
    uri: str | None,
    cid: str | None,
    also: tuple[str, ...] = (),
    templates: Path | None = None,
) -> str:
    """Return the same as :func:`python_class`, with optional templates of the user."""
    names = field_attributes(sample_type.fields)
    from_record = uri is not None and _is_of_record(uri)
    return rendered(
        "python",
        templates=templates,
        imports=tuple(_imports(sample_type, names, also)),
        name=class_name(sample_type.name),
        wire_name=literal(sample_type.name),
        version=literal(sample_type.version),
        origin=tuple(origin(uri, cid)),
        opening=_opening(sample_type, uri if from_record else None),
        docstring=tuple(_class_docstring(sample_type, origin(None if from_record else uri, cid))),
        fields=tuple(_field(names[field.name], field) for field in sample_type.fields),
    )


def _is_of_record(text: str) -> bool:
    try:
        return AtUri.parse(text).rkey is not None
    except InvalidSyntax:
        return False


def _imports(sample_type: SampleType, names: dict[str, str], also: Iterable[str]) -> list[str]:
    types = list(sample_type.types())
    bare = [_bare(type_) for type_ in types if isinstance(type_, Array)]
    described = any(isinstance(type_, Array) and _is_annotated(type_) for type_ in types)
    scalars = [type_ for type_ in types if isinstance(type_, Scalar)]
    has_media = any(scalar.media is not None for scalar in scalars)
    bare += [SCALARS.get(scalar.kind, "") for scalar in scalars]
    typing = ["Annotated"] if described or has_media else []
    has_any = any("Any" in text for text in bare) or any(isinstance(type_, Unknown) for type_ in types)
    typing += ["Any"] if has_any else []
    ours = {"PackableSample", *also} | ({"Array"} if described else set()) | ({"Media"} if has_media else set())
    ours |= {"wire"} if any(wire != name for wire, name in names.items()) else set()
    standard = [
        *(["import datetime"] if any("datetime" in text for text in bare) else []),
        *([f"from typing import {', '.join(typing)}"] if typing else []),
    ]
    return [
        *([*standard, ""] if standard else []),
        *(["import numpy as np"] if any("np." in text for text in bare) else []),
        f"from catalog import {', '.join(sorted(ours))}",
        *(["from numpy.typing import NDArray"] if any("NDArray" in text for text in bare) else []),
    ]


def _opening(sample_type: SampleType, uri: str | None) -> str:
    name = class_name(sample_type.name)
    keywords = [] if name == sample_type.name else [f"name={literal(sample_type.name)}"]
    keywords.append(f"version={literal(sample_type.version)}")
    keywords += [] if uri is None else [f"schema={literal(uri)}"]
    return laid_out(Group("(", ("PackableSample", *keywords), ")"), prefix=f"class {name}", suffix=":")


def _class_docstring(sample_type: SampleType, more: list[str]) -> list[str]:
    text = docstring(first_paragraph(sample_type.description), more)
    if not text and not sample_type.fields:
        return [f"{_INDENT}pass"]
    return [*text, ""] if text and sample_type.fields else text


def _field(name: str, field: Field) -> PythonField:
    alias = Group("wire(", (literal(field.name), *(["default=None"] if field.optional else [])), ")")
    note = UNKNOWN_NOTE if any(isinstance(type_, Unknown) for type_ in field.types()) else ""
    text = " ".join((one_line((field.description or "").strip()), note))
    return python_field(name, field, annotation=_annotation(field.type), alias=alias, text=text)


def python_field(name: str, field: Field, *, annotation: Source, alias: Group, text: str) -> PythonField:
    """A field of a class. ``alias`` is the default of a field whose name is not its wire name."""
    default: Source = alias if name != field.name else "None" if field.optional else ""
    return PythonField(
        name=name,
        wire=literal(field.name),
        annotation=flat(annotation),
        optional=field.optional,
        declaration=_assignment(name, annotation, default, optional=field.optional),
        docstring=tuple(docstring(text, [])),
    )


def _assignment(name: str, annotation: Source, default: Source, *, optional: bool) -> str:
    """``name: annotation = default``, with the line breaks of the formatter."""
    hint = flat(annotation) + (" | None" if optional else "")
    equals = f" = {flat(default)}" if default else ""
    whole = f"{_INDENT}{name}: {hint}{equals}"
    deeper = 2 * _INDENT
    if len(whole) <= WIDTH or (isinstance(annotation, str) and not isinstance(default, Group)):
        return whole
    if isinstance(default, Group) and len(f"{_INDENT}{name}: {hint} = {default.open}") <= WIDTH:
        return laid_out(default, prefix=f"{name}: {hint} = ", indent=_INDENT)
    if (
        not optional
        and isinstance(annotation, str)
        and isinstance(default, Group)
        and len(deeper + flat(default)) > WIDTH
    ):
        return laid_out(default, prefix=f"{name}: {hint} = ", indent=_INDENT)
    if default and len(f"{_INDENT}{name}: {hint} = (") <= WIDTH:
        return "\n".join((f"{_INDENT}{name}: {hint} = (", laid_out(default, indent=deeper), f"{_INDENT})"))
    if not optional:
        opening = default.open if isinstance(default, Group) else default
        suffix = f" = {opening}" if default else ""
        *lines, last = laid_out(annotation, prefix=f"{name}: ", suffix=suffix, indent=_INDENT).split("\n")
        if isinstance(default, Group):
            last = laid_out(default, prefix=last.strip().removesuffix(default.open), indent=_INDENT)
        return "\n".join((*lines, last))
    inner = f"{deeper}{hint}"
    if len(inner) > WIDTH:
        inner = f"{laid_out(annotation, indent=deeper)}\n{deeper}| None"
    return f"{_INDENT}{name}: (\n{inner}\n{laid_out(default, prefix=') = ', indent=_INDENT)}"


def docstring(text: str, more: list[str]) -> list[str]:
    """Return the lines of a docstring: a wrapped paragraph, then ``more`` lines unchanged. Empty for no text."""
    lines = wrapped(_quoted(text.strip()), WIDTH - len(_INDENT) - 3)
    lines += ["", *map(_quoted, more)] if lines and more else [_quoted(line) for line in more]
    if not lines:
        return []
    if len(lines) == 1 and len(_INDENT) + len(lines[0]) + 6 <= WIDTH:
        return [f'{_INDENT}"""{lines[0]}"""']
    return [f'{_INDENT}"""{lines[0]}', *(_INDENT + line if line else "" for line in lines[1:]), f'{_INDENT}"""']


def _quoted(text: str) -> str:
    """Text with the escapes that keep it from ending the docstring or starting an escape sequence."""
    doubled = text.replace("\\", "\\\\")
    at_edge = doubled.startswith('"') or doubled.endswith('"')
    return doubled.replace('"', '\\"') if at_edge or '"""' in doubled else doubled


def _annotation(type_: FieldType) -> Source:
    match type_:
        case Scalar(media=str() as media):
            return Group("Annotated[", ("bytes", f"Media({literal(media)})"), "]")
        case Scalar():
            return SCALARS.get(type_.kind, type_.kind)
        case List():
            return Group("list[", (_annotation(type_.item),), "]")
        case Unknown():
            return "Any"
        case Array():
            bare = _bare(type_)
            if _is_annotated(type_):
                return Group("Annotated[", (bare, _array(type_)), "]")
            return Group("NDArray[", (bare.removeprefix("NDArray[")[:-1],), "]")


def _bare(array: Array) -> str:
    """The type of a value without the details in ``Array``. See :mod:`catalog.samples.array_formats` for the table."""
    if array.format == "sparseBytes":
        return "Any"
    if array.format == "safetensors":
        return "dict[str, NDArray[Any]]"
    return f"NDArray[{NUMPY.get(array.dtype or '', 'Any') if array.format in _TYPED else 'Any'}]"


def _has_dtype(array: Array) -> bool:
    """Return True if the ``NDArray`` annotation includes the dtype."""
    return array.format in _TYPED and array.dtype in NUMPY


def _is_annotated(array: Array) -> bool:
    """Return True if the ``NDArray`` annotation alone would lose part of the type."""
    is_complete = array.dtype is None or _has_dtype(array)
    return not (is_complete and array.shape is None and array.dimensions is None and array.format == "ndarrayBytes")


def _array(array: Array) -> Source:
    arguments: list[Source] = []
    if array.dtype is not None and not _has_dtype(array):
        arguments.append(f"dtype={literal(array.dtype)}")
    if array.shape is not None:
        arguments.append(Group("shape=(", tuple(str(dim) for dim in array.shape), ")"))
    if array.dimensions is not None:
        arguments.append(Group("dimensions=(", tuple(map(literal, array.dimensions)), ")"))
    if array.format != "ndarrayBytes":
        arguments.append(f"format={literal(array.format)}")
    return Group("Array(", tuple(arguments), ")")
