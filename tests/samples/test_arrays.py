"""Array bytes: what is written, what is read, and what is refused."""

from __future__ import annotations

import contextlib
import io
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from catalog.errors import InvalidArray
from catalog.samples.arrays import decode_aligned, decode_array, encode_array

if TYPE_CHECKING:
    from pathlib import Path

FLOATS = hnp.floating_dtypes(sizes=(16, 32, 64))
NUMBERS = hnp.boolean_dtypes() | hnp.integer_dtypes() | FLOATS | hnp.datetime64_dtypes()


def npy(header: str, data: bytes = b"", version: int = 1) -> bytes:
    raw = header.encode("latin-1")
    length = struct.pack("<H" if version == 1 else "<I", len(raw))
    return b"\x93NUMPY" + bytes((version, 0)) + length + raw + data


def compact(dtype: bytes, shape: tuple[int, ...], data: bytes) -> bytes:
    return bytes((len(dtype),)) + dtype + bytes((len(shape),)) + struct.pack(f"<{len(shape)}q", *shape) + data


@given(hnp.arrays(NUMBERS, hnp.array_shapes(min_dims=0, min_side=0, max_dims=4)), st.booleans())
def test_an_array_comes_back_as_it_was_written(array: np.ndarray[Any, Any], transposed: bool) -> None:  # noqa: FBT001
    given_array = array.T if transposed else array
    read = decode_array(encode_array(given_array))
    assert read.dtype == given_array.dtype
    assert read.shape == given_array.shape
    assert read.tobytes() == given_array.tobytes()


@given(hnp.arrays(NUMBERS, hnp.array_shapes(min_side=0)))
def test_numpy_itself_is_the_oracle_both_ways(array: np.ndarray[Any, Any]) -> None:
    buffer = io.BytesIO()
    np.save(buffer, array)
    assert encode_array(array) == buffer.getvalue()
    assert decode_array(buffer.getvalue()).tobytes() == np.load(io.BytesIO(encode_array(array))).tobytes()


def test_the_compact_form_of_the_wire_format_is_read() -> None:
    raw = bytes.fromhex("037c753102 0200000000000000 0300000000000000 000102030405")
    assert decode_array(raw).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert decode_array(raw).dtype == np.uint8


def test_the_array_is_a_read_only_view_into_the_bytes() -> None:
    raw = encode_array(np.arange(1000))
    array = decode_array(raw)
    assert np.shares_memory(array, np.frombuffer(raw, np.uint8))
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1
    assert not decode_array(bytearray(raw)).flags.writeable


def test_where_a_view_would_lie_badly_a_copy_is_made_on_request() -> None:
    raw = compact(b"<f8", (2,), struct.pack("<2d", 1.5, 2.5))
    assert not decode_array(raw).flags.aligned
    assert decode_aligned(raw).flags.aligned
    assert not decode_aligned(raw).flags.writeable
    assert decode_aligned(raw).tolist() == [1.5, 2.5]
    whole = encode_array(np.arange(3))
    assert np.shares_memory(decode_aligned(whole), np.frombuffer(whole, np.uint8))


@given(hnp.arrays(NUMBERS, hnp.array_shapes(min_dims=0, min_side=0)), st.integers(0, 7))
def test_a_view_of_other_memory_gives_the_same_array(array: np.ndarray[Any, Any], shift: int) -> None:
    raw = encode_array(array)
    for buffer in (bytearray(raw), memoryview(raw), memoryview(bytes(shift) + raw)[shift:]):
        for read in (decode_array(buffer), decode_aligned(buffer)):
            assert (read.dtype, read.shape, read.tobytes()) == (array.dtype, array.shape, array.tobytes())
            assert not read.flags.writeable


def test_a_header_that_was_seen_before_is_believed_only_with_its_bytes() -> None:
    raw = encode_array(np.arange(3))
    assert decode_array(raw).tolist() == [0, 1, 2]
    for wrong in (raw[:-1], raw + b"x", raw[:128]):
        with pytest.raises(InvalidArray, match="promises"):
            decode_array(wrong)


def test_structured_arrays_and_unusual_headers_are_read() -> None:
    table = np.array([(1, 2.5), (3, 4.5)], dtype=[("a", "<i4"), ("b", "<f8")])
    assert decode_array(encode_array(table)).tolist() == table.tolist()
    loose = npy("{'shape':(2,),'fortran_order':False,'descr':'<u2'}\n", b"\1\0\2\0", version=2)
    assert decode_array(loose).tolist() == [1, 2]


def test_python_objects_are_not_written() -> None:
    with pytest.raises(InvalidArray, match="object"):
        encode_array(np.array([object()]))


HEADER = "{{'descr': '{}', 'fortran_order': False, 'shape': {}, }}"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x93NUMPY",
        b"\x93NUMPY\x09\x00\x00\x00",
        encode_array(np.arange(3))[:-1],
        encode_array(np.arange(3)) + b"x",
        npy(HEADER.format("<f8", "(1000000000000,)")),
        npy(HEADER.format("<f8", "(9223372036854775807, 9223372036854775807, 2)")),
        npy(HEADER.format("<f8", "(0, 9223372036854775807, 9223372036854775807)")),
        npy(HEADER.format("<f8", "(-1,)"), b"12345678"),
        npy(HEADER.format("<f8", "(True,)"), b"12345678"),
        npy(HEADER.format("<f8", "(" + "1, " * 65 + ")"), b"12345678"),
        npy(HEADER.format("|O", "(1,)"), b"\x80\x04N."),
        npy(HEADER.format("O", "(1,)"), b"\x80\x04N."),
        npy(HEADER.format("i4,O", "(1,)"), b"\x80\x04N."),
        npy("{'descr': [('a', '|O')], 'fortran_order': False, 'shape': (1,)}", b"12345678"),
        npy("{'descr': ('<f8', (2,)), 'fortran_order': False, 'shape': (1,)}", b"1234567812345678"),
        npy(HEADER.format("<f8", "__import__('os')")),
        npy(HEADER.format("V0", "(1,)")),
        npy("[" * 5000),
        npy("{'descr': '\\d'}"),
        npy(HEADER.format("<f8", "(0,)"))[:20],
        compact(b"|O", (1,), b"12345678"),
        compact(b"|u1", (-1,), b""),
        compact(b"|u1", (2**62, 4), b""),
        compact(b"|u1", (2,), b"123"),
        compact("ü".encode(), (1,), b"1"),
        compact(b"|u1", (1,) * 65, b"1"),
        b"\x03|u1\x09",
    ],
)
def test_what_lies_or_would_run_code_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidArray):
        decode_array(raw)


def test_what_numpy_would_unpickle_is_refused_before_it_runs(tmp_path: Path) -> None:
    raw = npy(HEADER.format("|O", "(1,)").ljust(117) + "\n", _touching(tmp_path / "ours"))
    with pytest.raises(InvalidArray):
        decode_array(raw)
    assert not (tmp_path / "ours").exists()

    control = npy(HEADER.format("|O", "(1,)").ljust(117) + "\n", _touching(tmp_path / "theirs"))
    with contextlib.suppress(Exception):
        np.load(io.BytesIO(control), allow_pickle=True)
    assert (tmp_path / "theirs").exists()


def _touching(path: Path) -> bytes:
    """A pickle that makes a folder when it is loaded."""
    return b"cos\nmkdir\n(S'" + str(path).encode() + b"'\ntR."


@given(st.binary(max_size=300) | st.binary(max_size=200).map(lambda tail: b"\x93NUMPY\x01\x00" + tail))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    with contextlib.suppress(InvalidArray):
        decode_array(raw)


@given(st.text(st.characters(max_codepoint=255), max_size=200), st.binary(max_size=64))
def test_any_header_is_read_or_refused(header: str, data: bytes) -> None:
    with contextlib.suppress(InvalidArray):
        decode_array(npy(header, data))


@given(st.integers(0, 200), st.integers(0, 255))
def test_any_changed_byte_is_read_or_refused(place: int, byte: int) -> None:
    raw = bytearray(encode_array(np.arange(9, dtype=np.float32)))
    raw[place % len(raw)] = byte
    with contextlib.suppress(InvalidArray):
        decode_array(raw)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("number", [0x110000, 0xFFFFFFFF])
@pytest.mark.parametrize("shape", [(), (2,), (2, 1)])
def test_text_with_numbers_that_are_no_characters_is_refused(order: str, number: int, shape: tuple[int, ...]) -> None:
    """Python raises SystemError for them; also inside a structured array. The last character is fine."""
    for points, fine in (([65, 0x10FFFF], True), ([65, number], False)):
        raw = np.array(points, f"{order}u4").tobytes()
        plain = np.frombuffer(raw * 2, f"{order}U2")[: int(np.prod(shape))].reshape(shape)
        structured = np.frombuffer(raw, [("n", "<i4"), ("inner", [("text", f"{order}U1")])])
        for array in (plain, structured):
            with contextlib.nullcontext() if fine else pytest.raises(InvalidArray, match="Unicode"):
                assert decode_array(encode_array(array)).tobytes() == array.tobytes()
