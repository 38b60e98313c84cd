"""Compatibility of two versions of a sample type: the changes, whom they break, and the version bump they need.

*Readers of old data*: code of the new sample type that reads samples written under the old one. *Readers of new data*:
code of the old sample type that reads samples written under the new one. ``RULES`` maps each kind of change to a
verdict for each of them, the bump it needs, and the text of its message::

    fine       the reader's type accepts every sample that the writer's type allows
    unsure     samples can be read, but their meaning may have changed
    breaks     the writer's type allows samples that the reader's type rejects

- A reader ignores unknown wire names, reads an absent optional field as ``None``, and accepts an integer for a float.
  It rejects everything else; with validation on, also a different dtype or shape.
- A verdict covers every sample that the type *allows*. A field that became optional breaks its readers although most
  samples may still have it, and a list's item type counts although a list may be empty.
- A renamed field looks like one removed field and one added field. Only the hint suggests a rename.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum, auto
from itertools import zip_longest
from typing import TYPE_CHECKING, Final, NamedTuple

from catalog.schema.media_types import media_fits
from catalog.schema.types import NPY_FORMATS, Array, Field, FieldType, List, SampleType, Scalar, Unknown, type_text
from catalog.syntax.semver import semver_key

if TYPE_CHECKING:
    from catalog.atproto.datamodel import Json


class Verdict(IntEnum):
    """The effect of a change on a reader, from harmless to breaking."""

    FINE = 0
    UNSURE = 1
    BREAKS = 2

    def __str__(self) -> str:
        """In lower case."""
        return self.name.lower()


class Bump(IntEnum):
    """The part of a semantic version that has to grow."""

    NONE = 0
    PATCH = 1
    MINOR = 2
    MAJOR = 3

    def __str__(self) -> str:
        """In lower case."""
        return self.name.lower()


class Kind(Enum):
    """A kind of change."""

    RENAMED_TYPE = auto()
    DESCRIBED_TYPE = auto()
    ADDED_REQUIRED = auto()
    ADDED_OPTIONAL = auto()
    REMOVED_REQUIRED = auto()
    REMOVED_OPTIONAL = auto()
    MADE_OPTIONAL = auto()
    MADE_REQUIRED = auto()
    REORDERED = auto()
    DESCRIBED = auto()
    WIDENED = auto()
    NARROWED = auto()
    OTHER_TYPE = auto()
    ARRAY_AS_BYTES = auto()
    BYTES_AS_ARRAY = auto()
    DATETIME_AS_TEXT = auto()
    TEXT_AS_DATETIME = auto()
    OTHER_MEDIA = auto()
    NAMED_MEDIA = auto()
    UNNAMED_MEDIA = auto()
    UNKNOWN_TYPE = auto()
    OTHER_FORMAT = auto()
    SAME_BYTES_FORMAT = auto()
    OTHER_DTYPE = auto()
    FIXED_DTYPE = auto()
    FREED_DTYPE = auto()
    OTHER_SHAPE = auto()
    FIXED_SHAPE = auto()
    FREED_SHAPE = auto()
    OTHER_DIMENSIONS = auto()
    NAMED_DIMENSIONS = auto()
    UNNAMED_DIMENSIONS = auto()


class Rule(NamedTuple):
    """The effects of a kind of change. ``says`` is the message's text after the field's name."""

    readers_of_old: Verdict
    readers_of_new: Verdict
    bump: Bump
    says: str


_FINE, _UNSURE, _BREAKS = Verdict

RULES: Final[Mapping[Kind, Rule]] = {
    Kind.RENAMED_TYPE: Rule(_UNSURE, _UNSURE, Bump.MAJOR, "has a different name, so it is a different schema"),
    Kind.DESCRIBED_TYPE: Rule(_FINE, _FINE, Bump.PATCH, "has a different description"),
    Kind.ADDED_REQUIRED: Rule(_BREAKS, _FINE, Bump.MAJOR, "is new and required: old samples don't have it"),
    Kind.ADDED_OPTIONAL: Rule(_FINE, _FINE, Bump.MINOR, "is new and optional"),
    Kind.REMOVED_REQUIRED: Rule(_FINE, _BREAKS, Bump.MAJOR, "was removed; existing code reads it"),
    Kind.REMOVED_OPTIONAL: Rule(_FINE, _FINE, Bump.MINOR, "was removed; it was optional, so code can do without it"),
    Kind.MADE_OPTIONAL: Rule(_FINE, _BREAKS, Bump.MAJOR, "is now optional; existing code expects it"),
    Kind.MADE_REQUIRED: Rule(_BREAKS, _FINE, Bump.MAJOR, "is now required: old samples may not have it"),
    Kind.REORDERED: Rule(_FINE, _FINE, Bump.PATCH, "has its fields in a different order; samples are unaffected"),
    Kind.DESCRIBED: Rule(_FINE, _FINE, Bump.PATCH, "has a different description"),
    Kind.WIDENED: Rule(_FINE, _BREAKS, Bump.MAJOR, "was an integer and is now a float"),
    Kind.NARROWED: Rule(_BREAKS, _FINE, Bump.MAJOR, "was a float and is now an integer"),
    Kind.OTHER_TYPE: Rule(_BREAKS, _BREAKS, Bump.MAJOR, "has a different type"),
    # An encoded array is valid bytes; arbitrary bytes are rarely a valid array.
    Kind.ARRAY_AS_BYTES: Rule(_UNSURE, _BREAKS, Bump.MAJOR, "was an array and is now bytes: its encoded form"),
    Kind.BYTES_AS_ARRAY: Rule(_BREAKS, _UNSURE, Bump.MAJOR, "was bytes and is now an array"),
    # A datetime is text in a sample.
    Kind.DATETIME_AS_TEXT: Rule(_FINE, _BREAKS, Bump.MAJOR, "was a datetime and is now any text"),
    Kind.TEXT_AS_DATETIME: Rule(_BREAKS, _FINE, Bump.MAJOR, "was any text and is now a datetime"),
    Kind.OTHER_MEDIA: Rule(_UNSURE, _UNSURE, Bump.MAJOR, "has a different media type; check that readers decode it"),
    Kind.NAMED_MEDIA: Rule(_FINE, _FINE, Bump.MINOR, "now has a more specific media type"),
    Kind.UNNAMED_MEDIA: Rule(_FINE, _FINE, Bump.MINOR, "now has a less specific media type"),
    Kind.UNKNOWN_TYPE: Rule(_UNSURE, _UNSURE, Bump.MAJOR, "has an unrecognised type; its compatibility is unknown"),
    Kind.OTHER_FORMAT: Rule(_BREAKS, _BREAKS, Bump.MAJOR, "has a different array format"),
    Kind.SAME_BYTES_FORMAT: Rule(_UNSURE, _UNSURE, Bump.MAJOR, "has a different array format with the same encoding"),
    # Also to a wider dtype: validation rejects it, and code may depend on overflow, precision or memory use.
    Kind.OTHER_DTYPE: Rule(_BREAKS, _BREAKS, Bump.MAJOR, "has a different dtype"),
    Kind.FIXED_DTYPE: Rule(_BREAKS, _FINE, Bump.MAJOR, "had any dtype and now has a fixed one"),
    Kind.FREED_DTYPE: Rule(_FINE, _BREAKS, Bump.MAJOR, "may now have any dtype"),
    Kind.OTHER_SHAPE: Rule(_BREAKS, _BREAKS, Bump.MAJOR, "has a different shape"),
    Kind.FIXED_SHAPE: Rule(_BREAKS, _FINE, Bump.MAJOR, "has a fixed length where it varied before"),
    Kind.FREED_SHAPE: Rule(_FINE, _BREAKS, Bump.MAJOR, "has a length that may now vary"),
    Kind.OTHER_DIMENSIONS: Rule(_UNSURE, _UNSURE, Bump.MAJOR, "has different dimension names; check its axes"),
    Kind.NAMED_DIMENSIONS: Rule(_FINE, _FINE, Bump.MINOR, "now has dimension names"),
    Kind.UNNAMED_DIMENSIONS: Rule(_FINE, _FINE, Bump.MINOR, "no longer has dimension names"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change. ``field`` is a wire name, with ``[]`` for the items of a list; empty for the sample type itself.

    ``before`` and ``after`` are the two short forms, ``None`` for absent. ``hint`` is for people.
    """

    kind: Kind
    field: str
    before: str | None = None
    after: str | None = None
    hint: str | None = None

    @property
    def rule(self) -> Rule:
        """The rule for this kind of change."""
        return RULES[self.kind]

    def __str__(self) -> str:
        """One line: ``image: has another dtype (array[uint8, 8, 8] → array[uint16, 8, 8])``."""
        what = {(True, False): self.after, (False, True): self.before}.get((self.before is None, self.after is None))
        shown = what if self.before is None or self.after is None else f"{self.before} → {self.after}"
        place = _plain(self.field) if self.field else "the schema"
        notes = "; ".join(_plain(note) for note in (shown, self.hint) if note)
        return f"{place} {self.rule.says}" + (f" ({notes})" if notes else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All changes: of the schema, then field by field in the order of the new type, removed fields last."""

    changes: tuple[Change, ...]

    @property
    def readers_of_old(self) -> Verdict:
        """The worst verdict for code of the new type that reads old data."""
        return max((change.rule.readers_of_old for change in self.changes), default=Verdict.FINE)

    @property
    def readers_of_new(self) -> Verdict:
        """The worst verdict for code of the old type that reads new data."""
        return max((change.rule.readers_of_new for change in self.changes), default=Verdict.FINE)

    @property
    def bump(self) -> Bump:
        """The largest bump that a change needs."""
        return max((change.rule.bump for change in self.changes), default=Bump.NONE)

    def needs(self, old: str, new: str) -> str | None:
        """Return the problem with ``new`` as the version after ``old``, given these changes; ``None`` if it is fine.

        Below 1.0.0 the minor number counts as the major one (https://semver.org/#spec-item-4 promises nothing there).
        """
        if self.bump is Bump.NONE or any(change.kind is Kind.RENAMED_TYPE for change in self.changes):
            return None  # a different name is a different schema with its own versions
        before, after = semver_key(old), semver_key(new)
        if not before[0] or not after[0]:
            return f"{_plain(old if not before[0] else new)!r} is not a semantic version, such as 1.0.0"
        if after <= before:
            return f"the version must grow: {_plain(new)} is not after {_plain(old)} ({self.bump} change)"
        least = _least(before[1], self.bump)
        if after[1] >= least:
            return None
        wanted = ".".join(map(str, least))
        return f"{_plain(new)} is too little for a {self.bump} change of {_plain(old)}: at least {wanted}"

    def version_after(self, old: str) -> str | None:
        """The smallest version after ``old`` that these changes allow; ``None`` if ``old`` is not a version."""
        rank, numbers, _, _ = semver_key(old)
        return ".".join(map(str, _least(numbers, max(self.bump, Bump.PATCH)))) if rank else None

    def lines(self) -> list[str]:
        """Text for a terminal: one line per change with its verdicts, then a summary."""
        if not self.changes:
            return ["no change"]
        lines = [
            f"{change.rule.bump!s:5}  old data: {change.rule.readers_of_old!s:6}  new data: "
            f"{change.rule.readers_of_new!s:6}  {change}"
            for change in self.changes
        ]
        verdicts = f"reading old data: {self.readers_of_old}, reading new data: {self.readers_of_new}"
        count = "1 change" if len(lines) == 1 else f"{len(lines)} changes"
        return [*lines, f"{count}; {verdicts}; requires a {self.bump} version"]

    def as_json(self) -> dict[str, Json]:
        """JSON for a program; verdicts and bumps are their lower-case names."""
        changes: list[Json] = [
            {
                "kind": change.kind.name.lower(),
                "field": change.field,
                "before": change.before,
                "after": change.after,
                "readersOfOld": str(change.rule.readers_of_old),
                "readersOfNew": str(change.rule.readers_of_new),
                "bump": str(change.rule.bump),
                "says": str(change),
            }
            for change in self.changes
        ]
        return {
            "changes": changes,
            "readersOfOld": str(self.readers_of_old),
            "readersOfNew": str(self.readers_of_new),
            "bump": str(self.bump),
        }


def compare(old: SampleType, new: SampleType) -> Comparison:
    """Return the changes from ``old`` to ``new``. Versions are not compared: see :meth:`Comparison.needs`."""
    return Comparison(changes=(*_of_type(old, new), *_of_fields(old, new)))


def check_fit(own: SampleType, published: SampleType) -> tuple[Change, ...]:
    """Return the changes that keep samples of ``published`` from being read as ``own``; empty if they can be."""
    changes = _of_fields(published, own)
    return tuple(change for change in changes if change.rule.readers_of_old is Verdict.BREAKS)


def _of_type(old: SampleType, new: SampleType) -> Iterator[Change]:
    if old.name != new.name:
        yield Change(kind=Kind.RENAMED_TYPE, field="", before=old.name, after=new.name)
    if (old.description or "") != (new.description or ""):
        yield Change(kind=Kind.DESCRIBED_TYPE, field="")


def _of_fields(old: SampleType, new: SampleType) -> Iterator[Change]:
    before = {field.name: field for field in old.fields}
    after = {field.name: field for field in new.fields}
    removed = [field for name, field in before.items() if name not in after]
    added = [field for name, field in after.items() if name not in before]
    gone = {(field.type, field.optional): field.name for field in reversed(removed)}
    came = {(field.type, field.optional): field.name for field in reversed(added)}
    if [name for name in before if name in after] != [name for name in after if name in before]:
        yield Change(kind=Kind.REORDERED, field="")
    for name, field in after.items():
        if name in before:
            yield from _of_field(before[name], field)
        else:
            kind = Kind.ADDED_OPTIONAL if field.optional else Kind.ADDED_REQUIRED
            yield Change(kind=kind, field=name, after=_text(field), hint=_renamed(gone, field, "from"))
    for field in removed:
        kind = Kind.REMOVED_OPTIONAL if field.optional else Kind.REMOVED_REQUIRED
        yield Change(kind=kind, field=field.name, before=_text(field), hint=_renamed(came, field, "to"))


def _text(field: Field) -> str:
    return type_text(field.type, optional=field.optional)


def _renamed(others: Mapping[tuple[FieldType, bool], str], field: Field, word: str) -> str | None:
    other = others.get((field.type, field.optional))
    return None if other is None else f"renamed {word} {_plain(other)!r}?"


def _of_field(old: Field, new: Field) -> Iterator[Change]:
    if old.optional != new.optional:
        kind = Kind.MADE_OPTIONAL if new.optional else Kind.MADE_REQUIRED
        yield Change(kind=kind, field=new.name, before=_text(old), after=_text(new))
    if old.type != new.type:
        for path, before, after in _differing(old.name, old.type, new.type):
            for kind in _kinds(before, after):
                yield Change(kind=kind, field=path, before=type_text(before), after=type_text(after))
    if (old.description or "") != (new.description or ""):
        yield Change(kind=Kind.DESCRIBED, field=new.name)


def _differing(path: str, old: FieldType, new: FieldType) -> Iterator[tuple[str, FieldType, FieldType]]:
    """The innermost pairs of types that differ: inside lists of the same depth, the item types."""
    while isinstance(old, List) and isinstance(new, List):
        path, old, new = f"{path}[]", old.item, new.item
    yield path, old, new


def _kinds(old: FieldType, new: FieldType) -> Iterator[Kind]:
    match old, new:
        case (Unknown(), _) | (_, Unknown()):
            yield Kind.UNKNOWN_TYPE
        case Scalar(kind="int"), Scalar(kind="float"):
            yield Kind.WIDENED
        case Scalar(kind="float"), Scalar(kind="int"):
            yield Kind.NARROWED
        case Scalar(kind="datetime"), Scalar(kind="str"):
            yield Kind.DATETIME_AS_TEXT
        case Scalar(kind="str"), Scalar(kind="datetime"):
            yield Kind.TEXT_AS_DATETIME
        case Scalar(kind="bytes"), Scalar(kind="bytes"):
            named, unnamed = media_fits(new.media, old.media), media_fits(old.media, new.media)
            yield Kind.NAMED_MEDIA if named else Kind.UNNAMED_MEDIA if unnamed else Kind.OTHER_MEDIA
        case Array(), Array():
            yield from _array_kinds(old, new)
        case Array(), Scalar(kind="bytes"):
            yield Kind.ARRAY_AS_BYTES
        case Scalar(kind="bytes"), Array():
            yield Kind.BYTES_AS_ARRAY
        case _:
            yield Kind.OTHER_TYPE


def _array_kinds(old: Array, new: Array) -> Iterator[Kind]:
    if old.format != new.format:
        yield Kind.SAME_BYTES_FORMAT if {old.format, new.format} == set(NPY_FORMATS) else Kind.OTHER_FORMAT
    before, after = _dtype(old.dtype), _dtype(new.dtype)
    if before != after:
        yield Kind.FIXED_DTYPE if before is None else Kind.FREED_DTYPE if after is None else Kind.OTHER_DTYPE
    if old.shape != new.shape:
        to_new, to_old = _shape_fits(old.shape, new.shape), _shape_fits(new.shape, old.shape)
        yield Kind.FREED_SHAPE if to_new else Kind.FIXED_SHAPE if to_old else Kind.OTHER_SHAPE
    if old.dimensions != new.dimensions:
        named, unnamed = Kind.NAMED_DIMENSIONS, Kind.UNNAMED_DIMENSIONS
        yield named if old.dimensions is None else unnamed if new.dimensions is None else Kind.OTHER_DIMENSIONS


def _shape_fits(writer: tuple[int | None, ...] | None, reader: tuple[int | None, ...] | None) -> bool:
    """Return True if every array of the writer's shape fits the reader's shape."""
    if reader is None:
        return True
    if writer is None or len(writer) != len(reader):
        return False
    return all(want in (None, have) for want, have in zip_longest(reader, writer))


_CODES: Final = {
    "b1": "bool", "?": "bool", **{f"{sign}{size}": f"{word}{8 * size}" for sign, word, sizes in (
        ("i", "int", (1, 2, 4, 8)), ("u", "uint", (1, 2, 4, 8)), ("f", "float", (2, 4, 8)), ("c", "complex", (8, 16)),
    ) for size in sizes},
}  # fmt: skip


def _dtype(text: str | None) -> str | None:
    """The name of a dtype without its byte order, which every reader converts: ``>f4`` is ``float32``."""
    if text is None:
        return None
    bare = re.sub(r"^[<>|=]", "", text)
    return _CODES.get(bare, bare)


def _plain(text: str) -> str:
    """Text of a record, shortened and printable on one line of a terminal."""
    short = text if len(text) <= 80 else text[:79] + "…"
    return short if short.isprintable() else ascii(short)[1:-1]


def _least(numbers: tuple[int, int, int], bump: Bump) -> tuple[int, int, int]:
    major, minor, patch = numbers
    if major == 0:
        bump = Bump.MINOR if bump is Bump.MAJOR else Bump.PATCH
    if bump is Bump.MAJOR:
        return (major + 1, 0, 0)
    return (major, minor + 1, 0) if bump is Bump.MINOR else (major, minor, patch + 1)
