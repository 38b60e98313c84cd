"""Compare the samples of a shard with a schema, in the pass that hashes the shard.

::

    SampleCheck(schema)(source, "a.tar") ─▶ Examined(samples=60, misfit="4 of 60 samples don't fit Digit@1.0.0: …")

The shard may also be no shard: a web page, a Git LFS pointer, a truncated tar. The misfit then says what it is.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from catalog.errors import CatalogError, DataError, InvalidSample, InvalidSchema, InvalidShard, MissingExtra
from catalog.samples.manifest_builder import MAX_ROWS, ManifestBuilder
from catalog.samples.packable import class_from
from catalog.samples.packing import reader
from catalog.shards.formats import FORMATS, format_of
from catalog.shards.formats.msgpack import MSGPACK
from catalog.shards.hash_cache import Examined
from catalog.shards.magic import A_TAR, GZIP, UNKNOWN, describe
from catalog.shards.source import peek

if TYPE_CHECKING:
    from pathlib import Path

    from catalog.samples.shard_manifest import ShardManifest
    from catalog.schema import SampleType
    from catalog.shards.formats import Format
    from catalog.shards.hash_cache import ShardStats
    from catalog.shards.source import Source

_TABLES: Final = ("parquet", "csv", "jsonl")
_TAR: Final = re.compile(r"\.(tar|tar\.gz|tgz)$", re.IGNORECASE)
_MANIFEST_RULES: Final = 1
"""Version of the manifests that are kept."""
_RULES: Final = 2
"""Version of the rules: a verdict in a cache isn't valid for other ones."""


class SampleCheck:
    """Compares the samples of shards with a schema; ``None`` compares nothing and only reads them.

    ``stated`` is the format in the record. ``most`` is the number of samples of each shard to compare, by default all.
    Equal checks have an equal ``key``. ``manifests`` is the folder in which the shard manifest of each shard is kept.
    """

    def __init__(
        self,
        wanted: SampleType | None,
        *,
        stated: str | None = None,
        most: int | None = None,
        manifests: Path | None = None,
    ) -> None:
        self._wanted, self._stated, self._most, self._manifests = wanted, stated, most, manifests
        named = repr((_RULES, sorted(FORMATS), wanted, stated, most, *([] if manifests is None else [_MANIFEST_RULES])))
        self.key = hashlib.sha256(named.encode("utf-8", "surrogatepass")).digest()

    def manifest_of(self, stats: ShardStats) -> tuple[Path, Path | None] | None:
        """Return header and table of the manifest of a shard; ``None`` if there is none."""
        if self._manifests is None or stats.samples is None:
            return None
        header, table = self._paths(self._manifests, stats.sha256)
        return (header, table if table.is_file() else None) if header.is_file() else None

    def is_complete(self, stats: ShardStats) -> bool:
        """Return whether the manifest of a shard is there, if one is wanted and can be made."""
        if self._manifests is None or not stats.samples:
            return True
        found = self.manifest_of(stats)
        return found is not None and (found[1] is not None or stats.samples > MAX_ROWS or find_spec("pyarrow") is None)

    def _paths(self, folder: Path, sha256: str) -> tuple[Path, Path]:
        name = f"{sha256}-{_MANIFEST_RULES}-{self.key[:8].hex()}"
        return folder / f"{name}.json", folder / f"{name}.parquet"

    def _keep(self, manifest: ShardManifest, where: str, sha256: str, size: int) -> None:
        if self._manifests is not None:
            self._manifests.mkdir(parents=True, exist_ok=True)
            shard_id = _TAR.sub("", where.rpartition("/")[2])
            manifest.of_shard(sha256, size).write(*self._paths(self._manifests, sha256), shard_id)

    def __call__(self, source: Source, where: str) -> Examined:
        """Return the number of samples of a shard and the first misfit.

        Bytes after the end of the samples are not read. Errors of ``source`` other than :class:`InvalidShard` are
        raised, and :class:`MissingExtra` if the format needs a library.
        """
        if self._stated is not None and self._stated not in FORMATS:
            return Examined(samples=None)  # published by a newer version: nothing is known of it
        head, source = peek(source)
        form = format_of(head)
        if form is None and self._stated is None and (what := describe(head)) not in (A_TAR, UNKNOWN):
            return Examined(samples=None, misfit=f"this is {what}, not a shard")
        if form is not None and self._stated is None and form.name in _TABLES and _TAR.search(where):
            what = f"this is {describe(head)} under the name of a tar"
            return Examined(samples=None, misfit=f"{what} (state 'format: {form.name}', or rename it)")
        form = form or FORMATS[self._stated or MSGPACK.name]
        same = self._stated in (None, form.name)  # the caller compares the formats
        tally = SampleTally(self._wanted if same else None, form, self._most)
        builder = None if self._manifests is None else ManifestBuilder(form, self._wanted if same else None)
        places: list[int] | None = None if builder is None or head[:2] == GZIP else []
        try:
            for key, raw in form.samples(source, where, whole=True, places=places):
                tally.add(key, raw)
                if builder is not None:
                    builder.add(key, raw, places)
        except InvalidShard as error:
            return Examined(samples=None, misfit=_without_name(error, where))
        keep = None if builder is None else partial(self._keep, builder.finish(), where)
        return Examined(samples=tally.samples, format=form.name, misfit=tally.misfit(), keep=keep)


class SampleTally:
    """Counts samples, compares the first ``most`` of them (by default all) with a schema, and counts those that differ.

    Without a schema, or with one that no class can be made from, samples are only counted.
    """

    def __init__(self, wanted: SampleType | None, form: Format, most: int | None = None) -> None:
        self._wanted, self._form, self._most = wanted, form, most
        self._read = None if wanted is None else _reader(wanted, form)
        self.samples = self.compared = self.bad = 0
        self.first: DataError | None = None

    def misfit(self) -> str | None:
        """Return one line with the number of samples that differ, and the first of them; ``None`` if there is none."""
        if self.first is None or self._wanted is None:
            return None
        read = self.compared
        some = "" if read == self.samples else "compared "
        number = f"{self.bad:,} of {read:,} {some}samples don't" if read > 1 else f"the {some}sample doesn't"
        as_form = "" if self._form is MSGPACK else f" (read as {self._form.name})"
        key = ascii(self.first.where or "")[1:-1][:100]
        return f"{number} fit {self._wanted.name}@{self._wanted.version}{as_form}: sample {key}: {self.first.what}"

    def add(self, key: str, raw: Any) -> None:  # noqa: ANN401 - see formats.Raw
        """Count a sample, and compare it."""
        self.samples += 1
        if self._read is None or (self._most is not None and self.compared >= self._most):
            return
        try:
            self._read(raw, key)
        except MissingExtra:  # scipy, pyarrow, … aren't installed: the array can't be compared
            pass
        except DataError as error:
            self.bad += 1
            if self.first is None:
                self.first = error if error.where else InvalidSample(error.what, where=key)
        self.compared += 1


def _reader(wanted: SampleType, form: Format) -> Callable[[Any, str], object] | None:
    try:
        return reader(form, class_from(wanted), validate=True)
    except (InvalidSchema, MissingExtra):  # the schema itself is checked elsewhere
        return None


def _without_name(error: CatalogError, where: str) -> str:
    """Return the error as one line without the name of the shard, which the caller knows."""
    place = (error.where or "").removeprefix(where).lstrip(", ")
    return str(type(error)(error.what, where=place or None, hint=error.hint))
