"""A local network for the crawl benchmarks: a PDS and PLC directory filled with repositories."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from catalog.records import DATASET, LABEL, SCHEMA
from catalog.syntax import Tid
from tests.conftest import NETWORK, Account, Network

if TYPE_CHECKING:
    from collections.abc import Iterator

    from catalog.atproto.datamodel import Json

__all__ = ["Filled", "environment_of", "memory_folder", "running_network"]

POST = "app.bsky.feed.post"
WRITES = 200
"""Of one applyWrites."""
TIME = "2026-01-02T03:04:05.000Z"
WORDS = tuple(
    word
    for line in (
        "recording harbour image sensor calibrated winter station sample label noise field survey annotated manual",
        "split training test resolution depth channel time series patient anonymised water level wind speed camera",
    )
    for word in line.split()
)


def memory_folder() -> Path | None:
    """Return a folder in memory, if there is one."""
    shared = Path("/dev/shm")  # noqa: S108 — what it is
    return shared if shared.is_dir() and os.access(shared, os.W_OK) else None


@contextmanager
def running_network() -> Iterator[Network]:
    """The network of the tests, started for us alone."""
    scratch = Path(tempfile.mkdtemp(prefix="catalog-bench-", dir=memory_folder()))
    node = shutil.which("node") or "node"
    with subprocess.Popen(
        [node, "server.mjs"], cwd=NETWORK, env={**os.environ, "TMPDIR": str(scratch)}, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        try:
            if process.stdout is None or process.stdin is None:
                raise RuntimeError("the network has no pipes")
            urls = json.loads(process.stdout.readline())
            yield Network(pds_url=urls["pds"], plc_url=urls["plc"])
        finally:
            if process.stdin is not None:
                process.stdin.close()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
            shutil.rmtree(scratch, ignore_errors=True)


def environment_of(network: Network) -> dict[str, str]:
    """Return the environment in which our command uses a network."""
    return {
        **os.environ,
        "CATALOG_PLC_URL": network.plc_url,
        "CATALOG_ALLOW_LOOPBACK": "1",
        "CATALOG_HANDLE_RESOLVER": network.pds_url,
    }


@dataclass(slots=True, kw_only=True)
class Filled:
    """A network with accounts that publish datasets, and write much else."""

    network: Network
    seed: int = 1
    accounts: list[Account] = field(default_factory=list)
    records: dict[str, list[str]] = field(default_factory=dict)
    """By DID the keys of its dataset entries."""
    _micros: int = 1_700_000_000_000_000

    def environment(self) -> dict[str, str]:
        """Return the environment in which our command uses this network."""
        return environment_of(self.network)

    def fill(self, accounts: int, datasets: int, posts: int) -> None:
        """Add accounts, each with so many dataset records and posts, in the order that a life brings them."""
        begun = time.monotonic()
        made = [self.network.account(f"lab{number}") for number in range(accounts)]
        self.accounts += made
        with ThreadPoolExecutor(4) as pool:
            for done, _ in enumerate(pool.map(lambda account: self._fill_one(account, datasets, posts), made), 1):
                if sys.stderr.isatty():
                    print(f"\r{done} of {accounts} accounts filled", end="", file=sys.stderr, flush=True)
        records = accounts * (datasets + posts)
        print(f"filled: {accounts} accounts, {records:,} records, {time.monotonic() - begun:.0f} s", flush=True)

    def add_posts(self, each: int, share: float = 1.0) -> None:
        """More posts, by a share of the accounts."""
        chosen = self.accounts[: round(len(self.accounts) * share)]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda account: self._write(account, self._posts(account, each)), chosen))

    def change(self, share: float) -> tuple[int, int, int]:
        """Update, create and delete a share of the dataset entries, a few in each account chosen; how many of each."""
        chance = random.Random(f"{self.seed} {self._micros}")  # noqa: S311 — the same changes every time
        left = round(sum(map(len, self.records.values())) * share)
        counts = [0, 0, 0]
        while left > 0:
            account = chance.choice(self.accounts)
            keys = self.records[account.did]
            chosen = chance.sample(keys, min(5, left, len(keys)))
            left -= max(1, len(chosen))
            writes = []
            for key in chosen:
                kind = chance.choices((0, 1, 2), (6, 3, 1))[0]
                counts[kind] += 1
                value = self._dataset(account.did, chance)
                if kind == 0:
                    writes.append(_write("update", DATASET, key, value))
                elif kind == 1:
                    keys.append(self._key())
                    writes.append(_write("create", DATASET, keys[-1], value))
                else:
                    keys.remove(key)
                    writes.append(_write("delete", DATASET, key))
            self._write(account, writes)
        return counts[0], counts[1], counts[2]

    def listed(self) -> dict[str, str]:
        """Return the CIDs by URI that the PDS lists, page by page, account by account."""
        return self.listed_of(self.accounts)

    def listed_of(self, accounts: list[Account]) -> dict[str, str]:
        """The same of some accounts only."""
        found: dict[str, str] = {}
        for account in accounts:
            for collection in (SCHEMA, DATASET, LABEL):
                cursor: dict[str, str] = {}
                while True:
                    asked = {"repo": account.did, "collection": collection, "limit": "100", **cursor}
                    page = self.network.get("com.atproto.repo.listRecords", asked)
                    found |= {item["uri"]: item["cid"] for item in page["records"]}
                    if len(page["records"]) < 100 or "cursor" not in page:
                        break
                    cursor = {"cursor": page["cursor"]}
        return found

    def _fill_one(self, account: Account, datasets: int, posts: int) -> None:
        chance = random.Random(f"{self.seed} {account.handle}")  # noqa: S311
        keys = [self._key() for _ in range(max(1, datasets * 8 // 10))]
        labels = datasets - len(keys) - 2
        writes = [_write("create", SCHEMA, f"Recording{n}:1.0.0", _schema(f"Recording{n}")) for n in range(2)]
        writes += [_write("create", DATASET, key, self._dataset(account.did, chance)) for key in keys]
        writes += [
            _write("create", LABEL, self._key(), _label(account.did, keys[n % len(keys)], n)) for n in range(labels)
        ]
        everything = writes + self._posts(account, posts)
        chance.shuffle(everything)
        self.records[account.did] = keys
        self._write(account, everything)

    def _write(self, account: Account, writes: list[dict[str, Json]]) -> None:
        for at in range(0, len(writes), WRITES):
            body = {"repo": account.did, "writes": writes[at : at + WRITES]}
            self.network.post("com.atproto.repo.applyWrites", body, account)

    def _key(self) -> str:
        self._micros += 7_654_321
        return str(Tid.at(self._micros, 7))

    def _posts(self, account: Account, count: int) -> list[dict[str, Json]]:
        chance = random.Random(f"{self._micros} {account.did}")  # noqa: S311
        return [_write("create", POST, self._key(), _post(chance)) for _ in range(count)]

    @staticmethod
    def _dataset(did: str, chance: random.Random) -> dict[str, Json]:
        shards: list[Json] = [
            {
                "url": f"https://data.example.org/{chance.getrandbits(40):x}-{number:06d}.tar",
                "checksum": {"algorithm": "sha256", "digest": f"{chance.getrandbits(256):064x}"},
            }
            for number in range(chance.randint(1, 3))
        ]
        return {
            "$type": DATASET,
            "name": " ".join(chance.sample(WORDS, 3)),
            "schemaRef": f"at://{did}/{SCHEMA}/Recording{chance.randint(0, 1)}:1.0.0",
            "storage": {"$type": "science.alt.dataset.storageHttp", "shards": shards},
            "description": " ".join(chance.choices(WORDS, k=chance.randint(10, 40))),
            "license": "CC-BY-4.0",
            "tags": [*dict.fromkeys(chance.choices(WORDS, k=3))],
            "createdAt": TIME,
        }


def _write(action: str, collection: str, rkey: str, value: dict[str, Json] | None = None) -> dict[str, Json]:
    write: dict[str, Json] = {
        "$type": f"com.atproto.repo.applyWrites#{action}", "collection": collection, "rkey": rkey,
    }  # fmt: skip
    return write if value is None else {**write, "value": value}


def _schema(name: str) -> dict[str, Json]:
    properties: Json = {"label": {"type": "string", "description": "What it is."}, "value": {"type": "number"}}
    content: Json = {"type": "object", "properties": properties, "required": ["label"]}
    return {
        "$type": SCHEMA, "name": name, "version": "1.0.0", "schemaType": "jsonSchema", "createdAt": TIME,
        "schema": {"$type": SCHEMA + "#jsonSchemaFormat", "draft": "draft-07", "content": content},
    }  # fmt: skip


def _label(did: str, key: str, number: int) -> dict[str, Json]:
    uri = f"at://{did}/{DATASET}/{key}"
    return {"$type": LABEL, "name": f"release-{number}", "version": "1.0.0", "datasetUri": uri, "createdAt": TIME}


def _post(chance: random.Random) -> dict[str, Json]:
    post: dict[str, Json] = {
        "$type": POST, "text": " ".join(chance.choices(WORDS, k=chance.randint(10, 30))), "langs": ["en"],
        "createdAt": TIME,
    }  # fmt: skip
    if chance.random() < 0.4:
        there: Json = {
            "uri": f"at://did:plc:{'a' * 24}/{POST}/3kaaaaaaaaaa2",
            "cid": "bafyreihltcnuuyqp2jm24aqydpnlj7bsfaw5ykb2ht5ugyy2lyzq3xyz7a",
        }
        post["reply"] = {"root": there, "parent": there}
    return post
