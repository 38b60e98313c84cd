"""Small shards whose samples are given as values."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import msgpack
import numpy as np

from tests.shards.test_tar import tar_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["labelled_image", "npy", "packed_shard"]


def packed_shard(*samples: Mapping[str, object], length: int = 0) -> bytes:
    """Return a tar of msgpack samples, with zeros after its end up to ``length`` bytes."""
    members = ((f"{number:06d}.msgpack", msgpack.packb(dict(sample))) for number, sample in enumerate(samples))
    return tar_of(*members).ljust(length, b"\0")


def npy(array: Any) -> bytes:  # noqa: ANN401 - an array
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def labelled_image(**other: Any) -> bytes:  # noqa: ANN401 - values of a sample
    """Return a packed sample with the fields ``image``, ``label`` and ``writer``; None leaves a field out."""
    values = {"image": npy(np.zeros((2, 3), "uint8")), "label": 7, "writer": "a", **other}
    packed: bytes = msgpack.packb({name: value for name, value in values.items() if value is not None})
    return packed
