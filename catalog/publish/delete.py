"""Delete records of the account, after reading which records refer to them.

Only the named records are deleted; with ``with_references`` also the account's own labels and verifications of them.
Other records that refer to them (datasets, lenses, records of other accounts) stay, with a broken reference, and are
listed first. References from other accounts are only known from a crawled store.

All deletions are one commit. Run again, the command reports that the records are gone. If only some are missing, a URI
is likely wrong: nothing is deleted. A manifest that still declares a record publishes it again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from catalog.atproto.session import MAX_BATCH_WRITES
from catalog.errors import CatalogError, PublishError
from catalog.manifest import load
from catalog.publish.plan import Action, Change, Plan
from catalog.publish.repo_state import DELETION_ORDER, called, read_present, references_of
from catalog.records import LABEL, VERIFICATION
from catalog.syntax import AtUri, Datetime, Tid

if TYPE_CHECKING:
    from catalog.atproto.datamodel import Json
    from catalog.publish.repo_state import Present, PresentRecord, RepositoryReader
    from catalog.store import Store

_DEPENDENT: Final = (LABEL, VERIFICATION)
"""Records that only make sense together with the deleted one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A record (``uri``, called ``name``) that refers to one that is withdrawn (``to``)."""

    uri: AtUri
    name: str
    to: AtUri

    def as_json(self) -> dict[str, object]:
        """Return the reference as JSON."""
        return {"uri": str(self.uri), "name": self.name, "to": str(self.to)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal:
    """The records to delete, and the references they leave behind. ``plan`` is for :func:`apply_plan`.

    ``gone`` are records that don't exist; then there is nothing to delete. ``own`` are records of the account that
    refer to deleted ones and stay; ``others`` those of other accounts, by handle or DID, as far as known. ``declared``
    are the places in manifests that would bring a record back.
    """

    plan: Plan
    gone: tuple[AtUri, ...] = ()
    own: tuple[Reference, ...] = ()
    others: Mapping[str, tuple[Reference, ...]]
    declared: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        """Yield lines for a terminal: the deleted records, then those that refer to them."""
        for uri in self.gone:
            yield f"{uri} does not exist (any more)"
        for change in self.plan.changes:
            yield f"delete {change.name}  {change.uri}"
        if self.own:
            along = any(one.uri.collection in (LABEL, VERIFICATION) for one in self.own)
            way = " (--with-references deletes labels and verifications as well)" if along else ""
            yield f"These records of yours stay with a broken reference{way}:"
            yield from (f"  {one.name}  {one.uri}" for one in self.own)
        for account, references in self.others.items():
            yield f"These records of {account} will have a broken reference:"
            yield from (f"  {one.name}  {one.uri}" for one in references)
        yield from (f"warning: {place}: publishing brings it back" for place in self.declared)

    def as_json(self) -> dict[str, object]:
        """Return the withdrawal as JSON."""
        return {
            "delete": [{"uri": str(change.uri), "name": change.name} for change in self.plan.changes],
            "gone": [str(uri) for uri in self.gone],
            "own": [one.as_json() for one in self.own],
            "others": {account: [one.as_json() for one in found] for account, found in self.others.items()},
            "declared": list(self.declared),
        }


def make_withdrawal(
    uris: Sequence[AtUri],
    account: RepositoryReader,
    *,
    with_references: bool = False,
    others: Mapping[str, tuple[Reference, ...]] | None = None,
    manifests: Path | None = None,
) -> Withdrawal:
    """Plan the withdrawal of records of an account. Nothing is written.

    ``others`` is the result of :func:`others_in`, ``manifests`` a file or folder that may declare them. Raises
    :class:`PublishError` for a record of another account, if only some of the records exist, and for more than one
    commit holds; a ``NetworkError``.
    """
    wanted = _own(uris, account)
    present = read_present(account)
    missing = [uri for uri in wanted if uri not in present.records]
    if missing and len(missing) < len(wanted):
        lines = "\n".join(f"{uri} does not exist" for uri in missing)
        raise PublishError(f"{lines}\nnothing was deleted", hint="remove it from the command if the others are right")
    found = [present.records[uri] for uri in wanted if uri in present.records]
    if with_references:
        about = _spellings([one.uri for one in found], account)
        found += [one for one in _referring(present, about) if one.uri.collection in _DEPENDENT]
        found = list({one.uri: one for one in found}.values())
    if len(found) > MAX_BATCH_WRITES:
        what = f"{len(found)} records; one commit deletes at most {MAX_BATCH_WRITES}"
        raise PublishError(f"{what}, and nothing was deleted", hint="withdraw them in parts, labels first")
    targets = {one.uri for one in found}
    spellings = _spellings(targets, account)
    ordered = sorted(found, key=lambda one: (DELETION_ORDER.index(str(one.uri.collection)), one.uri))
    return Withdrawal(
        plan=_plan(ordered, account, present),
        gone=tuple(missing),
        own=tuple(
            Reference(uri=one.uri, name=called(*one.key), to=next(_targets(one.value, spellings)))
            for one in _referring(present, spellings)
            if one.uri not in targets
        ),
        others={} if others is None else others,
        declared=() if manifests is None else tuple(_declared(manifests, account, present, targets)),
    )


def others_in(store: Store, uris: Sequence[AtUri], account: RepositoryReader) -> dict[str, tuple[Reference, ...]]:
    """Return the records of other accounts in a store that refer to these records, by handle (or DID), in order.

    Raises :class:`~catalog.errors.StoreError`.
    """
    spellings = _spellings(uris, account)
    handles = {str(repo.did): str(repo.handle or repo.did) for repo in store.repos()}
    found: defaultdict[str, list[Reference]] = defaultdict(list)
    for record in store.records():
        if record.draft or record.did == account.did:
            continue
        to = next(_targets(record.value, spellings), None)
        if to is not None:
            reference = Reference(uri=record.uri, name=_name(record.collection, record.value), to=to)
            found[handles.get(str(record.did), str(record.did))].append(reference)
    return {name: tuple(found[name]) for name in sorted(found)}


def _own(uris: Sequence[AtUri], account: RepositoryReader) -> list[AtUri]:
    """Return the URIs by the account's DID, each once. Raises :class:`PublishError` for one of another account."""
    strangers = [uri for uri in uris if uri.authority != account.did and uri.authority.lower() != account.handle]
    lines = [f"{uri} is not of {account.handle}" for uri in strangers]
    if lines:
        raise PublishError(
            "\n".join([*lines, "nothing was deleted"]), hint="records are withdrawn by their own account"
        )
    return list(dict.fromkeys(AtUri.of(account.did, str(uri.collection), str(uri.rkey)) for uri in uris))


def _referring(present: Present, spellings: Mapping[str, AtUri]) -> list[PresentRecord]:
    """Return the account's records that refer to one of these URIs."""
    return [one for one in present.records.values() if next(_targets(one.value, spellings), None) is not None]


def _spellings(uris: Sequence[AtUri] | set[AtUri], account: RepositoryReader) -> dict[str, AtUri]:
    by_did = [AtUri.of(account.did, str(uri.collection), str(uri.rkey)) for uri in uris]
    by_handle = {f"at://{account.handle}/{uri.collection}/{uri.rkey}": uri for uri in by_did}
    return {**by_handle, **{str(uri): uri for uri in by_did}}


def _targets(value: Json, spellings: Mapping[str, AtUri]) -> Iterator[AtUri]:
    """Iterate over those of the URIs that a record refers to, in the order of its fields."""
    return (spellings[target] for target in references_of(value) if target in spellings)


def _name(collection: str, value: Json) -> str:
    found = value if isinstance(value, dict) else {}
    name, version = ("lens", "verificationMethod") if collection == VERIFICATION else ("name", "version")
    return called(collection, str(found.get(name, "")), str(found.get(version, "")))


def _plan(records: Sequence[PresentRecord], account: RepositoryReader, present: Present) -> Plan:
    changes = tuple(
        Change(action=Action.DELETE, key=one.key, name=called(*one.key), uri=one.uri, cid=None) for one in records
    )
    return Plan(
        did=account.did, handle=account.handle, pds=account.pds, set_name=None, present=present, changes=changes
    )


def _declared(manifests: Path, account: RepositoryReader, present: Present, targets: set[AtUri]) -> Iterator[str]:
    """Yield the places in manifests that declare one of these records, or that a manifest can't be read."""
    tid = Tid.parse("2" * 13)
    try:
        drafts = load([manifests]).records(
            account.did,
            created_at=Datetime.of(datetime.now(UTC)),
            new_tid=lambda: tid,
            rkeys=present.rkeys,
            created=present.created,
            hash_local=False,
        )
    except CatalogError as error:
        yield f"{manifests} can't be read ({str(error).splitlines()[0]}); if it declares one of these"
        return
    for draft in drafts:
        if draft.uri in targets:
            yield f"{draft.file}:{draft.line} declares {called(*draft.key)}"
