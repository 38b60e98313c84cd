"""Statistics of fields equal those of NumPy and pandas on the same values."""

from __future__ import annotations

import math
import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.samples.image_size import image_size
from catalog.samples.statistics import MAX_EXACT, FieldStatistics, Statistics, merged
from tests.shardfiles import npy

if TYPE_CHECKING:
    from collections.abc import Sequence

INTS = st.integers(-(2**63), 2**64 - 1)
FLOATS = st.floats(allow_infinity=False, width=32)


def of(values: Sequence[Any]) -> FieldStatistics:
    found = Statistics()
    for value in values:
        found.add({"x": value, "other": 1})
    return found.result().get("x", FieldStatistics(type="none", missing=len(values)))


def close(found: float | None, wanted: float) -> bool:
    return found is not None and math.isclose(found, wanted, rel_tol=1e-9, abs_tol=1e-9 * max(1.0, abs(wanted)))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.none() | INTS, min_size=1, max_size=60) | st.lists(st.none() | FLOATS, min_size=1))
def test_numbers_as_pandas_has_them(values: list[Any]) -> None:
    found, whole = of(values), [one for one in values if one is not None]
    real = [one for one in whole if one == one]  # noqa: PLR0124 - not NaN
    assert (found.count, found.missing, found.nan) == (len(whole), values.count(None), len(whole) - len(real))
    if not real:
        return
    series = pd.Series(real, dtype="float64")
    assert (found.min, found.max) == (min(real), max(real))  # integers exactly, whatever their size
    spread = max(abs(min(real)), abs(max(real)), 1)
    assert found.mean == pytest.approx(series.mean(), abs=1e-9 * spread)
    assert found.std == pytest.approx(series.std(ddof=0), abs=1e-6 * spread)
    assert found.percentiles == pytest.approx(np.percentile(real, range(101)).tolist(), abs=1e-9 * spread)
    assert found.distinct == len(set(real))
    assert dict(found.top or ()) == pd.Series(real, dtype=object).value_counts().to_dict()
    assert found.histogram is not None
    start, width, counts = found.histogram
    edges = [start + width * number for number in range(len(counts) + 1)]
    assert list(counts) == np.histogram(np.array(real, float), edges)[0].tolist() or len(counts) == 1
    assert sum(counts) == len(real)
    assert len(counts) <= 64


@settings(max_examples=40, deadline=None)
@given(st.lists(st.none() | st.text(max_size=300) | st.sampled_from(["cat", "dog"]), min_size=1, max_size=40))
def test_texts_as_pandas_has_them(values: list[str | None]) -> None:
    found, texts = of(values), [one for one in values if one is not None]
    assert (found.count, found.missing) == (len(texts), values.count(None))
    if texts:
        lengths = pd.Series(texts).str.len()
        assert list(found.length or ()) == pytest.approx([lengths.min(), lengths.max(), lengths.mean()])
        assert found.distinct == pd.Series(texts).nunique()
        counts = pd.Series(texts).value_counts()
        assert dict(found.top or ()) == {text: count for text, count in counts.items() if len(str(text)) <= 200}


@settings(max_examples=40, deadline=None)
@given(st.lists(st.booleans(), min_size=1))
def test_truth_values(values: list[bool]) -> None:
    found = of(values)
    assert (found.type, found.count) == ("bool", len(values))
    assert dict(found.top or ()) == pd.Series(values).value_counts().to_dict()


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint64", "float16", "float32", "float64", "bool"])
@pytest.mark.parametrize("stored", [True, False])
def test_arrays(dtype: str, stored: bool) -> None:  # noqa: FBT001 - a parameter of the test
    chance = np.random.default_rng(3)
    arrays = [(chance.random((2, 3 + number % 2)) * 200).astype(dtype) for number in range(50)]
    found = of([npy(one) if stored else one for one in arrays])
    values = np.concatenate([one.ravel() for one in arrays])
    assert found.type == "array"
    assert set(found.shapes or ()) == {(dtype, (2, 3), 25), (dtype, (2, 4), 25)}
    assert (found.min, found.max) == (values.min(), values.max())


def test_arrays_whose_elements_are_not_finite_have_the_limits_of_the_others() -> None:
    found = of([npy(np.array([1.0, math.nan, math.inf])), npy(np.array([-2.0, math.nan, 0.0]))])
    assert (found.min, found.max) == (-2, 1)


def test_lists_maps_bytes_and_mixed_values() -> None:
    assert of([[1, 2], [], [5]]).as_json()["length"] == (0, 2, 1.0)
    assert (of([[1, 2], [], [5]]).min, of([[1, 2], [], [5]]).max) == (1, 5)
    assert dict(of([["a", "b"], ["a"]]).top or ()) == {"a": 2, "b": 1}
    assert of([{"a": 1}]).type == "map"
    assert of([b"ab", b""]).length == (0, 2, 1.0)
    assert of([1, "one"]).type == "mixed"
    assert of([1, 2.5]).type == "float"
    assert of([10**400, 1]).min is None
    assert of([math.inf, 1.0]).as_json().get("max") is None


def test_sizes_of_images() -> None:
    from PIL import Image

    sizes = [(5, 7), (5, 7), (300, 2)]
    for name in ("PNG", "JPEG", "GIF", "WEBP"):
        raws = []
        for size in sizes:
            import io

            buffer = io.BytesIO()
            Image.new("RGB", size).save(buffer, name)
            raws.append(buffer.getvalue())
        media = f"image/{name.lower()}"
        assert set(of(raws).images or ()) == {(media, 5, 7, 2), (media, 300, 2, 1)}
        assert all(image_size(raws[0][:length]) in (None, (5, 7)) for length in range(60))


def test_quantiles_of_many_numbers_are_close_and_say_so() -> None:
    values = np.random.default_rng(1).lognormal(size=60_000)
    found = of(values.tolist())
    assert "percentiles" in found.approximate
    assert found.percentiles is not None
    ranks = [float((values <= value).mean()) for value in found.percentiles]
    assert max(abs(rank - number / 100) for number, rank in enumerate(ranks)) < 0.005
    assert found.distinct is not None
    assert found.distinct >= MAX_EXACT
    assert found.top is None  # each value came once


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.integers(-1000, 1000) | st.none(), max_size=30), min_size=2, max_size=5))
def test_shards_together_have_the_statistics_of_all_their_samples(shards: list[list[int | None]]) -> None:
    parts = []
    for values in shards:
        one = Statistics()
        for value in values:
            one.add({"x": value})
        json = {name: FieldStatistics.from_json(found.as_json()) for name, found in one.result().items()}
        parts.append((one.samples, {name: found for name, found in json.items() if found is not None}))
    together, whole = merged(parts).get("x"), of([value for values in shards for value in values])
    if together is None:
        assert not whole.count
        return
    for name in ("type", "count", "missing", "min", "max", "distinct"):
        assert getattr(together, name) == getattr(whole, name), name
    assert close(together.mean, whole.mean or 0.0)
    assert close(together.std, whole.std or 0.0)
    assert together.histogram is not None
    assert sum(together.histogram[2]) == whole.count
    assert dict(together.top or ()) == dict(whole.top or ()) or (whole.distinct or 0) > 100


def test_memory_is_bounded() -> None:
    found = Statistics()
    for number in range(30_000):
        found.add({"id": number, "text": f"word {number}", "score": number / 7})
    tracemalloc.start()
    for number in range(30_000, 90_000):
        found.add({"id": number, "text": f"word {number}", "score": number / 7})
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 2_000_000  # 180,000 more values of three fields


@pytest.mark.parametrize(
    "value",
    [
        None, [], {"type": 1}, {"type": "int", "count": -1}, {"type": "int", "min": "1"}, {"type": "int", "top": [1]},
        {"type": "int", "histogram": [0, 0, [1]]}, {"type": "int", "percentiles": [1]},
    ],
)  # fmt: skip
def test_foreign_statistics_of_another_form_are_ignored(value: object) -> None:
    assert FieldStatistics.from_json(value) is None
