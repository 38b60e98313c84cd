"""The command line: what it prints, where, and with which exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from catalog.cli import cli

if TYPE_CHECKING:
    from tests.conftest import Network

EXAMPLES = Path(__file__).parents[1] / "examples" / "manifests"


def _run(*arguments: str, cwd: Path, **extra: str) -> subprocess.CompletedProcess[str]:
    hidden = ("CATALOG_HANDLE", "CATALOG_APP_PASSWORD")
    return subprocess.run(
        [sys.executable, "-m", "catalog", *arguments],
        cwd=cwd,
        env={**{key: value for key, value in os.environ.items() if key not in hidden}, **extra},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_commands_are_this_list() -> None:
    """A change here is a change of the public interface."""
    assert sorted(cli.commands) == ["build", "codegen", "compat", "crawl", "load", "publish", "serve", "validate"]


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_every_command_has_help_with_an_example(name: str) -> None:
    """What it does in one sentence, then a line to copy."""
    command = cli.commands[name]
    with click.Context(command, info_name=f"catalog {name}") as context:
        text = command.get_help(context)
    assert f"Example: catalog {name}" in text
    assert all(getattr(option, "help", None) for option in command.params if isinstance(option, click.Option))


def test_no_command_takes_a_password() -> None:
    """Arguments are seen by every process of the machine and kept in shell histories."""
    options = {opt for command in cli.commands.values() for param in command.params for opt in param.opts}
    assert "--handle" in options
    assert not [opt for opt in options if "password" in opt or "token" in opt]


def test_valid_manifests_say_what_they_hold(tmp_path: Path) -> None:
    """On standard output, also as JSON; exit code 0; nothing written."""
    plain = _run("validate", str(EXAMPLES), cwd=tmp_path)
    assert (plain.returncode, plain.stderr) == (0, "")
    assert plain.stdout.startswith("valid: ")
    answer = json.loads(_run("validate", "--json", str(EXAMPLES), cwd=tmp_path).stdout)
    assert answer["ok"] is True
    assert answer["datasets"] >= 3
    assert answer["schemas"] >= 4
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["validate", "nowhere.yaml"], 1, "nowhere.yaml"),
        (["validate"], 2, "MANIFEST"),
        (["publsih"], 2, "publsih"),
        (["build", "--nonsense"], 2, "--nonsense"),
        (["crawl"], 1, "mkdocs.yml"),
        (["build"], 1, "mkdocs.yml"),
        (["publish", str(EXAMPLES)], 2, "CATALOG_HANDLE"),
        (["publish", "--handle", "alice.example.org", str(EXAMPLES)], 2, "CATALOG_APP_PASSWORD"),
    ],
)
def test_a_mistake_gets_its_exit_code_and_words(tmp_path: Path, arguments: list[str], code: int, words: str) -> None:
    """1 for what failed, 2 for misuse; on standard error, without a traceback; nothing written."""
    ran = _run(*arguments, cwd=tmp_path)
    assert ran.returncode == code, ran.stderr
    assert words in ran.stderr
    assert "Traceback" not in ran.stderr
    assert ran.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    """The file, what is wrong, what would be right; before MkDocs has started."""
    (tmp_path / "mkdocs.yml").write_text("site_name: x\nplugins:\n  - catalog:\n      sorces: []\n", encoding="utf-8")
    ran = _run("build", cwd=tmp_path)
    assert ran.returncode == 1
    assert "sorces" in ran.stderr
    assert "sources" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_crawl_says_what_it_did_in_one_line_a_source(tmp_path: Path) -> None:
    """And as JSON on standard output, for a program."""
    (tmp_path / "mkdocs.yml").write_text(
        "site_name: x\nplugins:\n  - catalog:\n      store: s.sqlite\n      sources:\n"
        f"        - manifests: {EXAMPLES}\n",
        encoding="utf-8",
    )
    ran = _run("crawl", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "records: " in ran.stderr
    report = json.loads(_run("crawl", "--json", cwd=tmp_path).stdout)
    assert report["sources"]


def test_a_wrong_password_is_told_without_it(tmp_path: Path, network: Network) -> None:
    """The account exists, the password doesn't fit: one line, exit code 1, no secret in it."""
    account = network.account("locked")
    ran = _run(
        "publish", str(EXAMPLES), cwd=tmp_path, CATALOG_HANDLE=account.handle, CATALOG_APP_PASSWORD="not-the-secret"
    )
    assert ran.returncode == 1
    assert len(ran.stderr.strip().splitlines()) == 1
    assert "not-the-secret" not in ran.stdout + ran.stderr
