"""Frames of the firehose: which concern us, what they tell, and what they prove. Recorded from a real PDS, and made."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import libipld
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.atproto import mst
from catalog.atproto.car import Blocks
from catalog.atproto.datamodel import Json, bytes_json, decode, encode
from catalog.atproto.firehose import (
    AccountEvent,
    CommitEvent,
    Filter,
    IdentityEvent,
    Notice,
    SyncEvent,
    check_commit_event,
    read_frame,
    sequence_of,
    time_of,
)
from catalog.atproto.keys import PublicKey
from catalog.errors import InvalidProof
from catalog.records import DATASET, LABEL
from catalog.syntax import Did, Tid
from tests.repos import REV, SigningKey, car, cid_of, link, make_repo, signed_commit
from tests.streams import TIME, activate, commit_body, error_frame, frame, op, recording, signing_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Account, Network

PREFIX = b"science.alt.dataset."
POST = "app.bsky.feed.post"
DID = "did:plc:" + "a" * 24
SOME_CID = cid_of(b"some")
NOBODY = Filter(PREFIX)


@dataclass(frozen=True)
class Recorded:
    frames: list[bytes]
    author: Account
    poster: Account
    key: PublicKey
    begun: float

    def commits(self, *, of: Account | None = None) -> list[CommitEvent]:
        events = [read_frame(raw, Filter(PREFIX, {self.author.did, self.poster.did})) for raw in self.frames]
        commits = [event for event in events if isinstance(event, CommitEvent)]
        return [event for event in commits if of is None or event.did == of.did]


def _record(name: str) -> dict[str, object]:
    uri = f"at://{DID}/{DATASET}/3kaaaaaaaaaa2"
    return {"$type": LABEL, "name": name, "datasetUri": uri, "createdAt": TIME}


def _post(text: str) -> dict[str, object]:
    return {"$type": POST, "text": text, "createdAt": TIME}


@pytest.fixture(scope="module")
def recorded(network: Network) -> Recorded:
    """The events of the PDS while one account writes records and posts, and another only posts."""
    begun = time.time()
    with recording(network) as frames:
        author, poster = network.account("author"), network.account("poster")
        for number in range(30):
            network.create_record(author, POST, _post(f"post {number}"))
        for number in range(12):
            network.put_record(author, LABEL, f"r{number}", _record(f"n{number}"))
            network.create_record(poster, POST, _post(f"about {LABEL}/r{number}"))
        network.put_record(author, LABEL, "r3", _record("another"))
        network.delete_record(author, LABEL, "r4")
        network.delete_record(author, LABEL, "r11")
        for account in (author, poster):
            network.post("com.atproto.identity.updateHandle", {"handle": f"new-{account.handle}"}, account)
            network.post("com.atproto.server.deactivateAccount", {}, account)
            activate(account)
    return Recorded(frames, author, poster, signing_key(network, author.did), begun)


# --- which frames concern us -----------------------------------------------------------------------------------------


def _concerns(raw: bytes, prefix: bytes, dids: set[str]) -> bool:
    """The slow obvious answer."""
    header, body = libipld.decode_dag_cbor_multi(raw)
    if header["t"] == "#commit":
        return body["repo"] in dids or any(entry["path"].startswith(prefix.decode()) for entry in body["ops"])
    return body["did"] in dids


@pytest.mark.parametrize("tracked", ["nobody", "author", "poster", "both"])
def test_the_frames_that_concern_us_are_those_that_a_full_decode_finds(recorded: Recorded, tracked: str) -> None:
    """By the operations' paths, and by the accounts that are tracked; every kind of frame."""
    names = {"author": recorded.author.did, "poster": recorded.poster.did}
    dids = {did for name, did in names.items() if tracked in (name, "both")}
    got = [read_frame(raw, Filter(PREFIX, dids)) is not None for raw in recorded.frames]
    assert got == [_concerns(raw, PREFIX, dids) for raw in recorded.frames]
    assert any(got)
    assert not all(got) or tracked == "both"


def test_the_recording_has_all_kinds_of_frame(recorded: Recorded) -> None:
    """The control of the others."""
    kinds = [libipld.decode_dag_cbor_multi(raw)[0]["t"] for raw in recorded.frames]
    assert set(kinds) == {"#commit", "#sync", "#identity", "#account"}
    assert kinds.count("#commit") > 50


def test_a_commit_that_is_none_of_our_business_is_not_decoded(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is one whose post names our collections."""
    posts = [raw for raw in recorded.frames if b"#commit" in raw[:16] and b"about science.alt.dataset." in raw]
    assert len(posts) == 12

    def never(raw: bytes) -> list[Any]:
        raise AssertionError(raw)

    with monkeypatch.context() as patched:
        patched.setattr(libipld, "decode_dag_cbor_multi", never)
        assert [read_frame(raw, NOBODY) for raw in posts] == [None] * 12


def test_an_account_is_tracked_from_the_moment_that_it_is(recorded: Recorded) -> None:
    """Frames before pass, those after don't."""
    wanted = Filter(PREFIX)
    raw = next(raw for raw in recorded.frames if b"about " in raw)
    assert read_frame(raw, wanted) is None
    wanted.track(recorded.poster.did)
    assert isinstance(read_frame(raw, wanted), CommitEvent)


# What looks like the marks that the filter goes by, where a path, a DID or a record may have them.
_TRICKS = st.sampled_from(
    ["drepo", "drepox", "fblocks", "cops", "did:plc:", "drepo.did:plc:" + "b" * 24, "science.alt.dataset.", LABEL, POST]
)
_SEGMENT = st.lists(_TRICKS | st.text("abcdrepo.:-x", min_size=1, max_size=9), min_size=1, max_size=4).map("".join)
_PATHS = st.lists(st.tuples(_SEGMENT | st.just(LABEL) | st.just(POST), _SEGMENT).map("/".join), max_size=6, unique=True)
_DIDS = st.sampled_from(
    [DID, "did:plc:" + "b" * 24, "did:web:example.org", "did:web:" + "w" * 200, "did:web:" + "x" * 24]
)


@given(
    paths=_PATHS,
    did=_DIDS,
    tracked=st.sets(_DIDS),
    deletes=st.booleans(),
    text=st.sampled_from([b"", b"\x64repo\x78\x20" + DID.encode(), b"\x66blocks", PREFIX]),
    more=st.sampled_from([{}, {"a": "drepox"}, {"new": PREFIX.decode()}, {"a": {"repo": DID}}]),
)
def test_no_frame_that_concerns_us_is_passed_over(
    paths: list[str], did: str, tracked: set[str], *, deletes: bool, text: bytes, more: dict[str, Json]
) -> None:
    """Whatever the paths, DIDs and records are like, and with keys that we don't know."""
    cids = (None, SOME_CID) if deletes else (SOME_CID, None)
    body: dict[str, Json] = {
        "seq": 1, "repo": did, "rev": REV, "since": None, "time": TIME, "commit": link(SOME_CID), "blobs": [],
        "blocks": bytes_json(text), "ops": [op(path, *cids) for path in paths], **more,
    }  # fmt: skip
    raw = frame("#commit", body)
    assert (read_frame(raw, Filter(PREFIX, tracked)) is not None) == _concerns(raw, PREFIX, tracked)


# --- what frames tell ------------------------------------------------------------------------------------------------


def test_a_commit_tells_its_operations(recorded: Recorded) -> None:
    """Created, changed and deleted; with the CIDs before and after."""
    ops = [op for event in recorded.commits(of=recorded.author) for op in event.ops if op.path.startswith(LABEL)]
    kinds = ["delete" if op.cid is None else "create" if op.prev is None else "update" for op in ops]
    assert kinds == ["create"] * 12 + ["update", "delete", "delete"]
    assert ops[12].prev == ops[3].cid
    assert (ops[13].path, ops[13].prev) == (f"{LABEL}/r4", ops[4].cid)


def test_frames_about_an_account_tell_what_became_of_it(recorded: Recorded) -> None:
    """Its identity, its status, and its repository's new beginning."""
    events = [read_frame(raw, Filter(PREFIX, {recorded.author.did})) for raw in recorded.frames]
    kept = [event for event in events if isinstance(event, IdentityEvent | AccountEvent | SyncEvent)]
    assert {event.did for event in kept} == {recorded.author.did}
    status = [(event.active, event.status) for event in kept if isinstance(event, AccountEvent)]
    assert status == [(True, None), (False, "deactivated"), (True, None)]
    assert sum(isinstance(event, IdentityEvent) for event in kept) >= 2
    assert any(isinstance(event, SyncEvent) for event in kept)


def test_numbers_and_times_are_found_in_frames_that_were_passed_over(recorded: Recorded) -> None:
    """Numbers ascend, times are of now."""
    numbers = [sequence_of(raw) for raw in recorded.frames]
    assert None not in numbers
    assert numbers == sorted(set(numbers), key=lambda number: number or 0)
    assert all(recorded.begun - 1 < time_of(raw) < time.time() + 1 for raw in recorded.frames)
    assert sequence_of(b"\xa1") is None
    assert sequence_of(frame("#info", {"name": "x"})) is None
    with pytest.raises(InvalidProof, match="without a time"):
        time_of(frame("#info", {"name": "x"}))


def test_a_servers_own_words_are_told() -> None:
    """Infos and errors, on one line, whatever they hold."""
    assert read_frame(frame("#info", {"name": "OutdatedCursor", "message": "too old"}), NOBODY) == Notice(
        name="OutdatedCursor", message="too old"
    )
    assert read_frame(error_frame("FutureCursor", "a\nb\x1b[1m"), NOBODY) == Notice(
        name="FutureCursor", message="a�b�[1m"
    )
    assert read_frame(encode({"op": -1}) + encode({"message": 5}), NOBODY) == Notice(name="unnamed", message="")


def test_kinds_that_we_do_not_know_are_passed_over() -> None:
    """A protocol that grows breaks nothing; what only looks like a kind is none."""
    for raw in (
        frame("#tombstone", {"did": DID, "seq": 1}),
        frame("#labels", {"seq": 1}),
        encode({"op": 2, "t": "#commit"}) + encode({"seq": 1}),
        encode({"op": 1}) + encode({"did": "#identity"}),
        encode({"op": 1, "t": ["#commit"]}) + encode({"seq": 1}),
    ):
        assert read_frame(raw, Filter(PREFIX, {DID})) is None


def _body(**changes: Json) -> dict[str, Json]:
    body: dict[str, Json] = {
        "seq": 1, "repo": DID, "rev": REV, "since": None, "time": TIME, "commit": link(SOME_CID), "blobs": [],
        "blocks": bytes_json(b""), "ops": [op(f"{LABEL}/a", SOME_CID)],
    }  # fmt: skip
    return {name: value for name, value in {**body, **changes}.items() if value != "absent"}


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "not a header and a body"),
        (b"\xff", "not two DAG-CBOR values"),
        (b"\x81" * 100_000, "values"),
        (encode({"op": 1, "t": "#commit"}), "not a header and a body"),
        (frame("#commit", _body()) + b"\xa0", "not a header and a body"),
        (frame("#commit", []), "not a header and a body"),
        (frame("#commit", _body())[:-1], "not two DAG-CBOR values"),
        (b"\x00" * 5_000_001, "a frame of 5,000,001 bytes"),
        (frame("#commit", _body(ops="absent")), "at most 200 operations"),
        (frame("#commit", _body(ops=[op(f"{LABEL}/{n}", SOME_CID) for n in range(201)])), "at most 200 operations"),
        (frame("#commit", _body(ops=[{"action": "create", "path": f"{LABEL}/a"}])), "operation that is none"),
        (frame("#commit", _body(ops=[{**op(f"{LABEL}/a", SOME_CID), "action": "delete"}])), "operation that is none"),
        (frame("#commit", _body(ops=[{**op(f"{LABEL}/a", SOME_CID), "action": "own"}])), "operation that is none"),
        (frame("#commit", _body(ops=[{**op(f"{LABEL}/a", SOME_CID), "path": 5}])), "operation that is none"),
        (frame("#commit", _body(ops=[{**op(f"{LABEL}/a", SOME_CID), "cid": "x"}])), "operation that is none"),
        (frame("#commit", _body(ops=[LABEL])), "operation that is none"),
        (frame("#commit", _body(repo="nobody")), "about no account"),
        (frame("#commit", _body(rev="now")), "rev is no TID"),
        (frame("#commit", _body(seq="absent")), "without a seq"),
        (frame("#commit", _body(seq=True)), "without a seq"),
        (frame("#commit", _body(seq=-1)), "without a seq"),
        (frame("#commit", _body(blocks="text")), "blocks of at most 2,000,000 bytes"),
        (frame("#commit", _body(blocks=bytes_json(bytes(2_000_001)))), "blocks of at most 2,000,000 bytes"),
        (frame("#commit", _body(commit=bytes_json(b"x"))), "CIDs are none"),
        (frame("#commit", _body(prevData="x")), "CIDs are none"),
        (frame("#identity", {"seq": 1, "did": 7}), "about no account"),
        (frame("#account", {"did": DID, "active": True}), "without a seq"),
        (frame("#sync", {"did": DID, "seq": 2**53 - 1})[:-8] + b"\x0f" * 8, "without a seq"),
    ],
)
def test_a_broken_frame_is_refused_with_its_reason(raw: bytes, reason: str) -> None:
    with pytest.raises(InvalidProof, match=reason):
        read_frame(raw, Filter(PREFIX, {DID}))


def test_the_frame_that_the_broken_ones_are_made_of_is_a_good_one() -> None:
    """The control of the test above."""
    assert isinstance(read_frame(frame("#commit", _body()), NOBODY), CommitEvent)


@given(data=st.data())
def test_no_frame_raises_anything_but_our_own_error(recorded: Recorded, data: st.DataObject) -> None:
    """Real frames with some bytes changed, cut off or put in."""
    raw = bytearray(data.draw(st.sampled_from(recorded.frames)))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, min(len(raw) - 1, 400)))
        match data.draw(st.sampled_from(["change", "cut", "put"])):
            case "change":
                raw[at] ^= data.draw(st.integers(1, 255))
            case "cut":
                del raw[at : at + data.draw(st.integers(1, 40))]
            case _:
                raw[at:at] = data.draw(st.binary(min_size=1, max_size=9))
    try:
        event = read_frame(bytes(raw), Filter(PREFIX, {recorded.author.did}))
        if isinstance(event, CommitEvent):
            check_commit_event(event, NOBODY, key=recorded.key)
        time_of(bytes(raw))
    except InvalidProof:
        pass


# --- what frames prove -----------------------------------------------------------------------------------------------


def test_every_recorded_commit_proves_its_records(recorded: Recorded, network: Network) -> None:
    """And each the tree that the next one begins with; what is left in the end is what the PDS has."""
    have: dict[str, object] = {}
    data: bytes | None = None
    for event in recorded.commits(of=recorded.author):
        proven = check_commit_event(event, NOBODY, key=recorded.key)
        assert data is None or event.prev_data == data
        data = proven.commit.data
        assert set(proven.records) == {op.path for op in event.ops if op.path.startswith(PREFIX.decode())}
        for path, raw in proven.records.items():
            if raw is None:
                del have[path]
            else:
                have[path] = decode(raw)
    listed = network.get("com.atproto.repo.listRecords", {"repo": recorded.author.did, "collection": LABEL})
    assert have == {entry["uri"].split("/", 3)[3]: entry["value"] for entry in listed["records"]}
    assert len(have) == 10


def test_a_commit_of_many_operations_is_proven(network: Network) -> None:
    """As applyWrites makes them: some created, some changed, some deleted, in no order; until nothing is left."""
    account = network.account("many")

    def write(kind: str, number: int, **more: object) -> dict[str, object]:
        return {"$type": f"com.atproto.repo.applyWrites#{kind}", "collection": LABEL, "rkey": f"r{number}", **more}

    rounds = [
        [write("create", n, value=_record(f"n{n}")) for n in range(150)],
        [write("delete", n) for n in range(0, 60, 2)]
        + [write("update", n, value=_record("new")) for n in range(61, 120, 3)]
        + [write("create", n, value=_record(f"n{n}")) for n in range(199, 149, -1)],
        [write("delete", n) for n in (*range(1, 60, 2), *range(60, 199))],
        [write("create", n, value=_record(f"n{n}")) for n in (0, 2)] + [write("delete", 199)],
        [write("delete", n) for n in (0, 2)],
    ]
    with recording(network) as frames:
        for writes in rounds:
            network.post("com.atproto.repo.applyWrites", {"repo": account.did, "writes": writes}, account)
    key, before = signing_key(network, account.did), None
    events = [event for raw in frames if isinstance(event := read_frame(raw, NOBODY), CommitEvent)]
    assert [len(event.ops) for event in events] == [len(writes) for writes in rounds]
    for event, writes in zip(events, rounds, strict=True):
        proven = check_commit_event(event, NOBODY, key=key)
        assert before is None or event.prev_data == before
        before = proven.commit.data
        deleted = {f"{LABEL}/{write['rkey']}" for write in writes if str(write["$type"]).endswith("delete")}
        assert {path for path, raw in proven.records.items() if raw is None} == deleted


def _an_update(recorded: Recorded) -> CommitEvent:
    return next(event for event in recorded.commits(of=recorded.author) if event.ops and event.ops[0].prev)


def test_a_byte_that_was_flipped_proves_nothing_else(recorded: Recorded) -> None:
    """At any place of the blocks: refused, or in a block that nothing hangs on."""
    event = _an_update(recorded)
    honest = check_commit_event(event, NOBODY, key=recorded.key)
    refused = 0
    for at in range(0, len(event.blocks), 2):
        blocks = bytearray(event.blocks)
        blocks[at] ^= 1 << at % 8
        try:
            proven = check_commit_event(replace(event, blocks=bytes(blocks)), NOBODY, key=recorded.key)
        except InvalidProof:
            refused += 1
        else:
            assert (proven.records, proven.commit) == (honest.records, honest.commit)
    assert refused > len(event.blocks) / 4


def _sections(raw: bytes) -> Iterator[tuple[bytes, bytes]]:
    _, blocks = Blocks.of_car(raw)
    for cid in list(blocks._found):
        yield cid, blocks.get(cid) or b""


def test_a_commit_without_one_of_the_blocks_that_it_needs_is_refused(recorded: Recorded) -> None:
    """The commit, the record, the nodes on its way; blocks of other nodes may be missing."""
    event = _an_update(recorded)
    blocks = list(_sections(event.blocks))
    reasons = []
    for left_out, _ in blocks:
        raw = car([event.commit], [block for block in blocks if block[0] != left_out])
        try:
            check_commit_event(replace(event, blocks=raw), NOBODY, key=recorded.key)
        except InvalidProof as error:
            reasons.append(str(error))
    assert any("not those of its commit" in reason for reason in reasons)
    assert any("lacks the block of a record" in reason for reason in reasons)
    assert any("is missing" in reason for reason in reasons)


LIES: dict[str, tuple[Callable[[CommitEvent], CommitEvent], str]] = {
    "another prevData": (lambda e: replace(e, prev_data=cid_of(b"x")), "don't lead back to prevData"),
    "no prevData": (lambda e: replace(e, prev_data=None), "has no prevData"),
    "a first commit": (lambda e: replace(e, prev_data=None, since=None), "don't lead back to prevData"),
    "an operation left out": (lambda e: replace(e, ops=()), "don't lead back to prevData"),
    "a record that is not there": (
        lambda e: replace(e, ops=(*e.ops, mst.Op(path=f"{LABEL}/zz", cid=SOME_CID, prev=None))),
        "not in the tree",
    ),
    "another record": (
        lambda e: replace(e, ops=(replace(e.ops[0], cid=SOME_CID),)),
        "not the one that was written",
    ),
    "a deletion of what is there": (lambda e: replace(e, ops=(replace(e.ops[0], cid=None),)), "still in the tree"),
    "a change told as new": (lambda e: replace(e, ops=(replace(e.ops[0], prev=None),)), "don't lead back to prevData"),
    "an operation twice": (lambda e: replace(e, ops=e.ops * 2), "two operations are on one path"),
    "a path that is none": (lambda e: replace(e, ops=(replace(e.ops[0], path="nowhere"),)), "is not a path"),
    "another account": (lambda e: replace(e, did=Did(DID)), "of another account"),
    "another rev": (lambda e: replace(e, rev=Tid(REV)), "the event has the rev"),
    "another commit": (lambda e: replace(e, commit=SOME_CID), "not those of its commit"),
    "no blocks": (lambda e: replace(e, blocks=b""), "is empty"),
}


@pytest.mark.parametrize("lie", LIES)
def test_an_event_that_says_something_else_than_its_commit_is_refused(recorded: Recorded, lie: str) -> None:
    change, reason = LIES[lie]
    with pytest.raises(InvalidProof, match=reason):
        check_commit_event(change(_an_update(recorded)), NOBODY, key=recorded.key)


def test_a_commit_that_somebody_else_signed_is_refused(recorded: Recorded, network: Network) -> None:
    """With another account's key, nothing is proven."""
    other = PublicKey.parse(SigningKey().did_key)
    with pytest.raises(InvalidProof, match="not signed by the account's key"):
        check_commit_event(_an_update(recorded), NOBODY, key=other)
    stranger = network.account("stranger")
    with pytest.raises(InvalidProof, match="not signed by the account's key"):
        check_commit_event(_an_update(recorded), NOBODY, key=signing_key(network, stranger.did))


def test_a_first_commit_begins_with_the_empty_tree() -> None:
    """It has no prevData, and all that is in it is new."""
    key = SigningKey()
    repo = make_repo({f"{LABEL}/a": {"$type": LABEL}, f"{POST}/b": {"$type": POST}}, did=DID, key=key)
    event = read_frame(frame("#commit", commit_body(repo, None, did=DID)), NOBODY)
    assert isinstance(event, CommitEvent)
    proven = check_commit_event(event, NOBODY, key=PublicKey.parse(key.did_key))
    assert proven.records == {f"{LABEL}/a": repo.blocks[repo.paths[f"{LABEL}/a"]]}


def test_a_rev_from_the_future_is_refused() -> None:
    """More than five minutes ahead of our clock."""
    key = SigningKey()
    now = time.time()
    for ahead, holds in ((200, True), (400, False)):
        rev = str(Tid.at(int((now + ahead) * 1e6), 0))
        repo = make_repo({f"{LABEL}/a": {"$type": LABEL}}, did=DID, key=key, rev=rev)
        event = read_frame(frame("#commit", commit_body(repo, None, did=DID, rev=rev)), NOBODY)
        assert isinstance(event, CommitEvent)
        if holds:
            check_commit_event(event, NOBODY, key=PublicKey.parse(key.did_key), now=now)
        else:
            with pytest.raises(InvalidProof, match="ahead of time"):
                check_commit_event(event, NOBODY, key=PublicKey.parse(key.did_key), now=now)


def test_a_tree_of_somebody_elses_making_is_refused() -> None:
    """A commit that is signed well, over a tree that isn't in the blocks."""
    key = SigningKey()
    repo = make_repo({f"{LABEL}/a": {"$type": LABEL}}, did=DID, key=key)
    commit = signed_commit(SOME_CID, did=DID, key=key)
    body = {**commit_body(repo, None, did=DID), "commit": link(cid_of(commit))}
    raw = car([cid_of(commit)], [(cid_of(commit), commit), *repo.blocks.items()])
    event = read_frame(frame("#commit", {**body, "blocks": bytes_json(raw)}), NOBODY)
    assert isinstance(event, CommitEvent)
    with pytest.raises(InvalidProof, match="is missing"):
        check_commit_event(event, NOBODY, key=PublicKey.parse(key.did_key))
