"""Generated classes: always valid, always the same, and they read what the sample type says."""

from __future__ import annotations

import ast
import itertools
import subprocess
import sys
import unicodedata
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog import PackableSample
from catalog.codegen import python_class
from catalog.samples.packable import sample_type
from catalog.schema import Array, Field, List, SampleType, Scalar, Unknown
from catalog.schema.identifiers import attribute_names, class_name
from tests.paths import ROOT
from tests.strategies import sample_types

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = (
    "<script>alert(1)</script>", '"""', "'''", '"', "'", "\\", "\\N{BULLET}", "a\nimport os", "a\r\nb",
    "\u202e\u2066evil",
    "{{ 7*7 }}", "{% raw %}", "class", "None", "print", "__class__", "__init__", "self", "_", "__", "1", "", " ", "\0",
    "-*- coding: utf-7 -*-", "# type: ignore", "x" * 5000, "ﬁ", "K", "packed", "from_bytes", "int", "np", "list",
    "Array", "wire", "Dataset", "größe", "😀", "\u2028", "a b", "a-b", "a_b", "mro", "\x85", "f'{1}'", "${x}", "%s",
    "\ud800", "é" * 300, "PackableSample", "dataset", "async", "match", "type", "__key__", "__annotations__",
)  # fmt: skip


def hostile_type(text: str) -> SampleType:
    """The text wherever a sample type has text."""
    fields = (
        Field(name=text, type=Scalar(kind="int"), description=text),
        Field(name=text + "2", type=Array(shape=(1,), dimensions=(text,)), optional=True, description=text),
        Field(name="u" + text, type=List(item=Unknown(schema=f'{{"x": "{text}"}}')), description=text),
    )
    return SampleType(name=text or " ", version=text, fields=fields, description=text)


def made_from(source: str) -> type[PackableSample]:
    """Run generated source and answer its class."""
    namespace: dict[str, Any] = {"__name__": __name__}
    exec(compile(source, "<generated>", "exec", dont_inherit=True), namespace)  # noqa: S102 - that it runs is what is tested
    found = [value for value in namespace.values() if isinstance(value, type) and issubclass(value, PackableSample)]
    return next(value for value in found if value is not PackableSample)


def is_tame(source: str) -> bool:
    """Return whether the source has no control, format or bidi character, and no unusual line break."""
    return all(char == "\n" or unicodedata.category(char)[0] != "C" for char in source) and not {
        "\u2028", "\u2029"
    } & set(source)  # fmt: skip


def essence(wanted: SampleType) -> list[tuple[str, object, bool]]:
    return [(field.name, field.type, field.optional) for field in wanted.fields]


@given(sample_types())
def test_a_generated_class_has_the_sample_type_it_was_made_from(wanted: SampleType) -> None:
    source = python_class(wanted)
    found = sample_type(made_from(source))
    assert (found.name, found.version) == (wanted.name, wanted.version)
    assert essence(found) == essence(wanted)
    assert is_tame(source)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text(text: str) -> None:
    wanted = hostile_type(text)
    source = python_class(wanted, uri=text, cid=text)
    assert is_tame(source)
    source.encode("utf-8")
    (cls,) = [node for node in ast.parse(source).body if not isinstance(node, ast.ImportFrom | ast.Import)]
    assert isinstance(cls, ast.ClassDef)
    assert all(isinstance(node, ast.AnnAssign | ast.Expr) for node in cls.body)
    assert all(isinstance(node.value, ast.Constant) for node in cls.body if isinstance(node, ast.Expr))
    assert [field.name for field in sample_type(made_from(source)).fields] == [field.name for field in wanted.fields]


@given(st.text(), st.text())
def test_any_text_stays_text(text: str, other: str) -> None:
    source = python_class(hostile_type(text + other), uri=other, cid=text)
    ast.parse(source)
    assert is_tame(source)


@given(st.lists(st.text() | st.sampled_from(HOSTILE), unique=True))
def test_names_become_different_plain_identifiers_and_good_ones_stay(wires: list[str]) -> None:
    names = attribute_names(wires)
    assert list(names) == wires
    assert len(set(names.values())) == len(wires)
    assert all(name.isidentifier() and name.isascii() and not name.startswith("_") for name in names.values())


def test_a_good_name_is_not_taken_by_one_that_came_before() -> None:
    assert attribute_names(["a b", "a-b", "a_b", "class", "größe"]) == {
        "a b": "a_b_2", "a-b": "a_b_3", "a_b": "a_b", "class": "class_", "größe": "gro_e",
    }  # fmt: skip
    assert [class_name(text) for text in ("Digit", "my digit", "3d", "list", "print", "Dataset", "…")] == [
        "Digit", "MyDigit", "Sample3d", "list_", "printType", "Dataset_", "Sample",
    ]  # fmt: skip


def test_the_wire_names_of_a_clash_are_kept() -> None:
    fields = tuple(Field(name=name, type=Scalar(kind="int")) for name in ("a b", "a-b", "a_b"))
    made = made_from(python_class(SampleType(name="Clash", version="1.0.0", fields=fields)))
    assert {field.name for field in sample_type(made).fields} == {"a b", "a-b", "a_b"}


def test_the_same_type_gives_the_same_text_and_ten_thousand_fields_are_no_problem() -> None:
    fields = tuple(Field(name=f"field {n}", type=Scalar(kind="int")) for n in range(10_000))
    big = SampleType(name="Big", version="1.0.0", fields=fields)
    source = python_class(big)
    assert source == python_class(big)
    assert source.count("wire(") == 10_000
    ast.parse(source)


LAYOUT = SampleType(
    name="layout of a class",
    version="1.0.0",
    description="What the formatter would do with it.\n\nMore is on the page.",
    fields=(
        Field(name="short", type=Scalar(kind="str")),
        Field(name="class", type=Scalar(kind="bool"), optional=True),
        Field(
            name="image",
            type=Array(dtype="uint8", shape=(480, 640, 3), dimensions=("height of the image", "width", "channel")),
            description="An image.",
        ),
        Field(
            name="depth",
            type=Array(dtype="float32", shape=(480, 640), dimensions=("height of the image", "width")),
            optional=True,
        ),
        Field(name="layers", type=List(item=List(item=Array(dtype="bool", shape=(None, None))))),
        Field(name="old", type=Array(dtype="datetime64[ns]", format="sparseBytes")),
        Field(name="a name with many words " * 4, type=Scalar(kind="float")),
        Field(name="other", type=Unknown(schema="{}"), optional=True),
    ),
)


def test_the_formatter_and_the_strict_type_checker_have_nothing_to_say(tmp_path: Path) -> None:
    path = tmp_path / "generated.py"
    use = 'sample = LayoutOfAClass(short="", class_=None, image=1)\nreveal_type(sample.depth)\n'
    path.write_text(python_class(LAYOUT), encoding="utf-8")
    ruff = [sys.executable, "-m", "ruff"]
    subprocess.run([*ruff, "format", "--isolated", "--check", path], check=True, capture_output=True)
    subprocess.run([*ruff, "check", "--isolated", "--select=E4,E7,E9,F,I,UP", "--config", SECTIONS, path], check=True)
    root = ROOT
    mypy = [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={tmp_path / 'cache'}"]
    clean = subprocess.run([*mypy, path], cwd=root, capture_output=True, text=True, check=False)
    assert clean.returncode == 0, clean.stdout
    path.write_text(python_class(LAYOUT) + "\n\n" + use, encoding="utf-8")  # the control: it knows what is in there
    wrong = subprocess.run([*mypy, path], cwd=root, capture_output=True, text=True, check=False).stdout
    assert "Missing named argument" in wrong
    assert "ndarray" in wrong


SECTIONS = 'lint.isort.known-third-party=["numpy", "catalog"]'


def test_descriptions_are_cut_to_what_is_worth_repeating_in_code() -> None:
    wanted = SampleType(name="A", version="1", fields=(), description=" ".join(["word"] * 1000))
    assert len(python_class(wanted)) < 700
    lines = itertools.islice(python_class(wanted).splitlines(), 20)
    assert all(len(line) <= 88 for line in lines)
