"""Test cases of code generation: sample types, values that fit them, and samples as our packing writes them."""

from __future__ import annotations

import random
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import msgpack
import numpy as np

from catalog.codegen import Source, generate
from catalog.manifest import load
from catalog.samples.arrays import encode_array
from catalog.samples.packable import class_from, pack
from catalog.schema import DTYPES, Array, Field, List, SampleType, Scalar, ScalarKind, Unknown
from catalog.schema.identifiers import attribute_names
from tests.codegen.test_codegen import HOSTILE, hostile_type

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from catalog.schema import FieldType

SUFFIXES = {"python": ".py", "pydantic": ".py", "typescript": ".ts", "rust": ".rs", "jsonschema": ".json"}
EXAMPLES = Path(__file__).parent.parent / "examples" / "manifests"
URI = "at://did:plc:aaaaaaaaaaaaaaaaaaaaaaaa/science.alt.dataset.schema/{}"

NAMES = (
    "image", "Image", "image_data", "imageData", "image-data", "class", "type", "self", "Self", "crate", "super", "def",
    "None", "copy", "json", "dict", "model_dump", "schema", "validate", "to_bytes", "constructor", "toString",
    "default", "__proto__", "hasOwnProperty", "1st", "", " ", "größe", "图像", "a b", "a_b", "a*/b", '"""', "it's",
    'say "hi"', "\\", "\\u202e", "{{ x }}", "{% raw %}", "#}", "${x}", "%s", "Field", "Npy", "np", "Any", "fields",
    "value", "bytes",
    "a name with many words that goes on and on until it is longer than a line may be in any of the languages",
)  # fmt: skip

FIELD_TYPES: tuple[FieldType, ...] = (
    *(Scalar(kind=kind) for kind in get_args(ScalarKind)),
    Scalar(kind="bytes", media="image/jpeg"),
    Scalar(kind="bytes", media="image/*"),
    *(Array(dtype=dtype) for dtype in DTYPES),
    Array(),
    Array(shape=(2, 3)),
    Array(dtype="float32", shape=(None, 3), dimensions=("y", "x")),
    List(item=Scalar(kind="int")),
    List(item=List(item=Scalar(kind="str"))),
    List(item=Scalar(kind="datetime")),
    List(item=Scalar(kind="map")),
    List(item=Array(dtype="int64", shape=(2,))),
    Unknown(schema='{"type": ["integer", "string"]}'),
)
ODD_TYPES: tuple[FieldType, ...] = (
    Array(dtype="datetime64[ns]"),
    Array(dtype="bfloat16"),
    Array(dtype="str", shape=(None, 2)),
    Array(format="structuredBytes"),
    Array(dtype="float32", format="sparseBytes"),
    Array(dtype="float32", shape=(2, 2), format="arrowTensor"),
    Array(format="safetensors"),
    Array(dtype="uint8", shape=tuple(range(40)), dimensions=tuple(f"dimension {n}" for n in range(40))),
)


def made_types(count: int, *, seed: int, odd: bool = True) -> list[SampleType]:
    """Sample types with names of every awkward kind, the same for the same seed."""
    chance = random.Random(seed)  # noqa: S311 - nothing secret
    types = FIELD_TYPES + (ODD_TYPES if odd else ())
    words = ("An image.", "*/", '"""', "\\", "a\nb", "\u202e", "{{ x }}", " " + "word " * 30, None, None)
    made = []
    for number in range(count):
        names = chance.sample(NAMES, chance.randint(0, 12))
        fields = tuple(
            Field(
                name=name, type=chance.choice(types), optional=chance.random() < 0.4, description=chance.choice(words)
            )
            for name in names
        )
        name = f"{chance.choice(NAMES)} {number}"
        version = chance.choice(("1.0.0", "2.10.1", "1.0.0-rc.1", "latest"))
        made.append(SampleType(name=name, version=version, fields=fields, description=chance.choice(words)))
    return made


def value_of(type_: FieldType, chance: random.Random) -> Any:  # noqa: ANN401 - a sample holds anything
    """A value that fits."""
    match type_:
        case Scalar():
            return _scalar(type_.kind, chance)
        case List():
            return [value_of(type_.item, chance) for _ in range(chance.randint(0, 3))]
        case Array():
            return _array(type_, chance)
        case Unknown():
            return chance.choice([1, "x", {"a": [None, True]}])


def _scalar(kind: ScalarKind, chance: random.Random) -> Any:  # noqa: ANN401
    choices: dict[str, list[Any]] = {
        "str": ["", "a\0b", "图"], "int": [0, -1, 255, 2**31, 2**40, -(2**53) + 1], "float": [0.5, -1e300, 3.0],
        "bool": [True, False], "bytes": [b"", b"\x93NUMPY", bytes(range(256))],
        "map": [{}, {"a": [1, None, True, "x", {"b": 2**40, "é": -0.5}]}],
        "datetime": [
            datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=timezone(timedelta(hours=-3, minutes=-30))),
            datetime(1999, 12, 31, tzinfo=UTC),
        ],
    }  # fmt: skip
    return chance.choice(choices[kind])


def _array(type_: Array, chance: random.Random) -> NDArray[Any]:
    shape = (chance.randint(0, 3), 2) if type_.shape is None else tuple(2 if n is None else n for n in type_.shape)
    dtype = type_.dtype or chance.choice(DTYPES)
    numbers = np.array([chance.randint(0, 100) for _ in range(int(np.prod(shape)))]).reshape(shape)
    array = numbers.astype(dtype)
    return np.asfortranarray(array) if chance.random() < 0.3 else array


def example_sources() -> list[Source]:
    """The schemas of the example catalog."""
    return [
        Source(
            sample_type=draft.sample_type,
            uri=URI.format(f"{draft.sample_type.name}:{draft.sample_type.version}"),
            cid="bafyreib",
        )
        for draft in load([EXAMPLES]).schemas
    ]


def run(*command: object, cwd: Path | None = None) -> str:
    """The output of a command that succeeds."""
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[:5000]
    return done.stdout


def written(folder: Path, files: Mapping[str, str]) -> Path:
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def written_apart(folder: Path, wanted: list[SampleType], language: str) -> Path:
    """Write each source to a file of its own."""
    files = {f"m{n}{SUFFIXES[language]}": generate(made, language, cid="x") for n, made in enumerate(wanted)}
    return written(folder, files)


def hostile_sources() -> list[Source]:
    return [Source(sample_type=hostile_type(text), uri=text, cid=text) for text in HOSTILE]


@dataclass(frozen=True)
class Packed:
    """A sample as our own packing writes it, and what is in it, by wire name."""

    wanted: SampleType
    values: dict[str, Any]
    raw: bytes


def packed(wanted: SampleType, seed: int) -> Packed:
    chance = random.Random(seed)  # noqa: S311 - nothing secret
    values = {
        field.name: None if field.optional and chance.random() < 0.5 else value_of(field.type, chance)
        for field in wanted.fields
    }
    names = attribute_names(values)
    made = class_from(wanted)(**{names[wire]: value for wire, value in values.items()})
    return Packed(wanted, values, pack(made))


def every_array() -> Packed:
    """Both array forms, both orders of bytes and of axes; complex numbers and half floats with a fraction."""
    arrays: dict[str, Any] = {
        "fortran": np.asfortranarray(np.arange(24, dtype="int16").reshape(2, 3, 4)),
        "big": (np.arange(3) / 3).astype(">f8"),
        "big complex": np.array([1 + 2j, 3.5 - 4j], dtype=">c8"),
        "big fortran": np.asfortranarray(np.arange(6, dtype=">u4").reshape(2, 3)),
        "half": np.array([0, -0.0, 1 / 3, 65504, 1e-7, 6e-5, np.inf, -np.inf, np.nan], dtype="float16"),
        "single": np.float64(3.5).reshape(()),
        "empty": np.zeros((0, 3), "uint8"),
        "compact": np.arange(6, dtype="uint8").reshape(2, 3),
        "compact big": np.arange(-1, 2).astype(">i8"),
        "long": np.array([2**63 - 1, -(2**63)]),
    }
    written = {
        name: compact(array) if name.startswith("compact") else encode_array(array) for name, array in arrays.items()
    }
    fields = tuple(Field(name=name, type=Array()) for name in arrays)
    wanted = SampleType(name="Every", version="1.0.0", fields=fields)
    return Packed(wanted, arrays, msgpack.packb(written))


def compact(array: np.ndarray[Any, Any]) -> bytes:
    """The compact form, as wire-format.md has it."""
    dtype = array.dtype.str.encode()
    sizes = b"".join(size.to_bytes(8, "little") for size in array.shape)
    return b"".join((bytes([len(dtype)]), dtype, bytes([array.ndim]), sizes, array.tobytes()))


def same_numbers(one: object, other: object) -> bool:
    """Equal, whatever the order of bytes, and with whole floats as JSON has them."""
    if isinstance(one, np.ndarray):
        is_float = one.dtype.kind in "fc"
        return (
            isinstance(other, np.ndarray)
            and one.dtype == other.dtype.newbyteorder(one.dtype.byteorder)
            and np.array_equal(one, other, equal_nan=is_float)
        )
    if isinstance(one, datetime) and isinstance(other, str):
        return one.isoformat() == other
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(same_numbers, one, other))
    return one == other and isinstance(one, bool) == isinstance(other, bool)


MADE = made_types(60, seed=3)
SAMPLES = [packed(wanted, seed) for seed, wanted in enumerate(made_types(40, seed=5, odd=False))]
