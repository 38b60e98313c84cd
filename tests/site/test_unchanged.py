"""A rebuild of an unchanged catalog does nothing and says so; whatever shows in a page is a change."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from catalog.config import load_settings
from catalog.crawl import CrawlReport, crawl
from catalog.site.build_fingerprint import MARK, Fingerprint, site_folder, take_fingerprint
from catalog.store import Found, PastCrawl, Refused, Repo, Store
from catalog.syntax import AtUri, Cid, Did, Handle
from tests import forked
from tests.counting import calls
from tests.paths import ROOT

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from catalog.atproto.datamodel import Json

EXAMPLES = ROOT / "examples"
MKDOCS = """\
INHERIT: common.yml
site_name: Unchanged
site_url: !ENV [UNCHANGED_URL, 'https://data.example.org/']
hooks: [hook.py]
watch: [NOTES.md]
plugins:
  - catalog:
      sources:
        - manifests: manifests
"""
COMMON = """\
theme: {name: material, font: false, custom_dir: own}
"""
DID = Did.parse("did:plc:" + "a" * 24)
NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A catalog's repository with one of everything that a site may be made from."""
    (tmp_path / "manifests").mkdir()
    shutil.copy(EXAMPLES / "manifests" / "iris.yaml", tmp_path / "manifests")
    shutil.copytree(EXAMPLES / "shards", tmp_path / "shards")
    for name, text in {
        "mkdocs.yml": MKDOCS,
        "common.yml": COMMON,
        "hook.py": "",
        "NOTES.md": "notes",
        "docs/index.md": "# Home\n",
        "docs/deep/picture.svg": "<svg/>",
        "own/catalog/nothing.html": "",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def _catalog(*arguments: str, cwd: Path, **extra: str) -> subprocess.CompletedProcess[str]:
    return forked.run(
        [sys.executable, "-m", "catalog", *arguments],
        cwd=cwd, env={**os.environ, **extra}, timeout=120,
    )  # fmt: skip


def _tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {str(file.relative_to(folder)): (file.stat().st_mtime_ns, file.read_bytes())
            for file in folder.rglob("*") if file.is_file()}  # fmt: skip


def _taken(project: Path) -> Fingerprint:
    return take_fingerprint(project / "mkdocs.yml", load_settings(project / "mkdocs.yml"))


def _crawl(project: Path) -> CrawlReport:
    settings = load_settings(project / "mkdocs.yml")
    with Store.open(settings.store) as store:
        return crawl(settings, store)


# --- the command ---------------------------------------------------------------------------------------------


def test_a_second_build_does_nothing_and_says_so(project: Path) -> None:
    """No file is touched, MkDocs isn't started; with --force everything is made again, byte for byte the same."""
    first = _catalog("build", cwd=project)
    assert first.returncode == 0, first.stderr
    assert "Building documentation" in first.stderr
    before = _tree(project / "site")
    second = _catalog("build", cwd=project)
    assert second.returncode == 0, second.stderr
    assert "no changes since the last build" in second.stderr
    assert "Building documentation" not in second.stderr
    assert _tree(project / "site") == before
    forced = _catalog("build", "--no-crawl", "--force", cwd=project, PYTHONHASHSEED="1")
    assert "Building documentation" in forced.stderr
    after = _tree(project / "site")
    different = {name for name in before if before[name][1] != after[name][1]}
    assert different <= {"status/index.html", "status/index.json"}, "a crawl later, only its times differ"
    assert after["index.html"][0] != before["index.html"][0]
    (project / "docs" / "index.md").write_text("# Another\n", encoding="utf-8")
    third = _catalog("build", cwd=project)
    assert "changed since the last build: pages\n" in third.stderr
    assert "Another" in (project / "site" / "index.html").read_text(encoding="utf-8")


def test_a_build_that_failed_is_never_taken_for_done(project: Path) -> None:
    """The old site stays whole, with its mark. MkDocs alone always builds and leaves no mark."""
    assert _catalog("build", cwd=project).returncode == 0
    before = _tree(project / "site")
    hook = project / "hook.py"
    hook.write_text("def on_post_build(config):\n    raise SystemExit(3)\n", encoding="utf-8")
    for _ in range(2):
        failed = _catalog("build", cwd=project)
        assert failed.returncode != 0
        assert "Building documentation" in failed.stderr
        assert _tree(project / "site") == before
    hook.write_text("# another\n", encoding="utf-8")
    mended = _catalog("build", cwd=project)
    assert mended.returncode == 0, mended.stderr
    assert "Building documentation" in mended.stderr
    alone = forked.run([sys.executable, "-m", "mkdocs", "build"], cwd=project, check=True, timeout=120)
    assert "Building documentation" in alone.stderr
    assert not (project / "site" / MARK).exists()


def test_a_strict_build_is_not_spared_by_a_lenient_one(project: Path) -> None:
    """A strict build reports what a lenient one ignored, also when nothing changed."""
    (project / "docs" / "index.md").write_text("# Home\n\n[nowhere](missing.md)\n", encoding="utf-8")
    assert _catalog("build", cwd=project).returncode == 0
    strict = _catalog("build", "--strict", cwd=project)
    assert strict.returncode == 1
    assert "strict mode" in strict.stdout + strict.stderr
    assert "Traceback" not in strict.stderr


def test_a_source_that_cant_be_read_is_an_error_only_when_strict(project: Path) -> None:
    """By the option or by mkdocs.yml; else the site is built from what the store has."""
    assert _catalog("build", cwd=project).returncode == 0
    (project / "manifests" / "iris.yaml").write_text("schemas: 1\n", encoding="utf-8")
    lenient = _catalog("build", cwd=project)
    assert lenient.returncode == 0, lenient.stderr
    assert "could not all be read" in lenient.stderr
    assert "Building documentation" in lenient.stderr
    assert "changed since the last build: records\n" in lenient.stderr
    assert "Iris flowers" in (project / "site" / "datasets" / "index.html").read_text(encoding="utf-8")
    strict = _catalog("build", "--strict", cwd=project)
    assert (strict.returncode, "Building documentation" in strict.stderr) == (1, False)
    with (project / "mkdocs.yml").open("a", encoding="utf-8") as file:
        file.write("strict: true\n")
    assert _catalog("build", cwd=project).returncode == 1


def test_an_empty_site_never_takes_the_place_of_a_full_one(project: Path) -> None:
    """A source failed and the store is empty: a first build, or one on a machine without the store."""
    assert _catalog("build", cwd=project).returncode == 0
    shutil.rmtree(project / ".catalog")
    (project / "manifests").rename(project / "elsewhere")
    for command in (["catalog"], ["mkdocs"]):
        failed = forked.run(
            [sys.executable, "-m", *command, "build"],
            cwd=project, timeout=120,
    )  # fmt: skip
        assert failed.returncode == 1
        assert "manifests: no such file or directory" in failed.stdout + failed.stderr
        assert "its store is empty" in failed.stdout + failed.stderr
        assert "Iris flowers" in (project / "site" / "datasets" / "index.html").read_text(encoding="utf-8")


def test_a_catalog_without_sources_says_so(project: Path) -> None:
    (project / "mkdocs.yml").write_text(
        "site_name: Empty\ntheme: {name: material}\nplugins: [catalog]\n", encoding="utf-8"
    )
    done = _catalog("build", cwd=project)
    assert done.returncode == 0, done.stderr
    assert "no sources" in done.stderr


def test_a_build_beside_a_running_crawl_takes_the_store_as_it_is(project: Path) -> None:
    """And says so; what that crawl brings makes the next build differ."""
    assert _catalog("crawl", cwd=project).returncode == 0
    with Store.open(load_settings(project / "mkdocs.yml").store) as store, store.crawling():
        ran = _catalog("build", cwd=project)
    assert ran.returncode == 0, ran.stderr
    assert "another crawl" in ran.stderr
    assert "no changes" in _catalog("build", cwd=project).stderr


def test_zensicals_site_is_another_one(project: Path) -> None:
    """It has its own mark, where Zensical puts the site."""
    assert _catalog("build", cwd=project).returncode == 0
    first = _catalog("build", "--zensical", cwd=project)
    assert first.returncode == 0, first.stderr
    assert "changed since the last build: options" in first.stderr
    assert "no changes" in _catalog("build", "--zensical", cwd=project).stderr


def test_what_is_deployed_already_is_not_built(project: Path, tmp_path: Path) -> None:
    """By the fingerprint of the deployed site, whether site/ is there or not; GitHub is told in a step's outputs."""
    outputs = tmp_path / "outputs"
    build = ("build", "--if-changed-since", "deployed.txt")

    def told() -> dict[str, str]:
        said = dict(line.split("=", 1) for line in outputs.read_text(encoding="utf-8").splitlines())
        outputs.unlink()
        return said

    assert _catalog(*build, cwd=project, GITHUB_OUTPUT=str(outputs)).returncode == 0
    first = told()
    assert first["built"] == "true"
    assert first["fingerprint"] == (project / "site" / MARK).read_text(encoding="utf-8").strip()
    again = _catalog(*build, cwd=project, GITHUB_OUTPUT=str(outputs))
    assert "no changes" in again.stderr
    assert told() == first, "not deployed yet: the site that is there has to be"
    (project / "deployed.txt").write_text(first["fingerprint"] + "\n", encoding="utf-8")
    shutil.rmtree(project / "site")
    spared = _catalog(*build, cwd=project, GITHUB_OUTPUT=str(outputs))
    assert "no changes since deployed.txt" in spared.stderr
    assert told() == {**first, "built": "false"}
    assert not (project / "site").exists()
    (project / "deployed.txt").write_text("what is this", encoding="utf-8")
    assert _catalog(*build, cwd=project, GITHUB_OUTPUT=str(outputs)).returncode == 0
    assert told() == first


# --- what counts ---------------------------------------------------------------------------------------------


def _append(name: str) -> Callable[[Path], None]:
    def change(project: Path) -> None:
        with (project / name).open("a", encoding="utf-8") as file:
            file.write("\n# more\n")

    return change


def _renamed(project: Path) -> None:
    (project / "docs" / "deep" / "picture.svg").rename(project / "docs" / "deep" / "drawing.svg")


def _crawled_otherwise(project: Path) -> None:
    manifest = project / "manifests" / "iris.yaml"
    text = manifest.read_text(encoding="utf-8")
    manifest.write_text(text.replace("fifty each", "50 each"), encoding="utf-8")
    assert not _crawl(project).failed


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (_append("docs/index.md"), "pages"),
        (_append("docs/deep/picture.svg"), "pages"),
        (_append("NOTES.md"), "pages"),
        (_renamed, "pages"),
        (_append("mkdocs.yml"), "settings"),
        (_append("common.yml"), "settings"),
        (_append("hook.py"), "settings"),
        (_append("own/catalog/nothing.html"), "settings"),
        (_crawled_otherwise, "records"),
    ],
)
def test_each_thing_a_site_is_made_from_counts(project: Path, change: Callable[[Path], None], part: str) -> None:
    """And is named; files that merely lie there, and times of files, don't count."""
    assert not _crawl(project).failed
    before = _taken(project)
    (project / "unrelated.txt").write_text("x", encoding="utf-8")
    os.utime(project / "docs" / "index.md", (1, 1))
    assert _taken(project) == before
    change(project)
    assert _taken(project).changed(before) == [part]


def test_variables_that_the_settings_name_count(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others don't."""
    before = _taken(project)
    monkeypatch.setenv("UNRELATED_URL", "https://other.example.org/")
    assert _taken(project) == before
    monkeypatch.setenv("UNCHANGED_URL", "https://other.example.org/")
    assert _taken(project).changed(before) == ["settings"]


def test_another_crawl_counts_only_for_what_it_brings(project: Path) -> None:
    """Its times don't; a source that can't be read does, once."""
    assert not _crawl(project).failed
    before = _taken(project)
    assert not _crawl(project).failed
    assert _taken(project) == before
    manifest = project / "manifests" / "iris.yaml"
    text = manifest.read_text(encoding="utf-8")
    manifest.write_text("schemas: 1\n", encoding="utf-8")
    assert _crawl(project).failed
    broken = _taken(project)
    assert broken.changed(before) == ["records"]
    assert _crawl(project).failed
    assert _taken(project) == broken
    manifest.write_text(text, encoding="utf-8")
    assert not _crawl(project).failed
    assert _taken(project) == before


def test_with_previews_a_day_counts(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards without a checksum are asked again each day, so that their pages may change without a record's change."""
    settings = project / "mkdocs.yml"
    assert "previews:" not in str(_taken(project))
    settings.write_text(MKDOCS.replace("      sources", "      previews: true\n      sources"), encoding="utf-8")
    moment = time.time()
    monkeypatch.setattr("catalog.site.build_fingerprint.time.time", lambda: moment)
    before = _taken(project)
    assert _taken(project) == before
    monkeypatch.setattr("catalog.site.build_fingerprint.time.time", lambda: moment + 86_400)
    assert _taken(project).changed(before) == ["previews"]


def test_inherited_folders_are_the_ones_meant(project: Path) -> None:
    """site_dir and docs_dir of a parent hold, the child's go before them; configurations in a circle end."""
    (project / "common.yml").write_text(
        "INHERIT: mkdocs.yml\nsite_dir: out\ndocs_dir: pages\ntheme: {name: material}\n", encoding="utf-8"
    )
    assert site_folder(project / "mkdocs.yml") == project / "out"
    before = _taken(project)
    _append("docs/index.md")(project)
    assert _taken(project) == before
    (project / "pages").mkdir()
    (project / "pages" / "index.md").write_text("# There\n", encoding="utf-8")
    assert _taken(project).changed(before) == ["pages"]
    _append("mkdocs.yml")(project)
    with (project / "mkdocs.yml").open("a", encoding="utf-8") as file:
        file.write("site_dir: mine\n")
    assert site_folder(project / "mkdocs.yml") == project / "mine"


def test_links_to_their_own_folder_are_read_once(project: Path) -> None:
    """Three of them are 3^40 paths. A link elsewhere counts with the files that are there."""
    docs = project / "docs"
    plain = calls(lambda: _taken(project))
    for name in ("one", "two", "three"):
        (docs / name).symlink_to(docs, target_is_directory=True)
    (docs / "pipe").symlink_to(docs / "deep" / "pipe")
    os.mkfifo(docs / "deep" / "pipe")
    before = _taken(project)
    assert calls(lambda: _taken(project)) < plain * 1.2
    (project / "beside").mkdir()
    (docs / "beside").symlink_to(project / "beside", target_is_directory=True)
    assert _taken(project) == before, "an empty folder is no page"
    (project / "beside" / "page.md").write_text("# Beside\n", encoding="utf-8")
    assert _taken(project).changed(before) == ["pages"]


def test_what_a_build_writes_is_no_input(project: Path) -> None:
    """Also where the whole project is watched; other files of it count."""
    config = project / "mkdocs.yml"
    config.write_text(MKDOCS.replace("[NOTES.md]", "[.]"), encoding="utf-8")
    assert not _crawl(project).failed
    before = _taken(project)
    for name in ("site/index.html", ".catalog/previews/x", ".git/index", "own/__pycache__/x.pyc"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text("x", encoding="utf-8")
    assert _taken(project) == before
    (project / "more.txt").write_text("x", encoding="utf-8")
    assert _taken(project).changed(before) == ["pages"]


# --- the store -----------------------------------------------------------------------------------------------


def _found(value: Json, number: int = 1) -> Found:
    uri = AtUri.parse(f"at://{DID}/science.alt.dataset.label/{number:013d}".replace("0", "2"))
    cid = Cid("bafyrei" + json.dumps(value).encode().hex().ljust(52, "a")[:52])
    return Found(uri=uri, cid=cid, value=value, verified=True)


REPO = Repo(did=DID, source="repo:x", handle=Handle("alice.example.org"), pds="https://pds.example.org", rev="3a")


def _filled(path: Path) -> Store:
    store = Store.open(path)
    store.configure(["repo:x"], [])
    store.replace(REPO, [_found({"a": 1})], [Refused(uri="at://x", reason="broken", source="repo:x")], moment=NOW)
    return store


STORE_CHANGES: dict[str, Callable[[Store], object]] = {
    "a record more": lambda s: s.replace(REPO, [_found({"a": 1}), _found({"b": 2}, 3)], [], moment=NOW),
    "a record less": lambda s: s.replace(REPO, [], [], moment=NOW),
    "another value": lambda s: s.replace(REPO, [_found({"a": 2})], [], moment=NOW),
    "proof lost": lambda s: s.replace(REPO, [replace(_found({"a": 1}), verified=False)], [], moment=NOW),
    "another reason": lambda s: s.replace(
        REPO, [_found({"a": 1})], [Refused(uri="at://x", reason="worse", source="repo:x")], moment=NOW
    ),
    "another handle": lambda s: s.put_repo(replace(REPO, handle=Handle("bob.example.org"))),
    "another server": lambda s: s.put_repo(replace(REPO, pds="https://other.example.org")),
    "closed": lambda s: s.put_repo(replace(REPO, active=False, status="deactivated")),
    "denied": lambda s: s.configure(["repo:x"], [str(DID)]),
    "unlisted": lambda s: s.unlist("repo:x", str(DID)),
    "another source": lambda s: s.configure(["repo:y"], []),
}
STORE_SAME: dict[str, Callable[[Store], object]] = {
    "read again": lambda s: s.replace(
        REPO, [_found({"a": 1})], [Refused(uri="at://x", reason="broken", source="repo:x")],
        moment=NOW.replace(year=2027),
    ),
    "another commit": lambda s: s.put_repo(replace(REPO, rev="3b", identified=NOW)),
    "a crawl": lambda s: s.put_crawl(PastCrawl(ended=NOW, report={})),
    "a cursor": lambda s: s.put_cursor("firehose:x", 7),
    "a closed account without records": lambda s: s.put_repo(
        Repo(did=Did.parse("did:plc:" + "b" * 24), source="repo:x", active=False)
    ),
}  # fmt: skip


@pytest.mark.parametrize("change", STORE_CHANGES.values(), ids=STORE_CHANGES)
def test_what_shows_of_a_store_changes_its_fingerprint(tmp_path: Path, change: Callable[[Store], object]) -> None:
    """Each for itself."""
    with _filled(tmp_path / "store.sqlite") as store:
        before = store.fingerprint()
        change(store)
        assert store.fingerprint() != before


@pytest.mark.parametrize("change", STORE_SAME.values(), ids=STORE_SAME)
def test_what_doesnt_show_leaves_it(tmp_path: Path, change: Callable[[Store], object]) -> None:
    """A crawl that finds the same is no change."""
    with _filled(tmp_path / "store.sqlite") as store:
        before = store.fingerprint()
        change(store)
        assert store.fingerprint() == before


def test_a_change_and_its_reverse_show_as_history(tmp_path: Path) -> None:
    """The record is as it was, but its page tells what it was in between."""
    with _filled(tmp_path / "store.sqlite") as store:
        before = store.fingerprint()
        for number in (2, 1):
            store.replace(REPO, [_found({"a": number})], list(store.refused()), moment=NOW)
        assert store.fingerprint() != before


def test_the_work_of_a_fingerprint_grows_with_the_number_of_records(tmp_path: Path) -> None:
    """Not with its square: twice the records, twice the steps of SQLite."""
    half, whole = (_steps_of_a_fingerprint(tmp_path / f"{number}.sqlite", number) for number in (5_000, 10_000))
    assert whole < 3 * half


def _steps_of_a_fingerprint(path: Path, number: int) -> int:
    """Count the steps of SQLite, in hundreds."""
    steps = 0

    def note() -> None:
        nonlocal steps
        steps += 1

    with _filled(path) as store:
        db = sqlite3.connect(path)
        rows = [(f"at://{DID}/science.alt.dataset.entry/{n}", str(DID), f"bafy{n}", "{}" * 200) for n in range(number)]
        db.executemany("INSERT INTO records VALUES (?, ?, ?, 'repo:x', 0, 1, '[]', 'x', 'y', ?)", rows)
        db.executemany("INSERT INTO versions SELECT ?, 1, ?, NULL, 'x', '{}'", [(row[0], row[2]) for row in rows])
        db.commit()
        db.close()
        store._db.set_progress_handler(note, 100)
        assert len(store.fingerprint()) == 64
    return steps


@pytest.mark.parametrize(
    "text", ["", "x", "records:abc", "records:" + "g" * 64, "\0", "\udcff", "a:" + "0" * 64 + " b"]
)
def test_what_is_no_fingerprint_is_none(tmp_path: Path, text: str) -> None:
    """A mark that was cut or written by somebody else never spares a build."""
    file = tmp_path / "mark.txt"
    assert Fingerprint.read(file) is None
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert Fingerprint.read(file) is None
    whole = Fingerprint(parts=(("records", "0" * 64), ("pages", "1" * 64)))
    file.write_text(f"{whole}\n", encoding="utf-8")
    assert Fingerprint.read(file) == whole
