"""What a dataset has to do with PyTorch: which worker reads it, and that it is iterated. Nothing here imports it."""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["make_known_to_torch", "torch_hint", "torch_worker"]


def torch_worker() -> tuple[int, int]:
    """Which worker of a PyTorch ``DataLoader`` this process is, of how many; ``(0, 1)`` where it is none."""
    data = sys.modules.get("torch.utils.data")
    worker = None if data is None else data.get_worker_info()
    return (0, 1) if worker is None else (worker.id, worker.num_workers)


def make_known_to_torch(dataset: type) -> None:
    """Tell PyTorch, where it is loaded, that a dataset is iterated: a ``DataLoader`` asks by isinstance.

    By registering, not by a base class: torch takes seconds to import and is no dependency.
    """
    iterable = _iterable_dataset()
    if iterable is not None and not issubclass(dataset, iterable):
        iterable.register(dataset)


def torch_hint(dataset: type) -> str:
    """What to say to somebody who gave PyTorch a dataset that was made before PyTorch was loaded; else nothing."""
    iterable = _iterable_dataset()
    known = iterable is None or issubclass(dataset, iterable)
    return "" if known else "; for a DataLoader, import torch before the dataset is made"


def _iterable_dataset() -> Any:  # noqa: ANN401 - torch is optional, and None while it is being imported
    return getattr(sys.modules.get("torch.utils.data"), "IterableDataset", None)
