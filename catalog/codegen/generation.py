"""One entrance for all languages: a sample type as a file, and several as a package.

A package has a module for each version of each schema, and an index. The newest version of a schema goes by its plain
name there, every version by a name with the version in it::

    digit_sample_v1_0_0.py      class DigitSample         DigitSampleV1_0_0
    digit_sample_v1_1_0.py      class DigitSample         DigitSampleV1_1_0, DigitSample
    __init__.py                 imports them under these names

File names are plain lower-case ASCII and end in the version, so they are different on every system, and none is a name
that a system or a language keeps for itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from catalog.codegen import jsonschema, pydantic, python, rust, typescript
from catalog.codegen.layout import WIDTH, Group, laid_out
from catalog.codegen.templates import rendered
from catalog.codegen.text import literal
from catalog.errors import InvalidConfig
from catalog.schema.identifiers import class_name, distinct, snake_case
from catalog.syntax.semver import semver_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from catalog.schema import SampleType

__all__ = ["LANGUAGES", "Source", "generate", "package"]

LANGUAGES: Final[tuple[str, ...]] = ("python", "pydantic", "typescript", "rust", "jsonschema")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A schema to generate code from, with the address and the version of its record where there is one."""

    sample_type: SampleType
    uri: str | None = None
    cid: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """One module of a package: ``stem`` of its file, ``name`` as it is defined there, and what the index calls it.

    ``plain`` is None for all but the newest version of a schema.
    """

    source: Source
    stem: str
    name: str
    versioned: str
    plain: str | None

    @property
    def exports(self) -> tuple[str, ...]:
        """The names in the index."""
        return (self.versioned,) if self.plain is None else (self.plain, self.versioned)


class _Generator(Protocol):
    def __call__(
        self, sample_type: SampleType, *, uri: str | None, cid: str | None, templates: Path | None, shared: bool
    ) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Language:
    """What is different from language to language; ``shared`` is the file that all modules of a package use."""

    module: _Generator
    type_name: Callable[[str], str]
    suffix: str
    shared: tuple[str, Callable[[Path | None], str]] | None = None
    index: str
    index_file: str
    more: Mapping[str, str]


def _alone(module: Callable[..., str]) -> _Generator:
    """The generator of a language whose modules share nothing."""

    def generator(
        sample_type: SampleType,
        *,
        uri: str | None,
        cid: str | None,
        templates: Path | None,
        shared: bool,  # noqa: ARG001 - there is nothing to share
    ) -> str:
        return module(sample_type, uri=uri, cid=cid, templates=templates)

    return generator


_LANGUAGES: Final[Mapping[str, _Language]] = {
    "python": _Language(
        module=_alone(python.python_module), type_name=class_name, suffix=".py",
        index="python_index", index_file="__init__.py", more={"py.typed": ""},
    ),
    "pydantic": _Language(
        module=pydantic.pydantic_module, type_name=pydantic.model_name, suffix=".py",
        shared=(f"{pydantic.SHARED}.py", lambda templates: pydantic.shared_module(templates=templates)),
        index="python_index", index_file="__init__.py", more={"py.typed": ""},
    ),
    "typescript": _Language(
        module=typescript.typescript_module, type_name=typescript.type_name, suffix=".ts",
        shared=(f"{typescript.SHARED}.ts", lambda templates: typescript.shared_module(templates=templates)),
        index="typescript_index", index_file="index.ts", more={},
    ),
    "rust": _Language(
        module=rust.rust_module, type_name=rust.struct_name, suffix=".rs",
        shared=(f"{rust.SHARED}.rs", lambda templates: rust.shared_module(templates=templates)),
        index="rust_index", index_file="mod.rs", more={},
    ),
    "jsonschema": _Language(
        module=_alone(jsonschema.json_schema_file), type_name=class_name, suffix=".json",
        index="jsonschema_index", index_file="index.json", more={},
    ),
}  # fmt: skip


def generate(
    sample_type: SampleType,
    language: str,
    *,
    uri: str | None = None,
    cid: str | None = None,
    templates: Path | None = None,
) -> str:
    """The text of one file that stands by itself: the sample type in ``language``, one of ``LANGUAGES``.

    ``uri`` and ``cid`` are those of the schema's record; the file says that it comes from there. ``templates`` is a
    folder whose files win over those in ``site_templates/codegen/``.

    Raises:
        InvalidConfig: an unknown language, or templates that can't be used.

    """
    module = _language(language).module
    return module(sample_type, uri=uri, cid=cid, templates=templates, shared=False)


def package(schemas: Sequence[Source], language: str, *, templates: Path | None = None) -> dict[str, str]:
    """File name → text: the schemas as one package, whatever order they come in.

    Raises:
        InvalidConfig: an unknown language, no schemas, or templates that can't be used.

    """
    known = _language(language)
    if not schemas:
        raise InvalidConfig("there are no schemas to make a package of")
    modules = _modules(schemas, known)
    files = {known.index_file: rendered(known.index, _index(modules), templates=templates), **known.more}
    if known.shared is not None:
        name, text = known.shared
        files[name] = text(templates)
    for module in modules:
        source = module.source
        files[module.stem + known.suffix] = known.module(
            source.sample_type, uri=source.uri, cid=source.cid, templates=templates, shared=True
        )
    return dict(sorted(files.items()))


def _language(name: str) -> _Language:
    if name not in _LANGUAGES:
        raise InvalidConfig(f"unknown language {name[:40]!r}", hint=f"known: {', '.join(LANGUAGES)}")
    return _LANGUAGES[name]


# --- the names in a package ----------------------------------------------------------------------------------


def _modules(schemas: Sequence[Source], language: _Language) -> list[Module]:
    sources = sorted(set(schemas), key=_order)
    newest = {_family(source): index for index, source in enumerate(sources)}
    names = [language.type_name(source.sample_type.name) for source in sources]
    tags = [_tag(source.sample_type.version) for source in sources]
    stems = [f"{snake_case(name) or 'sample'}_v{tag}" for name, tag in zip(names, tags, strict=True)]
    # plain names first: they are whose they can be
    exports = {f"plain {index}": names[index] for index in newest.values()}
    exports |= {f"version {index}": f"{name}V{tags[index]}" for index, name in enumerate(names)}
    files = distinct(map(str, range(len(stems))), lambda index: stems[int(index)])
    exported = distinct(exports, exports.__getitem__)
    return [
        Module(
            source=source,
            stem=files[str(index)],
            name=names[index],
            versioned=exported[f"version {index}"],
            plain=exported.get(f"plain {index}"),
        )
        for index, source in enumerate(sources)
    ]


def _order(source: Source) -> tuple[object, ...]:
    """By name and account, older versions first."""
    version = source.sample_type.version
    return (
        *_family(source),
        semver_key(version),
        version,
        source.uri or "",
        source.cid or "",
        repr(source.sample_type),
    )


def _family(source: Source) -> tuple[str, str]:
    """The versions of one schema have its name and the account in common."""
    account = "" if source.uri is None else "/".join(source.uri.split("/", 3)[:3])
    return source.sample_type.name, account


def _tag(version: str) -> str:
    """A version as part of a name: ``1.0.0-rc.1`` → ``1_0_0_rc_1``."""
    return re.sub(r"[^a-z0-9]+", "_", version.lower()).strip("_")[:40].rstrip("_") or "0"


# --- the index -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexView:
    """What the templates get: statements, and for JSON Schema the ``entries`` as JSON text."""

    modules: tuple[Module, ...]
    python_imports: tuple[str, ...]
    python_all: str
    typescript_exports: tuple[str, ...]
    rust_modules: tuple[str, ...]
    rust_uses: tuple[str, ...]
    entries: str


def _index(modules: list[Module]) -> IndexView:
    named = [(module, export) for module in modules for export in module.exports]
    return IndexView(
        modules=tuple(modules),
        python_imports=tuple(_python_import(module, export) for module, export in sorted(named, key=_naturally)),
        python_all=laid_out(
            Group("[", tuple(literal(export) for export in sorted(export for _, export in named)), "]"),
            prefix="__all__ = ",
        ),
        typescript_exports=tuple(
            typescript.export_statement(module.stem, module.name, export) for module, export in named
        ),
        rust_modules=tuple(sorted(f"pub mod {stem};" for stem in (rust.SHARED, *(module.stem for module in modules)))),
        rust_uses=tuple(_rust_use(module, export) for module, export in sorted(named, key=_by_file)),
        entries=jsonschema.index_entries(
            (module.stem, module.source.sample_type, module.source.uri, module.source.cid) for module in modules
        ),
    )


def _by_file(named: tuple[Module, str]) -> tuple[str, bool, str]:
    module, export = named
    return module.stem, export != module.name, export


def _naturally(named: tuple[Module, str]) -> tuple[list[str | int], bool, str]:
    """As imports are sorted: v1_9_0 before v1_10_0."""
    stem, is_renamed, export = _by_file(named)
    return [int(part) if part.isdigit() else part for part in re.split(r"([0-9]+)", stem)], is_renamed, export


def _python_import(module: Module, export: str) -> str:
    what = module.name if export == module.name else f"{module.name} as {export}"
    line = f"from .{module.stem} import {what}"
    return line if len(line) <= WIDTH else f"from .{module.stem} import (\n    {what},\n)"


def _rust_use(module: Module, export: str) -> str:
    renamed = "" if export == module.name else f" as {export}"
    return f"pub use {module.stem}::{module.name}{renamed};"
