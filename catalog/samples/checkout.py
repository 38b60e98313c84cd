"""One commit of somebody's git repository, as a folder in the cache.

Tricky bits
-----------
- git runs without any configuration of the user or the system, without hooks, submodules, filters and symbolic links,
  and speaks https only (http to the own machine where the settings allow it, for tests).
- git opens its connections itself, out of the guard's reach. So the host is looked up and checked before, and git is
  told the addresses that were checked (``http.curloptResolve``, git 2.37 and later); redirects are not followed.
- A commit's id is the hash of all that is in it, and git checks it: a server can't hand out anything else.
- What git fetches is watched while it grows, and it is stopped when it gets too large or takes too long.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from catalog.config import cache_folder
from catalog.errors import LensError, RequestFailed
from catalog.sanitize import escaped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from catalog.config import NetworkSettings

__all__ = ["checkout", "git", "repository_url"]

MAX_BYTES: Final = 500_000_000
"""Of a repository at one commit, packed and checked out."""
MAX_SECONDS: Final = 300.0

_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_POLL: Final = 0.1
_OLDEST: Final = (2, 37)
_NO_GIT: Final = "install git, and put it on the PATH"
_HARDENED: Final = (
    "core.hooksPath=/dev/null",
    "core.symlinks=false",
    "core.fsmonitor=false",
    "core.autocrlf=false",
    "credential.helper=",
    "fetch.recurseSubmodules=false",
    "gc.auto=0",
    "http.followRedirects=false",
    "http.proxy=",
    "maintenance.auto=false",
    "protocol.allow=never",
    "submodule.recurse=false",
)


def git(*arguments: str, cwd: Path) -> str:
    """What the user's own git says about the user's own checkout. Raises :class:`LensError` when it fails."""
    try:
        done = subprocess.run(["git", *arguments], cwd=cwd, capture_output=True, check=False)  # noqa: S603, S607
    except OSError as error:
        raise LensError(f"git can't be run: {error.strerror or error}", hint=_NO_GIT) from None
    if done.returncode:
        raise LensError(f"git {arguments[0]}: {_last_line(done.stderr) or 'failed'}", where=str(cwd))
    return done.stdout.decode("utf-8", "replace").rstrip("\n")


def repository_url(text: str, settings: NetworkSettings) -> str:
    """The URL of a repository, if it is one that is opened. Raises :class:`LensError`."""
    shown = escaped(text[:200])
    if text.startswith("at:"):
        raise LensError("repositories at at:// addresses are not opened yet", where=shown, hint="https is")
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    opened = ("https", "http") if settings.allow_loopback else ("https",)
    if not host or parts.scheme not in opened or not re.fullmatch(r"[!-~]+", text) or "\\" in text:
        raise LensError("not the address of a git repository", where=shown, hint="https://host/path")
    if "@" in parts.netloc:
        raise LensError("an address with a user's name in it", where=shown, hint="one that is public needs none")
    return text


def checkout(repository: str, commit: str, settings: NetworkSettings) -> Path:
    """The folder with the files of a commit, fetched when it isn't there yet.

    Raises :class:`LensError` (refused address, no such commit, too large, no git), or a
    :class:`~catalog.errors.NetworkError`.
    """
    url = repository_url(repository, settings)
    if not _COMMIT.fullmatch(commit):
        raise LensError(f"{commit[:80]!a} is no commit", where=url, hint="40 hexadecimal digits, lower case")
    cache = cache_folder() / "lenses"
    place = cache / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}-{commit}"
    if place.is_dir():
        return place
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix=".fetching-", ignore_cleanup_errors=True) as temporary:
            _fetch(url, commit, Path(temporary), settings)
            shutil.rmtree(Path(temporary) / "tree" / ".git")
            try:
                (Path(temporary) / "tree").replace(place)
            except OSError:
                if not place.is_dir():  # or somebody else was faster, with the same files
                    raise
    except OSError as error:
        what = f"the cache can't be written: {error.strerror or error}"
        raise LensError(what, where=str(cache), hint="set CATALOG_CACHE to another folder") from error
    return place


def _check_git() -> None:
    """Raises :class:`LensError` for a git that is missing, or so old that it passes over the checked addresses."""
    said = git("version", cwd=Path.cwd())
    found = re.search(r"([0-9]{1,3})\.([0-9]{1,3})", said)
    if found is None or (int(found[1]), int(found[2])) < _OLDEST:
        raise LensError(f"this git is too old: {said[:80]}", hint="2.37 and later can be told where to connect")


def _fetch(url: str, commit: str, temporary: Path, settings: NetworkSettings) -> None:
    _check_git()
    tree, home = temporary / "tree", temporary / "home"
    home.mkdir()
    tree.mkdir()
    options = [*_HARDENED, *_connection(url, settings)]
    command = ["git", *(part for option in options for part in ("-c", option))]
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home),
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "true",
        "GIT_LFS_SKIP_SMUDGE": "1",
        "GIT_ATTR_NOSYSTEM": "1",
        **{ours: os.environ[theirs] for ours, theirs in (("GIT_SSL_CAINFO", "SSL_CERT_FILE"),) if theirs in os.environ},
        **{name: os.environ[name] for name in ("SYSTEMROOT", "TEMP", "TMP") if name in os.environ},
    }
    deadline = time.monotonic() + MAX_SECONDS
    for arguments in (
        ["init", "--quiet", "--template=", "."],
        ["fetch", "--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules", "--", url, commit],
        ["checkout", "--quiet", "--detach", "--force", commit],
    ):
        _run([*command, *arguments], tree, environment, where=f"{url} at {commit}", deadline=deadline)
    head = (tree / ".git" / "HEAD").read_text(encoding="ascii", errors="replace").strip()
    if head != commit:
        raise LensError(f"git checked out {head[:80]}", where=f"{url} at {commit}")


def _connection(url: str, settings: NetworkSettings) -> list[str]:
    """What git may speak, and where the host is, by addresses that were checked."""
    from httpcore import ConnectError

    from catalog.network.guard import checked_addresses, is_loopback_name

    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme == "http" and not is_loopback_name(host):
        raise LensError("plain http is for the own machine only", where=url, hint="https://host/path")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        addresses = checked_addresses(
            host, port, allow_loopback=settings.allow_loopback, allowed=settings.allow_addresses
        )
    except ConnectError as error:
        raise RequestFailed(str(error), where=url) from None
    listed = ",".join(f"[{address}]" if ":" in address else address for address in addresses)
    return [f"protocol.{parts.scheme}.allow=always", f"http.curloptResolve={host}:{port}:{listed}"]


def _run(command: Sequence[str], tree: Path, environment: dict[str, str], *, where: str, deadline: float) -> None:
    """Run git, watching what it writes. Raises :class:`LensError`."""
    try:
        with tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(  # noqa: S603 - a list, no shell, and nothing of a record before "--"
                command, cwd=tree, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors
            )
            try:
                _watch(process, tree, where=where, deadline=deadline)
            finally:
                process.kill()
                process.wait()
            errors.seek(0)
            said = _last_line(errors.read(10_000))
    except OSError as error:
        raise LensError(f"git can't be run: {error.strerror or error}", hint=_NO_GIT) from None
    if process.returncode:
        hint = "is the repository public, and the commit still in it?"
        raise LensError(f"git could not fetch it: {said or 'no reason given'}", where=where, hint=hint)


def _watch(process: subprocess.Popen[bytes], tree: Path, *, where: str, deadline: float) -> None:
    """Wait for git, while it is neither too slow nor too large."""
    running = True
    while running:
        try:
            process.wait(_POLL)
            running = False
        except subprocess.TimeoutExpired:
            if time.monotonic() > deadline:
                raise LensError(f"git took longer than {MAX_SECONDS:.0f} s", where=where) from None
        if _size(tree) > MAX_BYTES:
            raise LensError(f"a repository of more than {MAX_BYTES:,} bytes at this commit", where=where)


def _size(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += Path(parent, name).lstat().st_size
            except OSError:
                continue  # git renames its files while we look
    return total


def _last_line(raw: bytes) -> str:
    lines = [line.strip() for line in raw.decode("utf-8", "replace").splitlines() if line.strip()]
    text = lines[-1][:300] if lines else ""
    return escaped(text)
