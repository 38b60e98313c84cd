"""The Python snippets without this library: WebDataset, Ray Data, Hugging Face ``datasets``.

A sample is a ``TypedDict`` in functional syntax, which allows any wire name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from catalog.codegen.layout import WIDTH
from catalog.codegen.python import NUMPY
from catalog.codegen.snippets.snippet import Snippet, listed
from catalog.codegen.text import literal, notes, summary, wrapped
from catalog.schema import ML_DTYPES, Array, List, SampleType, Scalar, Unknown
from catalog.schema.identifiers import class_name
from catalog.schema.types import NPY_FORMATS
from catalog.shards.formats.msgpack import SUFFIX

if TYPE_CHECKING:
    from catalog.schema import Field, FieldType

_USED: Final = frozenset({
    "IterableDataset", "Iterator", "TypedDict", "datasets", "decoded", "is_visible", "itertools", "ray", "read_shard",
    "samples", "tarfile", "unpacked", "urllib", "urls",
})  # fmt: skip
"""Names that these programs import or define."""

_DECODED: Final = '''\
def decoded(value: Any) -> Any:
    """An array from .npy, or from the compact form: dtype, shape, data."""
    if value is None:
        return None
    if isinstance(value, list):
        return [decoded(item) for item in value]
    if value.startswith(b"\\x93NUMPY"):
        return np.load(io.BytesIO(value), allow_pickle=False)
    at = 1 + value[0]
    shape = np.frombuffer(value, "<i8", count=value[at], offset=at + 1)
    dtype, start = value[1:at].decode("ascii"), at + 1 + shape.nbytes
    return np.frombuffer(value, dtype, offset=start).reshape(shape)


'''

_ANY_DECODED: Final = '''\
def decoded(value: Any) -> Any:
    """Arrays in .npy; those in the compact form stay bytes without a schema."""
    if isinstance(value, list):
        return [decoded(item) for item in value]
    if isinstance(value, bytes) and value.startswith(b"\\x93NUMPY"):
        return np.load(io.BytesIO(value), allow_pickle=False)
    return value


def unpacked(raw: bytes) -> dict[str, Any]:
    """One sample."""
    return {name: decoded(value) for name, value in msgpack.unpackb(raw).items()}


'''

_READ_SHARD: Final = f'''\
    """The samples of one shard, while it arrives."""
    with (
        urllib.request.urlopen(url, timeout=60) as answer,
        tarfile.open(fileobj=answer, mode="r|*") as tar,
    ):
        for member in tar:
            name = member.name.lower().rpartition("/")[2]
            is_sample = member.isfile() and name.endswith("{SUFFIX}") and not name.startswith(".")
            if is_sample and (file := tar.extractfile(member)):
                yield unpacked(file.read())


'''

_VISIBLE: Final = '''\
def is_visible(name: str) -> bool:
    """False for hidden files, such as the ._ files of macOS."""
    return not name.rpartition("/")[2].startswith(".")


'''

_SPLIT_KEYS: Final = '''\
    """The samples, also those with dots in their keys, which WebDataset splits."""
    for group in groups:
        for field, raw in group.items():
            if field.endswith("msgpack"):
                yield unpacked(raw)


'''

_WEBDATASET: Final = """\
shards = wds.WebDataset(urls, shardshuffle=False, select_files=is_visible)
dataset = shards.compose(samples)

for sample in itertools.islice(dataset, 3):
    print(sample)
"""

_DECODED_FIELDS: Final = """\
shards = wds.WebDataset(urls, shardshuffle=False, select_files=is_visible)
dataset = shards.decode(only=decoded)

for sample in itertools.islice(dataset, 3):
    print(sample)
"""

_FIELD_IMPORTS: Final = "import itertools\n\nimport webdataset as wds\n\n"

_SAFE: Final = ("cls", "index", "txt", "text", "json", "npy")
"""The fields that are decoded without a schema."""

_FUTURE: Final = "from __future__ import annotations  # workers get the functions, not the type\n\n"
"""Ray's pickler fails on a ``TypedDict`` of ``__main__``, which evaluated annotations would reference."""

_NESTED: Final = "# Ray makes lists of numbers of the arrays in a list.\n"

_RAY_DATA: Final = """\
# Shards are read side by side, here or on a cluster:
# ray job submit --working-dir . -- python load.py
items = ray.data.from_items(urls, override_num_blocks=len(urls))
dataset = items.flat_map(lambda row: read_shard(row["item"]))

for sample in dataset.take(3):
    print(sample)
"""

_SAMPLES: Final = '''\
    """All samples; workers and nodes share the list of shards out."""
    for url in urls:
        yield from read_shard(url)


'''

_STREAMED: Final = """\
dataset = IterableDataset.from_generator(samples, gen_kwargs={"urls": urls})

for sample in dataset.take(3):
    print(sample)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """The code that depends on the schema: the ``name`` of the type, and the ``code`` up to ``unpacked``.

    The other attributes select the imports.
    """

    name: str
    code: tuple[str, ...]
    typing: tuple[str, ...]
    arrays: bool
    annotated: bool
    nested: bool
    ml_dtypes: bool = False

    @property
    def packages(self) -> str:
        """The packages to install beside the library of the program."""
        return "msgpack numpy ml_dtypes" if self.ml_dtypes else "msgpack numpy"


def webdataset(lines: Sequence[str], urls: Sequence[str], sample_type: SampleType | None) -> Snippet:
    """Return the program for WebDataset."""
    typed = _typed(sample_type)
    imports = _imports(typed, ("itertools", "Iterator"), ("import webdataset as wds",))
    split = f"def samples(groups: Iterator[dict[str, bytes]]) -> Iterator[{typed.name}]:\n"
    return Snippet(
        label="WebDataset",
        language="python",
        parts=(imports, _listed(lines, urls), *typed.code, _VISIBLE, split, _SPLIT_KEYS, _WEBDATASET),
        install=f"pip install webdataset {typed.packages}",
    )


def webdataset_fields(lines: Sequence[str], urls: Sequence[str], sample_type: SampleType | None) -> Snippet:
    """Return the WebDataset program for shards of the format ``webdataset``, decoded by WebDataset.

    Only fields that it decodes as the schema says are decoded, never pickles; the others stay bytes.
    """
    fields = _SAFE if sample_type is None else tuple(one.name for one in sample_type.fields if _is_decoded(one))
    names = "".join(f"    {literal(name)},\n" for name in fields)
    chosen = f"# Other fields stay bytes; pickles are never opened.\ndecoded = [\n{names}]\n\n\n" if names else ""
    shown = _DECODED_FIELDS if names else _DECODED_FIELDS.replace("shards.decode(only=decoded)", "shards")
    return Snippet(
        label="WebDataset",
        language="python",
        parts=(_FIELD_IMPORTS, _listed(lines, urls).rstrip("\n") + "\n\n", chosen or "\n", _VISIBLE, shown),
        install="pip install webdataset numpy",
    )


def _is_decoded(field: Field) -> bool:
    """Return whether WebDataset decodes a field to a value of its type."""
    match field.type, field.name.rpartition(".")[2]:
        case Scalar(kind="int"), "cls" | "cls2" | "index" | "inx" | "id":
            return True
        case Scalar(kind="str"), "txt" | "text" | "transcript":
            return True
        case ((Scalar(kind="map" | "int" | "float" | "bool") | List() | Unknown()), "json" | "jsn"):
            return True
        case Array(format="ndarrayBytes"), "npy":
            return True
    return False


def ray_data(lines: Sequence[str], urls: Sequence[str], sample_type: SampleType | None) -> Snippet:
    """Return the program for Ray Data."""
    typed = _typed(sample_type)
    imports = _FUTURE + _imports(typed, ("tarfile", "urllib.request", "Iterator"), ("import ray.data",))
    end = _NESTED + _RAY_DATA if typed.nested else _RAY_DATA
    return Snippet(
        label="Ray Data",
        language="python",
        parts=(imports, _listed(lines, urls), *typed.code, *_read_shard(typed), end),
        install=f'pip install "ray[data]" {typed.packages}',
    )


def hugging_face(lines: Sequence[str], urls: Sequence[str], sample_type: SampleType | None) -> Snippet:
    """Return the program for streaming with Hugging Face ``datasets``."""
    typed = _typed(sample_type)
    imports = _imports(typed, ("tarfile", "urllib.request", "Iterator"), ("from datasets import IterableDataset",))
    every = (f"def samples(urls: list[str]) -> Iterator[{typed.name}]:\n", _SAMPLES)
    return Snippet(
        label="Hugging Face",
        language="python",
        parts=(imports, _listed(lines, urls), *typed.code, *_read_shard(typed), *every, _STREAMED),
        install=f"pip install datasets {typed.packages}",
    )


def _read_shard(typed: Typed) -> tuple[str, str]:
    """The function in two parts, of which only the first line depends on the type."""
    return f"def read_shard(url: str) -> Iterator[{typed.name}]:\n", _READ_SHARD


def _listed(lines: Sequence[str], urls: Sequence[str]) -> str:
    return listed(lines, urls, mark="#", opening="urls = [\n", indent="    ", closing="]\n\n\n")


@lru_cache(maxsize=512)
def _imports(typed: Typed, standard: tuple[str, ...], library: tuple[str, ...]) -> str:
    """The imports in ruff's order: modules, then names from modules; the standard library first."""
    modules = [*(["io"] if typed.arrays else []), *(name for name in standard if name not in ("operator", "Iterator"))]
    others = ["import msgpack", *(["import numpy as np"] if typed.arrays else []), *library]
    others += ["import ml_dtypes  # noqa: F401 - numpy reads its dtypes once it is imported"] if typed.ml_dtypes else []
    others += ["from numpy.typing import NDArray"] if typed.annotated else []
    lines = [
        *(f"import {name}" for name in modules),
        *(["from collections.abc import Iterator"] if "Iterator" in standard else []),
        *(["from operator import itemgetter"] if "operator" in standard else []),
        f"from typing import {', '.join(typed.typing)}",
        "",
        *sorted(others, key=lambda line: (line.startswith("from "), line)),
    ]
    return "\n".join(lines) + "\n\n"


@lru_cache(maxsize=512)  # used by three programs on the page of every dataset with this schema
def _typed(sample_type: SampleType | None) -> Typed:
    if sample_type is None:
        return Typed(
            name="dict[str, Any]",
            code=(_ANY_DECODED,),
            typing=("Any",),
            arrays=True,
            annotated=False,
            nested=True,
        )
    name = class_name(sample_type.name)
    name = f"{name}Type" if name in _USED else name
    types = list(sample_type.types())
    arrays = [type_ for type_ in types if isinstance(type_, Array) and type_.format in NPY_FORMATS]
    is_open = any(
        isinstance(type_, Unknown) or (isinstance(type_, Scalar) and type_.kind == "map") for type_ in types
    ) or any(array.dtype not in NUMPY for array in arrays)
    return Typed(
        name=name,
        code=(_typed_dict(name, sample_type), *([_DECODED] if arrays else []), _unpacked(name, sample_type)),
        typing=("Any", "TypedDict") if arrays or is_open else ("TypedDict",),
        arrays=bool(arrays),
        annotated=bool(arrays),
        nested=any(_is_read(field) for field in sample_type.fields if isinstance(field.type, List)),
        ml_dtypes=any(array.dtype in ML_DTYPES for array in arrays),
    )


def _typed_dict(name: str, sample_type: SampleType) -> str:
    fields = "".join(_entry(field) for field in sample_type.fields)
    inside = f"    {{\n{fields}    }},\n" if fields else "    {},\n"
    return f'{_commented(summary(sample_type), "")}{name} = TypedDict(\n    "{name}",\n{inside})\n\n\n'


def _entry(field: Field) -> str:
    indent = " " * 8
    hint = _annotation(field.type)
    hint = f"{hint} | None" if field.optional and hint != "Any" else hint
    return f"{_commented(notes(field), indent)}{indent}{literal(field.name)}: {hint},\n"


def _commented(text: str, indent: str) -> str:
    return "".join(f"{indent}# {line}\n" for line in wrapped(text, WIDTH - len(indent) - 2))


def _annotation(type_: FieldType) -> str:
    match type_:
        case Scalar():
            return {"map": "dict[str, Any]", "datetime": "str"}.get(type_.kind, type_.kind)
        case List():
            return f"list[{_annotation(type_.item)}]"
        case Unknown():
            return "Any"
        case Array():
            return f"NDArray[{NUMPY.get(type_.dtype or '', 'Any')}]" if type_.format in NPY_FORMATS else "bytes"


def _unpacked(name: str, sample_type: SampleType) -> str:
    lines = "".join(_reading(field) for field in sample_type.fields)
    made = f"{{\n{lines}    }}" if lines else "{}"
    fields = "    fields = msgpack.unpackb(raw)\n" if lines else ""
    return f'def unpacked(raw: bytes) -> {name}:\n    """One sample."""\n{fields}    return {made}\n\n\n'


def _reading(field: Field) -> str:
    wire = literal(field.name)
    value = f"fields.get({wire})" if field.optional else f"fields[{wire}]"
    return f"        {wire}: {f'decoded({value})' if _is_read(field) else value},\n"


def _is_read(field: Field) -> bool:
    """Return True if the field has arrays that these programs decode."""
    return any(isinstance(type_, Array) and type_.format in NPY_FORMATS for type_ in field.types())
