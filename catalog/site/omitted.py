"""Jobs that make pages and files; a page or file that fails is omitted and reported.

An exception ends only the job that raised it. A full disk is the exception: it fails every job, and an incomplete build
must not replace a complete one.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from jinja2 import TemplateError

from catalog.errors import BuildError, CatalogError, contained
from catalog.sanitize import one_line

if TYPE_CHECKING:
    from catalog.store.graph import Node

T = TypeVar("T")

_FATAL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
"""Errors of the disk rather than of one file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A page, file or search entry that failed. ``place`` is relative to the site's root."""

    kind: str
    place: str
    uri: str | None = None
    error: str

    def __str__(self) -> str:
        """Return one line, safe for a terminal."""
        about = "" if self.uri is None else f" ({one_line(self.uri)})"
        return f"{self.kind} {one_line(self.place)}{about}: {one_line(self.error)}"

    def json(self) -> dict[str, str | None]:
        """Return the entry for the status page's JSON."""
        return {"kind": self.kind, "page": self.place, "uri": self.uri, "error": one_line(self.error)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job(Generic[T]):
    """A page or file to make by calling ``make``. ``node`` is its record; a page of many records has ``members``."""

    kind: str
    place: str
    make: Callable[[], T]
    node: Node | None = None
    members: Sequence[Node] = ()

    def left_out(self, error: str) -> LeftOut:
        """Report the job as failed."""
        return LeftOut(
            kind=self.kind, place=self.place, uri=None if self.node is None else str(self.node.uri), error=error
        )


def tried(job: Job[T]) -> T | LeftOut:
    """Run a job; return its result or failure. Raises :class:`BuildError` for what fails every job: a full disk."""
    try:
        return job.make()
    except BuildError:
        raise
    except TemplateError as error:
        raise BuildError(f"a template has a mistake: {error}", where=job.place) from error
    except Exception as error:  # one page's failure stays that page's
        if isinstance(error, OSError) and error.errno in _FATAL:
            raise no_room(error, job.place) from error
        return job.left_out(str(contained(error)))


def killed(job: Job[T]) -> LeftOut:
    """Report a job whose processes were killed."""
    return job.left_out("the process was killed twice by the system, probably for lack of memory")


def anything_left_out(site: Path) -> bool:
    """Return whether a finished site lacks pages, according to its status page's JSON."""
    try:
        return bool(json.loads((site / "status" / "index.json").read_bytes())["left_out"]["count"])
    except (OSError, ValueError, KeyError, TypeError):  # the owner's own file
        return False


def no_room(error: OSError, where: str) -> CatalogError:
    """Return the error for files that can't be read or written, such as on a full disk."""
    hint = "the old site is as it was"
    if error.errno in _FATAL:
        hint = "free some space, or build to another disk (site_dir); the old site is as it was"
    return BuildError(f"the site can't be built: {error.strerror or error}", where=error.filename or where, hint=hint)
