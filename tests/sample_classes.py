"""A sample class with a field of every kind, and the sample type and address of a schema, which several tests use."""

from __future__ import annotations

import math
from typing import Annotated, Any, Optional

import numpy as np
from numpy.typing import NDArray  # noqa: TC002 - the class below needs it at run time

from catalog import Array, PackableSample, wire
from catalog.schema import Field, SampleType, Scalar
from catalog.syntax import AtUri

URI = AtUri("at://did:plc:aaaaaaaaaaaaaaaaaaaaaaaa/science.alt.dataset.schema/Digit:1.0.0")
TYPE = SampleType(
    name="made up",
    version="1.0.0",
    description="Made.",
    fields=(
        Field(name="class", type=Scalar(kind="int"), description="Which."),
        Field(name="image", type=Array(dtype="uint8", shape=(None, 2)), optional=True),
    ),
)


class Everything(PackableSample, name="every thing", version="2.1.0"):
    """One of each."""

    note: str | None = None  # optional before required
    text: str
    whole: int
    real: float
    truth: bool
    raw: bytes
    any_array: NDArray[Any]
    bare_array: np.ndarray[Any, Any]
    typed: NDArray[np.float32]
    maybe: Optional[NDArray[np.uint8]] = None  # noqa: UP045 - as people write it
    shaped: Annotated[NDArray[np.uint8], Array(shape=(2, None), dimensions=("y", "x"))]
    names: list[str]
    arrays: list[NDArray[np.int16]]
    whatever: Any = None
    kind: str = wire("class")


def everything(**changes: Any) -> Everything:  # noqa: ANN401
    values: dict[str, Any] = {
        "text": "ü", "whole": -1, "real": math.pi, "truth": False, "raw": b"\0", "any_array": np.array(3),
        "bare_array": np.zeros(0), "typed": np.ones(2, np.float32), "shaped": np.zeros((2, 3), np.uint8),
        "names": ["a", ""], "arrays": [np.arange(2, dtype=np.int16)], "kind": "k",
    }  # fmt: skip
    return Everything(**{**values, **changes})
