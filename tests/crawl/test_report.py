"""The report of a crawl: counts, a table, a closing line, JSON; and the progress line."""

from __future__ import annotations

import io
import json
import time
from typing import TYPE_CHECKING

from catalog.cli.progress import Progress
from catalog.crawl.report import CrawlReport, Tally, progress_line
from catalog.sanitize import one_line
from catalog.store import Changes, Refused

if TYPE_CHECKING:
    import pytest


def _tally(source: str = "pds:https://a.example") -> Tally:
    tally = Tally(source=source)
    for _ in range(3):
        tally.count("a.example", "seen", "changed")
    tally.count("b.example", "seen", "unchanged")
    refused = [Refused(uri="at://x/y/z", reason="name: missing", source=source)]
    tally.add("a.example", Changes(new=5, updated=2, removed=1), refused, "tree")
    tally.add("a.example", Changes(new=1), [], "car")
    tally.meter.count("a.example", requests=7, received=12_345, seconds=1.25)
    tally.meter.count("plc.example", requests=3, received=900, seconds=0.5)
    return tally


def test_a_source_is_told_by_host() -> None:
    """The source's numbers are the sums of its hosts'; a host that was only asked is there too."""
    report = _tally().report()
    assert (report.seen, report.changed, report.unchanged, report.new, report.updated, report.removed) == (
        4, 3, 1, 6, 2, 1,
    )  # fmt: skip
    assert (report.requests, report.bytes, report.ways) == (10, 13_245, {"car": 1, "tree": 1})
    assert [host.host for host in report.hosts] == ["a.example", "b.example", "plc.example"]
    assert (report.hosts[0].refused, report.hosts[0].requests, report.hosts[2].seen) == (1, 7, 0)


def test_the_table_lines_up_and_the_last_line_says_it_all() -> None:
    """Numbers stand under each other; what failed is told before, and again at the end."""
    broken = Tally(source="repo:nobody.example")
    broken.fail("can't be reached\nat all")
    broken.fail("a later reason")
    broken.problem("did:plc:x could not be read")
    report = CrawlReport(sources=(_tally().report(), broken.report()), seconds=1.5)
    lines = report.lines()
    assert "refused at://x/y/z: name: missing" in lines
    assert "repo:nobody.example failed: can't be reached" in lines
    assert "repo:nobody.example failed: at all" in lines
    table = lines[lines.index(next(line for line in lines if line.startswith("source "))) : -1]
    end = table[0].index("requests") + len("requests")
    assert [line[:end].split()[-1] for line in table[1:]] == ["10", "7", "0", "3", "0"]
    assert all(line[end : end + 2] == "  " for line in table)
    assert "car 1, tree 1" in table[1]
    assert lines[-1] == (
        "4 repositories, 3 changed; records: 6 new, 2 updated, 1 removed, 1 refused; 10 requests, 13.2 kB, 1.5 s; "
        "1 source failed, its old records stay; 1 repository couldn't be read"
    )
    assert report.failed


def test_many_hosts_and_refusals_are_cut_in_the_table_and_in_json() -> None:
    """Their numbers stay."""
    tally = Tally(source="relay:https://r.example")
    for number in range(1000):
        tally.count(f"h{number}.example", "seen")
    refused = [Refused(uri=f"at://{number}", reason="x", source="s") for number in range(1000)]
    tally.add("h0.example", Changes(), refused)
    report = CrawlReport(sources=(tally.report(),))
    assert len(report.lines()) < 60
    assert any("and 980 more hosts" in line for line in report.lines())
    whole = json.loads(json.dumps(report.json()))
    assert (whole["sources"][0]["refusals"], len(whole["sources"][0]["refused"])) == (1000, 200)


def test_what_strangers_wrote_stays_on_its_line() -> None:
    """No control characters, no endless text."""
    tally = _tally()
    tally.problem("a\x1b[31mred\nline" + "x" * 10_000)
    for line in CrawlReport(sources=(tally.report(),)).lines():
        assert line.isprintable()
        assert len(line) < 600
    assert one_line("é\u202e") == "é�"


class _Terminal(io.StringIO):
    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


def test_a_terminal_sees_one_line_that_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is gone in the end; lines that stay aren't mixed with it."""
    monkeypatch.setattr("catalog.cli.progress._TERMINAL_SECONDS", 0.01)
    out = _Terminal(terminal=True)
    with Progress(out) as progress:
        progress.watch([_tally()])
        time.sleep(0.1)
        progress.say("crawling something")
    text = out.getvalue()
    assert progress_line([_tally()]) in text
    assert "\r\x1b[Kcrawling something\n" in text
    assert text.endswith("\r\x1b[K")


def test_a_log_sees_whole_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Now and then, without any control character."""
    monkeypatch.setattr("catalog.cli.progress._LOG_SECONDS", 0.02)
    out = _Terminal(terminal=False)
    with Progress(out) as progress:
        progress.watch([_tally()])
        time.sleep(0.15)
    lines = out.getvalue().splitlines()
    assert lines
    assert all(line.isprintable() and line.startswith("4 repositories, 3 changed") for line in lines)
