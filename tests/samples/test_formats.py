"""The optional array forms: round trips, what is refused, and what happens without their libraries."""

from __future__ import annotations

import contextlib
import io
import struct
import sys
import tracemalloc
import zipfile
from typing import Annotated, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray  # noqa: TC002 - the classes below need it at run time
from scipy import sparse

from catalog import Array, PackableSample
from catalog.errors import InvalidArray, InvalidSample, MissingExtra
from catalog.samples.array_formats import MAX_UNPACKED, decode, encode
from catalog.samples.arrays import encode_array
from catalog.samples.packable import class_from, sample_type
from catalog.schema import ArrayFormat, Field, List, SampleType

SPARSE, ARROW, SAFE = (Array(format=form) for form in ("sparseBytes", "arrowTensor", "safetensors"))
NUMBERS = hnp.integer_dtypes(endianness="<") | hnp.floating_dtypes(endianness="<", sizes=(32, 64))
MATRIX = sparse.csr_array(np.diag([1.0, 2.0, 3.0]))


class Forms(PackableSample):
    """One of each."""

    graph: Annotated[Any, Array(dtype="float64", shape=(3, 3), format="sparseBytes")]
    table: Annotated[NDArray[Any], Array(format="structuredBytes")]
    tensor: Annotated[NDArray[np.float32], Array(shape=(None, 2), format="arrowTensor")]
    weights: Annotated[dict[str, NDArray[Any]], Array(format="safetensors")] | None = None
    kept: Annotated[bytes, Array(format="sparseBytes")] = b"as it is"
    many: list[Annotated[bytes, Array()]] | None = None


class Wide(PackableSample):
    """A sparse array, whatever its shape."""

    graph: Annotated[Any, Array(format="sparseBytes")]


def forms(**changes: Any) -> Forms:  # noqa: ANN401
    values: dict[str, Any] = {
        "graph": MATRIX, "table": np.array([(1, 2.5)], dtype=[("a", "<i4"), ("b", "<f8")]),
        "tensor": np.ones((3, 2), np.float32), "weights": {"w": np.zeros((2, 2)), "b": np.ones(2, np.uint8)},
        "many": [b"not", b"looked at"],
    }  # fmt: skip
    return Forms(**{**values, **changes})


def test_a_sample_with_every_form_comes_back_equal() -> None:
    read = Forms.from_bytes(forms().packed, validate=True)
    assert read == forms()
    assert isinstance(read.graph, sparse.csr_array)
    assert read.table["b"].tolist() == [2.5]
    assert read.kept == b"as it is"
    assert read != forms(graph=sparse.csr_array(np.zeros((3, 3))))
    assert read != forms(weights={"w": np.zeros((2, 2))})


def test_the_sample_type_says_the_form_and_a_class_made_from_it_reads_the_values() -> None:
    found = sample_type(Forms)
    kinds = {field.name: field.type for field in found.fields}
    assert kinds["graph"] == Array(dtype="float64", shape=(3, 3), format="sparseBytes")
    assert kinds["tensor"] == Array(dtype="float32", shape=(None, 2), format="arrowTensor")
    assert kinds["many"] == List(item=Array())
    fields = tuple(field for field in found.fields if field.name not in ("kept", "many"))
    made = class_from(SampleType(name="made", version="1.0.0", fields=fields))
    read: Any = made.from_bytes(forms().packed)
    assert read.graph.toarray().tolist() == MATRIX.toarray().tolist()
    assert read.weights["b"].tolist() == [1, 1]
    assert made.from_bytes(read.packed) == read


@given(hnp.arrays(NUMBERS, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0)))
def test_an_arrow_tensor_comes_back_as_it_was_written(array: NDArray[Any]) -> None:
    for given_array in (array, array.T, array.astype(array.dtype.newbyteorder(">"))):
        read = decode(ARROW, encode(ARROW, given_array))
        assert read.dtype == given_array.dtype.newbyteorder("=")
        assert np.array_equal(read, given_array, equal_nan=array.dtype.kind == "f")
        assert not read.flags.writeable


def test_an_arrow_tensor_is_a_view_into_the_bytes() -> None:
    raw = encode(ARROW, np.arange(1000))
    assert np.shares_memory(decode(ARROW, raw), np.frombuffer(raw, np.uint8))


def test_arrow_has_no_truth_values_but_a_field_that_wants_them_gets_them() -> None:
    raw = encode(ARROW, np.array([True, False]))
    assert decode(ARROW, raw).dtype == np.uint8
    assert decode(Array(dtype="bool", format="arrowTensor"), raw).tolist() == [True, False]


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), hnp.arrays(NUMBERS, (2, 3))))
def test_safetensors_come_back_as_they_were_written(values: dict[str, NDArray[Any]]) -> None:
    values.pop("__metadata__", None)
    read = decode(SAFE, encode(SAFE, {name: value.T for name, value in values.items()}))
    assert read.keys() == values.keys()
    assert all(np.array_equal(read[name], value.T, equal_nan=value.dtype.kind == "f") for name, value in values.items())
    assert not any(tensor.flags.writeable for tensor in read.values())


@pytest.mark.parametrize("form", ["csr", "csc", "bsr", "coo", "dia", "lil", "dok"])
@pytest.mark.parametrize("kind", ["array", "matrix"])
def test_every_sparse_form_is_written_and_read_as_an_array(form: str, kind: str) -> None:
    value = getattr(sparse, f"{form}_{kind}")(np.diag([1, 2, 0, 4]))
    read = decode(SPARSE, encode(SPARSE, value))
    assert isinstance(read, sparse.sparray)
    assert read.dtype == value.dtype
    assert read.toarray().tolist() == value.toarray().tolist()
    read.sum_duplicates() if form in ("csr", "csc", "coo") else None  # in place: it must be writable


def test_sparse_arrays_of_one_and_three_dimensions_are_read() -> None:
    line = decode(SPARSE, encode(SPARSE, sparse.coo_array(np.array([0, 5, 0]))))
    assert line.toarray().tolist() == [0, 5, 0]
    cube = np.zeros((2, 2, 2))
    cube[1, 0, 1] = 3
    assert decode(SPARSE, encode(SPARSE, sparse.coo_array(cube))).toarray().tolist() == cube.tolist()


def test_sparse_arrays_are_compared_without_being_made_dense() -> None:
    wide, other = sparse.coo_array((2**40, 2**40)), sparse.coo_array(([1.0], ([0], [0])), shape=(2**40, 2**40))
    sample, without = Wide(graph=wide), Wide(graph=other)
    assert sample == Wide(graph=wide)
    assert sample != without
    assert Wide(graph=sparse.coo_array(([1.0, 1.0], ([0, 0], [1, 1])), shape=(2, 2))) == Wide(
        graph=sparse.coo_array(([2.0, 0.0], ([0, 1], [1, 1])), shape=(2, 2))
    )


def npz(parts: dict[str, Any], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, part in parts.items():
            made = isinstance(part, bytes) and (not part or part.startswith(b"\x93"))
            archive.writestr(f"{name}.npy", part if made else encode_array(np.asarray(part)))
    return buffer.getvalue()


CSR: dict[str, Any] = {
    "format": b"csr", "shape": [3, 3], "data": [1.0, 2.0], "indices": [0, 2], "indptr": [0, 1, 2, 2],
}  # fmt: skip


def test_the_control_of_the_lies_below_is_read() -> None:
    assert decode(SPARSE, npz(CSR)).toarray().tolist() == [[1, 0, 0], [0, 0, 2], [0, 0, 0]]


@pytest.mark.parametrize(
    "lie",
    [
        {"indices": [0, 3]},
        {"indices": [0, -1]},
        {"indices": [0.0, 2.0]},
        {"indptr": [0, 1, 9, 2]},
        {"indptr": [0, 1, 2]},
        {"indptr": [0, 2, 1, 2]},
        {"shape": [2**40, 3]},
        {"shape": [-3, 3]},
        {"shape": 3},
        {"shape": [3.0, 3.0]},
        {"data": ["a", "b"]},
        {"data": [[1.0, 2.0]]},
        {"format": b"lil"},
        {"format": b"__class__"},
        {"format": [b"csr", b"csr"]},
        {"format": "\N{SNOWMAN}"},
        {"format": b"coo"},
        {"format": b"dia"},
        {"data": b"\x93NUMPY"},
        {"data": encode_array(np.arange(2.0))[:-1]},
        {"data": encode_array(np.zeros(1, "i4"))[:8] + struct.pack("<H", 60) + b"{'descr': '|O'}"},
    ],
)
def test_a_sparse_array_that_lies_is_refused(lie: dict[str, Any]) -> None:
    with pytest.raises(InvalidArray):
        decode(SPARSE, npz({**CSR, **lie}))


def test_indices_outside_of_a_coordinate_array_are_refused() -> None:
    parts: dict[str, Any] = {"format": b"coo", "shape": [2, 2], "data": [1.0], "row": [0], "col": [1]}
    assert decode(SPARSE, npz(parts)).nnz == 1
    for wrong in ({"col": [2]}, {"row": [-1]}, {"coords": [[0], [7]]}):
        with pytest.raises(InvalidArray):
            decode(SPARSE, npz({**parts, **wrong}))


def test_a_zip_bomb_is_refused_before_memory_is_taken() -> None:
    bomb = npz({**CSR, "data": encode_array(np.zeros(MAX_UNPACKED // 8 + 1))})
    assert len(bomb) < 100_000
    tracemalloc.start()
    try:
        with pytest.raises(InvalidArray, match="would unpack"):
            decode(SPARSE, bomb)
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


def test_a_member_that_is_longer_than_it_says_is_refused() -> None:
    raw = bytearray(npz({**CSR, "data": np.zeros(100_000)}))
    size = struct.pack("<I", 800_128)
    assert raw.count(size) == 2
    with pytest.raises(InvalidArray):
        decode(SPARSE, bytes(raw.replace(size, struct.pack("<I", 128))))


def test_a_directory_of_many_members_and_other_compressions_are_refused() -> None:
    many = npz({**CSR, **{f"more{n}": b"" for n in range(100)}})
    for raw in (many, npz(CSR, zipfile.ZIP_LZMA), npz(CSR, zipfile.ZIP_BZIP2), npz(CSR) + b"comment", b"PK"):
        with pytest.raises(InvalidArray):
            decode(SPARSE, raw)


def test_strides_that_make_much_of_little_are_refused() -> None:
    raw = encode(ARROW, np.arange(12, dtype=np.int64).reshape(3, 4))
    shape, strides = struct.pack("<q", 3), struct.pack("<qq", 32, 8)
    assert raw.count(strides) == 1
    flat = raw.replace(strides, bytes(16)).replace(shape, struct.pack("<q", 2**40), 1)
    with pytest.raises(InvalidArray):
        decode(ARROW, flat)


RAW = {
    SPARSE: npz(CSR, zipfile.ZIP_STORED),
    ARROW: encode(ARROW, np.arange(6.0).reshape(2, 3)),
    SAFE: encode(SAFE, {"a": np.arange(6.0), "b": np.ones((2, 2), np.uint8)}),
}


@given(
    st.sampled_from(sorted(RAW, key=str)), st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 255)), max_size=4)
)
def test_changed_bytes_are_read_or_refused(type_: Array, changes: list[tuple[int, int]]) -> None:
    raw = bytearray(RAW[type_])
    for place, byte in changes:
        raw[place % len(raw)] = byte
    with contextlib.suppress(InvalidArray):
        found = decode(type_, bytes(raw))
        if type_ is ARROW:
            assert found.nbytes <= len(raw)
            assert found.sum() is not None
        elif type_ is SPARSE and found.shape < (1000, 1000):
            found.toarray()


@given(st.sampled_from([SPARSE, ARROW, SAFE]), st.binary(max_size=100))
def test_any_bytes_are_read_or_refused(type_: Array, raw: bytes) -> None:
    with contextlib.suppress(InvalidArray):
        decode(type_, raw)


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        (SPARSE, np.eye(3)),
        (ARROW, [1.0]),
        (ARROW, np.zeros(3, complex)),
        (ARROW, np.array(["text"])),
        (SAFE, np.eye(3)),
        (SAFE, {"a": [1.0]}),
        (SAFE, {1: np.eye(3)}),
        (SAFE, {"a": np.array(["text"])}),
    ],
)
def test_what_a_form_does_not_hold_is_refused(type_: Array, value: object) -> None:
    with pytest.raises(InvalidArray):
        encode(type_, value)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"graph": np.eye(3)}, r"field 'graph': expected a scipy sparse array, found ndarray"),
        ({"graph": sparse.csr_array(np.eye(2))}, r"field 'graph': .* found csr_array array\[float64, 2, 2\]"),
        ({"graph": 3}, "field 'graph': .* found int"),
        ({"tensor": np.ones((3, 2))}, r"field 'tensor': .* found array\[float64, 3, 2\]"),
        ({"weights": np.ones(2)}, "field 'weights'"),
        ({"kept": MATRIX}, "field 'kept'"),
        ({"many": [np.ones(2)]}, "field 'many'"),
    ],
)
def test_writing_checks_form_dtype_and_shape(change: dict[str, Any], expected: str) -> None:
    with pytest.raises(InvalidSample, match=expected):
        _ = forms(**change).packed


def test_reading_checks_dtype_and_shape_on_request() -> None:
    class Loose(PackableSample):
        graph: Annotated[Any, Array(format="sparseBytes")]

    raw = Loose(graph=sparse.coo_array(np.eye(2))).packed

    class Strict(PackableSample):
        graph: Annotated[Any, Array(shape=(3, 3), format="sparseBytes")]

    assert Strict.from_bytes(raw).graph.shape == (2, 2)
    with pytest.raises(InvalidSample, match=r"k: field 'graph': expected array\[\*, 3, 3\], found coo_array"):
        Strict.from_bytes(raw, key="k", validate=True)


@pytest.mark.parametrize(
    ("form", "module", "value", "extra"),
    [
        ("sparseBytes", "scipy.sparse", MATRIX, "sparse"),
        ("arrowTensor", "pyarrow", np.ones(2), "arrow"),
        ("safetensors", "safetensors.numpy", {"a": np.ones(2)}, "safetensors"),
    ],
)
def test_a_missing_library_is_missed_only_by_the_fields_that_need_it(
    monkeypatch: pytest.MonkeyPatch, form: ArrayFormat, module: str, value: object, extra: str
) -> None:
    fields = (
        Field(name="label", type=Array(), optional=True),
        Field(name="value", type=Array(format=form), optional=True),
    )
    made = class_from(SampleType(name="made", version="1.0.0", fields=fields))
    raw = made(value=value).packed  # type: ignore[call-arg] # its fields are known at run time only
    monkeypatch.setitem(sys.modules, module, None)
    without = made(label=np.ones(1))  # type: ignore[call-arg] # as above
    assert made.from_bytes(without.packed) == without
    with pytest.raises(MissingExtra, match=rf"k: field 'value': {module}.*{extra} arrays .*atdata-catalog\[{extra}\]"):
        made.from_bytes(raw, key="k")
    with pytest.raises(MissingExtra, match=rf"atdata-catalog\[{extra}\]"):
        _ = made(value=value).packed  # type: ignore[call-arg] # as above
