"""A lens from three rows of statistics about cell nuclei to one vector."""

from dataclasses import replace
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from catalog import Array, PackableSample

FEATURES = 10


class NucleiSample(PackableSample, version="1.0.0"):
    """What the cell nuclei in one image of a breast mass look like."""

    mean: Annotated[NDArray[np.float64], Array(shape=(10,), dimensions=("feature",))]
    error: Annotated[NDArray[np.float64], Array(shape=(10,), dimensions=("feature",))]
    worst: Annotated[NDArray[np.float64], Array(shape=(10,), dimensions=("feature",))]
    diagnosis: str


class LabelledVector(PackableSample, version="1.0.0"):
    """Numbers, and the name of the class they belong to."""

    vector: Annotated[NDArray[np.float64], Array(shape=(None,), dimensions=("feature",))]
    label: str


def statistics(nuclei: NucleiSample) -> LabelledVector:
    """All thirty numbers: the means, then the standard errors, then the worst values."""
    rows = (nuclei.mean, nuclei.error, nuclei.worst)
    return LabelledVector(vector=np.concatenate(rows), label=nuclei.diagnosis)


def from_statistics(vector: LabelledVector, nuclei: NucleiSample) -> NucleiSample:
    """The three rows again. Raises ValueError unless there are thirty numbers."""
    mean, error, worst = vector.vector.reshape(3, FEATURES)
    return replace(nuclei, mean=mean, error=error, worst=worst, diagnosis=vector.label)
