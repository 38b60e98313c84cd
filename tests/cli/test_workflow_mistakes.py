"""Runs of the scaffolded workflows for pull requests, and with missing secrets, mistakes and failed deployments."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

from catalog.cli import cli
from tests.starter import fill_in
from tests.workflowruns import MANIFEST, edit, records, results, scripts

if TYPE_CHECKING:
    from tests.conftest import Account, Network
    from tests.workflowruns import Hub


def test_a_deployment_that_failed_is_never_taken_for_done(hub: Hub) -> None:
    """The next run deploys, though nothing changed since the one that built; whoever asks for it gets a build."""
    hub.pages_fail = True
    (run,) = hub.push("docs/index.md").values()
    assert results(run) == {"build": "success", "deploy": "failure"}
    assert run.jobs["deploy"].steps["Keep the note"] == "skipped"
    hub.pages_fail = False
    (run,) = hub.schedule().values()
    assert results(run) == {"build": "success", "deploy": "success"}, run.log
    assert (hub.live / "index.html").is_file()
    assert results(hub.dispatch("site")) == {"build": "success", "deploy": "skipped"}
    assert results(hub.dispatch("site", force=True)) == {"build": "success", "deploy": "success"}
    hub.caches = [cache for cache in hub.caches if cache[1] != "deployed.txt"]
    (run,) = hub.schedule().values()
    assert results(run)["deploy"] == "success", "a note that is lost costs a deployment, never one too few"


def test_a_pull_request_has_one_comment_with_its_plan(hub: Hub, network: Network, account: Account) -> None:
    """Brought up to date with each push; what can't be published is told there too; nothing is written or deployed."""
    runs = hub.pull_request(MANIFEST)
    assert results(runs["plan"]) == {"plan": "success", "comment": "success"}, runs["plan"].log
    assert results(runs["site"]) == {"build": "success", "deploy": "skipped"}, runs["site"].log
    (comment,) = hub.comments
    assert comment.startswith("<!-- catalog plan -->\n### Plan for ")
    assert "measurements" in comment
    edit(hub, MANIFEST, lambda text: text.replace("name: measurements", "name: soundings"))
    hub.pull_request(MANIFEST)
    (comment,) = hub.comments
    assert "soundings" in comment
    edit(hub, MANIFEST, lambda text: text.replace("celsius: float", "celsius: flaot"))
    run = hub.pull_request(MANIFEST)["plan"]
    assert results(run) == {"plan": "failure", "comment": "success"}, run.log
    (comment,) = hub.comments
    assert re.search(r"    manifests/first\.yaml:\d+: .*flaot", comment), comment
    assert records(network, account) == {}
    assert not hub.live.exists()
    assert hub.caches == []
    assert "plan" not in hub.pull_request("docs/index.md")


def test_a_pull_request_from_a_fork_has_its_plan_in_the_summary(hub: Hub, account: Account) -> None:
    """It gets neither variables nor secrets nor a token that writes; with the handle in the file there is a plan."""
    run = hub.pull_request(MANIFEST, fork=True)["plan"]
    assert results(run) == {"plan": "success", "comment": "skipped"}, run.log
    assert "There is no plan: the variable CATALOG_HANDLE isn't set." in run.summary
    options = ["--force", "--handle", account.handle]
    cli.main(["init", str(hub.source), *options], standalone_mode=False)
    fill_in(hub.source)
    run = hub.pull_request(MANIFEST, fork=True)["plan"]
    assert results(run) == {"plan": "success", "comment": "skipped"}, run.log
    assert "### Plan for" in run.summary
    assert hub.comments == []


def test_a_long_plan_is_left_in_the_summary(hub: Hub) -> None:
    """GitHub takes 65,536 characters; the comment says where the plan is."""
    hub.pull_request(MANIFEST)
    assert "### Plan for" in hub.comments[0]
    (hub.folder / "long").mkdir()
    script = scripts(hub.source / ".github" / "workflows" / "plan.yml")["Comment"]
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
        assert results(run)["publish"] == "success", run.log
        assert "Nothing is published: CATALOG_HANDLE or CATALOG_APP_PASSWORD isn't set." in run.summary
        missing.update(kept)
    assert records(network, account) == {}
    assert (hub.live / "index.html").is_file()


def test_a_broken_manifest_on_main_is_red_and_says_where(hub: Hub, network: Network, account: Account) -> None:
    """Nothing is published, and what is deployed stays."""
    hub.push(MANIFEST)
    before = {file: file.read_bytes() for file in hub.live.rglob("*") if file.is_file()}
    published = records(network, account)
    edit(hub, MANIFEST, lambda text: text.replace("celsius: float", "celsius: flaot"))
    (run,) = hub.push(MANIFEST).values()
    assert run.jobs["publish"].result == "failure"
    assert re.search(r"manifests/first\.yaml:\d+: .*flaot", run.log)
    assert records(network, account) == published
    assert (hub.live / "datasets").is_dir()
    kept = [file for file in before if "status" not in file.parts and "datasets" in file.parts]
    assert kept
    assert all(file.is_file() for file in kept), "the records of a source that can't be read stay"
