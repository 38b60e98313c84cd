"""Applying plans to a real PDS: all of it once, onto what was planned against, or a word on what stands in the way."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from threading import Barrier
from typing import TYPE_CHECKING

import pytest

from catalog.atproto.identity import Resolver
from catalog.atproto.session import Session, Write
from catalog.config import NetworkSettings
from catalog.errors import NetworkError, PublishError, RequestFailed
from catalog.manifest import load
from catalog.network.http import Client
from catalog.publish import Action, Applied, apply_plan, make_plan
from catalog.records import COLLECTIONS, DATASET, SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from catalog.publish import Plan
    from catalog.syntax import Cid
    from tests.conftest import Account, Network

pytestmark = pytest.mark.publishing


@pytest.fixture
def account(network: Network) -> Account:
    return network.account("applier")


@contextmanager
def _session(account: Account) -> Iterator[Session]:
    settings = NetworkSettings.from_environment()
    with Client(settings) as client:
        yield Session.login(client, Resolver(client, settings), account.handle, account.password)


def _manifest(tmp_path: Path, schemas: int = 3, word: str = "a") -> Path:
    """Schemas, and one dataset of the first of them."""
    path = tmp_path / f"{word}.yaml"
    lines = [f"  - {{name: S{number}, version: 1.0.0, fields: {{a: int}}}}" for number in range(schemas)]
    dataset = f"  - {{name: d, schema: S0@1.0.0, description: {word}, shards: [{{url: 'https://data.example/a.tar'}}]}}"
    path.write_text("\n".join(["schemas:", *lines, "datasets:", dataset, ""]), encoding="utf-8")
    return path


def _plan(manifest: Path, session: Session) -> Plan:
    return make_plan(load([manifest]), session, set_name="default")


def _listed(network: Network, account: Account) -> dict[str, str]:
    """Every record of ours, by plain queries: URI → CID."""
    found: dict[str, str] = {}
    for collection in COLLECTIONS:
        cursor = ""
        while True:
            parameters = {"repo": account.did, "collection": collection, "limit": "100", "cursor": cursor}
            page = network.get("com.atproto.repo.listRecords", {k: v for k, v in parameters.items() if v})
            found |= {record["uri"]: record["cid"] for record in page["records"]}
            cursor = page.get("cursor", "")
            if not page["records"] or not cursor:
                break
    return found


def test_a_plan_of_more_than_one_batch_is_written_commit_by_commit(
    network: Network, account: Account, tmp_path: Path
) -> None:
    """Each onto the one before it; every record is there afterwards, and planned again nothing is left to do."""
    manifest = _manifest(tmp_path, schemas=450)
    said: list[str] = []
    with _session(account) as session:
        plan = _plan(manifest, session)
        assert apply_plan(plan, session, progress=said.append) == Applied(commits=3, blobs=0)
        assert _listed(network, account) == {str(one.uri): str(one.cid) for one in plan.changes}
        assert _plan(manifest, session).writes == ()
    assert said == [
        "writing 1 to 200 of 451 records",
        "writing 201 to 400 of 451 records",
        "writing 401 to 451 of 451 records",
    ]


def test_a_plan_without_changes_asks_the_server_nothing(account: Account, tmp_path: Path) -> None:
    """Not even whether it could."""
    manifest = _manifest(tmp_path)
    with _session(account) as session:
        apply_plan(_plan(manifest, session), session)
        plan = _plan(manifest, session)
        session.pds = "https://nowhere.example"
        assert apply_plan(plan, session) == Applied(commits=0, blobs=0)


def test_other_writes_of_the_account_are_no_obstacle(network: Network, account: Account, tmp_path: Path) -> None:
    """A post between plan and apply, and another between two commits."""
    manifest = _manifest(tmp_path, schemas=250)
    posts: list[str] = []

    def post(_text: str) -> None:
        value = {"$type": "org.example.thing"}
        posts.append(network.create_record(account, "org.example.thing", value)["uri"])

    with _session(account) as session:
        plan = _plan(manifest, session)
        apply_plan(plan, session, progress=post)
    assert len(posts) == 2
    assert len(_listed(network, account)) == 251


def test_what_is_written_in_a_pause_is_seen_before_the_next_try(
    network: Network, account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer that pauses after reading writes onto an old commit, repeatedly."""

    def post(_seconds: float) -> None:
        network.create_record(account, "org.example.thing", {"$type": "org.example.thing"})

    manifest = _manifest(tmp_path)
    with _session(account) as session:
        plan = _plan(manifest, session)
        post(0)
        monkeypatch.setattr("catalog.publish.apply.time.sleep", post)
        assert apply_plan(plan, session).commits == 1


def test_a_record_that_is_too_large_for_the_server_is_told_before_and_after(account: Account, tmp_path: Path) -> None:
    """The plan warns, with file and line; the error names the record, and doesn't promise that trying again helps."""
    manifest = tmp_path / "large.yaml"
    shards = "".join(
        f"      - {{url: 'https://data.example/{number:06d}.tar', sha256: '{number:064x}'}}\n" for number in range(1500)
    )
    manifest.write_text(
        "schemas:\n  - {name: S, version: 1.0.0, fields: {a: int}}\n"
        f"datasets:\n  - name: large\n    schema: S@1.0.0\n    shards:\n{shards}",
        encoding="utf-8",
    )
    with _session(account) as session:
        plan = _plan(manifest, session)
        (warning,) = plan.warnings
        assert warning.where == f"{manifest}:4"
        assert warning.message.startswith("dataset 'large' has ")
        with pytest.raises(PublishError, match=r"'large' is too large for this PDS.*1 of 2 commits") as caught:
            apply_plan(plan, session)
        assert caught.value.hint == "list fewer, larger shards, and publish again"


@pytest.mark.parametrize("how", ["changed", "gone", "new"])
def test_our_records_must_be_those_that_were_planned_against(
    network: Network, account: Account, tmp_path: Path, how: str
) -> None:
    """Otherwise nothing is written, and the error says what somebody else did."""
    with _session(account) as session:
        apply_plan(_plan(_manifest(tmp_path), session), session)
        plan = _plan(_manifest(tmp_path, word="b"), session)
        (update,) = plan.writes
        rkey = str(update.uri.rkey)
        if how == "changed":
            value = {**network.get_record(account.did, DATASET, rkey)["value"], "description": "theirs"}
            network.put_record(account, DATASET, rkey, value)
        elif how == "gone":
            network.delete_record(account, DATASET, rkey)
        else:
            network.create_record(account, SCHEMA, {"$type": SCHEMA, "name": "New", "version": "1.0.0"})
        before = _listed(network, account)
        with pytest.raises(PublishError) as caught:
            apply_plan(plan, session)
    assert _listed(network, account) == before
    lines = str(caught.value).splitlines()
    assert lines[0] == f"another client wrote to {account.handle} meanwhile; nothing was written"
    assert {"changed": "dataset 'd' was changed", "gone": f"{update.uri} is gone", "new": "schema New@1.0.0 is new"}[
        how
    ] in lines[1]
    assert lines[-1] == "plan again"


def test_two_publishers_at_once(network: Network, account: Account, tmp_path: Path) -> None:
    """One wins; the other is told, and nothing is there twice."""
    manifest = _manifest(tmp_path)
    both = Barrier(2)

    def run() -> str:
        with _session(account) as session:
            plan = _plan(manifest, session)
            both.wait(timeout=60)
            try:
                apply_plan(plan, session)
            except PublishError as error:
                return str(error)
            return "won"

    with ThreadPoolExecutor(2) as pool:
        outcomes = sorted(future.result() for future in [pool.submit(run), pool.submit(run)])
    assert outcomes[1] == "won"
    assert outcomes[0].startswith(f"another client wrote to {account.handle} meanwhile; nothing was written\n")
    assert "dataset 'd' is new" in outcomes[0]
    assert len(_listed(network, account)) == 4


def test_a_commit_whose_answer_got_lost_counts_as_made(
    network: Network, account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The repository is asked; what is there isn't written again."""
    calls = 0
    apply = Session.apply

    def lossy(self: Session, writes: Sequence[Write], *, swap_commit: Cid) -> Cid:
        nonlocal calls
        calls += 1
        apply(self, writes, swap_commit=swap_commit)
        raise RequestFailed("the connection broke", where=self.pds)

    monkeypatch.setattr(Session, "apply", lossy)
    with _session(account) as session:
        plan = _plan(_manifest(tmp_path, schemas=250), session)
        assert apply_plan(plan, session).commits == 2
    assert calls == 2
    assert _listed(network, account) == {str(one.uri): str(one.cid) for one in plan.changes}


def test_a_commit_that_never_came_through_is_tried_again(
    network: Network, account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that is out for a moment costs nothing."""
    apply = Session.apply
    failures = iter([503, 0])

    def late(self: Session, writes: Sequence[Write], *, swap_commit: Cid) -> Cid:
        for status in failures:
            raise RequestFailed("not now", status=status, where=self.pds)
        return apply(self, writes, swap_commit=swap_commit)

    monkeypatch.setattr(Session, "apply", late)
    with _session(account) as session:
        assert apply_plan(_plan(_manifest(tmp_path), session), session).commits == 1
    assert len(_listed(network, account)) == 4


def test_a_refusal_says_how_far_it_came_and_the_next_run_ends_it(
    network: Network, account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commits that were made stay; run again, nothing is there twice."""
    manifest = _manifest(tmp_path, schemas=250)
    apply = Session.apply
    answers = iter([None, RequestFailed("Record too large", status=400, name="InvalidRequest")])

    def strict(self: Session, writes: Sequence[Write], *, swap_commit: Cid) -> Cid:
        refusal = next(answers)
        if refusal is not None:
            raise refusal
        return apply(self, writes, swap_commit=swap_commit)

    with _session(account) as session, monkeypatch.context() as patched:
        patched.setattr(Session, "apply", strict)
        with pytest.raises(
            PublishError, match=r"Record too large; 1 of 2 commits were made.*publish again to continue"
        ):
            apply_plan(_plan(manifest, session), session)
    assert len(_listed(network, account)) == 200
    with _session(account) as session:
        plan = _plan(manifest, session)
        assert (len(plan.of(Action.LEAVE)), len(plan.writes)) == (200, 51)
        apply_plan(plan, session)
    assert len(_listed(network, account)) == 251


def test_a_server_that_stays_away_is_told_without_guessing(
    account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is then unknown if the last commit was made."""

    def away(*_: object, **__: object) -> Cid:
        raise RequestFailed("no answer")

    def silent(*_: object) -> None:
        raise NetworkError("no answer either")

    with _session(account) as session:
        plan = _plan(_manifest(tmp_path), session)
        monkeypatch.setattr(Session, "apply", away)
        monkeypatch.setattr("catalog.publish.apply.read_present", silent)
        with pytest.raises(PublishError, match=r"unknown.*no answer either"):
            apply_plan(plan, session)


def test_a_plan_is_for_one_account(network: Network, account: Account, tmp_path: Path) -> None:
    """Another's session doesn't write it."""
    other = network.account("other")
    with _session(account) as session, _session(other) as theirs:
        plan = _plan(_manifest(tmp_path), session)
        with pytest.raises(PublishError, match="the plan is for"):
            apply_plan(replace(plan), theirs)
    assert _listed(network, account) == _listed(network, other) == {}
