"""Work in parallel is the same as a plain loop, also when workers fail or are killed. Processes of one thread do it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="with one core there is nothing to fork for")

HEAD = """\
import json, os, signal
from catalog.errors import BuildError
from catalog.site.parallel import in_parallel
parent = os.getpid()
def die(n, bad):
    if n in bad and os.getpid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
    return n, os.getpid()
"""


def _ran(code: str) -> object:
    ran = subprocess.run(
        [sys.executable, "-c", HEAD + code], capture_output=True, text=True, timeout=120, check=False
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_what_a_killed_worker_had_is_tried_again_and_the_rest_is_done() -> None:
    found = _ran(
        "bad = {3, 417, 999}\n"
        "found = in_parallel(lambda n: die(n, bad), range(1000), lost=lambda n: (-n, 0), block=50)\n"
        "print(json.dumps([n for n, _ in found]))"
    )
    assert found == [-n if n in {3, 417, 999} else n for n in range(1000)]


def test_a_worker_that_is_killed_once_costs_nothing(tmp_path: Path) -> None:
    """As where the system needed the memory for another program."""
    mark = tmp_path / "killed"
    found = _ran(
        f"mark = {str(mark)!r}\n"
        "def work(n):\n"
        "    if n == 500 and not os.path.exists(mark):\n"
        "        open(mark, 'w').close()\n"
        "        die(n, {500})\n"
        "    return n\n"
        "print(json.dumps(in_parallel(work, range(1000))))"
    )
    assert found == list(range(1000))
    assert mark.exists()


def test_without_a_result_for_lost_things_a_killed_worker_fails_the_build() -> None:
    found = _ran(
        "try:\n    in_parallel(lambda n: die(n, {7}), range(1000))\n"
        "except BuildError as error:\n    print(json.dumps(error.hint))"
    )
    assert "memory" in str(found)


def test_an_exception_that_cannot_be_sent_comes_through_by_name() -> None:
    found = _ran(
        "class Odd(Exception):\n    def __init__(self, a, b): super().__init__(a)\n"
        "def work(n):\n    if n == 700: raise Odd('one', 'two')\n    return n\n"
        "try:\n    in_parallel(work, range(1000))\n"
        "except BuildError as error:\n    print(json.dumps(str(error)))"
    )
    assert "Odd" in str(found)


def test_results_larger_than_a_pipe_come_whole_and_in_order() -> None:
    found = _ran(
        "found = in_parallel(lambda n: bytes([n % 251]) * 300_000, range(40), block=1, worth=2)\n"
        "print(json.dumps([[len(one), one[0]] for one in found]))"
    )
    assert found == [[300_000, n] for n in range(40)]


def test_where_no_process_can_be_made_one_does_all() -> None:
    found = _ran(
        "import multiprocessing.context as context\n"
        "def refuse(self): raise OSError(11, 'Resource temporarily unavailable')\n"
        "context.ForkProcess.start = refuse\n"
        "print(json.dumps([[n, pid == parent] for n, pid in in_parallel(lambda n: die(n, ()), range(600))]))"
    )
    assert found == [[n, True] for n in range(600)]
