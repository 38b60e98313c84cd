"""Mistakes in manifests, gathered: all of them, each with its file and line."""

from __future__ import annotations

from collections import Counter
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from catalog.errors import Fault, InvalidManifest
from catalog.sanitize import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["GUESSES", "MAX_FAULTS", "Report", "near", "nearest", "place", "shown"]


MAX_FAULTS: Final = 1000
"""Mistakes of one file; after them it is not read further."""
GUESSES: Final = 20
"""Mistakes for which a similar name is looked for among many: each costs as much as there are names."""
_MAX_DOUBTS: Final = 20


class Report:
    """The mistakes of one file, in the order of their lines, and what is no mistake but doubtful.

    ``full`` after too many of them.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._spent = Counter[str]()
        self._found: list[tuple[int, Fault]] = []
        self._doubts: list[Fault] = []
        self._more_doubts = 0

    @property
    def full(self) -> bool:
        """Whether no more mistakes are taken."""
        return len(self._found) >= MAX_FAULTS

    def __len__(self) -> int:
        """How many mistakes so far."""
        return len(self._found)

    def add(self, line: int, message: str, hint: str | None = None) -> None:
        """Note one mistake; said twice about the same line it counts once.

        Raises :class:`InvalidManifest` if there are too many to go on.
        """
        fault = Fault(where=place(self.file, line), message=message, hint=hint)
        if (line, fault) in self._found[-20:]:
            return
        if self.full:
            raise self.stop(line, f"more than {MAX_FAULTS:,} mistakes: the file isn't read further")
        self._found.append((line, fault))

    def doubt(self, line: int, message: str, hint: str) -> None:
        """Note what may be meant otherwise."""
        if len(self._doubts) < _MAX_DOUBTS:
            self._doubts.append(Fault(where=place(self.file, line), message=message, hint=hint))
        else:
            self._more_doubts += 1

    def doubts(self) -> tuple[str, ...]:
        """One line for each doubtful value; of many the first."""
        more = (f"{shown(str(self.file), 500)}: {self._more_doubts:,} more values like these",) * bool(
            self._more_doubts
        )
        return (*map(str, self._doubts), *more)

    def spend(self, line: int, what: str, amount: int, most: int) -> None:
        """Count what few bytes of the file stand for: shards of a pattern, files that are looked at.

        Raises :class:`InvalidManifest` if the whole file stands for more than ``most``.
        """
        self._spent[what] += amount
        if self._spent[what] > most:
            raise self.stop(line, f"this file stands for more than {most:,} {what}", "divide it, or make larger shards")

    def stop(self, line: int, message: str, hint: str | None = None) -> InvalidManifest:
        """The error for a mistake after which the file can't be read on."""
        return InvalidManifest((Fault(where=place(self.file, line), message=message, hint=hint),))

    def faults(self) -> tuple[Fault, ...]:
        """All mistakes, the topmost first."""
        return tuple(fault for _, fault in sorted(self._found, key=lambda found: found[0]))


def place(file: Path, line: int) -> str:
    """``file:line``, on one line whatever the file is called."""
    return f"{shown(str(file), 500)}:{line}"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that looks most like this one, if any does."""
    found = get_close_matches(word[:100], list(known)[:5000], n=1, cutoff=0.6)
    return found[0] if found else None


def near(word: str, known: Iterable[str]) -> str | None:
    """A hint with the known word that looks most like this one, if any does."""
    found = nearest(word, known)
    return None if found is None else f"did you mean {shown(found)!r}?"


def shown(text: str, most: int = 60) -> str:
    """Return what a manifest says on one short line."""
    return one_line(text, most)
