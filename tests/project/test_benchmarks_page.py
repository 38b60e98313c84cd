"""docs/benchmarks.md is what ``make bench`` writes from the results that are committed; every benchmark is in it."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from benchmarks import page, rerun
from benchmarks.rows import Result, Results, Row, read_result
from tests.paths import ROOT

SCRIPTS = sorted((ROOT / "benchmarks").glob("bench_*.py"))
MADE = Result(
    bench="thing", date="2026-01-02", seconds=90, options="--records 10", busy=0.1, machine={"cores": "2"},
    versions={"Python": "3.12.1"}, rows=(Row(what="reading", unit="ms", ours=50, peer="other 1.0", theirs=100),),
)  # fmt: skip


def written(result: Result, text: str = "# Thing\n\nAbout it.\n\n## Missed\n\nIt is slow.\n") -> str:
    """The page of one benchmark."""
    return page.page({"thing": result}, {"thing": text}, ["thing"])


def of(row: Row) -> str:
    return written(replace(MADE, rows=(row,)))


# --- what is committed -----------------------------------------------------------------------------------------------


def test_the_page_is_what_the_results_give() -> None:
    texts = {name: (page.TEXTS / f"{name}.md").read_text(encoding="utf-8") for name in page.benches()}
    assert page.PAGE.read_text(encoding="utf-8") == page.page(page.results(), texts, page.benches())


def test_every_benchmark_has_a_text_and_a_section_and_every_result_and_text_a_benchmark() -> None:
    """A benchmark without a result says so on the page, with the command that makes one."""
    names = set(page.benches())
    assert names == {path.stem.removeprefix("bench_") for path in SCRIPTS} == set(page.ORDER)
    assert {path.stem for path in page.TEXTS.iterdir()} == names
    assert {path.stem for path in page.RESULTS.iterdir()} <= names
    text = page.PAGE.read_text(encoding="utf-8")
    for name in names:
        assert f"`benchmarks/bench_{name}.py`" in text or f"Not measured yet: `make bench ONLY={name}`" in text


@pytest.mark.parametrize("file", sorted(page.RESULTS.glob("*.json")), ids=lambda file: str(file.stem))
def test_a_result_is_of_its_benchmark_has_rows_and_names_no_path_and_no_host(file: Path) -> None:
    result = read_result(file)
    assert result.bench == file.stem
    assert result.rows
    assert result.text() == file.read_text(encoding="utf-8")
    told = json.dumps([result.machine, result.options, [row.note for row in result.rows]])
    assert not any(part in told for part in ("/home", "/tmp", "/work", "://"))  # noqa: S108 - looked for, not used
    assert set(result.machine) <= {"processor", "cores", "memory", "kernel"}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: str(script.stem))
def test_every_benchmark_takes_results_and_writes_them(script: Path) -> None:
    """The measurements take too long here; one of them is run below."""
    text = script.read_text(encoding="utf-8")
    assert "Results(__file__, parser)" in text
    assert "results.write(" in text


# --- rows and pages ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("better", "ours", "theirs", "ratio"),
    [("lower", 50.0, 100.0, 2.0), ("higher", 100.0, 50.0, 2.0), ("lower", 0.0, 1.0, None), ("lower", 1.0, None, None)],
)
def test_a_ratio_above_one_is_in_our_favour(
    better: Literal["lower", "higher"], ours: float, theirs: float | None, ratio: float | None
) -> None:
    assert Row(what="x", unit="s", ours=ours, theirs=theirs, better=better).ratio == ratio


def test_what_is_missed_is_said_with_its_reason_and_what_is_reached_is_not() -> None:
    for row, missed in (
        (Row(what="x", unit="s", ours=2, wanted=1), True),
        (Row(what="x", unit="s", ours=1, wanted=2), False),
        (Row(what="x", unit="1/s", ours=1, wanted=2, better="higher"), True),
        (Row(what="x", unit="s", ours=1, theirs=2, peer="other 1.0", wanted_ratio=3), True),
        (Row(what="x", unit="s", ours=1, theirs=3, peer="other 1.0", wanted_ratio=3), False),
        (Row(what="x", unit="s", peer="Hugo", wanted_ratio=3, note="it isn't installed"), False),
    ):
        text = of(row)
        assert ("**missed** |" in text, "It is slow." in text) == (missed, missed)


def test_a_peer_that_is_not_installed_is_named_in_its_row_and_below() -> None:
    text = of(Row(what="build", unit="s", peer="Hugo", wanted_ratio=2, note="Hugo isn't installed"))
    assert "| build | Hugo | ratio ≥ 2 |" in text
    assert "build: Hugo isn't installed." in text


def test_the_only_peer_of_a_table_has_its_name_above_its_column() -> None:
    rows = (*MADE.rows, Row(what="writing", unit="ms", ours=3))
    assert "| What | Ours | other 1.0 | Ratio |" in written(replace(MADE, rows=rows))
    two = (*rows, Row(what="asking", unit="ms", ours=1, peer="third 2.0", theirs=2))
    assert "| reading | 50 ms | 100 ms, other 1.0 | 2 |" in written(replace(MADE, rows=two))


def test_a_busy_machine_and_old_numbers_are_told() -> None:
    assert "warning" not in written(MADE)
    assert "others used 1.2 cores" in written(replace(MADE, busy=1.2))
    assert "the run of 2026-02-03 broke off" in written(replace(MADE, failed="2026-02-03"))


def test_no_column_asks_for_an_inline_style() -> None:
    """The site's content policy forbids them."""
    text = written(MADE)
    assert "| --- | --- |" in text
    assert "---:" not in text
    assert ":---" not in text


def test_each_table_has_its_own_date_machine_versions_and_options() -> None:
    assert "with `--records 10`, 2026-01-02, 90 s. 2 cores. Python 3.12.1." in written(MADE)


# --- running ----------------------------------------------------------------------------------------------------------


def test_a_result_is_read_as_it_was_written(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    results = Results("bench_thing.py", parser)
    parser.add_argument("--records", type=int, default=100)
    parser.add_argument("--store", type=Path)
    results.add("reading", "ms", 12.34567, peer="other 1.0", theirs=20)
    arguments = parser.parse_args(["--results", str(tmp_path / "a.json"), "--records", "5", "--store", "secret"])
    results.write(arguments)
    result = read_result(tmp_path / "a.json")
    assert (result.bench, result.options) == ("thing", "--records 5")
    assert result.rows == (Row(what="reading", unit="ms", ours=12.35, peer="other 1.0", theirs=20),)
    assert result.text() == (tmp_path / "a.json").read_text(encoding="utf-8")
    assert {"Python", "atdata-catalog"} <= result.versions.keys()


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
import argparse
from benchmarks.rows import Results
parser = argparse.ArgumentParser()
results = Results(__file__, parser)
parser.add_argument("--end", type=int, default=0)
arguments = parser.parse_args()
results.add("reading", "ms", 1)
if arguments.end == 2:
    sys.exit("the peer doesn't start")
results.write(arguments)
sys.exit(arguments.end)
"""


def test_a_benchmark_that_breaks_off_keeps_its_rows_as_old_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its next run that ends takes the mark away; one that misses what is wanted has ended."""
    (tmp_path / "bench_thing.py").write_text(SCRIPT.format(root=str(ROOT)), encoding="utf-8")
    monkeypatch.setattr(page, "HERE", tmp_path)
    monkeypatch.setattr(page, "RESULTS", tmp_path / "results")
    assert rerun.run("thing", ["--end", "2"]) == 2
    assert not (tmp_path / "results").exists()
    assert rerun.run("thing", ["--end", "1"]) == 1
    kept = read_result(tmp_path / "results" / "thing.json")
    assert (kept.failed, kept.options) == (None, "--end 1")
    assert rerun.run("thing", ["--end", "2"]) == 2
    marked = read_result(tmp_path / "results" / "thing.json")
    assert marked.failed is not None
    assert replace(marked, failed=None) == kept
    assert rerun.run("thing", []) == 0
    assert read_result(tmp_path / "results" / "thing.json").failed is None


def test_the_command_knows_its_benchmarks() -> None:
    command = [sys.executable, "benchmarks/rerun.py", "--only", "car,nothing"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no such benchmark: nothing; there are import," in done.stderr


def test_a_real_benchmark_runs_at_a_tiny_size(tmp_path: Path) -> None:
    file = tmp_path / "car.json"
    command = [sys.executable, "benchmarks/bench_car.py", "--records", "400", "--times", "1", "--results", str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode in {0, 1}, done.stderr
    result = read_result(file)
    assert result.options == "--records 400 --times 1"
    whole = result.rows[0]
    assert (whole.what, whole.unit) == ("whole repository, all proven", "ms")
    assert f"{whole.ours:.0f}".isdigit()
    assert all(row.peer is not None and row.peer.startswith("libipld ") for row in result.rows)
