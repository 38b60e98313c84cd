"""Progress of long downloads: a bar by tqdm, if that is installed, on a terminal or in a notebook.

``TQDM_DISABLE=1`` turns it off, as for every program with tqdm. The workers of a DataLoader have none.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from multiprocessing import parent_process
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECONDS: Final = 1.0
"""A download that takes less has no bar."""


@contextmanager
def download_progress(name: str) -> Iterator[Callable[[int], object]]:
    """Show a bar; call the function that is given with the bytes received so far."""
    bars = _bars()
    if bars is None:
        yield lambda _: None
        return
    with bars(desc=name, unit="B", unit_scale=True, delay=SECONDS, leave=False) as bar:
        yield lambda received: bar.update(received - bar.n)


def _bars() -> Callable[..., Any] | None:
    """Return tqdm's class, which has no types; ``None`` where no bar is shown."""
    if parent_process() is not None or not (sys.stderr.isatty() or "ipykernel" in sys.modules):
        return None
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return None
    found: Callable[..., Any] = tqdm
    return found
