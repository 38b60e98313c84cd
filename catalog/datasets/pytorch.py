"""Datasets in PyTorch: workers of a ``DataLoader``, and ``IterableDataset``. Nothing here imports PyTorch."""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from types import FrameType

__all__ = [
    "WorkerMarks",
    "caller_frame",
    "fetching",
    "loader_batch_size",
    "register_in_torch",
    "torch_hint",
    "torch_worker",
]

_WORKERS: Final = 256


def torch_worker() -> tuple[int | None, int]:
    """Return the number of this worker of a PyTorch ``DataLoader`` and of all; ``(None, 1)`` in other processes."""
    data = sys.modules.get("torch.utils.data")
    worker = None if data is None else data.get_worker_info()
    return (None, 1) if worker is None else (worker.id, worker.num_workers)


def caller_frame() -> FrameType | None:
    """Return the frame of the function that called the caller of this one."""
    frame = inspect.currentframe()
    for _ in range(2):
        frame = None if frame is None else frame.f_back
    return frame


def fetching(frame: FrameType | None) -> bool:
    """Return whether a frame is one of a ``DataLoader`` that makes batches of what a dataset yields."""
    fetcher = getattr(sys.modules.get("torch.utils.data._utils.fetch"), "_IterableDatasetFetcher", None)
    caller = None if frame is None or fetcher is None else frame.f_locals.get("self")
    return fetcher is not None and isinstance(caller, fetcher) and bool(caller.auto_collation)


def loader_batch_size(frame: FrameType | None) -> int:
    """Return the ``batch_size`` of the ``DataLoader`` that requests samples in a frame; 1 for any other frame.

    PyTorch tells it to no dataset. Without it, the units that the workers hand out would be single samples, and the
    samples of a batch would depend on the number of workers.
    """
    if frame is None or not fetching(frame):
        return 1
    return len(frame.f_locals.get("possibly_batched_index", (None,))) or 1


class WorkerMarks:
    """Marks that are shared with the workers of a ``DataLoader``, whatever way they are started."""

    __slots__ = ("_marks",)

    def __init__(self) -> None:
        self._marks: Any = None
        if "torch.utils.data" in sys.modules:
            from multiprocessing.sharedctypes import RawArray

            self._marks = RawArray("B", _WORKERS)

    def mark(self, worker: int) -> bool:
        """Mark a worker; return whether it was marked before."""
        if self._marks is None:
            return False
        place = 1 + worker % (_WORKERS - 1)
        before, self._marks[place], self._marks[0] = bool(self._marks[place]), 1, 1
        return before

    def clear(self) -> None:
        """Remove all marks."""
        if self._marks is not None:
            self._marks[:] = bytes(_WORKERS)

    @property
    def marked(self) -> bool:
        """True if any worker is marked."""
        return self._marks is not None and bool(self._marks[0])

    def __getstate__(self) -> object:
        from multiprocessing.context import get_spawning_popen

        return (None, {"_marks": None if get_spawning_popen() is None else self._marks})


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
