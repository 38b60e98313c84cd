"""Manifests to an account's repository: what isn't there yet is written, and nothing else is touched.

::

    repository ─▶ which record is which ─┐
                                          ├─▶ the same? ─▶ unchanged
    manifests ─▶ records with those keys ─┘   new?      ─▶ created, all in one commit
                                              different? ─▶ PublishError, nothing written

Tricky bits
-----------
- A record of a manifest is found again by its name (a schema and a label by name and version), not by its record key,
  which others choose otherwise. It is built with the key and date of the one that is there, so that *the same* means:
  the same CID.
- The repository must not change between reading and writing: the commit we read is the one we write onto.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from catalog.errors import PublishError, RequestFailed
from catalog.network.session import Write, batches
from catalog.publish.present import Present, read_present
from catalog.records import DATASET, LABEL, LENS, SCHEMA
from catalog.syntax import Datetime, Tid

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from catalog.manifest import DraftRecord, ManifestSet
    from catalog.network.session import Session

__all__ = ["PublishReport", "publish"]

_KINDS: Final = {SCHEMA: "schema", DATASET: "dataset", LENS: "lens", LABEL: "label"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishReport:
    """What became of the records, as AT-URIs in their order; ``names`` is what their manifests call them."""

    created: tuple[str, ...]
    unchanged: tuple[str, ...]
    names: Mapping[str, str] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """One line for each new record, and a closing one."""
        new = [f"created {self.names.get(uri, 'record')}  {uri}" for uri in self.created]
        return [*new, f"{len(self.created)} created, {len(self.unchanged)} unchanged"]


def publish(
    manifests: ManifestSet, session: Session, *, progress: Callable[[str], object] | None = None
) -> PublishReport:
    """Write what a set of manifests says to the session's repository.

    Raises :class:`PublishError` when a record is there already with other content, or something else was written
    meanwhile; :class:`InvalidManifest` when a local shard isn't the one promised; a ``NetworkError``. In all these
    cases nothing was written, unless there are more records than one commit holds: then the error says so.
    """
    say = progress or (lambda _text: None)
    say(f"reading the repository of {session.handle}")
    commit = session.latest_commit()
    present = read_present(session)
    drafts = manifests.records(
        session.did,
        created_at=Datetime.of(datetime.now(UTC)),
        new_tid=_clock(),
        rkeys=present.rkeys,
        created=present.created,
    )
    _check(drafts, present)
    new = [draft for draft in drafts if draft.uri not in present.cids]
    if new:
        say(f"writing {len(new)} records")
        _write(session, new, str(commit.cid))
    return PublishReport(
        created=tuple(str(draft.uri) for draft in new),
        unchanged=tuple(str(draft.uri) for draft in drafts if draft.uri in present.cids),
        names={str(draft.uri): _called(draft) for draft in drafts},
    )


def _check(drafts: Sequence[DraftRecord], present: Present) -> None:
    """Refuse drafts that would change a record that is there; all of them in one error, a line each."""
    lines = [
        f"{draft.file}:{draft.line}: {_conflict(draft)}"
        for draft in drafts
        if draft.uri in present.cids and present.cids[draft.uri] != draft.cid
    ]
    if lines:
        raise PublishError("\n".join([*lines, "nothing was written"]))


def _called(draft: DraftRecord) -> str:
    """Its kind and name, as its manifest has them."""
    name = repr(draft.name) if draft.version is None else f"{draft.name}@{draft.version}"
    return f"{_KINDS.get(draft.collection, 'verification')} {name}"


def _conflict(draft: DraftRecord) -> str:
    if draft.collection == SCHEMA:
        advice = "published versions are immutable: give the changed schema a new version"
        return f"{_called(draft)} is published with other content; {advice}"
    advice = "changing records comes with plan and apply; until then publish it under another name, or undo the change"
    return f"{_called(draft)} is published with other content ({draft.uri}); {advice}"


def _write(session: Session, new: Sequence[DraftRecord], commit: str) -> None:
    writes = [
        Write(action="create", collection=draft.collection, rkey=str(draft.uri.rkey), value=draft.value)
        for draft in new
    ]
    parts = len(list(batches(writes)))
    try:
        session.apply_writes(writes, swap_commit=commit)
    except RequestFailed as error:
        if error.name == "InvalidSwap":
            raise PublishError("the repository was changed meanwhile; nothing was written", hint="try again") from None
        whole = "nothing was written" if parts == 1 else f"some of the {parts} commits may have been made"
        hint = "publishing again goes on where it stopped"
        message = f"the PDS refused the records: {error.what}; {whole}"
        raise PublishError(message, where=session.pds, hint=hint) from None


def _clock() -> Callable[[], Tid]:
    """TIDs from now on, each later than the one before, on a clock of our own."""
    identifier = secrets.randbelow(1024)
    last = 0

    def tick() -> Tid:
        nonlocal last
        now = int(datetime.now(UTC).timestamp() * 1_000_000)
        last = max(now, last + 1)
        return Tid.at(last, identifier)

    return tick
