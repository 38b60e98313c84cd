"""Mistakes in manifests, gathered: all of them, each with its file and line."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from catalog.errors import Fault, InvalidManifest
from catalog.sanitize import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["Report", "near", "nearest", "place", "shown"]


class Report:
    """The mistakes of one file, in the order of their lines."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._found: list[tuple[int, Fault]] = []

    def __len__(self) -> int:
        """How many mistakes so far."""
        return len(self._found)

    def add(self, line: int, message: str, hint: str | None = None) -> None:
        """Note one mistake; said twice about the same line it counts once."""
        fault = Fault(where=place(self.file, line), message=message, hint=hint)
        if (line, fault) not in self._found[-20:]:
            self._found.append((line, fault))

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
