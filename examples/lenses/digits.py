"""Lenses between the shapes in which a handwritten digit comes.

A lens is a getter, which makes a target sample of a source sample, and a putter, which takes a changed target back
into its source. Together they keep three laws: putting back what you got changes nothing; you get what you put; the
second of two puts wins.
"""

from dataclasses import replace
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from catalog import Array, PackableSample

SIDE = 8


class DigitSample(PackableSample, version="1.0.0"):
    """An 8×8 grey-level image of a handwritten digit."""

    image: Annotated[NDArray[np.uint8], Array(shape=(8, 8), dimensions=("y", "x"))]
    label: int


class InkedDigit(PackableSample, name="DigitSample", version="1.1.0"):
    """An 8×8 grey-level image of a handwritten digit, and how much ink it took."""

    image: Annotated[NDArray[np.uint8], Array(shape=(8, 8), dimensions=("y", "x"))]
    label: int
    ink: float | None = None


class FlatDigit(PackableSample, version="1.0.0"):
    """A digit as the vector that most classifiers want."""

    pixels: Annotated[NDArray[np.uint8], Array(shape=(64,), dimensions=("pixel",))]
    label: int


def flatten(digit: DigitSample) -> FlatDigit:
    """The image as one row of 64 pixels, line by line."""
    return FlatDigit(pixels=digit.image.reshape(SIDE * SIDE), label=digit.label)


def unflatten(flat: FlatDigit, digit: DigitSample) -> DigitSample:
    """The row of pixels as an image again; nothing of the old digit is left."""
    return replace(digit, image=flat.pixels.reshape(SIDE, SIDE), label=flat.label)


def without_ink(digit: InkedDigit) -> DigitSample:
    """A digit of version 1.1 for code that was written for 1.0."""
    return DigitSample(image=digit.image, label=digit.label)


def with_its_ink(plain: DigitSample, digit: InkedDigit) -> InkedDigit:
    """The changed digit with the ink that was noted before."""
    return replace(digit, image=plain.image, label=plain.label)
