"""Generated JSON Schema: ordinary tools read it, and so do we."""

from __future__ import annotations

import json

import jsonschema
import pytest
from hypothesis import given

from catalog.codegen import generate
from catalog.schema import Array, Field, List, SampleType, Scalar, Unknown, read_body
from tests.codegen.test_codegen import HOSTILE, hostile_type
from tests.codegen_cases import (
    MADE,
)
from tests.strategies import sample_types


@given(sample_types())
def test_a_json_schema_reads_back_as_the_type_it_was_made_from(wanted: SampleType) -> None:
    found = read_body(json.loads(generate(wanted, "jsonschema")))
    described = [(field.name, field.type, field.optional, field.description or None) for field in found]
    assert described == [(field.name, field.type, field.optional, field.description or None) for field in wanted.fields]


@pytest.mark.parametrize("wanted", [*MADE[:20], *map(hostile_type, HOSTILE)], ids=lambda made: ascii(made.name)[:30])
def test_a_json_schema_is_one(wanted: SampleType) -> None:
    jsonschema.Draft7Validator.check_schema(json.loads(generate(wanted, "jsonschema", uri="x")))


def test_ordinary_tools_check_samples_by_a_json_schema() -> None:
    fields = (
        Field(name="image", type=List(item=Array(dtype="uint8"))),
        Field(name="sparse", type=Array(format="sparseBytes")),
        Field(name="odd", type=Unknown(schema='{"type": 5, "$ref": "https://nowhere.example/"}')),
        Field(name="writer", type=Scalar(kind="str"), optional=True),
    )  # fmt: skip
    text = generate(SampleType(name="A", version="1.0.0", fields=fields), "jsonschema")
    assert "nowhere.example" in text
    checker = jsonschema.Draft7Validator(json.loads(text))
    assert checker.is_valid({"image": ["AAA="], "sparse": "AAA=", "odd": [None]})
    for wrong in ({}, {"image": [1], "sparse": "", "odd": 1}, {"image": [], "sparse": "", "odd": 1, "writer": 5}):
        assert not checker.is_valid(wrong)
