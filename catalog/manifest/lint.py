"""Warnings about a valid manifest, before it is published."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from catalog.formatting import counted
from catalog.manifest.diagnostics import place, shown
from catalog.manifest.publishable import doubtful, unpublishable
from catalog.records.licences import is_spdx, spdx_like

if TYPE_CHECKING:
    from catalog.manifest.compile import ManifestSet
    from catalog.manifest.drafts import DatasetDraft, SchemaDraft

_MARK: Final = "TODO:"


def warnings(found: ManifestSet) -> tuple[str, ...]:
    """Return the warnings, a line each.

    Shards without a checksum, licences that are missing or not in SPDX, ambiguous values, TODOs.
    """
    lines = [line for line in (_unmeasured(found.datasets), _unlicensed(found.datasets)) if line is not None]
    licensed: tuple[SchemaDraft | DatasetDraft, ...] = (*found.schemas, *found.datasets)
    lines += (line for draft in licensed for line in _licence(draft))
    lines += found.doubts
    lines += (f"{fault}; `catalog plan` and `catalog publish` refuse it" for fault in unpublishable(found))
    lines += (str(fault) for fault in doubtful(found))
    lines += (line for file in found.files for line in _left_open(file))
    return tuple(lines)


def _unmeasured(drafts: tuple[DatasetDraft, ...]) -> str | None:
    """Count the shards without a checksum and without a local copy to hash."""
    missing = sum(shard.sha256 is None and shard.local is None for draft in drafts for shard in draft.shards)
    if not missing:
        return None
    return f"{counted(missing, 'shard')} without a checksum (--read-urls downloads them once to add it)"


def _unlicensed(drafts: tuple[DatasetDraft, ...]) -> str | None:
    without = [draft for draft in drafts if draft.license is None]
    if not without:
        return None
    first = without[0]
    which = f"{place(first.file, first.line)}: dataset {shown(first.name)!r}"
    verb = "has" if len(without) == 1 else "have"
    if len(without) > 1:
        which += f" and {len(without) - 1:,} more"
    return f"{which} {verb} no licence (add one, such as license: CC-BY-4.0)"


def _licence(draft: SchemaDraft | DatasetDraft) -> Iterator[str]:
    text = draft.license
    if text is None or is_spdx(text) or text.startswith(("https://", "http://")):
        return
    similar = spdx_like(text)
    hint = "identifiers: https://spdx.org/licenses/" if similar is None else f"did you mean {similar!r}?"
    line = draft.lines.get("license", draft.line)
    yield f"{place(draft.file, line)}: licence {shown(text)!r} is not an SPDX identifier ({hint})"


def _left_open(file: Path) -> Iterator[str]:
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError):  # changed since it was read
        return
    places = [number for number, line in enumerate(lines, 1) if _MARK in line.partition("#")[2]]
    if places:
        left = "1 TODO is left" if len(places) == 1 else f"{len(places)} TODOs are left"
        yield f"{place(file, places[0])}: {left}"
