"""Changes between two sample types: a row a rule, and every verdict compared with the code that reads samples."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.client import find_schemas
from catalog.errors import InvalidSample
from catalog.samples.arrays import encode_array
from catalog.samples.packable import class_from
from catalog.samples.packing import unpack
from catalog.schema import (
    Array,
    Bump,
    Field,
    FieldType,
    List,
    SampleType,
    Scalar,
    Unknown,
    Verdict,
    check_fit,
    compare,
    parse_type,
)
from catalog.schema.compatibility import RULES, Kind
from tests.counting import calls
from tests.strategies import sample_types

if TYPE_CHECKING:
    from collections.abc import Iterator

FINE, UNSURE, BREAKS = Verdict


def of(*fields: Field, name: str = "Digit", description: str | None = None) -> SampleType:
    return SampleType(name=name, version="1.0.0", fields=fields, description=description)


def field(text: str, name: str = "x", description: str | None = None) -> Field:
    type_, optional = parse_type(text)
    return Field(name=name, type=type_, optional=optional, description=description)


def typed(type_: FieldType) -> SampleType:
    return of(Field(name="x", type=type_))


X = field("int")
NAMED = Array(dtype="uint8", shape=(8, 8), dimensions=("y", "x"))
FORMATTED = Array(format="sparseBytes")

ROWS: list[tuple[SampleType, SampleType, Kind, Verdict, Verdict, Bump]] = [
    (of(X), of(X, name="Number"), Kind.RENAMED_TYPE, UNSURE, UNSURE, Bump.MAJOR),
    (of(X), of(X, description="A digit."), Kind.DESCRIBED_TYPE, FINE, FINE, Bump.PATCH),
    (of(X), of(X, field("str", "y")), Kind.ADDED_REQUIRED, BREAKS, FINE, Bump.MAJOR),
    (of(X), of(X, field("str?", "y")), Kind.ADDED_OPTIONAL, FINE, FINE, Bump.MINOR),
    (of(X, field("str", "y")), of(X), Kind.REMOVED_REQUIRED, FINE, BREAKS, Bump.MAJOR),
    (of(X, field("str?", "y")), of(X), Kind.REMOVED_OPTIONAL, FINE, FINE, Bump.MINOR),
    (of(X), of(field("int?")), Kind.MADE_OPTIONAL, FINE, BREAKS, Bump.MAJOR),
    (of(field("int?")), of(X), Kind.MADE_REQUIRED, BREAKS, FINE, Bump.MAJOR),
    (of(X, field("str", "y")), of(field("str", "y"), X), Kind.REORDERED, FINE, FINE, Bump.PATCH),
    (of(X), of(field("int", description="How many.")), Kind.DESCRIBED, FINE, FINE, Bump.PATCH),
    (of(X), of(field("float")), Kind.WIDENED, FINE, BREAKS, Bump.MAJOR),
    (of(field("list[float]")), of(field("list[int]")), Kind.NARROWED, BREAKS, FINE, Bump.MAJOR),
    (of(field("bool")), of(X), Kind.OTHER_TYPE, BREAKS, BREAKS, Bump.MAJOR),
    (of(field("list[int]")), of(X), Kind.OTHER_TYPE, BREAKS, BREAKS, Bump.MAJOR),
    (of(field("array[uint8, 8]")), of(field("bytes")), Kind.ARRAY_AS_BYTES, UNSURE, BREAKS, Bump.MAJOR),
    (of(field("bytes")), of(field("array[uint8, 8]")), Kind.BYTES_AS_ARRAY, BREAKS, UNSURE, Bump.MAJOR),
    (of(field("datetime")), of(field("str")), Kind.DATETIME_AS_TEXT, FINE, BREAKS, Bump.MAJOR),
    (of(field("list[str]")), of(field("list[datetime]")), Kind.TEXT_AS_DATETIME, BREAKS, FINE, Bump.MAJOR),
    (of(field("bytes[image/jpeg]")), of(field("bytes[image/png]")), Kind.OTHER_MEDIA, UNSURE, UNSURE, Bump.MAJOR),
    (of(field("bytes")), of(field("bytes[image/png]")), Kind.NAMED_MEDIA, FINE, FINE, Bump.MINOR),
    (of(field("bytes[image/png]")), of(field("bytes[image/*]")), Kind.UNNAMED_MEDIA, FINE, FINE, Bump.MINOR),
    (of(field("map")), of(field("str")), Kind.OTHER_TYPE, BREAKS, BREAKS, Bump.MAJOR),
    (typed(Unknown(schema="{}")), of(X), Kind.UNKNOWN_TYPE, UNSURE, UNSURE, Bump.MAJOR),
    (typed(Array()), typed(FORMATTED), Kind.OTHER_FORMAT, BREAKS, BREAKS, Bump.MAJOR),
    (typed(Array()), typed(Array(format="structuredBytes")), Kind.SAME_BYTES_FORMAT, UNSURE, UNSURE, Bump.MAJOR),
    (of(field("array[uint8, 8]")), of(field("array[uint16, 8]")), Kind.OTHER_DTYPE, BREAKS, BREAKS, Bump.MAJOR),
    (of(field("array")), of(field("array[uint16]")), Kind.FIXED_DTYPE, BREAKS, FINE, Bump.MAJOR),
    (of(field("array[uint16]")), of(field("array")), Kind.FREED_DTYPE, FINE, BREAKS, Bump.MAJOR),
    (of(field("array[*, 8, 8]")), of(field("array[*, 8]")), Kind.OTHER_SHAPE, BREAKS, BREAKS, Bump.MAJOR),
    (of(field("array[*, 8, *]")), of(field("array[*, *, 8]")), Kind.OTHER_SHAPE, BREAKS, BREAKS, Bump.MAJOR),
    (of(field("list[array[*, 8, *]]")), of(field("list[array[*, 8, 8]]")), Kind.FIXED_SHAPE, BREAKS, FINE, Bump.MAJOR),
    (of(field("array[*, 8]")), of(field("array")), Kind.FREED_SHAPE, FINE, BREAKS, Bump.MAJOR),
    (typed(NAMED), typed(replace(NAMED, dimensions=("x", "y"))), Kind.OTHER_DIMENSIONS, UNSURE, UNSURE, Bump.MAJOR),
    (typed(replace(NAMED, dimensions=None)), typed(NAMED), Kind.NAMED_DIMENSIONS, FINE, FINE, Bump.MINOR),
    (typed(NAMED), typed(replace(NAMED, dimensions=None)), Kind.UNNAMED_DIMENSIONS, FINE, FINE, Bump.MINOR),
]


@pytest.mark.parametrize(("old", "new", "kind", "readers_of_old", "readers_of_new", "bump"), ROWS)
def test_each_kind_of_change_has_its_verdicts_and_its_bump(
    old: SampleType, new: SampleType, kind: Kind, readers_of_old: Verdict, readers_of_new: Verdict, bump: Bump
) -> None:
    """One change alone, found as what it is."""
    found = compare(old, new)
    assert [change.kind for change in found.changes] == [kind]
    assert (found.readers_of_old, found.readers_of_new, found.bump) == (readers_of_old, readers_of_new, bump)


def test_the_rows_above_have_every_rule() -> None:
    """A rule without a row would be nobody's."""
    assert {row[2] for row in ROWS} == set(Kind) == set(RULES)


@pytest.mark.parametrize("spelt", [">u2", "<u2", "=u2", "|u2"])
def test_a_byte_order_is_no_change(spelt: str) -> None:
    """Every reader turns it."""
    assert compare(typed(Array(dtype="uint16")), typed(Array(dtype=spelt))).changes == ()


def test_changes_come_field_by_field_and_say_what_stood_there() -> None:
    """A renamed field is one removed and one added field, both with a hint."""
    old = of(X, field("array[uint8, 8, 8]", "image"), field("str", "label"))
    new = of(X, field("array[uint8, *, *]", "image"), field("str", "class"), field("list[int]?", "scores"))
    found = compare(old, new)
    assert [str(change) for change in found.changes] == [
        "image has a length that may now vary (array[uint8, 8, 8] → array[uint8, *, *])",
        "class is new and required: old samples don't have it (str; renamed from 'label'?)",
        "scores is new and optional (list[int]?)",
        "label was removed; existing code reads it (str; renamed to 'class'?)",
    ]
    assert (
        found.lines()[-1] == "4 changes; reading old data: breaks, reading new data: breaks; requires a major version"
    )
    assert json.loads(json.dumps(found.as_json()))["changes"][0]["kind"] == "freed_shape"


@pytest.mark.parametrize(
    ("bump", "old", "new", "words"),
    [
        ("int?", "1.2.3", "2.0.0", None),
        ("int?", "1.2.3", "1.3.0", "1.3.0 is too little for a major change of 1.2.3: at least 2.0.0"),
        ("int?", "0.2.3", "0.3.0", None),
        ("int?", "0.2.3", "0.2.4", "at least 0.3.0"),
        ("int, str?", "1.2.3", "1.3.0", None),
        ("int, str?", "1.2.3", "1.10.0", None),
        ("int, str?", "1.10.0", "1.9.0", "must grow"),
        ("int, str?", "1.2.3", "1.2.4", "at least 1.3.0"),
        ("int, str?", "0.1.0", "0.1.1", None),
        ("words", "1.2.3", "1.2.4", None),
        ("words", "1.2.3", "1.2.3", "must grow"),
        ("words", "1.2.3", "1.2.4-rc.1", None),
        ("words", "one", "1.2.4", "'one' is not a semantic version"),
        ("words", "1.2.3", "2", "'2' is not a semantic version"),
        ("int", "1.2.3", "1.2.3", None),
        ("int", "one", "two", None),
    ],
)
def test_a_version_must_promise_no_more_than_the_changes_keep(bump: str, old: str, new: str, words: str | None) -> None:
    """Below 1.0.0 the minor number counts as the major one; without a change any version will do."""
    after = {"words": of(field("int", description="Words.")), "int, str?": of(X, field("str?", "y"))}
    complaint = compare(of(X), after[bump] if bump in after else of(field(bump))).needs(old, new)
    assert complaint is None if words is None else words in str(complaint)


def test_another_schema_has_versions_of_its_own() -> None:
    """Changes are reported; the version of one says nothing about the other."""
    found = compare(of(X), of(field("str"), name="Word"))
    assert found.bump is Bump.MAJOR
    assert found.needs("3.0.0", "1.0.0") is None


def test_the_example_digits_grew_by_a_minor_version() -> None:
    """1.0.0 → 1.1.0 of the example catalog."""
    old, new = (
        find_schemas(f"examples/manifests/digits.yaml#DigitSample@{version}")[0].sample_type
        for version in ("1.0.0", "1.1.0")
    )
    found = compare(old, new)
    assert (found.readers_of_old, found.readers_of_new, found.bump) == (FINE, FINE, Bump.MINOR)
    assert found.needs(old.version, new.version) is None


def test_texts_of_a_record_stay_on_their_line() -> None:
    """A field's name is anybody's text; a terminal acts on none of it."""
    hostile = of(Field(name="a\nb\x1b[31m" + "c" * 500, type=Scalar(kind="int")))
    (line, _) = compare(of(), hostile).lines()
    assert line.isprintable()
    assert len(line) < 300
    assert compare(of(), hostile).as_json()["changes"]


def test_the_work_of_comparing_grows_with_the_number_of_fields() -> None:
    """Not with its square."""
    half, whole = (calls(partial(_compare_reversed, number)) for number in (5_000, 10_000))
    assert whole < 3 * half


def _compare_reversed(number: int) -> None:
    old = of(*(Field(name=f"f{n}", type=Scalar(kind="int")) for n in range(number)))
    new = of(*(Field(name=f"f{n}", type=Scalar(kind="float")) for n in reversed(range(number))))
    assert len(compare(old, new).changes) == number + 1
    assert len(check_fit(of(*new.fields), old)) == 0


# --- verdicts against the code that reads --------------------------------------------------------------------

DTYPES = (None, "uint8", "float32")
SHAPES = (None, (None,), (2,), (3,), (None, 2), (2, None), (2, 2), (None, None))
small_types: st.SearchStrategy[FieldType] = st.recursive(
    st.sampled_from(["str", "int", "float", "bool", "bytes"]).map(lambda kind: parse_type(kind)[0])
    | st.builds(lambda dtype, shape: Array(dtype=dtype, shape=shape), st.sampled_from(DTYPES), st.sampled_from(SHAPES))
    | st.just(Unknown(schema="{}")),
    lambda inner: inner.map(lambda item: List(item=item)),
    max_leaves=2,
)
small_samples = st.lists(
    st.builds(lambda name, type_, optional: Field(name=name, type=type_, optional=optional),
              st.sampled_from("abc"), small_types, st.booleans()),
    max_size=3, unique_by=lambda field: field.name,
).map(lambda fields: of(*fields))  # fmt: skip

SCALARS: dict[str, list[Any]] = {"str": ["a"], "int": [1], "float": [0.5], "bool": [True], "bytes": [b"no array"]}


def candidates(type_: FieldType) -> Iterator[Any]:
    """Values of a type, as they are stored: with them every two types of ``small_types`` are told apart."""
    match type_:
        case Scalar():
            yield from SCALARS[type_.kind]
        case List():
            yield from ([value] for value in candidates(type_.item))
            yield []
        case Array():
            shapes = [(2,), (3,), (2, 2), (2, 3), (3, 2), (1, 1, 1)] if type_.shape is None else list(
                itertools.product(*([2, 3] if dim is None else [dim] for dim in type_.shape))
            )  # fmt: skip
            for dtype in ["uint8", "float32"] if type_.dtype is None else [type_.dtype]:
                yield from (encode_array(np.zeros(shape, dtype)) for shape in shapes)
        case Unknown():
            yield 1


def samples(written: SampleType) -> Iterator[dict[str, Any]]:
    """Samples in which each field takes each of its values, and is absent where it may be."""
    first = {field.name: next(candidates(field.type)) for field in written.fields}
    yield first
    for field in written.fields:
        yield from ({**first, field.name: value} for value in candidates(field.type))
        if field.optional:
            yield {name: value for name, value in first.items() if name != field.name}


def reads_all(writer: SampleType, reader: SampleType) -> bool:
    """The slow, obvious answer: write all those samples, read them."""
    cls = class_from(reader)
    for sample in samples(writer):
        try:
            unpack(cls, msgpack.packb(sample), validate=True)
        except InvalidSample:
            return False
    return True


@given(small_samples, small_samples)
def test_a_verdict_says_what_reading_does(old: SampleType, new: SampleType) -> None:
    """Fine: everything that was written can be read. Breaks: something can't. In both directions."""
    found = compare(old, new)
    if found.readers_of_old is not UNSURE:
        assert reads_all(old, new) == (found.readers_of_old is FINE)
    if found.readers_of_new is not UNSURE:
        assert reads_all(new, old) == (found.readers_of_new is FINE)


@given(small_samples, small_samples)
def test_a_class_fits_what_it_can_read(own: SampleType, published: SampleType) -> None:
    """The reasons are those changes that break; without one reading works, or nobody can tell."""
    reasons = check_fit(own, published)
    assert all(change.rule.readers_of_old is BREAKS for change in reasons)
    if compare(published, own).readers_of_old is not UNSURE:
        assert (reasons == ()) == reads_all(published, own)


@given(sample_types())
def test_a_type_has_not_changed_against_itself(one: SampleType) -> None:
    assert compare(one, one).changes == ()
    assert compare(one, one).lines() == ["no change"]
    assert check_fit(one, one) == ()


MIRRORED = {
    Kind.ADDED_REQUIRED: Kind.REMOVED_REQUIRED, Kind.ADDED_OPTIONAL: Kind.REMOVED_OPTIONAL,
    Kind.MADE_OPTIONAL: Kind.MADE_REQUIRED, Kind.WIDENED: Kind.NARROWED, Kind.ARRAY_AS_BYTES: Kind.BYTES_AS_ARRAY,
    Kind.FIXED_DTYPE: Kind.FREED_DTYPE, Kind.FIXED_SHAPE: Kind.FREED_SHAPE,
    Kind.NAMED_DIMENSIONS: Kind.UNNAMED_DIMENSIONS,
}  # fmt: skip
MIRROR = {kind: kind for kind in Kind} | MIRRORED | {after: before for before, after in MIRRORED.items()}


@given(sample_types(), sample_types())
def test_backwards_every_change_is_its_mirror_image(old: SampleType, new: SampleType) -> None:
    """The same fields, the verdicts swapped."""
    there = {(MIRROR[change.kind], change.field) for change in compare(old, new).changes}
    back = compare(new, old)
    assert {(change.kind, change.field) for change in back.changes} == there
    assert (back.readers_of_old, back.readers_of_new) == (
        compare(old, new).readers_of_new,
        compare(old, new).readers_of_old,
    )
