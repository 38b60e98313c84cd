"""The five record kinds of ``science.alt.dataset.*`` as typed values: read tolerantly, written strictly.

::

    Schema ◀── Dataset ◀── Label            Dataset.schema_ref, Label.dataset
      ▲▲
      └┴──── Lens ◀── LensVerification      Lens.source, Lens.target, LensVerification.lens

Reading accepts the known deviations of existing clients from their own lexicon (see ``read._forgive``); any other
violation is an error that lists all faults. ``entry.metadata`` is msgpack in a bytes value, because the data model has
no floats. The checksum ``{"algorithm": "none", "digest": ""}`` means no checksum.
"""

from __future__ import annotations

from catalog.records.kinds import (
    COLLECTIONS,
    DATASET,
    KINDS,
    LABEL,
    LENS,
    SCHEMA,
    VERIFICATION,
    Blob,
    BlobShard,
    BlobStorage,
    Checksum,
    CodeReference,
    Dataset,
    ExternalStorage,
    HttpShard,
    HttpStorage,
    Label,
    Lens,
    LensVerification,
    ManifestRef,
    Record,
    S3Shard,
    S3Storage,
    Schema,
    Size,
    Split,
    Storage,
    UnknownStorage,
    label_order,
    schema_rkey,
)
from catalog.records.read import read_record
from catalog.records.write import write_record

__all__ = [
    "COLLECTIONS",
    "DATASET",
    "KINDS",
    "LABEL",
    "LENS",
    "SCHEMA",
    "VERIFICATION",
    "Blob",
    "BlobShard",
    "BlobStorage",
    "Checksum",
    "CodeReference",
    "Dataset",
    "ExternalStorage",
    "HttpShard",
    "HttpStorage",
    "Label",
    "Lens",
    "LensVerification",
    "ManifestRef",
    "Record",
    "S3Shard",
    "S3Storage",
    "Schema",
    "Size",
    "Split",
    "Storage",
    "UnknownStorage",
    "label_order",
    "read_record",
    "schema_rkey",
    "write_record",
]
