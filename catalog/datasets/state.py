"""The state of an iteration: saved between two samples, and loaded to go on after the last one.

A state is a small dict for JSON. It names the dataset and the order, and says how many samples of the order of the
epoch all readers together have handed out::

    version, record, shards   the dataset: the CID of its record (None without one), a digest of the list of its shards
    seed, buffer, epoch       the order: the seed and buffers of shuffled(), None if it is ordered; the epoch
    position                  samples of the order that are done, as they are stored
    skip                      items after them that are done, too: what filters let through
    shard, first              where to begin reading: a shard by its place in the order, the place of its first sample
    ranks, unit, round        the readers, items of a unit (0: not known yet), and units that each has handed out
    sources                   the states of the datasets of a mix

The nodes and the workers of a ``DataLoader`` hand out units in turn, so the state of one of them tells the position of
all: when it has handed out its n-th unit, the n-th round is done. Several states are only needed in the middle of a
round: a ``StatefulDataLoader`` saves one for each of its workers.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from catalog.datasets.order import Shuffle
from catalog.datasets.pytorch import WorkerMarks
from catalog.errors import DataError
from catalog.shards.shard import display_url

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from catalog.datasets.order import Partition
    from catalog.shards.shard import Shard

__all__ = [
    "Identity",
    "Progress",
    "Run",
    "Start",
    "dump_run",
    "dump_state",
    "fingerprint",
    "load_state",
    "shards_fingerprint",
]

VERSION: Final = 1

_NUMBERS: Final = ("position", "skip", "shard", "first", "ranks", "unit", "round", "epoch")
_HINT: Final = "load what state_dict() returned, of the dataset or of a StatefulDataLoader"


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """The place in the order of an epoch where reading begins."""

    position: int = 0
    skip: int = 0
    shard: int = 0
    first: int = 0
    round: int = 0
    sources: tuple[Start, ...] = ()

    def moved(self, items: int) -> Start:
        """Return the place after so many more items."""
        return replace(self, skip=self.skip + items)

    def unfiltered(self) -> Start:
        """Return the same place in a dataset without filters, whose items are its samples."""
        return replace(self, position=self.position + self.skip, skip=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The dataset and the order that a state belongs to."""

    record: str | None
    shards: str
    shuffle: Shuffle | None
    uri: str | None = None

    def check(self, other: Identity) -> None:
        """Raise :class:`~catalog.errors.DataError` if a state of ``other`` can't be loaded here."""
        if (self.record, self.shards) != (other.record, other.shards):
            what = f"the state is of another dataset: {_dataset(other)}, and this is {_dataset(self)}"
            hint = "load it into the dataset that it was saved of, with the same shards in the same order"
            raise DataError(what, where=self.uri, hint=hint)
        if _order(self) != _order(other):
            what = f"the state is of another order: {_order(other)}, and this dataset is {_order(self)}"
            raise DataError(what, where=self.uri, hint=f"load it into the dataset {_order(other)}")


def _dataset(identity: Identity) -> str:
    named = "without a record" if identity.record is None else f"with the record {identity.record}"
    return f"one {named} and with shards {identity.shards}"


def _order(identity: Identity) -> str:
    one = identity.shuffle
    if one is None:
        return "ordered()"
    shards = "" if one.buffer_shards is None else f"buffer_shards={one.buffer_shards}, "
    return f"shuffled({shards}buffer_samples={one.buffer_samples}, seed={one.seed})"


def fingerprint(parts: Iterable[object]) -> str:
    """Return a short digest of values."""
    return hashlib.sha256(json.dumps(list(parts), default=str).encode()).hexdigest()[:16]


def shards_fingerprint(shards: Sequence[Shard]) -> str:
    """Return a short digest of a list of shards: of their checksums, and of the URLs of those without one.

    It stays the same if files with checksums are moved, or signed URLs are renewed.
    """
    return fingerprint(shard.checksum or display_url(shard.url) for shard in shards)


class Run:
    """One iteration: where it began and how far it is. The readers count in it, see :mod:`catalog.datasets.iteration`.

    ``saved`` is a state of it, for :func:`dump_run`. ``pulled`` samples were read, ``handed`` of them belong
    to the ``done`` items that the caller has. An item is one of ``outputs`` of a unit, the batch size of a loader; 0
    before the loader has requested one.
    Of the ``sources`` of a mix, ``drawn`` samples were read for the last sample, ``handed_drawn`` for the last item.
    ``ended``: there are no more, so the other readers have handed out one more, or have none left either.
    """

    def __init__(self, start: Start, partition: Partition, *, buffer: int | None, workers: int = 1) -> None:
        self.start, self.partition, self.buffer, self.workers = start, partition, buffer, workers
        self.marks = [(start.shard, start.first)]
        self.outputs = 1
        self.pulled = self.handed = self.done = 0
        self.stepped = self.filtered = self.ended = False
        self.saved: dict[str, Any] | None = None
        self.sources: tuple[Run, ...] = ()
        self.drawn: tuple[int, ...] = ()
        self.handed_drawn: tuple[int, ...] = ()

    @property
    def at(self) -> int:
        """The samples that belong to the items which the caller has."""
        return self.handed if self.stepped else self.pulled

    def _source_starts(self) -> tuple[Start, ...]:
        """Return the places of the datasets of a mix, after what was drawn of them for the last item."""
        found: list[Start] = []
        for run, drawn in zip(self.sources, self.handed_drawn or (0,) * len(self.sources), strict=True):
            position = run.start.position + drawn
            shard, first = run.mark(position)
            found.append(
                replace(run.start, position=position, skip=0, shard=shard, first=first) if drawn else run.start
            )
        return tuple(found)

    def next_start(self) -> Start:
        """Return the place after the last unit that was handed out, of this reader and of all others."""
        return replace(self.start, **self.next_place(), sources=self._source_starts() or self.start.sources)

    def next_place(self) -> dict[str, int]:
        """Return the numbers of :meth:`next_start`. Called after each batch by some loops: 2 µs."""
        stepped, start, partition = self.stepped, self.start, self.partition
        handed, done = (self.handed, self.done) if stepped else (self.pulled, self.pulled)
        ranks, unit = partition.ranks, partition.unit
        rounds = -(-done // (self.outputs or 1)) + self.ended
        if not done:
            position, skip, shard, first = start.position, start.skip + ranks * unit * rounds, start.shard, start.first
        else:
            position, skip = start.position + handed, 0
            if ranks > 1 and (self.filtered or self.sources):
                skip = (ranks * (1 + self.ended) - 1 - partition.rank) * unit
            elif ranks > 1:
                position = start.position + ranks * unit * rounds
            shard, first = self.mark(position)
        rounds += start.round
        return {"position": position, "skip": skip, "shard": shard, "first": first, "round": rounds}

    def mark(self, position: int) -> tuple[int, int]:
        """Return the last shard that begins before a position, or before the block that has it."""
        needed, marks = _needed(position, self.buffer), self.marks
        if marks[-1][1] <= needed:
            return marks[-1]
        return marks[max(0, bisect_right(marks, needed, key=lambda mark: mark[1]) - 1)]


def _needed(position: int, buffer: int | None) -> int:
    """Return the first sample that must be read for a position: that of its block."""
    return position - position % buffer if buffer else position


class Progress:
    """The changing part of a dataset: the epoch, the state that was loaded, and the iteration that was begun last."""

    __slots__ = ("_loaded", "_start", "digest", "epoch", "read_by_workers", "run")

    def __init__(self) -> None:
        self.epoch: int | None = None
        self.digest: str | None = None
        self.run: Run | None = None
        self.read_by_workers = WorkerMarks()
        self._start: Start | None = None
        self._loaded = self.read_by_workers

    def load(self, epoch: int, start: Start) -> None:
        """Begin the next iteration at a place of an epoch."""
        self.epoch, self.run = epoch, None
        self._start, self._loaded = start, WorkerMarks()

    def set_epoch(self, epoch: int) -> None:
        """Begin the next iterations at the beginning of an epoch."""
        self.epoch, self.run, self._start = epoch, None, None

    @property
    def last_start(self) -> Start:
        """The start of the last iteration, or of the next one if a state was loaded since."""
        return self.start if self.run is None else self.run.start

    @property
    def start(self) -> Start:
        """The place where the next iteration in this process begins."""
        return self._start or Start()

    def begin(self, worker: int | None) -> Start:
        """Return the place where an iteration begins that is begun now, in a worker or (``None``) another process.

        A loaded state counts once: later iterations begin at the beginning, also those of workers that are started
        anew for each epoch with a copy of this object.
        """
        start, self._start = self.start, None
        if worker is None:
            self.read_by_workers.clear()
            used = self._loaded is not self.read_by_workers and self._loaded.marked
            return Start() if used else start
        self.read_by_workers.mark(worker)
        return Start() if self._loaded is not self.read_by_workers and self._loaded.mark(worker) else start

    def __getstate__(self) -> object:
        kept = [name for name in self.__slots__ if name != "run"]
        return None, {"run": None, **{name: getattr(self, name) for name in kept}}


def dump_state(identity: Identity, epoch: int, start: Start, partition: Partition, *, unit: int) -> dict[str, Any]:
    """Return a state as a dict for JSON."""
    shuffle = identity.shuffle
    return {
        "version": VERSION,
        "record": identity.record,
        "shards": identity.shards,
        "seed": None if shuffle is None else shuffle.seed,
        "buffer": None if shuffle is None else [shuffle.buffer_shards, shuffle.buffer_samples],
        "epoch": epoch,
        "ranks": partition.ranks,
        "unit": unit,
        **_dumped(start),
    }


def dump_run(saved: Mapping[str, Any], run: Run) -> dict[str, Any]:
    """Return the state of a run of which another state was made before."""
    if run.sources:
        return {**saved, **_dumped(run.next_start())}
    return {**saved, **run.next_place()}


def _dumped(start: Start) -> dict[str, Any]:
    sources = {"sources": [_dumped(one) for one in start.sources]} if start.sources else {}
    numbers = {name: getattr(start, name) for name in ("position", "skip", "shard", "first", "round")}
    return {**numbers, **sources}


def load_state(state: Mapping[str, Any], identity: Identity) -> tuple[int, Start]:
    """Return the epoch and the start of a state: one of this dataset, or of a ``StatefulDataLoader`` that reads it.

    Raises :class:`~catalog.errors.DataError` for the state of another dataset or order, and for anything else.
    """
    found, more = _states_in(state)
    if not found:
        raise DataError("not the state of a dataset", hint=_HINT)
    for one in found:
        identity.check(_identity_in(one))
    least = min(found, key=lambda one: int(one["round"]))
    ahead = sum(one["round"] - least["round"] for one in found) + more
    nodes = least["ranks"] // len(found)
    unit = max(one["unit"] for one in found)
    if ahead and not unit:
        what = "the state was saved before the loader's first snapshot, so its batch size isn't known"
        raise DataError(what, hint="load it into a StatefulDataLoader, or save with snapshot_every_n_steps=1")
    return least["epoch"], _start_in(least).moved(ahead * nodes * unit)


def _states_in(state: Mapping[str, Any]) -> tuple[list[Mapping[str, Any]], int]:
    """Return the states of a dataset in a state, and the steps that a loader made after they were saved."""
    try:
        if "_snapshot" in state:  # of several workers
            workers = state["_snapshot"]["_worker_snapshots"].values()
            return [one["dataset_state"] for one in workers], int(state["_steps_since_snapshot"])
        return [state["dataset_state"] if "_num_yielded" in state else state], 0
    except (KeyError, TypeError, AttributeError, ValueError):
        raise DataError("not the state of a dataset", hint=_HINT) from None


def _identity_in(state: Mapping[str, Any]) -> Identity:
    """Return what a state belongs to. Raises :class:`~catalog.errors.DataError` if it isn't a state."""
    if not isinstance(state, dict) or "version" not in state:
        raise DataError("not the state of a dataset", hint=_HINT)
    if state["version"] != VERSION:
        what = f"a state of version {str(state['version'])[:20]!a}; this release reads version {VERSION}"
        raise DataError(what, hint="go on with the release of atdata-catalog that saved it")
    wrong = [name for name in _NUMBERS if type(state.get(name)) is not int or state[name] < (name == "ranks")]
    shuffle = _shuffle_in(state.get("seed"), state.get("buffer"))
    if not wrong:
        needed = _needed(state["position"], None if shuffle is None else shuffle.buffer_samples)
        wrong = [] if state["first"] <= needed else ["first"]
    if wrong:
        raise DataError(f"the state of a dataset is damaged: {', '.join(wrong)}", hint=_HINT)
    sources = state.get("sources", [])
    names = ("position", "skip", "shard", "first", "round")
    if not isinstance(sources, list) or not all(
        isinstance(one, dict) and all(type(one.get(name)) is int and one[name] >= 0 for name in names)
        for one in sources
    ):
        raise DataError("the state of a dataset is damaged: sources", hint=_HINT)
    record = state.get("record")
    return Identity(
        record=None if record is None else str(record),
        shards=str(state.get("shards")),
        shuffle=shuffle,
    )


def _shuffle_in(seed: object, buffers: object) -> Shuffle | None:
    """Return the order of a state without its epoch, ``None`` for the stored order."""
    match seed, buffers:
        case None, None:
            return None
        case int(), [None | int() as shards, int() as samples] if samples > 0 and (shards is None or shards > 0):
            return Shuffle(seed=seed, buffer_shards=shards, buffer_samples=samples)
    raise DataError("the state of a dataset is damaged: seed, buffer", hint=_HINT)


def _start_in(state: Mapping[str, Any]) -> Start:
    return Start(
        position=state["position"],
        skip=state["skip"],
        shard=state["shard"],
        first=state["first"],
        round=state["round"],
        sources=tuple(_start_in({**one, "sources": ()}) for one in state.get("sources", ())),
    )
