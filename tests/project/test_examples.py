"""The examples: manifests that say what the shards are, shards that can be made again, lenses that keep their laws."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
import yaml

from catalog import Dataset, PackableSample
from catalog.manifest import load
from catalog.samples.packable import class_from, pack, sample_type, unpack
from tests.paths import ROOT

EXAMPLES = ROOT / "examples"
sys.path.append(str(EXAMPLES))  # the lenses are plain files, not a package of ours

from lenses import digits, flowers, nuclei  # type: ignore[import-not-found]  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from catalog.schema import Field, SampleType

MANIFESTS = load([EXAMPLES / "manifests"])
DATASETS: list[dict[str, Any]] = [
    dataset
    for path in sorted((EXAMPLES / "manifests").glob("*.yaml"))
    for dataset in yaml.safe_load(path.read_text(encoding="utf-8")).get("datasets", [])
]
LENSES: list[dict[str, Any]] = [
    lens
    for path in sorted((EXAMPLES / "manifests").glob("*.yaml"))
    for lens in yaml.safe_load(path.read_text(encoding="utf-8")).get("lenses", [])
]


def schema(reference: str) -> SampleType:
    name, _, version = reference.partition("@")
    types = [draft.sample_type for draft in MANIFESTS.schemas]
    return next(found for found in types if (found.name, found.version) == (name, version))


def shape_of(wanted: SampleType) -> list[Field]:
    """The fields without their descriptions, which classes don't carry."""
    return [dataclasses.replace(field, description=None) for field in wanted.fields]


def test_there_are_enough_of_each_and_two_versions_of_one() -> None:
    assert len(DATASETS) >= 3
    assert len(LENSES) >= 3
    names = [draft.sample_type.name for draft in MANIFESTS.schemas]
    assert len(names) >= 4
    assert names.count("DigitSample") == 2


@pytest.mark.parametrize("dataset", DATASETS, ids=lambda dataset: dataset["name"])
def test_the_shards_are_what_the_manifest_says(dataset: dict[str, Any]) -> None:
    paths = [(EXAMPLES / "manifests" / shard["local"]).resolve() for shard in dataset["shards"]]
    for path, shard in zip(paths, dataset["shards"], strict=True):
        raw = path.read_bytes()
        assert (len(raw), hashlib.sha256(raw).hexdigest()) == (shard["bytes"], shard["sha256"])
    made = class_from(schema(dataset["schema"]))
    samples = list(Dataset(paths, made))
    assert len(samples) == dataset["samples"]
    for sample in samples:
        assert unpack(made, pack(sample), validate=True) == sample


@pytest.mark.parametrize("dataset", DATASETS, ids=lambda dataset: dataset["name"])
def test_each_dataset_says_where_it_comes_from_and_under_which_licence(dataset: dict[str, Any]) -> None:
    metadata = dataset["metadata"]
    assert dataset["license"] == "CC-BY-4.0"
    assert metadata["homepage"].startswith("https://archive.ics.uci.edu/dataset/")
    assert metadata["doi"] in metadata["citation"]
    assert metadata["creators"]


def test_the_shards_are_small() -> None:
    assert sum(path.stat().st_size for path in (EXAMPLES / "shards").iterdir()) <= 3 * 2**20


def test_the_script_makes_the_same_bytes_again(tmp_path: Path) -> None:
    root = str(EXAMPLES.parent)
    script = [sys.executable, str(EXAMPLES / "make_shards.py"), str(tmp_path)]
    subprocess.run(script, check=True, capture_output=True, env={"PYTHONPATH": root})
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert made == {path.name: path.read_bytes() for path in (EXAMPLES / "shards").iterdir()}


# --- lenses --------------------------------------------------------------------------------------------------


class Case(NamedTuple):
    """A lens with some of its source samples, and changed targets to put back."""

    get: Callable[[Any], Any]
    put: Callable[[Any, Any], Any]
    sources: list[Any]
    targets: list[Any]
    source: str
    target: str


def shard(name: str, cls: type[PackableSample]) -> list[Any]:
    return Dataset([EXAMPLES / "shards" / f"{name}-000000.tar"], cls).head(20)


def plain_digits() -> list[digits.DigitSample]:
    return [digits.without_ink(digit) for digit in shard("digits", digits.InkedDigit)]


CASES = {
    "flatten": Case(
        digits.flatten, digits.unflatten, plain_digits(),
        [digits.FlatDigit(pixels=np.arange(64, dtype=np.uint8), label=label) for label in (3, 4)],
        "DigitSample@1.0.0", "FlatDigit@1.0.0",
    ),
    "without ink": Case(
        digits.without_ink, digits.with_its_ink, shard("digits", digits.InkedDigit), plain_digits()[5:],
        "DigitSample@1.1.0", "DigitSample@1.0.0",
    ),
    "iris measurements": Case(
        flowers.measurements, flowers.remeasured, shard("iris", flowers.IrisSample),
        [flowers.LabelledVector(vector=np.array([0.1, 2.0, -3.0, 1e-9]), label="new")],
        "IrisSample@1.0.0", "LabelledVector@1.0.0",
    ),
    "nuclei statistics": Case(
        nuclei.statistics, nuclei.from_statistics, shard("breast-cancer", nuclei.NucleiSample),
        [nuclei.LabelledVector(vector=np.linspace(0, 1, 30), label="new")],
        "NucleiSample@1.0.0", "LabelledVector@1.0.0",
    ),
}  # fmt: skip


def law_breaches(case: Case) -> list[str]:
    """The laws that don't hold for the samples of a case."""
    broken = set()
    for source in case.sources:
        if case.put(case.get(source), source) != source:
            broken.add("GetPut")
        for target in case.targets:
            if case.get(case.put(target, source)) != target:
                broken.add("PutGet")
            for first in case.targets:
                if case.put(target, case.put(first, source)) != case.put(target, source):
                    broken.add("PutPut")
    return sorted(broken)


@pytest.mark.parametrize("name", [lens["name"] for lens in LENSES])
def test_each_lens_keeps_the_three_laws(name: str) -> None:
    assert law_breaches(CASES[name]) == []


def test_a_lens_that_forgets_breaks_a_law() -> None:
    case = CASES["without ink"]
    forgetful = case._replace(put=lambda plain, _: digits.InkedDigit(image=plain.image, label=plain.label))
    assert law_breaches(forgetful) == ["GetPut"]


@pytest.mark.parametrize("lens", LENSES, ids=lambda lens: lens["name"])
def test_each_lens_leads_between_its_schemas(lens: dict[str, Any]) -> None:
    case = CASES[lens["name"]]
    assert (case.source, case.target) == (lens["source"], lens["target"])
    for reference, sample in ((case.source, case.sources[0]), (case.target, case.get(case.sources[0]))):
        found = sample_type(type(sample))
        assert (found.name, found.version) == tuple(reference.split("@"))
        assert shape_of(found) == shape_of(schema(reference))


@pytest.mark.parametrize("lens", LENSES, ids=lambda lens: lens["name"])
def test_the_code_of_each_lens_is_in_the_commit_that_its_manifest_names(lens: dict[str, Any]) -> None:
    root = EXAMPLES.parent
    for side, function in (("getter", CASES[lens["name"]].get), ("putter", CASES[lens["name"]].put)):
        path, _, name = lens[side]["path"].partition(":")
        assert name == function.__name__
        assert re.fullmatch(r"[0-9a-f]{40}", lens[side]["commit"])
        assert f"def {name}(" in (root / path).read_text(encoding="utf-8")
        if not (root / ".git").exists():
            pytest.skip("not a git checkout: the commit can't be looked up")
        command = ["git", "show", f"{lens[side]['commit']}:{path}"]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip("a shallow clone: the commit is not in it")
        assert done.stdout == (root / path).read_text(encoding="utf-8")
