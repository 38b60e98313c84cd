"""Generate ``python.md`` from the names that the public modules export."""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, get_overloads

from docs.generate_reference.errors import LINKS
from docs.generate_reference.markdown import anchor, code, fence, from_docstring, front

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["BESIDE", "MODULES", "members", "page", "public"]

MODULES: Final = {"catalog": "", "catalog.client": "", "catalog.records": "records."}
"""Documented modules and the prefix of their names; a name appears only in the first module that exports it."""
BESIDE: Final = (
    "catalog.config.NetworkSettings", "catalog.samples.clients.CatalogClient",
    "catalog.samples.clients.PublishedShard", "catalog.samples.clients.Place", "catalog.schema.SampleType",
    "catalog.schema.Field", "catalog.syntax.AtUri", "catalog.store.graph.Publisher",
    "catalog.lenses.fetch.PublishedLens", "catalog.lenses.laws.LensReport",
    "catalog.lenses.laws.Counterexample", "catalog.samples.write_shards.ShardInfo", "catalog.errors.Fault",
)  # fmt: skip
"""Parameter and return types of the public API."""

_INTRO = """\
The public API: the names of `catalog`, `catalog.client` and `catalog.records`. Everything else is internal and can
change. `import catalog` is fast because submodules load on first use. [Errors](errors.md) are documented
separately."""
_BESIDE = "Parameter and return types"
_WIDE: Final = 72
_SPECIAL: Final = ("__call__", "__getattr__", "__getitem__", "__iter__", "__len__")


def public() -> dict[str, dict[str, Any]]:
    """Return the objects of each section by their displayed names."""
    seen: set[int] = set()
    found: dict[str, dict[str, Any]] = {}
    for module, prefix in MODULES.items():
        home = import_module(module)
        named = {f"{prefix}{name}": getattr(home, name) for name in home.__all__ if name != "__version__"}
        found[f"Module `{module}`"] = {name: one for name, one in named.items() if id(one) not in seen}
        seen |= {id(one) for one in named.values()}
    parts = [path.rpartition(".") for path in BESIDE]
    found[_BESIDE] = {name: getattr(import_module(module), name) for module, _, name in parts}
    return found


def members(cls: type) -> list[str]:
    """Return the public members of a class, including those of undocumented bases."""
    documented = {one for names in public().values() for one in names.values() if inspect.isclass(one)}
    names: dict[str, None] = {}
    for base in cls.__mro__:
        if base.__module__.startswith("catalog.") and (base is cls or base not in documented):
            names |= dict.fromkeys(
                name for name in vars(base) if not name.startswith("_") or _is_documented_special(vars(base), name)
            )
    return sorted(name for name in names if not _is_field(cls, name) and not _is_slot(cls, name))


def page() -> str:
    """Return the page as Markdown."""
    parts = front("Python API", _INTRO, "`catalog.__all__` and the docstrings")
    links = _links()
    for section, names in public().items():
        parts += ["", f"## {section}", "", *_section(section, names)]
        for name, one in names.items():
            if inspect.isclass(one) or inspect.isroutine(one):
                parts += ["", f"### `{_heading(name, one)}`", "", *_object(name, one, links)]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(parts)) + "\n"


def _section(section: str, names: dict[str, Any]) -> Iterator[str]:
    shown = [name for name, one in names.items() if inspect.isclass(one) or inspect.isroutine(one)]
    yield ", ".join(f"[`{name}`](#{anchor(_heading(name, names[name]))})" for name in shown)
    if section == "Module `catalog`":
        yield from ("", "`catalog.__version__` is the installed version as a string.")
    for name, one in names.items():
        if name not in shown:
            yield from ("", f"`{name}` is {_value(one)}.")


def _value(one: object) -> str:
    if isinstance(one, tuple | list | frozenset | set):
        return ", ".join(code(each) for each in one)
    shown = repr(one)
    return code(re.sub(r"\bcatalog\.(\w+\.)+", "", shown))


def _heading(name: str, one: object) -> str:
    return f"class {name}" if inspect.isclass(one) else f"{name}()"


def _links() -> dict[str, str]:
    here = {
        name: f"#{anchor(_heading(name, one))}" for names in public().values() for name, one in names.items()
        if inspect.isclass(one)
    }  # fmt: skip
    return LINKS | here


def _object(name: str, one: Any, links: dict[str, str]) -> Iterator[str]:  # noqa: ANN401 - whatever a module exports
    yield from (_signatures(name, one), "")
    yield from _paragraphs(one, links)
    if inspect.isclass(one):
        for member in members(one):
            raw = inspect.getattr_static(one, member)
            yield from ("", f"#### `{name}.{member}`", "")
            plain = getattr(raw, "__func__", raw)
            kind = {classmethod: "A class method", staticmethod: "A static method"}.get(type(raw))
            if inspect.isfunction(plain):
                yield from (_signatures(f"{name}.{member}", plain, bound=not isinstance(raw, staticmethod)), "")
            answer = _annotation(getattr(raw, "fget", None))
            about = kind or ("" if inspect.isfunction(plain) else f"A property{answer and f', {code(answer)}'}")
            if about:
                yield from (f"{about}.", "")
            yield from _paragraphs(raw, links)


def _paragraphs(one: object, links: dict[str, str]) -> Iterator[str]:
    for block in from_docstring(inspect.getdoc(one) or "", links):
        yield from (block, "")


def _annotation(function: Callable[..., object] | None) -> str:
    return "" if function is None else _text(inspect.signature(function).return_annotation)


def _signatures(name: str, one: Callable[..., object], *, bound: bool = False) -> str:
    """Return the signature, or several for an overloaded function."""
    if inspect.isclass(one) and "__init_subclass__" in vars(one):
        subclass: Callable[..., object] = vars(one)["__init_subclass__"].__func__
        line = _signature("class Yours", subclass, bound=True, base=name).rpartition(" -> ")[0]
        return fence(f"{line}: ...", "python")
    ways = get_overloads(one) if inspect.isfunction(one) else ()
    plain = [getattr(way, "__func__", way) for way in ways] or [one]
    return fence("\n".join(_signature(name, each, bound=bound) for each in plain), "python")


def _signature(name: str, one: Callable[..., object], *, bound: bool, base: str = "") -> str:
    """Return one signature; with ``base``, the definition of a subclass."""
    try:
        signature = inspect.signature(one)
    except ValueError:  # of a builtin base, such as dict
        return f"{name}(…)"
    found = list(signature.parameters.values())[1 if bound else 0 :]
    found = [each for each in found if not each.name.startswith("_")]
    shown = [base] if base else []
    for before, each in zip([None, *found], found, strict=False):
        starred = before is not None and before.kind in (before.VAR_POSITIONAL, before.KEYWORD_ONLY)
        if each.kind is each.KEYWORD_ONLY and not starred and not base:
            shown.append("*")
        if before is not None and before.kind is before.POSITIONAL_ONLY and each.kind is not each.POSITIONAL_ONLY:
            shown.append("/")
        shown.append(_parameter(each))
    if found and found[-1].kind is found[-1].POSITIONAL_ONLY:
        shown.append("/")
    answer = "" if inspect.isclass(one) else _text(signature.return_annotation)
    end = f") -> {answer}" if answer else ")"
    line = f"{name}({', '.join(shown)}{end}"
    return line if len(line) <= _WIDE else "\n".join([f"{name}(", *(f"    {each}," for each in shown), end])


def _parameter(one: inspect.Parameter) -> str:
    stars = "*" if one.kind is one.VAR_POSITIONAL else "**" if one.kind is one.VAR_KEYWORD else ""
    annotation = _text(one.annotation)
    typed = f"{stars}{one.name}{annotation and f': {annotation}'}"
    if one.default is one.empty:
        return typed
    default = repr(one.default)
    shown = "…" if default.startswith("<") else default
    return f"{typed} = {shown}" if annotation else f"{typed}={shown}"


def _text(annotation: object) -> str:
    if annotation is inspect.Signature.empty:
        return ""
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))


def _is_field(cls: type, name: str) -> bool:
    """Return whether a name is a dataclass field, which the signature shows."""
    return name in getattr(cls, "__dataclass_fields__", {})


def _is_documented_special(inside: Mapping[str, Any], name: str) -> bool:
    """Return whether a name is a special method with a docstring."""
    return name in _SPECIAL and bool(inspect.getdoc(inside[name]))


def _is_slot(cls: type, name: str) -> bool:
    """Return whether a name is a slot, which the docstring of the class describes."""
    return inspect.ismemberdescriptor(inspect.getattr_static(cls, name))
