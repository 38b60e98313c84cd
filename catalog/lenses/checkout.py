"""Download one commit of a git repository into a folder in the cache.

- Nothing is checked out: the files are written from the commit's blobs. So no attribute, filter, hook, submodule, link
  or configuration takes effect, and each file has the bytes that the commit's id identifies.
- Compiled code is left out. ``tree`` lists the id of each file, by which its bytes are checked again before they run
  (:func:`source_of`).
- git runs without configuration of the user or the system, and over https only (http to this machine where the settings
  allow it, for tests).
- git opens its own connections, past the SSRF guard. So the host is resolved and checked first, and git gets the
  checked addresses (``http.curloptResolve``, git 2.37 and later); redirects are not followed.
- The size of the download is watched, and git is stopped when it gets too large or takes too long.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.machinery import BYTECODE_SUFFIXES, EXTENSION_SUFFIXES
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from catalog.config import cache_folder
from catalog.errors import LensError, RequestFailed
from catalog.sanitize import escaped

if TYPE_CHECKING:
    from catalog.config import NetworkSettings

MAX_BYTES: Final = 500_000_000
"""Of a repository at one commit, packed and checked out."""
MAX_FILES: Final = 100_000
MAX_SECONDS: Final = 300.0

_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_TREE: Final = "tree"
_LINE: Final = re.compile(
    rb"(?P<mode>[0-7]{6}) (?P<kind>[a-z]+) (?P<id>[0-9a-f]{40}) +(?P<size>[0-9]+|-)\t(?P<path>.+)", re.DOTALL
)
_FILE: Final = (b"100644", b"100755", b"100664")
_MAX_LISTING: Final = 50_000_000
_COMPILED: Final = tuple({*BYTECODE_SUFFIXES, *EXTENSION_SUFFIXES, ".pyc", ".pyo", ".pyd", ".so", ".dylib", ".dll"})
_POLL: Final = 0.1
_OLDEST: Final = (2, 37)
_NO_GIT: Final = "install git, and put it on the PATH"
_HARDENED: Final = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
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
    """Return the output of the user's git on the user's own checkout. Raises :class:`LensError` when it fails."""
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
    """Return the folder with the files of a commit, fetched if necessary.

    Raises :class:`LensError` (refused address, no such commit, too large, no git), or a
    :class:`~catalog.errors.NetworkError`.
    """
    url = repository_url(repository, settings)
    if not _COMMIT.fullmatch(commit):
        raise LensError(f"{commit[:80]!a} is no commit", where=url, hint="40 hexadecimal digits, lower case")
    cache = cache_folder() / "lenses"
    place = cache / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}-{commit}"
    if (place / _TREE).is_file():
        return place / "files"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix=".fetching-", ignore_cleanup_errors=True) as temporary:
            made = _fetch(url, commit, Path(temporary), settings)
            if place.is_dir() and not (place / _TREE).is_file():
                shutil.rmtree(place)  # a version before this one checked it out, with all that git does then
            try:
                made.replace(place)
            except OSError:
                if not (place / _TREE).is_file():  # or another process was faster, with the same files
                    raise
    except OSError as error:
        what = f"the cache can't be written: {error.strerror or error}"
        raise LensError(what, where=str(cache), hint="set CATALOG_CACHE to another folder") from error
    return place / "files"


def files_of(folder: Path) -> dict[str, str]:
    """Return the paths and git ids of the files in a :func:`checkout`. Raises :class:`LensError`."""
    try:
        raw = folder.with_name(_TREE).read_bytes()
    except OSError as error:
        raise LensError(f"the cache can't be read: {error.strerror or error}", where=str(folder)) from error
    return {one.path: one.id for one in _entries(raw, where=str(folder))}


def source_of(folder: Path, path: str, files: Mapping[str, str]) -> bytes:
    """Return the bytes of one file, which are those of the commit. Raises :class:`LensError`."""
    file = folder.joinpath(*path.split("/"))
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise LensError(f"the cache can't be read: {error.strerror or error}", where=str(file)) from error
    found = hashlib.sha1(b"blob %d\0" % len(raw) + raw, usedforsecurity=False).hexdigest()
    if found != files.get(path):
        hint = f"the cached copy was changed: delete {folder.parent}"
        raise LensError("the file is not as it is in the commit", where=str(file), hint=hint)
    return raw


def _check_git() -> None:
    """Raises :class:`LensError` for a git that is missing, or so old that it passes over the checked addresses."""
    said = git("version", cwd=Path.cwd())
    found = re.search(r"([0-9]{1,3})\.([0-9]{1,3})", said)
    if found is None or (int(found[1]), int(found[2])) < _OLDEST:
        raise LensError(
            f"this git is too old: {said[:80]}",
            hint="install git 2.37 or later, which connects to checked addresses only",
        )


def _fetch(url: str, commit: str, temporary: Path, settings: NetworkSettings) -> Path:
    """Fetch a commit; the folder with its ``files`` and its ``tree``."""
    _check_git()
    git_folder, home, made = temporary / "git", temporary / "home", temporary / "made"
    for folder in (git_folder, home, made / "files"):
        folder.mkdir(parents=True)
    where = f"{url} at {commit}"
    run = _Git(
        command=("git", *(part for option in (*_HARDENED, *_connection(url, settings)) for part in ("-c", option))),
        folder=git_folder,
        environment=_environment(home),
        where=where,
        deadline=time.monotonic() + MAX_SECONDS,
    )
    _run(run, ["init", "--quiet", "--bare", "--template=", "."])
    _run(run, ["fetch", "--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules", "--", url, commit])
    with tempfile.TemporaryFile(dir=git_folder) as out:
        _run(run, ["ls-tree", "-r", "-l", "-z", "--full-tree", f"{commit}^{{commit}}"], out=out)
        if out.tell() > _MAX_LISTING:
            raise LensError(f"more than {MAX_FILES:,} files", where=where)
        out.seek(0)
        listing = out.read()
    entries = _entries(listing, where=where)
    if sum(one.size for one in entries) > MAX_BYTES:
        raise LensError(f"a repository of more than {MAX_BYTES:,} bytes at this commit", where=where)
    _write(run, entries, made / "files")
    (made / _TREE).write_bytes(listing)
    return made


def _environment(home: Path) -> dict[str, str]:
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home),
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "true",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        **{ours: os.environ[theirs] for ours, theirs in (("GIT_SSL_CAINFO", "SSL_CERT_FILE"),) if theirs in os.environ},
        **{name: os.environ[name] for name in ("SYSTEMROOT", "TEMP", "TMP") if name in os.environ},
    }


class _Entry(NamedTuple):
    """A file of a commit."""

    path: str
    id: str
    size: int


def _entries(listing: bytes, *, where: str) -> list[_Entry]:
    """The plain files of a listing, but for compiled ones. Raises :class:`LensError` for paths that no git makes."""
    found: dict[str, _Entry] = {}
    for line in listing.split(b"\0")[:-1]:
        match = _LINE.fullmatch(line)
        if match is None:
            raise LensError("git lists its files in a form that isn't known", where=where)
        if match["kind"] != b"blob" or match["mode"] not in _FILE:
            continue  # a link, or a submodule
        path = os.fsdecode(match["path"])
        parts = path.split("/")
        odd = re.compile(r"[\\:]" if os.name == "nt" else r"\0")
        if any(part in {"", ".", ".."} or part.lower() == ".git" or odd.search(part) for part in parts):
            raise LensError(f"a file with the name {path[:100]!a}", where=where)
        if "__pycache__" in parts or path.lower().endswith(_COMPILED):
            continue
        if path in found or len(found) >= MAX_FILES:
            what = f"two files named {path[:100]!a}" if path in found else f"more than {MAX_FILES:,} files"
            raise LensError(what, where=where)
        found[path] = _Entry(path, match["id"].decode(), int(match["size"]))
    return list(found.values())


def _write(run: _Git, entries: Sequence[_Entry], folder: Path) -> None:
    """Write the files of a commit, as they come from its blobs."""
    with tempfile.TemporaryFile(dir=run.folder) as asked, tempfile.TemporaryFile(dir=run.folder) as blobs:
        asked.write("".join(f"{one.id}\n" for one in entries).encode())
        asked.seek(0)
        _run(run, ["cat-file", "--batch", "--buffer"], asked=asked, out=blobs)
        blobs.seek(0)
        for one in entries:
            if blobs.readline(200) != f"{one.id} blob {one.size}\n".encode():
                raise LensError(f"git lacks the file {one.path[:100]!a}", where=run.where)
            file = folder.joinpath(*PurePosixPath(one.path).parts)
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("xb") as written:
                written.write(blobs.read(one.size))
            blobs.read(1)


def _connection(url: str, settings: NetworkSettings) -> list[str]:
    """Return the options of git for the allowed protocol, and for the checked addresses of the host."""
    from httpcore import ConnectError

    from catalog.network.ssrf import checked_addresses, is_loopback_name

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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Git:
    """The command, folder and environment of git."""

    command: tuple[str, ...]
    folder: Path
    environment: dict[str, str]
    where: str
    deadline: float


def _run(run: _Git, arguments: Sequence[str], *, asked: IO[bytes] | None = None, out: IO[bytes] | None = None) -> None:
    """Run git, watching what it writes. Raises :class:`LensError`."""
    try:
        with tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(  # noqa: S603 - a list, no shell, and nothing of a record before "--"
                [*run.command, *arguments],
                cwd=run.folder,
                env=run.environment,
                stdin=subprocess.DEVNULL if asked is None else asked,
                stdout=subprocess.DEVNULL if out is None else out,
                stderr=errors,
            )
            try:
                _watch(process, run.folder, out, where=run.where, deadline=run.deadline)
            finally:
                process.kill()
                process.wait()
            errors.seek(0)
            said = _last_line(errors.read(10_000))
    except OSError as error:
        raise LensError(f"git can't be run: {error.strerror or error}", hint=_NO_GIT) from None
    if process.returncode:
        hint = "is the repository public, and the commit still in it?"
        raise LensError(f"git could not fetch it: {said or 'no reason given'}", where=run.where, hint=hint)


def _watch(
    process: subprocess.Popen[bytes], folder: Path, out: IO[bytes] | None, *, where: str, deadline: float
) -> None:
    """Wait for git, while it is neither too slow nor too large."""
    running = True
    while running:
        try:
            process.wait(_POLL)
            running = False
        except subprocess.TimeoutExpired:
            if time.monotonic() > deadline:
                raise LensError(f"git took longer than {MAX_SECONDS:.0f} s", where=where) from None
        written = 0 if out is None else os.fstat(out.fileno()).st_size
        if _size(folder) > MAX_BYTES or written > 2 * MAX_BYTES:
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
