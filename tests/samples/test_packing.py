"""Samples ⇄ bytes: what is written, what is read both ways, what is refused."""

from __future__ import annotations

import contextlib
import copy
import pickle
from dataclasses import field
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray  # noqa: TC002 - the classes below need it at run time

from catalog import Array, DictSample, PackableSample, packable, wire
from catalog.errors import InvalidSample, InvalidSchema
from catalog.samples import packing
from catalog.samples.annotations import plan_of
from catalog.samples.arrays import encode_array
from catalog.samples.packable import class_from
from catalog.samples.packing import pack, unpack, unpacker
from catalog.schema import Field, SampleType
from tests.sample_classes import Everything, everything
from tests.strategies import typed_samples

if TYPE_CHECKING:
    from collections.abc import Callable


def test_the_map_has_wire_names_and_nil_for_none() -> None:
    values = msgpack.unpackb(everything().packed)
    assert values["class"] == "k"
    assert "kind" not in values
    assert values["note"] is None
    assert values["typed"].startswith(b"\x93NUMPY")


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


def test_a_field_of_a_dict_is_an_attribute_too() -> None:
    sample = DictSample.from_bytes(msgpack.packb({"a": 1, "items": 2, "é b": 3}), key="k")
    assert (sample.a, sample["items"], sample["é b"], sample.__key__) == (1, 2, 3, "k")
    assert list(sample.items()) == [("a", 1), ("items", 2), ("é b", 3)]
    with pytest.raises(AttributeError, match="no field 'b'; its fields are 'a', 'items', 'é b'"):
        _ = sample.b
    plain = sample.to_dict()
    assert (type(plain), plain) == (dict, {"a": 1, "items": 2, "é b": 3})
    assert copy.deepcopy(sample) == sample == pickle.loads(pickle.dumps(sample))  # noqa: S301 - our own
    assert DictSample.from_data({"a": encode_array(np.arange(2))}).a.tolist() == [0, 1]
    assert DictSample.from_bytes(sample.packed) == sample
    assert sample.as_wds == {"__key__": "k", "msgpack": sample.packed}


@given(typed_samples())
def test_samples_of_any_type_come_back_equal(both: tuple[SampleType, dict[str, Any]]) -> None:
    wanted, drawn = both
    made = class_from(wanted)
    raw = msgpack.packb({name: stored(value) for name, value in drawn.items() if value is not None})
    sample = unpack(made, raw, validate=True)
    assert unpack(made, pack(sample)) == sample
    again = msgpack.unpackb(pack(sample))
    assert list(again) == [field.name for field in wanted.fields]
    assert [again[name] is None for name in drawn] == [value is None for value in drawn.values()]


def stored(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, list):
        return [stored(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return encode_array(value) if isinstance(value, np.ndarray) else value


# --- the quick way and the careful way -----------------------------------------------------------------------


class Parts(PackableSample):
    """The values that the fast decoder handles."""

    image: NDArray[np.uint8]
    label: int
    weight: float = 1
    kind: str = wire("class")
    note: str | None = None
    boxes: list[list[float]] | None = None
    masks: list[NDArray[np.bool_]] = field(default_factory=list)
    raw: Annotated[bytes, Array()] = b""
    whatever: Any = None


class Built(Parts):
    """The same, with a constructor that does something."""

    def __post_init__(self) -> None:
        self.built = True


PARTS: dict[str, Any] = {
    "image": encode_array(np.arange(4, dtype=np.uint8)), "label": 3, "weight": 0.5, "class": "k", "note": "n",
    "boxes": [[0.5], []], "masks": [encode_array(np.ones(2, np.bool_))], "raw": b"r", "whatever": {"a": [1]},
}  # fmt: skip
odd_values = st.sampled_from([None, 1, 2**63, 1.5, True, "text", b"bytes", b"\x93NUMPY", [], [1], [None], {}, {1: 2}])
parts = st.permutations(list(PARTS.items())).flatmap(
    lambda items: st.tuples(
        st.just(dict(items)), st.sets(st.sampled_from(sorted(PARTS))),
        st.dictionaries(st.sampled_from([*sorted(PARTS), "more", "", "__key__", "kind"]), odd_values, max_size=3),
    )
)  # fmt: skip


def outcome(read: Callable[[], Any]) -> Any:  # noqa: ANN401
    try:
        made = read()
    except InvalidSample as error:
        return str(error)
    return type(made), made, made.__key__, sorted(vars(made))


@given(parts, st.sampled_from([Parts, Built]), st.booleans())
def test_the_quick_way_gives_what_the_careful_way_gives(
    drawn: tuple[dict[str, Any], set[str], dict[str, Any]],
    cls: type[Any],
    validate: bool,  # noqa: FBT001
) -> None:
    whole, without, changes = drawn
    raw = msgpack.packb({**{name: value for name, value in whole.items() if name not in without}, **changes})
    values = packing._unpack_map(raw, "k")
    careful = outcome(lambda: packing._read_carefully(cls, plan_of(cls), values, "k", validate=validate))
    quick = outcome(lambda: unpack(cls, raw, key="k", validate=validate))
    assert quick == careful


def test_the_usual_sample_goes_the_quick_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(packing, "_read_carefully", never)
    raw = msgpack.packb(PARTS)
    for cls in (Parts, Built):
        for validate in (False, True):
            assert unpack(cls, raw, key="k", validate=validate).masks[0].tolist() == [True, True]
    few = msgpack.packb({"image": PARTS["image"], "label": 1, "class": "k", "unheard": 1})
    assert unpack(Parts, few).masks == []
    assert unpack(Parts, few).masks is not unpack(Parts, few).masks
    with pytest.raises(AssertionError):  # the control: this one is unusual
        unpack(Parts, msgpack.packb({**PARTS, "weight": 1}))


def test_a_class_with_its_own_way_of_being_made_is_made_that_way() -> None:
    class Checked(PackableSample):
        one: int

        def __post_init__(self) -> None:
            if self.one < 0:
                raise ValueError("negative")

    @packable
    class Slotted:
        __slots__ = ("one",)
        one: int

    class Guarded(PackableSample):
        one: int

        def __setattr__(self, name: str, value: object) -> None:
            object.__setattr__(self, name, value * 2 if isinstance(value, int) else value)

    class Own(PackableSample):
        one: int

        def __init__(self, *, one: int) -> None:
            self.one = -one

    class Counted(PackableSample):
        one: int
        twice: int = field(init=False)

        def __post_init__(self) -> None:
            self.twice = self.one * 2

    raw = msgpack.packb({"one": 2})
    with pytest.raises(ValueError, match="negative"):
        unpack(Checked, msgpack.packb({"one": -1}))
    assert unpack(Slotted, raw, key="k").one == 2
    assert unpack(Guarded, raw, key="k").one == 4
    assert unpack(Guarded, raw, key="k").__key__ == "k"
    assert unpack(Own, raw).one == -2
    assert unpack(Counted, raw).twice == 4
    assert pack(unpack(Counted, raw)) == raw


def test_only_so_many_layouts_of_only_so_many_names_are_remembered() -> None:
    read = unpacker(Parts)
    base = {"image": PARTS["image"], "label": 1, "class": "k"}
    for number in range(200):
        assert read(msgpack.packb({**base, f"more {number}": 1}), "").label == 1
    assert read(msgpack.packb({**base, **{f"more {number}": 1 for number in range(5000)}}), "").label == 1


@pytest.mark.parametrize("stored", [["a"], "a", b"a", 1, None, []])
def test_what_is_no_map_is_refused_also_by_a_class_that_needs_nothing(stored: object) -> None:
    class Nothing(PackableSample):
        pass

    assert unpack(Nothing, msgpack.packb({"a": 1})) == Nothing()
    with pytest.raises(InvalidSample, match="not a map"):
        unpack(Nothing, msgpack.packb(stored))


def test_a_class_that_is_not_packable_is_refused() -> None:
    with pytest.raises(InvalidSchema, match="not a packable class"):
        unpacker(int)


def test_an_array_in_a_list_of_data_without_a_type_is_shown() -> None:
    class Arrays(PackableSample):
        arrays: list[list[NDArray[np.int64]]]

    raw = pack(Arrays(arrays=[[np.arange(2)]]))
    assert unpack(DictSample, raw)["arrays"][0][0].tolist() == [0, 1]
    assert pack(unpack(DictSample, raw)) == raw
    with pytest.raises(InvalidSample, match="can't be packed"):
        pack(DictSample(a=object()))
    with pytest.raises(InvalidSample, match="object"):
        pack(DictSample(a=np.array([object()])))


@pytest.mark.parametrize(
    ("promised", "found", "fits"),
    [
        ("float32", ">f4", True), ("<f4", "f4", True), ("float32", "f8", False), ("datetime64", "M8[ns]", True),
        ("datetime64[s]", "M8[ns]", False), ("str", "U3", True), ("S", "S3", True), ("U3", "U4", False),
        ("no dtype", "i4", True), ("object", "i4", False), ("a8", "S8", True),
    ],
)  # fmt: skip
def test_a_dtype_is_promised_by_any_of_its_names(promised: str, found: str, fits: bool) -> None:  # noqa: FBT001
    made: Any = class_from(
        SampleType(name="a", version="1.0.0", fields=(Field(name="value", type=Array(dtype=promised)),))
    )
    sample = made(value=np.zeros(1, found))
    if fits:
        assert made.from_bytes(sample.packed, validate=True).value.dtype == found
    else:
        with pytest.raises(InvalidSample):
            pack(sample)
