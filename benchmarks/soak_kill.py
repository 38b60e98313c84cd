"""Kill a crawl with SIGKILL at random moments; the next run must equal an undisturbed crawl.

    python benchmarks/soak_kill.py [--rounds 50] [--seed N] [--accounts 20]

A PDS has accounts with 40 dataset records and 60 posts each, an invalid record in each, and one deactivated account.
Each round starts a crawl (every third into an empty store, every fifth with ``--follow`` on the firehose) and kills it
at a random time; records change between rounds. After each kill SQLite finds the file intact, and every account in it
equals one of its commits. In the end an undisturbed crawl on the store is compared, record by record, with one into an
empty store and with the PDS. Of two simultaneous crawls, the second reports that the store is in use.
"""

from __future__ import annotations

import argparse
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.crawl_network import DATASET, TIME, Filled, memory_folder, running_network
from catalog.store import Store

MKDOCS = """\
site_name: Soak
theme: {{name: material}}
plugins:
  - catalog: {{store: store.sqlite, sources: [pds: "{pds}"{more}]}}
"""
COMMAND = [sys.executable, "-m", "catalog", "crawl", "-f"]


class Soak:
    """A network, a store that is disturbed, and what the accounts have had in each of their commits."""

    def __init__(self, filled: Filled, folder: Path, seed: int) -> None:
        self.filled = filled
        self.folder = folder
        self.chance = random.Random(seed)  # noqa: S311 — a seed, to have the same run again
        self.states: dict[str, list[dict[str, str]]] = {account.did: [{}] for account in filled.accounts}
        self.stages: list[int] = []
        pds = filled.network.pds_url
        for name, more in (("plain", ""), ("stream", f', firehose: "{pds.replace("http", "ws", 1)}"')):
            (folder / f"{name}.yml").write_text(MKDOCS.format(pds=pds, more=more), encoding="utf-8")
        self.remember()

    def remember(self) -> None:
        """Note what the PDS has now as one more state that an account may be in."""
        now: dict[str, dict[str, str]] = {did: {} for did in self.states}
        for uri, cid in self.filled.listed().items():
            now[uri.split("/")[2]][uri] = cid
        for did, state in now.items():
            if state != self.states[did][-1]:
                self.states[did].append(state)

    def change(self) -> None:
        """A few records change, a few posts are written."""
        self.filled.change(0.01)
        self.filled.add_posts(2, share=0.3)
        self.remember()

    def start(self, name: str, *more: str) -> subprocess.Popen[bytes]:
        """A crawl as a process."""
        return subprocess.Popen(
            [*COMMAND, str(self.folder / f"{name}.yml"), *more], env=self.filled.environment(),
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip

    def whole(self, name: str = "plain") -> float:
        """An undisturbed crawl; its seconds."""
        begun = time.perf_counter()
        process = self.start(name)
        _, words = process.communicate(timeout=300)
        if process.returncode or b"could not be read" in words:
            raise SystemExit(f"an undisturbed crawl failed:\n{words.decode()}")
        return time.perf_counter() - begun

    def records(self) -> dict[str, str]:
        """Return all records of the store, visible or not, after an integrity check of each account."""
        with sqlite3.connect(self.folder / "store.sqlite") as db:
            (sound,) = db.execute("PRAGMA integrity_check").fetchone()
            rows = db.execute("SELECT uri, cid, did FROM records").fetchall() if sound == "ok" and _has(db) else []
        db.close()
        if sound != "ok":
            raise SystemExit(f"SQLite finds the store broken: {sound}")
        by_account: dict[str, dict[str, str]] = {did: {} for did in self.states}
        for uri, cid, did in rows:
            by_account[did][uri] = cid
        for did, found in by_account.items():
            good = [
                {uri: cid for uri, cid in state.items() if not uri.endswith("/broken")} for state in self.states[did]
            ]
            if found not in good:
                raise SystemExit(f"{did} is in a state that it never had: {len(found)} records")
        return {uri: cid for uri, cid, _ in rows}

    def kill_once(self, number: int, usual: float) -> None:
        """Begin a crawl and end it where it stands."""
        if number % 3 == 0:
            for file in self.folder.glob("store.sqlite*"):
                file.unlink()
        follows = number % 5 == 0
        process = self.start("stream" if follows else "plain", *(("--follow",) if follows else ()))
        time.sleep(self.chance.uniform(0.0 if number % 7 == 0 else 0.3, usual * (1.5 if follows else 1.0)))
        if follows and number % 2:
            self.filled.change(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        self.remember()
        self.stages.append(len(self.records()) if (self.folder / "store.sqlite").exists() else 0)


def _has(db: sqlite3.Connection) -> bool:
    return db.execute("SELECT 1 FROM sqlite_master WHERE name = 'records'").fetchone() is not None


def contents(path: Path) -> tuple[dict[str, tuple[str, object, bool]], dict[str, str]]:
    """Return the visible and the rejected records of a catalog."""
    with Store.open(path) as store:
        records = {str(r.uri): (str(r.cid), r.value, r.verified) for r in store.records()}
        for uri, (cid, _, _) in records.items():
            history = store.history(uri)
            if not history or str(history[0].cid) != cid or len({version.seen for version in history}) != len(history):
                raise SystemExit(f"the history of {uri} doesn't end with what it is")
        return records, {item.uri: item.reason for item in store.refused()}


def two_at_once(soak: Soak) -> str:
    """Start two crawls on an empty store; what the second said."""
    for file in soak.folder.glob("store.sqlite*"):
        file.unlink()
    one, two = soak.start("plain"), soak.start("plain")
    said = [process.communicate(timeout=300)[1].decode() for process in (one, two)]
    codes = sorted((one.returncode, two.returncode))
    refusal = next((text for text in said if "another crawl is at work" in text), "")
    if codes != [0, 1] or not refusal:
        raise SystemExit(f"two crawls at once ended with {codes}: {said}")
    return refusal.strip().rpartition(": ")[2]


def main() -> int:
    """Disturb, compare, tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--accounts", type=int, default=20)
    asked = parser.parse_args()
    print(f"seed {asked.seed}", flush=True)
    with running_network() as network, tempfile.TemporaryDirectory(dir=memory_folder()) as scratch:
        filled = Filled(network=network, seed=asked.seed)
        filled.fill(asked.accounts, 40, 60)
        for account in filled.accounts:
            broken = {"$type": DATASET, "name": 5, "createdAt": TIME}
            network.put_record(account, DATASET, "broken", broken)
        soak = Soak(filled, Path(scratch), asked.seed)
        usual = soak.whole()
        for number in range(1, asked.rounds + 1):
            if number % 4 == 0:
                soak.change()
            soak.kill_once(number, usual)
            if number % 10 == 0:
                soak.whole()
                soak.records()
            if sys.stderr.isatty():
                print(f"\r{number} of {asked.rounds}", end="", file=sys.stderr, flush=True)
        network.post("com.atproto.server.deactivateAccount", {}, filled.accounts[0])
        soak.whole()
        disturbed = contents(soak.folder / "store.sqlite")
        refusal = two_at_once(soak)
        fresh = contents(soak.folder / "store.sqlite")
        if disturbed != fresh:
            raise SystemExit("the disturbed store differs from a fresh one")
        listed = {uri: cid for uri, cid in filled.listed_of(filled.accounts[1:]).items() if not uri.endswith("/broken")}
        differs = {(uri, cid) for uri, (cid, _, _) in fresh[0].items()} ^ set(listed.items())
        if differs:
            raise SystemExit(f"the store differs from what the PDS lists: {sorted(differs)[:4]}")
        part = sum(0 < stage < len(listed) for stage in soak.stages)
        print(
            f"{asked.rounds} kills within {usual:.1f} s of crawl: {part} hit between the first record and the last, "
            f"{soak.stages.count(0)} before the first; every store opened, sound and no account by halves; in the end "
            f"{len(fresh[0]):,} records and {len(fresh[1])} refusals equal to an undisturbed crawl's and to the PDS's. "
            f"The second of two crawls: {refusal}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
