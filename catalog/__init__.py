"""A catalog for datasets on the AT Protocol.

Importing this package is fast: each public name is imported on first use. ::

    from catalog import Dataset

    for sample in Dataset.from_atproto("at://…/science.alt.dataset.entry/…"):
        ...

``__all__`` is the public API of the top level; the subpackages (:mod:`catalog.records`, :mod:`catalog.store.graph`, …)
have their own.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # importing typing takes longer than all of this module
if TYPE_CHECKING:
    from typing import Final

    from catalog.client import Client
    from catalog.datasets.batches import SampleBatch
    from catalog.datasets.dataset import Dataset
    from catalog.datasets.loading import DatasetDict, load_dataset
    from catalog.datasets.sources import S3Source, URLSource
    from catalog.datasets.writing import write_samples
    from catalog.lenses.fetch import fetch_lens
    from catalog.lenses.lens import Lens, LensNetwork, check_lens, lens
    from catalog.samples.media import Media
    from catalog.samples.packable import DictSample, PackableSample, packable, wire
    from catalog.samples.write_shards import write_shards
    from catalog.schema import Array
    from catalog.shards.shard import Shard

    __version__: str

__all__ = [
    "Array",
    "Client",
    "Dataset",
    "DatasetDict",
    "DictSample",
    "Lens",
    "LensNetwork",
    "Media",
    "PackableSample",
    "S3Source",
    "SampleBatch",
    "Shard",
    "URLSource",
    "__version__",
    "check_lens",
    "fetch_lens",
    "lens",
    "load_dataset",
    "packable",
    "wire",
    "write_samples",
    "write_shards",
]

_HOMES: Final = {
    "Array": "catalog.schema",
    "Client": "catalog.client",
    "Dataset": "catalog.datasets.dataset",
    "DatasetDict": "catalog.datasets.loading",
    "DictSample": "catalog.samples.packable",
    "Lens": "catalog.lenses.lens",
    "LensNetwork": "catalog.lenses.lens",
    "Media": "catalog.samples.media",
    "PackableSample": "catalog.samples.packable",
    "S3Source": "catalog.datasets.sources",
    "SampleBatch": "catalog.datasets.batches",
    "Shard": "catalog.shards.shard",
    "URLSource": "catalog.datasets.sources",
    "check_lens": "catalog.lenses.lens",
    "fetch_lens": "catalog.lenses.fetch",
    "lens": "catalog.lenses.lens",
    "load_dataset": "catalog.datasets.loading",
    "packable": "catalog.samples.packable",
    "wire": "catalog.samples.packable",
    "write_samples": "catalog.datasets.writing",
    "write_shards": "catalog.samples.write_shards",
}

_PUBLISH: Final = "Dataset.publish_to_atproto(client, name=…)"
_FIND: Final = "Client().datasets(…) finds datasets, Dataset.from_atproto(uri) loads one"
_FILES: Final = "write_samples(samples, path) writes files; upload them to any web server or bucket"
_STATISTICS: Final = "`catalog publish` writes the statistics of each shard"
_ELSEWHERE: Final = {
    "AbstractDataStore": _FILES,
    "AbstractIndex": _FIND,
    "AppViewError": "catalog.errors.NetworkError",
    "AppViewRequiredError": "catalog.errors.NetworkError",
    "AppViewSearchBackend": _FIND,
    "AppViewUnavailableError": "catalog.errors.NetworkError",
    "AtdataError": "catalog.errors.CatalogError",
    "Atmosphere": "Client.login(account, password)",
    "BlobSource": "Dataset.from_atproto(uri) reads the blobs of a record",
    "DataSource": "URLSource, S3Source, or a list of URLs or paths",
    "DatasetLoader": "Dataset.from_atproto(uri)",
    "DatasetPublisher": _PUBLISH,
    "Index": _FIND,
    "IndexEntry": "Client().datasets(…) yields records",
    "LensLoader": "fetch_lens(uri)",
    "LensNotFoundError": "catalog.errors.LensError",
    "LensPublisher": "Lens.publish_to_atproto(client)",
    "LocalDiskStore": _FILES,
    "LocalSearchBackend": _FIND,
    "ManifestBuilder": _STATISTICS,
    "ManifestField": _STATISTICS,
    "ManifestWriter": _STATISTICS,
    "PDSBlobStore": "`catalog publish` uploads the shards under blobs: of a manifest",
    "Packable": "PackableSample, or @packable",
    "QueryExecutor": "Dataset.filter(function)",
    "Repository": _FIND,
    "SampleKeyError": "catalog.errors.UnknownKey",
    "SchemaError": "catalog.errors.InvalidSchema",
    "SchemaLoader": "Dataset.from_atproto(uri).sample_type",
    "SchemaPublisher": "PackableSample.publish_to_atproto(client)",
    "SearchAggregator": _FIND,
    "SearchBackend": _FIND,
    "SearchResults": _FIND,
    "ShardError": "catalog.errors.DataError",
    "atmosphere": "Client.login(account)",
    "configure_logging": "logging.getLogger('catalog')",
    "create_repository": _FIND,
    "get_logger": "logging.getLogger('catalog')",
    "get_default_index": _FIND,
    "promote_to_atmosphere": _PUBLISH,
    "schema_to_type": "Dataset.from_atproto(uri).sample_type",
    "set_default_index": "at:// URIs need no index",
    "verify_checksums": "checksums are verified as shards are read; `catalog verify` reads all of them",
}
"""Names of atdata that this package doesn't have, and what to use."""


def __getattr__(name: str) -> object:
    """Load a public name on first use (PEP 562)."""
    if name == "__version__":
        # importlib.metadata takes longer to import than this whole module.
        from importlib.metadata import version

        value: object = version("atdata-catalog")
    elif name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
    elif name in _ELSEWHERE:
        # No AttributeError: `from catalog import Index` would replace it by an ImportError that doesn't say this.
        message = f"{name} of atdata is not in this package; use: {_ELSEWHERE[name]}"
        raise ImportError(message, name=__name__)
    else:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names, imported or not."""
    return sorted({*globals(), *__all__})
