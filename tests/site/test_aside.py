"""A build that fails, or is killed at any moment, leaves the old site whole, and nothing beside it for long."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from catalog.errors import BuildError
from catalog.site import swap as aside_module
from catalog.site.build_fingerprint import MARK
from catalog.site.swap import built_aside
from tests import forked
from tests.sitecatalog import MKDOCS, fill

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

HOOK = """\
import os, signal
from tests import forked
def {event}({arguments}**kwargs):
    {what}
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    site = tmp_path / "public" / "site"
    (site / "deep").mkdir(parents=True)
    (site / "index.html").write_text("old")
    (site / "deep" / "gone.html").write_text("old")
    (site / ".nojekyll").write_text("")
    (site / ".git").mkdir()
    (site / ".git" / "HEAD").write_text("ref")
    return site


def _new(folder: Path) -> None:
    (folder / "index.html").write_text("new")
    (folder / "more").mkdir()
    (folder / "more" / "index.html").write_text("new")


def _tree(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): file.read_text(errors="replace") for file in folder.rglob("*") if file.is_file()
    }


def _names(folder: Path) -> list[str]:
    return [entry.name for entry in folder.iterdir()]


NEW = {"index.html": "new", "more/index.html": "new", ".nojekyll": "", ".git/HEAD": "ref"}


@pytest.mark.parametrize("exchange", [True, False])
def test_the_new_site_takes_the_old_ones_place_and_hidden_entries_stay(
    site: Path, monkeypatch: pytest.MonkeyPatch, *, exchange: bool
) -> None:
    if not exchange:
        monkeypatch.setattr(aside_module, "_exchanged", lambda *_: False)
    with built_aside(site) as aside:
        _new(aside.folder)
        assert _tree(site)["index.html"] == "old"
    assert _tree(site) == NEW
    assert _names(site.parent) == ["site"]


def test_a_block_that_raises_leaves_the_old_site(site: Path) -> None:
    before = _tree(site)

    def fail() -> None:
        with built_aside(site) as aside:
            _new(aside.folder)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert _tree(site) == before
    assert _names(site.parent) == ["site"]


def test_where_there_was_no_site_there_is_one(tmp_path: Path) -> None:
    with built_aside(tmp_path / "a" / "site") as aside:
        _new(aside.folder)
    assert _tree(tmp_path / "a" / "site") == {"index.html": "new", "more/index.html": "new"}


def test_a_link_stays_a_link_and_what_it_leads_to_is_the_new_site(site: Path, tmp_path: Path) -> None:
    link = tmp_path / "site"
    link.symlink_to(site)
    with built_aside(link) as aside:
        _new(aside.folder)
    assert link.is_symlink()
    assert _tree(site) == NEW


def test_a_folder_that_cannot_be_renamed_gets_the_new_site_entry_by_entry(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a mount point."""
    monkeypatch.setattr(type(site), "is_mount", lambda self: self == site)
    number = site.stat().st_ino
    with built_aside(site) as aside:
        assert not aside.at_once
        _new(aside.folder)
    assert site.stat().st_ino == number
    assert _tree(site) == NEW


def test_what_killed_builds_left_is_removed_and_a_build_at_work_is_not(site: Path) -> None:
    with built_aside(site) as other:
        _new(other.folder)
        left = site.with_name(".site.catalog-0123456789ab")
        (left / "site").mkdir(parents=True)
        (left / "lock").write_text("")
        with built_aside(site) as aside:
            _new(aside.folder)
            assert not left.exists()
            assert other.folder.exists()
    assert _names(site.parent) == ["site"]


def test_an_old_site_that_a_killed_build_had_moved_comes_back(site: Path) -> None:
    left = site.with_name(".site.catalog-0123456789ab")
    left.mkdir()
    (left / "lock").write_text("")
    site.rename(left / "old")
    with pytest.raises(ZeroDivisionError), built_aside(site):
        raise ZeroDivisionError
    assert _tree(site)["index.html"] == "old"


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BuildError), built_aside(tmp_path / "file" / "site"):
        pass


# --- whole builds ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a site that was built."""
    folder = tmp_path_factory.mktemp("once")
    fill(folder / "store.sqlite", datasets=2)
    text = (MKDOCS % "true").replace("plugins:", "hooks: [hook.py]\nplugins:")
    (folder / "mkdocs.yml").write_text(text, encoding="utf-8")
    (folder / "hook.py").write_text("", encoding="utf-8")
    (folder / "docs").mkdir()
    (folder / "docs" / "index.md").write_text("# Old home\n", encoding="utf-8")
    done = _run(folder, "catalog", "build")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def project(once: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    shutil.copytree(once, folder)
    (folder / "docs" / "index.md").write_text("# New home\n", encoding="utf-8")
    return folder


def _run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return forked.run(
        [sys.executable, "-m", *command], cwd=folder, timeout=300,
    )  # fmt: skip


def _left(folder: Path) -> list[str]:
    return [entry.name for entry in folder.iterdir() if ".catalog-" in entry.name]


@pytest.mark.parametrize("command", [("catalog", "build"), ("mkdocs", "build")])
@pytest.mark.parametrize(
    ("event", "what"),
    [
        ("on_env", "os.kill(os.getpid(), signal.SIGKILL)"),
        ("on_post_build", "os.kill(os.getpid(), signal.SIGKILL)"),
        ("on_post_build", "raise OSError(28, 'No space left on device')"),
    ],
)
def test_a_build_that_fails_or_is_killed_leaves_the_old_site_whole(
    project: Path, command: tuple[str, str], event: str, what: str
) -> None:
    first = {"on_env": "env, ", "on_post_build": ""}[event]
    before = _tree(project / "site")
    (project / "hook.py").write_text(HOOK.format(event=event, arguments=first, what=what), encoding="utf-8")
    failed = _run(project, *command)
    assert failed.returncode != 0
    assert _tree(project / "site") == before
    if command[0] == "catalog" and "raise" in what:
        assert "Traceback" not in failed.stderr
        assert "space" in failed.stderr
    (project / "hook.py").write_text("", encoding="utf-8")
    done = _run(project, *command)
    assert done.returncode == 0, done.stderr
    assert "New home" in (project / "site" / "index.html").read_text()
    assert _left(project) == []
    assert (project / "site" / MARK).exists() is (command[0] == "catalog")


def test_a_strict_build_that_fails_leaves_the_old_site(project: Path) -> None:
    (project / "docs" / "index.md").write_text("[nowhere](gone.md)\n", encoding="utf-8")
    before = _tree(project / "site")
    for command in ("catalog", "mkdocs"):
        assert _run(project, command, "build", "--strict").returncode != 0
        assert _tree(project / "site") == before
        assert _left(project) == []
