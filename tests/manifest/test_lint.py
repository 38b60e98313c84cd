"""Warnings of validate, plan and publish: licences, TODOs, shards without a checksum."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from catalog.cli import cli
from catalog.manifest import load
from catalog.manifest.lint import warnings
from catalog.records.licences import is_spdx, spdx_id, spdx_like, title
from tests.paths import ROOT

EXAMPLES = ROOT / "examples" / "manifests"
MANIFEST = """\
schemas:
  - name: Point
    version: 1.0.0
    license: "{schema}"
    fields: {{x: float}}
datasets:
  - name: villages
    schema: Point@1.0.0
    {dataset}
    shards:
      - url: https://data.example/villages.tar
        sha256: {sha256}
"""


def _warnings(
    folder: Path, *, schema: str = "MIT", dataset: str = "license: MIT", sha256: str = "ab" * 32
) -> list[str]:
    file = folder / "points.yaml"
    file.write_text(MANIFEST.format(schema=schema, dataset=dataset, sha256=sha256), encoding="utf-8")
    return [line.replace(f"{file}", "points.yaml") for line in warnings(load([file]))]


@pytest.mark.parametrize(
    "licence", ["MIT", "cc-by-4.0", "EUPL-1.2", "MIT OR Apache-2.0", "LicenseRef-ours", "https://data.example/terms"]
)
def test_a_licence_that_people_can_look_up_is_nothing_to_speak_of(tmp_path: Path, licence: str) -> None:
    assert _warnings(tmp_path, schema=licence, dataset=f"license: {licence}") == []


@pytest.mark.parametrize(
    ("licence", "hint"),
    [
        ("CC-BY-5.0", "did you mean 'CC-BY-4.0'?"),
        ("CC BY 4.0", "did you mean 'CC-BY-4.0'?"),
        ("cc_by_sa-4", "did you mean 'CC-BY-SA-4.0'?"),
        ("Apache 2", "did you mean 'Apache-2.0'?"),
        ("MIT Licence", "did you mean 'MIT'?"),
        ("(((", "identifiers: https://spdx.org/licenses/"),
        ("(" * 150, "identifiers: https://spdx.org/licenses/"),
        ("ask us", "identifiers: https://spdx.org/licenses/"),
        ("//[", "identifiers: https://spdx.org/licenses/"),
    ],
)
def test_a_licence_that_spdx_does_not_list_is_told_with_what_was_meant(tmp_path: Path, licence: str, hint: str) -> None:
    (schema,) = _warnings(tmp_path, schema=licence)
    assert schema.startswith("points.yaml:4: licence ")
    assert schema.endswith(f"({hint})")
    (dataset,) = _warnings(tmp_path, dataset=f"license: '{licence}'")
    assert dataset.startswith("points.yaml:9: licence ")


def test_datasets_without_a_licence_are_one_line(tmp_path: Path) -> None:
    (line,) = _warnings(tmp_path, dataset="tags: [a]")
    assert line.startswith("points.yaml:7: dataset 'villages' has no licence")
    more = "".join(
        f"  - {{name: n{number}, schema: Point@1.0.0, shards: [{{url: 'https://data.example/{number}.tar'}}]}}\n"
        for number in range(3)
    )
    (tmp_path / "points.yaml").write_text(
        MANIFEST.format(schema="MIT", dataset="tags: [a]", sha256="ab" * 32) + more, encoding="utf-8"
    )
    unchecked, without = warnings(load([tmp_path / "points.yaml"]))
    assert unchecked.startswith("3 shards without a checksum")
    assert "'villages' and 3 more have no licence" in without


def test_what_is_left_to_do_is_told_with_its_first_line(tmp_path: Path) -> None:
    """Comments only: a description may speak of TODO lists."""
    assert _warnings(tmp_path, dataset="license: MIT\n    description: A TODO list.") == []
    assert _warnings(tmp_path, dataset="license: MIT  # TODO: ask") == ["points.yaml:9: 1 TODO is left"]
    assert _warnings(tmp_path, dataset="# TODO: ask\n    # TODO: more\n    license: MIT") == [
        "points.yaml:9: 2 TODOs are left"
    ]


def test_the_examples_leave_nothing_to_say() -> None:
    assert warnings(load([EXAMPLES])) == ()


def test_validate_tells_it_beside_its_verdict(tmp_path: Path) -> None:
    """On standard error; as JSON in the answer, too. It is no mistake."""
    _warnings(tmp_path, schema="CC BY 4.0")
    file = str(tmp_path / "points.yaml")
    ran = CliRunner().invoke(cli, ["validate", file])
    assert (ran.exit_code, ran.stdout) == (0, "valid: 1 schema, 1 dataset\n")
    assert "did you mean 'CC-BY-4.0'?" in ran.stderr
    told = json.loads(CliRunner().invoke(cli, ["validate", "--json", file]).stdout)["advice"]
    assert told == list(warnings(load([Path(file)])))


def test_identifiers_are_written_as_spdx_does() -> None:
    for text, found in (("mit", "MIT"), (" eupl-1.2 ", "EUPL-1.2"), ("MIT OR ISC", None), ("LicenseRef-x", None)):
        assert spdx_id(text) == found
    for text in ("Apache-2.0+", "nothing", "", "a" * 5000, "\0"):
        assert spdx_id(text) is None
    assert is_spdx("MIT AND (ISC OR 0BSD)")
    assert not is_spdx("MIT AND")
    assert spdx_like("nothing of the kind") is None
    assert title("MIT") == "MIT License"
    assert title("EUPL-1.2") == "text at spdx.org"
    assert title("our own") is None
