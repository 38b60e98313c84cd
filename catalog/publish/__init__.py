"""Manifests, or drafts made by code, to an account's repository: what isn't there is written, nothing else is touched.

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
- A schema that is only implied (code publishes a dataset of a class) need not be the same record: the one that is
  there serves when it has the same fields.
- The repository must not change between reading and writing: the commit we read is the one we write onto.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from catalog.errors import CatalogError, PublishError, RequestFailed
from catalog.network.session import Write, batches
from catalog.publish.present import Present, read_present
from catalog.records import DATASET, LABEL, LENS, SCHEMA, Schema, read_record
from catalog.syntax import AtUri, Datetime, Tid

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from catalog.datamodel import Json
    from catalog.manifest import DraftKey, DraftRecord, ManifestSet, SchemaDraft
    from catalog.network.session import Session
    from catalog.sampletype import FieldType, SampleType
    from catalog.syntax import Cid, Did

__all__ = ["PublishReport", "Published", "publish", "publish_drafts"]

_KINDS: Final = {SCHEMA: "schema", DATASET: "dataset", LENS: "lens", LABEL: "label"}
_IMMUTABLE: Final = "published versions are immutable: give the changed schema a new version"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A record that is in the repository now. ``name`` is its kind and name; ``created`` says that it is new."""

    key: DraftKey
    uri: AtUri
    cid: Cid
    name: str
    created: bool


def publish(
    manifests: ManifestSet, session: Session, *, progress: Callable[[str], object] | None = None
) -> PublishReport:
    """Write what a set of manifests says to the session's repository, as :func:`publish_drafts` does, and report."""
    done = publish_drafts(manifests, session, progress=progress)
    return PublishReport(
        created=tuple(str(one.uri) for one in done if one.created),
        unchanged=tuple(str(one.uri) for one in done if not one.created),
        names={str(one.uri): one.name for one in done},
    )


def publish_drafts(
    manifests: ManifestSet, session: Session, *, progress: Callable[[str], object] | None = None
) -> tuple[Published, ...]:
    """Write what a set of drafts says to the session's repository; those referred to come first in the answer.

    Raises :class:`PublishError` when a record is there already with other content, or something else was written
    meanwhile; :class:`InvalidManifest` when a local shard isn't the one promised; a ``NetworkError``. In all these
    cases nothing was written, unless there are more records than one commit holds: then the error says so.
    """
    say = progress or (lambda _text: None)
    say(f"reading the repository of {session.handle}")
    commit = session.latest_commit()
    present = read_present(session)
    serving = _serving(manifests.schemas, session.did, present)
    wanted = replace(manifests, schemas=tuple(one for one in manifests.schemas if _schema_key(one) not in serving))
    drafts = wanted.records(
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
        _write(session, new, commit.cid)
    return (
        *(
            Published(key=key, uri=uri, cid=present.cids[uri], name=_called(*key), created=False)
            for key, uri in serving.items()
        ),
        *(
            Published(
                key=draft.key,
                uri=draft.uri,
                cid=draft.cid,
                name=_called_draft(draft),
                created=draft.uri not in present.cids,
            )
            for draft in drafts
        ),
    )


def _schema_key(draft: SchemaDraft) -> DraftKey:
    return (SCHEMA, draft.sample_type.name, draft.sample_type.version)


def _serving(schemas: Sequence[SchemaDraft], did: Did, present: Present) -> dict[DraftKey, AtUri]:
    """The records that stand already for schemas which are only implied. Raises :class:`PublishError`, a line each."""
    found: dict[DraftKey, AtUri] = {}
    lines: list[str] = []
    for draft in schemas:
        key = _schema_key(draft)
        rkey = present.rkeys.get(key)
        if not draft.implied or rkey is None:
            continue
        uri = AtUri.of(did, SCHEMA, rkey)
        if _has_fields_of(present.schemas.get(uri), draft.sample_type):
            found[key] = uri
        else:
            lines.append(f"{draft.file}:{draft.line}: {_called(*key)} is published with other fields; {_IMMUTABLE}")
    if lines:
        raise PublishError("\n".join([*lines, "nothing was written"]))
    return found


def _has_fields_of(value: Json, wanted: SampleType) -> bool:
    """Whether samples of a published schema are samples of ``wanted``: the order and the descriptions don't matter."""
    try:
        record = read_record(SCHEMA, value)
    except CatalogError:
        return False
    return isinstance(record, Schema) and _fields(record.sample_type) == _fields(wanted)


def _fields(sample_type: SampleType) -> dict[str, tuple[FieldType, bool]]:
    return {field.name: (field.type, field.optional) for field in sample_type.fields}


def _check(drafts: Sequence[DraftRecord], present: Present) -> None:
    """Refuse drafts that would change a record that is there; all of them in one error, a line each."""
    lines = [
        f"{draft.file}:{draft.line}: {_conflict(draft)}"
        for draft in drafts
        if draft.uri in present.cids and present.cids[draft.uri] != draft.cid
    ]
    if lines:
        raise PublishError("\n".join([*lines, "nothing was written"]))


def _called(collection: str, name: str, version: str = "") -> str:
    """Its kind and name, as its manifest has them."""
    shown = f"{name}@{version}" if version else repr(name)
    return f"{_KINDS.get(collection, 'verification')} {shown}"


def _called_draft(draft: DraftRecord) -> str:
    return _called(draft.collection, draft.name, draft.version or "")


def _conflict(draft: DraftRecord) -> str:
    if draft.collection == SCHEMA:
        return f"{_called_draft(draft)} is published with other content; {_IMMUTABLE}"
    advice = "changing records comes with plan and apply; until then publish it under another name, or undo the change"
    return f"{_called_draft(draft)} is published with other content ({draft.uri}); {advice}"


def _write(session: Session, new: Sequence[DraftRecord], commit: Cid) -> None:
    writes = [
        Write(action="create", collection=draft.collection, rkey=str(draft.uri.rkey), value=draft.value)
        for draft in new
    ]
    parts = tuple(batches(writes))
    made = 0
    try:
        for batch in parts:
            commit = session.apply(batch, swap_commit=commit)
            made += 1
    except RequestFailed as error:
        if error.name == "InvalidSwap":
            raise PublishError("the repository was changed meanwhile", hint="try again") from None
        whole = "nothing was written" if made == 0 else f"{made} of {len(parts)} commits were made"
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
