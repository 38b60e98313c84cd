"""Hypothesis strategies for the project's own values."""

from __future__ import annotations

from typing import get_args

from hypothesis import strategies as st

from catalog.sampletype import DTYPES, Array, Field, FieldType, List, SampleType, Scalar, ScalarKind

# Any text a record can hold: everything but lone surrogates.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
scalars = st.sampled_from(get_args(ScalarKind)).map(lambda kind: Scalar(kind=kind))


@st.composite
def arrays(draw: st.DrawFn) -> Array:
    """An array type: with or without dtype, shape and dimension names."""
    shape = draw(st.none() | st.lists(st.none() | st.integers(0, 10**6), min_size=1, max_size=5).map(tuple))
    named = draw(st.booleans()) and shape is not None
    dimensions = tuple(draw(texts) for _ in shape) if named and shape is not None else None
    return Array(dtype=draw(st.none() | st.sampled_from(DTYPES)), shape=shape, dimensions=dimensions)


field_types: st.SearchStrategy[FieldType] = st.recursive(
    scalars | arrays(), lambda inner: inner.map(lambda item: List(item=item)), max_leaves=3
)


@st.composite
def sample_types(draw: st.DrawFn) -> SampleType:
    """A sample type with any wire names."""
    names = draw(st.lists(texts, max_size=6, unique=True))
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
