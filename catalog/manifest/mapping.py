"""Typed access to a YAML map: every wrong or missing key is reported, and reading continues."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from catalog.manifest.diagnostics import nearest, shown
from catalog.manifest.scalars import doubt

if TYPE_CHECKING:
    from catalog.manifest.diagnostics import Report
    from catalog.manifest.yaml_parser import Node

MAX_TAGS: Final = 30
MAX_TAG: Final = 150
"""Limits of the lexicon."""
MAX_INT: Final = 2**53 - 1
"""Largest whole number that every JSON reader keeps exact."""


class Table:
    """Typed access to the entries of a map. ``what`` names it in messages: ``a dataset``."""

    def __init__(self, node: Node, what: str, known: Sequence[str], report: Report) -> None:
        self.what, self.report, self.line = what, report, node.line
        self.entries: dict[str, Node] = {}
        self.misspelt: set[str] = set()
        """Known keys that an unknown one resembles: they are misspelt, not missing."""
        if not isinstance(node.value, dict):
            report.add(node.line, f"{what} must be a map, not {kind_of(node)}", f"keys: {', '.join(known)}")
            self.readable = False
            return
        self.readable = True
        for key, entry in node.value.items():
            if key not in known:
                self._unknown(key, entry, known)
            elif entry.value is None:
                report.add(entry.line, f"{key!r} has no value", "give it one, or remove the key")
            self.entries[key] = entry

    def _unknown(self, key: str, entry: Node, known: Sequence[str]) -> None:
        hint = f"known: {', '.join(known)}"
        if (guess := nearest(key, known)) is not None:
            self.misspelt.add(guess)
            hint = f"did you mean {guess!r}?"
        self.report.add(entry.line, f"unknown key {shown(key)!r} in {self.what}", hint)

    def get(self, key: str, *, required: bool = False) -> Node | None:
        """Return the value of a key; ``None`` if absent or empty. A missing required one is reported."""
        found = self.entries.get(key)
        if found is None and required and self.readable and key not in self.misspelt:
            self.report.add(self.line, f"{self.what} needs {key!r}")
        return None if found is None or found.value is None else found

    def line_of(self, key: str) -> int:
        """Return the line of a key, or of the whole map."""
        found = self.entries.get(key)
        return self.line if found is None else found.line

    def text(self, key: str, limit: int, *, required: bool = False) -> str | None:
        """Return a text of at most ``limit`` bytes; a required one is not blank."""
        found = self.get(key, required=required)
        return None if found is None else self.text_of(found, key, limit, blank=not required)

    def text_of(self, node: Node, what: str, limit: int, *, blank: bool = False) -> str | None:
        """Return the text of a node as written, so that ``1.0`` is the same with and without quotes."""
        value = node.text if isinstance(node.value, bool | int | float) else node.value
        if not isinstance(value, str):
            self.report.add(node.line, f"{what!r} must be text, not {kind_of(node)}")
            return None
        size = len(value.encode())
        if size > limit:
            self.report.add(node.line, f"{what!r} has {size} bytes; the most is {limit}")
            return None
        if not value.strip() and not blank:
            self.report.add(node.line, f"{what!r} is blank")
            return None
        return value

    def number(self, key: str) -> int | None:
        """Return a whole number that is not negative."""
        found = self.get(key)
        if found is None:
            return None
        value = found.value
        if isinstance(value, bool) or not isinstance(value, int):
            self.report.add(found.line, f"{key!r} must be a whole number, not {kind_of(found)}", _meant(found))
            return None
        if not 0 <= value <= MAX_INT:
            self.report.add(found.line, f"{key!r} is {'negative' if value < 0 else 'too large'}")
            return None
        return value

    def flag(self, key: str) -> bool | None:
        """Return a truth value."""
        found = self.get(key)
        if found is None or isinstance(found.value, bool):
            return None if found is None else found.value is True
        self.report.add(found.line, f"{key!r} must be true or false, not {kind_of(found)}", _meant(found))
        return None

    def items(self, key: str, *, required: bool = False) -> list[Node]:
        """Return the entries of a list; a required one is not empty."""
        found = self.get(key, required=required)
        if found is None:
            return []
        if not isinstance(found.value, list):
            self.report.add(
                found.line, f"{key!r} must be a list, not {kind_of(found)}", "start each entry with a dash (-)"
            )
            return []
        if required and not found.value:
            self.report.add(found.line, f"{key!r} is empty")
        return found.value

    def texts(self, key: str, *, most: int, limit: int) -> tuple[str, ...]:
        """Return a list of different texts."""
        items = self.items(key)
        if len(items) > most:
            self.report.add(self.line_of(key), f"{len(items)} {key}; the most is {most}")
        singular = key.removesuffix("s")
        read = [(item.line, self.text_of(item, singular, limit)) for item in items]
        seen: set[str] = set()
        for line, text in read:
            if text in seen:
                self.report.add(line, f"duplicate {singular} {shown(text)!r}")
            elif text is not None:
                seen.add(text)
        return tuple(text for _, text in read if text is not None)

    def tags(self) -> tuple[str, ...]:
        """Return the tags of a record."""
        return self.texts("tags", most=MAX_TAGS, limit=MAX_TAG)


def _meant(node: Node) -> str | None:
    """Return a hint for text that resembles another kind of value."""
    found = doubt(node.text, node.value) if node.plain and not isinstance(node.value, dict | list) else None
    return None if found is None else found[1]


def kind_of(node: Node) -> str:  # noqa: PLR0911 - one a kind of value
    """Describe the kind of a value in YAML's terms."""
    match node.value:
        case None:
            return "nothing"
        case dict():
            return "a map"
        case list():
            return "a list"
        case bool():
            return f"the truth value {shown(node.text)}"
        case int() | float():
            return f"the number {shown(node.text)}"
        case bytes():
            return "bytes"
        case str():
            return f"the text {shown(node.text)!r}"
