"""What the README shows is run, as it stands there."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

import click
import pytest

from catalog.cli import cli
from tests.paths import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Network

README = (ROOT / "README.md").read_text(encoding="utf-8")
PROGRAM = README.partition("### Program")[2].partition("\n## ")[0]
PYTHON = re.findall(r"```python\n(.*?)```", PROGRAM, flags=re.DOTALL)
COMMANDS = re.findall(r"^    (catalog .*?)(?: +#.*)?$", README, flags=re.MULTILINE)


def test_the_programs_run_one_after_the_other(network: Network, tmp_path: Path) -> None:
    """The accounts are the test network's; nothing else is changed. What they print is what the comments say."""
    account = network.account("alice")
    assert len(PYTHON) == 3
    code = "\n".join(PYTHON)
    assert code.count("alice.example.org") == code.count("bob.example.org") == 1
    code = code.replace("alice.example.org", account.handle).replace("bob.example.org", account.handle)
    code = code.replace('publisher="' + account.handle + '", tag="vision"', 'publisher="' + account.handle + '"')
    program = tmp_path / "program.py"
    program.write_text(code, encoding="utf-8")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("CATALOG_APP_PASSWORD", account.password)
        ran = subprocess.run(
            [sys.executable, program.name], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
    assert ran.returncode == 0, ran.stderr
    first, ok, found = ran.stdout.splitlines()
    assert [first, ok] == ["(1, 8, 8) [0]", "True"]
    assert found.startswith(f"digits at://{account.did}/")
    for line in (first, ok):
        assert f"# {line}" in code


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_in_it_exists(line: str) -> None:
    """With its options and as many arguments; what needs a network isn't run."""
    _, name, *arguments = shlex.split(line)
    command = cli.commands[name]
    existing = [text.replace("manifests/", str(ROOT / "examples" / "manifests")) for text in arguments]
    with click.Context(command, info_name=name) as context:
        command.parse_args(context, existing)


def test_there_are_commands_in_it() -> None:
    """Or the test above would say nothing."""
    assert len(COMMANDS) >= 6


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"])
def test_every_file_that_is_named_is_there(name: str) -> None:
    """In links, and what stands as code and looks like a path of this repository: each defence names its tests."""
    text = (ROOT / name).read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
    paths = re.findall(r"`((?:tests|docs|benchmarks|catalog|examples|\.github)/[\w./-]*\w)`", text)
    assert [path for path in (*links, *paths) if not (ROOT / path).exists()] == []
    if name == "SECURITY.md":
        rows = re.findall(r"^\| .+ \|$", text, re.MULTILINE)[1:]
        assert len(rows) > 10
        assert [row for row in rows if not re.search(r"`tests/\w+/test_", row)] == []
