"""Code references: repository, commit, file and name of a function, which a lens record has instead of code."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from catalog.errors import LensError
from catalog.lenses.checkout import git
from catalog.records import CodeReference

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SSH: Final = re.compile(r"(?:ssh://)?(?:[^@/]+@)(?P<host>[A-Za-z0-9.-]+)[:/](?:[0-9]+/)?(?P<path>[^:]+)")


def code_reference(
    function: Callable[..., object], *, repository: str | None = None, commit: str | None = None
) -> CodeReference:
    """Return the reference of a function: its repository (the ``origin``), the commit (``HEAD``), file and name.

    The commit must be pushed before publishing; this isn't checked. Raises :class:`LensError` for a function without a
    name in its module, outside a git checkout, or changed since that commit.
    """
    name = _name_in_module(function)
    file = Path(inspect.getsourcefile(inspect.unwrap(function)) or "")
    where = f"{file}:{name}"
    try:
        top = Path(git("rev-parse", "--show-toplevel", cwd=file.parent))
        pinned = git("rev-parse", "--verify", f"{commit or 'HEAD'}^{{commit}}", cwd=top)
        path = file.resolve().relative_to(top.resolve()).as_posix()
        stored = git("rev-parse", "--verify", f"{pinned}:{path}", cwd=top)
        present = git("hash-object", "--path", path, "--", str(file.resolve()), cwd=top)
    except (LensError, ValueError, OSError) as error:
        what = error.what if isinstance(error, LensError) else str(error)
        hint = "a lens is published by its commit: commit the file first"
        raise LensError(f"the function has no place in a git repository ({what})", where=where, hint=hint) from None
    if stored != present:
        raise LensError(f"the file is not as it is in commit {pinned[:12]}", where=where, hint="commit it first")
    url = repository if repository is not None else _https(git("remote", "get-url", "origin", cwd=top), where)
    return CodeReference(repository=url, commit=pinned, path=f"{path}:{name}", language="python")


def _name_in_module(function: Callable[..., object]) -> str:
    """Return the name of the function in its module. Raises :class:`LensError`."""
    name = getattr(function, "__name__", type(function).__name__)
    module = sys.modules.get(getattr(function, "__module__", None) or "")
    found = getattr(module, name, None)
    decorated = (getattr(found, "getter", None), getattr(found, "put_function", None))  # a Lens, made by @lens
    same = found is function or function in decorated
    if not same or not _NAME.fullmatch(name) or not inspect.isfunction(function):
        what = f"{name!a} is no function that can be found in its module by this name"
        raise LensError(what, hint="define it at the module's top level, under a name of its own")
    return name


def _https(remote: str, where: str) -> str:
    """The public address of a remote: without a user, by https."""
    match = _SSH.fullmatch(remote) if not remote.startswith(("https:", "http:")) else None
    url = f"https://{match['host']}/{match['path']}" if match is not None else remote
    url = re.sub(r"^https://[^/@]*@", "https://", url)
    if not url.startswith("https://"):
        raise LensError(
            f"the remote {remote[:200]!a} is nothing that others can reach", where=where, hint="repository="
        )
    return url
