"""Plan: the action for each record, compared with the repository. Nothing is written.

A record that isn't there is created, one with the same CID left, one with other content updated (a schema: an error).
A record marked as this set's but in no manifest is deleted, with prune.

- A record is matched by name (a schema and a label by name and version), not by record key, which other clients choose
  differently. It is built with the key and date of the existing record, so that *the same* means: the same CID.
- The mark of the set alone is no difference: a record published by code, or by another set, is left until something
  else in it changes. A record without the mark is never deleted.
- A label moves with its dataset's version: the record for ``digits@1.0.0`` becomes the one for ``digits@1.1.0``, as
  its target is no longer 1.0.0.
- An implied schema (code publishes a dataset of a class) need not be the same record: an existing one serves if it has
  the same fields.
- Planning uses public queries. Only :func:`~catalog.publish.apply.apply_plan` needs a login.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from catalog.atproto.session import MAX_BATCH_BYTES
from catalog.config import NetworkSettings
from catalog.errors import CatalogError, Fault
from catalog.manifest import DatasetDraft, require_publishable
from catalog.manifest.diagnostics import place
from catalog.publish.checksums import with_checksums
from catalog.publish.diff import differences
from catalog.publish.immutable_schemas import is_same_schema, refuse_changed_schemas, schema_key, serving_schemas
from catalog.publish.merge_checksums import with_published_checksums
from catalog.publish.repo_state import DELETION_ORDER, called, read_present, references_of
from catalog.records import DATASET, LABEL, SCHEMA, Dataset, Schema, label_order, read_record
from catalog.sanitize import html_table
from catalog.schema.atdata import unread_by_atdata
from catalog.syntax import AtUri, Datetime, Tid

if TYPE_CHECKING:
    from catalog.atproto.datamodel import Json
    from catalog.manifest import DraftKey, DraftRecord, ManifestSet
    from catalog.publish.diff import Difference
    from catalog.publish.repo_state import Present, PresentRecord, RepositoryReader
    from catalog.schema import SampleType
    from catalog.syntax import Cid, Did, RecordKey

_NO_SCHEMAS: Final[Mapping[AtUri, SampleType]] = MappingProxyType({})


class Action(StrEnum):
    """Action of a plan for a record."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    LEAVE = "leave"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The action for one record.

    ``key`` and ``name`` (``dataset 'digits'``) identify it in manifests. ``cid`` is the CID after the change, ``None``
    for a deletion. ``draft`` is the manifest's, ``None`` if no manifest declares it.
    """

    action: Action
    key: DraftKey
    name: str
    uri: AtUri
    cid: Cid | None
    draft: DraftRecord | None = None
    differences: tuple[Difference, ...] = ()

    def as_json(self) -> dict[str, object]:
        """Return the change as JSON."""
        found: dict[str, object] = {"action": str(self.action), "name": self.name, "uri": str(self.uri)}
        if self.cid is not None:
            found["cid"] = str(self.cid)
        if self.draft is not None:
            found |= {"file": str(self.draft.file), "line": self.draft.line}
        return {**found, "differences": [one.as_json() for one in self.differences]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All changes, in the order of execution: targets of references first, deletions last.

    ``present`` is the repository it was made against. ``warnings`` may have a place in a manifest.
    """

    did: Did
    handle: str
    pds: str
    set_name: str | None
    present: Present
    changes: tuple[Change, ...]
    warnings: tuple[Fault, ...] = ()

    def of(self, *actions: Action) -> tuple[Change, ...]:
        """Return the changes with one of these actions."""
        return tuple(change for change in self.changes if change.action in actions)

    @property
    def writes(self) -> tuple[Change, ...]:
        """Return the changes to write."""
        return tuple(change for change in self.changes if change.action is not Action.LEAVE)

    def _repr_html_(self) -> str:
        """Return the changes as a table, for notebooks; ``catalog plan`` shows the values, too."""
        rows = [(str(one.action), one.name, ", ".join(d.path for d in one.differences)) for one in self.writes]
        rows += [("warning", "", str(warning)) for warning in self.warnings]
        note = ", ".join(f"{len(self.of(action))} to {action}" for action in Action if action is not Action.LEAVE)
        note = f"{note}, {len(self.of(Action.LEAVE))} unchanged"
        return html_table(f"Plan for {self.handle}", ("action", "record", "fields"), rows, note=note)

    def as_json(self) -> dict[str, object]:
        """Return the plan as JSON."""
        return {
            "did": str(self.did),
            "handle": self.handle,
            "pds": self.pds,
            "commit": str(self.present.commit.cid),
            "rev": str(self.present.commit.rev),
            "manifestSet": self.set_name,
            "counts": {str(action): len(self.of(action)) for action in Action},
            "changes": [change.as_json() for change in self.changes],
            "warnings": [str(warning) for warning in self.warnings],
        }


def make_plan(
    manifests: ManifestSet,
    account: RepositoryReader,
    *,
    set_name: str | None = None,
    prune: bool = False,
    hash_local: bool = True,
    compare: int | None = None,
    published: Mapping[AtUri, SampleType] = _NO_SCHEMAS,
) -> Plan:
    """Plan the publication of a set of manifests to an account's repository.

    ``set_name`` marks the records that are written; with ``prune``, records with that mark that no manifest declares
    are deleted. Local copies are hashed, and ``compare`` samples of each, by default all, compared with their schema;
    ``published`` are the schemas of other accounts that datasets name. ``hash_local=False`` is for a set in which
    :func:`~catalog.publish.checksums.with_checksums` has done that.

    Raises :class:`PublishError`, a line each, if a published schema would change; :class:`InvalidManifest` for
    placeholders and URLs that expire, and if a local shard differs from its checksum or its schema; a
    ``NetworkError``.
    """
    require_publishable(manifests)
    present = read_present(account)
    if hash_local:
        known = {**dict(_own_schemas(manifests, present)), **published}
        manifests = with_checksums(
            manifests, read_urls=False, settings=NetworkSettings(), compare=compare, published=known
        )
    serving = serving_schemas(manifests.schemas, account.did, present)
    wanted = replace(manifests, schemas=tuple(one for one in manifests.schemas if schema_key(one) not in serving))
    drafts, moved = _drafts(wanted, account.did, present, set_name)
    refuse_changed_schemas(drafts, present)
    changes = [
        *(
            Change(action=Action.LEAVE, key=key, name=called(*key), uri=uri, cid=present.records[uri].cid)
            for key, uri in serving.items()
        ),
        *(_change(draft, present) for draft in drafts),
    ]
    meant = {change.uri for change in changes}
    gone = [one for one in present.records.values() if one.mark is not None and one.mark == set_name]
    deletions, notes = _deletions([one for one in gone if one.uri not in meant], present, meant, prune=prune)
    return Plan(
        did=account.did,
        handle=account.handle,
        pds=account.pds,
        set_name=set_name,
        present=present,
        changes=(*changes, *deletions),
        warnings=(
            *_warnings(changes, moved),
            *_large(changes),
            *_without_manifests(changes),
            *_unread_by_atdata(wanted, changes),
            *notes,
        ),
    )


def _drafts(
    manifests: ManifestSet, did: Did, present: Present, set_name: str | None
) -> tuple[tuple[DraftRecord, ...], frozenset[DraftKey]]:
    """Return the records with key, date and mark of the existing ones, and the keys of the labels that moved."""
    rkeys, created = dict(present.rkeys), dict(present.created)
    by_key = {key: present.records[uri] for key, uri in _uris(did, present.rkeys) if uri in present.records}
    moved = dict(_moved_labels(manifests, by_key, present))
    for key, label in moved.items():
        if label.uri.rkey is not None:
            rkeys[key], by_key[key] = label.uri.rkey, label
            if label.key in present.created:
                created[key] = present.created[label.key]
    marks = {key: record.mark for key, record in by_key.items()}
    complete = with_published_checksums(manifests, by_key)
    moment, clock = Datetime.of(datetime.now(UTC)), _clock()

    def build() -> tuple[DraftRecord, ...]:
        return complete.records(
            did,
            created_at=moment,
            new_tid=clock,
            rkeys=rkeys,
            created=created,
            mark=set_name,
            marks=marks,
            hash_local=False,
        )

    drafts = build()
    changed = [one.key for one in drafts if one.uri in present.records and present.records[one.uri].cid != one.cid]
    stale = [key for key in changed if set_name is not None and marks.get(key, set_name) != set_name]
    if not stale:
        return drafts, frozenset(moved)
    marks |= dict.fromkeys(stale, set_name)  # a changed record gets our mark; the CID of a lens is in its verifications
    rkeys |= {one.key: one.uri.rkey for one in drafts if one.uri.rkey is not None}
    return build(), frozenset(moved)


def _own_schemas(manifests: ManifestSet, present: Present) -> Iterator[tuple[AtUri, SampleType]]:
    """Yield the schemas of the account itself that datasets name by URI."""
    for draft in manifests.datasets:
        there = present.records.get(draft.schema) if isinstance(draft.schema, AtUri) else None
        if there is None:
            continue
        try:
            record = read_record(SCHEMA, there.value)
        except CatalogError:  # an invalid schema, written by another client
            continue
        if isinstance(record, Schema) and record.sample_type.foreign is None:
            yield there.uri, record.sample_type


def _uris(did: Did, rkeys: Mapping[DraftKey, RecordKey]) -> Iterator[tuple[DraftKey, AtUri]]:
    for key, rkey in rkeys.items():
        yield key, AtUri.of(did, key[0], rkey)


def _moved_labels(
    manifests: ManifestSet, by_key: Mapping[DraftKey, PresentRecord], present: Present
) -> Iterator[tuple[DraftKey, PresentRecord]]:
    """Yield, for each dataset with a new version, our newest label of another one."""
    kept = {(LABEL, one.name, one.version) for one in manifests.datasets if one.version is not None}
    kept |= {(LABEL, one.name, one.version or "") for one in manifests.labels}
    labels: dict[str, list[PresentRecord]] = {}
    for record in present.records.values():
        if record.key[0] == LABEL and record.mark is not None and record.key not in kept:
            labels.setdefault(_text(record.value, "datasetUri"), []).append(record)
    for dataset in manifests.datasets:
        key = (LABEL, dataset.name, dataset.version or "")
        there = by_key.get((DATASET, dataset.name, ""))
        if dataset.version is None or key in by_key or there is None:
            continue
        ours = [one for one in labels.get(str(there.uri), ()) if one.key[1] == dataset.name]
        if ours:
            yield key, max(ours, key=lambda one: label_order(_text(one.value, "createdAt"), one.key[2], str(one.uri)))


def _clock() -> Callable[[], Tid]:
    """Return a generator of increasing TIDs, starting now, with a random clock identifier."""
    identifier = secrets.randbelow(1024)
    last = 0

    def tick() -> Tid:
        nonlocal last
        now = int(datetime.now(UTC).timestamp() * 1_000_000)
        last = max(now, last + 1)
        return Tid.at(last, identifier)

    return tick


def _change(draft: DraftRecord, present: Present) -> Change:
    there = present.records.get(draft.uri)
    name = called(*draft.key)
    if there is None:
        found = differences({}, draft.value)
        return Change(
            action=Action.CREATE, key=draft.key, name=name, uri=draft.uri, cid=draft.cid, draft=draft, differences=found
        )
    same = there.cid == draft.cid or is_same_schema(draft, there)
    return Change(
        action=Action.LEAVE if same else Action.UPDATE,
        key=draft.key,
        name=name,
        uri=draft.uri,
        cid=there.cid if same else draft.cid,
        draft=draft,
        differences=() if same else differences(there.value, draft.value),
    )


def _deletions(
    gone: Sequence[PresentRecord], present: Present, meant: set[AtUri], *, prune: bool
) -> tuple[list[Change], list[Fault]]:
    """Return the deletions, and notes about them. A schema with a remaining reference is kept."""
    if not gone:
        return [], []
    if not prune:
        names = ", ".join(called(*one.key) for one in gone[:5]) + (", …" if len(gone) > 5 else "")
        count = "1 published record is" if len(gone) == 1 else f"{len(gone)} published records are"
        text = f"{count} in no manifest any more ({names})"
        return [], [Fault(where="", message=text, hint="--prune deletes them")]
    doomed = {one.uri: one for one in gone}
    notes: list[Fault] = []
    for one in gone:
        users = [
            uri
            for uri, record in present.records.items()
            if uri not in doomed and one.uri in references_of(record.value)
        ]
        if not users:
            continue
        by = ", ".join(called(*present.records[uri].key) for uri in users[:3]) + (", …" if len(users) > 3 else "")
        if one.key[0] == SCHEMA:
            del doomed[one.uri]
            notes.append(Fault(where="", message=f"{called(*one.key)} stays: {by} still refers to it"))
        elif not meant.issuperset(users):
            text = f"{by} of no manifest of this set will refer to {called(*one.key)}, which is deleted"
            notes.append(Fault(where="", message=text, hint="catalog withdraw deletes single records"))
    ordered = sorted(doomed.values(), key=lambda one: (DELETION_ORDER.index(one.key[0]), one.uri))
    return [
        Change(action=Action.DELETE, key=one.key, name=called(*one.key), uri=one.uri, cid=None) for one in ordered
    ], notes


def _warnings(changes: Sequence[Change], moved: frozenset[DraftKey]) -> list[Fault]:
    """Warn about datasets whose shards changed under the same version."""
    versions = {
        str(change.draft.value["datasetUri"]): change
        for change in changes
        if change.draft is not None and change.key[0] == LABEL
    }
    found = []
    for change in changes:
        label = versions.get(str(change.uri))
        if change.action is not Action.UPDATE or change.draft is None or label is None:
            continue
        data = any(one.path.startswith(("shards", "blobs", "storage", "schema")) for one in change.differences)
        if data and label.action is Action.LEAVE and label.key not in moved:
            text = f"{change.name} has other data under the same version {label.key[2]}"
            hint = "users of that version need a new one"
            found.append(Fault(where=place(change.draft.file, change.draft.line), message=text, hint=hint))
    return found


def _unread_by_atdata(manifests: ManifestSet, changes: Sequence[Change]) -> Iterator[Fault]:
    """Warn about new schemas for which atdata, another client of these records, can't make a class."""
    new = {change.key for change in changes if change.action is Action.CREATE}
    for schema in manifests.schemas:
        found = unread_by_atdata(schema.sample_type)
        if found is not None and schema_key(schema) in new:
            text = f"{called(*schema_key(schema))} can't be read by atdata: {found[0]}"
            yield Fault(where=place(schema.file, schema.line), message=text, hint=found[1])


def _large(changes: Sequence[Change]) -> Iterator[Fault]:
    """Warn about records beyond the reference PDS's request limit; other servers may accept them."""
    for change in changes:
        if change.draft is None or change.action is Action.LEAVE:
            continue
        size = len(json.dumps(change.draft.value, ensure_ascii=False, separators=(",", ":")).encode())
        if size > MAX_BATCH_BYTES:
            text = f"{change.name} has {size:,} bytes; many servers accept at most {MAX_BATCH_BYTES:,} in one request"
            where = place(change.draft.file, change.draft.line)
            yield Fault(where=where, message=text, hint="list fewer, larger shards")


def _without_manifests(changes: Sequence[Change]) -> Iterator[Fault]:
    """Warn about datasets with ``manifests: true`` of which a shard wasn't read."""
    for change in changes:
        found = change.draft
        if found is None or not isinstance(found.draft, DatasetDraft) or not isinstance(found.record, Dataset):
            continue
        if found.draft.manifests and not found.record.manifests:
            first = next((one for one in found.draft.shards if one.manifest is None), None)
            where = place(found.file, found.line if first is None else first.line)
            text = f"{change.name} gets no shard manifests: not all of its shards were read"
            yield Fault(where=where, message=text, hint="name their local copies, or pass --read-urls")


def _text(value: Json, key: str) -> str:
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, str) else ""
