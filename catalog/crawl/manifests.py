"""Manifests as a source: drafts of their records, shown before they are published.

Drafts belong to an account that can't exist. Their record keys depend only on their names, their dates on
``SOURCE_DATE_EPOCH`` (or are fixed), so that two builds of the same manifests are identical.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from catalog import records
from catalog.errors import Fault, InvalidConfig, InvalidManifest
from catalog.manifest import DraftKey, ManifestSet, load_sound
from catalog.manifest.checksums import ShardChecks
from catalog.manifest.diagnostics import place, shown
from catalog.shards.hash_local import LocalHasher
from catalog.store import Found, Repo
from catalog.syntax import Datetime, Did, RecordKey, Tid

if TYPE_CHECKING:
    from catalog.config import Source
    from catalog.crawl.report import Tally
    from catalog.store import Store

DRAFT_DID: Final = Did.parse("did:web:draft.invalid")
"""``.invalid`` is reserved for names that never exist (RFC 2606)."""
_MAX_FAULTS: Final = 100
"""Mistakes that are listed."""
_DEFAULT_EPOCH: Final = 946_684_800
"""2000-01-01: visibly not a real date."""


def crawl_manifests(source: Source, base: Path, store: Store, tally: Tally, *, compare: int | None = None) -> None:
    """Replace a source's drafts by the records of its valid manifests.

    ``compare`` samples of each local shard, by default all, are compared with the schema of its dataset.

    Raises :class:`InvalidManifest` with the mistakes of the others, after that. Without a valid manifest the drafts
    stay unchanged.
    """
    drafts, mistakes = load_sound(paths_of(base, source))
    if mistakes and not drafts.files:
        raise _invalid(mistakes)
    faults = list(mistakes)
    checks = ShardChecks(drafts.datasets, drafts.schemas, most=compare)
    checks.hash_local(LocalHasher.of_user())  # an hourly crawl shouldn't hash the same terabyte every hour
    drafts = replace(drafts, datasets=checks.sound(faults))
    rkeys = {key: _rkey(key) for key in _keys(drafts)}
    moment = _moment()
    made = drafts.records(
        DRAFT_DID,
        created_at=Datetime.of(moment),
        new_tid=lambda: Tid.at(0, 0),
        rkeys=rkeys,
        hash_local=False,
        faults=faults,
    )
    others = store.draft_sources((draft.uri for draft in made), besides=str(source))
    faults += [
        Fault(where=place(draft.file, draft.line), message=f"{shown(draft.name)!r} is in {others[draft.uri]} too")
        for draft in made
        if draft.uri in others
    ]
    found = [
        Found(uri=draft.uri, cid=draft.cid, value=draft.value, local=tuple(path.resolve() for path in draft.local))
        for draft in made
        if draft.uri not in others
    ]
    if faults and not found:
        raise _invalid(faults)
    repo = Repo(did=DRAFT_DID, source=str(source), draft=True)
    changes = store.replace(repo, found, [], moment=moment)
    changed = bool(changes.new or changes.updated or changes.removed)
    tally.count("manifests", "seen", "changed" if changed else "unchanged")
    tally.add("manifests", changes, [])
    if faults:
        raise _invalid(faults)


def _invalid(faults: Sequence[Fault]) -> InvalidManifest:
    """Return the mistakes as one error, shortened if there are very many."""
    more = len(faults) - _MAX_FAULTS
    if more <= 0:
        return InvalidManifest(tuple(faults))
    left = Fault(where="", message=f"{more:,} more mistakes", hint="catalog validate shows all of them")
    return InvalidManifest((*faults[:_MAX_FAULTS], left))


def paths_of(base: Path, source: Source) -> list[Path]:
    """Return the file or directory of a source, or the matches of its pattern, relative to the configuration."""
    value = source.value
    path = base / value
    if path.exists() or Path(value).is_absolute() or not any(char in value for char in "*?["):
        return [path]
    try:
        return sorted(base.glob(value)) or [path]
    except (ValueError, NotImplementedError) as error:
        raise InvalidConfig(f"not a pattern: {error}", where=str(source)) from None


def _keys(drafts: ManifestSet) -> list[DraftKey]:
    """Return the keys of all records but schemas, whose record keys are stable already."""
    keys = [(records.DATASET, dataset.name, "") for dataset in drafts.datasets]
    keys += [(records.LABEL, one.name, one.version) for one in drafts.datasets if one.version is not None]
    keys += [(records.LABEL, label.name, label.version or "") for label in drafts.labels]
    keys += [(records.LENS, lens.name, "") for lens in drafts.lenses]
    keys += [(records.VERIFICATION, str(word.lens), word.method) for word in drafts.verifications]
    return keys


def _rkey(key: DraftKey) -> RecordKey:
    """Return a TID that depends only on the key: its hash, used as a time."""
    digest = int.from_bytes(hashlib.sha256("\0".join(key).encode("utf-8", "surrogatepass")).digest()[:8], "big")
    return RecordKey.parse(Tid.at(digest >> 11, digest & 1023))


def _moment() -> datetime:
    text = os.environ.get("SOURCE_DATE_EPOCH") or str(_DEFAULT_EPOCH)
    try:
        return datetime.fromtimestamp(int(text), UTC)
    except (ValueError, OverflowError, OSError):
        raise InvalidConfig(f"{text[:50]!r} is not a number of seconds since 1970", where="SOURCE_DATE_EPOCH") from None
