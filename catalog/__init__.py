"""A catalog for datasets on the AT Protocol.

Importing this package imports nothing heavy: what it offers is loaded when first asked for. ::

    from catalog import Dataset

    for sample in Dataset.from_atproto("at://…/science.alt.dataset.entry/…"):
        ...

``__all__`` is the whole public surface of the top level; the rooms behind it (:mod:`catalog.records`,
:mod:`catalog.graph`, …) list their own.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from catalog.samples.dataset import Dataset
    from catalog.samples.packable import DictSample, PackableSample, packable, wire
    from catalog.samples.shards import write_shards
    from catalog.sampletype import Array

    __version__: str

__all__ = [
    "Array", "Dataset", "DictSample", "PackableSample", "__version__", "packable", "wire", "write_shards",
]  # fmt: skip

_HOMES: Final = {
    "Array": "catalog.sampletype",
    "Dataset": "catalog.samples.dataset",
    "DictSample": "catalog.samples.packable",
    "PackableSample": "catalog.samples.packable",
    "packable": "catalog.samples.packable",
    "wire": "catalog.samples.packable",
    "write_shards": "catalog.samples.shards",
}


def __getattr__(name: str) -> object:
    """Load a public name on first use (PEP 562)."""
    if name == "__version__":
        # The metadata machinery costs more than this whole module; most imports never ask.
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
    """The public names, loaded or not."""
    return sorted({*globals(), *__all__})
