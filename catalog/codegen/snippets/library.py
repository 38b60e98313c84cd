"""The snippets that use this library: untyped, typed, and with a PyTorch ``DataLoader``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from catalog.codegen.layout import Group, laid_out
from catalog.codegen.python import python_class
from catalog.codegen.snippets.snippet import MAX_URLS, Snippet, about
from catalog.codegen.text import literal
from catalog.schema import Array
from catalog.schema.identifiers import class_name
from catalog.shards.braces import contract

if TYPE_CHECKING:
    from catalog.schema import Field, SampleType

INSTALL: Final = "pip install atdata-catalog"
_EXTRAS: Final = {"arrowTensor": "arrow", "safetensors": "safetensors", "sparseBytes": "sparse"}
"""Array format → the extra of this library that reads it."""

_SHOW: Final = """
for sample in dataset.head(3):
    print(sample)
"""

_LOADER: Final = """\
    loader = DataLoader(dataset, batch_size=None, num_workers=2)
    for batch in loader:
        print(batch)
        break
"""

_ANY_COLUMNS: Final = '''\
def columns(batch: SampleBatch[{name}]) -> dict[str, Any]:
    """Field by field; the DataLoader makes tensors of the arrays."""
    names = {names}
    return {{name: {value} for name in names}}


'''
_OF_DICTS: Final = _ANY_COLUMNS.format(name="DictSample", names="batch.samples[0]", value="batch[name]")
_OF_OBJECTS: Final = _ANY_COLUMNS.format(
    name="Any", names="type(batch.samples[0]).__annotations__", value="getattr(batch, name)"
)
"""For a published dataset: opening it creates the class from its schema record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A dataset: the ``uri`` of its record, or the ``urls`` of a draft's shards."""

    name: str
    uri: str | None
    urls: tuple[str, ...]
    cid: str | None

    def opened(self, sample_class: str | None, *, suffix: str = "", indent: str = "") -> str:
        """Return the statement that opens the dataset, below its comment."""
        if self.uri is not None:
            more = [] if sample_class is None else [sample_class]
            call = Group("Dataset.from_atproto(", (literal(self.uri), *more), ")")
        else:
            call = Group("Dataset(" if sample_class is None else f"Dataset[{sample_class}](", (_urls(self.urls),), ")")
        lines = about(self.name, self.cid, 0 if self.uri is not None else len(self.urls))
        comments = "".join(f"{indent}# {line}\n" for line in lines)
        return f"{comments}{laid_out(call, prefix='dataset = ', suffix=suffix, indent=indent)}\n"


def python(source: Source, sample_type: SampleType | None) -> Snippet:
    """Return the shortest program: the schema record defines the type of the samples."""
    return _snippet(
        "Python", _install(source, sample_type), "from catalog import Dataset\n\n", source.opened(None), _SHOW
    )


def typed_python(source: Source, sample_type: SampleType) -> Snippet:
    """Return the program that defines the class of the samples, for editors and type checkers."""
    imports, body = _class(sample_type)
    opened = source.opened(class_name(sample_type.name))
    install = _install(source, sample_type)
    return _snippet("Typed Python", install, imports, f"\n\n{body}\n\n", opened, _SHOW)


def pytorch(source: Source, sample_type: SampleType | None) -> Snippet:
    """Return the program with a ``DataLoader`` with workers."""
    install = f"{_install(source, sample_type)} torch"
    suffix = ".batched(32).map(columns)"
    main = 'if __name__ == "__main__":  # the workers import this file\n'
    if sample_type is None:
        names, columns = (", DictSample", _OF_DICTS) if source.uri is None else ("", _OF_OBJECTS)
        imports = _with_torch(f"from catalog import SampleBatch, Dataset{names}\n") + "\n\n"
        opened = source.opened(None, suffix=suffix, indent="    ")
        return _snippet("PyTorch", install, imports, columns, main, opened, _LOADER)
    imports, body = _class(sample_type, also=("SampleBatch", "Dataset"))
    opened = source.opened(class_name(sample_type.name), suffix=suffix, indent="    ")
    code = (_with_torch(imports), f"\n\n{body}\n\n", _columns(sample_type), main, opened, _LOADER)
    return _snippet("PyTorch", install, *code)


def _snippet(label: str, install: str, *parts_: str) -> Snippet:
    return Snippet(label=label, language="python", parts=parts_, install=install)


def _install(source: Source, sample_type: SampleType | None) -> str:
    extras = () if sample_type is None else _extras(sample_type)
    if any(url.startswith("s3://") for url in source.urls[:1]):
        extras = (*extras, "s3")
    return f'pip install "atdata-catalog[{",".join(extras)}]"' if extras else INSTALL


@lru_cache(maxsize=512)
def _extras(sample_type: SampleType) -> tuple[str, ...]:
    types = sample_type.types()
    return tuple(sorted({_EXTRAS[t.format] for t in types if isinstance(t, Array) and t.format in _EXTRAS}))


def _class(sample_type: SampleType, *, also: tuple[str, ...] = ("Dataset",)) -> tuple[str, str]:
    imports, _, body = python_class(sample_type, also=also).partition("\n\n\n")
    return imports + "\n", body


@lru_cache(maxsize=512)
def _with_torch(imports: str) -> str:
    if "Any" not in imports:
        known = "from typing import Annotated\n\n"
        imports = imports.replace(known, "from typing import Annotated, Any\n\n", 1)
        imports = imports if "Any" in imports else f"from typing import Any\n\n{imports}"
    return f"{imports}from torch.utils.data import DataLoader\n"


@lru_cache(maxsize=512)
def _columns(sample_type: SampleType) -> str:
    lines = "".join(_column(field) for field in sample_type.fields)
    return (
        f"def columns(batch: SampleBatch[{class_name(sample_type.name)}]) -> dict[str, Any]:\n"
        '    """Field by field; the DataLoader makes tensors of the arrays."""\n'
        f"    return {{\n{lines}    }}\n\n\n"
    )


def _column(field: Field) -> str:
    name = literal(field.name)
    if any(isinstance(type_, Array) and type_.format == "structuredBytes" for type_ in field.types()):
        return f"        # no tensor can hold {name}: batch[{name}]\n"
    return f"        {name}: batch[{name}],\n"


def _urls(urls: Sequence[str]) -> str | Group:
    """A brace pattern if the names are numbered without gaps, else a list, in which braces are literal."""
    pattern = contract(urls)
    if pattern is not None:
        return literal(pattern)
    return Group("[", tuple(literal(url) for url in urls[:MAX_URLS]), "]")
