"""Batches: what is stacked, what stays a list, and how fields are asked for."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray  # noqa: TC002 - the classes below need it at run time

from catalog import Dataset, DictSample, PackableSample, wire
from catalog.datasets.batches import SampleBatch
from catalog.samples.write_shards import write_shards

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import DTypeLike


class Mixed(PackableSample):
    """One field of each kind, with names that a batch has itself."""

    image: NDArray[np.uint8]
    count: int
    share: float
    sharp: bool
    word: str = "a"
    mask: NDArray[np.bool_] | None = None
    parts: list[int] = wire("list of parts", default_factory=list)
    samples: int = 0


def mixed(number: int, **rest: Any) -> Mixed:  # noqa: ANN401 - fields
    image = np.full((2, 3), number, np.uint8)
    return Mixed(image=image, count=number, share=number / 2, sharp=number % 2 == 1, samples=number, **rest)


def shown(value: object) -> object:
    """A stacked field as dtype and values, a list as itself."""
    return (value.dtype.name, value.tolist()) if isinstance(value, np.ndarray) else value


def test_arrays_of_one_shape_and_numbers_are_stacked_and_may_be_written_to() -> None:
    batch = SampleBatch([mixed(1), mixed(2)])
    assert len(batch) == 2
    assert batch.image.shape == (2, 2, 3)
    assert shown(batch.image) == ("uint8", [[[1] * 3] * 2, [[2] * 3] * 2])
    assert shown(batch.count) == ("int64", [1, 2])
    assert shown(batch.share) == ("float64", [0.5, 1.0])
    assert shown(batch.sharp) == ("bool", [True, False])
    batch.image[0, 0, 0] = 9
    assert batch.samples[0].image[0, 0] == 1, "the samples are not what was written to"
    assert batch.image[0, 0, 0] == 9, "it is stacked once"


def test_what_does_not_stack_is_a_list() -> None:
    odd = mixed(2, mask=np.ones(3, np.bool_))
    odd.image = np.zeros((1, 1), np.uint8)
    odd.word = "b"
    odd.count = 2**70
    batch = SampleBatch([mixed(1), odd])
    assert [array.shape for array in batch.image] == [(2, 3), (1, 1)]
    assert batch.word == ["a", "b"]
    assert batch.mask[0] is None
    assert batch.mask[1].tolist() == [True, True, True]
    assert batch.count == [1, 2**70]
    odd.image = np.zeros((2, 3), np.uint16)
    assert [array.dtype.name for array in SampleBatch([mixed(1), odd]).image] == ["uint8", "uint16"]


def test_fields_are_had_by_wire_name_too_also_those_that_a_batch_hides() -> None:
    batch = SampleBatch([mixed(1, parts=[1]), mixed(2, parts=[])])
    assert batch["list of parts"] == [[1], []]
    assert shown(batch["samples"]) == ("int64", [1, 2])
    assert [type(sample) for sample in batch.samples] == [Mixed, Mixed]
    assert list(batch) == list(batch.samples)
    with pytest.raises(KeyError, match="parts"):
        batch["parts"]  # its attribute: wire names are asked for
    with pytest.raises(AttributeError, match="colour"):
        _ = batch.colour


def test_dicts_are_asked_by_name_and_may_lack_what_others_have() -> None:
    batch = SampleBatch([DictSample(a=1, b=np.zeros(2)), DictSample(a=2.5)])
    assert shown(batch["a"]) == ("float64", [1.0, 2.5])
    assert batch["b"][1] is None
    with pytest.raises(KeyError, match="c"):
        batch["c"]


def test_samples_of_any_class_are_batched_by_their_attributes() -> None:
    batch = SampleBatch([np.int16(4), np.int16(5)])
    assert shown(batch.real) == ("int16", [4, 5])
    assert repr(batch) == "SampleBatch(2 × int16)"


def test_keys_are_those_of_the_samples(tmp_path: Path) -> None:
    infos = write_shards([mixed(n) for n in range(5)], tmp_path / "m-%d.tar", maxcount=2)
    batches = list(Dataset(infos, Mixed).batched(2))
    assert [batch.__key__ for batch in batches] == [["00000000", "00000001"], ["00000002", "00000003"], ["00000004"]]


def test_a_batch_pickles_as_its_samples() -> None:
    batch = SampleBatch([mixed(1), mixed(2)])
    assert batch.image.shape == (2, 2, 3)
    again = pickle.loads(pickle.dumps(batch))  # noqa: S301 - our own
    assert again.samples == batch.samples
    assert again.image.tolist() == batch.image.tolist()


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (1,), (2, 1, 2)])
@pytest.mark.parametrize("dtype", ["uint8", ">f4", "U3", "M8[s]", [("a", "<i2"), ("b", "u1")]])
@pytest.mark.parametrize("order", ["C", "F"])
def test_stacking_is_what_numpy_stack_does(shape: tuple[int, ...], dtype: DTypeLike, order: Literal["C", "F"]) -> None:
    arrays = [np.zeros(shape, dtype, order=order) for _ in range(3)]
    for array in arrays:
        array.flags.writeable = False
    found = SampleBatch([DictSample(x=array) for array in arrays])["x"]
    expected = np.stack(arrays)
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    assert found.tolist() == expected.tolist()
    assert found.flags.writeable
    assert found.flags.c_contiguous


@example(values=[2**53 + 1, 0.0])
@given(values=st.lists(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=2)))
def test_stacking_values_never_changes_them(values: list[object]) -> None:
    batch = SampleBatch([DictSample(x=value) for value in values])
    if not values:
        with pytest.raises(KeyError):
            batch["x"]
        return
    found = batch["x"]
    back = found.tolist() if isinstance(found, np.ndarray) else found
    assert all(one == other for one, other in zip(back, values, strict=True))
