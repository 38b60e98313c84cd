"""The rules of the suite itself: skips are listed, slow tests are marked, slow files run first."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.durations import load, measure
from tests.paths import ROOT
from tests.skips import ALLOWED

if TYPE_CHECKING:
    from pathlib import Path

ALONE = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
"""Without the plugins of other packages pytest starts in half a second."""

REPORT = """\
<testsuites><testsuite>
<testcase classname="tests.site.test_a" name="test_one[a]" time="0.3"/>
<testcase classname="tests.site.test_a" name="test_one[b]" time="0.3"/>
<testcase classname="tests.site.test_a" name="test_two" time="0.1"/>
</testsuite></testsuites>
"""


def run_pytest(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run pytest with the plugin of this suite on the files of a folder."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "xdist", "-p", "tests.suite", "-p", "no:cacheprovider", "-W", "ignore",
         *arguments],
        cwd=folder, env={**os.environ, **ALONE, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    "source",
    [
        "import pytest\n\n@pytest.mark.skip(reason='not today')\ndef test_it():\n    pass\n",
        "import pytest\n\ndef test_it():\n    pytest.importorskip('no_such_package')\n",
        "import pytest\n\npytest.importorskip('no_such_package')\n\ndef test_it():\n    pass\n",
    ],
    ids=["marked", "in a test", "a whole module"],
)
def test_a_skip_that_is_not_listed_fails_the_run(tmp_path: Path, source: str) -> None:
    (tmp_path / "test_skipping.py").write_text(source, encoding="utf-8")
    ran = run_pytest(tmp_path)
    assert ran.returncode != 0
    assert "tests/skips.py" in ran.stdout
    (tmp_path / "test_skipping.py").write_text("def test_it():\n    pass\n", encoding="utf-8")
    assert run_pytest(tmp_path).returncode == 0


def test_a_listed_skip_is_a_skip(tmp_path: Path) -> None:
    name = next(name for name in ALLOWED if "::" not in name)
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_text("import pytest\n\ndef test_it():\n    pytest.skip('no tool')\n", encoding="utf-8")
    ran = run_pytest(tmp_path, "--rootdir", str(tmp_path))
    assert ran.returncode == 0, ran.stdout
    assert "1 skipped" in ran.stdout


@pytest.mark.parametrize("name", ALLOWED)
def test_each_listed_skip_is_of_a_test(name: str) -> None:
    """A test that was renamed or removed leaves no entry behind."""
    file, _, function = name.partition("::")
    text = (ROOT / file).read_text(encoding="utf-8")
    assert "skip" in text
    assert f"def {function}(" in text or not function


def test_a_test_is_slow_that_needs_a_server_or_a_browser_or_was_measured(request: pytest.FixtureRequest) -> None:
    marked: dict[bool, list[str]] = {True: [], False: []}
    for item in request.session.items:
        marked[item.get_closest_marker("slow") is not None].append(item.nodeid)
    assert request.node.nodeid in marked[False]
    for item in request.session.items:
        if {"browser", "network", "sites"} & set(getattr(item, "fixturenames", ())):
            assert item.nodeid in marked[True]


def test_the_table_of_durations_is_made_from_a_report() -> None:
    assert measure(REPORT) == {"tests/site/test_a.py": 0.7, "tests/site/test_a.py::test_one": 0.6}


def test_workers_start_with_the_slowest_files(tmp_path: Path) -> None:
    """A file that nobody has measured comes first: it may be the slowest of all."""
    table = load()
    order = sorted((name for name in table if "::" not in name), key=table.__getitem__, reverse=True)
    files = [order[-1], order[0], "tests/site/test_new.py", order[len(order) // 2]]
    for number, name in enumerate(files):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"def test_{number}():\n    pass\n", encoding="utf-8")
    ran = run_pytest(
        tmp_path, "--rootdir", str(tmp_path), "-n1", "--dist", "loadfile", "--no-loadscope-reorder", "-v",
        "--junitxml=report.xml",
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout
    done = [line.split()[-1] for line in ran.stdout.splitlines() if "PASSED" in line]
    assert [name.partition("::")[0] for name in done] == [files[2], files[1], files[3], files[0]], json.dumps(done)
