"""Snippets: each one runs in a fresh process and shows the samples that are in the shards."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.codegen import labels, load_snippets
from catalog.codegen.snippets import MAX_FIELDS, MAX_URLS, Snippet, plain
from catalog.manifest import load
from catalog.samples.packable import class_from, pack
from catalog.schema import Array, Field, SampleType, parse_type
from tests.codegen.test_codegen import HOSTILE, hostile_type, is_tame
from tests.paths import ROOT

if TYPE_CHECKING:
    from pathlib import Path

DIGITS = ["examples/shards/digits-000000.tar", "examples/shards/digits-000001.tar"]


def digit() -> SampleType:
    drafts = load([ROOT / "examples" / "manifests"])
    return next(
        draft.sample_type
        for draft in drafts.schemas
        if (draft.sample_type.name, draft.sample_type.version) == ("DigitSample", "1.1.0")
    )


def run(snippet: Snippet, folder: Path, **environment: str) -> str:
    path = folder / "snippet.py"
    path.write_text(snippet.code, encoding="utf-8")
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run([sys.executable, path], cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_snippet_of_a_draft_loads_the_local_shards(tmp_path: Path) -> None:
    short, snippet, torch = load_snippets("Digits", None, digit(), DIGITS)
    assert 'Dataset("examples/shards/digits-{000000..000001}.tar")' in short.code
    assert run(short, tmp_path).count("'label': ") == 3
    assert 'Dataset[DigitSample]("examples/shards/digits-{000000..000001}.tar")' in snippet.code
    shown = run(snippet, tmp_path)
    assert shown.count("DigitSample(image=array([[") == 3
    assert [line.partition("label=")[2] for line in shown.splitlines() if "label=" in line] == [
        "0, ink=0.287109)", "1, ink=0.305664)", "2, ink=0.335938)",
    ]  # fmt: skip
    assert snippet.install == "pip install atdata-catalog"
    assert torch.install == "pip install atdata-catalog torch"


def test_without_a_schema_samples_are_shown_as_dicts(tmp_path: Path) -> None:
    snippet, _ = load_snippets("Iris", None, None, ["examples/shards/iris-000000.tar"])
    assert run(snippet, tmp_path).startswith("{'sepal_length': 5.1, 'sepal_width': 3.5,")


def test_a_type_of_very_many_fields_is_not_written_out() -> None:
    """One record must not make a page of megabytes; just below the limit it is written out."""
    fields = tuple(Field(name=f"f{n}", type=Array()) for n in range(MAX_FIELDS + 1))
    large = load_snippets(
        "x", None, SampleType(name="L", version="1.0.0", fields=fields), ["https://data.example/a.tar"]
    )
    without = load_snippets("x", None, None, ["https://data.example/a.tar"])
    assert large == without
    small = SampleType(name="L", version="1.0.0", fields=fields[:-1])
    written = load_snippets("x", None, small, ["https://data.example/a.tar"])
    assert all("f299" in snippet.code for snippet in written[1:])
    assert "f299" not in written[0].code


def test_the_snippet_of_a_record_names_its_address_and_the_others_those_of_its_shards() -> None:
    uri = "at://did:plc:aaaaaaaaaaaaaaaaaaaaaaaa/science.alt.dataset.entry/3jzfcijpj2z2a"
    snippets = load_snippets("Digits", uri, digit(), ["https://data.example/a.tar"], cid="bafy")
    assert [snippet.label for snippet in snippets] == [
        "Python", "Typed Python", "WebDataset", "PyTorch", "Ray Data", "Hugging Face", "TypeScript",
    ]  # fmt: skip
    for snippet in snippets:
        ours = snippet.label in {"Python", "Typed Python", "PyTorch"}
        assert (uri in snippet.code) == ours
        assert ("from catalog import" in snippet.code) == ours
        assert ("https://data.example/a.tar" in snippet.code) == (not ours)
        typed = snippet.label != "Python"
        assert ("Grey levels from 0 (paper)" in snippet.code) == typed, "the generated type is there"
        assert " record bafy\n" in snippet.code
    assert f'Dataset.from_atproto(\n    "{uri}",\n)' in snippets[0].code
    assert f'Dataset.from_atproto(\n    "{uri}",\n    DigitSample,\n)' in snippets[1].code


def test_a_draft_opens_its_local_copies_here_and_its_addresses_elsewhere() -> None:
    snippets = load_snippets("Digits", None, digit(), ["https://data.example/a.tar"], local=["shards/a.tar"])
    assert len(snippets) == 7
    for snippet in snippets:
        assert ("shards/a.tar" in snippet.code) != ("https://data.example/a.tar" in snippet.code)


def test_what_only_this_library_opens_has_its_snippets_alone_and_names_the_extra() -> None:
    uri = "at://did:plc:aaaaaaaaaaaaaaaaaaaaaaaa/science.alt.dataset.entry/3jzfcijpj2z2a"
    sparse = SampleType(name="S", version="1.0.0", fields=(Field(name="m", type=Array(format="sparseBytes")),))
    assert [s.label for s in load_snippets("blobs", uri, digit(), ())] == ["Python", "Typed Python", "PyTorch"]
    bucket, _, torch = load_snippets("s3", uri, sparse, ["s3://bucket/a.tar"])
    assert bucket.install == 'pip install "atdata-catalog[sparse,s3]"'
    assert torch.install == 'pip install "atdata-catalog[sparse,s3]" torch'


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text_in_every_snippet(text: str) -> None:
    urls = [text, f"https://data.example/{text}", f"https://{text}"]
    for uri in (None, text):
        for wanted in (None, hostile_type(text)):
            for snippet in load_snippets(text, uri, wanted, urls, cid=text):
                check(snippet)


@given(st.text(), st.text(), st.booleans())
def test_any_text_stays_text(text: str, other: str, drafted: bool) -> None:  # noqa: FBT001
    for snippet in load_snippets(text, None if drafted else other, None, [other, "https://x/" + text], cid=other):
        check(snippet)


def check(snippet: Snippet) -> None:
    """It parses, has nothing that doesn't print, and calls only what the snippets call.

    TypeScript is compiled in test_snippets_run.py, all of it at once.
    """
    assert is_tame(snippet.code)
    if snippet.language != "python":
        return
    calls = [node.func for node in ast.walk(ast.parse(snippet.code)) if isinstance(node, ast.Call)]
    assert {_called(function) for function in calls} <= {
        "Dataset", "Dataset[…]", "Dataset.from_atproto", "dataset.head", "print", "wire", "Array", "np.load",
        "io.BytesIO", "decoded", "isinstance", "value.startswith", "fields.get", "msgpack.unpackb", "….items",
        "TypedDict", "itertools.islice", "wds.WebDataset", "shards.map", "….map", "itemgetter", "np.frombuffer",
        "….decode", "….reshape", "urllib.request.urlopen", "tarfile.open", "tar.extractfile", "file.read", "unpacked",
        "member.isfile", "member.name.lower", "….rpartition", "name.rpartition", "name.endswith", "name.startswith",
        "….startswith", "group.items", "field.endswith", "shards.compose",
        "read_shard", "ray.data.from_items", "items.flat_map", "dataset.take",
        "len", "IterableDataset.from_generator", "DataLoader", "….batched", "getattr", "type",
    }  # fmt: skip


def _called(function: ast.expr) -> str:
    """The name of a function that is called; of a method of something that is no name, only its own."""
    if isinstance(function, ast.Subscript):
        return f"{ast.unparse(function.value)}[…]"
    name = ast.unparse(function)
    return name if all(part.isidentifier() for part in name.split(".")) else f"….{name.rpartition('.')[2]}"


def test_only_web_addresses_reach_webdataset_and_nothing_in_them_reaches_a_shell() -> None:
    urls = ["pipe:touch MARK", "file:///etc/passwd", "x.tar", "https://x.example/';touch MARK;'`id`$(id) \n|.tar"]
    _, plain, _, *others = load_snippets("x", None, None, urls)
    for snippet in (plain, *others):
        assert '\n  "https://x.example/%27;touch%20MARK;%27%60id%60%24(id)%20%0A%7C.tar",\n]' in snippet.code.replace(
            " " * 4, " " * 2
        )
        assert "pipe:" not in snippet.code
        assert "passwd" not in snippet.code
    assert len(load_snippets("x", None, None, urls[:3])) == 2


@pytest.mark.parametrize(
    ("urls", "shown"),
    [
        (["a-000.tar", "a-001.tar"], '"a-{000..001}.tar"'),
        (["a-9.tar", "a-10.tar"], '["a-9.tar", "a-10.tar"]'),
        (["a-000.tar", "a-002.tar"], '["a-000.tar", "a-002.tar"]'),
        (["{a}-0.tar", "{a}-1.tar"], '["{a}-0.tar", "{a}-1.tar"]'),
        (["a-0.tar"], '["a-0.tar"]'),
        (["a.tar", "b.tar"], '["a.tar", "b.tar"]'),
    ],
)
def test_numbered_shards_become_a_pattern_and_others_a_list(urls: list[str], shown: str) -> None:
    for snippet in load_snippets("x", None, None, urls):
        assert f"Dataset({shown})" in snippet.code


def test_a_long_list_is_cut_and_says_so() -> None:
    urls = [f"https://data.example/{n * n}.tar" for n in range(1000)]
    for snippet in load_snippets("x", None, None, urls):
        assert snippet.code.count("https://data.example/") == MAX_URLS
        assert " the first 20 of 1000 shards\n" in snippet.code


@pytest.mark.parametrize("typed", [False, True])
@pytest.mark.parametrize("urls", [(), ("https://data.example/a.tar",)])
def test_the_labels_are_known_without_the_programs(typed: bool, urls: tuple[str, ...]) -> None:  # noqa: FBT001
    snippets = load_snippets("x", "at://did:web:x.example/a.b.c/d", digit() if typed else None, urls)
    assert labels(typed=typed, on_web=bool(urls)) == tuple(snippet.label for snippet in snippets)


def test_the_type_of_a_snippet_reads_every_kind_of_field() -> None:
    """Arrays of ml_dtypes by importing the package; a datetime is its text, the bytes of an image are bytes."""
    kinds = {
        "half": ("array[bfloat16]", np.ones(3, ml_dtypes.bfloat16)),
        "times": ("array[datetime64[ns]]", np.zeros(2, "M8[ns]")),
        "meta": ("map", {"a": [1, None]}),
        "when": ("datetime", datetime(2026, 1, 2, tzinfo=UTC)),
        "jpg": ("bytes[image/jpeg]", b"\xff\xd8\xff"),
    }
    fields = tuple(Field(name=name, type=parse_type(text)[0]) for name, (text, _) in kinds.items())
    wanted = SampleType(name="Mixed", version="1.0.0", fields=fields)
    raw = pack(class_from(wanted)(**{name: value for name, (_, value) in kinds.items()}))
    snippet = plain.webdataset((), ["https://data.example/a.tar"], wanted)
    assert "ml_dtypes" in (snippet.install or "")
    defined: dict[str, Any] = {}
    exec("".join(snippet.parts[:-1]), defined)  # noqa: S102 - what is tested
    found = defined["unpacked"](raw)
    assert list(found) == list(kinds)
    assert found["half"].dtype == ml_dtypes.bfloat16
    assert found["times"].dtype == np.dtype("M8[ns]")
    assert (found["meta"], found["when"], found["jpg"]) == (
        {"a": [1, None]},
        "2026-01-02T00:00:00+00:00",
        b"\xff\xd8\xff",
    )
    without = plain.webdataset((), [], replace(wanted, fields=fields[1:]))
    assert "ml_dtypes" not in "".join((*without.parts, without.install or ""))
