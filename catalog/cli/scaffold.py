"""A new catalog's repository: the files it begins with, filled in from templates.

::

    README.md  requirements.txt  .gitignore  mkdocs.yml
    docs/index.md
    manifests/first.yaml  manifests/manifest.schema.json
    .github/dependabot.yml  .github/workflows/{plan,publish,site}.yml

What is there already is never written over, unless that is asked for: :func:`write_files` writes all files or none.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from catalog.config import resources
from catalog.errors import CatalogError, InvalidConfig

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["MANIFEST", "SCHEMA", "Scaffold", "Written", "requirement", "write_files"]

MANIFEST: Final = "manifests/first.yaml"
SCHEMA: Final = "manifests/manifest.schema.json"
"""Where the first manifest and its JSON Schema lie."""

_FILES: Final = {
    "README.md": "README.md",
    "requirements.txt": "requirements.txt",
    ".gitignore": "gitignore",
    "mkdocs.yml": "mkdocs.yml",
    "docs/index.md": "docs/index.md",
    ".github/dependabot.yml": "github/dependabot.yml",
    ".github/workflows/plan.yml": "github/workflows/plan.yml",
    ".github/workflows/publish.yml": "github/workflows/publish.yml",
    ".github/workflows/site.yml": "github/workflows/site.yml",
}
"""File of the repository → its template. Templates have no leading dots: nothing on the way takes them for its own."""

_TOKEN: Final = re.compile("%[A-Z_]+%")
_MARKUP: Final = frozenset("\\`*_{}[]<>&#~|$")
"""What a name may hold that Markdown, on GitHub or here, would take for more than text."""
_MOST_OF_A_NAME: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaffold:
    """What a new repository is made from.

    ``name`` is the site's name, ``handle`` the account that will publish (``None``: not known yet), ``site_url`` where
    the site will be served from (``None``: not known yet), ``version`` that of this package. ``manifest`` and
    ``schema`` are the texts of the first manifest and of the JSON Schema for manifests.
    """

    name: str
    version: str
    manifest: str
    schema: str
    handle: str | None = None
    site_url: str | None = None

    def files(self) -> dict[str, str]:
        """Each file's path within the repository, and its text. Raises :class:`InvalidConfig`."""
        if not self.name.strip() or not self.name.isprintable() or len(self.name) > _MOST_OF_A_NAME:
            raise InvalidConfig(f"must be one line of at most {_MOST_OF_A_NAME} characters", where="--name")
        folder = resources.templates() / "init"
        made = {path: self._filled((folder / name).read_text(encoding="utf-8")) for path, name in _FILES.items()}
        return {**made, MANIFEST: self.manifest, SCHEMA: self.schema}

    def _filled(self, text: str) -> str:
        address = "# site_url: https://alice.example.org/datasets/ # where it will be served; feeds and sitemap need it"
        values = {
            "%NAME%": json.dumps(self.name, ensure_ascii=False),  # JSON is YAML
            "%TITLE%": "".join(f"&#{ord(char)};" if char in _MARKUP else char for char in self.name),
            "%SITE_URL%": address if self.site_url is None else f"site_url: {json.dumps(self.site_url)}",
            "%HANDLE%": self.handle or "",
            "%HANDLE_EXAMPLE%": self.handle or "alice.example.org",
            "%VERSION%": requirement(self.version),
        }
        return _TOKEN.sub(lambda token: values[token[0]], text)


def requirement(version: str) -> str:
    """What follows the package's name in ``requirements.txt``: ``~=1.2.3``; ``==`` for a version before a release."""
    return ("~=" if re.fullmatch(r"\d+\.\d+\.\d+", version) else "==") + version


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What :func:`write_files` did: paths that are new, that were replaced, that stay, that were like this already."""

    new: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    same: tuple[str, ...] = ()


def write_files(folder: Path, files: Mapping[str, str], *, force: bool = False, keep: bool = False) -> Written:
    """Write all of them below ``folder``, or none. A file that has the same text already is no obstacle.

    Files of other texts are replaced with ``force``, left as they are with ``keep``. Raises :class:`CatalogError` that
    names everything in the way, or what can't be written.
    """
    blocked = [path for path in files if _blocked(folder, path)]
    found = {path: None if path in blocked else _found(folder / path) for path in files}
    other = tuple(path for path, text in found.items() if text is not None and text != files[path])
    if blocked or (other and not force and not keep):
        hint = "nothing was written; --keep leaves files as they are, --force replaces them"
        names = ", ".join(path for path in files if path in blocked or path in other)
        raise CatalogError(f"in the way: {names}", where=str(folder), hint="nothing was written" if blocked else hint)
    new = tuple(path for path, text in found.items() if text is None)
    replaced = () if keep else other
    _write(folder, {path: files[path] for path in (*new, *replaced)}, set(new))
    same = tuple(path for path in files if path not in new and path not in other)
    return Written(new=new, replaced=replaced, kept=other if keep else (), same=same)


def _found(file: Path) -> str | None:
    """The text of a file; None where there is none. One that can't be read has a text that no template has."""
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return ""


def _blocked(folder: Path, path: str) -> bool:
    """Whether something is there that can't be replaced: a folder, a link, a file where a folder is needed."""
    file = folder / path
    above = [folder, *(folder / part for part in list(file.relative_to(folder).parents)[:-1])]
    try:
        return file.is_dir() or file.is_symlink() or any(place.exists() and not place.is_dir() for place in above)
    except OSError:  # a name that is too long, a folder that may not be looked into
        return True


def _write(folder: Path, files: Mapping[str, str], new: set[str]) -> None:
    done: list[Path] = []
    try:
        for path, text in files.items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("x" if path in new else "w", encoding="utf-8", newline="\n") as out:
                if path in new:
                    done.append(file)
                out.write(text)
    except OSError as error:
        for file in done:
            with suppress(OSError):
                file.unlink()
        raise CatalogError(f"can't be written: {error.strerror}", where=str(error.filename or folder)) from None
