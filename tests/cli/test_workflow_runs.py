"""Runs of the scaffolded workflows on a stand-in for GitHub: published, deployed, and called as reusable workflows."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

from tests.paths import ROOT
from tests.workflowruns import MANIFEST, WORKFLOWS, edit, pages, records, results

if TYPE_CHECKING:
    from tests.conftest import Account, Network
    from tests.workflowruns import Hub


def test_a_catalog_lives_on_github(hub: Hub, network: Network, account: Account) -> None:
    """Published and deployed by the first push; unchanged, and saying so, the next day; a change goes all the way."""
    (run,) = hub.push(MANIFEST, "manifests/manifest.schema.json").values()
    assert results(run) == {
        "publish": "success",
        "site/build": "success",
        "site/deploy": "success",
        "site": "success",
    }, run.log
    assert set(records(network, account)) == {"Measurement", "measurements"}
    assert "Plan for" in run.summary
    (draft,) = pages(hub).values()
    assert "measurements" in draft
    assert "not published" in draft
    assert f"at://{account.did}/science.alt.dataset.entry/" not in draft
    first_rev = network.latest_rev(account.did)

    (next_day,) = hub.schedule().values()
    assert results(next_day) == {"build": "success", "deploy": "skipped"}
    assert "no changes since deployed.txt" in next_day.log
    assert "Building documentation" not in next_day.log
    assert next_day.artifacts == {}

    runs = hub.push("README.md", MANIFEST)
    assert sorted(runs) == ["publish", "site"]
    assert network.latest_rev(account.did) == first_rev, "publishing again writes nothing"
    assert results(runs["publish"])["site/deploy"] == results(runs["site"])["deploy"] == "skipped"

    # From drafts to the records themselves, as the scaffold's mkdocs.yml says.
    edit(hub, "mkdocs.yml", lambda text: re.sub(
        r" +- manifests: .*\n +# .*\n +# - repo: .*\n", f"        - repo: {account.handle}\n", text
    ))  # fmt: skip
    (run,) = hub.push("mkdocs.yml").values()
    assert results(run) == {"build": "success", "deploy": "success"}, run.log
    ((address, page),) = pages(hub).items()
    assert account.did.replace(":", "-") in address
    assert f"at://{account.did}/science.alt.dataset.entry/" in page

    edit(hub, MANIFEST, lambda text: text.replace("Markdown.", "Markdown. Now with more words."))
    (run,) = hub.push(MANIFEST).values()
    assert results(run)["site/deploy"] == "success", run.log
    (page,) = pages(hub).values()
    assert "Now with more words" in page, "the site is built after publishing, not beside it"
    (next_day,) = hub.schedule().values()
    assert results(next_day) == {"build": "success", "deploy": "skipped"}
    assert "1 repository, 0 changed" in next_day.log, "the store of the last run was there"


def _example(name: str) -> str:
    """The caller that a reusable workflow shows at its top, in a repository of the same name as itself."""
    text = (ROOT / ".github" / "workflows" / f"{name}.yml").read_text(encoding="utf-8")
    lines = re.findall(r"^#     (.*)$", text.partition("\nname:")[0], flags=re.MULTILINE)
    place = f"<owner>/<this repository>/.github/workflows/{name}.yml@<commit>"
    example = "\n".join(lines)
    assert example.count(place) == 1
    return example.replace(place, f"$/.github/workflows/{name}.yml")


def test_the_reusable_ones_are_called_as_their_first_lines_show(hub: Hub, network: Network, account: Account) -> None:
    """A plan as a comment, records published, a site deployed once; handle, folder and requirements may be named."""
    folder = hub.source / ".github" / "workflows"
    for name in WORKFLOWS:
        shutil.copy(ROOT / ".github" / "workflows" / f"{name}.yml", folder)
        example = _example(name).replace("alice.example.org", account.handle)
        (folder / f"call-{name}.yml").write_text(example, encoding="utf-8")
    hub.variables.clear()
    run = hub.pull_request(MANIFEST)["call-plan"]
    assert results(run) == {"plan/plan": "success", "plan/comment": "success", "plan": "success"}, run.log
    assert "measurements" in hub.comments[0]
    runs = hub.push(MANIFEST)
    assert results(runs["call-publish"]) == {"publish/publish": "success", "publish": "success"}
    assert set(records(network, account)) == {"Measurement", "measurements"}
    assert results(runs["call-site"]) == {"site/build": "success", "site/deploy": "success", "site": "success"}
    (run,) = hub.schedule().values()
    assert results(run) == {"site/build": "success", "site/deploy": "skipped", "site": "success"}
    assert "nothing to build" in run.log
    (hub.source / "manifests").rename(hub.source / "described")
    (hub.source / "requirements.txt").rename(hub.source / "needs.txt")
    given = "with: {manifests: described, requirements: needs.txt, "
    for name in ("plan", "publish"):
        file = folder / f"call-{name}.yml"
        file.write_text(file.read_text(encoding="utf-8").replace("with: {", given), encoding="utf-8")
    with (folder / "call-site.yml").open("a", encoding="utf-8") as site:
        site.write("\n    with: {requirements: needs.txt, force: true}\n")
    assert results(hub.pull_request(MANIFEST)["call-plan"])["plan/plan"] == "success"
    runs = hub.push(MANIFEST)
    assert results(runs["call-site"])["site/build"] == "success", "though its sources can't be read"
    assert results(runs["call-publish"])["publish/publish"] == "success"
