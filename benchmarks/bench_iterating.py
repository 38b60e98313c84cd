"""Compare iteration over 20,000 samples of three sizes with ``webdataset`` + ``msgpack`` + ``numpy.load``.

    python benchmarks/bench_iterating.py [--quick] [--keep DIR]

The other program is the WebDataset snippet of the dataset pages, with WebDataset's own shuffling and batching. Both
run in fresh processes in turn, and the best of several runs counts; imports are not timed. Shards are in memory if the
system has a RAM disk, to exclude disk effects. For the largest samples, 1,000 are stored and listed twenty times.

Before the measurement, both read every value and the values are compared. Memory is the peak growth of a process
during iteration, and its total peak with interpreter, imports (webdataset imports PyTorch if installed) and file
pages. Exit code 1 if this project is slower in any variant.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import msgpack
import numpy as np
from numpy.typing import NDArray  # noqa: TC002 - the classes below need it at run time

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.rows import Results, named
from catalog import Dataset, PackableSample
from catalog.samples.write_shards import write_shards

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

BATCH, BUFFER = 32, 1000
WAYS = ("plain", "shuffled", "batched", "shuffled, batched")
POLL_SECONDS = 0.02


class Small(PackableSample):
    """Five scalars."""

    label: int
    count: int
    score: float
    valid: bool
    name: str


class Image(PackableSample):
    """3 KiB of pixels, and a label."""

    image: NDArray[np.uint8]
    label: int


class Field(PackableSample):
    """1 MiB of measurements, and a label."""

    values: NDArray[np.float32]
    label: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """The stored samples: ``stored`` in shards of ``per_shard``, listed ``times``."""

    name: str
    sample_class: type[PackableSample]
    make: Callable[[int, np.random.Generator], PackableSample]
    stored: int
    per_shard: int
    times: int
    rounds: int

    @property
    def samples(self) -> int:
        """Return the number of samples read."""
        return self.stored * self.times


def small(number: int, chance: np.random.Generator) -> Small:
    """Five scalars, some of them random."""
    score = float(chance.random())
    return Small(label=number, count=number * 1000, score=score, valid=number % 3 == 0, name=f"sample {number}")


def image(number: int, chance: np.random.Generator) -> Image:
    """Random pixels."""
    return Image(image=chance.integers(0, 256, (32, 32, 3), np.uint8), label=number)


def field(number: int, chance: np.random.Generator) -> Field:
    """Random measurements."""
    return Field(values=chance.random((512, 512), np.float32), label=number)


SIZES = (
    Size(name="5 scalars", sample_class=Small, make=small, stored=20_000, per_shard=2_000, times=1, rounds=5),
    Size(name="32×32×3 uint8", sample_class=Image, make=image, stored=20_000, per_shard=2_000, times=1, rounds=5),
    Size(name="512×512 float32", sample_class=Field, make=field, stored=1_000, per_shard=100, times=20, rounds=2),
)
QUICK = (
    Size(name="5 scalars", sample_class=Small, make=small, stored=4_000, per_shard=1_000, times=1, rounds=3),
    Size(name="32×32×3 uint8", sample_class=Image, make=image, stored=4_000, per_shard=1_000, times=1, rounds=3),
    Size(name="512×512 float32", sample_class=Field, make=field, stored=200, per_shard=50, times=10, rounds=1),
)


# --- what is compared ----------------------------------------------------------------------------------------


def ours(size: Size, urls: list[str], way: str) -> Iterable[Any]:
    """The dataset as this library reads it."""
    dataset = Dataset(urls, size.sample_class)
    if "shuffled" in way:
        dataset = dataset.shuffled(seed=1, buffer_samples=BUFFER)
    return dataset.batched(BATCH) if "batched" in way else dataset


def decoded(value: Any) -> Any:  # noqa: ANN401 - as in the snippet
    """Arrays are stored as .npy bytes."""
    if isinstance(value, list):
        return [decoded(item) for item in value]
    if isinstance(value, bytes) and value.startswith(b"\x93NUMPY"):
        return np.load(io.BytesIO(value), allow_pickle=False)
    return value


def unpacked(sample: dict[str, Any]) -> dict[str, Any]:
    """As in the snippet."""
    fields = msgpack.unpackb(sample["msgpack"])
    return {name: decoded(value) for name, value in fields.items()}


def peer(urls: list[str], way: str) -> Iterable[Any]:
    """The dataset as WebDataset reads it: shards and samples shuffled by its own means, batches by its own, too."""
    import webdataset as wds

    shuffled = "shuffled" in way
    dataset = wds.WebDataset(urls, shardshuffle=len(urls) if shuffled else False, seed=1)
    if shuffled:
        dataset = dataset.shuffle(BUFFER)
    dataset = dataset.map(unpacked)
    return dataset.batched(BATCH) if "batched" in way else dataset  # type: ignore[no-any-return] # no types


def consumed(samples: Iterable[Any], names: list[str], *, ours_: bool, batched: bool) -> tuple[int, int]:
    """Ask for every field of every sample (or batch); their number, and the sum of their labels."""
    count = total = 0
    for sample in samples:
        for name in names:
            value = getattr(sample, name) if ours_ else sample[name]
        label = sample.label if ours_ else sample["label"]
        if batched:
            assert len(value) == len(label)  # noqa: S101 - our own data
            count += len(label)
            total += int(label.sum())
        else:
            count += 1
            total += label
    return count, total


# --- one process ---------------------------------------------------------------------------------------------


def child(who: str, way: str, size: Size, folder: Path) -> None:
    """Iterate once; print what it took as JSON."""
    urls = shards(folder, size) * size.times
    names = list(size.sample_class.__dataclass_fields__)  # type: ignore[attr-defined] # it is a dataclass
    samples = ours(size, urls, way) if who == "ours" else peer(urls, way)
    before = status(os.getpid(), "RssAnon")
    start = time.perf_counter()
    count, total = consumed(samples, names, ours_=who == "ours", batched="batched" in way)
    seconds = time.perf_counter() - start
    wanted = size.stored * (size.stored - 1) // 2 * size.times
    if (count, total) != (size.samples, wanted):
        sys.exit(f"{who}, {way}: {count} samples with labels of {total}, not {size.samples} with {wanted}")
    # Not ru_maxrss: that starts with the size of the process that started this one.
    print(json.dumps({"seconds": seconds, "before": before, "peak": status(os.getpid(), "VmHWM")}))


def status(process: int, what: str) -> int:
    """KiB of a process: ``RssAnon`` is what it has allocated, without the pages of files, ``VmHWM`` its peak of all.

    0 where the system doesn't say.
    """
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{what}:")), 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One process: seconds of iterating, MiB it grew by, MiB it was at its largest."""

    seconds: float
    grown: float
    peak: float


def measured(who: str, way: str, size: Size, folder: Path, *, quick: bool) -> Run:
    """Iterate once in a fresh process, watching what it allocates."""
    command = [sys.executable, __file__, "--child", who, way, size.name, "--keep", str(folder)]
    command += ["--quick"] if quick else []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        most = 0
        while process.poll() is None:
            most = max(most, status(process.pid, "RssAnon"))
            time.sleep(POLL_SECONDS)
        said = process.stdout.read() if process.stdout is not None else ""
    if process.returncode:
        sys.exit(f"{who}, {way}, {size.name}: failed")
    found = json.loads(said)
    return Run(seconds=found["seconds"], grown=max(0, most - found["before"]) / 1024, peak=found["peak"] / 1024)


# --- all of them ---------------------------------------------------------------------------------------------


def shards(folder: Path, size: Size) -> list[str]:
    """The shards of a size, in order."""
    return sorted(str(path) for path in folder.glob(f"{size.sample_class.__name__.lower()}-*.tar"))


def prepare(folder: Path, size: Size) -> None:
    """Write the shards, unless they were kept from another run."""
    if len(shards(folder, size)) * size.per_shard != size.stored:
        chance = np.random.default_rng(7)
        made: Iterator[PackableSample] = (size.make(number, chance) for number in range(size.stored))
        write_shards(made, folder / f"{size.sample_class.__name__.lower()}-%06d.tar", maxcount=size.per_shard)


def check(folder: Path, size: Size) -> None:
    """Both read the same values."""
    urls = shards(folder, size)
    names = list(size.sample_class.__dataclass_fields__)  # type: ignore[attr-defined]
    for mine, theirs in zip(ours(size, urls, "plain"), peer(urls, "plain"), strict=True):
        same = names == [name for name in theirs if name != "__key__"] and all(
            np.array_equal(getattr(mine, name), theirs[name]) for name in names
        )
        if not same:
            sys.exit(f"{size.name}: {mine} is not {theirs}")


def compare(folder: Path, size: Size, way: str, results: Results, *, quick: bool) -> float:
    """Time one way of reading one size; print and answer the ratio."""
    runs: dict[str, list[Run]] = {"ours": [], "peer": []}
    for _ in range(size.rounds):
        for who, done in runs.items():
            done.append(measured(who, way, size, folder, quick=quick))
    mine, theirs = (min(done, key=lambda run: run.seconds) for done in runs.values())
    ratio = theirs.seconds / mine.seconds
    print(
        f"  {way:18} {size.samples / mine.seconds:11,.0f} {size.samples / theirs.seconds:11,.0f} {ratio:7.2f}"
        f"   {mine.grown:7,.0f} {theirs.grown:7,.0f}   {mine.peak:7,.0f} {theirs.peak:7,.0f}",
        flush=True,
    )
    what, peer = f"{size.name}, {way}", named("webdataset")
    rates = [size.samples / run.seconds for run in (mine, theirs)]
    results.add(what, "samples/s", rates[0], peer=peer, theirs=rates[1], better="higher", wanted_ratio=1.0)
    if way == "shuffled":
        results.add(f"{what}: peak of memory", "MiB", mine.peak, peer=peer, theirs=theirs.peak)
    return ratio


def main() -> int:
    """Make the shards, compare what both read, time both, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    results = Results(__file__, parser)
    parser.add_argument("--quick", action="store_true", help="fewer samples, fewer rounds")
    parser.add_argument("--keep", type=Path, help="make the shards here and leave them")
    parser.add_argument("--child", nargs=3, metavar=("WHO", "WAY", "SIZE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    sizes = QUICK if arguments.quick else SIZES
    if arguments.child is not None:
        who, way, name = arguments.child
        child(who, way, next(size for size in sizes if size.name == name), arguments.keep)
        return 0
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - a place of its own is made in it
    ratios: list[float] = []
    with TemporaryDirectory(prefix="bench-iterating-", dir=memory) as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for size in sizes:
            prepare(folder, size)
            check(folder, size)
            print(f"{size.name}: {size.samples:,} samples, buffer {BUFFER}, batches of {BATCH}; best of {size.rounds}")
            print(f"  {'':18} {'samples/s':>23}           {'grew by, MiB':>15}   {'peak, MiB':>15}")
            print(
                f"  {'':18} {'ours':>11} {'peer':>11} {'ratio':>7}   {'ours':>7} {'peer':>7}   {'ours':>7} {'peer':>7}"
            )
            ratios += [compare(folder, size, way, results, quick=arguments.quick) for way in WAYS]
    print(f"lowest ratio {min(ratios):.2f} (wanted: at least 1)")
    results.write(arguments)
    return 0 if min(ratios) >= 1 else 1


if __name__ == "__main__":
    sys.exit(main())
