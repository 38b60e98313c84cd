"""Typed samples: classes ⇄ sample types, here and in other processes. Their bytes are in ``test_packing``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Optional, TypeVar

import msgpack
import numpy as np
import pytest
from numpy.typing import NDArray
from typing_extensions import TypeAliasType

from catalog import Array, DictSample, PackableSample, packable, wire
from catalog.errors import InvalidSample, InvalidSchema, InvalidSyntax
from catalog.samples.arrays import encode_array
from catalog.samples.packable import class_from, fields_of, pack, sample_type, schema_uri, unpack
from catalog.schema import SampleType, type_text
from tests.sample_classes import TYPE, URI, Everything, everything

if TYPE_CHECKING:
    from catalog.syntax import AtUri


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


def test_a_decorated_class_has_what_the_base_gives() -> None:
    @packable
    class Point:
        x: int
        y: int = 3

    point = Point(x=1)
    assert pack(point) == msgpack.packb({"x": 1, "y": 3})
    assert unpack(Point, pack(point)) == point
    written = point.as_wds  # type: ignore[attr-defined]
    assert written == {"__key__": written["__key__"], "msgpack": pack(point)}
    assert written["__key__"] not in ("", point.as_wds["__key__"])  # type: ignore[attr-defined]


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


@pytest.mark.parametrize("hint", ["dict[str, int]", int | str, "Missing", set[int], list, complex])
def test_an_annotation_that_is_no_field_type_is_named(hint: object) -> None:
    made = type("Made", (PackableSample,), {"__annotations__": {"bad": hint}, "__module__": __name__})
    with pytest.raises(InvalidSchema, match=r"bad|Missing"):
        sample_type(made)


# --- more of annotations -------------------------------------------------------------------------------------

Pixels = TypeAliasType("Pixels", NDArray[np.uint8])
Scalars = TypeVar("Scalars", bound=np.generic)
Numbers = TypeAliasType("Numbers", np.ndarray[Any, np.dtype[Scalars]], type_params=(Scalars,))


class Spelled(PackableSample):
    """Other ways to say the same."""

    inside: Annotated[NDArray[np.uint8] | None, Array(shape=(2,))] = None
    around: Optional[Annotated[NDArray[np.uint8], Array(shape=(2,))]] = None  # noqa: UP045 - as people write it
    text: "str | None" = None  # noqa: UP037 - quoted twice
    alias: Pixels | None = None
    generic: Numbers[np.float32] | None = None
    deep: list[list[NDArray[np.int8]]] | None = None
    noted: Annotated[str, "a note"] = ""
    abstract: NDArray[np.floating[Any]] | None = None
    constant: ClassVar[int] = 3


def test_other_spellings_mean_the_same() -> None:
    assert [type_text(field.type, optional=field.optional) for field in sample_type(Spelled).fields] == [
        "array[uint8, 2]?", "array[uint8, 2]?", "str?", "array[uint8]?", "array[float32]?",
        "list[list[array[int8]]]?", "str", "array?",
    ]  # fmt: skip
    sample = Spelled(deep=[[np.zeros(1, np.int8)], []], alias=np.ones(1, np.uint8))
    assert Spelled.from_bytes(sample.packed, validate=True) == sample


@pytest.mark.parametrize("hint", [Annotated[int, Array()], Annotated[list[int], Array(format="safetensors")], None])
def test_what_is_no_array_cannot_be_described_as_one(hint: object) -> None:
    made = type("Made", (PackableSample,), {"__annotations__": {"bad": hint}, "__module__": __name__})
    with pytest.raises(InvalidSchema, match="bad"):
        sample_type(made)


def test_subclasses_add_fields_to_either_kind_of_class() -> None:
    @packable(name="the base", version="1.1.0")
    class Base:
        one: int
        two: str | None = None

    @packable
    class Child(Base):
        two: str | None = "2"
        three: float

    class Mixed(Child, PackableSample, version="3.0.0"):
        four: bytes = b""

    assert (sample_type(Base).name, sample_type(Base).version) == ("the base", "1.1.0")
    assert [field.name for field in sample_type(Mixed).fields] == ["one", "two", "three", "four"]
    assert unpack(Child, msgpack.packb({"one": 1, "three": 2.5})) == Child(one=1, two="2", three=2.5)
    assert Mixed.from_bytes(Mixed(one=1, three=0).packed) == Mixed(one=1, three=0.0, four=b"")
    with pytest.raises(InvalidSample, match="field 'three': expected float, found nothing"):
        unpack(Child, msgpack.packb({"one": 1}))
    with pytest.raises(InvalidSchema, match="Plain is not a packable class"):
        sample_type(type("Plain", (Base,), {"__annotations__": {"more": int}}))


def test_a_field_may_have_the_name_of_what_it_hides() -> None:
    class Hiding(PackableSample):
        packed: int  # type: ignore[assignment] # a type checker is right to complain
        as_wds: str  # type: ignore[assignment]
        from_bytes: float = 1.5  # type: ignore[assignment]
        publish_to_atproto: bytes  # type: ignore[assignment]

    sample: Any = Hiding(packed=1, as_wds="a", publish_to_atproto=b"p")
    raw = pack(sample)
    assert msgpack.unpackb(raw) == {"packed": 1, "as_wds": "a", "from_bytes": 1.5, "publish_to_atproto": b"p"}
    assert unpack(Hiding, raw) == sample
    with pytest.raises(InvalidSample, match="field 'packed': expected int, found nothing"):
        unpack(Hiding, msgpack.packb({"as_wds": "a", "publish_to_atproto": b""}))
    with pytest.raises(InvalidSchema, match="not a field"):
        type("Keyed", (PackableSample,), {"__annotations__": {"__key__": str}})


def test_two_fields_of_one_wire_name_are_refused() -> None:
    class Twice(PackableSample):
        one: int
        other: int = wire("one")

    with pytest.raises(InvalidSchema, match="two fields of one wire name"):
        sample_type(Twice)


def test_a_sample_is_shown_with_its_fields() -> None:
    @packable
    class Point:
        x: int
        hidden: int = field(default=0, repr=False)
        kin: Any = None

    assert repr(Point(x=1, kin=[2])).endswith("Point(x=1, kin=[2])")
    point = Point(x=1)
    point.kin = point
    assert repr(point).endswith("Point(x=1, kin=...)")


def test_fields_of_gives_values_by_wire_name() -> None:
    assert list(fields_of(everything()))[-1] == "class"
    assert fields_of(everything(kind="z"))["class"] == "z"
    assert fields_of(DictSample(a=1)) == {"a": 1}


# --- records -------------------------------------------------------------------------------------------------


def test_a_class_says_which_record_it_was_written_after() -> None:
    class Digit(PackableSample, version="1.0.0", schema=str(URI)):
        label: int

    @packable(schema=str(URI))
    class Decorated:
        label: int

    assert schema_uri(Digit) == schema_uri(Decorated) == URI
    assert schema_uri(Everything) is None
    with pytest.raises(InvalidSyntax):
        packable(schema="https://example.org/")(type("Wrong", (), {}))
    with pytest.raises(InvalidSchema, match="not the address of a record"):
        packable(schema="at://did:plc:aaaaaaaaaaaaaaaaaaaaaaaa")(type("Wrong", (), {}))


class Recorder:
    """A publisher that keeps what it was given; the real one is tested against a real server."""

    def __init__(self) -> None:
        self.calls: list[tuple[SampleType, dict[str, Any]]] = []

    def publish_schema(self, sample_type: SampleType, **options: Any) -> AtUri:  # noqa: ANN401
        self.calls.append((sample_type, options))
        return URI


@packable
class Written:
    """A class at module level."""

    label: int


def test_a_class_is_published_as_its_sample_type() -> None:
    recorder: Any = Recorder()
    decorated: Any = Written
    assert decorated.publish_to_atproto(recorder, license="CC0-1.0", tags=["a"]) == URI
    assert class_from(TYPE).publish_to_atproto(recorder) == URI
    (written, options), (made, plain) = recorder.calls
    assert (written, made) == (sample_type(Written), TYPE)
    assert (options["license"], options["tags"]) == ("CC0-1.0", ["a"])
    assert options["place"].file.name == "test_packable.py"
    assert plain == {"license": None, "tags": (), "place": None}


def test_fields_are_given_by_position_unless_an_optional_one_comes_first() -> None:
    class Given(PackableSample):
        one: int
        two: dict[str, Any]
        three: str | None
        four: list[str] = field(default_factory=list)

    ordered: Any = Given
    assert ordered(1, {"a": 1}, None, ["x"]) == Given(one=1, two={"a": 1}, three=None, four=["x"])

    class Child(Given):
        five: int = 5

    child: Any = Child
    assert child(1, {}, "t", [], 6).five == 6

    class Mixed(PackableSample):
        one: int = 1
        two: int

    mixed: Any = Mixed
    assert mixed(two=2).one == 1
    with pytest.raises(TypeError):
        mixed(1, 2)

    class After(Mixed):
        three: int

    assert After(two=2, three=3).three == 3


def test_a_sample_is_made_of_unpacked_values() -> None:
    class Point(PackableSample):
        at: NDArray[np.float32]
        kind: str = wire("class")
        note: str | None

    given = {"at": encode_array(np.ones(2, "f4")), "class": "k", "note": None}
    wanted = Point(at=np.ones(2, np.float32), kind="k", note=None)
    assert Point.from_data(given) == wanted
    assert Point.from_data(given | {"at": np.ones(2, np.float32)}) == wanted
    with pytest.raises(InvalidSample, match="field 'class': expected str, found int"):
        Point.from_data(given | {"class": 1})


def test_a_subclass_may_be_decorated_as_a_dataclass_too() -> None:
    @dataclass
    class Direct(PackableSample):
        name: str
        values: NDArray[Any]

    direct: Any = Direct
    made = direct("n", np.arange(3))
    assert made == direct("n", np.arange(3))
    assert Direct.from_bytes(made.packed) == made
