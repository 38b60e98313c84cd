"""Run a command with its child processes and measure its time, resources and output.

Memory is read from ``/proc`` while it runs. Forked processes share unmodified pages, so the sum of their resident
sizes is too large; the proportional set size (``Pss``) divides shared pages and adds up.
"""

from __future__ import annotations

import os
import re
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Ran", "run"]

_EVERY = 0.2
_SELDOM = 2.0
"""Seconds between two looks at the memory, at least and at most."""


@dataclass(slots=True, kw_only=True)
class Ran:
    """One run. Bytes of memory, seconds of time."""

    seconds: float = 0.0
    cpu: float = 0.0
    """User and system time, of the process and of all that it waited for."""
    peak: int = 0
    """The process alone: the most that was ever resident (``VmHWM``)."""
    together: int = 0
    """The process and its forks: the largest sum of what they held at a time (``Pss``)."""
    aside: int = 0
    """The children that are set apart: the most that was ever resident of them."""
    lines: list[tuple[float, str]] = field(default_factory=list)
    """Its output lines, with their times."""


def run(
    command: Sequence[str],
    *,
    cwd: Path,
    environment: Mapping[str, str] | None = None,
    apart: Callable[[str], bool] = lambda _: False,
) -> Ran:
    """Run it to its end; ``apart`` says of a child's command line whether it is set apart.

    Raises :class:`SystemExit` with what it said, where it fails.
    """
    found, over = Ran(), threading.Event()
    begun = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=cwd, env={**os.environ, **(environment or {})}, text=True, errors="replace",
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    watcher = threading.Thread(target=_watch, args=(process.pid, found, apart, over), daemon=True)
    watcher.start()
    assert process.stdout is not None  # noqa: S101 - it was asked for
    for line in process.stdout:
        found.lines.append((time.perf_counter() - begun, line.rstrip()))
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    found.seconds = time.perf_counter() - begun
    over.set()
    watcher.join()
    found.cpu = usage.ru_utime + usage.ru_stime
    if process.returncode != 0:
        raise SystemExit("\n".join(line for _, line in found.lines[-30:]) or f"exit code {process.returncode}")
    return found


def _watch(pid: int, found: Ran, apart: Callable[[str], bool], over: threading.Event) -> None:
    pause = _EVERY
    while not over.wait(pause):
        begun = time.perf_counter()
        ours = theirs = 0
        for process in [pid, *_below(pid)]:
            if process != pid and apart(_command(process)):
                theirs += _number(f"/proc/{process}/status", "VmHWM")
            else:
                ours += _number(f"/proc/{process}/smaps_rollup", "Pss")
        found.peak = max(found.peak, _number(f"/proc/{pid}/status", "VmHWM"))
        found.together = max(found.together, ours)
        found.aside = max(found.aside, theirs)
        # To look at a gigabyte takes the system a while; what is measured is to be slowed by no more than a twentieth.
        pause = min(_SELDOM, max(_EVERY, 20 * (time.perf_counter() - begun)))


def _below(pid: int) -> list[int]:
    """All descendants. One of them may end while we look."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(child) for task in tasks for child in (task / "children").read_text(encoding="ascii").split()]
    except OSError:
        return []
    return [process for child in children for process in (child, *_below(child))]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return ""


def _number(file: str, key: str) -> int:
    """A line of kilobytes, as bytes; 0 when the process is gone."""
    try:
        text = Path(file).read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    match = re.search(rf"^{key}:\s+(\d+) kB", text, re.MULTILINE)
    return 0 if match is None else int(match[1]) * 1024
