"""Compare the shards of a manifest with the files that were found: faults with the line of the manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catalog.errors import Fault
from catalog.manifest.diagnostics import place, shown
from catalog.manifest.glob import instead_of, is_there
from catalog.shards.hash_cache import ShardStats

if TYPE_CHECKING:
    from catalog.errors import CatalogError
    from catalog.manifest.drafts import DatasetDraft, ShardDraft

__all__ = ["local_faults", "mismatches"]


def local_faults(
    draft: DatasetDraft, shard: ShardDraft, found: ShardStats | CatalogError, *, guess: bool = True
) -> list[Fault]:
    """Return the faults of a shard's local copy: it can't be read, or differs from what the manifest states.

    An absent copy is no fault if the manifest states checksum and size: manifests are published without the data.
    ``guess`` searches the folder for a similar name, which takes longer the more files it has.
    """
    name = shown(str(shard.local), 200)
    if isinstance(found, ShardStats):
        return mismatches(draft, shard, found, name)
    absent = shard.local is not None and not is_there(shard.local)
    if absent and shard.sha256 is not None and shard.bytes is not None:
        return []
    guess = guess and absent and bool(draft.lines)
    hint = found.hint or (instead_of(shard.local) if guess and shard.local is not None else None)
    message = f"the local copy {name!r} {found.what}"
    return [Fault(where=place(draft.file, shard.line), message=message, hint=hint)]


def mismatches(draft: DatasetDraft, shard: ShardDraft, found: ShardStats, name: str) -> list[Fault]:
    """Return a fault for each value that a manifest states of a shard and the file ``name`` doesn't have.

    Samples that don't fit the schema are a fault, too, if the file is the one with the stated checksum.
    """
    where = place(draft.file, shard.line)
    faults = []
    if shard.sha256 not in (None, found.sha256):
        message = f"'sha256' is {shard.sha256}, but {name!r} has {found.sha256}"
        faults.append(Fault(where=where, message=message, hint=found.misfit))
    elif found.misfit is not None:
        faults.append(Fault(where=where, message=f"{name!r}: {found.misfit}"))
    if shard.bytes not in (None, found.bytes):
        faults.append(Fault(where=where, message=f"'bytes' is {shard.bytes}, but {name!r} has {found.bytes}"))
    return faults
