"""A store with an index for the tests of the AppView: records put in and taken out as a crawl would."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from catalog.appview.index import Index, directory
from catalog.appview.indexer import Indexer
from catalog.appview.queries import Queries
from catalog.atproto import datamodel
from catalog.records import DATASET
from catalog.store import Found, Repo, Store
from catalog.store.reader import Reader
from catalog.syntax import AtUri, Did, Handle
from tests import sitecatalog

if TYPE_CHECKING:
    from pathlib import Path

    from catalog.atproto.datamodel import Json

SOURCE = "pds:https://pds.example"
SEEN = datetime(2026, 11, 20, 12, tzinfo=UTC)
ALICE = Did.parse("did:plc:" + "a" * 24)
BOB = Did.parse("did:plc:" + "b" * 24)
HANDLES = {ALICE: "alice.example.org", BOB: "bob.example.org"}


class World:
    """A store, its index, and what each account has: by collection and key."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "store.sqlite"
        self.store = Store.open(self.path)
        self.store.configure([SOURCE], [])
        self.reader, self.index = Reader(self.path), Index(directory(self.path))
        self.queries = Queries(self.index, self.reader)
        self.held: dict[Did, dict[str, dict[str, Json]]] = {}

    def close(self) -> None:
        self.reader.close()
        self.store.close()

    def put(self, records: dict[str, dict[str, Json]], did: Did = ALICE, *, moment: datetime = SEEN) -> None:
        """Add or change records of an account, by ``collection/key``."""
        self.held.setdefault(did, {}).update(records)
        found = [
            Found(uri=uri(path, did), cid=datamodel.record_cid(value), value=value, verified=True)
            for path, value in records.items()
        ]
        self._replace(did, found, moment)

    def take(self, paths: list[str], did: Did = ALICE) -> None:
        """Delete records of an account."""
        for path in paths:
            del self.held[did][path]
        self._replace(did, [], SEEN)

    def _replace(self, did: Did, found: list[Found], moment: datetime) -> None:
        self.store.replace(
            self.repo(did), found, [], moment=moment, kept=[str(uri(path, did)) for path in self.held[did]]
        )

    def repo(self, did: Did, *, active: bool = True) -> Repo:
        handle = HANDLES.get(did)
        repo = Repo(
            did=did, source=SOURCE, handle=None if handle is None else Handle.parse(handle), rev="3kaaaaaaaaa2z",
            pds="https://pds.example",
        )  # fmt: skip
        return replace(repo, active=active)

    def catch_up(self) -> int:
        with Indexer(self.index, self.reader) as indexer:
            return indexer.catch_up()

    def names(self, q: str, **parameters: object) -> list[str]:
        """The names of what a search finds, in its order."""
        found = self.queries.search(q=q, limit=100, **parameters)  # type: ignore[arg-type]
        return [hit["record"]["name"] for hit in found["hits"]]


def uri(path: str, did: Did = ALICE) -> AtUri:
    return AtUri.parse(f"at://{did}/{path}")


def at(seconds: int) -> str:
    """A date, so many seconds after the beginning of 2026."""
    return (
        datetime.fromtimestamp(1_767_225_600 + seconds, tz=UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
    )


def dataset(name: str, seconds: int = 0, **extra: Json) -> dict[str, Json]:
    """A dataset record with nothing to be found by but what is said here; dated as :func:`at`."""
    fields: dict[str, Json] = {"name": name, "createdAt": at(seconds), "tags": [], "description": "", **extra}
    return sitecatalog.dataset(1, **fields)


def put(world: World, *named: dict[str, Json], did: Did = ALICE) -> None:
    """Add these datasets, under keys of their own."""
    start = len(world.held.get(did, {}))
    world.put({f"{DATASET}/k{start + number:05}": value for number, value in enumerate(named)}, did)


LABELS: dict[str, tuple[list[tuple[str | None, str]], str | None]] = {
    "a lower version that was created later": ([("1.10.0", at(1)), ("1.9.0", at(2))], "1.9.0"),
    "a prerelease that was created later": ([("1.0.0", at(1)), ("1.0.0-rc.1", at(2))], "1.0.0-rc.1"),
    "none that was created later": ([("1.0.0", at(1)), (None, at(2))], None),
    "the same moment in another time zone": (
        [("1.10.0", "2026-01-01T00:00:00Z"), ("1.9.0", "2026-01-01T02:00:00+02:00")], "1.10.0",
    ),
    "a later moment whose text is smaller": (
        [("1.0.0", "2026-01-01T01:00:00+02:00"), ("0.9.0", "2026-01-01T00:30:00Z")], "0.9.0",
    ),
    "equal times: the higher version": ([("1.9.0", at(1)), ("1.10.0", at(1)), ("1.10.0-rc.1", at(1))], "1.10.0"),
    "equal times: one with a version": ([("0.1.0", at(1)), (None, at(1))], "0.1.0"),
}  # fmt: skip
"""Labels of one name, and the version of the one to which the name resolves."""
