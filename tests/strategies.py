"""Hypothesis strategies for the project's own values."""

from __future__ import annotations

import math
from datetime import timedelta, timezone
from typing import Any, get_args

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from catalog.schema import DTYPES, Array, Field, FieldType, List, SampleType, Scalar, ScalarKind, Unknown

# Any text a record can hold: everything but lone surrogates.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
scalars = st.sampled_from(get_args(ScalarKind)).map(lambda kind: Scalar(kind=kind)) | st.sampled_from(
    ["image/jpeg", "image/*", "audio/flac", "application/vnd.x+json"]
).map(lambda media: Scalar(kind="bytes", media=media))
WITH_UNIT = ("datetime64[ns]", "datetime64[25s]", "timedelta64[D]", "timedelta64[ms]")
TEXTS = ("U5", "S3", "V4")
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
zones = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@st.composite
def arrays(draw: st.DrawFn) -> Array:
    """An array type: with or without dtype, shape and dimension names."""
    shape = draw(st.none() | st.lists(st.none() | st.integers(0, 10**6), min_size=1, max_size=5).map(tuple))
    named = draw(st.booleans()) and shape is not None
    dimensions = tuple(draw(texts) for _ in shape) if named and shape is not None else None
    return Array(
        dtype=draw(st.none() | st.sampled_from((*DTYPES, *WITH_UNIT, *TEXTS))), shape=shape, dimensions=dimensions
    )


field_types: st.SearchStrategy[FieldType] = st.recursive(
    scalars | arrays(), lambda inner: inner.map(lambda item: List(item=item)), max_leaves=3
)


@st.composite
def sample_types(draw: st.DrawFn) -> SampleType:
    """A sample type with any wire names."""
    names = draw(st.lists(texts.filter(lambda name: name != "__proto__"), max_size=6, unique=True))  # no PDS takes it
    fields = tuple(
        Field(
            name=name,
            type=draw(field_types),
            optional=draw(st.booleans()),
            description=draw(st.none() | texts.filter(bool)),
        )
        for name in names
    )
    return SampleType(
        name=draw(texts.filter(bool)), version="1.0.0", fields=fields, description=draw(st.none() | texts)
    )


# --- samples -------------------------------------------------------------------------------------------------


def values(type_: FieldType) -> st.SearchStrategy[Any]:
    """Values of a type, for a field that is there."""
    match type_:
        case Scalar():
            return {
                "str": st.text(st.characters(exclude_categories=["Cs"])), "int": st.integers(-(2**63), 2**64 - 1),
                "float": st.floats(allow_nan=False), "bool": st.booleans(), "bytes": st.binary(),
                "map": st.dictionaries(texts, json_values, max_size=3), "datetime": st.datetimes(timezones=zones),
            }[type_.kind]  # fmt: skip
        case List():
            return st.lists(values(type_.item), max_size=3)
        case Unknown():
            return st.integers(0, 9) | texts
        case Array():
            lengths = (st.integers(0, 3) if dim is None else st.just(dim) for dim in type_.shape or ())
            dtypes = st.sampled_from(["uint8", "float32", "int64"]) if type_.dtype is None else st.just(type_.dtype)
            return st.tuples(dtypes, st.tuples(*lengths)).flatmap(lambda it: arrays_of(np.dtype(it[0]), it[1]))


def arrays_of(dtype: np.dtype[Any], shape: tuple[int, ...]) -> st.SearchStrategy[Any]:
    """Arrays of a dtype of numpy or ml_dtypes: any values, raw bytes as they come."""
    if dtype.kind != "V":
        return hnp.arrays(dtype, shape)
    size = math.prod(shape) * dtype.itemsize
    return st.binary(min_size=size, max_size=size).map(lambda raw: np.frombuffer(raw, dtype).reshape(shape))


@st.composite
def typed_samples(draw: st.DrawFn) -> tuple[SampleType, dict[str, Any]]:
    """A sample type, and the values of a sample of it by wire name; None for an optional field that is absent."""
    wanted = draw(sample_types())
    assume(all(_is_small(field.type) for field in wanted.fields))
    drawn = {
        field.name: draw(st.none() | values(field.type) if field.optional else values(field.type))
        for field in wanted.fields
    }
    return wanted, drawn


def _is_small(type_: FieldType) -> bool:
    """Return whether an array of the type is small enough; some generated shapes would need exabytes."""
    if isinstance(type_, List):
        return _is_small(type_.item)
    return not isinstance(type_, Array) or math.prod(dim or 3 for dim in type_.shape or ()) <= 1_000
