"""Maps, datetimes, media types and dtypes: what is written comes back equal, or is refused with the field's name."""

from __future__ import annotations

import decimal
import io
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Annotated, Any

import ml_dtypes
import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray  # noqa: TC002 - in annotations
from PIL import Image

from catalog import Array, Media, PackableSample, wire
from catalog.errors import InvalidSample, InvalidSchema, MissingExtra
from catalog.samples.inference import Inference
from catalog.samples.media import ImageBytes
from catalog.samples.packable import class_from, sample_type
from catalog.samples.packing import DictSample, pack, unpack
from catalog.schema import DTYPES, ML_DTYPES, Field, SampleType, Scalar, parse_type, read_body, type_text, write_body
from tests.strategies import TEXTS, WITH_UNIT, arrays_of, json_values, texts, zones

NAMES = (*DTYPES, *ML_DTYPES, *WITH_UNIT, *TEXTS)


def dtype_of(name: str) -> np.dtype[Any]:
    return np.dtype(getattr(ml_dtypes, name)) if name in ML_DTYPES else np.dtype(name)


def class_of(text: str) -> Any:  # noqa: ANN401 - its constructor takes the field
    """A class with one field ``x`` of a type in short form."""
    type_, optional = parse_type(text)
    return class_from(SampleType(name="One", version="1.0.0", fields=(Field(name="x", type=type_, optional=optional),)))


def same(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> bool:
    return (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())


def inferred(*samples: object) -> dict[str, str]:
    seen = Inference()
    for number, sample in enumerate(samples):
        seen.add(pack(sample), str(number))
    found = {field.name: type_text(field.type, optional=field.optional) for field in seen.fields}
    return found | {left.name: left.why for left in seen.left_out}


# --- dtypes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25)  # of each dtype
@given(data=st.data())
def test_an_array_of_each_dtype_comes_back_equal(name: str, data: st.DataObject) -> None:
    shape = data.draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))
    raw = data.draw(st.binary(min_size=64, max_size=64)) * (27 * 20)
    dtype = dtype_of(name)
    array = data.draw(arrays_of(dtype, shape)) if dtype.kind in "US" else np.frombuffer(raw, dtype, int(np.prod(shape)))
    array = array.reshape(shape)
    array = array.T if data.draw(st.booleans()) else array
    cls = class_of(f"array[{name}]")
    packed = pack(cls(x=array))
    assert pack({"x": array}) == packed
    assert same(unpack(DictSample, packed)["x"], array)
    for validate in (False, True):
        assert same(unpack(cls, packed, validate=validate).x, array)
    whole = unpack(cls, packed)
    assert pack(whole) == packed


@pytest.mark.parametrize("name", NAMES)
def test_a_dtype_is_in_the_schema_by_its_name(name: str) -> None:
    """Text, JSON Schema in each encoding, the record's class and the inferred type agree."""
    fields = sample_type(class_of(f"array[{name}, *]")).fields
    body = write_body(SampleType(name="One", version="1.0.0", fields=fields))
    assert body["properties"] == body["content"]["properties"]  # type: ignore[call-overload, index]
    assert body["properties"]["x"]["dtype"] == name  # type: ignore[call-overload, index]
    assert read_body(body) == read_body({"schemaBody": body["content"]}) == fields
    assert inferred({"x": np.zeros(2, dtype_of(name))})["x"] == {
        "U5": "array[str, 2]", "S3": "array[bytes, 2]", "V4": "array[*, 2]",
    }.get(name, f"array[{name}, 2]")  # fmt: skip


@pytest.mark.parametrize(("wanted", "other"), [("bfloat16", "float16"), ("float16", "bfloat16"), ("int4", "int8"),
                                               ("U5", "U6"), ("datetime64[ns]", "datetime64[s]"), ("str", "bytes"),
                                               ("void", "bfloat16")])  # fmt: skip
def test_another_dtype_is_refused_with_the_field(wanted: str, other: str) -> None:
    array = np.zeros(2, dtype_of(other) if other not in ("str", "bytes") else "S1")
    cls = class_of(f"array[{wanted}]")
    with pytest.raises(InvalidSample, match="field 'x'"):
        pack(cls(x=array))
    with pytest.raises(InvalidSample, match="field 'x'"):
        unpack(cls, pack({"x": array}), validate=True)


@pytest.mark.parametrize(("wanted", "found"), [("datetime64", "datetime64[s]"), ("str", "U7"), ("bytes", "S2"),
                                               ("void", "V3"), ("float32", ">f4")])  # fmt: skip
def test_a_dtype_without_length_unit_or_byte_order_takes_any(wanted: str, found: str) -> None:
    array = np.zeros(2, found)
    cls = class_of(f"array[{wanted}]")
    assert same(unpack(cls, pack(cls(x=array)), validate=True).x, array)


TABLE = np.zeros(3, [("a", "<i4"), ("b", "U3"), ("c", "f4", (2,)), ("d", [("e", "M8[s]")])])


@pytest.mark.parametrize(
    "array",
    [TABLE, TABLE.view(np.recarray), np.zeros(2, np.dtype([("a", "i1"), ("b", "f8")], align=True)), np.zeros(2, "V7")],
)
def test_a_structured_array_comes_back_equal(array: np.ndarray[Any, Any]) -> None:
    class Table(PackableSample):
        x: Annotated[NDArray[Any], Array(format="structuredBytes")]

    assert same(unpack(DictSample, pack({"x": array}))["x"], np.asarray(array))
    assert same(unpack(Table, pack(Table(x=array)), validate=True).x, np.asarray(array))


REFUSED: list[tuple[Any, str]] = [
    (np.ma.array([1.0, 2.0], mask=[False, True]), "filled"),
    (np.ma.array([1.0, 2.0]), "filled"),
    (np.ones(2, np.longdouble), "float64"),
    (np.ones(2, np.clongdouble), "complex128"),
    (np.zeros(2, [("a", np.longdouble)]), "float64"),
    (np.zeros(2, [("a", ml_dtypes.bfloat16)]), "field of its own"),
    (np.zeros(2, "V0"), "no bytes"),
    (np.array([None]), "numbers or text"),
    (np.array(["a"], np.dtypes.StringDType()), "numbers or text"),
    (np.zeros(1, [(f"a field with a long name {n}", "f4") for n in range(1500)]), "several arrays"),
    (np.zeros(1, np.dtype({"names": ["a", "b"], "formats": ["i4", "i1"], "offsets": [0, 0]})), "overlapping"),
]


@pytest.mark.parametrize(("array", "word"), REFUSED)
def test_an_array_that_would_come_back_different_is_refused(array: np.ndarray[Any, Any], word: str) -> None:
    """Typed, untyped and nested; the error names the field and what to do."""
    for sample in (class_of("array")(x=array), {"x": array}, {"x": [1, array]}, {"x": {"y": array}}):
        with pytest.raises(InvalidSample, match="field 'x'") as caught:
            pack(sample)
        assert word in str(caught.value)


def test_numpys_own_file_of_such_an_array_is_read_by_the_dtype_of_the_schema() -> None:
    """``numpy.save`` writes bfloat16 as raw bytes; the schema says what they are."""
    array = np.arange(3).astype(ml_dtypes.bfloat16)
    file = io.BytesIO()
    np.save(file, array)
    packed = msgpack.packb({"x": file.getvalue()})
    for validate in (False, True):
        assert same(unpack(class_of("array[bfloat16]"), packed, validate=validate).x, array)
    assert unpack(DictSample, packed)["x"].dtype == np.dtype("V2")


def test_numpy_reads_what_is_written_once_ml_dtypes_is_imported() -> None:
    array = np.arange(6).reshape(2, 3).astype(ml_dtypes.float8_e4m3fn)
    raw = msgpack.unpackb(pack({"x": array}))["x"]
    assert same(np.load(io.BytesIO(raw)), array)


def test_without_ml_dtypes_only_such_arrays_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = pack({"x": np.ones(2, ml_dtypes.int4), "y": np.ones(2, np.uint8)})

    class Other(PackableSample):
        y: NDArray[np.uint8]

    for module in ("ml_dtypes", "ml_dtypes._ml_dtypes_ext"):
        monkeypatch.setitem(__import__("sys").modules, module, None)
    monkeypatch.setattr("catalog.samples.arrays._known", {})
    for cls in (DictSample, class_of("array[int4]")):
        read = {"x": msgpack.unpackb(packed)["x"]} if cls is not DictSample else msgpack.unpackb(packed)
        with pytest.raises(MissingExtra, match="field 'x'") as caught:
            unpack(cls, msgpack.packb(read))
        assert "ml-dtypes" in (caught.value.hint or "")
    assert unpack(Other, packed).y.tolist() == [1, 1]


SAFE = ("bfloat16", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu")


@pytest.mark.parametrize("format_", ["safetensors", "arrowTensor"])
@pytest.mark.parametrize("name", NAMES)
def test_other_array_formats_give_back_what_they_take(name: str, format_: str) -> None:
    type_ = Array(format=format_)  # type: ignore[arg-type]
    other: Any = class_from(SampleType(name="One", version="1.0.0", fields=(Field(name="x", type=type_),)))
    array = np.frombuffer(bytes(64) if name == "U5" else bytes(range(48, 112)), dtype_of(name), 2).reshape(1, 2)
    array = (array != 0) if name == "bool" else array
    value: Any = {"x": array} if format_ == "safetensors" else array
    try:
        packed = pack(other(x=value))
    except InvalidSample as error:
        assert "field 'x'" in str(error)  # refused, or the same
        assert name not in (SAFE if format_ == "safetensors" else ("float32", "int64"))
        return
    found = unpack(other, packed).x
    if name == "bool" and format_ == "arrowTensor":
        found = found.astype(bool)  # Arrow has no tensors of truth values
    assert same(found["x"] if format_ == "safetensors" else found, array)


class Half(PackableSample):
    """Annotated with a class of the package."""

    x: NDArray[ml_dtypes.bfloat16]


def test_a_class_with_a_dtype_of_ml_dtypes_reads_what_it_writes() -> None:
    sample = Half(x=np.array([1.5, np.nan], ml_dtypes.bfloat16))
    assert type_text(sample_type(Half).fields[0].type) == "array[bfloat16]"
    assert unpack(Half, pack(sample), validate=True) == sample


# --- maps ----------------------------------------------------------------------------------------------------


class Mapped(PackableSample):
    meta: dict[str, Any]
    more: list[dict[str, Any]] | None = None


@settings(max_examples=50)
@given(st.dictionaries(texts, json_values, max_size=4), st.none() | st.lists(st.dictionaries(texts, json_values)))
def test_a_map_comes_back_equal(meta: dict[str, Any], more: list[dict[str, Any]] | None) -> None:
    sample = Mapped(meta=meta, more=more)
    packed = pack(sample)
    for validate in (False, True):
        assert unpack(Mapped, packed, validate=validate) == sample
    assert unpack(DictSample, packed)["meta"] == meta
    assert list(unpack(Mapped, packed).meta) == list(meta)


@pytest.mark.parametrize(
    ("inner", "place"),
    [(b"x", "['a']"), ([1, {2}], "['a'][1]"), ({1: 2}, "the key 1"), (2**70, "64 bits"), (np.ones(2), "ndarray"),
     (datetime(2026, 1, 1, tzinfo=UTC), "datetime"), (1j, "complex")],
)  # fmt: skip
def test_a_map_of_more_than_json_is_refused_with_the_place(inner: object, place: str) -> None:
    with pytest.raises(InvalidSample, match="field 'meta'") as caught:
        pack(Mapped(meta={"a": inner}))
    assert place in str(caught.value)


def test_validation_reads_the_whole_map() -> None:
    packed = msgpack.packb({"meta": {"a": [b"x"]}})
    assert unpack(Mapped, packed).meta == {"a": [b"x"]}
    with pytest.raises(InvalidSample, match="field 'meta'"):
        unpack(Mapped, packed, validate=True)
    with pytest.raises(InvalidSample, match="expected map, found list"):
        unpack(Mapped, msgpack.packb({"meta": [1]}))


def test_arrays_in_untyped_maps_come_back_as_arrays() -> None:
    array = np.arange(3)
    assert same(unpack(DictSample, pack({"x": {"y": [array]}}))["x"]["y"][0], array)


# --- datetimes -----------------------------------------------------------------------------------------------


class Timed(PackableSample):
    when: datetime
    also: list[datetime] | None = None


@given(st.datetimes(timezones=zones), st.none() | st.lists(st.datetimes(timezones=zones), max_size=3))
def test_a_datetime_comes_back_equal_with_its_offset(when: datetime, also: list[datetime] | None) -> None:
    sample = Timed(when=when, also=also)
    packed = pack(sample)
    for validate in (False, True):
        found = unpack(Timed, packed, validate=validate)
        assert found == sample
        assert found.when.utcoffset() == when.utcoffset()
    text = unpack(DictSample, packed)["when"]
    assert datetime.fromisoformat(text) == when


@pytest.mark.parametrize(
    ("when", "word"),
    [(datetime(2026, 1, 1), "time zone"), (date(2026, 1, 1), "isoformat"), ("2026-01-01", "expected datetime")],  # noqa: DTZ001
)
def test_what_is_no_datetime_with_a_zone_is_refused(when: Any, word: str) -> None:  # noqa: ANN401
    with pytest.raises(InvalidSample, match="field 'when'") as caught:
        pack(Timed(when=when))
    assert word in str(caught.value)


def test_an_offset_with_seconds_is_written_in_utc() -> None:
    when = datetime(1900, 1, 1, tzinfo=timezone(timedelta(hours=1, seconds=7)))
    assert unpack(DictSample, pack(Timed(when=when)))["when"] == "1899-12-31T22:59:53+00:00"
    assert unpack(Timed, pack(Timed(when=when))).when == when


def test_text_without_an_offset_is_refused_only_by_validation() -> None:
    packed = msgpack.packb({"when": "2026-01-01T10:00:00"})
    assert unpack(Timed, packed).when.tzinfo is None
    with pytest.raises(InvalidSample, match=r"field 'when'.*2026-01-01T10"):
        unpack(Timed, packed, validate=True)
    with pytest.raises(InvalidSample, match=r"field 'when'.*yesterday"):
        unpack(Timed, msgpack.packb({"when": "yesterday"}))


# --- media types ---------------------------------------------------------------------------------------------


class Pictures(PackableSample):
    raw: Annotated[bytes, Media("image/jpeg")]
    image: Image.Image
    pixels: Annotated[NDArray[np.uint8], Media("image/png")]
    sound: Annotated[bytes, Media("audio/flac")] | None = None
    several: list[Annotated[bytes, Media("image/png")]] | None = wire("more images", default=None)


def jpeg(side: int = 16) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.arange(side * side * 3, dtype=np.uint8).reshape(side, side, 3)).save(file, "JPEG")
    return file.getvalue()


def test_bytes_of_images_stay_bytes_and_decode_on_request() -> None:
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    sample = Pictures(raw=jpeg(), image=Image.fromarray(pixels), pixels=pixels, sound=b"fLaC", several=[jpeg(2)])
    for validate in (False, True):
        found = unpack(Pictures, pack(sample), validate=validate)
        assert found == sample
        assert isinstance(found.raw, ImageBytes)
        assert found.raw == jpeg()
        assert found.raw.image().size == (16, 16)
        assert np.asarray(found.image).tolist() == found.pixels.tolist() == pixels.tolist()
        assert type(found.sound) is bytes
        assert pack(found) == pack(sample)


def test_the_class_of_the_record_has_bytes_for_each_image() -> None:
    fields = sample_type(Pictures).fields
    assert [type_text(field.type, optional=field.optional) for field in fields] == [
        "bytes[image/jpeg]", "bytes[image/*]", "bytes[image/png]", "bytes[audio/flac]?", "list[bytes[image/png]]?",
    ]  # fmt: skip
    body = write_body(sample_type(Pictures))
    assert body["properties"]["raw"] == {  # type: ignore[call-overload, index]
        "type": "string", "format": "byte", "contentEncoding": "base64", "contentMediaType": "image/jpeg",
    }  # fmt: skip
    assert read_body(body) == fields
    pixels = np.zeros((4, 4, 3), np.uint8)
    sample = Pictures(raw=jpeg(), image=Image.fromarray(pixels), pixels=pixels)
    there: Any = unpack(class_from(sample_type(Pictures)), pack(sample))
    assert there.raw.image().size == (16, 16)
    assert there.image.image().size == (4, 4)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_an_image_of_each_lossless_mode_comes_back_equal(mode: str) -> None:
    class One(PackableSample):
        x: Image.Image

    image = Image.new(mode, (5, 3), 1)
    assert unpack(One, pack(One(x=image))) == One(x=image)


@pytest.mark.parametrize(
    ("change", "word"),
    [({"image": Image.new("CMYK", (2, 2))}, "convert"), ({"image": Image.new("F", (2, 2))}, "convert"),
     ({"raw": Image.new("RGB", (2, 2))}, "found Image"), ({"pixels": np.zeros((2, 2, 7), np.uint8)}, "height"),
     ({"pixels": np.zeros((2, 2), np.complex64)}, "height"), ({"image": "x.png"}, "found str")],
)  # fmt: skip
def test_an_image_that_would_change_is_refused(change: dict[str, Any], word: str) -> None:
    good: dict[str, Any] = {"raw": b"", "image": Image.new("L", (2, 2)), "pixels": np.zeros((2, 2), np.uint8)}
    with pytest.raises(InvalidSample, match=f"field '{next(iter(change))}'") as caught:
        pack(Pictures(**good | change))
    assert word in str(caught.value)


def test_an_image_is_not_encoded_with_loss() -> None:
    class Lossy(PackableSample):
        x: Annotated[Image.Image, Media("image/jpeg")]

    with pytest.raises(InvalidSample, match=r"field 'x'.*image/jpeg"):
        pack(Lossy(x=Image.new("L", (2, 2))))
    assert unpack(Lossy, pack(Lossy(x=jpeg()))).x.size == (16, 16)


def test_damaged_images_are_an_error_when_decoded() -> None:
    with pytest.raises(InvalidSample, match="can't be decoded"):
        ImageBytes(jpeg()[:200]).image()
    with pytest.raises(InvalidSample, match="field 'image'"):
        unpack(Pictures, msgpack.packb({"raw": b"x", "image": b"x", "pixels": b"x"}))


@pytest.mark.parametrize("hint", [Annotated[str, Media("text/plain")], Annotated[Image.Image, Media("audio/flac")]])
def test_a_media_type_belongs_to_bytes(hint: object) -> None:
    made = type("Made", (PackableSample,), {"__annotations__": {"bad": hint}, "__module__": __name__})
    with pytest.raises(InvalidSchema, match="bad"):
        sample_type(made)


@pytest.mark.parametrize("text", ["jpeg", "", "image/", "image/jpeg/x", "image/\n"])
def test_what_is_no_media_type_is_refused(text: str) -> None:
    with pytest.raises(InvalidSchema, match="media type"):
        Media(text)


# --- untyped samples and inference ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "word"),
    [(datetime(2026, 1, 1, tzinfo=UTC), "isoformat"), (date(2026, 1, 1), "isoformat"), (timedelta(1), "total_seconds"),
     (decimal.Decimal("1.1"), "str"), ({1}, "sorted"), (1j, "asarray"), (2**70, "str"),
     (np.datetime64("2026"), "asarray"), (np.longdouble(1), "asarray"),
     (ml_dtypes.bfloat16(1), "asarray"), (Image.new("L", (1, 1)), "bytes"),
     ("\ud800", "surrogates"), (object(), "can't be stored")],
)  # fmt: skip
def test_a_value_that_would_come_back_different_is_refused_with_its_field(value: object, word: str) -> None:
    for sample in ({"ok": 1, "x": value}, {"x": [value]}, {"x": {"y": value}}):
        with pytest.raises(InvalidSample, match="field 'x'") as caught:
            pack(sample)
        assert word in str(caught.value)


def test_a_name_that_is_no_text_is_refused() -> None:
    with pytest.raises(InvalidSample, match="field names"):
        pack({1: 2})


def test_types_are_inferred() -> None:
    png = io.BytesIO()
    Image.new("L", (1, 1)).save(png, "PNG")
    found = inferred(
        {"m": {"a": 1}, "j": jpeg(), "mixed": jpeg(), "any": jpeg(), "t": "x", "f": 1.0, "bad": {"a": b"x"}},
        {"m": {}, "j": jpeg(), "mixed": png.getvalue(), "any": b"x", "t": float("nan"), "f": float("nan"),
         "bad": {}, "n": float("nan")},
    )  # fmt: skip
    assert found == {
        "m": "map", "j": "bytes[image/jpeg]", "mixed": "bytes[image/*]", "any": "bytes", "f": "float", "n": "float?",
        "t": "str?",
        "bad": "a map of more than JSON values: ['a'] is of type bytes",
    }  # fmt: skip


def test_each_scalar_has_its_json_schema() -> None:
    kinds = {"map": {"type": "object"}, "datetime": {"type": "string", "format": "date-time"}}
    for kind, schema in kinds.items():
        body = write_body(SampleType(name="x", version="1.0.0", fields=(Field(name="x", type=parse_type(kind)[0]),)))
        assert body["properties"] == {"x": schema}
        assert read_body(body)[0].type == Scalar(kind=kind)  # type: ignore[arg-type]
