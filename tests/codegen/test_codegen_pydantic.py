"""Generated Python, ours and pydantic's: formatter and type checker are content, and models read our bytes."""

from __future__ import annotations

import subprocess
import sys
import types
from typing import TYPE_CHECKING, Any

import msgpack
import numpy as np
import pydantic
import pytest

from catalog.codegen import Source, generate, package
from catalog.samples.arrays import encode_array
from catalog.samples.packable import schema_uri
from catalog.schema import Array, Field, SampleType, Scalar
from catalog.schema.identifiers import attribute_names
from tests.codegen.test_codegen import made_from
from tests.codegen_cases import (
    MADE,
    SAMPLES,
    Packed,
    example_sources,
    hostile_sources,
    made_types,
    run,
    written,
    written_apart,
)
from tests.paths import ROOT

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("language", ["python", "pydantic"])
def test_the_formatter_and_the_linter_have_nothing_to_say_of_python(language: str, tmp_path: Path) -> None:
    written_apart(tmp_path / "apart", [*MADE, *made_types(200, seed=4)], language)
    written(tmp_path / "together", package([*hostile_sources(), *example_sources()], language))
    run(sys.executable, "-m", "ruff", "format", "--isolated", "--diff", tmp_path)
    sections = 'lint.isort.known-third-party=["catalog", "msgpack", "numpy", "pydantic"]'
    rules = "--select=E4,E7,E9,F,I,UP"
    run(sys.executable, "-m", "ruff", "check", "--isolated", rules, "--config", sections, tmp_path)


def test_the_strict_type_checker_has_nothing_to_say_of_python(tmp_path: Path) -> None:
    some = [Source(sample_type=made) for made in MADE[:20]]
    for language in ("python", "pydantic"):
        sources = [*example_sources(), *hostile_sources()[:25], *some]
        written(tmp_path / f"{language}_package", package(sources, language))
    alone = tmp_path / "alone.py"
    alone.write_text(generate(example_sources()[0].sample_type, "pydantic"), encoding="utf-8")
    mypy = [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={tmp_path / 'cache'}"]
    paths = [tmp_path / "python_package", tmp_path / "pydantic_package", alone]
    assert "Success" in run(*mypy, *paths, cwd=ROOT)
    use = 'import pydantic_package as p\nreveal_type(p.DigitSample.from_bytes(b"").image)\np.DigitSample(label="x")\n'
    (tmp_path / "use.py").write_text(use, encoding="utf-8")
    done = subprocess.run(  # the control: it knows what is in there
        [*mypy, tmp_path / "use.py"],
        cwd=ROOT, env={"MYPYPATH": str(tmp_path), "PATH": "/usr/bin"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "ndarray" in done.stdout
    assert "incompatible type" in done.stdout


def executed(source: str, name: str) -> dict[str, Any]:
    """Run a module; annotations and dataclasses look it up by its name."""
    module = types.ModuleType(name)
    sys.modules[name] = module
    try:
        exec(compile(source, f"<{name}>", "exec", dont_inherit=True), module.__dict__)  # noqa: S102 - what is tested
    finally:
        del sys.modules[name]
    return module.__dict__


def model_from(wanted: SampleType) -> Any:  # noqa: ANN401 - a pydantic model
    found = executed(generate(wanted, "pydantic"), "generated")
    (model,) = [
        value
        for value in found.values()
        if isinstance(value, type) and issubclass(value, found["PackedModel"]) and value is not found["PackedModel"]
    ]
    return model


def same(one: object, other: object) -> bool:
    if isinstance(one, np.ndarray):
        return isinstance(other, np.ndarray) and one.dtype == other.dtype and np.array_equal(one, other)
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, bytes):
        return isinstance(other, bytes) and one == other  # ImageBytes, too
    return type(one) is type(other) and one == other


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: ascii(sample.wanted.name))
def test_a_pydantic_model_reads_and_writes_our_bytes(sample: Packed) -> None:
    model = model_from(sample.wanted)
    read = model.from_bytes(sample.raw)
    aliases = {name if field.alias is None else field.alias: name for name, field in model.model_fields.items()}
    assert list(aliases) == list(sample.values)
    for wire, value in sample.values.items():
        assert same(value, getattr(read, aliases[wire])), wire
    written = {name: value for name, value in msgpack.unpackb(sample.raw).items() if value is not None}
    assert msgpack.unpackb(read.to_bytes()) == written, "a missing value is left out, which reads the same"


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: ascii(sample.wanted.name))
def test_a_class_of_this_library_reads_and_writes_our_bytes(sample: Packed) -> None:
    cls = made_from(generate(sample.wanted, "python", uri="at://example.org/science.alt.dataset.schema/A"))
    read = cls.from_bytes(sample.raw, validate=True)
    names = attribute_names(sample.values)
    for wire, value in sample.values.items():
        assert same(value, getattr(read, names[wire])), wire
    assert read.packed == sample.raw
    assert str(schema_uri(cls)) == "at://example.org/science.alt.dataset.schema/A"


def test_a_pydantic_model_refuses_what_is_not_promised() -> None:
    image = Array(dtype="uint8", shape=(2, None))
    fields = (Field(name="image", type=image), Field(name="label", type=Scalar(kind="int")))
    model = model_from(SampleType(name="A", version="1.0.0", fields=fields))
    good = np.zeros((2, 3), np.uint8)
    assert model(image=good, label=1).image is good
    compact = bytes.fromhex("037c75310202000000000000000300000000000000000102030405")
    assert model(image=compact, label=1).image.tolist() == [[0, 1, 2], [3, 4, 5]]
    npy = encode_array(good)
    objects = (
        b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(127) + b"\n12345678"
    )
    wrong = (
        good.astype("int8"),
        good[0],
        good.T,
        [[1]],
        b"",
        b"x",
        npy[:-1],
        npy + b"x",
        npy[:20],
        compact[:9],
        objects,
    )
    for value in wrong:
        with pytest.raises(ValueError, match="image"):
            model(image=value, label=1)
    for label in ("1", 1.5, None, True):
        with pytest.raises(ValueError, match="label"):
            model(image=good, label=label)


def test_the_names_that_pydantic_keeps_for_itself_are_all_known() -> None:
    names = [name for name in dir(pydantic.BaseModel) if not name.startswith("_")]
    wanted = SampleType(
        name="A", version="1.0.0", fields=tuple(Field(name=name, type=Scalar(kind="int")) for name in names)
    )
    model = model_from(wanted)  # a shadowed name is a warning, and warnings are errors here
    assert [field.alias for field in model.model_fields.values()] == names
