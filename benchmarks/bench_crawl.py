"""Measure requests, bytes and seconds of crawling 200 accounts with 20,000 dataset records among 100,000 posts.

    python benchmarks/bench_crawl.py [--accounts 200] [--datasets 100] [--posts 500] [--small]

The PDS runs on the same machine and shares its cores. Each crawl is a ``catalog crawl`` process: into an empty store,
with nothing changed, and with 1% of the dataset records changed and new posts in half of the repositories; each time
the store is compared with the PDS. Then the number of posts is doubled and an empty store is filled again: the bytes
must depend on the dataset records, not on the size of the repositories.

The comparison in the same run is a crawler without partial proofs: getRepo of every account, decoded by the CAR reader
of the ``atproto`` SDK, which verifies nothing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from atproto import CAR

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.crawl_network import Filled, memory_folder, running_network
from benchmarks.rows import Results, named
from catalog.store import Store

MKDOCS = """\
site_name: Benchmark
theme: {{name: material}}
plugins:
  - catalog: {{store: store.sqlite, sources: [pds: "{pds}"]}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crawled:
    """One crawl: what the report says of the PDS and of the others, and what a clock says."""

    report: dict[str, Any]
    seconds: float

    @property
    def bytes(self) -> int:
        """All that came."""
        return int(self.report["bytes"])

    def line(self, pds: str) -> str:
        """For people."""
        source = self.report
        at = next(host for host in source["hosts"] if pds.endswith(host["host"]))
        ways = ", ".join(f"{way} {count}" for way, count in source["ways"].items()) or "nothing"
        return (
            f"{at['requests']:6,} requests to the PDS, {source['requests'] - at['requests']:4,} to others, "
            f"{source['bytes'] / 1e6:7.2f} MB, {self.seconds:5.1f} s; new {source['new']:,}, updated "
            f"{source['updated']:,}, removed {source['removed']:,}, refused {source['refusals']:,}; read: {ways}"
        )


def crawl(folder: Path, filled: Filled) -> Crawled:
    """Run the command in a folder."""
    (folder / "mkdocs.yml").write_text(MKDOCS.format(pds=filled.network.pds_url), encoding="utf-8")
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "catalog", "crawl", "--json"], cwd=folder, env=filled.environment(),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    seconds = time.perf_counter() - begun
    if done.returncode:
        raise SystemExit(done.stderr)
    return Crawled(report=json.loads(done.stdout)["sources"][0], seconds=seconds)


def check(folder: Path, filled: Filled) -> int:
    """Compare the store with what the PDS lists; how many records there are."""
    with Store.open(folder / "store.sqlite") as store:
        records = list(store.records())
    stored = {str(record.uri): str(record.cid) for record in records}
    listed = filled.listed()
    if stored != listed:
        raise SystemExit(f"the store differs from the PDS in {len(set(stored.items()) ^ set(listed.items()))} entries")
    if not all(record.verified for record in records):
        raise SystemExit("not everything is verified")
    return len(stored)


def whole_repos(filled: Filled) -> tuple[float, int, int]:
    """The peer's way: seconds, bytes and blocks of every repository, read whole."""
    begun, size, blocks = time.perf_counter(), 0, 0
    with httpx.Client(timeout=60) as client:
        for account in filled.accounts:
            url = f"{filled.network.pds_url}/xrpc/com.atproto.sync.getRepo"
            raw = client.get(url, params={"did": account.did}).content
            size += len(raw)
            blocks += len(CAR.from_bytes(raw).blocks)
    return time.perf_counter() - begun, size, blocks


def main() -> int:
    """Fill, crawl, change, crawl, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    results = Results(__file__, parser)
    parser.add_argument("--accounts", type=int, default=200)
    parser.add_argument("--datasets", type=int, default=100, help="dataset records of each account")
    parser.add_argument("--posts", type=int, default=500, help="posts of each account")
    parser.add_argument("--small", action="store_true", help="20 accounts, for a quick look")
    asked = parser.parse_args()
    accounts = 20 if asked.small else asked.accounts
    with running_network() as network, tempfile.TemporaryDirectory(dir=memory_folder()) as scratch:
        filled = Filled(network=network)
        filled.fill(accounts, asked.datasets, asked.posts)
        one, two = Path(scratch, "one"), Path(scratch, "two")
        one.mkdir()
        two.mkdir()
        first = crawl(one, filled)
        print(f"first crawl        {first.line(network.pds_url)}", flush=True)
        records = check(one, filled)
        unchanged = crawl(one, filled)
        print(f"nothing changed    {unchanged.line(network.pds_url)}", flush=True)
        changes = filled.change(0.01)
        filled.add_posts(5, share=0.5)
        changed = crawl(one, filled)
        print(f"1% changed         {changed.line(network.pds_url)}")
        print(f"                   (updated, created, deleted: {changes}; posts in half of the repositories)")
        check(one, filled)
        seconds, size, blocks = whole_repos(filled)
        print(
            f"every repo whole   {size / 1e6:.2f} MB, {seconds:.1f} s, {blocks:,} blocks, nothing verified", flush=True
        )
        filled.add_posts(asked.posts)
        again = crawl(two, filled)
        check(two, filled)
        print(f"twice the posts    {again.line(network.pds_url)}")
        print(f"{records:,} dataset records; the first crawl moved {first.bytes / records:,.0f} bytes for each")
        print(f"bytes of the first crawl, ours / whole repositories: {first.bytes / size:.2f}")
        print(f"bytes with twice the posts / before: {again.bytes / first.bytes:.2f}")
        peer = f"every repository whole, {named('atproto')}, nothing proven"
        results.add("first crawl", "s", first.seconds, peer=peer, theirs=seconds)
        results.add("first crawl: moved", "MB", first.bytes / 1e6, peer=peer, theirs=size / 1e6)
        crawls = {"first crawl": first, "nothing changed": unchanged, "1 % changed": changed, "twice the posts": again}
        for name, done in crawls.items():
            results.add(f"{name}: requests", "", done.report["requests"])
            if done is not first:
                results.add(name, "s", done.seconds)
                results.add(f"{name}: moved", "MB", done.bytes / 1e6)
        results.write(asked)
    return 0


if __name__ == "__main__":
    sys.exit(main())
