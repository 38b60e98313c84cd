"""The code of published lenses: nothing runs before its repository and commit are said again, and then just that."""

from __future__ import annotations

import importlib.util
import marshal
import os
import shutil
import subprocess
import sys
import threading
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grimp
import pytest

import catalog.lenses.checkout as checkout_module
from catalog import Dataset, check_lens, fetch_lens
from catalog.config import NetworkSettings
from catalog.errors import LensError, NetworkError
from catalog.lenses.checkout import checkout, repository_url
from catalog.lenses.code_reference import code_reference
from catalog.lenses.fetch import PublishedLens
from catalog.manifest import load
from catalog.records import LENS, SCHEMA, CodeReference
from catalog.schema import Field, SampleType, Scalar
from catalog.syntax import AtUri, Datetime, Did, Tid
from tests.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.conftest import Network

NOW = Datetime.parse("2026-01-02T03:04:05.678Z")
LOOPBACK = NetworkSettings(allow_loopback=True)
GIT = ("-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false")

LENSES = """
from dataclasses import replace

from catalog import PackableSample, lens
from .words import shout

with open({mark!r}, "a") as file:
    file.write("imported\\n")


class Word(PackableSample, version="1.0.0"):
    text: str
    note: str | None = None


class Loud(PackableSample, version="1.0.0"):
    text: str


def loud(word: Word) -> Loud:
    return Loud(text=shout(word.text))


def quiet(loud: Loud, word: Word) -> Word:
    return replace(word, text=loud.text.lower())


@lens(register=False)
def decorated(word: Word) -> Loud:
    return Loud(text=shout(word.text))


@decorated.putter
def undecorated(loud: Loud, word: Word) -> Word:
    return replace(word, text=loud.text.lower())


def number(word: int) -> str:
    return str(word)


number_not_a_function = 7
"""


class _Git(BaseHTTPRequestHandler):
    """Real git behind a few lines of CGI."""

    root: Path
    asked: list[str]

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass

    def do_GET(self) -> None:
        self._serve(b"")

    def do_POST(self) -> None:
        self._serve(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

    def _serve(self, body: bytes) -> None:
        self.asked.append(self.path)
        path, _, query = self.path.partition("?")
        if path.startswith("/elsewhere/"):
            self.send_response(301)
            self.send_header("Location", self.path.removeprefix("/elsewhere"))
            self.end_headers()
            return
        environment = {
            **os.environ,
            "GIT_PROJECT_ROOT": str(self.root), "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path, "QUERY_STRING": query,
            "REQUEST_METHOD": self.command, "CONTENT_TYPE": self.headers.get("Content-Type") or "",
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding") or "",
            "HTTP_GIT_PROTOCOL": self.headers.get("Git-Protocol") or "", "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_COUNT": "2", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*",
            "GIT_CONFIG_KEY_1": "uploadpack.allowAnySHA1InWant", "GIT_CONFIG_VALUE_1": "true",
        }  # fmt: skip
        done = subprocess.run(["git", "http-backend"], input=body, env=environment, capture_output=True, check=False)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        fields = [line.partition(": ")[::2] for line in head.decode("latin-1").split("\r\n")]
        status = next((value for name, value in fields if name == "Status"), "200 OK")
        self.send_response(int(status.split()[0]))
        for name, value in fields:
            if name and name != "Status":
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A git repository, and where it is served."""

    folder: Path
    url: str
    asked: list[str]

    def commit(self, files: Mapping[str, str | bytes]) -> str:
        """Write files, commit all as they are; the commit's id."""
        for name, content in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", "x")
        return self.git("rev-parse", "HEAD")

    def git(self, *arguments: str) -> str:
        """Run git in it."""
        done = subprocess.run(
            ["git", *GIT, *arguments],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=True,
            stdin=subprocess.DEVNULL,
        )
        return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    """An empty repository on a real git server."""
    monkeypatch.setenv("CATALOG_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "served" / "lenses"
    folder.mkdir(parents=True)
    subprocess.run(["git", "init", "--quiet", "--initial-branch=main"], cwd=folder, check=True)
    asked: list[str] = []
    handler = type("Handler", (_Git,), {"root": folder.parent, "asked": asked})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield Repository(folder=folder, url=f"http://127.0.0.1:{server.server_port}/lenses/.git", asked=asked)
    server.shutdown()
    server.server_close()


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """Grows by a line each time the code of :data:`LENSES` is run."""
    return tmp_path / "mark"


@pytest.fixture
def commit(repository: Repository, mark: Path) -> str:
    """The commit with :data:`LENSES` in ``pkg/lenses.py``."""
    return repository.commit({
        "pkg/lenses.py": LENSES.format(mark=str(mark)),
        "pkg/words.py": "def shout(text):\n    return text.upper()\n",
        "src/inner/lenses.py": LENSES.format(mark=str(mark)),
        "src/inner/words.py": "def shout(text):\n    return text.upper() + '!'\n",
    })  # fmt: skip


def published(repository: Repository, commit: str, **changes: Any) -> PublishedLens:  # noqa: ANN401
    """Return the record of a lens at that commit."""
    text = Field(name="text", type=Scalar(kind="str"))
    note = Field(name="note", type=Scalar(kind="str"), optional=True)
    code = CodeReference(repository=repository.url, commit=commit, path="pkg/lenses.py:loud", language="python")
    values: dict[str, Any] = {
        "uri": AtUri.parse(f"at://did:plc:{'a' * 24}/{LENS}/3aaaaaaaaaaa2"),
        "name": "loud", "description": None,
        "source": SampleType(name="Word", version="1.0.0", fields=(text, note)),
        "target": SampleType(name="Loud", version="1.0.0", fields=(text,)),
        "getter": code, "putter": replace(code, path="pkg/lenses.py:quiet"), "_settings": LOOPBACK,
    }  # fmt: skip
    return PublishedLens(**{**values, **changes})


# --- loading -------------------------------------------------------------------------------------------------


def test_a_lens_is_loaded_from_its_commit(repository: Repository, commit: str, mark: Path) -> None:
    """Its functions work on samples of its own classes; the second time nothing is fetched, and nothing run again."""
    found = published(repository, commit)
    lens = found.load(repository=repository.url, commit=commit)
    word = lens.source(text="hey", note="n")
    assert lens(word).text == "HEY"
    assert lens.put(lens.target(text="YOU"), word) == lens.source(text="you", note="n")
    assert check_lens(lens, [word, lens.source(text="ho")]).ok
    before = len(repository.asked)
    assert found.load(repository=repository.url, commit=commit).source is lens.source
    assert (len(repository.asked), mark.read_text()) == (before, "imported\n")


@pytest.mark.parametrize(
    ("getter", "putter"),
    [
        ("pkg.lenses:loud", "pkg.lenses:quiet"),
        ("inner.lenses:loud", "inner.lenses:quiet"),
        ("src/inner/lenses.py:loud", "src/inner/lenses.py:quiet"),
        ("pkg/lenses.py:decorated", "pkg/lenses.py:undecorated"),
        ("pkg/lenses.py:decorated", "pkg/lenses.py:decorated"),
    ],
)
def test_functions_are_found_by_file_and_by_module(
    repository: Repository, commit: str, getter: str, putter: str
) -> None:
    """Also in ``src``, with relative imports, and decorated as a lens."""
    found = published(repository, commit)
    found = replace(found, getter=replace(found.getter, path=getter), putter=replace(found.putter, path=putter))
    lens = found.load(repository=repository.url, commit=commit)
    assert lens(lens.source(text="a")).text.startswith("A")
    assert lens.put(lens.target(text="B"), lens.source(text="a")).text == "b"


def test_nothing_is_fetched_or_run_before_repository_and_commit_are_said_again(
    repository: Repository, commit: str, mark: Path
) -> None:
    """Not with nothing, not with one of them, not with another one: the error shows what would be run."""
    found = published(repository, commit)
    other = "b" * 40
    for said in (
        {}, {"repository": repository.url}, {"commit": commit}, {"repository": repository.url, "commit": other},
        {"repository": repository.url + "/", "commit": commit},
        {"repository": repository.url, "commit": commit, "putter_commit": other},
    ):  # fmt: skip
        with pytest.raises(LensError, match="name its repository and commit") as caught:
            found.load(**said)
        assert commit in str(caught.value)
        assert repository.url in str(caught.value)
        assert "your rights" in str(caught.value)
    assert (repository.asked, mark.exists()) == ([], False)
    found.load(repository=repository.url, commit=commit)  # the control
    assert repository.asked
    assert mark.exists()


def test_a_putter_of_another_repository_is_named_too(repository: Repository, commit: str) -> None:
    """Each by its own repository and commit."""
    later = repository.commit({"more.txt": "x"})
    found = published(repository, commit)
    found = replace(found, putter=replace(found.putter, commit=later))
    with pytest.raises(LensError, match="name its repository"):
        found.load(repository=repository.url, commit=commit)
    # The classes of two commits are two; what the putter answers must be the getter's.
    with pytest.raises(LensError, match="putter of lens loud"):
        found.load(repository=repository.url, commit=commit, putter_commit=later)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("pkg/lenses.py:missing", "no function 'missing'"),
        ("pkg/lenses.py:number_not_a_function", "no function"),
        ("pkg/lenses.py:Word", "no function"),
        ("pkg/lenses.py:", "names no function"),
        ("pkg/lenses.py", "names no function"),
        ("pkg/lenses.py:__import__('os')", "names no function"),
        ("pkg/missing.py:loud", "no such file"),
        ("pkg.missing:loud", "no such file"),
        ("../../../etc/passwd.py:x", "not a plain one"),
        ("/etc/passwd.py:x", "not a plain one"),
        ("pkg/../pkg/lenses.py:loud", "not a plain one"),
        (".git/hooks.py:x", "not a plain one"),
        ("pkg\\lenses.py:loud", "not a plain one"),
        ("pkg/lenses.py\0:loud", "not a plain one"),
        ("pkg/broken.py:x", "can't be imported: ZeroDivisionError"),
        ("pkg/lenses.py:number", "number"),
    ],
)
def test_a_path_that_leads_to_no_lens_is_told(repository: Repository, commit: str, path: str, words: str) -> None:
    """With repository, commit and path in the error."""
    commit = repository.commit({"pkg/broken.py": "1 / 0\n"})
    found = published(repository, commit)
    found = replace(found, getter=replace(found.getter, path=path))
    with pytest.raises(LensError, match=words.replace("(", r"\(")):
        found.load(repository=repository.url, commit=commit)


def test_code_for_other_types_than_the_schemas_is_refused(repository: Repository, commit: str) -> None:
    """Differences are reported field by field."""
    found = published(repository, commit)
    found = replace(found, target=replace(found.target, fields=found.source.fields[1:]))
    with pytest.raises(LensError, match=r"its target Loud is not what the schema Loud says: .*text"):
        found.load(repository=repository.url, commit=commit)
    found = replace(found, getter=replace(found.getter, language="rust"))
    with pytest.raises(LensError, match="only Python"):
        found.load(repository=repository.url, commit=commit)


# --- checkouts -----------------------------------------------------------------------------------------------


def test_the_files_are_those_of_the_commit_and_nothing_else_happens(repository: Repository, tmp_path: Path) -> None:
    """No hooks, no submodules, no links out of the folder, no filters, no ``.git`` left; once per commit."""
    touched = tmp_path / "touched"
    hook = f"#!/bin/sh\ntouch {touched}\n"
    repository.commit({"a.txt": "first"})
    (repository.folder / "link").symlink_to("/etc")
    first = repository.commit({
        "a.txt": "second", ".gitattributes": "*.txt filter=evil\n", "hooks/post-checkout": hook,
        ".gitmodules": f'[submodule "s"]\n\tpath = s\n\turl = {repository.url}\n',
    })  # fmt: skip
    repository.commit({"a.txt": "third"})
    folder = checkout(repository.url, first, LOOPBACK)
    assert (folder / "a.txt").read_text() == "second"
    assert not (folder / ".git").exists()
    assert not os.path.lexists(folder / "link")
    assert not touched.exists()
    before = len(repository.asked)
    assert checkout(repository.url, first, LOOPBACK) == folder
    assert len(repository.asked) == before
    assert [path.name for path in folder.parent.parent.iterdir()] == [folder.parent.name]


# --- the bytes of the commit, and no others --------------------------------------------------------------------


def compiled(mark: Path) -> bytes:
    """A compiled file that is taken without a look at its source, where one looks for it."""
    code = compile(f"open({str(mark)!r}, 'w').close()\n", "lens.py", "exec")
    return importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + bytes(8) + marshal.dumps(code)


PLAIN = LENSES.replace("from .words import shout", "def shout(text):\n    return text.upper()")


@pytest.mark.parametrize(
    "name",
    [
        f"pkg/__pycache__/lenses.{sys.implementation.cache_tag}.pyc",
        f"pkg/__pycache__/lenses.{sys.implementation.cache_tag}.opt-1.pyc",
        f"__pycache__/pkg.{sys.implementation.cache_tag}.pyc",
        f"pkg/__pycache__/__init__.{sys.implementation.cache_tag}.pyc",
        "pkg/__init__.pyc", "pkg/lenses.pyc", "pkg/LENSES.PYC", f"pkg/lenses{EXTENSION_SUFFIXES[0]}", "pkg/lenses.so",
        "pkg/lenses/__init__.pyc", "pkg/lenses/note.txt", "pkg.pyc", "__init__.pyc", "sitecustomize.pyc",
    ],
)  # fmt: skip
def test_what_lies_beside_the_source_never_runs(repository: Repository, mark: Path, tmp_path: Path, name: str) -> None:
    """Compiled files, in every place where Python looks, and folders of the module's name."""
    evil = tmp_path / "evil"
    commit = repository.commit({"pkg/lenses.py": PLAIN.format(mark=str(mark)), name: compiled(evil)})
    lens = published(repository, commit).load(repository=repository.url, commit=commit)
    assert lens(lens.source(text="a")).text == "A"
    assert not evil.exists()
    folder = checkout(repository.url, commit, LOOPBACK)
    assert (folder / name).exists() == name.endswith(".txt")
    assert not list(folder.rglob("*.pyc"))


@pytest.mark.parametrize(
    "beside",
    [
        {"pkg/lenses/__init__.py": "raise SystemExit"}, {"pkg/lenses/__init__.py": PLAIN},
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["pkg/lenses.py:loud", "pkg.lenses:loud"])
def test_two_files_that_are_one_module_are_refused(
    repository: Repository, commit: str, mark: Path, beside: dict[str, str], path: str
) -> None:
    """It can't be told which of them is meant; none runs."""
    commit = repository.commit(beside)
    found = published(repository, commit)
    found = replace(found, getter=replace(found.getter, path=path))
    with pytest.raises(LensError, match="both"):
        found.load(repository=repository.url, commit=commit)
    assert not mark.exists()


def test_a_compiled_file_alone_is_no_module(repository: Repository, tmp_path: Path) -> None:
    evil = tmp_path / "evil"
    commit = repository.commit({"pkg/lenses.pyc": compiled(evil), "pkg/other.py": ""})
    with pytest.raises(LensError, match="no such file"):
        published(repository, commit).load(repository=repository.url, commit=commit)
    assert not evil.exists()


def test_files_of_the_repository_shadow_nothing(repository: Repository, mark: Path, tmp_path: Path) -> None:
    """Neither the standard library nor what is installed: the repository is not on the path."""
    evil = tmp_path / "evil"
    shadow = f"open({str(evil)!r}, 'w').close()\n"
    names = ("dataclasses.py", "catalog.py", "catalog/__init__.py", "numpy.py", "pkg/dataclasses.py", "pkg/typing.py")
    commit = repository.commit({"pkg/lenses.py": PLAIN.format(mark=str(mark)), **dict.fromkeys(names, shadow)})
    lens = published(repository, commit).load(repository=repository.url, commit=commit)
    assert lens(lens.source(text="a")).text == "A"
    assert not evil.exists()


def test_every_file_has_the_bytes_of_its_blob(repository: Repository, tmp_path: Path) -> None:
    """Whatever its attributes, and the configuration of the repository and its reader, say."""
    touched = tmp_path / "touched"
    contents = {
        "crlf.txt": b"a\r\nb\r\n", "lf.py": b"x = 1\n", "ident.py": b"# $Id$\n", "subst.py": b"# $Format:%H$\n",
        "wide.txt": "ä\n".encode("utf-16"), "filtered.py": b"y = 2\n",
        "lfs.bin": b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 1\n",
    }  # fmt: skip
    commit = repository.commit(contents)
    attributes = "*.txt text eol=crlf\n*.py ident export-subst eol=crlf\nfiltered.py filter=evil\nlfs.bin filter=lfs\n"
    (repository.folder / ".gitattributes").write_text(attributes + "wide.txt working-tree-encoding=UTF-16\n")
    repository.git("update-index", "--add", "--cacheinfo", f"100644,{_blob(repository)},.gitattributes")
    repository.git("-c", "core.autocrlf=false", "commit", "--quiet", "-m", "x")
    commit = repository.git("rev-parse", "HEAD")
    for name in ("smudge", "clean"):
        repository.git("config", f"filter.evil.{name}", f"touch {touched}")
    folder = checkout(repository.url, commit, LOOPBACK)
    assert {name: (folder / name).read_bytes() for name in contents} == contents
    assert not touched.exists()


def _blob(repository: Repository) -> str:
    return repository.git("hash-object", "-w", "--no-filters", ".gitattributes")


@pytest.mark.parametrize("kind", ["compiled", "changed", "gone"])
def test_a_cached_copy_that_was_changed_does_not_run(
    repository: Repository, commit: str, mark: Path, tmp_path: Path, kind: str
) -> None:
    """Files added to a checkout are ignored, changed ones are refused."""
    folder, evil = checkout(repository.url, commit, LOOPBACK), tmp_path / "evil"
    found = published(repository, commit)
    if kind == "compiled":
        cache = folder / "pkg" / "__pycache__" / f"lenses.{sys.implementation.cache_tag}.pyc"
        cache.parent.mkdir()
        cache.write_bytes(compiled(evil))
        found.load(repository=repository.url, commit=commit)
        assert mark.exists()
    else:
        file = folder / "pkg" / "words.py"
        file.write_text(f"open({str(evil)!r}, 'w').close()\n") if kind == "changed" else file.unlink()
        with pytest.raises(LensError):
            found.load(repository=repository.url, commit=commit)
        assert not mark.exists()
    assert not evil.exists()


def test_a_folder_that_an_older_version_checked_out_is_not_used(
    repository: Repository, commit: str, mark: Path
) -> None:
    """It may hold anything."""
    place = checkout(repository.url, commit, LOOPBACK).parent
    shutil.rmtree(place)
    (place / "pkg").mkdir(parents=True)
    (place / "pkg" / "lenses.py").write_text("raise SystemExit")
    published(repository, commit).load(repository=repository.url, commit=commit)
    assert mark.exists()


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (b"# coding: utf-7\n# +AAo-raise SystemExit\n", "utf-7"),
        (b"# coding: unicode_escape\n# \\u000araise SystemExit\n", "unicode_escape"),
        (b"# coding: latin-1\nx = '\xe4'\n", "UTF-8"),
        (b"x = '\xff'\n", "UTF-8"),
        (b"# nothing \rraise SystemExit\n", "line 1"),
        ("x = 1\n# \u202e nothing\n".encode(), "line 2"),
        ("if 'user\u2066' == 1: pass\n".encode(), "line 1"),
        (b"# \x1b[2K\n", "line 1"),
        (b"x = 1 # \x00\n", "line 1"),
    ],
)
def test_source_that_does_not_show_what_it_does_is_refused(
    repository: Repository, commit: str, mark: Path, source: bytes, words: str
) -> None:
    """Other encodings, lines that hide behind a carriage return, text in another order."""
    commit = repository.commit({"pkg/words.py": source + b"\ndef shout(text):\n    return text.upper()\n"})
    with pytest.raises(LensError, match=words):
        published(repository, commit).load(repository=repository.url, commit=commit)
    assert not mark.exists()


@pytest.mark.parametrize("name", ["../evil.py", ".git/config", ".GIT/config", "a/../../evil.py", "."])
def test_paths_out_of_the_folder_are_refused(name: str) -> None:
    """Git refuses to make such trees; a server doesn't have to."""
    listing = b"100644 blob " + b"a" * 40 + b"       1\t" + name.encode() + b"\0"
    with pytest.raises(LensError, match="name"):
        checkout_module._entries(listing, where="x")
    twice = b"100644 blob " + b"a" * 40 + b"       1\tlens.py\0"
    with pytest.raises(LensError, match="two files"):
        checkout_module._entries(twice * 2, where="x")
    linked = twice.replace(b"100644", b"120000")
    assert checkout_module._entries(linked, where="x") == []


def test_a_commit_of_very_many_files_is_given_up(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before they are written; the sizes are those of the unpacked files."""
    many = repository.commit({f"{number}.txt": "same" for number in range(30)})
    monkeypatch.setattr(checkout_module, "MAX_FILES", 20)
    with pytest.raises(LensError, match="more than 20 files"):
        checkout(repository.url, many, LOOPBACK)
    monkeypatch.setattr(checkout_module, "MAX_FILES", 100)
    bomb = repository.commit({f"{number}.txt": bytes(400_000) for number in range(30)})
    monkeypatch.setattr(checkout_module, "MAX_BYTES", 10_000_000)
    with pytest.raises(LensError, match="more than 10,000,000 bytes"):
        checkout(repository.url, bomb, LOOPBACK)
    assert list(Path(os.environ["CATALOG_CACHE"], "lenses").iterdir()) == []


@pytest.mark.parametrize(
    "url",
    ["ext::sh -c touch% /tmp/x", "--upload-pack=touch /tmp/x", "file:///etc", "/etc", "git://host.example/x",
     "ssh://host.example/x", "git@host.example:x", "https://user:secret@host.example/x", "https://host.example/x y",
     "https://", "https://host.example/\n", "ftp://host.example", "http::https://host.example", "https://h\\x/y",
     "at://did:plc:x/sh.tangled.repo/y"],
)  # fmt: skip
def test_an_address_of_another_kind_is_refused(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before git is started; no secret of it is repeated but what the record says to everybody."""
    monkeypatch.setenv("CATALOG_CACHE", str(tmp_path))
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("git was started"))
    with pytest.raises(LensError):
        checkout(url, "a" * 40, LOOPBACK)
    assert list(tmp_path.iterdir()) == []
    assert repository_url("https://host.example/x.git", LOOPBACK) == "https://host.example/x.git"


def test_addresses_are_guarded(repository: Repository, commit: str) -> None:
    """This machine is not asked unless the settings allow it, and git goes nowhere that wasn't checked."""
    for url in (repository.url.replace("http:", "https:"), "https://10.0.0.1/x", "https://169.254.169.254/latest"):
        with pytest.raises(NetworkError):
            checkout(url, commit, NetworkSettings())
    with pytest.raises(LensError, match="not the address"):
        checkout(repository.url, commit, NetworkSettings())
    with pytest.raises(LensError, match="own machine"):
        checkout("http://host.example/x", commit, LOOPBACK)
    with pytest.raises(LensError, match="could not fetch"):
        checkout(repository.url.replace("/lenses/", "/elsewhere/lenses/"), commit, LOOPBACK)
    assert not [path for path in repository.asked if not path.startswith("/elsewhere/")]


@pytest.mark.parametrize("commit", ["main", "HEAD", "a" * 39, "A" * 40, "--help", "a" * 40 + "\n", ""])
def test_only_a_whole_commit_is_fetched(repository: Repository, commit: str) -> None:
    """A branch can move."""
    with pytest.raises(LensError, match="is no commit"):
        checkout(repository.url, commit, LOOPBACK)
    assert repository.asked == []


def test_a_commit_that_is_not_there_leaves_nothing_behind(repository: Repository, commit: str) -> None:
    """git's own words, a hint, an empty cache; the next try can do better."""
    with pytest.raises(LensError, match="git could not fetch it"):
        checkout(repository.url, "b" * 40, LOOPBACK)
    cache = checkout(repository.url, commit, LOOPBACK).parent.parent
    assert len(list(cache.iterdir())) == 1


def test_a_repository_that_is_too_large_or_too_slow_is_given_up(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An incomplete download of git is removed."""
    large = repository.commit({"large.bin": os.urandom(2_000_000).hex()})
    monkeypatch.setattr(checkout_module, "MAX_BYTES", 1_000_000)
    with pytest.raises(LensError, match="more than 1,000,000 bytes"):
        checkout(repository.url, large, LOOPBACK)
    monkeypatch.setattr(checkout_module, "MAX_BYTES", 10_000_000)
    monkeypatch.setattr(checkout_module, "MAX_SECONDS", -1.0)
    monkeypatch.setattr(checkout_module, "_POLL", 0.001)
    with pytest.raises(LensError, match="took longer"):
        checkout(repository.url, large, LOOPBACK)
    assert list(Path(os.environ["CATALOG_CACHE"], "lenses").iterdir()) == []


def test_without_git_the_error_says_so(repository: Repository, commit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what to do."""
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(LensError, match="install git"):
        checkout(repository.url, commit, LOOPBACK)


def test_a_git_that_would_pass_over_the_checked_addresses_is_refused(
    repository: Repository, commit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is asked; the newest old one, and something that is no git at all."""
    for said in ("git version 2.36.9", "hello"):
        (tmp_path / "git").write_text(f"#!/bin/sh\necho {said}\n")
        (tmp_path / "git").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        with pytest.raises(LensError, match="too old"):
            checkout(repository.url, commit, LOOPBACK)
    assert repository.asked == []


# --- references ----------------------------------------------------------------------------------------------


@pytest.fixture
def module(
    repository: Repository,
    commit: str,  # noqa: ARG001 - it makes the files
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Any]:
    """The module of the checkout, imported as its author does."""
    monkeypatch.syspath_prepend(str(repository.folder))
    import importlib

    yield importlib.import_module("pkg.lenses")
    for name in ("pkg", "pkg.lenses", "pkg.words"):
        sys.modules.pop(name, None)


def test_a_function_knows_its_place(repository: Repository, commit: str, module: Any) -> None:  # noqa: ANN401
    """File, name and commit by git; the remote as others reach it, without a user's name."""
    for remote in ("git@git.example:lab/lenses.git", "ssh://git@git.example:22/lab/lenses.git",
                   "https://me:secret@git.example/lab/lenses.git", "https://git.example/lab/lenses.git"):  # fmt: skip
        repository.git("config", "remote.origin.url", remote)
        assert code_reference(module.loud) == CodeReference(
            repository="https://git.example/lab/lenses.git", commit=commit, path="pkg/lenses.py:loud", language="python"
        )
    assert code_reference(module.decorated.getter).path == "pkg/lenses.py:decorated"
    assert code_reference(module.undecorated).path == "pkg/lenses.py:undecorated"
    given = code_reference(module.loud, repository="https://other.example/x", commit=commit[:12])
    assert (given.repository, given.commit) == ("https://other.example/x", commit)


def test_a_function_without_a_place_is_refused(repository: Repository, module: Any) -> None:  # noqa: ANN401
    """Nameless, nested, uncommitted, changed since, or in a repository that nobody else can reach."""
    with pytest.raises(LensError, match="remote"):
        code_reference(module.loud)
    repository.git("config", "remote.origin.url", "/srv/lenses.git")
    with pytest.raises(LensError, match="nothing that others can reach"):
        code_reference(module.loud)

    def nested() -> None: ...

    for function in (nested, lambda: None, print, str.upper):
        with pytest.raises(LensError, match="no function that can be found"):
            code_reference(function)
    url = "https://git.example/x"
    with pytest.raises(LensError, match="no place in a git repository"):
        code_reference(module.loud, repository=url, commit="b" * 40)
    file = Path(module.__file__)
    file.write_text(file.read_text() + "# changed\n")
    with pytest.raises(LensError, match="not as it is in commit"):
        code_reference(module.loud, repository=url)
    changed = repository.commit({})
    assert code_reference(module.loud, repository=url).commit == changed
    shutil.rmtree(repository.folder / ".git")
    with pytest.raises(LensError, match="no place in a git repository"):
        code_reference(module.loud, repository=url)


# --- the whole way -------------------------------------------------------------------------------------------


def test_a_published_lens_is_fetched_from_the_network_and_used_on_real_samples(
    network: Network, repository: Repository
) -> None:
    """The example manifests with this repository in them, on a real PDS; record → code → lens → samples."""
    commit = repository.commit({"lenses/digits.py": (ROOT / "examples" / "lenses" / "digits.py").read_text("utf-8")})
    account = network.account("lenses")
    tids = iter(Tid.at(1_700_000_000_000_000 + number, 1) for number in range(1000))
    drafts = load([ROOT / "examples" / "manifests"]).records(
        Did.parse(account.did), created_at=NOW, new_tid=lambda: next(tids), hash_local=False
    )
    uri = ""
    for draft in drafts:
        if draft.collection == SCHEMA:
            network.create_record(account, SCHEMA, draft.value, str(draft.uri.rkey))
        elif draft.collection == LENS and draft.name == "flatten":
            code = {"repository": repository.url, "commit": commit, "language": "python"}
            value = {
                **draft.value,
                "getterCode": {**code, "path": "lenses/digits.py:flatten"},
                "putterCode": {**code, "path": "lenses/digits.py:unflatten"},
            }
            uri = network.create_record(account, LENS, value)["uri"]
    found = fetch_lens(uri)
    assert repository.asked == []
    assert commit in str(found)
    lens = found.load(repository=repository.url, commit=commit)
    samples = Dataset(str(ROOT / "examples" / "shards" / "digits-000000.tar"), lens.source)
    report = check_lens(lens, samples, limit=20)
    assert report.ok, report.lines()
    flat = samples.as_type(lens.target, through=lens).head(2)
    assert [sample.pixels.shape for sample in flat] == [(64,), (64,)]


def test_crawler_and_site_never_come_near_lens_code() -> None:
    """No import leads there from what reads or shows records; loading a lens needs somebody who asks."""
    graph = grimp.build_graph("catalog")
    target = "catalog.lenses.fetch"
    for room in (
        "catalog.crawl",
        "catalog.store.graph",
        "catalog.store",
        "catalog.site",
        "catalog.records",
        "catalog.network",
    ):
        assert not graph.find_shortest_chains(room, target, as_packages=True), room
    assert graph.find_shortest_chains("catalog.lenses.fetch", "catalog.lenses.checkout")  # the control


def test_the_library_loads_no_lens_code_by_itself() -> None:
    """Also not when lenses of one's own are used."""
    code = "import sys, catalog; catalog.lens; catalog.Dataset; print('catalog.lenses.fetch' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"
