"""Diagnostics of manifests: all mistakes, each with its file and line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from catalog.errors import Fault, InvalidManifest
from catalog.sanitize import one_line

MAX_FAULTS: Final = 1000
"""Mistakes of one file after which reading stops."""
GUESSES: Final = 20
"""Mistakes for which similar names are searched; the search takes time in proportion to the number of names."""
_MAX_DOUBTS: Final = 20


class Report:
    """Mistakes and warnings of one file, in the order of their lines."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._spent = Counter[str]()
        self._found: list[tuple[int, Fault]] = []
        self._doubts: list[Fault] = []
        self._more_doubts = 0

    @property
    def full(self) -> bool:
        """Return whether the limit of mistakes is reached."""
        return len(self._found) >= MAX_FAULTS

    def __len__(self) -> int:
        """Return the number of mistakes."""
        return len(self._found)

    def add(self, line: int, message: str, hint: str | None = None) -> None:
        """Add a mistake; repeated for the same line it counts once.

        Raises :class:`InvalidManifest` if there are too many.
        """
        fault = Fault(where=place(self.file, line), message=message, hint=hint)
        if (line, fault) in self._found[-20:]:
            return
        if self.full:
            raise self.stop(line, f"more than {MAX_FAULTS:,} mistakes; the rest of the file was not read")
        self._found.append((line, fault))

    def doubt(self, line: int, message: str, hint: str) -> None:
        """Add a warning about an ambiguous value."""
        if len(self._doubts) < _MAX_DOUBTS:
            self._doubts.append(Fault(where=place(self.file, line), message=message, hint=hint))
        else:
            self._more_doubts += 1

    def doubts(self) -> tuple[str, ...]:
        """Return the warnings, a line each; of many the first."""
        more = (f"{shown(str(self.file), 500)}: {self._more_doubts:,} more values like these",) * bool(
            self._more_doubts
        )
        return (*map(str, self._doubts), *more)

    def spend(self, line: int, what: str, amount: int, most: int) -> None:
        """Count what the file expands to: shards of a pattern, files to list.

        Raises :class:`InvalidManifest` if the whole file exceeds ``most``.
        """
        self._spent[what] += amount
        if self._spent[what] > most:
            raise self.stop(line, f"this file expands to more than {most:,} {what}", "split it, or make larger shards")

    def stop(self, line: int, message: str, hint: str | None = None) -> InvalidManifest:
        """Return the error for a mistake at which reading stops."""
        return InvalidManifest((Fault(where=place(self.file, line), message=message, hint=hint),))

    def faults(self) -> tuple[Fault, ...]:
        """Return all mistakes, by line."""
        return tuple(fault for _, fault in sorted(self._found, key=lambda found: found[0]))


def place(file: Path, line: int) -> str:
    """Return ``file:line`` on one line, for any file name."""
    return f"{shown(str(file), 500)}:{line}"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the most similar known word, if any."""
    found = get_close_matches(word[:100], list(known)[:5000], n=1, cutoff=0.6)
    return found[0] if found else None


def near(word: str, known: Iterable[str]) -> str | None:
    """Return a hint with the most similar known word, if any."""
    found = nearest(word, known)
    return None if found is None else f"did you mean {shown(found)!r}?"


def shown(text: str, most: int = 60) -> str:
    """Return a text on one short line."""
    return one_line(text, most)
