"""Compare reading and verifying a repository of 100,000 records with libipld's decoder, which verifies nothing.

    python benchmarks/bench_car.py [--records 100000] [--times 5]

The repository resembles a person's: 95% posts (facets, replies; 250 to 450 bytes), 5% dataset entries. The variants
run in turn with the default garbage collector, and the fastest time counts:

- ``libipld.decode_car``: decodes every block; verifies no CID, tree or signature.
- whole: hashes every block, walks and verifies the tree, verifies the signature, and decodes every record with libipld
  one by one; and again with all decoded records kept, like ``decode_car``.
- 5%: the same for one collection, skipping blocks that it doesn't need.

Memory is the peak of a separate process minus that of a process that only holds the file. Exit code 1 if reading the
whole repository takes longer than ``decode_car``, or the 5% more than a third of it.
"""

from __future__ import annotations

import argparse
import random
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import libipld

from catalog.atproto.car import Blocks, no_garbage_collection
from catalog.atproto.commit import check_commit, read_commit
from catalog.atproto.datamodel import Json, decode, encode
from catalog.atproto.keys import PublicKey
from catalog.atproto.mst import read
from catalog.syntax import Cid, Did, Tid

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.rows import Results, named
from tests.repos import SigningKey, repo_of

if TYPE_CHECKING:
    from collections.abc import Iterator

DID = Did("did:plc:ewvi7nxzyoun6zhxrhs64oiz")
LOW, HIGH = b"science.alt.dataset.", b"science.alt.dataset/"
PROSE = "we measured the light of a small lamp over water and wrote down what came of it every day since then"
WORDS = tuple(PROSE.split())


def post(number: int, chance: random.Random) -> Json:
    """A post as people write them: some text, half of them replies, a third with a link in it."""
    text = " ".join(chance.choices(WORDS, k=chance.randint(12, 32)))
    value: dict[str, Json] = {
        "$type": "app.bsky.feed.post",
        "text": text,
        "langs": ["en"],
        "createdAt": f"2026-03-{number % 28 + 1:02}T10:20:30.{number % 1000:03}Z",
    }
    if number % 3 == 0:
        feature: Json = {"$type": "app.bsky.richtext.facet#link", "uri": f"https://example.org/{number}"}
        value["facets"] = [{"index": {"byteStart": 0, "byteEnd": 9}, "features": [feature]}]
    if number % 4 == 0:
        parent: Json = {"uri": f"at://{DID}/app.bsky.feed.post/{rkey(number)}", "cid": str(Cid.of_block(text.encode()))}
        value["reply"] = {"root": parent, "parent": parent} if number % 8 else {"root": parent}
    return value


def entry(number: int, chance: random.Random) -> Json:
    """A dataset entry of the ordinary size."""
    shards: list[Json] = [
        {
            "url": f"https://data.example.org/{number}/{shard:06}.tar",
            "checksum": {"algorithm": "sha256", "digest": chance.randbytes(32).hex()},
        }
        for shard in range(3)
    ]
    return {
        "$type": "science.alt.dataset.entry",
        "name": f"lamps-{number}",
        "schemaRef": f"at://{DID}/science.alt.dataset.schema/lamp@1.0.0",
        "storage": {"$type": "science.alt.dataset.storageHttp", "shards": shards},
        "description": " ".join(chance.choices(WORDS, k=40)),
        "tags": ["lamps", "light"],
        "license": "CC-BY-4.0",
        "createdAt": "2026-03-01T10:20:30.000Z",
    }


def rkey(number: int) -> Tid:
    """Record keys a few minutes apart."""
    return Tid.at(1_700_000_000_000_000 + number * 300_000_017, number % 32)


def make(records: int) -> tuple[bytes, str]:
    """The CAR, and the key it is signed with."""
    chance, key = random.Random(0), SigningKey()  # noqa: S311 — the same repository every time
    made: dict[str, bytes] = {}
    for number in range(records):
        if number % 20 == 7:
            made[f"science.alt.dataset.entry/{rkey(number)}"] = encode(entry(number, chance))
        else:
            made[f"app.bsky.feed.post/{rkey(number)}"] = encode(post(number, chance))
    return repo_of(made, did=DID, key=key).car(), key.did_key


def theirs(raw: bytes, key: PublicKey) -> object:  # noqa: ARG001
    """The whole file, nothing proven."""
    return libipld.decode_car(raw)


Read = Callable[[bytes], object]


def part(raw: bytes, key: PublicKey, low: bytes, high: bytes | None) -> Iterator[bytes | None]:
    """The records of a slice, one by one; it is proven before the first."""
    (root, *_), blocks = Blocks.of_car(raw)
    commit = read_commit(blocks.get(root) or b"")
    check_commit(commit, did=DID, key=key)
    found = read(blocks, commit.data, low, high)
    if found.missing:
        raise AssertionError
    return map(blocks.get, found.entries.values())


def one_by_one(raw: bytes, key: PublicKey, low: bytes, high: bytes | None, read_record: Read) -> object:
    """Every record read, and let go of when the next comes: as a crawl does it."""
    with no_garbage_collection():
        count = 0
        for block in part(raw, key, low, high):
            read_record(block or b"")
            count += 1
    return count


def kept(raw: bytes, key: PublicKey) -> object:
    """Every record read, and all of them kept: as ``decode_car`` does it."""
    with no_garbage_collection():
        return [libipld.decode_dag_cbor(block or b"") for block in part(raw, key, b"", None)]


def nothing(raw: bytes, key: PublicKey) -> object:
    """The file in memory."""
    return raw, key


WAYS: dict[str, Callable[[bytes, PublicKey], object]] = {
    "libipld.decode_car": theirs,
    "ours, whole": lambda raw, key: one_by_one(raw, key, b"", None, libipld.decode_dag_cbor),
    "ours, whole, all records kept": kept,
    "ours, 5%": lambda raw, key: one_by_one(raw, key, LOW, HIGH, libipld.decode_dag_cbor),
    "ours, 5%, by datamodel.decode": lambda raw, key: one_by_one(raw, key, LOW, HIGH, decode),
    "nothing": nothing,
}


def seconds(way: Callable[[bytes, PublicKey], object], raw: bytes, key: PublicKey) -> float:
    """One reading; letting go of what was read is not in it."""
    start = perf_counter()
    result = way(raw, key)
    took = perf_counter() - start
    del result
    return took


def apart(*arguments: str) -> str:
    """Return the output of this script in a separate process."""
    done = subprocess.run([sys.executable, __file__, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def one(name: str, file: Path, key: str) -> None:
    """Read the file in one way, and print the most MB that this process had."""
    result = WAYS[name](file.read_bytes(), PublicKey.parse(key))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6)
    del result


def compare(file: Path, key: str, records: int, times: int, results: Results) -> int:
    """Measure, time, print. The memory first: a process starts with the peak of the one that starts it."""
    memory = {name: float(apart("--one", name, "--file", str(file), "--key", key)) for name in WAYS}
    raw, public = file.read_bytes(), PublicKey.parse(key)
    names = [name for name in WAYS if name != "nothing"]
    taken: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(times):
        for name in names:
            taken[name].append(seconds(WAYS[name], raw, public))
    print(f"a CAR of {records:,} records, {len(raw) / 1e6:.1f} MB; best of {times}; memory beside the file")
    theirs_best = min(taken["libipld.decode_car"])
    for name in names:
        best, more = min(taken[name]), memory[name] - memory["nothing"]
        print(f"  {name:36} {best:6.3f} s   {theirs_best / best:5.2f} × as fast   {more:6.1f} MB")
        if name in SAID:
            say(results, name, best * 1e3, theirs_best * 1e3)
    for name, what in SAID.items():
        more, other = (max(0.0, memory[each] - memory["nothing"]) for each in (name, "libipld.decode_car"))
        results.add(f"memory beside the file: {what}", "MB", more, peer=PEER, theirs=other)
    print("  wanted: the whole at least 1 × as fast, the 5% at least 3 ×")
    whole, part = min(taken["ours, whole"]), min(taken["ours, 5%"])
    return 0 if whole <= theirs_best and part * 3 <= theirs_best else 1


SAID = {
    "ours, whole": "whole repository, all proven",
    "ours, whole, all records kept": "the same, all records kept",
    "ours, 5%": "only the dataset records, proven",
    "ours, 5%, by datamodel.decode": "the same, decoded strictly",
}
PEER = f"{named('libipld')}, decode_car"
RATIOS = {"ours, whole": 1.0, "ours, 5%": 3.0}


def say(results: Results, name: str, ours: float, theirs: float) -> None:
    """One row of milliseconds."""
    results.add(SAID[name], "ms", ours, peer=PEER, theirs=theirs, wanted_ratio=RATIOS.get(name))


def main() -> int:
    """Make the repository in a process of its own, and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    results = Results(__file__, parser)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=7)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--key", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one is not None:
        one(arguments.one, arguments.file, arguments.key)
        return 0
    if arguments.file is not None:
        raw, key = make(arguments.records)
        arguments.file.write_bytes(raw)
        print(key)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "repository.car"
        key = apart("--records", str(arguments.records), "--file", str(file))
        code = compare(file, key, arguments.records, arguments.times, results)
        results.write(arguments)
        return code


if __name__ == "__main__":
    sys.exit(main())
