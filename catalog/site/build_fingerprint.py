"""Whether a site would come out as it is: a fingerprint of all it is made from, kept in the site once it is whole.

::

    records:…   what the store shows, and what the last crawl couldn't read
    pages:…     docs/, and what mkdocs.yml has under watch:
    settings:…  mkdocs.yml and what it inherits, theme.custom_dir, hooks, variables named by !ENV
    program:…   this package, MkDocs, themes, plugins and extensions, Python
    options:…   those of the command that show, or that let less pass

Tricky bits
-----------
- It is taken before the build. What changes meanwhile makes the next one differ, never the other way round.
- The file's name has no leading dot: MkDocs leaves hidden files in ``site/`` when it clears it, and a mark must not
  outlive its site.
- The times of crawls don't count, although the status page tells them: it tells of the last crawl that changed
  something, or met new trouble.
- With previews a day counts: shards without a checksum, and those that couldn't be read, are asked again each day.
- Pages may take in files from anywhere, by extensions and plugins. Which, MkDocs's own ``watch:`` tells.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from catalog.config import load_config, resources
from catalog.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from catalog.config import CatalogSettings

__all__ = ["MARK", "Fingerprint", "site_folder", "take_fingerprint"]

MARK: Final = "catalog/fingerprint.txt"
"""Where a whole site holds the fingerprint of what it was made from."""

_GROUPS: Final = ("mkdocs.plugins", "mkdocs.themes", "markdown.extensions")
_RENDERERS: Final = ("mkdocs", "zensical", "markdown", "jinja2", "markupsafe", "pygments", "comrak", "nh3", "pillow")
"""Besides those that plug into MkDocs: what has a say in how pages look."""
_DAY: Final = 86_400
_LONGEST: Final = 1000
_PART: Final = re.compile(r"([a-z]+):([0-9a-f]{64})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """Hashes by what they are of. As text one line, ``name:hash`` for each with spaces between."""

    parts: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        """The line."""
        return " ".join(f"{name}:{digest}" for name, digest in self.parts)

    @classmethod
    def read(cls, file: Path) -> Self | None:
        """What a file holds; None where there is none, or something else in it."""
        try:
            with file.open(encoding="utf-8") as opened:
                found = [_PART.fullmatch(word) for word in opened.read(_LONGEST).split()]
        except (OSError, ValueError):
            return None
        parts = tuple((part[1], part[2]) for part in found if part is not None)
        return cls(parts=parts) if parts and len(parts) == len(found) else None

    def write(self, site: Path) -> None:
        """Keep it in a whole site."""
        file = site / MARK
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{self}\n", encoding="utf-8", newline="\n")

    def changed(self, since: Fingerprint) -> list[str]:
        """The names of what is different now."""
        before = dict(since.parts)
        return [name for name, digest in self.parts if before.get(name) != digest]


def take_fingerprint(config_file: Path, settings: CatalogSettings, *, way: Iterable[str] = ()) -> Fingerprint:
    """The fingerprint of a site as it would be built now from the store as it is.

    ``way`` are the command's options that make another site, or let less pass. Raises :class:`StoreError` and
    :class:`InvalidConfig`.
    """
    chain = _chain(config_file)
    base = config_file.resolve().parent
    docs = [base / str(_setting(chain, "docs_dir") or "docs"), *_listed(chain, "watch", base)]
    theme = [base / str(name) for name in (_of_theme(config, "custom_dir") for _, config in chain) if name]
    hooks = _listed(chain, "hooks", base)
    parts = [
        ("records", _records(settings)),
        ("pages", _hash(_files(docs))),
        ("settings", _hash([*_configs(chain), *_files([*theme, *hooks])])),
        ("program", _hash(_program())),
        ("options", _hash(word.encode() for word in way)),
    ]
    if settings.previews is not None:
        parts.append(("previews", _hash([str(int(time.time() // _DAY)).encode()])))
    return Fingerprint(parts=tuple(parts))


def site_folder(config_file: Path) -> Path:
    """Where the site of a configuration lies."""
    return config_file.resolve().parent / str(_setting(_chain(config_file), "site_dir") or "site")


def _records(settings: CatalogSettings) -> str:
    with Store.open(settings.store) as store:
        store.configure([str(source) for source in settings.sources], settings.deny)
        shown = store.fingerprint()
        crawls = store.crawls()
    trouble = [
        [source.get("source"), source.get("error"), source.get("problems")]
        for source in (crawls[0].report.get("sources", []) if crawls else [])
    ]
    return _hash([shown.encode(), json.dumps([bool(crawls), trouble], default=str).encode()])


Chain = list[tuple[Path, dict[str, Any]]]


def _chain(config_file: Path) -> Chain:
    """A configuration and those it inherits, nearest first. Raises :class:`InvalidConfig`."""
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
    """Each file as it stands, and as it reads with the environment's variables."""
    for file, config in chain:
        yield file.read_bytes()
        yield json.dumps(config, default=str).encode("utf-8", "surrogatepass")


def _files(places: Iterable[Path]) -> Iterator[bytes]:
    """Names and contents of files, and of all files in folders."""
    for place in places:
        yield place.name.encode("utf-8", "surrogateescape")
        if not place.is_dir():
            yield _contents(place)
            continue
        for folder, below, names in os.walk(place, followlinks=True):
            below[:] = sorted(name for name in below if name != "__pycache__")
            for name in sorted(names):
                file = Path(folder, name)
                yield str(file.relative_to(place)).encode("utf-8", "surrogateescape")
                yield _contents(file)


def _contents(file: Path) -> bytes:
    """A file's hash; what can't be read is for MkDocs to tell of."""
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").digest()
    except OSError:
        return b""


def _program() -> Iterator[bytes]:
    """The files of this package: in a checkout they change while the version stays. Versions of all else."""
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
