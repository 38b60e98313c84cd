"""What a crawl did, as numbers and as lines for people."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from catalog.store import Changes, Refused

__all__ = ["CrawlReport", "SourceReport", "Tally", "one_line"]

_SHOWN: Final = 20
"""Refused records and problems that are told one by one; the rest is a number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceReport:
    """What came of one source. ``error`` is why it ended early; ``problems`` are repositories that couldn't be read.

    ``refused`` are (URI, reason) pairs of the repositories read in this crawl; ``bytes`` and ``seconds`` are what it
    took.
    """

    source: str
    seen: int
    changed: int
    unchanged: int
    new: int
    updated: int
    removed: int
    refused: tuple[tuple[str, str], ...]
    problems: tuple[str, ...]
    error: str | None
    requests: int
    bytes: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CrawlReport:
    """What came of a crawl."""

    sources: tuple[SourceReport, ...]

    @property
    def failed(self) -> bool:
        """Whether a source could not be read at all, or not to its end."""
        return any(source.error is not None for source in self.sources)

    def lines(self) -> list[str]:
        """What went wrong, then one closing line for each source."""
        return [line for source in self.sources for line in _lines(source)]


@dataclass(slots=True, kw_only=True)
class Tally:
    """A source's report in the making."""

    counts: Counter[str] = field(default_factory=Counter)
    refused: list[tuple[str, str]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def add(self, changes: Changes, refused: list[Refused]) -> None:
        """Count the changes of one repository."""
        self.counts.update(new=changes.new, updated=changes.updated, removed=changes.removed)
        self.refused += [(item.uri, item.reason) for item in refused]

    def report(self, source: str, *, error: str | None, requests: int, received: int, seconds: float) -> SourceReport:
        """The finished report."""
        return SourceReport(
            source=source,
            seen=self.counts["seen"],
            changed=self.counts["changed"],
            unchanged=self.counts["unchanged"],
            new=self.counts["new"],
            updated=self.counts["updated"],
            removed=self.counts["removed"],
            refused=tuple(self.refused),
            problems=tuple(self.problems),
            error=error,
            requests=requests,
            bytes=received,
            seconds=seconds,
        )


def _lines(report: SourceReport) -> Iterator[str]:
    yield from _some([f"refused {uri}: {reason}" for uri, reason in report.refused], "refused records")
    yield from _some(list(report.problems), "problems")
    if report.error is not None:
        yield from report.error.splitlines()
    state = "" if report.error is None else "failed; its old records stay. "
    repos = "1 repo" if report.seen == 1 else f"{report.seen} repos"
    yield (
        f"{report.source}: {state}{repos} ({report.changed} changed, {report.unchanged} unchanged); "
        f"records: {report.new} new, {report.updated} updated, {report.removed} removed, "
        f"{len(report.refused)} refused; {report.requests} requests, {report.bytes:,} bytes, {report.seconds:.1f} s"
    )


def _some(lines: list[str], what: str) -> Iterator[str]:
    yield from lines[:_SHOWN]
    if len(lines) > _SHOWN:
        yield f"… and {len(lines) - _SHOWN} more {what}"


def one_line(text: str, most: int = 500) -> str:
    """Somebody else's text made fit for a line of a terminal and for the store: cut, no control characters."""
    clean = "".join(char if char.isprintable() else "�" for char in text[:most])
    return clean if len(text) <= most else clean[:-1] + "…"
