"""Compare reading shards over HTTP with a latency of 50 ms with ``webdataset`` and ``datasets`` of Hugging Face.

    python benchmarks/bench_streaming.py [--quick]

A server on this machine, in a process of its own, waits 50 ms before it answers a request. Every peer reads files that
its own writer wrote from the same samples: ``webdataset`` tars, ``datasets`` the same tars and Parquet. Each run is a
fresh process, the best of several counts; imports are not timed. Memory is the peak of the process. MosaicML Streaming
and LitData are not measured yet.

The last row is the cost of saving the state after each batch of 32, in local files. Exit code 1 if this project isn't
1.5 times as fast as the best peer, or the state costs 2 % or more.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray  # noqa: TC002 - the class below needs it at run time

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.rows import Results, named
from catalog import Dataset, PackableSample
from catalog.config import NetworkSettings
from catalog.samples.write_shards import write_shards

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LATENCY = 0.05
BATCH = 32
WANTED, STATE_WANTED = 1.5, 2.0


class Image(PackableSample):
    """3 KiB of pixels, and a label."""

    image: NDArray[np.uint8]
    label: int


def images(count: int) -> Iterator[Image]:
    """Random pixels."""
    chance = np.random.default_rng(7)
    return (Image(image=chance.integers(0, 256, (32, 32, 3), np.uint8), label=number) for number in range(count))


# --- files ---------------------------------------------------------------------------------------------------


def prepare(folder: Path, count: int, per_shard: int) -> None:
    """Write the samples as each library writes them."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    import webdataset as wds

    write_shards(images(count), folder / "ours-%06d.tar", maxcount=per_shard)
    with wds.ShardWriter(str(folder / "webdataset-%06d.tar"), maxcount=per_shard, verbose=0) as writer:
        for one in images(count):
            writer.write({"__key__": f"{one.label:09d}", "npy": one.image, "cls": one.label})
    rows = [{"image": _npy(one.image), "label": one.label} for one in images(count)]
    for number, start in enumerate(range(0, count, per_shard)):
        pq.write_table(pa.Table.from_pylist(rows[start : start + per_shard]), folder / f"parquet-{number:06d}.parquet")


def _npy(array: NDArray[Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


# --- readers -------------------------------------------------------------------------------------------------


def ours(urls: list[str]) -> Iterator[int]:
    """Yield the labels; every field of a sample is used."""
    for sample in Dataset[Image](urls, settings=NetworkSettings(allow_loopback=True)):
        assert sample.image.shape == (32, 32, 3)  # noqa: S101 - our own data
        yield sample.label


def webdataset(urls: list[str]) -> Iterator[int]:
    """As :func:`ours`."""
    import webdataset as wds

    for sample in wds.WebDataset(urls, shardshuffle=False).decode():
        assert sample["npy"].shape == (32, 32, 3)  # noqa: S101
        yield sample["cls"]


def datasets_tar(urls: list[str]) -> Iterator[int]:
    """As :func:`ours`."""
    import datasets

    for sample in datasets.load_dataset("webdataset", data_files={"train": urls}, split="train", streaming=True):
        assert np.asarray(sample["npy"]).shape == (32, 32, 3)  # noqa: S101
        yield sample["cls"]


def datasets_parquet(urls: list[str]) -> Iterator[int]:
    """As :func:`ours`."""
    import datasets

    for sample in datasets.load_dataset("parquet", data_files={"train": urls}, split="train", streaming=True):
        assert np.load(io.BytesIO(sample["image"])).shape == (32, 32, 3)  # noqa: S101
        yield sample["label"]


NEEDED = {
    "webdataset": ("webdataset",),
    "datasets, tar": ("datasets", "aiohttp"),
    "datasets, Parquet": ("datasets", "aiohttp"),
}
"""The packages of each peer; without them it isn't measured."""

READERS: dict[str, tuple[Callable[[list[str]], Iterator[int]], str]] = {
    "ours": (ours, "ours-*.tar"),
    "webdataset": (webdataset, "webdataset-*.tar"),
    "datasets, tar": (datasets_tar, "webdataset-*.tar"),
    "datasets, Parquet": (datasets_parquet, "parquet-*.parquet"),
}


def child(who: str, urls: list[str], count: int) -> None:
    """Read once; print seconds, seconds until the first sample, and the peak of memory in MiB."""
    reader = READERS[who][0]
    if who == "webdataset":
        import webdataset as _
    elif who.startswith("datasets"):
        import datasets as _  # noqa: F401
    start, first, total, number = time.perf_counter(), 0.0, 0, 0
    for label in reader(urls):
        first = first or time.perf_counter() - start
        total, number = total + label, number + 1
    seconds = time.perf_counter() - start
    if (number, total) != (count, count * (count - 1) // 2):
        sys.exit(f"{who}: {number} samples with labels of {total}")
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024
    print(json.dumps({"seconds": seconds, "first": first, "peak": peak}))


def measured(who: str, urls: list[str], count: int) -> dict[str, float]:
    """Read once in a fresh process."""
    command = [sys.executable, __file__, "--child", who, str(count), *urls]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{who}: {done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


# --- the server ----------------------------------------------------------------------------------------------


class Slow(SimpleHTTPRequestHandler):
    """Files of a folder, each answer after the latency; connections are kept, and ranges are served."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer a GET."""
        time.sleep(LATENCY)
        self._answer(body=True)

    def do_HEAD(self) -> None:
        """Answer a HEAD."""
        time.sleep(LATENCY)
        self._answer(body=False)

    def _answer(self, *, body: bool) -> None:
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(404)
            return
        size = path.stat().st_size
        unit, _, wanted = self.headers.get("Range", "").partition("=")
        start, end = 0, size - 1
        if unit == "bytes":
            low, _, high = wanted.partition("-")
            start = int(low) if low else size - int(high)
            end = min(end, int(high)) if low and high else end
        self.send_response(206 if unit else 200)
        if unit:
            self.send_header("Content-Range", f"bytes {start}-{end}/{size}")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", f'"{size}"')
        self.send_header("Content-Length", str(end + 1 - start))
        self.end_headers()
        if body:
            with path.open("rb") as file:
                file.seek(start)
                self.wfile.write(file.read(end + 1 - start))

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def serve(folder: Path) -> None:
    """Serve a folder and print the port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Slow, directory=str(folder)))
    print(server.server_port, flush=True)
    server.serve_forever()


# --- the state -----------------------------------------------------------------------------------------------


def state_cost(urls: list[str], rounds: int) -> float:
    """Return by how many per cent an epoch of local shards takes longer if the state is saved after each batch."""
    dataset = Dataset[Image](urls).shuffled(seed=1).batched(BATCH)

    def seconds(*, saved: bool) -> float:
        start = time.process_time()
        for batch in dataset:
            _ = batch.image, batch.label
            if saved:
                dataset.state_dict()
        return time.process_time() - start

    pairs = [(seconds(saved=False), seconds(saved=True)) for _ in range(rounds)]
    plain, saving = (min(one) for one in zip(*pairs, strict=True))
    cost: float = 100 * (saving / plain - 1)
    return cost


def main() -> int:
    """Write the files, serve them, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    results = Results(__file__, parser)
    parser.add_argument("--quick", action="store_true", help="fewer samples, fewer rounds")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve is not None:
        serve(arguments.serve)
    if arguments.child is not None:
        who, count, *urls = arguments.child
        child(who, urls, int(count))
        return 0
    count, per_shard, rounds = (4_000, 250, 1) if arguments.quick else (40_000, 1_000, 3)
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - a place of its own is made in it
    with TemporaryDirectory(prefix="bench-streaming-", dir=memory) as temporary:
        folder = Path(temporary)
        prepare(folder, count, per_shard)
        command = [sys.executable, __file__, "--serve", temporary]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                port = int(server.stdout.readline()) if server.stdout is not None else 0
                best = compared(folder, f"http://127.0.0.1:{port}/", count, rounds, results)
            finally:
                server.terminate()
        cost = state_cost(sorted(map(str, folder.glob("ours-*.tar"))), 2 if arguments.quick else 7)
    print(f"the state after each batch of {BATCH} costs {cost:.1f} % (wanted: below {STATE_WANTED:.0f})")
    results.add(f"state after each batch of {BATCH}", "%", cost, wanted=STATE_WANTED)
    results.write(arguments)
    return 0 if best >= WANTED and cost < STATE_WANTED else 1


def compared(folder: Path, base: str, count: int, rounds: int, results: Results) -> float:
    """Measure all readers in turn, print a line for each, and return the lowest ratio."""
    absent = {who: [one for one in NEEDED.get(who, ()) if find_spec(one) is None] for who in READERS}
    runs: dict[str, list[dict[str, float]]] = {who: [] for who in READERS if not absent[who]}
    for who, missing in absent.items():
        if missing:
            print(f"  {who:18} not measured: {', '.join(missing)} is not installed")
            results.add(f"{who}: samples", "samples/s", None, peer=who, note=f"without {', '.join(missing)}")
    for _ in range(rounds):
        for who, done in runs.items():
            urls = [base + path.name for path in sorted(folder.glob(READERS[who][1]))]
            done.append(measured(who, urls, count))
    found = {who: min(done, key=lambda run: run["seconds"]) for who, done in runs.items()}
    mine, ratios = found["ours"], []
    for who, run in found.items():
        ratio = run["seconds"] / mine["seconds"]
        print(
            f"  {who:18} {count / run['seconds']:9,.0f} samples/s, the first after {1000 * run['first']:6,.0f} ms, "
            f"{run['peak']:5,.0f} MiB, ratio {ratio:5.2f}"
        )
        if who == "ours":
            continue
        ratios.append(ratio)
        peer = named(who.partition(",")[0])
        rates = [count / mine["seconds"], count / run["seconds"]]
        results.add(
            f"{who}: samples", "samples/s", rates[0], peer=peer, theirs=rates[1], better="higher", wanted_ratio=WANTED
        )
        results.add(f"{who}: first sample", "ms", 1000 * mine["first"], peer=peer, theirs=1000 * run["first"])
        results.add(f"{who}: peak of memory", "MiB", mine["peak"], peer=peer, theirs=run["peak"])
    print(f"lowest ratio {min(ratios):.2f} (wanted: at least {WANTED})")
    return min(ratios)


if __name__ == "__main__":
    sys.exit(main())
