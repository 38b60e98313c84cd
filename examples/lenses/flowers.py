"""A lens from four named measurements of a flower to one vector."""

from dataclasses import replace
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from catalog import Array, PackableSample


class IrisSample(PackableSample, version="1.0.0"):
    """One iris: four lengths in centimetres, and the species it belongs to."""

    sepal_length: float
    sepal_width: float
    petal_length: float
    petal_width: float
    species: str


class LabelledVector(PackableSample, version="1.0.0"):
    """Numbers, and the name of the class they belong to."""

    vector: Annotated[NDArray[np.float64], Array(shape=(None,), dimensions=("feature",))]
    label: str


def measurements(iris: IrisSample) -> LabelledVector:
    """The four lengths in their order: sepal length and width, petal length and width."""
    lengths = (iris.sepal_length, iris.sepal_width, iris.petal_length, iris.petal_width)
    return LabelledVector(vector=np.array(lengths, dtype=np.float64), label=iris.species)


def remeasured(vector: LabelledVector, iris: IrisSample) -> IrisSample:
    """The iris with the lengths of the vector. Raises ValueError unless there are four."""
    sepal_length, sepal_width, petal_length, petal_width = (float(number) for number in vector.vector)
    return replace(
        iris,
        sepal_length=sepal_length,
        sepal_width=sepal_width,
        petal_length=petal_length,
        petal_width=petal_width,
        species=vector.label,
    )
