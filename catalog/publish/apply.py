"""Apply a plan: write it in as few commits as the protocol allows, and only if the repository is as planned.

Blobs are uploaded first, then 200 writes are sent at a time, each commit onto the one before (``swapCommit``). If the
repository changed meanwhile, the plan continues if the *planned* records are unchanged.

- A commit is atomic, a plan of several commits isn't. Run again, it continues: existing records are found by name.
- A commit may have been made even if its response is lost or is a 500. The repository is read and compared first;
  after a 500, a commit isn't retried if the repository is unchanged.
- Not every server compares ``swapCommit``: some refuse it, some ignore it. Unless it is known to be compared, the
  latest commit is compared right before each write, and all records and commits after it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from catalog.atproto.session import SMALLER_BLOBS, Swap, Write, batches
from catalog.errors import NetworkError, PublishError, RequestFailed
from catalog.publish.plan import Action
from catalog.publish.repo_state import called, read_present
from catalog.sanitize import one_line
from catalog.syntax import Cid

if TYPE_CHECKING:
    from catalog.atproto.session import Session
    from catalog.manifest import LocalBlob
    from catalog.publish.plan import Change, Plan
    from catalog.publish.repo_state import Present
    from catalog.syntax import AtUri

_MAX_ATTEMPTS: Final = 8
"""Attempts for a commit while others write to the same account."""
_MAX_OUTAGE_ATTEMPTS: Final = 4
"""Attempts for a commit while the server doesn't answer or is temporarily unavailable."""
_FINAL: Final = (500, 501)
"""Statuses of a failed server, not of a temporarily unavailable one."""
_PAUSE_SECONDS: Final = 0.2
_MAX_LISTED: Final = 5
_UNGUARDED: Final = {
    Swap.REFUSED: "doesn't support swapCommit",
    Swap.IGNORED: "doesn't compare swapCommit",
    Swap.UNKNOWN: "may not support swapCommit",
}
"""Warning texts for a server that isn't known to compare ``swapCommit``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """Result of applying: number of commits and uploaded blobs. ``warnings`` are a line each."""

    commits: int
    blobs: int
    warnings: tuple[str, ...] = ()


def apply_plan(plan: Plan, session: Session, *, progress: Callable[[str], object] | None = None) -> Applied:
    """Write the changes of a plan, if there are any.

    Raises :class:`PublishError` if our records in the repository aren't those that the plan was made against, or the
    PDS refuses them; a ``NetworkError``. The message says what was written before.
    """
    if session.did != plan.did:
        message = f"the plan is for {plan.did}, the session is of {session.did}"
        raise PublishError(message, hint="plan again")
    changes = plan.writes
    if not changes:
        return Applied(commits=0, blobs=0)
    say = progress or (lambda _text: None)
    blobs = _upload(changes, session, say)
    writing = _Writing(plan, session, say)
    commits = writing.run(changes)
    return Applied(commits=commits, blobs=blobs, warnings=tuple(writing.warnings))


def _upload(changes: Sequence[Change], session: Session, say: Callable[[str], object]) -> int:
    """Upload the blobs that the repository lacks, each once, and return their number."""
    wanted = {blob.cid: blob for change in changes if change.draft is not None for blob in change.draft.blobs}
    there = session.has_blobs(wanted) if wanted else set()
    missing = [blob for cid, blob in wanted.items() if cid not in there]
    _check_sizes(missing, session)
    for number, blob in enumerate(missing, 1):
        if blob.path is None:
            message = f"the blob {blob.cid} isn't in the repository, and there is no local copy of it"
            raise PublishError(message, hint="publish where the file is")
        say(f"uploading {blob.path.name} ({blob.size:,} bytes), {number} of {len(missing)}")
        stored = session.upload_blob(blob.path, cid=blob.cid, size=blob.size, mime_type=blob.mime_type)
        if stored != blob.mime_type:
            message = f"the server stored {blob.path.name} as {one_line(stored, 100)}, by its first bytes"
            hint = f"a record must repeat that type, and the lexicon takes {blob.mime_type} alone: make it a plain tar"
            raise PublishError(f"{message}; nothing was written", where=session.pds, hint=hint)
    return len(missing)


def _check_sizes(missing: Sequence[LocalBlob], session: Session) -> None:
    """Raise before the first upload if a blob exceeds the server's limit."""
    limit = session.blob_limit() if missing else None
    large = [] if limit is None else [blob for blob in missing if blob.size > limit]
    if large:
        names = ", ".join(f"{blob.path.name if blob.path else blob.cid} has {blob.size:,} bytes" for blob in large[:5])
        more = f" and {len(large) - 5} more" if len(large) > 5 else ""
        message = f"{names}{more}, more than this server takes as a blob ({limit:,} bytes)"
        raise RequestFailed(message, status=413, name="BlobTooLarge", where=session.pds, hint=SMALLER_BLOBS)


class _Writing:
    """The commits of one plan, with the expected state of our records."""

    def __init__(self, plan: Plan, session: Session, say: Callable[[str], object]) -> None:
        self._session, self._say = session, say
        self._commit = plan.present.commit
        self._expected: dict[AtUri, Cid] = plan.present.cids
        self._made = 0
        self._parts = 0
        self._swap = Swap.UNKNOWN
        self.warnings: list[str] = []

    def run(self, changes: Sequence[Change]) -> int:
        by_place = {(change.key[0], str(change.uri.rkey)): change for change in changes}
        parts = tuple(batches([_write(change) for change in changes]))
        self._parts = len(parts)
        self._swap = self._session.swap()
        if self._swap is not Swap.KEPT:
            self._warn(
                f"{self._session.pds} {_UNGUARDED[self._swap]}, so it may overwrite concurrent changes. "
                "The repository is compared before and after each write; don't change these records "
                "elsewhere until this is done"
            )
        done = 0
        for part in parts:
            self._say(f"writing {done + 1} to {done + len(part)} of {len(changes)} records")
            self._part(part, [by_place[write.collection, write.rkey] for write in part])
            done += len(part)
        return self._made

    def _part(self, part: Sequence[Write], changes: Sequence[Change]) -> None:
        after = _after(self._expected, changes)
        error: RequestFailed | None = None
        for attempt in range(_MAX_ATTEMPTS):
            try:
                if self._swap is not Swap.KEPT:
                    self._require_newest()
                swap_commit = None if self._swap is Swap.REFUSED else self._commit.cid
                made = self._session.apply(part, swap_commit=swap_commit)
            except RequestFailed as failed:
                error = failed
                if self._made_after_all(failed, changes, after, attempt):
                    return
            else:
                self._expected, self._made = after, self._made + 1
                if self._swap is Swap.KEPT:
                    self._commit = replace(self._commit, cid=made)
                else:
                    self._compare(made)
                return
        message = f"the repository keeps changing; {self._written()}"
        if error is not None:
            message += f"; the last answer was {error.what}"
        raise PublishError(message, where=self._session.pds, hint=self._again())

    def _made_after_all(
        self, error: RequestFailed, changes: Sequence[Change], after: dict[AtUri, Cid], attempt: int
    ) -> bool:
        """Return whether the commit was made in spite of the error; False if it should be retried.

        Raises :class:`PublishError` if a retry is useless.
        """
        if error.name != "InvalidSwap" and 400 <= error.status < 500:
            raise self._refusal(error, changes)
        time.sleep(_PAUSE_SECONDS * attempt)  # not after reading: a slow writer would find another commit
        present = self._look(error)
        moved, self._commit = present.commit.cid != self._commit.cid, present.commit
        if present.cids == after:  # it was made, and only its response was lost
            self._expected, self._made = after, self._made + 1
            return True
        self._require_expected(present)
        out = error.status in _FINAL or attempt + 1 >= _MAX_OUTAGE_ATTEMPTS
        if not moved and error.name != "InvalidSwap" and out:
            message = f"the PDS wrote nothing and answered {error.what}; {self._written()}"
            hint = f"{self._again()}; if it persists, ask the server's administrator for its log"
            raise PublishError(message, where=self._session.pds, hint=hint)
        return False

    def _refusal(self, error: RequestFailed, changes: Sequence[Change]) -> PublishError:
        if error.status == 413 and len(changes) == 1:
            message = f"{changes[0].name} is too large for this PDS ({error.what}); {self._written()}"
            return PublishError(message, where=self._session.pds, hint="list fewer, larger shards, and publish again")
        message = f"the PDS refused the records: {error.what}; {self._written()}"
        hint = self._again()
        if error.name == "InvalidMimeType":
            hint = f"the server stored a blob as another media type than the record names; {hint}"
        return PublishError(message, where=self._session.pds, hint=hint)

    def _require_newest(self) -> None:
        """Raise :class:`PublishError` if our records changed since the last commit."""
        if self._session.latest_commit().cid == self._commit.cid:
            return
        present = read_present(self._session)
        self._require_expected(present)
        self._commit = present.commit

    def _compare(self, made: Cid) -> None:
        """Detect writes of others between the comparison before a write and the write."""
        before = self._commit
        try:
            present = read_present(self._session)
        except NetworkError as error:
            message = (
                f"another client may have written at the same time; that is unknown ({error.what}); {self._written()}"
            )
            raise PublishError(message, where=self._session.pds, hint="compare with `catalog plan`") from None
        self._commit = present.commit
        self._require_expected(present)
        commits = {Cid.of_binary(commit.cid): commit for commit in self._session.commits_since(before.rev)}
        own = commits.get(made)
        if own is None:
            return
        between = any(commit.rev < own.rev for commit in commits.values())
        if between or (own.prev is not None and own.prev != before.cid.binary):
            self._warn(
                f"another commit was made to {self._session.handle} right before this write, and the server didn't "
                "refuse it. If that commit changed one of the records just written, its change is lost: check them"
            )

    def _warn(self, text: str) -> None:
        self.warnings.append(text)
        self._say(f"warning: {text}")

    def _look(self, error: RequestFailed) -> Present:
        """Read the repository after a commit that failed or may have failed."""
        try:
            return read_present(self._session)
        except NetworkError as second:
            whole = f"{error.what}; it is unknown whether that commit was made ({second.what}); {self._written()}"
            raise PublishError(whole, where=self._session.pds, hint=self._again()) from None

    def _require_expected(self, present: Present) -> None:
        there = present.cids
        others = sorted(uri for uri in {*there, *self._expected} if there.get(uri) != self._expected.get(uri))
        if not others:
            return
        lines = [f"    {_became(uri, self._expected, present)}" for uri in others[:_MAX_LISTED]]
        more = [f"    and {len(others) - _MAX_LISTED} more"] if len(others) > _MAX_LISTED else []
        head = f"another client wrote to {self._session.handle} meanwhile; {self._written()}"
        raise PublishError("\n".join([head, *lines, *more, self._again()]))

    def _written(self) -> str:
        return "nothing was written" if not self._made else f"{self._made} of {self._parts} commits were made"

    def _again(self) -> str:
        return "plan again" if not self._made else "publish again to continue"


def _write(change: Change) -> Write:
    collection, rkey = change.key[0], str(change.uri.rkey)
    if change.draft is None:
        return Write(action="delete", collection=collection, rkey=rkey)
    if change.action is Action.CREATE:
        return Write(action="create", collection=collection, rkey=rkey, value=change.draft.value)
    return Write(action="update", collection=collection, rkey=rkey, value=change.draft.value)


def _after(before: Mapping[AtUri, Cid], changes: Sequence[Change]) -> dict[AtUri, Cid]:
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
