"""A part of a repository, proven: against the real PDS, and one that lies in front of it."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import httpx
import pytest

from catalog.atproto import mst
from catalog.atproto.car import CID_BYTES, Blocks
from catalog.atproto.commit import read_commit
from catalog.atproto.identity import Resolver
from catalog.atproto.keys import PublicKey
from catalog.atproto.proof import MAX_BYTES, Account, Part, Reader, Reading, read_blocks
from catalog.atproto.repo import is_gone
from catalog.config import NetworkSettings
from catalog.errors import InvalidProof, RequestFailed
from catalog.network.http import Client
from catalog.records import COLLECTIONS, DATASET, LABEL
from catalog.syntax import Did
from tests.fakes import Asked, Fake, answer, fake_server, forward
from tests.repos import SigningKey, build_repo, car

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from http.server import BaseHTTPRequestHandler

    from catalog.atproto.datamodel import Json
    from tests import conftest
    from tests.conftest import Network

TIME = "2026-01-02T03:04:05.000Z"
POST = "app.bsky.feed.post"
LABELS = 30
POSTS = 800
"""Enough that the whole isn't cheaper than the part."""


def _label(did: str, name: str) -> dict[str, Json]:
    uri = f"at://{did}/{DATASET}/3kaaaaaaaaaa2"
    return {"$type": LABEL, "name": name, "datasetUri": uri, "createdAt": TIME}


def _write(network: Network, owner: conftest.Account, collection: str, count: int, *, keys: str | None = None) -> None:
    value = _label(owner.did, "x") if collection == LABEL else {"$type": POST, "text": "x", "createdAt": TIME}
    writes = [
        {
            "$type": "com.atproto.repo.applyWrites#create",
            "collection": collection,
            "value": value,
            **({} if keys is None else {"rkey": f"{keys}{number}"}),
        }
        for number in range(count)
    ]
    network.post("com.atproto.repo.applyWrites", {"repo": owner.did, "writes": writes}, owner)


@dataclass(slots=True, kw_only=True)
class Repository:
    """An account of the real PDS with labels among posts, read through a server that may lie."""

    network: Network
    client: Client
    fake: Fake
    owner: conftest.Account
    account: Account
    known: dict[str, str] = field(default_factory=dict)

    def read(self, reader: Reader | None = None) -> Reading:
        """Read it with what is known, and know it from then on."""
        reading = (reader or Reader(self.client, Part(COLLECTIONS))).read(replace(self.account, known=self.known))
        read = {f"{record.uri.collection}/{record.uri.rkey}": str(record.cid) for record in reading.records}
        self.known = {path: self.known[path] for path in reading.kept} | read
        rev = None if reading.commit is None else str(reading.commit.rev)
        self.account = replace(self.account, tree=reading.tree, rev=rev)
        return reading

    def listed(self) -> dict[str, str]:
        """Return the records that the PDS itself lists."""
        found: dict[str, str] = {}
        cursor: dict[str, str] = {}
        while True:
            asked = {"repo": self.owner.did, "collection": LABEL, "limit": "100", **cursor}
            page = self.network.get("com.atproto.repo.listRecords", asked)
            if not page["records"]:
                return found
            found |= {f"{LABEL}/{item['uri'].rpartition('/')[2]}": item["cid"] for item in page["records"]}
            cursor = {"cursor": page["cursor"]}

    def write(self, collection: str, count: int, *, keys: str | None = None) -> None:
        """Create records with new keys, or with those that begin so: then the tree is the same each time."""
        _write(self.network, self.owner, collection, count, keys=keys)

    def lacks(self, *methods: str) -> None:
        """The server doesn't know these methods."""
        for method in methods:
            self.fake.routes[f"/xrpc/{method}"] = lambda handler, _: answer(
                handler, {"error": "MethodNotImplemented"}, 501
            )

    def garbles(self, method: str, change: Callable[[bytes], bytes]) -> None:
        """The response of the server to a method is changed in transit."""

        def route(handler: BaseHTTPRequestHandler, _asked: Asked) -> None:
            status, kind, body = forward(handler, self.network.pds_url)
            answer(handler, change(body), status, Content_Type=kind)

        self.fake.routes[f"/xrpc/{method}"] = route


def _no_pause(_seconds: float) -> None:
    """Retries come at once."""


def _owner(network: Network) -> conftest.Account:
    """Create an account with posts and labels."""
    owner = network.account("proven")
    for _ in range(POSTS // 200):
        _write(network, owner, POST, 200)
    _write(network, owner, LABEL, LABELS)
    return owner


@contextmanager
def _read_through_fake(network: Network, owner: conftest.Account) -> Iterator[Repository]:
    settings = NetworkSettings.from_environment()
    with fake_server({}, upstream=network.pds_url) as fake, Client(settings, sleep=_no_pause) as client:
        identity = Resolver(client, settings).resolve(owner.did)
        account = Account(did=Did(owner.did), pds=fake.url, key=identity.key, known={})
        yield Repository(network=network, client=client, fake=fake, owner=owner, account=account)


@pytest.fixture(scope="module")
def owner(network: Network) -> conftest.Account:
    """An account for the tests that only read."""
    return _owner(network)


@pytest.fixture
def repository(network: Network, owner: conftest.Account) -> Iterator[Repository]:
    """The repository of ``owner``, which tests must not change."""
    with _read_through_fake(network, owner) as made:
        yield made


@pytest.fixture
def own(network: Network) -> Iterator[Repository]:
    """A repository of the test's own."""
    with _read_through_fake(network, _owner(network)) as made:
        yield made


def test_only_what_changed_is_read(own: Repository) -> None:
    """And what was read is what there is: new, changed, deleted; posts are none of our business."""
    own.lacks("com.atproto.sync.getRepo")  # what costs less is estimated, and chance may make it the whole
    first = own.read()
    assert (first.way, len(first.records)) == ("tree", LABELS)
    assert first.commit is not None
    assert own.known == own.listed()

    own.fake.asked.clear()
    assert own.read().records == []
    own.write(POST, 3)
    assert len(own.read().kept) == LABELS
    assert len(own.fake.asked) <= 6, "posts change the way to the part, and hardly the part"

    own.write(LABEL, 2)
    gone = sorted(own.known)[3]
    own.network.delete_record(own.owner, LABEL, gone.rpartition("/")[2])
    changed = sorted(own.known)[7].rpartition("/")[2]
    own.network.put_record(own.owner, LABEL, changed, _label(own.owner.did, "changed"))
    again = own.read()
    assert (again.way, len(again.records), len(again.kept)) == ("tree", 3, LABELS - 2)
    assert own.known == own.listed()


@pytest.mark.parametrize(
    ("lacking", "way"),
    [
        (["com.atproto.sync.getRepo", "com.atproto.sync.getBlocks"], "proofs"),
        (["com.atproto.sync.getRecord"], "car"),
        (["com.atproto.sync.getRecord", "com.atproto.sync.getRepo"], "listed"),
    ],
)
def test_a_server_that_lacks_a_method_is_read_in_another_way(own: Repository, lacking: list[str], way: str) -> None:
    """With the same result; without any proof there is no commit in it. It is asked once for what it lacks."""
    own.lacks(*lacking)
    reader = Reader(own.client, Part(COLLECTIONS))
    reading = own.read(reader)
    assert (reading.way, len(reading.records)) == (way, LABELS)
    assert (reading.commit is None) == (way == "listed")
    own.write(LABEL, 1)
    own.network.delete_record(own.owner, LABEL, min(own.known).rpartition("/")[2])
    own.read(reader)
    assert own.known == own.listed()
    for method in lacking:
        assert own.fake.paths().count(f"/xrpc/{method}") <= 1


def test_many_changes_are_not_proven_one_by_one(own: Repository) -> None:
    """Then the whole repository is cheaper, where the tree can't be had."""
    own.write(LABEL, 40)
    own.lacks("com.atproto.sync.getBlocks")
    assert own.read().way == "car"
    assert own.known == own.listed()


def test_an_account_without_a_key_is_listed(repository: Repository) -> None:
    """There is nothing to prove it with."""
    repository.account = replace(repository.account, key=None)
    reading = repository.read()
    assert (reading.way, reading.commit, len(reading.records)) == ("listed", None, LABELS)


def test_a_small_repository_that_is_all_ours_is_read_whole(network: Network, repository: Repository) -> None:
    """One request more than the first, where the tree would need several."""
    owner = network.account("small")
    settings = NetworkSettings.from_environment()
    key = Resolver(repository.client, settings).resolve(owner.did).key
    small = replace(repository, owner=owner, known={}, account=replace(repository.account, did=Did(owner.did), key=key))
    small.write(LABEL, 40, keys="tiny")
    reading = small.read()
    assert (reading.way, len(reading.records)) == ("car", 40)
    assert small.known == small.listed()


def _places(body: bytes) -> list[tuple[bytes, int]]:
    """The CID of each section of a CAR, and where its block begins; the header is the first of them."""
    here, places = 0, []
    while here < len(body):
        length, shift = 0, 0
        while True:
            byte, here = body[here], here + 1
            length, shift = length | (byte & 127) << shift, shift + 7
            if byte < 128:
                break
        places.append((body[here : here + CID_BYTES], here + CID_BYTES))
        here += length
    return places


def _flip(body: bytes, place: int) -> bytes:
    return body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "last": lambda body: _flip(body, len(body) - 1),
    "first": lambda body: _flip(body, _places(body)[-1][1]),
    "cut": lambda body: body[:-1],
    "empty": lambda _: b"",
    "page": lambda _: b"<html>",
}
"""Bits of a block, not of the CID beside it: a block that isn't there is asked for in another way."""
LIES = ("last", "first")
"""The damages that leave a CAR a CAR: blocks that aren't what their CIDs say."""


def _commit_of(body: bytes) -> bytes:
    """The CID of a whole repository's commit."""
    return Blocks.of_car(body)[0][0]


def _damaged(needed: Callable[[bytes], bytes], body: bytes) -> bytes:
    """A CAR with a bit of one block changed."""
    return _flip(body, dict(_places(body))[needed(body)])


def _root_of(body: bytes) -> bytes:
    """The CID of the root of its tree."""
    commit = Blocks.of_car(body)[1].get(_commit_of(body))
    assert commit is not None
    return read_commit(commit).data


def _label_of(body: bytes) -> bytes:
    """The CID of its first label."""
    low, high = Part((LABEL,)).low, Part((LABEL,)).high
    return next(iter(mst.read(Blocks.of_car(body)[1], _root_of(body), low, high).entries.values()))


@pytest.mark.parametrize("methods", [["getRecord"], ["getBlocks"], ["getBlocks", "getRecord"]], ids="-".join)
@pytest.mark.parametrize("change", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_proof_is_made_good_by_another(
    repository: Repository, methods: list[str], change: Callable[[bytes], bytes]
) -> None:
    """At the latest by the whole repository; all is proven, and nothing of the damaged answers is taken."""
    for name in methods:
        repository.garbles(f"com.atproto.sync.{name}", change)
    reading = repository.read()
    assert (reading.commit is not None, len(reading.records), reading.unread) == (True, LABELS, {})
    assert repository.known == repository.listed()


@pytest.mark.parametrize("damage", DAMAGES)
def test_where_every_proof_is_damaged_nothing_is_taken_for_proven(repository: Repository, damage: str) -> None:
    """Blocks that lie end the reading; answers that are no proofs at all leave the server's word, told as such."""
    for name in ("getRecord", "getBlocks"):
        repository.garbles(f"com.atproto.sync.{name}", DAMAGES[damage])
    if damage in LIES:
        for needed in (_commit_of, _root_of, _label_of):  # the last block of the whole may be one that isn't needed
            repository.garbles("com.atproto.sync.getRepo", partial(_damaged, needed))
            with pytest.raises(InvalidProof):
                repository.read()
        assert repository.fake.paths().count("/xrpc/com.atproto.sync.getRepo") >= 3
        assert not any("listRecords" in path for path in repository.fake.paths())
    else:
        repository.garbles("com.atproto.sync.getRepo", DAMAGES[damage])
        reading = repository.read()
        assert (reading.way, reading.commit, len(reading.records)) == ("listed", None, LABELS)


def test_another_accounts_repository_is_no_proof(repository: Repository) -> None:
    """Nor one that somebody else signed, nor an older one than is known."""
    reader = Reader(repository.client, Part(COLLECTIONS))
    other = repository.network.account("other")
    settings = NetworkSettings.from_environment()
    wrong = Resolver(repository.client, settings).resolve(other.did).key
    with pytest.raises(InvalidProof, match="not signed"):
        reader.read(replace(repository.account, key=wrong))
    with pytest.raises(InvalidProof, match="went back"):
        reader.read(replace(repository.account, rev="3zzzzzzzzzzzz"))

    def others(handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        query = {**asked.query, "did": other.did}
        url = f"{repository.network.pds_url}/xrpc/com.atproto.sync.getRecord"
        answer(handler, httpx.get(url, params=query, timeout=60).content)

    repository.fake.routes["/xrpc/com.atproto.sync.getRecord"] = others
    reading = reader.read(repository.account)
    assert (reading.way, reading.commit is not None) == ("car", True), "the whole clears the server"
    repository.lacks("com.atproto.sync.getRepo")
    with pytest.raises(InvalidProof, match="another account"):
        Reader(repository.client, Part(COLLECTIONS)).read(repository.account)


def test_a_repository_that_changes_while_it_is_read_is_read_anew(own: Repository) -> None:
    """The nodes of the older commit are gone at once."""
    own.lacks("com.atproto.sync.getRepo")
    changes = iter(range(2))

    def route(handler: BaseHTTPRequestHandler, _asked: Asked) -> None:
        if next(changes, None) is not None:  # what the real one says, where a changed node was among those asked for
            own.write(LABEL, 1)
            answer(handler, {"error": "InvalidRequest", "message": "Could not find cids: bafy…"}, 400)
            return
        status, kind, body = forward(handler, own.network.pds_url)
        answer(handler, body, status, Content_Type=kind)

    own.fake.routes["/xrpc/com.atproto.sync.getBlocks"] = route
    reading = own.read()
    assert len(reading.records) == LABELS + 2
    assert own.known == own.listed()


def test_a_record_that_its_server_has_lost_takes_no_other_with_it(own: Repository) -> None:
    """It is told as unread once no way leads to it, and found as soon as it is there again."""
    lost = own.listed()
    path, cid = min(lost.items())
    # All labels are alike, and a tree names a block as often as it is used; so one is made another.
    own.network.put_record(own.owner, LABEL, path.rpartition("/")[2], _label(own.owner.did, "lost"))
    cid = own.listed()[path]

    def route(handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        if cid in handler.path or asked.query.get("rkey") == path.rpartition("/")[2]:
            answer(handler, {"error": "InvalidRequest", "message": f"Could not find cids: {cid}"}, 400)
            return
        status, kind, body = forward(handler, own.network.pds_url)
        answer(handler, body, status, Content_Type=kind)

    fresh = replace(own)
    own.fake.routes["/xrpc/com.atproto.sync.getBlocks"] = route
    assert (len(fresh.read().records), fresh.known) == (LABELS, own.listed()), "its own proof has it"
    fresh = replace(own, known={})
    own.fake.routes["/xrpc/com.atproto.sync.getRecord"] = route
    assert (fresh.read().way, fresh.known) == ("car", own.listed()), "the whole repository has it"
    own.lacks("com.atproto.sync.getRepo")
    reading = own.read()
    assert (reading.way, len(reading.records), len(reading.unread)) == ("tree", LABELS - 1, 1)
    assert [(item.uri.endswith(path), item.cid) for item in reading.unread] == [(True, None)]
    for method in ("getBlocks", "getRecord"):
        del own.fake.routes[f"/xrpc/com.atproto.sync.{method}"]
    assert [str(record.cid) for record in own.read().records] == [cid]
    assert own.known == own.listed()


def test_a_closed_account_is_told_as_such(own: Repository) -> None:
    """It is no missing method."""
    own.network.post("com.atproto.server.deactivateAccount", {}, own.owner)
    with pytest.raises(RequestFailed) as caught:
        own.read()
    assert caught.value.name == "RepoDeactivated"


def _refuse(status: int, error: str) -> Callable[[BaseHTTPRequestHandler, Asked], None]:
    kind = "application/json"
    return lambda handler, _: answer(handler, {"error": error, "message": "x"}, status, Content_Type=kind)


@pytest.mark.parametrize("kind", ["text/html", "application/octet-stream", ""])
def test_a_proof_with_the_commit_only_leads_to_the_next_way(repository: Repository, kind: str) -> None:
    """As some servers answer for a record that isn't there; also with no root named, or null, as others do."""

    def bare(handler: BaseHTTPRequestHandler, _asked: Asked) -> None:
        _, _, body = forward(handler, repository.network.pds_url)
        roots, blocks = Blocks.of_car(body)
        answer(handler, car([], [(roots[0], blocks.get(roots[0]) or b"")]), Content_Type=kind)

    repository.fake.routes["/xrpc/com.atproto.sync.getRecord"] = bare
    reading = repository.read()
    assert (reading.commit is not None, len(reading.records)) == (True, LABELS)
    assert repository.known == repository.listed()


def test_a_record_that_a_list_does_not_name_is_asked_for(own: Repository) -> None:
    """A list alone takes nothing away: it may be shortened. What is gone by the server's own word is gone."""
    own.lacks(*(f"com.atproto.sync.{name}" for name in ("getRecord", "getBlocks", "getRepo")))
    assert own.read().way == "listed"
    first, second = sorted(own.known)[:2]
    own.network.delete_record(own.owner, LABEL, first.rpartition("/")[2])

    def short(handler: BaseHTTPRequestHandler, _asked: Asked) -> None:
        _, _, body = forward(handler, own.network.pds_url)
        page = json.loads(body)
        answer(handler, {"records": [item for item in page["records"] if not item["uri"].endswith(second)]})

    own.fake.routes["/xrpc/com.atproto.repo.listRecords"] = short
    reading = own.read()
    assert (reading.records, first in own.known, second in own.known) == ([], False, True)
    assert own.known == own.listed()
    own.fake.routes["/xrpc/com.atproto.repo.getRecord"] = _refuse(503, "")
    own.fake.routes["/xrpc/com.atproto.repo.listRecords"] = lambda handler, _: answer(handler, {"records": []})
    own.read()
    assert len(own.known) == LABELS - 1, "a server that doesn't say so takes nothing away"


def test_an_account_that_its_server_vouches_for_is_proven_or_not_read(repository: Repository) -> None:
    """Though it is said to be gone in some answers: never is a plain list taken for it."""
    for name in ("getRecord", "getBlocks"):
        repository.fake.routes[f"/xrpc/com.atproto.sync.{name}"] = _refuse(400, "RepoNotFound")
    with pytest.raises(RequestFailed) as caught:
        repository.read()
    assert caught.value.name == "RepoNotFound"
    repository.account = replace(repository.account, alive=True)
    assert repository.read().way == "car"
    repository.lacks("com.atproto.sync.getRepo")
    with pytest.raises(RequestFailed) as caught:
        repository.read()
    assert is_gone(caught.value)


def test_one_large_block_under_many_paths_is_not_read_many_times() -> None:
    """A small file could mean a hundred gigabytes of records; as many as fit are kept."""
    did, key = "did:plc:" + "a" * 24, SigningKey()
    value: Json = {"$type": LABEL, "name": "x" * 900_000}
    raw = build_repo({f"{LABEL}/{number}": value for number in range(400)}, did=did, key=key)
    roots, blocks = Blocks.of_car(raw)
    account = Account(did=Did(did), pds="", key=PublicKey.parse(key.did_key), known={})
    reading = read_blocks(roots, blocks, account, Part(COLLECTIONS))
    assert sum(record.size for record in reading.records) <= MAX_BYTES
    assert (len(reading.records) + reading.left, reading.short is None) == (400, False)
    assert len(reading.records) > 200
