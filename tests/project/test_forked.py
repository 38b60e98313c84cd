"""A forked process is like an ordinary one: its arguments, folder, environment, output, exit code and end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests import forked

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
import atexit, os, sys
atexit.register(print, "end")
print(sys.argv[1:], os.getcwd(), os.environ.get("TIDE"), __name__, sys.stdin.read())
print("wrong", file=sys.stderr)
sys.exit(3)
"""


def test_a_forked_process_is_like_an_ordinary_one(tmp_path: Path) -> None:
    """As a program, a script and a module."""
    (tmp_path / "tide.py").write_text(PROGRAM, encoding="utf-8")
    for arguments in (["-c", PROGRAM], ["tide.py"], ["-m", "tide"]):
        command = [sys.executable, *arguments, "a b"]
        options = {"cwd": tmp_path, "env": {**os.environ, "TIDE": "in"}, "stdin": subprocess.DEVNULL}
        expected = subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
        ran = forked.run(command, **options)  # type: ignore[arg-type]
        assert (ran.returncode, ran.stdout, ran.stderr) == (3, expected.stdout, expected.stderr)
        assert ran.stdout == f"['a b'] {tmp_path} in __main__ \nend\n"


def test_a_forked_process_raises_ends_by_a_signal_and_in_time() -> None:
    ran = forked.run([sys.executable, "-c", "1 / 0"])
    assert (ran.returncode, ran.stderr.splitlines()[-1]) == (1, "ZeroDivisionError: division by zero")
    killed = forked.run([sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGTERM)"])
    assert killed.returncode == -signal.SIGTERM
    with pytest.raises(subprocess.TimeoutExpired):
        forked.run([sys.executable, "-c", "import time; time.sleep(60)"], timeout=0.1)
    with pytest.raises(subprocess.CalledProcessError):
        forked.run([sys.executable, "-c", "raise SystemExit(1)"], check=True)


def test_variables_that_a_starting_python_reads_start_one() -> None:
    """Each has its own hash seed."""
    program = [sys.executable, "-c", "print(hash('tide'))"]
    hashes = {forked.run(program, env={**os.environ, "PYTHONHASHSEED": seed}).stdout for seed in "12"}
    assert len({*hashes, forked.run(program).stdout}) == 3


def test_the_command_of_a_shell_is_the_command(tmp_path: Path) -> None:
    """It prints the same, in order, on the shell's own output."""
    forked.write_command(tmp_path)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    ran = subprocess.run(
        ["bash", "-c", "catalog --version | cat; catalog wrong 2>&1 >/dev/null || echo $?"],
        env={**os.environ, "PATH": path}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    lines = ran.stdout.splitlines()
    assert lines[0].startswith("catalog, version ")
    assert lines[1] == "Usage: catalog [OPTIONS] COMMAND [ARGS]..."
    assert lines[-1] == "2"
