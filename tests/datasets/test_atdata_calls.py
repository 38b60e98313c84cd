"""The calls of atdata's README, quick start and reference, with only the import changed.

Each entry of ``CALLS`` runs by itself, in a folder with the files that :func:`folder` makes; ``REFUSED`` has those for
which there is another way, which the message names.
"""
# ruff: noqa: E501 - a call a line

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray  # noqa: TC002 - the classes below need it at run time

import catalog as atdata
from catalog.errors import CatalogError
from tests.paths import ROOT

if TYPE_CHECKING:
    from pathlib import Path


@atdata.packable
class Picture:
    """The sample type of atdata's guides: an array without dtype, text, a number and a dict."""

    image: NDArray[Any]
    label: str
    confidence: float
    metadata: dict  # type: ignore[type-arg] # as atdata's guides write it


@atdata.packable
class Simple:
    """A part of :class:`Picture`, which a lens makes."""

    label: str
    confidence: float


@atdata.packable
class Optional:
    """An array that may be missing, and lists."""

    features: NDArray[Any]
    embeddings: NDArray[Any] | None
    tags: list[str]
    scores: list[float]


@atdata.lens
def simplify(src: Picture) -> Simple:
    """Return the label and the confidence."""
    return Simple(label=src.label, confidence=src.confidence)


@simplify.putter
def simplify_put(view: Simple, source: Picture) -> Picture:
    """Return the picture with another label and confidence."""
    return Picture(image=source.image, label=view.label, confidence=view.confidence, metadata=source.metadata)


@atdata.lens
def labels(src: Simple) -> Optional:
    """Return the label as a tag."""
    return Optional(features=np.zeros(1), embeddings=None, tags=[src.label], scores=[src.confidence])


def picture(number: int) -> Any:  # noqa: ANN401 - the decorator's class isn't known to type checkers as packable
    pixels = np.full((4, 4, 3), number, np.float32)
    return Picture(image=pixels, label=f"class_{number % 10}", confidence=number / 100, metadata={"number": number})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``data.tar`` and ``train.tar`` with 100 samples, ten shards ``data-00000n.tar``, and ``data/`` with splits."""
    made = tmp_path_factory.mktemp("atdata")
    samples = [picture(number) for number in range(100)]
    atdata.write_samples(samples, made / "data.tar")
    atdata.write_samples(samples, made / "data.tar", maxcount=10)
    atdata.write_samples(samples[:20], made / "data" / "train.tar", maxcount=10)
    atdata.write_samples(samples[20:30], made / "data" / "test-000.tar")
    return made


_URL = "data-{000000..000009}.tar"
CALLS = {
    # --- README: loading
    "load_dataset(path, split=…)": 'assert len(atdata.load_dataset("data.tar", split="train").head(200)) == 100',
    "for sample in ds.ordered()": """
for sample in atdata.load_dataset("data.tar", split="train").ordered():
    assert type(sample) is atdata.DictSample
    break
""",
    "sample.keys()": "assert list(untyped.keys()) == ['image', 'label', 'confidence', 'metadata']",
    "sample[name] of a DictSample": "assert untyped['label'] == 'class_0'",
    "sample.name of a DictSample": "assert untyped.label == 'class_0'",
    "sample.to_dict()": "assert type(untyped.to_dict()) is dict and untyped.to_dict()['confidence'] == 0",
    "load_dataset(braces, T, split=…)": f"assert type(atdata.load_dataset('{_URL}', Picture, split='train').head(1)[0]) is Picture",
    "load_dataset(…).as_type(T)": "assert atdata.load_dataset('data.tar', split='train').as_type(Picture).head(1) == [first]",
    "ds.shuffled(batch_size=…)": "assert next(iter(dataset.shuffled(batch_size=32))).image.shape == (32, 4, 4, 3)",
    "a batch has a list of texts": "assert len(next(iter(dataset.shuffled(batch_size=32))).label) == 32",
    "load_dataset(glob, split=…)": "assert len(atdata.load_dataset('./data/train-*.tar', split='train').list_shards()) == 2",
    "load_dataset(glob, T, split=…)": "assert atdata.load_dataset('./data/train-*.tar', Picture, split='train').head(1) == [first]",
    "load_dataset(s3 pattern, T, split=…)": """
found = atdata.load_dataset("s3://bucket/data-{000000..000099}.tar", Picture, split="train")
assert found.list_shards()[99] == "s3://bucket/data-000099.tar"
""",
    "load_dataset(folder, T)": "assert set(atdata.load_dataset('./data', Picture)) == {'train', 'test'}",
    "datasets[split]": "assert [s.metadata['number'] for s in atdata.load_dataset('./data', Picture)['test']] == [*range(20, 30)]",
    # --- README: samples, lenses, sources
    "@packable with dict": "assert first.metadata == {'number': 0}",
    "@packable with NDArray | None": "assert Optional(np.zeros(2), None, ['a'], [0.5]).embeddings is None",
    "@lens": "assert simplify(first) == Simple(label='class_0', confidence=0.0)",
    "@lens.putter": "assert simplify.put(Simple('dog', 0.5), first).label == 'dog'",
    "ds.as_type(T) by a lens": "assert dataset.as_type(Simple).head(1) == [Simple('class_0', 0.0)]",
    "ds.ordered(batch_size=None)": "assert type(next(iter(dataset.as_type(Simple).ordered(batch_size=None)))) is Simple",
    "Dataset[T](braces)": f"assert len(list(atdata.Dataset[Picture]('{_URL}'))) == 100",
    "Dataset[T](several patterns)": "assert atdata.Dataset[Picture]('data/{train,val}/d-{00..01}.tar').list_shards()[3] == 'data/val/d-01.tar'",
    "S3Source(bucket=, keys=, endpoint=, access_key=, secret_key=)": """
source = atdata.S3Source(bucket="my-bucket", keys=["data-000000.tar"], endpoint="https://r2.example",
                         access_key="AK", secret_key="SK")
assert source.list_shards() == ["s3://my-bucket/data-000000.tar"]
assert "SK" not in repr(source)
""",
    "Dataset[T](S3Source)": """
source = atdata.S3Source(bucket="my-bucket", keys=["a.tar", "b.tar"])
assert atdata.Dataset[Picture](source).list_shards() == ["s3://my-bucket/a.tar", "s3://my-bucket/b.tar"]
""",
    # --- quick start
    "T(field=…)": "assert Picture(image=np.zeros(2), label='cat', confidence=0.95, metadata={}).label == 'cat'",
    "T(value, …)": "assert Picture(np.zeros(2), 'cat', 0.95, {}).confidence == 0.95",
    "sample.packed": "assert type(first.packed) is bytes",
    "T.from_bytes": "assert Picture.from_bytes(first.packed) == first",
    "write_samples(samples, path, maxcount=…)": """
written = atdata.write_samples([picture(number) for number in range(100)], "my-dataset.tar", maxcount=50)
assert len(written.list_shards()) == 2
assert written.sample_type is Picture and len(written) == 100
""",
    "ds.ordered(batch_size=16)": "assert next(iter(dataset.ordered(batch_size=16))).image.shape == (16, 4, 4, 3)",
    "a batch has numbers": "assert list(next(iter(dataset.ordered(batch_size=16))).confidence)[:2] == [0.0, 0.01]",
    "as_type(…).ordered(batch_size=8)": "assert next(iter(dataset.as_type(Simple).ordered(batch_size=8))).label[7] == 'class_7'",
    # --- reference: datasets
    "URLSource(url)": f"assert atdata.Dataset[Picture](atdata.URLSource('{_URL}')).list_shards()[9] == 'data-000009.tar'",
    "S3Source.from_urls": """
source = atdata.S3Source.from_urls(["s3://my-bucket/a.tar", "s3://my-bucket/b.tar"])
assert (source.bucket, list(source.keys)) == ("my-bucket", ["a.tar", "b.tar"])
""",
    "ds.shuffled(buffer_shards=, buffer_samples=, batch_size=)": """
assert sum(len(batch) for batch in dataset.shuffled(buffer_shards=100, buffer_samples=10000, batch_size=32)) == 100
""",
    "ds.list_shards()": "assert dataset.list_shards()[0] == 'data-000000.tar'",
    "ds.url": f"assert dataset.url == '{_URL}'",
    "ds.sample_type": "assert dataset.sample_type is Picture",
    "ds.batch_type": "assert dataset.batch_type is atdata.SampleBatch",
    "ds.source": "assert dataset.source.list_shards() == dataset.list_shards()",
    "ds.column_names": "assert dataset.column_names == ['image', 'label', 'confidence', 'metadata']",
    "ds.head(n)": "assert dataset.head(3) == [picture(0), picture(1), picture(2)]",
    "ds.get(key)": "assert dataset.get('00000042').metadata == {'number': 42}",
    "ds.select(indices)": "assert [s.metadata['number'] for s in dataset.select([50, 3, 3])] == [50, 3, 3]",
    "ds.filter(f)": "assert len(list(dataset.filter(lambda s: s.confidence > 0.895))) == 10",
    "ds.map(f)": "assert list(dataset.map(lambda s: s.label))[:2] == ['class_0', 'class_1']",
    "ds.describe()": "assert (dataset.describe()['num_shards'], dataset.describe()['sample_type']) == (10, 'Picture')",
    "ds.to_pandas(limit)": "assert list(dataset.to_pandas(limit=5)['label']) == [f'class_{n}' for n in range(5)]",
    "ds.to_dict(limit)": "assert dataset.to_dict(limit=2)['confidence'] == [0.0, 0.01]",
    "ds.to_parquet(path)": """
dataset.as_type(Simple).to_parquet("all.parquet")
assert len(list(atdata.Dataset("all.parquet"))) == 100
""",
    "ds.to_parquet(path, sample_map=…)": """
dataset.to_parquet("some.parquet", sample_map=lambda sample: {"label": sample.label})
assert atdata.Dataset("some.parquet").head(1) == [{"label": "class_0"}]
""",
    "ds.to_parquet(path, maxcount=…)": """
dataset.as_type(Simple).to_parquet("part.parquet", maxcount=40)
assert [len(list(atdata.Dataset(f"part-{n:06d}.parquet"))) for n in range(3)] == [40, 40, 20]
""",
    "len(ds) of a written dataset": "assert len(atdata.write_samples([first], 'one.tar')) == 1",
    # --- reference: samples, load_dataset, lenses
    "sample.as_wds with TarWriter": """
import webdataset as wds
with wds.writer.TarWriter("by-webdataset.tar") as sink:
    for number in range(3):
        sink.write({**picture(number).as_wds, "__key__": f"sample_{number:06d}"})
assert atdata.Dataset[Picture]("by-webdataset.tar").get("sample_000002") == picture(2)
""",
    "@dataclass class T(PackableSample)": """
from dataclasses import dataclass
@dataclass
class Direct(atdata.PackableSample):
    name: str
    values: np.ndarray
assert Direct.from_bytes(Direct("a", np.ones(2)).packed) == Direct("a", np.ones(2))
""",
    "T.from_data": "assert Simple.from_data({'label': 'a', 'confidence': 0.5}) == Simple('a', 0.5)",
    "DictSample.from_data": "assert atdata.DictSample.from_data({'a': 1}).a == 1",
    "DictSample.from_bytes": "assert atdata.DictSample.from_bytes(first.packed).label == 'class_0'",
    "SampleBatch(samples)": "assert atdata.SampleBatch([first, first]).image.shape == (2, 4, 4, 3)",
    "load_dataset(folder, data_files=pattern)": "assert len(atdata.load_dataset('data', Picture, data_files='test*.tar')['train'].head(99)) == 10",
    "load_dataset(folder, data_files=list)": "assert atdata.load_dataset('.', data_files=['data.tar'])['train'].list_shards() == ['data.tar']",
    "load_dataset(folder, data_files=dict)": """
found = atdata.load_dataset("data", Picture, data_files={"train": "train-*.tar", "eval": "test-000.tar"})
assert found.num_shards == {"train": 2, "eval": 1}
""",
    "datasets.num_shards": "assert atdata.load_dataset('data').num_shards == {'train': 2, 'test': 1}",
    "datasets.sample_type": "assert atdata.load_dataset('data', Picture).sample_type is Picture",
    "datasets.streaming": "assert atdata.load_dataset('data.tar', Picture, streaming=True).streaming is True",
    "datasets of one split, ordered()": "assert len(list(atdata.load_dataset('data.tar', Picture).ordered())) == 100",
    "except FileNotFoundError": """
try:
    atdata.load_dataset("gone/*.tar", Picture, split="train")
except FileNotFoundError:
    pass
""",
    "except ValueError of a split": """
try:
    atdata.load_dataset("data", Picture, split="validation")
except ValueError:
    pass
""",
    "except KeyError of a key": """
try:
    dataset.get("gone")
except KeyError:
    pass
""",
    "lens.get": "assert simplify.get(first) == simplify(first)",
    "lens | lens": "assert (simplify | labels).get(first) == Optional(np.zeros(1), None, ['class_0'], [0.0])",
    "lens @ lens": "assert (labels @ simplify).get(first).tags == ['class_0']",
    "lens laws": "assert simplify.get(simplify.put(Simple('x', 0.5), first)) == Simple('x', 0.5)",
}  # fmt: skip

REFUSED = {
    "LensNetwork().transform(A, B)": (
        "atdata.LensNetwork().transform(Picture, Simple)",
        r"path\(source, target\)",
        "`LensNetwork(lenses).path(A, B)`, `ds.as_type(B)`",
    ),
    "Index(data_store=LocalDiskStore())": (
        "atdata.Index(data_store=atdata.LocalDiskStore())",
        r"Index of atdata.*Client\(\)\.datasets",
        "`Client().datasets(…)`, `catalog search`",
    ),
    "index.write_samples(samples, name=…)": (
        "atdata.LocalDiskStore()",
        "LocalDiskStore of atdata.*write_samples",
        "`write_samples(samples, path)`",
    ),
    "index.insert_dataset(ds, name=…)": (
        "atdata.promote_to_atmosphere(None, None, None)",
        "promote_to_atmosphere of atdata.*publish_to_atproto",
        "`ds.publish_to_atproto(client, name=…)`",
    ),
    "set_default_index(index)": (
        "atdata.set_default_index(None)",
        "set_default_index of atdata.*at:// URIs",
        "at:// URIs need no index",
    ),
    "load_dataset('@local/name')": (
        'atdata.load_dataset("@local/training-v1", split="train")',
        "@local/training-v1: .*at:// URI",
        "`load_dataset('at://…')`",
    ),
    "Dataset[T](url, metadata_url=…)": (
        'atdata.Dataset[Picture]("a.tar", metadata_url="https://a.example/m")',
        "metadata_url",
        "`publish_to_atproto(client, name=…, metadata=…)`",
    ),
    "ds.shard_list": ("dataset.shard_list", r"list_shards\(\)", "`ds.list_shards()`"),
    "ds.query(where=…)": (
        "dataset.query(where=None)",
        r"filter\(function\)",
        '`ds.where("label == 3")`, `ds.filter(function)`',
    ),
    "ds.process_shards(f)": (
        "dataset.process_shards(len)",
        r"Dataset\(shard\)",
        "`for shard in ds.shards: Dataset(shard)`",
    ),
    "Atmosphere.login(handle, password)": (
        "atdata.Atmosphere.login('a.example', 'x')",
        r"Client\.login",
        "`Client.login(handle, password)`",
    ),
    "Atmosphere.from_session(text)": (
        "atdata.Atmosphere.from_session('x')",
        r"Client\.login",
        "`Client.from_session(text)`",
    ),
    "SchemaPublisher(client).publish(T)": (
        "atdata.SchemaPublisher(None).publish(Picture)",
        "publish_to_atproto",
        "`T.publish_to_atproto(client)`",
    ),
    "DatasetPublisher(client).publish(ds, name=…)": (
        "atdata.DatasetPublisher(None)",
        "publish_to_atproto",
        "`ds.publish_to_atproto(client, name=…)`",
    ),
    "LensPublisher(client).publish(…)": (
        "atdata.LensPublisher(None)",
        "publish_to_atproto",
        "`lens.publish_to_atproto(client)`",
    ),
    "DatasetLoader(client).to_dataset(uri, T)": (
        "atdata.DatasetLoader(None)",
        "from_atproto",
        "`Dataset.from_atproto(uri, T)`",
    ),
    "LensLoader(client).get(uri)": ("atdata.LensLoader(None)", "fetch_lens", "`fetch_lens(uri)`"),
    "BlobSource.from_refs(refs)": ("atdata.BlobSource.from_refs([])", "from_atproto", "`Dataset.from_atproto(uri)`"),
}
"""By the call: what to run, the message that it raises, and what the guide says to write instead."""


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_call_of_atdata_runs(folder: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    monkeypatch.chdir(folder)
    exec(call, namespace())  # noqa: S102 - the table above


@pytest.mark.parametrize(("call", "message", "_"), REFUSED.values(), ids=REFUSED)
def test_a_call_that_does_not_run_names_what_to_use(
    folder: Path, monkeypatch: pytest.MonkeyPatch, call: str, message: str, _: str
) -> None:
    monkeypatch.chdir(folder)
    with pytest.raises((CatalogError, ImportError, AttributeError, TypeError), match=message):
        exec(call, namespace())  # noqa: S102 - the table above


def test_the_guide_lists_each_call() -> None:
    """The table in docs/guides/coming-from-atdata.md; with UPDATE_GUIDES=1 it is written."""
    guide = ROOT / "docs" / "guides" / "coming-from-atdata.md"
    text = guide.read_text(encoding="utf-8")
    head = "| call of atdata | here |\n|---|---|\n"
    before, _, after = text.partition(head)
    old, _, rest = after.partition("\n\n")
    runs = [f"| `{name}` | runs as is |" for name in CALLS]
    other = [f"| `{name}` | {instead} |" for name, (_, _, instead) in REFUSED.items()]
    rows = "\n".join(
        row.replace("`T | None`", "`T \\| None`").replace("NDArray | None", "NDArray \\| None")
        for row in [*runs, *other]
    )
    if os.environ.get("UPDATE_GUIDES"):
        guide.write_text(f"{before}{head}{rows}\n\n{rest}", encoding="utf-8")
    else:
        assert old == rows


def test_an_import_of_another_product_names_what_to_use() -> None:
    with pytest.raises(ImportError, match="Index of atdata is not in this package; use: Client"):
        exec("from catalog import Index")  # noqa: S102 - as users write it
    with pytest.raises(ImportError, match="cannot import name 'Inde'"):
        exec("from catalog import Inde")  # noqa: S102 - the control


def test_one_dataset_of_several_splits_is_chosen_by_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    with pytest.raises(AttributeError, match=r"ordered is for one split.*'train', 'test'"):
        atdata.load_dataset("data").ordered()
    with pytest.raises(KeyError, match="no split is called 'val'; the splits are train, test"):
        atdata.load_dataset("data")["val"]


def namespace() -> dict[str, Any]:
    dataset = atdata.Dataset[Picture](_URL)
    names: dict[str, Any] = {
        "labels": labels,
        "Picture": Picture,
        "Simple": Simple,
        "Optional": Optional,
        "simplify": simplify,
        "picture": picture,
    }
    untyped = atdata.DictSample.from_bytes(picture(0).packed)
    return {
        "__name__": __name__,
        "atdata": atdata,
        "np": np,
        "dataset": dataset,
        "first": picture(0),
        "untyped": untyped,
        **names,
    }
