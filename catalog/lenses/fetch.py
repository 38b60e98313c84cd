"""The code of published lenses: displayed first, and run only on request.

::

    found = fetch_lens("at://…/science.alt.dataset.lens/…")    the record; nothing is fetched or run
    print(found)                                               the location of its code
    flatten = found.load(repository="https://…", commit="…")   fetches that commit, imports it, makes a Lens

Loading a lens runs its publisher's code with the caller's rights. So the caller states repository and commit again: a
record that changes later can't make an old program run new code. Crawler and site never load lenses.

- A reference is ``file.py:function``, from the root of the repository, or ``module:function``, where the module is at
  the root or in ``src``. A function that is a decorated :class:`~catalog.lenses.lens.Lens` stands for that lens's.
- A repository becomes a package of a private name, so its modules don't collide with others; they may import each other
  relatively. Other imports must be installed.
- Its modules are loaded by :class:`_Finder` alone: the source of a ``.py`` file, UTF-8, as in the commit. No compiled
  file is read or written, and ``sys.path`` isn't searched.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import io
import re
import sys
import tokenize
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from catalog.errors import LensError
from catalog.lenses.checkout import checkout, files_of, source_of
from catalog.lenses.lens import Lens
from catalog.samples.clients import open_reader
from catalog.samples.packable import sample_type
from catalog.sanitize import escaped
from catalog.schema import check_fit

if TYPE_CHECKING:
    import types

    from catalog.atproto.sdk import SdkClient
    from catalog.config import NetworkSettings
    from catalog.records import CodeReference
    from catalog.samples.clients import CatalogClient
    from catalog.schema import SampleType
    from catalog.syntax import AtUri

_PRIVATE: Final = "_catalog_lens_"
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HIDDEN: Final = re.compile(r"[\x00-\x08\x0b\r\x0e-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Control characters, a carriage return alone, and those that change the order in which text is shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedLens:
    """A lens as its record describes it. Its code was neither fetched nor run."""

    uri: AtUri
    name: str
    description: str | None
    source: SampleType
    target: SampleType
    getter: CodeReference
    putter: CodeReference
    _settings: NetworkSettings

    def __str__(self) -> str:
        """A description of the lens and its code, to decide whether to run it."""
        lines = [
            f"{self.name} ({self.uri})",
            f"  from    {self.source.name} {self.source.version}",
            f"  to      {self.target.name} {self.target.version}",
            *(
                f"  {what}  {code.repository} at {code.commit}, {code.path}"
                for what, code in (("getter", self.getter), ("putter", self.putter))
            ),
        ]
        return "\n".join(map(escaped, lines))

    def load(
        self,
        *,
        repository: str | None = None,
        commit: str | None = None,
        putter_repository: str | None = None,
        putter_commit: str | None = None,
    ) -> Lens[Any, Any]:
        """Fetch the code at ``commit`` of ``repository`` and import it: this runs it, with your rights.

        Both must be those of the record, stated by the caller; the putter's only if they differ. Raises
        :class:`LensError` if they aren't the record's (it shows them), or if the code can't be fetched, isn't Python,
        fails on import, lacks the function, or is written for classes that don't fit the lens's schemas.
        """
        given = ((repository, commit), (putter_repository or repository, putter_commit or commit))
        if [(code.repository, code.commit) for code in (self.getter, self.putter)] != list(given):
            raise LensError(
                f"to run this code, name its repository and commit:\n{self}", hint="it runs with your rights"
            )
        getter, putter = (self._function(code, first=code is self.getter) for code in (self.getter, self.putter))
        lens: Lens[Any, Any] = Lens(getter, putter, name=self.name)
        for what, cls, wanted in (("source", lens.source, self.source), ("target", lens.target, self.target)):
            own = sample_type(cls)
            reasons = [str(change) for change in (*check_fit(own, wanted), *check_fit(wanted, own))]
            if reasons:
                message = f"its {what} {cls.__name__} is not what the schema {wanted.name} says: {'; '.join(reasons)}"
                raise LensError(message, where=str(self.uri))
        return lens

    def _function(self, code: CodeReference, *, first: bool) -> Callable[..., Any]:
        where = f"{code.repository} at {code.commit}, {code.path}"
        if code.language not in (None, "python"):
            raise LensError(f"its code is {code.language!a}; only Python can be loaded here", where=where)
        place, _, name = code.path.rpartition(":")
        if not _NAME.fullmatch(name):
            raise LensError("it names no function", where=where, hint="lenses/digits.py:flatten")
        folder = checkout(code.repository, code.commit, self._settings)
        found = getattr(_imported(folder, place, where), name, None)
        if isinstance(found, Lens):
            found = found.getter if first else found.put_function
        if not inspect.isfunction(found):
            raise LensError(f"there is no function {name!a} in it", where=where)
        return found


def fetch_lens(
    uri: str, *, client: CatalogClient | SdkClient | None = None, settings: NetworkSettings | None = None
) -> PublishedLens:
    """Return the record of a lens and its schemas, read from their accounts' own PDSes. No code is fetched or run.

    Raises :class:`~catalog.errors.InvalidSyntax`, a :class:`~catalog.errors.NetworkError`,
    :class:`~catalog.errors.InvalidRecord`, or :class:`~catalog.errors.DataError` for the address of something else.
    """
    with open_reader(client, settings) as reader:
        found = reader.lens(uri)
        source, target = (reader.schema(schema).record for schema in (found.record.source, found.record.target))
    return PublishedLens(
        uri=found.uri,
        name=found.record.name,
        description=found.record.description,
        source=source.sample_type,
        target=target.sample_type,
        getter=found.record.getter,
        putter=found.record.putter,
        _settings=reader.settings,
    )


def _imported(folder: Path, place: str, where: str) -> types.ModuleType:
    """The module, run once for each repository and commit. Raises :class:`LensError` for what it raises."""
    repository = _FINDER.repository(folder)
    parts = _module_parts(repository, place, where)
    try:
        return importlib.import_module(".".join((repository.package, *parts)))
    except LensError as error:
        error.within(where)
        raise
    except (Exception, SystemExit) as error:
        raise LensError(f"its code can't be imported: {type(error).__name__}: {error}", where=where) from error


def _module_parts(repository: _Repository, place: str, where: str) -> tuple[str, ...]:
    """The way from the root of a repository to a module, as names. Raises :class:`LensError`."""
    if place.endswith(".py"):
        parts = tuple(place.removesuffix(".py").split("/"))
        choices = [parts]
    else:
        parts = tuple(place.split("."))
        choices = [parts, ("src", *parts)]
    plain = all(re.fullmatch(r"[A-Za-z0-9_-]+", part) for part in parts)
    if not plain:
        hint = "a file.py in the repository, or a module: names of letters, digits, _ and -"
        raise LensError("the place of its code is not a plain one", where=where, hint=hint)
    for choice in choices:
        files = repository.sources(choice)
        if len(files) > 1:
            raise LensError(f"both {files[0]} and {files[1]} are this module", where=where, hint="remove one of them")
        if files:
            return choice
    raise LensError("there is no such file in the repository", where=where)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Repository:
    """The files of a commit, and the package that they are."""

    package: str
    folder: Path
    files: Mapping[str, str]

    def sources(self, parts: tuple[str, ...]) -> list[str]:
        """The files that may be this module: that of a package comes first, as in Python."""
        base = "/".join(parts)
        return [path for path in (f"{base}/__init__.py", f"{base}.py") if path in self.files]

    def has_folder(self, parts: tuple[str, ...]) -> bool:
        prefix = f"{'/'.join(parts)}/"
        return not parts or any(path.startswith(prefix) for path in self.files)


class _Source(SourceFileLoader):
    """Runs the text of a file as the commit has it."""

    def __init__(self, fullname: str, repository: _Repository, path: str) -> None:
        super().__init__(fullname, str(repository.folder.joinpath(*path.split("/"))))
        self._repository = repository
        self._source = path

    def get_code(self, fullname: str) -> types.CodeType:  # noqa: ARG002 - a loader's own signature
        """Compile the source; a compiled file is neither looked for nor written."""
        raw = source_of(self._repository.folder, self._source, self._repository.files)
        _check_text(raw, self._source)
        code: types.CodeType = self.source_to_code(raw, self.path)
        return code


class _Finder:
    """Finds the modules of fetched repositories, and only there."""

    def __init__(self) -> None:
        self._repositories: dict[str, _Repository] = {}

    def repository(self, folder: Path) -> _Repository:
        """The repository in a folder. Raises :class:`LensError`."""
        package = _PRIVATE + hashlib.sha256(str(folder).encode()).hexdigest()[:16]
        known = self._repositories.get(package)
        if known is None:
            known = _Repository(package=package, folder=folder.resolve(), files=files_of(folder))
            self._repositories[package] = known
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        sys.meta_path.insert(0, self)  # before all others, also those that came after it
        return known

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:  # noqa: ARG002
        """Find a module; one of a repository that isn't among its files is not looked for elsewhere."""
        package, *parts = fullname.split(".")
        repository = self._repositories.get(package)
        if repository is None:
            return None
        way = tuple(parts)
        for source in repository.sources(way) if way else ():
            inside = source.endswith("/__init__.py")
            loader = _Source(fullname, repository, source)
            return spec_from_file_location(
                fullname, loader.path, loader=loader, submodule_search_locations=[] if inside else None
            )
        if not repository.has_folder(way):
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        spec = ModuleSpec(fullname, None, is_package=True)
        spec.submodule_search_locations = [str(repository.folder.joinpath(*way))]
        return spec


_FINDER: Final = _Finder()


def _check_text(raw: bytes, path: str) -> None:
    """Check that a file reads as Python runs it: no hidden characters. Raises :class:`LensError`."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(raw).readline)
        text = raw.decode("utf-8-sig")
    except (SyntaxError, UnicodeDecodeError) as error:
        raise LensError(f"it is not UTF-8: {error}", where=path) from None
    if encoding not in ("utf-8", "utf-8-sig", "ascii"):
        raise LensError(f"it is read as {encoding[:40]!a}, not as UTF-8", where=path)
    hidden = _HIDDEN.search(text.replace("\r\n", "\n"))
    if hidden is not None:
        line = text.count("\n", 0, hidden.start()) + 1
        what = f"line {line} has a character that hides or reorders code: {hidden[0]!a}"
        raise LensError(what, where=path, hint="in a string write it as an escape sequence")
