"""Benchmark results as data: one JSON file for each ``bench_*.py``, in one format.

A script creates one :class:`Results` before it parses its options, adds a row for each number it prints, and writes
them to the file of ``--results`` at the end, with the machine, versions, date, options that differ from the defaults,
and the load caused by other processes. Host names and paths are not included.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    import argparse

__all__ = ["BUSY", "Result", "Results", "Row", "named", "read_result"]

BUSY: Final = 0.3
"""Cores that others may use on average during a run; above it the numbers are of a busy machine."""
_ROOT: Final = Path(__file__).resolve().parents[1]
_MEASURED: Final = ("catalog", "site_templates", "lexicons", "benchmarks/*.py")
"""The conditions that a number depends on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One number: ours, a peer's beside it if there is one, and what is wanted of it if anything is.

    ``wanted`` is a bound for our number, reached when that is on the better side of it; ``wanted_ratio`` is one for how
    many times as good as the peer's it is. ``note`` says what a reader must know, as that the peer isn't installed.
    """

    what: str
    unit: str
    ours: float | None = None
    peer: str | None = None
    theirs: float | None = None
    better: Literal["lower", "higher"] = "lower"
    wanted: float | None = None
    wanted_ratio: float | None = None
    note: str | None = None

    @property
    def ratio(self) -> float | None:
        """Return the ratio to the peer: above 1 is in our favour. None without two numbers above zero."""
        if self.ours is None or self.theirs is None or min(self.ours, self.theirs) <= 0:
            return None
        return self.theirs / self.ours if self.better == "lower" else self.ours / self.theirs

    @property
    def missed(self) -> bool:
        """Return whether it has a target that was measured and missed."""
        if self.wanted is not None and self.ours is not None:
            return self.ours > self.wanted if self.better == "lower" else self.ours < self.wanted
        return self.wanted_ratio is not None and self.ratio is not None and self.ratio < self.wanted_ratio


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The results of one run of one benchmark. ``options`` as typed; ``busy``: cores that others used, or None.

    ``failed`` is the day on which it was last tried again and broke off; the rows are older then.
    """

    bench: str
    date: str
    seconds: float
    options: str
    busy: float | None
    machine: dict[str, str]
    versions: dict[str, str]
    rows: tuple[Row, ...]
    failed: str | None = None

    def text(self) -> str:
        """As JSON, one row a line."""
        whole = asdict(self)
        rows = ",\n".join(f"    {json.dumps(_told(row), ensure_ascii=False)}" for row in whole.pop("rows"))
        head = json.dumps(_told(whole), ensure_ascii=False, indent=2).removesuffix("\n}")
        return f'{head},\n  "rows": [\n{rows}\n  ]\n}}\n'


def _told(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def read_result(file: Path) -> Result:
    """A file that :class:`Results` wrote."""
    whole = json.loads(file.read_text(encoding="utf-8"))
    rows = tuple(Row(**row) for row in whole.pop("rows"))
    return Result(**{"busy": None, **whole}, rows=rows)


def named(package: str, name: str | None = None) -> str:
    """An installed package with its version, as a peer is called in rows."""
    return f"{name or package} {version(package)}"


class Results:
    """Collects the rows of one script. Gives its parser the option ``--results``."""

    def __init__(self, script: str, parser: argparse.ArgumentParser) -> None:
        self.bench = Path(script).stem.removeprefix("bench_")
        self.rows: list[Row] = []
        self._parser = parser
        self._begun, self._used = time.monotonic(), _processors()
        parser.add_argument("--results", type=Path, metavar="FILE", help="write the numbers here as JSON, too")

    def add(self, what: str, unit: str, ours: float | None = None, **more: Any) -> Row:  # noqa: ANN401 - fields of Row
        """Add one row: for the other fields see :class:`Row`. Numbers are kept to four digits."""
        theirs = more.pop("theirs", None)
        row = Row(what=what, unit=unit, ours=_rounded(ours), theirs=_rounded(theirs), **more)
        self.rows.append(row)
        return row

    def write(self, arguments: argparse.Namespace) -> None:
        """Write what was added to the file that was asked for; nothing when none was."""
        if arguments.results is None:
            return
        seconds = time.monotonic() - self._begun
        result = Result(
            bench=self.bench, date=datetime.now(UTC).strftime("%Y-%m-%d"), seconds=round(seconds),
            options=_options(self._parser, arguments), busy=_others(self._used, seconds), machine=_machine(),
            versions={"Python": platform.python_version(), "atdata-catalog": _ours()}, rows=tuple(self.rows),
        )  # fmt: skip
        arguments.results.write_text(result.text(), encoding="utf-8")


def _rounded(number: float | None) -> float | None:
    return None if number is None else float(f"{number:.4g}")


def _options(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> str:
    """Those that differ from what is usual, without those that name files."""
    words = []
    for name, value in vars(arguments).items():
        paths = value if isinstance(value, list) else [value]
        if value != parser.get_default(name) and not any(isinstance(path, Path) for path in paths):
            words += [f"--{name.replace('_', '-')}", *([] if value is True else map(str, paths))]
    return " ".join(words)


# --- the machine ------------------------------------------------------------------------------------------------------


def _machine() -> dict[str, str]:
    """Processor, cores, memory and kernel; what the system doesn't say is left out."""
    found = {"processor": _field("/proc/cpuinfo", "model name") or platform.machine(), "cores": str(os.cpu_count())}
    memory = _field("/proc/meminfo", "MemTotal")
    if memory is not None:
        found["memory"] = f"{int(memory.split()[0]) / 2**20:.0f} GiB"
    return {**found, "kernel": f"{platform.system()} {platform.release()}"}


def _field(file: str, name: str) -> str | None:
    try:
        text = Path(file).read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(rf"^{name}\s*:\s*(.+)$", text, re.MULTILINE)
    return None if found is None else found[1].strip()


def _processors() -> tuple[float, float] | None:
    """Seconds that all processors have worked since the start, and those of this process and its children."""
    try:
        line = Path("/proc/stat").read_text(encoding="ascii").partition("\n")[0].split()
    except OSError:
        return None
    user, nice, system, _idle, _waiting, *interrupts = (int(field) for field in line[1:8])
    mine = os.times()
    ticks = (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK")
    return ticks, mine.user + mine.system + mine.children_user + mine.children_system


def _others(before: tuple[float, float] | None, seconds: float) -> float | None:
    """Cores that others used on average since then."""
    now = _processors()
    if before is None or now is None or not seconds:
        return None
    return round(max(0.0, (now[0] - before[0]) - (now[1] - before[1])) / seconds, 2)


def _ours() -> str:
    """The commit, and whether what is measured differs from it; without Git the version."""
    try:
        commit = _git("rev-parse", "--short=10", "HEAD")
        changed = _git("status", "--porcelain", "--", *_MEASURED)
    except (OSError, subprocess.CalledProcessError):
        try:
            return version("atdata-catalog")
        except PackageNotFoundError:
            return "unknown"
    return f"{commit}, with changes" if changed else commit


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=_ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()
