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
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from catalog.client import Client
    from catalog.datasets.batches import SampleBatch
    from catalog.datasets.dataset import Dataset
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
    "DictSample",
    "Lens",
    "LensNetwork",
    "Media",
    "PackableSample",
    "SampleBatch",
    "Shard",
    "__version__",
    "check_lens",
    "fetch_lens",
    "lens",
    "packable",
    "wire",
    "write_shards",
]

_HOMES: Final = {
    "Array": "catalog.schema",
    "SampleBatch": "catalog.datasets.batches",
    "Client": "catalog.client",
    "Dataset": "catalog.datasets.dataset",
    "DictSample": "catalog.samples.packable",
    "Lens": "catalog.lenses.lens",
    "LensNetwork": "catalog.lenses.lens",
    "Media": "catalog.samples.media",
    "PackableSample": "catalog.samples.packable",
    "Shard": "catalog.shards.shard",
    "check_lens": "catalog.lenses.lens",
    "fetch_lens": "catalog.lenses.fetch",
    "lens": "catalog.lenses.lens",
    "packable": "catalog.samples.packable",
    "wire": "catalog.samples.packable",
    "write_shards": "catalog.samples.write_shards",
}


def __getattr__(name: str) -> object:
    """Load a public name on first use (PEP 562)."""
    if name == "__version__":
        # importlib.metadata takes longer to import than this whole module.
        from importlib.metadata import version

        value: object = version("atdata-catalog")
    elif name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
    else:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names, imported or not."""
    return sorted({*globals(), *__all__})
