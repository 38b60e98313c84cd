"""Expensive files, made once a run: the first worker that needs them makes them, the others wait and read them."""

from __future__ import annotations

import os
import pickle
from typing import TYPE_CHECKING, TypeVar

from filelock import FileLock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

T = TypeVar("T")


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], T]) -> T:
    """Return what ``make(folder)`` returned in the first worker of this run that asked for ``name``.

    The result is pickled into the run's temporary folder, so it has paths rather than open files. Only read the files:
    tests of all workers share them.
    """
    base = factory.getbasetemp()
    root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "made-once"
    root.mkdir(exist_ok=True)
    result = root / f"{name}.pickle"
    with FileLock(root / f"{name}.lock"):
        if not result.exists():
            (root / name).mkdir()  # exists if another worker failed to make it
            made = make(root / name)
            result.write_bytes(pickle.dumps(made))
            return made
    found: T = pickle.loads(result.read_bytes())  # noqa: S301 - written by ourselves
    return found
