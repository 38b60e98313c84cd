"""Progress of a crawl: one updated line on a terminal, occasional lines in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from threading import Event, Thread
from typing import TYPE_CHECKING, Final, Self, TextIO

from catalog.cli.terminal import clear_line, write_line
from catalog.crawl.report import progress_line

if TYPE_CHECKING:
    from catalog.crawl.report import Tally

_TERMINAL_SECONDS: Final = 0.2
_LOG_SECONDS: Final = 15.0


class Progress:
    """Context manager that shows the counts of a crawl on standard error."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = sys.stderr if out is None else out
        self._terminal = self._out.isatty()
        self._tallies: Sequence[Tally] = ()
        self._started = time.monotonic()
        self._over = Event()
        self._thread = Thread(target=self._run, name="progress", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._clear()

    def watch(self, tallies: Sequence[Tally]) -> None:
        """Show the counts of these tallies."""
        self._tallies = tallies

    def say(self, text: str) -> None:
        """Print a permanent line."""
        self._clear()
        write_line(self._out, text)

    def _run(self) -> None:
        while not self._over.wait(_TERMINAL_SECONDS if self._terminal else _LOG_SECONDS):
            line = f"{progress_line(self._tallies)}, {time.monotonic() - self._started:.0f} s"
            write_line(self._out, line, passing=self._terminal)

    def _clear(self) -> None:
        if self._terminal:
            clear_line(self._out)
