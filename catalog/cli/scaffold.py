"""Files of a new catalog repository, filled in from templates.

Existing files are only replaced with ``--force``. :func:`write_files` writes all files or none.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from errno import EEXIST
from importlib.metadata import distribution
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from catalog.config import resources
from catalog.errors import CatalogError, InvalidConfig

MANIFEST: Final = "manifests/first.yaml"
SCHEMA: Final = "manifests/manifest.schema.json"
"""Paths of the starter manifest and its JSON Schema."""

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
"""File of the repository → its template. Templates have no leading dots, so no tool applies them here."""
_OF_MANIFESTS: Final = (".github/workflows/plan.yml", ".github/workflows/publish.yml")
_DRAFTS: Final = """\
        - manifests: manifests # drafts from the files, shown before they are published
        # After publishing, replace the line above by this one: the site then shows the published records.
        # - repo: {handle}"""
_PUBLISHED: Final = """\
        - repo: {handle}
      previews: true # the first samples of each dataset, read when the site is built"""
_ABOUT_DRAFTS: Final = """ Records marked *draft* come from a manifest in
this repository and aren’t published yet."""

_TOKEN: Final = re.compile("%[A-Z_]+%")
_MARKUP: Final = frozenset("\\`*_{}[]<>&#~|$")
"""Characters of a name that Markdown interprets."""
_MAX_NAME: Final = 200
_LOCAL: Final = """\
# Installed from local files: copy the wheel into wheels/ (in the checkout: pip wheel --no-deps --wheel-dir wheels .)
--find-links wheels
atdata-catalog[site]=={version}"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaffold:
    """Values for the templates of a new repository.

    ``name`` is the site's name, ``handle`` the publishing account and ``site_url`` the site's address (each ``None`` if
    not known yet), ``requirement`` the lines of ``requirements.txt`` for this package. ``manifest`` and ``schema`` are
    the texts of the starter manifest and of the JSON Schema for manifests. ``published``: the site shows the records
    that the account has published, and there are no manifests.
    """

    name: str
    requirement: str
    manifest: str
    schema: str
    handle: str | None = None
    site_url: str | None = None
    published: bool = False

    def files(self) -> dict[str, str]:
        """Return each file's text by its path within the repository. Raises :class:`InvalidConfig`."""
        if not self.name.strip() or not self.name.isprintable() or len(self.name) > _MAX_NAME:
            raise InvalidConfig(f"must be one line of at most {_MAX_NAME} characters", where="--name")
        folder = resources.templates() / "init"
        templates = {**_FILES, "README.md": "published.md"} if self.published else _FILES
        made = {path: self._filled((folder / name).read_text(encoding="utf-8")) for path, name in templates.items()}
        if self.published:
            return {path: text for path, text in made.items() if path not in _OF_MANIFESTS}
        return {**made, MANIFEST: self.manifest, SCHEMA: self.schema}

    def _filled(self, text: str) -> str:
        address = "# site_url: https://alice.example.org/datasets/ # where it will be served; feeds and sitemap need it"
        handle = self.handle or "alice.example.org"
        requirement = self.requirement.replace("[site]", "[site,previews]") if self.published else self.requirement
        values = {
            "%NAME%": json.dumps(self.name, ensure_ascii=False),  # JSON is YAML
            "%TITLE%": "".join(f"&#{ord(char)};" if char in _MARKUP else char for char in self.name),
            "%SITE_URL%": address if self.site_url is None else f"site_url: {json.dumps(self.site_url)}",
            "%HANDLE%": self.handle or "",
            "%HANDLE_EXAMPLE%": handle,
            "%SOURCES%": (_PUBLISHED if self.published else _DRAFTS).format(handle=handle),
            "%DRAFTS%": "" if self.published else _ABOUT_DRAFTS,
            "%REQUIREMENT%": requirement,
        }
        return _TOKEN.sub(lambda token: values[token[0]], text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """The lines of ``requirements.txt`` that install this version; ``is_local`` if its wheel must be added to them."""

    lines: str
    is_local: bool = False


def installed_requirement() -> Requirement:
    """Return the requirement for the installed version of this package."""
    installed = distribution("atdata-catalog")
    return requirement_of(installed.version, installed.read_text("direct_url.json"))


def requirement_of(version: str, direct_url: str | None) -> Requirement:
    """Return the requirement for a version; ``direct_url`` is its ``direct_url.json`` (PEP 610), None from an index.

    A release may be replaced by its bugfix releases; a pre-release, a commit and an archive are pinned.
    """
    origin = {} if direct_url is None else json.loads(direct_url)
    url, vcs = origin.get("url", ""), origin.get("vcs_info")
    if url.startswith("file:"):
        return Requirement(lines=_LOCAL.format(version=version), is_local=True)
    if not url:
        specifier = "~=" if re.fullmatch(r"\d+\.\d+\.\d+", version) else "=="
        return Requirement(lines=f"atdata-catalog[site]{specifier}{version}")
    if vcs is not None:
        url = f"{vcs['vcs']}+{url}@{vcs['commit_id']}"
    folder = origin.get("subdirectory")
    return Requirement(lines=f"atdata-catalog[site] @ {url}" + (f"#subdirectory={folder}" if folder else ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """Result of :func:`write_files`: paths of new, replaced, kept and identical files."""

    new: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    same: tuple[str, ...] = ()


def write_files(folder: Path, files: Mapping[str, str], *, force: bool = False, keep: bool = False) -> Written:
    """Write all files below ``folder``, or none.

    An existing file with another text is replaced with ``force`` and left unchanged with ``keep``. Raises
    :class:`CatalogError` that names all existing files, or the file that can't be written.
    """
    blocked = [path for path in files if _blocked(folder, path)]
    found = {path: None if path in blocked else _text_of(folder / path) for path in files}
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


def _text_of(file: Path) -> str | None:
    """Return the text of a file, ``None`` if it doesn't exist, an empty text if it can't be read."""
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return ""


def _blocked(folder: Path, path: str) -> bool:
    """Return whether the path can't be replaced: a folder, a link, or a file in place of a parent folder."""
    file = folder / path
    above = [folder, *(folder / part for part in list(file.relative_to(folder).parents)[:-1])]
    try:
        return file.is_dir() or file.is_symlink() or any(place.exists() and not place.is_dir() for place in above)
    except OSError:  # the name is too long, or a parent folder isn't readable
        return True


def _write(folder: Path, files: Mapping[str, str], new: set[str]) -> None:
    """Write all files, or leave the folder as it was.

    Every text, and a copy of every file to be replaced, is on disk before the first file is replaced.
    """
    target = folder
    try:
        with ExitStack() as made:
            for target in (folder / path for path in files):
                _make_folder(target.parent, made)
            with TemporaryDirectory(prefix=".catalog-init-", dir=folder, ignore_cleanup_errors=True) as staging:
                for number, (path, text) in enumerate(files.items()):
                    target, staged = folder / path, Path(staging, f"{number}.new")
                    staged.write_text(text, encoding="utf-8", newline="\n")
                    if path not in new:
                        shutil.copy2(target, Path(staging, f"{number}.old"))
                        shutil.copymode(target, staged)
                with ExitStack() as undo:
                    for number, path in enumerate(files):
                        target = folder / path
                        if path in new and os.path.lexists(target):
                            raise FileExistsError(EEXIST, os.strerror(EEXIST))
                        Path(staging, f"{number}.new").replace(target)
                        if path in new:
                            undo.callback(target.unlink)
                        else:
                            undo.callback(Path(staging, f"{number}.old").replace, target)
                    undo.pop_all()
            made.pop_all()
    except OSError as error:
        raise CatalogError(
            f"can't be written: {error.strerror}", where=str(target), hint="nothing was written"
        ) from None


def _make_folder(folder: Path, made: ExitStack) -> None:
    """Create a folder with its parents; ``made`` removes those that were created."""
    for missing in [above for above in (*reversed(folder.parents), folder) if not above.exists()]:
        missing.mkdir()
        made.callback(_remove_folder, missing)


def _remove_folder(folder: Path) -> None:
    with suppress(OSError):  # another program has put a file into it
        folder.rmdir()
