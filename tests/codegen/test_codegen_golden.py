"""Golden files: a schema, and the code of every language made from it, in one file a case.

``UPDATE_GOLDEN=1`` writes them again; look at the difference before you commit it.
"""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING

import pytest

from catalog.codegen import LANGUAGES, Source, generate, package
from catalog.schema import SampleType, read_body
from tests.codegen_cases import example_sources
from tests.paths import TESTS

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = TESTS / "data" / "codegen"
CASES = sorted(path.stem for path in FOLDER.glob("*.json"))
SHARED = ("_samples.py", "samples.ts", "ndarray.rs")


def source_of(path: Path) -> Source:
    """The schema in a case's file: the content of a record, with the name, version and address beside it."""
    case = json.loads(path.read_text(encoding="utf-8"))
    sample_type = SampleType(
        name=case["name"],
        version=case["version"],
        fields=read_body(case["schema"]),
        description=case.get("description"),
    )
    return Source(sample_type=sample_type, uri=case.get("uri"), cid=case.get("cid"))


def check(path: Path, files: dict[str, str]) -> None:
    """The files, one after the other, are what the golden file says."""
    text = "\n".join(f"======== {name}\n{text}" for name, text in files.items())
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("case", CASES)
def test_a_schema_gives_the_code_in_the_golden_file(case: str) -> None:
    source = source_of(FOLDER / f"{case}.json")
    files: dict[str, str] = {}
    for language in LANGUAGES:
        made = package([source], language)
        files |= {f"{language} {name}": text for name, text in made.items() if re.search(r"_v[0-9]", name)}
    check(FOLDER / f"{case}.txt", files)


def test_what_modules_share_and_the_indexes_are_those_in_the_golden_file() -> None:
    files: dict[str, str] = {}
    for language in LANGUAGES:
        made = package(example_sources(), language)
        files |= {f"{language} {name}": text for name, text in made.items() if not re.search(r"_v[0-9]", name)}
    assert {name.split()[1] for name in files} >= {*SHARED, "__init__.py", "index.ts", "mod.rs", "index.json"}
    check(FOLDER / "package.txt", files)


def test_a_file_by_itself_is_the_module_of_a_package_with_what_it_shares() -> None:
    source = source_of(FOLDER / "digits.json")
    files = {
        language: generate(source.sample_type, language, uri=source.uri, cid=source.cid)
        for language in ("pydantic", "typescript", "rust")
    }
    check(FOLDER / "alone.txt", files)
