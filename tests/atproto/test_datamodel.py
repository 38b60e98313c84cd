"""The data model: DAG-CBOR there and back, CIDs, and everything that is outside it."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import cbor2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from catalog.atproto.datamodel import (
    MAX_INTEGER,
    MAX_NESTING,
    MAX_RECORD_BYTES,
    bytes_json,
    bytes_of,
    check_record_size,
    decode,
    encode,
    is_blob,
    link_of,
    record_cid,
)
from catalog.errors import InvalidData
from catalog.syntax import DAG_CBOR, AtUri, Cid

if TYPE_CHECKING:
    from catalog.atproto.datamodel import Json

CID = "bafyreigbtj4x7ip5legnfznufuopl4sg4knzc2cof6duas4b3q2fy6swua"

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-MAX_INTEGER, MAX_INTEGER)
    | TEXT
    | st.binary().map(bytes_json)
    | st.binary().map(lambda raw: {"$link": str(Cid.of_block(raw))})
)
KEYS = TEXT.filter(lambda key: not key.startswith("$"))
VALUES: st.SearchStrategy[Any] = st.recursive(
    LEAVES, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner), max_leaves=20
)
ANYTHING: st.SearchStrategy[Any] = st.recursive(
    LEAVES | st.floats() | st.integers() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text() | st.sampled_from(["$link", "$bytes", "$type"]), inner)
        | st.dictionaries(st.integers(), inner)
    ),
    max_leaves=20,
)


def nested(levels: int) -> Json:
    """An array in an array in an array."""
    value: Json = []
    for _ in range(levels - 1):
        value = [value]
    return value


@given(VALUES)
def test_a_value_comes_back_as_it_was(value: Json) -> None:
    assert decode(encode(value)) == value


@given(ANYTHING)
@example({"a": {1: 2}})
def test_anything_encodes_or_is_invalid_data(value: Json) -> None:
    try:
        raw = encode(value)
    except InvalidData:
        return
    assert encode(decode(raw)) == raw


@given(st.binary() | VALUES.map(encode).flatmap(lambda raw: st.integers(0, len(raw)).map(lambda cut: raw[:cut])))
@example(b"\x81" * 100_000)
@example(b"\x81" * 100_000 + b"\x80")
@example(bytes.fromhex("a165246c696e6b6161"))
def test_any_bytes_decode_to_what_encodes_the_same_or_are_invalid_data(raw: bytes) -> None:
    try:
        value = decode(raw)
    except InvalidData:
        return
    assert encode(value) == raw


def test_the_encoding_is_the_one_known_to_the_protocol() -> None:
    """Shorter keys first, then by bytes; a link is tag 42, bytes are bytes."""
    value: Json = {"bb": 1, "c": {"$bytes": "AQI="}, "a": {"$link": CID}}
    link = bytes.fromhex("d82a5825 00") + Cid(CID).binary
    assert encode(value) == b"\xa3\x61a" + link + b"\x61c\x42\x01\x02" + b"\x62bb\x01"


def test_the_cid_of_a_record_is_the_hash_of_its_encoding() -> None:
    cid = record_cid({"$type": "org.example.record", "n": 1})
    assert cid.codec == DAG_CBOR
    assert cid.digest == hashlib.sha256(cbor2.dumps({"$type": "org.example.record", "n": 1}, canonical=True)).digest()
    assert record_cid({}) == CID


def test_an_identifier_encodes_as_its_text() -> None:
    """The encoder underneath refuses subclasses of str."""
    uri = AtUri.parse("at://did:web:example.org")
    assert encode({"uri": uri}) == encode({"uri": str(uri)})


@pytest.mark.parametrize(
    ("value", "where", "what"),
    [
        ({"a": [1, {"b": 1.0}]}, "a[1].b", "no floats"),
        ([float("nan")], "[0]", "no floats"),
        ({"n": MAX_INTEGER + 1}, "n", "2^53"),
        ({"n": -MAX_INTEGER - 1}, "n", "2^53"),
        ({"n": 2**80}, "n", "2^53"),
        ({"a": b"raw"}, "a", "no bytes"),
        ({"a": (1,)}, "a", "no tuple"),
        ({"a": {1: 2}}, "a", "not int"),
        ({"a": "\ud800"}, "a", "surrogate"),
        ({"a": {"\ud800": 1}}, "a['\\ud800']", "surrogate"),
        ({"a b\n": 1.5}, "['a b\\n']", "no floats"),
        ({"x" * 10_000: 1.5}, "['" + "x" * 39 + "…']", "no floats"),
        ({"l": {"$link": "zdj7WWeQ43G6JJvLWQWZpyHuAMq6uYWRjkBXFad11vE2LHhQ7"}}, "l", "base32"),
        ({"l": {"$link": CID[:-1]}}, "l", "$link"),
        ({"l": {"$link": 5}}, "l", "must be a string"),
        ({"l": {"$link": CID, "more": 1}}, "l", "only key"),
        ({"b": {"$bytes": "A"}}, "b", "base64"),
        ({"b": {"$bytes": "_-"}}, "b", "base64"),
        ({"b": {"$bytes": "AQI", "more": 1}}, "b", "only key"),
        ({"b": {"$bytes": None}}, "b", "must be a string"),
    ],
)
def test_what_is_outside_the_data_model_is_refused_with_its_path(value: Json, where: str, what: str) -> None:
    with pytest.raises(InvalidData) as caught:
        encode(value)
    assert caught.value.where == where
    assert what in caught.value.what


def test_very_deep_nesting_is_invalid_data() -> None:
    with pytest.raises(InvalidData, match="inside each other"):
        encode(nested(100_000))


def test_the_deepest_nesting_passes_and_one_more_does_not() -> None:
    assert decode(encode(nested(MAX_NESTING))) == nested(MAX_NESTING)
    with pytest.raises(InvalidData, match="inside each other"):
        encode(nested(MAX_NESTING + 1))
    with pytest.raises(InvalidData, match="inside each other"):
        decode(b"\x81" * MAX_NESTING + b"\x80")


@pytest.mark.parametrize(
    "block",
    [
        pytest.param("fb3ff0000000000000", id="a float"),
        pytest.param("a2616202616101", id="keys out of order"),
        pytest.param("1800", id="an integer in a longer form"),
        pytest.param("8001", id="something behind it"),
        pytest.param("1b0020000000000000", id="an integer too large"),
        pytest.param("d82a4300 0155", id="half a CID"),
        pytest.param("a162c3281800", id="text that is not UTF-8"),
        pytest.param("", id="nothing"),
    ],
)
def test_a_block_that_is_not_in_its_only_form_is_refused(block: str) -> None:
    with pytest.raises(InvalidData):
        decode(bytes.fromhex(block))


@given(st.binary())
def test_bytes_go_to_json_without_padding_and_back(raw: bytes) -> None:
    value = bytes_json(raw)
    assert "=" not in json.dumps(value)
    assert bytes_of(value) == raw


def test_padded_bytes_read_the_same() -> None:
    assert bytes_of({"$bytes": "AQ=="}) == bytes_of({"$bytes": "AQ"}) == b"\x01"
    assert encode({"$bytes": "AQ=="}) == encode({"$bytes": "AQ"})


@pytest.mark.parametrize("text", ["AQ===", "A=Q", "AQ\n", "A", "é", "A-"])
def test_text_that_is_not_base64_is_invalid_data(text: str) -> None:
    with pytest.raises(InvalidData):
        bytes_of({"$bytes": text})


@given(ANYTHING)
def test_anything_is_bytes_or_invalid_data(value: object) -> None:
    for reader in (bytes_of, link_of):
        try:
            reader(value)
        except InvalidData:
            continue


BLOB: Json = {"$type": "blob", "ref": {"$link": CID}, "mimeType": "application/x-tar", "size": 3}


@pytest.mark.parametrize(
    "change",
    [
        {"$type": "bloob"},
        {"ref": CID},
        {"ref": {"$link": "x"}},
        {"size": True},
        {"size": -1},
        {"size": "3"},
        {"mimeType": 1},
    ],
)
def test_a_blob_has_a_type_a_link_a_mime_type_and_a_size(change: dict[str, Json]) -> None:
    assert isinstance(BLOB, dict)
    assert is_blob(BLOB)
    assert not is_blob({**BLOB, **change})


@given(ANYTHING)
def test_asking_whether_it_is_a_blob_never_fails(value: object) -> None:
    assert is_blob(value) in (True, False)


def test_a_record_of_more_than_the_limit_is_refused() -> None:
    check_record_size(b"\x5a" + (MAX_RECORD_BYTES - 5).to_bytes(4) + bytes(MAX_RECORD_BYTES - 5))  # one byte string
    with pytest.raises(InvalidData, match="1,048,577"):
        check_record_size(bytes(MAX_RECORD_BYTES + 1))


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(Cid.of_block(b"a blob", 0x55).binary, id="a CID"),
        pytest.param(b"\x01\x02\x03\x01\x05and more", id="the start of a CID"),
        pytest.param(b"\x12\x20" + bytes(32), id="a CID of version 0"),
    ],
)
def test_bytes_in_the_form_of_a_link_stay_bytes(raw: bytes) -> None:
    """The fast codec has one type for both; the block beside a real link is compared with one written by hand."""
    value: Json = {"b": bytes_json(raw), "l": {"$link": CID}}
    cid = Cid.parse(CID).binary
    block = (
        b"\xa2\x61b" + (b"\x58" if len(raw) > 23 else b"") + bytes([len(raw) | (0 if len(raw) > 23 else 0x40)]) + raw
    )
    block += b"\x61l\xd8\x2a\x58" + bytes([len(cid) + 1]) + b"\0" + cid
    assert encode(value) == block
    assert decode(block) == value
    with pytest.raises(InvalidData, match="canonical"):
        decode(block.replace(b"\x58\x25\0", b"\x59\0\x25\0"))


def test_a_link_with_a_digest_of_more_than_64_bytes_is_neither_written_nor_read() -> None:
    """Values that can be written can be read."""
    for size in (64, 65):
        binary = bytes([1, 0x55, 0, size]) + bytes(size)
        link: Json = {"$link": str(Cid.of_binary(binary))}
        block = b"\xd8\x2a\x58" + bytes([len(binary) + 1]) + b"\0" + binary
        if size == 64:
            assert (encode(link), decode(block)) == (block, link)
            continue
        for fails in (lambda link=link: encode(link), lambda block=block: decode(block)):
            with pytest.raises(InvalidData):
                fails()


@pytest.mark.parametrize("key", ["$link", "$bytes"])
def test_a_block_has_no_object_with_a_reserved_key(key: str) -> None:
    """Else two blocks would have one JSON form."""
    with pytest.raises(InvalidData, match="reserved"):
        decode(cbor2.dumps({key: "AQ"}))
