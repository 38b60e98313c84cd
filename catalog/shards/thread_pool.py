"""One function on many inputs in threads; results in the order in which they are ready."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TYPE_CHECKING, TypeVar

from catalog.errors import CatalogError

if TYPE_CHECKING:
    from threading import Event

T = TypeVar("T")
R = TypeVar("R")


def run_all(
    work: Callable[[T], R], inputs: Sequence[T], *, workers: int, stop: Event
) -> Generator[tuple[T, R | CatalogError], None, None]:
    """Yield each input with its result or its :class:`CatalogError`.

    On any other error, an interrupt, or when the generator is closed, ``stop`` is set, so ``work`` can end early.
    """
    if not inputs:
        return
    with ThreadPoolExecutor(min(workers, len(inputs)), thread_name_prefix=work.__name__.strip("_")) as pool:
        try:
            pending = {pool.submit(work, one): one for one in inputs}
            for future in as_completed(pending):
                error = future.exception()
                if isinstance(error, CatalogError):
                    yield pending.pop(future), error.with_traceback(None)  # whose frames would keep their buffers
                else:
                    yield pending.pop(future), future.result()
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
