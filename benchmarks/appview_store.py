"""Write the synthetic catalog of :mod:`benchmarks.site_catalog` directly to a store, unsigned.

    python benchmarks/appview_store.py 220000 /tmp/big.sqlite

The same number and seed make the same records. 220,000 datasets take about two minutes on all cores.
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks import site_catalog
from catalog.atproto.datamodel import record_cid
from catalog.store import Found, Repo, Store
from catalog.syntax import AtUri

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["SOURCE", "make_store"]

SOURCE: Final = "pds:https://pds.example"
SEEN: Final = datetime(2026, 6, 1, tzinfo=UTC)
"""When a crawl saw them all: after the newest of them."""


def make_store(path: Path, datasets: int, *, seed: int = 1) -> int:
    """Write a store of so many datasets; how many records it has in all. A file that is there is written over."""
    for part in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))):
        part.unlink(missing_ok=True)
    plan = site_catalog._plan(datasets, seed)  # noqa: SLF001 - they are two halves of one thing
    hands = [plan.accounts[first::64] for first in range(64)]
    records = 0
    with Store.open(path) as store, ProcessPoolExecutor() as pool:
        store.configure([SOURCE], [])
        for made in pool.map(partial(_made, plan), hands):
            for account, found in made:
                repo = Repo(
                    did=account.did,
                    handle=account.handle,
                    source=SOURCE,
                    pds="https://pds.example",
                    rev=site_catalog.REV,
                    identified=SEEN,
                )
                store.replace(repo, found, (), moment=SEEN)
                records += len(found)
    return records


def _made(
    plan: site_catalog._Plan, accounts: Sequence[site_catalog.Account]
) -> list[tuple[site_catalog.Account, list[Found]]]:
    made = []
    for account in accounts:
        chance = Random(f"export {plan.seed} {account.number}")  # noqa: S311 - the same every time
        records = site_catalog._records(plan, account, chance)  # noqa: SLF001
        found = [
            Found(uri=AtUri(f"at://{account.did}/{path}"), cid=record_cid(value), value=value, verified=True)
            for path, value in records.items()
        ]
        made.append((account, found))
    return made


def main() -> int:
    """Make one, and say what it holds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("datasets", type=int)
    parser.add_argument("store", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    begun = time.perf_counter()
    records = make_store(arguments.store, arguments.datasets, seed=arguments.seed)
    size = arguments.store.stat().st_size / 1e6
    print(f"{records:,} records, {size:,.0f} MB, {time.perf_counter() - begun:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
