"""Single samples by position, key and condition: of shards with manifests only their bytes are read."""

from __future__ import annotations

import math
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog import Dataset, PackableSample, Shard, write_samples
from catalog.config import NetworkSettings
from catalog.datasets.where import parse_condition
from catalog.errors import PublishError, UnknownKey
from catalog.samples.shard_manifest import manifest_paths, read_manifest
from catalog.samples.statistics import Statistics
from catalog.shards.shard import ManifestFiles
from tests.fakes import Asked, Fake, answer, fake_server

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from http.server import BaseHTTPRequestHandler

LOOPBACK = NetworkSettings(allow_loopback=True)
COUNT = 40


class Item(PackableSample):
    label: int
    name: str | None
    data: bytes


def items(shards: int = COUNT, each: int = 50) -> list[Item]:
    chance = np.random.default_rng(7)
    made = []
    for number in range(shards * each):
        rare = number % 100 == 7
        name = None if number % 3 else f"n{number}"
        made.append(Item(label=99 if rare else number // each, name=name, data=chance.bytes(4000)))
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("shards")
    write_samples(items(), made / "a-%06d.tar", maxcount=50, manifest=True)
    return made


class Served:
    """Files of a folder, by ranges unless ``ranges`` is false; counts the bytes that were sent."""

    def __init__(self, folder: Path, *, ranges: bool = True) -> None:
        self.folder, self.ranges = folder, ranges
        self.sent: list[int] = []

    def __call__(self, handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        raw = (self.folder / asked.path.rpartition("/")[2]).read_bytes()
        wanted = re.fullmatch(r"bytes=([0-9]+)-([0-9]+)", asked.headers.get("range", ""))
        if wanted is None or not self.ranges:
            self.sent.append(len(raw))
            answer(handler, raw)
            return
        begin, end = int(wanted[1]), min(int(wanted[2]) + 1, len(raw))
        self.sent.append(end - begin)
        answer(handler, raw[begin:end], 206, Content_Range=f"bytes {begin}-{end - 1}/{len(raw)}")


def remote(fake: Fake, served: Served) -> Dataset[Item]:
    shards = []
    for path in sorted(served.folder.glob("*.tar")):
        header, table = manifest_paths(path)
        for one in (path, header, table):
            fake.routes[f"/{one.name}"] = served
        files = ManifestFiles(Shard(url=f"{fake.url}/{header.name}"), Shard(url=f"{fake.url}/{table.name}"))
        shards.append(Shard(url=f"{fake.url}/{path.name}", manifest=files))
    return Dataset(shards, Item, settings=LOOPBACK)


@pytest.fixture
def fake() -> Iterator[Fake]:
    with fake_server({}) as running:
        yield running


def keys(samples: Sequence[Any]) -> list[str]:
    return [one.__key__ for one in samples]


def test_a_condition_fetches_little_and_finds_what_filtering_everything_finds(fake: Fake, folder: Path) -> None:
    served = Served(folder)
    dataset = remote(fake, served)
    found = list(dataset.where("label == 99"))
    assert keys(found) == [f"{number:08d}" for number in range(7, COUNT * 50, 100)]
    assert all(one.label == 99 and len(one.data) == 4000 for one in found)
    whole = sum(path.stat().st_size for path in folder.glob("*.tar"))
    assert sum(served.sent) <= 0.03 * whole
    before = len(served.sent)
    assert keys(list(dataset.where("label == 39 and name is not None"))) == keys(
        [one for one in Dataset(sorted(map(str, folder.glob("*.tar"))), Item) if one.label == 39 and one.name]
    )
    assert len(served.sent) <= before + 3  # of the one shard that has such samples: its manifest, and its bytes


@pytest.mark.parametrize("batch", [None, 4])
def test_a_selection_is_shuffled_and_batched_as_a_dataset_is(folder: Path, batch: int | None) -> None:
    dataset = Dataset(str(folder / "a-{000000..000039}.tar"), Item)
    selected = dataset.where("label in (3, 99)").where("name is None")
    wanted = keys([one for one in dataset if one.label in (3, 99) and one.name is None])
    mixed = selected.shuffled(seed=3)
    if batch is None:
        assert sorted(keys(list(mixed))) == wanted
        assert keys(list(mixed)) != wanted
        two = [keys(list(selected.split_by_node(rank, 2))) for rank in (0, 1)]
        assert sorted(two[0] + two[1]) == wanted
    else:
        assert sum(len(one.label) for one in mixed.batched(batch)) == len(wanted)
    with pytest.raises(PublishError):
        selected.publish_to_atproto(None, name="x")  # type: ignore[arg-type] # refused before it is used


def test_positions_and_keys_read_one_range_each(fake: Fake, folder: Path) -> None:
    served = Served(folder)
    dataset = remote(fake, served)
    samples = list(Dataset(str(folder / "a-{000000..000039}.tar"), Item))
    assert dataset[1234].data == samples[1234].data
    assert dataset[-1].__key__ == samples[-1].__key__ if dataset.length else True
    served.sent.clear()
    assert dataset[1235].data == samples[1235].data
    assert len(served.sent) == 1
    assert served.sent[0] < 6000
    assert keys(dataset[10:20:3]) == keys(samples[10:20:3])
    assert dataset.get("00000777").data == samples[777].data
    assert keys(dataset.select([5, 1999, 5])) == keys([samples[5], samples[1999], samples[5]])
    order = dataset.shuffled(buffer_samples=300, seed=5)
    assert keys(order.select([0, 299, 300, 1999])) == [keys(list(order))[number] for number in (0, 299, 300, 1999)]
    assert dataset.map(lambda one: one.label)[1] == samples[1].label
    with pytest.raises(IndexError):
        dataset[2000]
    with pytest.raises(UnknownKey):
        dataset.get("absent")


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("fault", ["shifted", "swapped", "sizes", "huge", "negative", "null", "none"])
def test_wrong_offsets_never_give_a_wrong_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, ranges: bool  # noqa: FBT001 - a parameter
) -> None:  # fmt: skip
    import pyarrow as pa
    import pyarrow.parquet as pq

    monkeypatch.setenv("CATALOG_CACHE", str(tmp_path / "cache"))
    write_samples(items(2, 30), tmp_path / "a-%06d.tar", maxcount=30, manifest=True)
    samples = list(Dataset(str(tmp_path / "a-{000000..000001}.tar"), Item))
    path = tmp_path / "a-000001.manifest.parquet"
    table = pq.read_table(path)
    offsets, sizes = table["__offset__"].to_pylist(), table["__size__"].to_pylist()
    changed: dict[str, tuple[list[Any], list[Any]]] = {
        "shifted": ([one + 512 for one in offsets], sizes),
        "swapped": (offsets[::-1], sizes),
        "sizes": (offsets, [one - 1 for one in sizes]),
        "huge": ([2**62] * 30, sizes),
        "negative": ([-5] * 30, [-5] * 30),
        "null": ([None] * 30, sizes),
        "none": (offsets, sizes),
    }
    for name, values in zip(("__offset__", "__size__"), changed[fault], strict=True):
        table = table.set_column(table.column_names.index(name), name, pa.array(values, pa.int64()))
    pq.write_table(table, path)
    with fake_server({}) as fake:
        for dataset in (
            remote(fake, Served(tmp_path, ranges=ranges)),
            Dataset(str(tmp_path / "a-{000000..000001}.tar"), Item),
        ):
            assert dataset[31].data == samples[31].data
            assert dataset.get(samples[59].__key__).data == samples[59].data
            found = list(dataset.where("label == 1 and name is None"))
            assert keys(found) == keys([one for one in samples if one.label == 1 and one.name is None])


@pytest.mark.parametrize("form", ["webdataset", "parquet"])
def test_other_formats(tmp_path: Path, form: Any) -> None:  # noqa: ANN401 - a name of a format
    if form == "webdataset":
        made: list[dict[str, Any]] = [{"cls": n % 5, "txt": f"t{n}", "bin": bytes(2000)} for n in range(40)]
    else:
        made = [{"cls": n % 5, "txt": f"t{n}"} for n in range(40)]
    written = write_samples(made, tmp_path / f"{'é' * 60}-%06d.{form}", maxcount=20, format=form, manifest=True)
    assert [one["txt"] for one in written.where("cls == 3")] == [f"t{n}" for n in range(3, 40, 5)]
    assert written[25]["txt"] == "t25"
    assert written.get("000000011" if form == "parquet" else "00000031")["txt"] == (
        "t11" if form == "parquet" else "t31"
    )


def test_long_and_foreign_keys_are_found(tmp_path: Path) -> None:
    names = ["a", "é" * 30, "k" * 150, "日本/" + "x" * 120]
    for form in ("msgpack", "webdataset"):
        made = [{"__key__": f"{name}{n}", "cls": n, "bin": bytes(3000)} for n in range(5) for name in names]
        dataset = write_samples(made, tmp_path / f"{form}.tar", format=form, manifest=True)
        header, table = manifest_paths(tmp_path / f"{form}.tar")
        found = read_manifest(header.read_bytes(), table.read_bytes(), "")
        raw = (tmp_path / f"{form}.tar").read_bytes()
        from catalog.datasets.row_access import _confirmed_sample

        assert all(_confirmed_sample(raw, 0, row, form) is not None for row in found.rows)
        for one in made:
            assert dataset.get(str(one["__key__"]))["cls"] == one["cls"]


def test_the_manifest_of_another_shard_is_not_used(tmp_path: Path) -> None:
    write_samples(items(1, 30), tmp_path / "a.tar", manifest=True)
    write_samples(items(1, 40)[10:], tmp_path / "b.tar")
    for one, other in zip(manifest_paths(tmp_path / "a.tar"), manifest_paths(tmp_path / "b.tar"), strict=True):
        shutil.copy(one, other)
    dataset, samples = Dataset(str(tmp_path / "b.tar"), Item), items(1, 40)[10:]
    wanted = [one.data for one in samples if one.name is None]
    assert [one.data for one in dataset.where("name is None")] == wanted
    assert dataset[3].data == samples[3].data


def test_statistics_of_all_samples(folder: Path) -> None:
    """Shards with manifests aren't read; others are, and a selection too."""
    samples, url = items(), str(folder / "a-{000000..000039}.tar")
    found = Dataset(url, Item).statistics
    labels = np.array([one.label for one in samples])
    label = found["label"]
    assert (label.count, label.missing, label.min, label.max) == (len(labels), 0, 0, 99)
    assert [label.mean, label.std] == pytest.approx([labels.mean(), labels.std()])
    assert dict(label.top or ()) == {int(value): int((labels == value).sum()) for value in np.unique(labels)}
    assert (found["name"].count, found["name"].missing) == (667, 1333)
    assert found["data"].length == (4000, 4000, 4000.0)
    rare = Dataset(url, Item).where("label == 99").statistics["label"]
    assert (rare.count, rare.min, rare.max, rare.approximate) == (20, 99, 99, ())
    with pytest.raises(ValueError, match="mix"):
        _ = Dataset.mix([Dataset(url, Item)]).statistics


# --- conditions ----------------------------------------------------------------------------------------------

VALUES = st.none() | st.integers(-5, 5) | st.floats(-5, 5) | st.just(math.nan)
CONDITIONS = (
    "x == 1", "x != 1", "x < 0", "1 <= x < 3", "not x > 2", "x is None", "x is not None", "x in (1, 2.5)",
    "x not in [1]",
    "3 > x or x == 5", "x > 0 and not (x == 2)", "-1 == x", "absent == 1", "absent is None", "x == 1 and absent == 2",
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(VALUES, min_size=1, max_size=12), st.sampled_from(CONDITIONS))
def test_a_condition_means_what_python_means(values: list[Any], text: str) -> None:
    """But for missing values: every comparison with them is false; and statistics never exclude a match."""
    condition = parse_condition(text)
    found = condition.mask({"x": values}, len(values)).tolist()
    statistics = Statistics()
    for value, met in zip(values, found, strict=True):
        statistics.add({"x": value})
        assert condition.is_met({"x": value}) == met
        if value is not None and "absent" not in text:
            assert met == eval(text, {"x": value}), value  # noqa: S307 - the texts above
    assert condition.may_be_met(statistics.result()) or not any(found)


def test_texts_truth_values_and_names() -> None:
    columns: dict[str, list[Any]] = {"t": ["cat", "dog", None], "ok": [True, False, None], "a.b": [1, 2, 3]}
    columns["x y"] = columns["a.b"]
    for text, wanted in {
        't == "cat"': [1, 0, 0], '"a" in t': [1, 0, 0], '"a" not in t': [0, 1, 0], 't < "d"': [1, 0, 0],
        't in ("dog", "x")': [0, 1, 0], "ok": [1, 0, 0], "not ok": [0, 1, 1], "ok == False": [0, 1, 0],
        "a.b > 1": [0, 1, 1], 'col("x y") == 2': [0, 1, 0], "t == 3": [0, 0, 0],
    }.items():  # fmt: skip
        assert parse_condition(text).mask(columns, 3).tolist() == [bool(one) for one in wanted], text
    big = parse_condition(f"n == {2**63}").mask({"n": [2**63, 2**63 + 1]}, 2)
    assert big.tolist() == [True, False]
    with pytest.raises(ValueError, match="no order"):
        parse_condition("t < 3").mask(columns, 3)


@pytest.mark.parametrize(
    "text",
    [
        "", "label =", "label = 3", "f(label)", "label[0] == 1", "__import__('os').system('x')", "label == 3; 4",
        "3 == 3",
        "lambda: 1", "(x for x in y)", "label ** 2 == 4", "x is 3", "x in y", "f'{x}' == 'a'", "x == (1).__class__",
        "(" * 5000 + "x" + ")" * 5000, "x" * 20_000, "not " * 3000 + "x", "x == 1j", "\0",
    ],
)  # fmt: skip
def test_what_is_no_condition_is_an_error_and_never_run(folder: Path, text: str) -> None:
    with pytest.raises(ValueError, match=r"condition|comparison"):
        Dataset(str(folder / "a-000000.tar"), Item).where(text)


def test_a_condition_is_for_stored_samples(folder: Path) -> None:
    with pytest.raises(ValueError, match="before map"):
        Dataset(str(folder / "a-000000.tar"), Item).map(str).where("x == 1")
