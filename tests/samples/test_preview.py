"""A sample is shown, as text and as JSON, whatever values it has."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import msgpack
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from catalog.cli import cli
from catalog.errors import InvalidArray
from catalog.samples.arrays import encode_array
from catalog.samples.packable import DictSample
from catalog.samples.preview import as_json, lines
from tests.shards.test_tar import tar_of

if TYPE_CHECKING:
    from pathlib import Path

NAN, INFINITE = float("nan"), float("inf")


class Failing:
    """Its text can't be had."""

    def __str__(self) -> str:
        raise RuntimeError("no")


def deep(levels: int) -> object:
    value: object = 1
    for level in range(levels):
        value = [value] if level % 2 else {"x": value}
    return value


def shown(value: Any) -> tuple[str, str]:  # noqa: ANN401
    sample = DictSample({"x": value})
    return "\n".join(lines(sample)), json.dumps(as_json(sample), allow_nan=False)


@pytest.mark.parametrize(
    "value",
    [
        NAN, -INFINITE, [NAN, {"a": INFINITE}], 10**5000, -(10**5000), {10**5000: 1}, b"\xff\x00", [b"x"], "\ud800",
        (1, NAN), None, True, np.float32(NAN), np.datetime64("NaT"), np.str_("\udfff"), object(), Failing(),
        {Failing(): Failing()}, deep(3000), [[[]]], {},
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_any_value_is_shown(value: object) -> None:
    """In JSON that has no NaN; nested ones as far as a person looks."""
    text, as_text = shown(value)
    assert text.splitlines()[0] == "sample"
    assert len(text) < 5000
    assert "fields" in json.loads(as_text)


@pytest.mark.parametrize(
    "array",
    [
        np.array(["NaT", "2020-01-01"], "M8[s]"), np.array([2**62], "M8[ns]"), np.array([2**62], "M8[Y]"),
        np.array([-(2**63)], "M8[as]"), np.array([5, "NaT"], "m8[s]"), np.array([NAN, INFINITE]), np.array([NAN]),
        np.array([1.5], "f2"), np.array([1.5], "g"), np.array([complex(NAN, 1)]), np.array([object()], object),
        np.array([Failing()], object), np.zeros(2, "V3"), np.zeros(2, [("a\x1b", "<i4"), ("b", "<U1")]),
        np.zeros(2, [("a", "<f8", (2,))]), np.zeros((0, 3)), np.zeros((0, 10**9)), np.array(3), np.array("x"),
        np.array(NAN), np.zeros(3, "<U0"), np.zeros(2, "S0"), np.array([b"a\x1b"]), np.array([2**64 - 1], "u8"),
        np.array(["\x1b[31m"]),
        np.broadcast_to(np.float32(1), (1000, 1000)), np.broadcast_to(np.uint8(0), (10**9,))[:70],
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)  # fmt: skip
def test_any_array_is_shown(array: np.ndarray[Any, Any]) -> None:
    """Of every dtype and shape, without a control character."""
    text, as_text = shown(array)
    assert all(line.isprintable() for line in text.splitlines())
    assert json.loads(as_text)["fields"]["x"]["shape"] == list(array.shape)


@given(hnp.arrays(hnp.scalar_dtypes(), hnp.array_shapes(min_dims=0, min_side=0, max_side=3)))
def test_any_array_of_any_dtype_is_shown(array: np.ndarray[Any, Any]) -> None:
    text, as_text = shown(array)
    assert all(line.isprintable() for line in text.splitlines())
    json.loads(as_text)


@given(st.lists(st.floats(width=32), max_size=9))
def test_the_range_is_that_of_the_numbers(values: list[float]) -> None:
    """NaN isn't one."""
    known = [value for value in values if not math.isnan(value)]
    found = as_json(DictSample({"x": np.array(values, "f4")}))["fields"]["x"]
    assert ("min" in found) == bool(known)
    if known:
        assert (found["min"], found["max"]) == tuple(
            edge if abs(edge) != INFINITE else str(edge) for edge in (min(known), max(known))
        )


def test_text_that_is_none_is_an_error_of_ours() -> None:
    """However the array came here."""
    array = np.frombuffer(np.array([0x110000], "<u4").tobytes(), "<U1")
    with pytest.raises(InvalidArray):
        as_json(DictSample({"x": array}))


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_load_shows_text_that_is_none_as_bytes(tmp_path: Path, more: list[str]) -> None:
    """Without a type, bytes that only look like an array stay bytes; the control is an array."""
    for number, kind in ((0x110000, "bytes"), (0x10FFFF, "U1")):
        array = np.frombuffer(np.array([number], "<u4").tobytes(), "<U1")
        (tmp_path / "x.tar").write_bytes(tar_of(("0.msgpack", msgpack.packb({"x": encode_array(array)}))))
        ran = CliRunner().invoke(cli, ["load", str(tmp_path / "x.tar"), *more])
        assert (ran.exit_code, ran.exception) == (0, None)
        assert kind in ran.output
