"""The report of a validation: a bounded number of faults, with values abbreviated.

Reports and definitions refer to each other, so both interfaces are in this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from catalog.atproto.datamodel import MAX_NESTING
from catalog.errors import Fault

MAX_FAULTS: Final = 100
"""Maximum number of faults reported for one record: a hostile one has a million."""
_SHOWN: Final = 60


class Definition(Protocol):
    """A type that a value can be checked against."""

    def check(self, value: object, where: str, report: Report, depth: int) -> None:
        """Note the faults of ``value``, which is at ``where``, ``depth`` objects and arrays deep."""


@dataclass(slots=True, kw_only=True)
class Report:
    """The faults of one record, as they are found."""

    definitions: Mapping[str, Definition]
    """The targets of refs, by full name."""
    faults: list[Fault] = field(default_factory=list)
    full: bool = False
    """True if some faults were dropped; a loop over a long value may then stop."""

    def add(self, where: str, message: str, hint: str | None = None) -> None:
        """Note a fault, unless there are too many."""
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(Fault(where=where, message=message, hint=hint))
        elif not self.full:
            self.full = True
            self.faults.append(Fault(where="", message=f"more than {MAX_FAULTS} faults; the rest is not reported"))

    def expected(self, where: str, what: str, found: object, hint: str | None = None) -> None:
        """Note that ``what`` was expected and something else found."""
        self.add(where, f"expected {what}, found {described(found)}", hint)

    def too_deep(self, where: str, depth: int) -> bool:
        """Return whether the value is nested too deep to continue, and note the fault."""
        if depth <= MAX_NESTING:
            return False
        self.add(where, f"more than {MAX_NESTING} objects and arrays inside each other")
        return True


def shown(value: object) -> str:
    """A value as an error shows it: escaped, and at most about 60 characters."""
    if isinstance(value, str):
        return repr(str(value) if len(value) <= _SHOWN else value[: _SHOWN - 1] + "…")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and value.bit_length() > 128:  # str() of huge integers raises
        return f"an integer of {value.bit_length()} bits"
    return repr(value)


def described(value: object) -> str:  # noqa: PLR0911 — a table of types
    """Return a short description of a value's type."""
    match value:
        case None:
            return "null"
        case str() | bool() | int() | float():
            return shown(value)
        case list():
            return f"an array of {len(value)}"
        case {"$bytes": _}:
            return "bytes"
        case {"$link": _}:
            return "a CID link"
        case {"$type": str(name)}:
            return f"an object of type {shown(name)}"
        case dict():
            return "an object"
        case _:
            return f"a value of type {type(value).__name__}"
