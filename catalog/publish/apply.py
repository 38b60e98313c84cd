"""Apply: a plan is written, in as few commits as the protocol allows, and only onto what it was made against.

::

    plan ─▶ blobs that the repository lacks ─▶ uploaded
         ─▶ writes, 200 at a time           ─▶ commit ─▶ commit ─▶ …     each onto the one before (swapCommit)
                                                  │
                                                  └─ the repository moved meanwhile: are *our* records as planned?
                                                       yes (somebody posted a picture) ─▶ go on from there
                                                       no  ─▶ PublishError: what changed, and what was written

Tricky bits
-----------
- A commit is all or nothing, a plan of more than one isn't. Run again, it goes on where it stopped: what is there
  already is found by its name, so nothing comes twice.
- When the answer to a commit doesn't come, nobody knows whether it was made. The repository is asked.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from catalog.errors import NetworkError, PublishError, RequestFailed
from catalog.network.session import Write, batches
from catalog.publish.plan import Action
from catalog.publish.present import called, read_present

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from catalog.network.session import Session
    from catalog.publish.plan import Change, Plan
    from catalog.publish.present import Present
    from catalog.syntax import AtUri, Cid

__all__ = ["Applied", "apply_plan"]

_TRIES: Final = 8
"""How often a commit is tried while others write to the same account."""
_PAUSE_SECONDS: Final = 0.2
_MANY: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What was done: commits made, and blobs sent."""

    commits: int
    blobs: int


def apply_plan(plan: Plan, session: Session, *, progress: Callable[[str], object] | None = None) -> Applied:
    """Write what a plan says. Nothing is written when it says nothing.

    Raises :class:`PublishError` when our records in the repository aren't those the plan was made against, or the PDS
    refuses them; a ``NetworkError``. The error tells what was written before it.
    """
    if session.did != plan.did:
        message = f"the plan is for {plan.did}, the session is of {session.did}"
        raise PublishError(message, hint="plan again")
    changes = plan.writes
    if not changes:
        return Applied(commits=0, blobs=0)
    say = progress or (lambda _text: None)
    blobs = _upload(changes, session, say)
    return Applied(commits=_Writing(plan, session, say).run(changes), blobs=blobs)


def _upload(changes: Sequence[Change], session: Session, say: Callable[[str], object]) -> int:
    """Send the blobs that the repository lacks, each once; how many."""
    wanted = {
        blob.cid: blob for change in changes if change.draft is not None for blob in getattr(change.draft, "blobs", ())
    }
    there = session.has_blobs(wanted) if wanted else set()
    missing = [blob for cid, blob in wanted.items() if cid not in there]
    for number, blob in enumerate(missing, 1):
        if blob.path is None:
            message = f"the blob {blob.cid} isn't in the repository, and there is no local copy of it"
            raise PublishError(message, hint="publish where the file is")
        say(f"uploading {blob.path.name} ({blob.size:,} bytes), {number} of {len(missing)}")
        session.upload_blob(blob.path, cid=blob.cid, size=blob.size, mime_type=blob.mime_type)
    return len(missing)


class _Writing:
    """The commits of one plan; knows what our records in the repository should be."""

    def __init__(self, plan: Plan, session: Session, say: Callable[[str], object]) -> None:
        self._session, self._say = session, say
        self._commit = plan.present.commit.cid
        self._expected: dict[AtUri, Cid] = plan.present.cids
        self._made = 0
        self._parts = 0

    def run(self, changes: Sequence[Change]) -> int:
        by_place = {(change.key[0], str(change.uri.rkey)): change for change in changes}
        parts = tuple(batches([_write(change) for change in changes]))
        self._parts = len(parts)
        done = 0
        for part in parts:
            self._say(f"writing {done + 1} to {done + len(part)} of {len(changes)} records")
            self._part(part, [by_place[write.collection, write.rkey] for write in part])
            done += len(part)
        return self._made

    def _part(self, part: Sequence[Write], changes: Sequence[Change]) -> None:
        after = _after(self._expected, changes)
        for attempt in range(_TRIES):
            try:
                self._commit = self._session.apply(part, swap_commit=self._commit)
            except RequestFailed as error:
                if error.name != "InvalidSwap" and 400 <= error.status < 500:
                    raise self._refusal(error, changes) from None
                time.sleep(_PAUSE_SECONDS * attempt)  # not after looking: who is slow to write finds another commit
                present = self._look(error)
            else:
                self._expected, self._made = after, self._made + 1
                return
            if present.cids == after:  # it was made, and only its answer got lost
                self._commit, self._expected, self._made = present.commit.cid, after, self._made + 1
                return
            self._require_expected(present)
            self._commit = present.commit.cid
        message = f"the repository changes all the time; {self._written()}"
        raise PublishError(message, where=self._session.pds, hint=self._again())

    def _refusal(self, error: RequestFailed, changes: Sequence[Change]) -> PublishError:
        if error.status == 413 and len(changes) == 1:
            message = f"{changes[0].name} is too large for this PDS ({error.what}); {self._written()}"
            return PublishError(message, where=self._session.pds, hint="list fewer, larger shards, and publish again")
        message = f"the PDS refused the records: {error.what}; {self._written()}"
        return PublishError(message, where=self._session.pds, hint=self._again())

    def _look(self, error: RequestFailed) -> Present:
        """The repository as it is now, after a commit that failed or may have."""
        try:
            return read_present(self._session)
        except NetworkError as second:
            whole = f"{error.what}; whether that commit was made can't be told ({second.what}); {self._written()}"
            raise PublishError(whole, where=self._session.pds, hint=self._again()) from None

    def _require_expected(self, present: Present) -> None:
        there = present.cids
        others = sorted(uri for uri in {*there, *self._expected} if there.get(uri) != self._expected.get(uri))
        if not others:
            return
        told = [f"    {_became(uri, self._expected, present)}" for uri in others[:_MANY]]
        more = [f"    and {len(others) - _MANY} more"] if len(others) > _MANY else []
        head = f"somebody else wrote to {self._session.handle} meanwhile; {self._written()}"
        raise PublishError("\n".join([head, *told, *more, self._again()]))

    def _written(self) -> str:
        return "nothing was written" if not self._made else f"{self._made} of {self._parts} commits were made"

    def _again(self) -> str:
        return "plan again" if not self._made else "publishing again goes on where it stopped"


def _write(change: Change) -> Write:
    collection, rkey = change.key[0], str(change.uri.rkey)
    if change.draft is None:
        return Write(action="delete", collection=collection, rkey=rkey)
    if change.action is Action.CREATE:
        return Write(action="create", collection=collection, rkey=rkey, value=change.draft.value)
    return Write(action="update", collection=collection, rkey=rkey, value=change.draft.value)


def _after(before: Mapping[AtUri, Cid], changes: Sequence[Change]) -> dict[AtUri, Cid]:
    """Our records once the changes are made."""
    after = dict(before)
    for change in changes:
        if change.cid is None:
            after.pop(change.uri, None)
        else:
            after[change.uri] = change.cid
    return after


def _became(uri: AtUri, expected: Mapping[AtUri, Cid], present: Present) -> str:
    record = present.records.get(uri)
    name = called(*record.key) if record is not None else str(uri)
    what = "is gone" if record is None else "was changed" if uri in expected else "is new"
    return f"{name} {what}" if record is None else f"{name} {what}  {uri}"
