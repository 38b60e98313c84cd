"""Somebody else's text as literals and comments: no control or bidi character, no line break reaches the source."""

from __future__ import annotations

import json
import re
import textwrap
from typing import TYPE_CHECKING, Final

from catalog.schema import Array, List, Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from catalog.schema import ArrayFormat, Field, FieldType

__all__ = [
    "MAX_TEXT", "first_paragraph", "json_literal", "literal", "notes", "one_line", "origin", "parts", "printable_json",
    "wrapped",
]  # fmt: skip

MAX_TEXT: Final = 400
"""Characters of a description that are worth repeating in code; the whole of it is on the page of the schema."""

_UNKNOWN_NOTE: Final = "Of a type that is not known here."
_FORMATS: Final[Mapping[ArrayFormat, str]] = {
    "ndarrayBytes": "",
    "structuredBytes": "structured, in .npy form",
    "sparseBytes": "sparse, as scipy.sparse.save_npz writes it",
    "arrowTensor": "as pyarrow.ipc.write_tensor writes it",
    "safetensors": "as safetensors.numpy.save writes it",
}


def literal(text: str) -> str:
    """A Python string literal in ASCII, in double quotes unless there are some in the text."""
    plain = ascii(text)
    return plain if plain[0] == '"' or '"' in text else f'"{plain[1:-1]}"'


def json_literal(text: str) -> str:
    """A JSON string, which is one of JavaScript's too; what doesn't print is escaped."""
    return printable_json(json.dumps(text, ensure_ascii=False))


def printable_json(text: str) -> str:
    """JSON text with everything that doesn't print escaped, but for its own line breaks."""
    return text if text.isprintable() else "".join(map(_json_character, text))


def _json_character(char: str) -> str:
    return char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1]


def one_line(text: str) -> str:
    """Text on one line, cut, with everything that doesn't print escaped: fit for a comment."""
    words = text[: 4 * MAX_TEXT].split()
    cut = " ".join(words)
    if len(cut) > MAX_TEXT:
        cut = textwrap.shorten(cut, MAX_TEXT, placeholder=" …") if len(words[0]) < MAX_TEXT else cut[:MAX_TEXT]
    if cut.isprintable():
        return cut
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in cut)


def wrapped(text: str, width: int) -> list[str]:
    """Text that is one line already, broken at its spaces."""
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)


def first_paragraph(text: str | None) -> str:
    """What of a description stands in code, on one line; empty for none."""
    return one_line((text or "").strip().split("\n\n", 1)[0].strip())


def origin(uri: str | None, cid: str | None) -> list[str]:
    """Where a schema comes from: a line each for what is known."""
    known = (("Schema", one_line(uri or "")), ("CID", one_line(cid or "")))
    return [f"{label}: {value}" for label, value in known if value]


def parts(type_: FieldType) -> Iterator[FieldType]:
    """The type and what it holds."""
    yield type_
    if isinstance(type_, List):
        yield from parts(type_.item)


def notes(field: Field) -> str:
    """A field's description and what its type in another language doesn't say: dtype, shape, dimensions, format."""
    said = [one_line((field.description or "").strip())]
    for type_ in parts(field.type):
        if isinstance(type_, Array):
            said.append(_array_note(type_))
        elif isinstance(type_, Unknown):
            said.append(_UNKNOWN_NOTE)
    return " ".join(filter(None, said))


def _array_note(array: Array) -> str:
    known = [f"Array of {array.dtype or 'any dtype'}"]
    names = array.dimensions or ()
    sizes = ["any" if size is None else str(size) for size in array.shape or ()]
    if sizes and len(names) == len(sizes):
        known.append(" × ".join(f"{one_line(name)} {size}" for name, size in zip(names, sizes, strict=True)))
    elif sizes:
        known.append(f"shape {' × '.join(sizes)}")
    elif names:
        known.append(f"dimensions {', '.join(map(one_line, names))}")
    return re.sub(r"\s+", " ", ", ".join(filter(None, (*known, _FORMATS[array.format])))) + "."
