"""Ray Data: workers read shards, apply lenses, write shards with checksums; the result is published."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pytest
import ray
import ray.data
from numpy.typing import NDArray  # noqa: TC002 - the class below needs it at run time

from catalog import Array, Client, Dataset, DictSample, PackableSample, lens, write_samples
from catalog.errors import DataError, InvalidSample
from catalog.samples.ray_data import columns_of, row_of, sample_of
from catalog.samples.write_shards import write_shards

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import HttpsServer, Network

SHARDS, EACH = 20, 5


class Digit(PackableSample):
    image: Annotated[NDArray[np.uint8], Array(shape=(8, 8))]
    label: int


class Flat(PackableSample):
    pixels: NDArray[np.uint8]
    label: int
    process: int


class Everything(PackableSample):
    """One of each kind of value that Arrow has no type for, or another one."""

    fixed: Annotated[NDArray[np.float16], Array(shape=(2,))]
    ragged: NDArray[np.float32]
    texts: NDArray[np.str_]
    times: NDArray[Any]
    maybe: NDArray[np.int64] | None
    arrays: list[NDArray[np.int8]]
    when: dt.datetime
    about: dict[str, Any]
    raw: bytes
    tags: list[str]
    score: float | None
    flag: bool


@lens(register=False)
def flatten(digit: Digit) -> Flat:
    return Flat(pixels=digit.image.reshape(-1), label=digit.label, process=os.getpid())


def everything(number: int) -> Everything:
    return Everything(
        fixed=np.array([number, 0.5], np.float16),
        ragged=np.arange(number, dtype=np.float32),
        texts=np.array(["a", "b\0c"]),
        times=np.array(["2026-01-01"], "datetime64[D]"),
        maybe=None if number % 2 else np.array([number, 2**62]),
        arrays=[np.zeros(number, np.int8), np.ones((1, 2), np.int8)],
        when=dt.datetime(2026, 1, 1, 12, tzinfo=dt.timezone(dt.timedelta(hours=5, minutes=30))),
        about={f"only in {number}": [1, None, {"x": "y"}]},
        raw=b"\0x\0" * number,
        tags=[] if number == 0 else ["t"] * number,
        score=None if number == 1 else float("inf") if number == 3 else number / 3,
        flag=bool(number % 2),
    )


@pytest.fixture(scope="module")
def _engine() -> Iterator[None]:
    """Start Ray with two workers."""
    ray.init(num_cpus=2, include_dashboard=False, object_store_memory=10**8, log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield
    ray.shutdown()


@pytest.fixture
def digits(tmp_path: Path) -> Dataset[Digit]:
    """Twenty shards of five digits."""
    samples = (Digit(image=np.full((8, 8), number, np.uint8), label=number) for number in range(SHARDS * EACH))
    return write_samples(samples, tmp_path / "in" / "d-%06d.tar", maxcount=EACH)


pytestmark = [
    pytest.mark.usefixtures("_engine"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"),
]


def test_workers_transform_twenty_shards_through_a_lens_and_the_result_is_published(
    digits: Dataset[Digit],
    network: Network,
    https_server: Callable[[Path], HttpsServer],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = digits.as_type(Flat, through=flatten).to_ray()
    flat = write_samples(rows, tmp_path / "out" / "f-%06d.tar", sample_type=Flat)

    names = [f"f-{number:06d}.tar" for number in range(SHARDS)]
    assert (flat.list_shards(), flat.length) == ([str(tmp_path / "out" / name) for name in names], SHARDS * EACH)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    for shard in flat.shards:
        raw = Path(shard.url).read_bytes()
        assert shard.checksum == f"sha256:{hashlib.sha256(raw).hexdigest()}"

    account = network.account("cluster")
    server = https_server(tmp_path / "out")
    monkeypatch.setenv("SSL_CERT_FILE", str(server.authority))
    urls = [f"{server.url}/{name}" for name in names]
    with Client.login(account.handle, account.password) as client:
        uri = flat.publish_to_atproto(client, name="flat", urls=urls)
        loaded = list(Dataset.from_atproto(client, uri, Flat))
    assert [sample.label for sample in loaded] == list(range(SHARDS * EACH)), "in the order of the shards"
    assert all(sample.pixels.shape == (64,) and set(sample.pixels) == {sample.label} for sample in loaded)
    assert [sample.__key__ for sample in loaded[:2]] == ["00000000", "00000001"]
    assert os.getpid() not in {sample.process for sample in loaded}


def test_rows_are_arrays_and_plain_values_and_go_through_the_operations_of_ray(
    digits: Dataset[Digit], tmp_path: Path
) -> None:
    rows = digits.filter(lambda digit: digit.label % 2 == 0).to_ray()
    row = rows.take(1)[0]
    assert (row["label"], row["__key__"], row["image"].dtype, row["image"].shape) == (0, "00000000", np.uint8, (8, 8))
    doubled = rows.map(lambda one: {**one, "label": one["label"] * 2}).repartition(1)
    infos = write_shards(doubled, tmp_path / "out" / "d-%d.tar", maxcount=20, sample_type=Digit)
    assert [info.samples for info in infos] == [20, 20, 10]
    assert sorted(digit.label for digit in Dataset(infos, Digit)) == list(range(0, 200, 4))
    table = write_shards(rows, tmp_path / "out" / "d-%d.parquet", format="parquet", sample_type=Digit)
    assert {info.format for info in table} == {"parquet"}


def test_every_value_comes_back_equal(tmp_path: Path) -> None:
    samples = [everything(number) for number in range(6)]
    dataset = write_samples(samples, tmp_path / "e-%d.tar", maxcount=2)
    assert list(write_samples(dataset.to_ray(), tmp_path / "out" / "e-%d.tar", sample_type=Everything)) == samples


def test_rows_without_a_class_are_dicts(tmp_path: Path) -> None:
    rows = ray.data.from_items([{"name": f"n{number}", "values": np.arange(3)} for number in range(4)])
    found = list(write_samples(rows.repartition(1), tmp_path / "r.tar"))
    assert [sample["name"] for sample in found] == [f"n{number}" for number in range(4)]
    assert found[0]["values"].tolist() == [0, 1, 2]


def test_an_error_in_a_worker_names_the_field_and_leaves_no_file(digits: Dataset[Digit], tmp_path: Path) -> None:
    wrong = digits.to_ray().map(lambda row: {**row, "label": "seven" if row["label"] == 7 else row["label"]})
    (tmp_path / "out").mkdir()
    with pytest.raises(InvalidSample, match="label"):
        write_samples(wrong, tmp_path / "out" / "d-%d.tar", sample_type=Digit)
    assert list((tmp_path / "out").iterdir()) == []


def test_batches_are_no_rows_and_a_class_is_for_rows_of_ray_only(digits: Dataset[Digit], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="list"):
        row_of([1])
    with pytest.raises(ValueError, match="sample_type"):
        write_samples(digits, tmp_path / "d-%d.tar", sample_type=Digit)
    with pytest.raises(InvalidSample, match="'about'"):
        sample_of({"about": "no JSON"}, Everything)


def test_a_dict_is_a_row_and_a_row_a_dict() -> None:
    sample = DictSample(a=np.arange(2), b=np.array(["x"]), c={"k": 1}, d=np.float32(0.5), e=None)
    columns = columns_of([row_of(sample), row_of(sample)])
    assert (columns["a"].shape, columns["e"], columns["d"]) == ((2, 2), [None, None], [0.5, 0.5])
    assert json.loads(columns["c"][0]) == {"k": 1}
    again = sample_of({name: column[0] for name, column in columns.items()}, None)
    assert np.array_equal(again["b"], sample["b"])
