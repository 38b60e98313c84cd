"""Loaded records are proven: a fake PDS proves them, proves something else, or offers no proof."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from catalog import Client, Dataset, DictSample, PackableSample, fetch_lens
from catalog.atproto import mst
from catalog.atproto.car import Blocks
from catalog.atproto.commit import read_commit
from catalog.atproto.datamodel import record_cid
from catalog.atproto.identity import Resolver
from catalog.cli import cli
from catalog.config import NetworkSettings
from catalog.errors import (
    CatalogError,
    DataError,
    InvalidData,
    InvalidProof,
    InvalidSchema,
    RequestFailed,
    UnverifiedWarning,
)
from catalog.network.http import Client as HttpClient
from catalog.publish.schemas import fetch_schema
from catalog.records import DATASET, LABEL, LENS, SCHEMA, Split
from catalog.syntax import AtUri
from tests.fakes import answer, fake_server
from tests.repos import SigningKey, car, make_repo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from http.server import BaseHTTPRequestHandler

    from catalog.atproto.datamodel import Json
    from tests.fakes import Asked, Fake
    from tests.repos import Repo

DID = "did:plc:" + "a" * 24
WHEN = {"createdAt": "2026-01-02T03:04:05.000Z"}
PROOF, ANSWER = "/xrpc/com.atproto.sync.getRecord", "/xrpc/com.atproto.repo.getRecord"
ENTRY, NAME = f"{DATASET}/3kaaaaaaaaaa2", f"{SCHEMA}/A"
URI = f"at://{DID}/{ENTRY}"


class Own(PackableSample):
    x: int


def schema(name: str) -> Json:
    body: Json = {
        "$type": "science.alt.dataset.schema#jsonSchemaFormat", "type": "object", "required": ["x"],
        "properties": {"x": {"type": "integer"}}, "$schema": "http://json-schema.org/draft-07/schema#",
    }  # fmt: skip
    return {
        "$type": SCHEMA, "name": name, "version": "1.0.0", "schemaType": "jsonSchema", "schema": body, **WHEN,
    }  # fmt: skip


def dataset(url: str) -> Json:
    storage: Json = {"$type": "science.alt.dataset.storageExternal", "urls": [url]}
    return {"$type": DATASET, "name": "d", "schemaRef": f"at://{DID}/{NAME}", "storage": storage, **WHEN}


def lens() -> Json:
    code: Json = {"repository": "https://git.example/x", "commit": "a" * 40, "path": "lens.py:f", "language": "python"}
    uri = f"at://{DID}/{NAME}"
    return {
        "$type": LENS, "name": "l", "sourceSchema": uri, "targetSchema": uri, "getterCode": code, "putterCode": code,
        "language": "python", **WHEN,
    }  # fmt: skip


SIGNED: dict[str, Json] = {
    ENTRY: dataset("https://data.example/signed.tar"),
    NAME: schema("A"),
    f"{LENS}/3kaaaaaaaaaa3": lens(),
    f"{LABEL}/3kaaaaaaaaaa4": {"$type": LABEL, "name": "d", "datasetUri": URI, **WHEN},
}


@dataclass
class Server:
    """A PDS and the directory of its one account. ``told`` is what repo.getRecord answers, ``key`` what it names."""

    fake: Fake
    key: SigningKey = field(default_factory=SigningKey)
    named: SigningKey | None = None
    told: dict[str, Json] = field(default_factory=lambda: dict(SIGNED))

    def __post_init__(self) -> None:
        self.repo = make_repo(SIGNED, did=DID, key=self.key)
        self.named = self.key
        self.fake.routes |= {f"/{DID}": self.document, PROOF: self.proof, ANSWER: self.answer}
        self.settings = NetworkSettings(plc_url=self.fake.url, allow_loopback=True)

    def document(self, handler: BaseHTTPRequestHandler, _: Asked) -> None:
        methods = [] if self.named is None else [
            {"id": f"{DID}#atproto", "type": "Multikey", "controller": DID, "publicKeyMultibase": self.named.multibase}
        ]  # fmt: skip
        service = [{"id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": self.fake.url}]
        answer(handler, {"id": DID, "verificationMethod": methods, "service": service})

    def proof(self, handler: BaseHTTPRequestHandler, _: Asked) -> None:
        answer(handler, self.repo.car())

    def answer(self, handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        path = f"{asked.query['collection']}/{asked.query['rkey']}"
        if path not in self.told:
            answer(handler, {"error": "RecordNotFound", "message": "none"}, 400)
            return
        value = self.told[path]
        answer(handler, {"uri": f"at://{DID}/{path}", "cid": str(record_cid(value)), "value": value})

    def count(self, path: str) -> int:
        return self.fake.paths().count(path)


@pytest.fixture
def server() -> Iterator[Server]:
    with fake_server({}) as fake:
        yield Server(fake)


def load(server: Server, uri: str = URI) -> str:
    """The address of the first shard."""
    return Dataset.from_atproto(uri, settings=server.settings).shards[0].url


LOADS: list[Callable[[Server], object]] = [
    load,
    lambda server: load(server, f"at://{DID}/{LABEL}/3kaaaaaaaaaa4"),
    lambda server: fetch_lens(f"at://{DID}/{LENS}/3kaaaaaaaaaa3", settings=server.settings),
]


@pytest.mark.parametrize("loaded", LOADS)
def test_records_are_proven_and_taken_from_the_proof(server: Server, loaded: Callable[[Server], object]) -> None:
    """One request a record, as before; dataset, schema, label and lens alike. Warnings are errors here."""
    loaded(server)
    assert server.count(PROOF) in (2, 3)
    assert server.count(ANSWER) == 0


def test_a_dataset_with_a_schema_in_another_language_is_loaded_as_dicts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or as a class of the user's own, with which there is nothing to compare; publishing with it is refused."""
    body: Json = {"$type": f"{SCHEMA}#avro", "type": "record", "name": "A", "fields": [{"name": "x", "type": "int"}]}
    named: Any = schema("A")
    monkeypatch.setitem(SIGNED, NAME, {**named, "schemaType": "avro", "schema": body})
    with fake_server({}) as fake:
        server = Server(fake)
        loaded: Dataset[Any] = Dataset.from_atproto(URI, settings=server.settings)
        assert loaded.sample_type is DictSample
        assert Dataset.from_atproto(URI, Own, settings=server.settings).sample_type is Own
        with HttpClient(server.settings) as client, pytest.raises(InvalidSchema, match="'avro'; only JSON Schema"):
            fetch_schema(client, Resolver(client, server.settings), AtUri.parse(f"at://{DID}/{NAME}"))


@pytest.mark.parametrize("path", list(SIGNED))
def test_another_answer_of_get_record_is_not_believed(server: Server, path: str) -> None:
    """If the server proves the signed record, that one is loaded."""
    server.told[path] = dataset("https://data.example/evil.tar")
    assert load(server) == "https://data.example/signed.tar"


def other(_: Server) -> bytes:
    """Signed by another key."""
    return make_repo(SIGNED, did=DID, key=SigningKey()).car()


def foreign(server: Server) -> bytes:
    """Of another account."""
    return make_repo(SIGNED, did="did:plc:" + "b" * 24, key=server.key).car()


def replaced(server: Server) -> bytes:
    """Another record in the place of the signed one's block."""
    evil = make_repo({**SIGNED, ENTRY: dataset("https://data.example/evil.tar")}, did=DID, key=server.key)
    wanted = server.repo.paths[ENTRY]
    blocks = {**server.repo.blocks, wanted: evil.blocks[evil.paths[ENTRY]]}
    return car([server.repo.commit], blocks.items())


def sidetracked(server: Server) -> bytes:
    """The nodes that lead to other records."""
    repo = make_repo(SIGNED | {f"{LABEL}/{number:013}": SIGNED[NAME] for number in range(200)}, did=DID, key=server.key)
    way = _way(repo, ENTRY)
    assert len(way) > 1, "the record is not in the root"
    kept = {cid: raw for cid, raw in repo.blocks.items() if cid not in way}
    return car([repo.commit], kept.items())


def _way(repo: Repo, path: str) -> set[bytes]:
    """The nodes below the root of a tree on the way to a record, and the record."""
    blocks = Blocks.of_car(repo.car())[1]
    root = read_commit(repo.blocks[repo.commit]).data
    found = mst.read(blocks, root, path.encode(), path.encode() + b"\0")
    return {*found.nodes, repo.paths[path]} - {root}


@pytest.mark.parametrize("lie", [other, foreign, replaced, sidetracked])
def test_a_proof_that_contradicts_is_an_error(server: Server, lie: Callable[[Server], bytes]) -> None:
    """And nothing else is asked for; with the address in the message."""
    raw = lie(server)
    server.fake.routes[PROOF] = lambda handler, _: answer(handler, raw)
    with pytest.raises(InvalidProof) as caught:
        load(server)
    assert type(caught.value) is InvalidProof
    assert server.count(ANSWER) == 0


def test_a_record_that_the_commit_lacks_is_not_there(server: Server) -> None:
    """Though getRecord has one."""
    server.told[f"{DATASET}/3kaaaaaaaaaa9"] = dataset("https://data.example/evil.tar")
    with pytest.raises(RequestFailed) as caught:
        load(server, f"at://{DID}/{DATASET}/3kaaaaaaaaaa9")
    assert caught.value.name == "RecordNotFound"


def test_an_absent_record_is_no_lack_of_proofs(server: Server) -> None:
    """However many are asked for: there is no warning, and the record that is there is proven as before."""
    signed = server.fake.routes[PROOF]

    def proof(handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        if f"{asked.query['collection']}/{asked.query['rkey']}" in SIGNED:
            signed(handler, asked)
        else:
            answer(handler, {"error": "RecordNotFound", "message": "none"}, 400)

    server.fake.routes[PROOF] = proof
    with Client(server.settings) as client:
        for number in range(10):
            with pytest.raises(RequestFailed) as caught:
                client.records.get(uri(f"{DATASET}/3kbbbbbbbbbb{number % 6 + 2}"))
            assert caught.value.name == "RecordNotFound"
        asked = server.count(ANSWER)
        client.records.schema(SCHEMA_URI)
    assert server.count(ANSWER) == asked, "taken from the proof"


def test_a_record_that_is_not_there_is_no_warning(server: Server) -> None:
    """Also where a server answers so with the commit only."""
    commit_only(server)
    with pytest.raises(RequestFailed) as caught:
        load(server, f"at://{DID}/{DATASET}/3kaaaaaaaaaa9")
    assert caught.value.name == "RecordNotFound"


def test_a_new_key_is_looked_up_before_a_proof_counts_as_wrong(server: Server) -> None:
    with Client(server.settings) as client:
        server.named = SigningKey()
        client.records.account(DID)
        server.named = server.key
        assert client.records.get(SCHEMA_URI).record == client.records.schema(SCHEMA_URI).record


def test_a_proof_without_the_records_block_proves_what_get_record_answers(server: Server) -> None:
    """By its CID: no warning, and an error for any other record."""
    without_the_record(server)
    assert load(server) == "https://data.example/signed.tar"
    assert server.count(ANSWER) == 2
    server.told[ENTRY] = dataset("https://data.example/evil.tar")
    with pytest.raises(InvalidProof):
        load(server)


def test_a_signed_block_that_is_no_record_is_an_error(server: Server) -> None:
    """Whatever getRecord says."""
    server.repo = make_repo({**SIGNED, ENTRY: {"$type": "com.example.other"}}, did=DID, key=server.key)
    with pytest.raises(InvalidData):
        load(server)


def unnamed(server: Server) -> None:
    """No key in the DID document."""
    server.named = None


def refusing(status: int, error: str) -> Callable[[Server], None]:
    def refuse(server: Server) -> None:
        server.fake.routes[PROOF] = lambda handler, _: answer(
            handler, {"error": error, "message": "\x1b[31mno"}, status
        )

    return refuse


def commit_only(server: Server) -> None:
    """A CAR with nothing of the tree."""
    raw = car([server.repo.commit], [(server.repo.commit, server.repo.blocks[server.repo.commit])])
    server.fake.routes[PROOF] = lambda handler, _: answer(handler, raw)


def without_commit(server: Server) -> None:
    """A CAR of no block."""
    server.fake.routes[PROOF] = lambda handler, _: answer(handler, car([], []))


def record_only(server: Server) -> None:
    """The commit, and the record that it should lead to."""
    blocks = {cid: server.repo.blocks[cid] for cid in (server.repo.commit, server.repo.paths[ENTRY])}
    raw = car([server.repo.commit], blocks.items())
    server.fake.routes[PROOF] = lambda handler, _: answer(handler, raw)


def no_car(server: Server) -> None:
    """A page in its place."""
    server.fake.routes[PROOF] = lambda handler, _: answer(handler, b"<!doctype html><title>hello</title>")


def without_the_record(server: Server) -> None:
    """A proof whose last block, the record's, was left out."""
    blocks = {cid: raw for cid, raw in server.repo.blocks.items() if cid not in server.repo.paths.values()}
    raw = car([server.repo.commit], blocks.items())
    server.fake.routes[PROOF] = lambda handler, _: answer(handler, raw)


@pytest.mark.parametrize(
    "lacking",
    [
        commit_only, without_commit, record_only, no_car,
        unnamed, refusing(501, "MethodNotImplemented"), refusing(404, "NotFound"), refusing(400, "InvalidRequest"),
        refusing(403, "Forbidden"), refusing(401, "AuthMissing"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("loaded", LOADS)
def test_a_server_without_proofs_is_said_once(
    server: Server, lacking: Callable[[Server], None], loaded: Callable[[Server], object]
) -> None:
    """The records are loaded; one warning for all of them, at the line of the caller, without control characters."""
    lacking(server)
    with pytest.warns(UnverifiedWarning) as caught:
        loaded(server)
    assert len(caught) == 1
    assert DID in str(caught[0].message)
    assert str(caught[0].message).isprintable()
    assert caught[0].filename == __file__
    assert server.count(ANSWER) in (2, 3)


def test_the_command_says_it_on_standard_error(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once, in a line of its own; nothing where everything is proven."""
    monkeypatch.setenv("CATALOG_PLC_URL", server.fake.url)
    monkeypatch.setenv("CATALOG_ALLOW_LOOPBACK", "1")
    proven = CliRunner().invoke(cli, ["load", URI, "--json"])
    assert "unverified" not in proven.output
    refusing(403, "Forbidden")(server)
    ran = CliRunner().invoke(cli, ["load", URI, "--json"])
    assert ran.stderr.count("unverified") == 1
    assert "unverified" not in ran.stdout
    assert isinstance(ran.exception, CatalogError)  # there are no shards


def test_a_client_says_it_once_for_a_server_and_another_again(server: Server) -> None:
    """However many records are read."""
    refusing(403, "Forbidden")(server)
    for _ in range(2):
        with Client(server.settings) as client, warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for path in SIGNED:
                client.records.get(uri(path))
            assert [one.category for one in caught] == [UnverifiedWarning]


def uri(path: str) -> Any:  # noqa: ANN401
    from catalog.syntax import AtUri

    return AtUri.parse(f"at://{DID}/{path}")


SCHEMA_URI = uri(NAME)


def test_a_split_is_the_shards_that_the_record_names(server: Server) -> None:
    splits: Json = [
        {"name": "train", "shards": [0, 2], "samples": 7},
        {"name": "test", "shards": [1]},
        {"name": "beyond", "shards": [2, 3, 10**15]},
    ]
    record = dataset("https://data.example/{a,b,c}.tar")
    assert isinstance(record, dict)
    server.repo = make_repo({**SIGNED, ENTRY: {**record, "splits": splits}}, did=DID, key=server.key)
    whole = Dataset.from_atproto(URI, settings=server.settings)
    assert whole.splits == ("train", "test", "beyond")
    train = whole.split("train")
    assert [shard.url[-5:] for shard in train.shards] == ["a.tar", "c.tar"]
    assert (train.length, train.splits) == (7, ())
    test = Dataset.from_atproto(URI, split="test", settings=server.settings)
    assert [shard.url[-5:] for shard in test.shards] == ["b.tar"]
    assert test.length is None
    assert [shard.url[-5:] for shard in whole.split("beyond").shards] == ["c.tar"]
    with pytest.raises(DataError, match="'dev'") as caught:
        whole.split("dev")
    assert caught.value.where == URI
    assert caught.value.hint == "its splits are train, test, beyond"
    with pytest.raises(DataError, match="'train'"):
        train.split("train")


def test_the_class_of_the_samples_may_be_given_in_brackets(server: Server) -> None:
    loaded: Dataset[Any] = Dataset[DictSample].from_atproto(URI, settings=server.settings)
    assert loaded.sample_type is DictSample


def test_publishing_a_dataset_again_keeps_its_splits(server: Server) -> None:
    record = dataset("https://data.example/{a,b}.tar")
    assert isinstance(record, dict)
    splits: Json = [{"name": "train", "shards": [0]}, {"name": "test", "shards": [1], "samples": 3}]
    server.repo = make_repo({**SIGNED, ENTRY: {**record, "splits": splits}}, did=DID, key=server.key)
    asked: dict[str, Any] = {}

    class Recorder:
        def publish_dataset(self, **given: Any) -> None:  # noqa: ANN401 - as it comes
            asked.update(given)

    publisher: Any = Recorder()
    Dataset.from_atproto(URI, settings=server.settings).publish_to_atproto(publisher, name="again")
    assert asked["splits"] == (Split(name="train", shards=(0,)), Split(name="test", shards=(1,), samples=3))
    Dataset.from_atproto(URI, split="test", settings=server.settings).publish_to_atproto(publisher, name="part")
    assert (asked["splits"], asked["samples"], len(asked["shards"])) == ((), 3, 1)
