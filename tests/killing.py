"""Publishing that is killed at any moment, and the records that must exist after it was run again.

Not a test: ``test_publish_killed.py`` is a short one with it, ``benchmarks/soak_publish.py`` the long one.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import httpx

from tests.real_manifests import real_manifests, write_manifests

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Account, Network

__all__ = ["Publishing", "State", "compared", "first_manifests", "kill_once", "later_manifests", "state_of"]

NS: Final = "science.alt.dataset"
COLLECTIONS: Final = tuple(f"{NS}.{kind}" for kind in ("schema", "entry", "lens", "label", "lensVerification"))

_COMMAND: Final = """\
import os, pathlib, sys, time
import catalog.atproto.session as session
session.MAX_BATCH_WRITES, meeting = int(sys.argv.pop(1)), sys.argv.pop(1)
apply = session.Session.apply

def apply_together(self, *arguments, **named):
    place = pathlib.Path(meeting)
    (place / str(os.getpid())).touch()
    until = time.monotonic() + 60
    while len(list(place.iterdir())) < 2 and time.monotonic() < until:
        time.sleep(0.005)
    return apply(self, *arguments, **named)

if meeting:
    session.Session.apply = apply_together
from catalog.cli import main
main()
"""
"""Our own command, with smaller commits: more moments between two of them. Where there is a meeting place nobody writes
before two are there."""

State = dict[str, dict[str, Any]]
"""Records by what they are called; what differs from one run to the next (keys, dates) is not in them."""


def first_manifests(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All but the last five datasets."""
    manifests = real_manifests(rows)
    late = {row["name"] for row in rows[-5:]}
    for manifest in manifests:
        manifest["datasets"] = [one for one in manifest["datasets"] if one["name"] not in late]
    return manifests


def later_manifests(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return changed manifests: a third has a new version, a third a new description; ten are gone, five new."""
    manifests = real_manifests(rows)
    gone = {row["name"] for row in rows[5:15]}
    number = 0
    for manifest in manifests:
        manifest["datasets"] = [one for one in manifest["datasets"] if one["name"] not in gone]
        for dataset in manifest["datasets"]:
            number += 1
            if number % 3 == 0:
                dataset["version"] = f"{int(dataset['version'].partition('.')[0]) + 1}.0.0"
            elif number % 3 == 1:
                dataset["description"] = f"Corrected. {dataset.get('description', '')}"[:5000]
    return manifests


@dataclass(slots=True, kw_only=True)
class Publishing:
    """An account, a folder of manifests, and the command that brings one to the other."""

    network: Network
    account: Account
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    batch: int = 15

    def write(self, manifests: list[dict[str, Any]]) -> None:
        """Make these the manifests."""
        write_manifests(self.folder, deepcopy(manifests))

    def start(self, meeting: Path | None = None) -> subprocess.Popen[str]:
        """Publish, in a process of its own, and delete what is in no manifest any more.

        Two with the same ``meeting`` place, an empty folder, have both made their plans before one of them writes.
        """
        arguments = ["publish", str(self.folder), "--yes", "--prune"]
        environment = {
            **os.environ,
            **self.environment,
            "CATALOG_HANDLE": self.account.handle,
            "CATALOG_APP_PASSWORD": self.account.password,
        }
        command = [sys.executable, "-c", _COMMAND, str(self.batch), str(meeting or ""), *arguments]
        return subprocess.Popen(
            command, env=environment, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def finish(self) -> float:
        """Publish to the end; its seconds. Raises RuntimeError with its words when it fails."""
        begun = time.perf_counter()
        process = self.start()
        out, words = process.communicate(timeout=300)
        if process.returncode:
            raise RuntimeError(f"publishing failed:\n{out}{words}")
        return time.perf_counter() - begun

    def listed(self) -> dict[str, dict[str, Any]]:
        """Every dataset record as the PDS lists it, by URI."""
        found: dict[str, dict[str, Any]] = {}
        for collection in COLLECTIONS:
            asked = {"repo": self.account.did, "collection": collection, "limit": "100"}
            while True:
                url = f"{self.network.pds_url}/xrpc/com.atproto.repo.listRecords"
                page = httpx.get(url, params=asked, timeout=60).raise_for_status().json()
                found |= {record["uri"]: record for record in page["records"]}
                if not page["records"] or "cursor" not in page:
                    break
                asked["cursor"] = page["cursor"]
        return found

    def state(self) -> State:
        """Return the records in a form comparable with another account's. Raises RuntimeError for two of one name."""
        return state_of(self.listed())


def state_of(listed: dict[str, dict[str, Any]]) -> State:
    """Records by kind and name; addresses in them by kind and name too. Raises RuntimeError for doubles."""
    names: dict[str, str] = {}
    for uri, record in listed.items():
        names[uri] = " ".join(_name(uri.split("/")[3], record["value"], listed))
    if len(set(names.values())) != len(names):
        double = sorted(name for name in names.values() if list(names.values()).count(name) > 1)
        raise RuntimeError(f"there twice: {double[:4]}")
    cids = {record["cid"]: f"the CID of {names[uri]}" for uri, record in listed.items()}
    return {names[uri]: _plain(record["value"], {**names, **cids}) for uri, record in listed.items()}


def _name(collection: str, value: dict[str, Any], listed: dict[str, dict[str, Any]]) -> Iterator[str]:
    yield collection.rpartition(".")[2]
    if collection.endswith(".lensVerification"):
        lens = listed.get(value["lens"])
        yield "of nothing" if lens is None else lens["value"]["name"]
        yield value["verificationMethod"]
    else:
        yield value["name"]
        yield value.get("version", "")


def _plain(value: Any, names: dict[str, str]) -> Any:  # noqa: ANN401 - JSON
    """Without dates; each address of a record there as its name, others as they are."""
    if isinstance(value, dict):
        return {key: _plain(item, names) for key, item in value.items() if key != "createdAt"}
    if isinstance(value, list):
        return [_plain(item, names) for item in value]
    return names.get(value, value) if isinstance(value, str) else value


def kill_once(publishing: Publishing, usual: float, chance: random.Random) -> int:
    """Start publishing and kill it; return how many records differ from before.

    A fifth of the moments is anywhere, from the first line of Python on (``usual`` is how long it takes); the others
    are between two commits, or within one.
    """
    before = {uri: record["cid"] for uri, record in publishing.listed().items()}
    commits = chance.randint(1, 12)
    anywhere = chance.random() < 0.2
    process = publishing.start()
    if anywhere:
        time.sleep(chance.uniform(0.0, usual))
    else:
        _wait_for_commits(publishing, process, commits)
        time.sleep(chance.uniform(0.0, 0.03))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    after = {uri: record["cid"] for uri, record in publishing.listed().items()}
    return len(set(before.items()) ^ set(after.items()))


def _wait_for_commits(publishing: Publishing, process: subprocess.Popen[str], commits: int) -> None:
    """Until so many commits were made, or the process has ended."""
    rev = publishing.network.latest_rev(publishing.account.did)
    while commits and process.poll() is None:
        now = publishing.network.latest_rev(publishing.account.did)
        commits -= now != rev
        rev = now


def compared(found: State, expected: State) -> list[str]:
    """Return the differences, one line each."""
    lines = [f"missing: {name}" for name in expected if name not in found]
    lines += [f"too many: {name}" for name in found if name not in expected]
    lines += [
        f"different: {name}: {json.dumps(found[name])[:300]} / {json.dumps(expected[name])[:300]}"
        for name in expected
        if name in found and found[name] != expected[name]
    ]
    return lines
