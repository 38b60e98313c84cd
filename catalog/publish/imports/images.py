"""A folder of images → WebDataset samples: the image unchanged, its class, its row of metadata.

::

    photos/train/cat/1.jpg   ─▶  train/cat/1.jpg  .cls (0)  .txt (cat)          classes by folder
    photos/metadata.csv      ─▶  1.jpg  .json ({"caption": …})                  file_name,caption

The rules are those of ``imagefolder`` in Hugging Face's datasets, except where it drops files silently:

- The class is the parent folder, if all images are at the same depth and in at least two folders.
- ``metadata.csv``, ``.jsonl`` or ``.parquet`` in a folder describes images in it and below: ``file_name``, or several
  ``<field>_file_name``. With metadata there are no classes; images without a row are left out, and said so.
- A split is a folder or a part of each file name (train, validation, test); all images must have one.

The kind of an image is recognised by its first bytes, not by its name.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from catalog.errors import DataError
from catalog.publish.imports.files import FoundFile, found_files, head_of, in_splits, keys_of_paths, splits_of_paths
from catalog.publish.imports.metadata_rows import METADATA_FILES, ImageRow, read_rows
from catalog.publish.imports.source import fingerprint
from catalog.schema import Field, Scalar
from catalog.shards.shard import display_url
from catalog.shards.split_names import split_of_word

if TYPE_CHECKING:
    from catalog.publish.imports.source import Members, Split
    from catalog.samples.inference import LeftOut
    from catalog.samples.write_shards import ShardFormat

__all__ = ["IMAGE_SUFFIXES", "ImageFolder"]

IMAGE_SUFFIXES: Final = frozenset({"jpg", "jpeg", "png", "gif", "bmp", "ppm", "pgm", "tif", "tiff", "webp"})
_MEDIA: Final = {
    "jpg": "image/jpeg", "png": "image/png", "gif": "image/gif", "bmp": "image/bmp", "tif": "image/tiff",
    "pgm": "image/x-portable-graymap", "ppm": "image/x-portable-pixmap", "webp": "image/webp",
}  # fmt: skip
_HEAD: Final = 32
_BLOCK: Final = 512
_MAX_CLASSES: Final = 1_000_000
_MAX_SHOWN: Final = 5
_MAGIC: Final = (
    (b"\xff\xd8\xff", "jpg"), (b"\x89PNG\r\n\x1a\n", "png"), (b"GIF8", "gif"), (b"BM", "bmp"),
    (b"II*\0", "tif"), (b"MM\0*", "tif"), (b"P5", "pgm"), (b"P2", "pgm"), (b"P6", "ppm"), (b"P3", "ppm"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Image:
    """One sample: its key, its images (suffix and path below the folder), and what is known of it."""

    key: str
    images: tuple[tuple[str, str], ...]
    size: int
    label: int | None = None
    name: str | None = None
    values: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _ImagePart:
    root: Path
    images: tuple[_Image, ...]

    def samples(self) -> Iterator[tuple[str, Members]]:
        for image in self.images:
            members = [(suffix, self._read(path)) for suffix, path in image.images]
            if image.label is not None:
                members += [(".cls", str(image.label).encode()), (".txt", (image.name or "").encode())]
            if image.values is not None:
                members.append((".json", json.dumps(image.values, ensure_ascii=False, allow_nan=False).encode()))
            yield image.key, members

    def _read(self, path: str) -> bytes:
        try:
            return (self.root / path).read_bytes()
        except OSError as error:
            raise DataError(f"the file can't be read: {error.strerror or error}", where=display_url(path)) from None


class ImageFolder:
    """A folder of images. Raises :class:`DataError` for files that aren't images, and metadata that doesn't fit."""

    format: ShardFormat = "webdataset"
    kind = "a folder of images"

    def __init__(self, root: Path, files: Sequence[FoundFile] | None = None) -> None:
        self._root, self.name = root.resolve(), root.resolve().name
        files = found_files(root) if files is None else files
        found = [file for file in files if _suffix(file.path) in IMAGE_SUFFIXES]
        if not found:
            raise DataError("there is no image in it", where=display_url(str(root)))
        self._notes: list[str] = []
        others = Counter(_suffix(file.path) or "without a suffix" for file in files if not _is_ours(file.path))
        if others:
            listed = ", ".join(f"{count:,} {kind}" for kind, count in others.most_common(_MAX_SHOWN))
            self._notes.append(f"other files are ignored: {listed}")
        kinds = _kinds(self._root, found)
        rows = read_rows(self._root, [file.path for file in files if Path(file.path).name in METADATA_FILES], kinds)
        sizes = {file.path: file.size for file in found}
        splits = splits_of_paths([file.path for file in found], self._notes)
        if rows is None:
            images = _by_class(found, kinds, splits, self._notes)
        else:
            images = _by_rows(rows, kinds, sizes, self._notes)
        self._images: list[_Image]
        self.splits: tuple[Split, ...]
        self._images, self.splits = in_splits(images, lambda image: image.images[0][1], splits)
        self._facts = [(file.path, file.size, file.mtime_ns) for file in files if _is_ours(file.path)]

    @property
    def notes(self) -> tuple[str, ...]:
        """Decisions that the user should know, one line each."""
        return tuple(self._notes)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the names, sizes and times of the files."""
        return fingerprint(self.kind, self._facts)

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """An image for each suffix, number and name of the class, the row of metadata."""
        total = len(self._images)
        counts = Counter(suffix[1:] for image in self._images for suffix, _ in image.images)
        fields = [
            Field(name=name, type=Scalar(kind="bytes", media=_MEDIA[name.rpartition(".")[2]]), optional=count < total)
            for name, count in sorted(counts.items())
        ]
        if self._images[0].label is not None:
            fields.append(Field(name="cls", type=Scalar(kind="int"), description="The number of the class."))
            fields.append(Field(name="txt", type=Scalar(kind="str"), description="The name of the class."))
        described = sum(image.values is not None for image in self._images)
        if described:
            fields.append(Field(name="json", type=Scalar(kind="map"), optional=described < total))
        return tuple(fields)

    left_out: tuple[LeftOut, ...] = ()

    def size_of(self, row: int) -> int:
        """Return the approximate bytes of an image and its members in a tar."""
        image = self._images[row]
        return image.size + 2 * _BLOCK * (len(image.images) + 2)

    def part(self, start: int, stop: int) -> _ImagePart:
        """Return the images from ``start`` up to ``stop``."""
        return _ImagePart(root=self._root, images=tuple(self._images[start:stop]))


def _is_ours(path: str) -> bool:
    return _suffix(path) in IMAGE_SUFFIXES or Path(path).name in METADATA_FILES


def _suffix(path: str) -> str:
    name = path.rpartition("/")[2]
    return name.rpartition(".")[2].lower() if "." in name else ""


def _kinds(root: Path, files: Sequence[FoundFile]) -> dict[str, str]:
    """Return the suffix of each image by its first bytes. Raises :class:`DataError` for files that aren't images."""
    kinds: dict[str, str] = {}
    wrong: list[str] = []
    for file in files:
        head = head_of(root / file.path, _HEAD)
        kind = _kind(head)
        if kind is None:
            wrong.append(f"{display_url(file.path)} ({_described(head)})")
        else:
            kinds[file.path] = kind
    if wrong:
        count = "1 file is" if len(wrong) == 1 else f"{len(wrong):,} files are"
        raise DataError(f"{count} not an image: {', '.join(wrong[:_MAX_SHOWN])}", hint="repair or remove them")
    return kinds


def _kind(head: bytes) -> str | None:
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    return next((kind for magic, kind in _MAGIC if head.startswith(magic)), None)


def _described(head: bytes) -> str:
    return f"it begins with {head[:12]!r}" if head else "it is empty"


# --- classes and rows -----------------------------------------------------------------------------------------


def _by_class(
    files: Sequence[FoundFile], kinds: Mapping[str, str], splits: Mapping[str, str] | None, notes: list[str]
) -> list[_Image]:
    """Return the images with the class of their folder, if their folders are classes."""
    parents = {file.path: file.path.split("/")[:-1] for file in files}
    names = sorted({parts[-1] for parts in parents.values() if parts})
    depths = {len(parts) for parts in parents.values()}
    below_splits = splits is not None and any(split_of_word(name) is not None for name in names)
    classes = {name: number for number, name in enumerate(names)} if len(depths) == 1 and not below_splits else {}
    if len(classes) > _MAX_CLASSES:
        raise DataError(f"{len(classes):,} folders; the most classes are {_MAX_CLASSES:,}")
    if len(classes) < 2:  # one folder says nothing about its images
        if names and not below_splits:
            notes.append("no classes: they need at least two folders, and all images at the same depth")
        classes = {}
    else:
        notes.append(f"{len(classes):,} classes by folder: {', '.join(names[:_MAX_SHOWN])}")
    keys = keys_of_paths([file.path for file in files])
    return [
        _Image(
            key=key,
            images=((f".{kinds[file.path]}", file.path),),
            size=file.size,
            label=classes[parents[file.path][-1]] if classes else None,
            name=parents[file.path][-1] if classes else None,
        )
        for key, file in zip(keys, files, strict=True)
    ]


def _by_rows(
    rows: Sequence[ImageRow], kinds: Mapping[str, str], sizes: Mapping[str, int], notes: list[str]
) -> list[_Image]:
    """Return the images of the rows of metadata."""
    used = {path for row in rows for _, path in row.images}
    if len(used) < len(kinds):
        notes.append(f"images without a row in the metadata are left out: {len(kinds) - len(used):,}")
    keys = keys_of_paths([row.images[0][1] for row in rows])
    return [
        _Image(
            key=key,
            images=tuple((f".{name}.{kinds[path]}" if name else f".{kinds[path]}", path) for name, path in row.images),
            size=sum(sizes[path] for _, path in row.images) + row.size,
            values=row.values,
        )
        for key, row in zip(keys, rows, strict=True)
    ]
