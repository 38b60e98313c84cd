"""Check if atdata can make a class for a sample type, and read its arrays.

Its classes are dataclasses with the names of the record, in the order in which the network has them: maps of a record
are sorted by the length of the names, then by their bytes (DAG-CBOR).
"""

from __future__ import annotations

import keyword
from typing import TYPE_CHECKING

from catalog.sanitize import one_line
from catalog.schema.dtypes import ML_DTYPES
from catalog.schema.types import Array

if TYPE_CHECKING:
    from catalog.schema.types import SampleType

__all__ = ["unread_by_atdata"]


def unread_by_atdata(sample_type: SampleType) -> tuple[str, str] | None:
    """Return why atdata can't read samples of a type, and what to change; ``None`` if it can."""
    if not sample_type.fields:
        return "it has no fields", "add a field"
    for name in sample_type.name.split("."):
        if not _is_name(name):
            return f"its name {_shown(sample_type.name)} is not a Python identifier", "name it as a class"
    for field in sample_type.fields:
        if not _is_name(field.name):
            return (
                f"its field {_shown(field.name)} is not a Python identifier",
                "use letters, digits and _",
            )
    for field in sample_type.fields:
        dtype = next((one.dtype for one in field.types() if isinstance(one, Array) and one.dtype in ML_DTYPES), None)
        if dtype is not None:
            return (
                f"its field {_shown(field.name)} has arrays of {dtype}, a dtype of ml_dtypes",
                "use float32, or uint16",
            )
    ordered = sorted(sample_type.fields, key=lambda field: (len(field.name.encode()), field.name.encode()))
    optional = next((at for at, field in enumerate(ordered) if field.optional), len(ordered))
    required = next((field for field in ordered[optional:] if not field.optional), None)
    if required is None:
        return None
    what = f"its optional field {_shown(ordered[optional].name)} precedes the required {_shown(required.name)}"
    return (
        f"{what} in the order of the network, shorter names first",
        "a longer name for it comes later",
    )


def _is_name(name: str) -> bool:
    return name.isidentifier() and not keyword.iskeyword(name)


def _shown(name: str) -> str:
    return repr(one_line(name[:60]))
