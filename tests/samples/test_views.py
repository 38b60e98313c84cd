"""Large values: found without being copied, and read as what they are."""

from __future__ import annotations

import contextlib
import struct
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray  # noqa: TC002 - the class below needs it at run time

from catalog import PackableSample
from catalog.errors import CatalogError, InvalidSample
from catalog.samples import zero_copy as views
from catalog.samples.arrays import encode_array
from catalog.samples.packing import pack, unpack
from catalog.samples.zero_copy import LARGE, without_large

odd_values = st.sampled_from([None, 1, 2**63, 1.5, True, "text", b"bytes", b"\x93NUMPY", [], [1], [None], {}, {1: 2}])


def mapped(entries: list[tuple[str, Any]]) -> bytes:
    """A map whose byte strings all have the long header, as large ones do."""
    parts = [b"\xde" + struct.pack(">H", len(entries))]
    for name, value in entries:
        stored = b"\xc6" + struct.pack(">I", len(value)) + value if isinstance(value, bytes) else msgpack.packb(value)
        parts += [msgpack.packb(name), stored]
    return b"".join(parts)


@given(st.lists(st.tuples(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), odd_values | st.binary())))
def test_a_map_without_its_large_values_is_the_same_map(entries: list[tuple[str, Any]]) -> None:
    raw = mapped(entries)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(views, "LARGE", 6)
        split = without_large(raw)
    if split is not None:
        less, large, count = split
        found = msgpack.unpackb(less, strict_map_key=False)
        assert all(len(value) > 1 for value in large.values())
        if len(found) == count:
            assert {**found, **{name: bytes(view) for name, view in large.items()}} == dict(entries)


def test_large_values_are_found_and_others_left() -> None:
    big = bytes(LARGE)
    less, large, count = without_large(mapped([("a", 1), ("b", big), ("c", [1]), ("d", big)])) or (b"", {}, 0)
    assert (list(large), count) == (["b"], 4)
    assert msgpack.unpackb(less) == {"a": 1, "b": b"", "c": [1], "d": big}
    assert without_large(msgpack.packb({"a": 1, "b": [big]})) is None


@given(st.binary(max_size=60) | st.binary(max_size=60).map(lambda tail: b"\x82\xa1a" + tail))
def test_any_bytes_are_split_or_left(raw: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(views, "LARGE", 4)
        without_large(raw)


class Large(PackableSample):
    """A large array, where it lies as its name says, and large bytes."""

    name: str = ""
    image: NDArray[np.float32]
    raw: bytes = b""


def test_a_large_array_is_a_view_of_the_bytes_given_where_it_lies_well() -> None:
    image = np.arange(LARGE, dtype=np.float32)
    views_found = 0
    for length in range(4):
        whole = pack(Large(name="n" * length, image=image, raw=bytes(LARGE + 1)))
        for raw in (whole, memoryview(whole), bytearray(whole)):
            read = unpack(Large, raw, key="k", validate=True)
            assert np.array_equal(read.image, image)
            assert read.image.flags.aligned
            assert not read.image.flags.writeable
            assert type(read.raw) is bytes
            views_found += np.shares_memory(read.image, np.frombuffer(raw, np.uint8))
    assert views_found == 3  # four bytes each: one place of four is good


def test_a_large_sample_with_a_fault_says_so_as_a_small_one_does() -> None:
    whole = {"image": encode_array(np.zeros(LARGE, np.float32)), "name": "n"}
    raw = mapped(list(whole.items()))
    assert unpack(Large, raw).name == "n"
    for change, expected in (
        ({"image": bytes(LARGE + 1)}, "field 'image'"),
        ({"name": 1}, "field 'name': expected str, found int"),
        ({"name": bytes(LARGE + 1)}, "field 'name': expected str, found bytes"),
    ):
        with pytest.raises(InvalidSample, match=expected):
            unpack(Large, mapped(list({**whole, **change}.items())))
    with pytest.raises(InvalidSample, match="msgpack"):
        unpack(Large, raw[:-1])
    with pytest.raises(InvalidSample, match="msgpack"):
        unpack(Large, raw + b"x")
    twice = mapped([*whole.items(), ("image", encode_array(np.ones(LARGE, np.float32)))])
    assert unpack(Large, twice).image[0] == 1


@given(st.binary(max_size=300), st.integers(0, 40))
def test_any_bytes_before_and_in_a_large_sample_are_read_or_refused(tail: bytes, keep: int) -> None:
    whole = mapped([("name", "n"), ("image", encode_array(np.zeros(LARGE // 4 + 1, np.float32)))])
    with contextlib.suppress(CatalogError):
        unpack(Large, whole[:keep] + tail + whole[keep + len(tail) :])
