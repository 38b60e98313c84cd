"""Kill ``catalog publish`` with SIGKILL at random moments and run it again; the result must equal one undisturbed run.

    .venv/bin/python benchmarks/soak_publish.py [--rounds N] [--seed S]

Uses a PDS and over a hundred real datasets in commits of fifteen records. Half of the rounds publish to an empty
account, half update an existing one (new versions whose labels move, new texts, deletions, new datasets); every third
is killed twice, and in every other the account writes posts during the second run. Then the account is compared with
an undisturbed one: the same names, the same contents except dates, no duplicates, no label with another target; and
publishing once more writes nothing. In the end two processes publish at once.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.crawl_network import TIME, memory_folder, running_network
from tests.killing import Publishing, compared, first_manifests, kill_once, later_manifests
from tests.real_manifests import real_datasets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Network
    from tests.killing import State


@dataclass(slots=True, kw_only=True)
class Soak:
    """A network, the manifests of before and after, and what an undisturbed account has of them."""

    network: Network
    scratch: Path
    chance: random.Random
    rows: list[dict[str, Any]] = field(default_factory=real_datasets)
    first: State = field(default_factory=dict)
    later: State = field(default_factory=dict)
    usual: list[float] = field(default_factory=list)
    posts: int = 0

    def publishing(self, name: str) -> Publishing:
        """A new account with an empty folder."""
        environment = {
            "CATALOG_PLC_URL": self.network.plc_url,
            "CATALOG_ALLOW_LOOPBACK": "1",
            "CATALOG_HANDLE_RESOLVER": self.network.pds_url,
            "CATALOG_CACHE": str(self.scratch / "cache"),
        }
        account = self.network.account(name)
        return Publishing(
            network=self.network, account=account, folder=self.scratch / account.handle, environment=environment
        )

    def undisturbed(self) -> None:
        """Publish twice as one should, and remember what is there."""
        calm = self.publishing("calm")
        calm.write(first_manifests(self.rows))
        self.usual.append(calm.finish())
        self.first = calm.state()
        calm.write(later_manifests(self.rows))
        self.usual.append(calm.finish())
        self.later = calm.state()

    def round(self, number: int) -> list[int]:
        """Kill once or twice, run to the end, compare; how many records the killed runs had written."""
        made = self.publishing("killed")
        changing = number % 2 == 0
        made.write(first_manifests(self.rows))
        if changing:
            made.finish()
            made.write(later_manifests(self.rows))
        kills = [kill_once(made, self.usual[changing], self.chance) for _ in range(2 if number % 3 == 0 else 1)]
        with self._chatter(made) if number % 4 > 1 else nullcontext():
            made.finish()
        lines = compared(made.state(), self.later if changing else self.first)
        if lines:
            raise SystemExit(f"round {number}, after {kills} records of kills:\n" + "\n".join(lines[:10]))
        rev = self.network.latest_rev(made.account.did)
        made.finish()
        if self.network.latest_rev(made.account.did) != rev:
            raise SystemExit(f"round {number}: publishing once more wrote something")
        return kills

    @contextmanager
    def _chatter(self, publishing: Publishing) -> Iterator[None]:
        """Meanwhile the account writes posts, three a second: commits that are none of ours."""
        over = Event()

        def write() -> None:
            post = {"$type": "app.bsky.feed.post", "text": "hello", "createdAt": TIME}
            while not over.wait(0.3):
                self.network.create_record(publishing.account, "app.bsky.feed.post", post)
                self.posts += 1

        thread = Thread(target=write)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def two_at_once(self) -> tuple[list[int], str]:
        """Two begin together; their exit codes, and what the loser said. Then all must be there, once."""
        made = self.publishing("both")
        made.write(first_manifests(self.rows))
        meeting = self.scratch / "meeting"
        meeting.mkdir()
        pair = [made.start(meeting), made.start(meeting)]
        said = [process.communicate(timeout=300) for process in pair]
        codes = sorted(process.returncode for process in pair)
        words = "".join(out + error for out, error in said)
        if codes != [0, 1] or "Traceback" in words:
            raise SystemExit(f"two at once ended with {codes}:\n{words}")
        lines = compared(made.state(), self.first)
        if lines:
            raise SystemExit("two at once:\n" + "\n".join(lines[:10]))
        loser = next((error for process, (_, error) in zip(pair, said, strict=True) if process.returncode), "")
        return codes, loser.strip().partition("records\n")[2]


def main() -> int:
    """Kill, compare, tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    asked = parser.parse_args()
    print(f"seed {asked.seed}", flush=True)
    for name in ("CATALOG_HANDLE", "CATALOG_APP_PASSWORD", "CATALOG_SESSION"):
        os.environ.pop(name, None)
    with running_network() as network, tempfile.TemporaryDirectory(dir=memory_folder()) as scratch:
        soak = Soak(network=network, scratch=Path(scratch), chance=random.Random(asked.seed))  # noqa: S311 — a seed
        soak.undisturbed()
        kills: list[int] = []
        for number in range(1, asked.rounds + 1):
            kills += soak.round(number)
            if sys.stderr.isatty():
                print(f"\r{number} of {asked.rounds}", end="", file=sys.stderr, flush=True)
        codes, loser = soak.two_at_once()
        within = sum(0 < written < len(soak.first) for written in kills)
        print(
            f"{len(kills)} kills in {asked.rounds} rounds of {soak.usual[0]:.1f} and {soak.usual[1]:.1f} s: {within} "
            f"between the first commit and the last, {kills.count(0)} where nothing was written; each time the account "
            f"ended with the {len(soak.first)} or {len(soak.later)} records of one that was never disturbed; "
            f"{soak.posts} posts came in between. "
            f"Two at once: exit codes {codes}; the other said: {loser or 'nothing'}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
