"""Generated code in every language is safe, names its origin, and keeps the wire names."""

from __future__ import annotations

import ast
import json
import random
import re
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.codegen import LANGUAGES, Source, generate, package
from catalog.errors import InvalidConfig
from catalog.schema import Field, SampleType, Scalar
from tests.codegen.test_codegen import HOSTILE, hostile_type, is_tame
from tests.codegen_cases import (
    NAMES,
    example_sources,
    hostile_sources,
)
from tests.strategies import sample_types

if TYPE_CHECKING:
    from pathlib import Path

TEXT = r'"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\''


@pytest.mark.parametrize("language", LANGUAGES)
@settings(max_examples=50)
@given(wanted=sample_types(), uri=st.none() | st.text(), cid=st.none() | st.text())
def test_any_type_gives_tame_text_and_the_same_text_gives_the_same(
    language: str, wanted: SampleType, uri: str | None, cid: str | None
) -> None:
    made = generate(wanted, language, uri=uri, cid=cid)
    assert made == generate(wanted, language, uri=uri, cid=cid)
    assert is_tame(made)
    made.encode("utf-8")
    assert made.endswith("\n")
    assert not re.search(r"[ \t]$", made, re.MULTILINE)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_tame_in_every_language(language: str, text: str) -> None:
    made = generate(hostile_type(text), language, uri=text, cid=text)
    assert is_tame(made)
    made.encode("utf-8")


@pytest.mark.parametrize("language", LANGUAGES)
def test_code_says_where_it_comes_from(language: str) -> None:
    wanted = SampleType(name="A", version="1.0.0", fields=())
    made = generate(wanted, language, uri="at://example.org/science.alt.dataset.schema/A", cid="bafyreib")
    assert "at://example.org/science.alt.dataset.schema/A" in made
    assert "bafyreib" in made
    assert "at://" not in generate(wanted, language)


def test_ten_thousand_fields_are_no_problem() -> None:
    fields = tuple(Field(name=f"a b {n}", type=Scalar(kind="int")) for n in range(10_000))
    big = SampleType(name="Big", version="1.0.0", fields=fields)
    for language in LANGUAGES:
        assert "a b 9999" in generate(big, language)


def test_an_unknown_language_is_refused_with_those_that_are_known() -> None:
    wanted = SampleType(name="A", version="1.0.0", fields=())
    with pytest.raises(InvalidConfig, match="python, pydantic") as caught:
        generate(wanted, "cobol")
    assert caught.value.hint is not None
    with pytest.raises(InvalidConfig):
        package([Source(sample_type=wanted)], "cobol")
    with pytest.raises(InvalidConfig, match="no schemas"):
        package([], "python")


# --- templates -----------------------------------------------------------------------------------------------


def test_a_folder_of_templates_wins_over_ours_file_by_file(tmp_path: Path) -> None:
    (tmp_path / "rust.jinja").write_text("{{ name }}: {% for f in fields %}{{ f.name }}={{ f.wire }}{% endfor %}\n\n")
    wanted = SampleType(name="a", version="1.0.0", fields=(Field(name="b c", type=Scalar(kind="int")),))
    assert generate(wanted, "rust", templates=tmp_path) == 'A: b_c="b c"\n'
    assert generate(wanted, "python", templates=tmp_path) == generate(wanted, "python")
    files = package([Source(sample_type=wanted)], "rust", templates=tmp_path)
    assert files["a_v1_0_0.rs"] == 'A: b_c="b c"\n'
    assert files["mod.rs"] == package([Source(sample_type=wanted)], "rust")["mod.rs"]


@pytest.mark.parametrize(
    "text", ["{% if %}", "{{ nothing }}", "{{ name.x.y }}", "{{ 1 / 0 }}", "{{ name + 1 }}", '{% include "no" %}']
)
def test_a_wrong_template_is_an_error_that_says_where(tmp_path: Path, text: str) -> None:
    (tmp_path / "rust.jinja").write_text(text)
    with pytest.raises(InvalidConfig) as caught:
        generate(SampleType(name="A", version="1.0.0", fields=()), "rust", templates=tmp_path)
    assert caught.value.where is not None
    assert str(tmp_path) in caught.value.where or caught.value.where.startswith("no")


def test_templates_that_are_no_folder_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match="template folder"):
        generate(SampleType(name="A", version="1.0.0", fields=()), "rust", templates=tmp_path / "nowhere")


# --- packages ------------------------------------------------------------------------------------------------


def versions(*texts: str, name: str = "DigitSample", account: str = "a.example") -> list[Source]:
    return [
        Source(
            sample_type=SampleType(name=name, version=text, fields=()),
            uri=f"at://{account}/science.alt.dataset.schema/{name}:{text}",
        )
        for text in texts
    ]


def test_every_version_has_a_module_and_the_newest_the_plain_name() -> None:
    files = package(versions("1.9.0", "1.10.0", "2.0.0-rc.1", "1.0.0"), "python")
    assert list(files) == [
        "__init__.py", "digit_sample_v1_0_0.py", "digit_sample_v1_10_0.py", "digit_sample_v1_9_0.py",
        "digit_sample_v2_0_0_rc_1.py", "py.typed",
    ]  # fmt: skip
    assert "from .digit_sample_v2_0_0_rc_1 import DigitSample\n" in files["__init__.py"]
    assert "from .digit_sample_v1_9_0 import DigitSample as DigitSampleV1_9_0\n" in files["__init__.py"]


def test_a_release_is_newer_than_its_candidates() -> None:
    files = package(versions("1.0.0", "1.0.0-rc.2"), "python")
    assert "from .digit_sample_v1_0_0 import DigitSample\n" in files["__init__.py"]


def test_accounts_with_schemas_of_one_name_each_keep_theirs() -> None:
    sources = [*versions("1.0.0"), *versions("2.0.0", account="b.example")]
    index = package(sources, "typescript")["index.ts"]
    assert "type DigitSample,\n" in index
    assert "type DigitSample as DigitSample_2," in index


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_order_of_the_schemas_does_not_matter(language: str) -> None:
    sources = [*hostile_sources(), *example_sources()]
    other = random.Random(1).sample(sources, len(sources))  # noqa: S311 - nothing secret
    assert package(sources, language) == package(other, language)


@pytest.mark.parametrize("language", LANGUAGES)
@given(
    names=st.lists(st.text(max_size=10) | st.sampled_from([*HOSTILE, *NAMES, "con", "CON", "aux", "../x", "/", "."]))
)
def test_file_names_are_plain_and_different_everywhere(language: str, names: list[str]) -> None:
    sources = [
        Source(sample_type=SampleType(name=name, version=version, fields=()))
        for name in names
        for version in ("1.0.0", name)
    ]
    if not sources:
        return
    files = list(package(sources, language))
    assert len({name.lower() for name in files}) == len(files)
    assert len(files) >= len({(source.sample_type.name, source.sample_type.version) for source in sources})
    assert all(re.fullmatch(r"[A-Za-z0-9_]{1,120}\.[a-z]+", name) for name in files)
    assert not {name.split(".")[0].lower() for name in files} & {"con", "prn", "aux", "nul", "com1", "lpt1"}


# --- wire names ----------------------------------------------------------------------------------------------


@given(st.lists(st.sampled_from([*HOSTILE, *NAMES]) | st.text(), unique=True, max_size=5))
def test_the_wire_name_is_kept_in_the_source_of_every_language(names: list[str]) -> None:
    wanted = SampleType(
        name="A", version="1.0.0", fields=tuple(Field(name=name, type=Scalar(kind="int")) for name in names)
    )
    calls = [node for node in ast.walk(ast.parse(generate(wanted, "pydantic"))) if isinstance(node, ast.AnnAssign)]
    kept = [wire_of(node) for node in calls if isinstance(node.annotation, ast.Name)]
    assert kept == names
    reading = re.findall(rf"required\(\s*fields,\s*({TEXT}),", generate(wanted, "typescript"))
    assert [from_typescript(text) for text in reading] == names
    rust = re.finditer(r'(?:rename = "((?:[^"\\]|\\.)*)"\s*\)\]\s+)?pub (?!struct)(\S+): i64', generate(wanted, "rust"))
    found = [field[2].removeprefix("r#") if field[1] is None else from_rust(field[1]) for field in rust]
    assert found == [re.sub("[\ud800-\udfff]", "\ufffd", name) for name in names]
    assert list(json.loads(generate(wanted, "jsonschema"))["properties"]) == names


def wire_of(node: ast.AnnAssign) -> str:
    assert isinstance(node.target, ast.Name)
    if not isinstance(node.value, ast.Call):
        return node.target.id
    alias = next(keyword.value for keyword in node.value.keywords if keyword.arg == "alias")
    assert isinstance(alias, ast.Constant)
    return cast("str", alias.value)


def from_typescript(text: str) -> str:
    if text.startswith("'"):
        text = re.sub(r"\\'|\"", lambda match: {"\\'": "'", '"': '\\"'}[match[0]], text)
        text = f'"{text[1:-1]}"'
    made: str = json.loads(text)
    return made


def from_rust(text: str) -> str:
    def character(match: re.Match[str]) -> str:
        return chr(int(match[1], 16)) if match[1] else match[2]

    return re.sub(r"\\(?:u\{([0-9a-f]+)\}|(.))", character, text)
