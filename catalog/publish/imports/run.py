"""Run an import: write the shards that aren't finished, in several processes, and draft the manifest.

Each shard is written under a temporary name and renamed when it is complete, then entered in the state file. A run that
was killed is repeated with the same command: finished shards are verified and kept.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from filelock import FileLock, Timeout

from catalog.errors import DataError
from catalog.formatting import counted
from catalog.publish.imports.columns import kept_open
from catalog.publish.imports.source import fingerprint
from catalog.publish.imports.state import STATE_FILE, append, finished_shards, read_state, start_state
from catalog.samples.write_shards import write_members
from catalog.shards.shard import display_url

if TYPE_CHECKING:
    from catalog.publish.imports.plan import ImportPlan, PlannedShard
    from catalog.publish.imports.source import Part
    from catalog.samples.write_shards import ShardFormat, ShardInfo

__all__ = ["Imported", "run_import"]

_LOCK: Final = ".import.lock"
_WORTH_IT: Final = 100_000_000
"""Approximate bytes from which further processes pay: each takes a second to start."""
_AHEAD: Final = 2
"""Shards that are handed to each process in advance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """The shards of an import, in order; ``kept`` is the number of those that an earlier run had finished."""

    shards: tuple[ShardInfo, ...]
    kept: int


@dataclass(frozen=True, slots=True)
class _Job:
    path: Path
    part: Part
    format: ShardFormat


def run_import(
    plan: ImportPlan,
    folder: Path,
    *,
    force: bool = False,
    workers: int | None = None,
    progress: Callable[[str], object] | None = None,
) -> Imported:
    """Write the shards of a plan into a folder; ``progress`` gets a line for each. By default
    a large import has a process on each core.

    Shards that an earlier run of the same plan finished are kept, if their size and SHA-256 are as they were. Raises
    :class:`DataError` if the folder holds something else under these names, unless ``force``; if another import is
    writing there; and what reading the source raises, with the file and the row.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / _LOCK, timeout=0):
            return _locked(plan, folder, force=force, workers=workers, progress=progress or _silent)
    except Timeout:
        raise DataError("another import is writing there", where=display_url(str(folder))) from None
    except OSError as error:
        what = f"the folder can't be written: {error.strerror or error}"
        raise DataError(what, where=display_url(str(folder))) from None


def _silent(_: str) -> None:
    pass


def _locked(
    plan: ImportPlan, folder: Path, *, force: bool, workers: int | None, progress: Callable[[str], object]
) -> Imported:
    marks = fingerprint(plan.source.fingerprint, plan.name, list(plan.limits), [shard.name for shard in plan.shards])
    done = _kept(plan, folder, marks, force=force)
    for left_over in folder.glob(".*.tar.*.part"):
        left_over.unlink(missing_ok=True)
    start_state(folder, marks, done.values())
    if done:
        progress(f"{counted(len(done), 'shard')} of an earlier run kept")
    kept = len(done)
    todo = [shard for shard in plan.shards if shard.name not in done]
    for info in _written(plan, todo, folder, workers):
        append(folder, info)
        done[info.path.name] = info
        samples = counted(info.samples, "sample")
        progress(f"{len(done):,} of {len(plan.shards):,}: {info.path.name}, {samples}, {info.bytes:,} bytes")
    return Imported(
        shards=tuple(replace(done[shard.name], format=plan.source.format) for shard in plan.shards), kept=kept
    )


def _kept(plan: ImportPlan, folder: Path, marks: str, *, force: bool) -> dict[str, ShardInfo]:
    """Return the finished shards of this plan. Raises :class:`DataError` if something else is there."""
    if force:
        (folder / STATE_FILE).unlink(missing_ok=True)
        return {}
    state = read_state(folder)
    if state is None:
        there = next((shard.name for shard in plan.shards if os.path.lexists(folder / shard.name)), None)
        if there is None:
            return {}
        what = f"{there} already exists"
    elif state[0] == marks:
        names = {shard.name for shard in plan.shards}
        return finished_shards({name: info for name, info in state[1].items() if name in names})
    else:
        what = "an import with another source or other options is there"
    hint = "choose another folder, or pass --force to overwrite it"
    raise DataError(what, where=display_url(str(folder)), hint=hint)


# --- writing -------------------------------------------------------------------------------------------------


def _written(plan: ImportPlan, todo: Sequence[PlannedShard], folder: Path, workers: int | None) -> Iterator[ShardInfo]:
    """Write shards and yield them as they are finished."""
    jobs = (_Job(folder / shard.name, plan.source.part(shard.start, shard.stop), plan.source.format) for shard in todo)
    cores = 1 if plan.bytes < _WORTH_IT else os.cpu_count() or 1
    count = min(workers or cores, len(todo))
    if count < 2:
        with kept_open():
            yield from map(_write_shard, jobs)
        return
    # A new interpreter each: a fork would share the locks of the HDF5 library and the positions of open files.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, mp_context=context, initializer=_follow_parent) as pool:
        pending = {pool.submit(_write_shard, job) for job in islice(jobs, count * _AHEAD)}
        try:
            while pending:
                ready, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in ready:
                    yield future.result()
                    pending |= {pool.submit(_write_shard, job) for job in islice(jobs, 1)}
        except BrokenProcessPool:
            hint = "is there enough memory? Run the command again: finished shards are kept"
            raise DataError(
                "a process that wrote a shard was killed", where=display_url(str(folder)), hint=hint
            ) from None
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _follow_parent() -> None:
    """End this process with the one that started it, however that ends; leave Ctrl-C to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    kept_open().__enter__()  # until this process ends


def _write_shard(job: _Job) -> ShardInfo:
    return write_members(job.path, job.part.samples(), job.format)
