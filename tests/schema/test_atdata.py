"""Sample types for which atdata can't make a class; that atdata itself refuses them is tested with atdata."""

from __future__ import annotations

import pytest

from catalog.schema import Array, Field, List, SampleType, Scalar
from catalog.schema.atdata import unread_by_atdata


def made(name: str, *fields: str) -> SampleType:
    """Return a type of fields of text, optional with a question mark."""
    listed = tuple(Field(name=one.rstrip("?"), type=Scalar(kind="str"), optional=one.endswith("?")) for one in fields)
    return SampleType(name=name, version="1.0.0", fields=listed)


@pytest.mark.parametrize(
    ("sample_type", "words"),
    [
        (made("A"), "no fields"),
        (made("a b", "x"), "name 'a b' is not"),
        (made("class", "x"), "name 'class' is not"),
        (made("A", "x", "file name"), "field 'file name' is not"),
        (
            SampleType(name="A", version="1.0.0", fields=(Field(name="x", type=List(item=Array(dtype="bfloat16"))),)),
            "'x' has arrays of bfloat16",
        ),
        (made("A", "x", "lambda"), "field 'lambda' is not"),
        (made("A", "image", "ink?"), "'ink' precedes the required 'image'"),
        (made("A", "tags", "mask?"), "'mask' precedes the required 'tags'"),
        (made("A", "\u00e9", "ab?"), "'ab' precedes the required '\u00e9'"),
    ],
)
def test_what_atdata_makes_no_class_for_is_named(sample_type: SampleType, words: str) -> None:
    found = unread_by_atdata(sample_type)
    assert found is not None
    assert words in found[0]


@pytest.mark.parametrize(
    "sample_type",
    [made("A", "x"), made("a.B", "x?", "y?"), made("A", "overlay?", "image"), made("A", "masks?", "image")],
)
def test_what_atdata_reads_is_not(sample_type: SampleType) -> None:
    assert unread_by_atdata(sample_type) is None
