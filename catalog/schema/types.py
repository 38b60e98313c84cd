"""Sample types as values: a name, a version, and fields of known types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

__all__ = [
    "DTYPES",
    "MAX_DIMENSIONS",
    "MAX_FIELDS",
    "MAX_NESTING",
    "SCALAR_KINDS",
    "Array",
    "ArrayFormat",
    "Field",
    "FieldType",
    "List",
    "SampleType",
    "Scalar",
    "ScalarKind",
    "Unknown",
]

ScalarKind = Literal["str", "int", "float", "bool", "bytes"]
ArrayFormat = Literal["ndarrayBytes", "sparseBytes", "structuredBytes", "arrowTensor", "safetensors"]

MAX_FIELDS: Final = 10_000
MAX_NESTING: Final = 16
MAX_DIMENSIONS: Final = 64
"""numpy's own limit on the number of dimensions."""

DTYPES: Final = (
    "bool",
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    "float16",
    "float32",
    "float64",
    "complex64",
    "complex128",
)
"""The dtypes that can be written; when reading any short dtype-like text is kept."""

SCALAR_KINDS: Final[tuple[ScalarKind, ...]] = ("str", "int", "float", "bool", "bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalar:
    """One plain value: text, whole number, float, truth value or bytes."""

    kind: ScalarKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Array:
    """An n-dimensional array; ``None`` means "anything".

    ``shape`` has one entry a dimension, ``None`` for a length that varies. ``dimensions`` names them in the same
    order. ``format`` says how its bytes are written in a sample.
    """

    dtype: str | None = None
    shape: tuple[int | None, ...] | None = None
    dimensions: tuple[str, ...] | None = None
    format: ArrayFormat = "ndarrayBytes"


@dataclass(frozen=True, slots=True, kw_only=True)
class List:
    """A list of values of one type."""

    item: FieldType


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """A type we don't know, kept as it came: ``schema`` is its JSON Schema as JSON text."""

    schema: str


FieldType: TypeAlias = Scalar | Array | List | Unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A named part of a sample. ``name`` is the wire name: any text."""

    name: str
    type: FieldType
    optional: bool = False
    description: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleType:
    """A name, a version (semver text) and the fields in their order."""

    name: str
    version: str
    fields: tuple[Field, ...]
    description: str | None = None

    def field(self, name: str) -> Field | None:
        """The field of that wire name."""
        return next((field for field in self.fields if field.name == name), None)
