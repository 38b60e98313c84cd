"""A corpus of odd tars, as other programs leave them: the samples are those of the ``webdataset`` library.

Keys, fields, order and data are compared with ``webdataset`` itself, byte for byte. Hidden files
are the one difference: ``d/._a.jpg`` is a sample ``d/`` there, and none here.
"""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from typing import TYPE_CHECKING, Any, Final

import pytest
from webdataset import tariterators

from catalog import Dataset
from catalog.errors import InvalidShard
from catalog.shards.formats.webdataset import WEBDATASET
from catalog.shards.reader import count_samples

if TYPE_CHECKING:
    from pathlib import Path

Member = tuple[str, bytes]
PLAIN: Final[tuple[Member, ...]] = (("0001.jpg", b"\xff\xd8\xff"), ("0001.cls", b"7"), ("0002.jpg", b"\xff\xd8"))
END: Final = 1024
"""Bytes of the end mark."""


def tar(*members: Member, form: int = tarfile.PAX_FORMAT, encoding: str = "utf-8", end: bool = True) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form, encoding=encoding) as writing:
        for name, data in members:
            info = tarfile.TarInfo(name)
            if name.endswith("/"):
                info.type = tarfile.DIRTYPE
            info.size = len(data)
            writing.addfile(info, io.BytesIO(data))
        length = writing.offset
    return out.getvalue() if end else out.getvalue()[:length]


LONG: Final = "d" * 90 + "/" + "k" * 90
LONGER: Final = "/".join(["d" * 120] * 4) + "/key"

CORPUS: Final = {
    "ordinary": tar(*PLAIN),
    "no end mark": tar(*PLAIN, end=False),
    "one zero block as an end mark": tar(*PLAIN, end=False) + bytes(512),
    "more after the end mark": tar(*PLAIN) + b"left over from an older file" * 40,
    "members of macOS": tar(("._0001.jpg", b"\0\5\x16\7"), *PLAIN[:2], ("._0002.jpg", b"\0\5\x16\7"), PLAIN[2]),
    "a folder of macOS": tar(
        ("./._0001.jpg", b"x"), ("0001.jpg", b"a"), ("__MACOSX/._0001.jpg", b"x"), ("0002.jpg", b"b")
    ),
    "directories": tar(("./", b""), ("train/", b""), ("train/0001.jpg", b"a"), ("val/", b""), ("val/0001.jpg", b"b")),
    "metadata members": tar(("__index__.json", b"{}"), ("__meta__/a.json", b"{}"), *PLAIN, ("__x__/y.z", b"")),
    "names that look like metadata": tar(("__0001.jpg", b"a"), ("0002__.jpg", b"b"), ("d/__3__.jpg", b"c")),
    "dotted keys": tar(("v1.2/0001.seg.png", b"a"), ("v1.2/0001.jpg", b"b"), ("22.01.jpg", b"c"), ("22.02.jpg", b"d")),
    "dots at the ends": tar(("a..jpg", b"a"), ("a.jpg.", b"b"), ("b.", b"c")),
    "upper-case extensions": tar(("0001.JPG", b"a"), ("0001.Cls", b"7"), ("A.jpg", b"b"), ("a.jpg", b"c")),
    "names without an extension": tar(("README", b"hello"), *PLAIN, ("LICENSE", b"MIT")),
    "hidden files": tar((".DS_Store", b"x"), *PLAIN, (".hidden.jpg", b"x")),
    "empty members": tar(("0001.jpg", b""), ("0001.txt", b""), ("0002.jpg", b"")),
    "interleaved keys": tar(("a.jpg", b"1"), ("b.jpg", b"2"), ("a.cls", b"3"), ("b.cls", b"4"), ("a.txt", b"5")),
    "a key again, later": tar(("a.jpg", b"1"), ("b.jpg", b"2"), ("a.jpg", b"3")),
    "the same key in two folders": tar(("x/a.jpg", b"1"), ("y/a.jpg", b"2"), ("a.jpg", b"3")),
    "paths that begin with a dot": tar(("./0001.jpg", b"a"), ("./0001.cls", b"7"), ("./d/2.jpg", b"b")),
    "spaces and other scripts": tar(("a b.jpg", b"1"), ("日本/été.jpg", b"2"), ("Ω.cls", b"3")),
    "long names of pax": tar((f"{LONG}.jpg", b"a"), (f"{LONGER}.jpg", b"b"), ("c.jpg", b"c")),
    "long names of GNU": tar((f"{LONG}.jpg", b"a"), (f"{LONGER}.jpg", b"b"), ("c.jpg", b"c"), form=tarfile.GNU_FORMAT),
    "long names of ustar": tar((f"{LONG}.jpg", b"a"), ("c.jpg", b"c"), form=tarfile.USTAR_FORMAT),
    "names that are not UTF-8": tar(
        ("J\xfcrgen.jpg", b"a"), ("J\xfcrgen.cls", b"7"), ("\xe9.jpg", b"b"),
        form=tarfile.GNU_FORMAT, encoding="latin-1",
    ),
    "members of a block and around it": tar(*((f"{size}.bin", b"x" * size) for size in (511, 512, 513, 1023, 1024))),
}  # fmt: skip
REFUSED: Final = {
    "a field twice": (tar(("a.jpg", b"1"), ("a.jpg", b"2")), "two members"),
    "a field twice but for its case": (tar(("a.jpg", b"1"), ("a.JPG", b"2")), "two members"),
    "no sample": (tar(("README", b"hello"), ("d/", b"")), "no member belongs"),
}
"""``webdataset`` raises for the first two, too."""


DECODED: Final[dict[str, Any]] = {"cls": int, "txt": bytes.decode, "json": json.loads}
"""How fields are decoded; others stay bytes."""


def theirs(path: Path) -> list[tuple[str, dict[str, bytes]]]:
    """The samples that users of ``webdataset`` get; it would leave a file open that it opened itself."""
    found: list[tuple[str, dict[str, bytes]]] = []
    stream = io.BytesIO(path.read_bytes())
    members = tariterators.tar_file_expander([{"url": path.name, "stream": stream}], eof_value=None)
    for sample in tariterators.group_by_keys(members):
        fields = {name: data for name, data in sample.items() if name not in ("__key__", "__url__", "__local_path__")}
        if fields and sample["__key__"].rpartition("/")[2] != "":
            found.append((sample["__key__"], fields))
    return found


def ours(path: Path) -> list[tuple[str, dict[str, bytes]]]:
    with path.open("rb", buffering=0) as source:
        return [
            (key, {name: bytes(data) for name, data in sample.items()})
            for key, sample in WEBDATASET.samples(source, path.name, whole=True)
        ]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", CORPUS)
def test_an_odd_tar_has_the_samples_of_webdataset(tmp_path: Path, name: str, *, packed: bool) -> None:
    raw = CORPUS[name]
    path = tmp_path / ("a.tar.gz" if packed else "a.tar")
    path.write_bytes(gzip.compress(raw, mtime=0) if packed else raw)
    expected = theirs(path)
    assert expected
    assert ours(path) == expected
    with path.open("rb", buffering=0) as source:
        assert count_samples(source, path.name).samples == len(expected)


@pytest.mark.parametrize("name", REFUSED)
def test_a_tar_without_samples_of_its_own_is_refused(tmp_path: Path, name: str) -> None:
    raw, word = REFUSED[name]
    path = tmp_path / "a.tar"
    path.write_bytes(raw)
    with pytest.raises(InvalidShard, match=word):
        ours(path)


@pytest.mark.parametrize("name", [name for name in CORPUS if "end mark" not in name])
def test_a_dataset_has_the_keys_and_fields_of_the_corpus(tmp_path: Path, name: str) -> None:
    """Values are decoded by their names, and nothing that the library adds becomes a field."""
    path = tmp_path / "a.tar"
    path.write_bytes(CORPUS[name])
    found: list[Any] = list(Dataset(str(path)))
    assert [(sample.__key__, list(sample)) for sample in found] == [(key, list(one)) for key, one in theirs(path)]
    for sample, (_, fields) in zip(found, theirs(path), strict=True):
        for field, data in fields.items():
            assert sample[field] == DECODED.get(field, bytes)(data)
