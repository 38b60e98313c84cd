"""The workflows: ours, and those that ``catalog init`` writes. Checked by schema and linter, then run step by step."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from catalog.cli import cli
from tests.sharedfiles import made_once
from tests.starter import fill_in
from tests.wheels import ROOT, TOKEN, build_wheel, pip_environment, with_secrets
from tests.workflowruns import Hub, load_workflow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Account, Network

OURS = ROOT / ".github"
NAMES = ("plan", "publish", "site")
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
    """What ``catalog init`` writes."""
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
    """What the linter finds in a folder: in its most pedantic mood, offline, and with no exception granted."""
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


def _scripts(file: Path) -> dict[str, str]:
    steps = [step for job in load_workflow(file)["jobs"].values() for step in job.get("steps", [])]
    return {step["name"]: step["run"] for step in steps if "run" in step}


@pytest.mark.parametrize("name", NAMES)
def test_the_reusable_ones_do_what_the_scaffolded_ones_do(scaffolded: Path, name: str) -> None:
    """Step by step, but for what a caller may name otherwise; so the runs below speak for both."""
    ours = _scripts(OURS / "workflows" / f"{name}.yml")
    plain = {
        step: script.replace('"$MANIFESTS"', "manifests").replace('"$REQUIREMENTS"', "requirements.txt")
        for step, script in ours.items()
    }
    assert plain == _scripts(scaffolded / ".github" / "workflows" / f"{name}.yml")
    assert "workflow_call" in load_workflow(OURS / "workflows" / f"{name}.yml")["on"]


# --- as runs -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """The ``bin`` of an empty environment, as setup-python leaves it, and how pip finds this tree's wheel."""
    wheel = made_once(tmp_path_factory, "wheel", build_wheel)
    place = tmp_path_factory.mktemp("python") / "venv"
    subprocess.run([sys.executable, "-m", "venv", place], check=True, timeout=120)
    return place / "bin", pip_environment(wheel.parent)


@pytest.fixture
def account(network: Network) -> Account:
    return network.account("alice")


@pytest.fixture
def hub(tmp_path: Path, python: tuple[Path, dict[str, str]], network: Network, account: Account) -> Iterator[Hub]:
    """A scaffolded repository on GitHub, variable and secret set; afterwards neither secret nor token is anywhere."""
    assert account.access_jwt.encode().startswith(TOKEN), "or the search for tokens would find none"
    source = tmp_path / "source"
    cli.main(["init", str(source), "--site-url", "https://alice.github.example/datasets/"], standalone_mode=False)
    fill_in(source)
    where = {name: value for name, value in os.environ.items() if name.startswith("CATALOG_")}
    assert "CATALOG_APP_PASSWORD" not in where
    hub = Hub(
        source=source,
        folder=tmp_path / "github",
        python=python[0],
        variables={"CATALOG_HANDLE": account.handle},
        secrets={"CATALOG_APP_PASSWORD": account.password},
        environment={**python[1], **where},
    )
    assert network.pds_url
    yield hub
    assert with_secrets(account.password, tmp_path) == []
    said = "".join(run.log + run.summary for run in hub.runs)
    assert account.password not in said
    assert TOKEN.decode() not in said


def _records(network: Network, account: Account) -> dict[str, str]:
    """What the account's repository holds: name → CID, by plain XRPC."""
    found: dict[str, str] = {}
    for kind in ("schema", "entry", "label"):
        collection = f"science.alt.dataset.{kind}"
        listed = network.get("com.atproto.repo.listRecords", {"repo": account.did, "collection": collection})
        found |= {record["value"]["name"]: record["cid"] for record in listed["records"]}
    return found


def _pages(hub: Hub) -> dict[str, str]:
    """The live pages of datasets, by their addresses."""
    folder = hub.live / "datasets"
    return {str(file.parent): file.read_text(encoding="utf-8") for file in folder.rglob("*/*/index.html")}


def _edit(hub: Hub, name: str, edit: Callable[[str], str]) -> None:
    file = hub.source / name
    text = file.read_text(encoding="utf-8")
    assert edit(text) != text
    file.write_text(edit(text), encoding="utf-8")


def _results(run: Any) -> dict[str, str]:  # noqa: ANN401
    return {name: job.result for name, job in run.jobs.items()}


MANIFEST = "manifests/first.yaml"


def test_a_catalog_lives_on_github(hub: Hub, network: Network, account: Account) -> None:
    """Published and deployed by the first push; unchanged, and saying so, the next day; a change goes all the way."""
    (run,) = hub.push(MANIFEST, "manifests/manifest.schema.json").values()
    assert _results(run) == {
        "publish": "success",
        "site/build": "success",
        "site/deploy": "success",
        "site": "success",
    }, run.log
    assert set(_records(network, account)) == {"Measurement", "measurements"}
    assert "Plan for" in run.summary
    (draft,) = _pages(hub).values()
    assert "measurements" in draft
    assert "not published" in draft
    assert f"at://{account.did}/science.alt.dataset.entry/" not in draft
    first_rev = network.latest_rev(account.did)

    (next_day,) = hub.schedule().values()
    assert _results(next_day) == {"build": "success", "deploy": "skipped"}
    assert "no changes since deployed.txt" in next_day.log
    assert "Building documentation" not in next_day.log
    assert next_day.artifacts == {}

    runs = hub.push("README.md", MANIFEST)
    assert sorted(runs) == ["publish", "site"]
    assert network.latest_rev(account.did) == first_rev, "publishing again writes nothing"
    assert _results(runs["publish"])["site/deploy"] == _results(runs["site"])["deploy"] == "skipped"

    # From drafts to the records themselves, as the scaffold's mkdocs.yml says.
    _edit(hub, "mkdocs.yml", lambda text: re.sub(
        r" +- manifests: .*\n +# .*\n +# - repo: .*\n", f"        - repo: {account.handle}\n", text
    ))  # fmt: skip
    (run,) = hub.push("mkdocs.yml").values()
    assert _results(run) == {"build": "success", "deploy": "success"}, run.log
    ((address, page),) = _pages(hub).items()
    assert account.did.replace(":", "-") in address
    assert f"at://{account.did}/science.alt.dataset.entry/" in page

    _edit(hub, MANIFEST, lambda text: text.replace("Markdown.", "Markdown. Now with more words."))
    (run,) = hub.push(MANIFEST).values()
    assert _results(run)["site/deploy"] == "success", run.log
    (page,) = _pages(hub).values()
    assert "Now with more words" in page, "the site is built after publishing, not beside it"
    (next_day,) = hub.schedule().values()
    assert _results(next_day) == {"build": "success", "deploy": "skipped"}
    assert "1 repository, 0 changed" in next_day.log, "the store of the last run was there"


def test_a_deployment_that_failed_is_never_taken_for_done(hub: Hub) -> None:
    """The next run deploys, though nothing changed since the one that built; whoever asks for it gets a build."""
    hub.pages_fail = True
    (run,) = hub.push("docs/index.md").values()
    assert _results(run) == {"build": "success", "deploy": "failure"}
    assert run.jobs["deploy"].steps["Keep the note"] == "skipped"
    hub.pages_fail = False
    (run,) = hub.schedule().values()
    assert _results(run) == {"build": "success", "deploy": "success"}, run.log
    assert (hub.live / "index.html").is_file()
    assert _results(hub.dispatch("site")) == {"build": "success", "deploy": "skipped"}
    assert _results(hub.dispatch("site", force=True)) == {"build": "success", "deploy": "success"}
    hub.caches = [cache for cache in hub.caches if cache[1] != "deployed.txt"]
    (run,) = hub.schedule().values()
    assert _results(run)["deploy"] == "success", "a note that is lost costs a deployment, never one too few"


def test_a_pull_request_has_one_comment_with_its_plan(hub: Hub, network: Network, account: Account) -> None:
    """Brought up to date with each push; what can't be published is told there too; nothing is written or deployed."""
    runs = hub.pull_request(MANIFEST)
    assert _results(runs["plan"]) == {"plan": "success", "comment": "success"}, runs["plan"].log
    assert _results(runs["site"]) == {"build": "success", "deploy": "skipped"}, runs["site"].log
    (comment,) = hub.comments
    assert comment.startswith("<!-- catalog plan -->\n### Plan for ")
    assert "measurements" in comment
    _edit(hub, MANIFEST, lambda text: text.replace("name: measurements", "name: soundings"))
    hub.pull_request(MANIFEST)
    (comment,) = hub.comments
    assert "soundings" in comment
    _edit(hub, MANIFEST, lambda text: text.replace("celsius: float", "celsius: flaot"))
    run = hub.pull_request(MANIFEST)["plan"]
    assert _results(run) == {"plan": "failure", "comment": "success"}, run.log
    (comment,) = hub.comments
    assert re.search(r"    manifests/first\.yaml:\d+: .*flaot", comment), comment
    assert _records(network, account) == {}
    assert not hub.live.exists()
    assert hub.caches == []
    assert "plan" not in hub.pull_request("docs/index.md")


def test_a_pull_request_from_a_fork_has_its_plan_in_the_summary(hub: Hub, account: Account) -> None:
    """It gets neither variables nor secrets nor a token that writes; with the handle in the file there is a plan."""
    run = hub.pull_request(MANIFEST, fork=True)["plan"]
    assert _results(run) == {"plan": "success", "comment": "skipped"}, run.log
    assert "There is no plan: the variable CATALOG_HANDLE isn't set." in run.summary
    options = ["--force", "--handle", account.handle]
    cli.main(["init", str(hub.source), *options], standalone_mode=False)
    fill_in(hub.source)
    run = hub.pull_request(MANIFEST, fork=True)["plan"]
    assert _results(run) == {"plan": "success", "comment": "skipped"}, run.log
    assert "### Plan for" in run.summary
    assert hub.comments == []


def test_a_long_plan_is_left_in_the_summary(hub: Hub) -> None:
    """GitHub takes 65,536 characters; the comment says where the plan is."""
    hub.pull_request(MANIFEST)
    assert "### Plan for" in hub.comments[0]
    (hub.folder / "long").mkdir()
    script = _scripts(hub.source / ".github" / "workflows" / "plan.yml")["Comment"]
    (hub.folder / "long" / "plan.md").write_text("ß" * 40_000, encoding="utf-8")
    subprocess.run(
        ["bash", "-eo", "pipefail", "-c", script], cwd=hub.folder / "long", check=True, timeout=60,
        env={
            "PATH": f"{hub.folder / 'tools'}:/usr/bin:/bin", "GITHUB_REPOSITORY": "alice/datasets", "NUMBER": "7",
            "GH_TOKEN": "token pull-requests:write", "FAKE_GH_COMMENTS": str(hub.comments_file), "RUN": "https://x.example",
        },
    )  # fmt: skip
    (comment,) = hub.comments
    assert comment.endswith("it is in the summary of [its run](https://x.example).\n")


def test_without_secret_or_variable_nothing_is_published_and_a_word_says_so(
    hub: Hub, network: Network, account: Account
) -> None:
    """The site is built all the same, and nothing is red."""
    for missing in (hub.variables, hub.secrets):
        kept = dict(missing)
        missing.clear()
        (run,) = hub.push(MANIFEST).values()
        assert _results(run)["publish"] == "success", run.log
        assert "Nothing is published: CATALOG_HANDLE or CATALOG_APP_PASSWORD isn't set." in run.summary
        missing.update(kept)
    assert _records(network, account) == {}
    assert (hub.live / "index.html").is_file()


def test_a_broken_manifest_on_main_is_red_and_says_where(hub: Hub, network: Network, account: Account) -> None:
    """Nothing is published, and what is deployed stays."""
    hub.push(MANIFEST)
    before = {file: file.read_bytes() for file in hub.live.rglob("*") if file.is_file()}
    records = _records(network, account)
    _edit(hub, MANIFEST, lambda text: text.replace("celsius: float", "celsius: flaot"))
    (run,) = hub.push(MANIFEST).values()
    assert run.jobs["publish"].result == "failure"
    assert re.search(r"manifests/first\.yaml:\d+: .*flaot", run.log)
    assert _records(network, account) == records
    assert (hub.live / "datasets").is_dir()
    kept = [file for file in before if "status" not in file.parts and "datasets" in file.parts]
    assert kept
    assert all(file.is_file() for file in kept), "the records of a source that can't be read stay"


def _example(name: str) -> str:
    """The caller that a reusable workflow shows at its top, in a repository of the same name as itself."""
    text = (OURS / "workflows" / f"{name}.yml").read_text(encoding="utf-8")
    lines = re.findall(r"^#     (.*)$", text.partition("\nname:")[0], flags=re.MULTILINE)
    place = f"<owner>/<this repository>/.github/workflows/{name}.yml@<commit>"
    example = "\n".join(lines)
    assert example.count(place) == 1
    return example.replace(place, f"$/.github/workflows/{name}.yml")


def test_the_reusable_ones_are_called_as_their_first_lines_show(hub: Hub, network: Network, account: Account) -> None:
    """A plan as a comment, records published, a site deployed once; handle, folder and requirements may be named."""
    folder = hub.source / ".github" / "workflows"
    for name in NAMES:
        shutil.copy(OURS / "workflows" / f"{name}.yml", folder)
        example = _example(name).replace("alice.example.org", account.handle)
        (folder / f"call-{name}.yml").write_text(example, encoding="utf-8")
    hub.variables.clear()
    run = hub.pull_request(MANIFEST)["call-plan"]
    assert _results(run) == {"plan/plan": "success", "plan/comment": "success", "plan": "success"}, run.log
    assert "measurements" in hub.comments[0]
    runs = hub.push(MANIFEST)
    assert _results(runs["call-publish"]) == {"publish/publish": "success", "publish": "success"}
    assert set(_records(network, account)) == {"Measurement", "measurements"}
    assert _results(runs["call-site"]) == {"site/build": "success", "site/deploy": "success", "site": "success"}
    (run,) = hub.schedule().values()
    assert _results(run) == {"site/build": "success", "site/deploy": "skipped", "site": "success"}
    assert "nothing to build" in run.log
    (hub.source / "manifests").rename(hub.source / "described")
    (hub.source / "requirements.txt").rename(hub.source / "needs.txt")
    given = "with: {manifests: described, requirements: needs.txt, "
    for name in ("plan", "publish"):
        file = folder / f"call-{name}.yml"
        file.write_text(file.read_text(encoding="utf-8").replace("with: {", given), encoding="utf-8")
    with (folder / "call-site.yml").open("a", encoding="utf-8") as site:
        site.write("\n    with: {requirements: needs.txt, force: true}\n")
    assert _results(hub.pull_request(MANIFEST)["call-plan"])["plan/plan"] == "success"
    runs = hub.push(MANIFEST)
    assert _results(runs["call-site"])["site/build"] == "success", "though its sources can't be read"
    assert _results(runs["call-publish"])["publish/publish"] == "success"


# --- the release ---------------------------------------------------------------------------------------------


def test_a_release_is_built_checked_and_told(tmp_path: Path) -> None:
    """The tag must be the version, and the changelog must have words for it; wheel and sdist come out."""
    scripts = _scripts(OURS / "workflows" / "release.yml")
    folder = tmp_path / "checkout"
    shutil.copytree(
        ROOT, folder, ignore=shutil.ignore_patterns(".venv", "node_modules", "site", ".catalog", ".*_cache")
    )
    environment = {"PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(tmp_path)}

    def run(step: str, **extra: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", scripts[step]],
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
