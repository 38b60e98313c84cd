"""The wheel contains all it needs: it is installed where the checkout isn't."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.paths import ROOT

MKDOCS = """\
site_name: Installed
theme:
  name: material
  font: false
plugins:
  - catalog:
      store: store.sqlite
      sources:
        - manifests: examples/manifests
"""


def _run(*command: str | Path, cwd: Path, seconds: int = 300) -> subprocess.CompletedProcess[str]:
    """Run it without the checkout's packages in reach, and fail with what it said."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    ran = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=seconds, check=False
    )
    assert ran.returncode == 0, f"{command}\n{ran.stdout[-2000:]}\n{ran.stderr[-4000:]}"
    return ran


def _shipped(folder: str) -> set[str]:
    """Return the files of git in a folder of the checkout, relative to it."""
    listed = _run("git", "ls-files", "-z", folder, cwd=ROOT).stdout
    return {name.removeprefix(f"{folder}/") for name in listed.split("\0") if name}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist, and the wheel built from the sdist alone: a file the sdist lacks is missed here."""
    place = tmp_path_factory.mktemp("dist")
    _run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", place, cwd=ROOT)
    with tarfile.open(next(place.glob("*.tar.gz"))) as archive:
        archive.extractall(place / "unpacked", filter="data")
    source = next((place / "unpacked").iterdir())
    _run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", place, cwd=source)
    return place


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``bin`` of an environment that has the wheel and what it depends on, and nothing for development."""
    place = tmp_path_factory.mktemp("installed") / "venv"
    _run(sys.executable, "-m", "venv", "--without-pip", place, cwd=built)
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    assert uv is not None, "uv is missing: run `make test`"
    wheel = next(built.glob("*.whl"))
    lock = ROOT / "requirements.lock"
    _run(*(uv, "pip", "install", "--python", place / "bin" / "python", "--constraint", lock, wheel), cwd=built)
    return place / "bin"


@pytest.fixture(scope="module")
def site_installed(built: Path, installed: Path) -> Path:
    """The same environment with the extra ``[site]``; tests of the base come before it in this file."""
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    assert uv is not None
    wheel, lock = next(built.glob("*.whl")), ROOT / "requirements.lock"
    _run(uv, "pip", "install", "--python", installed / "python", "--constraint", lock, f"{wheel}[site]", cwd=built)
    return installed


def test_the_wheel_has_every_file_of_the_three_folders(built: Path) -> None:
    """Package, templates and lexicons, each file git has; and nothing beside them but the metadata."""
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    expected = {f"catalog/{name}" for name in _shipped("catalog")}
    expected |= {f"catalog/_templates/{name}" for name in _shipped("site_templates")}
    expected |= {f"catalog/_lexicons/{name}" for name in _shipped("lexicons")}
    assert expected - names == set(), "missing from the wheel"
    assert {name.partition("/")[0] for name in names} == {"catalog"}, "nothing else at the top of site-packages"
    assert "catalog/py.typed" in names
    for folder in ("_templates", "_lexicons"):
        assert any(name.startswith(f"catalog/{folder}/") for name in names), folder


def test_the_sdist_has_what_a_rebuild_needs_and_no_installed_modules(built: Path) -> None:
    """Tests and the lock are in it; what npm installed is not."""
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "LICENSE", "requirements.lock", "tests/conftest.py"} <= names
    assert [name for name in names if "node_modules" in name or name.startswith((".venv", "site/", ".catalog"))] == []


def test_an_installed_wheel_answers_for_itself(installed: Path, tmp_path: Path) -> None:
    """The command runs, the version is known, and the files it uses are its own."""
    assert "Usage" in _run(installed / "catalog", "--help", cwd=tmp_path).stdout
    names = "catalog.__version__, r.templates(), r.lexicons()"
    code = f"import catalog, catalog.config.resources as r; print({names}, sep='|')"
    version, templates, lexicons = _run(installed / "python", "-c", code, cwd=tmp_path).stdout.strip().split("|")
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+)?", version)
    for place, name in ((templates, "_templates"), (lexicons, "_lexicons")):
        assert Path(place).name == name
        assert Path(place).is_relative_to(installed.parent)
        assert any(Path(place).iterdir())


def test_the_base_has_at_most_25_packages_in_100_mb(installed: Path) -> None:
    packages = next((installed.parent / "lib").glob("python*")) / "site-packages"
    assert len(list(packages.glob("*.dist-info"))) <= 25
    assert sum(path.stat().st_size for path in packages.rglob("*") if path.is_file()) <= 100_000_000


@pytest.mark.parametrize("command", ["build", "serve"])
def test_a_command_without_its_extra_prints_what_to_install(installed: Path, tmp_path: Path, command: str) -> None:
    """As wrong usage: exit code 2, and nothing is crawled."""
    (tmp_path / "mkdocs.yml").write_text(MKDOCS, encoding="utf-8")
    ran = subprocess.run(
        [installed / "catalog", command], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "pip install 'atdata-catalog[site]'" in ran.stderr
    assert not (tmp_path / "store.sqlite").exists()


def test_the_base_imports_every_module_but_those_of_the_site_and_the_appview(installed: Path, tmp_path: Path) -> None:
    """No module of the library, the crawler or the publisher needs an extra at import."""
    code = (
        "import catalog, importlib, pkgutil\n"
        "for found in pkgutil.walk_packages(catalog.__path__, 'catalog.', onerror=print):\n"
        "    if not found.name.startswith(('catalog.site', 'catalog.appview', 'catalog._', 'catalog.__')):\n"
        "        importlib.import_module(found.name)\n"
    )
    _run(installed / "python", "-c", code, cwd=tmp_path)


def test_an_installed_wheel_builds_a_site(site_installed: Path, tmp_path: Path) -> None:
    """From manifests and a mkdocs.yml somewhere else: every dataset of the examples has its page."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    (tmp_path / "mkdocs.yml").write_text(MKDOCS, encoding="utf-8")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("# Home\n", encoding="utf-8")
    _run(site_installed / "catalog", "build", cwd=tmp_path)
    pages = [path.parent for path in (tmp_path / "site" / "datasets").rglob("index.html")]
    manifests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "examples" / "manifests").glob("*.y*ml"))
    assert len(pages) > manifests.count("shards:") > 0


def test_importing_the_package_imports_nothing_heavy(tmp_path: Path) -> None:
    """``import catalog`` in a fresh process loads none of the libraries it depends on."""
    heavy = ("numpy", "httpx", "click", "mkdocs", "jinja2", "msgpack", "yaml", "sqlite3", "importlib.metadata")
    code = f"import sys, catalog; print([name for name in {heavy!r} if name in sys.modules])"
    before = f"import sys; print([name for name in {heavy!r} if name in sys.modules])"
    loaded, already = (_run(sys.executable, "-c", text, cwd=tmp_path).stdout for text in (code, before))
    assert loaded == already


def test_importing_a_name_of_the_library_imports_no_command_line_and_no_site(tmp_path: Path) -> None:
    """``from catalog import Dataset`` loads none of them, and a bounded number of modules in all."""
    heavy = (
        "click", "mkdocs", "jinja2", "comrak", "nh3", "pygments", "sqlite3", "torch", "pyarrow", "catalog.site",
        "httpx", "cryptography", "dns", "websockets", "yaml", "tarfile", "zipfile", "difflib",
    )  # fmt: skip
    code = (
        f"import sys; from catalog import Dataset; print([n for n in {heavy!r} if n in sys.modules], len(sys.modules))"
    )
    loaded, _, count = _run(sys.executable, "-c", code, cwd=tmp_path).stdout.strip().rpartition(" ")
    assert loaded == "[]"
    assert int(count) < 400


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-frameworks.lock", "requirements-arroba.lock"])
def test_locks_name_no_registry_and_no_folder_of_a_machine(name: str) -> None:
    """Whoever installs asks the registry of their own; every Python package is pinned with its hashes."""
    lock = (ROOT / name).read_text(encoding="utf-8")
    assert re.findall(r"^-|://|file:|@ ", lock, flags=re.MULTILINE) == []
    pinned = re.findall(r"^([a-z0-9][\w.\[\],-]*)==\S+.*\\\n    --hash=sha256:[0-9a-f]{64}", lock, flags=re.MULTILINE)
    assert len(pinned) == len(re.findall(r"^[a-z0-9]", lock, flags=re.MULTILINE)) > 0


@pytest.mark.parametrize("folder", ["browser", "javascript", "network", "network-next", "typescript"])
def test_npm_locks_name_no_registry(folder: str) -> None:
    """The same for what the tests take from npm."""
    npm = (ROOT / "tests" / folder / "package-lock.json").read_text(encoding="utf-8")
    assert '"resolved"' not in npm
    assert npm.count('"integrity": "sha512-') > 0
