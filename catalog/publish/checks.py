"""What a check found: passed, failed, or not checkable."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from catalog.sanitize import one_line

if TYPE_CHECKING:
    from catalog.atproto.datamodel import Json

__all__ = ["Check", "State", "failed", "passed", "unchecked"]

_LONGEST: Final = 600
_WIDTH: Final = 10


class State(StrEnum):
    """How a check ended. UNCHECKED is neither good nor bad: there was nothing to check it with."""

    PASSED = "passed"
    FAILED = "failed"
    UNCHECKED = "unchecked"


_MARKS: Final = {State.PASSED: "✓", State.FAILED: "✗", State.UNCHECKED: "–"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at. ``what`` is a word (proof, shard, …); ``text`` one line fit for a terminal."""

    what: str
    state: State
    text: str

    def line(self) -> str:
        """``✓ proof      …``"""
        return f"{_MARKS[self.state]} {self.what:<{_WIDTH}} {self.text}"

    def as_json(self) -> dict[str, Json]:
        """For programs."""
        return {"what": self.what, "state": self.state.value, "text": self.text}


def passed(what: str, text: str) -> Check:
    """It is as it should be."""
    return Check(what=what, state=State.PASSED, text=one_line(text, _LONGEST))


def failed(what: str, text: str) -> Check:
    """It isn't."""
    return Check(what=what, state=State.FAILED, text=one_line(text, _LONGEST))


def unchecked(what: str, text: str) -> Check:
    """Nobody can tell, or nobody looked; the text says which."""
    return Check(what=what, state=State.UNCHECKED, text=one_line(text, _LONGEST))
