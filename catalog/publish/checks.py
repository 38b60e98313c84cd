"""Result of a check: passed, failed, or unchecked."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from catalog.sanitize import one_line

if TYPE_CHECKING:
    from catalog.atproto.datamodel import Json

_LONGEST: Final = 600
_WIDTH: Final = 10


class State(StrEnum):
    """State of a check. UNCHECKED is neither good nor bad: it could not be made."""

    PASSED = "passed"
    FAILED = "failed"
    UNCHECKED = "unchecked"


_MARKS: Final = {State.PASSED: "✓", State.FAILED: "✗", State.UNCHECKED: "–"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Result of one check. ``what`` is a word (proof, shard, …); ``text`` one line fit for a terminal."""

    what: str
    state: State
    text: str

    def line(self) -> str:
        """Return a line: ``✓ proof      …``."""
        return f"{_MARKS[self.state]} {self.what:<{_WIDTH}} {self.text}"

    def as_json(self) -> dict[str, Json]:
        """Return the check as JSON."""
        return {"what": self.what, "state": self.state.value, "text": self.text}


def passed(what: str, text: str) -> Check:
    """Return a passed check."""
    return Check(what=what, state=State.PASSED, text=one_line(text, _LONGEST))


def failed(what: str, text: str) -> Check:
    """Return a failed check."""
    return Check(what=what, state=State.FAILED, text=one_line(text, _LONGEST))


def unchecked(what: str, text: str) -> Check:
    """Return a check that could not be made; the text says why."""
    return Check(what=what, state=State.UNCHECKED, text=one_line(text, _LONGEST))
