"""Datasets in PyTorch: workers of a ``DataLoader``, and ``IterableDataset``. Nothing here imports PyTorch."""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["register_in_torch", "torch_hint", "torch_worker"]


def torch_worker() -> tuple[int, int]:
    """Return the number of this worker of a PyTorch ``DataLoader`` and of all; ``(0, 1)`` in other processes."""
    data = sys.modules.get("torch.utils.data")
    worker = None if data is None else data.get_worker_info()
    return (0, 1) if worker is None else (worker.id, worker.num_workers)


def register_in_torch(dataset: type) -> None:
    """Register a dataset class as ``IterableDataset``, if PyTorch is loaded: a ``DataLoader`` checks by isinstance.

    Not a base class: torch takes seconds to import and isn't a dependency.
    """
    iterable = _iterable_dataset()
    if iterable is not None and not issubclass(dataset, iterable):
        iterable.register(dataset)


def torch_hint(dataset: type) -> str:
    """Return a hint for a dataset that was made before PyTorch was loaded and is used with it; else an empty text."""
    iterable = _iterable_dataset()
    known = iterable is None or issubclass(dataset, iterable)
    return "" if known else "; for a DataLoader, import torch before the dataset is made"


def _iterable_dataset() -> Any:  # noqa: ANN401 - torch is optional, and None while it is being imported
    return getattr(sys.modules.get("torch.utils.data"), "IterableDataset", None)
