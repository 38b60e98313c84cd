"""Build a site beside the existing one (``.site.catalog-8f3a…/site``), then swap the two: a failed build changes
nothing.

- Linux swaps two folders in one step (``renameat2``). Elsewhere there are two renames; a build that is killed between
  them leaves the old site in the folder beside, from where the next build restores it.
- A folder that can't be renamed (a mount point, or one in a folder that can't be written) gets the new site entry by
  entry. That is quick but not one step: the file ``index.html`` is moved last.
- Entries with a leading dot (``.git``, ``.nojekyll``) stay, as they do with MkDocs.
- The lock ends with the process, so that folders of killed builds are known, and removed by the next one.
"""

from __future__ import annotations

import ctypes
import errno
import os
import secrets
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import filelock

from catalog.errors import BuildError

_MARK: Final = ".catalog-"
_LOCK: Final = "lock"
_YOUNG: Final = 60.0
"""Seconds in which a folder without a lock may belong to a build that is starting."""
_AT_FDCWD: Final = -100
_RENAME_EXCHANGE: Final = 2


class Aside:
    """A build folder beside a site; see :func:`built_aside`."""

    def __init__(self, site: Path) -> None:
        try:
            self.target = site.resolve()  # of a link, where it leads
            self.target.parent.mkdir(parents=True, exist_ok=True)
            self._whole = not self.target.is_mount() and os.access(self.target.parent, os.W_OK)
            holder = self.target.parent if self._whole else self.target
            prefix = f".{self.target.name}{_MARK}"
            _remove_leftovers(holder, prefix, self.target)
            self._folder = holder / f"{prefix}{secrets.token_hex(6)}"
            self._folder.mkdir()
            self._lock = filelock.FileLock(self._folder / _LOCK)
            self._lock.acquire(timeout=0)
        except OSError as error:
            hint = "name another folder (site_dir), or free some space"
            raise BuildError(f"the site can't be written: {error.strerror}", where=str(site), hint=hint) from error
        self.folder = self._folder / "site"
        self.folder.mkdir()

    @property
    def at_once(self) -> bool:
        """Return whether the new site replaces the old one atomically."""
        return self._whole

    def swap(self) -> None:
        """Replace the old site by the new one. Raises :class:`BuildError`; the old site is then unchanged."""
        try:
            if self._whole:
                _swap_whole(self.folder, self.target)
            else:
                _swap_entries(self.folder, self.target)
        except OSError as error:
            raise BuildError(f"the new site can't be put in place: {error.strerror}", where=str(self.target)) from error

    def close(self) -> None:
        """Remove the folder and its contents."""
        self._lock.release()
        shutil.rmtree(self._folder, ignore_errors=True)


def is_aside(folder: Path) -> bool:
    """Return whether a folder is a build folder of :class:`Aside`."""
    return _MARK in folder.parent.name


@contextmanager
def built_aside(site: Path) -> Iterator[Aside]:
    """Yield an empty build folder; at the end of the block it replaces ``site``.

    If the block raises, ``site`` stays as it is. Raises :class:`BuildError` where nothing can be written.
    """
    aside = Aside(site)
    try:
        yield aside
        aside.swap()
    finally:
        aside.close()


def _swap_whole(new: Path, site: Path) -> None:
    if not site.exists():
        new.rename(site)
        return
    _keep_hidden(site, new)
    if not _exchanged(new, site):
        old = new.with_name("old")
        site.rename(old)
        new.rename(site)


def _keep_hidden(site: Path, new: Path) -> None:
    """Copy the entries that MkDocs never touches as links, so that the old site keeps them until it is removed."""
    for entry in site.iterdir():
        if entry.name.startswith(".") and not os.path.lexists(new / entry.name):
            if entry.is_dir() and not entry.is_symlink():
                shutil.copytree(entry, new / entry.name, symlinks=True, copy_function=_linked)
            else:
                _linked(str(entry), str(new / entry.name))


def _linked(source: str, target: str) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:  # a file system without hard links
        shutil.copy2(source, target, follow_symlinks=False)


def _swap_entries(new: Path, site: Path) -> None:
    """Exchange the entries of two folders, those without a leading dot; ``index.html`` last."""
    old = new.with_name("old")
    old.mkdir()
    names = {entry.name for entry in (*new.iterdir(), *site.iterdir()) if not entry.name.startswith(".")}
    hidden = {entry.name for entry in new.iterdir()} - names
    for name in sorted(names | hidden, key=lambda name: (name == "index.html", name)):
        if os.path.lexists(site / name):
            (site / name).rename(old / name)
        if os.path.lexists(new / name):
            (new / name).rename(site / name)


def _exchanged(one: Path, other: Path) -> bool:
    """Exchange two folders atomically, if the system can."""
    if sys.platform != "linux":
        return False
    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    if call(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP}:  # an old kernel, or a file system without it
        return False
    raise OSError(number, os.strerror(number), str(other))


def _remove_leftovers(holder: Path, prefix: str, site: Path) -> None:
    """Remove the folders of killed builds; first restore an old site that one of them had moved."""
    for folder in holder.glob(f"{prefix}*") if holder.is_dir() else ():
        lock = filelock.FileLock(folder / _LOCK)
        try:
            if not (folder / _LOCK).exists() and time.time() - folder.stat().st_mtime < _YOUNG:
                continue  # a build that begins
            lock.acquire(timeout=0)
        except (filelock.Timeout, OSError):
            continue  # a build at work
        with suppress(OSError):
            if not site.exists() and (folder / "old").is_dir():
                (folder / "old").rename(site)
        lock.release()
        shutil.rmtree(folder, ignore_errors=True)
