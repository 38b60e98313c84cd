"""The follower's health, written to the index's folder every few seconds and read there by the servers.

Each job (index, sources) is running, waiting (for another process), restarting (it failed) or dead (no report). Errors
are reported by their class only, as their text may reveal internals.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

RUNNING: Final = "running"
WAITING: Final = "waiting"
RESTARTING: Final = "restarting"
DEAD: Final = "dead"
HEARTBEAT: Final = "following.json"
DEAD_SECONDS: Final = 20.0
"""A follower that hasn't written for so long is dead; it writes every two seconds."""
_STATES: Final = (RUNNING, WAITING, RESTARTING)
_WORKS: Final = ("index", "sources")
_MOST_BYTES: Final = 10_000


@dataclass(slots=True, kw_only=True)
class Work:
    """One kind of work. ``success`` is the Unix time of the last success, ``error`` the class of the last error."""

    state: str = RUNNING
    success: float | None = None
    restarts: int = 0
    error: str | None = None

    def failed(self, error: str) -> None:
        """Note that it ended by an error and is begun again after a pause."""
        self.state, self.error = RESTARTING, error
        self.restarts += 1

    def succeeded(self) -> None:
        """Note that it is up to date at this moment."""
        self.state, self.success = RUNNING, time.time()


@dataclass(slots=True, kw_only=True)
class Health:
    """A follower's health: ``works`` by name, and how many records the index leaves out because they fail."""

    works: dict[str, Work] = field(default_factory=dict)
    left_out: int = 0
    restarts: int = 0
    """The number of restarts after the process ended by itself."""

    def write(self, folder: Path) -> None:
        """Write the file atomically. Raises ``OSError``."""
        fresh = folder / f"{HEARTBEAT}.{os.getpid()}"
        fresh.write_text(json.dumps({"pid": os.getpid(), **asdict(self)}), encoding="ascii")
        fresh.replace(folder / HEARTBEAT)

    @property
    def state(self) -> str:
        """The worst state of any work."""
        states = [work.state for work in self.works.values()]
        return next((state for state in (DEAD, RESTARTING, WAITING) if state in states), RUNNING)


def heartbeat_age(index: Path) -> float | None:
    """Return the seconds since the follower of this index last wrote; None where there never was one."""
    try:
        return max(0.0, time.time() - (index / HEARTBEAT).stat().st_mtime)
    except OSError:
        return None


def read_health(index: Path) -> Health | None:
    """Return the health of this index's follower; None where there never was one. One that is silent is dead."""
    age = heartbeat_age(index)
    if age is None:
        return None
    try:
        with (index / HEARTBEAT).open("rb") as file:
            found = _read(json.loads(file.read(_MOST_BYTES)))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        found = Health(works={"index": Work(state=DEAD)})
    if age > DEAD_SECONDS:
        for work in found.works.values():
            work.state = DEAD
    return found


def _class_name(text: object) -> str:
    """Return the name of a class; no other text is accepted."""
    name = str(text)
    return name[:50] if name.isascii() and name.isidentifier() else "Exception"


def _read(status: dict[str, Any]) -> Health:
    works = {
        name: Work(
            state=work["state"] if work["state"] in _STATES else DEAD,
            success=None if work["success"] is None else float(work["success"]),
            restarts=int(work["restarts"]),
            error=None if work["error"] is None else _class_name(work["error"]),
        )
        for name, work in status["works"].items()
        if name in _WORKS
    }
    return Health(works=works, left_out=int(status["left_out"]), restarts=int(status["restarts"]))
