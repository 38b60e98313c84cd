"""Import files that aren't shards: image folders, HDF5, Zarr, NumPy files → shards and a manifest draft.

::

    open_source ─▶ images │ hdf5 │ zarr │ numpy_files ─▶ plan ─▶ shards, in several processes ─▶ manifest
                          └─ columns: arrays as fields            └─ state: finished shards

The same source and options give the same bytes, whatever interrupted them.
"""

from catalog.publish.imports.draft import draft_manifest
from catalog.publish.imports.open_source import open_source
from catalog.publish.imports.plan import BLOB_BYTES, SHARD_BYTES, ImportPlan, plan_import
from catalog.publish.imports.run import Imported, run_import

__all__ = [
    "BLOB_BYTES",
    "SHARD_BYTES",
    "ImportPlan",
    "Imported",
    "draft_manifest",
    "open_source",
    "plan_import",
    "run_import",
]
