"""Compare two versions of a schema for its page: changes, compatibility, and the required version number.

The verdicts are those of :mod:`catalog.schema.compatibility`, the same as of ``catalog compat``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from catalog.schema import compare
from catalog.schema.compatibility import Bump, Kind, Verdict
from catalog.site import addresses
from catalog.site.fieldrows import FieldRow, field_row

if TYPE_CHECKING:
    from catalog.schema import Change, Comparison, SampleType
    from catalog.store.graph import SchemaNode

OTHERS: Final = 20
"""Maximum number of newest versions that a version is compared with, besides the previous one."""
NEIGHBOUR_ROWS: Final = 100
OTHER_ROWS: Final = 8
_NAMED: Final = 12
"""Maximum number of listed names of unchanged fields."""
_COMPARABLE: Final = 2000
"""Maximum fields of two versions: twenty versions with 10,000 fields each would take minutes to compare."""

_BUMPS: Final = {
    Bump.NONE: "Nothing changed",
    Bump.PATCH: "These changes require a patch version (the last number grows)",
    Bump.MINOR: "These changes require a minor version (the second number grows)",
    Bump.MAJOR: "These changes require a major version (the first number grows)",
}
_WHOLE: Final = {
    Kind.DESCRIBED_TYPE: "The description of the schema has changed.",
    Kind.REORDERED: "The order of the fields has changed; samples are unaffected.",
    Kind.RENAMED_TYPE: "The name has changed: it is another schema.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRow:
    """A changed field: before and after (``None`` if absent), the changes, and the verdicts for readers."""

    name: str
    before: FieldRow | None
    after: FieldRow | None
    says: tuple[str, ...]
    hint: str | None
    readers_of_old: Verdict
    readers_of_new: Verdict
    bump: Bump
    redescribed: bool

    @property
    def fate(self) -> str:
        """Return ``added``, ``removed`` or ``changed``."""
        if self.before is None:
            return "added"
        return "removed" if self.after is None else "changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """The comparison of an older and a newer version. ``anchor`` is for the page of the one that isn't ``other``."""

    old: SchemaNode
    new: SchemaNode
    other: SchemaNode
    anchor: str
    comparison: Comparison
    rows: tuple[ChangeRow, ...]
    row_total: int
    whole: tuple[str, ...]
    same: tuple[str, ...]
    same_total: int

    @property
    def readings(self) -> tuple[tuple[Verdict, str], ...]:
        """Return the verdicts with a sentence each: code of one version reads data of the other."""
        before, after = self.old.record.sample_type.version, self.new.record.sample_type.version
        old, new = self.comparison.readers_of_old, self.comparison.readers_of_new
        return (old, _reading(after, before, old)), (new, _reading(before, after, new))

    @property
    def needed(self) -> tuple[bool, str]:
        """Return whether the version number fits the changes, and a sentence about it."""
        before, after = self.old.record.sample_type.version, self.new.record.sample_type.version
        complaint = self.comparison.needs(before, after)
        said = _BUMPS[self.comparison.bump]
        if complaint is not None:
            return False, f"{said}: {complaint}."
        return True, f"{said}." if self.comparison.bump is Bump.NONE else f"{said}, and {after} is one."


def _reading(code: str, data: str, verdict: Verdict) -> str:
    if verdict is Verdict.FINE:
        return f"Code for {code} reads data written as {data}."
    if verdict is Verdict.UNSURE:
        return f"Code for {code} may read data written as {data}, but its meaning may differ."
    return f"Code for {code} can’t read all data written as {data}."


def others(node: SchemaNode) -> tuple[Compared | None, tuple[Compared, ...]]:
    """Compare a version with the previous one, and with the other newest ones, newest first.

    The work does not depend on the number of versions: a site renders a page for each of them.
    """
    previous = node.previous
    taken: set[str] = set()
    if node.record.sample_type.foreign is not None:
        return None, ()
    known = previous is not None and previous.record.sample_type.foreign is None
    first = compared(node, previous, taken, rows=NEIGHBOUR_ROWS) if known and previous is not None else None
    fields = len(node.record.sample_type.fields)
    found: list[Compared] = []
    newer = True
    for version in node.versions[:OTHERS]:
        if version is node:
            newer = False
        elif (
            version.record.sample_type.foreign is None
            and version is not previous
            and fields + len(version.record.sample_type.fields) <= _COMPARABLE
        ):
            found.append(compared(node, version, taken, newer=newer))
    return first, tuple(found)


def compared(
    node: SchemaNode, other: SchemaNode, taken: set[str], *, newer: bool = False, rows: int = OTHER_ROWS
) -> Compared:
    """Compare ``node`` with an older or ``newer`` version; list at most ``rows`` fields. ``taken`` are used anchors."""
    old, new = (node, other) if newer else (other, node)
    before, after = old.record.sample_type, new.record.sample_type
    comparison = compare(before, after)
    changed = list(_rows(comparison, before, after))
    names = {row.name for row in changed}
    same = [field.name for field in after.fields if field.name not in names]
    return Compared(
        old=old,
        new=new,
        other=other,
        anchor=_anchor(other.record.sample_type.version, taken),
        comparison=comparison,
        rows=tuple(changed[:rows]),
        row_total=len(changed),
        whole=tuple(_WHOLE[change.kind] for change in comparison.changes if not change.field and change.kind in _WHOLE),
        same=tuple(same[:_NAMED]),
        same_total=len(same),
    )


def _anchor(version: str, taken: set[str]) -> str:
    anchor = base = f"with-{addresses.safe(version)}"
    number = 1
    while anchor in taken:
        number += 1
        anchor = f"{base}-{number}"
    taken.add(anchor)
    return anchor


def _rows(comparison: Comparison, old: SampleType, new: SampleType) -> Iterator[ChangeRow]:
    before = {field.name: field for field in old.fields}
    after = {field.name: field for field in new.fields}
    groups: dict[str, list[Change]] = {}
    for change in comparison.changes:
        if change.kind not in _WHOLE:
            groups.setdefault(_root(change.field, {*before, *after} if change.field.endswith("[]") else ()), []).append(
                change
            )
    for name, changes in groups.items():
        was, is_ = before.get(name), after.get(name)
        yield ChangeRow(
            name=name,
            before=None if was is None else field_row(was),
            after=None if is_ is None else field_row(is_),
            says=tuple(change.rule.says for change in changes),
            hint=next((change.hint for change in changes if change.hint), None),
            readers_of_old=max(change.rule.readers_of_old for change in changes),
            readers_of_new=max(change.rule.readers_of_new for change in changes),
            bump=max(change.rule.bump for change in changes),
            redescribed=any(change.kind is Kind.DESCRIBED for change in changes),
        )


def _root(path: str, names: set[str] | tuple[()]) -> str:
    """Return the field that a change of list items belongs to."""
    while path.endswith("[]") and path not in names:
        path = path.removesuffix("[]")
    return path
