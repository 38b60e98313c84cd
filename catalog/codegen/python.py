"""A sample type as a Python class of this library."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias

from catalog.identifiers import attribute_names, class_name
from catalog.sampletype import Array, Field, FieldType, List, SampleType, Scalar, Unknown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Group", "laid_out", "literal", "one_line", "python_class"]

WIDTH: Final = 88
MAX_TEXT: Final = 400
"""Characters of a description that are worth repeating in code; the whole of it is on the page of the schema."""

_INDENT: Final = "    "
_READ_AS_ARRAYS: Final = ("ndarrayBytes", "structuredBytes")
_NUMPY: Final = {
    "bool": "np.bool_",
    **{name: f"np.{name}" for name in (
        "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
        "float16", "float32", "float64", "complex64", "complex128",
    )},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Group:
    """Source with brackets that may be laid out on several lines: ``open``, parts, ``close``."""

    open: str
    parts: tuple[Source, ...]
    close: str

    @property
    def is_subscript(self) -> bool:
        """Of one part: a trailing comma would make it a tuple."""
        return self.open.endswith("[") and len(self.parts) == 1


Source: TypeAlias = str | Group


@lru_cache(maxsize=512)  # a schema's class stands on the page of each dataset that uses it
def python_class(
    sample_type: SampleType, *, uri: str | None = None, cid: str | None = None, also: tuple[str, ...] = ()
) -> str:
    """The source of a module with the class: imports, then the class.

    ``uri`` and ``cid`` of the schema record go into the docstring; ``also`` are further names to import from
    ``catalog``. Valid Python for any sample type, laid out as ``ruff format`` does.
    """
    names = attribute_names(field.name for field in sample_type.fields)
    lines = [*_imports(sample_type, names, also), "", "", *_header(sample_type, uri, cid)]
    for field in sample_type.fields:
        lines += _field(names[field.name], field)
    return "\n".join(lines) + "\n"


def literal(text: str) -> str:
    """A string literal in ASCII, in double quotes unless there are some in the text."""
    plain = ascii(text)
    return plain if plain[0] == '"' or '"' in text else f'"{plain[1:-1]}"'


def one_line(text: str) -> str:
    """Text on one line, cut, with everything that doesn't print escaped: fit for a comment."""
    cut = " ".join(text[: 4 * MAX_TEXT].split()) if " " in text else text[:MAX_TEXT]
    if len(cut) > MAX_TEXT:
        cut = textwrap.shorten(cut, MAX_TEXT, placeholder=" …")
    if cut.isprintable():
        return cut
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in cut)


def laid_out(source: Source, *, prefix: str = "", suffix: str = "", indent: str = "") -> str:
    """Source between ``prefix`` and ``suffix``: on one line when it fits, else one part a line."""
    flat = f"{indent}{prefix}{_flat(source)}{suffix}"
    if isinstance(source, str) or len(flat) <= WIDTH:
        return flat
    deeper = indent + _INDENT
    comma = "" if source.is_subscript else ","
    inner = (laid_out(part, suffix=comma, indent=deeper) for part in source.parts)
    return "\n".join((f"{indent}{prefix}{source.open}", *inner, f"{indent}{source.close}{suffix}"))


def _flat(source: Source) -> str:
    if isinstance(source, str):
        return source
    single = "," if source.open.endswith("=(") and len(source.parts) == 1 else ""
    return f"{source.open}{', '.join(map(_flat, source.parts))}{single}{source.close}"


# --- the parts of the module ---------------------------------------------------------------------------------


def _imports(sample_type: SampleType, names: dict[str, str], also: Iterable[str]) -> list[str]:
    types = [part for field in sample_type.fields for part in _parts(field.type)]
    arrays = [type_ for type_ in types if isinstance(type_, Array)]
    typing = ["Annotated"] if any(_is_annotated(array) for array in arrays) else []
    open_dtype = any(array.format in _READ_AS_ARRAYS and array.dtype not in _NUMPY for array in arrays)
    typing += ["Any"] if open_dtype or any(isinstance(type_, Unknown) for type_ in types) else []
    ours = {"PackableSample", *also} | ({"Array"} if "Annotated" in typing else set())
    ours |= {"wire"} if any(wire != name for wire, name in names.items()) else set()
    has_arrays = any(array.format in _READ_AS_ARRAYS for array in arrays)
    has_dtypes = any(array.dtype in _NUMPY and array.format in _READ_AS_ARRAYS for array in arrays)
    return [
        *([f"from typing import {', '.join(typing)}", ""] if typing else []),
        *(["import numpy as np"] if has_dtypes else []),
        f"from catalog import {', '.join(sorted(ours))}",
        *(["from numpy.typing import NDArray"] if has_arrays else []),
    ]


def _parts(type_: FieldType) -> Iterator[FieldType]:
    yield type_
    if isinstance(type_, List):
        yield from _parts(type_.item)


def _header(sample_type: SampleType, uri: str | None, cid: str | None) -> list[str]:
    name = class_name(sample_type.name)
    keywords = [] if name == sample_type.name else [f"name={literal(sample_type.name)}"]
    bases = Group("(", ("PackableSample", *keywords, f"version={literal(sample_type.version)}"), ")")
    first = (sample_type.description or "").strip().split("\n\n", 1)[0]
    origin = [f"{label}: {one_line(value)}" for label, value in (("Schema", uri), ("CID", cid)) if value is not None]
    text = _docstring(first, origin)
    if not text and not sample_type.fields:
        text = [f"{_INDENT}pass"]
    elif text and sample_type.fields:
        text.append("")
    return [laid_out(bases, prefix=f"class {name}", suffix=":"), *text]


def _field(name: str, field: Field) -> list[str]:
    annotation = _annotation(field.type)
    optional = field.optional and annotation != "Any"
    default: Source = "None" if field.optional else ""
    if name != field.name:
        default = Group("wire(", (literal(field.name), *(["default=None"] if field.optional else [])), ")")
    line = _assignment(name, annotation, default, optional=optional)
    note = "Of a type that is not known here." if any(isinstance(p, Unknown) for p in _parts(field.type)) else ""
    return [line, *_docstring(" ".join((field.description or "", note)), [])]


def _assignment(name: str, annotation: Source, default: Source, *, optional: bool) -> str:
    """``name: annotation = default``, broken where the formatter breaks it."""
    hint = _flat(annotation) + (" | None" if optional else "")
    equals = f" = {_flat(default)}" if default else ""
    flat = f"{_INDENT}{name}: {hint}{equals}"
    if len(flat) <= WIDTH or (isinstance(annotation, str) and not isinstance(default, Group)):
        return flat
    if isinstance(default, Group) and len(f"{_INDENT}{name}: {hint} = {default.open}") <= WIDTH:
        return laid_out(default, prefix=f"{name}: {hint} = ", indent=_INDENT)
    if not optional:
        return laid_out(annotation, prefix=f"{name}: ", suffix=equals, indent=_INDENT)
    deeper = 2 * _INDENT
    inner = f"{deeper}{hint}"
    if len(inner) > WIDTH:
        inner = f"{laid_out(annotation, indent=deeper)}\n{deeper}| None"
    return f"{_INDENT}{name}: (\n{inner}\n{_INDENT}){equals}"


def _docstring(text: str, more: list[str]) -> list[str]:
    """The lines of a docstring, nothing for no text: a wrapped paragraph, then lines as they are."""
    paragraph = _quoted(one_line(text.strip()))
    lines = textwrap.wrap(paragraph, WIDTH - len(_INDENT) - 3, break_long_words=False, break_on_hyphens=False)
    lines += ["", *map(_quoted, more)] if lines and more else [_quoted(line) for line in more]
    if not lines:
        return []
    if len(lines) == 1 and len(_INDENT) + len(lines[0]) + 6 <= WIDTH:
        return [f'{_INDENT}"""{lines[0]}"""']
    return [f'{_INDENT}"""{lines[0]}', *(_INDENT + line if line else "" for line in lines[1:]), f'{_INDENT}"""']


def _quoted(text: str) -> str:
    """Text that can't end a docstring and has no escapes: what reads it sees the characters of the line."""
    doubled = text.replace("\\", "\\\\")
    at_edge = doubled.startswith('"') or doubled.endswith('"')
    return doubled.replace('"', '\\"') if at_edge or '"""' in doubled else doubled


# --- annotations ---------------------------------------------------------------------------------------------


def _annotation(type_: FieldType) -> Source:
    match type_:
        case Scalar():
            return type_.kind
        case List():
            return Group("list[", (_annotation(type_.item),), "]")
        case Unknown():
            return "Any"
        case Array():
            bare = f"NDArray[{_NUMPY.get(type_.dtype or '', 'Any')}]" if type_.format in _READ_AS_ARRAYS else "bytes"
            return Group("Annotated[", (bare, _array(type_)), "]") if _is_annotated(type_) else bare


def _is_annotated(array: Array) -> bool:
    """Whether numpy's own annotation can't say all that is known."""
    known_dtype = array.dtype is None or (array.dtype in _NUMPY and array.format in _READ_AS_ARRAYS)
    return not (known_dtype and array.shape is None and array.dimensions is None and array.format == "ndarrayBytes")


def _array(array: Array) -> Source:
    parts: list[Source] = []
    if array.dtype is not None and (array.dtype not in _NUMPY or array.format not in _READ_AS_ARRAYS):
        parts.append(f"dtype={literal(array.dtype)}")
    if array.shape is not None:
        parts.append(Group("shape=(", tuple(str(dim) for dim in array.shape), ")"))
    if array.dimensions is not None:
        parts.append(Group("dimensions=(", tuple(map(literal, array.dimensions)), ")"))
    if array.format != "ndarrayBytes":
        parts.append(f"format={literal(array.format)}")
    return Group("Array(", tuple(parts), ")")
