"""Tests of the README and the other files at the top: commands parse, paths exist, it stays short.

``test_guides.py`` runs the README's program.
"""

from __future__ import annotations

import re
import shlex

import click
import pytest

from catalog.cli import cli
from tests.paths import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    (catalog .*?)(?: +#.*)?$", README, flags=re.MULTILINE)


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_in_it_exists(line: str) -> None:
    """Each command line parses: command, options and number of arguments. Nothing is run."""
    _, *arguments = shlex.split(line)
    command: click.Command = cli
    while isinstance(command, click.Group):
        command = command.commands[arguments.pop(0)]
    with click.Context(command, info_name=command.name) as context:
        command.parse_args(context, arguments)


def test_there_are_commands_in_it() -> None:
    """The regular expression above still finds the commands."""
    assert len(COMMANDS) >= 9


def test_it_fits_on_three_screens() -> None:
    """At most 120 lines; details are in the guides."""
    assert len(README.splitlines()) <= 120


def test_it_links_every_guide() -> None:
    """A guide that the README doesn't link is hard to find."""
    guides = {f"docs/guides/{path.name}" for path in (ROOT / "docs" / "guides").glob("*.md")}
    assert guides - set(re.findall(r"\]\(([^)#]+)", README)) == set()


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"])
def test_every_file_that_is_named_is_there(name: str) -> None:
    """Targets of links and paths in backticks exist. Each row of SECURITY.md names its tests."""
    text = (ROOT / name).read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", re.sub(r"`[^`\n]*`", "", text))
    paths = re.findall(r"`((?:tests|docs|benchmarks|catalog|examples|\.github)/[\w./-]*\w)`", text)
    assert [path for path in (*links, *paths) if not (ROOT / path).exists()] == []
    if name == "SECURITY.md":
        rows = re.findall(r"^\| .+ \|$", text, re.MULTILINE)[1:]
        assert len(rows) > 10
        assert [row for row in rows if not re.search(r"`tests/\w+/test_", row)] == []
