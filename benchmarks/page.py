"""docs/benchmarks.md, from ``results/*.json`` and the hand-written ``texts/*.md``: the same files, the same page.

A text begins with the benchmark's heading. What stands below ``## Missed`` says why something wasn't reached, and is
shown when something wasn't. A benchmark without a result is named with the command that would make one.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.rows import BUSY, Result, Row, read_result

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["PAGE", "RESULTS", "TEXTS", "benches", "page", "results"]

HERE: Final = Path(__file__).resolve().parent
RESULTS: Final = HERE / "results"
TEXTS: Final = HERE / "texts"
PAGE: Final = HERE.parent / "docs" / "benchmarks.md"
ORDER: Final = (
    "import", "installed", "iterating", "browser", "appview", "appview_engine", "site", "stamping", "crawl", "car",
    "firehose",
)  # fmt: skip
"""First what people wait for who load data, then visitors, then hosts. Others come last."""

_HEAD: Final = """\
---
title: Benchmarks
hide: [navigation]
---

<!-- Made by `make bench` from benchmarks/results and benchmarks/texts. Change those. -->

# Benchmarks

What the parts of this project take in time, memory and bytes, beside another program that does the same work where
there is one. Every table was written by the command that measured it.

*Ratio* says how many times as good as the other program ours is: 2 means half the time, half the memory or twice the
samples a second; below 1 the other is better. *Wanted* is what we set ourselves before measuring. A **missed** number
stays in the table, with the reason below it.

Repeat it with `make bench`, which reruns everything in an hour or so and rewrites this page, or a part of it with
`make bench ONLY=car,import`. Numbers hold for one machine: compare ratios rather than seconds.
"""


def benches() -> list[str]:
    """The names of all ``bench_*.py``, in the page's order."""
    names = [file.stem.removeprefix("bench_") for file in HERE.glob("bench_*.py")]
    return sorted(names, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))


def results() -> dict[str, Result]:
    """By benchmark, what its last run found."""
    return {file.stem: read_result(file) for file in sorted(RESULTS.glob("*.json"))}


def page(found: Mapping[str, Result], texts: Mapping[str, str], names: Sequence[str]) -> str:
    """The whole page."""
    return "\n".join([_HEAD, *(_section(name, texts[name], found.get(name)) for name in names)])


def _section(name: str, text: str, result: Result | None) -> str:
    about, _, why = text.partition("## Missed")
    head, _, about = about.removeprefix("# ").partition("\n")
    parts = [f"## {head.strip()} {{ #{name.replace('_', '-')} }}", about.strip()]
    if result is None:
        parts.append(f"Not measured yet: `make bench ONLY={name}`.")
        return "\n\n".join(parts) + "\n"
    parts += [_table(result.rows), *_notes(result.rows)]
    missed = [row.what for row in result.rows if row.missed]
    if missed:
        parts.append(f"**Missed:** {'; '.join(missed)}. {why.strip()}".strip())
    return "\n\n".join([*parts, _run(name, result)]) + "\n"


def _table(rows: Sequence[Row]) -> str:
    """Columns that no row needs are left out. Where there is one peer, its column has its name.

    No column is aligned: Markdown does that by inline styles, which the site's content policy forbids.
    """
    peers = {row.peer for row in rows if row.peer is not None}
    only = peers.pop() if len(peers) == 1 and all(row.theirs is not None for row in rows if row.peer) else None
    columns = {
        "What": [row.what for row in rows],
        "Ours": [_number(row.ours, row.unit) for row in rows],
        only or "Other": [_other(row, only) for row in rows],
        "Ratio": ["" if row.ratio is None else f"{row.ratio:.3g}" for row in rows],
        "Wanted": [_wanted(row) for row in rows],
    }
    used = {name: cells for name, cells in columns.items() if any(cells)}
    lines = [list(used), ["---"] * len(used), *map(list, zip(*used.values(), strict=True))]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def _other(row: Row, only: str | None) -> str:
    if row.peer is None:
        return ""
    if row.peer == only:
        return _number(row.theirs, row.unit)
    return row.peer if row.theirs is None else f"{_number(row.theirs, row.unit)}, {row.peer}"


def _wanted(row: Row) -> str:
    if row.wanted is not None:
        sign = "≤" if row.better == "lower" else "≥"
        text = f"{sign} {_number(row.wanted, row.unit)}"
    elif row.wanted_ratio is not None:
        text = f"ratio ≥ {row.wanted_ratio:g}"
    else:
        return ""
    return f"{text}, **missed**" if row.missed else text


def _number(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    if value == int(value) and abs(value) < 1e15:
        text = f"{int(value):,}"
    else:
        size = abs(value)
        text = f"{value:,.0f}" if size >= 1000 else f"{value:.3g}"
    return f"{text} {unit}".strip()


def _notes(rows: Sequence[Row]) -> list[str]:
    return [f"{row.what}: {row.note}." for row in rows if row.note is not None]


def _run(name: str, result: Result) -> str:
    """When and where, in small print; a warning before it when the numbers are old or of a busy machine."""
    warnings = []
    if result.failed is not None:
        warnings.append(f"These are old numbers: the run of {result.failed} broke off.")
    if result.busy is not None and result.busy > BUSY:
        warnings.append(
            f"The machine was busy: others used {result.busy:g} cores meanwhile. Take the times for an upper bound."
        )
    machine = ", ".join(f"{value} cores" if key == "cores" else value for key, value in result.machine.items())
    versions = ", ".join(f"{key} {value}" for key, value in result.versions.items())
    options = f" with `{result.options}`" if result.options else ""
    told = f"`benchmarks/bench_{name}.py`{options}, {result.date}, {_duration(result.seconds)}. {machine}. {versions}."
    return "\n\n".join([*(f'!!! warning ""\n    {warning}' for warning in warnings), f"<small>{told}</small>"])


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
