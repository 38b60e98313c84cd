"""Typed samples: annotations, sample types, bytes."""

from __future__ import annotations

import contextlib
import math
from typing import Annotated, Any, Optional

import msgpack
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray  # noqa: TC002 - the classes below need it at run time

from catalog import Array, DictSample, PackableSample, packable, wire
from catalog.errors import InvalidSample, InvalidSchema
from catalog.samples import annotations
from catalog.samples.arrays import encode_array
from catalog.samples.packable import class_from, pack, sample_type, unpack
from catalog.sampletype import Field, FieldType, List, SampleType, Scalar, Unknown, type_text
from tests.strategies import sample_types


class Everything(PackableSample, name="every thing", version="2.1.0"):
    """One of each."""

    note: str | None = None  # optional before required
    text: str
    whole: int
    real: float
    truth: bool
    raw: bytes
    any_array: NDArray[Any]
    bare_array: np.ndarray[Any, Any]
    typed: NDArray[np.float32]
    maybe: Optional[NDArray[np.uint8]] = None  # noqa: UP045 - as people write it
    shaped: Annotated[NDArray[np.uint8], Array(shape=(2, None), dimensions=("y", "x"))]
    names: list[str]
    arrays: list[NDArray[np.int16]]
    whatever: Any = None
    kind: str = wire("class")


def everything(**changes: Any) -> Everything:  # noqa: ANN401
    values: dict[str, Any] = {
        "text": "ü", "whole": -1, "real": math.pi, "truth": False, "raw": b"\0", "any_array": np.array(3),
        "bare_array": np.zeros(0), "typed": np.ones(2, np.float32), "shaped": np.zeros((2, 3), np.uint8),
        "names": ["a", ""], "arrays": [np.arange(2, dtype=np.int16)], "kind": "k",
    }  # fmt: skip
    return Everything(**{**values, **changes})


def test_every_form_of_annotation_has_its_field_type() -> None:
    found = sample_type(Everything)
    assert (found.name, found.version, found.description) == ("every thing", "2.1.0", "One of each.")
    assert {field.name: type_text(field.type, optional=field.optional) for field in found.fields} == {
        "note": "str?", "text": "str", "whole": "int", "real": "float", "truth": "bool", "raw": "bytes",
        "any_array": "array", "bare_array": "array", "typed": "array[float32]", "maybe": "array[uint8]?",
        "shaped": "array[uint8, 2, *]", "names": "list[str]", "arrays": "list[array[int16]]", "whatever": "unknown",
        "class": "str",
    }  # fmt: skip
    shaped = found.field("shaped")
    assert shaped is not None
    assert isinstance(shaped.type, Array)
    assert shaped.type.dimensions == ("y", "x")


def test_a_sample_comes_back_from_its_bytes() -> None:
    sample = everything(maybe=np.array([7], np.uint8), whatever={"deep": [1, None]})
    assert Everything.from_bytes(sample.packed) == sample
    assert everything() == Everything.from_bytes(everything().packed)
    assert everything(typed=np.zeros(2, np.float32)) != everything()
    assert everything() != object()


def test_the_map_has_wire_names_and_no_absent_fields() -> None:
    values = msgpack.unpackb(everything().packed)
    assert values["class"] == "k"
    assert "kind" not in values
    assert "note" not in values
    assert values["typed"].startswith(b"\x93NUMPY")


def test_a_decorated_class_has_what_the_base_gives() -> None:
    @packable
    class Point:
        x: int
        y: int = 3

    point = Point(x=1)
    assert pack(point) == msgpack.packb({"x": 1, "y": 3})
    assert unpack(Point, pack(point)) == point
    assert point.as_wds == {"__key__": "", "msgpack": pack(point)}  # type: ignore[attr-defined]


def test_fields_are_inherited_and_defaults_kept() -> None:
    class Base(PackableSample):
        one: int
        two: str = "two"

    class Child(Base):
        three: float = 3

    assert [field.name for field in sample_type(Child).fields] == ["one", "two", "three"]
    assert Child.from_bytes(msgpack.packb({"one": 1})) == Child(one=1, two="two", three=3)


def test_none_comes_back_where_the_default_is_something_else() -> None:
    class Odd(PackableSample):
        note: str | None = "nothing"

    assert Odd.from_bytes(Odd(note=None).packed).note is None
    assert Odd.from_bytes(msgpack.packb({})).note == "nothing"


@pytest.mark.parametrize("hint", [dict, "dict[str, int]", int | str, "Missing", set[int], list, complex])
def test_an_annotation_that_is_no_field_type_is_named(hint: object) -> None:
    made = type("Made", (PackableSample,), {"__annotations__": {"bad": hint}, "__module__": __name__})
    with pytest.raises(InvalidSchema, match=r"bad|Missing"):
        sample_type(made)


def test_numpy_scalars_are_written_as_numbers() -> None:
    sample = everything(whole=np.int64(5), real=np.float32(0.5), truth=np.True_)
    read = Everything.from_bytes(sample.packed)
    assert (read.whole, read.real, read.truth) == (5, 0.5, True)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"text": 1}, "field 'text': expected str, found int"),
        ({"whole": True}, "field 'whole': expected int, found bool"),
        ({"typed": np.ones(2)}, r"field 'typed': expected array\[float32\], found array\[float64, 2\]"),
        ({"typed": [1.0]}, r"field 'typed': expected array\[float32\], found list"),
        ({"shaped": np.zeros((3, 2), np.uint8)}, r"expected array\[uint8, 2, \*\], found array\[uint8, 3, 2\]"),
        ({"shaped": np.zeros(2, np.uint8)}, r"found array\[uint8, 2\]"),
        ({"names": ["a", None]}, "field 'names': expected str, found NoneType"),
        ({"text": None}, "field 'text': expected str, found NoneType"),
        ({"whole": 2**70}, "can't be packed"),
    ],
)
def test_writing_checks_every_value(change: dict[str, Any], expected: str) -> None:
    with pytest.raises(InvalidSample, match=expected):
        pack(everything(**change))


class Small(PackableSample):
    """For the faults of reading."""

    image: Annotated[NDArray[np.uint8], Array(shape=(2,))]
    label: float


GOOD = {"image": encode_array(np.zeros(2, np.uint8)), "label": 1}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"image": GOOD["image"]}, "k7: field 'label': expected float, found nothing"),
        ({**GOOD, "label": "1"}, "k7: field 'label': expected float, found str"),
        ({**GOOD, "label": None}, "k7: field 'label': expected float, found NoneType"),
        ({**GOOD, "image": "text"}, r"k7: field 'image': expected array\[uint8, 2\], found str"),
        ({**GOOD, "image": b"\x93NUMPY"}, "k7: field 'image': unknown .npy version"),
        ([1], "k7: the sample is not a map"),
        ({1: 2}, "k7: the sample is not a map"),
    ],
)
def test_reading_names_key_field_expected_and_found(values: object, expected: str) -> None:
    with pytest.raises(InvalidSample, match=expected):
        unpack(Small, msgpack.packb(values), key="k7")
    assert unpack(Small, msgpack.packb({**GOOD, "more": 1}), key="k7").label == 1


def test_dtype_and_shape_are_checked_on_request() -> None:
    raw = msgpack.packb({**GOOD, "image": encode_array(np.zeros(3, np.uint8))})
    assert Small.from_bytes(raw).image.shape == (3,)
    with pytest.raises(InvalidSample, match=r"expected array\[uint8, 2\], found array\[uint8, 3\]"):
        Small.from_bytes(raw, validate=True)


@pytest.mark.parametrize(
    "bomb",
    [b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\x91" * 100_000, b"\x81" * 5000, b"",
     b"\xc1", b"\x80\x80", b"\x81\xa1\xff\x01", b"\x81\x90\x01", b"\xdd\x00\x0f\xff\xff" * 400],
)  # fmt: skip
def test_a_msgpack_bomb_is_refused(bomb: bytes) -> None:
    with pytest.raises(InvalidSample):
        unpack(DictSample, bomb)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_sample_or_refused(raw: bytes) -> None:
    for cls in (DictSample, Small):
        with contextlib.suppress(InvalidSample):
            unpack(cls, raw)


def test_a_dict_sample_shows_npy_values_as_arrays_and_others_as_they_are() -> None:
    sample = unpack(DictSample, msgpack.packb({"a": encode_array(np.arange(2)), "b": b"\x93NUMPY", "c": [1]}), key="k")
    assert sample["a"].tolist() == [0, 1]
    assert sample["b"] == b"\x93NUMPY"
    assert sample.__key__ == "k"
    assert unpack(DictSample, pack(sample))["c"] == [1]


@given(sample_types())
def test_a_class_made_from_a_sample_type_has_that_sample_type(wanted: SampleType) -> None:
    made = class_from(wanted)
    assert sample_type(made) == wanted
    read = annotations._from_annotations(made, made.__packable__).sample_type  # type: ignore[attr-defined]
    assert [(f.name, f.type, f.optional) for f in read.fields] == [
        (f.name, f.type, f.optional) for f in wanted.fields
    ]


@given(sample_types(), st.data())
def test_samples_of_any_type_come_back_equal(wanted: SampleType, data: st.DataObject) -> None:
    assume(all(_is_small(field.type) for field in wanted.fields))
    made = class_from(wanted)
    drawn = {field.name: data.draw(values_of(field)) for field in wanted.fields}
    raw = msgpack.packb({name: stored(value) for name, value in drawn.items() if value is not None})
    sample = unpack(made, raw, validate=True)
    assert unpack(made, pack(sample)) == sample
    assert set(msgpack.unpackb(pack(sample))) == {name for name, value in drawn.items() if value is not None}


def _is_small(type_: FieldType) -> bool:
    """Whether an array of the type fits into a test: some generated shapes would need exabytes."""
    if isinstance(type_, List):
        return _is_small(type_.item)
    return not isinstance(type_, Array) or math.prod(dim or 0 for dim in type_.shape or ()) <= 10_000


def values_of(field: Field) -> st.SearchStrategy[Any]:
    found = values(field.type)
    return st.none() | found if field.optional else found


def values(type_: FieldType) -> st.SearchStrategy[Any]:
    match type_:
        case Scalar():
            return {
                "str": st.text(st.characters(exclude_categories=["Cs"])), "int": st.integers(-(2**63), 2**64 - 1),
                "float": st.floats(allow_nan=False), "bool": st.booleans(), "bytes": st.binary(),
            }[type_.kind]  # fmt: skip
        case List():
            return st.lists(values(type_.item), max_size=3)
        case Unknown():
            return st.integers(0, 9)
        case Array():
            shape = tuple(dim or 0 for dim in type_.shape or ())
            return st.just(np.zeros(shape, type_.dtype or "uint8"))


def stored(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, list):
        return [stored(item) for item in value]
    return encode_array(value) if isinstance(value, np.ndarray) else value


def test_a_type_of_ten_thousand_fields_is_no_problem() -> None:
    fields = tuple(Field(name=f"field {n}", type=Scalar(kind="int"), optional=n % 2 == 0) for n in range(10_000))
    made = class_from(SampleType(name="big", version="1.0.0", fields=fields))
    raw = msgpack.packb({field.name: 1 for field in fields if not field.optional})
    assert pack(unpack(made, raw)) == raw
