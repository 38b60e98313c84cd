"""Previews: the first samples of real shards, from servers that behave and servers that don't, down to the pixel."""

from __future__ import annotations

import io
import json
import os
import re
import sys
import threading
import time
from dataclasses import dataclass, field, replace
from html import unescape
from typing import TYPE_CHECKING, Any

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from catalog.atproto import datamodel
from catalog.config import CatalogSettings, NetworkSettings, PreviewSettings, read_settings
from catalog.errors import BuildError, CatalogError, DataError, InvalidConfig, InvalidData, InvalidSample, MissingExtra
from catalog.network import http
from catalog.network import ssrf as guard
from catalog.records import DATASET, SCHEMA
from catalog.samples.arrays import encode_array
from catalog.samples.write_shards import write_shards
from catalog.schema import Array, Field, SampleType, Scalar, write_body
from catalog.site.postprocess import read_graph
from catalog.site.previews import Preview, gather, pictures, plots
from catalog.site.previews.cache import Cache, Entry
from catalog.site.previews.first_samples import Mark
from catalog.site.previews.render import FieldHint, paint
from catalog.site.previews.worker import Painter
from catalog.site.settings import SiteSettings
from catalog.site.templates import Templates
from catalog.store import Found, Repo, Store
from catalog.store.graph import Graph
from catalog.syntax import Cid
from catalog.syntax.cid import RAW
from tests.fakes import Asked, Fake, answer, fake_server
from tests.shards.test_tar import tar_of
from tests.sitecatalog import DID, SEEN, mkdocs, uri

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from http.server import BaseHTTPRequestHandler
    from pathlib import Path

    from numpy.typing import NDArray
    from playwright.sync_api import Page

    from catalog.atproto.datamodel import Json
    from catalog.site.previews import Previews
    from catalog.site.previews.model import Cell
    from tests.conftest import HttpsServer, Watch

RNG = np.random.default_rng(5)
TYPE = SampleType(
    name="Seen",
    version="1.0.0",
    fields=(
        Field(name="image", type=Array(dtype="uint8", shape=(6, 5))),
        Field(name="label", type=Scalar(kind="int")),
    ),
)
SAMPLES: list[dict[str, Any]] = [
    {"image": RNG.integers(0, 256, (6, 5), dtype=np.uint8), "label": number % 3} for number in range(20)
]
DAY = 86_400


# --- what is made of values ----------------------------------------------------------------------------------


def packed(*values: dict[str, Any]) -> list[tuple[str, bytes]]:
    def pack(value: object) -> object:
        return encode_array(value) if isinstance(value, np.ndarray) else value

    return [
        (f"{number:03d}", msgpack.packb({name: pack(value) for name, value in sample.items()}))
        for number, sample in enumerate(values)
    ]


def one(value: object, *, dimensions: tuple[str, ...] = (), form: str = "") -> tuple[Cell, Preview]:
    """The cell of a value, alone in its sample; the preview has been to bytes and back."""
    hint = FieldHint(name="it", dimensions=dimensions, form=form)
    preview = paint([hint], packed({"it": value}), shown=8)
    again = Preview.load(preview.dump())
    assert again == preview
    return again.rows[0].cells[0], again


def pixels(preview: Preview, cell: Cell) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(dict(preview.files)[cell.file])) as image:
        return np.asarray(image)


GREY = RNG.integers(0, 256, (7, 9), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (7, 9, 3), dtype=np.uint8)
ALPHA = RNG.integers(1, 256, (7, 9, 4), dtype=np.uint8)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        pytest.param(GREY, GREY, id="grey"),
        pytest.param(GREY[:, :, None], GREY, id="grey with an axis for it"),
        pytest.param(COLOUR, COLOUR, id="colours last"),
        pytest.param(np.moveaxis(COLOUR, 2, 0), COLOUR, id="colours first"),
        pytest.param(ALPHA, ALPHA, id="see-through"),
        pytest.param(np.dstack((COLOUR, np.zeros_like(GREY))), COLOUR, id="wholly see-through: as if it weren't"),
        pytest.param(GREY > 100, (GREY > 100) * np.uint8(255), id="truth values"),
        pytest.param(GREY % 17, np.rint((GREY % 17) / 16 * 255), id="0 to 16 in bytes"),
        pytest.param((GREY / 255).astype(np.float32), GREY, id="0 to 1"),
        pytest.param((GREY / 127.5 - 1).astype(np.float64), GREY, id="-1 to 1"),
        pytest.param(GREY.astype(np.float16), GREY, id="0 to 255 as floats"),
        pytest.param(GREY.astype(">u2") * 257,
                     np.rint((GREY - GREY.min()) / np.ptp(GREY) * 255), id="16 bits, big end first"),
        pytest.param(np.asfortranarray(GREY), GREY, id="columns first"),
        pytest.param(np.full((5, 5), np.float32(3e38)) * np.array([-1, 1, 1, 1, 1], np.float32),
                     np.broadcast_to(np.array([0, 255, 255, 255, 255]), (5, 5)), id="as far apart as can be"),
    ],
)  # fmt: skip
def test_a_picture_has_the_values_of_its_array_pixel_by_pixel(array: NDArray[Any], expected: NDArray[Any]) -> None:
    cell, preview = one(array)
    assert cell.kind == "picture"
    assert np.array_equal(pixels(preview, cell), expected.astype(np.uint8))
    assert cell.width % expected.shape[1] == cell.height % expected.shape[0] == 0
    assert cell.pixels
    assert cell.width / expected.shape[1] == cell.height / expected.shape[0] > 1, "each pixel is a whole number of them"


def test_pictures_of_one_field_share_what_black_and_white_are() -> None:
    dark, light = np.full((4, 4), 20.0), np.full((4, 4), 100.0)
    preview = paint([FieldHint(name="it")], packed({"it": dark}, {"it": light}), shown=8)
    first, second = (pixels(preview, row.cells[0]) for row in preview.rows)
    assert (first.max(), second.min()) == (20, 100), "0 to 255, as both are within"
    preview = paint([FieldHint(name="it")], packed({"it": dark * 100}, {"it": light * 100}), shown=8)
    first, second = (pixels(preview, row.cells[0]) for row in preview.rows)
    assert (first.max(), second.min()) == (0, 255)
    assert preview.columns[0].note == "black is 2000, white is 1e+04"


def test_nan_is_transparent_and_infinity_black_or_white() -> None:
    array = np.linspace(0, 1, 25).reshape(5, 5)
    array[0, 0], array[1, 1], array[2, 2] = np.nan, np.inf, -np.inf
    cell, preview = one(array)
    found = pixels(preview, cell)
    assert found.shape == (5, 5, 2)
    assert found[0, 0, 1] == 0
    assert (found[:, :, 1] == 0).sum() == 1
    assert (found[1, 1, 0], found[2, 2, 0]) == (255, 0)


def test_an_array_that_runs_backwards_is_drawn_as_it_is_read() -> None:
    """No view of .npy bytes has negative strides; what other decoders give may."""
    backwards = GREY[::-1, ::-1]
    assert min(backwards.strides) < 0
    picture = pictures.from_array(backwards, "HW", pictures.scale_of([backwards]))
    with Image.open(io.BytesIO(picture.data)) as image:
        assert np.array_equal(np.asarray(image), backwards)
    assert plots.series(np.arange(9)[::-1]) is not None


@pytest.mark.parametrize(
    ("shape", "names", "kind"),
    [
        ((28, 28), (), "picture"),
        ((28, 28), ("time", "feature"), "facts"),
        ((2, 400), (), "line"),
        ((2, 400), ("channel", "time"), "line"),
        ((400, 2), ("time", "channel"), "line"),
        ((400, 2), (), "facts"),
        ((3, 32, 32), (), "picture"),
        ((3, 32, 32), ("frame", "y", "x"), "picture"),
        ((32, 32, 5), (), "facts"),
        ((5, 32, 32), (), "facts"),
        ((2, 3, 32, 32), (), "facts"),
        ((1000, 3), (), "facts"),
        ((500,), (), "line"),
        ((10,), (), "bars"),
        ((3,), (), "number"),
        ((), (), "facts"),
        ((0,), (), "facts"),
        ((0, 8), (), "facts"),
        ((4, 4), (), "picture"),
        ((3, 3), (), "facts"),
    ],
)
def test_what_an_array_is_shown_as_follows_from_its_axes(
    shape: tuple[int, ...], names: tuple[str, ...], kind: str
) -> None:
    array = RNG.random(shape).astype(np.float32)
    assert one(array, dimensions=names)[0].kind == kind


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.array(3.5), "float64, a single value; 3.5"),
        (np.zeros((0, 2**40), np.int8), "int8, 0 × 1,099,511,627,776; empty"),
        (np.full((2, 2, 2, 2), np.nan), "float64, 2 × 2 × 2 × 2; no finite number"),
        (np.array([[[[1.0, np.inf]]]]), "float64, 1 × 1 × 1 × 2; 1 … 1, mean 1, 1 not finite"),
        (np.ones((3, 3, 3, 3), bool), "bool, 3 × 3 × 3 × 3; 81 true"),
        (np.array(["ab", "c"]), "str64, 2"),
        (np.ones((2, 2), complex), "complex128, 2 × 2"),
        (np.zeros(3, [("a", "i4"), ("b", "f4")]), "records of a, b, 3"),
        (b"\0" * 2000, "2,000 bytes"),
    ],
)
def test_everything_else_is_described(value: object, text: str) -> None:
    cell = one(value)[0]
    assert (cell.kind, cell.text) == ("facts", text)


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (7, "number", "7"), (-12345, "number", "−12,345"), (0.30572917, "number", "0.3057"), (True, "word", "true"),
        (float("nan"), "number", "nan"), (float("-inf"), "number", "−inf"),
        (2**63, "number", "9,223,372,036,854,775,808"),
        (None, "none", ""), ("cat", "word", "cat"), ("x" * 41, "text", "x" * 41), ("a\x00b", "word", "a\x00b"),
        ([1, 2.5], "number", "1 · 2.5"), (["a", "b"], "text", "a, b"), ({"a": [1]}, "text", '{"a": [1]}'),
        (list(range(100)), "line", "float64, 100; 0 … 99, mean 49.5"),
    ],
)  # fmt: skip
def test_scalars_and_text_are_shown_as_they_are(value: object, kind: str, text: str) -> None:
    cell = one(value)[0]
    assert (cell.kind, cell.text) == (kind, text)


def test_long_text_is_cut_and_many_fields_are_counted() -> None:
    cell = one("word " * 10_000)[0]
    assert len(cell.text) <= 600
    assert cell.text.endswith("…")
    hints = [FieldHint(name=f"f{number}") for number in range(40)]
    preview = paint(hints, packed({hint.name: "x" * 5000 for hint in hints}), shown=8)
    assert (len(preview.columns), preview.more) == (24, 16)
    assert len(preview.dump()) < 25_000


@pytest.mark.parametrize(("size", "area"), [(2_000, False), (100_000, True)])
def test_a_line_goes_through_the_extremes_of_what_it_leaves_out(size: int, *, area: bool) -> None:
    values = np.zeros(size)
    high, low = size // 2 + 7, size // 4 * 3 + 5
    values[high], values[low] = 1, -1
    found = plots.series(values)
    assert found is not None
    path = plots.line(found[0], (-1, 1), points=160)
    assert path.endswith("z") == area
    points = [tuple(map(int, pair.split(" "))) for pair in _pairs(path.rstrip("z"))]
    assert len(points) == 160
    for value, place in ((0, high), (60, low)):
        (x,) = (x for x, y in points if y == value)
        assert abs(x - place / size * 240) <= 3
    even = _pairs(plots.line(np.full(size, 0.5), (0, 1), points=160).rstrip("z"))
    assert [pair.split()[1] for pair in even] == ["30"] * 160


def _pairs(path: str) -> list[str]:
    numbers = path.replace("M", " ").split()
    return [f"{x} {y}" for x, y in zip(numbers[::2], numbers[1::2], strict=True)]


def test_a_line_has_gaps_where_there_are_no_numbers() -> None:
    values = np.array([0, 1, np.nan, 1, np.inf, 0.0] * 10)
    found = plots.series(values)
    assert found is not None
    assert plots.line(found[0], (0, 1), points=160).count("M") == 21
    assert plots.line(found[0], (0, 1), points=160).count("h0") == 11, "a lone number is a dot"
    nothing = plots.series(np.full(50, np.nan))
    assert nothing is not None
    assert plots.line(nothing[0], plots.span([nothing]), points=160) == ""


def test_a_histogram_counts_what_is_there() -> None:
    samples = packed(*({"n": n % 4, "x": float(n), "w": "ab"[n % 3 == 0], "t": n > 5} for n in range(30)))
    preview = paint([FieldHint(name=name) for name in "nxwt"], samples, shown=2)
    n, x, w, t = (column.spread for column in preview.columns)
    assert n is not None
    assert x is not None
    assert w is not None
    assert t is not None
    assert n.path.count("M") == 4
    assert (x.low, x.high, x.path.count("M")) == ("0", "29", 12)
    assert w.counts == (("a", 20), ("b", 10))
    assert t.counts == (("true", 24), ("false", 6))
    assert (len(preview.rows), preview.counted) == (2, 30)


# --- pictures that come as files -----------------------------------------------------------------------------


def encoded(array: NDArray[np.uint8], kind: str, **options: Any) -> bytes:  # noqa: ANN401
    out = io.BytesIO()
    Image.fromarray(array).save(out, kind, **options)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
@pytest.mark.parametrize("array", [COLOUR, ALPHA], ids=["RGB", "RGBA"])
def test_a_picture_file_is_decoded_and_written_anew(kind: str, array: NDArray[np.uint8]) -> None:
    raw = encoded(array, kind, lossless=True, exact=True)
    for value in (raw, np.frombuffer(raw, np.uint8)):
        cell, preview = one(value)
        assert cell.kind == "picture"
        assert np.array_equal(pixels(preview, cell), array)


def test_nothing_of_a_foreign_file_is_passed_on() -> None:
    exif = Image.Exif()
    exif[0x010E] = "a secret place"
    big = np.kron(COLOUR, np.ones((100, 100, 1), np.uint8))
    for raw in (encoded(COLOUR, "JPEG", exif=exif, comment=b"a secret place"), encoded(big, "JPEG", exif=exif)):
        assert b"a secret place" in raw
        cell, preview = one(raw)
        assert cell.kind == "picture"
        assert b"a secret place" not in preview.dump()
        assert b"Exif" not in preview.dump()


def test_a_large_picture_is_made_small_and_stays_what_it_shows() -> None:
    big = np.zeros((900, 1200, 3), np.uint8)
    big[:, 600:] = (250, 10, 10)
    big[:450] //= 2
    gradient = (np.add.outer(np.arange(900), np.arange(1200)) % 256).astype(np.uint8)
    for value, name in ((big, "png"), (gradient, "webp"), (encoded(big, "JPEG"), "webp")):
        cell, preview = one(value)
        assert (cell.width, cell.height, cell.pixels) == (320, 240, False)
        assert cell.file == f"preview-0-it.{name}"
        assert len(preview.dump()) < 60_000
    found = pixels(preview, cell).astype(int)
    assert np.abs(found[200, 300] - (250, 10, 10)).max() < 12
    assert np.abs(found[40, 300] - (125, 5, 5)).max() < 12
    assert found[200, 40].max() < 12


def test_pictures_take_only_so_many_bytes() -> None:
    noise = RNG.integers(0, 256, (320, 320, 3), dtype=np.uint8)
    hints = [FieldHint(name=f"f{number}") for number in range(6)]
    preview = paint(hints, packed(*({hint.name: noise for hint in hints} for _ in range(8))), shown=8)
    kinds = [cell.kind for row in preview.rows for cell in row.cells]
    assert set(kinds) == {"picture", "facts"}
    assert len(preview.files) == kinds.count("picture") > 4
    assert sum(len(data) for _, data in preview.files) <= 500_000


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims any size."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(10**6))) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(bomb(50_000, 50_000), id="two billion pixels"),
        pytest.param(bomb(2**31 - 1, 1), id="a line around the world"),
        pytest.param(encoded(COLOUR, "JPEG")[:200], id="a cut JPEG"),
        pytest.param(encoded(COLOUR, "PNG")[:60], id="a cut PNG"),
        pytest.param(b"RIFF\x10\0\0\0WEBPVP8 nothing", id="no WebP"),
        pytest.param(b"\xff\xd8\xff" + b"\0" * 1000, id="no JPEG"),
    ],
)
def test_a_picture_that_is_none_or_too_large_is_a_line_of_words(raw: bytes) -> None:
    cell, preview = one(raw)
    assert cell.kind == "fault"
    assert preview.files == ()
    assert len(cell.text) < 200


def test_only_three_formats_are_opened() -> None:
    for kind in ("GIF", "BMP", "TIFF"):
        assert one(encoded(GREY, kind))[0].kind == "facts"


# --- hostile samples -----------------------------------------------------------------------------------------

NPY_BOMB = b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little") + (
    b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000, 1000000), }".ljust(117) + b"\n"
)  # fmt: skip
OBJECTS = b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little") + (
    b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(117) + b"\n" + b"cos\nsystem\n(S'true'\ntR."
)  # fmt: skip


@pytest.mark.parametrize("value", [NPY_BOMB, OBJECTS, b"", b"\x93NUMPY", b"\x05<f4\x00\x02\xff\xff"])
def test_an_array_that_cant_be_read_is_one_cell(value: bytes) -> None:
    """The fields beside it are shown."""
    hints = [FieldHint(name="bad", form="ndarrayBytes"), FieldHint(name="good")]
    preview = paint(hints, packed({"bad": value, "good": 1}), shown=8)
    bad, good = preview.rows[0].cells
    assert bad.kind == "fault"
    assert good.text == "1"


def test_arrays_of_foreign_libraries_are_not_decoded() -> None:
    assert one(b"whatever", form="arrowTensor")[0].text == "arrowTensor, 8 bytes"


def test_the_first_sample_decides_whether_it_is_one() -> None:
    with pytest.raises(InvalidSample):
        paint([FieldHint(name="a")], [("k", b"\xc1")], shown=8)
    preview = paint([FieldHint(name="a")], [*packed({"a": 1}), ("k", b"\xc1"), *packed({"a": 2})], shown=8)
    assert [row.cells[0].text for row in preview.rows] == ["1"]


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=60)
    | st.binary(max_size=60),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
dtypes = st.sampled_from(["?", "u1", "i2", ">i4", "u8", "f2", ">f4", "f8", "c8", "U3", "M8[s]", "m8[D]"])
shapes = st.lists(st.integers(0, 9), max_size=4).map(tuple)


@settings(max_examples=150)
@given(
    st.lists(st.tuples(values, dtypes, shapes, st.binary(min_size=8, max_size=200)), min_size=1, max_size=4),
    st.text(max_size=8),
)
def test_whatever_the_samples_hold_there_is_a_preview(
    found: list[tuple[Any, str, tuple[int, ...], bytes]], name: str
) -> None:
    hints = [FieldHint(name="any", form="ndarrayBytes"), FieldHint(name=name), FieldHint(name="array")]
    samples = []
    for value, dtype, shape, raw in found:
        kind = np.dtype(dtype)
        size = int(np.prod(shape)) * kind.itemsize
        array = (
            np.frombuffer((raw * (size // len(raw) + 1))[:size], kind).reshape(shape)
            if "U" not in dtype
            else np.zeros(shape, kind)
        )
        samples.append({"any": value, name: raw, "array": array})
    preview = paint(hints, packed(*samples), shown=3)
    assert Preview.load(preview.dump()) == preview


@settings(max_examples=100)
@given(st.binary(max_size=300))
def test_a_preview_in_bytes_is_read_or_refused(raw: bytes) -> None:
    good = paint([FieldHint(name="image")], packed(SAMPLES[0]), shown=1).dump()
    for tried in (raw, good[: len(raw)], good[:20] + raw[:5] + good[25:], good + raw[:1]):
        try:
            Preview.load(tried)
        except InvalidData:
            continue


@pytest.mark.parametrize("name", ["../../index.html", "preview-0-a.svg", "/etc/passwd", "preview-0-a.png/x"])
def test_a_preview_names_no_file_but_its_own(name: str) -> None:
    good = paint([FieldHint(name="image")], packed(SAMPLES[0]), shown=1)
    assert [file for file, _ in good.files] == ["preview-0-image.png"]
    with pytest.raises(InvalidData):
        Preview.load(replace(good, files=((name, b"x"),)).dump())


# --- the painter ---------------------------------------------------------------------------------------------


def test_a_painter_that_dies_hangs_or_is_out_of_memory_costs_one_preview() -> None:
    """And the environment's secrets are not its to know."""
    hints = [FieldHint(name="image"), FieldHint(name="label")]
    with Painter(seconds=5) as painter:
        expected = paint(hints, packed(*SAMPLES), shown=8)
        assert painter.paint(hints, packed(*SAMPLES), shown=8) == expected
        first = painter._process
        assert first is not None
        if os.path.exists(f"/proc/{first.pid}/environ"):  # noqa: PTH110
            with open(f"/proc/{first.pid}/environ", "rb") as file:  # noqa: PTH123
                assert b"HOME=" not in file.read()
        os.kill(first.pid, 19)  # stopped: it hangs
        with pytest.raises(DataError, match="took too long"):
            painter.paint(hints, packed(*SAMPLES), shown=8)
        assert painter.paint(hints, packed(*SAMPLES), shown=8) == expected
        second = painter._process
        assert second is not None
        assert second.pid != first.pid
        os.kill(second.pid, 11)
        second.wait()
        assert painter.paint(hints, packed(*SAMPLES), shown=8) == expected
        with pytest.raises(DataError, match="not msgpack"):
            painter.paint(hints, [("k", b"\xc1")], shown=8)
        nested = b"\x81\xa1a" + b"\xdd\x00\x0f\x00\x00" * 1000 + b"\xc0" * 1_000_000
        with pytest.raises(DataError):
            painter.paint(hints, [("k", nested)], shown=8)
        assert painter.paint(hints, packed(*SAMPLES), shown=8) == expected
        last = painter._process
    assert last is not None
    assert last.poll() is not None, "it is gone"


# --- a catalog, and a server ---------------------------------------------------------------------------------


@dataclass(slots=True)
class Served:
    """A shard on a server that has ranges and an ETag, and counts what it sends."""

    raw: bytes
    etag: str | None = '"one"'
    modified: str | None = None
    status: int = 200
    pause: float = 0
    endless: bool = False
    sent: int = 0
    asked: list[dict[str, str]] = field(default_factory=list)

    def __call__(self, handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        self.asked.append(asked.headers)
        if self.status != 200:
            answer(handler, {}, self.status)
            return
        if self.etag is not None and asked.headers.get("if-none-match") == self.etag:
            answer(handler, b"", 304)
            return
        handler.send_response(200)
        if self.etag is not None:
            handler.send_header("ETag", self.etag)
        if self.modified is not None:
            handler.send_header("Last-Modified", self.modified)
        handler.send_header("Content-Length", str(10**12 if self.endless else len(self.raw)))
        handler.end_headers()
        for start in range(0, 10**12 if self.endless else len(self.raw), 16_384):
            piece = self.raw[start : start + 16_384] or bytes(16_384)
            handler.wfile.write(piece)
            self.sent += len(piece)
            time.sleep(self.pause)


@pytest.fixture
def fake() -> Iterator[Fake]:
    with fake_server({}) as running:
        yield running


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "READ_SECONDS", 1.0)
    monkeypatch.setattr(http, "TRIES", 1)


def shard(folder: Path, samples: Sequence[object] = SAMPLES) -> tuple[bytes, str]:
    """A real shard, and its checksum."""
    info = write_shards(samples, folder / "made-%06d.tar")[0]
    return info.path.read_bytes(), info.sha256


def graph_of(folder: Path, *storages: Json, type_: SampleType = TYPE, schema: bool = True) -> Graph:
    """A catalog of one dataset a storage, the first the newest."""
    body: Json = {"$type": SCHEMA + "#jsonSchemaFormat", **write_body(type_)}
    made: list[tuple[str, str, dict[str, Json]]] = []
    if schema:
        value: dict[str, Json] = {
            "$type": SCHEMA, "name": type_.name, "version": type_.version, "schemaType": "jsonSchema", "schema": body,
            "createdAt": "2026-11-01T12:00:00.000Z",
        }  # fmt: skip
        made.append((SCHEMA, "Seen:1.0.0", value))
    for number, storage in enumerate(storages):
        made.append((DATASET, f"3kaaaaaaaa{chr(97 + number // 26)}{chr(97 + number % 26)}a", {
            "$type": DATASET, "name": f"Set {number}", "schemaRef": str(uri(SCHEMA, "Seen:1.0.0")), "storage": storage,
            "createdAt": f"2026-11-01T12:00:{59 - number:02d}.000Z",
        }))  # fmt: skip
    found = [
        Found(uri=uri(collection, rkey), cid=datamodel.record_cid(value), value=value)
        for collection, rkey, value in made
    ]
    with Store.open(folder / "store.sqlite") as store:
        store.configure(["pds:https://pds.example"], [])
        store.replace(Repo(did=DID, source="pds:https://pds.example"), found, [], moment=SEEN)
        return Graph.from_store(store)


def at(url: str, sha256: str | None = None) -> Json:
    one: dict[str, Json] = {"url": url}
    if sha256 is not None:
        one["checksum"] = {"algorithm": "sha256", "digest": sha256}
    return {"$type": "science.alt.dataset.storageHttp", "shards": [one]}


@dataclass(slots=True)
class Run:
    """Gatherings of one catalog, with the lines they said."""

    folder: Path
    caps: PreviewSettings = field(default_factory=PreviewSettings)
    now: float = 1_800_000_000.0
    lines: list[str] = field(default_factory=list)
    loopback: bool = True
    compare: int | None = None
    plc: str = "https://plc.example"

    def __call__(self, graph: Graph) -> Previews:
        self.lines.clear()
        chosen = CatalogSettings(
            store=self.folder / ".catalog" / "store.sqlite",
            network=NetworkSettings(allow_loopback=self.loopback, plc_url=self.plc),
            previews=self.caps,
            compare=self.compare,
        )
        found = gather(graph, chosen, progress=self.lines.append, clock=lambda: self.now)
        left = [one for one in threading.enumerate() if "previews" in one.name or isinstance(one, threading.Timer)]
        assert left == [], "the pages are made by forks"
        return found


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def preview_of(previews: Previews, graph: Graph, number: int = 0) -> Preview:
    found = previews.of(graph.datasets[number])
    assert isinstance(found, Preview), found
    return found


def why(previews: Previews, graph: Graph, number: int = 0) -> str:
    found = previews.of(graph.datasets[number])
    assert isinstance(found, str), found
    return found


def test_the_first_samples_of_a_shard_are_fetched_once_and_shown(fake: Fake, tmp_path: Path, run: Run) -> None:
    raw, sha256 = shard(tmp_path)
    fake.routes["/a.tar"] = Served(raw)
    graph = graph_of(tmp_path, at(f"{fake.url}/a.tar", sha256))
    preview = preview_of(run(graph), graph)
    assert [row.cells[1].text for row in preview.rows] == [str(sample["label"]) for sample in SAMPLES[:8]]
    for row, sample in zip(preview.rows, SAMPLES, strict=False):
        assert np.array_equal(pixels(preview, row.cells[0]), sample["image"])
    assert preview.counted == 20
    assert len(fake.asked) == 1
    for later in (0, 400 * DAY):
        run.now += later
        assert preview_of(run(graph), graph) == preview
    assert len(fake.asked) == 1, "a shard with a checksum never changes"


def test_a_key_that_is_not_utf8_is_shown() -> None:
    """A name in a tar may be in another encoding; a page is UTF-8."""
    preview = paint([FieldHint(name="a")], [("J\udcfcrgen", msgpack.packb({"a": 1}))], shown=8)
    assert preview.rows[0].key == "J?rgen"


@pytest.mark.parametrize(
    ("compare", "words"), [(None, "1 of 4 samples"), (3, "1 of 3 compared samples"), (2, ""), (0, "")]
)
def test_samples_that_do_not_fit_their_schema_are_reported_in_every_build(
    fake: Fake, tmp_path: Path, run: Run, compare: int | None, words: str
) -> None:
    """They are shown as far as they go; the page and the report say shard, sample, field, expected and found."""
    raw, sha256 = shard(
        tmp_path, [{**sample, "label": "two" if at == 2 else at} for at, sample in enumerate(SAMPLES[:4])]
    )
    fake.routes["/a.tar"] = Served(raw)
    graph = graph_of(tmp_path, at(f"{fake.url}/a.tar", sha256))
    run.compare = compare
    for _ in range(2):
        preview = preview_of(run(graph), graph)
        assert [row.cells[1].text for row in preview.rows] == ["0", "1", "two", "3"]
        assert words in preview.misfit
        assert bool(preview.misfit) is bool(words)
        said = [line for line in run.lines if "don't fit" in line]
        assert said == ([f"Previews: {graph.datasets[0].uri}: {preview.misfit}"] if words else [])
        if words:
            assert preview.misfit.endswith("field 'label': expected int, found str")
            page = unescape(
                Templates(graph, SiteSettings(name="Tides")).render("preview", "datasets/x/", preview=preview)
            )
            assert preview.misfit in page


def test_shards_over_https_are_read_too(
    https_server: Callable[[Path], HttpsServer], tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard(tmp_path / "served")
    server = https_server(tmp_path / "served")
    monkeypatch.setenv("SSL_CERT_FILE", str(server.authority))
    graph = graph_of(tmp_path, at(f"{server.url}/made-000000.tar"))
    assert len(preview_of(run(graph), graph).rows) == 8


def test_no_more_is_read_of_a_shard_than_its_first_samples_need(fake: Fake, tmp_path: Path, run: Run) -> None:
    """The server offers a terabyte, and is hung up on."""
    raw, _ = shard(tmp_path, [{**SAMPLES[0], "filler": bytes(20_000)} for _ in range(100)])
    served = fake.routes["/a.tar"] = Served(raw, endless=True)
    graph = graph_of(tmp_path, at(f"{fake.url}/a.tar"))
    preview = preview_of(run(graph), graph)
    assert len(preview.rows) == 8
    assert preview.counted < 20, "after a quarter of a megabyte nothing more is counted"
    assert served.asked[0]["range"] == "bytes=0-1999999"
    time.sleep(0.1)
    assert served.sent < 9_000_000, "what fits into the sockets' buffers"


@pytest.mark.parametrize("known", ["etag", "date", "nothing"])
def test_a_shard_without_a_checksum_is_looked_at_again_after_a_day(
    fake: Fake, tmp_path: Path, run: Run, known: str
) -> None:
    """By its ETag, or its size and date; where it has neither it is read again."""
    raw, _ = shard(tmp_path)
    etag = '"one"' if known == "etag" else None
    modified = "Mon, 23 Nov 2026 10:00:00 GMT" if known == "date" else None
    served = fake.routes["/a.tar"] = Served(raw, etag=etag, modified=modified)
    graph = graph_of(tmp_path, at(f"{fake.url}/a.tar"))
    preview = preview_of(run(graph), graph)
    run.now += DAY - 1
    run(graph)
    assert len(served.asked) == 1
    run.now += 2
    assert preview_of(run(graph), graph) == preview
    assert len(served.asked) == 2
    assert served.asked[1].get("if-none-match") == etag
    assert (", 0 bytes fetched" in run.lines[-1]) == (known != "nothing")
    served.raw, _ = shard(tmp_path, SAMPLES[5:])
    served.etag, served.modified = '"two"' if etag else None, modified and modified.replace("10:", "11:")
    run.now += DAY + 1
    assert preview_of(run(graph), graph).rows[0].cells[1].text == str(SAMPLES[5]["label"])


def test_a_failure_is_remembered_for_a_day(fake: Fake, tmp_path: Path, run: Run) -> None:
    served = fake.routes["/a.tar"] = Served(b"", status=404)
    graph = graph_of(tmp_path, at(f"{fake.url}/a.tar?key=secret"))
    assert why(run(graph), graph) == "its first shard isn’t there"
    assert any("404" in line for line in run.lines)
    assert "secret" not in "".join(run.lines)
    run.now += DAY - 1
    assert why(run(graph), graph) == "its first shard isn’t there"
    assert len(served.asked) == 1
    served.raw, _ = shard(tmp_path)
    served.status = 200
    run.now += 2
    assert len(preview_of(run(graph), graph).rows) == 8


def gzip_bomb() -> bytes:
    import gzip

    head = tar_of(("a.msgpack", bytes(512)))[:512]
    field_ = b"%011o\0" % (1 << 29)
    fixed = bytearray(head[:124] + field_ + head[136:148] + b" " * 8 + head[156:])
    fixed[148:156] = b"%06o\0 " % sum(fixed)
    return gzip.compress(bytes(fixed) + bytes(200 << 20), 9)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        pytest.param(b"", "cut short", id="empty"),
        pytest.param(bytes(10_240), "empty", id="a tar of nothing"),
        pytest.param(b"<html>not here</html>" * 100, "not a tar", id="a web page"),
        pytest.param(tar_of(("a.txt", b"x")), "no member is a .msgpack sample", id="other files"),
        pytest.param(tar_of(("a.msgpack", b"\xc1")), "not msgpack", id="not msgpack"),
        pytest.param(tar_of(("a.msgpack", msgpack.packb([1, 2]))), "not a map", id="not a map"),
        pytest.param(tar_of(("a.msgpack", bytes(3_000_000))), "the most is 2000000", id="a huge sample"),
        pytest.param(tar_of(*((f"{n}.txt", bytes(5000)) for n in range(1000))), "no whole sample", id="others first"),
        pytest.param(tar_of(("a.msgpack", bytes(100_000)))[:50_000], "cut short", id="cut"),
    ],
)
def test_what_is_no_shard_is_one_quiet_line(fake: Fake, tmp_path: Path, run: Run, raw: bytes, reason: str) -> None:
    fake.routes["/a.tar"] = Served(raw)
    graph = graph_of(tmp_path, at(f"{fake.url}/a.tar"))
    assert reason in why(run(graph), graph)


def test_a_gzip_bomb_is_one_quiet_line(fake: Fake, tmp_path: Path, run: Run) -> None:
    fake.routes["/a.tar"] = Served(gzip_bomb())
    graph = graph_of(tmp_path, at(f"{fake.url}/a.tar"))
    assert "the most is 2000000" in why(run(graph), graph)


def test_a_shard_that_is_cut_after_some_samples_shows_those(fake: Fake, tmp_path: Path, run: Run) -> None:
    raw, _ = shard(tmp_path)
    fake.routes["/a.tar"] = Served(raw[: 3 * 1024 + 100])
    graph = graph_of(tmp_path, at(f"{fake.url}/a.tar"))
    assert len(preview_of(run(graph), graph).rows) == 3


def test_a_server_that_drips_or_is_silent_is_given_up(
    fake: Fake, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("catalog.site.previews.first_samples.SHARD_SECONDS", 1.0)
    raw, _ = shard(tmp_path, [{**SAMPLES[0], "filler": bytes(100_000)}] * 20)

    def silent(handler: BaseHTTPRequestHandler, _: Asked) -> None:
        handler.connection.recv(1)  # until the client hangs up
        handler.close_connection = True

    fake.routes |= {"/drips.tar": Served(raw, pause=0.3), "/silent.tar": silent}
    graph = graph_of(tmp_path, at(f"{fake.url}/drips.tar"), at(f"{fake.url}/silent.tar"))
    previews = run(graph)
    assert [why(previews, graph, number) for number in (0, 1)] == ["its host didn’t answer in time"] * 2


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:1/a.tar", "https://127.0.0.1:1/a.tar", "https://10.0.0.1/a.tar", "https://[::1]/a.tar",
     "https://169.254.169.254/latest/meta-data", "http://example.org/a.tar", "https://user:secret@example.org/a.tar"],
)  # fmt: skip
def test_no_address_of_the_inside_is_asked(tmp_path: Path, run: Run, url: str) -> None:
    run.loopback = False
    graph = graph_of(tmp_path, at(url))
    assert why(run(graph), graph)
    assert "secret" not in "".join(run.lines)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "/etc/passwd", "pipe:cat /etc/passwd", "../store.sqlite"])
def test_a_record_names_no_file_of_this_machine(tmp_path: Path, run: Run, url: str) -> None:
    external: Json = {"$type": "science.alt.dataset.storageExternal", "urls": [url]}
    graph = graph_of(tmp_path, external)
    if graph.datasets:  # the record's reader may refuse it before us
        assert why(run(graph), graph)


def test_a_bucket_is_asked_without_a_signature_whatever_credentials_there_are(
    fake: Fake, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stranger's record could name a private bucket of the catalog's owner, and the page is public."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", fake.url)
    raw, _ = shard(tmp_path)
    private = Served(b"", status=403)
    fake.routes |= {"/public/a.tar": Served(raw), "/private/a.tar": private}
    place: dict[str, Json] = {
        "$type": "science.alt.dataset.storageS3", "endpoint": fake.url, "region": "eu-west-1",
        "shards": [{"key": "a.tar"}],
    }  # fmt: skip
    graph = graph_of(tmp_path, {**place, "bucket": "public"}, {**place, "bucket": "private"})
    previews = run(graph)
    assert len(preview_of(previews, graph, 0).rows) == 8
    assert why(previews, graph, 1) == "its first shard isn’t public"
    assert [headers for headers in private.asked if "authorization" in headers] == []


def test_a_blob_is_asked_of_its_publishers_own_server(fake: Fake, tmp_path: Path, run: Run) -> None:
    """The directory names it; once resolved, it isn't requested again."""
    raw, _ = shard(tmp_path)
    service = {"id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": fake.url}
    cid = str(Cid.of_block(raw, RAW))
    fake.routes[f"/{DID}"] = lambda handler, _: answer(handler, {"id": str(DID), "service": [service]})
    fake.routes["/xrpc/com.atproto.sync.getBlob"] = Served(raw)
    blob: Json = {"$type": "blob", "ref": {"$link": cid}, "mimeType": "application/x-tar", "size": len(raw)}
    run.plc = fake.url
    graph = graph_of(tmp_path, {"$type": "science.alt.dataset.storageBlobs", "blobs": [{"blob": blob}]})
    assert len(preview_of(run(graph), graph).rows) == 8
    assert fake.paths() == [f"/{DID}", "/xrpc/com.atproto.sync.getBlob"]
    assert fake.asked[-1].query == {"did": str(DID), "cid": cid}
    run.now += 400 * DAY
    run(graph)
    assert len(fake.asked) == 2


def test_a_dataset_without_a_schema_or_shards_says_so(tmp_path: Path, run: Run) -> None:
    graph = graph_of(tmp_path / "a", at("https://example.org/a.tar"), schema=False)
    assert why(run(graph), graph) == "its schema isn’t in this catalog"
    graph = graph_of(tmp_path / "b", {"$type": "org.example.storage"})
    assert why(run(graph), graph) == "shards in org.example.storage are not opened"


# --- caps ----------------------------------------------------------------------------------------------------


def test_caps_are_kept_and_what_they_leave_out_is_said(fake: Fake, tmp_path: Path, run: Run) -> None:
    raw, _ = shard(tmp_path)
    fake.routes |= {f"/{number}.tar": Served(raw) for number in range(6)}
    graph = graph_of(tmp_path, *(at(f"{fake.url}/{number}.tar") for number in range(6)))
    run.caps = PreviewSettings(datasets=4, samples=3)
    previews = run(graph)
    assert [isinstance(previews.of(node), Preview) for node in graph.datasets] == [True] * 4 + [False] * 2
    assert len(preview_of(previews, graph).rows) == 3
    assert previews.of(graph.datasets[5]) is None, "no line on a page that nobody asked about"
    assert "Previews: 2 datasets left out: more than 4 datasets" in run.lines

    run.caps = PreviewSettings(total_bytes=len(raw))
    found = run(graph)
    assert 1 <= len(found.made) <= 3, "each of two lanes may have one under way"
    assert any("left out" in line and "bytes were fetched" in line for line in run.lines)
    assert found.failed == {}

    run.caps = PreviewSettings(seconds=0, samples=5)
    assert run(graph).made == {}
    assert any("6 datasets left out: no time left" in line for line in run.lines)


def test_bytes_that_came_to_nothing_count_too(fake: Fake, tmp_path: Path, run: Run) -> None:
    others = tar_of(*((f"{n}.txt", bytes(5000)) for n in range(1000)))
    fake.routes |= {f"/{number}.tar": Served(others) for number in range(9)}
    graph = graph_of(tmp_path, *(at(f"{fake.url}/{number}.tar") for number in range(9)))
    run.caps = PreviewSettings(total_bytes=3_000_000)
    assert len(run(graph).failed) in {2, 3}


def test_a_host_that_is_down_costs_little(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not connected to for each of its datasets."""
    connected: list[int] = []
    checked = guard.checked_addresses

    def note(host: str, port: int, **named: Any) -> list[str]:  # noqa: ANN401 - as it comes
        connected.append(port)
        return checked(host, port, **named)

    monkeypatch.setattr(guard, "checked_addresses", note)
    graph = graph_of(tmp_path, *(at(f"http://127.0.0.1:1/{number}.tar") for number in range(26)))
    previews = run(graph)
    assert len(previews.failed) == 26
    assert 0 < len(connected) < 26
    assert why(previews, graph) == "its host didn’t answer in time"


def test_what_was_seen_is_shown_while_its_host_is_down(fake: Fake, tmp_path: Path, run: Run) -> None:
    """But not when it says that the shard is gone."""
    served = fake.routes["/a.tar"] = Served(shard(tmp_path)[0])
    graph = graph_of(tmp_path, at(f"{fake.url}/a.tar"))
    preview = preview_of(run(graph), graph)
    run.now += DAY + 1
    served.status = 503
    assert preview_of(run(graph), graph) == preview
    run.now += DAY + 1
    served.status = 404
    assert why(run(graph), graph) == "its first shard isn’t there"


def test_a_fault_of_ours_costs_one_preview(
    fake: Fake, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.routes["/a.tar"] = Served(shard(tmp_path)[0])

    def broken(*_: object, **__: object) -> Preview:
        raise ZeroDivisionError

    monkeypatch.setattr(Painter, "paint", broken)
    graph = graph_of(tmp_path, at(f"{fake.url}/a.tar"))
    assert why(run(graph), graph) == "reading its first shard failed (ZeroDivisionError)"


def test_a_cache_that_cant_be_written_stops_the_build(fake: Fake, tmp_path: Path, run: Run) -> None:
    fake.routes["/a.tar"] = Served(shard(tmp_path)[0])
    graph = graph_of(tmp_path, at(f"{fake.url}/a.tar"))
    (tmp_path / ".catalog").mkdir()
    (tmp_path / ".catalog" / "previews").write_text("a file", encoding="utf-8")
    with pytest.raises(BuildError, match="cache of previews"):
        run(graph)


def test_a_host_is_asked_for_two_shards_at_a_time(fake: Fake, tmp_path: Path, run: Run) -> None:
    raw, _ = shard(tmp_path)
    now, most, lock = [0], [0], threading.Lock()

    def slow(handler: BaseHTTPRequestHandler, _: Asked) -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.05)
        answer(handler, raw)
        with lock:
            now[0] -= 1

    fake.routes |= {f"/{number}.tar": slow for number in range(10)}
    graph = graph_of(tmp_path, *(at(f"{fake.url}/{number}.tar") for number in range(10)))
    assert len(run(graph).made) == 10
    assert most[0] == 2


# --- the cache -----------------------------------------------------------------------------------------------


def test_a_broken_cache_is_as_none(fake: Fake, tmp_path: Path, run: Run) -> None:
    raw, sha256 = shard(tmp_path)
    fake.routes["/a.tar"] = Served(raw)
    graph = graph_of(tmp_path, at(f"{fake.url}/a.tar", sha256))
    first = run(graph)
    preview = preview_of(first, graph)
    (path,) = first.made.values()
    whole = path.read_bytes()
    for broken in (b"", b"{", b"{}\n", whole[:50], b"\0" * 100, b"[" * 9000):
        path.write_bytes(broken)
        assert preview_of(run(graph), graph) == preview
        assert path.read_bytes() == whole, "written anew, byte for byte"
    path.write_bytes(whole[:-10])  # its head is right
    assert why(first, graph) == "it can’t be read back"


def test_the_longest_unused_entries_go_first(tmp_path: Path) -> None:
    cache = Cache(tmp_path, most=3500)
    paths = [cache.path(str(number)) for number in range(5)]
    for number, path in enumerate(paths):
        cache.write(path, Entry(checked=number, mark=Mark(), raw=bytes(1000)))
        cache.used(path, number)
    cache.used(paths[0], 99)
    assert cache.trim([paths[1]]) == 2
    assert [path.exists() for path in paths] == [True, True, False, False, True]
    assert not list(tmp_path.glob(".*")), "no half-written file is left"


@given(st.binary(max_size=200))
def test_any_file_in_the_cache_is_an_entry_or_none(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "entry.preview"
    for head in (b"", b'{"checked": 1, "etag": "", "size": "", "modified": "", "failed": null}\n'):
        path.write_bytes(head + raw)
        Cache.read(path)
        assert Cache.preview(path) is None


# --- settings ------------------------------------------------------------------------------------------------


def test_previews_are_made_only_where_they_are_asked_for(tmp_path: Path) -> None:
    assert read_settings({}, tmp_path).previews is None
    assert read_settings({"previews": False}, tmp_path).previews is None
    assert read_settings({"previews": True}, tmp_path).previews == PreviewSettings()
    assert read_settings({"previews": {"samples": 3}}, tmp_path).previews == PreviewSettings(samples=3)
    graph = graph_of(tmp_path, at("https://example.org/a.tar"))
    found = gather(graph, CatalogSettings(store=tmp_path / "s.sqlite"))
    assert found.of(graph.datasets[0]) is None


@pytest.mark.parametrize(
    ("value", "where"),
    [("yes", "previews"), ({"sample": 3}, "previews.sample"), ({"samples": 0}, "previews.samples"),
     ({"samples": True}, "previews.samples"), ({"shard_bytes": 10**10}, "previews.shard_bytes"), ([8], "previews")],
)  # fmt: skip
def test_wrong_caps_are_refused_by_name(tmp_path: Path, value: object, where: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        read_settings({"previews": value}, tmp_path)
    assert caught.value.where == where


def test_without_pillow_the_build_says_what_to_install(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtra) as caught:
        run(graph_of(tmp_path))
    assert "pip install 'atdata-catalog[previews]'" in str(caught.value)
    assert isinstance(caught.value, CatalogError)


def test_without_pillow_nothing_is_crawled_and_the_old_site_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MkDocs empties the site's folder before our pages are made: it must not come that far."""
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtra):
        read_graph(read_settings({"previews": True}, tmp_path), crawls=True)
    assert list(tmp_path.iterdir()) == []


# --- on the page ---------------------------------------------------------------------------------------------

PAGE_TYPE = SampleType(
    name="Seen",
    version="1.0.0",
    fields=(
        Field(name="image", type=Array(dtype="uint8", shape=(6, 5))),
        Field(name="wave", type=Array(dtype="float32", shape=(None,))),
        Field(name="<b>says</b>", type=Scalar(kind="str")),
    ),
)
TRICKY = "<script>alert(1)</script> \u202egnp.exe\x00 " + "long " * 30

MKDOCS = """\
site_name: Seen
site_url: https://seen.example/catalog/
theme: {name: material, font: false}
plugins:
  - catalog: {store: store.sqlite, sources: [pds: "https://pds.example"], crawl: false, search: false, previews: %s}
"""


@pytest.fixture
def site(fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A built catalog: a dataset with pictures and plots, one of a table, one that isn't there."""
    samples = [
        {"image": sample["image"], "wave": np.sin(np.arange(300) / 9).astype(np.float32), "<b>says</b>": TRICKY}
        for sample in SAMPLES
    ]
    raw, sha256 = shard(tmp_path, samples)
    fake.routes |= {"/a.tar": Served(raw), "/b.tar": Served(shard(tmp_path, [{"<b>says</b>": "cat"}] * 9)[0])}
    graph_of(
        tmp_path, at(f"{fake.url}/a.tar", sha256), at(f"{fake.url}/b.tar"), at(f"{fake.url}/none.tar"), type_=PAGE_TYPE
    )
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "about.md").write_text("# About\n", encoding="utf-8")
    (tmp_path / "mkdocs.yml").write_text(MKDOCS % "true", encoding="utf-8")
    monkeypatch.setenv("CATALOG_ALLOW_LOOPBACK", "1")
    done = mkdocs(tmp_path, "--strict")
    assert done.returncode == 0, done.stderr
    return tmp_path / "site"


def _files(site: Path) -> dict[str, bytes]:
    return {str(path.relative_to(site)): path.read_bytes() for path in sorted(site.rglob("*")) if path.is_file()}


def test_two_builds_are_the_same_and_the_second_asks_nobody(site: Path, fake: Fake, tmp_path: Path) -> None:
    before, asked = _files(site), len(fake.asked)
    assert asked == 3
    assert sum(name.endswith(".png") for name in before if "/preview-" in name) == 8
    done = mkdocs(tmp_path, "--strict")
    assert done.returncode == 0, done.stderr
    after = _files(site)
    assert {name for name in before if before[name] != after.get(name)} <= {"sitemap.xml.gz"}
    assert len(fake.asked) == asked
    (tmp_path / "mkdocs.yml").write_text(MKDOCS % "false", encoding="utf-8")
    assert mkdocs(tmp_path, "--strict").returncode == 0
    assert not [
        name
        for name, raw in _files(site).items()
        if "preview-" in name or (name.endswith("index.html") and b"cat-preview" in raw)
    ]


def test_pages_show_pictures_and_move_nothing_from_other_hosts(
    site: Path, serve: Callable[[Path], str], page: Page, watch: Watch
) -> None:
    base = serve(site)
    places = {
        re.findall(r'<h1 id="top"[^>]*>(Set \d)', path.read_text(encoding="utf-8"))[0]: path.parent.relative_to(site)
        for path in site.glob("datasets/did-*/*/index.html")
    }
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.set_viewport_size({"width": 390, "height": 900})
    page.goto(f"{base}{places['Set 0']}/")
    preview = page.get_by_role("region", name="First samples", exact=True)
    tiles = preview.locator("img")
    assert tiles.count() == 8
    for number in range(8):
        tiles.nth(number).scroll_into_view_if_needed()
    page.wait_for_function("[...document.querySelectorAll('.cat-preview img')].every(img => img.complete)")
    assert tiles.evaluate_all("all => all.map(img => [img.naturalWidth, img.naturalHeight])") == [[5, 6]] * 8
    assert tiles.first.evaluate("img => getComputedStyle(img).imageRendering") == "pixelated"
    assert tiles.first.get_attribute("loading") == "lazy"
    assert tiles.first.get_attribute("alt") == "image of sample 00000000: uint8, 6 × 5"
    assert tiles.first.get_attribute("width") == "130"
    assert preview.locator("svg.cat-plot--line").count() == 8
    html = preview.evaluate("part => part.outerHTML")
    assert "style=" not in html
    assert "<script" not in html
    assert "\u202e" not in html
    text = preview.inner_text()
    assert "<script>alert(1)</script>" in text
    assert "⟨U+202E⟩gnp.exe⟨U+0000⟩" in text
    assert "<b>says</b>" in text
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    page.goto(f"{base}{places['Set 1']}/")
    assert page.locator(".cat-preview table tbody tr").count() == 8
    page.goto(f"{base}{places['Set 2']}/")
    assert page.locator(".cat-preview").inner_text().strip().endswith("No preview: its first shard isn’t there.")
    assert watch.errors == []
    assert watch.strangers == []
    assert all(url.startswith((base, "data:")) for url in requests)


def test_a_drafts_own_files_are_shown_without_any_network(tmp_path: Path) -> None:
    shard(tmp_path / "data")
    (tmp_path / "manifests").mkdir()
    manifest = {
        "schemas": [{"name": "Seen", "version": "1.0.0", "fields": {"image": "array[uint8, 6, 5]", "label": "int"}}],
        "datasets": [{
            "name": "seen", "schema": "Seen@1.0.0",
            "shards": [{"url": "https://example.org/made-000000.tar", "local": "../data/made-000000.tar"}],
        }],
    }  # fmt: skip
    (tmp_path / "manifests" / "seen.yaml").write_text(json.dumps(manifest), encoding="utf-8")
    (tmp_path / "docs").mkdir()
    text = MKDOCS.replace('pds: "https://pds.example"', "manifests: manifests").replace("crawl: false", "crawl: true")
    (tmp_path / "mkdocs.yml").write_text(text % "{samples: 5}", encoding="utf-8")
    done = mkdocs(tmp_path)
    assert done.returncode == 0, done.stderr
    found = sorted((tmp_path / "site" / "datasets").rglob("preview-*.png"))
    assert len(found) == 5
    for path, sample in zip(found, SAMPLES, strict=False):
        with Image.open(path) as image:
            assert np.array_equal(np.asarray(image), sample["image"])
