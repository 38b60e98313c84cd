"""Unit tests of the site's JavaScript in Node: tests/javascript/*.test.js. ``make lint`` runs ESLint and tsc."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from catalog.config import resources
from catalog.site import scripts
from catalog.store import index_format
from tests.paths import ROOT, TESTS

if TYPE_CHECKING:
    from pathlib import Path

FILES = sorted((TESTS / "javascript").glob("*.test.js"))
SCRIPTS = sorted([*resources.templates().glob("assets/*.js"), *resources.templates().glob("live/*.js")])


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


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The assets of a site, in a copy of the folder that the unit tests import from."""
    folder = tmp_path_factory.mktemp("published")
    (folder / "site_templates" / "assets").mkdir(parents=True)
    (folder / "package.json").write_text('{"type": "module"}', encoding="utf-8")
    for name, content in scripts.assets():
        (folder / "site_templates" / "assets" / name).write_bytes(content)
    tests = folder / "tests"
    shutil.copytree(TESTS / "javascript", tests / "javascript", ignore=shutil.ignore_patterns("node_modules"))
    (tests / "data").mkdir()
    shutil.copy(TESTS / "data" / "tokens.json", tests / "data")
    return folder


@pytest.mark.parametrize("file", FILES, ids=[file.name.removesuffix(".test.js") for file in FILES])
def test_unit_tests_pass_with_the_published_scripts(file: Path, published: Path) -> None:
    assert "# pass 0" not in node("--test", str(published / "tests" / "javascript" / file.name))


@pytest.mark.parametrize("script", SCRIPTS, ids=[f"{script.parent.name}/{script.name}" for script in SCRIPTS])
def test_a_published_script_differs_only_in_comments(script: Path, tmp_path: Path) -> None:
    """By Node's parser, and line by line: the lines that are missing are comments."""
    source = script.read_text(encoding="utf-8")
    published = scripts.without_comments(source)
    stripped = tmp_path / "stripped.mjs"
    stripped.write_text(published, encoding="utf-8")
    node("--check", str(stripped))
    rest = iter(published.splitlines())
    kept = next(rest, None)
    for line in source.splitlines():
        if line == kept:
            kept = next(rest, None)
        else:
            assert line.lstrip().startswith(("//", "/**", "*")), line
    assert kept is None
    left = [line for line in published.splitlines() if line.lstrip().startswith(("//", "/**"))]
    assert all(line.lstrip().startswith("/** @type") and not line.endswith("*/") for line in left), "casts"


@pytest.mark.parametrize(
    "script",
    [
        "const text = `\n// text\n/** text */\n`;\n",
        'const url = "http://host"; // kept: not on a line of its own\n',
        "const quote = /[`'\"]/;\nconst other = `\n// text\n`;\n",
        "const path = /\\/\\/[^/]*`/;\nf(/`/, 1);\n",
        "/* plain\n// block\n*/\nf();\n",
        "// SPDX-License-Identifier: MIT\nf();\n",
        "/** @type {number} */ (x);\n",
    ],
)
def test_strings_templates_regexes_and_licences_are_kept(script: str) -> None:
    assert scripts.without_comments(script) == script


def test_the_browser_has_the_limits_of_python() -> None:
    script = "import * as limits from './site_templates/assets/limits.js'; console.log(JSON.stringify(limits))"
    limits = json.loads(node("--input-type=module", "--eval", script))
    assert limits == {name: getattr(index_format, name) for name in limits}
    assert {"MAX_ROWS", "MAX_BUCKETS", "MAX_SHOWN", "MAX_SHARDS", "MAX_WORDS_PER_ROW"} <= limits.keys()
