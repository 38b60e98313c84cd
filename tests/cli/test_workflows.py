"""The workflow files: ours, and those that ``catalog init`` writes, checked by schema, linter and rules of our own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from catalog.cli import cli
from tests.wheels import ROOT
from tests.workflowruns import WORKFLOWS, load_workflow, scripts

OURS = ROOT / ".github"
BIN = Path(sys.executable).parent

BAD = """\
name: bad
on: pull_request_target
jobs:
  x:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v7
      - run: echo ${{ github.event.pull_request.title }}
"""


@pytest.fixture(scope="module")
def scaffolded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the files of ``catalog init``."""
    folder = tmp_path_factory.mktemp("scaffold") / "repository"
    cli.main(["init", str(folder)], standalone_mode=False)
    return folder


def _files(folder: Path) -> list[Path]:
    found = sorted((folder / ".github" / "workflows").glob("*.yml"))
    assert len(found) >= 3
    return found


# --- as files ------------------------------------------------------------------------------------------------


def _check(schema: str, *files: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / "check-jsonschema", "--builtin-schema", f"vendor.{schema}", *files],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def _lint(place: Path) -> list[dict[str, Any]]:
    """Return the linter's findings in a folder: pedantic, offline, without exceptions."""
    ran = subprocess.run(
        [BIN / "zizmor", "--offline", "--persona", "auditor", "--no-ignores", "--strict-collection", "--no-exit-codes",
         "--format", "json", place],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    found: list[dict[str, Any]] = json.loads(ran.stdout)
    return found


def test_workflows_meet_the_schema(scaffolded: Path, tmp_path: Path) -> None:
    """GitHub's own, ours and the scaffold's, Dependabot's settings too; a key that doesn't exist is told."""
    ran = _check("github-workflows", *_files(ROOT), *_files(scaffolded))
    assert ran.returncode == 0, ran.stdout
    ran = _check("dependabot", OURS / "dependabot.yml", scaffolded / ".github" / "dependabot.yml")
    assert ran.returncode == 0, ran.stdout
    forms = OURS / "ISSUE_TEMPLATE"
    assert _check("github-issue-forms", forms / "bug.yml", forms / "feature.yml").returncode == 0
    assert _check("github-issue-config", forms / "config.yml").returncode == 0
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(_files(scaffolded)[0].read_text(encoding="utf-8").replace("steps:", "stpes:"), encoding="utf-8")
    assert _check("github-workflows", wrong).returncode != 0


def test_the_security_linter_finds_nothing(scaffolded: Path, tmp_path: Path) -> None:
    """Neither in ours nor in the scaffold's; in a bad one it does."""
    assert _lint(OURS) == []
    assert _lint(scaffolded / ".github") == []
    (tmp_path / ".github" / "workflows").mkdir(parents=True)
    (tmp_path / ".github" / "workflows" / "bad.yml").write_text(BAD, encoding="utf-8")
    found = {finding["ident"] for finding in _lint(tmp_path / ".github")}
    assert {"dangerous-triggers", "template-injection", "unpinned-uses", "excessive-permissions"} <= found


def test_every_action_is_pinned_by_commit_the_same_everywhere(scaffolded: Path) -> None:
    """With its version in a comment; the scaffold has no other pins than ours, so that one update moves both."""
    pins: dict[str, set[str]] = {}
    for file in (*_files(ROOT), *_files(scaffolded)):
        for line in re.findall(r"^ +(?:- )?uses: (.*)$", file.read_text(encoding="utf-8"), flags=re.MULTILINE):
            if line.startswith("$/"):
                continue
            match = re.fullmatch(r"([\w-]+/[\w-]+)(?:/\w+)?@([0-9a-f]{40} # v\d+\.\d+\.\d+)", line)
            assert match is not None, line
            pins.setdefault(match[1], set()).add(match[2])
    assert len(pins) >= 8
    assert {name: pin for name, pin in pins.items() if len(pin) != 1} == {}


@pytest.mark.parametrize("place", ["ours", "scaffold"])
def test_jobs_have_the_least_of_permissions_and_an_end(scaffolded: Path, place: str) -> None:
    """None by default; only deploying writes to Pages, only commenting to pull requests; no script holds a value."""
    writes: dict[str, set[str]] = {}
    for file in _files(ROOT if place == "ours" else scaffolded):
        workflow = load_workflow(file)
        assert "pull_request_target" not in workflow["on"]
        assert "concurrency" in workflow
        if file.stem != "ci":
            assert workflow["permissions"] == {}
        for name, job in workflow["jobs"].items():
            granted = job.get("permissions", workflow["permissions"])
            writes[f"{file.stem}/{name}"] = {what for what, level in granted.items() if level == "write"}
            assert "timeout-minutes" in job or "uses" in job
            for step in job.get("steps", []):
                assert "${{" not in step.get("run", "")
                if "secrets." in str(step):
                    assert step["name"] == "Publish"
    expected = {
        "plan/comment": {"pull-requests"},
        "site/deploy": {"pages", "id-token"},
        "publish/site": {"pages", "id-token"},  # what it hands on to site/deploy
        "release/pypi": {"id-token"},
        "release/github": {"contents"},
    }
    found = {name: what for name, what in writes.items() if what}
    assert found == {name: what for name, what in expected.items() if name in writes}
    assert "site/deploy" in found


@pytest.mark.parametrize("name", WORKFLOWS)
def test_the_reusable_ones_do_what_the_scaffolded_ones_do(scaffolded: Path, name: str) -> None:
    """Step by step, but for what a caller may name otherwise; so the runs of the scaffolded ones hold for both."""
    ours = scripts(OURS / "workflows" / f"{name}.yml")
    plain = {
        step: script.replace('"$MANIFESTS"', "manifests").replace('"$REQUIREMENTS"', "requirements.txt")
        for step, script in ours.items()
    }
    assert plain == scripts(scaffolded / ".github" / "workflows" / f"{name}.yml")
    assert "workflow_call" in load_workflow(OURS / "workflows" / f"{name}.yml")["on"]


# --- the release ---------------------------------------------------------------------------------------------


def test_a_release_is_built_checked_and_told(tmp_path: Path) -> None:
    """The tag must be the version, and the changelog must have words for it; wheel and sdist come out."""
    steps = scripts(OURS / "workflows" / "release.yml")
    folder = tmp_path / "checkout"
    shutil.copytree(
        ROOT, folder, ignore=shutil.ignore_patterns(".venv", "node_modules", "site", ".catalog", ".*_cache")
    )
    environment = {"PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(tmp_path)}

    def run(step: str, **extra: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", steps[step]],
            cwd=folder, env={**environment, **extra}, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip

    compare = "Compare the tag with the version, and take what the changelog says of it"
    version = re.search(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert version is not None
    wrong = run(compare, TAG="v99.0.0")
    assert wrong.returncode == 1
    assert f"The tag is v99.0.0, the version is {version[1]}." in wrong.stderr
    silent = run(compare, TAG=f"v{version[1]}")
    assert silent.returncode == 1
    assert "CHANGELOG.md says nothing" in silent.stderr
    changelog = folder / "CHANGELOG.md"
    text = changelog.read_text(encoding="utf-8")
    new = f"## [{version[1]}] - 2026-01-01\n\n- A first thing.\n\n## [0.0.1] - 2025-01-01\n\n- An old one.\n"
    changelog.write_text(text + "\n" + new, encoding="utf-8")
    assert run(compare, TAG=f"v{version[1]}").returncode == 0
    assert (folder / "notes.md").read_text(encoding="utf-8").split("\n") == ["", "- A first thing.", "", ""]
    built = run("Build")
    assert built.returncode == 0, built.stderr
    assert sorted(file.suffix for file in (folder / "dist").iterdir()) == [".gz", ".whl"]
