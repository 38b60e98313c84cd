"""The watch over secrets sees what it should: every test marked ``publishing`` fails that leaves one behind."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.secrecy import found_in, found_under, watched_run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Account, Network


@pytest.fixture
def account(network: Network) -> Account:
    return network.account("watched")


def test_passwords_and_tokens_are_found(account: Account, tmp_path: Path) -> None:
    """In bytes, in files at any depth, in a store; nothing else is taken for one."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "log.txt").write_text(f"logged in with {account.password}\n", encoding="utf-8")
    (tmp_path / "store.sqlite").write_bytes(b"\x00\x01" + account.access_jwt.encode() + b"\x00")
    (tmp_path / "fine.txt").write_text(f"{account.did} {account.handle} eyJ.eyJ.x", encoding="utf-8")
    assert list(found_under(tmp_path)) == ["a password in a/log.txt", "a token in store.sqlite"]
    assert found_in(f"Bearer {account.access_jwt}") == "a token"
    assert found_in(account.did) is None


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_what_a_process_says_is_looked_at(account: Account, stream: str) -> None:
    """Also what the test itself never looks at."""
    program = f"import os, sys; print(os.environ['SECRET'], file=sys.{stream})"
    run = watched_run(subprocess.run)
    with pytest.raises(AssertionError, match="a password in the"):
        run([sys.executable, "-c", program], env={"SECRET": account.password}, capture_output=True, check=True)
    with pytest.raises(AssertionError, match="in the arguments"):
        run([sys.executable, "-c", "0", account.password], capture_output=True, check=True)


LEAKS = """
import logging
import pytest
pytestmark = pytest.mark.publishing

def test_log(network):
    logging.getLogger("x").warning("it is %s", network.account().password)

def test_output(network):
    print(network.account().access_jwt)

def test_file(network, tmp_path):
    (tmp_path / "a.txt").write_text(network.account().password)

def test_home(network):
    from pathlib import Path
    Path.home().joinpath(".session").write_text(network.account().access_jwt)

def test_cache(network):
    from catalog.config import cache_folder
    cache_folder().mkdir(parents=True, exist_ok=True)
    (cache_folder() / "a.txt").write_text(network.account().password)

def test_quiet(network, tmp_path):
    (tmp_path / "a.txt").write_text(network.account().did)
"""


def test_a_test_that_leaves_a_secret_behind_fails(tmp_path: Path) -> None:
    """The control: five that do, in a log, in output, in a file, at home and in the cache; one that doesn't."""
    (tmp_path / "conftest.py").write_text("from tests.conftest import *\n", encoding="utf-8")
    (tmp_path / "test_leaks.py").write_text(LEAKS, encoding="utf-8")
    ran = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-rfE",  # whatever the project's own options say
            "-p",
            "no:cacheprovider",
            "--rootdir",
            ".",
            "-c",
            "pyproject.toml",
            str(tmp_path),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    failed = sorted(
        line.partition("::")[2].split()[0] for line in ran.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))
    )
    assert failed == ["test_cache", "test_file", "test_home", "test_log", "test_output"], ran.stdout
    assert "2 failed, 4 passed, 3 errors" in ran.stdout  # a file is looked at when the test is over
