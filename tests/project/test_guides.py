"""Each command and code block of the guides is run, as it stands there, in a fresh folder, on the test network.

``console`` blocks: lines with ``$`` are run one after the other (``… &`` stays running until the guide's end,
``export`` and ``cd`` hold from there on); the lines after a command are what it must print, if there are any, ``…``
standing for anything. Blocks with ``title="path"`` are written there. ``python`` blocks run in order, in one process a
guide. Only names of accounts and hosts, and the record key of the dataset, are replaced by those of the test network.
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
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import HttpsServer, Network

FOLDER = ROOT / "docs" / "guides"
GUIDES = sorted(FOLDER.glob("*.md"))
READERS = {"browse-and-load", "verify", "appview", "network-scale"}
"""Guides that begin where somebody has published a dataset: by the guide for that."""

BLOCK = re.compile(
    r"^```(?P<language>\w+)(?: title=\"(?P<path>[^\"]+)\")?\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)(#[^)\s]+)?\)")
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

    folder: Path
    environment: dict[str, str]
    replaced: dict[str, str]
    stack: ExitStack
    python: subprocess.Popen[str] | None = None
    printed: list[str] = field(default_factory=list)

    def guide(self, path: Path) -> None:
        """Run all blocks of a guide."""
        text = path.read_text(encoding="utf-8")
        for written, real in self.replaced.items():
            text = text.replace(written, real)
        for block in BLOCK.finditer(text):
            if block["path"] is not None:
                target = self.folder / block["path"]
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(block["text"], encoding="utf-8")
            elif block["language"] == "console":
                self._console(block["text"])
            elif block["language"] == "python":
                self._run_python(block["text"])
            else:
                pytest.fail(f"{path.name}: a block that nothing runs: {block[0][:80]}")

    def _console(self, text: str) -> None:
        commands = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, flags=re.MULTILINE)
        assert commands, text
        for command, expected in commands:
            if command.startswith("export "):
                name, _, value = command.removeprefix("export ").partition("=")
                self.environment[name] = value
            elif command.startswith("cd "):
                self.folder /= command.removeprefix("cd ")
            elif command.endswith(" &"):
                self._start(command.removesuffix(" &"))
            else:
                self._command(command, expected)

    def _command(self, command: str, expected: str) -> None:
        ran = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,  # in the order that a terminal shows
            text=True,
            timeout=180,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        said = ran.stdout
        self.printed.append(said)
        assert ran.returncode == 0, f"$ {command}\n{said}"
        if not expected.strip():
            return
        pattern = "(?s:.*)".join(re.escape(part) for part in expected.strip().split("…"))
        assert re.fullmatch(pattern, said.strip()), f"$ {command}\n{said}\nwhere the guide says\n{expected}"

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

    def _run_python(self, code: str) -> None:
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
        said: list[str] = []
        for line in self.python.stdout:
            if line.strip() == END:
                return
            said.append(line)
        pytest.fail(f"{code}\n{''.join(said)}")


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


@pytest.fixture
def make_run(
    network: Network, https_server: Callable[[Path], HttpsServer], tmp_path: Path
) -> Iterator[Callable[[str], Run]]:
    """``make_run(name)`` is a fresh folder; all of one test have the account and the server for shards in common."""
    account = network.account("alice")
    served = tmp_path / "publish" / "shards"
    served.mkdir(parents=True)
    server = https_server(served)
    home = tmp_path / "home"
    home.mkdir()
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
        "127.0.0.1:8080": f"127.0.0.1:{_free_port()}",
    }
    with ExitStack() as stack:

        def make(name: str) -> Run:
            folder = tmp_path / name
            folder.mkdir(exist_ok=True)
            if name in READERS:
                make("publish").guide(FOLDER / "publish.md")
                collection = "science.alt.dataset.entry"
                listed = network.get("com.atproto.repo.listRecords", {"repo": account.did, "collection": collection})
                (record,) = listed["records"]
                replaced[RKEY] = record["uri"].rpartition("/")[2]
            return Run(folder=folder, environment=dict(environment), replaced=replaced, stack=stack)

        yield make


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.stem)
def test_what_a_guide_shows_works_as_it_stands(path: Path, make_run: Callable[[str], Run]) -> None:
    """Every block, in order."""
    make_run(path.stem).guide(path)


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.stem)
def test_links_of_a_guide_lead_somewhere(path: Path) -> None:
    """And every guide says first what you will have."""
    text = path.read_text(encoding="utf-8")
    assert "At the end" in text.partition("\n\n")[2].partition("\n\n")[0]
    for target, _ in LINK.findall(text):
        assert (path.parent / target).is_file(), target


def test_a_guide_that_is_wrong_fails(make_run: Callable[[str], Run], tmp_path: Path) -> None:
    """A command that fails, one that prints another thing, code that raises."""
    run = make_run("wrong")
    guide = tmp_path / "wrong.md"
    wrong = ("```console\n$ false\n```", "```console\n$ echo one\ntwo\n```", "```python\n1 / 0\n```", "```rust\n```")
    for text in wrong:
        guide.write_text(text + "\n", encoding="utf-8")
        with pytest.raises((AssertionError, pytest.fail.Exception)):
            run.guide(guide)


def test_tools_of_the_guides_are_here() -> None:
    """Guides use ``curl``, and nothing else that isn't ours."""
    assert shutil.which("curl") is not None
