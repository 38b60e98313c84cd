"""Crawl report: numbers, a table for the terminal, JSON for programs and the site's status page."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from catalog.errors import InternalError, StoreError, contained
from catalog.formatting import byte_size, counted
from catalog.network.rate_limit import Meter
from catalog.sanitize import one_line

if TYPE_CHECKING:
    from catalog.errors import CatalogError
    from catalog.network.http import Client
    from catalog.store import Changes, Refused

_SHOWN: Final = 20
"""Rejected records and problems that are listed; the others are counted."""
_KEPT: Final = 200
"""Rejected records and problems that are kept, in memory and for the status page; the others are counted."""
_TOLD_APART: Final = 10_000
"""Units whose repeated problems count once; beyond them each problem counts."""
_MOST_HOSTS: Final = 10_000
"""Hosts of a source that are counted separately; the others are counted together."""
_OTHERS: Final = "other hosts"
COUNTS: Final = ("seen", "changed", "unchanged", "new", "updated", "removed")


@dataclass(frozen=True, slots=True, kw_only=True)
class HostReport:
    """Totals of one host within a source: repositories, records (``refused`` included), requests, bytes, seconds.

    ``seconds`` is the sum over its responses, also of parallel ones. ``ways`` counts repositories by the way they were
    read (:data:`catalog.atproto.proof.WAYS`).
    """

    host: str
    seen: int
    changed: int
    unchanged: int
    new: int
    updated: int
    removed: int
    refused: int
    ways: dict[str, int]
    requests: int
    bytes: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceReport:
    """Totals of one source. ``error`` is why it ended early; ``problems`` are repositories that couldn't be read.

    ``refused`` are (URI, reason) pairs of the repositories read in this crawl. At most 200 rejected records and
    problems are listed; ``refusals`` and ``troubles`` are their total numbers, and ``defects`` the number of problems
    that are an :class:`~catalog.errors.InternalError`. ``forgotten`` counts old versions of records that the store
    doesn't keep.
    """

    source: str
    seen: int
    changed: int
    unchanged: int
    new: int
    updated: int
    removed: int
    refused: tuple[tuple[str, str], ...]
    refusals: int
    problems: tuple[str, ...]
    troubles: int
    defects: int
    error: str | None
    ways: dict[str, int]
    requests: int
    bytes: int
    seconds: float
    hosts: tuple[HostReport, ...]
    forgotten: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CrawlReport:
    """Totals of a crawl; ``seconds`` is its duration."""

    sources: tuple[SourceReport, ...]
    seconds: float = 0.0

    @property
    def failed(self) -> bool:
        """Return whether a source could not be read to its end."""
        return any(source.error is not None for source in self.sources)

    @property
    def defects(self) -> int:
        """Return the number of accounts, frames and sources that met an unexpected error."""
        return sum(source.defects for source in self.sources)

    def lines(self) -> list[str]:
        """Return the problems, then the table, then a closing line."""
        return [
            *(line for source in self.sources for line in _faults(source)),
            *self._forgotten(),
            *_table(self.sources),
            self._closing(),
        ]

    def json(self) -> dict[str, Any]:
        """Return the report as JSON, as the store keeps it."""
        whole = asdict(self)
        for source, report in zip(whole["sources"], self.sources, strict=True):
            source["seconds"] = round(report.seconds, 3)
        return whole

    def _forgotten(self) -> Iterator[str]:
        number = sum(source.forgotten for source in self.sources)
        if number:
            what = "the newest are kept, as many as limits.record_versions and 16 million characters of each record"
            yield f"{counted(number, 'old version')} of records forgotten: {what}"

    def _closing(self) -> str:
        total = Counter[str]()
        for source in self.sources:
            total.update({name: getattr(source, name) for name in (*COUNTS, "requests", "bytes")})
            total["refused"] += source.refusals
            total["failed"] += source.error is not None
            total["problems"] += source.troubles
            total["defects"] += source.defects
        whose = "its" if total["failed"] == 1 else "their"
        trouble = f"; {counted(total['failed'], 'source')} failed, {whose} old records stay" if total["failed"] else ""
        trouble += f"; {counted(total['problems'], 'repository')} couldn't be read" * bool(total["problems"])
        trouble += f"; {counted(total['defects'], 'unexpected error')}, please report" * bool(total["defects"])
        return (
            f"{counted(total['seen'], 'repository')}, {total['changed']:,} changed; records: "
            f"{total['new']:,} new, {total['updated']:,} updated, {total['removed']:,} removed, "
            f"{total['refused']:,} refused; {counted(total['requests'], 'request')}, {byte_size(total['bytes'])}, "
            f"{self.seconds:.1f} s{trouble}"
        )


@dataclass(slots=True, kw_only=True)
class Tally:
    """Counters of a source while it is crawled, for many threads. Its size is bounded."""

    source: str
    meter: Meter = field(default_factory=Meter)
    error: str | None = None
    started: float = field(default_factory=time.monotonic)
    ended: float = field(default_factory=time.monotonic)
    hosts: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    refused: dict[tuple[str, str], None] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    """Newest problem of each unit (an account, a frame, a file); at most 200."""
    troubles: int = 0
    defects: int = 0
    forgotten: int = 0
    """Old versions of records that were removed."""
    left: Counter[str] = field(default_factory=Counter)
    """Accounts that are postponed to the next crawl, by reason."""
    lock: Lock = field(default_factory=Lock)
    _met: set[int] = field(default_factory=set)
    """Hashes of the units that had a problem or a defect before."""

    def count(self, host: str, *names: str, number: int = 1) -> None:
        """Count repositories by outcome."""
        with self.lock:
            self._of(host).update(dict.fromkeys(names, number))

    def add(self, host: str, changes: Changes, refused: Iterable[Refused], way: str | None = None) -> None:
        """Count the changes of one repository."""
        rejected = [(item.uri, item.reason) for item in refused]
        with self.lock:
            counts = self._of(host)
            counts.update(new=changes.new, updated=changes.updated, removed=changes.removed, refused=len(rejected))
            self.forgotten += changes.forgotten
            if way is not None:
                counts[f"way {way}"] += 1
            self.refused.update(dict.fromkeys(rejected[: max(0, _KEPT - len(self.refused))]))

    def problem(self, text: str, *, unit: str | None = None, defect: bool = False) -> None:
        """Note a repository or another ``unit`` that couldn't be read; it replaces an earlier problem of that unit."""
        key = one_line(text) if unit is None else one_line(unit, 2100)
        with self.lock:
            self.troubles += self._first(f"trouble {key}")
            self.defects += defect and self._first(f"defect {key}")
            if key in self.problems or len(self.problems) < _KEPT:
                self.problems[key] = one_line(text)

    def unread(self, unit: str, error: Exception, *, what: str = "could not be read") -> CatalogError:
        """Note the error that ended the work on one unit, and return it as a :class:`CatalogError`."""
        found = contained(error)
        text = f"{one_line(unit, 200)} {what}: {found}"
        self.problem(text, unit=unit, defect=isinstance(found, InternalError))
        return found

    def total(self, name: str) -> int:
        """Return the number of problems."""
        with self.lock:
            return sum(counts[name] for counts in self.hosts.values())

    def leave(self, host: str, why: str) -> None:
        """Note an account that is postponed. If the host is the source's own, the source has ended early."""
        with self.lock:
            self.left[why if why in self.left or len(self.left) < _KEPT else f"{_OTHERS}: see above"] += 1
        if self.source.endswith(f"//{host}"):
            self.fail(f"{why}; it was not read to its end")

    @contextmanager
    def containing(self, unit: str) -> Iterator[None]:
        """Note any error of one unit, and continue; a :class:`StoreError` is raised."""
        try:
            yield
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 — whatever it is, it ends the work on this unit alone
            self.unread(unit, error)

    def once(self, text: str) -> None:
        """Note a problem of many repositories once."""
        self.problem(text)

    def fail(self, failure: CatalogError | str) -> None:
        """Note why the source ended early; the first reason counts."""
        with self.lock:
            self.defects += isinstance(failure, InternalError) and self._first(f"defect {self.source}")
            if self.error is None:
                self.error = "\n".join(one_line(line) for line in str(failure).splitlines()[:_KEPT])

    def _of(self, host: str) -> Counter[str]:
        """Return the counters of a host; beyond a number of hosts, the shared ones."""
        return self.hosts[host if host in self.hosts or len(self.hosts) < _MOST_HOSTS else _OTHERS]

    def _first(self, what: str) -> bool:
        """Return True if a key is not among the remembered ones."""
        number = hash(what)
        if number in self._met:
            return False
        if len(self._met) < _TOLD_APART:
            self._met.add(number)
        return True

    @contextmanager
    def metered(self, client: Client) -> Iterator[None]:
        """Count the client's requests meanwhile as this source's."""
        try:
            with client.metered(self.meter):
                yield
        finally:
            self.ended = time.monotonic()

    def report(self) -> SourceReport:
        """Return the finished report."""
        with self.lock:
            names = sorted({*self.hosts, *self.meter.hosts})
            hosts = tuple(self._host(name) for name in names)
            ways = Counter[str]()
            for host in hosts:
                ways.update(host.ways)
            left = [
                f"{one_line(why, 300)}; {counted(number, 'account')} left for the next crawl"
                for why, number in self.left.items()
            ]
            return SourceReport(
                source=self.source,
                **{name: sum(getattr(host, name) for host in hosts) for name in COUNTS},
                refused=tuple(self.refused),
                refusals=sum(host.refused for host in hosts),
                problems=(*left, *self.problems.values()),
                troubles=self.troubles + self.left.total(),
                defects=self.defects,
                error=self.error,
                ways=dict(ways),
                requests=sum(host.requests for host in hosts),
                bytes=sum(host.bytes for host in hosts),
                seconds=self.ended - self.started,
                hosts=hosts,
                forgotten=self.forgotten,
            )

    def _host(self, name: str) -> HostReport:
        counts = self.hosts.get(name, Counter[str]())
        traffic = self.meter.hosts.get(name)
        return HostReport(
            host=name,
            **{count: counts[count] for count in (*COUNTS, "refused")},
            ways={key.removeprefix("way "): number for key, number in sorted(counts.items()) if key.startswith("way ")},
            requests=0 if traffic is None else traffic.requests,
            bytes=0 if traffic is None else traffic.bytes,
            seconds=0.0 if traffic is None else round(traffic.seconds, 3),
        )


def progress_line(tallies: Iterable[Tally]) -> str:
    """Return the progress of a crawl on one line."""
    total = Counter[str]()
    for tally in tallies:
        with tally.lock:
            for counts in tally.hosts.values():
                total.update(counts)
            total["problems"] += tally.troubles + tally.left.total()
        for traffic in list(tally.meter.hosts.values()):
            total["requests"] += traffic.requests
            total["bytes"] += traffic.bytes
    records = total["new"] + total["updated"] + total["removed"]
    trouble = f", {counted(total['problems'], 'problem')}" if total["problems"] else ""
    return (
        f"{counted(total['seen'], 'repository')}, {total['changed']:,} changed, "
        f"{counted(records, 'record')}, {counted(total['requests'], 'request')}, {byte_size(total['bytes'])}{trouble}"
    )


_HEAD: Final = (
    "source", "repos", "changed", "new", "updated", "removed", "refused", "requests", "bytes", "s", "read by",
)  # fmt: skip


def _table(sources: Iterable[SourceReport]) -> list[str]:
    """Return a row for each source, followed by a row for each host if there are several."""
    rows: list[tuple[str, ...]] = [_HEAD]
    for source in sources:
        rows.append(_row(source.source, source, source.refusals, source.seconds))
        if len(source.hosts) > 1 or any(host.host not in source.source for host in source.hosts):
            rows += [_row(f"  {host.host}", host, host.refused, host.seconds) for host in source.hosts[:_SHOWN]]
            if len(source.hosts) > _SHOWN:
                rows.append((f"  … and {len(source.hosts) - _SHOWN:,} more hosts", *("" for _ in _HEAD[1:])))
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    lines = []
    for row in rows:
        middle = (cell.rjust(width) for cell, width in zip(row[1:-1], widths[1:-1], strict=True))
        lines.append("  ".join((row[0].ljust(widths[0]), *middle, row[-1])).rstrip())
    return lines


def _row(name: str, of: SourceReport | HostReport, refused: int, seconds: float) -> tuple[str, ...]:
    counts = (of.seen, of.changed, of.new, of.updated, of.removed, refused, of.requests)
    ways = ", ".join(f"{way} {number:,}" for way, number in of.ways.items())
    return (one_line(name, 60), *(f"{count:,}" for count in counts), byte_size(of.bytes), f"{seconds:.1f}", ways)


def _faults(report: SourceReport) -> Iterator[str]:
    yield from _some([f"refused {uri}: {reason}" for uri, reason in report.refused], report.refusals, "refused records")
    yield from _some(list(report.problems), report.troubles, "problems")
    if report.error is not None:
        for line in report.error.splitlines():
            yield f"{report.source} failed: {line}"


def _some(lines: list[str], number: int, what: str) -> Iterator[str]:
    yield from lines[:_SHOWN]
    if len(lines) > _SHOWN:
        yield f"… and {number - _SHOWN:,} more {what}"
