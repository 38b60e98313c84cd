"""Identifiers: the protocol's own test vectors, and what is ours on top of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Protocol, Self, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from catalog import syntax
from catalog.errors import InvalidSyntax
from catalog.syntax import RAW, AtIdentifier, AtUri, Cid, Datetime, Did, Handle, Language, Nsid, RecordKey, Tid, Uri
from tests.paths import TESTS

if TYPE_CHECKING:
    from collections.abc import Iterator


class Identifier(Protocol):
    """The interface of all identifiers."""

    @classmethod
    def parse(cls, text: str) -> Self: ...


KINDS: dict[str, type[Identifier]] = {
    "atidentifier": AtIdentifier,
    "aturi": AtUri,
    "cid": Cid,
    "datetime": Datetime,
    "did": Did,
    "handle": Handle,
    "language": Language,
    "nsid": Nsid,
    "recordkey": RecordKey,
    "tid": Tid,
    "uri": Uri,
}
PARSERS = [pytest.param(kind, id=name) for name, kind in KINDS.items()]

VECTORS = TESTS / "data" / "interop" / "syntax"


def vectors(file: str) -> list[str]:
    """The lines of a vector file that are cases; the spaces at their ends belong to them."""
    lines = (VECTORS / file).read_text(encoding="utf-8").split("\n")
    return [line for line in lines if line and not line.startswith("#")]


def refused(kind: type[Identifier], texts: list[str]) -> Iterator[str]:
    """Those of the texts that don't parse."""
    for text in texts:
        try:
            kind.parse(text)
        except InvalidSyntax:
            yield text


@pytest.mark.parametrize("name", KINDS)
def test_every_valid_vector_parses_to_its_own_text(name: str) -> None:
    texts = vectors(f"{name}_syntax_valid.txt")
    assert len(texts) >= 4
    assert [str(KINDS[name].parse(text)) for text in texts] == texts


@pytest.mark.parametrize("name", [*(f"{name}_syntax" for name in KINDS), "datetime_parse", "language_parse"])
def test_every_invalid_vector_is_refused(name: str) -> None:
    texts = vectors(f"{name}_invalid.txt")
    assert len(texts) >= 4
    assert list(refused(KINDS[name.partition("_")[0]], texts)) == texts


def test_all_vector_files_are_run() -> None:
    """A vector file that the tests don't know would be silently passed over."""
    known = {f"{name}_syntax_{verdict}.txt" for name in KINDS for verdict in ("valid", "invalid")}
    known |= {"datetime_parse_invalid.txt", "language_parse_invalid.txt"}
    assert {path.name for path in VECTORS.iterdir()} == known


def test_the_public_names_are_the_identifiers_and_two_codecs() -> None:
    assert set(syntax.__all__) == {kind.__name__ for kind in KINDS.values()} | {"DAG_CBOR", "RAW"}


@pytest.mark.parametrize("kind", PARSERS)
@given(text=st.text() | st.from_regex(r"(did|at|b|i|x|[0-9]{4}-)[ -~]*", fullmatch=True))
@example(text="")
@example(text="\ud800")
@example(text="b" * 300)
@example(text="a\n")
def test_any_text_parses_to_itself_or_is_invalid_syntax(kind: type[Identifier], text: str) -> None:
    try:
        parsed = kind.parse(text)
    except InvalidSyntax:
        return
    assert str(parsed) == text
    assert isinstance(parsed, kind)


@pytest.mark.parametrize("kind", PARSERS)
@pytest.mark.parametrize("value", [None, 7, b"did:plc:x", ["did:plc:x"], {}])
def test_what_is_not_text_is_invalid_syntax(kind: type[Identifier], value: object) -> None:
    with pytest.raises(InvalidSyntax):
        kind.parse(cast("str", value))


@pytest.mark.parametrize("kind", PARSERS)
def test_a_newline_at_the_end_is_refused(kind: type[Identifier]) -> None:
    name = next(name for name, known in KINDS.items() if known is kind)
    text = vectors(f"{name}_syntax_valid.txt")[0]
    assert kind.parse(text)
    with pytest.raises(InvalidSyntax):
        kind.parse(text + "\n")


def test_identifiers_carry_nothing_but_their_text() -> None:
    for kind in (AtIdentifier, AtUri, Cid, Datetime, Did, Handle, Language, Nsid, RecordKey, Tid, Uri):
        assert not hasattr(kind("x"), "__dict__")


def test_an_error_shows_a_long_text_cut_and_its_control_characters_escaped() -> None:
    with pytest.raises(InvalidSyntax) as caught:
        Did.parse("\u202edid" + "x" * 10_000)
    assert "\u202e" not in str(caught.value)
    assert len(str(caught.value)) < 250


def test_the_longest_of_each_parses_and_one_more_does_not() -> None:
    label = "a" * 63
    for kind, longest in (
        (Did, "did:x:" + "a" * 2042),
        (Handle, f"{label}.{label}.{label}." + "a" * 61),
        (Nsid, "a." + f"{label}." * 3 + "a" * 59 + "." + "b" * 63),
        (RecordKey, "a" * 512),
        (Uri, "https:" + "a" * 8186),
    ):
        assert kind.parse(longest) == longest
        with pytest.raises(InvalidSyntax):
            kind.parse(longest + "a")


def test_a_did_tells_its_method() -> None:
    assert Did.parse("did:web:example.org").method == "web"


def test_a_handle_keeps_its_text_and_offers_the_lower_case() -> None:
    handle = Handle.parse("Alice.Example.ORG")
    assert handle == "Alice.Example.ORG"
    assert handle.normalised == "alice.example.org"


def test_an_at_identifier_is_one_of_two_things() -> None:
    assert isinstance(AtIdentifier.parse("did:web:example.org").value, Did)
    assert isinstance(AtIdentifier.parse("alice.example.org").value, Handle)


def test_an_at_uri_comes_apart() -> None:
    uri = AtUri.parse("at://alice.example.org/org.example.record/key:1")
    assert (uri.authority, uri.collection, uri.rkey) == ("alice.example.org", "org.example.record", "key:1")
    assert isinstance(uri.authority, Handle)
    assert isinstance(uri.collection, Nsid)
    assert isinstance(uri.rkey, RecordKey)


def test_the_absent_parts_of_an_at_uri_are_none() -> None:
    assert AtUri.parse("at://did:web:example.org").collection is None
    collection = AtUri.parse("at://did:web:example.org/org.example.record")
    assert collection.collection == "org.example.record"
    assert collection.rkey is None


def test_an_at_uri_is_built_from_its_parts_and_checks_them() -> None:
    uri = AtUri.of("did:web:example.org", "org.example.record", "a")
    assert uri == "at://did:web:example.org/org.example.record/a"
    with pytest.raises(InvalidSyntax, match="record key"):
        AtUri.of("did:web:example.org", "org.example.record", "a b")
    with pytest.raises(InvalidSyntax):
        AtUri.of("did:web:example.org", "org.example.record", "a/b")


@given(st.integers(0, 2**53 - 1), st.integers(0, 1023))
def test_a_tid_holds_its_time_and_clock(microseconds: int, clock_id: int) -> None:
    tid = Tid.parse(Tid.at(microseconds, clock_id))
    assert (tid.microseconds, tid.clock_id) == (microseconds, clock_id)


@given(st.integers(0, 2**53 - 2), st.integers(0, 1023), st.integers(0, 1023))
def test_tids_sort_as_their_times_do(microseconds: int, one: int, other: int) -> None:
    assert Tid.at(microseconds, one) < Tid.at(microseconds + 1, other)


@pytest.mark.parametrize(("microseconds", "clock_id"), [(-1, 0), (2**53, 0), (0, -1), (0, 1024)])
def test_a_time_that_does_not_fit_in_a_tid_is_refused(microseconds: int, clock_id: int) -> None:
    with pytest.raises(InvalidSyntax):
        Tid.at(microseconds, clock_id)


def test_the_cid_of_a_block_is_the_one_the_protocol_gives_it() -> None:
    """The empty map in DAG-CBOR is the single byte a0; its CID is well known."""
    cid = Cid.of_block(b"\xa0")
    assert cid == "bafyreigbtj4x7ip5legnfznufuopl4sg4knzc2cof6duas4b3q2fy6swua"
    assert Cid.parse(cid).codec == syntax.DAG_CBOR
    assert cid.digest.hex().startswith("c19a797fa1fd590cd2e5b42d1cf5f246e29b91684e2f874")
    assert Cid.of_binary(cid.binary) == cid


def test_a_raw_cid_starts_as_blobs_do() -> None:
    cid = Cid.of_block(b"", RAW)
    assert cid.startswith("bafkrei")
    assert (cid.codec, cid.hash_function) == (RAW, 0x12)


def test_a_cid_of_another_base_parses_but_is_not_taken_apart() -> None:
    cid = Cid.parse("zdj7WWeQ43G6JJvLWQWZpyHuAMq6uYWRjkBXFad11vE2LHhQ7")
    with pytest.raises(InvalidSyntax, match="base32"):
        _ = cid.digest


GOOD_CID = "bafyreigbtj4x7ip5legnfznufuopl4sg4knzc2cof6duas4b3q2fy6swua"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(GOOD_CID[:-1], id="cut"),
        pytest.param(GOOD_CID[:-1] + "b", id="last bits not zero"),
        pytest.param("b" + GOOD_CID[1:].upper(), id="upper case"),
        pytest.param(GOOD_CID + "aa", id="more than the digest"),
        pytest.param(GOOD_CID.replace("bafy", "bbfy"), id="another version"),
        pytest.param("b01890189", id="not base32"),
        pytest.param(GOOD_CID + "=", id="padded"),
    ],
)
def test_a_broken_base32_cid_is_refused(text: str) -> None:
    assert Cid.parse(GOOD_CID)
    with pytest.raises(InvalidSyntax):
        Cid.parse(text)


def test_a_cid_with_a_number_in_a_longer_form_is_refused() -> None:
    """The codec 0x71 in two bytes would be a second name of the same block."""
    good = Cid(GOOD_CID).binary
    assert Cid.of_binary(good) == GOOD_CID
    with pytest.raises(InvalidSyntax, match="shortest"):
        Cid.of_binary(good[:1] + b"\xf1\x00" + good[2:])


@given(st.binary(max_size=64))
def test_any_bytes_are_a_cid_or_invalid_syntax(binary: bytes) -> None:
    try:
        cid = Cid.of_binary(binary)
    except InvalidSyntax:
        return
    assert cid.binary == binary


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("1985-04-12T23:20:50Z", datetime(1985, 4, 12, 23, 20, 50, tzinfo=UTC)),
        ("1985-04-12T23:20:50.1-07:00", datetime(1985, 4, 13, 6, 20, 50, 100_000, tzinfo=UTC)),
        ("1985-04-12T23:20:50.1234567+01:45", datetime(1985, 4, 12, 21, 35, 50, 123_456, tzinfo=UTC)),
        ("0000-02-29T00:00:00Z", datetime.min.replace(tzinfo=UTC)),
        ("0000-12-31T23:30:00-01:00", datetime(1, 1, 1, 0, 30, tzinfo=UTC)),
        ("0001-01-01T00:00:00+01:00", datetime.min.replace(tzinfo=UTC)),
        ("9999-12-31T23:59:59-01:00", datetime.max.replace(tzinfo=UTC)),
    ],
)
def test_a_datetime_is_a_moment_in_utc(text: str, moment: datetime) -> None:
    assert Datetime.parse(text).moment == moment


@pytest.mark.parametrize("text", ["1985-02-29T00:00:00Z", "1985-04-12T23:20:60Z", "1985-04-12T24:00:00Z"])
def test_a_date_or_time_that_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(InvalidSyntax):
        Datetime.parse(text)


@given(st.datetimes(timezones=st.timezones()).filter(lambda moment: 1 < moment.year < 9999))
def test_a_moment_goes_to_text_and_back_to_the_millisecond(moment: datetime) -> None:
    there = moment.astimezone(UTC)
    text = Datetime.of(moment)
    assert Datetime.parse(text).moment == there.replace(microsecond=there.microsecond // 1000 * 1000)


def test_a_moment_is_written_in_the_preferred_form_and_needs_a_time_zone() -> None:
    moment = datetime(2024, 5, 17, 9, 30, tzinfo=timezone(timedelta(hours=2)))
    assert Datetime.of(moment) == "2024-05-17T07:30:00.000Z"
    with pytest.raises(InvalidSyntax, match="time zone"):
        Datetime.of(datetime.min)  # noqa: DTZ901


@pytest.mark.parametrize("tag", ["en", "zh-min-nan", "en-GB-oed", "x-a", "sl-nedis-rozaj", "de-a-foo-b-bar-x-1"])
def test_well_formed_language_tags_parse(tag: str) -> None:
    assert Language.parse(tag) == tag


@pytest.mark.parametrize("tag", ["en-", "en--GB", "en-GB-US", "en-a", "x", "en-x", "en-abcdefghi", "en_GB", "ën"])
def test_malformed_language_tags_are_refused(tag: str) -> None:
    with pytest.raises(InvalidSyntax):
        Language.parse(tag)


def test_a_uri_tells_its_scheme_in_lower_case() -> None:
    assert Uri.parse("HTTPS://example.org").scheme == "https"


@pytest.mark.parametrize("text", ["https://example.org/ä", "https://example.org/\x00", "https://example.org/\x7f"])
def test_a_uri_is_visible_ascii(text: str) -> None:
    with pytest.raises(InvalidSyntax):
        Uri.parse(text)
