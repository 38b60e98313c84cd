"""Each command and code block of the guides runs in a fresh folder on the test network and prints what is shown.

- ``console``: the lines with ``$`` are run in order. A command that ends in ``&`` runs until the end of the guide;
  ``export`` and ``cd`` apply to the following commands. The lines below a command are its output.
- ``python``: the blocks of a guide run in order in one process. A ``text`` block below is their output.
- A block with ``title="path"`` is written to that file.

Names of accounts and hosts and the record key of the dataset are replaced by those of the test network. In the output,
values that differ from run to run (:data:`VARYING`) and the width of columns are not compared.

``UPDATE_GUIDES=1 pytest tests/project/test_guides.py`` writes the output of this run into the guides where it differs.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import forked
from tests.conftest import https_servers
from tests.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Network

FOLDER = ROOT / "docs" / "guides"
GUIDES = sorted(FOLDER.glob("*.md"))
README = ROOT / "README.md"
READERS = {"browse-and-load", "verify", "appview", "network-scale", "README"}
"""Guides that only read a published dataset: they share the one that ``publish.md`` has published."""

IMPORTS = {"images", "arrays", "tables"}
"""Guides whose folder ``shards`` is what the web server has."""

VARYING = {
    r"^INFO +- +Catalog: [\w ]+ took [\d.]+ s\n": "",  # stages that took long enough to be reported
    r"did:plc:[a-z2-7]{24}": "did:plc:DID",
    r"\bbaf[a-z2-7]{56}\b": "CID",
    r"\b[0-9a-f]{64}\b": "SHA256",
    r"(?<=\.site\.catalog-)[0-9a-f]{12}": "HEX",
    r"\b(?=[a-z]*[2-7])[2-7a-j][2-7a-z]{12}\b": "TID",
    r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?(?:\.\d+)?(?:Z| UTC)?)?": "DATE",
    r"\b(?:localhost|127\.0\.0\.1):\d+": "HOST",
    r"(?<![\d.,])[\d.,]*\d (?:s|ms|B|kB|MB|GB)\b": "QUANTITY",
    r"(?<![\d.])\d+\.\d+(?![\d.])": "DECIMAL",
    r"\b(?:car|tree|proofs) \d+$": "METHOD",
    r"in \d+ files$": "in N files",
    r"[ \t]+": " ",
}
"""Pattern of a value that differs from run to run: its placeholder. Applied in this order to both texts."""

BLOCK = re.compile(
    r"^```(?P<language>\w+)(?: title=\"(?P<path>[^\"]+)\")?\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
CONSOLE = re.compile(r"^\$ (?P<command>.*)\n(?P<output>(?:(?!\$ ).*\n)*)", re.MULTILINE)
TABLE = re.compile(r"^source .*\n(?:(?: {2})?[\w.:/-]+ {2,}\d.*\n)+", re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)(#[^)\s]+)?\)")
CODE = re.compile(r"`[^`\n]*`")
RKEY = "3jzfcijpj2z2a"  # of the dataset, as the guides write it
END = "--- end of a block ---"
RUNNER = f"""
import json, sys
names = sys.modules["__main__"].__dict__
for line in sys.stdin:
    exec(compile(json.loads(line), "guide", "exec"), names)
    print({END!r}, flush=True)
"""


@dataclass(slots=True, kw_only=True)
class Run:
    """One guide's folder, with what it has set and started."""

    root: Path
    folder: Path
    environment: dict[str, str]
    replaced: dict[str, str]
    stack: ExitStack
    commands: Path
    """A folder with a ``catalog`` that starts fast."""
    python: subprocess.Popen[str] | None = None
    updating: bool = False
    """Collect outputs that differ instead of failing."""
    printed: str = ""
    """The output of the latest ``python`` block."""
    text: str = ""
    updates: list[tuple[int, int, str]] = field(default_factory=list)
    """The place in ``text`` of each output that differs, and its replacement."""

    def guide(self, path: Path) -> None:
        """Run all blocks of a guide."""
        self.text = path.read_text(encoding="utf-8")
        for written, real in self.replaced.items():
            self.text = self.text.replace(written, real)
        for block in BLOCK.finditer(self.text):
            if block["path"] is not None:
                target = self.folder / block["path"]
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(block["text"], encoding="utf-8")
            elif block["language"] == "console":
                self._console(block)
            elif block["language"] == "python":
                self.printed = self._run_python(block["text"])
                if path != README:
                    self._compare_python(block)
            elif block["language"] != "text":
                pytest.fail(f"{path.name}: a block that nothing runs: {block[0][:80]}")

    def _console(self, block: re.Match[str]) -> None:
        commands = list(CONSOLE.finditer(self.text, *block.span("text")))
        assert commands, block[0]
        for found in commands:
            command = found["command"]
            if command.startswith("export "):
                name, _, value = command.removeprefix("export ").partition("=")
                self.environment[name] = value
            elif command.startswith("cd "):
                self.folder /= command.removeprefix("cd ")
            elif command.endswith(" &"):
                self._start(command.removesuffix(" &"))
            else:
                self._compare(command, self._run_command(command), found.span("output"))

    def _run_command(self, command: str) -> str:
        ran = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env={**self.environment, "PATH": f"{self.commands}{os.pathsep}{self.environment['PATH']}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,  # in the order that a terminal shows
            text=True,
            timeout=180,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert ran.returncode == 0, f"$ {command}\n{ran.stdout}"
        return ran.stdout

    def _compare_python(self, block: re.Match[str]) -> None:
        shown = BLOCK.match(self.text, block.end() + 2)
        if shown is not None and shown["language"] == "text":
            self._compare(block["text"], self.printed, shown.span("text"))
        elif self.printed:
            assert self.updating, f"{block['text']}\nprinted\n{self.printed}\nbut the guide shows no output"
            self.updates.append((block.end(), block.end(), f"\n\n```text\n{self.printed}```"))

    def _compare(self, source: str, printed: str, place: tuple[int, int]) -> None:
        printed = printed.replace(str(self.root), "/home/alice")
        expected = self.text[slice(*place)]
        if comparable(printed) != comparable(expected):
            assert self.updating, f"{source}\nprinted\n{printed}\nbut the guide shows\n{expected}"
            self.updates.append((*place, printed.rstrip("\n") + "\n"))

    def update(self, path: Path) -> None:
        """Write the outputs that differ into the guide."""
        text = self.text
        for start, end, output in reversed(self.updates):
            shown = re.sub(r"did:plc:[a-z2-7]{24}", "did:plc:ewvi7nxzyoun6zhxrhs64oiz", output)
            text = text[:start] + shown + text[end:]
        for written, real in self.replaced.items():
            text = text.replace(real, written)
        path.write_text(TABLE.sub(aligned, text), encoding="utf-8")

    def _start(self, command: str) -> None:
        log = self.stack.enter_context((self.folder / "background.log").open("wb"))
        process = subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            cwd=self.folder,
            env=self.environment,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
        )
        self.stack.callback(_ended, process)

    def _run_python(self, code: str) -> str:
        if self.python is None:
            self.python = self.stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-W", "error", "-c", RUNNER],
                    cwd=self.folder,
                    env=self.environment,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                )
            )
        assert self.python.stdin is not None
        assert self.python.stdout is not None
        self.python.stdin.write(json.dumps(code) + "\n")
        self.python.stdin.flush()
        printed: list[str] = []
        for line in self.python.stdout:
            if line.strip() == END:
                return "".join(printed)
            printed.append(line)
        pytest.fail(f"{code}\n{''.join(printed)}")


def comparable(text: str) -> list[str]:
    """The lines of an output without the values that vary; rows of a table of hosts are sorted, as ports are random."""
    for pattern, placeholder in VARYING.items():
        text = re.sub(pattern, placeholder, text, flags=re.MULTILINE)
    lines = [line.strip() for line in text.strip().splitlines()]
    runs = groupby(lines, key=lambda line: line.startswith("HOST "))
    return [line for is_host, run in runs for line in (sorted(run) if is_host else run)]


def aligned(table: re.Match[str]) -> str:
    """Return the report of a crawl with its first column as wide as the longest name."""
    rows = [re.fullmatch(r"( *\S+) *(.*?(?: s|\d\.\d)(?=  |$))(.*)", line) for line in table[0].splitlines()]
    names, numbers, methods = zip(*(row.groups() for row in rows if row is not None), strict=True)
    width, most = max(map(len, names)), max(map(len, numbers))
    cells = zip(names, numbers, methods, strict=True)
    return "".join(f"{name:<{width}}  {counts:>{most}}{method}\n" for name, counts, method in cells)


def _ended(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """An account with a server for its shards. ``folder`` has a folder for each of its guides."""

    network: Network
    did: str
    folder: Path
    environment: dict[str, str]
    replaced: dict[str, str]
    commands: Path

    def run(self, name: str, stack: ExitStack) -> Run:
        """Make a guide's folder; ``stack`` ends what the guide starts."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        if name in IMPORTS:
            (folder / "shards").symlink_to(self.folder / "publish" / "shards")
        return Run(
            root=folder, folder=folder, environment=dict(self.environment), stack=stack, commands=self.commands,
            replaced={**self.replaced, "127.0.0.1:8080": f"127.0.0.1:{_free_port()}"},
            updating=bool(os.environ.get("UPDATE_GUIDES")),
        )  # fmt: skip

    def published(self) -> dict[str, str]:
        """Return the record key of the one dataset, by the key that the guides write."""
        collection = "science.alt.dataset.entry"
        listed = self.network.get("com.atproto.repo.listRecords", {"repo": self.did, "collection": collection})
        (record,) = listed["records"]
        return {RKEY: record["uri"].rpartition("/")[2]}


@contextmanager
def _author(network: Network, folder: Path) -> Iterator[Author]:
    account = network.account("alice")
    served = folder / "publish" / "shards"
    served.mkdir(parents=True)
    home = folder / "home"
    home.mkdir()
    commands = folder / "commands"
    commands.mkdir()
    forked.write_command(commands)
    with https_servers(folder) as start:
        server = start(served)
        environment = {
            **os.environ,
            "HOME": str(home),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "CATALOG_APP_PASSWORD": account.password,
            "CATALOG_CACHE": str(home / "catalog"),
            "SSL_CERT_FILE": str(server.authority),
            "PYTHONPATH": str(ROOT),
            **{f"XDG_{name}_HOME": str(home / name) for name in ("CACHE", "CONFIG", "DATA", "STATE")},
        }
        replaced = {
            "alice.example.org": account.handle,
            "https://data.example.org": server.url,
            "0123456789abcdef0123456789abcdef01234567": "c" * 40,  # the guide's own is refused as a template's
            "https://plc.example.org": network.plc_url,
            "https://pds.example.org": network.pds_url,
            "plc.example.org": network.plc_url.removeprefix("http://"),
            "pds.example.org": network.pds_url.removeprefix("http://"),
        }
        yield Author(
            network=network, did=account.did, folder=folder, environment=environment, replaced=replaced,
            commands=commands,
        )  # fmt: skip


@pytest.fixture(scope="module")
def publisher(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Author, Run]]:
    """An author who has done what ``publish.md`` shows; and the run of that guide."""
    with _author(network, tmp_path_factory.mktemp("publisher")) as author, ExitStack() as stack:
        run = author.run("publish", stack)
        run.guide(FOLDER / "publish.md")
        yield author, run


@pytest.fixture
def make_run(network: Network, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[[str], Run]]:
    """``make_run(name)`` is a fresh folder, of an account of its own or, of one of :data:`READERS`, the publisher's."""
    with ExitStack() as stack:

        def make(name: str) -> Run:
            if name not in READERS:
                return stack.enter_context(_author(network, tmp_path)).run(name, stack)
            author, _ = request.getfixturevalue("publisher")
            run: Run = author.run(name, stack)
            run.replaced |= author.published()
            return run

        yield make


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.stem)
def test_a_guide_runs_and_prints_what_it_shows(
    path: Path, make_run: Callable[[str], Run], request: pytest.FixtureRequest
) -> None:
    """Every block, in order."""
    if path.stem == "publish":
        _, run = request.getfixturevalue("publisher")
    else:
        run = make_run(path.stem)
        run.guide(path)
    if run.updates:
        run.update(path)


def test_the_program_of_the_readme_prints_what_its_comments_say(make_run: Callable[[str], Run]) -> None:
    """The README has the output of its program as a comment behind each ``print``."""
    run = make_run(README.stem)
    run.guide(README)
    shown = re.findall(r"print\(.*\)  # (.*)$", README.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert shown
    assert run.printed.splitlines() == shown


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.stem)
def test_the_links_of_a_guide_resolve(path: Path) -> None:
    """Every guide also begins with its result: "At the end …"."""
    text = path.read_text(encoding="utf-8")
    assert "At the end" in text.partition("\n\n")[2].partition("\n\n")[0]
    for target, _ in LINK.findall(CODE.sub("", BLOCK.sub("", text))):
        assert (path.parent / target).is_file(), target


def test_a_guide_that_is_wrong_fails(make_run: Callable[[str], Run], tmp_path: Path) -> None:
    """A command that fails, other output, missing output, code that raises, a block of an unknown language."""
    run = make_run("wrong")
    run.updating = False
    guide = tmp_path / "wrong.md"
    wrong = (
        "```console\n$ false\n```", "```console\n$ echo one\ntwo\n```", "```console\n$ echo one\n```",
        "```console\n$ true\none\n```", "```python\nprint(1)\n```\n\n```text\n2\n```", "```python\nprint(1)\n```",
        "```python\npass\n```\n\n```text\n2\n```", "```python\n1 / 0\n```", "```rust\n```",
    )  # fmt: skip
    for text in wrong:
        guide.write_text(text + "\n", encoding="utf-8")
        with pytest.raises((AssertionError, pytest.fail.Exception)):
            run.guide(guide)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("did:plc:ewvi7nxzyoun6zhxrhs64oiz", "did:plc:3qy5xhdoaadebx3nwvj3m3i5"),
        ("rev 3n3k55ecy666o", "rev 3jzfcijpj2z2a"),
        ("built in 3.01 seconds, 2.8 MB", "built in 2.99 seconds, 2.9 MB"),
        ("a\nINFO    -  Catalog: pages took 0.5 s\nb", "a\nb"),
        ("localhost:38139  1\nlocalhost:44287  2", "localhost:38139  2\nlocalhost:44287  1"),
    ],
)
def test_values_that_vary_are_not_compared(one: str, other: str) -> None:
    """Each of the two is what another run may print."""
    assert comparable(one) == comparable(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("3 records", "4 records"), ("1.0.0", "1.1.0"), ("did:web:a.example", "did:web:b.example"), ("a\nb", "b\na")],
)
def test_other_values_are_compared(one: str, other: str) -> None:
    """The placeholders hide nothing else."""
    assert comparable(one) != comparable(other)


def test_tools_of_the_guides_are_here() -> None:
    """Guides use ``curl``, and nothing else that isn't part of the package."""
    assert shutil.which("curl") is not None
