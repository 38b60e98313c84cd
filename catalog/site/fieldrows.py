"""The fields of a sample type as rows of a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from catalog.schema import Array, List, type_text

if TYPE_CHECKING:
    from catalog.schema import Field, FieldType, SampleType

MOST: Final = 300
"""Maximum rows of a table. A schema may have 10,000 fields; the record beside the page has all."""

_FORMATS: Final = {
    "ndarrayBytes": "array",
    "sparseBytes": "sparse array",
    "structuredBytes": "structured array",
    "arrowTensor": "Arrow tensor",
    "safetensors": "safetensors",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldRow:
    """A field. ``kind`` is the type without dtype and shape; ``text`` is the whole type in short form."""

    name: str
    text: str
    kind: str
    dtype: str | None
    shape: str | None
    optional: bool
    description: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """The rows of a table, and the total number of fields."""

    rows: tuple[FieldRow, ...]
    total: int

    @property
    def arrays(self) -> bool:
        """Return whether any field is an array."""
        return any(row.dtype is not None for row in self.rows)

    @property
    def described(self) -> bool:
        """Return whether any field has a description."""
        return any(row.description for row in self.rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedRow:
    """A field of a lens's schemas, matched by name. ``fate`` is ``kept``, ``changed``, ``dropped`` or ``new``."""

    name: str
    source: FieldRow | None
    target: FieldRow | None
    fate: str


def field_rows(sample_type: SampleType, most: int = MOST) -> Fields:
    """Return the first fields of a sample type as rows."""
    return Fields(rows=tuple(map(field_row, sample_type.fields[:most])), total=len(sample_type.fields))


def field_row(field: Field) -> FieldRow:
    """Return a field as a row."""
    array = next((type_ for type_ in field.types() if isinstance(type_, Array)), None)
    return FieldRow(
        name=field.name,
        text=type_text(field.type),
        kind=_kind(field.type),
        dtype=None if array is None else array.dtype or "any",
        shape=None if array is None else _shape(array),
        optional=field.optional,
        description=field.description,
    )


def paired(source: SampleType, target: SampleType, most: int = MOST) -> tuple[tuple[PairedRow, ...], int]:
    """Match the fields of two sample types by name: the source's in their order, then the target's new ones."""
    there = {field.name: field for field in target.fields}
    here = {field.name: field for field in source.fields}
    names = [*here, *(name for name in there if name not in here)]
    return tuple(_pair(name, here.get(name), there.get(name)) for name in names[:most]), len(names)


def _pair(name: str, source: Field | None, target: Field | None) -> PairedRow:
    if source is None or target is None:
        fate = "dropped" if target is None else "new"
    else:
        fate = "kept" if (source.type, source.optional) == (target.type, target.optional) else "changed"
    return PairedRow(
        name=name,
        source=None if source is None else field_row(source),
        target=None if target is None else field_row(target),
        fate=fate,
    )


def _kind(type_: FieldType) -> str:
    if isinstance(type_, List):
        return f"list[{_kind(type_.item)}]"
    return _FORMATS[type_.format] if isinstance(type_, Array) else type_text(type_)


def _shape(array: Array) -> str | None:
    """Return a shape as text: ``y 8 × x any``; only the names if no length is known."""
    names = array.dimensions or ()
    if array.shape is None:
        return " × ".join(names) if names else None
    lengths = ["any" if length is None else str(length) for length in array.shape]
    if len(names) == len(lengths):
        lengths = [f"{name} {length}" for name, length in zip(names, lengths, strict=True)]
    return " × ".join(lengths) if lengths else None
