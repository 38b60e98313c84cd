"""Manifests that are wrong: one clear line for each mistake, with file and line, and never another error."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog import records
from catalog.errors import Fault, InvalidManifest, InvalidRecord
from catalog.manifest import load
from catalog.manifest.document import MAX_BYTES

if TYPE_CHECKING:
    from catalog.datamodel import Json

DATA = Path(__file__).parent / "data" / "manifests"

SOUND = """\
schemas:
  - name: Sample
    version: 1.0.0
    license: MIT
    tags: [one, two]
    fields:
      image: array[uint8, 8, 8]
      label: int
datasets:
  - name: digits
    schema: Sample@1.0.0
    version: 1.0.0
    shards:
      - url: "https://example.org/d-{0..2}.tar"
        local: "d-{0..2}.tar"
      - url: https://example.org/e.tar
        sha256: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
        bytes: 5
    samples: 7
    metadata: {mean: 0.5}
    content_metadata: {split: train}
lenses:
  - name: same
    source: Sample@1.0.0
    target: Sample@1.0.0
    getter: &code
      repository: https://example.org/code
      commit: 0123456789abcdef0123456789abcdef01234567
      path: same.py:get
    putter: *code
verifications:
  - lens: same
    method: codeReview
"""

# what is replaced, what stands there instead, the text at whose line the fault is told, a part of its message
BROKEN = {
    "unknown field type": ("label: int", "label: integr", "label: integr", "unknown field type 'integr'"),
    "unknown dtype": ("uint8", "uint9", "uint9", "did you mean 'uint8'?"),
    "bad dimension": ("8, 8]", "8, x]", "8, x]", "is not a dimension"),
    "field is a number": ("label: int", "label: 3", "label: 3", "must have a type"),
    "dimension names": (
        "label: int",
        "label: {type: 'array[int8, *]', dimensions: [a, b]}",
        "label:",
        "2 dimension names for a shape of 1",
    ),
    "dimensions of a scalar": ("label: int", "label: {type: int, dimensions: [a]}", "label:", "for arrays only"),
    "a format of a scalar": ("label: int", "label: {type: int, format: sparseBytes}", "label:", "for arrays only"),
    "an unknown format": ("label: int", "label: {type: array, format: sparse}", "label:", "unknown format 'sparse'"),
    "no fields": ("fields:\n      image: array[uint8, 8, 8]\n      label: int", "fields: {}", "fields: {}", "0 fields"),
    "missing schema": ("schema: Sample@1.0.0", "schema: Sampel@1.0.0", "Sampel", "did you mean 'Sample@1.0.0'?"),
    "missing schema version": ("schema: Sample@1.0.0", "schema: Sample@2.0.0", "schema: S", "there is no schema"),
    "schema without version": ("schema: Sample@1.0.0", "schema: Sample", "schema: Sample", "has no version"),
    "bad URI": ("schema: Sample@1.0.0", "schema: 'at://x'", "schema: 'at", "at:// URI"),
    "URI of another kind": (
        "schema: Sample@1.0.0",
        "schema: at://did:plc:aaaaaaaaaaaaaaaaaaaaaaaa/science.alt.dataset.lens/x",
        "schema: at",
        "is not the URI of a science.alt.dataset.schema record",
    ),
    "missing target": ("target: Sample@1.0.0", "target: Other@1.0.0", "target: O", "there is no schema 'Other@1.0.0'"),
    "version is a float": (
        "version: 1.0.0\n    license",
        "version: 1.0\n    license",
        "version: 1.0\n",
        'quotes: "1.0"',
    ),
    "bad semver": ("version: 1.0.0\n    license", "version: 01.0.0\n    license", "01.0.0", "not a semantic version"),
    "bad dataset version": ("version: 1.0.0\n    shards", "version: v1\n    shards", "version: v1", "semantic version"),
    "duplicate schema": (
        "datasets:",
        "  - {name: Sample, version: 1.0.0, fields: {a: int}}\ndatasets:",
        "{name: Sample",
        "duplicate schema",
    ),
    "duplicate dataset": (
        "lenses:",
        "  - {name: digits, schema: Sample@1.0.0, shards: [{url: 'https://example.org/x'}]}\nlenses:",
        "{name: digits",
        "duplicate dataset 'digits'",
    ),
    "duplicate lens": (
        "verifications:",
        "  - {name: same, source: Sample@1.0.0, target: Sample@1.0.0, getter: *code, putter: *code}\nverifications:",
        "{name: same",
        "duplicate lens 'same'",
    ),
    "duplicate verification": (
        "method: codeReview",
        "method: codeReview\n  - {lens: same, method: codeReview}",
        "{lens",
        "dup",
    ),
    "duplicate key": (
        "samples: 7",
        "samples: 7\n    samples: 8",
        "samples: 8",
        "duplicate key 'samples' (first on line 19)",
    ),
    "plain http": ("https://example.org/e.tar", "http://example.org/e.tar", "http://", "is not an https URL"),
    "a URL that runs a shell": ("https://example.org/e.tar", "'pipe:curl x'", "pipe:", "is not an https URL"),
    "URL without host": ("https://example.org/e.tar", "https:///e.tar", "https:///", "is not an https URL"),
    "URL beyond ASCII": ("https://example.org/e.tar", "https://example.org/é.tar", "- url: https", "is not a URI"),
    "bad port": ("https://example.org/e.tar", "https://example.org:x/e.tar", ":x/", "is not an https URL"),
    "bad IPv6 host": ("https://example.org/e.tar", "'https://[::1/e.tar'", "[::1", "is not an https URL"),
    "URL with password": (
        "https://example.org/e.tar",
        "https://a:b@example.org/e.tar",
        "a:b@",
        "user name or password",
    ),
    "braces that are no pattern": ("https://example.org/e.tar", "https://example.org/{a,b}.tar", "{a,b}", "no pattern"),
    "same URL twice": ("https://example.org/e.tar", "https://example.org/d-1.tar", "- url: https", "stands twice"),
    "backward range": ('d-{0..2}.tar"\n        local', 'd-{2..0}.tar"\n        local', "{2..0}", "runs backwards"),
    "endless range": (
        'd-{0..2}.tar"\n        local',
        'd-{0..999999999}.tar"\n        local',
        "999",
        "1,000,000,000 shards",
    ),
    "other count of copies": (
        'local: "d-{0..2}',
        'local: "d-{0..3}',
        "local:",
        "'local' stands for 4 files, 'url' for 3",
    ),
    "one checksum for three": (
        'local: "d-{0..2}.tar"',
        "sha256: " + "a" * 64,
        "sha256: aaa",
        "one 'sha256' for 3 shards",
    ),
    "short sha256": ("        sha256: 0123", "        sha256: a", "sha256:", "64 hexadecimal digits"),
    "sha256 taken for a number": (
        "sha256: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "sha256: 1234567",
        "sha256",
        "quotes",
    ),
    "negative bytes": ("bytes: 5", "bytes: -5", "bytes: -5", "'bytes' is negative"),
    "negative samples": ("samples: 7", "samples: -1", "samples: -1", "'samples' is negative"),
    "samples as text": ("samples: 7", "samples: many", "samples: many", "must be a whole number"),
    "no url": ("- url: https://example.org/e.tar\n        sha256", "- sha256", "- sha256", "a shard needs 'url'"),
    "S3 beside shards": ("    samples: 7", "    s3: {bucket: b, keys: [k]}", "s3:", "'s3' beside 'shards'"),
    "blobs beside shards": ("    samples: 7", "    blobs: {local: b}", "blobs:", "'blobs' beside 'shards'"),
    "no name": ("- name: Sample\n    version", "- version", "- version: 1.0.0\n    license", "a schema needs 'name'"),
    "no putter": ("    putter: *code\n", "", "- name: same", "a lens needs 'putter'"),
    "empty value": ("license: MIT", "license:", "license:", "'license' has no value"),
    "unknown key": ("license: MIT", "licence: MIT", "licence:", "did you mean 'license'?"),
    "unknown section": ("verifications:", "verification:", "verification:", "did you mean 'verifications'?"),
    "long licence": ("license: MIT", "license: " + "x" * 201, "license:", "201 bytes; the most is 200"),
    "long tag": ("[one, two]", f"[one, {'é' * 76}]", "tags:", "152 bytes; the most is 150"),
    "many tags": ("[one, two]", str([f"t{n}" for n in range(31)]), "tags:", "31 tags; the most is 30"),
    "tags as text": ("[one, two]", "one", "tags: one", "'tags' must be a list"),
    "a date for a name": ("name: digits", "name: 2024-01-01", "name: 2024", "must be text, not the date 2024-01-01"),
    "a list for a map": ("putter: *code", "putter: [1]", "putter: [1]", "a putter must be a map, not a list"),
    "short commit": ("commit: 0123456789abcdef0123456789abcdef01234567", "commit: main", "commit:", "40 hexadecimal"),
    "repository by ssh": ("https://example.org/code", "ssh://git@example.org/code", "ssh:", "is not an https URL"),
    "no function": ("path: same.py:get", "path: same.py", "path:", "names no function"),
    "missing lens": ("lens: same", "lens: smae", "smae", "there is no lens 'smae' (did you mean 'same'?)"),
    "unknown method": ("method: codeReview", "method: codereview", "method:", "did you mean 'codeReview'?"),
    "published lens without commit": (
        "lens: same",
        "lens: at://did:plc:aaaaaaaaaaaaaaaaaaaaaaaa/science.alt.dataset.lens/x",
        "lens: at:",
        "needs 'lens_commit'",
    ),
    "bad CID": ("method: codeReview", "method: codeReview\n    lens_commit: abc", "lens_commit", "is not a CID"),
    "float in a record": ("split: train", "split: 0.5", "split:", "put it under 'metadata'"),
    "metadata as text": ("{mean: 0.5}", "mean", "metadata: mean", "'metadata' must be a map"),
    "long metadata": ("{mean: 0.5}", "{mean: " + "x" * 100_000 + "}", "metadata: {m", "the most is 100,000"),
    "endless number": ("mean: 0.5", "mean: 18446744073709551616", "mean:", "doesn't fit in 64 bits"),
    "tab": ("    samples: 7", "\tsamples: 7", "\tsamples", "not YAML"),
    "open bracket": ("[one, two]", "[one, two", "fields:", "not YAML"),
    "Python object": (
        "license: MIT",
        "license: !!python/object/apply:os.system [ls]",
        "license:",
        "!!python/object/apply",
    ),
    "another tag": ("license: MIT", "license: !x MIT", "license:", "the tag !x is not allowed"),
    "impossible date": ("mean: 0.5", "mean: 2024-13-45", "mean:", "is not a timestamp"),
    "no such anchor": ("putter: *code", "putter: *cod", "putter:", "anchor &cod"),
    "anchor inside itself": ("{mean: 0.5}", "&m {mean: *m}", "metadata:", "anchor &m"),
    "merge key": ("{mean: 0.5}", "{<<: {a: 1}}", "metadata:", "merge keys"),
    "map for a key": ("mean: 0.5", "{a: b}: 0.5", "metadata:", "a key must be plain text"),
    "second document": ("lenses:", "---\nlenses:", "---", "several documents"),
    "control character": ("license: MIT", "license: M\x07T", "license:", "not YAML"),
}


def test_the_unbroken_manifest_is_fine(tmp_path: Path) -> None:
    """The control: what the table below breaks is sound before."""
    (tmp_path / "m.yaml").write_text(SOUND, encoding="utf-8")
    assert len(load([tmp_path]).lenses) == 1


@pytest.mark.parametrize(("old", "new", "at", "message"), BROKEN.values(), ids=BROKEN)
def test_a_mistake_is_told_at_its_line(tmp_path: Path, old: str, new: str, at: str, message: str) -> None:
    """One mistake put into a sound manifest gives a line with its file, its line number and what is wrong."""
    assert SOUND.count(old) == 1 or old.startswith(("uint8", "https", "lens"))
    text = SOUND.replace(old, new, 1)
    file = tmp_path / "m.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidManifest) as caught:
        load([file])
    line = text[: text.index(at)].count("\n") + 1
    told = [str(fault) for fault in caught.value.faults]
    assert any(one.startswith(f"{file}:{line}: ") and message in one for one in told), (line, told)
    assert len(told) == 1
    assert all(len(one) < 700 and one.isprintable() for one in told)


def test_all_mistakes_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file with a mistake on nearly every line: one line each, from top to bottom, word for word."""
    monkeypatch.chdir(DATA)
    with pytest.raises(InvalidManifest) as caught:
        load([Path("broken.yaml")])
    assert str(caught.value).splitlines() == (DATA / "broken.txt").read_text(encoding="utf-8").splitlines()


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
        7,
        "more than 500,000 values",
    ),
    "lone surrogate": (b'a: "\\ud800"', 1, ""),
    "escape beyond Unicode": (b'a: "\\UFFFFFFFF"', 1, ""),
    "a long number": (b"a: " + b"9" * 10_000, 1, "is not a int"),
    "an empty number": (b"a: !!int ''", 1, "is not a int"),
    "no truth value": (b"a: !!bool maybe", 1, "is not a bool"),
    "no date": (b"a: !!timestamp maybe", 1, "is not a timestamp"),
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
        "can't be read: No such file or directory",
    ]


def test_a_bom_and_windows_line_ends_are_fine(tmp_path: Path) -> None:
    """Editors write them; they change no value and no line number."""
    (tmp_path / "m.yaml").write_bytes(b"\xef\xbb\xbf" + SOUND.replace("\n", "\r\n").encode())
    assert load([tmp_path]).lenses[0].line == SOUND[: SOUND.index("- name: same")].count("\n") + 1


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
def test_no_bytes_raise_anything_but_our_error(tmp_path: Path, raw: bytes) -> None:
    """Any bytes are read, or refused with faults that have a place."""
    read_or_refuse(tmp_path / "m.yaml", raw)


SCRAP = st.text(max_size=12) | st.sampled_from(
    ["[]", "{}", "~", "1e999", ".nan", "-1", "!!binary '='", "2024-01-01", "*code"]
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), scrap=SCRAP)
def test_no_wrong_value_raises_anything_but_our_error(tmp_path: Path, data: st.DataObject, scrap: str) -> None:
    """A sound manifest with a piece of any line replaced by anything at all."""
    lines = SOUND.splitlines()
    number = data.draw(st.integers(0, len(lines) - 1))
    start = data.draw(st.integers(0, len(lines[number])))
    lines[number] = lines[number][:start] + scrap
    read_or_refuse(tmp_path / "m.yaml", "\n".join(lines).encode())


@pytest.mark.parametrize(
    ("collection", "where", "at"),
    [
        (records.SCHEMA, "metadata.tags[1]", "tags:"),
        (records.SCHEMA, "schema.properties.label.type", "label: int"),
        (records.SCHEMA, "somewhere.else", "- name: Sample"),
        (records.DATASET, "schemaRef", "schema: Sample"),
        (records.DATASET, "storage.shards[2].url", "- url: "),
        (records.DATASET, "storage.shards[3].checksum.digest", "- url: https"),
        (records.DATASET, "contentMetadata.split", "content_metadata"),
        (records.LENS, "getterCode.commit", "commit: "),
        (records.VERIFICATION, "verificationMethod", "method: "),
    ],
)
def test_a_fault_that_only_the_lexicon_knows_is_told_at_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, collection: str, where: str, at: str
) -> None:
    """Whatever a lexicon says about a place of the record is said about the line which that place comes from."""
    real = records.write_record

    def strict(record: records.Record) -> dict[str, Json]:
        value = real(record)
        if value["$type"] == collection:
            raise InvalidRecord((Fault(where=where, message="is refused", hint="another"),))
        return value

    monkeypatch.setattr(records, "write_record", strict)
    file = tmp_path / "m.yaml"
    file.write_text(SOUND, encoding="utf-8")
    with pytest.raises(InvalidManifest) as caught:
        load([file])
    line = SOUND[: SOUND.index(at)].count("\n") + 1
    assert str(caught.value) == f"{file}:{line}: {where}: is refused (another)"
