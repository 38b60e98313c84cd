"""Batches of tensors, for a PyTorch ``DataLoader`` that makes the batches: ``DataLoader(dataset, batch_size=32)``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from catalog.datasets.batches import SampleBatch
from catalog.samples.annotations import plan_of
from catalog.samples.packable import DictSample, PackableSample

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["TensorBatch", "register_collate"]


class TensorBatch(dict[str, Any]):
    """Fields of several samples by wire name: tensors, and lists of what has no common dtype and shape.

    Fields are attributes, too, by the names that the samples have: ``batch.image`` is ``batch["image"]``.
    """

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - fields hold anything
        """Return a field. Raises AttributeError if there is none."""
        for known in (name, name.removesuffix("_")):
            if known in self:
                return self[known]
        raise AttributeError(f"no field {name!r}; the batch has {', '.join(self)}")


def register_collate(sample_class: type | None) -> None:
    """Let PyTorch's ``default_collate`` stack our samples, if PyTorch is loaded."""
    collate = sys.modules.get("torch.utils.data._utils.collate")
    known = getattr(collate, "default_collate_fn_map", None)
    if known is None:
        return
    known.setdefault(SampleBatch, _refuse_batches)
    for one in (PackableSample, DictSample, sample_class):
        if one is not None and (issubclass(one, DictSample) or hasattr(one, "__packable__")):
            known.setdefault(one, _collate)


def _collate(samples: Sequence[Any], *, collate_fn_map: object = None) -> TensorBatch:  # noqa: ARG001 - PyTorch's names
    """Stack the fields of samples as :class:`SampleBatch` does, and make tensors of the arrays."""
    batch, first = SampleBatch(samples), samples[0]
    if isinstance(first, dict):
        names = list(dict.fromkeys(name for sample in samples for name in sample))
    else:
        names = list(plan_of(type(first)).by_name)
    return TensorBatch({name: _tensor(batch[name]) for name in names})


def _refuse_batches(batches: Sequence[SampleBatch[Any]], *, collate_fn_map: object = None) -> NoReturn:  # noqa: ARG001
    what = f"the dataset makes batches (of {len(batches[0])} samples), and the DataLoader makes batches of them"
    raise TypeError(f"{what}: write DataLoader(dataset, batch_size=None, …), or leave batched() out")


def _tensor(values: Any) -> Any:  # noqa: ANN401
    """Return an array as a tensor without a copy; return other values, and arrays of other dtypes, unchanged."""
    import torch

    if not isinstance(values, np.ndarray):
        return values
    if values.dtype.name == "bfloat16":
        return torch.from_numpy(values.view(np.uint16)).view(torch.bfloat16)
    try:
        return torch.from_numpy(values)
    except TypeError:
        return values
