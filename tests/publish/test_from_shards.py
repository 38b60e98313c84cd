"""From real shards to the first draft of a manifest: what it says is so, and it is valid as it stands."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click
import msgpack
import numpy as np
import pyarrow as pa
import pytest
import yaml
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pyarrow import parquet
from scipy import sparse

from catalog import Dataset
from catalog.cli import cli
from catalog.cli.common import write_file
from catalog.config import NetworkSettings
from catalog.errors import CatalogError, InvalidArray, InvalidSample, InvalidShard
from catalog.manifest import ManifestSet, load
from catalog.manifest.drafts import BucketDraft
from catalog.publish import manifest_yaml
from catalog.publish.checksums import with_checksums
from catalog.publish.infer_manifest import sketch
from catalog.publish.manifest_yaml import as_yaml
from catalog.samples import array_formats as formats
from catalog.samples.arrays import decode_array, encode_array
from catalog.samples.inference import Inference
from catalog.samples.packable import class_from, pack, unpack
from catalog.samples.write_shards import write_shards
from catalog.schema import MAX_FIELDS, Array, Field, FieldType, List, SampleType, Scalar, type_text
from tests import forked
from tests.shards.test_tar import tar_of
from tests.strategies import texts, typed_samples

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from click.testing import Result

    from tests.conftest import HttpsServer

LOOPBACK = NetworkSettings(allow_loopback=True)
STR, INT, FLOAT, BOOL, BYTES = (Scalar(kind=kind) for kind in ("str", "int", "float", "bool", "bytes"))


def inferred(*samples: dict[str, Any]) -> dict[str, tuple[FieldType, bool]]:
    """Field name → (type, whether it is optional)."""
    return {field.name: (field.type, field.optional) for field in gathered(*samples).fields}


def gathered(*samples: dict[str, Any]) -> Inference:
    seen = Inference()
    for sample in samples:
        seen.add(pack(sample), "k")
    return seen


def drafted(folder: Path, *places: str, **options: Any) -> tuple[str, ManifestSet]:  # noqa: ANN401
    """The text of the manifest, and what our own parser makes of it."""
    text = as_yaml(sketch(places, settings=LOOPBACK, **options), folder)
    (folder / "drafted.yaml").write_text(text, encoding="utf-8")
    return text, load([folder / "drafted.yaml"])


# --- there and back ------------------------------------------------------------------------------------------


@st.composite
def _witnessed(draw: st.DrawFn, depth: int = 0) -> tuple[FieldType, list[Any]]:
    """A type, and two values that together show all of it."""
    kind = draw(st.sampled_from(["str", "int", "float", "bool", "bytes", "array", "array", *["list"] * (depth < 2)]))
    if kind == "list":
        item, values = draw(_witnessed(depth + 1))
        return List(item=item), [values, draw(st.sampled_from([[], values[:1], values]))]
    if kind == "array":
        return draw(_witnessed_arrays())
    pair = {
        "str": st.tuples(texts, texts), "int": st.tuples(*[st.integers(-(2**63), 2**63)] * 2),
        "float": st.tuples(st.floats(allow_nan=False), st.floats(allow_nan=False) | st.integers(-5, 5)),
        "bool": st.tuples(st.booleans(), st.booleans()), "bytes": st.tuples(_plain_bytes, _plain_bytes),
    }[kind]  # fmt: skip
    scalars: dict[str, FieldType] = {"str": STR, "int": INT, "float": FLOAT, "bool": BOOL, "bytes": BYTES}
    return scalars[kind], list(draw(pair))


@st.composite
def _witnessed_arrays(draw: st.DrawFn) -> tuple[FieldType, list[Any]]:
    shape = draw(st.none() | st.lists(st.none() | st.integers(0, 4), min_size=1, max_size=3).map(tuple))
    dtypes = draw(st.sampled_from([("uint8", "uint8"), ("float32", ">f4"), ("bool", "bool"), ("int16", "complex64")]))
    shapes = [(3,), (2, 2)] if shape is None else [tuple(2 + way if n is None else n for n in shape) for way in (0, 1)]
    values = [np.zeros(length, dtype) for length, dtype in zip(shapes, dtypes, strict=True)]
    dtype = None if dtypes[0] == "int16" else dtypes[0]
    return Array(dtype=dtype, shape=shape), values


def _is_array(raw: bytes) -> bool:
    try:
        decode_array(raw)
    except InvalidArray:
        return False
    return True


_plain_bytes = st.binary(max_size=40).filter(lambda raw: not _is_array(raw))


@st.composite
def _classes(draw: st.DrawFn) -> tuple[SampleType, list[dict[str, Any]]]:
    names = draw(
        st.lists(texts.filter(lambda name: name.strip() and name != "__proto__"), min_size=1, max_size=6, unique=True)
    )
    fields, pairs = [], []
    for name in names:
        type_, values = draw(_witnessed())
        optional = draw(st.booleans())
        fields.append(Field(name=name, type=type_, optional=optional))
        pairs.append([*values, None if optional else values[0]])
    order = draw(st.permutations(range(3)))
    samples = [{name: pair[number] for name, pair in zip(names, pairs, strict=True)} for number in order]
    return SampleType(name="Made", version="1.0.0", fields=tuple(fields)), samples


@given(made=_classes(), name=st.none() | texts.filter(lambda text: 0 < len(text.strip().encode()) <= 200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_a_class_written_to_shards_comes_back_with_the_same_fields(
    tmp_path: Path, made: tuple[SampleType, list[dict[str, Any]]], name: str | None
) -> None:
    """Class → shards → draft → manifest: names, types, what is optional, and their order."""
    wanted, samples = made
    cls = class_from(wanted)
    attributes = list(cls.__dataclass_fields__)  # every made class is a dataclass
    by_name = {
        field.name: attribute for field, attribute in zip(wanted.fields, _attributes(wanted, attributes), strict=True)
    }
    written = [cls(**{by_name[key]: value for key, value in sample.items()}) for sample in samples]
    shards = write_shards(written, tmp_path / "made-%06d.tar", maxcount=2)
    text, found = drafted(tmp_path, *(str(shard.path) for shard in shards), name=name)
    [schema], [dataset] = found.schemas, found.datasets
    assert schema.sample_type.fields == wanted.fields, text
    assert [(one.sha256, one.bytes) for one in dataset.shards] == [(one.sha256, one.bytes) for one in shards]
    assert (dataset.samples, dataset.name) == (3, name or "made")
    assert with_checksums(found, read_urls=False, settings=LOOPBACK) == found


def _attributes(wanted: SampleType, attributes: list[str]) -> Iterator[str]:
    from catalog.schema.identifiers import attribute_names

    names = attribute_names(field.name for field in wanted.fields)
    assert sorted(names.values()) == sorted(attributes)
    return (names[field.name] for field in wanted.fields)


ODD_NAMES = (
    "<<", "=", "~", "null", "true", "1", "1.0", "0x1", "1:2", "2020-01-01", "!!str", "&a", "*a", "%x", "@x", "`x",
    "{a}", "[a]", "'", '"', "\\", "a\nb", "a\tb", "\x7f", "a\x85b", "a\u2028b", "\ufeff", "a: b", "? x", "- x", "#x",
    "a #b", " a", "a ", "--- x", "😀" * 1000, "x" * 1000, "x y" * 200, "é", "\ud7ff", "TODO", "__proto", "|", ">", ",",
    ":", "-", "?", "...", "type", "\0",
)  # fmt: skip


def test_every_name_of_a_field_can_stand_in_a_manifest(tmp_path: Path) -> None:
    """All that YAML takes for something else, as a short field and as one with a map."""
    for value in (1, np.zeros((2, 2))):
        raw = pack(dict.fromkeys(ODD_NAMES, value))
        (tmp_path / "a.tar").write_bytes(tar_of(("0.msgpack", raw)))
        _, found = drafted(tmp_path, str(tmp_path / "a.tar"))
        assert [field.name for field in found.schemas[0].sample_type.fields] == list(ODD_NAMES)


@given(typed_samples(), st.data())
def test_every_sample_that_was_looked_at_can_be_read_by_what_was_inferred(
    made: tuple[SampleType, dict[str, Any]], data: st.DataObject
) -> None:
    """With dtypes and shapes checked; whatever else was among them."""
    sample = {name: _on_the_wire(value) for name, value in made[1].items()}
    changed = {
        name: data.draw(st.sampled_from([value, None, 1, 2.5, "x", b"x", [1], []])) for name, value in sample.items()
    }
    raws = [pack(sample), pack(changed)]
    seen = Inference()
    for raw in raws:
        seen.add(raw, "k")
    cls = class_from(SampleType(name="S", version="1.0.0", fields=seen.fields))
    for raw in raws:
        unpack(cls, raw, validate=True)


def _on_the_wire(value: Any) -> Any:  # noqa: ANN401
    """Return a value as a sample without a type has it: a datetime is text."""
    if isinstance(value, list):
        return [_on_the_wire(item) for item in value]
    return value.isoformat() if isinstance(value, datetime) else value


_anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=5)
    | st.binary(max_size=9)
    | hnp.arrays(
        st.sampled_from(["u1", "f4", ">i2", "U3", "M8[s]"]), hnp.array_shapes(min_dims=0, min_side=0, max_side=3)
    ).map(encode_array)
    | st.just(msgpack.ExtType(5, b"x")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip


@given(
    samples=st.lists(st.dictionaries(texts, _anything, max_size=4), max_size=4), raw=st.none() | st.binary(max_size=30)
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_samples_give_a_valid_manifest_or_our_own_error(
    tmp_path: Path, samples: list[dict[str, Any]], raw: bytes | None
) -> None:
    raws = [*map(msgpack.packb, samples), *([] if raw is None else [raw])]
    (tmp_path / "a.tar").write_bytes(tar_of(*((f"{number}.msgpack", one) for number, one in enumerate(raws))))
    try:
        _, found = drafted(tmp_path, str(tmp_path / "a.tar"))
    except CatalogError as error:
        assert str(error).isprintable()
        return
    cls = class_from(found.schemas[0].sample_type)
    for one in raws:
        unpack(cls, one, validate=True)


# --- types ---------------------------------------------------------------------------------------------------


def test_what_samples_have_in_common_is_their_type() -> None:
    """Numbers widen, dtypes and lengths open, what is missing somewhere is optional."""
    one = {
        "n": 1, "x": 1, "t": "a", "b": True, "raw": b"x", "image": np.zeros((2, 3, 4), np.uint8),
        "mask": np.zeros((2, 2), np.uint8), "point": np.array(3.5), "l": [1, 2], "ll": [[], [1.5]],
        "gone": 1, "none": 2, "bags": [np.zeros(2), np.zeros(3)], "either": np.zeros(2),
        "rank": np.zeros(2), "big": np.zeros(2, ">f8"),
    }  # fmt: skip
    two = {
        **one, "x": 0.5, "image": np.zeros((2, 5, 4), np.uint8), "mask": np.zeros((2, 2), np.int8), "none": None,
        "l": [], "ll": [[1]], "either": b"no array", "rank": np.zeros((2, 2)), "later": "y",
    }  # fmt: skip
    del two["gone"]
    assert inferred(one, two) == {
        "n": (INT, False), "x": (FLOAT, False), "t": (STR, False), "b": (BOOL, False), "raw": (BYTES, False),
        "image": (Array(dtype="uint8", shape=(2, None, 4)), False), "mask": (Array(shape=(2, 2)), False),
        "point": (Array(dtype="float64"), False), "l": (List(item=INT), False),
        "ll": (List(item=List(item=FLOAT)), False),
        "gone": (INT, True), "none": (INT, True), "bags": (List(item=Array(dtype="float64", shape=(None,))), False),
        "either": (BYTES, False), "rank": (Array(dtype="float64"), False),
        "big": (Array(dtype="float64", shape=(2,)), False),
        "later": (STR, True),
    }  # fmt: skip


def test_nan_is_a_missing_value_where_other_samples_have_no_number() -> None:
    nan = float("nan")
    rows: list[dict[str, Any]] = [
        {"s": "x", "f": 1, "n": nan, "b": True, "__key__": "a"},
        {"s": nan, "f": nan, "n": nan, "b": nan, "__key__": "b"},
        {"s": None, "f": 2, "n": None, "b": False, "__key__": "c"},
    ]
    assert inferred(*rows) == {"s": (STR, True), "f": (FLOAT, False), "n": (FLOAT, True), "b": (BOOL, True)}
    assert inferred(*reversed(rows)) == inferred(*rows)
    assert [left.name for left in gathered(*rows).left_out] == ["__key__"]
    assert gathered(*rows).present("s") == 1


def test_a_field_stands_where_the_samples_that_have_it_have_it() -> None:
    seen = gathered({"a": 1, "d": 1}, {"a": 1, "c": 1, "d": 1, "e": 1}, {"z": 1, "a": 1, "b": 1, "c": 1, "d": 1})
    assert [field.name for field in seen.fields] == ["z", "a", "b", "c", "d", "e"]


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ([{"a": b"x"}], "a map of more than JSON values: ['a'] is of type bytes"),
        ([{"a": 1}, "x"], "map here, str there"),
        ([1, "x"], "int here, str there"),
        ([True, 1], "bool here, int there"),
        ([[1], "x"], "a list here, str there"),
        ([[1, "x"]], "int here, str there"),
        ([[None]], "a list with empty items"),
        ([[], [[]]], "its lists are always empty"),
        ([None], "it never has a value"),
        ([[[[[[[[[[[1]]]]]]]]]]], "lists in lists, more than 8 deep"),
        ([msgpack.ExtType(1, b"")], "it is of a kind that only some programs know"),
    ],
)
def test_what_no_type_speaks_of_is_left_out_with_the_reason(values: list[Any], why: str) -> None:
    seen = gathered(*({"odd": value, "even": 1} for value in values))
    assert [(one.name, one.why) for one in seen.left_out] == [("odd", why)]
    assert [field.name for field in seen.fields] == ["even"]


def test_every_form_of_an_array_is_known_by_its_bytes() -> None:
    table = np.array([(1, 2.5)], dtype=[("a", "<i4"), ("b", "<f8")])
    compact = b"\x03|u1\x02" + np.array([2, 3]).tobytes() + bytes(6)
    values = {
        "sparse": formats.encode(Array(format="sparseBytes"), sparse.csr_array(np.eye(3, dtype="f4"))),
        "arrow": formats.encode(Array(format="arrowTensor"), np.zeros((2, 5), np.int16)),
        "safe": formats.encode(Array(format="safetensors"), {"w": np.zeros(2)}),
        "table": encode_array(table), "compact": compact, "zip": b"PK\x03\x04 no", "ff": b"\xff" * 40,
    }  # fmt: skip
    assert inferred(values) == {
        "sparse": (Array(dtype="float32", shape=(3, 3), format="sparseBytes"), False),
        "arrow": (Array(dtype="int16", shape=(2, 5), format="arrowTensor"), False),
        "safe": (Array(format="safetensors"), False),
        "table": (Array(shape=(1,), format="structuredBytes"), False),
        "compact": (Array(dtype="uint8", shape=(2, 3)), False),
        "zip": (BYTES, False), "ff": (BYTES, False),
    }  # fmt: skip
    mixed = {**values, "arrow": values["sparse"], "table": encode_array(np.zeros(2))}
    assert inferred(values, mixed)["arrow"] == (BYTES, False)
    assert inferred(values, mixed)["table"] == (Array(shape=(None,)), False)


def test_forms_are_in_the_manifest_and_a_missing_library_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = formats.encode(Array(format="sparseBytes"), sparse.csr_array(np.eye(3, dtype="f4")))
    write_shards([{"m": raw}], tmp_path / "a-%d.tar")
    text, found = drafted(tmp_path, str(tmp_path / "a-0.tar"))
    assert found.schemas[0].sample_type.fields[0].type == Array(dtype="float32", shape=(3, 3), format="sparseBytes")
    assert "format: sparseBytes" in text
    monkeypatch.setitem(sys.modules, "scipy.sparse", None)
    text, found = drafted(tmp_path, str(tmp_path / "a-0.tar"))
    assert found.schemas[0].sample_type.fields[0].type == BYTES
    assert re.search("# Some bytes may be arrays: .*scipy", text)


def test_a_map_with_a_key_for_each_item_is_no_sample() -> None:
    seen = Inference()
    with pytest.raises(InvalidSample, match=r"more than 10,000 field names .is this a map with a key for each item"):
        seen.add(msgpack.packb({str(number): 1 for number in range(500_000)}), "k")
    assert len(seen._columns) == MAX_FIELDS + 1  # the rest of the names is not looked at
    Inference().add(msgpack.packb({str(number): 1 for number in range(MAX_FIELDS)}), "k")


def test_a_long_list_is_looked_at_by_its_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not item by item."""
    looked: list[int] = []
    seen = Inference._seen

    def note(self: Inference, value: object, depth: int) -> object:
        looked.append(depth)
        return seen(self, value, depth)

    monkeypatch.setattr(Inference, "_seen", note)
    assert inferred({"l": [1] * 999_999 + [0.5]}) == {"l": (List(item=FLOAT), False)}
    assert looked == [0]


# --- shards --------------------------------------------------------------------------------------------------


def numbers(folder: Path, count: int = 7, per_shard: int = 3, name: str = "n") -> list[str]:
    samples = ({"value": number, **({"half": 0.5} if number > 3 else {})} for number in range(count))
    return [str(shard.path) for shard in write_shards(samples, folder / f"{name}-%06d.tar", maxcount=per_shard)]


def test_patterns_of_files_are_looked_for(tmp_path: Path) -> None:
    """Braces, stars, names; each file once, in order."""
    paths = numbers(tmp_path)
    pattern, star = str(tmp_path / "n-{000000..000002}.tar"), str(tmp_path / "n-*.tar")
    found = sketch([pattern, star, paths[0]], settings=LOOPBACK)
    assert [str(shard.local) for shard in found.shards] == paths
    assert [shard.samples for shard in found.shards] == [3, 3, 1]
    assert [shard.sha256 for shard in found.shards] == [
        hashlib.sha256((tmp_path / path).read_bytes()).hexdigest() for path in paths
    ]
    assert (found.name, found.samples) == ("n", 7)


def test_what_shards_do_not_hold_can_be_said(tmp_path: Path) -> None:
    """The name of the class and of the axes; then there is nothing to do about them."""
    data = {"image": np.zeros((2, 8, 8), "uint8"), "label": 1, "line": np.zeros(3)}
    (tmp_path / "a.tar").write_bytes(tar_of(("0.msgpack", pack(data))))
    plain, _ = drafted(tmp_path, str(tmp_path / "a.tar"))
    assert "# TODO: the name of your class" in plain
    assert plain.count("# TODO: what its axes are") == 2
    place = str(tmp_path / "a.tar")
    done = run(tmp_path, place, "-o", "a.yaml", "--schema", "Digit", "--dims", "image=time,y,x", "--dims", "line=point")
    assert done.exit_code == 0, done.output
    text = (tmp_path / "a.yaml").read_text(encoding="utf-8")
    assert "name of your class" not in text
    assert "axes" not in text
    [schema] = load([tmp_path / "a.yaml"]).schemas
    assert schema.sample_type.name == "Digit"
    types = {field.name: field.type for field in schema.sample_type.fields}
    assert types["image"] == Array(dtype="uint8", shape=(2, 8, 8), dimensions=("time", "y", "x"))
    assert types["line"] == Array(dtype="float64", shape=(3,), dimensions=("point",))


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--dims", "image"], 2, "FIELD=AXES"),
        (["--dims", "image=y,,x"], 2, "FIELD=AXES"),
        (["--dims", "n=y"], 1, "1 names for the axes of 'n', which has no fixed number of axes"),
        (["--dims", "m=y"], 1, "no field is called 'm'"),
        (["--dims", "x=y,x"], 1, "2 names for the axes of 'x', which has 1"),
        (["--schema", "no name"], 2, "--schema"),
        (["--region", "eu-west-1"], 1, "for shards in a bucket"),
    ],
)
def test_what_is_said_wrongly_is_told(tmp_path: Path, arguments: list[str], code: int, words: str) -> None:
    (tmp_path / "a.tar").write_bytes(tar_of(("0.msgpack", pack({"n": 1, "x": np.zeros(3)}))))
    told = run(tmp_path, "a.tar", *arguments)
    assert words in (told.output if code == 2 else str(told.exception))
    assert told.exit_code == code


def test_files_that_will_be_in_a_bucket_have_keys(tmp_path: Path) -> None:
    """As they are, unescaped; with the bucket's region."""
    numbers(tmp_path, name="a b")
    place = str(tmp_path / "a b-*.tar")
    _, found = drafted(tmp_path, place, url_prefix="s3://open-data/x", region="eu-west-1")
    [dataset] = found.datasets
    assert dataset.bucket == BucketDraft(name="open-data", region="eu-west-1")
    assert [shard.url for shard in dataset.shards] == [f"x/a b-00000{number}.tar" for number in range(3)]
    assert all(shard.local is not None and shard.sha256 for shard in dataset.shards)


def test_what_stands_behind_the_end_of_a_tar_is_hashed_too(tmp_path: Path) -> None:
    raw = tar_of(("0.msgpack", msgpack.packb({"a": 1}))) + bytes(200_000)
    (tmp_path / "a.tar").write_bytes(raw)
    [shard] = sketch([str(tmp_path / "a.tar")], settings=LOOPBACK).shards
    assert (shard.sha256, shard.bytes) == (hashlib.sha256(raw).hexdigest(), len(raw))


def test_only_so_many_samples_are_looked_at_and_all_are_counted(tmp_path: Path) -> None:
    numbers(tmp_path)
    text, found = drafted(tmp_path, str(tmp_path / "n-*.tar"), samples_per_shard=1)
    assert "# 3 shards with 7 samples, 3 of which were looked at." in text
    assert "half: float?  # in 1 of 3 samples" in text
    assert found.datasets[0].samples == 7


def test_files_get_the_address_where_they_will_be(tmp_path: Path) -> None:
    numbers(tmp_path, name="a b")
    place = str(tmp_path / "a b-*.tar")
    for prefix in ("https://data.example/x", "https://data.example/x/"):
        _, found = drafted(tmp_path, place, url_prefix=prefix)
        assert found.datasets[0].shards[0].url == "https://data.example/x/a%20b-000000.tar"
    text, found = drafted(tmp_path, place)
    assert found.datasets[0].shards[0].url.startswith("https://change-me.example/")
    assert "# TODO: where the shards will be" in text


def test_shards_at_an_address_are_read_there(
    tmp_path: Path, https_server: Callable[[Path], HttpsServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They have no local copy then; files and addresses may be mixed."""
    here, there = tmp_path / "here", tmp_path / "there"
    [local] = numbers(here, per_shard=9)
    numbers(there)
    server = https_server(there)
    monkeypatch.setenv("SSL_CERT_FILE", str(server.authority))
    _, found = drafted(tmp_path, f"{server.url}/n-{{000000..000002}}.tar", local, url_prefix="https://data.example/x")
    shards = found.datasets[0].shards
    assert [shard.url for shard in shards] == [
        *(f"{server.url}/n-00000{number}.tar" for number in range(3)), "https://data.example/x/n-000000.tar",
    ]  # fmt: skip
    assert [shard.local is None for shard in shards] == [True, True, True, False]
    assert found.datasets[0].samples == 14
    assert with_checksums(found, read_urls=True, settings=LOOPBACK) == found


JPEG = tar_of(("0.jpg", b"\xff\xd8"), ("0.cls", b"3"), ("1.jpg", b"\xff\xd8"), ("1.cls", b"4"), ("1.meta.json", b"{}"))


@pytest.mark.parametrize(
    ("files", "places", "words"),
    [
        (
            {"a.tar": tar_of(*((f"{n}", b"x") for n in range(2000)))[:1_500_000]},
            ["a.tar"],
            "no member is a sample",
        ),
        ({"a.tar": tar_of()}, ["a.tar"], r"a\.tar: there is no sample in it"),
        ({"a.tar": tar_of(("0.msgpack", b"\x93\1\2\3"))}, ["a.tar"], r"a\.tar, sample 0: the sample is not a map"),
        ({"a.tar": tar_of(("0.msgpack", b"{}"))}, ["a.tar"], r"a\.tar, sample 0: the sample is not msgpack"),
        (
            {"a.tar": tar_of(("0.msgpack", b"\x80"))},
            ["a.tar"],
            "no field of these samples has a type: the samples are empty",
        ),
        ({"a.tar": tar_of(("0.msgpack", b"\x81\xa1a\x91\xc0"))}, ["a.tar"], "has a type: 'a': a list with empty items"),
        ({"a.tar": tar_of(("0.msgpack", b"\x81\xa1a\1"))[:700]}, ["a.tar"], r"a\.tar: the shard is cut short"),
        ({"a.tar": b"<html>" * 200}, ["a.tar"], r"a\.tar: not a tar.*web page"),
        ({}, ["gone.tar"], r"gone\.tar: the file can't be read: No such file"),
        ({}, ["gone-*.tar"], r"gone-\*\.tar: no file has such a name"),
        ({}, ["."], "no shards or tables in the folder"),
        ({"x{0..1}.tar": JPEG}, ["x{0..1}.tar"], "braces in its name would be a pattern"),
        ({" a.tar": JPEG}, [" a.tar"], "no plain text"),
        ({"d/a.tar": JPEG, "e/a.tar": JPEG}, ["d/a.tar", "e/a.tar"], "2 shards would have one address"),
        ({}, ["pipe:touch MARK"], "is not an https URL"),
        ({}, ["http://data.example/a.tar"], "is not an https URL"),
        ({}, ["s3://B!/a.tar"], "not the name of a bucket"),
        ({}, ["s3://bucket/"], "not a key that is opened"),
        ({}, ["s3://bucket/a*.tar"], "has a \\*"),
        ({}, ["s3://bucket/a.tar", "s3://other/a.tar"], "in several places"),
        ({}, ["s3://bucket/a.tar", "https://data.example/a.tar"], "in several places"),
        ({}, ["https://data.example/{0..999999}.tar"], "more than 100000 shards"),
        ({}, ["n{0..99999}{0..9}.tar"], "more than 100000 shards"),
    ],
)
def test_what_is_no_shard_of_samples_is_told_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes], places: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, raw in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(raw)
    with pytest.raises(CatalogError, match=words) as caught:
        sketch(places, settings=LOOPBACK)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "MARK").exists()


def test_an_ordinary_webdataset_is_drafted_with_its_format(tmp_path: Path) -> None:
    (tmp_path / "birds-0.tar").write_bytes(JPEG)
    text, found = drafted(tmp_path, str(tmp_path / "birds-0.tar"))
    [dataset], [schema] = found.datasets, found.schemas
    assert (dataset.sample_format, dataset.samples) == ("webdataset", 2)
    assert "    format: webdataset\n" in text
    names = {
        field.name: (type_text(field.type).partition(" ")[0], field.optional) for field in schema.sample_type.fields
    }
    assert names["cls"] == ("int", False)
    assert names["jpg"][0].startswith("bytes")
    read: Dataset[Any] = Dataset(str(tmp_path / "birds-0.tar"), class_from(schema.sample_type))
    assert [sample.cls for sample in read] == [3, 4]
    (tmp_path / "birds-1.tar").write_bytes(tar_of(("0.msgpack", msgpack.packb({"a": 1}))))
    with pytest.raises(CatalogError, match="its format is msgpack, that of the shards before webdataset"):
        drafted(tmp_path, str(tmp_path / "birds-*.tar"))


def test_keys_with_dots_and_arrays_of_msgpack_numpy_are_named(tmp_path: Path) -> None:
    value = {b"nd": True, b"type": "<f4", b"kind": b"", b"shape": (2, 2), b"data": bytes(16)}
    (tmp_path / "a.tar").write_bytes(tar_of(("v1/22.00.msgpack", msgpack.packb({"v": value, "n": 1}))))
    text, _ = drafted(tmp_path, str(tmp_path / "a.tar"))
    assert "v1/22.00" in text
    assert "first dot" in text
    assert "msgpack_numpy" in text


def test_members_beside_the_samples_are_passed_over_and_named(tmp_path: Path) -> None:
    raw = tar_of(("notes.json", b"{}"), ("0.msgpack", msgpack.packb({"a": 1})), ("README", b""))
    (tmp_path / "a.tar").write_bytes(gzip.compress(raw))
    text, found = drafted(tmp_path, str(tmp_path / "a.tar"))
    assert "# In the shards are also .json, without a suffix; readers pass over all but .msgpack." in text
    assert found.datasets[0].samples == 1


@pytest.mark.parametrize(
    ("file", "dataset", "schema"),
    [
        ("digits-000000.tar", "digits", "DigitsSample"),
        ("my_own.data-train-3.tar.gz", "my_own.data-train", "MyOwnDataTrainSample"),
        ("000001.tar", "000001", "Sample"),
        ("über-01.tar", "über", "BerSample"),
        ("x: y #1.tar", "x: y #", "XYSample"),
        ("null.tar", "null", "NullSample"),
        ("猫.tar", "猫", "Sample"),
        (".tar", "dataset", "DatasetSample"),
    ],
)
def test_names_come_from_the_first_shard(tmp_path: Path, file: str, dataset: str, schema: str) -> None:
    (tmp_path / file).write_bytes(tar_of(("0.msgpack", msgpack.packb({"a": 1}))))
    _, found = drafted(tmp_path, str(tmp_path / file))
    assert (found.datasets[0].name, found.schemas[0].sample_type.name) == (dataset, schema)
    assert found.datasets[0].shards[0].local is not None
    assert found.datasets[0].shards[0].local.samefile(tmp_path / file)


def test_a_manifest_that_would_be_too_long_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest_yaml, "MAX_BYTES", 500_000)
    names = {f"{number:0200d}": 1 for number in range(999)}
    (tmp_path / "a.tar").write_bytes(tar_of(*((f"{n}.msgpack", msgpack.packb({**names, "x": n})) for n in range(1))))
    drafted(tmp_path, str(tmp_path / "a.tar"))
    longer = {f"{number:0900d}": 1 for number in range(999)}
    (tmp_path / "a.tar").write_bytes(tar_of(("0.msgpack", msgpack.packb(longer))))
    with pytest.raises(CatalogError, match="the manifest would have"):
        drafted(tmp_path, str(tmp_path / "a.tar"))


# --- the command ---------------------------------------------------------------------------------------------


def run(folder: Path, *arguments: str) -> Result:
    before = os.getcwd()  # noqa: PTH109
    os.chdir(folder)
    try:
        return CliRunner().invoke(cli, ["manifest", "from-shards", *arguments], catch_exceptions=True)
    finally:
        os.chdir(before)


def test_the_draft_is_written_beside_the_shards_and_is_valid(tmp_path: Path) -> None:
    """Paths of local copies lead from the manifest to the shards; only the manifest is on standard output."""
    numbers(tmp_path / "data")
    done = forked.run(
        [sys.executable, "-m", "catalog", "manifest", "from-shards", "data/n-{000000..000002}.tar"],
        cwd=tmp_path, timeout=60, check=True,
    )  # fmt: skip
    assert yaml.safe_load(done.stdout)["datasets"][0]["shards"][2]["local"] == "data/n-000002.tar"
    assert done.stderr.splitlines()[-1] == "3 of 3: data/n-000002.tar, 1 sample"
    assert run(tmp_path, "data/n-*.tar", "-o", "manifests/n.yaml", "--name", "All of it").exit_code == 0
    [dataset] = load([tmp_path / "manifests"]).datasets
    assert dataset.name == "All of it"
    assert all(shard.local is not None and shard.local.is_file() for shard in dataset.shards)
    checked = CliRunner().invoke(cli, ["validate", "--json", str(tmp_path / "manifests")])
    assert json.loads(checked.stdout)["datasets"] == 1


def test_the_help_has_an_example_that_works_and_says_every_option(tmp_path: Path) -> None:
    text = run(tmp_path, "--help").output
    assert "Example: catalog manifest from-shards 'data/digits-*.tar' -o digits.yaml" in text
    assert all(
        option in text
        for option in ("--url-prefix", "--name", "--schema", "--dims", "--endpoint", "--samples-per-shard", "--force")
    )
    numbers(tmp_path / "data", count=10, per_shard=1, name="digits")
    assert run(tmp_path, "data/digits-*.tar", "-o", "digits.yaml").exit_code == 0
    assert len(load([tmp_path / "digits.yaml"]).datasets[0].shards) == 10


def test_a_file_that_is_there_is_never_written_over_without_force(tmp_path: Path) -> None:
    """Whatever it is; nor is anything left beside it."""
    numbers(tmp_path)
    (tmp_path / "kept.yaml").write_text("mine", encoding="utf-8")
    (tmp_path / "link.yaml").symlink_to("nowhere.yaml")
    for name in ("kept.yaml", "link.yaml"):
        refused = run(tmp_path, "n-*.tar", "-o", name)
        assert refused.exit_code == 1
        assert f"{name} already exists" in refused.output
    assert (tmp_path / "kept.yaml").read_text(encoding="utf-8") == "mine"
    assert not (tmp_path / "nowhere.yaml").exists()
    with pytest.raises(click.ClickException, match="can't be written: File exists"):
        write_file(tmp_path / "kept.yaml", "", replace=False)  # made while the shards were read
    assert run(tmp_path, "n-*.tar", "-o", "kept.yaml", "--force").exit_code == 0
    assert load([tmp_path / "kept.yaml"]).datasets[0].samples == 7
    assert not [name for name in os.listdir(tmp_path) if "part" in name]  # noqa: PTH208


def test_an_editor_finds_the_schema_that_lies_beside_it(tmp_path: Path) -> None:
    numbers(tmp_path)
    (tmp_path / "manifest.schema.json").write_text("{}", encoding="utf-8")
    assert run(tmp_path, "n-*.tar", "-o", "n.yaml").exit_code == 0
    first = (tmp_path / "n.yaml").read_text(encoding="utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=manifest.schema.json"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "SHARD"),
        (["gone.tar"], 1, "gone.tar"),
        (["n-000000.tar", "--samples-per-shard", "0"], 2, "samples-per-shard"),
        (["n-000000.tar", "--name", " "], 2, "--name"),
        (["n-000000.tar", "--url-prefix", "ftp://x"], 1, "is not an https URL"),
        (["n-000000.tar", "-o", "n-000001.tar/x.yaml"], 1, "can't be written"),
    ],
)
def test_a_mistake_gets_its_exit_code_and_words(tmp_path: Path, arguments: list[str], code: int, words: str) -> None:
    numbers(tmp_path)
    command = [sys.executable, "-m", "catalog", "manifest", "from-shards", *arguments]
    done = forked.run(command, cwd=tmp_path, timeout=60)
    assert done.returncode == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


# --- tables --------------------------------------------------------------------------------------------------


def test_tables_in_a_folder_are_drafted_by_all_their_rows(tmp_path: Path) -> None:
    """Over several files, a column that is text in one of them is text, and a code keeps its zeros."""
    folder = tmp_path / "weather"
    folder.mkdir()
    (folder / "a.csv").write_text("zip,n,x\n01234,1,1\n01235,2,2\n")
    (folder / "b.csv").write_text("zip,n,x\n11234,3,0.5\n11235,north,\n")
    (folder / "README.md").write_text("Rain, by day\nand, by place\n")
    found = sketch([str(folder)], settings=LOOPBACK)
    assert [(one.name, one.type, one.optional) for one in found.seen.fields] == [
        ("zip", STR, False),
        ("n", STR, False),
        ("x", FLOAT, True),
    ]
    assert (found.format, found.samples, [shard.samples for shard in found.shards]) == ("csv", 4, [2, 2])
    text = as_yaml(found, tmp_path)
    assert "fit all 4" in text
    (tmp_path / "weather.yaml").write_text(text)
    (draft,) = with_checksums(load([tmp_path / "weather.yaml"]), read_urls=False, settings=LOOPBACK).datasets
    assert (draft.sample_format, draft.samples) == ("csv", 4)


def test_a_limit_on_rows_is_stated_and_all_rows_are_counted(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"n": range(100)}), tmp_path / "a.parquet")
    found = sketch([str(tmp_path / "a.parquet")], settings=LOOPBACK, samples_per_shard=10)
    assert (found.seen.samples, found.samples) == (10, 100)
    assert "10 of which were looked at" in as_yaml(found, tmp_path)


def test_classes_of_hugging_face_are_in_the_description(tmp_path: Path) -> None:
    features = {"label": {"_type": "ClassLabel", "names": ["cat", "dog"]}, "image": {"_type": "Image"}}
    table = pa.table({"label": [0, 1], "image": [{"bytes": b"\xff\xd8\xff", "path": "a.jpg"}] * 2})
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    parquet.write_table(table.replace_schema_metadata(metadata), tmp_path / "a.parquet")
    text = as_yaml(sketch([str(tmp_path / "a.parquet")], settings=LOOPBACK), tmp_path)
    (tmp_path / "a.yaml").write_text(text)
    (schema,) = load([tmp_path / "a.yaml"]).schemas
    label, image = schema.sample_type.fields
    assert label.description == "0 = cat, 1 = dog"
    assert image.type == Scalar(kind="bytes", media="image/*")


def test_tables_of_two_formats_are_two_datasets(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    (tmp_path / "b.jsonl").write_text('{"a": 1}\n')
    with pytest.raises(InvalidShard, match="format"):
        sketch([str(tmp_path)], settings=LOOPBACK)


@pytest.mark.parametrize("name", ["a.parquet", "a.csv.gz", "a.jsonl"])
def test_tables_at_addresses_are_drafted_and_counted(
    tmp_path: Path, https_server: Callable[[Path], HttpsServer], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    there = tmp_path / "there"
    there.mkdir()
    if name == "a.parquet":
        parquet.write_table(pa.table({"n": range(5), "text": list("abcde")}), there / name)
    elif name == "a.jsonl":
        (there / name).write_text("".join(f'{{"n": {n}, "text": "a"}}\n' for n in range(5)))
    else:
        (there / name).write_bytes(gzip.compress(b"n,text\n" + b"1,a\n" * 5))
    server = https_server(there)
    monkeypatch.setenv("SSL_CERT_FILE", str(server.authority))
    found = sketch([f"{server.url}/{name}"], settings=LOOPBACK)
    assert [(one.name, one.type) for one in found.seen.fields] == [("n", INT), ("text", STR)]
    assert (found.samples, found.name) == (5, "a")
    assert found.shards[0].sha256 == hashlib.sha256((there / name).read_bytes()).hexdigest()
    (tmp_path / "a.yaml").write_text(as_yaml(found, tmp_path))
    (draft,) = with_checksums(load([tmp_path / "a.yaml"]), read_urls=True, settings=LOOPBACK).datasets
    assert (draft.samples, draft.sample_format) == (5, found.format)


def test_a_parquet_file_is_hashed_whole_however_its_rows_are_read(tmp_path: Path) -> None:
    """Several row groups, read in part: the checksum and the size are those of the file."""
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"n": range(5000), "text": ["a" * 50] * 5000}), path, row_group_size=100)
    found = sketch([str(path)], settings=LOOPBACK, samples_per_shard=150)
    assert found.shards[0].sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert found.shards[0].bytes == path.stat().st_size
    (tmp_path / "a.yaml").write_text(as_yaml(found, tmp_path))
    (draft,) = with_checksums(load([tmp_path / "a.yaml"]), read_urls=False, settings=LOOPBACK).datasets
    assert (draft.samples, draft.sample_format) == (5000, "parquet")


# --- blobs -------------------------------------------------------------------------------------------------------


def test_files_become_blobs_and_the_draft_is_complete(tmp_path: Path) -> None:
    """No address is left to fill in; paths lead from the manifest, and the names of shards give splits."""
    for split in ("train", "test"):
        numbers(tmp_path / "data", count=2, name=f"n-{split}")
    done = run(tmp_path, "data", "--blobs", "-o", "manifests/n.yaml")
    assert done.exit_code == 0, done.output
    assert "address" not in done.output
    [dataset] = load([tmp_path / "manifests"]).datasets
    assert (dataset.as_blobs, dataset.samples) == (True, 4)
    assert [shard.url for shard in dataset.shards] == [
        "../data/n-test-000000.tar", "../data/n-train-000000.tar",
    ]  # fmt: skip
    assert all(shard.sha256 and shard.bytes for shard in dataset.shards)
    assert [(split.name, split.shards, split.samples) for split in dataset.splits] == [
        ("train", (1,), 2), ("test", (0,), 2),
    ]  # fmt: skip


def test_a_draft_without_addresses_says_how_to_get_them(tmp_path: Path) -> None:
    numbers(tmp_path)
    told = run(tmp_path, "n-*.tar", "-o", "n.yaml").output
    assert "--url-prefix" in told
    assert "--blobs" in told


@pytest.mark.parametrize(
    ("places", "code", "words"),
    [
        (["n-000000.tar", "--url-prefix", "https://data.example"], 2, "exclude each other"),
        (["https://data.example/a.tar"], 1, "only files on this machine"),
        (["large.tar"], 1, "a blob has at most 52,428,800"),
        (["packed.csv.gz"], 1, "packed with gzip"),
        (["../outside.tar"], 1, "outside the repository"),
    ],
)
def test_what_can_be_no_blob_is_refused_before_it_is_drafted(
    tmp_path: Path, places: list[str], code: int, words: str
) -> None:
    folder = tmp_path / "repository"
    numbers(folder)
    (folder / ".git").mkdir()
    (folder / "packed.csv.gz").write_bytes(gzip.compress(b"a,b\n1,2\n"))
    (tmp_path / "outside.tar").write_bytes((folder / "n-000000.tar").read_bytes())
    with (folder / "large.tar").open("wb") as file:
        file.truncate(52_428_801)
    done = run(folder, *places, "--blobs", "-o", "n.yaml")
    assert done.exit_code == code
    assert words in (done.output if code == 2 else str(done.exception))
    assert not (folder / "n.yaml").exists()


def test_the_tables_that_img2dataset_writes_beside_its_tars_are_left_out(tmp_path: Path) -> None:
    """The folder has the dataset's name where the shards have only numbers. Other tables are shards."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(2):
        (folder / f"{number:05d}.tar").write_bytes(JPEG)
        parquet.write_table(pa.table({"key": ["0"], "status": ["success"]}), folder / f"{number:05d}.parquet")
        (folder / f"{number:05d}_stats.json").write_text('{\n    "count": 1\n}')
    for place in (str(folder), str(folder / "*.tar"), str(folder / "{00000..00001}.tar")):
        found = sketch([place], settings=LOOPBACK)
        assert [shard.local and shard.local.name for shard in found.shards] == ["00000.tar", "00001.tar"]
        assert (found.name, found.format) == ("pictures", "webdataset")
    said = run(tmp_path, "pictures").output
    assert "00000.parquet" in said
    (folder / "other.parquet").write_bytes((folder / "00000.parquet").read_bytes())
    with pytest.raises(InvalidShard, match="format is parquet"):
        sketch([str(folder)], settings=LOOPBACK)
