"""Make the shards in ``examples/shards`` from the data sets that scikit-learn ships.

Run it as ``python examples/make_shards.py [FOLDER]``; it needs scikit-learn. The same scikit-learn gives the same
bytes every time, and ``tests/project/test_examples.py`` compares them.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from lenses.digits import InkedDigit
from lenses.flowers import IrisSample
from lenses.nuclei import NucleiSample
from sklearn import datasets

from catalog import PackableSample
from catalog.samples.write_shards import write_shards

if TYPE_CHECKING:
    from collections.abc import Iterator

DARKEST = 16


class WineSample(PackableSample, version="1.0.0"):
    """The chemistry of one wine, and which of three cultivars it was made of."""

    cultivar: int
    alcohol: float
    malic_acid: float
    ash: float
    alcalinity_of_ash: float
    magnesium: float
    total_phenols: float
    flavanoids: float
    nonflavanoid_phenols: float
    proanthocyanins: float
    color_intensity: float
    hue: float
    od280_od315: float
    proline: float


def digits() -> Iterator[InkedDigit]:
    """1,797 images; the ink is the mean grey level, 0 for white paper and 1 for black all over."""
    bunch = datasets.load_digits()
    for image, label in zip(bunch.images, bunch.target, strict=True):
        ink = float(round(image.mean() / DARKEST, 6))
        yield InkedDigit(image=image.astype(np.uint8), label=int(label), ink=ink)


def irises() -> Iterator[IrisSample]:
    """150 flowers, 50 of each species."""
    bunch = datasets.load_iris()
    names = ("sepal_length", "sepal_width", "petal_length", "petal_width")
    for row, target in zip(bunch.data, bunch.target, strict=True):
        lengths = dict(zip(names, map(float, row), strict=True))
        yield IrisSample(**lengths, species=str(bunch.target_names[target]))


def wines() -> Iterator[WineSample]:
    """178 wines; the cultivars are numbered from 1, as in the original data."""
    bunch = datasets.load_wine()
    names = [name.replace("od280/od315_of_diluted_wines", "od280_od315") for name in bunch.feature_names]
    for row, target in zip(bunch.data, bunch.target, strict=True):
        yield WineSample(cultivar=int(target) + 1, **dict(zip(names, map(float, row), strict=True)))


def nuclei() -> Iterator[NucleiSample]:
    """569 images of cell nuclei, by their statistics."""
    bunch = datasets.load_breast_cancer()
    for row, target in zip(bunch.data, bunch.target, strict=True):
        mean, error, worst = row.reshape(3, 10)
        yield NucleiSample(mean=mean, error=error, worst=worst, diagnosis=str(bunch.target_names[target]))


def main(folder: Path) -> None:
    """Write all shards, and print what the manifests say about them."""
    for name, samples, per_shard in (
        ("digits", digits(), 900),
        ("iris", irises(), 150),
        ("wine", wines(), 178),
        ("breast-cancer", nuclei(), 569),
    ):
        for info in write_shards(samples, folder / f"{name}-%06d.tar", maxcount=per_shard):
            print(f"{info.path.name}  {info.samples} samples  {info.bytes} bytes  {info.sha256}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "shards")
