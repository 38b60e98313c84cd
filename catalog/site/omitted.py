"""Pages and files that could not be made: each is left out alone, and reported.

A job makes one page or file. Whatever it raises ends that job only, but for a disk that is full: that
fails every job, and a build without its pages must not take the place of a whole one.
"""

from __future__ import annotations

import errno
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from jinja2 import TemplateError

from catalog.errors import BuildError, CatalogError, contained
from catalog.sanitize import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from catalog.store.graph import Node

__all__ = ["Job", "LeftOut", "anything_left_out", "killed", "no_room", "tried"]

T = TypeVar("T")

_FATAL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
"""Errors of the disk, not of one file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A page, file or search entry that could not be made. ``place`` is relative to the site's root."""

    kind: str
    place: str
    uri: str | None = None
    error: str

    def __str__(self) -> str:
        """One line, safe for a terminal."""
        about = "" if self.uri is None else f" ({one_line(self.uri)})"
        return f"{self.kind} {one_line(self.place)}{about}: {one_line(self.error)}"

    def json(self) -> dict[str, str | None]:
        """It as the status page's JSON has it."""
        return {"kind": self.kind, "page": self.place, "uri": self.uri, "error": one_line(self.error)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job(Generic[T]):
    """One page or file to be made. ``node`` is the record it is about; else ``members`` are the records it shows.

    ``make`` makes it.
    """

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
    """Do a job; return what it made, or that its page is left out.

    Raises :class:`BuildError` for what fails every job: a full disk, a mistake in a template.
    """
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
    """Report a job over which processes were killed."""
    return job.left_out("the system killed the process that made it, twice; probably for lack of memory")


def anything_left_out(site: Path) -> bool:
    """Return whether a finished site lacks pages, as the JSON of its status page has it."""
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
