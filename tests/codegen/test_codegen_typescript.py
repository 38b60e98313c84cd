"""Generated TypeScript: the strict compiler and Prettier are content, and under Node it reads and writes our bytes."""

from __future__ import annotations

import json
import re
import shutil
from typing import TYPE_CHECKING, Any

import msgpack
import numpy as np
import pytest

from catalog.codegen import generate, package
from catalog.samples.arrays import encode_array
from catalog.samples.packable import class_from
from catalog.schema import Array, Field, SampleType, Scalar
from catalog.schema.identifiers import attribute_names
from tests.codegen_cases import (
    MADE,
    SAMPLES,
    Packed,
    compact,
    every_array,
    example_sources,
    hostile_sources,
    run,
    same_numbers,
    written,
    written_apart,
)
from tests.paths import TESTS

if TYPE_CHECKING:
    from pathlib import Path

TYPESCRIPT = TESTS / "typescript"


def tool(name: str) -> Path:
    """A command of tests/typescript."""
    path = TYPESCRIPT / "node_modules" / ".bin" / name
    if shutil.which("node") is None or not path.exists():
        pytest.fail("Node.js or tests/typescript/node_modules is missing: make test installs it", pytrace=False)
    return path


MAIN = """\
import { readFileSync, writeFileSync } from "node:fs";
IMPORTS

// What JSON can't say, spelled so that Python can read it.
function plain(value: unknown): unknown {
  if (typeof value === "bigint") return { bigint: String(value) };
  if (value instanceof Uint8Array) return { bytes: Array.from(value) };
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === "object" && value !== null && "data" in value) {
    const { dtype, shape, data } = value as { dtype: string; shape: number[]; data: ArrayLike<number | bigint> };
    return { dtype, shape, data: Array.from(data, String), kind: data.constructor.name };
  }
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, plain(inner)]));
  }
  return value;
}

const coders = CODERS as const;
const answers = coders.map(([decode, encode], number) => {
  const sample: object = decode(readFileSync(`sample${number}`));
  writeFileSync(`again${number}`, (encode as (sample: object) => Uint8Array)(sample));
  return Object.entries(sample).map(([name, value]) => [name, plain(value)]);
});
writeFileSync("answers.json", JSON.stringify(answers));
"""


def typescript_program(folder: Path, samples: list[Packed]) -> Path:
    """A program that decodes each sample by its own module, and what it needs beside it."""
    imports, coders = [], []
    for number, sample in enumerate(samples):
        text = generate(sample.wanted, "typescript")
        (folder / f"m{number}.ts").write_text(text, encoding="utf-8")
        (folder / f"sample{number}").write_bytes(sample.raw)
        (name,) = re.findall(r"^export interface (\w+)", text, re.MULTILINE)
        imports.append(f'import {{ decode{name} as d{number}, encode{name} as e{number} }} from "./m{number}.js";')
        coders.append(f"[d{number}, e{number}]")
    main = MAIN.replace("IMPORTS", "\n".join(imports)).replace("CODERS", f"[{', '.join(coders)}]")
    (folder / "main.ts").write_text(main, encoding="utf-8")
    return folder


def compiled(folder: Path) -> Path:
    """The folder after tsc, once over all its files."""
    (folder / "node_modules").symlink_to(TYPESCRIPT / "node_modules")
    (folder / "package.json").write_text('{"type": "module"}', encoding="utf-8")
    shutil.copy(TYPESCRIPT / "tsconfig.json", folder)
    run(tool("tsc"), "--project", folder)
    return folder


def test_typescript_passes_the_strict_compiler_and_reads_and_writes_our_bytes(tmp_path: Path) -> None:
    tool("tsc")
    samples = [sample for sample in SAMPLES if "__proto__" not in sample.values]  # @msgpack/msgpack refuses that key
    samples.append(every_array())
    typescript_program(tmp_path, samples)
    written_apart(tmp_path / "apart", [*MADE, *(source.sample_type for source in hostile_sources())], "typescript")
    written(tmp_path / "together", package([*hostile_sources(), *example_sources()], "typescript"))
    run("node", "main.js", cwd=compiled(tmp_path))
    answers = json.loads((tmp_path / "answers.json").read_text(encoding="utf-8"))
    for number, (sample, answer) in enumerate(zip(samples, answers, strict=True)):
        found = {name: from_plain(value) for name, value in answer if value is not None}
        for name, value in sample.values.items():
            assert same_numbers(value, found.get(name)), (sample.wanted, name)
        again = class_from(sample.wanted).from_bytes((tmp_path / f"again{number}").read_bytes(), validate=True)
        names = attribute_names(sample.values)
        for name, value in sample.values.items():
            assert same_numbers(value, getattr(again, names[name])), name


def from_plain(value: Any) -> Any:  # noqa: ANN401 - a sample holds anything
    if isinstance(value, list):
        return [from_plain(item) for item in value]
    match value:
        case {"bigint": number}:
            return int(number)
        case {"bytes": numbers}:
            return bytes(numbers)
        case {"dtype": str(dtype), "shape": shape, "data": data}:
            return plain_array(dtype, shape, data)
        case dict():
            return {name: from_plain(inner) for name, inner in value.items()}
    return value


def plain_array(dtype: str, shape: list[int], data: list[str]) -> np.ndarray[Any, Any]:
    if dtype.startswith("complex"):
        numbers = np.array([float(text) for text in data]).view("complex128")
    elif dtype.startswith("float"):
        numbers = np.array([float(text) for text in data])
    else:
        numbers = np.array([int(text) for text in data], dtype="uint64" if dtype == "uint64" else "int64")
    return numbers.reshape(shape).astype(dtype)


def test_typescript_refuses_what_is_not_promised(tmp_path: Path) -> None:
    tool("tsc")
    fields = (
        Field(name="a", type=Array(dtype="uint8", shape=(2, None))), Field(name="i", type=Scalar(kind="int")),
        Field(name="toString", type=Scalar(kind="str"), optional=True),
    )  # fmt: skip
    (tmp_path / "a.ts").write_text(generate(SampleType(name="A", version="1.0.0", fields=fields), "typescript"))
    array = np.zeros((2, 3), np.uint8)
    npy = encode_array(array)
    good = {"a": npy, "i": 1}
    lying = npy.replace(b"(2, 3)", b"(2, 9)")
    bad = [
        (b"\xdd\xff\xff\xff\xff", ""), (b"\x93\x01", ""), (msgpack.packb([1]), "not a map"), (b"", ""),
        *((msgpack.packb({**good, **change}), field) for change, field in (
            ({"a": encode_array(array.astype("int8"))}, "a"), ({"a": encode_array(array.T)}, "a"), ({"a": lying}, "a"),
            ({"a": npy[:-1]}, "a"), ({"a": npy + b"x"}, "a"),
            ({"a": npy[:9]}, "a"), ({"a": npy[:64]}, "a"), ({"a": b""}, "a"), ({"a": "x"}, "a"),
            ({"a": compact(array)[:-1]}, "a"), ({"a": b"\x02|O\x01" + bytes(8)}, "a"),
            ({"a": b"\x03|u1\x01" + b"\xff" * 8}, "a"), ({"a": npy.replace(b"(2, 3)", b"(-1,3)")}, "a"),
            ({"i": "1"}, "i"), ({"i": 2**60}, "i"), ({"i": 1.5}, "i"), ({"i": None}, "i"), ({"i": True}, "i"),
            ({"toString": 1}, "toString"),
        )),
    ]  # fmt: skip
    for number, (raw, _) in enumerate(bad):
        (tmp_path / f"bad{number}").write_bytes(raw)
    (tmp_path / "good").write_bytes(msgpack.packb(good))
    (tmp_path / "main.ts").write_text(f"""\
import {{ readFileSync }} from "node:fs";
import {{ decodeA }} from "./a.js";
if (decodeA(readFileSync("good")).toString !== undefined) throw new Error("an inherited property was read");
for (let number = 0; number < {len(bad)}; number += 1) {{
  try {{
    decodeA(readFileSync(`bad${{number}}`));
    console.log("read");
  }} catch (error) {{
    console.log((error as Error).message.replaceAll("\\n", " "));
  }}
}}
""")
    lines = run("node", "main.js", cwd=compiled(tmp_path)).splitlines()
    assert len(lines) == len(bad)
    for (_, field), line in zip(bad, lines, strict=True):
        assert line != "read"
        if field:
            assert field in line


def test_typescript_is_laid_out_as_prettier_does(tmp_path: Path) -> None:
    tool("prettier")
    tame = [made for made in MADE if all(field.name.isascii() for field in made.fields)]  # it takes quotes off größe
    assert len(tame) > 5
    written_apart(tmp_path / "apart", tame, "typescript")
    written(tmp_path / "together", package(example_sources(), "typescript"))
    run(tool("prettier"), "--check", tmp_path)
