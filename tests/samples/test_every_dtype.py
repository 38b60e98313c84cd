"""Arrays of every dtype of NumPy and ml_dtypes come back equal from every format, typed and untyped, or are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import ml_dtypes
import numpy as np
import pytest

from catalog import Dataset
from catalog.errors import InvalidSample
from catalog.samples.packable import class_from, fields_of
from catalog.samples.write_shards import write_shards
from catalog.schema import Array, Field, SampleType

if TYPE_CHECKING:
    from pathlib import Path

ML: Final = tuple(
    name
    for name in sorted(dir(ml_dtypes))
    if isinstance(getattr(ml_dtypes, name), type) and name not in ("finfo", "iinfo")
)
NUMPY: Final = tuple(np.dtype(char) for char in "?bBhHiIlLqQefdgFDG") + tuple(
    np.dtype(name) for name in ("M8[s]", "M8[ns]", "M8[D]", "M8[25s]", "m8[ms]", "m8[Y]", "S3", "U4", "V5", "M8", "m8")
)  # fmt: skip
STRUCTURED: Final = (
    np.dtype([("a", "<i4"), ("b", ">f8", (2,))]),
    np.dtype([("name", "U3"), ("at", "M8[s]"), ("inner", [("x", "?")])]),
    np.dtype({"names": ["a", "b"], "formats": ["u1", "<i8"], "offsets": [0, 8], "itemsize": 24}),
)
ALL: Final = {
    **{f"{dtype.str}": dtype for dtype in NUMPY},
    **{
        f"big-endian {dtype.str}": dtype.newbyteorder(">")
        for dtype in NUMPY
        if dtype.itemsize > 1 and dtype.kind not in "SV"
    },
    **{f"ml_dtypes {name}": np.dtype(getattr(ml_dtypes, name)) for name in ML},
    **{f"structured {number}": dtype for number, dtype in enumerate(STRUCTURED)},
}
REFUSED: Final = {"object": np.array([None, 1]), "records of objects": np.zeros(2, [("a", object)])}
FILES: Final = {"msgpack": ("x", "a-%d.tar"), "webdataset": ("x.npy", "a-%d.tar"), "parquet": ("x", "a-%d.parquet")}


def some(dtype: np.dtype[Any], shape: tuple[int, ...]) -> Any:  # noqa: ANN401 - an array
    """An array of random bits, so that also NaN with a payload, subnormal numbers and NaT are in it."""
    random = np.random.default_rng(3)
    count = int(np.prod(shape))
    if dtype.kind == "U":
        return np.array(["é", "日本", "", "abcd"] * count)[:count].astype(dtype).reshape(shape)
    if dtype.kind == "b":
        return random.integers(0, 2, count).astype(dtype).reshape(shape)
    if dtype.name in ML:
        return (
            random.integers(-1 if "int" in dtype.name and "u" not in dtype.name else 0, 2, count)
            .astype(dtype)
            .reshape(shape)
        )
    if dtype.names is not None:
        found = np.zeros(count, dtype)
        for name in dtype.names:
            part = dtype[name]
            found[name] = (
                np.zeros((count, *part.shape), part.base) if part.names else some(part.base, (count, *part.shape))
            )
        return found.reshape(shape)
    return np.frombuffer(random.bytes(count * dtype.itemsize), dtype).reshape(shape)


def require_same(found: Any, wanted: Any) -> None:  # noqa: ANN401 - arrays
    assert isinstance(found, np.ndarray)
    assert found.shape == wanted.shape
    assert found.dtype.newbyteorder("=") == wanted.dtype.newbyteorder("=")
    if wanted.dtype.names is None:
        assert found.astype(wanted.dtype).tobytes() == wanted.tobytes()
    for name in wanted.dtype.names or ():  # between the fields may be anything
        require_same(found[name], wanted[name])


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("form", FILES)
def test_an_array_comes_back_equal_or_is_refused(tmp_path: Path, form: Any, name: str) -> None:  # noqa: ANN401
    field, pattern = FILES[form]
    dtype = ALL[name]
    for number, shape in enumerate([(), (0,), (3,), (2, 0, 3), (2, 3)]):
        wanted = some(dtype, shape)
        order: Any
        for order in "CF":
            folder = tmp_path / f"{number}{order}"
            try:
                infos = write_shards([{field: np.asarray(wanted, order=order)}], folder / pattern, format=form)
            except InvalidSample as error:
                assert f"field {field!r}" in error.what
                assert not folder.exists() or list(folder.iterdir()) == []
                continue
            (untyped,) = Dataset(infos)
            require_same(untyped[field], wanted)
            kind: Any = "ndarrayBytes" if dtype.names is None else "structuredBytes"
            declared = Array(dtype=None if dtype.names else dtype.name, shape=None, format=kind)
            type_ = SampleType(name="A", version="1.0.0", fields=(Field(name=field, type=declared),))
            (typed,) = Dataset(infos, class_from(type_))
            require_same(fields_of(typed)[field], wanted)


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("form", FILES)
def test_python_objects_are_refused_with_the_field(tmp_path: Path, form: Any, name: str) -> None:  # noqa: ANN401
    field, pattern = FILES[form]
    with pytest.raises(InvalidSample, match=f"field '{field}'"):
        write_shards([{field: REFUSED[name]}], tmp_path / pattern, format=form)
    assert list(tmp_path.iterdir()) == []
