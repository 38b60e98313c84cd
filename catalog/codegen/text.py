"""Untrusted text as literals and comments: control and bidi characters and line breaks never reach the source."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from catalog.schema import DTYPES, ML_DTYPES, Array, Scalar, Unknown

if TYPE_CHECKING:
    from catalog.schema import ArrayFormat, Field, SampleType

MAX_TEXT: Final = 400
"""Maximum length of a description in code. The page of the schema has the full text."""

UNKNOWN_NOTE: Final = "Unrecognised type."
_FORMATS: Final[Mapping[ArrayFormat, str]] = {
    "ndarrayBytes": "",
    "structuredBytes": "structured, in .npy format",
    "sparseBytes": "sparse, as scipy.sparse.save_npz writes it",
    "arrowTensor": "as pyarrow.ipc.write_tensor writes it",
    "safetensors": "as safetensors.numpy.save writes it",
}


def literal(text: str) -> str:
    """An ASCII Python string literal, in double quotes unless the text contains some."""
    plain = ascii(text)
    return plain if plain[0] == '"' or '"' in text else f'"{plain[1:-1]}"'


def json_literal(text: str) -> str:
    """A JSON string, also valid JavaScript, with non-printable characters escaped."""
    return printable_json(json.dumps(text, ensure_ascii=False))


def printable_json(text: str) -> str:
    """JSON text with non-printable characters escaped, except its own line breaks."""
    return text if text.isprintable() else "".join(map(_json_character, text))


def _json_character(char: str) -> str:
    return char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1]


def one_line(text: str) -> str:
    """Text on one line, shortened, with non-printable characters escaped, for a comment."""
    words = text[: 4 * MAX_TEXT].split()
    cut = " ".join(words)
    if len(cut) > MAX_TEXT:
        cut = textwrap.shorten(cut, MAX_TEXT, placeholder=" …") if len(words[0]) < MAX_TEXT else cut[:MAX_TEXT]
    if cut.isprintable():
        return cut
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in cut)


def wrapped(text: str, width: int) -> list[str]:
    """A one-line text wrapped at its spaces."""
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)


def first_paragraph(text: str | None) -> str:
    """The first paragraph of a description on one line; empty for none."""
    return one_line((text or "").strip().split("\n\n", 1)[0].strip())


def origin(uri: str | None, cid: str | None) -> list[str]:
    """Comment lines with the URI and the CID of the schema record, if known."""
    known = (("Schema", one_line(uri or "")), ("CID", one_line(cid or "")))
    return [f"{label}: {value}" for label, value in known if value]


def summary(sample_type: SampleType) -> str:
    """Name, version and the first paragraph of the description, on one line."""
    name = f"{one_line(sample_type.name)} {one_line(sample_type.version)}"
    return f"{name}. {first_paragraph(sample_type.description)}".strip()


def is_numeric(array: Array) -> bool:
    """Return True for numbers in .npy or the compact format, which the TypeScript and Rust readers decode."""
    return array.format == "ndarrayBytes" and (array.dtype is None or array.dtype in DTYPES)


def notes(field: Field) -> str:
    """A field's description, and the dtype, shape, dimensions and format that its generated type lacks."""
    texts = [one_line((field.description or "").strip())]
    for type_ in field.types():
        if isinstance(type_, Array):
            texts.append(_array_note(type_))
        elif isinstance(type_, Scalar):
            texts.append(_scalar_note(type_))
        elif isinstance(type_, Unknown):
            texts.append(UNKNOWN_NOTE)
    return " ".join(filter(None, texts))


def _scalar_note(scalar: Scalar) -> str:
    if scalar.kind == "datetime":
        return "Date, time and zone in ISO 8601."
    return f"Of the media type {scalar.media}." if scalar.media is not None else ""


def _array_note(array: Array) -> str:
    package = " (of ml_dtypes)" if array.dtype in ML_DTYPES else ""
    known = [f"Array of {array.dtype or 'any dtype'}{package}"]
    names = array.dimensions or ()
    sizes = ["any" if size is None else str(size) for size in array.shape or ()]
    if sizes and len(names) == len(sizes):
        known.append(" × ".join(f"{one_line(name)} {size}" for name, size in zip(names, sizes, strict=True)))
    elif sizes:
        known.append(f"shape {' × '.join(sizes)}")
    elif names:
        known.append(f"dimensions {', '.join(map(one_line, names))}")
    return re.sub(r"\s+", " ", ", ".join(filter(None, (*known, _FORMATS[array.format])))) + "."
