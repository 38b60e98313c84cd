"""Compare following a firehose with 1% relevant events with the SDK's client code, which decodes and verifies nothing.

    python benchmarks/bench_firehose.py [--frames 1000] [--times 7]

The frames are recorded from the PDS of the tests: ten accounts with 600 posts each write more posts, and every
hundredth commit is a dataset record of an eleventh account. Each variant processes the same frames ten times; the
fastest time counts. Nothing is read from a socket during the measurement.

- this project: every frame is inspected; for the 1%, the CAR is read, the signature verified, the operations inverted
  to ``prevData``, the record hashed and decoded. 10,000 accounts are tracked, and the sequence number is stored.
- the SDK (``atproto``): ``Frame.from_bytes`` and ``parse_subscribe_repos_message``, as in its client; nothing is
  verified.
- the same with ``CAR.from_bytes`` of the blocks, as in its examples that read a record.

Exit code 1 if this project processes less than five times as many frames a second as the SDK without CARs.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from atproto import CAR, models, parse_subscribe_repos_message
from atproto_subscription import Frame

from catalog.atproto.datamodel import decode
from catalog.atproto.firehose import CommitEvent, Filter, check_commit_event, read_frame, sequence_of

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.rows import Results, named
from tests.conftest import NETWORK, Network
from tests.streams import recording, signing_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from catalog.atproto.keys import PublicKey
    from tests.conftest import Account

WANTED = 5.0
SHARE = 100
"""One frame in so many concerns us."""
POSTERS, SEEDS = 10, 3
ROUNDS = 10
"""The recorded frames are gone through so often at a time."""
PREFIX = b"science.alt.dataset."
POST, ENTRY = "app.bsky.feed.post", "science.alt.dataset.entry"
PROSE = "we measured the light of a small lamp over water and wrote down what came of it every day since then"
WORDS = tuple(PROSE.split())
TIME = "2026-11-01T12:00:00.000Z"


@contextmanager
def pds() -> Iterator[Network]:
    """The PDS of the tests, as long as it is needed."""
    node = shutil.which("node")
    if node is None or not (NETWORK / "node_modules").is_dir():
        sys.exit("the PDS of the tests is not installed: run `make test` once")
    with subprocess.Popen(
        [node, "server.mjs"], cwd=NETWORK, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        if process.stdin is None or process.stdout is None:
            raise AssertionError
        with process.stdin:  # it ends when this closes
            urls = json.loads(process.stdout.readline())
            yield Network(pds_url=urls["pds"], plc_url=urls["plc"])


def post(chance: random.Random) -> dict[str, object]:
    """A post as people write them."""
    text = " ".join(chance.choices(WORDS, k=chance.randint(12, 32)))
    return {"$type": POST, "text": text, "langs": ["en"], "createdAt": TIME}


def entry(number: int, chance: random.Random) -> dict[str, object]:
    """A dataset's record."""
    return {
        "$type": ENTRY, "name": f"lamp light {number}", "schemaRef": "at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/x.y.z/a",
        "description": " ".join(chance.choices(WORDS, k=80)), "createdAt": TIME, "tags": ["light", "water"],
        "storage": {"$type": "science.alt.dataset.storageHttp",
                    "shards": [{"url": f"https://data.example/lamp-{number}.tar"}]},
    }  # fmt: skip


def record(frames: int) -> tuple[list[bytes], PublicKey]:
    """Frames of single commits, and the key of the account that concerns us."""
    chance = random.Random(0)  # noqa: S311 — the same posts every time
    with pds() as network:
        accounts = [network.account() for _ in range(POSTERS + 1)]
        for account in accounts:
            for _ in range(SEEDS):
                seed(network, account, chance)
        with recording(network) as recorded:
            for number in range(frames):
                if number % SHARE == SHARE // 2:
                    network.create_record(accounts[0], ENTRY, entry(number, chance))
                else:
                    network.create_record(accounts[1 + number % POSTERS], POST, post(chance))
        return recorded, signing_key(network, accounts[0].did)


def seed(network: Network, account: Account, chance: random.Random) -> None:
    """Two hundred posts in one commit."""
    writes = [
        {"$type": "com.atproto.repo.applyWrites#create", "collection": POST, "value": post(chance)} for _ in range(200)
    ]
    network.post("com.atproto.repo.applyWrites", {"repo": account.did, "writes": writes}, account)


def ours(frames: list[bytes], wanted: Filter, key: PublicKey) -> int:
    """Return the number of proven records."""
    count = 0
    for raw in frames:
        event = read_frame(raw, wanted)
        if isinstance(event, CommitEvent):
            for block in check_commit_event(event, wanted, key=key).records.values():
                decode(block or b"")
                count += 1
    sequence_of(raw)
    return count


def skipping(frames: list[bytes], wanted: Filter) -> int:
    """The same when nothing concerns us."""
    return sum(read_frame(raw, wanted) is not None for raw in frames)


def theirs(frames: list[bytes]) -> int:
    """Return the number of decoded commits."""
    count = 0
    for raw in frames:
        message = parse_subscribe_repos_message(Frame.from_bytes(raw))
        count += isinstance(message, models.ComAtprotoSyncSubscribeRepos.Commit)
    return count


def theirs_with_cars(frames: list[bytes]) -> int:
    """Return the number of decoded commits, with their blocks."""
    count = 0
    for raw in frames:
        message = parse_subscribe_repos_message(Frame.from_bytes(raw))
        if isinstance(message, models.ComAtprotoSyncSubscribeRepos.Commit):
            CAR.from_bytes(message.blocks)
            count += 1
    return count


def say(results: Results, rates: dict[str, float]) -> None:
    """The rows, in frames a second."""
    unit, peer = "frames/s", named("atproto")
    for name, what, wanted in (
        ("ours", "1 % concerns us, and is proven", WANTED),
        ("ours, when nothing concerns us", "nothing concerns us", None),
    ):
        theirs = rates["the SDK, decoding"]
        results.add(what, unit, rates[name], peer=peer, theirs=theirs, better="higher", wanted_ratio=wanted)
    theirs = rates["the SDK, decoding, with CARs"]
    what = "1 % concerns us; the other decodes the blocks, too"
    results.add(what, unit, rates["ours"], peer=peer, theirs=theirs, better="higher")


def main() -> int:
    """Record, measure, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    results = Results(__file__, parser)
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--times", type=int, default=7)
    arguments = parser.parse_args()
    recorded, key = record(arguments.frames)
    frames = recorded * ROUNDS
    chance = random.Random(1)  # noqa: S311 — only names
    tracked = ["did:plc:" + "".join(chance.choices("abcdefghijklmnopqrstuvwxyz234567", k=24)) for _ in range(10_000)]
    wanted, nothing = Filter(PREFIX, tracked), Filter(b"org.example.nothing.", tracked)
    ways: dict[str, tuple[Callable[[], int], int]] = {
        "ours": (lambda: ours(frames, wanted, key), len(range(SHARE // 2, arguments.frames, SHARE)) * ROUNDS),
        "ours, when nothing concerns us": (lambda: skipping(frames, nothing), 0),
        "the SDK, decoding": (lambda: theirs(frames), len(frames)),
        "the SDK, decoding, with CARs": (lambda: theirs_with_cars(frames), len(frames)),
    }
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(arguments.times):
        for name, (way, expected) in ways.items():
            start = perf_counter()
            got = way()
            best[name] = min(best[name], perf_counter() - start)
            if got != expected:
                print(f"{name}: {got} instead of {expected}")
                return 1
    size = sum(map(len, frames)) / len(frames)
    print(f"{len(frames):,} frames of {size:,.0f} bytes, {ways['ours'][1]} concern us; best of {arguments.times}")
    sdk = best["the SDK, decoding"]
    for name, took in best.items():
        rate, each = len(frames) / took, took / len(frames) * 1e6
        print(f"  {name:32} {rate:10,.0f} frames/s   {each:6.2f} µs each   {sdk / took:6.1f} × the SDK")
    print(f"  wanted: at least {WANTED:g} ×")
    say(results, {name: len(frames) / took for name, took in best.items()})
    results.write(arguments)
    return 0 if sdk / best["ours"] >= WANTED else 1


if __name__ == "__main__":
    sys.exit(main())
