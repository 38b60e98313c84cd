"""Sample types: the short form, the three encodings, the order of fields."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.atproto import datamodel
from catalog.errors import InvalidSchema
from catalog.schema import (
    MAX_FIELDS,
    Array,
    Field,
    FieldType,
    List,
    SampleType,
    Scalar,
    Unknown,
    parse_type,
    read_body,
    type_text,
    write_body,
)
from tests.strategies import sample_types

NDARRAY: dict[str, datamodel.Json] = {"$ref": "https://alt.science/schemas/atdata-ndarray-bytes/1.0.0#/$defs/ndarray"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("str", (Scalar(kind="str"), False)),
        ("int?", (Scalar(kind="int"), True)),
        (" bytes ? ", (Scalar(kind="bytes"), True)),
        ("array", (Array(), False)),
        ("array[uint8]", (Array(dtype="uint8"), False)),
        ("array[uint8, 8, 8]", (Array(dtype="uint8", shape=(8, 8)), False)),
        ("array[*, 3, *]?", (Array(shape=(3, None)), True)),
        ("array[float32,*]", (Array(dtype="float32", shape=(None,)), False)),
        ("list[float]", (List(item=Scalar(kind="float")), False)),
        ("list[array[bool, *, *]]", (List(item=Array(dtype="bool", shape=(None, None))), False)),
        ("map", (Scalar(kind="map"), False)),
        ("datetime?", (Scalar(kind="datetime"), True)),
        ("bytes[image/jpeg]", (Scalar(kind="bytes", media="image/jpeg"), False)),
        ("list[bytes[ image/* ]]?", (List(item=Scalar(kind="bytes", media="image/*")), True)),
        ("array[datetime64[ns], *, 2]", (Array(dtype="datetime64[ns]", shape=(None, 2)), False)),
        ("array[bfloat16, 8]", (Array(dtype="bfloat16", shape=(8,)), False)),
        ("array[str, *]", (Array(dtype="str", shape=(None,)), False)),
        ("array[U5]", (Array(dtype="U5"), False)),
        ("list[list[str]]?", (List(item=List(item=Scalar(kind="str"))), True)),
    ],
)
def test_the_short_form_reads(text: str, expected: tuple[FieldType, bool]) -> None:
    """Each short form means the type beside it, and is written back as something that reads the same."""
    assert parse_type(text) == expected
    type_, optional = expected
    assert parse_type(type_text(type_, optional=optional)) == expected


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("string", "unknown field type 'string'", "'str'"),
        ("ndarray[uint8]", "unknown field type", "'array'"),
        ("flaot", "unknown field type", "'float'"),
        ("array[uint9, 8]", "unknown dtype 'uint9'", "did you mean"),
        ("array[object]", "unknown dtype 'object'", "known: bool"),
        ("array[longdouble]", "dtype 'longdouble' can't be stored", "use float64"),
        ("array[complex256, 3]", "dtype 'complex256' can't be stored", "use complex128"),
        ("array[bfloat8]", "unknown dtype 'bfloat8'", "did you mean"),
        ("array[datetime64[year]]", "unknown dtype", "datetime64"),
        ("bytes[jpeg]", "'jpeg' is not a media type", "image/jpeg"),
        ("bytes[]", "'' is not a media type", "image/jpeg"),
        ("json", "unknown field type 'json'", "'map'"),
        ("timestamp", "unknown field type", "'datetime'"),
        ("array[uint8, -1]", "'-1' is not a dimension", "*"),
        ("array[uint8, ٣]", "is not a dimension", "*"),
        ("list", "unknown field type 'list'", ""),
        ("list[str?]", "items of a list", "after the list"),
        ("str[3]", "unknown field type", ""),
        ("", "unknown field type", "known types"),
        ("list[" * 100 + "str" + "]" * 100, "unknown field type", ""),
    ],
)
def test_a_wrong_short_form_says_what_would_be_right(text: str, message: str, hint: str) -> None:
    """A mistake names the part that is wrong and a likely meaning."""
    with pytest.raises(InvalidSchema) as caught:
        parse_type(text)
    assert message in str(caught.value)
    assert hint in (caught.value.hint or "")


@given(st.text(max_size=60))
def test_any_text_is_a_type_or_our_own_error(text: str) -> None:
    """No text makes the parser raise anything else."""
    with contextlib.suppress(InvalidSchema):
        parse_type(text)


@given(sample_types())
def test_a_written_schema_reads_back_the_same_after_the_network_sorted_its_keys(sample_type: SampleType) -> None:
    """Fields, their order, optionality and descriptions survive DAG-CBOR's sorting of map keys."""
    arrived = datamodel.decode(datamodel.encode(write_body(sample_type)))
    assert read_body(arrived) == sample_type.fields


@given(sample_types())
def test_each_of_the_three_encodings_reads_alone(sample_type: SampleType) -> None:
    """Flattened, nested and envelope give the same fields."""
    content = write_body(sample_type)["content"]
    assert isinstance(content, dict)
    assert read_body({"$type": "x", **content}) == sample_type.fields
    assert read_body({"$type": "x", "schemaBody": content}) == sample_type.fields
    assert read_body({"$type": "x", "draft": "draft-07", "content": content}) == sample_type.fields


def test_without_a_property_order_required_gives_it() -> None:
    """A body of another client: required fields first in their order, then the others, which are optional."""
    body: datamodel.Json = {
        "properties": {"a": {"type": "integer"}, "z": {"type": "string"}, "img": NDARRAY},
        "required": ["z", "img"],
    }
    assert read_body(body) == (
        Field(name="z", type=Scalar(kind="str")),
        Field(name="img", type=Array()),
        Field(name="a", type=Scalar(kind="int"), optional=True),
    )


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"$ref": "#/$defs/NDArray", "dtype": "<f4", "shape": [None, 3]}, Array(dtype="<f4", shape=(None, 3))),
        ({"$ref": "x/sparse/1#/ndarray"}, Array()),
        ({"$ref": "x/arrow-tensor"}, Array(format="arrowTensor")),
        ({"$ref": "x/safetensors"}, Array(format="safetensors")),
        ({"$ref": "x", "dtype": "a" * 65}, None),
        ({**NDARRAY, "dtype": "x'); import os", "shape": [-1], "dimensionNames": [1]}, Array()),
        ({**NDARRAY, "shape": [True]}, Array()),
        ({"type": "string", "format": "byte"}, Scalar(kind="bytes")),
        ({"type": "object"}, Scalar(kind="map")),
        ({"type": "object", "additionalProperties": True, "description": "x"}, Scalar(kind="map")),
        ({"type": "object", "properties": {"a": {"type": "string"}}}, None),
        ({"type": "object", "additionalProperties": {"type": "string"}}, None),
        ({"type": "object", "additionalProperties": False}, None),
        ({"type": "string", "format": "date-time"}, Scalar(kind="datetime")),
        ({"type": "string", "format": "date"}, Scalar(kind="str")),
        ({"type": "string", "contentMediaType": "application/json"}, Scalar(kind="str")),
        (
            {"type": "string", "contentEncoding": "base64", "contentMediaType": "Image/JPEG; q=1"},
            Scalar(kind="bytes", media="image/jpeg"),
        ),
        ({"type": "string", "format": "byte", "contentMediaType": "x\u202e/y"}, Scalar(kind="bytes")),
        ({"$ref": "x/dataframe"}, None),
        (True, None),
    ],
)
def test_other_clients_types_read_as_what_they_are(schema: object, expected: FieldType | None) -> None:
    """The kind of an array is told by the first known substring; what isn't known stays unknown (None here)."""
    (field,) = read_body({"properties": {"f": schema}, "required": ["f"]})  # type: ignore[dict-item]
    assert isinstance(field.type, Unknown) if expected is None else field.type == expected


@pytest.mark.parametrize(
    ("ref", "expected"),
    [
        ("#/definitions/plain", Scalar(kind="int")),
        ("#/$defs/a~1b%20c", List(item=Array(dtype="uint8"))),
        ("#/definitions/twice", Scalar(kind="int")),
        ("#/definitions/missing", None),
        ("#/definitions", None),
        ("https://example.org/#/definitions/plain", None),
        ("#/definitions/self", None),
        ("#/definitions/ping", None),
        ("#/definitions/endless", None),
        ("#/definitions/object", Scalar(kind="map")),
    ],
)
def test_a_reference_into_the_same_schema_is_followed_but_not_for_ever(ref: str, expected: FieldType | None) -> None:
    """One that leads back to itself, elsewhere, or to nothing known is an unknown type."""
    definitions: dict[str, datamodel.Json] = {
        "plain": {"type": "integer"},
        "twice": {"$ref": "#/definitions/plain"},
        "self": {"$ref": "#/definitions/self"},
        "ping": {"$ref": "#/definitions/pong"},
        "pong": {"$ref": "#/definitions/ping"},
        "endless": {"type": "array", "items": {"$ref": "#/definitions/endless"}},
        "object": {"type": "object"},
    }
    body: datamodel.Json = {
        "properties": {"f": {"$ref": ref}},
        "definitions": definitions,
        "$defs": {"a/b c": {"type": "array", "items": {**NDARRAY, "dtype": "uint8"}}},
    }
    (field,) = read_body(body)
    innermost = field.type
    while expected is None and isinstance(innermost, List):
        innermost = innermost.item
    assert isinstance(innermost, Unknown) if expected is None else field.type == expected


json_values: st.SearchStrategy[datamodel.Json] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["string", "array", "#/$defs/a", "ndarray", "a"]),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(["type", "items", "$ref", "properties", "required", "propertyOrder", "$defs", "a", "shape",
                         "dtype", "dimensionNames", "anyOf", "content", "schemaBody", "description", "__proto__"]),
        inner, max_size=6,
    ),
    max_leaves=30,
)  # fmt: skip


@given(json_values)
def test_any_json_is_fields_or_refused(body: datamodel.Json) -> None:
    """Wrong types everywhere, absent names in ``required``, doubles in ``propertyOrder``: never another error."""
    with contextlib.suppress(InvalidSchema):
        fields = read_body(body)
        assert len({field.name for field in fields}) == len(fields)
        assert all(len(type_text(field.type)) < 10_000 for field in fields)


@pytest.mark.parametrize("schema", [{"type": ["integer", "null"]}, {"anyOf": [{"type": "integer"}, {"type": "null"}]}])
def test_or_null_means_optional(schema: datamodel.Json) -> None:
    """Both spellings of "or null" make a required property optional."""
    (field,) = read_body({"properties": {"f": schema}, "required": ["f"]})
    assert field == Field(name="f", type=Scalar(kind="int"), optional=True)


@pytest.mark.parametrize("body", [None, [], "x", {}, {"properties": []}, {"content": {}}])
def test_a_body_without_properties_is_refused(body: datamodel.Json) -> None:
    """There is nothing to read, and the error says so."""
    with pytest.raises(InvalidSchema):
        read_body(body)


def test_the_number_of_fields_is_bounded() -> None:
    """As many fields as the limit are read; one more is refused."""
    properties: dict[str, datamodel.Json] = {f"f{i}": {"type": "string"} for i in range(MAX_FIELDS)}
    assert len(read_body({"properties": properties})) == MAX_FIELDS
    with pytest.raises(InvalidSchema, match="maximum"):
        read_body({"properties": {**properties, "one more": {}}})
