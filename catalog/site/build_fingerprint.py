"""The fingerprint of a build: hashes of all inputs of a site, stored in the site when the build is complete.

A build with the same fingerprint as the existing site is skipped.

- It is computed before the build, so a change during the build makes the next fingerprint differ.
- The file's name has no leading dot: MkDocs keeps hidden files when it clears ``site/``, and the file must not outlive
  the site that it describes.
- Times of crawls are no input. The status page shows the last crawl that changed something or met a new error.
- With previews the day is an input: shards without a checksum, and those that couldn't be read, are read again daily.
- Extensions and plugins may include files from anywhere. ``watch:`` in ``mkdocs.yml`` lists those.
- Symbolic links are followed, as by MkDocs, but each folder is read once: two links to their own folder make 2^40
  paths. The build's own output (the site, the store's folder) is no input, also below a watched folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import stat
import time
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from catalog.config import load_config, resources
from catalog.store import Store

if TYPE_CHECKING:
    from catalog.config import CatalogSettings

MARK: Final = "catalog/fingerprint.txt"
"""The file in a complete site that holds its fingerprint."""

_GROUPS: Final = ("mkdocs.plugins", "mkdocs.themes", "markdown.extensions")
_RENDERERS: Final = ("mkdocs", "zensical", "markdown", "jinja2", "markupsafe", "pygments", "comrak", "nh3", "pillow")
"""Packages that affect the pages, in addition to those with an entry point of MkDocs."""
_NO_INPUTS: Final = {"__pycache__", ".git"}
_DAY: Final = 86_400
_LONGEST: Final = 1000
_PART: Final = re.compile(r"([a-z]+):([0-9a-f]{64})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """The hash of each kind of input. As text it is one line of ``name:hash`` pairs."""

    parts: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        """Return the line of text."""
        return " ".join(f"{name}:{digest}" for name, digest in self.parts)

    @classmethod
    def read(cls, file: Path) -> Self | None:
        """Read a file; return None if it is missing or holds no fingerprint."""
        try:
            with file.open(encoding="utf-8") as opened:
                found = [_PART.fullmatch(word) for word in opened.read(_LONGEST).split()]
        except (OSError, ValueError):
            return None
        parts = tuple((part[1], part[2]) for part in found if part is not None)
        return cls(parts=parts) if parts and len(parts) == len(found) else None

    def write(self, site: Path) -> None:
        """Write the fingerprint into a complete site."""
        file = site / MARK
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{self}\n", encoding="utf-8", newline="\n")

    def changed(self, since: Fingerprint) -> list[str]:
        """Return the names of the inputs that differ."""
        before = dict(since.parts)
        return [name for name, digest in self.parts if before.get(name) != digest]


def take_fingerprint(config_file: Path, settings: CatalogSettings, *, options: Iterable[str] = ()) -> Fingerprint:
    """Return the fingerprint of the site that a build would make now from the store as it is.

    ``options`` are the command-line options that affect the pages or the checks. Raises :class:`StoreError` and
    :class:`InvalidConfig`.
    """
    chain = config_chain(config_file)
    base = config_file.resolve().parent
    docs = [base / str(_setting(chain, "docs_dir") or "docs"), *_listed(chain, "watch", base)]
    theme = [base / str(name) for name in (_of_theme(config, "custom_dir") for _, config in chain) if name]
    hooks = _listed(chain, "hooks", base)
    outputs = {_site_folder(chain, base).resolve()}
    if settings.store.parent.name.startswith("."):  # any other folder may hold inputs, too
        outputs.add(settings.store.parent.resolve())
    parts = [
        ("records", _records(settings)),
        ("pages", _hash(_files(docs, outputs))),
        ("settings", _hash([*_configs(chain), *_files([*theme, *hooks], outputs)])),
        ("program", _hash(_program())),
        ("options", _hash(option.encode() for option in options)),
    ]
    if settings.previews is not None:
        parts.append(("previews", _hash([str(int(time.time() // _DAY)).encode()])))
    return Fingerprint(parts=tuple(parts))


def site_folder(config_file: Path) -> Path:
    """Return the output folder of a configuration."""
    return _site_folder(config_chain(config_file), config_file.resolve().parent)


def _site_folder(chain: Chain, base: Path) -> Path:
    return base / str(_setting(chain, "site_dir") or "site")


def _records(settings: CatalogSettings) -> str:
    with Store.open(settings.store) as store:
        store.apply(settings)
        shown = store.fingerprint()
        crawls = store.crawls()
    errors = [
        [source.get("source"), source.get("error"), source.get("problems")]
        for source in (crawls[0].report.get("sources", []) if crawls else [])
    ]
    return _hash([shown.encode(), json.dumps([bool(crawls), errors], default=str).encode()])


Chain = list[tuple[Path, dict[str, Any]]]


def config_chain(config_file: Path) -> Chain:
    """Return a configuration and those that it inherits, nearest first. Raises :class:`InvalidConfig`."""
    chain: Chain = []
    file = config_file.resolve()
    while file not in [seen for seen, _ in chain]:
        config = load_config(file)
        chain.append((file, config))
        parent = config.get("INHERIT")
        if not isinstance(parent, str):
            break
        file = (file.parent / parent).resolve()
    return chain


def _setting(chain: Chain, key: str) -> object:
    return next((config[key] for _, config in chain if config.get(key) is not None), None)


def _of_theme(config: dict[str, Any], key: str) -> object:
    theme = config.get("theme")
    return theme.get(key) if isinstance(theme, dict) else None


def _listed(chain: Chain, key: str, base: Path) -> list[Path]:
    names = (name for _, config in chain if isinstance(config.get(key), list) for name in config[key])
    return [base / name for name in names if isinstance(name, str)]


def _configs(chain: Chain) -> Iterator[bytes]:
    """Yield each file's bytes, and its settings with the environment variables substituted."""
    for file, config in chain:
        yield file.read_bytes()
        yield json.dumps(config, default=str).encode("utf-8", "surrogatepass")


def _files(places: Iterable[Path], outputs: AbstractSet[Path] = frozenset()) -> Iterator[bytes]:
    """Yield names and hashes of files, and of all files in folders; ``outputs`` are folders to skip."""
    for place in places:
        yield os.fsencode(place.name)
        if place.is_dir():
            yield from _folder(place, outputs)
        else:
            yield _contents(place)


def _folder(place: Path, outputs: AbstractSet[Path]) -> Iterator[bytes]:
    read: dict[Path, bytes] = {}
    for folder, below, names in os.walk(place, followlinks=True):
        path, real = os.fsencode(os.path.relpath(folder, place)), Path(folder).resolve()
        if real in read or real in outputs:
            below.clear()
            if real in read:
                yield path + b" -> " + read[real]
            continue
        read[real] = path
        below[:] = sorted(name for name in below if name not in _NO_INPUTS)
        for name in sorted(names):
            yield path + b"/" + os.fsencode(name)
            yield _contents(Path(folder, name))


def _contents(file: Path) -> bytes:
    """Return a file's hash; empty for one that can't be read, which MkDocs reports."""
    try:
        if not stat.S_ISREG(file.stat().st_mode):  # opening a pipe waits for its other end
            return b""
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").digest()
    except OSError:
        return b""


def _program() -> Iterator[bytes]:
    """Yield the files of this package, which change in a checkout, and the versions of all other packages."""
    yield from _files([Path(__file__).resolve().parent.parent, resources.templates(), resources.lexicons()])
    plugged = {point.dist.name for group in _GROUPS for point in metadata.entry_points(group=group) if point.dist}
    for name in sorted({name.lower() for name in plugged}.union(_RENDERERS)):
        yield f"{name} {_version(name)}".encode()
    yield platform.python_version().encode()


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _hash(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{len(part)} ".encode() + part)
    return digest.hexdigest()
