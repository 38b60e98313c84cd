"""Convert image arrays and image files into small image files.

The value range is chosen per field, so that the pictures of a field are comparable. NaN is transparent. A foreign file
is never copied: it is decoded, within a limit on pixels, and encoded again, without its metadata, profiles and hidden
data.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np

from catalog.errors import InvalidArray

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

MAX_PIXELS: Final = 40_000_000
"""Maximum pixels of a foreign picture; 40 million take 160 MB."""
MAX_SIDE: Final = 320
"""Maximum side in pixels of a written picture: twice the width of a tile, for high-density screens."""
SMALL: Final = 128
"""Maximum side of a picture that is written without scaling."""
SHOWN_SIDE: Final = 160
"""Approximate displayed side of small pictures, at an integer scale."""

_LEAST: Final = 4
"""Minimum rows and columns of a picture: a table of three columns isn't one."""
_LONGEST: Final = 20
"""Maximum aspect ratio of a picture."""
_CHANNELS: Final = (1, 3, 4)
_CHANNEL_NAMES: Final = frozenset(
    {"c", "ch", "chan", "channel", "channels", "rgb", "rgba", "color", "colour", "band", "bands"}
)
_TIME_NAMES: Final = frozenset({"t", "time", "times", "timestep", "step", "steps", "sample", "samples"})
_DARK: Final = 64
"""Bytes up to this maximum are no grey levels of 0 to 255: all would look black."""
_FEW_LEVELS: Final = 32

_MAGICS: Final = ((b"\xff\xd8\xff", "JPEG"), (b"\x89PNG\r\n\x1a\n", "PNG"))

Arrangement: TypeAlias = Literal["HW", "HWC", "CHW"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """The values of black and white. ``note`` states them if they aren't the usual 0 to 255, or 0 to 1."""

    low: float
    high: float
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """An image file. ``suffix`` is ``png`` or ``webp``; ``width`` and ``height`` are the displayed size."""

    data: bytes
    suffix: str
    width: int
    height: int
    pixels: bool


def arrangement(array: NDArray[Any], names: Sequence[str] = ()) -> Arrangement | None:
    """Return the axis order of an image array; ``None`` for other arrays. ``names`` are the dimensions, if known."""
    if array.dtype.kind not in "buif" or array.size == 0:
        return None
    known = [name.lower() for name in names] if len(names) == array.ndim else []
    if _TIME_NAMES & set(known):
        return None
    if array.ndim == 2 and not _CHANNEL_NAMES & set(known):
        return "HW" if _is_plane(array.shape) else None
    if array.ndim != 3:
        return None
    first = array.shape[0] in _CHANNELS and _is_plane(array.shape[1:])
    last = array.shape[2] in _CHANNELS and _is_plane(array.shape[:2])
    if known and _CHANNEL_NAMES & set(known):
        first, last = first and known[0] in _CHANNEL_NAMES, last and known[2] in _CHANNEL_NAMES
    return "HWC" if last else "CHW" if first else None


def _is_plane(shape: tuple[int, ...]) -> bool:
    short, long = min(shape), max(shape)
    return short >= _LEAST and long <= short * _LONGEST


def is_file(raw: bytes) -> str | None:
    """Return the format of an image file by its first bytes; ``None`` for anything else."""
    if raw[:4] == b"RIFF" and raw[8:12] == b"WEBP":
        return "WEBP"
    return next((name for magic, name in _MAGICS if raw.startswith(magic)), None)


def scale_of(arrays: Sequence[NDArray[Any]]) -> Scale:
    """Return the values of black and white for all pictures of a field."""
    kind = arrays[0].dtype.kind
    low, high = _limits(arrays)
    if kind == "b":
        return Scale(low=0, high=1)
    if kind == "f":
        if low >= 0 and high <= 1:
            return Scale(low=0, high=1)
        if low >= -1 and high <= 1:
            return Scale(low=-1, high=1, note="black is −1, white is 1")
    if low >= 0 and high <= 255 and (high >= _DARK or high == 0) and (kind == "f" or arrays[0].dtype.itemsize == 1):
        return Scale(low=0, high=255)
    if kind in "ui" and low >= 0 and high < _DARK:
        low = 0.0
    return Scale(low=low, high=high, note=f"black is {_number(low)}, white is {_number(high)}")


def _limits(arrays: Sequence[NDArray[Any]]) -> tuple[float, float]:
    lows, highs = [], []
    for array in arrays:
        known = array[np.isfinite(array)] if array.dtype.kind == "f" else array
        if known.size:
            lows.append(float(known.min()))
            highs.append(float(known.max()))
    return min(lows, default=0.0), max(highs, default=0.0)


def _number(value: float) -> str:
    return f"{value:.4g}".replace("-", "−")


def from_array(array: NDArray[Any], how: Arrangement, scale: Scale) -> Picture:
    """Return the image file of an array."""
    from PIL import Image

    whole = np.moveaxis(array, 0, 2) if how == "CHW" else array
    whole = whole[:: _stride(whole.shape[0]), :: _stride(whole.shape[1])]
    levels = _levels(whole, scale)
    if levels.ndim == 3 and levels.shape[2] == 1:
        levels = levels[:, :, 0]
    if levels.ndim == 3 and levels.shape[2] == 4 and not levels[:, :, 3].any():
        levels = levels[:, :, :3]  # nothing of it could be seen
    hidden = np.isnan(whole) if whole.dtype.kind == "f" else None
    if hidden is not None and hidden.any():
        alpha = np.where(hidden.reshape(*hidden.shape[:2], -1).any(axis=2), 0, 255).astype(np.uint8)
        colours = levels[:, :, None] if levels.ndim == 2 else levels[:, :, :3]
        levels = np.dstack((colours, alpha))
    few = np.unique(levels).size <= _FEW_LEVELS
    return _written(Image.fromarray(np.ascontiguousarray(levels)), few=few)


def _stride(side: int) -> int:
    """Return the step between rows or columns, so that nothing is computed for pixels that are dropped."""
    return max(1, side // (8 * MAX_SIDE))


def _levels(array: NDArray[Any], scale: Scale) -> NDArray[np.uint8]:
    if array.dtype == np.uint8 and (scale.low, scale.high) == (0, 255):
        return array
    with np.errstate(all="ignore"):
        span = scale.high - scale.low
        if not math.isfinite(span):  # of numbers so large that their difference overflows
            share = array.astype(np.float64) / scale.high / 2 + 0.5
        else:
            share = (array.astype(np.float64) - scale.low) / (span or 1.0)
        share = np.nan_to_num(share, nan=0.0, posinf=1.0, neginf=0.0)
    return np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)


def from_file(raw: bytes) -> Picture:
    """Re-encode a JPEG, PNG or WebP file. Raises :class:`InvalidArray` for one that can't be read."""
    from PIL import Image, ImageOps

    kind = is_file(raw)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(raw), formats=[] if kind is None else [kind]) as image:
                _check_size(image)
                image.draft("RGB", (2 * MAX_SIDE, 2 * MAX_SIDE))  # a JPEG is decoded smaller at once
                image.load()
                upright = ImageOps.exif_transpose(image)
                plain = upright.convert(_mode(upright))
        return _written(plain, few=False)
    except InvalidArray:
        raise
    except Exception as error:  # whatever a decoder makes of broken bytes; it has no one error
        raise InvalidArray(f"not a readable picture: {str(error)[:100]}") from error


def _check_size(image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise InvalidArray(f"a picture of {image.width} × {image.height} pixels; the most is {MAX_PIXELS:,}")


def _mode(image: Image.Image) -> str:
    see_through = image.mode in {"RGBA", "LA", "PA", "La", "RGBa"} or "transparency" in image.info
    grey = image.mode in {"1", "L", "LA", "La", "I", "F"} or image.mode.startswith("I;")
    return ("LA" if grey else "RGBA") if see_through else ("L" if grey else "RGB")


def _written(image: Image.Image, *, few: bool) -> Picture:
    """Scale and encode a picture; one with ``few`` levels is scaled and compressed without mixing them."""
    from PIL import Image, features

    small = max(image.size) <= SMALL
    if max(image.size) > MAX_SIDE:
        image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.NEAREST if few else Image.Resampling.LANCZOS)
    out = io.BytesIO()
    lossy = not (small or few) and features.check("webp")
    image.info.clear()
    if lossy:
        image.convert("RGBA" if "A" in image.mode else "RGB").save(out, "WEBP", quality=80, method=4)
    else:
        image.save(out, "PNG", optimize=True)
    factor = max(1, SHOWN_SIDE // max(image.size)) if small else 1
    return Picture(
        data=out.getvalue(),
        suffix="webp" if lossy else "png",
        width=image.width * factor,
        height=image.height * factor,
        pixels=small,
    )
