"""Code in any of the languages: one sample type as a file, or several as a package.

A package has a module for each version of each schema, and an index. The index exports the newest version of a schema
under its plain name, and every version under a name that includes the version (``DigitSampleV1_0_0``). File names are
lower-case ASCII and end in the version (``digit_sample_v1_0_0.py``), so they are distinct on every file system and
never reserved by an operating system or a language.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from catalog.codegen import jsonschema, pydantic, python, rust, typescript
from catalog.codegen.layout import WIDTH, Group, laid_out
from catalog.codegen.templates import rendered
from catalog.codegen.text import literal
from catalog.errors import InvalidConfig
from catalog.schema.identifiers import class_name, distinct, snake_case
from catalog.syntax.semver import semver_key

if TYPE_CHECKING:
    from catalog.schema import SampleType

LANGUAGES: Final[tuple[str, ...]] = ("python", "pydantic", "typescript", "rust", "jsonschema")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A schema to generate code from, with the URI and the CID of its record if it has one."""

    sample_type: SampleType
    uri: str | None = None
    cid: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """One module of a package: the ``stem`` of its file, the ``name`` of its type, and the exported names.

    ``plain`` is None for all but the newest version of a schema.
    """

    source: Source
    stem: str
    name: str
    versioned: str
    plain: str | None

    @property
    def exports(self) -> tuple[str, ...]:
        """The names that the index exports."""
        return (self.versioned,) if self.plain is None else (self.plain, self.versioned)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Language:
    """The settings of a language. ``shared`` is the file that all modules of a package import, if there is one."""

    module: Callable[..., str]
    type_name: Callable[[str], str]
    suffix: str
    shared: tuple[str, Callable[[Path | None, Sequence[Source]], str]] | None = None
    index: str
    index_file: str
    more: Mapping[str, str]


_LANGUAGES: Final[Mapping[str, _Language]] = {
    "python": _Language(
        module=python.python_module, type_name=class_name, suffix=".py",
        index="python_index", index_file="__init__.py", more={"py.typed": ""},
    ),
    "pydantic": _Language(
        module=pydantic.pydantic_module, type_name=pydantic.model_name, suffix=".py",
        shared=(f"{pydantic.SHARED}.py", lambda templates, _: pydantic.shared_module(templates=templates)),
        index="python_index", index_file="__init__.py", more={"py.typed": ""},
    ),
    "typescript": _Language(
        module=typescript.typescript_module, type_name=typescript.type_name, suffix=".ts",
        shared=(f"{typescript.SHARED}.ts", lambda templates, sources: typescript.shared_module(
            (source.sample_type for source in sources), templates=templates
        )),
        index="typescript_index", index_file="index.ts", more={},
    ),
    "rust": _Language(
        module=rust.rust_module, type_name=rust.struct_name, suffix=".rs",
        shared=(f"{rust.SHARED}.rs", lambda templates, _: rust.shared_module(templates=templates)),
        index="rust_index", index_file="mod.rs", more={},
    ),
    "jsonschema": _Language(
        module=jsonschema.json_schema_file, type_name=class_name, suffix=".json",
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
    """Return the sample type as a self-contained source file in ``language``, one of ``LANGUAGES``.

    ``uri`` and ``cid`` of the schema record are named in the file. ``templates`` is a folder whose files override those
    in ``site_templates/codegen/``.

    Raises:
        InvalidConfig: the language is unknown, or the templates can't be used.
        InvalidSchema: the schema is in another language than JSON Schema.

    """
    sample_type.require_fields()
    return _language(language).module(sample_type, uri=uri, cid=cid, templates=templates)


def package(schemas: Sequence[Source], language: str, *, templates: Path | None = None) -> dict[str, str]:
    """Return the files of a package of all ``schemas``, by name. The order of ``schemas`` doesn't matter.

    Raises:
        InvalidConfig: the language is unknown, there are no schemas, or the templates can't be used.
        InvalidSchema: a schema is in another language than JSON Schema.

    """
    for schema in schemas:
        schema.sample_type.require_fields()
    known = _language(language)
    if not schemas:
        raise InvalidConfig("there are no schemas to generate a package from")
    modules = _modules(schemas, known)
    files = {known.index_file: rendered(known.index, templates=templates, **_index(modules)), **known.more}
    options = {} if known.shared is None else {"shared": True}
    if known.shared is not None:
        name, text = known.shared
        files[name] = text(templates, schemas)
    for module in modules:
        source = module.source
        files[module.stem + known.suffix] = known.module(
            source.sample_type, uri=source.uri, cid=source.cid, templates=templates, **options
        )
    return dict(sorted(files.items()))


def _language(name: str) -> _Language:
    if name not in _LANGUAGES:
        raise InvalidConfig(f"unknown language {name[:40]!r}", hint=f"known: {', '.join(LANGUAGES)}")
    return _LANGUAGES[name]


def _modules(schemas: Sequence[Source], language: _Language) -> list[Module]:
    sources = sorted(set(schemas), key=_order)
    newest = {_family(source): index for index, source in enumerate(sources)}
    names = [language.type_name(source.sample_type.name) for source in sources]
    tags = [_tag(source.sample_type.version) for source in sources]
    stems = [f"{snake_case(name) or 'sample'}_v{tag}" for name, tag in zip(names, tags, strict=True)]
    # plain names first: on a collision they take precedence
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
    """The sort key: by name and account, older versions first."""
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
    """The name and the account, which all versions of a schema share."""
    account = "" if source.uri is None else "/".join(source.uri.split("/", 3)[:3])
    return source.sample_type.name, account


def _tag(version: str) -> str:
    """A version as part of a name: ``1.0.0-rc.1`` → ``1_0_0_rc_1``."""
    return re.sub(r"[^a-z0-9]+", "_", version.lower()).strip("_")[:40].rstrip("_") or "0"


def _index(modules: list[Module]) -> dict[str, object]:
    """Return the variables of the index templates: statements, and for JSON Schema the ``entries`` as JSON text."""
    named = [(module, export) for module in modules for export in module.exports]
    return {
        "modules": tuple(modules),
        "python_imports": tuple(_python_import(module, export) for module, export in sorted(named, key=_naturally)),
        "python_all": laid_out(
            Group("[", tuple(literal(export) for export in sorted(export for _, export in named)), "]"),
            prefix="__all__ = ",
        ),
        "typescript_exports": tuple(
            typescript.export_statement(module.stem, module.name, export) for module, export in named
        ),
        "rust_modules": tuple(
            sorted(f"pub mod {stem};" for stem in (rust.SHARED, *(module.stem for module in modules)))
        ),
        "rust_uses": tuple(_rust_use(module, export) for module, export in sorted(named, key=_by_file)),
        "entries": jsonschema.index_entries(
            (module.stem, module.source.sample_type, module.source.uri, module.source.cid) for module in modules
        ),
    }


def _by_file(named: tuple[Module, str]) -> tuple[str, bool, str]:
    module, export = named
    return module.stem, export != module.name, export


def _naturally(named: tuple[Module, str]) -> tuple[list[str | int], bool, str]:
    """The sort key of imports, in natural order: v1_9_0 before v1_10_0."""
    stem, is_renamed, export = _by_file(named)
    return [int(part) if part.isdigit() else part for part in re.split(r"([0-9]+)", stem)], is_renamed, export


def _python_import(module: Module, export: str) -> str:
    what = module.name if export == module.name else f"{module.name} as {export}"
    line = f"from .{module.stem} import {what}"
    return line if len(line) <= WIDTH else f"from .{module.stem} import (\n    {what},\n)"


def _rust_use(module: Module, export: str) -> str:
    renamed = "" if export == module.name else f" as {export}"
    return f"pub use {module.stem}::{module.name}{renamed};"
