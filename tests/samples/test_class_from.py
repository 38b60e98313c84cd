"""Classes made at run time: any sample type, any name, and in other processes."""

from __future__ import annotations
import __future__

import copy
import multiprocessing
import pickle
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import field, replace
from functools import partial
from types import ModuleType
from typing import Any

import cloudpickle  # what Ray sends the classes of a script or notebook with
import msgpack
import numpy as np
import pytest
from hypothesis import given
from numpy.typing import NDArray

from catalog import PackableSample
from catalog.samples.annotations import _from_annotations
from catalog.samples.arrays import encode_array
from catalog.samples.packable import class_from, fields_of, pack, sample_type, schema_uri, unpack
from catalog.schema import Field, SampleType, Scalar
from tests.counting import calls
from tests.sample_classes import TYPE, URI
from tests.strategies import sample_types


@given(sample_types())
def test_a_class_made_from_a_sample_type_has_that_sample_type(wanted: SampleType) -> None:
    made = class_from(wanted)
    assert sample_type(made) == wanted
    read = _from_annotations(made, made.__packable__).sample_type  # type: ignore[attr-defined]
    assert [(f.name, f.type, f.optional) for f in read.fields] == [(f.name, f.type, f.optional) for f in wanted.fields]


def test_a_type_of_ten_thousand_fields_is_no_problem() -> None:
    """The work grows with the number of fields, not with its square."""
    half, whole = (calls(partial(_make_and_use, number)) for number in (5_000, 10_000))
    assert whole < 3 * half


def _make_and_use(number: int) -> None:
    fields = tuple(Field(name=f"field {n}", type=Scalar(kind="int"), optional=n % 2 == 0) for n in range(number))
    made = class_from(SampleType(name="big", version="1.0.0", fields=fields))
    raw = msgpack.packb({field.name: None if field.optional else 1 for field in fields})
    assert pack(unpack(made, raw)) == raw


HOSTILE = (
    "__class__", "__init__", "__dict__", "__key__", "__packable__", "__made_from__", "self", "cls", "class", "None", "",
    "\0", "a", "A", "a ", " a", "é", "e", "packed", "from_bytes", "from_data",
    "publish_to_atproto", "mro", "__slots__", "\u202e",
    "x" * 5000, "values", "field", "field_2",
)  # fmt: skip


def hostile_type(*, optional: bool) -> SampleType:
    fields = tuple(Field(name=name, type=Scalar(kind="str"), optional=optional) for name in HOSTILE)
    return SampleType(name="__class__", version="1.0.0", fields=fields)


@pytest.mark.parametrize("optional", [True, False])
def test_hostile_field_names_are_only_names(optional: bool) -> None:  # noqa: FBT001
    wanted = hostile_type(optional=optional)
    made = class_from(wanted)
    stored = {name: f"value of {name}" for name in HOSTILE}
    sample = unpack(made, msgpack.packb(stored), key="the key")
    assert fields_of(sample) == stored
    assert (type(sample), sample.__key__) == (made, "the key")
    assert msgpack.unpackb(pack(sample)) == stored
    assert pickle.loads(pickle.dumps(sample)) == sample  # noqa: S301 - our own
    assert sample_type(made) == wanted
    assert made.__name__.isidentifier()


def test_the_constructor_of_a_made_class_takes_its_fields_by_name_or_position() -> None:
    fields = (Field(name="self", type=Scalar(kind="int")), Field(name="b", type=Scalar(kind="int"), optional=True))
    made: Any = class_from(SampleType(name="made", version="1.0.0", fields=fields))
    assert made(self=1) == made(self=1, b=None)
    assert repr(made(self=1)) == "made(self=1, b=None)"
    with pytest.raises(TypeError, match="made misses field 'self'"):
        made(b=1)
    with pytest.raises(TypeError, match="made has no field 'c'"):
        made(self=1, c=1)
    assert made(1) == made(self=1)
    assert made(1, 2) == made(self=1, b=2) == made(1, b=2)
    for places, named in (((1, 2, 3), {}), ((1,), {"self": 1})):
        with pytest.raises(TypeError, match="made takes each field once, in the order self, b"):
            made(*places, **named)


def made_sample() -> Any:  # noqa: ANN401
    return unpack(class_from(TYPE, uri=URI), msgpack.packb({"class": 3, "image": encode_array(np.ones((1, 2), "u1"))}))


def test_one_sample_type_gives_one_class() -> None:
    assert class_from(TYPE) is class_from(replace(TYPE))
    assert class_from(TYPE) is not class_from(TYPE, uri=URI)
    assert class_from(TYPE) is not class_from(replace(TYPE, version="1.0.1"))
    assert class_from(TYPE).__doc__ == "Made."


def test_a_made_class_and_its_samples_are_pickled_as_their_sample_type() -> None:
    sample = made_sample()
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        again, cls = pickle.loads(pickle.dumps((sample, type(sample)), protocol))  # noqa: S301 - our own
        assert again == sample
        assert type(again) is cls is class_from(TYPE, uri=URI)
    assert copy.deepcopy(sample) == sample
    assert schema_uri(type(sample)) == URI


class Grown(class_from(TYPE)):  # type: ignore[misc] # a class of values
    """Somebody's subclass of a made class."""

    more: int = 0


def test_a_subclass_of_a_made_class_is_an_ordinary_class() -> None:
    grown: Any = Grown
    sample = grown(class_=1, more=2)
    assert pickle.loads(pickle.dumps((grown, sample))) == (grown, sample)  # noqa: S301 - our own
    assert [field.name for field in sample_type(Grown).fields] == ["class", "image", "more"]
    assert grown.from_bytes(sample.packed) == sample
    assert schema_uri(Grown) is None


def test_made_classes_and_their_samples_travel_to_a_process_that_never_saw_them() -> None:
    sample = made_sample()
    cls = type(sample)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as there:
        assert there.submit(sample_type, cls).result() == TYPE
        assert there.submit(schema_uri, cls).result() == URI
        assert there.submit(pack, sample).result() == pack(sample)
        back = there.submit(unpack, cls, pack(sample), key="k").result()
    assert back == sample
    assert back.__key__ == "k"


BY_VALUE = """
class Typed(PackableSample, version="2.0.0", schema="{uri}"):
    image: NDArray[np.uint8]
    count: int = 3
    note: str | None = None
    boxes: list[int] = field(default_factory=list)
"""

UNUSED = """
import pickle, sys
from catalog.samples.packable import sample_type
print(sample_type(pickle.load(sys.stdin.buffer)).name)
"""

ARRIVED = """
import pickle, sys
from catalog.samples.packable import pack, sample_type, schema_uri, unpack
for cls, sample, raw in pickle.load(sys.stdin.buffer):
    assert type(sample) is cls
    assert unpack(cls, raw) == sample
    assert pack(sample) == raw
    print(sample_type(cls).version, schema_uri(cls))
"""


@pytest.mark.parametrize("quoted", [True, False])
def test_classes_that_travel_by_value_work_where_they_arrive(
    monkeypatch: pytest.MonkeyPatch,
    quoted: bool,  # noqa: FBT001
) -> None:
    notebook: Any = ModuleType("notebook")
    monkeypatch.setitem(sys.modules, "notebook", notebook)
    notebook.__dict__.update(PackableSample=PackableSample, NDArray=NDArray, np=np, field=field)
    flags = __future__.annotations.compiler_flag if quoted else 0
    exec(compile(BY_VALUE.format(uri=URI), "notebook", "exec", flags, dont_inherit=True), notebook.__dict__)  # noqa: S102
    cloudpickle.register_pickle_by_value(notebook)
    sample = notebook.Typed(image=np.zeros(2, np.uint8))
    unused = cloudpickle.dumps(notebook.Typed)  # before its annotations were looked at
    sent = cloudpickle.dumps([(type(one), one, pack(one)) for one in (sample, made_sample())])
    cloudpickle.unregister_pickle_by_value(notebook)
    done = subprocess.run([sys.executable, "-c", UNUSED], input=unused, capture_output=True, check=False)
    assert done.stdout.split() == [b"Typed"], done.stderr.decode()
    done = subprocess.run([sys.executable, "-c", ARRIVED], input=sent, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode().split() == ["2.0.0", URI, "1.0.0", URI]
