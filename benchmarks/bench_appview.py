"""Measure query latency and throughput of the AppView over HTTP with 220,000 datasets, at 1 and at 32 connections.

    python benchmarks/bench_appview.py [--datasets 220000] [--store FILE] [--index FOLDER] [--workers 2]

The server is ``catalog appview --no-follow``; this process on the same machine generates the load. Each kind of query
is sent repeatedly with different parameters over persistent connections. Latency is measured from the first byte sent
to the last byte received. Targets: p95 below 20 ms at 1 connection and below 100 ms at 32. Then the results of a
common word are paged through with limit 100 to check that every match occurs once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode, urlsplit

import httpx

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.appview_store import make_store
from benchmarks.rows import Results
from catalog.appview.index import FORMAT, Index
from catalog.appview.indexer import Indexer
from catalog.store.reader import Reader
from catalog.store.tokenizer import tokenize

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WANTED_MS: Final = {1: 20.0, 32: 100.0}
TIMES: Final = {1: 300, 32: 1600}
"""By connections how many questions of each kind."""
XRPC: Final = "/xrpc/science.alt.dataset."


def main() -> int:
    """Measure, and say whether it is as fast as wanted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    results = Results(__file__, parser)
    parser.add_argument("--datasets", type=int, default=220_000)
    parser.add_argument("--store", type=Path, help="a store that was made before")
    parser.add_argument("--index", type=Path, help="where its index is, or is to be")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kind", action="append", help="only questions of this kind")
    asked = parser.parse_args()
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        store = asked.store or folder / "store.sqlite"
        if asked.store is None:
            begun = time.perf_counter()
            print(f"store: {make_store(store, asked.datasets):,} records, {time.perf_counter() - begun:.0f} s")
        index = asked.index or folder / "index"
        _build(index / f"v{FORMAT}", store, results)
        settings = f"{{store: {store.resolve()}, appview: {{index: {index.resolve()}, rate_limit: false}}}}"
        (folder / "mkdocs.yml").write_text(f"plugins: [catalog: {settings}]\n", encoding="utf-8")
        missed = _serve(folder / "mkdocs.yml", asked.workers, asked.kind, results)
    results.write(asked)
    print(f"missed: {', '.join(missed) or 'nothing'}")
    return 1 if missed else 0


def _build(place: Path, store: Path, results: Results) -> None:
    reader = Reader(store)
    begun = time.perf_counter()
    with Indexer(Index(place), reader) as indexer:
        records = indexer.catch_up()
    size = sum(file.stat().st_size for file in place.iterdir()) / 1e6
    print(f"index: {records:,} records taken in, {time.perf_counter() - begun:.0f} s, {size:.0f} MB", flush=True)
    results.add("size of the index", "MB", size)
    reader.close()


def _serve(config: Path, workers: int, only: list[str] | None, results: Results) -> list[str]:
    command = [
        sys.executable,
        "-m",
        "catalog",
        "appview",
        "-f",
        str(config),
        "-a",
        "127.0.0.1:0",
        "--no-follow",
        "--json",
    ]
    log = config.with_name("log")
    with log.open("wb") as out:
        process = subprocess.Popen([*command, "--workers", str(workers)], stderr=out)
        try:
            url = _url(log)
            return _measure(url, process.pid, workers, only, results)
        finally:
            process.terminate()
            process.wait(60)


def _url(log: Path) -> str:
    for _ in range(600):
        lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines(keepends=True) if "\n" in line]
        for line in lines:
            if line["event"] == "listening":
                url = str(line["url"])
                for _ in range(600):
                    try:
                        if httpx.get(f"{url}/readyz", timeout=10).status_code == 200:
                            return url
                    except httpx.TransportError:
                        pass
                    time.sleep(0.1)
        time.sleep(0.1)
    raise SystemExit(f"it doesn't start:\n{log.read_text(encoding='utf-8')}")


def _measure(url: str, pid: int, workers: int, only: list[str] | None, results: Results) -> list[str]:
    missed = []
    print(f"{workers} processes answer; memory at the start {_memory(pid):.0f} MB", flush=True)
    with httpx.Client(base_url=url, timeout=60) as client:
        kinds = {name: make for name, make in _kinds(client).items() if only is None or name in only}
        for connections, wanted in WANTED_MS.items():
            for name, make in kinds.items():
                paths = [make() for _ in range(TIMES[connections])]
                begun, used = time.perf_counter(), _cpu(pid)
                spent, size = asyncio.run(_load(url, paths, connections))
                rate, cpu = len(spent) / (time.perf_counter() - begun), (_cpu(pid) - used) * 1e3 / len(spent)
                p50, p95, p99 = (_percentile(spent, share) for share in (50, 95, 99))
                print(
                    f"{connections:3} connections  {name:14} p50 {p50:7.2f}  p95 {p95:7.2f}  p99 {p99:7.2f} ms"
                    f"  {rate:6.0f} requests/s  cpu {cpu:5.2f} ms  {size // len(spent):,} bytes",
                    flush=True,
                )
                what = f"{name.strip('()')}, {connections} connection{'s' if connections > 1 else ''}: p95"
                results.add(what, "ms", p95, wanted=None if name.startswith("(") else wanted)
                if p95 > wanted and not name.startswith("("):
                    missed.append(f"{name} at {connections}")
        print(f"memory at the end {_memory(pid):.0f} MB")
        results.add(f"memory of {workers} processes at the end", "MB", _memory(pid))
        if only is None:
            faults = _to_the_end(client)
            results.add("faults when a word's matches are followed to their end", "", len(faults), wanted=0.0)
            missed += faults
    return missed


def _percentile(values: list[float], share: int) -> float:
    return sorted(values)[min(len(values) - 1, len(values) * share // 100)]


def _processes(pid: int) -> Iterator[Path]:
    """The folders of a process and of those below it."""
    waiting = [pid]
    while waiting:
        folder = Path(f"/proc/{waiting.pop()}")
        for thread in (folder / "task").glob("*/children"):
            waiting += [int(child) for child in thread.read_text(encoding="ascii").split()]
        yield folder


def _memory(pid: int) -> float:
    """Return the memory of the service's processes in MB, shared parts divided."""
    lines = [line for one in _processes(pid) for line in (one / "smaps_rollup").read_text("ascii").splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1e3


def _cpu(pid: int) -> float:
    """Seconds that the service's processes worked. On a machine that does other things, too, it says most."""
    fields = [(one / "stat").read_text("ascii").rpartition(")")[2].split() for one in _processes(pid)]
    return sum(int(each[11]) + int(each[12]) for each in fields) / os.sysconf("SC_CLK_TCK")


# --- the load ---------------------------------------------------------------------------------------------------------


async def _load(url: str, paths: list[str], connections: int) -> tuple[list[float], int]:
    """Ask them all on so many connections; milliseconds of each, and bytes of bodies."""
    host, port = urlsplit(url).hostname or "", urlsplit(url).port or 0
    left, spent, sizes = iter(paths), list[float](), list[int]()

    async def work() -> None:
        reader, writer = await asyncio.open_connection(host, port)
        for path in left:
            begun = time.perf_counter()
            writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
            body = await reader.readexactly(length)
            spent.append((time.perf_counter() - begun) * 1e3)
            sizes.append(length)
            if not head.startswith(b"http/1.1 200"):
                raise SystemExit(f"{path}: {head[:40]!r} {body[:300]!r}")
        writer.close()

    await asyncio.gather(*(work() for _ in range(connections)))
    return spent, sum(sizes)


# --- the questions ----------------------------------------------------------------------------------------------------


def _kinds(client: httpx.Client) -> dict[str, Callable[[], str]]:
    """By name what makes the address of another question of the kind."""
    chance = Random(1)  # noqa: S311 - the same every time
    entries = [entry for page in _pages(client, "listEntries", 30) for entry in page["entries"]]
    lenses = [lens for page in _pages(client, "listLenses", 10) for lens in page["lenses"]]
    cursors = [page["cursor"] for page in _pages(client, "listEntries", 40) if "cursor" in page]
    counts = Counter(word for entry in entries for word in set(tokenize(entry.get("description", ""))) if len(word) > 3)
    common = [word for word, _ in counts.most_common(40)]
    rare = [word for word, number in counts.items() if number == 1]
    long = [word for entry in entries for word in tokenize(entry["name"]) if len(word) > 5 and word.isalpha()]
    tagged = [entry for entry in entries if entry.get("tags")]
    onward = {lens["sourceSchema"]: lens["targetSchema"] for lens in lenses}
    pick = chance.choice

    def path() -> str:
        lens = pick(lenses)
        end = onward.get(lens["targetSchema"], lens["targetSchema"])
        return _ask("getLensPaths", source=lens["sourceSchema"], target=end)

    return {
        "common word": lambda: _ask("searchDatasets", q=pick(common)),
        "rare word": lambda: _ask("searchDatasets", q=pick(rare)),
        "two words": lambda: _ask("searchDatasets", q=f"{pick(common)} {pick(long)}"),
        "word and tag": lambda: _ask("searchDatasets", q=pick(common), tags=pick(tagged)["tags"][0]),
        "prefix": lambda: _ask("search", q=pick(long)[: chance.randint(3, 5)] + "*"),
        "typo": lambda: _ask("search", q=_mistyped(pick(long), chance)),
        "list": lambda: _ask("listEntries", cursor=pick(cursors), limit=100 if len(cursors) < 2 else 50),
        "get": lambda: _ask("getEntry", uri=pick(entries)["uri"]),
        "lens path": path,
        "suggest": lambda: _ask("suggest", q=pick(entries)["name"][: chance.randint(2, 8)]),
        "(facets)": lambda: _ask("search", q=pick(common), facets=["kind", "tag", "licence", "publisher"]),
    }


def _ask(name: str, **parameters: Any) -> str:  # noqa: ANN401 - texts, numbers, lists
    return f"{XRPC}{name}?{urlencode(parameters, doseq=True)}"


def _mistyped(word: str, chance: Random) -> str:
    at = chance.randrange(1, len(word) - 1)
    return chance.choice((word[:at] + word[at + 1 :], word[:at] + "q" + word[at:], word[:at] + "x" + word[at + 1 :]))


def _pages(client: httpx.Client, name: str, pages: int) -> Iterator[dict[str, Any]]:
    parameters: dict[str, Any] = {"limit": 50}
    for _ in range(pages):
        page = client.get(f"{XRPC}{name}", params=parameters).raise_for_status().json()
        yield page
        if "cursor" not in page:
            return
        parameters["cursor"] = page["cursor"]


def _to_the_end(client: httpx.Client) -> list[str]:
    """Follow the cursors of the commonest word to the end; what was wrong with that."""
    entries = [entry for page in _pages(client, "listEntries", 20) for entry in page["entries"]]
    words = Counter(word for entry in entries for word in set(tokenize(entry.get("description", ""))) if len(word) > 3)
    word = words.most_common(1)[0][0]
    total = client.get(f"{XRPC}search", params={"q": word, "kinds": "dataset", "limit": 1}).json()["total"]
    met: Counter[str] = Counter()
    parameters: dict[str, Any] = {"q": word, "limit": 100}
    begun = time.perf_counter()
    pages = 0
    while True:
        pages += 1
        page = client.get(f"{XRPC}searchDatasets", params=parameters).raise_for_status().json()
        met.update(entry["uri"] for entry in page["entries"])
        if "cursor" not in page:
            break
        parameters["cursor"] = page["cursor"]
    print(
        f"{word!r} to the end: {total:,} matches, {len(met):,} met in {pages:,} pages, "
        f"{sum(number > 1 for number in met.values())} of them twice, {time.perf_counter() - begun:.0f} s"
    )
    return [] if len(met) == total == met.total() and total > min(10_000, len(entries)) else ["to the end"]


if __name__ == "__main__":
    sys.exit(main())
