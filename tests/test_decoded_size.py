"""Budgets count what bytes come to when they are decoded, before they are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog import datamodel
from catalog.config import NetworkSettings
from catalog.datamodel import MAX_VALUES, check_record_size, encode
from catalog.errors import InvalidData, ResponseTooLarge
from catalog.network import proof
from catalog.network.car import Blocks
from catalog.network.http import Client
from catalog.network.keys import PublicKey
from catalog.network.proof import Account, Part, Reader, read_blocks
from catalog.records import COLLECTIONS, DATASET, LABEL
from catalog.syntax import Did
from tests.fakes import answer, fake_server
from tests.repos import SigningKey, build_repo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from catalog.datamodel import Json
    from tests.fakes import Fake

DID = Did.parse("did:plc:" + "a" * 24)
TIME = "2026-01-02T03:04:05.000Z"
MILLION: list[Json] = [[] for _ in range(1_000_000)]


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
    assert datamodel._has_more_values(encode(value), most) == (count(value) > most)


@given(raw=st.binary(max_size=60))
def test_bytes_that_are_no_cbor_end_the_count(raw: bytes) -> None:
    """Whatever the sizes in it say."""
    assert datamodel._has_more_values(raw, 1000) is False


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
