"""Unit tests of the site's JavaScript in Node: tests/javascript/*.test.js. ``make lint`` runs ESLint and tsc."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from catalog.store import index_format
from tests.paths import ROOT, TESTS

if TYPE_CHECKING:
    from pathlib import Path

FILES = sorted((TESTS / "javascript").glob("*.test.js"))


def node(*arguments: str) -> str:
    """The output of Node; the test fails with it if Node does."""
    program = shutil.which("node")
    if program is None:
        pytest.fail("Node.js is missing", pytrace=False)
    run = subprocess.run([program, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    if run.returncode:
        pytest.fail(run.stdout + run.stderr, pytrace=False)
    return run.stdout


@pytest.mark.parametrize("file", FILES, ids=[file.name.removesuffix(".test.js") for file in FILES])
def test_unit_tests_of_the_scripts_pass(file: Path) -> None:
    assert "# pass 0" not in node("--test", str(file))


def test_the_browser_has_the_limits_of_python() -> None:
    script = "import * as limits from './site_templates/assets/limits.js'; console.log(JSON.stringify(limits))"
    limits = json.loads(node("--input-type=module", "--eval", script))
    assert limits == {name: getattr(index_format, name) for name in limits}
    assert {"MAX_ROWS", "MAX_BUCKETS", "MAX_SHOWN", "MAX_SHARDS", "MAX_WORDS_PER_ROW"} <= limits.keys()
