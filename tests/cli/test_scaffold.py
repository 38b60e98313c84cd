"""``catalog init``: a repository that works by its own README's commands, and never over somebody's files."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from markdown import markdown  # type: ignore[import-untyped]

from catalog import __version__
from catalog.cli import cli
from catalog.cli.scaffold import (
    MANIFEST,
    SCHEMA,
    Requirement,
    Scaffold,
    Written,
    installed_requirement,
    requirement_of,
    write_files,
)
from catalog.errors import CatalogError, InvalidConfig
from tests import forked, sitekinds
from tests.sharedfiles import made_once
from tests.site.test_links import HOST, Links, places_of, pointers
from tests.sitevariety import BuiltSite
from tests.starter import fill_in
from tests.wheels import build_wheel, pip_environment, with_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Page

    from tests.conftest import Network, Watch

FILES = {
    ".github/dependabot.yml", ".github/workflows/plan.yml", ".github/workflows/publish.yml",
    ".github/workflows/site.yml", ".gitignore", "README.md", "docs/index.md", "manifests/first.yaml",
    "manifests/manifest.schema.json", "mkdocs.yml", "requirements.txt",
}  # fmt: skip
SITE_URL = "https://alice.github.example/datasets/"
BIN = Path(sys.executable).parent


def _catalog(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return forked.run(
        [sys.executable, "-m", "catalog", *arguments],
        cwd=cwd, timeout=120,
    )  # fmt: skip


def _made(folder: Path) -> dict[str, bytes]:
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


# --- what it makes -------------------------------------------------------------------------------------------


def test_an_empty_folder_becomes_a_repository(tmp_path: Path) -> None:
    """Eleven files, nothing left to be filled in, and what to do next at the end; the second time nothing."""
    first = _catalog("init", cwd=tmp_path)
    assert (first.returncode, first.stdout) == (0, ""), first.stderr
    made = _made(tmp_path)
    assert set(made) == FILES
    assert [name for name, text in made.items() if re.search(rb"%[A-Z_]+%", text)] == []
    said = first.stderr.splitlines()
    assert [line for line in said if line.startswith("wrote ")] == said[: said.index("Next:")]
    assert said[said.index("Next:") + 1].startswith("  catalog serve "), "it is here: nothing to go to"
    again = _catalog("init", cwd=tmp_path)
    assert again.returncode == 0
    assert "everything was there already" in again.stderr
    assert _made(tmp_path) == made


def test_what_is_known_stands_where_it_belongs(tmp_path: Path) -> None:
    """Name, handle and address; as JSON what was written."""
    ran = _catalog(
        "init", "new", "--name", 'Alice\'s "data": sets #1', "--handle", "@alice.example.org", "--site-url",
        "https://alice.example.org/sets", "--json", cwd=tmp_path,
    )  # fmt: skip
    assert ran.stderr == ""
    answer = json.loads(ran.stdout)
    assert answer == {"folder": "new", "new": answer["new"], "replaced": [], "kept": [], "same": []}
    assert set(answer["new"]) == FILES
    text = (tmp_path / "new" / "mkdocs.yml").read_text(encoding="utf-8")
    config = yaml.safe_load(text)
    assert config["site_name"] == 'Alice\'s "data": sets #1'
    assert config["site_url"] == "https://alice.example.org/sets/"
    assert "# - repo: alice.example.org\n" in text
    for name in ("plan", "publish"):
        workflow = (tmp_path / "new" / ".github" / "workflows" / f"{name}.yml").read_text(encoding="utf-8")
        assert "${{ vars.CATALOG_HANDLE || 'alice.example.org' }}" in workflow
    pinned = (tmp_path / "new" / "requirements.txt").read_text("utf-8")
    assert pinned.endswith(f"\n{installed_requirement().lines}\n")
    assert __version__ in pinned or " @ " in pinned


def test_a_site_of_published_records_has_no_manifests(tmp_path: Path) -> None:
    """Its source is the account, with the first samples; no workflow and no text is about manifests."""
    ran = _catalog("init", "new", "--published", "--handle", "alice.example.org", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    made = _made(tmp_path / "new")
    assert set(made) == {
        name for name in FILES if not name.startswith("manifests/") and not name.endswith(("plan.yml", "publish.yml"))
    }
    assert not [name for name, text in made.items() if b"first.yaml" in text or re.search(rb"%[A-Z_]+%", text)]
    plugin = yaml.safe_load(made["mkdocs.yml"])["plugins"][0]["catalog"]
    assert plugin["sources"] == [{"repo": "alice.example.org"}]
    assert plugin["previews"] is True
    assert b"previews" in made["requirements.txt"]
    assert "manifests" not in ran.stderr
    assert _catalog("init", "other", "--published", cwd=tmp_path).returncode == 2


def test_what_it_says_at_the_end_can_be_copied(tmp_path: Path) -> None:
    """First of all where to go; then each command works there."""
    said = _catalog("init", "my data/sets", cwd=tmp_path).stderr
    commands = [line.strip() for line in said.partition("Next:\n")[2].splitlines() if line.startswith("  ")]
    assert commands[0] == "cd 'my data/sets'"
    assert commands[1].startswith("catalog serve ")
    ran = subprocess.run(
        ["bash", "-ec", f'catalog() {{ "{sys.executable}" -m catalog "$@"; }}\n{commands[0]}\n{commands[2]}'],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ran.stdout.startswith("valid: ")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--handle", "not a handle"], 2, "--handle"),
        (["--handle", "x' || secrets.X || '"], 2, "--handle"),
        (["--site-url", "alice.github.example/datasets"], 2, "--site-url"),
        (["--site-url", "https://[x"], 2, "--site-url"),
        (["--site-url", "javascript:alert(1)"], 2, "--site-url"),
        (["--name", ""], 1, "--name"),
        (["--name", "two\nlines"], 1, "--name"),
        (["--name", "x" * 201], 1, "--name"),
        ([".", "extra"], 2, "extra"),
        (["--nonsense"], 2, "--nonsense"),
    ],
)
def test_a_mistake_has_its_words_and_writes_nothing(
    tmp_path: Path, arguments: list[str], code: int, words: str
) -> None:
    """One line or two, no traceback."""
    ran = _catalog("init", *arguments, cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (code, "")
    assert words in ran.stderr
    assert "Traceback" not in ran.stderr
    assert list(tmp_path.iterdir()) == []


@given(st.text(max_size=220))
def test_any_name_is_the_sites_name_or_refused(name: str) -> None:
    """In YAML and in Markdown it is text and nothing else."""
    scaffold = Scaffold(name=name, requirement="atdata-catalog", manifest="", schema="")
    try:
        files = scaffold.files()
    except InvalidConfig:
        assert not name.strip() or not name.isprintable() or len(name) > 200
        return
    config = yaml.safe_load(files["mkdocs.yml"])
    assert config["site_name"] == name
    assert set(config) == {"site_name", "theme", "extra", "plugins", "nav", "markdown_extensions"}
    heading = files["README.md"].splitlines()[0]
    shown = markdown(heading, extensions=["attr_list"])
    plain = re.fullmatch(r"<h1>(.*)</h1>", shown)
    assert plain is not None, shown
    assert re.sub(r"&#(\d+);", lambda code: chr(int(code[1])), plain[1]) == name.strip()


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("1.2.3", "~=1.2.3"),
        ("0.1.0.dev0", "==0.1.0.dev0"),
        ("1.0.0rc1", "==1.0.0rc1"),
        ("2.0", "==2.0"),
        ("1.2.3.post1", "==1.2.3.post1"),
    ],
)
def test_a_release_may_be_replaced_by_its_bugfix_releases(version: str, expected: str) -> None:
    """A pre-release is pinned."""
    assert requirement_of(version, None) == Requirement(lines=f"atdata-catalog[site]{expected}")


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        (
            {"url": "https://git.example/sets.git", "vcs_info": {"vcs": "git", "commit_id": "c" * 40}},
            f"atdata-catalog[site] @ git+https://git.example/sets.git@{'c' * 40}",
        ),
        (
            {"url": "https://git.example/all", "vcs_info": {"vcs": "git", "commit_id": "c0ffee"}, "subdirectory": "py"},
            "atdata-catalog[site] @ git+https://git.example/all@c0ffee#subdirectory=py",
        ),
        (
            {"url": "https://files.example/atdata_catalog-1.0-py3-none-any.whl", "archive_info": {}},
            "atdata-catalog[site] @ https://files.example/atdata_catalog-1.0-py3-none-any.whl",
        ),
    ],
)
def test_a_version_from_a_commit_or_an_archive_is_installed_from_there(origin: dict[str, Any], expected: str) -> None:
    assert requirement_of("1.0.0", json.dumps(origin)) == Requirement(lines=expected)


@pytest.mark.parametrize(
    "origin",
    [
        {"url": "file:///home/alice/catalog", "dir_info": {"editable": True}},
        {"url": "file:///home/alice/catalog", "dir_info": {}},
        {"url": "file:///home/alice/atdata_catalog-1.0.0-py3-none-any.whl", "archive_info": {"hashes": {}}},
        {"url": "file:///home/alice/catalog", "vcs_info": {"vcs": "git", "commit_id": "c0ffee"}},
    ],
)
def test_a_version_from_local_files_needs_its_wheel(origin: dict[str, Any]) -> None:
    """No path of the machine is in the file."""
    found = requirement_of("1.0.0", json.dumps(origin))
    comment, *lines = found.lines.splitlines()
    assert found.is_local
    assert comment.startswith("#")
    assert "wheels/" in comment
    assert lines == ["--find-links wheels", "atdata-catalog[site]==1.0.0"]
    assert "alice" not in found.lines


# --- what it leaves alone ------------------------------------------------------------------------------------


def test_nothing_is_written_over_and_all_that_is_in_the_way_is_named(tmp_path: Path) -> None:
    """Not one file; with --keep they stay, with --force they are replaced, and others in the folder stay anyway."""
    (tmp_path / "README.md").write_text("mine\n", encoding="utf-8")
    (tmp_path / ".github" / "workflows").mkdir(parents=True)
    (tmp_path / ".github" / "workflows" / "site.yml").write_bytes(b"\xff\xfe")
    (tmp_path / "LICENSE").write_text("mine\n", encoding="utf-8")
    before = _made(tmp_path)
    ran = _catalog("init", cwd=tmp_path)
    assert ran.returncode == 1
    assert "in the way: README.md, .github/workflows/site.yml (nothing was written; --keep" in ran.stderr
    assert _made(tmp_path) == before
    assert _catalog("init", "--force", "--keep", cwd=tmp_path).returncode == 2
    assert _made(tmp_path) == before
    shutil.copytree(tmp_path, tmp_path.with_name("kept"))
    ran = _catalog("init", "--keep", cwd=tmp_path.with_name("kept"))
    assert "kept README.md" in ran.stderr
    kept = _made(tmp_path.with_name("kept"))
    assert set(kept) == {*FILES, "LICENSE"}
    assert {name: kept[name] for name in before} == before
    forced = _catalog("init", "--force", "--json", cwd=tmp_path)
    assert json.loads(forced.stdout)["replaced"] == ["README.md", ".github/workflows/site.yml"]
    after = _made(tmp_path)
    assert set(after) == {*FILES, "LICENSE"}
    assert after["LICENSE"] == b"mine\n"


def test_folders_and_links_in_the_way_are_never_replaced(tmp_path: Path) -> None:
    """Not even with force: what a link leads to belongs to somebody else."""
    outside = tmp_path / "outside.txt"
    outside.write_text("theirs", encoding="utf-8")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link").symlink_to(outside)
    (folder / "dangling").symlink_to(tmp_path / "nowhere")
    (folder / "place").mkdir()
    (folder / "file").write_text("x", encoding="utf-8")
    files = {"link": "a", "dangling": "b", "place": "c", "file/below": "d", "fine": "e"}
    for force in (False, True):
        with pytest.raises(CatalogError, match="in the way: link, dangling, place, file/below") as raised:
            write_files(folder, files, force=force)
        assert "fine" not in str(raised.value)
    assert outside.read_text(encoding="utf-8") == "theirs"
    assert not (folder / "fine").exists()
    assert not (tmp_path / "nowhere").exists()
    with pytest.raises(CatalogError, match="in the way"):
        write_files(folder / "file", {"a": "b"})


@pytest.mark.parametrize("function", ["pathlib.Path.write_text", "shutil.copy2", "pathlib.Path.replace"])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_failing_write_leaves_the_folder_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, number: int
) -> None:
    """Whichever write fails: no new file or folder is left, and each replaced file has its old text and mode again."""
    folder = tmp_path / "below" / "folder"
    folder.mkdir(parents=True)
    for name in ("one", "two", "three", "same"):
        (folder / name).write_text(f"old {name}", encoding="utf-8")
    (folder / "one").chmod(0o700)
    files = {"one": "new", "a/b/c": "x", "two": "new", "same": "old same", "three": "new", "a/d": "y"}
    before = {path: path.stat().st_mode for path in tmp_path.rglob("*")}
    module, _, name = function.rpartition(".")
    owner = Path if module == "pathlib.Path" else shutil
    whole, calls = getattr(owner, name), count(1)

    def fails(*arguments: Any, **how: Any) -> Any:  # noqa: ANN401
        if next(calls) == number:
            raise OSError(28, "No space left on device", str(arguments[0]))
        return whole(*arguments, **how)

    with monkeypatch.context() as patched:
        patched.setattr(owner, name, fails)
        with pytest.raises(CatalogError, match="No space left") as raised:
            write_files(folder, files, force=True)
    assert raised.value.where in {str(folder / path) for path in files}, "an error names the file, not a temporary one"
    assert {path: path.stat().st_mode for path in tmp_path.rglob("*")} == before
    assert all((folder / name).read_text("utf-8") == f"old {name}" for name in ("one", "two", "three", "same"))
    written = write_files(folder, files, force=True)
    assert written == Written(new=("a/b/c", "a/d"), replaced=("one", "two", "three"), same=("same",))
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == set(files)
    assert all((folder / path).read_text("utf-8") == text for path, text in files.items())
    assert (folder / "one").stat().st_mode & 0o777 == 0o700


def test_a_failure_removes_the_folder_that_was_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is left of a repository that was to be new."""

    def full(file: Path, *_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", str(file))

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(CatalogError, match="No space left"):
        write_files(tmp_path / "new" / "repository", {"a/b": "x"})
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(CatalogError):
        write_files(tmp_path, {"n" * 300: "x"})


def test_only_a_manifest(tmp_path: Path) -> None:
    """Commented and valid, its schema for editors beside it; never over another."""
    ran = _catalog("manifest", "init", "deep/own.yaml", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert set(_made(tmp_path)) == {"deep/own.yaml", f"deep/{Path(SCHEMA).name}"}
    assert "catalog validate deep/own.yaml" in ran.stderr
    assert _catalog("validate", "deep/own.yaml", cwd=tmp_path).returncode == 0
    (tmp_path / "deep" / "own.yaml").write_text("mine", encoding="utf-8")
    again = _catalog("manifest", "init", "deep/own.yaml", cwd=tmp_path)
    assert again.returncode == 1
    assert "own.yaml" in again.stderr
    assert (tmp_path / "deep" / "own.yaml").read_text(encoding="utf-8") == "mine"
    assert _catalog("manifest", "init", cwd=tmp_path).returncode == 0
    assert (tmp_path / "manifest.yaml").is_file()
    assert _catalog("manifest", "init", "--keep", "--force", cwd=tmp_path).returncode == 2


def test_the_first_spelling_of_that_still_works_and_tells_of_the_other(tmp_path: Path) -> None:
    """As it does of the way to a folder that is called “manifest”."""
    old = _catalog("init", "manifest", "own.yaml", cwd=tmp_path)
    assert old.returncode == 0
    assert set(_made(tmp_path)) == {"own.yaml", Path(SCHEMA).name}
    assert "`catalog manifest init`" in old.stderr
    assert "catalog init ./manifest" in old.stderr
    assert _catalog("init", "./manifest", cwd=tmp_path).returncode == 0
    assert (tmp_path / "manifest" / "mkdocs.yml").is_file()


# --- it works ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> BuiltSite:
    """The scaffold's site, built by MkDocs with warnings as errors, where GitHub serves a project's pages."""
    folder = tmp_path_factory.mktemp("scaffold")
    cli.main(["init", str(folder), "--site-url", SITE_URL, "--name", "Datasets & more"], standalone_mode=False)
    ran = forked.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict"], cwd=folder, timeout=120,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert "WARNING" not in ran.stderr
    host = tmp_path_factory.mktemp("host")
    shutil.move(folder / "site", host / "datasets")
    return BuiltSite(host=host, path="datasets/")


def test_its_site_works_under_a_path_and_asks_nobody_else(
    built: BuiltSite, serve: Callable[[Path], str], page: Page, watch: Watch
) -> None:
    """In a browser: the first dataset is found from the home page; no stranger is asked, nothing fails."""
    failed: list[str] = []
    page.on("response", lambda answer: failed.append(answer.url) if answer.status >= 400 else None)
    base = serve(built.host) + "datasets/"
    page.goto(base)
    page.get_by_role("link", name="measurements").first.click()
    page.wait_for_url(re.compile(re.escape(base) + "datasets/.+/.+/"))
    for address in sitekinds.pages(built.folder):
        page.goto(base + address)
        page.wait_for_load_state("networkidle")
    assert (watch.strangers, watch.errors, failed) == ([], [], [])


def test_every_address_in_its_site_leads_somewhere(built: BuiltSite) -> None:
    """Relative ones and those that begin with site_url; none that only holds at the root."""
    known: dict[str, set[str] | None] = {}
    lost = {
        whole: where
        for where, whole in pointers(built, SITE_URL)
        if places_of(built, whole.partition("#")[0], known) is None
    }
    assert lost == {}
    assert len(known) > 30
    for address in sitekinds.pages(built.folder):
        rooted = [to for to in Links(sitekinds.text(built.folder, address)).targets if to.startswith("/")]
        assert rooted == [] or address == "404.html", (HOST, address)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A shell's, where pip finds this tree's wheel and nothing of this checkout."""
    found = pip_environment(made_once(tmp_path_factory, "wheel", build_wheel).parent)
    return {**found, "PATH": f"{BIN}:/usr/bin:/bin", "HOME": str(tmp_path_factory.mktemp("home"))}


def _commands(readme: str) -> list[str]:
    blocks = re.findall(r"```console\n(.*?)```", readme, flags=re.DOTALL)
    return [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]


def _answered(script: str, folder: Path, environment: dict[str, str], answer: str) -> tuple[int, str]:
    """Run a script with somebody at the terminal who types this."""
    import pty

    theirs, ours = pty.openpty()
    os.write(theirs, answer.encode())
    try:
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script], cwd=folder, env=environment, stdin=ours,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600, check=False,
        )  # fmt: skip
    finally:
        os.close(theirs)
        os.close(ours)
    return ran.returncode, ran.stdout


def _free(port: int) -> bool:
    with socket.socket() as taken:
        return taken.connect_ex(("127.0.0.1", port)) != 0


def _served(command: str, folder: Path, environment: dict[str, str]) -> str:
    """Return the home page that a command serves at the address in the README."""
    with subprocess.Popen(
        ["bash", "-c", f"exec {command}"], cwd=folder, env=environment, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as server:  # fmt: skip
        try:
            return next(_tried("http://127.0.0.1:8000/"))
        finally:
            server.terminate()


def _tried(url: str) -> Iterator[str]:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            answer = httpx.get(url, follow_redirects=True, timeout=60)
        except httpx.TransportError:
            time.sleep(0.2)
            continue
        if answer.is_success:
            yield answer.text
    raise AssertionError(url)


def test_every_command_of_its_readme_runs_as_it_stands(
    tmp_path: Path, environment: dict[str, str], network: Network
) -> None:
    """In a fresh environment, one after the other in one shell: installed, built, shown, planned, published.

    The first manifest has something in the place of its placeholders, as its owner was asked for.
    """
    account = network.account("reader")
    cli.main(["init", str(tmp_path), "--handle", account.handle], standalone_mode=False)
    fill_in(tmp_path)
    commands = _commands((tmp_path / "README.md").read_text(encoding="utf-8"))
    words = [command.split("/catalog ")[-1].split()[0] for command in commands if "/catalog " in command]
    assert words == ["build", "serve", "validate", "plan", "publish"]
    (serving,) = [command for command in commands if command.endswith("catalog serve")]
    where = {name: value for name, value in os.environ.items() if name.startswith("CATALOG_")}
    shell = {**environment, **where, "CATALOG_APP_PASSWORD": account.password}
    script = "\n".join(command for command in commands if command != serving)
    code, said = _answered(script, tmp_path, shell, "y\n")
    assert code == 0, said
    assert account.password not in said
    assert with_secrets(account.password, tmp_path / "site", tmp_path / ".catalog", Path(shell["HOME"])) == []
    assert "measurements" in (tmp_path / "site" / "catalog" / "records-1.json").read_text(encoding="utf-8")
    listed = network.get(
        "com.atproto.repo.listRecords", {"repo": account.did, "collection": "science.alt.dataset.entry"}
    )
    assert [record["value"]["name"] for record in listed["records"]] == ["measurements"]
    assert "valid: 1 schema" in said
    if _free(8000):
        assert "Dataset catalog" in _served(serving, tmp_path, {**environment, **where})
    ignored = (tmp_path / ".gitignore").read_text(encoding="utf-8").split()
    new = {path.name for path in tmp_path.iterdir()} - {name.partition("/")[0] for name in FILES}
    assert {f"/{name}/" for name in new} <= set(ignored), "what the commands leave is nothing to commit"
    assert MANIFEST in FILES
