"""The events of a Jetstream, and its malformed messages, which break nothing."""

from __future__ import annotations

import json
import random
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.atproto import jetstream
from catalog.atproto.firehose import messages
from catalog.atproto.jetstream import Hint, read_hint
from catalog.config import NetworkSettings
from catalog.errors import InvalidProof
from catalog.syntax import Did
from tests.streams import DID, fake_stream

if TYPE_CHECKING:
    from websockets.sync.server import ServerConnection

    from catalog.atproto.datamodel import Json

ENTRY = "science.alt.dataset.entry"
SOME_CID = "bafyreidwaivazkwu67xztlmuobx35hs2lnfh3kolmgfmucldvhd3sgzcqi"
NOW = 1_790_000_000_123_456


def _message(kind: str = "commit", **more: Json) -> str:
    return json.dumps({"did": DID, "time_us": NOW, "kind": kind, **more})


def _commit(operation: str, **more: Json) -> Json:
    return {"rev": "3l3qo2vutsw2b", "operation": operation, "collection": ENTRY, "rkey": "3l3qo2vuowo2b", **more}


@pytest.mark.parametrize(
    "commit",
    [
        _commit("create", record={"$type": ENTRY, "name": "x"}, cid=SOME_CID),
        _commit("update", record={"$type": ENTRY, "name": "y"}, cid=SOME_CID),
        _commit("delete"),
        _commit("something new"),
    ],
)
def test_a_commit_is_a_hint_to_look_at_the_account(commit: Json) -> None:
    """Whatever was done; what it says of the record is not even read."""
    assert read_hint(_message(commit=commit)) == Hint(did=Did(DID), time_us=NOW, collection=ENTRY)


@pytest.mark.parametrize("commit", [None, 5, [], {}, {"collection": 5}])
def test_a_commit_that_names_no_collection_is_a_hint_all_the_same(commit: Json) -> None:
    assert read_hint(_message(commit=commit)) == Hint(did=Did(DID), time_us=NOW)


def test_identities_and_accounts_are_told() -> None:
    """An account is gone only where that is said outright."""
    identity: Json = {"did": DID, "handle": "alice.example.org", "seq": 5, "time": "2026-01-02T03:04:05.678Z"}
    assert read_hint(_message("identity", identity=identity)) == Hint(did=Did(DID), time_us=NOW, identity=True)
    for account, active, status in (
        ({"active": True, "did": DID, "seq": 5}, True, None),
        ({"active": False, "did": DID, "status": "deactivated"}, False, "deactivated"),
        ({"active": False, "status": "x" * 80}, False, "x" * 50),
        ({"active": False, "status": {}}, False, None),
        ({"active": "no"}, True, None),
        (None, True, None),
    ):
        told = read_hint(_message("account", account=account))  # type: ignore[arg-type] # they are JSON
        assert told == Hint(did=Did(DID), time_us=NOW, identity=True, active=active, status=status)


@pytest.mark.parametrize("kind", ["com", "", "Commit", "tombstone"])
def test_kinds_that_we_do_not_know_are_passed_over(kind: str) -> None:
    assert read_hint(_message(kind)) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("1" * 5000, "not JSON"),
        ("[]", "not an object"),
        ("null", "not an object"),
        (json.dumps({"did": DID, "kind": "commit"}), "without a time"),
        (json.dumps({"did": DID, "kind": "commit", "time_us": "5"}), "without a time"),
        (json.dumps({"did": DID, "kind": "commit", "time_us": True}), "without a time"),
        (json.dumps({"did": DID, "kind": "commit", "time_us": 1.5}), "without a time"),
        (json.dumps({"did": DID, "kind": "commit", "time_us": -1}), "without a time"),
        (json.dumps({"did": DID, "kind": "commit", "time_us": 2**53}), "without a time"),
        (json.dumps({"kind": "commit", "time_us": NOW}), "about no account"),
        (json.dumps({"did": "alice.example.org", "kind": "commit", "time_us": NOW}), "about no account"),
        (json.dumps({"did": [DID], "kind": "commit", "time_us": NOW}), "about no account"),
        (" " * 5_000_001, "a message of 5,000,001 characters"),
    ],
)
def test_a_broken_message_is_refused_with_its_reason(text: str, reason: str) -> None:
    with pytest.raises(InvalidProof, match=reason):
        read_hint(text)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.just(DID),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(
    message=st.fixed_dictionaries(
        {},
        optional={
            "did": st.just(DID) | _JSON,
            "time_us": st.just(NOW) | _JSON,
            "kind": st.sampled_from(["commit", "identity", "account"]) | _JSON,
            "commit": _JSON,
            "identity": _JSON,
            "account": st.fixed_dictionaries({}, optional={"active": _JSON, "status": _JSON}) | _JSON,
        },
    )
)
def test_no_message_raises_anything_but_our_own_error(message: dict[str, Json]) -> None:
    """Whatever its parts are."""
    try:
        hint = read_hint(json.dumps(message))
    except InvalidProof:
        return
    assert hint is None or hint.did == DID


@given(text=st.text() | st.binary())
def test_no_text_raises_anything_but_our_own_error(text: str | bytes) -> None:
    with suppress(InvalidProof):
        read_hint(text)


def test_a_stream_that_is_opened_anew_begins_a_little_earlier(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two servers of the same events may have them in another order; what comes twice does no harm."""
    monkeypatch.setattr(random, "uniform", lambda low, _: low)  # no pauses
    seen: list[int] = []

    def parameters() -> list[tuple[str, str]]:
        wanted = ("wantedCollections", "science.alt.dataset.*")
        return [wanted, ("cursor", str(seen[-1] - jetstream.REWIND))] if seen else [wanted]

    def tell(connection: ServerConnection) -> None:
        assert connection.request is not None
        _, _, cursor = connection.request.path.partition("cursor=")
        events = [NOW + number * 1_000_000 for number in range(20)]
        for moment in [event for event in events if not cursor or event > int(cursor)][:8]:
            connection.send(json.dumps({"did": DID, "time_us": moment, "kind": "commit"}))
        if cursor and int(cursor) + 8_000_000 > events[-1]:
            fake.over.wait(60)

    with fake_stream(tell) as fake:
        for message in messages(
            fake.url, jetstream.PATH, NetworkSettings(allow_loopback=True), parameters=parameters,
            stop=threading.Event(), opened=lambda: None, idle=1.0,
        ):  # fmt: skip
            hint = read_hint(message)
            assert hint is not None
            seen.append(hint.time_us)
    assert set(seen) == {NOW + number * 1_000_000 for number in range(20)}
    assert len(seen) > 20
    assert fake.asked[0] == "/subscribe?wantedCollections=science.alt.dataset.%2A"
    assert fake.asked[1].endswith(f"&cursor={NOW + 7_000_000 - 5_000_000}")
