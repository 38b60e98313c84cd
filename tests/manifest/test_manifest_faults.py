"""Wrong manifests: one fault for each mistake, with file and line, and never another error."""

from __future__ import annotations

import io
import re
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgpack
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog import records
from catalog.cli import cli
from catalog.errors import Fault, InvalidManifest, InvalidRecord
from catalog.manifest import load
from catalog.manifest.yaml_parser import MAX_BYTES
from catalog.syntax import Datetime, Did, Tid
from tests.paths import TESTS
from tests.shards.test_tar import tar_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from catalog.atproto.datamodel import Json

DID = Did.parse("did:plc:bbbbbbbbbbbbbbbbbbbbbbbb")
NOW = Datetime.parse("2024-05-06T07:08:09.000Z")
DATA = TESTS / "data" / "manifests"

SOUND = (DATA / "sound.yaml").read_text(encoding="utf-8")


def shard() -> bytes:
    """A shard with a sample of the schema in the sound manifest."""
    image = io.BytesIO()
    np.save(image, np.zeros((8, 8), "uint8"))
    return tar_of(("0.msgpack", msgpack.packb({"image": image.getvalue(), "label": 1})))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working folder, with a valid ``m.yaml``."""
    (tmp_path / "data").mkdir()
    for name in ("data/a-0.tar", "data/a-1.tar", "d-0.tar", "d-1.tar", "d-2.tar"):
        (tmp_path / name).write_bytes(b"12345")
    (tmp_path / "data" / "empty.bin").touch()
    with (tmp_path / "data" / "b.big").open("wb") as file:
        file.truncate(52_428_801)  # of which nothing is on the disk
    (tmp_path / "m.yaml").write_text(SOUND, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """Lines of the sound manifest, the lines that replace them, and the faults: (index into ``new``, words)."""

    title: str
    old: list[str]
    new: list[str]
    faults: list[tuple[int, str]]

    def manifest(self) -> tuple[str, list[str]]:
        """Return the manifest with this mistake, and its faults: file, line and the words of each message."""
        lines = SOUND.splitlines()
        places = [at for at in range(len(lines)) if lines[at : at + len(self.old)] == self.old]
        assert len(places) == 1, f"{self.title}: its lines are in sound.yaml {len(places)} times"
        (at,) = places
        text = "\n".join([*lines[:at], *self.new, *lines[at + len(self.old) :], ""])
        return text, [f"m.yaml:{at + index + 1}: {words}" for index, words in self.faults]


def read_mistakes() -> Iterator[Mistake]:
    for block in (DATA / "mistakes.txt").read_text(encoding="utf-8").split("\n# ")[1:]:
        title, *lines = block.rstrip("\n").split("\n")
        mistake = Mistake(title=title, old=[], new=[], faults=[])
        for line in lines:
            sign, text = line[0], line[2:]
            if sign in " -":
                mistake.old.append(text)
            if sign in " +":
                mistake.new.append(text)
            if sign == "!":
                mistake.faults.append((len(mistake.new) - 1, text))
        yield mistake


def assert_faults(faults: Sequence[Fault], expected: list[str]) -> None:
    """Compare faults with a list of ``FILE:LINE: words … more words``, where ``…`` is any text."""
    assert len(faults) == len(expected), [str(fault) for fault in faults]
    for fault, line in zip(faults, expected, strict=True):
        where, _, words = line.partition(": ")
        assert str(fault).startswith(f"{where}: "), (str(fault), line)
        assert re.search(".*?".join(map(re.escape, words.split(" … "))), str(fault)), (str(fault), line)


MISTAKES = {mistake.title: mistake for mistake in read_mistakes()}


def test_the_table_of_mistakes_is_read_whole() -> None:
    """The control of the reader: it returns every title and every fault."""
    text = (DATA / "mistakes.txt").read_text(encoding="utf-8")
    assert len(MISTAKES) == text.count("\n# ") > 140
    assert sum(len(one.faults) for one in MISTAKES.values()) == text.count("\n! ")
    assert all(one.faults for one in MISTAKES.values())


def test_the_unbroken_manifest_is_fine(folder: Path) -> None:
    """The control: what the table breaks is sound before."""
    found = load([folder])
    assert [len(part) for part in (found.schemas, found.datasets, found.labels, found.lenses)] == [1, 5, 2, 1]


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_fault_at_its_line(folder: Path, mistake: Mistake) -> None:
    """One mistake in a sound manifest: file, line, the wrong value, the suggestion; no other fault."""
    text, expected = mistake.manifest()
    (folder / "m.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InvalidManifest) as caught:
        load([Path("m.yaml")])
    assert_faults(caught.value.faults, expected)
    assert all(len(str(fault)) < 700 and str(fault).isprintable() for fault in caught.value.faults)


@pytest.mark.parametrize(
    "command", [["validate"], ["plan", "--handle", "a.example"], ["publish", "--yes", "--handle", "a.example"]]
)
def test_a_mistake_is_told_before_anything_else_happens(
    folder: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    """Each mistake of the table ends each command with its faults; no connection is made, no file is written."""

    def no_network(*_args: object, **_more: object) -> None:
        pytest.fail("a connection was made")

    monkeypatch.setattr("catalog.network.http.Client.__init__", no_network)
    monkeypatch.setattr("socket.socket.connect", no_network)
    monkeypatch.setenv("CATALOG_APP_PASSWORD", "abcd-efgh-ijkl-mnop")
    runner = CliRunner()
    for mistake in MISTAKES.values():
        text, expected = mistake.manifest()
        (folder / "m.yaml").write_text(text, encoding="utf-8")
        before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
        result = runner.invoke(cli, [*command, "m.yaml"])
        assert isinstance(result.exception, InvalidManifest), (mistake.title, result.output)
        assert_faults(result.exception.faults, expected)
        assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    (folder / "m.yaml").write_text(SOUND, encoding="utf-8")
    for path in folder.rglob("*.tar"):
        path.write_bytes(shard())  # the commands compare samples with the schema
    with pytest.raises(pytest.fail.Exception) if command[0] != "validate" else nullcontext():  # the control
        assert runner.invoke(cli, [*command, "m.yaml"], catch_exceptions=False).exit_code == 0


# what is replaced, what stands there instead, the text at whose line the fault is told, a part of its message
LONG = {
    "licence": ("license: MIT", "license: " + "x" * 201, "license:", "201 bytes; the most is 200"),
    "tag": ("[one, two]", f"[one, {'é' * 76}]", "tags:", "152 bytes; the most is 150"),
    "tags": ("[one, two]", str([f"t{n}" for n in range(31)]), "tags:", "31 tags; the most is 30"),
    "metadata": ("{mean: 0.5}", "{mean: " + "x" * 100_000 + "}", "metadata: {m", "the most is 100,000"),
    "set": ("set: examples", "set: " + "x" * 101, "set:", "101 bytes; the most is 100"),
    "key": ('"a/{0..2}.tar"', "k" * 1025, "- kkk", "a key of 1,025 bytes; the most is 1,024"),
    "expanded key": (
        '"a/{0..2}.tar"',
        "k" * 1020 + "{000000..000000}",
        "- kkk",
        "at most 1,024 bytes of UTF-8, found",
    ),
    "bucket": ("bucket: example-data\n      region", "bucket: " + "b" * 256 + "\n      region", "bucket: bb", "256"),
    "label": ("name: latest", "name: " + "x" * 201, "name: xx", "201 bytes; the most is 200"),
    "label's version": ("version: 0.9.0", "version: 0.9.0-" + "x" * 45, "version: 0.9.0-", "51 bytes; the most is 50"),
}


@pytest.mark.parametrize(("old", "new", "at", "message"), LONG.values(), ids=LONG)
def test_what_is_too_long_is_told_at_its_line(folder: Path, old: str, new: str, at: str, message: str) -> None:
    """Texts too long for a table of cases: the limits are those of the lexicons, in bytes."""
    assert SOUND.count(old) == 1
    text = SOUND.replace(old, new)
    (folder / "m.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InvalidManifest) as caught:
        load([Path("m.yaml")])
    (told,) = (str(fault) for fault in caught.value.faults)
    assert told.startswith(f"m.yaml:{text[: text.index(at)].count(chr(10)) + 1}: ")
    assert message in told
    assert len(told) < 700
    assert told.isprintable()


@pytest.mark.parametrize("storage", ["shards", "s3: {bucket: b, keys", "blobs"])
def test_a_dataset_of_too_many_shards_is_told_where_they_become_too_many(
    folder: Path, monkeypatch: pytest.MonkeyPatch, storage: str
) -> None:
    """Counted over all entries of the list, wherever the shards lie."""
    name = {"shards": "url: 'https://data.example/", "blobs": "local: '"}.get(storage, "key: '")
    lines = ["schemas: [{name: S, version: 1.0.0, fields: {a: int}}]", "datasets:", "- name: d", "  schema: S@1.0.0"]
    lines += [f"  {storage}: ["] + [f"    {{{name}{word}-{{0..1}}.tar'}}," for word in "abc"]
    text = "\n".join([*lines, "  ]}" if "{" in storage else "  ]", ""])
    (folder / "m.yaml").write_text(text, encoding="utf-8")
    monkeypatch.setattr("catalog.manifest.shards.MAX_SHARDS", 6)
    assert len(load([Path("m.yaml")]).datasets[0].shards) == 6
    monkeypatch.setattr("catalog.manifest.shards.MAX_SHARDS", 5)
    with pytest.raises(InvalidManifest) as caught:
        load([Path("m.yaml")])
    assert_faults(caught.value.faults, ["m.yaml:8: 5 shards"])


def test_two_names_for_one_set_are_told_with_both_places(folder: Path) -> None:
    """The set is called one thing; a file that says nothing, or the same, is fine."""
    (folder / "n.yaml").write_text("schemas: []\n", encoding="utf-8")
    (folder / "o.yaml").write_text("set: examples\n", encoding="utf-8")
    assert load([folder]).name == "examples"
    (folder / "n.yaml").write_text("schemas: []\nset: others\n", encoding="utf-8")
    with pytest.raises(InvalidManifest) as caught:
        load([Path("m.yaml"), Path("n.yaml"), Path("o.yaml")])
    assert_faults(caught.value.faults, ["n.yaml:2: 'others' … 'examples' … m.yaml:1"])


def test_what_stands_twice_is_told_across_files(folder: Path) -> None:
    """A label in one file and the version of a dataset in another make the same label."""
    other = """\
labels:
  - {name: digits, version: 1.0.0, dataset: kept}
  - {name: latest, dataset: kept}
"""
    (folder / "n.yaml").write_text(other, encoding="utf-8")
    with pytest.raises(InvalidManifest) as caught:
        load([Path("m.yaml"), Path("n.yaml")])
    assert_faults(
        caught.value.faults,
        ["n.yaml:2: duplicate … 'digits@1.0.0' … m.yaml:13", "n.yaml:3: duplicate … 'latest' … m.yaml:53"],
    )
    with pytest.raises(InvalidManifest) as caught:
        load([Path("n.yaml"), Path("m.yaml")])
    (fault,) = (fault for fault in caught.value.faults if fault.where == "m.yaml:13")
    assert_faults([fault], ["m.yaml:13: duplicate … 'digits@1.0.0' … n.yaml:2"])


def test_all_mistakes_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file with a mistake on nearly every line: one fault each, from top to bottom."""
    monkeypatch.chdir(DATA)
    with pytest.raises(InvalidManifest) as caught:
        load([Path("broken.yaml")])
    assert_faults(caught.value.faults, (DATA / "broken.txt").read_text(encoding="utf-8").splitlines())
    assert len(str(caught.value).splitlines()) == len(caught.value.faults), "one line each"


BYTES = {
    "empty": (b"", 1, "the file is empty"),
    "only a comment": (b"# nothing\n", 1, "the file is empty"),
    "an empty map": (b"{}", 1, "the manifest is empty"),
    "a list": (b"- a", 1, "a manifest must be a map, not a list"),
    "Latin-1": (b"a: b\nc: \xe9\n", 2, "not UTF-8"),
    "UTF-16": ("schemas: []".encode("utf-16"), 1, "not UTF-8"),
    "NUL": (b"a: b\nc: \0", 2, "not YAML"),
    "huge": (b"#" * (MAX_BYTES + 1), 1, "bytes; the most is"),
    "deep": (b"[" * 100_000, 1, "nested deeper than 64"),
    "deep block": (b"- " * 50_000, 1, "nested deeper than 64"),
    "deep aliases": (
        b"a: &a0 [x]\n" + b"".join(b"b%d: &a%d [*a%d]\n" % (n, n, n - 1) for n in range(1, 100)),
        63,
        "nested deeper",
    ),
    "alias bomb": (
        b"a: &a0 [x, x]\n"
        + b"".join(b"b%d: &a%d [%s]\n" % (n, n, b", ".join([b"*a%d" % (n - 1)] * 9)) for n in range(1, 20)),
        6,
        "more than 50,000 values",
    ),
    "lone surrogate": (b'a: "\\ud800"', 1, ""),
    "escape beyond Unicode": (b'a: "\\UFFFFFFFF"', 1, ""),
    "long aliases": (
        b"a: &a " + b"x" * 100_000 + b"\nb:\n" + b"".join(b"- [" + b"*a, " * 4 + b"]\n" for _ in range(10)),
        5,
        "characters of text",
    ),
    "many directives": (b"%TAG !a! tag:example.org,2000:\n" * 17 + b"--- {}", 1, "TAG directives"),
    "an empty number": (b"a: !!int ''", 1, "kind int"),
    "a number of another kind": (b"a: !!int 0b101", 1, "kind int"),
    "no truth value": (b"a: !!bool maybe", 1, "kind bool"),
    "no truth value any more": (b"a: !!bool yes", 1, "kind bool"),
    "no bytes": (b"a: !!binary '%'", 1, "kind binary"),
    "no date": (b"a: !!timestamp 2024-01-01", 1, "!!timestamp is not allowed"),
}


@pytest.mark.parametrize(("raw", "line", "message"), BYTES.values(), ids=BYTES)
def test_bytes_that_are_no_manifest_are_refused_in_one_line(
    tmp_path: Path, raw: bytes, line: int, message: str
) -> None:
    """Whatever a file holds, its fault has a place, and is said in one line."""
    file = tmp_path / "m.yaml"
    file.write_bytes(raw)
    with pytest.raises(InvalidManifest) as caught:
        load([file])
    (told,) = (str(fault) for fault in caught.value.faults)
    assert told.startswith(f"{file}:{line}: ")
    assert message in told


def test_a_path_that_leads_nowhere_is_a_fault(tmp_path: Path) -> None:
    """A missing file, and a directory without manifests; hidden directories don't count."""
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "m.yaml").write_text(SOUND, encoding="utf-8")
    with pytest.raises(InvalidManifest) as caught:
        load([tmp_path, tmp_path / "absent.yaml"])
    assert [fault.message for fault in caught.value.faults] == [
        "no *.yaml file in this directory",
        "no such file or directory",
    ]


def test_a_bom_and_windows_line_ends_are_fine(folder: Path) -> None:
    """Editors write them; they change no value and no line number."""
    (folder / "m.yaml").write_bytes(b"\xef\xbb\xbf" + SOUND.replace("\n", "\r\n").encode())
    assert load([folder]).lenses[0].line == SOUND[: SOUND.index("- name: same")].count("\n") + 1


def read_or_refuse(file: Path, raw: bytes) -> None:
    file.write_bytes(raw)
    faults: tuple[Fault, ...] | None = None
    try:
        load([file])
    except InvalidManifest as error:
        faults = error.faults
    assert faults != ()
    assert all(fault.where.startswith(f"{file}:") and str(fault).isprintable() for fault in faults or ())


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=st.binary(max_size=200) | st.text(alphabet="ab:-[]{}&*!|>'\"\\#%?,\n\t @0.~<=", max_size=80).map(str.encode))
def test_no_bytes_raise_anything_but_our_error(folder: Path, raw: bytes) -> None:
    """Any bytes are read, or refused with faults that have a place."""
    read_or_refuse(folder / "m.yaml", raw)


SCRAP = st.text(max_size=12) | st.sampled_from(
    ["[]", "{}", "~", "1e999", ".nan", "-1", "!!binary '='", "2024-01-01", "*code"]
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), scrap=SCRAP)
def test_no_wrong_value_raises_anything_but_our_error(folder: Path, data: st.DataObject, scrap: str) -> None:
    """A sound manifest with a piece of any line replaced by anything at all."""
    lines = SOUND.splitlines()
    number = data.draw(st.integers(0, len(lines) - 1))
    start = data.draw(st.integers(0, len(lines[number])))
    lines[number] = lines[number][:start] + scrap
    read_or_refuse(folder / "m.yaml", "\n".join(lines).encode())


@pytest.mark.parametrize(
    ("collection", "name", "where", "at"),
    [
        (records.SCHEMA, "Sample", "metadata.tags[1]", "tags:"),
        (records.SCHEMA, "Sample", "schema.properties.label.type", "label: int"),
        (records.SCHEMA, "Sample", "somewhere.else", "- name: Sample"),
        (records.DATASET, "digits", "schemaRef", "schema: Sample"),
        (records.DATASET, "digits", "storage.shards[2].url", "- url: "),
        (records.DATASET, "digits", "storage.shards[3].checksum.digest", "- url: https"),
        (records.DATASET, "digits", "storage.shards", "shards:"),
        (records.DATASET, "digits", "storage.shards[9]", "shards:"),
        (records.DATASET, "digits", "contentMetadata.split", "content_metadata"),
        (records.DATASET, "listed", "storage.bucket", "bucket: example-data"),
        (records.DATASET, "listed", "storage.endpoint", "endpoint:"),
        (records.DATASET, "listed", "storage.shards[2].key", '- "a/{0..2}'),
        (records.DATASET, "listed", "storage.shards[5].checksum", '- key: "b/'),
        (records.DATASET, "copied", "storage.shards[1].key", "local: data/*.tar\n      prefix"),
        (records.DATASET, "kept", "storage.blobs[1].blob.size", "- local: data/*.tar"),
        (records.DATASET, "kept", "storage.blobs[2].blob.size", "- local: elsewhere"),
        (records.DATASET, "kept", "storage.blobs", "blobs:\n"),
        (records.LABEL, "latest", "datasetUri", "dataset: digits"),
        (records.LABEL, "latest", "version", "- name: latest"),
        (records.LENS, "same", "getterCode.commit", "commit: "),
        (records.VERIFICATION, None, "verificationMethod", "method: "),
    ],
)
def test_a_fault_that_only_the_lexicon_knows_is_told_at_its_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, collection: str, name: str | None, where: str, at: str
) -> None:
    """Whatever a lexicon says about a place of the record is said about the line which that place comes from."""
    line = SOUND[: SOUND.index(at)].count("\n") + 1
    (draft,) = (
        one
        for one in load([folder]).records(DID, created_at=NOW, new_tid=lambda: Tid.at(0, 0))
        if one.collection == collection and one.value.get("name") == name
    )
    assert draft.line_of(where) == line
    real = records.write_record

    def strict(record: records.Record) -> dict[str, Json]:
        value = real(record)
        if value["$type"] == collection and value.get("name") == name:
            raise InvalidRecord((Fault(where=where, message="is refused", hint="another"),))
        return value

    monkeypatch.setattr(records, "write_record", strict)
    with pytest.raises(InvalidManifest) as caught:
        load([Path("m.yaml")])
    assert f"m.yaml:{line}: {where}: is refused (another)" in str(caught.value).splitlines()
