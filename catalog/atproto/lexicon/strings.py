"""The string type: formats, lengths in bytes and in graphemes.

Specification: https://atproto.com/specs/lexicon#string
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import regex

from catalog.atproto.lexicon.definitions import one_of, wrong_length
from catalog.atproto.lexicon.report import shown
from catalog.errors import InvalidSyntax
from catalog.syntax import AtIdentifier, AtUri, Cid, Datetime, Did, Handle, Language, Nsid, RecordKey, Tid, Uri

if TYPE_CHECKING:
    from catalog.atproto.lexicon.report import Report

FORMATS: Final[Mapping[str, Callable[[str], str]]] = {
    "at-identifier": AtIdentifier.parse,
    "at-uri": AtUri.parse,
    "cid": Cid.parse,
    "datetime": Datetime.parse,
    "did": Did.parse,
    "handle": Handle.parse,
    "language": Language.parse,
    "nsid": Nsid.parse,
    "record-key": RecordKey.parse,
    "tid": Tid.parse,
    "uri": Uri.parse,
}

_GRAPHEME: Final = regex.compile(r"\X")


@dataclass(frozen=True, slots=True, kw_only=True)
class String:
    """Text. ``known_values`` are examples, not limits."""

    format: str | None = None
    min_length: int | None = None
    max_length: int | None = None
    """Bytes of UTF-8."""
    min_graphemes: int | None = None
    max_graphemes: int | None = None
    """Grapheme clusters (UAX #29)."""
    enum: tuple[str, ...] | None = None
    const: str | None = None
    known_values: tuple[str, ...] | None = None

    def check(self, value: object, where: str, report: Report, depth: int) -> None:  # noqa: ARG002, D102
        if not isinstance(value, str):
            report.expected(where, "a string", value)
            return
        if self.const is not None and value != self.const:
            report.expected(where, shown(self.const), value)
        if self.enum is not None and value not in self.enum:
            report.expected(where, one_of(self.enum), value)
        if self._check_lengths(value, where, report) and self.format is not None:
            try:
                FORMATS[self.format](value)
            except InvalidSyntax as error:
                report.add(where, error.what, error.hint)

    def _check_lengths(self, value: str, where: str, report: Report) -> bool:
        """Return whether the text is valid Unicode within its length limits."""
        try:
            length = len(value) if value.isascii() else len(value.encode("utf-8"))
        except UnicodeEncodeError:
            report.add(where, "text with half a surrogate pair in it is not Unicode")
            return False
        if wrong := wrong_length(length, "bytes of UTF-8", self.min_length, self.max_length):
            report.add(where, wrong)
        if self.max_length is not None and length > self.max_length:
            return False
        # No text has more graphemes than characters, which spares most texts the count.
        if self.min_graphemes is not None or (self.max_graphemes is not None and len(value) > self.max_graphemes):
            count = sum(1 for _ in _GRAPHEME.finditer(value))
            if wrong := wrong_length(count, "graphemes", self.min_graphemes, self.max_graphemes):
                report.add(where, wrong)
        return True
