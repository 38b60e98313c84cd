"""Bytes of a media type: images that decode on request, or as a field is read.

::

    Annotated[bytes, Media("image/jpeg")]                bytes; sample.jpg.image() is a PIL image
    Annotated[PIL.Image.Image, Media("image/jpeg")]      a PIL image
    Annotated[NDArray[np.uint8], Media("image/jpeg")]    pixels: height × width, × channels if there are several
    PIL.Image.Image                                      a PIL image of any format (image/*)

Bytes are stored unchanged. PIL images and pixels are encoded when they are written, only in formats that lose nothing:
PNG, or WebP if the field says so.

- Pillow is an extra (``images``), imported when an image is decoded or encoded.
- Images are untrusted: Pillow's own limit on pixels applies, as an error.
- A decoded image is upright: turned by its EXIF orientation, as browsers and Hugging Face ``datasets`` do.
- Pixels are those that one sees: a palette and CMYK become RGB. 16-bit grey stays ``uint16``; Pillow reads 16-bit RGB
  as 8-bit RGB.
"""

from __future__ import annotations

import io
import sys
import warnings
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from catalog.errors import InvalidSample, InvalidSchema, require_extra
from catalog.schema.media_types import media_type
from catalog.shards.magic import HEAD, UNKNOWN, describe

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    from catalog.samples.arrays import Buffer

_MAGICS: Final[tuple[tuple[int, bytes, str], ...]] = (
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (0, b"II*\0", "image/tiff"),
    (0, b"MM\0*", "image/tiff"),
    (4, b"ftypavif", "image/avif"),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", "image/jp2"),
    (8, b"WAVE", "audio/wav"),
    (0, b"fLaC", "audio/flac"),
    (0, b"OggS", "audio/ogg"),
    (0, b"ID3", "audio/mpeg"),
    (4, b"ftypisom", "video/mp4"),
    (4, b"ftypmp4", "video/mp4"),
    (0, b"%PDF-", "application/pdf"),
)
"""Offset, first bytes, media type."""

_IMAGE_HEADS: Final = frozenset({b"\xff\xd8\xff", b"\x89PN", b"GIF", b"RIF", b"II*", b"MM\0"})
"""The first three bytes of most image files; further bytes decide."""
_ORIENTED: Final = frozenset({"exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif"})
"""Entries of an image's ``info`` that may have its orientation."""
_COLOURS: Final = frozenset({"P", "PA", "CMYK", "YCbCr", "LAB", "HSV"})
"""Modes whose numbers are no pixels that one sees."""

_PNG_MODES: Final = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I;16"})
_WEBP_MODES: Final = frozenset({"RGB", "RGBA"})
_LOSSLESS: Final = {
    "image/png": ("PNG", _PNG_MODES),
    "image/*": ("PNG", _PNG_MODES),
    "image/webp": ("WEBP", _WEBP_MODES),
}


@dataclass(frozen=True, slots=True)
class Media:
    """The media type of a field, in its annotation: ``Annotated[bytes, Media("image/jpeg")]``.

    ``image/*`` is any image. Raises :class:`InvalidSchema` if it isn't a media type.
    """

    type: str

    def __post_init__(self) -> None:
        found = media_type(self.type)
        if found is None:
            raise InvalidSchema(f"{self.type[:60]!r} is not a media type", hint="such as image/jpeg or image/*")
        object.__setattr__(self, "type", found)


class ImageBytes(bytes):
    """The bytes of an image file, which decode on request.

    ``place`` is the shard, the key and the field that they were read from, for errors; ``None`` if it isn't known.
    """

    place: tuple[str, str, str] | None = None

    def image(self) -> Image.Image:
        """Return the image, decoded by Pillow. Raises :class:`InvalidSample` and :class:`MissingExtra`."""
        try:
            return open_image(self)
        except InvalidSample as error:
            if self.place is None:
                raise
            shard, key, name = self.place
            raise InvalidSample(f"field {name!a}: {error.what}", where=f"{shard}.{key}", hint=error.hint) from error


def media_of(raw: Buffer) -> str | None:
    """Return the media type that the first bytes of a file have; ``None`` if it isn't known."""
    head = bytes(raw[:16])
    for start, magic, found in _MAGICS:
        if head[start : start + len(magic)] == magic and (start != 8 or head[:4] == b"RIFF"):
            return found
    return None


def image_bytes(value: bytes) -> bytes:
    """Return the bytes of an image file as :class:`ImageBytes`, all others unchanged."""
    if value[:3] not in _IMAGE_HEADS:
        return value
    media = media_of(value)
    return ImageBytes(value) if media is not None and media.startswith("image/") else value


def is_image_class(hint: object) -> bool:
    """Return whether an annotation is ``PIL.Image.Image``, without importing Pillow."""
    return isinstance(hint, type) and hint.__module__ == "PIL.Image" and hint.__name__ == "Image"


def is_image(value: object) -> bool:
    """Return whether a value is a PIL image, without importing Pillow."""
    return any(map(is_image_class, type(value).__mro__))


def open_image(raw: Buffer) -> Image.Image:
    """Return the decoded image in the bytes of a file, upright; the first one of an animation.

    Raises :class:`InvalidSample` and :class:`MissingExtra`.
    """
    pillow = _pillow()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pillow.DecompressionBombWarning)
            image: Image.Image = pillow.open(io.BytesIO(raw))
            image.load()
    except pillow.UnidentifiedImageError as error:
        raise InvalidSample(f"no image that Pillow knows: {_described(raw)}") from error
    except (pillow.DecompressionBombError, pillow.DecompressionBombWarning) as error:
        hint = "PIL.Image.MAX_IMAGE_PIXELS is the limit"
        raise InvalidSample(f"an image of too many pixels: {str(error)[:200]}", hint=hint) from error
    except Exception as error:  # Pillow raises anything for damaged files
        raise InvalidSample(f"an image that can't be decoded: {str(error)[:200]}") from error
    if image.format == "TIFF" or not _ORIENTED.isdisjoint(image.info):
        with suppress(Exception):  # damaged metadata is no reason to refuse the image
            import_module("PIL.ImageOps").exif_transpose(image, in_place=True)
    return image


def _described(raw: Buffer) -> str:
    head = bytes(raw[:HEAD])
    what = describe(head)
    return f"it begins with {ascii(head[:16])[1:]}" if what == UNKNOWN else f"it is {what}"


def read_pixels(raw: Buffer) -> NDArray[Any]:
    """Return the pixels of an image file: height × width, × channels. Raises the errors of :func:`open_image`."""
    image = open_image(raw)
    if image.mode in _COLOURS:
        clear = image.mode == "PA" or "transparency" in image.info
        image = image.convert("RGBA" if clear else "RGB")
    return np.asarray(image)


def encode_image(value: Image.Image | NDArray[Any], media: str | None) -> bytes:
    """Return a PIL image, or pixels, as the bytes of an image file of that media type, without loss.

    Raises :class:`InvalidSample` for a format or mode that would lose something.
    """
    pillow = _pillow()
    name, modes = _LOSSLESS.get(media or "image/*", ("", frozenset[str]()))
    if not name:
        hint = "store the bytes of the file, or use Media('image/png')"
        raise InvalidSample(f"an image would lose precision as {media}", hint=hint)
    image: Any = value
    if isinstance(value, np.ndarray):
        try:
            image = pillow.fromarray(value)
        except (TypeError, ValueError, KeyError) as error:
            hint = "uint8 of height × width, or × 3 or 4 channels"
            raise InvalidSample(
                f"pixels that are no image: {value.dtype.name} of shape {value.shape}", hint=hint
            ) from error
    if image.mode not in modes:
        hint = f"image.convert({'RGB'!r}), or store it as an array"
        raise InvalidSample(f"an image of mode {image.mode} would change as {name}", hint=hint)
    buffer = io.BytesIO()
    image.save(buffer, name, **({"lossless": True, "exact": True} if name == "WEBP" else {}))
    return buffer.getvalue()


def _pillow() -> Any:  # noqa: ANN401 - a module
    loaded = sys.modules.get("PIL.Image")
    if loaded is None or sys.modules.get("PIL") is None:
        require_extra("images", "PIL", purpose="decoding images")
        loaded = import_module("PIL.Image")
    return loaded
