"""Budgets count what bytes come to when they are decoded, before they are."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.atproto import datamodel, proof
from catalog.atproto import firehose as stream
from catalog.atproto.car import Blocks
from catalog.atproto.datamodel import MAX_VALUES, bytes_json, check_record_size, encode
from catalog.atproto.jetstream import read_hint
from catalog.atproto.keys import PublicKey
from catalog.atproto.mst_node import layer_of, open_node, write_node
from catalog.atproto.proof import Account, Part, Reader, read_blocks
from catalog.config import NetworkSettings
from catalog.errors import InvalidData, InvalidProof, RequestFailed, ResponseTooLarge
from catalog.network.http import Client, Response
from catalog.network.rate_limit import Host
from catalog.records import COLLECTIONS, DATASET, LABEL
from catalog.syntax import Cid, Did
from tests.fakes import answer, fake_server
from tests.repos import SigningKey, build_repo, make_repo

if TYPE_CHECKING:
    from collections.abc import Iterator
    from http.server import BaseHTTPRequestHandler

    from catalog.atproto.datamodel import Json
    from tests.fakes import Asked, Fake

DID = Did.parse("did:plc:" + "a" * 24)
TIME = "2026-01-02T03:04:05.000Z"
MILLION: list[Json] = [[]] * 1_000_000
"""The same empty list, many times: a list for each slows every garbage collection of the test process."""


def label(name: str, **more: Json) -> dict[str, Json]:
    uri = f"at://{DID}/{DATASET}/3kaaaaaaaaaa2"
    return {"$type": LABEL, "name": name, "datasetUri": uri, "createdAt": TIME, **more}


def count(value: Json) -> int:
    """Values and keys, the slow way; a link has a tag before its bytes."""
    if isinstance(value, dict):
        if "$bytes" in value:
            return 1
        return 2 if "$link" in value else 1 + sum(1 + count(item) for item in value.values())
    return 1 + sum(map(count, value)) if isinstance(value, list) else 1


SCALARS = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=300)
VALUES = st.recursive(
    SCALARS | st.binary(max_size=300).map(datamodel.bytes_json),
    lambda inside: st.lists(inside, max_size=30) | st.dictionaries(st.text("abc", max_size=30), inside, max_size=5),
    max_leaves=40,
)


@given(value=VALUES, most=st.integers(0, 60))
def test_values_are_counted_without_decoding_them(value: Json, most: int) -> None:
    """The walk over heads says of any value what counting its parts says."""
    assert datamodel.has_more_values(encode(value), most) == (count(value) > most)


@given(raw=st.binary(max_size=60))
def test_bytes_that_are_no_cbor_end_the_count(raw: bytes) -> None:
    """Whatever the sizes in it say."""
    assert datamodel.has_more_values(raw, 1000) is False


def test_a_record_of_too_many_values_is_refused_by_its_bytes() -> None:
    """One of the same size that holds a text, and one just within the limit, are fine."""
    check_record_size(encode(label("text", more="x" * 1_000_000)))
    base = count(label("list", more=[]))
    check_record_size(encode(label("list", more=cast("Json", MILLION[: MAX_VALUES - base]))))
    for more in (MAX_VALUES - base + 1, 1_000_000):
        with pytest.raises(InvalidData, match="values"):
            check_record_size(encode(label("list", more=cast("Json", MILLION[:more]))))


def test_a_record_of_a_million_lists_is_rejected_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its URI and the reason, undecoded; the records beside it are read."""
    key = SigningKey()
    huge = label("huge", more=cast("Json", MILLION))
    raw = build_repo({f"{LABEL}/honest": label("honest"), f"{LABEL}/huge": huge}, did=DID, key=key)
    decoded: list[int] = []
    decode = datamodel.decode

    def noting(raw: bytes) -> Json:
        decoded.append(len(raw))
        return decode(raw)

    monkeypatch.setattr(proof, "decode", noting)
    account = Account(did=DID, pds="https://pds.example", key=PublicKey.parse(key.multibase), known={})
    reading = read_blocks(*Blocks.of_car(raw), account, Part(COLLECTIONS))
    assert [str(record.uri) for record in reading.records] == [f"at://{DID}/{LABEL}/honest"]
    (rejected,) = reading.unread
    assert rejected.uri == f"at://{DID}/{LABEL}/huge"
    assert "values" in rejected.reason
    assert decoded
    assert max(decoded) < 1000


@pytest.fixture
def fake() -> Iterator[Fake]:
    page: Json = {"records": [[] for _ in range(3000)]}
    with fake_server({"/": lambda handler, _: answer(handler, page)}) as running:
        yield running


def test_an_answer_of_too_many_values_is_refused_before_it_is_parsed(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page of empty lists; the same page is fine within the budget."""
    parsed: list[int] = []
    loads = json.loads

    def noting(raw: bytes, **more: Any) -> Any:  # noqa: ANN401
        parsed.append(len(raw))
        return loads(raw, **more)

    monkeypatch.setattr("catalog.network.http.json.loads", noting)
    with Client(NetworkSettings(allow_loopback=True)) as client:
        assert isinstance(client.get_json(f"{fake.url}/"), dict)
        assert len(parsed) == 1
        monkeypatch.setattr("catalog.network.http.MAX_VALUES", 2000)
        with pytest.raises(ResponseTooLarge, match="2,000 values"):
            client.get_json(f"{fake.url}/")
    assert len(parsed) == 1


class HugeAddresses:
    """A server whose list has addresses of a megabyte each."""

    def __init__(self) -> None:
        self.pages = 0

    def get_json(self, url: str, **_more: object) -> Json:
        if "describeRepo" in url:
            return {"collections": [LABEL]}
        self.pages += 1
        lines: list[Json] = [{"uri": f"{self.pages}-{n}-" + "x" * 1_000_000, "cid": "x", "value": 1} for n in range(5)]
        return {"records": lines, **({"cursor": str(self.pages)} if self.pages < 3 else {})}


def test_of_a_huge_address_the_beginning_is_kept() -> None:
    """Each line is rejected by itself, and costs no more than others."""
    account = Account(did=DID, pds="https://pds.example", key=None, known={})
    reading = Reader(cast("Client", HugeAddresses()), Part(COLLECTIONS)).read(account)
    rejected = list(reading.unread)
    assert len(rejected) == 15
    assert all(len(one.uri) <= 200 and len(one.reason) < 1000 for one in rejected)
    assert rejected[0].uri.startswith("1-0-x")


def test_frames_of_too_many_values_are_refused_before_they_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever of their parts has them; a frame of two megabytes of blocks is fine."""
    body: dict[str, Json] = {"seq": 7, "did": DID, "active": True}
    head = encode({"op": 1, "t": "#account"})
    wanted = stream.Filter(b"x", {DID})
    assert stream.read_frame(head + encode({**body, "more": bytes_json(bytes(2_000_000))}), wanted) is not None
    decoded: list[bytes] = []
    monkeypatch.setattr("catalog.atproto.firehose.libipld.decode_dag_cbor_multi", decoded.append)
    for raw in (
        head + encode({**body, "more": cast("Json", MILLION)}),
        encode({"op": 1, "t": "#account", "more": cast("Json", MILLION)}) + encode(body),
        b"\x80" * 5_000_000,
    ):
        with pytest.raises(InvalidProof, match="values"):
            stream.read_frame(raw, wanted)
        assert stream.sequence_of(raw) is None
    assert not decoded


def test_messages_of_too_many_values_are_refused_before_they_are_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """One with the largest record that a catalog may be set to take is read."""
    message = {"did": DID, "time_us": 1, "kind": "commit", "commit": {"collection": LABEL, "record": {"a": []}}}
    text = json.dumps(message, separators=(",", ":"))
    most = text.replace("[]", "[" + "[]," * 500_000 + "[]]")
    assert read_hint(most) == read_hint(text)
    monkeypatch.setattr("catalog.atproto.jetstream.json.loads", lambda _: pytest.fail("it was parsed"))
    with pytest.raises(InvalidProof, match="values"):
        read_hint(text.replace("[]", "[" + "[]," * 1_500_000 + "[]]"))


def test_nodes_of_too_many_values_are_refused_before_they_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The densest node that a tree can have, of 5,000 keys, is read."""
    keys: list[bytes] = []
    number = 0
    while len(keys) < 5000:
        key = f"a/{number:05}".encode()
        keys += [key] * (layer_of(key) == 0)
        number += 1
    values = [Blocks.cid_of(b"")] * len(keys)
    assert len(keys) == 5000
    assert open_node(write_node(keys, values, [None] * 5001), b"", b"\xff", 0)[1] == keys
    decoded: list[bytes] = []
    monkeypatch.setattr("catalog.atproto.mst_node.libipld.decode_dag_cbor", decoded.append)
    huge = encode({"e": cast("Json", MILLION), "l": None})
    for block in (huge, b"\x80" * 2_000_000):
        with pytest.raises(InvalidProof):
            open_node(block, b"", b"\xff", 0)
    assert not decoded


@pytest.mark.parametrize("way", ["car", "tree"])
def test_of_records_that_fill_the_memory_some_are_read(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """Each is within its limit; together they are not. The next read goes on, and known ones stay."""
    monkeypatch.setattr(proof, "MAX_HELD", 50_000)
    key = SigningKey()
    names = [f"{LABEL}/n{number}" for number in range(10)]
    repo = make_repo({name: label(name, more=cast("Json", MILLION[:9000])) for name in names}, did=DID, key=key)
    account = Account(did=DID, pds="https://pds.example", key=PublicKey.parse(key.multibase), known={})
    known: dict[str, str] = {names[9]: str(Cid.of_block(b"older"))}
    client = cast("Client", WholeRepository(repo.car()))
    sizes = []
    for _ in range(3):
        account = replace(account, known=dict(known))
        if way == "car":
            reading = read_blocks(*Blocks.of_car(repo.car()), account, Part(COLLECTIONS))
        else:
            reading = Reader(client, Part(COLLECTIONS)).read(account)
        assert reading.way == way
        assert reading.commit is not None
        found = {f"{LABEL}/{record.uri.rkey}": str(record.cid) for record in reading.records}
        sizes.append((len(found), len(reading.kept), reading.left, reading.short is None))
        assert set(reading.kept) == known.keys() - found.keys()
        known |= found
    assert sizes == [(5, 1, 5, False), (5, 5, 0, True), (0, 10, 0, True)]


class WholeRepository:
    """A server that answers a whole repository, whatever is asked for; it offers none by name."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw

    def get(self, url: str, **_more: object) -> Response:
        if "getRepo" in url:
            raise RequestFailed("no", status=501)
        return Response(status=200, headers={}, body=self.raw)

    def host(self, _url: str) -> Host:
        return Host("pds.example", sleep=lambda _: None, clock=lambda: 0.0, parks=False)


def test_an_answer_of_too_many_values_is_not_downloaded_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page of a hundred megabytes ends when its values are too many, and nothing is held of it."""
    sent: list[int] = []

    def endless(handler: BaseHTTPRequestHandler, _asked: Asked) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100000000")
        handler.end_headers()
        for _ in range(1000):
            handler.wfile.write(b"[],[]," * 16_667)
            sent.append(1)

    monkeypatch.setattr("catalog.network.http.MAX_VALUES", 100_000)
    with fake_server({"/": endless}) as running, Client(NetworkSettings(allow_loopback=True)) as client:
        with pytest.raises(ResponseTooLarge, match="100,000 values"):
            client.get_json(f"{running.url}/", max_bytes=120_000_000)
        assert client.bytes < 10_000_000
    assert len(sent) < 1000
