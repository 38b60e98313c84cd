"""Values of manifests are as written: the core schema of YAML 1.2.2 (section 10.3), and text where text is meant."""

from __future__ import annotations

import json
import math
import re
import sys
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from click.testing import CliRunner
from hypothesis import example, given
from hypothesis import strategies as st

from catalog.cli import cli
from catalog.errors import InvalidManifest
from catalog.manifest import load
from catalog.manifest.diagnostics import MAX_FAULTS, Report
from catalog.manifest.scalars import plain_value
from catalog.manifest.starter import manifest_schema
from catalog.manifest.yaml_parser import Node, compose

if TYPE_CHECKING:
    from collections.abc import Callable

SCHEMA = """\
schemas:
  - {name: Digit, version: 1.0.0, license: MIT, fields: {label: int}}
"""
DATASET = """\
datasets:
  - name: two
    schema: Digit@1.0.0
    license: MIT
    shards: [{url: "https://data.example/b.tar", sha256: %s, bytes: 10}]
    metadata: {%s}
"""
ZEROS = f"'{'0' * 64}'"


def value_of(text: str) -> Any:  # noqa: ANN401
    """Return the metadata value of a scalar as written in a manifest."""
    root = compose(f"a: {text}\n".encode(), Report(Path("m.yaml")))
    assert isinstance(root.value, dict)
    return root.value["a"].value


# --- the core schema -----------------------------------------------------------------------------------------

# YAML 1.2.2, section 10.3.2, tag resolution of the core schema: as it stands there, but for the slashes.
TABLE = {
    "null": r"null|Null|NULL|~|",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"[-+]?[0-9]+",
    "int8": r"0o[0-7]+",
    "int16": r"0x[0-9a-fA-F]+",
    "float": r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?",
    "infinity": r"[-+]?(\.inf|\.Inf|\.INF)",
    "nan": r"\.nan|\.NaN|\.NAN",
}


def by_the_table(text: str) -> str:
    """The kind of a plain scalar by the specification; digits with a leading zero are our exception."""
    if re.fullmatch(r"[-+]?0[0-9]+", text):
        return "text"
    return next((kind for kind, pattern in TABLE.items() if re.fullmatch(pattern, text)), "text")


def kind_of(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, float):
        return "nan" if math.isnan(value) else "float"
    return {bool: "bool", int: "int", str: "text"}[type(value)]


@given(text=st.text("0123456789.eE+-xo_:bnaifNAIFtruTRUEyso~lL", max_size=8) | st.from_regex("|".join(TABLE.values())))
@example(text="1e-4")
@example(text="-.INF")
@example(text="0o08")
@example(text=".")
@example(text="+")
@example(text="1_000")
@example(text="12:30")
@example(text="0b11")
@example(text="2024-01-01")
def test_a_plain_scalar_has_the_kind_that_the_specification_says(text: str) -> None:
    """Any text, against the table of section 10.3.2."""
    text = text.strip()
    meant = by_the_table(text)
    value = plain_value(text)
    expected = {"int8": "int", "int16": "int"}.get(meant, meant)
    if meant == "infinity" or (meant == "float" and isinstance(value, float) and math.isinf(value)):
        assert isinstance(value, float)
        assert math.isinf(value)
    else:
        assert kind_of(value) == expected
    if expected == "text":
        assert value == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        # the examples of section 10.3.2
        ("null", None), ("", None), ("~", None), ("NULL", None),
        ("true", True), ("True", True), ("false", False), ("FALSE", False),
        ("0", 0), ("0o7", 7), ("0x3A", 58), ("-19", -19),
        ("0.", 0.0), ("-0.0", -0.0), (".5", 0.5), ("+12e03", 12000.0), ("-2E+05", -200000.0),
        (".inf", math.inf), ("-.Inf", -math.inf), ("+.INF", math.inf),
        # numbers that YAML 1.1 takes for text, and texts that it takes for something else
        ("1e-4", 0.0001), ("1e3", 1000.0), ("0o17", 15), ("0x1F", 31),
        ("NO", "NO"), ("yes", "yes"), ("on", "on"), ("Off", "Off"), ("y", "y"), ("=", "="),
        ("12:30", "12:30"), ("1:30:00", "1:30:00"), ("1_000", "1_000"), ("0b101", "0b101"), ("01234", "01234"),
        ("2024-01-01", "2024-01-01"), ("2024-13-45", "2024-13-45"), ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z"),
        ("'1e-4'", "1e-4"), ('"true"', "true"), ("! 12", "12"), ("!!str 12", "12"), ("!!float 3", 3.0),
        ("!!int 0123", 123), ("!!null ''", None), ("!!binary aGk=", b"hi"),
    ],
)  # fmt: skip
def test_a_value_is_what_is_written(text: str, value: object) -> None:
    """Kind and value, whatever is in quotes is text."""
    found = value_of(text)
    assert (type(found), found) == (type(value), value)
    assert not isinstance(value, float) or math.copysign(1, found) == math.copysign(1, value)


def test_nan_is_read() -> None:
    """In its three spellings, which equal nothing."""
    assert all(math.isnan(value_of(text)) for text in (".nan", ".NaN", ".NAN"))


# --- text where text is meant --------------------------------------------------------------------------------

DIGESTS = [
    "1234567890" * 6 + "1234", "0" * 64, "0" * 63 + "7", "1e" + "10" * 31, "1e33" * 16, "9" * 64,
    "00e" + "1" * 61, "1" * 32 + "e" + "0" * 31,
]  # fmt: skip


@pytest.mark.parametrize("digest", DIGESTS)
def test_a_checksum_without_quotes_is_read_as_written(tmp_path: Path, digest: str) -> None:
    """Whatever number it looks like; with quotes it is the same."""
    assert len(digest) == 64
    for text in (digest, f"'{digest}'"):
        (tmp_path / "m.yaml").write_text(SCHEMA + DATASET % (text, ""), encoding="utf-8")
        assert load([tmp_path]).datasets[0].shards[0].sha256 == digest


TEXTS = ["2024", "1e3", "1.10", "NO", "true", "012", "0x1F", "-.inf", "12:30", "2024-01-01", "1_000", "9" * 45]


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_without_quotes_is_read_as_written(tmp_path: Path, text: str) -> None:
    """In every key that takes any text; the editor takes it, too."""
    manifest = f"""\
set: {text}
schemas:
  - name: S
    version: 1.0.0
    license: {text}
    tags: [{text}]
    fields: {{label: {{type: 'array[int8, *]', dimensions: [{text}], description: {text}}}}}
datasets:
  - name: {text}
    schema: S@1.0.0
    description: {text}
    license: {text}
    tags: [{text}]
    s3: {{bucket: b, region: {text}, keys: [{text}, {{key: x, local: {text}}}]}}
labels:
  - {{name: latest, dataset: {text}, description: {text}}}
"""
    (tmp_path / "m.yaml").write_text(manifest, encoding="utf-8")
    found = load([tmp_path])
    (schema,), (dataset,), (label,) = found.schemas, found.datasets, found.labels
    (field,) = schema.sample_type.fields
    assert {found.name, schema.license, field.description, dataset.name, dataset.description, dataset.license} == {text}
    assert (schema.tags, dataset.tags, dataset.shards[0].url) == ((text,), (text,), text)
    assert dataset.bucket is not None
    assert (dataset.bucket.region, label.dataset, label.description) == (text, text, text)
    assert dataset.shards[1].local == tmp_path / text

    def as_read(node: Node) -> Any:  # noqa: ANN401
        if isinstance(node.value, dict):
            return {key: as_read(item) for key, item in node.value.items()}
        return [as_read(item) for item in node.value] if isinstance(node.value, list) else node.value

    tree = as_read(compose(manifest.encode(), Report(Path("m.yaml"))))
    assert jsonschema.Draft7Validator(json.loads(manifest_schema())).is_valid(tree)


@pytest.mark.parametrize("version", ["1.0", "1.10", "1", "2024", "1e3", "01.0.0"])
def test_a_version_is_named_with_what_is_written(tmp_path: Path, version: str) -> None:
    """A version has three numbers; the hint keeps the zero at the end of 1.10."""
    (tmp_path / "m.yaml").write_text(SCHEMA.replace("1.0.0", version), encoding="utf-8")
    with pytest.raises(InvalidManifest) as caught:
        load([tmp_path])
    (fault,) = caught.value.faults
    assert fault.where.endswith("m.yaml:2")
    assert version != "1.10" or "1.10.0" in str(fault.hint)


# --- hints ---------------------------------------------------------------------------------------------------

DOUBTFUL = [
    "NO", "yes", "on", "01234", "-012", "12:30", "1_000", "0b101", "3.10", "0.12345678901234567890", "None", "nan",
]  # fmt: skip
CLEAR = ["'NO'", "'01234'", "1e-4", "0.5", "12.5", "text", "2024-01-01", "0", "true", "~", "0o17", "1", "no more", "y"]


@pytest.mark.parametrize("where", ["metadata", "content_metadata"])
def test_a_doubtful_value_is_named_and_a_clear_one_is_not(tmp_path: Path, where: str) -> None:
    """Only in the maps that take any value; validate says file and line, and is content."""
    texts = [text for text in DOUBTFUL if where == "metadata" or "." not in text]
    for text in (*texts, *(text for text in CLEAR if where == "metadata" or "." not in text)):
        manifest = (SCHEMA + DATASET % (ZEROS, f"key: {text}")).replace(" metadata:", f" {where}:")
        if where == "content_metadata" and text == "1e-4":
            continue
        (tmp_path / "m.yaml").write_text(manifest, encoding="utf-8")
        result = CliRunner().invoke(cli, ["validate", str(tmp_path)])
        assert result.exit_code == 0, (text, result.output)
        assert (f"m.yaml:8: {text!r} " in result.stderr) == (text in DOUBTFUL), (text, result.stderr)


def test_many_doubts_are_counted(tmp_path: Path) -> None:
    """Not a line each for thousands of country codes."""
    codes = ", ".join(f"a{number}: NO" for number in range(3000))
    (tmp_path / "m.yaml").write_text(SCHEMA + DATASET % (ZEROS, codes), encoding="utf-8")
    doubts = load([tmp_path]).doubts
    assert len(doubts) < 30
    assert "2,980 more" in doubts[-1]


# --- time in proportion to size ------------------------------------------------------------------------------


def dataset_of(metadata: str) -> str:
    return SCHEMA + DATASET % (ZEROS, metadata)


SHAPES: dict[str, Callable[[int], str]] = {
    "numbers of many digits": lambda n: dataset_of(f"a: 0.{'9' * (n * 40)}, b: {'x' * n}"),
    "a number in base 60": lambda n: dataset_of(f"a: 1{':59' * (n * 40)}"),
    "a whole number of many digits": lambda n: dataset_of(f"a: {'9' * (n * 40)}"),
    "a hexadecimal number": lambda n: dataset_of(f"a: 0x{'f' * (n * 40)}"),
    "digits and an underscore": lambda n: dataset_of(f"a: 1{'_' * (n * 40)}x"),
    "unknown keys": lambda n: "".join(f"k{i}: 1\n" for i in range(n)),
    "keys that stand twice": lambda n: "a: 1\n" * n,
    "missing schemas": lambda n: (
        SCHEMA
        + "datasets:\n"
        + "".join(
            f"- {{name: d{i}, schema: Digti{i}@1.0.0, shards: [{{url: 'https://a.example'}}]}}\n" for i in range(n)
        )
    ),
    "sound datasets": lambda n: (
        SCHEMA
        + "datasets:\n"
        + "".join(f"- {{name: d{i}, schema: Digit@1.0.0, shards: [{{url: 'https://a.example'}}]}}\n" for i in range(n))
    ),
    "missing copies": lambda n: (
        SCHEMA
        + "datasets:\n"
        + "".join(f"- {{name: d{i}, schema: Digit@1.0.0, blobs: {{local: 'no{i}*'}}}}\n" for i in range(n))
    ),
    "anchors and aliases": lambda n: dataset_of(", ".join(f"a{i}: &n{i} [x], b{i}: *n{i}" for i in range(n))),
    "a long key above many values": lambda n: dataset_of(f"{'k' * 900}: [{', '.join('1' * n)}]"),
    "a long list of tags": lambda n: SCHEMA.replace("license: MIT", f"tags: [{', '.join(map(str, range(n)))}]"),
    "a long line of text": lambda n: SCHEMA.replace("MIT", "'" + "words and words " * n + "'"),
    "comments": lambda n: SCHEMA + "# nothing\n" * n,
    "a tab at the end": lambda n: SCHEMA + "# nothing\n" * n + "\t\t: x",
}


def calls_of(folder: Path, text: str) -> int:
    """Return the number of calls, of Python and C functions, while a manifest is read."""
    (folder / "m.yaml").write_text(text, encoding="utf-8")
    count = 0

    def counting(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(counting)
    try:
        load([folder / "m.yaml"])
    except InvalidManifest:
        pass
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_reading_four_times_as_much_takes_about_four_times_the_work(
    tmp_path: Path, shape: Callable[[int], str]
) -> None:
    """Counted in calls, not in seconds: what is quadratic takes sixteen times."""
    calls_of(tmp_path, shape(1))  # what is done once only
    once, four_times = calls_of(tmp_path, shape(150)), calls_of(tmp_path, shape(600))
    assert four_times < 5 * once + 2000


@pytest.mark.parametrize("form", ["1" + ":59" * 250_000, "9" * 250_000, "0x" + "f" * 250_000, "1." + "3" * 250_000])
def test_a_long_number_is_not_converted_digit_by_digit(form: str) -> None:
    """Whole numbers of any length are far beyond each limit, and no longer than that; base 60 is text."""
    value = plain_value(form)
    assert value == form if ":" in form else isinstance(value, float) or value == 10**40


def test_the_lines_of_values_below_long_keys_take_no_memory(tmp_path: Path) -> None:
    """A key of 40 kB above 20,000 values: their paths together would have 800 MB."""
    text = dataset_of(f"? {'k' * 40_000}\n      : [{', '.join('1' * 20_000)}]")
    (tmp_path / "m.yaml").write_text(text, encoding="utf-8")
    tracemalloc.start()
    try:
        load([tmp_path])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 50_000_000


def test_patterns_of_a_file_have_a_budget_together(tmp_path: Path) -> None:
    """Each of 200 datasets stands for 100,000 shards, in 100 bytes."""
    shards = 'shards: [{url: "https://a.example/{000000..099999}.tar"}]'
    lines = [f"- {{name: d{number}, schema: Digit@1.0.0, {shards}}}" for number in range(200)]
    text = SCHEMA + "datasets:\n" + "\n".join(lines) + "\n"
    (tmp_path / "m.yaml").write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("catalog.manifest.shards._MAX_SHARDS_OF_FILE", 200_000)
        with pytest.raises(InvalidManifest) as caught:
            load([tmp_path])
    (fault,) = caught.value.faults
    assert fault.where.endswith("m.yaml:6")
    assert "200,000 shards" in fault.message


def test_mistakes_without_end_end_the_reading_of_a_file(tmp_path: Path) -> None:
    """The first thousand, and one line that there are more."""
    (tmp_path / "m.yaml").write_text("".join(f"k{number}: 1\n" for number in range(5000)), encoding="utf-8")
    with pytest.raises(InvalidManifest) as caught:
        load([tmp_path])
    assert len(caught.value.faults) == MAX_FAULTS + 1
