"""Image fields decode on request or as they are read: every format, upright, and with an error for damaged files."""

from __future__ import annotations

import io
import pickle
import re
from pathlib import Path
from typing import Annotated, Any

import msgpack
import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray  # noqa: TC002 - in annotations
from PIL import Image, ImageOps
from pyarrow import parquet

from catalog import Dataset, Media, PackableSample
from catalog.errors import InvalidSample
from catalog.samples.packing import pack, unpack
from tests.shards.test_tar import tar_of


def encoded(mode: str, form: str, **options: Any) -> bytes:  # noqa: ANN401 - of Pillow
    """A file with an image of 12 × 8 pixels."""
    pixels = np.random.default_rng(5).integers(0, 255, (8, 12, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    if mode == "I;16":
        image = Image.fromarray(np.arange(96, dtype=np.uint16).reshape(8, 12) * 600)
    file = io.BytesIO()
    (image if mode in {"RGB", "I;16"} else image.convert(mode)).save(file, form, **options)
    return file.getvalue()


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


class Decoded(PackableSample):
    raw: Annotated[bytes, Media("image/*")]
    image: Image.Image
    pixels: Annotated[NDArray[np.uint8], Media("image/*")]


def decoded(raw: bytes) -> Any:  # noqa: ANN401 - its bytes are ImageBytes
    return unpack(Decoded, msgpack.packb({"raw": raw, "image": raw, "pixels": raw}))


@pytest.mark.parametrize(
    ("raw", "mode", "shape", "dtype"),
    [
        (encoded("RGB", "JPEG"), "RGB", (8, 12, 3), "uint8"),
        (encoded("L", "JPEG"), "L", (8, 12), "uint8"),
        (encoded("CMYK", "JPEG"), "CMYK", (8, 12, 3), "uint8"),
        (encoded("RGBA", "PNG"), "RGBA", (8, 12, 4), "uint8"),
        (encoded("P", "PNG"), "P", (8, 12, 3), "uint8"),
        (encoded("P", "PNG", transparency=0), "P", (8, 12, 4), "uint8"),
        (encoded("1", "PNG"), "1", (8, 12), "bool"),
        (encoded("I;16", "PNG"), "I;16", (8, 12), "uint16"),
        (encoded("RGB", "WEBP", lossless=True), "RGB", (8, 12, 3), "uint8"),
        (encoded("P", "GIF"), "P", (8, 12, 3), "uint8"),
        (encoded("RGB", "TIFF"), "RGB", (8, 12, 3), "uint8"),
    ],
    ids=["jpeg", "grey", "cmyk", "rgba", "palette", "clear palette", "bits", "16 bits", "webp", "gif", "tiff"],
)
def test_images_of_all_formats_decode(raw: bytes, mode: str, shape: tuple[int, ...], dtype: str) -> None:
    """The image is as the file has it; its pixels are those that one sees."""
    sample = decoded(raw)
    assert sample.raw.image().mode == sample.image.mode == mode
    assert (sample.pixels.shape, sample.pixels.dtype.name) == (shape, dtype)
    seen = Image.open(io.BytesIO(raw))
    if seen.mode in {"P", "CMYK"}:
        seen = seen.convert("RGBA" if shape[-1] == 4 else "RGB")
    np.testing.assert_array_equal(sample.pixels, np.asarray(seen))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_decoded_image_is_upright(form: str, orientation: int) -> None:
    raw = encoded("RGB", form, exif=turned(orientation))
    wanted = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(raw))))
    sample = decoded(raw)
    for found in (sample.raw.image(), sample.image, sample.pixels):
        np.testing.assert_array_equal(np.asarray(found), wanted)
    again = unpack(Decoded, pack(sample))
    np.testing.assert_array_equal(np.asarray(again.image), wanted)
    assert again.raw == raw


def test_damaged_metadata_is_no_reason_to_refuse_an_image() -> None:
    assert decoded(encoded("RGB", "JPEG", exif=b"Exif\0\0no exif")).image.size == (12, 8)


@pytest.mark.parametrize(
    ("raw", "word"),
    [
        (encoded("RGB", "JPEG")[:-60], "truncated"),
        (encoded("RGB", "JPEG")[:400], "can't be decoded"),
        (encoded("RGB", "PNG")[:150], "can't be decoded"),
        (encoded("RGB", "GIF")[:-60], "can't be decoded"),
        (encoded("RGB", "WEBP")[:60], "can't be decoded"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"\0\1\2\3", "begins with"),
        (b"", "empty file"),
        ("bomb", "too many pixels"),
    ],
    ids=["jpeg", "tables of jpeg", "png", "gif", "webp", "page", "bytes", "empty", "bomb"],
)
def test_an_image_that_cannot_be_decoded_is_named_with_shard_key_and_field(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raw: bytes | str, word: str
) -> None:
    """On request as when the sample is read, in every format, with and without a type."""
    if isinstance(raw, str):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 95)
        raw = encoded("RGB", "PNG")
    table = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"jpg": [raw]}), table)
    shards = {"0001": tmp_path / "a.tar", "0002": tmp_path / "b.tar", "000000000": table}
    shards["0001"].write_bytes(tar_of(("0001.jpg", raw)))
    shards["0002"].write_bytes(tar_of(("0002.msgpack", msgpack.packb({"jpg": raw}))))

    class Requested(PackableSample):
        jpg: Annotated[bytes, Media("image/jpeg")]

    class Read(PackableSample):
        jpg: Image.Image

    for key, shard in shards.items():
        where = re.escape(f"{shard}.{key}: field 'jpg': ")
        requested: Any = Dataset(shard, Requested).head(1)[0]
        with pytest.raises(InvalidSample, match=rf"{where}.*{word}"):
            requested.jpg.image()
        with pytest.raises(InvalidSample, match=rf"{where}.*{word}") as caught:
            list(Dataset(shard, Read))
        assert "0x" not in str(caught.value)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF"])
def test_images_decode_on_request_without_a_type(tmp_path: Path, form: str) -> None:
    """In a WebDataset and in a table; shuffled too, and in another process."""
    raw = encoded("RGB", form)
    parquet.write_table(pa.table({"picture": [raw], "other": [b"BM no image"]}), tmp_path / "a.parquet")
    (tmp_path / "a.tar").write_bytes(tar_of(("1.picture", raw), ("1.other", b"BM no image")))
    for shard in (tmp_path / "a.tar", tmp_path / "a.parquet"):
        for dataset in (Dataset(shard), Dataset(shard).shuffled(seed=1)):
            [sample] = dataset
            again = pickle.loads(pickle.dumps(sample))  # noqa: S301 - made here
            assert sample["picture"] == again["picture"] == raw
            assert again["picture"].image().size == (12, 8)
            assert type(sample["other"]) is bytes
